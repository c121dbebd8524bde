/* select.c: which points a picture shows. What is left out is counted, and the picture says so. */
#include <stdio.h>
#include <stdlib.h>

#include "picture/internal.h"

static bool same_texts(const omni_point *a, const omni_point *b) {
    return a->batch == b->batch && strcmp(a->model, b->model) == 0;
}

static bool same_source(const omni_point *a, const omni_point *b) {
    return a->modelled == b->modelled && strcmp(a->source, b->source) == 0;
}

static bool same_test(const omni_point *a, const omni_point *b) {
    return a->sequence == b->sequence && strcmp(a->test, b->test) == 0;
}

static bool same_plan(const omni_point *a, const omni_point *b) {
    return strcmp(a->plan, b->plan) == 0;
}

bool point_same_case(const omni_point *a, const omni_point *b) {
    return same_texts(a, b) && same_source(a, b) && same_test(a, b);
}

bool point_has_parts(const omni_point *p) {
    return p->s > 0 && isfinite(p->part[OMNI_POINT_COMPUTE]);
}

bool point_has_ops(const omni_point *p) {
    return p->s > 0 && p->ops > 0;
}

bool point_has_bytes(const omni_point *p) {
    return isfinite(p->bus_bytes);
}

bool point_is_predicted(const omni_point *p) {
    return p->s > 0 && p->predicted_s > 0;
}

const char *point_where(const omni_point *p, char *buf, size_t cap) {
    bool counted = !(p->s > 0) && !p->modelled;
    snprintf(buf, cap, "%s%s", p->modelled ? "modelled on " : counted ? "for " : "on ", p->source);
    return buf;
}

/* --- panels ----------------------------------------------------------------------------------- */

typedef bool point_match(const omni_point *a, const omni_point *b);

static bool same_run(const omni_point *a, const omni_point *b) {
    return same_texts(a, b) && same_source(a, b) && same_plan(a, b) && a->pes == b->pes;
}

/* The first point with it that `matches` the one at i; i itself when there is none before. */
static size_t first_like(const omni_results *r, size_t i, point_test *has, point_match *matches) {
    const omni_point *p = omni_results_at(r, i);
    for (size_t k = 0; k < i; k++) {
        const omni_point *q = omni_results_at(r, k);
        if (has(q) && matches(q, p)) return k;
    }
    return i;
}

/* Is there a case with two plans to compare? */
static bool has_rivals(const omni_results *r, point_test *has) {
    for (size_t i = 0; i < omni_results_count(r); i++)
        if (has(omni_results_at(r, i)) && first_like(r, i, has, point_same_case) < i) return true;
    return false;
}

/* Keeps the panel's rows in order and drops the last when there are too many. */
static void panel_take(panel *to, const omni_point *p, point_order *order) {
    size_t i = to->count < PANEL_ROWS ? to->count : PANEL_ROWS - 1;
    to->of++;
    if (to->count == PANEL_ROWS && (to->tests || order(p) >= order(to->point[i]))) return;
    for (; !to->tests && i && order(to->point[i - 1]) > order(p); i--) to->point[i] = to->point[i - 1];
    to->point[i] = p;
    to->count += to->count < PANEL_ROWS;
}

size_t panels_find(const omni_results *r, point_test *has, point_order *order, panel *out, size_t *of) {
    size_t count = 0;
    bool tests = !has_rivals(r, has);
    point_match *matches = tests ? same_run : point_same_case;
    *of = 0;
    for (size_t i = 0; i < omni_results_count(r); i++) {
        const omni_point *p = omni_results_at(r, i);
        size_t k = 0;
        if (!has(p)) continue;
        while (k < count && !matches(out[k].point[0], p)) k++;
        if (k == count) *of += first_like(r, i, has, matches) == i;
        if (k == PANELS) continue;
        if (k == count) out[count++] = (panel){.count = 0, .tests = tests};
        panel_take(&out[k], p, order);
    }
    return count;
}

/* --- series ----------------------------------------------------------------------------------- */

static bool same_series(const omni_point *a, const omni_point *b) {
    return point_same_case(a, b) && same_plan(a, b);
}

static bool same_bundle(const omni_point *a, const omni_point *b) {
    return same_texts(a, b) && same_test(a, b);
}

/* Of passes: the messages and products that calibrate times have no batch, and are no faster on more PEs. */
static bool has_time(const omni_point *p) {
    return p->s > 0 && p->pes > 0 && p->batch > 0;
}

/* The points of the series that begins at `first`, one for each number of PEs. */
static series series_of(const omni_results *r, size_t first) {
    const omni_point *p = omni_results_at(r, first);
    series s = {omni_alloc_array(omni_results_count(r), sizeof *s.point), 0};
    for (size_t i = first; s.point && i < omni_results_count(r); i++) {
        const omni_point *q = omni_results_at(r, i);
        size_t at = s.count;
        if (!has_time(q) || !same_series(p, q)) continue;
        while (at && s.point[at - 1]->pes > q->pes) at--;
        if (at && s.point[at - 1]->pes == q->pes) continue;
        memmove(s.point + at + 1, s.point + at, (s.count - at) * sizeof *s.point);
        s.point[at] = q;
        s.count++;
    }
    return s;
}

static double last_s(const series *s) {
    return s->point[s->count - 1]->s;
}

static void bundle_take(bundle *b, series s) {
    size_t at = b->count;
    b->of++;
    while (at && last_s(&b->list[at - 1]) > last_s(&s)) at--;
    if (at == SERIES) {
        omni_free(s.point);
        return;
    }
    if (b->count == SERIES) omni_free(b->list[--b->count].point);
    memmove(b->list + at + 1, b->list + at, (b->count - at) * sizeof *b->list);
    b->list[at] = s;
    b->count++;
}

size_t bundles_find(const omni_results *r, bundle *out, size_t *of) {
    const omni_point *like[PANELS];
    size_t count = 0;
    *of = 0;
    for (size_t i = 0; i < omni_results_count(r); i++) {
        const omni_point *p = omni_results_at(r, i);
        size_t k = 0;
        if (!has_time(p) || first_like(r, i, has_time, same_series) < i) continue;
        series s = series_of(r, i);
        while (k < count && !same_bundle(like[k], p)) k++;
        if (s.count < 2 || k == PANELS) {
            *of += s.count >= 2;
            omni_free(s.point);
            continue;
        }
        if (k == count) {
            out[count] = (bundle){.count = 0};
            like[count++] = p;
        }
        bundle_take(&out[k], s);
    }
    for (size_t k = 0; k < count; k++) *of += out[k].of;
    return count;
}

void bundles_free(bundle *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < list[i].count; k++) omni_free(list[i].list[k].point);
}
