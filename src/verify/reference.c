/* reference.c: the truth when there is no golden file: our own float64 forward pass, and prompts for it.
 *
 *   prompts -> rows of all prompts, one call -> layer states, logits -> arg-max -+
 *              one row a prompt, one call <--------- until `steps` tokens ---------+
 *
 * It shares nothing with the engine but the checkpoint reader and the shape: no kernel, no op list, no plan.
 * One thread, double throughout, a KV cache in double. reference_models.c has the two models,
 * reference_parts.c what they are made of.
 */
#include <stdio.h>
#include <string.h>

#include "reference_parts.h"
#include "truth.h"

/* --- the forward pass as an object ------------------------------------------------------------ */

static const reference_family *const families[] = {&ref_llama, &ref_gpt2};

static const reference_family *find_family(const char *name) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i]->name, name) == 0) return families[i];
    return NULL;
}

static bool has(const reference *ref, const char *prefix, const char *name) {
    char full[REF_NAME];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return omni_weights_find(ref->w, full) != NULL;
}

static bool has_norm(const reference *ref, const char *prefix) {
    char weight[32], gamma[32];
    snprintf(weight, sizeof weight, "%s.weight", ref->family->final_norm);
    snprintf(gamma, sizeof gamma, "%s.gamma", ref->family->final_norm);
    return has(ref, prefix, weight) || has(ref, prefix, gamma);
}

/* The prefix is the one that the final norm has. A tied table may be stored under either of its names. */
static omni_status bind_tables(reference *ref, bool tied, omni_error *err) {
    static const char lm_head[] = "lm_head.weight";
    const reference_family *f = ref->family;
    char embedding[REF_NAME];
    ref->err = err;
    ref->prefix = f->prefix[!has_norm(ref, f->prefix[0]) && has_norm(ref, f->prefix[1])];
    snprintf(embedding, sizeof embedding, "%s%s", ref->prefix, f->embedding);
    if (tied && !has(ref, "", embedding) && has(ref, "", lm_head))
        snprintf(embedding, sizeof embedding, "%s", lm_head);
    ref->embedding = ref_bind(ref, embedding, ref->shape.vocab, ref->shape.hidden);
    ref->head = tied ? ref->embedding : ref_bind(ref, lm_head, ref->shape.vocab, ref->shape.hidden);
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
    ref->block_elements = larger((size_t)1 << 16, larger(larger(s->hidden, Q), middle));
    return omni_size_mul(s->layers, ref->sequences, &slots) && omni_size_mul(slots, ref->capacity, &slots) &&
           buffer(&ref->keys, slots, K) && buffer(&ref->values, slots, K) &&
           buffer(&ref->scores, ref->capacity, 1) && buffer(&ref->block, ref->block_elements, 1) &&
           buffer(&ref->x, rows, s->hidden) && buffer(&ref->h, rows, s->hidden) && buffer(&ref->q, rows, Q) &&
           buffer(&ref->k, rows, K) && buffer(&ref->v, rows, K) && buffer(&ref->a, rows, Q) &&
           buffer(&ref->b, rows, s->hidden) && buffer(&ref->u, rows, middle) &&
           buffer(&ref->g, rows, s->ffn) && buffer(&ref->logits, ref->sequences, s->vocab);
}

void reference_free(reference *ref) {
    if (!ref) return;
    double *buffers[] = {ref->keys, ref->values, ref->scores, ref->block, ref->x, ref->h, ref->q,
                         ref->k,    ref->v,      ref->a,      ref->b,     ref->u, ref->g, ref->logits};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) omni_free(buffers[i]);
    omni_free(ref);
}

omni_status reference_create(const omni_model *model, const omni_weights *w, size_t sequences,
                             size_t capacity, size_t rows, const omni_stop *stop, reference **out,
                             omni_error *err) {
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
                       .sequences = sequences,
                       .capacity = capacity};
    omni_status status = bind_tables(ref, model->shape.tied, err);
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
    ref_head(ref, ref->h, row, rows);
    return ref->status;
}

/* --- truths ----------------------------------------------------------------------------------- */

/* While a truth is computed: mutable views of the arrays that the truth's prompts point to. */
typedef struct draft {
    int32_t *next;                           /* [S] */
    double *hidden, *last, *logits, *margin; /* [L+1, T, D] [T, D] [max(S, 1), V] [S] */
} draft;

static omni_status draft_prompt(omni_truth *t, const omni_shape *s, size_t i, const int32_t *ids,
                                size_t tokens, size_t steps, draft *d, omni_error *err) {
    size_t rows, states, values;
    if (!omni_size_mul(tokens, s->hidden, &rows) || !omni_size_mul(rows, s->layers + 1, &states) ||
        !omni_size_mul(steps ? steps : 1, s->vocab, &values))
        return omni_error_set(err, OMNI_RUN_FAILED, "reference: no memory for %zu tokens", tokens);
    int32_t *copy = truth_array(t, tokens, sizeof *copy, err);
    d->next = truth_array(t, steps, sizeof *d->next, err);
    d->hidden = truth_array(t, states, sizeof *d->hidden, err);
    d->last = truth_array(t, rows, sizeof *d->last, err);
    d->logits = truth_array(t, values, sizeof *d->logits, err);
    d->margin = truth_array(t, steps, sizeof *d->margin, err);
    if (!copy || !d->next || !d->hidden || !d->last || !d->logits || !d->margin) return OMNI_RUN_FAILED;
    memcpy(copy, ids, tokens * sizeof *ids);
    t->prompt[i] = (omni_prompt_truth){.tokens = tokens,
                                       .steps = steps,
                                       .ids = copy,
                                       .layer_hidden = d->hidden,
                                       .last_hidden = d->last,
                                       .logits_last = d->logits};
    if (steps) {
        t->prompt[i].next = d->next;
        t->prompt[i].decode_logits = d->logits; /* row 0 follows the prompt: it is logits_last */
        t->prompt[i].margin = d->margin;
    }
    return OMNI_OK;
}

/* All prompts' tokens, one after the other; the last of each wants logits. */
static omni_status compute_prefill(reference *ref, const omni_truth *t, const draft *d, reference_row *row,
                                   omni_error *err) {
    size_t D = ref->shape.hidden, rows = 0;
    for (size_t i = 0; i < t->count; i++) {
        size_t T = t->prompt[i].tokens;
        for (size_t p = 0; p < T; p++)
            row[rows++] = (reference_row){.id = t->prompt[i].ids[p],
                                          .sequence = i,
                                          .position = p,
                                          .hidden = d[i].hidden + p * D,
                                          .stride = T * D,
                                          .last = d[i].last + p * D,
                                          .logits = p + 1 == T ? d[i].logits : NULL};
    }
    return reference_forward(ref, row, rows, err);
}

/* Step s: the arg-max of distribution s; then, unless it is the last, one row a prompt yields distribution s
 * + 1. */
static omni_status compute_decode(reference *ref, const omni_truth *t, const draft *d, size_t steps,
                                  reference_row *row, omni_error *err) {
    size_t V = ref->shape.vocab;
    omni_status status = OMNI_OK;
    for (size_t s = 0; !status && s < steps; s++) {
        for (size_t i = 0; i < t->count; i++) {
            rule_top top = rule_top_of(d[i].logits + s * V, V);
            d[i].next[s] = top.id;
            d[i].margin[s] = top.margin;
            row[i] = (reference_row){.id = top.id,
                                     .sequence = i,
                                     .position = t->prompt[i].tokens + s,
                                     .logits = d[i].logits + (s + 1) * V};
        }
        if (s + 1 < steps) status = reference_forward(ref, row, t->count, err);
    }
    return status;
}

static omni_status compute_truth(omni_truth *t, const omni_model *model, const omni_weights *w,
                                 const int32_t *const *prompts, const size_t *lengths, size_t steps,
                                 const omni_stop *stop, omni_error *err) {
    omni_status status = OMNI_OK;
    size_t rows = 0, longest = 0;
    for (size_t i = 0; !status && i < t->count; i++) {
        status = truth_check_prompt(model, t->source, i, prompts[i], lengths[i], steps, err);
        if (!omni_size_add(rows, lengths[i], &rows))
            status = omni_error_set(err, OMNI_BAD_INPUT, "too many tokens");
        longest = larger(longest, lengths[i]);
    }
    draft *d = status ? NULL : omni_alloc_array(t->count, sizeof *d);
    reference_row *row = status ? NULL : omni_alloc_array(rows, sizeof *row);
    reference *ref = NULL;
    if (!status && (!d || !row)) status = omni_error_set(err, OMNI_RUN_FAILED, "reference: no memory");
    for (size_t i = 0; !status && i < t->count; i++)
        status = draft_prompt(t, &model->shape, i, prompts[i], lengths[i], steps, &d[i], err);
    if (!status)
        status = reference_create(model, w, t->count, truth_positions(longest, steps), rows, stop, &ref, err);
    if (!status) status = compute_prefill(ref, t, d, row, err);
    if (!status) status = compute_decode(ref, t, d, steps, row, err);
    reference_free(ref);
    omni_free(row);
    omni_free(d);
    return status;
}

static omni_status compute_from(const char *source, const omni_model *model, const omni_weights *w,
                                const int32_t *const *prompts, const size_t *lengths, size_t count,
                                size_t steps, const omni_stop *stop, omni_truth **out, omni_error *err) {
    *out = NULL;
    if (count == 0) return omni_error_set(err, OMNI_BAD_INPUT, "%s: no prompts", source);
    omni_truth *t = truth_create(source, count, err);
    if (!t) return OMNI_RUN_FAILED;
    omni_status status = compute_truth(t, model, w, prompts, lengths, steps, stop, err);
    if (status)
        omni_truth_free(t);
    else
        *out = t;
    return status;
}

omni_status omni_truth_compute(const omni_model *model, const omni_weights *w, const int32_t *const *prompts,
                               const size_t *lengths, size_t count, size_t steps, const omni_stop *stop,
                               omni_truth **out, omni_error *err) {
    return compute_from("reference", model, w, prompts, lengths, count, steps, stop, out, err);
}

/* --- prompts from a seed ---------------------------------------------------------------------- */

/* splitmix64: Steele, Lea, Flood 2014 */
static uint64_t draw(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

enum { LONGEST_RANDOM = 40 };

/* 3..6, 7..10, 11..14, ... tokens, so neighbours differ; of several prompts the last has one token. */
static size_t random_length(uint64_t *state, size_t i, size_t count, size_t most) {
    size_t length = 3 + 4 * (i % 8) + (size_t)(draw(state) % 4);
    if (count > 1 && i + 1 == count) return 1;
    return length <= most ? length : 1 + length % most;
}

omni_status omni_truth_random(const omni_model *model, const omni_weights *w, uint64_t seed, size_t count,
                              size_t steps, const omni_stop *stop, omni_truth **out, omni_error *err) {
    char source[64];
    snprintf(source, sizeof source, "reference (seed %llu)", (unsigned long long)seed);
    *out = NULL;
    size_t most = model->shape.positions;
    if (steps > most) steps = most; /* after a prompt of one token */
    size_t last = steps ? steps - 1 : 0;
    int32_t(*ids)[LONGEST_RANDOM] = omni_alloc_array(count, sizeof *ids);
    const int32_t **prompts = omni_alloc_array(count, sizeof *prompts);
    size_t *lengths = omni_alloc_array(count, sizeof *lengths);
    omni_status status = OMNI_OK;
    if (!ids || !prompts || !lengths) status = omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory", source);
    for (size_t i = 0; !status && i < count; i++) {
        lengths[i] = random_length(&seed, i, count, most - last);
        for (size_t t = 0; t < lengths[i]; t++) ids[i][t] = (int32_t)(draw(&seed) % model->shape.vocab);
        prompts[i] = ids[i];
    }
    if (!status) status = compute_from(source, model, w, prompts, lengths, count, steps, stop, out, err);
    omni_free(ids);
    omni_free(prompts);
    omni_free(lengths);
    return status;
}
