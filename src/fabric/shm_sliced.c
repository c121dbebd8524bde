/* shm_sliced.c: reductions whose work is cut by elements, not by pairs.
 *
 *      each worker: publish the pointers of its ranks' buffers
 *                   the pairs all of whose ranks are its own
 *      barrier
 *      each worker: the pairs that are left, all levels in one go, on its slice of the elements
 *      barrier: nobody uses a buffer of mine any more
 *
 *                elements  0 ........ k | k ........ n
 *      pair 0 <- 32        worker 0     | worker 1           (64 PEs on 2 workers: one pair is left)
 *
 * Level by level, a pair of two workers keeps one of them busy with the whole buffer, which it reads out of
 * the other's cache, while the rest wait; here each reads its part of it, all at the same time, and two
 * barriers do for all levels. The result lies in the first rank's buffer, in slices that several caches hold:
 * a broadcast that follows, whose readers have one slice each already, is the faster for it.
 *
 * The bits are those of the pairwise schedule: an element goes through the same pairs in an order that
 * respects what each needs, so it sees the same additions, and the same roundings before them where floats
 * are narrowed.
 *
 * Assumed: combine works on any run of records (op->record > 0); slices and blocks are cut between records,
 * and at whole lines where records allow it, so that two workers seldom write one line.
 */
#include "fabric/shm.h"
#include "fabric/view.h"

enum {
    BLOCK_BYTES = 4 * 1024,  /* of each buffer at a time: a walk over many ranks stays in the first cache */
    LEAST_SLICE_BYTES = 1024 /* less is not worth a worker's while */
};

/* Of whole records, and about a line at least. */
static size_t cut_bytes(const fabric_tree *t) {
    size_t records = (64 + t->op->record - 1) / t->op->record;
    return records * t->op->record;
}

static void combine_block(const shm_segment *s, const fabric_tree *t, const shm_pair *pair, size_t at,
                          size_t bytes, bool narrows) {
    unsigned char *acc = s->buffers[pair->taker].at, *in = s->buffers[pair->giver].at;
    if (narrows) tree_narrow_part(t, in, at, bytes);
    view_combine(t->form, acc, in, at, bytes, t->op->combine, t->op->arg);
}

/* The pairs of one owner, on bytes [at, end) of the buffers. */
static void combine_pairs(const shm_segment *s, const fabric_tree *t, size_t owner, size_t at, size_t end) {
    const shm_pair *first = s->pairs + s->first_pair[owner], *last = s->pairs + s->first_pair[owner + 1];
    size_t cut = cut_bytes(t), block = BLOCK_BYTES / cut * cut;
    bool narrows = view_narrows(t->form);
    if (first == last) return;
    for (size_t n; at < end; at += n) {
        n = block ? block : cut;
        if (n > end - at) n = end - at;
        for (const shm_pair *pair = first; pair < last; pair++) combine_block(s, t, pair, at, n, narrows);
    }
}

/* The slice of worker `index` of the segment. Small buffers are the first one's, who has the result. */
static omni_range slice_of(const shm_segment *s, const fabric_tree *t, size_t index) {
    size_t cut = cut_bytes(t), cuts = (t->bytes + cut - 1) / cut;
    size_t parts = t->bytes / LEAST_SLICE_BYTES;
    if (parts > s->workers) parts = s->workers;
    if (parts == 0) parts = 1;
    if (index >= parts) return (omni_range){0};
    omni_range units = omni_split(cuts, parts, index);
    size_t at = units.start * cut, end = at + units.count * cut;
    return (omni_range){at, (end < t->bytes ? end : t->bytes) - at};
}

/* All takes of this worker's ranks, on the line of its first one. */
static void count_takes(omni_fabric *f, size_t segment, const fabric_tree *t, omni_range share) {
    size_t p = f->segments[segment].count, takes = 0;
    for (size_t level = 0; level < omni_ceil_log2(p); level++)
        for (size_t step = (size_t)1 << level, i = (share.start + 2 * step - 1) & ~(2 * step - 1);
             i < share.start + share.count; i += 2 * step)
            takes += tree_takes(p, level, i);
    count_tree_take(f, segment, share.start, takes * omni_view_bytes(t->form));
    if (share.start == 0) count_tree(f, segment, t);
}

bool shm_tree_sliced(omni_fabric *f, size_t w, size_t segment, const fabric_tree *t) {
    omni_range share = fabric_share(f, w, segment);
    shm_segment *s = shm_segment_of(f, segment);
    size_t index = w - s->first_worker;
    /* Plain stores: the last tree's users are behind its closing barrier, this one's before its first. */
    for (size_t i = 0; i < share.count; i++) s->buffers[share.start + i].at = t->own[i];
    count_takes(f, segment, t, share);
    combine_pairs(s, t, index, 0, t->bytes);
    if (s->workers == 1) return true;
    if (!omni_barrier_wait(s->barrier, index, f->wait, f->stop)) return false;
    omni_range slice = slice_of(s, t, index);
    combine_pairs(s, t, s->workers, slice.start, slice.start + slice.count);
    return omni_barrier_wait(s->barrier, index, f->wait, f->stop);
}
