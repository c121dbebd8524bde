/* verify.h: is the output right? Truth in float64, from golden files or from our own naive reference, and
 * its comparison with an engine's run. The reference shares no kernel with the engine: it reads the
 * checkpoint and the shape, and computes whole sequences on one thread.
 */
#ifndef OMNIBUS_VERIFY_H
#define OMNIBUS_VERIFY_H

#include "omnibus/base.h"
#include "omnibus/model.h"
#include "omnibus/pe.h"
#include "omnibus/weights.h"

/* What is true of one prompt. Pointers that the source lacks are NULL. */
typedef struct omni_prompt_truth {
    size_t tokens, steps;             /* T, S */
    const int32_t *ids;               /* [T] */
    const int32_t *next;              /* [S] greedy tokens after the prompt */
    const double *layer_hidden;       /* [layers+1, T, hidden] */
    const double *last_hidden;        /* [T, hidden], after the final norm */
    const double *logits_last;        /* [vocab] after the prompt */
    const double *decode_logits;      /* [S, vocab]; row s decides next[s] */
    const double *decode_last_logits; /* [vocab] = row S-1 where only that is known */
    const double *margin;             /* [S] first minus second logit */
    /* encoders */
    const int32_t *types;     /* [T] */
    const double *pooled;     /* [hidden] the pooler's output */
    size_t marks;             /* tokens that the MLM head is to predict */
    const size_t *mark;       /* [marks] their positions, ascending */
    const double *mlm_logits; /* [marks, vocab] */
} omni_prompt_truth;

typedef struct omni_truth omni_truth;
void omni_truth_free(omni_truth *t);
size_t omni_truth_prompts(const omni_truth *t);
const omni_prompt_truth *omni_truth_prompt(const omni_truth *t, size_t i);
const char *omni_truth_source(const omni_truth *t); /* file, or "reference (seed 1)" */

/* golden.safetensors, or the golden.json beside it, in the batch form (input_ids [B, T] ...) or the
 * per-prompt form (p0.input_ids ...). Shapes are checked against the model, ids against the vocabulary,
 * lengths against its positions. */
omni_status omni_truth_load(const char *path, const omni_model *model, omni_truth **out, omni_error *err);

/* The float64 reference: forward over each prompt, then `steps` greedy tokens; none for an encoder, whose
 * tokens are all of type 0 and, where it has an MLM head, all marked. */
omni_status omni_truth_compute(const omni_model *model, const omni_weights *w, const int32_t *const *prompts,
                               const size_t *lengths, size_t count, size_t steps, const omni_stop *stop,
                               omni_truth **out, omni_error *err);

/* `count` prompts of unequal lengths drawn from a seed, with token types and marks where the model takes
 * them, then the same; with fewer steps if the model has not as many positions. The meter counts rows of
 * layers. */
omni_status omni_truth_random(const omni_model *model, const omni_weights *w, uint64_t seed, size_t count,
                              size_t steps, const omni_stop *stop, omni_meter *meter, omni_truth **out,
                              omni_error *err);

/* --- the weights themselves ------------------------------------------------------------------- */

/* Looks at every element that the forward pass uses. OMNI_OK when it could look; then `bad` is empty or says
 * "weights are not finite: tensor 'x', element 5 is nan". A model runs with such weights, but is never right.
 * The meter counts bytes as stored. */
enum { OMNI_NOT_FINITE = 160 };
omni_status omni_check_finite(const omni_model *model, const omni_weights *w, const omni_stop *stop,
                              omni_meter *meter, char bad[OMNI_NOT_FINITE], omni_error *err);

/* --- one case: a plan on n PEs, held against the truth ---------------------------------------- */

typedef struct omni_check_result {
    bool passed;
    double tolerance;                       /* of rel_max and of row_rel; the largest that was used */
    double narrow_tolerance;                /* what of it is for narrowed floats; 0: there are none */
    double max_abs, rel_max, row_rel, nmse; /* the worst over all compared tensors */
    size_t argmax_compared, argmax_matched;
    double decode_logit_rel; /* worst rel_max of logits alone */
    char first_bad[160];     /* "prompt 1, layer 3: rel_max 2.1e-3 > 1e-5"; empty when passed */
    omni_counters prefill,
        decode;              /* what really moved; the case fails where the plan's own count differs ... */
    omni_counters transform; /* ... as does what moved while the plan changed */
    char warning[160];       /* omni_engine_warning; empty: none */
} omni_check_result;

/* The rule. Of every tensor rel_max and row_rel (below) are at most 1e-5, or 2e-5 beyond 512 positions; and
 * the arg-max agrees wherever the truth's margin between its first two exceeds 1e-4 of the range.
 *
 * Where the plan's floats travel as 16-bit floats, 4 roundoffs of the plan are added to both bounds: the root
 * of the sum, over all that it rounds one after the other, of the squared roundoffs of the format (2^-8 for
 * bf16, 2^-11 for f16). So megatron on 2 PEs, which rounds 4 times a layer, may be off by 8 sqrt(layers)
 * times 2^-8 with wire=bf16. And the arg-max binds only where the margin also exceeds what two logits may be
 * off by then: twice that, of the largest logit.
 *
 * With compute BF16 what every matrix reads is rounded, too, and counts likewise: 4 times a layer of Llama
 * and once before its head, whatever the plan.
 *
 * o: model, weights, plan and later plans, compute, topo, workers, fabric and stop are used; the rest follows
 * from the truth. All prompts run at once, as one ragged batch; the truth's tokens are fed back (teacher
 * forcing). Returns OMNI_OK when the comparison took place, whatever its result. */
omni_status omni_check_case(const omni_engine_options *o, const omni_truth *truth, omni_check_result *out,
                            omni_error *err);

/* Also for tests: worst errors of x against ref [rows, cols]. rel_max = max|x-ref| / max|ref|; row_rel =
 * max over rows of ||x-ref||/||ref||; nmse = sum (x-ref)^2 / sum ref^2. NaN anywhere gives infinity. */
typedef struct omni_difference {
    double max_abs, rel_max, row_rel, nmse;
} omni_difference;
omni_difference omni_compare(const float *x, const double *ref, size_t rows, size_t cols);

#endif
