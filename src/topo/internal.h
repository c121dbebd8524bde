/* internal.h: what the files of this room share. Nobody outside includes it, except its test. */
#ifndef OMNIBUS_TOPO_INTERNAL_H
#define OMNIBUS_TOPO_INTERNAL_H

#include <hwloc.h>

#include "omnibus/topo.h"

/* One place: what users see, and what binding needs. The objects belong to the topology. */
typedef struct topo_place {
    omni_cpu cpu;
    hwloc_obj_t pu;
    hwloc_obj_t node; /* its NUMA node; NULL when hwloc knows none */
    size_t thread;    /* how many places of the same core come before it */
} topo_place;

struct omni_topo {
    hwloc_topology_t topology;
    bool bindable;      /* describes the machine we run on */
    topo_place *places; /* [count] in worker order */
    size_t count;
    size_t quota;
    omni_host host;
};

/* cpulist.c: "0,2-5,8-15:2" added to `set`. */
omni_status topo_parse_cpus(const char *text, hwloc_bitmap_t set, omni_error *err);

/* quota.c: limits of the cgroups we are in. Every file is read below `root`: "" is this machine, a directory
 * with a made-up proc/ and sys/ is a test. */
size_t topo_quota_cpus(const char *root);                   /* rounded up; 0 = no quota */
uint64_t topo_quota_memory(const char *root);               /* UINT64_MAX = no limit */
uint64_t topo_meminfo(const char *root, const char *field); /* bytes of "MemAvailable", ...; 0 = not there */

#endif
