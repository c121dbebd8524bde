/* gpt2.c: GPT-2: LayerNorm with bias, learned positions, one fused q|k|v tensor, gelu in its tanh form unless
 * the config names another activation, head tied by default. Names and defaults are those of transformers'
 * GPT2Config and GPT2LMHeadModel.
 *
 * Its linear layers are Conv1D: weights stored [in, out], the transpose of what others store. c_attn is one
 * tensor [D, 3D]; it is listed as three matrices that begin at columns 0, D and 2D:
 *
 *     c_attn.weight [D, 3D]  =  q [D, D] | k [D, D] | v [D, D]
 *
 * reorder_and_upcast_attn changes rounding only, in half precision; it is accepted.
 */
#include "family.h"

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define LAYER(suffix) ((omni_tensor_name){{"transformer.h.%zu." suffix, "h.%zu." suffix}})
/* LayerNorm parameters, also as files converted from TensorFlow call them. */
#define NORM(where, part, old)                                                                               \
    ((omni_tensor_name){                                                                                     \
        {"transformer." where "." part, where "." part, "transformer." where "." old, where "." old}})

static const model_feature unsupported[] = {
    {"add_cross_attention", MODEL_NEUTRAL_OFF},
    {"quantization_config", MODEL_NEUTRAL_OFF},
    {"is_encoder_decoder", MODEL_NEUTRAL_OFF},
    {"pruned_heads", MODEL_NEUTRAL_OFF},
    {"sliding_window", MODEL_NEUTRAL_OFF},
    {"num_experts", MODEL_NEUTRAL_OFF},
    {"alibi", MODEL_NEUTRAL_OFF},
    {"rope_scaling", MODEL_NEUTRAL_OFF},
    {"rope_parameters", MODEL_NEUTRAL_OFF},
};

static void read_shape(model_config *c, omni_shape *s) {
    static const char *const positions[] = {"absolute"};
    model_config_refuse(c, unsupported, COUNT(unsupported));
    model_config_word(c, "position_embedding_type", positions, COUNT(positions));
    s->activation = model_config_activation(c, "activation_function", OMNI_ACT_GELU_NEW);
    s->attn_unscaled = !model_config_bool_or(c, "scale_attn_weights", true);
    s->attn_inverse_layer = model_config_bool_or(c, "scale_attn_by_inverse_layer_idx", false);
    s->layers = model_config_size(c, "n_layer", MODEL_MAX_LAYERS);
    s->hidden = model_config_size(c, "n_embd", MODEL_MAX_WIDTH / 4);
    s->heads = s->kv_heads = model_config_size(c, "n_head", MODEL_MAX_WIDTH);
    s->ffn = model_config_size_or(c, "n_inner", MODEL_MAX_WIDTH, 4 * s->hidden);
    s->vocab = model_config_size(c, "vocab_size", MODEL_MAX_VOCAB);
    bool old = !json_object_get(c->object, "n_positions") && json_object_get(c->object, "n_ctx");
    s->positions = model_config_size(c, old ? "n_ctx" : "n_positions", MODEL_MAX_POSITIONS);
    s->norm_eps = model_config_positive_or(c, "layer_norm_epsilon", 1e-5);
    s->tied = model_config_bool_or(c, "tie_word_embeddings", true);
    if (s->hidden % s->heads)
        model_config_error(c, "n_embd is %zu (expected a multiple of n_head, %zu)", s->hidden, s->heads);
    s->head_dim = s->hidden / s->heads;
}

static omni_op norm(const char *name, omni_tensor_name weight, omni_tensor_name bias) {
    omni_op op = model_op(OMNI_OP_NORM, name, OMNI_REG_X, OMNI_REG_H);
    op.norm = OMNI_NORM_LAYER;
    op.norm_weight = weight;
    op.norm_bias = bias;
    return op;
}

static omni_matrix conv1d(const char *label, omni_tensor_name weight, omni_tensor_name bias, size_t in,
                          size_t out) {
    omni_matrix m = model_matrix(label, weight, in, out);
    m.bias = bias;
    m.in_out = true;
    return m;
}

static omni_op qkv(const omni_shape *s) {
    static const char *const labels[] = {"q", "k", "v"};
    omni_matrix m[COUNT(labels)];
    for (size_t i = 0; i < COUNT(labels); i++) {
        m[i] =
            conv1d(labels[i], LAYER("attn.c_attn.weight"), LAYER("attn.c_attn.bias"), s->hidden, s->hidden);
        m[i].stored_out = COUNT(labels) * s->hidden;
        m[i].out_offset = i * s->hidden;
    }
    return model_projection(OMNI_ROLE_QKV, OMNI_REG_H, OMNI_REG_A, m, COUNT(m));
}

static omni_op dense(omni_role role, const char *label, omni_tensor_name weight, omni_tensor_name bias,
                     size_t in, size_t out) {
    omni_matrix m = conv1d(label, weight, bias, in, out);
    return model_projection(role, role == OMNI_ROLE_UP ? OMNI_REG_H : OMNI_REG_B, OMNI_REG_A, &m, 1);
}

static void draw(model_block *b) {
    const omni_shape *s = &b->model.shape;
    omni_tensor_name table = {{"transformer.wte.weight", "wte.weight", s->tied ? "lm_head.weight" : NULL}};
    omni_tensor_name head = s->tied ? table : (omni_tensor_name){{"lm_head.weight"}};
    omni_matrix logits = model_matrix("head", head, s->hidden, s->vocab);
    omni_op layer[] = {
        norm("attn_norm", NORM("h.%zu.ln_1", "weight", "gamma"), NORM("h.%zu.ln_1", "bias", "beta")),
        qkv(s),
        model_op(OMNI_OP_ATTENTION, "attention", OMNI_REG_A, OMNI_REG_B),
        dense(OMNI_ROLE_O, "o", LAYER("attn.c_proj.weight"), LAYER("attn.c_proj.bias"), s->hidden, s->hidden),
        model_op(OMNI_OP_RESIDUAL, "attn_residual", OMNI_REG_A, OMNI_REG_X),
        norm("ffn_norm", NORM("h.%zu.ln_2", "weight", "gamma"), NORM("h.%zu.ln_2", "bias", "beta")),
        dense(OMNI_ROLE_UP, "up", LAYER("mlp.c_fc.weight"), LAYER("mlp.c_fc.bias"), s->hidden, s->ffn),
        model_op(OMNI_OP_ACTIVATION, "activation", OMNI_REG_A, OMNI_REG_B),
        dense(OMNI_ROLE_DOWN, "down", LAYER("mlp.c_proj.weight"), LAYER("mlp.c_proj.bias"), s->ffn,
              s->hidden),
        model_op(OMNI_OP_RESIDUAL, "ffn_residual", OMNI_REG_A, OMNI_REG_X),
    };
    layer[7].activation = s->activation;
    omni_op final[] = {
        model_op(OMNI_OP_ROWS, "last_rows", OMNI_REG_X, OMNI_REG_X),
        norm("final_norm", NORM("ln_f", "weight", "gamma"), NORM("ln_f", "bias", "beta")),
        model_projection(OMNI_ROLE_HEAD, OMNI_REG_H, OMNI_REG_A, &logits, 1),
        model_op(OMNI_OP_ARGMAX, "argmax", OMNI_REG_A, OMNI_REG_A),
    };
    model_set_layer_ops(b, layer, COUNT(layer));
    model_set_final_ops(b, final, COUNT(final));
    b->model.embedding = table;
    b->model.positions = (omni_tensor_name){{"transformer.wpe.weight", "wpe.weight"}};
}

omni_status model_parse_gpt2(model_config *c, model_block *b) {
    read_shape(c, &b->model.shape);
    model_config_eos(c, &b->model);
    if (!c->status) draw(b);
    return c->status;
}
