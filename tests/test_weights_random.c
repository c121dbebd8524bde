/* test_weights_random.c: tensors of seeded random values: what they are, in each type, and which make no
 * sense. */
#include <criterion/criterion.h>
#include <math.h>

#include "omnibus/weights.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { ROWS = 300, COLS = 501 };

static omni_weights *random_pair(omni_dtype dtype, uint64_t seed) {
    const omni_random_spec spec[] = {{"a.weight", dtype, 2, {ROWS, COLS}, 0.0f, 0.02f},
                                     {"b.weight", dtype, 1, {COLS}, 1.0f, 0.0f}};
    omni_weights *w;
    omni_error err = {0};
    cr_assert_eq(omni_weights_open_random(spec, COUNT(spec), seed, &w, &err), OMNI_OK, "%s", err.text);
    return w;
}

static float whole[ROWS * COLS], parts[ROWS * COLS];

Test(weights, random_values_do_not_depend_on_how_they_are_read) {
    omni_weights *w = random_pair(OMNI_F32, 7), *again = random_pair(OMNI_F32, 7),
                 *other = random_pair(OMNI_F32, 8);
    const omni_tensor *t = omni_weights_find(w, "a.weight");
    cr_assert(t->file == 0 && t->offset == 0);
    cr_assert(omni_weights_read(w, t, 0, t->elements, whole));
    t = omni_weights_find(again, "a.weight");
    for (size_t first = 0, step = 1; first < t->elements; first += step, step = step * 3 % 1000 + 1) {
        size_t n = t->elements - first < step ? t->elements - first : step;
        cr_assert(omni_weights_read_f32(again, t, first, n, parts + first));
    }
    cr_assert_eq(memcmp(whole, parts, sizeof whole), 0);
    cr_assert(omni_weights_read(other, omni_weights_find(other, "a.weight"), 0, t->elements, parts));
    size_t same = 0;
    for (size_t i = 0; i < COUNT(whole); i++) same += whole[i] == parts[i];
    cr_assert_lt(same, 10);
    omni_weights_close(w);
    omni_weights_close(again);
    omni_weights_close(other);
}

Test(weights, random_values_have_their_mean_and_deviation) {
    omni_weights *w = random_pair(OMNI_F32, 1);
    const omni_tensor *t = omni_weights_find(w, "a.weight");
    double sum = 0, squares = 0, largest = 0;
    cr_assert(omni_weights_read(w, t, 0, t->elements, whole));
    for (size_t i = 0; i < t->elements; i++) {
        sum += (double)whole[i];
        squares += (double)whole[i] * (double)whole[i];
        largest = fmax(largest, fabs((double)whole[i]));
    }
    double n = (double)t->elements;
    cr_assert_lt(fabs(sum / n), 0.02 * 5 / sqrt(n));
    cr_assert_lt(fabs(sqrt(squares / n) - 0.02), 0.02 * 0.01);
    cr_assert(largest <= 0.02 * sqrt(3) && largest > 0.0345);
    float one;
    cr_assert(omni_weights_read_f32(w, omni_weights_find(w, "b.weight"), COLS - 1, 1, &one));
    cr_assert_eq(one, 1.0f);
    omni_weights_close(w);
}

Test(weights, random_bf16_is_random_f32_rounded_to_nearest) {
    omni_weights *f32 = random_pair(OMNI_F32, 3), *bf16 = random_pair(OMNI_BF16, 3);
    static uint16_t stored[ROWS * COLS];
    const omni_tensor *t = omni_weights_find(bf16, "a.weight");
    cr_assert(omni_weights_read_f32(f32, omni_weights_find(f32, "a.weight"), 0, t->elements, whole));
    cr_assert(omni_weights_read_f32(bf16, t, 0, t->elements, parts));
    cr_assert(omni_weights_read(bf16, t, 0, t->elements, stored));
    for (size_t i = 0; i < t->elements; i++) {
        cr_assert_eq(omni_bf16_to_f32(stored[i]), parts[i]);
        float below = omni_bf16_to_f32((uint16_t)(stored[i] - 1)),
              above = omni_bf16_to_f32((uint16_t)(stored[i] + 1));
        float error = fabsf(parts[i] - whole[i]);
        cr_assert(error <= fabsf(below - whole[i]) && error <= fabsf(above - whole[i]));
    }
    omni_weights_close(f32);
    omni_weights_close(bf16);
}

/* Both ends of the range of F16: normal, subnormal, nothing, and the border between. */
Test(weights, random_f16_is_random_f32_rounded_to_nearest) {
    static const float stddevs[] = {1, 0.02f, 1e-4f, 4e-5f, 1e-6f, 1e-8f};
    for (size_t k = 0; k < COUNT(stddevs); k++) {
        const omni_random_spec spec[] = {{"t", OMNI_F32, 1, {3001}, 0, stddevs[k]}};
        omni_random_spec half = spec[0];
        omni_weights *f32, *f16;
        half.dtype = OMNI_F16;
        cr_assert_eq(omni_weights_open_random(spec, 1, 5, &f32, NULL), OMNI_OK);
        cr_assert_eq(omni_weights_open_random(&half, 1, 5, &f16, NULL), OMNI_OK);
        cr_assert(omni_weights_read_f32(f32, omni_weights_at(f32, 0), 0, 3001, whole));
        cr_assert(omni_weights_read_f32(f16, omni_weights_at(f16, 0), 0, 3001, parts));
        for (size_t i = 0; i < 3001; i++) {
            int exponent;
            frexpf(whole[i], &exponent); /* in [2^(e-1), 2^e): steps of 2^(e-11), of 2^-24 below 2^-14 */
            float step = ldexpf(1, exponent < -13 ? -24 : exponent - 11);
            cr_assert_eq(parts[i], rintf(whole[i] / step) * step, "%a", (double)whole[i]);
        }
        omni_weights_close(f32);
        omni_weights_close(f16);
    }
}

Test(weights, random_specs_that_make_no_sense) {
    const struct {
        omni_random_spec spec[2];
        size_t count;
        const char *words;
    } cases[] = {
        {{{"a", OMNI_I32, 1, {1}, 0, 1}}, 1, "dtype I32 (expected F32, F16 or BF16)"},
        {{{"a", OMNI_F32, 1, {1}, NAN, 1}}, 1, "expected finite"},
        {{{"a", OMNI_F32, 1, {1}, 0, -1}}, 1, "stddev >= 0"},
        {{{"a", OMNI_F32, 3, {1}, 0, 1}}, 1, "bad shape"},
        {{{"a", OMNI_F32, 2, {SIZE_MAX, 2}, 0, 1}}, 1, "bad shape"},
        {{{"a", OMNI_F32, 1, {1}, 0, 1}, {"a", OMNI_F32, 1, {1}, 0, 1}}, 2, "'a' twice"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_weights *w;
        omni_error err = {0};
        cr_assert_eq(omni_weights_open_random(cases[i].spec, cases[i].count, 0, &w, &err), OMNI_BAD_INPUT);
        cr_assert_null(w);
        cr_assert(strstr(err.text, cases[i].words) != NULL, "%s", err.text);
    }
}
