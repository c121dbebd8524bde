/* change.c: what it costs to change the plan: the messages of omni_switch_next, one after the other on the whole bus,
 * as the executor sends them. What a rank has, it copies in no time.
 */
#include "array/network.h"

static uint64_t message_bytes(const omni_plan *plan, const omni_switch_message *m) {
    uint64_t positions = sat_mul(m->keys.tokens, m->keys.heads.count);
    if (m->kv) return sat_mul(positions, 2 * sizeof(float) * m->keys.dims.count);
    size_t element = m->kind == OMNI_PIECE_MATRIX ? weight_bytes(plan) : sizeof(float);
    return sat_mul(sat_mul(m->rows, m->region.in.count), element);
}

/* Over links: to one reader, past as many PEs as lie between on a ring (the shorter way), or on a mesh; else to all. */
static uint64_t message_ps(const machine *m, const omni_plan *plan, const omni_switch_message *msg,
                           size_t span, uint64_t bytes, uint64_t *link_bytes) {
    size_t used = plan->mesh.used;
    if (m->network == OMNI_NETWORK_BUS) return bus_ps(m, bytes, span);
    net n = net_of(m, used, used == plan->mesh.pes);
    toll t = msg->readers > 1 ? net_broadcast(&n, bytes) : net_between(&n, msg->owner, msg->reader, bytes);
    *link_bytes = sat_add(*link_bytes, t.bytes);
    return t.ps;
}

omni_status omni_price_change(const omni_array *array, const omni_plan *from, const omni_plan *to,
                              const size_t *length, size_t sequences, bool weights,
                              omni_status (*stop)(omni_error *), omni_price *out, omni_error *err) {
    machine m;
    omni_switch it = omni_switch_begin(from, to, length, sequences, weights);
    machine_set(&m, array);
    size_t span = faults_span(m.faults, 0, from->mesh.used);
    *out = (omni_price){0};
    for (omni_switch_message msg; omni_switch_next(&it, &msg);) {
        omni_status status = stop ? stop(err) : OMNI_OK;
        uint64_t bytes = message_bytes(from, &msg);
        if (status) return status;
        if (msg.readers == 0) continue;
        if (out->grants++ == 0) out->ps = bus_cut_ps(&m);
        out->ps = sat_add(out->ps, message_ps(&m, from, &msg, span, bytes, &out->link_bytes));
        *(msg.readers == 1 ? &out->moved.addressed_messages : &out->moved.broadcasts) += 1;
        *(msg.readers == 1 ? &out->moved.addressed_bytes : &out->moved.broadcast_bytes) += bytes;
    }
    uint64_t idle_fj = sat_mul(sat_mul(from->mesh.pes, m.idle_fw), out->ps / 1000);
    uint64_t bytes = sat_add(out->moved.broadcast_bytes, out->moved.addressed_bytes);
    uint64_t wires_fj = sat_add(sat_mul(bytes, m.bus_fj), sat_mul(out->link_bytes, m.link_fj));
    out->energy_pj = sat_add(wires_fj, idle_fj) / 1000;
    out->kind[m.network == OMNI_NETWORK_BUS ? OMNI_PRICE_BUS : OMNI_PRICE_LINK] = out->ps;
    return OMNI_OK;
}
