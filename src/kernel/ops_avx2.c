/* ops_avx2.c: the kernels for x86-64 with AVX2 and FMA, eight lanes. Compiled for any x86-64; only run after
 * isa.c has asked the CPU.
 */
#if defined(__x86_64__)
#include <immintrin.h>

#define LANES        8
#define LANES_ISA    avx2
#define LANES_TARGET __attribute__((target("avx2,fma")))
#define LANES_FN     static inline __attribute__((always_inline, target("avx2,fma")))
#include "kernel/lanes_generic.h"

/* 16 registers: at most 12 accumulators, two weights, one x */
#define LANES_MAX_ROWS   6
#define LANES_MAX_PANELS 4
#define LANES_TILES(X)   X(1, 4) X(2, 2) X(3, 2) X(4, 1) X(5, 1) X(6, 1)
#define LANES_PAIRS_ROWS 4
#define LANES_PAIRS(X)   X(1, 4) X(2, 2) X(3, 1) X(4, 1)
#define LANES_OPS        kernel_ops_avx2

LANES_FN vec vec_fma(vec a, vec b, vec c) {
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

LANES_FN __m256i vec_first(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Masked lanes touch no memory. */
LANES_FN vec vec_load_n(const float *p, size_t n) {
    return (vec)_mm256_maskload_ps(p, vec_first(n));
}

LANES_FN void vec_store_n(float *p, vec v, size_t n) {
    _mm256_maskstore_ps(p, vec_first(n), (__m256)v);
}

LANES_FN float vec_sum(vec v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#include "kernel/sums_x86.h"

LANES_FN void vec_sums(const vec a[8], float by, float sums[8]) {
    __m256 eight[8];
    LANES_UNROLL for (size_t i = 0; i < 8; i++) eight[i] = (__m256)a[i];
    vec_store(sums, (vec)sums_of_eight(eight) * by);
}

/* Eight BF16 values: the upper halves of floats. */
LANES_FN vec vec_widen(const unsigned char *p) {
    __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (vec)_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

#include "kernel/ops_lanes.h"
#else
typedef int kernel_ops_avx2_needs_x86;
#endif
