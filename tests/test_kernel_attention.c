/* test_kernel_attention.c: attention against float64: heads in groups, keys at every p-th position, rows that
 * see nothing, and shares of the keys merged into the whole.
 */
#include "kernel_tools.h"

enum { HEADS = 5, KV = 3, QUERIES = 9, KEYS = 131, DIM = 67, GAP = 3 };

typedef struct field {
    guarded q, k, v, out, max, sum, scratch;
    omni_attention a;
} field;

static const uint32_t kv_of[HEADS] = {0, 0, 0, 2, 1};

static field field_make(void) {
    const size_t f = sizeof(float), row = HEADS * (DIM + 2) + GAP;
    return (field){.q = guarded_make(QUERIES * row * f),
                   .k = guarded_make(KV * (KEYS + 2) * DIM * f),
                   .v = guarded_make(KV * (KEYS + 2) * DIM * f),
                   .out = guarded_make(QUERIES * row * f),
                   .max = guarded_make(QUERIES * (HEADS + GAP) * f),
                   .sum = guarded_make(QUERIES * (HEADS + GAP) * f),
                   .scratch = guarded_make(omni_attention_scratch_floats(KEYS) * f),
                   .a = {.heads = HEADS, .kv_of = kv_of, .key_stride = 1}};
}

static void field_free(field *f) {
    const guarded all[] = {f->q, f->k, f->v, f->out, f->max, f->sum, f->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) guarded_free(all[i]);
}

/* Places everything against guard pages; the slots of the cache beyond `keys` hold NaN. */
static void field_fill(field *f, size_t queries, size_t hd, size_t keys, size_t capacity, bool partial,
                       bool end) {
    omni_attention *a = &f->a;
    const size_t width = HEADS * hd, ld = width + GAP, rows = (queries - 1) * ld + width;
    const size_t stats = (queries - 1) * (HEADS + GAP) + HEADS, cache = KV * capacity * hd,
                 size = sizeof(float);
    float *q = guarded_place(f->q, rows * size, end), *k = guarded_place(f->k, cache * size, end);
    float *v = guarded_place(f->v, cache * size, end);
    a->queries = queries, a->head_dim = hd, a->keys = keys, a->capacity = capacity;
    a->ldq = a->ldo = ld, a->ldms = HEADS + GAP, a->scale = 1 / sqrtf((float)hd);
    a->out = guarded_place(f->out, rows * size, end);
    a->scratch = guarded_place(f->scratch, omni_attention_scratch_floats(keys) * size, end);
    a->max = partial ? guarded_place(f->max, stats * size, end) : NULL;
    a->sum = partial ? guarded_place(f->sum, stats * size, end) : NULL;
    a->q = q, a->k = k, a->v = v;
    fill_random(q, rows, hd);
    for (size_t i = 0; i < rows; i++) q[i] *= 8;
    fill_random(k, cache, keys + 1);
    fill_random(v, cache, keys + 2);
    for (size_t i = 0; i < cache; i++)
        if (i / hd % capacity >= keys) k[i] = v[i] = NAN;
    fill(a->out, rows, CANARY);
    if (partial) fill(a->max, stats, CANARY), fill(a->sum, stats, CANARY);
}

/* One row in float64: out, not divided, max and sum. */
static void naive(const omni_attention *a, size_t query, size_t head, double *out, double *max, double *sum) {
    const size_t hd = a->head_dim, kv = a->kv_of[head] * a->capacity;
    const float *q = a->q + query * a->ldq + head * hd;
    double s[KEYS];
    *max = -INFINITY, *sum = 0;
    for (size_t d = 0; d < hd; d++) out[d] = 0;
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t j = 0; j < a->keys && a->key_first + j * a->key_stride <= a->query_first + query; j++) {
            if (pass == 0) {
                s[j] = 0;
                for (size_t d = 0; d < hd; d++) s[j] += (double)q[d] * (double)a->k[(kv + j) * hd + d];
                s[j] *= (double)a->scale;
                *max = s[j] > *max ? s[j] : *max;
                continue;
            }
            *sum += exp(s[j] - *max);
            for (size_t d = 0; d < hd; d++) out[d] += exp(s[j] - *max) * (double)a->v[(kv + j) * hd + d];
        }
}

static void check_row(const omni_attention *a, size_t query, size_t head) {
    double out[DIM], max, sum;
    naive(a, query, head, out, &max, &sum);
    double by = a->max || sum == 0 ? 1 : sum, room = 4e-6 * (sum == 0 ? 0 : sum / by);
    for (size_t d = 0; d < a->head_dim; d++) {
        double got = (double)a->out[query * a->ldo + head * a->head_dim + d];
        if (!(fabs(got - out[d] / by) <= room))
            cr_assert_fail("hd %zu keys %zu query %zu head %zu: %.9g for %.9g", a->head_dim, a->keys, query,
                           head, got, out[d] / by);
    }
    if (!a->max) return;
    double got_max = (double)a->max[query * a->ldms + head], got_sum = (double)a->sum[query * a->ldms + head];
    cr_assert(got_max == max || fabs(got_max - max) <= 2e-6 * (1 + fabs(max)));
    cr_assert(fabs(got_sum - sum) <= 8e-6 * sum);
}

static void check_field(const omni_attention *a) {
    const size_t width = HEADS * a->head_dim;
    for (size_t i = 0; i < a->queries; i++)
        for (size_t h = 0; h < HEADS; h++) check_row(a, i, h);
    check_gaps(a->out, (a->queries - 1) * a->ldo + width, width, a->ldo);
    if (a->max) check_gaps(a->max, (a->queries - 1) * a->ldms + HEADS, HEADS, a->ldms);
    if (a->max) check_gaps(a->sum, (a->queries - 1) * a->ldms + HEADS, HEADS, a->ldms);
}

ISA_TEST(attention_of_every_odd_shape_is_right_and_stays_inside) {
    static const size_t dims[] = {1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33, 64, DIM},
                        counts[] = {0, 1, 2, 7, 33, 64, KEYS};
    static const size_t queries[] = {1, 2, 3, 5, QUERIES};
    field f = field_make();
    size_t turn = 0;
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
            for (size_t q = 0; q < sizeof queries / sizeof *queries; q++, turn++) {
                field_fill(&f, queries[q], dims[d], counts[k], counts[k] + turn % 3, turn & 1, turn & 2);
                f.a.key_stride = 1 + turn % 4;
                f.a.key_first = turn % 3;
                const size_t firsts[] = {0, counts[k] / 2, counts[k] * f.a.key_stride, 1};
                f.a.query_first = firsts[turn / 2 % 4];
                omni_attention_run(&f.a);
                check_field(&f.a);
            }
    field_free(&f);
}

/* A row alone, and a row among others, have the same bits. */
ISA_TEST(attention_bits_do_not_depend_on_other_rows) {
    field f = field_make();
    field_fill(&f, QUERIES, 33, KEYS, KEYS, false, true);
    f.a.query_first = 100;
    omni_attention_run(&f.a);
    for (size_t i = 0; i < QUERIES; i++)
        for (size_t h = 0; h < HEADS; h++) {
            float alone[DIM];
            omni_attention one = f.a;
            one.q += i * one.ldq + h * 33;
            one.kv_of += h;
            one.heads = one.queries = 1;
            one.query_first += i;
            one.out = alone;
            omni_attention_run(&one);
            cr_assert_eq(memcmp(alone, f.a.out + i * f.a.ldo + h * 33, 33 * sizeof(float)), 0,
                         "query %zu head %zu", i, h);
        }
}

/* Heads of one query with keys of their own go together, four or two or one: a head alone has the same
 * bits. */
ISA_TEST(attention_bits_do_not_depend_on_other_heads) {
    static const uint32_t own[] = {2, 0, 1, 2, 0, 0, 1};
    static const size_t dims[] = {3, 16, 33, 64};
    enum { HEADS_HERE = sizeof own / sizeof *own, WIDEST = 64 };
    field f = field_make();
    float q[HEADS_HERE * WIDEST], out[HEADS_HERE * WIDEST], alone[WIDEST];
    fill_random(q, HEADS_HERE * WIDEST, 5);
    for (size_t d = 0; d < sizeof dims / sizeof *dims; d++)
        for (size_t n = 1; n <= HEADS_HERE; n++) {
            const size_t hd = dims[d];
            field_fill(&f, 1, hd, KEYS, KEYS + 1, false, true);
            omni_attention a = f.a;
            a.q = q, a.out = out, a.heads = n, a.kv_of = own, a.query_first = KEYS - 1;
            omni_attention_run(&a);
            for (size_t h = 0; h < n; h++) {
                omni_attention one = a;
                one.q += h * hd;
                one.kv_of += h;
                one.heads = 1;
                one.out = alone;
                omni_attention_run(&one);
                cr_assert_eq(memcmp(alone, out + h * hd, hd * sizeof *out), 0, "head %zu of %zu", h, n);
            }
        }
    field_free(&f);
}

/* A key that a row doesn't see cannot reach it, not even as NaN. */
ISA_TEST(attention_is_blind_to_later_keys) {
    field f = field_make();
    field_fill(&f, QUERIES, 16, 50, 50, false, true);
    f.a.query_first = 10;
    float *k = guarded_place(f.k, KV * 50 * 16 * sizeof *k, true),
          *v = guarded_place(f.v, KV * 50 * 16 * sizeof *v, true);
    for (size_t i = 0; i < KV * 50 * 16; i++)
        if (i / 16 % 50 > 12) k[i] = v[i] = NAN;
    omni_attention_run(&f.a);
    for (size_t r = 0; r < QUERIES; r++) cr_assert_eq(isnan(f.a.out[r * f.a.ldo]), r > 2);
}

enum { SHARES = 5 };

/* Every p-th key to each share, merged over a tree, divided once: the whole. One share of these sees nothing
 * for early rows. */
static void merge_shares(const field *f, const float *k, const float *v, float *rows, size_t ld) {
    const omni_lse_shape shape = {HEADS, f->a.head_dim};
    const size_t hd = f->a.head_dim, width = HEADS * hd, part = QUERIES * ld;
    for (size_t p = 0; p < SHARES; p++) {
        omni_attention a = f->a;
        float *mine = rows + p * part;
        a.keys = (f->a.keys + SHARES - 1 - p) / SHARES;
        a.key_first = p, a.key_stride = SHARES;
        a.k = k + p * KV * KEYS * hd, a.v = v + p * KV * KEYS * hd, a.capacity = KEYS;
        a.out = mine, a.max = mine + width, a.sum = mine + width + HEADS;
        a.ldo = a.ldms = ld;
        omni_attention_run(&a);
    }
    for (size_t step = 1; step < SHARES; step *= 2)
        for (size_t p = 0; p + step < SHARES; p += 2 * step)
            omni_combine_lse(rows + p * part, rows + (p + step) * part, part * sizeof *rows, &shape);
    omni_attention_finish(rows, ld, QUERIES, HEADS, hd, rows, ld);
}

ISA_TEST(attention_over_shares_of_the_keys_merges_into_the_whole) {
    const size_t hd = 16, ld = HEADS * (hd + 2), cache = KV * KEYS * hd;
    for (size_t keys = 3; keys <= KEYS; keys += 32) {
        field f = field_make();
        field_fill(&f, QUERIES, hd, keys, KEYS, false, true);
        float *k = omni_alloc_array(SHARES * cache, sizeof *k),
              *v = omni_alloc_array(SHARES * cache, sizeof *v);
        float *rows = omni_alloc_array(SHARES * QUERIES * ld, sizeof *rows);
        for (size_t h = 0; h < KV; h++)
            for (size_t j = 0; j < keys; j++) {
                size_t to = (j % SHARES) * cache + (h * KEYS + j / SHARES) * hd, from = (h * KEYS + j) * hd;
                memcpy(k + to, f.a.k + from, hd * sizeof *k);
                memcpy(v + to, f.a.v + from, hd * sizeof *v);
            }
        omni_attention_run(&f.a);
        merge_shares(&f, k, v, rows, ld);
        for (size_t i = 0; i < QUERIES; i++)
            for (size_t c = 0; c < HEADS * hd; c++)
                cr_assert(fabsf(rows[i * ld + c] - f.a.out[i * f.a.ldo + c]) <= 4e-6f);
        omni_free(k);
        omni_free(v);
        omni_free(rows);
        field_free(&f);
    }
}
