/* wire.c: what floats travel as. It depends on what carries them and on what they are, is decided here, and
 * counted, executed and explained from here.
 *
 *   bus    broadcast, all-gather, scatter, gather on the bus, hand-off    wire-bus=
 *   tree   reduction, gather                                              wire-tree=
 *
 * Always as they are: what goes through the host port; control values (omni_value.part.exact), which are few
 * and on which much depends; and what a lone rank "sends" to itself.
 */
#include <math.h>

#include "plan/plan.h"

static const omni_wire wires[] = {
    {"f32", "float32, as computed", OMNI_F32, 0},
    {"bf16", "bfloat16: 8 bits, the range of float32", OMNI_BF16, 0x1p-8},
    {"f16", "IEEE half: 11 bits, up to 65504", OMNI_F16, 0x1p-11},
};
enum { WIRES = sizeof wires / sizeof *wires };

const omni_wire *omni_wire_table(size_t *count) {
    *count = WIRES;
    return wires;
}

const omni_wire *omni_wire_find(omni_dtype dtype) {
    for (size_t i = 0; i < WIRES; i++)
        if (wires[i].dtype == dtype) return &wires[i];
    return &wires[0];
}

static omni_dtype carried_as(const omni_plan_spec *spec, omni_step_kind kind) {
    switch (kind) {
    case OMNI_STEP_REDUCE:
    case OMNI_STEP_GATHER:
        return spec->wire_tree;
    case OMNI_STEP_BROADCAST:
    case OMNI_STEP_ALL_GATHER:
    case OMNI_STEP_SCATTER:
    case OMNI_STEP_COLLECT:
    case OMNI_STEP_HAND_OFF:
    case OMNI_STEP_KV_SHARE:
        return spec->wire_bus;
    default:
        return OMNI_F32;
    }
}

omni_dtype omni_part_wire(const omni_plan *plan, const omni_step *s, const omni_value *v, size_t j,
                          size_t p) {
    bool alone = p == 1 && s->cut != OMNI_CUT_BOUNDARY && s->cut != OMNI_CUT_ALL;
    return alone || v->part[j].exact ? OMNI_F32 : carried_as(&plan->spec, s->kind);
}

omni_dtype omni_step_wire(const omni_plan *plan, const omni_step *s) {
    size_t p = omni_mesh_ranks(&plan->mesh, 0, s->stage).count; /* no group has more */
    const omni_value *v = s->in[0] == OMNI_NO_VALUE ? NULL : &plan->value[s->in[0]];
    for (size_t j = 0; v && j < v->parts; j++) {
        omni_dtype wire = omni_part_wire(plan, s, v, j, p);
        if ((s->parts >> j & 1) && wire != OMNI_F32) return wire;
    }
    return OMNI_F32;
}

/* Times that a number is rounded on its way: once, or at every level of a reduction. */
static size_t roundings(const omni_plan *plan, const omni_step *s) {
    size_t p = omni_mesh_ranks(&plan->mesh, 0, s->stage).count;
    return s->kind == OMNI_STEP_REDUCE ? omni_ceil_log2(p) : 1;
}

double omni_plan_roundoff(const omni_plan *plan) {
    double squares = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        double roundoff = omni_wire_find(omni_step_wire(plan, &plan->step[i]))->roundoff;
        squares += (double)roundings(plan, &plan->step[i]) * roundoff * roundoff;
    }
    return sqrt(squares);
}
