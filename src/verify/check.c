/* check.c: one case: a plan on n PEs, run on the truth's prompts and held against it. A decoder's passes are
 * in check_decoder.c, an encoder's in check_encoder.c; here is what surrounds them, and the judging.
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

#include "check.h"

/* --- verdicts --------------------------------------------------------------------------------- */

/* Only the first is kept: what follows a wrong layer is wrong too. */
__attribute__((format(printf, 2, 3))) static void fail(check *c, const char *format, ...) {
    if (c->result->first_bad[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(c->result->first_bad, sizeof c->result->first_bad, format, args);
    va_end(args);
}

omni_difference check_tensor(check *c, size_t prompt, const char *what, size_t positions, const float *x,
                             const double *ref, size_t rows, size_t cols) {
    omni_difference d = omni_compare(x, ref, rows, cols);
    omni_check_result *r = c->result;
    double tolerance = rule_tolerance(positions) + c->narrow_tolerance;
    r->tolerance = fmax(r->tolerance, tolerance);
    r->max_abs = fmax(r->max_abs, d.max_abs);
    r->rel_max = fmax(r->rel_max, d.rel_max);
    r->row_rel = fmax(r->row_rel, d.row_rel);
    r->nmse = fmax(r->nmse, d.nmse);
    if (!rule_within(&d, tolerance)) {
        bool whole = d.rel_max > tolerance;
        fail(c, "prompt %zu, %s: %s %.1e > %.2g", prompt, what, whole ? "rel_max" : "row_rel",
             whole ? d.rel_max : d.row_rel, tolerance);
    }
    return d;
}

rule_top check_logits(check *c, size_t prompt, const char *what, size_t positions, const float *x,
                      const double *ref) {
    size_t V = c->shape->vocab;
    rule_top own = {.range = rule_range_f32(x, V), .size = rule_size_f32(x, V)};
    if (isnan(own.range)) fail(c, "prompt %zu, %s: not finite", prompt, what);
    if (!ref) return own;
    omni_difference d = check_tensor(c, prompt, what, positions, x, ref, 1, V);
    c->result->decode_logit_rel = fmax(c->result->decode_logit_rel, d.rel_max);
    return rule_top_of(ref, V);
}

void check_argmax(check *c, size_t prompt, const char *what, int32_t got, const rule_top *want) {
    if (!rule_argmax_binds(want->margin, want->range) || !rule_narrow_decides(want, c->narrow_tolerance))
        return;
    c->result->argmax_compared++;
    if (got == want->id)
        c->result->argmax_matched++;
    else
        fail(c, "prompt %zu, %s: arg-max %d (expected %d, margin %.1e)", prompt, what, (int)got,
             (int)want->id, want->margin);
}

static const char *state_name(char buf[48], size_t layer) {
    if (layer == 0)
        snprintf(buf, 48, "layer 0 input");
    else
        snprintf(buf, 48, "layer %zu", layer - 1);
    return buf;
}

/* One state of all prompts, x [tokens, hidden]: rows of a prompt are consecutive. Beyond the layers: the last
 * hidden state. */
static void judge_state(check *c, size_t layer, const char *name, const float *x) {
    size_t D = c->shape->hidden;
    for (size_t i = 0; i < c->prompts; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
        const double *hidden = p->layer_hidden ? p->layer_hidden + layer * p->tokens * D : NULL;
        const double *ref = layer <= c->shape->layers ? hidden : p->last_hidden;
        if (ref) check_tensor(c, i, name, p->tokens, x, ref, p->tokens, D);
        x += p->tokens * D;
    }
}

/* By layer first, so that the first bad one is the earliest. */
void check_states(check *c) {
    size_t layers = c->shape->layers;
    char name[48];
    for (size_t l = 0; l <= layers; l++)
        judge_state(c, l, state_name(name, l), omni_engine_tap(c->engine, l));
    omni_engine_final_norm(c->engine, c->normed);
    judge_state(c, layers + 1, c->shape->encoder ? "last hidden" : "final norm", c->normed);
}

/* --- passes ----------------------------------------------------------------------------------- */

void check_lay_prompts(check *c) {
    int32_t *ids = c->ids;
    for (size_t i = 0; i < c->prompts; i++) {
        const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
        memcpy(ids, p->ids, p->tokens * sizeof *ids);
        ids += p->tokens;
        c->counts[i] = p->tokens;
    }
}

void check_pass_done(check *c, const char *pass, omni_counters *planned) {
    omni_extent extent = {
        .sequences = c->prompts, .marks = c->marks, .mark = c->mark, .first = c->first, .counts = c->counts};
    omni_counters moved;
    size_t layer = 0;
    char name[48];
    for (size_t i = 0; i < c->prompts; i++) extent.tokens += c->counts[i];
    omni_plan_count(c->plan, extent, &moved);
    omni_counters_add(planned, &moved);
    for (size_t i = 0; i < c->prompts; i++) c->first[i] += c->counts[i];
    if (!omni_engine_replicas_agree(c->engine, &layer))
        fail(c, "%s%s: ranks that should hold the same bits differ", pass, state_name(name, layer));
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
    omni_status status = c->shape->encoder ? check_encode(c) : check_prefill(c);
    if (status) return status;
    omni_engine_counters(c->engine, &middle);
    status = check_decode(c); /* nothing for an encoder, which has no steps */
    if (status) return status;
    omni_engine_counters(c->engine, &after);
    c->result->prefill = omni_counters_between(&before, &middle);
    c->result->decode = omni_counters_between(&middle, &after);
    judge_counters(c, "prefill", &c->result->prefill, &c->planned_prefill);
    judge_counters(c, "decode", &c->result->decode, &c->planned_decode);
    omni_engine_switch_counters(c->engine, &c->result->transform);
    judge_counters(c, "transform", &c->result->transform, &c->planned_transform);
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
        const omni_prompt_truth *p = omni_truth_prompt(c->truth, i);
        c->capacity[i] = truth_positions(p->tokens, c->steps);
        c->tokens += p->tokens;
        c->marks += p->marks;
    }
    c->ids = omni_alloc_array(c->tokens, sizeof *c->ids); /* >= prompts: none is empty */
    c->normed = omni_size_mul(c->tokens, c->shape->hidden, &states)
                    ? omni_alloc_array(states, sizeof *c->normed)
                    : NULL;
    if (c->capacity && c->first && c->counts && c->next && c->ids && c->normed) return OMNI_OK;
    return omni_error_set(c->err, OMNI_RUN_FAILED, "check: no memory for %zu tokens", c->tokens);
}

/* Of the fabric, and of products in BF16: each rounds what it reads, those of one input at the same time. */
static double plan_roundoff(const omni_plan *plan, omni_compute compute) {
    int read = OMNI_NO_VALUE;
    size_t roundings = 0;
    for (size_t i = 0; compute == OMNI_COMPUTE_BF16 && i < plan->step_count; i++) {
        const omni_step *s = &plan->step[i];
        if ((s->kind != OMNI_STEP_MATMUL && s->kind != OMNI_STEP_STREAM) || s->in[0] == read) continue;
        read = s->in[0];
        roundings++;
    }
    return hypot(omni_plan_roundoff(plan), omni_wire_find(OMNI_BF16)->roundoff * sqrt((double)roundings));
}

/* Of all plans that it goes through: what one rounded, the next ones keep. */
static double roundoff_of(const omni_engine_options *o) {
    double sum = plan_roundoff(o->plan, o->compute);
    for (size_t i = 0; i < o->laters; i++) sum = hypot(sum, plan_roundoff(o->later[i], o->compute));
    return sum;
}

omni_status omni_check_case(const omni_engine_options *o, const omni_truth *truth, omni_check_result *out,
                            omni_error *err) {
    *out = (omni_check_result){0};
    check c = {.model = o->model,
               .shape = &o->model->shape,
               .o = o,
               .plan = o->plan,
               .truth = truth,
               .result = out,
               .narrow_tolerance = rule_narrow_tolerance(roundoff_of(o)),
               .err = err};
    out->narrow_tolerance = c.narrow_tolerance;
    omni_engine_options options = *o;
    omni_status status = prepare(&c);
    if (!status) {
        options.sequences = c.prompts;
        options.capacity = c.capacity;
        options.max_tokens = c.tokens;
        options.max_marks = c.marks;
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
