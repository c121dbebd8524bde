/* fabric.h: how PEs exchange bytes: bus broadcasts, tree reductions and gathers, addressed messages, and
 * the host port. Fabrics know no models and no plans.
 *
 * The interface speaks of (segment, rank, own buffer, bytes), never of another rank's pointer. A
 * *worker* carries the contiguous ranks omni_split(pes, workers, w). All workers with a rank in a
 * segment call the same operations of that segment in the same order (the plan's total order), once per
 * operation, for all their ranks at once; a worker with no rank in the segment does not call. `own[i]`
 * belongs to the worker's i-th rank within the segment, i.e. rank max(first rank of worker, first rank
 * of segment) + i.
 *
 * Every operation returns false when the stop word was set (the caller unwinds) and may then have moved
 * a part; such a fabric can only be freed. Operations with no payload bytes do nothing and count
 * nothing. A rank sends itself no message: in a segment of one rank, and from a rank to itself, own
 * views elsewhere are filled, but nothing is counted.
 *
 * Payload sizes are a contract: all parties of an operation name the same number of bytes, or the
 * messages after it are garbled. Destination views must not overlap the source.
 *
 * Floats may travel as 16-bit floats, if all parties say so: who sends converts them, who receives converts
 * them back. The payload, and what is counted, is what travels. Who sends a broadcast ends with what the
 * others get, in its own view; in a reduction what an index gives away is rounded, and not what it keeps; in
 * a gather every rank's slice is, the first one's too. So all bits are the same whatever the engine and its
 * schedule.
 */
#ifndef OMNIBUS_FABRIC_H
#define OMNIBUS_FABRIC_H

#include "omnibus/base.h"
#include "omnibus/counters.h"
#include "omnibus/sync.h"

/* A bus piece: ranks [first, first + count). */
typedef struct omni_segment {
    size_t first, count;
} omni_segment;

/* Bytes in a PE's own memory: `rows` rows `stride` bytes apart, in each of which the spans are taken in
 * order. The payload is row after row, span after span. A span of floats with `wire` F16 or BF16 travels as
 * such; any other travels as it is, and beside a narrowed one it has an even number of bytes. */
enum { OMNI_SPANS = 3 };
typedef struct omni_view {
    void *base;
    size_t rows, stride;
    size_t spans;
    struct {
        size_t offset, bytes; /* in memory */
        omni_dtype wire;      /* OMNI_F32, which is 0: not narrowed */
    } span[OMNI_SPANS];
} omni_view;
omni_view omni_view_flat(void *base, size_t bytes);
size_t omni_view_bytes(const omni_view *v); /* of the payload */
/* The narrowed floats in place, as if they had travelled. */
void omni_view_round(const omni_view *v);

/* A full-size buffer of which each of p ranks holds a slice of every row: part j begins `offset` bytes into
 * the row and its `runs` runs of `units` units of `unit_bytes` are cut by omni_split_runs(runs, units, p,
 * index). For tree gathers. */
typedef struct omni_sliced {
    size_t rows, stride;
    size_t parts;
    struct {
        size_t offset, units, unit_bytes;
        size_t runs;     /* 0: one */
        omni_dtype wire; /* as of a span */
    } part[OMNI_SPANS];
} omni_sliced;
/* The columns of ranks with index [lo, hi) of p. */
omni_view omni_sliced_view(const omni_sliced *s, void *base, size_t p, size_t lo, size_t hi);

/* acc = acc (+) in. */
typedef void omni_fabric_combine(void *acc, const void *in, size_t bytes, const void *arg);

/* What a reduction does with two buffers. They are rows of records of so many bytes (a float of a sum; the
 * value and index of an arg-max), each of which is combined with its like and no other: so combine may be
 * called on any run of whole records, by several workers at the same time, and the bits are the same. 0: on
 * whole buffers only. Records of narrowed floats are whole floats. `arg` is only read. */
typedef struct omni_fabric_operator {
    omni_fabric_combine *combine;
    const void *arg;
    size_t record;
} omni_fabric_operator;

typedef enum omni_addressed_kind {
    OMNI_ADDRESSED_OTHER,
    OMNI_ADDRESSED_SCATTER,
    OMNI_ADDRESSED_GATHER
} omni_addressed_kind;

typedef struct omni_fabric_options {
    const char
        *kind; /* "shm": ring + barrier + tree; "null": moves nothing, never waits, counts as if it did */
    /* How a reduction is walked; bits and counts are the same. NULL: "sliced": workers combine their own
     * ranks' buffers, then all of them disjoint slices of what is left; "pairwise": whole buffers, level by
     * level, a barrier before each level: the reference. */
    const char *schedule;
    size_t pes, workers;
    const omni_segment *segments; /* copied; may overlap: each has rings of its own */
    size_t segment_count;
    /* 0: 16 slots of 16 KiB. ring_slots: a power of two; slot_bytes: one more if odd. A segment takes twice
     * that much memory. */
    size_t ring_slots, slot_bytes;
    omni_wait_policy wait;
    const omni_stop *stop; /* outlives the fabric */
} omni_fabric_options;

typedef struct omni_fabric omni_fabric;

/* Main thread. All memory is allocated here. OMNI_BAD_INPUT names the option that cannot be;
 * OMNI_RUN_FAILED: no memory. */
omni_status omni_fabric_create(const omni_fabric_options *options, omni_fabric **out, omni_error *err);
void omni_fabric_free(omni_fabric *f);
const char *omni_fabric_kinds(void); /* "shm, null" */
bool omni_fabric_known(const char *kind);
const char *omni_fabric_schedules(void); /* "sliced, pairwise" */
bool omni_fabric_schedule_known(const char *schedule);

/* --- called by worker w, on its own thread ---------------------------------------------------- */

/* Rank `writer` of the segment sends src to every other rank of the segment; src is used only by the writer's
 * worker. Every own view must have src's payload size, or (not a reading worker's first) no rows or no base:
 * then its rank takes no copy. own[writer's] is not touched (the writer has its bytes already; what is
 * narrowed of them is rounded) unless it points elsewhere than src (its payload begins at another byte): then
 * it is filled too. Readers may pass NULL for src. */
bool omni_fabric_broadcast(omni_fabric *f, size_t w, size_t segment, size_t writer, const omni_view *src,
                           const omni_view *own);

/* A broadcast whose payload comes in pieces, call by call, so that readers use a piece while the writer is at
 * the next one. All of them are one message: it is counted with the `first`. `bytes` of this piece are known
 * to all; an own view has as many, or no rows: then its rank takes no copy. */
bool omni_fabric_stream(omni_fabric *f, size_t w, size_t segment, size_t writer, const omni_view *src,
                        const omni_view *own, size_t bytes, bool first);

/* Pairwise tree: level k: index i takes the buffer of i + 2^k, for i divisible by 2^(k+1). The result is
 * in the first rank's buffer; the others' are spoilt. `form`: what of a buffer is meant, as of each
 * rank; its base is not looked at. Other bytes of the buffers are left alone. On
 * return nobody uses this worker's buffers any more. */
bool omni_fabric_reduce(omni_fabric *f, size_t w, size_t segment, void *const *own, const omni_view *form,
                        const omni_fabric_operator *op);

/* Tree gather (combine = concatenate): own[i] is a full-size buffer with the rank's slice in place;
 * afterwards the first rank has all of it. */
bool omni_fabric_gather(omni_fabric *f, size_t w, size_t segment, void *const *own,
                        const omni_sliced *sliced);

/* Rank `from` sends src to rank `to`, which stores it in dst. src is used only by from's worker, dst
 * only by to's. `bytes` is the payload, known to all. Everybody of the segment calls (it is a message on
 * their bus); src is NULL where from is not carried, dst where to is not. */
bool omni_fabric_send(omni_fabric *f, size_t w, size_t segment, size_t from, size_t to,
                      omni_addressed_kind kind, const omni_view *src, const omni_view *dst, size_t bytes);

/* The host port's broadcast, as the segment's ranks receive it: each own view filled. */
bool omni_fabric_host_receive(omni_fabric *f, size_t w, size_t segment, const omni_view *own, size_t bytes);
/* The first rank of the segment returns its result; only its worker calls. Waits when the main thread is
 * ring_slots chunks (of at most 1 KiB) of results behind: it must not go on sending for ever without
 * awaiting. Counted here, not at the await. */
bool omni_fabric_host_return(omni_fabric *f, size_t w, size_t segment, const void *src, size_t bytes);

/* --- called by the main thread, which is the host port ---------------------------------------- */

bool omni_fabric_host_send(omni_fabric *f, size_t segment, const void *src, size_t bytes);
/* Waits for the next result of the segment, in the order of the returns, of the `bytes` bytes that were
 * returned. kind "null": zeros, at once. */
bool omni_fabric_host_await(omni_fabric *f, size_t segment, void *dst, size_t bytes);

/* Sum over all ranks and the host port. Only while no operation is under way: no thread runs, or ("shm")
 * the main thread has awaited results that depend on every operation begun, and sent nothing since.
 * Reset sets all to zero. */
void omni_fabric_counters(const omni_fabric *f, omni_counters *out);
void omni_fabric_reset_counters(omni_fabric *f);

#endif
