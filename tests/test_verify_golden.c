/* test_verify_golden.c: golden files that must be refused, and by which name one goes. */
#include <criterion/criterion.h>

#include "dir_tools.h"
#include "omnibus/model.h"
#include "omnibus/verify.h"
#include "omnibus/weights.h"
#include "verify_tools.h"

/* B 1, T 2, S 1 of gpt2-tiny: 3 layers, hidden 64, vocabulary 211, 128 positions */
enum { D = 64, L = 3, V = 211, T = 2, LONG = 129 };
static const double zeros[(L + 1) * LONG * D];
static const float zeros_f32[V];
static const int32_t some_ids[LONG] = {1, 2, 3}, high_ids[] = {1, V}, negative_ids[] = {-1, 1};

typedef struct broken_file {
    const char *expected; /* part of the error; NULL: must load */
    omni_tensor_out tensor[6];
} broken_file;

#define IDS(n, t, ids)                                                                                       \
    { n, OMNI_I32, 2, {1, t}, ids }
#define MATRIX(n, rows, w)                                                                                   \
    { n, OMNI_F64, 2, {rows, w}, zeros }
#define HIDDEN(l, t, d)                                                                                      \
    { "layer_hidden", OMNI_F64, 4, {l, 1, t, d}, zeros }

static const broken_file broken[] = {
    {NULL, {IDS("input_ids", T, some_ids), HIDDEN(L + 1, T, D), MATRIX("logits_last", 1, V)}},
    {NULL,
     {IDS("p0.input_ids", T, some_ids), MATRIX("p0.logits_last", 1, V), IDS("p1.input_ids", 1, some_ids),
      MATRIX("p1.logits_last", 1, V)}},
    {NULL, {IDS("input_ids", T, some_ids), IDS("decode_ids", 1, some_ids), MATRIX("decode_margin", 1, 1)}},
    {NULL, {IDS("input_ids", T, some_ids), {"logits", OMNI_F64, 3, {1, T, V}, zeros}}},
    {"no prompts", {HIDDEN(L + 1, T, D)}},
    {"no prompts", {{"input_ids", OMNI_I32, 2, {1, 0}, some_ids}}},
    {"no prompts", {{"input_ids", OMNI_I32, 1, {T}, some_ids}}},
    {"nothing to compare", {IDS("input_ids", T, some_ids)}},
    {"decode_margin", {IDS("input_ids", T, some_ids), IDS("decode_ids", 1, some_ids)}},
    {"another model", {IDS("input_ids", T, some_ids), HIDDEN(L + 1, T, D / 2)}},
    {"another model", {IDS("input_ids", T, some_ids), HIDDEN(L, T, D)}},
    {"another model", {IDS("input_ids", T, some_ids), HIDDEN(L + 1, T + 1, D)}},
    {"another model", {IDS("input_ids", T, some_ids), MATRIX("logits_last", 1, V - 1)}},
    {"another model", {IDS("p0.input_ids", T, some_ids), MATRIX("p0.logits_last", 2, V)}},
    {"prompt 0: input_ids[1] is 211", {IDS("input_ids", T, high_ids), HIDDEN(L + 1, T, D)}},
    {"prompt 0: input_ids[0] is -1", {IDS("input_ids", T, negative_ids), HIDDEN(L + 1, T, D)}},
    {"decode_ids[1] is 211",
     {IDS("input_ids", T, some_ids), IDS("decode_ids", 2, high_ids), MATRIX("decode_margin", 1, 2)}},
    {"128 positions", {IDS("input_ids", LONG, some_ids), HIDDEN(L + 1, LONG, D)}},
    {"128 positions",
     {IDS("input_ids", LONG - 2, some_ids), IDS("decode_ids", 3, some_ids), MATRIX("decode_margin", 1, 3)}},
    {"expected I32", {{"input_ids", OMNI_F32, 2, {1, T}, zeros_f32}, HIDDEN(L + 1, T, D)}},
    {"expected F64", {IDS("input_ids", T, some_ids), {"logits_last", OMNI_F32, 2, {1, V}, zeros_f32}}},
    {"of rank 4", {IDS("input_ids", T, some_ids), {"layer_hidden", OMNI_F64, 3, {L + 1, T, D}, zeros}}},
    {"attention_mask",
     {IDS("input_ids", T, some_ids), HIDDEN(L + 1, T, D), IDS("attention_mask", T, some_ids)}},
};

Test(verify_golden, golden_files_that_do_not_fit_are_refused_in_one_line, .init = make_dir,
     .fini = remove_dir) {
    bundle b = open_bundle("tests/golden/gpt2-tiny");
    const char *path = in_dir("golden.safetensors");
    for (size_t i = 0; i < COUNT(broken); i++) {
        omni_error err = {0};
        omni_truth *t = NULL;
        size_t count = 0;
        while (count < COUNT(broken[i].tensor) && broken[i].tensor[count].name) count++;
        cr_assert_eq(omni_safetensors_write(path, broken[i].tensor, count, &err), OMNI_OK, "%s", err.text);
        omni_status status = omni_truth_load(path, b.model, &t, &err);
        cr_assert_eq(status, broken[i].expected ? OMNI_BAD_INPUT : OMNI_OK, "%zu: %s", i, err.text);
        cr_assert_eq(t != NULL, broken[i].expected == NULL);
        if (broken[i].expected) {
            cr_assert(strstr(err.text, broken[i].expected), "%zu: %s", i, err.text);
            cr_assert_eq(strncmp(err.text, path, strlen(path)), 0, "%s", err.text);
        }
        omni_truth_free(t);
    }
    close_bundle(&b);
}

Test(verify_golden, golden_files_of_other_models_torn_or_missing_are_refused) {
    bundle b = open_bundle("tests/golden/llama-tiny-gqa");
    const char *others[] = {"tests/golden/llama-tiny-mha/golden.safetensors",
                            "tests/golden/gpt2-tiny/golden.safetensors",
                            "tests/golden/bert-tiny/golden.safetensors",
                            "configs/demo/llama/golden.safetensors",
                            "tests/golden/llama-tiny-gqa/model.safetensors",
                            "configs/demo/llama/golden.json", /* of another model */
                            "tests/golden/none.safetensors"};
    for (size_t i = 0; i < COUNT(others); i++) {
        omni_error err = {0};
        omni_truth *t;
        cr_assert_eq(omni_truth_load(others[i], b.model, &t, &err), OMNI_BAD_INPUT, "%s", others[i]);
        cr_assert_null(t);
        cr_assert(strstr(err.text, others[i]), "%s", err.text);
    }
    close_bundle(&b);
}

Test(verify_golden, a_golden_case_goes_by_either_of_its_files) {
    bundle b = open_bundle("tests/golden/llama-tiny-gqa");
    omni_truth *t = NULL;
    omni_error err = {0};
    cr_assert_eq(omni_truth_load("tests/golden/llama-tiny-gqa/golden.json", b.model, &t, &err), OMNI_OK, "%s",
                 err.text);
    cr_expect_eq(omni_truth_prompts(t), omni_truth_prompts(b.golden));
    omni_truth_free(t);
    cr_assert_eq(omni_truth_load("tests/golden/llama-tiny-gqa/config.json", b.model, &t, &err),
                 OMNI_BAD_INPUT);
    cr_expect(strstr(err.text, "llama-tiny-gqa/config.safetensors"), "%s", err.text);
    close_bundle(&b);
}
