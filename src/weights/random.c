/* random.c: tensors that are never stored. Element i of a tensor is a pure function of (seed, name, i), so
 * any rank or thread makes any part at any time and everybody agrees:
 *
 *     keys = splitmix64(seed ^ fnv1a(name), i / 2^32)      bits = hash(i mod 2^32, keys)
 *     uniform in (-1, 1) from the upper 24 bits            value = uniform * stddev * sqrt(3) + mean
 *
 * hash is lowbias32 (Chris Wellons' hash prospector, public domain) with a key before and one between its
 * multiplications, so that no tensor is another one in another order. It is 32 bits wide and counts, because
 * the loop over a block then vectorizes: making weights must keep up with writing them. A uniform variable on
 * (-a, a) has standard deviation a / sqrt(3). The value is computed in float32 and rounded from there to F16
 * or BF16, to nearest even; so such a tensor is the F32 tensor of the same name, rounded.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

enum { BLOCK = 256 }; /* elements made at a time; a constant, or gcc -O2 does not vectorize */

static uint64_t mix(uint64_t z) { /* splitmix64's output function (Steele, Lea, Flood 2014) */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t fnv1a(const char *name) {
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *c = name; *c; c++) h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    return h;
}

/* What the elements of one stretch of 2^32 share. */
typedef struct stretch {
    uint32_t before, between;
    float scale, mean;
} stretch;

static stretch stretch_of(const weights_random *r, size_t first) {
    uint64_t keys = mix(r->key + ((uint64_t)first >> 32) * 0x9e3779b97f4a7c15u);
    return (stretch){.before = (uint32_t)keys,
                     .between = (uint32_t)(keys >> 32),
                     .scale = (float)((double)r->stddev * 1.7320508075688772 * 0x1p-23),
                     .mean = r->mean};
}

/* --- a block: plain loops, compiled for the base instructions and for AVX2 -------------------- */

#define INLINE static inline __attribute__((always_inline))

INLINE void make_f32(stretch s, uint32_t first, float *restrict dst) {
    for (uint32_t i = 0; i < BLOCK; i++) {
        uint32_t x = first + i + s.before;
        x = (x ^ x >> 16) * 0x7feb352du;
        x = ((x ^ x >> 15) + s.between) * 0x846ca68bu;
        x ^= x >> 16;
        int32_t centered = (int32_t)(x >> 8) - (1 << 23);
        dst[i] = ((float)centered + 0.5f) * s.scale + s.mean; /* the sum is exact: 24 bits */
    }
}

INLINE void make(stretch s, omni_dtype dtype, uint32_t first, void *dst) {
    float f32[BLOCK];
    if (dtype == OMNI_F32) {
        make_f32(s, first, dst);
        return;
    }
    make_f32(s, first, f32);
    omni_narrow(dtype, f32, dst, BLOCK);
}

typedef void make_fn(stretch s, omni_dtype dtype, uint32_t first, void *dst);

static void make_base(stretch s, omni_dtype dtype, uint32_t first, void *dst) {
    make(s, dtype, first, dst);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void make_avx2(stretch s, omni_dtype dtype, uint32_t first,
                                                      void *dst) {
    make(s, dtype, first, dst);
}
#endif

static make_fn *choose(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return make_avx2;
#endif
    return make_base;
}

void weights_random_fill(const weights_random *r, omni_dtype dtype, size_t first, size_t count, void *dst) {
    make_fn *block = choose();
    size_t each = omni_dtype_bytes(dtype);
    while (count > 0) {
        stretch s = stretch_of(r, first);
        size_t left = ((size_t)1 << 32) - (first & UINT32_MAX), n = count < left ? count : left;
        float part[BLOCK];
        size_t i = 0;
        for (; n - i >= BLOCK; i += BLOCK) block(s, dtype, (uint32_t)(first + i), (char *)dst + i * each);
        if (i < n) {
            block(s, dtype, (uint32_t)(first + i), part);
            memcpy((char *)dst + i * each, part, (n - i) * each);
        }
        dst = (char *)dst + n * each;
        first += n;
        count -= n;
    }
}

/* --- the source ------------------------------------------------------------------------------- */

omni_status weights_random_check(const omni_random_spec *s, size_t *elements, omni_error *err) {
    size_t bytes;
    if (s->dtype != OMNI_F32 && s->dtype != OMNI_F16 && s->dtype != OMNI_BF16)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "random tensor '%.80s': dtype %s (expected F32, F16 or BF16)", s->name,
                              omni_dtype_name(s->dtype));
    if (!isfinite(s->mean) || !isfinite(s->stddev) || s->stddev < 0)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "random tensor '%.80s': mean %g, stddev %g (expected finite, stddev >= 0)",
                              s->name, (double)s->mean, (double)s->stddev);
    if (s->rank > 2 || !weights_tensor_bytes(s->shape, s->rank, s->dtype, elements, &bytes))
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "random tensor '%.80s': bad shape (expected rank 0 to 2, no overflow)",
                              s->name);
    return OMNI_OK;
}

weights_random weights_random_of(const omni_random_spec *s, uint64_t seed) {
    return (weights_random){.key = mix(seed ^ fnv1a(s->name)), .mean = s->mean, .stddev = s->stddev};
}

static omni_status add(omni_weights *w, size_t i, const omni_random_spec *s, uint64_t seed, omni_error *err) {
    omni_tensor *t = &w->tensors[i];
    omni_status status = weights_random_check(s, &t->elements, err);
    if (status) return status;
    t->dtype = s->dtype;
    t->rank = s->rank;
    memcpy(t->shape, s->shape, s->rank * sizeof *s->shape);
    w->random[i] = weights_random_of(s, seed);
    t->name = strdup(s->name);
    return t->name ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "random tensors: out of memory");
}

omni_status omni_weights_open_random(const omni_random_spec *spec, size_t count, uint64_t seed,
                                     omni_weights **out, omni_error *err) {
    *out = NULL;
    omni_weights *w = weights_new("random", count);
    if (w) w->random = calloc(count + 1, sizeof *w->random);
    omni_status status = OMNI_OK;
    if (!w || !w->random) status = omni_error_set(err, OMNI_RUN_FAILED, "random tensors: out of memory");
    for (size_t i = 0; !status && i < count; i++) status = add(w, i, &spec[i], seed, err);
    size_t twice = 0;
    if (!status && !weights_index(w, &twice))
        status = omni_error_set(err, OMNI_RUN_FAILED, "random tensors: out of memory");
    if (twice)
        status =
            omni_error_set(err, OMNI_BAD_INPUT, "random tensor '%.80s' twice (expected names of their own)",
                           w->by_name[twice]->name);
    if (status) {
        omni_weights_close(w);
    } else {
        *out = w;
    }
    return status;
}
