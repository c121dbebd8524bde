/* search.h (private): a search under way: what search.c tries, and candidates.c keeps. */
#ifndef ARRAY_SEARCH_H
#define ARRAY_SEARCH_H

#include "array/array.h"

enum { SEARCH_SLOWER = 2 }; /* times the best time: beyond it a plan must be good for something else */

typedef struct search {
    const omni_array *array;
    const omni_model *model;
    size_t pes;
    omni_task task;
    omni_status (*stop)(omni_error *);
    omni_candidate *found;
    size_t count, capacity;
    uint64_t memory;     /* of a PE */
    uint64_t best_ps[2]; /* of those so far that do not fit, and that do; UINT64_MAX: none */
    uint64_t last_ps;    /* of the last that was priced */
    bool given;          /* plans, not a search: all are priced to the end */
    omni_error skipped;  /* the first that cannot be built */
} search;

bool search_same_spec(const omni_plan_spec *a, const omni_plan_spec *b); /* but for its name */

/* Prices a plan. Another name for what is known is not tried again; what cannot be built is no error here. */
omni_status search_try(search *s, const omni_plan_spec *spec, omni_error *err);

/* The best time so far. What does not fit is measured by everything, what fits by what fits. */
uint64_t search_best_ps(const search *s, bool fits);

void search_sort(search *s); /* the fastest first, those that fit before those that don't */
/* For the end: sorted, the front marked; of a search, without twins and what is too slow to be of use. */
void search_rank(search *s);

#endif
