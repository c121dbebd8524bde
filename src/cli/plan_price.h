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
    size_t pes;
    omni_task task;
    bool built; /* some plan could be */
    char plan[sizeof((omni_plan_spec *)0)->name];
    uint64_t ps;
    double tokens_per_s;
} outcome;

typedef struct pricing {
    cli *c;
    omni_array **array;
    size_t arrays;
    numbers pes, batch, prompt, gen; /* pes: none: what each array says */
    omni_plan_spec *spec;            /* NULL: search */
    size_t specs;
    json_t *tasks, *rows; /* JSON; CSV */
    omni_text *page;
    outcome *all;       /* [arrays x pes x batch x prompt x gen], the last of these fastest */
    outcome best, most; /* the fastest, and the one with the most tokens a second */
    size_t built;
    char reason[400]; /* why the first that cannot be built cannot */
} pricing;

/* plan_sweep.c: between which neighbours of the lists the best plan changes, and where more PEs are not
 * faster: onto the page, and as a JSON array. */
json_t *sweep_crossovers(pricing *k);

/* plan_joined.c: the fastest prefill and the fastest decode step as two plans, with what the change costs: onto the
 * page, and as JSON (null: they are one plan's, cannot win, or are of more than 256 PEs). */
omni_status joined_price(pricing *k, const outcome *o, const omni_candidate *prefill,
                         const omni_candidate *decode, uint64_t best_ps, json_t **out, omni_error *err);

#endif
