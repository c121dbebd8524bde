/* bytes.c: bytes, pieces and ids that grow. Adding can't fail visibly: a failure is remembered. */
#include <stdlib.h>

#include "text/internal.h"

bool text_reserve(void *array, size_t *capacity, size_t count, size_t bytes) {
    size_t larger = *capacity < 16 ? 16 : *capacity, total;
    void *old;
    if (count <= *capacity) return true;
    while (larger < count)
        if (!omni_size_mul(larger, 2, &larger)) return false;
    if (!omni_size_mul(larger, bytes, &total)) return false;
    memcpy(&old, array, sizeof old); /* a pointer to any pointer */
    void *grown = realloc(old, total);
    if (!grown) return false;
    memcpy(array, &grown, sizeof grown);
    *capacity = larger;
    return true;
}

void text_bytes_add(text_bytes *b, const char *data, size_t bytes) {
    if (b->failed) return;
    if (bytes > TEXT_MOST_BYTES - b->length ||
        !text_reserve(&b->data, &b->capacity, b->length + bytes + 1, 1)) {
        b->failed = true;
        return;
    }
    if (bytes) memcpy(b->data + b->length, data, bytes);
    b->length += bytes;
    b->data[b->length] = '\0';
}

void text_bytes_code(text_bytes *b, uint32_t c) {
    char utf8[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6) utf8[i] = (char)(0x80 | (c & 0x3f));
    utf8[0] = (char)(lead[n] | c);
    text_bytes_add(b, utf8, n);
}

void text_bytes_free(text_bytes *b) {
    free(b->data);
    *b = (text_bytes){0};
}

/* --- pieces ----------------------------------------------------------------------------------- */

static void add_piece(text_pieces *p, text_piece piece) {
    if (!text_reserve(&p->piece, &p->capacity, p->count + 1, sizeof *p->piece)) p->text.failed = true;
    if (!p->text.failed) p->piece[p->count++] = piece;
}

void text_pieces_close(text_pieces *p, size_t start, bool first) {
    add_piece(p, (text_piece){.start = (uint32_t)start,
                              .bytes = (uint32_t)(p->text.length - start),
                              .id = -1,
                              .first = first});
}

void text_pieces_add(text_pieces *p, text_view text, int32_t id, bool first) {
    uint32_t start = (uint32_t)p->text.length;
    text_bytes_add(&p->text, text.data, text.bytes);
    add_piece(p, (text_piece){.start = start, .bytes = (uint32_t)text.bytes, .id = id, .first = first});
}

text_view text_pieces_at(const text_pieces *p, size_t i) {
    const char *data = p->text.data ? p->text.data : "";
    return (text_view){data + p->piece[i].start, p->piece[i].bytes};
}

void text_pieces_clear(text_pieces *p) {
    p->text.length = 0;
    p->text.failed = false;
    p->count = 0;
}

void text_pieces_free(text_pieces *p) {
    text_bytes_free(&p->text);
    free(p->piece);
    *p = (text_pieces){0};
}

void text_ids_add(text_ids *ids, int32_t id) {
    if (!text_reserve(&ids->id, &ids->capacity, ids->count + 1, sizeof *ids->id)) ids->failed = true;
    if (!ids->failed) ids->id[ids->count++] = id;
}
