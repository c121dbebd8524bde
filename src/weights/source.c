/* source.c: what all sources share: finding a tensor by name, and reading elements, as stored or converted.
 *
 * Tensors in a file begin at any byte, so stored elements are always copied out before they are looked at:
 *
 *     mapping (unaligned) --memcpy--> chunk on the stack (aligned) --convert--> caller
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "source.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors is little-endian and read in place");

enum { CHUNK = 512 }; /* elements converted at a time */

typedef union chunk {
    float f32[CHUNK];
    double f64[CHUNK];
    uint16_t bits16[CHUNK];
    int32_t i32[CHUNK];
    int64_t i64[CHUNK];
    uint8_t u8[CHUNK];
} chunk;

omni_weights *weights_new(const char *source, size_t count) {
    omni_weights *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->source = strdup(source);
    w->tensors = calloc(count + 1, sizeof *w->tensors);
    w->by_name = calloc(count + 1, sizeof *w->by_name);
    w->count = count;
    if (w->source && w->tensors && w->by_name) return w;
    omni_weights_close(w);
    return NULL;
}

void omni_weights_close(omni_weights *w) {
    if (!w) return;
    for (size_t i = 0; w->tensors && i < w->count; i++) free((char *)(uintptr_t)w->tensors[i].name);
    if (w->map) munmap(w->map, w->map_bytes);
    free(w->random);
    free(w->by_name);
    free(w->tensors);
    free(w->source);
    free(w);
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const omni_tensor *const *)a)->name, (*(const omni_tensor *const *)b)->name);
}

const char *weights_index(omni_weights *w) {
    for (size_t i = 0; i < w->count; i++) w->by_name[i] = &w->tensors[i];
    qsort(w->by_name, w->count, sizeof *w->by_name, by_name);
    for (size_t i = 1; i < w->count; i++)
        if (strcmp(w->by_name[i - 1]->name, w->by_name[i]->name) == 0) return w->by_name[i]->name;
    return NULL;
}

bool weights_tensor_bytes(const size_t *shape, size_t rank, omni_dtype dtype, size_t *elements,
                          size_t *bytes) {
    *elements = 1;
    for (size_t i = 0; i < rank; i++)
        if (!omni_size_mul(*elements, shape[i], elements)) return false;
    return omni_size_mul(*elements, omni_dtype_bytes(dtype), bytes);
}

const char *omni_weights_source(const omni_weights *w) {
    return w->source;
}

size_t omni_weights_count(const omni_weights *w) {
    return w->count;
}

const omni_tensor *omni_weights_at(const omni_weights *w, size_t i) {
    return &w->tensors[i];
}

const omni_tensor *omni_weights_find(const omni_weights *w, const char *name) {
    omni_tensor wanted = {.name = name};
    const omni_tensor *key = &wanted;
    const omni_tensor **hit = bsearch(&key, w->by_name, w->count, sizeof *w->by_name, by_name);
    return hit ? *hit : NULL;
}

void omni_weights_read(const omni_weights *w, const omni_tensor *t, size_t first, size_t count, void *dst) {
    if (count == 0) return;
    size_t each = omni_dtype_bytes(t->dtype);
    if (w->random) {
        weights_random_fill(&w->random[t - w->tensors], t->dtype, first, count, dst);
    } else {
        memcpy(dst, (const char *)t->data + first * each, count * each);
    }
}

/* IEEE half to single: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 0x1f, fraction = h & 0x3ff, wide;
    float f;
    if (exponent == 0) { /* zero or subnormal: a multiple of 2^-24 */
        f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    wide = sign | (exponent == 31 ? 0xffu : exponent + 112) << 23 | fraction << 13;
    memcpy(&f, &wide, sizeof f);
    return f;
}

/* A loop the compiler can vectorize: this is how most weights are stored. */
static void bf16_to_f32(const uint16_t *bits, size_t n, float *dst) {
    for (size_t i = 0; i < n; i++) {
        uint32_t wide = (uint32_t)bits[i] << 16;
        memcpy(&dst[i], &wide, sizeof wide);
    }
}

static double element(const chunk *c, omni_dtype dtype, size_t i) {
    switch (dtype) {
    case OMNI_F32:
        return (double)c->f32[i];
    case OMNI_F16:
        return (double)f16_to_f32(c->bits16[i]);
    case OMNI_BF16:
        return (double)omni_bf16_to_f32(c->bits16[i]);
    case OMNI_F64:
        return c->f64[i];
    case OMNI_I32:
        return (double)c->i32[i];
    case OMNI_I64:
        return (double)c->i64[i];
    default: /* U8, BOOL */
        return (double)c->u8[i];
    }
}

void omni_weights_read_f32(const omni_weights *w, const omni_tensor *t, size_t first, size_t count,
                           float *dst) {
    if (t->dtype == OMNI_F32) {
        omni_weights_read(w, t, first, count, dst);
        return;
    }
    for (size_t done = 0; done < count; done += CHUNK) {
        chunk c;
        size_t n = count - done < CHUNK ? count - done : CHUNK;
        omni_weights_read(w, t, first + done, n, &c);
        if (t->dtype == OMNI_BF16) {
            bf16_to_f32(c.bits16, n, dst + done);
        } else {
            for (size_t i = 0; i < n; i++) dst[done + i] = (float)element(&c, t->dtype, i);
        }
    }
}

void omni_weights_read_f64(const omni_weights *w, const omni_tensor *t, size_t first, size_t count,
                           double *dst) {
    for (size_t done = 0; done < count; done += CHUNK) {
        chunk c;
        size_t n = count - done < CHUNK ? count - done : CHUNK;
        omni_weights_read(w, t, first + done, n, &c);
        for (size_t i = 0; i < n; i++) dst[done + i] = element(&c, t->dtype, i);
    }
}
