/* rope.c: rotary position embedding, half-split form: element i of a head turns with element i + head_dim/2,
 * as Hugging Face's Llama stores its weights for. An odd last element stays as it is.
 */
#include <math.h>

#include "kernel/room.h"

void omni_rope_table(size_t positions, size_t head_dim, const double *inverse, float *cos_table,
                     float *sin_table) {
    const size_t half = head_dim / 2;
    for (size_t i = 0; i < half; i++) {
        for (size_t p = 0; p < positions; p++) {
            cos_table[p * half + i] = (float)cos((double)p * inverse[i]);
            sin_table[p * half + i] = (float)sin((double)p * inverse[i]);
        }
    }
}

void omni_rope_row(float *x, size_t heads, size_t head_dim, size_t position, const float *cos_table,
                   const float *sin_table) {
    const size_t half = head_dim / 2;
    const float *c = cos_table + position * half, *s = sin_table + position * half; /* [head_dim/2] */
    for (size_t h = 0; h < heads; h++, x += head_dim) {
        for (size_t i = 0; i < half; i++) {
            float low = x[i], high = x[i + half];
            x[i] = low * c[i] - high * s[i];
            x[i + half] = high * c[i] + low * s[i];
        }
    }
}

void omni_rope_pairs(float *x, size_t first, size_t pairs, size_t head_dim, size_t position,
                     const float *cos_table, const float *sin_table) {
    const size_t half = head_dim / 2;
    const float *c = cos_table + position * half + first, *s = sin_table + position * half + first;
    for (size_t i = 0; i < pairs; i++) {
        float low = x[2 * i], high = x[2 * i + 1];
        x[2 * i] = low * c[i] - high * s[i];
        x[2 * i + 1] = high * c[i] + low * s[i];
    }
}
