/* placement.c: the algebra of placements: what satisfies what, what a transform is made of, and which slice
 * of a value a rank owns. Communication is never wired by hand: it follows from this table.
 */
#include "plan/plan.h"

const char *omni_placement_name(omni_placement p) {
    static const char *const sharded[] = {"SHARDED", "SHARDED(feature)", "SHARDED(head)", "SHARDED(token)",
                                          "SHARDED(head, dim)"};
    static const char *const plain[] = {"REPLICATED", NULL, "PARTIAL", "ROOT"};
    return p.kind == OMNI_SHARDED ? sharded[p.dim] : plain[p.kind];
}

/* REPLICATED serves anything (keep your part). Slices of heads, whole or not, are slices of features: whoever
 * takes features takes them as they are cut. */
bool placement_satisfies(omni_placement at, omni_placement want) {
    if (at.kind == OMNI_REPLICATED) return want.kind == OMNI_REPLICATED || want.kind == OMNI_SHARDED;
    if (at.kind != want.kind) return false;
    if (at.kind != OMNI_SHARDED) return true;
    bool heads = at.dim == OMNI_DIM_HEAD || at.dim == OMNI_DIM_SUBHEAD;
    return at.dim == want.dim || (heads && want.dim == OMNI_DIM_FEATURE);
}

/* Design section 2. The second pair of steps is the alternative: gather=bus where a tree gather stands in the
 * first, edge=scatter where a root hands out slices. */
static const struct {
    omni_placement_kind from, to;
    omni_transform usual, gather_bus, edge_scatter;
} transforms[] = {
#define SAME(...)                                                                                            \
    {__VA_ARGS__}, {__VA_ARGS__}, {                                                                          \
        __VA_ARGS__                                                                                          \
    }
    {OMNI_ROOT, OMNI_REPLICATED, SAME(1, {OMNI_STEP_BROADCAST})},
    {OMNI_PARTIAL, OMNI_ROOT, SAME(1, {OMNI_STEP_REDUCE})},
    {OMNI_PARTIAL, OMNI_REPLICATED, SAME(2, {OMNI_STEP_REDUCE, OMNI_STEP_BROADCAST})},
    {OMNI_REPLICATED, OMNI_SHARDED, SAME(0, {0})},
    {OMNI_REPLICATED, OMNI_ROOT, SAME(0, {0})},
    {OMNI_REPLICATED, OMNI_PARTIAL, SAME(0, {0})},
    {OMNI_ROOT, OMNI_PARTIAL, SAME(0, {0})},
    {OMNI_SHARDED, OMNI_PARTIAL, SAME(0, {0})},
    {OMNI_ROOT,
     OMNI_SHARDED,
     {1, {OMNI_STEP_BROADCAST}},
     {1, {OMNI_STEP_BROADCAST}},
     {1, {OMNI_STEP_SCATTER}}},
    {OMNI_SHARDED,
     OMNI_REPLICATED,
     {2, {OMNI_STEP_GATHER, OMNI_STEP_BROADCAST}},
     {1, {OMNI_STEP_ALL_GATHER}},
     {2, {OMNI_STEP_GATHER, OMNI_STEP_BROADCAST}}},
    {OMNI_SHARDED, OMNI_ROOT, {1, {OMNI_STEP_GATHER}}, {1, {OMNI_STEP_COLLECT}}, {1, {OMNI_STEP_GATHER}}},
    {OMNI_SHARDED, OMNI_SHARDED, SAME(1, {OMNI_STEP_ALL_GATHER})},
    {OMNI_PARTIAL,
     OMNI_SHARDED,
     {2, {OMNI_STEP_REDUCE, OMNI_STEP_BROADCAST}},
     {2, {OMNI_STEP_REDUCE, OMNI_STEP_BROADCAST}},
     {2, {OMNI_STEP_REDUCE, OMNI_STEP_SCATTER}}},
#undef SAME
};

omni_transform omni_transform_find(omni_placement from, omni_placement to, bool gather_bus,
                                   bool edge_scatter) {
    if (placement_satisfies(from, to)) return (omni_transform){0};
    for (size_t i = 0; i < sizeof transforms / sizeof *transforms; i++) {
        if (transforms[i].from != from.kind || transforms[i].to != to.kind) continue;
        /* from SHARDED it is a gather, else an edge: never both */
        if (from.kind == OMNI_SHARDED) return gather_bus ? transforms[i].gather_bus : transforms[i].usual;
        return edge_scatter ? transforms[i].edge_scatter : transforms[i].usual;
    }
    return (omni_transform){0}; /* from and to of the same kind */
}

omni_range omni_value_owned(const omni_value *v, size_t j, size_t p, size_t i) {
    size_t unit = v->part[j].unit, share = v->part[j].share, runs = v->part[j].runs, each = v->part[j].units;
    omni_range units = omni_split_runs(runs, each, p, i);
    if (units.count == 0) return (omni_range){0, 0};
    size_t run = units.start / each, in_run = units.start - run * each;
    size_t first = in_run / share, last = (in_run + units.count - 1) / share;
    size_t before = run / v->part[j].run_share * (each / share); /* runs > 1: share is 1 */
    return (omni_range){.start = (before + first) * unit, .count = (last - first + 1) * unit};
}

size_t omni_value_width(const omni_value *v, size_t p, size_t i) {
    size_t width = 0;
    for (size_t j = 0; j < v->parts; j++)
        width += v->compact ? omni_value_owned(v, j, p, i).count : v->part[j].width;
    return width;
}
