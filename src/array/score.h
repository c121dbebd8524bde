/* score.h (private): what rhythm.c and recall.c know of a stage's state: see score.c. */
#ifndef ARRAY_SCORE_H
#define ARRAY_SCORE_H

#include "array/walk.h"

/* A stage of some classes of groups, in a wave. Classes without a part there are not of it. */
typedef struct team {
    walk *w;
    size_t stage, wave;
    omni_range classes;
} team;

/* The next cell, from class *g on, which then is the class behind it; NULL: none. */
cell *team_next(const team *t, size_t *g);
size_t cell_clocks(const cell *c);  /* that count: 1 or one for each run */
uint64_t team_floor(const team *t); /* the first clock of all, so that none before it matters */
/* All that the next steps depend on but costs. How many numbers: at most w->score_size. */
size_t team_score(const team *t, uint64_t floor, uint64_t *out);

/* What is counted, and not a moment. */
typedef struct tally {
    omni_counters moved;
    uint64_t grants, conflicts, wait_ps, macs, ops, memory_bytes;
    wide busy, computing;
} tally;
tally tally_of(const walk *w);
tally tally_since(const walk *w, const tally *before);
void tally_add(walk *w, const tally *each, uint64_t times); /* times > 0 */

#endif
