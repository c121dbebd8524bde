/* check_encoder.c: the one pass of an encoder.
 *
 *   all prompts as one ragged batch  -> every layer's state, the pooler's output, and for every marked token
 *                                       the MLM head's logits and arg-max
 */
#include <stdio.h>
#include <string.h>

#include "check.h"

typedef struct encoding {
    int32_t *types;     /* [tokens] */
    size_t *mark;       /* [marks] rows of the batch */
    float *pooled;      /* [prompts, hidden] */
    int32_t *predicted; /* [marks] */
} encoding;

static omni_status create_encoding(const check *c, encoding *e) {
    size_t pooled;
    e->types = omni_alloc_array(c->tokens, sizeof *e->types);
    e->mark = omni_alloc_array(c->marks, sizeof *e->mark);
    e->predicted = omni_alloc_array(c->marks, sizeof *e->predicted);
    if (omni_size_mul(c->prompts, c->shape->hidden, &pooled))
        e->pooled = omni_alloc_array(pooled, sizeof *e->pooled);
    if (e->types && e->mark && e->predicted && e->pooled) return OMNI_OK;
    return omni_error_set(c->err, OMNI_RUN_FAILED, "check: no memory for %zu tokens", c->tokens);
}

static void free_encoding(encoding *e) {
    omni_free(e->types);
    omni_free(e->mark);
    omni_free(e->pooled);
    omni_free(e->predicted);
}

/* Types and marks beside the ids; a mark counts from its prompt's first token. */
static void lay_encoding(const check *c, encoding *e) {
    size_t row = 0, marks = 0;
    for (size_t i = 0; i < c->prompts; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
        if (p->types) memcpy(e->types + row, p->types, p->tokens * sizeof *p->types);
        for (size_t j = 0; j < p->marks; j++) e->mark[marks++] = row + p->mark[j];
        row += p->tokens;
    }
}

/* Without a pooler it is the first token's last state that leaves. */
static void judge_pooled(check *c, const encoding *e) {
    size_t D = c->shape->hidden;
    bool pooler = c->model->heads & OMNI_HEAD_POOLER;
    for (size_t i = 0; i < c->prompts; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
        const double *ref = pooler ? p->pooled : p->last_hidden;
        if (ref) check_tensor(c, i, pooler ? "pooler" : "first row", p->tokens, e->pooled + i * D, ref, 1, D);
    }
}

static void judge_marks(check *c, const encoding *e) {
    size_t V = c->shape->vocab, row = 0;
    const float *logits = c->marks ? omni_engine_logits(c->engine) : NULL;
    char what[48];
    for (size_t i = 0; i < c->prompts; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
        for (size_t j = 0; j < p->marks; j++, row++) {
            snprintf(what, sizeof what, "mark %zu logits", j);
            rule_top top = check_logits(c, i, what, p->tokens, logits + row * V, p->mlm_logits + j * V);
            snprintf(what, sizeof what, "mark %zu", j);
            check_argmax(c, i, what, e->predicted[row], &top);
        }
    }
}

static omni_status encode(check *c, encoding *e) {
    check_lay_prompts(c);
    lay_encoding(c, e);
    omni_encode io = {.ids = c->ids,
                      .types = e->types,
                      .counts = c->counts,
                      .mark = e->mark,
                      .marks = c->marks,
                      .pooled = e->pooled,
                      .predicted = e->predicted};
    omni_status status = omni_engine_encode(c->engine, &io, c->err);
    if (status) return status;
    c->mark = e->mark;
    check_pass_done(c, "", &c->planned_prefill);
    c->mark = NULL;
    check_states(c);
    judge_pooled(c, e);
    judge_marks(c, e);
    return OMNI_OK;
}

omni_status check_encode(check *c) {
    encoding e = {0};
    omni_status status = create_encoding(c, &e);
    if (!status) status = encode(c, &e);
    free_encoding(&e);
    return status;
}
