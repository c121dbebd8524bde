/* lend.c: a step in which only the first PEs of a stage have work, as when there are more PEs than heads. Its
 * workers share those PEs out anew for this one step, so that none stands idle:
 *
 *      PEs with work       0 1 2 3 4 5 | 6 7 8 9 - - - - - -       carried by worker 0 | worker 1
 *      computed by         0 0 0 0 0   | 1 1 1 1 1
 *
 * Everybody meets before the step, so that what a lent PE needs is there, and after it, so that its carrier
 * may go on. Who computes changes no bit. A worker only ever works on one PE's arena at a time, as with its
 * own.
 *
 * Of a form's segments at most one goes on behind a worker's last rank: the first worker of a segment that
 * several carry keeps the barrier for it.
 */
#include "pe/pe.h"

/* The workers that carry ranks of a segment. */
static omni_range carriers(const omni_engine *e, omni_range ranks) {
    size_t first = omni_split_owner(e->pes, e->workers, ranks.start);
    return (omni_range){first,
                        omni_split_owner(e->pes, e->workers, ranks.start + ranks.count - 1) + 1 - first};
}

bool lend_create(const omni_engine *e, pe_form *f) {
    const omni_mesh *mesh = &f->o.plan->mesh;
    f->meet = omni_alloc_array(e->workers, sizeof *f->meet);
    for (size_t r = 0; f->meet && r < mesh->used;) {
        omni_seat seat = omni_mesh_seat(mesh, r);
        omni_range by = carriers(e, (omni_range){seat.first, seat.p});
        if (by.count > 1 && !(f->meet[by.start] = omni_barrier_create(by.count))) return false;
        r = seat.first + seat.p;
    }
    return f->meet != NULL;
}

void lend_free(const omni_engine *e, pe_form *f) {
    for (size_t i = 0; f->meet && i < e->workers; i++) omni_barrier_free(f->meet[i]);
    omni_free(f->meet);
}

/* What a PE has of this value says whether it has work; NULL: all have. */
static const omni_value *work_of(const omni_engine *e, const omni_step *s) {
    if (s->kind == OMNI_STEP_ATTENTION) return engine_value(e, s->out);
    if (s->kind != OMNI_STEP_MATMUL) return NULL;
    const omni_weight *w = &e->o.plan->weight[s->weight];
    return w->split_out ? engine_value(e, s->out) : w->split_in ? engine_value(e, s->in[0]) : NULL;
}

/* The first so many of p PEs have a part of the value: shares only get smaller. */
static size_t with_work(const omni_value *v, size_t p) {
    size_t low = 0, high = p;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (omni_value_width(v, p, middle))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool lend_step(const worker *w, const omni_step *s, const pe_share *own, lend_ranks *out) {
    const omni_engine *e = w->engine;
    const omni_value *v = work_of(e, s);
    if (!v || !v->compact || v->part[0].runs > 1) return false; /* sub-heads: idle ones behind every head */
    omni_seat seat = omni_mesh_seat(&e->o.plan->mesh, own->ranks.start);
    omni_range all = {seat.first, seat.p}, by = carriers(e, all);
    size_t count = with_work(v, seat.p);
    if (by.count == 1 || count == seat.p) return false;
    size_t end = own->ranks.start + own->ranks.count, busy = seat.first + count;
    out->meet = e->meet[by.start];
    out->party = w->index - by.start;
    omni_range mine = omni_split(count, by.count, out->party);
    out->busy = (omni_range){seat.first + mine.start, mine.count};
    out->idle.start = own->ranks.start > busy ? own->ranks.start : busy;
    out->idle.count = end > out->idle.start ? end - out->idle.start : 0;
    return true;
}
