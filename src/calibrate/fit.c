/* fit.c: what the rates need, and the rates from it. Gone through twice: wanted.c. While it is only said what
 * is wanted, the figures are nonsense and nobody looks at them.
 */
#include <math.h>

#include "calibrate/internal.h"
#include "omnibus/host.h"
#include "omnibus/topo.h"

static const double sizes[OMNI_RATES_SIZES] = {64,    512,    2048,   8192,   16384,   32768,
                                               65536, 131072, 262144, 524288, 1 << 20, 4 << 20};
static const double product_rows[OMNI_RATES_ROWS] = {1, 2, 4, 8, 16, 32, 64, 128, 512};
enum { CACHED_BYTES = 256 << 10, STREAMED_LEAST = 24 << 20, STREAMED_MOST = 96 << 20 };

typedef const double (*terms)[OMNI_FIT_TERMS];

/* --- messages --------------------------------------------------------------------------------- */

static double want_collective(wants *w, size_t kind, size_t pes, size_t workers, double bytes) {
    return want(w, (wanted){.kind = COLLECTIVE,
                            .pes = pes,
                            .workers = workers,
                            .collective = {(omni_rates_message)kind, (size_t)bytes}});
}

/* Where the busiest worker carries 1 PE; and, from 2 and 4 of them, what each further one adds. On one core
 * all are further ones, and within a worker an addressed message is one. */
static void fit_message(wants *w, omni_rates *r, size_t kind, size_t i) {
    double x[2][OMNI_FIT_TERMS] = {{0}}, y[2], c[OMNI_FIT_TERMS];
    bool addressed = kind == OMNI_RATES_ADDRESSED;
    size_t workers = addressed || r->teams == 1 ? 1 : 2, n = 0;
    for (size_t t = 1; t < r->teams; t++)
        r->message_ns[kind][t][i] =
            want_collective(w, kind, (size_t)r->workers[t], (size_t)r->workers[t], sizes[i]);
    double base = workers == 2 ? r->message_ns[kind][1][i] : 0;
    for (size_t most = 2; most <= (addressed ? 2 : 4); most *= 2, n++) {
        x[n][0] = (double)(most - 1);
        y[n] = fmax(want_collective(w, kind, most * workers, workers, sizes[i]) - base, 1);
    }
    r->further_ns[kind][i] = omni_fit((terms)x, y, n, 1, c) ? c[0] : 0;
}

static void fit_messages(wants *w, omni_rates *r) {
    memcpy(r->bytes, sizes, sizeof sizes);
    r->barrier_ns[0] = 0;
    for (size_t t = 1; t < r->teams; t++)
        r->barrier_ns[t] = want(w, (wanted){.kind = BARRIER, .workers = (size_t)r->workers[t]});
    for (size_t k = 0; k < OMNI_RATES_MESSAGES; k++)
        for (size_t i = 0; i < OMNI_RATES_SIZES; i++) fit_message(w, r, k, i);
}

/* --- products --------------------------------------------------------------------------------- */

static double want_product(wants *w, omni_dtype dtype, double workers, product p) {
    return want(w, (wanted){.kind = PRODUCT, .dtype = dtype, .workers = (size_t)workers, .product = p});
}

/* What a product costs whatever its size: two small ones of one row. */
static void fit_call(wants *w, omni_rates *r) {
    static const size_t edge[] = {16, 64};
    double x[2][OMNI_FIT_TERMS], y[2], c[OMNI_FIT_TERMS];
    for (size_t i = 0; i < 2; i++) {
        x[i][0] = 1;
        x[i][1] = (double)(edge[i] * edge[i]);
        y[i] = want_product(w, OMNI_F32, 1, (product){1, edge[i], edge[i], 1});
    }
    r->matmul_ns = omni_fit((terms)x, y, 2, 2, c) ? c[0] : 0;
}

/* A weight costs its bytes or its sums, an output the start of a panel: matrices that are wide and low, and
 * narrow and high. */
static void fit_rows(wants *w, omni_rates *r, size_t type, size_t set, size_t team, size_t i) {
    static const size_t shape[OMNI_RATES_SETS][2][2] = {{{64, 256}, {256, 128}}, {{512, 1536}, {1536, 1024}}};
    double x[2][OMNI_FIT_TERMS], y[2], c[OMNI_FIT_TERMS];
    for (size_t k = 0; k < 2; k++) {
        size_t in = shape[set][k][0], out = shape[set][k][1];
        product p = {(size_t)r->rows[i], in, out, (size_t)r->set_bytes[set]};
        x[k][0] = (double)(in * out);
        x[k][1] = (double)out;
        y[k] = fmax(want_product(w, type ? OMNI_BF16 : OMNI_F32, r->workers[team], p) - r->matmul_ns, 1);
    }
    if (!omni_fit((terms)x, y, 2, 2, c)) c[0] = c[1] = 0;
    r->weight_ps[type][set][team][i] = c[0] * 1e3;
    r->output_ps[type][set][team][i] = c[1] * 1e3;
}

static void fit_products(wants *w, omni_rates *r) {
    double most = (double)omni_topo_memory_available() / 8 / r->workers[r->teams - 1];
    /* Gone round, a set that is a little larger than the last cache is never found there. */
    double beyond = 1.25 * (double)omni_topo_host(w->o->topo)->l3_bytes;
    beyond = fmin(fmax(beyond, STREAMED_LEAST), STREAMED_MOST);
    memcpy(r->rows, product_rows, sizeof product_rows);
    r->set_bytes[OMNI_RATES_CACHED] = CACHED_BYTES;
    r->set_bytes[OMNI_RATES_STREAMED] = fmax(fmin(beyond, floor(most)), 2 * CACHED_BYTES);
    fit_call(w, r);
    for (size_t d = 0; d < 2; d++)
        for (size_t s = 0; s < OMNI_RATES_SETS; s++)
            for (size_t t = 0; t < r->teams; t++)
                for (size_t i = 0; i < OMNI_RATES_ROWS; i++) fit_rows(w, r, d, s, t, i);
}

/* --- attention and rows ----------------------------------------------------------------------- */

enum { ATTENDED = 8, ROWS = 4 };
static const attending attended[OMNI_RATES_PASSES][ATTENDED] = {
    [OMNI_RATES_PREFILL] = {{16, 16, 8, 8, 128},
                            {32, 32, 8, 8, 64},
                            {64, 64, 8, 8, 128},
                            {128, 128, 8, 8, 64},
                            {128, 512, 8, 8, 64},
                            {128, 256, 8, 8, 32},
                            {256, 256, 8, 8, 128},
                            {64, 512, 8, 4, 64}},
    [OMNI_RATES_DECODE] = {{1, 16, 8, 8, 64},
                           {1, 64, 8, 8, 128},
                           {1, 128, 8, 8, 64},
                           {1, 256, 8, 8, 64},
                           {1, 256, 8, 8, 128},
                           {1, 1024, 8, 8, 64},
                           {1, 512, 16, 4, 64},
                           {1, 512, 8, 8, 32}},
};

static void fit_attention(wants *w, omni_rates *r) {
    for (size_t p = 0; p < OMNI_RATES_PASSES; p++) {
        double x[ATTENDED][OMNI_FIT_TERMS], y[ATTENDED], c[OMNI_FIT_TERMS];
        for (size_t i = 0; i < ATTENDED; i++) {
            attending_terms(&attended[p][i], x[i]);
            y[i] = want(w, (wanted){.kind = ATTENTION, .attending = attended[p][i]});
        }
        if (!omni_fit((terms)x, y, ATTENDED, OMNI_FIT_TERMS, c)) memset(c, 0, sizeof c);
        r->attention[p].head_ns = c[0];
        r->attention[p].pair_ps = c[1] * 1e3;
        r->attention[p].mac_ps = c[2] * 1e3;
        r->attention[p].byte_ps = c[3] * 1e3;
    }
}

static void fit_row_ops(wants *w, omni_rates *r) {
    static const size_t shape[ROWS][2] = {{1, 320}, {1, 1920}, {24, 640}, {96, 1152}};
    for (size_t k = 0; k < OMNI_RATES_OPS; k++) {
        double x[ROWS][OMNI_FIT_TERMS], y[ROWS], c[OMNI_FIT_TERMS];
        for (size_t i = 0; i < ROWS; i++) {
            row_op op = {(omni_rates_op)k, shape[i][0], shape[i][1]};
            x[i][0] = 1;
            x[i][1] = row_op_bytes(&op);
            y[i] = want(w, (wanted){.kind = ROW_OP, .row_op = op});
        }
        if (!omni_fit((terms)x, y, ROWS, 2, c)) memset(c, 0, sizeof c);
        r->op[k].call_ns = c[0];
        r->op[k].byte_ps = c[1] * 1e3;
    }
}

/* --- passes ----------------------------------------------------------------------------------- */

/* What decode steps of a thin and deep model take beyond what is known of their parts: a pass's and a compute
 * step's fixed time. Deep: so that a pass lasts as long as others, for then the host port has fallen asleep,
 * and waking it is a part of the pass. */
static void fit_passes(wants *w, omni_rates *r) {
    enum { SHALLOW = 100, DEEP = 400, STEPS = 10 }; /* compute steps of a layer */
    for (size_t t = 0; t < r->teams; t++) {
        double beyond[2];
        for (size_t i = 0; i < 2; i++) {
            passing p = {w->o, "replica", OMNI_F32, (size_t)r->workers[t], i ? DEEP : SHALLOW, 16, 16,
                         1,    1,         4};
            double predicted[OMNI_RATES_PASSES] = {0};
            (void)want(w, (wanted){.kind = PASS, .passing = p});
            double wall = want(w, (wanted){.kind = PASS, .passing = p});
            if (w->mode == GETTING && !w->status) w->status = passing_predict(&p, r, predicted, w->err);
            beyond[i] = wall - predicted[OMNI_RATES_DECODE];
        }
        double each = (beyond[1] - beyond[0]) / (DEEP - SHALLOW);
        if (t == 0) r->step_ns = fmax(each / STEPS, 0);
        r->pass_ns[t] = fmax(beyond[0] - SHALLOW * each, 0);
    }
}

/* 1, 2, 4, ... and all cores. */
static void set_teams(omni_rates *r, size_t cores) {
    *r = (omni_rates){0};
    r->cores = (double)cores;
    for (size_t w = 1; w < cores && r->teams + 1 < OMNI_RATES_TEAMS; w *= 2)
        r->workers[r->teams++] = (double)w;
    r->workers[r->teams++] = (double)cores;
}

void fit_rates(wants *w, omni_rates *r) {
    enum { TEAM_MOST = 128 };
    size_t cores = omni_host_cores(w->o->topo);
    set_teams(r, cores > TEAM_MOST ? TEAM_MOST : cores);
    fit_messages(w, r);
    fit_products(w, r);
    fit_attention(w, r);
    fit_row_ops(w, r);
    fit_passes(w, r);
}
