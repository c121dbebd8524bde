/* test_kernel_rows.c: the kernels that work row by row, and the operators of a reduction, against float64. */
#include "kernel_tools.h"

static const size_t widths[] = {0, 1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33, 100, 129};
#define WIDTHS (sizeof widths / sizeof *widths)
enum { ROWS = 3, WIDE = 129, GAP = 3, ROOM = ROWS * (2 * WIDE + GAP) };

/* --- rows ------------------------------------------------------------------------------------- */

Test(kernel, add_bias_and_copy) {
    guarded gx = guarded_make(ROOM * sizeof(float)), gy = guarded_make(ROOM * sizeof(float));
    for (size_t w = 0; w < WIDTHS; w++) {
        const size_t n = widths[w], ld = n + GAP, all = n ? (ROWS - 1) * ld + n : 0;
        float *x = guarded_place(gx, all * sizeof *x, w % 2), *y = guarded_place(gy, all * sizeof *y, w % 2);
        fill(x, all, 2);
        fill(y, all, CANARY);
        omni_copy(y, ld, x, ld, ROWS, n);
        omni_add(y, ld, x, ld, ROWS, n);
        omni_bias_add(y, ld, ROWS, n, x);
        for (size_t i = 0; i < all; i++) cr_assert_eq(y[i], i % ld < n ? 6 : CANARY);
    }
}

Test(kernel, argmax) {
    const float inf = INFINITY, x[] = {NAN, -inf, 3, 5, NAN, 5, 4};
    omni_best best = omni_argmax(x, 7, 100);
    cr_assert(best.value == 5 && best.index == 103);
    best = omni_argmax(x, 2, 0);
    cr_assert(best.value == -inf && best.index == 1);
    cr_assert_eq(omni_argmax(x, 1, 0).index, UINT32_MAX);
    best = omni_argmax(x, 0, 9);
    cr_assert(best.value == -inf && best.index == UINT32_MAX);
}

/* --- activation ------------------------------------------------------------------------------- */

static double activation(omni_activation kind, double x, double up) {
    switch (kind) {
    case OMNI_ACT_SWIGLU:
        return x / (1 + exp(-x)) * up;
    case OMNI_ACT_GELU:
        return x * erfc(-x * sqrt(0.5)) / 2;
    case OMNI_ACT_RELU:
        return x < 0 ? 0 : x;
    case OMNI_ACT_SILU:
        return x / (1 + exp(-x));
    case OMNI_ACT_TANH:
        return tanh(x);
    default:
        break;
    }
    double u = sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x);
    return x / (1 + exp(-2 * u));
}

ISA_TEST(activations_are_accurate_to_a_few_ulp) {
    enum { N = 4001 };
    static float x[2 * N], y[N];
    for (size_t i = 0; i < N; i++) x[i] = ((float)i - 2000) * 0.01f, x[N + i] = 1.0f + (float)i * 0.001f;
    for (int kind = 0; kind < OMNI_ACTIVATIONS; kind++) {
        omni_activate((omni_activation)kind, y, N, x, 2 * N, 1, N);
        for (size_t i = 0; i < N; i++) {
            double want = activation((omni_activation)kind, (double)x[i], (double)x[N + i]);
            /* gelu's exponent is rounded before exp, which multiplies that error by the exponent; erfc = 1 -
             * erf cancels up to sixfold */
            double u = 1.6 * fabs((double)x[i]) + 0.0714 * fabs(pow((double)x[i], 3)), ulps = 6;
            if (kind == OMNI_ACT_GELU_NEW) ulps += 3 * u;
            if (kind == OMNI_ACT_GELU) ulps += 6 + 1.5 * (double)x[i] * (double)x[i];
            if (!(fabs((double)y[i] - want) <= ulps * 0x1p-24 * fabs(want) + 1e-36))
                cr_assert_fail("kind %d x %g: %.9g for %.9g", kind, (double)x[i], (double)y[i], want);
        }
    }
}

ISA_TEST(activations_at_the_ends_and_in_every_width) {
    guarded gx = guarded_make(ROOM * sizeof(float)), gy = guarded_make(ROOM * sizeof(float));
    for (size_t w = 0; w < WIDTHS; w++)
        for (int kind = 0; kind < OMNI_ACTIVATIONS; kind++) {
            const size_t n = widths[w], wide = kind == OMNI_ACT_SWIGLU ? 2 * n : n, ldx = wide + GAP,
                         ldy = n + GAP;
            const size_t nx = n ? (ROWS - 1) * ldx + wide : 0, ny = n ? (ROWS - 1) * ldy + n : 0;
            float *x = guarded_place(gx, nx * sizeof *x, w % 2),
                  *y = guarded_place(gy, ny * sizeof *y, w % 2);
            fill_random(x, nx, w);
            fill(y, ny, CANARY);
            omni_activate((omni_activation)kind, y, ldy, x, ldx, ROWS, n);
            for (size_t i = 0; i < ny; i++) {
                if (i % ldy >= n) continue;
                const float *at = x + i / ldy * ldx + i % ldy;
                double want = activation((omni_activation)kind, (double)at[0],
                                         kind == OMNI_ACT_SWIGLU ? (double)at[n] : 1);
                cr_assert(fabs((double)y[i] - want) <= 1e-6 * fabs(want));
            }
            check_gaps(y, ny, n, ldy);
        }
    guarded_free(gx);
    guarded_free(gy);
    float ends[] = {1e30f, -1e30f, 100, -100, 0, NAN, 1, 1, 1, 1, 1, 1}, out[6];
    for (int kind = 0; kind < OMNI_ACTIVATIONS; kind++) {
        const bool tanh_like = kind == OMNI_ACT_TANH;
        omni_activate((omni_activation)kind, out, 6, ends, 12, 1, 6);
        cr_assert(out[0] == (tanh_like ? 1 : 1e30f) && out[2] == (tanh_like ? 1 : 100), "kind %d", kind);
        cr_assert(tanh_like ? out[1] == -1 && out[3] == -1 : out[1] == 0 && fabsf(out[3]) < 1e-36f);
        cr_assert(out[4] == 0 && isnan(out[5]), "kind %d", kind);
    }
}

/* --- norms ------------------------------------------------------------------------------------ */

static void check_norm(omni_norm kind, const float *x, size_t ldx, size_t n, const float *w, const float *b,
                       const float *y, size_t ldy) {
    for (size_t r = 0; r < ROWS; r++) {
        double mean = 0, squares = 0;
        for (size_t i = 0; kind == OMNI_NORM_LAYER && i < n; i++) mean += (double)x[r * ldx + i] / (double)n;
        for (size_t i = 0; i < n; i++) squares += pow((double)x[r * ldx + i] - mean, 2);
        double scale = 1 / sqrt(squares / (double)n + 1e-5);
        for (size_t i = 0; i < n; i++) {
            double want = ((double)x[r * ldx + i] - mean) * scale * (double)w[i] + (b ? (double)b[i] : 0);
            double room = 4e-7 * (fabs(want) + (fabs(mean) + fabs((double)x[r * ldx + i])) * scale + 1);
            if (!(fabs((double)y[r * ldy + i] - want) <= room))
                cr_assert_fail("kind %d width %zu: %.9g for %.9g", (int)kind, n, (double)y[r * ldy + i],
                               want);
        }
    }
}

Test(kernel, norms_of_whole_rows) {
    guarded gx = guarded_make(ROOM * sizeof(float)), gy = guarded_make(ROOM * sizeof(float));
    float w[WIDE], b[WIDE];
    fill_random(w, WIDE, 1);
    fill_random(b, WIDE, 2);
    for (size_t k = 1; k < WIDTHS; k++)
        for (int kind = 0; kind < 2; kind++) {
            const size_t n = widths[k], ld = n + GAP, all = (ROWS - 1) * ld + n;
            const float *bias = kind == OMNI_NORM_LAYER ? b : NULL;
            float *x = guarded_place(gx, all * sizeof *x, k % 2),
                  *y = guarded_place(gy, all * sizeof *y, k % 2);
            fill_random(x, all, k);
            for (size_t i = 0; i < all; i++) x[i] += 3;
            fill(y, all, CANARY);
            omni_norm_rows((omni_norm)kind, x, ld, ROWS, n, 1e-5, w, bias, y, ld);
            check_norm((omni_norm)kind, x, ld, n, w, bias, y, ld);
            check_gaps(y, all, n, ld);
            omni_norm_rows((omni_norm)kind, x, ld, ROWS, n, 1e-5, w, bias, x, ld);
            for (size_t i = 0; i < all; i++) cr_assert(i % ld >= n || x[i] == y[i], "in place differs");
        }
}

/* Shares of any size, also none, merged as a tree does it. */
Test(kernel, norms_over_sharded_features) {
    enum { N = 100, PARTS = 7 };
    static const size_t cut[PARTS + 1] = {0, 0, 1, 40, 40, 77, 100, 100};
    float x[ROWS * N], y[ROWS * N], w[N], stats[PARTS][ROWS * 3];
    fill_random(x, ROWS * N, 5);
    fill_random(w, N, 6);
    for (int k = 0; k < 2; k++) {
        const omni_norm kind = (omni_norm)k;
        for (size_t p = 0; p < PARTS; p++)
            omni_norm_stats(kind, x + cut[p], N, ROWS, cut[p + 1] - cut[p], stats[p]);
        const size_t bytes = ROWS * omni_norm_stats_floats(kind) * sizeof(float);
        for (size_t step = 1; step < PARTS; step *= 2)
            for (size_t p = 0; p + step < PARTS; p += 2 * step)
                (kind == OMNI_NORM_RMS ? omni_combine_sum : omni_combine_moments)(stats[p], stats[p + step],
                                                                                  bytes, NULL);
        omni_norm_finish(kind, stats[0], ROWS, stats[0]);
        for (size_t p = 0; p < PARTS; p++)
            omni_norm_apply(kind, x + cut[p], N, ROWS, cut[p + 1] - cut[p], N, stats[0], 1e-5, w + cut[p],
                            NULL, y + cut[p], N);
        check_norm(kind, x, N, N, w, NULL, y, N);
    }
}

/* --- rotary embedding ------------------------------------------------------------------------- */

Test(kernel, rope_turns_pairs_by_angles_of_float64) {
    enum { POSITIONS = 3000 };
    static const size_t dims[] = {1, 2, 5, 6, 64};
    for (size_t k = 0; k < sizeof dims / sizeof *dims; k++) {
        const size_t hd = dims[k], half = hd / 2, heads = 3;
        float *c = omni_alloc_array(POSITIONS * half, sizeof *c),
              *s = omni_alloc_array(POSITIONS * half, sizeof *s);
        double inverse[32];
        for (size_t i = 0; i < half; i++) inverse[i] = pow(500000, -2.0 * (double)i / (double)hd);
        omni_rope_table(POSITIONS, hd, inverse, c, s);
        for (size_t p = 0; p < POSITIONS; p += 37) {
            float x[3 * 64] = {0}, y[3 * 64];
            fill_random(x, heads * hd, p);
            memcpy(y, x, heads * hd * sizeof *y);
            omni_rope_row(y, heads, hd, p, c, s);
            for (size_t i = 0; i < heads * hd; i++) {
                size_t d = i % hd, turn = half ? d % half : 0, pair = d < half ? i + half : i - half;
                double angle = (double)p * pow(500000, -2.0 * (double)turn / (double)hd), want = (double)x[i];
                if (d < 2 * half)
                    want = want * cos(angle) + (d < half ? -1 : 1) * (double)x[pair] * sin(angle);
                cr_assert(fabs((double)y[i] - want) < 3e-7);
            }
        }
        omni_free(c);
        omni_free(s);
    }
}

/* --- combine operators ------------------------------------------------------------------------ */

Test(kernel, combine_sum_and_argmax) {
    float a[] = {1, 2, 3, 4, 5}, b[] = {10, 20, 30, 40, 50};
    omni_combine_sum(a, b, sizeof a, NULL);
    for (size_t i = 0; i < 5; i++) cr_assert_eq(a[i], 11 * (float)(i + 1));
    const omni_best none = {-INFINITY, UINT32_MAX};
    omni_best x[] = {{1, 4}, {2, 9}, none, none, {-INFINITY, 3}, {7, 1}};
    const omni_best y[] = {{3, 8}, {2, 5}, {-INFINITY, 6}, none, none, {7, 2}};
    const omni_best want[] = {{3, 8}, {2, 5}, {-INFINITY, 6}, none, {-INFINITY, 3}, {7, 1}};
    omni_combine_argmax(x, y, sizeof x, NULL);
    for (size_t i = 0; i < 6; i++)
        cr_assert(x[i].value == want[i].value && x[i].index == want[i].index, "%zu", i);
}

Test(kernel, moments_merge_with_nothing) {
    float a[] = {0, 0, 0, 5, 2, 1, 0, 0, 0, 2, 1, 2}, b[] = {3, 4, 7, 0, 0, 0, 0, 0, 0, 2, 3, 4};
    const float want[] = {3, 4, 7, 5, 2, 1, 0, 0, 0, 4, 2, 10};
    omni_combine_moments(a, b, sizeof a, NULL);
    for (size_t i = 0; i < 12; i++) cr_assert_eq(a[i], want[i], "%zu", i);
}

Test(kernel, log_sum_exp_merges_with_nothing) {
    const float inf = INFINITY;
    const omni_lse_shape shape = {2, 1};                    /* out0 out1 max0 max1 sum0 sum1 */
    float a[] = {0, 3, -inf, 1, 0, 2, 0, 1, -inf, 0, 0, 1}; /* two rows */
    const float b[] = {4, 0, 2, -inf, 1, 0, 0, 1, -inf, -1e4f, 0, 1};
    const float want[] = {4, 3, 2, 1, 1, 2, 0, 1, -inf, 0, 0, 1};
    omni_combine_lse(a, b, sizeof a, &shape);
    for (size_t i = 0; i < 12; i++) cr_assert_eq(a[i], want[i], "%zu", i);
}
