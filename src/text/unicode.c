/* unicode.c: UTF-8, and what utf8proc knows of characters. The only place that includes utf8proc.h.
 *
 * What is left out on purpose: case mappings that depend on what stands around (a final sigma) or on the language;
 * tokenizers don't have them either.
 */
#include <stdlib.h>
#include <utf8proc.h>

#include "text/internal.h"

/* --- UTF-8 ------------------------------------------------------------------------------------ */

bool text_valid(text_view t, size_t *bad) {
    const utf8proc_uint8_t *data = (const utf8proc_uint8_t *)t.data;
    for (*bad = 0; *bad < t.bytes;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t n = utf8proc_iterate(data + *bad, (utf8proc_ssize_t)(t.bytes - *bad), &code);
        if (n <= 0) return false;
        *bad += (size_t)n;
    }
    return true;
}

/* As Unicode 3.9 (table 3-7) has them: the second byte's range depends on the first, all others are 80-bf. */
size_t text_broken(text_view t, size_t bad) {
    const unsigned char *s = (const unsigned char *)t.data + bad;
    size_t left = t.bytes - bad, n = 1;
    unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    size_t whole = s[0] < 0xc2 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 1;
    for (; n < whole && n < left && s[n] >= low && s[n] <= high; n++) low = 0x80, high = 0xbf;
    return n;
}

uint32_t text_next(text_view t, size_t *at) {
    const unsigned char *s = (const unsigned char *)t.data + *at;
    size_t n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) c = c << 6 | (s[i] & 0x3f);
    *at += n;
    return c;
}

/* --- kinds of characters ----------------------------------------------------------------------- */

static utf8proc_category_t category(uint32_t c) {
    return utf8proc_category((utf8proc_int32_t)c);
}

bool text_is_space(uint32_t c) {
    return (c >= 9 && c <= 13) || c == 0x85 || category(c) == UTF8PROC_CATEGORY_ZS ||
           category(c) == UTF8PROC_CATEGORY_ZL || category(c) == UTF8PROC_CATEGORY_ZP;
}

bool text_is_punctuation(uint32_t c) {
    if (c < 0x80)
        return c > 0x20 && c < 0x7f && !(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    return category(c) >= UTF8PROC_CATEGORY_PC && category(c) <= UTF8PROC_CATEGORY_PO;
}

bool text_is_numeric(uint32_t c) {
    return category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO;
}

bool text_is_mark(uint32_t c) {
    return category(c) >= UTF8PROC_CATEGORY_MN && category(c) <= UTF8PROC_CATEGORY_ME;
}

bool text_is_nonspacing(uint32_t c) {
    return category(c) == UTF8PROC_CATEGORY_MN;
}

bool text_is_other(uint32_t c) {
    return category(c) >= UTF8PROC_CATEGORY_CC;
}

/* One character becomes two in lower case, whatever the language: I with a dot above. */
void text_lower(text_bytes *out, uint32_t c) {
    text_bytes_code(out, c == 0x130 ? 'i' : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
    if (c == 0x130) text_bytes_code(out, 0x307);
}

/* --- normal forms ------------------------------------------------------------------------------- */

/* utf8proc sorts combining marks in place, which takes the square of how many there are in a row. */
static bool too_many_marks(text_view in) {
    enum { MOST = 256 };
    size_t row = 0;
    for (size_t at = 0; at < in.bytes && row <= MOST;) {
        uint32_t c = text_next(in, &at);
        row = c >= 0x300 && utf8proc_get_property((utf8proc_int32_t)c)->combining_class ? row + 1 : 0;
    }
    return row > MOST;
}

static bool ascii(text_view in) {
    for (size_t i = 0; i < in.bytes; i++)
        if ((unsigned char)in.data[i] >= 0x80) return false;
    return true;
}

void text_normal_form(text_form form, text_view in, text_bytes *out, text_source *src) {
    static const int options[] = {
        [TEXT_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [TEXT_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [TEXT_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [TEXT_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    utf8proc_uint8_t *normal = NULL;
    if (ascii(in)) {
        text_bytes_add(out, in.data, in.bytes);
        return;
    }
    if (too_many_marks(in)) {
        text_wrong(src, "the text has more than 256 combining marks in a row");
        return;
    }
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)in.data, (utf8proc_ssize_t)in.bytes, &normal,
                                      (utf8proc_option_t)options[form]);
    if (n < 0)
        out->failed = true;
    else
        text_bytes_add(out, (const char *)normal, (size_t)n);
    free(normal);
}

/* --- bytes as characters -------------------------------------------------------------------------
 * Radford et al. (GPT-2): bytes that are printable in Latin-1 stand for themselves, the others, in their order, for
 * U+0100, U+0101, ... */

static bool stands_for_itself(uint32_t c) {
    return (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

/* The others: 00-20 are U+0100-0120, 7f-a0 are U+0121-0142, ad is U+0143. */
uint32_t text_byte_code(unsigned char byte) {
    if (stands_for_itself(byte)) return byte;
    return byte <= 0x20 ? 0x100u + byte : byte <= 0xa0 ? 0x121u + (byte - 0x7fu) : 0x143u;
}

int text_code_byte(uint32_t code) {
    if (code < 0x100) return stands_for_itself(code) ? (int)code : -1;
    if (code <= 0x120) return (int)(code - 0x100);
    if (code <= 0x142) return (int)(code - 0x121 + 0x7f);
    return code == 0x143 ? 0xad : -1;
}
