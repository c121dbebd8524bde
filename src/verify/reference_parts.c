/* reference_parts.c: the parts of a transformer in float64, each in its plainest form: loops over rows and
 * features.
 *
 * Weights are converted a block of matrix rows at a time, and each block is applied to all rows of the call
 * before the next is read: memory stays small for any checkpoint, and the stop word is seen between two
 * blocks.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reference_parts.h"

/* --- tensors ---------------------------------------------------------------------------------- */

bool ref_has(const reference *ref, const char *prefix, const char *name) {
    char full[REF_NAME];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return omni_weights_find(ref->w, full) != NULL;
}

void ref_scope_none(reference *ref) {
    ref->scope[0] = '\0';
}

void ref_scope_top(reference *ref) {
    snprintf(ref->scope, sizeof ref->scope, "%s", ref->prefix);
}

void ref_scope_layer(reference *ref, const char *group, size_t layer) {
    snprintf(ref->scope, sizeof ref->scope, "%s%s.%zu.", ref->prefix, group, layer);
}

static bool stopped(reference *ref) {
    if (!ref->status && ref->stop) {
        ref->status = omni_stop_get(ref->stop);
        if (ref->status)
            omni_error_set(ref->err, ref->status, "%s: reference: stopped", omni_weights_source(ref->w));
    }
    return ref->status != OMNI_OK;
}

static bool is_weight(omni_dtype dtype) {
    return dtype == OMNI_F32 || dtype == OMNI_F16 || dtype == OMNI_BF16;
}

const omni_tensor *ref_bind(reference *ref, const char *name, size_t rows, size_t cols) {
    if (stopped(ref)) return NULL;
    const omni_tensor *t = omni_weights_find(ref->w, name);
    const char *source = omni_weights_source(ref->w);
    char shape[64];
    snprintf(shape, sizeof shape, cols ? "[%zu, %zu]" : "[%zu]", rows, cols);
    if (!t)
        ref->status = omni_error_set(ref->err, OMNI_BAD_INPUT, "%s: reference: no tensor %s (expected %s)",
                                     source, name, shape);
    else if (t->rank != (cols ? 2u : 1u) || t->shape[0] != rows || (cols && t->shape[1] != cols))
        ref->status =
            omni_error_set(ref->err, OMNI_BAD_INPUT, "%s: reference: %s has another shape (expected %s)",
                           source, name, shape);
    else if (!is_weight(t->dtype))
        ref->status =
            omni_error_set(ref->err, OMNI_BAD_INPUT, "%s: reference: %s is %s (expected F32, F16 or BF16)",
                           source, name, omni_dtype_name(t->dtype));
    return ref->status ? NULL : t;
}

static const omni_tensor *tensor(reference *ref, const char *name, const char *suffix, size_t rows,
                                 size_t cols) {
    char full[REF_NAME];
    snprintf(full, sizeof full, "%s%s.%s", ref->scope, name, suffix);
    return ref_bind(ref, full, rows, cols);
}

/* Elements into y; false: the failure is stored. */
static bool read_elements(reference *ref, const omni_tensor *t, size_t first, size_t count, double *y) {
    if (omni_weights_read_f64(ref->w, t, first, count, y)) return true;
    ref->status = omni_weights_read_failed(ref->w, t, ref->err);
    return false;
}

/* A vector of n elements into the block buffer; NULL: failed. */
static const double *vector(reference *ref, const char *name, const char *suffix, size_t n) {
    const omni_tensor *t = tensor(ref, name, suffix, n, 0);
    return t && read_elements(ref, t, 0, n, ref->block) ? ref->block : NULL;
}

/* Rows [first, first + returned) of a matrix [rows, cols] into the block buffer; 0: stopped or failed. */
static size_t next_block(reference *ref, const omni_tensor *t, size_t first, size_t rows, size_t cols) {
    if (stopped(ref)) return 0;
    size_t fit = ref->block_elements / cols, count = rows - first < fit ? rows - first : fit;
    return read_elements(ref, t, first * cols, count * cols, ref->block) ? count : 0;
}

/* --- matrices --------------------------------------------------------------------------------- */

/* Four partial sums, so that one addition need not wait for the last. */
static double dot(const double *a, const double *b, size_t n) {
    double sum[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t j = 0; j < 4; j++) sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void apply_linear(reference *ref, const omni_tensor *t, const double *x, size_t rows, size_t in,
                         double *y, size_t out) {
    for (size_t o = 0, count; o < out; o += count) {
        count = next_block(ref, t, o, out, in);
        if (count == 0) return;
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < count; i++) y[r * out + o + i] = dot(x + r * in, ref->block + i * in, in);
    }
}

void ref_linear(reference *ref, const char *name, const double *x, size_t rows, size_t in, double *y,
                size_t out, bool has_bias) {
    const omni_tensor *t = tensor(ref, name, "weight", out, in);
    if (t) apply_linear(ref, t, x, rows, in, y, out);
    const double *bias = has_bias ? vector(ref, name, "bias", out) : NULL;
    for (size_t r = 0; bias && r < rows; r++) ref_add(ref, y + r * out, bias, out);
}

void ref_conv1d(reference *ref, const char *name, const double *x, size_t rows, size_t in, double *y,
                size_t out) {
    const double *bias = vector(ref, name, "bias", out);
    if (!bias) return;
    for (size_t r = 0; r < rows; r++) memcpy(y + r * out, bias, out * sizeof *y);
    const omni_tensor *t = tensor(ref, name, "weight", in, out);
    if (!t) return;
    for (size_t i = 0, count; i < in; i += count) {
        count = next_block(ref, t, i, in, out);
        if (count == 0) return;
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < count; j++)
                for (size_t o = 0; o < out; o++)
                    y[r * out + o] += x[r * in + i + j] * ref->block[j * out + o];
    }
}

void ref_lookup(reference *ref, const char *name, size_t count, size_t index, double *y) {
    size_t D = ref->shape.hidden;
    const omni_tensor *t = tensor(ref, name, "weight", count, D);
    if (t) read_elements(ref, t, index * D, D, y);
}

void ref_embed(reference *ref, const reference_row *row, size_t rows) {
    size_t D = ref->shape.hidden;
    for (size_t r = 0; !ref->status && r < rows; r++)
        read_elements(ref, ref->embedding, (size_t)row[r].id * D, D, ref->x + r * D);
}

/* --- norms ------------------------------------------------------------------------------------ */

/* Zhang and Sennrich 2019: x / sqrt(mean(x^2) + eps) * w */
void ref_rms_norm(reference *ref, const char *name, size_t rows, double *y) {
    size_t D = ref->shape.hidden;
    const double *w = vector(ref, name, "weight", D);
    for (size_t r = 0; w && r < rows; r++) {
        const double *x = ref->x + r * D;
        double scale = 1 / sqrt(dot(x, x, D) / (double)D + ref->shape.norm_eps);
        for (size_t i = 0; i < D; i++) y[r * D + i] = x[i] * scale * w[i];
    }
}

/* Files converted from TensorFlow call weight and bias of a LayerNorm gamma and beta. */
static const double *norm_vector(reference *ref, const char *name, const char *suffix, const char *old) {
    char full[REF_NAME];
    snprintf(full, sizeof full, "%s%s.%s", ref->scope, name, old);
    return vector(ref, name, omni_weights_find(ref->w, full) ? old : suffix, ref->shape.hidden);
}

/* Ba, Kiros, Hinton 2016: (x - mean) / sqrt(variance + eps) * w + b */
void ref_layer_norm(reference *ref, const char *name, size_t rows, double *y) {
    size_t D = ref->shape.hidden;
    const double *w = norm_vector(ref, name, "weight", "gamma");
    for (size_t r = 0; w && r < rows; r++) {
        const double *x = ref->x + r * D;
        double mean = 0, variance = 0;
        for (size_t i = 0; i < D; i++) mean += x[i] / (double)D;
        for (size_t i = 0; i < D; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)D;
        double scale = 1 / sqrt(variance + ref->shape.norm_eps);
        for (size_t i = 0; i < D; i++) y[r * D + i] = (x[i] - mean) * scale * w[i];
    }
    const double *bias = norm_vector(ref, name, "bias", "beta");
    for (size_t r = 0; bias && r < rows; r++) ref_add(ref, y + r * D, bias, D);
}

/* --- activation ------------------------------------------------------------------------------- */

/* "gelu" and its tanh form "gelu_new" are those of Hendrycks and Gimpel 2016. */
static double activated(omni_activation kind, double x) {
    const double sqrt_2_over_pi = 0.79788456080286535588, sqrt_half = 0.70710678118654752440;
    switch (kind) {
    case OMNI_ACT_GELU_NEW:
        return 0.5 * x * (1 + tanh(sqrt_2_over_pi * (x + 0.044715 * x * x * x)));
    case OMNI_ACT_GELU:
        return 0.5 * x * erfc(-x * sqrt_half);
    case OMNI_ACT_RELU:
        return x < 0 ? 0 : x;
    case OMNI_ACT_SILU:
        return x / (1 + exp(-x));
    case OMNI_ACT_TANH:
        return tanh(x);
    default: /* SwiGLU is no function of one input */
        return (double)NAN;
    }
}

void ref_activate(const reference *ref, double *u, size_t n) {
    for (size_t i = 0; !ref->status && i < n; i++) u[i] = activated(ref->shape.activation, u[i]);
}

/* --- attention -------------------------------------------------------------------------------- */

static void remember(reference *ref, size_t layer, const reference_row *row, size_t rows) {
    size_t width = ref->shape.kv_heads * ref->shape.head_dim;
    for (size_t r = 0; r < rows; r++) {
        size_t at = (layer * ref->sequences + row[r].sequence) * ref->capacity + row[r].position;
        memcpy(ref->keys + at * width, ref->k + r * width, width * sizeof(double));
        memcpy(ref->values + at * width, ref->v + r * width, width * sizeof(double));
        ref->lengths[row[r].sequence] = row[r].position + 1;
    }
}

/* What scores are divided by: sqrt(h), where the model wants it; GPT-2 may count layers, too. */
static double divisor(const omni_shape *s, size_t layer) {
    double by = s->attn_unscaled ? 1 : sqrt((double)s->head_dim);
    return s->attn_inverse_layer ? by * (double)(layer + 1) : by;
}

/* softmax(q K^T / by) V of one head. q, out [head_dim]; keys, values: position p at p * stride. */
static void attend(double *scores, const double *q, const double *keys, const double *values, double by,
                   size_t positions, size_t stride, size_t head_dim, double *out) {
    double most = -INFINITY, sum = 0;
    for (size_t p = 0; p < positions; p++) {
        scores[p] = dot(q, keys + p * stride, head_dim) / by;
        most = fmax(most, scores[p]);
    }
    for (size_t p = 0; p < positions; p++) sum += scores[p] = exp(scores[p] - most);
    memset(out, 0, head_dim * sizeof *out);
    for (size_t p = 0; p < positions; p++)
        for (size_t i = 0; i < head_dim; i++) out[i] += scores[p] / sum * values[p * stride + i];
}

/* Grouped queries (Ainslie et al. 2023): heads/kv_heads neighbouring query heads share a key and value head.
 */
void ref_attention(reference *ref, size_t layer, reference_sight sight, const reference_row *row,
                   size_t rows) {
    if (stopped(ref)) return;
    size_t hd = ref->shape.head_dim, H = ref->shape.heads, share = H / ref->shape.kv_heads;
    size_t width = ref->shape.kv_heads * hd;
    double by = divisor(&ref->shape, layer);
    remember(ref, layer, row, rows);
    for (size_t r = 0; r < rows && !stopped(ref); r++) {
        size_t start = (layer * ref->sequences + row[r].sequence) * ref->capacity * width;
        size_t positions = sight == REF_ALL ? ref->lengths[row[r].sequence] : row[r].position + 1;
        for (size_t head = 0; head < H; head++) {
            size_t kv = start + head / share * hd, at = (r * H + head) * hd;
            attend(ref->scores, ref->q + at, ref->keys + kv, ref->values + kv, by, positions, width, hd,
                   ref->a + at);
        }
    }
}

/* --- heads ------------------------------------------------------------------------------------ */

void ref_logits(reference *ref, const double *x, const reference_row *row, size_t rows) {
    size_t D = ref->shape.hidden, V = ref->shape.vocab, wanted = 0;
    for (size_t r = 0; r < rows; r++) wanted += row[r].logits != NULL;
    for (size_t v = 0, count; wanted && v < V; v += count) {
        count = next_block(ref, ref->head, v, V, D);
        if (count == 0) return;
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; row[r].logits && i < count; i++)
                row[r].logits[v + i] = dot(x + r * D, ref->block + i * D, D);
    }
}

void ref_logits_bias(reference *ref, const char *name, const reference_row *row, size_t rows) {
    size_t V = ref->shape.vocab;
    const omni_tensor *t = ref_bind(ref, name, V, 0);
    if (!t || !read_elements(ref, t, 0, V, ref->block)) return;
    for (size_t r = 0; r < rows; r++)
        if (row[r].logits) ref_add(ref, row[r].logits, ref->block, V);
}

void ref_lm_head(reference *ref, const reference_row *row, size_t rows) {
    ref_logits(ref, ref->h, row, rows);
}

/* --- the residual stream ---------------------------------------------------------------------- */

void ref_add(const reference *ref, double *y, const double *x, size_t n) {
    for (size_t i = 0; !ref->status && i < n; i++) y[i] += x[i];
}

void ref_tap(const reference *ref, size_t layer, const reference_row *row, size_t rows) {
    size_t D = ref->shape.hidden;
    omni_meter_add(ref->meter, rows);
    for (size_t r = 0; !ref->status && r < rows; r++)
        if (row[r].hidden) memcpy(row[r].hidden + layer * row[r].stride, ref->x + r * D, D * sizeof *ref->x);
}
