/* attention.c: the numbers that a config gives attention, computed in float64 in one place: how fast rotary
 * pairs turn, and what scores are multiplied with.
 *
 * "llama3" is transformers' _compute_llama3_parameters. A pair makes turns = positions * f / (2 pi) turns in
 * the positions of the original training:
 *
 *     turns   0 ........ low_freq_factor ........ high_freq_factor ........
 *             f / factor       a blend, linear in turns       f
 */
#include <math.h>

#include "omnibus/model.h"

static double scaled(const omni_rope_scaling *r, double f) {
    if (r->kind == OMNI_ROPE_DEFAULT) return f;
    if (r->kind == OMNI_ROPE_LINEAR) return f / r->factor;
    double turns = r->original_positions * f / (2 * acos(-1));
    if (turns < r->low_freq_factor) return f / r->factor;
    if (turns > r->high_freq_factor) return f;
    double fast = (turns - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    return (1 - fast) * f / r->factor + fast * f;
}

void omni_rope_inverse(const omni_shape *s, double *inverse) {
    for (size_t i = 0; i < s->head_dim / 2; i++)
        inverse[i] = scaled(&s->rope, pow(s->rope_theta, -2.0 * (double)i / (double)s->head_dim));
}

double omni_attention_scale(const omni_shape *s, size_t layer) {
    double scale = s->attn_unscaled ? 1 : 1 / sqrt((double)s->head_dim);
    return s->attn_inverse_layer ? scale / ((double)layer + 1) : scale;
}
