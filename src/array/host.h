/* host.h (private): the workers' clocks, which host.c walks, host_step.c and host_joined.c let go on. */
#ifndef ARRAY_HOST_H
#define ARRAY_HOST_H

#include "array/array.h"

/* A worker's clock, and what it was spent in on the way there. */
typedef struct lane {
    double ns, spent[OMNI_PRICE_ROWS];
} lane;

typedef struct host_walk {
    const omni_rates *r;
    const omni_plan *plan;
    size_t workers;
    double set;     /* bytes of weights of a worker */
    size_t at_once; /* workers that compute in this wave: they share the memory's rate */
    lane *lane;     /* [workers] */
    omni_price *out;
    double computing;
    bool decode; /* one query a sequence */
} host_walk;

/* A step of a block: a stage of a group with a part of the pass. */
typedef struct host_step {
    host_walk *h;
    const omni_step *s;
    const omni_part *part;
    omni_range piece; /* ranks */
    omni_range by;    /* workers that carry some */
    omni_price_kind kind;
    size_t row; /* of the price */
} host_step;

/* --- host_step.c ------------------------------------------------------------------------------ */

omni_range host_carriers(const host_walk *h, omni_range ranks); /* workers */
omni_range host_carried(const host_step *t, size_t worker);     /* ranks of the piece */
size_t host_row(omni_price *out, const omni_step *s, omni_price_kind kind);
host_step host_step_at(host_walk *h, const omni_step *s, const omni_part *part, omni_range piece);

void host_spend(const host_step *t, size_t worker, double ns);
void host_all_spend(const host_step *t, double ns);
/* Nobody of the piece's workers goes on before this one is there. */
void host_wait_for(const host_step *t, size_t worker);

/* Bytes of what moves of a value: all of it, or the slice of one index of the piece. */
double host_payload(const host_step *t, int value, const size_t *index);
void host_broadcast(const host_step *t, size_t root, double bytes);
/* From one rank to another; the others let it pass. */
void host_address(const host_step *t, size_t from, size_t to, double bytes);

void host_compute(const host_step *t); /* the whole step, for all who take part */
void host_message(const host_step *t);

/* --- host.c, host_joined.c -------------------------------------------------------------------- */

/* The part that a group has in a stage in this wave. False: none. */
bool host_part_of(const host_walk *h, const omni_extent *pass, size_t group, size_t stage, size_t wave,
                  omni_part *out);
/* Weights of all ranks in turn, keys and values of all groups: each is sent to everybody. */
void host_walk_joined(host_walk *h, const omni_step *s, const omni_extent *pass, size_t wave);

#endif
