/* topo.h: the host: which CPUs we may use, in which order workers take them, memory binding. The only room
 * that knows hwloc. Main thread unless stated.
 */
#ifndef OMNIBUS_TOPO_H
#define OMNIBUS_TOPO_H

#include "omnibus/base.h"

typedef struct omni_topo omni_topo;

/* One place for a worker. */
typedef struct omni_cpu {
    unsigned os_index;            /* as taskset counts */
    unsigned core, package, numa; /* logical numbers */
    bool smt_sibling;             /* another place of this core comes before it */
} omni_cpu;

/* This machine. cpus: a list as taskset writes it ("0,2-5", "0-7:2"), NULL = all allowed (cpuset and
 * affinity of the calling thread: call it before that is bound). The list is a set: it says which CPUs,
 * never their order. A CPU in the list that is not allowed is an error. With `synthetic` an hwloc
 * synthetic description ("pack:2 core:4 pu:2") instead of this machine, for tests: all its CPUs are
 * allowed, it has no quota, nothing can be bound. Close with omni_topo_close. */
omni_status omni_topo_open(const char *cpus, const char *synthetic, omni_topo **out, omni_error *err);
void omni_topo_close(omni_topo *t);

/* The places in worker order, at least one: one per physical core first, in hwloc's logical order
 * (neighbours close in cache and NUMA); then, in the same order, the cores' second threads, third
 * threads, ... NULL for an i out of range. */
size_t omni_topo_cpus(const omni_topo *t);
const omni_cpu *omni_topo_cpu(const omni_topo *t, size_t i);

/* CPUs that the cgroup quota (cpu.max of v2, cfs_quota of v1, every level up to the root) leaves us,
 * rounded up; 0 = no quota. */
size_t omni_topo_quota(const omni_topo *t);

/* How many workers run at the same time: min(places, quota if any). */
size_t omni_topo_parallel(const omni_topo *t);

/* Binds the calling thread to place i. Any thread. False when refused (not a reason to stop). */
bool omni_topo_bind_thread(const omni_topo *t, size_t i);

/* Binds [p, p+bytes) to the NUMA node of place i, before first touch; whole pages, so the first one also
 * holds what lies before p. Any thread. False when refused. */
bool omni_topo_bind_memory(const omni_topo *t, size_t i, void *p, size_t bytes);

/* Bytes that may still be used: the smallest of MemAvailable and every cgroup limit minus its usage
 * (page cache, which the kernel can drop, is not counted as usage). Any thread. */
uint64_t omni_topo_memory_available(void);

/* Facts for reports, of the whole machine; owned by t. 0: not known. */
typedef struct omni_host {
    char cpu_model[96];
    char kernel[96];                                      /* sysname release */
    size_t packages, numa_nodes, cores, threads;          /* of the machine */
    uint64_t memory_bytes, l1d_bytes, l2_bytes, l3_bytes; /* caches: one of each */
} omni_host;
const omni_host *omni_topo_host(const omni_topo *t);

#endif
