/* mesh.c: which ranks stand where, and which pieces the bus is cut into.
 *
 *   used ranks   0 1 2 3 4 5 6            groups=2:stages=2 on 7 PEs
 *   groups       0 0 0 0|1 1 1
 *   stages       0 0|1 1|0 0|1            inner sizes 2 2 2 1
 *
 * Sub-heads cut the inner axis again: 5 ranks of a stage and 2 heads, 0 0 0|1 1.
 */
#include "plan/plan.h"

/* Ranks of stage `stage` of a group that has the ranks `group`. */
static omni_range stage_ranks(omni_range group, size_t stages, size_t stage) {
    omni_range r = omni_split(group.count, stages, stage);
    return (omni_range){group.start + r.start, r.count};
}

omni_range omni_mesh_ranks(const omni_mesh *mesh, size_t group, size_t stage) {
    return stage_ranks(omni_split(mesh->used, mesh->groups, group), mesh->stages, stage);
}

omni_seat omni_mesh_seat(const omni_mesh *mesh, size_t rank) {
    if (rank >= mesh->used) return (omni_seat){.idle = true};
    size_t group = omni_split_owner(mesh->used, mesh->groups, rank);
    omni_range ranks = omni_split(mesh->used, mesh->groups, group);
    size_t stage = omni_split_owner(ranks.count, mesh->stages, rank - ranks.start);
    omni_range seats = stage_ranks(ranks, mesh->stages, stage);
    return (omni_seat){
        .group = group, .stage = stage, .first = seats.start, .p = seats.count, .index = rank - seats.start};
}

size_t omni_mesh_pieces_in(const omni_mesh *mesh, omni_cut cut) {
    return cut == OMNI_CUT_HEAD ? mesh->heads : 1;
}

omni_range omni_mesh_piece(const omni_mesh *mesh, omni_cut cut, size_t group, size_t stage, size_t k) {
    if (cut == OMNI_CUT_ALL) return (omni_range){0, mesh->used};
    omni_range piece = omni_mesh_ranks(mesh, group, stage);
    if (cut == OMNI_CUT_BOUNDARY) piece.count += omni_mesh_ranks(mesh, group, stage + 1).count;
    if (cut != OMNI_CUT_HEAD) return piece;
    omni_range head = omni_split(piece.count, mesh->heads, k);
    return (omni_range){piece.start + head.start, head.count};
}

/* Pieces of that cut in a group. */
static size_t pieces_of(const omni_mesh *mesh, omni_cut cut) {
    return (mesh->stages - (cut == OMNI_CUT_BOUNDARY)) * omni_mesh_pieces_in(mesh, cut);
}

size_t omni_mesh_pieces(const omni_mesh *mesh) {
    size_t sum = mesh->joined;
    for (size_t cut = 0; cut < OMNI_CUT_ALL; cut++) sum += mesh->groups * pieces_of(mesh, (omni_cut)cut);
    return sum;
}

/* Stage 0, 1, ... of group 0, of group 1, ...; then the boundaries, then the heads, in the same way; then all
 * ranks together. */
size_t omni_mesh_piece_number(const omni_mesh *mesh, omni_cut cut, size_t group, size_t stage, size_t k) {
    size_t before = 0;
    for (size_t c = 0; c < cut; c++) before += mesh->groups * pieces_of(mesh, (omni_cut)c);
    return before + group * pieces_of(mesh, cut) + stage * omni_mesh_pieces_in(mesh, cut) + k;
}

/* Group 0 and its stage 0 are never smaller than others. */
size_t omni_plan_widest(const omni_plan *plan) {
    return omni_mesh_ranks(&plan->mesh, 0, 0).count;
}

omni_status mesh_lay(const omni_model *model, const omni_plan_spec *spec, size_t pes, omni_mesh *mesh,
                     omni_error *err) {
    size_t layers = model->shape.layers;
    *mesh = (omni_mesh){.pes = pes, .used = spec->whole ? 1 : pes};
    mesh->groups = spec->groups == OMNI_EACH_PE ? pes : spec->groups;
    mesh->stages = spec->stages;
    if (mesh->groups > pes)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "plan '%s': groups=%zu on %zu PE%s (expected at most one group for each PE)",
                              spec->name, mesh->groups, pes, pes == 1 ? "" : "s");
    if (spec->stages == OMNI_EACH_PE) { /* PEs beyond the layers are idle */
        mesh->stages = pes / mesh->groups < layers ? pes / mesh->groups : layers;
        mesh->used = mesh->groups * mesh->stages;
    }
    if (mesh->stages > layers)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "plan '%s': stages=%zu of %zu layers (expected at most one stage for each layer)", spec->name,
            mesh->stages, layers);
    if (mesh->stages > pes / mesh->groups)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "plan '%s': %zu group%s of %zu stages on %zu PE%s (expected at least one PE for each stage)",
            spec->name, mesh->groups, mesh->groups == 1 ? "" : "s", mesh->stages, pes, pes == 1 ? "" : "s");
    return lockstep_join(spec, mesh, err);
}
