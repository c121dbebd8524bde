/* cases_overlap.c: overlap=C as whole runs: every bit of every state is that of overlap=1, counters are the
 * plan's. */
#include <stdio.h>
#include <string.h>

#include "cases_flow.h"

enum { STEPS = 3, MOST_FLOATS = 1 << 17, SEQUENCES = 2, TOKENS = 13 };

static const size_t LENGTHS[SEQUENCES] = {9, TOKENS - 9};

/* What a run leaves behind: all states, logits, and what it and the plan count. */
typedef struct trace {
    float at[MOST_FLOATS];
    size_t floats;
    omni_counters real, planned;
} trace;

static void keep(trace *t, const float *from, size_t floats) {
    if (t->floats + floats <= MOST_FLOATS) memcpy(t->at + t->floats, from, floats * sizeof *from);
    t->floats += floats;
}

static void keep_pass(trace *t, const flow *f, const omni_engine *e, omni_extent x) {
    const omni_shape *s = &f->model->shape;
    omni_counters c;
    for (size_t l = 0; l <= s->layers; l++) keep(t, omni_engine_tap(e, l), x.tokens * s->hidden);
    if (!s->encoder) keep(t, omni_engine_logits(e), SEQUENCES * s->vocab);
    omni_plan_count(f->plan, x, &c);
    omni_counters_add(&t->planned, &c);
}

/* One pass of an encoder, or a prefill and decode steps. */
static const char *run_passes(flow *f, omni_engine *e, trace *t) {
    size_t counts[SEQUENCES] = {LENGTHS[0], LENGTHS[1]}, first[SEQUENCES] = {0};
    float *pooled = t->at; /* of the first rows: written over at once */
    int32_t ids[TOKENS], next[SEQUENCES];
    for (size_t i = 0; i < TOKENS; i++) ids[i] = (int32_t)(i * 7 % 60);
    if (f->model->shape.encoder) {
        omni_encode io = {.ids = ids, .counts = counts, .pooled = pooled};
        if (omni_engine_encode(e, &io, &f->err) != OMNI_OK) return verdict("%s", f->err.text);
        keep_pass(t, f, e, (omni_extent){TOKENS, SEQUENCES, .first = first, .counts = counts});
        return NULL;
    }
    for (size_t step = 0; step < STEPS; step++) {
        omni_extent x = {counts[0] + counts[1], SEQUENCES, .first = first, .counts = counts};
        if (omni_engine_forward(e, ids, counts, next, &f->err) != OMNI_OK) return verdict("%s", f->err.text);
        keep_pass(t, f, e, x);
        for (size_t i = 0; i < SEQUENCES; i++) first[i] += counts[i], counts[i] = 1;
        memcpy(ids, next, sizeof next);
    }
    return NULL;
}

/* False: it cannot be built on so many PEs. */
static bool run_plan(flow *f, const char *text, size_t overlap, size_t pes, trace *t, const char **bad) {
    char name[256];
    size_t capacity[SEQUENCES] = {LENGTHS[0] + STEPS, LENGTHS[1] + STEPS};
    omni_engine *e;
    f->err = (omni_error){0};
    snprintf(name, sizeof name, "%s:overlap=%zu", text, overlap);
    if (!flow_plan(f, name, pes)) return false;
    omni_engine_options o = flow_options(f);
    o.workers = pes < 3 ? pes : 2 + pes % 2;
    o.sequences = SEQUENCES;
    o.capacity = capacity;
    o.max_tokens = TOKENS;
    o.taps = true;
    o.schedule = overlap % 2 ? NULL : "pairwise";
    t->floats = 0;
    t->real = t->planned = (omni_counters){0};
    if (omni_plan_check(f->plan, 16, &f->err) != OMNI_OK || omni_engine_create(&o, &e, &f->err) != OMNI_OK) {
        *bad = verdict("%s on %zu PEs: %s", name, pes, f->err.text);
        return true;
    }
    *bad = run_passes(f, e, t);
    omni_engine_counters(e, &t->real);
    omni_engine_free(e);
    if (!*bad && t->floats > MOST_FLOATS) *bad = "more floats than the case has room for";
    if (!*bad && !omni_counters_equal(&t->real, &t->planned))
        *bad = verdict("%s on %zu PEs: counters are not the plan's", name, pes);
    return true;
}

/* The same bytes; and messages not fewer. */
static bool conserved(const omni_counters *one, const omni_counters *cut) {
    return one->broadcast_bytes == cut->broadcast_bytes && one->tree_bytes == cut->tree_bytes &&
           one->addressed_bytes == cut->addressed_bytes && one->host_bytes == cut->host_bytes &&
           one->broadcasts <= cut->broadcasts && one->reductions <= cut->reductions;
}

static const char *compare(flow *f, const char *text, size_t pes, trace *one, trace *cut, size_t *ran) {
    static const size_t strips[] = {2, 3, 8};
    const char *bad = NULL;
    if (!run_plan(f, text, 1, pes, one, &bad)) return NULL;
    for (size_t i = 0; i < COUNT(strips) && !bad; i++, ++*ran) {
        run_plan(f, text, strips[i], pes, cut, &bad);
        if (!bad &&
            (one->floats != cut->floats || memcmp(one->at, cut->at, one->floats * sizeof(float)) != 0))
            bad = verdict("%s on %zu PEs: overlap=%zu gives other bits than 1", text, pes, strips[i]);
        if (!bad && !conserved(&one->real, &cut->real))
            bad = verdict("%s on %zu PEs: overlap=%zu moves other bytes than 1", text, pes, strips[i]);
    }
    return bad;
}

static const char *const PLANS[] = {"megatron",
                                    "workflow1",
                                    "workflow2",
                                    "alternate",
                                    "lockstep",
                                    "replica",
                                    "pipeline",
                                    "alternate:gather=bus:edge=scatter",
                                    "qkv=out:attn=tokens:o=out:ffn=out+out:gather=bus",
                                    "qkv=out:attn=heads:o=out:ffn=out+out",
                                    "qkv=in:o=in:ffn=in+in:edge=scatter",
                                    "workflow2:groups=2:stages=2:chunk=5",
                                    "megatron:wire=bf16",
                                    "attn=subheads"};

static const char *compare_all(const char *dir) {
    static const size_t sizes[] = {2, 5, 16, 1, 3, 4, 7, 8};
    static trace one, cut;
    flow f;
    size_t ran = 0, each = THIN > 1 ? 2 : COUNT(sizes), thin = THIN > 1 ? 3 : 1;
    const char *bad = flow_open(&f, dir);
    for (size_t i = 0; i < COUNT(PLANS) && !bad; i += thin)
        for (size_t k = 0; k < each && !bad; k++) bad = compare(&f, PLANS[i], sizes[k], &one, &cut, &ran);
    return flow_close(&f, bad || ran >= 3 * COUNT(PLANS) / thin ? bad : verdict("only %zu ran", ran));
}

static const char *same_bits_llama(void) {
    return compare_all("tests/golden/llama-tiny-gqa");
}
static const char *same_bits_gpt2(void) {
    return compare_all("tests/golden/gpt2-tiny");
}
static const char *same_bits_bert(void) {
    return compare_all("tests/golden/bert-tiny");
}
static const char *same_bits_demo(void) {
    return THIN > 1 ? NULL : compare_all("configs/demo/llama");
}

static const omni_case rows[] = {
    {"same_bits_llama", same_bits_llama},
    {"same_bits_gpt2", same_bits_gpt2},
    {"same_bits_bert", same_bits_bert},
    {"same_bits_demo", same_bits_demo},
};

const omni_case_table cases_overlap = {"overlap", rows, COUNT(rows)};
