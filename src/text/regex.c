/* regex.c: regular expressions of tokenizer files, by PCRE2. The only place that includes pcre2.h.
 *
 * The files are written for Oniguruma in Ruby's syntax, so a pattern is translated first:
 *
 *   \s \S \w \d       by Unicode properties: White_Space; Alphabetic, marks, digits, connectors; Nd
 *   ^ $               at every line
 *   \h \H \R \X ...   a letter that means something else there, class operations ([a&&b], [a[b]]), a '+' behind
 *                     {m,n}, which is no possessive quantifier there, and \C, a byte, which may be half a
 *                     character: refused by name
 *
 * Text is checked to be UTF-8 before it comes here, so that PCRE2 need not check all of it again for every match.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "text/internal.h"

enum { MATCH_LIMIT = 1000000, JIT_STACK_LEAST = 32 << 10, JIT_STACK_MOST = 4 << 20 };

struct text_regex {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
    bool empty; /* the literal of no characters: never matches */
};

/* --- translation ------------------------------------------------------------------------------ */

/* What an escape is in PCRE2, inside and outside of a class; NULL: the same. */
static const struct {
    char letter;
    const char *inside, *outside;
} escapes[] = {
    {'s', "\\p{White_Space}", "\\p{White_Space}"},
    {'S', "\\P{White_Space}", "\\P{White_Space}"},
    {'w', "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}", "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]"},
    {'W', NULL, "[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]"},
    {'d', "\\p{Nd}", "\\p{Nd}"},
    {'D', "\\P{Nd}", "\\P{Nd}"},
};

static void add(text_bytes *out, const char *text) {
    text_bytes_add(out, text, strlen(text));
}

/* The escape at p, "\\s" or "\\p{L}"; how many bytes it has. */
static size_t translate_escape(const char *p, bool in_class, text_bytes *out, text_source *src) {
    if (strchr("ChHRXKGyYOgkM", p[1]) || (in_class && strchr("WbB", p[1]))) {
        text_wrong(src, "'\\%c'%s in a regular expression is not supported", p[1],
                   in_class ? " in a class" : "");
        return 2;
    }
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        if (escapes[i].letter != p[1]) continue;
        add(out, in_class ? escapes[i].inside : escapes[i].outside);
        return 2;
    }
    const char *end = p[2] == '{' ? strchr(p, '}') : NULL;
    size_t n = end ? (size_t)(end - p) + 1 : 2;
    text_bytes_add(out, p, n);
    return n;
}

/* One step inside of a class: how many bytes were taken, 0: what is not supported. */
static size_t translate_class(const char *p, text_bytes *out) {
    if (p[0] == '&' && p[1] == '&') return 0;
    if (p[0] == '[' && p[1] != ':') return 0;
    size_t n = 1;
    if (p[0] == '[') { /* [:alpha:] */
        const char *end = strstr(p, ":]");
        if (!end) return 0;
        n = (size_t)(end - p) + 2;
    }
    text_bytes_add(out, p, n);
    return n;
}

static void translate(const char *pattern, text_bytes *out, text_source *src) {
    bool in_class = false;
    for (const char *p = pattern; *p && !src->status;) {
        size_t n = 1;
        if (p[0] == '\\' && p[1]) {
            n = translate_escape(p, in_class, out, src);
        } else if (in_class && *p != ']') {
            n = translate_class(p, out);
            if (n == 0)
                text_wrong(src, "a class inside of a class or '&&' in a regular expression is not supported");
        } else if (p[0] == '}' && p[1] == '+') {
            text_wrong(src, "'}+' in a regular expression is not supported");
        } else {
            bool opens = !in_class && *p == '[';
            n = opens && p[1] == '^' ? 2 : 1;
            text_bytes_add(out, p, n);
            in_class = opens || (in_class && *p != ']');
        }
        p += n;
    }
}

/* --- compilation ------------------------------------------------------------------------------ */

void text_regex_free(text_regex *r) {
    if (!r) return;
    pcre2_code_free(r->code);
    pcre2_match_data_free(r->match);
    pcre2_match_context_free(r->limits);
    pcre2_jit_stack_free(r->stack);
    free(r);
}

/* What a match needs. Without just-in-time code it works the same, slower. */
static bool prepare(text_regex *r) {
    bool fast = pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE) == 0;
    r->match = pcre2_match_data_create(1, NULL);
    r->limits = pcre2_match_context_create(NULL);
    if (!r->match || !r->limits) return false;
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    if (fast) r->stack = pcre2_jit_stack_create(JIT_STACK_LEAST, JIT_STACK_MOST, NULL);
    if (fast && r->stack) pcre2_jit_stack_assign(r->limits, NULL, r->stack);
    return true;
}

static text_regex *compile(const char *pattern, size_t bytes, bool literal, text_source *src) {
    uint32_t options = literal ? PCRE2_UTF | PCRE2_LITERAL : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE;
    int why;
    size_t where;
    text_regex *r = calloc(1, sizeof *r);
    if (r) r->code = pcre2_compile((PCRE2_SPTR)pattern, bytes, options, &why, &where, NULL);
    if (r && !r->code) {
        PCRE2_UCHAR reason[120] = "";
        pcre2_get_error_message(why, reason, sizeof reason);
        text_wrong(src, "the regular expression '%.100s' cannot be used (%s)", pattern, (const char *)reason);
    } else if (!r || !prepare(r)) {
        text_no_memory(src);
    }
    if (!src->status) {
        r->empty = literal && bytes == 0;
        return r;
    }
    text_regex_free(r);
    return NULL;
}

text_regex *text_regex_compile(const char *pattern, bool literal, text_source *src) {
    text_bytes translated = {0};
    text_regex *r = NULL;
    if (literal) return src->status ? NULL : compile(pattern, strlen(pattern), true, src);
    translate(pattern, &translated, src);
    if (translated.failed) text_no_memory(src);
    if (!src->status) r = compile(translated.data ? translated.data : "", translated.length, false, src);
    text_bytes_free(&translated);
    return r;
}

text_regex *text_regex_of(const json_t *pattern, text_source *src) {
    bool literal = json_object_get(pattern, "String") != NULL;
    if (!json_is_object(pattern) || json_object_size(pattern) != 1) {
        text_wrong(src, "'pattern' is not {\"String\": ...} or {\"Regex\": ...}");
        return NULL;
    }
    return text_regex_compile(text_string(src, pattern, literal ? "String" : "Regex", NULL), literal, src);
}

/* --- matching --------------------------------------------------------------------------------- */

/* One match from s->from on; false: none. */
static bool find(const text_regex *r, const text_search *s, size_t *start, size_t *end, text_source *src) {
    int n = pcre2_match(r->code, (PCRE2_SPTR)s->in.data, s->in.bytes, s->from, PCRE2_NO_UTF_CHECK, r->match,
                        r->limits);
    if (n == PCRE2_ERROR_NOMATCH) return false;
    if (n < 0) {
        PCRE2_UCHAR reason[120] = "";
        pcre2_get_error_message(n, reason, sizeof reason);
        text_wrong(src, "a regular expression gave up on the text (%s)", (const char *)reason);
        return false;
    }
    const size_t *place = pcre2_get_ovector_pointer(r->match);
    *start = place[0];
    *end = place[1];
    return *start >= s->from && *end >= *start;
}

/* An empty match where the one before ended is none. */
bool text_regex_next(const text_regex *r, text_search *s, size_t *start, size_t *end, text_source *src) {
    while (!r->empty && s->from <= s->in.bytes && find(r, s, start, end, src)) {
        s->from = *end;
        if (*start != *end || *end != s->last) {
            s->last = *end;
            return true;
        }
        if (s->from == s->in.bytes) return false;
        text_next(s->in, &s->from);
    }
    return false;
}
