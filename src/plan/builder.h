/* builder.h (private): what the files that turn ops into steps share. See builder.c for the walk, ops.c for
 * the ops, attention.c for its methods: a new method is a row of the table in method.c and one there.
 */
#ifndef PLAN_BUILDER_H
#define PLAN_BUILDER_H

#include "plan/plan.h"

typedef struct builder {
    omni_plan *plan;
    const omni_model *model;
    size_t p;                      /* ranks on the inner axis where it is widest */
    size_t values, steps, weights; /* capacities */
    size_t groups;                 /* storage groups handed out */
    bool out_of_memory;
    int reg[OMNI_REGS];
    const omni_op *op; /* the one at hand ... */
    int layer;         /* ... and its layer */
    size_t at;         /* ... and its place in the walk ... */
    size_t stage;      /* ... and whose ranks execute it */
} builder;

/* Part of a value that is to be brought to a placement; `value` is where it is now, and then. */
typedef struct request {
    unsigned parts;
    omni_placement to;
    int value;
} request;

enum { ALL_PARTS = (1 << OMNI_MAX_PARTS) - 1, ROOT_RANK = 0 /* index */ };

/* --- what the ops ask of the walk (builder.c) ------------------------------------------------- */

const omni_methods *methods_of(const builder *b, int layer);
bool cut_along_in(const builder *b, const omni_op *op, int layer);
size_t attention_method(const builder *b, int layer); /* a row of its table; one rank has whole heads */
omni_placement taken_by(const builder *b, const omni_op *op, int layer);
/* What the next reader of a register, behind place `at`, takes. A hand-off takes the root's. */
omni_placement needed_after(const builder *b, size_t at, int reg);

/* --- values and steps ------------------------------------------------------------------------- */

omni_value *value_of(const builder *b, int v);
int new_value(builder *b, omni_value v);                   /* a tensor of its own */
int same_storage(builder *b, int from, omni_placement at); /* the same buffers: updated in place */
omni_value one_part(const char *name, omni_rows rows, omni_placement at, size_t width);
void cut_features(omni_value *v);                   /* one by one, as even as can be */
void cut_heads(const builder *b, omni_value *v);    /* whole heads: keys and values follow queries */
void cut_subheads(const builder *b, omni_value *v); /* heads over the ranks, their dims over a head's */
void cut_for_attention(const builder *b, omni_value *qkv); /* as the layer's method takes them */
omni_step *add_step(builder *b, omni_step_kind kind, int in, int out);
/* Runs where the value is: at the root alone when it is ROOT. */
omni_step *add_step_where(builder *b, omni_step_kind kind, int in, int out);
size_t add_weight(builder *b, const omni_value *in, const omni_value *out, bool split_in, bool split_out);

/* --- transforms ------------------------------------------------------------------------------- */

/* Brings a value where it is asked for; and parts of it, message by message, sharing what can be shared. */
int satisfy(builder *b, int value, omni_placement to);
void satisfy_parts(builder *b, int value, request *r, size_t n);

/* --- lockstep.c ------------------------------------------------------------------------------- */

/* Makes a matmul of whole activations one over weights that are broadcast, where the plan asks for it. */
void lockstep_stream(const builder *b, omni_step *matmul);
/* Keys and values into the cache; of tokens over groups, into everyone's. */
void lockstep_keep(builder *b, int qkv);

/* --- one function per kind of op, for b->op --------------------------------------------------- */

void build_norm(builder *b);
void build_projection(builder *b);
void build_attention(builder *b);
void build_activation(builder *b);
void build_residual(builder *b);
void build_rows(builder *b);
void build_result(builder *b);
void build_argmax(builder *b);

#endif
