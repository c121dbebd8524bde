/* claims.c: what the notes that omnibus started from say, beside what a compiled plan moves.
 *
 *   claims[]   item, words, which part of the plan they are about, messages that they grant to each part
 *      |
 *      v  applies?          traffic of the layer, the cycle or the pass, counted from the steps (traffic.c)
 *     row  <-- judge(claim, traffic): equal -> holds; more beside it -> holds, plus ...; else -> what differs
 *
 * The words are the notes', shortened. They give no figures for the output projection, norms and residuals:
 * rows without an item show what these add.
 */
#include <stdio.h>
#include <string.h>

#include "plan/claims.h"

/* --- which claims a plan is about --------------------------------------------------------------- */

static bool of_single(const omni_plan *plan, const claim *c, const omni_methods *m) {
    (void)c, (void)m;
    return plan->spec.whole;
}

static size_t groups(const omni_plan *plan) {
    return plan->spec.stream ? 1 : plan->mesh.groups;
}

static size_t weights(const omni_plan *plan) {
    return plan->spec.stream ? plan->mesh.groups : 1;
}

static size_t stages(const omni_plan *plan) {
    return plan->mesh.stages;
}

static size_t stack(const omni_plan *plan) {
    return plan->mesh.stages > 1 ? plan->spec.stack : 1;
}

static bool of_mesh(const omni_plan *plan, const claim *c, const omni_methods *m) {
    (void)m;
    return c->number(plan) > 1;
}

/* With one PE on the inner axis methods are only words: shown where the mesh has nothing to say either. */
static bool of_methods(const omni_plan *plan) {
    bool cut = plan->mesh.groups > 1 || plan->mesh.stages > 1;
    return !plan->spec.whole && (omni_plan_widest(plan) > 1 || !cut);
}

static bool of_any(const omni_plan *plan, const claim *c, const omni_methods *m) {
    (void)c, (void)m;
    return of_methods(plan);
}

static bool of_every_pass(const omni_plan *plan, const claim *c, const omni_methods *m) {
    (void)plan, (void)c, (void)m;
    return true;
}

static bool of_method(const omni_plan *plan, const claim *c, const omni_methods *m) {
    size_t count;
    return of_methods(plan) &&
           strcmp(omni_method_table(c->key, &count)[m->choice[c->key]].name, c->name) == 0;
}

static bool same_choices(const omni_methods *a, const omni_methods *b) {
    return memcmp(a->choice, b->choice, sizeof a->choice) == 0;
}

/* The i-th layer's methods of a named plan. */
static bool is_named(const omni_methods *m, const char *name) {
    omni_plan_spec spec;
    omni_error err = {0};
    return omni_plan_parse(name, &spec, &err) == OMNI_OK && same_choices(m, &spec.layer[0]);
}

static bool of_named(const omni_plan *plan, const claim *c, const omni_methods *m) {
    return of_methods(plan) && is_named(m, c->name);
}

/* The two workflows in turn, whichever is first. */
static bool of_cycle(const omni_plan *plan, const claim *c, const omni_methods *m) {
    (void)c, (void)m;
    const omni_methods *l = plan->spec.layer;
    return of_methods(plan) && plan->spec.cycle == 2 && plan->model->shape.layers > 1 &&
           ((is_named(&l[0], "workflow1") && is_named(&l[1], "workflow2")) ||
            (is_named(&l[0], "workflow2") && is_named(&l[1], "workflow1")));
}

/* --- the table -------------------------------------------------------------------------------- */

#define BIT(part) (1u << PART_##part)
enum {
    SPOKEN = BIT(QKV) | BIT(ATTN) | BIT(FFN),
    LEFT_OUT = BIT(O) | BIT(NORMS) | BIT(RESIDUALS) | BIT(INPUT),
    LAYER = SPOKEN | LEFT_OUT,
    PASS = LAYER | BIT(HAND_OFF) | BIT(GROUPS) | BIT(END)
};
static const bool yes = true, no = false;

#define MESH(i, n, t)                                                                                        \
    .item = i, .text = t, .scope = OMNI_CLAIM_OF_PASS, .name = #n, .number = n, .applies = of_mesh,          \
    .judge = judge_messages
#define METHOD(i, k, n, t)                                                                                   \
    .item = i, .text = t, .scope = OMNI_CLAIM_OF_LAYER, .name = n, .applies = of_method,                     \
    .judge = judge_messages, .key = OMNI_KEY_##k, .parts = BIT(k)
#define ADDED(p, n, t)                                                                                       \
    .text = t, .scope = OMNI_CLAIM_OF_LAYER, .name = n, .applies = of_any, .judge = judge_added,             \
    .parts = BIT(p)
#define WORKFLOW(i, n, t)                                                                                    \
    .item = i, .text = t, .scope = OMNI_CLAIM_OF_LAYER, .name = n, .applies = of_named,                      \
    .judge = judge_messages, .parts = SPOKEN, .beside = LEFT_OUT, .total = true
#define MOTIVE(i, n, t, j)                                                                                   \
    .item = "motivation " i, .text = t, .scope = OMNI_CLAIM_OF_PASS, .name = n, .applies = of_every_pass,    \
    .judge = j
#define NO_SCATTER                                                                                           \
    { .reductions = ANY, .broadcasts = ANY }

static const claim claims[] = {
    {.item = "1.1",
     .text = "lock step of a block: no copy, in a single block",
     .scope = OMNI_CLAIM_OF_PASS,
     .name = "single",
     .applies = of_single,
     .judge = judge_messages,
     .parts = PASS},
    {MESH("1.1", stack, "stack the same step of several sequences into the same PE: no copy"),
     .beside = PASS & ~BIT(HAND_OFF), .beside_name = "inside the stages"},
    {MESH("1.2", weights,
          "lock step of a block: n copies of the weights in every step, broadcast the weight"),
     .parts = BIT(GROUPS), .grants = {[PART_GROUPS] = {.broadcasts = ANY}}, .beside = PASS & ~BIT(GROUPS),
     .beside_name = "inside a PE"},
    {MESH("2.1", groups, "batch over PEs: each loads full weights, no communication"), .parts = BIT(GROUPS),
     .beside = PASS & ~BIT(GROUPS), .beside_name = "inside a group"},
    {MESH("2.1", stages, "each PE computes a block: no communication"), .parts = BIT(HAND_OFF),
     .beside = PASS & ~BIT(HAND_OFF), .beside_name = "inside the stages", .hint = "one at each boundary",
     .hint_of = PART_HAND_OFF},

    {METHOD("3.1", QKV, "out", "by rows: broadcast input, no communication, N outputs")},
    {METHOD("3.2", QKV, "in", "by cols: each fetches 1/n of the input, need reduction, 1 output"),
     .grants = {[PART_QKV] = {.reductions = 1}}},
    {METHOD("4.1", ATTN, "heads", "by heads: distributed QKV, distributed V, no communication")},
    {METHOD("4.1", ATTN, "subheads", "by sub-heads: as by heads, no communication")},
    {METHOD("4.2", ATTN, "tokens", "by tokens: distributed KV, broadcast input, need reduction, 1 output"),
     .grants = {[PART_ATTN] = {.reductions = 1}}},
    {ADDED(O, "o", "not in the notes: the output projection")},
    {METHOD("5.1", FFN, "out+out", "all by rows: N outputs, then reduce and broadcast, N outputs"),
     .grants = {[PART_FFN] = {.reductions = 1, .broadcasts = 1}}, .hint = "slices are joined, not added",
     .hint_of = PART_FFN},
    {METHOD("5.2", FFN, "in+in", "by cols: reduction, 1 output, then scatter it, reduction, 1 output"),
     .grants = {[PART_FFN] = {.reductions = 2, .addressed = OTHERS}},
     .hint = "each keeps its part of a broadcast", .hint_of = PART_FFN},
    {METHOD("5.3", FFN, "out+in", "row + col: broadcast input, N outputs, need reduction, 1 output"),
     .grants = {[PART_FFN] = {.reductions = 1}}},
    {METHOD("5.4", FFN, "in+out", "col + row: need reduction, 1 output, broadcast it, N outputs"),
     .grants = {[PART_FFN] = {.reductions = 1, .broadcasts = 1}}},
    {ADDED(RESIDUALS, "residuals", "not in the notes: sums, completed for what follows"),
     .only_if_moved = true},
    {ADDED(NORMS, "norms", "not in the notes: statistics of distributed features"), .only_if_moved = true},
    {ADDED(INPUT, "input", "not in the notes: the stream, where what follows needs it"),
     .only_if_moved = true},

    {WORKFLOW("workflow 1", "workflow1",
              "no scatter; 1 reduction, 1 broadcast in col + row; generates distributed input"),
     .grants = {[PART_FFN] = {.reductions = 1, .broadcasts = 1}}, .distributed = &yes,
     .hint = "its output is distributed, its input must not be", .hint_of = PART_INPUT},
    {WORKFLOW("workflow 2", "workflow2",
              "no scatter; reduction + broadcast in projection, and in attention; not in FFN; full output"),
     .grants =
         {[PART_QKV] = {.reductions = 1, .broadcasts = 1}, [PART_ATTN] = {.reductions = 1, .broadcasts = 1}},
     .distributed = &no, .hint = "its FFN is 5.3, which reduces once", .hint_of = PART_FFN},
    {.item = "the cycle",
     .text = "what one workflow generates, the other accepts: no scatter, no gather",
     .scope = OMNI_CLAIM_OF_CYCLE,
     .name = "both",
     .applies = of_cycle,
     .judge = judge_messages,
     .parts = LAYER & ~BIT(NORMS),
     .beside = BIT(NORMS),
     .total = true,
     .grants = {[PART_QKV] = NO_SCATTER,
                [PART_ATTN] = NO_SCATTER,
                [PART_O] = NO_SCATTER,
                [PART_FFN] = NO_SCATTER,
                [PART_RESIDUALS] = NO_SCATTER,
                [PART_INPUT] = NO_SCATTER}},

    {MOTIVE("1", "broadcasts", "broadcast is cheap: one shared bus does it", judge_broadcasts)},
    {MOTIVE("2", "gathers, scatters", "scatter or gather is expensive: the bus needs N iterations",
            judge_iterations)},
    {MOTIVE("3", "reductions", "reduction is cheap: a tree of local buses, O(log n)", judge_levels)},
    {MOTIVE("4", "all messages", "so avoid scatter: only broadcast and reduction", judge_messages),
     .parts = PASS, .total = true,
     .grants = {[PART_QKV] = NO_SCATTER,
                [PART_ATTN] = NO_SCATTER,
                [PART_O] = NO_SCATTER,
                [PART_FFN] = NO_SCATTER,
                [PART_NORMS] = NO_SCATTER,
                [PART_RESIDUALS] = NO_SCATTER,
                [PART_INPUT] = NO_SCATTER,
                [PART_HAND_OFF] = NO_SCATTER,
                [PART_GROUPS] = NO_SCATTER,
                [PART_END] = NO_SCATTER}},
};
enum { CLAIMS = sizeof claims / sizeof *claims, MOST_ROWS = CLAIMS * OMNI_MAX_CYCLE };

/* --- rows ------------------------------------------------------------------------------------- */

typedef struct claiming {
    passes passes;
    const omni_plan *plan;
    omni_explain *op;
    size_t ops;
    /* one layer of each kind in the cycle: its methods and the first row of its block */
    size_t kinds;
    struct {
        const omni_methods *methods;
        const omni_explain *block;
    } kind[OMNI_MAX_CYCLE];
    omni_claim *row;
    size_t rows;
} claiming;

static void name_part(const omni_plan *plan, const claim *c, const omni_methods *m, omni_claim *row) {
    size_t count;
    if (c->number)
        snprintf(row->part, sizeof row->part, "%s=%zu", c->name, c->number(plan));
    else if (c->applies == of_method)
        snprintf(row->part, sizeof row->part, "%s=%s", omni_key_name(c->key), c->name);
    else if (c->parts == BIT(O))
        snprintf(row->part, sizeof row->part, "o=%s",
                 omni_method_table(OMNI_KEY_O, &count)[m->choice[OMNI_KEY_O]].name);
    else
        snprintf(row->part, sizeof row->part, "%s", c->name);
}

/* What it speaks of, and what it lists one by one. */
static moves shown_moves(const claim *c, const traffic *t) {
    unsigned parts = c->parts | (c->beside_name ? 0 : c->beside);
    moves sum = {0};
    for (size_t part = 0; part < TRAFFIC_PARTS; part++) {
        if (!(parts >> part & 1)) continue;
        moves_add(&sum, &t->part[part].own);
        moves_add(&sum, &t->part[part].over);
    }
    return sum;
}

static void add_row(claiming *g, const claim *c, const traffic *t, size_t kind) {
    const omni_methods *m = g->kinds ? g->kind[kind].methods : NULL;
    if (!c->applies(g->plan, c, m)) return;
    moves sum = shown_moves(c, t);
    bool moved = !moves_none(&sum);
    if (c->only_if_moved && !moved) return;
    const omni_explain *block = g->kind[kind].block;
    omni_claim *row = &g->row[g->rows++];
    *row = (omni_claim){.item = c->item, .claim = c->text, .scope = c->scope, .layer = OMNI_FINAL_LAYER};
    if (c->scope == OMNI_CLAIM_OF_LAYER) {
        row->layer = block->layer;
        row->layers = block->layers;
        row->stride = block->stride;
    }
    name_part(g->plan, c, m, row);
    judge_show(row, &sum);
    judged j = {.plan = g->plan, .c = c, .t = t, .row = row};
    if (t->p == 1 && c->scope != OMNI_CLAIM_OF_PASS)
        judge_idle(&j, "one PE");
    else if (c->scope == OMNI_CLAIM_OF_PASS && c->total && !moved)
        judge_idle(&j, "between PEs");
    else
        c->judge(&j);
}

/* --- layers ----------------------------------------------------------------------------------- */

static bool covers(const omni_explain *block, size_t position, size_t cycle) {
    for (size_t i = 0; i < block->layers && i < cycle; i++)
        if (((size_t)block->layer + i * block->stride) % cycle == position) return true;
    return false;
}

/* The block that stands for most layers at that place of the cycle; else one whose input comes from a layer.
 */
static const omni_explain *block_for(const claiming *g, size_t position) {
    const omni_explain *best = NULL;
    for (size_t i = 0; i < g->ops; i++) {
        const omni_explain *at = &g->op[i];
        if (!at->op || at->layer == OMNI_FINAL_LAYER || !covers(at, position, g->plan->spec.cycle)) continue;
        if (!best || at->layers > best->layers || (at->layers == best->layers && best->layer == 0)) best = at;
    }
    return best;
}

static void find_kinds(claiming *g) {
    for (size_t i = 0; i < g->plan->spec.cycle && i < g->plan->model->shape.layers; i++) {
        const omni_methods *m = &g->plan->spec.layer[i];
        const omni_explain *block = block_for(g, i);
        bool seen = !block;
        for (size_t k = 0; k < g->kinds && block; k++)
            seen |= same_choices(m, g->kind[k].methods) && g->kind[k].block->layer == block->layer;
        if (seen) continue;
        g->kind[g->kinds].methods = m;
        g->kind[g->kinds++].block = block;
    }
}

static size_t ranks_of(const claiming *g, const omni_explain *op) {
    return omni_mesh_ranks(&g->plan->mesh, 0, g->plan->step[op->step_first].stage).count;
}

static void add_layer(const claiming *g, size_t kind, traffic *t) {
    const omni_explain *block = g->kind[kind].block;
    for (size_t i = 0; i < g->ops; i++)
        if (g->op[i].op && g->op[i].layer == block->layer)
            traffic_add(t, &g->passes, g->op[i].step_first, g->op[i].step_count);
}

static void claim_layers(claiming *g) {
    traffic all = traffic_empty(g->kinds ? ranks_of(g, g->kind[0].block) : 1);
    for (size_t k = 0; k < g->kinds; k++) {
        traffic t = traffic_empty(ranks_of(g, g->kind[k].block));
        add_layer(g, k, &t);
        add_layer(g, k, &all);
        for (size_t i = 0; i < CLAIMS; i++)
            if (claims[i].scope == OMNI_CLAIM_OF_LAYER) add_row(g, &claims[i], &t, k);
    }
    for (size_t i = 0; i < CLAIMS; i++)
        if (claims[i].scope == OMNI_CLAIM_OF_CYCLE) add_row(g, &claims[i], &all, 0);
}

/* Those about the mesh come before the layers, the motivation behind them. */
static void claim_pass(claiming *g, const traffic *t, bool mesh) {
    for (size_t i = 0; i < CLAIMS; i++)
        if (claims[i].scope == OMNI_CLAIM_OF_PASS && (claims[i].applies != of_every_pass) == mesh)
            add_row(g, &claims[i], t, 0);
}

omni_status omni_plan_claims(const omni_plan *plan, omni_extent prefill, omni_extent decode,
                             omni_claim **rows, size_t *count, omni_error *err) {
    claiming g = {.plan = plan, .row = omni_alloc_array(MOST_ROWS, sizeof(omni_claim))};
    if (!g.row)
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the claims about '%s'", plan->spec.name);
    omni_status status = omni_plan_explain(plan, &g.op, &g.ops, err);
    if (status) {
        omni_free(g.row);
        return status;
    }
    passes_set(&g.passes, plan, prefill, decode);
    find_kinds(&g);
    traffic pass = traffic_empty(omni_plan_widest(plan));
    traffic_add(&pass, &g.passes, 0, plan->step_count);
    claim_pass(&g, &pass, true);
    claim_layers(&g);
    claim_pass(&g, &pass, false);
    omni_free(g.op);
    *rows = g.row;
    *count = g.rows;
    return OMNI_OK;
}
