/* internal.h: what the files of this room share.
 *
 *     team.c      pinned threads from one line; pages
 *     limits.c    life of the limits, the best of several, hand-off
 *     read.c      reading and copying: the kernels, the search for the fastest
 *     peak.c      multiplying
 */
#ifndef OMNIBUS_HOST_INTERNAL_H
#define OMNIBUS_HOST_INTERNAL_H

#include "omnibus/host.h"

/* One buffer for each core, first touched by the thread that will use it. */
typedef struct host_buffers {
    unsigned char **at; /* [cores]; NULL: not allocated */
    size_t cores, bytes;
} host_buffers;

struct omni_host_limits {
    const omni_topo *topo;
    const omni_stop *stop;
    size_t cores;
    host_buffers read;
    bool read_failed;
    size_t read_kernel; /* the fastest, in read.c's table; while searching: the one that is tried */
    char read_name[64];
    host_buffers peak; /* three matrices each */
    bool peak_failed;
    size_t peak_n;
};

/* limits.c. False, and nothing allocated: no memory, no thread, or stopped. */
bool host_buffers_create(omni_host_limits *l, size_t bytes, bool huge, omni_host_work *touch,
                         host_buffers *out);
void host_buffers_free(host_buffers *b);
bool host_stopped(const omni_host_limits *l);

#endif
