/* collective.c: one collective, timed by worker 0:
 *
 *     barrier | start | op barrier op barrier ... | end        (end - start) / times - barrier
 *
 * A barrier behind each one: otherwise writers run ahead of readers, and what is seen is a rate, not a time.
 */
#include <math.h>

#include "calibrate/internal.h"
#include "omnibus/fabric.h"
#include "omnibus/host.h"

enum { BUDGET_NS = 20000000, LEAST = 7, TARGET_NS = 200000, MOST_TIMES = 256 };

typedef struct job {
    const collective *c;
    omni_fabric *fabric;
    omni_barrier *line;
    omni_wait_policy wait;
    unsigned char *memory; /* [pes] `pitch` bytes */
    size_t pitch, times;
    void **buffer;    /* [pes] */
    omni_view *view;  /* [pes] */
    samples *samples; /* worker 0's */
    bool go;          /* written by worker 0 between barriers, read by all behind the next */
} job;

static bool once(job *j, size_t w, size_t turn) {
    const collective *c = j->c;
    omni_range own = omni_split(c->pes, c->workers, w);
    static const omni_fabric_operator sum = {omni_combine_sum, NULL, sizeof(float)};
    omni_sliced sliced = {
        .rows = 1, .stride = c->bytes, .parts = 1, .part[0] = {.units = c->bytes / 4, .unit_bytes = 4}};
    omni_view form = omni_view_flat(NULL, c->bytes);
    size_t from = c->workers > 1 && turn % 2 ? c->pes - 1 : 0, to = from ? 0 : c->pes - 1;
    switch (c->kind) {
    case OMNI_RATES_BROADCAST:
        return omni_fabric_broadcast(j->fabric, w, 0, from, &j->view[from], &j->view[own.start]);
    case OMNI_RATES_REDUCTION:
        return omni_fabric_reduce(j->fabric, w, 0, &j->buffer[own.start], &form, &sum);
    case OMNI_RATES_GATHER:
        return omni_fabric_gather(j->fabric, w, 0, &j->buffer[own.start], &sliced);
    case OMNI_RATES_ADDRESSED:
        return omni_fabric_send(j->fabric, w, 0, from, to, OMNI_ADDRESSED_OTHER, &j->view[from], &j->view[to],
                                c->bytes);
    default:
        return true;
    }
}

static bool meet(job *j, size_t w) {
    return omni_barrier_wait(j->line, w, j->wait, j->c->o->stop);
}

/* Worker 0 decides whether there is another run; the others see it behind the barrier. */
static void work(void *arg, size_t w) {
    job *j = arg;
    uint64_t begin = omni_clock_ns();
    for (size_t run = 0;; run++) {
        if (w == 0) j->go = samples_go(j->samples, j->c->o->stop, begin, BUDGET_NS, LEAST);
        if (!meet(j, w) || !j->go) return;
        uint64_t start = omni_clock_ns();
        for (size_t i = 0; i < j->times; i++)
            if (!once(j, w, i) || !meet(j, w)) return;
        double ns = (double)(omni_clock_ns() - start) / (double)j->times;
        if (w == 0 && run > 0) samples_add(j->samples, ns); /* the first one is cold */
        if (!meet(j, w)) return;
    }
}

static bool open_job(job *j) {
    const collective *c = j->c;
    omni_segment all = {0, c->pes};
    omni_fabric_options o = {.kind = "shm",
                             .pes = c->pes,
                             .workers = c->workers,
                             .segments = &all,
                             .segment_count = 1,
                             .wait = j->wait,
                             .stop = c->o->stop};
    j->pitch = omni_round_up(c->bytes, OMNI_CACHE_LINE) + 65 * OMNI_CACHE_LINE;
    j->memory = omni_alloc_array(c->pes, j->pitch);
    j->buffer = omni_alloc_array(c->pes, sizeof *j->buffer);
    j->view = omni_alloc_array(c->pes, sizeof *j->view);
    j->samples = omni_alloc(sizeof *j->samples);
    j->line = omni_barrier_create(c->workers);
    if (!j->memory || !j->buffer || !j->view || !j->samples || !j->line) return false;
    for (size_t i = 0; i < c->pes; i++) {
        j->buffer[i] = j->memory + i * j->pitch;
        j->view[i] = omni_view_flat(j->buffer[i], c->bytes);
    }
    return omni_fabric_create(&o, &j->fabric, NULL) == OMNI_OK;
}

static spread run_job(job *j) {
    spread out;
    double ns =
        (double)j->c->bytes / 4 + 1000; /* a first guess, so that a run is about as long as it should be */
    j->times = (size_t)(TARGET_NS / ns);
    j->times = j->times < 1 ? 1 : j->times > MOST_TIMES ? MOST_TIMES : j->times;
    (void)omni_host_team_ns(j->c->o->topo, j->c->workers, work, j);
    out = samples_spread(j->samples, 1);
    return out;
}

/* Sums of zeros stay zeros: no value grows into a slow one. */
spread collective_measure(const collective *c) {
    job j = {.c = c, .wait = omni_wait_policy_for(c->workers, omni_topo_parallel(c->o->topo))};
    spread out = {NAN, NAN, NAN, 0};
    if (open_job(&j)) out = run_job(&j);
    omni_fabric_free(j.fabric);
    omni_barrier_free(j.line);
    omni_free(j.memory);
    omni_free(j.buffer);
    omni_free(j.view);
    omni_free(j.samples);
    return out;
}
