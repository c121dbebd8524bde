/* added.c: added tokens found in text: at each place the longest that stands there, from left to right.
 *
 * The contents are sorted, so those that begin with what has been read so far are neighbours: a search narrows
 * [low, high) byte by byte, like a walk down a tree of prefixes that needs no tree.
 */
#include <stdlib.h>

#include "text/internal.h"

/* A file of a few MB could ask for terabytes: a normalizer makes what it likes of each content. */
enum { MOST_CONTENT_BYTES = 16 << 20 };

/* --- the list --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    const text_view *x = a, *y = b;
    size_t n = x->bytes < y->bytes ? x->bytes : y->bytes;
    int order = memcmp(x->data, y->data, n);
    return order ? order : (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* What one looks for: the content, or what the normalizer makes of it. */
static void add_content(text_finder *f, const text_added *a, const text_chain *normalizer, text_pieces *work,
                        text_source *src) {
    size_t start = f->store.length;
    text_pieces_clear(work);
    text_pieces_add(work, (text_view){a->content, a->bytes}, -1, true);
    if (a->normalized) text_chain_run(normalizer, work, src);
    for (size_t i = 0; i < work->count; i++) {
        text_view part = text_pieces_at(work, i);
        text_bytes_add(&f->store, part.data, part.bytes);
    }
    size_t bytes = f->store.length - start;
    if (f->store.length > MOST_CONTENT_BYTES)
        text_wrong(src, "the normalizer makes more than %d MiB of the added tokens",
                   MOST_CONTENT_BYTES >> 20);
    if (work->text.failed || f->store.failed || src->status || bytes == 0) return;
    text_bytes_add(&f->store, "", 1);
    f->token[f->count] = a;
    f->content[f->count++].bytes = bytes;
    if (a->single_word && !f->word) f->word = text_regex_compile("\\w", false, src);
}

typedef struct entry {
    text_view content;
    const text_added *token;
} entry;

static void sort(text_finder *f, text_source *src) {
    entry *list = calloc(f->count + 1, sizeof *list);
    const char *at = f->store.data;
    if (!list) {
        text_no_memory(src);
        return;
    }
    for (size_t i = 0; i < f->count; i++) {
        list[i] = (entry){{at, f->content[i].bytes}, f->token[i]};
        at += f->content[i].bytes + 1;
    }
    qsort(list, f->count, sizeof *list, compare); /* an entry begins with its content */
    for (size_t i = 0; i < f->count; i++) {
        f->content[i] = list[i].content;
        f->token[i] = list[i].token;
    }
    free(list);
}

void text_finder_create(text_finder *f, const text_vocab *v, bool normalized, const text_chain *normalizer,
                        text_source *src) {
    text_pieces work = {0};
    if (src->status) return;
    f->token = calloc(v->added_count + 1, sizeof *f->token);
    f->content = calloc(v->added_count + 1, sizeof *f->content);
    if (!f->token || !f->content) text_no_memory(src);
    for (size_t i = 0; i < v->added_count && !src->status; i++)
        if (v->added[i].normalized == normalized) add_content(f, &v->added[i], normalizer, &work, src);
    if (f->store.failed || work.text.failed) text_no_memory(src);
    if (!src->status) sort(f, src);
    text_pieces_free(&work);
}

void text_finder_free(text_finder *f) {
    free(f->token);
    free(f->content);
    text_bytes_free(&f->store);
    text_regex_free(f->word);
    *f = (text_finder){0};
}

/* --- the search ------------------------------------------------------------------------------- */

/* The first of [low, high) whose byte at `depth` is at least `byte`; one that ends there comes before all. */
static size_t lower(const text_finder *f, size_t low, size_t high, size_t depth, int byte) {
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const text_view *c = &f->content[middle];
        int here = c->bytes > depth ? (unsigned char)c->data[depth] : -1;
        if (here < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest at `at`; NULL: none. */
static const text_added *longest(const text_finder *f, text_view in, size_t at, size_t *bytes) {
    const text_added *found = NULL;
    size_t low = 0, high = f->count;
    for (size_t depth = 0; at + depth < in.bytes && low < high; depth++) {
        int byte = (unsigned char)in.data[at + depth];
        low = lower(f, low, high, depth, byte);
        high = lower(f, low, high, depth, byte + 1);
        if (low == high || f->content[low].bytes != depth + 1) continue;
        found = f->token[low];
        *bytes = depth + 1;
    }
    return found;
}

static bool is_word(const text_finder *f, text_view character, text_source *src) {
    text_search s = {.in = character, .last = SIZE_MAX};
    size_t start, end;
    return text_regex_next(f->word, &s, &start, &end, src);
}

static size_t before(text_view in, size_t at) {
    do at--;
    while (((unsigned char)in.data[at] & 0xc0) == 0x80);
    return at;
}

/* No character of a word on either side. */
static bool stands_alone(const text_finder *f, text_view in, size_t start, size_t end, text_source *src) {
    if (start > 0) {
        size_t left = before(in, start);
        if (is_word(f, (text_view){in.data + left, start - left}, src)) return false;
    }
    size_t right = end;
    if (end < in.bytes) text_next(in, &right);
    return !is_word(f, (text_view){in.data + end, right - end}, src);
}

/* Its white space on the sides where it takes it. */
static void widen(const text_added *a, text_view in, size_t done, size_t *start, size_t *end) {
    while (a->lstrip && *start > done) {
        size_t left = before(in, *start), at = left;
        if (!text_is_space(text_next(in, &at))) break;
        *start = left;
    }
    while (a->rstrip && *end < in.bytes) {
        size_t right = *end;
        if (!text_is_space(text_next(in, &right))) break;
        *end = right;
    }
}

static void find(const text_finder *f, text_view in, bool first, text_pieces *out, text_source *src) {
    size_t done = 0;
    for (size_t at = 0; at < in.bytes && !src->status;) {
        size_t bytes = 0, start = at;
        const text_added *a = longest(f, in, at, &bytes);
        at += a ? bytes : 1;
        if (!a || (a->single_word && !stands_alone(f, in, start, at, src))) continue;
        widen(a, in, done, &start, &at);
        if (start > done)
            text_pieces_add(out, (text_view){in.data + done, start - done}, -1, first && done == 0);
        text_pieces_add(out, (text_view){in.data + start, at - start}, a->id, first && start == 0);
        done = at;
    }
    if (in.bytes > done)
        text_pieces_add(out, (text_view){in.data + done, in.bytes - done}, -1, first && done == 0);
}

void text_finder_run(const text_finder *f, text_pieces *p, text_source *src) {
    text_pieces out = {0};
    if (f->count == 0 || src->status) return;
    for (size_t i = 0; i < p->count; i++) {
        const text_piece *x = &p->piece[i];
        if (x->id >= 0)
            text_pieces_add(&out, text_pieces_at(p, i), x->id, x->first);
        else
            find(f, text_pieces_at(p, i), x->first, &out, src);
    }
    if (out.text.failed) text_no_memory(src);
    text_pieces_free(p);
    *p = out;
}
