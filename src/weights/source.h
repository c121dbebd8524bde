/* source.h: what a weight source is inside this room. Checkpoints and random tensors differ in one thing:
 * where `count` stored elements come from: they are read from one of the files, or computed.
 */
#ifndef OMNIBUS_WEIGHTS_SOURCE_H
#define OMNIBUS_WEIGHTS_SOURCE_H

#include "omnibus/weights.h"

/* Distribution of one random tensor. */
typedef struct weights_random {
    uint64_t key; /* of seed and name */
    float mean, stddev;
} weights_random;

/* One open safetensors file. */
typedef struct weights_file {
    char *path;
    int fd; /* -1: not open */
} weights_file;

struct omni_weights {
    char *source; /* path, for messages */
    size_t count;
    omni_tensor *tensors;        /* [count], names are heap strings */
    const omni_tensor **by_name; /* [count], sorted */
    size_t file_count;
    weights_file *file;     /* [file_count]; NULL: none */
    weights_random *random; /* [count]; NULL: tensors are in files */
};

/* A source of `count` tensors still without names; NULL without memory. Closed by omni_weights_close at any
 * stage. */
omni_weights *weights_new(const char *source, size_t count);

/* Makes by_name. On two tensors of one name *twice is where the second stands in by_name, behind the first;
 * else 0. False: no memory. */
bool weights_index(omni_weights *w, size_t *twice);

/* safetensors.c: opens w->file[file], checks all of its header, appends its tensors in the order of their
 * data. weights_index comes after the last file. */
omni_status weights_add_file(omni_weights *w, size_t file, omni_error *err);

/* index.c: paths of the shards that an index names, sorted, each once; and its weight_map, checked. */
typedef struct weights_shards {
    struct json_t *index;
    const struct json_t *map; /* tensor name -> file name */
    size_t count;
    const char **name; /* [count] file names, strings of the index */
} weights_shards;
omni_status weights_shards_load(const char *path, weights_shards *out, omni_error *err);
void weights_shards_free(weights_shards *s);
/* Every tensor of the map is in the file that it names; w's files are the shards, in their order. */
omni_status weights_shards_check(const weights_shards *s, const omni_weights *w, omni_error *err);

/* Whether the spec makes sense; *elements is their number. */
omni_status weights_random_check(const omni_random_spec *s, size_t *elements, omni_error *err);

weights_random weights_random_of(const omni_random_spec *s, uint64_t seed);

/* Elements first..first+count-1 of a random tensor: F32, F16 or BF16, dst aligned to it. Any thread. */
void weights_random_fill(const weights_random *r, omni_dtype dtype, size_t first, size_t count, void *dst);

/* A safetensors file up to its data: length field and JSON, padded with spaces to a multiple of 8, for
 * tensors that follow each other in this order. Malloc'd. `path` is for messages. */
omni_status weights_header(const char *path, const omni_tensor_out *const *layout, size_t count, char **out,
                           size_t *bytes, omni_error *err);

/* Reads exactly `bytes` bytes at `offset`; false when the file has fewer or refuses (errno; 0: has fewer). */
bool weights_pread(int fd, void *dst, size_t bytes, uint64_t offset);

/* Product of shape and dtype size; false on overflow. */
bool weights_tensor_bytes(const size_t *shape, size_t rank, omni_dtype dtype, size_t *elements,
                          size_t *bytes);

#endif
