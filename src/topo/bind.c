/* bind.c: a thread to its place, memory to the place's NUMA node.
 *
 * Both are wishes: a container may forbid them, a synthetic topology has nothing to bind to. A refusal costs
 * speed, never the run, so the answer is a plain bool. hwloc allows both calls from any thread once the
 * topology is loaded.
 */
#include "topo/internal.h"

bool omni_topo_bind_thread(const omni_topo *t, size_t i) {
    if (!t->bindable || i >= t->count) return false;
    return hwloc_set_cpubind(t->topology, t->places[i].pu->cpuset, HWLOC_CPUBIND_THREAD) == 0;
}

bool omni_topo_bind_memory(const omni_topo *t, size_t i, void *p, size_t bytes) {
    if (!t->bindable || i >= t->count || !t->places[i].node) return false;
    if (bytes == 0) return true;
    return hwloc_set_area_membind(t->topology, p, bytes, t->places[i].node->nodeset, HWLOC_MEMBIND_BIND,
                                  HWLOC_MEMBIND_BYNODESET) == 0;
}
