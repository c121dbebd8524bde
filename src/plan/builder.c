/* builder.c: from a model's ops and a plan's methods to values and steps.
 *
 *   op under its method  --takes-->  transform of the input, if it is not there yet  --> messages
 *                        --yields->  a value with a placement                        --> compute
 *
 * The ops are walked once, in order; reg[] holds the value in each virtual register. Nothing is wired by
 * hand: what must move follows from what an op takes and what its input is (placement.c). Two rules look
 * ahead: a norm takes what the op behind it takes, and a residual whose branch is PARTIAL is folded into the
 * addends and completed at once for whoever reads the stream next.
 *
 * One rank on the axis is the plain case: everything is REPLICATED there and no transform finds anything to
 * do. Where inner sizes differ, the steps are those of the widest; a lone rank meets messages to itself.
 *
 * Groups all execute the same steps. A stage is a block of steps; the residual stream leaves it at its root
 * and enters the next at that one's root, where the algebra takes it on.
 */
#include <stdlib.h>
#include <string.h>

#include "plan/builder.h"

/* --- the walk over the ops -------------------------------------------------------------------- */

static size_t op_count(const builder *b) {
    return b->model->shape.layers * b->model->layer_op_count + b->model->final_op_count;
}

static const omni_op *op_at(const builder *b, size_t at, int *layer) {
    size_t per_layer = b->model->layer_op_count, in_layers = b->model->shape.layers * per_layer;
    *layer = at < in_layers ? (int)(at / per_layer) : OMNI_FINAL_LAYER;
    return at < in_layers ? &b->model->layer_ops[at % per_layer] : &b->model->final_ops[at - in_layers];
}

/* What is behind the layers follows the last layer's choices. */
const omni_methods *methods_of(const builder *b, int layer) {
    const omni_plan_spec *spec = &b->plan->spec;
    size_t l = layer == OMNI_FINAL_LAYER ? b->model->shape.layers - 1 : (size_t)layer;
    return &spec->layer[l % spec->cycle];
}

bool cut_along_in(const builder *b, const omni_op *op, int layer) {
    static const struct {
        omni_key key;
        size_t matrix;
    } governs[] = {[OMNI_ROLE_QKV] = {OMNI_KEY_QKV, 0},
                   [OMNI_ROLE_O] = {OMNI_KEY_O, 0},
                   [OMNI_ROLE_UP] = {OMNI_KEY_FFN, 0},
                   [OMNI_ROLE_DOWN] = {OMNI_KEY_FFN, 1}};
    if (op->role == OMNI_ROLE_HEAD || op->role == OMNI_ROLE_NONE) return false;
    size_t count;
    const omni_method *table = omni_method_table(governs[op->role].key, &count);
    return table[methods_of(b, layer)->choice[governs[op->role].key]].split_in[governs[op->role].matrix];
}

size_t attention_method(const builder *b, int layer) {
    return b->p > 1 ? methods_of(b, layer)->choice[OMNI_KEY_ATTN] : METHOD_ATTN_HEADS;
}

omni_placement taken_by(const builder *b, const omni_op *op, int layer) {
    return cut_along_in(b, op, layer) ? SHARDED(FEATURE) : REPLICATED;
}

/* The first op of the next stage, or what is behind the last op. */
static size_t stage_end(const builder *b) {
    if (b->stage + 1 == b->plan->mesh.stages) return op_count(b);
    return omni_split(b->model->shape.layers, b->plan->mesh.stages, b->stage + 1).start *
           b->model->layer_op_count;
}

/* What the next reader of a register, behind place `at`, takes. A hand-off takes the root's. */
omni_placement needed_after(const builder *b, size_t at, int reg) {
    for (size_t i = at + 1; i < op_count(b); i++) {
        int layer;
        const omni_op *op = op_at(b, i, &layer);
        if (i == stage_end(b)) return ROOT;
        if (op->in != reg) continue;
        if (op->kind == OMNI_OP_PROJECTION) return taken_by(b, op, layer);
        if (op->kind == OMNI_OP_NORM) return needed_after(b, i, op->out);
        break;
    }
    return REPLICATED;
}

/* --- growing the plan ------------------------------------------------------------------------- */

static bool grow(builder *b, void **array, size_t *capacity, size_t count, size_t bytes) {
    if (count < *capacity) return true;
    size_t wanted = *capacity ? 2 * *capacity : 64, total;
    void *bigger = omni_size_mul(wanted, bytes, &total) ? realloc(*array, total) : NULL;
    if (!bigger) {
        b->out_of_memory = true;
        return false;
    }
    *array = bigger;
    *capacity = wanted;
    return true;
}

omni_value *value_of(const builder *b, int v) {
    return &b->plan->value[v];
}

static int add_value(builder *b, omni_value v) {
    if (!grow(b, (void **)&b->plan->value, &b->values, b->plan->value_count, sizeof v)) return 0;
    if (b->p == 1) v.at = REPLICATED;
    if (b->p == 1) v.compact = false;
    b->plan->value[b->plan->value_count] = v;
    return (int)b->plan->value_count++;
}

/* A tensor of its own. */
int new_value(builder *b, omni_value v) {
    v.storage = b->groups++;
    return add_value(b, v);
}

/* The same buffers under another placement: updated in place. */
int same_storage(builder *b, int from, omni_placement at) {
    omni_value v = *value_of(b, from);
    v.at = at;
    return add_value(b, v);
}

omni_step *add_step(builder *b, omni_step_kind kind, int in, int out) {
    static omni_step lost; /* where writes go when memory ran out; the plan is then thrown away */
    if (!grow(b, (void **)&b->plan->step, &b->steps, b->plan->step_count, sizeof(omni_step))) return &lost;
    omni_step *s = &b->plan->step[b->plan->step_count++];
    *s = (omni_step){.kind = kind,
                     .number = b->plan->step_count - 1,
                     .layer = b->layer,
                     .op = b->op,
                     .stage = b->stage,
                     .in = {in, OMNI_NO_VALUE},
                     .out = out,
                     .weight = OMNI_NO_WEIGHT,
                     .root = ROOT_RANK,
                     .parts = ALL_PARTS};
    return s;
}

/* Runs where the value is: at the root alone when it is ROOT. */
omni_step *add_step_where(builder *b, omni_step_kind kind, int in, int out) {
    omni_step *s = add_step(b, kind, in, out);
    s->root_only = value_of(b, in)->at.kind == OMNI_ROOT;
    return s;
}

static void cut_part(omni_value *v, size_t j, size_t units, size_t unit, size_t share) {
    v->part[j].units = units;
    v->part[j].unit = unit;
    v->part[j].share = share;
    v->part[j].runs = v->part[j].run_share = 1;
}

/* Features one by one, as even as can be. */
void cut_features(omni_value *v) {
    for (size_t j = 0; j < v->parts; j++) cut_part(v, j, v->part[j].width, 1, 1);
}

/* Whole heads: query heads are split, keys and values follow them. */
void cut_heads(const builder *b, omni_value *v) {
    const omni_shape *s = &b->model->shape;
    for (size_t j = 0; j < v->parts; j++) {
        if (v->part[j].width == 0)
            cut_part(v, j, 0, 1, 1);
        else
            cut_part(v, j, s->heads, s->head_dim, j == 0 ? 1 : s->heads / s->kv_heads);
    }
}

/* Query heads over the ranks, each one's dims over its ranks; keys and values follow them. */
void cut_subheads(const builder *b, omni_value *v) {
    const omni_shape *s = &b->model->shape;
    size_t unit = omni_subhead_unit(s);
    for (size_t j = 0; j < v->parts; j++) {
        if (v->part[j].width == 0) continue;
        cut_part(v, j, s->head_dim / unit, unit, 1);
        v->part[j].runs = s->heads;
        v->part[j].run_share = j == 0 ? 1 : s->heads / s->kv_heads;
    }
}

omni_value one_part(const char *name, omni_rows rows, omni_placement at, size_t width) {
    omni_value v = {.name = name, .rows = rows, .at = at, .parts = 1, .compact = at.kind == OMNI_SHARDED};
    v.part[0].width = width;
    cut_features(&v);
    return v;
}

size_t add_weight(builder *b, const omni_value *in, const omni_value *out, bool split_in, bool split_out) {
    if (!grow(b, (void **)&b->plan->weight, &b->weights, b->plan->weight_count, sizeof(omni_weight)))
        return 0;
    b->plan->weight[b->plan->weight_count] = (omni_weight){.op = b->op,
                                                           .layer = b->layer < 0 ? 0 : (size_t)b->layer,
                                                           .stage = b->stage,
                                                           .in = *in,
                                                           .out = *out,
                                                           .split_in = split_in,
                                                           .split_out = split_out};
    return b->plan->weight_count++;
}

/* --- transforms ------------------------------------------------------------------------------- */

/* What a message that fills new buffers leaves there: the parts that moved. */
static int moved_value(builder *b, int from, unsigned parts, omni_step_kind kind, omni_placement to) {
    omni_value v = *value_of(b, from);
    for (size_t j = 0; j < v.parts; j++)
        if (!(parts >> j & 1)) v.part[j].width = 0;
    cut_features(&v);
    v.compact = false;
    v.at = kind == OMNI_STEP_ALL_GATHER ? REPLICATED : ROOT;
    if (kind == OMNI_STEP_SCATTER) {
        v.at = to;
        v.compact = to.dim != OMNI_DIM_TOKEN;
        if (to.dim == OMNI_DIM_TOKEN) v.rows = OMNI_ROWS_TOKEN_SHARE;
        if (to.dim == OMNI_DIM_HEAD) cut_heads(b, &v);
        if (to.dim == OMNI_DIM_SUBHEAD) cut_subheads(b, &v);
    }
    return new_value(b, v);
}

static int add_message(builder *b, omni_step_kind kind, int from, unsigned parts, omni_placement to) {
    int out;
    if (kind == OMNI_STEP_REDUCE)
        out = same_storage(b, from, ROOT);
    else if (kind == OMNI_STEP_BROADCAST)
        out = same_storage(b, from, REPLICATED);
    else
        out = moved_value(b, from, parts, kind, to);
    omni_step *s = add_step(b, kind, from, out);
    s->parts = parts & ((1u << value_of(b, from)->parts) - 1);
    s->cut = value_of(b, from)->over;
    return out;
}

/* Two requests whose next message has the same route share it. */
static bool same_message(const request *r, const omni_transform *t, size_t k, size_t i, size_t j) {
    return k < t[j].count && r[i].value == r[j].value && t[i].step[k] == t[j].step[k] &&
           (t[i].step[k] != OMNI_STEP_SCATTER || r[i].to.dim == r[j].to.dim);
}

/* Brings the parts of a value where they are asked for, message by message, sharing what can be shared. */
void satisfy_parts(builder *b, int value, request *r, size_t n) {
    const omni_methods *m = methods_of(b, b->layer);
    omni_transform t[OMNI_MAX_PARTS];
    for (size_t i = 0; i < n; i++) {
        r[i].value = value;
        t[i] = omni_transform_find(value_of(b, value)->at, r[i].to, m->gather_bus, m->edge_scatter);
    }
    for (size_t k = 0; k < 2; k++) {
        bool done[OMNI_MAX_PARTS] = {false};
        for (size_t i = 0; i < n; i++) {
            if (done[i] || k >= t[i].count) continue;
            unsigned parts = 0;
            for (size_t j = i; j < n; j++) {
                done[j] |= same_message(r, t, k, i, j);
                if (same_message(r, t, k, i, j)) parts |= r[j].parts;
            }
            int from = r[i].value, out = add_message(b, t[i].step[k], from, parts, r[i].to);
            for (size_t j = n; j-- > i;)
                if (same_message(r, t, k, i, j)) r[j].value = out;
        }
    }
}

int satisfy(builder *b, int value, omni_placement to) {
    if (b->p == 1) return value;
    request r = {.parts = ALL_PARTS, .to = to};
    satisfy_parts(b, value, &r, 1);
    return r.value;
}

static void build_op(builder *b) {
    static void (*const build[])(builder *) = {
        [OMNI_OP_NORM] = build_norm,           [OMNI_OP_PROJECTION] = build_projection,
        [OMNI_OP_ATTENTION] = build_attention, [OMNI_OP_ACTIVATION] = build_activation,
        [OMNI_OP_RESIDUAL] = build_residual,   [OMNI_OP_ROWS] = build_rows,
        [OMNI_OP_RESULT] = build_result,       [OMNI_OP_ARGMAX] = build_argmax,
    };
    build[b->op->kind](b);
}

static void build_input(builder *b) {
    b->layer = 0;
    int x = b->reg[OMNI_REG_X] =
        new_value(b, one_part("x", OMNI_ROWS_TOKENS, REPLICATED, b->model->shape.hidden));
    add_step(b, OMNI_STEP_HOST_IN, OMNI_NO_VALUE, x);
    add_step(b, OMNI_STEP_TAP, x, OMNI_NO_VALUE);
}

/* From the ops behind the last stage's, or from the input, to the end of this one's. */
static void build_stage(builder *b) {
    omni_range *block = &b->plan->block[b->stage];
    block->start = b->plan->step_count;
    if (b->stage == 0) build_input(b);
    for (; b->at < stage_end(b) && !b->out_of_memory; b->at++) {
        b->op = op_at(b, b->at, &b->layer);
        build_op(b);
        bool layer_ends = b->layer >= 0 && (b->at + 1) % b->model->layer_op_count == 0;
        if (layer_ends) add_step_where(b, OMNI_STEP_TAP, b->reg[OMNI_REG_X], OMNI_NO_VALUE);
    }
    if (b->stage + 1 < b->plan->mesh.stages) b->reg[OMNI_REG_X] = satisfy(b, b->reg[OMNI_REG_X], ROOT);
    block->count = b->plan->step_count - block->start;
}

/* The stream as it enters the next stage: another tensor, for the stages work on different parts of the
 * pass. */
static omni_step hand_off(builder *b) {
    int out = b->reg[OMNI_REG_X];
    omni_step s = {.kind = OMNI_STEP_HAND_OFF,
                   .layer = b->layer,
                   .stage = b->stage,
                   .in = {out, OMNI_NO_VALUE},
                   .weight = OMNI_NO_WEIGHT,
                   .cut = OMNI_CUT_BOUNDARY,
                   .root = ROOT_RANK,
                   .parts = ALL_PARTS};
    s.out = b->reg[OMNI_REG_X] = new_value(b, one_part("x", OMNI_ROWS_TOKENS, ROOT, b->model->shape.hidden));
    return s;
}

static void build_all(builder *b) {
    size_t stages = b->plan->mesh.stages;
    omni_step *between = calloc(stages, sizeof *between);
    b->out_of_memory = !between;
    for (b->stage = 0; b->stage < stages && !b->out_of_memory; b->stage++) {
        build_stage(b);
        if (b->stage + 1 < stages) between[b->stage] = hand_off(b);
    }
    for (size_t s = 0; s + 1 < stages && !b->out_of_memory; s++)
        *add_step(b, OMNI_STEP_HAND_OFF, between[s].in[0], between[s].out) = between[s];
    free(between);
}

/* --- the public face -------------------------------------------------------------------------- */

static omni_status allocate_plan(const omni_model *model, const omni_plan_spec *spec, const omni_mesh *mesh,
                                 omni_plan **out) {
    omni_plan *plan = calloc(1, sizeof *plan);
    if (!plan) return OMNI_RUN_FAILED;
    *out = plan;
    plan->spec = *spec;
    plan->model = model;
    plan->mesh = *mesh;
    plan->kv = calloc(model->shape.layers, sizeof *plan->kv);
    plan->block = calloc(mesh->stages, sizeof *plan->block);
    return plan->kv && plan->block ? OMNI_OK : OMNI_RUN_FAILED;
}

omni_status omni_plan_compile(const omni_model *model, const omni_plan_spec *spec, size_t pes,
                              omni_plan **out, omni_error *err) {
    *out = NULL;
    if (spec->missing[0])
        return omni_error_set(err, OMNI_BAD_INPUT, "plan '%s': %s", spec->name, spec->missing);
    if (pes == 0)
        return omni_error_set(err, OMNI_BAD_INPUT, "plan '%s': no PEs (expected at least 1)", spec->name);
    omni_plan *plan = NULL;
    omni_mesh mesh;
    omni_status st = mesh_lay(model, spec, pes, &mesh, err);
    if (st != OMNI_OK) return st;
    st = attention_lay(model, spec, &mesh, err);
    if (st != OMNI_OK) return st;
    st = allocate_plan(model, spec, &mesh, &plan);
    if (st == OMNI_OK) {
        builder b = {.plan = plan, .model = model, .p = omni_plan_widest(plan)};
        build_all(&b);
        if (!b.out_of_memory) overlap_cut(plan);
        st = b.out_of_memory ? OMNI_RUN_FAILED : storage_assign(plan, err);
    }
    if (st != OMNI_OK) {
        omni_plan_free(plan);
        return omni_error_set(err, st, "plan '%s': no memory for its steps", spec->name);
    }
    *out = plan;
    for (size_t i = 0; i < plan->step_count; i++)
        plan->step[i].number = i; /* hand-offs were put behind all others */
    return OMNI_OK;
}

void omni_plan_free(omni_plan *plan) {
    if (!plan) return;
    free(plan->value);
    free(plan->step);
    free(plan->weight);
    free(plan->kv);
    free(plan->block);
    free(plan);
}
