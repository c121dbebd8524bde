/* counts.c: sums of counts, their scaling, and why there are none. Pure. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "perf/events.h"

void omni_perf_add(omni_perf_counts *sum, const omni_perf_counts *more) {
    for (size_t i = 0; i < OMNI_PERF_EVENTS; i++) {
        sum->value[i] += more->value[i];
        if (!sum->missing[i]) sum->missing[i] = more->missing[i];
    }
    for (size_t g = 0; g < OMNI_PERF_GROUPS; g++) {
        sum->enabled_ns[g] += more->enabled_ns[g];
        sum->running_ns[g] += more->running_ns[g];
    }
}

omni_perf_counts omni_perf_between(const omni_perf_counts *before, const omni_perf_counts *after) {
    omni_perf_counts c = *after;
    for (size_t i = 0; i < OMNI_PERF_EVENTS; i++) c.value[i] -= before->value[i];
    for (size_t g = 0; g < OMNI_PERF_GROUPS; g++) {
        c.enabled_ns[g] -= before->enabled_ns[g];
        c.running_ns[g] -= before->running_ns[g];
    }
    return c;
}

/* The kernel never gave the event's group a turn. */
static bool starved(const omni_perf_counts *c, omni_perf_event event) {
    if (event >= OMNI_PERF_OPENED) return false;
    size_t g = perf_events[event].group;
    return c->running_ns[g] == 0 && c->enabled_ns[g] > 0;
}

double omni_perf_value(const omni_perf_counts *c, omni_perf_event event) {
    if (c->missing[event] || starved(c, event)) return NAN;
    double value = (double)c->value[event];
    if (event >= OMNI_PERF_OPENED) return value;
    size_t g = perf_events[event].group;
    if (c->running_ns[g] == c->enabled_ns[g]) return value; /* also a part in which no time went by */
    return value * ((double)c->enabled_ns[g] / (double)c->running_ns[g]);
}

const char *omni_perf_reason(const omni_perf_counts *c, omni_perf_event event) {
    switch (c->missing[event]) {
    case 0:
        return starved(c, event) ? "the CPU's counters were taken by others all the time, or its cores are "
                                   "of two kinds and "
                                   "the thread ran on the other"
                                 : NULL;
    case EACCES:
    case EPERM:
        return "not permitted (expected /proc/sys/kernel/perf_event_paranoid at most 2, for migrations 1, or "
               "CAP_PERFMON; a container may refuse it, too)";
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case EOPNOTSUPP:
        return "this machine does not count it (virtual machines often have no hardware counters)";
    case ENOSYS:
        return "no perf_event_open here (the kernel has none, or a filter hides it)";
    case EINVAL:
        return "the kernel refused it (the CPU has too few counters for it and its group at the same time)";
    case EBUSY:
    case ENOSPC:
        return "the CPU's counters are taken by others";
    case EMFILE:
    case ENFILE:
        return "too many open files (expected a higher ulimit -n)";
    default:
        return "the kernel refused it";
    }
}

const char *omni_perf_event_name(omni_perf_event event) {
    return perf_events[event].name;
}
