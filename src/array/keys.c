/* keys.c: one table of keys, which array files and --set are read by; and what a value of theirs may be. */
#include "array/keys.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* clang-format off */
/* whole, may be infinite, only with wires of its own */
#define ANY       false, false, false
#define WHOLE     true, false, false
#define ENDLESS   false, true, false
#define COUNT_OF  true, true, false
const omni_array_key array_keys[ARRAY_KEYS] = {
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
    return array_keys;
}

/* A bus has a tree, rings and meshes have links. */
bool key_is_of(size_t k, omni_network network) {
    bool bus = (k >= BUS_WIDTH && k <= TREE_HOP) || k == ENERGY_BUS || k == ENERGY_TREE;
    bool link = (k >= LINK_WIDTH && k <= LINK_ADD) || k == ENERGY_LINK;
    return network == OMNI_NETWORK_BUS ? !link : !bus;
}

/* Of what is not there: it takes no time. */
double key_absent(size_t k) {
    return array_keys[k].infinite ? HUGE_VAL : array_keys[k].min;
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

omni_status key_parse(const omni_array_key *k, const char *text, const char *where, double *out,
                      omni_error *err) {
    *out = HUGE_VAL;
    if (k->infinite && strcmp(text, "infinite") == 0) return OMNI_OK;
    bool fits = parse_number(text, out) && *out >= k->min && *out <= k->max;
    return fits && (!k->whole || floor(*out) == *out) ? OMNI_OK : bad_value(k, text, where, err);
}

/* "width_bytes", or without its unit "width". */
bool key_is_called(const omni_array_key *k, const char *name) {
    size_t n = strlen(name);
    return strncmp(k->name, name, n) == 0 && (!k->name[n] || k->name[n] == '_');
}

/* By its name, or if not `exact` by the beginning of one key's only. ARRAY_KEYS: none, or several. */
size_t key_find(const char *section, size_t length, const char *name, bool exact) {
    size_t found = ARRAY_KEYS;
    for (size_t i = 0; i < ARRAY_KEYS; i++) {
        if (strlen(array_keys[i].section) != length || strncmp(array_keys[i].section, section, length) != 0)
            continue;
        if (strcmp(array_keys[i].name, name) == 0) return i;
        if (exact || !key_is_called(&array_keys[i], name)) continue;
        if (found < ARRAY_KEYS) return ARRAY_KEYS;
        found = i;
    }
    return found;
}

static const char *const wires[] = {"bus", "own"};

omni_status wires_parse(const char *text, const char *where, bool *own, omni_error *err) {
    *own = strcmp(text, wires[1]) == 0;
    if (*own || strcmp(text, wires[0]) == 0) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.40s' (expected bus or own)", where, text);
}

static const char *const networks[OMNI_NETWORKS] = {"bus", "ring", "mesh"};

const char *omni_network_name(omni_network network) {
    return networks[network];
}

omni_status network_parse(const char *text, const char *where, omni_network *out, omni_error *err) {
    for (*out = 0; *out < OMNI_NETWORKS; ++*out)
        if (strcmp(text, networks[*out]) == 0) return OMNI_OK;
    *out = OMNI_NETWORK_BUS;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.40s' (expected bus, ring or mesh)", where, text);
}

omni_status key_not_of(const char *where, omni_network network, omni_error *err) {
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: not of a %s (expected %s)", where, networks[network],
                          network == OMNI_NETWORK_BUS ? "it with network = ring or mesh"
                                                      : "[link], and no bus or tree");
}
