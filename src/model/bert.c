/* bert.c: BERT (Devlin et al., arXiv:1810.04805): an encoder. Learned positions and token types, their sum
 * normed at the host port; post-norm layers; attention in both directions; gelu in its exact form unless the
 * config names another activation. Names and defaults are those of transformers' BertConfig, BertModel and
 * BertForPreTraining.
 *
 *   x --> q|k|v --attention--> o --(+ x)--norm--> x --> up --gelu--> down --(+ x)--norm--> x
 *
 * Behind the layers stand up to two heads: the pooler, tanh(W x + b) of each first token, and the masked
 * language model, which predicts marked tokens: dense, activation, norm, and the embedding table with a bias
 * of its own. The next-sentence head, two numbers out of the pooler, is left out. Dropout and
 * chunk_size_feed_forward do not change a result.
 */
#include <string.h>

#include "family.h"

#define COUNT(array)  (sizeof(array) / sizeof *(array))
#define NAME(name)    ((omni_tensor_name){{"bert." name, name}})
#define LAYER(suffix) NAME("encoder.layer.%zu." suffix)
/* LayerNorm parameters, also as files converted from TensorFlow call them. */
#define NORM(where, part, old)                                                                               \
    ((omni_tensor_name){{"bert." where ".LayerNorm." part, where ".LayerNorm." part,                         \
                         "bert." where ".LayerNorm." old, where ".LayerNorm." old}})

static const model_feature unsupported[] = {
    {"is_decoder", MODEL_NEUTRAL_OFF},          {"add_cross_attention", MODEL_NEUTRAL_OFF},
    {"quantization_config", MODEL_NEUTRAL_OFF}, {"is_encoder_decoder", MODEL_NEUTRAL_OFF},
    {"pruned_heads", MODEL_NEUTRAL_OFF},        {"sliding_window", MODEL_NEUTRAL_OFF},
    {"num_experts", MODEL_NEUTRAL_OFF},         {"rope_scaling", MODEL_NEUTRAL_OFF},
    {"rope_parameters", MODEL_NEUTRAL_OFF},
};

static void read_shape(model_config *c, omni_shape *s) {
    static const char *const positions[] = {"absolute"};
    model_config_refuse(c, unsupported, COUNT(unsupported));
    model_config_word(c, "position_embedding_type", positions, COUNT(positions));
    s->activation = model_config_activation(c, "hidden_act", OMNI_ACT_GELU);
    s->layers = model_config_size(c, "num_hidden_layers", MODEL_MAX_LAYERS);
    s->hidden = model_config_size(c, "hidden_size", MODEL_MAX_WIDTH);
    s->heads = s->kv_heads = model_config_size(c, "num_attention_heads", MODEL_MAX_WIDTH);
    s->ffn = model_config_size(c, "intermediate_size", MODEL_MAX_WIDTH);
    s->vocab = model_config_size(c, "vocab_size", MODEL_MAX_VOCAB);
    s->positions = model_config_size(c, "max_position_embeddings", MODEL_MAX_POSITIONS);
    s->types = model_config_size_or(c, "type_vocab_size", MODEL_MAX_VOCAB, 2);
    s->norm_eps = model_config_positive_or(c, "layer_norm_eps", 1e-12);
    s->tied = model_config_bool_or(c, "tie_word_embeddings", true);
    s->encoder = true;
    if (s->hidden % s->heads)
        model_config_error(c, "hidden_size is %zu (expected a multiple of num_attention_heads, %zu)",
                           s->hidden, s->heads);
    s->head_dim = s->hidden / s->heads;
}

/* What a config promises: always a pooler, and the MLM head by the class that it was saved from. */
static unsigned promised_heads(const model_config *c) {
    const json_t *classes = json_object_get(c->object, "architectures");
    unsigned heads = OMNI_HEAD_POOLER;
    for (size_t i = 0; i < json_array_size(classes); i++) {
        const char *name = json_string_value(json_array_get(classes, i));
        bool mlm = name && (strcmp(name, "BertForMaskedLM") == 0 || strcmp(name, "BertForPreTraining") == 0);
        if (mlm) heads |= OMNI_HEAD_MLM;
    }
    return heads;
}

static omni_op norm(const char *name, int reg, omni_tensor_name weight, omni_tensor_name bias) {
    omni_op op = model_op(OMNI_OP_NORM, name, reg, reg);
    op.norm = OMNI_NORM_LAYER;
    op.norm_weight = weight;
    op.norm_bias = bias;
    return op;
}

static omni_matrix linear(const char *label, omni_tensor_name weight, omni_tensor_name bias, size_t in,
                          size_t out) {
    omni_matrix m = model_matrix(label, weight, in, out);
    m.bias = bias;
    return m;
}

static omni_op dense(omni_role role, int in, const char *label, omni_tensor_name weight,
                     omni_tensor_name bias, size_t width_in, size_t width_out) {
    omni_matrix m = linear(label, weight, bias, width_in, width_out);
    return model_projection(role, in, OMNI_REG_A, &m, 1);
}

static omni_op activation(const char *name, int out, omni_activation kind) {
    omni_op op = model_op(OMNI_OP_ACTIVATION, name, OMNI_REG_A, out);
    op.activation = kind;
    return op;
}

static omni_op of_head(unsigned head, omni_op op) {
    op.head = head;
    return op;
}

static omni_op named(const char *name, omni_op op) {
    op.name = name;
    return op;
}

static omni_op rows(const char *name, omni_pick pick) {
    omni_op op = model_op(OMNI_OP_ROWS, name, OMNI_REG_X, OMNI_REG_H);
    op.pick = pick;
    return op;
}

static omni_op qkv(const omni_shape *s) {
    omni_matrix m[] = {
        linear("q", LAYER("attention.self.query.weight"), LAYER("attention.self.query.bias"), s->hidden,
               s->hidden),
        linear("k", LAYER("attention.self.key.weight"), LAYER("attention.self.key.bias"), s->hidden,
               s->hidden),
        linear("v", LAYER("attention.self.value.weight"), LAYER("attention.self.value.bias"), s->hidden,
               s->hidden),
    };
    return model_projection(OMNI_ROLE_QKV, OMNI_REG_X, OMNI_REG_A, m, COUNT(m));
}

static void draw_layers(model_block *b) {
    const omni_shape *s = &b->model.shape;
    omni_op layer[] = {
        qkv(s),
        model_op(OMNI_OP_ATTENTION, "attention", OMNI_REG_A, OMNI_REG_B),
        dense(OMNI_ROLE_O, OMNI_REG_B, "o", LAYER("attention.output.dense.weight"),
              LAYER("attention.output.dense.bias"), s->hidden, s->hidden),
        model_op(OMNI_OP_RESIDUAL, "attn_residual", OMNI_REG_A, OMNI_REG_X),
        norm("attn_norm", OMNI_REG_X, NORM("encoder.layer.%zu.attention.output", "weight", "gamma"),
             NORM("encoder.layer.%zu.attention.output", "bias", "beta")),
        dense(OMNI_ROLE_UP, OMNI_REG_X, "up", LAYER("intermediate.dense.weight"),
              LAYER("intermediate.dense.bias"), s->hidden, s->ffn),
        activation("activation", OMNI_REG_B, s->activation),
        dense(OMNI_ROLE_DOWN, OMNI_REG_B, "down", LAYER("output.dense.weight"), LAYER("output.dense.bias"),
              s->ffn, s->hidden),
        model_op(OMNI_OP_RESIDUAL, "ffn_residual", OMNI_REG_A, OMNI_REG_X),
        norm("ffn_norm", OMNI_REG_X, NORM("encoder.layer.%zu.output", "weight", "gamma"),
             NORM("encoder.layer.%zu.output", "bias", "beta")),
    };
    model_set_layer_ops(b, layer, COUNT(layer));
}

/* All of them; omni_model_set_heads picks. */
static void draw_heads(model_block *b) {
    enum { H = OMNI_REG_H, POOLER = OMNI_HEAD_POOLER, MLM = OMNI_HEAD_MLM };
    const omni_shape *s = &b->model.shape;
    size_t D = s->hidden;
    omni_tensor_name decoder = {{"cls.predictions.decoder.weight"}};
    omni_tensor_name decoder_bias = {{"cls.predictions.bias", "cls.predictions.decoder.bias"}};
    omni_tensor_name mlm_weight = {{"cls.predictions.transform.dense.weight"}};
    omni_tensor_name mlm_bias = {{"cls.predictions.transform.dense.bias"}};
    omni_tensor_name norm_weight = {
        {"cls.predictions.transform.LayerNorm.weight", "cls.predictions.transform.LayerNorm.gamma"}};
    omni_tensor_name norm_bias = {
        {"cls.predictions.transform.LayerNorm.bias", "cls.predictions.transform.LayerNorm.beta"}};
    omni_op final[] = {
        rows("first_rows", OMNI_PICK_FIRST),
        of_head(POOLER, named("pooler", dense(OMNI_ROLE_HEAD, H, "pooler", NAME("pooler.dense.weight"),
                                              NAME("pooler.dense.bias"), D, D))),
        of_head(POOLER, activation("pooler_tanh", H, OMNI_ACT_TANH)),
        model_op(OMNI_OP_RESULT, "result", H, H),
        of_head(MLM, rows("marked_rows", OMNI_PICK_MARKED)),
        of_head(MLM, named("mlm_dense", dense(OMNI_ROLE_HEAD, H, "mlm_dense", mlm_weight, mlm_bias, D, D))),
        of_head(MLM, activation("mlm_activation", H, s->activation)),
        of_head(MLM, norm("mlm_norm", H, norm_weight, norm_bias)),
        of_head(MLM, dense(OMNI_ROLE_HEAD, H, "head", s->tied ? b->model.embedding : decoder, decoder_bias, D,
                           s->vocab)),
        of_head(MLM, model_op(OMNI_OP_ARGMAX, "argmax", OMNI_REG_A, OMNI_REG_A)),
    };
    model_set_final_ops(b, final, COUNT(final));
}

static void draw(model_block *b) {
    omni_model *m = &b->model;
    m->embedding = NAME("embeddings.word_embeddings.weight");
    if (m->shape.tied) m->embedding.name[2] = "cls.predictions.decoder.weight";
    m->positions = NAME("embeddings.position_embeddings.weight");
    m->types = NAME("embeddings.token_type_embeddings.weight");
    m->embed_norm_weight = NORM("embeddings", "weight", "gamma");
    m->embed_norm_bias = NORM("embeddings", "bias", "beta");
    draw_layers(b);
    draw_heads(b);
}

omni_status model_parse_bert(model_config *c, model_block *b) {
    read_shape(c, &b->model.shape);
    if (c->status) return c->status;
    draw(b);
    omni_model_set_heads(&b->model, promised_heads(c));
    return OMNI_OK;
}
