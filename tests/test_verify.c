/* test_verify.c: the measure of a difference, and the float64 reference against values from elsewhere. Golden
 * files that must be refused are test_verify_golden.c's.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dir_tools.h"
#include "omnibus/model.h"
#include "omnibus/verify.h"
#include "omnibus/weights.h"
#include "verify_tools.h"

/* max|x - ref| / max|ref|; 0 where the golden file has nothing */
static double difference(const double *x, const double *ref, size_t n) {
    double worst = 0, most = 0;
    for (size_t i = 0; ref && i < n; i++) {
        if (!isfinite(x[i]) || !isfinite(ref[i])) return INFINITY;
        worst = fmax(worst, fabs(x[i] - ref[i]));
        most = fmax(most, fabs(ref[i]));
    }
    return worst > 0 ? worst / most : 0;
}

static double difference_of_prompts(const omni_shape *s, const omni_prompt_truth *x,
                                    const omni_prompt_truth *ref) {
    size_t each = ref->tokens * s->hidden;
    double worst = difference(x->last_hidden, ref->last_hidden, each);
    for (size_t l = 0; ref->layer_hidden && l <= s->layers; l++)
        worst = fmax(worst, difference(x->layer_hidden + l * each, ref->layer_hidden + l * each, each));
    worst = fmax(worst, difference(x->logits_last, ref->logits_last, s->vocab));
    if (ref->steps == 0) return worst;
    worst = fmax(worst, difference(x->decode_logits, ref->decode_logits, ref->steps * s->vocab));
    worst = fmax(worst, difference(x->margin, ref->margin, ref->steps));
    return fmax(
        worst, difference(x->decode_logits + (ref->steps - 1) * s->vocab, ref->decode_last_logits, s->vocab));
}

static omni_truth *compute_same_prompts(const bundle *b) {
    const int32_t *prompts[16];
    size_t lengths[16], count = omni_truth_prompts(b->golden);
    omni_truth *t;
    omni_error err = {0};
    cr_assert_leq(count, COUNT(prompts));
    for (size_t i = 0; i < count; i++) {
        prompts[i] = omni_truth_prompt(b->golden, i)->ids;
        lengths[i] = omni_truth_prompt(b->golden, i)->tokens;
    }
    size_t steps = omni_truth_prompt(b->golden, 0)->steps;
    omni_status status =
        omni_truth_compute(b->model, b->weights, prompts, lengths, count, steps, NULL, &t, &err);
    cr_assert_eq(status, OMNI_OK, "%s", err.text);
    return t;
}

static void reference_agrees(const char *dir) {
    bundle b = open_bundle(dir);
    omni_truth *t = compute_same_prompts(&b);
    for (size_t i = 0; i < omni_truth_prompts(t); i++) {
        const omni_prompt_truth *x = omni_truth_prompt(t, i), *ref = omni_truth_prompt(b.golden, i);
        cr_assert_gt(ref->steps, 0);
        cr_assert_eq(x->steps, ref->steps);
        cr_assert_eq(memcmp(x->next, ref->next, ref->steps * sizeof *ref->next), 0, "%s: prompt %zu", dir, i);
        double d = difference_of_prompts(&b.model->shape, x, ref);
        cr_assert_leq(d, 1e-11, "%s: prompt %zu: %g", dir, i, d);
    }
    omni_truth_free(t);
    close_bundle(&b);
}

Test(verify, reference_agrees_with_the_tiny_golden_models) {
    reference_agrees("tests/golden/llama-tiny-gqa");
    reference_agrees("tests/golden/llama-tiny-mha");
    reference_agrees("tests/golden/gpt2-tiny");
}

Test(verify, reference_agrees_with_the_demo_models) {
    reference_agrees("configs/demo/llama");
    reference_agrees("configs/demo/gpt2");
}

Test(verify, reference_agrees_with_a_model_trained_elsewhere) {
    const char *shared = getenv("OMNIBUS_SHARED");
    char dir[400];
    struct stat st;
    snprintf(dir, sizeof dir, "%s/golden/story-llama", shared ? shared : "../shared");
    if (stat(dir, &st)) cr_skip("SKIP: %s is not there (OMNIBUS_SHARED names the directory)", dir);
    reference_agrees(dir);
}

Test(verify, golden_files_hold_what_their_readme_says) {
    bundle b = open_bundle("tests/golden/llama-tiny-gqa");
    cr_assert_eq(omni_truth_prompts(b.golden), 3);
    cr_assert_str_eq(omni_truth_source(b.golden), "tests/golden/llama-tiny-gqa/golden.safetensors");
    const omni_prompt_truth *p = omni_truth_prompt(b.golden, 2);
    cr_assert(p->tokens == 17 && p->steps == 12);
    cr_assert(p->layer_hidden && p->last_hidden && p->logits_last && p->decode_logits && p->margin);
    cr_assert_null(p->decode_last_logits);
    cr_assert_null(omni_truth_prompt(b.golden, 3));
    cr_assert_eq(memcmp(p->decode_logits, p->logits_last, b.model->shape.vocab * sizeof(double)), 0);
    close_bundle(&b);
    b = open_bundle("configs/demo/llama");
    cr_assert_eq(omni_truth_prompts(b.golden), 4);
    p = omni_truth_prompt(b.golden, 3);
    cr_assert(p->tokens == 100 && p->steps == 64);
    cr_assert(p->decode_last_logits && !p->decode_logits);
    close_bundle(&b);
}

/* --- omni_compare ----------------------------------------------------------------------------- */

Test(verify, compare_measures_the_whole_and_the_rows) {
    const double ref[] = {3, 4, 0, 0.5};
    const float x[] = {3, 4, 0, 0.25f};
    omni_difference d = omni_compare(x, ref, 2, 2);
    cr_assert_eq(d.max_abs, 0.25);
    cr_assert_eq(d.rel_max, 0.25 / 4);
    cr_assert_eq(d.row_rel, 0.5); /* the small row cannot hide behind the large one */
    cr_assert_eq(d.nmse, 0.0625 / 25.25);
}

Test(verify, compare_of_equal_or_empty_is_zero) {
    const double ref[] = {1, -2, 0, 0};
    const float x[] = {1, -2, 0, -0.0f};
    const size_t rows[] = {2, 1, 0}, cols[] = {2, 0, 5};
    for (size_t i = 0; i < COUNT(rows); i++) {
        omni_difference d = omni_compare(x, ref, rows[i], cols[i]);
        cr_assert(d.max_abs == 0 && d.rel_max == 0 && d.row_rel == 0 && d.nmse == 0);
    }
}

Test(verify, compare_with_a_row_of_zeros) {
    const double ref[] = {1, 1, 0, 0};
    const float x[] = {1, 1, 0, 1e-30f};
    omni_difference d = omni_compare(x, ref, 2, 2);
    cr_assert(isinf(d.row_rel));
    cr_assert_lt(d.rel_max, 1e-29);
    d = omni_compare(x + 2, ref + 2, 1, 2);
    cr_assert(isinf(d.rel_max) && isinf(d.row_rel) && isinf(d.nmse));
}

Test(verify, compare_of_what_is_no_number_is_infinite) {
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < COUNT(bad); i++) {
        const double fine_ref[] = {1, 2, 3}, bad_ref[] = {1, 2, (double)bad[i]};
        const float fine[] = {1, 2, 3}, off[] = {1, 2, bad[i]};
        const omni_difference d[] = {omni_compare(off, fine_ref, 1, 3), omni_compare(fine, bad_ref, 1, 3),
                                     omni_compare(off, bad_ref, 3, 1)};
        for (size_t k = 0; k < COUNT(d); k++)
            cr_assert(isinf(d[k].max_abs) && isinf(d[k].rel_max) && isinf(d[k].row_rel) && isinf(d[k].nmse));
    }
}

Test(verify, tolerance_doubles_beyond_512_positions) {
    cr_assert_eq(rule_tolerance(512), 1e-5);
    cr_assert_eq(rule_tolerance(513), 2e-5);
    const omni_difference edge = {.rel_max = 1e-5, .row_rel = 1e-5}, row = {.rel_max = 0, .row_rel = 1.1e-5},
                          far = {INFINITY, INFINITY, INFINITY, INFINITY};
    cr_assert(rule_within(&edge, 1e-5));
    cr_assert_not(rule_within(&row, 1e-5));
    cr_assert_not(rule_within(&far, 1e-5));
}

Test(verify, argmax_binds_where_the_margin_is_wide) {
    const double logits[] = {-1, 3, 2.5, 3, -5};
    rule_top top = rule_top_of(logits, 5);
    cr_assert(top.id == 1 && top.margin == 0 && top.range == 8); /* of a tie the first */
    top = rule_top_of(logits, 3);
    cr_assert(top.id == 1 && top.margin == 0.5 && top.range == 4);
    cr_assert(rule_argmax_binds(2e-4, 1));
    cr_assert_not(rule_argmax_binds(1e-4, 1));
    cr_assert(rule_argmax_binds((double)NAN, 1) && rule_argmax_binds(0, (double)NAN));
    const float fine[] = {1, -2, 0}, off[] = {1, NAN, 0};
    cr_assert_eq(rule_range_f32(fine, 3), 3);
    cr_assert(isnan(rule_range_f32(off, 3)));
}

/* --- the reference's own manners -------------------------------------------------------------- */

Test(verify, random_truth_depends_on_its_seed_alone) {
    bundle b = open_bundle("tests/golden/llama-tiny-gqa");
    omni_truth *t[3];
    omni_error err = {0};
    const uint64_t seeds[] = {1, 1, 2};
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(omni_truth_random(b.model, b.weights, seeds[i], 4, 3, NULL, NULL, &t[i], &err), OMNI_OK,
                     "%s", err.text);
    cr_assert_str_eq(omni_truth_source(t[2]), "reference (seed 2)");
    cr_assert_eq(omni_truth_prompts(t[0]), 4);
    bool same = true;
    for (size_t i = 0; i < 4; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(t[0], i), *q = omni_truth_prompt(t[1], i),
                                *r = omni_truth_prompt(t[2], i);
        cr_assert(p->tokens == q->tokens && p->steps == 3);
        cr_assert_eq(memcmp(p->ids, q->ids, p->tokens * sizeof *p->ids), 0);
        cr_assert_eq(memcmp(p->decode_logits, q->decode_logits, 3 * b.model->shape.vocab * sizeof(double)),
                     0);
        cr_assert_eq(p->tokens == 1, i == 3);
        if (i) cr_assert_neq(p->tokens, omni_truth_prompt(t[0], i - 1)->tokens);
        same = same && p->tokens == r->tokens && memcmp(p->ids, r->ids, p->tokens * sizeof *p->ids) == 0;
    }
    cr_assert_not(same);
    for (size_t i = 0; i < 3; i++) omni_truth_free(t[i]);
    close_bundle(&b);
}

/* Prompts computed together are what they are alone. */
Test(verify, prompts_do_not_see_each_other) {
    bundle b = open_bundle("tests/golden/gpt2-tiny");
    omni_truth *all, *one;
    omni_error err = {0};
    cr_assert_eq(omni_truth_random(b.model, b.weights, 7, 3, 4, NULL, NULL, &all, &err), OMNI_OK, "%s",
                 err.text);
    for (size_t i = 0; i < 3; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(all, i), *q;
        cr_assert_eq(omni_truth_compute(b.model, b.weights, &p->ids, &p->tokens, 1, 4, NULL, &one, &err),
                     OMNI_OK);
        q = omni_truth_prompt(one, 0);
        cr_assert_eq(memcmp(p->next, q->next, 4 * sizeof *p->next), 0);
        cr_assert_eq(memcmp(p->decode_logits, q->decode_logits, 4 * b.model->shape.vocab * sizeof(double)),
                     0);
        omni_truth_free(one);
    }
    omni_truth_free(all);
    close_bundle(&b);
}

Test(verify, lengths_fit_the_positions) {
    bundle b = open_bundle("tests/golden/gpt2-tiny");
    omni_truth *t;
    omni_error err = {0};
    const size_t steps[] = {0, 1, 127, 128, 129, SIZE_MAX}; /* of 128 positions */
    for (size_t i = 0; i < COUNT(steps); i++) {
        cr_assert_eq(omni_truth_random(b.model, b.weights, 3, 2, steps[i], NULL, NULL, &t, &err), OMNI_OK,
                     "%s", err.text);
        const omni_prompt_truth *p = omni_truth_prompt(t, 0);
        cr_assert(p->steps == (steps[i] < 128 ? steps[i] : 128) && p->tokens + p->steps <= 129);
        cr_assert(p->logits_last && (p->next != NULL) == (steps[i] > 0));
        omni_truth_free(t);
    }
    cr_assert_eq(omni_truth_random(b.model, b.weights, 3, 0, 1, NULL, NULL, &t, NULL), OMNI_BAD_INPUT);
    const int32_t outside[] = {(int32_t)b.model->shape.vocab}, *prompt = outside;
    const size_t length = 1, none = 0;
    cr_assert_eq(omni_truth_compute(b.model, b.weights, &prompt, &length, 1, 1, NULL, &t, NULL),
                 OMNI_BAD_INPUT);
    cr_assert_eq(omni_truth_compute(b.model, b.weights, &prompt, &none, 1, 1, NULL, &t, NULL),
                 OMNI_BAD_INPUT);
    cr_assert_null(t);
    close_bundle(&b);
}

Test(verify, reference_stops_when_told) {
    bundle b = open_bundle("tests/golden/gpt2-tiny");
    omni_stop stop = {0};
    atomic_store(&stop.reason, OMNI_INTERRUPTED);
    omni_truth *t;
    omni_error err = {0};
    cr_assert_eq(omni_truth_random(b.model, b.weights, 1, 2, 2, &stop, NULL, &t, &err), OMNI_INTERRUPTED);
    cr_assert_null(t);
    close_bundle(&b);
}

Test(verify, reference_refuses_a_checkpoint_that_is_not_this_model) {
    bundle gqa = open_bundle("tests/golden/llama-tiny-gqa"), gpt2 = open_bundle("tests/golden/gpt2-tiny");
    omni_truth *t;
    omni_error err = {0};
    cr_assert_eq(omni_truth_random(gqa.model, gpt2.weights, 1, 2, 2, NULL, NULL, &t, &err), OMNI_BAD_INPUT);
    cr_assert(strstr(err.text, "no tensor"), "%s", err.text);
    close_bundle(&gqa);
    close_bundle(&gpt2);
}

/* Copies a checkpoint's tensors under names with `drop` taken from the front, and `add` put there, where
 * `drop` is found. */
static omni_weights *respelled(const omni_weights *w, const char *path, const char *drop, const char *add) {
    static char names[64][OMNI_NAME];
    omni_tensor_out out[64];
    omni_error err = {0};
    size_t count = omni_weights_count(w);
    cr_assert_leq(count, COUNT(out));
    for (size_t i = 0; i < count; i++) {
        const omni_tensor *t = omni_weights_at(w, i);
        bool match = strncmp(t->name, drop, strlen(drop)) == 0;
        snprintf(names[i], OMNI_NAME, "%s%s", match ? add : "", t->name + (match ? strlen(drop) : 0));
        void *data = malloc(t->elements * omni_dtype_bytes(t->dtype) + 1);
        cr_assert(data && omni_weights_read(w, t, 0, t->elements, data));
        out[i] = (omni_tensor_out){.name = names[i], .dtype = t->dtype, .rank = t->rank, .data = data};
        memcpy(out[i].shape, t->shape, sizeof t->shape);
    }
    omni_weights *copy;
    cr_assert_eq(omni_safetensors_write(path, out, count, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_open_file(path, &copy, &err), OMNI_OK, "%s", err.text);
    for (size_t i = 0; i < count; i++) free((void *)(uintptr_t)out[i].data);
    return copy;
}

Test(verify, reference_reads_the_spellings_of_real_checkpoints, .init = make_dir, .fini = remove_dir) {
    static const struct {
        const char *dir, *drop, *add;
    } cases[] = {
        {"tests/golden/gpt2-tiny", "", "transformer."},
        {"tests/golden/llama-tiny-mha", "model.", ""},
        {"tests/golden/llama-tiny-gqa", "model.embed_tokens.", "lm_head."}, /* tied, stored as the head */
    };
    const char *path = in_dir("model.safetensors");
    for (size_t i = 0; i < COUNT(cases); i++) {
        bundle b = open_bundle(cases[i].dir);
        omni_weights *other = respelled(b.weights, path, cases[i].drop, cases[i].add);
        omni_truth *t[2];
        omni_error err = {0};
        cr_assert_eq(omni_truth_random(b.model, b.weights, 1, 1, 2, NULL, NULL, &t[0], &err), OMNI_OK, "%s",
                     err.text);
        cr_assert_eq(omni_truth_random(b.model, other, 1, 1, 2, NULL, NULL, &t[1], &err), OMNI_OK, "%s",
                     err.text);
        const double *x = omni_truth_prompt(t[0], 0)->decode_logits,
                     *y = omni_truth_prompt(t[1], 0)->decode_logits;
        cr_assert_eq(memcmp(x, y, 2 * b.model->shape.vocab * sizeof *x), 0, "%s", cases[i].dir);
        for (size_t k = 0; k < 2; k++) omni_truth_free(t[k]);
        omni_weights_close(other);
        close_bundle(&b);
    }
}
