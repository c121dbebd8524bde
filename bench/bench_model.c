/* bench_model.c: a whole model through the engine: prefill, decode, and what the executor itself costs.
 *
 * The model has a Llama layer's shape, thinned, with random weights; it must be far larger than the caches,
 * and is made smaller where the host lacks memory. Each plan is held against the limits of the cores it uses:
 *
 *     decode    weight bytes a token, over read bandwidth
 *     prefill   flops of the matrices, over BLIS's sgemm
 *
 * `null` is the fabric that moves nothing: the same run without communication. On a model of next to no
 * weights it leaves the floor: waking the workers, walking the steps, meeting at the end.
 */
#include <stdio.h>
#include <string.h>

#include "common.h"
#include "omnibus/model.h"
#include "omnibus/pe.h"
#include "omnibus/plan.h"
#include "omnibus/weights.h"

enum { REPS = 5, PROMPT = 128, DECODE = 8 };

typedef struct model_size {
    size_t layers, hidden, ffn, heads, vocab;
} model_size;
static const model_size sizes[] = {{4, 2048, 5504, 16, 4096},
                                   {2, 2048, 5504, 16, 4096},
                                   {2, 1024, 2752, 16, 4096},
                                   {1, 1024, 2752, 16, 1024}};
static const model_size tiny = {4, 64, 64, 16, 64};

/* --- a model of random weights ---------------------------------------------------------------- */

static omni_model *make_model(const model_size *s) {
    char text[512];
    omni_error err = {0};
    omni_model *model;
    int length = snprintf(text, sizeof text,
                          "{\"model_type\": \"llama\", \"hidden_act\": \"silu\", \"num_hidden_layers\": %zu,"
                          " \"hidden_size\": %zu, \"intermediate_size\": %zu, \"num_attention_heads\": %zu,"
                          " \"vocab_size\": %zu, \"max_position_embeddings\": 2048}",
                          s->layers, s->hidden, s->ffn, s->heads, s->vocab);
    if (omni_model_parse(text, (size_t)length, "bench", &model, &err)) bench_die(&err);
    return model;
}

static omni_weights *make_weights(const omni_model *model) {
    omni_error err = {0};
    omni_random_spec *spec;
    omni_weights *w;
    size_t count;
    if (omni_random_specs(model, OMNI_F32, &spec, &count, &err) ||
        omni_weights_open_random(spec, count, 1, &w, &err))
        bench_die(&err);
    omni_free(spec);
    return w;
}

/* Multiply-adds of the matrices for the prompt, twice: the head sees one row. Attention is left out (1 %
 * here).
 */
static double prefill_flops(const omni_model *model) {
    double layer = 0, head = (double)model->shape.hidden * (double)model->shape.vocab;
    for (size_t i = 0; i < model->layer_op_count; i++)
        for (size_t j = 0; j < model->layer_ops[i].matrices; j++)
            layer += (double)model->layer_ops[i].matrix[j].in * (double)model->layer_ops[i].matrix[j].out;
    return 2 * (layer * (double)model->shape.layers * PROMPT + head);
}

/* The largest whose weights take at most a quarter of what is free. */
static const model_size *choose_size(void) {
    size_t i = 0, last = sizeof sizes / sizeof *sizes - 1;
    for (; i < last; i++) {
        omni_model *model = make_model(&sizes[i]);
        uint64_t bytes = omni_model_parameters(model) * sizeof(float);
        omni_model_free(model);
        if (bytes <= omni_topo_memory_available() / 4) break;
    }
    return &sizes[i];
}

/* --- a run ------------------------------------------------------------------------------------ */

typedef struct model_job {
    bench *b;
    const omni_model *model;
    const omni_weights *weights;
    size_t pes;
    const char *fabric;
    omni_plan *plan;
    omni_engine *engine;
    uint64_t weight_bytes; /* over all PEs: read once for a token */
    size_t capacity;
    int32_t next;
} model_job;

static void job_open(model_job *j) {
    omni_error err = {0};
    omni_plan_spec spec;
    if (omni_plan_parse("megatron", &spec, &err) ||
        omni_plan_compile(j->model, &spec, j->pes, &j->plan, &err))
        bench_die(&err);
    j->capacity = PROMPT + DECODE;
    size_t cores = bench_cores(j->b);
    omni_engine_options o = {.model = j->model, .weights = j->weights, .plan = j->plan};
    o.topo = bench_topo(j->b);
    o.workers = j->pes < cores ? j->pes : cores;
    o.fabric = j->fabric;
    o.sequences = 1;
    o.capacity = &j->capacity;
    o.max_tokens = PROMPT;
    o.stop = bench_stop(j->b);
    if (omni_engine_create(&o, &j->engine, &err)) bench_die(&err);
    for (size_t r = 0; r < j->pes; r++) {
        omni_memory m;
        omni_engine_memory(j->engine, r, &m);
        j->weight_bytes += m.weight_bytes;
    }
}

static void job_close(model_job *j) {
    omni_engine_free(j->engine);
    omni_plan_free(j->plan);
}

static void forward(model_job *j, const int32_t *ids, size_t count) {
    omni_error err = {0};
    if (omni_engine_forward(j->engine, ids, &count, &j->next, &err)) bench_die(&err);
}

/* A new prompt; tokens a second. */
static double prefill_once(void *arg) {
    model_job *j = arg;
    int32_t ids[PROMPT];
    for (size_t i = 0; i < PROMPT; i++) ids[i] = (int32_t)(i * 31 % j->model->shape.vocab);
    omni_engine_reset(j->engine);
    uint64_t begin = omni_clock_ns();
    forward(j, ids, PROMPT);
    return PROMPT * 1e9 / (double)(omni_clock_ns() - begin);
}

/* What follows that prompt; tokens a second. */
static double decode_once(void *arg) {
    model_job *j = arg;
    uint64_t begin = omni_clock_ns();
    for (size_t i = 0; i < DECODE; i++) {
        int32_t id = j->next;
        forward(j, &id, 1);
    }
    return DECODE * 1e9 / (double)(omni_clock_ns() - begin);
}

/* --- tables ----------------------------------------------------------------------------------- */

static void add_row(omni_table *t, json_t *rows, const model_job *j, bench_series s[4]) {
    bench_spread prefill = bench_spread_of(s[0].sample, REPS), decode = bench_spread_of(s[1].sample, REPS);
    for (size_t r = 0; r < REPS; r++) {
        s[0].sample[r] *= prefill_flops(j->model) / PROMPT;
        s[1].sample[r] *= (double)j->weight_bytes;
    }
    bench_spread of_read = bench_ratio(&s[1], &s[2], REPS), of_peak = bench_ratio(&s[0], &s[3], REPS);
    size_t workers = omni_engine_workers(j->engine);
    omni_table_cell(t, "%zu", j->pes);
    omni_table_cell(t, "%zu", workers);
    omni_table_cell(t, "%s", j->fabric);
    bench_cell(t, decode, 1);
    bench_cell(t, of_read, 100);
    bench_cell(t, prefill, 1);
    bench_cell(t, of_peak, 100);
    json_array_append_new(
        rows, json_pack("{s:i,s:i,s:s,s:I,s:o,s:o,s:o,s:o}", "pes", (int)j->pes, "workers", (int)workers,
                        "fabric", j->fabric, "weight_bytes", (json_int_t)j->weight_bytes,
                        "decode_tokens_per_s", bench_spread_json(decode), "of_read_bandwidth",
                        bench_spread_json(of_read), "prefill_tokens_per_s", bench_spread_json(prefill),
                        "of_blis_peak", bench_spread_json(of_peak)));
}

static void measure_row(model_job j, omni_table *t, json_t *rows) {
    job_open(&j);
    bench_limit limit = {j.b, omni_engine_workers(j.engine)};
    bench_series s[] = {{.once = prefill_once, .arg = &j},
                        {.once = decode_once, .arg = &j},
                        {.once = bench_read_rate, .arg = &limit},
                        {.once = bench_peak_flops, .arg = &limit}};
    bench_measure(s, 4, REPS);
    add_row(t, rows, &j, s);
    job_close(&j);
}

static void bench_engine(bench *b) {
    static const char *const heads[] = {">PEs",       ">workers",           "fabric",    ">decode, tokens/s",
                                        ">% of read", ">prefill, tokens/s", ">% of BLIS"};
    static const struct {
        size_t pes;
        const char *fabric;
    } runs[] = {{1, "shm"}, {2, "shm"}, {8, "shm"}, {2, "null"}, {8, "null"}};
    const model_size *s = choose_size();
    omni_model *model = make_model(s);
    omni_weights *weights = make_weights(model);
    omni_table *t = omni_table_create(heads, 7);
    json_t *rows = json_array();
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        measure_row(
            (model_job){
                .b = b, .model = model, .weights = weights, .pes = runs[i].pes, .fabric = runs[i].fabric},
            t, rows);
    char title[256];
    snprintf(
        title, sizeof title,
        "Llama shape, %zu layers, hidden %zu, FFN %zu, %zu heads, vocabulary %zu, float32; plan megatron. "
        "Limits: those of as many cores as workers.",
        s->layers, s->hidden, s->ffn, s->heads, s->vocab);
    bench_show(title, t);
    bench_result(b, "model",
                 json_pack("{s:i,s:i,s:i,s:i,s:i}", "layers", (int)s->layers, "hidden", (int)s->hidden, "ffn",
                           (int)s->ffn, "heads", (int)s->heads, "vocab", (int)s->vocab));
    bench_result(b, "engine", rows);
    omni_weights_close(weights);
    omni_model_free(model);
}

/* One token at a time through a model of next to no weights: nanoseconds a pass. */
typedef struct floor_job {
    model_job job;
    size_t passes;
} floor_job;

static double floor_once(void *arg) {
    floor_job *f = arg;
    uint64_t ns = 0;
    for (size_t i = 0; i < f->passes; i += DECODE) {
        (void)prefill_once(&f->job);
        uint64_t begin = omni_clock_ns();
        (void)decode_once(&f->job);
        ns += omni_clock_ns() - begin;
    }
    return (double)ns / (double)f->passes;
}

static void floor_row(bench *b, const omni_model *model, const omni_weights *weights, size_t pes,
                      omni_table *t, json_t *rows) {
    static const char *const kinds[] = {"null", "shm"};
    floor_job f[2];
    for (size_t k = 0; k < 2; k++) {
        f[k] =
            (floor_job){.job = {.b = b, .model = model, .weights = weights, .pes = pes, .fabric = kinds[k]},
                        .passes = 8 * DECODE};
        job_open(&f[k].job);
    }
    bench_limit two = {b, 2};
    bench_series s[] = {{.once = floor_once, .arg = &f[0]},
                        {.once = floor_once, .arg = &f[1]},
                        {.once = bench_handoff_ns, .arg = &two}};
    bench_measure(s, 3, BENCH_REPS);
    bench_spread null = bench_spread_of(s[0].sample, BENCH_REPS),
                 shm = bench_spread_of(s[1].sample, BENCH_REPS);
    bench_spread ratio = bench_ratio(&s[0], &s[2], BENCH_REPS);
    size_t steps = f[0].job.plan->step_count;
    omni_table_cell(t, "%zu", pes);
    omni_table_cell(t, "%zu", omni_engine_workers(f[0].job.engine));
    omni_table_cell(t, "%zu", steps);
    bench_cell(t, null, 1e-3);
    bench_cell(t, null, 1 / (double)steps);
    bench_cell(t, ratio, 1);
    bench_cell(t, shm, 1e-3);
    json_array_append_new(rows, json_pack("{s:i,s:i,s:o,s:o,s:o}", "pes", (int)pes, "steps", (int)steps,
                                          "null_ns", bench_spread_json(null), "null_ratio_to_handoff",
                                          bench_spread_json(ratio), "shm_ns", bench_spread_json(shm)));
    for (size_t k = 0; k < 2; k++) job_close(&f[k].job);
}

static void bench_floor(bench *b) {
    static const char *const heads[] = {">PEs",       ">workers", ">steps",         ">null, us a pass",
                                        ">ns a step", ">x L",     ">shm, us a pass"};
    static const size_t pes[] = {1, 2, 8};
    omni_model *model = make_model(&tiny);
    omni_weights *weights = make_weights(model);
    omni_table *t = omni_table_create(heads, 7);
    json_t *rows = json_array();
    for (size_t i = 0; i < sizeof pes / sizeof *pes; i++) floor_row(b, model, weights, pes[i], t, rows);
    bench_show("The executor's floor: decode of a model of 4 layers, hidden 64.", t);
    bench_result(b, "floor", rows);
    omni_weights_close(weights);
    omni_model_free(model);
}

int main(int argc, char **argv) {
    bench *b = bench_open(argc, argv, "model",
                          "omni_engine_forward: prefill of 128 tokens, then decode of 8, one sequence",
                          "random weights, packing, engine and threads");
    bench_engine(b);
    bench_floor(b);
    return bench_close(b);
}
