/* internal.h: what the files of this room share.
 *
 *   samples.c      times of many runs, from all workers; medians
 *   collective.c   one collective over a team of workers
 *   kernel.c       one kernel on each of some workers at the same time
 *   pass.c         passes of an engine with a model of random weights
 *   measure.c      all of it on the fit's shapes -> rates
 *   compare.c      all of it on other shapes -> rows
 */
#ifndef OMNIBUS_CALIBRATE_INTERNAL_H
#define OMNIBUS_CALIBRATE_INTERNAL_H

#include "omnibus/array.h"
#include "omnibus/calibrate.h"
#include "omnibus/kernel.h"
#include "omnibus/model.h"
#include "omnibus/rates.h"

/* --- samples.c -------------------------------------------------------------------------------- */

enum { SAMPLES = 512, TEAM_MOST = 128 };

/* Nanoseconds of runs. Each worker writes its own; merged after the join. */
typedef struct samples {
    size_t count;
    double ns[SAMPLES];
} samples;

typedef struct spread {
    double median, low, high; /* low, high: the middle half; NaN without samples */
    size_t count;
} spread;
spread samples_spread(const samples *own, size_t workers);
/* One more run may begin: not stopped, room, and within the budget (but at least `least`). */
bool samples_go(const samples *s, const omni_stop *stop, uint64_t begin, uint64_t budget_ns, size_t least);
void samples_add(samples *s, double ns);

/* --- collective.c ----------------------------------------------------------------------------- */

enum { COLLECTIVE_BARRIER = OMNI_RATES_MESSAGES };
typedef struct collective {
    const omni_calibrate_options *o;
    unsigned kind; /* omni_rates_message, or COLLECTIVE_BARRIER */
    size_t pes, workers, bytes;
} collective;
/* Time of one, from everybody's start until everybody is done. NaN: no memory, no thread, stopped. */
spread collective_measure(const collective *c);

/* --- kernel.c --------------------------------------------------------------------------------- */

typedef struct product {
    const omni_calibrate_options *o;
    omni_dtype dtype;
    size_t workers, rows, in, out;
    size_t set_bytes; /* of the matrices that each worker goes round */
} product;
spread product_measure(const product *p);

typedef struct attending {
    const omni_calibrate_options *o;
    size_t queries, keys, heads, kv_heads, dims; /* the queries are the last of the keys */
} attending;
spread attending_measure(const attending *a);
void attending_terms(const attending *a, double *heads, double *macs, double *bytes);

typedef struct row_op {
    const omni_calibrate_options *o;
    omni_rates_op op;
    size_t rows, cols; /* cols: of the result; of arg-max the input */
} row_op;
spread row_op_measure(const row_op *r);
double row_op_bytes(const row_op *r); /* read and written, as array/work.c counts */

/* --- pass.c ----------------------------------------------------------------------------------- */

typedef struct passing {
    const omni_calibrate_options *o;
    const char *plan;
    omni_dtype dtype;
    size_t pes, layers, hidden, ffn, heads, kv_heads;
    size_t prompt; /* tokens of a prefill */
    bool decode;   /* one token behind the prompt instead */
} passing;
/* price: on this array, NULL: not wanted. */
omni_status passing_measure(const passing *p, const omni_rates *rates, spread *wall, double *predicted_ns,
                            omni_error *err);

#endif
