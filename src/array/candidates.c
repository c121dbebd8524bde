/* candidates.c: the plans that a search has priced so far: each once, and only those that may still be of
 * use.
 *
 * A plan whose clocks pass SEARCH_SLOWER times the best time so far is left there, but only when it also has
 * spent more energy than one within that time that needs no more memory. So the Pareto front of all that is
 * tried is whole.
 */
#include <stdlib.h>

#include "array/search.h"

/* --- one plan --------------------------------------------------------------------------------- */

static bool same_layers(const omni_plan_spec *a, const omni_plan_spec *b) {
    if (a->cycle != b->cycle) return false;
    for (size_t l = 0; l < a->cycle; l++) {
        const omni_methods *x = &a->layer[l], *y = &b->layer[l];
        if (memcmp(x->choice, y->choice, sizeof x->choice) != 0 || x->gather_bus != y->gather_bus ||
            x->edge_scatter != y->edge_scatter)
            return false;
    }
    return true;
}

bool search_same_spec(const omni_plan_spec *a, const omni_plan_spec *b) {
    return same_layers(a, b) && a->whole == b->whole && a->groups == b->groups && a->stages == b->stages &&
           a->stack == b->stack && a->chunk == b->chunk && a->overlap == b->overlap &&
           a->over_tokens == b->over_tokens && a->stream == b->stream && a->wire_bus == b->wire_bus &&
           a->wire_tree == b->wire_tree;
}

static bool is_known(const search *s, const omni_plan_spec *spec) {
    for (size_t i = 0; i < s->count; i++)
        if (search_same_spec(&s->found[i].spec, spec)) return true;
    return false;
}

static omni_candidate *add_candidate(search *s) {
    if (s->count == s->capacity) {
        size_t wanted = s->capacity ? 2 * s->capacity : 64;
        omni_candidate *more = omni_alloc_array(wanted, sizeof *more);
        if (!more) return NULL;
        if (s->count) memcpy(more, s->found, s->count * sizeof *more);
        omni_free(s->found);
        s->found = more;
        s->capacity = wanted;
    }
    return &s->found[s->count++];
}

/* What does not fit is measured by everything, what fits by what fits. */
uint64_t search_best_ps(const search *s, bool fits) {
    return fits || s->best_ps[1] < s->best_ps[0] ? s->best_ps[1] : s->best_ps[0];
}

static uint64_t limit_ps(const search *s, bool fits) {
    uint64_t best = search_best_ps(s, fits);
    return best > UINT64_MAX / SEARCH_SLOWER ? UINT64_MAX : SEARCH_SLOWER * best;
}

/* Beyond the limit of time a plan that fits is of use if it saves energy, or memory: if none that is within
 * the limit, and needs as little memory, needs as little energy. */
static price_limit limit_of(const void *who, const omni_need *need) {
    const search *s = who;
    bool fits = need->all_bytes <= s->memory;
    price_limit limit = {limit_ps(s, fits), fits ? UINT64_MAX : 0};
    for (size_t i = 0; i + 1 < s->count; i++) { /* the last is being priced */
        const omni_estimate *e = &s->found[i].estimate;
        if (e->fits && e->ps <= limit.ps && e->need.all_bytes <= need->all_bytes && e->energy_pj < limit.pj)
            limit.pj = e->energy_pj;
    }
    return limit;
}

static omni_status price(search *s, const omni_plan_spec *spec, const omni_plan *plan, omni_error *err) {
    omni_candidate *c = add_candidate(s);
    bool left;
    if (!c) return omni_error_set(err, OMNI_RUN_FAILED, "search: out of memory");
    c->spec = *spec;
    price_judge judge = {limit_of, s};
    omni_status status =
        estimate_plan(s->array, plan, s->task, s->given ? NULL : &judge, s->given, &c->estimate, &left, err);
    s->last_ps = c->estimate.ps;
    if (left)
        s->count--; /* beaten */
    else if (c->estimate.ps < s->best_ps[c->estimate.fits])
        s->best_ps[c->estimate.fits] = c->estimate.ps;
    return status;
}

static bool has_step(const omni_plan *plan, omni_step_kind kind) {
    for (size_t i = 0; i < plan->step_count; i++)
        if (plan->step[i].kind == kind) return true;
    return false;
}

/* edge= and gather= that nothing in the plan comes to are another name for it. */
static omni_plan_spec without_idle(const omni_plan_spec *spec, const omni_plan *plan) {
    omni_plan_spec plain = *spec;
    bool scatters = has_step(plan, OMNI_STEP_SCATTER);
    bool gathers = has_step(plan, OMNI_STEP_ALL_GATHER) || has_step(plan, OMNI_STEP_COLLECT);
    for (size_t l = 0; l < plain.cycle; l++) {
        plain.layer[l].edge_scatter &= scatters;
        plain.layer[l].gather_bus &= gathers;
    }
    return plain;
}

/* Another name for what is known is not tried again; what cannot be built is no error here. */
omni_status search_try(search *s, const omni_plan_spec *spec, omni_error *err) {
    omni_plan *plan;
    omni_error why = {0};
    if (is_known(s, spec)) return OMNI_OK;
    omni_status status = s->stop ? s->stop(err) : OMNI_OK;
    if (status) return status;
    status = omni_plan_compile(s->model, spec, s->pes, &plan, &why);
    if (status == OMNI_BAD_INPUT) {
        omni_error_set(&s->skipped, status, "%s", why.text);
        return OMNI_OK;
    }
    if (status) return omni_error_set(err, status, "%s", why.text);
    omni_plan_spec plain = without_idle(spec, plan);
    if (s->given || !is_known(s, &plain)) status = price(s, spec, plan, err);
    omni_plan_free(plan);
    return status;
}

/* --- order ------------------------------------------------------------------------------------ */

static int by_time(const void *a, const void *b) {
    const omni_candidate *x = a, *y = b;
    if (x->estimate.fits != y->estimate.fits) return x->estimate.fits ? -1 : 1;
    if (x->estimate.ps != y->estimate.ps) return x->estimate.ps < y->estimate.ps ? -1 : 1;
    if (x->estimate.energy_pj != y->estimate.energy_pj)
        return x->estimate.energy_pj < y->estimate.energy_pj ? -1 : 1;
    size_t n = strlen(x->spec.name), m = strlen(y->spec.name);
    return n != m ? (n < m ? -1 : 1) : strcmp(x->spec.name, y->spec.name); /* the same order on every host */
}

void search_sort(search *s) {
    if (s->count) qsort(s->found, s->count, sizeof *s->found, by_time);
}

static bool dominates(const omni_estimate *a, const omni_estimate *b) {
    return a->fits && a->ps <= b->ps && a->energy_pj <= b->energy_pj &&
           a->need.all_bytes <= b->need.all_bytes &&
           (a->ps < b->ps || a->energy_pj < b->energy_pj || a->need.all_bytes < b->need.all_bytes);
}

/* What costs exactly the same does the same: of several, the first in order stays. */
static void drop_twins(search *s) {
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        const omni_estimate *a = &s->found[i].estimate, *b = kept ? &s->found[kept - 1].estimate : NULL;
        bool twin = b && a->ps == b->ps && a->energy_pj == b->energy_pj && a->prefill.ps == b->prefill.ps &&
                    a->need.all_bytes == b->need.all_bytes;
        if (!twin) s->found[kept++] = s->found[i];
    }
    s->count = kept;
}

/* Of what is slower than the limit, the front is of use. */
static void drop_slow(search *s) {
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->found[i].estimate.ps <= limit_ps(s, s->found[i].estimate.fits) || s->found[i].front)
            s->found[kept++] = s->found[i];
    s->count = kept;
}

static void mark_front(search *s) {
    for (size_t i = 0; i < s->count; i++) {
        s->found[i].front = s->found[i].estimate.fits;
        for (size_t j = 0; j < s->count && s->found[i].front; j++)
            s->found[i].front = !dominates(&s->found[j].estimate, &s->found[i].estimate);
    }
}

void search_rank(search *s) {
    search_sort(s);
    if (!s->given) drop_twins(s);
    mark_front(s);
    if (!s->given) drop_slow(s);
}
