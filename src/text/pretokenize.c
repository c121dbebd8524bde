/* pretokenize.c: the pre-tokenizers of tokenizer.json: text cut into words. */
#include <stdlib.h>

#include "text/internal.h"

enum { PREFIX_SPACE, USE_REGEX }; /* flags of ByteLevel */
enum { ALWAYS, FIRST, CUT };      /* of Metaspace */
enum { INVERT };                  /* of Split */

/* Radford et al., GPT-2: contractions, words, numbers and the rest, each with the space before it. */
static const char gpt2_words[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static void open_behavior(text_stage *s, const json_t *spec, text_source *src) {
    static const char *const names[][2] = {
        [TEXT_REMOVED] = {"Removed", "removed"},
        [TEXT_ISOLATED] = {"Isolated", "isolated"},
        [TEXT_MERGED_WITH_PREVIOUS] = {"MergedWithPrevious", "merged_with_previous"},
        [TEXT_MERGED_WITH_NEXT] = {"MergedWithNext", "merged_with_next"},
        [TEXT_CONTIGUOUS] = {"Contiguous", "contiguous"},
    };
    const char *name = text_string(src, spec, "behavior", "Isolated");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i][0]) != 0 && strcmp(name, names[i][1]) != 0) continue;
        s->behavior = (text_behavior)i;
        return;
    }
    text_wrong(src, "behavior '%.60s' is not supported", name);
}

/* --- by characters ---------------------------------------------------------------------------- */

static void cut(bool (*is)(uint32_t), text_behavior how, text_view in, bool first, text_pieces *out,
                text_source *src) {
    text_spans spans = {0};
    text_spans_chars(is, in, &spans);
    text_spans_split(&spans, how, in, first, out, src);
}

static void whitespace_split(const text_stage *s, text_view in, bool first, text_pieces *out,
                             text_source *src) {
    (void)s;
    cut(text_is_space, TEXT_REMOVED, in, first, out, src);
}

static void punctuation(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    cut(text_is_punctuation, s->behavior, in, first, out, src);
}

static void open_digits(text_stage *s, const json_t *spec, text_source *src) {
    s->behavior = text_flag(src, spec, "individual_digits", false) ? TEXT_ISOLATED : TEXT_CONTIGUOUS;
}

static void digits(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    cut(text_is_numeric, s->behavior, in, first, out, src);
}

/* Words are what white space leaves; each mark of punctuation is a word of its own. */
static void bert(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    text_pieces words = {0};
    (void)s;
    cut(text_is_space, TEXT_REMOVED, in, first, &words, src);
    for (size_t i = 0; i < words.count; i++)
        cut(text_is_punctuation, TEXT_ISOLATED, text_pieces_at(&words, i), words.piece[i].first, out, src);
    if (words.text.failed) out->text.failed = true;
    text_pieces_free(&words);
}

/* --- by patterns ------------------------------------------------------------------------------ */

static void open_split(text_stage *s, const json_t *spec, text_source *src) {
    s->regex = text_regex_of(json_object_get(spec, "pattern"), src);
    s->flag[INVERT] = text_flag(src, spec, "invert", false);
    open_behavior(s, spec, src);
}

static void open_words(text_stage *s, const json_t *spec, text_source *src) {
    (void)spec;
    s->regex = text_regex_compile("\\w+|[^\\w\\s]+", false, src);
    s->flag[INVERT] = true;
    s->behavior = TEXT_REMOVED;
}

static void open_delimiter(text_stage *s, const json_t *spec, text_source *src) {
    s->regex = text_regex_compile(text_string(src, spec, "delimiter", NULL), true, src);
    s->behavior = TEXT_REMOVED;
}

static void split(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    text_spans spans = {0};
    text_spans_regex(s->regex, in, &spans, src);
    for (size_t i = 0; s->flag[INVERT] && i < spans.count; i++) spans.span[i].match = !spans.span[i].match;
    text_spans_split(&spans, s->behavior, in, first, out, src);
}

/* --- byte level ------------------------------------------------------------------------------- */

static void open_byte_level(text_stage *s, const json_t *spec, text_source *src) {
    s->flag[PREFIX_SPACE] = text_flag(src, spec, "add_prefix_space", true);
    s->flag[USE_REGEX] = text_flag(src, spec, "use_regex", true);
    if (s->flag[USE_REGEX]) s->regex = text_regex_compile(gpt2_words, false, src);
}

static void as_bytes(text_view word, bool first, text_pieces *out) {
    size_t start = out->text.length;
    for (size_t i = 0; i < word.bytes; i++)
        text_bytes_code(&out->text, text_byte_code((unsigned char)word.data[i]));
    text_pieces_close(out, start, first);
}

static void byte_level(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    text_bytes spaced = {0};
    text_pieces words = {0};
    if (s->flag[PREFIX_SPACE] && in.data[0] != ' ') {
        text_bytes_add(&spaced, " ", 1);
        text_bytes_add(&spaced, in.data, in.bytes);
        if (spaced.failed) text_no_memory(src);
        if (!spaced.failed) in = (text_view){spaced.data, spaced.length};
    }
    if (s->flag[USE_REGEX]) {
        text_spans spans = {0};
        text_spans_regex(s->regex, in, &spans, src);
        text_spans_split(&spans, TEXT_ISOLATED, in, first, &words, src);
    } else {
        text_pieces_add(&words, in, -1, first);
    }
    for (size_t i = 0; i < words.count; i++) as_bytes(text_pieces_at(&words, i), words.piece[i].first, out);
    if (words.text.failed) out->text.failed = true;
    text_pieces_free(&words);
    text_bytes_free(&spaced);
}

/* --- sentencepiece's mark for a space ---------------------------------------------------------- */

static void open_metaspace(text_stage *s, const json_t *spec, text_source *src) {
    const char *mark = text_string(src, spec, "replacement", "\xe2\x96\x81");
    bool prefix = text_flag(src, spec, "add_prefix_space", true);
    const char *scheme = text_string(src, spec, "prepend_scheme", prefix ? "always" : "never");
    s->string = text_copy(src, mark);
    if (!*mark) text_wrong(src, "Metaspace 'replacement' is empty");
    s->regex = text_regex_compile(mark, true, src);
    s->flag[ALWAYS] = strcmp(scheme, "always") == 0;
    s->flag[FIRST] = strcmp(scheme, "first") == 0;
    if (!s->flag[ALWAYS] && !s->flag[FIRST] && strcmp(scheme, "never") != 0)
        text_wrong(src, "prepend_scheme '%.60s' is not supported", scheme);
    s->flag[CUT] = text_flag(src, spec, "split", true);
}

static void metaspace(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    text_bytes marked = {0};
    text_spans spans = {0};
    size_t n = strlen(s->string);
    bool marks = in.data[0] == ' ' || (in.bytes >= n && memcmp(in.data, s->string, n) == 0);
    if (!marks && (s->flag[ALWAYS] || (s->flag[FIRST] && first))) text_bytes_add(&marked, s->string, n);
    for (size_t i = 0; i < in.bytes; i++)
        text_bytes_add(&marked, in.data[i] == ' ' ? s->string : in.data + i, in.data[i] == ' ' ? n : 1);
    if (marked.failed) out->text.failed = true;
    text_view t = {marked.data ? marked.data : "", marked.failed ? 0 : marked.length};
    if (s->flag[CUT])
        text_spans_regex(s->regex, t, &spans, src);
    else
        text_spans_add(&spans, 0, t.bytes, false);
    text_spans_split(&spans, TEXT_MERGED_WITH_NEXT, t, first, out, src);
    text_bytes_free(&marked);
}

static const text_kind kinds[] = {
    {.name = "ByteLevel", .parse = open_byte_level, .piece = byte_level},
    {.name = "BertPreTokenizer", .piece = bert},
    {.name = "Split", .parse = open_split, .piece = split},
    {.name = "Digits", .parse = open_digits, .piece = digits},
    {.name = "Metaspace", .parse = open_metaspace, .piece = metaspace},
    {.name = "Punctuation", .parse = open_behavior, .piece = punctuation},
    {.name = "Whitespace", .parse = open_words, .piece = split},
    {.name = "WhitespaceSplit", .piece = whitespace_split},
    {.name = "CharDelimiterSplit", .parse = open_delimiter, .piece = split},
};
const text_section text_pretokenizers = {"pre_tokenizer", "pretokenizers", kinds,
                                         sizeof kinds / sizeof *kinds};
