/* parse.c: a plan as text.
 *
 *   plan   = layer { "/" layer }          cycles over the layers
 *   layer  = [ name ] { ":" key "=" value }   parts left out keep megatron's
 *
 * A name may itself stand for a cycle (alternate); parts behind it then override every layer of it. What is
 * known but not built yet parses, and says so in spec.missing: lists show it as skipped.
 */
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"

/* Two-valued parts besides the method tables: the first value is the default. */
static const struct {
    const char *key, *off, *on;
} switches[] = {{"gather", "tree", "bus"}, {"edge", "bcast", "scatter"}};

/* Parts that are contracts of the command line but not built yet; their neutral value does nothing. */
static const struct {
    const char *key, *neutral;
} later[] = {{"groups", "1"}, {"stages", "1"}, {"stack", "1"}, {"wire", "f32"}};

enum { SEEN_SWITCH = OMNI_METHOD_KEYS, SEEN_LATER = SEEN_SWITCH + 2, SEEN_KEYS = SEEN_LATER + 4, WORD = 64 };

typedef struct parser {
    omni_plan_spec *spec;
    const char *whole_text;
    omni_error *err;
} parser;

static omni_status bad(parser *p, const char *what, const char *word, const char *expected) {
    return omni_error_set(p->err, OMNI_BAD_INPUT, "plan '%s': %s '%s' (expected %s)", p->whole_text, what,
                          word, expected);
}

static void not_built(parser *p, const char *what, const char *nearest) {
    if (!p->spec->missing[0])
        snprintf(p->spec->missing, sizeof p->spec->missing,
                 "%.60s is not built yet (the nearest that is: %.60s)", what, nearest);
}

/* The names of a method table, "out, in". */
static const char *names_of(omni_key key, char *buf, size_t cap) {
    size_t count, used = 0;
    const omni_method *row = omni_method_table(key, &count);
    buf[0] = 0;
    for (size_t i = 0; i < count && used < cap; i++)
        used += (size_t)snprintf(buf + used, cap - used, "%s%s", i ? ", " : "", row[i].name);
    return buf;
}

static omni_status set_method(parser *p, omni_methods *m, omni_key key, const char *value) {
    size_t count;
    const omni_method *row = omni_method_table(key, &count);
    char text[2 * WORD];
    for (size_t i = 0; i < count; i++) {
        if (strcmp(row[i].name, value) != 0) continue;
        m->choice[key] = i;
        snprintf(text, sizeof text, "%s=%s", omni_key_name(key), value);
        if (row[i].later) not_built(p, text, row[i].later);
        return OMNI_OK;
    }
    return bad(p, "unknown value", value, names_of(key, text, sizeof text));
}

/* Finds key, marks it seen (a second time is an error), sets its value in every layer of the block. */
static omni_status set_part(parser *p, omni_methods *m, size_t layers, const char *key, const char *value,
                            bool *seen) {
    size_t id = SEEN_KEYS;
    for (size_t k = 0; k < OMNI_METHOD_KEYS; k++)
        if (strcmp(key, omni_key_name((omni_key)k)) == 0) id = k;
    for (size_t k = 0; k < 2; k++)
        if (strcmp(key, switches[k].key) == 0) id = SEEN_SWITCH + k;
    for (size_t k = 0; k < 4; k++)
        if (strcmp(key, later[k].key) == 0) id = SEEN_LATER + k;
    if (id == SEEN_KEYS) return bad(p, "unknown key", key, "qkv, attn, o, ffn, gather, edge");
    if (seen[id]) return bad(p, "repeated key", key, "each key once");
    seen[id] = true;

    if (id >= SEEN_LATER) {
        const char *neutral = later[id - SEEN_LATER].neutral;
        char what[2 * WORD], nearest[2 * WORD];
        snprintf(what, sizeof what, "%s=%s", key, value);
        snprintf(nearest, sizeof nearest, "%s=%s", key, neutral);
        if (strcmp(value, neutral) != 0) not_built(p, what, nearest);
        return OMNI_OK;
    }
    if (id >= SEEN_SWITCH) {
        size_t k = id - SEEN_SWITCH;
        bool on = strcmp(value, switches[k].on) == 0;
        if (!on && strcmp(value, switches[k].off) != 0)
            return bad(p, "unknown value", value, k ? "bcast, scatter" : "tree, bus");
        for (size_t l = 0; l < layers; l++) *(k ? &m[l].edge_scatter : &m[l].gather_bus) = on;
        return OMNI_OK;
    }
    omni_status st = OMNI_OK;
    for (size_t l = 0; l < layers && st == OMNI_OK; l++) st = set_method(p, &m[l], (omni_key)id, value);
    return st;
}

/* Copies text up to one of `stops` into word; returns what stands behind, NULL when the word is empty or too
 * long. */
static const char *take_word(const char *text, const char *stops, char word[WORD]) {
    size_t n = strcspn(text, stops);
    if (n == 0 || n >= WORD) return NULL;
    memcpy(word, text, n);
    word[n] = 0;
    return text + n;
}

static omni_status parse_cycle(parser *p, const char *text);

static omni_status set_name(parser *p, const char *name, size_t *first) {
    size_t count;
    const omni_named_plan *plan = omni_named_plans(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(plan[i].name, name) != 0) continue;
        *first = p->spec->cycle;
        if (!plan[i].text) not_built(p, name, "megatron");
        if (plan[i].text && plan[i].text[0]) return parse_cycle(p, plan[i].text);
        p->spec->whole |= plan[i].text != NULL; /* single has no parts */
        p->spec->layer[p->spec->cycle++] = (omni_methods){.choice = {0, METHOD_ATTN_HEADS, 1, 2}};
        return OMNI_OK;
    }
    const char *best = plan[0].name;
    for (size_t i = 1; i < count; i++)
        if (omni_edit_distance(name, plan[i].name) < omni_edit_distance(name, best)) best = plan[i].name;
    char expected[WORD + 64] = "a name such as megatron, or key=value parts";
    if (omni_edit_distance(name, best) <= strlen(best) / 2)
        snprintf(expected, sizeof expected, "a name, perhaps '%s', or key=value parts", best);
    return bad(p, "unknown name", name, expected);
}

static omni_status parse_layer(parser *p, const char *text) {
    bool seen[SEEN_KEYS] = {false};
    size_t first = p->spec->cycle;
    char word[WORD], value[WORD];
    if (first >= OMNI_MAX_CYCLE) return bad(p, "too many layers in the cycle at", text, "16 at most");
    size_t name_length = strcspn(text, ":=");
    if (text[name_length] != '=') {
        const char *rest = take_word(text, ":", word);
        if (!rest) return bad(p, "empty or overlong part at", text, "a name or key=value");
        omni_status st = set_name(p, word, &first);
        if (st != OMNI_OK) return st;
        text = rest;
    } else {
        p->spec->layer[p->spec->cycle++] =
            (omni_methods){.choice = {0, METHOD_ATTN_HEADS, 1, 2}}; /* megatron */
        text--;                                                     /* as if a ':' stood before it */
    }
    while (*text) {
        const char *rest = take_word(text + 1, "=:", word);
        if (!rest || *rest != '=') return bad(p, "empty or overlong part at", text + 1, "key=value");
        text = take_word(rest + 1, ":", value);
        if (!text) return bad(p, "no value for", word, "key=value");
        omni_status st = set_part(p, p->spec->layer + first, p->spec->cycle - first, word, value, seen);
        if (st != OMNI_OK) return st;
    }
    return OMNI_OK;
}

static omni_status parse_cycle(parser *p, const char *text) {
    for (;;) {
        char layer[256];
        size_t n = strcspn(text, "/");
        if (n >= sizeof layer - 1) return bad(p, "too long", "...", "at most 250 characters");
        layer[0] = ':'; /* so that parse_layer may step back onto a separator */
        memcpy(layer + 1, text, n);
        layer[n + 1] = 0;
        if (n == 0) return bad(p, "empty layer in", text, "a name or key=value parts");
        omni_status st = parse_layer(p, layer + 1);
        if (st != OMNI_OK || !text[n]) return st;
        text += n + 1;
    }
}

omni_status omni_plan_parse(const char *text, omni_plan_spec *out, omni_error *err) {
    memset(out, 0, sizeof *out);
    if (!*text || strlen(text) >= sizeof out->name)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "plan '%.40s': empty or too long (expected a name or key=value parts)", text);
    snprintf(out->name, sizeof out->name, "%s", text);
    parser p = {.spec = out, .whole_text = text, .err = err};
    omni_status st = parse_cycle(&p, text);
    if (st != OMNI_OK) return st;
    if (out->whole && (out->cycle > 1 || strcmp(text, "single") != 0))
        not_built(&p, "'single' in a cycle or with parts of its own", "single");
    return OMNI_OK;
}
