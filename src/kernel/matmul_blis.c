/* matmul_blis.c: BLIS's float32 micro-kernel as the tile of the large matrix product. Beside
 * sgemm_blis.c the only file that includes blis.h.
 *
 * BLIS (Van Zee and van de Geijn, ACM TOMS 41(3), 2015) packs W anew for every product; a weight matrix never
 * changes, so we pack it once, at load, in the form its micro-kernel reads, and call that micro-kernel on it.
 * Its shape and its preferred storage of y are asked for, not assumed: on CPUs with AVX2 and FMA it is 6 x 16
 * by rows. Whether it also sums in our order (kernel/room.h) is tried on a small product, bit by bit; then a
 * row has the same bits whether it was computed alone or among hundreds. Where any of this is not so, our own
 * tile stays.
 *
 * Calling a micro-kernel creates no thread, whatever BLIS was built with.
 */
#include <stdio.h>
#include <stdlib.h>

#include <blis.h>

#include "kernel/room.h"

/* Written once, by kernel_blis_adopt, before threads exist. */
static struct {
    sgemm_ukr_ft kernel;
    cntx_t *context;
} blis;

/* Assumptions: a is [k][6], b [k][16], both packed, b aligned to 32 bytes and followed by
 * a readable row; y has 16 columns at each of its rows. The micro-kernel
 * writes through pointers to non-const, but changes neither a nor b. */
static void blis_tile(size_t rows, size_t k, const float *a, const float *b, float *y, size_t ldy, bool add) {
    float one = 1, beta = add ? 1 : 0;
    union {
        const float *in;
        float *out;
    } from_a = {a}, from_b = {b};
    auxinfo_t next = {0};
    bli_auxinfo_set_next_ab(from_a.out, from_b.out, &next);
    blis.kernel((dim_t)rows, KERNEL_NR, (dim_t)k, &one, from_a.out, from_b.out, &beta, y, (inc_t)ldy, 1,
                &next, blis.context);
}

/* One product by both tiles, stored and added: the same bits? */
static bool blis_agrees(const kernel_ops *own) {
    enum { K = 29, ROWS = 6 };
    float a[K * ROWS] __attribute__((aligned(64))), b[(K + 1) * KERNEL_NR] __attribute__((aligned(64)));
    float theirs[ROWS * KERNEL_NR] = {0}, ours[ROWS * KERNEL_NR] = {0};
    for (size_t i = 0; i < K * ROWS; i++) a[i] = (float)((i * 37 + 11) % 101) / 7.0f - 7.0f;
    for (size_t i = 0; i < (K + 1) * KERNEL_NR; i++) b[i] = (float)((i * 53 + 29) % 103) / 9.0f - 6.0f;
    for (int add = 0; add < 2; add++) {
        own->matmul.tile(ROWS, K, a, b, ours, KERNEL_NR, add);
        blis_tile(ROWS, K, a, b, theirs, KERNEL_NR, add);
    }
    return memcmp(ours, theirs, sizeof ours) == 0;
}

void kernel_blis_adopt(kernel_ops *ops) {
    char arch[16];
    snprintf(arch, sizeof arch, "%d", (int)BLIS_ARCH_HASWELL); /* every CPU with AVX2 and FMA can run it */
    if (setenv("BLIS_ARCH_TYPE", arch, 1)) return;
    bli_init();
    bli_thread_set_num_threads(1);
    unsetenv("BLIS_ARCH_TYPE");
    blis.context = bli_gks_query_cntx();
    void_fp kernel = bli_cntx_get_l3_nat_ukr_dt(BLIS_FLOAT, BLIS_GEMM_UKR, blis.context);
    dim_t mr = bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_MR, blis.context);
    dim_t nr = bli_cntx_get_blksz_def_dt(BLIS_FLOAT, BLIS_NR, blis.context);
    bool rows = bli_cntx_l3_nat_ukr_prefers_rows_dt(BLIS_FLOAT, BLIS_GEMM_UKR, blis.context);
    if (!rows || nr != KERNEL_NR || mr != (dim_t)ops->matmul.mr) return;
    memcpy(&blis.kernel, &kernel, sizeof kernel);
    if (blis_agrees(ops)) ops->matmul.tile = blis_tile;
}
