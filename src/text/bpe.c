/* bpe.c: byte pair encoding (Sennrich et al., arXiv:1508.07909): of all neighbours that can be merged those of the
 * lowest rank, the leftmost first, until there are none.
 *
 *   symbols   a list linked both ways through an array; a merge writes the left one and takes the right one out
 *   heap      pairs by rank << 32 | place. A pair that has changed since is recognized by its rank and passed over
 *
 * n symbols have n - 1 merges at most, and each adds two pairs at most: O(n log n), whatever the text.
 */
#include <stdlib.h>

#include "text/internal.h"

/* --- heap: the smallest key on top ---------------------------------------------------------------- */

static bool push(text_heap *h, uint64_t key) {
    if (!text_reserve(&h->key, &h->capacity, h->count + 1, sizeof *h->key)) return false;
    size_t i = h->count++;
    for (size_t up; i > 0 && h->key[up = (i - 1) / 2] > key; i = up) h->key[i] = h->key[up];
    h->key[i] = key;
    return true;
}

static uint64_t pop(text_heap *h) {
    uint64_t top = h->key[0], last = h->key[--h->count];
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < h->count; i = down) {
        if (down + 1 < h->count && h->key[down + 1] < h->key[down]) down++;
        if (h->key[down] >= last) break;
        h->key[i] = h->key[down];
    }
    if (h->count) h->key[i] = last;
    return top;
}

/* --- symbols ---------------------------------------------------------------------------------- */

static void add_symbol(text_scratch *x, int32_t id, text_source *src) {
    int32_t n = (int32_t)x->symbols;
    if (!text_reserve(&x->symbol, &x->capacity, x->symbols + 1, sizeof *x->symbol)) {
        text_no_memory(src);
        return;
    }
    if (n > 0) x->symbol[n - 1].next = n;
    x->symbol[x->symbols++] = (text_symbol){.id = id, .previous = n - 1, .next = -1};
}

/* The character with prefix and suffix, as the vocabulary has it. */
static text_view dress(const text_model *m, text_view character, bool first, bool last, text_bytes *word) {
    word->length = 0;
    if (!first) text_bytes_add(word, m->prefix, strlen(m->prefix));
    text_bytes_add(word, character.data, character.bytes);
    if (last) text_bytes_add(word, m->suffix, strlen(m->suffix));
    return word->failed ? (text_view){"", 0} : (text_view){word->data, word->length};
}

/* Its bytes as "<0x..>" tokens, all of them or none. */
static bool add_bytes(const text_model *m, text_view dressed, text_scratch *x, text_source *src) {
    for (size_t i = 0; i < dressed.bytes; i++)
        if (m->byte[(unsigned char)dressed.data[i]] < 0) return false;
    for (size_t i = 0; i < dressed.bytes; i++) add_symbol(x, m->byte[(unsigned char)dressed.data[i]], src);
    return true;
}

static void add_unknown(const text_model *m, text_view dressed, bool after_unknown, text_scratch *x,
                        text_source *src) {
    if (m->unknown_id < 0)
        text_wrong(src, "the vocabulary has no token for '%.*s'%s",
                   (int)(dressed.bytes < 40 ? dressed.bytes : 40), dressed.data,
                   m->unknown ? " and none that stands for what is unknown" : "");
    else if (!after_unknown || !m->fuse_unknown)
        add_symbol(x, m->unknown_id, src);
}

static void spell(const text_model *m, const text_vocab *v, text_view word, text_scratch *x,
                  text_source *src) {
    bool unknown = false;
    for (size_t at = 0; at < word.bytes && !src->status;) {
        size_t start = at;
        text_next(word, &at);
        text_view one =
            dress(m, (text_view){word.data + start, at - start}, start == 0, at == word.bytes, &x->word);
        int32_t id = text_vocab_find(v, one);
        bool known = id >= 0 || (m->byte_fallback && add_bytes(m, one, x, src));
        if (id >= 0) add_symbol(x, id, src);
        if (!known) add_unknown(m, one, unknown, x, src);
        unknown = !known;
    }
    if (x->word.failed) text_no_memory(src);
}

/* --- merging ---------------------------------------------------------------------------------- */

/* How symbol i and the next can be merged; NULL: they cannot. */
static const text_merge *merge_at(const text_model *m, const text_scratch *x, int32_t i) {
    if (i < 0 || x->symbol[i].next < 0) return NULL;
    return text_merge_find(m, x->symbol[i].id, x->symbol[x->symbol[i].next].id);
}

static bool offer(const text_model *m, text_scratch *x, int32_t i) {
    const text_merge *merge = merge_at(m, x, i);
    return !merge || push(&x->heap, (uint64_t)merge->rank << 32 | (uint32_t)i);
}

static bool merge_all(const text_model *m, text_scratch *x) {
    x->heap.count = 0;
    for (size_t i = 0; i < x->symbols; i++)
        if (!offer(m, x, (int32_t)i)) return false;
    while (x->heap.count > 0) {
        uint64_t top = pop(&x->heap);
        int32_t i = (int32_t)(top & UINT32_MAX);
        text_symbol *left = &x->symbol[i];
        const text_merge *merge = left->id < 0 ? NULL : merge_at(m, x, i);
        if (!merge || merge->rank != top >> 32) continue; /* one of the two is no more what it was */
        text_symbol *right = &x->symbol[left->next];
        left->id = merge->id;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0) x->symbol[left->next].previous = i;
        if (!offer(m, x, left->previous) || !offer(m, x, i)) return false;
    }
    return true;
}

void text_bpe(const text_model *m, const text_vocab *v, text_view word, text_scratch *x, text_ids *out,
              text_source *src) {
    int32_t whole = m->ignore_merges ? text_vocab_find(v, word) : -1;
    if (whole >= 0) {
        text_ids_add(out, whole);
        return;
    }
    x->symbols = 0;
    spell(m, v, word, x, src);
    if (src->status) return;
    if (!merge_all(m, x)) text_no_memory(src);
    for (size_t i = 0; i < x->symbols; i++)
        if (x->symbol[i].id >= 0) text_ids_add(out, x->symbol[i].id);
}

void text_scratch_free(text_scratch *s) {
    free(s->symbol);
    free(s->heap.key);
    text_bytes_free(&s->word);
    *s = (text_scratch){0};
}
