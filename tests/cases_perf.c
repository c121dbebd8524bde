/* cases_perf.c: the kernel's counts of workers: there when they are asked for, of every pass and change of
 * plans, and then with the same tokens.
 */
#include <string.h>

#include "cases_flow.h"

enum { TOKENS = 12, STEPS = 3 };

typedef struct counted {
    int32_t token[STEPS];
    omni_perf_counts after[STEPS][8]; /* [workers] */
} counted;

/* A prompt, a step, and a step under the other plan. */
static const char *run(flow *f, const omni_plan *later, size_t workers, bool perf, counted *out) {
    size_t capacity = TOKENS + STEPS, counts = TOKENS;
    int32_t ids[TOKENS];
    omni_engine *e;
    omni_engine_options o = flow_options(f);
    o.sequences = 1;
    o.capacity = &capacity;
    o.max_tokens = TOKENS;
    o.workers = workers;
    o.later = &later;
    o.laters = 1;
    o.perf = perf;
    for (size_t i = 0; i < TOKENS; i++) ids[i] = (int32_t)(i * 31 % f->model->shape.vocab);
    if (omni_engine_create(&o, &e, &f->err)) return verdict("%s", f->err.text);
    const char *bad = NULL;
    for (size_t i = 0; i < STEPS && !bad; i++) {
        if (i == STEPS - 1 && omni_engine_switch(e, 1, &f->err)) bad = verdict("%s", f->err.text);
        if (!bad && omni_engine_forward(e, i ? &out->token[i - 1] : ids, &counts, &out->token[i], &f->err))
            bad = verdict("%s", f->err.text);
        counts = 1;
        for (size_t w = 0; w < workers && !bad; w++) omni_engine_perf(e, w, &out->after[i][w]);
    }
    omni_engine_free(e);
    return bad;
}

static const char *judge(const counted *off, const counted *on, size_t workers) {
    static const omni_perf_counts none;
    if (memcmp(off->token, on->token, sizeof on->token) != 0) return "other tokens with counts";
    for (size_t w = 0; w < workers; w++) {
        uint64_t before = 0;
        for (size_t i = 0; i < STEPS; i++) {
            uint64_t now = on->after[i][w].value[OMNI_PERF_TASK_NS];
            if (memcmp(&off->after[i][w], &none, sizeof none) != 0) return "counts that nobody asked for";
            if (now <= before) return verdict("worker %zu: pass %zu took no CPU time", w, i);
            before = now;
        }
    }
    return NULL;
}

static const char *every_pass_is_counted(void) {
    static const size_t workers[] = {1, 2, 3, 7};
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(workers) && !bad; i++) {
        counted off, on;
        omni_plan_spec spec;
        omni_plan *later = NULL;
        memset(&off, 0, sizeof off);
        memset(&on, 0, sizeof on);
        if (!flow_plan(&f, "megatron", 7)) bad = verdict("%s", f.err.text);
        if (!bad && (omni_plan_parse("workflow2", &spec, &f.err) ||
                     omni_plan_compile(f.model, &spec, 7, &later, &f.err)))
            bad = verdict("%s", f.err.text);
        if (!bad) bad = run(&f, later, workers[i], false, &off);
        if (!bad) bad = run(&f, later, workers[i], true, &on);
        if (!bad) bad = judge(&off, &on, workers[i]);
        omni_plan_free(later);
    }
    return flow_close(&f, bad);
}

static const omni_case cases[] = {{"every_pass_is_counted", every_pass_is_counted}};
const omni_case_table cases_perf = {"perf", cases, COUNT(cases)};
