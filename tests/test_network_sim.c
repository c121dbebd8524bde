/* test_network_sim.c: a ring or a mesh that is played message by message, and collectives along a way on
 * it. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "network_sim.h"

/* --- the machine ------------------------------------------------------------------------------ */

static bool neighbours(const sim *t, size_t a, size_t b) {
    size_t far = a < b ? b - a : a - b;
    if (t->columns) return far == t->columns || (far == 1 && a / t->columns == b / t->columns);
    return far == 1 || (t->closed && far == t->p - 1);
}

/* Places count on behind the last one, and begin again. */
void sim_post(sim *t, const job *j, size_t from, size_t to, size_t a, size_t b, uint64_t bytes) {
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 1024;
        t->round = realloc(t->round, t->capacity * sizeof *t->round);
    }
    if (bytes) t->round[t->count++] = (message){from, to, a, b, j, bytes};
}

static uint64_t *held(sim *t, size_t pe, const job *j, size_t unit, size_t slice) {
    return &t->value[pe * 2 * t->p + t->lane * t->p + j->first + unit % j->n * j->gap + slice * j->stride];
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
void sim_play(sim *t) {
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

void sim_phase_ends(sim *t) {
    for (size_t i = 0; i < 2 * t->p; i++) t->clock[i] = t->finished;
}

static bool adds_up(collective_op op) {
    return op == OP_REDUCE || op == OP_REDUCE_SCATTER;
}

static bool at_root_first(collective_op op) {
    return op == OP_BROADCAST || op == OP_SCATTER;
}

sim sim_begin(const machine *m, size_t p, bool closed, size_t columns, collective_op op, size_t lanes) {
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
toll sim_end(sim *t, collective_op op) {
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

/* --- along a way ------------------------------------------------------------------------------ */

static uint64_t units(const job *j, size_t a, size_t b) {
    return (b < j->n ? omni_split(j->bytes, j->n, b).start : j->bytes) - omni_split(j->bytes, j->n, a).start;
}

void sim_tree(sim *t, const job *j, bool up, bool slices) {
    size_t top = 1;
    while (top < j->n) top *= 2;
    for (size_t apart = up ? 1 : top / 2; up ? apart < j->n : apart > 0; apart = up ? 2 * apart : apart / 2) {
        for (size_t i = 0; i + apart < j->n; i += 2 * apart) {
            size_t a = slices ? i + apart : 0, b = slices && i + 2 * apart < j->n ? i + 2 * apart : j->n;
            sim_post(t, j, up ? i + apart : i, up ? i : i + apart, a, b, units(j, a, b));
        }
        sim_play(t);
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
                sim_post(t, j, x, x + step, a, last ? b : a, last ? half[d] - (parts - 1) * part : part);
            }
        }
        sim_play(t);
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
    sim_post(t, j, from, to, unit, unit + 1, units(j, unit, unit + 1));
}

void sim_go_round(sim *t, const job *j, bool sum) {
    size_t n = j->n, both = j->closed && n > 2, rounds = both ? n / 2 : n - 1;
    for (size_t k = 0; k < rounds; k++) {
        size_t far = sum ? rounds - k : k + 1; /* of the receiver from the unit's place; sums come closer */
        for (size_t c = 0; c < n; c++) {
            bool twice = both && (far < n / 2 || n % 2);
            pass_on(t, j, sum ? c + n - far : c + far - 1, false, c);
            if (twice) pass_on(t, j, sum ? c + far : c + n + 1 - far, true, c);
        }
        sim_play(t);
    }
}

/* A broadcast, or up a reduction: the tree; slices; parts, 1, 2, 4, .. of them. */
void sim_spread(sim *t, const job *j, bool up, size_t how) {
    if (j->n < 2) return;
    if (how == 0) sim_tree(t, j, up, false);
    if (how >= 2) pipe(t, j, (size_t)1 << (how - 2), up);
    if (how != 1) return;
    bool add = t->add;
    if (up) sim_go_round(t, j, true);
    t->add = false;
    sim_tree(t, j, up, true);
    t->add = add;
    if (!up) sim_go_round(t, j, false);
}
