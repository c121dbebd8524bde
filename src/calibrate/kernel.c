/* kernel.c: attention, and what goes row by row, in turn on one worker.
 *
 * As a pass does, each call works on the next layer's memory: in decode keys and values come from behind the
 * weights that were streamed since, so from main memory; what has just been computed, from a cache that the
 * cores share.
 */
#include "calibrate/internal.h"
#include "omnibus/host.h"

enum { LAPS = 3, RUN_NS = 1000000, WARM_BYTES = 4 << 20, COLD_BYTES = 96 << 20 };

/* Floats that calls go through, one behind the other. */
typedef struct ring {
    float *memory;
    size_t floats, at;
} ring;

static bool ring_make(ring *r, size_t bytes) {
    r->memory = omni_host_pages(bytes, true);
    r->floats = bytes / sizeof *r->memory;
    for (size_t i = 0; r->memory && i < r->floats; i++) r->memory[i] = (float)(i % 11) * 0.1f - 0.5f;
    return r->memory != NULL;
}

static float *ring_next(ring *r, size_t floats) {
    if (r->at + floats > r->floats) r->at = 0;
    float *next = r->memory + r->at;
    r->at += omni_round_up(floats, OMNI_CACHE_LINE / sizeof *r->memory);
    return next;
}

static void ring_drop(ring *r) {
    omni_host_pages_free(r->memory, r->floats * sizeof *r->memory);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* --- attention -------------------------------------------------------------------------------- */

typedef struct caches {
    const attendings *list;
    ring warm, cold, out;
    uint32_t *kv_of;
    float *scratch;
} caches;

static bool attend(void *user, size_t w, size_t item, size_t turn) {
    caches *c = user;
    const attending *a = &c->list->item[item];
    size_t width = a->heads * a->dims, each = a->kv_heads * a->keys * a->dims;
    float *q = ring_next(&c->warm, a->queries * width);
    float *kv = ring_next(a->queries > 1 ? &c->warm : &c->cold, 2 * each);
    (void)w, (void)turn;
    for (size_t h = 0; h < a->heads; h++) c->kv_of[h] = (uint32_t)(h * a->kv_heads / a->heads);
    omni_attention_run(&(omni_attention){.q = q,
                                         .ldq = width,
                                         .queries = a->queries,
                                         .query_first = a->keys - a->queries,
                                         .heads = a->heads,
                                         .head_dim = a->dims,
                                         .kv_of = c->kv_of,
                                         .k = kv,
                                         .v = kv + each,
                                         .capacity = a->keys,
                                         .keys = a->keys,
                                         .key_stride = 1,
                                         .scale = 0.1f,
                                         .out = ring_next(&c->out, a->queries * width),
                                         .ldo = width,
                                         .scratch = c->scratch});
    return true;
}

bool attendings_measure(const attendings *list, double *ns) {
    caches c = {.list = list};
    series s = {list->o, 1, list->items, LAPS, RUN_NS, NULL, attend, &c};
    size_t heads = 1, keys = 1;
    for (size_t i = 0; i < list->items; i++) {
        heads = larger(heads, list->item[i].heads);
        keys = larger(keys, list->item[i].keys);
    }
    c.kv_of = omni_alloc_array(heads, sizeof *c.kv_of);
    c.scratch = omni_alloc_array(omni_attention_scratch_floats(keys) + 1, sizeof *c.scratch);
    bool ok = c.kv_of && c.scratch && ring_make(&c.warm, WARM_BYTES) && ring_make(&c.cold, COLD_BYTES) &&
              ring_make(&c.out, WARM_BYTES) && series_run(&s, ns, NULL);
    ring_drop(&c.warm);
    ring_drop(&c.cold);
    ring_drop(&c.out);
    omni_free(c.kv_of);
    omni_free(c.scratch);
    return ok;
}

void attending_terms(const attending *a, double terms[OMNI_FIT_TERMS]) {
    double first = (double)(a->keys - a->queries), q = (double)a->queries, heads = (double)a->heads;
    double pairs = heads * (q * first + q * (q + 1) / 2);
    terms[0] = heads * q;
    terms[1] = pairs;
    terms[2] = 2 * (double)a->dims * pairs;
    terms[3] = 2 * sizeof(float) * (double)a->dims * ((double)(a->kv_heads * a->keys) + heads * q);
}

/* --- row by row ------------------------------------------------------------------------------- */

enum { HEAD = 64, POSITIONS = 512 }; /* of what is rotated */

typedef struct rows {
    const row_ops *list;
    ring in, out; /* apart: what is computed is no input, or values would grow */
    float *cosine, *sine;
} rows;

/* Keys are rotated where they are kept, values only copied. */
static void append(const rows *s, const row_op *r, const float *x, float *y) {
    size_t cols = r->cols / 2;
    for (size_t i = 0; i < r->rows; i++) {
        float *k = y + i * r->cols;
        memcpy(k, x + i * r->cols, cols * sizeof(float));
        memcpy(k + cols, x + i * r->cols + cols, cols * sizeof(float));
        omni_rope_row(k, cols / HEAD, HEAD, i % POSITIONS, s->cosine, s->sine);
    }
}

static bool call_row_op(void *user, size_t w, size_t item, size_t turn) {
    rows *s = user;
    const row_op *r = &s->list->item[item];
    size_t n = r->rows, cols = r->cols;
    float *x = ring_next(&s->in, 2 * n * cols), *weight = ring_next(&s->in, cols);
    float *y = ring_next(&s->out, n * cols);
    (void)w, (void)turn;
    switch (r->op) {
    case OMNI_RATES_RMS_NORM:
        omni_norm_rows(OMNI_NORM_RMS, x, cols, n, cols, 1e-5, weight, NULL, y, cols);
        return true;
    case OMNI_RATES_LAYER_NORM:
        omni_norm_rows(OMNI_NORM_LAYER, x, cols, n, cols, 1e-5, weight, weight, y, cols);
        return true;
    case OMNI_RATES_SWIGLU:
        omni_activate(OMNI_ACT_SWIGLU, y, cols, x, 2 * cols, n, cols);
        return true;
    case OMNI_RATES_GELU:
        omni_activate(OMNI_ACT_GELU, y, cols, x, cols, n, cols);
        return true;
    case OMNI_RATES_ADD:
        omni_add(y, cols, x, cols, n, cols);
        return true;
    case OMNI_RATES_APPEND:
        append(s, r, x, y);
        return true;
    case OMNI_RATES_ARGMAX:
        for (size_t i = 0; i < n; i++) y[i] = (float)omni_argmax(x + i * cols, cols, 0).index;
        return true;
    default:
        omni_copy(y, cols, x, cols, n, cols);
        return true;
    }
}

bool row_ops_measure(const row_ops *list, double *ns) {
    rows s = {.list = list};
    series run = {list->o, 1, list->items, LAPS, RUN_NS / 4, NULL, call_row_op, &s};
    double inverse[HEAD / 2];
    for (size_t i = 0; i < HEAD / 2; i++) inverse[i] = 1.0 / (double)(i + 1);
    s.cosine = omni_alloc_array(POSITIONS * HEAD / 2, sizeof *s.cosine);
    s.sine = omni_alloc_array(POSITIONS * HEAD / 2, sizeof *s.sine);
    bool ok = s.cosine && s.sine && ring_make(&s.in, WARM_BYTES) && ring_make(&s.out, WARM_BYTES);
    if (ok) omni_rope_table(POSITIONS, HEAD, inverse, s.cosine, s.sine);
    ok = ok && series_run(&run, ns, NULL);
    ring_drop(&s.in);
    ring_drop(&s.out);
    omni_free(s.cosine);
    omni_free(s.sine);
    return ok;
}

double row_op_bytes(const row_op *r) {
    double all = (double)r->rows * (double)r->cols * sizeof(float);
    if (r->op == OMNI_RATES_SWIGLU || r->op == OMNI_RATES_ADD) return 3 * all;
    if (r->op == OMNI_RATES_ARGMAX) return all + 8.0 * (double)r->rows;
    return 2 * all; /* append: keys and values, each read and written */
}
