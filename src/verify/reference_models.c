/* reference_models.c: the decoders' forward passes, from embedding to final norm. Written from the papers and
 * the checkpoints' own names, not from the model room's list of ops: its mistakes must not be repeated here.
 *
 *   Llama  Touvron et al. 2023; rotary embedding (Su et al. 2021) in Hugging Face's half-split form;
 *          SwiGLU (Shazeer 2020)
 *   GPT-2  Radford et al. 2019
 */
#include <math.h>
#include <string.h>

#include "reference_parts.h"

/* --- Llama ------------------------------------------------------------------------------------ */

/* Radians that pair i turns from one position to the next: theta^(-2i/h), or slower where the context was
 * stretched: "linear" divides positions, "llama3" (Meta's apply_scaling) goes by the wavelength. */
static double turn(const omni_shape *s, size_t i) {
    const double two_pi = 6.283185307179586476925;
    const omni_rope_scaling *r = &s->rope;
    double frequency = 1 / pow(s->rope_theta, (double)(2 * i) / (double)s->head_dim);
    if (r->kind == OMNI_ROPE_DEFAULT) return frequency;
    if (r->kind == OMNI_ROPE_LINEAR) return frequency / r->factor;
    double wave = two_pi / frequency, length = r->original_positions;
    if (wave < length / r->high_freq_factor) return frequency;
    if (wave > length / r->low_freq_factor) return frequency / r->factor;
    double smooth = (length / wave - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    return (1 - smooth) * frequency / r->factor + smooth * frequency;
}

/* Turns the pair (i, i + h/2) of every head by its position. x [rows, heads, head_dim] */
static void rope(const reference *ref, double *x, size_t heads, const reference_row *row, size_t rows) {
    size_t hd = ref->shape.head_dim, half = hd / 2;
    for (size_t r = 0; !ref->status && r < rows; r++) {
        for (size_t i = 0; i < half; i++) {
            double angle = (double)row[r].position * turn(&ref->shape, i);
            double c = cos(angle), s = sin(angle);
            for (size_t head = 0; head < heads; head++) {
                double *first = x + (r * heads + head) * hd + i, *second = first + half;
                double a = *first, b = *second;
                *first = a * c - b * s;
                *second = b * c + a * s;
            }
        }
    }
}

/* u = silu(gate) * u */
static void swiglu(const reference *ref, double *u, const double *gate, size_t n) {
    for (size_t i = 0; !ref->status && i < n; i++) u[i] *= gate[i] / (1 + exp(-gate[i]));
}

static void llama_layer(reference *ref, size_t layer, const reference_row *row, size_t rows) {
    const omni_shape *s = &ref->shape;
    size_t D = s->hidden, Q = s->heads * s->head_dim, K = s->kv_heads * s->head_dim, F = s->ffn;
    ref_scope_layer(ref, "layers", layer);

    ref_rms_norm(ref, "input_layernorm", rows, ref->h);
    ref_linear(ref, "self_attn.q_proj", ref->h, rows, D, ref->q, Q, s->attention_bias);
    ref_linear(ref, "self_attn.k_proj", ref->h, rows, D, ref->k, K, s->attention_bias);
    ref_linear(ref, "self_attn.v_proj", ref->h, rows, D, ref->v, K, s->attention_bias);
    rope(ref, ref->q, s->heads, row, rows);
    rope(ref, ref->k, s->kv_heads, row, rows);
    ref_attention(ref, layer, REF_EARLIER, row, rows);
    ref_linear(ref, "self_attn.o_proj", ref->a, rows, Q, ref->b, D, s->attention_bias);
    ref_add(ref, ref->x, ref->b, rows * D);

    ref_rms_norm(ref, "post_attention_layernorm", rows, ref->h);
    ref_linear(ref, "mlp.gate_proj", ref->h, rows, D, ref->g, F, s->mlp_bias);
    ref_linear(ref, "mlp.up_proj", ref->h, rows, D, ref->u, F, s->mlp_bias);
    swiglu(ref, ref->u, ref->g, rows * F);
    ref_linear(ref, "mlp.down_proj", ref->u, rows, F, ref->b, D, s->mlp_bias);
    ref_add(ref, ref->x, ref->b, rows * D);
}

static void llama_forward(reference *ref, const reference_row *row, size_t rows) {
    ref_embed(ref, row, rows);
    ref_tap(ref, 0, row, rows);
    for (size_t l = 0; l < ref->shape.layers; l++) {
        llama_layer(ref, l, row, rows);
        ref_tap(ref, l + 1, row, rows);
    }
    ref_scope_top(ref);
    ref_rms_norm(ref, "norm", rows, ref->h);
}

const reference_family ref_llama = {
    .name = "llama",
    .prefix = {"model.", ""},
    .embedding = "embed_tokens.weight",
    .norm = "norm",
    .head_weight = "lm_head.weight",
    .forward = llama_forward,
    .head = ref_lm_head,
};

/* --- GPT-2 ------------------------------------------------------------------------------------ */

/* c_attn yields q|k|v in one row. */
static void split_qkv(const reference *ref, const double *qkv, size_t rows, size_t D) {
    for (size_t r = 0; !ref->status && r < rows; r++) {
        memcpy(ref->q + r * D, qkv + r * 3 * D, D * sizeof *qkv);
        memcpy(ref->k + r * D, qkv + r * 3 * D + D, D * sizeof *qkv);
        memcpy(ref->v + r * D, qkv + r * 3 * D + 2 * D, D * sizeof *qkv);
    }
}

static void gpt2_layer(reference *ref, size_t layer, const reference_row *row, size_t rows) {
    size_t D = ref->shape.hidden, F = ref->shape.ffn;
    ref_scope_layer(ref, "h", layer);

    ref_layer_norm(ref, "ln_1", rows, ref->h);
    ref_conv1d(ref, "attn.c_attn", ref->h, rows, D, ref->u, 3 * D);
    split_qkv(ref, ref->u, rows, D);
    ref_attention(ref, layer, REF_EARLIER, row, rows);
    ref_conv1d(ref, "attn.c_proj", ref->a, rows, D, ref->b, D);
    ref_add(ref, ref->x, ref->b, rows * D);

    ref_layer_norm(ref, "ln_2", rows, ref->h);
    ref_conv1d(ref, "mlp.c_fc", ref->h, rows, D, ref->u, F);
    ref_activate(ref, ref->u, rows * F);
    ref_conv1d(ref, "mlp.c_proj", ref->u, rows, F, ref->b, D);
    ref_add(ref, ref->x, ref->b, rows * D);
}

static void gpt2_forward(reference *ref, const reference_row *row, size_t rows) {
    size_t D = ref->shape.hidden;
    ref_scope_top(ref);
    ref_embed(ref, row, rows);
    for (size_t r = 0; r < rows; r++) {
        ref_lookup(ref, "wpe", ref->shape.positions, row[r].position, ref->h + r * D);
        ref_add(ref, ref->x + r * D, ref->h + r * D, D);
    }
    ref_tap(ref, 0, row, rows);
    for (size_t l = 0; l < ref->shape.layers; l++) {
        gpt2_layer(ref, l, row, rows);
        ref_tap(ref, l + 1, row, rows);
    }
    ref_scope_top(ref);
    ref_layer_norm(ref, "ln_f", rows, ref->h);
}

const reference_family ref_gpt2 = {
    .name = "gpt2",
    .prefix = {"transformer.", ""},
    .embedding = "wte.weight",
    .norm = "ln_f",
    .head_weight = "lm_head.weight",
    .forward = gpt2_forward,
    .head = ref_lm_head,
};
