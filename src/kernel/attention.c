/* attention.c: softmax(q k^T scale) v for the heads and keys that one PE holds.
 *
 *     heads that share a key-value head      rows = queries x those heads, in this order
 *       -> four rows at a time:  scores [4, keys seen]  ->  exp, max, sum  ->  blocks of 32 keys: out += p v
 *
 * Four rows share every load of k and v, be they four tokens of a prompt or four heads of a group in decode.
 * A row's sums do not depend on the rows beside it, and never include a key it doesn't see: where the rows of
 * a block see different numbers of its keys, each is summed alone.
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
    float *out[KERNEL_QUERY_ROWS];
    size_t sees[KERNEL_QUERY_ROWS], most; /* keys, and the largest of these numbers */
    float max[KERNEL_QUERY_ROWS], sum[KERNEL_QUERY_ROWS];
} score_rows;

/* out[r] = sum_j p[r, j] v[j], block by block of keys */
static void weigh_values(const score_rows *b, const float *p, size_t ldp, const float *v, size_t head_dim) {
    const kernel_ops *ops = kernel_chosen();
    for (size_t j = 0; j < b->most; j += KERNEL_KEY_BLOCK) {
        size_t end = j + KERNEL_KEY_BLOCK < b->most ? j + KERNEL_KEY_BLOCK : b->most;
        bool all = true;
        for (size_t r = 0; r < b->rows; r++) all = all && b->sees[r] >= end;
        if (all) {
            ops->attention.weigh(b->rows, p + j, ldp, v + j * head_dim, end - j, head_dim, b->out);
            continue;
        }
        for (size_t r = 0; r < b->rows; r++) {
            size_t stop = b->sees[r] < end ? b->sees[r] : end;
            if (stop > j)
                ops->attention.weigh(1, p + r * ldp + j, ldp, v + j * head_dim, stop - j, head_dim,
                                     b->out + r);
        }
    }
}

static void attend(score_rows *b, const omni_attention *a, const float *k, const float *v) {
    const kernel_ops *ops = kernel_chosen();
    const size_t lds = omni_attention_scratch_floats(a->keys) / KERNEL_QUERY_ROWS;
    if (b->most) ops->attention.scores(b->rows, b->q, k, b->most, a->head_dim, a->scale, a->scratch, lds);
    for (size_t r = 0; r < b->rows; r++) {
        b->max[r] = -INFINITY;
        b->sum[r] = 0;
        memset(b->out[r], 0, a->head_dim * sizeof(float));
        if (b->sees[r]) b->sum[r] = ops->attention.softmax(a->scratch + r * lds, b->sees[r], &b->max[r]);
    }
    weigh_values(b, a->scratch, lds, v, a->head_dim);
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

void omni_attention_run(const omni_attention *a) {
    for (size_t head = 0, group; head < a->heads; head += group) {
        for (group = 1; head + group < a->heads && a->kv_of[head + group] == a->kv_of[head];) group++;
        size_t total = a->queries * group;
        for (size_t r = 0, rows; r < total; r += rows) {
            rows = total - r >= 4 ? 4 : total - r >= 2 ? 2 : 1;
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
