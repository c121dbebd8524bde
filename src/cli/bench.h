/* bench.h: what the files of `omnibus bench` share: the lists, one engine, one test, its result.
 *
 *   bench.c         lists -> cells x tests, in this order; the command
 *   bench_tests.c   --prompt, --gen, --pg, --depth -> tests
 *   bench_cell.c    one engine: its tests, repeated
 *   bench_price.c   with --array: the same tests on a modelled array, and what --plan auto comes to
 *   bench_limits.c  the host's limits, and what a test needs of them
 *   bench_report.c  records -> table, md, csv, json, jsonl
 */
#ifndef OMNIBUS_CLI_BENCH_H
#define OMNIBUS_CLI_BENCH_H

#include "cli/runner.h"
#include "omnibus/array.h"
#include "omnibus/host.h"

/* What this host can do at best with so many cores, before the first test; NaN: not known. */
typedef struct bench_limits {
    omni_host_limits *host; /* NULL: not wanted */
    size_t cores;           /* of the host */
    double *read, *peak;    /* [cores + 1] bytes/s, flop/s; 0: not measured, no test uses so many */
} bench_limits;

/* What a test cannot do with less, in the prompt's pass and in the passes of one token; and what the host
 * could do around the test. */
typedef struct bench_work {
    struct {
        double flops, bytes;
    } phase[2];
    double read, peak; /* NaN: not known */
} bench_work;

/* The same test on the modelled array. */
typedef struct bench_modelled {
    uint64_t ps, energy_pj; /* with changes of plans, but on this host: they are not predicted */
    uint64_t transform_ps;
    omni_need need;
    bool fits;
} bench_modelled;

typedef struct bench_result {
    char skipped[400];               /* why; empty: it was measured */
    double *ns, *ts;                 /* [reps] of each repetition: its time, and its tokens a second */
    double transform_ns;             /* mean time of the changes of plans within it */
    omni_counters fabric, transform; /* of one repetition */
    omni_profile profile;            /* of all */
    const cli_perf *perf;            /* of all; NULL: it was skipped */
    bench_work work;
    bench_modelled modelled; /* with --array */
} bench_result;

typedef struct bench_list {
    size_t *value, count;
} bench_list;

typedef struct bench {
    cli *c;
    omni_plan_spec *plan; /* [plans] */
    cli_schedule *decode; /* [decodes]; decodes = 0: as the plan */
    size_t plans, decodes;
    bench_list pes, workers, batch;
    bench_test *test; /* [tests] */
    size_t tests, reps, seed;
    bench_limits limits;
    omni_array **array; /* [arrays] 1 or none */
    size_t arrays;
    bool automatic; /* a plan is `auto`, and may come to one and another to decode */
    /* the result so far */
    json_t *records;
    omni_table *table;
    omni_table *perf_table;     /* NULL: no --perf */
    omni_text *perf_reasons;    /* below it, once */
    omni_perf_control *control; /* NULL: no --perf-ctl */
    omni_text *lines;           /* JSON lines that are not written yet */
    cli_progress bar;
    size_t total, measured, skipped;
    char reason[400]; /* of the first that was skipped */
    bool warned;      /* that binding was refused */
} bench;

/* bench_tests.c: after the model is open: the tests, an encoder's refusals. */
omni_status bench_read_tests(bench *b, omni_error *err);

/* bench_cell.c: all tests of a cell. What cannot be built is a result that says why. */
omni_status bench_run_cell(bench *b, bench_cell cell, omni_error *err);

/* bench_price.c: --array, --set; a test under a plan and what follows it (`later`, from positions `from` on;
 * NULL: from the prompt's end); and a cell of one test for --plan auto, whose choice the two others are. */
omni_status bench_open_arrays(bench *b, omni_error *err);
bool bench_is_automatic(const omni_plan_spec *plan);
omni_status bench_choose(const bench *b, const bench_test *t, bench_cell *cell, omni_plan_spec *plan,
                         cli_schedule **decode, omni_error *err);
omni_status bench_price_test(const bench *b, const bench_cell *cell, const bench_test *t,
                             const omni_plan *plan, const omni_plan *const *later, bench_modelled *out,
                             omni_error *err);
static inline bool bench_has_test(const bench_cell *cell, const bench_test *t) {
    return !cell->only || cell->only == t;
}

/* bench_limits.c: measures for all numbers of workers that the lists can lead to. */
omni_status bench_measure_limits(bench *b, omni_error *err);
void bench_free_limits(bench_limits *l);
/* The work of a test: the prompt's pass reads `prompt_bytes` of weights, each pass of one token
 * `gen_bytes`. */
bench_work bench_work_of(const bench *b, const bench_cell *cell, const bench_test *t, double prompt_bytes,
                         double gen_bytes);
/* Measures again what holds the work; the best that was seen counts. Before and after a test's
 * repetitions. */
void bench_work_measure(const bench *b, const bench_cell *cell, bench_work *w);
/* The least time at the limits, NaN: not known; bound: "read" or "flops", what the longer phase waits for, or
 * NULL. */
double bench_work_least_ns(const bench_work *w, const char **bound);

/* bench_report.c: before the first test; a test's result, a JSON line of which is written at once to stdout;
 * all of them; those there are after Ctrl-C. */
void bench_report_begin(bench *b);
omni_status bench_report_test(bench *b, const bench_cell *cell, const bench_test *t, const bench_result *r,
                              omni_error *err);
omni_status bench_report(bench *b, omni_error *err);
void bench_report_interrupted(bench *b);

#endif
