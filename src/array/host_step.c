/* host_step.c: a step of one block on the workers' clocks (host.c): who spends how long in it, and who waits
 * for whom. */
#include "array/host.h"

/* --- clocks ----------------------------------------------------------------------------------- */

omni_range host_carriers(const host_walk *h, omni_range ranks) {
    size_t pes = h->plan->mesh.pes, first = omni_split_owner(pes, h->workers, ranks.start);
    return (omni_range){first, omni_split_owner(pes, h->workers, ranks.start + ranks.count - 1) + 1 - first};
}

omni_range host_carried(const host_step *t, size_t worker) {
    return omni_range_meet(omni_split(t->h->plan->mesh.pes, t->h->workers, worker), t->piece);
}

static size_t most_carried(const host_step *t) {
    size_t most = 0;
    for (size_t w = t->by.start; w < t->by.start + t->by.count; w++) {
        size_t n = host_carried(t, w).count;
        most = n > most ? n : most;
    }
    return most;
}

size_t host_row(omni_price *out, const omni_step *s, omni_price_kind kind) {
    const char *op = s->op ? s->op->name : s->kind == OMNI_STEP_HAND_OFF ? "hand-off" : "input";
    for (size_t i = 0; i < out->rows; i++)
        if (out->row[i].kind == kind && strcmp(out->row[i].op, op) == 0) return i;
    if (out->rows == OMNI_PRICE_ROWS) return OMNI_PRICE_ROWS - 1;
    out->row[out->rows] = (omni_price_row){.op = op, .kind = kind};
    return out->rows++;
}

void host_spend(const host_step *t, size_t worker, double ns) {
    t->h->lane[worker].ns += ns;
    t->h->lane[worker].spent[t->row] += ns;
}

/* Nobody of the piece's workers goes on before this one is there. */
void host_wait_for(const host_step *t, size_t worker) {
    const lane from = t->h->lane[worker];
    for (size_t w = t->by.start; w < t->by.start + t->by.count; w++)
        if (t->h->lane[w].ns < from.ns) t->h->lane[w] = from;
}

static void meet(const host_step *t) {
    size_t last = t->by.start;
    for (size_t w = last + 1; w < t->by.start + t->by.count; w++)
        if (t->h->lane[w].ns > t->h->lane[last].ns) last = w;
    host_wait_for(t, last);
}

void host_all_spend(const host_step *t, double ns) {
    for (size_t w = t->by.start; w < t->by.start + t->by.count; w++) host_spend(t, w, ns);
}

static omni_price_kind kind_of(const omni_step *s) {
    if (s->kind == OMNI_STEP_HOST_IN || s->kind == OMNI_STEP_HOST_OUT) return OMNI_PRICE_HOST;
    if (s->kind == OMNI_STEP_REDUCE || s->kind == OMNI_STEP_GATHER) return OMNI_PRICE_TREE;
    return omni_step_is_message(s) ? OMNI_PRICE_BUS : OMNI_PRICE_COMPUTE;
}

host_step host_step_at(host_walk *h, const omni_step *s, const omni_part *part, omni_range piece) {
    omni_price_kind kind = kind_of(s);
    return (host_step){h, s, part, piece, host_carriers(h, piece), kind, host_row(h->out, s, kind)};
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

void host_compute(const host_step *t) {
    size_t busy = lent(t), p = t->piece.count;
    bool shared = busy < p;
    if (shared) meet(t);
    for (size_t i = 0; i < p; i++) {
        size_t w = shared && i < busy
                       ? t->by.start + omni_split_owner(busy, t->by.count, i)
                       : omni_split_owner(t->h->plan->mesh.pes, t->h->workers, t->piece.start + i);
        if (!t->s->root_only || i == 0) host_spend(t, w, compute_ns(t, i));
    }
    if (!shared) return;
    meet(t);
    host_all_spend(t, 2 * omni_rates_barrier_ns(t->h->r, t->by.count));
}

/* --- messages --------------------------------------------------------------------------------- */

double host_payload(const host_step *t, int value, const size_t *index) {
    const omni_value *v = &t->h->plan->value[value];
    if (!index) return (double)wire_bytes(t->h->plan, t->s, v, &t->part->extent, t->piece.count);
    return (double)wire_row_bytes(t->h->plan, t->s, v, t->piece.count, index) *
           (double)omni_step_rows(t->s, v->rows, t->part->extent, t->piece.count, *index).count;
}

void host_broadcast(const host_step *t, size_t root, double bytes) {
    host_wait_for(t, omni_split_owner(t->h->plan->mesh.pes, t->h->workers, t->piece.start + root));
    host_all_spend(t,
                   omni_rates_message_ns(t->h->r, OMNI_RATES_BROADCAST, t->by.count, most_carried(t), bytes));
}

/* From one rank to another; the others let it pass. */
void host_address(const host_step *t, size_t from, size_t to, double bytes) {
    size_t a = omni_split_owner(t->h->plan->mesh.pes, t->h->workers, t->piece.start + from);
    size_t b = omni_split_owner(t->h->plan->mesh.pes, t->h->workers, t->piece.start + to);
    double ns =
        omni_rates_message_ns(t->h->r, OMNI_RATES_ADDRESSED, a == b ? 1 : t->by.count, a == b ? 2 : 1, bytes);
    if (t->h->lane[b].ns < t->h->lane[a].ns) t->h->lane[b] = t->h->lane[a];
    host_spend(t, b, ns);
    if (a != b) host_spend(t, a, ns);
}

void host_message(const host_step *t) {
    const omni_value *slices = &t->h->plan->value[t->s->kind == OMNI_STEP_SCATTER ? t->s->out : t->s->in[0]];
    int value = t->s->kind == OMNI_STEP_SCATTER ? t->s->out : t->s->in[0];
    bool collects = t->s->kind == OMNI_STEP_COLLECT;
    switch (t->s->kind) {
    case OMNI_STEP_BROADCAST:
        host_broadcast(t, t->s->root, host_payload(t, value, NULL));
        return;
    case OMNI_STEP_REDUCE:
    case OMNI_STEP_GATHER:
        meet(t);
        host_all_spend(t, omni_rates_message_ns(t->h->r,
                                                t->s->kind == OMNI_STEP_REDUCE ? OMNI_RATES_REDUCTION
                                                                               : OMNI_RATES_GATHER,
                                                t->by.count, most_carried(t), host_payload(t, value, NULL)));
        return;
    case OMNI_STEP_ALL_GATHER:
        for (size_t i = 0; i < t->piece.count; i++) host_broadcast(t, i, host_payload(t, value, &i));
        return;
    case OMNI_STEP_SCATTER:
    case OMNI_STEP_COLLECT:
        for (size_t i = 1; i < t->piece.count; i++)
            host_address(t, collects ? i : t->s->root, collects ? t->s->root : i,
                         host_payload(t, value, slices->compact ? &i : NULL));
        return;
    case OMNI_STEP_HOST_IN:
        host_all_spend(t, omni_rates_message_ns(t->h->r, OMNI_RATES_BROADCAST, t->by.count,
                                                most_carried(t) + (t->by.count == 1),
                                                host_payload(t, t->s->out, NULL)));
        return;
    default: /* the result: part of what a pass takes */
        return;
    }
}
