/* tokenizer.c: a tokenizer from its file to its use: what stands in text.h, put together from the parts of the room.
 */
#include <stdio.h>
#include <stdlib.h>

#include "text/internal.h"

struct omni_tokenizer {
    char *path;
    text_vocab vocab;
    text_model model;
    text_chain normalizer, pretokenizer, decoder;
    text_finder raw, normalized; /* added tokens of before and behind the normalizer */
    text_template around;
};

/* --- opening ---------------------------------------------------------------------------------- */

static void build(omni_tokenizer *t, const json_t *root, text_source *src) {
    const json_t *model = json_object_get(root, "model");
    if (!json_is_object(model)) text_wrong(src, "'model' is missing (expected an object)");
    text_model_kind(&t->model, model, src);
    text_vocab_parse(&t->vocab, json_object_get(model, "vocab"), json_object_get(root, "added_tokens"), src);
    text_model_parse(&t->model, model, &t->vocab, src);
    text_chain_parse(&text_normalizers, json_object_get(root, "normalizer"), &t->normalizer, src);
    text_chain_parse(&text_pretokenizers, json_object_get(root, "pre_tokenizer"), &t->pretokenizer, src);
    text_chain_parse(&text_decoders, json_object_get(root, "decoder"), &t->decoder, src);
    text_template_parse(&t->around, json_object_get(root, "post_processor"), src);
    text_finder_create(&t->raw, &t->vocab, false, &t->normalizer, src);
    text_finder_create(&t->normalized, &t->vocab, true, &t->normalizer, src);
    for (size_t i = 0; !src->status && i < t->normalized.count; i++) /* they say what was looked for */
        t->vocab.token[t->normalized.token[i]->id] = t->normalized.content[i].data;
}

/* Takes root. */
static omni_status create(json_t *root, text_source *src, omni_tokenizer **out) {
    omni_tokenizer *t = src->status ? NULL : omni_alloc(sizeof *t);
    *out = NULL;
    if (!t) text_no_memory(src);
    if (t) t->path = text_copy(src, src->path);
    if (t) build(t, root, src);
    json_decref(root);
    if (src->status)
        omni_tokenizer_free(t);
    else
        *out = t;
    return src->status;
}

omni_status omni_tokenizer_parse(const char *json, size_t bytes, const char *source, omni_tokenizer **out,
                                 omni_error *err) {
    text_source src = {.path = source, .err = err};
    json_error_t why;
    json_t *root = json_loadb(json, bytes, JSON_REJECT_DUPLICATES, &why);
    if (!root) text_wrong(&src, "not JSON (line %d: %.100s)", why.line, why.text);
    return create(root, &src, out);
}

omni_status omni_tokenizer_open(const char *dir, omni_tokenizer **out, omni_error *err) {
    text_source src = {.path = dir, .err = err};
    char path[400], *old = NULL;
    json_t *root = text_read_json(dir, "tokenizer.json", &src);
    snprintf(path, sizeof path, "%.380s/tokenizer.json", dir);
    src.path = path;
    if (!root && !src.status) root = text_legacy(dir, &old, &src);
    omni_status status = create(root, &src, out);
    free(old);
    return status;
}

void omni_tokenizer_free(omni_tokenizer *t) {
    if (!t) return;
    text_finder_free(&t->raw);
    text_finder_free(&t->normalized);
    text_chain_free(&t->normalizer);
    text_chain_free(&t->pretokenizer);
    text_chain_free(&t->decoder);
    text_template_free(&t->around);
    text_model_free(&t->model);
    text_vocab_free(&t->vocab);
    free(t->path);
    omni_free(t);
}

const char *omni_tokenizer_source(const omni_tokenizer *t) {
    return t->path;
}

const char *omni_tokenizer_token(const omni_tokenizer *t, int32_t id) {
    return id >= 0 && (size_t)id < t->vocab.size ? t->vocab.token[id] : NULL;
}

int32_t omni_tokenizer_find(const omni_tokenizer *t, const char *token) {
    for (size_t i = 0; i < t->vocab.added_count; i++)
        if (strcmp(t->vocab.added[i].content, token) == 0) return t->vocab.added[i].id;
    return text_vocab_find(&t->vocab, (text_view){token, strlen(token)});
}

/* --- encoding --------------------------------------------------------------------------------- */

static void encode_pieces(const omni_tokenizer *t, const text_pieces *p, text_ids *out, text_source *src) {
    text_scratch scratch = {0};
    for (size_t i = 0; i < p->count && !src->status; i++) {
        text_view word = text_pieces_at(p, i);
        if (p->piece[i].id >= 0)
            text_ids_add(out, p->piece[i].id);
        else if (t->model.wordpiece)
            text_wordpiece(&t->model, &t->vocab, word, &scratch, out, src);
        else
            text_bpe(&t->model, &t->vocab, word, &scratch, out, src);
    }
    text_scratch_free(&scratch);
}

static void encode_text(const omni_tokenizer *t, text_view text, text_ids *out, text_source *src) {
    text_pieces p = {0};
    size_t bad;
    if (!text_valid(text, &bad)) {
        text_wrong(src, "the text is not UTF-8 at byte %zu", bad);
        return;
    }
    text_pieces_add(&p, text, -1, true);
    if (p.text.failed)
        text_wrong(src, "the text has %zu bytes (expected at most %d)", text.bytes, TEXT_MOST_BYTES);
    text_finder_run(&t->raw, &p, src);
    text_chain_run(&t->normalizer, &p, src);
    text_finder_run(&t->normalized, &p, src);
    text_chain_run(&t->pretokenizer, &p, src);
    if (!src->status) encode_pieces(t, &p, out, src);
    if (out->failed) text_no_memory(src);
    text_pieces_free(&p);
}

/* The items of the template, texts in their places. */
static void lay_out(const text_item *item, size_t items, const text_ids part[2], omni_encoding *out,
                    text_source *src) {
    size_t total = 0, n = 0;
    for (size_t i = 0; i < items; i++) total += item[i].id >= 0 ? 1 : part[item[i].id == TEXT_B].count;
    out->ids = omni_alloc_array(total + 1, sizeof *out->ids);
    out->types = omni_alloc_array(total + 1, sizeof *out->types);
    if (!out->ids || !out->types) {
        text_no_memory(src);
        return;
    }
    for (size_t i = 0; i < items; i++) {
        const text_ids *text = &part[item[i].id == TEXT_B];
        size_t count = item[i].id >= 0 ? 1 : text->count;
        if (count) memcpy(out->ids + n, item[i].id >= 0 ? &item[i].id : text->id, count * sizeof *out->ids);
        for (size_t k = 0; k < count; k++) out->types[n++] = item[i].type;
    }
    out->count = total;
}

omni_status omni_tokenizer_encode(const omni_tokenizer *t, const char *text, size_t bytes, const char *pair,
                                  size_t pair_bytes, omni_encoding *out, omni_error *err) {
    text_source src = {.path = "", .err = err};
    const text_template *a = &t->around;
    text_ids part[2] = {{0}, {0}};
    *out = (omni_encoding){0};
    encode_text(t, (text_view){text, bytes}, &part[0], &src);
    if (pair && !src.status) encode_text(t, (text_view){pair, pair_bytes}, &part[1], &src);
    if (!src.status) lay_out(pair ? a->pair : a->single, pair ? a->pairs : a->singles, part, out, &src);
    if (src.status) omni_encoding_free(out);
    free(part[0].id);
    free(part[1].id);
    return src.status;
}

void omni_encoding_free(omni_encoding *e) {
    omni_free(e->ids);
    omni_free(e->types);
    *e = (omni_encoding){0};
}

/* --- decoding --------------------------------------------------------------------------------- */

omni_status omni_tokenizer_decode(const omni_tokenizer *t, const int32_t *ids, size_t count, bool plain,
                                  char **text, size_t *bytes, omni_error *err) {
    text_source src = {.path = t->path, .err = err};
    text_pieces p = {0};
    text_bytes joined = {0};
    for (size_t i = 0; i < count; i++) {
        const char *token = omni_tokenizer_token(t, ids[i]);
        if (!token || (plain && t->vocab.special[ids[i]])) continue;
        text_pieces_add(&p, (text_view){token, strlen(token)}, -1, p.count == 0);
    }
    if (p.text.failed) text_no_memory(&src);
    text_chain_run(&t->decoder, &p, &src);
    for (size_t i = 0; i < p.count && !src.status; i++) {
        text_view part = text_pieces_at(&p, i);
        if (i > 0 && t->decoder.count == 0) text_bytes_add(&joined, " ", 1);
        text_bytes_add(&joined, part.data, part.bytes);
    }
    text_bytes_add(&joined, "", 0); /* there is a NUL even without a token */
    if (joined.failed) text_no_memory(&src);
    text_pieces_free(&p);
    *text = src.status ? NULL : joined.data;
    *bytes = src.status ? 0 : joined.length;
    if (src.status) text_bytes_free(&joined);
    return src.status;
}
