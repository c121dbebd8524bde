/* file.c: array files: one table of keys, which files, --set and the README's list are read by. Every key
 * must be given: a figure that is silently assumed is a figure nobody checked. Only [faults] may be left out (faults.c):
 * most arrays have none.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "array/array.h"
#include "omnibus/config.h"

/* clang-format off */
/* whole, may be infinite, only with wires of its own */
#define ANY       false, false, false
#define WHOLE     true, false, false
#define ENDLESS   false, true, false
#define COUNT_OF  true, true, false
static const omni_array_key keys[ARRAY_KEYS] = {
    [ARRAY_PES] = {"array", "pes", 1, 1 << 20, WHOLE, "PEs that there are"},
    [PE_MACS] = {"pe", "macs_per_cycle", 1, 1e9, ENDLESS, "multiply-accumulates of a matmul"},
    [PE_OPS] = {"pe", "ops_per_cycle", 1e-3, 1e9, ENDLESS, "element-wise operations"},
    [PE_CLOCK] = {"pe", "clock_mhz", 1e-3, 1e6, ANY, "of both"},
    [PE_BANDWIDTH] = {"pe", "memory_gb_per_s", 1e-3, 1e6, ENDLESS, "of its own memory (10^9 bytes)"},
    [PE_MEMORY] = {"pe", "memory_mib", 1e-3, 1e9, ENDLESS, "size of its own memory (2^20 bytes)"},
    [BUS_WIDTH] = {"bus", "width_bytes", 1, 1e6, COUNT_OF, "moved in a cycle"},
    [BUS_CLOCK] = {"bus", "clock_mhz", 1e-3, 1e6, ENDLESS, ""},
    [BUS_ARBITRATION] = {"bus", "arbitration_cycles", 0, 1e6, WHOLE, "once a message"},
    [BUS_HEADER] = {"bus", "header_cycles", 0, 1e6, WHOLE, "once a burst"},
    [BUS_BURST] = {"bus", "burst_bytes", 1, 1e9, COUNT_OF, "most behind one header"},
    [BUS_HOP] = {"bus", "hop_ps", 0, 1e9, WHOLE, "delay for each PE of the piece"},
    [BUS_PIECES] = {"bus", "pieces", 1, 1e6, COUNT_OF, "most that it can be cut into"},
    [BUS_CUT] = {"bus", "cut_cycles", 0, 1e6, WHOLE, "to cut or join a piece"},
    [TREE_LEVEL] = {"tree", "level_cycles", 0, 1e6, WHOLE, "fixed, for each level and chunk"},
    [TREE_CHUNK] = {"tree", "chunk_bytes", 4, 1e9, COUNT_OF, "most behind one of them"},
    [TREE_ADD] = {"tree", "add_gb_per_s", 1e-3, 1e6, ENDLESS, "addends that a PE combines (10^9 bytes)"},
    [TREE_WIDTH] = {"tree", "width_bytes", 1, 1e6, true, true, true, "moved in a cycle"},
    [TREE_CLOCK] = {"tree", "clock_mhz", 1e-3, 1e6, false, true, true, ""},
    [TREE_HOP] = {"tree", "hop_ps", 0, 1e9, true, false, true, "delay for each PE between partners"},
    [LINK_WIDTH] = {"link", "width_bytes", 1, 1e6, COUNT_OF, "moved in a cycle, each way"},
    [LINK_CLOCK] = {"link", "clock_mhz", 1e-3, 1e6, ENDLESS, ""},
    [LINK_STARTUP] = {"link", "startup_cycles", 0, 1e6, WHOLE, "once a message"},
    [LINK_ROUTER] = {"link", "router_cycles", 0, 1e6, WHOLE, "once for each link on a message's way"},
    [LINK_ADD] = {"link", "add_gb_per_s", 1e-3, 1e6, ENDLESS, "addends that a PE combines (10^9 bytes)"},
    [HOST_BANDWIDTH] = {"host", "gb_per_s", 1e-3, 1e6, ENDLESS, "of the host port (10^9 bytes)"},
    [HOST_LATENCY] = {"host", "latency_ns", 0, 1e9, ANY, "once a message"},
    [ENERGY_MAC] = {"energy", "pj_per_mac", 0, 1e6, ANY, "a multiply-accumulate"},
    [ENERGY_OP] = {"energy", "pj_per_op", 0, 1e6, ANY, "an element-wise operation"},
    [ENERGY_MEMORY] = {"energy", "pj_per_memory_byte", 0, 1e6, ANY, "read or written in a PE's own memory"},
    [ENERGY_BUS] = {"energy", "pj_per_bus_byte", 0, 1e6, ANY, "broadcast or addressed, all readers together"},
    [ENERGY_TREE] = {"energy", "pj_per_tree_byte", 0, 1e6, ANY, "of a pair transfer, with its addition"},
    [ENERGY_LINK] = {"energy", "pj_per_link_byte", 0, 1e6, ANY, "over one link, with router and addition"},
    [ENERGY_HOST] = {"energy", "pj_per_host_byte", 0, 1e6, ANY, "through the host port"},
    [ENERGY_IDLE] = {"energy", "mw_per_pe", 0, 1e6, ANY, "of every PE all the time"},
};
/* clang-format on */

const omni_array_key *omni_array_keys(size_t *count) {
    *count = ARRAY_KEYS;
    return keys;
}

/* A bus has a tree, rings and meshes have links. */
static bool is_of(size_t k, omni_network network) {
    bool bus = (k >= BUS_WIDTH && k <= TREE_HOP) || k == ENERGY_BUS || k == ENERGY_TREE;
    bool link = (k >= LINK_WIDTH && k <= LINK_ADD) || k == ENERGY_LINK;
    return network == OMNI_NETWORK_BUS ? !link : !bus;
}

/* Of what is not there: it takes no time. */
static double absent(size_t k) {
    return keys[k].infinite ? HUGE_VAL : keys[k].min;
}

/* --- one value -------------------------------------------------------------------------------- */

/* A plain decimal number. False for signs, "nan", "inf", "0x10" and the like. */
static bool parse_number(const char *text, double *out) {
    char *end;
    if (!isdigit((unsigned char)text[0]) || strspn(text, "0123456789.eE+-") != strlen(text)) return false;
    errno = 0;
    *out = strtod(text, &end);
    return !*end && isfinite(*out);
}

static omni_status bad_value(const omni_array_key *k, const char *text, const char *where, omni_error *err) {
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.40s' (expected %s from %.10g to %.10g%s)", where, text,
                          k->whole ? "a whole number" : "a number", k->min, k->max,
                          k->infinite ? ", or infinite" : "");
}

static omni_status parse_value(const omni_array_key *k, const char *text, const char *where, double *out,
                               omni_error *err) {
    *out = HUGE_VAL;
    if (k->infinite && strcmp(text, "infinite") == 0) return OMNI_OK;
    bool fits = parse_number(text, out) && *out >= k->min && *out <= k->max;
    return fits && (!k->whole || floor(*out) == *out) ? OMNI_OK : bad_value(k, text, where, err);
}

/* "width_bytes", or without its unit "width". */
static bool is_called(const omni_array_key *k, const char *name) {
    size_t n = strlen(name);
    return strncmp(k->name, name, n) == 0 && (!k->name[n] || k->name[n] == '_');
}

/* By its name, or if not `exact` by the beginning of one key's only. ARRAY_KEYS: none, or several. */
static size_t find_key(const char *section, size_t length, const char *name, bool exact) {
    size_t found = ARRAY_KEYS;
    for (size_t i = 0; i < ARRAY_KEYS; i++) {
        if (strlen(keys[i].section) != length || strncmp(keys[i].section, section, length) != 0) continue;
        if (strcmp(keys[i].name, name) == 0) return i;
        if (exact || !is_called(&keys[i], name)) continue;
        if (found < ARRAY_KEYS) return ARRAY_KEYS;
        found = i;
    }
    return found;
}

static const char *const wires[] = {"bus", "own"};

static omni_status parse_wires(const char *text, const char *where, bool *own, omni_error *err) {
    *own = strcmp(text, wires[1]) == 0;
    if (*own || strcmp(text, wires[0]) == 0) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.40s' (expected bus or own)", where, text);
}

static const char *const networks[OMNI_NETWORKS] = {"bus", "ring", "mesh"};

const char *omni_network_name(omni_network network) {
    return networks[network];
}

static omni_status parse_network(const char *text, const char *where, omni_network *out, omni_error *err) {
    for (*out = 0; *out < OMNI_NETWORKS; ++*out)
        if (strcmp(text, networks[*out]) == 0) return OMNI_OK;
    *out = OMNI_NETWORK_BUS;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.40s' (expected bus, ring or mesh)", where, text);
}

/* --- a file ----------------------------------------------------------------------------------- */

typedef struct reader {
    omni_array *array;
    bool given[ARRAY_KEYS], wires, network, fault[FAULT_KEYS];
    char wires_where[320];
    char where[ARRAY_KEYS][320], fault_where[FAULT_KEYS][320]; /* of each that was given */
} reader;

static omni_status unknown_section(const char *section, omni_error *err) {
    omni_guess g = omni_guess_start(section);
    for (size_t i = 0; i < ARRAY_KEYS; i++) omni_guess_try(&g, keys[i].section);
    omni_guess_try(&g, "faults");
    if (g.nearest[0])
        return omni_error_set(err, OMNI_BAD_INPUT, "unknown section [%.40s] (did you mean [%s]?)", section,
                              g.nearest);
    return omni_error_set(err, OMNI_BAD_INPUT,
                          "unknown section [%.40s] (expected array, pe, bus, tree, link, host, energy or faults)", section);
}

static omni_status unknown_key(const omni_ini_line *line, omni_error *err) {
    omni_guess g = omni_guess_start(line->key);
    const char *longer = NULL; /* with its unit */
    bool section = false;
    for (size_t i = 0; i < ARRAY_KEYS; i++) {
        if (strcmp(keys[i].section, line->section) != 0) continue;
        section = true;
        omni_guess_try(&g, keys[i].name);
        if (*line->key && is_called(&keys[i], line->key)) longer = keys[i].name;
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
    size_t k = find_key(line->section, strlen(line->section), line->key, true);
    if (!tree_wires && !network && k == ARRAY_KEYS) return unknown_key(line, err);
    bool *given = tree_wires ? &r->wires : network ? &r->network : &r->given[k];
    if (*given) return omni_error_set(err, OMNI_BAD_INPUT, "%s: given twice", line->where);
    *given = true;
    if (tree_wires) snprintf(r->wires_where, sizeof r->wires_where, "%.319s", line->where);
    if (tree_wires) return parse_wires(line->value, line->where, &r->array->own_wires, err);
    if (network) return parse_network(line->value, line->where, &r->array->network, err);
    snprintf(r->where[k], sizeof r->where[k], "%.319s", line->where);
    return parse_value(&keys[k], line->value, line->where, &r->array->value[k], err);
}

static omni_status not_of(const char *where, omni_network network, omni_error *err) {
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: not of a %s (expected %s)", where, networks[network],
                          network == OMNI_NETWORK_BUS ? "it with network = ring or mesh"
                                                      : "[link], and no bus or tree");
}

static omni_status check_network(const reader *r, omni_error *err) {
    omni_network network = r->array->network;
    if (network != OMNI_NETWORK_BUS && r->wires) return not_of(r->wires_where, network, err);
    for (size_t k = 0; k < ARRAY_KEYS; k++) {
        if (is_of(k, network)) continue;
        if (r->given[k]) return not_of(r->where[k], network, err);
        r->array->value[k] = absent(k);
    }
    return OMNI_OK;
}

/* A bus lets a dead PE pass; links end at it, and how they would go around nobody has said. */
static omni_status settle(faults *f, const omni_array *a, const char *const where[FAULT_KEYS],
                          omni_error *err) {
    omni_status status = faults_settle(f, omni_array_pes(a), where, err);
    if (!status && f->ranges[FAULT_DEAD] && a->network != OMNI_NETWORK_BUS)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: links end at a dead PE (expected an array with a bus)", where[FAULT_DEAD]);
    return status;
}

/* Everything is there, and nothing that would be ignored. */
static omni_status check_whole(const reader *r, const char *path, omni_error *err) {
    omni_network network = r->array->network;
    if (network == OMNI_NETWORK_BUS && !r->wires)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: no [tree] wires (expected bus or own)", path);
    for (size_t k = 0; k < ARRAY_KEYS; k++) {
        if (!is_of(k, network)) continue;
        bool wanted = r->array->own_wires || !keys[k].own_wires;
        if (wanted && !r->given[k])
            return omni_error_set(err, OMNI_BAD_INPUT, "%s: no [%s] %s (expected a value for every key)",
                                  path, keys[k].section, keys[k].name);
        if (!wanted && r->given[k])
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "%s: of a tree whose wires are the bus's (expected it with wires = own)",
                                  r->where[k]);
    }
    const char *where[FAULT_KEYS];
    for (size_t k = 0; k < FAULT_KEYS; k++) where[k] = r->fault_where[k];
    return settle(&r->array->faults, r->array, where, err);
}

/* "configs/arrays/ideal.ini" is called "ideal". */
static void name_after(omni_array *a, const char *path) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".ini") == 0) length -= 4;
    snprintf(a->name, sizeof a->name, "%.*s", (int)length, base);
}

/* Faults that --set changes, or the PEs below them. */
static omni_status settle_set(faults *f, const omni_array *a, omni_error *err) {
    static const char *const where[FAULT_KEYS] = {"faults.slow", "faults.dead", "faults.jitter",
                                                  "faults.seed"};
    return settle(f, a, where, err);
}

/* This host: its PEs share its memory, and no energy is known. */
static omni_status load_host(const char *path, omni_array *a, omni_error *err) {
    omni_status status = omni_rates_load(path, &a->host, err);
    if (status) return status;
    for (size_t k = 0; k < ARRAY_KEYS; k++) a->value[k] = k < HOST_LATENCY ? HUGE_VAL : 0;
    a->value[ARRAY_PES] = a->host->cores;
    return settle_set(&a->faults, a, err);
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
    if (a) *a = *array;
    if (a && a->host) {
        a->host = omni_alloc(sizeof *a->host);
        if (a->host) {
            *a->host = *array->host;
            return a;
        }
        omni_free(a);
        return NULL;
    }
    return a;
}

void omni_array_free(omni_array *array) {
    if (array) omni_free(array->host);
    omni_free(array);
}

/* --- changing and asking ---------------------------------------------------------------------- */

static size_t find_dotted(const char *key) {
    const char *dot = strchr(key, '.');
    return dot ? find_key(key, (size_t)(dot - key), dot + 1, false) : ARRAY_KEYS;
}

/* Wires can be taken away, not made up. */
static omni_status set_wires(omni_array *a, const char *key, const char *value, omni_error *err) {
    bool own;
    omni_status status = parse_wires(value, key, &own, err);
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
    if (!status) status = settle_set(&f, a, err);
    if (!status) a->faults = f;
    return status;
}

static omni_status unknown_dotted(const char *key, omni_error *err) {
    omni_guess g = omni_guess_start(key);
    for (size_t i = 0; i < ARRAY_KEYS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", keys[i].section, keys[i].name);
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
    if (tree_wires ? a->network != OMNI_NETWORK_BUS : k < ARRAY_KEYS && !is_of(k, a->network))
        return not_of(key, a->network, err);
    if (k == ARRAY_KEYS && !tree_wires && !of_faults) return unknown_dotted(key, err);
    if (!tree_wires && !of_faults && keys[k].own_wires && !a->own_wires)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: of a tree whose wires are the bus's (expected wires = own)", key);
    omni_status status = of_faults    ? set_fault(a, key, value, err)
                         : tree_wires ? set_wires(a, key, value, err)
                                      : parse_value(&keys[k], value, key, &a->value[k], err);
    if (!status && k == ARRAY_PES) status = settle_set(&a->faults, a, err);
    if (!status) snprintf(a->name + used, sizeof a->name - used, " %s=%s", key, value);
    return status;
}

double omni_array_get(const omni_array *a, const char *key) {
    size_t k = find_dotted(key);
    if (k == ARRAY_KEYS || (keys[k].own_wires && !a->own_wires) || !is_of(k, a->network)) return NAN;
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
