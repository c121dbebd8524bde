/* recall.c: waves repeat. What a stage's block does to its clocks and wires follows from how they stand to
 * each other when it begins and from the costs of its parts, and from nothing else. So a beginning is walked
 * once, and its end is kept; when the stage begins so again, in a later wave, the end is added to its first
 * clock.
 *
 *   wave     0       1       2       3  ..        begins alike: clocks, wires and parts alike
 *   stage 0  walked  walked  again   again
 *   stage 1          walked  walked  again
 *
 * Stages of as many ranks with the same steps do to a part what the one before did to it: they share what
 * they know.
 *
 * A critical path that goes through a block which is not walked again enters and leaves it where it did when
 * it was walked, and spends its time in the same steps: one link for all of them.
 */
#include <stdlib.h>

#include "array/score.h"

enum { MOST_KEPT = 64, UNTOUCHED = UINT32_MAX };

/* A clock, or wires, behind the block. */
typedef struct ending {
    uint64_t ps;   /* from the first clock of the beginning */
    uint32_t from; /* UNTOUCHED: wires that nobody used; else, where paths are kept, the clock or wires of the
                      beginning that it was reached from ... */
    uint32_t path; /* ... and through what, in w->path */
} ending;

typedef struct block {
    size_t keys;
    uint64_t *key;   /* [keys] what it began with */
    uint64_t *shape; /* [2 x cells] together, and the wires' cut, at the end */
    ending *end;     /* [moments] */
    tally each;
} block;

/* A team's. The newest replaces the oldest. */
struct recall {
    size_t count, next;
    block kept[MOST_KEPT];
};

/* --- the state -------------------------------------------------------------------------------- */

/* Clocks and wires of a cell are numbered; of clocks that are together, the first counts. */
static size_t moments_in(const cell *c) {
    return c->runs.count + c->bus->subs;
}

static bool is_wires(const cell *c, size_t i) {
    return i >= c->runs.count;
}

static bool is_stale(const cell *c, size_t i) {
    return c->together && i > 0 && !is_wires(c, i);
}

static moment *moment_of(const cell *c, size_t i) {
    return is_wires(c, i) ? &c->bus->free[i - c->runs.count] : &c->clock[i];
}

/* w->begin becomes a copy of all of them. How many. */
static size_t note_begin(const team *t, size_t *cells) {
    size_t n = 0;
    cell *c;
    *cells = 0;
    for (size_t g = t->classes.start; (c = team_next(t, &g)); ++*cells)
        for (size_t i = 0; i < moments_in(c); i++) t->w->begin[n++] = *moment_of(c, i);
    return n;
}

/* w->key becomes what the block's end follows from: parts and score. How many numbers. */
static size_t write_key(const team *t, uint64_t floor) {
    size_t n = 0;
    for (size_t g = t->classes.start; g < t->classes.start + t->classes.count; g++) {
        const group_class *k = &t->w->class[g];
        t->w->key[n++] = part_in(k, t->stage, t->wave) ? 1 + k->alike[t->wave - t->stage] : 0;
    }
    return n + team_score(t, floor, t->w->key + n);
}

/* --- again ------------------------------------------------------------------------------------ */

static const block *find(const struct recall *r, const uint64_t *key, size_t keys) {
    for (size_t i = 0; i < r->count; i++)
        if (r->kept[i].keys == keys && memcmp(r->kept[i].key, key, keys * sizeof *key) == 0)
            return &r->kept[i];
    return NULL;
}

static void end_again(walk *w, const ending *e, uint64_t floor, moment *out) {
    if (e->from == UNTOUCHED) return;
    const moment *from = &w->begin[e->from];
    *out = (moment){sat_add(floor, e->ps), 0};
    if (out->ps > w->latest) w->latest = out->ps;
    if (w->traced) out->why = walk_link(w, (link){out->ps - from->ps, from->why, e->path, LINK_PATH});
}

static void walk_again(const team *t, const block *b, uint64_t floor) {
    const uint64_t *shape = b->shape;
    const ending *e = b->end;
    size_t cells;
    cell *c;
    note_begin(t, &cells);
    for (size_t g = t->classes.start; (c = team_next(t, &g));) {
        c->together = *shape++;
        c->bus->cut = (unsigned)*shape++;
        for (size_t i = 0; i < moments_in(c); i++, e++)
            if (!is_stale(c, i)) end_again(t->w, e, floor, moment_of(c, i));
    }
    tally_add(t->w, &b->each, 1);
}

/* --- the first time --------------------------------------------------------------------------- */

/* Every clock and all wires get a link of their own, by which paths that lead back to them are known. The
 * first. */
static uint32_t mark_begin(const team *t) {
    uint32_t first = 0;
    cell *c;
    for (size_t g = t->classes.start; (c = team_next(t, &g));)
        for (size_t i = 0; i < moments_in(c); i++) {
            moment *m = moment_of(c, i);
            m->why = walk_link(t->w, (link){0, m->why, 0, LINK_PATH});
            if (first == 0) first = m->why;
        }
    return first;
}

static void add_path(walk *w, path_step step) {
    path_step *last = w->paths ? &w->path[w->paths - 1] : NULL;
    if (last && step.ps && last->ps && last->step == step.step && last->kind == step.kind) {
        last->ps += step.ps;
        return;
    }
    if (w->paths == w->path_capacity) {
        size_t wanted = w->path_capacity ? 2 * w->path_capacity : 1024;
        path_step *more = wanted < UINT32_MAX ? realloc(w->path, wanted * sizeof *more) : NULL;
        w->out_of_memory = w->out_of_memory || !more;
        if (!more) return;
        w->path = more;
        w->path_capacity = wanted;
    }
    w->path[w->paths++] = step;
}

/* Back from a moment to the mark it was reached from, one of `marks` from link `first` on. */
static void trace_back(walk *w, uint32_t why, uint32_t first, size_t marks, ending *out) {
    if (w->paths == 0) add_path(w, (path_step){0}); /* what marks have for a path */
    out->path = (uint32_t)w->paths;
    for (; why >= first + marks; why = w->chain[why].before)
        add_path(w, (path_step){w->chain[why].ps, w->chain[why].step, w->chain[why].kind});
    add_path(w, (path_step){0});
    out->from = why - first;
}

static void note_end(const team *t, block *b, uint64_t floor, uint32_t first, size_t marks) {
    uint64_t *shape = b->shape;
    ending *e = b->end;
    const moment *begin = t->w->begin;
    cell *c;
    for (size_t g = t->classes.start; (c = team_next(t, &g));) {
        *shape++ = c->together;
        *shape++ = c->bus->cut;
        for (size_t i = 0; i < moments_in(c); i++, e++, begin++) {
            const moment *m = moment_of(c, i);
            *e = (ending){.ps = m->ps - floor};
            if (is_wires(c, i) && m->ps == begin->ps)
                e->from = UNTOUCHED;
            else if (t->w->traced && !is_stale(c, i))
                trace_back(t->w, m->why, first, marks, e);
        }
    }
}

static void forget(block *b) {
    omni_free(b->key);
    omni_free(b->shape);
    omni_free(b->end);
    *b = (block){0};
}

/* A place for what is walked now; NULL: no memory. */
static block *new_block(walk *w, struct recall *r, size_t keys, size_t cells, size_t moments) {
    block *b = &r->kept[r->next];
    forget(b);
    *b = (block){.keys = keys,
                 .key = omni_alloc_array(keys, sizeof *b->key),
                 .shape = omni_alloc_array(2 * cells, sizeof *b->shape),
                 .end = omni_alloc_array(moments, sizeof *b->end)};
    if (b->key && b->shape && b->end) {
        memcpy(b->key, w->key, keys * sizeof *b->key);
        return b;
    }
    forget(b); /* keys is 0: it is like no other */
    w->out_of_memory = true;
    return NULL;
}

static void walk_first(const team *t, struct recall *r, size_t keys, uint64_t floor) {
    walk *w = t->w;
    size_t cells, moments = note_begin(t, &cells);
    block *b = new_block(w, r, keys, cells, moments);
    if (!b) return;
    uint32_t first = w->traced ? mark_begin(t) : 0;
    tally before = tally_of(w);
    walk_block(w, t->stage, t->wave, t->classes);
    if (w->left || w->out_of_memory) return; /* left in the middle, and nobody will look */
    b->each = tally_since(w, &before);
    note_end(t, b, floor, first, moments);
    r->next = (r->next + 1) % MOST_KEPT;
    if (r->count < MOST_KEPT) r->count++;
}

/* --- stages ----------------------------------------------------------------------------------- */

static bool same_stage(const walk *w, const group_class *k, size_t a, size_t b) {
    const cell *x = &k->cell[a], *y = &k->cell[b];
    omni_range s = w->quiet[a], t = w->quiet[b];
    if (w->shared || faults_any(w->m.faults) || x->p != y->p || x->runs.count != y->runs.count ||
        x->bus->subs != y->bus->subs || s.count != t.count ||
        memcmp(x->runs.start, y->runs.start, x->runs.count * sizeof(size_t)) != 0)
        return false;
    for (size_t i = 0; i < s.count; i++)
        if (!steps_alike(w->plan, &w->plan->step[s.start + i], &w->plan->step[t.start + i])) return false;
    return true;
}

/* Neighbours are compared: the first stage has the input, the last the head. Slow and dead PEs make them
 * unlike. */
static void find_stages(walk *w) {
    size_t stages = w->plan->mesh.stages;
    for (size_t g = 0; g < w->classes; g++) {
        size_t *like = &w->like[g * stages];
        for (size_t s = 0; s < stages; s++)
            like[s] = s && same_stage(w, &w->class[g], like[s - 1], s) ? like[s - 1] : s;
    }
}

/* --- a stage in a wave ------------------------------------------------------------------------ */

bool recall_open(walk *w) {
    size_t most = 0;
    for (size_t g = 0; g < w->classes; g++) most = w->class[g].parts > most ? w->class[g].parts : most;
    if (most < 2 || w->m.faults->jitter_ppm) return true; /* every stage has one wave, or no two are alike */
    w->recall = omni_alloc_array(w->classes * w->plan->mesh.stages, sizeof(struct recall *));
    w->key = omni_alloc_array(w->classes + w->score_size, sizeof *w->key);
    w->begin = omni_alloc_array(w->score_size, sizeof *w->begin);
    w->like = omni_alloc_array(w->classes * w->plan->mesh.stages, sizeof *w->like);
    if (w->like) find_stages(w);
    return w->recall && w->key && w->begin && w->like;
}

void recall_close(walk *w) {
    for (size_t i = 0; w->recall && i < w->classes * w->plan->mesh.stages; i++) {
        for (size_t k = 0; w->recall[i] && k < MOST_KEPT; k++) forget(&w->recall[i]->kept[k]);
        omni_free(w->recall[i]);
    }
    omni_free(w->recall);
    omni_free(w->key);
    omni_free(w->begin);
    omni_free(w->like);
    free(w->path);
}

void recall_walk(walk *w, size_t stage, size_t wave, omni_range classes) {
    team t = {w, stage, wave, classes};
    size_t g = classes.start;
    if (!team_next(&t, &g)) return;
    if (!w->recall || w->watch.tell) {
        walk_block(w, stage, wave, classes);
        return;
    }
    size_t first = classes.start * w->plan->mesh.stages;
    struct recall **r = &w->recall[first + w->like[first + stage]];
    if (!*r) *r = omni_alloc_array(1, sizeof **r);
    if (!*r) {
        w->out_of_memory = true;
        return;
    }
    uint64_t floor = team_floor(&t);
    size_t keys = write_key(&t, floor);
    const block *b = find(*r, w->key, keys);
    if (b)
        walk_again(&t, b, floor);
    else
        walk_first(&t, *r, keys, floor);
}
