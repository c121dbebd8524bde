/* change.c: what it costs to change the plan: the messages of omni_switch_next, one after the other on the
 * whole bus, as the executor sends them. What a rank has, it copies in no time.
 *
 * Between the same ranks a message of as many bytes takes as long. So weights that both plans divide like
 * those of an earlier layer cost what those did, and keys and values of a layer, or of a sequence, likewise:
 * each kind is walked once. What every rank holds alike under both plans is not walked at all.
 */
#include "array/network.h"

/* Of some messages. */
typedef struct sent {
    uint64_t messages, ps, link_bytes;
    omni_counters moved;
} sent;

typedef struct change {
    machine m;
    const omni_plan *from, *to;
    const size_t *length;
    size_t sequences;
    omni_status (*stop)(omni_error *);
    sent *part; /* [weights, or layers] */
} change;

static void add(sent *sum, const sent *part) {
    sum->messages = sat_add(sum->messages, part->messages);
    sum->ps = sat_add(sum->ps, part->ps);
    sum->link_bytes = sat_add(sum->link_bytes, part->link_bytes);
    omni_counters_add(&sum->moved, &part->moved);
}

static uint64_t message_bytes(const omni_plan *plan, const omni_switch_message *m) {
    uint64_t positions = sat_mul(m->keys.tokens, m->keys.heads.count);
    if (m->kv) return sat_mul(positions, 2 * sizeof(float) * m->keys.dims.count);
    size_t element = m->kind == OMNI_PIECE_MATRIX ? weight_bytes(plan) : sizeof(float);
    return sat_mul(sat_mul(m->rows, m->region.in.count), element);
}

/* Over links: to one reader, past as many PEs as lie between on a ring (the shorter way), or on a mesh; else
 * to all. */
static toll message_toll(const change *c, const omni_switch_message *msg, uint64_t bytes) {
    size_t used = c->from->mesh.used;
    if (c->m.network == OMNI_NETWORK_BUS)
        return (toll){.ps = bus_ps(&c->m, bytes, faults_span(c->m.faults, 0, used))};
    net n = net_of(&c->m, used, used == c->from->mesh.pes);
    return msg->readers > 1 ? net_broadcast(&n, bytes) : net_between(&n, msg->owner, msg->reader, bytes);
}

static void add_message(const change *c, const omni_switch_message *msg, sent *out) {
    uint64_t bytes = message_bytes(c->from, msg);
    bool one = msg->readers == 1;
    if (msg->readers == 0) return;
    toll t = message_toll(c, msg, bytes);
    out->messages++;
    out->ps = sat_add(out->ps, t.ps);
    out->link_bytes = sat_add(out->link_bytes, t.bytes);
    *(one ? &out->moved.addressed_messages : &out->moved.broadcasts) += 1;
    *(one ? &out->moved.addressed_bytes : &out->moved.broadcast_bytes) += bytes;
}

/* The messages from `it` on that belong to the weight, or to the sequence's keys and values in the layer. */
static omni_status walk(const change *c, omni_switch it, bool kv, size_t which, size_t sequence, sent *out,
                        omni_error *err) {
    *out = (sent){0};
    for (omni_switch_message msg; omni_switch_next(&it, &msg);) {
        omni_status status = c->stop ? c->stop(err) : OMNI_OK;
        if (status) return status;
        if (msg.kv != kv || (kv ? msg.layer != which || msg.sequence != sequence : msg.weight != which))
            break;
        add_message(c, &msg, out);
    }
    return OMNI_OK;
}

/* --- weights ---------------------------------------------------------------------------------- */

static bool same_weight(const omni_plan *plan, size_t v, size_t w) {
    const omni_weight *a = &plan->weight[v], *b = &plan->weight[w];
    return a->op == b->op && a->stage == b->stage && a->split_in == b->split_in && a->panel == b->panel &&
           values_alike(&a->in, &b->in) && values_alike(&a->out, &b->out);
}

static bool same_region(const omni_region *a, const omni_region *b) {
    bool same = a->in.start == b->in.start && a->in.count == b->in.count;
    for (size_t j = 0; j < OMNI_MAX_PARTS; j++)
        same = same && a->out[j].start == b->out[j].start && a->out[j].count == b->out[j].count;
    return same;
}

/* Every rank has just what it needs. */
static bool weight_stays(const change *c, size_t w) {
    const omni_value *a = &c->from->weight[w].out, *b = &c->to->weight[w].out;
    for (size_t j = 0; j < a->parts; j++)
        if (a->part[j].paired != b->part[j].paired) return false;
    for (size_t r = 0; r < c->from->mesh.used; r++)
        for (int kind = 0; kind < OMNI_PIECE_KINDS; kind++) {
            omni_region has = omni_weight_region(c->from, w, (omni_piece_kind)kind, r);
            omni_region needs = omni_weight_region(c->to, w, (omni_piece_kind)kind, r);
            if (!same_region(&has, &needs)) return false;
        }
    return c->from->mesh.used == c->to->mesh.used;
}

static omni_status price_weight(change *c, size_t w, omni_error *err) {
    omni_switch it = omni_switch_begin(c->from, c->to, c->length, c->sequences, true);
    size_t v = w;
    while (v-- > 0)
        if (same_weight(c->from, v, w) && same_weight(c->to, v, w)) {
            c->part[w] = c->part[v];
            return OMNI_OK;
        }
    if (weight_stays(c, w)) return OMNI_OK;
    it.at = w;
    return walk(c, it, false, w, 0, &c->part[w], err);
}

/* --- keys and values -------------------------------------------------------------------------- */

static size_t group_of(const change *c, const omni_plan *plan, size_t sequence) {
    return plan->mesh.tokens ? 0 : omni_split_owner(c->sequences, plan->mesh.groups, sequence);
}

/* A sequence's are divided like those of the one before it: it is of the same groups, and as long; and
 * positions don't go round the ranks. */
static bool same_sequence(const change *c, size_t layer, size_t s) {
    return s > 0 && c->from->kv[layer] != OMNI_KV_TOKENS && c->to->kv[layer] != OMNI_KV_TOKENS &&
           c->length[s] == c->length[s - 1] && group_of(c, c->from, s) == group_of(c, c->from, s - 1) &&
           group_of(c, c->to, s) == group_of(c, c->to, s - 1);
}

static bool same_kv(const omni_kv_region *a, const omni_kv_region *b) {
    if (a->tokens == 0 || b->tokens == 0) return a->tokens == b->tokens;
    return a->heads.start == b->heads.start && a->heads.count == b->heads.count &&
           a->dims.start == b->dims.start && a->dims.count == b->dims.count && a->paired == b->paired &&
           a->first == b->first && a->stride == b->stride && a->tokens == b->tokens;
}

static bool kv_stays(const change *c, size_t layer, size_t s) {
    for (size_t r = 0; r < c->from->mesh.pes; r++) {
        omni_kv_region has = omni_plan_kv(c->from, layer, s, c->sequences, c->length[s], r);
        omni_kv_region needs = omni_plan_kv(c->to, layer, s, c->sequences, c->length[s], r);
        if (!same_kv(&has, &needs)) return false;
    }
    return true;
}

static omni_status walk_layer(change *c, size_t layer, omni_error *err) {
    omni_status status = OMNI_OK;
    sent one = {0};
    for (size_t s = 0; s < c->sequences && !status; s++) {
        omni_switch it = omni_switch_begin(c->from, c->to, c->length, c->sequences, false);
        it.at += layer;
        it.sub = s;
        if (!same_sequence(c, layer, s)) {
            one = (sent){0};
            if (!kv_stays(c, layer, s)) status = walk(c, it, true, layer, s, &one, err);
        }
        add(&c->part[layer], &one);
    }
    return status;
}

static bool same_layer(const omni_plan *plan, size_t a, size_t b) {
    size_t layers = plan->model->shape.layers, stages = plan->mesh.stages;
    return plan->kv[a] == plan->kv[b] &&
           omni_split_owner(layers, stages, a) == omni_split_owner(layers, stages, b);
}

static omni_status price_layer(change *c, size_t layer, omni_error *err) {
    for (size_t l = layer; l-- > 0;)
        if (same_layer(c->from, l, layer) && same_layer(c->to, l, layer)) {
            c->part[layer] = c->part[l];
            return OMNI_OK;
        }
    return walk_layer(c, layer, err);
}

/* --- all -------------------------------------------------------------------------------------- */

static omni_status price_all(change *c, size_t count, omni_status (*price)(change *, size_t, omni_error *),
                             sent *sum, omni_error *err) {
    omni_status status = OMNI_OK;
    c->part = omni_alloc_array(count + 1, sizeof *c->part);
    if (!c->part) return omni_error_set(err, OMNI_RUN_FAILED, "no memory to price a change of plans");
    for (size_t i = 0; i < count && !status; i++) {
        status = price(c, i, err);
        add(sum, &c->part[i]);
    }
    omni_free(c->part);
    return status;
}

omni_status omni_price_change(const omni_array *array, const omni_plan *from, const omni_plan *to,
                              const size_t *length, size_t sequences, bool weights,
                              omni_status (*stop)(omni_error *), omni_price *out, omni_error *err) {
    change c = {.from = from, .to = to, .length = length, .sequences = sequences, .stop = stop};
    sent sum = {0};
    machine_set(&c.m, array);
    *out = (omni_price){0};
    omni_status status = weights ? price_all(&c, from->weight_count, price_weight, &sum, err) : OMNI_OK;
    if (!status) status = price_all(&c, from->model->shape.layers, price_layer, &sum, err);
    if (status) return status;
    out->grants = sum.messages;
    out->moved = sum.moved;
    out->ps = sum.messages ? sat_add(bus_cut_ps(&c.m), sum.ps) : 0;
    uint64_t idle_fj = sat_mul(sat_mul(from->mesh.pes, c.m.idle_fw), out->ps / 1000);
    uint64_t bytes = sat_add(out->moved.broadcast_bytes, out->moved.addressed_bytes);
    uint64_t wires_fj = sat_add(sat_mul(bytes, c.m.bus_fj), sat_mul(sum.link_bytes, c.m.link_fj));
    out->link_bytes = sum.link_bytes;
    out->energy_pj = sat_add(wires_fj, idle_fj) / 1000;
    out->kind[c.m.network == OMNI_NETWORK_BUS ? OMNI_PRICE_BUS : OMNI_PRICE_LINK] = out->ps;
    return OMNI_OK;
}
