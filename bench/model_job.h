/* model_job.h: one model of random weights in one engine, as the benchmarks run it: prompts, what follows
 * them, whole sequences; and what such a pass costs at the least.
 *
 * Token rates count the tokens of the batch; sequences are not padded.
 */
#ifndef BENCH_MODEL_JOB_H
#define BENCH_MODEL_JOB_H

#include "common.h"
#include "omnibus/model.h"
#include "omnibus/pe.h"
#include "omnibus/plan.h"
#include "omnibus/weights.h"

/* --- a model ---------------------------------------------------------------------------------- */

typedef struct job_size {
    size_t layers, hidden, ffn, heads, vocab;
} job_size;

/* Llama; and an initializer: four of the layers of its 7B. */
extern const char job_llama[];
#define JOB_LLAMA_7B                                                                                         \
    { 4, 4096, 11008, 32, 32000 }
/* Half the layers, until the weights take at most a quarter of what is free. */
job_size job_fit(const char *config, job_size size, omni_dtype dtype);

/* config: the text of a config.json with a %zu for each member of the size, in its order. Free with
 * omni_model_free and omni_weights_close. */
omni_model *job_model(const char *config, const job_size *size);
omni_weights *job_weights(const omni_model *model, omni_dtype dtype);

/* --- a run ------------------------------------------------------------------------------------ */

enum { JOB_SEQUENCES = 8, JOB_TOKENS = 512 };

/* Prompts, of at most JOB_TOKENS in all, and then so many tokens more for each of them. */
typedef struct job_batch {
    const char *name;
    size_t sequences, counts[JOB_SEQUENCES], decode;
} job_batch;
extern const job_batch job_one, job_eight; /* "1 x 128", "8 x 16" and 8 each behind them */

typedef struct model_job {
    bench *b;
    const omni_model *model;
    const omni_weights *weights;
    const char *plan_text, *fabric;
    size_t pes;
    const job_batch *batch;
    size_t trace_events; /* room for so many; 0: none are recorded */
    /* from here on job_open's */
    omni_plan *plan;
    omni_engine *engine;
    uint64_t weight_bytes; /* of all PEs: matrices, biases and norms, but no table that is only looked up */
    size_t tokens;         /* of all prompts */
    size_t capacity[JOB_SEQUENCES];
    int32_t ids[JOB_TOKENS], next[JOB_SEQUENCES];
    float *pooled; /* [sequences, hidden]; encoders */
} model_job;

/* At most a worker a core. The job must stay where it is until it is closed. */
void job_open(model_job *j);
void job_close(model_job *j);

/* Tokens a second. The argument is the job. */
bench_once job_prefill; /* new prompts */
bench_once job_decode;  /* what follows them */
bench_once job_follow;  /* the same, behind new prompts that are not timed */
bench_once job_encode;  /* the same batch through an encoder */

/* What a token of the batch needs: flops of the matrices in prefill or encode; in decode bytes of weights,
 * and of keys and values. */
double job_flops(const model_job *j);
double job_bytes(const model_job *j);

#endif
