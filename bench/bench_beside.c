/* bench_beside.c: one run of a model beside another of the same model, in turn, repetition by repetition:
 * what more sequences, more PEs on the same cores, and narrower weights cost.
 */
#include "model_job.h"

enum { REPS = 5 };

typedef struct side {
    omni_dtype dtype;
    size_t pes;
    const job_batch *batch;
} side;

/* Two runs in turn: their rates' ratio, times `scale`. */
typedef struct pair {
    const char *what, *key;
    side side[2];
    bench_once *once;
    double scale;
} pair;
static const pair pairs[] = {
    {"F32, time of a decode step: batch 8 over batch 1",
     "batch_8_step_f32",
     {{OMNI_F32, 2, &job_one}, {OMNI_F32, 2, &job_eight}},
     job_follow,
     8},
    {"BF16, the same",
     "batch_8_step_bf16",
     {{OMNI_BF16, 2, &job_one}, {OMNI_BF16, 2, &job_eight}},
     job_follow,
     8},
    {"F32, decode rate: 64 PEs over 2 PEs",
     "pes_64_f32",
     {{OMNI_F32, 64, &job_one}, {OMNI_F32, 2, &job_one}},
     job_follow,
     1},
    {"BF16, the same", "pes_64_bf16", {{OMNI_BF16, 64, &job_one}, {OMNI_BF16, 2, &job_one}}, job_follow, 1},
    {"prefill rate: BF16 weights over F32",
     "prefill_bf16",
     {{OMNI_BF16, 2, &job_one}, {OMNI_F32, 2, &job_one}},
     job_prefill,
     1},
};

static void bench_pair(bench *b, const pair *p, const omni_model *model, omni_table *t, json_t *rows) {
    model_job j[2];
    bench_series s[2];
    omni_weights *weights[2];
    for (size_t i = 0; i < 2; i++) {
        weights[i] = job_weights(model, p->side[i].dtype);
        j[i] = (model_job){.b = b,
                           .model = model,
                           .weights = weights[i],
                           .plan_text = "megatron",
                           .fabric = "shm",
                           .pes = p->side[i].pes,
                           .batch = p->side[i].batch};
        job_open(&j[i]);
        s[i] = (bench_series){.once = p->once, .arg = &j[i]};
    }
    bench_measure(s, 2, REPS);
    for (size_t r = 0; r < REPS; r++) s[0].sample[r] *= p->scale;
    bench_spread ratio = bench_ratio(&s[0], &s[1], REPS);
    omni_table_cell(t, "%s", p->what);
    bench_cell(t, ratio, 1);
    json_object_set_new(rows, p->key, bench_spread_json(ratio));
    for (size_t i = 0; i < 2; i++) {
        job_close(&j[i]);
        omni_weights_close(weights[i]);
    }
}

static void bench_pairs(bench *b) {
    static const char *const heads[] = {"one run beside another", ">ratio"};
    const job_size whole = JOB_LLAMA_7B, size = job_fit(job_llama, whole, OMNI_F32);
    omni_model *model = job_model(job_llama, &size);
    omni_table *t = omni_table_create(heads, 2);
    json_t *rows = json_object();
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) bench_pair(b, &pairs[i], model, t, rows);
    bench_show("Layers of Llama-2-7B, plan megatron, 2 PEs unless it says otherwise.", t);
    bench_result(b, "pairs", rows);
    omni_model_free(model);
}

int main(int argc, char **argv) {
    bench *b = bench_open(argc, argv, "beside",
                          "omni_engine_forward: prefill of the batch, or decode of 8 tokens each behind it",
                          "random weights, packing, engine and threads");
    bench_pairs(b);
    return bench_close(b);
}
