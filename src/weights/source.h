/* source.h: what a weight source is inside this room. Checkpoints and random tensors differ in one thing:
 * where `count` stored elements come from. A tensor with data is copied out of the mapping; one without is
 * computed.
 */
#ifndef OMNIBUS_WEIGHTS_SOURCE_H
#define OMNIBUS_WEIGHTS_SOURCE_H

#include "omnibus/weights.h"

/* Distribution of one random tensor. */
typedef struct weights_random {
    uint64_t key; /* of seed and name */
    float mean, stddev;
} weights_random;

struct omni_weights {
    char *source; /* path, for messages */
    size_t count;
    omni_tensor *tensors;        /* [count], names are heap strings */
    const omni_tensor **by_name; /* [count], sorted */
    void *map;                   /* the file, MAP_PRIVATE and read-only; NULL: none */
    size_t map_bytes;
    weights_random *random; /* [count]; NULL: tensors have data */
};

/* An empty source with room for `count` tensors; NULL without memory. Closed by omni_weights_close at any
 * stage. */
omni_weights *weights_new(const char *source, size_t count);

/* Sorts by_name. On two tensors of one name returns that name, else NULL. */
const char *weights_index(omni_weights *w);

/* Whether the spec makes sense; *elements is their number. */
omni_status weights_random_check(const omni_random_spec *s, size_t *elements, omni_error *err);

weights_random weights_random_of(const omni_random_spec *s, uint64_t seed);

/* Elements first..first+count-1 of a random tensor: F32, F16 or BF16, dst aligned to it. Any thread. */
void weights_random_fill(const weights_random *r, omni_dtype dtype, size_t first, size_t count, void *dst);

/* A safetensors file up to its data: length field and JSON, padded with spaces to a multiple of 8, for tensors
 * that follow each other in this order. Malloc'd. `path` is for messages. */
omni_status weights_header(const char *path, const omni_tensor_out *const *layout, size_t count, char **out,
                           size_t *bytes, omni_error *err);

/* Product of shape and dtype size; false on overflow. */
bool weights_tensor_bytes(const size_t *shape, size_t rank, omni_dtype dtype, size_t *elements,
                          size_t *bytes);

#endif
