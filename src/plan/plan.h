/* plan.h (private): what the files of this room share. */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "omnibus/plan.h"

#define REPLICATED ((omni_placement){OMNI_REPLICATED, OMNI_DIM_NONE})
#define PARTIAL    ((omni_placement){OMNI_PARTIAL, OMNI_DIM_NONE})
#define ROOT       ((omni_placement){OMNI_ROOT, OMNI_DIM_NONE})
#define SHARDED(d) ((omni_placement){OMNI_SHARDED, OMNI_DIM_##d})

/* Rows of the attn table, and of attention.c's. */
enum { METHOD_ATTN_HEADS, METHOD_ATTN_TOKENS, METHOD_ATTN_SUBHEADS, METHODS_ATTN };

/* A tensor at `at` can be used where `want` is asked for, without moving anything. */
bool placement_satisfies(omni_placement at, omni_placement want);

/* What the user asked for on so many PEs, or the sentence that says why it cannot be. */
omni_status mesh_lay(const omni_model *model, const omni_plan_spec *spec, size_t pes, omni_mesh *mesh,
                     omni_error *err);

/* Joins the ranks of a mesh whose plan has messages for all groups at once, or says why it cannot
 * (lockstep.c). */
omni_status lockstep_join(const omni_plan_spec *spec, omni_mesh *mesh, omni_error *err);

/* Cuts the mesh further where a method of attention asks for it, or says why it cannot be. */
omni_status attention_lay(const omni_model *model, const omni_plan_spec *spec, omni_mesh *mesh,
                          omni_error *err);

/* Marks the steps that are done strip by strip, where the plan asks for it (overlap.c). */
void overlap_cut(omni_plan *plan);
/* The rows of a step know nothing of each other. */
bool overlap_possible(const omni_plan *plan, const omni_step *s);
/* And so do the features of what it yields. */
bool overlap_by_features(const omni_plan *plan, const omni_step *s);

/* Gives every value a buffer: values whose lifetimes don't overlap and whose shapes are the same share one.
 * On entry `storage` numbers groups of values that are updated in place. */
omni_status storage_assign(omni_plan *plan, omni_error *err);

#endif
