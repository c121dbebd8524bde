/* truth.h: inside the room. The truth object, which golden.c fills from a file and reference_truth.c by
 * computing; and the pass rule, which compare.c owns and check.c applies.
 */
#ifndef OMNIBUS_VERIFY_TRUTH_H
#define OMNIBUS_VERIFY_TRUTH_H

#include "omnibus/verify.h"

struct omni_truth {
    char source[512];
    size_t count;
    omni_prompt_truth *prompt;  /* [count] */
    struct truth_block *blocks; /* every array that a prompt points to: freed with the truth */
};

/* `count` prompts, all fields zero. NULL: no memory, err set. */
omni_truth *truth_create(const char *source, size_t count, omni_error *err);

/* A zeroed array that lives as long as the truth. NULL: no memory, err set. */
void *truth_array(omni_truth *t, size_t count, size_t bytes, omni_error *err);

/* Prompt i: 1 <= tokens, tokens + steps - 1 <= positions, ids within the vocabulary. */
omni_status truth_check_prompt(const omni_model *model, const char *source, size_t i, const int32_t *ids,
                               size_t tokens, size_t steps, omni_error *err);
/* Ids alone; `what` names them in the error. Token types. */
omni_status truth_check_ids(const omni_model *model, const char *source, size_t i, const char *what,
                            const int32_t *ids, size_t count, omni_error *err);
omni_status truth_check_types(const omni_model *model, const char *source, size_t i, const int32_t *types,
                              size_t count, omni_error *err);

/* What a prompt is computed from. */
typedef struct truth_input {
    const int32_t *ids, *types; /* [tokens]; types NULL: all 0 */
    size_t tokens, marks;
    const size_t *mark; /* [marks] tokens for the MLM head, ascending */
} truth_input;

/* The reference's outputs for them; all is copied. An encoder takes no steps. */
omni_status truth_compute(const char *source, const omni_model *model, const omni_weights *w,
                          const truth_input *in, size_t count, size_t steps, const omni_stop *stop,
                          omni_meter *meter, omni_truth **out, omni_error *err);

/* Most positions that a prompt reaches: the last of the greedy tokens is never fed back. */
static inline size_t truth_positions(size_t tokens, size_t steps) {
    return tokens + (steps ? steps - 1 : 0);
}

/* --- the pass rule ---------------------------------------------------------------------------- */

double rule_tolerance(size_t positions); /* 1e-5, beyond 512 positions 2e-5 */
/* What is added to it where floats are rounded to 16 bits: 4 of the plan's roundoffs. */
double rule_narrow_tolerance(double roundoff);
bool rule_within(const omni_difference *d, double tolerance);

/* What a distribution says of its own arg-max. */
typedef struct rule_top {
    int32_t id;    /* lowest index of the largest */
    double margin; /* first minus second */
    double range;  /* largest minus smallest; NaN if any value is not a finite number */
    double size;   /* largest magnitude */
} rule_top;
rule_top rule_top_of(const double *logits, size_t n);
double rule_range_f32(const float *logits, size_t n);
double rule_size_f32(const float *logits, size_t n);

/* True where the arg-max must agree: the margin exceeds 1e-4 of the range. A NaN excuses nothing. */
bool rule_argmax_binds(double margin, double range);
/* And where two logits, each of them as wrong as that allows, still keep their order. */
bool rule_narrow_decides(const rule_top *top, double narrow_tolerance);

#endif
