/* room.h: what the files of src/kernel share: the packed layout, its block sizes, and the table of
 * functions that exist once per instruction set.
 *
 *     isa.c         chooses one kernel_ops, once          ops_portable.c  ops_avx2.c  ops_avx512.c
 *     matmul.c      blocks and edges            --uses-->   each: a dozen one-line vector operations, then
 *     attention.c   heads, visible keys         --uses-->   the same bodies (matmul_lanes.h,
 *     activation.c  rows                        --uses-->   matmul_pairs.h, attention_lanes.h,
 *                                                           activation_lanes.h)
 *     ops_avx512bf16.c puts vdpbf16ps in the place of matmul_pairs.h's two multiply-adds
 *     matmul_blis.c puts BLIS's micro-kernel in the place of our own tile where it fits
 *     sgemm_blis.c  BLIS's own product, a yardstick
 */
#ifndef KERNEL_ROOM_H
#define KERNEL_ROOM_H

#include <string.h>

#include "omnibus/kernel.h"

/* The sanitizers see into neither BLIS nor intrinsics. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KERNEL_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KERNEL_SANITIZED 1
#endif
#endif
#ifndef KERNEL_SANITIZED
#define KERNEL_SANITIZED 0
#endif

/* Output columns of one panel: the NR of BLIS's float32 micro-kernel for AVX2 and one AVX-512 register. */
#define KERNEL_NR 16
/* Products are summed over k in blocks of KC (one float32 panel block, 16 KiB, stays in L1), in order within
 * a block; then block sums are added in order. Every path of every instruction set keeps this order. */
#define KERNEL_KC 256
/* Rows of x packed at a time: MC x KC floats = 144 KiB stay in L2. A multiple of every MR. */
#define KERNEL_MC 144
/* Up to here rows of x are used where they lie; beyond, they are packed and go through tiles. */
#define KERNEL_SMALL_M 32
/* How far ahead of what it reads a loop asks for memory, in bytes of each stream. */
#define KERNEL_AHEAD 1024
/* Score rows that attention works on at the same time, the keys whose values it sums before adding up, and
 * the floats between a key and what is asked for meanwhile. */
#define KERNEL_QUERY_ROWS 8
#define KERNEL_KEY_BLOCK  32
#define KERNEL_KEYS_AHEAD 1024

/* The handle stands in front of its panels: [panel][k][KERNEL_NR] elements. It holds no pointer, so its bytes
 * may be copied to any other aligned place. */
struct omni_packed {
    size_t out, in;
    size_t panel_bytes; /* in * KERNEL_NR * bytes of an element */
    omni_dtype dtype;
};
#define KERNEL_HANDLE_BYTES OMNI_CACHE_LINE
/* BLIS's micro-kernel loads the row after a panel's last before it finds that it is done. */
#define KERNEL_TAIL_BYTES OMNI_CACHE_LINE

/* Some of a handle's panels, as products take them. */
typedef struct kernel_panels {
    const unsigned char *at;
    size_t out, in; /* outputs of these panels */
    size_t panel_bytes;
    omni_dtype dtype;
} kernel_panels;

/* Outputs from a multiple of KERNEL_NR on. */
static inline kernel_panels kernel_panels_of(const omni_packed *w, omni_range out) {
    const unsigned char *first = (const unsigned char *)w + KERNEL_HANDLE_BYTES;
    return (kernel_panels){first + out.start / KERNEL_NR * w->panel_bytes, out.count, w->in, w->panel_bytes,
                           w->dtype};
}

typedef void kernel_pairs_fn(const kernel_panels *w, const float *x, size_t ldx, size_t m, float *y,
                             size_t ldy, void *scratch);

typedef struct kernel_ops {
    struct {
        size_t mr; /* rows of a tile, and of a packed panel of x */
        /* m <= KERNEL_SMALL_M rows times all panels; in > 0 */
        void (*rows)(const kernel_panels *w, const float *x, size_t ldx, size_t m, float *y, size_t ldy);
        /* y[rows, NR] (+)= a[k][mr] b[k][NR], rows <= mr; all NR columns of y are written */
        void (*tile)(size_t rows, size_t k, const float *a, const float *b, float *y, size_t ldy, bool add);
        /* n BF16 values, a multiple of KERNEL_NR */
        void (*widen)(const uint16_t *from, float *to, size_t n);
        kernel_pairs_fn *pairs; /* omni_matmul_bf16; in > 0 */
    } matmul;
    struct {
        /* s[r][j] = scale * q[r] . k[j], r < rows (1, 2 or 4), j < keys; q[r], k[j] are [head_dim]. The keys
         * are at k[0] for all rows, or, if apart, at k[r] for row r. */
        void (*scores)(size_t rows, bool apart, const float *const *q, const float *const *k, size_t keys,
                       size_t head_dim, float scale, float *const *s);
        /* s[j] = exp(s[j] - max); returns their sum. n > 0 */
        float (*softmax)(float *s, size_t n, float *max);
        /* out[r][d] += sum_j p[r][j] v[j][d], rows 1, 2 or 4; values as keys */
        void (*weigh)(size_t rows, bool apart, float *const *p, const float *const *v, size_t keys,
                      size_t head_dim, float *const *out);
    } attention;
    struct {
        void (*swiglu)(float *y, const float *gate, const float *up, size_t n);
        void (*one[OMNI_ACTIVATIONS])(float *y, const float *x, size_t n); /* all but SWIGLU */
    } activation;
} kernel_ops;

const kernel_ops *kernel_chosen(void);

extern const kernel_ops kernel_ops_portable;
#if defined(__x86_64__)
extern const kernel_ops kernel_ops_avx2;
extern const kernel_ops kernel_ops_avx512;
kernel_pairs_fn kernel_pairs_avx512bf16;
#endif

/* Makes BLIS ready for one thread and, if its micro-kernel has our shape and our order of summation (it is
 * asked to prove that), puts it in the place of ops' own tile. ops is AVX2's. */
void kernel_blis_adopt(kernel_ops *ops);

/* Four floats that need no alignment: what every CPU of interest adds in one instruction. */
typedef float kernel_f4 __attribute__((vector_size(16)));

static inline kernel_f4 kernel_f4_load(const float *p) {
    kernel_f4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void kernel_f4_store(float *p, kernel_f4 v) {
    memcpy(p, &v, sizeof v);
}

#endif
