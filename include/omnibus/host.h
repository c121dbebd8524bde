/* host.h: the limits of this machine, measured: what reading memory, copying it, handing a cache line over
 * and multiplying matrices reach in code that does nothing else. A figure alone says little on a machine one
 * doesn't know; its ratio to a limit of the same run does.
 *
 * One caller, which is not bound to a CPU; threads live only within a call. Nothing is measured, and no
 * buffer allocated, before it is asked for. A rate is NaN when it could not be measured: no memory, no
 * thread, or stopped.
 */
#ifndef OMNIBUS_HOST_H
#define OMNIBUS_HOST_H

#include "omnibus/base.h"
#include "omnibus/sync.h"
#include "omnibus/topo.h"

/* --- threads and pages ------------------------------------------------------------------------ */

/* Physical cores that we may use at the same time. */
size_t omni_host_cores(const omni_topo *t);

typedef void omni_host_work(void *arg, size_t worker);
/* Worker w of `workers` runs work(arg, w) on place w of the topology (unbound where that is refused); all
 * start from one line. Nanoseconds from the first one's start to the last one's end; creating, binding and
 * joining are outside. */
double omni_host_team_ns(const omni_topo *t, size_t workers, omni_host_work *work, void *arg);

/* Zeroed pages that nobody has touched yet, huge ones if the kernel gives them or never huge: the first
 * thread to write decides the NUMA node. NULL: more than there is. Free with omni_host_pages_free, of the
 * same size. */
void *omni_host_pages(size_t bytes, bool huge);
void omni_host_pages_free(void *p, size_t bytes);

/* --- limits ----------------------------------------------------------------------------------- */

typedef struct omni_host_limits omni_host_limits;

/* After omni_kernel_init: no instruction is used that the kernels don't. t and stop (NULL: nothing stops it)
 * outlive it. NULL: no memory. Buffers take at most an eighth of the memory that is free. */
omni_host_limits *omni_host_limits_create(const omni_topo *t, const omni_stop *stop);
void omni_host_limits_free(omni_host_limits *l);

/* One measurement on so many cores (1 to omni_host_cores), each working for itself. */
typedef double omni_host_rate(omni_host_limits *l, size_t cores);
/* Bytes/s read. The first call tries every read kernel on huge and on normal pages, on all cores, and all
 * calls use the fastest: about a second, once. */
omni_host_rate omni_host_read_rate;
omni_host_rate omni_host_copy_rate; /* bytes/s copied (memcpy), one half of these buffers to the other */
omni_host_rate
    omni_host_peak_flops; /* flop/s of BLIS's own sgemm; NaN in sanitized builds, which have no BLIS */
/* ns that a cache line takes from one core to another: half a ping-pong, the best of four ways; NaN on one
 * core. */
double omni_host_handoff_ns(omni_host_limits *l);

/* The highest of several measurements, as many as begin within budget_ns, at least one: a limit is the best
 * that was seen. */
double omni_host_best(omni_host_limits *l, omni_host_rate *rate, size_t cores, uint64_t budget_ns);

/* "AVX2, 4 streams, prefetch, huge pages"; "-" before a read rate was asked for. Owned by l. */
const char *omni_host_read_kernel(const omni_host_limits *l);
/* The sgemm's matrices are n x n: 2048, less on a machine of little memory. */
size_t omni_host_peak_n(const omni_host_limits *l);

#endif
