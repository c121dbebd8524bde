/* engine.c: the engine as its caller sees it: created, with all its memory asked for at once, changed from one plan to
 * another, asked for facts. A pass is hostport.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/probe.h"
#include "pe/pe.h"

/* --- creation --------------------------------------------------------------------------------- */

/* sum += a * b * c, and stays at the largest number rather than wrap. */
static void add_product(uint64_t *sum, size_t a, size_t b, size_t c) {
    uint64_t n;
    bool over = __builtin_mul_overflow(a, b, &n) || __builtin_mul_overflow(n, c, &n);
    if (over || __builtin_add_overflow(*sum, n, sum)) *sum = UINT64_MAX;
}

/* What the engine takes beside the arenas: host port, taps, scratch, rings. */
static uint64_t shared_bytes(const omni_engine *e) {
    const omni_engine_options *o = &e->o;
    const omni_shape *s = &o->model->shape;
    uint64_t sum = o->beside_bytes;
    size_t longest = 0;
    for (size_t q = 0; q < o->sequences; q++) longest = o->capacity[q] > longest ? o->capacity[q] : longest;
    add_product(&sum, o->max_tokens, s->hidden, sizeof(float));
    if (s->rope_theta > 0) add_product(&sum, longest, s->head_dim, sizeof(float));
    if (o->taps) add_product(&sum, o->max_tokens, (s->layers + 1) * s->hidden, sizeof(float));
    if (o->taps || o->logits) add_product(&sum, tap_logit_rows(o), s->vocab, sizeof(float));
    add_product(&sum, e->workers, 1, worker_scratch_bytes(e));
    for (size_t f = 0; f < e->forms; f++)
        add_product(&sum, omni_mesh_pieces(&e->form[f].o.plan->mesh), 2 * RING_SLOTS, RING_SLOT_BYTES);
    if (e->forms > 1) add_product(&sum, 1, 2 * RING_SLOTS, RING_SLOT_BYTES);
    if (o->trace_events) add_product(&sum, o->trace_events + e->workers, 1, sizeof(omni_event));
    return sum;
}

/* With many PEs it takes seconds to lay them out. */
static omni_status check_stop(const omni_engine *e, omni_error *err) {
    omni_status reason = omni_stop_get(e->o.stop);
    return reason ? omni_error_set(err, reason, "stopped while the PEs were laid out") : OMNI_OK;
}

/* The arenas of one form and the tables beside them; stops counting at `most`. */
static omni_status form_bytes(const omni_engine *e, const pe_form *f, uint64_t most, uint64_t *out,
                              omni_error *err) {
    omni_status st = OMNI_OK;
    for (size_t r = 0; r < e->pes && *out <= most && !st; r++) {
        pe x;
        st = pe_layout(&f->o, r, &x, err);
        add_product(out, x.memory.resident_bytes, 1, 1);
        add_product(out, pe_table_bytes(&f->o, &x), 1, 1);
        pe_free(&x);
        if (st == OMNI_OK) st = check_stop(e, err);
    }
    return st;
}

/* All that will be allocated, before any of it is: every form when all are resident, else the two largest, for a
 * switch has two. */
static omni_status check_memory(const omni_engine *e, omni_error *err) {
    uint64_t base = shared_bytes(e), available = omni_topo_memory_available(), first = 0, second = 0, sum = 0;
    omni_status st = OMNI_OK;
    for (size_t f = 0; f < e->forms && base <= available && !st; f++) {
        uint64_t bytes = 0;
        st = form_bytes(e, &e->form[f], available, &bytes, err);
        add_product(&sum, bytes, 1, 1);
        second = bytes > first ? first : bytes > second ? bytes : second;
        first = bytes > first ? bytes : first;
    }
    uint64_t wanted = base;
    add_product(&wanted, e->o.resident ? sum : first, 1, 1);
    if (!e->o.resident) add_product(&wanted, second, 1, 1);
    if (st || wanted <= available) return st;
    char a[32], b[32];
    return omni_error_set(err, OMNI_BAD_INPUT,
                          "plan '%s' on %zu PEs needs at least %s of memory, but %s are available",
                          e->o.plan->spec.name, e->pes, omni_format_bytes(a, sizeof a, wanted),
                          omni_format_bytes(b, sizeof b, available));
}

/* The form in use. */
static void take_form(omni_engine *e, size_t index) {
    e->now = index;
    e->o = e->form[index].o;
    e->pe = e->form[index].pe;
    e->fabric = e->form[index].fabric;
    e->meet = e->form[index].meet;
}

static omni_status create_forms(omni_engine *e, omni_error *err) {
    e->form = omni_alloc_array(1 + e->o.laters, sizeof *e->form);
    if (!e->form) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the engine");
    e->forms = 1 + e->o.laters;
    for (size_t f = 0; f < e->forms; f++) {
        e->form[f].o = e->o;
        if (f == 0) continue;
        e->form[f].o.plan = e->o.later[f - 1];
        e->form[f].o.max_tokens = e->o.sequences;
    }
    return OMNI_OK;
}

static omni_status lay_out(omni_engine *e, omni_error *err) {
    omni_status st = create_forms(e, err);
    if (st == OMNI_OK) st = check_memory(e, err);
    for (size_t f = 0; f < e->forms && st == OMNI_OK; f++) {
        pe_form *form = &e->form[f];
        form->pe = omni_alloc_array(e->pes, sizeof *form->pe);
        if (!form->pe) st = omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu PEs", e->pes);
        for (size_t r = 0; r < e->pes && st == OMNI_OK; r++) {
            st = pe_layout(&form->o, r, &form->pe[r], err);
            if (st == OMNI_OK) st = check_stop(e, err);
        }
    }
    return st;
}

/* The pieces that a cut makes of a stage of a group. */
static void set_segments(const omni_mesh *mesh, omni_cut cut, size_t group, size_t stage,
                         omni_segment *segments) {
    for (size_t k = 0; k < omni_mesh_pieces_in(mesh, cut); k++) {
        omni_range piece = omni_mesh_piece(mesh, cut, group, stage, k);
        segments[omni_mesh_piece_number(mesh, cut, group, stage, k)] =
            (omni_segment){piece.start, piece.count};
    }
}

static omni_status open_fabric(const omni_engine *e, const omni_segment *segments, size_t count,
                               omni_fabric **out, omni_error *err) {
    omni_fabric_options f = {.kind = e->o.fabric ? e->o.fabric : "shm",
                             .schedule = e->o.schedule,
                             .pes = e->pes,
                             .workers = e->workers,
                             .segments = segments,
                             .segment_count = count,
                             .ring_slots = RING_SLOTS,
                             .slot_bytes = RING_SLOT_BYTES,
                             .wait = e->wait,
                             .stop = e->o.stop};
    return omni_fabric_create(&f, out, err);
}

/* The bus as the plan of a form cuts it. */
static omni_status create_fabric(const omni_engine *e, pe_form *form, omni_error *err) {
    const omni_mesh *mesh = &form->o.plan->mesh;
    omni_segment *segments = omni_alloc_array(omni_mesh_pieces(mesh), sizeof *segments);
    if (!segments) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the bus pieces");
    for (size_t cut = 0; cut < OMNI_CUT_ALL; cut++)
        for (size_t g = 0; g < mesh->groups; g++)
            for (size_t s = 0; s + (cut == OMNI_CUT_BOUNDARY) < mesh->stages; s++)
                set_segments(mesh, (omni_cut)cut, g, s, segments);
    if (mesh->joined) set_segments(mesh, OMNI_CUT_ALL, 0, 0, segments);
    omni_status st = open_fabric(e, segments, omni_mesh_pieces(mesh), &form->fabric, err);
    omni_free(segments);
    return st;
}

static omni_status create_fabrics(omni_engine *e, omni_error *err) {
    omni_segment all = {0, e->pes};
    omni_status st = OMNI_OK;
    for (size_t f = 0; f < e->forms && st == OMNI_OK; f++) {
        st = create_fabric(e, &e->form[f], err);
        if (st == OMNI_OK && !lend_create(e, &e->form[f]))
            st = omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu workers", e->workers);
    }
    return st || e->forms == 1 ? st : open_fabric(e, &all, 1, &e->between, err);
}

static omni_status create_team(omni_engine *e, omni_error *err) {
    e->start = omni_barrier_create(e->workers + 1);
    e->done = omni_barrier_create(e->workers + 1);
    e->worker = omni_alloc_array(e->workers, sizeof *e->worker);
    omni_word_init(&e->go, 0);
    if (!e->start || !e->done || !e->worker)
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu workers", e->workers);
    for (size_t f = 0; f < (e->o.resident ? e->forms : 1); f++)
        pe_load_expect(&e->form[f].o, e->form[f].pe, e->pes);
    return team_start(e, err);
}

static bool weights_are_dealt(const omni_plan *plan) {
    for (size_t i = 0; i < plan->weight_count; i++)
        if (plan->weight[i].panel) return true;
    return false;
}

static omni_status check_options(const omni_engine_options *o, omni_error *err) {
    size_t p = o->plan->mesh.pes;
    if (o->workers > p)
        return omni_error_set(err, OMNI_BAD_INPUT, "%zu workers for %zu PEs (expected at most one per PE)",
                              o->workers, p);
    for (size_t q = 0; q < o->sequences; q++)
        if (o->capacity[q] > o->model->shape.positions)
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "sequence %zu would reach %zu positions (the model has %zu)", q,
                                  o->capacity[q], o->model->shape.positions);
    omni_status st = omni_bind_all(o->model, o->weights, err);
    if (!st) st = omni_bind_compute(o->model, o->weights, o->compute, err);
    if (!st) st = stream_check(o, err);
    bool dealt = weights_are_dealt(o->plan);
    for (size_t i = 0; i < o->laters && !st; i++) {
        omni_engine_options later = *o;
        later.plan = o->later[i];
        st = stream_check(&later, err);
        dealt |= weights_are_dealt(o->later[i]);
    }
    if (st || !dealt || !o->laters || o->resident) return st;
    return omni_error_set(err, OMNI_BAD_INPUT,
                          "weights=stream deals weights out over all PEs: they are not moved there, or from "
                          "there, when the plan changes (expected --resident)");
}

omni_status omni_engine_create(const omni_engine_options *o, omni_engine **out, omni_error *err) {
    *out = NULL;
    omni_status st = omni_kernel_init(err);
    if (st == OMNI_OK) st = check_options(o, err);
    if (st == OMNI_OK) st = omni_plan_check(o->plan, RING_SLOTS, err);
    for (size_t i = 0; i < o->laters && st == OMNI_OK; i++)
        st = omni_plan_check(o->later[i], RING_SLOTS, err);
    if (st != OMNI_OK) return st;
    omni_engine *e = omni_alloc(sizeof *e);
    if (!e) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the engine");
    e->o = *o;
    e->o.profile = o->profile || o->trace_events;
    if (e->o.profile) omni_ticks_start();
    e->pes = o->plan->mesh.pes;
    e->moves_nothing = o->fabric && strcmp(o->fabric, "null") == 0;
    size_t places = omni_topo_cpus(o->topo), parallel = omni_topo_parallel(o->topo);
    e->workers = o->workers ? o->workers : e->pes < places ? e->pes : places;
    e->wait = omni_wait_policy_for(e->workers, parallel);
    /* Always as if it shared a worker's core, since nothing binds it elsewhere: it must not take that
     * core. */
    e->host_wait = omni_wait_policy_for(2, 1);
    e->capacity = omni_alloc_array(o->sequences, sizeof *e->capacity);
    if (e->capacity)
        memcpy(e->capacity, o->capacity, o->sequences * sizeof *e->capacity);
    else
        st = omni_error_set(err, OMNI_RUN_FAILED, "no memory for the engine");
    e->o.capacity = e->capacity;
    if (st == OMNI_OK) st = lay_out(e, err);
    if (st == OMNI_OK) st = hostport_create(e, err);
    if (st == OMNI_OK) st = taps_create(e, err);
    if (st == OMNI_OK) st = create_fabrics(e, err);
    if (st == OMNI_OK) take_form(e, 0);
    if (st == OMNI_OK) st = create_team(e, err);
    if (st != OMNI_OK) {
        omni_engine_free(e);
        return st;
    }
    *out = e;
    return OMNI_OK;
}

void omni_engine_free(omni_engine *e) {
    if (!e) return;
    if (e->worker) team_stop(e);
    for (size_t f = 0; f < e->forms; f++) {
        omni_fabric_free(e->form[f].fabric);
        lend_free(e, &e->form[f]);
        for (size_t r = 0; e->form[f].pe && r < e->pes; r++) pe_free(&e->form[f].pe[r]);
        omni_free(e->form[f].pe);
    }
    omni_fabric_free(e->between);
    omni_barrier_free(e->start);
    omni_barrier_free(e->done);
    taps_free(e);
    trace_free(e);
    omni_free(e->form);
    omni_free(e->worker);
    omni_free(e->capacity);
    hostport_free(e);
    omni_free(e);
}

/* --- from one pass to the next ---------------------------------------------------------------- */

omni_status omni_engine_switch(omni_engine *e, size_t plan, omni_error *err) {
    if (plan == e->now) return OMNI_OK;
    if (plan >= e->forms)
        return omni_error_set(err, OMNI_BAD_INPUT, "no plan %zu to switch to (expected 0 to %zu)", plan,
                              e->forms - 1);
    uint64_t began = e->o.trace_events ? omni_ticks() : 0;
    e->next = plan;
    e->switching = true;
    OMNI_PROBE2(pass_begin, "transform", 0);
    omni_word_publish(&e->go, ++e->passes);
    bool ok = omni_barrier_wait(e->done, e->workers, e->host_wait, e->o.stop);
    OMNI_PROBE2(pass_end, "transform", 0);
    if (!ok) {
        team_stop(e); /* errors may be read once nobody writes them */
        omni_status st = team_error(e, err);
        return st ? st : omni_error_set(err, omni_stop_get(e->o.stop), "stopped while the plan changed");
    }
    if (began) trace_pass(e, began, began, omni_ticks(), plan);
    for (size_t r = 0; r < e->pes && !e->o.resident; r++) {
        omni_memory *to = &e->form[plan].pe[r].memory, *from = &e->pe[r].memory;
        uint64_t both = from->resident_bytes + to->resident_bytes;
        to->peak_bytes = both > from->peak_bytes ? both : from->peak_bytes;
    }
    take_form(e, plan);
    return OMNI_OK;
}

void omni_engine_rewind(omni_engine *e, size_t positions) {
    for (size_t q = 0; q < e->o.sequences; q++)
        if (e->length[q] > positions) e->length[q] = positions;
}

void omni_engine_reset(omni_engine *e) {
    omni_engine_rewind(e, 0);
}

/* --- facts ------------------------------------------------------------------------------------ */

size_t omni_engine_workers(const omni_engine *e) {
    return e->workers;
}

unsigned omni_engine_cpu(const omni_engine *e, size_t w) {
    return e->worker[w].cpu;
}

void omni_engine_memory(const omni_engine *e, size_t rank, omni_memory *out) {
    *out = e->pe[rank].memory;
    if (!e->o.resident) return;
    out->resident_bytes = 0;
    for (size_t f = 0; f < e->forms; f++) out->resident_bytes += e->form[f].pe[rank].memory.resident_bytes;
    out->peak_bytes = out->resident_bytes;
}

void omni_engine_counters(const omni_engine *e, omni_counters *out) {
    *out = (omni_counters){0};
    for (size_t f = 0; f < e->forms; f++) {
        omni_counters one;
        omni_fabric_counters(e->form[f].fabric, &one);
        omni_counters_add(out, &one);
    }
}

void omni_engine_switch_counters(const omni_engine *e, omni_counters *out) {
    *out = (omni_counters){0};
    if (e->between) omni_fabric_counters(e->between, out);
}

void omni_engine_perf(const omni_engine *e, size_t w, omni_perf_counts *out) {
    *out = e->worker[w].perf ? *omni_perf_sums(e->worker[w].perf) : (omni_perf_counts){0};
}

const char *omni_engine_warning(const omni_engine *e) {
    return e->warning[0] ? e->warning : NULL;
}
