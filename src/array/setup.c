/* setup.c: the state of a pass: which groups do the same, what their ranks' runs are, and which pieces of the
 * bus they have.
 *
 * A bus that can be cut into M pieces serves P stages of groups. M >= P: each has a piece of its own, which
 * its tree (or its heads) cut further, into M/P. M < P: neighbours share a piece and take turns, message by
 * message, in the plan's order.
 */
#include <stdlib.h>

#include "array/setup.h"

/* --- classes of groups ------------------------------------------------------------------------ */

static omni_range ranks_in(const omni_plan *plan, size_t group) {
    return omni_split(plan->mesh.used, plan->mesh.groups, group);
}

static bool shares_pieces(const walk *w) {
    const omni_mesh *mesh = &w->plan->mesh;
    bool talks = omni_plan_widest(w->plan) > 1 || mesh->stages > 1;
    return talks && mesh->groups * mesh->stages > w->m.pieces;
}

static bool keeps_tokens(const omni_plan *plan) {
    for (size_t l = 0; l < plan->model->shape.layers; l++)
        if (plan->kv[l] == OMNI_KV_TOKENS) return true;
    return false;
}

/* Sequences [start, start + count) of the pass look the same as those of another group. */
static bool same_sequences(const walk *w, omni_range a, omni_range b) {
    if (a.count != b.count) return false;
    if (w->pass.mark) return a.count == 0;
    for (size_t i = 0; i < a.count; i++)
        if (w->pass.first[a.start + i] != w->pass.first[b.start + i] ||
            w->pass.counts[a.start + i] != w->pass.counts[b.start + i] ||
            omni_split(w->pass.marks, w->pass.sequences, a.start + i).count !=
                omni_split(w->pass.marks, w->pass.sequences, b.start + i).count)
            return false;
    return true;
}

/* Keys and values that go round begin at the same index in all stages: of the first, which is the widest, and
 * of the last, which may have a rank less. */
static bool same_turn(const walk *w, size_t group, size_t a, size_t b) {
    const omni_mesh *mesh = &w->plan->mesh;
    size_t most = omni_mesh_ranks(mesh, group, 0).count,
           least = omni_mesh_ranks(mesh, group, mesh->stages - 1).count;
    return !w->goes_round || (a % most == b % most && a % least == b % least);
}

/* Group g does what group g-1 does. */
static bool same_group(const walk *w, size_t g) {
    const omni_plan *plan = w->plan;
    if (!faults_alike(w->m.faults, ranks_in(plan, g - 1), ranks_in(plan, g)) || shares_pieces(w))
        return false;
    if (plan->mesh.tokens) return omni_split(w->pass.tokens, plan->mesh.groups, g - 1).count == 0;
    omni_range before = omni_group_sequences(&plan->mesh, w->pass.sequences, g - 1),
               here = omni_group_sequences(&plan->mesh, w->pass.sequences, g);
    return same_turn(w, g, before.start, here.start) && same_sequences(w, before, here);
}

/* The first group behind g that may differ from the one before it: there are many without anything to do. */
static size_t next_group(const walk *w, size_t g) {
    const omni_mesh *mesh = &w->plan->mesh;
    size_t busy = mesh->tokens ? w->pass.tokens : w->pass.sequences, larger = mesh->used % mesh->groups;
    if (g < busy || shares_pieces(w)) return g + 1;
    return g < larger ? larger : mesh->groups;
}

static bool find_classes(walk *w) {
    size_t groups = w->plan->mesh.groups, most = 0;
    for (size_t g = 0; g < groups; g = next_group(w, g)) most += g == 0 || !same_group(w, g);
    w->class = omni_alloc_array(most, sizeof *w->class);
    if (!w->class) return false;
    for (size_t g = 0; g < groups; g = next_group(w, g)) {
        if (g == 0 || !same_group(w, g)) w->class[w->classes++].first = g;
        w->class[w->classes - 1].count = next_group(w, g) - w->class[w->classes - 1].first;
    }
    return true;
}

static bool find_parts(walk *w, group_class *k) {
    omni_parts it = omni_parts_begin(w->plan, w->pass, k->first);
    omni_part part;
    size_t capacity = 0;
    while (omni_parts_next(&it, &part)) {
        if (k->parts == capacity) {
            capacity = capacity ? 2 * capacity : 1;
            omni_part *more = realloc(k->part, capacity * sizeof *more);
            if (!more) return false;
            k->part = more;
        }
        k->part[k->parts++] = part;
    }
    return true;
}

enum { MOST_KINDS = 64 };

/* Parts of no more kinds than that, the newest first, are compared: further back nobody looks. */
static bool find_alike(const walk *w, group_class *k) {
    const omni_part *kind[MOST_KINDS];
    size_t kinds = 0, narrow = SIZE_MAX, widest = 0;
    k->alike = omni_alloc_array(k->parts + 1, sizeof *k->alike);
    for (size_t s = 0; s < w->plan->mesh.stages; s++) {
        narrow = k->cell[s].p < narrow ? k->cell[s].p : narrow;
        widest = k->cell[s].p > widest ? k->cell[s].p : widest; /* by one */
    }
    for (size_t m = 0; k->alike && m < k->parts; m++) {
        size_t back = 0, most = kinds < MOST_KINDS ? kinds : MOST_KINDS;
        const omni_part *like = NULL;
        for (; back < most && !like; back++) {
            like = kind[(kinds - 1 - back) % MOST_KINDS];
            if (!parts_alike(w, like, &k->part[m], narrow) || !parts_alike(w, like, &k->part[m], widest))
                like = NULL;
        }
        if (!like) like = kind[kinds++ % MOST_KINDS] = &k->part[m];
        k->alike[m] = (size_t)(like - k->part);
    }
    return k->alike != NULL;
}

/* --- cells and tracks ------------------------------------------------------------------------- */

static bool add_cells(walk *w, group_class *k) {
    size_t stages = w->plan->mesh.stages;
    k->cell = omni_alloc_array(stages, sizeof *k->cell);
    for (size_t s = 0; k->cell && s < stages; s++) {
        cell *c = &k->cell[s];
        omni_range ranks = omni_mesh_ranks(&w->plan->mesh, k->first, s);
        c->first = ranks.start;
        c->p = ranks.count;
        c->span = faults_span(w->m.faults, c->first, c->p);
        if (!runs_find(w->plan, s, c->p, k->part, k->parts, &c->runs)) return false;
        if (!runs_cut(w->m.faults, c->first, &c->runs)) return false;
        c->clock = omni_alloc_array(c->runs.count, sizeof *c->clock);
        if (!c->clock) return false;
    }
    return k->cell != NULL;
}

/* Pieces that a stage can cut its own into: for heads, and pairs of a tree. */
static size_t further_pieces(const walk *w) {
    uint64_t each = w->m.pieces / (w->plan->mesh.groups * w->plan->mesh.stages), heads = w->plan->mesh.heads;
    return each < heads ? (size_t)(each ? each : 1) : heads ? heads : 1;
}

static bool add_tracks(walk *w) {
    size_t stages = w->plan->mesh.stages, wanted = w->plan->mesh.groups * stages;
    bool shared = w->shared = shares_pieces(w);
    w->tracks = shared ? (size_t)w->m.pieces : w->classes * stages;
    w->track = omni_alloc_array(w->tracks, sizeof *w->track);
    for (size_t t = 0; w->track && t < w->tracks; t++) {
        w->track[t] = (track){.subs = further_pieces(w), .cut = OMNI_CUT_STAGE};
        w->track[t].free = omni_alloc_array(w->track[t].subs, sizeof *w->track[t].free);
        if (!w->track[t].free) return false;
    }
    for (size_t g = 0; w->track && g < w->classes; g++)
        for (size_t s = 0; s < stages; s++)
            w->class[g].cell[s].bus =
                &w->track[shared ? omni_split_owner(wanted, w->tracks, w->class[g].first * stages + s)
                                 : g * stages + s];
    return w->track != NULL;
}

static bool add_leaves(walk *w) {
    size_t most = 0;
    for (size_t g = 0; g < w->classes; g++)
        for (size_t s = 0; s < w->plan->mesh.stages; s++)
            if (w->class[g].cell[s].runs.count > most) most = w->class[g].cell[s].runs.count;
    w->leaf = omni_alloc_array(most + 1, sizeof *w->leaf);
    return w->leaf != NULL;
}

bool walk_open(walk *w) {
    w->twin = twins_find(w->plan);
    w->goes_round = keeps_tokens(w->plan);
    if (!w->twin || !find_classes(w)) return false;
    for (size_t g = 0; g < w->classes; g++)
        if (!find_parts(w, &w->class[g]) || !add_cells(w, &w->class[g]) || !find_alike(w, &w->class[g]))
            return false;
    return add_tracks(w) && add_leaves(w) && rhythm_open(w) && recall_open(w) && watch_open(w);
}

static void close_cell(const omni_plan *plan, size_t stage, cell *c) {
    for (size_t i = 0; c->cost && i < 3 * plan->block[stage].count; i++) omni_free(c->cost[i].run);
    omni_free(c->cost);
    omni_free(c->clock);
    omni_free(c->runs.start);
}

void walk_close(walk *w) {
    recall_close(w);
    for (size_t g = 0; g < w->classes; g++) {
        for (size_t s = 0; w->class[g].cell && s < w->plan->mesh.stages; s++)
            close_cell(w->plan, s, &w->class[g].cell[s]);
        omni_free(w->class[g].cell);
        omni_free(w->class[g].alike);
        free(w->class[g].part);
    }
    for (size_t t = 0; w->track && t < w->tracks; t++) omni_free(w->track[t].free);
    omni_free(w->track);
    omni_free(w->class);
    omni_free(w->twin);
    omni_free(w->leaf);
    omni_free(w->watch.before);
    omni_free(w->quiet);
    omni_free(w->beats);
    omni_free(w->score);
    free(w->chain);
}

const price_limit no_limit = {UINT64_MAX, UINT64_MAX};

static omni_status price_with(const omni_array *array, walk *w, bool *left, omni_error *err) {
    *left = false;
    if (array->host) return omni_price_rates(array->host, w->plan, w->pass, w->out, err);
    *w->out = (omni_price){0};
    machine_set(&w->m, array);
    omni_status status = walk_open(w) ? OMNI_OK
                                      : omni_error_set(err, OMNI_RUN_FAILED, "no memory to price plan '%s'",
                                                       w->plan->spec.name);
    if (!status) status = walk_run(w, err);
    *left = w->left;
    walk_close(w);
    return status;
}

omni_status price_pass(const omni_array *array, const omni_plan *plan, omni_extent pass, price_limit limit,
                       bool traced, omni_price *out, bool *left, omni_error *err) {
    walk w = {.plan = plan, .pass = pass, .out = out, .limit = limit, .traced = traced};
    return price_with(array, &w, left, err);
}

omni_status omni_price_watched(const omni_array *array, const omni_plan *plan, omni_extent pass,
                               omni_price_watch *watch, void *user, omni_price *out, omni_error *err) {
    bool left;
    walk w = {.plan = plan, .pass = pass, .out = out, .limit = no_limit, .traced = true};
    w.watch = (watcher){.tell = watch, .user = user};
    return price_with(array, &w, &left, err);
}

omni_status omni_price_pass(const omni_array *array, const omni_plan *plan, omni_extent pass, omni_price *out,
                            omni_error *err) {
    bool left;
    return price_pass(array, plan, pass, no_limit, true, out, &left, err);
}
