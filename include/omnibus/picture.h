/* picture.h: results as pictures: what commands wrote as JSON, gathered into points, and drawn by gnuplot.
 *
 *   bench.json plan.json calibrate.json --omni_results_add--> omni_results --omni_picture_draw--> SVG or PNG
 *
 * A point is one time, or what moved, of one plan in one situation: measured on a host, priced for an array,
 * or counted. Files are recognised by their "schema"; JSON lines are taken as well. What a file holds beyond
 * what pictures need is ignored, and what is missing or of another type leaves that point out of the pictures
 * that need it. A result of omnibus that has nothing to draw is kept with the reason: others may have. One
 * thread at a time.
 */
#ifndef OMNIBUS_PICTURE_H
#define OMNIBUS_PICTURE_H

#include <math.h>

#include "omnibus/config.h"
#include "omnibus/report.h"

/* Where a point's time went. */
typedef enum omni_point_part {
    OMNI_POINT_COMPUTE,
    OMNI_POINT_BUS,
    OMNI_POINT_TREE,
    OMNI_POINT_HOST,
    OMNI_POINT_WAIT,
    OMNI_POINT_REST,
    OMNI_POINT_PARTS
} omni_point_part;
const char *omni_point_part_name(omni_point_part part);

typedef struct omni_point_op {
    char name[32];
    double s;
} omni_point_op;

enum { OMNI_POINT_OPS = 32 };

/* Unknown numbers are NaN, unknown texts "". All seconds and bytes are of the whole test. */
typedef struct omni_point {
    char source[64]; /* "host CPU", "seed-64pe" */
    char model[64], plan[256], test[64];
    bool modelled;
    size_t pes, batch, sequence; /* sequence: tokens of one, read and generated */
    double s, tokens_per_s;
    double part[OMNI_POINT_PARTS];
    double bus_bytes, tree_bytes;
    double predicted_s; /* of a measured point */
    size_t ops;
    omni_point_op op[OMNI_POINT_OPS];
} omni_point;

typedef struct omni_results omni_results;
omni_results *omni_results_create(void); /* NULL: no memory */
void omni_results_free(omni_results *r);
/* OMNI_BAD_INPUT: no JSON, or no result of omnibus. A path that was added before is not read again. */
omni_status omni_results_add(omni_results *r, const char *path, omni_error *err);
size_t omni_results_count(const omni_results *r);
const omni_point *omni_results_at(const omni_results *r, size_t i);
/* What was read: a JSON array of {"path", "result", "offered"}, of JSON lines one for each run of a command;
 * offered: how many points it gave. Borrowed. */
const json_t *omni_results_files(const omni_results *r);
/* Why nothing of a file (one of the array above) is shown in pictures, or on a page, which shows checks, too;
 * NULL: it is. */
const char *omni_results_unseen(const json_t *file, bool page);
/* OMNI_BAD_INPUT, with what would give something to draw, when there is nothing for any picture (or the
 * page). */
omni_status omni_results_need(const omni_results *r, bool page, omni_error *err);

typedef enum omni_picture {
    OMNI_PICTURE_SCALING,    /* speed-up over PEs: measured, modelled, ideal */
    OMNI_PICTURE_TIME,       /* each plan's time by compute, bus, tree, wait */
    OMNI_PICTURE_OPS,        /* each plan's time by op */
    OMNI_PICTURE_BEST,       /* the best plan over batch x sequence */
    OMNI_PICTURE_BYTES,      /* bytes on bus and tree by plan */
    OMNI_PICTURE_PREDICTION, /* prediction against measurement */
    OMNI_PICTURES
} omni_picture;
const char *omni_picture_name(omni_picture p);  /* "scaling", ... */
const char *omni_picture_title(omni_picture p); /* a heading */
bool omni_picture_find(const char *name, omni_picture *out);
/* Are there points for it? */
bool omni_picture_has(const omni_results *r, omni_picture p);
/* Why not: what it needs. */
const char *omni_picture_needs(omni_picture p);

/* Inline: SVG without a background and narrower, for a page that has its own and may be read on a phone. */
typedef enum omni_image { OMNI_IMAGE_SVG, OMNI_IMAGE_PNG, OMNI_IMAGE_INLINE } omni_image;
/* What gnuplot is told; NULL-safe as omni_text is. */
void omni_picture_script(const omni_results *r, omni_picture p, omni_image image, omni_text *out);
/* The picture's bytes onto `out`. Starts gnuplot and waits for it: OMNI_RUN_FAILED when there is none, or it
 * fails; OMNI_BAD_INPUT without points for it. */
omni_status omni_picture_draw(const omni_results *r, omni_picture p, omni_image image, omni_text *out,
                              omni_error *err);

/* The value of a command's option that is the same as saying nothing; NULL: none. */
typedef const char *omni_default_of(omni_command command, omni_option_id id);
/* A report: one HTML page with every picture that there are points for, what was checked, the figures, the
 * hosts and the commands, without what is given by default; it refers to nothing outside. Errors as
 * omni_picture_draw's. */
omni_status omni_page_draw(const omni_results *r, omni_default_of *default_of, omni_text *out,
                           omni_error *err);

#endif
