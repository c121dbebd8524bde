/* common.h: what the benchmarks share: the head that names the machine, pinned threads, repetitions, and the
 * limits of this machine, measured in the same run.
 *
 *     bench_open       machine, commit, what is timed and what is not
 *     bench_measure    round after round: one repetition of each series in turn, so that what is compared and
 *                      its limit see the same neighbours, clock and temperature
 *     bench_ratio      a figure over its limit, round by round; then the median
 *     bench_close      the result as JSON, if asked for
 *
 * A figure alone says little on a machine one doesn't know; its ratio to a limit does. A time is shown as a
 * multiple of the least time (1.0 is the best there can be), a rate as a percentage of the highest rate.
 *
 * A benchmark is a program of one caller: what fails here prints one line and ends the process.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <jansson.h>

#include "omnibus/base.h"
#include "omnibus/host.h"
#include "omnibus/report.h"
#include "omnibus/sync.h"
#include "omnibus/topo.h"

/* --- a run ------------------------------------------------------------------------------------ */

typedef struct bench bench;

/* Takes the command line ([--json FILE], --help), chooses the kernels, prints the head. */
bench *bench_open(int argc, char **argv, const char *name, const char *timed, const char *not_timed);
int bench_close(bench *b); /* writes the JSON; the exit status */
void bench_die(const omni_error *err) __attribute__((noreturn));
void bench_need(const void *p); /* out of memory unless p */

const omni_topo *bench_topo(const bench *b);
omni_stop *bench_stop(bench *b);
size_t bench_cores(const bench *b); /* physical cores that we may use at the same time */
/* Takes value over, under a key of the result. */
void bench_result(bench *b, const char *key, json_t *value);
/* Draws and frees the table. */
void bench_show(const char *title, omni_table *table);

/* Pages that nobody has touched yet, huge ones if the kernel gives them: the first thread to write decides
 * the NUMA node. */
void *bench_pages(size_t bytes);
void bench_pages_free(void *p, size_t bytes);

/* --- pinned threads --------------------------------------------------------------------------- */

typedef omni_host_work bench_work;
/* omni_host_team_ns. */
double bench_team_ns(bench *b, size_t workers, bench_work *work, void *arg);

/* --- repetitions ------------------------------------------------------------------------------ */

enum { BENCH_REPS = 15 }; /* at most */
typedef double bench_once(void *arg);
typedef struct bench_series {
    bench_once *once; /* one repetition: a time or a rate */
    void *arg;
    double sample[BENCH_REPS];
} bench_series;
/* One round that is not kept, then `reps` rounds over all series. */
void bench_measure(bench_series *series, size_t count, size_t reps);
/* How often a repetition should do what takes `ns` once, so that it lasts some milliseconds. */
size_t bench_iterations(double ns);

typedef struct bench_spread {
    double median, min, max;
} bench_spread;
bench_spread bench_spread_of(const double *sample, size_t reps);
bench_spread bench_ratio(const bench_series *figure, const bench_series *limit, size_t reps);
json_t *bench_spread_json(bench_spread s);
/* A cell "median (min - max)" of values scaled by `scale`; "-" when there is none. */
void bench_cell(omni_table *table, bench_spread s, double scale);

/* --- limits ----------------------------------------------------------------------------------- */

/* Argument of the limits: on so many cores. */
typedef struct bench_limit {
    bench *b;
    size_t cores;
} bench_limit;

/* Those of host.h, one measurement each. */
bench_once bench_read_rate, bench_copy_rate, bench_handoff_ns, bench_peak_flops;
const char *bench_read_kernel(const bench *b); /* which was the fastest */

#endif
