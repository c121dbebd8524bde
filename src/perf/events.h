/* events.h (private): the table of events. */
#ifndef PERF_EVENTS_H
#define PERF_EVENTS_H

#include "omnibus/perf.h"

typedef struct perf_event_row {
    const char *name;
    size_t group;
    uint32_t type; /* type and config of perf_event_open, up to OMNI_PERF_OPENED */
    uint64_t config;
    bool kernel; /* what happens in the kernel counts, too */
} perf_event_row;
/* Cycles and instructions are one group, so that their ratio is of the same time. Those that CPUs often lack, or that
 * count kernel work, are in others. */
extern const perf_event_row perf_events[OMNI_PERF_EVENTS];

/* A descriptor for such an event of the calling thread, which counts at once; or -errno. leader: as in perf_source. */
int perf_kernel_open(const perf_event_row *row, int leader);

#endif
