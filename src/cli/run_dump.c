/* run_dump.c: --dump: hidden states and logits as a safetensors file, names and shapes as in the per-prompt
 * form of golden files, float32. States are copied right after the pass that made them, prompt by prompt, for
 * the engine keeps those of the last pass only. An encoder's marked tokens take the place of the generated
 * ones.
 */
#include <stdio.h>
#include <string.h>

#include "run.h"

enum { MOST_TENSORS = 7, TENSOR_NAME = 48 };

static float *floats(size_t a, size_t b, size_t c) {
    size_t n;
    return omni_size_mul(a, b, &n) && omni_size_mul(n, c, &n) ? omni_alloc_array(n, sizeof(float)) : NULL;
}

static void add(uint64_t *sum, size_t a, size_t b, size_t c) {
    uint64_t n;
    bool over = __builtin_mul_overflow(a, b, &n) || __builtin_mul_overflow(n, c, &n);
    if (over || __builtin_add_overflow(*sum, n, sum)) *sum = UINT64_MAX;
}

uint64_t dump_bytes(const run *r) {
    const omni_shape *s = &r->c->model->shape;
    uint64_t sum = 0;
    if (!r->dump.path) return 0;
    add(&sum, r->prompts.tokens, (s->layers + 3) * s->hidden, sizeof(float));
    add(&sum, r->prompts.count * r->gen + r->encoded.marks, s->vocab, sizeof(float));
    return sum;
}

/* Positions of prompt i's marked tokens; its first row is `row`. */
static void set_marks(run *r, size_t i, size_t row) {
    const encoded *x = &r->encoded;
    int32_t *mark = r->dump.prompt[i].mark;
    for (size_t m = 0; mark && m < x->marks; m++)
        if (x->mark[m] >= row && x->mark[m] - row < r->prompts.length[i])
            mark[r->dump.prompt[i].marks++] = (int32_t)(x->mark[m] - row);
}

omni_status dump_prepare(run *r, omni_error *err) {
    const omni_shape *s = &r->c->model->shape;
    size_t row = 0;
    dump *d = &r->dump;
    if (!d->path) return OMNI_OK;
    d->prompt = omni_alloc_array(r->prompts.count, sizeof *d->prompt);
    d->normed = floats(1, r->prompts.tokens, s->hidden);
    bool ok = d->prompt && d->normed;
    for (size_t i = 0; ok && i < r->prompts.count && !omni_stop_get(&cli_stop); i++) {
        size_t T = r->prompts.length[i];
        d->prompt[i].layer_hidden = floats(s->layers + 1, T, s->hidden);
        d->prompt[i].last_hidden = floats(1, T, s->hidden);
        d->prompt[i].mark = omni_alloc_array(s->encoder ? T : 0, sizeof(int32_t));
        set_marks(r, i, row);
        d->prompt[i].logits = floats(1, s->encoder ? d->prompt[i].marks : r->gen, s->vocab);
        ok =
            d->prompt[i].layer_hidden && d->prompt[i].last_hidden && d->prompt[i].logits && d->prompt[i].mark;
        row += T;
    }
    if (!ok) return omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory for the states", d->path);
    return cli_stopped(err);
}

/* Marks go prompt by prompt, as their logits do. */
static void dump_marks(run *r) {
    size_t V = r->c->model->shape.vocab;
    const float *logits = omni_engine_logits(r->engine);
    for (size_t i = 0; i < r->prompts.count; i++) {
        size_t marks = r->dump.prompt[i].marks;
        if (marks) memcpy(r->dump.prompt[i].logits, logits, marks * V * sizeof *logits);
        logits += marks * V;
    }
}

void dump_prefill(run *r) {
    size_t D = r->c->model->shape.hidden, layers = r->c->model->shape.layers, row = 0;
    dump *d = &r->dump;
    if (!d->path) return;
    omni_engine_final_norm(r->engine, d->normed);
    for (size_t i = 0; i < r->prompts.count; i++) {
        size_t block = r->prompts.length[i] * D;
        for (size_t l = 0; l <= layers; l++)
            memcpy(d->prompt[i].layer_hidden + l * block, omni_engine_tap(r->engine, l) + row * D,
                   block * sizeof(float));
        memcpy(d->prompt[i].last_hidden, d->normed + row * D, block * sizeof(float));
        row += r->prompts.length[i];
    }
    if (r->c->model->shape.encoder)
        dump_marks(r);
    else
        dump_step(r, 0);
}

void dump_step(run *r, size_t step) {
    size_t V = r->c->model->shape.vocab;
    if (!r->dump.path) return;
    const float *logits = omni_engine_logits(r->engine);
    for (size_t i = 0; i < r->prompts.count; i++)
        memcpy(r->dump.prompt[i].logits + step * V, logits + i * V, V * sizeof(float));
}

/* The tensors of prompt i; the number of them. */
static size_t list_tensors(const run *r, size_t i, omni_tensor_out t[MOST_TENSORS]) {
    const omni_shape *s = &r->c->model->shape;
    size_t T = r->prompts.length[i], S = r->generated[i], M = r->dump.prompt[i].marks, n = 0;
    const float *logits = r->dump.prompt[i].logits;
    t[n++] = (omni_tensor_out){"input_ids", OMNI_I32, 2, {1, T}, r->prompts.ids[i]};
    t[n++] = (omni_tensor_out){
        "layer_hidden", OMNI_F32, 4, {s->layers + 1, 1, T, s->hidden}, r->dump.prompt[i].layer_hidden};
    t[n++] =
        (omni_tensor_out){"last_hidden_state", OMNI_F32, 3, {1, T, s->hidden}, r->dump.prompt[i].last_hidden};
    if (!s->encoder) {
        t[n++] = (omni_tensor_out){"logits_last", OMNI_F32, 2, {1, s->vocab}, logits};
        t[n++] = (omni_tensor_out){"decode_ids", OMNI_I32, 2, {1, S}, r->token + i * r->gen};
        t[n++] = (omni_tensor_out){"decode_logits", OMNI_F32, 3, {1, S, s->vocab}, logits};
        return n;
    }
    const int32_t *types = r->encoded.types;
    for (size_t k = 0; k < i; k++) types += r->prompts.length[k];
    t[n++] = (omni_tensor_out){"token_type_ids", OMNI_I32, 2, {1, T}, types};
    if (r->c->model->heads & OMNI_HEAD_POOLER)
        t[n++] = (omni_tensor_out){
            "pooler_output", OMNI_F32, 2, {1, s->hidden}, r->encoded.pooled + i * s->hidden};
    if (M == 0) return n;
    t[n++] = (omni_tensor_out){"mask_positions", OMNI_I32, 1, {M}, r->dump.prompt[i].mark};
    t[n++] = (omni_tensor_out){"mlm_logits_mask", OMNI_F32, 2, {M, s->vocab}, logits};
    return n;
}

static size_t describe(const run *r, size_t i, omni_tensor_out *t, char (*names)[TENSOR_NAME]) {
    size_t count = list_tensors(r, i, t);
    for (size_t k = 0; k < count; k++) {
        snprintf(names[k], TENSOR_NAME, "p%zu.%s", i, t[k].name);
        t[k].name = names[k];
    }
    return count;
}

omni_status dump_write(run *r, omni_error *err) {
    size_t n = r->prompts.count, count = 0;
    if (!r->dump.path) return OMNI_OK;
    omni_tensor_out *tensors = omni_alloc_array(n, MOST_TENSORS * sizeof *tensors);
    char(*names)[TENSOR_NAME] = omni_alloc_array(n, MOST_TENSORS * sizeof *names);
    omni_status status = OMNI_OK;
    if (tensors && names) {
        for (size_t i = 0; i < n; i++) count += describe(r, i, tensors + count, names + count);
        status = omni_safetensors_write(r->dump.path, tensors, count, err);
    } else {
        status = omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory for its header", r->dump.path);
    }
    omni_free(tensors);
    omni_free(names);
    return status;
}

void dump_free(run *r) {
    for (size_t i = 0; r->dump.prompt && i < r->prompts.count; i++) {
        omni_free(r->dump.prompt[i].layer_hidden);
        omni_free(r->dump.prompt[i].last_hidden);
        omni_free(r->dump.prompt[i].logits);
        omni_free(r->dump.prompt[i].mark);
    }
    omni_free(r->dump.prompt);
    omni_free(r->dump.normed);
}
