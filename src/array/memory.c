/* memory.c: the most that a PE must hold. The first parts of every split are the largest, so index 0 of a
 * stage stands for all, but for keys and values by tokens, which go round; and of the groups, those at which
 * the sizes change.
 */
#include "array/array.h"

/* A stage of a group, and what it is asked to hold. */
typedef struct holder {
    const omni_plan *plan;
    omni_extent pass;
    size_t more;
    size_t group, stage, p;
    size_t *rows, *width; /* [storage_count] scratch */
    int64_t *change;      /* [widest + 1] scratch */
} holder;

static uint64_t matrix_bytes(const holder *h, const omni_weight *w) {
    uint64_t out = omni_value_width(&w->out, h->p, 0),
             bias = w->op->matrix[0].bias.name[0] ? out * sizeof(float) : 0;
    if (w->panel) return sat_add(omni_weight_dealt_bytes(&h->plan->mesh, w, h->group), bias);
    uint64_t in = w->split_in ? omni_value_owned(&w->in, 0, h->p, 0).count : w->in.part[0].width;
    return sat_add(sat_mul(sat_mul(in, out), weight_bytes(h->plan)), bias);
}

/* With two buffers for what others broadcast. */
static uint64_t weights_of(const holder *h) {
    uint64_t sum = 0, largest = 0;
    for (size_t i = 0; i < h->plan->weight_count; i++) {
        const omni_weight *w = &h->plan->weight[i];
        if (w->stage != h->stage) continue;
        if (w->op->kind == OMNI_OP_NORM) {
            sum += omni_value_width(&w->out, h->p, 0) * sizeof(float) * (w->op->norm_bias.name[0] ? 2 : 1);
            continue;
        }
        sum = sat_add(sum, matrix_bytes(h, w));
        uint64_t message = w->panel ? omni_weight_dealt_bytes(&h->plan->mesh, w, 0) : 0;
        largest = message > largest ? message : largest;
    }
    return sat_add(sum, 2 * largest);
}

static size_t length_of(const holder *h, size_t q) {
    return h->pass.first[q] + h->pass.counts[q] + h->more;
}

/* Positions of the group's sequences that one rank keeps: all, or the most of any when they go round the
 * ranks. */
static uint64_t most_kept(const holder *h, omni_kv kv) {
    omni_range own = omni_group_sequences(&h->plan->mesh, h->pass.sequences, h->group);
    uint64_t each = 0, most = 0;
    int64_t extra = 0;
    memset(h->change, 0, (h->p + 1) * sizeof *h->change);
    for (size_t q = own.start; q < own.start + own.count; q++) {
        size_t length = length_of(h, q), rest = length % h->p, from = q % h->p;
        if (kv != OMNI_KV_TOKENS) {
            most += length;
            continue;
        }
        each += length / h->p; /* and one more on ranks [q, q + rest), going round */
        h->change[from]++;
        h->change[from + rest < h->p ? from + rest : from + rest - h->p]--;
        extra += from + rest >= h->p;
    }
    for (size_t i = 0; kv == OMNI_KV_TOKENS && i < h->p; i++) {
        extra += h->change[i];
        if (each + (uint64_t)extra > most) most = each + (uint64_t)extra;
    }
    return most;
}

static uint64_t kv_of(const holder *h) {
    omni_range layers = omni_split(h->plan->model->shape.layers, h->plan->mesh.stages, h->stage);
    uint64_t kept[OMNI_KV_SUBHEADS + 1], sum = 0;
    bool known[OMNI_KV_SUBHEADS + 1] = {false};
    for (size_t l = layers.start; l < layers.start + layers.count; l++) {
        omni_kv kv = h->plan->kv[l];
        if (!known[kv]) kept[kv] = most_kept(h, kv);
        known[kv] = true;
        uint64_t width = omni_kv_features(kv, &h->plan->model->shape, h->p, 0).count;
        sum = sat_add(sum, sat_mul(kept[kv], 2 * sizeof(float) * width));
    }
    return sum;
}

static void note_value(const holder *h, int v, omni_extent most) {
    if (v == OMNI_NO_VALUE) return;
    const omni_value *value = &h->plan->value[v];
    size_t width = omni_value_width(value, h->p, 0);
    h->rows[value->storage] = omni_rows_most(value->rows, most, h->p);
    if (width > h->width[value->storage]) h->width[value->storage] = width;
}

/* Values that take turns in a buffer need it as large as the largest. */
static uint64_t activations_of(const holder *h) {
    const omni_plan *plan = h->plan;
    omni_extent most = h->pass;
    uint64_t sum = 0;
    for (size_t q = 0; q < h->pass.sequences; q++)
        if (length_of(h, q) > most.longest) most.longest = length_of(h, q);
    most = omni_part_most(plan, most, h->group);
    memset(h->width, 0, plan->storage_count * sizeof *h->width);
    for (size_t i = 0; i < plan->step_count; i++) {
        const omni_step *s = &plan->step[i];
        bool enters = s->kind == OMNI_STEP_HAND_OFF && s->stage + 1 == h->stage, here = s->stage == h->stage;
        for (size_t k = 0; here && k < OMNI_STEP_INPUTS; k++) note_value(h, s->in[k], most);
        if (enters || (here && s->kind != OMNI_STEP_HAND_OFF)) note_value(h, s->out, most);
    }
    for (size_t i = 0; i < plan->storage_count; i++)
        if (h->width[i]) sum = sat_add(sum, sat_mul(h->rows[i], sat_mul(h->width[i], sizeof(float))));
    return sum;
}

static omni_need need_of(const holder *h) {
    omni_need n = {weights_of(h), kv_of(h), activations_of(h), 0};
    n.all_bytes = sat_add(n.weight_bytes, sat_add(n.kv_bytes, n.activation_bytes));
    return n;
}

omni_status omni_price_memory(const omni_plan *plan, omni_extent pass, size_t more, omni_need *out,
                              omni_error *err) {
    const omni_mesh *mesh = &plan->mesh;
    holder h = {.plan = plan, .pass = pass, .more = more};
    const size_t groups[] = {0, mesh->used % mesh->groups, pass.sequences % mesh->groups};
    h.rows = omni_alloc_array(plan->storage_count + 1, sizeof *h.rows);
    h.width = omni_alloc_array(plan->storage_count + 1, sizeof *h.width);
    h.change = omni_alloc_array(omni_plan_widest(plan) + 1, sizeof *h.change);
    bool ok = h.rows && h.width && h.change;
    *out = (omni_need){0};
    for (size_t i = 0; ok && i < sizeof groups / sizeof *groups; i++) {
        if (i && groups[i] == 0) continue;
        h.group = groups[i];
        for (h.stage = 0; h.stage < mesh->stages; h.stage++) {
            h.p = omni_mesh_ranks(mesh, h.group, h.stage).count;
            omni_need n = need_of(&h);
            if (n.all_bytes > out->all_bytes) *out = n;
        }
    }
    omni_free(h.rows);
    omni_free(h.width);
    omni_free(h.change);
    return ok ? OMNI_OK
              : omni_error_set(err, OMNI_RUN_FAILED, "no memory to price plan '%s'", plan->spec.name);
}
