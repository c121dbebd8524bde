/* attention.c: softmax(q k^T scale) v for the heads and keys that one PE holds.
 *
 *     heads that share a key-value head      rows = queries x those heads, in this order
 *       -> eight rows at a time:  scores [8, keys seen]  ->  exp, max, sum  ->  blocks of 32 keys: out += p v
 *
 * Four rows share every load of k and v, be they four tokens of a prompt or four heads of a group in decode,
 * and eight a block in L1. Where there is one row to a key-value head (decode without groups), four heads go
 * together. A row's sums do not depend on the rows beside it, and never include a key it doesn't see: where
 * the rows of a block see different numbers of its keys, each is summed alone.
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

/* Of so many rows, those that one call of a kernel takes. */
static size_t rows_together(size_t left) {
    return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

typedef struct score_rows {
    size_t rows;
    bool apart; /* each row has its own keys and values; else all have the first one's */
    const float *q[KERNEL_QUERY_ROWS], *k[KERNEL_QUERY_ROWS], *v[KERNEL_QUERY_ROWS];
    float *p[KERNEL_QUERY_ROWS]; /* scores, then exp of them */
    float *out[KERNEL_QUERY_ROWS];
    size_t sees[KERNEL_QUERY_ROWS], most; /* keys, and the largest of these numbers */
    float max[KERNEL_QUERY_ROWS], sum[KERNEL_QUERY_ROWS];
} score_rows;

/* Row r's keys or values from key j on, for kernels that start with row r. */
static void from_key(const score_rows *b, const float *const *of, size_t r, size_t j, size_t head_dim,
                     const float **to) {
    for (size_t i = r; i < b->rows; i++) to[i - r] = of[b->apart ? i : 0] + j * head_dim;
}

/* A block of keys serves all rows while it is in L1. */
static void score_keys(const score_rows *b, size_t head_dim, float scale) {
    const kernel_ops *ops = kernel_chosen();
    for (size_t j = 0; j < b->most; j += KERNEL_KEY_BLOCK) {
        size_t keys = b->most - j < KERNEL_KEY_BLOCK ? b->most - j : KERNEL_KEY_BLOCK;
        for (size_t r = 0, n; r < b->rows; r += n) {
            const float *k[KERNEL_QUERY_ROWS];
            float *p[KERNEL_QUERY_ROWS];
            n = rows_together(b->rows - r);
            from_key(b, b->k, r, j, head_dim, k);
            for (size_t i = 0; i < n; i++) p[i] = b->p[r + i] + j;
            ops->attention.scores(n, b->apart, b->q + r, k, keys, head_dim, scale, p);
        }
    }
}

/* out[r] += sum_j p[r, j] v[j] over keys [j, end) of row r and of those behind it that `n` allows. */
static void weigh_block(const score_rows *b, size_t r, size_t n, size_t j, size_t end, size_t head_dim) {
    const float *v[KERNEL_QUERY_ROWS];
    float *p[KERNEL_QUERY_ROWS];
    from_key(b, b->v, r, j, head_dim, v);
    for (size_t i = 0; i < n; i++) p[i] = b->p[r + i] + j;
    kernel_chosen()->attention.weigh(n, b->apart, p, v, end - j, head_dim, b->out + r);
}

/* out[r] = sum_j p[r, j] v[j], block by block of keys; rows that see different numbers of a block's, one by
 * one */
static void weigh_values(const score_rows *b, size_t head_dim) {
    for (size_t j = 0; j < b->most; j += KERNEL_KEY_BLOCK) {
        size_t end = j + KERNEL_KEY_BLOCK < b->most ? j + KERNEL_KEY_BLOCK : b->most;
        bool all = true;
        for (size_t r = 0; r < b->rows; r++) all = all && b->sees[r] >= end;
        for (size_t r = 0, n; r < b->rows; r += n) {
            size_t stop = b->sees[r] < end ? b->sees[r] : end;
            n = all ? rows_together(b->rows - r) : 1;
            if (stop > j) weigh_block(b, r, n, j, stop, head_dim);
        }
    }
}

/* p = exp(scores - max), out = p v, not divided yet */
static void soften_and_weigh(score_rows *b, size_t head_dim) {
    for (size_t r = 0; r < b->rows; r++) {
        b->max[r] = -INFINITY;
        b->sum[r] = 0;
        memset(b->out[r], 0, head_dim * sizeof(float));
        if (b->sees[r]) b->sum[r] = kernel_chosen()->attention.softmax(b->p[r], b->sees[r], &b->max[r]);
    }
    weigh_values(b, head_dim);
}

/* out /= sum; a row that has seen no key (sum = 0) stays 0 */
static void divide(const float *x, float sum, size_t n, float *y) {
    float by = sum == 0 ? 1 : sum;
    for (size_t d = 0; d < n; d++) y[d] = x[d] / by;
}

/* Rows [first, first + rows) of the `group` heads from `head` on, which share one key-value head or are all
 * apart. */
static void attend(const omni_attention *a, size_t head, size_t group, size_t first, size_t rows,
                   bool apart) {
    const size_t hd = a->head_dim, lds = omni_attention_scratch_floats(a->keys) / KERNEL_QUERY_ROWS;
    score_rows b = {.rows = rows, .apart = apart};
    for (size_t r = 0; r < rows; r++) {
        size_t query = (first + r) / group, h = head + (first + r) % group;
        size_t kv = a->keys ? a->kv_of[h] * a->capacity * hd : 0;
        b.q[r] = a->q + query * a->ldq + h * hd;
        b.k[r] = a->k + kv;
        b.v[r] = a->v + kv;
        b.p[r] = a->scratch + r * lds;
        b.out[r] = a->out + query * a->ldo + h * hd;
        b.sees[r] = visible_keys(a, query);
        if (b.sees[r] > b.most) b.most = b.sees[r];
    }
    score_keys(&b, hd, a->scale);
    soften_and_weigh(&b, hd);
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

/* Heads from `head` on that have the same key-value head; or, of one query, that have one each, at most as
 * many as a kernel takes together. */
static size_t heads_together(const omni_attention *a, size_t head, bool *apart) {
    size_t n = 1;
    while (head + n < a->heads && a->kv_of[head + n] == a->kv_of[head]) n++;
    *apart = n == 1 && a->queries == 1;
    while (*apart && n < 4 && head + n < a->heads && a->kv_of[head + n] != a->kv_of[head + n - 1]) n++;
    return *apart ? rows_together(n) : n;
}

void omni_attention_run(const omni_attention *a) {
    bool apart;
    for (size_t head = 0, group; head < a->heads; head += group) {
        group = heads_together(a, head, &apart);
        size_t total = a->queries * group;
        for (size_t r = 0, rows; r < total; r += rows) {
            rows = total - r < KERNEL_QUERY_ROWS ? total - r : KERNEL_QUERY_ROWS;
            attend(a, head, group, r, rows, apart);
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
        ops->attention.scores(rows, false, b.q, &k, all, s->dims, s->scale, b.p);
        for (size_t r = 1; r < rows; r++) {
            const float *behind = k + all * s->dims;
            float *rest = b.p[r] + all;
            ops->attention.scores(1, false, b.q + r, &behind, b.sees[r] - all, s->dims, s->scale, &rest);
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
        b.v[0] = v;
        soften_and_weigh(&b, s->dims);
        for (size_t r = 0; r < rows; r++) divide(b.out[r], b.sum[r], s->dims, b.out[r]);
    }
}
