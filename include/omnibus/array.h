/* array.h: the modelled array: an accelerator as a file of figures, and what a compiled plan costs on it.
 *
 *   configs/arrays/NAME.ini --load--> omni_array --set--> omni_array      "bus.width" to "64"
 *   omni_array + omni_plan + a pass --omni_price_pass--> omni_price      time, energy, critical path
 *
 * Modelled time is exact integer arithmetic on the plan, in picoseconds: the same on every host, and never
 * mixed with wall time. Nothing here runs, prints or waits. Everything is a pure function of its arguments:
 * any thread.
 */
#ifndef OMNIBUS_ARRAY_H
#define OMNIBUS_ARRAY_H

#include "omnibus/plan.h"

/* --- the array -------------------------------------------------------------------------------- */

/* What its PEs talk over: a shared bus with a tree of its pieces; or links between neighbours. */
typedef enum omni_network {
    OMNI_NETWORK_BUS,
    OMNI_NETWORK_RING,
    OMNI_NETWORK_MESH,
    OMNI_NETWORKS
} omni_network;
const char *omni_network_name(omni_network network); /* "bus", as in [array] network */

/* One row of the table of keys: what a file must say, and may. */
typedef struct omni_array_key {
    const char *section, *name; /* "bus", "width_bytes": the unit is in the name */
    double min, max;            /* of a finite value */
    bool whole;                 /* a whole number */
    bool infinite;              /* may be `infinite` */
    bool own_wires;             /* only for a tree with wires of its own */
    const char *help;
} omni_array_key;
const omni_array_key *omni_array_keys(size_t *count);

/* Free with omni_array_free. Immutable but for omni_array_set. */
typedef struct omni_array omni_array;

/* file: a path, or the name of a file in configs/arrays without its ".ini". OMNI_BAD_INPUT with file and line
 * for unknown keys and sections, keys given twice, and impossible values; with the file for what is missing.
 * A file with [array] kind = host, which `omnibus calibrate` writes, is an array, too: its prices are wall time on this
 * host, predicted from rates.h: no energy, memory without limit, and nothing of it can be set. */
omni_status omni_array_load(const char *file, omni_array **out, omni_error *err);
omni_array *omni_array_copy(const omni_array *array); /* NULL: no memory */
void omni_array_free(omni_array *array);

/* One value, as a file would say it. key: "bus.width_bytes", or without the unit: "bus.width"; "faults.slow". */
omni_status omni_array_set(omni_array *array, const char *key, const char *value, omni_error *err);
/* A value; HUGE_VAL: infinite. NaN: no such key, none of its network, or one of [faults]. */
double omni_array_get(const omni_array *array, const char *key);
bool omni_array_is_host(const omni_array *array);   /* this host: nothing below but prices of passes */
bool omni_array_own_wires(const omni_array *array); /* the tree has wires of its own */
omni_network omni_array_network(const omni_array *array);
const char *omni_array_name(const omni_array *array); /* "seed-64pe", "seed-64pe bus.width=32" */
size_t omni_array_pes(const omni_array *array);

/* --- faults ----------------------------------------------------------------------------------- */

/* [faults] of a file, all of it optional:
 *
 *   slow = 3:1.5 7-9:2    PEs that take so many times as long to compute, their own memory included
 *   jitter = 0.05         each PE in each step takes 1 to 1 + jitter times as long, drawn from the seed, the pass (its
 *   seed = 1              tokens and first position), the wave, the step and the PE: the same on every host
 *   dead = 5 12-13        PEs that are gone
 *
 * A plan's ranks are the PEs that live, in order: rank r is the r-th of them. So `n` PEs with d dead among them are
 * ranked 0 .. n-d-1, and the plan is compiled for n-d. Dead PEs leave their length of wire: a message's hops count the
 * PEs from the first to the last of its piece, dead or not, and a level of the tree has the delay of its two partners
 * that are furthest apart. They take no power, and don't pass on, add, or hold anything.
 *
 * Buses, the tree with its adders and the host port are neither slow nor uneven. Jitter makes every PE a case of its
 * own: pricing then takes time by the number of PEs for each step (its square in a step of weights=stream), and beyond
 * some 8 million of them (PEs x steps) the critical path is not kept: the price has no rows and kinds. */
bool omni_array_has_faults(const omni_array *array);
size_t omni_array_living(const omni_array *array, size_t pes); /* of the first `pes`; the plan's ranks */
omni_array *omni_array_healthy(const omni_array *array);       /* a copy without them; NULL: no memory */

/* --- the price of a pass ---------------------------------------------------------------------- */

/* What time is spent in. */
typedef enum omni_price_kind {
    OMNI_PRICE_COMPUTE,
    OMNI_PRICE_BUS,  /* broadcasts, addressed messages */
    OMNI_PRICE_TREE, /* reductions and gathers */
    OMNI_PRICE_HOST,
    OMNI_PRICE_LINK, /* all messages of a ring or a mesh */
    OMNI_PRICE_KINDS
} omni_price_kind;
const char *omni_price_kind_name(omni_price_kind kind); /* "compute", "bus", ... */

/* The critical path, added up: steps of one op. Sums to the pass's time. */
typedef struct omni_price_row {
    const char *op; /* "qkv", "attention", ...; "input", "hand-off"; in the model, or static */
    omni_price_kind kind;
    uint64_t ps;
} omni_price_row;
enum { OMNI_PRICE_ROWS = 64 };

#define OMNI_PRICE_UNKNOWN                                                                                   \
    UINT64_MAX /* busy_ppm on a host: the wires are caches, and nobody sees them busy */

typedef struct omni_price {
    uint64_t ps;                     /* of the pass, from its input to its result */
    uint64_t kind[OMNI_PRICE_KINDS]; /* of that, on the critical path: sums to ps */
    omni_counters moved;             /* what was priced: equal to omni_plan_count's */
    uint64_t grants;                 /* of the bus: its messages */
    /* Of those and of tree reductions, the ones that found their wires taken; for how long, all together. */
    uint64_t conflicts, wait_ps;
    uint64_t
        busy_ppm; /* of the bus: its wires over all used PEs, in millionths of the pass's time; of a ring or
                               a mesh: bytes that its links carry, of those that they could */
    uint64_t computing_ppm;           /* of the used PEs, likewise */
    uint64_t macs, ops, memory_bytes; /* of all PEs */
    uint64_t link_bytes; /* of a ring or a mesh: of each message, once for each link on its way */
    uint64_t energy_pj;  /* with what idle PEs take */
    size_t rows;
    omni_price_row row[OMNI_PRICE_ROWS]; /* largest first */
} omni_price;

/* OMNI_RUN_FAILED: no memory. The plan may be of more PEs than the array file says. What is rounded: figures
 * to attoseconds a thing, to the nearest; the time of each step to picoseconds, up. */
omni_status omni_price_pass(const omni_array *array, const omni_plan *plan, omni_extent pass, omni_price *out,
                            omni_error *err);

/* What of a step took how long, for who wants to see a pass as it goes by. Groups that do the same at the same time, and
 * neighbouring ranks of a stage with the same work, are one span. */
typedef struct omni_price_span {
    const omni_step *step;
    omni_price_kind kind;
    size_t wave, strip;   /* strip: of a step that is cut into some */
    size_t group, groups; /* [group, group + groups) */
    omni_range ranks;     /* of the first of them; of a hand-off: of the stage that sends */
    size_t level;         /* of the tree: all its pairs of this level, from the first to the last */
    uint64_t bytes;       /* messages: what the step moves, in all the groups; of a tree at its last level */
    uint64_t begin_ps, end_ps; /* of the pass; a message's may include others' turns: see `step` */
} omni_price_span;
typedef void omni_price_watch(void *user, const omni_price_span *span);
/* omni_price_pass; all its spans, in the order of the walk. Those of one kind, level, stage and group (computing: of the same
 * ranks) don't overlap. The last of all ends at the price's ps. None of an array that is this host. */
omni_status omni_price_watched(const omni_array *array, const omni_plan *plan, omni_extent pass,
                               omni_price_watch *watch, void *user, omni_price *out, omni_error *err);

/* The same on this host, from its rates: what an array file with kind = host prices by. Times are predicted wall time
 * (work in the workers' order, see array/host.c), with no energy and conflicts, and how busy the bus is unknown. */
struct omni_rates;
omni_status omni_price_rates(const struct omni_rates *rates, const omni_plan *plan, omni_extent pass,
                             omni_price *out, omni_error *err);

/* --- a change of plans ------------------------------------------------------------------------ */

/* From one plan to another of the same PEs, behind `length[i]` positions of each sequence: keys and values, and
 * `weights`, if PEs don't hold those of both plans. out: time, energy, grants and what moved. stop: as omni_search's;
 * over many PEs it takes a while. */
omni_status omni_price_change(const omni_array *array, const omni_plan *from, const omni_plan *to,
                              const size_t *length, size_t sequences, bool weights,
                              omni_status (*stop)(omni_error *), omni_price *out, omni_error *err);

/* --- closed forms ----------------------------------------------------------------------------- */

/* A sum of addends of `bytes` on p PEs, at the root, on an idle array without faults, of one group and stage: by the tree; or
 * with every addend addressed to the root, which adds them. Only of an array with a bus that is not this host. */
uint64_t omni_array_tree_ps(const omni_array *array, uint64_t bytes, size_t p);
uint64_t omni_array_gather_add_ps(const omni_array *array, uint64_t bytes, size_t p);
/* p*(m): the tree is not slower from so many PEs on, up to `most`; most + 1: it is. */
size_t omni_array_tree_from(const omni_array *array, uint64_t bytes, size_t most);

/* --- memory ----------------------------------------------------------------------------------- */

/* The most that any PE must hold, bytes. Weights as the model's type says (norms and biases float32), keys,
 * values and activations float32, as the executor lays them out, without its padding. */
typedef struct omni_need {
    uint64_t weight_bytes, kv_bytes, activation_bytes, all_bytes;
} omni_need;
/* pass: the largest; more: positions that each of its sequences is to get behind it. */
omni_status omni_price_memory(const omni_plan *plan, omni_extent pass, size_t more, omni_need *out,
                              omni_error *err);

/* The most that a PE must hold where one plan follows another, of so many layers; resident: with the weights of both. Put
 * together from the most of each, so maybe more than any PE needs. */
omni_need omni_need_both(const omni_need *from, const omni_need *to, size_t layers, bool resident);

/* --- a whole generation ----------------------------------------------------------------------- */

/* A batch of sequences of equal length. An encoder's has gen 1: one pass. */
typedef struct omni_task {
    size_t batch, prompt, gen;
} omni_task;

typedef struct omni_estimate {
    omni_price prefill;
    omni_price decode;  /* one step, the middle one of gen - 1; zeros when there is none */
    size_t position;    /* the middle one's */
    uint64_t ps;        /* prefill + (gen - 1) decode steps like the middle one */
    uint64_t energy_pj; /* likewise */
    omni_need need;
    bool fits; /* in a PE's memory */
} omni_estimate;
omni_status omni_estimate_plan(const omni_array *array, const omni_plan *plan, omni_task task,
                               omni_estimate *out, omni_error *err);
double omni_estimate_tokens_per_s(const omni_estimate *e, omni_task task); /* generated; an encoder's: read */

/* Where b spends more than a: the op and kind with the largest difference over the generation. ps: how much.
 * */
omni_price_row omni_estimate_worst(const omni_estimate *a, const omni_estimate *b, omni_task task);

/* --- search ----------------------------------------------------------------------------------- */

typedef struct omni_candidate {
    omni_plan_spec spec;
    omni_estimate estimate;
    bool front; /* of the candidates that fit, none is better in time, energy and memory at once */
} omni_candidate;

enum {
    OMNI_SEARCH_TRACED = 12
}; /* candidates with a critical path; prices of the others have no rows and kinds */

/* The best plans for a task, the fastest that fit first, then those that do not fit; prices those of `plans`
 * (`count` of them), or with NULL searches:
 *   1. every qkv x attn x o x ffn on all PEs, and the named plans
 *   2. the fastest few of 1 with the other edge= and gather=, and two by two as cycles over the layers
 *   3. the fastest few of 1 and 2, and of each attn=, with groups, or stages: powers of two, up to the batch, the
 *      layers, the PEs
 *   4. the methods of the fastest so far with both
 * `pes` are ranks: PEs that live. In a search, what is more than 2 times slower than the best is left out, unless it is on the
 * Pareto front of all that is tried, and so is what costs exactly the same as a plan before it. What cannot be built is
 * left out; OMNI_BAD_INPUT with the first reason when nothing can. *out: omni_free. stop: asked now and then, OMNI_OK goes
 * on; may be NULL. */
omni_status omni_search(const omni_array *array, const omni_model *model, size_t pes, omni_task task,
                        const omni_plan_spec *plans, size_t plan_count, omni_status (*stop)(omni_error *),
                        omni_candidate **out, size_t *count, omni_error *err);

/* Of a search's candidates that fit: the fastest to the first token, and with the fastest decode step. */
const omni_candidate *omni_search_first(const omni_candidate *found, size_t count);
const omni_candidate *omni_search_decode(const omni_candidate *found, size_t count);

/* Those two as one: prefill by the first, then a change, then decode by the second. */
typedef enum omni_pair_kind {
    OMNI_PAIR_MOVED,    /* weights move, too */
    OMNI_PAIR_RESIDENT, /* PEs hold those of both */
    OMNI_PAIR_WAYS
} omni_pair_kind;
typedef struct omni_pair_way {
    omni_price change;
    uint64_t ps, energy_pj; /* prefill + change + decode steps */
    omni_need need;
    bool fits;
} omni_pair_way;
typedef struct omni_pair {
    const omni_candidate *prefill, *decode; /* of those given */
    /* Else nothing below is there: they are one plan, or cannot win; or what their change costs is not known: on this host,
     * of streamed weights, of too many PEs. */
    bool priced;
    omni_pair_way way[OMNI_PAIR_WAYS];
    omni_pair_kind best; /* of the two */
    bool wins;           /* it fits, and is faster than the first candidate */
} omni_pair;
enum { OMNI_PAIR_PES = 4096 };
/* found: of omni_search for the same task. */
omni_status omni_search_pair(const omni_array *array, const omni_model *model, size_t pes, omni_task task,
                             const omni_candidate *found, size_t count, omni_status (*stop)(omni_error *),
                             omni_pair *out, omni_error *err);

#endif
