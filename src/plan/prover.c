/* prover.c: what is known while a plan is proven: of every rank and buffer, which value is there and which
 * features of it are complete, or that it holds an addend. Every fact is kept for each strip of the rows
 * (check.c).
 */
#include "plan/prover.h"

static cell *cell_of(const prover *c, size_t strip, size_t storage, size_t rank) {
    return &c->cells[((strip * c->plan->storage_count + storage) * c->p + rank) * OMNI_MAX_PARTS];
}

cell *prover_cell(const prover *c, int v, size_t j, size_t rank) {
    return cell_of(c, c->strip, value_at(c, v)->storage, rank) + j;
}

bool *prover_kv(const prover *c, size_t rank) {
    return &c->kv[c->strip * c->p + rank];
}

bool prover_fail(prover *c, const char *reason) {
    if (!c->reason) c->reason = reason;
    return false;
}

/* What a rank has of a value according to its storage form. */
omni_range prover_held(const prover *c, const omni_value *v, size_t j, size_t rank) {
    return v->compact ? omni_value_owned(v, j, c->p, rank) : whole(v, j);
}

bool prover_has(prover *c, int v, size_t j, size_t rank, omni_range want) {
    const cell *x = prover_cell(c, v, j, rank);
    if (want.count == 0) return true;
    if (x->value != v) return prover_fail(c, "a value was overwritten before its last use");
    if (x->have != COMPLETE || !covers(x->range, want))
        return prover_fail(c, "a rank uses features that it does not have");
    return true;
}

bool prover_has_stored(prover *c, int v, size_t rank) {
    bool ok = true;
    for (size_t j = 0; j < value_at(c, v)->parts; j++)
        ok = ok && prover_has(c, v, j, rank, prover_held(c, value_at(c, v), j, rank));
    return ok;
}

/* Another strip lies elsewhere in the buffer, if what is there has rows of the same size: else it is gone. */
static void spoil_others(prover *c, int v, size_t rank) {
    const omni_value *x = value_at(c, v);
    for (size_t k = 0; k < PROVER_STRIPS; k++) {
        cell *there = cell_of(c, k, x->storage, rank);
        for (size_t j = 0; j < OMNI_MAX_PARTS && k != c->strip; j++) {
            const omni_value *y = there[j].value == OMNI_NO_VALUE ? x : value_at(c, there[j].value);
            if (y->rows != x->rows || omni_value_width(y, c->p, rank) != omni_value_width(x, c->p, rank))
                there[j] = (cell){.value = OMNI_NO_VALUE};
        }
    }
}

void prover_put(prover *c, int v, size_t j, size_t rank, have h, omni_range range) {
    *prover_cell(c, v, j, rank) = (cell){v, h, range};
    if (c->step->strips) spoil_others(c, v, rank);
}

void prover_put_stored(prover *c, int v, size_t rank, have h) {
    for (size_t j = 0; j < value_at(c, v)->parts; j++)
        prover_put(c, v, j, rank, h, prover_held(c, value_at(c, v), j, rank));
}

/* Slices of all ranks cover part j once, in order. */
bool prover_slices_tile(prover *c, const omni_value *v, size_t j) {
    size_t next = 0;
    for (size_t i = 0; i < c->p; i++) {
        omni_range r = omni_value_owned(v, j, c->p, i);
        if (r.count && r.start != next) return prover_fail(c, "slices overlap or leave a gap");
        next += r.count;
    }
    return next == v->part[j].width || prover_fail(c, "slices do not cover the whole");
}

bool prover_has_slices(prover *c, int v, unsigned parts) {
    const omni_value *x = value_at(c, v);
    for (size_t j = 0; j < x->parts; j++) {
        if (!(parts >> j & 1)) continue;
        if (!prover_slices_tile(c, x, j)) return false;
        for (size_t i = 0; i < c->p; i++)
            if (!prover_has(c, v, j, i, omni_value_owned(x, j, c->p, i))) return false;
    }
    return true;
}

/* Everyone of the step has the value as it is stored: whole, or his slice. */
bool prover_everyone_has(prover *c, int v) {
    for (size_t r = 0; r < ranks_of(c); r++)
        if (!prover_has_stored(c, v, r)) return false;
    return true;
}
