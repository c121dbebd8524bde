/* array_tools.h: for the tests of the modelled array: models, plans, passes, and a walker that knows no runs
 * and no classes: a clock for every PE, a step at a time, in the executor's order.
 */
#ifndef TESTS_ARRAY_TOOLS_H
#define TESTS_ARRAY_TOOLS_H

#include <criterion/criterion.h>

#include "array/array.h"

/* What the walker found, to be compared with omni_price_pass. */
typedef struct naive {
    uint64_t ps, grants, conflicts, wait_ps;
    unsigned __int128 computing; /* picoseconds of all ranks */
    uint64_t macs;
} naive;
naive naive_price(const omni_array *array, const omni_plan *plan, omni_extent pass);
/* omni_price_pass finds the same, moves what the plan counts, and knows a critical path. Under a sanitizer
 * only every fifth call looks. */
void array_expect_exact(const omni_array *array, const omni_plan *plan, omni_extent pass);

/* A batch of `sequences`, `ragged`: of different lengths; behind `first` positions. Lives until the next
 * call. */
omni_extent array_pass(size_t sequences, size_t tokens, size_t first, bool ragged);

static inline omni_array *array_load(const char *name) {
    omni_array *a;
    omni_error err = {0};
    cr_assert_eq(omni_array_load(name, &a, &err), OMNI_OK, "%s", err.text);
    return a;
}

static inline void array_set(omni_array *a, const char *key, const char *value) {
    omni_error err = {0};
    cr_assert_eq(omni_array_set(a, key, value, &err), OMNI_OK, "%s", err.text);
}

static inline omni_model *array_model(const char *path) {
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(omni_model_load(path, &m, &err), OMNI_OK, "%s", err.text);
    return m;
}

/* NULL: it cannot be built. */
static inline omni_plan *array_plan(const omni_model *m, const char *text, size_t pes) {
    omni_plan_spec spec;
    omni_plan *plan;
    omni_error err = {0};
    cr_assert_eq(omni_plan_parse(text, &spec, &err), OMNI_OK, "%s", err.text);
    omni_status status = omni_plan_compile(m, &spec, pes, &plan, &err);
    cr_assert(status == OMNI_OK || status == OMNI_BAD_INPUT, "%s", err.text);
    return plan;
}

static inline omni_price array_price(const omni_array *a, const omni_plan *plan, omni_extent pass) {
    omni_price price;
    omni_error err = {0};
    cr_assert_eq(omni_price_pass(a, plan, pass, &price, &err), OMNI_OK, "%s", err.text);
    return price;
}

#endif
