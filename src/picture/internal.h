/* internal.h: what the files of this room share.
 *
 *   read.c      JSON -> points             results.c  the points of all files
 *   select.c    which points a picture shows
 *   bars.c      stacked bars               lines.c    speed-up, prediction
 *   best.c      the map of the best        script.c   the table of pictures
 *   canvas.c    text, legends and axes     common.c   what long names have in common
 *   gnuplot.c   the program                page.c     the report
 *   tables.c    its tables                 command.c  its commands
 */
#ifndef OMNIBUS_PICTURE_INTERNAL_H
#define OMNIBUS_PICTURE_INTERNAL_H

#include "omnibus/picture.h"

/* --- results.c, read.c ------------------------------------------------------------------------ */

#define READ_CHECK "omnibus.check/1"
/* OMNI_BAD_INPUT when `root` is nothing that omnibus wrote. */
omni_status read_check(const json_t *root, const char *path, omni_error *err);
void read_result(omni_results *r, const json_t *root);
void results_take(omni_results *r, const omni_point *p);

/* --- select.c --------------------------------------------------------------------------------- */

/* The same situation: source, model, test, batch, and so comparable plan by plan. */
bool point_same_case(const omni_point *a, const omni_point *b);
bool point_has_parts(const omni_point *p);
bool point_has_ops(const omni_point *p);
bool point_has_bytes(const omni_point *p);
bool point_is_predicted(const omni_point *p);

/* Points of one panel: at most PANEL_ROWS of one case, the fastest (least bytes) first; or, where no case has
 * two plans, the tests of one plan, in their order. */
enum { PANEL_ROWS = 12, PANELS = 4, SERIES = 8 };
typedef struct panel {
    const omni_point *point[PANEL_ROWS];
    size_t count, of; /* of so many */
    bool tests;
} panel;
typedef bool point_test(const omni_point *p);
typedef double point_order(const omni_point *p);
/* Into out[PANELS]; how many, of *of that there are. */
size_t panels_find(const omni_results *r, point_test *has, point_order *order, panel *out, size_t *of);

/* Points of one plan in one case over PEs, ascending, at least two numbers of them. */
typedef struct series {
    const omni_point **point; /* [count], omni_free */
    size_t count;
} series;
/* Of one model, test and batch, measured and modelled: the fastest, with all their PEs, of `of`. */
typedef struct bundle {
    series list[SERIES];
    size_t count, of;
} bundle;
/* Into out[PANELS]; how many, of *of series in all. Free with bundles_free. */
size_t bundles_find(const omni_results *r, bundle *out, size_t *of);
void bundles_free(bundle *list, size_t count);

/* --- canvas.c --------------------------------------------------------------------------------- */

/* A picture is laid out from its top, in pixels; how high it is turns out at the end. In the script W and H
 * are its width and height. */
typedef struct canvas {
    omni_text *out;
    double width, y;
} canvas;

enum { COLOURS = 8 };
enum { LINE = 17, TICS = 26, MARGIN = 12 };       /* pixels: of a line of text, of tics; free at both sides */
extern const char *const canvas_colours[COLOURS]; /* "#4477aa", ...; the last one, grey, is for all others */

/* Quoted for gnuplot: what the file says, whatever it says. */
void canvas_quote(omni_text *out, const char *text, size_t bytes);
/* how: gnuplot's words on a label, as "right font 'sans-serif,10'". */
void canvas_text(canvas *c, double x, double y, const char *how, const char *text);
/* So many letters fit between x and the right margin. */
size_t canvas_columns(const canvas *c, double x);
/* A text on lines of at most `columns`, broken where plans and sentences may be: the line that begins at
 * `text`, in bytes; 0 at its end. */
size_t canvas_line(const char *text, size_t columns);
/* At the left of c->y, which goes down by what it took. */
void canvas_wrapped(canvas *c, double x, size_t columns, const char *how, const char *text);
void canvas_title(canvas *c, const char *text);
void canvas_note(canvas *c, const char *text); /* in grey: what is left out */

/* What long names all begin and end with, whole parts of plans, in bytes: left out of each, it is said once.
 * 0 where all fit into `columns` anyway. */
typedef struct common {
    size_t head, tail;
} common;
common common_of(const char *const *names, size_t count, size_t columns);
const char *common_less(common k, const char *name, char *buf, size_t cap); /* the rest; returns buf */
void common_note(canvas *c, common k, const char *name);                    /* of any of them */

typedef enum canvas_mark { MARK_BOX, MARK_MEASURED, MARK_MODELLED, MARK_LINE } canvas_mark;
typedef struct canvas_key {
    canvas_mark mark;
    const char *colour, *text;
} canvas_key;
/* Short texts side by side, long ones (list) below each other. */
void canvas_legend(canvas *c, const canvas_key *key, size_t count, bool list);

/* Where the next plot goes: from `left` to the right margin, from c->y on so many pixels down. */
void canvas_region(canvas *c, double left, double height);
/* The same with tics below it, and what the axes are. */
void canvas_axes(canvas *c, double left, double height, const char *across, const char *up);
/* The plot is drawn: what was placed beside it is not to be drawn again. */
void canvas_next(canvas *c);
/* 1, 2 or 5 times a power of 10, of which few make `span`. */
double canvas_step(double span);
/* Tics of a logarithmic axis ("x" or "y") from `least` to `most`: such steps within a decade, else 1, 2 and 5,
 * or powers of 10, as there is room. */
void canvas_decades(canvas *c, const char *axis, double least, double most);

/* A unit in which `largest` is between 1 and 1000. */
typedef struct unit {
    const char *name;
    double each;
} unit;
unit unit_of_time(double largest_s);
unit unit_of_bytes(double largest);

/* --- the pictures ----------------------------------------------------------------------------- */

void draw_time(const omni_results *r, canvas *c);
void draw_ops(const omni_results *r, canvas *c);
void draw_bytes(const omni_results *r, canvas *c);
void draw_scaling(const omni_results *r, canvas *c);
void draw_prediction(const omni_results *r, canvas *c);
void draw_best(const omni_results *r, canvas *c);
bool has_scaling(const omni_results *r);
bool has_best(const omni_results *r);
/* "on host X", "modelled on Y", "for any array". Returns buf. */
const char *point_where(const omni_point *p, char *buf, size_t cap);

/* --- the page --------------------------------------------------------------------------------- */

void page_escape(omni_text *out, const char *s);
void page_checks(omni_text *out, const omni_results *r);
void page_figures(omni_text *out, const omni_results *r);
/* What a user types for this result, without what is given by default. */
void page_command(omni_text *out, const json_t *file, omni_default_of *default_of);

#endif
