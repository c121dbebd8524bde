/* half.c: 16-bit floats, IEEE half and bfloat16: to and from float32.
 *
 * Plain loops without branches, which compilers vectorize, compiled for the base instructions and for AVX2. They do
 * the same arithmetic, so the bits are the same on every CPU. (F16C would make other bits of a signaling NaN.)
 */
#include <math.h>
#include <string.h>

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

/* After Giesen's float_to_half_fast3_rtne (public domain): below 2^-14 the addition of 0.5 shifts the fraction into
 * place and rounds it. From 65520 on, half way to the next power of two, it is infinite. */
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

/* 1 sign, 5 exponent (bias 15), 10 fraction bits. The bits in the place of a single's stand for a value 2^112 too
 * small, subnormals included; all ones in the exponent mean infinity or NaN. */
INLINE float f32_of_f16(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, endless = mask((half & 0x7c00) == 0x7c00);
    float x = float_of((uint32_t)(half & 0x7fff) << 13) * 0x1p112f;
    return float_of(bits_of(x) | sign | (endless & 0x7f800000));
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

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2");
}
#else
#define narrow_avx2 narrow
#define widen_avx2  widen

static bool has_avx2(void) {
    return false;
}
#endif

void omni_narrow(omni_dtype to, const float *x, uint16_t *y, size_t n) {
    if (has_avx2())
        narrow_avx2(to, x, y, n);
    else
        narrow(to, x, y, n);
}

void omni_widen(omni_dtype from, const uint16_t *x, float *y, size_t n) {
    if (has_avx2())
        widen_avx2(from, x, y, n);
    else
        widen(from, x, y, n);
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
