/* joined.c: messages that all groups take part in.
 *
 *   host        one port: the groups' inputs (results) of a wave go one after the other, as one round
 *   stream      weights, panel by panel: each rank in turn broadcasts its own, all compute on them. The one
 *               step that is double-buffered: the next message is under way while all compute on the last
 *   k, v        each group in turn broadcasts the keys and values of its tokens
 */
#include "array/linked.h"

/* --- the host port ---------------------------------------------------------------------------- */

static uint64_t host_bytes(const walk *w, const omni_step *s, const omni_part *part, size_t p) {
    const omni_value *v = &w->plan->value[s->kind == OMNI_STEP_HOST_IN ? s->out : s->in[0]];
    uint64_t rows = omni_rows_count(v->rows, part->extent, p, 0);
    bool ids = s->kind == OMNI_STEP_HOST_OUT && s->op->kind == OMNI_OP_ARGMAX;
    return ids ? sat_mul(rows, sizeof(int32_t)) : sat_mul(rows, wire_row_bytes(w->plan, s, v, p, NULL));
}

/* Bytes of a class of groups in this wave; 0: it has no part there. */
static uint64_t class_bytes(const walk *w, const omni_step *s, const group_class *k, size_t wave) {
    const omni_part *part = part_in(k, s->stage, wave);
    return part ? host_bytes(w, s, part, k->cell[s->stage].p) : 0;
}

void host_walk(walk *w, const omni_step *s, size_t wave) {
    bool in = s->kind == OMNI_STEP_HOST_IN, linked = w->m.network != OMNI_NETWORK_BUS;
    moment start = w->host;
    uint64_t all = 0;
    for (size_t g = 0; g < w->classes; g++) {
        const group_class *k = &w->class[g];
        const cell *c = &k->cell[s->stage];
        uint64_t bytes = class_bytes(w, s, k, wave), ps = host_ps(&w->m, bytes);
        if (bytes == 0) continue;
        start = later(start, track_free(c->bus));
        if (!in) start = later(start, c->clock[0]);
        all = sat_add(all, sat_mul(ps, k->count));
        w->out->moved.host_messages += k->count;
        w->out->moved.host_bytes += sat_mul(bytes, k->count);
        if (!linked) w->busy += (wide)sat_mul(ps, k->count) * c->p;
    }
    w->host = spend(w, start, all, s, OMNI_PRICE_HOST);
    for (size_t g = 0; g < w->classes; g++) {
        cell *c = &w->class[g].cell[s->stage];
        uint64_t bytes = class_bytes(w, s, &w->class[g], wave);
        if (bytes == 0) continue;
        if (!linked) track_take(c->bus, w->host, OMNI_CUT_STAGE);
        if (in) {
            cell_leave(c, linked ? linked_input(w, s, c->p, bytes, w->class[g].count) : w->host);
        } else {
            cell_spread(c);
            c->clock[0] = later(w->host, c->clock[0]);
        }
    }
}

/* --- all on one piece ------------------------------------------------------------------------- */

static moment all_free(const walk *w) {
    moment at = track_free(&w->track[0]);
    for (size_t t = 1; t < w->tracks; t++) at = later(at, track_free(&w->track[t]));
    return at;
}

static uint64_t join_ps(const walk *w) {
    for (size_t t = 0; t < w->tracks; t++)
        if (w->track[t].cut != OMNI_CUT_ALL) return bus_cut_ps(&w->m);
    return 0;
}

static void take_all(walk *w, moment until) {
    for (size_t t = 0; t < w->tracks; t++) track_take(&w->track[t], until, OMNI_CUT_ALL);
}

/* --- keys and values -------------------------------------------------------------------------- */

void share_walk(walk *w, const omni_step *s) {
    const omni_value *v = &w->plan->value[s->in[0]];
    size_t used = w->plan->mesh.used, span = faults_span(w->m.faults, 0, used);
    bool linked = w->m.network != OMNI_NETWORK_BUS;
    uint64_t row = wire_row_bytes(w->plan, s, v, used, NULL), join = join_ps(w);
    moment at = wires_start(w, w->class[0].cell[0].clock[0], all_free(w), 1);
    uint64_t most = 0, all = 0;
    for (size_t g = 0; g < w->classes; g++) {
        const group_class *k = &w->class[g];
        uint64_t bytes = k->parts ? sat_mul(row, k->part[0].extent.tokens) : 0;
        if (bytes == 0) continue;
        most = bytes > most ? bytes : most;
        all = sat_add(all, sat_mul(bytes, k->count));
        uint64_t ps = linked ? 0 : sat_add(join, sat_mul(bus_ps(&w->m, bytes, span), k->count));
        at = spend(w, later(at, k->cell[0].clock[0]), ps, s, OMNI_PRICE_BUS);
        count_bus(w, s, k->count, sat_mul(bytes, k->count), ps, used, 1);
        join = 0;
    }
    if (linked)
        at = linked_share(w, s, most, all);
    else
        take_all(w, at);
    for (size_t g = 0; g < w->classes; g++) cell_leave(&w->class[g].cell[0], at);
}

/* --- weights ---------------------------------------------------------------------------------- */

/* Ranks with as many rows, and equally slow, take as long for each message. So one that was never late and
 * the one that came last tell when all of them are done. With jitter each rank has a pace of its own: its
 * factor in this step. */
typedef struct pacing {
    size_t rows, ranks;
    uint64_t ppm[2];    /* of a healthy PE's time; of that, by jitter */
    moment idle;        /* of a rank that waits for every message */
    moment latest;      /* of the last to come */
    uint64_t each, all; /* picoseconds: of the message at hand, of all */
} pacing;

static size_t rows_in(const walk *w, const omni_step *s, const group_class *k) {
    return k->parts ? omni_rows_count(w->plan->value[s->out].rows, k->part[0].extent, 1, 0) : 0;
}

static size_t find_paces(const walk *w, const omni_step *s, pacing *pace) {
    size_t count = 0;
    for (size_t g = 0; g < w->classes; g++) {
        size_t rows = rows_in(w, s, &w->class[g]), rank = w->class[g].first;
        uint64_t ppm = rows ? faults_ppm(w->m.faults, rank) : PPM; /* without rows there is no work */
        bool alone = rows && w->m.faults->jitter_ppm;
        size_t i = alone ? count : 0;
        while (i < count && (pace[i].rows != rows || pace[i].ppm[0] != ppm)) i++;
        if (i == count)
            pace[count++] = (pacing){.rows = rows, .ppm = {ppm, alone ? jitter_of(w, s, rank) : PPM}};
        pace[i].ranks += w->class[g].count;
        pace[i].latest = later(pace[i].latest, w->class[g].cell[0].clock[0]);
        w->class[g].pace = i;
    }
    return count;
}

/* All ranks with this pace compute on a message that has come at `at`. */
static void keep_pace(walk *w, const omni_step *s, pacing *p, moment at, size_t outputs, bool same) {
    work one = stream_work(w->plan, s, p->rows, outputs);
    if (!same) p->each = faults_stretch(faults_stretch(work_ps(&w->m, &one), p->ppm[0]), p->ppm[1]);
    p->all = sat_add(p->all, p->each);
    p->idle = spend(w, later(p->idle, at), p->each, s, OMNI_PRICE_COMPUTE);
    p->latest = spend(w, later(p->latest, at), p->each, s, OMNI_PRICE_COMPUTE);
    w->out->macs = sat_add(w->out->macs, sat_mul(one.macs, p->ranks));
    w->out->ops = sat_add(w->out->ops, sat_mul(one.ops, p->ranks));
    w->out->memory_bytes = sat_add(w->out->memory_bytes, sat_mul(one.bytes, p->ranks));
    w->computing += (wide)p->each * p->ranks;
}

static moment slowest(const pacing *pace, size_t paces) {
    moment at = pace[0].latest;
    for (size_t i = 1; i < paces; i++) at = later(at, pace[i].latest);
    return at;
}

/* The clock of the class that has group `rank`, which is `*g` or a later one. */
static moment writer_ready(const walk *w, size_t rank, size_t *g) {
    while (rank >= w->class[*g].first + w->class[*g].count) ++*g;
    return w->class[*g].cell[0].clock[0];
}

static moment send_all(walk *w, const omni_step *s, pacing *pace, size_t paces) {
    const omni_weight *weight = &w->plan->weight[s->weight];
    const omni_mesh *mesh = &w->plan->mesh;
    moment done[2] = {{0}, {0}}; /* with the last message, and with the one before: its buffer is free */
    moment at = all_free(w);
    uint64_t join = join_ps(w);
    bool linked = w->m.network != OMNI_NETWORK_BUS;
    size_t g = 0, before = 0, span = faults_span(w->m.faults, 0, mesh->used);
    for (size_t r = 0; r < mesh->used; r++) {
        size_t outputs = omni_weight_dealt(mesh, weight, r).count;
        uint64_t bytes = omni_weight_dealt_bytes(mesh, weight, r);
        if (outputs == 0) break; /* neither have those behind it */
        moment ready = later(writer_ready(w, r, &g), done[1]);
        uint64_t ps = linked ? linked_turn_ps(w, r, bytes) : sat_add(join, bus_ps(&w->m, bytes, span));
        at = r == 0 ? wires_start(w, ready, at, 1) : later(ready, at);
        at = spend(w, at, ps, s, linked ? OMNI_PRICE_LINK : OMNI_PRICE_BUS);
        count_bus(w, s, 1, bytes, linked ? 0 : ps, mesh->used, 1);
        for (size_t i = 0; i < paces; i++) keep_pace(w, s, &pace[i], at, outputs, outputs == before);
        done[1] = done[0];
        done[0] = slowest(pace, paces);
        before = outputs;
        join = 0;
    }
    return at;
}

void stream_walk(walk *w, const omni_step *s) {
    pacing *pace = omni_alloc_array(w->classes, sizeof *pace);
    if (!pace) {
        w->out_of_memory = true;
        return;
    }
    size_t paces = find_paces(w, s, pace);
    moment sent = send_all(w, s, pace, paces);
    if (w->m.network == OMNI_NETWORK_BUS) take_all(w, sent);
    for (size_t g = 0; g < w->classes; g++) {
        const pacing *p = &pace[w->class[g].pace];
        moment *clock = &w->class[g].cell[0].clock[0];
        *clock = spend(w, *clock, p->all, s, OMNI_PRICE_COMPUTE);
        *clock = later(p->idle, *clock);
    }
    omni_free(pace);
}
