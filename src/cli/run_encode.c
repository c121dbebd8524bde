/* run_encode.c: what `omnibus run` does with an encoder: one pass over whole sequences, no tokens generated.
 *
 *   ids, token types, marks -> encode -> the pooled vector of each sequence, a prediction for each mark
 *
 * Marked are the tokens that stand for a masked word, where the checkpoint has the head that predicts them.
 * Which id that is only the tokenizer's files know: --mask-id, else the line of [MASK] in vocab.txt, else
 * what tokenizer.json says. Without any of them nothing is marked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

enum { MOST_TOKENIZER_BYTES = 64 << 20, TOP = 5 };
static const char mask_token[] = "[MASK]";

/* --- which token is masked -------------------------------------------------------------------- */

/* A file of the checkpoint as text, or NULL: one that is not there or cannot be read is as good as none. */
static char *read_beside(const cli *c, const char *name, size_t *bytes) {
    char *path, *text = NULL;
    if (asprintf(&path, "%s/%s", c->operand, name) < 0) return NULL;
    if (omni_file_read(path, MOST_TOKENIZER_BYTES, "a vocabulary", &text, bytes, NULL)) text = NULL;
    free(path);
    return text;
}

/* The number of the line that is the token; -1: none. */
static int32_t line_of(const char *text) {
    int32_t number = 0;
    size_t length = strlen(mask_token);
    for (const char *line = text; *line && number < INT32_MAX; number++) {
        const char *end = strchrnul(line, '\n');
        size_t bytes = (size_t)(end - line);
        if (bytes > 0 && line[bytes - 1] == '\r') bytes--;
        if (bytes == length && memcmp(line, mask_token, length) == 0) return number;
        line = *end ? end + 1 : end;
    }
    return -1;
}

static int32_t mask_in_vocab(const cli *c) {
    size_t bytes;
    char *text = read_beside(c, "vocab.txt", &bytes);
    int32_t id = text ? line_of(text) : -1;
    free(text);
    return id;
}

/* {"added_tokens": [{"id": 103, "content": "[MASK]", ...}, ...], ...} */
static int32_t mask_in_tokenizer(const cli *c) {
    size_t bytes, i;
    char *text = read_beside(c, "tokenizer.json", &bytes);
    json_t *root = text ? json_loadb(text, bytes, 0, NULL) : NULL, *token;
    int32_t id = -1;
    json_array_foreach(json_object_get(root, "added_tokens"), i, token) {
        const char *content = json_string_value(json_object_get(token, "content"));
        const json_t *number = json_object_get(token, "id");
        if (!content || strcmp(content, mask_token) != 0 || !json_is_integer(number)) continue;
        if (json_integer_value(number) >= 0 && json_integer_value(number) < INT32_MAX)
            id = (int32_t)json_integer_value(number);
    }
    json_decref(root);
    free(text);
    return id;
}

/* -1: not known. */
static omni_status find_mask(const cli *c, int32_t *id, omni_error *err) {
    size_t given;
    *id = -1;
    if (omni_settings_get(c->settings, OMNI_OPT_MASK_ID)) {
        omni_status status = cli_number(c, OMNI_OPT_MASK_ID, 0, c->model->shape.vocab - 1, &given, err);
        if (status) return status;
        if (!(c->model->heads & OMNI_HEAD_MLM))
            return omni_error_set(err, OMNI_BAD_INPUT, "--mask-id: %s has no masked language model head",
                                  c->operand);
        *id = (int32_t)given;
        return OMNI_OK;
    }
    if (c->model->heads & OMNI_HEAD_MLM) *id = mask_in_vocab(c);
    if (c->model->heads & OMNI_HEAD_MLM && *id < 0) *id = mask_in_tokenizer(c);
    return OMNI_OK;
}

/* --- what makes no sense ---------------------------------------------------------------------- */

omni_status encode_check_options(const cli *c, omni_error *err) {
    static const omni_option_id decoders[] = {OMNI_OPT_GEN,         OMNI_OPT_DECODE_PLAN, OMNI_OPT_STOP_EOS,
                                              OMNI_OPT_TEMPERATURE, OMNI_OPT_TOP_K,       OMNI_OPT_TOP_P};
    static const omni_option_id encoders[] = {OMNI_OPT_TOKEN_TYPES, OMNI_OPT_MASK_ID};
    bool encoder = c->model->shape.encoder;
    const omni_option_id *wrong = encoder ? decoders : encoders;
    size_t count = encoder ? sizeof decoders / sizeof *decoders : sizeof encoders / sizeof *encoders;
    for (size_t i = 0; i < count; i++) {
        bool valued = omni_option_at(wrong[i])->arg; /* a flag may be given as no */
        bool given = valued ? omni_settings_get(c->settings, wrong[i]) != NULL
                            : omni_settings_flag(c->settings, wrong[i]);
        if (!given) continue;
        return omni_error_set(err, OMNI_BAD_INPUT,
                              encoder ? "--%s: %s models are encoders: there is no decode phase"
                                      : "--%s: %s models are no encoders (expected a BERT checkpoint)",
                              omni_option_at(wrong[i])->name, c->model->family);
    }
    return OMNI_OK;
}

/* --- the pass --------------------------------------------------------------------------------- */

static void mark_rows(run *r, int32_t mask) {
    size_t row = 0;
    for (size_t i = 0; i < r->prompts.count; i++)
        for (size_t t = 0; t < r->prompts.length[i]; t++, row++)
            if (mask >= 0 && r->prompts.ids[i][t] == mask) r->encoded.mark[r->encoded.marks++] = row;
}

omni_status encode_prepare(run *r, omni_error *err) {
    encoded *x = &r->encoded;
    int32_t mask;
    if (!r->c->model->shape.encoder) return OMNI_OK;
    omni_status status = find_mask(r->c, &mask, err);
    if (status) return status;
    x->types = omni_alloc_array(r->prompts.tokens, sizeof *x->types);
    x->mark = omni_alloc_array(r->prompts.tokens, sizeof *x->mark);
    x->predicted = omni_alloc_array(r->prompts.tokens, sizeof *x->predicted);
    x->pooled = omni_alloc_array(r->prompts.count, r->c->model->shape.hidden * sizeof *x->pooled);
    if (!x->types || !x->mark || !x->predicted || !x->pooled)
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu tokens", r->prompts.tokens);
    int32_t *type = x->types; /* zeros where none are given */
    for (size_t i = 0; i < r->prompts.count; i++) {
        if (r->prompts.types[i]) memcpy(type, r->prompts.types[i], r->prompts.length[i] * sizeof *type);
        type += r->prompts.length[i];
    }
    mark_rows(r, mask);
    return OMNI_OK;
}

omni_status encode_run(run *r, omni_error *err) {
    encoded *x = &r->encoded;
    omni_encode io = {.ids = r->feed,
                      .types = x->types,
                      .counts = r->counts,
                      .mark = x->mark,
                      .marks = x->marks,
                      .pooled = x->pooled,
                      .predicted = x->predicted};
    return omni_engine_encode(r->engine, &io, err);
}

void encode_free(run *r) {
    omni_free(r->encoded.types);
    omni_free(r->encoded.mark);
    omni_free(r->encoded.predicted);
    omni_free(r->encoded.pooled);
}

/* --- the result ------------------------------------------------------------------------------- */

/* Marks of sequence i, whose first row is `row`: [first, last) of the list. */
static omni_range marks_of(const run *r, size_t i, size_t row) {
    const encoded *x = &r->encoded;
    omni_range range = {0, 0};
    while (range.start < x->marks && x->mark[range.start] < row) range.start++;
    for (size_t m = range.start; m < x->marks && x->mark[m] < row + r->prompts.length[i]; m++) range.count++;
    return range;
}

static size_t likeliest(const run *r, size_t mark, omni_likely top[TOP]) {
    size_t vocab = r->c->model->shape.vocab;
    return omni_top(omni_engine_logits(r->engine) + mark * vocab, vocab, TOP, top);
}

static json_t *top_json(const run *r, size_t mark) {
    json_t *list = json_array();
    omni_likely top[TOP];
    size_t count = likeliest(r, mark, top);
    for (size_t i = 0; i < count; i++) {
        json_t *one = json_object();
        cli_set(&one, "id", json_integer(top[i].id));
        cli_set(&one, "token", omni_json_string(omni_tokenizer_token(r->spoken.tokenizer, top[i].id)));
        cli_set(&one, "probability", omni_json_number(top[i].probability));
        cli_append(&list, one);
    }
    return list;
}

static json_t *pooled_json(const run *r, size_t i) {
    size_t D = r->c->model->shape.hidden;
    json_t *list = json_array();
    for (size_t j = 0; j < D; j++) cli_append(&list, omni_json_number((double)r->encoded.pooled[i * D + j]));
    return list;
}

void encode_json(const run *r, json_t **root) {
    json_t *shapes = json_array(), *pooled = json_array(), *predictions = json_array();
    bool pooler = r->c->model->heads & OMNI_HEAD_POOLER, mlm = r->c->model->heads & OMNI_HEAD_MLM;
    size_t row = 0;
    for (size_t i = 0; i < r->prompts.count; row += r->prompts.length[i++]) {
        omni_range marks = marks_of(r, i, row);
        json_t *shape = json_array(), *list = json_array();
        cli_append(&shape, cli_size(r->prompts.length[i]));
        cli_append(&shape, cli_size(r->c->model->shape.hidden));
        cli_append(&shapes, shape);
        cli_append(&pooled, pooled_json(r, i));
        for (size_t m = marks.start; m < marks.start + marks.count; m++) {
            json_t *one = json_object();
            cli_set(&one, "position", cli_size(r->encoded.mark[m] - row));
            cli_set(&one, "id", json_integer(r->encoded.predicted[m]));
            if (r->spoken.tokenizer) cli_set(&one, "top", top_json(r, m));
            cli_append(&list, one);
        }
        cli_append(&predictions, list);
    }
    cli_set(root, "hidden_shape", shapes);
    cli_set(root, pooler ? "pooled" : "first_hidden", pooled);
    if (mlm)
        cli_set(root, "predictions", predictions);
    else
        json_decref(predictions);
}

static void draw_top(const run *r, size_t mark, omni_text *page) {
    omni_likely top[TOP];
    size_t count = likeliest(r, mark, top);
    for (size_t i = 0; i < count; i++) {
        const char *token = omni_tokenizer_token(r->spoken.tokenizer, top[i].id);
        omni_text_add(page, "%s %s %.1f%%", i ? "," : "", token ? token : "?", 100 * top[i].probability);
    }
}

static void draw_predictions(const run *r, size_t i, size_t row, omni_text *page) {
    omni_range marks = marks_of(r, i, row);
    for (size_t m = marks.start; m < marks.start + marks.count; m++) {
        omni_text_add(page, "sequence %zu, position %zu, masked:", i, r->encoded.mark[m] - row);
        if (r->spoken.tokenizer)
            draw_top(r, m, page);
        else
            omni_text_add(page, " %d", (int)r->encoded.predicted[m]);
        omni_text_add(page, "\n");
    }
}

static void draw_pooled(const run *r, size_t i, omni_text *page) {
    size_t D = r->c->model->shape.hidden;
    bool pooler = r->c->model->heads & OMNI_HEAD_POOLER;
    omni_text_add(page, "sequence %zu, %zu tokens, hidden states [%zu, %zu], %s [%zu]:", i,
                  r->prompts.length[i], r->prompts.length[i], D,
                  pooler ? "pooled" : "no pooler: state of the first token", D);
    for (size_t j = 0; j < D; j++) omni_text_add(page, " %.6g", (double)r->encoded.pooled[i * D + j]);
    omni_text_add(page, "\n");
}

/* Of a text with a masked word the words are the answer, of any other the vector. */
void encode_draw(const run *r, omni_text *page) {
    size_t row = 0;
    for (size_t i = 0; i < r->prompts.count; row += r->prompts.length[i++]) {
        const char *text = r->prompts.text[i];
        if (text) omni_text_add(page, "sequence %zu, %zu tokens: %s\n", i, r->prompts.length[i], text);
        if (!text || !marks_of(r, i, row).count) draw_pooled(r, i, page);
    }
    row = 0;
    for (size_t i = 0; i < r->prompts.count; row += r->prompts.length[i++]) draw_predictions(r, i, row, page);
    omni_text_add(page, "\n");
}
