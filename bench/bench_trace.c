/* bench_trace.c: what --trace costs, in two ways.
 *
 *   by sum     what an event costs in a loop, x how many the busiest worker records in a decode step, over a
 *              step without recording
 *   by clock   decode steps of an engine that records beside those of one that does not, in turn; and the same
 *              twice without recording, which says what such a ratio is worth on this machine
 *
 * The sum takes every event for time that is lost, also of a worker that would have waited. It is the figure
 * to trust where neighbours make steps vary by more than a few percent.
 */
#include <stdio.h>

#include "model_job.h"
#include "pe/pe.h"
#include "sync/meter.h"

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

/* --- an event --------------------------------------------------------------------------------- */

/* Those of a pass: OMNI_EVENT_COMPUTE, OMNI_EVENT_MESSAGE, OMNI_EVENT_WAIT. */
enum { KINDS = OMNI_EVENT_WAIT + 1, LOOP = 500000 /* of 40 bytes: more than a cache has */ };

/* A worker that does nothing but record. */
typedef struct recorder {
    omni_engine engine;
    worker worker;
    omni_event_kind kind;
} recorder;

static void recorder_open(recorder *r, omni_event_kind kind) {
    *r = (recorder){.kind = kind};
    r->engine = (omni_engine){.o = {.profile = true, .trace_events = LOOP}, .workers = 1};
    r->worker.engine = &r->engine;
    omni_ticks_start();
    if (!trace_create(&r->worker)) bench_need(NULL);
}

static void recorder_close(recorder *r) {
    omni_free(r->worker.trace.event);
}

/* ns of one, with all that is done for it. */
static double event_ns(void *arg) {
    static const omni_step compute = {.kind = OMNI_STEP_MATMUL}, message = {.kind = OMNI_STEP_BROADCAST};
    recorder *r = arg;
    worker *w = &r->worker;
    w->trace.count = 0;
    meter_begin(w);
    uint64_t begin = omni_clock_ns();
    for (size_t i = 0; i < LOOP; i++) {
        if (r->kind == OMNI_EVENT_COMPUTE) {
            trace_compute(w, &compute, 0);
        } else if (r->kind == OMNI_EVENT_MESSAGE) {
            trace_message(w, &message, 0, OMNI_EVENT_ALL, 512, true);
            meter_step(w, &message);
        } else {
            meter_add(sync_meter, omni_ticks());
        }
    }
    uint64_t end = omni_clock_ns();
    meter_end(w);
    return (double)(end - begin) / LOOP;
}

/* --- a step ----------------------------------------------------------------------------------- */

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

/* Events of each kind that the busiest worker records in a pass. */
static void count_events(const omni_engine *e, double each[KINDS]) {
    omni_recording of;
    double most = 0;
    omni_engine_recording(e, &of);
    for (size_t by = 0; by < of.workers; by++) {
        size_t count, kind[OMNI_EVENT_KV + 1] = {0};
        const omni_event *event = omni_engine_events(e, by, &count);
        for (size_t i = 0; i < count; i++) kind[event[i].kind]++;
        if ((double)count <= most) continue;
        most = (double)count;
        for (size_t k = 0; k < KINDS; k++) each[k] = (double)kind[k] / (double)of.passes;
    }
}

/* --- both ------------------------------------------------------------------------------------- */

enum { PLAIN, RECORDED, AGAIN, SIDES };

typedef struct figures {
    double events[KINDS];
    bench_spread event[KINDS], sum, recorded, again;
} figures;

static void take_figures(bench_series *series, figures *f) {
    bench_series sum = {.sample = {0}};
    for (size_t r = 0; r < BENCH_REPS; r++)
        for (size_t k = 0; k < KINDS; k++) sum.sample[r] += f->events[k] * series[SIDES + k].sample[r];
    f->sum = bench_ratio(&sum, &series[PLAIN], BENCH_REPS);
    f->recorded = bench_ratio(&series[RECORDED], &series[PLAIN], BENCH_REPS);
    f->again = bench_ratio(&series[AGAIN], &series[PLAIN], BENCH_REPS);
    for (size_t k = 0; k < KINDS; k++) f->event[k] = bench_spread_of(series[SIDES + k].sample, BENCH_REPS);
}

static void measure(bench *b, const size *s, size_t n, const omni_model *model, const omni_weights *weights,
                    figures *f) {
    static model_job j[SIDES];
    static recorder r[KINDS];
    bench_series series[SIDES + KINDS];
    for (size_t i = 0; i < SIDES; i++) {
        j[i] = (model_job){.b = b,
                           .model = model,
                           .weights = weights,
                           .plan_text = "megatron",
                           .fabric = "shm",
                           .pes = n,
                           .batch = &s->batch,
                           .trace_events = i == RECORDED ? EVENTS : 0};
        job_open(&j[i]);
        series[i] = (bench_series){.once = median_step, .arg = &j[i]};
    }
    for (size_t k = 0; k < KINDS; k++) {
        recorder_open(&r[k], (omni_event_kind)k);
        series[SIDES + k] = (bench_series){.once = event_ns, .arg = &r[k]};
    }
    bench_measure(series, SIDES + KINDS, BENCH_REPS);
    count_events(j[RECORDED].engine, f->events);
    take_figures(series, f);
    for (size_t i = 0; i < SIDES; i++) job_close(&j[i]);
    for (size_t k = 0; k < KINDS; k++) recorder_close(&r[k]);
}

static void percent_cell(omni_table *t, bench_spread s) {
    omni_table_cell(t, "%.2f %% (%.2f - %.2f)", 100 * s.median, 100 * s.min, 100 * s.max);
}

static void bench_size(bench *b, const size *s, size_t n, const omni_model *model,
                       const omni_weights *weights, omni_table *t, json_t *rows) {
    figures f;
    char key[64];
    measure(b, s, n, model, weights, &f);
    omni_table_cell(t, "%s", s->what);
    omni_table_cell(t, "%zu", n);
    for (size_t k = 0; k < KINDS; k++) omni_table_cell(t, "%.0f x %.0f ns", f.events[k], f.event[k].median);
    percent_cell(t, f.sum);
    bench_cell(t, f.recorded, 1);
    bench_cell(t, f.again, 1);
    snprintf(key, sizeof key, "%s_%zu", s->key, n);
    json_object_set_new(rows, key,
                        json_pack("{so,so,so}", "sum", bench_spread_json(f.sum), "recorded",
                                  bench_spread_json(f.recorded), "plain", bench_spread_json(f.again)));
}

int main(int argc, char **argv) {
    static const char *const heads[] = {"Llama",  ">PEs",        ">compute",          ">messages",
                                        ">waits", ">sum / step", ">recorded / plain", ">plain / plain"};
    bench *b = bench_open(argc, argv, "trace", "omni_engine_forward: decode steps behind a prompt of 16",
                          "the prompt, random weights, packing, engine and threads, writing the file");
    omni_table *t = omni_table_create(heads, sizeof heads / sizeof *heads);
    json_t *rows = json_object();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        omni_model *model = job_model(job_llama, &sizes[i].model);
        omni_weights *weights = job_weights(model, OMNI_F32);
        for (size_t k = 0; k < sizeof pes / sizeof *pes; k++)
            if (i == 0 || pes[k] == 2) bench_size(b, &sizes[i], pes[k], model, weights, t, rows);
        omni_weights_close(weights);
        omni_model_free(model);
    }
    bench_show(
        "Decode steps, plan megatron: events that the busiest worker records in one, and what they cost.", t);
    bench_result(b, "trace", rows);
    return bench_close(b);
}
