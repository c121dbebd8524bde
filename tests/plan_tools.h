/* plan_tools.h: for the tests of plans: a model, and a plan compiled for it. */
#ifndef TESTS_PLAN_TOOLS_H
#define TESTS_PLAN_TOOLS_H

#include <criterion/criterion.h>

#include "omnibus/plan.h"

static inline omni_model *load(const char *path) {
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(omni_model_load(path, &m, &err), OMNI_OK, "%s", err.text);
    return m;
}

/* NULL: this model cannot be distributed so over so many PEs. */
static inline omni_plan *compile_if(const omni_model *m, const char *text, size_t pes) {
    omni_plan_spec spec;
    omni_plan *plan = NULL;
    omni_error err = {0};
    cr_assert_eq(omni_plan_parse(text, &spec, &err), OMNI_OK, "%s", err.text);
    omni_status status = omni_plan_compile(m, &spec, pes, &plan, &err);
    cr_assert(status == OMNI_OK || status == OMNI_BAD_INPUT, "%s on %zu: %s", text, pes, err.text);
    return plan;
}

static inline omni_plan *compile(const omni_model *m, const char *text, size_t pes) {
    omni_plan *plan = compile_if(m, text, pes);
    cr_assert_not_null(plan, "%s on %zu", text, pes);
    return plan;
}

#endif
