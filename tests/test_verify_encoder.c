/* test_verify_encoder.c: the float64 reference of BERT against golden values, what a random truth of an
 * encoder holds, and golden files of encoders that must be refused.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "omnibus/pe.h"
#include "verify_tools.h"

#define TINY "tests/golden/bert-tiny"
#define DEMO "configs/demo/bert"

/* --- the reference ---------------------------------------------------------------------------- */

static truth_input input_of(const omni_prompt_truth *p) {
    return (truth_input){
        .ids = p->ids, .types = p->types, .tokens = p->tokens, .marks = p->marks, .mark = p->mark};
}

static void expect_equal(const char *what, size_t prompt, const double *x, const double *ref, size_t n) {
    double worst = 0, most = 0;
    cr_assert(x && ref, "%s of prompt %zu is missing", what, prompt);
    for (size_t i = 0; i < n; i++) {
        cr_assert(isfinite(x[i]) && isfinite(ref[i]));
        worst = fmax(worst, fabs(x[i] - ref[i]));
        most = fmax(most, fabs(ref[i]));
    }
    cr_assert_leq(worst, 1e-11 * most, "%s of prompt %zu: %g of %g", what, prompt, worst, most);
}

static void reference_agrees(const char *dir, size_t marks) {
    bundle b = open_bundle(dir);
    const omni_shape *s = &b.model->shape;
    truth_input in[3];
    omni_truth *t;
    omni_error err = {0};
    cr_assert_eq(omni_truth_prompts(b.golden), COUNT(in));
    for (size_t i = 0; i < COUNT(in); i++) in[i] = input_of(omni_truth_prompt(b.golden, i));
    cr_assert_eq(truth_compute("test", b.model, b.weights, in, COUNT(in), 0, NULL, NULL, &t, &err), OMNI_OK,
                 "%s", err.text);
    for (size_t i = 0; i < COUNT(in); i++) {
        const omni_prompt_truth *x = omni_truth_prompt(t, i), *ref = omni_truth_prompt(b.golden, i);
        size_t each = ref->tokens * s->hidden;
        cr_assert(ref->steps == 0 && x->steps == 0 && ref->marks == marks && x->marks == marks);
        expect_equal("states", i, x->layer_hidden, ref->layer_hidden, (s->layers + 1) * each);
        expect_equal("last state", i, x->last_hidden, ref->last_hidden, each);
        expect_equal("pooled", i, x->pooled, ref->pooled, s->hidden);
        if (marks) expect_equal("logits", i, x->mlm_logits, ref->mlm_logits, marks * s->vocab);
    }
    omni_truth_free(t);
    close_bundle(&b);
}

Test(verify_encoder, reference_agrees_with_the_golden_models) {
    reference_agrees(TINY, 0);
    reference_agrees(DEMO, 1);
}

/* The mask says how long a prompt is; padding is no part of it. */
Test(verify_encoder, golden_prompts_are_without_their_padding) {
    static const size_t lengths[] = {17, 12, 7};
    bundle b = open_bundle(TINY);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        const omni_prompt_truth *p = omni_truth_prompt(b.golden, i);
        cr_assert_eq(p->tokens, lengths[i]);
        cr_assert(p->types && p->pooled && !p->mlm_logits);
    }
    close_bundle(&b);
}

/* --- random prompts --------------------------------------------------------------------------- */

Test(verify_encoder, random_truth_has_types_and_marks) {
    bundle b = open_bundle(DEMO);
    omni_truth *t, *same;
    omni_error err = {0};
    size_t vocab = b.model->shape.vocab;
    cr_assert_eq(omni_truth_random(b.model, b.weights, 5, 4, 3, NULL, NULL, &t, &err), OMNI_OK, "%s",
                 err.text);
    cr_assert_eq(omni_truth_random(b.model, b.weights, 5, 4, 0, NULL, NULL, &same, &err), OMNI_OK, "%s",
                 err.text);
    for (size_t i = 0; i < 4; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(t, i), *q = omni_truth_prompt(same, i);
        bool type_1 = false;
        cr_assert(p->steps == 0 && p->tokens == q->tokens && p->marks == q->marks);
        cr_assert_eq(p->marks == 0, i == 1, "prompt 1 is without marks, the others are not");
        for (size_t k = 0; k < p->tokens; k++) type_1 = type_1 || p->types[k] == 1;
        cr_assert(type_1 || p->tokens == 1);
        for (size_t k = 0; k < p->marks; k++)
            cr_assert(p->mark[k] < p->tokens && (k == 0 || p->mark[k] > p->mark[k - 1]));
        cr_assert(p->marks == 0 ||
                  memcmp(p->mlm_logits, q->mlm_logits, p->marks * vocab * sizeof(double)) == 0);
    }
    omni_truth_free(t);
    omni_truth_free(same);
    close_bundle(&b);
}

/* The public way in: types of 0, all tokens marked where there is a head. Types matter. */
Test(verify_encoder, what_is_computed_without_types) {
    bundle b = open_bundle(DEMO);
    const omni_prompt_truth *p = omni_truth_prompt(b.golden, 2); /* two sentences */
    omni_truth *t;
    omni_error err = {0};
    cr_assert_eq(omni_truth_compute(b.model, b.weights, &p->ids, &p->tokens, 1, 4, NULL, &t, &err), OMNI_OK,
                 "%s", err.text);
    const omni_prompt_truth *x = omni_truth_prompt(t, 0);
    cr_assert_eq(x->marks, p->tokens);
    cr_assert_eq(x->steps, 0);
    cr_assert_neq(x->pooled[0], p->pooled[0]);
    omni_truth_free(t);
    close_bundle(&b);
}

/* --- golden files that must be refused -------------------------------------------------------- */

/* Two prompts of three tokens of bert-tiny or the demo: hidden 64 or 128, vocabulary 211 or 1024. */
enum { B = 2, T = 3, TINY_D = 64, DEMO_D = 128, DEMO_V = 1024, LONG = 257 };
static const double zeros[B * DEMO_V * 2], nans[B] = {NAN, NAN};
static const int32_t ids[B * LONG] = {1, 2, 3}, types_2[] = {0, 1, 0, 0, 1, 2},
                             types_low[] = {0, 0, -1, 0, 0, 0}, mask[] = {1, 1, 1, 1, 0, 0},
                             hole[] = {1, 1, 1, 1, 0, 1}, left[] = {1, 1, 1, 0, 1, 1},
                             none[] = {1, 1, 1, 0, 0, 0}, twos[] = {1, 1, 1, 2, 2, 2}, one[] = {0, 1},
                             first[] = {0, 0}, low[] = {0, -1};

#define I32(n, t, x)                                                                                         \
    { n, OMNI_I32, 2, {B, t}, x }
#define LIST(n, x)                                                                                           \
    { n, OMNI_I32, 1, {B}, x }
#define F64(n, w)                                                                                            \
    { n, OMNI_F64, 2, {B, w}, zeros }

typedef struct broken_file {
    const char *expected; /* part of the error; NULL: must load */
    omni_tensor_out tensor[6];
} broken_file;

static const broken_file of_tiny[] = {
    {NULL, {I32("input_ids", T, ids), F64("pooler_output", TINY_D)}},
    {NULL, {I32("input_ids", T, ids), I32("attention_mask", T, mask), F64("pooler_output", TINY_D)}},
    {"nothing to compare", {I32("input_ids", T, ids), I32("attention_mask", T, mask)}},
    {"not padding on the right", {I32("input_ids", T, ids), I32("attention_mask", T, hole)}},
    {"prompt 1: attention_mask", {I32("input_ids", T, ids), I32("attention_mask", T, left)}},
    {"not padding on the right", {I32("input_ids", T, ids), I32("attention_mask", T, none)}},
    {"not padding on the right", {I32("input_ids", T, ids), I32("attention_mask", T, twos)}},
    {"attention_mask is [2, 2]", {I32("input_ids", T, ids), I32("attention_mask", 2, mask)}},
    {"prompt 1: token_type_ids[2] is 2",
     {I32("input_ids", T, ids), I32("token_type_ids", T, types_2), F64("pooler_output", TINY_D)}},
    {"prompt 0: token_type_ids[2] is -1",
     {I32("input_ids", T, ids), I32("token_type_ids", T, types_low), F64("pooler_output", TINY_D)}},
    {"token_type_ids is [2, 2]",
     {I32("input_ids", T, ids), I32("token_type_ids", 2, ids), F64("pooler_output", TINY_D)}},
    {"pooler_output is [2, 128]", {I32("input_ids", T, ids), F64("pooler_output", DEMO_D)}},
    {"has no MLM head",
     {I32("input_ids", T, ids), F64("pooler_output", TINY_D), LIST("mask_positions", first)}},
    {"has no MLM head",
     {I32("input_ids", T, ids), F64("pooler_output", TINY_D), LIST("mlm_top1_ids", first)}},
    {"generates nothing",
     {I32("input_ids", T, ids), F64("pooler_output", TINY_D), I32("decode_ids", 1, ids)}},
    {"predicts only marked tokens", {I32("input_ids", T, ids), F64("logits_last", 211)}},
    {"64 positions", {I32("input_ids", LONG, ids), F64("pooler_output", TINY_D)}},
};

#define PREDICTED I32("input_ids", T, ids), I32("attention_mask", T, mask), F64("mlm_logits_mask", DEMO_V)
static const broken_file of_demo[] = {
    {NULL, {PREDICTED, LIST("mask_positions", first)}},
    {NULL, {PREDICTED, LIST("mask_positions", first), LIST("mlm_top1_ids", first)}},
    {"prompt 1: mask_positions is 1", {PREDICTED, LIST("mask_positions", one)}}, /* its padding */
    {"prompt 1: mask_positions is -1", {PREDICTED, LIST("mask_positions", low)}},
    {"mlm_logits_mask alone", {PREDICTED}},
    {"mask_positions alone", {I32("input_ids", T, ids), LIST("mask_positions", first)}},
    {"prompt 1: mlm_top1_ids is 1", {PREDICTED, LIST("mask_positions", first), LIST("mlm_top1_ids", one)}},
    {"mlm_margin is nan", {PREDICTED, LIST("mask_positions", first), {"mlm_margin", OMNI_F64, 1, {B}, nans}}},
    {"mlm_logits_mask is [2, 1023]",
     {I32("input_ids", T, ids), LIST("mask_positions", first), F64("mlm_logits_mask", DEMO_V - 1)}},
};

static void refuse_files(const char *model, const broken_file *file, size_t files) {
    bundle b = open_bundle(model);
    char dir[] = "/tmp/omnibus-verify-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    for (size_t i = 0; i < files; i++) {
        omni_error err = {0};
        omni_truth *t = NULL;
        size_t count = 0;
        while (count < COUNT(file[i].tensor) && file[i].tensor[count].name) count++;
        cr_assert_eq(omni_safetensors_write(path, file[i].tensor, count, &err), OMNI_OK, "%s", err.text);
        omni_status status = omni_truth_load(path, b.model, &t, &err);
        cr_expect_eq(status, file[i].expected ? OMNI_BAD_INPUT : OMNI_OK, "%s, %zu: %s", model, i, err.text);
        cr_expect_eq(t != NULL, file[i].expected == NULL);
        if (file[i].expected)
            cr_expect(strstr(err.text, file[i].expected), "%s, %zu: %s", model, i, err.text);
        omni_truth_free(t);
    }
    unlink(path);
    rmdir(dir);
    close_bundle(&b);
}

Test(verify_encoder, golden_files_that_do_not_fit_are_refused) {
    refuse_files(TINY, of_tiny, COUNT(of_tiny));
    refuse_files(DEMO, of_demo, COUNT(of_demo));
}

Test(verify_encoder, golden_files_of_other_models_are_refused) {
    static const char *const others[] = {DEMO "/golden.safetensors",
                                         "tests/golden/gpt2-tiny/golden.safetensors",
                                         "configs/demo/llama/golden.safetensors", TINY "/model.safetensors"};
    bundle b = open_bundle(TINY);
    for (size_t i = 0; i < COUNT(others); i++) {
        omni_error err = {0};
        omni_truth *t;
        cr_expect_eq(omni_truth_load(others[i], b.model, &t, &err), OMNI_BAD_INPUT, "%s", others[i]);
        cr_expect_null(t);
    }
    close_bundle(&b);
}
