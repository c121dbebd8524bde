/* collective.c: collectives of all kinds and sizes on one fabric, in turn. */
#include "calibrate/internal.h"
#include "omnibus/fabric.h"
#include "omnibus/host.h"

enum { LAPS = 5, RUN_NS = 150000 };

typedef struct job {
    const collectives *c;
    omni_fabric *fabric;
    unsigned char *memory; /* [pes] `pitch` bytes */
    size_t pitch, bytes;
    void **buffer;   /* [pes] */
    omni_view *view; /* [workers][pes] */
} job;

static bool call(void *user, size_t w, size_t item, size_t turn) {
    job *j = user;
    const collectives *c = j->c;
    const collective *one = &c->item[item];
    omni_range own = omni_split(c->pes, c->workers, w);
    static const omni_fabric_operator sum = {omni_combine_sum, NULL, sizeof(float)};
    omni_sliced sliced = {
        .rows = 1, .stride = one->bytes, .parts = 1, .part[0] = {.units = one->bytes / 4, .unit_bytes = 4}};
    omni_view form = omni_view_flat(NULL, one->bytes), *view = j->view + w * c->pes;
    size_t from = c->workers > 1 && turn % 2 ? c->pes - 1 : 0, to = from ? 0 : c->pes - 1;
    for (size_t i = 0; i < c->pes; i++) view[i] = omni_view_flat(j->buffer[i], one->bytes);
    switch (one->kind) {
    case OMNI_RATES_BROADCAST:
        return omni_fabric_broadcast(j->fabric, w, 0, from, &view[from], &view[own.start]);
    case OMNI_RATES_REDUCTION:
        return omni_fabric_reduce(j->fabric, w, 0, &j->buffer[own.start], &form, &sum);
    case OMNI_RATES_GATHER:
        return omni_fabric_gather(j->fabric, w, 0, &j->buffer[own.start], &sliced);
    default:
        return omni_fabric_send(j->fabric, w, 0, from, to, OMNI_ADDRESSED_OTHER, &view[from], &view[to],
                                one->bytes);
    }
}

/* Buffers on huge pages, as the arenas of PEs are. Sums of zeros stay zeros: no value grows into a slow
 * one. */
static bool open_job(job *j) {
    const collectives *c = j->c;
    omni_segment all = {0, c->pes};
    omni_fabric_options o = {.kind = "shm",
                             .pes = c->pes,
                             .workers = c->workers,
                             .segments = &all,
                             .segment_count = 1,
                             .wait = omni_wait_policy_for(c->workers, omni_topo_parallel(c->o->topo)),
                             .stop = c->o->stop};
    for (size_t i = 0; i < c->items; i++)
        j->bytes = c->item[i].bytes > j->bytes ? c->item[i].bytes : j->bytes;
    j->pitch = omni_round_up(j->bytes, OMNI_CACHE_LINE) + 65 * OMNI_CACHE_LINE;
    j->memory = omni_host_pages(c->pes * j->pitch, true);
    j->buffer = omni_alloc_array(c->pes, sizeof *j->buffer);
    j->view = omni_alloc_array(c->pes * c->workers, sizeof *j->view);
    if (!j->memory || !j->buffer || !j->view) return false;
    memset(j->memory, 0, c->pes * j->pitch);
    for (size_t i = 0; i < c->pes; i++) j->buffer[i] = j->memory + i * j->pitch;
    return omni_fabric_create(&o, &j->fabric, NULL) == OMNI_OK;
}

bool collectives_measure(const collectives *c, double *ns, double *barrier_ns) {
    job j = {.c = c};
    series s = {c->o, c->workers, c->items, LAPS, RUN_NS, NULL, call, &j};
    bool ok = open_job(&j) && series_run(&s, ns, barrier_ns);
    omni_fabric_free(j.fabric);
    omni_host_pages_free(j.memory, c->pes * j.pitch);
    omni_free(j.buffer);
    omni_free(j.view);
    return ok;
}
