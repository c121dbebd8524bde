/* counters.c: the twelve counts as a list of names, so that nobody else spells them out. */
#include <string.h>

#include "omnibus/counters.h"

const char *const omni_counter_names[OMNI_COUNTERS] = {
    "broadcasts",       "broadcast_bytes", "reductions",         "tree_gathers",
    "tree_levels",      "tree_bytes",      "addressed_messages", "addressed_bytes",
    "scatter_messages", "gather_messages", "host_messages",      "host_bytes",
};

_Static_assert(sizeof(omni_counters) == OMNI_COUNTERS * sizeof(uint64_t), "every field has a name");

static void to_array(const omni_counters *c, uint64_t v[OMNI_COUNTERS]) {
    memcpy(v, c, sizeof *c);
}

uint64_t omni_counters_get(const omni_counters *c, size_t i) {
    uint64_t v[OMNI_COUNTERS];
    to_array(c, v);
    return v[i];
}

void omni_counters_add(omni_counters *sum, const omni_counters *c) {
    uint64_t a[OMNI_COUNTERS], b[OMNI_COUNTERS];
    to_array(sum, a);
    to_array(c, b);
    for (size_t i = 0; i < OMNI_COUNTERS; i++) a[i] += b[i];
    memcpy(sum, a, sizeof *sum);
}

omni_counters omni_counters_between(const omni_counters *earlier, const omni_counters *later) {
    uint64_t a[OMNI_COUNTERS], b[OMNI_COUNTERS];
    omni_counters difference;
    to_array(earlier, a);
    to_array(later, b);
    for (size_t i = 0; i < OMNI_COUNTERS; i++) b[i] -= a[i];
    memcpy(&difference, b, sizeof difference);
    return difference;
}

void omni_counters_repeat(omni_counters *sum, const omni_counters *since, uint64_t times) {
    uint64_t a[OMNI_COUNTERS], b[OMNI_COUNTERS];
    to_array(sum, a);
    to_array(since, b);
    for (size_t i = 0; i < OMNI_COUNTERS; i++) a[i] += times * (a[i] - b[i]);
    memcpy(sum, a, sizeof *sum);
}

bool omni_counters_equal(const omni_counters *a, const omni_counters *b) {
    return memcmp(a, b, sizeof *a) == 0;
}
