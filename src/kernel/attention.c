/* attention.c: softmax(q k^T scale) v for the heads and keys that one PE holds.
 *
 *     heads that share a key-value head      rows = queries x those heads, in this order
 *       -> four rows at a time:  scores [4, keys seen]  ->  exp, max, sum  ->  blocks of 32 keys: out += p v
 *
 * Four rows share every load of k and v, be they four tokens of a prompt or four heads of a group in decode.
 * A row's sums do not depend on the rows beside it, and never include a key it doesn't see: where the rows of
 * a block see different numbers of its keys, each is summed alone.
 *
 * Where several PEs have a head, the same in two halves, with the scores of all queries between them, packed:
 *
 *     keys 0 1 2 3      query 0 at position 1:  0 1        0 1 | 2 3 4 | 5 6 7 8
 *                       query 1               :  2 3 4
 *                       query 2               :  5 6 7 8
 */
#include <math.h>

#include "kernel/room.h"

size_t omni_attention_scratch_floats(size_t keys) {
    return KERNEL_QUERY_ROWS * omni_round_up(keys, OMNI_CACHE_LINE / sizeof(float));
}

/* Keys that the query row sees: those at positions <= its own. */
static size_t visible_keys(const omni_attention *a, size_t query) {
    size_t position = query > SIZE_MAX - a->query_first ? SIZE_MAX : a->query_first + query;
    if (a->keys == 0 || position < a->key_first) return 0;
    size_t last = (position - a->key_first) / (a->key_stride ? a->key_stride : 1);
    return last < a->keys ? last + 1 : a->keys;
}

typedef struct score_rows {
    size_t rows; /* 1, 2 or 4 */
    const float *q[KERNEL_QUERY_ROWS];
    float *p[KERNEL_QUERY_ROWS]; /* scores, then exp of them */
    float *out[KERNEL_QUERY_ROWS];
    size_t sees[KERNEL_QUERY_ROWS], most; /* keys, and the largest of these numbers */
    float max[KERNEL_QUERY_ROWS], sum[KERNEL_QUERY_ROWS];
} score_rows;

/* out[r] = sum_j p[r, j] v[j], block by block of keys */
static void weigh_values(const score_rows *b, const float *v, size_t head_dim) {
    const kernel_ops *ops = kernel_chosen();
    for (size_t j = 0; j < b->most; j += KERNEL_KEY_BLOCK) {
        size_t end = j + KERNEL_KEY_BLOCK < b->most ? j + KERNEL_KEY_BLOCK : b->most;
        float *p[KERNEL_QUERY_ROWS] = {NULL};
        bool all = true;
        for (size_t r = 0; r < b->rows; r++) {
            all = all && b->sees[r] >= end;
            p[r] = b->p[r] + (b->sees[r] > j ? j : 0);
        }
        if (all) {
            ops->attention.weigh(b->rows, p, v + j * head_dim, end - j, head_dim, b->out);
            continue;
        }
        for (size_t r = 0; r < b->rows; r++) {
            size_t stop = b->sees[r] < end ? b->sees[r] : end;
            if (stop > j) ops->attention.weigh(1, p + r, v + j * head_dim, stop - j, head_dim, b->out + r);
        }
    }
}

/* p = exp(scores - max), out = p v, not divided yet */
static void soften_and_weigh(score_rows *b, const float *v, size_t head_dim) {
    for (size_t r = 0; r < b->rows; r++) {
        b->max[r] = -INFINITY;
        b->sum[r] = 0;
        memset(b->out[r], 0, head_dim * sizeof(float));
        if (b->sees[r]) b->sum[r] = kernel_chosen()->attention.softmax(b->p[r], b->sees[r], &b->max[r]);
    }
    weigh_values(b, v, head_dim);
}

static void attend(score_rows *b, const omni_attention *a, const float *k, const float *v) {
    const size_t lds = omni_attention_scratch_floats(a->keys) / KERNEL_QUERY_ROWS;
    for (size_t r = 0; r < b->rows; r++) b->p[r] = a->scratch + r * lds;
    if (b->most) kernel_chosen()->attention.scores(b->rows, b->q, k, b->most, a->head_dim, a->scale, b->p);
    soften_and_weigh(b, v, a->head_dim);
}

/* out /= sum; a row that has seen no key (sum = 0) stays 0 */
static void divide(const float *x, float sum, size_t n, float *y) {
    float by = sum == 0 ? 1 : sum;
    for (size_t d = 0; d < n; d++) y[d] = x[d] / by;
}

/* Rows [first, first + rows) of the `group` heads from `head` on, which share one key-value head. */
static void attend_rows(const omni_attention *a, size_t head, size_t group, size_t first, size_t rows) {
    const size_t hd = a->head_dim, kv = a->keys ? a->kv_of[head] * a->capacity * hd : 0;
    score_rows b = {.rows = rows};
    for (size_t r = 0; r < rows; r++) {
        size_t query = (first + r) / group, at = (head + (first + r) % group) * hd;
        b.q[r] = a->q + query * a->ldq + at;
        b.out[r] = a->out + query * a->ldo + at;
        b.sees[r] = visible_keys(a, query);
        if (b.sees[r] > b.most) b.most = b.sees[r];
    }
    attend(&b, a, a->k + kv, a->v + kv);
    for (size_t r = 0; r < rows; r++) {
        size_t at = (first + r) / group * a->ldms + head + (first + r) % group;
        if (!a->max) {
            divide(b.out[r], b.sum[r], hd, b.out[r]);
            continue;
        }
        a->max[at] = b.max[r];
        a->sum[at] = b.sum[r];
    }
}

static size_t rows_together(size_t left) {
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

void omni_attention_run(const omni_attention *a) {
    for (size_t head = 0, group; head < a->heads; head += group) {
        for (group = 1; head + group < a->heads && a->kv_of[head + group] == a->kv_of[head];) group++;
        size_t total = a->queries * group;
        for (size_t r = 0, rows; r < total; r += rows) {
            rows = rows_together(total - r);
            attend_rows(a, head, group, r, rows);
        }
    }
}

void omni_attention_finish(const float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim, float *y,
                           size_t ldy) {
    for (size_t r = 0; r < rows; r++) {
        const float *sum = x + r * ldx + heads * head_dim + heads; /* [heads] */
        for (size_t h = 0; h < heads; h++)
            divide(x + r * ldx + h * head_dim, sum[h], head_dim, y + r * ldy + h * head_dim);
    }
}

/* --- in two halves ---------------------------------------------------------------------------- */

/* Keys that a query sees: all up to its own position. */
static size_t seen_by(const omni_scores *s, size_t query) {
    const omni_attention a = {.query_first = s->query_first, .keys = s->keys, .key_stride = 1};
    return visible_keys(&a, query);
}

/* Queries [first, first + rows) and their packed scores from `at` on; returns what is behind them. */
static float *pack_rows(const omni_scores *s, size_t first, size_t rows, float *at, score_rows *b) {
    *b = (score_rows){.rows = rows};
    for (size_t r = 0; r < rows; r++) {
        b->p[r] = at;
        b->sees[r] = b->most = seen_by(s, first + r); /* never fewer than the query before */
        at += b->sees[r];
    }
    return at;
}

size_t omni_scores_count(const omni_scores *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->queries; i++) n += seen_by(s, i);
    return n;
}

void omni_scores_partial(const omni_scores *s, const float *q, size_t ldq, const float *k) {
    const kernel_ops *ops = kernel_chosen();
    float *at = s->scores;
    if (s->dims == 0) memset(at, 0, omni_scores_count(s) * sizeof *at);
    for (size_t i = 0, rows; s->dims && i < s->queries; i += rows) {
        score_rows b;
        rows = rows_together(s->queries - i);
        at = pack_rows(s, i, rows, at, &b);
        for (size_t r = 0; r < rows; r++) b.q[r] = q + (i + r) * ldq;
        size_t all = b.sees[0]; /* what every row sees; the few keys behind it row by row */
        ops->attention.scores(rows, b.q, k, all, s->dims, s->scale, b.p);
        for (size_t r = 1; r < rows; r++) {
            float *rest = b.p[r] + all;
            ops->attention.scores(1, b.q + r, k + all * s->dims, b.sees[r] - all, s->dims, s->scale, &rest);
        }
    }
}

void omni_scores_weigh(const omni_scores *s, const float *v, float *out, size_t ldo) {
    float *at = s->scores;
    for (size_t i = 0, rows; s->dims && i < s->queries; i += rows) {
        score_rows b;
        rows = rows_together(s->queries - i);
        at = pack_rows(s, i, rows, at, &b);
        for (size_t r = 0; r < rows; r++) b.out[r] = out + (i + r) * ldo;
        soften_and_weigh(&b, v, s->dims);
        for (size_t r = 0; r < rows; r++) divide(b.out[r], b.sum[r], s->dims, b.out[r]);
    }
}
