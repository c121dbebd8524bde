/* run_prompts.c: the prompts of `omnibus run`: token ids from --prompt-ids, then from --ids-file, one list
 * per line, empty lines skipped. Each is held against the model at once, so that the error still knows where
 * it stands: "ids.txt:3: ...". Then an encoder's token types.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

typedef struct reader {
    const omni_model *model;
    size_t gen;
    prompts *out;
    omni_error *err;
} reader;

static omni_status check(const reader *r, const char *where, const int32_t *ids, size_t length) {
    size_t vocab = r->model->shape.vocab, positions = r->model->shape.positions;
    for (size_t i = 0; i < length; i++)
        if ((size_t)ids[i] >= vocab)
            return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: token id %d (expected 0 to %zu)", where,
                                  (int)ids[i], vocab - 1);
    if (r->gen == 0 && length > positions)
        return omni_error_set(r->err, OMNI_BAD_INPUT,
                              "%s: %zu ids (expected at most the model's %zu positions)", where, length,
                              positions);
    if (r->gen && (length > positions || r->gen - 1 > positions - length))
        return omni_error_set(
            r->err, OMNI_BAD_INPUT,
            "%s: %zu ids and %zu tokens to generate (expected to fit the model's %zu positions)", where,
            length, r->gen, positions);
    return OMNI_OK;
}

static bool append(prompts *p, int32_t *ids, size_t length) {
    int32_t **all = realloc(p->ids, (p->count + 1) * sizeof *all);
    if (all) p->ids = all;
    size_t *lengths = realloc(p->length, (p->count + 1) * sizeof *lengths);
    if (lengths) p->length = lengths;
    if (!all || !lengths) return false;
    p->ids[p->count] = ids;
    p->length[p->count++] = length;
    p->tokens += length;
    return true;
}

static omni_status add(const reader *r, const char *text, const char *where) {
    int32_t *ids = NULL;
    size_t length;
    omni_status status = omni_id_list(text, where, &ids, &length, r->err);
    if (!status) status = check(r, where, ids, length);
    if (!status && append(r->out, ids, length)) return OMNI_OK;
    if (!status) status = omni_error_set(r->err, OMNI_RUN_FAILED, "%s: out of memory", where);
    omni_free(ids);
    return status;
}

/* A line without its end; blank ones are skipped. */
static omni_status add_line(const reader *r, const char *path, size_t number, char *line, size_t bytes) {
    char where[400];
    snprintf(where, sizeof where, "%.360s:%zu", path, number);
    if (strlen(line) != bytes) return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: not a text file", where);
    while (bytes > 0 && isspace((unsigned char)line[bytes - 1])) line[--bytes] = '\0';
    return line[strspn(line, " \t")] ? add(r, line, where) : OMNI_OK;
}

static omni_status add_file(const reader *r, const char *path) {
    char *line = NULL;
    size_t capacity = 0, number = 0;
    ssize_t bytes;
    omni_status status = OMNI_OK;
    FILE *f = fopen(path, "re");
    if (!f) return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: cannot open (%s)", path, strerror(errno));
    errno = 0;
    while (!status && (bytes = getline(&line, &capacity, f)) >= 0)
        status = add_line(r, path, ++number, line, (size_t)bytes);
    if (!status && !feof(f))
        status = omni_error_set(r->err, OMNI_BAD_INPUT, "%s: cannot read (%s)", path, strerror(errno));
    free(line);
    fclose(f);
    return status;
}

/* The i-th --token-types, for sequence i. */
static omni_status add_types(const reader *r, const cli *c, size_t i, const char *text) {
    const char *where = omni_settings_where(c->settings, OMNI_OPT_TOKEN_TYPES);
    size_t length, types = c->model->shape.types;
    if (i >= r->out->count)
        return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: more lists than sequences (expected at most %zu)",
                              where, r->out->count);
    omni_status status = omni_id_list(text, where, &r->out->types[i], &length, r->err);
    if (status) return status;
    if (length != r->out->length[i])
        return omni_error_set(r->err, OMNI_BAD_INPUT,
                              "%s: %zu types for sequence %zu (expected one per id: %zu)", where, length, i,
                              r->out->length[i]);
    for (size_t t = 0; t < length; t++)
        if ((size_t)r->out->types[i][t] >= types)
            return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: token type %d (expected 0 to %zu)", where,
                                  (int)r->out->types[i][t], types - 1);
    return OMNI_OK;
}

static omni_status read_types(const reader *r, const cli *c) {
    const char *text;
    omni_status status = OMNI_OK;
    r->out->types = omni_alloc_array(r->out->count, sizeof *r->out->types);
    if (!r->out->types) return omni_error_set(r->err, OMNI_RUN_FAILED, "run: out of memory");
    for (size_t i = 0; !status && (text = omni_settings_nth(c->settings, OMNI_OPT_TOKEN_TYPES, i)); i++)
        status = add_types(r, c, i, text);
    return status;
}

omni_status prompts_read(const cli *c, size_t gen, prompts *out, omni_error *err) {
    reader r = {.model = c->model, .gen = gen, .out = out, .err = err};
    const char *path = omni_settings_get(c->settings, OMNI_OPT_IDS_FILE), *text;
    omni_status status = OMNI_OK;
    for (size_t i = 0; !status && (text = omni_settings_nth(c->settings, OMNI_OPT_PROMPT_IDS, i)); i++)
        status = add(&r, text, omni_settings_where(c->settings, OMNI_OPT_PROMPT_IDS));
    if (!status && path) status = add_file(&r, path);
    if (!status && out->count == 0)
        status = path ? omni_error_set(err, OMNI_BAD_INPUT, "%s: no ids (expected one list per line)", path)
                      : omni_error_set(err, OMNI_BAD_INPUT,
                                       "run: no prompt (expected --prompt-ids or --ids-file)");
    return status ? status : read_types(&r, c);
}

void prompts_free(prompts *p) {
    for (size_t i = 0; i < p->count; i++) omni_free(p->ids[i]);
    for (size_t i = 0; p->types && i < p->count; i++) omni_free(p->types[i]);
    omni_free(p->types);
    free(p->ids);
    free(p->length);
}
