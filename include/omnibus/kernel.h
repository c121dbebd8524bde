/* kernel.h: the math on one PE's memory. Kernels know no ranks, no files, no threads.
 *
 * Float32 activations, row-major, `ld*` in elements between rows. Weights stay in their stored type behind
 * an opaque packed handle. The instruction set is chosen once, by omni_kernel_init: AVX-512, AVX2 or
 * portable C. All functions are re-entrant; one handle may be read by many threads.
 */
#ifndef OMNIBUS_KERNEL_H
#define OMNIBUS_KERNEL_H

#include "omnibus/base.h"

typedef enum omni_isa {
    OMNI_ISA_PORTABLE,
    OMNI_ISA_AVX2,
    OMNI_ISA_AVX512,
    OMNI_ISA_AVX512_BF16 /* AVX-512, and vdpbf16ps for omni_matmul_bf16 */
} omni_isa;

/* Detects the CPU, reads OMNIBUS_ISA (portable, avx2, avx512, avx512bf16; refused when the CPU lacks it),
 * makes BLIS single-threaded with an architecture of our choice whatever BLIS_* says. Call once, from the
 * main thread, before any other kernel and before threads exist; calling again is harmless. Sanitized builds
 * always use the portable kernels and never call BLIS. */
omni_status omni_kernel_init(omni_error *err);
omni_isa omni_kernel_isa(void);
const char *omni_isa_name(omni_isa isa);

/* --- matmul: y[m, out] = x[m, in] W^T --------------------------------------------------------- */

/* Holds no pointer: its omni_packed_bytes may be copied to any other 128-byte aligned place, and used
 * there. */
typedef struct omni_packed omni_packed;

/* Bytes that a packed [out, in] matrix of dtype (F32, BF16) takes, exactly; 0 on overflow. A multiple of
 * 128. */
size_t omni_packed_bytes(size_t out, size_t in, omni_dtype dtype);

/* Lays an (all-zero) handle out in mem, which holds omni_packed_bytes, 128-byte aligned. Nothing is
 * allocated; the handle lives and dies with mem. out or in may be 0. */
omni_packed *omni_packed_init(void *mem, size_t out, size_t in, omni_dtype dtype);

/* Stores the block W[out0 .. out0+nout)[in0 .. in0+nin), element (o, i) at src[o*src_out + i*src_in], in
 * elements of the handle's dtype. src need not be aligned. Threads may put blocks that do not overlap at
 * the same time. */
void omni_packed_put(omni_packed *w, size_t out0, size_t nout, size_t in0, size_t nin, const void *src,
                     size_t src_out, size_t src_in);

/* The inverse, for one place: W[out0 .. out0+nout)[in0 .. in0+nin) row after row into dst. */
void omni_packed_get(const omni_packed *w, size_t out0, size_t nout, size_t in0, size_t nin, void *dst);
/* The weights of a handle, without what stands before, between and behind them: `runs` runs of `bytes` bytes,
 * `stride` apart. Copied to the same place of another handle laid out for the same matrix they make it that
 * matrix. out is a multiple of OMNI_PACKED_PANEL, or less than one: a wide matrix that ends within a panel is
 * kept as two. */
enum { OMNI_PACKED_PANEL = 16 /* outputs */ };
typedef struct omni_packed_runs {
    void *base;
    size_t runs, stride, bytes;
} omni_packed_runs;
omni_packed_runs omni_packed_weights(omni_packed *w);

/* Lays a handle out in mem as omni_packed_init does, but leaves what is there: for memory that receives
 * weights. What was there may pad the last panel: it must be readable, and is used for nothing. */
omni_packed *omni_packed_reuse(void *mem, size_t out, size_t in, omni_dtype dtype);

/* What matrix products are computed in. */
typedef enum omni_compute {
    OMNI_COMPUTE_F32, /* x as it is: omni_matmul */
    OMNI_COMPUTE_BF16 /* x rounded, for BF16 weights: omni_matmul_bf16 */
} omni_compute;

/* Scratch for products of up to m rows with any of the handles with up to `in` inputs; 128-byte aligned. */
size_t omni_matmul_scratch_bytes(omni_compute compute, size_t m, size_t in);

/* y is overwritten. x [m, in] with ldx >= in, y [m, out] with ldy >= out. in = 0 gives zeros. scratch as
 * above, the caller's own (one per thread). x and y may not overlap. On one instruction set, y[r, o] has
 * the same bits whatever m is and whichever other columns the matrix has: a split-out shard computes
 * exactly its columns of the whole. A split along `in` sums in another order. */
typedef void omni_matmul_fn(const omni_packed *w, const float *x, size_t ldx, size_t m, float *y, size_t ldy,
                            void *scratch);
omni_matmul_fn omni_matmul;

/* The same with x rounded to BF16 (to nearest, ties to even) first; w's dtype is BF16. Products and sums are
 * float32: of inputs 2i and 2i + 1 first the odd one's product is added, then the even one's. The promise
 * about m and columns holds, too. Portable, AVX2 and AVX512 give the same bits; AVX512_BF16, where this is
 * fast, takes denormals for zeros and is not sure to. Elsewhere this is slower than omni_matmul. */
omni_matmul_fn omni_matmul_bf16;
omni_matmul_fn *omni_matmul_of(omni_compute compute);
/* Only these outputs, from a multiple of OMNI_PACKED_PANEL on, into the same columns of y: the same bits. */
void omni_matmul_part(omni_compute compute, const omni_packed *w, omni_range out, const float *x, size_t ldx,
                      size_t m, float *y, size_t ldy, void *scratch);

/* c[n, n] = a[n, n] b[n, n], row-major, by BLIS's own sgemm on the calling thread: the yardstick of matrix
 * rates. n = 0 asks whether there is one: false, and nothing computed, in sanitized builds. */
bool omni_blis_sgemm(size_t n, const float *a, const float *b, float *c);

/* --- row-wise ops ----------------------------------------------------------------------------- */

/* y[r, c] += bias[c] */
void omni_bias_add(float *y, size_t ldy, size_t rows, size_t cols, const float *bias);
/* y[r, c] += x[r, c] */
void omni_add(float *y, size_t ldy, const float *x, size_t ldx, size_t rows, size_t cols);
/* y[r, c] = x[r, c]; the ranges may not overlap */
void omni_copy(float *y, size_t ldy, const float *x, size_t ldx, size_t rows, size_t cols);

/* SWIGLU: y[r, c] = silu(x[r, c]) * x[r, cols + c], x [rows, 2*cols]. The others: y[r, c] = f(x[r, c]); GELU
 * and its tanh form GELU_NEW are those of Hendrycks and Gimpel, arXiv:1606.08415. exp, tanh and erf accurate
 * to a few ulp; NaN stays NaN. y may be x (with ldy = ldx). */
void omni_activate(omni_activation kind, float *y, size_t ldy, const float *x, size_t ldx, size_t rows,
                   size_t cols);

/* --- norms ------------------------------------------------------------------------------------ */

/* A norm over `width` features of which this PE may hold `cols`, in three parts, so that it can be computed
 * over sharded features. Statistics of one row:
 *   RMS   1 float in the reduction: sum of squares;                 1 float after it: the same
 *   LAYER 3 floats: count, mean, M2 = sum (x - mean)^2 (Chan et al. 1983); 2 after it: mean, M2 */
size_t omni_norm_stats_floats(omni_norm kind); /* 1 or 3 */
size_t omni_norm_final_floats(omni_norm kind); /* 1 or 2 */
void omni_norm_stats(omni_norm kind, const float *x, size_t ldx, size_t rows, size_t cols, float *stats);
/* stats [rows, 1|3] -> final [rows, 1|2]; may be the same buffer */
void omni_norm_finish(omni_norm kind, const float *stats, size_t rows, float *final);
/* y = (x - mean) / sqrt(var + eps) * weight + bias, over the cols held; weight, bias are those columns'
 * and may be NULL (RMS has no bias). y may be x. */
void omni_norm_apply(omni_norm kind, const float *x, size_t ldx, size_t rows, size_t cols, size_t width,
                     const float *final, double eps, const float *weight, const float *bias, float *y,
                     size_t ldy);
/* All three for whole rows. x and y may be the same. */
void omni_norm_rows(omni_norm kind, const float *x, size_t ldx, size_t rows, size_t width, double eps,
                    const float *weight, const float *bias, float *y, size_t ldy);

/* --- rotary embedding (Su et al., arXiv:2104.09864), half-split form: pairs (i, i + head_dim/2) --- */

/* cos and sin tables [positions, head_dim/2] of the angles position * inverse[i], computed in float64 before
 * rounding. inverse [head_dim/2]: the model's frequencies, radians a position. */
void omni_rope_table(size_t positions, size_t head_dim, const double *inverse, float *cos_table,
                     float *sin_table);
/* Rotates one row of `heads` consecutive heads, in place, for position `position`. */
void omni_rope_row(float *x, size_t heads, size_t head_dim, size_t position, const float *cos_table,
                   const float *sin_table);
/* Rotates a slice of one head in pair order (0, head_dim/2, 1, head_dim/2 + 1, ...): x holds pairs
 * [first, first + pairs). The same bits as above. */
void omni_rope_pairs(float *x, size_t first, size_t pairs, size_t head_dim, size_t position,
                     const float *cos_table, const float *sin_table);

/* --- attention -------------------------------------------------------------------------------- */

/* One sequence, the heads and the keys that one PE holds. Key j stands at position key_first +
 * j*key_stride (stride 1: all positions; stride p: every p-th). Query row i stands at position
 * query_first + i and sees keys at positions <= its own; so with query_first at or beyond the last key's
 * position every row sees all keys (bidirectional). Head a (of `heads` held) uses key-value head
 * kv_of[a] (of those held). */
typedef struct omni_attention {
    const float *q; /* [queries, heads, head_dim], rows ldq apart */
    size_t ldq, queries, query_first;
    size_t heads, head_dim;
    const uint32_t *kv_of; /* [heads] */
    const float *k, *v;    /* [kv heads held, capacity, head_dim] */
    size_t capacity, keys, key_first, key_stride;
    float scale; /* of the scores, q.k: usually 1/sqrt(head_dim) */
    float *out;  /* [queries, heads, head_dim], rows ldo apart */
    size_t ldo;
    float *max, *sum; /* NULL: out is normalised. Else out stays sum_j exp(s_j - max) v_j and max, sum
                         [queries, heads], rows ldms apart, are stored: a log-sum-exp partial. A row that
                         sees no key gives max = -INFINITY, sum = 0, out = 0. */
    size_t ldms;
    float *scratch; /* omni_attention_scratch_floats(keys) floats, the caller's (one per thread) */
} omni_attention;

size_t omni_attention_scratch_floats(size_t keys);
void omni_attention_run(const omni_attention *a);

/* out[r, a, :] /= sum[r, a]: what is left to do after log-sum-exp partials were merged. A row laid out as
 * [heads*head_dim out | heads max | heads sum]; y [rows, heads*head_dim], may be x with ldy <= ldx.
 * sum = 0 (no key seen anywhere) gives 0. */
void omni_attention_finish(const float *x, size_t ldx, size_t rows, size_t heads, size_t head_dim, float *y,
                           size_t ldy);

/* Attention in two halves, for a PE that holds some dims of one head: its scores are addends of the whole
 * ones, to be summed over the PEs of the head before the softmax. The same keys and queries as above, key j
 * at position j. */
typedef struct omni_scores {
    float *scores; /* packed: of query 0 those of the keys that it sees, then of query 1, ... */
    size_t queries, query_first, keys;
    size_t dims; /* held; 0: addends are 0, and there is nothing to weigh */
    float scale;
} omni_scores;

size_t omni_scores_count(const omni_scores *s); /* floats */
/* scores = scale * q.k over the dims held; q [queries, dims], rows ldq apart, k [keys, dims] */
void omni_scores_partial(const omni_scores *s, const float *q, size_t ldq, const float *k);
/* out = softmax(scores) v; v [keys, dims], out [queries, dims], rows ldo apart. The scores are spoilt. */
void omni_scores_weigh(const omni_scores *s, const float *v, float *out, size_t ldo);

/* --- arg-max, and combine operators ----------------------------------------------------------- */

typedef struct omni_best {
    float value;
    uint32_t index; /* UINT32_MAX: none yet */
} omni_best;

/* Largest of x[0..n), the lower index on a tie, offset added to it; n = 0 gives {-INFINITY, UINT32_MAX}.
 * NaN never wins. */
omni_best omni_argmax(const float *x, size_t n, size_t offset);

/* acc = acc (+) in, for buffers of `bytes` bytes; `arg` is the operator's own. Identities never make NaN.
 * omni_combine_lse: rows of [heads*head_dim | heads max | heads sum] floats; arg points to omni_lse_shape. */
typedef void omni_combine_fn(void *acc, const void *in, size_t bytes, const void *arg);
typedef struct omni_lse_shape {
    size_t heads, head_dim;
} omni_lse_shape;
omni_combine_fn omni_combine_sum;     /* float32 */
omni_combine_fn omni_combine_argmax;  /* omni_best */
omni_combine_fn omni_combine_moments; /* (count, mean, M2) */
omni_combine_fn omni_combine_lse;

#endif
