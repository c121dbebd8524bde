/* test_kernel.c: the instruction set and the matrix product: every odd shape against float64, memory that
 * faults one byte beyond what may be touched, and the promise that a number's bits do not depend on its
 * neighbours.
 */
#include <dirent.h>

#include "kernel_tools.h"

static const size_t sizes[] = {0, 1, 2, 3, 5, 6, 7, 8, 13, 16, 17, 31, 33, 64, 100, 129};
#define SIZES (sizeof sizes / sizeof *sizes)
enum { MOST = 129, PAD = 5 };

/* --- instruction set -------------------------------------------------------------------------- */

Test(kernel, an_unknown_instruction_set_is_refused) {
    omni_error err = {0};
    setenv("OMNIBUS_ISA", "mmx", 1);
    cr_assert_eq(omni_kernel_init(&err), OMNI_BAD_INPUT);
    cr_assert_not_null(strstr(err.text, "mmx"));
    cr_assert_not_null(strstr(err.text, "portable, avx2, avx512"));
}

Test(kernel, an_instruction_set_this_cpu_lacks_is_refused) {
    omni_error err = {0};
    setenv("OMNIBUS_ISA", "avx512", 1);
    if (omni_kernel_init(&err) == OMNI_OK) cr_skip_test("this CPU has AVX-512");
    cr_assert_eq(err.status, OMNI_BAD_INPUT);
    cr_assert_not_null(strstr(err.text, "this CPU has no avx512"));
    setenv("OMNIBUS_ISA", "", 1);
    cr_assert_eq(omni_kernel_init(NULL), OMNI_OK);
}

static size_t threads_now(void) {
    size_t n = 0;
    DIR *dir = opendir("/proc/self/task");
    cr_assert_not_null(dir);
    for (struct dirent *e; (e = readdir(dir));) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

Test(kernel, blis_makes_no_thread_whatever_the_environment_says) {
    enum { N = 300 };
    const char *names[] = {"BLIS_NUM_THREADS", "BLIS_JC_NT", "BLIS_IC_NT", "BLIS_JR_NT", "OMP_NUM_THREADS"};
    for (size_t i = 0; i < 5; i++) setenv(names[i], "8", 1);
    setenv("BLIS_ARCH_TYPE", "9999", 1);
    size_t before = threads_now();
    cr_assert_eq(omni_kernel_init(NULL), OMNI_OK);
    for (size_t i = 0; i < 4; i++) cr_assert_null(getenv(names[i]));
    cr_assert_null(getenv("BLIS_ARCH_TYPE"));
    float *x = omni_alloc_array(N * N, sizeof *x), *y = omni_alloc_array(N * N, sizeof *y);
    void *mem = omni_alloc(omni_packed_bytes(N, N, OMNI_F32)),
         *scratch = omni_alloc(omni_matmul_scratch_bytes(OMNI_COMPUTE_F32, N, N));
    omni_packed *w = omni_packed_init(mem, N, N, OMNI_F32);
    fill(x, N * N, 1);
    omni_packed_put(w, 0, N, 0, N, x, N, 1);
    omni_matmul(w, x, N, N, y, N, scratch);
    cr_assert_eq(y[N * N - 1], N);
    cr_assert_eq(threads_now(), before);
    void *all[] = {x, y, mem, scratch};
    for (size_t i = 0; i < 4; i++) omni_free(all[i]);
}

/* --- packing ---------------------------------------------------------------------------------- */

Test(kernel, packed_sizes) {
    cr_assert_eq(omni_packed_bytes(0, 0, OMNI_F32), omni_packed_bytes(0, 77, OMNI_BF16));
    cr_assert_eq(omni_packed_bytes(17, 3, OMNI_F32) - omni_packed_bytes(0, 0, OMNI_F32), 2 * 3 * 16 * 4);
    cr_assert_eq(omni_packed_bytes(1, 1, OMNI_BF16) % 128, 0);
    cr_assert_eq(omni_packed_bytes(SIZE_MAX, 1, OMNI_F32), 0);
    cr_assert_eq(omni_packed_bytes(SIZE_MAX / 64, SIZE_MAX / 64, OMNI_F32), 0);
    cr_assert_eq(omni_packed_bytes(16, SIZE_MAX / 64, OMNI_F32), 0);
    cr_assert_eq(omni_packed_bytes(4, 4, OMNI_F16), 0);
}

/* A matrix put whole equals one put in blocks, from a transposed and unaligned source. */
Test(kernel, blocks_put_from_any_layout_make_the_same_panels) {
    enum { OUT = 37, IN = 21 };
    for (int d = 0; d < 2; d++) {
        const omni_dtype dtype = d ? OMNI_BF16 : OMNI_F32;
        const size_t size = omni_dtype_bytes(dtype), bytes = omni_packed_bytes(OUT, IN, dtype);
        unsigned char *rows = omni_alloc(OUT * IN * size), *turned = omni_alloc(OUT * IN * size + 1);
        for (size_t i = 0; i < OUT * IN * size; i++) rows[i] = (unsigned char)(i * 7 + 3);
        for (size_t o = 0; o < OUT; o++)
            for (size_t i = 0; i < IN; i++)
                memcpy(turned + 1 + (i * OUT + o) * size, rows + (o * IN + i) * size, size);
        void *a = omni_alloc(bytes), *b = omni_alloc(bytes);
        memset(b, 0xff, bytes);
        omni_packed_put(omni_packed_init(a, OUT, IN, dtype), 0, OUT, 0, IN, rows, IN, 1);
        omni_packed *w = omni_packed_init(b, OUT, IN, dtype);
        for (size_t o = 0; o < OUT; o += 11)
            for (size_t i = 0; i < IN; i += 8)
                omni_packed_put(w, o, OUT - o < 11 ? OUT - o : 11, i, IN - i < 8 ? IN - i : 8,
                                turned + 1 + (i * OUT + o) * size, 1, OUT);
        cr_assert_eq(memcmp(a, b, bytes), 0);
        void *all[] = {rows, turned, a, b};
        for (size_t i = 0; i < 4; i++) omni_free(all[i]);
    }
}

/* --- matmul ----------------------------------------------------------------------------------- */

typedef struct bench {
    guarded w, x, y, scratch;
    float *weights; /* [out, in], already rounded to the dtype */
    uint16_t *bits;
} bench;

/* Random weights as dtype stores them, in a handle that lies against a guard page. */
static omni_packed *bench_pack(bench *b, size_t out, size_t in, omni_dtype dtype, bool end) {
    fill_random(b->weights, out * in, out * 1000 + in);
    for (size_t i = 0; dtype == OMNI_BF16 && i < out * in; i++) {
        uint32_t whole;
        memcpy(&whole, b->weights + i, sizeof whole);
        b->bits[i] = (uint16_t)(whole >> 16);
        b->weights[i] = omni_bf16_to_f32(b->bits[i]);
    }
    omni_packed *w =
        omni_packed_init(guarded_place(b->w, omni_packed_bytes(out, in, dtype), end), out, in, dtype);
    omni_packed_put(w, 0, out, 0, in, dtype == OMNI_BF16 ? (void *)b->bits : (void *)b->weights, in, 1);
    return w;
}

static bench bench_make(size_t m, size_t out, size_t in) {
    bench b = {.w = guarded_make(omni_packed_bytes(out, in, OMNI_F32)),
               .x = guarded_make(m * (in + PAD) * sizeof(float)),
               .y = guarded_make(m * (out + PAD) * sizeof(float)),
               .scratch = guarded_make(omni_matmul_scratch_bytes(OMNI_COMPUTE_F32, m, in)),
               .weights = omni_alloc_array(out * in, sizeof(float)),
               .bits = omni_alloc_array(out * in, sizeof(uint16_t))};
    cr_assert(b.weights && b.bits);
    return b;
}

static void bench_free(bench *b) {
    guarded_free(b->w);
    guarded_free(b->x);
    guarded_free(b->y);
    guarded_free(b->scratch);
    omni_free(b->weights);
    omni_free(b->bits);
}

static void check_product(const float *weights, size_t out, size_t in, const float *x, size_t ldx, size_t m,
                          const float *y, size_t ldy) {
    for (size_t r = 0; r < m; r++)
        for (size_t o = 0; o < out; o++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < in; i++) {
                double p = (double)x[r * ldx + i] * (double)weights[o * in + i];
                sum += p;
                size += fabs(p);
            }
            double error = fabs((double)y[r * ldy + o] - sum);
            if (!(error <= 8 * 0x1p-24 * size))
                cr_assert_fail("m %zu out %zu in %zu: y[%zu, %zu] is off by %g", m, out, in, r, o, error);
        }
}

/* x, y, scratch and handle end (or start) at a page that faults; rows lie `gap` floats apart. */
static void check_shape(bench *b, size_t m, size_t out, size_t in, omni_dtype dtype, bool end, size_t gap) {
    const size_t ldx = in + gap, ldy = out + gap;
    const size_t nx = m && in ? (m - 1) * ldx + in : 0, ny = m && out ? (m - 1) * ldy + out : 0;
    float *x = guarded_place(b->x, nx * sizeof *x, end), *y = guarded_place(b->y, ny * sizeof *y, end);
    void *scratch = guarded_place(b->scratch, omni_matmul_scratch_bytes(OMNI_COMPUTE_F32, m, in), end);
    omni_packed *w = bench_pack(b, out, in, dtype, end);
    fill_random(x, nx, m + 17);
    for (size_t i = 0; i < nx; i++)
        if (i % ldx >= in) x[i] = NAN;
    fill(y, ny, CANARY);
    omni_matmul(w, x, ldx, m, y, ldy, scratch);
    check_product(b->weights, out, in, x, ldx, m, y, ldy);
    check_gaps(y, ny, out, ldy);
}

ISA_TEST(matmul_of_every_odd_shape_is_right_and_stays_inside) {
    bench b = bench_make(MOST, MOST, MOST);
    size_t turn = 0;
    for (size_t i = 0; i < SIZES; i++)
        for (size_t j = 0; j < SIZES; j++)
            for (size_t k = 0; k < SIZES; k++, turn++) {
                omni_dtype dtype =
                    turn % 2 ? OMNI_BF16 : OMNI_F32; /* odd step: every triple meets a neighbour's dtype */
                check_shape(&b, sizes[i], sizes[j], sizes[k], dtype, turn % 3 != 0, turn % 5 ? 0 : PAD);
                if (sizes[i] < 9)
                    check_shape(&b, sizes[i], sizes[j], sizes[k], dtype == OMNI_F32 ? OMNI_BF16 : OMNI_F32,
                                true, 0);
            }
    bench_free(&b);
}

ISA_TEST(matmul_over_several_blocks) {
    static const size_t shapes[][3] = {{150, 50, 700}, {300, 33, 257}, {1, 200, 1025},
                                       {33, 17, 512},  {7, 100, 770},  {145, 16, 256}};
    bench b = bench_make(300, 200, 1025);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int d = 0; d < 4; d++)
            check_shape(&b, shapes[i][0], shapes[i][1], shapes[i][2], d & 1 ? OMNI_BF16 : OMNI_F32, d & 2,
                        PAD);
    bench_free(&b);
}

/* Any number of rows, and any cut of the outputs, gives the bits of the whole. */
ISA_TEST(matmul_bits_depend_on_neither_rows_nor_other_columns) {
    enum { M = 160, OUT = 129, IN = 700, CUT = 37 };
    bench b = bench_make(M, OUT, IN);
    float *x = (float *)(void *)b.x.start, *whole = (float *)(void *)b.y.start;
    float *part = omni_alloc_array(M * OUT, sizeof *part);
    void *mem = omni_alloc(omni_packed_bytes(OUT, IN, OMNI_F32));
    fill_random(x, M * IN, 3);
    for (int d = 0; d < 2; d++) {
        const omni_dtype dtype = d ? OMNI_BF16 : OMNI_F32;
        omni_packed *w = bench_pack(&b, OUT, IN, dtype, false);
        omni_matmul(w, x, IN, M, whole, OUT, b.scratch.start);
        for (size_t m = 1; m < M; m += m < 40 ? 1 : 29) {
            omni_matmul(w, x, IN, m, part, OUT, b.scratch.start);
            cr_assert_eq(memcmp(part, whole, m * OUT * sizeof *part), 0, "the first %zu rows differ", m);
        }
        const unsigned char *from = d ? (unsigned char *)b.bits : (unsigned char *)b.weights;
        omni_packed *cut = omni_packed_init(mem, OUT - CUT, IN, dtype);
        omni_packed_put(cut, 0, OUT - CUT, 0, IN, from + CUT * IN * omni_dtype_bytes(dtype), IN, 1);
        omni_matmul(cut, x, IN, M, part, OUT, b.scratch.start);
        for (size_t r = 0; r < M; r++)
            cr_assert_eq(memcmp(part + r * OUT, whole + r * OUT + CUT, (OUT - CUT) * sizeof *part), 0);
    }
    bench_free(&b);
    omni_free(part);
    omni_free(mem);
}

ISA_TEST(a_copied_handle_is_the_handle) {
    enum { OUT = 19, IN = 23 };
    bench b = bench_make(1, OUT, IN);
    float x[IN], y[OUT], z[OUT];
    fill_random(x, IN, 1);
    omni_packed *w = bench_pack(&b, OUT, IN, OMNI_F32, true);
    void *copy = omni_alloc(omni_packed_bytes(OUT, IN, OMNI_F32));
    memcpy(copy, w, omni_packed_bytes(OUT, IN, OMNI_F32));
    omni_matmul(w, x, IN, 1, y, OUT, b.scratch.start);
    omni_matmul(copy, x, IN, 1, z, OUT, b.scratch.start);
    cr_assert_eq(memcmp(y, z, sizeof y), 0);
    bench_free(&b);
    omni_free(copy);
}
