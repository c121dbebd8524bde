/* bars.c: stacked bars, one for each plan, one panel for each situation. Names stand above their bars, so
 * that they have the whole width.
 *
 *     megatron n=4                  1.93 ms
 *     |######|==|-|
 *     workflow1 n=4                 2.71 ms
 *     |########|====|---|
 */
#include <stdio.h>

#include "picture/internal.h"

enum { MOST_STACKED = COLOURS };
/* Pixels: of a bar, below it, of "12.34 ms" and of half of it, which a tic needs. */
enum { BAR = 14, GAP = 9, FIGURE = 90, LEFT = 26 };

/* What a bar is made of: names of its pieces, and how large each is for a point. */
typedef struct stack {
    char name[MOST_STACKED][32];
    size_t count;
    double (*size)(const struct stack *s, const omni_point *p, size_t piece);
    unit (*unit_of)(double largest);
    const char *nothing; /* what a bar without a length says */
    size_t colour;       /* of the first piece */
    bool other;          /* the last piece is what has none of its own */
} stack;

static const char *colour_of(const stack *s, size_t piece) {
    return canvas_colours[s->other && piece + 1 == s->count ? COLOURS - 1 : s->colour + piece];
}

static double bar_size(const stack *s, const omni_point *p) {
    double all = 0;
    for (size_t k = 0; k < s->count; k++) all += s->size(s, p, k);
    return all;
}

static double longest_bar(const stack *s, const panel *of) {
    double largest = 0;
    for (size_t i = 0; i < of->count; i++) largest = fmax(largest, bar_size(s, of->point[i]));
    return largest;
}

static bool is_seen(const stack *s, const panel *list, size_t count, size_t piece) {
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < list[i].count; k++)
            if (s->size(s, list[i].point[k], piece) > 0) return true;
    return false;
}

/* --- one panel -------------------------------------------------------------------------------- */

/* In the title stands what all rows share. */
static bool share_pes(const panel *of) {
    for (size_t i = 1; i < of->count; i++)
        if (of->point[i]->pes != of->point[0]->pes) return false;
    return true;
}

static void panel_title(const panel *of, canvas *c) {
    const omni_point *p = of->point[0];
    char title[640], where[80];
    size_t n = 0;
    n += (size_t)snprintf(title, sizeof title, "%s", of->tests ? p->plan : p->test);
    if (share_pes(of) && p->pes) n += (size_t)snprintf(title + n, sizeof title - n, ", n=%zu", p->pes);
    n += (size_t)snprintf(title + n, sizeof title - n, ", batch %zu, %s, %s", p->batch, p->model,
                          point_where(p, where, sizeof where));
    if (of->of > of->count)
        snprintf(title + n, sizeof title - n, " (the best %zu of %zu)", of->count, of->of);
    canvas_title(c, title);
}

static const char *row_name(const panel *of, size_t i, common k, char *buf, size_t cap) {
    const omni_point *p = of->point[i];
    if (of->tests) {
        snprintf(buf, cap, "%s", p->test);
        return buf;
    }
    common_less(k, p->plan, buf, cap);
    size_t n = strlen(buf);
    if (!share_pes(of)) snprintf(buf + n, cap - n, " n=%zu", p->pes);
    return buf;
}

static size_t name_columns(const canvas *c) {
    return canvas_columns(c, LEFT + FIGURE);
}

static common common_names(const panel *of, const canvas *c) {
    const char *names[PANEL_ROWS];
    for (size_t i = 0; i < of->count; i++) names[i] = of->point[i]->plan;
    return of->tests ? (common){0, 0} : common_of(names, of->count, name_columns(c));
}

/* Names and figures above the bars; returns where row i's bar begins, from `top` on. */
static double place_names(const stack *s, const panel *of, unit u, common k, canvas *c,
                          double top[PANEL_ROWS]) {
    double begin = c->y;
    char name[320], figure[32];
    for (size_t i = 0; i < of->count; i++) {
        double size = bar_size(s, of->point[i]);
        snprintf(figure, sizeof figure, "%.4g %s", size / u.each, u.name);
        canvas_text(c, c->width - MARGIN - 8, c->y + LINE / 2.0, "right", size > 0 ? figure : s->nothing);
        canvas_wrapped(c, LEFT, name_columns(c), "left font 'monospace,12'",
                       row_name(of, i, k, name, sizeof name));
        top[i] = c->y - begin;
        c->y += BAR + GAP;
    }
    c->y = begin;
    return top[of->count - 1] + BAR + GAP;
}

static void draw_panel(const stack *s, const panel *of, canvas *c) {
    double top[PANEL_ROWS], longest = longest_bar(s, of);
    unit u = s->unit_of(longest);
    panel_title(of, c);
    common k = common_names(of, c);
    common_note(c, k, of->point[0]->plan);
    double height = place_names(s, of, u, k, c, top);
    omni_text_add(c->out, "$bars << EOD\n");
    for (size_t i = 0; i < of->count; i++) {
        double at = 0;
        for (size_t piece = 0; piece < s->count; piece++) {
            double size = s->size(s, of->point[i], piece) / u.each;
            if (!(size > 0)) continue;
            omni_text_add(c->out, "%.6g %.6g %g %g 0x%s\n", at, at + size, top[i], top[i] + BAR,
                          colour_of(s, piece) + 1);
            at += size;
        }
    }
    omni_text_add(c->out, "0 0 0 0 0x000000\nEOD\n");
    canvas_region(c, LEFT, height);
    c->y += TICS;
    longest = longest > 0 ? longest / u.each : 1;
    omni_text_add(c->out, "set yrange [%g:0]\nset xrange [0:%.6g]\nset xtics %g\nset format x '%%g %s'\n",
                  height, longest * 1.01, canvas_step(longest), u.name);
    omni_text_add(c->out, "plot $bars using 1:3:1:2:3:4:5 with boxxyerror lc rgb variable notitle\n");
    canvas_next(c);
}

/* --- all of them ------------------------------------------------------------------------------ */

static void draw_legend(const stack *s, const panel *list, size_t count, canvas *c) {
    canvas_key key[MOST_STACKED];
    size_t keys = 0;
    for (size_t k = 0; k < s->count; k++)
        if (is_seen(s, list, count, k)) key[keys++] = (canvas_key){MARK_BOX, colour_of(s, k), s->name[k]};
    canvas_legend(c, key, keys, false);
}

static void draw_panels(const stack *s, const panel *list, size_t count, size_t of, canvas *c) {
    char note[96];
    omni_text_add(c->out, "set style fill solid noborder\nset border 1 lc rgb '#999999'\nset grid x lc rgb "
                          "'#90888888'\nunset ytics\nset xtics nomirror tc rgb '#777777'\nset multiplot\n");
    c->y = 8;
    draw_legend(s, list, count, c);
    snprintf(note, sizeof note, "the first %zu of %zu situations", count, of);
    if (of > count) canvas_note(c, note);
    for (size_t i = 0; i < count; i++) draw_panel(s, &list[i], c);
    omni_text_add(c->out, "unset multiplot\n");
}

static double by_time(const omni_point *p) {
    return p->s;
}

static double by_bytes(const omni_point *p) {
    return p->bus_bytes + (isfinite(p->tree_bytes) ? p->tree_bytes : 0);
}

/* --- where the time goes ---------------------------------------------------------------------- */

static double part_size(const stack *s, const omni_point *p, size_t piece) {
    (void)s;
    return isfinite(p->part[piece]) ? p->part[piece] : 0;
}

void draw_time(const omni_results *r, canvas *c) {
    panel list[PANELS];
    stack s = {.count = OMNI_POINT_PARTS,
               .size = part_size,
               .unit_of = unit_of_time,
               .nothing = "no time",
               .other = true};
    size_t of, count = panels_find(r, point_has_parts, by_time, list, &of);
    for (size_t k = 0; k < s.count; k++)
        snprintf(s.name[k], sizeof s.name[k], "%s", omni_point_part_name((omni_point_part)k));
    draw_panels(&s, list, count, of, c);
}

/* --- by op ------------------------------------------------------------------------------------ */

static double op_of(const omni_point *p, const char *name) {
    for (size_t i = 0; i < p->ops; i++)
        if (strcmp(p->op[i].name, name) == 0) return p->op[i].s;
    return 0;
}

/* The last piece is all the others. */
static double op_size(const stack *s, const omni_point *p, size_t piece) {
    double rest = 0;
    if (piece + 1 < s->count) return op_of(p, s->name[piece]);
    for (size_t i = 0; i < p->ops; i++) rest += p->op[i].s;
    for (size_t k = 0; k + 1 < s->count; k++) rest -= op_of(p, s->name[k]);
    return rest > 1e-9 * p->s ? rest : 0; /* and not what rounding leaves */
}

static double op_in_all(const panel *list, size_t count, const char *name) {
    double all = 0; /* as shares, so that a long test does not hide a short one's */
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < list[i].count; k++) all += op_of(list[i].point[k], name) / list[i].point[k]->s;
    return all;
}

static bool is_named(const stack *s, const char *name) {
    for (size_t k = 0; k < s->count; k++)
        if (strcmp(s->name[k], name) == 0) return true;
    return false;
}

/* The op with the largest share that has no piece yet; "" when all have one. */
static void next_op(const stack *s, const panel *list, size_t count, char out[32]) {
    double best = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < list[i].count; k++)
            for (size_t o = 0; o < list[i].point[k]->ops; o++) {
                const char *name = list[i].point[k]->op[o].name;
                double share = is_named(s, name) ? 0 : op_in_all(list, count, name);
                if (share > best) {
                    best = share;
                    snprintf(out, 32, "%s", name);
                }
            }
}

void draw_ops(const omni_results *r, canvas *c) {
    panel list[PANELS];
    size_t of, count = panels_find(r, point_has_ops, by_time, list, &of);
    stack s = {.size = op_size, .unit_of = unit_of_time, .nothing = "no time", .other = true};
    char name[32];
    while (s.count + 1 < MOST_STACKED && (next_op(&s, list, count, name), name[0]))
        snprintf(s.name[s.count++], sizeof *s.name, "%s", name);
    snprintf(s.name[s.count++], sizeof *s.name, "other");
    draw_panels(&s, list, count, of, c);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static double bytes_size(const stack *s, const omni_point *p, size_t piece) {
    (void)s;
    double bytes = piece ? p->tree_bytes : p->bus_bytes;
    return isfinite(bytes) ? bytes : 0;
}

void draw_bytes(const omni_results *r, canvas *c) {
    panel list[PANELS];
    size_t of, count = panels_find(r, point_has_bytes, by_bytes, list, &of);
    stack s = {.name = {"bus", "tree"},
               .count = 2,
               .colour = OMNI_POINT_BUS,
               .size = bytes_size,
               .unit_of = unit_of_bytes,
               .nothing = "nothing moves"};
    draw_panels(&s, list, count, of, c);
}
