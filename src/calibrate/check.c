/* check.c: predictions against the clock, on shapes that the fit did not see: other sizes of messages, other
 * edges and rows of products, and blocks of a model under plans of every kind. Gone through as fit.c is.
 */
#include <stdarg.h>
#include <stdio.h>

#include "calibrate/internal.h"

typedef struct checking {
    wants *w;
    const omni_rates *r;
    omni_calibrate_row *row;
    size_t count;
} checking;

/* Of what was wanted last. per: of so many. */
__attribute__((format(printf, 8, 9))) static void add(checking *c, const char *kind, const char *what,
                                                      size_t pes, size_t workers, double per,
                                                      double predicted, const char *shape, ...) {
    if (c->w->mode == SAYING || c->count == CHECK_MOST) return;
    const wanted *got = &c->w->list[c->w->next - 1];
    omni_calibrate_row *row = &c->row[c->count++];
    va_list args;
    *row =
        (omni_calibrate_row){.kind = kind, .pes = pes, .workers = workers, .predicted_ns = predicted / per};
    row->wall_ns = want_got(c->w, got) / per;
    want_range(got, &row->low_ns, &row->high_ns);
    row->low_ns /= per;
    row->high_ns /= per;
    row->repeat_percent = want_spread(got);
    snprintf(row->what, sizeof row->what, "%s", what);
    va_start(args, shape);
    vsnprintf(row->shape, sizeof row->shape, shape, args);
    va_end(args);
}

static size_t workers_of(const checking *c, size_t pes) {
    return (double)pes < c->r->cores ? pes : (size_t)c->r->cores;
}

/* --- collectives ------------------------------------------------------------------------------ */

static void check_collective(checking *c, size_t kind, size_t pes, size_t bytes) {
    static const char *const names[] = {"broadcast", "reduction", "gather", "addressed"};
    size_t workers = workers_of(c, pes), most = (pes + workers - 1) / workers;
    if (kind == OMNI_RATES_ADDRESSED)
        most = workers > 1 ? 1 : 2; /* from the first rank to the last, and back */
    (void)want(c->w, (wanted){.kind = COLLECTIVE,
                              .pes = pes,
                              .workers = workers,
                              .collective = {(omni_rates_message)kind, bytes}});
    add(c, "collective", names[kind], pes, workers, 1,
        omni_rates_message_ns(c->r, (omni_rates_message)kind, workers, most, (double)bytes), "%.4g KiB",
        (double)bytes / 1024);
}

static void check_collectives(checking *c) {
    static const size_t bytes[] = {3072, 24576, 294912}, pes[] = {2, 4, 6};
    for (size_t k = 0; k < OMNI_RATES_MESSAGES; k++)
        for (size_t p = 0; p < 3; p++)
            for (size_t b = 0; b < 3; b++) check_collective(c, k, pes[p], bytes[b]);
}

/* --- ops -------------------------------------------------------------------------------------- */

static void check_products(checking *c) {
    static const size_t shape[][3] = {{1, 768, 2304}, {1, 2048, 1536}, {24, 768, 2304}, {96, 768, 1536}};
    for (size_t workers = 1; workers <= workers_of(c, 2); workers++)
        for (size_t d = 0; d < 2; d++)
            for (size_t i = 0; i < 4; i++) {
                omni_dtype dtype = d ? OMNI_BF16 : OMNI_F32;
                size_t set = (size_t)c->r->set_bytes[OMNI_RATES_STREAMED];
                product p = {shape[i][0], shape[i][1], shape[i][2], set};
                (void)want(c->w, (wanted){.kind = PRODUCT, .dtype = dtype, .workers = workers, .product = p});
                add(c, "op", d ? "matmul BF16" : "matmul F32", workers, workers, 1,
                    omni_rates_matmul_ns(c->r, dtype, workers, (double)set, (double)p.rows, (double)p.in,
                                         (double)p.out),
                    "%zu x %zu -> %zu", p.rows, p.in, p.out);
            }
}

static void check_attention(checking *c) {
    static const attending shape[] = {{96, 96, 12, 12, 64}, {1, 97, 12, 12, 64}, {1, 700, 6, 6, 128}};
    for (size_t i = 0; i < 3; i++) {
        const attending *a = &shape[i];
        double terms[OMNI_FIT_TERMS];
        attending_terms(a, terms);
        (void)want(c->w, (wanted){.kind = ATTENTION, .attending = *a});
        add(c, "op", "attention", 1, 1, 1,
            omni_rates_attention_ns(c->r, a->queries > 1 ? OMNI_RATES_PREFILL : OMNI_RATES_DECODE, terms),
            "%zu heads, %zu x %zu keys", a->heads, a->queries, a->keys);
    }
}

static void check_row_ops(checking *c) {
    static const struct {
        omni_rates_op op;
        const char *name;
    } ops[] = {{OMNI_RATES_RMS_NORM, "RMSNorm"}, {OMNI_RATES_SWIGLU, "SwiGLU"}, {OMNI_RATES_ADD, "residual"}};
    static const size_t rows[] = {1, 48};
    for (size_t k = 0; k < 3; k++)
        for (size_t i = 0; i < 2; i++) {
            row_op op = {ops[k].op, rows[i], 768};
            (void)want(c->w, (wanted){.kind = ROW_OP, .row_op = op});
            add(c, "op", ops[k].name, 1, 1, 1, omni_rates_op_ns(c->r, op.op, row_op_bytes(&op)), "%zu x %d",
                rows[i], 768);
        }
}

/* --- blocks ----------------------------------------------------------------------------------- */

enum { LAYERS = 6, PROMPT = 96 };

/* The same work whatever the sequences: 96 rows in a prefill. Sub-heads: more PEs than heads. */
static void check_block(checking *c, const char *plan, size_t pes, omni_dtype dtype, size_t sequences,
                        size_t heads) {
    passing p = {c->w->o, plan, dtype, pes, LAYERS, 768, 2048, heads, sequences, PROMPT / sequences};
    double predicted[OMNI_RATES_PASSES] = {0};
    char what[64];
    if (c->w->mode == GETTING && !c->w->status)
        c->w->status = passing_predict(&p, c->r, predicted, c->w->err);
    snprintf(what, sizeof what, "%s %s", plan, omni_dtype_name(dtype));
    for (size_t k = 0; k < OMNI_RATES_PASSES; k++) {
        (void)want(c->w, (wanted){.kind = PASS, .passing = p});
        add(c, "block", what, pes, workers_of(c, pes), LAYERS, predicted[k], "%s of %zu at %zu",
            k == OMNI_RATES_DECODE ? "decode" : "prefill", sequences,
            k == OMNI_RATES_DECODE ? p.prompt : (size_t)0);
    }
}

static void check_blocks(checking *c) {
    static const struct {
        const char *plan;
        size_t pes;
        omni_dtype dtype;
        size_t sequences, heads;
    } block[] = {
        {"single", 1, OMNI_F32, 1, 12},
        {"single", 1, OMNI_BF16, 1, 12},
        {"megatron", 2, OMNI_F32, 1, 12},
        {"megatron", 2, OMNI_BF16, 1, 12},
        {"workflow2", 2, OMNI_F32, 1, 12},
        {"lockstep", 1, OMNI_F32, 1, 12},
        {"lockstep", 2, OMNI_F32, 2, 12},
        {"lockstep:over=token", 2, OMNI_F32, 1, 12},
        {"megatron:groups=2", 2, OMNI_F32, 2, 12},
        {"pipeline", 2, OMNI_F32, 2, 12},
        {"attn=subheads", 2, OMNI_F32, 1, 1},
        {"megatron", 4, OMNI_F32, 1, 12},
        {"workflow1", 4, OMNI_F32, 1, 12},
        {"lockstep", 4, OMNI_F32, 4, 12},
        {"megatron:groups=2", 4, OMNI_F32, 2, 12},
        {"megatron:stages=2", 4, OMNI_F32, 2, 12},
        {"attn=subheads", 4, OMNI_F32, 1, 2},
    };
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        check_block(c, block[i].plan, block[i].pes, block[i].dtype, block[i].sequences, block[i].heads);
}

size_t check_rates(wants *w, const omni_rates *r, omni_calibrate_row *row) {
    checking c = {w, r, row, 0};
    check_collectives(&c);
    check_products(&c);
    check_attention(&c);
    check_row_ops(&c);
    check_blocks(&c);
    return c.count;
}
