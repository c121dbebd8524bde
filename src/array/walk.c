/* walk.c: a pass over the virtual clocks, in the plan's total order: wave by wave, stage by stage, step by
 * step (trains strip by strip: overlap.c), class by class; then the hand-offs. The executor's order
 * (pe/exec.c), with clocks instead of threads.
 */
#include <stdlib.h>

#include "array/linked.h"
#include "array/setup.h"

/* --- moments ---------------------------------------------------------------------------------- */

moment later(moment a, moment b) {
    return b.ps > a.ps ? b : a;
}

/* With jitter every rank has links of its own: a chain that would be longer is given up, and no path is
 * known. */
enum { UNEVEN_LINKS = 1 << 23 };

uint32_t walk_link(walk *w, link l) {
    if (w->links == w->capacity) {
        size_t wanted = w->capacity ? 2 * w->capacity : 4096;
        if (wanted > UNEVEN_LINKS && w->m.faults->jitter_ppm) {
            w->traced = false;
            return 0;
        }
        link *more = wanted < UINT32_MAX ? realloc(w->chain, wanted * sizeof *more) : NULL;
        if (!more) {
            w->out_of_memory = true;
            return 0;
        }
        w->chain = more;
        w->capacity = wanted;
        if (w->links == 0) w->links = 1; /* 0: the beginning */
    }
    w->chain[w->links] = l;
    return (uint32_t)w->links++;
}

/* Moments know what they were reached through, so that the critical path can be walked back from the last. */
moment spend(walk *w, moment from, uint64_t ps, const omni_step *s, omni_price_kind kind) {
    if (ps == 0) return from;
    moment to = {sat_add(from.ps, ps), 0};
    if (to.ps > w->latest) w->latest = to.ps;
    if (w->watch.tell) watch_spent(w, from.ps, to.ps, kind);
    if (w->traced) to.why = walk_link(w, (link){ps, from.why, (uint32_t)(s - w->plan->step), (int)kind});
    return to;
}

moment cell_clock(const cell *c, size_t run) {
    return c->clock[c->together ? 0 : run];
}

moment cell_latest(const cell *c) {
    moment at = c->clock[0];
    for (size_t r = 1; r < c->runs.count && !c->together; r++) at = later(at, c->clock[r]);
    return at;
}

void cell_spread(cell *c) {
    for (size_t r = 1; r < c->runs.count && c->together; r++) c->clock[r] = c->clock[0];
    c->together = false;
}

void cell_leave(cell *c, moment at) {
    if (cell_latest(c).ps <= at.ps) {
        c->clock[0] = later(c->clock[0], at);
        c->together = true;
        return;
    }
    cell_spread(c);
    for (size_t r = 0; r < c->runs.count; r++) c->clock[r] = later(at, c->clock[r]);
}

moment track_free(const track *t) {
    moment at = t->free[0];
    for (size_t k = 1; k < t->subs; k++) at = later(at, t->free[k]);
    return at;
}

void track_take(track *t, moment until, unsigned cut) {
    for (size_t k = 0; k < t->subs; k++) t->free[k] = until;
    t->cut = cut;
}

moment wires_start(walk *w, moment ready, moment wires, uint64_t times) {
    if (wires.ps > ready.ps) {
        w->out->conflicts = sat_add(w->out->conflicts, times);
        w->out->wait_ps = sat_add(w->out->wait_ps, sat_mul(times, wires.ps - ready.ps));
    }
    return later(ready, wires);
}

void count_bus(walk *w, const omni_step *s, uint64_t messages, uint64_t bytes, uint64_t ps, size_t p,
               uint64_t times) {
    omni_counters *c = &w->out->moved;
    bool addressed =
        s->kind == OMNI_STEP_SCATTER || s->kind == OMNI_STEP_COLLECT || s->kind == OMNI_STEP_HAND_OFF;
    uint64_t all = sat_mul(messages, times);
    *(addressed ? &c->addressed_messages : &c->broadcasts) += all;
    *(addressed ? &c->addressed_bytes : &c->broadcast_bytes) += sat_mul(bytes, times);
    if (s->kind == OMNI_STEP_SCATTER) c->scatter_messages += all;
    if (s->kind == OMNI_STEP_COLLECT) c->gather_messages += all;
    w->out->grants = sat_add(w->out->grants, all);
    w->busy += (wide)sat_mul(ps, times) * p;
}

/* Strips are of two sizes, the larger ones first; and the last. */
const step_cost *cost_of(const walk *w, const cell *c, const omni_step *s) {
    omni_range block = w->plan->block[s->stage];
    const step_cost *cost = &c->cost[w->twin[s - w->plan->step] - block.start];
    size_t size = w->strip == 0 ? 0 : w->strip == cost->last ? 2 : w->strip >= cost->larger;
    return cost + size * block.count;
}

const omni_part *part_in(const group_class *g, size_t stage, size_t wave) {
    return wave < stage || wave - stage >= g->parts ? NULL : &g->part[wave - stage];
}

/* --- the order -------------------------------------------------------------------------------- */

static void add_work(walk *w, const step_cost *c, uint64_t times) {
    w->out->macs = sat_add(w->out->macs, sat_mul(c->total.macs, times));
    w->out->ops = sat_add(w->out->ops, sat_mul(c->total.ops, times));
    w->out->memory_bytes = sat_add(w->out->memory_bytes, sat_mul(c->total.bytes, times));
}

static void compute_walk(walk *w, const omni_step *s, cell *c, uint64_t times) {
    const step_cost *cost = cost_of(w, c, s);
    add_work(w, cost, times);
    if (w->m.network != OMNI_NETWORK_BUS && linked_compute(w, s, c, times)) return;
    if (w->m.faults->jitter_ppm) {
        uneven_walk(w, s, c, cost);
        return;
    }
    w->computing += cost->rank_ps * times;
    if (!cost->even) cell_spread(c);
    for (size_t r = 0; r < (c->together ? 1 : c->runs.count); r++)
        c->clock[r] = spend(w, c->clock[r], cost->run[r], s, OMNI_PRICE_COMPUTE);
}

/* One that all groups take part in at once. */
static bool joined_walk(walk *w, const omni_step *s, size_t wave) {
    bool host = s->kind == OMNI_STEP_HOST_IN || s->kind == OMNI_STEP_HOST_OUT;
    if (!host && s->kind != OMNI_STEP_STREAM && s->kind != OMNI_STEP_KV_SHARE) return false;
    watch_begin(w, NULL);
    if (host)
        host_walk(w, s, wave);
    else
        (s->kind == OMNI_STEP_STREAM ? stream_walk : share_walk)(w, s);
    watch_end(w, s, NULL, NULL);
    return true;
}

void walk_step(walk *w, const omni_step *s, size_t wave, omni_range classes) {
    if (s->kind == OMNI_STEP_TAP || joined_walk(w, s, wave)) return;
    for (size_t g = classes.start; g < classes.start + classes.count; g++) {
        group_class *k = &w->class[g];
        const omni_part *part = part_in(k, s->stage, wave);
        if (!part) continue;
        if (!costs_set(w, s->stage, &k->cell[s->stage], part)) w->out_of_memory = true;
        if (w->out_of_memory) return;
        watch_begin(w, &k->cell[s->stage]);
        (omni_step_is_message(s) ? message_walk : compute_walk)(w, s, &k->cell[s->stage], k->count);
        watch_end(w, s, k, &k->cell[s->stage]);
    }
}

/* So far, and more only is spent. */
static bool is_beyond(const walk *w) {
    return w->latest > w->limit.ps && walk_energy(w, w->latest) > w->limit.pj;
}

void walk_steps(walk *w, omni_range steps, size_t wave, omni_range classes) {
    size_t end = steps.start + steps.count, train;
    w->left = w->left || is_beyond(w);
    for (size_t i = steps.start; i < end && !w->left; i += train ? train : 1) {
        train = w->plan->step[i].train;
        (train ? train_walk : walk_step)(w, &w->plan->step[i], wave, classes);
    }
}

void walk_block(walk *w, size_t stage, size_t wave, omni_range classes) {
    omni_range quiet = w->quiet[stage];
    const beats *b = &w->beats[stage];
    size_t behind = b->start + b->each * b->count;
    walk_steps(w, (omni_range){quiet.start, b->start - quiet.start}, wave, classes);
    rhythm_walk(w, stage, wave, classes);
    walk_steps(w, (omni_range){behind, quiet.start + quiet.count - behind}, wave, classes);
}

/* Classes that share nothing need not be walked together. */
static void walk_stage(walk *w, size_t stage, size_t wave) {
    omni_range block = w->plan->block[stage], quiet = w->quiet[stage], all = {0, w->classes};
    size_t behind = quiet.start + quiet.count;
    walk_steps(w, (omni_range){block.start, quiet.start - block.start}, wave, all);
    if (w->shared) recall_walk(w, stage, wave, all);
    for (size_t g = 0; g < w->classes && !w->shared; g++) recall_walk(w, stage, wave, (omni_range){g, 1});
    walk_steps(w, (omni_range){behind, block.start + block.count - behind}, wave, all);
}

static bool walk_wave(walk *w, size_t wave) {
    const omni_plan *plan = w->plan;
    size_t stages = plan->mesh.stages;
    w->wave = wave;
    for (size_t s = 0; s < stages; s++) walk_stage(w, s, wave);
    for (size_t s = 0; s + 1 < stages; s++)
        for (size_t g = 0; g < w->classes; g++) {
            const omni_part *part = part_in(&w->class[g], s, wave);
            cell *from = &w->class[g].cell[s];
            const omni_step *step = &plan->step[plan->step_count - (stages - 1) + s];
            if (!part) continue;
            watch_begin(w, from);
            hand_off_walk(w, step, from, from + 1, part, w->class[g].count);
            watch_end(w, step, &w->class[g], from);
        }
    return !w->out_of_memory;
}

/* --- the result ------------------------------------------------------------------------------- */

const char *omni_price_kind_name(omni_price_kind kind) {
    static const char *const names[OMNI_PRICE_KINDS] = {"compute", "bus", "tree", "host", "link"};
    return names[kind];
}

static const char *op_name(const omni_step *s) {
    return s->op ? s->op->name : s->kind == OMNI_STEP_HAND_OFF ? "hand-off" : "input";
}

static void add_row(omni_price *out, const char *op, omni_price_kind kind, uint64_t ps) {
    size_t i = 0;
    while (i < out->rows && (strcmp(out->row[i].op, op) != 0 || out->row[i].kind != kind)) i++;
    if (i == OMNI_PRICE_ROWS) i--; /* no model has so many ops */
    if (i == out->rows) out->row[out->rows++] = (omni_price_row){op, kind, 0};
    out->row[i].ps += ps;
}

static int larger_first(const void *a, const void *b) {
    uint64_t x = ((const omni_price_row *)a)->ps, y = ((const omni_price_row *)b)->ps;
    return (x < y) - (x > y);
}

static void add_rows(walk *w, uint32_t step, omni_price_kind kind, uint64_t ps) {
    w->out->kind[kind] += ps;
    add_row(w->out, op_name(&w->plan->step[step]), kind, ps);
}

/* From the last moment back to the beginning. Most links follow one of the same step. */
static void walk_back(walk *w, moment end) {
    omni_price *out = w->out;
    out->ps = end.ps;
    for (uint32_t at = w->traced ? end.why : 0; at;) {
        const link *l = &w->chain[at];
        uint64_t ps = 0;
        uint32_t step = l->step;
        int kind = l->kind;
        if (kind == LINK_PATH) {
            at = l->before;
            for (const path_step *p = &w->path[step]; w->paths && p->ps; p++)
                add_rows(w, p->step, (omni_price_kind)p->kind, p->ps);
            continue;
        }
        for (; at && l->step == step && l->kind == kind; l = &w->chain[at]) {
            ps += l->ps;
            at = l->before;
        }
        add_rows(w, step, (omni_price_kind)kind, ps);
    }
    qsort(out->row, out->rows, sizeof *out->row, larger_first);
}

static uint64_t clamp(wide x) {
    return x > UINT64_MAX ? UINT64_MAX : (uint64_t)x;
}

/* A network of links is busy with bytes. */
static uint64_t link_bytes(const walk *w) {
    return w->m.network == OMNI_NETWORK_BUS ? 0 : clamp(w->busy);
}

static void sum_up(walk *w) {
    omni_price *out = w->out;
    wide whole = (wide)out->ps * w->plan->mesh.used;
    bool linked = w->m.network != OMNI_NETWORK_BUS;
    out->link_bytes = link_bytes(w);
    if (whole) {
        out->busy_ppm = linked ? linked_busy_ppm(w) : clamp(w->busy / (whole / 1000000 + 1));
        out->computing_ppm = clamp(w->computing / (whole / 1000000 + 1));
    }
    out->energy_pj = walk_energy(w, out->ps);
}

uint64_t walk_energy(const walk *w, uint64_t ps) {
    const omni_price *out = w->out;
    const omni_counters *c = &out->moved;
    wide fj = (wide)out->macs * w->m.mac_fj + (wide)out->ops * w->m.op_fj +
              (wide)out->memory_bytes * w->m.memory_fj + (wide)c->tree_bytes * w->m.tree_fj +
              (wide)sat_add(c->broadcast_bytes, c->addressed_bytes) * w->m.bus_fj +
              (wide)link_bytes(w) * w->m.link_fj + (wide)c->host_bytes * w->m.host_fj;
    wide idle = (wide)sat_mul(w->plan->mesh.pes, w->m.idle_fw) * ps / 1000; /* fJ/ns x ps */
    return clamp((fj + idle) / 1000);
}

static moment last_moment(const walk *w) {
    moment end = w->host;
    for (size_t g = 0; g < w->classes; g++)
        for (size_t s = 0; w->class[g].parts && s < w->plan->mesh.stages; s++)
            end = later(end, cell_latest(&w->class[g].cell[s]));
    return end;
}

omni_status walk_run(walk *w, omni_error *err) {
    size_t most = 0;
    for (size_t g = 0; g < w->classes; g++) most = w->class[g].parts > most ? w->class[g].parts : most;
    bool ok = true;
    for (size_t wave = 0; ok && most && !w->left && wave < most + w->plan->mesh.stages - 1; wave++)
        ok = walk_wave(w, wave);
    if (!ok) return omni_error_set(err, OMNI_RUN_FAILED, "no memory to price plan '%s'", w->plan->spec.name);
    if (w->left) { /* before its end */
        w->out->ps = w->latest;
        w->out->energy_pj = walk_energy(w, w->latest);
        return OMNI_OK;
    }
    walk_back(w, last_moment(w));
    sum_up(w);
    return OMNI_OK;
}
