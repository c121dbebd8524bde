/* internal.h: what the files of the room share.
 *
 * Everything that a tokenizer does to text is a list of pieces made into another list of pieces:
 *
 *   "Hi <s>you"   -added->  "Hi " [<s>] "you"  -normalize->  "hi " [<s>] "you"  -split->  "hi" " " [<s>] "you"
 *
 * A piece is text, or a token that stands already. Each step reads one list and writes the other, so all cost is
 * linear in the text, and nothing is changed in place. The steps of a file are stages of a chain; what a stage is
 * comes from a table by its name in the file.
 *
 * Memory failures are remembered by the list (as omni_text does), and asked for once at the end.
 */
#ifndef OMNIBUS_TEXT_INTERNAL_H
#define OMNIBUS_TEXT_INTERNAL_H

#include <jansson.h>
#include <stdarg.h>

#include "omnibus/text.h"

enum {
    TEXT_MOST_BYTES = 1 << 28, /* of one list of pieces: places are 32 bit */
    TEXT_MOST_IDS = 1 << 22,   /* ids of a vocabulary: they index an array */
    TEXT_MOST_STAGES = 64
};

/* --- bytes.c: what grows ---------------------------------------------------------------------- */

typedef struct text_view {
    const char *data;
    size_t bytes;
} text_view;

typedef struct text_bytes {
    char *data; /* NUL at `length`; NULL before the first addition */
    size_t length, capacity;
    bool failed;
} text_bytes;
void text_bytes_add(text_bytes *b, const char *data, size_t bytes);
void text_bytes_code(text_bytes *b, uint32_t code); /* as UTF-8 */
void text_bytes_free(text_bytes *b);

typedef struct text_piece {
    uint32_t start, bytes;
    int32_t id; /* >= 0: this token, whatever its text */
    bool first; /* begins where the whole text does */
} text_piece;

typedef struct text_pieces {
    text_bytes text;
    text_piece *piece; /* [count] */
    size_t count, capacity;
} text_pieces;
void text_pieces_add(text_pieces *p, text_view text, int32_t id, bool first);
/* A piece of all that was added to p->text since `start`. */
void text_pieces_close(text_pieces *p, size_t start, bool first);
void text_pieces_clear(text_pieces *p);
void text_pieces_free(text_pieces *p);
text_view text_pieces_at(const text_pieces *p, size_t i);

typedef struct text_ids {
    int32_t *id;
    size_t count, capacity;
    bool failed;
} text_ids;
void text_ids_add(text_ids *ids, int32_t id);

/* Room for `count` of `bytes` each in *array, at least doubled when it grows. */
bool text_reserve(void *array, size_t *capacity, size_t count, size_t bytes);

/* --- source.c: the file that is read, and its first error ---------------------------------------- */

typedef struct text_source {
    const char *path; /* "": the caller says where it is from */
    omni_status status;
    omni_error *err;
} text_source;
void text_wrong(text_source *src, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_no_memory(text_source *src);
/* Fields of an object. Missing or null: `otherwise`. Of another type: an error. */
bool text_flag(text_source *src, const json_t *object, const char *key, bool otherwise);
size_t text_number(text_source *src, const json_t *object, const char *key, size_t otherwise);
const char *text_string(text_source *src, const json_t *object, const char *key, const char *otherwise);
char *text_copy(text_source *src, const char *string); /* free with free() */
const char *text_type(const json_t *object);           /* its "type", "" without one */

/* --- unicode.c -------------------------------------------------------------------------------- */

bool text_valid(text_view t, size_t *bad); /* *bad: the first byte that is not UTF-8 */
/* How many bytes behind that place are one beginning of a character that does not go on; at least 1. */
size_t text_broken(text_view t, size_t bad);
uint32_t text_next(text_view t, size_t *at); /* the character at *at of valid text, *at moves behind it */
bool text_is_space(uint32_t c);              /* White_Space */
bool text_is_punctuation(uint32_t c);        /* P*, and all of ASCII's */
bool text_is_numeric(uint32_t c);            /* N* */
bool text_is_mark(uint32_t c);               /* M* */
bool text_is_nonspacing(uint32_t c);         /* Mn */
bool text_is_other(uint32_t c);              /* Cc, Cf, Co; not what is unassigned */
void text_lower(text_bytes *out, uint32_t c);
typedef enum text_form { TEXT_NFC, TEXT_NFD, TEXT_NFKC, TEXT_NFKD } text_form;
void text_normal_form(text_form form, text_view in, text_bytes *out, text_source *src);
/* GPT-2's: every byte as a printable character. 256 codes; the inverse is -1 for other characters. */
uint32_t text_byte_code(unsigned char byte);
int text_code_byte(uint32_t code);

/* --- regex.c: the only place that includes pcre2.h --------------------------------------------- */

typedef struct text_regex text_regex;
text_regex *text_regex_compile(const char *pattern, bool literal, text_source *src); /* NULL: src has why */
void text_regex_free(text_regex *r);
/* The pattern of {"String": ...}, {"Regex": ...}. */
text_regex *text_regex_of(const json_t *pattern, text_source *src);
typedef struct text_search {
    text_view in;
    size_t from, last; /* last: end of the match before, SIZE_MAX at the beginning */
} text_search;
/* The next match [start, end). False: no more, or an error. */
bool text_regex_next(const text_regex *r, text_search *s, size_t *start, size_t *end, text_source *src);

/* --- chain.c: stages of a file ------------------------------------------------------------------ */

typedef enum text_behavior {
    TEXT_REMOVED,
    TEXT_ISOLATED,
    TEXT_MERGED_WITH_PREVIOUS,
    TEXT_MERGED_WITH_NEXT,
    TEXT_CONTIGUOUS
} text_behavior;

typedef struct text_stage text_stage;

/* One of three hooks: of each piece of text that is not empty; of each token; of the whole list. */
typedef struct text_kind {
    const char *name;
    void (*parse)(text_stage *s, const json_t *spec, text_source *src); /* NULL: nothing to say */
    void (*piece)(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src);
    void (*token)(const text_stage *s, text_view in, size_t i, size_t count, text_pieces *out);
    void (*list)(const text_stage *s, const text_pieces *in, text_pieces *out);
} text_kind;

struct text_stage {
    const text_kind *kind;
    char *string, *with; /* what it looks for; what it puts in place */
    text_regex *regex;
    text_behavior behavior;
    text_form form;
    bool flag[4];
    size_t start, stop;
};

typedef struct text_chain {
    text_stage *stage; /* [count] */
    size_t count;
} text_chain;

/* A room of tokenizer.json that holds stages: "normalizer", its kinds, and where a Sequence has its parts. */
typedef struct text_section {
    const char *name, *parts;
    const text_kind *kinds;
    size_t count;
} text_section;
extern const text_section text_normalizers, text_pretokenizers, text_decoders;

void text_chain_parse(const text_section *of, const json_t *spec, text_chain *out, text_source *src);
void text_chain_free(text_chain *c);
/* From *p through all stages; the result is in *p again. */
void text_chain_run(const text_chain *c, text_pieces *p, text_source *src);

/* --- split.c: parts of a text by their matches --------------------------------------------------- */

typedef struct text_span {
    uint32_t start, end;
    bool match;
} text_span;
typedef struct text_spans {
    text_span *span;
    size_t count, capacity;
    bool failed;
} text_spans;
void text_spans_add(text_spans *s, size_t start, size_t end, bool match);
void text_spans_regex(const text_regex *r, text_view in, text_spans *out, text_source *src);
void text_spans_chars(bool (*is)(uint32_t), text_view in, text_spans *out);
/* Pieces as the behaviour says; frees the spans. */
void text_spans_split(text_spans *s, text_behavior how, text_view in, bool first, text_pieces *out,
                      text_source *src);
/* The stage "Replace", which normalizers and decoders have: its content in place of each match. */
void text_open_replace(text_stage *s, const json_t *spec, text_source *src);
void text_replace(const text_stage *s, text_view in, bool first, text_pieces *out, text_source *src);

/* --- vocab.c: tokens by text and by id, those of the model and those that were added ------------------ */

typedef struct text_added {
    char *content;
    size_t bytes;
    int32_t id;
    bool special, single_word, lstrip, rstrip, normalized;
} text_added;

typedef struct text_vocab {
    json_t *model;        /* {"token": id} */
    const char **token;   /* [size] by id; NULL: none */
    bool *special;        /* [size] */
    size_t size, longest; /* ids; bytes of the longest token of the model */
    text_added *added;    /* [added_count] as in the file */
    size_t added_count;
} text_vocab;
void text_vocab_parse(text_vocab *v, json_t *tokens, const json_t *added, text_source *src);
void text_vocab_free(text_vocab *v);
int32_t text_vocab_find(const text_vocab *v, text_view token); /* of the model; -1: none */

/* --- added.c: added tokens found in text --------------------------------------------------------- */

/* Those that are looked for before normalizing, and those behind it; their contents sorted. */
typedef struct text_finder {
    const text_added **token; /* [count] */
    text_view *content;       /* [count] ascending, as memcmp; a NUL behind each */
    size_t count;
    text_bytes store;
    text_regex *word; /* matches a character of a word */
} text_finder;
void text_finder_create(text_finder *f, const text_vocab *v, bool normalized, const text_chain *normalizer,
                        text_source *src);
void text_finder_free(text_finder *f);
void text_finder_run(const text_finder *f, text_pieces *p, text_source *src);

/* --- model.c, bpe.c, wordpiece.c: a piece as ids ----------------------------------------------------------- */

typedef struct text_merge {
    uint64_t pair; /* left id << 32 | right id */
    uint32_t rank; /* UINT32_MAX: the slot is free */
    int32_t id;    /* of what they make */
} text_merge;

/* A pair of neighbours that can be merged, by rank and then from the left: rank << 32 | place. */
typedef struct text_heap {
    uint64_t *key;
    size_t count, capacity;
} text_heap;
typedef struct text_symbol {
    int32_t id; /* -1: merged into the one before */
    int32_t previous, next;
} text_symbol;

typedef struct text_model {
    bool wordpiece;
    char *unknown, *prefix, *suffix; /* unknown: NULL without one */
    int32_t unknown_id;
    bool fuse_unknown, byte_fallback, ignore_merges;
    size_t most_chars; /* WordPiece: longer words are unknown */
    text_merge *merge; /* [merge_mask + 1] by hash */
    size_t merge_mask;
    int32_t byte[256]; /* "<0x41>" ...; -1: none */
} text_model;

/* Memory that the pieces of one text use one after the other. */
typedef struct text_scratch {
    text_symbol *symbol;
    size_t symbols, capacity;
    text_heap heap;
    text_bytes word;
} text_scratch;
void text_scratch_free(text_scratch *s);

void text_model_kind(text_model *m, const json_t *spec, text_source *src); /* before the vocabulary is read */
void text_model_parse(text_model *m, const json_t *spec, const text_vocab *v, text_source *src);
void text_model_free(text_model *m);
const text_merge *text_merge_find(const text_model *m, int32_t left,
                                  int32_t right); /* NULL: they are not merged */
void text_bpe(const text_model *m, const text_vocab *v, text_view word, text_scratch *scratch, text_ids *out,
              text_source *src);
void text_wordpiece(const text_model *m, const text_vocab *v, text_view word, text_scratch *scratch,
                    text_ids *out, text_source *src);

/* --- template.c: what stands around one text, and around a pair ------------------------------------- */

enum { TEXT_A = -1, TEXT_B = -2 };
typedef struct text_item {
    int32_t id; /* or TEXT_A, TEXT_B */
    int32_t type;
} text_item;
typedef struct text_template {
    text_item *single, *pair;
    size_t singles, pairs;
} text_template;
void text_template_parse(text_template *t, const json_t *spec, text_source *src);
void text_template_free(text_template *t);

/* --- legacy.c ----------------------------------------------------------------------------------- */

/* The tokenizer.json that the older files of a directory stand for; *path: the file that it is named after, free with
 * free(). NULL: src has why. */
json_t *text_legacy(const char *dir, char **path, text_source *src);
/* A file of the directory as JSON. NULL without an error: it is not there. */
json_t *text_read_json(const char *dir, const char *name, text_source *src);
bool text_there(const char *dir, const char *name);

#endif
