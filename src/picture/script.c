/* script.c: the table of pictures. A new one is a row here. */
#include <stdio.h>

#include "picture/internal.h"

static double anything(const omni_point *p) {
    return p->s;
}

static bool has_panels(const omni_results *r, point_test *has) {
    panel list[PANELS];
    return panels_find(r, has, anything, list) > 0;
}

static bool has_time(const omni_results *r) {
    return has_panels(r, point_has_parts);
}
static bool has_ops(const omni_results *r) {
    return has_panels(r, point_has_ops);
}
static bool has_bytes(const omni_results *r) {
    return has_panels(r, point_has_bytes);
}
static bool has_prediction(const omni_results *r) {
    return has_panels(r, point_is_predicted);
}

static const struct {
    const char *name, *title, *needs;
    bool (*has)(const omni_results *r);
    void (*draw)(const omni_results *r, omni_text *out);
    point_test *panel; /* its height is that of panels */
} pictures[OMNI_PICTURES] = {
    [OMNI_PICTURE_SCALING] = {"scaling", "Speed-up over PEs", "a plan on two numbers of PEs", has_scaling,
                              draw_scaling, NULL},
    [OMNI_PICTURE_TIME] = {"time", "Where each plan's time goes", "a bench, or a plan priced on an array",
                           has_time, draw_time, point_has_parts},
    [OMNI_PICTURE_OPS] = {"ops", "Time by op", "a plan priced on an array", has_ops, draw_ops, point_has_ops},
    [OMNI_PICTURE_BEST] = {"best", "The best plan over batch and sequence",
                           "several plans on two batches or sequences", has_best, draw_best, NULL},
    [OMNI_PICTURE_BYTES] = {"bytes", "Bytes that move", "a plan, priced or not, or a bench", has_bytes,
                            draw_bytes, point_has_bytes},
    [OMNI_PICTURE_PREDICTION] = {"prediction", "Prediction against measurement",
                                 "a calibrate, or a bench on a host's array", has_prediction, draw_prediction,
                                 NULL},
};

const char *omni_point_part_name(omni_point_part part) {
    static const char *const names[OMNI_POINT_PARTS] = {"compute", "bus", "tree", "host", "wait", "rest"};
    return names[part];
}

const char *omni_picture_name(omni_picture p) {
    return pictures[p].name;
}

const char *omni_picture_title(omni_picture p) {
    return pictures[p].title;
}

const char *omni_picture_needs(omni_picture p) {
    return pictures[p].needs;
}

bool omni_picture_find(const char *name, omni_picture *out) {
    for (size_t i = 0; i < OMNI_PICTURES; i++)
        if (strcmp(name, pictures[i].name) == 0) {
            *out = (omni_picture)i;
            return true;
        }
    return false;
}

bool omni_picture_has(const omni_results *r, omni_picture p) {
    return pictures[p].has(r);
}

const char *script_short(const char *text, char *buf, size_t cap) {
    size_t n = strlen(text), head = (cap - 3) / 2, tail = cap - 3 - head;
    char all[160];
    snprintf(all, sizeof all, "%s", text);
    if (n >= cap && n < sizeof all) memmove(all + head + 2, all + n - tail, tail + 1);
    if (n >= cap && n < sizeof all) all[head] = all[head + 1] = '.';
    return script_label(all, buf, cap);
}

/* Letters, digits and what plans, files and CPUs are called by; no quote, backslash, backtick or newline. */
const char *script_label(const char *text, char *buf, size_t cap) {
    size_t n = 0;
    for (; text[n] && n + 1 < cap; n++) {
        char ch = text[n];
        bool plain = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                     (ch && strchr(" +-=:,./_@()*", ch));
        buf[n] = plain ? ch : '?';
    }
    buf[n] = '\0';
    return buf;
}

size_t picture_height(const omni_results *r, omni_picture p) {
    panel list[PANELS];
    size_t height = 0, rows = 0;
    if (!pictures[p].panel) return 520;
    size_t count = panels_find(r, pictures[p].panel, anything, list);
    for (size_t i = 0; i < count; i++) rows = list[i].count > rows ? list[i].count : rows;
    for (size_t i = 0; i < count; i++) height += 130 + 22 * rows;
    return height;
}

void omni_picture_script(const omni_results *r, omni_picture p, omni_text *out) {
    pictures[p].draw(r, out);
}
