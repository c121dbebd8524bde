/* plan_diff.c: two plans of the same model in the same situation.
 *
 *   P, Q, the situation
 *   first difference    how the mesh is laid, or the first op, layer by layer, that is not built alike
 *   quantity            P   Q   difference (Q - P), of each phase; memory where there are weights
 *
 * Ops are compared as compiled: placements, steps and messages. So plans that only differ by name are the
 * same, and so are most on one PE.
 */
#include <stdio.h>
#include <string.h>

#include "plan.h"

typedef struct pair {
    const situation *s[2];
    omni_explain *rows[2];
    size_t count[2];
    const omni_explain *op[2]; /* the first that differ; NULL: none does */
    size_t layer;              /* theirs */
    bool mesh;                 /* laid differently */
} pair;

static const char *const sides[] = {"p", "q"};

/* --- the first op that differs ---------------------------------------------------------------- */

static const omni_explain *row_of(const omni_explain *rows, size_t count, int layer, const omni_op *op) {
    for (size_t i = 0; i < count; i++) {
        size_t gap = (size_t)(layer - rows[i].layer);
        if (rows[i].op != op || layer < rows[i].layer) continue;
        if (layer == rows[i].layer || (gap % rows[i].stride == 0 && gap / rows[i].stride < rows[i].layers))
            return &rows[i];
    }
    return NULL;
}

static bool same_place(omni_placement a, omni_placement b) {
    return a.kind == b.kind && a.dim == b.dim;
}

static bool same_step(const omni_plan *p, const omni_step *a, const omni_plan *q, const omni_step *b) {
    if (a->kind != b->kind || a->parts != b->parts || a->root_only != b->root_only || a->strips != b->strips)
        return false;
    if ((a->out == OMNI_NO_VALUE) != (b->out == OMNI_NO_VALUE)) return false;
    return a->out == OMNI_NO_VALUE || same_place(p->value[a->out].at, q->value[b->out].at);
}

static bool same_op(const pair *d, const omni_explain *a, const omni_explain *b) {
    const omni_plan *p = d->s[0]->plan, *q = d->s[1]->plan;
    if (!a || !b) return a == b;
    if (!same_place(a->in, b->in) || !same_place(a->out, b->out) || a->step_count != b->step_count)
        return false;
    for (size_t i = 0; i < a->step_count; i++)
        if (!same_step(p, &p->step[a->step_first + i], q, &q->step[b->step_first + i])) return false;
    return true;
}

/* False: they differ, and d says where. */
static bool same_ops(pair *d, int layer, const omni_op *ops, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < 2; k++) d->op[k] = row_of(d->rows[k], d->count[k], layer, &ops[i]);
        if (!same_op(d, d->op[0], d->op[1])) return false;
    }
    d->op[0] = d->op[1] = NULL;
    return true;
}

static bool same_mesh(const omni_plan *p, const omni_plan *q) {
    const omni_mesh *a = &p->mesh, *b = &q->mesh;
    if (a->used != b->used || a->groups != b->groups || a->stages != b->stages) return false;
    return a->stages == 1 || (p->spec.stack == q->spec.stack && p->spec.chunk == q->spec.chunk);
}

static omni_status compare(pair *d, omni_error *err) {
    const omni_model *model = d->s[0]->plan->model;
    omni_status status = OMNI_OK;
    for (size_t k = 0; k < 2 && !status; k++)
        status = omni_plan_explain(d->s[k]->plan, &d->rows[k], &d->count[k], err);
    if (status) return status;
    d->mesh = !same_mesh(d->s[0]->plan, d->s[1]->plan);
    bool same = true;
    for (size_t l = 0; same && l < model->shape.layers; l++) {
        d->layer = l;
        same = same_ops(d, (int)l, model->layer_ops, model->layer_op_count);
    }
    if (same) same_ops(d, OMNI_FINAL_LAYER, model->final_ops, model->final_op_count);
    return OMNI_OK;
}

/* "1 tree gather + ...": the op's messages in order. */
static const char *messages_text(const omni_plan *plan, const omni_explain *row, char *buf, size_t cap) {
    size_t used = 0;
    snprintf(buf, cap, "-");
    for (size_t i = row->step_first; i < row->step_first + row->step_count && used < cap; i++)
        if (omni_step_is_message(&plan->step[i]) && omni_plan_widest(plan) > 1)
            used += (size_t)snprintf(buf + used, cap - used, "%s%s", used ? ", " : "",
                                     omni_step_name(plan->step[i].kind));
    return buf;
}

/* --- quantities ------------------------------------------------------------------------------- */

enum { PHASES = 3, TOTALS = 2, MEMORY = 4, KINDS = TOTALS + OMNI_COUNTERS };

typedef struct quantity {
    const char *phase, *name;
    bool bytes;
    uint64_t of[2];
} quantity;

/* Between PEs. */
static uint64_t total(const omni_counters *c, size_t which) {
    uint64_t messages = c->broadcasts + c->reductions + c->tree_gathers + c->addressed_messages;
    return which ? c->broadcast_bytes + c->tree_bytes + c->addressed_bytes : messages;
}

static quantity counted(const pair *d, size_t phase, size_t i) {
    static const char *const phases[PHASES] = {"prefill", "decode_step", "decode"};
    quantity x = {.phase = d->s[0]->encoder ? "encode" : phases[phase]};
    x.name = i < TOTALS ? (i ? "bytes" : "messages") : omni_counter_names[i - TOTALS];
    x.bytes = strstr(x.name, "bytes") != NULL;
    for (size_t k = 0; k < 2; k++) {
        const omni_counters *c[PHASES] = {&d->s[k]->prefill, &d->s[k]->step, &d->s[k]->decode};
        x.of[k] = i < TOTALS ? total(c[phase], i) : omni_counters_get(c[phase], i - TOTALS);
    }
    return x;
}

static quantity held(const pair *d, bool sum, size_t i) {
    static const char *const names[MEMORY] = {"weight_bytes", "kv_bytes", "activation_bytes",
                                              "resident_bytes"};
    quantity x = {.phase = sum ? "memory_sum" : "memory_most", .name = names[i], .bytes = true};
    for (size_t k = 0; k < 2; k++) {
        omni_memory m = cli_fold_memory(d->s[k]->memory, d->s[k]->pes, !sum);
        x.of[k] =
            (const uint64_t[MEMORY]){m.weight_bytes, m.kv_bytes, m.activation_bytes, m.resident_bytes}[i];
    }
    return x;
}

/* Which of them there are; false behind the last. */
static bool quantity_at(const pair *d, size_t i, quantity *out) {
    size_t phases = d->s[0]->encoder ? 1 : PHASES;
    if (i < phases * KINDS) {
        *out = counted(d, i / KINDS, i % KINDS);
        return true;
    }
    i -= phases * KINDS;
    if (!d->s[0]->memory || !d->s[1]->memory || i >= 2 * MEMORY) return false;
    *out = held(d, i / MEMORY, i % MEMORY);
    return true;
}

static int64_t difference(const quantity *x) {
    return (int64_t)(x->of[1] - x->of[0]);
}

static bool same_quantities(const pair *d) {
    quantity x;
    for (size_t i = 0; quantity_at(d, i, &x); i++)
        if (x.of[0] != x.of[1]) return false;
    return true;
}

/* --- page ------------------------------------------------------------------------------------- */

static void add_number(omni_table *t, const quantity *x, uint64_t n, const char *sign) {
    char text[32];
    if (x->bytes)
        omni_table_cell(t, "%s%s", sign, omni_format_bytes(text, sizeof text, n));
    else
        omni_table_cell(t, "%s%llu", sign, (unsigned long long)n);
}

static void draw_quantities(const pair *d, omni_text *page) {
    char name[2][48];
    quantity x;
    for (size_t k = 0; k < 2; k++) snprintf(name[k], sizeof name[k], ">%.40s", d->s[k]->spec->name);
    omni_table *t =
        omni_table_create((const char *const[]){"phase", "quantity", name[0], name[1], ">difference"}, 5);
    for (size_t i = 0; quantity_at(d, i, &x); i++) {
        int64_t more = difference(&x);
        if (x.of[0] == 0 && x.of[1] == 0) continue;
        omni_table_cell(t, "%s", x.phase);
        omni_table_cell(t, "%s", x.name);
        add_number(t, &x, x.of[0], "");
        add_number(t, &x, x.of[1], "");
        add_number(t, &x, more < 0 ? x.of[0] - x.of[1] : x.of[1] - x.of[0], more < 0 ? "-" : more ? "+" : "");
    }
    omni_text_add(page, "\n");
    omni_table_draw(t, page);
    omni_table_free(t);
}

static void draw_ops(const pair *d, omni_text *page) {
    static const char *const headers[] = {"plan", "layer", "op", "method", "in -> out", "messages"};
    omni_table *t = omni_table_create(headers, sizeof headers / sizeof *headers);
    for (size_t k = 0; k < 2; k++) {
        const omni_explain *row = d->op[k];
        char messages[160];
        omni_table_cell(t, "%.40s", d->s[k]->spec->name);
        if (row->layer == OMNI_FINAL_LAYER)
            omni_table_cell(t, "end");
        else
            omni_table_cell(t, "%zu", d->layer);
        omni_table_cell(t, "%s", row->op->name);
        omni_table_cell(t, "%s", row->method);
        omni_table_cell(t, "%s -> %s", omni_placement_name(row->in), omni_placement_name(row->out));
        omni_table_cell(t, "%s", messages_text(d->s[k]->plan, row, messages, sizeof messages));
    }
    omni_text_add(page, "\nfirst op that differs\n\n");
    omni_table_draw(t, page);
    omni_table_free(t);
}

static void add_count(omni_table *t, bool any, size_t n) {
    if (any)
        omni_table_cell(t, "%zu", n);
    else
        omni_table_cell(t, "-");
}

static void draw_mesh(const pair *d, omni_text *page) {
    omni_text_add(page, "\nmesh that differs\n\n");
    static const char *const headers[] = {"plan", ">PEs used", ">groups", ">stages", ">stack", ">chunk"};
    omni_table *t = omni_table_create(headers, sizeof headers / sizeof *headers);
    for (size_t k = 0; k < 2; k++) {
        const omni_plan *plan = d->s[k]->plan;
        omni_table_cell(t, "%.40s", d->s[k]->spec->name);
        omni_table_cell(t, "%zu", plan->mesh.used);
        omni_table_cell(t, "%zu", plan->mesh.groups);
        omni_table_cell(t, "%zu", plan->mesh.stages);
        bool staged = plan->mesh.stages > 1;
        add_count(t, staged, plan->spec.stack);
        add_count(t, staged && plan->spec.chunk, plan->spec.chunk);
    }
    omni_table_draw(t, page);
    omni_table_free(t);
}

static void draw_head(const pair *d, omni_text *page) {
    char methods[512];
    for (size_t k = 0; k < 2; k++)
        omni_text_add(page, "%-6s %s: %s\n", k ? "and" : "plan", d->s[k]->spec->name,
                      cli_methods_text(d->s[k]->spec, methods, sizeof methods));
    plan_draw_situation(d->s[0], page);
}

static void draw(const pair *d, omni_text *page) {
    if (d->mesh) draw_mesh(d, page);
    if (d->op[0]) draw_ops(d, page);
    if (!d->mesh && !d->op[0])
        omni_text_add(page, "\n%s\n",
                      same_quantities(d) ? "no difference" : "no op differs, but what moves does");
    draw_quantities(d, page);
}

/* --- JSON and CSV ----------------------------------------------------------------------------- */

static json_t *mesh_json(const omni_plan *plan) {
    json_t *object = json_object();
    bool staged = plan->mesh.stages > 1;
    cli_set(&object, "pes_used", cli_size(plan->mesh.used));
    cli_set(&object, "groups", cli_size(plan->mesh.groups));
    cli_set(&object, "stages", cli_size(plan->mesh.stages));
    cli_set(&object, "stack", staged ? cli_size(plan->spec.stack) : json_null());
    cli_set(&object, "chunk", staged && plan->spec.chunk ? cli_size(plan->spec.chunk) : json_null());
    return object;
}

static json_t *op_json(const pair *d, size_t k) {
    json_t *object = json_object();
    char messages[160];
    cli_set(&object, "method", json_string(d->op[k]->method));
    cli_set(&object, "in", json_string(omni_placement_name(d->op[k]->in)));
    cli_set(&object, "out", json_string(omni_placement_name(d->op[k]->out)));
    cli_set(&object, "messages",
            json_string(messages_text(d->s[k]->plan, d->op[k], messages, sizeof messages)));
    return object;
}

/* What differs first; null: nothing does. */
static json_t *first_json(const pair *d) {
    if (!d->op[0]) return json_null();
    json_t *object = json_object();
    bool layer = d->op[0]->layer != OMNI_FINAL_LAYER;
    cli_set(&object, "layer", layer ? cli_size(d->layer) : json_null());
    cli_set(&object, "op", json_string(d->op[0]->op->name));
    for (size_t k = 0; k < 2; k++) cli_set(&object, sides[k], op_json(d, k));
    return object;
}

static void add_mesh_json(const pair *d, json_t **object) {
    json_t *mesh = d->mesh ? json_object() : json_null();
    for (size_t k = 0; k < 2 && d->mesh; k++) cli_set(&mesh, sides[k], mesh_json(d->s[k]->plan));
    cli_set(object, "mesh", mesh);
}

static json_t *quantity_json(const quantity *x) {
    json_t *object = json_object();
    for (size_t k = 0; k < 2; k++) cli_set(&object, sides[k], cli_size(x->of[k]));
    cli_set(&object, "difference", json_integer(difference(x)));
    return object;
}

/* {"prefill": {"messages": {"p", "q", "difference"}, ...}, ...} */
static void add_quantities_json(const pair *d, json_t **object) {
    quantity x;
    for (size_t i = 0; quantity_at(d, i, &x); i++) {
        if (*object && !json_object_get(*object, x.phase)) cli_set(object, x.phase, json_object());
        json_t *phase = *object ? json_object_get(*object, x.phase) : NULL; /* borrowed */
        if (phase && json_object_set_new(phase, x.name, quantity_json(&x)) != 0) {
            json_decref(*object);
            *object = NULL;
        }
    }
}

/* The situation's own keys, with the names of both plans. */
static json_t *head_json(const pair *d) {
    const situation *skipped = d->s[0]->skipped[0] ? d->s[0] : d->s[1];
    json_t *head = json_object();
    for (size_t k = 0; k < 2; k++) cli_set(&head, sides[k], omni_json_string(d->s[k]->spec->name));
    cli_set(&head, "pes", cli_size(d->s[0]->pes));
    cli_set(&head, "batch", cli_size(d->s[0]->batch));
    cli_set(&head, "prompt", cli_size(d->s[0]->prompt));
    cli_set(&head, "gen", cli_size(d->s[0]->gen));
    cli_set(&head, "skipped", omni_json_string(skipped->skipped[0] ? skipped->skipped : NULL));
    return head;
}

static void add_csv(planning *k, const pair *d, const quantity *x) {
    json_t *row = head_json(d);
    bool op = x && d->op[0], layer = op && d->op[0]->layer != OMNI_FINAL_LAYER;
    cli_set(&row, "first_layer", layer ? cli_size(d->layer) : json_null());
    cli_set(&row, "first_op", op ? json_string(d->op[0]->op->name) : json_null());
    cli_set(&row, "phase", omni_json_string(x ? x->phase : NULL));
    cli_set(&row, "quantity", omni_json_string(x ? x->name : NULL));
    cli_set(&row, "of_p", x ? cli_size(x->of[0]) : json_null());
    cli_set(&row, "of_q", x ? cli_size(x->of[1]) : json_null());
    cli_set(&row, "difference", x ? json_integer(difference(x)) : json_null());
    cli_append(&k->rows, row);
}

json_t *plan_diff_json(const planning *k) {
    json_t *object = json_object();
    for (size_t i = 0; i < 2; i++) cli_set(&object, sides[i], omni_json_string(k->pair[i].name));
    cli_set(&object, "situations", json_incref(k->plans));
    return object;
}

/* --- one situation ---------------------------------------------------------------------------- */

static omni_status add_built(planning *k, pair *d, json_t **object, omni_error *err) {
    quantity x;
    omni_status status = compare(d, err);
    if (!status) {
        draw(d, k->page);
        cli_set(object, "same", json_boolean(!d->mesh && !d->op[0] && same_quantities(d)));
        add_mesh_json(d, object);
        cli_set(object, "first", first_json(d));
        add_quantities_json(d, object);
        for (size_t i = 0; quantity_at(d, i, &x); i++) add_csv(k, d, &x);
    }
    for (size_t i = 0; i < 2; i++) omni_free(d->rows[i]);
    return status;
}

omni_status plan_diff_situation(planning *k, const situation *p, const situation *q, omni_error *err) {
    pair d = {.s = {p, q}};
    const situation *skipped = p->skipped[0] ? p : q->skipped[0] ? q : NULL;
    omni_status status = OMNI_OK;
    json_t *object = head_json(&d);
    if (*omni_text_string(k->page)) omni_text_add(k->page, "\n");
    draw_head(&d, k->page);
    if (skipped) {
        omni_text_add(k->page, "skipped: %s: %s\n", skipped->spec->name, skipped->skipped);
        add_csv(k, &d, NULL);
    } else {
        status = add_built(k, &d, &object, err);
    }
    cli_append(&k->plans, object);
    return status;
}
