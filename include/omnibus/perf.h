/* perf.h: what the kernel counts of a thread, and the control of an outer `perf` by fifos.
 *
 * Counts. A thread opens them for itself, and reads them itself where a part that counts begins and ends: so waiting
 * between parts is not in them, and no thread writes another's sums. The hardware's come from perf_event_open, user
 * space only (exclude_kernel), which perf_event_paranoid = 2, the usual value, allows to everybody. CPU time, context
 * switches and page faults come from the thread's CPU clock and getrusage(RUSAGE_THREAD), which nobody can refuse.
 *
 * Events are opened in groups, which the kernel counts all together or not at all; one read gives a group. With more
 * groups than the CPU has counters they take turns, and a count is scaled: value x enabled / running.
 */
#ifndef OMNIBUS_PERF_H
#define OMNIBUS_PERF_H

#include "omnibus/base.h"
#include "omnibus/sync.h"

typedef enum omni_perf_event {
    OMNI_PERF_CYCLES,
    OMNI_PERF_INSTRUCTIONS,
    OMNI_PERF_CACHE_MISSES, /* PERF_COUNT_HW_CACHE_MISSES: mostly of the last level, as the CPU defines it */
    OMNI_PERF_STALLED_FRONTEND, /* cycles */
    OMNI_PERF_STALLED_BACKEND,
    OMNI_PERF_MIGRATIONS, /* to another CPU; a software event, but of perf_event_open */
    OMNI_PERF_TASK_NS,    /* CPU time, user and kernel */
    OMNI_PERF_SWITCHES,
    OMNI_PERF_FAULTS,
    OMNI_PERF_EVENTS
} omni_perf_event;
#define OMNI_PERF_OPENED OMNI_PERF_TASK_NS /* those before it are of perf_event_open */
enum { OMNI_PERF_GROUPS = 3 };

const char *omni_perf_event_name(omni_perf_event event); /* "cycles", "cache_misses", "task_clock_ns", ... */

/* Sums over parts. Differences and sums of these are such sums, too. */
typedef struct omni_perf_counts {
    uint64_t value[OMNI_PERF_EVENTS]; /* as counted, not scaled */
    uint64_t enabled_ns[OMNI_PERF_GROUPS], running_ns[OMNI_PERF_GROUPS];
    int missing[OMNI_PERF_EVENTS]; /* errno of what is not counted; 0: it is */
} omni_perf_counts;

void omni_perf_add(omni_perf_counts *sum,
                   const omni_perf_counts *more); /* what one of them lacks is missing */
omni_perf_counts omni_perf_between(const omni_perf_counts *before, const omni_perf_counts *after);
/* Scaled; NaN when it is missing, or never had a turn though the time was counted. */
double omni_perf_value(const omni_perf_counts *c, omni_perf_event event);
/* Why omni_perf_value is NaN: one clause; NULL where it is not. */
const char *omni_perf_reason(const omni_perf_counts *c, omni_perf_event event);

/* The calling thread's. Never fails but for memory (NULL): what the kernel refuses is missing. Begin and end: by that
 * thread. Counts and close: by whoever is ordered behind its last end. */
typedef struct omni_perf omni_perf;
omni_perf *omni_perf_open(void);
void omni_perf_close(omni_perf *p); /* NULL is fine */
void omni_perf_begin(omni_perf *p);
void omni_perf_end(omni_perf *p);
const omni_perf_counts *omni_perf_sums(const omni_perf *p);

/* --- `perf stat --delay=-1 --control=fifo:CTL[,ACK] -- omnibus ...`: perf counts only what we say ------- */

typedef struct omni_perf_control omni_perf_control;
/* `text`: "CTL" or "CTL,ACK". OMNI_BAD_INPUT unless both are fifos and somebody reads CTL. `what` names it in errors.
 * timeout_ms: the longest wait of a command. */
omni_status omni_perf_control_open(const char *text, const char *what, unsigned timeout_ms,
                                   omni_perf_control **out, omni_error *err);
void omni_perf_control_close(omni_perf_control *c); /* NULL is fine */
/* "enable\n" or "disable\n", and then waits for "ack\n" if there is an ACK. OMNI_RUN_FAILED when nobody reads or
 * answers in time, the stop word's reason when it is set. Does nothing for NULL. */
omni_status omni_perf_control_send(omni_perf_control *c, bool enable, const omni_stop *stop, omni_error *err);

#endif
