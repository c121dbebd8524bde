/* test_model_refused.c: configs that are refused, each by the name of what is wrong. */
#include <unistd.h>

#include "model_tools.h"

Test(model, llama_features_are_refused_by_name) {
    static const char *const cases[][2] = {
        {"{\"rope_scaling\": {\"type\": \"linear\"}}", "factor is missing"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}}", "factor is 0"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": \"2\"}}", "factor is \"2\""},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"rope_type\": \"llama3\", \"factor\": 2}}", "of type"},
        {"{\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0}}",
         "rope_scaling of type \"dynamic\" is not supported"},
        {"{\"rope_scaling\": {\"rope_type\": \"longrope\", \"factor\": 2.0}}", "longrope"},
        {"{\"rope_scaling\": {\"rope_type\": 3}}", "rope_scaling of type 3"},
        {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0}}", "low_freq_factor is missing"},
        {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 4, "
         "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}}",
         "low_freq_factor is 4 (expected less than"},
        {"{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1, "
         "\"high_freq_factor\": 4}}",
         "original_max_position_embeddings is missing"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}, \"rope_parameters\": {\"rope_type\": "
         "\"default\"}}",
         "rope_scaling differs from rope_parameters"},
        {"{\"rope_scaling\": []}", "rope_scaling [] is not supported"},
        {"{\"rope_scaling\": {\"factor\": 8.0}}", "rope_scaling {\"factor\":8.0} is not supported"},
        {"{\"rope_scaling\": 3}", "rope_scaling 3"},
        {"{\"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_theta\": 1e4}}", "yarn"},
        {"{\"rope_parameters\": {\"rope_type\": \"default\", \"partial_rotary_factor\": 0.5}}",
         "partial_rotary_factor"},
        {"{\"rope_parameters\": {\"rope_theta\": 1e5}, \"rope_theta\": 1e4}", "rope_theta"},
        {"{\"rope_parameters\": {\"rope_theta\": -1}}", "rope_theta"},
        {"{\"attention_bias\": 1}", "attention_bias is 1 (expected true or false)"},
        {"{\"mlp_bias\": \"yes\"}", "mlp_bias"},
        {"{\"layer_types\": [\"full_attention\", \"sliding_attention\"]}",
         "layer_types \"sliding_attention\""},
        {"{\"position_embedding_type\": \"alibi\"}", "position_embedding_type \"alibi\" is not supported"},
        {"{\"layer_types\": \"sliding_attention\"}", "layer_types \"sliding_attention\""},
        {"{\"alibi\": true}", "alibi"},
        {"{\"no_rope_layers\": [1, 0]}", "no_rope_layers"},
        {"{\"attention_chunk_size\": 8192}", "attention_chunk_size"},
        {"{\"final_logit_softcapping\": 30.0}", "final_logit_softcapping"},
        {"{\"num_experts_per_tok\": 2}", "num_experts_per_tok"},
        {"{\"residual_multiplier\": 0.22}", "residual_multiplier"},
        {"{\"qk_layernorm\": true}", "qk_layernorm"},
        {"{\"hidden_act\": \"gelu\"}", "hidden_act \"gelu\" is not supported (expected silu or swish)"},
        {"{\"hidden_act\": 7}", "hidden_act"},
        {"{\"sliding_window\": 4096}", "sliding_window"},
        {"{\"sliding_window\": 4096, \"use_sliding_window\": true}", "use_sliding_window"},
        {"{\"quantization_config\": {\"bits\": 4}}", "quantization_config"},
        {"{\"num_local_experts\": 8}", "num_local_experts"},
        {"{\"partial_rotary_factor\": 0.5}", "partial_rotary_factor"},
        {"{\"model_type\": \"mamba\"}", "not supported: 'mamba' (one of: llama, gpt2, bert)"},
        {"{\"model_type\": \"<absent>\"}", "model_type is missing"},
        {"{\"model_type\": 3}", "model_type is 3"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) refused(LLAMA, cases[i][0], cases[i][1]);
}

Test(model, gpt2_features_are_refused_by_name) {
    static const char *const cases[][2] = {
        {"{\"scale_attn_weights\": 1}", "scale_attn_weights is 1"},
        {"{\"scale_attn_by_inverse_layer_idx\": \"no\"}", "scale_attn_by_inverse_layer_idx"},
        {"{\"position_embedding_type\": \"relative_key\"}", "relative_key"},
        {"{\"sliding_window\": 128}", "sliding_window"},
        {"{\"activation_function\": \"laplace\"}",
         "activation_function \"laplace\" is not supported (expected "
         "gelu_new or"},
        {"{\"activation_function\": 3}", "activation_function 3"},
        {"{\"add_cross_attention\": true}", "add_cross_attention"},
        {"{\"quantization_config\": {\"bits\": 4}}", "quantization_config"},
        {"{\"pruned_heads\": {\"1\": [0]}}", "pruned_heads"},
        {"{\"n_head\": 5}", "multiple of n_head"},
        {"{\"n_positions\": \"<absent>\"}", "n_positions is missing"},
        {"{\"n_embd\": 1048576}", "n_embd"},
        {"{\"n_inner\": 0}", "n_inner"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) refused(GPT2, cases[i][0], cases[i][1]);
}

Test(model, values_out_of_range_or_of_the_wrong_type) {
    static const char *const cases[][2] = {
        {"{\"hidden_size\": 0}", "hidden_size is 0 (expected a whole number from 1"},
        {"{\"hidden_size\": -96}", "hidden_size is -96"},
        {"{\"hidden_size\": 96.0}", "hidden_size is 96.0"},
        {"{\"hidden_size\": \"96\"}", "hidden_size is \"96\""},
        {"{\"hidden_size\": null}", "hidden_size is null"},
        {"{\"hidden_size\": true}", "hidden_size is true"},
        {"{\"hidden_size\": \"<absent>\"}", "hidden_size is missing"},
        {"{\"intermediate_size\": 4294967296}", "intermediate_size"},
        {"{\"num_hidden_layers\": 65537}", "from 1 to 65536"},
        {"{\"vocab_size\": 9223372036854775807}", "vocab_size"},
        {"{\"max_position_embeddings\": []}", "max_position_embeddings is []"},
        {"{\"num_attention_heads\": 5}", "multiple of num_attention_heads"},
        {"{\"num_key_value_heads\": 4}", "multiple of num_key_value_heads"},
        {"{\"num_key_value_heads\": 12}", "num_key_value_heads"},
        {"{\"head_dim\": 15}", "head_dim is 15 (expected an even number"},
        {"{\"head_dim\": 1048576}", "num_attention_heads x head_dim"},
        {"{\"rms_norm_eps\": 0}", "rms_norm_eps is 0"},
        {"{\"rms_norm_eps\": \"1e-6\"}", "rms_norm_eps"},
        {"{\"rope_theta\": -10000.0}", "rope_theta"},
        {"{\"rope_theta\": null}", "rope_theta is null"},
        {"{\"rope_theta\": 1e300}", "rope_theta"},
        {"{\"tie_word_embeddings\": 1}", "tie_word_embeddings is 1 (expected true or false)"},
        {"{\"eos_token_id\": \"2\"}", "eos_token_id"},
        {"{\"eos_token_id\": [1, 2.5]}", "eos_token_id"},
        {"{\"eos_token_id\": [1, 2, 3, 4, 5, 6, 7, 8, 9]}", "eos_token_id lists 9"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) refused(LLAMA, cases[i][0], cases[i][1]);
}

Test(model, text_that_is_no_config) {
    static const char *const cases[][2] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"[1]", "not a JSON object"},
        {"{\"model_type\": \"llama\", \"model_type\": \"gpt2\"}", "duplicate"},
        {"{\"model_type\": \"llama\", \"hidden_size\": NaN}", "not JSON"},
        {"{\"model_type\": \"llama\", \"hidden_size\": 99999999999999999999}", "not JSON"},
        {"{\"a\\u0000b\": 1}", "not JSON"},
        {"{\"model_type\": \"ll\\nama\"}", "'ll?ama'"},
        {"{} {}", "not JSON"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_model *m;
        omni_error err = {0};
        cr_assert_eq(omni_model_parse(cases[i][0], strlen(cases[i][0]), "x", &m, &err), OMNI_BAD_INPUT);
        cr_assert_null(m);
        cr_assert(strstr(err.text, cases[i][1]) != NULL, "%s: %s", cases[i][0], err.text);
    }
    omni_model *m;
    cr_assert_eq(omni_model_parse("{", 1, "x", &m, NULL), OMNI_BAD_INPUT);
}

Test(model, paths_that_lead_nowhere) {
    char dir[] = "/tmp/omni-model-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    const char *const cases[][2] = {
        {"/nonexistent/model", "No such file"},
        {dir, "no config.json"},
        {"/dev/null", "not a config"},
        {"Makefile", "not JSON"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_model *m;
        omni_error err = {0};
        cr_assert_eq(omni_model_load(cases[i][0], &m, &err), OMNI_BAD_INPUT, "%s", cases[i][0]);
        cr_assert(strstr(err.text, cases[i][1]) != NULL, "%s", err.text);
        cr_assert_eq(strncmp(err.text, cases[i][0], strlen(cases[i][0])), 0, "%s", err.text);
    }
    rmdir(dir);
}
