/* load.c: each PE reads its own shards, and nothing else, from the checkpoint into its arena, block of rows by
 * block of rows. BF16 stays 2 bytes. F16 becomes F32: no kernel widens it, and BF16 could not hold its fractions.
 * Where a fused projection mixes types, F32 is used for all of it.
 *
 * Queries and keys of sub-heads are packed in pair order, row by row: stored 0 1 2 3 | 4 5 6 7 of a head of 8
 * become 0 4 1 5 2 6 3 7, so that a slice of a few pairs is contiguous in what the matrix yields.
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

/* `rows` stored rows of `count` elements, from (row, col) of tensor t that is `cols` wide; whole rows at once. */
static bool read_block(const omni_weights *w, const omni_tensor *t, omni_dtype dtype, omni_range rows,
                       size_t col, size_t count, size_t cols, void *dst) {
    size_t times = count == cols ? 1 : rows.count, each = count == cols ? rows.count * cols : count;
    bool ok = true;
    for (size_t r = 0; ok && r < times; r++) {
        size_t first = (rows.start + r) * cols + col;
        char *to = (char *)dst + r * each * omni_dtype_bytes(dtype);
        ok = t->dtype == dtype ? omni_weights_read(w, t, first, each, to)
                               : omni_weights_read_f32(w, t, first, each, (float *)(void *)to);
    }
    return ok;
}

static void put_whole(const pe_weight *mine, size_t out0, size_t nout, size_t in0, size_t nin,
                      const void *src, size_t src_out, size_t src_in) {
    omni_packed_put(mine->matrix, out0, nout, in0, nin, src, src_out, src_in);
}

static void put_block(pe_weight *mine, const shard *s, size_t row, size_t rows, size_t cols,
                      const void *block) {
    void (*put)(const pe_weight *, size_t, size_t, size_t, size_t, const void *, size_t, size_t) =
        mine->piece ? stream_put : put_whole;
    if (s->m->in_out)
        put(mine, s->packed_out, cols, row, rows, block, 1, cols);
    else
        put(mine, s->packed_out + row, rows, 0, cols, block, cols, 1);
}

/* Stored [out, in]: blocks of output rows. Stored [in, out]: blocks of input rows. */
static omni_status load_shard(const omni_engine_options *o, pe_weight *mine, const shard *s, omni_dtype dtype,
                              omni_error *err) {
    omni_range out = {s->m->out_offset + s->out.start, s->out.count};
    omni_range rows = s->m->in_out ? s->in : out, cols = s->m->in_out ? out : s->in;
    size_t stored_cols = s->m->in_out ? s->m->stored_out : s->m->in, bytes;
    if (rows.count == 0 || cols.count == 0) return OMNI_OK;
    size_t block_most = rows.count < BLOCK_ROWS ? rows.count : BLOCK_ROWS;
    void *block =
        omni_size_mul(block_most * omni_dtype_bytes(dtype), cols.count, &bytes) ? malloc(bytes) : NULL;
    if (!block) return omni_error_set(err, OMNI_RUN_FAILED, "no memory to read a block of '%s'", s->t->name);
    omni_status st = OMNI_OK;
    for (size_t r = 0; r < rows.count && st == OMNI_OK && omni_stop_get(o->stop) == OMNI_OK;
         r += BLOCK_ROWS) {
        omni_range block_rows = {rows.start + r, rows.count - r < BLOCK_ROWS ? rows.count - r : BLOCK_ROWS};
        if (read_block(o->weights, s->t, dtype, block_rows, cols.start, cols.count, stored_cols, block))
            put_block(mine, s, r, block_rows.count, cols.count, block);
        else
            st = omni_weights_read_failed(o->weights, s->t, err);
    }
    free(block);
    return st;
}

omni_status pe_load_vector(const omni_engine_options *o, const omni_tensor_name *name, size_t layer,
                           size_t stored, omni_range part, float *to, omni_error *err) {
    const omni_tensor *t = omni_bind(o->weights, name, layer, stored, 0, err);
    if (!t) return OMNI_BAD_INPUT;
    if (omni_weights_read_f32(o->weights, t, part.start, part.count, to)) return OMNI_OK;
    return omni_weights_read_failed(o->weights, t, err);
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
    return w->panel ? w->dtype : dtype;
}

/* Outputs of matrix j that a PE keeps. */
static omni_range outputs_kept(const omni_engine_options *o, const pe *x, const omni_weight *w, size_t j) {
    if (w->panel) return stream_matrix_outputs(o->plan, w, x->rank, j);
    if (w->split_out) return omni_value_owned(&w->out, j, x->seat.p, x->seat.index);
    return (omni_range){0, w->op->matrix[j].out};
}

/* The longest stretch of stored outputs that yields features from `first` on, `count` at most: of heads of
 * `paired` features in pair order one, else all. */
static omni_range stored_outputs(size_t paired, size_t first, size_t count) {
    if (!paired) return (omni_range){first, count};
    size_t in_head = first % paired, head = first - in_head;
    return (omni_range){head + in_head / 2 + in_head % 2 * (paired / 2), 1};
}

/* Outputs of one matrix into the handle from `s->packed_out` on. */
static omni_status load_outputs(const omni_engine_options *o, pe_weight *mine, shard s, omni_dtype dtype,
                                size_t paired, omni_error *err) {
    const omni_range all = s.out;
    omni_status st = OMNI_OK;
    for (size_t done = 0; done < all.count && st == OMNI_OK; done += s.out.count) {
        s.out = stored_outputs(paired, all.start + done, all.count - done);
        st = load_shard(o, mine, &s, dtype, err);
        s.packed_out += s.out.count;
    }
    return st;
}

/* And the biases of outputs `all`, in the same order. */
static omni_status load_biases(const omni_engine_options *o, const omni_matrix *m, size_t layer,
                               omni_range all, size_t paired, float *to, omni_error *err) {
    omni_status st = OMNI_OK;
    for (size_t done = 0, n; done < all.count && st == OMNI_OK; done += n) {
        omni_range part = stored_outputs(paired, all.start + done, all.count - done);
        n = part.count;
        part.start += m->out_offset;
        st = pe_load_vector(o, &m->bias, layer, m->stored_out, part, to + done, err);
    }
    return st;
}

static omni_status load_projection(const omni_engine_options *o, const pe *x, const omni_weight *w,
                                   pe_weight *mine, omni_error *err) {
    const omni_tensor *t[OMNI_MAX_PARTS];
    size_t at = 0, bias_at = 0;
    omni_dtype dtype = pe_bind_matrices(o, w, t);
    omni_status st = OMNI_OK;
    for (size_t j = 0; j < w->op->matrices && st == OMNI_OK; j++) {
        const omni_matrix *m = &w->op->matrix[j];
        omni_range out = outputs_kept(o, x, w, j), added = w->panel ? (omni_range){0, m->out} : out;
        shard s = {.m = m, .t = t[j], .out = out, .in = mine->in, .packed_out = at};
        size_t paired = w->out.part[j].paired;
        if (mine->matrix) st = load_outputs(o, mine, s, dtype, paired, err);
        if (mine->bias && st == OMNI_OK)
            st = load_biases(o, m, w->layer, added, paired, mine->bias + bias_at, err);
        at += out.count;
        bias_at += added.count;
    }
    return st;
}

static omni_status load_norm(const omni_engine_options *o, const pe *x, const omni_weight *w, pe_weight *mine,
                             omni_error *err) {
    size_t hidden = o->model->shape.hidden;
    omni_range cols =
        w->out.compact ? omni_value_owned(&w->out, 0, x->seat.p, x->seat.index) : (omni_range){0, hidden};
    if (cols.count == 0) return OMNI_OK;
    omni_status st = pe_load_vector(o, &w->op->norm_weight, w->layer, hidden, cols, mine->norm_weight, err);
    if (!mine->norm_bias || st != OMNI_OK) return st;
    return pe_load_vector(o, &w->op->norm_bias, w->layer, hidden, cols, mine->norm_bias, err);
}

omni_status pe_load(const omni_engine_options *o, pe *x, omni_error *err) {
    omni_status st = OMNI_OK;
    for (size_t i = 0; !x->seat.idle && i < o->plan->weight_count && st == OMNI_OK; i++) {
        const omni_weight *w = &o->plan->weight[i];
        if (w->stage != x->seat.stage) continue;
        if (w->op->kind == OMNI_OP_NORM)
            st = load_norm(o, x, w, &x->weight[i], err);
        else
            st = load_projection(o, x, w, &x->weight[i], err);
    }
    return st;
}
