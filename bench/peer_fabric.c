/* peer_fabric.c: the fabric beside what others offer for the same job, in one run, repetition by repetition.
 *
 *     barrier            our barrier, and Concurrency Kit's, pthread_barrier, libgomp's, on one pinned thread
 *                        a core
 *     reduce + broadcast of 4,096 floats on 2, 4, 16, 64 PEs, and peer_mpi.c's MPI_Allreduce on as
 *                        many processes
 *
 * Ours runs n PEs on min(n, cores) pinned workers; MPI has a process a PE. With more processes than cores
 * Open MPI is told --oversubscribe and to yield when idle. MPICH's processes spin there, so it is asked at 2
 * only, for its release_gather. A peer is optional: Debian's libck-dev, openmpi-bin + libopenmpi-dev, mpich +
 * libmpich-dev; one that is not there is SKIPped by name.
 *
 * Timed: operations one after the other, warm. Not timed: creating threads and processes, first touch,
 * MPI_Init. Of MPI a repetition is a new start of its processes, so its spread has what differs from start to
 * start.
 */
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#ifdef PEER_CK
#include <ck_barrier.h>
#endif

#include "fabric_job.h"

enum { BARRIER_REPS = 15, BARRIERS = 20000, FLOATS = 4096, MOST_PEERS = 8, MOST_TEAM = 64 };

/* --- barriers --------------------------------------------------------------------------------- */

typedef struct meeting {
    bench *b;
    size_t workers;
    omni_barrier *ours;
    pthread_barrier_t posix;
} meeting;

static void meet_ours(void *arg, size_t w) {
    meeting *m = arg;
    omni_wait_policy wait = omni_wait_policy_for(m->workers, m->workers);
    for (size_t i = 0; i < BARRIERS; i++) omni_barrier_wait(m->ours, w, wait, bench_stop(m->b));
}

static void meet_posix(void *arg, size_t w) {
    (void)w;
    meeting *m = arg;
    for (size_t i = 0; i < BARRIERS / 10; i++) pthread_barrier_wait(&m->posix);
}

static double ours_once(void *arg) {
    meeting *m = arg;
    return bench_team_ns(m->b, m->workers, meet_ours, m) / BARRIERS;
}

static double posix_once(void *arg) {
    meeting *m = arg;
    return bench_team_ns(m->b, m->workers, meet_posix, m) / (BARRIERS / 10.0);
}

/* libgomp keeps its threads, which spin for a while when a region is over: not into the next repetition. */
static double gomp_once(void *arg) {
    meeting *m = arg;
    uint64_t begin = 0, end = 0;
#pragma omp parallel num_threads((int)m->workers)
    {
        (void)omni_topo_bind_thread(bench_topo(m->b), (size_t)omp_get_thread_num());
#pragma omp barrier
#pragma omp master
        begin = omni_clock_ns();
        for (size_t i = 0; i < BARRIERS; i++) {
#pragma omp barrier
        }
#pragma omp master
        end = omni_clock_ns();
    }
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    return (double)(end - begin) / BARRIERS;
}

#ifdef PEER_CK
typedef struct ck_meeting {
    const meeting *m;
    _Alignas(OMNI_CACHE_LINE) ck_barrier_centralized_t centralized;
    _Alignas(OMNI_CACHE_LINE) ck_barrier_mcs_t mcs[MOST_TEAM];
    ck_barrier_dissemination_t dissemination[MOST_TEAM];
    ck_barrier_tournament_t tournament;
} ck_meeting;

static void meet_centralized(void *arg, size_t w) {
    (void)w;
    ck_meeting *c = arg;
    ck_barrier_centralized_state_t state = CK_BARRIER_CENTRALIZED_STATE_INITIALIZER;
    for (size_t i = 0; i < BARRIERS; i++)
        ck_barrier_centralized(&c->centralized, &state, (unsigned)c->m->workers);
}

static void meet_mcs(void *arg, size_t w) {
    (void)w;
    ck_meeting *c = arg;
    ck_barrier_mcs_state_t state;
    ck_barrier_mcs_subscribe(c->mcs, &state);
    for (size_t i = 0; i < BARRIERS; i++) ck_barrier_mcs(c->mcs, &state);
}

static void meet_dissemination(void *arg, size_t w) {
    (void)w;
    ck_meeting *c = arg;
    ck_barrier_dissemination_state_t state;
    ck_barrier_dissemination_subscribe(c->dissemination, &state);
    for (size_t i = 0; i < BARRIERS; i++) ck_barrier_dissemination(c->dissemination, &state);
}

static void meet_tournament(void *arg, size_t w) {
    (void)w;
    ck_meeting *c = arg;
    ck_barrier_tournament_state_t state;
    ck_barrier_tournament_subscribe(&c->tournament, &state);
    for (size_t i = 0; i < BARRIERS; i++) ck_barrier_tournament(&c->tournament, &state);
}

static double ck_run(const meeting *m, ck_meeting *c, bench_work *work) {
    c->m = m;
    return bench_team_ns(m->b, m->workers, work, c) / BARRIERS;
}

static double centralized_once(void *arg) {
    const meeting *m = arg;
    ck_meeting c = {.centralized = CK_BARRIER_CENTRALIZED_INITIALIZER};
    return ck_run(m, &c, meet_centralized);
}

static double mcs_once(void *arg) {
    const meeting *m = arg;
    ck_meeting c = {.m = m};
    ck_barrier_mcs_init(c.mcs, (unsigned)m->workers);
    return ck_run(m, &c, meet_mcs);
}

static double dissemination_once(void *arg) {
    const meeting *m = arg;
    ck_meeting c = {.m = m};
    unsigned n = (unsigned)m->workers, size = ck_barrier_dissemination_size(n);
    ck_barrier_dissemination_flag_t *flags[MOST_TEAM];
    for (unsigned i = 0; i < n; i++) bench_need(flags[i] = omni_alloc_array(size, sizeof *flags[i]));
    ck_barrier_dissemination_init(c.dissemination, flags, n);
    double ns = ck_run(m, &c, meet_dissemination);
    for (unsigned i = 0; i < n; i++) omni_free(flags[i]);
    return ns;
}

static double tournament_once(void *arg) {
    const meeting *m = arg;
    ck_meeting c = {.m = m};
    unsigned n = (unsigned)m->workers, size = ck_barrier_tournament_size(n);
    ck_barrier_tournament_round_t *rounds[MOST_TEAM];
    for (unsigned i = 0; i < n; i++) bench_need(rounds[i] = omni_alloc_array(size, sizeof *rounds[i]));
    ck_barrier_tournament_init(&c.tournament, rounds, n);
    double ns = ck_run(m, &c, meet_tournament);
    for (unsigned i = 0; i < n; i++) omni_free(rounds[i]);
    return ns;
}
#endif

static const struct {
    const char *name;
    bench_once *once;
} barriers[] = {
    {"ours", ours_once},
#ifdef PEER_CK
    {"CK centralized", centralized_once},
    {"CK mcs", mcs_once},
    {"CK dissemination", dissemination_once},
    {"CK tournament", tournament_once},
#endif
    {"pthread_barrier", posix_once},
    {"libgomp", gomp_once}, /* the last: its threads linger */
};
enum { ALL_BARRIERS = sizeof barriers / sizeof *barriers };

/* --- one table for all ------------------------------------------------------------------------ */

/* A row: ours, the peer, and how many times as long the peer takes, formed round by round. */
static void add_peer(omni_table *t, json_t *rows, const char *what, size_t n, const char *peer,
                     const bench_series *ours, const bench_series *theirs, size_t reps) {
    bench_spread a = bench_spread_of(ours->sample, reps), b = bench_spread_of(theirs->sample, reps);
    bench_spread ratio = bench_ratio(theirs, ours, reps);
    omni_table_cell(t, "%s", what);
    omni_table_cell(t, "%zu", n);
    bench_cell(t, a, 1e-3);
    omni_table_cell(t, "%s", peer);
    bench_cell(t, b, 1e-3);
    bench_cell(t, ratio, 1);
    json_array_append_new(rows, json_pack("{s:s,s:i,s:s,s:o,s:o,s:o}", "operation", what, "pes", (int)n,
                                          "peer", peer, "ours_ns", bench_spread_json(a), "peer_ns",
                                          bench_spread_json(b), "ratio", bench_spread_json(ratio)));
}

static void compare_barriers(bench *b, omni_table *t, json_t *rows) {
    bench_series s[ALL_BARRIERS];
    meeting m = {.b = b, .workers = bench_cores(b) < MOST_TEAM ? bench_cores(b) : MOST_TEAM};
    m.ours = omni_barrier_create(m.workers);
    bench_need(m.ours);
    if (pthread_barrier_init(&m.posix, NULL, (unsigned)m.workers)) bench_need(NULL);
    for (size_t i = 0; i < ALL_BARRIERS; i++) s[i] = (bench_series){.once = barriers[i].once, .arg = &m};
    bench_measure(s, ALL_BARRIERS, BARRIER_REPS);
    for (size_t i = 1; i < ALL_BARRIERS; i++)
        add_peer(t, rows, "barrier", m.workers, barriers[i].name, &s[0], &s[i], BARRIER_REPS);
    pthread_barrier_destroy(&m.posix);
    omni_barrier_free(m.ours);
}

/* --- MPI -------------------------------------------------------------------------------------- */

typedef struct mpi {
    const char *name, *package;
    const char *start, *start_many; /* on up to as many processes as cores, on more; NULL: not asked there */
} mpi;

static const mpi mpis[] = {
    {"openmpi", "openmpi-bin, libopenmpi-dev", "mpirun.openmpi --allow-run-as-root --bind-to core",
     "mpirun.openmpi --allow-run-as-root --oversubscribe --mca mpi_yield_when_idle 1"},
    {"mpich", "mpich, libmpich-dev",
     "env MPIR_CVAR_ALLREDUCE_POSIX_INTRA_ALGORITHM=release_gather mpiexec.mpich -bind-to core", NULL},
};
enum { MPIS = sizeof mpis / sizeof *mpis };

typedef struct mpi_job {
    char command[512];
} mpi_job;

/* NaN when it fails: its row says "-". */
static double mpi_once(void *arg) {
    const mpi_job *j = arg;
    double ns = NAN;
    FILE *out = popen(j->command, "r");
    if (!out) return NAN;
    if (fscanf(out, "%lf", &ns) != 1) ns = NAN;
    return pclose(out) == 0 ? ns : NAN;
}

/* The program of an MPI stands beside this one. */
static bool find_mpi(const mpi *m, const char *self, char *path, size_t cap) {
    const char *slash = strrchr(self, '/');
    snprintf(path, cap, "%.*speer-mpi-%s", slash ? (int)(slash - self + 1) : 0, self, m->name);
    return access(path, X_OK) == 0;
}

static void compare_allreduce(bench *b, const char *self, size_t pes, size_t reps, omni_table *t,
                              json_t *rows) {
    fabric_job j;
    mpi_job job[MPIS];
    const char *name[MPIS];
    bench_series s[1 + MPIS];
    size_t n = 0;
    fabric_job_open(&j, b, pes, FLOATS * sizeof(float));
    timed ours = {&j, job_allreduce, ON_SLICED, 0, 0};
    timed_prepare(&ours);
    s[0] = (bench_series){.once = timed_once, .arg = &ours};
    for (size_t i = 0; i < MPIS; i++) {
        char path[256];
        const char *start = pes > bench_cores(b) ? mpis[i].start_many : mpis[i].start;
        if (!start || !find_mpi(&mpis[i], self, path, sizeof path)) continue;
        snprintf(job[n].command, sizeof job[n].command, "timeout 60 %s -np %zu %s %d 2>/dev/null", start, pes,
                 path, FLOATS);
        name[n] = mpis[i].name;
        s[1 + n] = (bench_series){.once = mpi_once, .arg = &job[n]};
        n++;
    }
    if (n) bench_measure(s, 1 + n, reps);
    for (size_t i = 0; i < n; i++)
        add_peer(t, rows, "reduce + broadcast", pes, name[i], &s[0], &s[1 + i], reps);
    fabric_job_close(&j);
}

static void say_missing(const char *self) {
#ifndef PEER_CK
    puts("SKIP: Concurrency Kit (package libck-dev)");
#endif
    for (size_t i = 0; i < MPIS; i++) {
        char path[256];
        if (!find_mpi(&mpis[i], self, path, sizeof path))
            printf("SKIP: %s (packages %s)\n", mpis[i].name, mpis[i].package);
    }
}

int main(int argc, char **argv) {
    static const struct { size_t pes, reps; } counts[] = {{2, 5}, {4, 3}, {16, 3}, {64, 2}};
    static const char *const heads[] = {"operation", ">PEs",      ">ours, us",
                                        "peer",      ">peer, us", ">peer / ours"};
    bench *b = bench_open(argc, argv, "peers-fabric", "operations one after the other, warm",
                          "creating threads and processes, first touch, MPI_Init");
    omni_table *t = omni_table_create(heads, 6);
    json_t *rows = json_array();
    say_missing(argv[0]);
    if (bench_cores(b) > 1) compare_barriers(b, t, rows);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        compare_allreduce(b, argv[0], counts[i].pes, counts[i].reps, t, rows);
    bench_show("Beside others: n PEs of ours on a worker a core; MPI_Allreduce on n processes. Above 1: ours "
               "is faster.",
               t);
    bench_result(b, "peers", rows);
    return bench_close(b);
}
