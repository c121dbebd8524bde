/* internal.h: what the files of this room share.
 *
 *   series.c       things timed in turn by a team in step
 *   collective.c   collectives on one fabric
 *   product.c      products, each worker with a stream of weights
 *   kernel.c       attention, and what goes row by row, on one worker
 *   pass.c         passes of an engine with a model of random weights
 *   wanted.c       all that is to be measured, and in which series; rounds of it
 *   fit.c          what the rates need, and the rates from it
 *   check.c        other shapes, and what the rates predict of them
 *   calibrate.c    rounds -> rates, rows
 */
#ifndef CALIBRATE_INTERNAL_H
#define CALIBRATE_INTERNAL_H

#include "omnibus/array.h"
#include "omnibus/calibrate.h"
#include "omnibus/kernel.h"
#include "omnibus/model.h"
#include "omnibus/rates.h"

/* --- series.c --------------------------------------------------------------------------------- */

typedef struct series {
    const omni_calibrate_options *o;
    size_t workers, items, laps;
    double run_ns;                       /* how long a run of calls is to take */
    bool (*enter)(void *user, size_t w); /* on worker w before all; false: no memory. NULL: nothing */
    bool (*call)(void *user, size_t w, size_t item, size_t turn); /* by every worker; false: stopped */
    void *user;
} series;
/* ns[items]: medians over the laps of a call's time, from everybody's start until everybody is done.
 * barrier_ns: of a meeting; may be NULL. False: no memory, no thread, stopped. */
bool series_run(const series *s, double *ns, double *barrier_ns);

/* --- collective.c ----------------------------------------------------------------------------- */

typedef struct collective {
    omni_rates_message kind;
    size_t bytes;
} collective;
typedef struct collectives {
    const omni_calibrate_options *o;
    size_t pes, workers, items;
    const collective *item;
} collectives;
bool collectives_measure(const collectives *c, double *ns, double *barrier_ns);

/* --- product.c -------------------------------------------------------------------------------- */

typedef struct product {
    size_t rows, in, out;
    size_t set_bytes; /* of the matrices that each worker goes round */
} product;
typedef struct products {
    const omni_calibrate_options *o;
    omni_dtype dtype;
    size_t workers, items;
    const product *item;
} products;
bool products_measure(const products *p, double *ns);

/* --- kernel.c --------------------------------------------------------------------------------- */

typedef struct attending {
    size_t queries, keys, heads, kv_heads, dims; /* the queries are the last of the keys */
} attending;
typedef struct attendings {
    const omni_calibrate_options *o;
    size_t items;
    const attending *item;
} attendings;
bool attendings_measure(const attendings *list, double *ns);
void attending_terms(const attending *a,
                     double terms[OMNI_FIT_TERMS]); /* as omni_rates_attention_ns has them */

typedef struct row_op {
    omni_rates_op op;
    size_t rows, cols; /* cols: of the result; of arg-max the input */
} row_op;
typedef struct row_ops {
    const omni_calibrate_options *o;
    size_t items;
    const row_op *item;
} row_ops;
bool row_ops_measure(const row_ops *list, double *ns);
double row_op_bytes(const row_op *r); /* read and written, as array/work.c counts */

/* --- pass.c ----------------------------------------------------------------------------------- */

typedef struct passing {
    const omni_calibrate_options *o;
    const char *plan;
    omni_dtype dtype;
    size_t pes, layers, hidden, ffn, heads;
    size_t sequences, prompt; /* tokens of each in a prefill; a decode step is one behind */
} passing;
omni_status passing_measure(const passing *p, uint64_t budget_ns, double ns[OMNI_RATES_PASSES],
                            omni_error *err);
omni_status passing_predict(const passing *p, const omni_rates *rates, double ns[OMNI_RATES_PASSES],
                            omni_error *err);

/* --- wanted.c --------------------------------------------------------------------------------- */

/* On a shared host some seconds are slower than others: all is measured in turn, so many times. */
enum { ROUNDS = 5, WANTED_MOST = 2048 };

typedef enum wanted_kind { COLLECTIVE, BARRIER, PRODUCT, ATTENTION, ROW_OP, PASS } wanted_kind;

typedef struct wanted {
    wanted_kind kind;
    size_t pes, workers;
    omni_dtype dtype;
    union {
        collective collective;
        product product;
        attending attending;
        row_op row_op;
        passing passing; /* two in a row: prefill, decode */
    };
    double ns[ROUNDS];
} wanted;

/* fit.c and check.c are gone through twice and more: first they say what they want, then they get it. */
typedef struct wants {
    const omni_calibrate_options *o;
    wanted *list; /* [WANTED_MOST] */
    size_t count, next;
    enum { SAYING, GETTING } mode;
    size_t round; /* getting: of this round; ROUNDS: medians */
    omni_error *err;
    omni_status status; /* first error */
} wants;
/* Saying: notes it, 1. Getting: nanoseconds. */
double want(wants *w, wanted x);
double want_got(const wants *w, const wanted *x); /* again */
double want_spread(const wanted *x);              /* see omni_calibrate_row.repeat_percent */
void want_range(const wanted *x, double *low, double *high);
/* One round of all that was said. */
bool wants_measure(wants *w, size_t round);

/* --- fit.c, check.c --------------------------------------------------------------------------- */

void fit_rates(wants *w, omni_rates *r);
/* row: room for CHECK_MOST; how many. */
enum { CHECK_MOST = 128 };
size_t check_rates(wants *w, const omni_rates *r, omni_calibrate_row *row);

#endif
