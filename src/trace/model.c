/* model.c: what a modelled array does in the same passes, as a process of its own: its time has nothing to do with the
 * wall clock's. A pass begins where the one before has ended.
 *
 *   passes           | prefill ............. | decode | ...
 *   host port        | input |
 *   bus, PE 0-3              | PE 0, x |
 *   tree level 0             all pairs of the level, from the first to the last
 *   PE 0                     | qkv | messages, waiting | norm | ...
 *   PE 1-3                   ...                                        ranks with the same work are one track
 */
#include <stdio.h>

#include "trace/internal.h"

typedef struct model {
    omni_trace *t;
    const omni_plan *plan;
} model;

static lane_kind kind_of(omni_price_kind kind) {
    static const lane_kind kinds[OMNI_PRICE_KINDS] = {[OMNI_PRICE_COMPUTE] = LANE_PES,
                                                      [OMNI_PRICE_BUS] = LANE_BUS,
                                                      [OMNI_PRICE_TREE] = LANE_TREE,
                                                      [OMNI_PRICE_HOST] = LANE_HOST,
                                                      [OMNI_PRICE_LINK] = LANE_LINK};
    return kinds[kind];
}

static void draw_slice(omni_trace *t, const lane *at, const char *name, const char *category, uint64_t begin,
                       uint64_t end, const char *args) {
    slice s = {MODELLED, at->track, name, category, begin, end};
    trace_slice(t, &s, PS_PER_US, args);
    t->drawn++;
}

/* What the PEs were in between: in messages, or waiting for them. */
static void draw_gap(omni_trace *t, lane *at, uint64_t begin) {
    uint64_t from = at->last > t->now_ps ? at->last : t->now_ps;
    if (at->kind == LANE_PES && begin > from) draw_slice(t, at, "messages, waiting", "wait", from, begin, "");
}

/* Who writes; of a tree, where it goes. */
static void write_from(char *buf, size_t cap, const omni_price_span *s) {
    const omni_step *step = s->step;
    bool each = step->kind == OMNI_STEP_ALL_GATHER || step->kind == OMNI_STEP_COLLECT ||
                step->kind == OMNI_STEP_STREAM || step->kind == OMNI_STEP_KV_SHARE ||
                step->cut == OMNI_CUT_HEAD;
    if (each)
        snprintf(buf, cap, ",\"from\":\"each in turn, or in its piece\"");
    else
        snprintf(buf, cap, ",\"%s\":%zu", s->kind == OMNI_PRICE_TREE ? "root" : "from",
                 s->ranks.start + step->root);
}

static void draw_span(void *user, const omni_price_span *s) {
    const model *m = user;
    omni_trace *t = m->t;
    char name[NAME], args[ARGS], ranks[NAME], layer[32] = "", strip[32] = "", moved[96] = "", from[64] = "",
                                              groups[NAME] = "";
    lane *at = lane_of(&t->model, kind_of(s->kind), s->level, s->ranks, s->kind != OMNI_PRICE_COMPUTE);
    uint64_t begin = t->now_ps + s->begin_ps, end = t->now_ps + s->end_ps;
    if (!at) return;
    if (s->step->layer >= 0) snprintf(layer, sizeof layer, ",\"layer\":%d", s->step->layer);
    if (s->step->strips) snprintf(strip, sizeof strip, ",\"strip\":%zu", s->strip);
    if (s->kind != OMNI_PRICE_COMPUTE && s->kind != OMNI_PRICE_HOST) write_from(from, sizeof from, s);
    if (s->bytes) snprintf(moved, sizeof moved, ",\"bytes\":%llu", (unsigned long long)s->bytes);
    if (s->groups > 1) {
        char text[NAME];
        snprintf(groups, sizeof groups, ",\"groups\":\"%s\"",
                 trace_ranks(text, "", (omni_range){s->group, s->groups}));
    }
    snprintf(args, sizeof args, "\"what\":\"%s\",\"PEs\":\"%s\"%s,\"step\":%zu%s,\"wave\":%zu%s%s%s",
             omni_step_name(s->step->kind), trace_ranks(ranks, "", s->ranks), layer, s->step->number, strip,
             s->wave, groups, moved, from);
    draw_gap(t, at, begin);
    draw_slice(t, at, step_title(name, m->plan, s->step), lane_category(at->kind), begin, end, args);
    at->last = end;
}

/* The process and its passes' track are there with the first. */
static void draw_pass(omni_trace *t, const char *array, const char *name, uint64_t ps) {
    char text[NAME + 160];
    snprintf(text, sizeof text, "modelled time, on %.128s", array);
    if (!t->modelled) trace_process(t, MODELLED, text);
    t->modelled = true;
    const lane *at = lane_of(&t->model, LANE_PASS, 0, (omni_range){0, 1}, true);
    if (at) draw_slice(t, at, name, "pass", t->now_ps, t->now_ps + ps, "");
    t->now_ps += ps;
}

omni_status omni_trace_modelled(omni_trace *t, const omni_array *array, const omni_plan *plan,
                                omni_extent pass, const char *name, omni_error *err) {
    model m = {t, plan};
    omni_price price;
    if (omni_trace_modelled_full(t)) {
        if (!t->full)
            trace_note(t, "modelled time: only the first passes: there was no room for more events");
        t->full = true;
        return OMNI_OK;
    }
    if (!t->modelled && omni_array_is_host(array))
        trace_note(t, "modelled time: the array is this host, of which only the passes' times are predicted");
    omni_status status = omni_price_watched(array, plan, pass, draw_span, &m, &price, err);
    if (!status) draw_pass(t, omni_array_name(array), name, price.ps);
    return status;
}

void omni_trace_modelled_change(omni_trace *t, uint64_t ps) {
    if (!omni_trace_modelled_full(t)) draw_pass(t, "", "change of plans", ps);
}

bool omni_trace_modelled_full(const omni_trace *t) {
    return t->drawn >= t->limit;
}
