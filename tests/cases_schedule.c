/* cases_schedule.c: a reduction gives the same bits and the same counts whatever its schedule: every
 * operator, records of every size, buffers that are no whole number of slices or blocks, floats that are
 * narrowed, more workers than cores. The pairwise schedule is the reference (cases_fabric.c holds it, and the
 * sliced one, against a model).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cases_fabric.h"
#include "omnibus/kernel.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

typedef struct reduction {
    const char *name;
    omni_fabric_operator op;
    void (*fill)(float *record, unsigned long long bits);
} reduction;

static float float_of(unsigned long long bits) {
    return ldexpf((float)(bits & 0xffffff) / 16777216.0f - 0.5f, (int)((bits >> 32) % 40) - 20);
}

static void fill_sum(float *record, unsigned long long bits) {
    *record = float_of(bits);
}

/* Few values, so that there are ties; some records hold none. */
static void fill_argmax(float *record, unsigned long long bits) {
    omni_best best = {(float)(bits % 5), bits >> 8 & 7 ? (uint32_t)(bits >> 40) : UINT32_MAX};
    memcpy(record, &best, sizeof best);
}

static void fill_moments(float *record, unsigned long long bits) {
    record[0] = (float)(bits >> 50 & 3);
    record[1] = float_of(bits);
    record[2] = fabsf(float_of(bits * 3));
}

enum { HEADS = 3, HEAD_DIM = 5 };
static const omni_lse_shape lse_shape = {HEADS, HEAD_DIM};

static void fill_lse(float *record, unsigned long long bits) {
    for (size_t i = 0; i < HEADS * (HEAD_DIM + 2); i++) record[i] = float_of(chance(bits, i, 1));
    for (size_t h = 0; h < HEADS; h++) {
        float *max = record + HEADS * HEAD_DIM + h, *sum = max + HEADS;
        *max = bits >> (8 + h) & 3 ? *max : -INFINITY;
        *sum = fabsf(*sum);
    }
}

static const reduction reductions[] = {
    {"sum", {omni_combine_sum, NULL, sizeof(float)}, fill_sum},
    {"argmax", {omni_combine_argmax, NULL, sizeof(omni_best)}, fill_argmax},
    {"moments", {omni_combine_moments, NULL, 3 * sizeof(float)}, fill_moments},
    {"lse", {omni_combine_lse, &lse_shape, HEADS *(HEAD_DIM + 2) * sizeof(float)}, fill_lse},
    {"sum of whole buffers", {omni_combine_sum, NULL, 0}, fill_sum},
};

typedef struct race {
    const reduction *r;
    size_t pes, workers, bytes;
    omni_view form;
    omni_fabric *fabric;
    unsigned char *memory; /* [pes, bytes] */
} race;

/* Twice, so that the second finds what the first left. */
static const char *race_body(void *arg, size_t w) {
    race *x = arg;
    omni_range mine = omni_split(x->pes, x->workers, w);
    void *own[FABRIC_MOST_PES];
    for (size_t i = 0; i < mine.count; i++) own[i] = x->memory + (mine.start + i) * x->bytes;
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < mine.count; i++)
            for (size_t at = 0, record = x->r->op.record ? x->r->op.record : sizeof(float); at < x->bytes;
                 at += record)
                x->r->fill((float *)(void *)((char *)own[i] + at), chance(round, mine.start + i, at));
        if (!omni_fabric_reduce(x->fabric, w, 0, own, &x->form, &x->r->op)) return "stopped";
    }
    return NULL;
}

static const char *race_run(race *x, const char *schedule, omni_counters *counted) {
    static omni_stop stop;
    omni_segment all = {0, x->pes};
    omni_fabric_options o = {.kind = "shm",
                             .schedule = schedule,
                             .pes = x->pes,
                             .workers = x->workers,
                             .segments = &all,
                             .segment_count = 1,
                             .wait = omni_wait_policy_for(x->workers, 2),
                             .stop = &stop};
    x->memory = malloc(x->pes * x->bytes);
    if (!x->memory || omni_fabric_create(&o, &x->fabric, NULL) != OMNI_OK) return "no fabric";
    const char *bad = crew_run(x->workers, race_body, x);
    omni_fabric_counters(x->fabric, counted);
    omni_fabric_free(x->fabric);
    return bad;
}

static const char *race_once(race x) {
    race sliced = x, pairwise = x;
    omni_counters a, b;
    const char *bad = race_run(&sliced, "sliced", &a);
    if (!bad) bad = race_run(&pairwise, "pairwise", &b);
    if (!bad && memcmp(sliced.memory, pairwise.memory, x.bytes) != 0) bad = "other bits";
    if (!bad && !omni_counters_equal(&a, &b)) bad = "other counts";
    free(sliced.memory);
    free(pairwise.memory);
    return bad ? verdict("%s of %zu bytes, %zu PEs on %zu workers: %s", x.r->name, x.bytes, x.pes, x.workers,
                         bad)
               : NULL;
}

/* So many records as make about `bytes`. */
static race race_of(const reduction *r, size_t bytes) {
    size_t record = r->op.record ? r->op.record : sizeof(float);
    race x = {.r = r, .bytes = (bytes + record - 1) / record * record};
    x.form = omni_view_flat(NULL, x.bytes);
    return x;
}

/* A float or record; less than a slice; a slice and a bit; some; many blocks and a bit. */
static const size_t sizes[] = {1, 60, 1028, 3000, 21004};
static const size_t pe_counts[] = {1, 2, 3, 5, 8, 33, 64};

static const char *over_shapes(race x) {
    const char *bad = NULL;
    for (size_t i = 0; i < COUNT(pe_counts); i++) {
        x.pes = pe_counts[i];
        for (x.workers = 1; x.workers <= x.pes && x.workers <= 8 && !bad; x.workers *= 2) bad = race_once(x);
    }
    return bad;
}

const char *schedules_give_the_same_bits(void) {
    const char *bad = NULL;
    for (size_t r = 0; r < COUNT(reductions); r++)
        for (size_t i = 0; i < COUNT(sizes) && !bad; i++)
            bad = over_shapes(race_of(&reductions[r], sizes[i]));
    return bad;
}

/* A narrowed span alone, and rows of three spans of which two are: their ends fall into slices and blocks
 * anywhere. */
const char *schedules_narrow_alike(void) {
    static const omni_dtype wires[][OMNI_SPANS] = {
        {OMNI_F16, OMNI_F16, OMNI_F16}, {OMNI_BF16, OMNI_BF16, OMNI_BF16}, {OMNI_F16, OMNI_F32, OMNI_BF16}};
    const char *bad = NULL;
    for (size_t k = 0; k < COUNT(wires); k++)
        for (size_t rows = 1; rows <= 211 && !bad; rows += 105) {
            race x = race_of(&reductions[0], rows * 37 * sizeof(float));
            x.form.rows = rows;
            x.form.stride = 37 * sizeof(float);
            x.form.spans = OMNI_SPANS;
            static const size_t at[] = {0, 7, 20, 37};
            for (size_t j = 0; j < OMNI_SPANS; j++) {
                x.form.span[j].offset = at[j] * sizeof(float);
                x.form.span[j].bytes = (at[j + 1] - at[j]) * sizeof(float);
                x.form.span[j].wire = wires[k][j];
            }
            bad = over_shapes(x);
        }
    return bad;
}
