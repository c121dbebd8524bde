/* calibrate.h: measures this host's rates (rates.h), and how far predictions from them are from the clock.
 *
 * One caller, not bound to a CPU; after omni_kernel_init. Threads live only within a call.
 */
#ifndef OMNIBUS_CALIBRATE_H
#define OMNIBUS_CALIBRATE_H

#include "omnibus/rates.h"
#include "omnibus/sync.h"
#include "omnibus/topo.h"

typedef struct omni_calibrate_options {
    const omni_topo *topo;
    omni_stop *stop; /* shared with the signal handler */
    void (*step)(void *user, size_t done, size_t total, const char *what); /* NULL: nobody looks */
    void *user;
} omni_calibrate_options;

/* A prediction against wall time, of a shape that the fit did not see. */
typedef struct omni_calibrate_row {
    const char *kind; /* "collective", "op", "block" */
    char what[64];    /* "broadcast", "matmul F32", "megatron F32" */
    char shape[64];   /* "24 KiB", "24 x 1536 -> 640", "decode of 1 at 96" */
    size_t pes, workers;
    double predicted_ns, wall_ns; /* of one; medians of all rounds. Of a block: a pass over its layers */
    double low_ns, high_ns;       /* wall time: the fastest round and the slowest */
    /* How far the wall times of two rounds are from each other, in percent: the median of all pairs. What
     * the same thing differs by when it is measured again, no prediction can be nearer to. */
    double repeat_percent;
    double round_error_percent; /* of a round's wall time, by rates from that round alone: the median */
} omni_calibrate_row;

/* Measures the rates and what they are held against, in turn, in rounds; a minute and a half on two cores.
 * *row: `count` of them, omni_free. OMNI_INTERRUPTED when stopped, OMNI_RUN_FAILED: no memory, no thread. */
omni_status omni_calibrate(const omni_calibrate_options *o, omni_rates *out, omni_calibrate_row **row,
                           size_t *count, omni_error *err);

#endif
