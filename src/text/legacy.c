/* legacy.c: the files of before tokenizer.json, as the tokenizer.json that they stand for.
 *
 *   vocab.json + merges.txt   GPT-2: byte-level BPE
 *   vocab.txt                 BERT: one token a line, WordPiece
 *   tokenizer_config.json     beside them, if it is there: special tokens and a few switches
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "text/internal.h"

enum { MOST_FILE_BYTES = 128 << 20 };

static char *path_of(const char *dir, const char *name, text_source *src) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0) path = NULL;
    if (!path) text_no_memory(src);
    return path;
}

bool text_there(const char *dir, const char *name) {
    char *path = NULL;
    bool there = asprintf(&path, "%s/%s", dir, name) >= 0 && access(path, F_OK) == 0;
    free(path);
    return there;
}

static char *read_text(const char *dir, const char *name, size_t *bytes, text_source *src) {
    char *path = path_of(dir, name, src), *text = NULL;
    if (path) src->status = omni_file_read(path, MOST_FILE_BYTES, "a vocabulary", &text, bytes, src->err);
    free(path);
    return text;
}

json_t *text_read_json(const char *dir, const char *name, text_source *src) {
    size_t bytes;
    json_error_t why;
    if (!text_there(dir, name)) return NULL;
    char *text = read_text(dir, name, &bytes, src);
    json_t *root = text ? json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (text && !root)
        src->status = omni_error_set(src->err, OMNI_BAD_INPUT, "%.200s/%s:%d: not JSON (%.100s)", dir, name,
                                     why.line, why.text);
    free(text);
    return root;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Calls take(user, line, number) with each line, its end cut off. */
static void each_line(char *text, size_t bytes, void (*take)(json_t *out, char *line, size_t number),
                      json_t *out) {
    size_t number = 0;
    for (char *line = text, *end; line < text + bytes; line = end + 1, number++) {
        end = memchr(line, '\n', (size_t)(text + bytes - line));
        if (!end) end = text + bytes;
        *end = '\0';
        if (end > line && end[-1] == '\r') end[-1] = '\0';
        take(out, line, number);
    }
}

static void take_token(json_t *vocab, char *line, size_t number) {
    size_t n = strlen(line);
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t')) line[--n] = '\0';
    json_object_set_new(vocab, line, json_integer((json_int_t)number));
}

static void take_merge(json_t *merges, char *line, size_t number) {
    bool version = number == 0 && strncmp(line, "#version", 8) == 0;
    if (*line && !version) json_array_append_new(merges, json_string(line));
}

static json_t *read_lines(const char *dir, const char *name, json_t *out,
                          void (*take)(json_t *out, char *line, size_t number), text_source *src) {
    size_t bytes, bad;
    char *text = read_text(dir, name, &bytes, src);
    if (text && (memchr(text, '\0', bytes) || !text_valid((text_view){text, bytes}, &bad)))
        src->status =
            omni_error_set(src->err, OMNI_BAD_INPUT, "%.200s/%s: not a text file in UTF-8", dir, name);
    else if (text)
        each_line(text, bytes, take, out);
    free(text);
    return out;
}

/* --- special tokens ----------------------------------------------------------------------------- */

/* Those of tokenizer_config.json that the vocabulary has: "token" or {"content": "token"}. */
static json_t *special_tokens(const json_t *config, const json_t *vocab) {
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                       "cls_token", "sep_token", "mask_token"};
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *token = json_object_get(config, keys[i]);
        if (json_is_object(token)) token = json_object_get(token, "content");
        const json_t *id = json_object_get(vocab, json_is_string(token) ? json_string_value(token) : "");
        if (!json_is_integer(id)) continue;
        json_array_append_new(list, json_pack("{s:I, s:s, s:b, s:b}", "id", json_integer_value(id), "content",
                                              json_string_value(token), "special", 1, "normalized", 0));
    }
    return list;
}

static bool switched(const json_t *config, const char *key, bool otherwise) {
    const json_t *value = json_object_get(config, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

/* --- the two forms ------------------------------------------------------------------------------- */

static json_t *byte_level(json_t *vocab, const json_t *config, json_t *merges) {
    bool spaced = switched(config, "add_prefix_space", false);
    json_t *added = special_tokens(config, vocab);
    return json_pack("{s:o, s:{s:s, s:b}, s:{s:s}, s:{s:s, s:o, s:o}}", "added_tokens", added,
                     "pre_tokenizer", "type", "ByteLevel", "add_prefix_space", spaced, "decoder", "type",
                     "ByteLevel", "model", "type", "BPE", "vocab", vocab, "merges", merges);
}

static json_t *id_of(const json_t *vocab, const json_t *config, const char *key, const char *otherwise) {
    const json_t *given = json_object_get(config, key);
    const char *name = json_is_string(given) ? json_string_value(given) : otherwise;
    const json_t *id = json_object_get(vocab, name);
    return json_pack("[s, I]", name, id ? json_integer_value(id) : (json_int_t)-1);
}

static json_t *word_piece(json_t *vocab, const json_t *config) {
    json_t *defaults = json_pack("{s:s, s:s, s:s, s:s, s:s}", "unk_token", "[UNK]", "pad_token", "[PAD]",
                                 "cls_token", "[CLS]", "sep_token", "[SEP]", "mask_token", "[MASK]");
    if (config) json_object_update(defaults, (json_t *)(uintptr_t)config);
    bool lower = switched(config, "do_lower_case", true);
    json_t *normalizer = json_pack("{s:s, s:b, s:b, s:b}", "type", "BertNormalizer", "lowercase", lower,
                                   "strip_accents", switched(config, "strip_accents", lower),
                                   "handle_chinese_chars", switched(config, "tokenize_chinese_chars", true));
    json_t *around = json_pack("{s:s, s:o, s:o}", "type", "BertProcessing", "cls",
                               id_of(vocab, config, "cls_token", "[CLS]"), "sep",
                               id_of(vocab, config, "sep_token", "[SEP]"));
    const json_t *unknown = json_object_get(defaults, "unk_token");
    const char *unk = json_is_string(unknown) ? json_string_value(unknown) : "[UNK]";
    json_t *root = json_pack("{s:o, s:o, s:{s:s}, s:o, s:{s:s}, s:{s:s, s:s, s:o}}", "added_tokens",
                             special_tokens(defaults, vocab), "normalizer", normalizer, "pre_tokenizer",
                             "type", "BertPreTokenizer", "post_processor", around, "decoder", "type",
                             "WordPiece", "model", "type", "WordPiece", "unk_token", unk, "vocab", vocab);
    json_decref(defaults);
    return root;
}

json_t *text_legacy(const char *dir, char **path, text_source *src) {
    json_t *root = NULL, *config = text_read_json(dir, "tokenizer_config.json", src);
    bool gpt2 = text_there(dir, "vocab.json") && text_there(dir, "merges.txt");
    *path = path_of(dir, gpt2 ? "vocab.json" : "vocab.txt", src);
    if (*path) src->path = *path;
    if (!src->status && gpt2) {
        json_t *vocab = text_read_json(dir, "vocab.json", src);
        json_t *merges = src->status ? NULL : read_lines(dir, "merges.txt", json_array(), take_merge, src);
        root = byte_level(vocab, config, merges);
    } else if (!src->status && text_there(dir, "vocab.txt")) {
        root = word_piece(read_lines(dir, "vocab.txt", json_object(), take_token, src), config);
    } else if (!src->status) {
        src->status =
            omni_error_set(src->err, OMNI_BAD_INPUT,
                           "%s: no tokenizer (expected tokenizer.json, vocab.json with merges.txt, or "
                           "vocab.txt)",
                           dir);
    }
    json_decref(config);
    if (!src->status && !root) text_no_memory(src);
    if (!src->status) return root;
    json_decref(root);
    return NULL;
}
