/* cases_mesh.c: groups, stages, stacks and chunks as whole runs, and plans that change between two passes:
 * against float64 truth, counters against the plan's.
 */
#include <stdio.h>
#include <string.h>

#include "cases_flow.h"

#define MESHES                                                                                               \
    "replica,pipeline,megatron:groups=2,workflow2:groups=3,alternate:stages=2,workflow1:stages=2:stack=2,"   \
    "alternate:groups=2:stages=2:chunk=3,workflow2:groups=2:stages=2:stack=3:gather=bus:edge=scatter,"       \
    "o=out:ffn=out+out:stages=2:chunk=all,pipeline:stack=2:chunk=1,"                                         \
    "lockstep,lockstep:over=token,attn=subheads,workflow1:attn=subheads:groups=2,replica:over=token"

static const char *meshes_of(const char *dir, size_t thin, size_t least) {
    flow f;
    const char *bad = flow_open(&f, dir);
    if (!bad) bad = flow_check_list(&f, MESHES, thin, least);
    return flow_close(&f, bad);
}

static const char *meshes_llama(void) {
    return meshes_of("tests/golden/llama-tiny-gqa", 1, 10 * (PES_COUNT - 1));
}
enum { OTHERS_THIN = THIN > 1 ? 3 : 1 };
static const char *meshes_gpt2(void) {
    return meshes_of("tests/golden/gpt2-tiny", OTHERS_THIN, 3 * (PES_COUNT - 1));
}
static const char *meshes_bert(void) {
    return meshes_of("tests/golden/bert-tiny", OTHERS_THIN, 3 * (PES_COUNT - 1));
}
/* 64 steps of decoding take long: every third mesh, or 24th under a sanitizer. */
static const char *meshes_of_unequal_prompts(void) {
    return meshes_of("configs/demo/llama", THIN > 1 ? 24 : 3, PES_COUNT - 1);
}

/* --- another plan for decode ------------------------------------------------------------------ */

static omni_status compile(flow *f, const char *text, size_t pes, omni_plan **out) {
    omni_plan_spec spec;
    omni_status st = omni_plan_parse(text, &spec, &f->err);
    return st ? st : omni_plan_compile(f->model, &spec, pes, out, &f->err);
}

/* plans[0], and from position from[k] on plans[k + 1]. What does not fit on so many PEs is left out. */
static const char *check_change(flow *f, const char *const *plans, const size_t *from, size_t laters,
                                size_t pes, bool resident, size_t *ran) {
    omni_plan *plan[8] = {NULL};
    omni_check_result r;
    const char *bad = NULL;
    omni_status st = OMNI_OK;
    f->err = (omni_error){0};
    for (size_t i = 0; i <= laters && !st; i++) st = compile(f, plans[i], pes, &plan[i]);
    omni_engine_options o = {.model = f->model,
                             .weights = f->weights,
                             .plan = plan[0],
                             .later = (const omni_plan *const *)&plan[1],
                             .later_from = from,
                             .laters = laters,
                             .resident = resident,
                             .topo = f->topo,
                             .workers = pes < 3 ? pes : 2 + pes % 2,
                             .stop = &f->stop};
    if (!st) {
        ++*ran;
        st = omni_check_case(&o, f->truth, &r, &f->err);
        if (st || !r.passed)
            bad = verdict("%s, then %s on %zu PEs%s: %s", plans[0], plans[1], pes,
                          resident ? ", resident" : "", st ? f->err.text : r.first_bad);
    }
    for (size_t i = 0; i <= laters; i++) omni_plan_free(plan[i]);
    return bad || !st || st == OMNI_BAD_INPUT ? bad : verdict("%s", f->err.text);
}

static const char *const CHANGING[] = {"single",
                                       "megatron",
                                       "workflow2",
                                       "attn=subheads",
                                       "replica",
                                       "pipeline",
                                       "alternate:groups=2:stages=2:gather=bus"};

/* Each ordered pair, or every so many. */
static const char *changes_of(const char *dir, size_t thin) {
    static const size_t sizes[] = {2, 3, 5, 9};
    flow f;
    size_t ran = 0, pairs = COUNT(CHANGING) * COUNT(CHANGING);
    const char *bad = flow_open(&f, dir);
    for (size_t i = 0; i < pairs && !bad; i++) {
        const char *const plans[] = {CHANGING[i / COUNT(CHANGING)], CHANGING[i % COUNT(CHANGING)]};
        for (size_t k = i % thin ? COUNT(sizes) : 0; k < COUNT(sizes) && !bad; k++)
            bad = check_change(&f, plans, NULL, 1, sizes[k], (i + k) % 3 == 0, &ran);
    }
    return flow_close(&f, bad || ran >= 2 * pairs / thin - 3 ? bad : verdict("only %zu cases ran", ran));
}

static const char *changes_llama(void) {
    return changes_of("tests/golden/llama-tiny-gqa", THIN);
}
static const char *changes_gpt2(void) {
    return changes_of("tests/golden/gpt2-tiny", THIN);
}
/* Long ones: every fifth pair, which has each plan on either side; what a sanitizer sees the others show
 * it. */
static const char *changes_with_bf16_and_unequal_prompts(void) {
    return THIN == 1 ? changes_of("configs/demo/llama", 5) : NULL;
}

/* There and back again: an arena that was dropped is filled anew. */
static const char *a_schedule_by_position(void) {
    static const char *const plans[] = {"megatron", "workflow2", "replica", "megatron", "alternate"};
    static const size_t from[] = {0, 12, 30, 80};
    flow f;
    size_t ran = 0;
    const char *bad = flow_open(&f, "configs/demo/llama");
    for (size_t pes = 2; pes < 6 && !bad; pes++) bad = check_change(&f, plans, from, 4, pes, pes == 3, &ran);
    return flow_close(&f, bad || ran == 4 ? bad : "not all ran");
}

/* --- one long prompt -------------------------------------------------------------------------- */

#define LONG                                                                                                 \
    "\"hidden_size\":24,\"intermediate_size\":40,\"num_hidden_layers\":4,\"num_attention_heads\":4,"         \
    "\"num_key_value_heads\":2,\"vocab_size\":61,\"max_position_embeddings\":1024}"

/* Tolerances are wider beyond 512 positions. */
static const char *seven_hundred_tokens(void) {
    static const char config[] = "{\"model_type\":\"llama\"," LONG;
    enum { TOKENS = 700 };
    flow f;
    int32_t ids[TOKENS];
    const int32_t *prompts[] = {ids};
    size_t length = TOKENS;
    const char *bad = flow_random(&f, config, 7);
    for (size_t i = 0; i < TOKENS; i++) ids[i] = (int32_t)(i * i % 61);
    omni_truth_free(f.truth);
    f.truth = NULL;
    if (!bad && omni_truth_compute(f.model, f.weights, prompts, &length, 1, 3, &f.stop, &f.truth, &f.err))
        bad = verdict("%s", f.err.text);
    if (!bad)
        bad = flow_check_list(&f,
                              "attn=tokens,pipeline,lockstep,lockstep:over=token,alternate:stages=2:chunk=33",
                              1, 3 * (PES_COUNT - 1));
    return flow_close(&f, bad);
}

static const omni_case cases[] = {
    {"meshes_llama", meshes_llama},
    {"meshes_gpt2", meshes_gpt2},
    {"meshes_bert", meshes_bert},
    {"meshes_of_unequal_prompts", meshes_of_unequal_prompts},
    {"changes_llama", changes_llama},
    {"changes_gpt2", changes_gpt2},
    {"changes_with_bf16_and_unequal_prompts", changes_with_bf16_and_unequal_prompts},
    {"a_schedule_by_position", a_schedule_by_position},
    {"seven_hundred_tokens", seven_hundred_tokens},
};
const omni_case_table cases_mesh = {"mesh", cases, COUNT(cases)};
