/* stream.c: text as its tokens come.
 *
 *   ids     ... a b c d e f
 *               ^begin  ^shown      text so far = decode(begin .. f) less decode(begin .. shown)
 *
 * Decoders look at what stands before (a space between words, none at the beginning), so a window of tokens is decoded
 * twice, with and without the new ones, and what the first has more is new. While it ends in U+FFFD a character may
 * be unfinished, and all is held back. Once shown, the window begins at the last tokens that were.
 */
#include <stdlib.h>

#include "text/internal.h"

struct omni_stream {
    const omni_tokenizer *t;
    text_ids ids;
    size_t begin, shown;
    char *piece;
};

omni_stream *omni_stream_create(const omni_tokenizer *t, const int32_t *ids, size_t count) {
    omni_stream *s = omni_alloc(sizeof *s);
    if (!s) return NULL;
    s->t = t;
    for (size_t i = 0; i < count; i++) text_ids_add(&s->ids, ids[i]);
    s->shown = s->ids.count;
    if (!s->ids.failed) return s;
    omni_stream_free(s);
    return NULL;
}

void omni_stream_free(omni_stream *s) {
    if (!s) return;
    free(s->ids.id);
    free(s->piece);
    omni_free(s);
}

static bool unfinished(const char *text, size_t bytes) {
    return bytes >= 3 && memcmp(text + bytes - 3, "\xef\xbf\xbd", 3) == 0;
}

/* A piece is a C string. */
static void blank_nuls(char *text, size_t bytes) {
    for (char *nul; (nul = memchr(text, '\0', bytes)); *nul = ' ')
        ;
}

/* Where two texts part, at the beginning of a character. A prompt's last one may be unfinished in the first. */
static size_t part(const char *before, size_t before_bytes, const char *now, size_t bytes) {
    size_t n = 0, most = before_bytes < bytes ? before_bytes : bytes;
    while (n < most && before[n] == now[n]) n++;
    while (n > 0 && n < bytes && ((unsigned char)now[n] & 0xc0) == 0x80) n--;
    return n;
}

/* What is new, or "" while it is unfinished and `more` may come. */
static omni_status show(omni_stream *s, bool more, const char **piece, omni_error *err) {
    char *before = NULL, *now = NULL;
    size_t before_bytes = 0, bytes = 0, count = s->ids.count;
    *piece = "";
    if (s->shown == count) return OMNI_OK;
    const int32_t *window = s->ids.id + s->begin;
    omni_status status =
        omni_tokenizer_decode(s->t, window, s->shown - s->begin, true, &before, &before_bytes, err);
    if (!status) status = omni_tokenizer_decode(s->t, window, count - s->begin, true, &now, &bytes, err);
    size_t known = status ? 0 : part(before, before_bytes, now, bytes);
    if (!status && bytes > known && !(more && unfinished(now, bytes))) {
        free(s->piece);
        memmove(now, now + known, bytes - known + 1);
        blank_nuls(now, bytes - known);
        *piece = s->piece = now;
        now = NULL;
        s->begin = s->shown;
        s->shown = count;
    }
    free(before);
    free(now);
    return status;
}

omni_status omni_stream_push(omni_stream *s, int32_t id, const char **piece, omni_error *err) {
    *piece = "";
    text_ids_add(&s->ids, id);
    if (s->ids.failed) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu tokens", s->ids.count);
    return show(s, true, piece, err);
}

omni_status omni_stream_end(omni_stream *s, const char **piece, omni_error *err) {
    return show(s, false, piece, err);
}
