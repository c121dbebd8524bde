/* test_network_sim.c: the collectives of a ring and a mesh, message by message. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "network_tools.h"

/* --- the machine ------------------------------------------------------------------------------ */

/* A way of n PEs, and a value in n units, unit k of which belongs to place k: it is `each` slices, `stride` apart, from
 * `first` + k * `gap` on. */
typedef struct job {
    size_t *way, n;
    bool closed;
    size_t first, gap, stride, each;
    uint64_t bytes;
} job;

/* From place to place along a way; with it go units [a, b), or nothing yet. */
typedef struct message {
    size_t from, to, a, b;
    const job *j;
    uint64_t bytes;
} message;

typedef struct sim {
    const machine *m;
    size_t p, columns, lanes, lane;
    bool closed, add;
    uint64_t carried, finished;
    uint64_t *clock; /* [2 lanes, p] */
    uint64_t *value; /* [p, 2 p]: of each PE, for each slice of each lane */
    uint64_t *link;  /* [p, p]: free from */
    message *round;
    size_t count, capacity;
} sim;

static bool neighbours(const sim *t, size_t a, size_t b) {
    size_t far = a < b ? b - a : a - b;
    if (t->columns) return far == t->columns || (far == 1 && a / t->columns == b / t->columns);
    return far == 1 || (t->closed && far == t->p - 1);
}

/* Places count on behind the last one, and begin again. */
static void post(sim *t, const job *j, size_t from, size_t to, size_t a, size_t b, uint64_t bytes) {
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 1024;
        t->round = realloc(t->round, t->capacity * sizeof *t->round);
    }
    if (bytes) t->round[t->count++] = (message){from, to, a, b, j, bytes};
}

static uint64_t *held(sim *t, size_t pe, const job *j, size_t unit, size_t slice) {
    return &t->value[pe * 2 * t->p + t->lane * t->p + j->first + unit % j->n * j->gap + slice * j->stride];
}

static uint64_t later_of(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* When both are ready, over all its links at once, none of which is taken. */
static uint64_t send(sim *t, const message *k) {
    const size_t *way = k->j->way, n = k->j->n, hops = k->from < k->to ? k->to - k->from : k->from - k->to;
    uint64_t data = (k->bytes + t->m->link.width - 1) / t->m->link.width;
    uint64_t cycles = t->m->startup + t->m->router * hops + data;
    const uint64_t *clock = &t->clock[t->lane * t->p];
    uint64_t start = later_of(clock[way[k->from % n]], clock[way[k->to % n]]);
    uint64_t end = start + (cycles * t->m->link.cycle_as + 999999) / 1000000;
    for (size_t h = 0; h < hops; h++) {
        size_t at = way[(k->from < k->to ? k->from + h : k->from - h) % n];
        size_t next = way[(k->from < k->to ? k->from + h + 1 : k->from - h - 1) % n];
        cr_assert(neighbours(t, at, next), "no link from %zu to %zu", at, next);
        cr_assert_leq(t->link[at * t->p + next], start, "the link from %zu to %zu is taken", at, next);
        t->link[at * t->p + next] = end;
    }
    t->carried += k->bytes * hops;
    return end;
}

/* A round: everybody sends and receives what he does, then adds what came. */
static void play(sim *t) {
    uint64_t *clock = &t->clock[t->lane * t->p], *next = malloc(t->p * sizeof *next), *value = NULL;
    size_t values = 0, at = 0;
    memcpy(next, clock, t->p * sizeof *next);
    for (size_t i = 0; i < t->count; i++) values += (t->round[i].b - t->round[i].a) * t->round[i].j->each;
    value = malloc((values + 1) * sizeof *value);
    for (size_t i = 0; i < t->count; i++) {
        const message *k = &t->round[i];
        size_t from = k->j->way[k->from % k->j->n], to = k->j->way[k->to % k->j->n];
        uint64_t end = send(t, k);
        next[from] = later_of(next[from], end);
        next[to] = later_of(next[to], end);
        for (size_t u = k->a; u < k->b; u++)
            for (size_t e = 0; e < k->j->each; e++) value[at++] = *held(t, from, k->j, u, e);
    }
    at = 0;
    for (size_t i = 0; i < t->count; i++) {
        const message *k = &t->round[i];
        size_t to = k->j->way[k->to % k->j->n];
        for (size_t u = k->a; u < k->b; u++)
            for (size_t e = 0; e < k->j->each; e++) {
                uint64_t *mine = held(t, to, k->j, u, e);
                *mine = value[at++] + (t->add ? *mine : 0);
            }
        if (t->add) next[to] += t->lanes * picoseconds(k->bytes, t->m->add_as);
    }
    for (size_t i = 0; i < t->p; i++) t->finished = later_of(t->finished, clock[i] = next[i]);
    t->count = 0;
    free(next);
    free(value);
}

static void phase_ends(sim *t) {
    for (size_t i = 0; i < 2 * t->p; i++) t->clock[i] = t->finished;
}

/* --- along a way ------------------------------------------------------------------------------ */

static uint64_t units(const job *j, size_t a, size_t b) {
    return (b < j->n ? omni_split(j->bytes, j->n, b).start : j->bytes) - omni_split(j->bytes, j->n, a).start;
}

static void tree(sim *t, const job *j, bool up, bool slices) {
    size_t top = 1;
    while (top < j->n) top *= 2;
    for (size_t apart = up ? 1 : top / 2; up ? apart < j->n : apart > 0; apart = up ? 2 * apart : apart / 2) {
        for (size_t i = 0; i + apart < j->n; i += 2 * apart) {
            size_t a = slices ? i + apart : 0, b = slices && i + 2 * apart < j->n ? i + 2 * apart : j->n;
            post(t, j, up ? i + apart : i, up ? i : i + apart, a, b, units(j, a, b));
        }
        play(t);
    }
}

/* In parts from place to place; both ways round, half of it each. The units go with the last part. */
static void pipe(sim *t, const job *j, size_t wanted, bool up) {
    size_t n = j->n, both = j->closed && n > 2;
    uint64_t half[2] = {both ? (j->bytes + 1) / 2 : j->bytes, both ? j->bytes / 2 : 0};
    for (size_t r = 0; r < n + wanted; r++) {
        for (size_t d = 0; d < 1 + both; d++) {
            uint64_t part = (half[0] + wanted - 1) / wanted, parts = part ? (half[d] + part - 1) / part : 0;
            for (size_t i = 0; i + 1 < n && i <= r; i++) {
                if (r - i >= parts) continue;
                bool last = r - i + 1 == parts;
                size_t a = d ? n / 2 : 0, b = both && !d ? n / 2 : n, far = up ? n - 1 - i : i;
                size_t x = d ? n - far : far, step = (d != 0) == up ? 1 : (size_t)-1;
                post(t, j, x, x + step, a, last ? b : a, last ? half[d] - (parts - 1) * part : part);
            }
        }
        play(t);
    }
}

/* The places of a way in a cycle whose neighbours are one place apart, or two. */
static size_t folded(const job *j, size_t i) {
    i %= j->n;
    if (j->closed || j->n < 3) return i;
    return 2 * i < j->n ? 2 * i : 2 * (j->n - i) - 1;
}

/* From the i-th of the cycle to the one behind it, or before it. */
static void pass_on(sim *t, const job *j, size_t i, bool back, size_t unit_of) {
    size_t n = j->n, unit = folded(j, unit_of), to = folded(j, i + (back ? n - 1 : 1)), from = folded(j, i);
    if (j->closed && n > 2) {
        from = n + i % n;
        to = back ? from - 1 : from + 1;
    }
    post(t, j, from, to, unit, unit + 1, units(j, unit, unit + 1));
}

static void go_round(sim *t, const job *j, bool sum) {
    size_t n = j->n, both = j->closed && n > 2, rounds = both ? n / 2 : n - 1;
    for (size_t k = 0; k < rounds; k++) {
        size_t far = sum ? rounds - k : k + 1; /* of the receiver from the unit's place; sums come closer */
        for (size_t c = 0; c < n; c++) {
            bool twice = both && (far < n / 2 || n % 2);
            pass_on(t, j, sum ? c + n - far : c + far - 1, false, c);
            if (twice) pass_on(t, j, sum ? c + far : c + n + 1 - far, true, c);
        }
        play(t);
    }
}

/* A broadcast, or up a reduction: the tree; slices; parts, 1, 2, 4, .. of them. */
static void spread(sim *t, const job *j, bool up, size_t how) {
    if (j->n < 2) return;
    if (how == 0) tree(t, j, up, false);
    if (how >= 2) pipe(t, j, (size_t)1 << (how - 2), up);
    if (how != 1) return;
    bool add = t->add;
    if (up) go_round(t, j, true);
    t->add = false;
    tree(t, j, up, true);
    t->add = add;
    if (!up) go_round(t, j, false);
}

/* --- on a mesh -------------------------------------------------------------------------------- */

typedef struct mesh_way {
    size_t a, b, from_a, from_b; /* PE of (place x along, y across): x * from_a + y * from_b */
} mesh_way;

enum { SLICES_OF_ONE, SLICES_ACROSS, SLICES_ALONG };

/* The way along (or across) at y. What place x owns: a slice, those of the same x, or those of its line across. */
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
        if (what == A_TREE_SLICES && j.n > 1) tree(t, &j, up, true);
        if (what == A_ROUND && j.n > 1) go_round(t, &j, up);
        if (what == A_SPREAD) spread(t, &j, up, how);
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
                spread(t, &j, up, how / 32);
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
            if (j.n > 1) tree(t, &j, up, true);
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

static bool adds_up(collective_op op) {
    return op == OP_REDUCE || op == OP_REDUCE_SCATTER;
}

static bool at_root_first(collective_op op) {
    return op == OP_BROADCAST || op == OP_SCATTER;
}

static sim begin(const machine *m, size_t p, bool closed, size_t columns, collective_op op, size_t lanes) {
    sim t = {.m = m, .p = p, .columns = columns, .closed = closed, .lanes = lanes, .add = adds_up(op)};
    t.clock = calloc(2 * p, sizeof *t.clock);
    t.value = calloc(2 * p * p, sizeof *t.value);
    t.link = calloc(p * p, sizeof *t.link);
    for (size_t i = 0; i < p; i++)
        for (size_t s = 0; s < 2 * p; s++)
            t.value[i * 2 * p + s] = adds_up(op)         ? i + 1
                                     : at_root_first(op) ? (i == 0) * (s + 1)
                                                         : (s % p == i) * (s + 1);
    return t;
}

/* Everybody has what he is to have, of the lanes that there were. */
static toll end(sim *t, collective_op op) {
    for (size_t i = 0; i < t->p; i++)
        for (size_t s = 0; s < t->lanes * t->p; s++) {
            uint64_t want = adds_up(op) ? t->p * (t->p + 1) / 2 : s + 1;
            bool here = op == OP_BROADCAST || op == OP_ALL_GATHER || (op == OP_SCATTER && s % t->p == i) ||
                        (op == OP_REDUCE_SCATTER && s % t->p == i) ||
                        ((op == OP_REDUCE || op == OP_GATHER) && i == 0);
            if (here)
                cr_assert_eq(t->value[i * 2 * t->p + s], want, "op %d on %zu PEs: slice %zu of PE %zu", op,
                             t->p, s, i);
        }
    toll out = {t->finished, t->carried};
    free(t->clock);
    free(t->value);
    free(t->link);
    free(t->round);
    return out;
}

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
        sim t = begin(m, p, closed && !rows, c, op, 1);
        size_t *owner = malloc(p * sizeof *owner);
        job j = {.way = way, .n = p, .closed = closed, .gap = 1, .stride = 1, .each = 1, .bytes = bytes};
        if (op <= OP_REDUCE) spread(&t, &j, op == OP_REDUCE, how);
        if (op == OP_SCATTER || op == OP_GATHER) tree(&t, &j, op == OP_GATHER, true);
        if (op >= OP_ALL_GATHER) {
            /* units are those of places: who starts with, or ends up with, slice k is way[k] */
            for (size_t i = 0; op == OP_ALL_GATHER && i < p; i++)
                for (size_t s = 0; s < p; s++) t.value[way[i] * 2 * p + s] = (s == i) * (s + 1);
            go_round(&t, &j, op == OP_REDUCE_SCATTER);
        }
        if (rows && (op == OP_SCATTER || op == OP_GATHER || op == OP_REDUCE_SCATTER))
            op = OPS; /* others' places */
        keep_best(best, end(&t, op));
        free(owner);
        if (op == OPS) break;
    }
    free(way);
}

/* Along the first row and down all columns at the same time. */
static void mesh_pipe(const machine *m, size_t p, size_t c, bool up, uint64_t bytes, size_t wanted,
                      toll *best) {
    sim t = begin(m, p, false, c, up ? OP_REDUCE : OP_BROADCAST, 1);
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
            post(&t, &edge[i], up, !up, 0, last, last ? bytes - (parts - 1) * part : part);
        }
        play(&t);
    }
    keep_best(best, end(&t, up ? OP_REDUCE : OP_BROADCAST));
    free(edge);
    free(way);
}

static void in_lanes(const machine *m, size_t p, size_t rows, collective_op op, uint64_t bytes, bool whole,
                     size_t how, size_t lanes, bool turned, toll *best) {
    size_t c = p / rows;
    sim t = begin(m, p, false, c, op, lanes);
    mesh_way way[2] = {{c, rows, 1, c}, {rows, c, c, 1}};
    for (size_t k = 0; k < 3; k++) {
        for (t.lane = 0; t.lane < lanes; t.lane++)
            mesh_phase(&t, &way[t.lane ^ (size_t)turned], op, k, whole, how, bytes / lanes);
        phase_ends(&t);
    }
    keep_best(best, end(&t, op));
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
