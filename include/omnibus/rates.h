/* rates.h: what this host takes for messages and kernels, as a file: the second kind of array file. The first
 * kind (array.h) describes a machine that is thought up; this one is fitted to measurements (calibrate.h).
 *
 *   calibrate --fills--> omni_rates --write--> host.ini --load--> omni_rates --> array prices plans with it
 *
 * A curve is a short table of sizes, linear between them. All times are nanoseconds of wall time. Pure
 * functions of their arguments: any thread.
 */
#ifndef OMNIBUS_RATES_H
#define OMNIBUS_RATES_H

#include "omnibus/base.h"

/* --- fitting ---------------------------------------------------------------------------------- */

enum { OMNI_FIT_TERMS = 4 };
/* Least squares of the relative errors: coefficients c >= 0 with sum_t c[t] x[i][t] near y[i] > 0. A term
 * that would be negative is left out. False: no unique solution. */
bool omni_fit(const double (*x)[OMNI_FIT_TERMS], const double *y, size_t n, size_t terms, double *c);

/* y at x, linear between `points` ascending places; before the first its y, behind the last on with the last
 * slope. */
double omni_curve_at(const double *at, const double *y, size_t points, double x);

/* --- rates ------------------------------------------------------------------------------------ */

typedef enum omni_rates_message {
    OMNI_RATES_BROADCAST,
    OMNI_RATES_REDUCTION,
    OMNI_RATES_GATHER, /* bytes: of all slices */
    OMNI_RATES_ADDRESSED,
    OMNI_RATES_MESSAGES
} omni_rates_message;

typedef enum omni_rates_op { /* by bytes read and written */
                             OMNI_RATES_RMS_NORM,
                             OMNI_RATES_LAYER_NORM,
                             OMNI_RATES_SWIGLU,
                             OMNI_RATES_GELU, /* both forms, tanh */
                             OMNI_RATES_ADD,
                             OMNI_RATES_APPEND, /* keys and values into their places, keys rotated */
                             OMNI_RATES_ARGMAX,
                             OMNI_RATES_COPY,
                             OMNI_RATES_OPS
} omni_rates_op;

enum {
    OMNI_RATES_TEAMS = 8,  /* numbers of workers at once: 1, 2, 4, ... */
    OMNI_RATES_SIZES = 12, /* of messages */
    OMNI_RATES_ROWS = 9    /* of products */
};

/* Cached: weights that stay in a core's cache. Streamed: far more than the caches hold. */
typedef enum omni_rates_set { OMNI_RATES_CACHED, OMNI_RATES_STREAMED, OMNI_RATES_SETS } omni_rates_set;
typedef enum omni_rates_pass { OMNI_RATES_PREFILL, OMNI_RATES_DECODE, OMNI_RATES_PASSES } omni_rates_pass;

typedef struct omni_rates {
    double cores;
    size_t teams;
    double workers[OMNI_RATES_TEAMS]; /* ascending, the first is 1 */
    double bytes[OMNI_RATES_SIZES];
    double message_ns[OMNI_RATES_MESSAGES][OMNI_RATES_TEAMS]
                     [OMNI_RATES_SIZES]; /* a PE a worker; workers >= 2 */
    double further_ns[OMNI_RATES_MESSAGES]
                     [OMNI_RATES_SIZES]; /* each further PE of the worker that has most */
    double barrier_ns[OMNI_RATES_TEAMS];
    double pass_ns[OMNI_RATES_TEAMS]; /* fixed, of a pass: waking, the host port's two messages */
    double step_ns;                   /* fixed, of a compute step */
    double rows[OMNI_RATES_ROWS];
    double set_bytes[OMNI_RATES_SETS];
    double matmul_ns; /* fixed, of a product */
    double weight_ps[2][OMNI_RATES_SETS][OMNI_RATES_TEAMS]
                    [OMNI_RATES_ROWS]; /* F32, BF16; a weight, all rows */
    double output_ps[2][OMNI_RATES_SETS][OMNI_RATES_TEAMS]
                    [OMNI_RATES_ROWS]; /* an output, beside its weights */
    struct {
        double head_ns;         /* a query of a head */
        double pair_ps;         /* a query and a key that it sees, of a head */
        double mac_ps, byte_ps; /* of keys, values, queries and results */
    } attention[OMNI_RATES_PASSES];
    struct {
        double call_ns, byte_ps;
    } op[OMNI_RATES_OPS];
} omni_rates;

/* A message over so many workers, of which one carries `most` PEs and none more. */
double omni_rates_message_ns(const omni_rates *r, omni_rates_message kind, size_t workers, size_t most,
                             double bytes);
double omni_rates_barrier_ns(const omni_rates *r, size_t workers); /* 0 for one */
double omni_rates_pass_ns(const omni_rates *r, size_t workers);
/* A product of `rows` rows, `workers` workers at the same time; each has `set` bytes of weights in all.
 * dtype: BF16, else as F32. */
double omni_rates_matmul_ns(const omni_rates *r, omni_dtype dtype, size_t workers, double set, double rows,
                            double in, double out);
/* terms: queries of heads, pairs, multiply-accumulates, bytes */
double omni_rates_attention_ns(const omni_rates *r, omni_rates_pass pass, const double terms[OMNI_FIT_TERMS]);
double omni_rates_op_ns(const omni_rates *r, omni_rates_op op, double bytes);

/* --- files ------------------------------------------------------------------------------------ */

/* Does the file say [array] kind = host? False also when it cannot be read. */
bool omni_rates_is(const char *path);
/* OMNI_BAD_INPUT with file and line for what is unknown, given twice or impossible; with the file for what is
 * missing. */
omni_status omni_rates_load(const char *path, omni_rates **out, omni_error *err); /* omni_free */

/* The text of such a file, but for comments before it; free with free(). NULL: no memory. */
char *omni_rates_text(const omni_rates *r);
/* Every key in the file's order: `count` values. */
typedef void omni_rates_visit(void *user, const char *section, const char *key, double *value, size_t count);
void omni_rates_walk(omni_rates *r, omni_rates_visit *visit, void *user);

#endif
