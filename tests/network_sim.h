/* network_sim.h: a ring or a mesh as a simulator plays it, for test_network_best.c: a job is posted as
 * messages, round by round; what cannot be fails the test.
 */
#ifndef TESTS_NETWORK_SIM_H
#define TESTS_NETWORK_SIM_H

#include "network_tools.h"

/* A way of n PEs, and a value in n units, unit k of which belongs to place k: it is `each` slices, `stride`
 * apart, from `first` + k * `gap` on. */
typedef struct job {
    size_t *way, n;
    bool closed;
    size_t first, gap, stride, each;
    uint64_t bytes;
} job;

/* From place to place along a way; with it go units [a, b), or nothing yet. */
typedef struct message {
    size_t from, to, a, b;
    const job *j;
    uint64_t bytes;
} message;

typedef struct sim {
    const machine *m;
    size_t p, columns, lanes, lane;
    bool closed, add;
    uint64_t carried, finished;
    uint64_t *clock; /* [2 lanes, p] */
    uint64_t *value; /* [p, 2 p]: of each PE, for each slice of each lane */
    uint64_t *link;  /* [p, p]: free from */
    message *round;
    size_t count, capacity;
} sim;

/* --- the machine ------------------------------------------------------------------------------ */

sim sim_begin(const machine *m, size_t p, bool closed, size_t columns, collective_op op, size_t lanes);
/* Everybody has what he is to have, of the lanes that there were. Frees it. */
toll sim_end(sim *t, collective_op op);

/* Places count on behind the last one, and begin again. */
void sim_post(sim *t, const job *j, size_t from, size_t to, size_t a, size_t b, uint64_t bytes);
/* A round: everybody sends and receives what he does, then adds what came. */
void sim_play(sim *t);
void sim_phase_ends(sim *t);

static inline uint64_t later_of(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* --- along a way ------------------------------------------------------------------------------ */

void sim_tree(sim *t, const job *j, bool up, bool slices);
void sim_go_round(sim *t, const job *j, bool sum);
/* A broadcast, or up a reduction: the tree; slices; parts, 1, 2, 4, .. of them. */
void sim_spread(sim *t, const job *j, bool up, size_t how);

#endif
