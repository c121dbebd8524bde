/* wordpiece.c: WordPiece as BERT has it: from the left the longest piece that the vocabulary knows, all but the first
 * with the prefix; a word of which one part is not known is unknown as a whole.
 *
 * No piece is longer than the vocabulary's longest token, so a word of n characters takes O(n) look-ups, whatever
 * the file allows as its length.
 */
#include "text/internal.h"

static size_t characters(text_view t) {
    size_t n = 0;
    for (size_t i = 0; i < t.bytes; i++) n += ((unsigned char)t.data[i] & 0xc0) != 0x80;
    return n;
}

/* The id of the longest piece at `start`, its end in *end; -1: none. */
static int32_t longest(const text_model *m, const text_vocab *v, text_view word, size_t start,
                       text_bytes *piece, size_t *end) {
    const char *prefix = start > 0 ? m->prefix : "";
    *end = word.bytes - start > v->longest ? start + v->longest : word.bytes;
    piece->length = 0;
    text_bytes_add(piece, prefix, strlen(prefix));
    text_bytes_add(piece, word.data + start, *end - start);
    while (!piece->failed && *end > start) {
        bool whole = *end == word.bytes || ((unsigned char)word.data[*end] & 0xc0) != 0x80;
        int32_t id = whole ? text_vocab_find(v, (text_view){piece->data, strlen(prefix) + *end - start}) : -1;
        if (id >= 0) return id;
        (*end)--;
    }
    return -1;
}

void text_wordpiece(const text_model *m, const text_vocab *v, text_view word, text_scratch *x, text_ids *out,
                    text_source *src) {
    size_t before = out->count;
    bool known = characters(word) <= m->most_chars;
    for (size_t at = 0, end; known && at < word.bytes; at = end) {
        int32_t id = longest(m, v, word, at, &x->word, &end);
        known = id >= 0;
        if (known) text_ids_add(out, id);
    }
    if (x->word.failed) text_no_memory(src);
    if (known) return;
    out->count = before;
    if (m->unknown_id < 0)
        text_wrong(src, "the vocabulary has no '%.60s', which stands for what is unknown",
                   m->unknown ? m->unknown : "");
    else
        text_ids_add(out, m->unknown_id);
}
