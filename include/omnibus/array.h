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
 * */
omni_status omni_array_load(const char *file, omni_array **out, omni_error *err);
omni_array *omni_array_copy(const omni_array *array); /* NULL: no memory */
void omni_array_free(omni_array *array);

/* One value, as a file would say it. key: "bus.width_bytes", or without the unit: "bus.width". */
omni_status omni_array_set(omni_array *array, const char *key, const char *value, omni_error *err);
/* A value; HUGE_VAL: infinite. NaN: no such key. */
double omni_array_get(const omni_array *array, const char *key);
bool omni_array_own_wires(const omni_array *array);   /* the tree has wires of its own */
const char *omni_array_name(const omni_array *array); /* "seed-64pe", "seed-64pe bus.width=32" */
size_t omni_array_pes(const omni_array *array);

/* --- the price of a pass ---------------------------------------------------------------------- */

/* What time is spent in. */
typedef enum omni_price_kind {
    OMNI_PRICE_COMPUTE,
    OMNI_PRICE_BUS,  /* broadcasts, addressed messages */
    OMNI_PRICE_TREE, /* reductions and gathers */
    OMNI_PRICE_HOST,
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

typedef struct omni_price {
    uint64_t ps;                     /* of the pass, from its input to its result */
    uint64_t kind[OMNI_PRICE_KINDS]; /* of that, on the critical path: sums to ps */
    omni_counters moved;             /* what was priced: equal to omni_plan_count's */
    uint64_t grants;                 /* of the bus: its messages */
    /* Of those and of tree reductions, the ones that found their wires taken; for how long, all together. */
    uint64_t conflicts, wait_ps;
    uint64_t busy_ppm;      /* of the bus: its wires over all used PEs, in millionths of the pass's time */
    uint64_t computing_ppm; /* of the used PEs, likewise */
    uint64_t macs, ops, memory_bytes; /* of all PEs */
    uint64_t energy_pj;               /* with what idle PEs take */
    size_t rows;
    omni_price_row row[OMNI_PRICE_ROWS]; /* largest first */
} omni_price;

/* OMNI_RUN_FAILED: no memory. The plan may be of more PEs than the array file says. What is rounded: figures
 * to attoseconds a thing, to the nearest; the time of each step to picoseconds, up. */
omni_status omni_price_pass(const omni_array *array, const omni_plan *plan, omni_extent pass, omni_price *out,
                            omni_error *err);

#endif
