/* cases_encode_passes.c: the engine with an encoder while it runs: counters, pass after pass, no allocation,
 * ends when stopped, and what it refuses.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cases_encode.h"

static const size_t PES[PES_COUNT] = PES_LIST;

/* --- counters --------------------------------------------------------------------------------- */

static const char *count_one(flow *f, const char *plan, size_t pes, const sample *x) {
    record r;
    omni_counters want;
    static const size_t first[MOST_SEQUENCES];
    const char *bad = encode(f, plan, pes, 2, x, &r);
    if (bad) return bad;
    omni_plan_count(f->plan,
                    (omni_extent){.tokens = x->tokens,
                                  .sequences = x->sequences,
                                  .marks = x->marks,
                                  .first = first,
                                  .counts = x->counts},
                    &want);
    uint64_t host = 4 * (x->tokens + x->sequences) * f->model->shape.hidden + 4 * x->marks;
    if (!omni_counters_equal(&r.moved, &want)) bad = "the counters are not the plan's";
    if (want.host_bytes != host || want.host_messages != 2 + (x->marks > 0))
        bad = verdict("%llu bytes in %llu messages at the host port (expected %llu)",
                      (unsigned long long)want.host_bytes, (unsigned long long)want.host_messages,
                      (unsigned long long)host);
    free(r.state);
    return bad ? verdict("%s on %zu PEs, %zu marks: %s", plan, pes, x->marks, bad) : NULL;
}

static const char *counters_of_an_encode(void) {
    static const size_t steps[] = {0, 100, 3, 1};
    static sample x;
    flow f;
    golden g = {0};
    char **list = NULL;
    size_t count = 0;
    const char *bad = encode_open(&f, DEMO);
    if (!bad) bad = golden_read(DEMO, &g, &x);
    if (!bad && omni_plan_list(FIVE_PLANS "," ODD_PLANS, &list, &count, &f.err) != OMNI_OK)
        bad = verdict("%s", f.err.text);
    for (size_t i = 0; i < count && !bad; i += ODD_THIN)
        for (size_t k = 0; k < PES_COUNT && !bad; k++) {
            sample_mark(&x, steps[(i + k) % COUNT(steps)]);
            bad = count_one(&f, list[i], PES[k], &x);
        }
    if (list) omni_plan_list_free(list, count);
    golden_free(&g);
    return flow_close(&f, bad);
}

/* --- one engine, many passes ------------------------------------------------------------------ */

/* Long, then short without marks, then long again: nothing is left of a pass in the next. */
static const char *passes_in_a_row(flow *f, const char *plan, sample *x, const sample *small) {
    omni_engine *e;
    record first, between, again;
    if (!flow_plan(f, plan, 5)) return verdict("%s", f->err.text);
    const char *bad = encode_start(f, x, 2, NULL, &e);
    if (bad) return bad;
    if (!record_alloc(&first, &f->model->shape, x) || !record_alloc(&between, &f->model->shape, small) ||
        !record_alloc(&again, &f->model->shape, x))
        abort();
    size_t before = flow_allocations();
    bad = encode_pass(f, e, x, &first);
    if (!bad) bad = encode_pass(f, e, small, &between);
    if (!bad) bad = encode_pass(f, e, x, &again);
    if (!bad && flow_allocations() != before) bad = "a pass allocates";
    if (!bad && !record_same_bits(&first, &again)) bad = "the third pass has other bits than the first";
    omni_engine_reset(e);
    if (!bad) bad = encode_pass(f, e, x, &again);
    if (!bad && !record_same_bits(&first, &again)) bad = "after a reset there are other bits";
    omni_engine_free(e);
    free(first.state);
    free(between.state);
    free(again.state);
    return bad ? verdict("%s: %s", plan, bad) : NULL;
}

static const char *no_pass_leaves_a_trace(void) {
    static const char *const plans[] = {"single", "megatron", "workflow1", "workflow2",
                                        "alternate:edge=scatter"};
    static sample x, small;
    flow f;
    golden g = {0};
    const char *bad = encode_open(&f, DEMO);
    if (!bad) bad = golden_read(DEMO, &g, &x);
    memset(&small, 0, sizeof small);
    for (size_t s = 0; s < x.sequences; s++) sample_add(&small, 1 + s, 1024, 2);
    for (size_t i = 0; i < COUNT(plans) && !bad; i++) bad = passes_in_a_row(&f, plans[i], &x, &small);
    golden_free(&g);
    return flow_close(&f, bad);
}

static const char *the_null_fabric_runs_to_the_end(void) {
    static const char *const plans[] = {"single", "megatron", "workflow1", "workflow2", "alternate"};
    static sample x;
    flow f;
    golden g = {0};
    const char *bad = encode_open(&f, DEMO);
    if (!bad) bad = golden_read(DEMO, &g, &x);
    for (size_t i = 0; i < COUNT(plans) && !bad; i++) {
        omni_engine *e;
        record r;
        if (!flow_plan(&f, plans[i], 5)) bad = verdict("%s", f.err.text);
        if (bad || (bad = encode_start(&f, &x, 3, "null", &e))) break;
        if (!record_alloc(&r, &f.model->shape, &x)) abort();
        omni_encode io = encode_of(&x, &r);
        for (size_t turn = 0; turn < 3 && !bad; turn++)
            if (omni_engine_encode(e, &io, &f.err) != OMNI_OK) bad = verdict("%s", f.err.text);
        for (size_t m = 0; m < x.marks && !bad; m++)
            if (r.predicted[m] < 0 || r.predicted[m] >= 1024) bad = verdict("token %d", (int)r.predicted[m]);
        omni_engine_free(e);
        free(r.state);
    }
    golden_free(&g);
    return flow_close(&f, bad);
}

static void *stop_soon(void *arg) {
    struct timespec t = {.tv_nsec = 3000000};
    nanosleep(&t, NULL);
    omni_stop_set(arg, OMNI_INTERRUPTED);
    return NULL;
}

/* The stop word is set at some moment of an endless run of passes. */
static const char *stopped_in_the_middle(void) {
    static const char *const plans[] = {"megatron", "workflow2", "alternate:gather=bus"};
    static sample x;
    flow f;
    golden g = {0};
    const char *bad = encode_open(&f, DEMO);
    if (!bad) bad = golden_read(DEMO, &g, &x);
    for (size_t round = 0; round < 9 && !bad; round++) {
        omni_engine *e;
        pthread_t thread;
        record r;
        memset(&f.stop, 0, sizeof f.stop);
        if (!flow_plan(&f, plans[round % COUNT(plans)], 1 + round % 7)) bad = verdict("%s", f.err.text);
        if (bad || (bad = encode_start(&f, &x, 0, NULL, &e))) break;
        if (!record_alloc(&r, &f.model->shape, &x) || pthread_create(&thread, NULL, stop_soon, &f.stop) != 0)
            abort();
        omni_encode io = encode_of(&x, &r);
        omni_error err = {0};
        omni_status st = OMNI_OK;
        while (st == OMNI_OK) st = omni_engine_encode(e, &io, &err);
        pthread_join(thread, NULL);
        if (st != OMNI_INTERRUPTED) bad = verdict("round %zu ended with %d: %s", round, (int)st, err.text);
        omni_engine_free(e);
        free(r.state);
    }
    golden_free(&g);
    return flow_close(&f, bad);
}

/* --- what is refused -------------------------------------------------------------------------- */

static const char *expect_refusal(omni_engine *e, const omni_encode *io, const char *words) {
    omni_error err = {0};
    omni_status st = omni_engine_encode(e, io, &err);
    if (st == OMNI_BAD_INPUT && strstr(err.text, words)) return NULL;
    return verdict("ended with %d '%s' (expected 2 '%s')", (int)st, err.text, words);
}

/* Spoils one field of a good pass at a time; behind all that, the engine still runs. */
static const char *wrong_passes(flow *f, omni_engine *e, const sample *good, record *r) {
    static const struct {
        size_t marks, mark[4];
        const char *words;
    } wrong_marks[] = {
        {2, {3, 1}, "mark 1 is row 1 (expected ascending rows below 37)"},
        {2, {3, 3}, "mark 1 is row 3"},
        {1, {37}, "mark 0 is row 37"},
        {3, {0, 36, 99}, "mark 2 is row 99"},
        {1, {SIZE_MAX}, "mark 0 is row "},
        {4, {0, 1, 2, 3}, "4 marked tokens (expected at most 3)"},
    };
    static const struct {
        bool type;
        int32_t id;
        const char *words;
    } wrong_ids[] = {{false, 1024, "token id 1024 (expected 0 to 1023)"},
                     {false, -1, "token id -1"},
                     {true, 2, "token type 2 (expected 0 to 1)"},
                     {true, -1, "token type -1"},
                     {true, INT32_MAX, "token type 2147483647"}};
    static const size_t wrong_counts[][3] = {{0, 7, 14}, {17, 7, 13}, {16, 7, 15}, {16, 8, 13}};
    static sample x;
    const char *bad = NULL;
    for (size_t i = 0; i < COUNT(wrong_marks) && !bad; i++) {
        omni_encode io = encode_of(good, r);
        io.marks = wrong_marks[i].marks;
        io.mark = wrong_marks[i].mark;
        bad = expect_refusal(e, &io, wrong_marks[i].words);
    }
    for (size_t i = 0; i < COUNT(wrong_ids) && !bad; i++) {
        x = *good;
        (wrong_ids[i].type ? x.types : x.ids)[x.tokens - 1] = wrong_ids[i].id;
        omni_encode io = encode_of(&x, r);
        bad = expect_refusal(e, &io, wrong_ids[i].words);
    }
    for (size_t i = 0; i < COUNT(wrong_counts) && !bad; i++) {
        omni_encode io = encode_of(good, r);
        io.counts = wrong_counts[i];
        bad = expect_refusal(e, &io, "sequence ");
    }
    return bad ? bad : encode_pass(f, e, good, r);
}

static const char *what_makes_no_sense_is_refused(void) {
    static sample x;
    flow f;
    golden g = {0};
    omni_engine *e = NULL;
    record first, later;
    int32_t next[3];
    omni_error err = {0};
    const char *bad = encode_open(&f, DEMO);
    if (!bad) bad = golden_read(DEMO, &g, &x);
    if (!bad && !flow_plan(&f, "workflow1", 3)) bad = verdict("%s", f.err.text);
    if (!bad) bad = encode_start(&f, &x, 2, NULL, &e);
    if (bad) return flow_close(&f, bad);
    if (!record_alloc(&first, &f.model->shape, &x) || !record_alloc(&later, &f.model->shape, &x)) abort();
    bad = encode_pass(&f, e, &x, &first);
    if (!bad && (omni_engine_forward(e, x.ids, x.counts, next, &err) != OMNI_BAD_INPUT ||
                 !strstr(err.text, "bert models are encoders")))
        bad = verdict("an encoder went forward: %s", err.text);
    if (!bad) bad = wrong_passes(&f, e, &x, &later);
    if (!bad && !record_same_bits(&first, &later)) bad = "what was refused left a trace";
    omni_engine_free(e);
    free(first.state);
    free(later.state);
    golden_free(&g);
    return flow_close(&f, bad);
}

/* The engine has room for marks, the model has no head for them. */
static const char *marks_without_a_head_are_refused(void) {
    static sample x;
    flow f;
    golden g = {0};
    omni_engine *e = NULL;
    record r;
    const char *bad = encode_open(&f, TINY);
    if (!bad) bad = golden_read(TINY, &g, &x);
    sample_mark(&x, 5);
    if (!bad && !flow_plan(&f, "megatron", 2)) bad = verdict("%s", f.err.text);
    if (!bad) bad = encode_start(&f, &x, 2, NULL, &e);
    if (bad) return flow_close(&f, bad);
    if (!record_alloc(&r, &f.model->shape, &x)) abort();
    omni_encode io = encode_of(&x, &r);
    bad = expect_refusal(e, &io, "8 marked tokens, but the model has no MLM head");
    omni_engine_free(e);
    free(r.state);
    golden_free(&g);
    return flow_close(&f, bad);
}

static const char *decoders_do_not_encode(void) {
    static sample x;
    static float pooled[3 * 96];
    flow f;
    omni_engine *e = NULL;
    const char *bad = encode_open(&f, "tests/golden/llama-tiny-gqa");
    memset(&x, 0, sizeof x);
    sample_add(&x, 4, 211, 1);
    if (!bad && !flow_plan(&f, "megatron", 2)) bad = verdict("%s", f.err.text);
    if (!bad) bad = encode_start(&f, &x, 2, NULL, &e);
    if (bad) return flow_close(&f, bad);
    omni_encode io = {.ids = x.ids, .counts = x.counts, .pooled = pooled};
    bad = expect_refusal(e, &io, "llama models are no encoders");
    omni_engine_free(e);
    return flow_close(&f, bad);
}

static const omni_case cases[] = {
    {"counters_of_an_encode", counters_of_an_encode},
    {"no_pass_leaves_a_trace", no_pass_leaves_a_trace},
    {"the_null_fabric_runs_to_the_end", the_null_fabric_runs_to_the_end},
    {"stopped_in_the_middle", stopped_in_the_middle},
    {"what_makes_no_sense_is_refused", what_makes_no_sense_is_refused},
    {"marks_without_a_head_are_refused", marks_without_a_head_are_refused},
    {"decoders_do_not_encode", decoders_do_not_encode},
};
const omni_case_table cases_encode_passes = {"encode", cases, COUNT(cases)};
