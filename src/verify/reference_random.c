/* reference_random.c: prompts from a seed, with token types and marks where the model takes them, for the
 * reference to compute a truth from.
 */
#include <stdio.h>

#include "truth.h"

/* splitmix64: Steele, Lea, Flood 2014 */
static uint64_t draw(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

enum { LONGEST_RANDOM = 40 };

typedef struct random_prompt {
    int32_t ids[LONGEST_RANDOM], types[LONGEST_RANDOM];
    size_t mark[LONGEST_RANDOM];
} random_prompt;

/* 3..6, 7..10, 11..14, ... tokens, so neighbours differ; of several prompts the last has one token. */
static size_t random_length(uint64_t *state, size_t i, size_t count, size_t most) {
    size_t length = 3 + 4 * (i % 8) + (size_t)(draw(state) % 4);
    if (count > 1 && i + 1 == count) return 1;
    return length <= most ? length : 1 + length % most;
}

/* The first and the last token differ, so that any two tokens or more mix types. */
static void draw_types(uint64_t *state, size_t types, int32_t *type, size_t tokens) {
    for (size_t t = 0; t < tokens; t++) type[t] = (int32_t)(draw(state) % types);
    type[tokens - 1] = (int32_t)(types - 1);
    type[0] = 0;
}

/* Every third token of prompt i, and its last; of prompt 1 none. */
static size_t choose_marks(size_t i, size_t tokens, size_t *mark) {
    size_t marks = 0;
    for (size_t t = 0; i != 1 && t < tokens; t++)
        if (t % 3 == i % 3 || t + 1 == tokens) mark[marks++] = t;
    return marks;
}

static truth_input random_input(const omni_model *model, uint64_t *state, size_t i, size_t tokens,
                                random_prompt *r) {
    const omni_shape *s = &model->shape;
    truth_input in = {.ids = r->ids, .tokens = tokens};
    for (size_t t = 0; t < tokens; t++) r->ids[t] = (int32_t)(draw(state) % s->vocab);
    if (s->types) {
        draw_types(state, s->types, r->types, tokens);
        in.types = r->types;
    }
    if (model->heads & OMNI_HEAD_MLM) {
        in.mark = r->mark;
        in.marks = choose_marks(i, tokens, r->mark);
    }
    return in;
}

omni_status omni_truth_random(const omni_model *model, const omni_weights *w, uint64_t seed, size_t count,
                              size_t steps, const omni_stop *stop, omni_meter *meter, omni_truth **out,
                              omni_error *err) {
    char source[64];
    snprintf(source, sizeof source, "reference (seed %llu)", (unsigned long long)seed);
    *out = NULL;
    size_t most = model->shape.positions;
    if (model->shape.encoder) steps = 0;
    if (steps > most) steps = most; /* after a prompt of one token */
    size_t last = steps ? steps - 1 : 0;
    random_prompt *prompt = omni_alloc_array(count, sizeof *prompt);
    truth_input *in = omni_alloc_array(count, sizeof *in);
    omni_status status = OMNI_OK;
    if (!prompt || !in) status = omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory", source);
    for (size_t i = 0; !status && i < count; i++) {
        size_t tokens = random_length(&seed, i, count, most - last);
        in[i] = random_input(model, &seed, i, tokens, &prompt[i]);
    }
    if (!status) status = truth_compute(source, model, w, in, count, steps, stop, meter, out, err);
    omni_free(prompt);
    omni_free(in);
    return status;
}
