/* team.c: threads that start from one line, each on a place of its own; and pages. */
#include <math.h>
#include <pthread.h>
#include <sys/mman.h>

#include "host/internal.h"

size_t omni_host_cores(const omni_topo *t) {
    size_t cores = 0, parallel = omni_topo_parallel(t);
    for (size_t i = 0; i < omni_topo_cpus(t); i++) cores += !omni_topo_cpu(t, i)->smt_sibling;
    return cores < parallel ? cores : parallel;
}

typedef struct member {
    _Alignas(OMNI_CACHE_LINE) pthread_t thread;
    const omni_topo *topo;
    size_t index;
    omni_host_work *work;
    void *arg;
    omni_barrier *line;
    const omni_stop *off;
    uint64_t begin, end; /* written by the thread, read after the join */
} member;

static void *member_run(void *arg) {
    member *m = arg;
    (void)omni_topo_bind_thread(m->topo, m->index); /* refused: unpinned figures are still figures */
    if (!omni_barrier_wait(m->line, m->index, (omni_wait_policy){.spins = 8192}, m->off)) return NULL;
    m->begin = omni_clock_ns();
    m->work(m->arg, m->index);
    m->end = omni_clock_ns();
    return NULL;
}

/* How many could be started; those wait at a line that may stay short, until `off` is set. */
static size_t start(member *team, size_t workers) {
    for (size_t w = 0; w < workers; w++)
        if (pthread_create(&team[w].thread, NULL, member_run, &team[w])) return w;
    return workers;
}

double omni_host_team_ns(const omni_topo *t, size_t workers, omni_host_work *work, void *arg) {
    omni_stop off = {0};
    member *team = omni_alloc_array(workers, sizeof *team);
    omni_barrier *line = omni_barrier_create(workers);
    uint64_t begin = UINT64_MAX, end = 0;
    size_t started = 0;
    for (size_t w = 0; team && w < workers; w++)
        team[w] = (member){.topo = t, .index = w, .work = work, .arg = arg, .line = line, .off = &off};
    if (team && line) started = start(team, workers);
    if (started < workers) omni_stop_set(&off, OMNI_RUN_FAILED);
    for (size_t w = 0; w < started; w++) {
        pthread_join(team[w].thread, NULL);
        if (team[w].begin < begin) begin = team[w].begin;
        if (team[w].end > end) end = team[w].end;
    }
    omni_barrier_free(line);
    omni_free(team);
    return started < workers ? NAN : (double)(end - begin);
}

void *omni_host_pages(size_t bytes, bool huge) {
    if (bytes > omni_topo_memory_available()) return NULL;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    madvise(p, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); /* a wish */
    return p;
}

void omni_host_pages_free(void *p, size_t bytes) {
    if (p) munmap(p, bytes);
}
