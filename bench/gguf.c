/* gguf.c: see gguf.h. The file, little-endian as the hosts are that we run on:
 *
 *      "GGUF" 3 | tensors | pairs | pair ... | tensor's name, shape, type, offset ... | pad | data, each
 *      padded to 32
 *
 * A string is its length and its bytes. A shape begins with the dimension that runs fastest.
 */
#include <stdio.h>
#include <string.h>

#include "gguf.h"

enum { TYPE_U32 = 4, TYPE_F32 = 6, TYPE_STRING = 8 }; /* of a pair's value */
enum { DATA_F32 = 0, DATA_BF16 = 30 };                /* of a tensor's elements */
enum { ALIGN = 32, PIECE = 1 << 20 };

static const struct {
    const char *ours, *theirs; /* %zu: the layer */
} tensor_names[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
    {"model.layers.%zu.input_layernorm.weight", "blk.%zu.attn_norm.weight"},
    {"model.layers.%zu.self_attn.q_proj.weight", "blk.%zu.attn_q.weight"},
    {"model.layers.%zu.self_attn.k_proj.weight", "blk.%zu.attn_k.weight"},
    {"model.layers.%zu.self_attn.v_proj.weight", "blk.%zu.attn_v.weight"},
    {"model.layers.%zu.self_attn.o_proj.weight", "blk.%zu.attn_output.weight"},
    {"model.layers.%zu.post_attention_layernorm.weight", "blk.%zu.ffn_norm.weight"},
    {"model.layers.%zu.mlp.gate_proj.weight", "blk.%zu.ffn_gate.weight"},
    {"model.layers.%zu.mlp.up_proj.weight", "blk.%zu.ffn_up.weight"},
    {"model.layers.%zu.mlp.down_proj.weight", "blk.%zu.ffn_down.weight"},
};
enum { NAMES = sizeof tensor_names / sizeof *tensor_names };

typedef struct writer {
    FILE *file;
    const omni_model *model;
    const omni_weights *weights;
    omni_dtype dtype;
    bool broken; /* a tensor is missing, or cannot be read */
} writer;

static void put(writer *w, const void *bytes, size_t count) {
    fwrite(bytes, 1, count, w->file);
}

static void put_u32(writer *w, uint32_t n) {
    put(w, &n, sizeof n);
}

static void put_u64(writer *w, uint64_t n) {
    put(w, &n, sizeof n);
}

static void put_string(writer *w, const char *text) {
    put_u64(w, strlen(text));
    put(w, text, strlen(text));
}

static void pad(writer *w) {
    static const char zeros[ALIGN];
    long at = ftell(w->file);
    put(w, zeros, (size_t)(ALIGN - at % ALIGN) % ALIGN);
}

static void put_pairs(writer *w) {
    const omni_shape *s = &w->model->shape;
    const struct {
        const char *key;
        size_t value;
    } numbers[] = {{"llama.block_count", s->layers},
                   {"llama.context_length", s->positions},
                   {"llama.embedding_length", s->hidden},
                   {"llama.feed_forward_length", s->ffn},
                   {"llama.attention.head_count", s->heads},
                   {"llama.attention.head_count_kv", s->kv_heads},
                   {"llama.rope.dimension_count", s->head_dim},
                   {"llama.vocab_size", s->vocab}};
    enum { NUMBERS = sizeof numbers / sizeof *numbers };
    const float epsilon = (float)s->norm_eps;
    put_u64(w, NUMBERS + 3);
    put_string(w, "general.architecture");
    put_u32(w, TYPE_STRING);
    put_string(w, "llama");
    put_string(w, "tokenizer.ggml.model");
    put_u32(w, TYPE_STRING);
    put_string(w, "no_vocab");
    put_string(w, "llama.attention.layer_norm_rms_epsilon");
    put_u32(w, TYPE_F32);
    put(w, &epsilon, sizeof epsilon);
    for (size_t i = 0; i < NUMBERS; i++) {
        put_string(w, numbers[i].key);
        put_u32(w, TYPE_U32);
        put_u32(w, (uint32_t)numbers[i].value);
    }
}

typedef void each_tensor(writer *w, const omni_tensor *t, const char *name, uint64_t *offset);

static bool per_layer(size_t i) {
    return strchr(tensor_names[i].ours, '%') != NULL;
}

static void one_tensor(writer *w, size_t i, size_t layer, each_tensor *each, uint64_t *offset) {
    char ours[96], theirs[96];
    snprintf(ours, sizeof ours, tensor_names[i].ours, layer);
    snprintf(theirs, sizeof theirs, tensor_names[i].theirs, layer);
    const omni_tensor *t = omni_weights_find(w->weights, ours);
    if (!t) {
        w->broken = true;
        return;
    }
    each(w, t, theirs, offset);
}

static void all_tensors(writer *w, each_tensor *each) {
    uint64_t offset = 0;
    for (size_t i = 0; i < NAMES; i++)
        for (size_t layer = 0; layer < (per_layer(i) ? w->model->shape.layers : 1); layer++)
            one_tensor(w, i, layer, each, &offset);
}

static bool is_narrow(const writer *w, const omni_tensor *t) {
    return t->rank == 2 && w->dtype == OMNI_BF16;
}

static void put_info(writer *w, const omni_tensor *t, const char *name, uint64_t *offset) {
    put_string(w, name);
    put_u32(w, (uint32_t)t->rank);
    for (size_t d = t->rank; d-- > 0;) put_u64(w, t->shape[d]);
    put_u32(w, is_narrow(w, t) ? DATA_BF16 : DATA_F32);
    put_u64(w, *offset);
    *offset += omni_round_up(t->elements * (is_narrow(w, t) ? 2 : 4), ALIGN);
}

static void put_data(writer *w, const omni_tensor *t, const char *name, uint64_t *offset) {
    static float piece[PIECE];
    (void)name, (void)offset;
    for (size_t first = 0; first < t->elements && !w->broken; first += PIECE) {
        size_t count = t->elements - first < PIECE ? t->elements - first : PIECE;
        w->broken = is_narrow(w, t) ? !omni_weights_read(w->weights, t, first, count, piece)
                                    : !omni_weights_read_f32(w->weights, t, first, count, piece);
        put(w, piece, count * (is_narrow(w, t) ? 2 : 4));
    }
    pad(w);
}

omni_status gguf_write(const char *path, const omni_model *llama, const omni_weights *weights,
                       omni_dtype dtype, omni_error *err) {
    writer w = {fopen(path, "wb"), llama, weights, dtype, false};
    if (!w.file) return omni_error_set(err, OMNI_RUN_FAILED, "%s: cannot be written", path);
    put(&w, "GGUF", 4);
    put_u32(&w, 3);
    size_t layered = 0;
    for (size_t i = 0; i < NAMES; i++) layered += per_layer(i);
    put_u64(&w, NAMES - layered + layered * llama->shape.layers);
    put_pairs(&w);
    all_tensors(&w, put_info);
    pad(&w);
    all_tensors(&w, put_data);
    bool failed = ferror(w.file) != 0;
    failed |= fclose(w.file) != 0;
    if (w.broken || failed)
        return omni_error_set(err, OMNI_RUN_FAILED, "%s: %s", path,
                              w.broken ? "a tensor of a Llama is missing" : "cannot be written");
    return OMNI_OK;
}
