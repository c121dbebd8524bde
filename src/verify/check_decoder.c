/* check_decoder.c: the passes of a decoder.
 *
 *   prefill   all prompts as one ragged batch          -> every layer's state, final norm, logits, arg-max
 *   step s    token s-1 of the truth for every prompt  -> logits where the truth has them, arg-max
 *
 * Feeding the truth's tokens instead of the engine's own (teacher forcing) keeps one near-tie from spoiling
 * all that follows. Every sequence must take part in every forward, so a prompt whose truth has ended goes on
 * with its last token, unjudged, until the longest is done.
 */
#include <stdio.h>

#include "check.h"

/* The truth's distribution `step`, which decides token `step`; NULL: not known. */
static const double *true_logits(const omni_prompt_truth *p, size_t step, size_t vocab) {
    if (p->decode_logits && step < p->steps) return p->decode_logits + step * vocab;
    if (step == 0 && p->logits_last) return p->logits_last;
    return step + 1 == p->steps ? p->decode_last_logits : NULL;
}

static void judge_step(check *c, size_t i, size_t step) {
    const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
    size_t V = c->shape->vocab;
    const double *ref = true_logits(p, step, V);
    char logits[48] = "logits", when[48];
    snprintf(when, sizeof when, "step %zu", step);
    if (step) snprintf(logits, sizeof logits, "decode step %zu logits", step);
    rule_top top = check_logits(c, i, logits, p->tokens + step, omni_engine_logits(c->engine) + i * V, ref);
    if (step < p->steps) {
        top.id = p->next[step];
        top.margin = p->margin[step];
    }
    if (ref || step < p->steps) check_argmax(c, i, when, c->next[i], &top);
}

static omni_status forward(check *c, size_t step, omni_counters *planned) {
    char pass[48];
    snprintf(pass, sizeof pass, "step %zu, ", step);
    omni_status status = omni_engine_forward(c->engine, c->ids, c->counts, c->next, c->err);
    if (!status) check_pass_done(c, pass, planned);
    return status;
}

omni_status check_prefill(check *c) {
    check_lay_prompts(c);
    omni_status status = forward(c, 0, &c->planned_prefill);
    if (status) return status;
    check_states(c);
    for (size_t i = 0; i < c->prompts; i++) judge_step(c, i, 0);
    return OMNI_OK;
}

/* What prompt p is fed in decode step `step` >= 1. */
static int32_t token_for(const omni_prompt_truth *p, size_t step) {
    if (p->steps == 0) return p->ids[p->tokens - 1];
    return p->next[step <= p->steps ? step - 1 : p->steps - 1];
}

/* To the plan that the next step is due under. */
static omni_status change_plan(check *c) {
    size_t due = omni_engine_due(c->engine);
    omni_counters moves;
    if (due == c->in_use) return OMNI_OK;
    omni_engine_switch_count(c->engine, due, &moves);
    omni_counters_add(&c->planned_transform, &moves);
    c->in_use = due;
    c->plan = due ? c->o->later[due - 1] : c->o->plan;
    return omni_engine_switch(c->engine, due, c->err);
}

omni_status check_decode(check *c) {
    omni_status status = OMNI_OK;
    for (size_t step = 1; !status && step < c->steps; step++) {
        status = change_plan(c);
        if (status) return status;
        for (size_t i = 0; i < c->prompts; i++) {
            c->ids[i] = token_for(omni_truth_prompt(c->truth, i), step);
            c->counts[i] = 1;
        }
        status = forward(c, step, &c->planned_decode);
        for (size_t i = 0; !status && i < c->prompts; i++)
            if (step < omni_truth_prompt(c->truth, i)->steps) judge_step(c, i, step);
    }
    return status;
}
