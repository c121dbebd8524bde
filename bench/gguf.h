/* gguf.h: a Llama's weights as a GGUF file, so that the peers that read this format run the same model. */
#ifndef BENCH_GGUF_H
#define BENCH_GGUF_H

#include "omnibus/model.h"
#include "omnibus/weights.h"

/* Matrices as stored (F32 or BF16), vectors as F32; no vocabulary, only its size. `dtype` is the matrices'.
 * The format: github.com/ggml-org/ggml, docs/gguf.md, version 3. */
omni_status gguf_write(const char *path, const omni_model *llama, const omni_weights *weights,
                       omni_dtype dtype, omni_error *err);

#endif
