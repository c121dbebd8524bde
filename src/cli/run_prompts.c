/* run_prompts.c: the prompts of `omnibus run`: token ids from --prompt-ids, then from --ids-file, one list
 * per line, empty lines skipped; then text (run_text.c). Each is held against the model at once, so that the
 * error still knows where it stands: "ids.txt:3: ...". Then an encoder's token types.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

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

/* Room for one more in each list. */
static bool widen(prompts *p) {
    int32_t **ids = realloc(p->ids, (p->count + 1) * sizeof *ids);
    if (ids) p->ids = ids;
    int32_t **types = realloc(p->types, (p->count + 1) * sizeof *types);
    if (types) p->types = types;
    size_t *length = realloc(p->length, (p->count + 1) * sizeof *length);
    if (length) p->length = length;
    char **text = realloc(p->text, (p->count + 1) * sizeof *text);
    if (text) p->text = text;
    return ids && types && length && text;
}

static int32_t *copy(const int32_t *from, size_t count) {
    int32_t *to = omni_alloc_array(count, sizeof *to);
    if (to) memcpy(to, from, count * sizeof *to);
    return to;
}

static bool append(prompts *p, const prompt *x) {
    if (!widen(p)) return false;
    size_t i = p->count++; /* prompts_free sees it from here on */
    p->length[i] = x->length;
    p->ids[i] = copy(x->ids, x->length);
    p->types[i] = x->types ? copy(x->types, x->length) : NULL;
    p->text[i] = x->text ? strdup(x->text) : NULL;
    p->tokens += x->length;
    return p->ids[i] && (!x->types || p->types[i]) && (!x->text || p->text[i]);
}

omni_status prompts_add(const reader *r, const prompt *p) {
    omni_status status = check(r, p->where, p->ids, p->length);
    if (!status && !append(r->out, p))
        status = omni_error_set(r->err, OMNI_RUN_FAILED, "%s: out of memory", p->where);
    return status;
}

static omni_status add(const reader *r, const char *text, const char *where) {
    prompt p = {.where = where};
    int32_t *ids = NULL;
    omni_status status = omni_id_list(text, where, &ids, &p.length, r->err);
    p.ids = ids;
    if (!status) status = prompts_add(r, &p);
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
    omni_free(r->out->types[i]); /* a pair's */
    r->out->types[i] = NULL;
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
    for (size_t i = 0; !status && (text = omni_settings_nth(c->settings, OMNI_OPT_TOKEN_TYPES, i)); i++)
        status = add_types(r, c, i, text);
    return status;
}

omni_status prompts_read(const cli *c, size_t gen, prompts *out, omni_tokenizer **tokenizer,
                         omni_error *err) {
    reader r = {.c = c, .model = c->model, .gen = gen, .out = out, .tokenizer = tokenizer, .err = err};
    const char *path = omni_settings_get(c->settings, OMNI_OPT_IDS_FILE), *text;
    omni_status status = OMNI_OK;
    for (size_t i = 0; !status && (text = omni_settings_nth(c->settings, OMNI_OPT_PROMPT_IDS, i)); i++)
        status = add(&r, text, omni_settings_where(c->settings, OMNI_OPT_PROMPT_IDS));
    if (!status && path) status = add_file(&r, path);
    if (!status && path && out->count == 0)
        status = omni_error_set(err, OMNI_BAD_INPUT, "%s: no ids (expected one list per line)", path);
    if (!status) status = prompts_read_text(&r);
    if (!status && out->count == 0)
        status =
            omni_error_set(err, OMNI_BAD_INPUT,
                           "run: no prompt (expected --prompt, --prompt-file, --prompt-ids or --ids-file)");
    return status ? status : read_types(&r, c);
}

void prompts_free(prompts *p) {
    for (size_t i = 0; i < p->count; i++) {
        omni_free(p->ids[i]);
        omni_free(p->types[i]);
        free(p->text[i]);
    }
    free(p->ids);
    free(p->types);
    free(p->length);
    free(p->text);
}
