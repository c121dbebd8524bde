/* file.c: array files. Every key must be given: a figure that is silently assumed is a figure nobody checked.
 * Only [faults] may be left out (faults.c): most arrays have none.
 */
#include <math.h>
#include <stdio.h>

#include "array/keys.h"
#include "omnibus/config.h"

typedef struct reader {
    omni_array *array;
    bool given[ARRAY_KEYS], wires, network, fault[FAULT_KEYS];
    char wires_where[320];
    char where[ARRAY_KEYS][320], fault_where[FAULT_KEYS][320]; /* of each that was given */
} reader;

static omni_status unknown_section(const char *section, omni_error *err) {
    omni_guess g = omni_guess_start(section);
    for (size_t i = 0; i < ARRAY_KEYS; i++) omni_guess_try(&g, array_keys[i].section);
    omni_guess_try(&g, "faults");
    if (g.nearest[0])
        return omni_error_set(err, OMNI_BAD_INPUT, "unknown section [%.40s] (did you mean [%s]?)", section,
                              g.nearest);
    return omni_error_set(
        err, OMNI_BAD_INPUT,
        "unknown section [%.40s] (expected array, pe, bus, tree, link, host, energy or faults)", section);
}

static omni_status unknown_key(const omni_ini_line *line, omni_error *err) {
    omni_guess g = omni_guess_start(line->key);
    const char *longer = NULL; /* with its unit */
    bool section = false;
    for (size_t i = 0; i < ARRAY_KEYS; i++) {
        if (strcmp(array_keys[i].section, line->section) != 0) continue;
        section = true;
        omni_guess_try(&g, array_keys[i].name);
        if (*line->key && key_is_called(&array_keys[i], line->key)) longer = array_keys[i].name;
    }
    if (!section) return unknown_section(line->section, err);
    if (longer || g.nearest[0])
        return omni_error_set(err, OMNI_BAD_INPUT, "unknown key '%.40s' (did you mean '%s'?)", line->key,
                              longer ? longer : g.nearest);
    return omni_error_set(err, OMNI_BAD_INPUT, "unknown key '%.40s' in [%.40s]", line->key, line->section);
}

static omni_status take_fault(reader *r, const omni_ini_line *line, omni_error *err) {
    fault_key k = fault_key_find(line->key);
    if (k == FAULT_KEYS)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "unknown key '%.40s' in [faults] (expected slow, dead, jitter or seed)",
                              line->key);
    if (r->fault[k]) return omni_error_set(err, OMNI_BAD_INPUT, "%s: given twice", line->where);
    r->fault[k] = true;
    snprintf(r->fault_where[k], sizeof r->fault_where[k], "%.319s", line->where);
    return faults_set(&r->array->faults, k, line->value, line->where, err);
}

static omni_status take_key(void *user, const omni_ini_line *line, omni_error *err) {
    reader *r = user;
    bool tree_wires = strcmp(line->section, "tree") == 0 && strcmp(line->key, "wires") == 0;
    if (strcmp(line->section, "faults") == 0) return take_fault(r, line, err);
    bool network = strcmp(line->section, "array") == 0 && strcmp(line->key, "network") == 0;
    size_t k = key_find(line->section, strlen(line->section), line->key, true);
    if (!tree_wires && !network && k == ARRAY_KEYS) return unknown_key(line, err);
    bool *given = tree_wires ? &r->wires : network ? &r->network : &r->given[k];
    if (*given) return omni_error_set(err, OMNI_BAD_INPUT, "%s: given twice", line->where);
    *given = true;
    if (tree_wires) snprintf(r->wires_where, sizeof r->wires_where, "%.319s", line->where);
    if (tree_wires) return wires_parse(line->value, line->where, &r->array->own_wires, err);
    if (network) return network_parse(line->value, line->where, &r->array->network, err);
    snprintf(r->where[k], sizeof r->where[k], "%.319s", line->where);
    return key_parse(&array_keys[k], line->value, line->where, &r->array->value[k], err);
}

static omni_status check_network(const reader *r, omni_error *err) {
    omni_network network = r->array->network;
    if (network != OMNI_NETWORK_BUS && r->wires) return key_not_of(r->wires_where, network, err);
    for (size_t k = 0; k < ARRAY_KEYS; k++) {
        if (key_is_of(k, network)) continue;
        if (r->given[k]) return key_not_of(r->where[k], network, err);
        r->array->value[k] = key_absent(k);
    }
    return OMNI_OK;
}

/* Everything is there, and nothing that would be ignored. */
static omni_status check_whole(const reader *r, const char *path, omni_error *err) {
    omni_network network = r->array->network;
    if (network == OMNI_NETWORK_BUS && !r->wires)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: no [tree] wires (expected bus or own)", path);
    for (size_t k = 0; k < ARRAY_KEYS; k++) {
        if (!key_is_of(k, network)) continue;
        bool wanted = r->array->own_wires || !array_keys[k].own_wires;
        if (wanted && !r->given[k])
            return omni_error_set(err, OMNI_BAD_INPUT, "%s: no [%s] %s (expected a value for every key)",
                                  path, array_keys[k].section, array_keys[k].name);
        if (!wanted && r->given[k])
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "%s: of a tree whose wires are the bus's (expected it with wires = own)",
                                  r->where[k]);
    }
    const char *where[FAULT_KEYS];
    for (size_t k = 0; k < FAULT_KEYS; k++) where[k] = r->fault_where[k];
    return array_settle(&r->array->faults, r->array, where, err);
}

/* "configs/arrays/ideal.ini" is called "ideal". */
static void name_after(omni_array *a, const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".ini") == 0) length -= 4;
    snprintf(a->name, sizeof a->name, "%.*s", (int)length, base);
}

/* This host: its PEs share its memory, and no energy is known. */
static omni_status load_host(const char *path, omni_array *a, omni_error *err) {
    omni_status status = omni_rates_load(path, &a->host, err);
    if (status) return status;
    for (size_t k = 0; k < ARRAY_KEYS; k++) a->value[k] = k < HOST_LATENCY ? HUGE_VAL : 0;
    a->value[ARRAY_PES] = a->host->cores;
    return array_settle(&a->faults, a, NULL, err);
}

static omni_status find_array(const char *file, char path[512], omni_error *err) {
    if (omni_share_find(file, "arrays", ".ini", path, 512)) return OMNI_OK;
    omni_guess g = omni_guess_start(file);
    omni_share_guess("arrays", ".ini", &g);
    if (g.nearest[0])
        return omni_error_set(err, OMNI_BAD_INPUT, "array '%.200s': no such file (did you mean '%s'?)", file,
                              g.nearest);
    return omni_error_set(err, OMNI_BAD_INPUT,
                          "array '%.200s': cannot open (expected a file, or a name in configs/arrays)", file);
}

omni_status omni_array_load(const char *file, omni_array **out, omni_error *err) {
    char path[512];
    *out = NULL;
    if (find_array(file, path, err)) return err ? err->status : OMNI_BAD_INPUT;
    reader *r = omni_alloc(sizeof *r);
    omni_array *a = omni_alloc(sizeof *a);
    omni_status status = r && a ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    if (!status) r->array = a;
    bool host = !status && omni_rates_is(path);
    if (host) status = load_host(path, a, err);
    if (!status && !host) status = omni_ini_read(path, take_key, r, err);
    if (!status && !host) status = check_network(r, err);
    if (!status && !host) status = check_whole(r, path, err);
    if (!status) name_after(a, path);
    if (!status) *out = a;
    omni_free(r);
    if (status) omni_array_free(a);
    return status;
}

omni_array *omni_array_copy(const omni_array *array) {
    omni_array *a = omni_alloc(sizeof *a);
    if (!a) return NULL;
    *a = *array;
    if (!array->host) return a;
    a->host = omni_alloc(sizeof *a->host);
    if (a->host) {
        *a->host = *array->host;
        return a;
    }
    omni_free(a);
    return NULL;
}

void omni_array_free(omni_array *array) {
    if (array) omni_free(array->host);
    omni_free(array);
}
