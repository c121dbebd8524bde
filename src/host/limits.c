/* limits.c: the limits' life and buffers, the best of several measurements, and handing a cache line over. */
#include <math.h>

#include "host/internal.h"

/* --- life ------------------------------------------------------------------------------------- */

omni_host_limits *omni_host_limits_create(const omni_topo *t, const omni_stop *stop) {
    omni_host_limits *l = omni_alloc(sizeof *l);
    if (l) *l = (omni_host_limits){.topo = t, .stop = stop, .cores = omni_host_cores(t), .read_name = "-"};
    return l;
}

void omni_host_limits_free(omni_host_limits *l) {
    if (!l) return;
    host_buffers_free(&l->read);
    host_buffers_free(&l->peak);
    omni_free(l);
}

bool host_stopped(const omni_host_limits *l) {
    return l->stop && omni_stop_get(l->stop) != OMNI_OK;
}

void host_buffers_free(host_buffers *b) {
    for (size_t i = 0; b->at && i < b->cores; i++) omni_host_pages_free(b->at[i], b->bytes);
    omni_free(b->at);
    *b = (host_buffers){0};
}

bool host_buffers_create(omni_host_limits *l, size_t bytes, bool huge, omni_host_work *touch,
                         host_buffers *out) {
    *out =
        (host_buffers){.at = omni_alloc_array(l->cores, sizeof *out->at), .cores = l->cores, .bytes = bytes};
    bool ok = out->at && bytes > 0 && !host_stopped(l); /* touching them takes half a second */
    for (size_t i = 0; ok && i < l->cores; i++) ok = (out->at[i] = omni_host_pages(bytes, huge)) != NULL;
    ok = ok && !isnan(omni_host_team_ns(l->topo, l->cores, touch, out));
    if (!ok) host_buffers_free(out);
    return ok;
}

/* --- the best --------------------------------------------------------------------------------- */

double omni_host_best(omni_host_limits *l, omni_host_rate *rate, size_t cores, uint64_t budget_ns) {
    enum { RUNS = 15 };
    double best = rate(l, cores); /* prepares, outside the budget */
    uint64_t begin = omni_clock_ns();
    for (size_t i = 1; i < RUNS && !host_stopped(l) && omni_clock_ns() - begin < budget_ns; i++)
        best = fmax(best, rate(l, cores));
    return best;
}

/* --- handing a cache line over ---------------------------------------------------------------- */

enum { PINGS = 5000 };

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

double omni_host_handoff_ns(omni_host_limits *l) {
    double best = NAN; /* fmin drops it */
    for (int way = 0; l->cores > 1 && way < 4; way++) {
        ping_words words = {.pause = way & 1, .exchange = way & 2};
        best = fmin(best, omni_host_team_ns(l->topo, 2, ping_work, &words) / (2.0 * PINGS));
    }
    return best;
}
