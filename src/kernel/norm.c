/* norm.c: RMSNorm (Zhang and Sennrich, arXiv:1910.07467) and LayerNorm (Ba et al., arXiv:1607.06450) in three
 * parts: statistics of the columns held, what is left of them after the reduction, and the row scaled. A
 * whole row goes through the same three parts, so one PE alone and a reduction of one share give the same
 * bits.
 *
 * Statistics are summed in float64, in four chains, and rounded once.
 */
#include <math.h>

#include "kernel/room.h"

size_t omni_norm_stats_floats(omni_norm kind) {
    return kind == OMNI_NORM_RMS ? 1 : 3;
}

size_t omni_norm_final_floats(omni_norm kind) {
    return kind == OMNI_NORM_RMS ? 1 : 2;
}

static double row_sum(const float *x, size_t n) {
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t c = 0; c < 4; c++) s[c] += (double)x[i + c];
    for (; i < n; i++) s[0] += (double)x[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

/* sum of (x - centre)^2 */
static double row_squares(const float *x, size_t n, double centre) {
    double s[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t c = 0; c < 4; c++) {
            double d = (double)x[i + c] - centre;
            s[c] += d * d;
        }
    for (; i < n; i++) s[0] += ((double)x[i] - centre) * ((double)x[i] - centre);
    return (s[0] + s[1]) + (s[2] + s[3]);
}

void omni_norm_stats(omni_norm kind, const float *x, size_t ldx, size_t rows, size_t cols, float *stats) {
    for (size_t r = 0; r < rows; r++, x += ldx) {
        if (kind == OMNI_NORM_RMS) {
            stats[r] = (float)row_squares(x, cols, 0);
            continue;
        }
        double mean = cols ? row_sum(x, cols) / (double)cols : 0;
        stats[3 * r] = (float)cols;
        stats[3 * r + 1] = (float)mean;
        stats[3 * r + 2] = (float)row_squares(x, cols, mean);
    }
}

/* In place is fine: row r is written at or before where it is read. */
void omni_norm_finish(omni_norm kind, const float *stats, size_t rows, float *final) {
    for (size_t r = 0; r < rows; r++) {
        if (kind == OMNI_NORM_RMS) {
            final[r] = stats[r];
            continue;
        }
        float mean = stats[3 * r + 1], m2 = stats[3 * r + 2];
        final[2 * r] = mean;
        final[2 * r + 1] = m2;
    }
}

/* y = (x - mean) * scale * weight + bias; weight and bias may be NULL; y may be x */
static void row_apply(const float *x, size_t n, float mean, float scale, const float *weight,
                      const float *bias, float *y) {
    const float *w = weight, *b = bias;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        kernel_f4 v = (kernel_f4_load(x + i) - mean) * scale;
        if (w) v *= kernel_f4_load(w + i);
        if (b) v += kernel_f4_load(b + i);
        kernel_f4_store(y + i, v);
    }
    for (; i < n; i++) {
        float v = (x[i] - mean) * scale;
        if (w) v *= w[i];
        y[i] = b ? v + b[i] : v;
    }
}

void omni_norm_apply(omni_norm kind, const float *x, size_t ldx, size_t rows, size_t cols, size_t width,
                     const float *final, double eps, const float *weight, const float *bias, float *y,
                     size_t ldy) {
    const size_t n = omni_norm_final_floats(kind);
    for (size_t r = 0; r < rows; r++) {
        const float *row = final + r * n;
        float mean = kind == OMNI_NORM_RMS ? 0 : row[0];
        double squares = (double)row[n - 1];
        float scale = (float)(1 / sqrt(squares / (double)width + eps));
        row_apply(x + r * ldx, cols, mean, scale, weight, bias, y + r * ldy);
    }
}

void omni_norm_rows(omni_norm kind, const float *x, size_t ldx, size_t rows, size_t width, double eps,
                    const float *weight, const float *bias, float *y, size_t ldy) {
    float stats[3];
    for (size_t r = 0; r < rows; r++) {
        omni_norm_stats(kind, x + r * ldx, ldx, 1, width, stats);
        omni_norm_finish(kind, stats, 1, stats);
        omni_norm_apply(kind, x + r * ldx, ldx, 1, width, width, stats, eps, weight, bias, y + r * ldy, ldy);
    }
}
