/* matmul_lanes.h: the matrix product's inner loops, compiled once per instruction set.
 *
 * A tile is R rows of x by P panels of W over one block of k. Each of its R x P x NR sums is one accumulator,
 * fed in order of k by multiply-add: with a single row four panels are walked together, so that enough
 * independent sums are under way to hide the latency of the adder. So a sum's bits depend on neither m nor
 * the other columns.
 *
 * Assumptions: in > 0; w points into a panel (its elements aligned to their size, no more); x need not be
 * aligned; all NR columns of y are there to be written (the last, narrower panel is given a temporary).
 * Nothing is read beyond the k-th element of a row or panel; prefetches may point beyond, which is harmless.
 *
 * The includer defines LANES_TILES(X): X(R, P) for R = 1, 2, ... with the P that R rows take at a time.
 */
#define NV (KERNEL_NR / LANES) /* vectors in a panel's row */

typedef struct tile_job {
    const unsigned char *w; /* P blocks [k][NR] of F32 or BF16 */
    size_t w_step;          /* bytes from one panel to the next */
    const float *x;         /* element (r, k) at x[r * x_row + k * x_k] */
    size_t x_row, x_k;
    size_t k;
    float *y; /* [R, P * NR], rows ldy apart */
    size_t ldy;
    bool add;                  /* to what y holds */
    const unsigned char *next; /* to be asked for: so many bytes on for each row of W */
    size_t next_step;
} tile_job;

LANES_FN vec tile_weights(const unsigned char *w, size_t at, bool bf16) {
    return bf16 ? vec_widen(w + 2 * at) : vec_load((const float *)(const void *)w + at);
}

LANES_FN void tile_store(const tile_job *job, vec sum, float *y) {
    vec_store(y, job->add ? vec_load(y) + sum : sum);
}

/* R, P and bf16 are constants where this is inlined. */
LANES_FN void tile_run(const tile_job *job, size_t R, size_t P, bool bf16) {
    const size_t row_bytes = KERNEL_NR * (bf16 ? 2 : 4);
    const size_t step = job->w_step, x_row = job->x_row, x_k = job->x_k;
    const unsigned char *w = job->w, *next = job->next;
    const float *x = job->x;
    vec acc[LANES_MAX_ROWS][LANES_MAX_PANELS * NV];
    LANES_UNROLL for (size_t r = 0; r < R; r++) LANES_UNROLL for (size_t c = 0; c < P * NV; c++) acc[r][c] =
        (vec){0};
    for (size_t k = job->k; k > 0; k--, w += row_bytes, x += x_k, next += job->next_step) {
        vec b[LANES_MAX_PANELS * NV];
        LANES_UNROLL for (size_t p = 0; p < P; p++) {
            __builtin_prefetch(next + p * step);
            LANES_UNROLL for (size_t c = 0; c < NV; c++) b[p * NV + c] =
                tile_weights(w + p * step, c * LANES, bf16);
        }
        LANES_UNROLL for (size_t r = 0; r < R; r++) {
            vec a = vec_set(x[r * x_row]);
            LANES_UNROLL for (size_t c = 0; c < P * NV; c++) acc[r][c] = vec_fma(a, b[c], acc[r][c]);
        }
    }
    LANES_UNROLL for (size_t r = 0; r < R; r++) LANES_UNROLL for (size_t c = 0; c < P * NV; c++)
        tile_store(job, acc[r][c], job->y + r * job->ldy + c * LANES);
}

#define TILE_DEFINE(R, P)                                                                                    \
    static LANES_TARGET void LANES_NAME(tile_f32_##R##_wide)(const tile_job *job) {                          \
        tile_run(job, R, P, false);                                                                          \
    }                                                                                                        \
    static LANES_TARGET void LANES_NAME(tile_f32_##R##_one)(const tile_job *job) {                           \
        tile_run(job, R, 1, false);                                                                          \
    }                                                                                                        \
    static LANES_TARGET void LANES_NAME(tile_bf16_##R##_wide)(const tile_job *job) {                         \
        tile_run(job, R, P, true);                                                                           \
    }                                                                                                        \
    static LANES_TARGET void LANES_NAME(tile_bf16_##R##_one)(const tile_job *job) {                          \
        tile_run(job, R, 1, true);                                                                           \
    }
LANES_TILES(TILE_DEFINE)

typedef void tile_fn(const tile_job *job);

/* By R - 1: panels of the wide form, and the four forms. */
static const struct {
    size_t panels;
    tile_fn *wide[2], *one[2]; /* [bf16] */
} tiles[] = {
#define TILE_ROW(R, P)                                                                                       \
    {P,                                                                                                      \
     {LANES_NAME(tile_f32_##R##_wide), LANES_NAME(tile_bf16_##R##_wide)},                                    \
     {LANES_NAME(tile_f32_##R##_one), LANES_NAME(tile_bf16_##R##_one)}},
    LANES_TILES(TILE_ROW)};

/* The last panel when it has fewer than NR columns: y's row ends there, so the tile works on a copy. */
static void tile_narrow(tile_fn *tile, tile_job job, size_t rows, size_t cols) {
    float edge[LANES_MAX_ROWS * KERNEL_NR] = {0};
    float *y = job.y;
    size_t ldy = job.ldy;
    for (size_t r = 0; job.add && r < rows; r++) memcpy(edge + r * KERNEL_NR, y + r * ldy, cols * sizeof *y);
    job.y = edge;
    job.ldy = KERNEL_NR;
    tile(&job);
    for (size_t r = 0; r < rows; r++) memcpy(y + r * ldy, edge + r * KERNEL_NR, cols * sizeof *y);
}

/* `panels` panels from `panel` on, all rows, block by block of k. One group of rows asks for what it will
 * read itself, KERNEL_AHEAD bytes on. With several, a block of W stays in L1 for all of them, and each asks
 * for its share of the next one: so memory works all the time, not just for the first. */
static void rows_panels(const kernel_panels *w, size_t panel, size_t panels, const float *x, size_t ldx,
                        size_t m, size_t groups, float *y, size_t ldy) {
    const bool bf16 = w->dtype == OMNI_BF16;
    const size_t row_bytes = KERNEL_NR * (bf16 ? 2 : 4), cols = w->out - panel * KERNEL_NR;
    const unsigned char *base = w->at + panel * w->panel_bytes;
    for (size_t k = 0; k < w->in; k += KERNEL_KC) {
        const size_t n = w->in - k < KERNEL_KC ? w->in - k : KERNEL_KC;
        for (size_t g = 0; g < groups; g++) {
            const size_t r = omni_split(m, groups, g).start, rows = omni_split(m, groups, g).count;
            tile_fn *tile = panels > 1 ? tiles[rows - 1].wide[bf16] : tiles[rows - 1].one[bf16];
            tile_job job = {.w = base + k * row_bytes,
                            .w_step = w->panel_bytes,
                            .x = x + r * ldx + k,
                            .x_row = ldx,
                            .x_k = 1,
                            .k = n,
                            .y = y + r * ldy + panel * KERNEL_NR,
                            .ldy = ldy,
                            .add = k > 0,
                            .next_step = row_bytes / groups};
            job.next = job.w + (groups == 1 ? KERNEL_AHEAD : n * row_bytes + g * n * job.next_step);
            if (cols < KERNEL_NR)
                tile_narrow(tile, job, rows, cols);
            else
                tile(&job);
        }
    }
}

static void matmul_rows(const kernel_panels *w, const float *x, size_t ldx, size_t m, float *y, size_t ldy) {
    const size_t groups = (m + LANES_MAX_ROWS - 1) / LANES_MAX_ROWS;
    const size_t wide = groups == 1 ? tiles[m - 1].panels : 1;
    const size_t whole = w->out / KERNEL_NR, all = (w->out + KERNEL_NR - 1) / KERNEL_NR;
    for (size_t panel = 0; panel < all;) {
        size_t panels = whole - panel >= wide && panel < whole ? wide : 1;
        rows_panels(w, panel, panels, x, ldx, m, groups, y, ldy);
        panel += panels;
    }
}

static void matmul_tile(size_t rows, size_t k, const float *a, const float *b, float *y, size_t ldy,
                        bool add) {
    tile_job job = {.w = (const unsigned char *)b,
                    .x = a,
                    .x_row = 1,
                    .x_k = LANES_MAX_ROWS,
                    .k = k,
                    .y = y,
                    .ldy = ldy,
                    .add = add,
                    .next = (const unsigned char *)b + KERNEL_AHEAD,
                    .next_step = KERNEL_NR * sizeof *b};
    tiles[rows - 1].one[0](&job);
}

static LANES_TARGET void matmul_widen(const uint16_t *from, float *to, size_t n) {
    for (size_t i = 0; i < n; i += LANES) vec_store(to + i, vec_widen((const unsigned char *)(from + i)));
}
