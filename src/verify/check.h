/* check.h: inside the room. One case under way: check.c sets it up and judges, check_decoder.c and
 * check_encoder.c run the passes of their kind of model.
 */
#ifndef OMNIBUS_VERIFY_CHECK_H
#define OMNIBUS_VERIFY_CHECK_H

#include "truth.h"

typedef struct check {
    const omni_model *model;
    const omni_shape *shape;
    const omni_plan *plan; /* in use */
    const omni_truth *truth;
    omni_engine *engine;
    omni_check_result *result;
    omni_error *err;
    size_t prompts, tokens, marks; /* tokens and marks of all prompts */
    size_t steps;                  /* of the longest truth: one prefill and steps - 1 decode forwards */
    size_t *capacity;              /* [prompts] positions */
    size_t *first, *counts;        /* [prompts] positions before, and tokens of, the next pass */
    const size_t *mark;            /* [marks] their rows in the pass; NULL: it has none */
    int32_t *ids;                  /* [tokens], and later [prompts]: input of the next pass */
    int32_t *next;                 /* [prompts] the engine's arg-max */
    float *normed;                 /* [tokens, hidden] */
    const omni_engine_options *o;
    size_t in_use;           /* which of the plans */
    double narrow_tolerance; /* what narrowed floats may add to the error */
    omni_counters planned_prefill, planned_decode, planned_transform;
} check;

/* --- passes: OMNI_OK when they ran, whatever was found ---------------------------------------- */

omni_status check_prefill(check *c);
omni_status check_decode(check *c);
omni_status check_encode(check *c);

/* --- what passes have in common --------------------------------------------------------------- */

/* All prompts as the next pass's input. */
void check_lay_prompts(check *c);

/* The pass is done: adds what the plan says that it moved, and looks at replicas. `pass` names it in the
 * error: "step 3, " or "". */
void check_pass_done(check *c, const char *pass, omni_counters *planned);

/* Layer by layer over all prompts, then the last state. */
void check_states(check *c);

/* x [rows, cols] of a prompt, held against the truth. */
omni_difference check_tensor(check *c, size_t prompt, const char *what, size_t positions, const float *x,
                             const double *ref, size_t rows, size_t cols);

/* A distribution of a prompt, held against the truth unless ref is NULL. What is known of its arg-max;
 * without a truth only the range, which is then the engine's own. */
rule_top check_logits(check *c, size_t prompt, const char *what, size_t positions, const float *x,
                      const double *ref);

/* The engine's arg-max, held against the truth's where that binds. */
void check_argmax(check *c, size_t prompt, const char *what, int32_t got, const rule_top *want);

#endif
