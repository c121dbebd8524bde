/* load.c: each PE copies its own shards, and nothing else, from the mapped checkpoint into its arena, row by
 * row. The stored type stays (BF16 stays 2 bytes); only where a fused projection mixes types, F32 is used for
 * all of it.
 */
#include <stdlib.h>

#include "pe/pe.h"

enum { BLOCK_ROWS = 64 };

/* One matrix's rows go to consecutive outputs of the packed handle. */
typedef struct shard {
    const omni_matrix *m;
    const omni_tensor *t;
    omni_range out, in; /* of the matrix */
    size_t packed_out;  /* first output in the handle */
} shard;

/* `rows` stored rows of `count` elements, from (row, col) of tensor t that is `cols` wide. */
static void read_block(const omni_weights *w, const omni_tensor *t, omni_dtype dtype, size_t row, size_t rows,
                       size_t col, size_t count, size_t cols, void *dst) {
    for (size_t r = 0; r < rows; r++) {
        size_t first = (row + r) * cols + col;
        char *to = (char *)dst + r * count * omni_dtype_bytes(dtype);
        if (t->dtype == dtype)
            omni_weights_read(w, t, first, count, to);
        else
            omni_weights_read_f32(w, t, first, count, (float *)(void *)to);
    }
}

/* Stored [out, in]: blocks of output rows. Stored [in, out]: blocks of input rows. */
static bool load_shard(const omni_engine_options *o, pe_weight *mine, const shard *s, omni_dtype dtype) {
    bool flip = s->m->in_out;
    omni_range rows = flip ? s->in : (omni_range){s->m->out_offset + s->out.start, s->out.count};
    omni_range cols = flip ? (omni_range){s->m->out_offset + s->out.start, s->out.count} : s->in;
    size_t stored_cols = flip ? s->m->stored_out : s->m->in, bytes;
    if (rows.count == 0 || cols.count == 0) return true;
    if (!omni_size_mul(BLOCK_ROWS * omni_dtype_bytes(dtype), cols.count, &bytes)) return false;
    void *block = malloc(bytes);
    if (!block) return false;
    for (size_t r = 0; r < rows.count && omni_stop_get(o->stop) == OMNI_OK; r += BLOCK_ROWS) {
        size_t n = rows.count - r < BLOCK_ROWS ? rows.count - r : BLOCK_ROWS;
        read_block(o->weights, s->t, dtype, rows.start + r, n, cols.start, cols.count, stored_cols, block);
        if (flip)
            omni_packed_put(mine->matrix, s->packed_out, cols.count, r, n, block, 1, cols.count);
        else
            omni_packed_put(mine->matrix, s->packed_out + r, n, 0, cols.count, block, cols.count, 1);
    }
    free(block);
    return true;
}

omni_dtype pe_bind_matrices(const omni_engine_options *o, const omni_weight *w,
                            const omni_tensor *t[OMNI_MAX_PARTS]) {
    omni_dtype dtype = OMNI_BF16;
    for (size_t j = 0; j < w->op->matrices; j++) {
        const omni_matrix *m = &w->op->matrix[j];
        size_t rows = m->in_out ? m->in : m->stored_out, cols = m->in_out ? m->stored_out : m->in;
        t[j] = omni_bind(o->weights, &m->weight, w->layer, rows, cols, NULL);
        if (!t[j] || t[j]->dtype != OMNI_BF16) dtype = OMNI_F32;
    }
    return dtype;
}

static omni_status load_projection(const omni_engine_options *o, const pe *x, const omni_weight *w,
                                   pe_weight *mine, omni_error *err) {
    const omni_tensor *t[OMNI_MAX_PARTS];
    size_t p = o->plan->mesh.size[OMNI_AXIS_INNER], at = 0;
    omni_dtype dtype = pe_bind_matrices(o, w, t);
    for (size_t j = 0; j < w->op->matrices; j++) {
        const omni_matrix *m = &w->op->matrix[j];
        omni_range out = w->split_out ? omni_value_owned(&w->out, j, p, x->index) : (omni_range){0, m->out};
        shard s = {.m = m, .t = t[j], .out = out, .in = mine->in, .packed_out = at};
        if (mine->matrix && !load_shard(o, mine, &s, dtype))
            return omni_error_set(err, OMNI_RUN_FAILED, "PE %zu: no memory to read a block of '%s'", x->rank,
                                  t[j]->name);
        if (mine->bias && out.count) {
            const omni_tensor *b = omni_bind(o->weights, &m->bias, w->layer, m->stored_out, 0, NULL);
            omni_weights_read_f32(o->weights, b, m->out_offset + out.start, out.count, mine->bias + at);
        }
        at += out.count;
    }
    return OMNI_OK;
}

static void load_norm(const omni_engine_options *o, const pe *x, const omni_weight *w, pe_weight *mine) {
    size_t p = o->plan->mesh.size[OMNI_AXIS_INNER], hidden = o->model->shape.hidden;
    omni_range mine_cols =
        w->out.compact ? omni_value_owned(&w->out, 0, p, x->index) : (omni_range){0, hidden};
    if (mine_cols.count == 0) return;
    const omni_tensor *t = omni_bind(o->weights, &w->op->norm_weight, w->layer, hidden, 0, NULL);
    omni_weights_read_f32(o->weights, t, mine_cols.start, mine_cols.count, mine->norm_weight);
    if (!mine->norm_bias) return;
    t = omni_bind(o->weights, &w->op->norm_bias, w->layer, hidden, 0, NULL);
    omni_weights_read_f32(o->weights, t, mine_cols.start, mine_cols.count, mine->norm_bias);
}

omni_status pe_load(const omni_engine_options *o, pe *x, omni_error *err) {
    omni_status st = OMNI_OK;
    for (size_t i = 0; !x->idle && i < o->plan->weight_count && st == OMNI_OK; i++) {
        const omni_weight *w = &o->plan->weight[i];
        if (w->op->kind == OMNI_OP_NORM)
            load_norm(o, x, w, &x->weight[i]);
        else
            st = load_projection(o, x, w, &x->weight[i], err);
    }
    return st;
}
