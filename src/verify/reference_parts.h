/* reference_parts.h: inside the reference: its state, and the parts that all models are made of.
 *
 * Parts don't return a status: the first failure stays in ref->status, and every part does nothing from then
 * on. So a forward pass reads as its paper does, and is checked once, at its end.
 */
#ifndef OMNIBUS_VERIFY_REFERENCE_PARTS_H
#define OMNIBUS_VERIFY_REFERENCE_PARTS_H

#include "reference.h"

enum { REF_NAME = 160 };

/* A model: where its checkpoints keep their tensors, and its forward pass in two halves.
 *
 * forward: embed, every layer (ref_tap before the first and after each), the last state into ref->h.
 * head: what rows want beyond it. */
typedef struct reference_family {
    const char *name;
    const char *prefix[2]; /* of all names but the head's; the usual one first */
    const char *embedding;
    const char *norm; /* a norm outside the layers: where it is, the prefix is */
    const char *head_weight;
    void (*forward)(reference *ref, const reference_row *row, size_t rows);
    void (*head)(reference *ref, const reference_row *row, size_t rows);
} reference_family;

extern const reference_family ref_llama, ref_gpt2, ref_bert;

/* What a row may look at. */
typedef enum reference_sight {
    REF_EARLIER, /* its sequence up to itself */
    REF_ALL      /* all of its sequence */
} reference_sight;

struct reference {
    const reference_family *family;
    omni_shape shape;
    const omni_weights *w;
    const omni_stop *stop;
    omni_meter *meter; /* NULL: none */
    omni_status status;
    omni_error *err;
    const char *prefix;
    char scope[48];                      /* what names begin with: prefix, or prefix and layer */
    const omni_tensor *embedding, *head; /* [vocab, hidden], the same when tied; head NULL: BERT without */
    size_t sequences, capacity;
    size_t *lengths;       /* [sequences] positions remembered */
    double *keys, *values; /* [layers, sequences, capacity, kv_heads * head_dim] */
    double *scores;        /* [capacity] */
    double *block;         /* converted weights */
    size_t block_elements; /* at least the longest row of any matrix, and the longest vector */
    double *x, *h;         /* [rows, hidden]: the residual stream; its norm, the last state */
    double *q, *k, *v;     /* [rows, heads * head_dim]; [rows, kv_heads * head_dim] twice */
    double *a, *b; /* [rows, heads * head_dim]: attention's output; [rows, hidden]: a branch's output */
    double *u, *g; /* [rows, max(ffn, q + k + v)]: the FFN's middle, its gate; GPT-2's fused q|k|v */
};

/* The tensor of this full name. NULL, the failure stored, unless it is there, [rows, cols] (cols = 0:
 * [rows]), and of a weight's dtype. */
const omni_tensor *ref_bind(reference *ref, const char *name, size_t rows, size_t cols);

/* Names that follow are whole; or begin with the prefix; or with "<prefix><group>.<layer>.". */
void ref_scope_none(reference *ref);
void ref_scope_top(reference *ref);
void ref_scope_layer(reference *ref, const char *group, size_t layer);

/* y = x W^T, plus name.bias [out] if it has one; name.weight [out, in], as Linear stores it. x [rows, in], y
 * [rows, out] */
void ref_linear(reference *ref, const char *name, const double *x, size_t rows, size_t in, double *y,
                size_t out, bool has_bias);
/* y = x W + b; name.weight [in, out], as Conv1D stores it, name.bias [out] */
void ref_conv1d(reference *ref, const char *name, const double *x, size_t rows, size_t in, double *y,
                size_t out);
/* y = norm of ref->x, name.weight (and .bias) [hidden], or gamma (and beta); y [rows, hidden] */
void ref_rms_norm(reference *ref, const char *name, size_t rows, double *y);
void ref_layer_norm(reference *ref, const char *name, size_t rows, double *y);
/* y = row `index` of name.weight [count, hidden] */
void ref_lookup(reference *ref, const char *name, size_t count, size_t index, double *y);
/* ref->x = embedding of each row's token */
void ref_embed(reference *ref, const reference_row *row, size_t rows);
/* Remembers ref->k and ref->v, then ref->a = attention of ref->q over what each row may look at. */
void ref_attention(reference *ref, size_t layer, reference_sight sight, const reference_row *row,
                   size_t rows);
/* u = the shape's activation of u, n elements */
void ref_activate(const reference *ref, double *u, size_t n);
/* y += x, n elements */
void ref_add(const reference *ref, double *y, const double *x, size_t n);
/* ref->x is layer `layer`'s input: hands it to the rows that want it. */
void ref_tap(const reference *ref, size_t layer, const reference_row *row, size_t rows);
/* Logits of x [rows, hidden] for the rows that want them; then their bias, the vector `name` [vocab]. */
void ref_logits(reference *ref, const double *x, const reference_row *row, size_t rows);
void ref_logits_bias(reference *ref, const char *name, const reference_row *row, size_t rows);
/* A language model's head: logits of ref->h. */
void ref_lm_head(reference *ref, const reference_row *row, size_t rows);
/* Whether the checkpoint has a tensor of this full name. */
bool ref_has(const reference *ref, const char *prefix, const char *name);

#endif
