/* hostport.c: the caller's part in a pass: the host port. It holds the embedding tables (it reads their rows
 * from the checkpoint), looks tokens up, adds positions and types, norms the sum where the family does, sends
 * the rows in and awaits the results.
 */
#include <string.h>

#include "base/probe.h"
#include "pe/pe.h"

/* --- creation --------------------------------------------------------------------------------- */

/* Tables for the longest sequence; none without rotary embedding. False: no memory. */
static bool create_rope(omni_engine *e) {
    const omni_shape *s = &e->o.model->shape;
    size_t longest = 0, half = s->head_dim / 2;
    if (s->rope_theta <= 0) return true;
    for (size_t q = 0; q < e->o.sequences; q++) longest = e->capacity[q] > longest ? e->capacity[q] : longest;
    double *inverse = omni_alloc_array(half, sizeof *inverse);
    e->rope_cos = omni_alloc_array(longest, half * sizeof(float));
    e->rope_sin = omni_alloc_array(longest, half * sizeof(float));
    bool ok = inverse && e->rope_cos && e->rope_sin;
    if (ok) {
        omni_rope_inverse(s, inverse);
        omni_rope_table(longest, s->head_dim, inverse, e->rope_cos, e->rope_sin);
    }
    omni_free(inverse);
    return ok;
}

/* A table that the family has: bound before, so it is there. */
static const omni_tensor *table(const omni_engine *e, const omni_tensor_name *name, size_t rows) {
    return name->name[0] ? omni_bind(e->o.weights, name, 0, rows, e->o.model->shape.hidden, NULL) : NULL;
}

/* [hidden]; stays NULL where the family has none. */
static omni_status load_norm(const omni_engine *e, const omni_tensor_name *name, float **out,
                             omni_error *err) {
    size_t hidden = e->o.model->shape.hidden;
    if (!name->name[0]) return OMNI_OK;
    *out = omni_alloc_array(hidden, sizeof **out);
    if (!*out) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the host port's norm");
    return pe_load_vector(&e->o, name, 0, hidden, (omni_range){0, hidden}, *out, err);
}

static omni_status bind_host_port(omni_engine *e, omni_error *err) {
    const omni_model *m = e->o.model;
    e->embedding = table(e, &m->embedding, m->shape.vocab);
    e->positions = table(e, &m->positions, m->shape.positions);
    e->types = table(e, &m->types, m->shape.types);
    omni_status st = load_norm(e, &m->embed_norm_weight, &e->embed_norm_weight, err);
    return st ? st : load_norm(e, &m->embed_norm_bias, &e->embed_norm_bias, err);
}

static size_t most_parts(const omni_engine *e) {
    size_t most = 0;
    for (size_t f = 0; f < e->forms; f++) {
        size_t parts = pass_parts(&e->form[f].o);
        most = parts > most ? parts : most;
    }
    return most;
}

omni_status hostport_create(omni_engine *e, omni_error *err) {
    const omni_shape *s = &e->o.model->shape;
    size_t n = e->o.sequences;
    e->pass.first = omni_alloc_array(n, sizeof(size_t));
    e->pass.counts = omni_alloc_array(n, sizeof(size_t));
    e->pass.row = omni_alloc_array(n, sizeof(size_t));
    e->pass.mark = omni_alloc_array(e->o.max_marks, sizeof(size_t));
    e->pass.part = omni_alloc_array(most_parts(e), sizeof *e->pass.part);
    e->pass.part_first = omni_alloc_array(e->pes + 1, sizeof(size_t)); /* groups are at most PEs */
    e->length = omni_alloc_array(n, sizeof(size_t));
    e->rows =
        omni_alloc_array(e->o.max_tokens + 1, s->hidden * sizeof(float)); /* the last: what is added to one */
    if (!e->pass.first || !e->pass.counts || !e->pass.row || !e->pass.mark || !e->pass.part ||
        !e->pass.part_first || !e->length || !e->rows || !create_rope(e))
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the host port's rows");
    return bind_host_port(e, err);
}

void hostport_free(omni_engine *e) {
    omni_free(e->pass.first);
    omni_free(e->pass.counts);
    omni_free(e->pass.row);
    omni_free(e->pass.mark);
    omni_free(e->pass.part_first);
    omni_free(e->pass.part);
    omni_free(e->length);
    omni_free(e->rows);
    omni_free(e->embed_norm_weight);
    omni_free(e->embed_norm_bias);
    omni_free(e->rope_cos);
    omni_free(e->rope_sin);
}

/* --- a pass ----------------------------------------------------------------------------------- */

/* Ids of a table of so many rows. */
static omni_status check_ids(const int32_t *ids, size_t count, const char *what, size_t rows,
                             omni_error *err) {
    for (size_t i = 0; i < count; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= rows)
            return omni_error_set(err, OMNI_BAD_INPUT, "%s %d (expected 0 to %zu)", what, ids[i], rows - 1);
    return OMNI_OK;
}

static omni_status set_marks(omni_engine *e, const omni_encode *io, omni_error *err) {
    size_t tokens = e->pass.extent.tokens;
    bool head = e->o.model->heads & OMNI_HEAD_MLM;
    if (io->marks && !head)
        return omni_error_set(err, OMNI_BAD_INPUT, "%zu marked tokens, but the model has no MLM head",
                              io->marks);
    if (io->marks > e->o.max_marks)
        return omni_error_set(err, OMNI_BAD_INPUT, "%zu marked tokens (expected at most %zu)", io->marks,
                              e->o.max_marks);
    for (size_t i = 0; i < io->marks; i++) {
        if (io->mark[i] >= tokens || (i && io->mark[i] <= io->mark[i - 1]))
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "mark %zu is row %zu (expected ascending rows below %zu)", i, io->mark[i],
                                  tokens);
        e->pass.mark[i] = io->mark[i];
    }
    e->pass.extent.marks = io->marks;
    e->pass.extent.mark = e->pass.mark;
    return OMNI_OK;
}

static omni_status set_pass(omni_engine *e, const omni_encode *io, omni_error *err) {
    const size_t *counts = io->counts;
    size_t row = 0;
    for (size_t q = 0; q < e->o.sequences; q++) {
        if (counts[q] == 0)
            return omni_error_set(err, OMNI_BAD_INPUT, "sequence %zu is empty (expected at least one token)",
                                  q);
        if (counts[q] > e->capacity[q] - e->length[q])
            return omni_error_set(err, OMNI_BAD_INPUT, "sequence %zu: %zu tokens more than its %zu positions",
                                  q, counts[q], e->capacity[q]);
        e->pass.first[q] = e->length[q];
        e->pass.counts[q] = counts[q];
        e->pass.row[q] = row;
        row += counts[q];
    }
    if (row > e->o.max_tokens)
        return omni_error_set(err, OMNI_BAD_INPUT, "%zu tokens in one pass (expected at most %zu)", row,
                              e->o.max_tokens);
    omni_status st = check_ids(io->ids, row, "token id", e->o.model->shape.vocab, err);
    if (!st && io->types) st = check_ids(io->types, row, "token type", e->o.model->shape.types, err);
    e->pass.extent = (omni_extent){
        .tokens = row, .sequences = e->o.sequences, .first = e->pass.first, .counts = e->pass.counts};
    if (!st) st = set_marks(e, io, err);
    if (!st) pass_cut(&e->pass, e->o.plan);
    return st;
}

/* One row of a table of the host port. */
static omni_status look_up(const omni_engine *e, const omni_tensor *table, size_t row, float *x,
                           omni_error *err) {
    size_t hidden = e->o.model->shape.hidden;
    if (omni_weights_read_f32(e->o.weights, table, row * hidden, hidden, x)) return OMNI_OK;
    return omni_weights_read_failed(e->o.weights, table, err);
}

/* Adds a row of another table, if the family has it. */
static omni_status add_row(const omni_engine *e, const omni_tensor *table, size_t row, float *x,
                           omni_error *err) {
    size_t hidden = e->o.model->shape.hidden;
    float *addend = e->rows + e->o.max_tokens * hidden;
    if (!table) return OMNI_OK;
    omni_status st = look_up(e, table, row, addend, err);
    if (!st) omni_add(x, hidden, addend, hidden, 1, hidden);
    return st;
}

/* Looks tokens up, adds learned positions and types, norms. */
static omni_status embed(omni_engine *e, const omni_encode *io, omni_error *err) {
    size_t hidden = e->o.model->shape.hidden;
    omni_status st = OMNI_OK;
    for (size_t q = 0; q < e->o.sequences; q++) {
        for (size_t i = 0; i < e->pass.counts[q] && !st; i++) {
            size_t row = e->pass.row[q] + i;
            float *x = e->rows + row * hidden;
            st = look_up(e, e->embedding, (size_t)io->ids[row], x, err);
            if (!st) st = add_row(e, e->positions, e->pass.first[q] + i, x, err);
            if (!st) st = add_row(e, e->types, io->types ? (size_t)io->types[row] : 0, x, err);
        }
    }
    if (!st && e->embed_norm_weight)
        omni_norm_rows(OMNI_NORM_LAYER, e->rows, hidden, e->pass.extent.tokens, hidden,
                       e->o.model->shape.norm_eps, e->embed_norm_weight, e->embed_norm_bias, e->rows, hidden);
    return st;
}

/* The rows of the parts that enter in this wave. */
static bool send_rows(omni_engine *e, size_t wave) {
    const omni_mesh *mesh = &e->o.plan->mesh;
    size_t hidden = e->o.model->shape.hidden;
    for (size_t g = 0; g < mesh->groups; g++) {
        const omni_part *part = pass_part(&e->pass, g, 0, wave);
        if (part && !omni_fabric_host_send(e->fabric, omni_mesh_piece_number(mesh, OMNI_CUT_STAGE, g, 0, 0),
                                           e->rows + part->row * hidden,
                                           part->extent.tokens * hidden * sizeof(float)))
            return false;
    }
    return true;
}

/* One result of a part: pooled rows, or token ids. */
static bool await_part(omni_engine *e, const omni_encode *io, bool pooled, size_t piece,
                       const omni_part *part) {
    size_t hidden = e->o.model->shape.hidden;
    const omni_extent *x = &part->extent;
    if (pooled) {
        size_t begun = x->skip > 0; /* elsewhere */
        return omni_fabric_host_await(e->fabric, piece, io->pooled + (x->sequence + begun) * hidden,
                                      (x->sequences - begun) * hidden * sizeof *io->pooled);
    }
    size_t first = io->pooled ? part->mark : x->sequence,
           tokens = io->pooled ? x->marks : x->sequences - x->open;
    return omni_fabric_host_await(e->fabric, piece, io->predicted + first, tokens * sizeof *io->predicted);
}

/* Those of the parts that leave the last stage in this wave: result by result, then group by group, which is
 * the order of the plan's steps. A worker that carries two groups returns the first result of both before it
 * goes on; who awaited both results of one group first would leave the other's with nobody to take it. */
static bool await_results(omni_engine *e, const omni_encode *io, size_t wave) {
    const omni_mesh *mesh = &e->o.plan->mesh;
    size_t last = mesh->stages - 1;
    for (int pooled = io->pooled != NULL; pooled >= 0; pooled--) {
        for (size_t g = 0; g < mesh->groups; g++) {
            const omni_part *part = pass_part(&e->pass, g, last, wave);
            size_t piece = omni_mesh_piece_number(mesh, OMNI_CUT_STAGE, g, last, 0);
            if (part && !await_part(e, io, pooled, piece, part)) return false;
        }
    }
    return true;
}

/* Decode: one more token of every sequence, each of which has some. */
static const char *phase_of(const omni_engine *e) {
    for (size_t q = 0; q < e->o.sequences; q++)
        if (e->pass.counts[q] > 1 || e->pass.first[q] == 0) return "prefill";
    return "decode";
}

/* Wave by wave, as the workers go: they may not be left with results that nobody takes. */
static omni_status pass(omni_engine *e, const omni_encode *io, omni_error *err) {
    uint64_t began = e->o.profile ? omni_ticks() : 0;
    omni_status st = set_pass(e, io, err);
    if (st == OMNI_OK) st = embed(e, io, err);
    if (st != OMNI_OK) return st;
    tap_begin(e);
    e->switching = false;
    const char *phase = phase_of(e);
    OMNI_PROBE2(pass_begin, phase, e->pass.extent.tokens);
    uint64_t gone = e->o.profile ? omni_ticks() : 0;
    omni_word_publish(&e->go, ++e->passes);
    bool ok = true;
    for (size_t wave = 0; wave < e->pass.waves && ok; wave++)
        ok = send_rows(e, wave) && await_results(e, io, wave);
    ok = ok && omni_barrier_wait(e->done, e->workers, e->host_wait, e->o.stop);
    OMNI_PROBE2(pass_end, phase, e->pass.extent.tokens);
    if (!ok) return omni_error_set(err, omni_stop_get(e->o.stop), "stopped in the middle of a pass");
    for (size_t q = 0; q < e->o.sequences; q++) e->length[q] += io->counts[q];
    profile_pass(e, began, gone);
    return OMNI_OK;
}

omni_status omni_engine_forward(omni_engine *e, const int32_t *ids, const size_t *counts, int32_t *next,
                                omni_error *err) {
    omni_encode io = {.ids = ids, .counts = counts, .predicted = next};
    if (e->o.model->shape.encoder)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s models are encoders: they decide no next token",
                              e->o.model->family);
    return pass(e, &io, err);
}

omni_status omni_engine_encode(omni_engine *e, const omni_encode *io, omni_error *err) {
    if (!e->o.model->shape.encoder)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s models are no encoders", e->o.model->family);
    memset(e->length, 0, e->o.sequences * sizeof *e->length); /* every pass is a whole sequence */
    return pass(e, io, err);
}
