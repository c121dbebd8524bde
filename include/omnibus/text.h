/* text.h: text in, text out: the tokenizer of a checkpoint, text that comes token by token, and the choice of a token
 * from logits.
 *
 *   text -> added tokens -> normalizer -> added tokens -> pre-tokenizer -> BPE or WordPiece -> template -> ids
 *   ids  -> tokens -> decoder -> text
 *
 * As Hugging Face's tokenizer.json describes it; the older files (vocab.json with merges.txt, vocab.txt) are read as the
 * tokenizer.json that they stand for. Text is UTF-8. What a file asks for and this room does not do is refused by
 * name; `truncation` and `padding` of a file are not done on purpose: a prompt is used as it is or refused.
 *
 * One thread at a time for each tokenizer (its regular expressions have scratch memory).
 */
#ifndef OMNIBUS_TEXT_H
#define OMNIBUS_TEXT_H

#include "omnibus/base.h"

/* --- tokenizer -------------------------------------------------------------------------------- */

typedef struct omni_tokenizer omni_tokenizer;

/* Of a checkpoint directory: tokenizer.json, else vocab.json with merges.txt, else vocab.txt. */
omni_status omni_tokenizer_open(const char *dir, omni_tokenizer **out, omni_error *err);
/* From the text of a tokenizer.json; `source` names it in errors. */
omni_status omni_tokenizer_parse(const char *json, size_t bytes, const char *source, omni_tokenizer **out,
                                 omni_error *err);
void omni_tokenizer_free(omni_tokenizer *t);

const char *omni_tokenizer_source(const omni_tokenizer *t);              /* the file it was read from */
int32_t omni_tokenizer_find(const omni_tokenizer *t, const char *token); /* its id, -1: none */
const char *omni_tokenizer_token(const omni_tokenizer *t, int32_t id);   /* NULL: none. Owned by t */

typedef struct omni_encoding {
    int32_t *ids, *types; /* [count] types: 0 and 1, the segments of a pair. Free with omni_encoding_free. */
    size_t count;
} omni_encoding;
/* pair: a second text, NULL for none. With special tokens as the file's template has them. OMNI_BAD_INPUT when a text
 * is not UTF-8 or has a word that the vocabulary cannot say; then `out` is empty,
 * and the error says what is wrong with the text, not where it is from. */
omni_status omni_tokenizer_encode(const omni_tokenizer *t, const char *text, size_t bytes, const char *pair,
                                  size_t pair_bytes, omni_encoding *out, omni_error *err);
void omni_encoding_free(omni_encoding *e);

/* *text: NUL-terminated, free with free(). Ids without a token are skipped, and with `plain` special tokens, too.
 * Bytes that are not UTF-8 become U+FFFD. */
omni_status omni_tokenizer_decode(const omni_tokenizer *t, const int32_t *ids, size_t count, bool plain,
                                  char **text, size_t *bytes, omni_error *err);

/* --- text token by token ---------------------------------------------------------------------- */

/* The text behind a prompt as its tokens come. What comes out, one after the other, is what decoding the prompt with
 * all of them gives behind the prompt's own text; an unfinished character is held back until it is whole, a NUL
 * comes as a blank. */
typedef struct omni_stream omni_stream;
/* NULL: no memory. ids: the prompt, copied. t outlives it. */
omni_stream *omni_stream_create(const omni_tokenizer *t, const int32_t *ids, size_t count);
void omni_stream_free(omni_stream *s);
/* *piece: what can be shown now, NUL-terminated, perhaps empty; owned by s, until the next call. */
omni_status omni_stream_push(omni_stream *s, int32_t id, const char **piece, omni_error *err);
/* What was held back, unfinished as it is. */
omni_status omni_stream_end(omni_stream *s, const char **piece, omni_error *err);

/* --- sampling --------------------------------------------------------------------------------- */

typedef struct omni_sampling {
    double temperature; /* logits are divided by it; > 0 */
    size_t top_k;       /* only the k most likely; 0: all */
    double top_p;       /* of these the fewest whose probabilities reach p in sum; 1: all */
    uint64_t seed;
} omni_sampling;

typedef struct omni_sampler omni_sampler;
omni_sampler *omni_sampler_create(const omni_sampling *how, size_t vocab); /* NULL: no memory */
void omni_sampler_free(omni_sampler *s);
/* The token of a sequence's step from its logits [vocab]. A function of these, the seed, and the two numbers alone:
 * nothing is carried from draw to draw. -1: no logit is finite. */
int32_t omni_sampler_draw(omni_sampler *s, const float *logits, size_t sequence, size_t step);

/* The `most` likeliest, likeliest first, with their probabilities; equal ones by id. Returns how many. */
typedef struct omni_likely {
    int32_t id;
    double probability;
} omni_likely;
size_t omni_top(const float *logits, size_t vocab, size_t most, omni_likely *out);

#endif
