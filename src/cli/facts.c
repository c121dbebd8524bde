/* facts.c: parts of a report that several commands show: a plan's methods and the memory of PEs. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* --- methods ---------------------------------------------------------------------------------- */

/* The choice of each layer of the cycle, "out" or "out/in". */
static void choices(const omni_plan_spec *s, omni_key key, char *buf, size_t cap) {
    size_t count, used = 0;
    const omni_method *row = omni_method_table(key, &count);
    buf[0] = '\0';
    for (size_t l = 0; l < s->cycle && used < cap; l++)
        used +=
            (size_t)snprintf(buf + used, cap - used, "%s%s", l ? "/" : "", row[s->layer[l].choice[key]].name);
}

static void switches(const omni_plan_spec *s, bool edge, char *buf, size_t cap) {
    size_t used = 0;
    buf[0] = '\0';
    for (size_t l = 0; l < s->cycle && used < cap; l++) {
        const omni_methods *m = &s->layer[l];
        const char *text = edge ? (m->edge_scatter ? "scatter" : "bcast") : (m->gather_bus ? "bus" : "tree");
        used += (size_t)snprintf(buf + used, cap - used, "%s%s", l ? "/" : "", text);
    }
}

json_t *cli_methods_json(const omni_plan_spec *s) {
    char text[16 * OMNI_MAX_CYCLE];
    json_t *object = json_object();
    for (size_t k = 0; k < OMNI_METHOD_KEYS; k++) {
        choices(s, (omni_key)k, text, sizeof text);
        cli_set(&object, omni_key_name((omni_key)k), json_string(s->whole ? "whole" : text));
    }
    switches(s, false, text, sizeof text);
    cli_set(&object, "gather", json_string(s->whole ? "whole" : text));
    switches(s, true, text, sizeof text);
    cli_set(&object, "edge", json_string(s->whole ? "whole" : text));
    cli_set(&object, "groups", s->groups ? cli_size(s->groups) : json_string("each"));
    cli_set(&object, "stages", s->stages ? cli_size(s->stages) : json_string("each"));
    cli_set(&object, "stack", cli_size(s->stack));
    cli_set(&object, "chunk", s->chunk ? cli_size(s->chunk) : json_string("all"));
    cli_set(&object, "overlap", cli_size(s->overlap));
    cli_set(&object, "over", json_string(s->over_tokens ? "token" : "batch"));
    cli_set(&object, "weights", json_string(s->stream ? "stream" : "own"));
    cli_set(&object, "wire_bus", json_string(omni_wire_find(s->wire_bus)->name));
    cli_set(&object, "wire_tree", json_string(omni_wire_find(s->wire_tree)->name));
    return object;
}

const char *cli_methods_text(const omni_plan_spec *s, char *buf, size_t cap) {
    size_t used = 0;
    snprintf(buf, cap, "everything on PE 0");
    for (size_t l = 0; !s->whole && l < s->cycle && used < cap; l++) {
        char layer[128];
        omni_methods_format(&s->layer[l], layer, sizeof layer);
        used += (size_t)snprintf(buf + used, cap - used, "%s%s", l ? " / " : "", layer);
    }
    if (!s->whole && used < cap) omni_mesh_format(s, buf + used, cap - used);
    return buf;
}

/* --- memory ----------------------------------------------------------------------------------- */

json_t *cli_memory_json(const omni_memory *m) {
    json_t *object = json_object();
    cli_set(&object, "weight_bytes", cli_size(m->weight_bytes));
    cli_set(&object, "kv_bytes", cli_size(m->kv_bytes));
    cli_set(&object, "activation_bytes", cli_size(m->activation_bytes));
    cli_set(&object, "peak_bytes", cli_size(m->peak_bytes));
    cli_set(&object, "resident_bytes", cli_size(m->resident_bytes));
    return object;
}

/* peak: with a column for it */
static void add_memory(omni_table *t, const char *name, const omni_memory *m, bool peak) {
    const uint64_t bytes[] = {m->weight_bytes, m->kv_bytes, m->activation_bytes, m->resident_bytes,
                              m->peak_bytes};
    char text[32];
    omni_table_cell(t, "%s", name);
    for (size_t i = 0; i < (peak ? 5 : 4); i++)
        omni_table_cell(t, "%s", omni_format_bytes(text, sizeof text, bytes[i]));
}

static uint64_t pick(uint64_t a, uint64_t b, int want) {
    return want > 0 ? (a > b ? a : b) : want < 0 ? (a < b ? a : b) : a + b;
}

omni_memory cli_fold_memory(const omni_memory *ranks, size_t count, int want) {
    omni_memory m = ranks[0];
    for (size_t i = 1; i < count; i++) {
        m.weight_bytes = pick(m.weight_bytes, ranks[i].weight_bytes, want);
        m.kv_bytes = pick(m.kv_bytes, ranks[i].kv_bytes, want);
        m.activation_bytes = pick(m.activation_bytes, ranks[i].activation_bytes, want);
        m.resident_bytes = pick(m.resident_bytes, ranks[i].resident_bytes, want);
        m.peak_bytes = pick(m.peak_bytes, ranks[i].peak_bytes, want);
    }
    return m;
}

void cli_draw_memory(const omni_memory *ranks, size_t count, omni_text *page) {
    enum { EACH = 8 };
    static const char *const headers[] = {"memory", ">weights", ">kv", ">activations", ">resident", ">peak"};
    bool peak = false; /* only a change of plans makes one */
    for (size_t i = 0; i < count; i++) peak |= ranks[i].peak_bytes != ranks[i].resident_bytes;
    omni_table *t = omni_table_create(headers, peak ? 6 : 5);
    for (size_t i = 0; count <= EACH && i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "PE %zu", i);
        add_memory(t, name, &ranks[i], peak);
    }
    omni_memory least = cli_fold_memory(ranks, count, -1), most = cli_fold_memory(ranks, count, 1),
                sum = cli_fold_memory(ranks, count, 0);
    if (count > EACH) {
        add_memory(t, "least of a PE", &least, peak);
        add_memory(t, "most of a PE", &most, peak);
    }
    if (count > 1) add_memory(t, "sum", &sum, peak);
    omni_table_draw(t, page);
    omni_table_free(t);
}
