/* bench_model.c: whole models through the engine: prefill, decode and encode over the families, and what the
 * executor itself costs.
 *
 * A model has real layers, but fewer of them, and random weights. It must be far larger than the caches, and
 * loses layers where the host lacks memory. Each run is held against the limits of the cores it uses:
 *
 *     decode            bytes of weights, keys and values a token, over read bandwidth
 *     prefill, encode   flops of the matrices, over BLIS's sgemm
 *
 * `null` is the fabric that moves nothing: the same run without communication. On a model of next to no
 * weights it leaves the floor: waking the workers, walking the steps, meeting at the end.
 */
#include <stdio.h>

#include "model_job.h"

enum { REPS = 5, PHASES = 2, RUNS = 8 };

/* --- what is measured ------------------------------------------------------------------------- */

typedef struct phase {
    const char *head, *of_head; /* of the table's columns */
    const char *key, *of_key;   /* in the JSON */
    bench_once *once;           /* tokens a second */
    bench_once *limit;
    double (*need)(const model_job *j); /* of what the limit counts, for a token */
} phase;
static const phase prefill = {
    .head = ">prefill, tokens/s",
    .of_head = ">% of BLIS",
    .key = "prefill_tokens_per_s",
    .of_key = "of_blis_peak",
    .once = job_prefill,
    .limit = bench_peak_flops,
    .need = job_flops,
};
static const phase decode = {
    .head = ">decode, tokens/s",
    .of_head = ">% of read",
    .key = "decode_tokens_per_s",
    .of_key = "of_read_bandwidth",
    .once = job_decode,
    .limit = bench_read_rate,
    .need = job_bytes,
};
static const phase encode = {
    .head = ">encode, tokens/s",
    .of_head = ">% of BLIS",
    .key = "encode_tokens_per_s",
    .of_key = "of_blis_peak",
    .once = job_encode,
    .limit = bench_peak_flops,
    .need = job_flops,
};

static const job_batch longer = {"1 x 512", 1, {512}, 8};
static const job_batch ragged = {"8 ragged", 8, {3, 5, 8, 12, 16, 21, 27, 36}, 8};

typedef struct run {
    const char *plan;
    size_t pes;
    const char *fabric;
    const job_batch *batch;
} run;

typedef struct family {
    const char *name, *config;
    job_size size;
    omni_dtype dtype;
    const phase *phases[PHASES]; /* in this order: decode goes on where prefill ended */
    run runs[RUNS];              /* as many as have a plan */
} family;

static const char gpt2_config[] =
    "{\"model_type\": \"gpt2\", \"n_layer\": %zu, \"n_embd\": %zu, \"n_inner\": %zu,"
    " \"n_head\": %zu, \"vocab_size\": %zu, \"n_positions\": 1024}";
static const char bert_config[] =
    "{\"model_type\": \"bert\", \"num_hidden_layers\": %zu, \"hidden_size\": %zu, \"intermediate_size\": %zu,"
    " \"num_attention_heads\": %zu, \"vocab_size\": %zu, \"max_position_embeddings\": 512,"
    " \"type_vocab_size\": 2}";

/* The layers of Llama-2-7B, of GPT-2 XL and of BERT-large. */
static const family families[] = {
    {"llama",
     job_llama,
     JOB_LLAMA_7B,
     OMNI_F32,
     {&prefill, &decode},
     {{"megatron", 1, "shm", &job_one},
      {"megatron", 2, "shm", &job_one},
      {"megatron", 64, "shm", &job_one},
      {"megatron", 2, "null", &job_one},
      {"megatron", 2, "shm", &longer},
      {"megatron", 2, "shm", &job_eight}}},
    {"llama",
     job_llama,
     JOB_LLAMA_7B,
     OMNI_BF16,
     {&prefill, &decode},
     {{"megatron", 2, "shm", &job_one},
      {"megatron", 64, "shm", &job_one},
      {"megatron", 2, "shm", &longer},
      {"megatron", 2, "shm", &job_eight}}},
    {"gpt2",
     gpt2_config,
     {4, 1600, 6400, 25, 4096},
     OMNI_F32,
     {&prefill, &decode},
     {{"megatron", 1, "shm", &job_one},
      {"megatron", 2, "shm", &job_one},
      {"megatron", 8, "shm", &job_one},
      {"workflow2", 2, "shm", &job_one}}},
    {"bert",
     bert_config,
     {6, 1024, 4096, 16, 4096},
     OMNI_F32,
     {&encode},
     {{"megatron", 1, "shm", &job_one},
      {"megatron", 2, "shm", &job_one},
      {"megatron", 8, "shm", &job_one},
      {"workflow2", 2, "shm", &job_one},
      {"megatron", 2, "shm", &ragged},
      {"megatron", 8, "shm", &ragged},
      {"workflow2", 2, "shm", &ragged}}},
};
static const job_size tiny = {4, 64, 64, 16, 64};

/* --- a family --------------------------------------------------------------------------------- */

static size_t phase_count(const family *f) {
    size_t n = 0;
    while (n < PHASES && f->phases[n]) n++;
    return n;
}

static omni_table *create_table(const family *f) {
    const char *heads[5 + 2 * PHASES] = {"plan", ">PEs", ">workers", "fabric", "batch"};
    size_t n = 5;
    for (size_t i = 0; i < phase_count(f); i++) {
        heads[n++] = f->phases[i]->head;
        heads[n++] = f->phases[i]->of_head;
    }
    return omni_table_create(heads, n);
}

/* What names a run, in both. */
static json_t *add_run(omni_table *t, const family *f, const model_job *j) {
    size_t workers = omni_engine_workers(j->engine);
    omni_table_cell(t, "%s", j->plan_text);
    omni_table_cell(t, "%zu", j->pes);
    omni_table_cell(t, "%zu", workers);
    omni_table_cell(t, "%s", j->fabric);
    omni_table_cell(t, "%s", j->batch->name);
    return json_pack("{s:s,s:s,s:s,s:i,s:i,s:s,s:i,s:i,s:I}", "family", f->name, "dtype",
                     omni_dtype_name(f->dtype), "plan", j->plan_text, "pes", (int)j->pes, "workers",
                     (int)workers, "fabric", j->fabric, "sequences", (int)j->batch->sequences, "tokens",
                     (int)j->tokens, "weight_bytes", (json_int_t)j->weight_bytes);
}

static void add_phase(omni_table *t, json_t *row, const phase *p, const model_job *j, bench_series s[2]) {
    bench_spread rate = bench_spread_of(s[0].sample, REPS);
    for (size_t r = 0; r < REPS; r++) s[0].sample[r] *= p->need(j);
    bench_spread ratio = bench_ratio(&s[0], &s[1], REPS);
    bench_cell(t, rate, 1);
    bench_cell(t, ratio, 100);
    json_object_set_new(row, p->key, bench_spread_json(rate));
    json_object_set_new(row, p->of_key, bench_spread_json(ratio));
}

/* All phases of a run and their limits, interleaved. */
static void measure_run(const family *f, model_job j, omni_table *t, json_t *rows) {
    size_t phases = phase_count(f);
    job_open(&j);
    bench_limit limit = {j.b, omni_engine_workers(j.engine)};
    bench_series s[2 * PHASES];
    for (size_t i = 0; i < phases; i++) {
        s[2 * i] = (bench_series){.once = f->phases[i]->once, .arg = &j};
        s[2 * i + 1] = (bench_series){.once = f->phases[i]->limit, .arg = &limit};
    }
    bench_measure(s, 2 * phases, REPS);
    json_t *row = add_run(t, f, &j);
    for (size_t i = 0; i < phases; i++) add_phase(t, row, f->phases[i], &j, &s[2 * i]);
    json_array_append_new(rows, row);
    job_close(&j);
}

static void show_family(const family *f, const job_size *s, omni_table *t, json_t *models) {
    char title[256];
    snprintf(title, sizeof title,
             "%s, %zu layers, hidden %zu, FFN %zu, %zu heads, vocabulary %zu, %s. "
             "Limits: those of as many cores as workers.",
             f->name, s->layers, s->hidden, s->ffn, s->heads, s->vocab, omni_dtype_name(f->dtype));
    bench_show(title, t);
    json_array_append_new(models, json_pack("{s:s,s:i,s:i,s:i,s:i,s:i}", "family", f->name, "layers",
                                            (int)s->layers, "hidden", (int)s->hidden, "ffn", (int)s->ffn,
                                            "heads", (int)s->heads, "vocab", (int)s->vocab));
}

static void bench_family(bench *b, const family *f, json_t *models, json_t *rows) {
    job_size size = job_fit(f->config, f->size, f->dtype);
    omni_model *model = job_model(f->config, &size);
    omni_weights *weights = job_weights(model, f->dtype);
    omni_table *t = create_table(f);
    for (const run *r = f->runs; r < f->runs + RUNS && r->plan; r++)
        measure_run(f,
                    (model_job){.b = b,
                                .model = model,
                                .weights = weights,
                                .plan_text = r->plan,
                                .fabric = r->fabric,
                                .pes = r->pes,
                                .batch = r->batch},
                    t, rows);
    show_family(f, &size, t, models);
    omni_weights_close(weights);
    omni_model_free(model);
}

static void bench_families(bench *b) {
    json_t *models = json_array(), *rows = json_array();
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        bench_family(b, &families[i], models, rows);
    bench_result(b, "models", models);
    bench_result(b, "engine", rows);
}

/* --- the floor -------------------------------------------------------------------------------- */

/* One token at a time through a model of next to no weights: nanoseconds a pass. */
typedef struct floor_job {
    model_job job;
    size_t passes;
} floor_job;

static double floor_once(void *arg) {
    floor_job *f = arg;
    uint64_t ns = 0;
    for (size_t i = 0; i < f->passes; i += job_one.decode) {
        (void)job_prefill(&f->job);
        uint64_t begin = omni_clock_ns();
        (void)job_decode(&f->job);
        ns += omni_clock_ns() - begin;
    }
    return (double)ns / (double)f->passes;
}

static void floor_row(bench *b, const omni_model *model, const omni_weights *weights, size_t pes,
                      omni_table *t, json_t *rows) {
    static const char *const kinds[] = {"null", "shm"};
    floor_job f[2];
    for (size_t k = 0; k < 2; k++) {
        f[k] = (floor_job){.job = {.b = b,
                                   .model = model,
                                   .weights = weights,
                                   .plan_text = "megatron",
                                   .fabric = kinds[k],
                                   .pes = pes,
                                   .batch = &job_one},
                           .passes = 8 * job_one.decode};
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
    omni_model *model = job_model(job_llama, &tiny);
    omni_weights *weights = job_weights(model, OMNI_F32);
    omni_table *t = omni_table_create(heads, 7);
    json_t *rows = json_array();
    for (size_t i = 0; i < sizeof pes / sizeof *pes; i++) floor_row(b, model, weights, pes[i], t, rows);
    bench_show("The executor's floor: decode of a Llama of 4 layers, hidden 64.", t);
    bench_result(b, "floor", rows);
    omni_weights_close(weights);
    omni_model_free(model);
}

int main(int argc, char **argv) {
    bench *b = bench_open(
        argc, argv, "model",
        "omni_engine_forward: prefill of the batch, then decode of 8 tokens each; omni_engine_encode of it",
        "random weights, packing, engine and threads");
    bench_families(b);
    bench_floor(b);
    return bench_close(b);
}
