/* matmul.c: y[m, out] = x[m, in] W^T over packed panels.
 *
 *     W^T, cut into panels of NR = 16 output columns, k-major:
 *
 *     panel 0  k=0  |o0  ... o15|      one row of a panel is what 16 outputs need of input k, in the
 *              k=1  |o0  ... o15|      stored type; columns beyond `out` are zeros
 *     panel 1  k=0  |o16 ... o31|
 *
 * Few rows (m <= 32: decode) stream the panels once, x where it lies: bound by memory while m is small. More
 * rows: blocks of x, MC x KC, are packed into panels of MR rows and stay in L2, a panel's block of KC stays
 * in L1, and a tile MR x NR (BLIS's micro-kernel or our own) runs over both. BF16 blocks are widened into
 * scratch on the way.
 *
 * Both ways sum in the order of kernel/room.h. So an output element has the same bits whatever m is and
 * whichever other columns the matrix has: a split-out shard computes exactly the columns of the whole.
 */
#include "kernel/room.h"

static size_t at_most(size_t n, size_t limit) {
    return n < limit ? n : limit;
}

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

/* F32: one widened block of a panel, then packed rows of x (so that one row may be read beyond the block).
 * Sized for the widest MR (12), so that the answer does not depend on the instruction set.
 * BF16: the pairs of few rows, packed whole, or of many, block by block. */
size_t omni_matmul_scratch_bytes(omni_compute compute, size_t m, size_t in) {
    size_t k = at_most(in, KERNEL_KC), rows = round_up(at_most(m, KERNEL_MC), 12), even = round_up(in, 2);
    if (compute == OMNI_COMPUTE_F32)
        return omni_round_up((rows + KERNEL_NR) * k * sizeof(float), OMNI_CACHE_LINE);
    size_t few = at_most(m, KERNEL_SMALL_M) * even, many = at_most(m, KERNEL_MC) * at_most(even, KERNEL_KC);
    return omni_round_up((few > many ? few : many) * sizeof(uint16_t), OMNI_CACHE_LINE);
}

/* x[rows, k] -> a[ceil(rows / mr)][k][mr], missing rows zero */
static void pack_rows(const float *x, size_t ldx, size_t rows, size_t k, size_t mr, float *a) {
    for (size_t r0 = 0; r0 < rows; r0 += mr, a += k * mr) {
        size_t have = at_most(rows - r0, mr);
        if (have < mr) memset(a, 0, k * mr * sizeof *a);
        for (size_t r = 0; r < have; r++) {
            const float *from = x + (r0 + r) * ldx;
            for (size_t i = 0; i < k; i++) a[i * mr + r] = from[i];
        }
    }
}

typedef struct block_job {
    const kernel_ops *ops;
    const float *a; /* packed rows of x */
    size_t rows, k;
    float *y; /* [rows, out] */
    size_t ldy;
    bool add;
} block_job;

/* Asks for part `index` of `parts` of the block that comes after this one, so that memory works while tiles
 * compute. A hint: beyond the last panel it points nowhere and does nothing. */
static inline void prefetch_part(const unsigned char *next, size_t bytes, size_t parts, size_t index) {
    for (size_t at = bytes * index / parts; at < bytes * (index + 1) / parts; at += 64)
        __builtin_prefetch(next + at, 0, 2);
}

/* All rows of the block by one panel block b[k][NR], of which `cols` columns exist. */
static void block_panel(const block_job *job, const float *b, size_t panel, size_t cols,
                        const unsigned char *next, size_t next_bytes) {
    const size_t mr = job->ops->matmul.mr, tiles = (job->rows + mr - 1) / mr;
    float edge[12 * KERNEL_NR] = {0};
    for (size_t r = 0; r < job->rows; r += mr) {
        size_t rows = at_most(job->rows - r, mr);
        prefetch_part(next, next_bytes, tiles, r / mr);
        const float *a = job->a + r * job->k;
        float *y = job->y + r * job->ldy + panel * KERNEL_NR;
        if (cols == KERNEL_NR) {
            job->ops->matmul.tile(rows, job->k, a, b, y, job->ldy, job->add);
            continue;
        }
        if (job->add) omni_copy(edge, KERNEL_NR, y, job->ldy, rows, cols);
        job->ops->matmul.tile(rows, job->k, a, b, edge, KERNEL_NR, job->add);
        omni_copy(y, job->ldy, edge, KERNEL_NR, rows, cols);
    }
}

static void matmul_blocks(const kernel_ops *ops, const kernel_panels *w, const float *x, size_t ldx, size_t m,
                          float *y, size_t ldy, float *scratch) {
    const size_t element = omni_dtype_bytes(w->dtype);
    float *wide = scratch, *a = scratch + KERNEL_NR * at_most(w->in, KERNEL_KC);
    for (size_t r = 0; r < m; r += KERNEL_MC) {
        for (size_t k0 = 0; k0 < w->in; k0 += KERNEL_KC) {
            block_job job = {
                ops, a, at_most(m - r, KERNEL_MC), at_most(w->in - k0, KERNEL_KC), y + r * ldy, ldy, k0 > 0};
            pack_rows(x + r * ldx + k0, ldx, job.rows, job.k, ops->matmul.mr, a);
            for (size_t p = 0; p * KERNEL_NR < w->out; p++) {
                const unsigned char *b = w->at + p * w->panel_bytes + k0 * KERNEL_NR * element;
                if (w->dtype == OMNI_BF16) ops->matmul.widen((const void *)b, wide, job.k * KERNEL_NR);
                block_panel(&job, w->dtype == OMNI_BF16 ? wide : (const float *)(const void *)b, p,
                            at_most(w->out - p * KERNEL_NR, KERNEL_NR), b + w->panel_bytes,
                            job.k * KERNEL_NR * element);
            }
        }
    }
}

static void zero_rows(float *y, size_t ldy, size_t m, size_t out) {
    for (size_t r = 0; r < m; r++) memset(y + r * ldy, 0, out * sizeof *y);
}

static void multiply(const kernel_panels *w, const float *x, size_t ldx, size_t m, float *y, size_t ldy,
                     void *scratch) {
    const kernel_ops *ops = kernel_chosen();
    if (m == 0 || w->out == 0) return;
    if (w->in == 0) {
        zero_rows(y, ldy, m, w->out);
    } else if (m <= KERNEL_SMALL_M) {
        ops->matmul.rows(w, x, ldx, m, y, ldy);
    } else {
        matmul_blocks(ops, w, x, ldx, m, y, ldy, scratch);
    }
}

static void multiply_bf16(const kernel_panels *w, const float *x, size_t ldx, size_t m, float *y, size_t ldy,
                          void *scratch) {
    if (m == 0 || w->out == 0) return;
    if (w->in == 0)
        zero_rows(y, ldy, m, w->out);
    else
        kernel_chosen()->matmul.pairs(w, x, ldx, m, y, ldy, scratch);
}

void omni_matmul(const omni_packed *w, const float *x, size_t ldx, size_t m, float *y, size_t ldy,
                 void *scratch) {
    omni_matmul_part(OMNI_COMPUTE_F32, w, (omni_range){0, w->out}, x, ldx, m, y, ldy, scratch);
}

void omni_matmul_bf16(const omni_packed *w, const float *x, size_t ldx, size_t m, float *y, size_t ldy,
                      void *scratch) {
    omni_matmul_part(OMNI_COMPUTE_BF16, w, (omni_range){0, w->out}, x, ldx, m, y, ldy, scratch);
}

void omni_matmul_part(omni_compute compute, const omni_packed *w, omni_range out, const float *x, size_t ldx,
                      size_t m, float *y, size_t ldy, void *scratch) {
    kernel_panels panels = kernel_panels_of(w, out);
    (compute == OMNI_COMPUTE_BF16 ? multiply_bf16 : multiply)(&panels, x, ldx, m, y + out.start, ldy,
                                                              scratch);
}

omni_matmul_fn *omni_matmul_of(omni_compute compute) {
    return compute == OMNI_COMPUTE_BF16 ? omni_matmul_bf16 : omni_matmul;
}
