/* check.c: proves a plan before anything runs, by executing it symbolically. For every rank and buffer it
 * keeps which value is there and which features of it are complete, or that it holds an addend; each step
 * states what it needs and what it leaves. Declared placements are not believed: only matmuls, messages and
 * the other steps make facts.
 *
 * Steps that are done strip by strip are proven so: every fact is kept for two strips of the rows, an earlier
 * one and a later one, which stand for all pairs. A whole step is proven for both; a train first for the one,
 * then for the other.
 *
 * Left out: token shares of keys and values tile by construction (kv.c, and its tests).
 */
#include <stdlib.h>

#include "plan/plan.h"

enum { STRIPS = 2 };

typedef enum have { NOTHING, COMPLETE, ADDEND } have;

/* One part of what lies in a buffer. */
typedef struct cell {
    int value;
    have have;
    omni_range range; /* its features; of what belongs to a head, {head, 1} */
} cell;

typedef struct prover {
    const omni_plan *plan;
    const omni_step *step;
    size_t p; /* ranks of the stage at hand */
    size_t ring_slots;
    size_t strip;       /* at hand */
    cell *cells;        /* [strip][storage][index][part] */
    bool *kv;           /* [strip][index]: keys and values of this layer were appended */
    const char *reason; /* what could not be proved */
} prover;

static const omni_value *value_at(const prover *c, int v) {
    return &c->plan->value[v];
}

static cell *cell_of(const prover *c, size_t strip, size_t storage, size_t rank) {
    return &c->cells[((strip * c->plan->storage_count + storage) * c->p + rank) * OMNI_MAX_PARTS];
}

static cell *cell_at(const prover *c, int v, size_t j, size_t rank) {
    return cell_of(c, c->strip, value_at(c, v)->storage, rank) + j;
}

static bool *kv_at(const prover *c, size_t rank) {
    return &c->kv[c->strip * c->p + rank];
}

static bool fail(prover *c, const char *reason) {
    if (!c->reason) c->reason = reason;
    return false;
}

static bool covers(omni_range has, omni_range want) {
    return want.count == 0 || (has.start <= want.start && want.start + want.count <= has.start + has.count);
}

static omni_range whole(const omni_value *v, size_t j) {
    return (omni_range){0, v->part[j].width};
}

/* What a rank has of a value according to its storage form. */
static omni_range held(const prover *c, const omni_value *v, size_t j, size_t rank) {
    return v->compact ? omni_value_owned(v, j, c->p, rank) : whole(v, j);
}

static bool complete(prover *c, int v, size_t j, size_t rank, omni_range want) {
    const cell *x = cell_at(c, v, j, rank);
    if (want.count == 0) return true;
    if (x->value != v) return fail(c, "a value was overwritten before its last use");
    if (x->have != COMPLETE || !covers(x->range, want))
        return fail(c, "a rank uses features that it does not have");
    return true;
}

static bool complete_as_stored(prover *c, int v, size_t rank) {
    bool ok = true;
    for (size_t j = 0; j < value_at(c, v)->parts; j++)
        ok = ok && complete(c, v, j, rank, held(c, value_at(c, v), j, rank));
    return ok;
}

/* Another strip lies elsewhere in the buffer, if what is there has rows of the same size: else it is gone. */
static void spoil_others(prover *c, int v, size_t rank) {
    const omni_value *x = value_at(c, v);
    for (size_t k = 0; k < STRIPS; k++) {
        cell *there = cell_of(c, k, x->storage, rank);
        for (size_t j = 0; j < OMNI_MAX_PARTS && k != c->strip; j++) {
            const omni_value *y = there[j].value == OMNI_NO_VALUE ? x : value_at(c, there[j].value);
            if (y->rows != x->rows || omni_value_width(y, c->p, rank) != omni_value_width(x, c->p, rank))
                there[j] = (cell){.value = OMNI_NO_VALUE};
        }
    }
}

static void put(prover *c, int v, size_t j, size_t rank, have h, omni_range range) {
    *cell_at(c, v, j, rank) = (cell){v, h, range};
    if (c->step->strips) spoil_others(c, v, rank);
}

static void put_as_stored(prover *c, int v, size_t rank, have h) {
    for (size_t j = 0; j < value_at(c, v)->parts; j++)
        put(c, v, j, rank, h, held(c, value_at(c, v), j, rank));
}

/* Slices of all ranks cover part j once, in order. */
static bool slices_tile(prover *c, const omni_value *v, size_t j) {
    size_t next = 0;
    for (size_t i = 0; i < c->p; i++) {
        omni_range r = omni_value_owned(v, j, c->p, i);
        if (r.count && r.start != next) return fail(c, "slices overlap or leave a gap");
        next += r.count;
    }
    return next == v->part[j].width || fail(c, "slices do not cover the whole");
}

static bool all_slices(prover *c, int v, unsigned parts) {
    const omni_value *x = value_at(c, v);
    for (size_t j = 0; j < x->parts; j++) {
        if (!(parts >> j & 1)) continue;
        if (!slices_tile(c, x, j)) return false;
        for (size_t i = 0; i < c->p; i++)
            if (!complete(c, v, j, i, omni_value_owned(x, j, c->p, i))) return false;
    }
    return true;
}

/* Who takes part in the step. */
static size_t ranks_of(const prover *c) {
    return c->step->root_only ? 1 : c->p;
}

/* Everyone of the step has the value as it is stored: whole, or his slice. */
static bool everyone_has(prover *c, int v) {
    for (size_t r = 0; r < ranks_of(c); r++)
        if (!complete_as_stored(c, v, r)) return false;
    return true;
}

/* The ranks of the k-th piece of the bus, and the features of the tensor that it has. */
static omni_range piece_at(const prover *c, omni_cut cut, size_t k) {
    return cut == OMNI_CUT_HEAD ? omni_split(c->p, c->plan->mesh.heads, k) : (omni_range){0, c->p};
}

static omni_range whole_in(const omni_value *v, size_t j, size_t k) {
    return v->over == OMNI_CUT_HEAD ? (omni_range){k, 1} : whole(v, j);
}

/* --- compute ---------------------------------------------------------------------------------- */

static bool prove_matmul(prover *c) {
    const omni_step *s = c->step;
    const omni_weight *w = &c->plan->weight[s->weight];
    const omni_value *y = value_at(c, s->out);
    if (w->panel) return fail(c, "a matmul over weights that are dealt out");
    if (w->split_in && !slices_tile(c, &w->in, 0)) return false;
    for (size_t j = 0; j < y->parts; j++)
        if (w->out.part[j].paired != y->part[j].paired)
            return fail(c, "a matmul yields features in another order");
    for (size_t i = 0; i < c->p; i++) {
        omni_range in = w->split_in ? omni_value_owned(&w->in, 0, c->p, i) : whole(&w->in, 0);
        bool idle = w->split_out && omni_value_width(y, c->p, i) == 0;
        if (!idle && !complete(c, s->in[0], 0, i, in)) return false;
        for (size_t j = 0; j < y->parts; j++)
            put(c, s->out, j, i, w->split_in ? ADDEND : COMPLETE,
                w->split_out ? omni_value_owned(y, j, c->p, i) : whole(y, j));
    }
    return true;
}

/* Ops that turn each rank's columns into the same columns of another value. */
static bool prove_same_columns(prover *c) {
    const omni_step *s = c->step;
    if (!everyone_has(c, s->in[0])) return false;
    if (s->in[1] != OMNI_NO_VALUE && !everyone_has(c, s->in[1])) return false;
    for (size_t r = 0; r < ranks_of(c); r++) {
        for (size_t j = 0; j < value_at(c, s->out)->parts; j++)
            if (!covers(held(c, value_at(c, s->in[0]), j, r), held(c, value_at(c, s->out), j, r)))
                return fail(c, "a step yields columns whose input it does not have");
        put_as_stored(c, s->out, r, COMPLETE);
    }
    return true;
}

/* Rows in, a handful of numbers a row out: addends to be merged, or final when one rank sees the whole row.
 */
static bool prove_row_summary(prover *c) {
    const omni_step *s = c->step;
    bool lone = omni_plan_widest(c->plan) == 1;
    if (!(lone ? everyone_has(c, s->in[0]) : all_slices(c, s->in[0], 1))) return false;
    for (size_t r = 0; r < c->p; r++) put_as_stored(c, s->out, r, lone ? COMPLETE : ADDEND);
    return true;
}

static bool prove_root_only(prover *c) {
    const omni_step *s = c->step;
    if (!everyone_has(c, s->in[0])) return false;
    for (size_t r = 0; r < ranks_of(c); r++) put_as_stored(c, s->out, r, COMPLETE);
    return true;
}

/* Rotary pairs of queries and keys stand side by side where they are turned so, and nowhere else. */
static bool ordered_as_used(prover *c, const omni_value *qkv) {
    const omni_shape *shape = &c->plan->model->shape;
    bool by_pairs = c->plan->kv[c->step->layer] == OMNI_KV_SUBHEADS && shape->rope_theta > 0;
    for (size_t j = 0; j < qkv->parts; j++)
        if (qkv->part[j].width && qkv->part[j].paired != (by_pairs && j < 2 ? shape->head_dim : 0))
            return fail(c, "features do not stand in the order in which they are used");
    return true;
}

static bool prove_kv_append(prover *c) {
    const omni_step *s = c->step;
    if (c->plan->mesh.joined && c->plan->mesh.tokens && s->kind != OMNI_STEP_KV_SHARE)
        return fail(c, "keys and values of other groups' tokens are missing");
    if (!ordered_as_used(c, value_at(c, s->in[0]))) return false;
    for (size_t i = 0; i < c->p; i++) {
        omni_range want = omni_kv_features(c->plan->kv[s->layer], &c->plan->model->shape, c->p, i);
        if (!complete(c, s->in[0], 1, i, want) || !complete(c, s->in[0], 2, i, want)) return false;
        *kv_at(c, i) = true;
    }
    return true;
}

static bool prove_attention(prover *c) {
    const omni_step *s = c->step;
    const omni_shape *shape = &c->plan->model->shape;
    bool by_tokens = c->plan->kv[s->layer] == OMNI_KV_TOKENS;
    if (!ordered_as_used(c, value_at(c, s->in[0]))) return false;
    for (size_t i = 0; i < c->p; i++) {
        omni_range mine =
            by_tokens ? (omni_range){0, shape->heads * shape->head_dim} : held(c, value_at(c, s->out), 0, i);
        if (!complete(c, s->in[0], 0, i, mine)) return false;
        if (!*kv_at(c, i)) return fail(c, "attention before its keys and values");
        put_as_stored(c, s->out, i, by_tokens ? ADDEND : COMPLETE);
        *kv_at(c, i) = false;
    }
    return true;
}

/* Each rank scores its dims of its head: addends of that head's scores, one for each dim. */
static bool prove_scores(prover *c) {
    const omni_step *s = c->step;
    const omni_shape *shape = &c->plan->model->shape;
    size_t next = 0;
    if (c->plan->kv[s->layer] != OMNI_KV_SUBHEADS) return fail(c, "scores of keys that are not kept so");
    if (!ordered_as_used(c, value_at(c, s->in[0]))) return false;
    for (size_t i = 0; i < c->p; i++) {
        omni_subhead mine = omni_subhead_of(shape, c->p, i);
        omni_range q = {mine.head * shape->head_dim + mine.dims.start, mine.dims.count};
        if (q.count && q.start != next) return fail(c, "slices overlap or leave a gap");
        next += q.count;
        if (!complete(c, s->in[0], 0, i, q)) return false;
        if (!*kv_at(c, i)) return fail(c, "attention before its keys and values");
        put(c, s->out, 0, i, ADDEND, (omni_range){mine.head, 1});
    }
    return next == shape->heads * shape->head_dim || fail(c, "slices do not cover the whole");
}

static bool prove_weigh(prover *c) {
    const omni_step *s = c->step;
    const omni_shape *shape = &c->plan->model->shape;
    for (size_t i = 0; i < c->p; i++) {
        omni_subhead mine = omni_subhead_of(shape, c->p, i);
        omni_range y = {mine.head * shape->head_dim + mine.dims.start, mine.dims.count};
        omni_range stored = held(c, value_at(c, s->out), 0, i);
        if (!complete(c, s->in[0], 0, i, (omni_range){mine.head, 1})) return false;
        if (!*kv_at(c, i)) return fail(c, "attention before its keys and values");
        if (y.count != stored.count || (y.count && y.start != stored.start))
            return fail(c, "a step yields columns that are stored as others");
        put(c, s->out, 0, i, COMPLETE, y);
        *kv_at(c, i) = false;
    }
    return true;
}

static bool prove_residual(prover *c) {
    const omni_step *s = c->step;
    const omni_value *x = value_at(c, s->in[1]);
    bool folded = value_at(c, s->in[0])->at.kind == OMNI_PARTIAL;
    if (folded && !(x->compact ? all_slices(c, s->in[1], 1) : complete(c, s->in[1], 0, s->root, whole(x, 0))))
        return false;
    for (size_t r = 0; r < c->p; r++) {
        cell *branch = cell_at(c, s->in[0], 0, r);
        if (branch->value != s->in[0]) return fail(c, "a value was overwritten before its last use");
        if (branch->have != (folded ? ADDEND : COMPLETE))
            return fail(c, "a residual meets what it is not declared to meet");
        if (!folded && !complete(c, s->in[1], 0, r, branch->range)) return false;
        branch->value = s->out;
    }
    return true;
}

static bool prove_tap(prover *c) {
    int v = c->step->in[0];
    return value_at(c, v)->compact ? all_slices(c, v, 1) : everyone_has(c, v);
}

/* --- messages --------------------------------------------------------------------------------- */

static bool prove_host_in(prover *c) {
    for (size_t i = 0; i < c->p; i++) put_as_stored(c, c->step->out, i, COMPLETE);
    return true;
}

static bool prove_host_out(prover *c) {
    return complete_as_stored(c, c->step->in[0], c->step->root);
}

/* Addends of the same, all of those that there are. */
static bool all_addends(prover *c, size_t j, omni_range piece) {
    int v = c->step->in[0];
    omni_range what = cell_at(c, v, j, piece.start)->range;
    for (size_t i = 0; i < c->p; i++) {
        const cell *x = cell_at(c, v, j, i);
        bool inside = i >= piece.start && i < piece.start + piece.count;
        bool same = x->value == v && x->have == ADDEND && x->range.start == what.start &&
                    x->range.count == what.count;
        if (inside && x->value != v) return fail(c, "an addend was overwritten before its reduction");
        if (inside && x->have != ADDEND) return fail(c, "a reduction over something that is no addend");
        if (inside != same) return fail(c, "a reduction over other addends than those of one sum");
    }
    return true;
}

static bool prove_reduce(prover *c) {
    const omni_step *s = c->step;
    for (size_t j = 0; j < value_at(c, s->in[0])->parts; j++) {
        for (size_t k = 0; k < omni_mesh_pieces_in(&c->plan->mesh, s->cut); k++)
            if (!all_addends(c, j, piece_at(c, s->cut, k))) return false;
        for (size_t k = 0; k < omni_mesh_pieces_in(&c->plan->mesh, s->cut); k++) {
            omni_range piece = piece_at(c, s->cut, k), what = cell_at(c, s->in[0], j, piece.start)->range;
            for (size_t i = 0; i < piece.count; i++)
                put(c, s->out, j, piece.start + i, i == s->root ? COMPLETE : NOTHING, what);
        }
    }
    return true;
}

/* What one root has of part j is the whole; then everyone of its piece has it: all of it, or his slice. */
static bool prove_part_from_root(prover *c, size_t j, size_t k) {
    const omni_step *s = c->step;
    const omni_value *x = value_at(c, s->in[0]), *y = value_at(c, s->out);
    omni_range piece = piece_at(c, s->cut, k), what = whole_in(x, j, k);
    if (!complete(c, s->in[0], j, piece.start + s->root, what)) return false;
    for (size_t i = piece.start; i < piece.start + piece.count; i++)
        put(c, s->out, j, i, COMPLETE, y->compact ? held(c, y, j, i) : what);
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
    if (!all_slices(c, s->in[0], s->parts)) return false;
    for (size_t j = 0; j < value_at(c, s->out)->parts; j++) {
        for (size_t i = 0; (s->parts >> j & 1) && i < c->p; i++) {
            bool gets = i == s->root || s->kind == OMNI_STEP_ALL_GATHER;
            put(c, s->out, j, i, gets ? COMPLETE : NOTHING, whole(value_at(c, s->out), j));
        }
    }
    return true;
}

static bool prove_hand_off(prover *c) {
    return complete_as_stored(c, c->step->in[0], c->step->root);
}

/* What the ranks keep covers all outputs once, in order, in whole panels. */
static bool dealt_tile(prover *c, const omni_weight *w, size_t width) {
    size_t next = 0;
    for (size_t r = 0; r < c->plan->mesh.used; r++) {
        omni_range dealt = omni_weight_dealt(&c->plan->mesh, w, r);
        if (dealt.count && (dealt.start != next || next % w->panel))
            return fail(c, "panels overlap or leave a gap");
        next += dealt.count;
    }
    return next == width || fail(c, "panels do not cover the whole");
}

/* Everyone has his rows of the whole input, and then of the whole output. */
static bool prove_stream(prover *c) {
    const omni_step *s = c->step;
    const omni_weight *w = &c->plan->weight[s->weight];
    const omni_value *y = value_at(c, s->out);
    if (!w->panel || w->split_in || w->split_out)
        return fail(c, "broadcasts of weights that are not dealt out");
    if (y->storage == value_at(c, s->in[0])->storage) return fail(c, "a product into its own input");
    if (!dealt_tile(c, w, omni_value_width(y, c->p, 0))) return false;
    for (size_t i = 0; i < c->p; i++) {
        if (!complete(c, s->in[0], 0, i, whole(&w->in, 0))) return false;
        put_as_stored(c, s->out, i, COMPLETE);
    }
    return true;
}

/* Everyone appends his own tokens' and, as they come, everyone else's: the same steps on whole rows. */
static bool prove_kv_share(prover *c) {
    const omni_step *s = c->step;
    const omni_value *out = value_at(c, s->out);
    bool whole_rows = c->plan->mesh.tokens && c->plan->kv[s->layer] == OMNI_KV_WHOLE && s->parts == 6;
    if (!whole_rows) return fail(c, "keys and values are sent where not everyone keeps them");
    for (size_t j = 1; j < out->parts; j++)
        if (out->part[j].width != value_at(c, s->in[0])->part[j].width)
            return fail(c, "keys and values do not fit what they are received into");
    if (!prove_kv_append(c)) return false;
    for (size_t i = 0; i < c->p; i++) put_as_stored(c, s->out, i, NOTHING);
    return true;
}

/* Messages for all groups at once: every group is there when they come, for there are no stages, and every PE needs
 * them, for each is a group. */
static bool prove_joined(prover *c) {
    const omni_mesh *mesh = &c->plan->mesh;
    if (mesh->joined && mesh->stages == 1 && mesh->groups == mesh->used) return true;
    return fail(c, "a message for all groups where they do not go in step");
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
            return fail(c, "a message yields features in another order");
    return true;
}

/* One writer per piece, who is in it, as are all who take part; chunks are copied out, so one slot is pinned.
 */
static bool prove_route(prover *c) {
    const omni_step *s = c->step;
    bool boundary = s->kind == OMNI_STEP_HAND_OFF;
    bool by_heads = s->cut == OMNI_CUT_HEAD && c->plan->mesh.heads &&
                    (s->kind == OMNI_STEP_REDUCE || s->kind == OMNI_STEP_BROADCAST);
    if (s->cut == OMNI_CUT_ALL && !prove_joined(c)) return false;
    if ((!by_heads && s->cut != cut_of[s->kind]) || s->stage + boundary >= c->plan->mesh.stages)
        return fail(c, "a route over a piece of the bus that does not exist");
    for (size_t k = 0; k < omni_mesh_pieces_in(&c->plan->mesh, s->cut); k++)
        if (s->root >= piece_at(c, s->cut, k).count) return fail(c, "a writer outside its piece");
    if (!keeps_order(c)) return false;
    return c->ring_slots >= 2 || fail(c, "the ring cannot hold what is pinned");
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
    [OMNI_STEP_HOST_IN] = prove_host_in,
    [OMNI_STEP_HOST_OUT] = prove_host_out,
    [OMNI_STEP_BROADCAST] = prove_from_root,
    [OMNI_STEP_REDUCE] = prove_reduce,
    [OMNI_STEP_GATHER] = prove_from_slices,
    [OMNI_STEP_ALL_GATHER] = prove_from_slices,
    [OMNI_STEP_SCATTER] = prove_from_root,
    [OMNI_STEP_COLLECT] = prove_from_slices,
    [OMNI_STEP_HAND_OFF] = prove_hand_off,
    [OMNI_STEP_STREAM] = prove_stream,
    [OMNI_STEP_KV_SHARE] = prove_kv_share,
};

static omni_status refuse(const prover *c, omni_error *err) {
    return omni_error_set(err, OMNI_RUN_FAILED, "plan '%s' on %zu PEs: step %zu (%s, layer %d): %s",
                          c->plan->spec.name, c->plan->mesh.pes, (size_t)(c->step - c->plan->step),
                          omni_step_name(c->step->kind), c->step->layer, c->reason);
}

/* For these strips. */
static omni_status prove_step(prover *c, size_t i, size_t stage, omni_range strips, omni_error *err) {
    c->step = &c->plan->step[i];
    bool ok = c->step->stage == stage || fail(c, "a step of another stage");
    ok = ok && (!omni_step_is_message(c->step) || prove_route(c));
    for (size_t k = strips.start; ok && k < strips.start + strips.count; k++) {
        c->strip = k;
        ok = proofs[c->step->kind](c);
    }
    if (ok) return OMNI_OK;
    return refuse(c, err);
}

static const omni_range both = {0, STRIPS};

/* Strips of features: the product reads all of its input for each, so nobody writes there meanwhile. */
static bool prove_features(prover *c, size_t first) {
    const omni_step *product = &c->plan->step[first];
    if (product->kind != OMNI_STEP_MATMUL || !overlap_by_features(c->plan, c->step))
        return fail(c, "strips of features that know of each other");
    return value_at(c, c->step->out)->storage != value_at(c, product->in[0])->storage ||
           fail(c, "a product's input is written before its last strip");
}

/* Steps that are done strip by strip: each knows its rows only, all cut alike, computing stands first. */
static bool prove_train(prover *c, size_t first, size_t end) {
    size_t count = c->plan->step[first].train;
    bool message = false;
    c->step = &c->plan->step[first];
    if (count == 0 || count > end - first) return fail(c, "strips of a step that is in no train");
    for (size_t i = first; i < first + count; i++) {
        c->step = &c->plan->step[i];
        if (c->step->strips != c->plan->step[first].strips || (i > first && c->step->train) ||
            c->step->features != c->plan->step[first].features)
            return fail(c, "a strip is missing");
        if (message && !omni_step_is_message(c->step)) return fail(c, "a strip's messages are waited for");
        message = omni_step_is_message(c->step);
        if (!overlap_possible(c->plan, c->step)) return fail(c, "strips of rows that know of each other");
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
    for (size_t k = 0; k < STRIPS; k++)
        for (*i = first; *i < last && !st; ++*i) st = prove_step(c, *i, stage, (omni_range){k, 1}, err);
    return st;
}

/* A stage of p ranks: at its beginning the root has what was handed to it, at its end what it hands on. */
static omni_status prove_stage(prover *c, size_t stage, omni_error *err) {
    const omni_plan *plan = c->plan;
    omni_range block = plan->block[stage];
    size_t between = plan->step_count - (plan->mesh.stages - 1) + stage; /* the hand-off to the next */
    omni_status st = OMNI_OK;
    for (size_t i = 0; i < STRIPS * plan->storage_count * c->p * OMNI_MAX_PARTS; i++)
        c->cells[i] = (cell){.value = OMNI_NO_VALUE};
    c->step = &plan->step[block.start];
    for (c->strip = 0; stage > 0 && c->strip < STRIPS; c->strip++)
        put_as_stored(c, plan->step[between - 1].out, 0, COMPLETE);
    for (size_t i = block.start, end = block.start + block.count; i < end && !st;)
        st = prove_next(c, &i, stage, end, err);
    return !st && stage + 1 < plan->mesh.stages ? prove_step(c, between, stage, both, err) : st;
}

/* Groups execute the same steps: those with stages of the same sizes need one proof. There are at most two sizes of
 * a group, the first one's and the last one's. */
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
    c.cells = omni_size_mul(STRIPS * plan->storage_count * OMNI_MAX_PARTS, most, &cells)
                  ? calloc(cells + 1, sizeof *c.cells)
                  : NULL;
    c.kv = calloc(STRIPS * most, sizeof *c.kv);
    if (!c.cells || !c.kv)
        st = omni_error_set(err, OMNI_RUN_FAILED, "no memory to prove plan '%s'", plan->spec.name);
    if (!st) st = prove_group(&c, 0, err);
    if (!st && last > 0) st = prove_group(&c, last, err);
    free(c.cells);
    free(c.kv);
    return st;
}
