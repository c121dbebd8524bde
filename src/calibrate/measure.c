/* measure.c: everything on the fit's shapes. The order: messages, products, attention, rows, and at last the passes of
 * a model so small that what is left, when what is known is taken off, is what a pass costs in itself.
 */
#include <math.h>

#include "calibrate/internal.h"
#include "omnibus/host.h"

static const double sizes[OMNI_RATES_SIZES] = {64,    512,    2048,   8192,   16384,   32768,
                                               65536, 131072, 262144, 524288, 1 << 20, 4 << 20};
static const double product_rows[OMNI_RATES_ROWS] = {1, 2, 4, 8, 16, 32, 64, 128, 512};
enum { CACHED_BYTES = 256 << 10, STREAMED_MOST = 96 << 20, FULL = 1024, SMALL = 128 };

typedef struct measuring {
    const omni_calibrate_options *o;
    omni_rates *r;
    size_t done, total;
    omni_error *err;
    omni_status status;
} measuring;

/* False: leave. A time that could not be measured ends it. */
static bool measured(measuring *m, double ns, const char *what) {
    omni_status stopped = omni_stop_get(m->o->stop);
    if (m->o->step) m->o->step(m->o->user, ++m->done, m->total, what);
    if (!m->status && stopped) m->status = omni_error_set(m->err, stopped, "calibrate: stopped");
    if (!m->status && !(ns >= 0))
        m->status =
            omni_error_set(m->err, OMNI_RUN_FAILED, "calibrate: no memory or no thread to measure %s", what);
    return m->status == OMNI_OK;
}

/* --- messages --------------------------------------------------------------------------------- */

static double collective_ns(const measuring *m, unsigned kind, size_t pes, size_t workers, double bytes) {
    collective c = {m->o, kind, pes, workers, (size_t)bytes};
    return collective_measure(&c).median;
}

static bool measure_barriers(measuring *m) {
    m->r->barrier_ns[0] = 0;
    for (size_t t = 1; t < m->r->teams; t++) {
        size_t w = (size_t)m->r->workers[t];
        m->r->barrier_ns[t] = collective_ns(m, COLLECTIVE_BARRIER, w, w, 64);
        if (!measured(m, m->r->barrier_ns[t], "barriers")) return false;
    }
    return true;
}

/* Where the busiest worker carries 1 PE; and, from 2 and 4 of them, what each further one adds. On one core all are
 * further ones, and within a worker an addressed message is one. */
static bool measure_message(measuring *m, size_t kind, size_t i) {
    omni_rates *r = m->r;
    double x[2][OMNI_FIT_TERMS] = {{0}}, y[2], c[OMNI_FIT_TERMS];
    bool addressed = kind == OMNI_RATES_ADDRESSED;
    size_t workers = addressed || r->teams == 1 ? 1 : 2, n = 0;
    for (size_t t = 1; t < r->teams; t++) {
        size_t w = (size_t)r->workers[t];
        double ns = collective_ns(m, (unsigned)kind, w, w, sizes[i]) - r->barrier_ns[t];
        r->message_ns[kind][t][i] = fmax(ns, 1);
        if (!measured(m, fabs(ns), "messages")) return false;
    }
    double base = workers == 2 ? r->message_ns[kind][1][i] + r->barrier_ns[1] : 0;
    for (size_t most = 2; most <= (addressed ? 2 : 4); most *= 2, n++) {
        double ns = collective_ns(m, (unsigned)kind, most * workers, workers, sizes[i]) - base;
        x[n][0] = (double)(most - 1);
        y[n] = fmax(ns, 1);
        if (!measured(m, fabs(ns), "messages")) return false;
    }
    r->further_ns[kind][i] = omni_fit((const double(*)[OMNI_FIT_TERMS])x, y, n, 1, c) ? c[0] : 0;
    return true;
}

static bool measure_messages(measuring *m) {
    memcpy(m->r->bytes, sizes, sizeof sizes);
    if (!measure_barriers(m)) return false;
    for (size_t k = 0; k < OMNI_RATES_MESSAGES; k++)
        for (size_t i = 0; i < OMNI_RATES_SIZES; i++)
            if (!measure_message(m, k, i)) return false;
    return true;
}

/* --- products --------------------------------------------------------------------------------- */

/* What a product costs whatever its size: two small ones of one row. */
static bool measure_call(measuring *m) {
    static const size_t edge[] = {16, 64};
    double x[2][OMNI_FIT_TERMS], y[2], c[OMNI_FIT_TERMS];
    for (size_t i = 0; i < 2; i++) {
        product p = {m->o, OMNI_F32, 1, 1, edge[i], edge[i], 1};
        x[i][0] = 1;
        x[i][1] = (double)(edge[i] * edge[i]);
        y[i] = product_measure(&p).median;
        if (!measured(m, y[i], "products")) return false;
    }
    m->r->matmul_ns = omni_fit((const double(*)[OMNI_FIT_TERMS])x, y, 2, 2, c) ? c[0] : 0;
    return true;
}

static bool measure_product(measuring *m, size_t type, size_t set, size_t team, size_t i) {
    omni_rates *r = m->r;
    size_t edge = set == OMNI_RATES_CACHED ? SMALL : FULL;
    product p = {m->o, type ? OMNI_BF16 : OMNI_F32, (size_t)r->workers[team], (size_t)r->rows[i], edge,
                 edge, (size_t)r->set_bytes[set]};
    double ns = product_measure(&p).median;
    r->weight_ps[type][set][team][i] = fmax(ns - r->matmul_ns, 0) * 1e3 / (double)(edge * edge);
    return measured(m, ns, "products");
}

static bool measure_products(measuring *m) {
    double most = (double)omni_topo_memory_available() / 8 / m->r->workers[m->r->teams - 1];
    memcpy(m->r->rows, product_rows, sizeof product_rows);
    m->r->set_bytes[OMNI_RATES_CACHED] = CACHED_BYTES;
    m->r->set_bytes[OMNI_RATES_STREAMED] = fmax(fmin(STREAMED_MOST, floor(most)), 2 * CACHED_BYTES);
    if (!measure_call(m)) return false;
    for (size_t d = 0; d < 2; d++)
        for (size_t s = 0; s < OMNI_RATES_SETS; s++)
            for (size_t t = 0; t < m->r->teams; t++)
                for (size_t i = 0; i < OMNI_RATES_ROWS; i++)
                    if (!measure_product(m, d, s, t, i)) return false;
    return true;
}

/* --- attention and rows ----------------------------------------------------------------------- */

static const attending attended[OMNI_RATES_PASSES][6] = {
    [OMNI_RATES_PREFILL] = {{NULL, 32, 32, 8, 8, 64},
                            {NULL, 64, 64, 8, 8, 128},
                            {NULL, 128, 128, 8, 8, 64},
                            {NULL, 128, 512, 8, 8, 64},
                            {NULL, 256, 256, 8, 8, 128},
                            {NULL, 64, 512, 8, 4, 64}},
    [OMNI_RATES_DECODE] = {{NULL, 1, 16, 8, 8, 64},
                           {NULL, 1, 64, 8, 8, 128},
                           {NULL, 1, 256, 8, 8, 64},
                           {NULL, 1, 256, 8, 8, 128},
                           {NULL, 1, 1024, 8, 8, 64},
                           {NULL, 1, 512, 8, 4, 64}},
};

static bool measure_attention(measuring *m) {
    for (size_t p = 0; p < OMNI_RATES_PASSES; p++) {
        double x[6][OMNI_FIT_TERMS], y[6], c[OMNI_FIT_TERMS];
        for (size_t i = 0; i < 6; i++) {
            attending a = attended[p][i];
            a.o = m->o;
            attending_terms(&a, &x[i][0], &x[i][1], &x[i][2]);
            y[i] = attending_measure(&a).median;
            if (!measured(m, y[i], "attention")) return false;
        }
        if (!omni_fit((const double(*)[OMNI_FIT_TERMS])x, y, 6, 3, c)) memset(c, 0, sizeof c);
        m->r->attention[p].head_ns = c[0];
        m->r->attention[p].mac_ps = c[1] * 1e3;
        m->r->attention[p].byte_ps = c[2] * 1e3;
    }
    return true;
}

static bool measure_row_ops(measuring *m) {
    static const size_t shape[][2] = {{1, 320}, {1, 1920}, {24, 640}, {96, 1152}};
    for (size_t k = 0; k < OMNI_RATES_OPS; k++) {
        double x[4][OMNI_FIT_TERMS], y[4], c[OMNI_FIT_TERMS];
        for (size_t i = 0; i < 4; i++) {
            row_op r = {m->o, (omni_rates_op)k, shape[i][0], shape[i][1]};
            x[i][0] = 1;
            x[i][1] = row_op_bytes(&r);
            y[i] = row_op_measure(&r).median;
            if (!measured(m, y[i], "norms and element-wise operations")) return false;
        }
        if (!omni_fit((const double(*)[OMNI_FIT_TERMS])x, y, 4, 2, c)) memset(c, 0, sizeof c);
        m->r->op[k].call_ns = c[0];
        m->r->op[k].byte_ps = c[1] * 1e3;
    }
    return true;
}

/* --- passes ----------------------------------------------------------------------------------- */

/* What a pass of a tiny model takes beyond its steps: with 1 and with 9 layers, a pass's and a step's fixed time. */
static bool measure_passes(measuring *m) {
    for (size_t t = 0; t < m->r->teams; t++) {
        double wall[2], predicted[2];
        for (size_t i = 0; i < 2; i++) {
            passing p = {.o = m->o,
                         .plan = "replica",
                         .dtype = OMNI_F32,
                         .pes = (size_t)m->r->workers[t],
                         .layers = i ? 17 : 1,
                         .hidden = 64,
                         .ffn = 64,
                         .heads = 1,
                         .kv_heads = 1,
                         .prompt = 4,
                         .decode = true};
            spread s = {NAN, NAN, NAN, 0};
            omni_status status = passing_measure(&p, m->r, &s, &predicted[i], m->err);
            if (status && !m->status) m->status = status;
            wall[i] = s.median;
            if (!measured(m, s.median, "passes")) return false;
        }
        enum { STEPS = 10 }; /* compute steps of a layer */
        double each = (wall[1] - wall[0] - (predicted[1] - predicted[0])) / 16 / STEPS;
        if (t == 0) m->r->step_ns = fmax(each, 0);
        m->r->pass_ns[t] = fmax(wall[0] - predicted[0] - (t ? 0 : STEPS * m->r->step_ns), 0);
    }
    return true;
}

/* 1, 2, 4, ... and all cores. */
static void set_teams(omni_rates *r, size_t cores) {
    *r = (omni_rates){0};
    r->cores = (double)cores;
    for (size_t w = 1; w < cores && r->teams + 1 < OMNI_RATES_TEAMS; w *= 2)
        r->workers[r->teams++] = (double)w;
    r->workers[r->teams++] = (double)cores;
}

/* --- rounds ----------------------------------------------------------------------------------- */

/* On a shared host some seconds are slower than others: everything is measured in turn, three times, and each figure is
 * the median of its three. */
enum { ROUNDS = 3 };

typedef struct figures {
    double *list[2048];
    size_t count;
} figures;

static void add_figures(void *user, const char *section, const char *key, double *value, size_t count) {
    figures *f = user;
    (void)section, (void)key;
    for (size_t i = 0; i < count; i++) f->list[f->count++] = value + i;
}

static void take_medians(omni_rates round[ROUNDS], figures f[ROUNDS], omni_rates *out) {
    for (size_t k = 0; k < ROUNDS; k++) {
        f[k].count = 0;
        omni_rates_walk(&round[k], add_figures, &f[k]);
    }
    for (size_t i = 0; i < f[0].count; i++) {
        double value[ROUNDS];
        for (size_t k = 0; k < ROUNDS; k++) value[k] = *f[k].list[i];
        *f[0].list[i] = omni_median(value, ROUNDS);
    }
    *out = round[0];
}

static bool measure_round(measuring *m) {
    return measure_messages(m) && measure_products(m) && measure_attention(m) && measure_row_ops(m) &&
           measure_passes(m);
}

static size_t steps_of(const omni_rates *r) {
    size_t messages = OMNI_RATES_SIZES * (OMNI_RATES_MESSAGES * (r->teams + 1) - 1);
    return ROUNDS * (r->teams - 1 + messages + 2 + 4 * r->teams * OMNI_RATES_ROWS + 12 + 4 * OMNI_RATES_OPS +
                     2 * r->teams);
}

omni_status omni_calibrate(const omni_calibrate_options *o, omni_rates *out, omni_error *err) {
    size_t cores = omni_host_cores(o->topo);
    omni_rates *round = omni_alloc_array(ROUNDS, sizeof *round);
    figures *f = omni_alloc_array(ROUNDS, sizeof *f);
    measuring m = {.o = o, .err = err};
    if (!round || !f) m.status = omni_error_set(err, OMNI_RUN_FAILED, "calibrate: no memory");
    for (size_t k = 0; k < ROUNDS && !m.status; k++) {
        m.r = &round[k];
        set_teams(m.r, cores > TEAM_MOST ? TEAM_MOST : cores);
        m.total = steps_of(m.r);
        (void)measure_round(&m);
    }
    if (!m.status) take_medians(round, f, out);
    omni_free(round);
    omni_free(f);
    return m.status;
}
