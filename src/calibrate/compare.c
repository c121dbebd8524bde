/* compare.c: predictions against the clock, on shapes that the fit did not see: other sizes of messages, other edges and
 * rows of products, other models, and 4 and 8 PEs on the workers that there are.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "calibrate/internal.h"

enum { ROWS = 96 };

typedef struct comparing {
    const omni_calibrate_options *o;
    const omni_rates *r;
    omni_calibrate_row *row;
    size_t count;
    size_t total;
    omni_error *err;
} comparing;

__attribute__((format(printf, 6, 7))) static bool add(comparing *c, const char *kind, const char *what,
                                                      double predicted, spread wall, const char *shape, ...) {
    omni_calibrate_row *row = &c->row[c->count];
    va_list args;
    *row = (omni_calibrate_row){.kind = kind,
                                .pes = row->pes,
                                .workers = row->workers,
                                .predicted_ns = predicted,
                                .wall_ns = wall.median,
                                .low_ns = wall.low,
                                .high_ns = wall.high,
                                .runs = wall.count};
    snprintf(row->what, sizeof row->what, "%s", what);
    va_start(args, shape);
    vsnprintf(row->shape, sizeof row->shape, shape, args);
    va_end(args);
    c->count++;
    if (c->o->step) c->o->step(c->o->user, c->count, c->total, what);
    omni_status stopped = omni_stop_get(c->o->stop);
    if (stopped) return omni_error_set(c->err, stopped, "calibrate: stopped") == OMNI_OK;
    if (wall.median >= 0) return true;
    return omni_error_set(c->err, OMNI_RUN_FAILED, "calibrate: no memory or no thread to measure %s", what) ==
           OMNI_OK;
}

static size_t workers_of(const comparing *c, size_t pes) {
    return (double)pes < c->r->cores ? pes : (size_t)c->r->cores;
}

static void place(comparing *c, size_t pes, size_t workers) {
    c->row[c->count].pes = pes;
    c->row[c->count].workers = workers;
}

/* --- collectives ------------------------------------------------------------------------------ */

static bool compare_collective(comparing *c, const char *group, size_t kind, size_t pes, size_t bytes) {
    static const char *const names[] = {"broadcast", "reduction", "gather", "addressed"};
    size_t workers = workers_of(c, pes), most = (pes + workers - 1) / workers;
    collective one = {c->o, (unsigned)kind, pes, workers, bytes};
    if (kind == OMNI_RATES_ADDRESSED)
        most = workers > 1 ? 1 : 2; /* from the first rank to the last, and back */
    spread wall = collective_measure(&one);
    double barrier = omni_rates_barrier_ns(c->r, workers);
    wall.median -= barrier;
    wall.low -= barrier;
    wall.high -= barrier;
    place(c, pes, workers);
    return add(c, group, names[kind],
               omni_rates_message_ns(c->r, (omni_rates_message)kind, workers, most, (double)bytes), wall,
               "%.4g KiB", (double)bytes / 1024);
}

static bool compare_collectives(comparing *c) {
    static const size_t bytes[] = {6144, 24576, 294912}, pes[] = {2, 4, 8};
    for (size_t k = 0; k < OMNI_RATES_MESSAGES; k++)
        for (size_t p = 0; p < 3; p++)
            for (size_t b = 0; b < 3; b++)
                if (!compare_collective(c, "collective", k, pes[p], bytes[b])) return false;
    return true;
}

/* --- ops -------------------------------------------------------------------------------------- */

static bool compare_product(comparing *c, const char *group, omni_dtype dtype, size_t workers, size_t rows,
                            size_t in, size_t out) {
    product p = {c->o, dtype, workers, rows, in, out, (size_t)c->r->set_bytes[OMNI_RATES_STREAMED]};
    double predicted = omni_rates_matmul_ns(c->r, dtype, workers, (double)p.set_bytes, (double)rows,
                                            (double)in, (double)out);
    place(c, workers, workers);
    return add(c, group, dtype == OMNI_BF16 ? "matmul BF16" : "matmul F32", predicted, product_measure(&p),
               "%zu x %zu -> %zu", rows, in, out);
}

static bool compare_products(comparing *c) {
    static const size_t shape[][3] = {{1, 768, 2304}, {1, 2048, 1536}, {24, 768, 2304}, {96, 768, 1536}};
    for (size_t w = 1; w <= workers_of(c, 2); w++)
        for (size_t d = 0; d < 2; d++)
            for (size_t i = 0; i < 4; i++)
                if (!compare_product(c, "op", d ? OMNI_BF16 : OMNI_F32, w, shape[i][0], shape[i][1],
                                     shape[i][2]))
                    return false;
    return true;
}

static bool compare_attention(comparing *c) {
    static const attending shape[] = {
        {NULL, 96, 96, 12, 12, 64}, {NULL, 1, 160, 12, 12, 64}, {NULL, 1, 700, 6, 6, 128}};
    for (size_t i = 0; i < 3; i++) {
        attending a = shape[i];
        double heads, macs, bytes;
        a.o = c->o;
        attending_terms(&a, &heads, &macs, &bytes);
        place(c, 1, 1);
        if (!add(c, "op", "attention",
                 omni_rates_attention_ns(c->r, a.queries > 1 ? OMNI_RATES_PREFILL : OMNI_RATES_DECODE, heads,
                                         macs, bytes),
                 attending_measure(&a), "%zu heads, %zu x %zu keys", a.heads, a.queries, a.keys))
            return false;
    }
    return true;
}

static bool compare_row_ops(comparing *c) {
    static const struct {
        omni_rates_op op;
        const char *name;
    } ops[] = {{OMNI_RATES_RMS_NORM, "RMSNorm"}, {OMNI_RATES_SWIGLU, "SwiGLU"}, {OMNI_RATES_ADD, "residual"}};
    static const size_t rows[] = {1, 48};
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < 2; i++) {
            row_op r = {c->o, ops[k].op, rows[i], 768};
            place(c, 1, 1);
            if (!add(c, "op", ops[k].name, omni_rates_op_ns(c->r, r.op, row_op_bytes(&r)), row_op_measure(&r),
                     "%zu x %d", rows[i], 768))
                return false;
        }
    return true;
}

/* --- again ------------------------------------------------------------------------------------ */

/* Shapes that the fit did see: what these are off by, the machine has changed since. */
static bool compare_again(comparing *c) {
    size_t both = workers_of(c, 2);
    return compare_collective(c, "again", OMNI_RATES_BROADCAST, 2, 16384) &&
           compare_collective(c, "again", OMNI_RATES_REDUCTION, 2, 16384) &&
           compare_product(c, "again", OMNI_F32, 1, 1, 1024, 1024) &&
           compare_product(c, "again", OMNI_F32, both, 1, 1024, 1024) &&
           compare_product(c, "again", OMNI_F32, 1, 64, 1024, 1024) &&
           compare_product(c, "again", OMNI_F32, both, 64, 1024, 1024);
}

/* --- blocks ----------------------------------------------------------------------------------- */

static bool compare_block(comparing *c, const char *plan, size_t pes, omni_dtype dtype, bool decode,
                          omni_status *status) {
    passing p = {.o = c->o,
                 .plan = plan,
                 .dtype = dtype,
                 .pes = pes,
                 .layers = 6,
                 .hidden = 768,
                 .ffn = 2048,
                 .heads = 12,
                 .kv_heads = 12,
                 .prompt = 96,
                 .decode = decode};
    spread wall;
    double predicted, layers = (double)p.layers;
    char what[64];
    *status = passing_measure(&p, c->r, &wall, &predicted, c->err);
    if (*status) return false;
    wall.median /= layers;
    wall.low /= layers;
    wall.high /= layers;
    snprintf(what, sizeof what, "%s %s", plan, omni_dtype_name(dtype));
    place(c, pes, workers_of(c, pes));
    return add(c, "block", what, predicted / layers, wall, "%s", decode ? "decode at 96" : "prefill 96");
}

static bool compare_blocks(comparing *c, omni_status *status) {
    static const struct {
        const char *plan;
        size_t pes;
        omni_dtype dtype;
    } block[] = {{"single", 1, OMNI_F32},    {"single", 1, OMNI_BF16},   {"megatron", 2, OMNI_F32},
                 {"megatron", 2, OMNI_BF16}, {"workflow2", 2, OMNI_F32}, {"megatron", 4, OMNI_F32},
                 {"megatron", 8, OMNI_F32},  {"workflow1", 8, OMNI_F32}};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        for (int decode = 0; decode < 2; decode++)
            if (!compare_block(c, block[i].plan, block[i].pes, block[i].dtype, decode, status)) return false;
    return true;
}

omni_status omni_calibrate_compare(const omni_calibrate_options *o, const omni_rates *rates,
                                   omni_calibrate_row **out, size_t *count, omni_error *err) {
    omni_error why = {0};
    omni_status status = OMNI_OK;
    comparing c = {.o = o, .r = rates, .row = omni_alloc_array(ROWS, sizeof *c.row), .err = &why};
    if (!c.row) return omni_error_set(err, OMNI_RUN_FAILED, "calibrate: no memory");
    c.total = 6 + 36 + 8 * (rates->cores > 1 ? 2 : 1) + 3 + 6 + 16;
    bool done = compare_again(&c) && compare_collectives(&c) && compare_products(&c) &&
                compare_attention(&c) && compare_row_ops(&c) && compare_blocks(&c, &status);
    *out = c.row;
    *count = c.count;
    if (done) return OMNI_OK;
    omni_free(c.row);
    *out = NULL;
    return omni_error_set(err, why.status, "%s", why.text);
}
