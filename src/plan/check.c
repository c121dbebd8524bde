/* check.c: proves a plan before anything runs, by executing it symbolically. For every rank and buffer it
 * keeps which value is there and which features of it are complete, or that it holds an addend; each step
 * states what it needs and what it leaves. Declared placements are not believed: only matmuls, messages and
 * the other steps make facts.
 *
 * Steps that are done strip by strip are proven so: every fact is kept for two strips of the rows, an earlier
 * one and a later one, which stand for all pairs. A whole step is proven for both; a train first for the one,
 * then for the other.
 *
 * This file walks the plan; what each kind of step needs and leaves is in check_compute.c and
 * check_message.c.
 */
#include <stdlib.h>

#include "plan/prover.h"

static omni_status refuse(const prover *c, omni_error *err) {
    return omni_error_set(err, OMNI_RUN_FAILED, "plan '%s' on %zu PEs: step %zu (%s, layer %d): %s",
                          c->plan->spec.name, c->plan->mesh.pes, (size_t)(c->step - c->plan->step),
                          omni_step_name(c->step->kind), c->step->layer, c->reason);
}

/* For these strips. */
static omni_status prove_step(prover *c, size_t i, size_t stage, omni_range strips, omni_error *err) {
    c->step = &c->plan->step[i];
    bool message = omni_step_is_message(c->step);
    bool ok = c->step->stage == stage || prover_fail(c, "a step of another stage");
    ok = ok && (!message || prove_route(c));
    for (size_t k = strips.start; ok && k < strips.start + strips.count; k++) {
        c->strip = k;
        ok = message ? prove_message(c) : prove_compute(c);
    }
    if (ok) return OMNI_OK;
    return refuse(c, err);
}

static const omni_range both = {0, PROVER_STRIPS};

/* Strips of features: the product reads all of its input for each, so nobody writes there meanwhile. */
static bool prove_features(prover *c, size_t first) {
    const omni_step *product = &c->plan->step[first];
    if (product->kind != OMNI_STEP_MATMUL || !overlap_by_features(c->plan, c->step))
        return prover_fail(c, "strips of features that know of each other");
    return value_at(c, c->step->out)->storage != value_at(c, product->in[0])->storage ||
           prover_fail(c, "a product's input is written before its last strip");
}

/* Steps that are done strip by strip: each knows its rows only, all cut alike, computing stands first. */
static bool prove_train(prover *c, size_t first, size_t end) {
    size_t count = c->plan->step[first].train;
    bool message = false;
    c->step = &c->plan->step[first];
    if (count == 0 || count > end - first) return prover_fail(c, "strips of a step that is in no train");
    for (size_t i = first; i < first + count; i++) {
        c->step = &c->plan->step[i];
        if (c->step->strips != c->plan->step[first].strips || (i > first && c->step->train) ||
            c->step->features != c->plan->step[first].features)
            return prover_fail(c, "a strip is missing");
        if (message && !omni_step_is_message(c->step))
            return prover_fail(c, "a strip's messages are waited for");
        message = omni_step_is_message(c->step);
        if (!overlap_possible(c->plan, c->step))
            return prover_fail(c, "strips of rows that know of each other");
        if (c->step->features && !prove_features(c, first)) return false;
    }
    return true;
}

/* A step or a train of them; *i: the next one. */
static omni_status prove_next(prover *c, size_t *i, size_t stage, size_t end, omni_error *err) {
    omni_status st = OMNI_OK;
    if (c->plan->step[*i].strips == 0) return prove_step(c, (*i)++, stage, both, err);
    size_t first = *i, last = first + c->plan->step[first].train;
    if (!prove_train(c, first, end)) return refuse(c, err);
    for (size_t k = 0; k < PROVER_STRIPS; k++)
        for (*i = first; *i < last && !st; ++*i) st = prove_step(c, *i, stage, (omni_range){k, 1}, err);
    return st;
}

/* A stage of p ranks: at its beginning the root has what was handed to it, at its end what it hands on. */
static omni_status prove_stage(prover *c, size_t stage, omni_error *err) {
    const omni_plan *plan = c->plan;
    omni_range block = plan->block[stage];
    size_t between = plan->step_count - (plan->mesh.stages - 1) + stage; /* the hand-off to the next */
    omni_status st = OMNI_OK;
    for (size_t i = 0; i < PROVER_STRIPS * plan->storage_count * c->p * OMNI_MAX_PARTS; i++)
        c->cells[i] = (cell){.value = OMNI_NO_VALUE};
    c->step = &plan->step[block.start];
    for (c->strip = 0; stage > 0 && c->strip < PROVER_STRIPS; c->strip++)
        prover_put_stored(c, plan->step[between - 1].out, 0, COMPLETE);
    for (size_t i = block.start, end = block.start + block.count; i < end && !st;)
        st = prove_next(c, &i, stage, end, err);
    return !st && stage + 1 < plan->mesh.stages ? prove_step(c, between, stage, both, err) : st;
}

/* Groups execute the same steps: those with stages of the same sizes need one proof. There are at most two
 * sizes of a group, the first one's and the last one's. */
static omni_status prove_group(prover *c, size_t group, omni_error *err) {
    omni_status st = OMNI_OK;
    for (size_t s = 0; s < c->plan->mesh.stages && !st; s++) {
        c->p = omni_mesh_ranks(&c->plan->mesh, group, s).count;
        st = prove_stage(c, s, err);
    }
    return st;
}

omni_status omni_plan_check(const omni_plan *plan, size_t ring_slots, omni_error *err) {
    size_t most = omni_plan_widest(plan), last = plan->mesh.groups - 1, cells;
    prover c = {.plan = plan, .ring_slots = ring_slots};
    omni_status st = OMNI_OK;
    c.cells = omni_size_mul(PROVER_STRIPS * plan->storage_count * OMNI_MAX_PARTS, most, &cells)
                  ? calloc(cells + 1, sizeof *c.cells)
                  : NULL;
    c.kv = calloc(PROVER_STRIPS * most, sizeof *c.kv);
    if (!c.cells || !c.kv)
        st = omni_error_set(err, OMNI_RUN_FAILED, "no memory to prove plan '%s'", plan->spec.name);
    if (!st) st = prove_group(&c, 0, err);
    if (!st && last > 0) st = prove_group(&c, last, err);
    free(c.cells);
    free(c.kv);
    return st;
}
