/* fabric_job.c: see fabric_job.h. */
#include <math.h>
#include <string.h>

#include "fabric_job.h"
#include "omnibus/kernel.h"

/* First touch by the worker that will use it. */
static void job_touch(void *arg, size_t w) {
    fabric_job *j = arg;
    omni_range own = omni_split(j->pes, j->workers, w);
    memset(j->memory + own.start * j->pitch, 0, own.count * j->pitch);
    if (w == 0) memset(j->memory + j->pes * j->pitch, 0, j->pitch);
}

/* Level by level, the additions of the busiest worker; and the levels between workers. */
static size_t path_adds(size_t pes, size_t workers, size_t *crossing) {
    size_t adds = 0;
    *crossing = 0;
    for (size_t step = 1; step < pes; step *= 2) {
        size_t most = 0, mine = 0, owner = SIZE_MAX;
        bool crosses = false;
        for (size_t i = 0; i + step < pes; i += 2 * step) {
            size_t taker = omni_split_owner(pes, workers, i);
            mine = taker == owner ? mine + 1 : 1;
            owner = taker;
            most = mine > most ? mine : most;
            crosses |= taker != omni_split_owner(pes, workers, i + step);
        }
        adds += most;
        *crossing += crosses;
    }
    return adds;
}

static void open_fabrics(fabric_job *j) {
    static const char *const kinds[FABRICS] = {"shm", "shm", "null"};
    static const char *const schedules[FABRICS] = {"sliced", "pairwise", NULL};
    omni_error err = {0};
    omni_segment all = {0, j->pes};
    for (size_t k = 0; k < FABRICS; k++) {
        omni_fabric_options o = {.kind = kinds[k],
                                 .schedule = schedules[k],
                                 .pes = j->pes,
                                 .workers = j->workers,
                                 .segments = &all,
                                 .segment_count = 1,
                                 .wait = omni_wait_policy_for(j->workers, bench_cores(j->b)),
                                 .stop = bench_stop(j->b)};
        if (omni_fabric_create(&o, &j->fabric[k], &err)) bench_die(&err);
    }
}

void fabric_job_open(fabric_job *j, bench *b, size_t pes, size_t bytes) {
    size_t cores = bench_cores(b);
    *j = (fabric_job){.b = b, .pes = pes, .workers = pes < cores ? pes : cores, .bytes = bytes};
    open_fabrics(j);
    j->adds = path_adds(pes, j->workers, &j->crossing);
    /* Whole lines; and buffers of PEs don't fall on the same sets. */
    j->pitch = omni_round_up(bytes, OMNI_CACHE_LINE) + 65 * OMNI_CACHE_LINE;
    j->memory = bench_pages((pes + 1) * j->pitch);
    j->views = omni_alloc_array(pes, sizeof *j->views);
    j->buffers = omni_alloc_array(pes, sizeof *j->buffers);
    bench_need(j->views);
    bench_need(j->buffers);
    for (size_t i = 0; i < pes; i++) {
        j->buffers[i] = j->memory + i * j->pitch;
        j->views[i] = omni_view_flat(j->buffers[i], bytes);
    }
    bench_team_ns(b, j->workers, job_touch, j);
}

void fabric_job_close(fabric_job *j) {
    for (size_t k = 0; k < FABRICS; k++) omni_fabric_free(j->fabric[k]);
    bench_pages_free(j->memory, (j->pes + 1) * j->pitch);
    omni_free(j->views);
    omni_free(j->buffers);
}

/* --- what is timed ---------------------------------------------------------------------------- */

void job_broadcast(void *arg, size_t w) {
    fabric_job *j = arg;
    const omni_view *own = &j->views[omni_split(j->pes, j->workers, w).start];
    for (size_t i = 0; i < j->iterations; i++) {
        size_t writer = omni_split(j->pes, j->workers, i % j->workers).start;
        if (!omni_fabric_broadcast(j->fabric[j->in_use], w, 0, writer, &j->views[writer], own)) return;
    }
}

void job_copies(void *arg, size_t w) {
    fabric_job *j = arg;
    omni_range own = omni_split(j->pes, j->workers, w);
    const unsigned char *src = j->memory + j->pes * j->pitch;
    for (size_t i = 0; i < j->iterations; i++)
        for (size_t k = j->workers == 1; k < own.count; k++) memcpy(j->buffers[own.start + k], src, j->bytes);
}

void job_copy(void *arg, size_t w) {
    fabric_job *j = arg;
    (void)w;
    for (size_t i = 0; i < j->iterations; i++)
        memcpy(j->buffers[i % j->pes], j->memory + j->pes * j->pitch, j->bytes);
}

static const omni_fabric_operator sum = {omni_combine_sum, NULL, sizeof(float)};

void job_reduce(void *arg, size_t w) {
    fabric_job *j = arg;
    void *const *own = &j->buffers[omni_split(j->pes, j->workers, w).start];
    omni_view form = omni_view_flat(NULL, j->bytes);
    for (size_t i = 0; i < j->iterations; i++)
        if (!omni_fabric_reduce(j->fabric[j->in_use], w, 0, own, &form, &sum)) return;
}

void job_allreduce(void *arg, size_t w) {
    fabric_job *j = arg;
    size_t first = omni_split(j->pes, j->workers, w).start;
    omni_fabric *f = j->fabric[j->in_use];
    for (size_t i = 0; i < j->iterations; i++)
        if (!omni_fabric_reduce(f, w, 0, &j->buffers[first], &j->views[0], &sum) ||
            !omni_fabric_broadcast(f, w, 0, 0, &j->views[0], &j->views[first]))
            return;
}

void job_adds(void *arg, size_t w) {
    fabric_job *j = arg;
    omni_range own = omni_split(j->pes, j->workers, w);
    for (size_t i = 0; i < j->iterations; i++)
        for (size_t k = 0; k < j->adds; k++) {
            size_t to = 2 * k % own.count,
                   from = own.count > 1 ? (2 * k + 1) % own.count : j->pes - own.start;
            omni_combine_sum(j->memory + (own.start + to) * j->pitch,
                             j->memory + (own.start + from) * j->pitch, j->bytes, NULL);
        }
}

double timed_once(void *arg) {
    timed *t = arg;
    t->job->in_use = t->fabric;
    t->job->iterations = t->iterations;
    size_t workers = t->workers ? t->workers : t->job->workers;
    return bench_team_ns(t->job->b, workers, t->work, t->job) / (double)t->iterations;
}

void timed_prepare(timed *t) {
    t->iterations = 4;
    timed_once(t); /* cold */
    t->iterations = bench_iterations(timed_once(t));
}

/* --- limit: what another core has just written ------------------------------------------------ */

enum { TRANSFERS = 200 };

void transfer_open(transfer *t, bench *b, size_t bytes) {
    *t = (transfer){.b = b, .bytes = bytes};
    t->memory = bench_pages(3 * bytes);
    memset(t->memory, 0, 3 * bytes);
    for (size_t i = 0; i < 2; i++) omni_word_init(&t->word[i], 0);
}

void transfer_close(transfer *t) {
    bench_pages_free(t->memory, 3 * t->bytes);
}

/* Worker 0 writes and tells worker 1, which reads, looks at the clock, and tells worker 0. */
static void transfer_work(void *arg, size_t w) {
    transfer *t = arg;
    omni_wait_policy wait = omni_wait_policy_for(2, 2);
    uint32_t base = omni_word_peek(&t->word[w]);
    uint64_t ns = 0;
    for (uint32_t n = base + 1; n <= base + TRANSFERS; n++) {
        if (w == 0) {
            memcpy(t->memory + t->bytes, t->memory, t->bytes);
            omni_word_publish(&t->word[0], n);
        }
        if (!omni_word_wait(&t->word[1 - w], n, wait, bench_stop(t->b))) return;
        if (w == 0) continue;
        uint64_t begin = omni_clock_ns();
        memcpy(t->memory + 2 * t->bytes, t->memory + t->bytes, t->bytes);
        ns += omni_clock_ns() - begin;
        omni_word_publish(&t->word[1], n);
    }
    if (w == 1) t->ns = (double)ns / TRANSFERS;
}

double transfer_once(void *arg) {
    transfer *t = arg;
    if (bench_cores(t->b) < 2) return NAN;
    bench_team_ns(t->b, 2, transfer_work, t);
    return t->ns;
}
