/* reference.c: the naive float64 forward pass as an object: what it holds, and one call of it.
 *
 * It shares nothing with the engine but the checkpoint reader and the shape: no kernel, no op list, no plan.
 * One thread, double throughout, a KV cache in double. reference_models.c and reference_bert.c have the
 * models, reference_parts.c what they are made of, reference_truth.c makes truths of it.
 */
#include <stdio.h>
#include <string.h>

#include "reference_parts.h"

static const reference_family *const families[] = {&ref_llama, &ref_gpt2, &ref_bert};

static const reference_family *find_family(const char *name) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i]->name, name) == 0) return families[i];
    return NULL;
}

static bool has_norm(const reference *ref, const char *prefix) {
    char weight[48], gamma[48];
    snprintf(weight, sizeof weight, "%s.weight", ref->family->norm);
    snprintf(gamma, sizeof gamma, "%s.gamma", ref->family->norm);
    return ref_has(ref, prefix, weight) || ref_has(ref, prefix, gamma);
}

/* A tied table may be stored under either of its names. An encoder may have no head. */
static omni_status bind_tables(reference *ref, const omni_model *model, omni_error *err) {
    const reference_family *f = ref->family;
    size_t V = ref->shape.vocab, D = ref->shape.hidden;
    bool tied = ref->shape.tied, headless = ref->shape.encoder && !(model->heads & OMNI_HEAD_MLM);
    char embedding[REF_NAME];
    ref->err = err;
    ref->prefix = f->prefix[!has_norm(ref, f->prefix[0]) && has_norm(ref, f->prefix[1])];
    snprintf(embedding, sizeof embedding, "%s%s", ref->prefix, f->embedding);
    if (tied && !ref_has(ref, "", embedding) && ref_has(ref, "", f->head_weight))
        snprintf(embedding, sizeof embedding, "%s", f->head_weight);
    ref->embedding = ref_bind(ref, embedding, V, D);
    if (!headless) ref->head = tied ? ref->embedding : ref_bind(ref, f->head_weight, V, D);
    return ref->status;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* rows * cols doubles; false: no memory */
static bool buffer(double **out, size_t rows, size_t cols) {
    size_t n;
    *out = omni_size_mul(rows, cols, &n) ? omni_alloc_array(n, sizeof **out) : NULL;
    return *out != NULL;
}

static bool create_buffers(reference *ref, size_t rows) {
    const omni_shape *s = &ref->shape;
    size_t Q = s->heads * s->head_dim, K = s->kv_heads * s->head_dim, middle = larger(s->ffn, Q + 2 * K),
           slots;
    ref->block_elements = larger((size_t)1 << 16, larger(larger(s->hidden, Q), larger(middle, s->vocab)));
    ref->lengths = omni_alloc_array(ref->sequences, sizeof *ref->lengths);
    return ref->lengths && omni_size_mul(s->layers, ref->sequences, &slots) &&
           omni_size_mul(slots, ref->capacity, &slots) && buffer(&ref->keys, slots, K) &&
           buffer(&ref->values, slots, K) && buffer(&ref->scores, ref->capacity, 1) &&
           buffer(&ref->block, ref->block_elements, 1) && buffer(&ref->x, rows, s->hidden) &&
           buffer(&ref->h, rows, s->hidden) && buffer(&ref->q, rows, Q) && buffer(&ref->k, rows, K) &&
           buffer(&ref->v, rows, K) && buffer(&ref->a, rows, Q) && buffer(&ref->b, rows, s->hidden) &&
           buffer(&ref->u, rows, middle) && buffer(&ref->g, rows, s->ffn);
}

void reference_free(reference *ref) {
    if (!ref) return;
    double *buffers[] = {ref->keys, ref->values, ref->scores, ref->block, ref->x, ref->h, ref->q,
                         ref->k,    ref->v,      ref->a,      ref->b,     ref->u, ref->g};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) omni_free(buffers[i]);
    omni_free(ref->lengths);
    omni_free(ref);
}

omni_status reference_create(const omni_model *model, const omni_weights *w, size_t sequences,
                             size_t capacity, size_t rows, const omni_stop *stop, omni_meter *meter,
                             reference **out, omni_error *err) {
    *out = NULL;
    const char *source = omni_weights_source(w);
    const reference_family *family = find_family(model->family);
    if (!family)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: the reference does not know %s models", source,
                              model->family);
    reference *ref = omni_alloc(sizeof *ref);
    if (!ref) return omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory for the reference", source);
    *ref = (reference){.family = family,
                       .shape = model->shape,
                       .w = w,
                       .stop = stop,
                       .meter = meter,
                       .sequences = sequences,
                       .capacity = capacity};
    omni_status status = bind_tables(ref, model, err);
    if (!status && !create_buffers(ref, rows))
        status = omni_error_set(err, OMNI_RUN_FAILED,
                                "%s: no memory for the reference (%zu tokens of %zu prompts)", source, rows,
                                sequences);
    if (status)
        reference_free(ref);
    else
        *out = ref;
    return status;
}

omni_status reference_forward(reference *ref, const reference_row *row, size_t rows, omni_error *err) {
    ref->status = OMNI_OK;
    ref->err = err;
    ref->family->forward(ref, row, rows);
    size_t D = ref->shape.hidden;
    for (size_t r = 0; !ref->status && r < rows; r++)
        if (row[r].last) memcpy(row[r].last, ref->h + r * D, D * sizeof *ref->h);
    ref->family->head(ref, row, rows);
    return ref->status;
}
