/* set.c: what of an array can be changed (--set) and asked, by the keys of its file. */
#include <math.h>
#include <stdio.h>

#include "array/keys.h"

/* A bus lets a dead PE pass; links end at it, and how they would go around nobody has said. */
omni_status array_settle(faults *f, const omni_array *a, const char *const *where, omni_error *err) {
    static const char *const dotted[FAULT_KEYS] = {"faults.slow", "faults.dead", "faults.jitter",
                                                   "faults.seed"};
    if (!where) where = dotted;
    omni_status status = faults_settle(f, omni_array_pes(a), where, err);
    if (!status && f->ranges[FAULT_DEAD] && a->network != OMNI_NETWORK_BUS)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: links end at a dead PE (expected an array with a bus)", where[FAULT_DEAD]);
    return status;
}

static size_t find_dotted(const char *key) {
    const char *dot = strchr(key, '.');
    return dot ? key_find(key, (size_t)(dot - key), dot + 1, false) : ARRAY_KEYS;
}

/* Wires can be taken away, not made up. */
static omni_status set_wires(omni_array *a, const char *key, const char *value, omni_error *err) {
    bool own;
    omni_status status = wires_parse(value, key, &own, err);
    if (!status && own && !a->own_wires)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: own (expected a file that describes the wires)", key);
    if (!status) a->own_wires = own;
    return status;
}

static omni_status set_fault(omni_array *a, const char *key, const char *value, omni_error *err) {
    fault_key k = fault_key_find(key + strlen("faults."));
    faults f = a->faults;
    if (k == FAULT_KEYS)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "unknown key '%.60s' (expected faults.slow, faults.dead, faults.jitter or faults.seed)", key);
    omni_status status = faults_set(&f, k, value, key, err);
    if (!status) status = array_settle(&f, a, NULL, err);
    if (!status) a->faults = f;
    return status;
}

static omni_status unknown_dotted(const char *key, omni_error *err) {
    omni_guess g = omni_guess_start(key);
    for (size_t i = 0; i < ARRAY_KEYS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", array_keys[i].section, array_keys[i].name);
        omni_guess_try(&g, name);
        name[strcspn(name, "_")] = '\0'; /* bus.width */
        omni_guess_try(&g, name);
    }
    if (g.nearest[0] && g.errors > 0) /* no error: a name without its unit, of several keys */
        return omni_error_set(err, OMNI_BAD_INPUT, "unknown key '%.60s' (did you mean '%s'?)", key,
                              g.nearest);
    return omni_error_set(
        err, OMNI_BAD_INPUT,
        "unknown key '%.60s' (expected one of an array file, as in bus.width or pe.memory_mib)", key);
}

omni_status omni_array_set(omni_array *a, const char *key, const char *value, omni_error *err) {
    bool of_faults = strncmp(key, "faults.", strlen("faults.")) == 0;
    size_t k = find_dotted(key), used = strlen(a->name);
    bool tree_wires = strcmp(key, "tree.wires") == 0;
    bool network = strcmp(key, "array.network") == 0;
    if (a->host)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%.60s: %s is this host, as measured (expected an array to vary)", key,
                              a->name);
    if (network)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: cannot be set (expected an array file of its own)",
                              key);
    if (tree_wires ? a->network != OMNI_NETWORK_BUS : k < ARRAY_KEYS && !key_is_of(k, a->network))
        return key_not_of(key, a->network, err);
    if (k == ARRAY_KEYS && !tree_wires && !of_faults) return unknown_dotted(key, err);
    if (!tree_wires && !of_faults && array_keys[k].own_wires && !a->own_wires)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: of a tree whose wires are the bus's (expected wires = own)", key);
    omni_status status = of_faults    ? set_fault(a, key, value, err)
                         : tree_wires ? set_wires(a, key, value, err)
                                      : key_parse(&array_keys[k], value, key, &a->value[k], err);
    if (!status && k == ARRAY_PES) status = array_settle(&a->faults, a, NULL, err);
    if (!status) snprintf(a->name + used, sizeof a->name - used, " %s=%s", key, value);
    return status;
}

double omni_array_get(const omni_array *a, const char *key) {
    size_t k = find_dotted(key);
    if (k == ARRAY_KEYS || (array_keys[k].own_wires && !a->own_wires) || !key_is_of(k, a->network))
        return NAN;
    return a->value[k];
}

bool omni_array_is_host(const omni_array *a) {
    return a->host != NULL;
}

bool omni_array_has_faults(const omni_array *a) {
    return faults_any(&a->faults);
}

size_t omni_array_living(const omni_array *a, size_t pes) {
    return faults_living(&a->faults, pes);
}

omni_array *omni_array_healthy(const omni_array *array) {
    omni_array *a = omni_array_copy(array);
    if (a) a->faults = (faults){.zone = {{.ppm = PPM}}, .zones = 1};
    return a;
}

bool omni_array_own_wires(const omni_array *a) {
    return a->own_wires;
}

omni_network omni_array_network(const omni_array *a) {
    return a->network;
}

const char *omni_array_name(const omni_array *a) {
    return a->name;
}

size_t omni_array_pes(const omni_array *a) {
    return (size_t)a->value[ARRAY_PES];
}
