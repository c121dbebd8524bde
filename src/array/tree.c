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
    size_t apart = faults_apart(t->w->m.faults, t->c->first + t->first, t->p, k);
    return level_ps(&t->w->m, apart, bytes, tree_turns(k, t->p, t->share), !t->slice);
}

/* The leaves of the job's ranks. */
static void find_leaves(const tree_job *t) {
    const cell *c = t->c;
    leaf *out = t->w->leaf;
    size_t n = 0, end = t->first + t->p;
    for (size_t r = runs_of(&c->runs, t->first); r < c->runs.count && c->runs.start[r] < end; r++) {
        moment ready = later(cell_clock(c, r), t->from);
        uint64_t slice = t->slice ? t->slice[r] : t->bytes;
        if (n == 0 || out[n - 1].ready.ps != ready.ps || out[n - 1].slice != slice)
            out[n++] = (leaf){.ready = ready, .slice = slice};
        out[n - 1].end = c->runs.start[r + 1] < end ? c->runs.start[r + 1] : end;
    }
}

static const leaf *leaf_at(const leaf *l, size_t index) {
    while (l->end <= index) l++;
    return l;
}

/* What indices [from, to), which begin in leaf l, hand over. */
static uint64_t handed_over(const tree_job *t, const leaf *l, size_t from, size_t to) {
    uint64_t sum = 0;
    if (!t->slice) return t->bytes;
    for (; from < to; l++) {
        size_t end = l->end < to ? l->end : to;
        sum = sat_add(sum, sat_mul(l->slice, end - from));
        from = end;
    }
    return sum;
}

/* The subtree of 2^k indices from `lo`, which is in leaf l, cut off at the end of the ranks. */
static moment subtree(const tree_job *t, const leaf *l, size_t lo, size_t k) {
    size_t end = t->first + t->p, half = k ? (size_t)1 << (k - 1) : 0, to = lo + ((size_t)1 << k);
    moment ready = l->ready;
    if (to <= end && l->end >= to) {
        for (size_t j = 0; j < k; j++) {
            t->w->watch.level = j;
            ready = spend(t->w, ready,
                          level_cost(t, j, t->slice ? sat_mul(l->slice, (uint64_t)1 << j) : t->bytes), t->s,
                          OMNI_PRICE_TREE);
        }
        return ready;
    }
    if (lo + half >= end) return subtree(t, l, lo, k - 1);
    const leaf *middle = leaf_at(l, lo + half);
    moment left = subtree(t, l, lo, k - 1), right = subtree(t, middle, lo + half, k - 1);
    uint64_t ps = level_cost(t, k - 1, handed_over(t, middle, lo + half, to < end ? to : end));
    t->w->watch.level = k - 1;
    return spend(t->w, later(left, right), ps, t->s, OMNI_PRICE_TREE);
}

/* The levels as the root sees them; behind the first of several chunks, the slowest of them again and again.
 * */
moment tree_walk(const tree_job *t, uint64_t *busy_ps) {
    size_t levels = omni_ceil_log2(t->p), end = t->first + t->p;
    uint64_t slowest = 0, sum = 0, again = chunks_of(t) - 1;
    find_leaves(t);
    for (size_t k = 0; k < levels; k++) {
        size_t from = t->first + ((size_t)1 << k), to = from + ((size_t)1 << k);
        uint64_t ps = level_cost(t, k, handed_over(t, leaf_at(t->w->leaf, from), from, to < end ? to : end));
        slowest = ps > slowest ? ps : slowest;
        sum = sat_add(sum, ps);
    }
    *busy_ps = sat_add(sum, sat_mul(slowest, again));
    moment end_of_first = subtree(t, t->w->leaf, t->first, levels);
    return spend(t->w, end_of_first, sat_mul(slowest, again), t->s, OMNI_PRICE_TREE);
}
