/* plan_weights.c: what an op's weights take on a PE. The shards follow from the compiled plan; a matrix keeps
 * BF16 when all that are fused with it are BF16, else it is float32, as biases and norms always are.
 */
#include "plan.h"

static size_t element_bytes(const cli *c, const omni_weight *w) {
    if (!c->weights) return sizeof(float);
    for (size_t j = 0; j < w->op->matrices; j++) {
        const omni_matrix *m = &w->op->matrix[j];
        size_t rows = m->in_out ? m->in : m->stored_out, cols = m->in_out ? m->stored_out : m->in;
        const omni_tensor *t = omni_bind(c->weights, &m->weight, w->layer, rows, cols, NULL);
        if (!t || t->dtype != OMNI_BF16) return sizeof(float);
    }
    return omni_dtype_bytes(OMNI_BF16);
}

static uint64_t bytes_on(const cli *c, const omni_mesh *mesh, const omni_weight *w, size_t p, size_t index) {
    uint64_t out = omni_value_width(&w->out, p, index);
    if (w->op->kind == OMNI_OP_NORM) return out * sizeof(float) * (w->op->norm_bias.name[0] ? 2 : 1);
    if (w->panel) /* rank 0 keeps as much as any */
        return omni_weight_dealt_bytes(mesh, w, 0) +
               (w->op->matrix[0].bias.name[0] ? out * sizeof(float) : 0);
    uint64_t in = w->split_in ? omni_value_owned(&w->in, 0, p, index).count : w->in.part[0].width;
    bool bias = w->op->matrix[0].bias.name[0] && (!w->split_in || index == 0);
    return in * out * element_bytes(c, w) + (bias ? out * sizeof(float) : 0);
}

uint64_t plan_weight_bytes(const cli *c, const omni_plan *plan, const omni_explain *row) {
    size_t p = omni_mesh_ranks(&plan->mesh, 0, plan->step[row->step_first].stage).count;
    uint64_t most = 0;
    for (size_t index = 0; index < p; index++) {
        uint64_t bytes = 0;
        for (size_t i = row->step_first; i < row->step_first + row->step_count; i++)
            if (plan->step[i].weight != OMNI_NO_WEIGHT)
                bytes += bytes_on(c, &plan->mesh, &plan->weight[plan->step[i].weight], p, index);
        most = bytes > most ? bytes : most;
    }
    return most;
}
