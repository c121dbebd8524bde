/* test_synth.c: checkpoints of random weights: their bytes, shards, what refuses and what is left then; and a
 * thinned directory of each configs/models shape, which runs and holds against the reference.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dir_tools.h"
#include "omnibus/kernel.h"
#include "omnibus/verify.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

TestSuite(synth, .init = make_dir, .fini = remove_dir);

static size_t entries(const char *path) {
    DIR *d = opendir(path);
    size_t n = 0;
    cr_assert_not_null(d, "%s", path);
    for (const struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* Larger than two blocks of the writer, with odd sizes, so that tensors begin and end anywhere in one. */
static const omni_random_spec specs[] = {{"a", OMNI_BF16, 2, {1999, 1777}, 0, 0.5f},
                                         {"b", OMNI_BF16, 1, {3}, 1, 0.1f},
                                         {"empty", OMNI_BF16, 1, {0}, 0, 1},
                                         {"c", OMNI_BF16, 2, {777, 1501}, 0, 0.02f},
                                         {"d", OMNI_BF16, 1, {1}, 0, 1}};

static omni_synth_options options(const char *name) {
    return (omni_synth_options){.dir = in_dir(name),
                                .config = "{\"model_type\": \"none\"}\n",
                                .spec = specs,
                                .count = COUNT(specs),
                                .seed = 7,
                                .shard_bytes = UINT64_MAX,
                                .threads = 2};
}

static omni_synth_result written(const omni_synth_options *o) {
    omni_error err = {0};
    omni_synth_result r;
    cr_assert_eq(omni_synth_write(o, &r, &err), OMNI_OK, "%s", err.text);
    return r;
}

static bool same_file(const char *a, const char *b) {
    char command[400];
    snprintf(command, sizeof command, "cmp -s '%s/model.safetensors' '%s/model.safetensors'", in_dir(a),
             in_dir(b));
    return system(command) == 0;
}

Test(synth, the_same_seed_makes_the_same_bytes_from_any_threads) {
    static const size_t threads[] = {1, 2, 3, 17};
    omni_synth_options o = options("first");
    omni_synth_result r = written(&o);
    struct stat model, config;
    cr_assert_eq(stat(in_dir("first/model.safetensors"), &model), 0);
    cr_assert_eq(stat(in_dir("first/config.json"), &config), 0);
    cr_expect_eq(r.shards, 1);
    cr_expect_eq(r.bytes, (uint64_t)(model.st_size + config.st_size));
    cr_expect_eq(entries(in_dir("first")), 2);
    for (size_t i = 0; i < COUNT(threads); i++) {
        char name[] = "0";
        name[0] = (char)('0' + i);
        o = options(name);
        o.threads = threads[i];
        written(&o);
        cr_expect(same_file("first", name), "%zu threads", threads[i]);
    }
    o = options("other");
    o.seed = 8;
    written(&o);
    cr_expect(!same_file("first", "other"));
}

Test(synth, a_tensor_is_the_random_source_s) {
    omni_synth_options o = options("x");
    omni_weights *file, *random;
    written(&o);
    cr_assert_eq(omni_weights_open_dir(in_dir("x"), &file, NULL), OMNI_OK);
    cr_assert_eq(omni_weights_open_random(specs, COUNT(specs), 7, &random, NULL), OMNI_OK);
    cr_assert_eq(omni_weights_count(file), COUNT(specs));
    for (size_t i = 0; i < COUNT(specs); i++) {
        const omni_tensor *t = omni_weights_find(file, specs[i].name),
                          *want = omni_weights_find(random, specs[i].name);
        cr_assert(t && t->dtype == want->dtype && t->rank == want->rank && t->elements == want->elements);
        uint16_t *bits = malloc(t->elements * sizeof *bits + 1),
                 *found = malloc(t->elements * sizeof *bits + 1);
        cr_assert(omni_weights_read(random, want, 0, t->elements, bits));
        cr_assert(omni_weights_read(file, t, 0, t->elements, found));
        cr_expect_eq(memcmp(bits, found, t->elements * sizeof *bits), 0, "%s", t->name);
        free(bits);
        free(found);
    }
    omni_weights_close(file);
    omni_weights_close(random);
}

/* --- shards ----------------------------------------------------------------------------------- */

/* Each tensor is in the file that the index names, and nowhere else. */
static void check_index(const json_t *index, size_t files) {
    const json_t *map = json_object_get(index, "weight_map");
    size_t found = 0;
    cr_assert_eq(json_object_size(map), COUNT(specs));
    for (size_t k = 1; k <= files; k++) {
        char name[64], path[160];
        omni_weights *w;
        omni_error err = {0};
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", k, files);
        snprintf(path, sizeof path, "%s/x/%s", own_dir, name);
        cr_assert_eq(omni_weights_open_file(path, &w, &err), OMNI_OK, "%s", err.text);
        for (size_t i = 0; i < omni_weights_count(w); i++, found++)
            cr_expect_str_eq(json_string_value(json_object_get(map, omni_weights_at(w, i)->name)), name);
        omni_weights_close(w);
    }
    cr_expect_eq(found, COUNT(specs));
}

Test(synth, shards_are_cut_before_a_tensor_that_is_too_many) {
    static const struct {
        uint64_t bytes;
        size_t shards;
    } cases[] = {{1, 5}, /* a tensor each */
                 {1777 * 1999 * 2 + 6, 2},
                 {1777 * 1999 * 2 + 5, 2},
                 {777 * 1501 * 2 + 7, 3}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_synth_options o = options("x");
        o.shard_bytes = cases[i].bytes;
        omni_synth_result r = written(&o);
        cr_expect_eq(r.shards, cases[i].shards, "%zu: %zu", i, r.shards);
        cr_expect_eq(entries(o.dir), r.shards + 2);
        json_t *index = json_load_file(in_dir("x/model.safetensors.index.json"), 0, NULL);
        cr_assert_not_null(index);
        check_index(index, r.shards);
        cr_expect_eq(json_integer_value(json_object_get(json_object_get(index, "metadata"), "total_size")),
                     2 * (1777 * 1999 + 3 + 777 * 1501 + 1));
        json_decref(index);
        remove_dir();
        make_dir();
    }
}

/* --- what refuses, and what is left ----------------------------------------------------------- */

static void fails(const omni_synth_options *o, omni_status want, const char *words) {
    omni_error err = {0};
    omni_synth_result r;
    cr_expect_eq(omni_synth_write(o, &r, &err), want, "%s", err.text);
    cr_expect_not_null(strstr(err.text, words), "'%s' lacks '%s'", err.text, words);
    cr_expect_null(strchr(err.text, '\n'));
}

Test(synth, places_that_cannot_be_written) {
    omni_synth_options o = options("full");
    written(&o);
    fails(&o, OMNI_BAD_INPUT, "not empty (expected a new or an empty directory)");
    cr_expect_eq(entries(o.dir), 2);
    o.dir = in_dir("full/config.json");
    fails(&o, OMNI_BAD_INPUT, "exists (expected a new or an empty directory)");
    o.dir = in_dir("no/where");
    fails(&o, OMNI_RUN_FAILED, "cannot write: No such file or directory");
    o.dir = "";
    fails(&o, OMNI_RUN_FAILED, "cannot write");
    cr_expect_eq(entries(own_dir), 1);
    o.dir = "/proc/omnibus";
    fails(&o, OMNI_RUN_FAILED, "cannot write");
}

Test(synth, an_empty_directory_is_filled_and_stays) {
    omni_synth_options o = options("x");
    cr_assert_eq(mkdir(o.dir, 0777), 0);
    written(&o);
    cr_expect_eq(entries(o.dir), 2);
}

static omni_random_spec mixed[] = {{"a", OMNI_BF16, 1, {3}, 0, 1}, {"b", OMNI_F32, 1, {3}, 0, 1}};

Test(synth, tensors_that_make_no_sense) {
    omni_synth_options o = options("x");
    o.spec = mixed;
    o.count = COUNT(mixed);
    fails(&o, OMNI_BAD_INPUT, "'b' (expected one type");
    mixed[1] = (omni_random_spec){"a", OMNI_BF16, 1, {3}, 0, 1};
    fails(&o, OMNI_BAD_INPUT, "'a'");
    mixed[1] = (omni_random_spec){"b", OMNI_BF16, 2, {(size_t)1 << 40, (size_t)1 << 40}, 0, 1};
    fails(&o, OMNI_BAD_INPUT, "'b'");
    cr_expect_eq(entries(own_dir), 0);
}

static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(synth, a_disk_that_is_too_small_leaves_nothing) {
    const omni_random_spec turned[] = {specs[3], specs[0]}; /* the first fits, as a shard of its own */
    omni_synth_options o = options("x");
    limit_files(4 << 20);
    fails(&o, OMNI_RUN_FAILED, "model.safetensors: cannot write: File too large");
    cr_expect_eq(entries(own_dir), 0);
    cr_assert_eq(mkdir(o.dir, 0777), 0);
    o.spec = turned;
    o.count = 2;
    o.shard_bytes = 1;
    fails(&o, OMNI_RUN_FAILED, "model-00002-of-00002.safetensors: cannot write: File too large");
    cr_expect_eq(entries(own_dir), 1);
    cr_expect_eq(entries(o.dir), 0);
}

/* After the space was reserved: the second look is before the second file, config.json. */
static bool limit_late(void *arg, uint64_t done, uint64_t total) {
    size_t *looks = arg;
    (void)done;
    (void)total;
    if (++*looks == 2) limit_files(1 << 20);
    return true;
}

Test(synth, a_disk_that_fails_later_leaves_nothing) {
    omni_synth_options o = options("x");
    size_t looks = 0;
    o.watch = limit_late;
    o.watch_arg = &looks;
    fails(&o, OMNI_RUN_FAILED, "model.safetensors: cannot write: File too large");
    cr_expect_eq(entries(own_dir), 0);
}

/* Stops at the n-th look. */
static bool stop_at(void *arg, uint64_t done, uint64_t total) {
    size_t *n = arg;
    cr_assert(done <= total);
    return *n > 0 && --*n > 0;
}

Test(synth, a_stop_at_any_moment_leaves_nothing) {
    bool finished = false;
    for (size_t n = 1; n < 200 && !finished; n++) {
        omni_synth_options o = options("x");
        omni_error err = {0};
        omni_synth_result r;
        size_t left = n;
        o.watch = stop_at;
        o.watch_arg = &left;
        o.shard_bytes = 1;
        omni_status status = omni_synth_write(&o, &r, &err);
        finished = left > 0;
        cr_assert_eq(status, finished ? OMNI_OK : OMNI_INTERRUPTED, "look %zu: %s", n, err.text);
        cr_assert_eq(entries(own_dir), finished ? 1 : 0);
    }
    cr_assert(finished);
}

/* --- the published shapes, thinned ------------------------------------------------------------ */

#if defined(__SANITIZE_ADDRESS__)
enum { MOST_BYTES = 100000000 };
#else
enum { MOST_BYTES = 300000000 };
#endif

typedef struct shape {
    char name[24];
} shape;

ParameterizedTestParameters(synth_shapes, one_layer_runs_and_is_right) {
    static shape all[] = {{"llama-2-7b"},        {"llama-2-13b"},       {"llama-2-70b"},
                          {"llama-3.1-8b"},      {"tinyllama-1.1b"},    {"gpt2"},
                          {"gpt2-medium"},       {"gpt2-large"},        {"gpt2-xl"},
                          {"bert-base-uncased"}, {"bert-large-uncased"}};
    return cr_make_param_array(shape, all, COUNT(all));
}

/* One layer in BF16 with a small vocabulary, as a file in the test's directory. */
static const char *thin_config(const char *name, omni_error *err) {
    char path[64], *text;
    snprintf(path, sizeof path, "configs/models/%s.json", name);
    omni_status status = omni_model_rewrite(path, 1, OMNI_BF16, &text, err);
    if (status && strstr(err->text, "not supported")) return NULL;
    cr_assert_eq(status, OMNI_OK, "%s", err->text);
    json_t *root = json_loads(text, 0, NULL);
    json_object_set_new(root, "vocab_size", json_integer(2053));
    cr_assert_eq(json_dump_file(root, in_dir("config.json"), JSON_INDENT(2)), 0);
    json_decref(root);
    omni_free(text);
    return in_dir("config.json");
}

static void synthesize(const omni_model *m, const char *config) {
    omni_error err = {0};
    omni_random_spec *spec;
    omni_synth_result r;
    size_t count;
    char *text;
    cr_assert_eq(omni_random_specs(m, OMNI_BF16, &spec, &count, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_model_rewrite(config, 1, OMNI_BF16, &text, &err), OMNI_OK, "%s", err.text);
    omni_synth_options o = {.dir = in_dir("x"),
                            .config = text,
                            .spec = spec,
                            .count = count,
                            .seed = 1,
                            .shard_bytes = UINT64_MAX,
                            .threads = 2};
    cr_assert_eq(omni_synth_write(&o, &r, &err), OMNI_OK, "%s", err.text);
    omni_free(spec);
    omni_free(text);
}

static void check_plans(void) {
    static const struct {
        const char *plan;
        size_t pes;
    } cases[] = {{"megatron", 3}, {"workflow2", 2}};
    omni_error err = {0};
    omni_model *m;
    omni_weights *w;
    omni_topo *topo;
    omni_truth *truth;
    omni_stop stop = {0};
    cr_assert_eq(omni_kernel_init(&err), OMNI_OK);
    cr_assert_eq(omni_model_load(in_dir("x"), &m, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_open_dir(in_dir("x"), &w, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_topo_open(NULL, NULL, &topo, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_truth_random(m, w, 1, 1, 2, &stop, NULL, &truth, &err), OMNI_OK, "%s", err.text);
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_plan_spec spec;
        omni_plan *plan;
        omni_check_result r;
        cr_assert_eq(omni_plan_parse(cases[i].plan, &spec, &err), OMNI_OK, "%s", err.text);
        cr_assert_eq(omni_plan_compile(m, &spec, cases[i].pes, &plan, &err), OMNI_OK, "%s", err.text);
        omni_engine_options o = {.model = m, .weights = w, .plan = plan, .topo = topo, .stop = &stop};
        cr_assert_eq(omni_check_case(&o, truth, &r, &err), OMNI_OK, "%s", err.text);
        cr_expect(r.passed, "%s: %s", cases[i].plan, r.first_bad);
        omni_plan_free(plan);
    }
    omni_truth_free(truth);
    omni_topo_close(topo);
    omni_weights_close(w);
    omni_model_free(m);
}

ParameterizedTest(shape *s, synth_shapes, one_layer_runs_and_is_right, .init = make_dir, .fini = remove_dir,
                  .timeout = 300) {
    omni_error err = {0};
    omni_model *m = NULL;
    const char *config = thin_config(s->name, &err);
    omni_status status = config ? omni_model_load(config, &m, &err) : OMNI_BAD_INPUT;
    if (!m) cr_skip_test("%s: refused by name: %s", s->name, err.text);
    cr_assert_eq(status, OMNI_OK);
    uint64_t bytes = 2 * omni_model_parameters(m);
    if (bytes > MOST_BYTES) {
        omni_model_free(m);
        cr_skip_test("%s: one layer takes %lu MB (most of this test: %d)", s->name,
                     (unsigned long)(bytes / 1000000), MOST_BYTES / 1000000);
    }
    synthesize(m, config);
    omni_model_free(m);
    check_plans();
}

/* States stay near 1 through many layers, and logits are neither flat nor saturated. */
Test(synth, activations_stay_sane_over_80_layers, .timeout = 300) {
    static const char *const configs[] = {
        "{\"model_type\": \"llama\", \"hidden_size\": 128, \"intermediate_size\": 352, "
        "\"num_hidden_layers\": "
        "80, \"num_attention_heads\": 4, \"vocab_size\": 211, \"max_position_embeddings\": 64}",
        "{\"model_type\": \"gpt2\", \"n_embd\": 128, \"n_layer\": 80, \"n_head\": 4, \"n_positions\": 64, "
        "\"vocab_size\": 211}"};
    for (size_t i = 0; i < COUNT(configs); i++) {
        omni_error err = {0};
        omni_model *m;
        omni_weights *w;
        omni_random_spec *spec;
        omni_truth *truth;
        omni_stop stop = {0};
        size_t count, layers = 80, hidden = 128;
        cr_assert_eq(omni_model_parse(configs[i], strlen(configs[i]), "c", &m, &err), OMNI_OK, "%s",
                     err.text);
        cr_assert_eq(omni_random_specs(m, OMNI_F32, &spec, &count, &err), OMNI_OK);
        cr_assert_eq(omni_weights_open_random(spec, count, 1, &w, &err), OMNI_OK);
        cr_assert_eq(omni_truth_random(m, w, 1, 1, 2, &stop, NULL, &truth, &err), OMNI_OK, "%s", err.text);
        const omni_prompt_truth *p = omni_truth_prompt(truth, 0);
        for (size_t l = 1; l <= layers; l++) {
            double squares = 0;
            size_t n = p->tokens * hidden;
            for (size_t k = 0; k < n; k++) squares += p->layer_hidden[l * n + k] * p->layer_hidden[l * n + k];
            double rms = squares / (double)n; /* mean square */
            cr_expect(rms > 1e-4 && rms < 10, "config %zu, layer %zu: mean square %g", i, l, rms);
        }
        double squares = 0;
        for (size_t k = 0; k < 211; k++) squares += p->logits_last[k] * p->logits_last[k];
        cr_expect(squares / 211 > 0.1 && squares / 211 < 10, "config %zu: logits %g", i, squares / 211);
        omni_truth_free(truth);
        omni_weights_close(w);
        omni_free(spec);
        omni_model_free(m);
    }
}
