/* network.c: the collectives of a ring and of a 2D mesh, each by the best of its textbook algorithms, in
 * closed form.
 *
 * A message of b bytes over h links takes link_ps = (start-up + h router + ceil(b / width)) cycles:
 * cut-through. A PE drives all its links at once, both ways; it has one adder. n PEs, slices of s = ceil(m /
 * n), T(b, h) = link_ps:
 *
 *   in a row
 *     minimum spanning tree   sum_k T(m, 2^k)                          broadcast; reduction: + m gamma each
 *       of slices             sum_k T(slices of [2^k, 2^(k+1)), 2^k)   scatter, gather
 *     pipeline of c parts     (n - 2 + c) T(m/c, 1)                    broadcast; reduction: + m/c gamma each
 *     bucket, round the row   (n - 1) T(s, h)                          all-gather; reduce-scatter: + s gamma
 *     scatter, then bucket                                             broadcast; reduction backwards
 *   A closed row goes both ways: pipelines with half the bytes each, buckets in n/2 rounds. One that is not
 *   closed is folded for the bucket, 0 2 4 5 3 1: h = 2, and each link is used once each way.
 *
 *   in a mesh of R rows and C columns
 *     rows, then columns      all-gather in rows, of C slices in columns; reduce-scatter backwards; broadcast
 *                             as a scatter in the first row, a broadcast in columns, an all-gather in rows;
 *                             or both whole
 *       in two lanes          one half of the bytes rows first, the other columns first, phase by phase
 *     pipeline                along the first row and down all columns: (R + C - 3 + c) T(m/c, 1)
 *     round                   as one row: a closed cycle where R, C > 1 and R C is even, else a folded snake
 *   R x C is the most square that is p and at most twice as wide as high; else R = floor(sqrt p), C = floor(p
 *   / R), and the p - R C left over stand below the last row. They hand what they have to the PE above them
 *   first and get the result from it at last (as Thakur et al. do where p is no power of two).
 *
 * Sources: Chan, Heimlich, Purkayastha, van de Geijn, "Collective communication: theory, practice, and
 * experience" (2007): spanning trees without conflicts, buckets, their mirror images, meshes dimension by
 * dimension, scatter + all-gather; Barnett, Payne, van de Geijn, Watts, "Broadcasting on meshes with wormhole
 * routing" (1996); Watts, van de Geijn, "A pipelined broadcast for multidimensional meshes" (1995); Thakur,
 * Rabenseifner, Gropp, "Optimization of collective communication operations in MPICH" (2005); Patarasuk,
 * Yuan, "Bandwidth optimal all-reduce algorithms for clusters of workstations" (2009): reduce-scatter +
 * all-gather round a ring; folding a ring: Dally, Towles, "Principles and practices of interconnection
 * networks" (2004).
 */
#include "array/network.h"

typedef unsigned __int128 wide;

static toll then(toll a, toll b) {
    return (toll){sat_add(a.ps, b.ps), sat_add(a.bytes, b.bytes)};
}

static toll best(toll a, toll b) {
    return b.ps < a.ps || (b.ps == a.ps && b.bytes < a.bytes) ? b : a;
}

/* In `times` rows, or columns, at once. */
static toll each(toll t, size_t times) {
    return (toll){t.ps, sat_mul(t.bytes, times)};
}

/* --- in a row --------------------------------------------------------------------------------- */

/* A message, and what it brings combined `adds` times. */
static uint64_t hop_ps(const machine *m, uint64_t bytes, uint64_t hops, unsigned adds) {
    return sat_add(link_ps(m, bytes, hops), sat_mul(adds, picoseconds(bytes, m->add_as)));
}

uint64_t link_ps(const machine *m, uint64_t bytes, uint64_t hops) {
    if (bytes == 0) return 0;
    uint64_t data = m->link.width == UINT64_MAX ? 0 : ceil_div(bytes, m->link.width);
    uint64_t cycles = sat_add(sat_add(m->startup, sat_mul(m->router, hops)), data);
    return picoseconds(cycles, m->link.cycle_as);
}

/* The tree's pairs: i and i + 2^k, for i divisible by 2^(k+1). */
static toll spanning_tree(const machine *m, size_t n, uint64_t bytes, unsigned adds) {
    toll sum = {0};
    for (size_t k = 0; ((size_t)1 << k) < n; k++) {
        size_t apart = (size_t)1 << k, pairs = (n - 1 + apart) >> (k + 1);
        sum = then(sum, (toll){hop_ps(m, bytes, apart, adds), sat_mul(bytes, pairs * apart)});
    }
    return sum;
}

/* Every slice goes from its place to the root, or back: from place i over i links. */
static toll tree_of_slices(const machine *m, size_t n, uint64_t bytes) {
    toll sum = {0};
    for (size_t apart = 1; apart < n; apart *= 2) {
        size_t to = 2 * apart < n ? 2 * apart : n;
        uint64_t end = to < n ? omni_split(bytes, n, to).start : bytes;
        sum.ps = sat_add(sum.ps, link_ps(m, end - omni_split(bytes, n, apart).start, apart));
    }
    wide all = (wide)(bytes / n) * n * (n - 1) / 2;
    uint64_t more = bytes % n; /* the first ones have a byte more */
    all += (wide)more * (more ? more - 1 : 0) / 2;
    sum.bytes = all > UINT64_MAX ? UINT64_MAX : (uint64_t)all;
    return sum;
}

/* Over `depth` links one after the other, in parts; the best of 1, 2, 4, .. of them. */
static uint64_t pipeline_ps(const machine *m, size_t depth, uint64_t bytes, unsigned adds) {
    uint64_t least = UINT64_MAX, before = UINT64_MAX;
    for (uint64_t wanted = 1; wanted <= bytes && wanted < (uint64_t)1 << 40; wanted *= 2) {
        uint64_t part = ceil_div(bytes, wanted), parts = ceil_div(bytes, part),
                 last = bytes - (parts - 1) * part;
        uint64_t ps = sat_add(sat_mul(depth + parts - 2, hop_ps(m, part, 1, adds)), hop_ps(m, last, 1, adds));
        least = ps < least ? ps : least;
        if (ps > before && part <= m->link.width) break; /* only start-ups grow from here on */
        before = ps;
    }
    return least;
}

static bool both_ways(pe_row r) {
    return r.closed && r.n > 2;
}

static toll pipeline(const machine *m, pe_row r, uint64_t bytes, unsigned adds) {
    bool both = both_ways(r);
    return (toll){pipeline_ps(m, r.n - 1, both ? ceil_div(bytes, 2) : bytes, both ? 2 * adds : adds),
                  sat_mul(bytes, r.n - 1)};
}

static size_t bucket_hops(pe_row r) {
    return r.closed || r.n <= 2 ? 1 : 2;
}

static uint64_t bucket_bytes(pe_row r, uint64_t bytes) {
    size_t links = r.closed && r.n > 2 ? r.n : 2 * (r.n - 1); /* once round */
    wide sum = (wide)bytes * links * (r.n - 1) / r.n;
    return sum > UINT64_MAX ? UINT64_MAX : (uint64_t)sum;
}

/* Slices go round until all have them all; backwards, until each has its own from all. */
static toll bucket(const machine *m, pe_row r, uint64_t slice, uint64_t bytes, unsigned adds) {
    size_t rounds = both_ways(r) ? r.n / 2 : r.n - 1;
    uint64_t adding = sat_mul(sat_mul(adds, r.n - 1), picoseconds(slice, m->add_as));
    return (toll){sat_add(sat_mul(rounds, link_ps(m, slice, bucket_hops(r))), adding),
                  bucket_bytes(r, bytes)};
}

/* A broadcast, or with adds a reduction. */
static toll spread(const machine *m, pe_row r, uint64_t bytes, unsigned adds) {
    if (r.n < 2 || bytes == 0) return (toll){0};
    toll sliced = then(tree_of_slices(m, r.n, bytes), bucket(m, r, ceil_div(bytes, r.n), bytes, adds));
    return best(best(spanning_tree(m, r.n, bytes, adds), pipeline(m, r, bytes, adds)), sliced);
}

static toll deal(const machine *m, pe_row r, uint64_t bytes) {
    return r.n < 2 ? (toll){0} : tree_of_slices(m, r.n, bytes);
}

static toll go_round(const machine *m, pe_row r, uint64_t slice, uint64_t bytes, unsigned adds) {
    return r.n < 2 || bytes == 0 ? (toll){0} : bucket(m, r, slice, bytes, adds);
}

/* --- the shape -------------------------------------------------------------------------------- */

static void find_shape(net *n) {
    size_t side = 1;
    while ((side + 1) * (side + 1) <= n->p) side++;
    size_t r = side;
    while (r > 1 && n->p % r) r--;
    if (n->p / r > 2 * r) r = side;
    n->rows = r;
    n->columns = n->p / r;
    n->rest = n->p - n->rows * n->columns;
}

net net_of(const machine *m, size_t p, bool all) {
    net n = {.m = m, .p = p, .whole = {p, all && m->network == OMNI_NETWORK_RING}};
    if (m->network != OMNI_NETWORK_MESH) return n;
    find_shape(&n);
    n.mesh = n.rows > 1;
    n.whole.closed = n.mesh && n.rest == 0 && p % 2 == 0;
    return n;
}

size_t net_links(const net *n) {
    if (!n->mesh) return n->p < 2 ? 0 : 2 * (n->p - 1 + both_ways(n->whole));
    size_t below = n->rest ? 2 * n->rest - 1 : 0;
    return 2 * (n->rows * (n->columns - 1) + n->columns * (n->rows - 1) + below);
}

/* --- in a mesh -------------------------------------------------------------------------------- */

/* The phases of one lane: first along rows of `a` PEs, of which there are `b`, then across them. */
typedef struct lane {
    toll phase[3];
} lane;

typedef enum collective { BROADCAST, WHOLE, GATHER, ALL_GATHER, REDUCE_SCATTER } collective;

typedef struct question {
    const machine *m;
    collective what; /* WHOLE: a broadcast without slices */
    uint64_t slice;  /* of an all-gather */
    unsigned adds;   /* a reduction instead of a broadcast */
} question;

static lane phases(const question *q, size_t a, size_t b, uint64_t slice, uint64_t bytes) {
    const machine *m = q->m;
    pe_row along = {a, false}, across = {b, false};
    uint64_t part = ceil_div(bytes, a);
    switch (q->what) {
    case BROADCAST:
        return (lane){{deal(m, along, bytes), each(spread(m, across, part, q->adds), a),
                       each(go_round(m, along, part, bytes, q->adds), b)}};
    case WHOLE:
        return (lane){{spread(m, along, bytes, q->adds), each(spread(m, across, bytes, q->adds), a)}};
    case GATHER:
        return (lane){{each(deal(m, along, ceil_div(bytes, b)), b), deal(m, across, bytes)}};
    case ALL_GATHER:
        return (lane){{each(go_round(m, along, slice, ceil_div(bytes, b), 0), b),
                       each(go_round(m, across, sat_mul(slice, a), bytes, 0), a)}};
    default:
        return (lane){{each(go_round(m, along, part, bytes, q->adds), b),
                       each(go_round(m, across, ceil_div(part, b), part, q->adds), a)}};
    }
}

static toll add_up(const lane *a, const lane *b) {
    toll sum = {0};
    for (size_t i = 0; i < 3; i++)
        sum = then(sum, (toll){a->phase[i].ps > b->phase[i].ps ? a->phase[i].ps : b->phase[i].ps,
                               sat_add(a->phase[i].bytes, b->phase[i].bytes)});
    return sum;
}

/* In one lane, either way; in two lanes the adder works for both. */
static toll in_lanes(question q, const net *n, uint64_t bytes) {
    size_t r = n->rows, c = n->columns;
    lane none = {0}, rows = phases(&q, c, r, q.slice, bytes), columns = phases(&q, r, c, q.slice, bytes);
    toll one = best(add_up(&rows, &none), add_up(&columns, &none));
    if (r < 2 || c < 2) return one;
    q.adds *= 2;
    rows = phases(&q, c, r, ceil_div(q.slice, 2), ceil_div(bytes, 2));
    columns = phases(&q, r, c, q.slice / 2, bytes / 2);
    return best(one, add_up(&rows, &columns));
}

/* Between the PEs left over and those above them. */
static toll handed(const net *n, uint64_t bytes, unsigned adds) {
    return n->rest ? (toll){hop_ps(n->m, bytes, 1, adds), sat_mul(bytes, n->rest)} : (toll){0};
}

/* --- the collectives -------------------------------------------------------------------------- */

/* Two children of a PE of the first row add up at it. */
static toll mesh_pipeline(const net *n, uint64_t bytes, unsigned adds) {
    size_t depth = n->rows + n->columns - 2 + (n->rest > 0);
    return (toll){pipeline_ps(n->m, depth, bytes, 2 * adds), sat_mul(bytes, n->p - 1)};
}

static toll spread_all(const net *n, uint64_t bytes, unsigned adds) {
    if (n->p < 2 || bytes == 0) return (toll){0};
    toll t = spread(n->m, n->whole, bytes, adds);
    if (!n->mesh) return t;
    toll sliced = in_lanes((question){n->m, BROADCAST, 0, adds}, n, bytes);
    toll whole = in_lanes((question){n->m, WHOLE, 0, adds}, n, bytes);
    t = best(t, mesh_pipeline(n, bytes, adds));
    return best(t, then(best(sliced, whole), handed(n, bytes, adds)));
}

toll net_broadcast(const net *n, uint64_t bytes) {
    return spread_all(n, bytes, 0);
}

toll net_reduce(const net *n, uint64_t bytes) {
    return spread_all(n, bytes, 1);
}

toll net_gather(const net *n, uint64_t bytes) {
    toll t = deal(n->m, n->whole, bytes);
    if (!n->mesh) return t;
    toll laned = in_lanes((question){n->m, GATHER, 0, 0}, n, bytes);
    return best(t, then(laned, handed(n, ceil_div(bytes, n->p), 0)));
}

toll net_all_gather(const net *n, uint64_t slice, uint64_t bytes) {
    toll t = go_round(n->m, n->whole, slice, bytes, 0);
    if (!n->mesh || bytes == 0) return t;
    toll before = handed(n, slice, 0), behind = handed(n, bytes, 0);
    toll laned = in_lanes((question){n->m, ALL_GATHER, n->rest ? sat_mul(slice, 2) : slice, 0}, n, bytes);
    return best(t, then(then(before, laned), behind));
}

toll net_reduce_scatter(const net *n, uint64_t bytes) {
    toll t = go_round(n->m, n->whole, ceil_div(bytes, n->p), bytes, 1);
    if (!n->mesh || bytes == 0) return t;
    toll before = handed(n, bytes, 1), behind = handed(n, ceil_div(bytes, n->p), 0);
    return best(t, then(then(before, in_lanes((question){n->m, REDUCE_SCATTER, 0, 1}, n, bytes)), behind));
}

static size_t apart(size_t a, size_t b) {
    return a < b ? b - a : a - b;
}

toll net_between(const net *n, size_t from, size_t to, uint64_t bytes) {
    size_t hops = apart(from, to), c = n->columns;
    if (n->mesh)
        hops = apart(from / c, to / c) + apart(from % c, to % c);
    else if (both_ways(n->whole) && n->p - hops < hops)
        hops = n->p - hops;
    return (toll){link_ps(n->m, bytes, hops), sat_mul(bytes, hops)};
}

/* Both ways, two come in the time of one. Its own is there. */
uint64_t net_turn_ps(const net *n, size_t turn, uint64_t slice) {
    uint64_t ps = turn ? link_ps(n->m, slice, bucket_hops(n->whole)) : 0;
    return both_ways(n->whole) ? ceil_div(ps, 2) : ps;
}

uint64_t net_round_bytes(const net *n, uint64_t bytes) {
    return n->p < 2 ? 0 : bucket_bytes(n->whole, bytes);
}
