/* series.c: things that are timed in turn, lap after lap, by a team in step:
 *
 *     lap 0   | nothing | item 0 | item 1 | ...        each:  once | once, timed: how many fit a run | a run
 *     lap 1   | nothing | item 0 | item 1 | ...        a run: start  call barrier  call barrier ...  end
 *
 * A barrier behind each call: otherwise writers run ahead of readers, and workers with less to do ahead of
 * the others. What it takes itself, "nothing" says in the same lap, and it is taken off. A shared host
 * changes within seconds (how far its virtual cores are from each other, what its neighbours leave of the
 * memory's rate), so what is to be compared is measured within the same laps. A run is long enough to hold
 * what such a host now and then cuts out: a pass of a model, too, is a sum and no median.
 */
#include <math.h>

#include "calibrate/internal.h"
#include "omnibus/host.h"

enum { MOST_TIMES = 1024 };

typedef struct running {
    const series *s;
    omni_barrier *line;
    omni_wait_policy wait;
    size_t times; /* worker 0 writes it between barriers, all read it behind the next */
    double *lap;  /* [items + 1][laps] worker 0's; the last: nothing */
    bool *ready;  /* [workers] each writes its own before a barrier */
} running;

static bool meet(running *r, size_t w) {
    return omni_barrier_wait(r->line, w, r->wait, r->s->o->stop);
}

/* Nanoseconds of a call. Negative: stopped. */
static double run(running *r, size_t w, size_t item, size_t times, size_t first) {
    const series *s = r->s;
    uint64_t start = omni_clock_ns();
    for (size_t i = 0; i < times; i++) {
        if (item < s->items && !s->call(s->user, w, item, first + i)) return -1;
        if (!meet(r, w)) return -1;
    }
    return (double)(omni_clock_ns() - start) / (double)times;
}

static bool time_item(running *r, size_t w, size_t item, size_t lap) {
    if (!meet(r, w) || run(r, w, item, 1, 0) < 0) return false;
    double once = run(r, w, item, 1, 1);
    if (once < 0) return false;
    if (w == 0) r->times = (size_t)fmin(fmax(r->s->run_ns / fmax(once, 1), 1), MOST_TIMES);
    if (!meet(r, w)) return false;
    double ns = r->times == 1 ? once : run(r, w, item, r->times, 2);
    if (w == 0) r->lap[item * r->s->laps + lap] = ns;
    return ns >= 0;
}

static void work(void *arg, size_t w) {
    running *r = arg;
    const series *s = r->s;
    r->ready[w] = !s->enter || s->enter(s->user, w);
    if (!meet(r, w)) return;
    for (size_t i = 0; i < s->workers; i++)
        if (!r->ready[i]) return;
    for (size_t lap = 0; lap < s->laps; lap++)
        for (size_t i = 0; i <= s->items; i++)
            if (!time_item(r, w, (s->items + i) % (s->items + 1), lap)) return;
}

bool series_run(const series *s, double *ns, double *barrier_ns) {
    size_t all = (s->items + 1) * s->laps;
    running r = {.s = s, .wait = omni_wait_policy_for(s->workers, omni_topo_parallel(s->o->topo))};
    r.line = omni_barrier_create(s->workers);
    r.lap = omni_alloc_array(all, sizeof *r.lap);
    r.ready = omni_alloc_array(s->workers, sizeof *r.ready);
    bool ok = r.line && r.lap && r.ready;
    for (size_t i = 0; ok && i < all; i++) r.lap[i] = NAN;
    ok = ok && omni_host_team_ns(s->o->topo, s->workers, work, &r) >= 0;
    const double *nothing = ok ? r.lap + s->items * s->laps : NULL;
    for (size_t i = 0; ok && i < s->items; i++) {
        for (size_t lap = 0; lap < s->laps; lap++) r.lap[i * s->laps + lap] -= nothing[lap];
        ok = !isnan(r.lap[(i + 1) * s->laps - 1]);
        ns[i] = fmax(omni_median(r.lap + i * s->laps, s->laps), 1);
    }
    if (ok && barrier_ns) *barrier_ns = omni_median(r.lap + s->items * s->laps, s->laps);
    omni_barrier_free(r.line);
    omni_free(r.lap);
    omni_free(r.ready);
    return ok;
}
