/* kernel.c: one kernel, on one worker or on several at the same time, each with memory of its own. Every run is timed:
 * a clock reading is some 20 ns, and taken off. */
#include <math.h>

#include "calibrate/internal.h"
#include "omnibus/host.h"

enum { BUDGET_NS = 50000000, LEAST = 5, WARM = 2 };

/* What a worker does: made before, timed run by run, freed behind. NULL from make: no memory. */
typedef struct kernel {
    const omni_calibrate_options *o;
    size_t workers, times; /* calls between two clock readings */
    void *(*make)(const void *what);
    void (*call)(void *state, size_t i);
    void (*drop)(void *state);
    const void *what;
    samples *samples; /* [workers] */
} kernel;

static void run_calls(const kernel *k, void *state, samples *s) {
    uint64_t begin = 0;
    size_t i = 0;
    for (size_t run = 0; samples_go(s, k->o->stop, begin, BUDGET_NS, LEAST); run++) {
        uint64_t start = omni_clock_ns();
        for (size_t n = 0; n < k->times; n++) k->call(state, i++);
        uint64_t end = omni_clock_ns();
        if (run == WARM) begin = end;
        if (run >= WARM) samples_add(s, (double)(end - start) / (double)k->times);
    }
}

static void work(void *arg, size_t w) {
    const kernel *k = arg;
    void *state = k->make(k->what);
    if (state) run_calls(k, state, &k->samples[w]);
    if (state) k->drop(state);
}

static spread measure(kernel k) {
    spread out = {NAN, NAN, NAN, 0};
    k.samples = omni_alloc_array(k.workers, sizeof *k.samples);
    if (!k.samples) return out;
    (void)omni_host_team_ns(k.o->topo, k.workers, work, &k);
    out = samples_spread(k.samples, k.workers);
    omni_free(k.samples);
    return out;
}

/* --- products --------------------------------------------------------------------------------- */

typedef struct matrices {
    const product *p;
    size_t count;
    unsigned char *memory;
    omni_packed **w; /* [count] */
    float *x, *y;
    void *scratch;
} matrices;

static void drop_matrices(void *state) {
    matrices *s = state;
    omni_free(s->memory);
    omni_free(s->w);
    omni_free(s->x);
    omni_free(s->y);
    omni_free(s->scratch);
    omni_free(s);
}

/* Weights are zeros, but of pages of their own: written once. */
static void *make_matrices(const void *what) {
    const product *p = what;
    size_t each = omni_packed_bytes(p->out, p->in, p->dtype);
    matrices *s = omni_alloc(sizeof *s);
    if (!s) return NULL;
    s->p = p;
    s->count = p->set_bytes / each ? p->set_bytes / each : 1;
    s->memory = omni_alloc_array(s->count, each);
    s->w = omni_alloc_array(s->count, sizeof *s->w);
    s->x = omni_alloc_array(p->rows * p->in, sizeof *s->x);
    s->y = omni_alloc_array(p->rows * p->out, sizeof *s->y);
    s->scratch = omni_alloc(omni_matmul_scratch_bytes(OMNI_COMPUTE_F32, p->rows, p->in) + 1);
    if (!s->memory || !s->w || !s->x || !s->y || !s->scratch) {
        drop_matrices(s);
        return NULL;
    }
    memset(s->memory, 0, s->count * each);
    for (size_t i = 0; i < s->count; i++)
        s->w[i] = omni_packed_init(s->memory + i * each, p->out, p->in, p->dtype);
    for (size_t i = 0; i < p->rows * p->in; i++) s->x[i] = 1;
    return s;
}

static void call_product(void *state, size_t i) {
    matrices *s = state;
    omni_matmul(s->w[i % s->count], s->x, s->p->in, s->p->rows, s->y, s->p->out, s->scratch);
}

spread product_measure(const product *p) {
    size_t times = 100000 / (1 + p->in * p->out * (4 + p->rows) / 32);
    return measure(
        (kernel){p->o, p->workers, times ? times : 1, make_matrices, call_product, drop_matrices, p, NULL});
}

/* --- attention -------------------------------------------------------------------------------- */

enum { LAYERS = 24 }; /* caches that are gone round, as a pass goes through layers */

typedef struct caches {
    omni_attention a;
    uint32_t *kv_of;
    float *q, *kv, *out, *scratch;
    size_t each; /* floats of the keys, and of the values, of a layer */
} caches;

static void drop_caches(void *state) {
    caches *s = state;
    omni_free(s->kv_of);
    omni_free(s->q);
    omni_free(s->kv);
    omni_free(s->out);
    omni_free(s->scratch);
    omni_free(s);
}

static void *make_caches(const void *what) {
    const attending *a = what;
    caches *s = omni_alloc(sizeof *s);
    if (!s) return NULL;
    size_t width = a->heads * a->dims;
    s->each = a->kv_heads * a->keys * a->dims;
    s->kv_of = omni_alloc_array(a->heads, sizeof *s->kv_of);
    s->q = omni_alloc_array(a->queries * width, sizeof *s->q);
    s->kv = omni_alloc_array(2 * LAYERS * s->each, sizeof *s->kv);
    s->out = omni_alloc_array(a->queries * width, sizeof *s->out);
    s->scratch = omni_alloc_array(omni_attention_scratch_floats(a->keys) + 1, sizeof *s->scratch);
    if (!s->kv_of || !s->q || !s->kv || !s->out || !s->scratch) {
        drop_caches(s);
        return NULL;
    }
    for (size_t h = 0; h < a->heads; h++) s->kv_of[h] = (uint32_t)(h * a->kv_heads / a->heads);
    for (size_t i = 0; i < a->queries * width; i++) s->q[i] = (float)(i % 7) * 0.1f;
    for (size_t i = 0; i < 2 * LAYERS * s->each; i++) s->kv[i] = (float)(i % 5) * 0.1f;
    s->a = (omni_attention){.q = s->q,
                            .ldq = width,
                            .queries = a->queries,
                            .query_first = a->keys - a->queries,
                            .heads = a->heads,
                            .head_dim = a->dims,
                            .kv_of = s->kv_of,
                            .capacity = a->keys,
                            .keys = a->keys,
                            .key_stride = 1,
                            .scale = 0.1f,
                            .out = s->out,
                            .ldo = width,
                            .scratch = s->scratch};
    return s;
}

static void call_attention(void *state, size_t i) {
    caches *s = state;
    s->a.k = s->kv + i % LAYERS * 2 * s->each;
    s->a.v = s->a.k + s->each;
    omni_attention_run(&s->a);
}

spread attending_measure(const attending *a) {
    return measure((kernel){a->o, 1, 1, make_caches, call_attention, drop_caches, a, NULL});
}

void attending_terms(const attending *a, double *heads, double *macs, double *bytes) {
    double first = (double)(a->keys - a->queries), q = (double)a->queries;
    *heads = (double)a->heads * q;
    *macs = 2 * (double)(a->heads * a->dims) * (q * first + q * (q + 1) / 2);
    *bytes = 2 * sizeof(float) * (double)a->dims * ((double)(a->kv_heads * a->keys) + *heads);
}

/* --- row by row ------------------------------------------------------------------------------- */

enum { HEAD = 64 }; /* dims of a head whose keys are rotated */

typedef struct rows {
    const row_op *r;
    float *x, *y, *weight, *cosine, *sine;
} rows;

static void drop_rows(void *state) {
    rows *s = state;
    omni_free(s->x);
    omni_free(s->y);
    omni_free(s->weight);
    omni_free(s->cosine);
    omni_free(s->sine);
    omni_free(s);
}

static void *make_rows(const void *what) {
    const row_op *r = what;
    rows *s = omni_alloc(sizeof *s);
    double inverse[HEAD / 2];
    if (!s) return NULL;
    s->r = r;
    s->x = omni_alloc_array(2 * r->rows * r->cols, sizeof *s->x);
    s->y = omni_alloc_array(2 * r->rows * r->cols, sizeof *s->y);
    s->weight = omni_alloc_array(r->cols, sizeof *s->weight);
    s->cosine = omni_alloc_array(r->rows * HEAD / 2, sizeof *s->cosine);
    s->sine = omni_alloc_array(r->rows * HEAD / 2, sizeof *s->sine);
    if (!s->x || !s->y || !s->weight || !s->cosine || !s->sine) {
        drop_rows(s);
        return NULL;
    }
    for (size_t i = 0; i < 2 * r->rows * r->cols; i++) s->x[i] = (float)(i % 11) * 0.1f - 0.5f;
    for (size_t i = 0; i < HEAD / 2; i++) inverse[i] = 1.0 / (double)(i + 1);
    omni_rope_table(r->rows, HEAD, inverse, s->cosine, s->sine);
    return s;
}

/* Keys are rotated where they are kept, values only copied. */
static void append(const rows *s) {
    size_t cols = s->r->cols / 2;
    for (size_t i = 0; i < s->r->rows; i++) {
        float *k = s->y + i * s->r->cols;
        memcpy(k, s->x + i * s->r->cols, cols * sizeof(float));
        memcpy(k + cols, s->x + i * s->r->cols + cols, cols * sizeof(float));
        omni_rope_row(k, cols / HEAD, HEAD, i, s->cosine, s->sine);
    }
}

static void call_row_op(void *state, size_t i) {
    rows *s = state;
    size_t n = s->r->rows, cols = s->r->cols;
    (void)i;
    switch (s->r->op) {
    case OMNI_RATES_RMS_NORM:
        omni_norm_rows(OMNI_NORM_RMS, s->x, cols, n, cols, 1e-5, s->weight, NULL, s->y, cols);
        return;
    case OMNI_RATES_LAYER_NORM:
        omni_norm_rows(OMNI_NORM_LAYER, s->x, cols, n, cols, 1e-5, s->weight, s->weight, s->y, cols);
        return;
    case OMNI_RATES_SWIGLU:
        omni_activate(OMNI_ACT_SWIGLU, s->y, cols, s->x, 2 * cols, n, cols);
        return;
    case OMNI_RATES_GELU:
        omni_activate(OMNI_ACT_GELU, s->y, cols, s->x, cols, n, cols);
        return;
    case OMNI_RATES_ADD:
        omni_add(s->y, cols, s->x, cols, n, cols);
        return;
    case OMNI_RATES_APPEND:
        append(s);
        return;
    case OMNI_RATES_ARGMAX:
        for (size_t r = 0; r < n; r++) s->y[r] = (float)omni_argmax(s->x + r * cols, cols, 0).index;
        return;
    default:
        omni_copy(s->y, cols, s->x, cols, n, cols);
    }
}

spread row_op_measure(const row_op *r) {
    size_t times = 20000 / (1 + r->rows * r->cols);
    return measure((kernel){r->o, 1, times ? times : 1, make_rows, call_row_op, drop_rows, r, NULL});
}

double row_op_bytes(const row_op *r) {
    double all = (double)r->rows * (double)r->cols * sizeof(float);
    if (r->op == OMNI_RATES_SWIGLU || r->op == OMNI_RATES_ADD) return 3 * all;
    if (r->op == OMNI_RATES_ARGMAX) return all + 8.0 * (double)r->rows;
    return 2 * all; /* append: keys and values, each read and written */
}
