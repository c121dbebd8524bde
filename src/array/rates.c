/* rates.c: from figures to integer rates, and the costs of design section 8 in picoseconds.
 *
 *   broadcast     alpha_B + m beta_B     arbitration + ceil(m/burst) headers + ceil(m/width) cycles, + p hops
 *   tree level    alpha_T(2^k) + m (beta_T + gamma)     in c chunks the fixed cost repeats
 *   compute       max(flops / rate, bytes / bandwidth)
 */
#include <math.h>

#include "array/array.h"

/* --- the array in integers -------------------------------------------------------------------- */

/* 10^18 attoseconds over `per_second`. */
static uint64_t attoseconds(double per_second) {
    return isinf(per_second) ? 0 : (uint64_t)llround(1e18 / per_second);
}

static uint64_t whole(double value) {
    return isinf(value) ? UINT64_MAX : (uint64_t)llround(value);
}

static uint64_t thousandths(double value) {
    return (uint64_t)llround(value * 1e3);
}

void machine_set(machine *m, const omni_array *a) {
    const double *v = a->value;
    double clock = v[PE_CLOCK] * 1e6;
    *m = (machine){
        .mac_as = attoseconds(v[PE_MACS] * clock),
        .op_as = attoseconds(v[PE_OPS] * clock),
        .memory_as = attoseconds(v[PE_BANDWIDTH] * 1e9),
        .memory_bytes = whole(v[PE_MEMORY] * 1048576),
        .add_as = attoseconds(v[a->network == OMNI_NETWORK_BUS ? TREE_ADD : LINK_ADD] * 1e9),
        .host_as = attoseconds(v[HOST_BANDWIDTH] * 1e9),
        .bus = {attoseconds(v[BUS_CLOCK] * 1e6), whole(v[BUS_WIDTH]), whole(v[BUS_HOP])},
        .arbitration = whole(v[BUS_ARBITRATION]),
        .header = whole(v[BUS_HEADER]),
        .burst = whole(v[BUS_BURST]),
        .cut = whole(v[BUS_CUT]),
        .pieces = whole(v[BUS_PIECES]),
        .level = whole(v[TREE_LEVEL]),
        .chunk = whole(v[TREE_CHUNK]),
        .own_wires = a->own_wires,
        .network = a->network,
        .link = {attoseconds(v[LINK_CLOCK] * 1e6), whole(v[LINK_WIDTH]), 0},
        .startup = whole(v[LINK_STARTUP]),
        .router = whole(v[LINK_ROUTER]),
        .host_latency_ps = thousandths(v[HOST_LATENCY]),
        .mac_fj = thousandths(v[ENERGY_MAC]),
        .op_fj = thousandths(v[ENERGY_OP]),
        .memory_fj = thousandths(v[ENERGY_MEMORY]),
        .bus_fj = thousandths(v[ENERGY_BUS]),
        .tree_fj = thousandths(v[ENERGY_TREE]),
        .link_fj = thousandths(v[ENERGY_LINK]),
        .host_fj = thousandths(v[ENERGY_HOST]),
        .idle_fw = thousandths(v[ENERGY_IDLE]),
        .faults = &a->faults,
    };
    m->tree = m->bus;
    if (m->own_wires)
        m->tree = (wire_rates){attoseconds(v[TREE_CLOCK] * 1e6), whole(v[TREE_WIDTH]), whole(v[TREE_HOP])};
}

/* --- costs ------------------------------------------------------------------------------------ */

static uint64_t data_cycles(const wire_rates *w, uint64_t bytes) {
    return w->width == UINT64_MAX ? 0 : ceil_div(bytes, w->width);
}

static uint64_t chunks(uint64_t bytes, uint64_t most) {
    return bytes ? ceil_div(bytes, most) : 1;
}

uint64_t bus_ps(const machine *m, uint64_t bytes, size_t p) {
    uint64_t fixed = sat_add(m->arbitration, sat_mul(m->header, chunks(bytes, m->burst)));
    uint64_t cycles = sat_add(fixed, data_cycles(&m->bus, bytes));
    return sat_add(picoseconds(cycles, m->bus.cycle_as), sat_mul(m->bus.hop_ps, p));
}

uint64_t bus_cut_ps(const machine *m) {
    return picoseconds(m->cut, m->bus.cycle_as);
}

uint64_t level_ps(const machine *m, size_t apart, uint64_t bytes, uint64_t turns, bool combine) {
    uint64_t fixed = sat_add(m->own_wires ? 0 : m->cut, sat_mul(m->level, chunks(bytes, m->chunk)));
    uint64_t cycles = sat_add(fixed, data_cycles(&m->tree, bytes));
    uint64_t turn = sat_add(picoseconds(cycles, m->tree.cycle_as), sat_mul(m->tree.hop_ps, apart));
    return sat_add(sat_mul(turn, turns), combine ? picoseconds(bytes, m->add_as) : 0);
}

uint64_t host_ps(const machine *m, uint64_t bytes) {
    return sat_add(m->host_latency_ps, picoseconds(bytes, m->host_as));
}

uint64_t work_ps(const machine *m, const work *w) {
    uint64_t compute = sat_add(picoseconds(w->macs, m->mac_as), picoseconds(w->ops, m->op_as));
    uint64_t memory = picoseconds(w->bytes, m->memory_as);
    return compute > memory ? compute : memory;
}
