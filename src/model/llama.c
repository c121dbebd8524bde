/* llama.c: the Llama family: RMSNorm, rotary positions in half-split form, SwiGLU, grouped-query attention,
 * biases where the config wants them, head tied or untied. Names and defaults are those of transformers'
 * LlamaConfig and LlamaForCausalLM.
 *
 *   x --norm--> q|k|v --attention--> o --(+)--> x --norm--> gate|up --silu(gate) * up--> down --(+)--> x
 *
 * Sliding windows, experts, quantized weights, other position encodings and the extra scales and norms of
 * relatives that call themselves llama change the result; they are refused by name. pretraining_tp does not
 * (it only slices the same products), nor do dropout and caching options.
 */
#include <string.h>

#include "family.h"

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define LAYER(suffix) ((omni_tensor_name){{"model.layers.%zu." suffix, "layers.%zu." suffix}})

static const model_feature unsupported[] = {
    {"quantization_config", MODEL_NEUTRAL_OFF},
    {"compression_config", MODEL_NEUTRAL_OFF},
    {"num_local_experts", MODEL_NEUTRAL_OFF},
    {"num_experts", MODEL_NEUTRAL_OFF},
    {"n_routed_experts", MODEL_NEUTRAL_OFF},
    {"num_experts_per_tok", MODEL_NEUTRAL_OFF},
    {"partial_rotary_factor", MODEL_NEUTRAL_ONE},
    {"alibi", MODEL_NEUTRAL_OFF},
    {"use_alibi", MODEL_NEUTRAL_OFF},
    {"no_rope_layers", MODEL_NEUTRAL_OFF},
    {"attention_chunk_size", MODEL_NEUTRAL_OFF},
    {"use_sliding_window", MODEL_NEUTRAL_OFF},
    {"attn_logit_softcapping", MODEL_NEUTRAL_OFF},
    {"final_logit_softcapping", MODEL_NEUTRAL_OFF},
    {"clip_qkv", MODEL_NEUTRAL_OFF},
    {"use_qk_norm", MODEL_NEUTRAL_OFF},
    {"qk_norm", MODEL_NEUTRAL_OFF},
    {"qk_layernorm", MODEL_NEUTRAL_OFF},
    {"logit_scale", MODEL_NEUTRAL_ONE},
    {"logits_scaling", MODEL_NEUTRAL_ONE},
    {"embedding_multiplier", MODEL_NEUTRAL_ONE},
    {"residual_multiplier", MODEL_NEUTRAL_ONE},
    {"attention_multiplier", MODEL_NEUTRAL_OFF},
    {"is_encoder_decoder", MODEL_NEUTRAL_OFF},
    {"add_cross_attention", MODEL_NEUTRAL_OFF},
    {"pruned_heads", MODEL_NEUTRAL_OFF},
};

/* A window counts unless it is switched off: "sliding_window": 4096, "use_sliding_window": false is full
 * attention. */
static void refuse_window(model_config *c) {
    static const model_feature window = {"sliding_window", MODEL_NEUTRAL_OFF};
    if (!json_is_false(json_object_get(c->object, "use_sliding_window"))) model_config_refuse(c, &window, 1);
}

/* layer_types lists the attention of every layer. */
static void refuse_layer_types(model_config *c) {
    const json_t *types = json_object_get(c->object, "layer_types"), *type;
    char found[64];
    size_t i;
    if (types && !json_is_array(types) && !json_is_null(types))
        model_config_error(c, "layer_types %s is not supported (expected a list)",
                           model_config_show(types, found, sizeof found));
    json_array_foreach(types, i, type) {
        if (json_is_string(type) && strcmp(json_string_value(type), "full_attention") == 0) continue;
        model_config_error(c, "layer_types %s is not supported (expected full_attention)",
                           model_config_show(type, found, sizeof found));
    }
}

static void read_heads(model_config *c, omni_shape *s) {
    s->heads = model_config_size(c, "num_attention_heads", MODEL_MAX_WIDTH);
    s->kv_heads = model_config_size_or(c, "num_key_value_heads", MODEL_MAX_WIDTH, s->heads);
    s->head_dim = model_config_size_or(c, "head_dim", MODEL_MAX_WIDTH, 0);
    if (s->heads % s->kv_heads)
        model_config_error(c, "num_attention_heads is %zu (expected a multiple of num_key_value_heads, %zu)",
                           s->heads, s->kv_heads);
    if (s->head_dim == 0 && s->hidden % s->heads)
        model_config_error(
            c, "hidden_size is %zu (expected a multiple of num_attention_heads, %zu, or head_dim)", s->hidden,
            s->heads);
    if (s->head_dim == 0) s->head_dim = s->hidden / s->heads;
    if (s->head_dim % 2)
        model_config_error(c, "head_dim is %zu (expected an even number, rotary pairs)", s->head_dim);
    if (s->heads * s->head_dim > MODEL_MAX_WIDTH)
        model_config_error(c, "num_attention_heads x head_dim is %zu (expected at most %d)",
                           s->heads * s->head_dim, MODEL_MAX_WIDTH);
}

static void read_shape(model_config *c, omni_shape *s) {
    static const char *const acts[] = {"silu", "swish"}, *const positions[] = {"rope", "rotary"};
    model_config_refuse(c, unsupported, COUNT(unsupported));
    refuse_window(c);
    refuse_layer_types(c);
    model_config_word(c, "hidden_act", acts, COUNT(acts));
    model_config_word(c, "position_embedding_type", positions, COUNT(positions));
    s->layers = model_config_size(c, "num_hidden_layers", MODEL_MAX_LAYERS);
    s->hidden = model_config_size(c, "hidden_size", MODEL_MAX_WIDTH);
    s->ffn = model_config_size(c, "intermediate_size", MODEL_MAX_WIDTH);
    s->vocab = model_config_size(c, "vocab_size", MODEL_MAX_VOCAB);
    s->positions = model_config_size(c, "max_position_embeddings", MODEL_MAX_POSITIONS);
    read_heads(c, s);
    s->norm_eps = model_config_positive_or(c, "rms_norm_eps", 1e-6);
    s->activation = OMNI_ACT_SWIGLU;
    s->attention_bias = model_config_bool_or(c, "attention_bias", false);
    s->mlp_bias = model_config_bool_or(c, "mlp_bias", false);
    model_config_rope(c, s);
    s->tied = model_config_bool_or(c, "tie_word_embeddings", false);
}

static omni_op norm(const char *name, omni_tensor_name weight) {
    omni_op op = model_op(OMNI_OP_NORM, name, OMNI_REG_X, OMNI_REG_H);
    op.norm = OMNI_NORM_RMS;
    op.norm_weight = weight;
    return op;
}

static omni_matrix linear(const char *label, omni_tensor_name weight, omni_tensor_name bias, bool has_bias,
                          size_t in, size_t out) {
    omni_matrix m = model_matrix(label, weight, in, out);
    if (has_bias) m.bias = bias;
    return m;
}

#define LINEAR(label, name, has_bias, in, out)                                                               \
    linear(label, LAYER(name ".weight"), LAYER(name ".bias"), has_bias, in, out)

static omni_op qkv(const omni_shape *s) {
    size_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    omni_matrix m[] = {
        LINEAR("q", "self_attn.q_proj", s->attention_bias, s->hidden, q),
        LINEAR("k", "self_attn.k_proj", s->attention_bias, s->hidden, kv),
        LINEAR("v", "self_attn.v_proj", s->attention_bias, s->hidden, kv),
    };
    return model_projection(OMNI_ROLE_QKV, OMNI_REG_H, OMNI_REG_A, m, COUNT(m));
}

/* A tied table may be stored under either name (story-llama keeps only the head). */
static void draw(model_block *b) {
    const omni_shape *s = &b->model.shape;
    omni_tensor_name table = {
        {"model.embed_tokens.weight", "embed_tokens.weight", s->tied ? "lm_head.weight" : NULL}};
    omni_tensor_name head = s->tied ? table : (omni_tensor_name){{"lm_head.weight"}};
    omni_matrix o[] = {LINEAR("o", "self_attn.o_proj", s->attention_bias, s->heads * s->head_dim, s->hidden)};
    omni_matrix up[] = {LINEAR("gate", "mlp.gate_proj", s->mlp_bias, s->hidden, s->ffn),
                        LINEAR("up", "mlp.up_proj", s->mlp_bias, s->hidden, s->ffn)};
    omni_matrix down[] = {LINEAR("down", "mlp.down_proj", s->mlp_bias, s->ffn, s->hidden)};
    omni_matrix logits[] = {model_matrix("head", head, s->hidden, s->vocab)};
    omni_op layer[] = {
        norm("attn_norm", LAYER("input_layernorm.weight")),
        qkv(s),
        model_op(OMNI_OP_ATTENTION, "attention", OMNI_REG_A, OMNI_REG_B),
        model_projection(OMNI_ROLE_O, OMNI_REG_B, OMNI_REG_A, o, 1),
        model_op(OMNI_OP_RESIDUAL, "attn_residual", OMNI_REG_A, OMNI_REG_X),
        norm("ffn_norm", LAYER("post_attention_layernorm.weight")),
        model_projection(OMNI_ROLE_UP, OMNI_REG_H, OMNI_REG_A, up, 2),
        model_op(OMNI_OP_ACTIVATION, "activation", OMNI_REG_A, OMNI_REG_B),
        model_projection(OMNI_ROLE_DOWN, OMNI_REG_B, OMNI_REG_A, down, 1),
        model_op(OMNI_OP_RESIDUAL, "ffn_residual", OMNI_REG_A, OMNI_REG_X),
    };
    layer[7].activation = s->activation;
    omni_op final[] = {
        model_op(OMNI_OP_ROWS, "last_rows", OMNI_REG_X, OMNI_REG_X),
        norm("final_norm", (omni_tensor_name){{"model.norm.weight", "norm.weight"}}),
        model_projection(OMNI_ROLE_HEAD, OMNI_REG_H, OMNI_REG_A, logits, 1),
        model_op(OMNI_OP_ARGMAX, "argmax", OMNI_REG_A, OMNI_REG_A),
    };
    model_set_layer_ops(b, layer, COUNT(layer));
    model_set_final_ops(b, final, COUNT(final));
    b->model.embedding = table;
}

omni_status model_parse_llama(model_config *c, model_block *b) {
    read_shape(c, &b->model.shape);
    model_config_eos(c, &b->model);
    if (!c->status) draw(b);
    return c->status;
}
