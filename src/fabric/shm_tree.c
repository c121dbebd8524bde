/* shm_tree.c: gathers, and reductions of the pairwise schedule: level by level, in place, with a barrier
 * before each level that needs one.
 *
 *      each worker: publish the pointers of its ranks' buffers
 *      for each level:  round what its own indices give away, if floats are narrowed
 *                       barrier, if some pair of this level lives on two workers
 *                       its own indices take from their partners
 *      barrier: nobody reads a buffer of mine any more
 *
 * One barrier serves two ends: before a level it makes the pointers visible and what the lower levels
 * computed. A level all of whose pairs live on one worker each needs none, since a worker's own results need
 * no publishing: 64 PEs on 2 workers meet twice, not seven times. Nobody writes what another still reads: an
 * index that has given its buffer away never takes again, so the buffer rests until the closing barrier.
 *
 * A taker reads its partner's buffer where it is: nothing travels here, narrowed or not. What is counted is
 * what would.
 */
#include "fabric/shm.h"

static void take_level(omni_fabric *f, size_t segment, const fabric_tree *t, omni_range share, size_t level) {
    shm_segment *s = shm_segment_of(f, segment);
    size_t p = f->segments[segment].count;
    size_t pair = (size_t)2 << level; /* takers are its multiples */
    for (size_t i = (share.start + pair - 1) & ~(pair - 1); i < share.start + share.count; i += pair) {
        if (!tree_takes(p, level, i)) continue;
        size_t bytes = tree_take_bytes(t, p, level, i);
        if (bytes == 0) continue;
        tree_take(t, p, level, i, s->buffers[i].at, s->buffers[i + ((size_t)1 << level)].at);
        count_tree_take(f, segment, i, bytes);
    }
}

static void narrow_level(const fabric_tree *t, size_t p, omni_range share, size_t level) {
    for (size_t i = 0; i < share.count; i++) tree_narrow(t, p, level, share.start + i, t->own[i]);
}

bool shm_tree(omni_fabric *f, size_t w, size_t segment, const fabric_tree *t) {
    omni_range share = fabric_share(f, w, segment);
    if (share.count == 0) return true;
    if (f->schedule == FABRIC_SLICED && !t->sliced && t->op->record) return shm_tree_sliced(f, w, segment, t);
    shm_segment *s = shm_segment_of(f, segment);
    /* Plain stores: the last tree's readers are behind its closing barrier, this one's before its first. */
    for (size_t i = 0; i < share.count; i++) s->buffers[share.start + i].at = t->own[i];
    size_t levels = omni_ceil_log2(f->segments[segment].count);
    for (size_t level = 0; level < levels; level++) {
        narrow_level(t, f->segments[segment].count, share, level);
        if (s->crossing >> level & 1 && !omni_barrier_wait(s->barrier, w - s->first_worker, f->wait, f->stop))
            return false;
        take_level(f, segment, t, share, level);
    }
    if (share.start == 0) count_tree(f, segment, t);
    return !s->crossing || omni_barrier_wait(s->barrier, w - s->first_worker, f->wait, f->stop);
}
