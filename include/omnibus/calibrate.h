/* calibrate.h: measures this host's rates (rates.h), and then how far predictions from them are from the clock.
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

/* About a minute on two cores. OMNI_INTERRUPTED when stopped, OMNI_RUN_FAILED: no memory, no thread. */
omni_status omni_calibrate(const omni_calibrate_options *o, omni_rates *out, omni_error *err);

/* Prediction against wall time, of shapes that the fit did not see. */
typedef struct omni_calibrate_row {
    const char *kind; /* "collective", "op", "block"; "again": a shape of the fit, how still the machine is */
    char what[64];    /* "broadcast", "matmul F32", "megatron decode F32" */
    char shape[64];   /* "24.0 KiB", "24 x 1536 -> 640" */
    size_t pes, workers;
    double predicted_ns, wall_ns; /* of one; wall: the median of `runs`. Of a block: a pass over its layers */
    double low_ns, high_ns;       /* the middle half of the runs */
    size_t runs;
} omni_calibrate_row;

/* *out: omni_free. */
omni_status omni_calibrate_compare(const omni_calibrate_options *o, const omni_rates *rates,
                                   omni_calibrate_row **out, size_t *count, omni_error *err);

#endif
