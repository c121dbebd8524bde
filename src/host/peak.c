/* peak.c: multiplying: BLIS's own sgemm on square matrices, a thread a core, each with matrices of its
 * own. */
#include <math.h>

#include "host/internal.h"
#include "omnibus/kernel.h"

enum { MOST_N = 2048, LEAST_N = 256 };

static size_t matrix_bytes(size_t n) {
    return n * n * sizeof(float);
}

static void touch_work(void *arg, size_t w) {
    const host_buffers *b = arg;
    float *x = (float *)(void *)b->at[w];
    for (size_t i = 0; i < b->bytes / sizeof *x; i++) x[i] = (float)(i % 17) * 0.0625f - 0.5f;
}

static void peak_work(void *arg, size_t w) {
    const omni_host_limits *l = arg;
    float *x = (float *)(void *)l->peak.at[w], *y = x + l->peak_n * l->peak_n;
    (void)omni_blis_sgemm(l->peak_n, x, y, y + l->peak_n * l->peak_n);
}

/* All cores' matrices take at most an eighth of what is free. */
static bool create(omni_host_limits *l) {
    size_t most = omni_topo_memory_available() / 8 / l->cores;
    l->peak_n = MOST_N;
    while (l->peak_n > LEAST_N && 3 * matrix_bytes(l->peak_n) > most) l->peak_n /= 2;
    return omni_blis_sgemm(0, NULL, NULL, NULL) &&
           host_buffers_create(l, 3 * matrix_bytes(l->peak_n), true, touch_work, &l->peak);
}

double omni_host_peak_flops(omni_host_limits *l, size_t cores) {
    if (!l->peak.at && !l->peak_failed) l->peak_failed = !create(l);
    if (!l->peak.at || cores < 1 || cores > l->cores || host_stopped(l)) return NAN;
    double n = (double)l->peak_n;
    return 2 * n * n * n * (double)cores * 1e9 / omni_host_team_ns(l->topo, cores, peak_work, l);
}

size_t omni_host_peak_n(const omni_host_limits *l) {
    return l->peak_n;
}
