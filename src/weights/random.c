/* random.c: tensors that are never stored. Element i of a tensor is a pure function of (seed, name, i), so
 * any rank reads any part at any time and everybody agrees:
 *
 *     key = mix(seed ^ fnv1a(name))      bits = mix(key + (i + 1) * golden)      uniform in (-1, 1) from 24
 * bits
 *
 * mix is splitmix64's output function (Steele, Lea, Flood 2014; Vigna's public domain code). A uniform
 * variable on
 * (-a, a) has standard deviation a / sqrt(3). The value is computed in float64, rounded to float32, and from
 * there to BF16, each to nearest even; so a BF16 tensor is the F32 tensor of the same name, rounded.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

static uint64_t mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t fnv1a(const char *name) {
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *c = name; *c; c++) h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    return h;
}

static float value(const weights_random *r, size_t i) {
    uint64_t bits = mix(r->key + ((uint64_t)i + 1) * 0x9e3779b97f4a7c15u) >> 40;
    double uniform = ((double)bits + 0.5) * 0x1p-23 - 1; /* 24 bits, symmetric around 0 */
    return (float)((double)r->mean + (double)r->stddev * 1.7320508075688772 * uniform);
}

/* Round to nearest, ties to even. Values here are finite. */
static uint16_t f32_to_bf16(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void weights_random_fill(const weights_random *r, omni_dtype dtype, size_t first, size_t count, void *dst) {
    float *f32 = dst;
    uint16_t *bf16 = dst;
    if (dtype == OMNI_F32) {
        for (size_t i = 0; i < count; i++) f32[i] = value(r, first + i);
    } else {
        for (size_t i = 0; i < count; i++) bf16[i] = f32_to_bf16(value(r, first + i));
    }
}

static omni_status check_spec(const omni_random_spec *s, size_t *elements, omni_error *err) {
    size_t bytes;
    if (s->dtype != OMNI_F32 && s->dtype != OMNI_BF16)
        return omni_error_set(err, OMNI_BAD_INPUT, "random tensor '%.80s': dtype %s (expected F32 or BF16)",
                              s->name, omni_dtype_name(s->dtype));
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

static omni_status add(omni_weights *w, size_t i, const omni_random_spec *s, uint64_t seed, omni_error *err) {
    omni_tensor *t = &w->tensors[i];
    omni_status status = check_spec(s, &t->elements, err);
    if (status) return status;
    t->dtype = s->dtype;
    t->rank = s->rank;
    memcpy(t->shape, s->shape, s->rank * sizeof *s->shape);
    w->random[i] = (weights_random){.key = mix(seed ^ fnv1a(s->name)), .mean = s->mean, .stddev = s->stddev};
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
    const char *twice = status ? NULL : weights_index(w);
    if (twice)
        status = omni_error_set(err, OMNI_BAD_INPUT,
                                "random tensor '%.80s' twice (expected names of their own)", twice);
    if (status) {
        omni_weights_close(w);
    } else {
        *out = w;
    }
    return status;
}
