/* kv.c: where keys and values live, and how many rows of a value a rank holds. */
#include "plan/plan.h"

size_t omni_kv_stride(omni_kv kv, size_t p) {
    return kv == OMNI_KV_TOKENS ? p : 1;
}

size_t omni_kv_first(omni_kv kv, size_t p, size_t i, size_t sequence) {
    return kv == OMNI_KV_TOKENS ? (i + p - sequence % p) % p : 0;
}

size_t omni_kv_tokens(omni_kv kv, size_t p, size_t i, size_t sequence, size_t length) {
    size_t first = omni_kv_first(kv, p, i, sequence), stride = omni_kv_stride(kv, p);
    return length <= first ? 0 : (length - first - 1) / stride + 1;
}

size_t omni_subhead_unit(const omni_shape *shape) {
    return shape->rope_theta > 0 ? 2 : 1;
}

omni_subhead omni_subhead_of(const omni_shape *shape, size_t p, size_t i) {
    size_t unit = omni_subhead_unit(shape), units = shape->head_dim / unit;
    omni_subhead s = {.head = omni_split_owner(p, shape->heads, i)};
    omni_range mine = omni_split_runs(shape->heads, units, p, i);
    s.dims = (omni_range){(mine.start - s.head * units) * unit, mine.count * unit};
    return s;
}

/* Query heads that index i answers for. */
static omni_range query_heads(omni_kv kv, const omni_shape *shape, size_t p, size_t i) {
    if (kv == OMNI_KV_HEADS) return omni_split(shape->heads, p, i);
    if (kv == OMNI_KV_SUBHEADS) return (omni_range){omni_subhead_of(shape, p, i).head, 1};
    return (omni_range){0, shape->heads};
}

omni_range omni_kv_heads(omni_kv kv, const omni_shape *shape, size_t p, size_t i) {
    size_t share = shape->heads / shape->kv_heads;
    omni_range q = query_heads(kv, shape, p, i);
    if (q.count == 0) return (omni_range){0, 0};
    size_t first = q.start / share, last = (q.start + q.count - 1) / share;
    return (omni_range){first, last - first + 1};
}

omni_range omni_kv_dims(omni_kv kv, const omni_shape *shape, size_t p, size_t i) {
    return kv == OMNI_KV_SUBHEADS ? omni_subhead_of(shape, p, i).dims : (omni_range){0, shape->head_dim};
}

omni_range omni_kv_features(omni_kv kv, const omni_shape *shape, size_t p, size_t i) {
    omni_range heads = omni_kv_heads(kv, shape, p, i), dims = omni_kv_dims(kv, shape, p, i);
    return (omni_range){heads.start * shape->head_dim + dims.start, heads.count * dims.count};
}

/* Scores of `queries` queries, the last of a sequence that is then `length` long. */
static size_t score_rows(omni_rows rows, size_t queries, size_t length) {
    size_t unseen = queries ? queries * (queries - 1) / 2 : 0; /* keys behind a query */
    return queries * length - (rows == OMNI_ROWS_SCORES_SEEN ? unseen : 0);
}

static size_t kept_rows(const omni_extent *x, size_t s, size_t p, size_t i) {
    size_t q = x->sequence + s, first = omni_extent_first(x, s);
    return omni_kv_tokens(OMNI_KV_TOKENS, p, i, q, first + omni_extent_count(x, s)) -
           omni_kv_tokens(OMNI_KV_TOKENS, p, i, q, first);
}

size_t omni_rows_count(omni_rows rows, omni_extent extent, size_t p, size_t i) {
    if (rows == OMNI_ROWS_SEQUENCES) return extent.sequences - extent.open;
    if (rows == OMNI_ROWS_BEGINNINGS) return extent.sequences - (extent.skip > 0);
    if (rows == OMNI_ROWS_MARKS) return extent.marks;
    if (rows == OMNI_ROWS_TOKENS) return extent.tokens;
    size_t n = 0;
    for (size_t s = 0; s < extent.sequences; s++) {
        size_t first = omni_extent_first(&extent, s), count = omni_extent_count(&extent, s);
        n += rows == OMNI_ROWS_TOKEN_SHARE ? kept_rows(&extent, s, p, i)
                                           : score_rows(rows, count, first + count);
    }
    return n;
}

/* Every token is a query at the end of the longest sequence that there can be. Where it sees no key behind it
 * there are most scores when the queries are spread evenly over the sequences. */
static size_t score_rows_most(omni_rows rows, const omni_extent *most) {
    size_t bound, n = most->sequences;
    if (n == 0) return 0;
    if (!omni_size_mul(most->tokens, most->longest, &bound)) return SIZE_MAX;
    if (rows == OMNI_ROWS_SCORES) return bound;
    size_t each = most->tokens / n, more = most->tokens % n;
    if (each >= most->longest) return n * score_rows(rows, most->longest, most->longest);
    return n * score_rows(rows, each, most->longest) + more * (most->longest - each);
}

size_t omni_rows_most(omni_rows rows, omni_extent most, size_t p) {
    if (rows == OMNI_ROWS_TOKEN_SHARE) return most.tokens / p + most.sequences; /* >= sum of ceil(n_s / p) */
    if (rows == OMNI_ROWS_SCORES || rows == OMNI_ROWS_SCORES_SEEN) return score_rows_most(rows, &most);
    return omni_rows_count(rows, most, p, 0);
}
