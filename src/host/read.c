/* read.c: reading and copying memory. What reads fastest differs from CPU to CPU: the width of a load, how
 * many places are read in turn, asking ahead, the size of pages. So several plain loops are tried on this
 * one, and the fastest is the limit: loads that are added up, of buffers far beyond the caches, each core its
 * own.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/internal.h"
#include "omnibus/kernel.h"

/* --- the kernels ------------------------------------------------------------------------------ */

/* The compilers split a vector that the instruction set has not into those that it has. */
typedef uint64_t line __attribute__((vector_size(64)));

#ifdef __clang__
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

/* Four lines a round: from one place, or from two or four, as our matrix product walks four panels. `ahead`:
 * lines that are asked for before they are read; 0: that is left to the CPU. */
static inline __attribute__((always_inline)) uint64_t read_lines(const line *p, size_t lines, size_t streams,
                                                                 size_t ahead) {
    const size_t length = lines / streams, group = 4 / streams;
    line sum[4] = {{0}, {0}, {0}, {0}};
    for (size_t i = 0; i + group <= length; i += group) {
        UNROLL for (size_t k = 0; k < 4; k++) {
            const line *from = p + k / group * length + i + k % group;
            if (ahead) __builtin_prefetch(from + ahead);
            sum[k] += *from;
        }
    }
    sum[0] += sum[1] + sum[2] + sum[3];
    return sum[0][0] + sum[0][1] + sum[0][2] + sum[0][3] + sum[0][4] + sum[0][5] + sum[0][6] + sum[0][7];
}

enum { AHEAD = 16 };
#define READ_FUNCTION(name, target, streams, ahead)                                                          \
    static target uint64_t name(const line *p, size_t lines) {                                               \
        return read_lines(p, lines, streams, ahead);                                                         \
    }
#define READ_FUNCTIONS(isa, target)                                                                          \
    READ_FUNCTION(read_##isa##_1, target, 1, 0)                                                              \
    READ_FUNCTION(read_##isa##_1_ahead, target, 1, AHEAD)                                                    \
    READ_FUNCTION(read_##isa##_2, target, 2, 0)                                                              \
    READ_FUNCTION(read_##isa##_4, target, 4, 0)                                                              \
    READ_FUNCTION(read_##isa##_4_ahead, target, 4, AHEAD)
#define READ_ROWS(isa, id, name)                                                                             \
    {name, id, read_##isa##_1}, {name ", prefetch", id, read_##isa##_1_ahead},                               \
        {name ", 2 streams", id, read_##isa##_2}, {name ", 4 streams", id, read_##isa##_4}, {                \
        name ", 4 streams, prefetch", id, read_##isa##_4_ahead                                               \
    }

READ_FUNCTIONS(portable, )
#if defined(__x86_64__)
READ_FUNCTIONS(avx2, __attribute__((target("avx2"))))
READ_FUNCTIONS(avx512, __attribute__((target("avx512f"))))
#endif

static const struct {
    const char *name;
    omni_isa isa;
    uint64_t (*run)(const line *p, size_t lines);
} readers[] = {
    READ_ROWS(portable, OMNI_ISA_PORTABLE, "portable"),
#if defined(__x86_64__)
    READ_ROWS(avx2, OMNI_ISA_AVX2, "AVX2"),
    READ_ROWS(avx512, OMNI_ISA_AVX512, "AVX-512"),
#endif
};
enum { READERS = sizeof readers / sizeof *readers };

/* --- what threads do -------------------------------------------------------------------------- */

static void read_work(void *arg, size_t w) {
    const omni_host_limits *l = arg;
    uint64_t sum = readers[l->read_kernel].run((const line *)(const void *)l->read.at[w], l->read.bytes / 64);
    __asm__ volatile("" ::"r"(sum)); /* so that no load is left out */
}

static void copy_work(void *arg, size_t w) {
    const omni_host_limits *l = arg;
    memcpy(l->read.at[w] + l->read.bytes / 2, l->read.at[w], l->read.bytes / 2);
}

static void touch_work(void *arg, size_t w) {
    const host_buffers *b = arg;
    memset(b->at[w], 1, b->bytes);
}

/* --- the fastest ------------------------------------------------------------------------------ */

/* Of a core: four times the last cache, between 128 and 512 MiB, all cores' at most an eighth of what is
 * free. */
static size_t buffer_bytes(const omni_host_limits *l) {
    const size_t least = (size_t)128 << 20, most = (size_t)512 << 20;
    size_t bytes = 4 * omni_topo_host(l->topo)->l3_bytes;
    size_t free_bytes = omni_topo_memory_available() / 8 / l->cores;
    bytes = bytes < least ? least : bytes > most ? most : bytes;
    bytes = bytes < free_bytes ? bytes : free_bytes;
    return bytes & ~(size_t)0xffff;
}

/* The least time on these pages, of two rounds over all kernels that the CPU can run; the kernel in
 * *fastest. */
static double try_kernels(omni_host_limits *l, size_t *fastest) {
    double best = INFINITY;
    for (size_t i = 0; i < 2 * READERS && !host_stopped(l); i++) {
        l->read_kernel = i % READERS;
        if (readers[l->read_kernel].isa > omni_kernel_isa()) continue;
        double ns = omni_host_team_ns(l->topo, l->cores, read_work, l);
        if (ns < best) best = ns, *fastest = l->read_kernel;
    }
    return best;
}

/* Normal pages, then huge ones, which usually stay. */
static bool search(omni_host_limits *l) {
    size_t bytes = buffer_bytes(l), fastest[2] = {0};
    double ns[2];
    for (int huge = 0; huge < 2; huge++) {
        host_buffers_free(&l->read);
        if (!host_buffers_create(l, bytes, huge, touch_work, &l->read)) return false;
        ns[huge] = try_kernels(l, &fastest[huge]);
    }
    bool huge = ns[1] <= ns[0];
    l->read_kernel = fastest[huge];
    snprintf(l->read_name, sizeof l->read_name, "%s, %s pages", readers[fastest[huge]].name,
             huge ? "huge" : "normal");
    if (huge) return true;
    host_buffers_free(&l->read);
    return host_buffers_create(l, bytes, false, touch_work, &l->read);
}

static bool prepare(omni_host_limits *l, size_t cores) {
    if (!l->read.at && !l->read_failed) l->read_failed = !search(l);
    return l->read.at && cores >= 1 && cores <= l->cores && !host_stopped(l);
}

double omni_host_read_rate(omni_host_limits *l, size_t cores) {
    if (!prepare(l, cores)) return NAN;
    return (double)(cores * l->read.bytes) * 1e9 / omni_host_team_ns(l->topo, cores, read_work, l);
}

double omni_host_copy_rate(omni_host_limits *l, size_t cores) {
    if (!prepare(l, cores)) return NAN;
    return (double)(cores * l->read.bytes / 2) * 1e9 / omni_host_team_ns(l->topo, cores, copy_work, l);
}

const char *omni_host_read_kernel(const omni_host_limits *l) {
    return l->read_name;
}
