/* golden.h: inside the room. A golden file while it is read: golden.c knows the two forms and the states,
 * golden_decoder.c and golden_encoder.c what else a file says of their kind of model.
 *
 * Lookups set *out to NULL when the file lacks the tensor; that alone is no error.
 */
#ifndef OMNIBUS_VERIFY_GOLDEN_H
#define OMNIBUS_VERIFY_GOLDEN_H

#include "truth.h"

typedef struct golden {
    const char *path;
    const omni_model *model;
    omni_weights *file;
    omni_truth *truth;
    omni_error *err;
    size_t first;    /* prompt of the truth that is row 0 of this batch */
    char prefix[24]; /* "" or "p3." */
    size_t B, T, S;
} golden;

/* A tensor that a model's files can't have, and why: "has no pooler". */
typedef struct golden_refused {
    const char *name, *why;
} golden_refused;

typedef struct golden_kind {
    const golden_refused *refused;          /* up to one without a name */
    const char *outputs;                    /* of load_outputs, for a message: "logits_last or decode_ids" */
    omni_status (*load_lengths)(golden *g); /* the prompts' tokens and steps, and S */
    omni_status (*load_outputs)(const golden *g); /* after ids and states */
} golden_kind;
extern const golden_kind golden_decoder, golden_encoder;

/* The tensor `name` of this batch, dtype and rank checked; then with every dimension known. */
omni_status golden_find(const golden *g, const char *name, omni_dtype dtype, size_t rank,
                        const omni_tensor **out);
omni_status golden_find_shape(const golden *g, const char *name, omni_dtype dtype, size_t rank,
                              const size_t *shape, const omni_tensor **out);
/* An error when this batch has any of them. */
omni_status golden_refuse(const golden *g, const golden_refused *refused);

/* Elements [first, first + count) as an array of the truth. NULL: no memory, or unreadable. */
double *golden_copy_f64(const golden *g, const omni_tensor *t, size_t first, size_t count);
int32_t *golden_copy_i32(const golden *g, const omni_tensor *t, size_t first, size_t count);

/* F64 tensor [B, ...]: row b becomes the array that the field at this offset of prompt b points to. */
omni_status golden_load_rows(const golden *g, const char *name, size_t rank, const size_t *shape,
                             size_t field);
#define GOLDEN_FIELD(name) offsetof(omni_prompt_truth, name)

static inline omni_prompt_truth *golden_prompt(const golden *g, size_t b) {
    return &g->truth->prompt[g->first + b];
}

#endif
