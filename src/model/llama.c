/* llama.c: the Llama family: RMSNorm, rotary positions in half-split form, SwiGLU, grouped-query attention,
 * no biases, head tied or untied. Names and defaults are those of transformers' LlamaConfig and
 * LlamaForCausalLM.
 *
 *   x --norm--> q|k|v --attention--> o --(+)--> x --norm--> gate|up --silu(gate) * up--> down --(+)--> x
 *
 * Rotary scaling, biases, sliding windows, experts and quantized weights change the result; they are refused
 * by name. pretraining_tp does not (it only slices the same products), nor do dropout and caching options.
 */
#include <string.h>

#include "family.h"

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define LAYER(suffix) ((omni_tensor_name){{"model.layers.%zu." suffix, "layers.%zu." suffix}})

static const model_feature unsupported[] = {
    {"attention_bias", MODEL_NEUTRAL_OFF},      {"mlp_bias", MODEL_NEUTRAL_OFF},
    {"quantization_config", MODEL_NEUTRAL_OFF}, {"num_local_experts", MODEL_NEUTRAL_OFF},
    {"num_experts", MODEL_NEUTRAL_OFF},         {"partial_rotary_factor", MODEL_NEUTRAL_ONE},
    {"use_sliding_window", MODEL_NEUTRAL_OFF},  {"is_encoder_decoder", MODEL_NEUTRAL_OFF},
    {"pruned_heads", MODEL_NEUTRAL_OFF},
};

/* A window counts unless it is switched off: "sliding_window": 4096, "use_sliding_window": false is full
 * attention. */
static void refuse_window(model_config *c) {
    static const model_feature window = {"sliding_window", MODEL_NEUTRAL_OFF};
    if (!json_is_false(json_object_get(c->object, "use_sliding_window"))) model_config_refuse(c, &window, 1);
}

/* rope_scaling or rope_parameters: null, or an object of the default type; without a type, nothing but the
 * base. */
static void check_rope(model_config *c, const char *field) {
    const json_t *rope = json_object_get(c->object, field), *wrong = NULL;
    const json_t *types[] = {json_object_get(rope, "rope_type"), json_object_get(rope, "type")};
    char found[96];
    if (!rope || json_is_null(rope)) return;
    for (size_t i = 0; i < COUNT(types); i++)
        if (types[i] && (!json_is_string(types[i]) || strcmp(json_string_value(types[i]), "default") != 0))
            wrong = types[i];
    size_t bare = json_object_get(rope, "rope_theta") ? 1 : 0;
    if (!json_is_object(rope) || (!types[0] && !types[1] && json_object_size(rope) > bare)) wrong = rope;
    if (wrong)
        model_config_error(c, "%s %s%s is not supported (expected null or \"rope_type\": \"default\")", field,
                           wrong == rope ? "" : "of type ", model_config_show(wrong, found, sizeof found));
}

/* The base stands at the top or, in newer files, in rope_parameters. */
static double read_theta(model_config *c) {
    check_rope(c, "rope_scaling");
    check_rope(c, "rope_parameters");
    double theta = model_config_positive_or(c, "rope_theta", 10000.0);
    const json_t *rope = json_object_get(c->object, "rope_parameters");
    if (c->status || !json_is_object(rope)) return theta;
    static const model_feature partial = {"partial_rotary_factor", MODEL_NEUTRAL_ONE};
    model_config inner = *c;
    inner.object = rope;
    model_config_refuse(&inner, &partial, 1);
    double newer = model_config_positive_or(&inner, "rope_theta", theta);
    c->status = inner.status;
    if (newer != theta && json_object_get(c->object, "rope_theta"))
        model_config_error(c, "rope_theta is %g, and %g in rope_parameters (expected one value)", theta,
                           newer);
    return newer;
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
    static const char *const acts[] = {"silu"};
    model_config_refuse(c, unsupported, COUNT(unsupported));
    refuse_window(c);
    model_config_word(c, "hidden_act", acts, COUNT(acts));
    s->layers = model_config_size(c, "num_hidden_layers", MODEL_MAX_LAYERS);
    s->hidden = model_config_size(c, "hidden_size", MODEL_MAX_WIDTH);
    s->ffn = model_config_size(c, "intermediate_size", MODEL_MAX_WIDTH);
    s->vocab = model_config_size(c, "vocab_size", MODEL_MAX_VOCAB);
    s->positions = model_config_size(c, "max_position_embeddings", MODEL_MAX_POSITIONS);
    read_heads(c, s);
    s->norm_eps = model_config_positive_or(c, "rms_norm_eps", 1e-6);
    s->rope_theta = read_theta(c);
    s->tied = model_config_bool_or(c, "tie_word_embeddings", false);
}

static omni_op norm(const char *name, omni_tensor_name weight) {
    omni_op op = model_op(OMNI_OP_NORM, name, OMNI_REG_X, OMNI_REG_H);
    op.norm = OMNI_NORM_RMS;
    op.norm_weight = weight;
    return op;
}

static omni_op qkv(const omni_shape *s) {
    size_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    omni_matrix m[] = {
        model_matrix("q", LAYER("self_attn.q_proj.weight"), s->hidden, q),
        model_matrix("k", LAYER("self_attn.k_proj.weight"), s->hidden, kv),
        model_matrix("v", LAYER("self_attn.v_proj.weight"), s->hidden, kv),
    };
    for (size_t i = 0; i < COUNT(m); i++) m[i].unit = s->head_dim;
    m[1].share = m[2].share = s->heads / s->kv_heads;
    return model_projection(OMNI_ROLE_QKV, OMNI_REG_H, OMNI_REG_A, m, COUNT(m));
}

/* A tied table may be stored under either name (story-llama keeps only the head). */
static void draw(model_block *b) {
    const omni_shape *s = &b->model.shape;
    omni_tensor_name table = {
        {"model.embed_tokens.weight", "embed_tokens.weight", s->tied ? "lm_head.weight" : NULL}};
    omni_tensor_name head = s->tied ? table : (omni_tensor_name){{"lm_head.weight"}};
    omni_matrix o[] = {
        model_matrix("o", LAYER("self_attn.o_proj.weight"), s->heads * s->head_dim, s->hidden)};
    omni_matrix up[] = {model_matrix("gate", LAYER("mlp.gate_proj.weight"), s->hidden, s->ffn),
                        model_matrix("up", LAYER("mlp.up_proj.weight"), s->hidden, s->ffn)};
    omni_matrix down[] = {model_matrix("down", LAYER("mlp.down_proj.weight"), s->ffn, s->hidden)};
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
    layer[7].activation = OMNI_ACT_SWIGLU;
    omni_op final[] = {
        model_op(OMNI_OP_LAST_ROWS, "last_rows", OMNI_REG_X, OMNI_REG_X),
        norm("final_norm", (omni_tensor_name){{"model.norm.weight", "norm.weight"}}),
        model_projection(OMNI_ROLE_HEAD, OMNI_REG_H, OMNI_REG_A, logits, 1),
        model_op(OMNI_OP_ARGMAX, "argmax", OMNI_REG_A, OMNI_REG_A),
    };
    model_set_ops(b, layer, COUNT(layer), final, COUNT(final));
    b->model.embedding = table;
}

omni_status model_parse_llama(model_config *c, model_block *b) {
    read_shape(c, &b->model.shape);
    model_config_eos(c, &b->model);
    if (!c->status) draw(b);
    return c->status;
}
