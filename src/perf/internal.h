/* internal.h (private): where counts come from: the kernel, or a test. */
#ifndef PERF_INTERNAL_H
#define PERF_INTERNAL_H

#include "omnibus/perf.h"

typedef struct perf_source {
    /* A descriptor for an event of the calling thread, in the group of `leader` (-1: it leads); or -errno. */
    int (*open)(omni_perf_event event, int leader);
    /* Of the group of a leader: {events, enabled_ns, running_ns, value of each in the order of opening}: so many
     * words, at most `words`; or -errno. */
    int (*read)(int leader, uint64_t *to, size_t words);
    void (*close)(int fd);
    /* OMNI_PERF_TASK_NS and what is behind it. */
    void (*usage)(uint64_t value[OMNI_PERF_EVENTS]);
} perf_source;

extern const perf_source perf_kernel;

omni_perf *perf_open_from(const perf_source *source);

#endif
