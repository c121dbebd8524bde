/* split.c: a text cut at matches: the spans between and of them, and what becomes of each.
 *
 *   "a--b", matches of "-":     Removed                a b
 *                               Isolated               a - - b
 *                               MergedWithPrevious     a- - b
 *                               MergedWithNext         a - -b
 *                               Contiguous             a -- b
 */
#include <stdlib.h>

#include "text/internal.h"

void text_spans_add(text_spans *s, size_t start, size_t end, bool match) {
    if (start == end && !match) return;
    if (!text_reserve(&s->span, &s->capacity, s->count + 1, sizeof *s->span)) s->failed = true;
    if (!s->failed) s->span[s->count++] = (text_span){(uint32_t)start, (uint32_t)end, match};
}

void text_spans_regex(const text_regex *r, text_view in, text_spans *out, text_source *src) {
    text_search s = {.in = in, .last = SIZE_MAX};
    size_t done = 0, start, end;
    while (!out->failed && text_regex_next(r, &s, &start, &end, src)) {
        text_spans_add(out, done, start, false);
        text_spans_add(out, start, end, true);
        done = end;
    }
    text_spans_add(out, done, in.bytes, false);
}

void text_spans_chars(bool (*is)(uint32_t), text_view in, text_spans *out) {
    size_t done = 0;
    for (size_t at = 0; at < in.bytes;) {
        size_t start = at;
        if (!is(text_next(in, &at))) continue;
        text_spans_add(out, done, start, false);
        text_spans_add(out, start, at, true);
        done = at;
    }
    text_spans_add(out, done, in.bytes, false);
}

/* --- behaviours: spans become pieces -------------------------------------------------------------- */

/* Joins spans[i] to the one before where `joins` says so; in place. */
static void join(text_spans *s, bool (*joins)(const text_span *before, const text_span *now)) {
    size_t n = 0;
    text_span last = {0, 0, false};
    for (size_t i = 0; i < s->count; i++) {
        text_span now = s->span[i];
        if (i > 0 && joins(&last, &now))
            s->span[n - 1].end = now.end;
        else
            s->span[n++] = now;
        last = now;
    }
    s->count = n;
}

static bool same_kind(const text_span *before, const text_span *now) {
    return before->match == now->match;
}

/* A match joins what is before it, unless that is a match, too. */
static bool to_previous(const text_span *before, const text_span *now) {
    return now->match && !before->match;
}

/* What is no match joins the match before it. */
static bool to_match(const text_span *before, const text_span *now) {
    return before->match && !now->match;
}

void text_spans_split(text_spans *s, text_behavior how, text_view in, bool first, text_pieces *out,
                      text_source *src) {
    if (s->failed) text_no_memory(src);
    if (how == TEXT_CONTIGUOUS) join(s, same_kind);
    if (how == TEXT_MERGED_WITH_PREVIOUS) join(s, to_previous);
    if (how == TEXT_MERGED_WITH_NEXT) join(s, to_match);
    for (size_t i = 0; i < s->count; i++) {
        const text_span *x = &s->span[i];
        if (x->start == x->end || (how == TEXT_REMOVED && x->match)) continue;
        text_pieces_add(out, (text_view){in.data + x->start, x->end - x->start}, -1, first && x->start == 0);
    }
    free(s->span);
    *s = (text_spans){0};
}

void text_open_replace(text_stage *s, const json_t *spec, text_source *src) {
    s->regex = text_regex_of(json_object_get(spec, "pattern"), src);
    s->with = text_copy(src, text_string(src, spec, "content", NULL));
}

void text_replace(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    text_search at = {.in = in, .last = SIZE_MAX};
    text_bytes *text = &out->text;
    size_t begin = text->length, done = 0, start, end;
    while (!text->failed && text_regex_next(s->regex, &at, &start, &end, src)) {
        text_bytes_add(text, in.data + done, start - done);
        text_bytes_add(text, s->with, strlen(s->with));
        done = end;
    }
    text_bytes_add(text, in.data + done, in.bytes - done);
    text_pieces_close(out, begin, first);
}
