/* subheads_tools.h: what the tests of sub-heads share: models of every kind, and plans for them. */
#ifndef TESTS_SUBHEADS_TOOLS_H
#define TESTS_SUBHEADS_TOOLS_H

#include <criterion/criterion.h>
#include <string.h>

#include "omnibus/model.h"
#include "omnibus/plan.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- models ----------------------------------------------------------------------------------- */

static const char LLAMA[] __attribute__((unused)) =
    "{\"model_type\": \"llama\", \"hidden_size\": 48, \"num_attention_heads\": 6, \"num_key_value_heads\": 2,"
    "\"head_dim\": 10, \"num_hidden_layers\": 2, \"intermediate_size\": 40, \"vocab_size\": 101,"
    "\"max_position_embeddings\": 1024, \"rms_norm_eps\": 1e-6, \"hidden_act\": \"silu\","
    "\"attention_bias\": true, \"tie_word_embeddings\": false}";
static const char ONE_HEAD[] __attribute__((unused)) =
    "{\"model_type\": \"llama\", \"hidden_size\": 24, \"num_attention_heads\": 1, \"num_key_value_heads\": 1,"
    "\"head_dim\": 6, \"num_hidden_layers\": 2, \"intermediate_size\": 20, \"vocab_size\": 61,"
    "\"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-6, \"hidden_act\": \"silu\","
    "\"tie_word_embeddings\": true}";
static const char GPT2[] __attribute__((unused)) =
    "{\"model_type\": \"gpt2\", \"n_embd\": 21, \"n_head\": 3, \"n_layer\": 2, \"n_positions\": 64,"
    "\"vocab_size\": 97, \"n_inner\": 40, \"activation_function\": \"gelu_new\","
    "\"layer_norm_epsilon\": 1e-5}";
static const char BERT[] __attribute__((unused)) =
    "{\"model_type\": \"bert\", \"hidden_size\": 33, \"num_attention_heads\": 3, \"num_hidden_layers\": 2,"
    "\"intermediate_size\": 50, \"vocab_size\": 97, \"max_position_embeddings\": 64, \"type_vocab_size\": 2,"
    "\"layer_norm_eps\": 1e-12, \"hidden_act\": \"gelu\"}";

static inline omni_model *parse_model(const char *json) {
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(omni_model_parse(json, strlen(json), "test", &m, &err), OMNI_OK, "%s", err.text);
    return m;
}

/* NULL and the sentence in err: refused. */
static inline omni_plan *compile_plan(const omni_model *m, const char *text, size_t pes, omni_error *err) {
    omni_plan_spec spec;
    omni_plan *plan;
    cr_assert_eq(omni_plan_parse(text, &spec, err), OMNI_OK, "%s", err->text);
    omni_status st = omni_plan_compile(m, &spec, pes, &plan, err);
    cr_assert(st == OMNI_OK || st == OMNI_BAD_INPUT, "%s: %s", text, err->text);
    return plan;
}

static const char *const PLANS[] __attribute__((unused)) = {
    "attn=subheads",
    "attn=subheads:qkv=in:o=out",
    "attn=subheads:o=out:gather=bus",
    "attn=subheads:qkv=in:edge=scatter",
    "attn=subheads:qkv=in:o=out:gather=bus:edge=scatter:ffn=in+out",
    "workflow1:attn=subheads/workflow2",
    "attn=subheads/attn=tokens",
    "groups=2:attn=subheads",
    "stages=2:attn=subheads",
    "groups=2:stages=2:stack=1:chunk=3:qkv=in:attn=heads/attn=subheads",
};

#endif
