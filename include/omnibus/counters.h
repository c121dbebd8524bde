/* counters.h: what moved. A plan computes these without running; a run counts them as it moves bytes;
 * the two must agree. Broadcast bytes are counted once a message, whatever its chunks or readers; a
 * reduction or a tree gather over p ranks has ceil(log2 p) levels; tree bytes are all pair transfers.
 */
#ifndef OMNIBUS_COUNTERS_H
#define OMNIBUS_COUNTERS_H

#include "omnibus/base.h"

typedef struct omni_counters {
    uint64_t broadcasts, broadcast_bytes;
    uint64_t reductions, tree_gathers, tree_levels, tree_bytes;
    uint64_t addressed_messages, addressed_bytes, scatter_messages, gather_messages;
    uint64_t host_messages, host_bytes;
} omni_counters;
void omni_counters_add(omni_counters *sum, const omni_counters *c);
/* later - earlier, field by field */
omni_counters omni_counters_between(const omni_counters *earlier, const omni_counters *later);
/* sum += times x (sum - since): as often again what was counted since. */
void omni_counters_repeat(omni_counters *sum, const omni_counters *since, uint64_t times);
bool omni_counters_equal(const omni_counters *a, const omni_counters *b);

/* The names, in the order of the struct (all are uint64_t): what JSON, CSV and tests iterate over. */
enum { OMNI_COUNTERS = 12 };
extern const char *const omni_counter_names[OMNI_COUNTERS];
uint64_t omni_counters_get(const omni_counters *c, size_t i);

#endif
