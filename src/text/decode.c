/* decode.c: the decoders of tokenizer.json: a list of tokens made into a list of texts, which are joined at the end. */
#include <stdlib.h>

#include "text/internal.h"

enum { CLEANUP }; /* of WordPiece */
enum { PREFIX };  /* of Metaspace */

static const char unknown_bytes[] = "\xef\xbf\xbd"; /* U+FFFD */

static bool begins(text_view t, const char *with) {
    size_t n = strlen(with);
    return t.bytes >= n && memcmp(t.data, with, n) == 0;
}

/* --- whole lists ------------------------------------------------------------------------------ */

static void fuse(const text_stage *s, const text_pieces *in, text_pieces *out) {
    (void)s;
    for (size_t i = 0; i < in->count; i++) {
        text_view t = text_pieces_at(in, i);
        text_bytes_add(&out->text, t.data, t.bytes);
    }
    text_pieces_close(out, 0, true);
}

/* Bytes as UTF-8, U+FFFD for each longest beginning of a character that does not go on, and for what is none. */
static void add_lossy(text_view t, text_bytes *out) {
    for (size_t at = 0, bad; at < t.bytes;) {
        text_view rest = {t.data + at, t.bytes - at};
        bool whole = text_valid(rest, &bad);
        text_bytes_add(out, rest.data, bad);
        if (whole) return;
        text_bytes_add(out, unknown_bytes, 3);
        at += bad + text_broken(rest, bad);
    }
}

static bool unmap(text_view token, text_bytes *out) {
    size_t start = out->length;
    for (size_t at = 0; at < token.bytes;) {
        int byte = text_code_byte(text_next(token, &at));
        char c = (char)byte;
        if (byte < 0) {
            out->length = start;
            return false;
        }
        text_bytes_add(out, &c, 1);
    }
    return true;
}

/* A token with a character that stands for no byte is taken as it is (an added one). */
static void byte_level(const text_stage *s, const text_pieces *in, text_pieces *out) {
    text_bytes bytes = {0};
    (void)s;
    for (size_t i = 0; i < in->count; i++) {
        text_view t = text_pieces_at(in, i);
        if (!unmap(t, &bytes)) text_bytes_add(&bytes, t.data, t.bytes);
    }
    add_lossy((text_view){bytes.data ? bytes.data : "", bytes.length}, &out->text);
    text_pieces_close(out, 0, true);
    if (bytes.failed) out->text.failed = true;
    text_bytes_free(&bytes);
}

static int hex(char c) {
    const char *digits = "0123456789abcdef",
               *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The byte that "<0x41>" is; -1: another token. */
static int byte_of(text_view t) {
    if (t.bytes != 6 || !begins(t, "<0x") || t.data[5] != '>' || hex(t.data[3]) < 0 || hex(t.data[4]) < 0)
        return -1;
    return hex(t.data[3]) * 16 + hex(t.data[4]);
}

/* What a run of byte tokens says: its text, or as many U+FFFD. */
static void end_run(text_bytes *run, text_pieces *out) {
    size_t bad, start = out->text.length;
    if (run->length == 0) return;
    if (text_valid((text_view){run->data, run->length}, &bad))
        text_bytes_add(&out->text, run->data, run->length);
    else
        for (size_t i = 0; i < run->length; i++) text_bytes_add(&out->text, unknown_bytes, 3);
    text_pieces_close(out, start, out->count == 0);
    run->length = 0;
}

static void byte_fallback(const text_stage *s, const text_pieces *in, text_pieces *out) {
    text_bytes run = {0};
    (void)s;
    for (size_t i = 0; i < in->count; i++) {
        text_view t = text_pieces_at(in, i);
        int byte = byte_of(t);
        char c = (char)byte;
        if (byte < 0) end_run(&run, out);
        if (byte < 0)
            text_pieces_add(out, t, -1, out->count == 0);
        else
            text_bytes_add(&run, &c, 1);
    }
    end_run(&run, out);
    if (run.failed) out->text.failed = true;
    text_bytes_free(&run);
}

/* --- token by token --------------------------------------------------------------------------- */

static void open_strip(text_stage *s, const json_t *spec, text_source *src) {
    s->string = text_copy(src, text_string(src, spec, "content", NULL));
    s->start = text_number(src, spec, "start", 0);
    s->stop = text_number(src, spec, "stop", 0);
}

/* At most so many of the character from either end. */
static void strip(const text_stage *s, text_view in, size_t i, size_t count, text_pieces *out) {
    size_t n = strlen(s->string);
    (void)count;
    for (size_t k = 0; n && k < s->start && begins(in, s->string); k++)
        in = (text_view){in.data + n, in.bytes - n};
    for (size_t k = 0; n && k < s->stop && in.bytes >= n; k++) {
        if (memcmp(in.data + in.bytes - n, s->string, n) != 0) break;
        in.bytes -= n;
    }
    text_pieces_add(out, in, -1, i == 0);
}

static void open_suffix(text_stage *s, const json_t *spec, text_source *src) {
    s->string = text_copy(src, text_string(src, spec, "suffix", "</w>"));
}

/* Every `what` of a text in place of `with`. */
static void put(text_view in, const char *what, const char *with, text_bytes *out) {
    size_t n = strlen(what), at = 0;
    while (n && at < in.bytes) {
        const char *found = memmem(in.data + at, in.bytes - at, what, n);
        if (!found) break;
        text_bytes_add(out, in.data + at, (size_t)(found - in.data) - at);
        text_bytes_add(out, with, strlen(with));
        at = (size_t)(found - in.data) + n;
    }
    text_bytes_add(out, in.data + at, in.bytes - at);
}

static void suffix(const text_stage *s, text_view in, size_t i, size_t count, text_pieces *out) {
    size_t start = out->text.length;
    put(in, s->string, i + 1 == count ? "" : " ", &out->text);
    text_pieces_close(out, start, i == 0);
}

static void open_wordpiece(text_stage *s, const json_t *spec, text_source *src) {
    s->string = text_copy(src, text_string(src, spec, "prefix", "##"));
    s->flag[CLEANUP] = text_flag(src, spec, "cleanup", true);
}

/* English without the blanks that tokens have around marks and contractions; one after the other. */
static void clean_up(text_bytes *t) {
    static const char *const rules[][2] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        text_bytes after = {0};
        put((text_view){t->data ? t->data : "", t->length}, rules[i][0], rules[i][1], &after);
        after.failed |= t->failed;
        text_bytes_free(t);
        *t = after;
    }
}

static void wordpiece(const text_stage *s, text_view in, size_t i, size_t count, text_pieces *out) {
    text_bytes word = {0};
    (void)count;
    if (i > 0 && begins(in, s->string))
        text_bytes_add(&word, in.data + strlen(s->string), in.bytes - strlen(s->string));
    else {
        if (i > 0) text_bytes_add(&word, " ", 1);
        text_bytes_add(&word, in.data, in.bytes);
    }
    if (s->flag[CLEANUP]) clean_up(&word);
    text_pieces_add(out, (text_view){word.data ? word.data : "", word.length}, -1, i == 0);
    if (word.failed) out->text.failed = true;
    text_bytes_free(&word);
}

static void open_metaspace(text_stage *s, const json_t *spec, text_source *src) {
    bool prefix = text_flag(src, spec, "add_prefix_space", true);
    s->string = text_copy(src, text_string(src, spec, "replacement", "\xe2\x96\x81"));
    s->flag[PREFIX] =
        strcmp(text_string(src, spec, "prepend_scheme", prefix ? "always" : "never"), "never") != 0;
}

static void metaspace(const text_stage *s, text_view in, size_t i, size_t count, text_pieces *out) {
    size_t start = out->text.length;
    (void)count;
    put(in, s->string, i == 0 && s->flag[PREFIX] ? "" : " ", &out->text);
    text_pieces_close(out, start, i == 0);
}

static const text_kind kinds[] = {
    {.name = "ByteLevel", .list = byte_level},
    {.name = "ByteFallback", .list = byte_fallback},
    {.name = "Fuse", .list = fuse},
    {.name = "WordPiece", .parse = open_wordpiece, .token = wordpiece},
    {.name = "Metaspace", .parse = open_metaspace, .token = metaspace},
    {.name = "Replace", .parse = text_open_replace, .piece = text_replace},
    {.name = "Strip", .parse = open_strip, .token = strip},
    {.name = "BPEDecoder", .parse = open_suffix, .token = suffix},
};
const text_section text_decoders = {"decoder", "decoders", kinds, sizeof kinds / sizeof *kinds};
