/* fit.c: least squares of relative errors, and curves. Few terms, so normal equations by elimination do. */
#include <math.h>

#include "omnibus/rates.h"

/* One more equation of (1/y) x . c = 1, for the terms in use. */
static void add_equation(const double *x, double y, const size_t *use, size_t n,
                         double a[][OMNI_FIT_TERMS + 1]) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) a[i][j] += x[use[i]] / y * (x[use[j]] / y);
        a[i][n] += x[use[i]] / y;
    }
}

/* Gauss-Jordan with pivots; the solution in column n. */
static bool solve(double a[][OMNI_FIT_TERMS + 1], size_t n) {
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; i++)
            if (fabs(a[i][k]) > fabs(a[pivot][k])) pivot = i;
        if (!(fabs(a[pivot][k]) > 0)) return false;
        for (size_t j = 0; j <= n; j++) {
            double swap = a[k][j];
            a[k][j] = a[pivot][j];
            a[pivot][j] = swap;
        }
        for (size_t i = 0; i < n; i++) {
            double times = a[i][k] / a[k][k];
            for (size_t j = k; i != k && j <= n; j++) a[i][j] -= times * a[k][j];
        }
    }
    for (size_t k = 0; k < n; k++) a[k][n] /= a[k][k];
    return true;
}

bool omni_fit(const double (*x)[OMNI_FIT_TERMS], const double *y, size_t n, size_t terms, double *c) {
    size_t use[OMNI_FIT_TERMS], used = terms;
    for (size_t t = 0; t < terms; t++) use[t] = t;
    for (size_t t = 0; t < terms; t++) c[t] = 0;
    while (used) {
        double a[OMNI_FIT_TERMS][OMNI_FIT_TERMS + 1] = {{0}};
        size_t lowest = 0;
        for (size_t i = 0; i < n; i++) add_equation(x[i], y[i], use, used, a);
        if (!solve(a, used)) return false;
        for (size_t t = 1; t < used; t++)
            if (a[t][used] * x[n - 1][use[t]] < a[lowest][used] * x[n - 1][use[lowest]]) lowest = t;
        if (a[lowest][used] >= 0) {
            for (size_t t = 0; t < used; t++) c[use[t]] = a[t][used];
            return true;
        }
        used--;
        for (size_t t = lowest; t < used; t++) use[t] = use[t + 1];
    }
    return false;
}

double omni_curve_at(const double *at, const double *y, size_t points, double x) {
    size_t k = 1;
    if (points < 2 || x <= at[0]) return y[0];
    while (k + 1 < points && x > at[k]) k++;
    double value = y[k - 1] + (y[k] - y[k - 1]) * (x - at[k - 1]) / (at[k] - at[k - 1]);
    return value > 0 ? value : 0;
}
