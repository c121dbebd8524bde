/* check_counters.c: what really moved must be what the plan says moves, counter by counter, in prefill and in
 * decode. The passes are those of omni_check_case: one prefill of all prompts, then decode steps in which
 * every prompt takes part, as long as the longest truth and every prompt's positions allow.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"

typedef struct passes {
    size_t prompts, steps;
    size_t *first, *counts; /* [prompts] */
} passes;

static size_t steps_of(const check *k) {
    size_t most = 0, room = SIZE_MAX;
    for (size_t i = 0; i < omni_truth_prompts(k->truth); i++) {
        const omni_prompt_truth *p = omni_truth_prompt(k->truth, i);
        size_t left = k->c->model->shape.positions - p->tokens + 1;
        most = p->steps > most ? p->steps : most;
        room = left < room ? left : room;
    }
    return most < room ? most : room;
}

static void count_prefill(const check *k, const omni_plan *plan, passes *p, omni_counters *out) {
    omni_extent extent = {.sequences = p->prompts, .first = p->first, .counts = p->counts};
    for (size_t i = 0; i < p->prompts; i++) {
        p->first[i] = 0;
        p->counts[i] = omni_truth_prompt(k->truth, i)->tokens;
        extent.tokens += p->counts[i];
    }
    omni_plan_count(plan, extent, out);
}

static void count_decode(const check *k, const omni_plan *plan, passes *p, omni_counters *out) {
    omni_extent extent = {
        .tokens = p->prompts, .sequences = p->prompts, .first = p->first, .counts = p->counts};
    *out = (omni_counters){0};
    for (size_t step = 1; step < p->steps; step++) {
        omni_counters one;
        for (size_t i = 0; i < p->prompts; i++) {
            p->first[i] = omni_truth_prompt(k->truth, i)->tokens + step - 1;
            p->counts[i] = 1;
        }
        omni_plan_count(plan, extent, &one);
        omni_counters_add(out, &one);
    }
}

static void compare(const char *phase, const omni_counters *moved, const omni_counters *planned,
                    omni_check_result *r) {
    for (size_t i = 0; i < OMNI_COUNTERS; i++) {
        unsigned long long got = omni_counters_get(moved, i), want = omni_counters_get(planned, i);
        if (got == want) continue;
        r->passed = false;
        if (!r->first_bad[0])
            snprintf(r->first_bad, sizeof r->first_bad,
                     "counters differ from the plan: %s %s %llu, plan %llu", phase, omni_counter_names[i],
                     got, want);
    }
}

omni_status check_counters(const check *k, const omni_plan *plan, check_case *x, omni_error *err) {
    passes p = {.prompts = omni_truth_prompts(k->truth), .steps = steps_of(k)};
    omni_counters planned;
    p.first = omni_alloc_array(p.prompts, sizeof *p.first);
    p.counts = omni_alloc_array(p.prompts, sizeof *p.counts);
    if (p.first && p.counts) {
        count_prefill(k, plan, &p, &planned);
        compare("prefill", &x->result.prefill, &planned, &x->result);
        count_decode(k, plan, &p, &planned);
        compare("decode", &x->result.decode, &planned, &x->result);
    } else {
        omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu prompts", p.prompts);
    }
    omni_free(p.first);
    omni_free(p.counts);
    return err->status;
}
