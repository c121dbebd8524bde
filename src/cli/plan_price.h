/* plan_price.h: what the files of `plan --array` share: the tasks, their outcomes, and the report that grows.
 * */
#ifndef OMNIBUS_CLI_PLAN_PRICE_H
#define OMNIBUS_CLI_PLAN_PRICE_H

#include "plan.h"
#include "price.h"

typedef struct numbers {
    size_t *value, count;
} numbers;

/* A task on an array, and its best plan. */
typedef struct outcome {
    const omni_array *array;
    size_t pes, ranks; /* ranks: of the PEs, those that live */
    omni_task task;
    bool built; /* some plan could be */
    char plan[sizeof((omni_plan_spec *)0)->name];
    uint64_t ps;
    double tokens_per_s;
    struct {
        double regret, error; /* percent: the planner's choice over the true best; its price over its time */
        bool above;           /* the noise */
    } verified;               /* with --verify */
} outcome;

typedef struct pricing {
    cli *c;
    omni_array **array;
    size_t arrays;
    numbers pes, batch, prompt, gen; /* pes: none: what each array says */
    omni_plan_spec *spec;            /* NULL: search */
    size_t specs;
    uint64_t *healthy;    /* of each candidate of the task at hand, see plan_faults.c; NULL: no faults */
    json_t *tasks, *rows; /* JSON; CSV */
    omni_text *page;
    outcome *all; /* [total = arrays x pes x batch x prompt x gen], the last of these fastest */
    size_t total;
    outcome best, most; /* the fastest, and the one with the most tokens a second */
    size_t built;
    char reason[400]; /* why the first that cannot be built cannot */
    struct {
        bool wanted, noted; /* --verify; that binding was refused */
        size_t rounds, top, seed;
    } verify;
} pricing;

/* Array, PEs, batch, prompt, gen: as keys, and as the first lines of a task on the page. */
json_t *price_task_json(const outcome *o);
void price_draw_head(pricing *k, const outcome *o);

/* plan_verify.c, in this order: the arrays, which must be this host, and how much is to run; with the model
 * open, its weights, random ones for a config. */
omni_status verify_arrays(pricing *k, omni_error *err);
omni_status verify_weights(pricing *k, omni_error *err);
/* Runs the candidates of a task, the fastest by price first, and adds what was measured to the report. */
omni_status verify_task(pricing *k, outcome *o, const omni_candidate *found, size_t count, omni_error *err);
/* plan_verify_report.c: all tasks. */
omni_status verify_report(pricing *k, omni_error *err);

/* plan_sweep.c: between which neighbours of the lists the best plan changes, and where more PEs are not
 * faster: onto the page, and as a JSON array. */
json_t *sweep_crossovers(pricing *k);

/* plan_faults.c: on an array with faults, what the plans would take without them. Sets k->healthy (0: cannot
 * be built on all PEs); draws which plan loses least, and which would be the fastest; JSON: null without
 * faults. */
omni_status faults_price(pricing *k, const outcome *o, const omni_candidate *found, size_t count,
                         json_t **out, omni_error *err);
/* One cell each: "1.374 s", "+12.5%". */
void faults_cells(const pricing *k, omni_table *t, const omni_candidate *found, size_t i);
void faults_set_json(const pricing *k, json_t **object, const omni_candidate *found, size_t i);

/* plan_joined.c: the fastest prefill and the fastest decode step as two plans, with what the change costs:
 * onto the page, and as JSON (null: they are one plan's, cannot win, or what the change costs is not
 * known). */
omni_status joined_price(pricing *k, const outcome *o, const omni_candidate *found, size_t count,
                         json_t **out, omni_error *err);

#endif
