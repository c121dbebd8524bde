/* half.c: 16-bit floats, IEEE half and bfloat16: to and from float32.
 *
 * Plain loops without branches, which compilers vectorize, compiled for the base instructions and for AVX2.
 * They do the same arithmetic, so the bits are the same on every CPU. Where the CPU has F16C, it converts
 * halves, eight at a time, and the loops what is left; the loops make a NaN quiet, as it does, so these bits
 * are the same too. Narrowing to bfloat16, which gcc -O2 does not vectorize well, is written out.
 */
#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#endif

#include "omnibus/base.h"

enum { BLOCK = 64 }; /* elements at a time; a constant, or gcc -O2 does not vectorize */

#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

INLINE float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* All ones or all zeros. */
INLINE uint32_t mask(bool yes) {
    return 0u - (uint32_t)yes;
}

/* The upper half of the bits, rounded. A NaN keeps what fits of its payload and becomes quiet. */
INLINE uint16_t bf16_of(float x) {
    uint32_t bits = bits_of(x), nan = mask((bits & 0x7fffffff) > 0x7f800000);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    return (uint16_t)((nan & quiet) | (~nan & rounded));
}

/* After Giesen's float_to_half_fast3_rtne (public domain): below 2^-14 the addition of 0.5 shifts the
 * fraction into place and rounds it. From 65520 on, half way to the next power of two, it is infinite. */
INLINE uint16_t f16_of(float x) {
    uint32_t bits = bits_of(x), size = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
    uint32_t tiny = mask(size < 113u << 23), huge = mask(size >= (143u << 23) - 0x1000),
             nan = mask(size > 0x7f800000);
    uint32_t shifted = bits_of(fabsf(x) + 0.5f) - (126u << 23);
    uint32_t normal = (size - (112u << 23) + 0xfff + (size >> 13 & 1)) >> 13;
    uint32_t half = (tiny & shifted) | (~tiny & normal);
    half = (huge & 0x7c00) | (~huge & half);
    return (uint16_t)(sign | half | (nan & (0x200 | (size >> 13 & 0x3ff))));
}

/* 1 sign, 5 exponent (bias 15), 10 fraction bits. The bits in the place of a single's stand for a value 2^112
 * too small, subnormals included; all ones in the exponent mean infinity or NaN. A NaN becomes quiet. */
INLINE float f32_of_f16(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, endless = mask((half & 0x7c00) == 0x7c00);
    uint32_t quiet = mask((half & 0x7fff) > 0x7c00) & 0x400000;
    float x = float_of((uint32_t)(half & 0x7fff) << 13) * 0x1p112f;
    return float_of(bits_of(x) | sign | (endless & 0x7f800000) | quiet);
}

INLINE uint16_t narrow_one(omni_dtype to, float x) {
    return to == OMNI_F16 ? f16_of(x) : bf16_of(x);
}

INLINE float widen_one(omni_dtype from, uint16_t x) {
    return from == OMNI_F16 ? f32_of_f16(x) : omni_bf16_to_f32(x);
}

INLINE void narrow_all(omni_dtype to, const float *restrict x, uint16_t *restrict y, size_t n) {
    size_t done = 0;
    for (; n - done >= BLOCK; done += BLOCK)
        for (size_t i = 0; i < BLOCK; i++) y[done + i] = narrow_one(to, x[done + i]);
    for (; done < n; done++) y[done] = narrow_one(to, x[done]);
}

INLINE void widen_all(omni_dtype from, const uint16_t *restrict x, float *restrict y, size_t n) {
    size_t done = 0;
    for (; n - done >= BLOCK; done += BLOCK)
        for (size_t i = 0; i < BLOCK; i++) y[done + i] = widen_one(from, x[done + i]);
    for (; done < n; done++) y[done] = widen_one(from, x[done]);
}

/* The type becomes a constant of each loop. */
INLINE void narrow(omni_dtype to, const float *x, uint16_t *y, size_t n) {
    if (to == OMNI_F16)
        narrow_all(OMNI_F16, x, y, n);
    else
        narrow_all(OMNI_BF16, x, y, n);
}

INLINE void widen(omni_dtype from, const uint16_t *x, float *y, size_t n) {
    if (from == OMNI_F16)
        widen_all(OMNI_F16, x, y, n);
    else
        widen_all(OMNI_BF16, x, y, n);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void narrow_avx2(omni_dtype to, const float *x, uint16_t *y,
                                                        size_t n) {
    narrow(to, x, y, n);
}

__attribute__((target("avx2"))) static void widen_avx2(omni_dtype from, const uint16_t *x, float *y,
                                                       size_t n) {
    widen(from, x, y, n);
}

#define F16C __attribute__((target("avx2,f16c")))

/* How many of n it converts: all whole eights. */
F16C static size_t narrow_f16c(const float *x, uint16_t *y, size_t n) {
    size_t i = 0;
    for (; n - i >= 8; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(y + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
    return i;
}

F16C static size_t widen_f16c(const uint16_t *x, float *y, size_t n) {
    size_t i = 0;
    for (; n - i >= 8; i += 8)
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(x + i))));
    return i;
}

#define AVX2 __attribute__((target("avx2")))

/* bf16_of, of eight floats, each in the lower half of its 32 bits. */
AVX2 static inline __m256i bf16_of_8(const float *x) {
    const __m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)x);
    const __m256i upper = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    __m256i size = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff));
    __m256i nan = _mm256_cmpgt_epi32(size, _mm256_set1_epi32(0x7f800000));
    return _mm256_blendv_epi8(_mm256_srli_epi32(rounded, 16), quiet, nan);
}

/* All whole sixteens. Packing works on halves of 128 bits, so the quarters come out as 0 2 1 3. */
AVX2 static size_t narrow_bf16_avx2(const float *x, uint16_t *y, size_t n) {
    size_t i = 0;
    for (; n - i >= 16; i += 16) {
        __m256i packed = _mm256_packus_epi32(bf16_of_8(x + i), bf16_of_8(x + i + 8));
        _mm256_storeu_si256((__m256i *)(void *)(y + i), _mm256_permute4x64_epi64(packed, 0xd8));
    }
    return i;
}

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}

/* clang 14's __builtin_cpu_supports does not know f16c, and asking the CPU is slow on a virtual machine:
 * once. Relaxed: whoever asks gets the same answer. */
static bool has_f16c(void) {
    enum { UNKNOWN, NO, YES };
    static _Atomic int known = UNKNOWN;
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (answer == UNKNOWN) {
        unsigned a, b, c = 0, d;
        answer = has_avx2() && __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C ? YES : NO;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == YES;
}
#else
#define narrow_f16c(x, y, n) ((void)(x), (void)(y), (void)(n), (size_t)0)
#define widen_f16c           narrow_f16c
#define narrow_bf16_avx2     narrow_f16c

#define narrow_avx2 narrow
#define widen_avx2  widen

static bool has_avx2(void) {
    return false;
}

static bool has_f16c(void) {
    return false;
}
#endif

void omni_narrow(omni_dtype to, const float *x, uint16_t *y, size_t n) {
    size_t done = 0;
    if (to == OMNI_F16 && has_f16c()) done = narrow_f16c(x, y, n);
    if (to == OMNI_BF16 && has_avx2()) done = narrow_bf16_avx2(x, y, n);
    if (has_avx2())
        narrow_avx2(to, x + done, y + done, n - done);
    else
        narrow(to, x + done, y + done, n - done);
}

void omni_widen(omni_dtype from, const uint16_t *x, float *y, size_t n) {
    size_t done = from == OMNI_F16 && has_f16c() ? widen_f16c(x, y, n) : 0;
    if (has_avx2())
        widen_avx2(from, x + done, y + done, n - done);
    else
        widen(from, x + done, y + done, n - done);
}

void omni_round_to(omni_dtype to, const float *x, float *y, size_t n) {
    uint16_t half[8 * BLOCK];
    const size_t most = sizeof half / sizeof *half;
    for (size_t done = 0, some; done < n; done += some) {
        some = n - done < most ? n - done : most;
        omni_narrow(to, x + done, half, some);
        omni_widen(to, half, y + done, some);
    }
}
