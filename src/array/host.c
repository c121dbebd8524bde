/* host.c: a pass on this host, from measured rates: what the workers' clocks would show. The same walk as the
 * executor's (pe/exec.c), so more PEs than workers are priced as they are run:
 *
 *   PEs       0 1 2 3 | 4 5 6 7       worker w carries omni_split(pes, workers, w)
 *   compute   its PEs one after the other; where only the first PEs have work, all workers share those (pe/lend.c)
 *   message   once a worker; a reading worker copies for each of its PEs
 *
 * A broadcast begins when its writer is ready; in a reduction, a gather or a lent step everybody meets. What words make
 * workers wait follows from that. Streamed weights are priced as broadcasts and products one after the other.
 */
#include <math.h>

#include "array/array.h"
#include "omnibus/rates.h"

/* A worker's clock, and what it was spent in on the way there. */
typedef struct lane {
    double ns, spent[OMNI_PRICE_ROWS];
} lane;

typedef struct host_walk {
    const omni_rates *r;
    const omni_plan *plan;
    size_t workers;
    double set;     /* bytes of weights of a worker */
    size_t at_once; /* workers that compute in this wave: they share the memory's rate */
    lane *lane;     /* [workers] */
    omni_price *out;
    double computing;
    bool decode; /* one query a sequence */
} host_walk;

/* A step of a block: a stage of a group with a part of the pass. */
typedef struct host_step {
    host_walk *h;
    const omni_step *s;
    const omni_part *part;
    omni_range piece; /* ranks */
    omni_range by;    /* workers that carry some */
    omni_price_kind kind;
    size_t row; /* of the price */
} host_step;

/* --- clocks ----------------------------------------------------------------------------------- */

static omni_range carriers(const host_walk *h, omni_range ranks) {
    size_t pes = h->plan->mesh.pes, first = omni_split_owner(pes, h->workers, ranks.start);
    return (omni_range){first, omni_split_owner(pes, h->workers, ranks.start + ranks.count - 1) + 1 - first};
}

static omni_range carried(const host_step *t, size_t worker) {
    return omni_range_meet(omni_split(t->h->plan->mesh.pes, t->h->workers, worker), t->piece);
}

static size_t most_carried(const host_step *t) {
    size_t most = 0;
    for (size_t w = t->by.start; w < t->by.start + t->by.count; w++) {
        size_t n = carried(t, w).count;
        most = n > most ? n : most;
    }
    return most;
}

static size_t row_of(omni_price *out, const omni_step *s, omni_price_kind kind) {
    const char *op = s->op ? s->op->name : s->kind == OMNI_STEP_HAND_OFF ? "hand-off" : "input";
    for (size_t i = 0; i < out->rows; i++)
        if (out->row[i].kind == kind && strcmp(out->row[i].op, op) == 0) return i;
    if (out->rows == OMNI_PRICE_ROWS) return OMNI_PRICE_ROWS - 1;
    out->row[out->rows] = (omni_price_row){.op = op, .kind = kind};
    return out->rows++;
}

static void spend_ns(const host_step *t, size_t worker, double ns) {
    t->h->lane[worker].ns += ns;
    t->h->lane[worker].spent[t->row] += ns;
}

/* Nobody of the piece's workers goes on before this one is there. */
static void wait_for(const host_step *t, size_t worker) {
    const lane from = t->h->lane[worker];
    for (size_t w = t->by.start; w < t->by.start + t->by.count; w++)
        if (t->h->lane[w].ns < from.ns) t->h->lane[w] = from;
}

static void meet(const host_step *t) {
    size_t last = t->by.start;
    for (size_t w = last + 1; w < t->by.start + t->by.count; w++)
        if (t->h->lane[w].ns > t->h->lane[last].ns) last = w;
    wait_for(t, last);
}

static void all_spend(const host_step *t, double ns) {
    for (size_t w = t->by.start; w < t->by.start + t->by.count; w++) spend_ns(t, w, ns);
}

/* --- compute ---------------------------------------------------------------------------------- */

static omni_rates_op op_of(const omni_step *s) {
    if (s->kind == OMNI_STEP_NORM || s->kind == OMNI_STEP_NORM_STATS || s->kind == OMNI_STEP_NORM_APPLY)
        return s->op->norm == OMNI_NORM_LAYER ? OMNI_RATES_LAYER_NORM : OMNI_RATES_RMS_NORM;
    if (s->kind == OMNI_STEP_ACTIVATION)
        return s->op->activation == OMNI_ACT_SWIGLU || s->op->activation == OMNI_ACT_SILU ? OMNI_RATES_SWIGLU
               : s->op->activation == OMNI_ACT_RELU                                       ? OMNI_RATES_COPY
                                                                                          : OMNI_RATES_GELU;
    if (s->kind == OMNI_STEP_RESIDUAL) return OMNI_RATES_ADD;
    if (s->kind == OMNI_STEP_KV_APPEND) return OMNI_RATES_APPEND;
    return s->kind == OMNI_STEP_ARGMAX ? OMNI_RATES_ARGMAX : OMNI_RATES_COPY;
}

static double matmul_ns(const host_step *t, size_t index, const work *x) {
    const omni_weight *w = &t->h->plan->weight[t->s->weight];
    double in = (double)(w->split_in ? omni_value_owned(&w->in, 0, t->piece.count, index).count
                                     : w->in.part[0].width);
    size_t width = omni_value_width(&t->h->plan->value[t->s->out], t->piece.count, index);
    double out = (double)omni_step_features(t->s, t->part->extent, width).count;
    if (x->macs == 0) return 0;
    double rows = (double)x->macs / (in * out);
    return omni_rates_matmul_ns(t->h->r, t->h->plan->model->dtype, t->h->at_once, t->h->set, rows, in, out) +
           omni_rates_op_ns(t->h->r, OMNI_RATES_ADD, 12.0 * (double)x->ops);
}

static double attention_ns(const host_step *t, size_t index, const work *x) {
    const omni_shape *shape = &t->h->plan->model->shape;
    double dims = (double)shape->head_dim, width = dims, held = dims;
    if (t->s->kind == OMNI_STEP_ATTENTION)
        width = t->h->plan->kv[t->s->layer] == OMNI_KV_TOKENS
                    ? dims * (double)shape->heads
                    : (double)omni_value_width(&t->h->plan->value[t->s->out], t->piece.count, index);
    else
        held = (double)omni_subhead_of(shape, t->piece.count, index).dims.count;
    /* A pair is multiplied twice, in scores and in values; sub-heads do either in a step of its own. */
    double times = t->s->kind == OMNI_STEP_ATTENTION ? 2 : 1;
    double terms[OMNI_FIT_TERMS] = {width / dims * (double)t->part->extent.tokens,
                                    (double)x->macs / (times * held), (double)x->macs, (double)x->bytes};
    return omni_rates_attention_ns(t->h->r, t->h->decode ? OMNI_RATES_DECODE : OMNI_RATES_PREFILL, terms);
}

static double compute_ns(const host_step *t, size_t index) {
    work x = step_work(t->h->plan, t->s, &t->part->extent, t->piece.count, index);
    t->h->out->macs += x.macs;
    t->h->out->ops += x.ops;
    t->h->out->memory_bytes += x.bytes;
    if (x.macs == 0 && x.bytes == 0) return 0;
    bool attends =
        t->s->kind == OMNI_STEP_ATTENTION || t->s->kind == OMNI_STEP_SCORES || t->s->kind == OMNI_STEP_WEIGH;
    double ns = t->s->kind == OMNI_STEP_MATMUL ? matmul_ns(t, index, &x)
                : attends                      ? attention_ns(t, index, &x)
                                               : omni_rates_op_ns(t->h->r, op_of(t->s), (double)x.bytes);
    t->h->computing += ns;
    return ns + t->h->r->step_ns;
}

/* Which step is lent, and how many PEs have work: the rule of pe/lend.c. */
static size_t lent(const host_step *t) {
    const omni_plan *plan = t->h->plan;
    bool product = t->s->kind == OMNI_STEP_MATMUL;
    if ((!product && t->s->kind != OMNI_STEP_ATTENTION) || t->by.count == 1) return t->piece.count;
    int value = t->s->out;
    if (product && !plan->weight[t->s->weight].split_out)
        value = plan->weight[t->s->weight].split_in ? t->s->in[0] : OMNI_NO_VALUE;
    if (value == OMNI_NO_VALUE || !plan->value[value].compact || plan->value[value].part[0].runs > 1)
        return t->piece.count;
    size_t count = t->piece.count;
    while (count && omni_value_width(&plan->value[value], t->piece.count, count - 1) == 0) count--;
    return count;
}

static void compute(const host_step *t) {
    size_t busy = lent(t), p = t->piece.count;
    bool shared = busy < p;
    if (shared) meet(t);
    for (size_t i = 0; i < p; i++) {
        size_t w = shared && i < busy
                       ? t->by.start + omni_split_owner(busy, t->by.count, i)
                       : omni_split_owner(t->h->plan->mesh.pes, t->h->workers, t->piece.start + i);
        if (!t->s->root_only || i == 0) spend_ns(t, w, compute_ns(t, i));
    }
    if (!shared) return;
    meet(t);
    all_spend(t, 2 * omni_rates_barrier_ns(t->h->r, t->by.count));
}

/* --- messages --------------------------------------------------------------------------------- */

static double payload(const host_step *t, int value, const size_t *index) {
    const omni_value *v = &t->h->plan->value[value];
    if (!index) return (double)wire_bytes(t->h->plan, t->s, v, &t->part->extent, t->piece.count);
    return (double)wire_row_bytes(t->h->plan, t->s, v, t->piece.count, index) *
           (double)omni_step_rows(t->s, v->rows, t->part->extent, t->piece.count, *index).count;
}

static void broadcast(const host_step *t, size_t root, double bytes) {
    wait_for(t, omni_split_owner(t->h->plan->mesh.pes, t->h->workers, t->piece.start + root));
    all_spend(t, omni_rates_message_ns(t->h->r, OMNI_RATES_BROADCAST, t->by.count, most_carried(t), bytes));
}

/* From one rank to another; the others let it pass. */
static void address(const host_step *t, size_t from, size_t to, double bytes) {
    size_t a = omni_split_owner(t->h->plan->mesh.pes, t->h->workers, t->piece.start + from);
    size_t b = omni_split_owner(t->h->plan->mesh.pes, t->h->workers, t->piece.start + to);
    double ns =
        omni_rates_message_ns(t->h->r, OMNI_RATES_ADDRESSED, a == b ? 1 : t->by.count, a == b ? 2 : 1, bytes);
    if (t->h->lane[b].ns < t->h->lane[a].ns) t->h->lane[b] = t->h->lane[a];
    spend_ns(t, b, ns);
    if (a != b) spend_ns(t, a, ns);
}

static void message(const host_step *t) {
    const omni_value *slices = &t->h->plan->value[t->s->kind == OMNI_STEP_SCATTER ? t->s->out : t->s->in[0]];
    int value = t->s->kind == OMNI_STEP_SCATTER ? t->s->out : t->s->in[0];
    bool collects = t->s->kind == OMNI_STEP_COLLECT;
    switch (t->s->kind) {
    case OMNI_STEP_BROADCAST:
        broadcast(t, t->s->root, payload(t, value, NULL));
        return;
    case OMNI_STEP_REDUCE:
    case OMNI_STEP_GATHER:
        meet(t);
        all_spend(t, omni_rates_message_ns(
                         t->h->r, t->s->kind == OMNI_STEP_REDUCE ? OMNI_RATES_REDUCTION : OMNI_RATES_GATHER,
                         t->by.count, most_carried(t), payload(t, value, NULL)));
        return;
    case OMNI_STEP_ALL_GATHER:
        for (size_t i = 0; i < t->piece.count; i++) broadcast(t, i, payload(t, value, &i));
        return;
    case OMNI_STEP_SCATTER:
    case OMNI_STEP_COLLECT:
        for (size_t i = 1; i < t->piece.count; i++)
            address(t, collects ? i : t->s->root, collects ? t->s->root : i,
                    payload(t, value, slices->compact ? &i : NULL));
        return;
    case OMNI_STEP_HOST_IN:
        all_spend(t,
                  omni_rates_message_ns(t->h->r, OMNI_RATES_BROADCAST, t->by.count,
                                        most_carried(t) + (t->by.count == 1), payload(t, t->s->out, NULL)));
        return;
    default: /* the result: part of what a pass takes */
        return;
    }
}

/* --- the walk --------------------------------------------------------------------------------- */

static omni_price_kind kind_of(const omni_step *s) {
    if (s->kind == OMNI_STEP_HOST_IN || s->kind == OMNI_STEP_HOST_OUT) return OMNI_PRICE_HOST;
    if (s->kind == OMNI_STEP_REDUCE || s->kind == OMNI_STEP_GATHER) return OMNI_PRICE_TREE;
    return omni_step_is_message(s) ? OMNI_PRICE_BUS : OMNI_PRICE_COMPUTE;
}

static host_step step_at(host_walk *h, const omni_step *s, const omni_part *part, omni_range piece) {
    omni_price_kind kind = kind_of(s);
    return (host_step){h, s, part, piece, carriers(h, piece), kind, row_of(h->out, s, kind)};
}

/* The part that a group has in a stage in this wave. */
static bool part_of(const host_walk *h, const omni_extent *pass, size_t group, size_t stage, size_t wave,
                    omni_part *out) {
    omni_parts it = omni_parts_begin(h->plan, *pass, group);
    if (wave < stage) return false;
    for (size_t m = 0; m <= wave - stage; m++)
        if (!omni_parts_next(&it, out)) return false;
    return true;
}

static void walk_step(host_walk *h, const omni_step *s, const omni_part *part, size_t group) {
    omni_range ranks = omni_mesh_ranks(&h->plan->mesh, group, s->stage);
    if (!omni_step_is_message(s)) {
        host_step t = step_at(h, s, part, ranks);
        compute(&t);
        return;
    }
    for (size_t k = 0; k < omni_mesh_pieces_in(&h->plan->mesh, s->cut); k++) {
        host_step t = step_at(h, s, part, omni_mesh_piece(&h->plan->mesh, s->cut, group, s->stage, k));
        if (t.piece.count > 1 || s->kind == OMNI_STEP_HOST_IN) message(&t);
    }
}

/* Everybody writes the keys and values of a group's tokens into the caches of all its PEs. */
static void keep_everywhere(host_walk *h, const omni_step *s, const omni_part *part) {
    const omni_value *v = &h->plan->value[s->in[0]];
    double features = (double)(v->part[1].width + v->part[2].width);
    double bytes = 2 * sizeof(float) * features * (double)part->extent.tokens;
    host_step t = step_at(h, s, part, (omni_range){0, h->plan->mesh.used});
    t.row = row_of(h->out, s, OMNI_PRICE_COMPUTE);
    for (size_t w = t.by.start; w < t.by.start + t.by.count; w++) {
        double ns = (double)carried(&t, w).count * omni_rates_op_ns(h->r, OMNI_RATES_APPEND, bytes);
        h->computing += ns;
        h->out->memory_bytes += (uint64_t)(bytes * (double)carried(&t, w).count);
        spend_ns(&t, w, ns);
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
        if (!part_of(h, pass, g, 0, wave, &part)) continue;
        if (by.count == 0) by.start = w;
        by.count = w + 1 - by.start;
    }
    return by;
}

/* Weights of a rank, through the ring: the owner copies them out of its memory, the others into theirs; or nobody else
 * wants them, and he goes on alone. */
static void stream(const host_step *t, omni_range by, size_t rank) {
    const omni_plan *plan = t->h->plan;
    size_t owner = omni_split_owner(plan->mesh.pes, t->h->workers, rank);
    double bytes = (double)omni_weight_dealt_bytes(&plan->mesh, &plan->weight[t->s->weight], rank);
    double cold = cold_ns(t->h, plan->weight[t->s->weight].dtype, bytes);
    if (t->by.count == 1 || bytes <= 0) return;
    if (by.count <= 1 && by.start == owner) {
        spend_ns(t, owner, cold + omni_rates_op_ns(t->h->r, OMNI_RATES_COPY, 2 * bytes));
        return;
    }
    wait_for(t, owner);
    all_spend(t, cold + omni_rates_message_ns(t->h->r, OMNI_RATES_ADDRESSED, t->by.count, 1, bytes));
}

/* A group's product with streamed weights, on its PE. What came over the bus, or what another PE of the worker has just
 * read, is in a cache: a piece of it, pe/stream.c. */
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
    t.row = row_of(h->out, all->s, OMNI_PRICE_COMPUTE);
    h->computing += ns;
    spend_ns(&t, omni_split_owner(h->plan->mesh.pes, h->workers, pe), ns);
}

/* Weights of all ranks in turn, keys and values of all groups: each is sent to everybody. */
static void walk_joined(host_walk *h, const omni_step *s, const omni_extent *pass, size_t wave) {
    omni_part part = {.extent = *pass};
    host_step all = step_at(h, s, &part, (omni_range){0, h->plan->mesh.used});
    bool streams = s->kind == OMNI_STEP_STREAM, first = true;
    omni_range by = streams ? takers(h, pass, wave) : (omni_range){0, 0};
    for (size_t r = 0; streams && r < h->plan->mesh.used; r++) stream(&all, by, r);
    for (size_t g = 0; g < h->plan->mesh.groups; g++) {
        if (!part_of(h, pass, g, s->stage, wave, &part)) continue;
        host_step t = all;
        t.piece = omni_mesh_ranks(&h->plan->mesh, g, s->stage);
        if (streams) {
            stream_product(&all, &part, t.piece.start, first);
            first = false;
            continue;
        }
        broadcast(&all, t.piece.start, payload(&t, s->in[0], NULL));
        keep_everywhere(h, s, &part);
    }
}

static void walk_block(host_walk *h, const omni_extent *pass, size_t stage, size_t wave) {
    omni_order order = omni_order_begin(h->plan, h->plan->block[stage]);
    for (const omni_step *s; (s = omni_order_next(&order));) {
        if (s->cut == OMNI_CUT_ALL) {
            walk_joined(h, s, pass, wave);
            continue;
        }
        for (size_t g = 0; g < h->plan->mesh.groups; g++) {
            omni_part part;
            if (part_of(h, pass, g, stage, wave, &part)) walk_step(h, s, &part, g);
        }
    }
}

static void walk_hand_offs(host_walk *h, const omni_extent *pass, size_t stage, size_t wave) {
    const omni_plan *plan = h->plan;
    const omni_step *s = &plan->step[plan->step_count - (plan->mesh.stages - 1) + stage];
    for (size_t g = 0; g < plan->mesh.groups; g++) {
        omni_part part;
        omni_range from = omni_mesh_ranks(&plan->mesh, g, stage),
                   to = omni_mesh_ranks(&plan->mesh, g, stage + 1);
        if (!part_of(h, pass, g, stage, wave, &part)) continue;
        host_step t = step_at(h, s, &part, (omni_range){from.start, from.count + to.count});
        address(&t, s->root, from.count, payload(&t, s->in[0], NULL));
    }
}

/* Workers that carry some block of this wave. */
static size_t workers_at_once(const host_walk *h, const omni_extent *pass, size_t wave) {
    const omni_mesh *mesh = &h->plan->mesh;
    size_t sum = 0;
    omni_part part;
    for (size_t s = 0; s < mesh->stages; s++)
        for (size_t g = 0; g < mesh->groups; g++)
            if (part_of(h, pass, g, s, wave, &part)) sum += carriers(h, omni_mesh_ranks(mesh, g, s)).count;
    return sum < h->workers ? sum : h->workers; /* blocks may share workers */
}

/* --- the price -------------------------------------------------------------------------------- */

static uint64_t to_ps(double ns) {
    return ns * 1e3 < 1.8e19 ? (uint64_t)(ns * 1e3 + 0.5) : UINT64_MAX;
}

/* What the last worker's time went to. */
static void sum_up(host_walk *h) {
    omni_price *out = h->out;
    const lane *last = &h->lane[0];
    for (size_t w = 1; w < h->workers; w++) last = h->lane[w].ns > last->ns ? &h->lane[w] : last;
    for (size_t i = 0; i < out->rows; i++) {
        out->row[i].ps = to_ps(last->spent[i]);
        out->kind[out->row[i].kind] += out->row[i].ps;
        out->ps += out->row[i].ps;
    }
    for (size_t i = 1; i < out->rows; i++) /* largest first: few rows */
        for (size_t k = i; k && out->row[k].ps > out->row[k - 1].ps; k--) {
            omni_price_row swap = out->row[k];
            out->row[k] = out->row[k - 1];
            out->row[k - 1] = swap;
        }
    while (out->rows && out->row[out->rows - 1].ps == 0) out->rows--;
    double all = (double)out->ps * 1e-3 * (double)h->workers;
    out->computing_ppm = all > 0 ? (uint64_t)fmin(1e6, 1e6 * h->computing / all) : 0;
}

static double weights_of(const omni_plan *plan) {
    double bytes = 0;
    for (size_t i = 0; i < plan->weight_count; i++) {
        const omni_weight *w = &plan->weight[i];
        if (w->op->kind == OMNI_OP_PROJECTION)
            bytes += (double)omni_value_width(&w->out, 1, 0) * (double)w->in.part[0].width *
                     (double)weight_bytes(plan) * (double)(w->panel ? 1 : plan->mesh.groups);
    }
    return bytes;
}

omni_status omni_price_rates(const omni_rates *r, const omni_plan *plan, omni_extent pass, omni_price *out,
                             omni_error *err) {
    size_t cores = (size_t)r->cores, waves = 0;
    host_walk h = {.r = r, .plan = plan, .out = out, .decode = pass.tokens == pass.sequences};
    *out = (omni_price){.busy_ppm = OMNI_PRICE_UNKNOWN};
    h.workers = plan->mesh.pes < cores ? plan->mesh.pes : cores;
    h.set = weights_of(plan) / (double)h.workers;
    h.lane = omni_alloc_array(h.workers, sizeof *h.lane);
    if (!h.lane) return omni_error_set(err, OMNI_RUN_FAILED, "no memory to price plan '%s'", plan->spec.name);
    for (size_t g = 0; g < plan->mesh.groups; g++) {
        omni_parts it = omni_parts_begin(plan, pass, g);
        size_t parts = 0;
        for (omni_part part; omni_parts_next(&it, &part);) parts++;
        waves = parts > waves ? parts : waves;
    }
    host_step start = step_at(&h, &plan->step[0], NULL, (omni_range){0, plan->mesh.pes});
    all_spend(&start, omni_rates_pass_ns(r, h.workers));
    for (size_t wave = 0; waves && wave < waves + plan->mesh.stages - 1; wave++) {
        h.at_once = workers_at_once(&h, &pass, wave);
        for (size_t s = 0; s < plan->mesh.stages; s++) walk_block(&h, &pass, s, wave);
        for (size_t s = 0; s + 1 < plan->mesh.stages; s++) walk_hand_offs(&h, &pass, s, wave);
    }
    sum_up(&h);
    omni_plan_count(plan, pass, &out->moved);
    out->grants = out->moved.broadcasts + out->moved.addressed_messages;
    omni_free(h.lane);
    return OMNI_OK;
}
