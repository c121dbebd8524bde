/* lockstep.c: all PEs in the same layer at the same time, on sequences of their own; weights are dealt out
 * over all of them and broadcast, panel by panel, when they are used.
 *
 *   W [out, in] in panels of 16 outputs     PE 0: 0 1 2   PE 1: 3 4   PE 2: 5 6      7 panels over 3 PEs
 *   a projection                            PE 0 broadcasts 0 1 2, PE 1 then 3 4, PE 2 then 5 6
 *   each PE, as they arrive                 y[:, 16j .. 16j+16) = x W_j^T, its rows of x, all of its columns
 *
 * So a projection is one message step for all groups, whoever has sequences: who has none serves its panels.
 * It costs the same whatever the batch: a broadcast for each PE that keeps panels, and the bytes of the
 * tensor.
 *
 * over=token: the PEs have their own tokens instead, of one long sequence or of many. Attention needs the
 * keys and values of all of them, so those of new tokens go to everyone, a broadcast of each PE that has any;
 * all keep all. A pass of one token keeps one PE busy, and the others serve weights. (With weights of their
 * own they serve nothing.)
 */
#include "plan/builder.h"

/* --- what is dealt out ------------------------------------------------------------------------ */

static size_t outputs_of(const omni_weight *w) {
    size_t outputs = 0;
    for (size_t j = 0; j < w->out.parts; j++) outputs += w->out.part[j].width;
    return outputs;
}

omni_range omni_weight_dealt(const omni_mesh *mesh, const omni_weight *w, size_t rank) {
    size_t outputs = outputs_of(w), panels = outputs / w->panel + (outputs % w->panel != 0);
    omni_range own = rank < mesh->used ? omni_split(panels, mesh->used, rank) : (omni_range){0, 0};
    if (own.count == 0) return own;
    size_t start = own.start * w->panel, end = start + own.count * w->panel;
    return (omni_range){start, (end < outputs ? end : outputs) - start};
}

size_t omni_weight_dealt_bytes(const omni_mesh *mesh, const omni_weight *w, size_t rank) {
    return omni_weight_dealt(mesh, w, rank).count * w->in.part[0].width * omni_dtype_bytes(w->dtype);
}

/* --- what can be built ------------------------------------------------------------------------ */

omni_status lockstep_join(const omni_plan_spec *spec, omni_mesh *mesh, omni_error *err) {
    size_t most = omni_mesh_ranks(mesh, 0, 0).count;
    const char *part = spec->stream ? "weights=stream" : "over=token";
    if (!spec->stream && !spec->over_tokens) return OMNI_OK;
    if (mesh->stages > 1)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "plan '%s': %s needs all PEs in the same layer, but there are %zu stages (the nearest "
            "that can: stages=1)",
            spec->name, part, mesh->stages);
    if (most > 1)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "plan '%s': %s needs whole activations on every PE, but groups of %zu PEs cut them (the "
            "nearest that can: groups=each)",
            spec->name, part, most);
    mesh->tokens = spec->over_tokens;
    mesh->joined = mesh->used > 1; /* alone, a PE keeps all weights itself */
    return OMNI_OK;
}

/* --- steps ------------------------------------------------------------------------------------ */

void lockstep_stream(const builder *b, omni_step *matmul) {
    if (!b->plan->mesh.joined || !b->plan->spec.stream || b->out_of_memory) return;
    omni_weight *w = &b->plan->weight[matmul->weight];
    matmul->kind = OMNI_STEP_STREAM;
    matmul->cut = OMNI_CUT_ALL;
    w->panel = OMNI_PANEL;
    w->dtype = b->model->dtype == OMNI_BF16 ? OMNI_BF16 : OMNI_F32; /* F16 is kept as F32 */
}

void lockstep_keep(builder *b, int qkv) {
    if (!b->plan->mesh.joined || !b->plan->mesh.tokens) {
        add_step(b, OMNI_STEP_KV_APPEND, qkv, OMNI_NO_VALUE);
        return;
    }
    omni_value kv = *value_of(b, qkv); /* a group's at a time */
    kv.name = "keys and values";
    kv.part[0].width = 0;
    cut_features(&kv);
    omni_step *share = add_step(b, OMNI_STEP_KV_SHARE, qkv, new_value(b, kv));
    share->cut = OMNI_CUT_ALL;
    share->parts = 6; /* k, v */
}
