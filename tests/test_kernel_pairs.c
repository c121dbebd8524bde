/* test_kernel_pairs.c: the matrix product in BF16: right for every odd shape, inside its memory, the bits of
 * its definition, and independent of rows and columns. AVX-512's sixteen lanes are compiled here with plain
 * vector types, so that they are tried on every CPU.
 */
#include "kernel_tools.h"

#define LANES 16
#define LANES_ISA tested
#define LANES_TARGET
#define LANES_FN static inline __attribute__((always_inline))
#include "kernel/lanes_generic.h"

#define LANES_MAX_PANELS 8
#define LANES_PAIRS_ROWS 12
#define LANES_PAIRS(X)                                                                                       \
    X(1, 8) X(2, 4) X(3, 4) X(4, 2) X(5, 2) X(6, 2) X(7, 2) X(8, 2) X(9, 1) X(10, 1) X(11, 1) X(12, 1)

LANES_FN vec vec_fma(vec a, vec b, vec c) {
    return a * b + c;
}

LANES_FN vec vec_widen(const unsigned char *p) {
    uint16_t h[LANES];
    vec_bits bits;
    memcpy(h, p, sizeof h);
    for (size_t i = 0; i < LANES; i++) bits[i] = h[i];
    return (vec)(bits << 16);
}

#include "kernel/pairs_generic.h"

#include "kernel/matmul_pairs.h"

enum { M = 160, OUT = 137, IN = 777, PAD = 3 };

typedef struct pairs_test {
    guarded w, x, y, scratch;
    uint16_t *bits;  /* [out, in] */
    float *rounded;  /* x [m, in] as BF16 */
    float *expected; /* [m, out] */
} pairs_test;

static pairs_test make(void) {
    pairs_test t = {.w = guarded_make(omni_packed_bytes(OUT, IN, OMNI_BF16)),
                    .x = guarded_make(M * (IN + PAD) * sizeof(float)),
                    .y = guarded_make(M * (OUT + PAD) * sizeof(float)),
                    .scratch = guarded_make(omni_matmul_scratch_bytes(OMNI_COMPUTE_BF16, M, IN)),
                    .bits = omni_alloc_array(OUT * IN, sizeof(uint16_t)),
                    .rounded = omni_alloc_array(M * IN, sizeof(float)),
                    .expected = omni_alloc_array(M * OUT, sizeof(float))};
    cr_assert(t.bits && t.rounded && t.expected);
    return t;
}

static void drop(pairs_test *t) {
    guarded all[] = {t->w, t->x, t->y, t->scratch};
    for (size_t i = 0; i < 4; i++) guarded_free(all[i]);
    omni_free(t->bits);
    omni_free(t->rounded);
    omni_free(t->expected);
}

/* Blocks of 256 inputs, in each the odd element of a pair before the even one. No product is rounded: a
 * float32 holds that of two BF16 numbers. */
static float define(const float *x, const uint16_t *w, size_t in) {
    float whole = 0;
    for (size_t k = 0; k < in; k += 256) {
        float sum = 0;
        for (size_t i = k; i < in && i < k + 256; i += 2) {
            if (i + 1 < in) sum += x[i + 1] * omni_bf16_to_f32(w[i + 1]);
            sum += x[i] * omni_bf16_to_f32(w[i]);
        }
        whole = k ? whole + sum : sum;
    }
    return whole;
}

static omni_packed *fill_in(pairs_test *t, float *x, size_t ldx, size_t m, size_t out, size_t in) {
    float *w = omni_alloc_array(out * in + 1, sizeof *w);
    fill_random(w, out * in, out + in);
    omni_narrow(OMNI_BF16, w, t->bits, out * in);
    omni_free(w);
    fill_random(x, m ? (m - 1) * ldx + in : 0, m);
    for (size_t r = 0; r < m; r++) {
        for (size_t i = in; r + 1 < m && i < ldx; i++) x[r * ldx + i] = NAN;
        omni_round_to(OMNI_BF16, x + r * ldx, t->rounded + r * in, in);
        for (size_t o = 0; o < out; o++)
            t->expected[r * out + o] = define(t->rounded + r * in, t->bits + o * in, in);
    }
    omni_packed *packed = omni_packed_init(guarded_place(t->w, omni_packed_bytes(out, in, OMNI_BF16), true),
                                           out, in, OMNI_BF16);
    omni_packed_put(packed, 0, out, 0, in, t->bits, in, 1);
    return packed;
}

/* vdpbf16ps has its own way with what is very small. */
static void same(const float *y, size_t ldy, const pairs_test *t, size_t m, size_t out, size_t in) {
    for (size_t r = 0; r < m; r++)
        for (size_t o = 0; o < out; o++) {
            float got = y[r * ldy + o], want = t->expected[r * out + o];
            bool close = omni_kernel_isa() == OMNI_ISA_AVX512_BF16 && fabsf(got - want) <= 1e-5f * (float)in;
            if (memcmp(&got, &want, sizeof got) != 0 && !close)
                cr_assert_fail("m %zu out %zu in %zu: y[%zu, %zu] is %g (expected %g)", m, out, in, r, o,
                               (double)got, (double)want);
        }
}

static void check(pairs_test *t, omni_matmul_fn *run, size_t m, size_t out, size_t in, size_t gap) {
    const size_t ldx = in + gap, ldy = out + gap, nx = m ? (m - 1) * ldx + in : 0,
                 ny = m && out ? (m - 1) * ldy + out : 0;
    float *x = guarded_place(t->x, nx * sizeof *x, true), *y = guarded_place(t->y, ny * sizeof *y, true);
    omni_packed *w = fill_in(t, x, ldx, m, out, in);
    fill(y, ny, CANARY);
    run(w, x, ldx, m, y, ldy,
        guarded_place(t->scratch, omni_matmul_scratch_bytes(OMNI_COMPUTE_BF16, m, in), true));
    same(y, ldy, t, m, out, in);
    check_gaps(y, ny, out, ldy);
}

static const size_t sizes[] = {0, 1, 2, 3, 5, 8, 13, 16, 17, 33, 64, 129};
#define SIZES (sizeof sizes / sizeof *sizes)

static void check_shapes(omni_matmul_fn *run, size_t least) {
    pairs_test t = make();
    size_t turn = 0;
    for (size_t i = least; i < SIZES; i++)
        for (size_t j = least; j < SIZES; j++)
            for (size_t k = least; k < SIZES; k++)
                check(&t, run, sizes[i], sizes[j], sizes[k], turn++ % 2 ? PAD : 0);
    static const size_t large[][3] = {
        {1, 137, 777}, {12, 130, 512}, {32, 16, 513}, {33, 40, 777}, {150, 33, 300}};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        check(&t, run, large[i][0], large[i][1], large[i][2], PAD);
    drop(&t);
}

ISA_TEST(bf16_matmul_of_every_odd_shape_has_the_bits_of_its_definition) {
    check_shapes(omni_matmul_bf16, 0);
}

static void sixteen_lanes(const omni_packed *w, const float *x, size_t ldx, size_t m, float *y, size_t ldy,
                          void *scratch) {
    kernel_panels all = kernel_panels_of(w, (omni_range){0, w->out});
    matmul_pairs(&all, x, ldx, m, y, ldy, scratch);
}

Test(kernel, bf16_matmul_in_sixteen_lanes_has_the_bits_of_its_definition) {
    check_shapes(sixteen_lanes, 1);
}

ISA_TEST(bf16_matmul_bits_depend_on_neither_rows_nor_other_columns) {
    enum { CUT = 37 };
    pairs_test t = make();
    float *x = (float *)(void *)t.x.start, *whole = (float *)(void *)t.y.start;
    float *part = omni_alloc_array(M * OUT, sizeof *part);
    void *mem = omni_alloc(omni_packed_bytes(OUT, IN, OMNI_BF16)), *scratch = t.scratch.start;
    omni_packed *w = fill_in(&t, x, IN, M, OUT, IN);
    omni_matmul_bf16(w, x, IN, M, whole, OUT, scratch);
    for (size_t m = 1; m < M; m += m < 40 ? 1 : 29) {
        omni_matmul_bf16(w, x, IN, m, part, OUT, scratch);
        cr_assert_eq(memcmp(part, whole, m * OUT * sizeof *part), 0, "the first %zu rows differ", m);
    }
    omni_packed *cut = omni_packed_init(mem, OUT - CUT, IN, OMNI_BF16);
    omni_packed_put(cut, 0, OUT - CUT, 0, IN, t.bits + CUT * IN, IN, 1);
    for (size_t m = 1; m <= M; m += 53) {
        omni_matmul_bf16(cut, x, IN, m, part, OUT, scratch);
        for (size_t r = 0; r < m; r++)
            cr_assert_eq(memcmp(part + r * OUT, whole + r * OUT + CUT, (OUT - CUT) * sizeof *part), 0);
    }
    drop(&t);
    omni_free(part);
    omni_free(mem);
}

/* What is not finite stays so, and touches its own row and column alone. */
ISA_TEST(bf16_matmul_passes_on_what_is_not_finite) {
    enum { ROWS = 5, COLS = 18, K = 19 };
    pairs_test t = make();
    float *x = (float *)(void *)t.x.start, y[ROWS * COLS];
    omni_packed *w = fill_in(&t, x, K, ROWS, COLS, K);
    x[2 * K + K - 1] = NAN;
    omni_matmul_bf16(w, x, K, ROWS, y, COLS, t.scratch.start);
    for (size_t i = 0; i < ROWS * COLS; i++) cr_assert_eq(isnan(y[i]), i / COLS == 2);
    drop(&t);
}
