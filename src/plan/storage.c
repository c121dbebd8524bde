/* storage.c: which buffer holds which value. A linear scan: a value takes the first free buffer of its own
 * shape, or the free one that fits best, and its buffer is free again behind its last use. Layers repeat, so
 * a few buffers serve them all. On each rank a buffer is as large as the largest of its values there. What a
 * hand-off delivers is used in the next wave, by steps that stand before it: it has a buffer of its own. What
 * a train of steps uses, it uses strip by strip: to its end.
 */
#include <stdlib.h>

#include "plan/plan.h"

typedef struct group {
    size_t first, last; /* steps that define it and that use it last */
    size_t value;       /* one of its values: they all have the same shape */
    size_t buffer;
} group;

/* Same bytes on every rank, whatever the sizes of the pass. */
static bool same_shape(const omni_value *a, const omni_value *b) {
    if (a->rows != b->rows || a->compact != b->compact) return false;
    size_t wide_a = 0, wide_b = 0;
    for (size_t j = 0; j < OMNI_MAX_PARTS; j++) {
        size_t in_a = j < a->parts ? a->part[j].width : 0, in_b = j < b->parts ? b->part[j].width : 0;
        wide_a += in_a;
        wide_b += in_b;
        if (!a->compact) continue;
        if (in_a != in_b ||
            (in_a && (a->part[j].units != b->part[j].units || a->part[j].unit != b->part[j].unit ||
                      a->part[j].share != b->part[j].share || a->part[j].runs != b->part[j].runs ||
                      a->part[j].run_share != b->part[j].run_share)))
            return false;
    }
    return wide_a == wide_b;
}

/* The last step of the train that step s is in: there the last strip of all its values is used. */
static size_t train_end(const omni_plan *plan, size_t s) {
    size_t first = s;
    while (plan->step[s].strips && !plan->step[first].train) first--;
    return plan->step[s].strips ? first + plan->step[first].train - 1 : s;
}

static void note_use(const omni_plan *plan, group *groups, int value, size_t step) {
    if (value == OMNI_NO_VALUE) return;
    group *g = &groups[plan->value[value].storage];
    if (g->first == SIZE_MAX) g->first = step;
    g->last = train_end(plan, step);
    g->value = (size_t)value;
}

static size_t full_width(const omni_value *v) {
    size_t width = 0;
    for (size_t j = 0; j < v->parts; j++) width += v->part[j].width;
    return width;
}

/* How badly a value fits a buffer that held another: 0 for the same shape. */
static size_t misfit(const omni_value *held, const omni_value *v) {
    if (held->rows != v->rows) return SIZE_MAX;
    if (same_shape(held, v)) return 0;
    size_t a = full_width(held), b = full_width(v);
    return 1 + (a > b ? a - b : b - a);
}

/* A free buffer that fits best, or a new one. Any free one with the same rows beats a new one. */
static size_t take_buffer(const omni_plan *plan, group *groups, const group *g, size_t *holder, size_t *count,
                          size_t step) {
    size_t best = *count, least = SIZE_MAX;
    for (size_t i = 0; i < *count; i++) {
        const group *before = &groups[holder[i]];
        if (before->last >= step) continue;
        size_t bad = misfit(&plan->value[before->value], &plan->value[g->value]);
        if (bad >= least) continue;
        best = i;
        least = bad;
    }
    holder[best] = (size_t)(g - groups);
    *count += best == *count;
    return best;
}

omni_status storage_assign(omni_plan *plan, omni_error *err) {
    size_t count = plan->value_count, buffers = 0;
    group *groups = malloc((count + 1) * sizeof *groups);
    size_t *holder = malloc((count + 1) * sizeof *holder); /* buffer -> the group in it */
    omni_status st =
        groups && holder ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "no memory for the plan's buffers");
    if (st != OMNI_OK) goto out;
    for (size_t i = 0; i < count; i++) groups[i] = (group){.first = SIZE_MAX};
    for (size_t s = 0; s < plan->step_count; s++) {
        for (size_t k = 0; k < OMNI_STEP_INPUTS; k++) note_use(plan, groups, plan->step[s].in[k], s);
        note_use(plan, groups, plan->step[s].out, s);
    }
    for (size_t s = 0; s < plan->step_count; s++) {
        if (plan->step[s].kind != OMNI_STEP_HAND_OFF) continue;
        group *g = &groups[plan->value[plan->step[s].out].storage];
        g->last = SIZE_MAX;
        g->buffer = take_buffer(plan, groups, g, holder, &buffers, 0);
    }
    for (size_t s = 0; s < plan->step_count; s++) {
        int v = plan->step[s].out;
        if (v == OMNI_NO_VALUE || plan->step[s].kind == OMNI_STEP_HAND_OFF) continue;
        group *g = &groups[plan->value[v].storage];
        if (g->first == s) g->buffer = take_buffer(plan, groups, g, holder, &buffers, s);
    }
    for (size_t i = 0; i < count; i++) plan->value[i].storage = groups[plan->value[i].storage].buffer;
    plan->storage_count = buffers;
out:
    free(groups);
    free(holder);
    return st;
}
