/* linked.c: a plan's messages on a ring or a mesh: which collectives they are there.
 *
 * Plans are written for a bus, where what is to be everywhere goes to the root first: by the tree, and back
 * by one broadcast. On links that is one collective, and is priced as one:
 *
 *   reduction, broadcast               all-reduce          reduce-scatter + all-gather
 *   reduction, scatter                 reduce-scatter
 *   tree gather (collect), broadcast   all-gather
 *   .., element-wise, ..               likewise: each PE does a p-th of the work on its slice in between
 *
 * A chain of such steps stands next to each other in the plan, what it yields on the way has no other reader,
 * and what is done in between is done to every element (or head, or token) by itself. Where it is faster to
 * go over the root after all, as short messages are, it does. Pieces have links of their own: nobody waits
 * for another's.
 *
 * A collective starts when all its ranks are ready, a broadcast, a scatter and a hand-off when the root is;
 * all leave together. A piece of a ring is a row; a piece of a mesh is a mesh of its own. The host port is at
 * the first PE of each group, which broadcasts what came.
 */
#include "array/linked.h"

static net net_in(const walk *w, size_t p) {
    return net_of(&w->m, p, p == w->plan->mesh.pes);
}

static moment take(walk *w, moment at, toll t, uint64_t times, const omni_step *s) {
    w->busy += (wide)t.bytes * times;
    return spend(w, at, t.ps, s, OMNI_PRICE_LINK);
}

/* --- chains ----------------------------------------------------------------------------------- */

static bool goes_up(const omni_step *s) {
    return s->kind == OMNI_STEP_REDUCE || s->kind == OMNI_STEP_GATHER || s->kind == OMNI_STEP_COLLECT;
}

static bool comes_down(const omni_step *s) {
    return s->kind == OMNI_STEP_BROADCAST || s->kind == OMNI_STEP_SCATTER;
}

/* What can be done to slices of the value. */
static bool is_apart(const omni_step *s) {
    return s->root_only && s->in[1] == OMNI_NO_VALUE &&
           (s->kind == OMNI_STEP_ACTIVATION || s->kind == OMNI_STEP_ATTENTION_FINISH ||
            s->kind == OMNI_STEP_NORM_FINISH);
}

static bool has_reader(const omni_plan *plan, int value, size_t from) {
    for (size_t i = from; i < plan->step_count; i++)
        if (plan->step[i].in[0] == value || plan->step[i].in[1] == value) return true;
    return false;
}

/* The next step, if it takes what this one yields, and nobody else does. */
static bool leads_on(const omni_plan *plan, size_t i) {
    const omni_step *s = &plan->step[i], *next = s + 1;
    return i + 1 < plan->step_count && s->out != OMNI_NO_VALUE && next->in[0] == s->out &&
           next->in[1] != s->out && next->stage == s->stage && !has_reader(plan, s->out, i + 2);
}

bool chain_find(const omni_plan *plan, size_t i, omni_range *out) {
    size_t from = i, last;
    if (!goes_up(&plan->step[i]) && !comes_down(&plan->step[i]) && !is_apart(&plan->step[i])) return false;
    while (from > 0 && !goes_up(&plan->step[from]) && (from == i || is_apart(&plan->step[from]))) from--;
    if (!goes_up(&plan->step[from])) return false;
    for (last = from; leads_on(plan, last); last++)
        if (!is_apart(&plan->step[last + 1])) {
            last++;
            break;
        }
    const omni_step *up = &plan->step[from], *down = &plan->step[last];
    *out = (omni_range){from, last - from + 1};
    return last >= i && comes_down(down) && down->cut == up->cut && down->strips == up->strips &&
           (up->cut != OMNI_CUT_HEAD || out->count == 2) &&
           (up->kind == OMNI_STEP_REDUCE || down->kind == OMNI_STEP_BROADCAST);
}

/* --- a chain, by slices or over the root ------------------------------------------------------ */

static uint64_t largest_slice(const cell *c, const step_cost *cost) {
    uint64_t most = 0;
    for (size_t r = 0; r < c->runs.count; r++) most = cost->run[r] > most ? cost->run[r] : most;
    return most;
}

static toll up_slices(const walk *w, const net *n, const cell *c, const omni_step *up) {
    return up->kind == OMNI_STEP_REDUCE ? net_reduce_scatter(n, cost_of(w, c, up)->whole) : (toll){0};
}

/* Slices of what was gathered are as uneven as they came. */
static toll down_slices(const walk *w, const net *n, const cell *c, const omni_step *up,
                        const omni_step *down) {
    uint64_t bytes = cost_of(w, c, down)->whole, came = cost_of(w, c, up)->whole;
    if (down->kind == OMNI_STEP_SCATTER) return (toll){0};
    if (up->kind == OMNI_STEP_REDUCE || came == 0) return net_all_gather(n, ceil_div(bytes, n->p), bytes);
    wide slice = ((wide)largest_slice(c, cost_of(w, c, up)) * bytes + came - 1) / came;
    return net_all_gather(n, slice > bytes ? bytes : (uint64_t)slice, bytes);
}

static toll up_whole(const net *n, const omni_step *s, uint64_t bytes) {
    return s->kind == OMNI_STEP_REDUCE ? net_reduce(n, bytes) : net_gather(n, bytes);
}

static toll down_whole(const net *n, const omni_step *s, uint64_t bytes) {
    return s->kind == OMNI_STEP_BROADCAST ? net_broadcast(n, bytes) : net_gather(n, bytes);
}

/* Of a step in the middle of a chain: the work of a healthy root. */
static uint64_t middle_ps(const walk *w, const cell *c, const omni_step *s) {
    work all = cost_of(w, c, s)->total;
    return work_ps(&w->m, &all);
}

/* Of the strip at hand: slices of a chain, or all of it over the root. */
static void add_strip(const walk *w, const net *n, const cell *c, omni_range chain, uint64_t *slices,
                      uint64_t *whole) {
    const omni_step *up = &w->plan->step[chain.start], *down = up + chain.count - 1;
    *slices = sat_add(*slices, sat_add(up_slices(w, n, c, up).ps, down_slices(w, n, c, up, down).ps));
    *whole = sat_add(*whole, sat_add(up_whole(n, up, cost_of(w, c, up)->whole).ps,
                                     down_whole(n, down, cost_of(w, c, down)->whole).ps));
    for (const omni_step *k = up + 1; k < down; k++) {
        uint64_t ps = middle_ps(w, c, k);
        *slices = sat_add(*slices, ceil_div(ps, n->p));
        *whole = sat_add(*whole, ps);
    }
}

/* Is step s part of a chain that goes by slices, in a piece of n's ranks? All of its strips do, or none: the
 * sum may come in strips of features, and what is done with it in one. Faults are not asked: what is chosen
 * for healthy PEs is done by all. */
static bool by_slices(walk *w, const net *n, const cell *c, const omni_step *s, omni_range *chain) {
    if (!chain_find(w->plan, (size_t)(s - w->plan->step), chain)) return false;
    size_t strip = w->strip, strips = s->strips ? s->strips : 1;
    uint64_t slices = 0, whole = 0;
    for (w->strip = 0; w->strip < strips; w->strip++) add_strip(w, n, c, *chain, &slices, &whole);
    w->strip = strip;
    return slices <= whole;
}

/* A share takes as long as its PE is slow and uneven: a run is a rank where it is. */
bool linked_compute(walk *w, const omni_step *s, cell *c, uint64_t times) {
    const faults *f = w->m.faults;
    omni_range chain;
    net n = net_in(w, c->p);
    if (!is_apart(s) || c->p < 2 || !by_slices(w, &n, c, s, &chain)) return false;
    uint64_t share = ceil_div(middle_ps(w, c, s), c->p);
    if (faults_any(f)) cell_spread(c);
    for (size_t r = 0; r < c->runs.count; r++) {
        size_t rank = c->first + c->runs.start[r], ranks = c->runs.start[r + 1] - c->runs.start[r];
        uint64_t ps = faults_stretch(share, faults_ppm(f, rank));
        if (f->jitter_ppm) ps = faults_stretch(ps, jitter_of(w, s, rank));
        w->computing += (wide)sat_mul(ps, ranks) * times;
        if (r == 0 || !c->together) c->clock[r] = spend(w, c->clock[r], ps, s, OMNI_PRICE_COMPUTE);
    }
    return true;
}

/* --- a message -------------------------------------------------------------------------------- */

static toll toll_of(walk *w, const net *n, const cell *c, const omni_step *s, bool *all_wait) {
    omni_range chain;
    const step_cost *cost = cost_of(w, c, s);
    *all_wait = true;
    if (s->kind == OMNI_STEP_ALL_GATHER) return net_all_gather(n, largest_slice(c, cost), cost->whole);
    if (by_slices(w, n, c, s, &chain)) {
        const omni_step *up = &w->plan->step[chain.start];
        return s == up ? up_slices(w, n, c, up) : down_slices(w, n, c, up, s);
    }
    *all_wait = goes_up(s);
    return (goes_up(s) ? up_whole : down_whole)(n, s, cost->whole);
}

/* Of p ranks, these runs of the cell, on links that are free from then on. */
static moment talk(walk *w, const omni_step *s, const cell *c, size_t p, omni_range of, moment links,
                   uint64_t times) {
    bool all;
    net n = net_in(w, p);
    toll t = toll_of(w, &n, c, s, &all);
    moment at = later(cell_clock(c, of.start), links);
    for (size_t r = of.start; r < of.start + of.count && all; r++) at = later(at, cell_clock(c, r));
    return take(w, at, t, times, s);
}

static void count(walk *w, const omni_step *s, const cell *c, const step_cost *cost, size_t p,
                  uint64_t times) {
    if (s->kind == OMNI_STEP_REDUCE || s->kind == OMNI_STEP_GATHER) {
        tree_job t = {.c = c, .bytes = cost->whole, .p = p};
        if (s->kind == OMNI_STEP_GATHER) t.slice = cost->run;
        count_up_the_tree(w, &t, 0, times);
        return;
    }
    if (s->kind == OMNI_STEP_BROADCAST) count_bus(w, s, 1, cost->whole, 0, p, times);
    for (size_t r = s->kind != OMNI_STEP_ALL_GATHER; r < c->runs.count && s->kind != OMNI_STEP_BROADCAST;
         r++) {
        uint64_t ranks = c->runs.start[r + 1] - c->runs.start[r];
        if (cost->run[r]) count_bus(w, s, ranks, sat_mul(cost->run[r], ranks), 0, p, times);
    }
}

/* Heads are pieces of a stage, all at the same time: no head waits for another's links, and its own are free
 * when its ranks are. What the whole stage sends next waits for all. */
static void in_heads(walk *w, const omni_step *s, cell *c, uint64_t times) {
    size_t heads = w->plan->mesh.heads, run = 0;
    moment last = c->tree;
    cell_spread(c);
    for (size_t k = 0; k < heads; k++) {
        omni_range ranks = omni_split(c->p, heads, k), of = {run, 0};
        while (run < c->runs.count && c->runs.start[run] < ranks.start + ranks.count) run++;
        of.count = run - of.start;
        if (ranks.count < 2) continue;
        moment end = talk(w, s, c, ranks.count, of, (moment){0}, times);
        count(w, s, c, cost_of(w, c, s), ranks.count, times);
        last = later(last, end);
        for (size_t r = of.start; r < run; r++) c->clock[r] = later(end, c->clock[r]);
    }
    c->tree = last;
}

void linked_message(walk *w, const omni_step *s, cell *c, uint64_t times) {
    if (s->cut == OMNI_CUT_HEAD) {
        in_heads(w, s, c, times);
        return;
    }
    c->tree = talk(w, s, c, c->p, (omni_range){0, c->runs.count}, c->tree,
                   times); /* strips follow each other on the links */
    cell_leave(c, c->tree);
    count(w, s, c, cost_of(w, c, s), c->p, times);
}

/* --- between stages, groups and the host ------------------------------------------------------ */

/* From root to root: along a ring past all of a stage; on a mesh past a row of it. */
uint64_t linked_hand_off_ps(walk *w, size_t from, uint64_t bytes, uint64_t times) {
    net n = net_in(w, from);
    uint64_t hops = n.mesh ? n.columns : from;
    w->busy += (wide)sat_mul(bytes, hops) * times;
    return link_ps(&w->m, bytes, hops);
}

moment linked_input(walk *w, const omni_step *s, size_t p, uint64_t bytes, uint64_t times) {
    net n = net_in(w, p);
    return take(w, w->host, net_broadcast(&n, bytes), times, s);
}

moment linked_share(walk *w, const omni_step *s, uint64_t slice, uint64_t bytes) {
    net n = net_in(w, w->plan->mesh.used);
    moment at = w->class[0].cell[0].clock[0];
    for (size_t g = 1; g < w->classes; g++) at = later(at, w->class[g].cell[0].clock[0]);
    return take(w, at, net_all_gather(&n, slice, bytes), 1, s);
}

/* Weights go round, each PE computing on what came while the next is under way. */
uint64_t linked_turn_ps(walk *w, size_t turn, uint64_t bytes) {
    net n = net_in(w, w->plan->mesh.used);
    w->busy += net_round_bytes(&n, bytes);
    return net_turn_ps(&n, turn, bytes);
}

uint64_t linked_busy_ppm(const walk *w) {
    net n = net_in(w, w->plan->mesh.used);
    if (w->m.link.width == UINT64_MAX || w->out->ps == 0 || net_links(&n) == 0) return 0;
    wide could = (wide)w->out->ps * net_links(&n), took = w->busy / w->m.link.width * w->m.link.cycle_as;
    return (uint64_t)(took / (could + 1));
}
