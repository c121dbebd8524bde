/* uneven.c: computing on PEs that are not alike. Slow ones only cut runs: the costs of a run are stretched
 * once, when they are set (cost.c). Jitter differs from rank to rank and from step to step: each rank is a
 * run, each group a class, and the stretching is done as the step is walked; twins (cost.c) share only what
 * it stretches.
 *
 * Only computing is uneven. The bus, the tree with its adders, and the host port are nobody's.
 */
#include "array/walk.h"

bool runs_cut(const faults *f, size_t first, runs *r) {
    size_t p = r->start[r->count], cuts = 0, n = 0;
    for (size_t at = faults_next(f, first); at < first + p; at = faults_next(f, at)) cuts++;
    if (cuts == 0 && !f->jitter_ppm) return true;
    size_t *start = omni_alloc_array((f->jitter_ppm ? p : r->count + cuts) + 1, sizeof *start);
    if (!start) return false;
    for (size_t k = 0, at = 0; at < p;) {
        start[n++] = at;
        while (r->start[k] <= at) k++;
        size_t border = faults_next(f, first + at) - first;
        at = f->jitter_ppm ? at + 1 : border < r->start[k] ? border : r->start[k];
    }
    start[n] = p;
    omni_free(r->start);
    *r = (runs){n, start};
    return true;
}

/* Decode steps differ in the position, a prefill in its tokens. */
static uint64_t pass_number(const omni_extent *x) {
    return ((uint64_t)x->tokens << 32) + (x->sequences ? x->first[0] : 0);
}

uint64_t jitter_of(const walk *w, const omni_step *s, size_t rank) {
    const faults *f = w->m.faults;
    return faults_jitter(f, faults_step(f, pass_number(&w->pass), w->wave, (size_t)(s - w->plan->step)),
                         faults_pe(f, rank));
}

void uneven_walk(walk *w, const omni_step *s, cell *c, const step_cost *cost) {
    const faults *f = w->m.faults;
    uint64_t step = faults_step(f, pass_number(&w->pass), w->wave, (size_t)(s - w->plan->step));
    cell_spread(c);
    for (size_t r = 0; r < c->runs.count; r++) { /* a rank each */
        uint64_t ps = faults_stretch(cost->run[r], faults_jitter(f, step, faults_pe(f, c->first + r)));
        c->clock[r] = spend(w, c->clock[r], ps, s, OMNI_PRICE_COMPUTE);
        w->computing += ps;
    }
}
