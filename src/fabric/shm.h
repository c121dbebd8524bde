/* shm.h: the inside of the fabric between threads of one process.
 *
 * Each segment is a bus of its own:
 *
 *      main thread --host_in ring--> every worker of the segment
 *      one worker  --bus ring------> every worker of the segment        (whose turn: the order of calls)
 *      first rank's worker --host_out ring--> main thread
 *      all workers <--barrier--> all workers, and pointers to each other's buffers, for the tree
 *
 * A worker reads a ring once for all its ranks. Where only one worker is concerned (a segment that one worker
 * carries, a message between two of its ranks) no ring and no barrier is touched: the bytes are copied where
 * they are.
 */
#ifndef OMNIBUS_FABRIC_SHM_H
#define OMNIBUS_FABRIC_SHM_H

#include "fabric/engine.h"

/* A worker's places in the rings of one segment: written by that worker only. */
typedef struct shm_port {
    _Alignas(OMNI_CACHE_LINE) omni_ring_port bus;
    omni_ring_port host_in;
    omni_ring_port host_out; /* used by the first rank's worker */
} shm_port;

/* The main thread's places. */
typedef struct shm_host_port {
    _Alignas(OMNI_CACHE_LINE) omni_ring_port in;
    omni_ring_port out;
} shm_host_port;

/* A rank's buffer during a tree operation: written by its worker before a barrier, read by others after it.
 */
typedef struct shm_buffer {
    _Alignas(OMNI_CACHE_LINE) void *at;
} shm_buffer;

/* An index and whose buffer it takes. */
typedef struct shm_pair {
    uint32_t taker, giver;
} shm_pair;

typedef struct shm_segment {
    size_t first_worker, workers;
    omni_ring *host_in, *host_out;
    omni_ring *bus;        /* NULL for one worker */
    omni_barrier *barrier; /* NULL for one worker */
    uint64_t crossing;     /* bit k: at level k of the tree some index takes from another worker's */
    /* All pairs of the tree, each after those that it needs; and where each worker's own begin, whose ranks
     * nobody else carries, and after the last worker's the ones between workers. */
    shm_pair *pairs;     /* [count - 1] */
    size_t *first_pair;  /* [workers + 2] */
    shm_port *ports;     /* [workers] */
    shm_buffer *buffers; /* [count] */
    shm_host_port *host; /* [1] */
} shm_segment;

static inline shm_segment *shm_segment_of(omni_fabric *f, size_t segment) {
    return (shm_segment *)f->state + segment;
}

static inline shm_port *shm_port_of(shm_segment *s, size_t w) {
    return &s->ports[w - s->first_worker];
}

bool shm_message(omni_fabric *f, size_t w, size_t segment, const fabric_message *m);
bool shm_tree(omni_fabric *f, size_t w, size_t segment, const fabric_tree *t);
bool shm_tree_sliced(omni_fabric *f, size_t w, size_t segment, const fabric_tree *t);
bool shm_host_receive(omni_fabric *f, size_t w, size_t segment, const omni_view *own, size_t bytes);
bool shm_host_return(omni_fabric *f, size_t w, size_t segment, const void *src, size_t bytes);
bool shm_host_send(omni_fabric *f, size_t segment, const void *src, size_t bytes);
bool shm_host_await(omni_fabric *f, size_t segment, void *dst, size_t bytes);

/* shm_bus.c; the host port uses them as well. Writes `bytes` of src into the port's ring, chunk by chunk;
 * after each chunk fills the worker's own views directly (m may be NULL: there are none). */
bool shm_write(omni_fabric *f, omni_ring_port *port, omni_wait_policy wait, const omni_view *src,
               size_t bytes, const fabric_message *m, omni_range share);
/* Reads `m->bytes` from the port's ring, filling those of the share's views that the message is for. */
bool shm_read(omni_fabric *f, omni_ring_port *port, omni_wait_policy wait, const fabric_message *m,
              omni_range share);

#endif
