/* bench_trace.c: what --trace costs: decode steps of an engine that records beside those of one that does not, in turn. The
 * same twice without recording says what such a ratio is worth on this machine.
 */
#include <stdio.h>

#include "model_job.h"

enum { EVENTS = 3000000 };

typedef struct size {
    const char *what, *key;
    job_size model;
    job_batch batch;
} size;
static const size sizes[] = {
    {"0.8 M weights", "small", {4, 128, 344, 8, 512}, {"1 x 16", 1, {16}, 128}},
    {"29 M weights, 117 MB", "large", {2, 1024, 2816, 16, 4096}, {"1 x 16", 1, {16}, 12}},
};
static const size_t pes[] = {1, 2, 4};

enum { MOST_STEPS = 512 };

/* The median decode step behind a new prompt, ns: what disturbs a few of them counts for nothing. */
static double median_step(void *arg) {
    model_job *j = arg;
    double ns[MOST_STEPS];
    size_t one = 1, steps = j->batch->decode;
    omni_error err = {0};
    omni_engine_reset(j->engine);
    if (omni_engine_forward(j->engine, j->ids, j->batch->counts, j->next, &err)) bench_die(&err);
    for (size_t i = 0; i < steps; i++) {
        uint64_t begin = omni_clock_ns();
        if (omni_engine_forward(j->engine, j->next, &one, j->next, &err)) bench_die(&err);
        ns[i] = (double)(omni_clock_ns() - begin);
    }
    return omni_median(ns, steps);
}

/* Three in turn: plain, recorded, plain again. */
static void bench_size(bench *b, const size *s, size_t n, const omni_model *model,
                       const omni_weights *weights, omni_table *t, json_t *rows) {
    enum { SIDES = 3 };
    static model_job j[SIDES];
    bench_series series[SIDES];
    char key[64];
    for (size_t i = 0; i < SIDES; i++) {
        j[i] = (model_job){.b = b,
                           .model = model,
                           .weights = weights,
                           .plan_text = "megatron",
                           .fabric = "shm",
                           .pes = n,
                           .batch = &s->batch,
                           .trace_events = i == 1 ? EVENTS : 0};
        job_open(&j[i]);
        series[i] = (bench_series){.once = median_step, .arg = &j[i]};
    }
    bench_measure(series, SIDES, BENCH_REPS);
    omni_recording of;
    omni_engine_recording(j[1].engine, &of);
    bench_spread cost = bench_ratio(&series[1], &series[0], BENCH_REPS),
                 again = bench_ratio(&series[2], &series[0], BENCH_REPS);
    omni_table_cell(t, "%s", s->what);
    omni_table_cell(t, "%zu", n);
    bench_cell(t, cost, 1);
    bench_cell(t, again, 1);
    omni_table_cell(t, "%zu of %zu", of.passes, of.all_passes);
    snprintf(key, sizeof key, "%s_%zu", s->key, n);
    json_object_set_new(
        rows, key,
        json_pack("{so,so}", "recorded", bench_spread_json(cost), "plain", bench_spread_json(again)));
    for (size_t i = 0; i < SIDES; i++) job_close(&j[i]);
}

int main(int argc, char **argv) {
    static const char *const heads[] = {"Llama", ">PEs", ">time recorded / plain", ">plain / plain",
                                        ">passes recorded"};
    bench *b = bench_open(argc, argv, "trace", "omni_engine_forward: decode steps behind a prompt of 16",
                          "the prompt, random weights, packing, engine and threads, writing the file");
    omni_table *t = omni_table_create(heads, 5);
    json_t *rows = json_object();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        omni_model *model = job_model(job_llama, &sizes[i].model);
        omni_weights *weights = job_weights(model, OMNI_F32);
        for (size_t k = 0; k < sizeof pes / sizeof *pes; k++)
            if (i == 0 || pes[k] == 2) bench_size(b, &sizes[i], pes[k], model, weights, t, rows);
        omni_weights_close(weights);
        omni_model_free(model);
    }
    bench_show("Decode steps, plan megatron.", t);
    bench_result(b, "trace", rows);
    return bench_close(b);
}
