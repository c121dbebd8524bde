/* message.c: the message steps of a pass: a worker acts once, for all of its PEs that take part. Values
 * become views of bytes here; the fabric knows nothing else.
 *
 * What a message narrows is rounded wherever its result lies, also where a rank's own share of it did not
 * travel: so the result is one tensor, whoever looks at it.
 */
#include <string.h>

#include "pe/pe.h"

/* A message as one worker meets it: the piece of the bus, and those of its ranks that stand there. */
typedef struct move {
    worker *w;
    const omni_engine *e;
    const omni_step *s;
    const omni_part *part;
    omni_range own;  /* ranks */
    size_t first, p; /* the piece: ranks [first, first + p) */
    size_t piece;    /* its number */
} move;

/* The rank that writes, or that ends up with it. */
static size_t root_of(const move *m) {
    return m->first + m->s->root;
}

/* The rows that move. */
static omni_range strip_at(const move *m, const omni_value *v, size_t index) {
    return omni_step_rows(m->s, v->rows, m->part->extent, m->p, index);
}

static size_t rows_at(const move *m, const omni_value *v, size_t index) {
    return strip_at(m, v, index).count;
}

/* A PE's buffer of a value, from the first of them on. */
static float *buffer_at(const move *m, const pe *x, const omni_value *v) {
    float *base = x->storage[v->storage];
    size_t row = strip_at(m, v, x->seat.index).start;
    return base ? base + row * omni_value_width(v, x->seat.p, x->seat.index) : NULL;
}

/* What part j travels as. */
static omni_dtype wire_of(const move *m, const omni_value *v, size_t j) {
    return omni_part_wire(m->e->o.plan, m->s, v, j, m->p);
}

/* The moving parts of a full-width value: the columns that `cut` gives to index i, or all (cut NULL). */
static omni_view view_columns(const move *m, const pe *x, int value, const omni_value *cut, size_t i) {
    const omni_value *v = engine_value(m->e, value);
    omni_view view = {.base = buffer_at(m, x, v),
                      .rows = rows_at(m, v, x->seat.index),
                      .stride = omni_value_width(v, x->seat.p, x->seat.index) * sizeof(float)};
    size_t offset = 0;
    for (size_t j = 0; j < v->parts; offset += pe_stored(x, v, j).count, j++) {
        omni_range cols = cut ? omni_value_owned(cut, j, m->p, i) : pe_stored(x, v, j);
        cols = omni_range_meet(cols, omni_step_features(m->s, m->part->extent, v->part[j].width));
        if (!(m->s->parts >> j & 1) || cols.count == 0) continue;
        size_t start = cols.start - pe_stored(x, v, j).start;
        view.span[view.spans].offset = (offset + start) * sizeof(float);
        view.span[view.spans].wire = wire_of(m, v, j);
        view.span[view.spans++].bytes = cols.count * sizeof(float);
    }
    return view;
}

/* A value as a PE stores it. */
static omni_view view_stored(const move *m, const pe *x, int value) {
    return view_columns(m, x, value, NULL, 0);
}

static pe *own_pe(const move *m, size_t k) {
    return &m->e->pe[m->own.start + k];
}

/* A message begins: `bytes` as they are counted, from rank to rank. */
static void begins(const move *m, size_t writer, size_t to, uint64_t bytes) {
    trace_message(m->w, m->s, writer, to, m->p > 1 ? bytes : 0, omni_range_has(m->own, writer));
}

static bool send_broadcast(const move *m) {
    worker *w = m->w;
    omni_view src;
    for (size_t k = 0; k < m->own.count; k++) w->views[k] = view_stored(m, own_pe(m, k), m->s->in[0]);
    if (omni_range_has(m->own, root_of(m)))
        src = w->views[root_of(m) - m->own.start];
    else
        src = w->views[0]; /* its size only */
    begins(m, root_of(m), OMNI_EVENT_ALL, omni_view_bytes(&src));
    return omni_fabric_broadcast(m->e->fabric, w->index, m->piece, m->s->root, &src, w->views);
}

static bool send_reduce(const move *m) {
    const omni_engine *e = m->e;
    const omni_value *v = engine_value(e, m->s->in[0]);
    omni_lse_shape lse = {e->o.model->shape.heads, e->o.model->shape.head_dim};
    for (size_t k = 0; k < m->own.count; k++) m->w->buffers[k] = buffer_at(m, own_pe(m, k), v);
    omni_view form = view_stored(m, own_pe(m, 0), m->s->in[0]);
    const omni_fabric_operator op[] = {
        [OMNI_COMBINE_SUM] = {omni_combine_sum, NULL, sizeof(float)},
        [OMNI_COMBINE_MOMENTS] = {omni_combine_moments, NULL, 3 * sizeof(float)},
        [OMNI_COMBINE_LSE] = {omni_combine_lse, &lse, lse.heads * (lse.head_dim + 2) * sizeof(float)},
        [OMNI_COMBINE_ARGMAX] = {omni_combine_argmax, NULL, sizeof(omni_best)},
    };
    begins(m, m->first, m->first, (m->p - 1) * omni_view_bytes(&form));
    return omni_fabric_reduce(e->fabric, m->w->index, m->piece, m->w->buffers, &form, &op[v->combine]);
}

/* The rows that move, of columns of both: PE x's from one value to another. */
static void copy_columns(const move *m, const pe *x, const omni_value *from, const omni_value *to, size_t j,
                         omni_range cols) {
    omni_range rows = strip_at(m, from, x->seat.index);
    operand src = pe_operand(x, from, j, cols), dst = pe_operand(x, to, j, cols);
    omni_copy(dst.data + rows.start * dst.ld, dst.ld, src.data + rows.start * src.ld, src.ld, rows.count,
              cols.count);
}

/* A PE's compact slices into their columns of its full-width buffer. */
static void place_slices(const move *m, const pe *x) {
    const omni_value *from = engine_value(m->e, m->s->in[0]), *to = engine_value(m->e, m->s->out);
    for (size_t j = 0; j < from->parts; j++) {
        omni_range cols = omni_value_owned(from, j, m->p, x->seat.index);
        if ((m->s->parts >> j & 1) && cols.count) copy_columns(m, x, from, to, j, cols);
    }
}

/* Of all pairs: a rank's slice travels as often as its number has bits. */
static uint64_t gathered_bytes(const move *m, const omni_sliced *sliced) {
    uint64_t sum = 0;
    for (size_t i = 1; i < m->p; i++) {
        omni_view slice = omni_sliced_view(sliced, NULL, m->p, i, i + 1);
        sum += (uint64_t)__builtin_popcountll(i) * omni_view_bytes(&slice);
    }
    return sum;
}

static bool send_gather(const move *m) {
    const omni_value *from = engine_value(m->e, m->s->in[0]), *to = engine_value(m->e, m->s->out);
    omni_sliced sliced = {.rows = rows_at(m, to, 0), .stride = omni_value_width(to, m->p, 0) * sizeof(float)};
    size_t offset = 0;
    for (size_t j = 0; j < to->parts; offset += to->part[j++].width) {
        if (!(m->s->parts >> j & 1)) continue;
        sliced.part[sliced.parts].offset = offset * sizeof(float);
        sliced.part[sliced.parts].wire = wire_of(m, to, j);
        sliced.part[sliced.parts].units = from->part[j].units;
        sliced.part[sliced.parts].runs = from->part[j].runs;
        sliced.part[sliced.parts++].unit_bytes = from->part[j].unit * sizeof(float);
    }
    for (size_t k = 0; k < m->own.count; k++) {
        place_slices(m, own_pe(m, k));
        m->w->buffers[k] = buffer_at(m, own_pe(m, k), to);
    }
    if (m->w->trace.recording) begins(m, m->first, m->first, gathered_bytes(m, &sliced));
    return omni_fabric_gather(m->e->fabric, m->w->index, m->piece, m->w->buffers, &sliced);
}

/* Each rank in turn broadcasts its slice; everybody, it too, puts it into its columns. */
static bool send_all_gather(const move *m) {
    const omni_value *from = engine_value(m->e, m->s->in[0]);
    omni_view *views = m->w->views;
    for (size_t i = 0; i < m->p; i++) {
        for (size_t k = 0; k < m->own.count; k++)
            views[k] = view_columns(m, own_pe(m, k), m->s->out, from, i);
        if (omni_view_bytes(&views[0]) == 0) continue;
        omni_view src = omni_range_has(m->own, m->first + i)
                            ? view_stored(m, &m->e->pe[m->first + i], m->s->in[0])
                            : views[0];
        begins(m, m->first + i, OMNI_EVENT_ALL, omni_view_bytes(&src));
        if (!omni_fabric_broadcast(m->e->fabric, m->w->index, m->piece, i, &src, views)) return false;
    }
    return true;
}

/* The tokens of a full-width value that index i keeps, packed one after the other into the root's own share
 * buffer, which is as large as any rank's. */
static omni_view pack_tokens(const move *m, const pe *root, size_t i) {
    const omni_value *from = engine_value(m->e, m->s->in[0]), *to = engine_value(m->e, m->s->out);
    const omni_extent *x = &m->part->extent;
    size_t row = 0;
    for (size_t n = 0; n < x->sequences; n++) {
        size_t q = x->sequence + n, first = omni_extent_first(x, n);
        size_t slot = omni_kv_tokens(OMNI_KV_TOKENS, m->p, i, q, first);
        size_t end = omni_kv_tokens(OMNI_KV_TOKENS, m->p, i, q, first + omni_extent_count(x, n));
        for (; slot < end; slot++, row++) {
            size_t position =
                omni_kv_first(OMNI_KV_TOKENS, m->p, i, q) + slot * omni_kv_stride(OMNI_KV_TOKENS, m->p);
            for (size_t j = 0; j < to->parts; j++) {
                operand src = pe_operand(root, from, j, (omni_range){0, from->part[j].width});
                operand dst = pe_operand(root, to, j, (omni_range){0, to->part[j].width});
                memcpy(dst.data + row * dst.ld,
                       src.data + (part_row(&m->e->pass, m->part, n) + position - first) * src.ld,
                       to->part[j].width * sizeof(float));
            }
        }
    }
    omni_view v = view_stored(m, root, m->s->out);
    v.rows = row;
    return v;
}

static void keep_own_slice(const move *m, const pe *root) {
    const omni_value *from = engine_value(m->e, m->s->in[0]), *to = engine_value(m->e, m->s->out);
    bool tokens = to->rows == OMNI_ROWS_TOKEN_SHARE;
    omni_view own = tokens ? pack_tokens(m, root, root->seat.index) : view_stored(m, root, m->s->out);
    for (size_t j = 0; j < to->parts && !tokens; j++) {
        omni_range cols = omni_value_owned(to, j, m->p, root->seat.index);
        if ((m->s->parts >> j & 1) && cols.count) copy_columns(m, root, from, to, j, cols);
    }
    omni_view_round(&own);
}

/* Bytes of index i's slice on the wire, known to everybody. */
static size_t slice_bytes(const move *m, const omni_value *cut, size_t i) {
    size_t bytes = 0;
    for (size_t j = 0; j < cut->parts; j++)
        if (m->s->parts >> j & 1)
            bytes += (cut->compact ? omni_value_owned(cut, j, m->p, i).count : cut->part[j].width) *
                     omni_dtype_bytes(wire_of(m, cut, j));
    return bytes * rows_at(m, cut, i);
}

static bool send_scatter(const move *m) {
    const omni_value *to = engine_value(m->e, m->s->out);
    const pe *root = &m->e->pe[root_of(m)];
    for (size_t i = 1; i < m->p; i++) {
        omni_view src = {0}, dst = {0};
        if (omni_range_has(m->own, root->rank))
            src = to->rows == OMNI_ROWS_TOKEN_SHARE ? pack_tokens(m, root, i)
                                                    : view_columns(m, root, m->s->in[0], to, i);
        if (omni_range_has(m->own, m->first + i)) dst = view_stored(m, &m->e->pe[m->first + i], m->s->out);
        begins(m, root->rank, m->first + i, slice_bytes(m, to, i));
        if (!omni_fabric_send(m->e->fabric, m->w->index, m->piece, m->s->root, i, OMNI_ADDRESSED_SCATTER,
                              &src, &dst, slice_bytes(m, to, i)))
            return false;
    }
    if (omni_range_has(m->own, root->rank)) keep_own_slice(m, root);
    return true;
}

static bool send_collect(const move *m) {
    const omni_value *from = engine_value(m->e, m->s->in[0]);
    const pe *root = &m->e->pe[root_of(m)];
    for (size_t i = 1; i < m->p; i++) {
        omni_view src = {0}, dst = {0};
        if (omni_range_has(m->own, m->first + i)) src = view_stored(m, &m->e->pe[m->first + i], m->s->in[0]);
        if (omni_range_has(m->own, root->rank)) dst = view_columns(m, root, m->s->out, from, i);
        begins(m, m->first + i, root->rank, slice_bytes(m, from, i));
        if (!omni_fabric_send(m->e->fabric, m->w->index, m->piece, i, m->s->root, OMNI_ADDRESSED_GATHER, &src,
                              &dst, slice_bytes(m, from, i)))
            return false;
    }
    if (!omni_range_has(m->own, root->rank)) return true;
    place_slices(m, root);
    omni_view own = view_columns(m, root, m->s->out, from, root->seat.index);
    omni_view_round(&own);
    return true;
}

/* Of the host port: a message also where there is one rank. */
static void host_begins(const move *m, uint64_t bytes) {
    trace_message(m->w, m->s, m->first, OMNI_EVENT_ALL, bytes, omni_range_has(m->own, m->first));
}

static bool receive_rows(const move *m) {
    omni_view *views = m->w->views;
    for (size_t k = 0; k < m->own.count; k++) views[k] = view_stored(m, own_pe(m, k), m->s->out);
    host_begins(m, omni_view_bytes(&views[0]));
    return omni_fabric_host_receive(m->e->fabric, m->w->index, m->piece, views, omni_view_bytes(&views[0]));
}

/* Logits that hold nothing but NaN have no arg-max: token 0 then, so that the run goes on and `check` can say
 * so. */
static bool return_tokens(const move *m) {
    worker *w = m->w;
    const omni_value *v = engine_value(m->e, m->s->in[0]);
    const float *best = m->e->pe[root_of(m)].storage[v->storage];
    size_t vocab = m->e->o.model->shape.vocab, rows = rows_at(m, v, 0);
    for (size_t i = 0; i < rows; i++) {
        omni_best b;
        memcpy(&b, best + i * omni_value_width(v, m->p, 0), sizeof b);
        w->tokens[i] = b.index < vocab ? (int32_t)b.index : 0;
    }
    host_begins(m, rows * sizeof *w->tokens);
    return omni_fabric_host_return(m->e->fabric, w->index, m->piece, w->tokens, rows * sizeof *w->tokens);
}

static bool send_result(const move *m) {
    if (!omni_range_has(m->own, root_of(m))) return true;
    if (m->s->op->kind == OMNI_OP_ARGMAX) return return_tokens(m);
    const omni_value *v = engine_value(m->e, m->s->in[0]);
    size_t bytes = rows_at(m, v, 0) * omni_value_width(v, m->p, 0) * sizeof(float);
    host_begins(m, bytes);
    return omni_fabric_host_return(m->e->fabric, m->w->index, m->piece,
                                   m->e->pe[root_of(m)].storage[v->storage], bytes);
}

static bool (*const send[OMNI_STEP_KINDS])(const move *) = {
    [OMNI_STEP_HOST_IN] = receive_rows,     [OMNI_STEP_HOST_OUT] = send_result,
    [OMNI_STEP_BROADCAST] = send_broadcast, [OMNI_STEP_REDUCE] = send_reduce,
    [OMNI_STEP_GATHER] = send_gather,       [OMNI_STEP_ALL_GATHER] = send_all_gather,
    [OMNI_STEP_SCATTER] = send_scatter,     [OMNI_STEP_COLLECT] = send_collect,
};

/* Over the k-th piece. */
static bool move_over(worker *w, const omni_step *s, const omni_part *part, const pe_share *own, size_t k) {
    const omni_engine *e = w->engine;
    const omni_mesh *mesh = &e->o.plan->mesh;
    omni_range piece = omni_mesh_piece(mesh, s->cut, own->group, s->stage, k);
    move m = {.w = w,
              .e = e,
              .s = s,
              .part = part,
              .own = omni_range_meet(own->ranks, piece),
              .first = piece.start,
              .p = piece.count,
              .piece = omni_mesh_piece_number(mesh, s->cut, own->group, s->stage, k)};
    bool empty = s->in[0] != OMNI_NO_VALUE && rows_at(&m, engine_value(e, s->in[0]), 0) == 0;
    return empty || m.own.count == 0 || send[s->kind](&m); /* the last rows of an open part, no marks */
}

/* Piece by piece, in the same order for everybody: who carries ranks of two pieces keeps nobody waiting in a
 * circle. */
bool exec_message(worker *w, const omni_step *s, const omni_part *part, const pe_share *own) {
    const omni_mesh *mesh = &w->engine->o.plan->mesh;
    for (size_t k = 0; k < omni_mesh_pieces_in(mesh, s->cut); k++)
        if (!move_over(w, s, part, own, k)) return false;
    return true;
}

/* From root to root; the other ranks of the two stages let it pass. */
bool exec_hand_off(worker *w, const omni_step *s, const omni_part *part, size_t group) {
    const omni_engine *e = w->engine;
    const omni_mesh *mesh = &e->o.plan->mesh;
    omni_range ranks = w->ranks, from = omni_mesh_ranks(mesh, group, s->stage),
               to = omni_mesh_ranks(mesh, group, s->stage + 1);
    move m = {.w = w, .e = e, .s = s, .part = part, .own = ranks, .p = from.count};
    size_t bytes = part->extent.tokens * e->o.model->shape.hidden *
                   omni_dtype_bytes(wire_of(&m, engine_value(e, s->in[0]), 0));
    omni_view src = {0}, dst = {0};
    if (omni_range_has(m.own, from.start)) src = view_stored(&m, &e->pe[from.start], s->in[0]);
    if (omni_range_has(m.own, to.start)) dst = view_stored(&m, &e->pe[to.start], s->out);
    trace_message(w, s, from.start, to.start, bytes, omni_range_has(ranks, from.start));
    return omni_fabric_send(e->fabric, w->index, omni_mesh_piece_number(mesh, s->cut, group, s->stage, 0),
                            s->root, from.count, OMNI_ADDRESSED_OTHER, &src, &dst, bytes);
}
