/* rhythm.c: layers repeat, and soon their clocks do. Time enters a step only as differences: who is ready
 * before whom, and whose wires are free. So once a cycle of layers begins with the same differences as the
 * one before it, all further ones are like that one, to the picosecond and the byte, and are added up, not
 * walked.
 *
 *   clocks, relative to the first   | 0 3 3 | 0 5 7 | 0 5 7 |   the same: skip
 *   cycle                           |   0   |   1   |   2   |   3 ..
 *
 * Where the critical path is asked for, every step is walked. Slow PEs are as slow in every layer; but jitter
 * is drawn anew for each step, so with it no layer is like another, and there are no cycles.
 */
#include "array/score.h"

/* --- the cycles ------------------------------------------------------------------------------- */

/* Where the stage's layer begins; the end of its layers, or of the block. */
static size_t layer_begins(const omni_plan *plan, size_t stage, size_t layer) {
    omni_range block = plan->block[stage];
    size_t i = block.start;
    while (i < block.start + block.count && plan->step[i].layer >= 0 && (size_t)plan->step[i].layer < layer)
        i++;
    return i;
}

static bool all_talk(const omni_step *s) {
    return s->cut == OMNI_CUT_ALL || s->kind == OMNI_STEP_HOST_IN || s->kind == OMNI_STEP_HOST_OUT;
}

/* Behind the input, up to the next step that others take part in. */
static omni_range find_quiet(const omni_plan *plan, size_t stage) {
    omni_range block = plan->block[stage];
    size_t i = block.start, end = block.start + block.count;
    for (size_t k = i; k < end; k++)
        if (plan->step[k].kind == OMNI_STEP_HOST_IN) i = k + 1;
    omni_range quiet = {i, 0};
    while (i < end && !all_talk(&plan->step[i])) i++;
    quiet.count = i - quiet.start;
    return quiet;
}

/* From the stage's second cycle on: the first has the input. None where others take part. */
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

static bool is_within(const beats *b, omni_range quiet) {
    return b->start >= quiet.start && b->start + b->each * b->count <= quiet.start + quiet.count;
}

bool rhythm_open(walk *w) {
    size_t stages = w->plan->mesh.stages, size = 0;
    w->beats = omni_alloc_array(stages, sizeof *w->beats);
    w->quiet = omni_alloc_array(stages, sizeof *w->quiet);
    for (size_t s = 0; w->beats && w->quiet && s < stages; s++) {
        w->quiet[s] = find_quiet(w->plan, s);
        w->beats[s] = find_beats(w, s);
        if (!is_within(&w->beats[s], w->quiet[s]) || w->m.faults->jitter_ppm)
            w->beats[s] = (beats){.start = w->quiet[s].start};
    }
    for (size_t g = 0; g < w->classes; g++)
        for (size_t s = 0; s < stages; s++)
            size += 2 + w->class[g].cell[s].runs.count + w->class[g].cell[s].bus->subs;
    w->score_size = size;
    w->score = omni_alloc_array(2 * size + 1, sizeof *w->score);
    return w->beats && w->quiet && w->score;
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
    for (size_t g = t->classes.start; (c = team_next(t, &g)); moved = c->bus) {
        for (size_t r = 0; r < cell_clocks(c); r++) move(t->w, &c->clock[r], ps);
        for (size_t k = 0; k < c->bus->subs && c->bus != moved; k++)
            if (c->bus->free[k].ps > since) move(t->w, &c->bus->free[k], ps);
    }
}

void rhythm_walk(walk *w, size_t stage, size_t wave, omni_range classes) {
    team t = {w, stage, wave, classes};
    const beats *b = &w->beats[stage];
    uint64_t floor[2] = {team_floor(&t)};
    size_t size[2] = {0};
    bool all = w->traced || w->watch.tell;
    for (size_t k = 0; k < b->count && !w->left; k++) {
        tally before = tally_of(w);
        uint64_t *score[2] = {w->score, w->score + w->score_size};
        if (!all) size[k % 2] = team_score(&t, floor[k % 2], score[k % 2]);
        walk_steps(w, (omni_range){b->start + k * b->each, b->each}, wave, classes);
        if (all || k + 2 >= b->count) continue;
        floor[1 - k % 2] = team_floor(&t);
        size[1 - k % 2] = team_score(&t, floor[1 - k % 2], score[1 - k % 2]);
        if (size[0] != size[1] || memcmp(score[0], score[1], size[0] * sizeof *w->score) != 0) continue;
        uint64_t times = b->count - k - 1, ps = floor[1 - k % 2] - floor[k % 2];
        tally each = tally_since(w, &before);
        tally_add(w, &each, times);
        move_all(&t, floor[k % 2], sat_mul(ps, times));
        return;
    }
}
