/* change.c: what it costs to change the plan: the messages of omni_switch_next, one after the other on the whole bus,
 * as the executor sends them. What a rank has, it copies in no time.
 */
#include "array/array.h"

static uint64_t message_bytes(const omni_plan *plan, const omni_switch_message *m) {
    uint64_t positions = sat_mul(m->keys.tokens, m->keys.heads.count);
    if (m->kv) return sat_mul(positions, 2 * sizeof(float) * m->keys.dims.count);
    size_t element = m->kind == OMNI_PIECE_MATRIX ? weight_bytes(plan) : sizeof(float);
    return sat_mul(sat_mul(m->rows, m->region.in.count), element);
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
        out->ps = sat_add(out->ps, bus_ps(&m, bytes, span));
        *(msg.readers == 1 ? &out->moved.addressed_messages : &out->moved.broadcasts) += 1;
        *(msg.readers == 1 ? &out->moved.addressed_bytes : &out->moved.broadcast_bytes) += bytes;
    }
    uint64_t idle_fj = sat_mul(sat_mul(from->mesh.pes, m.idle_fw), out->ps / 1000);
    uint64_t bytes = sat_add(out->moved.broadcast_bytes, out->moved.addressed_bytes);
    out->energy_pj = sat_add(sat_mul(bytes, m.bus_fj), idle_fj) / 1000;
    out->kind[OMNI_PRICE_BUS] = out->ps;
    return OMNI_OK;
}
