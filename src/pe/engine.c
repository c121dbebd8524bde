/* engine.c: the engine as its caller sees it, and the caller's part in a pass: the host port. It holds the
 * embedding tables (it reads their rows from the checkpoint), looks tokens up, adds positions, sends the rows in and
 * awaits the tokens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (o->taps) add_product(&sum, o->sequences, s->vocab, sizeof(float));
    add_product(&sum, e->workers, 1, worker_scratch_bytes(o));
    add_product(&sum, o->plan->piece_count, 2 * RING_SLOTS, RING_SLOT_BYTES);
    return sum;
}

/* All that will be allocated, before any of it is. */
static omni_status check_memory(const omni_engine *e, omni_error *err) {
    uint64_t wanted = shared_bytes(e), available = omni_topo_memory_available();
    for (size_t r = 0; r < e->pes && wanted <= available; r++) {
        omni_memory m;
        omni_status st = omni_engine_plan_memory(&e->o, r, &m, err);
        if (st != OMNI_OK) return st;
        wanted += m.resident_bytes + (r < e->p ? pe_table_bytes(&e->o) : sizeof(pe));
    }
    if (wanted <= available) return OMNI_OK;
    char a[32], b[32];
    return omni_error_set(err, OMNI_BAD_INPUT,
                          "plan '%s' on %zu PEs needs at least %s of memory, but %s are available",
                          e->o.plan->spec.name, e->pes, omni_format_bytes(a, sizeof a, wanted),
                          omni_format_bytes(b, sizeof b, available));
}

static omni_status lay_out(omni_engine *e, omni_error *err) {
    omni_status st = check_memory(e, err);
    if (st != OMNI_OK) return st;
    e->pe = omni_alloc_array(e->pes, sizeof *e->pe);
    if (!e->pe) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu PEs", e->pes);
    for (size_t r = 0; r < e->pes && st == OMNI_OK; r++) st = pe_layout(&e->o, r, &e->pe[r], err);
    return st;
}

/* Tables for the longest sequence; none without rotary embedding. False: no memory. */
static bool create_rope(omni_engine *e) {
    const omni_shape *s = &e->o.model->shape;
    size_t longest = 0, half = s->head_dim / 2;
    if (s->rope_theta <= 0) return true;
    for (size_t q = 0; q < e->o.sequences; q++) longest = e->capacity[q] > longest ? e->capacity[q] : longest;
    double *inverse = omni_alloc_array(half, sizeof *inverse);
    e->rope_cos = omni_alloc_array(longest, half * sizeof(float));
    e->rope_sin = omni_alloc_array(longest, half * sizeof(float));
    bool ok = inverse && e->rope_cos && e->rope_sin;
    if (ok) {
        omni_rope_inverse(s, inverse);
        omni_rope_table(longest, s->head_dim, inverse, e->rope_cos, e->rope_sin);
    }
    omni_free(inverse);
    return ok;
}

static omni_status allocate_host_port(omni_engine *e, omni_error *err) {
    const omni_shape *s = &e->o.model->shape;
    size_t n = e->o.sequences;
    e->pass.first = omni_alloc_array(n, sizeof(size_t));
    e->pass.counts = omni_alloc_array(n, sizeof(size_t));
    e->pass.row = omni_alloc_array(n, sizeof(size_t));
    e->length = omni_alloc_array(n, sizeof(size_t));
    e->rows =
        omni_alloc_array(e->o.max_tokens + 1, s->hidden * sizeof(float)); /* the last one for positions */
    if (!e->pass.first || !e->pass.counts || !e->pass.row || !e->length || !e->rows || !create_rope(e))
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the host port's rows");
    e->embedding = omni_bind(e->o.weights, &e->o.model->embedding, 0, s->vocab, s->hidden, err);
    if (e->o.model->positions.name[0])
        e->positions = omni_bind(e->o.weights, &e->o.model->positions, 0, s->positions, s->hidden, err);
    return OMNI_OK; /* bound before: both are there */
}

static omni_status create_fabric(omni_engine *e, omni_error *err) {
    const omni_plan *plan = e->o.plan;
    omni_segment *segments = omni_alloc_array(plan->piece_count, sizeof *segments);
    if (!segments) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the bus pieces");
    for (size_t i = 0; i < plan->piece_count; i++)
        segments[i] = (omni_segment){plan->piece[i].first, plan->piece[i].count};
    omni_fabric_options f = {.kind = e->o.fabric ? e->o.fabric : "shm",
                             .pes = e->pes,
                             .workers = e->workers,
                             .segments = segments,
                             .segment_count = plan->piece_count,
                             .ring_slots = RING_SLOTS,
                             .slot_bytes = RING_SLOT_BYTES,
                             .wait = e->wait,

                             .stop = e->o.stop};
    omni_status st = omni_fabric_create(&f, &e->fabric, err);
    omni_free(segments);
    return st;
}

static omni_status create_team(omni_engine *e, omni_error *err) {
    e->start = omni_barrier_create(e->workers + 1);
    e->done = omni_barrier_create(e->workers + 1);
    e->worker = omni_alloc_array(e->workers, sizeof *e->worker);
    omni_word_init(&e->go, 0);
    if (!e->start || !e->done || !e->worker)
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu workers", e->workers);
    return team_start(e, err);
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
    return omni_bind_all(o->model, o->weights, err);
}

omni_status omni_engine_create(const omni_engine_options *o, omni_engine **out, omni_error *err) {
    *out = NULL;
    omni_status st = omni_kernel_init(err);
    if (st == OMNI_OK) st = check_options(o, err);
    if (st == OMNI_OK) st = omni_plan_check(o->plan, RING_SLOTS, err);
    if (st != OMNI_OK) return st;
    omni_engine *e = omni_alloc(sizeof *e);
    if (!e) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the engine");
    e->o = *o;
    e->pes = o->plan->mesh.pes;
    e->p = o->plan->mesh.size[OMNI_AXIS_INNER];
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
    if (st == OMNI_OK) st = allocate_host_port(e, err);
    if (st == OMNI_OK) st = taps_create(e, err);
    if (st == OMNI_OK) st = create_fabric(e, err);
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
    if (e->fabric) omni_fabric_free(e->fabric);
    omni_barrier_free(e->start);
    omni_barrier_free(e->done);
    taps_free(e);
    for (size_t r = 0; e->pe && r < e->pes; r++) pe_free(&e->pe[r]);
    omni_free(e->pe);
    omni_free(e->worker);
    omni_free(e->capacity);
    omni_free(e->pass.first);
    omni_free(e->pass.counts);
    omni_free(e->pass.row);
    omni_free(e->length);
    omni_free(e->rows);
    omni_free(e->rope_cos);
    omni_free(e->rope_sin);
    omni_free(e);
}

/* --- a pass ----------------------------------------------------------------------------------- */

static omni_status set_pass(omni_engine *e, const int32_t *ids, const size_t *counts, omni_error *err) {
    size_t row = 0, vocab = e->o.model->shape.vocab;
    for (size_t q = 0; q < e->o.sequences; q++) {
        if (counts[q] == 0)
            return omni_error_set(err, OMNI_BAD_INPUT, "sequence %zu is empty (expected at least one token)",
                                  q);
        if (counts[q] > e->capacity[q] - e->length[q])
            return omni_error_set(err, OMNI_BAD_INPUT, "sequence %zu: %zu tokens more than its %zu positions",
                                  q, counts[q], e->capacity[q]);
        e->pass.first[q] = e->length[q];
        e->pass.counts[q] = counts[q];
        e->pass.row[q] = row;
        row += counts[q];
    }
    if (row > e->o.max_tokens)
        return omni_error_set(err, OMNI_BAD_INPUT, "%zu tokens in one pass (expected at most %zu)", row,
                              e->o.max_tokens);
    for (size_t i = 0; i < row; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= vocab)
            return omni_error_set(err, OMNI_BAD_INPUT, "token id %d (expected 0 to %zu)", ids[i], vocab - 1);
    e->pass.extent = (omni_extent){row, e->o.sequences, e->pass.first, e->pass.counts};
    return OMNI_OK;
}

/* One row of a table of the host port. */
static omni_status look_up(const omni_engine *e, const omni_tensor *table, size_t row, float *x,
                           omni_error *err) {
    size_t hidden = e->o.model->shape.hidden;
    if (omni_weights_read_f32(e->o.weights, table, row * hidden, hidden, x)) return OMNI_OK;
    return omni_weights_read_failed(e->o.weights, table, err);
}

/* Looks tokens up, adds learned positions. */
static omni_status embed(omni_engine *e, const int32_t *ids, omni_error *err) {
    size_t hidden = e->o.model->shape.hidden;
    float *position = e->rows + e->o.max_tokens * hidden;
    omni_status st = OMNI_OK;
    for (size_t q = 0; q < e->o.sequences; q++) {
        for (size_t i = 0; i < e->pass.counts[q] && st == OMNI_OK; i++) {
            size_t row = e->pass.row[q] + i;
            float *x = e->rows + row * hidden;
            st = look_up(e, e->embedding, (size_t)ids[row], x, err);
            if (!e->positions || st != OMNI_OK) continue;
            st = look_up(e, e->positions, e->pass.first[q] + i, position, err);
            omni_add(x, hidden, position, hidden, 1, hidden);
        }
    }
    return st;
}

omni_status omni_engine_forward(omni_engine *e, const int32_t *ids, const size_t *counts, int32_t *next,
                                omni_error *err) {
    omni_status st = set_pass(e, ids, counts, err);
    if (st == OMNI_OK) st = embed(e, ids, err);
    if (st != OMNI_OK) return st;
    omni_word_publish(&e->go, ++e->passes);
    bool ok = omni_fabric_host_send(e->fabric, 0, e->rows,
                                    e->pass.extent.tokens * e->o.model->shape.hidden * sizeof(float)) &&
              omni_fabric_host_await(e->fabric, 0, next, e->o.sequences * sizeof *next) &&
              omni_barrier_wait(e->done, e->host_wait, e->o.stop);
    if (!ok) return omni_error_set(err, omni_stop_get(e->o.stop), "stopped in the middle of a pass");
    for (size_t q = 0; q < e->o.sequences; q++) e->length[q] += counts[q];
    return OMNI_OK;
}

void omni_engine_reset(omni_engine *e) {
    memset(e->length, 0, e->o.sequences * sizeof *e->length);
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
}

void omni_engine_counters(const omni_engine *e, omni_counters *out) {
    omni_fabric_counters(e->fabric, out);
}

const char *omni_engine_warning(const omni_engine *e) {
    return e->warning[0] ? e->warning : NULL;
}
