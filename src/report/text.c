/* text.c: a text that grows.
 *
 * A report is drawn completely before its first byte is written, so there is never half a report. Adding
 * can't fail visibly: a memory failure is remembered, later additions do nothing, and writing it out
 * (output.c) reports it once.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/internal.h"

struct omni_text {
    char *data; /* [capacity], NUL at `length`; NULL before the first addition */
    size_t length, capacity;
    bool failed;
};

omni_text *omni_text_create(void) {
    return omni_alloc(sizeof(omni_text));
}

void omni_text_free(omni_text *t) {
    if (!t) return;
    free(t->data);
    omni_free(t);
}

void text_fail(omni_text *t) {
    if (t) t->failed = true;
}

bool text_failed(const omni_text *t) {
    return !t || t->failed;
}

size_t text_length(const omni_text *t) {
    return t ? t->length : 0;
}

const char *omni_text_string(const omni_text *t) {
    return t && t->data ? t->data : "";
}

/* Room for `count` more bytes and the NUL. */
static bool text_reserve(omni_text *t, size_t count) {
    size_t needed;
    if (!omni_size_add(t->length, count, &needed) || !omni_size_add(needed, 1, &needed)) return false;
    if (needed <= t->capacity) return true;
    size_t capacity = t->capacity < 1024 ? 1024 : t->capacity;
    while (capacity < needed)
        if (!omni_size_mul(capacity, 2, &capacity)) return false;
    char *larger = realloc(t->data, capacity);
    if (!larger) return false;
    t->data = larger;
    t->capacity = capacity;
    return true;
}

void omni_text_append(omni_text *t, const char *bytes, size_t count) {
    if (text_failed(t)) return;
    if (!text_reserve(t, count)) {
        t->failed = true;
        return;
    }
    memcpy(t->data + t->length, bytes, count);
    t->length += count;
    t->data[t->length] = '\0';
}

void omni_text_add(omni_text *t, const char *format, ...) {
    if (text_failed(t)) return;
    va_list args;
    va_start(args, format);
    char *piece = NULL;
    int length = vasprintf(&piece, format, args);
    va_end(args);
    if (length < 0) {
        t->failed = true;
        return;
    }
    omni_text_append(t, piece, (size_t)length);
    free(piece);
}
