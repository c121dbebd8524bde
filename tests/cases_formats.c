/* cases_formats.c: models and checkpoints as they come: shapes that nobody trained, what configs may change,
 * F16 and shards, each as a whole run against the float64 reference; and files that change while they are
 * used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    bool ok =
        omni_kernel_init(&f->err) == OMNI_OK &&
        omni_model_parse(config, strlen(config), "random", &f->model, &f->err) == OMNI_OK &&
        open_random(f, seed) == OMNI_OK && omni_topo_open(NULL, NULL, &f->topo, &f->err) == OMNI_OK &&
        omni_truth_random(f->model, f->weights, seed, 3, 5, &f->stop, NULL, &f->truth, &f->err) == OMNI_OK;
    return ok ? NULL : verdict("%s: %s", config, f->err.text);
}

static const char *odd_shapes(void) {
    static const char *const configs[] = {
        ("{\"model_type\":\"llama\",\"hidden_size\":10,\"intermediate_size\":7,\"num_hidden_layers\":3,\"num_"
         "attention_heads\":5,"
         "\"num_key_value_heads\":1,\"head_dim\":6,\"vocab_size\":13,\"max_position_embeddings\":64,\"rms_"
         "norm_eps\":1e-5}"),
        ("{\"model_type\":\"llama\",\"hidden_size\":12,\"intermediate_size\":1,\"num_hidden_layers\":1,\"num_"
         "attention_heads\":3,"
         "\"num_key_value_heads\":3,\"vocab_size\":2,\"max_position_embeddings\":64,\"tie_word_embeddings\":"
         "true}"),
        ("{\"model_type\":\"llama\",\"hidden_size\":34,\"intermediate_size\":45,\"num_hidden_layers\":2,"
         "\"num_"
         "attention_heads\":6,"
         "\"num_key_value_heads\":3,\"head_dim\":10,\"vocab_size\":67,\"max_position_embeddings\":64}"),
        ("{\"model_type\":\"gpt2\",\"n_embd\":15,\"n_layer\":2,\"n_head\":5,\"n_inner\":11,\"n_positions\":"
         "64,"
         "\"vocab_size\":23,"
         "\"activation_function\":\"gelu_new\"}"),
        ("{\"model_type\":\"gpt2\",\"n_embd\":4,\"n_layer\":2,\"n_head\":2,\"n_inner\":1,\"n_positions\":64,"
         "\"vocab_size\":5}"),
        ("{\"model_type\":\"bert\",\"hidden_size\":15,\"num_hidden_layers\":2,\"num_attention_heads\":5,"
         "\"intermediate_size\":11,\"max_position_embeddings\":64,\"vocab_size\":23,\"layer_norm_eps\":1e-5,"
         "\"architectures\":[\"BertForMaskedLM\"]}"),
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

#define BERT_ODD                                                                                             \
    "\"hidden_size\":21,\"num_hidden_layers\":3,\"num_attention_heads\":3,\"intermediate_size\":13,"         \
    "\"max_position_embeddings\":64,\"vocab_size\":37,\"layer_norm_eps\":1e-6"

static const char *features(void) {
    static const char *const configs[] = {
        ("{\"model_type\":\"llama\"," LLAMA_ROPE ",\"attention_bias\":true,\"mlp_bias\":true}"),
        ("{\"model_type\":\"llama\"," LLAMA_ROPE
         ",\"attention_bias\":true,\"rope_scaling\":{\"type\":\"linear\","
         "\"factor\":3.0}}"),
        ("{\"model_type\":\"llama\"," LLAMA_ROPE ",\"mlp_bias\":true,\"tie_word_embeddings\":true,"
         "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
         "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":32}}"),
        ("{\"model_type\":\"gpt2\"," GPT2_ODD
         ",\"scale_attn_weights\":false,\"activation_function\":\"gelu\"}"),
        ("{\"model_type\":\"gpt2\"," GPT2_ODD ",\"scale_attn_by_inverse_layer_idx\":true,"
         "\"activation_function\":\"relu\"}"),
        ("{\"model_type\":\"gpt2\"," GPT2_ODD
         ",\"activation_function\":\"silu\",\"tie_word_embeddings\":false}"),
        ("{\"model_type\":\"gpt2\"," GPT2_ODD ",\"scale_attn_weights\":false,"
         "\"scale_attn_by_inverse_layer_idx\":true,\"activation_function\":\"tanh\"}"),
        ("{\"model_type\":\"bert\"," BERT_ODD ",\"hidden_act\":\"gelu_new\",\"type_vocab_size\":5}"),
        ("{\"model_type\":\"bert\"," BERT_ODD ",\"hidden_act\":\"relu\",\"type_vocab_size\":1,"
         "\"tie_word_embeddings\":false,\"architectures\":[\"BertForPreTraining\"]}"),
        ("{\"model_type\":\"bert\"," BERT_ODD ",\"hidden_act\":\"silu\","
         "\"architectures\":[\"BertForMaskedLM\"]}"),
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

/* --- checkpoints as they come ----------------------------------------------------------------- */

/* How a copy of a checkpoint differs from it. */
typedef struct respelling {
    bool half;             /* F16 instead of F32 */
    size_t shards;         /* 0: one file */
    const char *drop;      /* prefix taken from names that have it */
    const char *old, *now; /* suffix of a name, replaced */
    bool extra;            /* buffers that nobody needs, of types that no weight has */
} respelling;

enum { SHARDS = 4, MOST_TENSORS = 96 };
typedef struct copy {
    char dir[32];
    omni_tensor_out tensor[MOST_TENSORS];
    char name[MOST_TENSORS][OMNI_NAME];
    size_t count;
} copy;

/* Toward zero; what is too small becomes 0. The values here are weights. */
static uint16_t to_half(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    uint32_t exponent = bits >> 23 & 0xff, sign = bits >> 16 & 0x8000;
    if (exponent < 113) return (uint16_t)sign;
    return (uint16_t)(sign | (exponent - 112) << 10 | (bits >> 13 & 0x3ff));
}

static bool copy_tensor(copy *c, const omni_weights *w, const omni_tensor *t, const respelling *how) {
    char *name = c->name[c->count];
    size_t drop = how->drop && strncmp(t->name, how->drop, strlen(how->drop)) == 0 ? strlen(how->drop) : 0;
    snprintf(name, OMNI_NAME, "%s", t->name + drop);
    size_t length = strlen(name), tail = how->old ? strlen(how->old) : 0;
    if (tail && length >= tail && strcmp(name + length - tail, how->old) == 0)
        snprintf(name + length - tail, OMNI_NAME - length + tail, "%s", how->now);
    void *data = malloc(t->elements * 8 + 1);
    if (!data || !omni_weights_read(w, t, 0, t->elements, data)) return false;
    bool half = how->half && t->dtype == OMNI_F32;
    float *from = data;
    uint16_t *to = data; /* element i is written behind where it was read */
    for (size_t i = 0; half && i < t->elements; i++) to[i] = to_half(from[i]);
    omni_tensor_out *out = &c->tensor[c->count++];
    *out =
        (omni_tensor_out){.name = name, .dtype = half ? OMNI_F16 : t->dtype, .rank = t->rank, .data = data};
    memcpy(out->shape, t->shape, sizeof t->shape);
    return true;
}

static void add_extra(copy *c) {
    static const char *const names[] = {"model.layers.0.self_attn.rotary_emb.inv_freq", "transformer.mask",
                                        "h.0.attn.masked_bias", "embeddings.position_ids"};
    static const omni_dtype dtypes[] = {OMNI_F32, OMNI_BOOL, OMNI_F64, OMNI_I64};
    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(c->name[c->count], OMNI_NAME, "%s", names[i]);
        c->tensor[c->count] = (omni_tensor_out){
            .name = c->name[c->count], .dtype = dtypes[i], .rank = 1, .shape = {2}, .data = calloc(2, 8)};
        c->count++;
    }
}

/* Tensor i goes to shard i mod n; the index leaves every fifth out, which is there all the same. */
static bool write_shards(const copy *c, size_t shards) {
    char path[128];
    FILE *index;
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", c->dir);
    if (!(index = fopen(path, "wb"))) return false;
    fprintf(index, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    for (size_t i = 0; i < c->count; i++)
        if (i < shards || i % 5)
            fprintf(index, "%s\"%s\": \"model-%zu.safetensors\"", i ? ", " : "", c->tensor[i].name,
                    i % shards);
    fprintf(index, "}}");
    bool ok = fclose(index) == 0;
    for (size_t s = 0; ok && s < shards; s++) {
        omni_tensor_out part[MOST_TENSORS];
        size_t n = 0;
        for (size_t i = s; i < c->count; i += shards) part[n++] = c->tensor[i];
        snprintf(path, sizeof path, "%s/model-%zu.safetensors", c->dir, s);
        ok = omni_safetensors_write(path, part, n, NULL) == OMNI_OK;
    }
    return ok;
}

/* A copy of the checkpoint in a directory of its own; NULL, or what is wrong. */
static const char *make_copy(copy *c, const omni_weights *w, const respelling *how) {
    char path[128];
    memset(c, 0, sizeof *c);
    strcpy(c->dir, "/tmp/omni-formats-XXXXXX");
    bool ok = mkdtemp(c->dir) != NULL && omni_weights_count(w) + 4 <= MOST_TENSORS;
    for (size_t i = 0; ok && i < omni_weights_count(w); i++)
        ok = copy_tensor(c, w, omni_weights_at(w, i), how);
    if (ok && how->extra) add_extra(c);
    snprintf(path, sizeof path, "%s/model.safetensors", c->dir);
    if (ok && how->shards) ok = write_shards(c, how->shards);
    if (ok && !how->shards) ok = omni_safetensors_write(path, c->tensor, c->count, NULL) == OMNI_OK;
    for (size_t i = 0; i < c->count; i++) free((void *)(uintptr_t)c->tensor[i].data);
    return ok ? NULL : "the checkpoint could not be copied";
}

static void remove_copy(const copy *c) {
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", c->dir);
    if (c->dir[0] && system(command) != 0) fprintf(stderr, "%s stays\n", c->dir);
}

/* The model of `dir` with the weights of the copy, their own reference as truth. */
static const char *open_copy(flow *f, copy *c, const char *dir, const respelling *how) {
    omni_weights *w = NULL;
    memset(f, 0, sizeof *f);
    if (omni_weights_open_dir(dir, &w, &f->err) != OMNI_OK) return verdict("%s", f->err.text);
    const char *bad = make_copy(c, w, how);
    omni_weights_close(w);
    if (bad) return bad;
    bool ok = omni_kernel_init(&f->err) == OMNI_OK && omni_model_load(dir, &f->model, &f->err) == OMNI_OK &&
              omni_weights_open_dir(c->dir, &f->weights, &f->err) == OMNI_OK &&
              omni_topo_open(NULL, NULL, &f->topo, &f->err) == OMNI_OK;
    if (ok) omni_bind_heads(f->model, f->weights);
    ok =
        ok && omni_truth_random(f->model, f->weights, 5, 3, 5, &f->stop, NULL, &f->truth, &f->err) == OMNI_OK;
    return ok ? NULL : verdict("%s: %s", dir, f->err.text);
}

static const char *spellings(void) {
    static const struct {
        const char *dir;
        respelling how;
    } copies[] = {
        {"tests/golden/llama-tiny-gqa", {.half = true, .shards = 3, .extra = true}},
        {"tests/golden/llama-tiny-mha", {.half = true, .shards = SHARDS, .drop = "model."}},
        {"tests/golden/gpt2-tiny", {.half = true, .extra = true, .old = "ln_1.weight", .now = "ln_1.gamma"}},
        {"tests/golden/gpt2-tiny", {.shards = 1, .old = "ln_f.bias", .now = "ln_f.beta"}},
        {"tests/golden/llama-tiny-gqa", {.old = "model.embed_tokens.weight", .now = "lm_head.weight"}},
        {"tests/golden/gpt2-tiny", {.old = "wte.weight", .now = "lm_head.weight"}},
        {"tests/golden/bert-tiny", {.half = true, .shards = 3, .drop = "bert.", .extra = true}},
        {"tests/golden/bert-tiny", {.old = "LayerNorm.weight", .now = "LayerNorm.gamma"}},
        {"configs/demo/bert", {.drop = "bert.", .old = "LayerNorm.bias", .now = "LayerNorm.beta"}},
        {"configs/demo/bert", {.old = "predictions.bias", .now = "predictions.decoder.bias"}},
        {"configs/demo/bert",
         {.old = "bert.embeddings.word_embeddings.weight", .now = "cls.predictions.decoder.weight"}},
    };
    const char *bad = NULL;
    for (size_t i = 0; i < COUNT(copies) && !bad; i++) {
        flow f;
        copy c = {.dir = ""};
        bad = open_copy(&f, &c, copies[i].dir, &copies[i].how);
        if (!bad) bad = flow_check_list(&f, LONG_PLANS, 1, PES_COUNT);
        if (bad) bad = verdict("copy %zu: %s", i, bad);
        flow_close(&f, bad);
        remove_copy(&c);
    }
    return bad;
}

/* --- files that change under the reader ------------------------------------------------------- */

static const char *expect_failure(omni_status status, const omni_error *err, const char *what) {
    if (status != OMNI_RUN_FAILED)
        return verdict("%s: status %d (expected 3): %s", what, (int)status, err->text);
    return strstr(err->text, "cut short while in use") ? NULL : verdict("%s: %s", what, err->text);
}

static omni_engine *create_small(flow *f, size_t workers, omni_status *status, omni_error *err) {
    static const size_t capacity[] = {8};
    omni_engine *e = NULL;
    omni_engine_options o = {.model = f->model,
                             .weights = f->weights,
                             .plan = f->plan,
                             .topo = f->topo,
                             .workers = workers,
                             .sequences = 1,
                             .capacity = capacity,
                             .max_tokens = 4,
                             .stop = &f->stop};
    *status = omni_engine_create(&o, &e, err);
    return e;
}

/* Cut while an engine runs: the next look-up fails. Cut before: loading and the reference fail. */
static const char *cut_and_use(flow *f, const char *path) {
    const int32_t ids[] = {1, 2, 210};
    const size_t counts[] = {3};
    int32_t next;
    omni_status status;
    omni_error err = {0};
    omni_engine *e = create_small(f, 2, &status, &err);
    if (!e) return verdict("%s", err.text);
    const char *bad =
        omni_engine_forward(e, ids, counts, &next, &err) == OMNI_OK ? NULL : verdict("%s", err.text);
    if (truncate(path, 4096) != 0) bad = "truncate";
    if (!bad) bad = expect_failure(omni_engine_forward(e, ids, counts, &next, &err), &err, "forward");
    omni_engine_free(e);
    err = (omni_error){0};
    if (!bad) e = create_small(f, 2, &status, &err);
    if (!bad) bad = expect_failure(status, &err, "create");
    omni_truth *t = NULL;
    err = (omni_error){0};
    if (!bad)
        bad = expect_failure(omni_truth_random(f->model, f->weights, 1, 1, 1, NULL, NULL, &t, &err), &err,
                             "reference");
    char not_finite[OMNI_NOT_FINITE];
    err = (omni_error){0};
    if (!bad)
        bad = expect_failure(omni_check_finite(f->model, f->weights, NULL, NULL, not_finite, &err), &err,
                             "finite");
    return bad;
}

static const char *a_file_that_shrinks_is_an_error(void) {
    static const char *const dirs[] = {"tests/golden/llama-tiny-gqa", "tests/golden/gpt2-tiny"};
    const respelling as_is = {0};
    const char *bad = NULL;
    for (size_t i = 0; i < COUNT(dirs) && !bad; i++) {
        flow f;
        copy c = {.dir = ""};
        char path[128];
        bad = open_copy(&f, &c, dirs[i], &as_is);
        if (!bad && !flow_plan(&f, "workflow2", 3)) bad = verdict("%s", f.err.text);
        snprintf(path, sizeof path, "%s/model.safetensors", c.dir);
        if (!bad) bad = cut_and_use(&f, path);
        flow_close(&f, bad);
        remove_copy(&c);
    }
    return bad;
}

/* --- weights that are no numbers -------------------------------------------------------------- */

/* The run ends as any other, with tokens of the vocabulary; the check names the tensor. */
static const char *run_and_check(flow *f, const char *want) {
    omni_status status;
    omni_error err = {0};
    char not_finite[OMNI_NOT_FINITE];
    omni_engine *e = create_small(f, 2, &status, &err);
    if (!e) return verdict("%s", err.text);
    int32_t ids[] = {1, 2, 3}, next = 0;
    size_t counts[] = {3};
    const char *bad = NULL;
    for (size_t step = 0; step < 4 && !bad; step++) {
        if (omni_engine_forward(e, ids, counts, &next, &err) != OMNI_OK) bad = verdict("%s", err.text);
        if (next < 0 || (size_t)next >= f->model->shape.vocab) bad = verdict("token %d", (int)next);
        ids[0] = next;
        counts[0] = 1;
    }
    omni_engine_free(e);
    if (!bad && omni_check_finite(f->model, f->weights, NULL, NULL, not_finite, &err) != OMNI_OK)
        bad = verdict("%s", err.text);
    return bad || strstr(not_finite, want) ? bad : verdict("'%s' (expected '%s')", not_finite, want);
}

static const char *weights_that_are_not_finite(void) {
    static const struct {
        const char *tensor;
        uint32_t bits;
        const char *want;
    } cases[] = {
        {"model.layers.1.mlp.up_proj.weight", 0x7fc00000, "up_proj.weight', element 1 is nan"},
        {"model.norm.weight", 0x7f800000, "'model.norm.weight', element 1 is inf"},
        {"model.embed_tokens.weight", 0xff800000, "'model.embed_tokens.weight', element 1 is -inf"},
    };
    const respelling as_is = {0};
    const char *bad = NULL;
    for (size_t i = 0; i < COUNT(cases) && !bad; i++) {
        flow f;
        copy c = {.dir = ""};
        char path[128];
        bad = open_copy(&f, &c, "tests/golden/llama-tiny-gqa", &as_is);
        snprintf(path, sizeof path, "%s/model.safetensors", c.dir);
        const omni_tensor *t = bad ? NULL : omni_weights_find(f.weights, cases[i].tensor);
        FILE *file = t ? fopen(path, "r+b") : NULL;
        if (!bad && (!file || fseek(file, (long)t->offset + 4, SEEK_SET) != 0 ||
                     fwrite(&cases[i].bits, 4, 1, file) != 1))
            bad = "the checkpoint could not be changed";
        if (file && fclose(file) != 0) bad = "the checkpoint could not be changed";
        if (!bad && !flow_plan(&f, "megatron", 3)) bad = verdict("%s", f.err.text);
        if (!bad) bad = run_and_check(&f, cases[i].want);
        flow_close(&f, bad);
        remove_copy(&c);
    }
    return bad;
}

static const omni_case cases[] = {
    {"odd_shapes", odd_shapes},
    {"features", features},
    {"spellings", spellings},
    {"a_file_that_shrinks_is_an_error", a_file_that_shrinks_is_an_error},
    {"weights_that_are_not_finite", weights_that_are_not_finite},
};
const omni_case_table cases_formats = {"formats", cases, COUNT(cases)};
