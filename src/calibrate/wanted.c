/* wanted.c: all that is to be measured, as a list; a round measures each once, in series of what can be timed
 * together:
 *
 *     what fit.c and check.c want   c64 c512 p1x1024 a96 c6144 p1x768 ...
 *     series                        [c64 c512 c6144] [p1x1024 p1x768] [a96] ...
 *
 * So a shape that the fit sees and one that it is held against are timed within the same second.
 */
#include <math.h>

#include "calibrate/internal.h"

enum { PASS_NS = 100000000 };

/* --- saying and getting ----------------------------------------------------------------------- */

double want_got(const wants *w, const wanted *x) {
    double ns[ROUNDS];
    memcpy(ns, x->ns, sizeof ns);
    return w->round == ROUNDS ? omni_median(ns, ROUNDS) : ns[w->round];
}

double want(wants *w, wanted x) {
    if (w->mode == GETTING) return want_got(w, &w->list[w->next++]);
    if (w->count < WANTED_MOST) w->list[w->count++] = x;
    return 1;
}

double want_spread(const wanted *x) {
    double apart[ROUNDS * (ROUNDS - 1) / 2];
    size_t n = 0;
    for (size_t i = 0; i < ROUNDS; i++)
        for (size_t k = 0; k < i; k++) apart[n++] = 200 * fabs(x->ns[i] - x->ns[k]) / (x->ns[i] + x->ns[k]);
    return omni_median(apart, n);
}

void want_range(const wanted *x, double *low, double *high) {
    *low = *high = x->ns[0];
    for (size_t i = 1; i < ROUNDS; i++) {
        *low = fmin(*low, x->ns[i]);
        *high = fmax(*high, x->ns[i]);
    }
}

/* --- series ----------------------------------------------------------------------------------- */

/* Those of a series, side by side. */
typedef struct chosen {
    wanted *of[WANTED_MOST];
    size_t count;
    union {
        collective collective[WANTED_MOST];
        product product[WANTED_MOST];
        attending attending[WANTED_MOST];
        row_op row_op[WANTED_MOST];
    };
    double ns[WANTED_MOST];
} chosen;

static bool same_series(const wanted *a, const wanted *b) {
    if (a->kind == PASS || b->kind == PASS) return a == b;
    return a->kind == b->kind && a->pes == b->pes && a->workers == b->workers && a->dtype == b->dtype;
}

static void choose(const wants *w, const wanted *like, chosen *c) {
    c->count = 0;
    for (size_t i = 0; i < w->count; i++) {
        wanted *x = &w->list[i];
        if (!same_series(x, like)) continue;
        size_t n = c->count++;
        c->of[n] = x;
        if (x->kind == COLLECTIVE) c->collective[n] = x->collective;
        if (x->kind == PRODUCT) c->product[n] = x->product;
        if (x->kind == ATTENTION) c->attending[n] = x->attending;
        if (x->kind == ROW_OP) c->row_op[n] = x->row_op;
    }
}

static bool measure_kernels(const wants *w, const wanted *like, chosen *c) {
    switch (like->kind) {
    case COLLECTIVE:
        return collectives_measure(&(collectives){w->o, like->pes, like->workers, c->count, c->collective},
                                   c->ns, NULL);
    case BARRIER:
        return series_run(&(series){w->o, like->workers, 0, 15, 100000, NULL, NULL, NULL}, NULL, c->ns);
    case PRODUCT:
        return products_measure(&(products){w->o, like->dtype, like->workers, c->count, c->product}, c->ns);
    case ATTENTION:
        return attendings_measure(&(attendings){w->o, c->count, c->attending}, c->ns);
    default:
        return row_ops_measure(&(row_ops){w->o, c->count, c->row_op}, c->ns);
    }
}

static bool failed(wants *w, const char *what) {
    omni_status stopped = omni_stop_get(w->o->stop);
    if (w->status) return false;
    w->status = stopped ? omni_error_set(w->err, stopped, "calibrate: stopped")
                        : omni_error_set(w->err, OMNI_RUN_FAILED,
                                         "calibrate: no memory or no thread to measure %s", what);
    return false;
}

static const char *const names[] = {"messages",  "barriers",     "products",
                                    "attention", "row-wise ops", "passes"};

static bool measure_series(wants *w, wanted *like, chosen *c, size_t round) {
    choose(w, like, c);
    if (like->kind == PASS) {
        double ns[OMNI_RATES_PASSES];
        w->status = passing_measure(&like->passing, PASS_NS, ns, w->err);
        for (size_t k = 0; k < OMNI_RATES_PASSES; k++) like[k].ns[round] = ns[k];
        return w->status == OMNI_OK && (omni_stop_get(w->o->stop) == OMNI_OK || failed(w, names[PASS]));
    }
    if (!measure_kernels(w, like, c) || omni_stop_get(w->o->stop) != OMNI_OK)
        return failed(w, names[like->kind]);
    for (size_t i = 0; i < c->count; i++) c->of[i]->ns[round] = c->ns[i];
    return true;
}

bool wants_measure(wants *w, size_t round) {
    chosen *c = omni_alloc(sizeof *c);
    bool ok = c != NULL || failed(w, "anything");
    for (size_t i = 0; i < w->count; i++) w->list[i].ns[round] = NAN;
    for (size_t i = 0; ok && i < w->count; i++) {
        wanted *like = &w->list[i];
        if (!isnan(like->ns[round])) continue; /* was part of a series */
        ok = measure_series(w, like, c, round);
        if (w->o->step)
            w->o->step(w->o->user, round * w->count + i + 1, ROUNDS * w->count, names[like->kind]);
    }
    omni_free(c);
    return ok;
}
