/* test_network_best.c: all the ways in which a collective can be played on a ring or a mesh, and the best of
 * them. */
#include <stdlib.h>

#include "network_sim.h"
#include "network_tools.h"

/* --- on a mesh -------------------------------------------------------------------------------- */

typedef struct mesh_way {
    size_t a, b, from_a, from_b; /* PE of (place x along, y across): x * from_a + y * from_b */
} mesh_way;

enum { SLICES_OF_ONE, SLICES_ACROSS, SLICES_ALONG };

/* The way along (or across) at y. What place x owns: a slice, those of the same x, or those of its line
 * across. */
static job line(const mesh_way *w, bool along, size_t y, int owns, uint64_t bytes, size_t *buf) {
    size_t n = along ? w->a : w->b, step = along ? w->from_a : w->from_b,
           other = along ? w->from_b : w->from_a;
    for (size_t x = 0; x < n; x++) buf[x] = x * step + y * other;
    job j = {.way = buf, .n = n, .gap = step, .first = y * other, .stride = 1, .each = 1, .bytes = bytes};
    if (owns == SLICES_ACROSS) j.first = 0;
    if (owns == SLICES_ACROSS) j.stride = other, j.each = along ? w->b : w->a;
    return j;
}

/* A phase of a lane: on all lines along (across), or the first. */
typedef enum act { A_TREE_SLICES, A_ROUND, A_SPREAD } act;
static void phase(sim *t, const mesh_way *w, bool along, size_t lines, act what, int owns, bool up,
                  size_t how, uint64_t bytes) {
    size_t *buf = malloc(t->p * sizeof *buf);
    uint64_t finished = t->finished; /* clocks are of PEs: lines go on at the same time */
    for (size_t y = 0; y < lines; y++) {
        bool add = t->add;
        job j = line(w, along, y, owns, bytes, buf);
        if (what == A_TREE_SLICES) t->add = false;
        if (what == A_TREE_SLICES && j.n > 1) sim_tree(t, &j, up, true);
        if (what == A_ROUND && j.n > 1) sim_go_round(t, &j, up);
        if (what == A_SPREAD) sim_spread(t, &j, up, how);
        t->add = add;
    }
    t->finished = later_of(finished, t->finished);
    free(buf);
}

/* How a collective is cut into phases on lines of w, for `bytes` in this lane. */
static void mesh_phase(sim *t, const mesh_way *w, collective_op op, size_t k, bool whole, size_t how,
                       uint64_t m) {
    uint64_t part = m / w->a, far = m / w->b;
    bool up = op == OP_REDUCE || op == OP_GATHER || op == OP_REDUCE_SCATTER;
    size_t i = up && op != OP_REDUCE_SCATTER ? 2 - k : k;
    switch (op) {
    case OP_BROADCAST:
    case OP_REDUCE:
        if (whole && i == 0) phase(t, w, true, 1, A_SPREAD, SLICES_ACROSS, up, how % 32, m);
        if (whole && i == 1) {
            size_t *buf = malloc(t->p * sizeof *buf);
            for (size_t x = 0; x < w->a; x++) {
                job j = line(w, false, x, SLICES_ACROSS, m, buf);
                j.first = 0, j.gap = w->from_b, j.stride = w->from_a, j.each = w->a;
                sim_spread(t, &j, up, how / 32);
            }
            free(buf);
        }
        if (whole) return;
        if (i == 0) phase(t, w, true, 1, A_TREE_SLICES, SLICES_ACROSS, up, 0, m);
        if (i == 1) phase(t, w, false, w->a, A_SPREAD, SLICES_OF_ONE, up, how, part);
        if (i == 2) phase(t, w, true, w->b, A_ROUND, SLICES_ACROSS, up, 0, m);
        return;
    case OP_SCATTER:
    case OP_GATHER: /* along all lines to the first place, across at it */
        if (i == (op == OP_GATHER ? 2 : 1)) phase(t, w, true, w->b, A_TREE_SLICES, SLICES_OF_ONE, up, 0, far);
        if (i == (op == OP_GATHER ? 1 : 0)) {
            size_t *buf = malloc(t->p * sizeof *buf);
            job j = line(w, false, 0, SLICES_ACROSS, m, buf);
            bool add = t->add;
            t->add = false;
            if (j.n > 1) sim_tree(t, &j, up, true);
            t->add = add;
            free(buf);
        }
        return;
    case OP_ALL_GATHER:
        if (k == 0) phase(t, w, true, w->b, A_ROUND, SLICES_OF_ONE, false, 0, far);
        if (k == 1) phase(t, w, false, w->a, A_ROUND, SLICES_ACROSS, false, 0, m);
        return;
    default:
        if (k == 0) phase(t, w, true, w->b, A_ROUND, SLICES_ACROSS, true, 0, m);
        if (k == 1) phase(t, w, false, w->a, A_ROUND, SLICES_OF_ONE, true, 0, part);
    }
}

/* --- whole runs ------------------------------------------------------------------------------- */

static void keep_best(toll *best, toll one) {
    if (one.ps < best->ps || (one.ps == best->ps && one.bytes < best->bytes)) *best = one;
}

/* Parts beyond which only start-ups grow. */
static size_t ways_to_spread(const machine *m, uint64_t bytes) {
    size_t n = 3;
    while (n < 24 && ((uint64_t)1 << (n - 2)) * m->link.width < 4 * bytes && ((uint64_t)1 << (n - 2)) < bytes)
        n++;
    return n;
}

/* As one way round: a ring, a row, or a mesh in rows to and fro (closed: down the first column last). */
static void along_a_row(const machine *m, size_t p, bool closed, size_t rows, collective_op op,
                        uint64_t bytes, toll *best) {
    size_t *way = malloc(p * sizeof *way), c = rows ? p / rows : 0;
    for (size_t i = 0; i < p; i++) way[i] = i;
    size_t high = rows, wide = c, at = 0;
    bool turned = rows && rows % 2; /* then there are as many columns as one can go up and down in pairs */
    if (turned) high = c, wide = rows;
    for (size_t y = 0; rows && closed && y < high; y++)
        for (size_t x = 1; x < wide; x++) {
            size_t along = y % 2 ? wide - x : x;
            way[at++] = turned ? along * c + y : y * c + along;
        }
    for (size_t y = high; rows && closed && y-- > 0;) way[at++] = turned ? y : y * c;
    for (size_t i = 0; rows && !closed && i < p; i++)
        way[i] = i / c * c + (i / c % 2 ? c - 1 - i % c : i % c);
    for (size_t i = 0; i < p && rows && closed; i++) /* the root first */
        while (way[0] != 0) {
            size_t first = way[0];
            memmove(way, way + 1, (p - 1) * sizeof *way);
            way[p - 1] = first;
        }
    size_t hows = op <= OP_REDUCE ? ways_to_spread(m, bytes) : 1;
    for (size_t how = 0; how < hows; how++) {
        sim t = sim_begin(m, p, closed && !rows, c, op, 1);
        job j = {.way = way, .n = p, .closed = closed, .gap = 1, .stride = 1, .each = 1, .bytes = bytes};
        if (op <= OP_REDUCE) sim_spread(&t, &j, op == OP_REDUCE, how);
        if (op == OP_SCATTER || op == OP_GATHER) sim_tree(&t, &j, op == OP_GATHER, true);
        if (op >= OP_ALL_GATHER) {
            /* units are those of places: who starts with, or ends up with, slice k is way[k] */
            for (size_t i = 0; op == OP_ALL_GATHER && i < p; i++)
                for (size_t s = 0; s < p; s++) t.value[way[i] * 2 * p + s] = (s == i) * (s + 1);
            sim_go_round(&t, &j, op == OP_REDUCE_SCATTER);
        }
        if (rows && (op == OP_SCATTER || op == OP_GATHER || op == OP_REDUCE_SCATTER))
            op = OPS; /* others' places */
        keep_best(best, sim_end(&t, op));
        if (op == OPS) break;
    }
    free(way);
}

/* Along the first row and down all columns at the same time. */
static void mesh_pipe(const machine *m, size_t p, size_t c, bool up, uint64_t bytes, size_t wanted,
                      toll *best) {
    sim t = sim_begin(m, p, false, c, up ? OP_REDUCE : OP_BROADCAST, 1);
    size_t depth = p / c + c - 2;
    uint64_t part = (bytes + wanted - 1) / wanted, parts = (bytes + part - 1) / part;
    job *edge = calloc(p, sizeof *edge);
    size_t(*way)[2] = calloc(p, sizeof *way);
    for (size_t i = 1; i < p; i++) {
        way[i][0] = i < c ? i - 1 : i - c;
        way[i][1] = i;
        edge[i] = (job){.way = way[i], .n = 2, .each = p, .stride = 1, .bytes = bytes};
    }
    for (size_t r = 0; r + 1 < depth + parts; r++) {
        for (size_t i = 1; i < p; i++) {
            size_t level = i / c + i % c, turn = up ? depth - level : level - 1;
            if (r < turn || r - turn >= parts) continue;
            bool last = r - turn + 1 == parts;
            sim_post(&t, &edge[i], up, !up, 0, last, last ? bytes - (parts - 1) * part : part);
        }
        sim_play(&t);
    }
    keep_best(best, sim_end(&t, up ? OP_REDUCE : OP_BROADCAST));
    free(edge);
    free(way);
}

static void in_lanes(const machine *m, size_t p, size_t rows, collective_op op, uint64_t bytes, bool whole,
                     size_t how, size_t lanes, bool turned, toll *best) {
    size_t c = p / rows;
    sim t = sim_begin(m, p, false, c, op, lanes);
    mesh_way way[2] = {{c, rows, 1, c}, {rows, c, c, 1}};
    for (size_t k = 0; k < 3; k++) {
        for (t.lane = 0; t.lane < lanes; t.lane++)
            mesh_phase(&t, &way[t.lane ^ (size_t)turned], op, k, whole, how, bytes / lanes);
        sim_phase_ends(&t);
    }
    keep_best(best, sim_end(&t, op));
}

toll simulate_best(const machine *m, size_t p, bool closed, size_t rows, collective_op op, uint64_t bytes) {
    toll best = {UINT64_MAX, 0};
    along_a_row(m, p, closed, rows, op, bytes, &best);
    if (rows < 2) return best;
    size_t hows = op <= OP_REDUCE ? ways_to_spread(m, bytes) : 1;
    for (size_t how = 2; how < hows && op <= OP_REDUCE; how++)
        mesh_pipe(m, p, p / rows, op == OP_REDUCE, bytes, (size_t)1 << (how - 2), &best);
    for (size_t lanes = 1; lanes <= 2; lanes++)
        for (size_t turned = 0; turned < (lanes == 1 ? 2 : 1); turned++) {
            for (size_t how = 0; how < hows; how++)
                in_lanes(m, p, rows, op, bytes, false, how, lanes, turned, &best);
            for (size_t how = 0; how < hows * hows && op <= OP_REDUCE; how++)
                in_lanes(m, p, rows, op, bytes, true, how % hows + 32 * (how / hows), lanes, turned, &best);
        }
    return best;
}
