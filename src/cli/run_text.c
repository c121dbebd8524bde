/* run_text.c: `omnibus run` with text: --prompt and --prompt-file made into ids by the checkpoint's
 * tokenizer, and what is generated made into text.
 *
 * Where the result is a page on stdout, text appears there as it is generated. All sequences go through a
 * pass together, but a page has one end: it shows the first sequence until that has ended, then what the
 * second has by then, and so on. In JSON and CSV, and with --output, texts are fields of the result.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

enum { MOST_FILE_BYTES = 64 << 20 };

/* --- prompts ---------------------------------------------------------------------------------- */

static omni_status check_types(const reader *r, const omni_encoding *e, const char *where) {
    size_t types = r->model->shape.types;
    for (size_t i = 0; r->model->shape.encoder && i < e->count; i++)
        if ((size_t)e->types[i] >= types)
            return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: token type %d (expected 0 to %zu)", where,
                                  (int)e->types[i], types - 1);
    return OMNI_OK;
}

/* pair: NULL without one. */
static omni_status add_text(const reader *r, const char *text, size_t bytes, const char *pair,
                            const char *where) {
    omni_encoding e = {0};
    omni_error why = {0};
    char *shown = NULL;
    if (pair && asprintf(&shown, "%s | %s", text, pair) < 0)
        return omni_error_set(r->err, OMNI_RUN_FAILED, "%s: out of memory", where);
    omni_status status = *r->tokenizer ? OMNI_OK : omni_tokenizer_open(r->c->operand, r->tokenizer, r->err);
    if (!status && omni_tokenizer_encode(*r->tokenizer, text, bytes, pair, pair ? strlen(pair) : 0, &e, &why))
        status = omni_error_set(r->err, why.status, "%s: %s", where, why.text);
    if (!status && e.count == 0)
        status =
            omni_error_set(r->err, OMNI_BAD_INPUT, "%s: no tokens (expected a text that has some)", where);
    if (!status) status = check_types(r, &e, where);
    prompt p = {.ids = e.ids,
                .types = r->model->shape.encoder ? e.types : NULL,
                .length = e.count,
                .text = shown ? shown : text,
                .where = where};
    if (!status) status = prompts_add(r, &p);
    omni_encoding_free(&e);
    free(shown);
    return status;
}

static omni_status add_element(const reader *r, const char *path, size_t number, const json_t *element) {
    char where[400];
    bool pair = json_array_size(element) == 2 && r->model->shape.encoder;
    const json_t *a = pair ? json_array_get(element, 0) : element,
                 *b = pair ? json_array_get(element, 1) : NULL;
    snprintf(where, sizeof where, "%.360s: prompt %zu", path, number);
    if (!json_is_string(a) || (pair && !json_is_string(b)))
        return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: not a text (expected a string%s)", where,
                              r->model->shape.encoder ? " or a pair of strings" : "");
    return add_text(r, json_string_value(a), json_string_length(a), json_string_value(b), where);
}

static omni_status add_lines(const reader *r, const char *path, char *text, size_t bytes) {
    omni_status status = OMNI_OK;
    size_t number = 0;
    for (char *line = text, *end; line < text + bytes && !status; line = end + 1) {
        char where[400];
        end = memchr(line, '\n', (size_t)(text + bytes - line));
        if (!end) end = text + bytes;
        *end = '\0';
        size_t length = (size_t)(end - line);
        snprintf(where, sizeof where, "%.360s:%zu", path, ++number);
        if (strlen(line) != length)
            return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: not a text file", where);
        if (length > 0 && line[length - 1] == '\r') line[--length] = '\0';
        if (length > 0) status = add_text(r, line, length, NULL, where);
    }
    return status;
}

/* A file that begins like a list and is one, or whose name says so, is a JSON list. */
static omni_status add_file(const reader *r, const char *path) {
    char *text;
    size_t bytes, i, length = strlen(path), before = r->out->count;
    json_t *element;
    json_error_t why;
    bool named = length > 5 && strcmp(path + length - 5, ".json") == 0;
    omni_status status = omni_file_read(path, MOST_FILE_BYTES, "a file of prompts", &text, &bytes, r->err);
    if (status) return status;
    size_t mark = strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* of the byte order: no part of the text */
    memmove(text, text + mark, (bytes -= mark) + 1);
    json_t *list = named || text[strspn(text, " \t\r\n")] == '[' ? json_loadb(text, bytes, 0, &why) : NULL;
    if (named && !json_is_array(list))
        status = omni_error_set(r->err, OMNI_BAD_INPUT, "%s: not a JSON list%s%.120s", path, list ? "" : ": ",
                                list ? "" : why.text);
    else if (!json_is_array(list))
        status = add_lines(r, path, text, bytes);
    json_array_foreach(list, i, element) if (!status) status = add_element(r, path, i, element);
    json_decref(list);
    free(text);
    if (!status && r->out->count == before)
        status = omni_error_set(r->err, OMNI_BAD_INPUT,
                                "%s: no prompts (expected one a line, or a JSON list)", path);
    return status;
}

omni_status prompts_read_text(const reader *r) {
    const omni_settings *s = r->c->settings;
    const char *path = omni_settings_get(s, OMNI_OPT_PROMPT_FILE), *text;
    omni_status status = OMNI_OK;
    char where[32] = "--prompt";
    for (size_t i = 0; !status && (text = omni_settings_nth(s, OMNI_OPT_TEXT, i)); i++) {
        if (omni_settings_count(s, OMNI_OPT_TEXT) > 1) snprintf(where, sizeof where, "--prompt %zu", i + 1);
        status = add_text(r, text, strlen(text), NULL, where);
    }
    return !status && path ? add_file(r, path) : status;
}

/* --- what is generated ------------------------------------------------------------------------ */

omni_status text_prepare(run *r, omni_error *err) {
    spoken *x = &r->spoken;
    size_t n = r->prompts.count;
    if (!x->tokenizer || r->c->model->shape.encoder) return OMNI_OK;
    x->live = r->c->format == OMNI_FORMAT_TABLE && !r->c->output;
    x->stream = omni_alloc_array(n, sizeof *x->stream);
    x->text = omni_alloc_array(n, sizeof *x->text);
    x->shown = omni_alloc_array(n, sizeof *x->shown);
    bool ok = x->stream && x->text && x->shown;
    for (size_t i = 0; ok && i < n; i++) {
        x->stream[i] = omni_stream_create(x->tokenizer, r->prompts.ids[i], r->prompts.length[i]);
        x->text[i] = omni_text_create();
        ok = x->stream[i] && x->text[i];
    }
    return ok ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "no memory for the texts of %zu sequences", n);
}

static void draw_prompt(const run *r, size_t i, omni_text *page) {
    const prompts *p = &r->prompts;
    omni_text_add(page, "sequence %zu, prompt of %zu token%s:\n", i, p->length[i],
                  p->length[i] == 1 ? "" : "s");
    if (p->text[i]) omni_text_add(page, "%s", p->text[i]);
}

/* On stdout at once. Takes page. */
static omni_status say(omni_text *page, omni_error *err) {
    omni_status status = *omni_text_string(page) ? omni_text_emit(page, NULL, err) : OMNI_OK;
    omni_text_free(page);
    return status;
}

/* What there is and has not been shown, from the current sequence on; the next one when that has ended. */
static omni_status show(run *r, omni_error *err) {
    spoken *x = &r->spoken;
    omni_text *page = omni_text_create();
    while (x->current < r->prompts.count) {
        size_t i = x->current;
        const char *text = omni_text_string(x->text[i]);
        if (!x->open) draw_prompt(r, i, page);
        omni_text_add(page, "%s", text + x->shown[i]);
        x->shown[i] = strlen(text);
        x->open = !r->ended[i] && r->generated[i] < r->gen;
        if (x->open) break;
        omni_text_add(page, "\n\n");
        x->current++;
    }
    return say(page, err);
}

static omni_status begin(run *r, omni_error *err) {
    omni_text *page = omni_text_create();
    run_draw_head(r, page);
    return say(page, err);
}

omni_status text_token(run *r, size_t i, omni_error *err) {
    spoken *x = &r->spoken;
    const char *piece;
    if (!x->stream) return OMNI_OK;
    int32_t id = r->token[i * r->gen + r->generated[i] - 1];
    omni_status status = omni_stream_push(x->stream[i], id, &piece, err);
    x->mute += !omni_tokenizer_token(x->tokenizer, id);
    if (!status) omni_text_add(x->text[i], "%s", piece);
    bool last = r->ended[i] || r->generated[i] == r->gen;
    if (!status && last) status = omni_stream_end(x->stream[i], &piece, err);
    if (!status && last) omni_text_add(x->text[i], "%s", piece);
    return status;
}

omni_status text_shown(run *r, omni_error *err) {
    spoken *x = &r->spoken;
    bool first = x->current == 0 && !x->open;
    if (!x->live) return OMNI_OK;
    omni_status status = first ? begin(r, err) : OMNI_OK;
    return status ? status : show(r, err);
}

void text_note(const run *r) {
    if (r->spoken.mute)
        cli_note(r->c, "%zu of the generated tokens have no text: their ids are not in %s", r->spoken.mute,
                 omni_tokenizer_source(r->spoken.tokenizer));
}

void text_draw(const run *r, omni_text *page) {
    if (r->spoken.live) return;
    for (size_t i = 0; r->spoken.text && i < r->prompts.count; i++) {
        draw_prompt(r, i, page);
        omni_text_add(page, "%s\n\n", omni_text_string(r->spoken.text[i]));
    }
}

void text_json(const run *r, json_t **root) {
    json_t *given = json_array(), *texts = json_array();
    for (size_t i = 0; r->spoken.tokenizer && i < r->prompts.count; i++) {
        cli_append(&given, omni_json_string(r->prompts.text[i]));
        if (r->spoken.text) cli_append(&texts, omni_json_string(omni_text_string(r->spoken.text[i])));
    }
    if (r->spoken.tokenizer) cli_set(root, "prompt_texts", json_incref(given));
    if (r->spoken.text) cli_set(root, "texts", json_incref(texts));
    json_decref(given);
    json_decref(texts);
}

void text_free(run *r) {
    spoken *x = &r->spoken;
    if (x->live && x->open) fputs("\n", stdout); /* ended in the middle: what comes next begins a line */
    for (size_t i = 0; x->stream && i < r->prompts.count; i++) omni_stream_free(x->stream[i]);
    for (size_t i = 0; x->text && i < r->prompts.count; i++) omni_text_free(x->text[i]);
    omni_free(x->stream);
    omni_free(x->text);
    omni_free(x->shown);
    omni_tokenizer_free(x->tokenizer);
}
