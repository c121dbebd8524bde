/* common.c: the machine, the team, the repetitions, the limits. See common.h.
 *
 * Limits are those of plain code that does nothing else: loads that are added up, memcpy, two words between
 * two cores, BLIS's own sgemm. BLIS is called directly here, because the limit must not be our own wrapper.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <blis.h>

#include "common.h"
#include "omnibus/kernel.h"

enum { PEAK_N = 2048, PINGS = 5000 };

struct bench {
    omni_topo *topo;
    omni_stop stop;
    size_t cores;
    const char *json_path;
    json_t *result;
    unsigned char **read; /* [cores] buffers of read_bytes */
    size_t read_bytes, read_kernel;
    float **peak; /* [cores] three matrices PEAK_N x PEAK_N */
};

/* --- a run ------------------------------------------------------------------------------------ */

void bench_die(const omni_error *err) {
    fprintf(stderr, "bench: %s\n", err->text);
    exit(err->status ? (int)err->status : OMNI_RUN_FAILED);
}

void bench_need(const void *p) {
    omni_error err = {.status = OMNI_RUN_FAILED, .text = "out of memory"};
    if (!p) bench_die(&err);
}

/* Physical cores that we may use at the same time. */
static size_t count_cores(const omni_topo *t) {
    size_t cores = 0, parallel = omni_topo_parallel(t);
    for (size_t i = 0; i < omni_topo_cpus(t); i++) cores += !omni_topo_cpu(t, i)->smt_sibling;
    return cores < parallel ? cores : parallel;
}

/* Of the directory we run in; outside git there is none. */
static void find_commit(char *text, size_t cap) {
    FILE *git = popen("git describe --always --dirty --tags 2>/dev/null", "r");
    if (!git || !fgets(text, (int)cap, git)) snprintf(text, cap, "unknown");
    if (git) pclose(git);
    text[strcspn(text, "\n")] = '\0';
}

static void print_head(bench *b, const char *name, const char *timed, const char *not_timed) {
    const omni_host *host = omni_topo_host(b->topo);
    char commit[96], l2[32], l3[32];
    find_commit(commit, sizeof commit);
    printf("%s  (omnibus %s, commit %s)\n", name, OMNI_VERSION, commit);
    printf("machine    %s; %zu cores used of %zu; L2 %s, L3 %s; kernels %s; %s\n", host->cpu_model, b->cores,
           host->cores, omni_format_bytes(l2, sizeof l2, host->l2_bytes),
           omni_format_bytes(l3, sizeof l3, host->l3_bytes), omni_isa_name(omni_kernel_isa()), host->kernel);
    double load = 0;
    if (getloadavg(&load, 1) == 1)
        printf("load       %.1f before the start%s\n", load,
               load > 0.5 ? ": other programs disturb what follows" : "");
    printf("timed      %s\nnot timed  %s\n", timed, not_timed);
    printf("figures    median (min - max) of interleaved repetitions; ratios are formed round by round\n");
    bench_result(b, "schema", json_sprintf("omnibus.bench-%s/1", name));
    bench_result(b, "version", json_string(OMNI_VERSION));
    bench_result(b, "commit", omni_json_string(commit));
    bench_result(b, "host", omni_json_host(b->topo));
    bench_result(b, "isa", json_string(omni_isa_name(omni_kernel_isa())));
    bench_result(b, "cores", json_integer((json_int_t)b->cores));
}

static void parse_arguments(bench *b, int argc, char **argv) {
    omni_error err = {0};
    if (argc == 3 && strcmp(argv[1], "--json") == 0)
        b->json_path = argv[2];
    else if (argc > 1)
        omni_error_set(&err, OMNI_BAD_INPUT, "usage: %s [--json FILE]", argv[0]);
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        puts(err.text);
        exit(0);
    }
    if (!err.status) omni_output_check(b->json_path, &err);
    if (err.status) bench_die(&err);
}

bench *bench_open(int argc, char **argv, const char *name, const char *timed, const char *not_timed) {
    omni_error err = {0};
    bench *b = omni_alloc(sizeof *b);
    bench_need(b);
    parse_arguments(b, argc, argv);
    if (omni_topo_open(NULL, NULL, &b->topo, &err) || omni_kernel_init(&err)) bench_die(&err);
    b->cores = count_cores(b->topo);
    b->result = json_object();
    print_head(b, name, timed, not_timed);
    return b;
}

int bench_close(bench *b) {
    omni_error err = {0};
    omni_text *text = omni_text_create();
    omni_json_draw(b->result, text);
    if (b->json_path && omni_text_emit(text, b->json_path, &err)) bench_die(&err);
    omni_text_free(text);
    json_decref(b->result);
    omni_topo_close(b->topo);
    omni_free(b->read);
    omni_free(b->peak);
    omni_free(b);
    return 0;
}

const omni_topo *bench_topo(const bench *b) {
    return b->topo;
}

omni_stop *bench_stop(bench *b) {
    return &b->stop;
}

size_t bench_cores(const bench *b) {
    return b->cores;
}

void bench_result(bench *b, const char *key, json_t *value) {
    if (json_object_set_new(b->result, key, value)) bench_need(NULL);
}

void bench_show(const char *title, omni_table *table) {
    omni_text *text = omni_text_create();
    omni_table_draw(table, text);
    printf("\n%s\n\n%s", title, omni_text_string(text));
    fflush(stdout);
    omni_text_free(text);
    omni_table_free(table);
}

void *bench_pages(size_t bytes) {
    if (bytes > omni_topo_memory_available()) bench_need(NULL);
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) bench_need(NULL);
    madvise(p, bytes, MADV_HUGEPAGE); /* a wish */
    return p;
}

void bench_pages_free(void *p, size_t bytes) {
    munmap(p, bytes);
}

/* --- pinned threads --------------------------------------------------------------------------- */

typedef struct member {
    _Alignas(OMNI_CACHE_LINE) pthread_t thread;
    bench *b;
    size_t index;
    bench_work *work;
    void *arg;
    omni_barrier *line;
    uint64_t begin, end; /* written by the thread, read after the join */
} member;

static void *member_run(void *arg) {
    member *m = arg;
    (void)omni_topo_bind_thread(m->b->topo, m->index); /* refused: unpinned figures are still figures */
    omni_barrier_wait(m->line, m->index, (omni_wait_policy){.spins = 8192}, &m->b->stop);
    m->begin = omni_clock_ns();
    m->work(m->arg, m->index);
    m->end = omni_clock_ns();
    return NULL;
}

double bench_team_ns(bench *b, size_t workers, bench_work *work, void *arg) {
    omni_error err = {.status = OMNI_RUN_FAILED, .text = "no thread"};
    member *team = omni_alloc_array(workers, sizeof *team);
    omni_barrier *line = omni_barrier_create(workers);
    bench_need(team);
    bench_need(line);
    for (size_t w = 0; w < workers; w++) {
        team[w] = (member){.b = b, .index = w, .work = work, .arg = arg, .line = line};
        if (pthread_create(&team[w].thread, NULL, member_run, &team[w])) bench_die(&err);
    }
    uint64_t begin = UINT64_MAX, end = 0;
    for (size_t w = 0; w < workers; w++) {
        pthread_join(team[w].thread, NULL);
        if (team[w].begin < begin) begin = team[w].begin;
        if (team[w].end > end) end = team[w].end;
    }
    omni_barrier_free(line);
    omni_free(team);
    return (double)(end - begin);
}

/* --- repetitions ------------------------------------------------------------------------------ */

void bench_measure(bench_series *series, size_t count, size_t reps) {
    for (size_t i = 0; i < count; i++) series[i].once(series[i].arg);
    for (size_t r = 0; r < reps; r++)
        for (size_t i = 0; i < count; i++) series[i].sample[r] = series[i].once(series[i].arg);
}

size_t bench_iterations(double ns) {
    enum { LEAST = 4, MOST = 100000 };
    double n = 3e6 / ns;
    return n > MOST ? MOST : n > LEAST ? (size_t)n : LEAST;
}

bench_spread bench_spread_of(const double *sample, size_t reps) {
    double sorted[BENCH_REPS];
    memcpy(sorted, sample, reps * sizeof *sorted);
    double median = omni_median(sorted, reps); /* sorts */
    return (bench_spread){median, sorted[0], sorted[reps - 1]};
}

bench_spread bench_ratio(const bench_series *figure, const bench_series *limit, size_t reps) {
    double ratio[BENCH_REPS];
    for (size_t r = 0; r < reps; r++) ratio[r] = figure->sample[r] / limit->sample[r];
    return bench_spread_of(ratio, reps);
}

json_t *bench_spread_json(bench_spread s) {
    return json_pack("{s:o,s:o,s:o}", "median", omni_json_number(s.median), "min", omni_json_number(s.min),
                     "max", omni_json_number(s.max));
}

void bench_cell(omni_table *table, bench_spread s, double scale) {
    double median = s.median * scale;
    int decimals = median >= 100 ? 0 : median >= 10 ? 1 : 2;
    if (isnan(median))
        omni_table_cell(table, "-");
    else
        omni_table_cell(table, "%.*f (%.*f - %.*f)", decimals, median, decimals, s.min * scale, decimals,
                        s.max * scale);
}

/* --- limit: reading --------------------------------------------------------------------------- */

/* The compilers split a vector that the instruction set has not into those that it has. */
typedef uint64_t line __attribute__((vector_size(64)));

#ifdef __clang__
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

/* Four lines a round: from one place, or from four, as our matrix product walks four panels. */
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

#define READ_FUNCTION(name, target, streams, ahead)                                                          \
    static target uint64_t name(const line *p, size_t lines) {                                               \
        return read_lines(p, lines, streams, ahead);                                                         \
    }
READ_FUNCTION(read_portable, , 1, 0)
READ_FUNCTION(read_portable_4, , 4, 16)
#if defined(__x86_64__)
READ_FUNCTION(read_avx2, __attribute__((target("avx2"))), 1, 0)
READ_FUNCTION(read_avx2_ahead, __attribute__((target("avx2"))), 1, 16)
READ_FUNCTION(read_avx2_4, __attribute__((target("avx2"))), 4, 16)
READ_FUNCTION(read_avx512, __attribute__((target("avx512f"))), 1, 0)
READ_FUNCTION(read_avx512_ahead, __attribute__((target("avx512f"))), 1, 16)
READ_FUNCTION(read_avx512_4, __attribute__((target("avx512f"))), 4, 16)
#endif

static const struct {
    const char *name;
    omni_isa isa;
    uint64_t (*run)(const line *p, size_t lines);
} readers[] = {
    {"portable", OMNI_ISA_PORTABLE, read_portable},
    {"portable, 4 streams, prefetch", OMNI_ISA_PORTABLE, read_portable_4},
#if defined(__x86_64__)
    {"AVX2", OMNI_ISA_AVX2, read_avx2},
    {"AVX2, prefetch", OMNI_ISA_AVX2, read_avx2_ahead},
    {"AVX2, 4 streams, prefetch", OMNI_ISA_AVX2, read_avx2_4},
    {"AVX-512", OMNI_ISA_AVX512, read_avx512},
    {"AVX-512, prefetch", OMNI_ISA_AVX512, read_avx512_ahead},
    {"AVX-512, 4 streams, prefetch", OMNI_ISA_AVX512, read_avx512_4},
#endif
};
enum { READERS = sizeof readers / sizeof *readers };

static volatile uint64_t read_sink; /* so that no sum is left out */

static void read_work(void *arg, size_t w) {
    const bench *b = arg;
    read_sink = readers[b->read_kernel].run((const line *)(const void *)b->read[w], b->read_bytes / 64);
}

static void copy_work(void *arg, size_t w) {
    const bench *b = arg;
    memcpy(b->read[w] + b->read_bytes / 2, b->read[w], b->read_bytes / 2);
}

static void touch_work(void *arg, size_t w) {
    const bench *b = arg;
    memset(b->read[w], 1, b->read_bytes);
}

/* Eight times the last cache, at least 256 MiB a core, but never more than a quarter of what is free. */
static void prepare_read(bench *b) {
    if (b->read) return;
    size_t l3 = 8 * omni_topo_host(b->topo)->l3_bytes, least = (size_t)256 << 20;
    size_t most = omni_topo_memory_available() / 4 / b->cores;
    b->read_bytes = (l3 > least ? l3 : least);
    if (b->read_bytes > most) b->read_bytes = most;
    b->read_bytes &= ~(size_t)0xffff;
    b->read = omni_alloc_array(b->cores, sizeof *b->read);
    bench_need(b->read);
    for (size_t w = 0; w < b->cores; w++) b->read[w] = bench_pages(b->read_bytes);
    bench_team_ns(b, b->cores, touch_work, b);
    double best = INFINITY;
    size_t fastest = 0;
    for (size_t i = 0; i < 3 * READERS; i++) {
        b->read_kernel = i % READERS;
        if (readers[b->read_kernel].isa > omni_kernel_isa()) continue;
        double ns = bench_team_ns(b, 1, read_work, b);
        if (ns < best) best = ns, fastest = b->read_kernel;
    }
    b->read_kernel = fastest;
}

const char *bench_read_kernel(const bench *b) {
    return b->read ? readers[b->read_kernel].name : "-";
}

double bench_read_rate(void *arg) {
    const bench_limit *l = arg;
    prepare_read(l->b);
    return (double)(l->cores * l->b->read_bytes) * 1e9 / bench_team_ns(l->b, l->cores, read_work, l->b);
}

double bench_copy_rate(void *arg) {
    const bench_limit *l = arg;
    prepare_read(l->b);
    return (double)(l->cores * l->b->read_bytes / 2) * 1e9 / bench_team_ns(l->b, l->cores, copy_work, l->b);
}

/* --- limit: handing a cache line over --------------------------------------------------------- */

typedef struct ping_words {
    _Alignas(OMNI_CACHE_LINE) _Atomic uint32_t word[2][OMNI_CACHE_LINE / sizeof(uint32_t)];
    bool pause, exchange; /* never written while the threads run */
} ping_words;

/* Polling without a pause takes the line away from the one who is about to write it, and so may be slower
 * than polling with one. A store may wait in the store buffer; an exchange doesn't. The best of them is L. */
static void ping_wait(_Atomic uint32_t *word, uint32_t n, bool pause) {
    /* Acquire, as a hand-off of data needs it; pairs with the stores in ping_work. */
    while (atomic_load_explicit(word, memory_order_acquire) != n) {
#if defined(__x86_64__)
        if (pause) __builtin_ia32_pause();
#else
        (void)pause;
#endif
    }
}

static void ping_send(_Atomic uint32_t *word, uint32_t n, bool exchange) {
    /* Release, as a hand-off of data needs it; pairs with the load in ping_wait. */
    if (exchange)
        atomic_exchange_explicit(word, n, memory_order_release);
    else
        atomic_store_explicit(word, n, memory_order_release);
}

/* Worker 0 puts a number into its word, worker 1 answers with the same in its own. */
static void ping_work(void *arg, size_t w) {
    ping_words *p = arg;
    for (uint32_t n = 1; n <= PINGS; n++) {
        if (w == 0) ping_send(&p->word[0][0], n, p->exchange);
        ping_wait(&p->word[1 - w][0], n, p->pause);
        if (w == 1) ping_send(&p->word[1][0], n, p->exchange);
    }
}

double bench_handoff_ns(void *arg) {
    const bench_limit *l = arg;
    double best = INFINITY;
    if (l->b->cores < 2) return NAN;
    for (int way = 0; way < 4; way++) {
        ping_words words = {.pause = way & 1, .exchange = way & 2};
        double ns = bench_team_ns(l->b, 2, ping_work, &words) / (2.0 * PINGS);
        if (ns < best) best = ns;
    }
    return best;
}

/* --- limit: multiplying ----------------------------------------------------------------------- */

static void peak_touch(void *arg, size_t w) {
    const bench *b = arg;
    for (size_t i = 0; i < 3 * (size_t)PEAK_N * PEAK_N; i++) b->peak[w][i] = (float)(i % 17) * 0.0625f - 0.5f;
}

static void peak_work(void *arg, size_t w) {
    const bench *b = arg;
    float *x = b->peak[w], *y = x + (size_t)PEAK_N * PEAK_N, *z = y + (size_t)PEAK_N * PEAK_N;
    float one = 1, zero = 0;
    bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, PEAK_N, PEAK_N, PEAK_N, &one, x, PEAK_N, 1, y, PEAK_N, 1,
              &zero, z, PEAK_N, 1);
}

double bench_peak_flops(void *arg) {
    const bench_limit *l = arg;
    bench *b = l->b;
    if (!b->peak) {
        bli_thread_set_num_threads(1); /* a thread a core is ours */
        b->peak = omni_alloc_array(b->cores, sizeof *b->peak);
        bench_need(b->peak);
        for (size_t w = 0; w < b->cores; w++) b->peak[w] = bench_pages(3 * sizeof(float) * PEAK_N * PEAK_N);
        bench_team_ns(b, b->cores, peak_touch, b);
    }
    return 2.0 * PEAK_N * PEAK_N * PEAK_N * (double)l->cores * 1e9 / bench_team_ns(b, l->cores, peak_work, b);
}
