/* kernel_tools.h: for the kernels' tests: one test body for every instruction set, memory that ends where it
 * says, numbers. */
#ifndef TESTS_KERNEL_TOOLS_H
#define TESTS_KERNEL_TOOLS_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "omnibus/kernel.h"

/* Criterion runs each test in a process of its own, so each may choose. Skips what the CPU lacks, and what
 * the sanitizers forbid. */
static inline void use_isa(omni_isa isa) {
    omni_error err = {0};
    setenv("OMNIBUS_ISA", omni_isa_name(isa), 1);
    if (omni_kernel_init(&err) != OMNI_OK) cr_skip_test("%s", err.text);
    if (omni_kernel_isa() != isa)
        cr_skip_test("%s: sanitized builds use the portable kernels", omni_isa_name(isa));
}

/* A body that runs once per instruction set. */
#define ISA_TEST(name)                                                                                       \
    static void name(void);                                                                                  \
    Test(kernel, name##_portable) {                                                                          \
        use_isa(OMNI_ISA_PORTABLE);                                                                          \
        name();                                                                                              \
    }                                                                                                        \
    Test(kernel, name##_avx2) {                                                                              \
        use_isa(OMNI_ISA_AVX2);                                                                              \
        name();                                                                                              \
    }                                                                                                        \
    Test(kernel, name##_avx512) {                                                                            \
        use_isa(OMNI_ISA_AVX512);                                                                            \
        name();                                                                                              \
    }                                                                                                        \
    Test(kernel, name##_avx512bf16) {                                                                        \
        use_isa(OMNI_ISA_AVX512_BF16);                                                                       \
        name();                                                                                              \
    }                                                                                                        \
    static void name(void)

/* Memory with a page before and after it that faults. */
typedef struct guarded {
    unsigned char *start;
    size_t bytes;
} guarded;

static inline guarded guarded_make(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + page - 1) / page * page + page;
    unsigned char *p =
        mmap(NULL, size + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(p != MAP_FAILED);
    cr_assert_eq(mprotect(p, page, PROT_NONE), 0);
    cr_assert_eq(mprotect(p + page + size, page, PROT_NONE), 0);
    return (guarded){p + page, size};
}

static inline void guarded_free(guarded g) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    munmap(g.start - page, g.bytes + 2 * page);
}

/* `bytes` that lie against the page before (end false) or after (end true). */
static inline void *guarded_place(guarded g, size_t bytes, bool end) {
    cr_assert(bytes <= g.bytes);
    return end ? g.start + g.bytes - bytes : g.start;
}

/* xorshift64*: Vigna, arXiv:1402.6246. In [-1, 1). */
static inline float random_float(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (float)((double)((*state * 0x2545f4914f6cdd1du) >> 40) / (double)(1u << 23) - 1.0);
}

static inline void fill_random(float *x, size_t n, uint64_t seed) {
    uint64_t state = seed * 2654435761u + 88172645463325252u;
    for (size_t i = 0; i < n; i++) x[i] = random_float(&state);
}

#define CANARY 12345.678f

static inline void fill(float *x, size_t n, float value) {
    for (size_t i = 0; i < n; i++) x[i] = value;
}

/* What lies between rows is untouched. n floats in all, rows of `width`, ld apart. */
static inline void check_gaps(const float *y, size_t n, size_t width, size_t ld) {
    for (size_t i = 0; i < n; i++)
        if (ld && i % ld >= width) cr_assert_eq(y[i], CANARY, "element %zu between rows was written", i);
}

#endif
