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

void model_set_ops(model_block *b, const omni_op layer[], size_t layer_count, const omni_op final[],
                   size_t final_count) {
    memcpy(b->layer_ops, layer, layer_count * sizeof *layer);
    memcpy(b->final_ops, final, final_count * sizeof *final);
    b->model.layer_ops = b->layer_ops;
    b->model.layer_op_count = layer_count;
    b->model.final_ops = b->final_ops;
    b->model.final_op_count = final_count;
}

bool omni_tensor_name_format(const omni_tensor_name *t, size_t i, size_t layer, char buf[OMNI_NAME]) {
    if (i >= OMNI_CANDIDATES || !t->name[i]) return false;
    const char *name = t->name[i], *hole = strstr(name, "%zu");
    int length =
        hole ? snprintf(buf, OMNI_NAME, "%.*s%zu%s", (int)(hole - name), name, layer, hole + strlen("%zu"))
             : snprintf(buf, OMNI_NAME, "%s", name);
    return length > 0 && length < OMNI_NAME;
}

static uint64_t op_parameters(const omni_op *op, size_t hidden) {
    if (op->kind == OMNI_OP_NORM) return (uint64_t)hidden * (op->norm_bias.name[0] ? 2 : 1);
    uint64_t sum = 0;
    for (size_t i = 0; i < op->matrices; i++) {
        const omni_matrix *m = &op->matrix[i];
        sum += (uint64_t)m->out * (m->in + (m->bias.name[0] ? 1 : 0));
    }
    return sum;
}

uint64_t omni_model_parameters(const omni_model *model) {
    const omni_shape *s = &model->shape;
    uint64_t layer = 0, rest = (uint64_t)s->vocab * s->hidden;
    if (model->positions.name[0]) rest += (uint64_t)s->positions * s->hidden;
    for (size_t i = 0; i < model->layer_op_count; i++)
        layer += op_parameters(&model->layer_ops[i], s->hidden);
    for (size_t i = 0; i < model->final_op_count; i++) {
        const omni_op *op = &model->final_ops[i];
        if (op->role == OMNI_ROLE_HEAD && s->tied) continue;
        rest += op_parameters(op, s->hidden);
    }
    return layer * s->layers + rest;
}
