/* reference_bert.c: BERT's forward pass and its two heads. Written from Devlin et al. 2018 and the
 * checkpoints' own names, not from the model room's list of ops.
 *
 *   word + position + type -> norm -> layers -> last state -+-> pooler: first token, dense, tanh
 *                                                           +-> MLM: dense, activation, norm, vocabulary
 *
 * The norm stands behind each residual addition, so x is always normed and there is no final norm.
 */
#include <math.h>
#include <string.h>

#include "reference_parts.h"

static void bert_embed(reference *ref, const reference_row *row, size_t rows) {
    const omni_shape *s = &ref->shape;
    size_t D = s->hidden;
    ref_scope_top(ref);
    ref_embed(ref, row, rows);
    for (size_t r = 0; r < rows; r++) {
        ref_lookup(ref, "embeddings.position_embeddings", s->positions, row[r].position, ref->h + r * D);
        ref_add(ref, ref->x + r * D, ref->h + r * D, D);
        ref_lookup(ref, "embeddings.token_type_embeddings", s->types, (size_t)row[r].type, ref->h + r * D);
        ref_add(ref, ref->x + r * D, ref->h + r * D, D);
    }
    ref_layer_norm(ref, "embeddings.LayerNorm", rows, ref->x);
}

static void bert_layer(reference *ref, size_t layer, const reference_row *row, size_t rows) {
    const omni_shape *s = &ref->shape;
    size_t D = s->hidden, Q = s->heads * s->head_dim, K = s->kv_heads * s->head_dim, F = s->ffn;
    ref_scope_layer(ref, "encoder.layer", layer);

    ref_linear(ref, "attention.self.query", ref->x, rows, D, ref->q, Q, true);
    ref_linear(ref, "attention.self.key", ref->x, rows, D, ref->k, K, true);
    ref_linear(ref, "attention.self.value", ref->x, rows, D, ref->v, K, true);
    ref_attention(ref, layer, REF_ALL, row, rows);
    ref_linear(ref, "attention.output.dense", ref->a, rows, Q, ref->b, D, true);
    ref_add(ref, ref->x, ref->b, rows * D);
    ref_layer_norm(ref, "attention.output.LayerNorm", rows, ref->x);

    ref_linear(ref, "intermediate.dense", ref->x, rows, D, ref->u, F, true);
    ref_activate(ref, ref->u, rows * F);
    ref_linear(ref, "output.dense", ref->u, rows, F, ref->b, D, true);
    ref_add(ref, ref->x, ref->b, rows * D);
    ref_layer_norm(ref, "output.LayerNorm", rows, ref->x);
}

static void bert_forward(reference *ref, const reference_row *row, size_t rows) {
    bert_embed(ref, row, rows);
    ref_tap(ref, 0, row, rows);
    for (size_t l = 0; l < ref->shape.layers; l++) {
        bert_layer(ref, l, row, rows);
        ref_tap(ref, l + 1, row, rows);
    }
    memcpy(ref->h, ref->x, rows * ref->shape.hidden * sizeof *ref->h);
}

static void pool(reference *ref, const double *h, double *pooled) {
    size_t D = ref->shape.hidden;
    ref_linear(ref, "pooler.dense", h, 1, D, pooled, D, true);
    for (size_t i = 0; !ref->status && i < D; i++) pooled[i] = tanh(pooled[i]);
}

/* All rows go through the transform, which is small beside a layer; those that want logits get them. */
static void predict(reference *ref, const reference_row *row, size_t rows) {
    static const char own[] = "cls.predictions.bias", decoders[] = "cls.predictions.decoder.bias";
    size_t D = ref->shape.hidden;
    ref_scope_none(ref);
    ref_linear(ref, "cls.predictions.transform.dense", ref->h, rows, D, ref->x, D, true);
    ref_activate(ref, ref->x, rows * D);
    ref_layer_norm(ref, "cls.predictions.transform.LayerNorm", rows, ref->x);
    ref_logits(ref, ref->x, row, rows);
    ref_logits_bias(ref, ref_has(ref, "", own) || !ref_has(ref, "", decoders) ? own : decoders, row, rows);
}

static void bert_head(reference *ref, const reference_row *row, size_t rows) {
    bool predicts = false;
    ref_scope_top(ref);
    for (size_t r = 0; r < rows; r++) {
        if (row[r].pooled) pool(ref, ref->h + r * ref->shape.hidden, row[r].pooled);
        predicts = predicts || row[r].logits;
    }
    if (predicts) predict(ref, row, rows);
}

const reference_family ref_bert = {
    .name = "bert",
    .prefix = {"bert.", ""},
    .embedding = "embeddings.word_embeddings.weight",
    .norm = "embeddings.LayerNorm",
    .head_weight = "cls.predictions.decoder.weight",
    .forward = bert_forward,
    .head = bert_head,
};
