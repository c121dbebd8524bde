/* host_joined.c: messages of all groups at once, on the workers' clocks (host.c): weights that are broadcast,
 * panel by panel, keys and values that everybody keeps. Streamed weights are priced as broadcasts and
 * products one after the other.
 */
#include <math.h>

#include "array/host.h"

/* Everybody writes the keys and values of a group's tokens into the caches of all its PEs. */
static void keep_everywhere(host_walk *h, const omni_step *s, const omni_part *part) {
    const omni_value *v = &h->plan->value[s->in[0]];
    double features = (double)(v->part[1].width + v->part[2].width);
    double bytes = 2 * sizeof(float) * features * (double)part->extent.tokens;
    host_step t = host_step_at(h, s, part, (omni_range){0, h->plan->mesh.used});
    t.row = host_row(h->out, s, OMNI_PRICE_COMPUTE);
    for (size_t w = t.by.start; w < t.by.start + t.by.count; w++) {
        double ns = (double)host_carried(&t, w).count * omni_rates_op_ns(h->r, OMNI_RATES_APPEND, bytes);
        h->computing += ns;
        h->out->memory_bytes += (uint64_t)(bytes * (double)host_carried(&t, w).count);
        host_spend(&t, w, ns);
    }
}

/* What is read at first from main memory takes longer than what a cache has. */
static double cold_ns(const host_walk *h, omni_dtype dtype, double bytes) {
    const omni_rates *r = h->r;
    double weights = bytes / (double)omni_dtype_bytes(dtype);
    return fmax(omni_rates_matmul_ns(r, dtype, 1, r->set_bytes[OMNI_RATES_STREAMED], 1, weights, 1) -
                    omni_rates_matmul_ns(r, dtype, 1, r->set_bytes[OMNI_RATES_CACHED], 1, weights, 1),
                0);
}

/* From the first worker with rows in this wave to the last: those take what is streamed. */
static omni_range takers(const host_walk *h, const omni_extent *pass, size_t wave) {
    omni_range by = {h->workers, 0};
    omni_part part;
    for (size_t g = 0; g < h->plan->mesh.groups; g++) {
        size_t w =
            omni_split_owner(h->plan->mesh.pes, h->workers, omni_mesh_ranks(&h->plan->mesh, g, 0).start);
        if (!host_part_of(h, pass, g, 0, wave, &part)) continue;
        if (by.count == 0) by.start = w;
        by.count = w + 1 - by.start;
    }
    return by;
}

/* Weights of a rank, through the ring: the owner copies them out of its memory, the others into theirs; or
 * nobody else wants them, and he goes on alone. */
static void stream(const host_step *t, omni_range by, size_t rank) {
    const omni_plan *plan = t->h->plan;
    size_t owner = omni_split_owner(plan->mesh.pes, t->h->workers, rank);
    double bytes = (double)omni_weight_dealt_bytes(&plan->mesh, &plan->weight[t->s->weight], rank);
    double cold = cold_ns(t->h, plan->weight[t->s->weight].dtype, bytes);
    if (t->by.count == 1 || bytes <= 0) return;
    if (by.count <= 1 && by.start == owner) {
        host_spend(t, owner, cold + omni_rates_op_ns(t->h->r, OMNI_RATES_COPY, 2 * bytes));
        return;
    }
    host_wait_for(t, owner);
    host_all_spend(t, cold + omni_rates_message_ns(t->h->r, OMNI_RATES_ADDRESSED, t->by.count, 1, bytes));
}

/* A group's product with streamed weights, on its PE. What came over the bus, or what another PE of the
 * worker has just read, is in a cache: a piece of it, pe/stream.c. */
static void stream_product(const host_step *all, const omni_part *part, size_t pe, bool first) {
    enum { PIECE_OUTPUTS = 256 };
    host_walk *h = all->h;
    const omni_weight *w = &h->plan->weight[all->s->weight];
    double rows = (double)omni_rows_count(h->plan->value[all->s->out].rows, part->extent, 1, 0);
    double in = (double)w->in.part[0].width, set = PIECE_OUTPUTS * in * (double)omni_dtype_bytes(w->dtype);
    if (all->by.count == 1 && first) set = h->set;
    double ns = omni_rates_matmul_ns(h->r, w->dtype, all->by.count, set, rows, in,
                                     (double)omni_value_width(&w->out, 1, 0));
    host_step t = *all;
    t.row = host_row(h->out, all->s, OMNI_PRICE_COMPUTE);
    h->computing += ns;
    host_spend(&t, omni_split_owner(h->plan->mesh.pes, h->workers, pe), ns);
}

/* Weights of all ranks in turn, keys and values of all groups: each is sent to everybody. */
void host_walk_joined(host_walk *h, const omni_step *s, const omni_extent *pass, size_t wave) {
    omni_part part = {.extent = *pass};
    host_step all = host_step_at(h, s, &part, (omni_range){0, h->plan->mesh.used});
    bool streams = s->kind == OMNI_STEP_STREAM, first = true;
    omni_range by = streams ? takers(h, pass, wave) : (omni_range){0, 0};
    for (size_t r = 0; streams && r < h->plan->mesh.used; r++) stream(&all, by, r);
    for (size_t g = 0; g < h->plan->mesh.groups; g++) {
        if (!host_part_of(h, pass, g, s->stage, wave, &part)) continue;
        host_step t = all;
        t.piece = omni_mesh_ranks(&h->plan->mesh, g, s->stage);
        if (streams) {
            stream_product(&all, &part, t.piece.start, first);
            first = false;
            continue;
        }
        host_broadcast(&all, t.piece.start, host_payload(&t, s->in[0], NULL));
        keep_everywhere(h, s, &part);
    }
}
