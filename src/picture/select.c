/* select.c: which points a picture shows. What is left out is counted, and the picture says so. */
#include <stdlib.h>

#include "picture/internal.h"

bool point_same_case(const omni_point *a, const omni_point *b) {
    return a->modelled == b->modelled && a->batch == b->batch && a->sequence == b->sequence &&
           strcmp(a->source, b->source) == 0 && strcmp(a->model, b->model) == 0 &&
           strcmp(a->test, b->test) == 0;
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

/* --- panels ----------------------------------------------------------------------------------- */

/* Keeps the panel's rows in order and drops the last when there are too many. */
static void panel_take(panel *to, const omni_point *p, point_order *order) {
    size_t i = to->count < PANEL_ROWS ? to->count : PANEL_ROWS - 1;
    to->of++;
    if (to->count == PANEL_ROWS && order(p) >= order(to->point[i])) return;
    for (; i && order(to->point[i - 1]) > order(p); i--) to->point[i] = to->point[i - 1];
    to->point[i] = p;
    to->count += to->count < PANEL_ROWS;
}

size_t panels_find(const omni_results *r, point_test *has, point_order *order, panel *out) {
    size_t count = 0;
    for (size_t i = 0; i < omni_results_count(r); i++) {
        const omni_point *p = omni_results_at(r, i);
        size_t k = 0;
        if (!has(p)) continue;
        while (k < count && !point_same_case(out[k].point[0], p)) k++;
        if (k == PANELS) continue;
        if (k == count) out[count++] = (panel){.count = 0};
        panel_take(&out[k], p, order);
    }
    return count;
}

/* --- series ----------------------------------------------------------------------------------- */

static bool same_series(const omni_point *a, const omni_point *b) {
    return point_same_case(a, b) && strcmp(a->plan, b->plan) == 0;
}

/* The points of p's series, one for each number of PEs; none when p is not the first of them. */
static series series_of(const omni_results *r, size_t first) {
    const omni_point *p = omni_results_at(r, first);
    series s = {omni_alloc_array(omni_results_count(r), sizeof *s.point), 0};
    for (size_t i = 0; s.point && i < omni_results_count(r); i++) {
        const omni_point *q = omni_results_at(r, i);
        size_t at = s.count;
        if (!(q->s > 0) || q->pes == 0 || !same_series(p, q)) continue;
        if (i < first) {
            s.count = 0;
            return s;
        }
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

/* The fastest with all their PEs come first; tests take turns by that, too. */
size_t series_find(const omni_results *r, series out[SERIES], size_t *of) {
    size_t count = 0;
    *of = 0;
    for (size_t i = 0; i < omni_results_count(r); i++) {
        if (!(omni_results_at(r, i)->s > 0)) continue;
        series s = series_of(r, i);
        size_t at = count;
        if (s.count < 2) {
            omni_free(s.point);
            continue;
        }
        ++*of;
        while (at && last_s(&out[at - 1]) > last_s(&s)) at--;
        if (count == SERIES) omni_free(at < SERIES ? out[SERIES - 1].point : s.point);
        if (at == SERIES) continue;
        size_t kept = count < SERIES ? count++ : SERIES - 1;
        memmove(out + at + 1, out + at, (kept - at) * sizeof *out);
        out[at] = s;
    }
    return count;
}
