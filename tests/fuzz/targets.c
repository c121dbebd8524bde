/* targets.c: the targets, and the files in memory that some of them need. */
#include "targets.h"

#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/run.h"
#include "omnibus/array.h"
#include "omnibus/picture.h"
#include "omnibus/rates.h"
#include "omnibus/text.h"
#include "omnibus/verify.h"
#include "topo/internal.h"

enum { MOST_BYTES = 1 << 16 };

static void require(bool holds) {
    if (!holds) abort();
}

/* The contract of a door: OK, or bad input in one line. */
static void require_contract(omni_status status, const omni_error *err, const void *out) {
    require(status == OMNI_OK || status == OMNI_BAD_INPUT);
    require((status == OMNI_OK) == (out != NULL));
    if (status == OMNI_OK) return;
    require(err->status == status && err->text[0] != '\0' && !strchr(err->text, '\n'));
}

/* --- bytes as what parsers take --------------------------------------------------------------- */

static char *text_of(const uint8_t *data, size_t bytes) {
    char *text = malloc(bytes + 1);
    require(text != NULL);
    if (bytes) memcpy(text, data, bytes);
    text[bytes] = '\0';
    return text;
}

static void write_all(int fd, const void *data, size_t bytes) {
    require(bytes == 0 || write(fd, data, bytes) == (ssize_t)bytes);
}

/* An empty file in memory; `path` opens it. */
static int memory_file(char path[64]) {
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    require(fd >= 0);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

/* The bytes up to the next NUL or the end; *at moves behind it. */
static const char *next_text(const char *text, size_t bytes, size_t *at, size_t *length) {
    const char *part = text + (*at < bytes ? *at : bytes);
    *length = strlen(part);
    *at += *length + 1;
    return part;
}

/* --- checkpoints ------------------------------------------------------------------------------ */

static void read_ends(const omni_weights *w) {
    for (size_t i = 0; i < omni_weights_count(w); i++) {
        const omni_tensor *t = omni_weights_at(w, i);
        double x;
        require(omni_weights_find(w, t->name) == t);
        if (t->elements == 0) continue;
        require(omni_weights_read_f64(w, t, 0, 1, &x) && omni_weights_read_f64(w, t, t->elements - 1, 1, &x));
    }
}

/* The first byte says how many bytes of data follow the header, whose length field is then right; 255: all
 * the rest is the file as it is. */
static void safetensors(const uint8_t *data, size_t bytes) {
    char path[64];
    omni_weights *w = NULL;
    omni_error err = {0};
    if (bytes == 0 || bytes > MOST_BYTES) return;
    size_t tail = data[0], length = bytes - 1;
    int fd = memory_file(path);
    if (tail != 255) {
        unsigned char field[8] = {0};
        for (size_t i = 0; i < 4; i++) field[i] = (unsigned char)(length >> 8 * i);
        write_all(fd, field, sizeof field);
    }
    write_all(fd, data + 1, length);
    for (size_t i = 0; tail != 255 && i < tail; i++) write_all(fd, "x", 1);
    omni_status status = omni_weights_open_file(path, &w, &err);
    require_contract(status, &err, w);
    if (w) read_ends(w);
    omni_weights_close(w);
    close(fd);
}

static char work_dir[] = "/tmp/omni-fuzz-XXXXXX";

static const char *in_work_dir(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", work_dir, name);
    return path;
}

static void remove_work_dir(void) {
    static const char *const files[] = {
        "model-1.safetensors", "model-2.safetensors", "model.safetensors.index.json", "vocab.txt",
        "vocab.json",          "merges.txt",          "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(in_work_dir(files[i]));
    rmdir(work_dir);
}

/* A directory for the target that runs. */
static void make_work_dir(void) {
    static bool made;
    if (!made) require(mkdtemp(work_dir) != NULL && atexit(remove_work_dir) == 0);
    made = true;
}

static void write_file(const char *name, const void *data, size_t bytes) {
    FILE *file = fopen(in_work_dir(name), "wb");
    require(file && (bytes == 0 || fwrite(data, 1, bytes, file) == bytes) && fclose(file) == 0);
}

/* Shard 1 has a and b, shard 2 has c. */
static void make_shards(void) {
    static const float x[2] = {1, 2};
    const omni_tensor_out a = {"a", OMNI_F32, 1, {2}, x}, b = {"b", OMNI_F32, 1, {1}, x},
                          c = {"c", OMNI_F32, 1, {2}, x};
    require(omni_safetensors_write(in_work_dir("model-1.safetensors"), (omni_tensor_out[]){a, b}, 2, NULL) ==
            OMNI_OK);
    require(omni_safetensors_write(in_work_dir("model-2.safetensors"), (omni_tensor_out[]){c}, 1, NULL) ==
            OMNI_OK);
}

static void shard_index(const uint8_t *data, size_t bytes) {
    static bool made;
    omni_weights *w = NULL;
    omni_error err = {0};
    make_work_dir();
    if (!made) make_shards();
    made = true;
    write_file("model.safetensors.index.json", data, bytes);
    omni_status status = omni_weights_open_dir(work_dir, &w, &err);
    require_contract(status, &err, w);
    if (w) read_ends(w);
    omni_weights_close(w);
}

/* --- models and plans ------------------------------------------------------------------------- */

static void config(const uint8_t *data, size_t bytes) {
    omni_model *m = NULL;
    omni_error err = {0};
    char *text = text_of(data, bytes), name[OMNI_NAME];
    omni_status status = omni_model_parse(text, bytes, "fuzz", &m, &err);
    require_contract(status, &err, m);
    if (m) {
        const omni_shape *s = &m->shape;
        double *inverse = omni_alloc_array(s->head_dim / 2 + 1, sizeof *inverse);
        require(omni_model_parameters(m) > 0 && s->heads % s->kv_heads == 0);
        if (s->rope_theta > 0 && inverse) omni_rope_inverse(s, inverse);
        require(omni_tensor_name_format(&m->embedding, 0, 0, name));
        for (unsigned heads = 0; s->encoder && heads <= (OMNI_HEAD_POOLER | OMNI_HEAD_MLM); heads++) {
            omni_model_set_heads(m, heads);
            require(m->heads == heads && m->final_op_count >= 2 && omni_model_parameters(m) > 0);
        }
        omni_free(inverse);
    }
    omni_model_free(m);
    free(text);
}

static const omni_model *small_model(void) {
    static const char text[] =
        "{\"model_type\":\"llama\",\"hidden_size\":12,\"intermediate_size\":7,\"num_hidden_layers\":3,"
        "\"num_attention_heads\":6,\"num_key_value_heads\":2,\"vocab_size\":13,\"max_position_embeddings\":"
        "64}";
    static omni_model *model;
    if (!model) require(omni_model_parse(text, sizeof text - 1, "fuzz", &model, NULL) == OMNI_OK);
    return model;
}

/* The first byte says how many PEs. What compiles must pass the checker. */
static void plan(const uint8_t *data, size_t bytes) {
    omni_plan_spec spec;
    omni_plan *p = NULL;
    omni_error err = {0};
    if (bytes == 0) return;
    char *text = text_of(data + 1, bytes - 1);
    omni_status status = omni_plan_parse(text, &spec, &err);
    require_contract(status, &err, status ? NULL : &spec);
    if (!status) {
        status = omni_plan_compile(small_model(), &spec, data[0] % 9 + 1u, &p, &err);
        require_contract(status, &err, p);
        if (p) require(omni_plan_check(p, 16, &err) == OMNI_OK);
    }
    omni_plan_free(p);
    free(text);
}

static void plan_list(const uint8_t *data, size_t bytes) {
    char **list = NULL, *text = text_of(data, bytes);
    size_t count = 0;
    omni_error err = {0};
    omni_status status = omni_plan_list(text, &list, &count, &err);
    require(status == OMNI_OK || status == OMNI_BAD_INPUT);
    require(status != OMNI_OK || (count > 0 && count <= OMNI_MAX_PLANS));
    if (!status) omni_plan_list_free(list, count);
    free(text);
}

static void schedules(const uint8_t *data, size_t bytes) {
    cli_schedule *list = NULL;
    size_t count = 0;
    char *text = text_of(data, bytes);
    omni_error err = {0};
    omni_status status = cli_schedules(text, &list, &count, &err);
    require_contract(status, &err, list);
    for (size_t i = 0; i < count; i++) {
        const omni_plan **plan = NULL;
        require(list[i].count > 0);
        status = cli_schedule_compile(small_model(), &list[i], 3, &plan, &err);
        require(status == OMNI_OK || (status == OMNI_BAD_INPUT && err.text[0]));
        cli_schedule_drop(&list[i], plan);
    }
    cli_schedules_free(list, count);
    free(text);
}

/* --- arrays ----------------------------------------------------------------------------------- */

static void price_small(const omni_array *a) {
    static const char *const plans[] = {"workflow2", "lockstep", "megatron:stages=2:overlap=2"};
    static const size_t first[] = {3, 0}, counts[] = {2, 5};
    const omni_extent pass = {.tokens = 7, .sequences = 2, .first = first, .counts = counts};
    size_t pes = omni_array_living(a, omni_array_pes(a) < 5 ? omni_array_pes(a) : 5);
    for (size_t i = 0; pes && i < sizeof plans / sizeof *plans; i++) {
        omni_plan_spec spec;
        omni_plan *p = NULL;
        omni_price price;
        omni_error err = {0};
        require(omni_plan_parse(plans[i], &spec, &err) == OMNI_OK);
        if (omni_plan_compile(small_model(), &spec, pes, &p, &err) == OMNI_OK)
            require(omni_price_pass(a, p, pass, &price, &err) == OMNI_OK && price.rows <= OMNI_PRICE_ROWS);
        omni_plan_free(p);
    }
}

/* An array's file, or a host's; behind each NUL what stands behind a --set. */
static void array(const uint8_t *data, size_t bytes) {
    char path[64], *text = text_of(data, bytes);
    size_t at = 0, length;
    omni_array *a = NULL;
    omni_error err = {0};
    int fd = memory_file(path);
    next_text(text, bytes, &at, &length);
    write_all(fd, data, length);
    omni_status status = omni_array_load(path, &a, &err);
    require_contract(status, &err, a);
    if (a) price_small(a);
    while (a && at < bytes) {
        char *set = (char *)(uintptr_t)next_text(text, bytes, &at, &length), *value = strchr(set, '=');
        omni_error wrong = {0};
        if (!value) continue;
        *value = '\0';
        status = omni_array_set(a, set, value + 1, &wrong);
        require_contract(status, &wrong, status ? NULL : a);
        if (status) break;
        (void)omni_array_get(a, set);
        price_small(a);
    }
    omni_array_free(a);
    close(fd);
    free(text);
}

/* --- results ---------------------------------------------------------------------------------- */

/* As plot and report take them, up to where gnuplot would be started. */
static void results(const uint8_t *data, size_t bytes) {
    char path[64];
    int fd = memory_file(path);
    omni_results *r = omni_results_create();
    omni_error err = {0};
    require(r != NULL);
    write_all(fd, data, bytes);
    omni_status status = omni_results_add(r, path, &err);
    require_contract(status, &err, status ? NULL : r);
    for (size_t p = 0; !status && p < OMNI_PICTURES; p++) {
        omni_text *script = omni_text_create();
        if (omni_picture_has(r, (omni_picture)p))
            omni_picture_script(r, (omni_picture)p, OMNI_IMAGE_SVG, script);
        require(strpbrk(omni_text_string(script), "`\\") == NULL); /* nothing that gnuplot would run */
        omni_text_free(script);
    }
    omni_results_free(r);
    close(fd);
}

/* --- settings and lists ----------------------------------------------------------------------- */

static void load_settings(const char *path, size_t bytes, omni_command command) {
    omni_error err = {0};
    omni_settings *s = omni_settings_create(command);
    require(s != NULL);
    omni_status status = omni_settings_load(s, path, &err);
    require_contract(status, &err, status ? NULL : s);
    for (int id = 0; !status && id < OMNI_OPTIONS; id++) {
        const char *value = omni_settings_get(s, (omni_option_id)id);
        require(!value || strlen(value) <= bytes || omni_option_at((omni_option_id)id)->initial ||
                strcmp(value, "yes") == 0);
    }
    omni_settings_free(s);
}

/* As --config: INI, or a JSON result. */
static void ini(const uint8_t *data, size_t bytes) {
    char path[64];
    int fd = memory_file(path);
    write_all(fd, data, bytes);
    load_settings(path, bytes, OMNI_CMD_RUN);
    load_settings(path, bytes, OMNI_CMD_PLAN);
    load_settings(path, bytes, OMNI_CMD_BENCH);
    close(fd);
}

static void numbers(const uint8_t *data, size_t bytes) {
    char *text = text_of(data, bytes);
    size_t *list = NULL, count = 0;
    omni_error err = {0};
    omni_status status = omni_number_list(text, "--fuzz", 1, 1000, &list, &count, &err);
    require_contract(status, &err, list);
    for (size_t i = 0; list && i < count; i++) require(list[i] >= 1 && list[i] <= 1000);
    omni_free(list);
    free(text);
}

static void ids(const uint8_t *data, size_t bytes) {
    char *text = text_of(data, bytes);
    int32_t *list = NULL;
    size_t count = 0;
    omni_error err = {0};
    omni_status status = omni_id_list(text, "--fuzz", &list, &count, &err);
    require_contract(status, &err, list);
    for (size_t i = 0; list && i < count; i++) require(list[i] >= 0);
    omni_free(list);
    free(text);
}

static void cpus(const uint8_t *data, size_t bytes) {
    char *text = text_of(data, bytes);
    omni_error err = {0};
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    require(set != NULL);
    omni_status status = topo_parse_cpus(text, set, &err);
    require_contract(status, &err, status ? NULL : set);
    hwloc_bitmap_free(set);
    free(text);
}

/* --- text ------------------------------------------------------------------------------------- */

/* Up to a NUL a tokenizer.json, behind it a text to encode. What comes back can be decoded, all at once or
 * not. */
static void say(const omni_tokenizer *t, const char *text, size_t bytes) {
    omni_encoding e;
    omni_error err = {0};
    char *back;
    const char *piece;
    size_t length;
    omni_status status = omni_tokenizer_encode(t, text, bytes, NULL, 0, &e, &err);
    require((status == OMNI_OK) == (e.ids != NULL) && (status == OMNI_OK || err.text[0]));
    if (status) return;
    status = omni_tokenizer_decode(t, e.ids, e.count, true, &back, &length, &err);
    require((status == OMNI_OK) == (back != NULL));
    require(!back || back[length] == '\0');
    free(back);
    omni_stream *s = omni_stream_create(t, e.ids, e.count / 2);
    require(s != NULL);
    for (size_t i = e.count / 2; i < e.count && status == OMNI_OK; i++)
        status = omni_stream_push(s, e.ids[i], &piece, &err);
    omni_stream_end(s, &piece, &err);
    omni_stream_free(s);
    omni_encoding_free(&e);
}

static void tokenizer(const uint8_t *data, size_t bytes) {
    omni_tokenizer *t = NULL;
    omni_error err = {0};
    char *text = text_of(data, bytes);
    size_t json = strlen(text), rest = json < bytes ? bytes - json - 1 : 0;
    omni_status status = omni_tokenizer_parse(text, json, "fuzz", &t, &err);
    require_contract(status, &err, t);
    if (t) say(t, text + bytes - rest, rest < 256 ? rest : 256);
    omni_tokenizer_free(t);
    free(text);
}

/* vocab.txt, or vocab.json with merges.txt behind a NUL, then tokenizer_config.json, then a text. */
static void older_files(const uint8_t *data, size_t bytes) {
    omni_tokenizer *t = NULL;
    omni_error err = {0};
    size_t at = 0, length;
    char *text = text_of(data, bytes);
    make_work_dir();
    const char *first = next_text(text, bytes, &at, &length);
    bool json = *first == '{';
    unlink(in_work_dir(json ? "vocab.txt" : "vocab.json"));
    write_file(json ? "vocab.json" : "vocab.txt", first, length);
    const char *merges = next_text(text, bytes, &at, &length);
    write_file("merges.txt", merges, length);
    const char *config = next_text(text, bytes, &at, &length);
    if (length)
        write_file("tokenizer_config.json", config, length);
    else
        unlink(in_work_dir("tokenizer_config.json"));
    omni_status status = omni_tokenizer_open(work_dir, &t, &err);
    require_contract(status, &err, t);
    const char *said = next_text(text, bytes, &at, &length);
    if (t) say(t, said, length < 256 ? length : 256);
    omni_tokenizer_free(t);
    free(text);
}

/* Files of prompts, as text and as ids, for the demo's tokenizer. */
static void prompt_files(const uint8_t *data, size_t bytes) {
    static const omni_option_id options[] = {OMNI_OPT_PROMPT_FILE, OMNI_OPT_IDS_FILE};
    static cli c = {.operand = "configs/demo/bert"};
    static omni_tokenizer *t;
    char path[64];
    int fd = memory_file(path);
    write_all(fd, data, bytes);
    if (!c.model) require(omni_model_load(c.operand, &c.model, NULL) == OMNI_OK);
    for (size_t i = 0; i < 2; i++) {
        prompts p = {0};
        omni_error err = {0};
        c.settings = omni_settings_create(OMNI_CMD_RUN);
        require(c.settings &&
                omni_settings_put(c.settings, options[i], path, OMNI_FROM_COMMAND_LINE, &err) == OMNI_OK);
        omni_status status = prompts_read(&c, 0, &p, &t, &err);
        require_contract(status, &err, status ? NULL : &p);
        prompts_free(&p);
        omni_settings_free(c.settings);
    }
    close(fd);
}

const fuzz_target fuzz_targets[] = {
    {"safetensors", safetensors},
    {"index", shard_index},
    {"config", config},
    {"plan", plan},
    {"plan_list", plan_list},
    {"ini", ini},
    {"numbers", numbers},
    {"ids", ids},
    {"cpus", cpus},
    {"tokenizer", tokenizer},
    {"older_files", older_files},
    {"prompts", prompt_files},
    {"schedules", schedules},
    {"array", array},
    {"results", results},
};
const size_t fuzz_target_count = sizeof fuzz_targets / sizeof *fuzz_targets;

const fuzz_target *fuzz_target_find(const char *name) {
    for (size_t i = 0; i < fuzz_target_count; i++)
        if (strcmp(fuzz_targets[i].name, name) == 0) return &fuzz_targets[i];
    return NULL;
}
