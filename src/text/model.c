/* model.c: the "model" of tokenizer.json, BPE or WordPiece: its parameters, and BPE's merges as a table. */
#include <stdio.h>
#include <stdlib.h>

#include "text/internal.h"

/* --- merges ----------------------------------------------------------------------------------- */

static size_t slot(const text_model *m, uint64_t pair) {
    uint64_t h = pair * 0x9e3779b97f4a7c15u; /* Fibonacci hashing */
    size_t i = (size_t)(h ^ h >> 32) & m->merge_mask;
    while (m->merge[i].rank != UINT32_MAX && m->merge[i].pair != pair) i = (i + 1) & m->merge_mask;
    return i;
}

static bool create_table(text_model *m, size_t count) {
    size_t slots = 16;
    while (slots < 2 * count) slots *= 2;
    m->merge = calloc(slots, sizeof *m->merge);
    if (!m->merge) return false;
    for (size_t i = 0; i < slots; i++) m->merge[i].rank = UINT32_MAX;
    m->merge_mask = slots - 1;
    return true;
}

/* "a b" or ["a", "b"]. */
static bool parts_of(const json_t *merge, text_view part[2]) {
    const char *both = json_string_value(merge), *blank = both ? strchr(both, ' ') : NULL;
    if (blank) {
        part[0] = (text_view){both, (size_t)(blank - both)};
        part[1] = (text_view){blank + 1, strlen(blank + 1)};
        return part[0].bytes && part[1].bytes && !strchr(blank + 1, ' ');
    }
    for (size_t i = 0; i < 2; i++) {
        const json_t *one = json_array_get(merge, i);
        if (!json_is_string(one) || json_array_size(merge) != 2) return false;
        part[i] = (text_view){json_string_value(one), json_string_length(one)};
    }
    return true;
}

/* The id of a token that a merge names; a right one loses the prefix that the joined one has not. */
static int32_t named(const text_vocab *v, text_view token, size_t rank, text_source *src) {
    int32_t id = text_vocab_find(v, token);
    if (id < 0)
        text_wrong(src, "merge %zu needs '%.*s', which is not in the vocabulary", rank,
                   (int)(token.bytes < 60 ? token.bytes : 60), token.data);
    return id;
}

static void add_merge(text_model *m, const text_vocab *v, const json_t *merge, size_t rank,
                      text_bytes *joined, text_source *src) {
    text_view part[2];
    size_t skip = strlen(m->prefix);
    if (!parts_of(merge, part)) {
        text_wrong(src, "merge %zu is not a pair of tokens", rank);
        return;
    }
    if (part[1].bytes < skip || memcmp(part[1].data, m->prefix, skip) != 0) skip = 0;
    joined->length = 0;
    text_bytes_add(joined, part[0].data, part[0].bytes);
    text_bytes_add(joined, part[1].data + skip, part[1].bytes - skip);
    if (joined->failed) text_no_memory(src);
    int32_t left = named(v, part[0], rank, src), right = named(v, part[1], rank, src);
    int32_t id = src->status ? -1 : named(v, (text_view){joined->data, joined->length}, rank, src);
    if (src->status) return;
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    m->merge[slot(m, pair)] = (text_merge){.pair = pair, .rank = (uint32_t)rank, .id = id};
}

static void parse_merges(text_model *m, const json_t *merges, const text_vocab *v, text_source *src) {
    text_bytes joined = {0};
    size_t i;
    json_t *merge;
    if (!json_is_array(merges)) text_wrong(src, "'merges' is missing (expected a list)");
    if (!src->status && !create_table(m, json_array_size(merges))) text_no_memory(src);
    json_array_foreach(merges, i, merge) {
        if (src->status) break;
        add_merge(m, v, merge, i, &joined, src);
    }
    text_bytes_free(&joined);
}

/* --- parameters ------------------------------------------------------------------------------- */

static void parse_bpe(text_model *m, const json_t *spec, const text_vocab *v, text_source *src) {
    const json_t *dropout = json_object_get(spec, "dropout");
    if (json_is_number(dropout) && json_number_value(dropout) != 0)
        text_wrong(src, "BPE 'dropout' is not supported: it makes encoding random");
    m->fuse_unknown = text_flag(src, spec, "fuse_unk", false);
    m->byte_fallback = text_flag(src, spec, "byte_fallback", false);
    m->ignore_merges = text_flag(src, spec, "ignore_merges", false);
    m->suffix = text_copy(src, text_string(src, spec, "end_of_word_suffix", ""));
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        m->byte[b] = text_vocab_find(v, (text_view){name, 6});
    }
    if (!src->status) parse_merges(m, json_object_get(spec, "merges"), v, src);
}

void text_model_kind(text_model *m, const json_t *spec, text_source *src) {
    const char *type = text_type(spec);
    if (!*type) type = json_object_get(spec, "merges") ? "BPE" : "WordPiece"; /* files of before 2021 */
    m->wordpiece = strcmp(type, "WordPiece") == 0;
    if (!m->wordpiece && strcmp(type, "BPE") != 0)
        text_wrong(src, "model '%.60s' is not supported (expected BPE or WordPiece)", type);
}

void text_model_parse(text_model *m, const json_t *spec, const text_vocab *v, text_source *src) {
    if (src->status) return;
    const char *unknown = text_string(src, spec, "unk_token", m->wordpiece ? "[UNK]" : "");
    m->prefix = text_copy(src, text_string(src, spec, "continuing_subword_prefix", m->wordpiece ? "##" : ""));
    m->most_chars = text_number(src, spec, "max_input_chars_per_word", 100);
    m->unknown_id = text_vocab_find(v, (text_view){unknown, strlen(unknown)});
    if (*unknown) m->unknown = text_copy(src, unknown);
    if (!src->status && !m->wordpiece) parse_bpe(m, spec, v, src);
}

void text_model_free(text_model *m) {
    free(m->unknown);
    free(m->prefix);
    free(m->suffix);
    free(m->merge);
    *m = (text_model){0};
}

const text_merge *text_merge_find(const text_model *m, int32_t left, int32_t right) {
    const text_merge *found = &m->merge[slot(m, (uint64_t)(uint32_t)left << 32 | (uint32_t)right)];
    return found->rank == UINT32_MAX ? NULL : found;
}
