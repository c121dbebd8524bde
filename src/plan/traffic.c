/* traffic.c: whose message is it?
 *
 *   ... -> compute step of op A -> value -> [message] -> [message] -> compute step of op B
 *          the maker                                                  the reader
 *
 * A message belongs to the part of its maker's op. A reduction makes the maker's output whole, and so does
 * all that its own part reads again (FFN: up -> activation -> down); the rest carries the output over to
 * another part. Addends that a residual was folded into are still those of the projection before it; the sum
 * that the reduction yields is the residual's.
 */
#include "plan/claims.h"

static const char *const names[TRAFFIC_PARTS] = {
    [PART_QKV] = "qkv",
    [PART_ATTN] = "attn",
    [PART_O] = "o",
    [PART_FFN] = "ffn",
    [PART_NORMS] = "norms",
    [PART_RESIDUALS] = "residuals",
    [PART_INPUT] = "input",
    [PART_HAND_OFF] = "hand-off",
    [PART_GROUPS] = "between groups",
    [PART_END] = "behind the layers",
};

const char *traffic_part_name(traffic_part part) {
    return names[part];
}

/* --- counting --------------------------------------------------------------------------------- */

static omni_extent one_sequence(omni_extent all, size_t *first, size_t *count, const omni_plan *plan) {
    if (all.sequences == 0) return (omni_extent){0};
    *first = all.first[0];
    *count = all.counts[0];
    omni_extent one = {.tokens = *count,
                       .sequences = 1,
                       .marks = all.marks / all.sequences,
                       .first = first,
                       .counts = count};
    omni_parts it = omni_parts_begin(plan, one, 0);
    omni_part part;
    if (omni_parts_next(&it, &part)) one.tokens = *count = part.extent.tokens; /* its first chunk */
    return one;
}

void passes_set(passes *p, const omni_plan *plan, omni_extent prefill, omni_extent decode) {
    *p = (passes){.plan = plan, .all = {[IN_PREFILL] = prefill, [IN_DECODE] = decode}};
    for (size_t i = 0; i < PHASES; i++)
        p->one[i] = one_sequence(p->all[i], &p->first[i], &p->counts[i], plan);
}

void moves_add(moves *sum, const moves *m) {
    for (size_t i = 0; i < PHASES; i++) {
        omni_counters_add(&sum->all[i], &m->all[i]);
        omni_counters_add(&sum->one[i], &m->one[i]);
    }
}

static moves count(const passes *p, const omni_step *s) {
    moves m = {0};
    for (size_t i = 0; i < PHASES; i++) {
        if (p->all[i].sequences == 0) continue;
        omni_step_count(p->plan, s, p->all[i], &m.all[i]);
        omni_step_count(p->plan, s, p->one[i], &m.one[i]);
    }
    return m;
}

/* --- makers ----------------------------------------------------------------------------------- */

/* The step that yields a value; hand-offs stand behind all others. NULL: none. */
static const omni_step *yields(const omni_plan *plan, int value, size_t before) {
    for (size_t i = before; i-- > 0;)
        if (plan->step[i].out == value) return &plan->step[i];
    for (size_t i = before; i < plan->step_count; i++)
        if (plan->step[i].out == value) return &plan->step[i];
    return NULL;
}

/* Back over messages to the compute step, hand-off or input that the value came from. */
static const omni_step *maker(const omni_plan *plan, int value, size_t before) {
    const omni_step *s = value == OMNI_NO_VALUE ? NULL : yields(plan, value, before);
    while (s && omni_step_is_message(s) && s->kind != OMNI_STEP_HAND_OFF && s->kind != OMNI_STEP_HOST_IN)
        s = yields(plan, s->in[0], (size_t)(s - plan->step));
    return s;
}

static traffic_part part_of_op(const omni_op *op) {
    static const traffic_part of_role[] = {[OMNI_ROLE_QKV] = PART_QKV,
                                           [OMNI_ROLE_O] = PART_O,
                                           [OMNI_ROLE_UP] = PART_FFN,
                                           [OMNI_ROLE_DOWN] = PART_FFN};
    if (op && op->kind == OMNI_OP_ATTENTION) return PART_ATTN;
    if (op && op->kind == OMNI_OP_ACTIVATION) return PART_FFN;
    if (op && op->kind == OMNI_OP_PROJECTION && op->role != OMNI_ROLE_NONE && op->role != OMNI_ROLE_HEAD)
        return of_role[op->role];
    return PART_INPUT;
}

static bool is_statistics(const omni_step *s) {
    return s && (s->kind == OMNI_STEP_NORM_STATS || s->kind == OMNI_STEP_NORM_FINISH);
}

/* Some piece that it moves in reaches beyond its group. */
static bool leaves_group(const omni_plan *plan, const omni_step *s) {
    const omni_mesh *mesh = &plan->mesh;
    for (size_t g = 0; g < mesh->groups; g++) {
        omni_range piece = omni_mesh_piece(mesh, s->cut, g, s->stage, 0);
        size_t first = omni_mesh_ranks(mesh, g, 0).start;
        omni_range last = omni_mesh_ranks(mesh, g, mesh->stages - 1);
        if (piece.start < first || piece.start + piece.count > last.start + last.count) return true;
    }
    return false;
}

static traffic_part part_of(const omni_plan *plan, const omni_step *s) {
    if (leaves_group(plan, s)) return PART_GROUPS;
    if (s->kind == OMNI_STEP_HAND_OFF) return PART_HAND_OFF;
    if (s->layer == OMNI_FINAL_LAYER) return PART_END;
    if (s->in[0] == OMNI_NO_VALUE) return part_of_op(s->op);
    const omni_step *from = maker(plan, s->in[0], (size_t)(s - plan->step));
    if (is_statistics(from)) return PART_NORMS;
    if (!from || from->kind != OMNI_STEP_RESIDUAL) return part_of_op(from ? from->op : NULL);
    if (s->kind != OMNI_STEP_REDUCE) return s->op->kind == OMNI_OP_RESIDUAL ? PART_RESIDUALS : PART_INPUT;
    const omni_step *branch = maker(plan, from->in[0], (size_t)(from - plan->step));
    return part_of_op(branch ? branch->op : NULL);
}

/* --- adding up -------------------------------------------------------------------------------- */

traffic traffic_empty(size_t ranks) {
    traffic t = {.p = ranks, .out = OMNI_NO_VALUE};
    for (size_t i = 0; i < TRAFFIC_PARTS; i++) t.part[i].from = t.part[i].to = OMNI_NO_VALUE;
    return t;
}

static void add_message(traffic *t, const passes *p, const omni_step *s) {
    traffic_part part = part_of(p->plan, s);
    moves m = count(p, s);
    bool branch = part <= PART_FFN;
    bool over = branch && s->kind != OMNI_STEP_REDUCE && part_of_op(s->op) != part;
    moves_add(over ? &t->part[part].over : &t->part[part].own, &m);
    if (over) t->part[part].reader = s->op;
    if (t->part[part].from == OMNI_NO_VALUE) t->part[part].from = s->in[0];
    t->part[part].to = s->out;
    moves_add(&t->kind[s->kind].of, &m);
    const omni_counters *one = &m.one[IN_PREFILL];
    if (one->broadcasts + one->tree_levels + one->addressed_messages == 0) return;
    if (s->cut == OMNI_CUT_ALL) { /* everyone's in turn */
        t->kind[s->kind].steps += one->broadcasts;
        return;
    }
    for (size_t k = 0; k < omni_mesh_pieces_in(&p->plan->mesh, s->cut); k++) {
        size_t ranks = omni_mesh_piece(&p->plan->mesh, s->cut, 0, s->stage, k).count;
        if (ranks == 1) continue;
        t->kind[s->kind].steps++;
        t->kind[s->kind].others += ranks - 1;
        t->kind[s->kind].levels += omni_ceil_log2(ranks);
    }
}

void traffic_add(traffic *t, const passes *p, size_t first, size_t count) {
    for (size_t i = first; i < first + count; i++) {
        const omni_step *s = &p->plan->step[i];
        if (s->kind == OMNI_STEP_RESIDUAL) t->out = s->out;
        if (omni_step_is_message(s) && s->kind != OMNI_STEP_HOST_IN && s->kind != OMNI_STEP_HOST_OUT)
            add_message(t, p, s);
    }
}
