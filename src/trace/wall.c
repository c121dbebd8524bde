/* wall.c: what an engine recorded, as a process on the wall clock. Zero is when the first pass was in hand.
 *
 *   host port        | embed | prefill ........................ | embed | decode ....     the caller: input rows, and who
 *   bus, PE 0-3              | x |      | q |                                             awaits the result
 *   tree, PE 0-3                    | o |
 *   worker 0                 | broadcast: x | wait |  ...                                  messages, once for all its PEs
 *   PE 0                            | qkv | attention | ...
 *   PE 1                                  | qkv | ...
 *
 * A worker with one PE is that PE's track. A message stands on the tracks of all workers that take part, each with its
 * own times; and once on that of its piece of the bus or the tree, as its writer (the root) saw it, with its bytes. There it
 * ends when the next one begins, at the latest: its writer looks at the clock when the readers may have gone on. Of a
 * reduction's levels the engine has no times: with the schedule `sliced` all are walked at the same time, block by block.
 */
#include <stdio.h>
#include <stdlib.h>

#include "trace/internal.h"

enum { HOST_TRACK = 1, FIRST_WORKER = 10000, MOST_PES = 4096 };

/* An event, and whose. */
typedef struct item {
    const omni_event *e;
    uint32_t by; /* worker */
} item;

typedef struct wall {
    omni_trace *t;
    const omni_engine *e;
    const omni_plan *const *plan;
    omni_recording r;
    uint64_t zero; /* ticks */
    size_t pes;
    size_t at;           /* the pass at hand */
    omni_counters moved; /* so far */
} wall;

static uint64_t ns_at(const wall *w, uint64_t tick) {
    return (uint64_t)((double)(tick - w->zero) * w->r.tick_ns);
}

/* --- tracks ----------------------------------------------------------------------------------- */

static omni_range carried(const wall *w, size_t by) {
    return omni_split(w->pes, w->r.workers, by);
}

/* Of a PE, or of a worker: in front of its PEs'. */
static size_t pe_track(const wall *w, size_t rank) {
    return FIRST_WORKER + rank + omni_split_owner(w->pes, w->r.workers, rank) + 1;
}

static size_t worker_track(const wall *w, size_t by) {
    omni_range ranks = carried(w, by);
    return ranks.count == 1 ? pe_track(w, ranks.start) : FIRST_WORKER + ranks.start + by;
}

static void name_tracks(wall *w) {
    enum { LAST = 1000000000 }; /* behind the lanes */
    char name[NAME], ranks[NAME];
    trace_process(w->t, WALL, "wall time");
    trace_track(w->t, WALL, HOST_TRACK, 0, "host port (caller)");
    for (size_t by = 0; by < w->r.workers; by++) {
        omni_range own = carried(w, by);
        unsigned cpu = omni_engine_cpu(w->e, by);
        snprintf(name, sizeof name, "worker %zu, cpu %u: %s", by, cpu, trace_ranks(ranks, "PE ", own));
        if (own.count > 1) trace_track(w->t, WALL, worker_track(w, by), LAST + worker_track(w, by), name);
        for (size_t r = own.start; r < own.start + own.count && r < MOST_PES; r++) {
            snprintf(name, sizeof name, own.count > 1 ? "PE %zu" : "PE %zu, cpu %u", r, cpu);
            trace_track(w->t, WALL, pe_track(w, r), LAST + pe_track(w, r), name);
        }
    }
    if (w->pes > MOST_PES) trace_note(w->t, "wall time: what PEs from %d on compute is not drawn", MOST_PES);
}

/* The piece of the bus that a message goes over. */
static omni_range piece_of(const omni_plan *plan, const omni_step *s, size_t rank) {
    const omni_mesh *mesh = &plan->mesh;
    omni_seat seat = omni_mesh_seat(mesh, rank);
    size_t k = s->cut == OMNI_CUT_HEAD ? omni_split_owner(seat.p, mesh->heads, seat.index) : 0;
    size_t stage = s->cut == OMNI_CUT_BOUNDARY ? s->stage : seat.stage;
    return omni_mesh_piece(mesh, s->cut, seat.group, stage, k);
}

/* --- passes ----------------------------------------------------------------------------------- */

/* Keys and values that are held for these positions, of all PEs. Layers that keep them alike count once. */
static uint64_t kv_bytes(const omni_plan *plan, const size_t *length, size_t sequences) {
    const omni_mesh *mesh = &plan->mesh;
    uint64_t sum = 0;
    for (size_t rank = 0; rank < mesh->used; rank++) {
        omni_seat seat = omni_mesh_seat(mesh, rank);
        omni_range layers = omni_split(plan->model->shape.layers, mesh->stages, seat.stage);
        omni_range of = omni_group_sequences(mesh, sequences, seat.group);
        for (size_t l = layers.start, alike; l < layers.start + layers.count; l += alike) {
            for (alike = 1; l + alike < layers.start + layers.count && plan->kv[l + alike] == plan->kv[l];)
                alike++;
            for (size_t q = of.start; q < of.start + of.count; q++) {
                omni_kv_region kv = omni_plan_kv(plan, l, q, sequences, length[q], rank);
                sum += alike * kv.heads.count * kv.dims.count * kv.tokens * 2 * sizeof(float);
            }
        }
    }
    return sum;
}

static const char *pass_name(const wall *w, const omni_pass_record *p, char buf[NAME]) {
    if (p->next != p->plan)
        snprintf(buf, NAME, "change of plans");
    else if (w->plan[0]->model->shape.encoder)
        snprintf(buf, NAME, "encode %zu tokens", p->tokens);
    else if (p == w->r.pass)
        snprintf(buf, NAME, "prefill %zu tokens", p->tokens);
    else
        snprintf(buf, NAME, "decode %zu token%s", p->tokens, p->tokens == 1 ? "" : "s");
    return buf;
}

static void draw_pass(const wall *w, size_t number) {
    const omni_pass_record *p = &w->r.pass[number];
    char name[NAME], args[ARGS];
    slice s = {WALL, HOST_TRACK, "look up tokens", "host", ns_at(w, p->began), ns_at(w, p->gone)};
    snprintf(args, sizeof args, "\"pass\":%zu", number);
    if (p->gone > p->began) trace_slice(w->t, &s, NS_PER_US, args);
    const char *plan = w->plan[p->plan]->spec.name; /* as typed: letters, digits and "=:/+" */
    snprintf(args, sizeof args, "\"pass\":%zu,\"plan\":\"%.180s\"", number, plan);
    s = (slice){WALL, HOST_TRACK, pass_name(w, p, name), "pass", ns_at(w, p->gone), ns_at(w, p->ended)};
    trace_slice(w->t, &s, NS_PER_US, args);
}

static void draw_kv(const wall *w, size_t number) {
    const omni_pass_record *p = &w->r.pass[number];
    char args[ARGS];
    uint64_t bytes = kv_bytes(w->plan[p->next], w->r.length + number * w->r.sequences, w->r.sequences);
    snprintf(args, sizeof args, "\"bytes\":%llu", (unsigned long long)bytes);
    trace_counter(w->t, WALL, "keys and values", ns_at(w, p->ended), NS_PER_US, args);
}

/* The pass that an event belongs to; those on the way to it are drawn. */
static void reach(wall *w, uint64_t begin) {
    while (w->at + 1 < w->r.passes && begin >= w->r.pass[w->at].ended) {
        draw_kv(w, w->at);
        draw_pass(w, ++w->at);
    }
}

/* --- events ----------------------------------------------------------------------------------- */

/* On the track of its piece, and counted. */
static void draw_moved(wall *w, const omni_event *e, lane_kind kind, omni_range piece, const char *name) {
    char title[2 * NAME], args[ARGS], to[NAME] = "";
    lane *at = lane_of(&w->t->wall, kind, 0, piece, true);
    bool one = e->to != OMNI_EVENT_ALL;
    if (kind == LANE_TREE || kind == LANE_HOST)
        snprintf(title, sizeof title, "%s", name);
    else if (one)
        snprintf(title, sizeof title, "PE %u to PE %u, %s", e->rank, e->to, name);
    else
        snprintf(title, sizeof title, "PE %u, %s", e->rank, name);
    if (one && kind != LANE_TREE) snprintf(to, sizeof to, ",\"to\":%u", e->to);
    if (kind == LANE_TREE) snprintf(to, sizeof to, ",\"levels\":%zu", omni_ceil_log2(piece.count));
    snprintf(args, sizeof args, "\"bytes\":%llu,\"%s\":%u%s,\"step\":%u,\"pass\":%zu",
             (unsigned long long)e->bytes, kind == LANE_TREE ? "root" : "from", e->rank, to, e->step, w->at);
    if (at) lane_put(w->t, &w->t->wall, at, ns_at(w, e->begin), ns_at(w, e->end), title, args, NS_PER_US);
    if (kind == LANE_HOST) return;
    *(kind == LANE_TREE ? &w->moved.tree_bytes
      : one             ? &w->moved.addressed_bytes
                        : &w->moved.broadcast_bytes) += e->bytes;
    snprintf(args, sizeof args, "\"broadcast\":%llu,\"addressed\":%llu,\"tree\":%llu",
             (unsigned long long)w->moved.broadcast_bytes, (unsigned long long)w->moved.addressed_bytes,
             (unsigned long long)w->moved.tree_bytes);
    trace_counter(w->t, WALL, "bytes moved", ns_at(w, e->begin), NS_PER_US, args);
}

static void draw_step(wall *w, const item *i) {
    const omni_event *e = i->e;
    const omni_plan *plan = w->plan[w->r.pass[w->at].plan];
    const omni_step *s = &plan->step[e->step];
    bool computes = e->kind == OMNI_EVENT_COMPUTE;
    char name[NAME], args[ARGS], layer[32] = "", strip[32] = "", with[48] = "";
    step_title(name, plan, s);
    if (s->layer >= 0) snprintf(layer, sizeof layer, ",\"layer\":%d", s->layer);
    if (s->strips) snprintf(strip, sizeof strip, ",\"strip\":%u", (unsigned)e->strip);
    if (!computes && s->kind != OMNI_STEP_HOST_IN && s->kind != OMNI_STEP_HOST_OUT)
        snprintf(with, sizeof with, ",\"%s\":%u", step_lane(s) == LANE_TREE ? "root" : "from", e->rank);
    if (computes && omni_split_owner(w->pes, w->r.workers, e->rank) != i->by)
        snprintf(with, sizeof with, ",\"lent to worker\":%u", i->by);
    snprintf(args, sizeof args, "\"what\":\"%s\"%s,\"step\":%u%s,\"pass\":%zu,\"wave\":%u%s",
             omni_step_name(s->kind), layer, e->step, strip, w->at, (unsigned)e->wave, with);
    slice at = {.process = WALL,
                .track = computes ? pe_track(w, e->rank) : worker_track(w, i->by),
                .name = name,
                .category = computes ? "compute" : lane_category(step_lane(s)),
                .begin = ns_at(w, e->begin),
                .end = ns_at(w, e->end)};
    if (!computes || e->rank < MOST_PES) trace_slice(w->t, &at, NS_PER_US, args);
    if (!computes && e->bytes) draw_moved(w, e, step_lane(s), piece_of(plan, s, e->rank), name);
}

/* Of a change of plans. */
static void draw_carried(wall *w, const item *i) {
    char name[NAME];
    const omni_event *e = i->e;
    const omni_plan *plan = w->plan[w->r.pass[w->at].plan];
    if (e->kind == OMNI_EVENT_KV)
        snprintf(name, sizeof name, "keys, values of layer %u", e->step);
    else
        snprintf(name, sizeof name, "weights of %s", plan->weight[e->step].op->name);
    slice at = {WALL, worker_track(w, i->by), name, "bus", ns_at(w, e->begin), ns_at(w, e->end)};
    trace_slice(w->t, &at, NS_PER_US, "\"what\":\"change of plans\"");
    draw_moved(w, e, LANE_BUS, (omni_range){0, w->pes}, name);
}

static void draw(wall *w, const item *i) {
    const omni_event *e = i->e;
    reach(w, e->begin);
    if (e->kind == OMNI_EVENT_WAIT) {
        slice s = {WALL, worker_track(w, i->by), "wait", "wait", ns_at(w, e->begin), ns_at(w, e->end)};
        trace_slice(w->t, &s, NS_PER_US, "");
    } else if (e->kind == OMNI_EVENT_WEIGHTS || e->kind == OMNI_EVENT_KV) {
        draw_carried(w, i);
    } else {
        draw_step(w, i);
    }
}

/* --- all -------------------------------------------------------------------------------------- */

/* By their beginnings; what holds others comes before them. */
static int earlier(const void *a, const void *b) {
    const omni_event *x = ((const item *)a)->e, *y = ((const item *)b)->e;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end > y->end ? -1 : 1;
    return (x > y) - (x < y);
}

/* Events of whole passes. NULL: no memory. */
static item *sorted(const wall *w, size_t *count) {
    uint64_t end = w->r.pass[w->r.passes - 1].ended;
    size_t n, most = 0;
    for (size_t by = 0; by < w->r.workers; by++) {
        omni_engine_events(w->e, by, &n);
        most += n;
    }
    item *items = omni_alloc_array(most + 1, sizeof *items);
    *count = 0;
    for (size_t by = 0; items && by < w->r.workers; by++) {
        const omni_event *e = omni_engine_events(w->e, by, &n);
        for (size_t i = 0; i < n; i++)
            if (e[i].begin < end) items[(*count)++] = (item){&e[i], (uint32_t)by};
    }
    if (items) qsort(items, *count, sizeof *items, earlier);
    return items;
}

omni_status omni_trace_wall(omni_trace *t, const omni_engine *e, const omni_plan *const *plan,
                            omni_error *err) {
    wall w = {.t = t, .e = e, .plan = plan, .pes = plan[0]->mesh.pes};
    size_t count;
    omni_engine_recording(e, &w.r);
    name_tracks(&w);
    if (w.r.passes < w.r.all_passes)
        trace_note(t, "wall time: only the first %zu of %zu passes: there was no room for more events",
                   w.r.passes, w.r.all_passes);
    if (w.r.passes == 0) return OMNI_OK;
    item *items = sorted(&w, &count);
    if (!items) return omni_error_set(err, OMNI_RUN_FAILED, "no memory to sort the trace");
    w.zero = w.r.pass[0].began;
    draw_pass(&w, 0);
    for (size_t i = 0; i < count && !omni_output_failed(t->out); i++) draw(&w, &items[i]);
    reach(&w, UINT64_MAX);
    draw_kv(&w, w.at);
    lanes_close(t, &t->wall, NS_PER_US);
    omni_free(items);
    return OMNI_OK;
}
