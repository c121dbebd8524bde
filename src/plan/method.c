/* method.c: the distribution methods and the named plans, as tables. --help, error messages, `all` and the
 * tests read them too.
 */
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"

#define ROWS "split-out (rows)"
#define COLS "split-in (cols)"

static const omni_method qkv_methods[] = {
    {.name = "out", .help = ROWS, .split_in = {false}},
    {.name = "in", .help = COLS, .split_in = {true}},
};
static const omni_method attn_methods[] = {
    [METHOD_ATTN_HEADS] = {.name = "heads", .help = "by heads"},
    [METHOD_ATTN_TOKENS] = {.name = "tokens", .help = "by tokens"},
    [METHOD_ATTN_SUBHEADS] = {.name = "subheads", .help = "by sub-heads"},
};
static const omni_method o_methods[] = {
    {.name = "out", .help = ROWS, .split_in = {false}},
    {.name = "in", .help = COLS, .split_in = {true}},
};
static const omni_method ffn_methods[] = {
    {.name = "out+out", .help = "rows + rows", .split_in = {false, false}},
    {.name = "in+in", .help = "cols + cols", .split_in = {true, true}},
    {.name = "out+in", .help = "rows + cols", .split_in = {false, true}},
    {.name = "in+out", .help = "cols + rows", .split_in = {true, false}},
};

#define TABLE(t)                                                                                             \
    { t, sizeof t / sizeof *t }
static const struct {
    const char *key;
    struct {
        const omni_method *row;
        size_t count;
    } methods;
} keys[OMNI_METHOD_KEYS] = {
    [OMNI_KEY_QKV] = {"qkv", TABLE(qkv_methods)},
    [OMNI_KEY_ATTN] = {"attn", TABLE(attn_methods)},
    [OMNI_KEY_O] = {"o", TABLE(o_methods)},
    [OMNI_KEY_FFN] = {"ffn", TABLE(ffn_methods)},
};

static const omni_named_plan named[] = {
    {"single", "", "everything on PE 0, the others idle: the yardstick"},
    {"megatron", "qkv=out:attn=heads:o=in:ffn=out+in",
     "the field's usual: 2 reductions + 2 broadcasts a layer"},
    {"workflow1", "qkv=out:attn=heads:o=in:ffn=in+out", "broadcast input, distributed output"},
    {"workflow2", "qkv=in:attn=tokens:o=in:ffn=out+in", "distributed input, full output"},
    {"alternate", "workflow1/workflow2", "the two as one cycle, layer by layer"},
    {"lockstep", "megatron:groups=each:weights=stream",
     "batch over PEs, weights dealt out and broadcast when used"},
    {"replica", "megatron:groups=each", "the whole model on every PE, batch over PEs"},
    {"pipeline", "megatron:stages=each", "layers over PEs, sequences and chunks of long ones in flight"},
};

const char *omni_key_name(omni_key key) {
    return keys[key].key;
}

const omni_method *omni_method_table(omni_key key, size_t *count) {
    *count = keys[key].methods.count;
    return keys[key].methods.row;
}

const omni_named_plan *omni_named_plans(size_t *count) {
    *count = sizeof named / sizeof *named;
    return named;
}

/* ":wire=bf16", ":wire-bus=f16", ... */
static void format_wires(const omni_plan_spec *s, char *buf, size_t cap) {
    const char *bus = omni_wire_find(s->wire_bus)->name, *tree = omni_wire_find(s->wire_tree)->name;
    buf[0] = '\0';
    if (s->wire_bus != s->wire_tree)
        snprintf(buf, cap, ":wire-bus=%s:wire-tree=%s", bus, tree);
    else if (s->wire_bus != OMNI_F32)
        snprintf(buf, cap, ":wire=%s", bus);
}

const char *omni_mesh_format(const omni_plan_spec *s, char *buf, size_t cap) {
    const struct {
        const char *key;
        size_t value, neutral;
    } part[] = {{"groups", s->groups, 1},
                {"stages", s->stages, 1},
                {"stack", s->stack, s->stages == 1 ? s->stack : 1},
                {"chunk", s->chunk, s->stages == 1 ? s->chunk : SIZE_MAX},
                {"overlap", s->overlap, s->overlap > 1 ? 1 : s->overlap}};
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < sizeof part / sizeof *part && used < cap; i++) {
        if (part[i].value == part[i].neutral) continue;
        used += (size_t)snprintf(buf + used, cap - used, ":%s=", part[i].key);
        if (used >= cap) break;
        used += part[i].value ? (size_t)snprintf(buf + used, cap - used, "%zu", part[i].value)
                              : (size_t)snprintf(buf + used, cap - used, "%s", i < 2 ? "each" : "all");
    }
    if (used < cap)
        used += (size_t)snprintf(buf + used, cap - used, "%s%s", s->stream ? ":weights=stream" : "",
                                 s->over_tokens ? ":over=token" : "");
    if (used < cap) format_wires(s, buf + used, cap - used);
    return buf;
}

const char *omni_methods_format(const omni_methods *m, char *buf, size_t cap) {
    snprintf(buf, cap, "qkv=%s:attn=%s:o=%s:ffn=%s%s%s", qkv_methods[m->choice[OMNI_KEY_QKV]].name,
             attn_methods[m->choice[OMNI_KEY_ATTN]].name, o_methods[m->choice[OMNI_KEY_O]].name,
             ffn_methods[m->choice[OMNI_KEY_FFN]].name, m->gather_bus ? ":gather=bus" : "",
             m->edge_scatter ? ":edge=scatter" : "");
    return buf;
}
