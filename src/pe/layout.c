/* layout.c: one PE's arena, computed before anything is allocated. The same walk measures (no arena yet) and
 * places, so that what is reported is what is used.
 *
 *   arena:  packed matrices, norms, biases, two panel buffers where weights are streamed | k, v per layer and
 *           sequence | activation buffers
 */
#include <stdlib.h>

#include "pe/pe.h"

typedef struct cursor {
    char *base; /* NULL: measuring */
    size_t used;
    bool overflow;
} cursor;

static void *take(cursor *c, size_t bytes) {
    size_t end;
    void *at = c->base && bytes ? c->base + c->used : NULL;
    if (!omni_size_add(bytes, OMNI_CACHE_LINE - 1, &bytes) ||
        !omni_size_add(c->used, bytes & ~(size_t)(OMNI_CACHE_LINE - 1), &end))
        c->overflow = true;
    else
        c->used = end;
    return at;
}

static float *take_floats(cursor *c, size_t rows, size_t cols) {
    size_t n;
    if (!omni_size_mul(rows, cols, &n) || !omni_size_mul(n, sizeof(float), &n)) c->overflow = true;
    return c->overflow ? NULL : take(c, n);
}

/* Its share of weights that are dealt out: handle after handle. Biases are everywhere. */
static void lay_share(const omni_engine_options *o, cursor *c, const pe *x, const omni_weight *w,
                      pe_weight *mine) {
    size_t in = w->in.part[0].width, bytes;
    mine->in = (omni_range){0, in};
    mine->out = omni_weight_dealt(&o->plan->mesh, w, x->rank).count;
    bytes = stream_share_bytes(mine->out, in, w->dtype, &mine->piece);
    c->overflow |= bytes == 0 && mine->out > 0;
    void *mem = take(c, bytes);
    if (mem) stream_init(mine, mem, w->dtype);
    bool adds_bias = w->op->matrix[0].bias.name[0];
    mine->bias = adds_bias ? take_floats(c, 1, omni_value_width(&w->out, 1, 0)) : NULL;
}

static void lay_projection(const omni_engine_options *o, cursor *c, const pe *x, const omni_weight *w,
                           pe_weight *mine) {
    mine->in = w->split_in ? omni_value_owned(&w->in, 0, x->seat.p, x->seat.index)
                           : (omni_range){0, w->in.part[0].width};
    mine->out = omni_value_width(&w->out, x->seat.p, x->seat.index);
    const omni_tensor *t[OMNI_MAX_PARTS];
    omni_dtype dtype = pe_bind_matrices(o, w, t);
    size_t bytes = omni_packed_bytes(mine->out, mine->in.count, dtype);
    c->overflow |= bytes == 0;
    void *mem = take(c, bytes);
    mine->matrix = mem ? omni_packed_reuse(mem, mine->out, mine->in.count, dtype) : NULL;
    bool adds_bias = w->op->matrix[0].bias.name[0] && (!w->split_in || x->seat.index == 0);
    mine->bias = adds_bias ? take_floats(c, 1, mine->out) : NULL;
}

static void lay_norm(cursor *c, const pe *x, const omni_weight *w, pe_weight *mine) {
    mine->out = omni_value_width(&w->out, x->seat.p, x->seat.index);
    mine->norm_weight = take_floats(c, 1, mine->out);
    mine->norm_bias = w->op->norm_bias.name[0] ? take_floats(c, 1, mine->out) : NULL;
}

static void lay_weights(const omni_engine_options *o, cursor *c, pe *x) {
    for (size_t i = 0; i < o->plan->weight_count; i++) {
        const omni_weight *w = &o->plan->weight[i];
        if (w->stage != x->seat.stage) continue;
        if (w->op->kind == OMNI_OP_NORM)
            lay_norm(c, x, w, &x->weight[i]);
        else if (w->panel)
            lay_share(o, c, x, w, &x->weight[i]);
        else
            lay_projection(o, c, x, w, &x->weight[i]);
    }
    for (size_t i = 0; i < 2; i++) x->panels[i] = take(c, stream_buffer_bytes(o->plan));
}

static void lay_kv(const omni_engine_options *o, cursor *c, pe *x) {
    const omni_shape *s = &o->model->shape;
    size_t p = x->seat.p, index = x->seat.index;
    for (size_t l = x->layers.start; l < x->layers.start + x->layers.count; l++) {
        omni_kv kv = o->plan->kv[l];
        size_t width = omni_kv_features(kv, s, p, index).count;
        for (size_t q = x->sequences.start; q < x->sequences.start + x->sequences.count; q++) {
            pe_kv *mine = pe_kv_of(x, l, q);
            mine->capacity = omni_kv_tokens(kv, p, index, q, o->capacity[q]);
            mine->k = take_floats(c, width, mine->capacity);
            mine->v = take_floats(c, width, mine->capacity);
        }
    }
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The buffer of a value that a step of the PE's stage uses is at least as large as the value. */
static void note_value(const omni_engine_options *o, const pe *x, int v, omni_extent most, size_t *rows,
                       size_t *width) {
    if (v == OMNI_NO_VALUE) return;
    const omni_value *value = &o->plan->value[v];
    size_t w = omni_value_width(value, x->seat.p, x->seat.index), i = value->storage;
    rows[i] = omni_rows_most(value->rows, most, x->seat.p);
    width[i] = larger(w, width[i]);
}

/* A buffer is as large as the largest of the values that take turns in it. False: no memory to find out. */
static bool lay_storage(const omni_engine_options *o, cursor *c, pe *x) {
    const omni_plan *plan = o->plan;
    omni_extent most = {.tokens = o->max_tokens, .sequences = o->sequences, .marks = o->max_marks};
    for (size_t q = 0; q < o->sequences; q++) most.longest = larger(o->capacity[q], most.longest);
    size_t *rows = omni_alloc_array(plan->storage_count, sizeof *rows);
    size_t *width = omni_alloc_array(plan->storage_count, sizeof *width);
    most = omni_part_most(plan, most, x->seat.group);
    for (size_t i = 0; rows && width && i < plan->step_count; i++) {
        const omni_step *s = &plan->step[i];
        bool enters = s->kind == OMNI_STEP_HAND_OFF && s->stage + 1 == x->seat.stage;
        if (s->stage == x->seat.stage) {
            for (size_t k = 0; k < OMNI_STEP_INPUTS; k++) note_value(o, x, s->in[k], most, rows, width);
            if (s->kind != OMNI_STEP_HAND_OFF) note_value(o, x, s->out, most, rows, width);
        }
        if (enters) note_value(o, x, s->out, most, rows, width);
    }
    for (size_t i = 0; rows && width && i < plan->storage_count; i++)
        x->storage[i] = take_floats(c, rows[i], width[i]);
    bool ok = rows && width;
    omni_free(rows);
    omni_free(width);
    return ok;
}

static bool lay_all(const omni_engine_options *o, pe *x, cursor *c) {
    if (x->seat.idle) return true;
    lay_weights(o, c, x);
    x->memory.weight_bytes = c->used;
    lay_kv(o, c, x);
    x->memory.kv_bytes = c->used - x->memory.weight_bytes;
    bool ok = lay_storage(o, c, x);
    x->memory.activation_bytes = c->used - x->memory.weight_bytes - x->memory.kv_bytes;
    return ok;
}

size_t pe_table_bytes(const omni_engine_options *o, const pe *x) {
    if (x->seat.idle) return sizeof *x;
    return sizeof *x + o->plan->weight_count * sizeof(pe_weight) + o->plan->storage_count * sizeof(float *) +
           x->layers.count * x->sequences.count * sizeof(pe_kv);
}

static omni_status no_memory(size_t rank, omni_error *err) {
    return omni_error_set(err, OMNI_RUN_FAILED, "no memory to lay out PE %zu", rank);
}

omni_status pe_layout(const omni_engine_options *o, size_t rank, pe *x, omni_error *err) {
    const omni_mesh *mesh = &o->plan->mesh;
    size_t entries;
    *x = (pe){.rank = rank, .seat = omni_mesh_seat(mesh, rank)};
    if (x->seat.idle) return OMNI_OK;
    x->layers = omni_split(o->model->shape.layers, mesh->stages, x->seat.stage);
    x->sequences = omni_group_sequences(mesh, o->sequences, x->seat.group);
    bool fits = omni_size_mul(x->layers.count, x->sequences.count, &entries);
    x->weight = omni_alloc_array(o->plan->weight_count, sizeof *x->weight);
    x->storage = omni_alloc_array(o->plan->storage_count, sizeof *x->storage);
    x->kv = fits ? omni_alloc_array(entries, sizeof *x->kv) : NULL;
    if (!x->weight || !x->storage || !x->kv) return no_memory(rank, err);
    cursor c = {0};
    if (!lay_all(o, x, &c)) return no_memory(rank, err);
    if (c.overflow)
        return omni_error_set(err, OMNI_BAD_INPUT, "PE %zu: its memory exceeds the address space", rank);
    x->arena_bytes = c.used;
    x->memory.resident_bytes = x->memory.peak_bytes = omni_round_up(c.used, 4096);
    return OMNI_OK;
}

bool pe_place(const omni_engine_options *o, pe *x) {
    cursor c = {.base = x->arena};
    return lay_all(o, x, &c);
}

void pe_free(pe *x) {
    omni_free(x->weight);
    omni_free(x->storage);
    omni_free(x->kv);
}

omni_status omni_engine_plan_memory(const omni_engine_options *o, size_t rank, omni_memory *out,
                                    omni_error *err) {
    pe x;
    omni_status st = pe_layout(o, rank, &x, err);
    *out = x.memory;
    pe_free(&x);
    return st;
}
