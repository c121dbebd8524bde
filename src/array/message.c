/* message.c: message steps within a stage of a group, and from stage to stage.
 *
 * A message starts when its writer is ready and its piece of the bus is free; everybody leaves the step when
 * its last message has ended. A piece that is cut otherwise than the message before left it is cut (or
 * joined) first.
 */
#include "array/linked.h"

static uint64_t cut_ps(const walk *w, const track *t, unsigned cut) {
    return t->cut == cut ? 0 : bus_cut_ps(&w->m);
}

/* Pieces for the pairs of a tree over one of `parts` parts of a stage. */
static uint64_t tree_share(const walk *w, size_t parts) {
    const omni_mesh *mesh = &w->plan->mesh;
    uint64_t share = w->m.pieces / (mesh->groups * mesh->stages * parts);
    return w->m.own_wires ? UINT64_MAX : share ? share : 1;
}

/* --- counting --------------------------------------------------------------------------------- */

/* Set bits of all numbers below n. */
static uint64_t bits_below(uint64_t n) {
    uint64_t sum = 0;
    for (unsigned b = 0; b < 63 && n >> b; b++) {
        uint64_t block = (uint64_t)2 << b, rest = n % block, half = block / 2;
        sum += n / block * half + (rest > half ? rest - half : 0);
    }
    return sum;
}

/* And of the numbers from a to b - 1. */
static uint64_t bits_between(uint64_t a, uint64_t b) {
    return b == a + 1 ? (uint64_t)__builtin_popcountll(a) : bits_below(b) - bits_below(a);
}

void count_up_the_tree(walk *w, const tree_job *t, uint64_t busy_ps, uint64_t times) {
    omni_counters *c = &w->out->moved;
    uint64_t bytes = t->slice ? 0 : sat_mul(t->bytes, t->p - 1);
    for (size_t r = 0; t->slice && r < t->c->runs.count; r++)
        bytes =
            sat_add(bytes, sat_mul(t->slice[r], bits_between(t->c->runs.start[r], t->c->runs.start[r + 1])));
    *(t->slice ? &c->tree_gathers : &c->reductions) += times;
    c->tree_levels += times * omni_ceil_log2(t->p);
    c->tree_bytes += sat_mul(bytes, times);
    if (!w->m.own_wires) w->busy += (wide)sat_mul(busy_ps, times) * t->p;
}

static moment earliest(const cell *c) {
    moment at = c->clock[0];
    for (size_t r = 1; r < c->runs.count && !c->together; r++)
        if (c->clock[r].ps < at.ps) at = c->clock[r];
    return at;
}

/* --- in one stage ----------------------------------------------------------------------------- */

static moment broadcast(walk *w, const omni_step *s, const cell *c, const step_cost *cost, uint64_t times) {
    moment at = wires_start(w, c->clock[0], track_free(c->bus), times);
    uint64_t ps = sat_add(cut_ps(w, c->bus, OMNI_CUT_STAGE), bus_ps(&w->m, cost->whole, c->span));
    count_bus(w, s, 1, cost->whole, ps, c->p, times);
    return spend(w, at, ps, s, OMNI_PRICE_BUS);
}

/* Reduction or gather. */
static moment up_the_tree(walk *w, const omni_step *s, const cell *c, const step_cost *cost, uint64_t times) {
    tree_job t = {.w = w, .s = s, .c = c, .p = c->p, .bytes = cost->whole, .share = tree_share(w, 1)};
    uint64_t busy;
    if (s->kind == OMNI_STEP_GATHER) t.slice = cost->run;
    t.from = w->m.own_wires ? c->tree : track_free(c->bus);
    wires_start(w, earliest(c), t.from, times);
    moment end = tree_walk(&t, &busy);
    count_up_the_tree(w, &t, busy, times);
    return end;
}

/* Rank after rank, or the root to rank after rank. */
static moment one_by_one(walk *w, const omni_step *s, const cell *c, const step_cost *cost, uint64_t times) {
    bool root_writes = s->kind == OMNI_STEP_SCATTER, all = s->kind == OMNI_STEP_ALL_GATHER;
    moment at = wires_start(w, cell_clock(c, root_writes || all ? 0 : 1), track_free(c->bus), times);
    uint64_t cut = cut_ps(w, c->bus, OMNI_CUT_STAGE);
    for (size_t r = all ? 0 : 1, next; r < c->runs.count; r = next) { /* index 0 is a run of its own */
        uint64_t bytes = cost->run[r];
        if (!root_writes && bytes) at = later(at, cell_clock(c, r));
        /* With those behind it that have as much to send, and are ready by now. */
        for (next = r + 1; next < c->runs.count && cost->run[next] == bytes; next++)
            if (!root_writes && cell_clock(c, next).ps > at.ps) break;
        uint64_t ranks = c->runs.start[next] - c->runs.start[r];
        if (bytes == 0) continue;
        uint64_t ps = sat_add(cut, sat_mul(bus_ps(&w->m, bytes, c->span), ranks));
        at = spend(w, at, ps, s, OMNI_PRICE_BUS);
        count_bus(w, s, ranks, sat_mul(bytes, ranks), ps, c->p, times);
        cut = 0;
    }
    return at;
}

/* A tree's own wires are taken, too: strips follow each other on them. */
static void in_stage(walk *w, const omni_step *s, cell *c, const step_cost *cost, uint64_t times) {
    bool tree = s->kind == OMNI_STEP_REDUCE || s->kind == OMNI_STEP_GATHER;
    bool bus = !tree || !w->m.own_wires;
    moment end = (tree                             ? up_the_tree
                  : s->kind == OMNI_STEP_BROADCAST ? broadcast
                                                   : one_by_one)(w, s, c, cost, times);
    if (bus) track_take(c->bus, end, tree ? CUT_TREE : OMNI_CUT_STAGE);
    if (!bus) c->tree = end;
    cell_leave(c, end);
}

/* --- in the heads of a stage ------------------------------------------------------------------ */

/* One head's ranks, runs [from, to) of its cell, on a further piece. Heads that have no piece of their own
 * take turns. */
typedef struct head {
    omni_range ranks;
    size_t span; /* PEs, the dead between them too */
    size_t from, to;
    moment wires; /* free */
    moment end;   /* everybody leaves */
    uint64_t busy_ps;
} head;

static void broadcast_in(walk *w, const omni_step *s, const cell *c, const step_cost *cost, head *h) {
    h->busy_ps = sat_add(cut_ps(w, c->bus, OMNI_CUT_HEAD), bus_ps(&w->m, cost->whole, h->span));
    h->end = spend(w, later(cell_clock(c, h->from), h->wires), h->busy_ps, s, OMNI_PRICE_BUS);
}

static void reduce_in(walk *w, const omni_step *s, const cell *c, const step_cost *cost, head *h) {
    tree_job t = {.w = w, .s = s, .c = c, .first = h->ranks.start, .p = h->ranks.count, .bytes = cost->whole};
    t.share = tree_share(w, w->plan->mesh.heads);
    if (!w->m.own_wires) t.from = h->wires;
    h->end = tree_walk(&t, &h->busy_ps);
}

static void count_head(walk *w, const omni_step *s, const cell *c, const step_cost *cost, const head *h,
                       uint64_t times) {
    tree_job t = {.bytes = cost->whole, .p = h->ranks.count};
    bool reduces = s->kind == OMNI_STEP_REDUCE;
    moment none = {0};
    wires_start(w, cell_clock(c, h->from), reduces && w->m.own_wires ? none : h->wires, times);
    if (reduces)
        count_up_the_tree(w, &t, h->busy_ps, times);
    else
        count_bus(w, s, 1, cost->whole, h->busy_ps, h->ranks.count, times);
}

/* All its ranks are ready at the same time, and so were those of the head before, with as many ranks, as near
 * to each other, and wires that were free at the same time: it ends at the same time. */
static bool same_head(const cell *c, const head *h, const head *before) {
    uint64_t ready = cell_clock(c, h->from).ps;
    bool same = before->ranks.count == h->ranks.count && before->wires.ps == h->wires.ps &&
                h->span == h->ranks.count && before->span == h->span;
    for (size_t r = before->from; r < h->to && same && !c->together; r++) same = c->clock[r].ps == ready;
    return same;
}

static void leave_head(cell *c, const head *h) {
    cell_spread(c);
    for (size_t r = h->from; r < h->to; r++) c->clock[r] = later(h->end, c->clock[r]);
}

/* Clocks change behind the heads that are compared: one head later. */
static void in_heads(walk *w, const omni_step *s, cell *c, const step_cost *cost, uint64_t times) {
    size_t heads = w->plan->mesh.heads, run = 0;
    bool reduces = s->kind == OMNI_STEP_REDUCE, bus = !reduces || !w->m.own_wires;
    head before = {0};
    for (size_t k = 0; k < heads; k++) {
        head h = {.ranks = omni_split(c->p, heads, k)};
        moment *wires = &c->bus->free[omni_split_owner(heads, c->bus->subs, k)];
        h.wires = *wires;
        h.span = faults_span(w->m.faults, c->first + h.ranks.start, h.ranks.count);
        for (h.from = run; run < c->runs.count && c->runs.start[run] < h.ranks.start + h.ranks.count;) run++;
        h.to = run;
        if (h.ranks.count < 2) continue;
        if (same_head(c, &h, &before)) {
            h.end = before.end;
            h.busy_ps = before.busy_ps;
        } else {
            (reduces ? reduce_in : broadcast_in)(w, s, c, cost, &h);
        }
        count_head(w, s, c, cost, &h, times);
        if (bus) *wires = h.end;
        if (before.ranks.count) leave_head(c, &before);
        before = h;
    }
    if (before.ranks.count) leave_head(c, &before);
    if (bus) c->bus->cut = reduces ? CUT_TREE : OMNI_CUT_HEAD;
}

void message_walk(walk *w, const omni_step *s, cell *c, uint64_t times) {
    const step_cost *cost = cost_of(w, c, s);
    if (c->p == 1 || cost->whole == 0) return;
    if (w->m.network != OMNI_NETWORK_BUS) {
        linked_message(w, s, c, times);
        return;
    }
    (s->cut == OMNI_CUT_HEAD ? in_heads : in_stage)(w, s, c, cost, times);
}

/* --- from stage to stage ---------------------------------------------------------------------- */

/* Only the two roots take part. */
void hand_off_walk(walk *w, const omni_step *s, cell *from, cell *to, const omni_part *part, uint64_t times) {
    const omni_value *v = &w->plan->value[s->in[0]];
    size_t p = from->p + to->p;
    uint64_t bytes =
        sat_mul(wire_row_bytes(w->plan, s, v, p, NULL), omni_rows_count(v->rows, part->extent, p, 0));
    if (bytes == 0) return;
    moment at = wires_start(w, from->clock[0], later(track_free(from->bus), track_free(to->bus)), times);
    bool cut = from->bus->cut != OMNI_CUT_BOUNDARY || to->bus->cut != OMNI_CUT_BOUNDARY;
    bool linked = w->m.network != OMNI_NETWORK_BUS;
    size_t span = faults_span(w->m.faults, from->first, p); /* `to` is behind it */
    uint64_t ps = linked ? linked_hand_off_ps(w, from->p, bytes, times)
                         : sat_add(cut ? bus_cut_ps(&w->m) : 0, bus_ps(&w->m, bytes, span));
    moment end = spend(w, at, ps, s, linked ? OMNI_PRICE_LINK : OMNI_PRICE_BUS);
    count_bus(w, s, 1, bytes, linked ? 0 : ps, p, times);
    if (!linked) track_take(from->bus, end, OMNI_CUT_BOUNDARY);
    if (!linked) track_take(to->bus, end, OMNI_CUT_BOUNDARY);
    cell_spread(from);
    cell_spread(to);
    from->clock[0] = later(end, from->clock[0]);
    to->clock[0] = later(end, to->clock[0]);
}
