/* test_text_features.c: each feature of tokenizer.json by itself, on vocabularies so small that the ids were
 * worked out by hand from the documentation of the format.
 */
#include "text_tools.h"

typedef struct feature {
    const char *parts, *words, *text, *ids;
} feature;

static void hold_all(const feature *f, size_t count) {
    for (size_t i = 0; i < count; i++) {
        omni_tokenizer *t = NULL;
        omni_error err = {0};
        char *json = text_words(f[i].parts, f[i].words);
        cr_assert_eq(text_parse(json, &t, &err), OMNI_OK, "%s: %s", json, err.text);
        text_hold(t, f[i].text, NULL, f[i].ids);
        omni_tokenizer_free(t);
        free(json);
    }
}
#define HOLD(list) hold_all(list, sizeof list / sizeof *list)

/* --- pre-tokenizers ----------------------------------------------------------------------------- */

#define SPLIT(pattern, behavior)                                                                             \
    "'pre_tokenizer': {'type': 'Split', 'pattern': {" pattern "}, 'behavior': '" behavior                    \
    "', 'invert': false}"
#define INVERTED(pattern, behavior)                                                                          \
    "'pre_tokenizer': {'type': 'Split', 'pattern': {" pattern "}, 'behavior': '" behavior "', 'invert': "    \
                                                                                          "true}"
#define DASHES "'a': 1, '-': 2, '--': 3, 'a-': 4, '-b': 5, 'b': 6"
#define LLAMA3                                                                                               \
    "(?i:\\u0027s|\\u0027t|\\u0027re|\\u0027ve|\\u0027m|\\u0027ll|\\u0027d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?"  \
    "\\\\p{L}+"                                                                                              \
    "|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"

Test(text_features, split) {
    static const feature list[] = {
        {SPLIT("'String': '-'", "Removed"), DASHES, "a--b", "1 6"},
        {SPLIT("'String': '-'", "Isolated"), DASHES, "a--b", "1 2 2 6"},
        {SPLIT("'String': '-'", "MergedWithPrevious"), DASHES, "a--b", "4 2 6"},
        {SPLIT("'String': '-'", "MergedWithNext"), DASHES, "a--b", "1 2 5"},
        {SPLIT("'String': '-'", "Contiguous"), DASHES, "a--b", "1 3 6"},
        {INVERTED("'String': '-'", "Removed"), DASHES, "a--b", "2 2"},
        {SPLIT("'String': ''", "Isolated"), "'ab': 1", "ab", "1"},
        {SPLIT("'String': '.'", "Isolated"), "'a.b': 1, 'a': 2, '.': 3, 'b': 4", "a.b", "2 3 4"},
        {SPLIT("'Regex': '.'", "Isolated"), "'a.b': 1, 'a': 2, '.': 3, 'b': 4", "a.b", "2 3 4"},
        {SPLIT("'Regex': '-+'", "Isolated"), DASHES, "a--b", "1 3 6"},
        {SPLIT("'Regex': '(?=b)'", "Isolated"), "'a': 1, 'b': 2, 'bb': 3, 'bab': 4, 'ba': 5", "abbab",
         "1 2 5 2"},
        {SPLIT("'Regex': '^b'", "Isolated"), "'a\\n': 1, 'b': 2, 'cb': 3", "a\nbcb", "1 2 3"},
        {SPLIT("'Regex': '\\\\s'", "Removed"), "'a': 1, 'b': 2",
         "a\xc2\xa0\xe2\x80\xa8"
         "b",
         "1 2"},
        {SPLIT("'Regex': '" LLAMA3 "'", "Isolated"),
         "'I': 1, '\\u0027LL': 2, ' ': 3, '123': 4, '4': 5, ' b': 6", "I'LL 1234 b", "1 2 3 4 5 6"},
    };
    HOLD(list);
}

Test(text_features, byte_level) {
    static const feature list[] = {
        {"'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': true}", "'\u0120a': 1, 'a': 2", "a",
         "1"},
        {"'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': true}", "'\u0120a': 1, 'a': 2", " a",
         "1"},
        {"'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': false}", "'\u0120a': 1, 'a': 2", "a",
         "2"},
        {"'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': false}",
         "'a': 1, '\\u0027s': 2, '\u0120': 3, '\u0120b': 4, '12': 5", "a's  b12", "1 2 3 4 5"},
        {"'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': false, 'use_regex': false}",
         "'a\u0120b': 1", "a b", "1"},
        {"'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': false}",
         "'\u00c3\u00a9': 1, '\u010a': 2, '\u0143': 3", "\u00e9", "1"},
        {"'pre_tokenizer': {'type': 'ByteLevel', 'add_prefix_space': false}", "'\u010a': 2", "\n", "2"},
        {"'normalizer': {'type': 'ByteLevel'}", "'\u00c2\u0143': 3", "\u00ad", "3"},
    };
    HOLD(list);
}

#define META(scheme, split)                                                                                  \
    "'pre_tokenizer': {'type': 'Metaspace', 'replacement': '\u2581', 'prepend_scheme': '" scheme             \
    "', 'split': " split "}"
#define META_S     "'added_tokens': [{'id': 9, 'content': '<s>', 'special': true}], "
#define META_WORDS "'\u2581a': 1, '\u2581b': 2, 'a': 3, '\u2581a\u2581b': 4, '\u2581': 5"

Test(text_features, metaspace) {
    static const feature list[] = {
        {META("always", "true"), META_WORDS, "a b", "1 2"},
        {META("always", "true"), META_WORDS, " a", "1"},
        {META("always", "true"), META_WORDS, "a  b", "1 5 2"},
        {META("never", "true"), META_WORDS, "a b", "3 2"},
        {META("always", "false"), META_WORDS, "a b", "4"},
        {META_S META("first", "true"), META_WORDS, "a<s>a", "1 9 3"},
        {META_S META("first", "true"), META_WORDS, "<s>a", "9 3"},
        {META_S META("always", "true"), META_WORDS, "a<s>a", "1 9 1"},
        {"'pre_tokenizer': {'type': 'Metaspace', 'add_prefix_space': false}", META_WORDS, "a b", "3 2"},
    };
    HOLD(list);
}

Test(text_features, by_characters) {
    static const feature list[] = {
        {"'pre_tokenizer': {'type': 'Digits', 'individual_digits': true}", "'a': 1, '1': 2, '2': 3", "a12",
         "1 2 3"},
        {"'pre_tokenizer': {'type': 'Digits', 'individual_digits': false}", "'a': 1, '12': 2", "a12a",
         "1 2 1"},
        {"'pre_tokenizer': {'type': 'BertPreTokenizer'}", "'a': 1, ',': 2, 'b': 3", " a,b\ta ", "1 2 3 1"},
        {"'pre_tokenizer': {'type': 'Whitespace'}", "'a_1': 1, '--': 2, 'b': 3", "a_1-- b", "1 2 3"},
        {"'pre_tokenizer': {'type': 'WhitespaceSplit'}", "'a-b': 1, 'c': 2", "a-b\u00a0c", "1 2"},
        {"'pre_tokenizer': {'type': 'CharDelimiterSplit', 'delimiter': ','}", "'a b': 1, 'c': 2", "a b,c",
         "1 2"},
        {"'pre_tokenizer': {'type': 'Punctuation', 'behavior': 'Contiguous'}", "'a': 1, '!\u2026': 2",
         "a!\u2026", "1 2"},
        {"'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [{'type': 'WhitespaceSplit'}, {'type': "
         "'Digits', "
         "'individual_digits': true}]}",
         "'a': 1, '1': 2", "a1 1", "1 2 2"},
    };
    HOLD(list);
}

/* --- normalizers -------------------------------------------------------------------------------- */

#define TWO(a, b)     "'normalizer': {'type': 'Sequence', 'normalizers': [" a ", " b "]}"
#define WORDS_OF_BERT ", 'pre_tokenizer': {'type': 'BertPreTokenizer'}"

Test(text_features, normalizers) {
    static const feature list[] = {
        {"'normalizer': {'type': 'NFC'}", "'\u00e9': 1, '\uac00': 2", "e\u0301", "1"},
        {"'normalizer': {'type': 'NFC'}", "'\u00e9': 1, '\uac00': 2", "\u1100\u1161", "2"},
        {"'normalizer': {'type': 'NFD'}", "'e\u0301': 1", "\u00e9", "1"},
        {"'normalizer': {'type': 'NFKC'}", "'fi1': 1", "\ufb01\u2460", "1"},
        {"'normalizer': {'type': 'NFKD'}", "'e\u0301fi': 1", "\u00e9\ufb01", "1"},
        {"'normalizer': {'type': 'Lowercase'}", "'a\u00e4\u03c3i\u0307': 1", "A\u00c4\u03a3\u0130", "1"},
        {TWO("{'type': 'NFD'}", "{'type': 'StripAccents'}"), "'eu': 1", "\u00e9\u00fc", "1"},
        {"'normalizer': {'type': 'Strip', 'strip_left': true, 'strip_right': false}", "'a ': 1", " a ", "1"},
        {"'normalizer': {'type': 'Strip'}", "'a b': 1", " \ta b\n", "1"},
        {"'normalizer': {'type': 'Strip'}", "'a': 1", "  ", ""},
        {TWO("{'type': 'Prepend', 'prepend': '\u2581'}",
             "{'type': 'Replace', 'pattern': {'String': ' '}, 'content': '\u2581'}"),
         "'\u2581a\u2581b': 1", "a b", "1"},
        {"'normalizer': {'type': 'Prepend', 'prepend': 'x'}", "'x': 1", "", ""},
        {"'normalizer': {'type': 'Replace', 'pattern': {'Regex': '[0-9]+'}, 'content': '#'}", "'a#b#': 1",
         "a12b3", "1"},
        {"'normalizer': {'type': 'BertNormalizer'}", "'eab': 1", "\u00c9A\aB", "1"},
        {"'normalizer': {'type': 'BertNormalizer', 'lowercase': false}", "'\u00c9A': 1", "\u00c9A", "1"},
        {"'normalizer': {'type': 'BertNormalizer', 'lowercase': true, 'strip_accents': false}",
         "'\u00e9a': 1", "\u00c9A", "1"},
        {"'normalizer': {'type': 'BertNormalizer'}" WORDS_OF_BERT, "'a': 1, '\u4e2d': 2, 'b': 3", "a\u4e2db",
         "1 2 3"},
        {"'normalizer': {'type': 'BertNormalizer', 'handle_chinese_chars': false}" WORDS_OF_BERT,
         "'a\u4e2db': 1", "a\u4e2db", "1"},
    };
    HOLD(list);
}

/* --- added tokens ------------------------------------------------------------------------------- */

#define ADDED(token) "'added_tokens': [" token "]"

Test(text_features, added_tokens) {
    static const feature list[] = {
        {ADDED("{'id': 7, 'content': '<x>', 'special': true}"), "'a ': 1, ' b': 2", "a <x> b", "1 7 2"},
        {ADDED("{'id': 7, 'content': '<x>', 'lstrip': true}"), "'a': 1, ' b': 2", "a  <x> b", "1 7 2"},
        {ADDED("{'id': 7, 'content': '<x>', 'rstrip': true}"), "'a ': 1, 'b': 2", "a <x> \tb", "1 7 2"},
        {ADDED("{'id': 7, 'content': 'ab', 'single_word': true}"),
         "'x': 1, '-': 2, 'a': 3, 'b': 4, 'xab': 5, '-x': 6", "xab", "5"},
        {ADDED("{'id': 7, 'content': 'ab', 'single_word': true}"), "'x': 1, '-': 2, '-x': 6", "-ab-x",
         "2 7 6"},
        {ADDED("{'id': 7, 'content': 'ab', 'single_word': true}"), "'ab\u00e9': 1", "ab\u00e9", "1"},
        {ADDED("{'id': 7, 'content': 'ab'}, {'id': 8, 'content': 'abcd'}, {'id': 9, 'content': 'b'}"),
         "'c': 1, 'a': 2", "abcabcdba", "7 1 8 9 2"},
        {ADDED("{'id': 1, 'content': 'a'}"), "'a': 1, 'b': 2", "ab", "1 2"},
        {ADDED("{'id': 7, 'content': 'AB', 'normalized': true}") ", 'normalizer': {'type': 'Lowercase'}",
         "'x': 1", "xaBx", "1 7 1"},
        {ADDED("{'id': 7, 'content': 'AB', 'normalized': false}") ", 'normalizer': {'type': 'Lowercase'}",
         "'x': 1, 'xab': 2", "xaBABx", "2 7 1"},
    };
    HOLD(list);
}

/* --- models ------------------------------------------------------------------------------------- */

static const struct {
    const char *model, *text, *ids;
} models[] = {
    {"'type': 'BPE', 'vocab': {'a': 0, 'b': 1, 'c': 2, 'ab': 3, 'bc': 4, 'abc': 5}, 'merges': ['b c', 'a b', "
     "'a bc']",
     "abc", "5"},
    {"'type': 'BPE', 'vocab': {'a': 0, 'b': 1, 'c': 2, 'ab': 3, 'bc': 4}, 'merges': ['b c', 'a b']", "ababc",
     "3 0 4"},
    {"'vocab': {'a': 0, 'b': 1, 'ab': 3}, 'merges': [['a', 'b']]", "aabb", "0 3 1"},
    {"'type': 'BPE', 'vocab': {'a': 0, 'aa': 1}, 'merges': ['a a']", "aaaaa", "1 1 0"},
    {"'type': 'BPE', 'vocab': {'a': 0, 'aa': 1, 'aaa': 2}, 'merges': ['a a', 'aa a']", "aaaaaaa", "1 1 2"},
    {"'type': 'BPE', 'unk_token': 'u', 'fuse_unk': true, 'vocab': {'a': 0, 'u': 1}, 'merges': []", "xxaxx",
     "1 0 1"},
    {"'type': 'BPE', 'unk_token': 'u', 'fuse_unk': false, 'vocab': {'a': 0, 'u': 1}, 'merges': []", "xxa",
     "1 1 0"},
    {"'type': 'BPE', 'unk_token': 'u', 'byte_fallback': true, 'vocab': {'a': 0, 'u': 1, '<0xC3>': 2, "
     "'<0xA9>': 3}, "
     "'merges': []",
     "\u00e9a\u00e8", "2 3 0 1"},
    {"'type': 'BPE', 'continuing_subword_prefix': '##', 'vocab': {'a': 0, '##b': 1, 'ab': 2}, 'merges': ['a "
     "##b']",
     "abb", "2 1"},
    {"'type': 'BPE', 'end_of_word_suffix': '</w>', 'vocab': {'a': 0, 'b</w>': 1, 'ab</w>': 2, 'b': 3}, "
     "'merges': ['a "
     "b</w>']",
     "abab", "0 3 2"},
    {"'type': 'WordPiece', 'vocab': {'[UNK]': 0, 'un': 1, '##aff': 2, '##able': 3, '##a': 4}", "unaffable",
     "1 2 3"},
    {"'type': 'WordPiece', 'vocab': {'[UNK]': 0, 'un': 1, '##aff': 2, '##able': 3, '##a': 4}", "unaffx", "0"},
    {"'vocab': {'[UNK]': 0, 'un': 1, '##a': 4}, 'max_input_chars_per_word': 3", "unaa", "0"},
    {"'vocab': {'[UNK]': 0, 'un': 1, '##a': 4}, 'max_input_chars_per_word': 4", "unaa", "1 4 4"},
    {"'type': 'WordPiece', 'continuing_subword_prefix': '', 'unk_token': 'U', 'vocab': {'U': 0, '\u00e9': 1}",
     "\u00e9\u00e9", "1 1"},
};

Test(text_features, models) {
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        char json[512];
        omni_tokenizer *t;
        omni_error err = {0};
        snprintf(json, sizeof json, "{'model': {%s}}", models[i].model);
        cr_assert_eq(text_parse(json, &t, &err), OMNI_OK, "%s: %s", json, err.text);
        text_hold(t, models[i].text, NULL, models[i].ids);
        omni_tokenizer_free(t);
    }
}

/* --- what stands around ---------------------------------------------------------------------------- */

#define TEMPLATE                                                                                             \
    "{'type': 'TemplateProcessing', 'single': [{'SpecialToken': {'id': 'S', 'type_id': 0}}, {'Sequence': "   \
    "{'id': 'A', "                                                                                           \
    "'type_id': 0}}], 'pair': [{'Sequence': {'id': 'A', 'type_id': 0}}, {'SpecialToken': {'id': 'S', "       \
    "'type_id': 1}}, "                                                                                       \
    "{'Sequence': {'id': 'B', 'type_id': 1}}], 'special_tokens': {'S': {'id': 'S', 'ids': [8, 9], "          \
    "'tokens': ['x', 'y']}}}"
#define AROUND(type) "{'type': '" type "', 'cls': ['C', 8], 'sep': ['E', 9]}"

Test(text_features, templates) {
    static const struct {
        const char *processor, *single, *pair;
    } list[] = {
        {"null", "1", "1 2"},
        {"{'type': 'ByteLevel', 'trim_offsets': true}", "1", "1 2"},
        {TEMPLATE, "8 9 1", "1 8 9 2"},
        {"{'type': 'Sequence', 'processors': [{'type': 'ByteLevel'}, " TEMPLATE "]}", "8 9 1", "1 8 9 2"},
        {AROUND("BertProcessing"), "8 1 9", "8 1 9 2 9"},
        {AROUND("RobertaProcessing"), "8 1 9", "8 1 9 9 2 9"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        char parts[1024], *json;
        omni_tokenizer *t;
        omni_error err = {0};
        snprintf(parts, sizeof parts, "'post_processor': %s", list[i].processor);
        json = text_words(parts, "'a': 1, 'b': 2");
        cr_assert_eq(text_parse(json, &t, &err), OMNI_OK, "%s: %s", json, err.text);
        text_hold(t, "a", NULL, list[i].single);
        text_hold(t, "a", "b", list[i].pair);
        omni_tokenizer_free(t);
        free(json);
    }
}
