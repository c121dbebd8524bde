/* test_weights.c: every way a safetensors header can be wrong, reading and writing. Random tensors are
 * test_weights_random.c's. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dir_tools.h"
#include "omnibus/weights.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

TestSuite(weights, .init = make_dir, .fini = remove_dir);

/* A file of this header, its length field saying `says`, and `data` bytes 0, 1, 2 ... */
static const char *make_file(const char *header, size_t says, size_t data) {
    static unsigned char bytes[4096];
    size_t length = strlen(header);
    cr_assert_lt(8 + length + data, sizeof bytes);
    for (size_t i = 0; i < 8; i++) bytes[i] = (unsigned char)(says >> 8 * i);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data; i++) bytes[8 + length + i] = (unsigned char)i;
    const char *path = in_dir("x.safetensors");
    write_bytes(path, bytes, 8 + length + data);
    return path;
}

static void refused(const char *path, const char *words) {
    omni_weights *w = (omni_weights *)&w;
    omni_error err = {0};
    cr_assert_eq(omni_weights_open_file(path, &w, &err), OMNI_BAD_INPUT, "expected: %s", words);
    cr_assert_null(w);
    cr_assert(strstr(err.text, words) != NULL, "\"%s\" lacks \"%s\"", err.text, words);
    cr_assert_eq(strncmp(err.text, path, strlen(path)), 0, "%s", err.text);
    cr_assert_null(strchr(err.text, '\n'));
}

/* --- headers ---------------------------------------------------------------------------------- */

#define T(dtype, shape, offsets)                                                                             \
    "{\"dtype\": \"" dtype "\", \"shape\": " shape ", \"data_offsets\": " offsets "}"

Test(weights, malformed_headers_are_refused) {
    static const struct {
        const char *header;
        size_t data;
        const char *words;
    } cases[] = {
        {"[]", 0, "does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"},
        {"{", 0, "not JSON"},
        {"{} x", 0, "not JSON"},
        {"{\"a\\u0000\": " T("U8", "[1]", "[0, 1]") "}", 1, "not JSON"},
        {"{\"a\": " T("U8", "[1]", "[0, 1]") ", \"a\": " T("U8", "[1]", "[1, 2]") "}", 2, "duplicate"},
        {"{\"a\": 3}", 0, "'a': not an object"},
        {"{\"a\": {}}", 0, "unknown dtype ''"},
        {"{\"a\": " T("F8_E4M3", "[1]", "[0, 1]") "}", 1, "unknown dtype 'F8_E4M3' (expected F32"},
        {"{\"a\": " T("I16", "[1]", "[0, 2]") "}", 2, "unknown dtype 'I16'"},
        {"{\"a\": " T("f32", "[1]", "[0, 4]") "}", 4, "unknown dtype"},
        {"{\"a\": {\"dtype\": 4, \"shape\": [1], \"data_offsets\": [0, 4]}}", 4, "unknown dtype"},
        {"{\"a\": " T("U8", "[-1]", "[0, 1]") "}", 1, "bad shape"},
        {"{\"a\": " T("U8", "[1.0]", "[0, 1]") "}", 1, "bad shape"},
        {"{\"a\": " T("U8", "\"1\"", "[0, 1]") "}", 1, "bad shape"},
        {"{\"a\": " T("U8", "[1,1,1,1,1,1,1,1,1]", "[0, 1]") "}", 1, "bad shape (expected at most 8"},
        {"{\"a\": " T("U8", "[99999999999999999999]", "[0, 1]") "}", 1, "not JSON"},
        {"{\"a\": " T("U8", "[4294967296, 4294967296]", "[0, 0]") "}", 0, "shape overflows"},
        {"{\"a\": " T("F64", "[4611686018427387904]", "[0, 0]") "}", 0, "shape overflows"},
        {"{\"a\": " T("U8", "[1]", "[0]") "}", 1, "bad data_offsets"},
        {"{\"a\": " T("U8", "[1]", "[0, 1, 2]") "}", 1, "bad data_offsets"},
        {"{\"a\": " T("U8", "[1]", "[-1, 0]") "}", 1, "bad data_offsets"},
        {"{\"a\": " T("U8", "[1]", "{}") "}", 1, "bad data_offsets"},
        {"{\"a\": " T("U8", "[1]", "[1, 0]") "}", 1, "begin after their end"},
        {"{\"a\": " T("U8", "[2]", "[0, 2]") "}", 1, "outside the file"},
        {"{\"a\": " T("U8", "[1]", "[9223372036854775806, 9223372036854775807]") "}", 1, "outside the file"},
        {"{\"a\": " T("F32", "[2]", "[0, 4]") "}", 4, "4 bytes of data (expected 8"},
        {"{\"a\": " T("U8", "[2]", "[0, 2]") ", \"b\": " T("U8", "[2]", "[1, 3]") "}", 3, "'b': overlaps"},
        {"{\"a\": " T("U8", "[2]", "[0, 2]") ", \"b\": " T("U8", "[2]", "[0, 2]") "}", 2, "overlaps"},
        {"{\"a\": " T("U8", "[3]", "[0, 3]") ", \"b\": " T("U8", "[0]", "[1, 1]") "}", 3, "'b': overlaps"},
        {"{\"b\": " T("U8", "[1]", "[2, 3]") ", \"a\": " T("U8", "[1]", "[0, 1]") "}", 3, "'b': a gap"},
        {"{\"a\": " T("U8", "[1]", "[1, 2]") "}", 2, "'a': a gap"},
        {"{\"a\": " T("U8", "[1]", "[0, 1]") "}", 3, "2 bytes after the last tensor"},
        {"{}", 1, "1 bytes after"},
        {"{\"__metadata__\": 3}", 0, "__metadata__"},
        {"{\"__metadata__\": {\"a\": 3}}", 0, "__metadata__"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        refused(make_file(cases[i].header, strlen(cases[i].header), cases[i].data), cases[i].words);
}

Test(weights, length_fields_that_lie_are_refused) {
    refused(make_file("{}", 3, 0), "header of 3 bytes is cut short");
    refused(make_file("{}", 100000000, 0), "cut short");
    refused(make_file("{}", 100000001, 0), "too long (expected at most 100000000");
    refused(make_file("{}", SIZE_MAX, 0), "too long");
    refused(make_file("{}", 0, 0), "does not begin");
    refused(make_file("{}", 1, 0), "not JSON");
    const char *path = in_dir("short");
    write_bytes(path, "1234567", 7);
    refused(path, "too short");
    write_bytes(path, "", 0);
    refused(path, "too short");
    write_bytes(path, "\0\0\0\0\0\0\0\0", 8);
    refused(path, "does not begin");
    refused(in_dir("none"), "No such file");
    refused(own_dir, "not a regular file");
    cr_assert_eq(mkfifo(in_dir("fifo"), 0600), 0);
    refused(in_dir("fifo"), "not a regular file");
}

Test(weights, unaligned_data_in_any_header_order) {
    /* f32 at byte 1, f64 at 5, an empty tensor between, a scalar at the end */
    const char *header =
        "{\"d\": " T("F64", "[1]", "[5, 13]") ", \"u\": " T("U8", "[1]", "[0, 1]") ", \"f\": " T(
            "F32", "[1, 1]", "[1, 5]") ", \"e\": " T("I64", "[0, 7]", "[5, 5]") ", \"s\": " T("I32", "[]",
                                                                                              "[13, 17]") "}";
    static const char *const order[] = {"u", "f", "e", "d", "s"};
    omni_weights *w;
    omni_error err = {0};
    cr_assert_eq(omni_weights_open_file(make_file(header, strlen(header), 17), &w, &err), OMNI_OK, "%s",
                 err.text);
    cr_assert_eq(omni_weights_count(w), COUNT(order));
    for (size_t i = 0; i < COUNT(order); i++) {
        cr_assert_str_eq(omni_weights_at(w, i)->name, order[i]);
        cr_assert_eq(omni_weights_find(w, order[i]), omni_weights_at(w, i));
    }
    cr_assert_null(omni_weights_find(w, "x"));
    const unsigned char bytes[] = {5, 6, 7, 8, 9, 10, 11, 12};
    double want, got;
    memcpy(&want, bytes, sizeof want);
    cr_assert(omni_weights_read_f64(w, omni_weights_find(w, "d"), 0, 1, &got));
    cr_assert_eq(got, want);
    int32_t scalar;
    const omni_tensor *s = omni_weights_find(w, "s");
    cr_assert(s->rank == 0 && s->elements == 1);
    cr_assert(omni_weights_read(w, s, 0, 1, &scalar));
    cr_assert_eq(scalar, 0x100f0e0d);
    cr_assert(omni_weights_read(w, omni_weights_find(w, "e"), 0, 0, NULL));
    omni_weights_close(w);
    omni_weights_close(NULL);
}

/* --- directories ------------------------------------------------------------------------------ */

Test(weights, golden_and_demo_directories_open) {
    static const struct {
        const char *dir, *tensor;
        omni_dtype dtype;
        size_t count, rows, cols;
    } cases[] = {
        {"tests/golden/gpt2-tiny", "h.2.attn.c_attn.weight", OMNI_F32, 43, 64, 192},
        {"tests/golden/llama-tiny-gqa/", "model.layers.1.self_attn.k_proj.weight", OMNI_F32, 20, 32, 96},
        {"tests/golden/llama-tiny-mha", "lm_head.weight", OMNI_F32, 30, 211, 64},
        {"configs/demo/llama", "model.embed_tokens.weight", OMNI_BF16, 39, 512, 128},
        {"configs/demo/gpt2", "h.3.mlp.c_fc.weight", OMNI_BF16, 52, 128, 512},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_weights *w;
        omni_error err = {0};
        cr_assert_eq(omni_weights_open_dir(cases[i].dir, &w, &err), OMNI_OK, "%s", err.text);
        cr_assert_eq(omni_weights_count(w), cases[i].count);
        const omni_tensor *t = omni_weights_find(w, cases[i].tensor);
        cr_assert(t && t->dtype == cases[i].dtype && t->rank == 2);
        cr_assert(t->shape[0] == cases[i].rows && t->shape[1] == cases[i].cols);
        cr_assert_eq(t->elements, cases[i].rows * cases[i].cols);
        omni_weights_close(w);
    }
}

static void dir_refused(const char *path, const char *words) {
    omni_weights *w;
    omni_error err = {0};
    cr_assert_eq(omni_weights_open_dir(path, &w, &err), OMNI_BAD_INPUT, "expected: %s", words);
    cr_assert_null(w);
    cr_assert(strstr(err.text, words) != NULL, "\"%s\" lacks \"%s\"", err.text, words);
}

Test(weights, a_directory_without_safetensors_is_explained) {
    dir_refused(own_dir, "no weights (expected model.safetensors)");
    write_bytes(in_dir("pytorch_model.bin"), "x", 1);
    dir_refused(own_dir, "pytorch_model.bin is not supported (expected model.safetensors)");
    write_bytes(in_dir("model.safetensors.index.json"), "{}", 2);
    dir_refused(own_dir, "model.safetensors.index.json: no weight_map");
    dir_refused(in_dir("pytorch_model.bin"), "not a directory");
    dir_refused(in_dir("none"), "No such file");
    write_bytes(in_dir("model.safetensors"), "x", 1);
    dir_refused(own_dir, "model.safetensors: too short");
}

/* --- conversion and the round trip ------------------------------------------------------------ */

static const float f32s[] = {1.5f, -0.0f, 3.25f};
static const double f64s[] = {1e300, -2.5};
static const uint16_t f16s[] = {0x3c00, 0xc000, 0x0001, 0x8001, 0x7bff, 0x7c00, 0x0400};
static const double f16_values[] = {1, -2, 0x1p-24, -0x1p-24, 65504, INFINITY, 0x1p-14};
static const uint16_t bf16s[] = {0x3f80, 0xc040};
static const int32_t i32s[] = {-7, INT32_MAX};
static const int64_t i64s[] = {INT64_MIN, 5};
static const uint8_t u8s[] = {255}, bools[] = {1, 0, 1};

static const omni_tensor_out outs[] = {
    {"u8", OMNI_U8, 1, {1}, u8s},
    {"f32", OMNI_F32, 2, {1, 3}, f32s},
    {"bool", OMNI_BOOL, 1, {3}, bools},
    {"empty", OMNI_F32, 3, {4, 0, 2}, NULL},
    {"f64", OMNI_F64, 1, {2}, f64s},
    {"f16", OMNI_F16, 1, {7}, f16s},
    {"bf16 \"\xc3\xa9\"\n", OMNI_BF16, 2, {2, 1}, bf16s},
    {"i32", OMNI_I32, 8, {1, 1, 1, 1, 1, 1, 1, 2}, i32s},
    {"i64", OMNI_I64, 1, {2}, i64s},
    {"scalar", OMNI_F32, 0, {0}, f32s},
};

Test(weights, what_is_written_is_read_back) {
    omni_weights *w;
    omni_error err = {0};
    const char *path = in_dir("out.safetensors");
    cr_assert_eq(omni_safetensors_write(path, outs, COUNT(outs), &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_open_file(path, &w, &err), OMNI_OK, "%s", err.text);
    cr_assert_str_eq(omni_weights_source(w), path);
    cr_assert_eq(omni_weights_count(w), COUNT(outs));
    for (size_t i = 0; i < COUNT(outs); i++) {
        const omni_tensor *t = omni_weights_find(w, outs[i].name);
        cr_assert(t && t->dtype == outs[i].dtype && t->rank == outs[i].rank, "%s", outs[i].name);
        cr_assert_eq(memcmp(t->shape, outs[i].shape, t->rank * sizeof *t->shape), 0);
        size_t each = omni_dtype_bytes(t->dtype);
        cr_assert_eq(t->offset % each, 0, "%s is aligned", t->name);
        unsigned char got[64];
        cr_assert(omni_weights_read(w, t, 0, t->elements, got));
        if (t->elements) cr_assert_eq(memcmp(got, outs[i].data, t->elements * each), 0, "%s", t->name);
    }
    omni_weights_close(w);
    cr_assert_eq(omni_safetensors_write(path, NULL, 0, &err), OMNI_OK); /* replaces it */
    cr_assert_eq(omni_weights_open_file(path, &w, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_count(w), 0);
    cr_assert_null(omni_weights_find(w, "f32"));
    omni_weights_close(w);
}

static void check_values(const omni_weights *w, const char *name, const double *want) {
    const omni_tensor *t = omni_weights_find(w, name);
    for (size_t i = 0; i < t->elements; i++) {
        double d;
        float f;
        cr_assert(omni_weights_read_f64(w, t, i, 1, &d));
        cr_assert(omni_weights_read_f32(w, t, i, 1, &f));
        cr_assert_eq(d, want[i], "%s[%zu] is %g", name, i, d);
        cr_assert_eq(f, (float)want[i], "%s[%zu] is %g", name, i, (double)f);
    }
}

Test(weights, every_type_converts) {
    omni_weights *w;
    omni_error err = {0};
    const char *path = in_dir("out.safetensors");
    cr_assert_eq(omni_safetensors_write(path, outs, COUNT(outs), &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_open_file(path, &w, &err), OMNI_OK, "%s", err.text);
    check_values(w, "f32", (const double[]){1.5, -0.0, 3.25});
    check_values(w, "f64", (const double[]){1e300, -2.5});
    check_values(w, "f16", f16_values);
    check_values(w, outs[6].name, (const double[]){1, -3});
    check_values(w, "i32", (const double[]){-7, INT32_MAX});
    check_values(w, "i64", (const double[]){-0x1p63, 5});
    check_values(w, "u8", (const double[]){255});
    check_values(w, "bool", (const double[]){1, 0, 1});
    omni_weights_close(w);
}

/* --- writing that fails ----------------------------------------------------------------------- */

static size_t files_in_dir(void) {
    DIR *d = opendir(own_dir);
    size_t n = 0;
    cr_assert_not_null(d);
    while (readdir(d)) n++;
    closedir(d);
    return n - 2; /* . and .. */
}

static void write_fails(const char *path, const omni_tensor_out *t, size_t count, omni_status status,
                        const char *words) {
    omni_error err = {0};
    size_t before = files_in_dir();
    cr_assert_eq(omni_safetensors_write(path, t, count, &err), status, "%s: %s", words, err.text);
    cr_assert(strstr(err.text, words) != NULL, "\"%s\" lacks \"%s\"", err.text, words);
    cr_assert_eq(files_in_dir(), before, "no temporary file stays");
}

Test(weights, a_write_that_fails_leaves_nothing) {
    write_fails(in_dir("none/out"), outs, 1, OMNI_RUN_FAILED, "cannot write: No such file");
    write_fails(own_dir, outs, 1, OMNI_BAD_INPUT, "not a regular file");
    write_fails("/dev/full", outs, 1, OMNI_BAD_INPUT, "/dev/full: not a regular file");
    const char *path = in_dir("out");
    const omni_tensor_out twice[] = {outs[0], outs[0]};
    write_fails(path, twice, 2, OMNI_BAD_INPUT, "'u8'");
    const omni_tensor_out metadata = {"__metadata__", OMNI_U8, 1, {1}, u8s},
                          deep = {"a", OMNI_U8, 9, {1}, u8s};
    write_fails(path, &metadata, 1, OMNI_BAD_INPUT, "__metadata__");
    write_fails(path, &deep, 1, OMNI_BAD_INPUT, "too large");
    const omni_tensor_out huge = {"a", OMNI_F64, 2, {SIZE_MAX / 8, 2}, NULL},
                          torn = {"\xff", OMNI_U8, 1, {1}, u8s};
    write_fails(path, &huge, 1, OMNI_BAD_INPUT, "too large");
    write_fails(path, &torn, 1, OMNI_RUN_FAILED, "cannot write");
}

/* Root writes anywhere, so for a moment this is nobody. */
Test(weights, an_unwritable_directory_is_an_error) {
    omni_error err = {0};
    cr_assert_eq(chmod(own_dir, 0500), 0);
    bool root = geteuid() == 0;
    if (root) {
        cr_assert_eq(chmod(own_dir, 0555), 0);
        cr_assert_eq(seteuid(65534), 0);
    }
    omni_status status = omni_safetensors_write(in_dir("out"), outs, 1, &err);
    if (root) cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(chmod(own_dir, 0700), 0);
    cr_assert_eq(status, OMNI_RUN_FAILED);
    cr_assert(strstr(err.text, "cannot write: Permission denied") != NULL, "%s", err.text);
    cr_assert_eq(files_in_dir(), 0);
}

/* A full disk, played by a limit on the size of files: the second write comes up short, then fails. */
Test(weights, a_full_disk_keeps_what_was_there) {
    static float big[100000];
    const omni_tensor_out t = {"big", OMNI_F32, 1, {COUNT(big)}, big};
    const char *path = in_dir("out");
    write_bytes(path, "before", 6);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 65536;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    write_fails(path, &t, 1, OMNI_RUN_FAILED, "cannot write: File too large");
    char text[8] = "";
    FILE *file = fopen(path, "rb");
    cr_assert_eq(fread(text, 1, sizeof text - 1, file), 6);
    fclose(file);
    cr_assert_str_eq(text, "before");
}

Test(weights, a_new_file_has_the_permissions_of_the_umask) {
    struct stat st;
    omni_error err = {0};
    umask(027);
    cr_assert_eq(omni_safetensors_write(in_dir("out"), outs, 1, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(stat(in_dir("out"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0640);
}
