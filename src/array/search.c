/* search.c: the best of many plans. What can be combined is far too much to price, and most of it is far from good: so
 * the methods are screened on all PEs first, and only the fastest few are tried as cycles, and with groups and stages.
 *
 *   every qkv x attn x o x ffn, named plans           about 55
 *   the fastest BEST, edge= and gather=, A/B          about 40
 *   the fastest BEST and FEW of each attn=, groups,   powers of two, up to batch, layers, PEs;
 *     or stages                                       stages until they get slower
 *   the methods of the fastest, groups x stages       likewise
 *   the fastest FEW of all, overlap=                  twice as many
 *
 * A plan whose clocks pass SLOWER times the best time so far is left there, but only when it also has spent more energy
 * than one within that time that needs no more memory. So the Pareto front of all that is tried is whole. What is
 * missed: a plan that is slow by its methods alone and best in groups. The tests hold it to 5% of what pricing every
 * method with every group and stage finds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "array/array.h"

enum { BEST = 5, FEW = 1, MOST = BEST + 8, SLOWER = 2 };

typedef struct search {
    const omni_array *array;
    const omni_model *model;
    size_t pes;
    omni_task task;
    omni_status (*stop)(omni_error *);
    omni_candidate *found;
    size_t count, capacity;
    uint64_t memory;     /* of a PE */
    uint64_t best_ps[2]; /* of those so far that do not fit, and that do; UINT64_MAX: none */
    uint64_t last_ps;    /* of the last that was priced */
    bool given;          /* plans, not a search: all are priced to the end */
    omni_error skipped;  /* the first that cannot be built */
} search;

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

static bool same_spec(const omni_plan_spec *a, const omni_plan_spec *b) {
    return same_layers(a, b) && a->whole == b->whole && a->groups == b->groups && a->stages == b->stages &&
           a->stack == b->stack && a->chunk == b->chunk && a->overlap == b->overlap &&
           a->over_tokens == b->over_tokens && a->stream == b->stream && a->wire_bus == b->wire_bus &&
           a->wire_tree == b->wire_tree;
}

static bool is_known(const search *s, const omni_plan_spec *spec) {
    for (size_t i = 0; i < s->count; i++)
        if (same_spec(&s->found[i].spec, spec)) return true;
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
static uint64_t best_ps(const search *s, bool fits) {
    return fits || s->best_ps[1] < s->best_ps[0] ? s->best_ps[1] : s->best_ps[0];
}

static uint64_t limit_ps(const search *s, bool fits) {
    uint64_t best = best_ps(s, fits);
    return best > UINT64_MAX / SLOWER ? UINT64_MAX : SLOWER * best;
}

/* Beyond the limit of time a plan that fits is of use if it saves energy, or memory: if none that is within the limit,
 * and needs as little memory, needs as little energy. */
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
static omni_status try_spec(search *s, const omni_plan_spec *spec, omni_error *err) {
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

static omni_status try_text(search *s, const char *text, omni_error *err) {
    omni_plan_spec spec;
    omni_status status = omni_plan_parse(text, &spec, err);
    return status ? status : try_spec(s, &spec, err);
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

static void sort(search *s) {
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

/* The first few were priced without their critical paths. */
static omni_status trace(search *s, omni_error *err) {
    omni_status status = OMNI_OK;
    for (size_t i = 0; i < s->count && i < OMNI_SEARCH_TRACED && !status; i++) {
        omni_plan *plan;
        status = omni_plan_compile(s->model, &s->found[i].spec, s->pes, &plan, err);
        if (status) return status;
        status = omni_estimate_plan(s->array, plan, s->task, &s->found[i].estimate, err);
        omni_plan_free(plan);
    }
    return status;
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

/* --- the three rounds ------------------------------------------------------------------------- */

static omni_status try_methods(search *s, omni_error *err) {
    static const char *const named[] = {"lockstep:over=token", "megatron:groups=each:over=token"};
    char **list;
    size_t count;
    omni_status status = omni_plan_list("all", &list, &count, err);
    if (status) return status;
    for (size_t i = 0; i < 2 * count && !status; i++) {
        /* Those with keys first: some are fast, and set the limit. */
        bool keyed = strchr(list[i % count], '=') != NULL;
        if (keyed == (i < count)) status = try_text(s, list[i % count], err);
    }
    omni_plan_list_free(list, count);
    for (size_t i = 0; i < 2 && !status; i++) status = try_text(s, named[i], err);
    return status;
}

/* One group and stage, the layers cut over all PEs. */
static bool is_plain(const omni_plan_spec *spec) {
    return !spec->whole && spec->groups == 1 && spec->stages == 1;
}

static size_t best_of(const search *s, omni_plan_spec best[BEST]) {
    size_t n = 0;
    for (size_t i = 0; i < s->count && n < BEST; i++)
        if (is_plain(&s->found[i].spec)) best[n++] = s->found[i].spec;
    return n;
}

/* And the fastest FEW of each method of attention: in smaller pieces others can be built, and are fast. */
static size_t add_kinds(const search *s, omni_plan_spec best[MOST], size_t n) {
    size_t kinds;
    omni_method_table(OMNI_KEY_ATTN, &kinds);
    for (size_t kind = 0; kind < kinds; kind++)
        for (size_t i = 0, few = 0; i < s->count && few < FEW && n < MOST; i++) {
            const omni_plan_spec *spec = &s->found[i].spec;
            bool known = false;
            if (!is_plain(spec) || spec->cycle > 1 || spec->layer[0].choice[OMNI_KEY_ATTN] != kind) continue;
            for (size_t k = 0; k < n; k++) known = known || same_spec(&best[k], spec);
            few++;
            if (!known) best[n++] = *spec;
        }
    return n;
}

static void name_spec(omni_plan_spec *spec) {
    size_t used = 0;
    for (size_t l = 0; l < spec->cycle && used < sizeof spec->name; l++) {
        char layer[128];
        used += (size_t)snprintf(spec->name + used, sizeof spec->name - used, "%s%s", l ? "/" : "",
                                 omni_methods_format(&spec->layer[l], layer, sizeof layer));
        char mesh[96];
        if (l + 1 == spec->cycle && used < sizeof spec->name)
            snprintf(spec->name + used, sizeof spec->name - used, "%s",
                     omni_mesh_format(spec, mesh, sizeof mesh));
    }
}

static omni_status try_named(search *s, omni_plan_spec *spec, omni_error *err) {
    name_spec(spec);
    return try_spec(s, spec, err);
}

static omni_status try_edges(search *s, const omni_plan_spec *best, size_t count, omni_error *err) {
    omni_status status = OMNI_OK;
    for (size_t i = 0; i < count * 3 && !status; i++) {
        omni_plan_spec spec = best[i / 3];
        for (size_t l = 0; l < spec.cycle; l++) {
            spec.layer[l].gather_bus = i % 3 != 1;
            spec.layer[l].edge_scatter = i % 3 != 0;
        }
        status = try_named(s, &spec, err);
    }
    return status;
}

static omni_status try_cycles(search *s, const omni_plan_spec *best, size_t count, omni_error *err) {
    omni_status status = OMNI_OK;
    for (size_t i = 0; i < count * count && !status; i++) {
        omni_plan_spec spec = best[i / count];
        if (i / count == i % count || spec.cycle > 1 || best[i % count].cycle > 1) continue;
        spec.layer[spec.cycle++] = best[i % count].layer[0];
        status = try_named(s, &spec, err);
    }
    return status;
}

static omni_status try_mesh(search *s, const omni_plan_spec *like, size_t groups, size_t stages,
                            omni_error *err) {
    omni_plan_spec spec = *like;
    spec.groups = groups;
    spec.stages = stages;
    return try_named(s, &spec, err);
}

/* Parts that a group's pass has at least: they keep so many stages busy. */
static size_t parts_of(const search *s, size_t groups) {
    return s->task.batch / groups;
}

/* Stages in powers of two, until they get slower: more and more of them are ever further from the best. Where there are
 * parts for all of them, from the most on, which are the cheapest to price; and fewer and fewer are. */
static omni_status try_stages(search *s, const omni_plan_spec *like, size_t groups, omni_error *err) {
    omni_status status = OMNI_OK;
    uint64_t before = UINT64_MAX;
    size_t most = s->pes / groups < s->model->shape.layers ? s->pes / groups : s->model->shape.layers;
    size_t sizes = 0;
    while ((size_t)2 << sizes <= most) sizes++;
    bool down = parts_of(s, groups) >= most;
    for (size_t i = 0; i < sizes && !status; i++) {
        s->last_ps = 0; /* of what is not priced: go on */
        status = try_mesh(s, like, groups, (size_t)2 << (down ? sizes - 1 - i : i), err);
        if (s->last_ps > best_ps(s, false) && s->last_ps > before) return status;
        before = s->last_ps ? s->last_ps : before;
    }
    return status;
}

/* With groups alone, which are quickly priced and set the limit, then with stages alone; or with `both`. */
static omni_status try_meshes(search *s, const omni_plan_spec *best, size_t count, bool both,
                              omni_error *err) {
    omni_status status = OMNI_OK;
    size_t most = s->task.batch < s->pes ? s->task.batch : s->pes;
    for (size_t i = 0; i < count && !both; i++)
        for (size_t groups = 2; groups <= most && !status; groups *= 2)
            status = try_mesh(s, &best[i], groups, 1, err);
    for (size_t i = 0; i < count; i++)
        for (size_t groups = both ? 2 : 1; groups <= (both ? most : 1) && !status; groups *= 2)
            status = try_stages(s, &best[i], groups, err);
    return status;
}

/* The fastest of all, cut into few strips and into many. */
static omni_status try_overlaps(search *s, omni_error *err) {
    static const size_t strips[] = {4, 16};
    omni_plan_spec best[FEW];
    omni_status status = OMNI_OK;
    size_t count = 0;
    sort(s);
    for (size_t i = 0; i < s->count && count < FEW; i++)
        if (!s->found[i].spec.whole) best[count++] = s->found[i].spec;
    for (size_t i = 0; i < count * 2 && !status; i++) {
        omni_plan_spec spec = best[i / 2];
        spec.overlap = strips[i % 2];
        status = try_named(s, &spec, err);
    }
    return status;
}

/* The methods of the fastest of all, whatever its groups and stages. */
static omni_plan_spec methods_of_best(const search *s) {
    omni_plan_spec spec = s->found[0].spec;
    for (size_t i = 0; i < s->count && (spec.whole || spec.stream || spec.over_tokens); i++)
        spec = s->found[i].spec;
    return spec;
}

static omni_status search_all(search *s, omni_error *err) {
    omni_plan_spec best[MOST];
    omni_status status = try_methods(s, err);
    sort(s);
    size_t count = best_of(s, best);
    if (!status) status = try_edges(s, best, count, err);
    if (!status) status = try_cycles(s, best, count, err);
    sort(s);
    count = add_kinds(s, best, best_of(s, best));
    if (!status) status = try_meshes(s, best, count, false, err);
    sort(s);
    if (status || s->count == 0) return status;
    best[0] = methods_of_best(s);
    return best[0].whole || best[0].stream || best[0].over_tokens ? OMNI_OK
                                                                  : try_meshes(s, best, 1, true, err);
}

omni_status omni_search(const omni_array *array, const omni_model *model, size_t pes, omni_task task,
                        const omni_plan_spec *plans, size_t plan_count, omni_status (*stop)(omni_error *),
                        omni_candidate **out, size_t *count, omni_error *err) {
    search s = {.array = array, .model = model, .pes = pes, .task = task, .stop = stop};
    machine m;
    machine_set(&m, array);
    s.memory = m.memory_bytes;
    s.best_ps[0] = s.best_ps[1] = UINT64_MAX;
    s.given = plans != NULL;
    omni_status status = s.given ? OMNI_OK : search_all(&s, err);
    if (!status && !s.given) status = try_overlaps(&s, err);
    for (size_t i = 0; s.given && i < plan_count && !status; i++) status = try_spec(&s, &plans[i], err);
    if (!status && s.count == 0) status = omni_error_set(err, OMNI_BAD_INPUT, "%s", s.skipped.text);
    sort(&s);
    if (!s.given) drop_twins(&s);
    mark_front(&s);
    if (!s.given) drop_slow(&s);
    if (!status && !s.given) status = trace(&s, err);
    *out = status ? NULL : s.found;
    *count = status ? 0 : s.count;
    if (status) omni_free(s.found);
    return status;
}
