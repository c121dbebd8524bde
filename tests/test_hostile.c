/* test_hostile.c: checkpoints in pieces that don't fit, and configs that no model has: status and message of
 * each. One file's header is test_weights.c's; a config's fields are test_model.c's.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dir_tools.h"
#include "omnibus/model.h"
#include "omnibus/pe.h"
#include "omnibus/weights.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

TestSuite(hostile, .init = make_dir, .fini = remove_dir);

/* Two shards: a and b, c and (if doubled) b again. */
static void write_shards(bool doubled) {
    static const float x[] = {1, 2};
    const omni_tensor_out a = {"a", OMNI_F32, 1, {2}, x}, b = {"b", OMNI_F32, 1, {1}, x},
                          c = {"c", OMNI_F32, 1, {2}, x};
    const omni_tensor_out first[] = {a, b}, second[] = {c, b};
    cr_assert_eq(omni_safetensors_write(in_dir("model-1.safetensors"), first, 2, NULL), OMNI_OK);
    cr_assert_eq(omni_safetensors_write(in_dir("model-2.safetensors"), second, doubled ? 2 : 1, NULL),
                 OMNI_OK);
}

static void index_is(const char *text) {
    write_bytes(in_dir("model.safetensors.index.json"), text, strlen(text));
}

static void dir_refused(const char *words) {
    omni_weights *w = (omni_weights *)&w;
    omni_error err = {0};
    cr_assert_eq(omni_weights_open_dir(own_dir, &w, &err), OMNI_BAD_INPUT, "expected: %s", words);
    cr_assert_null(w);
    cr_assert_eq(err.status, OMNI_BAD_INPUT);
    cr_assert(strstr(err.text, words) != NULL, "\"%s\" lacks \"%s\"", err.text, words);
    cr_assert_eq(strncmp(err.text, own_dir, strlen(own_dir)), 0, "%s", err.text);
    cr_assert_null(strchr(err.text, '\n'));
}

/* --- indexes ---------------------------------------------------------------------------------- */

Test(hostile, an_index_opens_its_shards) {
    omni_weights *w;
    omni_error err = {0};
    cr_assert_not(omni_weights_in_dir(own_dir));
    write_shards(false);
    cr_assert_not(omni_weights_in_dir(own_dir));
    index_is("{\"weight_map\": {\"c\": \"model-2.safetensors\", \"a\": \"model-1.safetensors\"}}");
    cr_assert(omni_weights_in_dir(own_dir));
    cr_assert_eq(omni_weights_open_dir(own_dir, &w, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_count(w), 3); /* b is not listed, and there */
    cr_assert_str_eq(omni_weights_source(w), in_dir("model.safetensors.index.json"));
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < COUNT(names); i++) {
        const omni_tensor *t = omni_weights_find(w, names[i]);
        float x[2];
        cr_assert(t && t->file == i / 2);
        cr_assert(omni_weights_read_f32(w, t, 0, t->elements, x) && x[0] == 1);
    }
    omni_weights_close(w);
    cr_assert_eq(symlink("model-2.safetensors", in_dir("linked.safetensors")),
                 0); /* caches link their files */
    index_is("{\"weight_map\": {\"c\": \"linked.safetensors\", \"a\": \"model-1.safetensors\"}}");
    cr_assert_eq(omni_weights_open_dir(own_dir, &w, &err), OMNI_OK, "%s", err.text);
    omni_weights_close(w);
}

Test(hostile, indexes_that_make_no_sense) {
    static const char *const cases[][2] = {
        {"", "index.json: not JSON"},
        {"[]", "no weight_map"},
        {"3", "not JSON"},
        {"{}", "no weight_map (expected an object"},
        {"{\"weight_map\": []}", "no weight_map"},
        {"{\"weight_map\": {}}", "no weight_map"},
        {"{\"weight_map\": {\"a\": 3}}", "weight_map 'a' is not a string"},
        {"{\"weight_map\": {\"a\": \"\"}}", "expected a .safetensors file"},
        {"{\"weight_map\": {\"a\": \"../model-1.safetensors\"}}",
         "names '../model-1.safetensors' (expected a file of"},
        {"{\"weight_map\": {\"a\": \"..\"}}", "expected a file of this directory"},
        {"{\"weight_map\": {\"a\": \"/etc/passwd\"}}", "expected a file of this directory"},
        {"{\"weight_map\": {\"a\": \"sub/model-1.safetensors\"}}", "expected a file of this directory"},
        {"{\"weight_map\": {\"a\": \"pytorch_model-00001-of-00002.bin\"}}", "expected a .safetensors file"},
        {"{\"weight_map\": {\"a\": \"model\\u0000.safetensors\"}}", "not JSON"},
        {"{\"weight_map\": {\"a\": \"model-1.safetensors\", \"a\": \"model-2.safetensors\"}}", "duplicate"},
        {"{\"weight_map\": {\"a\": \"model-3.safetensors\"}}", "model-3.safetensors: No such file"},
        {"{\"weight_map\": {\"d\": \"model-1.safetensors\"}}", "tensor 'd' is not in 'model-1.safetensors'"},
        {"{\"weight_map\": {\"a\": \"model-2.safetensors\", \"b\": \"model-1.safetensors\"}}",
         "tensor 'a' is not in 'model-2.safetensors'"},
    };
    write_shards(false);
    for (size_t i = 0; i < COUNT(cases); i++) {
        index_is(cases[i][0]);
        dir_refused(cases[i][1]);
    }
}

Test(hostile, a_tensor_in_two_shards) {
    write_shards(true);
    index_is("{\"weight_map\": {\"a\": \"model-1.safetensors\", \"c\": \"model-2.safetensors\"}}");
    dir_refused("model-2.safetensors: tensor 'b' is in model-1.safetensors, too (expected it once)");
}

Test(hostile, a_broken_shard) {
    write_shards(false);
    index_is("{\"weight_map\": {\"a\": \"model-1.safetensors\", \"c\": \"model-2.safetensors\"}}");
    write_bytes(in_dir("model-2.safetensors"), "1234", 4);
    dir_refused("model-2.safetensors: too short");
    cr_assert_eq(unlink(in_dir("model-2.safetensors")), 0);
    cr_assert_eq(mkdir(in_dir("model-2.safetensors"), 0700), 0);
    dir_refused("model-2.safetensors: not a regular file");
    cr_assert_eq(unlink(in_dir("model.safetensors.index.json")), 0);
    cr_assert_eq(mkfifo(in_dir("model.safetensors.index.json"), 0600), 0);
    dir_refused("model.safetensors.index.json: not an index");
}

/* --- depth ------------------------------------------------------------------------------------ */

enum { DEPTH = 1000000 };

/* `before`, then a million brackets. Malloc'd. */
static char *deep(const char *before, size_t *bytes) {
    size_t length = strlen(before);
    char *text = malloc(length + DEPTH + 1);
    cr_assert_not_null(text);
    memcpy(text, before, length);
    memset(text + length, '[', DEPTH);
    text[length + DEPTH] = '\0';
    *bytes = length + DEPTH;
    return text;
}

Test(hostile, what_is_nested_a_million_deep) {
    size_t bytes;
    omni_error err = {0};
    omni_weights *w;
    omni_model *m;
    char *text = deep("12345678{\"a\":", &bytes);
    for (size_t i = 0; i < 8; i++) text[i] = (char)((bytes - 8) >> 8 * i & 0xff);
    write_bytes(in_dir("x.safetensors"), text, bytes);
    cr_assert_eq(omni_weights_open_file(in_dir("x.safetensors"), &w, &err), OMNI_BAD_INPUT);
    cr_assert(strstr(err.text, "header is not JSON: maximum parsing depth"), "%s", err.text);
    free(text);
    text = deep("{\"model_type\":", &bytes);
    err = (omni_error){0};
    cr_assert_eq(omni_model_parse(text, bytes, "c.json", &m, &err), OMNI_BAD_INPUT);
    cr_assert(strstr(err.text, "c.json: not JSON: maximum parsing depth"), "%s", err.text);
    free(text);
    text = deep("{\"weight_map\":", &bytes);
    write_bytes(in_dir("model.safetensors.index.json"), text, bytes);
    dir_refused("not JSON: maximum parsing depth");
    free(text);
}

/* --- configs ---------------------------------------------------------------------------------- */

/* All of them 8, but for one. */
static void check_sizes(const char *family, const char *const sizes[]) {
    static const char *const values[] = {"0",  "-1",   "4611686018427387904", "1e3", "\"8\"", "[8]",
                                         "{}", "false"};
    for (size_t i = 0; sizes[i]; i++) {
        for (size_t v = 0; v < COUNT(values); v++) {
            char text[512], field[64];
            int used = snprintf(text, sizeof text, "{\"model_type\": \"%s\"", family);
            for (size_t k = 0; sizes[k]; k++)
                used += snprintf(text + used, sizeof text - (size_t)used, ", \"%s\": %s", sizes[k],
                                 k == i ? values[v] : "8");
            snprintf(text + used, sizeof text - (size_t)used, "}");
            snprintf(field, sizeof field, "c.json: %s is ", sizes[i]);
            omni_model *m;
            omni_error err = {0};
            cr_assert_eq(omni_model_parse(text, strlen(text), "c.json", &m, &err), OMNI_BAD_INPUT, "%s",
                         text);
            cr_assert_null(m);
            cr_assert_eq(strncmp(err.text, field, strlen(field)), 0, "%s", err.text);
        }
    }
}

Test(hostile, configs_that_no_model_has) {
    check_sizes("llama", (const char *const[]){"hidden_size", "intermediate_size", "num_hidden_layers",
                                               "num_attention_heads", "num_key_value_heads", "head_dim",
                                               "vocab_size", "max_position_embeddings", NULL});
    check_sizes("gpt2", (const char *const[]){"n_embd", "n_inner", "n_layer", "n_head", "vocab_size",
                                              "n_positions", NULL});
    check_sizes("bert", (const char *const[]){"hidden_size", "intermediate_size", "num_hidden_layers",
                                              "num_attention_heads", "type_vocab_size", "vocab_size",
                                              "max_position_embeddings", NULL});
}

/* --- a config and weights that are not of one model ------------------------------------------- */

#define TINY(more)                                                                                           \
    "{\"model_type\": \"llama\", \"hidden_size\": 96, \"intermediate_size\": 256, \"num_attention_heads\": " \
    "6, "                                                                                                    \
    "\"num_key_value_heads\": 2, \"vocab_size\": 211, \"max_position_embeddings\": 256, "                    \
    "\"tie_word_embeddings\": true, " more "}"

#define BERT(types, more)                                                                                    \
    "{\"model_type\": \"bert\", \"hidden_size\": 64, \"intermediate_size\": 256, \"num_attention_heads\": "  \
    "4, "                                                                                                    \
    "\"vocab_size\": 211, \"max_position_embeddings\": 64, \"type_vocab_size\": " types ", " more "}"

static void check_binding(const char *from, const char *const cases[][2], size_t count) {
    omni_weights *w;
    omni_error err = {0};
    cr_assert_eq(omni_weights_open_dir(from, &w, &err), OMNI_OK, "%s", err.text);
    for (size_t i = 0; i < count; i++) {
        omni_model *m;
        err = (omni_error){0};
        cr_assert_eq(omni_model_parse(cases[i][0], strlen(cases[i][0]), "c", &m, &err), OMNI_OK, "%s",
                     err.text);
        omni_bind_heads(m, w);
        cr_assert_eq(omni_bind_all(m, w, &err), OMNI_BAD_INPUT);
        cr_assert(strstr(err.text, cases[i][1]) != NULL, "\"%s\" lacks \"%s\"", err.text, cases[i][1]);
        omni_model_free(m);
    }
    omni_weights_close(w);
}

Test(hostile, weights_that_the_config_does_not_describe) {
    static const char *const llama[][2] = {
        {TINY("\"num_hidden_layers\": 3"), "tensor 'model.layers.2.input_layernorm.weight' is missing"},
        {TINY("\"num_hidden_layers\": 65536"), "tensor 'model.layers.2.input_layernorm.weight' is missing"},
        {TINY("\"num_hidden_layers\": 2, \"attention_bias\": true"), "self_attn.q_proj.bias' is missing"},
        {TINY("\"num_hidden_layers\": 2, \"mlp_bias\": true"), "mlp.gate_proj.bias' is missing"},
        {TINY("\"num_hidden_layers\": 2, \"head_dim\": 32"), "has shape [96, 96] (expected [192, 96])"},
    };
    static const char *const bert[][2] = {
        {BERT("2", "\"num_hidden_layers\": 4"),
         "'bert.encoder.layer.3.attention.self.query.weight' is missing"},
        {BERT("2", "\"num_hidden_layers\": 65536"),
         "'bert.encoder.layer.3.attention.self.query.weight' is missing"},
        {BERT("3", "\"num_hidden_layers\": 3"), "has shape [2, 64] (expected [3, 64])"},
        {BERT("1", "\"num_hidden_layers\": 3"), "has shape [2, 64] (expected [1, 64])"},
    };
    check_binding("tests/golden/llama-tiny-gqa", llama, COUNT(llama));
    check_binding("tests/golden/bert-tiny", bert, COUNT(bert));
}

/* Quantized checkpoints keep whole numbers where weights should be. */
Test(hostile, tensors_of_types_that_are_no_weights) {
    static const double x[2] = {1, 2};
    static const omni_dtype dtypes[] = {OMNI_F64, OMNI_I32, OMNI_U8, OMNI_BOOL};
    const omni_tensor_name name = {{"a"}};
    for (size_t i = 0; i < COUNT(dtypes); i++) {
        const omni_tensor_out t = {"a", dtypes[i], 1, {2}, x};
        omni_weights *w;
        omni_error err = {0};
        cr_assert_eq(omni_safetensors_write(in_dir("x"), &t, 1, &err), OMNI_OK, "%s", err.text);
        cr_assert_eq(omni_weights_open_file(in_dir("x"), &w, &err), OMNI_OK, "%s", err.text);
        cr_assert_null(omni_bind(w, &name, 0, 2, 0, &err));
        cr_assert(strstr(err.text, "(expected F32, F16 or BF16)") != NULL, "%s", err.text);
        omni_weights_close(w);
    }
}
