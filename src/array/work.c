/* work.c: what a compute step is for one rank: multiply-accumulates, element-wise operations, bytes of its
 * own memory.
 *
 * Shapes follow from the plan alone, as the executor takes them. A matrix is read once a step whatever the
 * rows, keys and values once a step whatever the queries: a PE has room for a block of rows beside its units.
 * Attention counts the keys that a query sees. Element-wise operations an element are the table below: round
 * figures, the same everywhere.
 */
#include "array/array.h"

enum {
    OPS_SOFTMAX = 5, /* of a score: scale, compare, subtract, exponential, add */
    OPS_ROTATE = 3,  /* of a feature of a key: half of two multiply-adds, its share of the angles */
    OPS_MERGE = 2,
    FLOAT = sizeof(float)
};

static const struct {
    uint64_t stats, apply;
} norm_ops[] = {[OMNI_NORM_RMS] = {2, 2}, [OMNI_NORM_LAYER] = {5, 4}};

static const uint64_t activation_ops[OMNI_ACTIVATIONS] = {
    [OMNI_ACT_SWIGLU] = 5, [OMNI_ACT_GELU_NEW] = 9, [OMNI_ACT_GELU] = 8,
    [OMNI_ACT_RELU] = 1,   [OMNI_ACT_SILU] = 4,     [OMNI_ACT_TANH] = 4,
};

/* Where a step is looked at from. */
typedef struct place {
    const omni_plan *plan;
    const omni_step *s;
    const omni_extent *x;
    size_t p, index;
} place;

static const omni_value *in_of(const place *a) {
    return &a->plan->value[a->s->in[0]];
}

static const omni_value *out_of(const place *a) {
    return &a->plan->value[a->s->out];
}

static uint64_t rows_of(const place *a, const omni_value *v) {
    return omni_step_rows(a->s, v->rows, *a->x, a->p, a->index).count;
}

static uint64_t width_of(const place *a, const omni_value *v) {
    return omni_value_width(v, a->p, a->index);
}

static work streaming(uint64_t rows, uint64_t in, uint64_t out, uint64_t ops) {
    return (work){.ops = sat_mul(rows, ops), .bytes = sat_mul(rows, FLOAT * (in + out))};
}

/* --- projections ------------------------------------------------------------------------------ */

size_t weight_bytes(const omni_plan *plan) {
    return omni_dtype_bytes(plan->model->dtype);
}

static work multiply(uint64_t rows, uint64_t in, uint64_t out, size_t element, bool bias) {
    if (rows == 0 || in == 0 || out == 0) return (work){0};
    return (work){.macs = sat_mul(rows, sat_mul(in, out)),
                  .ops = bias ? sat_mul(rows, out) : 0,
                  .bytes = sat_add(sat_mul(sat_mul(in, out), element), sat_mul(rows, FLOAT * (in + out)))};
}

static work matmul_work(const place *a) {
    const omni_weight *w = &a->plan->weight[a->s->weight];
    uint64_t in = w->split_in ? omni_value_owned(&w->in, 0, a->p, a->index).count : w->in.part[0].width;
    bool bias = w->op->matrix[0].bias.name[0] && (!w->split_in || a->index == 0);
    uint64_t out = omni_step_features(a->s, *a->x, width_of(a, &w->out)).count;
    return multiply(rows_of(a, out_of(a)), in, out, weight_bytes(a->plan), bias);
}

work stream_work(const omni_plan *plan, const omni_step *s, size_t rows, size_t outputs) {
    const omni_weight *w = &plan->weight[s->weight];
    return multiply(rows, w->in.part[0].width, outputs, omni_dtype_bytes(w->dtype),
                    w->op->matrix[0].bias.name[0]);
}

/* --- norms and what is element-wise ----------------------------------------------------------- */

static work norm_work(const place *a) {
    uint64_t in = width_of(a, in_of(a)),
             each = norm_ops[a->s->op->norm].stats + norm_ops[a->s->op->norm].apply;
    return streaming(rows_of(a, in_of(a)), in, width_of(a, out_of(a)), each * in);
}

static work norm_stats_work(const place *a) {
    uint64_t in = width_of(a, in_of(a));
    return streaming(rows_of(a, in_of(a)), in, width_of(a, out_of(a)), norm_ops[a->s->op->norm].stats * in);
}

static work norm_apply_work(const place *a) {
    uint64_t in = width_of(a, in_of(a));
    return streaming(rows_of(a, in_of(a)), in, width_of(a, out_of(a)), norm_ops[a->s->op->norm].apply * in);
}

/* In and out, an operation an element: moments, rows that are kept, the largest. */
static work copy_work(const place *a) {
    uint64_t in = width_of(a, in_of(a));
    uint64_t rows = rows_of(a, out_of(a));
    return streaming(rows, in, width_of(a, out_of(a)), in);
}

static work activation_work(const place *a) {
    uint64_t out = width_of(a, out_of(a));
    return streaming(rows_of(a, out_of(a)), width_of(a, in_of(a)), out,
                     activation_ops[a->s->op->activation] * out);
}

/* Folded into addends: who has columns of the stream adds them, once over all ranks. */
static work residual_work(const place *a) {
    const omni_value *branch = in_of(a), *stream = &a->plan->value[a->s->in[1]];
    bool folded = branch->at.kind == OMNI_PARTIAL;
    if (folded && !stream->compact && a->index != a->s->root) return (work){0};
    uint64_t cols = omni_step_features(a->s, *a->x, width_of(a, folded ? stream : branch)).count;
    return streaming(rows_of(a, branch), 2 * cols, cols, cols);
}

/* --- attention -------------------------------------------------------------------------------- */

/* 0 + 0 + .. + 1 + 1 + ..: the sum of x / p for x below n. */
static uint64_t sum_of_quotients(uint64_t n, uint64_t p) {
    uint64_t q = n / p, r = n % p;
    return sat_add(sat_mul(p, q ? q * (q - 1) / 2 : 0), sat_mul(q, r));
}

/* Pairs of a query and a key of its sequence that it sees and that this rank keeps. */
static uint64_t seen_pairs(const place *a, omni_kv kv, size_t i) {
    size_t q = a->x->sequence + i, first = omni_extent_first(a->x, i), count = omni_extent_count(a->x, i);
    if (a->plan->model->shape.encoder)
        return sat_mul(count, omni_kv_tokens(kv, a->p, a->index, q, a->x->first[i] + a->x->counts[i]));
    uint64_t stride = omni_kv_stride(kv, a->p), from = omni_kv_first(kv, a->p, a->index, q);
    /* The query at t sees keys from, from + stride, .. up to t: (t - from + stride) / stride of them, once t
     * >= from. */
    uint64_t start = first > from ? first : from, end = first + count;
    if (end <= start) return 0;
    return sum_of_quotients(end - from + stride, stride) - sum_of_quotients(start - from + stride, stride);
}

/* Keys (or values) of the part's sequences that this rank keeps. */
static uint64_t kept_keys(const place *a, omni_kv kv, size_t i) {
    size_t length = omni_extent_first(a->x, i) + omni_extent_count(a->x, i);
    if (a->plan->model->shape.encoder) length = a->x->first[i] + a->x->counts[i];
    return omni_kv_tokens(kv, a->p, a->index, a->x->sequence + i, length);
}

typedef struct attended {
    uint64_t pairs, keys;
} attended;

static attended sum_attended(const place *a, omni_kv kv) {
    attended n = {0};
    for (size_t i = 0; i < a->x->sequences; i++) {
        n.pairs = sat_add(n.pairs, seen_pairs(a, kv, i));
        n.keys = sat_add(n.keys, kept_keys(a, kv, i));
    }
    return n;
}

/* Scores of `heads` heads over `dims` features each, and (or) the values weighed with them. */
static work scores_work(const place *a, uint64_t heads, uint64_t dims, uint64_t kv_features, bool scores,
                        bool weighs) {
    attended n = sum_attended(a, a->plan->kv[a->s->layer]);
    uint64_t pairs = sat_mul(n.pairs, heads), times = (uint64_t)scores + weighs;
    if (dims == 0) return (work){0};
    return (work){.macs = sat_mul(pairs, dims * times),
                  .ops = weighs ? sat_mul(pairs, OPS_SOFTMAX) : 0,
                  .bytes = sat_add(sat_mul(n.keys, kv_features * FLOAT * times),
                                   sat_mul(a->x->tokens, heads * dims * FLOAT * 2))};
}

static work attention_work(const place *a) {
    const omni_shape *shape = &a->plan->model->shape;
    omni_kv kv = a->plan->kv[a->s->layer];
    uint64_t heads = shape->heads;
    if (kv != OMNI_KV_TOKENS) heads = width_of(a, out_of(a)) / shape->head_dim;
    if (heads == 0) return (work){0};
    return scores_work(a, heads, shape->head_dim, omni_kv_features(kv, shape, a->p, a->index).count, true,
                       true);
}

static work subhead_work(const place *a, bool scores) {
    uint64_t dims = omni_subhead_of(&a->plan->model->shape, a->p, a->index).dims.count;
    return scores_work(a, 1, dims, dims, scores, !scores);
}

static work finish_work(const place *a) {
    uint64_t in = width_of(a, in_of(a));
    return streaming(rows_of(a, in_of(a)), in, width_of(a, out_of(a)), OPS_MERGE * in);
}

static work append_work(const place *a) {
    const omni_shape *shape = &a->plan->model->shape;
    omni_kv kv = a->plan->kv[a->s->layer];
    uint64_t width = omni_kv_features(kv, shape, a->p, a->index).count, rows = a->x->tokens;
    if (kv == OMNI_KV_TOKENS) rows = omni_rows_count(OMNI_ROWS_TOKEN_SHARE, *a->x, a->p, a->index);
    return streaming(rows, 2 * width, 2 * width, shape->rope_theta > 0 ? OPS_ROTATE * width : 0);
}

work step_work(const omni_plan *plan, const omni_step *s, const omni_extent *x, size_t p, size_t index) {
    place a = {plan, s, x, p, index};
    if (s->root_only && index != 0) return (work){0};
    switch (s->kind) {
    case OMNI_STEP_MATMUL:
        return matmul_work(&a);
    case OMNI_STEP_NORM:
        return norm_work(&a);
    case OMNI_STEP_NORM_STATS:
        return norm_stats_work(&a);
    case OMNI_STEP_NORM_APPLY:
        return norm_apply_work(&a);
    case OMNI_STEP_KV_APPEND:
        return append_work(&a);
    case OMNI_STEP_ATTENTION:
        return attention_work(&a);
    case OMNI_STEP_ATTENTION_FINISH:
        return finish_work(&a);
    case OMNI_STEP_SCORES:
    case OMNI_STEP_WEIGH:
        return subhead_work(&a, s->kind == OMNI_STEP_SCORES);
    case OMNI_STEP_ACTIVATION:
        return activation_work(&a);
    case OMNI_STEP_RESIDUAL:
        return residual_work(&a);
    case OMNI_STEP_NORM_FINISH:
    case OMNI_STEP_ROWS:
    case OMNI_STEP_ARGMAX:
        return copy_work(&a);
    default: /* taps are outside the array */
        return (work){0};
    }
}

/* --- messages --------------------------------------------------------------------------------- */

uint64_t wire_bytes(const omni_plan *plan, const omni_step *s, const omni_value *v, const omni_extent *x,
                    size_t p) {
    uint64_t bytes = wire_row_bytes(plan, s, v, p, NULL);
    if (s->features)
        bytes = omni_dtype_bytes(omni_part_wire(plan, s, v, 0, p)) *
                omni_step_features(s, *x, v->part[0].width).count;
    return sat_mul(bytes, omni_step_rows(s, v->rows, *x, p, 0).count);
}

uint64_t wire_row_bytes(const omni_plan *plan, const omni_step *s, const omni_value *v, size_t p,
                        const size_t *index) {
    uint64_t bytes = 0;
    for (size_t j = 0; j < v->parts; j++) {
        uint64_t each = omni_dtype_bytes(omni_part_wire(plan, s, v, j, p));
        if (s->parts >> j & 1)
            bytes += each * (index ? omni_value_owned(v, j, p, *index).count : v->part[j].width);
    }
    return bytes;
}
