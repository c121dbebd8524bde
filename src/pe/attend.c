/* attend.c: keys and values kept, attention over them. Rotary embedding happens here, on the slice that a PE
 * uses: on keys as they enter the cache, on queries just before they are used.
 */
#include <string.h>

#include "pe/pe.h"

static void rotate(const omni_engine *e, float *row, size_t heads, size_t position) {
    const omni_shape *s = &e->o.model->shape;
    if (e->rope_cos) omni_rope_row(row, heads, s->head_dim, position, e->rope_cos, e->rope_sin);
}

/* One token's heads into slot `slot` of the cache, [head][capacity][head_dim]. */
static void keep(float *cache, size_t capacity, size_t slot, const float *row, size_t heads,
                 size_t head_dim) {
    for (size_t h = 0; h < heads; h++)
        memcpy(cache + (h * capacity + slot) * head_dim, row + h * head_dim, head_dim * sizeof(float));
}

static void rotate_kept(const omni_engine *e, const pe_kv *kv, size_t slot, size_t heads, size_t position) {
    for (size_t h = 0; h < heads; h++)
        rotate(e, kv->k + (h * kv->capacity + slot) * e->o.model->shape.head_dim, 1, position);
}

void exec_kv_append(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    const omni_shape *shape = &e->o.model->shape;
    const omni_value *v = engine_value(e, s->in[0]);
    omni_kv kind = e->o.plan->kv[s->layer];
    omni_range heads = omni_kv_heads(kind, shape, e->p, x->index);
    omni_range cols = {heads.start * shape->head_dim, heads.count * shape->head_dim};
    if (heads.count == 0) return;
    operand k = pe_operand(x, v, 1, cols, e->p), val = pe_operand(x, v, 2, cols, e->p);
    size_t share_row = 0; /* rows of a token share stand one after the other */
    for (size_t q = 0; q < e->o.sequences; q++) {
        const pe_kv *kv = &x->kv[(size_t)s->layer * e->o.sequences + q];
        size_t first = e->pass.first[q], stride = omni_kv_stride(kind, e->p),
               from = omni_kv_first(kind, e->p, x->index, q);
        size_t slot = omni_kv_tokens(kind, e->p, x->index, q, first);
        size_t end = omni_kv_tokens(kind, e->p, x->index, q, first + e->pass.counts[q]);
        for (; slot < end; slot++, share_row++) {
            size_t position = from + slot * stride;
            size_t row = v->rows == OMNI_ROWS_TOKEN_SHARE ? share_row : e->pass.row[q] + position - first;
            keep(kv->k, kv->capacity, slot, k.data + row * k.ld, heads.count, shape->head_dim);
            keep(kv->v, kv->capacity, slot, val.data + row * val.ld, heads.count, shape->head_dim);
            rotate_kept(e, kv, slot, heads.count, position);
        }
    }
}

/* Query heads that this PE answers for: all under token shares, else those of its slice of the output. */
static omni_range query_heads(const omni_engine *e, const pe *x, const omni_step *s) {
    const omni_shape *shape = &e->o.model->shape;
    if (e->o.plan->kv[s->layer] == OMNI_KV_TOKENS) return (omni_range){0, shape->heads};
    omni_range cols = pe_stored(x, engine_value(e, s->out), 0, e->p);
    return (omni_range){cols.start / shape->head_dim, cols.count / shape->head_dim};
}

static omni_attention attention_over(worker *w, pe *x, const omni_step *s, omni_range heads,
                                     size_t sequence) {
    const omni_engine *e = w->engine;
    const omni_shape *shape = &e->o.model->shape;
    const omni_value *out = engine_value(e, s->out);
    omni_kv kind = e->o.plan->kv[s->layer];
    const pe_kv *kv = &x->kv[(size_t)s->layer * e->o.sequences + sequence];
    size_t row = e->pass.row[sequence], width = heads.count * shape->head_dim;
    operand q =
        pe_operand(x, engine_value(e, s->in[0]), 0, (omni_range){heads.start * shape->head_dim, width}, e->p);
    operand y = {.data = x->storage[out->storage], .ld = omni_value_width(out, e->p, x->index)};
    size_t length = e->pass.first[sequence] + e->pass.counts[sequence];
    omni_attention a = {
        .q = q.data + row * q.ld,
        .ldq = q.ld,
        .queries = e->pass.counts[sequence],
        .query_first = shape->encoder ? length - 1 : e->pass.first[sequence], /* an encoder's see all keys */
        .heads = heads.count,
        .head_dim = shape->head_dim,
        .kv_of = w->kv_of,
        .k = kv->k,
        .v = kv->v,
        .capacity = kv->capacity,
        .keys = omni_kv_tokens(kind, e->p, x->index, sequence, length),
        .key_first = omni_kv_first(kind, e->p, x->index, sequence),
        .key_stride = omni_kv_stride(kind, e->p),
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
    for (size_t i = 0; i < a.queries; i++)
        rotate(e, q.data + (row + i) * q.ld, heads.count, e->pass.first[sequence] + i);
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

void exec_attention(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    const omni_shape *shape = &e->o.model->shape;
    omni_range heads = query_heads(e, x, s);
    size_t share = shape->heads / shape->kv_heads;
    size_t kv_first = omni_kv_heads(e->o.plan->kv[s->layer], shape, e->p, x->index).start;
    for (size_t h = 0; h < heads.count; h++) w->kv_of[h] = (uint32_t)((heads.start + h) / share - kv_first);
    for (size_t q = 0; heads.count && q < e->o.sequences; q++) {
        omni_attention a = attention_over(w, x, s, heads, q);
        run_in_blocks(e, a);
    }
}

void exec_attention_finish(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    const omni_shape *shape = &e->o.model->shape;
    const omni_value *in = engine_value(e, s->in[0]), *out = engine_value(e, s->out);
    omni_attention_finish(x->storage[in->storage], omni_value_width(in, e->p, x->index),
                          e->pass.extent.tokens, shape->heads, shape->head_dim, x->storage[out->storage],
                          omni_value_width(out, e->p, x->index));
}
