/* test_text.c: the tokenizers of the demo models, agreement with their golden strings, and text token by
 * token. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "omnibus/text.h"

#define LLAMA "configs/demo/llama"
#define BERT  "configs/demo/bert"

static omni_tokenizer *open_dir(const char *dir) {
    omni_tokenizer *t;
    omni_error err = {0};
    cr_assert_eq(omni_tokenizer_open(dir, &t, &err), OMNI_OK, "%s", err.text);
    return t;
}

/* A directory with links to some of another's files: the older ones. */
static void make_old(char dir[64], const char *from, const char *const *files, size_t count) {
    char here[1024], to[1200], link[256];
    strcpy(dir, "/tmp/omni-text-XXXXXX");
    cr_assert(mkdtemp(dir) && getcwd(here, sizeof here));
    for (size_t i = 0; i < count; i++) {
        snprintf(to, sizeof to, "%s/%s/%s", here, from, files[i]);
        snprintf(link, sizeof link, "%s/%s", dir, files[i]);
        cr_assert_eq(symlink(to, link), 0);
    }
}

static void remove_old(const char *dir, const char *const *files, size_t count) {
    char path[256];
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

/* --- golden strings ----------------------------------------------------------------------------- */

static void same_list(const int32_t *got, size_t count, const json_t *want, const char *text) {
    size_t i;
    json_t *id;
    cr_assert_eq(count, json_array_size(want), "'%s': %zu ids, not %zu", text, count, json_array_size(want));
    json_array_foreach(want, i, id) cr_assert_eq(got[i], json_integer_value(id), "'%s': item %zu", text, i);
}

/* The prompt's text and what comes behind it token by token are the whole text. */
static void stream_agrees(const omni_tokenizer *t, const omni_encoding *e, size_t prompt) {
    char *whole, *begin;
    size_t bytes, done;
    const char *piece;
    omni_error err = {0};
    cr_assert_eq(omni_tokenizer_decode(t, e->ids, e->count, true, &whole, &bytes, &err), OMNI_OK);
    cr_assert_eq(omni_tokenizer_decode(t, e->ids, prompt, true, &begin, &done, &err), OMNI_OK);
    cr_assert_eq(strncmp(whole, begin, done), 0);
    omni_stream *s = omni_stream_create(t, e->ids, prompt);
    for (size_t i = prompt; i <= e->count; i++) {
        omni_status status =
            i < e->count ? omni_stream_push(s, e->ids[i], &piece, &err) : omni_stream_end(s, &piece, &err);
        cr_assert_eq(status, OMNI_OK);
        cr_assert_eq(strncmp(whole + done, piece, strlen(piece)), 0, "'%s' at %zu: '%s'", whole, done, piece);
        done += strlen(piece);
    }
    cr_assert_eq(done, bytes, "'%s'", whole);
    omni_stream_free(s);
    free(whole);
    free(begin);
}

/* reads_back: decoding gives the text, byte for byte. */
static void hold_case(const omni_tokenizer *t, const json_t *one, bool reads_back) {
    const json_t *text = json_object_get(one, "text");
    const char *given = json_string_value(text);
    size_t length = json_string_length(text), bytes;
    char *back;
    omni_encoding e;
    omni_error err = {0};
    cr_assert_eq(omni_tokenizer_encode(t, given, length, NULL, 0, &e, &err), OMNI_OK, "%s", err.text);
    same_list(e.ids, e.count, json_object_get(one, "ids"), given);
    cr_assert_eq(omni_tokenizer_decode(t, e.ids, e.count, false, &back, &bytes, &err), OMNI_OK);
    if (reads_back)
        cr_assert(bytes == length && memcmp(back, given, bytes) == 0, "'%s' not '%s'", back, given);
    for (size_t prompt = 0; prompt <= e.count && length == strlen(given) && reads_back;
         prompt += 1 + e.count / 4) {
        char *begin;
        cr_assert_eq(omni_tokenizer_decode(t, e.ids, prompt, true, &begin, &bytes, &err), OMNI_OK);
        bool whole = bytes < 3 || strcmp(begin + bytes - 3, "\xef\xbf\xbd") != 0; /* no cut in a character */
        free(begin);
        if (whole) stream_agrees(t, &e, prompt);
    }
    free(back);
    omni_encoding_free(&e);
}

static void hold_golden(const omni_tokenizer *t, const char *path, bool reads_back) {
    size_t i;
    json_t *one, *golden = json_load_file(path, JSON_ALLOW_NUL, NULL);
    cr_assert_not_null(golden, "%s", path);
    cr_assert_eq(json_array_size(json_object_get(golden, "cases")), 200);
    json_array_foreach(json_object_get(golden, "cases"), i, one) hold_case(t, one, reads_back);
    json_array_foreach(json_object_get(golden, "pairs"), i, one) {
        const char *a = json_string_value(json_object_get(one, "text_a"));
        const char *b = json_string_value(json_object_get(one, "text_b"));
        omni_encoding e;
        cr_assert_eq(omni_tokenizer_encode(t, a, strlen(a), b, strlen(b), &e, NULL), OMNI_OK);
        same_list(e.ids, e.count, json_object_get(one, "ids"), a);
        same_list(e.types, e.count, json_object_get(one, "token_type_ids"), a);
        omni_encoding_free(&e);
    }
    json_decref(golden);
}

Test(text, byte_level_bpe_agrees_with_all_golden_strings) {
    omni_tokenizer *t = open_dir(LLAMA);
    hold_golden(t, LLAMA "/tokenizer_golden.json", true);
    cr_expect_eq(omni_tokenizer_find(t, "<|endoftext|>"), 511);
    cr_expect_eq(omni_tokenizer_find(t, "no such token"), -1);
    cr_expect_str_eq(omni_tokenizer_token(t, 0), "!");
    cr_expect_null(omni_tokenizer_token(t, 512));
    cr_expect_null(omni_tokenizer_token(t, -1));
    omni_tokenizer_free(t);
}

Test(text, word_piece_agrees_with_all_golden_strings) {
    omni_tokenizer *t = open_dir(BERT);
    hold_golden(t, BERT "/tokenizer_golden.json", false);
    omni_tokenizer_free(t);
}

Test(text, older_files_say_the_same) {
    static const char *const bpe[] = {"vocab.json", "merges.txt", "tokenizer_config.json"};
    static const char *const words[] = {"vocab.txt", "tokenizer_config.json"};
    char dir[64];
    make_old(dir, LLAMA, bpe, 3);
    omni_tokenizer *t = open_dir(dir);
    hold_golden(t, LLAMA "/tokenizer_golden.json", true);
    omni_tokenizer_free(t);
    remove_old(dir, bpe, 3);
    make_old(dir, BERT, words, 2);
    t = open_dir(dir);
    hold_golden(t, BERT "/tokenizer_golden.json", false);
    omni_tokenizer_free(t);
    remove_old(dir, words, 2);
    make_old(dir, BERT, words, 1); /* without the config: BERT's own names */
    t = open_dir(dir);
    hold_golden(t, BERT "/tokenizer_golden.json", false);
    omni_tokenizer_free(t);
    remove_old(dir, words, 1);
}

Test(text, what_is_no_directory_with_a_tokenizer) {
    omni_tokenizer *t = NULL;
    omni_error err = {0};
    cr_assert_eq(omni_tokenizer_open("configs/models", &t, &err), OMNI_BAD_INPUT);
    cr_expect_null(t);
    cr_expect(strstr(err.text, "no tokenizer (expected tokenizer.json"), "%s", err.text);
}

/* --- unfinished characters ------------------------------------------------------------------------ */

Test(text, a_character_is_held_back_until_it_is_whole) {
    omni_tokenizer *t = open_dir(LLAMA);
    omni_encoding e;
    const char *piece;
    const char *text = "a\xf0\x9f\x98\x80z"; /* four bytes, four tokens */
    cr_assert_eq(omni_tokenizer_encode(t, text, strlen(text), NULL, 0, &e, NULL), OMNI_OK);
    cr_assert_eq(e.count, 6);
    omni_stream *s = omni_stream_create(t, e.ids, 1);
    for (size_t i = 1; i < 4; i++) {
        cr_assert_eq(omni_stream_push(s, e.ids[i], &piece, NULL), OMNI_OK);
        cr_expect_str_eq(piece, "");
    }
    cr_assert_eq(omni_stream_push(s, e.ids[4], &piece, NULL), OMNI_OK);
    cr_expect_str_eq(piece, "\xf0\x9f\x98\x80");
    cr_assert_eq(omni_stream_push(s, e.ids[1], &piece, NULL), OMNI_OK);
    cr_expect_str_eq(piece, "");
    cr_assert_eq(omni_stream_end(s, &piece, NULL), OMNI_OK);
    cr_expect_str_eq(piece, "\xef\xbf\xbd", "the replacement character only at the end");
    cr_assert_eq(omni_stream_end(s, &piece, NULL), OMNI_OK);
    cr_expect_str_eq(piece, "");
    omni_stream_free(s);
    omni_encoding_free(&e);
    omni_tokenizer_free(t);
}

Test(text, special_tokens_are_not_said) {
    omni_tokenizer *t = open_dir(LLAMA);
    const char *piece;
    char *text;
    size_t bytes;
    const int32_t ids[] = {0, 511, 1, 9999};
    omni_stream *s = omni_stream_create(t, ids, 1);
    cr_assert_eq(omni_stream_push(s, 511, &piece, NULL), OMNI_OK);
    cr_expect_str_eq(piece, "");
    cr_assert_eq(omni_stream_push(s, 1, &piece, NULL), OMNI_OK);
    cr_expect_str_eq(piece, "\"");
    cr_assert_eq(omni_tokenizer_decode(t, ids, 4, false, &text, &bytes, NULL), OMNI_OK);
    cr_expect_str_eq(text, "!<|endoftext|>\"");
    free(text);
    cr_assert_eq(omni_tokenizer_decode(t, ids, 0, true, &text, &bytes, NULL), OMNI_OK);
    cr_expect(bytes == 0 && text[0] == '\0');
    free(text);
    omni_stream_free(s);
    omni_tokenizer_free(t);
}

/* --- any text -------------------------------------------------------------------------------------- */

Test(text, what_is_not_utf8_is_refused) {
    static const char *const broken[] = {"\xff",     "ab\xc3",           "\xed\xa0\x80",
                                         "\xc0\x80", "\xf4\x90\x80\x80", "x\x80y"};
    omni_tokenizer *t = open_dir(LLAMA);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        omni_encoding e;
        omni_error err = {0};
        cr_expect_eq(omni_tokenizer_encode(t, broken[i], strlen(broken[i]), NULL, 0, &e, &err),
                     OMNI_BAD_INPUT);
        cr_expect(e.count == 0 && !e.ids && strstr(err.text, "not UTF-8 at byte"), "%s", err.text);
    }
    omni_tokenizer_free(t);
}

/* One word of many bytes, and many words: both take a time that grows with the text, not with its square. */
Test(text, long_texts) {
    enum { BYTES = 2 << 20 };
    static const char *const dirs[] = {LLAMA, BERT};
    char *text = malloc(BYTES), *back;
    for (size_t d = 0; d < 2; d++) {
        omni_tokenizer *t = open_dir(dirs[d]);
        for (int kind = 0; kind < 4; kind++) {
            omni_encoding e;
            size_t bytes;
            for (size_t i = 0; i < BYTES; i++)
                text[i] = kind == 0   ? 'e'
                          : kind == 1 ? ' '
                          : kind == 2 ? "the "[i % 4]
                                      : (char)('a' + i * i % 26);
            cr_assert_eq(omni_tokenizer_encode(t, text, BYTES, NULL, 0, &e, NULL), OMNI_OK);
            cr_assert_eq(omni_tokenizer_decode(t, e.ids, e.count, true, &back, &bytes, NULL), OMNI_OK);
            cr_expect(d == 1 || (bytes == BYTES && memcmp(back, text, BYTES) == 0));
            free(back);
            omni_encoding_free(&e);
        }
        omni_tokenizer_free(t);
    }
    free(text);
}

Test(text, many_marks_in_a_row_are_refused) {
    omni_tokenizer *t = open_dir(BERT);
    char text[2 * 300 + 1];
    omni_encoding e;
    omni_error err = {0};
    for (size_t i = 0; i < 300; i++) memcpy(text + 2 * i, i % 2 ? "\xcc\x81" : "\xcc\xa3", 2);
    cr_expect_eq(omni_tokenizer_encode(t, text, 600, NULL, 0, &e, &err), OMNI_BAD_INPUT);
    cr_expect(strstr(err.text, "combining marks"), "%s", err.text);
    cr_expect_eq(omni_tokenizer_encode(t, text, 500, NULL, 0, &e, NULL), OMNI_OK);
    omni_encoding_free(&e);
    omni_tokenizer_free(t);
}
