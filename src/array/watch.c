/* watch.c: a pass as it goes by, for who wants to draw it. A step's spans are found from what is spent in it (walk.c's
 * spend, which everything goes through) and from the clocks before and behind it:
 *
 *   compute step    a span for each run of ranks, from its clock before to its clock behind
 *   message         a span from the first thing spent to the last; of a tree one for each level
 *
 * So pieces of a stage that talk at the same time (heads, pairs of a level) are one span, and what one group does in a
 * kind of time never overlaps. Nothing is skipped while somebody watches: no layer that goes by like the one before.
 */
#include "array/walk.h"

bool watch_open(walk *w) {
    size_t most = w->classes;
    if (!w->watch.tell) return true;
    for (size_t g = 0; g < w->classes; g++)
        for (size_t s = 0; s < w->plan->mesh.stages; s++)
            if (w->class[g].cell[s].runs.count > most) most = w->class[g].cell[s].runs.count;
    w->watch.before = omni_alloc_array(most, sizeof *w->watch.before);
    return w->watch.before != NULL;
}

void watch_spent(walk *w, uint64_t begin, uint64_t end, omni_price_kind kind) {
    size_t level = w->watch.level < SEEN_LEVELS ? w->watch.level : SEEN_LEVELS - 1;
    seen *s = &w->watch.seen[kind == OMNI_PRICE_TREE ? OMNI_PRICE_KINDS + level : (size_t)kind];
    if (s->end == 0 || begin < s->begin) s->begin = begin;
    if (end > s->end) s->end = end;
}

void watch_begin(walk *w, const cell *c) {
    if (!w->watch.tell) return;
    memset(w->watch.seen, 0, sizeof w->watch.seen);
    w->watch.moved = w->out->moved;
    for (size_t r = 0; c && r < c->runs.count; r++) w->watch.before[r] = cell_clock(c, r).ps;
    for (size_t g = 0; !c && g < w->classes; g++) w->watch.before[g] = w->class[g].cell[0].clock[0].ps;
}

static void tell(const walk *w, omni_price_span *span, uint64_t begin, uint64_t end) {
    span->begin_ps = begin;
    span->end_ps = end;
    if (end > begin) w->watch.tell(w->watch.user, span);
}

static void tell_ranks(const walk *w, omni_price_span span, const cell *c) {
    span.kind = OMNI_PRICE_COMPUTE;
    for (size_t r = 0; r < c->runs.count; r++) {
        span.ranks = (omni_range){c->first + c->runs.start[r], c->runs.start[r + 1] - c->runs.start[r]};
        tell(w, &span, w->watch.before[r], cell_clock(c, r).ps);
    }
}

/* Of streamed weights: each class's one rank computes while they come, from its clock before to its clock behind. */
static void tell_streamed(const walk *w, omni_price_span span) {
    span.kind = OMNI_PRICE_COMPUTE;
    for (size_t g = 0; g < w->classes; g++) {
        const group_class *k = &w->class[g];
        span.group = k->first;
        span.groups = k->count;
        span.ranks = (omni_range){k->cell[0].first, k->cell[0].p};
        tell(w, &span, w->watch.before[g], k->cell[0].clock[0].ps);
    }
}

static void tell_messages(const walk *w, omni_price_span span) {
    omni_counters c = omni_counters_between(&w->watch.moved, &w->out->moved);
    uint64_t bus = c.broadcast_bytes + c.addressed_bytes;
    size_t last = SEEN;
    while (last > OMNI_PRICE_KINDS && w->watch.seen[last - 1].end == 0) last--;
    for (size_t i = OMNI_PRICE_COMPUTE + 1; i < SEEN; i++) {
        const seen *s = &w->watch.seen[i];
        bool tree = i >= OMNI_PRICE_KINDS;
        span.kind = tree ? OMNI_PRICE_TREE : (omni_price_kind)i;
        span.level = tree ? i - OMNI_PRICE_KINDS : 0;
        span.bytes = span.kind == OMNI_PRICE_HOST   ? c.host_bytes
                     : span.kind == OMNI_PRICE_LINK ? bus + c.tree_bytes
                     : !tree                        ? bus
                     : i + 1 == last                ? c.tree_bytes
                                                    : 0;
        tell(w, &span, s->begin, s->end);
    }
}

void watch_end(walk *w, const omni_step *s, const group_class *k, const cell *c) {
    if (!w->watch.tell) return;
    const omni_mesh *mesh = &w->plan->mesh;
    omni_price_span span = {
        .step = s, .wave = w->wave, .strip = w->strip, .groups = mesh->groups, .ranks = {0, mesh->used}};
    if (k) {
        span.group = k->first;
        span.groups = k->count;
        span.ranks = (omni_range){c->first, c->p};
    }
    if (!omni_step_is_message(s)) {
        tell_ranks(w, span, c);
        return;
    }
    if (s->kind == OMNI_STEP_STREAM) tell_streamed(w, span);
    tell_messages(w, span);
}
