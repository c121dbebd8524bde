/* runner.h: one engine that is timed: what bench and plan --verify share.
 *
 *   open -> { prepare -> [the clock] repeat } as often as wanted -> close
 *
 * On the main thread. Token ids are made up: a function of (seed, sequence, position).
 */
#ifndef OMNIBUS_CLI_RUNNER_H
#define OMNIBUS_CLI_RUNNER_H

#include "cli/cli.h"
#include "cli/perf.h"

enum { RUNNER_FILL = 512 }; /* tokens of a sequence in a pass that fills the caches */

/* One repetition: from `depth` positions on, `prompt` tokens of each sequence in one pass, then `gen` passes
 * of one. */
typedef struct bench_test {
    size_t depth, prompt, gen;
    char name[80]; /* "pp512", "tg128", "pp512+tg128", "encode256"; " @ d1024" behind it */
} bench_test;

/* One engine. */
typedef struct bench_cell {
    const omni_plan_spec *plan;
    const cli_schedule *decode; /* NULL: as the plan */
    size_t pes, workers, batch; /* workers: 0 is the engine's choice; once it is there, how many it has */
    bool resident;              /* PEs keep the weights of both plans */
    const bench_test *only;     /* NULL: all tests */
} bench_cell;

static inline size_t bench_positions(const bench_test *t) {
    return t->depth + t->prompt + t->gen;
}

/* c, cell, seed, profile and perf.wanted are the caller's. */
typedef struct runner {
    cli *c; /* model, weights and places are open */
    bench_cell cell;
    size_t seed;
    bool profile; /* for omni_engine_profile */
    cli_perf perf;
    omni_plan *plan;
    const omni_plan **later; /* of the decode plan */
    omni_engine *engine;
    size_t now;      /* the plan in use: 0, or 1, 2, ... of `later` */
    size_t position; /* every sequence's */
    size_t max_tokens;
    size_t *counts; /* [batch] */
    int32_t *ids;   /* [max_tokens] */
    int32_t *next;  /* [batch] */
    float *pooled;  /* [batch, hidden]; NULL: no encoder */
} runner;

/* positions: the most that a sequence reaches in any test; tokens: the most of one in a pass. Sets
 * cell.workers. OMNI_BAD_INPUT: cannot be built, or there is no memory for it. Close in any case. */
omni_status runner_open(runner *r, size_t positions, size_t tokens, omni_error *err);
void runner_close(runner *r);
/* A note if binding was refused, unless there was one. */
void runner_note(const runner *r, bool *noted);

/* Every sequence has `depth` positions, under the plan that a test begins with. Not to be timed. */
omni_status runner_prepare(runner *r, const bench_test *t, omni_error *err);
/* The prompt's pass and `gen` passes of one token; *transform_ns grows by what changes of plans took. */
omni_status runner_repeat(runner *r, const bench_test *t, size_t gen, uint64_t *transform_ns,
                          omni_error *err);

#endif
