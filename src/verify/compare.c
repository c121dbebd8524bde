/* compare.c: how far a float32 result is from its float64 truth, and how far is too far.
 *
 * A difference is measured over the whole tensor (its largest error against its largest value) and row by
 * row, so that a token whose state is small cannot hide behind one whose state is large. Nothing that is not
 * a finite number passes: it makes every measure infinite.
 */
#include <math.h>

#include "truth.h"

/* 0/0 is agreement; anything else over 0, and NaN, is as far as can be. */
static double ratio(double error, double scale) {
    if (scale == 0) return error == 0 ? 0 : INFINITY;
    double r = error / scale;
    return isnan(r) ? INFINITY : r;
}

omni_difference omni_compare(const float *x /* [rows, cols] */, const double *ref /* [rows, cols] */,
                             size_t rows, size_t cols) {
    const omni_difference far = {INFINITY, INFINITY, INFINITY, INFINITY};
    omni_difference d = {0};
    double max_ref = 0, sum_error = 0, sum_ref = 0;
    for (size_t r = 0; r < rows; r++) {
        double row_error = 0, row_ref = 0;
        for (size_t c = 0; c < cols; c++) {
            double want = ref[r * cols + c], error = (double)x[r * cols + c] - want;
            if (!isfinite(want) || !isfinite(error)) return far;
            d.max_abs = fmax(d.max_abs, fabs(error));
            max_ref = fmax(max_ref, fabs(want));
            row_error += error * error;
            row_ref += want * want;
        }
        d.row_rel = fmax(d.row_rel, ratio(sqrt(row_error), sqrt(row_ref)));
        sum_error += row_error;
        sum_ref += row_ref;
    }
    d.rel_max = ratio(d.max_abs, max_ref);
    d.nmse = ratio(sum_error, sum_ref);
    return d;
}

double rule_tolerance(size_t positions) {
    return positions > 512 ? 2e-5 : 1e-5;
}

/* Measured over every method and up to 16 PEs: the worst value of any tensor is off by 0.1 to 1.1 roundoffs
 * of the plan in trained models, and by up to 2.8 in small ones of large random weights, which magnify what
 * comes in. From 2 layers to 64 there is no trend. */
double rule_narrow_tolerance(double roundoff) {
    return 4 * roundoff;
}

bool rule_within(const omni_difference *d, double tolerance) {
    return d->rel_max <= tolerance && d->row_rel <= tolerance;
}

rule_top rule_top_of(const double *logits, size_t n) {
    double first = -INFINITY, second = -INFINITY, least = INFINITY;
    bool finite = n > 0;
    rule_top top = {0};
    for (size_t i = 0; i < n; i++) {
        finite = finite && isfinite(logits[i]);
        least = fmin(least, logits[i]);
        top.size = fmax(top.size, fabs(logits[i]));
        if (logits[i] > first) {
            second = first;
            first = logits[i];
            top.id = (int32_t)i;
        } else {
            second = fmax(second, logits[i]);
        }
    }
    top.margin = first - second;
    top.range = finite ? first - least : (double)NAN;
    return top;
}

double rule_range_f32(const float *logits, size_t n) {
    double most = -INFINITY, least = INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(logits[i])) return (double)NAN;
        most = fmax(most, (double)logits[i]);
        least = fmin(least, (double)logits[i]);
    }
    return most - least;
}

double rule_size_f32(const float *logits, size_t n) {
    double size = 0;
    for (size_t i = 0; i < n; i++) size = fmax(size, fabs((double)logits[i]));
    return size;
}

bool rule_argmax_binds(double margin, double range) {
    return !(margin <= 1e-4 * range);
}

bool rule_narrow_decides(const rule_top *top, double narrow_tolerance) {
    return !(top->margin <= 2 * narrow_tolerance * top->size);
}
