/* tensors.c: every tensor that a model's pass needs, once, in the order of the pass: what a checkpoint of
 * that model holds.
 *
 *   embedding, positions, types, their norm | layer 0: its ops' tensors | layer 1 ... | final norm, head
 *
 * One tensor may serve twice, as c_attn for q, k and v or a tied table for embedding and head; it is listed
 * at its first use. Each carries the distribution of an untrained model whose states stay near 1 at any
 * depth: y = W x has the variance of x when W has 1/in; what is added to the residual stream has that over
 * the number of additions, as in GPT-2's own initialization (Radford et al. 2019, section 2.3). A tied table
 * is also the head, so its rows have norm 1, or every token's logits would say that token again.
 */
#include <math.h>
#include <string.h>

#include "family.h"

static const float GAIN_STDDEV = 0.1f, BIAS_STDDEV = 0.02f;

typedef struct tensor_walk {
    const omni_model *model;
    omni_model_tensor *tensor; /* NULL: only count */
    size_t count, op_first;    /* op_first: where the present op's tensors begin */
} tensor_walk;

static void add(tensor_walk *w, const omni_tensor_name *name, size_t layer, size_t rows, size_t cols,
                float mean, double stddev) {
    omni_model_tensor t = {.stored = name, .layer = layer, .rank = cols ? 2 : 1, .shape = {rows, cols}};
    if (!name->name[0] || !omni_tensor_name_format(name, 0, layer, t.name)) return;
    for (size_t i = w->op_first; w->tensor && i < w->count; i++)
        if (strcmp(w->tensor[i].name, t.name) == 0) return;
    if (w->count && model_is_table(w->model, name)) return; /* a tied head */
    t.mean = mean;
    t.stddev = (float)stddev;
    if (w->tensor) w->tensor[w->count] = t;
    w->count++;
}

static void add_op(tensor_walk *w, const omni_op *op, size_t layer) {
    const omni_shape *s = &w->model->shape;
    bool added = op->role == OMNI_ROLE_O || op->role == OMNI_ROLE_DOWN;
    double additions = added ? 2 * (double)s->layers : 1;
    w->op_first = w->count;
    for (size_t j = 0; j < op->matrices; j++) {
        const omni_matrix *m = &op->matrix[j];
        add(w, &m->weight, layer, m->in_out ? m->in : m->stored_out, m->in_out ? m->stored_out : m->in, 0,
            sqrt(1 / ((double)m->in * additions)));
        add(w, &m->bias, layer, m->stored_out, 0, 0, (double)BIAS_STDDEV);
    }
    if (op->kind != OMNI_OP_NORM) return;
    add(w, &op->norm_weight, layer, s->hidden, 0, 1, (double)GAIN_STDDEV);
    add(w, &op->norm_bias, layer, s->hidden, 0, 0, (double)BIAS_STDDEV);
}

static void walk(tensor_walk *w) {
    const omni_model *m = w->model;
    const omni_shape *s = &m->shape;
    double table = s->tied ? sqrt(1 / (double)s->hidden) : 1;
    w->count = 0;
    add(w, &m->embedding, 0, s->vocab, s->hidden, 0, table);
    add(w, &m->positions, 0, s->positions, s->hidden, 0, table / 4);
    add(w, &m->types, 0, s->types, s->hidden, 0, table / 4);
    add(w, &m->embed_norm_weight, 0, s->hidden, 0, 1, (double)GAIN_STDDEV);
    add(w, &m->embed_norm_bias, 0, s->hidden, 0, 0, (double)BIAS_STDDEV);
    for (size_t layer = 0; layer < s->layers; layer++)
        for (size_t i = 0; i < m->layer_op_count; i++) add_op(w, &m->layer_ops[i], layer);
    for (size_t i = 0; i < m->final_op_count; i++) add_op(w, &m->final_ops[i], 0);
}

omni_status omni_model_tensors(const omni_model *model, omni_model_tensor **out, size_t *count,
                               omni_error *err) {
    tensor_walk w = {.model = model};
    walk(&w); /* without a list: an upper bound */
    *out = w.tensor = omni_alloc_array(w.count, sizeof *w.tensor);
    if (!w.tensor)
        return omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory for a list of %zu tensors", model->name,
                              w.count);
    walk(&w);
    *count = w.count;
    return OMNI_OK;
}
