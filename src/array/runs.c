/* runs.c: where along the ranks of a stage the work can change. A split of n things over p ranks has at most
 * two sizes, so a handful of places serve all steps; only attention over token shares may have a place for
 * each key.
 */
#include <stdlib.h>

#include "array/walk.h"

typedef struct places {
    size_t p, count, capacity;
    size_t *at;
    bool all, out_of_memory; /* all: every index is a run */
} places;

static int compare(const void *a, const void *b) {
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Each place once, in order. */
static void tidy(places *l) {
    size_t kept = 0;
    qsort(l->at, l->count, sizeof *l->at, compare);
    for (size_t i = 0; i < l->count; i++)
        if (i == 0 || l->at[i] != l->at[kept - 1]) l->at[kept++] = l->at[i];
    l->count = kept;
    l->all = kept == l->p;
}

/* Many parts may add the same ones again and again. */
static void add_place(places *l, size_t at) {
    if (l->count == l->capacity && l->count > 2 * l->p) tidy(l);
    if (l->all || at >= l->p) return;
    if (l->count == l->capacity) {
        size_t wanted = l->capacity ? 2 * l->capacity : 64;
        size_t *more = realloc(l->at, wanted * sizeof *more);
        if (!more) {
            l->out_of_memory = true;
            return;
        }
        l->at = more;
        l->capacity = wanted;
    }
    l->at[l->count++] = at;
}

/* Indices [start, start + count), going round, each by itself. */
static void add_each(places *l, size_t start, size_t count) {
    if (count >= l->p) l->all = true;
    for (size_t k = 0; k <= count && !l->all; k++) add_place(l, (start + k) % l->p);
}

static void add_split(places *l, size_t units, size_t of_units, size_t share) {
    if (of_units > 1) {
        for (size_t r = 0; r < of_units; r++) {
            omni_range ranks = omni_split(l->p, of_units, r);
            add_place(l, ranks.start);
            if (ranks.count) add_place(l, ranks.start + units % ranks.count);
        }
    } else if (share > 1) { /* neighbours may share a thing: no pattern */
        for (size_t i = 0; i <= units && i < l->p; i++) add_place(l, i);
    } else {
        add_place(l, units % l->p);
    }
}

static void add_value(places *l, const omni_value *value) {
    for (size_t j = 0; j < value->parts; j++)
        if (value->part[j].width)
            add_split(l, value->part[j].units, value->part[j].runs, value->part[j].share);
}

/* Layers repeat: the first of each kind, and the first of the stage, have all splits. */
static void add_steps(places *l, const omni_plan *plan, size_t stage, bool *tokens) {
    omni_range block = plan->block[stage];
    const omni_shape *shape = &plan->model->shape;
    size_t first = omni_split(shape->layers, plan->mesh.stages, stage).start;
    for (size_t i = block.start; i < block.start + block.count; i++) {
        const omni_step *s = &plan->step[i];
        if (s->layer >= 0 && (size_t)s->layer > first + plan->spec.cycle) continue;
        for (size_t k = 0; k < OMNI_STEP_INPUTS; k++)
            if (s->in[k] != OMNI_NO_VALUE) add_value(l, &plan->value[s->in[k]]);
        if (s->out != OMNI_NO_VALUE) add_value(l, &plan->value[s->out]);
        if (s->weight != OMNI_NO_WEIGHT) add_value(l, &plan->weight[s->weight].in);
        if (s->weight != OMNI_NO_WEIGHT) add_value(l, &plan->weight[s->weight].out);
        if (s->layer < 0 || s->op == NULL || s->op->kind != OMNI_OP_ATTENTION) continue;
        omni_kv kv = plan->kv[s->layer];
        *tokens |= kv == OMNI_KV_TOKENS;
        if (kv == OMNI_KV_HEADS) add_split(l, shape->heads, 1, shape->heads / shape->kv_heads);
        if (kv == OMNI_KV_SUBHEADS) add_split(l, shape->head_dim / omni_subhead_unit(shape), shape->heads, 1);
    }
}

/* Position t of sequence q is kept by index (t + q) mod p. A query at t sees the keys before it: those of
 * this part weigh differently one by one. */
static void add_tokens(places *l, const omni_extent *x, bool encoder) {
    for (size_t i = 0; i < x->sequences && !l->all; i++) {
        size_t q = (x->sequence + i) % l->p, first = omni_extent_first(x, i), count = omni_extent_count(x, i);
        add_place(l, q);
        if (encoder) add_place(l, (q + x->first[i] + x->counts[i]) % l->p);
        if (encoder || count == 1) {
            add_place(l, (q + first) % l->p);
            add_place(l, (q + first + count) % l->p);
            if (count == 1) add_place(l, (q + first + 1) % l->p);
        } else {
            add_each(l, (q + first) % l->p, count);
        }
    }
}

static bool make_runs(places *l, runs *out) {
    size_t most = l->all ? l->p : l->count;
    *out = (runs){.start = omni_alloc_array(most + 1, sizeof(size_t))};
    if (!out->start || l->out_of_memory) return false;
    if (!l->all && l->count) tidy(l);
    for (out->count = 0; out->count < (l->all ? l->p : l->count); out->count++)
        out->start[out->count] = l->all ? out->count : l->at[out->count];
    out->start[out->count] = l->p;
    return true;
}

bool runs_find(const omni_plan *plan, size_t stage, size_t p, const omni_part *part, size_t parts,
               runs *out) {
    places l = {.p = p};
    bool tokens = false;
    add_place(&l, 0);
    add_place(&l, 1);
    add_steps(&l, plan, stage, &tokens);
    for (size_t m = 0; m < parts && tokens; m++) add_tokens(&l, &part[m].extent, plan->model->shape.encoder);
    bool ok = make_runs(&l, out);
    free(l.at);
    return ok;
}

size_t runs_of(const runs *r, size_t index) {
    size_t low = 0, high = r->count; /* start[low] <= index < start[high] */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        *(r->start[mid] <= index ? &low : &high) = mid;
    }
    return low;
}
