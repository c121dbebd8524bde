/* bench_attention.c: attention on one core and on all, against what the machine can do.
 *
 *     decode    one query, 2,000 keys: every key and value is read once for all heads of its group, so the
 *               limit is reading
 *     prefill   512 queries at the end of 512 keys (causal): the limit is arithmetic, of which a query does
 *               only what its own keys need
 *
 * Decode walks over so many key-value heads that none is found in the last cache. Whichever of both limits is
 * near 100 % is what holds it.
 */
#include <math.h>
#include <stdio.h>

#include "common.h"
#include "omnibus/kernel.h"

enum { REPS = 7, DECODE_KEYS = 2000, PREFILL_TOKENS = 512, PREFILL_HEADS = 8, MOST_CORES = 64 };
#define KV_BYTES ((size_t)256 << 20) /* of a core, at least: keys and values of all heads */

typedef struct attention_core {
    float *q, *out, *scratch, *k, *v; /* [queries, heads, hd], the same, ..., [kv_heads, keys, hd] */
    uint32_t *kv_of;
} attention_core;

typedef struct attention_job {
    bench *b;
    size_t cores, queries, keys, heads, kv_heads, head_dim;
    attention_core core[MOST_CORES];
} attention_job;

static size_t kv_floats(const attention_job *j) {
    return j->kv_heads * j->keys * j->head_dim;
}

static size_t row_floats(const attention_job *j) {
    return j->heads * j->head_dim;
}

/* On the thread that will use it: first touch. */
static void job_fill(void *arg, size_t worker) {
    attention_job *j = arg;
    attention_core *c = &j->core[worker];
    for (size_t i = 0; i < kv_floats(j); i++) c->k[i] = c->v[i] = (float)(i % 19) * 0.0625f - 0.5f;
    for (size_t i = 0; i < j->queries * row_floats(j); i++) c->q[i] = (float)(i % 13) * 0.125f - 0.75f;
    for (size_t i = 0; i < j->heads; i++) c->kv_of[i] = (uint32_t)(i / (j->heads / j->kv_heads));
}

static void job_open(attention_job *j) {
    for (size_t w = 0; w < j->cores; w++) {
        attention_core *c = &j->core[w];
        c->k = bench_pages(kv_floats(j) * sizeof *c->k);
        c->v = bench_pages(kv_floats(j) * sizeof *c->v);
        c->q = omni_alloc_array(j->queries * row_floats(j), sizeof *c->q);
        c->out = omni_alloc_array(j->queries * row_floats(j), sizeof *c->out);
        c->scratch = omni_alloc_array(omni_attention_scratch_floats(j->keys), sizeof *c->scratch);
        c->kv_of = omni_alloc_array(j->heads, sizeof *c->kv_of);
        bench_need(c->q);
        bench_need(c->out);
        bench_need(c->scratch);
        bench_need(c->kv_of);
    }
    bench_team_ns(j->b, j->cores, job_fill, j);
}

static void job_close(attention_job *j) {
    for (size_t w = 0; w < j->cores; w++) {
        attention_core *c = &j->core[w];
        bench_pages_free(c->k, kv_floats(j) * sizeof *c->k);
        bench_pages_free(c->v, kv_floats(j) * sizeof *c->v);
        void *all[] = {c->q, c->out, c->scratch, c->kv_of};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) omni_free(all[i]);
    }
}

static void job_work(void *arg, size_t worker) {
    const attention_job *j = arg;
    const attention_core *c = &j->core[worker];
    omni_attention a = {.q = c->q,
                        .ldq = row_floats(j),
                        .queries = j->queries,
                        .query_first = j->keys - j->queries,
                        .heads = j->heads,
                        .head_dim = j->head_dim,
                        .kv_of = c->kv_of,
                        .k = c->k,
                        .v = c->v,
                        .capacity = j->keys,
                        .keys = j->keys,
                        .key_stride = 1,
                        .scale = 1 / sqrtf((float)j->head_dim),
                        .out = c->out,
                        .ldo = row_floats(j),
                        .scratch = c->scratch};
    omni_attention_run(&a);
}

/* Seconds^-1 of all heads, on all cores together. */
static double job_once(void *arg) {
    attention_job *j = arg;
    return (double)j->cores * 1e9 / bench_team_ns(j->b, j->cores, job_work, j);
}

static bench_series scaled(const bench_series *s, double by) {
    bench_series out = *s;
    for (size_t r = 0; r < REPS; r++) out.sample[r] *= by;
    return out;
}

/* Two products of what each query sees: q k^T and p v. */
static double job_flops(const attention_job *j) {
    double seen = (double)j->queries * ((double)(j->keys - j->queries) + (double)(j->queries + 1) / 2);
    return 4 * seen * (double)row_floats(j);
}

static void add_row(omni_table *t, json_t *rows, const attention_job *j, const bench_series s[3]) {
    bench_series bytes = scaled(&s[0], 2.0 * sizeof(float) * (double)kv_floats(j)),
                 flops = scaled(&s[0], job_flops(j));
    bench_spread rate = bench_spread_of(bytes.sample, REPS), speed = bench_spread_of(flops.sample, REPS);
    bench_spread of_read = bench_ratio(&bytes, &s[1], REPS), of_peak = bench_ratio(&flops, &s[2], REPS);
    omni_table_cell(t, "%s", j->queries == 1 ? "decode" : "prefill");
    omni_table_cell(t, "%zu", j->cores);
    omni_table_cell(t, "%zu", j->head_dim);
    omni_table_cell(t, "%zu", j->heads / j->kv_heads);
    omni_table_cell(t, "%zu", j->keys);
    bench_cell(t, rate, 1e-9);
    bench_cell(t, of_read, 100);
    bench_cell(t, speed, 1e-9);
    bench_cell(t, of_peak, 100);
    json_array_append_new(rows, json_pack("{s:i,s:i,s:i,s:i,s:i,s:o,s:o,s:o,s:o}", "cores", (int)j->cores,
                                          "queries", (int)j->queries, "keys", (int)j->keys, "head_dim",
                                          (int)j->head_dim, "group", (int)(j->heads / j->kv_heads),
                                          "kv_bytes_per_s", bench_spread_json(rate), "of_read_bandwidth",
                                          bench_spread_json(of_read), "flops", bench_spread_json(speed),
                                          "of_blis_peak", bench_spread_json(of_peak)));
}

static void measure(bench *b, size_t cores, size_t head_dim, size_t group, bool decode, omni_table *t,
                    json_t *rows) {
    const size_t keys = decode ? DECODE_KEYS : PREFILL_TOKENS, queries = decode ? 1 : PREFILL_TOKENS;
    const size_t kv_heads =
        decode ? KV_BYTES / (2 * sizeof(float) * keys * head_dim) : (PREFILL_HEADS + group - 1) / group;
    attention_job j = {.b = b,
                       .cores = cores,
                       .queries = queries,
                       .keys = keys,
                       .heads = kv_heads * group,
                       .kv_heads = kv_heads,
                       .head_dim = head_dim};
    bench_limit limit = {b, cores};
    bench_series s[] = {{.once = job_once, .arg = &j},
                        {.once = bench_read_rate, .arg = &limit},
                        {.once = bench_peak_flops, .arg = &limit}};
    job_open(&j);
    bench_measure(s, 3, REPS);
    add_row(t, rows, &j, s);
    job_close(&j);
}

int main(int argc, char **argv) {
    static const char *const heads[] = {"phase",     ">cores",     ">head_dim", ">group",    ">keys",
                                        ">KV, GB/s", ">% of read", ">Gflop/s",  ">% of BLIS"};
    static const size_t dims[] = {64, 128}, groups[] = {1, 4, 8};
    bench *b = bench_open(argc, argv, "attention", "omni_attention_run, keys and values from memory (decode)",
                          "first touch");
    const size_t most = bench_cores(b) < MOST_CORES ? bench_cores(b) : MOST_CORES, cores[] = {1, most};
    omni_table *t = omni_table_create(heads, sizeof heads / sizeof *heads);
    json_t *rows = json_array();
    for (size_t c = 0; c < (most > 1 ? 2 : 1); c++)
        for (size_t d = 0; d < 2; d++)
            for (size_t g = 0; g < 3; g++)
                for (int decode = 1; decode >= 0; decode--)
                    if (c == 0 || g == 0) measure(b, cores[c], dims[d], groups[g], decode, t, rows);
    bench_show("Attention, against the limits of as many cores.", t);
    bench_result(b, "attention", rows);
    return bench_close(b);
}
