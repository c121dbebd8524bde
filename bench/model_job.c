/* model_job.c: see model_job.h. */
#include <stdio.h>
#include <string.h>

#include "model_job.h"

const char job_llama[] =
    "{\"model_type\": \"llama\", \"hidden_act\": \"silu\", \"num_hidden_layers\": %zu, \"hidden_size\": %zu,"
    " \"intermediate_size\": %zu, \"num_attention_heads\": %zu, \"vocab_size\": %zu,"
    " \"max_position_embeddings\": 2048}";
const job_batch job_one = {"1 x 128", 1, {128}, 8};
const job_batch job_eight = {"8 x 16", 8, {16, 16, 16, 16, 16, 16, 16, 16}, 8};

/* --- a model ---------------------------------------------------------------------------------- */

omni_model *job_model(const char *config, const job_size *s) {
    char text[512];
    omni_error err = {0};
    omni_model *model;
    int length = snprintf(text, sizeof text, config, s->layers, s->hidden, s->ffn, s->heads, s->vocab);
    if (omni_model_parse(text, (size_t)length, "bench", &model, &err)) bench_die(&err);
    return model;
}

job_size job_fit(const char *config, job_size size, omni_dtype dtype) {
    for (; size.layers > 1; size.layers /= 2) {
        omni_model *model = job_model(config, &size);
        uint64_t bytes = omni_model_parameters(model) * omni_dtype_bytes(dtype);
        omni_model_free(model);
        if (bytes <= omni_topo_memory_available() / 4) break;
    }
    return size;
}

omni_weights *job_weights(const omni_model *model, omni_dtype dtype) {
    omni_error err = {0};
    omni_random_spec *spec;
    omni_weights *w;
    size_t count;
    if (omni_random_specs(model, dtype, &spec, &count, &err) ||
        omni_weights_open_random(spec, count, 1, &w, &err))
        bench_die(&err);
    omni_free(spec);
    return w;
}

/* --- opening and closing ---------------------------------------------------------------------- */

static void create_engine(model_job *j) {
    omni_error err = {0};
    size_t cores = bench_cores(j->b);
    omni_engine_options o = {.model = j->model,
                             .weights = j->weights,
                             .plan = j->plan,
                             .topo = bench_topo(j->b),
                             .workers = j->pes < cores ? j->pes : cores,
                             .fabric = j->fabric,
                             .sequences = j->batch->sequences,
                             .capacity = j->capacity,
                             .max_tokens = j->tokens,
                             .trace_events = j->trace_events,
                             .stop = bench_stop(j->b)};
    if (omni_engine_create(&o, &j->engine, &err)) bench_die(&err);
    for (size_t r = 0; r < j->pes; r++) {
        omni_memory m;
        omni_engine_memory(j->engine, r, &m);
        j->weight_bytes += m.weight_bytes;
    }
}

void job_open(model_job *j) {
    omni_error err = {0};
    omni_plan_spec spec;
    if (omni_plan_parse(j->plan_text, &spec, &err) ||
        omni_plan_compile(j->model, &spec, j->pes, &j->plan, &err))
        bench_die(&err);
    for (size_t i = 0; i < JOB_TOKENS; i++) j->ids[i] = (int32_t)(i * 31 % j->model->shape.vocab);
    for (size_t q = 0; q < j->batch->sequences; q++) {
        j->tokens += j->batch->counts[q];
        j->capacity[q] = j->batch->counts[q] + j->batch->decode;
    }
    j->pooled = omni_alloc_array(j->batch->sequences, j->model->shape.hidden * sizeof *j->pooled);
    bench_need(j->pooled);
    create_engine(j);
}

void job_close(model_job *j) {
    omni_engine_free(j->engine);
    omni_plan_free(j->plan);
    omni_free(j->pooled);
}

/* --- passes ----------------------------------------------------------------------------------- */

static void forward(model_job *j, const int32_t *ids, const size_t *counts) {
    omni_error err = {0};
    if (omni_engine_forward(j->engine, ids, counts, j->next, &err)) bench_die(&err);
}

double job_prefill(void *arg) {
    model_job *j = arg;
    omni_engine_reset(j->engine);
    uint64_t begin = omni_clock_ns();
    forward(j, j->ids, j->batch->counts);
    return (double)j->tokens * 1e9 / (double)(omni_clock_ns() - begin);
}

double job_decode(void *arg) {
    static const size_t one_each[JOB_SEQUENCES] = {1, 1, 1, 1, 1, 1, 1, 1};
    model_job *j = arg;
    uint64_t begin = omni_clock_ns();
    for (size_t i = 0; i < j->batch->decode; i++) {
        int32_t ids[JOB_SEQUENCES];
        memcpy(ids, j->next, sizeof ids);
        forward(j, ids, one_each);
    }
    return (double)(j->batch->sequences * j->batch->decode) * 1e9 / (double)(omni_clock_ns() - begin);
}

double job_follow(void *arg) {
    (void)job_prefill(arg);
    return job_decode(arg);
}

double job_encode(void *arg) {
    model_job *j = arg;
    omni_error err = {0};
    omni_encode io = {.ids = j->ids, .counts = j->batch->counts, .pooled = j->pooled};
    uint64_t begin = omni_clock_ns();
    if (omni_engine_encode(j->engine, &io, &err)) bench_die(&err);
    return (double)j->tokens * 1e9 / (double)(omni_clock_ns() - begin);
}

/* --- what they cost --------------------------------------------------------------------------- */

static double matrix_elements(const omni_op *op, size_t ops) {
    double sum = 0;
    for (size_t i = 0; i < ops; i++)
        for (size_t j = 0; j < op[i].matrices; j++)
            sum += (double)op[i].matrix[j].in * (double)op[i].matrix[j].out;
    return sum;
}

/* A multiply-add is two. What is behind the layers sees one row of each sequence. Attention is left out: 2 %
 * at most of a layer of hidden 1024 or more. */
double job_flops(const model_job *j) {
    const omni_model *m = j->model;
    double layers = matrix_elements(m->layer_ops, m->layer_op_count) * (double)m->shape.layers;
    double final = matrix_elements(m->final_ops, m->final_op_count);
    return 2 * (layers + final * (double)j->batch->sequences / (double)j->tokens);
}

/* A step reads all weights once, and every sequence its keys and values: half of what decode adds, on
 * average. */
double job_bytes(const model_job *j) {
    const omni_shape *shape = &j->model->shape;
    double position = (double)(2 * shape->kv_heads * shape->head_dim * shape->layers) * sizeof(float), kv = 0;
    for (size_t q = 0; q < j->batch->sequences; q++)
        kv += position * ((double)j->batch->counts[q] + (double)(j->batch->decode + 1) / 2);
    return ((double)j->weight_bytes + kv) / (double)j->batch->sequences;
}
