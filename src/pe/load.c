/* load.c: the PEs of a worker read their shards, and nothing else, from the checkpoint into their arenas: weight by
 * weight, and block of rows by block of rows. BF16 stays 2 bytes. F16 becomes F32: no kernel widens it, and BF16 could
 * not hold its fractions. Where a fused projection mixes types, F32 is used for all of it.
 *
 *      stored rows      PE 0 | PE 1 | PE 2      cut along stored columns: a block is read once, for all of them
 *      stored rows      PE 0                    cut along stored rows: each PE reads its own
 *                       PE 1
 *
 * So a file is read front to back, whatever the number of PEs. While a block is packed, the next ones are already on
 * their way from the disk.
 *
 * Queries and keys of sub-heads are packed in pair order, row by row: stored 0 1 2 3 | 4 5 6 7 of a head of 8
 * become 0 4 1 5 2 6 3 7, so that a slice of a few pairs is contiguous in what the matrix yields.
 */
#include <stdlib.h>

#include "pe/pe.h"

enum { BLOCK_ROWS = 64, BLOCKS_AHEAD = 8 };

/* Part of a stored matrix; it goes to consecutive outputs, or inputs, of one PE's handle. */
typedef struct shard {
    pe_weight *to;
    omni_range rows, cols; /* as stored */
    size_t packed_out;     /* first output in the handle */
} shard;

/* Shards of the same stored rows, whose columns follow each other or overlap. */
typedef struct loader {
    const omni_engine_options *o;
    pe *x; /* [count] of one worker */
    size_t count;
    const omni_matrix *m;
    const omni_tensor *t;
    omni_dtype dtype;
    omni_range rows, cols; /* of all shards together */
    shard *shard;          /* [count] */
    size_t shards;
} loader;

/* --- one group of shards ---------------------------------------------------------------------- */

/* Rows of the columns of all shards. */
static bool read_block(const loader *l, omni_range rows, void *dst) {
    const size_t width = l->m->in_out ? l->m->stored_out : l->m->in, count = l->cols.count;
    size_t times = count == width ? 1 : rows.count, each = count == width ? rows.count * width : count;
    bool ok = true;
    for (size_t r = 0; ok && r < times; r++) {
        size_t first = (rows.start + r) * width + l->cols.start;
        char *to = (char *)dst + r * each * omni_dtype_bytes(l->dtype);
        ok = l->t->dtype == l->dtype
                 ? omni_weights_read(l->o->weights, l->t, first, each, to)
                 : omni_weights_read_f32(l->o->weights, l->t, first, each, (float *)(void *)to);
    }
    return ok;
}

static void ask_ahead(const loader *l, size_t row) {
    const size_t width = l->m->in_out ? l->m->stored_out : l->m->in;
    if (row >= l->rows.count) return;
    size_t rows = l->rows.count - row < BLOCK_ROWS ? l->rows.count - row : BLOCK_ROWS;
    omni_weights_ahead(l->o->weights, l->t, (l->rows.start + row) * width, rows * width);
}

static void put_whole(const pe_weight *mine, size_t out0, size_t nout, size_t in0, size_t nin,
                      const void *src, size_t src_out, size_t src_in) {
    omni_packed_put(mine->matrix, out0, nout, in0, nin, src, src_out, src_in);
}

/* Rows [row, row + rows) of the shard: stored [out, in] they are outputs, stored [in, out] inputs. */
static void put_block(const loader *l, const shard *s, size_t row, size_t rows, const void *block) {
    void (*put)(const pe_weight *, size_t, size_t, size_t, size_t, const void *, size_t, size_t) =
        s->to->piece ? stream_put : put_whole;
    const void *from = (const char *)block + (s->cols.start - l->cols.start) * omni_dtype_bytes(l->dtype);
    if (l->m->in_out)
        put(s->to, s->packed_out, s->cols.count, row, rows, from, 1, l->cols.count);
    else
        put(s->to, s->packed_out + row, rows, 0, s->cols.count, from, l->cols.count, 1);
}

static omni_status load_blocks(const loader *l, void *block, omni_error *err) {
    for (size_t i = 0; i < BLOCKS_AHEAD; i++) ask_ahead(l, i * BLOCK_ROWS);
    for (size_t r = 0; r < l->rows.count && omni_stop_get(l->o->stop) == OMNI_OK; r += BLOCK_ROWS) {
        omni_range rows = {l->rows.start + r,
                           l->rows.count - r < BLOCK_ROWS ? l->rows.count - r : BLOCK_ROWS};
        ask_ahead(l, r + BLOCKS_AHEAD * BLOCK_ROWS);
        if (!read_block(l, rows, block)) return omni_weights_read_failed(l->o->weights, l->t, err);
        for (size_t i = 0; i < l->shards; i++) {
            put_block(l, &l->shard[i], r, rows.count, block);
            omni_meter_add(l->o->loading, rows.count * l->shard[i].cols.count * omni_dtype_bytes(l->dtype));
        }
    }
    return OMNI_OK;
}

/* Reads what has been gathered. */
static omni_status load_group(loader *l, omni_error *err) {
    if (l->shards == 0) return OMNI_OK;
    size_t rows = l->rows.count < BLOCK_ROWS ? l->rows.count : BLOCK_ROWS, bytes;
    void *block =
        omni_size_mul(rows * omni_dtype_bytes(l->dtype), l->cols.count, &bytes) ? malloc(bytes) : NULL;
    if (!block) return omni_error_set(err, OMNI_RUN_FAILED, "no memory to read a block of '%s'", l->t->name);
    omni_status st = load_blocks(l, block, err);
    free(block);
    l->shards = 0;
    return st;
}

static bool joins(const loader *l, const shard *s) {
    size_t end = l->cols.start + l->cols.count;
    return l->shards > 0 && l->shards < l->count && s->rows.start == l->rows.start &&
           s->rows.count == l->rows.count && s->cols.start >= l->cols.start && s->cols.start <= end;
}

/* Adds a shard, after reading those that it doesn't go with. */
static omni_status load_shard(loader *l, shard s, omni_error *err) {
    if (s.rows.count == 0 || s.cols.count == 0) return OMNI_OK;
    if (!joins(l, &s)) {
        omni_status st = load_group(l, err);
        if (st != OMNI_OK) return st;
        l->rows = s.rows;
        l->cols = s.cols;
    }
    size_t end = s.cols.start + s.cols.count - l->cols.start;
    if (end > l->cols.count) l->cols.count = end;
    l->shard[l->shards++] = s;
    return OMNI_OK;
}

/* --- vectors ---------------------------------------------------------------------------------- */

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

/* Outputs `all` of the matrix, of the inputs that the PE has, into its handle from packed_out on. */
static omni_status load_outputs(loader *l, pe_weight *mine, omni_range all, size_t packed_out, size_t paired,
                                omni_error *err) {
    omni_status st = OMNI_OK;
    for (size_t done = 0, n; done < all.count && st == OMNI_OK; done += n) {
        omni_range out = stored_outputs(paired, all.start + done, all.count - done);
        n = out.count;
        out.start += l->m->out_offset;
        shard s = {mine, l->m->in_out ? mine->in : out, l->m->in_out ? out : mine->in, packed_out + done};
        st = load_shard(l, s, err);
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

static bool concerns(const pe *x, const omni_weight *w) {
    return !x->seat.idle && w->stage == x->seat.stage;
}

/* Outputs of the matrices before j that a PE keeps. */
static size_t kept_before(const omni_engine_options *o, const pe *x, const omni_weight *w, size_t j) {
    size_t sum = 0;
    for (size_t i = 0; i < j; i++) sum += outputs_kept(o, x, w, i).count;
    return sum;
}

/* Matrix j of a projection, for all PEs. */
static omni_status load_matrix(loader *l, size_t weight, size_t j, omni_error *err) {
    const omni_weight *w = &l->o->plan->weight[weight];
    omni_status st = OMNI_OK;
    for (size_t i = 0; i < l->count && st == OMNI_OK; i++) {
        pe *x = &l->x[i];
        if (!concerns(x, w) || !x->weight[weight].matrix) continue;
        st = load_outputs(l, &x->weight[weight], outputs_kept(l->o, x, w, j), kept_before(l->o, x, w, j),
                          w->out.part[j].paired, err);
    }
    return st == OMNI_OK ? load_group(l, err) : st;
}

/* What load_matrix will put of a projection's matrices, for the meter. */
static uint64_t bytes_of(const omni_engine_options *o, const pe *x, size_t count, size_t weight) {
    const omni_weight *w = &o->plan->weight[weight];
    const omni_tensor *t[OMNI_MAX_PARTS];
    uint64_t sum = 0;
    size_t each = omni_dtype_bytes(pe_bind_matrices(o, w, t));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < w->op->matrices && concerns(&x[i], w); j++)
            sum += (uint64_t)outputs_kept(o, &x[i], w, j).count * x[i].weight[weight].in.count * each;
    return sum;
}

void pe_load_expect(const omni_engine_options *o, const pe *x, size_t count) {
    for (size_t i = 0; o->loading && i < o->plan->weight_count; i++)
        if (o->plan->weight[i].op->kind != OMNI_OP_NORM)
            omni_meter_expect(o->loading, bytes_of(o, x, count, i));
}

/* Biases of all matrices of a projection. */
static omni_status load_added(const omni_engine_options *o, const pe *x, const omni_weight *w,
                              const pe_weight *mine, omni_error *err) {
    size_t at = 0;
    omni_status st = OMNI_OK;
    for (size_t j = 0; mine->bias && j < w->op->matrices && st == OMNI_OK; j++) {
        const omni_matrix *m = &w->op->matrix[j];
        omni_range added = w->panel ? (omni_range){0, m->out} : outputs_kept(o, x, w, j);
        st = load_biases(o, m, w->layer, added, w->out.part[j].paired, mine->bias + at, err);
        at += added.count;
    }
    return st;
}

static omni_status load_projection(loader *l, size_t weight, omni_error *err) {
    const omni_weight *w = &l->o->plan->weight[weight];
    const omni_tensor *t[OMNI_MAX_PARTS];
    omni_status st = OMNI_OK;
    l->dtype = pe_bind_matrices(l->o, w, t);
    for (size_t j = 0; j < w->op->matrices && st == OMNI_OK; j++) {
        l->m = &w->op->matrix[j];
        l->t = t[j];
        st = load_matrix(l, weight, j, err);
    }
    for (size_t i = 0; i < l->count && st == OMNI_OK; i++)
        if (concerns(&l->x[i], w)) st = load_added(l->o, &l->x[i], w, &l->x[i].weight[weight], err);
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

static omni_status load_norms(const loader *l, size_t weight, omni_error *err) {
    const omni_weight *w = &l->o->plan->weight[weight];
    omni_status st = OMNI_OK;
    for (size_t i = 0; i < l->count && st == OMNI_OK; i++)
        if (concerns(&l->x[i], w)) st = load_norm(l->o, &l->x[i], w, &l->x[i].weight[weight], err);
    return st;
}

omni_status pe_load(const omni_engine_options *o, pe *x, size_t count, omni_error *err) {
    loader l = {.o = o, .x = x, .count = count, .shard = omni_alloc_array(count, sizeof *l.shard)};
    if (!l.shard) return omni_error_set(err, OMNI_RUN_FAILED, "no memory to read the weights");
    omni_status st = OMNI_OK;
    for (size_t i = 0; i < o->plan->weight_count && st == OMNI_OK; i++)
        st = o->plan->weight[i].op->kind == OMNI_OP_NORM ? load_norms(&l, i, err)
                                                         : load_projection(&l, i, err);
    omni_free(l.shard);
    return st;
}
