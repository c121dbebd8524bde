/* chain.c: stages of a file: parsed from a table of kinds, a Sequence laid flat, and run one after the other. */
#include <stdlib.h>

#include "text/internal.h"

static const text_kind *find_kind(const text_section *of, const char *type) {
    for (size_t i = 0; i < of->count; i++)
        if (strcmp(of->kinds[i].name, type) == 0) return &of->kinds[i];
    return NULL;
}

static void parse_stage(const text_section *of, const json_t *spec, text_chain *out, text_source *src) {
    const text_kind *kind = find_kind(of, text_type(spec));
    if (!kind) {
        text_wrong(src, "%s '%.60s' is not supported", of->name, text_type(spec));
        return;
    }
    if (out->count == TEXT_MOST_STAGES) {
        text_wrong(src, "more than %d stages in %s", TEXT_MOST_STAGES, of->name);
        return;
    }
    text_stage *s = &out->stage[out->count++];
    s->kind = kind;
    if (kind->parse) kind->parse(s, spec, src);
}

static void parse_part(const text_section *of, const json_t *spec, text_chain *out, text_source *src) {
    const json_t *parts = json_object_get(spec, of->parts);
    size_t i;
    json_t *part;
    if (strcmp(text_type(spec), "Sequence") != 0) {
        parse_stage(of, spec, out, src);
        return;
    }
    if (!json_is_array(parts)) text_wrong(src, "%s 'Sequence' without a list of '%s'", of->name, of->parts);
    json_array_foreach(parts, i, part) if (!src->status) parse_part(of, part, out, src);
}

void text_chain_parse(const text_section *of, const json_t *spec, text_chain *out, text_source *src) {
    if (!spec || json_is_null(spec) || src->status) return;
    out->stage = calloc(TEXT_MOST_STAGES, sizeof *out->stage);
    if (!out->stage)
        text_no_memory(src);
    else
        parse_part(of, spec, out, src);
}

void text_chain_free(text_chain *c) {
    for (size_t i = 0; i < c->count; i++) {
        free(c->stage[i].string);
        free(c->stage[i].with);
        text_regex_free(c->stage[i].regex);
    }
    free(c->stage);
    *c = (text_chain){0};
}

/* --- running ---------------------------------------------------------------------------------- */

static void run_pieces(const text_stage *s, const text_pieces *in, text_pieces *out, text_source *src) {
    for (size_t i = 0; i < in->count && !src->status; i++) {
        const text_piece *p = &in->piece[i];
        text_view text = text_pieces_at(in, i);
        if (p->id >= 0)
            text_pieces_add(out, text, p->id, p->first);
        else if (p->bytes)
            s->kind->piece(s, text, p->first, out, src);
    }
}

static void run_stage(const text_stage *s, const text_pieces *in, text_pieces *out, text_source *src) {
    if (s->kind->list) s->kind->list(s, in, out);
    if (s->kind->piece) run_pieces(s, in, out, src);
    for (size_t i = 0; s->kind->token && i < in->count; i++)
        s->kind->token(s, text_pieces_at(in, i), i, in->count, out);
    if (out->text.failed) text_no_memory(src);
}

void text_chain_run(const text_chain *c, text_pieces *p, text_source *src) {
    text_pieces other = {0};
    for (size_t i = 0; i < c->count && !src->status; i++) {
        text_pieces_clear(&other);
        run_stage(&c->stage[i], p, &other, src);
        text_pieces now = other;
        other = *p;
        *p = now;
    }
    text_pieces_free(&other);
}
