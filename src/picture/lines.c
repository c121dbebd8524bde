/* lines.c: speed-up over PEs, and predictions against measurements. */
#include <stdio.h>

#include "picture/internal.h"

enum { HEIGHT = 300, LEFT = 70 }; /* pixels: of a plot; of what stands on its left */

/* --- strong scaling --------------------------------------------------------------------------- */

bool has_scaling(const omni_results *r) {
    bundle list[PANELS];
    size_t of, count = bundles_find(r, list, &of);
    bundles_free(list, count);
    return count > 0;
}

/* The plans of some bundles: one has one colour, measured and modelled. */
typedef struct plans {
    const char *name[PANELS * SERIES];
    size_t count;
} plans;

static size_t plan_index(const plans *l, const char *name) {
    size_t i = 0;
    while (i < l->count && strcmp(l->name[i], name) != 0) i++;
    return i;
}

static plans plans_of(const bundle *list, size_t count) {
    plans l = {.count = 0};
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < list[i].count; k++) {
            const char *name = list[i].list[k].point[0]->plan;
            if (plan_index(&l, name) == l.count) l.name[l.count++] = name;
        }
    return l;
}

static const char *colour_of(const plans *l, const series *s) {
    return canvas_colours[plan_index(l, s->point[0]->plan)];
}

/* Time on the fewest PEs counts as perfect there: p0 x t(p0) / t(p). */
static void add_data(const series *s, size_t index, canvas *c) {
    const omni_point *first = s->point[0];
    omni_text_add(c->out, "$s%zu << EOD\n", index);
    for (size_t i = 0; i < s->count; i++)
        omni_text_add(c->out, "%zu %.6g\n", s->point[i]->pes, (double)first->pes * first->s / s->point[i]->s);
    omni_text_add(c->out, "EOD\n");
}

/* Numbers of PEs that were used, as far as their figures have room. */
static void add_tics(const bundle *b, size_t least, size_t most, canvas *c) {
    double step = pow((double)most / (double)least, 0.06), last = 0;
    const char *between = "";
    omni_text_add(c->out, "set xtics (");
    for (size_t n = least; n <= most;) {
        size_t next = SIZE_MAX;
        for (size_t i = 0; i < b->count; i++)
            for (size_t k = 0; k < b->list[i].count; k++) {
                size_t pes = b->list[i].point[k]->pes;
                if (pes > n && pes < next) next = pes;
            }
        if ((double)n >= last * step) {
            omni_text_add(c->out, "%s'%zu' %zu", between, n, n);
            between = ", ";
            last = (double)n;
        }
        n = next;
    }
    omni_text_add(c->out, ")\n");
}

static void add_lines(const bundle *b, const plans *l, canvas *c) {
    omni_text_add(c->out, "plot x with lines dt 3 lc rgb '#999999' notitle");
    for (size_t i = 0; i < b->count; i++) {
        bool modelled = b->list[i].point[0]->modelled;
        omni_text_add(c->out, ", $s%zu with linespoints lw 2 pt %d dt %d lc rgb '%s' notitle", i,
                      modelled ? 6 : 7, modelled ? 2 : 1, colour_of(l, &b->list[i]));
    }
    omni_text_add(c->out, "\n");
}

/* One of these stands in the title. */
static bool share_source(const bundle *b) {
    for (size_t i = 1; i < b->count; i++)
        if (!point_same_case(b->list[i].point[0], b->list[0].point[0])) return false;
    return true;
}

static const char *source_of(const omni_point *p, char *buf, size_t cap) {
    char where[80];
    snprintf(buf, cap, ", %s%s", p->modelled ? "" : "measured ", point_where(p, where, sizeof where));
    return buf;
}

static void add_legend(const bundle *b, const plans *l, canvas *c) {
    canvas_key key[SERIES + 1] = {{MARK_LINE, "#999999", "ideal"}};
    const char *names[SERIES];
    char text[SERIES][400];
    for (size_t i = 0; i < b->count; i++) names[i] = b->list[i].point[0]->plan;
    common k = common_of(names, b->count, canvas_columns(c, LEFT));
    common_note(c, k, names[0]);
    for (size_t i = 0; i < b->count; i++) {
        const omni_point *p = b->list[i].point[0];
        common_less(k, p->plan, text[i], 300);
        size_t n = strlen(text[i]);
        if (!share_source(b)) source_of(p, text[i] + n, sizeof text[i] - n);
        key[i + 1] =
            (canvas_key){p->modelled ? MARK_MODELLED : MARK_MEASURED, colour_of(l, &b->list[i]), text[i]};
    }
    canvas_legend(c, key, b->count + 1, true);
}

static void draw_bundle(const bundle *b, const plans *l, canvas *c) {
    const omni_point *p = b->list[0].point[0];
    size_t least = SIZE_MAX, most = 1;
    char title[400], source[100];
    snprintf(title, sizeof title, "%s, batch %zu, %s%s", p->test, p->batch, p->model,
             share_source(b) ? source_of(p, source, sizeof source) : "");
    size_t n = strlen(title);
    if (b->of > b->count)
        snprintf(title + n, sizeof title - n, " (the fastest %zu of %zu series)", b->count, b->of);
    canvas_title(c, title);
    add_legend(b, l, c);
    for (size_t i = 0; i < b->count; i++) {
        const series *s = &b->list[i];
        add_data(s, i, c);
        least = s->point[0]->pes < least ? s->point[0]->pes : least;
        most = s->point[s->count - 1]->pes > most ? s->point[s->count - 1]->pes : most;
    }
    canvas_axes(c, LEFT, HEIGHT, "PEs", "speed-up");
    add_tics(b, least, most, c);
    omni_text_add(c->out, "set xrange [%zu*0.98:%zu*1.02]\n", least, most);
    add_lines(b, l, c);
    canvas_next(c);
}

void draw_scaling(const omni_results *r, canvas *c) {
    bundle list[PANELS];
    size_t of, count = bundles_find(r, list, &of), here = 0;
    char note[96];
    omni_text_add(c->out,
                  "set logscale xy 2\nset grid lc rgb '#90888888'\nset border 3 lc rgb '#999999'\nset tics "
                  "nomirror tc rgb '#777777'\nset multiplot\n");
    c->y = 8;
    for (size_t i = 0; i < count; i++) here += list[i].of;
    snprintf(note, sizeof note, "the first %zu situations: %zu of %zu series", count, here, of);
    if (of > here) canvas_note(c, note);
    plans all = plans_of(list, count);
    for (size_t i = 0; i < count; i++) {
        plans own = plans_of(&list[i], 1);
        draw_bundle(&list[i], all.count <= COLOURS ? &all : &own, c);
    }
    omni_text_add(c->out, "unset multiplot\n");
    bundles_free(list, count);
}

/* --- prediction ------------------------------------------------------------------------------- */

/* Points of a kind have one colour. By plan, which calibrate calls a kind; by test where there are too many
 * plans. */
typedef const char *kind_of(const omni_point *p);
static const char *by_plan(const omni_point *p) {
    return p->plan;
}
static const char *by_test(const omni_point *p) {
    return p->test;
}
static const char *by_nothing(const omni_point *p) {
    (void)p;
    return "all plans";
}

typedef struct cloud {
    const omni_point **point; /* [count] of those with both times; omni_free */
    double *error;            /* [count] of a prediction, as a part of its measurement; omni_free */
    size_t count, kinds;
    kind_of *kind;
    const char *name[COLOURS];
    double least, most; /* seconds */
    double worst;       /* error */
} cloud;

/* False: too many for a colour each. */
static bool find_kinds(cloud *k) {
    k->kinds = 0;
    for (size_t i = 0; i < k->count; i++) {
        size_t n = 0;
        while (n < k->kinds && strcmp(k->name[n], k->kind(k->point[i])) != 0) n++;
        if (n < k->kinds) continue;
        if (n == COLOURS) return false;
        k->name[k->kinds++] = k->kind(k->point[i]);
    }
    return true;
}

static cloud cloud_of(const omni_results *r) {
    static kind_of *const kinds[] = {by_plan, by_test, by_nothing};
    size_t n = omni_results_count(r);
    cloud k = {.point = omni_alloc_array(n, sizeof *k.point), .error = omni_alloc_array(n, sizeof *k.error)};
    k.least = INFINITY;
    for (size_t i = 0; k.point && k.error && i < n; i++) {
        const omni_point *p = omni_results_at(r, i);
        if (!point_is_predicted(p)) continue;
        k.error[k.count] = fabs(p->predicted_s / p->s - 1);
        k.worst = fmax(k.worst, k.error[k.count]);
        k.point[k.count++] = p;
        k.least = fmin(k.least, fmin(p->s, p->predicted_s));
        k.most = fmax(k.most, fmax(p->s, p->predicted_s));
    }
    for (size_t i = 0; i < 3; i++) {
        k.kind = kinds[i];
        if (find_kinds(&k)) break;
    }
    return k;
}

static void add_clouds(const cloud *k, unit u, canvas *c) {
    for (size_t i = 0; i < k->kinds; i++) {
        omni_text_add(c->out, "$k%zu << EOD\n", i);
        for (size_t n = 0; n < k->count; n++)
            if (strcmp(k->kind(k->point[n]), k->name[i]) == 0)
                omni_text_add(c->out, "%.6g %.6g\n", k->point[n]->s / u.each,
                              k->point[n]->predicted_s / u.each);
        omni_text_add(c->out, "EOD\n");
    }
    omni_text_add(c->out,
                  "plot x with lines lc rgb '#999999' notitle, x*1.1 with lines dt 3 lc rgb '#999999' "
                  "notitle, x/1.1 with lines dt 3 lc rgb '#999999' notitle");
    for (size_t i = 0; i < k->kinds; i++)
        omni_text_add(c->out, ", $k%zu with points pt 7 ps 0.5 lc rgb '%s' notitle", i, canvas_colours[i]);
    omni_text_add(c->out, "\n");
}

void draw_prediction(const omni_results *r, canvas *c) {
    cloud k = cloud_of(r);
    unit u = unit_of_time(sqrt(k.least * k.most));
    char title[200], across[32], up[32];
    canvas_key key[COLOURS + 1] = {{MARK_LINE, "#999999", "within 10%"}};
    if (k.count) {
        snprintf(title, sizeof title, "%zu point%s: off by %.1f%% in the median, %.1f%% at worst", k.count,
                 k.count == 1 ? "" : "s", 100 * omni_median(k.error, k.count), 100 * k.worst);
        canvas_title(c, title);
    }
    for (size_t i = 0; i < k.kinds; i++) key[i + 1] = (canvas_key){MARK_BOX, canvas_colours[i], k.name[i]};
    canvas_legend(c, key, k.kinds + 1, k.kind == by_plan);
    double least = k.least / u.each / 1.3, most = k.most / u.each * 1.3;
    snprintf(across, sizeof across, "measured, %s", u.name);
    snprintf(up, sizeof up, "predicted, %s", u.name);
    canvas_axes(c, LEFT, HEIGHT + 100, across, up);
    omni_text_add(
        c->out,
        "set logscale xy 10\nset grid lc rgb '#90888888'\nset border 3 lc rgb '#999999'\nset tics nomirror "
        "tc rgb '#777777'\nset xrange "
        "[%.6g:%.6g]\nset yrange [%.6g:%.6g]\n",
        least, most, least, most);
    canvas_decades(c, "x", least, most);
    canvas_decades(c, "y", least, most);
    add_clouds(&k, u, c);
    omni_free(k.point);
    omni_free(k.error);
}
