/* size.c: sizes that cannot wrap, element types, and split(), which divides all work in omnibus. */
#include "omnibus/base.h"

static const struct {
    const char *name;
    size_t bytes;
} dtypes[OMNI_DTYPES] = {
    [OMNI_F32] = {"F32", 4}, [OMNI_F16] = {"F16", 2}, [OMNI_BF16] = {"BF16", 2}, [OMNI_F64] = {"F64", 8},
    [OMNI_I32] = {"I32", 4}, [OMNI_I64] = {"I64", 8}, [OMNI_U8] = {"U8", 1},     [OMNI_BOOL] = {"BOOL", 1},
};

size_t omni_dtype_bytes(omni_dtype dtype) {
    return dtypes[dtype].bytes;
}

const char *omni_dtype_name(omni_dtype dtype) {
    return dtypes[dtype].name;
}

bool omni_size_mul(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

bool omni_size_add(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}

size_t omni_round_up(size_t n, size_t to) {
    return (n + to - 1) & ~(to - 1);
}

omni_range omni_split(size_t total, size_t parts, size_t index) {
    size_t each = total / parts, larger = total % parts;
    size_t before = index < larger ? index : larger;
    return (omni_range){.start = index * each + before, .count = each + (index < larger)};
}

omni_range omni_range_meet(omni_range a, omni_range b) {
    size_t start = a.start > b.start ? a.start : b.start;
    size_t end_a = a.start + a.count, end_b = b.start + b.count, end = end_a < end_b ? end_a : end_b;
    return (omni_range){start, end > start ? end - start : 0};
}

bool omni_range_has(omni_range r, size_t item) {
    return item >= r.start && item - r.start < r.count;
}

size_t omni_split_owner(size_t total, size_t parts, size_t item) {
    size_t each = total / parts, larger = total % parts;
    size_t in_larger = larger * (each + 1);
    return item < in_larger ? item / (each + 1) : larger + (item - in_larger) / each;
}

omni_range omni_split_runs(size_t runs, size_t each, size_t parts, size_t index) {
    size_t run = omni_split_owner(parts, runs, index);
    omni_range of_run = omni_split(parts, runs, run),
               mine = omni_split(each, of_run.count, index - of_run.start);
    return (omni_range){.start = run * each + mine.start, .count = mine.count};
}

size_t omni_ceil_log2(size_t n) {
    size_t levels = 0;
    while (levels < 63 && ((size_t)1 << levels) < n) levels++;
    return levels;
}
