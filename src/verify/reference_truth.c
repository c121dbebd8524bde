/* reference_truth.c: the truth when there is no golden file: the reference's outputs for given prompts.
 *
 *   decoder   rows of all prompts, one call -> layer states, logits -> arg-max -+
 *             one row a prompt, one call <--------- until `steps` tokens ---------+
 *   encoder   rows of all prompts, one call -> layer states, pooled, logits of the marked
 */
#include <string.h>

#include "reference.h"
#include "truth.h"

/* --- drafts ----------------------------------------------------------------------------------- */

/* While a truth is computed: mutable views of the arrays that the truth's prompts point to. */
typedef struct draft {
    int32_t *next;           /* [S] */
    double *hidden, *last;   /* [L+1, T, D] [T, D] */
    double *logits, *margin; /* [max(S, 1), V], an encoder's [marks, V]; [S] */
    double *pooled;          /* [D] */
} draft;

typedef struct computation {
    const omni_model *model;
    const omni_weights *weights;
    const omni_stop *stop;
    omni_meter *meter;
    size_t steps;
    omni_truth *truth;
    draft *draft;       /* [prompts] */
    reference_row *row; /* [tokens] */
    reference *ref;
    omni_error *err;
} computation;

/* A copy that lives as long as the truth; all zeros where there is nothing to copy. */
static void *keep(const computation *c, const void *from, size_t count, size_t bytes) {
    void *copy = truth_array(c->truth, count, bytes, c->err);
    if (copy && from) memcpy(copy, from, count * bytes);
    return copy;
}

/* A matrix of rows [cols] that lives as long as the truth. */
static double *matrix(const computation *c, size_t rows, size_t cols) {
    size_t values;
    if (omni_size_mul(rows, cols, &values)) return truth_array(c->truth, values, sizeof(double), c->err);
    omni_error_set(c->err, OMNI_RUN_FAILED, "%s: no memory for %zu rows of %zu", c->truth->source, rows,
                   cols);
    return NULL;
}

/* What both kinds of model have. */
static omni_status draft_states(const computation *c, const truth_input *in, omni_prompt_truth *p, draft *d) {
    const omni_shape *s = &c->model->shape;
    p->tokens = in->tokens;
    p->ids = keep(c, in->ids, in->tokens, sizeof *in->ids);
    p->last_hidden = d->last = matrix(c, in->tokens, s->hidden);
    if (!p->ids || !d->last) return OMNI_RUN_FAILED;
    p->layer_hidden = d->hidden = matrix(c, s->layers + 1, in->tokens * s->hidden);
    return d->hidden ? OMNI_OK : OMNI_RUN_FAILED;
}

static omni_status draft_decoder(const computation *c, omni_prompt_truth *p, draft *d) {
    p->logits_last = d->logits = matrix(c, c->steps ? c->steps : 1, c->model->shape.vocab);
    d->next = truth_array(c->truth, c->steps, sizeof *d->next, c->err);
    d->margin = truth_array(c->truth, c->steps, sizeof *d->margin, c->err);
    if (!d->logits || !d->next || !d->margin) return OMNI_RUN_FAILED;
    p->steps = c->steps;
    if (p->steps == 0) return OMNI_OK;
    p->next = d->next;
    p->decode_logits = d->logits; /* row 0 follows the prompt: it is logits_last */
    p->margin = d->margin;
    return OMNI_OK;
}

static omni_status draft_encoder(const computation *c, const truth_input *in, omni_prompt_truth *p,
                                 draft *d) {
    const omni_shape *s = &c->model->shape;
    p->types = keep(c, in->types, in->tokens, sizeof *in->types);
    if (!p->types) return OMNI_RUN_FAILED;
    if (c->model->heads & OMNI_HEAD_POOLER) {
        p->pooled = d->pooled = matrix(c, 1, s->hidden);
        if (!d->pooled) return OMNI_RUN_FAILED;
    }
    if (in->marks == 0) return OMNI_OK;
    p->marks = in->marks;
    p->mark = keep(c, in->mark, in->marks, sizeof *in->mark);
    p->mlm_logits = d->logits = matrix(c, in->marks, s->vocab);
    return p->mark && d->logits ? OMNI_OK : OMNI_RUN_FAILED;
}

static omni_status draft_prompt(const computation *c, const truth_input *in, size_t i) {
    omni_prompt_truth *p = &c->truth->prompt[i];
    draft *d = &c->draft[i];
    omni_status status = draft_states(c, in, p, d);
    if (status) return status;
    return c->model->shape.encoder ? draft_encoder(c, in, p, d) : draft_decoder(c, p, d);
}

/* --- the computation -------------------------------------------------------------------------- */

/* A prompt's rows, and what its states don't show: a decoder's last row yields logits; of an encoder the
 * first is pooled and the marked ones yield logits. */
static void lay_prompt(const omni_shape *s, const omni_prompt_truth *p, const draft *d, size_t sequence,
                       reference_row *row) {
    for (size_t t = 0; t < p->tokens; t++)
        row[t] = (reference_row){.id = p->ids[t],
                                 .type = p->types ? p->types[t] : 0,
                                 .sequence = sequence,
                                 .position = t,
                                 .hidden = d->hidden + t * s->hidden,
                                 .stride = p->tokens * s->hidden,
                                 .last = d->last + t * s->hidden};
    row[0].pooled = d->pooled;
    for (size_t j = 0; j < p->marks; j++) row[p->mark[j]].logits = d->logits + j * s->vocab;
    if (!s->encoder) row[p->tokens - 1].logits = d->logits;
}

/* All prompts' tokens, one after the other. */
static omni_status compute_prompts(const computation *c) {
    size_t rows = 0;
    for (size_t i = 0; i < c->truth->count; i++) {
        const omni_prompt_truth *p = &c->truth->prompt[i];
        lay_prompt(&c->model->shape, p, &c->draft[i], i, c->row + rows);
        rows += p->tokens;
    }
    return reference_forward(c->ref, c->row, rows, c->err);
}

/* Step s: the arg-max of distribution s; then, unless it is the last, one row a prompt yields distribution s
 * + 1. */
static omni_status compute_decode(const computation *c) {
    size_t V = c->model->shape.vocab, count = c->truth->count;
    omni_status status = OMNI_OK;
    for (size_t s = 0; !status && s < c->steps; s++) {
        for (size_t i = 0; i < count; i++) {
            const draft *d = &c->draft[i];
            rule_top top = rule_top_of(d->logits + s * V, V);
            d->next[s] = top.id;
            d->margin[s] = top.margin;
            c->row[i] = (reference_row){.id = top.id,
                                        .sequence = i,
                                        .position = c->truth->prompt[i].tokens + s,
                                        .logits = d->logits + (s + 1) * V};
        }
        if (s + 1 < c->steps) status = reference_forward(c->ref, c->row, count, c->err);
    }
    return status;
}

static omni_status check_inputs(const computation *c, const truth_input *in, size_t *tokens,
                                size_t *longest) {
    const char *source = c->truth->source;
    *tokens = *longest = 0;
    for (size_t i = 0; i < c->truth->count; i++) {
        omni_status status =
            truth_check_prompt(c->model, source, i, in[i].ids, in[i].tokens, c->steps, c->err);
        if (!status && in[i].types)
            status = truth_check_types(c->model, source, i, in[i].types, in[i].tokens, c->err);
        if (status) return status;
        if (!omni_size_add(*tokens, in[i].tokens, tokens))
            return omni_error_set(c->err, OMNI_BAD_INPUT, "%s: too many tokens", source);
        if (in[i].tokens > *longest) *longest = in[i].tokens;
    }
    return OMNI_OK;
}

/* Each pass has a row of every prompt but the first, which has all `tokens`; of the states before and after
 * each layer. */
static void expect(const computation *c, size_t tokens) {
    uint64_t later = c->steps > 1 ? (c->steps - 1) * (uint64_t)c->truth->count : 0;
    omni_meter_expect(c->meter, (tokens + later) * (c->model->shape.layers + 1));
}

static omni_status compute(computation *c, const truth_input *in) {
    size_t tokens, longest, count = c->truth->count;
    omni_status status = check_inputs(c, in, &tokens, &longest);
    if (status) return status;
    c->draft = omni_alloc_array(count, sizeof *c->draft);
    c->row = omni_alloc_array(tokens, sizeof *c->row);
    if (!c->draft || !c->row)
        status =
            omni_error_set(c->err, OMNI_RUN_FAILED, "%s: no memory for %zu tokens", c->truth->source, tokens);
    for (size_t i = 0; !status && i < count; i++) status = draft_prompt(c, &in[i], i);
    if (!status)
        status = reference_create(c->model, c->weights, count, truth_positions(longest, c->steps), tokens,
                                  c->stop, c->meter, &c->ref, c->err);
    expect(c, tokens);
    if (!status) status = compute_prompts(c);
    if (!status) status = compute_decode(c);
    reference_free(c->ref);
    omni_free(c->row);
    omni_free(c->draft);
    return status;
}

omni_status truth_compute(const char *source, const omni_model *model, const omni_weights *w,
                          const truth_input *in, size_t count, size_t steps, const omni_stop *stop,
                          omni_meter *meter, omni_truth **out, omni_error *err) {
    computation c = {.model = model, .weights = w, .stop = stop, .meter = meter, .err = err};
    *out = NULL;
    c.steps = model->shape.encoder ? 0 : steps;
    if (count == 0) return omni_error_set(err, OMNI_BAD_INPUT, "%s: no prompts", source);
    c.truth = truth_create(source, count, err);
    if (!c.truth) return OMNI_RUN_FAILED;
    omni_status status = compute(&c, in);
    if (status)
        omni_truth_free(c.truth);
    else
        *out = c.truth;
    return status;
}

/* --- prompts as given ------------------------------------------------------------------------- */

/* An MLM head predicts every token: the marks of a prompt are the first of 0, 1, 2 ... */
omni_status omni_truth_compute(const omni_model *model, const omni_weights *w, const int32_t *const *prompts,
                               const size_t *lengths, size_t count, size_t steps, const omni_stop *stop,
                               omni_truth **out, omni_error *err) {
    bool predicts = model->heads & OMNI_HEAD_MLM;
    size_t most = predicts ? model->shape.positions : 0;
    *out = NULL;
    truth_input *in = omni_alloc_array(count, sizeof *in);
    size_t *every = omni_alloc_array(most, sizeof *every);
    omni_status status = OMNI_OK;
    if (!in || !every) status = omni_error_set(err, OMNI_RUN_FAILED, "reference: no memory for the prompts");
    for (size_t t = 0; !status && t < most; t++) every[t] = t;
    for (size_t i = 0; !status && i < count; i++)
        in[i] = (truth_input){
            .ids = prompts[i], .tokens = lengths[i], .mark = every, .marks = predicts ? lengths[i] : 0};
    if (!status) status = truth_compute("reference", model, w, in, count, steps, stop, NULL, out, err);
    omni_free(in);
    omni_free(every);
    return status;
}
