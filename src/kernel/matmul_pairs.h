/* matmul_pairs.h: the product in BF16, compiled once per instruction set: x is rounded to BF16, W is BF16 as
 * it is stored, and pairs of neighbours along k are multiplied and added to float32 sums, as AVX512-BF16's
 * vdpbf16ps does it (Intel SDM, volume 2): of a pair first the odd element's product is added, then the even
 * one's.
 *
 *     W's panel   k    |o0 ... o15|            x's pairs, packed   [k/2][R]  row 0: x[k] | x[k+1] << 16
 *                 k+1  |o0 ... o15|                                          row 1: ...
 *         two rows of it become 16 pairs on the way to the registers: W is kept in one form only
 *
 * Few rows (m <= KERNEL_SMALL_M) are packed whole, and W is walked once from end to end. More go by blocks of
 * MC rows and KC inputs, as in matmul.c. The order of sums is that of kernel/room.h but for the pairs, which
 * no block cuts: so here, too, the bits of an element depend on neither m nor the other columns.
 *
 * A product of two BF16 numbers is exact in float32. So a multiply and an add that round one after the other
 * give the bits of a fused one, and portable, AVX2 and AVX-512 code the same sums; vdpbf16ps also takes
 * denormals for zeros.
 *
 * Assumptions: in > 0; w's elements aligned to their size; all NR columns of y are there to be written (the
 * last, narrower panel is given a temporary). Nothing is read beyond the k-th row of a panel: an odd last row
 * has no pair.
 *
 * The includer defines vec_pairs, vec_lone, vec_dot2 (pairs_generic.h), and LANES_PAIRS(X): X(R, P) for R =
 * 1, 2, ... LANES_PAIRS_ROWS with the panels P that R rows take at a time.
 */
#define PV (KERNEL_NR / LANES) /* vectors of 32-bit pairs in a panel's row */

typedef struct pairs_job {
    const unsigned char *w; /* P blocks [k][NR] of BF16 */
    size_t w_step;          /* bytes from one panel to the next */
    const uint32_t *x;      /* [ceil(k / 2)][R] */
    size_t k;
    float *y; /* [R, P * NR], rows ldy apart */
    size_t ldy;
    bool add;                  /* to what y holds */
    const unsigned char *next; /* to be asked for: so many bytes on for each pair of rows of W */
    size_t next_step;
} pairs_job;

/* One pair of inputs; `lone`: the pair's second element is not there. */
LANES_FN void pairs_step(vec acc[][LANES_MAX_PANELS * PV], const unsigned char *w, size_t step,
                         const uint32_t *x, size_t R, size_t P, bool lone) {
    vec_bits b[LANES_MAX_PANELS * PV];
    LANES_UNROLL for (size_t p = 0; p < P; p++) LANES_UNROLL for (size_t c = 0; c < PV; c++) {
        const unsigned char *at = w + p * step + 2 * c * LANES;
        b[p * PV + c] = lone ? vec_lone(at) : vec_pairs(at);
    }
    LANES_UNROLL for (size_t r = 0; r < R; r++) {
        vec_bits a = x[r] - (vec_bits){0};
        LANES_UNROLL for (size_t c = 0; c < P * PV; c++) acc[r][c] = vec_dot2(acc[r][c], b[c], a);
    }
}

/* R and P are constants where this is inlined. */
LANES_FN void pairs_run(const pairs_job *job, size_t R, size_t P) {
    const size_t pair_bytes = 2 * KERNEL_NR * sizeof(uint16_t), step = job->w_step;
    const unsigned char *w = job->w, *next = job->next;
    const uint32_t *x = job->x;
    vec acc[LANES_PAIRS_ROWS][LANES_MAX_PANELS * PV];
    LANES_UNROLL for (size_t r = 0; r < R; r++) LANES_UNROLL for (size_t c = 0; c < P * PV; c++) acc[r][c] =
        (vec){0};
    for (size_t k = job->k / 2; k > 0; k--, w += pair_bytes, x += R, next += job->next_step) {
        LANES_UNROLL for (size_t p = 0; p < P; p++) __builtin_prefetch(next + p * step);
        pairs_step(acc, w, step, x, R, P, false);
    }
    if (job->k % 2) pairs_step(acc, w, step, x, R, P, true);
    LANES_UNROLL for (size_t r = 0; r < R; r++) LANES_UNROLL for (size_t c = 0; c < P * PV; c++) {
        float *y = job->y + r * job->ldy + c * LANES;
        vec_store(y, job->add ? vec_load(y) + acc[r][c] : acc[r][c]);
    }
}

#define PAIRS_DEFINE(R, P)                                                                                   \
    static LANES_TARGET void LANES_NAME(pairs_##R##_wide)(const pairs_job *job) {                            \
        pairs_run(job, R, P);                                                                                \
    }                                                                                                        \
    static LANES_TARGET void LANES_NAME(pairs_##R##_one)(const pairs_job *job) {                             \
        pairs_run(job, R, 1);                                                                                \
    }
LANES_PAIRS(PAIRS_DEFINE)

typedef void pairs_fn(const pairs_job *job);

/* By R - 1. */
static const struct {
    size_t panels;
    pairs_fn *wide, *one;
} pairs_tiles[] = {
#define PAIRS_ROW(R, P) {P, LANES_NAME(pairs_##R##_wide), LANES_NAME(pairs_##R##_one)},
    LANES_PAIRS(PAIRS_ROW)};

/* The last panel when it has fewer than NR columns: y's row ends there, so the tile works on a copy. */
static void pairs_narrow(pairs_fn *tile, pairs_job job, size_t rows, size_t cols) {
    float edge[LANES_PAIRS_ROWS * KERNEL_NR] = {0};
    float *y = job.y;
    size_t ldy = job.ldy;
    if (job.add) omni_copy(edge, KERNEL_NR, y, ldy, rows, cols);
    job.y = edge;
    job.ldy = KERNEL_NR;
    tile(&job);
    omni_copy(y, ldy, edge, KERNEL_NR, rows, cols);
}

/* Rows of x and inputs of W that are worked on together. */
typedef struct pairs_block {
    const kernel_panels *w;
    size_t rows, groups; /* of rows: omni_split's, each at most LANES_PAIRS_ROWS */
    size_t k, end;       /* inputs [k, end), k a multiple of KC */
    uint32_t *x;         /* KC by KC, group by group: [ceil(KC / 2)][rows of the group] */
    float *y;            /* [rows, out] */
    size_t ldy;
} pairs_block;

/* One group's `n` inputs from k on, as packed pairs. */
static void pairs_pack(const float *x, size_t ldx, size_t rows, size_t n, uint32_t *to) {
    uint16_t half[KERNEL_KC];
    for (size_t r = 0; r < rows; r++) {
        omni_narrow(OMNI_BF16, x + r * ldx, half, n);
        if (n % 2) half[n] = 0;
        for (size_t i = 0; i < (n + 1) / 2; i++)
            to[i * rows + r] = half[2 * i] | (uint32_t)half[2 * i + 1] << 16;
    }
}

/* All rows' inputs [k, end), block by block and group by group; x [rows, end - k]. */
static void pairs_pack_block(const pairs_block *b, const float *x, size_t ldx) {
    for (size_t k = b->k; k < b->end; k += KERNEL_KC) {
        size_t n = b->end - k < KERNEL_KC ? b->end - k : KERNEL_KC;
        for (size_t g = 0; g < b->groups; g++) {
            omni_range r = omni_split(b->rows, b->groups, g);
            pairs_pack(x + r.start * ldx + (k - b->k), ldx, r.count, n,
                       b->x + (k - b->k) / 2 * b->rows + r.start * ((n + 1) / 2));
        }
    }
}

/* All rows by `panels` panels from `panel` on. What comes next is asked for as in matmul_lanes.h: the inputs
 * behind these, and behind the last ones of a block of rows the next panels'. */
static void pairs_panels(const pairs_block *b, size_t panel, size_t panels) {
    const size_t row_bytes = KERNEL_NR * sizeof(uint16_t), cols = b->w->out - panel * KERNEL_NR;
    const unsigned char *base = b->w->at + panel * b->w->panel_bytes;
    for (size_t k = b->k; k < b->end; k += KERNEL_KC) {
        const size_t n = b->end - k < KERNEL_KC ? b->end - k : KERNEL_KC;
        const unsigned char *next =
            base + (k + n < b->end ? (k + n) * row_bytes : panels * b->w->panel_bytes + b->k * row_bytes);
        for (size_t g = 0; g < b->groups; g++) {
            const omni_range r = omni_split(b->rows, b->groups, g);
            pairs_fn *tile = panels > 1 ? pairs_tiles[r.count - 1].wide : pairs_tiles[r.count - 1].one;
            pairs_job job = {.w = base + k * row_bytes,
                             .w_step = b->w->panel_bytes,
                             .x = b->x + (k - b->k) / 2 * b->rows + r.start * ((n + 1) / 2),
                             .k = n,
                             .y = b->y + r.start * b->ldy + panel * KERNEL_NR,
                             .ldy = b->ldy,
                             .add = k > 0,
                             .next_step = 2 * row_bytes / b->groups};
            job.next = b->groups == 1 ? job.w + KERNEL_AHEAD : next + g * (n / 2) * job.next_step;
            if (cols < KERNEL_NR)
                pairs_narrow(tile, job, r.count, cols);
            else
                tile(&job);
        }
    }
}

static void matmul_pairs(const kernel_panels *w, const float *x, size_t ldx, size_t m, float *y, size_t ldy,
                         void *scratch) {
    const size_t whole = w->out / KERNEL_NR, all = (w->out + KERNEL_NR - 1) / KERNEL_NR;
    const size_t inputs = m <= KERNEL_SMALL_M ? w->in : KERNEL_KC;
    for (size_t r = 0; r < m; r += KERNEL_MC) {
        const size_t rows = m - r < KERNEL_MC ? m - r : KERNEL_MC;
        const size_t groups = (rows + LANES_PAIRS_ROWS - 1) / LANES_PAIRS_ROWS;
        const size_t wide = groups == 1 ? pairs_tiles[rows - 1].panels : 1;
        for (size_t k = 0; k < w->in; k += inputs) {
            const size_t end = w->in - k < inputs ? w->in : k + inputs;
            pairs_block block = {w, rows, groups, k, end, scratch, y + r * ldy, ldy};
            pairs_pack_block(&block, x + r * ldx + k, ldx);
            for (size_t panel = 0, panels; panel < all; panel += panels) {
                panels = whole - panel >= wide && panel < whole ? wide : 1;
                pairs_panels(&block, panel, panels);
            }
        }
    }
}
