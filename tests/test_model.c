/* test_model.c: configs as they come, the defaults, and what a checkpoint has. Refusals are
 * test_model_refused.c's. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model_tools.h"

/* --- what is drawn ---------------------------------------------------------------------------- */

Test(model, the_pass_is_drawn_as_the_header_says) {
    static const drawn want[] = {
        {"attn_norm", OMNI_OP_NORM, OMNI_ROLE_NONE, OMNI_REG_X, OMNI_REG_H},
        {"qkv", OMNI_OP_PROJECTION, OMNI_ROLE_QKV, OMNI_REG_H, OMNI_REG_A},
        {"attention", OMNI_OP_ATTENTION, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_B},
        {"o", OMNI_OP_PROJECTION, OMNI_ROLE_O, OMNI_REG_B, OMNI_REG_A},
        {"attn_residual", OMNI_OP_RESIDUAL, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_X},
        {"ffn_norm", OMNI_OP_NORM, OMNI_ROLE_NONE, OMNI_REG_X, OMNI_REG_H},
        {"up", OMNI_OP_PROJECTION, OMNI_ROLE_UP, OMNI_REG_H, OMNI_REG_A},
        {"activation", OMNI_OP_ACTIVATION, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_B},
        {"down", OMNI_OP_PROJECTION, OMNI_ROLE_DOWN, OMNI_REG_B, OMNI_REG_A},
        {"ffn_residual", OMNI_OP_RESIDUAL, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_X},
        {"last_rows", OMNI_OP_ROWS, OMNI_ROLE_NONE, OMNI_REG_X, OMNI_REG_X},
        {"final_norm", OMNI_OP_NORM, OMNI_ROLE_NONE, OMNI_REG_X, OMNI_REG_H},
        {"head", OMNI_OP_PROJECTION, OMNI_ROLE_HEAD, OMNI_REG_H, OMNI_REG_A},
        {"argmax", OMNI_OP_ARGMAX, OMNI_ROLE_NONE, OMNI_REG_A, OMNI_REG_A},
    };
    const char *const bases[] = {LLAMA, GPT2};
    for (size_t b = 0; b < COUNT(bases); b++) {
        omni_model *m = parsed(bases[b], "{}");
        cr_assert_eq(m->layer_op_count, 10);
        cr_assert_eq(m->final_op_count, 4);
        for (size_t i = 0; i < COUNT(want); i++)
            check_drawn(i < 10 ? &m->layer_ops[i] : &m->final_ops[i - 10], &want[i]);
        omni_model_free(m);
    }
}

Test(model, llama_golden) {
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(omni_model_load("tests/golden/llama-tiny-gqa", &m, &err), OMNI_OK, "%s", err.text);
    cr_assert_str_eq(m->family, "llama");
    cr_assert_str_eq(m->name, "llama-tiny-gqa");
    const omni_shape *s = &m->shape;
    cr_assert(s->layers == 2 && s->hidden == 96 && s->heads == 6 && s->kv_heads == 2 && s->head_dim == 16);
    cr_assert(s->ffn == 256 && s->vocab == 211 && s->positions == 256 && s->tied);
    cr_assert(s->norm_eps == 1e-6 && s->rope_theta == 500000.0);
    cr_assert(m->eos_count == 1 && m->eos[0] == 2);
    const omni_op *qkv = &m->layer_ops[1], *up = &m->layer_ops[6];
    cr_assert_eq(qkv->matrices, 3);
    cr_assert(qkv->matrix[0].in == 96 && qkv->matrix[0].out == 96);
    cr_assert(qkv->matrix[2].out == 32);
    cr_assert(!qkv->matrix[0].in_out && qkv->matrix[0].stored_out == 96 && qkv->matrix[0].out_offset == 0);
    check_name(&qkv->matrix[1].weight, 0, 1, "model.layers.1.self_attn.k_proj.weight");
    check_name(&qkv->matrix[1].weight, 1, 1, "layers.1.self_attn.k_proj.weight");
    check_name(&qkv->matrix[1].weight, 2, 1, NULL);
    check_name(&qkv->matrix[1].bias, 0, 1, NULL);
    cr_assert_str_eq(up->matrix[0].label, "gate");
    cr_assert_str_eq(up->matrix[1].label, "up");
    cr_assert_eq(m->layer_ops[7].activation, OMNI_ACT_SWIGLU);
    cr_assert_eq(m->layer_ops[0].norm, OMNI_NORM_RMS);
    check_name(&m->final_ops[1].norm_weight, 0, 7, "model.norm.weight");
    check_name(&m->final_ops[2].matrix[0].weight, 0, 0, "model.embed_tokens.weight");
    check_name(&m->final_ops[2].matrix[0].weight, 2, 0, "lm_head.weight");
    check_name(&m->embedding, 2, 0, "lm_head.weight");
    check_name(&m->positions, 0, 0, NULL);
    cr_assert_eq(omni_model_parameters(m), 217344);
    omni_model_free(m);
}

Test(model, gpt2_golden) {
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(omni_model_load("tests/golden/gpt2-tiny/config.json", &m, &err), OMNI_OK, "%s", err.text);
    cr_assert_str_eq(m->family, "gpt2");
    cr_assert_str_eq(m->name, "gpt2-tiny");
    const omni_shape *s = &m->shape;
    cr_assert(s->layers == 3 && s->hidden == 64 && s->heads == 4 && s->kv_heads == 4 && s->head_dim == 16);
    cr_assert(s->ffn == 256 && s->vocab == 211 && s->positions == 128 && s->tied);
    cr_assert(s->norm_eps == 1e-5 && s->rope_theta == 0);
    const omni_op *qkv = &m->layer_ops[1];
    for (size_t i = 0; i < 3; i++) {
        const omni_matrix *q = &qkv->matrix[i];
        cr_assert(q->in_out && q->in == 64 && q->out == 64 && q->stored_out == 192 &&
                  q->out_offset == 64 * i);
        check_name(&q->weight, 0, 2, "transformer.h.2.attn.c_attn.weight");
        check_name(&q->bias, 1, 2, "h.2.attn.c_attn.bias");
    }
    cr_assert(m->layer_ops[8].matrix[0].in == 256 && m->layer_ops[8].matrix[0].in_out);
    cr_assert(!m->final_ops[2].matrix[0].in_out);
    cr_assert_eq(m->layer_ops[7].activation, OMNI_ACT_GELU_NEW);
    cr_assert_eq(m->layer_ops[5].norm, OMNI_NORM_LAYER);
    check_name(&m->layer_ops[5].norm_bias, 1, 0, "h.0.ln_2.bias");
    check_name(&m->final_ops[1].norm_weight, 3, 0, "ln_f.gamma");
    check_name(&m->positions, 1, 0, "wpe.weight");
    cr_assert_eq(omni_model_parameters(m), 171776);
    omni_model_free(m);
}

Test(model, demos_and_the_other_golden_load) {
    static const char *const paths[] = {"configs/demo/llama/", "configs/demo/gpt2", "configs/demo/bert",
                                        "tests/golden/llama-tiny-mha", "tests/golden/bert-tiny"};
    static const uint64_t parameters[] = {836736, 891648, 991744, 175680, 171968};
    for (size_t i = 0; i < COUNT(paths); i++) {
        omni_model *m;
        omni_error err = {0};
        cr_assert_eq(omni_model_load(paths[i], &m, &err), OMNI_OK, "%s", err.text);
        cr_assert_eq(omni_model_parameters(m), parameters[i]);
        omni_model_free(m);
    }
}

/* --- defaults --------------------------------------------------------------------------------- */

Test(model, llama_defaults) {
    omni_model *m = parsed(LLAMA, "{}");
    cr_assert(m->shape.kv_heads == 6 && m->shape.head_dim == 16 && !m->shape.tied);
    cr_assert(m->shape.rope_theta == 10000 && m->shape.norm_eps == 1e-6 && m->eos_count == 0);
    check_name(&m->final_ops[2].matrix[0].weight, 0, 0, "lm_head.weight");
    check_name(&m->final_ops[2].matrix[0].weight, 1, 0, NULL);
    check_name(&m->embedding, 2, 0, NULL);
    omni_model_free(m);
    m = parsed(LLAMA, "{\"head_dim\": 32, \"num_key_value_heads\": 3, \"eos_token_id\": [7, 9]}");
    cr_assert(m->shape.head_dim == 32 && m->layer_ops[1].matrix[0].out == 192);
    cr_assert(m->layer_ops[1].matrix[1].out == 96 && m->layer_ops[3].matrix[0].in == 192);
    cr_assert(m->eos_count == 2 && m->eos[1] == 9);
    omni_model_free(m);
}

Test(model, gpt2_defaults) {
    omni_model *m =
        parsed(GPT2, "{\"n_inner\": 100, \"tie_word_embeddings\": false, \"n_positions\": \"<absent>\", "
                     "\"n_ctx\": 32, \"activation_function\": \"gelu_pytorch_tanh\"}");
    cr_assert(m->shape.ffn == 100 && m->shape.positions == 32 && !m->shape.tied);
    check_name(&m->final_ops[2].matrix[0].weight, 0, 0, "lm_head.weight");
    check_name(&m->embedding, 2, 0, NULL);
    omni_model_free(m);
}

Test(model, what_changes_nothing_is_accepted) {
    static const char *const changes[] = {
        "{\"rope_scaling\": null}",
        "{\"rope_scaling\": {\"type\": \"default\"}}",
        "{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 7.5}}",
        "{\"rope_parameters\": {\"rope_theta\": 7.5}, \"rope_theta\": 7.5}",
        "{\"sliding_window\": 4096, \"use_sliding_window\": false}",
        "{\"sliding_window\": null, \"quantization_config\": null, \"mlp_bias\": false}",
        "{\"pretraining_tp\": 2, \"partial_rotary_factor\": 1.0, \"head_dim\": null, \"eos_token_id\": null}",
    };
    for (size_t i = 0; i < COUNT(changes); i++) {
        omni_model *m = parsed(LLAMA, changes[i]);
        if (strstr(changes[i], "7.5")) cr_assert_eq(m->shape.rope_theta, 7.5);
        omni_model_free(m);
    }
    omni_model_free(parsed(GPT2, "{\"reorder_and_upcast_attn\": true, \"scale_attn_weights\": true}"));
}

/* --- what a config may change ----------------------------------------------------------------- */

Test(model, llama_biases) {
    omni_model *m = parsed(LLAMA, "{\"attention_bias\": true}");
    check_name(&m->layer_ops[1].matrix[2].bias, 0, 1, "model.layers.1.self_attn.v_proj.bias");
    check_name(&m->layer_ops[3].matrix[0].bias, 1, 0, "layers.0.self_attn.o_proj.bias");
    check_name(&m->layer_ops[6].matrix[0].bias, 0, 0, NULL);
    uint64_t with = omni_model_parameters(m);
    omni_model_free(m);
    m = parsed(LLAMA, "{\"mlp_bias\": true}");
    check_name(&m->layer_ops[1].matrix[0].bias, 0, 0, NULL);
    check_name(&m->layer_ops[6].matrix[1].bias, 0, 0, "model.layers.0.mlp.up_proj.bias");
    check_name(&m->layer_ops[8].matrix[0].bias, 0, 1, "model.layers.1.mlp.down_proj.bias");
    cr_assert_eq(omni_model_parameters(m) - with, 2 * (256 + 256 + 96) - 2 * 4 * 96);
    omni_model_free(m);
}

Test(model, gpt2_attention_scale_and_activation) {
    static const struct {
        const char *name;
        omni_activation kind;
    } acts[] = {{"gelu", OMNI_ACT_GELU},          {"gelu_python", OMNI_ACT_GELU}, {"relu", OMNI_ACT_RELU},
                {"gelu_fast", OMNI_ACT_GELU_NEW}, {"silu", OMNI_ACT_SILU},        {"swish", OMNI_ACT_SILU},
                {"tanh", OMNI_ACT_TANH}};
    for (size_t i = 0; i < COUNT(acts); i++) {
        char change[64];
        snprintf(change, sizeof change, "{\"activation_function\": \"%s\"}", acts[i].name);
        omni_model *m = parsed(GPT2, change);
        cr_assert(m->layer_ops[7].activation == acts[i].kind && m->shape.activation == acts[i].kind);
        omni_model_free(m);
    }
    omni_model *m = parsed(GPT2, "{}");
    cr_assert_eq(omni_attention_scale(&m->shape, 2), 0.25);
    omni_model_free(m);
    m = parsed(GPT2, "{\"scale_attn_weights\": false}");
    cr_assert_eq(omni_attention_scale(&m->shape, 2), 1);
    omni_model_free(m);
    m = parsed(GPT2, "{\"scale_attn_by_inverse_layer_idx\": true}");
    cr_assert(omni_attention_scale(&m->shape, 0) == 0.25 && omni_attention_scale(&m->shape, 2) == 0.25 / 3);
    omni_model_free(m);
}

static void check_frequency(const double *got, size_t i, double want) {
    cr_assert(fabs(got[i] - want) <= 1e-9 * want, "%zu: %.17g for %.17g", i, got[i], want);
}

/* Llama 3.1 8B: head_dim 128, theta 5e5. By hand: theta^(-2i/128) has the wavelength 2 pi theta^(i/64). At i
 * = 0 it is 6.28, below 8192/4: unchanged. At i = 63, 2559195, above 8192/1: divided by 8. At i = 32 it is 2
 * pi sqrt(5e5) = 4442.9, so smooth = (8192/4442.88 - 1)/3 = 0.281280 and the frequency is (0.718720/8 +
 * 0.281280) times 0.00141421. */
Test(model, llama3_frequencies_by_hand) {
    static const char *const spellings[] = {
        "{\"head_dim\": 128, \"rope_theta\": 500000.0, \"rope_scaling\": {\"factor\": 8.0, "
        "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192, "
        "\"rope_type\": \"llama3\"}}",
        "{\"head_dim\": 128, \"rope_theta\": 500000.0, \"rope_scaling\": {\"factor\": 8, "
        "\"low_freq_factor\": 1, \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192, "
        "\"type\": \"llama3\"}}",
        "{\"head_dim\": 128, \"rope_parameters\": {\"factor\": 8.0, \"rope_theta\": 500000.0, "
        "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192, "
        "\"rope_type\": \"llama3\"}}",
    };
    for (size_t i = 0; i < COUNT(spellings); i++) {
        double f[64];
        omni_model *m = parsed(LLAMA, spellings[i]);
        omni_rope_inverse(&m->shape, f);
        check_frequency(f, 0, 1);
        check_frequency(f, 16, 0.037606030930863934);
        const double smooth = (8192 / 4442.8829381583662 - 1) / 3;
        check_frequency(f, 32, 0.0014142135623730951 * ((1 - smooth) / 8 + smooth));
        check_frequency(f, 63, 2.4551407911305607e-06 / 8);
        omni_model_free(m);
    }
}

Test(model, linear_frequencies_are_all_divided) {
    static const char *const spellings[] = {
        "{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}}",
        "{\"rope_scaling\": {\"type\": \"linear\", \"rope_type\": \"linear\", \"factor\": 4}}",
        "{\"rope_parameters\": {\"rope_type\": \"linear\", \"factor\": 4, \"rope_theta\": 1e4}}",
    };
    for (size_t i = 0; i < COUNT(spellings); i++) {
        double f[8];
        omni_model *m = parsed(LLAMA, spellings[i]);
        omni_rope_inverse(&m->shape, f);
        check_frequency(f, 0, 0.25);
        check_frequency(f, 4, 0.0025);
        omni_model_free(m);
    }
}

/* --- the tensors of a checkpoint -------------------------------------------------------------- */

static const json_t *stored_shape(const json_t *header, const omni_model_tensor *t) {
    char name[OMNI_NAME];
    const json_t *tensor = NULL;
    for (size_t i = 0; !tensor && omni_tensor_name_format(t->stored, i, t->layer, name); i++)
        tensor = json_object_get(header, name);
    return json_object_get(tensor, "shape");
}

/* The list is the checkpoint: every name and shape, nothing twice, nothing more. */
static void check_tensors(const char *dir) {
    omni_error err = {0};
    omni_model *m;
    omni_model_tensor *t;
    size_t count, rank, i;
    uint64_t elements = 0;
    char path[128];
    cr_assert_eq(omni_model_load(dir, &m, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_model_tensors(m, &t, &count, &err), OMNI_OK, "%s", err.text);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *file = fopen(path, "rb");
    uint64_t length;
    cr_assert(file && fread(&length, sizeof length, 1, file) == 1);
    json_t *header = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
    cr_assert_not_null(header);
    json_object_del(header, "__metadata__");
    cr_expect_eq(json_object_size(header), count);
    for (i = 0; i < count; i++) {
        const json_t *shape = stored_shape(header, &t[i]);
        cr_expect_eq(json_array_size(shape), t[i].rank, "%s", t[i].name);
        for (rank = 0; rank < t[i].rank; rank++)
            cr_expect_eq((size_t)json_integer_value(json_array_get(shape, rank)), t[i].shape[rank]);
        elements += t[i].shape[0] * (t[i].rank == 2 ? t[i].shape[1] : 1);
        cr_expect(t[i].mean == 1 || t[i].mean == 0);
        cr_expect(t[i].stddev > 0 && t[i].stddev <= 1);
    }
    cr_expect_eq(elements, omni_model_parameters(m));
    fclose(file);
    json_decref(header);
    omni_free(t);
    omni_model_free(m);
}

Test(model, the_tensors_are_those_of_the_checkpoint) {
    check_tensors("tests/golden/llama-tiny-gqa"); /* tied */
    check_tensors("tests/golden/llama-tiny-mha");
    check_tensors("configs/demo/gpt2");
    check_tensors("tests/golden/bert-tiny");
    check_tensors("configs/demo/bert"); /* both heads */
}

/* --- another depth, another type -------------------------------------------------------------- */

static json_t *rewritten(const char *path, size_t layers, omni_dtype dtype) {
    char *text;
    omni_error err = {0};
    cr_assert_eq(omni_model_rewrite(path, layers, dtype, &text, &err), OMNI_OK, "%s", err.text);
    json_t *root = json_loads(text, 0, NULL);
    cr_assert_not_null(root, "%s", text);
    omni_free(text);
    return root;
}

Test(model, a_rewritten_config_differs_in_two_fields) {
    static const struct {
        const char *path, *field;
    } cases[] = {{"configs/models/llama-2-70b.json", "num_hidden_layers"},
                 {"configs/demo/gpt2/config.json", "n_layer"},
                 {"configs/models/bert-large-uncased.json", "num_hidden_layers"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *was = json_load_file(cases[i].path, 0, NULL), *is = rewritten(cases[i].path, 1, OMNI_F16);
        json_object_set_new(was, cases[i].field, json_integer(1));
        json_object_set_new(was, "torch_dtype", json_string("float16"));
        cr_assert(json_equal(was, is));
        json_decref(was);
        json_decref(is);
    }
}

Test(model, the_element_type_is_that_of_the_config) {
    static const struct {
        const char *change;
        omni_dtype want;
    } cases[] = {{"{}", OMNI_F32},
                 {"{\"torch_dtype\": \"bfloat16\"}", OMNI_BF16},
                 {"{\"torch_dtype\": \"float16\"}", OMNI_F16},
                 {"{\"dtype\": \"bfloat16\"}", OMNI_BF16},
                 {"{\"torch_dtype\": null}", OMNI_F32},
                 {"{\"torch_dtype\": 7}", OMNI_F32},
                 {"{\"torch_dtype\": \"auto\"}", OMNI_F32}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_model *m = parsed(LLAMA, cases[i].change);
        cr_expect_eq(m->dtype, cases[i].want, "%s", cases[i].change);
        omni_model_free(m);
    }
}

Test(model, the_list_of_families) {
    cr_assert_str_eq(omni_model_families(), "llama, gpt2, bert");
}

Test(model, a_name_too_long_is_no_candidate) {
    char buf[OMNI_NAME], name[OMNI_NAME + 8];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    omni_tensor_name t = {{name}};
    cr_assert_not(omni_tensor_name_format(&t, 0, 0, buf));
    cr_assert_not(omni_tensor_name_format(&t, OMNI_CANDIDATES, 0, buf));
}
