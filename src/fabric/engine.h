/* engine.h: the inside of a fabric: what the engines share, and what an engine is.
 *
 *      omni_fabric_broadcast, _send  ->  message  -+
 *      omni_fabric_reduce, _gather   ->  tree      +-->  engine: shm | null
 *      omni_fabric_host_*            ->  host_*   -+
 *
 * fabric.c checks what was asked, leaves at once when there is nothing to move or the run is stopped, and
 * calls the engine that was chosen at create. An engine moves the bytes and counts them where it moves them,
 * with the helpers below.
 */
#ifndef OMNIBUS_FABRIC_ENGINE_H
#define OMNIBUS_FABRIC_ENGINE_H

#include "omnibus/fabric.h"

/* What one rank (or the host port) moved: written only by the thread that carries it, hence a line of its
 * own. */
typedef struct fabric_line {
    _Alignas(OMNI_CACHE_LINE) omni_counters counters;
} fabric_line;

#define FABRIC_NOBODY SIZE_MAX
#define FABRIC_ALL    SIZE_MAX

/* A payload on the bus, as one worker sees it. Ranks are indices within the segment. */
typedef struct fabric_message {
    size_t writer;        /* FABRIC_NOBODY: the host port */
    size_t taker;         /* an addressed message has one; else FABRIC_ALL */
    const omni_view *src; /* valid at the writer's worker */
    const omni_view
        *own; /* one view for each of the worker's ranks; addressed: the taker's view, valid at its worker */
    size_t bytes;
    omni_addressed_kind kind; /* of an addressed message */
    bool goes_on;             /* a later piece of a broadcast that has been counted */
} fabric_message;

/* A walk up the tree: a reduction, or a gather when `sliced` is set. */
typedef struct fabric_tree {
    void *const *own; /* one buffer for each of the worker's ranks */
    const omni_view *form;
    size_t bytes; /* of a buffer */
    const omni_fabric_operator *op;
    const omni_sliced *sliced;
} fabric_tree;

/* The hooks return false when stopped. Called with a payload that is not empty; a tree with at least two
 * ranks. */
typedef struct fabric_engine {
    const char *kind;
    bool (*create)(omni_fabric *f, const omni_fabric_options *options); /* fills f->state; false: no memory */
    void (*free)(omni_fabric *f);                                       /* also after a create that failed */
    bool (*message)(omni_fabric *f, size_t w, size_t segment, const fabric_message *m);
    bool (*tree)(omni_fabric *f, size_t w, size_t segment, const fabric_tree *t);
    bool (*host_receive)(omni_fabric *f, size_t w, size_t segment, const omni_view *own, size_t bytes);
    bool (*host_return)(omni_fabric *f, size_t w, size_t segment, const void *src, size_t bytes);
    bool (*host_send)(omni_fabric *f, size_t segment, const void *src, size_t bytes);
    bool (*host_await)(omni_fabric *f, size_t segment, void *dst, size_t bytes);
} fabric_engine;

typedef enum fabric_schedule { FABRIC_SLICED, FABRIC_PAIRWISE, FABRIC_SCHEDULES } fabric_schedule;

extern const fabric_engine fabric_shm, fabric_null;

struct omni_fabric {
    const fabric_engine *engine;
    void *state; /* the engine's */
    size_t pes, workers;
    omni_segment *segments; /* [segment_count] */
    size_t segment_count;
    fabric_schedule schedule;
    size_t slot_bytes; /* most bytes of a copied chunk */
    omni_wait_policy wait;
    const omni_stop *stop;
    fabric_line *lines; /* [pes + 1]; the last is the host port's */
    size_t *carrier;    /* [workers] the first rank that each carries, for probes */
};

/* The indices within the segment that worker w carries. */
omni_range fabric_share(const omni_fabric *f, size_t w, size_t segment);

/* --- tree.c: the schedule, which is arithmetic, and what is done at a pair of it -------------- */

/* Rounds what index i gives away at this level, or will in a gather. Before anybody takes it. */
void tree_narrow(const fabric_tree *t, size_t p, size_t level, size_t i, void *buffer);

/* Index i takes the buffer of i + 2^level. */
bool tree_takes(size_t p, size_t level, size_t i);
/* Rounds bytes [at, at + bytes) of a buffer that a reduction gives away. */
void tree_narrow_part(const fabric_tree *t, void *buffer, size_t at, size_t bytes);
/* How many bytes it takes, and the taking. */
size_t tree_take_bytes(const fabric_tree *t, size_t p, size_t level, size_t i);
void tree_take(const fabric_tree *t, size_t p, size_t level, size_t i, void *acc, void *in);

/* --- counting: by the thread that carries the rank, before it hands over the last byte -------- */

void count_message(omni_fabric *f, size_t segment, const fabric_message *m); /* at the writer's worker */
void count_tree(omni_fabric *f, size_t segment, const fabric_tree *t);       /* at the first rank's worker */
void count_tree_take(omni_fabric *f, size_t segment, size_t i, size_t bytes);
void count_host_return(omni_fabric *f, size_t segment, size_t bytes); /* at the first rank's worker */
void count_host_send(omni_fabric *f, size_t bytes);

#endif
