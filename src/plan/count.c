/* count.c: what a plan moves, from its steps alone. A real run's counters must come to the same. */
#include "plan/plan.h"

bool omni_step_is_message(const omni_step *step) {
    return step->kind >= OMNI_STEP_HOST_IN;
}

const char *const omni_step_names[OMNI_STEP_KINDS] = {
    [OMNI_STEP_MATMUL] = "matmul",
    [OMNI_STEP_NORM] = "norm",
    [OMNI_STEP_NORM_STATS] = "norm statistics",
    [OMNI_STEP_NORM_FINISH] = "norm moments",
    [OMNI_STEP_NORM_APPLY] = "norm apply",
    [OMNI_STEP_KV_APPEND] = "kv append",
    [OMNI_STEP_ATTENTION] = "attention",
    [OMNI_STEP_ATTENTION_FINISH] = "attention finish",
    [OMNI_STEP_SCORES] = "scores",
    [OMNI_STEP_WEIGH] = "softmax x values",
    [OMNI_STEP_ACTIVATION] = "activation",
    [OMNI_STEP_RESIDUAL] = "residual",
    [OMNI_STEP_ROWS] = "rows",
    [OMNI_STEP_ARGMAX] = "arg-max",
    [OMNI_STEP_TAP] = "tap",
    [OMNI_STEP_HOST_IN] = "host broadcast",
    [OMNI_STEP_HOST_OUT] = "host result",
    [OMNI_STEP_BROADCAST] = "broadcast",
    [OMNI_STEP_REDUCE] = "tree reduction",
    [OMNI_STEP_GATHER] = "tree gather",
    [OMNI_STEP_ALL_GATHER] = "bus all-gather",
    [OMNI_STEP_SCATTER] = "scatter",
    [OMNI_STEP_COLLECT] = "gather on the bus",
    [OMNI_STEP_HAND_OFF] = "hand-off",
    [OMNI_STEP_STREAM] = "weight broadcasts",
    [OMNI_STEP_KV_SHARE] = "k, v broadcasts",
};

typedef struct traffic {
    const omni_plan *plan;
    const omni_step *step;
    const omni_value *in, *out;
    size_t p;
    omni_extent extent;
} traffic;

/* Bytes of the moving parts in a row: whole, or index i's slice of them. */
static uint64_t row_bytes(const traffic *t, const omni_value *v, const size_t *index) {
    uint64_t bytes = 0;
    for (size_t j = 0; j < v->parts; j++) {
        uint64_t each = omni_dtype_bytes(omni_part_wire(t->plan, t->step, v, j, t->p));
        if (t->step->parts >> j & 1)
            bytes += each * (index ? omni_value_owned(v, j, t->p, *index).count
                                   : omni_step_features(t->step, t->extent, v->part[j].width).count);
    }
    return bytes;
}

static uint64_t whole_bytes(const traffic *t) {
    return row_bytes(t, t->in, NULL) * omni_step_rows(t->step, t->in->rows, t->extent, t->p, 0).count;
}

/* Index i's slice, of features or of tokens. */
static uint64_t slice_bytes(const traffic *t, const omni_value *cut, size_t i) {
    bool tokens = cut->rows == OMNI_ROWS_TOKEN_SHARE;
    return row_bytes(t, cut, tokens ? NULL : &i) *
           omni_step_rows(t->step, cut->rows, t->extent, t->p, i).count;
}

static void count_gather(const traffic *t, omni_counters *c) {
    c->tree_gathers = 1;
    c->tree_levels = omni_ceil_log2(t->p);
    for (size_t i = 0; i < t->p; i++)
        c->tree_bytes += (uint64_t)__builtin_popcountll(i) * slice_bytes(t, t->in, i);
}

static void count_all_gather(const traffic *t, omni_counters *c) {
    for (size_t i = 0; i < t->p; i++) {
        uint64_t bytes = slice_bytes(t, t->in, i);
        c->broadcasts += bytes != 0;
        c->broadcast_bytes += bytes;
    }
}

static void count_addressed(const traffic *t, const omni_value *cut, uint64_t *kind, omni_counters *c) {
    for (size_t i = 1; i < t->p; i++) {
        uint64_t bytes = slice_bytes(t, cut, i);
        c->addressed_messages += bytes != 0;
        *kind += bytes != 0;
        c->addressed_bytes += bytes;
    }
}

/* In one piece, for one part of the pass. */
static void count_piece(const omni_plan *plan, const omni_step *s, size_t p, omni_extent extent,
                        omni_counters *c) {
    *c = (omni_counters){0};
    traffic t = {.plan = plan, .step = s, .p = p, .extent = extent};
    if (s->in[0] != OMNI_NO_VALUE) t.in = &plan->value[s->in[0]];
    if (s->out != OMNI_NO_VALUE) t.out = &plan->value[s->out];
    const omni_value *moves = t.in ? t.in : t.out;
    bool host = s->kind == OMNI_STEP_HOST_IN || s->kind == OMNI_STEP_HOST_OUT;
    bool alone = p == 1 && !host;
    if (alone || !moves || omni_step_rows(s, moves->rows, extent, p, 0).count == 0)
        return;                                      /* nothing is sent */
    if (s->features && whole_bytes(&t) == 0) return; /* fewer panels than strips */
    switch (s->kind) {
    case OMNI_STEP_HOST_IN:
        c->host_messages = 1;
        c->host_bytes = row_bytes(&t, t.out, NULL) * extent.tokens;
        break;
    case OMNI_STEP_HOST_OUT:
        c->host_messages = 1;
        c->host_bytes = s->op->kind == OMNI_OP_ARGMAX
                            ? sizeof(int32_t) * omni_rows_count(t.in->rows, extent, t.p, 0)
                            : whole_bytes(&t);
        break;
    case OMNI_STEP_BROADCAST:
    case OMNI_STEP_KV_SHARE: /* one group's */
        c->broadcasts = 1;
        c->broadcast_bytes = whole_bytes(&t);
        break;
    case OMNI_STEP_REDUCE:
        c->reductions = 1;
        c->tree_levels = omni_ceil_log2(t.p);
        c->tree_bytes = (t.p - 1) * whole_bytes(&t);
        break;
    case OMNI_STEP_GATHER:
        count_gather(&t, c);
        break;
    case OMNI_STEP_ALL_GATHER:
        count_all_gather(&t, c);
        break;
    case OMNI_STEP_SCATTER:
        count_addressed(&t, t.out, &c->scatter_messages, c);
        break;
    case OMNI_STEP_COLLECT:
        count_addressed(&t, t.in, &c->gather_messages, c);
        break;
    case OMNI_STEP_HAND_OFF:
        c->addressed_messages = 1;
        c->addressed_bytes = whole_bytes(&t);
        break;
    default:
        break;
    }
}

/* Each rank's share of a weight, once a pass for all groups. */
static void count_stream(const omni_plan *plan, const omni_step *s, omni_counters *sum) {
    for (size_t r = 0; r < plan->mesh.used; r++) {
        size_t bytes = omni_weight_dealt_bytes(&plan->mesh, &plan->weight[s->weight], r);
        sum->broadcasts += bytes != 0;
        sum->broadcast_bytes += bytes;
    }
}

/* In all pieces of a group. */
static void count_strip(const omni_plan *plan, const omni_step *s, size_t group, omni_extent extent,
                        omni_counters *sum) {
    for (size_t k = 0; k < omni_mesh_pieces_in(&plan->mesh, s->cut); k++) {
        omni_counters c;
        count_piece(plan, s, omni_mesh_piece(&plan->mesh, s->cut, group, s->stage, k).count, extent, &c);
        omni_counters_add(sum, &c);
    }
}

static void count_step(const omni_plan *plan, const omni_step *s, size_t group, omni_extent extent,
                       omni_counters *sum) {
    for (size_t k = 0; k < (s->strips ? s->strips : 1); k++) {
        omni_step strip = omni_step_strip(s, k);
        count_strip(plan, &strip, group, extent, sum);
    }
}

/* Steps [first, first + count), over all groups and parts. */
static void count_steps(const omni_plan *plan, omni_range steps, omni_extent extent, omni_counters *sum) {
    *sum = (omni_counters){0};
    for (size_t i = steps.start; i < steps.start + steps.count && extent.tokens; i++)
        if (plan->step[i].kind == OMNI_STEP_STREAM) count_stream(plan, &plan->step[i], sum);
    for (size_t g = 0; g < plan->mesh.groups; g++) {
        omni_parts it = omni_parts_begin(plan, extent, g);
        omni_part part;
        while (omni_parts_next(&it, &part)) {
            for (size_t i = steps.start; i < steps.start + steps.count; i++) {
                const omni_step *s = &plan->step[i];
                if (omni_step_is_message(s)) count_step(plan, s, g, part.extent, sum);
            }
        }
    }
}

void omni_step_count(const omni_plan *plan, const omni_step *s, omni_extent extent, omni_counters *out) {
    count_steps(plan, (omni_range){(size_t)(s - plan->step), 1}, extent, out);
}

void omni_plan_count(const omni_plan *plan, omni_extent extent, omni_counters *out) {
    count_steps(plan, (omni_range){0, plan->step_count}, extent, out);
}
