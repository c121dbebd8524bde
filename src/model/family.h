/* family.h: what the files of this room share: a reader of config.json that remembers its first error, and
 * the pieces a family draws its forward pass with.
 *
 * A family is one function: read the shape, refuse what is not supported, name the tensors, list the ops.
 *
 *     config.json --> model_config --> llama.c / gpt2.c / bert.c --> model_block {omni_model, its ops}
 *                         rope.c ------^
 *
 * Bounds. Sizes from a file are trusted by everybody above, so they are bounded here: with the limits below
 * all parameters of a model, and one full-length KV cache in float32, count fewer than 2^63 bytes.
 */
#ifndef OMNIBUS_MODEL_FAMILY_H
#define OMNIBUS_MODEL_FAMILY_H

#include <jansson.h>

#include "omnibus/model.h"

enum {
    MODEL_MAX_LAYERS = 1 << 16,
    MODEL_MAX_WIDTH = 1 << 20, /* hidden, ffn, heads * head_dim */
    MODEL_MAX_POSITIONS = 1 << 24,
    MODEL_MAX_VOCAB = 1 << 28,
    MODEL_MAX_OPS = 12
};

/* --- reading config.json ---------------------------------------------------------------------- */

/* The first error stays in `status` (and in err). Getters go on after it and return something harmless, never
 * zero for a size, so that a family reads all its fields in a row and looks at `status` once. */
typedef struct model_config {
    const json_t *object;
    const char *source; /* file, for messages */
    omni_error *err;
    omni_status status;
} model_config;

/* "SOURCE: " and the text. */
void model_config_error(model_config *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A whole number in 1..max; required, or (`_or`) `fallback` when absent or null. */
size_t model_config_size(model_config *c, const char *field, size_t max);
size_t model_config_size_or(model_config *c, const char *field, size_t max, size_t fallback);

/* A number in 1e-30..1e30; required, or (`_or`) `fallback` when absent. */
double model_config_positive(model_config *c, const char *field);
double model_config_positive_or(model_config *c, const char *field, double fallback);

bool model_config_bool_or(model_config *c, const char *field, bool fallback);

/* A string out of words[count]: its index. 0 when absent, and with an error. */
size_t model_config_word(model_config *c, const char *field, const char *const words[], size_t count);

/* One of transformers' names for a function of one input; `fallback` when absent. */
omni_activation model_config_activation(model_config *c, const char *field, omni_activation fallback);

/* A feature that changes the result and is not supported: its field must be absent or at its neutral value.
 */
typedef enum model_neutral {
    MODEL_NEUTRAL_OFF, /* null, false, 0 or empty */
    MODEL_NEUTRAL_ONE, /* 1 */
    MODEL_NEUTRALS
} model_neutral;

typedef struct model_feature {
    const char *field;
    model_neutral neutral;
} model_feature;

void model_config_refuse(model_config *c, const model_feature features[], size_t count);

/* eos_token_id: absent, null, a number or a list of numbers. */
void model_config_eos(model_config *c, omni_model *model);

/* torch_dtype, or dtype as newer files call it. */
omni_dtype model_config_dtype(const model_config *c);

/* The value as JSON, cut to the buffer, for "found ...". Returns buf. */
const char *model_config_show(const json_t *value, char *buf, size_t cap);

/* --- drawing the pass ------------------------------------------------------------------------- */

typedef struct model_block {
    omni_model model; /* first: the block is freed by this address */
    omni_op layer_ops[MODEL_MAX_OPS], final_ops[MODEL_MAX_OPS]; /* those of the heads it has */
    omni_op all_final_ops[MODEL_MAX_OPS];
    size_t all_final_op_count;
} model_block;

/* A whole matrix of its own tensor, stored [out, in], without bias, features independent of heads. */
omni_matrix model_matrix(const char *label, omni_tensor_name weight, size_t in, size_t out);

omni_op model_projection(omni_role role, int in, int out, const omni_matrix matrices[], size_t count);
omni_op model_op(omni_op_kind kind, const char *name, int in, int out);

/* Copy the lists into the block. The pass has what belongs to no head, until omni_model_set_heads. */
void model_set_layer_ops(model_block *b, const omni_op ops[], size_t count);
void model_set_final_ops(model_block *b, const omni_op ops[], size_t count);

/* A head that is tied is named as the embedding table is. */
bool model_is_table(const omni_model *model, const omni_tensor_name *name);

/* --- writing config.json ---------------------------------------------------------------------- */

/* Changes the two fields and prints all of it; free with omni_free. */
omni_status model_edit(json_t *root, const char *layers_field, size_t layers, omni_dtype dtype,
                       const char *source, char **out, omni_error *err);

/* --- rotary frequencies ----------------------------------------------------------------------- */

/* rope_theta and rope_scaling or, as newer files have it, rope_parameters. */
void model_config_rope(model_config *c, omni_shape *s);

/* --- families --------------------------------------------------------------------------------- */

omni_status model_parse_llama(model_config *c, model_block *b);
omni_status model_parse_gpt2(model_config *c, model_block *b);
omni_status model_parse_bert(model_config *c, model_block *b);

#endif
