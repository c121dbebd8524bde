/* picture.h: results as pictures: what commands wrote as JSON, gathered into points, and drawn by gnuplot.
 *
 *   bench.json plan.json calibrate.json --omni_results_add--> omni_results --omni_picture_draw--> SVG or PNG
 *
 * A point is one time of one plan in one situation: measured on a host, or priced for an array. Files are
 * recognised by their "schema"; JSON lines are taken as well. What a file holds beyond what pictures need is
 * ignored, and what is missing or of another type leaves that point out of the pictures that need it.
 * One thread at a time.
 */
#ifndef OMNIBUS_PICTURE_H
#define OMNIBUS_PICTURE_H

#include <math.h>

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
    char source[64]; /* "this host: CPU", "seed-64pe" */
    char model[64], plan[128], test[64];
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
/* OMNI_BAD_INPUT: no JSON, or no result of omnibus. */
omni_status omni_results_add(omni_results *r, const char *path, omni_error *err);
size_t omni_results_count(const omni_results *r);
const omni_point *omni_results_at(const omni_results *r, size_t i);
/* The files as they were read: a JSON array of {"path", "result"}. Borrowed. */
const json_t *omni_results_files(const omni_results *r);

typedef enum omni_picture {
    OMNI_PICTURE_SCALING,    /* speed-up over PEs: measured, modelled, ideal */
    OMNI_PICTURE_TIME,       /* each plan's time by compute, bus, tree, wait */
    OMNI_PICTURE_OPS,        /* each plan's time by op */
    OMNI_PICTURE_BEST,       /* the best plan over batch x sequence */
    OMNI_PICTURE_BYTES,      /* bytes on the bus by plan */
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

/* What gnuplot is told, without a terminal; NULL-safe as omni_text is. */
void omni_picture_script(const omni_results *r, omni_picture p, omni_text *out);

/* Inline: SVG without a background, for a page that has its own. */
typedef enum omni_image { OMNI_IMAGE_SVG, OMNI_IMAGE_PNG, OMNI_IMAGE_INLINE } omni_image;
/* The picture's bytes onto `out`. Starts gnuplot and waits for it: OMNI_RUN_FAILED when there is none, or it fails;
 * OMNI_BAD_INPUT without points for it. */
omni_status omni_picture_draw(const omni_results *r, omni_picture p, omni_image image, omni_text *out,
                              omni_error *err);

/* A report: one HTML page with every picture that there are points for, the figures, the hosts and the commands; it
 * refers to nothing outside. Errors as omni_picture_draw's. */
omni_status omni_page_draw(const omni_results *r, omni_text *out, omni_error *err);

#endif
