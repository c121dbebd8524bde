/* prover.h (private): what is known of a plan while it is proven, and what the files that prove it share.
 *
 *   check.c           the walk: groups, stages, trains of steps, strips
 *   check_compute.c   what each compute step needs, and what it leaves
 *   check_message.c   the same of messages, and their routes
 *   prover.c          the facts: who has which features of which value
 *
 * A proof is false when it fails, and then says why once.
 */
#ifndef PLAN_PROVER_H
#define PLAN_PROVER_H

#include "plan/plan.h"

enum { PROVER_STRIPS = 2 };

typedef enum have { NOTHING, COMPLETE, ADDEND } have;

/* One part of what lies in a buffer. */
typedef struct cell {
    int value;
    have have;
    omni_range range; /* its features; of what belongs to a head, {head, 1} */
} cell;

typedef struct prover {
    const omni_plan *plan;
    const omni_step *step;
    size_t p; /* ranks of the stage at hand */
    size_t ring_slots;
    size_t strip;       /* at hand */
    cell *cells;        /* [strip][storage][index][part] */
    bool *kv;           /* [strip][index]: keys and values of this layer were appended */
    const char *reason; /* what could not be proved */
} prover;

/* --- prover.c: facts -------------------------------------------------------------------------- */

bool prover_fail(prover *c, const char *reason); /* false; the first reason is kept */

/* Of part j of value v in a rank's buffer, in the strip at hand. */
cell *prover_cell(const prover *c, int v, size_t j, size_t rank);
bool *prover_kv(const prover *c, size_t rank);
omni_range prover_held(const prover *c, const omni_value *v, size_t j, size_t rank); /* as it is stored */

/* What must be there ... */
bool prover_has(prover *c, int v, size_t j, size_t rank, omni_range want);
bool prover_has_stored(prover *c, int v, size_t rank);
bool prover_has_slices(prover *c, int v, unsigned parts); /* all ranks together, each its own */
bool prover_everyone_has(prover *c, int v); /* of the step: as it is stored, whole or his slice */
bool prover_slices_tile(prover *c, const omni_value *v, size_t j); /* cover part j once, in order */

/* ... and what is there now. */
void prover_put(prover *c, int v, size_t j, size_t rank, have h, omni_range range);
void prover_put_stored(prover *c, int v, size_t rank, have h);

static inline const omni_value *value_at(const prover *c, int v) {
    return &c->plan->value[v];
}

static inline bool covers(omni_range has, omni_range want) {
    return want.count == 0 || (has.start <= want.start && want.start + want.count <= has.start + has.count);
}

static inline omni_range whole(const omni_value *v, size_t j) {
    return (omni_range){0, v->part[j].width};
}

/* How many ranks take part in the step. */
static inline size_t ranks_of(const prover *c) {
    return c->step->root_only ? 1 : c->p;
}

/* --- proofs of the step at hand --------------------------------------------------------------- */

bool prove_compute(prover *c); /* check_compute.c */
bool prove_kv_append(prover *c);
bool prove_message(prover *c); /* check_message.c */
/* Once for all strips: one writer per piece, who is in it, as are all who take part. */
bool prove_route(prover *c);

#endif
