/* topo.c: discovery, and the order in which workers take the CPUs.
 *
 *     hwloc: the whole machine, or a synthetic one
 *         | allowed by the cpuset  x  affinity of this process  x  --cpus
 *         v
 *     places   package 0         package 1              "pack:2 core:2 pu:2"
 *              core 0   core 1   core 2   core 3
 *              PU 0 1   PU 2 3   PU 4 5   PU 6 7        logical numbers of hwloc
 *      order:     0 4      1 5      2 6      3 7
 *
 * hwloc numbers its objects depth first, so PUs next to each other share the most cache, then the NUMA node,
 * then the package. Ranks talk most to their neighbours (the first level of the tree pairs rank 2i with
 * 2i+1), so worker i takes the i-th core in that order. A second thread of a core adds little to arithmetic:
 * those come after all cores. "First" is counted among the CPUs we may use: if a core's first PU is
 * forbidden, the second one stands for the core.
 *
 * The whole machine is loaded, forbidden CPUs too: a report tells what machine it is, and our part of it
 * apart.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "topo/internal.h"

static omni_status topo_load(omni_topo *t, const char *synthetic, omni_error *err) {
    if (hwloc_topology_init(&t->topology) != 0) {
        t->topology = NULL;
        return omni_error_set(err, OMNI_RUN_FAILED, "topology: out of memory");
    }
    unsigned long flags = HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
    hwloc_topology_set_flags(t->topology, flags);
    if (synthetic && hwloc_topology_set_synthetic(t->topology, synthetic) != 0)
        return omni_error_set(err, OMNI_BAD_INPUT, "topology: '%s' is not an hwloc synthetic description",
                              synthetic);
    if (hwloc_topology_load(t->topology) != 0)
        return omni_error_set(err, OMNI_RUN_FAILED, "topology: hwloc cannot load it (%s)", strerror(errno));
    t->bindable = !synthetic && hwloc_topology_is_thissystem(t->topology);
    return OMNI_OK;
}

/* `set` becomes the CPUs that system and affinity leave us. */
static omni_status topo_allowed(const omni_topo *t, hwloc_bitmap_t set, omni_error *err) {
    hwloc_bitmap_t affinity = hwloc_bitmap_alloc();
    if (!affinity || hwloc_bitmap_copy(set, hwloc_topology_get_allowed_cpuset(t->topology)) != 0) {
        hwloc_bitmap_free(affinity);
        return omni_error_set(err, OMNI_RUN_FAILED, "topology: out of memory");
    }
    /* Of this thread: the main thread, which has the affinity that the process was started with. */
    if (t->bindable && hwloc_get_cpubind(t->topology, affinity, HWLOC_CPUBIND_THREAD) == 0)
        hwloc_bitmap_and(set, set, affinity);
    hwloc_bitmap_free(affinity);
    if (hwloc_bitmap_iszero(set)) return omni_error_set(err, OMNI_RUN_FAILED, "topology: no CPU may be used");
    return OMNI_OK;
}

/* `set` shrinks to the CPUs of the list; every one of the list must be in it. */
static omni_status topo_restrict(hwloc_bitmap_t set, const char *cpus, omni_error *err) {
    hwloc_bitmap_t wanted = hwloc_bitmap_alloc(), missing = hwloc_bitmap_alloc();
    omni_status status = OMNI_RUN_FAILED;
    if (!wanted || !missing) {
        omni_error_set(err, status, "topology: out of memory");
        goto out;
    }
    status = topo_parse_cpus(cpus, wanted, err);
    if (status != OMNI_OK) goto out;
    hwloc_bitmap_andnot(missing, wanted, set);
    if (!hwloc_bitmap_iszero(missing)) {
        char left[120], have[120];
        hwloc_bitmap_list_snprintf(left, sizeof left, missing);
        hwloc_bitmap_list_snprintf(have, sizeof have, set);
        status = omni_error_set(err, OMNI_BAD_INPUT, "--cpus: not available: %s (this process may use %s)",
                                left, have);
        goto out;
    }
    hwloc_bitmap_copy(set, wanted);
out:
    hwloc_bitmap_free(wanted);
    hwloc_bitmap_free(missing);
    return status;
}

/* The first NUMA node (in logical order) that is local to a PU. */
static hwloc_obj_t topo_node_of(hwloc_topology_t topology, hwloc_obj_t pu) {
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, node)))
        if (node->cpuset && hwloc_bitmap_isset(node->cpuset, pu->os_index)) return node;
    return NULL;
}

static topo_place topo_place_of(hwloc_topology_t topology, hwloc_obj_t pu) {
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, pu);
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, pu);
    hwloc_obj_t node = topo_node_of(topology, pu);
    return (topo_place){
        .cpu = {.os_index = pu->os_index,
                .core = core ? core->logical_index : pu->logical_index, /* no cores: each its own */
                .package = package ? package->logical_index : 0,
                .numa = node ? node->logical_index : 0},
        .pu = pu,
        .node = node};
}

/* Logical order: the i-th threads of all cores come before the (i+1)-th ones. */
static void topo_order(const topo_place *found, topo_place *places, size_t count) {
    size_t next = 0;
    for (size_t thread = 0; next < count; thread++)
        for (size_t i = 0; i < count; i++)
            if (found[i].thread == thread) places[next++] = found[i];
}

static omni_status topo_places(omni_topo *t, hwloc_const_bitmap_t set, omni_error *err) {
    int weight = hwloc_bitmap_weight(set);
    size_t capacity = weight > 0 ? (size_t)weight : 0, count = 0;
    topo_place *found = omni_alloc_array(capacity, sizeof *found);
    t->places = omni_alloc_array(capacity, sizeof *t->places);
    if (!found || !t->places) {
        omni_free(found);
        return omni_error_set(err, OMNI_RUN_FAILED, "topology: out of memory");
    }
    hwloc_obj_t pu = NULL;
    while (count < capacity && (pu = hwloc_get_next_obj_by_type(t->topology, HWLOC_OBJ_PU, pu))) {
        if (!hwloc_bitmap_isset(set, pu->os_index)) continue;
        topo_place place = topo_place_of(t->topology, pu);
        if (count > 0 && found[count - 1].cpu.core == place.cpu.core)
            place.thread = found[count - 1].thread + 1;
        place.cpu.smt_sibling = place.thread > 0;
        found[count++] = place;
    }
    topo_order(found, t->places, count);
    t->count = count;
    omni_free(found);
    return count ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "topology: no CPU may be used");
}

static size_t topo_number_of(hwloc_topology_t topology, hwloc_obj_type_t type, size_t none) {
    int n = hwloc_get_nbobjs_by_type(topology, type);
    return n > 0 ? (size_t)n : none;
}

static uint64_t topo_cache_bytes(hwloc_topology_t topology, hwloc_obj_type_t type) {
    hwloc_obj_t cache = hwloc_get_obj_by_type(topology, type, 0);
    return cache && cache->attr ? cache->attr->cache.size : 0;
}

static void topo_describe(omni_topo *t) {
    omni_host *h = &t->host;
    hwloc_obj_t root = hwloc_get_root_obj(t->topology);
    hwloc_obj_t package = hwloc_get_obj_by_type(t->topology, HWLOC_OBJ_PACKAGE, 0);
    const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    if (!model) model = hwloc_obj_get_info_by_name(root, "CPUModel");
    if (!model) model = t->bindable ? "unknown" : "synthetic";
    snprintf(h->cpu_model, sizeof h->cpu_model, "%s", model);
    struct utsname name;
    if (uname(&name) == 0) snprintf(h->kernel, sizeof h->kernel, "%.30s %.60s", name.sysname, name.release);
    h->threads = topo_number_of(t->topology, HWLOC_OBJ_PU, 1);
    h->cores = topo_number_of(t->topology, HWLOC_OBJ_CORE, h->threads);
    h->packages = topo_number_of(t->topology, HWLOC_OBJ_PACKAGE, 1);
    h->numa_nodes = topo_number_of(t->topology, HWLOC_OBJ_NUMANODE, 1);
    h->memory_bytes = t->bindable ? topo_meminfo("", "MemTotal") : 0;
    if (h->memory_bytes == 0) h->memory_bytes = root->total_memory;
    h->l1d_bytes = topo_cache_bytes(t->topology, HWLOC_OBJ_L1CACHE);
    h->l2_bytes = topo_cache_bytes(t->topology, HWLOC_OBJ_L2CACHE);
    h->l3_bytes = topo_cache_bytes(t->topology, HWLOC_OBJ_L3CACHE);
}

omni_status omni_topo_open(const char *cpus, const char *synthetic, omni_topo **out, omni_error *err) {
    *out = NULL;
    omni_topo *t = omni_alloc(sizeof *t);
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    omni_status status = OMNI_RUN_FAILED;
    if (!t || !set) {
        omni_error_set(err, status, "topology: out of memory");
        goto out;
    }
    status = topo_load(t, synthetic, err);
    if (status == OMNI_OK) status = topo_allowed(t, set, err);
    if (status == OMNI_OK && cpus) status = topo_restrict(set, cpus, err);
    if (status == OMNI_OK) status = topo_places(t, set, err);
    if (status != OMNI_OK) goto out;
    t->quota = synthetic ? 0 : topo_quota_cpus("");
    topo_describe(t);
    *out = t;
    t = NULL;
out:
    hwloc_bitmap_free(set);
    omni_topo_close(t);
    return status;
}

void omni_topo_close(omni_topo *t) {
    if (!t) return;
    if (t->topology) hwloc_topology_destroy(t->topology);
    omni_free(t->places);
    omni_free(t);
}

size_t omni_topo_cpus(const omni_topo *t) {
    return t->count;
}

const omni_cpu *omni_topo_cpu(const omni_topo *t, size_t i) {
    return i < t->count ? &t->places[i].cpu : NULL;
}

size_t omni_topo_quota(const omni_topo *t) {
    return t->quota;
}

size_t omni_topo_parallel(const omni_topo *t) {
    return t->quota && t->quota < t->count ? t->quota : t->count;
}

const omni_host *omni_topo_host(const omni_topo *t) {
    return &t->host;
}
