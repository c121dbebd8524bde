/* bench_fabric.c: what moving bytes between PEs costs, on the fabric's own operations.
 *
 *     hand-off, barrier     against L, a cache line from one core to another
 *     broadcast             against the same copies without anybody waiting for anybody, + L
 *     tree reduction        against the same additions, level by level, + L for each level between workers
 *     null                  the same calls on the fabric that moves nothing: what the interface itself costs
 *
 * n PEs live on min(n, cores) pinned workers. Operations follow each other, and the writer of a broadcast
 * goes round the workers: nobody can write before having read what came before, so a figure is the time of
 * one whole message, not of a stream of them.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common.h"
#include "omnibus/fabric.h"
#include "omnibus/kernel.h"

enum { REPS = 15, SIZES = 3, COUNTS = 4 };
static const size_t broadcast_bytes[SIZES] = {64, 16 << 10, 1 << 20};
static const size_t reduce_bytes[SIZES] = {4 << 10, 16 << 10, 256 << 10};
static const size_t pe_counts[COUNTS] = {2, 4, 16, 64};

/* --- hand-off and barrier --------------------------------------------------------------------- */

typedef struct sync_job {
    bench *b;
    size_t workers, iterations;
    omni_wait_policy wait;
    omni_barrier *barrier;
    omni_word word[2];
} sync_job;

static void word_work(void *arg, size_t w) {
    sync_job *j = arg;
    uint32_t base = omni_word_peek(&j->word[w]);
    for (uint32_t n = base + 1; n <= base + j->iterations; n++) {
        if (w == 0) omni_word_publish(&j->word[0], n);
        if (!omni_word_wait(&j->word[1 - w], n, j->wait, bench_stop(j->b))) return;
        if (w == 1) omni_word_publish(&j->word[1], n);
    }
}

static double word_once(void *arg) {
    sync_job *j = arg;
    if (j->workers < 2) return NAN;
    return bench_team_ns(j->b, 2, word_work, j) / (2.0 * (double)j->iterations);
}

static void barrier_work(void *arg, size_t w) {
    sync_job *j = arg;
    for (size_t i = 0; i < j->iterations; i++) omni_barrier_wait(j->barrier, w, j->wait, bench_stop(j->b));
}

static double barrier_once(void *arg) {
    sync_job *j = arg;
    if (j->workers < 2) return NAN;
    return bench_team_ns(j->b, j->workers, barrier_work, j) / (double)j->iterations;
}

static void add_sync_row(omni_table *t, json_t *rows, const char *name, size_t workers,
                         const bench_series *figure, const bench_series *handoff) {
    bench_spread ns = bench_spread_of(figure->sample, REPS), ratio = bench_ratio(figure, handoff, REPS);
    omni_table_cell(t, "%s", name);
    omni_table_cell(t, "%zu", workers);
    bench_cell(t, ns, 1);
    bench_cell(t, ratio, 1);
    json_array_append_new(rows,
                          json_pack("{s:s,s:i,s:o,s:o}", "operation", name, "workers", (int)workers, "ns",
                                    bench_spread_json(ns), "ratio_to_handoff", bench_spread_json(ratio)));
}

static void bench_sync(bench *b) {
    static const char *const heads[] = {"operation", ">workers", ">ns", ">x L"};
    size_t cores = bench_cores(b);
    omni_table *t = omni_table_create(heads, 4);
    json_t *rows = json_array();
    sync_job j = {.b = b, .workers = cores, .iterations = 10000};
    j.wait = omni_wait_policy_for(cores, cores);
    j.barrier = omni_barrier_create(cores);
    bench_need(j.barrier);
    for (size_t i = 0; i < 2; i++) omni_word_init(&j.word[i], 0);
    bench_limit two = {b, 2};
    bench_series s[] = {{.once = bench_handoff_ns, .arg = &two},
                        {.once = word_once, .arg = &j},
                        {.once = barrier_once, .arg = &j}};
    bench_measure(s, 3, REPS);
    add_sync_row(t, rows, "L: cache line", 2, &s[0], &s[0]);
    add_sync_row(t, rows, "word: publish to wait", 2, &s[1], &s[0]);
    add_sync_row(t, rows, "barrier", cores, &s[2], &s[0]);
    bench_show("Handing over. L: half a ping-pong between two pinned cores, the best of four ways.", t);
    bench_result(b, "sync", rows);
    omni_barrier_free(j.barrier);
}

/* --- messages --------------------------------------------------------------------------------- */

typedef struct fabric_job {
    bench *b;
    omni_fabric *fabric[2]; /* shm, null */
    size_t in_use;          /* which of them */
    size_t pes, workers, bytes;
    size_t iterations;
    unsigned char *memory; /* [pes + 1][pitch], the last one is the shared source of plain copies */
    size_t pitch;
    omni_view *views; /* [pes] */
    void **buffers;   /* [pes] */
    size_t adds;      /* on the longest path of a reduction */
} fabric_job;

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

static void job_open(fabric_job *j, bench *b, size_t pes, size_t bytes) {
    static const char *const kinds[] = {"shm", "null"};
    size_t cores = bench_cores(b), workers = pes < cores ? pes : cores;
    omni_error err = {0};
    omni_segment all = {0, pes};
    *j = (fabric_job){.b = b, .pes = pes, .workers = workers, .bytes = bytes};
    for (size_t k = 0; k < 2; k++) {
        omni_fabric_options o = {.kind = kinds[k], .pes = pes, .workers = workers, .segments = &all};
        o.segment_count = 1;
        o.wait = omni_wait_policy_for(workers, omni_topo_parallel(bench_topo(b)));
        o.stop = bench_stop(b);
        if (omni_fabric_create(&o, &j->fabric[k], &err)) bench_die(&err);
    }
    j->pitch =
        bytes + 64 * OMNI_CACHE_LINE + OMNI_CACHE_LINE; /* buffers of PEs don't fall on the same sets */
    j->memory = bench_pages((pes + 1) * j->pitch);
    j->views = omni_alloc_array(pes, sizeof *j->views);
    j->buffers = omni_alloc_array(pes, sizeof *j->buffers);
    bench_need(j->views);
    bench_need(j->buffers);
    for (size_t i = 0; i < pes; i++) {
        j->buffers[i] = j->memory + i * j->pitch;
        j->views[i] = omni_view_flat(j->buffers[i], bytes);
    }
    bench_team_ns(b, workers, job_touch, j);
}

static void job_close(fabric_job *j) {
    for (size_t k = 0; k < 2; k++) omni_fabric_free(j->fabric[k]);
    bench_pages_free(j->memory, (j->pes + 1) * j->pitch);
    omni_free(j->views);
    omni_free(j->buffers);
}

/* --- what is timed ---------------------------------------------------------------------------- */

static void broadcast_work(void *arg, size_t w) {
    fabric_job *j = arg;
    const omni_view *own = &j->views[omni_split(j->pes, j->workers, w).start];
    for (size_t i = 0; i < j->iterations; i++) {
        size_t writer = omni_split(j->pes, j->workers, i % j->workers).start;
        if (!omni_fabric_broadcast(j->fabric[j->in_use], w, 0, writer, &j->views[writer], own)) return;
    }
}

/* A worker copies once for each of its ranks (the writer: into the ring instead of to itself). On one worker
 * there is no ring. */
static void copies_work(void *arg, size_t w) {
    fabric_job *j = arg;
    omni_range own = omni_split(j->pes, j->workers, w);
    const unsigned char *src = j->memory + j->pes * j->pitch;
    for (size_t i = 0; i < j->iterations; i++)
        for (size_t k = j->workers == 1; k < own.count; k++) memcpy(j->buffers[own.start + k], src, j->bytes);
}

static void reduce_work(void *arg, size_t w) {
    fabric_job *j = arg;
    void *const *own = &j->buffers[omni_split(j->pes, j->workers, w).start];
    omni_view form = omni_view_flat(NULL, j->bytes);
    omni_fabric_operator sum = {omni_combine_sum, NULL, sizeof(float)};
    for (size_t i = 0; i < j->iterations; i++)
        if (!omni_fabric_reduce(j->fabric[j->in_use], w, 0, own, &form, &sum)) return;
}

static void adds_work(void *arg, size_t w) {
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

/* --- tables ----------------------------------------------------------------------------------- */

typedef struct subject {
    const char *key, *title;
    const size_t *bytes;
    bench_work *work, *plain; /* the operation; the same work without the fabric */
} subject;

typedef struct timed {
    fabric_job *job;
    bench_work *work;
    size_t fabric; /* 0 shm, 1 null */
    size_t iterations;
} timed;

/* Nanoseconds of one operation. */
static double timed_once(void *arg) {
    timed *t = arg;
    t->job->in_use = t->fabric;
    t->job->iterations = t->iterations;
    return bench_team_ns(t->job->b, t->job->workers, t->work, t->job) / (double)t->iterations;
}

static void add_row(omni_table *t, json_t *rows, const fabric_job *j, const bench_series s[4]) {
    char size[32];
    bench_spread us = bench_spread_of(s[1].sample, REPS), limit = bench_spread_of(s[0].sample, REPS);
    bench_spread ratio = bench_ratio(&s[1], &s[0], REPS), null = bench_spread_of(s[2].sample, REPS);
    omni_table_cell(t, "%zu", j->pes);
    omni_table_cell(t, "%zu", j->workers);
    omni_table_cell(t, "%s", omni_format_bytes(size, sizeof size, j->bytes));
    bench_cell(t, us, 1e-3);
    bench_cell(t, limit, 1e-3);
    bench_cell(t, ratio, 1);
    omni_table_cell(t, "%.0f", null.median);
    json_array_append_new(rows, json_pack("{s:i,s:i,s:I,s:o,s:o,s:o,s:o}", "pes", (int)j->pes, "workers",
                                          (int)j->workers, "bytes", (json_int_t)j->bytes, "ns",
                                          bench_spread_json(us), "limit_ns", bench_spread_json(limit),
                                          "ratio_to_limit", bench_spread_json(ratio), "null_ns",
                                          bench_spread_json(null)));
}

static void measure_row(bench *b, const subject *subj, size_t pes, size_t bytes, omni_table *t,
                        json_t *rows) {
    fabric_job j;
    size_t handoffs;
    job_open(&j, b, pes, bytes);
    j.adds = path_adds(pes, j.workers, &handoffs);
    if (subj->work == broadcast_work) handoffs = j.workers > 1;
    timed plain = {&j, subj->plain, 0, 4}, shm = {&j, subj->work, 0, 4}, null = {&j, subj->work, 1, 4};
    timed *all[] = {&plain, &shm, &null};
    for (size_t i = 0; i < 3; i++) {
        timed_once(all[i]); /* cold */
        all[i]->iterations = bench_iterations(timed_once(all[i]));
    }
    bench_limit two = {b, 2};
    bench_series s[] = {{.once = timed_once, .arg = &plain},
                        {.once = timed_once, .arg = &shm},
                        {.once = timed_once, .arg = &null},
                        {.once = bench_handoff_ns, .arg = &two}};
    bench_measure(s, 4, REPS);
    for (size_t r = 0; handoffs && r < REPS; r++) s[0].sample[r] += (double)handoffs * s[3].sample[r];
    add_row(t, rows, &j, s);
    job_close(&j);
}

static void bench_subject(bench *b, const subject *subj) {
    static const char *const heads[] = {">PEs",       ">workers", ">bytes",   ">time, us",
                                        ">limit, us", ">x limit", ">null, ns"};
    omni_table *t = omni_table_create(heads, 7);
    json_t *rows = json_array();
    for (size_t n = 0; n < COUNTS; n++)
        for (size_t i = 0; i < SIZES; i++) measure_row(b, subj, pe_counts[n], subj->bytes[i], t, rows);
    bench_show(subj->title, t);
    bench_result(b, subj->key, rows);
}

int main(int argc, char **argv) {
    static const subject subjects[] = {
        {"broadcast",
         "Broadcast, the writer goes round the workers. Limit: each worker copies the bytes once for each of "
         "its PEs, + L.",
         broadcast_bytes, broadcast_work, copies_work},
        {"reduce",
         "Tree reduction, float32 sum. Limit: the additions on the longest path, + L for each level between "
         "workers.",
         reduce_bytes, reduce_work, adds_work},
    };
    bench *b = bench_open(argc, argv, "fabric",
                          "operations on warm buffers, one after the other, all PEs taking part",
                          "creating fabric and threads, first touch of buffers");
    bench_sync(b);
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) bench_subject(b, &subjects[i]);
    return bench_close(b);
}
