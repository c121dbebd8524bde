/* test_subheads_runs.c: attention by sub-heads: the kernels of its two halves against float64, and whole runs
 * of models of every kind against the float64 reference.
 */
#include <stdio.h>

#include "kernel_tools.h"
#include "omnibus/verify.h"
#include "subheads_tools.h"

/* --- kernels ---------------------------------------------------------------------------------- */

enum { QUERIES = 11, KEYS = 75, DIM = 37, LD = DIM + 3, SLICES = 4 };

/* softmax(scale q k^T) v of one query in float64; it sees the first `sees` keys. */
static void attend_in_double(const float *q, const float *k, const float *v, size_t dim, size_t sees,
                             double scale, double *out) {
    double s[KEYS], max = -INFINITY, sum = 0;
    for (size_t j = 0; j < sees; j++) {
        s[j] = 0;
        for (size_t d = 0; d < dim; d++) s[j] += scale * (double)q[d] * (double)k[j * dim + d];
        max = s[j] > max ? s[j] : max;
    }
    for (size_t d = 0; d < dim; d++) out[d] = 0;
    for (size_t j = 0; j < sees; j++) {
        sum += exp(s[j] - max);
        for (size_t d = 0; d < dim; d++) out[d] += exp(s[j] - max) * (double)v[j * dim + d];
    }
    for (size_t d = 0; d < dim; d++) out[d] /= sum;
}

typedef struct halves {
    guarded scores, sum, q, k, v, out;
    float *all_q, *all_k, *all_v; /* [rows, dim] */
} halves;

static halves halves_make(void) {
    const size_t f = sizeof(float), packed = QUERIES * KEYS;
    halves h = {guarded_make(packed * f),     guarded_make(packed * f),     guarded_make(QUERIES * LD * f),
                guarded_make(KEYS * DIM * f), guarded_make(KEYS * DIM * f), guarded_make(QUERIES * LD * f),
                calloc(QUERIES, DIM * f),     calloc(KEYS, DIM * f),        calloc(KEYS, DIM * f)};
    cr_assert(h.all_q && h.all_k && h.all_v);
    fill_random(h.all_q, QUERIES * DIM, 1);
    fill_random(h.all_k, KEYS * DIM, 2);
    fill_random(h.all_v, KEYS * DIM, 3);
    return h;
}

static void halves_free(halves *h) {
    const guarded all[] = {h->scores, h->sum, h->q, h->k, h->v, h->out};
    for (size_t i = 0; i < COUNT(all); i++) guarded_free(all[i]);
    free(h->all_q);
    free(h->all_k);
    free(h->all_v);
}

/* Columns `dims` of [rows, dim] into rows ld apart, against a guard page. */
static float *slice(guarded to, const float *from, size_t rows, size_t dim, omni_range dims, size_t ld) {
    size_t floats = rows ? (rows - 1) * ld + dims.count : 0;
    float *x = guarded_place(to, floats * sizeof *x, true);
    fill(x, floats, CANARY);
    for (size_t r = 0; r < rows && dims.count; r++)
        memcpy(x + r * ld, from + r * dim + dims.start, dims.count * sizeof *x);
    return x;
}

/* Addends of the scores from slices of the dims, summed; then each slice of the values weighed. */
static void check_halves(halves *h, size_t dim, size_t queries, size_t first, size_t keys) {
    omni_scores s = {.queries = queries, .query_first = first, .keys = keys, .scale = 1 / sqrtf((float)dim)};
    size_t packed = omni_scores_count(&s), seen = 0;
    for (size_t i = 0; i < queries; i++) seen += first + i + 1 < keys ? first + i + 1 : keys;
    cr_assert_eq(packed, seen);
    float *sum = guarded_place(h->sum, packed * sizeof *sum, true);
    fill(sum, packed, 0);
    for (size_t c = 0; c < SLICES; c++) {
        omni_range dims = omni_split(dim, SLICES, c);
        s.dims = dims.count;
        s.scores = guarded_place(h->scores, packed * sizeof *sum, true);
        fill(s.scores, packed, CANARY);
        omni_scores_partial(&s, slice(h->q, h->all_q, queries, dim, dims, LD), LD,
                            slice(h->k, h->all_k, keys, dim, dims, dims.count));
        omni_combine_sum(sum, s.scores, packed * sizeof *sum, NULL);
    }
    for (size_t c = 0; c < SLICES; c++) {
        omni_range dims = omni_split(dim, SLICES, c);
        s.dims = dims.count;
        memcpy(s.scores, sum, packed * sizeof *sum);
        size_t floats = dims.count ? (queries - 1) * LD + dims.count : 0;
        float *out = guarded_place(h->out, floats * sizeof *out, true);
        fill(out, floats, CANARY);
        omni_scores_weigh(&s, slice(h->v, h->all_v, keys, dim, dims, dims.count), out, LD);
        check_gaps(out, floats, dims.count, LD);
        for (size_t i = 0; i < queries; i++) {
            double want[DIM];
            attend_in_double(h->all_q + i * dim, h->all_k, h->all_v, dim,
                             first + i + 1 < keys ? first + i + 1 : keys, 1 / sqrt((double)dim), want);
            for (size_t d = 0; d < dims.count; d++)
                cr_assert(fabs((double)out[i * LD + d] - want[dims.start + d]) <= 2e-6);
        }
    }
}

ISA_TEST(sub_heads_in_two_halves_are_attention) {
    static const size_t dims[] = {1, 2, 3, 7, 16, DIM}, queries[] = {1, 2, 3, 4, 5, QUERIES};
    halves h = halves_make();
    for (size_t d = 0; d < COUNT(dims); d++)
        for (size_t q = 0; q < COUNT(queries); q++) {
            check_halves(&h, dims[d], queries[q], 0, queries[q]);           /* the first tokens */
            check_halves(&h, dims[d], queries[q], KEYS - queries[q], KEYS); /* behind others */
            check_halves(&h, dims[d], queries[q], queries[q] + 3,
                         queries[q] + 4); /* an encoder: all see all */
        }
    halves_free(&h);
}

/* A query alone, and among others, has the same bits: blocks of queries may be cut anywhere. */
ISA_TEST(sub_head_bits_do_not_depend_on_other_rows) {
    halves h = halves_make();
    float together[QUERIES * KEYS], alone[KEYS], out[2][DIM], all_out[QUERIES][DIM];
    omni_scores s = {together, QUERIES, 40, KEYS, DIM, 0.3f};
    omni_scores_partial(&s, h.all_q, DIM, h.all_k);
    float kept[QUERIES * KEYS];
    memcpy(kept, together, sizeof kept);
    omni_scores_weigh(&s, h.all_v, all_out[0], DIM);
    for (size_t i = 0, at = 0; i < QUERIES; at += 41 + i, i++) {
        omni_scores one = {alone, 1, 40 + i, KEYS, DIM, 0.3f};
        omni_scores_partial(&one, h.all_q + i * DIM, DIM, h.all_k);
        cr_assert_eq(memcmp(alone, kept + at, (41 + i) * sizeof *alone), 0, "scores of query %zu", i);
        omni_scores_weigh(&one, h.all_v, out[0], DIM);
        cr_assert_eq(memcmp(out[0], all_out[i], sizeof out[0]), 0, "query %zu", i);
    }
    halves_free(&h);
}

Test(subheads, pairs_turn_as_they_do_in_a_whole_head) {
    enum { DIMS = 12, POSITIONS = 9 };
    double inverse[DIMS / 2];
    float cosines[POSITIONS * DIMS / 2], sines[POSITIONS * DIMS / 2], x[DIMS], paired[DIMS];
    for (size_t i = 0; i < DIMS / 2; i++) inverse[i] = 1 / (double)(i + 1);
    omni_rope_table(POSITIONS, DIMS, inverse, cosines, sines);
    for (size_t parts = 1; parts <= DIMS; parts++) {
        fill_random(x, DIMS, parts);
        for (size_t i = 0; i < DIMS; i++) paired[i] = x[i / 2 + i % 2 * (DIMS / 2)];
        omni_rope_row(x, 1, DIMS, 8, cosines, sines);
        for (size_t k = 0; k < parts; k++) {
            omni_range pairs = omni_split(DIMS / 2, parts, k);
            omni_rope_pairs(paired + 2 * pairs.start, pairs.start, pairs.count, DIMS, 8, cosines, sines);
        }
        for (size_t i = 0; i < DIMS; i++) cr_assert(paired[i] == x[i / 2 + i % 2 * (DIMS / 2)]);
    }
}

/* --- whole runs ------------------------------------------------------------------------------- */

typedef struct bench {
    omni_model *model;
    omni_weights *weights;
    omni_topo *topo;
    omni_truth *truth;
    omni_stop stop;
} bench;

static bench bench_open(const char *json) {
    bench b = {.model = parse_model(json)};
    omni_error err = {0};
    omni_random_spec *specs;
    size_t count;
    cr_assert_eq(omni_kernel_init(&err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_random_specs(b.model, OMNI_F32, &specs, &count, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_open_random(specs, count, 5, &b.weights, &err), OMNI_OK, "%s", err.text);
    omni_free(specs);
    omni_bind_heads(b.model, b.weights);
    cr_assert_eq(omni_topo_open(NULL, NULL, &b.topo, &err), OMNI_OK, "%s", err.text);
    return b;
}

static void bench_close(bench *b) {
    omni_truth_free(b->truth);
    omni_topo_close(b->topo);
    omni_weights_close(b->weights);
    omni_model_free(b->model);
}

/* Against the truth, and the real counters against the plan's. */
static size_t check_run(bench *b, const char *text, size_t pes, size_t workers) {
    omni_error err = {0};
    omni_check_result r;
    omni_plan *plan = compile_plan(b->model, text, pes, &err);
    if (!plan) return 0;
    omni_engine_options o = {.model = b->model,
                             .weights = b->weights,
                             .plan = plan,
                             .topo = b->topo,
                             .workers = workers,
                             .stop = &b->stop};
    cr_assert_eq(omni_check_case(&o, b->truth, &r, &err), OMNI_OK, "%s on %zu PEs: %s", text, pes, err.text);
    cr_assert(r.passed, "%s on %zu PEs, %zu workers: %s", text, pes, workers, r.first_bad);
    omni_plan_free(plan);
    return 1;
}

#if defined(__SANITIZE_ADDRESS__)
enum { STEP = 9 };
#else
enum { STEP = 1 };
#endif

static void check_model(const char *json, size_t least) {
    static const size_t pes[] = {2, 4, 7, 9, 13, 17, 31, 40}, workers[] = {1, 2, 3};
    bench b = bench_open(json);
    omni_error err = {0};
    size_t ran = 0;
    cr_assert_eq(omni_truth_random(b.model, b.weights, 3, 3, 4, &b.stop, NULL, &b.truth, &err), OMNI_OK, "%s",
                 err.text);
    for (size_t i = 0; i < COUNT(PLANS) * COUNT(pes); i += STEP) {
        size_t n = pes[i % COUNT(pes)], w = workers[i % COUNT(workers)];
        ran += check_run(&b, PLANS[i / COUNT(pes)], n, w < n ? w : n);
    }
    cr_expect_geq(ran * STEP, least);
    bench_close(&b);
}

Test(subheads, llama_of_grouped_queries_is_right, .timeout = 300) {
    check_model(LLAMA, 35);
}
Test(subheads, llama_of_one_head_is_right, .timeout = 300) {
    check_model(ONE_HEAD, 60);
}
Test(subheads, gpt2_of_odd_heads_is_right, .timeout = 300) {
    check_model(GPT2, 50);
}
Test(subheads, bert_of_odd_heads_is_right, .timeout = 300) {
    check_model(BERT, 50);
}

/* 245,350 scores a head: many chunks on the ring, blocks of queries, an odd number of ranks a head. */
Test(subheads, a_long_prompt_is_right, .timeout = 300) {
    enum { TOKENS = 700 };
    static int32_t ids[TOKENS];
    const int32_t *const prompt[] = {ids};
    const size_t length = TOKENS;
    bench b = bench_open(LLAMA);
    omni_error err = {0};
    for (size_t i = 0; i < TOKENS; i++) ids[i] = (int32_t)(i * 37 % 101);
    cr_assert_eq(omni_truth_compute(b.model, b.weights, prompt, &length, 1, 2, &b.stop, &b.truth, &err),
                 OMNI_OK, "%s", err.text);
    cr_assert_eq(check_run(&b, "attn=subheads", 20, 2), 1);
    cr_assert_eq(check_run(&b, "stages=2:chunk=300:attn=subheads:qkv=in", 15, 2), 1);
    bench_close(&b);
}

/* Results do not depend on the number of workers. */
Test(subheads, bits_are_the_same_for_any_number_of_workers, .timeout = 300) {
    enum { PES = 16, TOKENS = 9 };
    bench b = bench_open(LLAMA);
    float logits[3][101];
    for (size_t k = 0; k < 3; k++) {
        static const size_t workers[] = {1, 5, PES};
        omni_error err = {0};
        omni_engine *e;
        const int32_t ids[TOKENS] = {3, 1, 4, 1, 5, 9, 2, 6, 5};
        const size_t capacity = TOKENS, count = TOKENS;
        int32_t next;
        omni_plan *plan = compile_plan(b.model, "attn=subheads", PES, &err);
        omni_engine_options o = {.model = b.model,
                                 .weights = b.weights,
                                 .plan = plan,
                                 .topo = b.topo,
                                 .workers = workers[k],
                                 .sequences = 1,
                                 .capacity = &capacity,
                                 .max_tokens = TOKENS,
                                 .taps = true,
                                 .stop = &b.stop};
        cr_assert_eq(omni_engine_create(&o, &e, &err), OMNI_OK, "%s", err.text);
        cr_assert_eq(omni_engine_forward(e, ids, &count, &next, &err), OMNI_OK, "%s", err.text);
        memcpy(logits[k], omni_engine_logits(e), sizeof logits[k]);
        omni_engine_free(e);
        omni_plan_free(plan);
        cr_assert_eq(memcmp(logits[0], logits[k], sizeof logits[0]), 0, "%zu workers", workers[k]);
    }
    bench_close(&b);
}
