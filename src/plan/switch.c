/* switch.c: what moves when the plan changes between two passes: weights and the keys and values so far, from
 * where the first plan has them to where the second needs them.
 *
 *   rank     0        1        2               rank 1 needs rows 2..5, has 3..5: takes 2 of owner 0's message
 *   from   |0 1 2 | 3 4 5  | 6 7 8 |
 *   to     |0 1   | 2 3 4 5| 6 7 8 |           rank 2 has all that it needs, and takes nothing
 *
 * Sub-heads have queries and keys in pair order: between that and the natural order rows are told apart one
 * by one, and who needs what is decided head by head.
 *
 * Both plans list the same weights in the same order, since both walk the same ops. Owners are the ranks of
 * the first group; where neighbours hold the same rows or heads, the first of them sends them.
 */
#include "plan/plan.h"

/* --- ranges ----------------------------------------------------------------------------------- */

static bool within(omni_range a, omni_range b) {
    return a.count == 0 || omni_range_meet(a, b).count == a.count;
}

/* What of a is behind the end of b. */
static omni_range beyond(omni_range a, omni_range b) {
    size_t end = b.count ? b.start + b.count : 0;
    return end > a.start ? omni_range_meet(a, (omni_range){end, SIZE_MAX - end}) : a;
}

size_t omni_region_rows(const omni_region *r) {
    size_t rows = 0;
    for (size_t j = 0; j < OMNI_MAX_PARTS; j++) rows += r->out[j].count;
    return rows;
}

omni_region omni_region_meet(const omni_region *a, const omni_region *b) {
    omni_region r = {.in = omni_range_meet(a->in, b->in)};
    for (size_t j = 0; j < OMNI_MAX_PARTS && r.in.count; j++)
        r.out[j] = omni_range_meet(a->out[j], b->out[j]);
    return r;
}

/* 0, n/2, 1, n/2 + 1, ... are the features of a head of n in pair order. */
size_t omni_reorder(size_t i, size_t paired, size_t to_paired) {
    size_t n = paired ? paired : to_paired;
    if (paired == to_paired) return i;
    size_t in_head = i % n, head = i - in_head;
    if (paired) return head + in_head / 2 + in_head % 2 * (n / 2);
    return head + (in_head < n / 2 ? 2 * in_head : 2 * (in_head - n / 2) + 1);
}

/* The whole heads that it touches. */
static omni_range whole_heads(omni_range r, size_t n) {
    size_t start = r.start / n * n, end = (r.start + r.count + n - 1) / n * n;
    return r.count ? (omni_range){start, end - start} : r;
}

/* The region as far as the two plans' orders of features let it be compared. */
static omni_region comparable(const omni_switch *it, size_t weight, omni_region r) {
    const omni_value *a = &it->from->weight[weight].out, *b = &it->to->weight[weight].out;
    for (size_t j = 0; j < a->parts; j++) {
        size_t n = a->part[j].paired ? a->part[j].paired : b->part[j].paired;
        if (a->part[j].paired != b->part[j].paired) r.out[j] = whole_heads(r.out[j], n);
    }
    return r;
}

static bool region_within(const omni_region *a, const omni_region *b) {
    bool ok = within(a->in, b->in);
    for (size_t j = 0; j < OMNI_MAX_PARTS; j++) ok = ok && within(a->out[j], b->out[j]);
    return ok || omni_region_rows(a) == 0;
}

/* --- who holds what --------------------------------------------------------------------------- */

static bool has_piece(const omni_weight *w, omni_piece_kind kind) {
    if (w->op->kind == OMNI_OP_NORM)
        return kind == OMNI_PIECE_NORM_WEIGHT || (kind == OMNI_PIECE_NORM_BIAS && w->op->norm_bias.name[0]);
    return kind == OMNI_PIECE_MATRIX || (kind == OMNI_PIECE_BIAS && w->op->matrix[0].bias.name[0]);
}

omni_region omni_weight_region(const omni_plan *plan, size_t weight, omni_piece_kind kind, size_t rank) {
    const omni_weight *w = &plan->weight[weight];
    omni_seat seat = omni_mesh_seat(&plan->mesh, rank);
    omni_region r = {.in = {0, 1}};
    bool only_root = kind == OMNI_PIECE_BIAS && w->split_in; /* it is added once */
    if (seat.idle || seat.stage != w->stage || !has_piece(w, kind) || (only_root && seat.index > 0)) return r;
    if (kind == OMNI_PIECE_MATRIX)
        r.in = w->split_in ? omni_value_owned(&w->in, 0, seat.p, seat.index)
                           : (omni_range){0, w->in.part[0].width};
    for (size_t j = 0; j < w->out.parts && r.in.count; j++)
        r.out[j] = w->out.compact ? omni_value_owned(&w->out, j, seat.p, seat.index)
                                  : (omni_range){0, w->out.part[j].width};
    return r;
}

/* Whose ranks have a sequence; where all have all of them, the first's send them. */
static size_t kv_group(const omni_mesh *mesh, size_t sequence, size_t sequences) {
    return mesh->tokens ? 0 : omni_split_owner(sequences, mesh->groups, sequence);
}

omni_kv_region omni_plan_kv(const omni_plan *plan, size_t layer, size_t sequence, size_t sequences,
                            size_t length, size_t rank) {
    const omni_mesh *mesh = &plan->mesh;
    const omni_shape *shape = &plan->model->shape;
    omni_kv kv = plan->kv[layer];
    omni_seat seat = omni_mesh_seat(mesh, rank);
    bool here = !seat.idle && (mesh->tokens || seat.group == kv_group(mesh, sequence, sequences)) &&
                seat.stage == omni_split_owner(plan->model->shape.layers, mesh->stages, layer);
    if (!here) return (omni_kv_region){.stride = 1};
    omni_kv_region r = {.heads = omni_kv_heads(kv, shape, seat.p, seat.index),
                        .dims = omni_kv_dims(kv, shape, seat.p, seat.index),
                        .paired = kv == OMNI_KV_SUBHEADS && shape->rope_theta > 0 ? shape->head_dim : 0,
                        .first = omni_kv_first(kv, seat.p, seat.index, sequence),
                        .stride = omni_kv_stride(kv, seat.p),
                        .tokens = omni_kv_tokens(kv, seat.p, seat.index, sequence, length)};
    if (r.heads.count == 0 || r.dims.count == 0) r.tokens = 0;
    return r;
}

static size_t gcd(size_t a, size_t b) {
    while (b) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Some position may be in both. */
static bool kv_meets(const omni_kv_region *a, const omni_kv_region *b) {
    size_t step = gcd(a->stride, b->stride);
    bool dims = a->paired != b->paired || omni_range_meet(a->dims, b->dims).count;
    return dims && a->first % step == b->first % step && omni_range_meet(a->heads, b->heads).count;
}

static bool kv_within(const omni_kv_region *a, const omni_kv_region *b) {
    bool same = b->stride == 1 || (a->stride == b->stride && a->first == b->first);
    omni_range dims = a->paired == b->paired ? a->dims : whole_heads(a->dims, a->paired + b->paired);
    return a->tokens == 0 || (same && within(a->heads, b->heads) && within(dims, b->dims) && b->tokens > 0);
}

/* --- the messages ----------------------------------------------------------------------------- */

omni_switch omni_switch_begin(const omni_plan *from, const omni_plan *to, const size_t *length,
                              size_t sequences, bool weights) {
    omni_switch it = {.from = from, .to = to, .length = length, .sequences = sequences, .weights = weights};
    if (!weights) it.at = from->weight_count;
    return it;
}

static omni_kv_region kv_of(const omni_switch *it, const omni_plan *plan, const omni_switch_message *m,
                            size_t rank) {
    return omni_plan_kv(plan, m->layer, m->sequence, it->sequences, it->length[m->sequence], rank);
}

bool omni_switch_takes(const omni_switch *it, const omni_switch_message *m, size_t rank) {
    if (rank == m->owner) return false;
    if (m->kv) {
        omni_kv_region need = kv_of(it, it->to, m, rank), has = kv_of(it, it->from, m, rank);
        return need.tokens && !kv_within(&need, &has) && kv_meets(&need, &m->keys);
    }
    omni_region need = omni_weight_region(it->to, m->weight, m->kind, rank);
    omni_region has = omni_weight_region(it->from, m->weight, m->kind, rank);
    omni_region sent = comparable(it, m->weight, m->region);
    need = comparable(it, m->weight, need);
    omni_region both = omni_region_meet(&need, &sent);
    return omni_region_rows(&both) && !region_within(&need, &has);
}

/* Two are several. Neighbouring owners tend to have the same readers: looked for from the last one on. */
static void find_readers(omni_switch *it, omni_switch_message *m) {
    size_t used = it->to->mesh.used;
    m->readers = 0;
    for (size_t k = 0; k < used && m->readers < 2; k++) {
        size_t r = it->reader + k < used ? it->reader + k : it->reader + k - used;
        if (!omni_switch_takes(it, m, r)) continue;
        m->readers++;
        m->reader = r;
    }
    if (m->readers) it->reader = m->reader;
}

/* The region that the index-th rank of the owners sends: what none before it has. */
static omni_region owner_region(const omni_switch *it, omni_switch_message *m, omni_range ranks,
                                size_t index) {
    m->owner = ranks.start + index;
    omni_region r = omni_weight_region(it->from, m->weight, m->kind, m->owner);
    bool along_in = m->kind == OMNI_PIECE_MATRIX && it->from->weight[m->weight].split_in;
    for (size_t i = 0; i < index && !along_in; i++) {
        omni_region before = omni_weight_region(it->from, m->weight, m->kind, ranks.start + i);
        for (size_t j = 0; j < OMNI_MAX_PARTS; j++) r.out[j] = beyond(r.out[j], before.out[j]);
    }
    return r;
}

/* All rows of a region have the same ones. */
static void find_readers_once(omni_switch *it, omni_switch_message *m) {
    if (it->row == 0) {
        find_readers(it, m);
        it->readers = m->readers;
    }
    m->readers = it->readers;
    m->reader = it->reader;
}

/* at: weight, sub: kind, index: owner, row. False: no weights are left. */
static bool next_weight(omni_switch *it, omni_switch_message *m) {
    for (; it->at < it->from->weight_count; it->at++, it->sub = 0) {
        const omni_weight *w = &it->from->weight[it->at];
        omni_range ranks = omni_mesh_ranks(&it->from->mesh, 0, w->stage);
        for (; it->sub < OMNI_PIECE_KINDS; it->sub++, it->index = 0) {
            for (; has_piece(w, (omni_piece_kind)it->sub) && it->index < ranks.count;
                 it->index++, it->row = 0) {
                *m = (omni_switch_message){.weight = it->at, .kind = (omni_piece_kind)it->sub};
                m->region = owner_region(it, m, ranks, it->index);
                size_t rows = omni_region_rows(&m->region);
                if (it->row >= rows) continue;
                find_readers_once(it, m);
                m->row = it->row;
                m->rows = rows - m->row < OMNI_SWITCH_ROWS ? rows - m->row : OMNI_SWITCH_ROWS;
                it->row = m->readers ? it->row + m->rows : rows;
                return true;
            }
        }
    }
    return false;
}

/* Neighbours whose query heads share a key-value head hold it alike: the first query head's ranks send it. */
static void drop_sent_heads(const omni_switch *it, omni_switch_message *m, size_t index) {
    const omni_shape *shape = &it->from->model->shape;
    omni_kv kv = it->from->kv[m->layer];
    omni_seat seat = omni_mesh_seat(&it->from->mesh, m->owner);
    if (kv == OMNI_KV_HEADS && index > 0) {
        omni_kv_region before = kv_of(it, it->from, m, m->owner - 1);
        m->keys.heads = beyond(m->keys.heads, before.heads);
    }
    if (kv == OMNI_KV_SUBHEADS &&
        omni_subhead_of(shape, seat.p, seat.index).head % (shape->heads / shape->kv_heads))
        m->keys.heads.count = 0;
}

/* at: weights, then layers; sub: sequence, index: owner. */
static bool next_kv(omni_switch *it, omni_switch_message *m) {
    const omni_mesh *mesh = &it->from->mesh;
    size_t layers = it->from->model->shape.layers, first = it->from->weight_count;
    for (; it->at < first + layers; it->at++, it->sub = 0) {
        size_t layer = it->at - first, stage = omni_split_owner(layers, mesh->stages, layer);
        for (; it->sub < it->sequences; it->sub++, it->index = 0) {
            size_t group = kv_group(mesh, it->sub, it->sequences);
            omni_range ranks = omni_mesh_ranks(mesh, group, stage);
            while (it->index < ranks.count) {
                *m = (omni_switch_message){.kv = true, .layer = layer, .sequence = it->sub};
                m->owner = ranks.start + it->index++;
                m->keys = kv_of(it, it->from, m, m->owner);
                drop_sent_heads(it, m, it->index - 1);
                if (m->keys.tokens == 0 || m->keys.heads.count == 0) continue;
                find_readers(it, m);
                return true;
            }
        }
    }
    return false;
}

bool omni_switch_next(omni_switch *it, omni_switch_message *out) {
    return (it->weights && next_weight(it, out)) || next_kv(it, out);
}
