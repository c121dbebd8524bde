/* cost.c: what the steps of a stage's block cost for one part of the pass, run by run. Layers repeat: a step
 * that does exactly what one of an earlier layer did is its twin, and has its costs.
 */
#include <stdlib.h>

#include "array/walk.h"

/* --- twins ------------------------------------------------------------------------------------ */

bool values_alike(const omni_value *x, const omni_value *y) {
    if (x->rows != y->rows || x->at.kind != y->at.kind || x->at.dim != y->at.dim || x->over != y->over ||
        x->parts != y->parts || x->compact != y->compact)
        return false;
    for (size_t j = 0; j < x->parts; j++)
        if (x->part[j].width != y->part[j].width || x->part[j].units != y->part[j].units ||
            x->part[j].unit != y->part[j].unit || x->part[j].share != y->part[j].share ||
            x->part[j].runs != y->part[j].runs || x->part[j].run_share != y->part[j].run_share ||
            x->part[j].exact != y->part[j].exact || x->part[j].paired != y->part[j].paired)
            return false;
    return true;
}

static bool same_value(const omni_plan *plan, int a, int b) {
    if (a == OMNI_NO_VALUE || b == OMNI_NO_VALUE) return a == b;
    return values_alike(&plan->value[a], &plan->value[b]);
}

bool steps_alike(const omni_plan *plan, const omni_step *a, const omni_step *b) {
    bool same = a->kind == b->kind && a->op == b->op && a->root_only == b->root_only && a->cut == b->cut &&
                a->root == b->root && a->parts == b->parts && a->strips == b->strips &&
                a->train == b->train && a->features == b->features &&
                (a->weight == OMNI_NO_WEIGHT) == (b->weight == OMNI_NO_WEIGHT) &&
                same_value(plan, a->in[0], b->in[0]) && same_value(plan, a->in[1], b->in[1]) &&
                same_value(plan, a->out, b->out);
    if (same && a->layer >= 0 && b->layer >= 0) same = plan->kv[a->layer] == plan->kv[b->layer];
    return same;
}

/* Layer l - cycle is looked at, at the same distance from the beginning of its steps. */
uint32_t *twins_find(const omni_plan *plan) {
    size_t layers = plan->model->shape.layers;
    uint32_t *twin = omni_alloc_array(plan->step_count + 1, sizeof *twin);
    size_t *begin = omni_alloc_array(layers, sizeof *begin);
    if (!twin || !begin) {
        omni_free(twin);
        omni_free(begin);
        return NULL;
    }
    for (size_t i = 0; i < plan->step_count; i++) {
        const omni_step *s = &plan->step[i];
        twin[i] = (uint32_t)i;
        if (s->layer < 0 || s->kind == OMNI_STEP_HAND_OFF) continue;
        size_t l = (size_t)s->layer;
        if (i == 0 || plan->step[i - 1].layer != s->layer) begin[l] = i;
        if (l < plan->spec.cycle) continue;
        size_t at = begin[l - plan->spec.cycle] + (i - begin[l]);
        if (at < i && plan->step[at].stage == s->stage && steps_alike(plan, &plan->step[at], s))
            twin[i] = twin[at];
    }
    omni_free(begin);
    return twin;
}

/* --- costs ------------------------------------------------------------------------------------ */

static bool slices(const omni_step *s) {
    return s->kind == OMNI_STEP_GATHER || s->kind == OMNI_STEP_ALL_GATHER || s->kind == OMNI_STEP_SCATTER ||
           s->kind == OMNI_STEP_COLLECT;
}

/* Index i's slice, of features or of tokens. */
static uint64_t slice_bytes(const omni_plan *plan, const omni_step *s, const omni_extent *x, size_t p,
                            size_t i) {
    const omni_value *cut = &plan->value[s->kind == OMNI_STEP_SCATTER ? s->out : s->in[0]];
    bool tokens = cut->rows == OMNI_ROWS_TOKEN_SHARE;
    return sat_mul(wire_row_bytes(plan, s, cut, p, tokens ? NULL : &i),
                   omni_step_rows(s, cut->rows, *x, p, i).count);
}

static void message_cost(const walk *w, const omni_step *s, const cell *c, const omni_extent *x,
                         step_cost *out) {
    const omni_value *v = &w->plan->value[s->in[0] != OMNI_NO_VALUE ? s->in[0] : s->out];
    out->whole = wire_bytes(w->plan, s, v, x, c->p);
    for (size_t r = 0; slices(s) && r < c->runs.count; r++)
        out->run[r] = slice_bytes(w->plan, s, x, c->p, c->runs.start[r]);
}

static void add_total(work *sum, const work *one, uint64_t times) {
    sum->macs = sat_add(sum->macs, sat_mul(one->macs, times));
    sum->ops = sat_add(sum->ops, sat_mul(one->ops, times));
    sum->bytes = sat_add(sum->bytes, sat_mul(one->bytes, times));
}

static void compute_cost(const walk *w, const omni_step *s, const cell *c, const omni_extent *x,
                         step_cost *out) {
    out->even = true;
    for (size_t r = 0; r < c->runs.count; r++) {
        size_t ranks = c->runs.start[r + 1] - c->runs.start[r];
        work one = step_work(w->plan, s, x, c->p, c->runs.start[r]);
        out->run[r] =
            faults_stretch(work_ps(&w->m, &one), faults_ppm(w->m.faults, c->first + c->runs.start[r]));
        add_total(&out->total, &one, ranks);
        out->rank_ps += (wide)out->run[r] * ranks;
        out->even = out->even && out->run[r] == out->run[0];
    }
}

/* How many tokens there are is all that matters to it; not where they are, nor whose. */
static bool counts_tokens(const omni_plan *plan, const omni_step *s) {
    const int value[] = {s->in[0], s->in[1], s->out};
    bool counts = !s->strips && s->kind != OMNI_STEP_KV_APPEND && s->kind != OMNI_STEP_ATTENTION &&
                  s->kind != OMNI_STEP_SCORES && s->kind != OMNI_STEP_WEIGH;
    for (size_t i = 0; i < sizeof value / sizeof *value; i++)
        counts = counts && (value[i] == OMNI_NO_VALUE || plan->value[value[i]].rows == OMNI_ROWS_TOKENS);
    return counts;
}

/* As many tokens of as many sequences at the same places. */
bool parts_alike(const walk *w, const omni_part *one, const omni_part *other, size_t p) {
    const omni_extent *a = &one->extent, *b = &other->extent;
    if (a->tokens != b->tokens || a->sequences != b->sequences || a->skip != b->skip || a->cut != b->cut ||
        a->open != b->open || a->marks != b->marks || (w->goes_round && a->sequence % p != b->sequence % p))
        return false;
    for (size_t i = 0; i < a->sequences; i++)
        if (a->first[i] != b->first[i] || a->counts[i] != b->counts[i]) return false;
    return true;
}

/* Of a step, or of a strip of it. False: no memory. */
static bool set_cost(const walk *w, const omni_step *s, const cell *c, const omni_part *part,
                     step_cost *cost) {
    uint64_t *run = cost->run;
    if (!run) run = omni_alloc_array(c->runs.count, sizeof *run);
    *cost = (step_cost){.run = run};
    if (run) (omni_step_is_message(s) ? message_cost : compute_cost)(w, s, c, &part->extent, cost);
    return run;
}

/* Strips of three sizes: the first and those like it, the ones behind them, and the last, which may end
 * within a panel. */
static bool set_strips(const walk *w, const omni_step *s, const cell *c, const omni_part *part,
                       step_cost *cost, size_t apart) {
    const omni_extent *x = &part->extent;
    size_t units = omni_rows_count(OMNI_ROWS_TOKENS, *x, c->p, 0);
    if (x->tokens == x->sequences)
        units = s->features ? (w->plan->value[s->out].part[0].width + OMNI_PANEL - 1) / OMNI_PANEL : 1;
    const size_t which[] = {0, s->strips - 2, s->strips - 1};
    bool ok = true;
    for (size_t k = 0; k < 3 && ok; k++) {
        omni_step strip = omni_step_strip(s, which[k]);
        ok = set_cost(w, &strip, c, part, &cost[k * apart]);
    }
    cost->larger = units % s->strips ? units % s->strips : s->strips;
    cost->last = s->strips - 1;
    return ok;
}

bool costs_set(walk *w, size_t stage, cell *c, const omni_part *part) {
    omni_range block = w->plan->block[stage];
    if (c->part == part) return true;
    bool as_many = c->part && c->part->extent.tokens == part->extent.tokens,
         alike = c->part && parts_alike(w, c->part, part, c->p);
    c->part = part;
    if (alike) return true;
    if (!c->cost) c->cost = omni_alloc_array(3 * block.count + 1, sizeof *c->cost);
    if (!c->cost) return false;
    for (size_t i = 0; i < block.count; i++) {
        const omni_step *s = &w->plan->step[block.start + i];
        if (w->twin[block.start + i] != block.start + i || s->cut == OMNI_CUT_ALL) continue;
        if (as_many && counts_tokens(w->plan, s)) continue;
        bool ok = s->strips ? set_strips(w, s, c, part, &c->cost[i], block.count)
                            : set_cost(w, s, c, part, &c->cost[i]);
        if (!ok) return false;
    }
    return true;
}
