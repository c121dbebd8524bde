/* combine.c: the operators of a reduction: acc = acc (+) in. Each has an identity, what an empty share holds,
 * and returns the other side bit by bit when one side is it: {-INFINITY, UINT32_MAX}, (0, 0, 0), max =
 * -INFINITY. The sum of float32 buffers is in rows.c.
 */
#include <math.h>

#include "kernel/room.h"

void omni_combine_argmax(void *acc, const void *in, size_t bytes, const void *arg) {
    (void)arg;
    omni_best *a = acc;
    const omni_best *b = in;
    for (size_t i = 0; i < bytes / sizeof *a; i++) {
        if (b[i].index == UINT32_MAX) continue;
        bool none = a[i].index == UINT32_MAX, tie = b[i].value == a[i].value && b[i].index < a[i].index;
        if (none || tie || b[i].value > a[i].value) a[i] = b[i];
    }
}

/* Chan, Golub and LeVeque, "Algorithms for computing the sample variance", The American Statistician 37(3),
 * 1983 */
static void merge_moments(float *a, const float *b) {
    double na = (double)a[0], nb = (double)b[0], n = na + nb;
    if (!(nb > 0)) return;
    if (!(na > 0)) {
        memcpy(a, b, 3 * sizeof *a);
        return;
    }
    double delta = (double)b[1] - (double)a[1];
    a[0] = (float)n;
    a[1] = (float)((double)a[1] + delta * nb / n);
    a[2] = (float)((double)a[2] + (double)b[2] + delta * delta * na * nb / n);
}

void omni_combine_moments(void *acc, const void *in, size_t bytes, const void *arg) {
    (void)arg;
    for (size_t i = 0; i < bytes / (3 * sizeof(float)); i++)
        merge_moments((float *)acc + 3 * i, (const float *)in + 3 * i);
}

/* One head: out [head_dim], max, sum. Milakov and Gimelshein, "Online normalizer calculation for softmax",
 * arXiv:1805.02867 */
static void merge_lse(float *out, float *max, float *sum, const float *in_out, float in_max, float in_sum,
                      size_t n) {
    if (in_max == -INFINITY) return;
    if (*max == -INFINITY) {
        memcpy(out, in_out, n * sizeof *out);
        *max = in_max;
        *sum = in_sum;
        return;
    }
    float top = in_max > *max ? in_max : *max, mine = expf(*max - top), theirs = expf(in_max - top);
    for (size_t d = 0; d < n; d++) out[d] = out[d] * mine + in_out[d] * theirs;
    *max = top;
    *sum = *sum * mine + in_sum * theirs;
}

void omni_combine_lse(void *acc, const void *in, size_t bytes, const void *arg) {
    const omni_lse_shape *shape = arg;
    const size_t h = shape->heads, hd = shape->head_dim, width = h * (hd + 2);
    float *a = acc;
    const float *b = in;
    for (size_t left = width ? bytes / sizeof *a / width : 0; left > 0; left--, a += width, b += width)
        for (size_t i = 0; i < h; i++)
            merge_lse(a + i * hd, a + h * hd + i, a + h * hd + h + i, b + i * hd, b[h * hd + i],
                      b[h * hd + h + i], hd);
}
