/* search.c: the best of many plans. What can be combined is far too much to price, and most of it is far from
 * good: so the methods are screened on all PEs first, and only the fastest few are tried as cycles, and with
 * groups and stages.
 *
 *   every qkv x attn x o x ffn, named plans           about 55
 *   the fastest BEST, edge= and gather=, A/B          about 40
 *   the fastest BEST and FEW of each attn=, groups,   powers of two, up to batch, layers, PEs;
 *     or stages                                       stages until they get slower
 *   the methods of the fastest, groups x stages       likewise
 *   the fastest FEW of all, overlap=                  twice as many
 *
 * What is not worth pricing to the end is left in the middle (candidates.c), and the Pareto front of all that
 * is tried is whole. What is missed: a plan that is slow by its methods alone and best in groups. The tests
 * hold it to 5% of what pricing every method with every group and stage finds.
 */
#include <stdio.h>

#include "array/search.h"

enum { BEST = 5, FEW = 1, MOST = BEST + 8 };

/* --- the three rounds ------------------------------------------------------------------------- */

static omni_status try_text(search *s, const char *text, omni_error *err) {
    omni_plan_spec spec;
    omni_status status = omni_plan_parse(text, &spec, err);
    return status ? status : search_try(s, &spec, err);
}

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
            for (size_t k = 0; k < n; k++) known = known || search_same_spec(&best[k], spec);
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
    return search_try(s, spec, err);
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

/* Stages in powers of two, until they get slower: more and more of them are ever further from the best. Where
 * there are parts for all of them, from the most on, which are the cheapest to price; and fewer and fewer
 * are. */
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
        if (s->last_ps > search_best_ps(s, false) && s->last_ps > before) return status;
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
    search_sort(s);
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
    search_sort(s);
    size_t count = best_of(s, best);
    if (!status) status = try_edges(s, best, count, err);
    if (!status) status = try_cycles(s, best, count, err);
    search_sort(s);
    count = add_kinds(s, best, best_of(s, best));
    if (!status) status = try_meshes(s, best, count, false, err);
    search_sort(s);
    if (status || s->count == 0) return status;
    best[0] = methods_of_best(s);
    return best[0].whole || best[0].stream || best[0].over_tokens ? OMNI_OK
                                                                  : try_meshes(s, best, 1, true, err);
}

/* --- the whole -------------------------------------------------------------------------------- */

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
    for (size_t i = 0; s.given && i < plan_count && !status; i++) status = search_try(&s, &plans[i], err);
    if (!status && s.count == 0) status = omni_error_set(err, OMNI_BAD_INPUT, "%s", s.skipped.text);
    search_rank(&s);
    if (!status && !s.given) status = trace(&s, err);
    *out = status ? NULL : s.found;
    *count = status ? 0 : s.count;
    if (status) omni_free(s.found);
    return status;
}
