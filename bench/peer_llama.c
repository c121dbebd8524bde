/* peer_llama.c: the engine beside llama.cpp: the same Llama, the same dtype, the same cores.
 *
 *      random weights --+--> an engine of ours, loaded once
 *                       +--> a GGUF file ------> $LLAMA_BENCH, a process for each repetition
 *
 * Layers are Llama-2-7B's. Both generate from an empty cache, and prefill wants the logits of the last token
 * only. In each round ours, llama.cpp and the host's limit follow one another; ratios are formed round by
 * round.
 *
 * SKIPped without LLAMA_BENCH. TMPDIR takes the file (4 GB), and both programs want as much memory each.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gguf.h"
#include "model_job.h"

enum { REPS = 3 };

/* A test of llama-bench, and the same of ours. */
typedef struct peer_test {
    const char *name, *arguments;
    job_batch batch;
    bench_once *once, *limit;
    double (*need)(const model_job *j);
    const char *of;
} peer_test;
static const peer_test tests[] = {
    {"pp128", "-p 128 -n 0", {"1 x 128", 1, {128}, 0}, job_prefill, bench_peak_flops, job_flops, "BLIS"},
    {"pp512", "-p 512 -n 0", {"1 x 512", 1, {512}, 0}, job_prefill, bench_peak_flops, job_flops, "BLIS"},
    {"tg32", "-p 0 -n 32", {"1 x 1", 1, {1}, 32}, job_follow, bench_read_rate, job_bytes, "read"},
};
enum { TESTS = sizeof tests / sizeof *tests };

/* --- llama.cpp -------------------------------------------------------------------------------- */

typedef struct peer {
    char command[256]; /* its names come from the environment: LLAMA_BENCH, OMNIBUS_PEER_MODEL */
} peer;

/* Tokens a second of one run, which warms up first. */
static double peer_once(void *arg) {
    const peer *p = arg;
    FILE *out = popen(p->command, "r");
    json_t *root = out ? json_loadf(out, 0, NULL) : NULL;
    double rate = json_number_value(json_object_get(json_array_get(root, 0), "avg_ts"));
    json_decref(root);
    if (out && pclose(out) == 0 && rate > 0) return rate;
    omni_error err = {.status = OMNI_RUN_FAILED, .text = "LLAMA_BENCH: it did not report a rate"};
    bench_die(&err);
}

static void write_peer_model(const omni_model *model, const omni_weights *weights, omni_dtype dtype,
                             char path[256]) {
    omni_error err = {0};
    const char *tmp = getenv("TMPDIR");
    snprintf(path, 256, "%s/omnibus-peer-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    if (gguf_write(path, model, weights, dtype, &err)) {
        unlink(path);
        bench_die(&err);
    }
    setenv("OMNIBUS_PEER_MODEL", path, 1);
}

/* --- side by side ----------------------------------------------------------------------------- */

static void add_row(bench *b, omni_table *t, json_t *rows, const peer_test *test, omni_dtype dtype,
                    bench_series s[3], double need) {
    bench_spread ours = bench_spread_of(s[0].sample, REPS), theirs = bench_spread_of(s[1].sample, REPS);
    bench_spread ahead = bench_ratio(&s[0], &s[1], REPS);
    for (size_t r = 0; r < REPS; r++) s[0].sample[r] *= need;
    bench_spread of = bench_ratio(&s[0], &s[2], REPS);
    omni_table_cell(t, "%s", omni_dtype_name(dtype));
    omni_table_cell(t, "%s", test->name);
    bench_cell(t, ours, 1);
    bench_cell(t, theirs, 1);
    bench_cell(t, ahead, 1);
    bench_cell(t, of, 100);
    omni_table_cell(t, "%s", test->of);
    json_array_append_new(rows,
                          json_pack("{s:s,s:s,s:i,s:o,s:o,s:o,s:o}", "dtype", omni_dtype_name(dtype), "test",
                                    test->name, "threads", (int)bench_cores(b), "tokens_per_s",
                                    bench_spread_json(ours), "peer_tokens_per_s", bench_spread_json(theirs),
                                    "ratio", bench_spread_json(ahead), "of_limit", bench_spread_json(of)));
}

static void measure(bench *b, const omni_model *model, const omni_weights *weights, omni_dtype dtype,
                    const peer_test *test, omni_table *t, json_t *rows) {
    model_job j = {.b = b,
                   .model = model,
                   .weights = weights,
                   .plan_text = "megatron",
                   .fabric = "shm",
                   .pes = bench_cores(b),
                   .batch = &test->batch};
    peer llama;
    bench_limit limit = {b, bench_cores(b)};
    job_open(&j);
    snprintf(llama.command, sizeof llama.command,
             "\"$LLAMA_BENCH\" -m \"$OMNIBUS_PEER_MODEL\" -t %zu %s -r 1 -o json 2>/dev/null", bench_cores(b),
             test->arguments);
    bench_series s[] = {{.once = test->once, .arg = &j},
                        {.once = peer_once, .arg = &llama},
                        {.once = test->limit, .arg = &limit}};
    bench_measure(s, 3, REPS);
    add_row(b, t, rows, test, dtype, s, test->need(&j));
    job_close(&j);
}

static void measure_dtype(bench *b, const omni_model *model, omni_dtype dtype, omni_table *t, json_t *rows) {
    char path[256];
    omni_weights *weights = job_weights(model, dtype);
    write_peer_model(model, weights, dtype, path);
    for (size_t i = 0; i < TESTS; i++) measure(b, model, weights, dtype, &tests[i], t, rows);
    unlink(path);
    omni_weights_close(weights);
}

int main(int argc, char **argv) {
    static const char *const heads[] = {
        "weights",     ">test", ">omnibus, tokens/s", ">llama.cpp, tokens/s", ">x llama.cpp",
        ">% of limit", "limit"};
    if (!getenv("LLAMA_BENCH")) {
        puts("SKIP: llama.cpp: LLAMA_BENCH=path of its llama-bench is not set");
        return OMNI_OK;
    }
    bench *b = bench_open(argc, argv, "llama.cpp",
                          "omni_engine_forward; llama-bench's own average, a process each time",
                          "loading, packing, a first pass");
    const job_size size = JOB_LLAMA_7B;
    omni_model *model = job_model(job_llama, &size);
    omni_table *t = omni_table_create(heads, sizeof heads / sizeof *heads);
    json_t *rows = json_array();
    measure_dtype(b, model, OMNI_F32, t, rows);
    measure_dtype(b, model, OMNI_BF16, t, rows);
    bench_show("4 layers of Llama-2-7B, as many threads as cores, plan megatron.", t);
    bench_result(b, "llama_cpp", rows);
    omni_model_free(model);
    return bench_close(b);
}
