/* ops_avx512.c: the kernels for x86-64 with AVX-512F, sixteen lanes: a panel's row is one register. The order
 * of every matrix product's sums is AVX2's, and so are its bits. Compiled for any x86-64; only run after
 * isa.c has asked the CPU.
 */
#if defined(__x86_64__)
#include <immintrin.h>

#define LANES        16
#define LANES_ISA    avx512
#define LANES_TARGET __attribute__((target("avx512f,avx2,fma")))
#define LANES_FN     static inline __attribute__((always_inline, target("avx512f,avx2,fma")))
#include "kernel/lanes_generic.h"

/* 32 registers: at most 12 accumulators are enough to keep two adders busy */
#define LANES_MAX_ROWS   12
#define LANES_MAX_PANELS 8
#define LANES_TILES(X)                                                                                       \
    X(1, 8) X(2, 4) X(3, 4) X(4, 2) X(5, 2) X(6, 2) X(7, 2) X(8, 2) X(9, 1) X(10, 1) X(11, 1) X(12, 1)
#define LANES_PAIRS_ROWS 12
#define LANES_PAIRS      LANES_TILES
#define LANES_OPS        kernel_ops_avx512

LANES_FN vec vec_fma(vec a, vec b, vec c) {
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

/* Masked lanes touch no memory. n < 16 */
LANES_FN vec vec_load_n(const float *p, size_t n) {
    return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}

LANES_FN void vec_store_n(float *p, vec v, size_t n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}

LANES_FN float vec_sum(vec v) {
    __m512d whole = _mm512_castps_pd((__m512)v);
    __m256 low = _mm256_castpd_ps(_mm512_castpd512_pd256(whole));
    __m256 eight = _mm256_add_ps(low, _mm256_castpd_ps(_mm512_extractf64x4_pd(whole, 1)));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#include "kernel/sums_x86.h"

LANES_FN void vec_sums(const vec a[8], float by, float sums[8]) {
    __m256 eight[8];
    LANES_UNROLL for (size_t i = 0; i < 8; i++) {
        __m512d whole = _mm512_castps_pd((__m512)a[i]);
        eight[i] = _mm256_add_ps(_mm256_castpd_ps(_mm512_castpd512_pd256(whole)),
                                 _mm256_castpd_ps(_mm512_extractf64x4_pd(whole, 1)));
    }
    _mm256_storeu_ps(sums, _mm256_mul_ps(sums_of_eight(eight), _mm256_set1_ps(by)));
}

/* Sixteen BF16 values: the upper halves of floats. */
LANES_FN vec vec_widen(const unsigned char *p) {
    __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return (vec)_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

#include "kernel/ops_lanes.h"
#else
typedef int kernel_ops_avx512_needs_x86;
#endif
