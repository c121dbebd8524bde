/* array.h (private): what the files of this room share.
 *
 *   keys.c     the keys of array files            file.c     a file of them; set.c: --set, and asking
 *   rates.c    figures -> integer rates -> picoseconds
 *   work.c     what a step is for one rank        runs.c     which ranks of a piece have the same work
 *   walk.c     a pass over the virtual clocks     message.c  messages within a stage; tree.c: trees
 *   joined.c   messages of all groups at once, and of the host port
 *   overlap.c  trains of steps, strip by strip
 *   rhythm.c   layers that go by like the one before
 *   watch.c    the spans of a pass, for who draws it
 *   recall.c   waves that go by like an earlier one     score.c  what tells both
 *   memory.c   what a PE must hold
 *   search.c   the best of many plans             candidates.c  those that were priced so far
 *   host.c     a pass on this host, from rates: the walk; host_step.c: a step, host_joined.c: what all groups
 *              do at once
 *   network.c  collectives of a ring or a mesh    linked.c   a plan's messages on one
 *   forms.c    one sum, in closed form            change.c   from one plan to another
 *   faults.c   slow, uneven and dead PEs: keys     zones.c    what they mean for ranks
 *   pair.c     two plans, one for each phase
 */
#ifndef ARRAY_ARRAY_H
#define ARRAY_ARRAY_H

#include "array/faults.h"
#include "omnibus/array.h"
#include "omnibus/rates.h"

/* Rows of the table of keys. */
enum {
    ARRAY_PES,
    PE_MACS,
    PE_OPS,
    PE_CLOCK,
    PE_BANDWIDTH,
    PE_MEMORY,
    BUS_WIDTH,
    BUS_CLOCK,
    BUS_ARBITRATION,
    BUS_HEADER,
    BUS_BURST,
    BUS_HOP,
    BUS_PIECES,
    BUS_CUT,
    TREE_LEVEL,
    TREE_CHUNK,
    TREE_ADD,
    TREE_WIDTH,
    TREE_CLOCK,
    TREE_HOP,
    LINK_WIDTH,
    LINK_CLOCK,
    LINK_STARTUP,
    LINK_ROUTER,
    LINK_ADD,
    HOST_BANDWIDTH,
    HOST_LATENCY,
    ENERGY_MAC,
    ENERGY_OP,
    ENERGY_MEMORY,
    ENERGY_BUS,
    ENERGY_TREE,
    ENERGY_LINK,
    ENERGY_HOST,
    ENERGY_IDLE,
    ARRAY_KEYS
};

struct omni_array {
    char name[128];
    double value[ARRAY_KEYS]; /* HUGE_VAL: infinite */
    bool own_wires;
    faults faults;
    omni_network network;
    omni_rates *host; /* not NULL: this host, as measured; of the above only the name and [array] pes count */
};

/* --- rates.c ---------------------------------------------------------------------------------- */

/* The array in integers. Times of one thing are attoseconds (10^-18 s), each rounded to the nearest once,
 * here; sums of things become picoseconds, rounded up. Nothing after this is floating point, so all hosts
 * agree. */
typedef struct wire_rates {
    uint64_t cycle_as;
    uint64_t width; /* bytes a cycle; UINT64_MAX: infinite */
    uint64_t hop_ps;
} wire_rates;

typedef struct machine {
    uint64_t mac_as, op_as, memory_as, add_as, host_as; /* the last three: a byte */
    uint64_t memory_bytes;                              /* UINT64_MAX: infinite */
    wire_rates bus, tree;                               /* the same unless the tree has its own wires */
    uint64_t arbitration, header, burst, cut;           /* cycles; bytes */
    uint64_t pieces;
    uint64_t level, chunk; /* cycles; bytes */
    bool own_wires;
    omni_network network;
    wire_rates link;          /* of a ring or a mesh, whose bus costs nothing and has pieces for all */
    uint64_t startup, router; /* cycles */
    uint64_t host_latency_ps;
    uint64_t mac_fj, op_fj, memory_fj, bus_fj, tree_fj, link_fj, host_fj; /* femtojoules */
    uint64_t idle_fw;     /* femtojoules a nanosecond: microwatts */
    const faults *faults; /* the array's */
} machine;
void machine_set(machine *m, const omni_array *array); /* borrows the array's faults */

/* Saturating, so that an absurd plan costs "forever" instead of nothing. Here, because prices are made of
 * them. */
static inline uint64_t sat_add(uint64_t a, uint64_t b) {
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline uint64_t sat_mul(uint64_t a, uint64_t b) {
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static inline uint64_t ceil_div(uint64_t a, uint64_t b) { /* b > 0 */
    return a / b + (a % b != 0);
}

/* n things of `as` attoseconds each, in picoseconds, rounded up. */
static inline uint64_t picoseconds(uint64_t n, uint64_t as) {
    enum { AS_PER_PS = 1000000 };
    uint64_t product;
    if (!__builtin_mul_overflow(n, as, &product)) return ceil_div(product, AS_PER_PS);
    unsigned __int128 wide = ((unsigned __int128)n * as + (AS_PER_PS - 1)) / AS_PER_PS;
    return wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
}

/* One message of m bytes on a piece that spans p PEs: arbitration, a header for each burst, whole cycles of
 * data, distance. */
uint64_t bus_ps(const machine *m, uint64_t bytes, size_t p);
uint64_t bus_cut_ps(const machine *m); /* once where a piece is cut otherwise than before */

/* A level of the tree between partners so many PEs `apart`: `turns` pairs share wires one after the other,
 * then all combine. Combining costs nothing in a gather. */
uint64_t level_ps(const machine *m, size_t apart, uint64_t bytes, uint64_t turns, bool combine);
uint64_t host_ps(const machine *m, uint64_t bytes); /* one message of the host port */

/* --- work.c ----------------------------------------------------------------------------------- */

/* What a compute step is for one rank. */
typedef struct work {
    uint64_t macs, ops, bytes; /* bytes: of its own memory, read and written */
} work;
work step_work(const omni_plan *plan, const omni_step *s, const omni_extent *x, size_t p, size_t index);
/* Of `outputs` outputs of a weight, for a rank with these rows: a message of a weight stream. */
work stream_work(const omni_plan *plan, const omni_step *s, size_t rows, size_t outputs);
bool values_alike(const omni_value *x, const omni_value *y); /* but for names and buffers. cost.c */
uint64_t work_ps(const machine *m, const work *w);           /* max(flops / rate, bytes / bandwidth) */
/* Who needs both more time and more energy than this is not priced to the end. */
typedef struct price_limit {
    uint64_t ps, pj;
} price_limit;
extern const price_limit no_limit;
/* omni_price_pass; left: it was left beyond the limit, and the price has only a time and an energy, both
 * beyond it. Not traced: no rows and no kinds. */
omni_status price_pass(const omni_array *array, const omni_plan *plan, omni_extent pass, price_limit limit,
                       bool traced, omni_price *out, bool *left, omni_error *err);
/* omni_estimate_plan, likewise; `need` is always there. limit_of: the limit for what needs so much. */
typedef struct price_judge {
    price_limit (*limit_of)(const void *who, const omni_need *need);
    const void *who;
} price_judge;
omni_status estimate_plan(const omni_array *array, const omni_plan *plan, omni_task task,
                          const price_judge *judge, bool traced, omni_estimate *out, bool *left,
                          omni_error *err);
size_t weight_bytes(const omni_plan *plan); /* of an element of a matrix */
/* Bytes of the moving parts in a row: whole, or index i's slice of them. */
uint64_t wire_row_bytes(const omni_plan *plan, const omni_step *s, const omni_value *v, size_t p,
                        const size_t *index);
/* Of the whole value, or of the strip that the step is about. */
uint64_t wire_bytes(const omni_plan *plan, const omni_step *s, const omni_value *v, const omni_extent *x,
                    size_t p);

#endif
