/* cases_engine.c: the engine while it runs: the same bits for any number of workers, no stray threads,
 * no allocation, ends when stopped, and what it refuses to start.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cases_flow.h"

/* --- same bits -------------------------------------------------------------------------------- */

enum { BITS_STEPS = 4 };

/* All layer states and logits of a short run, appended to out. */
static const char *record_run(flow *f, size_t workers, float *out, size_t *used) {
    const omni_prompt_truth *a = omni_truth_prompt(f->truth, 0), *b = omni_truth_prompt(f->truth, 1);
    const omni_shape *s = &f->model->shape;
    size_t counts[2] = {a->tokens, b->tokens}, capacity[2] = {a->tokens + BITS_STEPS, b->tokens + BITS_STEPS};
    int32_t ids[256], next[2];
    omni_engine *e;
    omni_engine_options o = flow_options(f);
    o.workers = workers;
    o.sequences = 2;
    o.capacity = capacity;
    o.max_tokens = a->tokens + b->tokens;
    o.taps = true;
    if (omni_engine_create(&o, &e, &f->err) != OMNI_OK) return verdict("%s", f->err.text);
    memcpy(ids, a->ids, a->tokens * sizeof *ids);
    memcpy(ids + a->tokens, b->ids, b->tokens * sizeof *ids);
    *used = 0;
    const char *bad = NULL;
    for (size_t step = 0; step < BITS_STEPS && !bad; step++) {
        size_t rows = (counts[0] + counts[1]) * s->hidden;
        if (omni_engine_forward(e, ids, counts, next, &f->err) != OMNI_OK) bad = verdict("%s", f->err.text);
        for (size_t l = 0; l <= s->layers && !bad; l++, *used += rows)
            memcpy(out + *used, omni_engine_tap(e, l), rows * sizeof *out);
        if (!bad) memcpy(out + *used, omni_engine_logits(e), 2 * s->vocab * sizeof *out);
        *used += 2 * s->vocab;
        memcpy(ids, next, sizeof next);
        counts[0] = counts[1] = 1;
    }
    omni_engine_free(e);
    return bad;
}

static const char *same_bits_for_any_workers(void) {
    static const char *const plans[] = {"megatron",          "workflow1",
                                        "workflow2",         "alternate",
                                        "o=out:gather=bus",  "workflow2:edge=scatter",
                                        "replica",           "pipeline:chunk=3",
                                        "megatron:groups=2", "workflow2:groups=2:stages=2"};
    static const size_t workers[] = {2, 2, 3, 5, 7};
    enum { MOST = 1 << 16 };
    float *one = malloc(MOST * sizeof *one), *other = malloc(MOST * sizeof *other);
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(plans) && !bad && one && other; i++) {
        size_t used, used_other;
        if (!flow_plan(&f, plans[i], 7)) bad = verdict("%s", f.err.text);
        if (!bad) bad = record_run(&f, 1, one, &used);
        for (size_t k = 0; k < COUNT(workers) && !bad; k++) {
            bad = record_run(&f, workers[k], other, &used_other);
            if (!bad && (used != used_other || memcmp(one, other, used * sizeof *one) != 0))
                bad = verdict("%s: %zu workers give other bits than one", plans[i], workers[k]);
        }
    }
    if (!one || !other) bad = "no memory";
    free(one);
    free(other);
    return flow_close(&f, bad);
}

#define SPLIT_OUT "qkv=out:attn=heads:o=out:ffn=out+out"

/* What only splits outputs, sequences or layers adds up every sum as one PE does; what splits inputs or positions does
 * not. The README says which is which. */
static const char *same_bits_as_single(void) {
    static const struct {
        const char *plan;
        bool same;
    } rows[] = {{"replica", true},
                {"pipeline", true},
                {"pipeline:stack=2:chunk=2", true},
                {"lockstep", true},
                {"lockstep:over=token", true},
                {"replica:over=token", true},
                {SPLIT_OUT, true},
                {SPLIT_OUT ":gather=bus", true},
                {SPLIT_OUT ":groups=2:stages=2", true},
                {"megatron", false},
                {"workflow1", false},
                {"workflow2", false},
                {"alternate", false},
                {"qkv=in:attn=heads:o=out:ffn=out+out", false},
                {"qkv=out:attn=tokens:o=out:ffn=out+out", false},
                {"qkv=out:attn=subheads:o=out:ffn=out+out", false}};
    enum { MOST = 1 << 16 };
    float *one = malloc(MOST * sizeof *one), *other = malloc(MOST * sizeof *other);
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    for (size_t pes = 9; pes < (THIN > 1 ? 10 : 13) && !bad && one && other; pes++) {
        size_t used, used_other;
        if (!flow_plan(&f, "single", pes)) bad = verdict("%s", f.err.text);
        if (!bad) bad = record_run(&f, 1, one, &used);
        for (size_t i = 0; i < COUNT(rows) && !bad; i++) {
            if (!flow_plan(&f, rows[i].plan, pes)) bad = verdict("%s", f.err.text);
            if (!bad) bad = record_run(&f, 2, other, &used_other);
            bool same = !bad && used == used_other && memcmp(one, other, used * sizeof *one) == 0;
            if (!bad && same != rows[i].same)
                bad = verdict("%s on %zu PEs: %s bits as single", rows[i].plan, pes,
                              same ? "the same" : "not the same");
        }
    }
    if (!one || !other) bad = "no memory";
    free(one);
    free(other);
    return flow_close(&f, bad);
}

/* --- while running ---------------------------------------------------------------------------- */

/* The linker sends every allocation of ours here (see the Makefile). */
static _Atomic size_t allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t a, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t a, size_t n);

void *__wrap_malloc(size_t n) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t m) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __real_calloc(n, m);
}
void *__wrap_realloc(void *p, size_t n) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __real_realloc(p, n);
}
void *__wrap_aligned_alloc(size_t a, size_t n) {
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __real_aligned_alloc(a, n);
}

size_t flow_allocations(void) {
    return atomic_load(&allocations);
}

typedef struct census {
    size_t threads, workers, shares; /* shares: named for so many PEs */
} census;

/* Counts the process's threads, by name. */
static census count_threads(const char *share) {
    census c = {0};
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *t; d && (t = readdir(d));) {
        char path[300], name[32] = "";
        if (t->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", t->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(name, sizeof name, f))
            c.workers += strncmp(name, "omni-w", 6) == 0, c.shares += strstr(name, share) != NULL;
        if (f) fclose(f);
        c.threads++;
    }
    if (d) closedir(d);
    return c;
}

/* An engine on the first prompt of the truth, and one pass over it. */
static const char *start_engine(flow *f, size_t workers, const char *fabric, size_t room, omni_engine **e,
                                int32_t *next) {
    const omni_prompt_truth *p = omni_truth_prompt(f->truth, 0);
    size_t capacity = p->tokens + room, counts = p->tokens;
    omni_engine_options o = flow_options(f);
    o.workers = workers;
    o.sequences = 1;
    o.capacity = &capacity;
    o.max_tokens = p->tokens;
    o.fabric = fabric;
    if (omni_engine_create(&o, e, &f->err) != OMNI_OK) return verdict("%s", f->err.text);
    if (omni_engine_forward(*e, p->ids, &counts, next, &f->err) == OMNI_OK) return NULL;
    omni_engine_free(*e);
    return verdict("%s", f->err.text);
}

static const char *threads_are_workers_and_the_caller(void) {
    static const size_t workers[] = {1, 2, 4, 8};
    static const char *const last[] = {"w0 pe0-7\n", "w1 pe4-7\n", "w3 pe6-7\n", "w7 pe7\n"};
    size_t before = count_threads(" pe").threads; /* a sanitizer may have one of its own */
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(workers) && !bad; i++) {
        omni_engine *e;
        int32_t next;
        if (!flow_plan(&f, "megatron", 8)) bad = verdict("%s", f.err.text);
        if (!bad) bad = start_engine(&f, workers[i], NULL, 1, &e, &next);
        if (bad) break;
        census c = count_threads(last[i]);
        if (c.threads != before + workers[i] || c.workers != workers[i] || c.shares != 1)
            bad = verdict("%zu workers: %zu threads before, %zu now; %zu named omni-w, %zu '%s'", workers[i],
                          before, c.threads, c.workers, c.shares, last[i]);
        omni_engine_free(e);
        if (!bad && count_threads(" pe").threads != before) bad = verdict("threads are left behind");
    }
    return flow_close(&f, bad);
}

static const char *no_allocation_after_set_up(void) {
    static const char *const plans[] = {"megatron", "workflow1:gather=bus", "workflow2:edge=scatter",
                                        "alternate"};
    flow f;
    const char *bad = flow_open(&f, "configs/demo/llama");
    for (size_t i = 0; i < COUNT(plans) && !bad; i++) {
        omni_engine *e;
        int32_t id;
        size_t one = 1;
        if (!flow_plan(&f, plans[i], 5)) bad = verdict("%s", f.err.text);
        if (!bad) bad = start_engine(&f, 2, NULL, 9, &e, &id);
        if (bad) break;
        size_t before = atomic_load(&allocations);
        for (size_t step = 0; step < 8 && !bad; step++)
            if (omni_engine_forward(e, &id, &one, &id, &f.err) != OMNI_OK) bad = verdict("%s", f.err.text);
        size_t now = atomic_load(&allocations);
        if (!bad && before == 0) bad = "the count of allocations does not work";
        if (!bad && now != before) bad = verdict("%s: %zu allocations in 8 passes", plans[i], now - before);
        omni_engine_free(e);
    }
    return flow_close(&f, bad);
}

static const char *the_null_fabric_runs_to_the_end(void) {
    flow f;
    const char *bad = flow_open(&f, "tests/golden/gpt2-tiny");
    char **list;
    size_t count;
    if (!bad && omni_plan_list(FIVE_PLANS, &list, &count, &f.err) != OMNI_OK) bad = verdict("%s", f.err.text);
    if (bad) return flow_close(&f, bad);
    for (size_t i = 0; i < count && !bad; i++) {
        omni_engine *e;
        int32_t id;
        size_t one = 1;
        if (!flow_plan(&f, list[i], 5)) bad = verdict("%s", f.err.text);
        if (!bad) bad = start_engine(&f, 3, "null", 5, &e, &id);
        if (bad) break;
        for (size_t step = 0; step < 5 && !bad; step++)
            if (omni_engine_forward(e, &id, &one, &id, &f.err) != OMNI_OK) bad = verdict("%s", f.err.text);
        omni_engine_free(e);
    }
    omni_plan_list_free(list, count);
    return flow_close(&f, bad);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void *stop_soon(void *arg) {
    struct timespec t = {.tv_nsec = 3000000};
    nanosleep(&t, NULL);
    omni_stop_set(arg, OMNI_INTERRUPTED);
    return NULL;
}

/* The stop word is set at some moment of an endless run; all return, nothing hangs, the next team starts
 * afresh. */
static const char *stopped_in_the_middle(void) {
    static const char *const plans[] = {"megatron", "workflow2", "alternate:gather=bus"};
    flow f;
    const char *bad = flow_open(&f, "configs/demo/gpt2");
    for (size_t round = 0; round < 12 && !bad; round++) {
        omni_engine *e;
        int32_t id;
        size_t one = 1, before = count_threads(" pe").threads;
        pthread_t thread;
        memset(&f.stop, 0, sizeof f.stop);
        if (!flow_plan(&f, plans[round % COUNT(plans)], 1 + round % 7)) bad = verdict("%s", f.err.text);
        if (!bad) bad = start_engine(&f, 0, NULL, 100, &e, &id);
        if (bad) break;
        if (pthread_create(&thread, NULL, stop_soon, &f.stop) != 0) return flow_close(&f, "no thread");
        omni_status st = OMNI_OK;
        for (;;) {
            omni_error err = {0};
            for (size_t step = 0; step < 90 && st == OMNI_OK; step++)
                st = omni_engine_forward(e, &id, &one, &id, &err);
            if (st != OMNI_OK) break;
            omni_engine_free(e);
            st = start_engine(&f, 0, NULL, 100, &e, &id) ? omni_stop_get(&f.stop) : OMNI_OK;
            if (st != OMNI_OK) e = NULL;
            if (st != OMNI_OK) break;
        }
        pthread_join(thread, NULL);
        if (st != OMNI_INTERRUPTED) bad = verdict("round %zu ended with %d", round, (int)st);
        omni_engine_free(e);
        if (!bad && count_threads(" pe").threads != before) bad = "threads are left behind";
    }
    return flow_close(&f, bad);
}

/* Whether binding is refused says the host, not the number of workers. */
static const char *more_workers_than_places_are_bound(void) {
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    size_t places = bad ? 0 : omni_topo_cpus(f.topo), capacity = 8;
    bool warned[2] = {false};
    for (size_t i = 0; i < 2 && !bad; i++) {
        omni_engine *e = NULL;
        if (!flow_plan(&f, "megatron", places + 3)) bad = verdict("%s", f.err.text);
        omni_engine_options o = flow_options(&f);
        o.sequences = 1;
        o.capacity = &capacity;
        o.max_tokens = 4;
        o.workers = i == 0 ? 1 : places + 3;
        if (!bad && omni_engine_create(&o, &e, &f.err) != OMNI_OK) bad = verdict("%s", f.err.text);
        for (size_t w = 0; w < o.workers && !bad; w++)
            if (omni_engine_cpu(e, w) != omni_topo_cpu(f.topo, w % places)->os_index)
                bad = verdict("worker %zu of %zu is on CPU %u", w, o.workers, omni_engine_cpu(e, w));
        if (!bad) warned[i] = omni_engine_warning(e) != NULL;
        omni_engine_free(e);
    }
    if (!bad && warned[1] && !warned[0])
        bad = verdict("%zu workers on %zu places: unbound", places + 3, places);
    return flow_close(&f, bad);
}

static const char *expect_refusal(flow *f, const omni_engine_options *o, omni_status want,
                                  const char *words) {
    omni_engine *e = NULL;
    omni_error err = {0};
    omni_status st = omni_engine_create(o, &e, &err);
    omni_engine_free(e);
    if (st == want && strstr(err.text, words)) return NULL;
    return verdict("ended with %d '%s' (expected %d '%s'); %s", (int)st, err.text, (int)want, words,
                   f->model->name);
}

static const char *what_cannot_run_is_refused(void) {
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    if (!bad && !flow_plan(&f, "megatron", 2)) bad = verdict("%s", f.err.text);
    if (bad) return flow_close(&f, bad);
    size_t capacity = 257;
    omni_engine_options good = flow_options(&f), o = good;
    good.sequences = 1;
    good.capacity = &capacity;
    good.max_tokens = 4;
    o = good;
    bad = expect_refusal(&f, &o, OMNI_BAD_INPUT, "257 positions (the model has 256)");
    capacity = 16;
    o.workers = 3;
    if (!bad) bad = expect_refusal(&f, &o, OMNI_BAD_INPUT, "3 workers for 2 PEs");
    o = good;
    o.fabric = "pigeons";
    if (!bad) bad = expect_refusal(&f, &o, OMNI_BAD_INPUT, "shm");
    o = good;
    o.max_tokens = (size_t)1 << 40; /* 2^40 x 96 floats and more */
    if (!bad) bad = expect_refusal(&f, &o, OMNI_BAD_INPUT, "are available");
    o.max_tokens = SIZE_MAX / 8;
    if (!bad) bad = expect_refusal(&f, &o, OMNI_BAD_INPUT, "are available");
    o = good;
    f.plan->step[f.plan->step_count - 2].cut = OMNI_CUT_BOUNDARY; /* a lone stage has none */
    if (!bad) bad = expect_refusal(&f, &o, OMNI_RUN_FAILED, "a piece of the bus that does not exist");
    f.plan->step[f.plan->step_count - 2].cut = OMNI_CUT_STAGE;
    omni_engine *e = NULL;
    int32_t ids[8] = {1, 2, 3, 211}, next;
    size_t counts = 4;
    if (!bad && omni_engine_create(&good, &e, &f.err) != OMNI_OK) bad = verdict("%s", f.err.text);
    static const struct {
        int32_t last;
        size_t count;
    } wrong[] = {{211, 4}, {-1, 4}, {0, 0}, {0, 5}, {0, 17}};
    for (size_t i = 0; i < COUNT(wrong) && !bad; i++) {
        ids[3] = wrong[i].last;
        counts = wrong[i].count;
        if (omni_engine_forward(e, ids, &counts, &next, NULL) != OMNI_BAD_INPUT)
            bad = verdict("wrong pass %zu was accepted", i);
    }
    omni_engine_free(e);
    return flow_close(&f, bad);
}

static const char *a_checkpoint_that_does_not_fit_is_refused(void) {
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    omni_weights *other = NULL;
    if (!bad && omni_weights_open_dir("tests/golden/llama-tiny-mha", &other, &f.err) != OMNI_OK)
        bad = verdict("%s", f.err.text);
    if (!bad && !flow_plan(&f, "megatron", 2)) bad = verdict("%s", f.err.text);
    size_t capacity = 8;
    omni_engine_options o = flow_options(&f);
    o.sequences = 1;
    o.capacity = &capacity;
    o.max_tokens = 4;
    o.weights = other;
    if (!bad) bad = expect_refusal(&f, &o, OMNI_BAD_INPUT, "has shape [211, 64] (expected [211, 96])");
    omni_weights_close(other);
    other = NULL;
    if (!bad && omni_weights_open_dir("tests/golden/gpt2-tiny", &other, &f.err) != OMNI_OK)
        bad = verdict("%s", f.err.text);
    o.weights = other;
    if (!bad) bad = expect_refusal(&f, &o, OMNI_BAD_INPUT, "is missing");
    omni_weights_close(other);
    return flow_close(&f, bad);
}

/* What is expected before the first byte is packed is what is packed, whatever the plan: the bar ends at its
 * end. */
static const char *the_meter_of_loading_ends_at_its_total(void) {
    static const char *const models[] = {"tests/golden/llama-tiny-gqa", "tests/golden/gpt2-tiny"};
    static const char *const plans[] = {"single", "megatron", "workflow2", "lockstep", "pipeline:groups=2"};
    const char *bad = NULL;
    for (size_t i = 0; i < COUNT(models) * COUNT(plans) && !bad; i++) {
        flow f;
        omni_meter meter = {0};
        omni_engine *e = NULL;
        size_t capacity = 8;
        bad = flow_open(&f, models[i / COUNT(plans)]);
        if (!bad && !flow_plan(&f, plans[i % COUNT(plans)], 5)) bad = verdict("%s", f.err.text);
        omni_engine_options o = flow_options(&f);
        o.sequences = 1;
        o.capacity = &capacity;
        o.max_tokens = 4;
        o.workers = 2;
        o.loading = &meter;
        if (!bad && omni_engine_create(&o, &e, &f.err) != OMNI_OK) bad = verdict("%s", f.err.text);
        uint64_t done = omni_meter_done(&meter), total = omni_meter_total(&meter);
        if (!bad && (done == 0 || done != total))
            bad = verdict("%s: %llu of %llu bytes", plans[i % COUNT(plans)], (unsigned long long)done,
                          (unsigned long long)total);
        omni_engine_free(e);
        bad = flow_close(&f, bad);
    }
    return bad;
}

static const omni_case cases[] = {
    {"same_bits_for_any_workers", same_bits_for_any_workers},
    {"same_bits_as_single", same_bits_as_single},
    {"threads_are_workers_and_the_caller", threads_are_workers_and_the_caller},
    {"no_allocation_after_set_up", no_allocation_after_set_up},
    {"the_null_fabric_runs_to_the_end", the_null_fabric_runs_to_the_end},
    {"more_workers_than_places_are_bound", more_workers_than_places_are_bound},
    {"stopped_in_the_middle", stopped_in_the_middle},
    {"what_cannot_run_is_refused", what_cannot_run_is_refused},
    {"a_checkpoint_that_does_not_fit_is_refused", a_checkpoint_that_does_not_fit_is_refused},
    {"the_meter_of_loading_ends_at_its_total", the_meter_of_loading_ends_at_its_total},
};
const omni_case_table cases_engine = {"engine", cases, COUNT(cases)};
