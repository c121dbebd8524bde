/* weights.h: where tensors come from: a safetensors checkpoint directory, or a seeded random one.
 *
 * A source hands out elements in their stored type; it keeps no copy of its own: a checkpoint's files stay
 * open and are read where they are asked for, random elements are a pure function of (seed, name, index).
 * Reading is safe from any thread, and can fail at any time: a file may shrink, a disk may die. (A mapping
 * would turn that into SIGBUS in whichever thread touched it, so there is none.) Ownership:
 * omni_weights_close frees the source and invalidates its omni_tensor pointers.
 */
#ifndef OMNIBUS_WEIGHTS_H
#define OMNIBUS_WEIGHTS_H

#include "omnibus/base.h"

enum { OMNI_MAX_RANK = 8 };

typedef struct omni_tensor {
    const char *name;
    omni_dtype dtype;
    size_t rank;
    size_t shape[OMNI_MAX_RANK];
    size_t elements;
    size_t file;     /* which of the source's files, and ... */
    uint64_t offset; /* ... the byte there where its row-major elements begin; 0, 0 for a random source */
} omni_tensor;

typedef struct omni_weights omni_weights;

/* One safetensors file. All of the header is validated before anything is returned. */
omni_status omni_weights_open_file(const char *path, omni_weights **out, omni_error *err);

/* A Hugging Face directory: model.safetensors, else the shards that model.safetensors.index.json names: files
 * beside it, each tensor in one of them. As in transformers, a tensor in a shard that the index does not list
 * is there all the same; one that it lists must be in the shard it says. */
omni_status omni_weights_open_dir(const char *dir, omni_weights **out, omni_error *err);

/* Whether dir has either of these files, good or bad. */
bool omni_weights_in_dir(const char *dir);

/* Random tensors: spec[i] gives name, dtype (F32, F16 or BF16), rank, shape. Values are uniform with mean
 * `mean` and standard deviation `stddev`. For benchmarks and tests of shapes. */
typedef struct omni_random_spec {
    const char *name; /* copied */
    omni_dtype dtype;
    size_t rank, shape[2];
    float mean, stddev;
} omni_random_spec;
omni_status omni_weights_open_random(const omni_random_spec *spec, size_t count, uint64_t seed,
                                     omni_weights **out, omni_error *err);

void omni_weights_close(omni_weights *w);

const char *omni_weights_source(const omni_weights *w); /* path, for messages */
size_t omni_weights_count(const omni_weights *w);
const omni_tensor *omni_weights_at(const omni_weights *w, size_t i);           /* in the order of the data */
const omni_tensor *omni_weights_find(const omni_weights *w, const char *name); /* NULL: none */

/* `count` stored elements from element `first` on, into dst, in the stored dtype. In range by contract.
 * False: the file does not give them (any more), and what dst holds is undefined; omni_weights_read_failed
 * says why. */
bool omni_weights_read(const omni_weights *w, const omni_tensor *t, size_t first, size_t count, void *dst)
    __attribute__((warn_unused_result));

/* These will be read soon: lets the disk begin. A hint; returns at once. */
void omni_weights_ahead(const omni_weights *w, const omni_tensor *t, size_t first, size_t count);

/* As omni_weights_read, converted, from any type. */
bool omni_weights_read_f32(const omni_weights *w, const omni_tensor *t, size_t first, size_t count,
                           float *dst) __attribute__((warn_unused_result));
bool omni_weights_read_f64(const omni_weights *w, const omni_tensor *t, size_t first, size_t count,
                           double *dst) __attribute__((warn_unused_result));

/* The error of a read of t that failed: OMNI_RUN_FAILED, "FILE: tensor 'x': cut short while in use ...". */
omni_status omni_weights_read_failed(const omni_weights *w, const omni_tensor *t, omni_error *err);

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct omni_tensor_out {
    const char *name;
    omni_dtype dtype;
    size_t rank;
    size_t shape[OMNI_MAX_RANK];
    const void *data;
} omni_tensor_out;

/* Writes path through a temporary file beside it, renamed at the end: never half a file. Data is laid
 * out by element size, largest first, so that every tensor is aligned. OMNI_RUN_FAILED when the file
 * system refuses. */
omni_status omni_safetensors_write(const char *path, const omni_tensor_out *tensors, size_t count,
                                   omni_error *err);

/* --- a checkpoint of random weights ----------------------------------------------------------- */

/* Called by the calling thread at least every 100 ms while bytes are written. False: stop. */
typedef bool omni_synth_watch(void *arg, uint64_t done, uint64_t total);

typedef struct omni_synth_options {
    const char *dir;              /* new, or an empty directory */
    const char *config;           /* the text of config.json */
    const omni_random_spec *spec; /* [count], one dtype; in this order they fill the shards */
    size_t count;
    uint64_t seed;        /* the same one makes the same bytes, whatever the threads */
    uint64_t shard_bytes; /* most data of a file; a larger tensor has a file of its own */
    size_t threads;
    omni_synth_watch *watch; /* NULL: none */
    void *watch_arg;
} omni_synth_options;

typedef struct omni_synth_result {
    size_t shards;
    uint64_t bytes; /* of all files */
} omni_synth_result;

/* Writes a Hugging Face directory: config.json and model.safetensors, or shards and their index. No tensor
 * is ever whole in memory. All or nothing: when it fails or is stopped (OMNI_INTERRUPTED) nothing is left;
 * OMNI_RUN_FAILED when the file system refuses, before the first byte where it can tell its room. */
omni_status omni_synth_write(const omni_synth_options *o, omni_synth_result *out, omni_error *err);

#endif
