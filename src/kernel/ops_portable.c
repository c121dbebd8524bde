/* ops_portable.c: the kernels in plain C, on four-lane vectors that any compiler target can carry out.
 * Multiply and add round separately here (no target is sure to have a fused one), so the bits differ from
 * AVX2's.
 */
#define LANES     4
#define LANES_ISA portable
#define LANES_TARGET
#define LANES_FN static inline __attribute__((always_inline))
#include "kernel/lanes_generic.h"

#define LANES_MAX_ROWS   3
#define LANES_MAX_PANELS 2
#define LANES_TILES(X)   X(1, 2) X(2, 1) X(3, 1)
#define LANES_PAIRS_ROWS 2
#define LANES_PAIRS(X)   X(1, 2) X(2, 1)
#define LANES_OPS        kernel_ops_portable

LANES_FN vec vec_fma(vec a, vec b, vec c) {
    return a * b + c;
}

LANES_FN vec vec_load_n(const float *p, size_t n) {
    vec v = {0};
    memcpy(&v, p, n * sizeof *p);
    return v;
}

LANES_FN void vec_store_n(float *p, vec v, size_t n) {
    memcpy(p, &v, n * sizeof *p);
}

LANES_FN float vec_sum(vec v) {
    return (v[0] + v[2]) + (v[1] + v[3]);
}

LANES_FN void vec_sums(const vec a[8], float by, float sums[8]) {
    for (size_t i = 0; i < 8; i++) sums[i] = vec_sum(a[i]) * by;
}

/* Four BF16 values: the upper halves of floats. */
LANES_FN vec vec_widen(const unsigned char *p) {
    uint16_t h[LANES];
    memcpy(h, p, sizeof h);
    vec_bits bits = {h[0], h[1], h[2], h[3]};
    return (vec)(bits << 16);
}

#include "kernel/ops_lanes.h"
