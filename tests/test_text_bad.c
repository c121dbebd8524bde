/* test_text_bad.c: decoders, and what is refused: features that are not supported, by name, and files that
 * are torn. */
#include "text_tools.h"

/* --- decoders ----------------------------------------------------------------------------------- */

/* Ids 0, 1, 2, ... are the words in their order. */
static void decodes(const char *decoder, const char *const *words, size_t count, const char *want) {
    char parts[1024], list[1024] = "", *json, *text;
    size_t n = 0, bytes;
    int32_t ids[16];
    omni_tokenizer *t;
    omni_error err = {0};
    for (size_t i = 0; i < count; i++) {
        ids[i] = (int32_t)i + 1;
        n += (size_t)snprintf(list + n, sizeof list - n, "%s'%s': %zu", i ? ", " : "", words[i], i + 1);
    }
    snprintf(parts, sizeof parts, "'decoder': %s", decoder);
    json = text_words(parts, list);
    cr_assert_eq(text_parse(json, &t, &err), OMNI_OK, "%s: %s", json, err.text);
    cr_assert_eq(omni_tokenizer_decode(t, ids, count, true, &text, &bytes, &err), OMNI_OK, "%s", err.text);
    cr_expect_str_eq(text, want, "%s: '%s', not '%s'", decoder, text, want);
    cr_expect_eq(bytes, strlen(want));
    free(text);
    omni_tokenizer_free(t);
    free(json);
}
#define LIST(...)                                                                                            \
    (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)
#define LLAMA_DECODER                                                                                        \
    "{'type': 'Sequence', 'decoders': [{'type': 'Replace', 'pattern': {'String': '\u2581'}, 'content': ' "   \
    "'}, "                                                                                                   \
    "{'type': 'ByteFallback'}, {'type': 'Fuse'}, {'type': 'Strip', 'content': ' ', 'start': 1, 'stop': 0}]}"

Test(text_bad, decoders) {
    decodes("null", LIST("a", "b"), "a b");
    decodes("{'type': 'Fuse'}", LIST("a", "b"), "ab");
    decodes("{'type': 'ByteLevel'}", LIST("\u0120a", "\u00c3", "\u00a9"), " a\u00e9");
    decodes("{'type': 'ByteLevel'}", LIST("\u00c3", "a"),
            "\ufffd"
            "a");
    decodes("{'type': 'ByteLevel'}", LIST("\u00f0", "\u0141", "\u00a6", "x"),
            "\ufffd"
            "x");
    decodes("{'type': 'ByteLevel'}", LIST("a\u4e2d"), "a\u4e2d");
    decodes("{'type': 'WordPiece', 'prefix': '##', 'cleanup': true}",
            LIST("it", "##s", "\\u0027", "do", "!", "n\\u0027t"), "its ' do!n't");
    decodes("{'type': 'WordPiece', 'cleanup': false}", LIST("##a", "##b", "!"), "##ab !");
    decodes("{'type': 'Metaspace', 'replacement': '\u2581'}",
            LIST("\u2581a", "\u2581"
                            "b\u2581"),
            "a b ");
    decodes("{'type': 'Metaspace', 'prepend_scheme': 'never'}",
            LIST("\u2581a", "\u2581"
                            "b"),
            " a b");
    decodes("{'type': 'BPEDecoder', 'suffix': '</w>'}", LIST("a", "b</w>", "c</w>"), "ab c");
    decodes("{'type': 'Strip', 'content': '-', 'start': 1, 'stop': 2}", LIST("--a-", "b---", "-"), "-ab-");
    decodes(LLAMA_DECODER, LIST("\u2581", "\u2581Hi", "<0xE4>", "<0xB8>", "<0xAD>", "<0x41>"),
            " Hi\u4e2d"
            "A");
    decodes(LLAMA_DECODER, LIST("\u2581Hi", "<0xE4>", "<0xB8>", "x", "<0xZZ>"), "Hi\ufffd\ufffdx<0xZZ>");
}

/* --- refused ------------------------------------------------------------------------------------- */

static const struct {
    const char *json, *says;
} wrong[] = {
    {"", "not JSON"},
    {"{", "not JSON"},
    {"[]", "'model' is missing"},
    {"{'model': 3}", "'model' is missing"},
    {"{'model': {'type': 'Unigram', 'vocab': {}}}", "model 'Unigram' is not supported"},
    {"{'model': {'type': 'Unigram', 'vocab': []}}", "'Unigram' is not supported"},
    {"{'model': {'type': 'WordLevel', 'vocab': {}}}", "model 'WordLevel' is not supported"},
    {"{'model': {'type': 'BPE'}}", "'vocab' is not an object"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 'b'}, 'merges': []}}", "token 'a' has no id from 0"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': -1}, 'merges': []}}", "token 'a' has no id from 0"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 4194304}, 'merges': []}}",
     "token 'a' has no id from 0 to 4194303"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 1.5}, 'merges': []}}", "token 'a' has no id"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 1, 'a': 2}, 'merges': []}}", "not JSON"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 0}}}", "'merges' is missing"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 0}, 'merges': ['a b']}}",
     "merge 0 needs 'b', which is not in the vocab"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 0, 'b': 1}, 'merges': ['a b']}}", "merge 0 needs 'ab'"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 0}, 'merges': ['a']}}", "merge 0 is not a pair"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 0}, 'merges': ['a a a']}}", "merge 0 is not a pair"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 0}, 'merges': [['a']]}}", "merge 0 is not a pair"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 0}, 'merges': [3]}}", "merge 0 is not a pair"},
    {"{'model': {'type': 'BPE', 'vocab': {'a': 0}, 'merges': [], 'dropout': 0.1}}",
     "BPE 'dropout' is not supported"},
    {"{'model': {'type': 'BPE', 'vocab': {}, 'merges': [], 'byte_fallback': 1}}",
     "'byte_fallback' is not true or false"},
    {"{'model': {'type': 'BPE', 'vocab': {}, 'merges': [], 'unk_token': 1}}", "'unk_token' is not a string"},
    {"{'added_tokens': {}, 'model': {'vocab': {}, 'merges': []}}", "'added_tokens' is not a list"},
    {"{'added_tokens': [3], 'model': {'vocab': {}, 'merges': []}}", "'content' is missing"},
    {"{'added_tokens': [{'id': 1, 'content': 'a'}], 'model': {'vocab': {'a': 0}, 'merges': []}}",
     "added token 'a' has id 1, but 0 in the vocabulary"},
};

static const struct {
    const char *part, *says;
} unsupported[] = {
    {"'normalizer': {'type': 'Precompiled', 'precompiled_charsmap': ''}",
     "normalizer 'Precompiled' is not supported"},
    {"'normalizer': {'type': 'Nmt'}", "normalizer 'Nmt' is not supported"},
    {"'normalizer': {}", "normalizer '' is not supported"},
    {"'normalizer': {'type': 'Sequence'}", "normalizer 'Sequence' without a list of 'normalizers'"},
    {"'normalizer': {'type': 'Replace', 'content': ''}", "'pattern' is not"},
    {"'normalizer': {'type': 'Prepend'}", "'prepend' is missing"},
    {"'pre_tokenizer': {'type': 'UnicodeScripts'}", "pre_tokenizer 'UnicodeScripts' is not supported"},
    {"'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '('}}",
     "the regular expression '(' cannot be used"},
    {"'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '[a&&b]'}}",
     "'&&' in a regular expression is not"},
    {"'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '[a[b]]'}}", "a class inside of a class"},
    {"'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '\\\\h'}}",
     "'\\h' in a regular expression is not supported"},
    {"'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '^a+\\\\C'}}",
     "'\\C' in a regular expression is not supported"},
    {"'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': 'a{1,3}+'}}", "'}+' in a regular expression"},
    {"'pre_tokenizer': {'type': 'Split', 'pattern': {'String': 'a'}, 'behavior': 'Odd'}",
     "behavior 'Odd' is not supported"},
    {"'pre_tokenizer': {'type': 'Metaspace', 'prepend_scheme': 'odd'}",
     "prepend_scheme 'odd' is not supported"},
    {"'post_processor': {'type': 'Odd'}", "post_processor 'Odd' is not supported"},
    {"'post_processor': {'type': 'BertProcessing'}",
     "post_processor 'BertProcessing' has no 'cls' with an id"},
    {"'post_processor': {'type': 'TemplateProcessing', 'single': [], 'pair': []}",
     "the template lacks a text"},
    {"'post_processor': {'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': 'S'}}]}",
     "the template's 'S' is not among its 'special_tokens'"},
    {"'decoder': {'type': 'CTC'}", "decoder 'CTC' is not supported"},
};

static void refused(const char *json, const char *says) {
    omni_tokenizer *t = NULL;
    omni_error err = {0};
    cr_expect_eq(text_parse(json, &t, &err), OMNI_BAD_INPUT, "%s", json);
    cr_expect_null(t);
    cr_expect(strncmp(err.text, "t.json: ", 8) == 0 && strstr(err.text, says), "%s: '%s', not '%s'", json,
              err.text, says);
}

Test(text_bad, files_that_are_refused) {
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) refused(wrong[i].json, wrong[i].says);
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++) {
        char *json = text_words(unsupported[i].part, "'a': 1");
        refused(json, unsupported[i].says);
        free(json);
    }
}

/* Of each token a million bytes: refused before it is a question of memory and of time. */
Test(text_bad, added_tokens_that_grow) {
    enum { MANY = 1000, LONG = 1000000 };
    char *part = malloc(LONG + 200 + MANY * 80), *json;
    int n = sprintf(part, "'normalizer': {'type': 'Replace', 'pattern': {'String': 'a'}, 'content': '");
    memset(part + n, 'b', LONG);
    n += LONG;
    n += sprintf(part + n, "'}, 'added_tokens': [");
    for (int i = 0; i < MANY; i++)
        n += sprintf(part + n, "%s{'id': %d, 'content': 'a%d', 'normalized': true}", i ? ", " : "", i + 2, i);
    strcpy(part + n, "]");
    json = text_words(part, "'a': 1");
    refused(json, "the normalizer makes more than 16 MiB of the added tokens");
    free(json);
    free(part);
}

Test(text_bad, every_beginning_of_a_file) {
    char *whole;
    size_t bytes;
    cr_assert_eq(omni_file_read("configs/demo/llama/tokenizer.json", 1 << 20, "x", &whole, &bytes, NULL),
                 OMNI_OK);
    for (size_t n = 0; n < bytes - 2; n += 37) {
        omni_tokenizer *t = NULL;
        omni_error err = {0};
        cr_assert_eq(omni_tokenizer_parse(whole, n, "t.json", &t, &err), OMNI_BAD_INPUT);
        cr_assert(!t && err.text[0] && !strchr(err.text, '\n'));
    }
    free(whole);
}

Test(text_bad, too_many_stages) {
    char parts[8192] = "'normalizer': {'type': 'Sequence', 'normalizers': [{'type': 'NFC'}", *json;
    for (size_t i = 0; i < 64; i++) strcat(parts, ", {'type': 'NFC'}");
    strcat(parts, "]}");
    json = text_words(parts, "'a': 1");
    refused(json, "more than 64 stages in normalizer");
    free(json);
}

/* What only shows when a text comes. */
Test(text_bad, texts_that_cannot_be_said) {
    static const struct {
        const char *model, *text, *says;
    } list[] = {
        {"'type': 'BPE', 'vocab': {'a': 0}, 'merges': []", "ax", "the vocabulary has no token for 'x'"},
        {"'type': 'BPE', 'unk_token': 'u', 'vocab': {'a': 0}, 'merges': []", "x",
         "and none that stands for what is unknown"},
        {"'type': 'WordPiece', 'vocab': {'a': 0}", "x", "the vocabulary has no '[UNK]'"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char json[256];
        omni_tokenizer *t;
        omni_encoding e;
        omni_error err = {0};
        snprintf(json, sizeof json, "{'model': {%s}}", list[i].model);
        cr_assert_eq(text_parse(json, &t, &err), OMNI_OK, "%s", err.text);
        cr_expect_eq(omni_tokenizer_encode(t, list[i].text, strlen(list[i].text), NULL, 0, &e, &err),
                     OMNI_BAD_INPUT);
        cr_expect(strstr(err.text, list[i].says), "%s", err.text);
        cr_expect(!e.ids && e.count == 0);
        omni_tokenizer_free(t);
    }
}

/* A pattern that tries everything gives up instead of hanging. */
Test(text_bad, a_pattern_that_tries_everything) {
    char *json = text_words(
        "'pre_tokenizer': {'type': 'Split', 'pattern': {'Regex': '(a|a?)+$'}, 'behavior': 'Isolated'}",
        "'a': 1");
    char text[61];
    omni_tokenizer *t;
    omni_encoding e;
    omni_error err = {0};
    memset(text, 'a', 60);
    text[59] = 'b', text[60] = '\0';
    cr_assert_eq(text_parse(json, &t, &err), OMNI_OK, "%s", err.text);
    cr_expect_eq(omni_tokenizer_encode(t, text, 60, NULL, 0, &e, &err), OMNI_BAD_INPUT);
    cr_expect(strstr(err.text, "a regular expression gave up on the text"), "%s", err.text);
    omni_encoding_free(&e);
    omni_tokenizer_free(t);
    free(json);
}
