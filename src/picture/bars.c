/* bars.c: stacked bars, one for each plan, one panel for each situation, lying so that names have room.
 *
 *     megatron n=4   |######|==|-|
 *     workflow1 n=4  |########|====|---|
 */
#include "picture/internal.h"

const char *const picture_colours[10] = {"#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee",
                                         "#aa3377", "#dd8844", "#999999", "#44aa99", "#332288"};

enum { MOST_STACKED = 10, NAME = 56 };

/* What a bar is made of: names of its pieces, and how large each is for a point. */
typedef struct stack {
    char name[MOST_STACKED][32];
    size_t count;
    double (*size)(const struct stack *s, const omni_point *p, size_t piece);
} stack;

/* A unit in which `largest` is between 1 and 1000. */
typedef struct unit {
    const char *name;
    double each;
} unit;

static unit unit_of(const unit *units, size_t count, double largest) {
    size_t i = 0;
    while (i + 1 < count && largest >= units[i + 1].each) i++;
    return units[i];
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

static bool is_seen(const stack *s, const panel *of, size_t piece) {
    for (size_t i = 0; i < of->count; i++)
        if (s->size(s, of->point[i], piece) > 0) return true;
    return false;
}

static void draw_panel(const stack *s, const panel *of, unit u, omni_text *out) {
    const omni_point *first = of->point[0];
    char a[96], b[96], c[96];
    omni_text_add(out, "$bars << EOD\n");
    for (size_t i = 0; i < of->count; i++) {
        double at = 0;
        for (size_t k = 0; k < s->count; k++) {
            double size = s->size(s, of->point[i], k) / u.each;
            if (!(size > 0)) continue;
            omni_text_add(out, "%.6g %.6g %zu 0x%s\n", at, at + size, i + 1, picture_colours[k] + 1);
            at += size;
        }
    }
    omni_text_add(out, "0 0 0 0x000000\nEOD\nset ytics (");
    for (size_t i = 0; i < of->count; i++)
        omni_text_add(out, "%s\"%s n=%zu\" %zu", i ? ", " : "", script_short(of->point[i]->plan, a, NAME),
                      of->point[i]->pes, i + 1);
    omni_text_add(out, ")\nset yrange [%.1f:0.4]\nset xrange [0:%.6g]\n", (double)of->count + 0.6,
                  fmax(longest_bar(s, of) / u.each * 1.02, 1e-9));
    omni_text_add(out, "set title \"%s, %s, batch %zu, %s %s", script_label(first->test, a, sizeof a),
                  script_label(first->model, b, sizeof b), first->batch,
                  first->modelled ? "modelled on" : "on", script_label(first->source, c, sizeof c));
    if (of->of > of->count) omni_text_add(out, " (the best %zu of %zu)", of->count, of->of);
    omni_text_add(out, ", %s\"\n", u.name);
    omni_text_add(out,
                  "plot $bars using 1:3:1:2:($3-0.38):($3+0.38):4 with boxxyerror lc rgb variable notitle");
    for (size_t k = 0; k < s->count; k++)
        if (is_seen(s, of, k))
            omni_text_add(out, ", keyentry with boxes fs solid lc rgb \"%s\" title \"%s\"",
                          picture_colours[k], script_label(s->name[k], a, sizeof a));
    omni_text_add(out, "\n");
}

/* Where the bars begin, as a part of the width: behind the longest name. */
static double names_end(const panel *list, size_t count) {
    size_t longest = 0;
    char name[NAME];
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < list[i].count; k++) {
            size_t n = strlen(script_short(list[i].point[k]->plan, name, sizeof name));
            longest = n > longest ? n : longest;
        }
    return 0.08 + 0.0063 * (double)longest;
}

static void draw_panels(const stack *s, const panel *list, size_t count, const unit *units, size_t unit_count,
                        omni_text *out) {
    omni_text_add(out,
                  "set style fill solid noborder\nset key outside right top vertical reverse Left\nset grid "
                  "x\nset ytics font \",10\"\n"
                  "set lmargin at screen %.3f\nset rmargin at screen 0.84\nset multiplot layout %zu,1\n",
                  names_end(list, count), count);
    for (size_t i = 0; i < count; i++)
        draw_panel(s, &list[i], unit_of(units, unit_count, longest_bar(s, &list[i])), out);
    omni_text_add(out, "unset multiplot\n");
}

static const unit times[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
static const unit sizes[] = {{"bytes", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}};

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

void draw_time(const omni_results *r, omni_text *out) {
    panel list[PANELS];
    stack s = {.count = OMNI_POINT_PARTS, .size = part_size};
    for (size_t k = 0; k < s.count; k++)
        snprintf(s.name[k], sizeof s.name[k], "%s", omni_point_part_name((omni_point_part)k));
    draw_panels(&s, list, panels_find(r, point_has_parts, by_time, list), times, 4, out);
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
    return fmax(rest, 0);
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

void draw_ops(const omni_results *r, omni_text *out) {
    panel list[PANELS];
    size_t count = panels_find(r, point_has_ops, by_time, list);
    stack s = {.size = op_size};
    char name[32];
    while (s.count + 1 < MOST_STACKED && (next_op(&s, list, count, name), name[0]))
        snprintf(s.name[s.count++], sizeof *s.name, "%s", name);
    snprintf(s.name[s.count++], sizeof *s.name, "other");
    draw_panels(&s, list, count, times, 4, out);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static double bytes_size(const stack *s, const omni_point *p, size_t piece) {
    (void)s;
    double bytes = piece ? p->tree_bytes : p->bus_bytes;
    return isfinite(bytes) ? bytes : 0;
}

void draw_bytes(const omni_results *r, omni_text *out) {
    panel list[PANELS];
    stack s = {.name = {"bus", "tree"}, .count = 2, .size = bytes_size};
    draw_panels(&s, list, panels_find(r, point_has_bytes, by_bytes, list), sizes, 4, out);
}
