/* layout.c: one PE's arena, computed before anything is allocated. The same walk measures (no arena yet) and
 * places, so that what is reported is what is used.
 *
 *   arena:  packed matrices, norms, biases | k, v per layer and sequence | activation buffers
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

static void lay_projection(const omni_engine_options *o, cursor *c, const pe *x, const omni_weight *w,
                           pe_weight *mine, size_t p) {
    mine->in = w->split_in ? omni_value_owned(&w->in, 0, p, x->index) : (omni_range){0, w->in.part[0].width};
    mine->out = omni_value_width(&w->out, p, x->index);
    const omni_tensor *t[OMNI_MAX_PARTS];
    omni_dtype dtype = pe_bind_matrices(o, w, t);
    size_t bytes = omni_packed_bytes(mine->out, mine->in.count, dtype);
    c->overflow |= bytes == 0;
    void *mem = take(c, bytes);
    mine->matrix = mem ? omni_packed_init(mem, mine->out, mine->in.count, dtype) : NULL;
    bool adds_bias = w->op->matrix[0].bias.name[0] && (!w->split_in || x->index == 0);
    mine->bias = adds_bias ? take_floats(c, 1, mine->out) : NULL;
}

static void lay_norm(cursor *c, const pe *x, const omni_weight *w, pe_weight *mine, size_t p) {
    mine->out = omni_value_width(&w->out, p, x->index);
    mine->norm_weight = take_floats(c, 1, mine->out);
    mine->norm_bias = w->op->norm_bias.name[0] ? take_floats(c, 1, mine->out) : NULL;
}

static void lay_weights(const omni_engine_options *o, cursor *c, pe *x, size_t p) {
    for (size_t i = 0; i < o->plan->weight_count; i++) {
        const omni_weight *w = &o->plan->weight[i];
        if (w->op->kind == OMNI_OP_NORM)
            lay_norm(c, x, w, &x->weight[i], p);
        else
            lay_projection(o, c, x, w, &x->weight[i], p);
    }
}

static void lay_kv(const omni_engine_options *o, cursor *c, pe *x, size_t p) {
    const omni_shape *s = &o->model->shape;
    for (size_t l = 0; l < s->layers; l++) {
        omni_kv kv = o->plan->kv[l];
        size_t heads = omni_kv_heads(kv, s, p, x->index).count;
        for (size_t q = 0; q < o->sequences; q++) {
            pe_kv *mine = &x->kv[l * o->sequences + q];
            mine->capacity = omni_kv_tokens(kv, p, x->index, q, o->capacity[q]);
            mine->k = take_floats(c, heads * s->head_dim, mine->capacity);
            mine->v = take_floats(c, heads * s->head_dim, mine->capacity);
        }
    }
}

/* A buffer is as large as the largest of the values that take turns in it. */
static void lay_storage(const omni_engine_options *o, cursor *c, pe *x, size_t p) {
    omni_extent most = {.tokens = o->max_tokens, .sequences = o->sequences, .marks = o->max_marks};
    for (size_t i = 0; i < o->plan->storage_count; i++) {
        size_t rows = 0, width = 0;
        for (size_t v = 0; v < o->plan->value_count; v++) {
            const omni_value *value = &o->plan->value[v];
            if (value->storage != i) continue;
            size_t w = omni_value_width(value, p, x->index);
            rows = omni_rows_most(value->rows, most, p);
            width = w > width ? w : width;
        }
        x->storage[i] = take_floats(c, rows, width);
    }
}

static void lay_all(const omni_engine_options *o, pe *x, cursor *c) {
    size_t p = o->plan->mesh.size[OMNI_AXIS_INNER];
    if (x->idle) return;
    lay_weights(o, c, x, p);
    x->memory.weight_bytes = c->used;
    lay_kv(o, c, x, p);
    x->memory.kv_bytes = c->used - x->memory.weight_bytes;
    lay_storage(o, c, x, p);
    x->memory.activation_bytes = c->used - x->memory.weight_bytes - x->memory.kv_bytes;
}

/* Entries of the kv table; pe_layout has refused what does not fit. */
static size_t kv_entries(const omni_engine_options *o) {
    return o->model->shape.layers * o->sequences;
}

size_t pe_table_bytes(const omni_engine_options *o) {
    return sizeof(pe) + o->plan->weight_count * sizeof(pe_weight) + o->plan->storage_count * sizeof(float *) +
           kv_entries(o) * sizeof(pe_kv);
}

omni_status pe_layout(const omni_engine_options *o, size_t rank, pe *x, omni_error *err) {
    size_t p = o->plan->mesh.size[OMNI_AXIS_INNER], entries;
    *x = (pe){.rank = rank, .index = rank, .idle = rank >= p};
    if (x->idle) return OMNI_OK;
    bool fits = omni_size_mul(o->model->shape.layers, o->sequences, &entries);
    x->weight = omni_alloc_array(o->plan->weight_count, sizeof *x->weight);
    x->storage = omni_alloc_array(o->plan->storage_count, sizeof *x->storage);
    x->kv = fits ? omni_alloc_array(entries, sizeof *x->kv) : NULL;
    if (!x->weight || !x->storage || !x->kv)
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory to lay out PE %zu", rank);
    cursor c = {0};
    lay_all(o, x, &c);
    if (c.overflow)
        return omni_error_set(err, OMNI_BAD_INPUT, "PE %zu: its memory exceeds the address space", rank);
    x->arena_bytes = c.used;
    x->memory.resident_bytes = omni_round_up(c.used, 4096);
    return OMNI_OK;
}

void pe_place(const omni_engine_options *o, pe *x) {
    cursor c = {.base = x->arena};
    lay_all(o, x, &c);
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
