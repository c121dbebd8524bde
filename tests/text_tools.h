/* text_tools.h: tokenizers for tests, written with ' in place of ". */
#ifndef TEXT_TOOLS_H
#define TEXT_TOOLS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "omnibus/text.h"

/* Free with free(). */
static inline char *text_quotes(const char *from) {
    char *to = strdup(from);
    cr_assert_not_null(to);
    for (char *c = to; *c; c++)
        if (*c == '\'') *c = '"';
    return to;
}

static inline omni_status text_parse(const char *quoted, omni_tokenizer **t, omni_error *err) {
    char *json = text_quotes(quoted);
    omni_status status = omni_tokenizer_parse(json, strlen(json), "t.json", t, err);
    free(json);
    return status;
}

/* Parts of a tokenizer.json. The pieces that a text is cut into show as ids: `words` is a vocabulary of whole
 * pieces, "'a': 1, ...", in which '?' is 0, and what is not in it is one 0 for each character. */
static inline char *text_words(const char *parts, const char *words) {
    char *json;
    int n = asprintf(&json,
                     "{%s%s'model': {'type': 'BPE', 'ignore_merges': true, 'unk_token': '?', 'merges': [], "
                     "'vocab': {'?': 0, %s}}}",
                     parts, *parts ? ", " : "", words);
    cr_assert(n > 0);
    return json;
}

/* want: ids by number, "1 2 3". */
static inline void text_hold(const omni_tokenizer *t, const char *text, const char *pair, const char *want) {
    omni_encoding e;
    omni_error err = {0};
    char got[512] = "";
    size_t n = 0;
    omni_status status =
        omni_tokenizer_encode(t, text, strlen(text), pair, pair ? strlen(pair) : 0, &e, &err);
    cr_assert_eq(status, OMNI_OK, "'%s': %s", text, err.text);
    for (size_t i = 0; i < e.count && n < sizeof got - 16; i++)
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%d", i ? " " : "", (int)e.ids[i]);
    cr_expect_str_eq(got, want, "'%s': %s, not %s", text, got, want);
    omni_encoding_free(&e);
}

#endif
