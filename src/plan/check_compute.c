/* check_compute.c: of each compute step, what ranks must have before it and what they have behind it.
 *
 * Left out: token shares of keys and values tile by construction (kv.c, and its tests).
 */
#include "plan/prover.h"

static bool prove_matmul(prover *c) {
    const omni_step *s = c->step;
    const omni_weight *w = &c->plan->weight[s->weight];
    const omni_value *y = value_at(c, s->out);
    if (w->panel) return prover_fail(c, "a matmul over weights that are dealt out");
    if (w->split_in && !prover_slices_tile(c, &w->in, 0)) return false;
    for (size_t j = 0; j < y->parts; j++)
        if (w->out.part[j].paired != y->part[j].paired)
            return prover_fail(c, "a matmul yields features in another order");
    for (size_t i = 0; i < c->p; i++) {
        omni_range in = w->split_in ? omni_value_owned(&w->in, 0, c->p, i) : whole(&w->in, 0);
        bool idle = w->split_out && omni_value_width(y, c->p, i) == 0;
        if (!idle && !prover_has(c, s->in[0], 0, i, in)) return false;
        for (size_t j = 0; j < y->parts; j++)
            prover_put(c, s->out, j, i, w->split_in ? ADDEND : COMPLETE,
                       w->split_out ? omni_value_owned(y, j, c->p, i) : whole(y, j));
    }
    return true;
}

/* Ops that turn each rank's columns into the same columns of another value. */
static bool prove_same_columns(prover *c) {
    const omni_step *s = c->step;
    if (!prover_everyone_has(c, s->in[0])) return false;
    if (s->in[1] != OMNI_NO_VALUE && !prover_everyone_has(c, s->in[1])) return false;
    for (size_t r = 0; r < ranks_of(c); r++) {
        for (size_t j = 0; j < value_at(c, s->out)->parts; j++)
            if (!covers(prover_held(c, value_at(c, s->in[0]), j, r),
                        prover_held(c, value_at(c, s->out), j, r)))
                return prover_fail(c, "a step yields columns whose input it does not have");
        prover_put_stored(c, s->out, r, COMPLETE);
    }
    return true;
}

/* Rows in, a handful of numbers a row out: addends to be merged, or final when one rank sees the whole row.
 */
static bool prove_row_summary(prover *c) {
    const omni_step *s = c->step;
    bool lone = omni_plan_widest(c->plan) == 1;
    if (!(lone ? prover_everyone_has(c, s->in[0]) : prover_has_slices(c, s->in[0], 1))) return false;
    for (size_t r = 0; r < c->p; r++) prover_put_stored(c, s->out, r, lone ? COMPLETE : ADDEND);
    return true;
}

static bool prove_root_only(prover *c) {
    const omni_step *s = c->step;
    if (!prover_everyone_has(c, s->in[0])) return false;
    for (size_t r = 0; r < ranks_of(c); r++) prover_put_stored(c, s->out, r, COMPLETE);
    return true;
}

/* Rotary pairs of queries and keys stand side by side where they are turned so, and nowhere else. */
static bool ordered_as_used(prover *c, const omni_value *qkv) {
    const omni_shape *shape = &c->plan->model->shape;
    bool by_pairs = c->plan->kv[c->step->layer] == OMNI_KV_SUBHEADS && shape->rope_theta > 0;
    for (size_t j = 0; j < qkv->parts; j++)
        if (qkv->part[j].width && qkv->part[j].paired != (by_pairs && j < 2 ? shape->head_dim : 0))
            return prover_fail(c, "features do not stand in the order in which they are used");
    return true;
}

bool prove_kv_append(prover *c) {
    const omni_step *s = c->step;
    if (c->plan->mesh.joined && c->plan->mesh.tokens && s->kind != OMNI_STEP_KV_SHARE)
        return prover_fail(c, "keys and values of other groups' tokens are missing");
    if (!ordered_as_used(c, value_at(c, s->in[0]))) return false;
    for (size_t i = 0; i < c->p; i++) {
        omni_range want = omni_kv_features(c->plan->kv[s->layer], &c->plan->model->shape, c->p, i);
        if (!prover_has(c, s->in[0], 1, i, want) || !prover_has(c, s->in[0], 2, i, want)) return false;
        *prover_kv(c, i) = true;
    }
    return true;
}

static bool prove_attention(prover *c) {
    const omni_step *s = c->step;
    const omni_shape *shape = &c->plan->model->shape;
    bool by_tokens = c->plan->kv[s->layer] == OMNI_KV_TOKENS;
    if (!ordered_as_used(c, value_at(c, s->in[0]))) return false;
    for (size_t i = 0; i < c->p; i++) {
        omni_range mine = by_tokens ? (omni_range){0, shape->heads * shape->head_dim}
                                    : prover_held(c, value_at(c, s->out), 0, i);
        if (!prover_has(c, s->in[0], 0, i, mine)) return false;
        if (!*prover_kv(c, i)) return prover_fail(c, "attention before its keys and values");
        prover_put_stored(c, s->out, i, by_tokens ? ADDEND : COMPLETE);
        *prover_kv(c, i) = false;
    }
    return true;
}

/* Each rank scores its dims of its head: addends of that head's scores, one for each dim. */
static bool prove_scores(prover *c) {
    const omni_step *s = c->step;
    const omni_shape *shape = &c->plan->model->shape;
    size_t next = 0;
    if (c->plan->kv[s->layer] != OMNI_KV_SUBHEADS)
        return prover_fail(c, "scores of keys that are not kept so");
    if (!ordered_as_used(c, value_at(c, s->in[0]))) return false;
    for (size_t i = 0; i < c->p; i++) {
        omni_subhead mine = omni_subhead_of(shape, c->p, i);
        omni_range q = {mine.head * shape->head_dim + mine.dims.start, mine.dims.count};
        if (q.count && q.start != next) return prover_fail(c, "slices overlap or leave a gap");
        next += q.count;
        if (!prover_has(c, s->in[0], 0, i, q)) return false;
        if (!*prover_kv(c, i)) return prover_fail(c, "attention before its keys and values");
        prover_put(c, s->out, 0, i, ADDEND, (omni_range){mine.head, 1});
    }
    return next == shape->heads * shape->head_dim || prover_fail(c, "slices do not cover the whole");
}

static bool prove_weigh(prover *c) {
    const omni_step *s = c->step;
    const omni_shape *shape = &c->plan->model->shape;
    for (size_t i = 0; i < c->p; i++) {
        omni_subhead mine = omni_subhead_of(shape, c->p, i);
        omni_range y = {mine.head * shape->head_dim + mine.dims.start, mine.dims.count};
        omni_range stored = prover_held(c, value_at(c, s->out), 0, i);
        if (!prover_has(c, s->in[0], 0, i, (omni_range){mine.head, 1})) return false;
        if (!*prover_kv(c, i)) return prover_fail(c, "attention before its keys and values");
        if (y.count != stored.count || (y.count && y.start != stored.start))
            return prover_fail(c, "a step yields columns that are stored as others");
        prover_put(c, s->out, 0, i, COMPLETE, y);
        *prover_kv(c, i) = false;
    }
    return true;
}

static bool prove_residual(prover *c) {
    const omni_step *s = c->step;
    const omni_value *x = value_at(c, s->in[1]);
    bool folded = value_at(c, s->in[0])->at.kind == OMNI_PARTIAL;
    if (folded &&
        !(x->compact ? prover_has_slices(c, s->in[1], 1) : prover_has(c, s->in[1], 0, s->root, whole(x, 0))))
        return false;
    for (size_t r = 0; r < c->p; r++) {
        cell *branch = prover_cell(c, s->in[0], 0, r);
        if (branch->value != s->in[0]) return prover_fail(c, "a value was overwritten before its last use");
        if (branch->have != (folded ? ADDEND : COMPLETE))
            return prover_fail(c, "a residual meets what it is not declared to meet");
        if (!folded && !prover_has(c, s->in[1], 0, r, branch->range)) return false;
        branch->value = s->out;
    }
    return true;
}

static bool prove_tap(prover *c) {
    int v = c->step->in[0];
    return value_at(c, v)->compact ? prover_has_slices(c, v, 1) : prover_everyone_has(c, v);
}

static bool (*const proofs[OMNI_STEP_KINDS])(prover *) = {
    [OMNI_STEP_MATMUL] = prove_matmul,
    [OMNI_STEP_NORM] = prove_same_columns,
    [OMNI_STEP_NORM_STATS] = prove_row_summary,
    [OMNI_STEP_NORM_FINISH] = prove_root_only,
    [OMNI_STEP_NORM_APPLY] = prove_same_columns,
    [OMNI_STEP_KV_APPEND] = prove_kv_append,
    [OMNI_STEP_ATTENTION] = prove_attention,
    [OMNI_STEP_ATTENTION_FINISH] = prove_root_only,
    [OMNI_STEP_SCORES] = prove_scores,
    [OMNI_STEP_WEIGH] = prove_weigh,
    [OMNI_STEP_ACTIVATION] = prove_same_columns,
    [OMNI_STEP_RESIDUAL] = prove_residual,
    [OMNI_STEP_ROWS] = prove_same_columns,
    [OMNI_STEP_ARGMAX] = prove_row_summary,
    [OMNI_STEP_TAP] = prove_tap,
};

bool prove_compute(prover *c) {
    return proofs[c->step->kind](c);
}
