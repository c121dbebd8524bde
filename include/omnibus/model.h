/* model.h: what a transformer is, as data: its shape, and its forward pass as a list of ops with the
 * names of the tensors they need. No math, no ranks, no files other than config.json.
 *
 * A family is one file in src/model/ and one row in the registry. The pass is layer_ops, once per layer,
 * then final_ops. Ops speak about virtual registers (small integers), REG_X being the residual stream:
 *
 *   llama, gpt2 layer:  NORM x->h  PROJECTION(qkv) h->a  ATTENTION a->b  PROJECTION(o) b->a
 *                       RESIDUAL x,a->x  NORM x->h  PROJECTION(up) h->a  ACTIVATION a->b
 *                       PROJECTION(down) b->a  RESIDUAL x,a->x
 *   at the end:         ROWS(last) x->x  NORM x->h  PROJECTION(head) h->a  ARGMAX a
 *
 *   bert layer:         PROJECTION(qkv) x->a  ATTENTION a->b  PROJECTION(o) b->a  RESIDUAL x,a->x  NORM x->x
 *                       PROJECTION(up) x->a  ACTIVATION a->b  PROJECTION(down) b->a  RESIDUAL x,a->x
 *                       NORM x->x
 *   at the end:         ROWS(first) x->h  [PROJECTION(pooler) h->a  ACTIVATION a->h]  RESULT h
 *                       [ROWS(marked) x->h  PROJECTION h->a  ACTIVATION a->h  NORM h->h
 *                       PROJECTION(head) h->a  ARGMAX a]
 *
 * Ownership: omni_model is one heap block; free with omni_model_free. Immutable after load: any thread.
 */
#ifndef OMNIBUS_MODEL_H
#define OMNIBUS_MODEL_H

#include "omnibus/base.h"

/* How rotary frequencies differ from theta^(-2i/head_dim). */
typedef enum omni_rope_kind {
    OMNI_ROPE_DEFAULT,
    OMNI_ROPE_LINEAR, /* all divided by `factor` (Chen et al., arXiv:2306.15595) */
    OMNI_ROPE_LLAMA3  /* the slow ones divided by `factor`, the fast ones not, those between blended */
} omni_rope_kind;

typedef struct omni_rope_scaling {
    omni_rope_kind kind;
    double factor;
    double low_freq_factor, high_freq_factor; /* LLAMA3: slow and fast are up to so many turns in ... */
    double original_positions;                /* ... the positions that the model was trained on first */
} omni_rope_scaling;

typedef struct omni_shape {
    size_t layers;
    size_t hidden;    /* D */
    size_t heads;     /* H, query heads */
    size_t kv_heads;  /* divides heads */
    size_t head_dim;  /* h; heads * head_dim need not be hidden */
    size_t ffn;       /* F */
    size_t vocab;     /* V */
    size_t positions; /* longest sequence */
    double norm_eps;
    double rope_theta; /* 0: no rotary embedding */
    omni_rope_scaling rope;
    omni_activation activation;
    bool attention_bias;     /* Llama: q, k, v and o have one */
    bool mlp_bias;           /* Llama: gate, up and down have one */
    bool attn_unscaled;      /* GPT-2: scores are not divided by sqrt(head_dim) */
    bool attn_inverse_layer; /* GPT-2: scores of layer l are divided by l + 1 as well */
    bool tied;               /* the LM head is the embedding table */
    bool encoder; /* BERT: attention sees all of a sequence, so nothing can be generated; no final norm */
    size_t types; /* BERT: token types (segments); 0: the family has none */
} omni_shape;

typedef enum omni_op_kind {
    OMNI_OP_NORM,
    OMNI_OP_PROJECTION,
    OMNI_OP_ATTENTION,
    OMNI_OP_ACTIVATION,
    OMNI_OP_RESIDUAL,
    OMNI_OP_ROWS,   /* keep some rows: omni_pick */
    OMNI_OP_RESULT, /* the rows as they are go to the host port */
    OMNI_OP_ARGMAX  /* the index of each row's largest does */
} omni_op_kind;

/* Which rows ROWS keeps. */
typedef enum omni_pick {
    OMNI_PICK_LAST,  /* the last position of each sequence */
    OMNI_PICK_FIRST, /* the first, BERT's [CLS] */
    OMNI_PICK_MARKED /* those that the caller marks, BERT's [MASK]s */
} omni_pick;

/* What an encoder may have behind its layers. A checkpoint may lack either. */
enum { OMNI_HEAD_POOLER = 1, OMNI_HEAD_MLM = 2 };

/* Which entry of a plan governs a projection. */
typedef enum omni_role {
    OMNI_ROLE_NONE,
    OMNI_ROLE_QKV,
    OMNI_ROLE_O,
    OMNI_ROLE_UP,   /* first matrix of the FFN */
    OMNI_ROLE_DOWN, /* second */
    OMNI_ROLE_HEAD  /* behind the layers: always split-out */
} omni_role;

enum { OMNI_REG_X, OMNI_REG_H, OMNI_REG_A, OMNI_REG_B, OMNI_REGS };
enum { OMNI_MAX_PARTS = 3, OMNI_NAME = 96, OMNI_CANDIDATES = 4 };

/* One tensor as checkpoints may store it. A name may hold one %zu, the layer. */
typedef struct omni_tensor_name {
    const char *name[OMNI_CANDIDATES]; /* best first; unused ones NULL */
} omni_tensor_name;

/* One matrix of a (possibly fused) projection: q, k or v; gate or up. y = x W^T + b, W [out, in]. */
typedef struct omni_matrix {
    const char *label; /* "q", "k", "gate" ... */
    omni_tensor_name weight;
    omni_tensor_name bias; /* name[0] NULL: none. [stored_out] */
    size_t in, out;
    bool in_out;       /* stored transposed, [in, stored_out] (GPT-2 Conv1D); else [stored_out, in] */
    size_t stored_out; /* the tensor's own out size, >= out */
    size_t out_offset; /* where this matrix begins in it (c_attn: k at D) */
} omni_matrix;

typedef struct omni_op {
    omni_op_kind kind;
    omni_role role;
    const char *name; /* "attn_norm", "qkv", "attention", "o", "attn_residual", "ffn_norm", "up", ... */
    int in, out;      /* registers; RESIDUAL: out = REG_X + in, REG_X being the other operand */
    size_t matrices;  /* PROJECTION */
    omni_matrix matrix[OMNI_MAX_PARTS];
    omni_norm norm; /* NORM; [hidden] */
    omni_tensor_name norm_weight, norm_bias;
    omni_activation activation; /* ACTIVATION; SWIGLU: [rows, gate F | up F] -> [rows, F] */
    omni_pick pick;             /* ROWS */
    unsigned head;              /* the optional head that it is part of; 0: none */
} omni_op;

typedef struct omni_model omni_model;
struct omni_model {
    const char *family; /* "llama", "gpt2", "bert" */
    char name[128];     /* directory or file it came from, for reports */
    omni_shape shape;
    size_t layer_op_count, final_op_count;
    const omni_op *layer_ops, *final_ops;
    omni_tensor_name embedding;                          /* [vocab, hidden] */
    omni_tensor_name positions;                          /* [positions, hidden]; name[0] NULL: none */
    omni_tensor_name types;                              /* [types, hidden]; name[0] NULL: none */
    omni_tensor_name embed_norm_weight, embed_norm_bias; /* LayerNorm of their sum, [hidden]; or NULL */
    unsigned heads; /* which of an encoder's optional heads final_ops has */
    int64_t eos[8]; /* end-of-sequence ids from config.json */
    size_t eos_count;
    /* torch_dtype of config.json, F32 when it names none of F32, F16, BF16; of an opened checkpoint what its
     * matrices are (omni_bind_heads) */
    omni_dtype dtype;
};

/* path: a config.json, or a directory that holds one. A feature that is not supported is refused by
 * name (OMNI_BAD_INPUT), never ignored. */
omni_status omni_model_load(const char *path, omni_model **out, omni_error *err);

/* The same from text; `source` names it in errors. */
omni_status omni_model_parse(const char *json, size_t bytes, const char *source, omni_model **out,
                             omni_error *err);

/* Gives an encoder these heads and no others. A config promises a pooler, and an MLM head where its
 * `architectures` say so; which there are only the weights know (omni_bind_heads). */
void omni_model_set_heads(omni_model *model, unsigned heads);

void omni_model_free(omni_model *model);

/* The config.json of `path` as text, with that many layers and that type (F32, F16 or BF16), all else as it
 * is. Free with omni_free. */
omni_status omni_model_rewrite(const char *path, size_t layers, omni_dtype dtype, char **out,
                               omni_error *err);

/* Writes candidate `i` with the layer filled in; false when there is no such candidate. */
bool omni_tensor_name_format(const omni_tensor_name *t, size_t i, size_t layer, char buf[OMNI_NAME]);

/* One tensor of a checkpoint of the model, and what an untrained one would hold: values of this mean and
 * standard deviation keep states and logits near 1 at any depth. */
typedef struct omni_model_tensor {
    char name[OMNI_NAME];           /* the best of its names, the layer filled in */
    const omni_tensor_name *stored; /* all of them; in the model */
    size_t layer;
    size_t rank, shape[2]; /* as stored: [in, out] for a Conv1D */
    float mean, stddev;
} omni_model_tensor;

/* Every tensor that the forward pass uses, once (a fused or a tied one where it is first used), in the order
 * of the pass. Free with omni_free, before the model. */
omni_status omni_model_tensors(const omni_model *model, omni_model_tensor **out, size_t *count,
                               omni_error *err);

/* Rotary frequencies, scaled: inverse [head_dim/2], radians a position. Float64; rope_theta > 0. */
void omni_rope_inverse(const omni_shape *shape, double *inverse);

/* What attention scores q.k of a layer are multiplied with. */
double omni_attention_scale(const omni_shape *shape, size_t layer);

/* Number of elements in all the tensors that the forward pass uses, a tied table counted once. */
uint64_t omni_model_parameters(const omni_model *model);

/* "llama, gpt2, bert": for messages and --help. */
const char *omni_model_families(void);

#endif
