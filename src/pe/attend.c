/* attend.c: keys and values kept, attention over them. Rotary embedding happens here, on the slice that a PE
 * uses: on keys as they enter the cache, on queries just before they are used.
 */
#include <string.h>

#include "pe/pe.h"

static void rotate(const omni_engine *e, float *row, size_t heads, size_t position) {
    const omni_shape *s = &e->o.model->shape;
    if (e->rope_cos) omni_rope_row(row, heads, s->head_dim, position, e->rope_cos, e->rope_sin);
}

/* One token's heads into slot `slot` of the cache, [head][capacity][dims held]. */
static void keep(float *cache, size_t capacity, size_t slot, const float *row, size_t heads, size_t dims) {
    for (size_t h = 0; h < heads; h++)
        memcpy(cache + (h * capacity + slot) * dims, row + h * dims, dims * sizeof(float));
}

static void rotate_kept(const omni_engine *e, const pe *x, const omni_step *s, const pe_kv *kv, size_t slot,
                        size_t heads, size_t position) {
    const omni_shape *shape = &e->o.model->shape;
    omni_kv kind = e->o.plan->kv[s->layer];
    omni_range dims = omni_kv_dims(kind, shape, x->seat.p, x->seat.index);
    for (size_t h = 0; h < heads; h++) {
        float *row = kv->k + (h * kv->capacity + slot) * dims.count;
        if (kind == OMNI_KV_SUBHEADS)
            subhead_rotate(e, row, dims, position);
        else
            rotate(e, row, 1, position);
    }
}

void pe_keep(const omni_engine *e, const pe *x, const omni_step *s, const omni_part *part, operand k,
             operand v, bool kept_rows) {
    const omni_shape *shape = &e->o.model->shape;
    omni_kv kind = e->o.plan->kv[s->layer];
    size_t p = x->seat.p, index = x->seat.index, heads = omni_kv_heads(kind, shape, p, index).count;
    size_t dims = omni_kv_dims(kind, shape, p, index).count;
    size_t share_row = 0; /* rows of a token share stand one after the other */
    for (size_t i = 0; i < part->extent.sequences; i++) {
        size_t q = part->extent.sequence + i, first = omni_extent_first(&part->extent, i);
        const pe_kv *kv = pe_kv_of(x, (size_t)s->layer, q);
        size_t stride = omni_kv_stride(kind, p), from = omni_kv_first(kind, p, index, q);
        size_t slot = omni_kv_tokens(kind, p, index, q, first);
        size_t end = omni_kv_tokens(kind, p, index, q, first + omni_extent_count(&part->extent, i));
        for (; slot < end; slot++, share_row++) {
            size_t position = from + slot * stride;
            size_t row = kept_rows ? share_row : part_row(&e->pass, part, i) + position - first;
            keep(kv->k, kv->capacity, slot, k.data + row * k.ld, heads, dims);
            keep(kv->v, kv->capacity, slot, v.data + row * v.ld, heads, dims);
            rotate_kept(e, x, s, kv, slot, heads, position);
        }
    }
}

void exec_kv_append(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    const omni_shape *shape = &e->o.model->shape;
    const omni_value *v = engine_value(e, s->in[0]);
    omni_range cols = omni_kv_features(e->o.plan->kv[s->layer], shape, x->seat.p, x->seat.index);
    if (cols.count == 0) return;
    pe_keep(e, x, s, part, pe_operand(x, v, 1, cols), pe_operand(x, v, 2, cols),
            v->rows == OMNI_ROWS_TOKEN_SHARE);
}

/* Query heads that this PE answers for: all under token shares, else those of its slice of the output. */
static omni_range query_heads(const omni_engine *e, const pe *x, const omni_step *s) {
    const omni_shape *shape = &e->o.model->shape;
    if (e->o.plan->kv[s->layer] == OMNI_KV_TOKENS) return (omni_range){0, shape->heads};
    omni_range cols = pe_stored(x, engine_value(e, s->out), 0);
    return (omni_range){cols.start / shape->head_dim, cols.count / shape->head_dim};
}

/* Of the i-th sequence of the part. */
static omni_attention attention_over(worker *w, pe *x, const omni_step *s, const omni_part *part,
                                     omni_range heads, size_t i) {
    const omni_engine *e = w->engine;
    const omni_shape *shape = &e->o.model->shape;
    const omni_value *out = engine_value(e, s->out);
    omni_kv kind = e->o.plan->kv[s->layer];
    size_t p = x->seat.p, index = x->seat.index, sequence = part->extent.sequence + i;
    const pe_kv *kv = pe_kv_of(x, (size_t)s->layer, sequence);
    size_t row = part_row(&e->pass, part, i), width = heads.count * shape->head_dim;
    operand q =
        pe_operand(x, engine_value(e, s->in[0]), 0, (omni_range){heads.start * shape->head_dim, width});
    operand y = {.data = x->storage[out->storage], .ld = omni_value_width(out, p, index)};
    size_t first = omni_extent_first(&part->extent, i), length = first + omni_extent_count(&part->extent, i);
    if (shape->encoder)
        length = part->extent.first[i] + part->extent.counts[i]; /* with what other parts have */
    omni_attention a = {
        .q = q.data + row * q.ld,
        .ldq = q.ld,
        .queries = omni_extent_count(&part->extent, i),
        .query_first = shape->encoder ? length - 1 : first, /* an encoder's see all keys */
        .heads = heads.count,
        .head_dim = shape->head_dim,
        .kv_of = w->kv_of,
        .k = kv->k,
        .v = kv->v,
        .capacity = kv->capacity,
        .keys = omni_kv_tokens(kind, p, index, sequence, length),
        .key_first = omni_kv_first(kind, p, index, sequence),
        .key_stride = omni_kv_stride(kind, p),
        .scale = (float)omni_attention_scale(shape, (size_t)s->layer),
        .out = y.data + row * y.ld,
        .ldo = y.ld,
        .scratch = w->attention_scratch,
    };
    if (kind == OMNI_KV_TOKENS) { /* a partial: [out | max | sum] in one row */
        a.max = a.out + width;
        a.sum = a.max + heads.count;
        a.ldms = y.ld;
    }
    for (size_t r = 0; r < a.queries; r++) rotate(e, q.data + (row + r) * q.ld, heads.count, first + r);
    return a;
}

static void run_in_blocks(const omni_engine *e, omni_attention a) {
    size_t left = a.queries;
    while (left && omni_stop_get(e->o.stop) == OMNI_OK) {
        a.queries = left < ATTENTION_QUERIES ? left : ATTENTION_QUERIES;
        omni_attention_run(&a);
        a.q += a.queries * a.ldq;
        a.out += a.queries * a.ldo;
        if (a.max) a.max += a.queries * a.ldms;
        if (a.max) a.sum += a.queries * a.ldms;
        a.query_first += a.queries;
        left -= a.queries;
    }
}

void exec_attention(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    const omni_shape *shape = &e->o.model->shape;
    omni_range heads = query_heads(e, x, s);
    size_t share = shape->heads / shape->kv_heads;
    size_t kv_first = omni_kv_heads(e->o.plan->kv[s->layer], shape, x->seat.p, x->seat.index).start;
    for (size_t h = 0; h < heads.count; h++) w->kv_of[h] = (uint32_t)((heads.start + h) / share - kv_first);
    for (size_t i = 0; heads.count && i < part->extent.sequences; i++) {
        omni_attention a = attention_over(w, x, s, part, heads, i);
        run_in_blocks(e, a);
    }
}

void exec_attention_finish(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    const omni_shape *shape = &e->o.model->shape;
    const omni_value *in = engine_value(e, s->in[0]), *out = engine_value(e, s->out);
    omni_attention_finish(x->storage[in->storage], omni_value_width(in, x->seat.p, x->seat.index),
                          part->extent.tokens, shape->heads, shape->head_dim, x->storage[out->storage],
                          omni_value_width(out, x->seat.p, x->seat.index));
}
