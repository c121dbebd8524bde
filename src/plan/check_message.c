/* check_message.c: of each message, who must have what before it and who has what behind it; and that there
 * are wires for it: pieces of the bus, one writer in each.
 */
#include "plan/prover.h"

/* The ranks of the k-th piece of the bus, and the features of the tensor that it has. */
static omni_range piece_at(const prover *c, omni_cut cut, size_t k) {
    return cut == OMNI_CUT_HEAD ? omni_split(c->p, c->plan->mesh.heads, k) : (omni_range){0, c->p};
}

static omni_range whole_in(const omni_value *v, size_t j, size_t k) {
    return v->over == OMNI_CUT_HEAD ? (omni_range){k, 1} : whole(v, j);
}

static bool prove_host_in(prover *c) {
    for (size_t i = 0; i < c->p; i++) prover_put_stored(c, c->step->out, i, COMPLETE);
    return true;
}

static bool prove_host_out(prover *c) {
    return prover_has_stored(c, c->step->in[0], c->step->root);
}

/* Addends of the same, all of those that there are. */
static bool all_addends(prover *c, size_t j, omni_range piece) {
    int v = c->step->in[0];
    omni_range what = prover_cell(c, v, j, piece.start)->range;
    for (size_t i = 0; i < c->p; i++) {
        const cell *x = prover_cell(c, v, j, i);
        bool inside = i >= piece.start && i < piece.start + piece.count;
        bool same = x->value == v && x->have == ADDEND && x->range.start == what.start &&
                    x->range.count == what.count;
        if (inside && x->value != v) return prover_fail(c, "an addend was overwritten before its reduction");
        if (inside && x->have != ADDEND)
            return prover_fail(c, "a reduction over something that is no addend");
        if (inside != same) return prover_fail(c, "a reduction over other addends than those of one sum");
    }
    return true;
}

static bool prove_reduce(prover *c) {
    const omni_step *s = c->step;
    for (size_t j = 0; j < value_at(c, s->in[0])->parts; j++) {
        for (size_t k = 0; k < omni_mesh_pieces_in(&c->plan->mesh, s->cut); k++)
            if (!all_addends(c, j, piece_at(c, s->cut, k))) return false;
        for (size_t k = 0; k < omni_mesh_pieces_in(&c->plan->mesh, s->cut); k++) {
            omni_range piece = piece_at(c, s->cut, k), what = prover_cell(c, s->in[0], j, piece.start)->range;
            for (size_t i = 0; i < piece.count; i++)
                prover_put(c, s->out, j, piece.start + i, i == s->root ? COMPLETE : NOTHING, what);
        }
    }
    return true;
}

/* What one root has of part j is the whole; then everyone of its piece has it: all of it, or his slice. */
static bool prove_part_from_root(prover *c, size_t j, size_t k) {
    const omni_step *s = c->step;
    const omni_value *x = value_at(c, s->in[0]), *y = value_at(c, s->out);
    omni_range piece = piece_at(c, s->cut, k), what = whole_in(x, j, k);
    if (!prover_has(c, s->in[0], j, piece.start + s->root, what)) return false;
    for (size_t i = piece.start; i < piece.start + piece.count; i++)
        prover_put(c, s->out, j, i, COMPLETE, y->compact ? prover_held(c, y, j, i) : what);
    return true;
}

static bool prove_from_root(prover *c) {
    const omni_step *s = c->step;
    for (size_t j = 0; j < value_at(c, s->in[0])->parts; j++)
        for (size_t k = 0; (s->parts >> j & 1) && k < omni_mesh_pieces_in(&c->plan->mesh, s->cut); k++)
            if (!prove_part_from_root(c, j, k)) return false;
    return true;
}

static bool prove_from_slices(prover *c) {
    const omni_step *s = c->step;
    if (!prover_has_slices(c, s->in[0], s->parts)) return false;
    for (size_t j = 0; j < value_at(c, s->out)->parts; j++) {
        for (size_t i = 0; (s->parts >> j & 1) && i < c->p; i++) {
            bool gets = i == s->root || s->kind == OMNI_STEP_ALL_GATHER;
            prover_put(c, s->out, j, i, gets ? COMPLETE : NOTHING, whole(value_at(c, s->out), j));
        }
    }
    return true;
}

static bool prove_hand_off(prover *c) {
    return prover_has_stored(c, c->step->in[0], c->step->root);
}

/* What the ranks keep covers all outputs once, in order, in whole panels. */
static bool dealt_tile(prover *c, const omni_weight *w, size_t width) {
    size_t next = 0;
    for (size_t r = 0; r < c->plan->mesh.used; r++) {
        omni_range dealt = omni_weight_dealt(&c->plan->mesh, w, r);
        if (dealt.count && (dealt.start != next || next % w->panel))
            return prover_fail(c, "panels overlap or leave a gap");
        next += dealt.count;
    }
    return next == width || prover_fail(c, "panels do not cover the whole");
}

/* Everyone has his rows of the whole input, and then of the whole output. */
static bool prove_stream(prover *c) {
    const omni_step *s = c->step;
    const omni_weight *w = &c->plan->weight[s->weight];
    const omni_value *y = value_at(c, s->out);
    if (!w->panel || w->split_in || w->split_out)
        return prover_fail(c, "broadcasts of weights that are not dealt out");
    if (y->storage == value_at(c, s->in[0])->storage) return prover_fail(c, "a product into its own input");
    if (!dealt_tile(c, w, omni_value_width(y, c->p, 0))) return false;
    for (size_t i = 0; i < c->p; i++) {
        if (!prover_has(c, s->in[0], 0, i, whole(&w->in, 0))) return false;
        prover_put_stored(c, s->out, i, COMPLETE);
    }
    return true;
}

/* Everyone appends his own tokens' and, as they come, everyone else's: the same steps on whole rows. */
static bool prove_kv_share(prover *c) {
    const omni_step *s = c->step;
    const omni_value *out = value_at(c, s->out);
    bool whole_rows = c->plan->mesh.tokens && c->plan->kv[s->layer] == OMNI_KV_WHOLE && s->parts == 6;
    if (!whole_rows) return prover_fail(c, "keys and values are sent where not everyone keeps them");
    for (size_t j = 1; j < out->parts; j++)
        if (out->part[j].width != value_at(c, s->in[0])->part[j].width)
            return prover_fail(c, "keys and values do not fit what they are received into");
    if (!prove_kv_append(c)) return false;
    for (size_t i = 0; i < c->p; i++) prover_put_stored(c, s->out, i, NOTHING);
    return true;
}

/* Messages for all groups at once: every group is there when they come, for there are no stages, and every PE
 * needs them, for each is a group. */
static bool prove_joined(prover *c) {
    const omni_mesh *mesh = &c->plan->mesh;
    if (mesh->joined && mesh->stages == 1 && mesh->groups == mesh->used) return true;
    return prover_fail(c, "a message for all groups where they do not go in step");
}

static const omni_cut cut_of[OMNI_STEP_KINDS] = {
    [OMNI_STEP_HAND_OFF] = OMNI_CUT_BOUNDARY,
    [OMNI_STEP_STREAM] = OMNI_CUT_ALL,
    [OMNI_STEP_KV_SHARE] = OMNI_CUT_ALL,
};

static bool keeps_order(prover *c) {
    const omni_step *s = c->step;
    if (s->in[0] == OMNI_NO_VALUE || s->out == OMNI_NO_VALUE) return true;
    const omni_value *x = value_at(c, s->in[0]), *y = value_at(c, s->out);
    for (size_t j = 0; j < x->parts; j++)
        if ((s->parts >> j & 1) && x->part[j].paired != y->part[j].paired)
            return prover_fail(c, "a message yields features in another order");
    return true;
}

/* One writer per piece, who is in it, as are all who take part; chunks are copied out, so one slot is pinned.
 */
bool prove_route(prover *c) {
    const omni_step *s = c->step;
    bool boundary = s->kind == OMNI_STEP_HAND_OFF;
    bool by_heads = s->cut == OMNI_CUT_HEAD && c->plan->mesh.heads &&
                    (s->kind == OMNI_STEP_REDUCE || s->kind == OMNI_STEP_BROADCAST);
    if (s->cut == OMNI_CUT_ALL && !prove_joined(c)) return false;
    if ((!by_heads && s->cut != cut_of[s->kind]) || s->stage + boundary >= c->plan->mesh.stages)
        return prover_fail(c, "a route over a piece of the bus that does not exist");
    for (size_t k = 0; k < omni_mesh_pieces_in(&c->plan->mesh, s->cut); k++)
        if (s->root >= piece_at(c, s->cut, k).count) return prover_fail(c, "a writer outside its piece");
    if (!keeps_order(c)) return false;
    return c->ring_slots >= 2 || prover_fail(c, "the ring cannot hold what is pinned");
}

static bool (*const proofs[OMNI_STEP_KINDS])(prover *) = {
    [OMNI_STEP_HOST_IN] = prove_host_in,     [OMNI_STEP_HOST_OUT] = prove_host_out,
    [OMNI_STEP_BROADCAST] = prove_from_root, [OMNI_STEP_REDUCE] = prove_reduce,
    [OMNI_STEP_GATHER] = prove_from_slices,  [OMNI_STEP_ALL_GATHER] = prove_from_slices,
    [OMNI_STEP_SCATTER] = prove_from_root,   [OMNI_STEP_COLLECT] = prove_from_slices,
    [OMNI_STEP_HAND_OFF] = prove_hand_off,   [OMNI_STEP_STREAM] = prove_stream,
    [OMNI_STEP_KV_SHARE] = prove_kv_share,
};

bool prove_message(prover *c) {
    return proofs[c->step->kind](c);
}
