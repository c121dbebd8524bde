/* tree.c: the pairwise tree as arithmetic. Which index takes from which at what level depends on p and
 * nothing else:
 *
 *      p = 6     0   1   2   3   4   5
 *      level 0   0<--1   2<--3   4<--5
 *      level 1   0<------2       4           (6 does not exist: 4 waits)
 *      level 2   0<--------------4
 *
 * so a float sum is ((0+1)+(2+3))+(4+5) on every engine, with any number of workers, in any schedule.
 *
 * After level k an index divisible by 2^(k+1) stands for the 2^(k+1) indices from itself on, as far as they
 * exist. A reduction combines whole buffers; a gather copies the columns of the indices that the other one
 * stands for.
 *
 * Where floats are narrowed, it is done once, in the giver's buffer: in a reduction all of it, before the
 * level at which it is taken; in a gather each rank's own columns, before the first. So taking needs to
 * convert nothing.
 */
#include "fabric/engine.h"
#include "fabric/view.h"

bool tree_takes(size_t p, size_t level, size_t i) {
    size_t step = (size_t)1 << level;
    return (i & (2 * step - 1)) == 0 && step < p && i < p - step;
}

/* The columns that index i lacks and i + 2^level has, in either's buffer. */
static omni_view tree_columns(const fabric_tree *t, size_t p, size_t level, size_t i, void *base) {
    size_t step = (size_t)1 << level;
    size_t lo = i + step, hi = p - lo < step ? p : lo + step;
    return omni_sliced_view(t->sliced, base, p, lo, hi);
}

void tree_narrow(const fabric_tree *t, size_t p, size_t level, size_t i, void *buffer) {
    size_t step = (size_t)1 << level;
    bool gives = (i & (2 * step - 1)) == step;
    if (!(t->sliced ? level == 0 : gives)) return;
    omni_view v = t->sliced ? omni_sliced_view(t->sliced, buffer, p, i, i + 1) : *t->form;
    v.base = buffer;
    omni_view_round(&v);
}

void tree_narrow_part(const fabric_tree *t, void *buffer, size_t at, size_t bytes) {
    omni_view v = *t->form;
    v.base = buffer;
    view_round_part(&v, at, bytes);
}

size_t tree_take_bytes(const fabric_tree *t, size_t p, size_t level, size_t i) {
    if (!t->sliced) return omni_view_bytes(t->form);
    omni_view v = tree_columns(t, p, level, i, NULL);
    return omni_view_bytes(&v);
}

void tree_take(const fabric_tree *t, size_t p, size_t level, size_t i, void *acc, void *in) {
    if (!t->sliced) {
        view_combine(t->form, acc, in, 0, t->bytes, t->op->combine, t->op->arg);
        return;
    }
    omni_view dst = view_plain(tree_columns(t, p, level, i, acc));
    omni_view src = view_plain(tree_columns(t, p, level, i, in));
    view_copy(&dst, 0, &src, 0, omni_view_bytes(&src));
}
