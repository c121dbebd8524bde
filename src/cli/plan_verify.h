/* plan_verify.h: what the two files of `plan --verify` share: what was measured of a task's candidates. */
#ifndef OMNIBUS_CLI_PLAN_VERIFY_H
#define OMNIBUS_CLI_PLAN_VERIFY_H

#include "plan_price.h"

/* Visits, one a round. */
typedef struct timing {
    double *ns; /* [rounds] */
    double median, low, high;
} timing;

/* A candidate, and what was measured of it. */
typedef struct trial {
    const omni_candidate *candidate;
    timing first, again; /* again: of the choice and the fastest, if these are two */
    char skipped[400];   /* why; empty: it was run */
} trial;

/* What the rounds of a task say. */
typedef struct verdict {
    trial *choice, *best;
    size_t run, slower; /* candidates; rounds of `again` in which the choice was slower */
} verdict;

/* plan_verify_report.c: of the price, in percent of the time; a task, its list in the order of times, of
 * `priced` candidates. */
double verify_error(const trial *t);
void verify_add(pricing *k, const outcome *o, const trial *list, size_t count, const verdict *v,
                size_t priced);

#endif
