/* bench_fabric.c: what moving bytes between PEs costs, on the fabric's own operations.
 *
 *     hand-off, barrier     against L, a cache line from one core to another
 *     ring                  messages of one line, one writer, one reader: millions a second
 *     broadcast             against the same copies without anybody waiting for anybody, + L; and of 4 MiB,
 *                           what moves a second against a core's copy rate
 *     tree reduction        against the same additions, level by level, + L for each level between workers
 *     reduce + broadcast    4,096 floats, both schedules, against 2 (L + one core reading what another just
 *                           wrote); and 4 bytes of 1,000 PEs, which is a barrier of them: 2 workers and their
 *                           PEs' share of it
 *     null                  the same calls on the fabric that moves nothing: what the interface itself costs
 *
 * Timed: operations one after the other on warm buffers, from the first worker's start to the last one's end.
 * Not timed: creating the fabric and threads, first touch. See fabric_job.h.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fabric_job.h"

enum { REPS = 15, SIZES = 3, COUNTS = 4 };
static const size_t broadcast_bytes[SIZES] = {64, 16 << 10, 4 << 20};
static const size_t reduce_bytes[SIZES] = {4 << 10, 16 << 10, 256 << 10};
static const size_t pe_counts[COUNTS] = {2, 4, 16, 64};

/* --- hand-off and barrier --------------------------------------------------------------------- */

typedef struct sync_job {
    bench *b;
    size_t workers, iterations;
    omni_wait_policy wait;
    omni_barrier *barrier;
    omni_word word[2];
    omni_ring *ring;
    size_t bytes; /* of a message */
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

/* --- ring ------------------------------------------------------------------------------------- */

static void ring_work(void *arg, size_t w) {
    sync_job *j = arg;
    omni_ring_port port;
    unsigned char message[64] = {0};
    omni_ring_port_init(&port, j->ring, w == 0 ? OMNI_RING_NO_READER : 0);
    for (size_t n = 0; n < j->iterations; n++) {
        void *to = NULL;
        const void *from = NULL;
        if (w == 0 && !(to = omni_ring_claim(&port, j->wait, bench_stop(j->b)))) return;
        if (w == 1 && !(from = omni_ring_read(&port, j->wait, bench_stop(j->b)))) return;
        memcpy(w == 0 ? to : message, w == 0 ? message : from, j->bytes);
        w == 0 ? omni_ring_publish(&port) : omni_ring_release(&port);
    }
}

/* A new ring each time: nanoseconds of a message. */
static double ring_once(void *arg) {
    sync_job *j = arg;
    if (j->workers < 2) return NAN;
    j->ring = omni_ring_create(1024, j->bytes, 1);
    bench_need(j->ring);
    double ns = bench_team_ns(j->b, 2, ring_work, j) / (double)j->iterations;
    omni_ring_free(j->ring);
    return ns;
}

static void bench_ring(bench *b) {
    static const char *const heads[] = {"slot", ">payload", ">ns a message", ">x L", ">millions/s"};
    omni_table *t = omni_table_create(heads, 5);
    json_t *rows = json_array();
    sync_job line = {.b = b, .workers = bench_cores(b), .iterations = 50000, .bytes = 56}, two_lines = line;
    two_lines.bytes = 64;
    line.wait = two_lines.wait = omni_wait_policy_for(2, 2);
    bench_limit two = {b, 2};
    bench_series s[] = {{.once = ring_once, .arg = &line},
                        {.once = ring_once, .arg = &two_lines},
                        {.once = bench_handoff_ns, .arg = &two}};
    bench_measure(s, 3, REPS);
    for (size_t i = 0; i < 2; i++) {
        bench_spread ns = bench_spread_of(s[i].sample, REPS), ratio = bench_ratio(&s[i], &s[2], REPS);
        size_t bytes = i ? 64 : 56;
        omni_table_cell(t, i ? "72 B: two lines" : "64 B: one line, number and payload");
        omni_table_cell(t, "%zu B", bytes);
        bench_cell(t, ns, 1);
        bench_cell(t, ratio, 1);
        omni_table_cell(t, "%.1f", 1e3 / ns.median);
        json_array_append_new(rows,
                              json_pack("{s:i,s:o,s:o,s:o}", "payload_bytes", (int)bytes, "ns",
                                        bench_spread_json(ns), "ratio_to_handoff", bench_spread_json(ratio),
                                        "millions_per_s", omni_json_number(1e3 / ns.median)));
    }
    bench_show("Ring of 1,024 slots, one writer, one reader, publish and consume.", t);
    bench_result(b, "ring", rows);
}

/* --- broadcast and reduction ------------------------------------------------------------------ */

typedef struct subject {
    const char *key, *title;
    const size_t *bytes;
    bench_work *work, *plain; /* the operation; the same work without the fabric */
} subject;

static void add_row(omni_table *t, json_t *rows, const fabric_job *j, const bench_series *s) {
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
    fabric_job_open(&j, b, pes, bytes);
    size_t handoffs = subj->work == job_broadcast ? j.workers > 1 : j.crossing;
    timed all[] = {{&j, subj->plain, ON_SLICED, 0, 0},
                   {&j, subj->work, ON_SLICED, 0, 0},
                   {&j, subj->work, ON_NULL, 0, 0}};
    for (size_t i = 0; i < 3; i++) timed_prepare(&all[i]);
    bench_limit two = {b, 2};
    bench_series s[] = {{.once = timed_once, .arg = &all[0]},
                        {.once = timed_once, .arg = &all[1]},
                        {.once = timed_once, .arg = &all[2]},
                        {.once = bench_handoff_ns, .arg = &two}};
    bench_measure(s, 4, REPS);
    for (size_t r = 0; handoffs && r < REPS; r++) s[0].sample[r] += (double)handoffs * s[3].sample[r];
    add_row(t, rows, &j, s);
    fabric_job_close(&j);
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

/* --- against what moves between cores --------------------------------------------------------- */

/* One line of the table: what bounds it is `times` transfers of the bytes and as many hand-offs, or the copy
 * of a core alone. */
typedef struct moved {
    const char *name;
    size_t pes, bytes;
    bench_work *work;
    fabric_which fabric;
    size_t times; /* 0: against the copy */
} moved;

static const moved moves[] = {
    {"broadcast", 2, 16 << 10, job_broadcast, ON_SLICED, 1},
    {"broadcast", 2, 16 << 10, job_broadcast, ON_SLICED, 0},
    {"broadcast", 2, 4 << 20, job_broadcast, ON_SLICED, 0},
    {"reduce + broadcast", 2, 16 << 10, job_allreduce, ON_SLICED, 2},
    {"the same, pairwise", 2, 16 << 10, job_allreduce, ON_PAIRWISE, 2},
    {"reduce + broadcast", 4, 16 << 10, job_allreduce, ON_SLICED, 2},
    {"the same, pairwise", 4, 16 << 10, job_allreduce, ON_PAIRWISE, 2},
    {"reduce + broadcast", 16, 16 << 10, job_allreduce, ON_SLICED, 2},
    {"the same, pairwise", 16, 16 << 10, job_allreduce, ON_PAIRWISE, 2},
    {"reduce + broadcast", 64, 16 << 10, job_allreduce, ON_SLICED, 2},
    {"the same, pairwise", 64, 16 << 10, job_allreduce, ON_PAIRWISE, 2},
    {"barrier of all PEs: reduce + broadcast", 1000, 4, job_allreduce, ON_SLICED, 2},
};

static void add_move(omni_table *t, json_t *rows, const moved *m, const fabric_job *j,
                     const bench_series *s) {
    char size[32];
    const char *against = m->times == 0 ? "L + copy" : m->times == 1 ? "L + transfer" : "2 (L + transfer)";
    bench_spread ns = bench_spread_of(s[0].sample, REPS), limit = bench_spread_of(s[1].sample, REPS);
    bench_spread ratio = bench_ratio(&s[0], &s[1], REPS);
    omni_table_cell(t, "%s", m->name);
    omni_table_cell(t, "%zu", m->pes);
    omni_table_cell(t, "%zu", j->workers);
    omni_table_cell(t, "%s", omni_format_bytes(size, sizeof size, m->bytes));
    bench_cell(t, ns, 1e-3);
    omni_table_cell(t, "%s", against);
    bench_cell(t, limit, 1e-3);
    bench_cell(t, ratio, 1);
    json_array_append_new(rows,
                          json_pack("{s:s,s:i,s:i,s:I,s:o,s:s,s:o,s:o}", "operation", m->name, "pes",
                                    (int)m->pes, "workers", (int)j->workers, "bytes", (json_int_t)m->bytes,
                                    "ns", bench_spread_json(ns), "limit", against, "limit_ns",
                                    bench_spread_json(limit), "ratio_to_limit", bench_spread_json(ratio)));
}

static void measure_move(bench *b, const moved *m, omni_table *t, json_t *rows) {
    fabric_job j;
    transfer between;
    fabric_job_open(&j, b, m->pes, m->bytes);
    transfer_open(&between, b, m->bytes);
    timed work = {&j, m->work, m->fabric, 0, 0}, copy = {&j, job_copy, ON_NULL, 1, 0};
    timed_prepare(&work);
    timed_prepare(&copy);
    bench_limit two = {b, 2};
    bench_series s[] = {{.once = timed_once, .arg = &work},
                        {.once = m->times ? transfer_once : timed_once, .arg = &copy},
                        {.once = bench_handoff_ns, .arg = &two}};
    if (m->times) s[1].arg = &between;
    bench_measure(s, 3, REPS);
    double times = m->times ? (double)m->times : 1;
    for (size_t r = 0; r < REPS; r++) s[1].sample[r] = times * (s[1].sample[r] + s[2].sample[r]);
    add_move(t, rows, m, &j, s);
    transfer_close(&between);
    fabric_job_close(&j);
}

static void bench_moves(bench *b) {
    static const char *const heads[] = {"operation", ">PEs",  ">workers",   ">bytes",
                                        ">time, us", "limit", ">limit, us", ">x limit"};
    omni_table *t = omni_table_create(heads, 8);
    json_t *rows = json_array();
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) measure_move(b, &moves[i], t, rows);
    bench_show("Copy: the bytes, by one core alone. Transfer: one core copies what another has just written.",
               t);
    bench_result(b, "moves", rows);
}

int main(int argc, char **argv) {
    static const subject subjects[] = {
        {"broadcast",
         "Broadcast, the writer goes round the workers. Limit: each worker copies the bytes once for each of "
         "its PEs, + L.",
         broadcast_bytes, job_broadcast, job_copies},
        {"reduce",
         "Tree reduction, float32 sum. Limit: the additions on the longest path, + L for each level between "
         "workers.",
         reduce_bytes, job_reduce, job_adds},
    };
    bench *b = bench_open(argc, argv, "fabric",
                          "operations on warm buffers, one after the other, all PEs taking part",
                          "creating fabric and threads, first touch of buffers");
    bench_sync(b);
    bench_ring(b);
    bench_moves(b);
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) bench_subject(b, &subjects[i]);
    return bench_close(b);
}
