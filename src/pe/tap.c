/* tap.c: copies of layer states and logits for `check` and --dump, outside the fabric and not counted. Ranks
 * that hold slices write their columns; of REPLICATED states index 0 writes, and everyone leaves a hash, so
 * that a replica that drifted is found.
 */
#include <string.h>

#include "pe/pe.h"

static omni_status load_final_norm(const omni_engine *e, omni_error *err) {
    size_t hidden = e->o.model->shape.hidden;
    omni_range all = {0, hidden};
    omni_status st = pe_load_vector(&e->o, &e->final_norm->norm_weight, 0, hidden, all, e->final_weight, err);
    if (st != OMNI_OK || !e->final_norm->norm_bias.name[0]) return st;
    return pe_load_vector(&e->o, &e->final_norm->norm_bias, 0, hidden, all, e->final_bias, err);
}

void tap_begin(omni_engine *e) {
    size_t hashes = (e->o.model->shape.layers + 1) * e->pes;
    if (e->o.taps) memset(e->tap_hash, 0, hashes * sizeof *e->tap_hash);
}

size_t tap_logit_rows(const omni_engine_options *o) {
    return o->model->shape.encoder ? o->max_marks : o->sequences;
}

omni_status taps_create(omni_engine *e, omni_error *err) {
    const omni_shape *s = &e->o.model->shape;
    size_t layers = s->layers + 1, state;
    bool logits = e->o.taps || e->o.logits;
    if (logits) e->logits = omni_alloc_array(tap_logit_rows(&e->o), s->vocab * sizeof *e->logits);
    if (logits && !e->logits)
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the logits of %zu rows",
                              tap_logit_rows(&e->o));
    if (!e->o.taps) return OMNI_OK;
    bool ok = omni_size_mul(e->o.max_tokens, s->hidden, &state);
    e->tap = omni_alloc_array(layers, sizeof *e->tap);
    e->tap_hash = omni_alloc_array(layers * e->pes, sizeof *e->tap_hash);
    e->final_weight = omni_alloc_array(s->hidden, sizeof *e->final_weight);
    e->final_bias = omni_alloc_array(s->hidden, sizeof *e->final_bias);
    ok = ok && e->tap && e->tap_hash && e->final_weight && e->final_bias;
    for (size_t l = 0; ok && l < layers; l++)
        ok = (e->tap[l] = omni_alloc_array(state, sizeof(float))) != NULL;
    if (!ok)
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the layer states of %zu tokens",
                              e->o.max_tokens);
    if (s->encoder) return OMNI_OK;
    for (size_t i = 0; i < e->o.model->final_op_count; i++)
        if (e->o.model->final_ops[i].kind == OMNI_OP_NORM) e->final_norm = &e->o.model->final_ops[i];
    return load_final_norm(e, err);
}

void taps_free(omni_engine *e) {
    for (size_t l = 0; e->tap && l <= e->o.model->shape.layers; l++) omni_free(e->tap[l]);
    omni_free(e->tap);
    omni_free(e->tap_hash);
    omni_free(e->logits);
    omni_free(e->final_weight);
    omni_free(e->final_bias);
}

/* FNV-1a over 32-bit words, on from what came before. */
static uint64_t hash_rows(uint64_t before, const float *x, size_t floats) {
    uint64_t h = before ^ 14695981039346656037u;
    for (size_t i = 0; i < floats; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        h = (h ^ bits) * 1099511628211u;
    }
    return h;
}

void tap_state(omni_engine *e, const pe *x, const omni_step *s, const omni_part *part) {
    const omni_value *v = engine_value(e, s->in[0]);
    size_t layer = s->op ? (size_t)s->layer + 1 : 0, hidden = e->o.model->shape.hidden,
           tokens = part->extent.tokens;
    omni_range cols = pe_stored(x, v, 0);
    operand in = pe_operand(x, v, 0, cols);
    uint64_t *hash = &e->tap_hash[layer * e->pes + x->rank];
    if (v->at.kind == OMNI_REPLICATED) *hash = hash_rows(*hash, in.data, tokens * hidden);
    if (cols.count && (v->compact || x->seat.index == 0))
        omni_copy(e->tap[layer] + part->row * hidden + cols.start, hidden, in.data, in.ld, tokens,
                  cols.count);
}

void tap_logits(omni_engine *e, const pe *x, const omni_step *s, const omni_part *part) {
    const omni_value *v = engine_value(e, s->in[0]);
    omni_range cols = pe_stored(x, v, 0);
    operand in = pe_operand(x, v, 0, cols);
    size_t vocab = e->o.model->shape.vocab;
    size_t first = v->rows == OMNI_ROWS_MARKS ? part->mark : part->extent.sequence;
    if (cols.count)
        omni_copy(e->logits + first * vocab + cols.start, vocab, in.data, in.ld,
                  omni_rows_count(v->rows, part->extent, x->seat.p, x->seat.index), cols.count);
}

const float *omni_engine_tap(const omni_engine *e, size_t layer) {
    return e->tap[layer];
}

const float *omni_engine_logits(const omni_engine *e) {
    return e->logits;
}

void omni_engine_final_norm(const omni_engine *e, float *y) {
    const omni_shape *s = &e->o.model->shape;
    if (s->encoder) {
        omni_copy(y, s->hidden, e->tap[s->layers], s->hidden, e->pass.extent.tokens, s->hidden);
        return;
    }
    omni_norm_rows(e->final_norm->norm, e->tap[s->layers], s->hidden, e->pass.extent.tokens, s->hidden,
                   s->norm_eps, e->final_weight, e->final_norm->norm_bias.name[0] ? e->final_bias : NULL, y,
                   s->hidden);
}

bool omni_engine_replicas_agree(const omni_engine *e, size_t *layer) {
    for (size_t l = 0; l <= e->o.model->shape.layers; l++) {
        for (size_t r = 0; r < e->pes && !e->pe[r].seat.idle; r++) {
            if (e->tap_hash[l * e->pes + r] == e->tap_hash[l * e->pes + e->pe[r].seat.first]) continue;
            *layer = l;
            return false;
        }
    }
    return true;
}
