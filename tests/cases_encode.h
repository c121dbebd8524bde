/* cases_encode.h: what the cases of encoders share: samples, what an encode makes of them, golden values.
 * Defined in cases_encode_sample.c, used by cases_encode.c and cases_encode_passes.c.
 *
 *   sample (sequences, types, marks) --encode under a plan on n PEs--> record (states, pooled, logits,
 *   tokens)
 */
#ifndef OMNIBUS_TEST_CASES_ENCODE_H
#define OMNIBUS_TEST_CASES_ENCODE_H

#include "cases_flow.h"

/* --- samples ---------------------------------------------------------------------------------- */

enum { MOST_SEQUENCES = 512, MOST_TOKENS = 1024 };

typedef struct sample {
    size_t sequences, tokens, marks;
    size_t counts[MOST_SEQUENCES], mark[MOST_TOKENS];
    int32_t ids[MOST_TOKENS], types[MOST_TOKENS];
} sample;

/* Sequence s of `from`, with its marks. */
void sample_take(const sample *from, size_t s, sample *one);
/* Every `step`-th token; 0: none. */
void sample_mark(sample *x, size_t step);
/* A sequence of arbitrary ids, its types ascending. */
void sample_add(sample *x, size_t tokens, size_t vocab, size_t types);

/* --- encodes ---------------------------------------------------------------------------------- */

/* state [layers+1][tokens, hidden], pooled [sequences, hidden], logits [marks, vocab], in one block at
 * `state`. */
typedef struct record {
    float *state, *pooled, *logits;
    size_t floats;
    int32_t predicted[MOST_TOKENS];
    omni_counters moved;
} record;

bool record_alloc(record *r, const omni_shape *s, const sample *x);
bool record_same_bits(const record *a, const record *b);
omni_encode encode_of(const sample *x, record *r);

/* As flow_open, without a truth, with the heads that the weights have; or random weights for these heads. */
const char *encode_open(flow *f, const char *dir);
const char *encode_open_random(flow *f, const char *config, unsigned heads, uint64_t seed);

/* An engine of the flow's plan that has room for x; a pass of it, recorded; both, with the plan and an engine
 * of its own, on at most so many workers. The last one's record is the caller's to free (r->state), if it is
 * good. */
const char *encode_start(flow *f, const sample *x, size_t workers, const char *fabric, omni_engine **e);
const char *encode_pass(flow *f, omni_engine *e, const sample *x, record *r);
const char *encode(flow *f, const char *plan, size_t pes, size_t workers, const sample *x, record *r);

/* Checkpoints with golden values: without and with an MLM head. */
#define TINY "tests/golden/bert-tiny"
#define DEMO "configs/demo/bert"

/* Parts and cycles that the five plans don't have. */
#define ODD_PLANS                                                                                            \
    "qkv=in:attn=tokens:o=out:ffn=in+in:edge=scatter,qkv=out:attn=heads:o=out:ffn=out+out:gather=bus,"       \
    "workflow1:gather=bus,workflow2:edge=scatter,alternate:gather=bus:edge=scatter,attn=tokens/o=out,"       \
    "qkv=in:o=out:ffn=in+out/megatron"
enum { ODD_THIN = THIN > 5 ? 3 : 1 }; /* of them and of other lists, every so many */

/* --- golden values ---------------------------------------------------------------------------- */

/* Sequences are padded to the longest. */
typedef struct golden {
    size_t longest;
    double *hidden, *pooled; /* [layers+1][sequences][longest, hidden], [sequences, hidden] */
    double *logits;          /* [sequences, vocab] of a marked token each; NULL: none */
} golden;

const char *golden_read(const char *dir, golden *g, sample *x);
void golden_free(golden *g);
const char *golden_compare(const omni_shape *s, const golden *g, const sample *x, const record *r);

/* The token of each mark is the arg-max of its logits. */
const char *predictions_are_the_largest(const omni_shape *s, const sample *x, const record *r);

/* Each number within 1e-5 of the largest, each row within 1e-5 of its length. */
const char *close_to(const char *what, const float *x, const double *ref, size_t rows, size_t width);

#endif
