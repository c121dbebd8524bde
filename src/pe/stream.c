/* stream.c: messages for all groups at once. Weights that are dealt out over all PEs: how a PE keeps its
 * share, and the broadcasts in which everybody gets to see it; and keys and values of tokens that are spread
 * over the PEs.
 *
 *   share of a rank   handle 0 [256 outputs] | handle 1 [256] | ... | rest of whole panels | rest within a
 *                     panel
 *   broadcast         piece by piece; a piece is what a handle holds: weights only, no header and no padding
 *
 *   owner             send piece 0   use it   send piece 1   use it   ...          from where it is kept
 *   any other PE      receive 0      use it   receive 1      use it   ...          into two buffers in turn
 *
 * While others use a piece the owner writes the next one into the ring, as far as that goes. A worker
 * receives a piece once, into the buffers of its first PE, and uses it for each of its PEs that has rows; the
 * buffers of its other PEs are what those would need on their own. Keys and values come in the same way, a
 * group's at a time, and enter every PE's cache before the next group's come.
 */
#include <string.h>

#include "pe/pe.h"

_Static_assert((int)OMNI_PANEL == (int)OMNI_PACKED_PANEL && STREAM_OUTPUTS % OMNI_PANEL == 0,
               "only the last piece of a tensor may end within a panel");

/* --- a share ---------------------------------------------------------------------------------- */

omni_range stream_piece(size_t outputs, size_t i) {
    size_t whole = outputs / OMNI_PANEL * OMNI_PANEL, pieces = (whole + STREAM_OUTPUTS - 1) / STREAM_OUTPUTS;
    if (i > pieces) return (omni_range){0, 0};
    if (i == pieces) return (omni_range){whole, outputs - whole};
    size_t left = whole - i * STREAM_OUTPUTS;
    return (omni_range){i * STREAM_OUTPUTS, left < STREAM_OUTPUTS ? left : STREAM_OUTPUTS};
}

static omni_packed *handle_at(const pe_weight *mine, size_t i) {
    return (omni_packed *)(void *)((char *)mine->matrix + i * mine->piece);
}

size_t stream_share_bytes(size_t outputs, size_t in, omni_dtype dtype, size_t *piece) {
    size_t last = 0, before;
    while (stream_piece(outputs, last + 1).count) last++;
    *piece = omni_packed_bytes(STREAM_OUTPUTS, in, dtype);
    size_t end = omni_packed_bytes(stream_piece(outputs, last).count, in, dtype);
    if (outputs == 0 || *piece == 0 || end == 0 || !omni_size_mul(last, *piece, &before)) return 0;
    return omni_size_add(before, end, &before) ? before : 0;
}

void stream_init(pe_weight *mine, void *mem, omni_dtype dtype) {
    omni_range piece;
    mine->matrix = mem;
    mine->dtype = dtype;
    for (size_t i = 0; (piece = stream_piece(mine->out, i)).count; i++)
        omni_packed_reuse(handle_at(mine, i), piece.count, mine->in.count, dtype);
}

void stream_put(const pe_weight *mine, size_t out0, size_t nout, size_t in0, size_t nin, const void *src,
                size_t src_out, size_t src_in) {
    omni_range piece;
    for (size_t i = 0; (piece = stream_piece(mine->out, i)).count; i++) {
        size_t from = out0 > piece.start ? out0 : piece.start, end = piece.start + piece.count;
        end = out0 + nout < end ? out0 + nout : end;
        if (from >= end) continue;
        const char *at = (const char *)src + (from - out0) * src_out * omni_dtype_bytes(mine->dtype);
        omni_packed_put(handle_at(mine, i), from - piece.start, end - from, in0, nin, at, src_out, src_in);
    }
}

omni_range stream_matrix_outputs(const omni_plan *plan, const omni_weight *w, size_t rank, size_t j) {
    omni_range dealt = omni_weight_dealt(&plan->mesh, w, rank);
    size_t first = 0, end = dealt.start + dealt.count;
    for (size_t i = 0; i < j; i++) first += w->op->matrix[i].out;
    size_t from = dealt.start > first ? dealt.start : first, to = first + w->op->matrix[j].out;
    to = end < to ? end : to;
    return from < to ? (omni_range){from - first, to - from} : (omni_range){0, 0};
}

size_t stream_buffer_bytes(const omni_plan *plan) {
    size_t most = 0;
    for (size_t i = 0; i < plan->weight_count; i++) {
        const omni_weight *w = &plan->weight[i];
        if (!w->panel) continue;
        omni_range first = stream_piece(omni_weight_dealt(&plan->mesh, w, 0).count, 0); /* none is larger */
        size_t bytes = omni_packed_bytes(first.count, w->in.part[0].width, w->dtype);
        most = bytes > most ? bytes : most;
    }
    return most;
}

omni_status stream_check(const omni_engine_options *o, omni_error *err) {
    for (size_t i = 0; i < o->plan->weight_count; i++) {
        const omni_weight *w = &o->plan->weight[i];
        for (size_t j = 0; w->panel && w->dtype == OMNI_BF16 && j < w->op->matrices; j++) {
            const omni_tensor *t[OMNI_MAX_PARTS];
            pe_bind_matrices(o, w, t);
            if (t[j] && t[j]->dtype != OMNI_BF16)
                return omni_error_set(
                    err, OMNI_BAD_INPUT,
                    "%s: tensor '%s' is %s, but the plan broadcasts it as BF16 (expected a plan for "
                    "the model as the checkpoint has it)",
                    omni_weights_source(o->weights), t[j]->name, omni_dtype_name(t[j]->dtype));
        }
    }
    return OMNI_OK;
}

/* --- the broadcasts --------------------------------------------------------------------------- */

static omni_view view_weights(omni_packed *panels) {
    omni_packed_runs r = omni_packed_weights(panels);
    return (omni_view){
        .base = r.base, .rows = r.runs, .stride = r.stride, .spans = 1, .span[0] = {.bytes = r.bytes}};
}

/* Columns `cols` of the output, on each of the worker's PEs that has rows. */
static void use_piece(worker *w, const omni_step *s, const omni_packed *panels, omni_range cols) {
    const omni_engine *e = w->engine;
    const omni_value *in = engine_value(e, s->in[0]), *out = engine_value(e, s->out);
    for (size_t k = 0; k < w->shares; k++) {
        const pe *x = &e->pe[w->share[k].ranks.start];
        const omni_part *part = pass_part(&e->pass, w->share[k].group, 0, 0);
        if (!part) continue;
        operand from = {x->storage[in->storage], omni_value_width(in, 1, 0)};
        operand to = {x->storage[out->storage] + cols.start, omni_value_width(out, 1, 0)};
        pe_multiply(w, panels, (omni_range){0, cols.count}, from, to,
                    omni_rows_count(in->rows, part->extent, 1, 0));
        trace_compute(w, s, x->rank);
    }
}

static void add_biases(worker *w, const omni_step *s) {
    const omni_engine *e = w->engine;
    const omni_value *out = engine_value(e, s->out);
    size_t width = omni_value_width(out, 1, 0);
    for (size_t k = 0; k < w->shares; k++) {
        const pe *x = &e->pe[w->share[k].ranks.start];
        const omni_part *part = pass_part(&e->pass, w->share[k].group, 0, 0);
        if (part && x->weight[s->weight].bias)
            omni_bias_add(x->storage[out->storage], width, omni_rows_count(out->rows, part->extent, 1, 0),
                          width, x->weight[s->weight].bias);
    }
}

/* Some PE of the worker has rows in this pass. */
static bool has_rows(const worker *w) {
    for (size_t k = 0; k < w->shares; k++)
        if (pass_part(&w->engine->pass, w->share[k].group, 0, 0)) return true;
    return false;
}

/* The pieces of one rank's share, a broadcast in all. `turn` says which buffer is next. Who has nothing to
 * compute lets them pass. */
static bool stream_share(worker *w, const omni_step *s, size_t rank, size_t *turn) {
    const omni_engine *e = w->engine;
    const omni_mesh *mesh = &e->o.plan->mesh;
    const omni_weight *weight = &e->o.plan->weight[s->weight];
    omni_range dealt = omni_weight_dealt(mesh, weight, rank), piece;
    size_t in = weight->in.part[0].width, bus = omni_mesh_piece_number(mesh, s->cut, 0, 0, 0);
    bool mine = omni_range_has(w->ranks, rank), takes = !mine && has_rows(w);
    memset(w->views, 0, w->ranks.count * sizeof *w->views);
    for (size_t i = 0; (piece = stream_piece(dealt.count, i)).count; i++) {
        omni_packed *panels = mine ? handle_at(&e->pe[rank].weight[s->weight], i)
                                   : omni_packed_reuse(e->pe[w->ranks.start].panels[(*turn)++ % 2],
                                                       piece.count, in, weight->dtype);
        omni_view view = view_weights(panels);
        if (takes) w->views[0] = view;
        trace_message(w, s, rank, OMNI_EVENT_ALL, omni_view_bytes(&view), mine);
        if (!omni_fabric_stream(e->fabric, w->index, bus, rank, &view, w->views, omni_view_bytes(&view),
                                i == 0))
            return false;
        meter_lap(w, w->engine->moves_nothing ? PE_REST : PE_BUS);
        use_piece(w, s, panels, (omni_range){dealt.start + piece.start, piece.count});
        meter_lap(w, PE_COMPUTE);
    }
    return true;
}

static bool exec_stream(worker *w, const omni_step *s) {
    const omni_engine *e = w->engine;
    size_t turn = 0;
    for (size_t rank = 0; rank < e->o.plan->mesh.used; rank++)
        if (!stream_share(w, s, rank, &turn)) return false;
    add_biases(w, s);
    return omni_stop_get(e->o.stop) == OMNI_OK;
}

/* --- keys and values -------------------------------------------------------------------------- */

/* k and v of the group's tokens on its PE: neighbours in a row of q|k|v. */
static omni_view view_keys(const omni_engine *e, const omni_step *s, const pe *x, size_t rows) {
    const omni_value *v = engine_value(e, s->in[0]);
    return (omni_view){.base = x->storage[v->storage],
                       .rows = rows,
                       .stride = omni_value_width(v, 1, 0) * sizeof(float),
                       .spans = 1,
                       .span[0] = {.offset = v->part[0].width * sizeof(float),
                                   .bytes = (v->part[1].width + v->part[2].width) * sizeof(float)}};
}

/* The tokens of one group: from its PE, or as they were received. */
static void keep_group(worker *w, const omni_step *s, const omni_part *part, const pe *from, int value) {
    const omni_engine *e = w->engine;
    const omni_value *v = engine_value(e, value);
    operand k = pe_operand(from, v, 1, (omni_range){0, v->part[1].width});
    operand val = pe_operand(from, v, 2, (omni_range){0, v->part[2].width});
    for (size_t i = 0; i < w->shares; i++)
        pe_keep(e, &e->pe[w->share[i].ranks.start], s, part, k, val, false);
}

static bool share_group(worker *w, const omni_step *s, size_t group, const omni_part *part) {
    const omni_engine *e = w->engine;
    const omni_mesh *mesh = &e->o.plan->mesh;
    size_t rank = omni_mesh_ranks(mesh, group, 0).start, bus = omni_mesh_piece_number(mesh, s->cut, 0, 0, 0);
    bool mine = omni_range_has(w->ranks, rank);
    const pe *at = &e->pe[mine ? rank : w->ranks.start];
    const omni_value *received = engine_value(e, s->out);
    omni_view view =
        mine ? view_keys(e, s, at, part->extent.tokens)
             : omni_view_flat(at->storage[received->storage],
                              part->extent.tokens * omni_value_width(received, 1, 0) * sizeof(float));
    view.span[0].wire = omni_part_wire(e->o.plan, s, engine_value(e, s->in[0]), 1, mesh->used);
    if (mine) omni_view_round(&view); /* so that it keeps what the others get */
    memset(w->views, 0, w->ranks.count * sizeof *w->views);
    if (!mine) w->views[0] = view;
    trace_message(w, s, rank, OMNI_EVENT_ALL, omni_view_bytes(&view), mine);
    if (!omni_fabric_broadcast(e->fabric, w->index, bus, rank, &view, w->views)) return false;
    keep_group(w, s, part, at, mine ? s->in[0] : s->out);
    return true;
}

static bool exec_kv_share(worker *w, const omni_step *s) {
    const omni_engine *e = w->engine;
    for (size_t g = 0; g < e->o.plan->mesh.groups; g++) {
        const omni_part *part = pass_part(&e->pass, g, 0, 0);
        if (part && !share_group(w, s, g, part)) return false;
    }
    return true;
}

bool exec_joined(worker *w, const omni_step *s) {
    return s->kind == OMNI_STEP_STREAM ? exec_stream(w, s) : exec_kv_share(w, s);
}
