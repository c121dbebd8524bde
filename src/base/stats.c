/* stats.c: clock, median, mean and standard deviation. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "omnibus/base.h"

uint64_t omni_clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double omni_median(double *values, size_t n) {
    if (n == 0) return NAN;
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double omni_mean(const double *values, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += values[i];
    return n ? sum / (double)n : NAN;
}

/* In two passes: times in ns are large and near each other, and their squares would lose the difference. */
double omni_stddev(const double *values, size_t n) {
    double mean = omni_mean(values, n), sum = 0;
    for (size_t i = 0; i < n; i++) sum += (values[i] - mean) * (values[i] - mean);
    return n > 1 ? sqrt(sum / (double)(n - 1)) : n ? 0 : NAN;
}
