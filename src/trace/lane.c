/* lane.c: tracks that are not known beforehand: pieces of the bus, levels of a tree, PEs that are alike. */
#include <stdio.h>

#include "trace/internal.h"

static bool same_lane(const lane *a, lane_kind kind, size_t level, omni_range ranks, bool exact) {
    return a->kind == kind && a->level == level && a->ranks.start == ranks.start &&
           (!exact || a->ranks.count == ranks.count);
}

lane *lane_of(lanes *l, lane_kind kind, size_t level, omni_range ranks, bool exact) {
    for (size_t i = 0; i < l->count; i++) {
        lane *at = &l->lane[i];
        if (!same_lane(at, kind, level, ranks, exact)) continue;
        at->varied |= at->ranks.count != ranks.count;
        if (ranks.count > at->ranks.count) at->ranks.count = ranks.count;
        return at;
    }
    if (l->count == MOST_LANES) {
        l->full = true;
        return NULL;
    }
    lane *at = &l->lane[l->count];
    *at = (lane){.kind = kind, .level = level, .ranks = ranks, .track = l->first_track + l->count};
    l->count++;
    return at;
}

static const char *lane_name(char buf[2 * NAME], const lane *at, bool modelled) {
    char ranks[NAME];
    switch (at->kind) {
    case LANE_PASS:
        snprintf(buf, 2 * NAME, "passes");
        break;
    case LANE_HOST:
        snprintf(buf, 2 * NAME, "host port, %s", trace_ranks(ranks, "PE ", at->ranks));
        break;
    case LANE_BUS:
        snprintf(buf, 2 * NAME, "bus, %s", trace_ranks(ranks, "PE ", at->ranks));
        break;
    case LANE_TREE:
        if (modelled)
            snprintf(buf, 2 * NAME, "tree level %zu, %s", at->level, trace_ranks(ranks, "PE ", at->ranks));
        else
            snprintf(buf, 2 * NAME, "tree, %s", trace_ranks(ranks, "PE ", at->ranks));
        break;
    case LANE_LINK:
        snprintf(buf, 2 * NAME, "links, %s", trace_ranks(ranks, "PE ", at->ranks));
        break;
    default:
        trace_ranks(ranks, "PE ", at->ranks);
        snprintf(buf, 2 * NAME, "%s%s", ranks, at->varied ? ", at times fewer" : "");
    }
    return buf;
}

static void draw_waiting(omni_trace *t, const lanes *l, lane *at, uint64_t per_us) {
    slice s = {l->process, at->track, at->name, lane_category(at->kind), at->begin, at->end};
    if (at->waiting) trace_slice(t, &s, per_us, at->args);
    at->waiting = false;
    at->last = at->end;
}

void lane_put(omni_trace *t, lanes *l, lane *at, uint64_t begin, uint64_t end, const char *name,
              const char *args, uint64_t per_us) {
    if (at->waiting && begin < at->begin) begin = at->begin;
    if (at->waiting && at->end > begin) at->end = begin;
    if (end < begin) end = begin;
    draw_waiting(t, l, at, per_us);
    at->waiting = true;
    at->begin = begin;
    at->end = end;
    snprintf(at->name, sizeof at->name, "%s", name);
    snprintf(at->args, sizeof at->args, "%s", args);
}

void lanes_close(omni_trace *t, lanes *l, uint64_t per_us) {
    char name[2 * NAME];
    for (size_t i = 0; i < l->count; i++) {
        lane *at = &l->lane[i];
        size_t first = at->ranks.start < 1000000 ? at->ranks.start : 1000000;
        draw_waiting(t, l, at, per_us);
        trace_track(t, l->process, at->track, at->kind * 100000000 + at->level * 1000000 + first,
                    lane_name(name, at, l->process == MODELLED));
    }
    if (l->full)
        trace_note(
            t,
            "%s: more than %d tracks of the bus, the tree and the PEs; what belongs on others is not drawn",
            l->process == WALL ? "wall time" : "modelled time", MOST_LANES);
    l->count = 0;
}
