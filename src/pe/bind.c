/* bind.c: finds a model's tensors in a checkpoint, under whichever of their names, and holds their shapes
 * against the model's. Every mismatch is one line that names the tensor.
 */
#include <stdio.h>
#include <string.h>

#include "omnibus/pe.h"

static omni_status check_tensor(const omni_weights *w, const omni_tensor *t, size_t rows, size_t cols,
                                omni_error *err) {
    const char *source = omni_weights_source(w);
    if (t->dtype != OMNI_F32 && t->dtype != OMNI_F16 && t->dtype != OMNI_BF16)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: tensor '%s' is %s (expected F32, F16 or BF16)",
                              source, t->name, omni_dtype_name(t->dtype));
    bool matrix = cols != 0;
    if (t->rank == (matrix ? 2 : 1) && t->shape[0] == rows && (!matrix || t->shape[1] == cols))
        return OMNI_OK;
    char found[96] = "";
    size_t used = 0;
    for (size_t i = 0; i < t->rank && used < sizeof found; i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%zu", i ? ", " : "", t->shape[i]);
    if (matrix)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: tensor '%s' has shape [%s] (expected [%zu, %zu])",
                              source, t->name, found, rows, cols);
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: tensor '%s' has shape [%s] (expected [%zu])", source,
                          t->name, found, rows);
}

const omni_tensor *omni_bind(const omni_weights *w, const omni_tensor_name *t, size_t layer, size_t rows,
                             size_t cols, omni_error *err) {
    char name[OMNI_NAME];
    for (size_t i = 0; omni_tensor_name_format(t, i, layer, name); i++) {
        const omni_tensor *found = omni_weights_find(w, name);
        if (found) return check_tensor(w, found, rows, cols, err) == OMNI_OK ? found : NULL;
    }
    omni_tensor_name_format(t, 0, layer, name);
    omni_error_set(err, OMNI_BAD_INPUT, "%s: tensor '%s' is missing (expected by config.json)",
                   omni_weights_source(w), name);
    return NULL;
}

static bool bind_op(const omni_model *m, const omni_weights *w, const omni_op *op, size_t layer,
                    omni_error *err) {
    if (op->kind == OMNI_OP_NORM) {
        if (!omni_bind(w, &op->norm_weight, layer, m->shape.hidden, 0, err)) return false;
        return !op->norm_bias.name[0] || omni_bind(w, &op->norm_bias, layer, m->shape.hidden, 0, err);
    }
    for (size_t j = 0; j < op->matrices; j++) {
        const omni_matrix *x = &op->matrix[j];
        size_t rows = x->in_out ? x->in : x->stored_out, cols = x->in_out ? x->stored_out : x->in;
        if (!omni_bind(w, &x->weight, layer, rows, cols, err)) return false;
        if (x->bias.name[0] && !omni_bind(w, &x->bias, layer, x->stored_out, 0, err)) return false;
    }
    return true;
}

static bool stored(const omni_weights *w, const omni_tensor_name *name) {
    char text[OMNI_NAME];
    for (size_t i = 0; omni_tensor_name_format(name, i, 0, text); i++)
        if (omni_weights_find(w, text)) return true;
    return false;
}

/* Tied weights say nothing: they are there anyway. */
static bool any_stored(const omni_model *m, const omni_weights *w, const omni_op *op) {
    bool any = stored(w, &op->norm_weight) || stored(w, &op->norm_bias);
    for (size_t j = 0; j < op->matrices && !any; j++) {
        const omni_tensor_name *weight = &op->matrix[j].weight;
        bool tied = strcmp(weight->name[0], m->embedding.name[0]) == 0;
        any = (!tied && stored(w, weight)) || stored(w, &op->matrix[j].bias);
    }
    return any;
}

/* BF16 only if all matrices are; else the type of the first that is not. */
static omni_dtype matrices_dtype(const omni_model *m, const omni_weights *w) {
    size_t layer_ops = m->layer_op_count, in_layers = m->shape.layers * layer_ops;
    for (size_t i = 0; i < in_layers + m->final_op_count; i++) {
        const omni_op *op = i < in_layers ? &m->layer_ops[i % layer_ops] : &m->final_ops[i - in_layers];
        size_t layer = i < in_layers ? i / layer_ops : 0;
        for (size_t j = 0; j < op->matrices; j++) {
            const omni_matrix *x = &op->matrix[j];
            size_t rows = x->in_out ? x->in : x->stored_out, cols = x->in_out ? x->stored_out : x->in;
            const omni_tensor *t = omni_bind(w, &x->weight, layer, rows, cols, NULL);
            if (t && t->dtype != OMNI_BF16) return t->dtype;
        }
    }
    return OMNI_BF16;
}

static void bind_heads(omni_model *m, const omni_weights *w) {
    unsigned heads = 0;
    if (!m->shape.encoder) return;
    omni_model_set_heads(m, OMNI_HEAD_POOLER | OMNI_HEAD_MLM);
    for (size_t i = 0; i < m->final_op_count; i++)
        if (any_stored(m, w, &m->final_ops[i])) heads |= m->final_ops[i].head;
    omni_model_set_heads(m, heads);
}

void omni_bind_heads(omni_model *m, const omni_weights *w) {
    bind_heads(m, w);
    m->dtype = matrices_dtype(m, w);
}

omni_status omni_bind_compute(const omni_model *m, const omni_weights *w, omni_compute compute,
                              omni_error *err) {
    omni_dtype dtype = compute == OMNI_COMPUTE_BF16 ? matrices_dtype(m, w) : OMNI_BF16;
    if (dtype == OMNI_BF16) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT,
                          "%s: has weights in %s (expected BF16 alone, to compute in bf16)", m->name,
                          omni_dtype_name(dtype));
}

/* A table of the host port; one that the family does not have is no error. */
static bool bind_table(const omni_weights *w, const omni_tensor_name *name, size_t rows, size_t cols,
                       omni_error *err) {
    return !name->name[0] || omni_bind(w, name, 0, rows, cols, err);
}

omni_status omni_bind_all(const omni_model *m, const omni_weights *w, omni_error *err) {
    size_t hidden = m->shape.hidden;
    bool ok = bind_table(w, &m->embedding, m->shape.vocab, hidden, err) &&
              bind_table(w, &m->positions, m->shape.positions, hidden, err) &&
              bind_table(w, &m->types, m->shape.types, hidden, err) &&
              bind_table(w, &m->embed_norm_weight, hidden, 0, err) &&
              bind_table(w, &m->embed_norm_bias, hidden, 0, err);
    for (size_t l = 0; ok && l < m->shape.layers; l++)
        for (size_t i = 0; ok && i < m->layer_op_count; i++) ok = bind_op(m, w, &m->layer_ops[i], l, err);
    for (size_t i = 0; ok && i < m->final_op_count; i++) ok = bind_op(m, w, &m->final_ops[i], 0, err);
    return ok ? OMNI_OK : OMNI_BAD_INPUT;
}
