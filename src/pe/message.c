/* message.c: the message steps of a pass: a worker acts once, for all of its PEs that take part. Values
 * become views of bytes here; the fabric knows nothing else.
 */
#include <string.h>

#include "pe/pe.h"

/* The worker's ranks that take part in a message. */
static omni_range own_ranks(const worker *w, const omni_step *s) {
    size_t lo = w->ranks.start > s->rank_first ? w->ranks.start : s->rank_first;
    size_t hi_w = w->ranks.start + w->ranks.count, hi_s = s->rank_first + s->rank_count;
    size_t hi = hi_w < hi_s ? hi_w : hi_s;
    return (omni_range){lo, hi > lo ? hi - lo : 0};
}

static bool carries(omni_range own, size_t rank) {
    return rank >= own.start && rank < own.start + own.count;
}

static size_t rows_at(const omni_engine *e, const omni_value *v, size_t index) {
    return omni_rows_count(v->rows, e->pass.extent, e->p, index);
}

/* The moving parts of a full-width value: the columns that `cut` gives to index i, or all (cut NULL). */
static omni_view view_columns(const omni_engine *e, const pe *x, int value, unsigned parts,
                              const omni_value *cut, size_t i) {
    const omni_value *v = engine_value(e, value);
    omni_view view = {.base = x->storage[v->storage],
                      .rows = rows_at(e, v, x->index),
                      .stride = omni_value_width(v, e->p, x->index) * sizeof(float)};
    size_t offset = 0;
    for (size_t j = 0; j < v->parts; offset += pe_stored(x, v, j, e->p).count, j++) {
        omni_range cols = cut ? omni_value_owned(cut, j, e->p, i) : pe_stored(x, v, j, e->p);
        if (!(parts >> j & 1) || cols.count == 0) continue;
        size_t start = cols.start - pe_stored(x, v, j, e->p).start;
        view.span[view.spans].offset = (offset + start) * sizeof(float);
        view.span[view.spans++].bytes = cols.count * sizeof(float);
    }
    return view;
}

/* A value as a PE stores it. */
static omni_view view_stored(const omni_engine *e, const pe *x, int value, unsigned parts) {
    return view_columns(e, x, value, parts, NULL, 0);
}

static bool send_broadcast(worker *w, const omni_step *s, omni_range own) {
    const omni_engine *e = w->engine;
    omni_view src = {0};
    for (size_t k = 0; k < own.count; k++)
        w->views[k] = view_stored(e, &e->pe[own.start + k], s->in[0], s->parts);
    if (carries(own, s->root))
        src = w->views[s->root - own.start];
    else
        src = w->views[0]; /* its size only */
    return omni_fabric_broadcast(e->fabric, w->index, s->segment, s->root - s->rank_first, &src, w->views);
}

static bool send_reduce(worker *w, const omni_step *s, omni_range own) {
    static omni_combine_fn *const combine[] = {
        [OMNI_COMBINE_SUM] = omni_combine_sum,
        [OMNI_COMBINE_MOMENTS] = omni_combine_moments,
        [OMNI_COMBINE_LSE] = omni_combine_lse,
        [OMNI_COMBINE_ARGMAX] = omni_combine_argmax,
    };
    const omni_engine *e = w->engine;
    const omni_value *v = engine_value(e, s->in[0]);
    omni_lse_shape lse = {e->o.model->shape.heads, e->o.model->shape.head_dim};
    for (size_t k = 0; k < own.count; k++) w->buffers[k] = e->pe[own.start + k].storage[v->storage];
    size_t bytes = rows_at(e, v, 0) * omni_value_width(v, e->p, 0) * sizeof(float);
    return omni_fabric_reduce(e->fabric, w->index, s->segment, w->buffers, bytes, combine[v->combine], &lse);
}

/* A PE's compact slices into their columns of its full-width buffer. */
static void place_slices(const omni_engine *e, const pe *x, const omni_step *s) {
    const omni_value *from = engine_value(e, s->in[0]), *to = engine_value(e, s->out);
    for (size_t j = 0; j < from->parts; j++) {
        omni_range cols = omni_value_owned(from, j, e->p, x->index);
        if (!(s->parts >> j & 1) || cols.count == 0) continue;
        operand src = pe_operand(x, from, j, cols, e->p), dst = pe_operand(x, to, j, cols, e->p);
        omni_copy(dst.data, dst.ld, src.data, src.ld, rows_at(e, from, x->index), cols.count);
    }
}

static bool send_gather(worker *w, const omni_step *s, omni_range own) {
    const omni_engine *e = w->engine;
    const omni_value *from = engine_value(e, s->in[0]), *to = engine_value(e, s->out);
    omni_sliced sliced = {.rows = rows_at(e, to, 0), .stride = omni_value_width(to, e->p, 0) * sizeof(float)};
    size_t offset = 0;
    for (size_t j = 0; j < to->parts; offset += to->part[j++].width) {
        if (!(s->parts >> j & 1)) continue;
        sliced.part[sliced.parts].offset = offset * sizeof(float);
        sliced.part[sliced.parts].units = from->part[j].units;
        sliced.part[sliced.parts++].unit_bytes = from->part[j].unit * sizeof(float);
    }
    for (size_t k = 0; k < own.count; k++) {
        place_slices(e, &e->pe[own.start + k], s);
        w->buffers[k] = e->pe[own.start + k].storage[to->storage];
    }
    return omni_fabric_gather(e->fabric, w->index, s->segment, w->buffers, &sliced);
}

/* Each rank in turn broadcasts its slice; everybody, it too, puts it into its columns. */
static bool send_all_gather(worker *w, const omni_step *s, omni_range own) {
    const omni_engine *e = w->engine;
    const omni_value *from = engine_value(e, s->in[0]);
    for (size_t i = 0; i < s->rank_count; i++) {
        size_t writer = s->rank_first + i;
        for (size_t k = 0; k < own.count; k++)
            w->views[k] = view_columns(e, &e->pe[own.start + k], s->out, s->parts, from, i);
        if (omni_view_bytes(&w->views[0]) == 0) continue;
        omni_view src =
            carries(own, writer) ? view_stored(e, &e->pe[writer], s->in[0], s->parts) : w->views[0];
        if (!omni_fabric_broadcast(e->fabric, w->index, s->segment, i, &src, w->views)) return false;
    }
    return true;
}

/* The tokens of a full-width value that index i keeps, packed one after the other into the root's own share
 * buffer, which is as large as any rank's. */
static omni_view pack_tokens(const omni_engine *e, const pe *root, const omni_step *s, size_t i) {
    const omni_value *from = engine_value(e, s->in[0]), *to = engine_value(e, s->out);
    size_t row = 0;
    for (size_t q = 0; q < e->o.sequences; q++) {
        size_t first = e->pass.first[q];
        size_t slot = omni_kv_tokens(OMNI_KV_TOKENS, e->p, i, q, first);
        size_t end = omni_kv_tokens(OMNI_KV_TOKENS, e->p, i, q, first + e->pass.counts[q]);
        for (; slot < end; slot++, row++) {
            size_t position =
                omni_kv_first(OMNI_KV_TOKENS, e->p, i, q) + slot * omni_kv_stride(OMNI_KV_TOKENS, e->p);
            for (size_t j = 0; j < to->parts; j++) {
                operand src = pe_operand(root, from, j, (omni_range){0, from->part[j].width}, e->p);
                operand dst = pe_operand(root, to, j, (omni_range){0, to->part[j].width}, e->p);
                memcpy(dst.data + row * dst.ld, src.data + (e->pass.row[q] + position - first) * src.ld,
                       to->part[j].width * sizeof(float));
            }
        }
    }
    omni_view v = view_stored(e, root, s->out, s->parts);
    v.rows = row;
    return v;
}

static void keep_own_slice(const omni_engine *e, const pe *root, const omni_step *s) {
    const omni_value *from = engine_value(e, s->in[0]), *to = engine_value(e, s->out);
    if (to->rows == OMNI_ROWS_TOKEN_SHARE) {
        pack_tokens(e, root, s, root->index);
        return;
    }
    for (size_t j = 0; j < to->parts; j++) {
        omni_range cols = omni_value_owned(to, j, e->p, root->index);
        if (!(s->parts >> j & 1) || cols.count == 0) continue;
        operand src = pe_operand(root, from, j, cols, e->p), dst = pe_operand(root, to, j, cols, e->p);
        omni_copy(dst.data, dst.ld, src.data, src.ld, rows_at(e, from, root->index), cols.count);
    }
}

/* Bytes of index i's slice, known to everybody. */
static size_t slice_bytes(const omni_engine *e, const omni_step *s, const omni_value *cut, size_t i) {
    size_t floats = 0;
    for (size_t j = 0; j < cut->parts; j++)
        if (s->parts >> j & 1)
            floats += cut->compact ? omni_value_owned(cut, j, e->p, i).count : cut->part[j].width;
    return floats * rows_at(e, cut, i) * sizeof(float);
}

static bool send_scatter(worker *w, const omni_step *s, omni_range own) {
    const omni_engine *e = w->engine;
    const omni_value *to = engine_value(e, s->out);
    for (size_t i = 1; i < s->rank_count; i++) {
        size_t rank = s->rank_first + i;
        omni_view src = {0}, dst = {0};
        if (carries(own, s->root))
            src = to->rows == OMNI_ROWS_TOKEN_SHARE
                      ? pack_tokens(e, &e->pe[s->root], s, i)
                      : view_columns(e, &e->pe[s->root], s->in[0], s->parts, to, i);
        if (carries(own, rank)) dst = view_stored(e, &e->pe[rank], s->out, s->parts);
        if (!omni_fabric_send(e->fabric, w->index, s->segment, s->root - s->rank_first, i,
                              OMNI_ADDRESSED_SCATTER, &src, &dst, slice_bytes(e, s, to, i)))
            return false;
    }
    if (carries(own, s->root)) keep_own_slice(e, &e->pe[s->root], s);
    return true;
}

static bool send_collect(worker *w, const omni_step *s, omni_range own) {
    const omni_engine *e = w->engine;
    const omni_value *from = engine_value(e, s->in[0]);
    for (size_t i = 1; i < s->rank_count; i++) {
        size_t rank = s->rank_first + i;
        omni_view src = {0}, dst = {0};
        if (carries(own, rank)) src = view_stored(e, &e->pe[rank], s->in[0], s->parts);
        if (carries(own, s->root)) dst = view_columns(e, &e->pe[s->root], s->out, s->parts, from, i);
        if (!omni_fabric_send(e->fabric, w->index, s->segment, i, s->root - s->rank_first,
                              OMNI_ADDRESSED_GATHER, &src, &dst, slice_bytes(e, s, from, i)))
            return false;
    }
    if (carries(own, s->root)) place_slices(e, &e->pe[s->root], s);
    return true;
}

static bool receive_rows(worker *w, const omni_step *s, omni_range own) {
    const omni_engine *e = w->engine;
    for (size_t k = 0; k < own.count; k++)
        w->views[k] = view_stored(e, &e->pe[own.start + k], s->out, s->parts);
    return omni_fabric_host_receive(e->fabric, w->index, s->segment, w->views, omni_view_bytes(&w->views[0]));
}

/* Logits that hold nothing but NaN have no arg-max: token 0 then, so that the run goes on and `check` can say
 * so. */
static bool return_tokens(worker *w, const omni_step *s) {
    const omni_engine *e = w->engine;
    const omni_value *v = engine_value(e, s->in[0]);
    const float *best = e->pe[s->root].storage[v->storage];
    size_t vocab = e->o.model->shape.vocab, rows = rows_at(e, v, 0);
    for (size_t i = 0; i < rows; i++) {
        omni_best b;
        memcpy(&b, best + i * omni_value_width(v, e->p, 0), sizeof b);
        w->tokens[i] = b.index < vocab ? (int32_t)b.index : 0;
    }
    return omni_fabric_host_return(e->fabric, w->index, s->segment, w->tokens, rows * sizeof *w->tokens);
}

static bool send_result(worker *w, const omni_step *s, omni_range own) {
    const omni_engine *e = w->engine;
    if (!carries(own, s->root)) return true;
    if (s->op->kind == OMNI_OP_ARGMAX) return return_tokens(w, s);
    const omni_value *v = engine_value(e, s->in[0]);
    return omni_fabric_host_return(e->fabric, w->index, s->segment, e->pe[s->root].storage[v->storage],
                                   rows_at(e, v, 0) * omni_value_width(v, e->p, 0) * sizeof(float));
}

static bool (*const send[OMNI_STEP_KINDS])(worker *, const omni_step *, omni_range) = {
    [OMNI_STEP_HOST_IN] = receive_rows,     [OMNI_STEP_HOST_OUT] = send_result,
    [OMNI_STEP_BROADCAST] = send_broadcast, [OMNI_STEP_REDUCE] = send_reduce,
    [OMNI_STEP_GATHER] = send_gather,       [OMNI_STEP_ALL_GATHER] = send_all_gather,
    [OMNI_STEP_SCATTER] = send_scatter,     [OMNI_STEP_COLLECT] = send_collect,
};

bool exec_message(worker *w, const omni_step *s) {
    const omni_engine *e = w->engine;
    omni_range own = own_ranks(w, s);
    bool empty = s->in[0] != OMNI_NO_VALUE && rows_at(e, engine_value(e, s->in[0]), 0) == 0; /* no marks */
    return own.count == 0 || empty || send[s->kind](w, s, own);
}
