/* host.c: a pass on this host, from measured rates: what the workers' clocks would show. The same walk as the
 * executor's (pe/exec.c), so more PEs than workers are priced as they are run:
 *
 *   PEs       0 1 2 3 | 4 5 6 7       worker w carries omni_split(pes, workers, w)
 *   compute   its PEs one after the other; where only the first PEs have work, all workers share those
 *             (pe/lend.c)
 *   message   once a worker; a reading worker copies for each of its PEs
 *
 * A broadcast begins when its writer is ready; in a reduction, a gather or a lent step everybody meets. What
 * words make workers wait follows from that.
 *
 * This file walks the waves and sums up; a step of one block is in host_step.c, what all groups do at once in
 * host_joined.c.
 */
#include <math.h>

#include "array/host.h"

/* --- the walk --------------------------------------------------------------------------------- */

/* The part that a group has in a stage in this wave. */
bool host_part_of(const host_walk *h, const omni_extent *pass, size_t group, size_t stage, size_t wave,
                  omni_part *out) {
    omni_parts it = omni_parts_begin(h->plan, *pass, group);
    if (wave < stage) return false;
    for (size_t m = 0; m <= wave - stage; m++)
        if (!omni_parts_next(&it, out)) return false;
    return true;
}

static void walk_step(host_walk *h, const omni_step *s, const omni_part *part, size_t group) {
    omni_range ranks = omni_mesh_ranks(&h->plan->mesh, group, s->stage);
    if (!omni_step_is_message(s)) {
        host_step t = host_step_at(h, s, part, ranks);
        host_compute(&t);
        return;
    }
    for (size_t k = 0; k < omni_mesh_pieces_in(&h->plan->mesh, s->cut); k++) {
        host_step t = host_step_at(h, s, part, omni_mesh_piece(&h->plan->mesh, s->cut, group, s->stage, k));
        if (t.piece.count > 1 || s->kind == OMNI_STEP_HOST_IN) host_message(&t);
    }
}

static void walk_block(host_walk *h, const omni_extent *pass, size_t stage, size_t wave) {
    omni_order order = omni_order_begin(h->plan, h->plan->block[stage]);
    for (const omni_step *s; (s = omni_order_next(&order));) {
        if (s->cut == OMNI_CUT_ALL) {
            host_walk_joined(h, s, pass, wave);
            continue;
        }
        for (size_t g = 0; g < h->plan->mesh.groups; g++) {
            omni_part part;
            if (host_part_of(h, pass, g, stage, wave, &part)) walk_step(h, s, &part, g);
        }
    }
}

static void walk_hand_offs(host_walk *h, const omni_extent *pass, size_t stage, size_t wave) {
    const omni_plan *plan = h->plan;
    const omni_step *s = &plan->step[plan->step_count - (plan->mesh.stages - 1) + stage];
    for (size_t g = 0; g < plan->mesh.groups; g++) {
        omni_part part;
        omni_range from = omni_mesh_ranks(&plan->mesh, g, stage),
                   to = omni_mesh_ranks(&plan->mesh, g, stage + 1);
        if (!host_part_of(h, pass, g, stage, wave, &part)) continue;
        host_step t = host_step_at(h, s, &part, (omni_range){from.start, from.count + to.count});
        host_address(&t, s->root, from.count, host_payload(&t, s->in[0], NULL));
    }
}

/* Workers that carry some block of this wave. */
static size_t workers_at_once(const host_walk *h, const omni_extent *pass, size_t wave) {
    const omni_mesh *mesh = &h->plan->mesh;
    size_t sum = 0;
    omni_part part;
    for (size_t s = 0; s < mesh->stages; s++)
        for (size_t g = 0; g < mesh->groups; g++)
            if (host_part_of(h, pass, g, s, wave, &part))
                sum += host_carriers(h, omni_mesh_ranks(mesh, g, s)).count;
    return sum < h->workers ? sum : h->workers; /* blocks may share workers */
}

/* --- the price -------------------------------------------------------------------------------- */

static uint64_t to_ps(double ns) {
    return ns * 1e3 < 1.8e19 ? (uint64_t)(ns * 1e3 + 0.5) : UINT64_MAX;
}

/* What the last worker's time went to. */
static void sum_up(host_walk *h) {
    omni_price *out = h->out;
    const lane *last = &h->lane[0];
    for (size_t w = 1; w < h->workers; w++) last = h->lane[w].ns > last->ns ? &h->lane[w] : last;
    for (size_t i = 0; i < out->rows; i++) {
        out->row[i].ps = to_ps(last->spent[i]);
        uint64_t *kind = &out->kind[out->row[i].kind];
        *kind = sat_add(*kind, out->row[i].ps);
        out->ps = sat_add(out->ps, out->row[i].ps);
    }
    for (size_t i = 1; i < out->rows; i++) /* largest first: few rows */
        for (size_t k = i; k && out->row[k].ps > out->row[k - 1].ps; k--) {
            omni_price_row swap = out->row[k];
            out->row[k] = out->row[k - 1];
            out->row[k - 1] = swap;
        }
    while (out->rows && out->row[out->rows - 1].ps == 0) out->rows--;
    double all = (double)out->ps * 1e-3 * (double)h->workers;
    out->computing_ppm = all > 0 ? (uint64_t)fmin(1e6, 1e6 * h->computing / all) : 0;
}

static double weights_of(const omni_plan *plan) {
    double bytes = 0;
    for (size_t i = 0; i < plan->weight_count; i++) {
        const omni_weight *w = &plan->weight[i];
        if (w->op->kind == OMNI_OP_PROJECTION)
            bytes += (double)omni_value_width(&w->out, 1, 0) * (double)w->in.part[0].width *
                     (double)weight_bytes(plan) * (double)(w->panel ? 1 : plan->mesh.groups);
    }
    return bytes;
}

omni_status omni_price_rates(const omni_rates *r, const omni_plan *plan, omni_extent pass, omni_price *out,
                             omni_error *err) {
    size_t cores = (size_t)r->cores, waves = 0;
    host_walk h = {.r = r, .plan = plan, .out = out, .decode = pass.tokens == pass.sequences};
    *out = (omni_price){.busy_ppm = OMNI_PRICE_UNKNOWN};
    h.workers = plan->mesh.pes < cores ? plan->mesh.pes : cores;
    h.set = weights_of(plan) / (double)h.workers;
    h.lane = omni_alloc_array(h.workers, sizeof *h.lane);
    if (!h.lane) return omni_error_set(err, OMNI_RUN_FAILED, "no memory to price plan '%s'", plan->spec.name);
    for (size_t g = 0; g < plan->mesh.groups; g++) {
        omni_parts it = omni_parts_begin(plan, pass, g);
        size_t parts = 0;
        for (omni_part part; omni_parts_next(&it, &part);) parts++;
        waves = parts > waves ? parts : waves;
    }
    host_step start = host_step_at(&h, &plan->step[0], NULL, (omni_range){0, plan->mesh.pes});
    host_all_spend(&start, omni_rates_pass_ns(r, h.workers));
    for (size_t wave = 0; waves && wave < waves + plan->mesh.stages - 1; wave++) {
        h.at_once = workers_at_once(&h, &pass, wave);
        for (size_t s = 0; s < plan->mesh.stages; s++) walk_block(&h, &pass, s, wave);
        for (size_t s = 0; s + 1 < plan->mesh.stages; s++) walk_hand_offs(&h, &pass, s, wave);
    }
    sum_up(&h);
    omni_plan_count(plan, pass, &out->moved);
    out->grants = out->moved.broadcasts + out->moved.addressed_messages;
    omni_free(h.lane);
    return OMNI_OK;
}
