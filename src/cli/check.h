/* check.h: what the files of `omnibus check` share: the cases and their results. */
#ifndef OMNIBUS_CLI_CHECK_H
#define OMNIBUS_CLI_CHECK_H

#include "cli/cli.h"
#include "omnibus/verify.h"

typedef struct check_case {
    const omni_plan_spec *plan;
    const cli_schedule *decode; /* NULL: as the plan */
    size_t pes;
    char skipped[400]; /* why; empty: it ran */
    omni_check_result result;
} check_case;

typedef struct check {
    cli *c;
    omni_plan_spec *plan; /* [plans] */
    cli_schedule *decode; /* [decodes]; decodes = 0: as the plan */
    size_t plans, decodes;
    size_t *pes; /* [pes_count] */
    size_t pes_count;
    omni_truth *truth;
    check_case *cases; /* [count] plan by plan, decode plan by decode plan, PE count by PE count */
    size_t count;
    char not_finite[OMNI_NOT_FINITE]; /* what is wrong with the weights; empty: nothing */
    bool warned;                      /* that binding was refused */
} check;

void check_tally(const check *k, size_t *passed, size_t *failed, size_t *skipped);
omni_status check_report(const check *k, omni_error *err);

#endif
