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

omni_range omni_kv_heads(omni_kv kv, const omni_shape *shape, size_t p, size_t i) {
    if (kv != OMNI_KV_HEADS) return (omni_range){0, shape->kv_heads};
    size_t share = shape->heads / shape->kv_heads;
    omni_range q = omni_split(shape->heads, p, i);
    if (q.count == 0) return (omni_range){0, 0};
    size_t first = q.start / share, last = (q.start + q.count - 1) / share;
    return (omni_range){first, last - first + 1};
}

size_t omni_rows_count(omni_rows rows, omni_extent extent, size_t p, size_t i) {
    if (rows == OMNI_ROWS_SEQUENCES) return extent.sequences - extent.open;
    if (rows == OMNI_ROWS_BEGINNINGS) return extent.sequences - (extent.skip > 0);
    if (rows == OMNI_ROWS_MARKS) return extent.marks;
    if (rows == OMNI_ROWS_TOKENS) return extent.tokens;
    size_t n = 0;
    for (size_t s = 0; s < extent.sequences; s++) {
        size_t first = omni_extent_first(&extent, s), end = first + omni_extent_count(&extent, s);
        n += omni_kv_tokens(OMNI_KV_TOKENS, p, i, extent.sequence + s, end);
        n -= omni_kv_tokens(OMNI_KV_TOKENS, p, i, extent.sequence + s, first);
    }
    return n;
}

size_t omni_rows_most(omni_rows rows, omni_extent most, size_t p) {
    if (rows == OMNI_ROWS_TOKEN_SHARE) return most.tokens / p + most.sequences; /* >= sum of ceil(n_s / p) */
    return omni_rows_count(rows, most, p, 0);
}
