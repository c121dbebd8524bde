/* product.c: products in turn, on all workers of a team at the same time. Each worker has a stream of weights
 * of its own, on huge pages as the arenas of PEs are, and goes on in it from matrix to matrix and from shape
 * to shape: what it reads it has not seen for `set_bytes`. Two products between two meetings, as a layer has
 * them.
 */
#include "calibrate/internal.h"
#include "omnibus/host.h"

enum { LAPS = 3, RUN_NS = 2500000, BETWEEN = 2 };

typedef struct own {
    _Alignas(OMNI_CACHE_LINE) unsigned char *memory;
    size_t at;
    float *x, *y;
    void *scratch;
} own;

typedef struct job {
    const products *p;
    size_t bytes, x, y, scratch; /* the most that any needs */
    own *own;                    /* [workers] */
} job;

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static void size_up(job *j) {
    for (size_t i = 0; i < j->p->items; i++) {
        const product *p = &j->p->item[i];
        j->bytes = larger(j->bytes, p->set_bytes + omni_packed_bytes(p->out, p->in, j->p->dtype));
        j->x = larger(j->x, p->rows * p->in);
        j->y = larger(j->y, p->rows * p->out);
        j->scratch = larger(j->scratch, omni_matmul_scratch_bytes(OMNI_COMPUTE_F32, p->rows, p->in));
    }
}

/* Weights are zeros, but of pages of their own: written once, by whom they are for. */
static bool enter(void *user, size_t w) {
    job *j = user;
    own *o = &j->own[w];
    o->memory = omni_host_pages(j->bytes, true);
    o->x = omni_alloc_array(j->x, sizeof *o->x);
    o->y = omni_alloc_array(j->y, sizeof *o->y);
    o->scratch = omni_alloc(j->scratch + 1);
    if (!o->memory || !o->x || !o->y || !o->scratch) return false;
    memset(o->memory, 0, j->bytes);
    for (size_t i = 0; i < j->x; i++) o->x[i] = 1;
    return true;
}

static bool call(void *user, size_t w, size_t item, size_t turn) {
    job *j = user;
    own *o = &j->own[w];
    const product *p = &j->p->item[item];
    size_t each = omni_packed_bytes(p->out, p->in, j->p->dtype);
    (void)turn;
    for (size_t i = 0; i < BETWEEN; i++) {
        if (o->at + each > larger(p->set_bytes, each)) o->at = 0;
        omni_packed *matrix = omni_packed_reuse(o->memory + o->at, p->out, p->in, j->p->dtype);
        omni_matmul(matrix, o->x, p->in, p->rows, o->y, p->out, o->scratch);
        o->at += omni_round_up(each, OMNI_CACHE_LINE);
    }
    return true;
}

bool products_measure(const products *p, double *ns) {
    job j = {.p = p, .own = omni_alloc_array(p->workers, sizeof(own))};
    series s = {p->o, p->workers, p->items, LAPS, RUN_NS, enter, call, &j};
    size_up(&j);
    bool ok = j.own && series_run(&s, ns, NULL);
    for (size_t i = 0; ok && i < p->items; i++) ns[i] /= BETWEEN;
    for (size_t w = 0; j.own && w < p->workers; w++) {
        omni_host_pages_free(j.own[w].memory, j.bytes);
        omni_free(j.own[w].x);
        omni_free(j.own[w].y);
        omni_free(j.own[w].scratch);
    }
    omni_free(j.own);
    return ok;
}
