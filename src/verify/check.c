/* check.c: one case: a plan on n PEs, run on the truth's prompts and held against it.
 *
 *   prefill   all prompts as one ragged batch          -> every layer's state, final norm, logits, arg-max
 *   step s    token s-1 of the truth for every prompt  -> logits where the truth has them, arg-max
 *
 * Feeding the truth's tokens instead of the engine's own (teacher forcing) keeps one near-tie from spoiling
 * all that follows. Every sequence must take part in every forward, so a prompt whose truth has ended goes on
 * with its last token, unjudged, until the longest is done.
 *
 * What each pass moved must be what the plan says that it moves, counter by counter.
 *
 * A difference is no error: the case ends with OMNI_OK and says `passed` or not. It goes on after the first
 * bad tensor, so that the worst errors are those of the whole case.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "truth.h"

typedef struct check {
    const omni_shape *shape;
    const omni_truth *truth;
    omni_engine *engine;
    omni_check_result *result;
    omni_error *err;
    size_t prompts, tokens; /* of all prompts */
    size_t steps;           /* of the longest truth: one prefill and steps - 1 decode forwards */
    size_t *capacity;       /* [prompts] positions */
    size_t *first, *counts; /* [prompts] positions before, and tokens of, the next forward */
    int32_t *ids;           /* [tokens], and later [prompts]: input of the next forward */
    int32_t *next;          /* [prompts] the engine's arg-max */
    float *normed;          /* [tokens, hidden] */
    const omni_plan *plan;
    omni_counters planned_prefill, planned_decode;
} check;

/* --- verdicts --------------------------------------------------------------------------------- */

/* Only the first is kept: what follows a wrong layer is wrong too. */
__attribute__((format(printf, 2, 3))) static void fail(check *c, const char *format, ...) {
    if (c->result->first_bad[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(c->result->first_bad, sizeof c->result->first_bad, format, args);
    va_end(args);
}

static const char *state_name(char buf[48], size_t layer) {
    if (layer == 0)
        snprintf(buf, 48, "layer 0 input");
    else
        snprintf(buf, 48, "layer %zu", layer - 1);
    return buf;
}

static const char *logits_name(char buf[48], size_t step) {
    if (step == 0)
        snprintf(buf, 48, "logits");
    else
        snprintf(buf, 48, "decode step %zu logits", step);
    return buf;
}

static omni_difference judge(check *c, size_t prompt, const char *what, size_t positions, const float *x,
                             const double *ref, size_t rows, size_t cols) {
    omni_difference d = omni_compare(x, ref, rows, cols);
    omni_check_result *r = c->result;
    double tolerance = rule_tolerance(positions);
    r->max_abs = fmax(r->max_abs, d.max_abs);
    r->rel_max = fmax(r->rel_max, d.rel_max);
    r->row_rel = fmax(r->row_rel, d.row_rel);
    r->nmse = fmax(r->nmse, d.nmse);
    if (!rule_within(&d, tolerance)) {
        bool whole = d.rel_max > tolerance;
        fail(c, "prompt %zu, %s: %s %.1e > %.0e", prompt, what, whole ? "rel_max" : "row_rel",
             whole ? d.rel_max : d.row_rel, tolerance);
    }
    return d;
}

static void judge_argmax(check *c, size_t prompt, size_t step, int32_t want, double margin, double range) {
    int32_t got = c->next[prompt];
    if (!rule_argmax_binds(margin, range)) return;
    c->result->argmax_compared++;
    if (got == want)
        c->result->argmax_matched++;
    else
        fail(c, "prompt %zu, step %zu: arg-max %d (expected %d, margin %.1e)", prompt, step, (int)got,
             (int)want, margin);
}

/* The truth's distribution `step`, which decides token `step`; NULL: not known. */
static const double *true_logits(const omni_prompt_truth *p, size_t step, size_t vocab) {
    if (p->decode_logits && step < p->steps) return p->decode_logits + step * vocab;
    if (step == 0 && p->logits_last) return p->logits_last;
    return step + 1 == p->steps ? p->decode_last_logits : NULL;
}

static void judge_step(check *c, size_t i, size_t step) {
    const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
    size_t V = c->shape->vocab;
    const float *x = omni_engine_logits(c->engine) + i * V;
    const double *ref = true_logits(p, step, V);
    double range = rule_range_f32(x, V);
    char name[48];
    logits_name(name, step);
    if (isnan(range)) fail(c, "prompt %zu, %s: not finite", i, name);
    rule_top top = {0};
    if (ref) {
        omni_difference d = judge(c, i, name, p->tokens + step, x, ref, 1, V);
        c->result->decode_logit_rel = fmax(c->result->decode_logit_rel, d.rel_max);
        top = rule_top_of(ref, V);
        range = top.range;
    }
    if (step < p->steps)
        judge_argmax(c, i, step, p->next[step], p->margin[step], range);
    else if (ref)
        judge_argmax(c, i, step, top.id, top.margin, range);
}

/* --- the run ---------------------------------------------------------------------------------- */

/* What the plan says that the forward moves. */
static void plan_pass(check *c, omni_counters *sum) {
    omni_extent extent = {.sequences = c->prompts, .first = c->first, .counts = c->counts};
    omni_counters pass;
    for (size_t i = 0; i < c->prompts; i++) extent.tokens += c->counts[i];
    omni_plan_count(c->plan, extent, &pass);
    omni_counters_add(sum, &pass);
    for (size_t i = 0; i < c->prompts; i++) c->first[i] += c->counts[i];
}

static omni_status forward(check *c, size_t step) {
    size_t layer = 0;
    char name[48];
    omni_status status = omni_engine_forward(c->engine, c->ids, c->counts, c->next, c->err);
    plan_pass(c, step == 0 ? &c->planned_prefill : &c->planned_decode);
    if (!status && !omni_engine_replicas_agree(c->engine, &layer))
        fail(c, "step %zu, %s: ranks that should hold the same bits differ", step, state_name(name, layer));
    return status;
}

/* Layer by layer over all prompts, so that the first bad one is the earliest; rows of a prompt are
 * consecutive. */
static void judge_states(check *c) {
    size_t D = c->shape->hidden, layers = c->shape->layers;
    char name[48];
    omni_engine_final_norm(c->engine, c->normed);
    for (size_t l = 0; l <= layers + 1; l++) {
        const float *x = l <= layers ? omni_engine_tap(c->engine, l) : c->normed;
        for (size_t i = 0; i < c->prompts; i++) {
            const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
            const double *hidden = p->layer_hidden ? p->layer_hidden + l * p->tokens * D : NULL;
            const double *ref = l <= layers ? hidden : p->last_hidden;
            if (ref)
                judge(c, i, l <= layers ? state_name(name, l) : "final norm", p->tokens, x, ref, p->tokens,
                      D);
            x += p->tokens * D;
        }
    }
}

static omni_status check_prefill(check *c) {
    int32_t *ids = c->ids;
    for (size_t i = 0; i < c->prompts; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
        memcpy(ids, p->ids, p->tokens * sizeof *ids);
        ids += p->tokens;
        c->counts[i] = p->tokens;
    }
    omni_status status = forward(c, 0);
    if (status) return status;
    judge_states(c);
    for (size_t i = 0; i < c->prompts; i++) judge_step(c, i, 0);
    return OMNI_OK;
}

/* What prompt p is fed in decode step `step` >= 1. */
static int32_t token_for(const omni_prompt_truth *p, size_t step) {
    if (p->steps == 0) return p->ids[p->tokens - 1];
    return p->next[step <= p->steps ? step - 1 : p->steps - 1];
}

static omni_status check_decode(check *c) {
    omni_status status = OMNI_OK;
    for (size_t step = 1; !status && step < c->steps; step++) {
        for (size_t i = 0; i < c->prompts; i++) {
            c->ids[i] = token_for(omni_truth_prompt(c->truth, i), step);
            c->counts[i] = 1;
        }
        status = forward(c, step);
        for (size_t i = 0; !status && i < c->prompts; i++)
            if (step < omni_truth_prompt(c->truth, i)->steps) judge_step(c, i, step);
    }
    return status;
}

static void judge_counters(check *c, const char *phase, const omni_counters *moved,
                           const omni_counters *planned) {
    for (size_t i = 0; i < OMNI_COUNTERS; i++) {
        unsigned long long got = omni_counters_get(moved, i), want = omni_counters_get(planned, i);
        if (got != want)
            fail(c, "counters differ from the plan: %s %s %llu (plan %llu)", phase, omni_counter_names[i],
                 got, want);
    }
}

static omni_status run(check *c) {
    omni_counters before, middle, after;
    omni_engine_counters(c->engine, &before);
    omni_status status = check_prefill(c);
    if (status) return status;
    omni_engine_counters(c->engine, &middle);
    status = check_decode(c);
    if (status) return status;
    omni_engine_counters(c->engine, &after);
    c->result->prefill = omni_counters_between(&before, &middle);
    c->result->decode = omni_counters_between(&middle, &after);
    judge_counters(c, "prefill", &c->result->prefill, &c->planned_prefill);
    judge_counters(c, "decode", &c->result->decode, &c->planned_decode);
    c->result->passed = c->result->first_bad[0] == '\0';
    return OMNI_OK;
}

/* --- sizes ------------------------------------------------------------------------------------ */

/* Steps of the longest truth, as far as every prompt has positions for them. */
static size_t common_steps(const check *c) {
    size_t most = 0, room = SIZE_MAX;
    for (size_t i = 0; i < c->prompts; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
        size_t left = c->shape->positions - p->tokens + 1;
        most = p->steps > most ? p->steps : most;
        room = left < room ? left : room;
    }
    return most < room ? most : room;
}

static omni_status prepare(check *c) {
    size_t states;
    c->prompts = omni_truth_prompts(c->truth);
    c->steps = common_steps(c);
    c->capacity = omni_alloc_array(c->prompts, sizeof *c->capacity);
    c->first = omni_alloc_array(c->prompts, sizeof *c->first);
    c->counts = omni_alloc_array(c->prompts, sizeof *c->counts);
    c->next = omni_alloc_array(c->prompts, sizeof *c->next);
    for (size_t i = 0; c->capacity && i < c->prompts; i++) {
        size_t tokens = omni_truth_prompt(c->truth, i)->tokens;
        c->capacity[i] = truth_positions(tokens, c->steps);
        c->tokens += tokens;
    }
    c->ids = omni_alloc_array(c->tokens, sizeof *c->ids); /* >= prompts: none is empty */
    c->normed = omni_size_mul(c->tokens, c->shape->hidden, &states)
                    ? omni_alloc_array(states, sizeof *c->normed)
                    : NULL;
    if (c->capacity && c->first && c->counts && c->next && c->ids && c->normed) return OMNI_OK;
    return omni_error_set(c->err, OMNI_RUN_FAILED, "check: no memory for %zu tokens", c->tokens);
}

omni_status omni_check_case(const omni_engine_options *o, const omni_truth *truth, omni_check_result *out,
                            omni_error *err) {
    *out = (omni_check_result){0};
    check c = {.shape = &o->model->shape, .plan = o->plan, .truth = truth, .result = out, .err = err};
    omni_engine_options options = *o;
    omni_status status = prepare(&c);
    if (!status) {
        options.sequences = c.prompts;
        options.capacity = c.capacity;
        options.max_tokens = c.tokens;
        options.taps = true;
        status = omni_engine_create(&options, &c.engine, err);
    }
    if (!status && omni_engine_warning(c.engine))
        snprintf(out->warning, sizeof out->warning, "%s", omni_engine_warning(c.engine));
    if (!status) status = run(&c);
    if (c.engine) omni_engine_free(c.engine);
    omni_free(c.capacity);
    omni_free(c.first);
    omni_free(c.counts);
    omni_free(c.next);
    omni_free(c.ids);
    omni_free(c.normed);
    return status;
}
