/* linked.h (private): a plan's messages on a ring or a mesh. Here `walk.busy` is bytes on links. */
#ifndef ARRAY_LINKED_H
#define ARRAY_LINKED_H

#include "array/network.h"
#include "array/walk.h"

/* Is step i of a chain that is one collective on links? Its steps, the first a message to the root, the last
 * one from it. */
bool chain_find(const omni_plan *plan, size_t i, omni_range *out);

void linked_message(walk *w, const omni_step *s, cell *c, uint64_t times);
/* A step in the middle of a chain: everyone does a share. False: it is none, or not here. */
bool linked_compute(walk *w, const omni_step *s, cell *c, uint64_t times);

/* From the root of a stage of so many ranks to the next's. */
uint64_t linked_hand_off_ps(walk *w, size_t from, uint64_t bytes, uint64_t times);
/* Everyone has the host's rows. */
moment linked_input(walk *w, const omni_step *s, size_t p, uint64_t bytes, uint64_t times);
/* All used ranks have all keys and values: `bytes` of them, at most `slice` of one. */
moment linked_share(walk *w, const omni_step *s, uint64_t slice, uint64_t bytes);
/* Until the next weights have come, and everyone passes them on. */
uint64_t linked_turn_ps(walk *w, size_t turn, uint64_t bytes);

uint64_t linked_busy_ppm(const walk *w);

#endif
