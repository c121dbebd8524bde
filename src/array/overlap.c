/* overlap.c: a train of steps (plan/overlap.c) on the virtual clocks: its messages overlap computing.
 *
 *   a PE      comp 0    comp 1    comp 2  .       it computes strip after strip, waiting for no message
 *   wires               msg 0     msg 1  msg 2    messages start when a strip is there and wires are free,
 *                                          |      one after the other
 *                                          go on  it goes on when the last strip is there
 *
 * So with strips of c picoseconds and messages of m each, C of them take c + (C - 1) max(c, m) + m: the
 * pipeline of two stages. What is combined in a tree is its adders' work (add_gb_per_s), not the PE's.
 *
 * Messages are walked as ever, on the same clocks; those that the PEs compute on are kept aside meanwhile.
 */
#include "array/walk.h"

typedef struct train {
    walk *w;
    const omni_step *first;
    size_t wave;
    omni_range classes;
    moment *own, *there; /* [runs of all cells] the PEs' clocks; when the messages so far have come */
} train;

static cell *cell_in(const train *t, size_t g) {
    group_class *k = &t->w->class[t->classes.start + g];
    return part_in(k, t->first->stage, t->wave) ? &k->cell[t->first->stage] : NULL;
}

static size_t clocks_of(const train *t) {
    size_t sum = 0;
    for (size_t g = 0; g < t->classes.count; g++) sum += cell_in(t, g) ? cell_in(t, g)->runs.count : 0;
    return sum;
}

static void keep_clocks(const train *t) {
    size_t at = 0;
    for (size_t g = 0; g < t->classes.count; g++) {
        const cell *c = cell_in(t, g);
        for (size_t r = 0; c && r < c->runs.count; r++) t->own[at++] = cell_clock(c, r);
    }
}

/* The clocks are the PEs' again. */
static void compute_on(const train *t) {
    size_t at = 0;
    for (size_t g = 0; g < t->classes.count; g++) {
        cell *c = cell_in(t, g);
        if (c) cell_spread(c);
        for (size_t r = 0; c && r < c->runs.count; r++, at++) {
            t->there[at] = later(t->there[at], c->clock[r]);
            c->clock[r] = t->own[at];
        }
    }
}

/* Nobody goes on before all strips are there: the last one, unless it was empty. */
static void go_on(const train *t) {
    size_t at = 0;
    for (size_t g = 0; g < t->classes.count; g++) {
        cell *c = cell_in(t, g);
        for (size_t r = 0; c && r < c->runs.count; r++, at++) {
            if (t->there[at].ps <= cell_clock(c, r).ps) continue;
            cell_spread(c);
            c->clock[r] = t->there[at];
        }
    }
}

/* Computing, which stands first in a train; or the messages. */
static void walk_half(const train *t, bool messages) {
    for (const omni_step *s = t->first; s < t->first + t->first->train; s++)
        if (omni_step_is_message(s) == messages) walk_step(t->w, s, t->wave, t->classes);
}

static void walk_strips(const train *t) {
    for (size_t k = 0; k < t->first->strips; k++) {
        if (k) compute_on(t);
        t->w->strip = k;
        walk_half(t, false);
        keep_clocks(t);
        walk_half(t, true);
    }
    t->w->strip = 0;
    go_on(t);
}

void train_walk(walk *w, const omni_step *first, size_t wave, omni_range classes) {
    train t = {.w = w, .first = first, .wave = wave, .classes = classes};
    size_t clocks = clocks_of(&t);
    t.own = omni_alloc_array(clocks + 1, sizeof *t.own);
    t.there = omni_alloc_array(clocks + 1, sizeof *t.there);
    if (t.own && t.there)
        walk_strips(&t);
    else
        w->out_of_memory = true;
    omni_free(t.own);
    omni_free(t.there);
}
