/* cases_formats.c: models and checkpoints as they come: shapes that nobody trained, what configs may change, F16
 * and shards, each as a whole run against the float64 reference; and files that change while they are used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cases_flow.h"
#include "omnibus/kernel.h"

/* --- shapes that nobody trained: random weights against the float64 reference ----------------- */

/* Every third tensor in BF16. */
static omni_status open_random(flow *f, uint64_t seed) {
    omni_random_spec *spec;
    size_t count;
    omni_status status = omni_random_specs(f->model, OMNI_F32, &spec, &count, &f->err);
    for (size_t i = 0; !status && i < count; i += 3) spec[i].dtype = OMNI_BF16;
    if (!status) status = omni_weights_open_random(spec, count, seed, &f->weights, &f->err);
    omni_free(spec);
    return status;
}

const char *flow_random(flow *f, const char *config, uint64_t seed) {
    memset(f, 0, sizeof *f);
    bool ok = omni_kernel_init(&f->err) == OMNI_OK &&
              omni_model_parse(config, strlen(config), "random", &f->model, &f->err) == OMNI_OK &&
              open_random(f, seed) == OMNI_OK && omni_topo_open(NULL, NULL, &f->topo, &f->err) == OMNI_OK &&
              omni_truth_random(f->model, f->weights, seed, 3, 5, &f->stop, &f->truth, &f->err) == OMNI_OK;
    return ok ? NULL : verdict("%s: %s", config, f->err.text);
}

static const char *odd_shapes(void) {
    static const char *const configs[] = {
        "{\"model_type\":\"llama\",\"hidden_size\":10,\"intermediate_size\":7,\"num_hidden_layers\":3,\"num_"
        "attention_heads\":5,"
        "\"num_key_value_heads\":1,\"head_dim\":6,\"vocab_size\":13,\"max_position_embeddings\":64,\"rms_"
        "norm_eps\":1e-5}",
        "{\"model_type\":\"llama\",\"hidden_size\":12,\"intermediate_size\":1,\"num_hidden_layers\":1,\"num_"
        "attention_heads\":3,"
        "\"num_key_value_heads\":3,\"vocab_size\":2,\"max_position_embeddings\":64,\"tie_word_embeddings\":"
        "true}",
        "{\"model_type\":\"llama\",\"hidden_size\":34,\"intermediate_size\":45,\"num_hidden_layers\":2,\"num_"
        "attention_heads\":6,"
        "\"num_key_value_heads\":3,\"head_dim\":10,\"vocab_size\":67,\"max_position_embeddings\":64}",
        "{\"model_type\":\"gpt2\",\"n_embd\":15,\"n_layer\":2,\"n_head\":5,\"n_inner\":11,\"n_positions\":64,"
        "\"vocab_size\":23,"
        "\"activation_function\":\"gelu_new\"}",
        "{\"model_type\":\"gpt2\",\"n_embd\":2,\"n_layer\":2,\"n_head\":1,\"n_inner\":1,\"n_positions\":64,"
        "\"vocab_size\":5}",
    };
    const char *bad = NULL;
    for (size_t i = 0; i < COUNT(configs) && !bad; i++) {
        flow f;
        bad = flow_random(&f, configs[i], i + 1);
        if (!bad) bad = flow_check_all(&f);
        if (!bad) bad = flow_check_list(&f, "workflow2:edge=scatter,workflow1:gather=bus", 1, 2 * PES_COUNT);
        if (bad) bad = verdict("config %zu: %s", i, bad);
        flow_close(&f, bad);
    }
    return bad;
}

/* What configs may change, each at an awkward size; the reference computes it on its own. */
#define LLAMA_ROPE                                                                                           \
    "\"hidden_size\":20,\"intermediate_size\":11,\"num_hidden_layers\":2,\"num_attention_heads\":4,"         \
    "\"num_key_value_heads\":2,\"head_dim\":8,\"vocab_size\":29,\"max_position_embeddings\":64,"             \
    "\"rope_theta\":10000.0"
#define GPT2_ODD                                                                                             \
    "\"n_embd\":18,\"n_layer\":3,\"n_head\":3,\"n_inner\":25,\"n_positions\":64,\"vocab_size\":31"

static const char *features(void) {
    static const char *const configs[] = {
        "{\"model_type\":\"llama\"," LLAMA_ROPE ",\"attention_bias\":true,\"mlp_bias\":true}",
        "{\"model_type\":\"llama\"," LLAMA_ROPE
        ",\"attention_bias\":true,\"rope_scaling\":{\"type\":\"linear\","
        "\"factor\":3.0}}",
        "{\"model_type\":\"llama\"," LLAMA_ROPE ",\"mlp_bias\":true,\"tie_word_embeddings\":true,"
        "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
        "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":32}}",
        "{\"model_type\":\"gpt2\"," GPT2_ODD
        ",\"scale_attn_weights\":false,\"activation_function\":\"gelu\"}",
        "{\"model_type\":\"gpt2\"," GPT2_ODD ",\"scale_attn_by_inverse_layer_idx\":true,"
        "\"activation_function\":\"relu\"}",
        "{\"model_type\":\"gpt2\"," GPT2_ODD
        ",\"activation_function\":\"silu\",\"tie_word_embeddings\":false}",
        "{\"model_type\":\"gpt2\"," GPT2_ODD ",\"scale_attn_weights\":false,"
        "\"scale_attn_by_inverse_layer_idx\":true,\"activation_function\":\"tanh\"}",
    };
    const char *bad = NULL;
    for (size_t i = 0; i < COUNT(configs) && !bad; i++) {
        flow f;
        bad = flow_random(&f, configs[i], i + 11);
        if (!bad) bad = flow_check_list(&f, FIVE_PLANS, 1, 5 * PES_COUNT);
        if (!bad) bad = flow_check_list(&f, "all", 3 * THIN, 1);
        if (bad) bad = verdict("config %zu: %s", i, bad);
        flow_close(&f, bad);
    }
    return bad;
}

static const omni_case cases[] = {
    {"odd_shapes", odd_shapes},
    {"features", features},
};
const omni_case_table cases_formats = {"formats", cases, COUNT(cases)};
