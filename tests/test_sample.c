/* test_sample.c: tokens drawn from logits: what can be drawn, how often, and that nothing but the seed
 * decides. */
#include <criterion/criterion.h>
#include <math.h>

#include "omnibus/text.h"

enum { VOCAB = 6, DRAWS = 20000 };
/* Probabilities 0.4, 0.2, 0.2, 0.1, 0.1 at temperature 1, and one that cannot be. */
static const double p[VOCAB] = {0.2, 0.4, 0.1, 0.2, 0.1, 0};

static void make(float logits[VOCAB]) {
    for (size_t i = 0; i < VOCAB; i++) logits[i] = p[i] > 0 ? (float)log(p[i]) + 3 : -INFINITY;
}

/* How often each is drawn. */
static void count(omni_sampling how, double share[VOCAB]) {
    float logits[VOCAB];
    omni_sampler *s = omni_sampler_create(&how, VOCAB);
    cr_assert_not_null(s);
    make(logits);
    for (size_t i = 0; i < VOCAB; i++) share[i] = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        int32_t id = omni_sampler_draw(s, logits, i % 7, i / 7);
        cr_assert(id >= 0 && id < VOCAB - 1, "%d", (int)id);
        share[id] += 1.0 / DRAWS;
    }
    omni_sampler_free(s);
}

/* Five standard deviations of so many draws are below 0.018. */
static void near(const double got[VOCAB], const double want[VOCAB]) {
    for (size_t i = 0; i < VOCAB; i++)
        cr_expect(fabs(got[i] - want[i]) < 0.018, "token %zu: %f, not %f", i, got[i], want[i]);
}

Test(sample, as_often_as_probable) {
    double share[VOCAB];
    count((omni_sampling){.temperature = 1, .top_p = 1, .seed = 3}, share);
    near(share, p);
    count((omni_sampling){.temperature = 2, .top_p = 1, .seed = 3}, share);
    double root[VOCAB], sum = 0;
    for (size_t i = 0; i < VOCAB; i++) sum += root[i] = sqrt(p[i]);
    for (size_t i = 0; i < VOCAB; i++) root[i] /= sum;
    near(share, root);
}

Test(sample, top_k_keeps_the_likeliest_and_of_equals_the_first) {
    double share[VOCAB];
    count((omni_sampling){.temperature = 1, .top_k = 1, .top_p = 1}, share);
    near(share, (double[VOCAB]){0, 1});
    count((omni_sampling){.temperature = 1, .top_k = 2, .top_p = 1}, share);
    near(share, (double[VOCAB]){1 / 3.0, 2 / 3.0});
    count((omni_sampling){.temperature = 1, .top_k = 100, .top_p = 1}, share);
    near(share, p);
}

Test(sample, top_p_keeps_the_fewest_that_reach_it) {
    double share[VOCAB];
    count((omni_sampling){.temperature = 1, .top_p = 0.3}, share);
    near(share, (double[VOCAB]){0, 1});
    count((omni_sampling){.temperature = 1, .top_p = 0.75}, share);
    near(share, (double[VOCAB]){0.25, 0.5, 0, 0.25});
    count((omni_sampling){.temperature = 1, .top_k = 3, .top_p = 0.6}, share); /* 0.75 of what top_k leaves */
    near(share, (double[VOCAB]){1 / 3.0, 2 / 3.0});
}

Test(sample, only_seed_sequence_and_step_decide) {
    float logits[VOCAB];
    size_t differ[3] = {0};
    omni_sampling how = {.temperature = 1, .top_p = 1, .seed = 9},
                  other = {.temperature = 1, .top_p = 1, .seed = 10};
    omni_sampler *a = omni_sampler_create(&how, VOCAB), *b = omni_sampler_create(&how, VOCAB),
                 *c = omni_sampler_create(&other, VOCAB);
    make(logits);
    for (size_t i = 0; i < 200; i++) {
        int32_t id = omni_sampler_draw(a, logits, 1, i);
        cr_assert_eq(omni_sampler_draw(b, logits, 1, i), id);
        differ[0] += omni_sampler_draw(b, logits, 2, i) != id;
        differ[1] += omni_sampler_draw(b, logits, 1, i + 1) != id;
        differ[2] += omni_sampler_draw(c, logits, 1, i) != id;
    }
    for (size_t k = 0; k < 3; k++) cr_expect(differ[k] > 100, "%zu", differ[k]);
    omni_sampler_free(a);
    omni_sampler_free(b);
    omni_sampler_free(c);
}

Test(sample, logits_that_are_no_numbers) {
    float none[VOCAB], one[VOCAB];
    omni_sampling how = {.temperature = 0.5, .top_k = 3, .top_p = 0.9};
    omni_sampler *s = omni_sampler_create(&how, VOCAB);
    for (size_t i = 0; i < VOCAB; i++) none[i] = one[i] = i % 2 ? NAN : INFINITY;
    one[4] = -1e30f;
    cr_expect_eq(omni_sampler_draw(s, none, 0, 0), -1);
    for (size_t i = 0; i < 50; i++) cr_expect_eq(omni_sampler_draw(s, one, 0, i), 4);
    omni_sampler_free(s);
}

Test(sample, the_top) {
    float logits[VOCAB];
    omni_likely top[VOCAB];
    static const int32_t order[] = {1, 0, 3, 2, 4};
    make(logits);
    cr_assert_eq(omni_top(logits, VOCAB, 5, top), 5);
    for (size_t i = 0; i < 5; i++) {
        cr_expect_eq(top[i].id, order[i], "%zu: %d", i, (int)top[i].id);
        cr_expect(fabs(top[i].probability - p[order[i]]) < 1e-6);
    }
    cr_expect_eq(omni_top(logits, 2, 5, top), 2);
}
