/* tree.c: one reduction or gather, level by level, over runs of ranks instead of ranks.
 *
 *   index    0   1   2   3   4   5      level k: i takes the buffer of i + 2^k, for i divisible by 2^(k+1),
 *   level 0  0---1   2---3   4---5      if that index exists; it starts when both are ready
 *   level 1  0-------2       4
 *   level 2  0---------------4
 *
 * A subtree whose ranks are all of one run is closed: its clock, and the sum of its levels. So only subtrees
 * that a run's boundary cuts, or the end of the ranks, are walked into.
 *
 * The tree's wires are those of the cut bus, or its own. Of the cut bus, pairs that find no piece of their
 * own share one, in turns. Wires of its own are all there, and with them chunks of a reduction follow each
 * other through the levels: behind the first, the slowest level sets the pace.
 */
#include "array/walk.h"

uint64_t tree_turns(size_t k, size_t p, uint64_t share) {
    uint64_t pairs = (p - 1 + ((uint64_t)1 << k)) >> (k + 1);
    return pairs > share ? ceil_div(pairs, share) : 1;
}

/* Chunks that follow each other, and bytes that move at a time. */
static uint64_t chunks_of(const tree_job *t) {
    bool pipelined = t->w->m.own_wires && !t->slice && t->bytes > t->w->m.chunk;
    return pipelined ? ceil_div(t->bytes, t->w->m.chunk) : 1;
}

/* A level at which a subtree hands over `bytes`. */
static uint64_t level_cost(const tree_job *t, size_t k, uint64_t bytes) {
    if (chunks_of(t) > 1) bytes = t->w->m.chunk;
    return level_ps(&t->w->m, k, bytes, tree_turns(k, t->p, t->share), !t->slice);
}

/* Slices of indices [from, to). */
static uint64_t slices(const tree_job *t, size_t from, size_t to) {
    uint64_t sum = 0;
    for (size_t r = runs_of(&t->c->runs, from); from < to; r++) {
        size_t end = t->c->runs.start[r + 1] < to ? t->c->runs.start[r + 1] : to;
        sum = sat_add(sum, sat_mul(t->slice[r], end - from));
        from = end;
    }
    return sum;
}

static uint64_t handed_over(const tree_job *t, size_t from, size_t to) {
    return t->slice ? slices(t, from, to) : t->bytes;
}

/* The subtree of 2^k indices from `lo`, cut off at the end of the ranks. */
static moment subtree(const tree_job *t, size_t lo, size_t k) {
    size_t end = t->first + t->p, half = k ? (size_t)1 << (k - 1) : 0, to = lo + ((size_t)1 << k);
    size_t r = runs_of(&t->c->runs, lo);
    moment ready = later(t->c->clock[r], t->from);
    if (k == 0) return ready;
    if (to <= end && t->c->runs.start[r + 1] >= to) {
        for (size_t j = 0; j < k; j++)
            ready = spend(t->w, ready,
                          level_cost(t, j, t->slice ? sat_mul(t->slice[r], (uint64_t)1 << j) : t->bytes),
                          t->s, OMNI_PRICE_TREE);
        return ready;
    }
    if (lo + half >= end) return subtree(t, lo, k - 1);
    moment left = subtree(t, lo, k - 1), right = subtree(t, lo + half, k - 1);
    uint64_t ps = level_cost(t, k - 1, handed_over(t, lo + half, to < end ? to : end));
    return spend(t->w, later(left, right), ps, t->s, OMNI_PRICE_TREE);
}

/* The levels as the root sees them; behind the first of several chunks, the slowest of them again and again.
 * */
moment tree_walk(const tree_job *t, uint64_t *busy_ps) {
    size_t levels = omni_ceil_log2(t->p), end = t->first + t->p;
    uint64_t slowest = 0, sum = 0, again = chunks_of(t) - 1;
    for (size_t k = 0; k < levels; k++) {
        size_t from = t->first + ((size_t)1 << k), to = from + ((size_t)1 << k);
        uint64_t ps = level_cost(t, k, handed_over(t, from, to < end ? to : end));
        slowest = ps > slowest ? ps : slowest;
        sum = sat_add(sum, ps);
    }
    *busy_ps = sat_add(sum, sat_mul(slowest, again));
    return spend(t->w, subtree(t, t->first, levels), sat_mul(slowest, again), t->s, OMNI_PRICE_TREE);
}
