/* ops_avx512bf16.c: the product of BF16 pairs by the instruction made for it; everything else is AVX-512's.
 * It rounds to nearest even whatever the thread's mode, takes denormals for zeros, and makes zeros where they
 * would result. Compiled for any x86-64; only run after isa.c has asked the CPU.
 */
#if defined(__x86_64__)
#include <immintrin.h>

#define LANES        16
#define LANES_ISA    avx512bf16
#define LANES_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma")))
#define LANES_FN                                                                                             \
    static inline __attribute__((always_inline, target("avx512f,avx512bw,avx512vl,avx512bf16,avx2,fma")))
#include "kernel/lanes_generic.h"

/* 32 registers: at most 16 accumulators, eight weights, one x */
#define LANES_MAX_PANELS 8
#define LANES_PAIRS_ROWS 12
#define LANES_PAIRS(X)                                                                                       \
    X(1, 8) X(2, 4) X(3, 4) X(4, 2) X(5, 2) X(6, 2) X(7, 2) X(8, 2) X(9, 1) X(10, 1) X(11, 1) X(12, 1)

/* Both rows are one load: the n-th 16-bit lane of the pairs is the n/2-th of the first row or of the second.
 * */
LANES_FN vec_bits vec_pairs(const unsigned char *row) {
    const __m512i from =
        _mm512_set_epi32(0x1f000f, 0x1e000e, 0x1d000d, 0x1c000c, 0x1b000b, 0x1a000a, 0x190009, 0x180008,
                         0x170007, 0x160006, 0x150005, 0x140004, 0x130003, 0x120002, 0x110001, 0x100000);
    return (vec_bits)_mm512_permutexvar_epi16(from, _mm512_loadu_si512(row));
}

LANES_FN vec_bits vec_lone(const unsigned char *row) {
    return (vec_bits)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)row));
}

LANES_FN vec vec_dot2(vec acc, vec_bits a, vec_bits b) {
    return (vec)_mm512_dpbf16_ps((__m512)acc, (__m512bh)a, (__m512bh)b);
}

#include "kernel/matmul_pairs.h"

void kernel_pairs_avx512bf16(const kernel_panels *w, const float *x, size_t ldx, size_t m, float *y,
                             size_t ldy, void *scratch) {
    matmul_pairs(w, x, ldx, m, y, ldy, scratch);
}
#else
typedef int kernel_ops_avx512bf16_needs_x86;
#endif
