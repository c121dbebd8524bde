/* samples.c: times of runs. Medians, since on a shared host some runs are cut into. */
#include <math.h>

#include "calibrate/internal.h"

bool samples_go(const samples *s, const omni_stop *stop, uint64_t begin, uint64_t budget_ns, size_t least) {
    if (omni_stop_get(stop) != OMNI_OK || s->count == SAMPLES) return false;
    return s->count < least || omni_clock_ns() - begin < budget_ns;
}

void samples_add(samples *s, double ns) {
    s->ns[s->count++] = ns;
}

spread samples_spread(const samples *own, size_t workers) {
    spread out = {NAN, NAN, NAN, 0};
    size_t n = 0;
    for (size_t w = 0; w < workers; w++) n += own[w].count;
    double *all = omni_alloc_array(n ? n : 1, sizeof *all);
    if (!all || n == 0) {
        omni_free(all);
        return out;
    }
    for (size_t w = 0, at = 0; w < workers; at += own[w++].count)
        memcpy(all + at, own[w].ns, own[w].count * sizeof *all);
    out = (spread){.median = omni_median(all, n), .low = all[n / 4], .high = all[n - 1 - n / 4], .count = n};
    omni_free(all); /* the median has sorted them */
    return out;
}
