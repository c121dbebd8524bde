/* internal.h: what the files of this room share.
 *
 *   results.c   JSON -> points             select.c   which points a picture shows
 *   bars.c      stacked bars               lines.c    scaling, prediction, the map of the best
 *   script.c    the table of pictures      gnuplot.c  the program
 */
#ifndef OMNIBUS_PICTURE_INTERNAL_H
#define OMNIBUS_PICTURE_INTERNAL_H

#include "omnibus/picture.h"

/* --- select.c --------------------------------------------------------------------------------- */

/* The same situation: source, model, test, batch, and so comparable plan by plan. */
bool point_same_case(const omni_point *a, const omni_point *b);
bool point_has_parts(const omni_point *p);
bool point_has_ops(const omni_point *p);
bool point_has_bytes(const omni_point *p);
bool point_is_predicted(const omni_point *p);

/* Points of one panel: at most `most` of those that `has`, of one case, the fastest (least bytes) first. */
enum { PANEL_ROWS = 12, PANELS = 4, SERIES = 8 };
typedef struct panel {
    const omni_point *point[PANEL_ROWS];
    size_t count, of; /* of so many */
} panel;
typedef bool point_test(const omni_point *p);
typedef double point_order(const omni_point *p);
/* Into out[PANELS]; how many. */
size_t panels_find(const omni_results *r, point_test *has, point_order *order, panel *out);

/* Points of one plan in one situation over PEs, ascending, at least two numbers of them. */
typedef struct series {
    const omni_point **point; /* [count], omni_free */
    size_t count;
} series;
size_t series_find(const omni_results *r, series out[SERIES], size_t *of);

/* --- the scripts ------------------------------------------------------------------------------ */

extern const char *const picture_colours[10]; /* "#4477aa", ... */
/* A text as gnuplot may see it: nothing that ends a string or begins a command. Returns buf. */
const char *script_label(const char *text, char *buf, size_t cap);
const char *script_short(const char *text, char *buf, size_t cap); /* and too long a one without its middle */

void draw_time(const omni_results *r, omni_text *out);
void draw_ops(const omni_results *r, omni_text *out);
void draw_bytes(const omni_results *r, omni_text *out);
void draw_scaling(const omni_results *r, omni_text *out);
void draw_prediction(const omni_results *r, omni_text *out);
void draw_best(const omni_results *r, omni_text *out);
bool has_scaling(const omni_results *r);
bool has_best(const omni_results *r);

/* Height in pixels of a picture 900 wide. */
size_t picture_height(const omni_results *r, omni_picture p);

#endif
