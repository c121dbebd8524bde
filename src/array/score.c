/* score.c: a stage's clocks and wires in numbers that can be compared: everything that its next steps depend
 * on, in picoseconds from the first clock. And what is counted meanwhile, so that it can be counted again.
 * For rhythm.c and recall.c, which don't walk what they know.
 *
 * Wires that are free before anybody is ready are free, however long they have been.
 */
#include "array/score.h"

cell *team_next(const team *t, size_t *g) {
    for (; *g < t->classes.start + t->classes.count; ++*g)
        if (part_in(&t->w->class[*g], t -> stage, t -> wave)) return &t->w->class[(*g)++].cell[t->stage];
    return NULL;
}

size_t cell_clocks(const cell *c) {
    return c->together ? 1 : c->runs.count;
}

uint64_t team_floor(const team *t) {
    uint64_t least = UINT64_MAX;
    cell *c;
    for (size_t g = t->classes.start; (c = team_next(t, &g));)
        for (size_t r = 0; r < cell_clocks(c); r++)
            if (c->clock[r].ps < least) least = c->clock[r].ps;
    return least;
}

size_t team_score(const team *t, uint64_t floor, uint64_t *out) {
    size_t n = 0;
    cell *c;
    for (size_t g = t->classes.start; (c = team_next(t, &g));) {
        out[n++] = c->together;
        out[n++] = c->bus->cut;
        for (size_t r = 0; r < cell_clocks(c); r++) out[n++] = c->clock[r].ps - floor;
        for (size_t k = 0; k < c->bus->subs; k++)
            out[n++] = c->bus->free[k].ps > floor ? c->bus->free[k].ps - floor : 0;
    }
    return n;
}

/* --- what is counted -------------------------------------------------------------------------- */

tally tally_of(const walk *w) {
    const omni_price *o = w->out;
    return (tally){o->moved, o->grants,       o->conflicts, o->wait_ps,  o->macs,
                   o->ops,   o->memory_bytes, w->busy,      w->computing};
}

tally tally_since(const walk *w, const tally *before) {
    tally now = tally_of(w);
    return (tally){omni_counters_between(&before->moved, &now.moved),
                   now.grants - before->grants,
                   now.conflicts - before->conflicts,
                   now.wait_ps - before->wait_ps,
                   now.macs - before->macs,
                   now.ops - before->ops,
                   now.memory_bytes - before->memory_bytes,
                   now.busy - before->busy,
                   now.computing - before->computing};
}

static void add(uint64_t *sum, uint64_t each, uint64_t times) {
    *sum = sat_add(*sum, sat_mul(each, times));
}

void tally_add(walk *w, const tally *each, uint64_t times) {
    omni_price *o = w->out;
    omni_counters none = {0}, moved = each->moved;
    omni_counters_repeat(&moved, &none, times - 1);
    omni_counters_add(&o->moved, &moved);
    add(&o->grants, each->grants, times);
    add(&o->conflicts, each->conflicts, times);
    add(&o->wait_ps, each->wait_ps, times);
    add(&o->macs, each->macs, times);
    add(&o->ops, each->ops, times);
    add(&o->memory_bytes, each->memory_bytes, times);
    w->busy += each->busy * times;
    w->computing += each->computing * times;
}
