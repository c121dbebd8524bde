/* plan_explain.c: one situation op by op.
 *
 *   layers  op   method   in -> out   weights/PE  message         route       prefill  decode step
 *
 * A row per op, a line per message: layers that do the same are one block, and numbers are those of one
 * layer. The bytes of a message are what it moves: a reduction is written as pair transfers times payload.
 */
#include <stdio.h>
#include <string.h>

#include "plan.h"

typedef struct message {
    const omni_step *step;
    char route[96];
    const omni_wire *wire; /* what floats travel as */
    omni_counters prefill, decode;
} message;

/* --- facts ------------------------------------------------------------------------------------ */

uint64_t plan_moved(const omni_counters *c) {
    return c->broadcast_bytes + c->tree_bytes + c->addressed_bytes + c->host_bytes;
}

/* Of the pieces of a cut, over all groups, those of as many PEs as the first one and the others: they differ
 * by one PE, if at all. */
typedef struct pieces {
    omni_range first;
    size_t alike, others, other_pes;
} pieces;

static pieces pieces_of(const omni_mesh *mesh, const omni_step *step) {
    pieces p = {.first = omni_mesh_piece(mesh, step->cut, 0, step->stage, 0)};
    for (size_t g = 0; g < (step->cut == OMNI_CUT_ALL ? 1 : mesh->groups); g++) {
        for (size_t k = 0; k < omni_mesh_pieces_in(mesh, step->cut); k++) {
            size_t pes = omni_mesh_piece(mesh, step->cut, g, step->stage, k).count;
            p.alike += pes == p.first.count;
            p.others += pes != p.first.count;
            if (pes != p.first.count) p.other_pes = pes;
        }
    }
    return p;
}

/* ", and 7 pieces alike", ", 3 pieces alike and 4 of 2 PEs", ", and 7 of 1 PE" */
static void add_others(const pieces *p, message *m) {
    char alike[48] = "", others[48] = "";
    size_t same = p->alike - 1, used = strlen(m->route);
    if (same) snprintf(alike, sizeof alike, "%zu piece%s alike", same, same == 1 ? "" : "s");
    if (p->others)
        snprintf(others, sizeof others, "%zu of %zu PE%s", p->others, p->other_pes,
                 p->other_pes == 1 ? "" : "s");
    if (same && p->others)
        snprintf(m->route + used, sizeof m->route - used, ", %s and %s", alike, others);
    else if (same || p->others)
        snprintf(m->route + used, sizeof m->route - used, ", and %s%s", alike, others);
}

/* "bus 0..3", "tree 0..3, 2 levels, bf16", "host port -> bus 0..3"; of the first piece, and how many others
 * there are. */
static void route_text(const omni_plan *plan, message *m) {
    pieces p = pieces_of(&plan->mesh, m->step);
    size_t first = p.first.start, last = first + p.first.count - 1, levels = omni_ceil_log2(p.first.count);
    char bus[48];
    snprintf(bus, sizeof bus, p.first.count > 1 ? "%zu..%zu" : "%zu", first, last);
    switch (m->step->kind) {
    case OMNI_STEP_HOST_IN:
        snprintf(m->route, sizeof m->route, "host port -> bus %s", bus);
        break;
    case OMNI_STEP_HOST_OUT:
        snprintf(m->route, sizeof m->route, "PE %zu -> host port", first);
        break;
    case OMNI_STEP_HAND_OFF:
        snprintf(m->route, sizeof m->route, "bus %s, PE %zu -> PE %zu", bus, first,
                 omni_mesh_ranks(&plan->mesh, 0, m->step->stage + 1).start);
        break;
    case OMNI_STEP_REDUCE:
    case OMNI_STEP_GATHER:
        snprintf(m->route, sizeof m->route, "tree %s, %zu level%s", bus, levels, levels == 1 ? "" : "s");
        break;
    default:
        snprintf(m->route, sizeof m->route, "bus %s", bus);
    }
    size_t used = strlen(m->route);
    if (m->wire->dtype != OMNI_F32) snprintf(m->route + used, sizeof m->route - used, ", %s", m->wire->name);
    add_others(&p, m);
}

static message message_of(const situation *s, const omni_step *step) {
    message m = {.step = step, .wire = omni_wire_find(omni_step_wire(s->plan, step))};
    route_text(s->plan, &m);
    omni_step_count(s->plan, step, situation_extent(s, 0), &m.prefill);
    if (!s->encoder) omni_step_count(s->plan, step, situation_extent(s, 1), &m.decode);
    return m;
}

static bool is_hand_off(const situation *s, const omni_explain *row) {
    return s->plan->step[row->step_first].kind == OMNI_STEP_HAND_OFF;
}

/* The i-th of the layers that a row stands for. */
static size_t layer_at(const omni_explain *row, size_t i) {
    return (size_t)row->layer + i * row->stride;
}

/* "0", "1-3", "0,2", "0-30:2"; "in" for the input rows, "end" behind the layers */
static const char *layers_text(const situation *s, const omni_explain *row, char buf[32]) {
    if (!row->op && !is_hand_off(s, row))
        snprintf(buf, 32, "in");
    else if (row->layer == OMNI_FINAL_LAYER)
        snprintf(buf, 32, "end");
    else if (row->layers == 1)
        snprintf(buf, 32, "%d", row->layer);
    else if (row->stride == 1)
        snprintf(buf, 32, "%d-%zu", row->layer, layer_at(row, row->layers - 1));
    else if (row->layers == 2)
        snprintf(buf, 32, "%d,%zu", row->layer, layer_at(row, 1));
    else
        snprintf(buf, 32, "%d-%zu:%zu", row->layer, layer_at(row, row->layers - 1), row->stride);
    return buf;
}

static const char *op_name(const situation *s, const omni_explain *row) {
    return row->op ? row->op->name : is_hand_off(s, row) ? "hand-off" : "input rows";
}

static const char *method_name(const situation *s, const omni_explain *row) {
    return row->op ? row->method : is_hand_off(s, row) ? "to the next stage" : "from the host port";
}

/* --- JSON and CSV ----------------------------------------------------------------------------- */

static json_t *message_json(const message *m) {
    json_t *object = json_object();
    bool host = m->step->kind == OMNI_STEP_HOST_IN;
    cli_set(&object, "kind", json_string(omni_step_name(m->step->kind)));
    cli_set(&object, "route", json_string(m->route));
    cli_set(&object, "strips", cli_size(m->step->strips ? m->step->strips : 1));
    cli_set(&object, "root", host ? json_null() : cli_size(m->step->root));
    cli_set(&object, "wire", json_string(m->wire->name));
    cli_set(&object, "prefill_bytes", cli_size(plan_moved(&m->prefill)));
    cli_set(&object, "decode_bytes", cli_size(plan_moved(&m->decode)));
    cli_set(&object, "prefill", omni_json_counters(&m->prefill));
    cli_set(&object, "decode", omni_json_counters(&m->decode));
    return object;
}

static json_t *op_json(const planning *k, const situation *s, const omni_explain *row) {
    json_t *object = json_object();
    bool layer = (row->op || is_hand_off(s, row)) && row->layer != OMNI_FINAL_LAYER;
    cli_set(&object, "layer", layer ? json_integer(row->layer) : json_null());
    cli_set(&object, "layers", json_integer(layer ? (json_int_t)row->layers : 1));
    cli_set(&object, "stride", json_integer((json_int_t)row->stride));
    cli_set(&object, "op", omni_json_string(op_name(s, row)));
    cli_set(&object, "method", omni_json_string(method_name(s, row)));
    cli_set(&object, "in", row->op ? json_string(omni_placement_name(row->in)) : json_null());
    cli_set(&object, "out", json_string(omni_placement_name(row->out)));
    cli_set(&object, "weight_bytes", cli_size(plan_weight_bytes(k->c, s->plan, row)));
    return object;
}

/* A CSV row: the situation's keys, the op's, and those of one message or of none. */
static void add_csv(planning *k, const situation *s, const json_t *op, const json_t *of_message) {
    json_t *row = situation_json(s);
    if (row) json_object_del(row, "skipped");
    bool ok = row && op && json_object_update(row, (json_t *)(uintptr_t)op) == 0;
    if (ok && of_message) {
        json_t *copy = json_deep_copy(of_message);
        cli_set(&row, "message", copy);
    }
    cli_append(&k->rows, row);
}

/* --- page ------------------------------------------------------------------------------------- */

/* Pair transfers times payload; else everything that it moves. */
static void add_moved(omni_table *t, const situation *s, const omni_step *step, const omni_counters *c) {
    char text[32];
    const omni_mesh *mesh = &s->plan->mesh;
    bool one = mesh->groups * omni_mesh_pieces_in(mesh, step->cut) == 1;
    size_t pairs = one ? omni_mesh_ranks(mesh, 0, step->stage).count - 1 : 0;
    if (step->kind == OMNI_STEP_REDUCE && pairs > 1)
        omni_table_cell(t, "%zu x %s", pairs, omni_format_bytes(text, sizeof text, plan_moved(c) / pairs));
    else
        omni_table_cell(t, "%s", omni_format_bytes(text, sizeof text, plan_moved(c)));
}

/* "tree reduction": "in 4 strips" where it is double-buffered. */
static void add_step_cell(omni_table *t, const char *name, const omni_step *step) {
    if (step && step->strips)
        omni_table_cell(t, "%s, %zu strips", name, step->strips);
    else
        omni_table_cell(t, "%s", name);
}

/* What the op computes strip by strip; NULL: nothing. */
static const omni_step *strips_of(const situation *s, const omni_explain *row) {
    for (size_t i = row->step_first; i < row->step_first + row->step_count; i++)
        if (s->plan->step[i].strips && !omni_step_is_message(&s->plan->step[i])) return &s->plan->step[i];
    return NULL;
}

static void add_op_cells(omni_table *t, const planning *k, const situation *s, const omni_explain *row) {
    char layers[32], bytes[32];
    uint64_t weights = plan_weight_bytes(k->c, s->plan, row);
    omni_table_cell(t, "%s", layers_text(s, row, layers));
    omni_table_cell(t, "%s", op_name(s, row));
    add_step_cell(t, method_name(s, row), strips_of(s, row));
    omni_table_cell(t, "%s%s%s", row->op ? omni_placement_name(row->in) : "", row->op ? " -> " : "-> ",
                    omni_placement_name(row->out));
    omni_table_cell(t, "%s", weights ? omni_format_bytes(bytes, sizeof bytes, weights) : "");
}

static void add_message_cells(omni_table *t, const situation *s, const message *m) {
    add_step_cell(t, omni_step_name(m->step->kind), m->step);
    omni_table_cell(t, "%s", m->route);
    add_moved(t, s, m->step, &m->prefill);
    if (!s->encoder) add_moved(t, s, m->step, &m->decode);
}

static void add_blank(omni_table *t, size_t cells) {
    for (size_t i = 0; i < cells; i++) omni_table_cell(t, "%s", "");
}

/* Steps that move nothing here (one PE) are not shown. */
static bool shown(const omni_step *step, const message *m) {
    return omni_step_is_message(step) && plan_moved(&m->prefill) + plan_moved(&m->decode) > 0;
}

static void add_row(planning *k, const situation *s, const omni_explain *row, omni_table *t, json_t **ops) {
    json_t *op = op_json(k, s, row), *messages = json_array();
    add_op_cells(t, k, s, row);
    for (size_t i = row->step_first; i < row->step_first + row->step_count; i++) {
        const omni_step *step = &s->plan->step[i];
        if (!omni_step_is_message(step)) continue;
        message m = message_of(s, step);
        if (!shown(step, &m)) continue;
        if (json_array_size(messages) > 0) add_blank(t, 5);
        add_message_cells(t, s, &m);
        json_t *one = message_json(&m);
        add_csv(k, s, op, one);
        cli_append(&messages, one);
    }
    if (json_array_size(messages) == 0) {
        add_blank(t, s->encoder ? 3 : 4);
        add_csv(k, s, op, NULL);
    }
    cli_set(&op, "messages", messages);
    cli_append(ops, op);
}

static omni_status add_ops(planning *k, const situation *s, json_t **ops, omni_error *err) {
    const char *const headers[] = {"layers",      "op",      "method", "in -> out",
                                   ">weights/PE", "message", "route",  s->encoder ? ">encode" : ">prefill",
                                   ">decode step"};
    omni_explain *rows;
    size_t count;
    omni_status status = omni_plan_explain(s->plan, &rows, &count, err);
    if (status) return status;
    omni_table *t = omni_table_create(headers, sizeof headers / sizeof *headers - (s->encoder ? 1 : 0));
    for (size_t i = 0; i < count; i++) add_row(k, s, &rows[i], t, ops);
    omni_table_draw(t, k->page);
    if (s->plan->spec.overlap > 1)
        omni_text_add(k->page, "strips, of tokens or of a decode step's features: double-buffered, one under "
                               "way while the next is computed\n");
    omni_table_free(t);
    omni_free(rows);
    return OMNI_OK;
}

static void draw_totals(const situation *s, omni_text *page) {
    const omni_counters *phase[] = {&s->prefill, &s->step, &s->decode};
    char all[48];
    snprintf(all, sizeof all, ">%zu decode step%s", s->gen - 1, s->gen == 2 ? "" : "s");
    size_t phases = s->encoder ? 1 : 3;
    omni_table *t = omni_table_create(
        (const char *const[]){"total", s->encoder ? ">encode" : ">prefill", ">decode step", all}, 1 + phases);
    for (size_t i = 0; i < OMNI_COUNTERS; i++) {
        omni_table_cell(t, "%s", omni_counter_names[i]);
        for (size_t j = 0; j < phases; j++)
            omni_table_cell(t, "%llu", (unsigned long long)omni_counters_get(phase[j], i));
    }
    omni_text_add(page, "\n");
    omni_table_draw(t, page);
    omni_table_free(t);
}

void plan_draw_situation(const situation *s, omni_text *page) {
    omni_text_add(page, "on     %zu PE%s, batch %zu, prompt %zu, ", s->pes, s->pes == 1 ? "" : "s", s->batch,
                  s->prompt);
    if (s->encoder)
        omni_text_add(page, "%s\n", s->marks ? "a masked token in each sequence" : "one pass");
    else
        omni_text_add(page, "%zu to generate\n", s->gen);
}

static void draw_head(const situation *s, omni_text *page) {
    char methods[512];
    omni_text_add(page, "plan   %s: %s\n", s->spec->name, cli_methods_text(s->spec, methods, sizeof methods));
    plan_draw_situation(s, page);
    if (s->skipped[0]) omni_text_add(page, "skipped: %s\n", s->skipped);
}

static json_t *memory_json(const situation *s) {
    json_t *ranks = s->memory ? json_array() : json_null();
    for (size_t i = 0; s->memory && i < s->pes; i++) cli_append(&ranks, cli_memory_json(&s->memory[i]));
    return ranks;
}

omni_status plan_explain_situation(planning *k, const situation *s, omni_error *err) {
    json_t *object = situation_json(s), *ops = json_array(), *claims = json_array();
    omni_status status = OMNI_OK;
    if (*omni_text_string(k->page)) omni_text_add(k->page, "\n");
    draw_head(s, k->page);
    if (!s->skipped[0]) {
        omni_text_add(k->page, "\n");
        status = add_ops(k, s, &ops, err);
        draw_totals(s, k->page);
        if (s->memory) {
            omni_text_add(k->page, "\n");
            cli_draw_memory(s->memory, s->pes, k->page);
        }
        if (!status) status = plan_claims_situation(k, s, &claims, err);
        cli_set(&object, "methods", cli_methods_json(s->spec));
        cli_set(&object, "ops", json_incref(ops));
        json_t *totals = situation_totals(s), *memory = memory_json(s);
        cli_set(&object, "totals", totals);
        cli_set(&object, "memory", memory);
        cli_set(&object, "claims", json_incref(claims));
    }
    json_decref(ops);
    json_decref(claims);
    cli_append(&k->plans, object);
    return status;
}
