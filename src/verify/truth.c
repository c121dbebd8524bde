/* truth.c: the truth object: prompts, and the arrays that they point to, kept in one list of blocks so that
 * prompts may share arrays and freeing needs to know none of them.
 */
#include <stdio.h>
#include <string.h>

#include "truth.h"

struct truth_block {
    struct truth_block *next;
    void *data;
};

omni_truth *truth_create(const char *source, size_t count, omni_error *err) {
    omni_truth *t = omni_alloc(sizeof *t);
    if (t) t->prompt = omni_alloc_array(count, sizeof *t->prompt);
    if (!t || !t->prompt) {
        omni_free(t);
        omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory for %zu prompts", source, count);
        return NULL;
    }
    t->count = count;
    snprintf(t->source, sizeof t->source, "%s", source);
    return t;
}

void *truth_array(omni_truth *t, size_t count, size_t bytes, omni_error *err) {
    struct truth_block *block = omni_alloc(sizeof *block);
    if (block) block->data = omni_alloc_array(count, bytes);
    if (!block || !block->data) {
        omni_free(block);
        omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory for %zu values of %zu bytes", t->source, count,
                       bytes);
        return NULL;
    }
    block->next = t->blocks;
    t->blocks = block;
    return block->data;
}

void omni_truth_free(omni_truth *t) {
    if (!t) return;
    while (t->blocks) {
        struct truth_block *block = t->blocks;
        t->blocks = block->next;
        omni_free(block->data);
        omni_free(block);
    }
    omni_free(t->prompt);
    omni_free(t);
}

size_t omni_truth_prompts(const omni_truth *t) {
    return t->count;
}

const omni_prompt_truth *omni_truth_prompt(const omni_truth *t, size_t i) {
    return i < t->count ? &t->prompt[i] : NULL;
}

const char *omni_truth_source(const omni_truth *t) {
    return t->source;
}

static omni_status check_below(const char *source, size_t i, const char *what, const int32_t *ids,
                               size_t count, size_t limit, omni_error *err) {
    for (size_t t = 0; t < count; t++)
        if (ids[t] < 0 || (size_t)ids[t] >= limit)
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "%s: prompt %zu: %s[%zu] is %d (expected an id below %zu)", source, i, what,
                                  t, (int)ids[t], limit);
    return OMNI_OK;
}

omni_status truth_check_ids(const omni_model *model, const char *source, size_t i, const char *what,
                            const int32_t *ids, size_t count, omni_error *err) {
    return check_below(source, i, what, ids, count, model->shape.vocab, err);
}

omni_status truth_check_types(const omni_model *model, const char *source, size_t i, const int32_t *types,
                              size_t count, omni_error *err) {
    return check_below(source, i, "token_type_ids", types, count, model->shape.types, err);
}

omni_status truth_check_prompt(const omni_model *model, const char *source, size_t i, const int32_t *ids,
                               size_t tokens, size_t steps, omni_error *err) {
    size_t most = model->shape.positions;
    if (tokens == 0) return omni_error_set(err, OMNI_BAD_INPUT, "%s: prompt %zu is empty", source, i);
    if (tokens > most || (steps && steps - 1 > most - tokens))
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: prompt %zu: %zu tokens and %zu steps do not fit the model's %zu positions",
                              source, i, tokens, steps, most);
    return truth_check_ids(model, source, i, "input_ids", ids, tokens, err);
}
