/* bench_matmul.c: our matrix product against what the machine can do, on one core, with weights that are not
 * in any cache.
 *
 *     m = 1      decode: every weight is read for one multiply-add, so the limit is reading
 *     m = 8      a small batch: the weights read once should serve all rows
 *     m = 128    prefill: the limit is arithmetic
 *     m = 512    a longer one: the weights are read several times
 *
 * "pairs" is omni_matmul_bf16, which only AVX512-BF16 makes fast.
 *
 * Several copies of a matrix take turns, so that none is found in the last cache. A product is compared with
 * both limits: the bytes of its weights a second with one core's read bandwidth, its flops a second with
 * BLIS's own sgemm on one core. Whichever is near 100 % is what holds it.
 */
#include <stdio.h>
#include <string.h>

#include "common.h"
#include "omnibus/kernel.h"

enum { REPS = 5, COPIES = 16, MOST_M = 512 };
#define COPIES_BYTES ((size_t)512 << 20) /* all copies together, at least */

typedef struct matmul_job {
    bench *b;
    size_t out, in, m, copies, next;
    omni_dtype dtype;
    omni_compute compute;
    unsigned char *memory; /* [copies] handles */
    size_t handle_bytes;
    omni_packed *w[COPIES];
    float *x, *y; /* [MOST_M, in], [MOST_M, out] */
    void *scratch;
    size_t iterations;
} matmul_job;

/* Random enough: small numbers, no zeros, no denormals. */
static void fill_matrix(omni_packed *w, const matmul_job *j) {
    uint16_t bf16[4096];
    float f32[4096];
    for (size_t i = 0; i < 4096; i++) {
        bf16[i] = (uint16_t)(0x3c00 + (i * 37 & 0x1ff) + (i << 15));
        f32[i] = omni_bf16_to_f32(bf16[i]);
    }
    const void *row = j->dtype == OMNI_BF16 ? (const void *)bf16 : f32;
    for (size_t o = 0; o < j->out; o++) omni_packed_put(w, o, 1, 0, j->in, row, j->in, 1);
}

/* On the thread that will multiply: first touch. One copy is filled, the others are its bytes. */
static void job_fill(void *arg, size_t worker) {
    (void)worker;
    matmul_job *j = arg;
    for (size_t i = 0; i < j->copies; i++) {
        unsigned char *mem = j->memory + i * j->handle_bytes;
        j->w[i] = omni_packed_init(mem, j->out, j->in, j->dtype);
        if (i == 0)
            fill_matrix(j->w[0], j);
        else
            memcpy(mem, j->memory, j->handle_bytes);
    }
    for (size_t i = 0; i < MOST_M * j->in; i++) j->x[i] = (float)(i % 13) * 0.125f - 0.75f;
}

static void job_open(matmul_job *j, bench *b, size_t out, size_t in, omni_dtype dtype, omni_compute compute) {
    *j = (matmul_job){.b = b, .out = out, .in = in, .dtype = dtype, .compute = compute, .iterations = 1};
    j->handle_bytes = omni_packed_bytes(out, in, dtype);
    j->copies = (COPIES_BYTES + j->handle_bytes - 1) / j->handle_bytes;
    if (j->copies > COPIES) j->copies = COPIES;
    if (j->copies < 2) j->copies = 2;
    j->memory = bench_pages(j->copies * j->handle_bytes);
    j->x = omni_alloc_array(MOST_M * in, sizeof *j->x);
    j->y = omni_alloc_array(MOST_M * out, sizeof *j->y);
    j->scratch = omni_alloc(omni_matmul_scratch_bytes(j->compute, MOST_M, in));
    bench_need(j->x);
    bench_need(j->y);
    bench_need(j->scratch);
    bench_team_ns(b, 1, job_fill, j);
}

static void job_close(matmul_job *j) {
    bench_pages_free(j->memory, j->copies * j->handle_bytes);
    omni_free(j->x);
    omni_free(j->y);
    omni_free(j->scratch);
}

static void matmul_work(void *arg, size_t worker) {
    (void)worker;
    matmul_job *j = arg;
    omni_matmul_fn *multiply = omni_matmul_of(j->compute);
    for (size_t i = 0; i < j->iterations; i++, j->next = (j->next + 1) % j->copies)
        multiply(j->w[j->next], j->x, j->in, j->m, j->y, j->out, j->scratch);
}

/* Products a second. */
static double matmul_once(void *arg) {
    matmul_job *j = arg;
    return (double)j->iterations * 1e9 / bench_team_ns(j->b, 1, matmul_work, j);
}

/* Products a second become bytes or flops a second. */
static bench_series scaled(const bench_series *s, double by) {
    bench_series out = *s;
    for (size_t r = 0; r < REPS; r++) out.sample[r] *= by;
    return out;
}

static void add_row(omni_table *t, json_t *rows, const matmul_job *j, const bench_series s[3]) {
    double weight_bytes = (double)(j->out * j->in * omni_dtype_bytes(j->dtype));
    bench_series bytes = scaled(&s[0], weight_bytes),
                 flops = scaled(&s[0], 2.0 * (double)(j->out * j->in * j->m));
    bench_spread rate = bench_spread_of(bytes.sample, REPS), speed = bench_spread_of(flops.sample, REPS);
    bench_spread of_read = bench_ratio(&bytes, &s[1], REPS), of_peak = bench_ratio(&flops, &s[2], REPS);
    omni_table_cell(t, "%zu x %zu", j->out, j->in);
    const char *pairs = j->compute == OMNI_COMPUTE_BF16 ? ", pairs" : "";
    omni_table_cell(t, "%s%s", omni_dtype_name(j->dtype), pairs);
    omni_table_cell(t, "%zu", j->m);
    bench_cell(t, rate, 1e-9);
    bench_cell(t, of_read, 100);
    bench_cell(t, speed, 1e-9);
    bench_cell(t, of_peak, 100);
    json_array_append_new(rows,
                          json_pack("{s:i,s:i,s:s,s:b,s:i,s:o,s:o,s:o,s:o}", "out", (int)j->out, "in",
                                    (int)j->in, "dtype", omni_dtype_name(j->dtype), "pairs", pairs[0] != 0,
                                    "m", (int)j->m, "weight_bytes_per_s", bench_spread_json(rate),
                                    "of_read_bandwidth", bench_spread_json(of_read), "flops",
                                    bench_spread_json(speed), "of_blis_peak", bench_spread_json(of_peak)));
}

static void measure_shape(bench *b, size_t out, size_t in, omni_dtype dtype, omni_compute compute,
                          omni_table *t, json_t *rows) {
    static const size_t ms[] = {1, 8, 128, MOST_M};
    bench_limit one = {b, 1};
    matmul_job j;
    job_open(&j, b, out, in, dtype, compute);
    for (size_t i = 0; i < sizeof ms / sizeof *ms; i++) {
        j.m = ms[i];
        j.iterations = j.m >= 128 ? 1 : j.copies; /* every copy once */
        bench_series s[] = {{.once = matmul_once, .arg = &j},
                            {.once = bench_read_rate, .arg = &one},
                            {.once = bench_peak_flops, .arg = &one}};
        bench_measure(s, 3, REPS);
        add_row(t, rows, &j, s);
    }
    job_close(&j);
}

static void bench_machine(bench *b) {
    static const char *const heads[] = {"limit", ">one core", ">all cores"};
    static const struct {
        const char *name, *key;
        bench_once *once;
    } limits[] = {{"read, GB/s", "read_bytes_per_s", bench_read_rate},
                  {"copy, GB/s", "copy_bytes_per_s", bench_copy_rate},
                  {"BLIS sgemm, Gflop/s", "blis_flops", bench_peak_flops}};
    enum { LIMITS = sizeof limits / sizeof *limits };
    bench_limit on[] = {{b, 1}, {b, bench_cores(b)}};
    bench_series s[2 * LIMITS];
    for (size_t i = 0; i < 2 * LIMITS; i++)
        s[i] = (bench_series){.once = limits[i / 2].once, .arg = &on[i % 2]};
    bench_measure(s, 2 * LIMITS, REPS);
    omni_table *t = omni_table_create(heads, 3);
    json_t *rows = json_object();
    for (size_t i = 0; i < 2 * LIMITS; i++) {
        bench_spread rate = bench_spread_of(s[i].sample, REPS);
        if (i % 2 == 0) omni_table_cell(t, "%s", limits[i / 2].name);
        bench_cell(t, rate, 1e-9);
        if (i % 2 == 0) json_object_set_new(rows, limits[i / 2].key, json_array());
        json_array_append_new(json_object_get(rows, limits[i / 2].key), bench_spread_json(rate));
    }
    char title[160];
    snprintf(title, sizeof title, "The machine. Fastest of the read kernels: %s.", bench_read_kernel(b));
    bench_show(title, t);
    bench_result(b, "read_kernel", json_string(bench_read_kernel(b)));
    bench_result(b, "limits", rows);
}

int main(int argc, char **argv) {
    static const char *const heads[] = {"W [out, in]", "type",     ">m",        ">weights, GB/s",
                                        ">% of read",  ">Gflop/s", ">% of BLIS"};
    static const omni_dtype types[] = {OMNI_F32, OMNI_BF16};
    bench *b = bench_open(argc, argv, "matmul", "omni_matmul on one core, weights from memory",
                          "packing the weights, first touch");
    bench_machine(b);
    omni_table *t = omni_table_create(heads, 7);
    json_t *rows = json_array();
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++)
            measure_shape(b, i ? 11008 : 4096, 4096, types[k], OMNI_COMPUTE_F32, t, rows);
    measure_shape(b, 4096, 4096, OMNI_BF16, OMNI_COMPUTE_BF16, t, rows);
    bench_show("y = x W^T on one core, against one core's limits.", t);
    bench_result(b, "matmul", rows);
    return bench_close(b);
}
