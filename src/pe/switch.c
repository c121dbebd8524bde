/* switch.c: the engine changes its plan between two passes: every worker carries its PEs' state over, from
 * the arena of one form to that of the other.
 *
 *   map the new arenas, unless they were kept (resident: with their weights)
 *   copy what a PE has and still needs
 *   the messages of omni_switch_next, in their order, on one bus over all ranks
 *   drop the old arenas
 *
 * A message goes through a staging buffer of the worker: packed panels and cache slots are no runs of bytes.
 * Weights travel in their stored type.
 */
#include <string.h>

#include "pe/pe.h"

typedef struct mover {
    worker *w;
    const omni_engine *e;
    const pe_form *from, *to;
    omni_switch it;
} mover;

static const omni_plan *plan_of(const pe_form *f) {
    return f->o.plan;
}

/* --- weights ---------------------------------------------------------------------------------- */

static float *vector_of(const pe_weight *w, omni_piece_kind kind) {
    if (kind == OMNI_PIECE_BIAS) return w->bias;
    return kind == OMNI_PIECE_NORM_WEIGHT ? w->norm_weight : w->norm_bias;
}

static size_t element_bytes(const mover *m, size_t weight, omni_piece_kind kind) {
    const omni_tensor *t[OMNI_MAX_PARTS];
    if (kind != OMNI_PIECE_MATRIX) return sizeof(float);
    return omni_dtype_bytes(pe_bind_matrices(&m->from->o, &plan_of(m->from)->weight[weight], t));
}

/* Where output `out` of matrix j lies among the packed outputs of a rank that holds `region`. */
static size_t packed_row(const omni_region *region, size_t j, size_t out) {
    size_t row = out - region->out[j].start;
    for (size_t k = 0; k < j; k++) row += region->out[k].count;
    return row;
}

/* Outputs [out, out + n) of matrix j, the inputs of `part`, row after row to or from buf. */
static void get_rows(const pe *x, size_t weight, omni_piece_kind kind, const omni_region *held,
                     const omni_region *part, size_t j, omni_range outs, void *buf) {
    const pe_weight *w = &x->weight[weight];
    size_t row = packed_row(held, j, outs.start);
    if (kind == OMNI_PIECE_MATRIX)
        omni_packed_get(w->matrix, row, outs.count, part->in.start - held->in.start, part->in.count, buf);
    else
        memcpy(buf, vector_of(w, kind) + row, outs.count * sizeof(float));
}

/* buf has rows of all the inputs of `sent`; the rank takes those of `part`. */
static void put_rows(const pe *x, size_t weight, omni_piece_kind kind, const omni_region *held,
                     const omni_region *sent, const omni_region *part, size_t j, omni_range outs,
                     const char *buf, size_t bytes) {
    const pe_weight *w = &x->weight[weight];
    size_t row = packed_row(held, j, outs.start);
    if (kind == OMNI_PIECE_MATRIX)
        omni_packed_put(w->matrix, row, outs.count, part->in.start - held->in.start, part->in.count,
                        buf + (part->in.start - sent->in.start) * bytes, sent->in.count, 1);
    else
        memcpy(vector_of(w, kind) + row, buf, outs.count * sizeof(float));
}

/* Outputs of matrix j among rows [row, row + rows) of a region. */
static omni_range rows_of_part(const omni_region *r, size_t j, size_t row, size_t rows) {
    size_t before = 0;
    for (size_t k = 0; k < j; k++) before += r->out[k].count;
    size_t lo = row > before ? row - before : 0, end = row + rows > before ? row + rows - before : 0;
    if (end > r->out[j].count) end = r->out[j].count;
    return (omni_range){r->out[j].start + lo, end > lo ? end - lo : 0};
}

static size_t write_weights(const mover *m, const omni_switch_message *msg, char *buf) {
    const pe *x = &m->from->pe[msg->owner];
    omni_region held = omni_weight_region(plan_of(m->from), msg->weight, msg->kind, msg->owner);
    size_t bytes = element_bytes(m, msg->weight, msg->kind), used = 0;
    for (size_t j = 0; j < OMNI_MAX_PARTS; j++) {
        omni_range outs = rows_of_part(&msg->region, j, msg->row, msg->rows);
        if (outs.count == 0) continue;
        get_rows(x, msg->weight, msg->kind, &held, &msg->region, j, outs, buf + used);
        used += outs.count * msg->region.in.count * bytes;
    }
    return used;
}

/* One row from where it is in the first plan's order to where the second has it. */
static void read_reordered(const mover *m, const pe *x, size_t weight, omni_piece_kind kind,
                           const omni_region *sent, size_t j, omni_range outs, const char *buf) {
    const omni_value *a = &plan_of(m->from)->weight[weight].out, *b = &plan_of(m->to)->weight[weight].out;
    omni_region held = omni_weight_region(plan_of(m->to), weight, kind, x->rank), all = *sent;
    size_t bytes = element_bytes(m, weight, kind);
    for (size_t k = 0; k < OMNI_MAX_PARTS; k++) all.out[k] = held.out[k];
    omni_region part = omni_region_meet(&held, &all);
    for (size_t i = 0; i < outs.count; i++) {
        size_t out = omni_reorder(outs.start + i, a->part[j].paired, b->part[j].paired);
        bool mine = out >= held.out[j].start && out < held.out[j].start + held.out[j].count;
        if (mine && part.in.count)
            put_rows(x, weight, kind, &held, sent, &part, j, (omni_range){out, 1},
                     buf + i * sent->in.count * bytes, bytes);
    }
}

static bool reordered(const mover *m, size_t weight, size_t j) {
    return plan_of(m->from)->weight[weight].out.part[j].paired !=
           plan_of(m->to)->weight[weight].out.part[j].paired;
}

/* What rank x needs of rows [row, row + rows) of `sent`, which lie in buf. */
static void read_weights(const mover *m, const pe *x, size_t weight, omni_piece_kind kind,
                         const omni_region *sent, size_t row, size_t rows, const char *buf) {
    omni_region held = omni_weight_region(plan_of(m->to), weight, kind, x->rank);
    omni_region part = omni_region_meet(&held, sent);
    size_t bytes = element_bytes(m, weight, kind), used = 0;
    for (size_t j = 0; j < OMNI_MAX_PARTS; j++) {
        omni_range outs = rows_of_part(sent, j, row, rows);
        size_t line = sent->in.count * bytes, end = outs.start + outs.count;
        size_t lo = part.out[j].start > outs.start ? part.out[j].start : outs.start;
        size_t part_end = part.out[j].start + part.out[j].count, hi = part_end < end ? part_end : end;
        if (reordered(m, weight, j))
            read_reordered(m, x, weight, kind, sent, j, outs, buf + used);
        else if (part.out[j].count && hi > lo)
            put_rows(x, weight, kind, &held, sent, &part, j, (omni_range){lo, hi - lo},
                     buf + used + (lo - outs.start) * line, bytes);
        used += outs.count * line;
    }
}

/* --- keys and values -------------------------------------------------------------------------- */

static omni_kv_region kv_region(const mover *m, const pe_form *f, size_t layer, size_t sequence,
                                size_t rank) {
    return omni_plan_kv(plan_of(f), layer, sequence, m->it.sequences, m->it.length[sequence], rank);
}

/* Head by head its keys, then its values, in the order of the positions kept. */
static size_t write_kv(const mover *m, const omni_switch_message *msg, char *buf) {
    size_t hd = msg->keys.dims.count, used = 0;
    const pe *x = &m->from->pe[msg->owner];
    omni_kv_region held = kv_region(m, m->from, msg->layer, msg->sequence, msg->owner);
    const pe_kv *kv = pe_kv_of(x, msg->layer, msg->sequence);
    for (size_t h = 0; h < msg->keys.heads.count; h++) {
        size_t at = (msg->keys.heads.start + h - held.heads.start) * kv->capacity * hd;
        size_t bytes = msg->keys.tokens * hd * sizeof(float);
        memcpy(buf + used, kv->k + at, bytes);
        memcpy(buf + used + bytes, kv->v + at, bytes);
        used += 2 * bytes;
    }
    return used;
}

/* One position of one head: the dims that `to` keeps; keys may stand in another order there. */
static void keep_dims(float *slot, const omni_kv_region *to, const omni_kv_region *sent, const float *row,
                      bool keys) {
    for (size_t d = 0; d < sent->dims.count; d++) {
        size_t dim = sent->dims.start + d;
        if (keys) dim = omni_reorder(dim, sent->paired, to->paired);
        if (dim >= to->dims.start && dim < to->dims.start + to->dims.count)
            slot[dim - to->dims.start] = row[d];
    }
}

/* One head's keys or values: the positions that `to` keeps, out of those that buf has. */
static void keep_positions(float *cache, const omni_kv_region *to, const omni_kv_region *sent,
                           const float *buf, bool keys) {
    for (size_t i = 0; i < sent->tokens; i++) {
        size_t position = sent->first + i * sent->stride;
        if (position < to->first || (position - to->first) % to->stride) continue;
        keep_dims(cache + (position - to->first) / to->stride * to->dims.count, to, sent,
                  buf + i * sent->dims.count, keys);
    }
}

static void read_kv(const mover *m, const pe *x, size_t layer, size_t sequence, const omni_kv_region *sent,
                    const char *buf) {
    omni_kv_region to = kv_region(m, m->to, layer, sequence, x->rank);
    if (to.tokens == 0) return;
    const pe_kv *kv = pe_kv_of(x, layer, sequence);
    const float *from = (const float *)(const void *)buf;
    size_t block = sent->tokens * sent->dims.count;
    for (size_t h = 0; h < sent->heads.count; h++, from += 2 * block) {
        size_t head = sent->heads.start + h;
        if (head < to.heads.start || head >= to.heads.start + to.heads.count) continue;
        size_t at = (head - to.heads.start) * kv->capacity * to.dims.count;
        keep_positions(kv->k + at, &to, sent, from, true);
        keep_positions(kv->v + at, &to, sent, from + block, false);
    }
}

/* --- messages --------------------------------------------------------------------------------- */

static size_t message_bytes(const mover *m, const omni_switch_message *msg) {
    if (msg->kv) return 2 * msg->keys.heads.count * msg->keys.tokens * msg->keys.dims.count * sizeof(float);
    return msg->rows * msg->region.in.count * element_bytes(m, msg->weight, msg->kind);
}

/* A worker receives once, for all its ranks that take it. */
static bool exchange(const mover *m, const omni_switch_message *msg, size_t bytes) {
    worker *w = m->w;
    omni_view src = omni_view_flat(w->staging, bytes),
              dst = omni_view_flat(w->staging + w->staging_bytes, bytes);
    if (omni_range_has(w->ranks, msg->owner)) (msg->kv ? write_kv : write_weights)(m, msg, w->staging);
    if (msg->readers == 1)
        return omni_fabric_send(m->e->between, w->index, 0, msg->owner, msg->reader, OMNI_ADDRESSED_OTHER,
                                &src, &dst, bytes);
    for (size_t k = 0; k < w->ranks.count; k++) w->views[k] = omni_view_flat(k ? NULL : dst.base, bytes);
    return omni_fabric_broadcast(m->e->between, w->index, 0, msg->owner, &src, w->views);
}

static bool run_message(const mover *m, const omni_switch_message *msg) {
    worker *w = m->w;
    if (msg->readers == 0) return omni_stop_get(m->e->o.stop) == OMNI_OK;
    uint64_t begin = trace_clock(w);
    if (!exchange(m, msg, message_bytes(m, msg))) return false;
    if (begin) trace_move(w, msg, message_bytes(m, msg), begin);
    for (size_t r = w->ranks.start; r < w->ranks.start + w->ranks.count; r++) {
        if (!omni_switch_takes(&m->it, msg, r)) continue;
        const pe *x = &m->to->pe[r];
        const char *buf = w->staging + w->staging_bytes;
        if (msg->kv)
            read_kv(m, x, msg->layer, msg->sequence, &msg->keys, buf);
        else
            read_weights(m, x, msg->weight, msg->kind, &msg->region, msg->row, msg->rows, buf);
    }
    return true;
}

/* --- what a rank has already ------------------------------------------------------------------ */

/* A large model's take seconds: the stop word is seen between two of them. */
static void keep_weights(const mover *m, size_t rank) {
    size_t count = plan_of(m->from)->weight_count;
    for (size_t i = 0; i < count && omni_stop_get(m->e->o.stop) == OMNI_OK; i++) {
        for (size_t kind = 0; kind < OMNI_PIECE_KINDS; kind++) {
            omni_switch_message own = {.weight = i, .kind = (omni_piece_kind)kind, .owner = rank};
            own.region = omni_weight_region(plan_of(m->from), i, own.kind, rank);
            size_t rows = omni_region_rows(&own.region);
            for (; own.row < rows; own.row += own.rows) {
                own.rows = rows - own.row < OMNI_SWITCH_ROWS ? rows - own.row : OMNI_SWITCH_ROWS;
                write_weights(m, &own, m->w->staging);
                read_weights(m, &m->to->pe[rank], i, own.kind, &own.region, own.row, own.rows, m->w->staging);
            }
        }
    }
}

static void keep_kv(const mover *m, size_t rank) {
    for (size_t l = 0; l < m->e->o.model->shape.layers; l++) {
        for (size_t s = 0; s < m->it.sequences; s++) {
            omni_switch_message own = {.kv = true, .layer = l, .sequence = s, .owner = rank};
            own.keys = kv_region(m, m->from, l, s, rank);
            if (own.keys.tokens == 0) continue;
            write_kv(m, &own, m->w->staging);
            read_kv(m, &m->to->pe[rank], l, s, &own.keys, m->w->staging);
        }
    }
}

/* --- the worker's part ------------------------------------------------------------------------ */

bool exec_switch(worker *w) {
    const omni_engine *e = w->engine;
    mover m = {.w = w, .e = e, .from = &e->form[e->now], .to = &e->form[e->next]};
    m.it = omni_switch_begin(plan_of(m.from), plan_of(m.to), e->length, e->o.sequences, !e->o.resident);
    for (size_t r = w->ranks.start; r < w->ranks.start + w->ranks.count; r++) {
        if (!m.to->pe[r].arena && worker_map(w, m.to, &m.to->pe[r])) {
            omni_stop_set(e->o.stop, w->error.status);
            return false;
        }
        if (m.it.weights) keep_weights(&m, r);
        keep_kv(&m, r);
    }
    omni_switch it = m.it;
    for (omni_switch_message msg; omni_switch_next(&it, &msg);)
        if (!run_message(&m, &msg)) return false;
    for (size_t r = w->ranks.start; r < w->ranks.start + w->ranks.count && !e->o.resident; r++)
        worker_unmap(&m.from->pe[r]);
    worker_find_shares(w, plan_of(m.to));
    return true;
}

/* --- the caller's part ------------------------------------------------------------------------ */

/* The largest message of weights, and of one sequence's keys and values in a layer. */
bool switch_staging(const omni_engine *e, size_t *out) {
    const omni_shape *s = &e->o.model->shape;
    size_t most = 0, bytes;
    for (size_t f = 0; f < e->forms; f++) {
        const omni_plan *plan = plan_of(&e->form[f]);
        for (size_t i = 0; i < plan->weight_count; i++) {
            size_t in = plan->weight[i].in.part[0].width;
            if (!omni_size_mul(in, OMNI_SWITCH_ROWS * sizeof(float), &bytes)) return false;
            most = bytes > most ? bytes : most;
        }
    }
    for (size_t q = 0; q < e->o.sequences; q++) {
        if (!omni_size_mul(e->capacity[q], 2 * s->kv_heads * s->head_dim * sizeof(float), &bytes))
            return false;
        most = bytes > most ? bytes : most;
    }
    *out = omni_round_up(most, OMNI_CACHE_LINE);
    return true;
}

size_t omni_engine_due(const omni_engine *e) {
    const size_t *from = e->o.later_from;
    size_t longest = 0, due = 0;
    for (size_t q = 0; q < e->o.sequences; q++) longest = e->length[q] > longest ? e->length[q] : longest;
    for (size_t k = 0; k < e->o.laters; k++)
        if (!from || from[k] <= longest) due = k + 1;
    return due;
}

void omni_engine_switch_count(const omni_engine *e, size_t plan, omni_counters *out) {
    const pe_form *from = &e->form[e->now], *to = &e->form[plan];
    mover m = {.e = e, .from = from, .to = to};
    m.it = omni_switch_begin(plan_of(from), plan_of(to), e->length, e->o.sequences, !e->o.resident);
    omni_switch it = m.it;
    *out = (omni_counters){0};
    for (omni_switch_message msg; plan != e->now && omni_switch_next(&it, &msg);) {
        uint64_t bytes = message_bytes(&m, &msg);
        if (msg.readers == 0) continue;
        *(msg.readers == 1 ? &out->addressed_messages : &out->broadcasts) += 1;
        *(msg.readers == 1 ? &out->addressed_bytes : &out->broadcast_bytes) += bytes;
    }
}
