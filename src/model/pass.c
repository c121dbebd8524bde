/* pass.c: the pieces a family draws its forward pass with, and what can be told from any drawing: tensor
 * names with the layer filled in, and how many parameters it has.
 */
#include <stdio.h>
#include <string.h>

#include "family.h"

omni_matrix model_matrix(const char *label, omni_tensor_name weight, size_t in, size_t out) {
    return (omni_matrix){.label = label, .weight = weight, .in = in, .out = out, .stored_out = out};
}

omni_op model_op(omni_op_kind kind, const char *name, int in, int out) {
    return (omni_op){.kind = kind, .name = name, .in = in, .out = out};
}

omni_op model_projection(omni_role role, int in, int out, const omni_matrix matrices[], size_t count) {
    static const char *const names[] = {[OMNI_ROLE_QKV] = "qkv",
                                        [OMNI_ROLE_O] = "o",
                                        [OMNI_ROLE_UP] = "up",
                                        [OMNI_ROLE_DOWN] = "down",
                                        [OMNI_ROLE_HEAD] = "head"};
    omni_op op = model_op(OMNI_OP_PROJECTION, names[role], in, out);
    op.role = role;
    op.matrices = count;
    memcpy(op.matrix, matrices, count * sizeof *matrices);
    return op;
}

void model_set_layer_ops(model_block *b, const omni_op ops[], size_t count) {
    memcpy(b->layer_ops, ops, count * sizeof *ops);
    b->model.layer_ops = b->layer_ops;
    b->model.layer_op_count = count;
}

void model_set_final_ops(model_block *b, const omni_op ops[], size_t count) {
    memcpy(b->all_final_ops, ops, count * sizeof *ops);
    b->all_final_op_count = count;
    b->model.final_ops = b->final_ops;
    omni_model_set_heads(&b->model, 0);
}

void omni_model_set_heads(omni_model *model, unsigned heads) {
    model_block *b = (model_block *)model; /* its first member */
    model->heads = heads;
    model->final_op_count = 0;
    for (size_t i = 0; i < b->all_final_op_count; i++) {
        const omni_op *op = &b->all_final_ops[i];
        if ((op->head & ~heads) == 0) b->final_ops[model->final_op_count++] = *op;
    }
}

bool omni_tensor_name_format(const omni_tensor_name *t, size_t i, size_t layer, char buf[OMNI_NAME]) {
    if (i >= OMNI_CANDIDATES || !t->name[i]) return false;
    const char *name = t->name[i], *hole = strstr(name, "%zu");
    int length =
        hole ? snprintf(buf, OMNI_NAME, "%.*s%zu%s", (int)(hole - name), name, layer, hole + strlen("%zu"))
             : snprintf(buf, OMNI_NAME, "%s", name);
    return length > 0 && length < OMNI_NAME;
}

bool model_is_table(const omni_model *model, const omni_tensor_name *name) {
    return strcmp(name->name[0], model->embedding.name[0]) == 0;
}

static uint64_t norm_parameters(const omni_tensor_name *weight, const omni_tensor_name *bias, size_t hidden) {
    return (weight->name[0] ? hidden : 0) + (bias->name[0] ? hidden : 0);
}

static uint64_t op_parameters(const omni_model *model, const omni_op *op) {
    uint64_t sum = norm_parameters(&op->norm_weight, &op->norm_bias, model->shape.hidden);
    for (size_t i = 0; i < op->matrices; i++) {
        const omni_matrix *m = &op->matrix[i];
        if (!model_is_table(model, &m->weight)) sum += (uint64_t)m->out * m->in;
        if (m->bias.name[0]) sum += m->out;
    }
    return sum;
}

uint64_t omni_model_parameters(const omni_model *model) {
    const omni_shape *s = &model->shape;
    uint64_t layer = 0, rest = (uint64_t)s->vocab * s->hidden;
    if (model->positions.name[0]) rest += (uint64_t)s->positions * s->hidden;
    if (model->types.name[0]) rest += (uint64_t)s->types * s->hidden;
    rest += norm_parameters(&model->embed_norm_weight, &model->embed_norm_bias, s->hidden);
    for (size_t i = 0; i < model->layer_op_count; i++) layer += op_parameters(model, &model->layer_ops[i]);
    for (size_t i = 0; i < model->final_op_count; i++) rest += op_parameters(model, &model->final_ops[i]);
    return layer * s->layers + rest;
}
