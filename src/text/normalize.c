/* normalize.c: the normalizers of tokenizer.json: text that is not cut, only made alike. */
#include <stdlib.h>

#include "text/internal.h"

enum { CLEAN, CHINESE, ACCENTS, LOWER }; /* flags of BertNormalizer */
enum { LEFT, RIGHT };                    /* of Strip */

static void open_form(text_stage *s, const json_t *spec, text_source *src) {
    static const char *const names[] = {
        [TEXT_NFC] = "NFC", [TEXT_NFD] = "NFD", [TEXT_NFKC] = "NFKC", [TEXT_NFKD] = "NFKD"};
    (void)spec, (void)src;
    while (strcmp(names[s->form], s->kind->name) != 0) s->form++;
}

static void form(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    size_t start = out->text.length;
    text_normal_form(s->form, in, &out->text, src);
    text_pieces_close(out, start, first);
}

static void lowercase(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    size_t start = out->text.length;
    (void)s, (void)src;
    for (size_t at = 0; at < in.bytes;) text_lower(&out->text, text_next(in, &at));
    text_pieces_close(out, start, first);
}

static void strip_accents(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    size_t start = out->text.length;
    (void)s, (void)src;
    for (size_t at = 0; at < in.bytes;) {
        uint32_t c = text_next(in, &at);
        if (!text_is_mark(c)) text_bytes_code(&out->text, c);
    }
    text_pieces_close(out, start, first);
}

static void open_strip(text_stage *s, const json_t *spec, text_source *src) {
    s->flag[LEFT] = text_flag(src, spec, "strip_left", true);
    s->flag[RIGHT] = text_flag(src, spec, "strip_right", true);
}

static void strip(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    size_t from = SIZE_MAX, to = 0;
    (void)src;
    for (size_t at = 0; at < in.bytes;) {
        size_t start = at;
        if (text_is_space(text_next(in, &at))) continue;
        if (from == SIZE_MAX) from = start;
        to = at;
    }
    if (!s->flag[LEFT]) from = 0;
    if (!s->flag[RIGHT]) to = in.bytes;
    if (from < to) text_pieces_add(out, (text_view){in.data + from, to - from}, -1, first);
}

static void open_prepend(text_stage *s, const json_t *spec, text_source *src) {
    s->string = text_copy(src, text_string(src, spec, "prepend", NULL));
}

static void prepend(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    size_t start = out->text.length;
    (void)src;
    text_bytes_add(&out->text, s->string, strlen(s->string));
    text_bytes_add(&out->text, in.data, in.bytes);
    text_pieces_close(out, start, first);
}

static void byte_level(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    size_t start = out->text.length;
    (void)s, (void)src;
    for (size_t i = 0; i < in.bytes; i++)
        text_bytes_code(&out->text, text_byte_code((unsigned char)in.data[i]));
    text_pieces_close(out, start, first);
}

/* --- BERT ------------------------------------------------------------------------------------- */

static void open_bert(text_stage *s, const json_t *spec, text_source *src) {
    s->flag[CLEAN] = text_flag(src, spec, "clean_text", true);
    s->flag[CHINESE] = text_flag(src, spec, "handle_chinese_chars", true);
    s->flag[LOWER] = text_flag(src, spec, "lowercase", true);
    s->flag[ACCENTS] = text_flag(src, spec, "strip_accents", s->flag[LOWER]);
}

/* Blocks of CJK ideographs, as BERT's own tokenizer lists them. */
static bool is_chinese(uint32_t c) {
    static const uint32_t blocks[][2] = {{0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df},
                                         {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf},
                                         {0xf900, 0xfaff},   {0x2f800, 0x2fa1f}};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (c >= blocks[i][0] && c <= blocks[i][1]) return true;
    return false;
}

/* Control characters go, all kinds of space become ' ', ideographs stand alone. */
static void clean(const text_stage *s, text_view in, text_bytes *out) {
    for (size_t at = 0; at < in.bytes;) {
        uint32_t c = text_next(in, &at);
        bool blank = c == '\t' || c == '\n' || c == '\r';
        if (s->flag[CLEAN] && !blank && (c == 0 || c == 0xfffd || text_is_other(c))) continue;
        if (s->flag[CLEAN] && text_is_space(c)) c = ' ';
        bool alone = s->flag[CHINESE] && is_chinese(c);
        if (alone) text_bytes_code(out, ' ');
        text_bytes_code(out, c);
        if (alone) text_bytes_code(out, ' ');
    }
}

static void bert(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src) {
    text_bytes cleaned = {0}, plain = {0};
    size_t start = out->text.length;
    clean(s, in, &cleaned);
    text_view t = {cleaned.data ? cleaned.data : "", cleaned.length};
    if (s->flag[ACCENTS]) {
        text_normal_form(TEXT_NFD, t, &plain, src);
        t = (text_view){plain.data ? plain.data : "", plain.length};
    }
    for (size_t at = 0; at < t.bytes;) {
        uint32_t c = text_next(t, &at);
        if (s->flag[ACCENTS] && text_is_nonspacing(c)) continue;
        if (s->flag[LOWER])
            text_lower(&out->text, c);
        else
            text_bytes_code(&out->text, c);
    }
    text_pieces_close(out, start, first);
    if (cleaned.failed || plain.failed) out->text.failed = true;
    text_bytes_free(&cleaned);
    text_bytes_free(&plain);
}

static const text_kind kinds[] = {
    {.name = "BertNormalizer", .parse = open_bert, .piece = bert},
    {.name = "NFC", .parse = open_form, .piece = form},
    {.name = "NFD", .parse = open_form, .piece = form},
    {.name = "NFKC", .parse = open_form, .piece = form},
    {.name = "NFKD", .parse = open_form, .piece = form},
    {.name = "Lowercase", .piece = lowercase},
    {.name = "StripAccents", .piece = strip_accents},
    {.name = "Strip", .parse = open_strip, .piece = strip},
    {.name = "Prepend", .parse = open_prepend, .piece = prepend},
    {.name = "Replace", .parse = text_open_replace, .piece = text_replace},
    {.name = "ByteLevel", .piece = byte_level},
};
const text_section text_normalizers = {"normalizer", "normalizers", kinds, sizeof kinds / sizeof *kinds};
