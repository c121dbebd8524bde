/* parse.c: a plan as text.
 *
 *   plan   = layer { "/" layer }          cycles over the layers
 *   layer  = [ name ] { ":" key "=" value }   parts left out keep megatron's
 *
 * A name may itself stand for a cycle (alternate); parts behind it then override every layer of it. Parts
 * that cut the mesh (groups, stages, ...), say what lies where on it (weights, over) or what floats travel as
 * hold for all layers, wherever they stand. `single` in a cycle, or with parts, means something but is not
 * built yet: it parses, and spec.missing says so, for lists to show it as skipped.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"

/* Two-valued parts besides the method tables: the first value is the default. */
static const struct {
    const char *key, *off, *on;
} switches[] = {{"gather", "tree", "bus"}, {"edge", "bcast", "scatter"}};

enum { MOST_NUMBER = 1 << 24 };

/* Parts that cut the mesh, or what is done on it: a number, or what its least value is called. */
static const struct {
    const char *key, *least; /* least: the name of 0; NULL: there is none */
    size_t field, initial, most;
} numbers[] = {
    {"groups", "each", offsetof(omni_plan_spec, groups), 1, MOST_NUMBER},
    {"stages", "each", offsetof(omni_plan_spec, stages), 1, MOST_NUMBER},
    {"stack", NULL, offsetof(omni_plan_spec, stack), 1, MOST_NUMBER},
    {"chunk", "all", offsetof(omni_plan_spec, chunk), 128, MOST_NUMBER},
    {"overlap", NULL, offsetof(omni_plan_spec, overlap), 1, OMNI_MOST_STRIPS},
};
/* Parts of two values that hold for all layers; the first is the default. */
static const struct {
    const char *key, *off, *on;
    size_t field; /* bool */
} words[] = {
    {"weights", "own", "stream", offsetof(omni_plan_spec, stream)},
    {"over", "batch", "token", offsetof(omni_plan_spec, over_tokens)},
};
enum {
    SWITCHES = sizeof switches / sizeof *switches,
    NUMBERS = sizeof numbers / sizeof *numbers,
    WORDS = sizeof words / sizeof *words
};

/* What floats travel as: on both, or on one of them, which counts for more. */
static const char *const wires[] = {"wire", "wire-bus", "wire-tree"};
enum { WIRE_BOTH, WIRE_BUS, WIRE_TREE, WIRES };

enum {
    SEEN_SWITCH = OMNI_METHOD_KEYS,
    SEEN_WIRE = SEEN_SWITCH + SWITCHES,
    SEEN_NUMBER = SEEN_WIRE + WIRES,
    SEEN_WORD = SEEN_NUMBER + NUMBERS,
    SEEN_KEYS = SEEN_WORD + WORDS,
    WORD = 64
};

typedef struct parser {
    omni_plan_spec *spec;
    const char *whole_text;
    omni_error *err;
    size_t depth;                 /* inside a name's own parts */
    bool seen[SEEN_KEYS];         /* by the user, of the parts that hold for all layers */
    const omni_wire *wire[WIRES]; /* NULL: not said */
    const char *mesh_name;        /* a name that cuts the mesh */
} parser;

static omni_status bad(parser *p, const char *what, const char *word, const char *expected) {
    return omni_error_set(p->err, OMNI_BAD_INPUT, "plan '%s': %s '%s' (expected %s)", p->whole_text, what,
                          word, expected);
}

/* What is not there, and what it may have been meant to be. */
static omni_status unknown(parser *p, const char *what, const omni_guess *g, const char *expected) {
    if (!g->nearest[0]) return bad(p, what, g->word, expected);
    return omni_error_set(p->err, OMNI_BAD_INPUT, "plan '%s': %s '%s' (did you mean '%s'?)", p->whole_text,
                          what, g->word, g->nearest);
}

/* The key of a part by its place in `seen`. */
static const char *part_key(size_t id) {
    if (id >= SEEN_WORD) return words[id - SEEN_WORD].key;
    if (id >= SEEN_NUMBER) return numbers[id - SEEN_NUMBER].key;
    if (id >= SEEN_WIRE) return wires[id - SEEN_WIRE];
    return id >= SEEN_SWITCH ? switches[id - SEEN_SWITCH].key : omni_key_name((omni_key)id);
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
    omni_guess g = omni_guess_start(value);
    for (size_t i = 0; i < count; i++) {
        omni_guess_try(&g, row[i].name);
        if (strcmp(row[i].name, value) != 0) continue;
        m->choice[key] = i;
        return OMNI_OK;
    }
    return unknown(p, "unknown value", &g, names_of(key, text, sizeof text));
}

/* A part that is a number. */
static omni_status set_number(parser *p, size_t k, const char *value) {
    size_t *field = (size_t *)((char *)p->spec + numbers[k].field);
    const char *least = numbers[k].least;
    char expected[WORD];
    if (least && strcmp(value, least) == 0) {
        *field = 0;
        return OMNI_OK;
    }
    if (omni_parse_size(value, numbers[k].most, field) && *field > 0) return OMNI_OK;
    snprintf(expected, sizeof expected, "a number from 1 to %zu%s%s", numbers[k].most, least ? ", or " : "",
             least ? least : "");
    char what[WORD];
    snprintf(what, sizeof what, "%s is", numbers[k].key);
    return bad(p, what, value, expected);
}

static omni_status set_word(parser *p, size_t k, const char *value) {
    char expected[2 * WORD];
    bool *field = (bool *)((char *)p->spec + words[k].field), on = strcmp(value, words[k].on) == 0;
    *field = on;
    if (on || strcmp(value, words[k].off) == 0) return OMNI_OK;
    snprintf(expected, sizeof expected, "%s, %s", words[k].off, words[k].on);
    return bad(p, "unknown value", value, expected);
}

/* A part that holds for all layers. Whoever writes it twice means nothing. */
static omni_status set_for_all(parser *p, size_t id, const char *key, const char *value) {
    if (p->depth == 0 && p->seen[id]) return bad(p, "repeated key", key, "each key once");
    p->seen[id] |= p->depth == 0;
    return id >= SEEN_WORD ? set_word(p, id - SEEN_WORD, value) : set_number(p, id - SEEN_NUMBER, value);
}

static omni_status set_switch(parser *p, omni_methods *m, size_t layers, size_t k, const char *value) {
    bool on = strcmp(value, switches[k].on) == 0;
    if (!on && strcmp(value, switches[k].off) != 0)
        return bad(p, "unknown value", value, k ? "bcast, scatter" : "tree, bus");
    for (size_t l = 0; l < layers; l++) *(k ? &m[l].edge_scatter : &m[l].gather_bus) = on;
    return OMNI_OK;
}

static omni_status set_wire(parser *p, size_t k, const char *value) {
    size_t count, used = 0;
    const omni_wire *row = omni_wire_table(&count);
    char names[WORD] = "";
    if (p->wire[k]) return bad(p, "repeated key", wires[k], "each key once");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(row[i].name, value) == 0) p->wire[k] = &row[i];
        if (used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", row[i].name);
    }
    return p->wire[k] ? OMNI_OK : bad(p, "unknown value", value, names);
}

static omni_dtype wire_of(const parser *p, size_t k) {
    const omni_wire *wire = p->wire[k] ? p->wire[k] : p->wire[WIRE_BOTH];
    return wire ? wire->dtype : OMNI_F32;
}

/* Finds key, marks it seen (a second time is an error), sets its value in every layer of the block. */
static omni_status set_part(parser *p, omni_methods *m, size_t layers, const char *key, const char *value,
                            bool *seen) {
    size_t id = 0;
    omni_guess g = omni_guess_start(key);
    for (; id < SEEN_KEYS && strcmp(key, part_key(id)) != 0; id++) omni_guess_try(&g, part_key(id));
    if (id == SEEN_KEYS) {
        char keys[4 * WORD] = "";
        for (size_t k = 0, used = 0; k < SEEN_KEYS && used < sizeof keys; k++)
            used += (size_t)snprintf(keys + used, sizeof keys - used, "%s%s", k ? ", " : "", part_key(k));
        return unknown(p, "unknown key", &g, keys);
    }
    if (seen[id]) return bad(p, "repeated key", key, "each key once");
    seen[id] = true;

    if (id >= SEEN_NUMBER) return set_for_all(p, id, key, value);
    if (id >= SEEN_WIRE) return set_wire(p, id - SEEN_WIRE, value);
    if (id >= SEEN_SWITCH) return set_switch(p, m, layers, id - SEEN_SWITCH, value);
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

static omni_status parse_named(parser *p, const omni_named_plan *plan) {
    p->depth++;
    omni_status st = parse_cycle(p, plan->text);
    p->depth--;
    if (strstr(plan->text, "=each")) p->mesh_name = plan->name;
    return st;
}

static omni_status set_name(parser *p, const char *name, size_t *first) {
    size_t count;
    const omni_named_plan *plan = omni_named_plans(&count);
    omni_guess g = omni_guess_start(name);
    for (size_t i = 0; i < count; i++) {
        omni_guess_try(&g, plan[i].name);
        if (strcmp(plan[i].name, name) != 0) continue;
        *first = p->spec->cycle;
        if (plan[i].text[0]) return parse_named(p, &plan[i]);
        p->spec->whole = true; /* single has no parts */
        p->spec->layer[p->spec->cycle++] = (omni_methods){.choice = {0, METHOD_ATTN_HEADS, 1, 2}};
        return OMNI_OK;
    }
    return unknown(p, "unknown name", &g, "a name such as megatron, or key=value parts");
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
    for (size_t k = 0; k < NUMBERS; k++) *(size_t *)((char *)out + numbers[k].field) = numbers[k].initial;
    parser p = {.spec = out, .whole_text = text, .err = err};
    omni_status st = parse_cycle(&p, text);
    if (st != OMNI_OK) return st;
    out->wire_bus = wire_of(&p, WIRE_BUS);
    out->wire_tree = wire_of(&p, WIRE_TREE);
    if (p.mesh_name && strchr(text, '/'))
        return bad(&p, "in a cycle:", p.mesh_name, "it alone: it distributes all layers alike");
    if (out->whole && (out->cycle > 1 || strcmp(text, "single") != 0))
        snprintf(
            out->missing, sizeof out->missing,
            "'single' in a cycle or with parts of its own is not built yet (the nearest that is: single)");
    return OMNI_OK;
}
