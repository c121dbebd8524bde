/* script.c: the table of pictures. A new one is a row here. */
#include <stdio.h>

#include "picture/internal.h"

static bool has_any(const omni_results *r, point_test *has) {
    for (size_t i = 0; i < omni_results_count(r); i++)
        if (has(omni_results_at(r, i))) return true;
    return false;
}

static bool has_time(const omni_results *r) {
    return has_any(r, point_has_parts);
}
static bool has_ops(const omni_results *r) {
    return has_any(r, point_has_ops);
}
static bool has_bytes(const omni_results *r) {
    return has_any(r, point_has_bytes);
}
static bool has_prediction(const omni_results *r) {
    return has_any(r, point_is_predicted);
}

static const struct {
    const char *name, *title, *needs;
    bool (*has)(const omni_results *r);
    void (*draw)(const omni_results *r, canvas *c);
} pictures[OMNI_PICTURES] = {
    [OMNI_PICTURE_SCALING] = {"scaling", "Speed-up over PEs",
                              "times of a plan on two numbers of PEs, as bench --pes 1,2", has_scaling,
                              draw_scaling},
    [OMNI_PICTURE_TIME] = {"time", "Where each plan's time goes",
                           "a bench, or a plan or run priced with --array", has_time, draw_time},
    [OMNI_PICTURE_OPS] = {"ops", "Time by op", "a plan or run priced with --array", has_ops, draw_ops},
    [OMNI_PICTURE_BEST] = {"best", "The best plan over batch and sequence",
                           "times of several plans, as plan --array A --batch 1,4 --prompt 128,512", has_best,
                           draw_best},
    [OMNI_PICTURE_BYTES] = {"bytes", "Bytes that move", "a plan, run or bench", has_bytes, draw_bytes},
    [OMNI_PICTURE_PREDICTION] = {"prediction", "Prediction against measurement",
                                 "a calibrate, or a plan --verify, run or bench with --array host",
                                 has_prediction, draw_prediction},
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

/* Of an SVG in pixels. A page's is narrow; PNG has more of them for the same. */
static const double widths[] = {[OMNI_IMAGE_SVG] = 820, [OMNI_IMAGE_PNG] = 820, [OMNI_IMAGE_INLINE] = 480};

static void add_terminal(const canvas *c, omni_image image, omni_text *out) {
    if (image == OMNI_IMAGE_PNG)
        omni_text_add(out,
                      "set terminal pngcairo size %.0f,%.0f noenhanced font 'sans-serif,13' fontscale 1.2 "
                      "linewidth 1.5 pointscale 1.5\n",
                      c->width * 1.6, c->y * 1.6);
    else
        omni_text_add(out, "set terminal svg size %.0f,%.0f dynamic noenhanced font 'sans-serif,13'%s\n",
                      c->width, c->y, image == OMNI_IMAGE_SVG ? " background rgb 'white'" : "");
    omni_text_add(out, "set encoding utf8\nW=%.1f\nH=%.1f\nunset key\n", c->width, c->y);
}

void omni_picture_script(const omni_results *r, omni_picture p, omni_image image, omni_text *out) {
    omni_text *body = omni_text_create();
    canvas c = {.out = body, .width = widths[image]};
    pictures[p].draw(r, &c);
    add_terminal(&c, image, out); /* which needs its height */
    const char *script = omni_text_string(body);
    omni_text_append(out, script, strlen(script));
    omni_text_free(body);
}
