/* rhythm.c: layers repeat, and soon their clocks do. Time enters a step only as differences: who is ready
 * before whom, and whose wires are free. So once a cycle of layers begins with the same differences as the one
 * before it, all further ones are like that one, to the picosecond and the byte, and are added up, not walked.
 *
 *   clocks, relative to the first   | 0 3 3 | 0 5 7 | 0 5 7 |   the same: skip
 *   cycle                           |   0   |   1   |   2   |   3 ..
 *
 * Wires that are free before anybody is ready are free, however long they have been. Where the critical path
 * is asked for, every step is walked. Slow PEs are as slow in every layer; but jitter is drawn anew for each step, so
 * with it no layer is like another, and there are no cycles.
 */
#include "array/walk.h"

/* --- the cycles ------------------------------------------------------------------------------- */

/* Where the stage's layer begins; the end of its layers, or of the block. */
static size_t layer_begins(const omni_plan *plan, size_t stage, size_t layer) {
    omni_range block = plan->block[stage];
    size_t i = block.start;
    while (i < block.start + block.count && plan->step[i].layer >= 0 && (size_t)plan->step[i].layer < layer)
        i++;
    return i;
}

static bool all_talk(const omni_plan *plan, size_t from, size_t count) {
    bool all = false;
    for (size_t i = from; i < from + count; i++)
        all = all || plan->step[i].cut == OMNI_CUT_ALL || plan->step[i].kind == OMNI_STEP_HOST_IN ||
              plan->step[i].kind == OMNI_STEP_HOST_OUT;
    return all;
}

/* From the stage's second cycle on: the first has the input. */
static beats find_beats(const walk *w, size_t stage) {
    const omni_plan *plan = w->plan;
    omni_range layers = omni_split(plan->model->shape.layers, plan->mesh.stages, stage),
               block = plan->block[stage];
    size_t cycle = plan->spec.cycle, end = block.start + block.count;
    beats b = {.start = layer_begins(plan, stage, layers.start + cycle)};
    b.each = layer_begins(plan, stage, layers.start + 2 * cycle) - b.start;
    b.count = b.each > 0;
    for (size_t i = b.start + b.each; b.count && i + b.each <= end; i += b.each, b.count++)
        for (size_t k = i; k < i + b.each; k++)
            if (w->twin[k] != w->twin[k - b.each]) return b;
    return b;
}

bool rhythm_open(walk *w) {
    size_t stages = w->plan->mesh.stages, size = 0;
    w->beats = omni_alloc_array(stages, sizeof *w->beats);
    for (size_t s = 0; w->beats && s < stages; s++) {
        w->beats[s] = find_beats(w, s);
        if (all_talk(w->plan, w->beats[s].start, w->beats[s].each * w->beats[s].count) ||
            w->m.faults->jitter_ppm)
            w->beats[s].count = 0;
    }
    for (size_t g = 0; g < w->classes; g++)
        for (size_t s = 0; s < stages; s++)
            size += 2 + w->class[g].cell[s].runs.count + w->class[g].cell[s].bus->subs;
    w->score_size = size;
    w->score = omni_alloc_array(2 * size + 1, sizeof *w->score);
    return w->beats && w->score;
}

/* --- the state -------------------------------------------------------------------------------- */

typedef struct team {
    walk *w;
    size_t stage, wave;
    omni_range classes;
} team;

/* The next cell of the team, from class *g on; NULL: none. */
static cell *next_cell(const team *t, size_t *g) {
    for (; *g < t->classes.start + t->classes.count; ++*g)
        if (part_in(&t->w->class[*g], t -> stage, t -> wave)) return &t->w->class[(*g)++].cell[t->stage];
    return NULL;
}

/* The first clock of all, so that none before it matters. */
static uint64_t floor_of(const team *t) {
    uint64_t least = UINT64_MAX;
    cell *c;
    for (size_t g = t->classes.start; (c = next_cell(t, &g));)
        for (size_t r = 0; r < (c->together ? 1 : c->runs.count); r++)
            if (c->clock[r].ps < least) least = c->clock[r].ps;
    return least;
}

/* All that the next cycle depends on, in picoseconds from the floor. How many numbers. */
static size_t write_score(const team *t, uint64_t floor, uint64_t *out) {
    size_t n = 0;
    cell *c;
    for (size_t g = t->classes.start; (c = next_cell(t, &g));) {
        out[n++] = c->together;
        out[n++] = c->bus->cut;
        for (size_t r = 0; r < (c->together ? 1 : c->runs.count); r++) out[n++] = c->clock[r].ps - floor;
        for (size_t k = 0; k < c->bus->subs; k++)
            out[n++] = c->bus->free[k].ps > floor ? c->bus->free[k].ps - floor : 0;
    }
    return n;
}

/* What is counted. */
typedef struct tally {
    omni_counters moved;
    uint64_t grants, conflicts, wait_ps, macs, ops, memory_bytes;
    wide busy, computing;
} tally;

static tally tally_of(const walk *w) {
    const omni_price *o = w->out;
    return (tally){o->moved, o->grants,       o->conflicts, o->wait_ps,  o->macs,
                   o->ops,   o->memory_bytes, w->busy,      w->computing};
}

static void repeat(uint64_t *sum, uint64_t before, uint64_t times) {
    *sum = sat_add(*sum, sat_mul(*sum - before, times));
}

static void repeat_tally(walk *w, const tally *before, uint64_t times) {
    omni_price *o = w->out;
    omni_counters_repeat(&o->moved, &before->moved, times);
    repeat(&o->grants, before->grants, times);
    repeat(&o->conflicts, before->conflicts, times);
    repeat(&o->wait_ps, before->wait_ps, times);
    repeat(&o->macs, before->macs, times);
    repeat(&o->ops, before->ops, times);
    repeat(&o->memory_bytes, before->memory_bytes, times);
    w->busy += (w->busy - before->busy) * times;
    w->computing += (w->computing - before->computing) * times;
}

/* --- skipping --------------------------------------------------------------------------------- */

static void move(walk *w, moment *m, uint64_t ps) {
    m->ps = sat_add(m->ps, ps);
    if (m->ps > w->latest) w->latest = m->ps;
}

/* Everything by as much; but not wires that nobody used since `since`, when the last cycle began. */
static void move_all(const team *t, uint64_t since, uint64_t ps) {
    cell *c;
    const track *moved = NULL;
    for (size_t g = t->classes.start; (c = next_cell(t, &g)); moved = c->bus) {
        for (size_t r = 0; r < (c->together ? 1 : c->runs.count); r++) move(t->w, &c->clock[r], ps);
        for (size_t k = 0; k < c->bus->subs && c->bus != moved; k++)
            if (c->bus->free[k].ps > since) move(t->w, &c->bus->free[k], ps);
    }
}

void rhythm_walk(walk *w, size_t stage, size_t wave, omni_range classes) {
    team t = {w, stage, wave, classes};
    const beats *b = &w->beats[stage];
    uint64_t floor[2] = {floor_of(&t)};
    size_t size[2] = {0};
    for (size_t k = 0; k < b->count && w->latest <= w->limit; k++) {
        tally before = tally_of(w);
        uint64_t *score[2] = {w->score, w->score + w->score_size};
        if (!w->traced) size[k % 2] = write_score(&t, floor[k % 2], score[k % 2]);
        walk_steps(w, (omni_range){b->start + k * b->each, b->each}, wave, classes);
        if (w->traced || k + 2 >= b->count) continue;
        floor[1 - k % 2] = floor_of(&t);
        size[1 - k % 2] = write_score(&t, floor[1 - k % 2], score[1 - k % 2]);
        if (size[0] != size[1] || memcmp(score[0], score[1], size[0] * sizeof *w->score) != 0) continue;
        uint64_t times = b->count - k - 1, ps = floor[1 - k % 2] - floor[k % 2];
        repeat_tally(w, &before, times);
        move_all(&t, floor[k % 2], sat_mul(ps, times));
        return;
    }
}
