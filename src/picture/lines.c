/* lines.c: speed-up over PEs, predictions against measurements, and the map of the best plans. */
#include <stdio.h>

#include "picture/internal.h"

/* --- strong scaling --------------------------------------------------------------------------- */

bool has_scaling(const omni_results *r) {
    series list[SERIES];
    size_t of, count = series_find(r, list, &of);
    for (size_t i = 0; i < count; i++) omni_free(list[i].point);
    return count > 0;
}

/* Time on the fewest PEs counts as perfect there: p0 x t(p0) / t(p). */
static void draw_series(const series *s, size_t index, size_t *least, size_t *most, omni_text *out) {
    const omni_point *first = s->point[0];
    omni_text_add(out, "$s%zu << EOD\n", index);
    for (size_t i = 0; i < s->count; i++) {
        const omni_point *p = s->point[i];
        omni_text_add(out, "%zu %.6g\n", p->pes, (double)first->pes * first->s / p->s);
        *least = p->pes < *least ? p->pes : *least;
        *most = p->pes > *most ? p->pes : *most;
    }
    omni_text_add(out, "EOD\n");
}

void draw_scaling(const omni_results *r, omni_text *out) {
    series list[SERIES];
    size_t of, count = series_find(r, list, &of), least = SIZE_MAX, most = 1;
    char a[96], b[96], c[96];
    for (size_t i = 0; i < count; i++) draw_series(&list[i], i, &least, &most, out);
    omni_text_add(out,
                  "set logscale xy 2\nset grid\nset key outside below vertical maxrows %d left reverse Left\n"
                  "set xlabel \"PEs\"\nset ylabel \"speed-up\"\nset xrange [%zu:%zu]\n",
                  SERIES + 1, least, most);
    if (of > count) omni_text_add(out, "set title \"the fastest %zu of %zu series\"\n", count, of);
    omni_text_add(out, "plot x with lines dt 3 lc rgb \"#999999\" title \"ideal\"");
    for (size_t i = 0; i < count; i++) {
        const omni_point *p = list[i].point[0];
        omni_text_add(
            out, ", $s%zu with linespoints lw 2 pt %d dt %d lc rgb \"%s\" title \"%s %s, batch %zu, %s %s\"",
            i, p->modelled ? 6 : 7, p->modelled ? 2 : 1, picture_colours[i], script_short(p->plan, a, 64),
            script_label(p->test, b, sizeof b), p->batch,
            p->modelled ? "modelled:" : "measured:", script_label(p->source, c, 32));
        omni_free(list[i].point);
    }
    omni_text_add(out, "\n");
}

/* --- prediction ------------------------------------------------------------------------------- */

/* Points of a kind: what calibrate calls the plan, or the plan. */
static bool kind_is_new(const omni_results *r, size_t at) {
    const omni_point *p = omni_results_at(r, at);
    for (size_t i = 0; i < at; i++)
        if (point_is_predicted(omni_results_at(r, i)) && strcmp(omni_results_at(r, i)->plan, p->plan) == 0)
            return false;
    return point_is_predicted(p);
}

void draw_prediction(const omni_results *r, omni_text *out) {
    size_t kinds = 0, n = omni_results_count(r), first[SERIES];
    char a[96];
    for (size_t i = 0; i < n && kinds < SERIES; i++)
        if (kind_is_new(r, i)) first[kinds++] = i;
    for (size_t k = 0; k < kinds; k++) {
        omni_text_add(out, "$k%zu << EOD\n", k);
        for (size_t i = first[k]; i < n; i++) {
            const omni_point *p = omni_results_at(r, i);
            if (point_is_predicted(p) && strcmp(p->plan, omni_results_at(r, first[k])->plan) == 0)
                omni_text_add(out, "%.6g %.6g\n", p->s * 1e6, p->predicted_s * 1e6);
        }
        omni_text_add(out, "EOD\n");
    }
    omni_text_add(
        out, "set logscale xy 10\nset grid\nset key outside below horizontal\nset xlabel \"measured, us\"\n"
             "set ylabel \"predicted, us\"\nplot x with lines dt 1 lc rgb \"#999999\" title \"the same\", "
             "x*1.1 with lines dt 3 lc rgb \"#999999\" title \"10%% more, less\", "
             "x/1.1 with lines dt 3 lc rgb \"#999999\" notitle");
    for (size_t k = 0; k < kinds; k++)
        omni_text_add(out, ", $k%zu with points pt 7 ps 0.6 lc rgb \"%s\" title \"%s\"", k,
                      picture_colours[k], script_short(omni_results_at(r, first[k])->plan, a, 64));
    omni_text_add(out, "\n");
}

/* --- the best plan over batch x sequence ------------------------------------------------------ */

enum { SIDE = 10, PLANS = 10 };

typedef struct map {
    const omni_point *like; /* of one source, model, kind and number of PEs */
    const omni_point *best[SIDE][SIDE];
    char test[SIDE][64];
    size_t sequence[SIDE], tests, batch[SIDE], batches, cells, rivals;
} map;

/* Prompts, generation, both, an encoder's pass. */
static int test_kind(const char *test) {
    return strchr(test, '+') ? '+' : test[0];
}

static bool in_map(const omni_point *like, const omni_point *p) {
    return p->s > 0 && p->pes && p->batch && p->pes == like->pes && p->modelled == like->modelled &&
           strcmp(p->source, like->source) == 0 && strcmp(p->model, like->model) == 0 &&
           test_kind(p->test) == test_kind(like->test);
}

/* The place of a column or row, inserted in ascending order; SIDE: there is no room. */
static size_t column_of(map *m, const omni_point *p) {
    size_t i = 0;
    while (i < m->tests && strcmp(m->test[i], p->test) != 0) i++;
    if (i < m->tests || m->tests == SIDE) return i;
    while (i && m->sequence[i - 1] > p->sequence) {
        m->sequence[i] = m->sequence[i - 1];
        memcpy(m->test[i], m->test[i - 1], sizeof *m->test);
        i--;
    }
    m->sequence[i] = p->sequence;
    memcpy(m->test[i], p->test, sizeof *m->test);
    m->tests++;
    return i;
}

static size_t row_of(map *m, const omni_point *p) {
    size_t i = 0;
    while (i < m->batches && m->batch[i] != p->batch) i++;
    if (i < m->batches || m->batches == SIDE) return i;
    for (; i && m->batch[i - 1] > p->batch; i--) m->batch[i] = m->batch[i - 1];
    m->batch[i] = p->batch;
    m->batches++;
    return i;
}

static map map_of(const omni_results *r, const omni_point *like) {
    map m = {.like = like};
    for (size_t i = 0; i < omni_results_count(r); i++) { /* first the axes, then what is where */
        const omni_point *p = omni_results_at(r, i);
        if (in_map(like, p)) (void)column_of(&m, p), (void)row_of(&m, p);
    }
    for (size_t i = 0; i < omni_results_count(r); i++) {
        const omni_point *p = omni_results_at(r, i);
        if (!in_map(like, p)) continue;
        size_t x = column_of(&m, p), y = row_of(&m, p);
        if (x == SIDE || y == SIDE) continue;
        m.cells += !m.best[y][x];
        m.rivals += m.best[y][x] != NULL;
        if (!m.best[y][x] || p->s < m.best[y][x]->s) m.best[y][x] = p;
    }
    return m;
}

/* The one with most cells, contested ones; of several the one of whole generations, then of the most PEs. */
static bool map_beats(const map *a, const map *b) {
    if (!a->rivals || a->cells != b->cells) return a->rivals && a->cells > b->cells;
    bool whole = test_kind(a->like->test) == '+', other = test_kind(b->like->test) == '+';
    return whole != other ? whole : a->like->pes > b->like->pes;
}

static map largest_map(const omni_results *r) {
    map best = {0};
    for (size_t i = 0; i < omni_results_count(r); i++) {
        const omni_point *p = omni_results_at(r, i);
        if (!(p->s > 0) || (best.like && in_map(best.like, p))) continue;
        map m = map_of(r, p);
        if (map_beats(&m, &best)) best = m;
    }
    return best;
}

bool has_best(const omni_results *r) {
    return largest_map(r).cells > 1;
}

static size_t plan_index(const omni_point *list[PLANS], size_t *count, const omni_point *p) {
    size_t i = 0;
    while (i < *count && strcmp(list[i]->plan, p->plan) != 0) i++;
    if (i == PLANS) return PLANS - 1;
    if (i == *count) list[(*count)++] = p;
    return i;
}

static void draw_cell(const omni_point *p, size_t x, size_t y, size_t plan, omni_text *out) {
    omni_text_add(out, "%zu %zu 0x%s \"%c", x + 1, y + 1, picture_colours[plan] + 1, (int)('A' + plan));
    if (isfinite(p->tokens_per_s))
        omni_text_add(out, " %.3g t/s\"\n", p->tokens_per_s);
    else
        omni_text_add(out, " %.3g ms\"\n", p->s * 1e3);
}

void draw_best(const omni_results *r, omni_text *out) {
    map m = largest_map(r);
    const omni_point *plan[PLANS];
    size_t plans = 0;
    char a[128], b[96];
    omni_text_add(out, "$best << EOD\n");
    for (size_t y = 0; y < m.batches; y++)
        for (size_t x = 0; x < m.tests; x++)
            if (m.best[y][x]) draw_cell(m.best[y][x], x, y, plan_index(plan, &plans, m.best[y][x]), out);
    omni_text_add(out, "EOD\nset xtics (");
    for (size_t x = 0; x < m.tests; x++)
        omni_text_add(out, "%s\"%s\" %zu", x ? ", " : "", script_label(m.test[x], a, sizeof a), x + 1);
    omni_text_add(out, ")\nset ytics (");
    for (size_t y = 0; y < m.batches; y++)
        omni_text_add(out, "%s\"%zu\" %zu", y ? ", " : "", m.batch[y], y + 1);
    omni_text_add(
        out,
        ")\nset xrange [0.4:%.1f]\nset yrange [0.4:%.1f]\nset ylabel \"batch\"\nset style fill solid "
        "noborder\nset key outside below vertical left reverse Left\nset title \"%s on %s, n=%zu\"\n",
        (double)m.tests + 0.6, (double)m.batches + 0.6, script_label(m.like->model, a, sizeof a),
        script_label(m.like->source, b, sizeof b), m.like->pes);
    omni_text_add(
        out, "plot $best using 1:2:($1-0.48):($1+0.48):($2-0.46):($2+0.46):3 with boxxyerror lc rgb variable "
             "notitle, $best using 1:2:4 with labels tc rgb \"#ffffff\" notitle");
    for (size_t i = 0; i < plans; i++)
        omni_text_add(out, ", keyentry with boxes fs solid lc rgb \"%s\" title \"%c  %s\"",
                      picture_colours[i], (int)('A' + i), script_label(plan[i]->plan, a, sizeof a));
    omni_text_add(out, "\n");
}
