/* test_bert.c: BERT's config and pass, and the heads that a config promises. */
#include <stdio.h>

#include "model_tools.h"
#include "omnibus/pe.h"

/* --- what is drawn ---------------------------------------------------------------------------- */

static const drawn layer[] = {
    {"qkv", OMNI_OP_PROJECTION, OMNI_ROLE_QKV, OMNI_REG_X, OMNI_REG_A},
    {"attention", OMNI_OP_ATTENTION, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_B},
    {"o", OMNI_OP_PROJECTION, OMNI_ROLE_O, OMNI_REG_B, OMNI_REG_A},
    {"attn_residual", OMNI_OP_RESIDUAL, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_X},
    {"attn_norm", OMNI_OP_NORM, OMNI_ROLE_NONE, OMNI_REG_X, OMNI_REG_X},
    {"up", OMNI_OP_PROJECTION, OMNI_ROLE_UP, OMNI_REG_X, OMNI_REG_A},
    {"activation", OMNI_OP_ACTIVATION, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_B},
    {"down", OMNI_OP_PROJECTION, OMNI_ROLE_DOWN, OMNI_REG_B, OMNI_REG_A},
    {"ffn_residual", OMNI_OP_RESIDUAL, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_X},
    {"ffn_norm", OMNI_OP_NORM, OMNI_ROLE_NONE, OMNI_REG_X, OMNI_REG_X},
};

/* Behind the layers; what belongs to a head comes and goes with it. */
static const struct {
    unsigned head;
    drawn op;
} behind[] = {
    {0, {"first_rows", OMNI_OP_ROWS, OMNI_ROLE_NONE, OMNI_REG_X, OMNI_REG_H}},
    {POOLER, {"pooler", OMNI_OP_PROJECTION, OMNI_ROLE_HEAD, OMNI_REG_H, OMNI_REG_A}},
    {POOLER, {"pooler_tanh", OMNI_OP_ACTIVATION, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_H}},
    {0, {"result", OMNI_OP_RESULT, OMNI_ROLE_NONE, OMNI_REG_H, OMNI_REG_H}},
    {MLM, {"marked_rows", OMNI_OP_ROWS, OMNI_ROLE_NONE, OMNI_REG_X, OMNI_REG_H}},
    {MLM, {"mlm_dense", OMNI_OP_PROJECTION, OMNI_ROLE_HEAD, OMNI_REG_H, OMNI_REG_A}},
    {MLM, {"mlm_activation", OMNI_OP_ACTIVATION, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_H}},
    {MLM, {"mlm_norm", OMNI_OP_NORM, OMNI_ROLE_NONE, OMNI_REG_H, OMNI_REG_H}},
    {MLM, {"head", OMNI_OP_PROJECTION, OMNI_ROLE_HEAD, OMNI_REG_H, OMNI_REG_A}},
    {MLM, {"argmax", OMNI_OP_ARGMAX, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_A}},
};

void check_bert_end(const omni_model *m, unsigned heads) {
    size_t n = 0;
    cr_assert_eq(m->heads, heads);
    for (size_t i = 0; i < COUNT(behind); i++) {
        if (behind[i].head & ~heads) continue;
        cr_assert_lt(n, m->final_op_count);
        check_drawn(&m->final_ops[n++], &behind[i].op);
    }
    cr_assert_eq(n, m->final_op_count);
}

Test(bert, the_pass_is_drawn_as_the_header_says) {
    omni_model *m = parsed(BERT, "{}");
    cr_assert_eq(m->layer_op_count, COUNT(layer));
    for (size_t i = 0; i < COUNT(layer); i++) check_drawn(&m->layer_ops[i], &layer[i]);
    check_bert_end(m, BOTH);
    static const unsigned turns[] = {0, POOLER, MLM, BOTH, MLM, 0, BOTH}; /* nothing is lost on the way */
    for (size_t i = 0; i < COUNT(turns); i++) {
        omni_model_set_heads(m, turns[i]);
        check_bert_end(m, turns[i]);
    }
    omni_model_free(m);
}

Test(bert, golden) {
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(omni_model_load("tests/golden/bert-tiny", &m, &err), OMNI_OK, "%s", err.text);
    cr_assert_str_eq(m->family, "bert");
    const omni_shape *s = &m->shape;
    cr_assert(s->layers == 3 && s->hidden == 64 && s->heads == 4 && s->kv_heads == 4 && s->head_dim == 16);
    cr_assert(s->ffn == 256 && s->vocab == 211 && s->positions == 64 && s->types == 2);
    cr_assert(s->encoder && s->tied && s->norm_eps == 1e-12 && s->rope_theta == 0);
    cr_assert(m->layer_ops[6].activation == OMNI_ACT_GELU && m->final_ops[2].activation == OMNI_ACT_TANH);
    cr_assert(m->final_ops[0].pick == OMNI_PICK_FIRST && m->eos_count == 0);
    cr_assert_eq(omni_attention_scale(s, 1), 0.25);
    check_bert_end(m, POOLER);
    omni_model_free(m);
}

Test(bert, names) {
    omni_model *m = parsed(BERT, "{}");
    const omni_op *qkv = &m->layer_ops[0], *norm = &m->layer_ops[4], *pooler = &m->final_ops[1];
    check_name(&m->embedding, 0, 0, "bert.embeddings.word_embeddings.weight");
    check_name(&m->embedding, 2, 0, "cls.predictions.decoder.weight");
    check_name(&m->positions, 1, 0, "embeddings.position_embeddings.weight");
    check_name(&m->types, 0, 0, "bert.embeddings.token_type_embeddings.weight");
    check_name(&m->embed_norm_weight, 0, 0, "bert.embeddings.LayerNorm.weight");
    check_name(&m->embed_norm_weight, 3, 0, "embeddings.LayerNorm.gamma");
    check_name(&m->embed_norm_bias, 2, 0, "bert.embeddings.LayerNorm.beta");
    check_name(&qkv->matrix[0].weight, 0, 1, "bert.encoder.layer.1.attention.self.query.weight");
    check_name(&qkv->matrix[1].weight, 1, 1, "encoder.layer.1.attention.self.key.weight");
    check_name(&qkv->matrix[2].bias, 0, 0, "bert.encoder.layer.0.attention.self.value.bias");
    check_name(&m->layer_ops[2].matrix[0].bias, 1, 0, "encoder.layer.0.attention.output.dense.bias");
    check_name(&norm->norm_weight, 2, 1, "bert.encoder.layer.1.attention.output.LayerNorm.gamma");
    check_name(&norm->norm_bias, 1, 1, "encoder.layer.1.attention.output.LayerNorm.bias");
    check_name(&m->layer_ops[5].matrix[0].weight, 0, 0, "bert.encoder.layer.0.intermediate.dense.weight");
    check_name(&m->layer_ops[7].matrix[0].weight, 1, 0, "encoder.layer.0.output.dense.weight");
    check_name(&m->layer_ops[9].norm_bias, 3, 0, "encoder.layer.0.output.LayerNorm.beta");
    check_name(&pooler->matrix[0].weight, 0, 0, "bert.pooler.dense.weight");
    check_name(&pooler->matrix[0].bias, 1, 0, "pooler.dense.bias");
    check_name(&m->final_ops[7].norm_weight, 1, 0, "cls.predictions.transform.LayerNorm.gamma");
    check_name(&m->final_ops[8].matrix[0].weight, 0, 0, "bert.embeddings.word_embeddings.weight");
    check_name(&m->final_ops[8].matrix[0].bias, 0, 0, "cls.predictions.bias");
    check_name(&m->final_ops[8].matrix[0].bias, 1, 0, "cls.predictions.decoder.bias");
    omni_model_free(m);
    m = parsed(BERT, "{\"tie_word_embeddings\": false}");
    check_name(&m->embedding, 2, 0, NULL);
    check_name(&m->final_ops[8].matrix[0].weight, 0, 0, "cls.predictions.decoder.weight");
    check_name(&m->final_ops[8].matrix[0].weight, 1, 0, NULL);
    omni_model_free(m);
}

/* --- configs ---------------------------------------------------------------------------------- */

Test(bert, defaults) {
    omni_model *m = parsed(BERT, "{}");
    const omni_shape *s = &m->shape;
    cr_assert(s->types == 2 && s->norm_eps == 1e-12 && s->tied && s->activation == OMNI_ACT_GELU);
    omni_model_free(m);
    m = parsed(BERT, "{\"type_vocab_size\": 5, \"layer_norm_eps\": 1e-5, \"tie_word_embeddings\": false}");
    cr_assert(m->shape.types == 5 && m->shape.norm_eps == 1e-5 && !m->shape.tied);
    omni_model_free(m);
}

Test(bert, activations) {
    static const struct {
        const char *name;
        omni_activation kind;
    } acts[] = {{"gelu", OMNI_ACT_GELU},         {"gelu_python", OMNI_ACT_GELU},
                {"gelu_new", OMNI_ACT_GELU_NEW}, {"gelu_pytorch_tanh", OMNI_ACT_GELU_NEW},
                {"relu", OMNI_ACT_RELU},         {"silu", OMNI_ACT_SILU},
                {"swish", OMNI_ACT_SILU},        {"tanh", OMNI_ACT_TANH}};
    for (size_t i = 0; i < COUNT(acts); i++) {
        char change[64];
        snprintf(change, sizeof change, "{\"hidden_act\": \"%s\"}", acts[i].name);
        omni_model *m = parsed(BERT, change);
        cr_assert_eq(m->layer_ops[6].activation, acts[i].kind, "%s", change);
        cr_assert_eq(m->final_ops[6].activation, acts[i].kind, "the MLM head's: %s", change);
        cr_assert_eq(m->final_ops[2].activation, OMNI_ACT_TANH, "the pooler's: %s", change);
        omni_model_free(m);
    }
}

Test(bert, what_changes_nothing_is_accepted) {
    static const char *const changes[] = {
        "{\"is_decoder\": false, \"add_cross_attention\": false, \"quantization_config\": null}",
        "{\"position_embedding_type\": \"absolute\", \"pruned_heads\": {}, \"chunk_size_feed_forward\": 4}",
        ("{\"hidden_dropout_prob\": 0.1, \"classifier_dropout\": null, \"use_cache\": true, "
         "\"pad_token_id\": "
         "0}"),
        "{\"type_vocab_size\": null, \"gradient_checkpointing\": false}",
    };
    for (size_t i = 0; i < COUNT(changes); i++) omni_model_free(parsed(BERT, changes[i]));
}

Test(bert, features_are_refused_by_name) {
    static const char *const cases[][2] = {
        {"{\"is_decoder\": true}", "is_decoder true is not supported"},
        {"{\"add_cross_attention\": true}", "add_cross_attention true is not supported"},
        {"{\"is_encoder_decoder\": true}", "is_encoder_decoder"},
        {"{\"position_embedding_type\": \"relative_key\"}",
         "position_embedding_type \"relative_key\" is not supported (expected absolute)"},
        {"{\"position_embedding_type\": \"relative_key_query\"}", "\"relative_key_query\" is not supported"},
        {"{\"quantization_config\": {\"bits\": 8}}", "quantization_config {\"bits\":8} is not supported"},
        {"{\"pruned_heads\": {\"1\": [0]}}", "pruned_heads"},
        {"{\"hidden_act\": \"mish\"}", "hidden_act \"mish\" is not supported (expected gelu_new or "},
        {"{\"hidden_act\": 3}", "hidden_act 3 is not supported"},
        {"{\"hidden_size\": 26}", "hidden_size is 26 (expected a multiple of num_attention_heads, 4)"},
        {"{\"num_attention_heads\": 48}", "multiple of num_attention_heads, 48"},
        {"{\"hidden_size\": 1048577}", "hidden_size is 1048577 (expected a whole number from 1 to 1048576)"},
        {"{\"hidden_size\": \"<absent>\"}", "hidden_size is missing"},
        {"{\"intermediate_size\": 0}", "intermediate_size is 0"},
        {"{\"num_attention_heads\": 0}", "num_attention_heads is 0"},
        {"{\"num_hidden_layers\": 65537}", "num_hidden_layers is 65537"},
        {"{\"vocab_size\": 9223372036854775807}", "vocab_size is 9223372036854775807"},
        {"{\"max_position_embeddings\": 16777217}", "max_position_embeddings is 16777217"},
        {"{\"max_position_embeddings\": \"<absent>\"}", "max_position_embeddings is missing"},
        {"{\"type_vocab_size\": 0}", "type_vocab_size is 0 (expected a whole number from 1"},
        {"{\"type_vocab_size\": 4294967296}", "type_vocab_size is 4294967296"},
        {"{\"type_vocab_size\": \"2\"}", "type_vocab_size is \"2\""},
        {"{\"layer_norm_eps\": 0}", "layer_norm_eps is 0"},
        {"{\"layer_norm_eps\": \"1e-12\"}", "layer_norm_eps is \"1e-12\""},
        {"{\"tie_word_embeddings\": 1}", "tie_word_embeddings is 1 (expected true or false)"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}", "rope_scaling"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) refused(BERT, cases[i][0], cases[i][1]);
}

Test(bert, the_heads_that_a_config_promises) {
    static const struct {
        const char *change;
        unsigned heads;
    } cases[] = {
        {"{\"architectures\": [\"BertModel\"]}", POOLER},
        {"{\"architectures\": [\"BertForMaskedLM\"]}", BOTH},
        {"{\"architectures\": [\"BertForPreTraining\"]}", BOTH},
        {"{\"architectures\": [\"BertModel\", \"BertForMaskedLM\"]}", BOTH},
        {"{\"architectures\": [\"BertForSequenceClassification\"]}", POOLER},
        {"{\"architectures\": \"<absent>\"}", POOLER},
        {"{\"architectures\": null}", POOLER},
        {"{\"architectures\": \"BertForMaskedLM\"}", POOLER}, /* no list: nobody writes that */
        {"{\"architectures\": [null, 3, {}]}", POOLER},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_model *m = parsed(BERT, cases[i].change);
        cr_expect_eq(m->heads, cases[i].heads, "%s: %u", cases[i].change, m->heads);
        omni_model_free(m);
    }
}

/* Hidden D = 768, F = 3072. Embeddings with their norm (30522 + 512 + 2 + 2) D = 23837184; a layer 4 (D D +
 * D) + 2 x 2 D + (F D + F) + (D F + D) = 7087872; pooler D D + D = 590592; MLM head D D + D + 2 D and a bias
 * of the vocabulary, 30522: 622650; untied, a second table of 30522 D = 23440896. */
Test(bert, parameters_of_the_base_model_with_each_head) {
    static const struct {
        unsigned heads;
        uint64_t parameters;
    } cases[] = {{0, 23837184 + 12 * 7087872},
                 {POOLER, 109482240},         /* BertModel */
                 {MLM, 109514298},            /* BertForMaskedLM */
                 {BOTH, 109482240 + 622650}}; /* BertForPreTraining, less its next-sentence head */
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(omni_model_load("configs/models/bert-base-uncased.json", &m, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(m->heads, POOLER); /* its architectures say BertModel */
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_model_set_heads(m, cases[i].heads);
        cr_expect_eq(omni_model_parameters(m), cases[i].parameters);
    }
    omni_model_free(m);
}

/* A tied table counts once, an untied one of the MLM head twice. */
Test(bert, parameters_of_an_untied_head) {
    omni_model *tied = parsed(BERT, "{}"), *untied = parsed(BERT, "{\"tie_word_embeddings\": false}");
    cr_assert_eq(omni_model_parameters(untied) - omni_model_parameters(tied), 31 * 24);
    omni_model_set_heads(tied, POOLER);
    omni_model_set_heads(untied, POOLER);
    cr_assert_eq(omni_model_parameters(untied), omni_model_parameters(tied));
    omni_model_free(tied);
    omni_model_free(untied);
}
