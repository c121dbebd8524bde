/* test_array_naive.c: a walker of plans on virtual clocks that knows no runs and no classes: what
 * test_array_walk.c holds the pricing to.
 */
#include <string.h>

#include "array_tools.h"

enum { MOST_PES = 64, MOST_SEQUENCES = 16, MOST_PIECES = 512, TREE = OMNI_CUTS };

omni_extent array_pass(size_t sequences, size_t tokens, size_t first, bool ragged) {
    static size_t firsts[MOST_SEQUENCES], counts[MOST_SEQUENCES];
    omni_extent x = {.sequences = sequences, .first = firsts, .counts = counts};
    cr_assert_leq(sequences, (size_t)MOST_SEQUENCES);
    for (size_t i = 0; i < sequences; i++) {
        counts[i] = ragged && tokens > 1 ? 1 + (tokens * (i + 1) + i) % tokens : tokens;
        firsts[i] = ragged && first ? first + 3 * i % 5 : first;
        x.tokens += counts[i];
    }
    return x;
}

/* --- the state -------------------------------------------------------------------------------- */

typedef struct wires {
    uint64_t free[MOST_PES];
    size_t subs;
    unsigned cut;
} wires;

typedef struct state {
    const omni_plan *plan;
    machine m;
    omni_extent pass;
    uint64_t clock[MOST_PES], host;
    size_t pe[MOST_PES];        /* where each rank is */
    uint64_t ppm[MOST_PES];     /* how slow */
    size_t wave, step;          /* at hand: a strip is a copy */
    wires wires[MOST_PIECES];   /* a piece of the bus */
    uint64_t tree[MOST_PIECES]; /* [groups x stages] its own wires are free */
    size_t pieces;
    bool shared;
    naive out;
} state;

static uint64_t max(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* The ranks are the PEs that live. */
static void find_pes(state *t, const faults *f) {
    size_t rank = 0;
    for (size_t pe = 0; rank < t->plan->mesh.used; pe++) {
        uint64_t ppm = PPM;
        for (size_t k = 0; k < 2; k++)
            for (size_t i = 0; i < f->ranges[k]; i++)
                if (f->range[k][i].first <= pe && pe <= f->range[k][i].last) ppm = f->range[k][i].ppm;
        if (ppm == 0) continue;
        t->pe[rank] = pe;
        t->ppm[rank++] = ppm;
    }
}

/* A step's work on a rank. */
static uint64_t takes(const state *t, const work *one, size_t rank) {
    const faults *f = t->m.faults;
    uint64_t pass = ((uint64_t)t->pass.tokens << 32) + t->pass.first[0];
    uint64_t step = faults_step(f, pass, t->wave, t->step);
    uint64_t ps = ceil_div(work_ps(&t->m, one) * t->ppm[rank], PPM);
    return ceil_div(ps * faults_jitter(f, step, t->pe[rank]), PPM);
}

static size_t span(const state *t, omni_range ranks) {
    return t->pe[ranks.start + ranks.count - 1] - t->pe[ranks.start] + 1;
}

static void open_wires(state *t) {
    const omni_mesh *mesh = &t->plan->mesh;
    size_t wanted = mesh->groups * mesh->stages, each = (size_t)(t->m.pieces / wanted);
    size_t heads = mesh->heads ? mesh->heads : 1;
    t->shared = wanted > t->m.pieces && (omni_plan_widest(t->plan) > 1 || mesh->stages > 1);
    t->pieces = t->shared ? (size_t)t->m.pieces : wanted;
    cr_assert_leq(t->pieces, (size_t)MOST_PIECES);
    for (size_t i = 0; i < t->pieces; i++) {
        t->wires[i].subs = each < 1 ? 1 : each < heads ? each : heads;
        t->wires[i].cut = OMNI_CUT_STAGE;
    }
}

static wires *wires_of(state *t, size_t group, size_t stage) {
    const omni_mesh *mesh = &t->plan->mesh;
    size_t i = group * mesh->stages + stage;
    return &t->wires[t->shared ? omni_split_owner(mesh->groups * mesh->stages, t->pieces, i) : i];
}

static uint64_t all_free(const wires *w) {
    uint64_t at = 0;
    for (size_t k = 0; k < w->subs; k++) at = max(at, w->free[k]);
    return at;
}

static void take(wires *w, uint64_t until, unsigned cut) {
    for (size_t k = 0; k < w->subs; k++) w->free[k] = until;
    w->cut = cut;
}

static uint64_t start(state *t, uint64_t ready, uint64_t taken) {
    if (taken > ready) {
        t->out.conflicts++;
        t->out.wait_ps += taken - ready;
    }
    return max(ready, taken);
}

/* The part of a group in a stage in a wave. */
static bool part_at(const state *t, size_t group, size_t stage, size_t wave, omni_part *part) {
    if (wave < stage) return false;
    omni_parts it = omni_parts_begin(t->plan, t->pass, group);
    for (size_t m = 0; m <= wave - stage; m++)
        if (!omni_parts_next(&it, part)) return false;
    return true;
}

/* --- messages, PE by PE ------------------------------------------------------------------------ */

typedef struct talk {
    state *t;
    const omni_step *s;
    const omni_part *part;
    omni_range ranks; /* of the piece */
    size_t parts;     /* that the stage's piece is cut into for it */
    size_t stage_p;   /* ranks of the stage */
} talk;

static uint64_t value_bytes(const talk *k, int value, const size_t *index) {
    const omni_value *v = &k->t->plan->value[value];
    bool tokens = v->rows == OMNI_ROWS_TOKEN_SHARE;
    if (!index) return wire_bytes(k->t->plan, k->s, v, &k->part->extent, k->stage_p);
    return wire_row_bytes(k->t->plan, k->s, v, k->stage_p, index && !tokens ? index : NULL) *
           omni_step_rows(k->s, v->rows, k->part->extent, k->stage_p, index ? *index : 0).count;
}

static uint64_t tree(const talk *k, uint64_t from) {
    state *t = k->t;
    bool gather = k->s->kind == OMNI_STEP_GATHER;
    size_t p = k->ranks.count, wanted = t->plan->mesh.groups * t->plan->mesh.stages * k->parts;
    uint64_t at[MOST_PES], held[MOST_PES], share = t->m.pieces / wanted, slowest = 0, chunks = 1;
    uint64_t whole = value_bytes(k, k->s->in[0], NULL);
    if (t->m.own_wires && !gather && whole > t->m.chunk) chunks = (whole + t->m.chunk - 1) / t->m.chunk;
    for (size_t i = 0; i < p; i++) {
        at[i] = max(t->clock[k->ranks.start + i], from);
        held[i] = gather ? value_bytes(k, k->s->in[0], &i) : chunks > 1 ? t->m.chunk : whole;
    }
    for (size_t level = 0; ((size_t)1 << level) < p; level++) {
        size_t apart = (size_t)1 << level;
        uint64_t pairs = 0, turns = 1, furthest = 0;
        for (size_t i = 0; i + apart < p; i += 2 * apart) pairs++;
        for (size_t i = k->ranks.start; i + apart < k->ranks.start + p; i += 2 * apart)
            furthest = max(furthest, t->pe[i + apart] - t->pe[i]);
        if (!t->m.own_wires && pairs > (share ? share : 1)) turns = ceil_div(pairs, share ? share : 1);
        for (size_t i = 0; i + apart < p; i += 2 * apart) {
            uint64_t ps = level_ps(&t->m, furthest, held[i + apart], turns, !gather);
            at[i] = max(at[i], at[i + apart]) + ps;
            if (gather) held[i] += held[i + apart];
            if (i == 0) slowest = max(slowest, ps);
        }
    }
    return at[0] + (chunks - 1) * slowest;
}

static uint64_t send(const talk *k, uint64_t at, uint64_t bytes, uint64_t ready, uint64_t cut) {
    if (bytes == 0) return at;
    k->t->out.grants++;
    return max(at, ready) + cut + bus_ps(&k->t->m, bytes, span(k->t, k->ranks));
}

static uint64_t one_by_one(const talk *k, uint64_t at, uint64_t cut) {
    bool root = k->s->kind == OMNI_STEP_SCATTER;
    for (size_t i = k->s->kind == OMNI_STEP_ALL_GATHER ? 0 : 1; i < k->ranks.count; i++) {
        uint64_t bytes = value_bytes(k, root ? k->s->out : k->s->in[0], &i);
        at = send(k, at, bytes, k->t->clock[k->ranks.start + (root ? 0 : i)], cut);
        if (bytes) cut = 0;
    }
    return at;
}

/* On a piece that is free from `from` on. When all leave. */
static uint64_t talk_over(const talk *k, uint64_t from, bool other_cut) {
    state *t = k->t;
    uint64_t cut = other_cut ? bus_cut_ps(&t->m) : 0, first = t->clock[k->ranks.start], early = UINT64_MAX;
    for (size_t i = 0; i < k->ranks.count; i++)
        if (t->clock[k->ranks.start + i] < early) early = t->clock[k->ranks.start + i];
    switch (k->s->kind) {
    case OMNI_STEP_BROADCAST:
        return send(k, start(t, first, from), value_bytes(k, k->s->in[0], NULL), 0, cut);
    case OMNI_STEP_REDUCE:
    case OMNI_STEP_GATHER:
        start(t, k->parts > 1 ? first : early, from);
        return tree(k, from);
    case OMNI_STEP_COLLECT:
        return one_by_one(k, start(t, t->clock[k->ranks.start + 1], from), cut);
    default:
        return one_by_one(k, start(t, first, from), cut);
    }
}

static void message(state *t, const omni_step *s, size_t group, const omni_part *part) {
    wires *w = wires_of(t, group, s->stage);
    bool up = s->kind == OMNI_STEP_REDUCE || s->kind == OMNI_STEP_GATHER, bus = !up || !t->m.own_wires;
    omni_range stage = omni_mesh_ranks(&t->plan->mesh, group, s->stage);
    size_t parts = omni_mesh_pieces_in(&t->plan->mesh, s->cut);
    bool heads = s->cut == OMNI_CUT_HEAD, other = w->cut != s->cut;
    for (size_t k = 0; k < parts; k++) {
        talk over = {t,     s,          part, omni_mesh_piece(&t->plan->mesh, s->cut, group, s->stage, k),
                     parts, stage.count};
        if (over.ranks.count < 2 || value_bytes(&over, s->in[0], NULL) == 0) {
            if (!heads) return;
            continue;
        }
        uint64_t *sub = &w->free[omni_split_owner(parts, w->subs < parts ? w->subs : parts, k)];
        uint64_t *own = &t->tree[group * t->plan->mesh.stages + s->stage];
        uint64_t from = !bus ? *own : heads ? *sub : all_free(w);
        uint64_t end = talk_over(&over, from, other);
        if (!bus && !heads) *own = end;
        if (bus && heads) *sub = end;
        if (bus && !heads) take(w, end, OMNI_CUT_STAGE);
        for (size_t i = 0; i < over.ranks.count; i++)
            t->clock[over.ranks.start + i] = max(t->clock[over.ranks.start + i], end);
    }
    if (bus) w->cut = up ? TREE : s->cut;
}

static void host(state *t, const omni_step *s, size_t wave) {
    uint64_t at = t->host, all = 0;
    omni_part part;
    for (int twice = 0; twice < 2; twice++) {
        for (size_t g = 0; g < t->plan->mesh.groups; g++) {
            if (!part_at(t, g, s->stage, wave, &part)) continue;
            omni_counters c;
            omni_range ranks = omni_mesh_ranks(&t->plan->mesh, g, s->stage);
            bool in = s->kind == OMNI_STEP_HOST_IN;
            talk k = {t, s, &part, ranks, 1, ranks.count};
            uint64_t bytes = value_bytes(&k, in ? s->out : s->in[0], NULL);
            if (!in && s->op->kind == OMNI_OP_ARGMAX) bytes /= 2;
            (void)c;
            if (bytes == 0) continue;
            wires *w = wires_of(t, g, s->stage);
            if (!twice) {
                at = max(at, max(all_free(w), in ? 0 : t->clock[ranks.start]));
                all += host_ps(&t->m, bytes);
                continue;
            }
            take(w, t->host, OMNI_CUT_STAGE);
            for (size_t i = 0; i < (in ? ranks.count : 1); i++)
                t->clock[ranks.start + i] = max(t->clock[ranks.start + i], t->host);
        }
        t->host = at + all;
    }
}

static void hand_off(state *t, const omni_step *s, size_t group, const omni_part *part) {
    omni_range piece = omni_mesh_piece(&t->plan->mesh, OMNI_CUT_BOUNDARY, group, s->stage, 0);
    size_t to = omni_mesh_ranks(&t->plan->mesh, group, s->stage + 1).start;
    wires *a = wires_of(t, group, s->stage), *b = wires_of(t, group, s->stage + 1);
    talk k = {t, s, part, piece, 1, piece.count};
    bool other = a->cut != OMNI_CUT_BOUNDARY || b->cut != OMNI_CUT_BOUNDARY;
    uint64_t at = start(t, t->clock[piece.start], max(all_free(a), all_free(b)));
    uint64_t end = send(&k, at, value_bytes(&k, s->in[0], NULL), 0, other ? bus_cut_ps(&t->m) : 0);
    take(a, end, OMNI_CUT_BOUNDARY);
    take(b, end, OMNI_CUT_BOUNDARY);
    t->clock[piece.start] = max(t->clock[piece.start], end);
    t->clock[to] = max(t->clock[to], end);
}

/* --- messages of all groups: a rank is a group -------------------------------------------------- */

static uint64_t join(state *t, uint64_t *cut) {
    uint64_t at = 0;
    *cut = 0;
    for (size_t i = 0; i < t->pieces; i++) {
        at = max(at, all_free(&t->wires[i]));
        if (t->wires[i].cut != OMNI_CUT_ALL) *cut = bus_cut_ps(&t->m);
    }
    return at;
}

static void stream(state *t, const omni_step *s) {
    size_t used = t->plan->mesh.used;
    uint64_t cut, at = join(t, &cut), done[2] = {0, 0}, comp[MOST_PES], entry[MOST_PES];
    memcpy(entry, t->clock, sizeof entry);
    memcpy(comp, t->clock, sizeof comp);
    for (size_t r = 0; r < used; r++) {
        size_t outputs = omni_weight_dealt(&t->plan->mesh, &t->plan->weight[s->weight], r).count;
        if (outputs == 0) continue;
        uint64_t bytes = omni_weight_dealt_bytes(&t->plan->mesh, &t->plan->weight[s->weight], r), all = 0;
        uint64_t ready = max(entry[r], done[1]);
        at = (r == 0 ? start(t, ready, at) : max(at, ready)) + cut +
             bus_ps(&t->m, bytes, span(t, (omni_range){0, used}));
        t->out.grants++;
        cut = 0;
        for (size_t i = 0; i < used; i++) {
            omni_parts it = omni_parts_begin(t->plan, t->pass, i);
            omni_part part;
            size_t rows = omni_parts_next(&it, &part)
                              ? omni_rows_count(t->plan->value[s->out].rows, part.extent, 1, 0)
                              : 0;
            work one = stream_work(t->plan, s, rows, outputs);
            comp[i] = max(comp[i], at) + takes(t, &one, i);
            all = max(all, comp[i]);
            t->out.computing += takes(t, &one, i);
            t->out.macs += one.macs;
        }
        done[1] = done[0];
        done[0] = all;
    }
    for (size_t i = 0; i < t->pieces; i++) take(&t->wires[i], at, OMNI_CUT_ALL);
    memcpy(t->clock, comp, used * sizeof *comp);
}

static void share(state *t, const omni_step *s) {
    size_t used = t->plan->mesh.used;
    uint64_t cut, at = join(t, &cut);
    at = start(t, t->clock[0], at);
    for (size_t g = 0; g < used; g++) {
        omni_part part;
        if (!part_at(t, g, 0, 0, &part)) continue;
        talk k = {t, s, &part, {0, used}, 1, used};
        at = send(&k, at, value_bytes(&k, s->in[0], NULL), t->clock[g], cut);
        cut = 0;
    }
    for (size_t i = 0; i < t->pieces; i++) take(&t->wires[i], at, OMNI_CUT_ALL);
    for (size_t i = 0; i < used; i++) t->clock[i] = max(t->clock[i], at);
}

/* --- the walk ------------------------------------------------------------------------------------ */

static void compute(state *t, const omni_step *s, size_t group, const omni_part *part) {
    omni_range ranks = omni_mesh_ranks(&t->plan->mesh, group, s->stage);
    for (size_t i = 0; i < ranks.count; i++) {
        work one = step_work(t->plan, s, &part->extent, ranks.count, i);
        t->clock[ranks.start + i] += takes(t, &one, ranks.start + i);
        t->out.computing += takes(t, &one, ranks.start + i);
        t->out.macs += one.macs;
    }
}

/* Step `at` of the plan, or a strip of it. */
static void step(state *t, size_t at, const omni_step *s, size_t wave) {
    omni_part part;
    t->wave = wave;
    t->step = at;
    if (s->kind == OMNI_STEP_HOST_IN || s->kind == OMNI_STEP_HOST_OUT) host(t, s, wave);
    if (s->kind == OMNI_STEP_STREAM) stream(t, s);
    if (s->kind == OMNI_STEP_KV_SHARE) share(t, s);
    bool done = s->kind == OMNI_STEP_HOST_IN || s->kind == OMNI_STEP_HOST_OUT || s->cut == OMNI_CUT_ALL;
    for (size_t g = 0; g < t->plan->mesh.groups && !done; g++)
        if (part_at(t, g, s->stage, wave, &part))
            (s->kind == OMNI_STEP_HAND_OFF ? hand_off
             : omni_step_is_message(s)     ? message
                                           : compute)(t, s, g, &part);
}

/* Strip by strip: messages take their time, and the PEs do not wait for them before the last. */
static void train(state *t, size_t at, size_t wave) {
    const omni_step *first = &t->plan->step[at];
    uint64_t there[MOST_PES] = {0}, own[MOST_PES];
    for (size_t strip = 0; strip < first->strips; strip++) {
        for (size_t i = 0; i < 2 * first->train; i++) {
            omni_step s = omni_step_strip(&first[i % first->train], strip);
            if (i == first->train) memcpy(own, t->clock, sizeof own);
            if (omni_step_is_message(&s) == (i >= first->train)) step(t, at + i % first->train, &s, wave);
        }
        for (size_t i = 0; i < MOST_PES; i++) there[i] = max(there[i], t->clock[i]);
        memcpy(t->clock, own, sizeof own);
    }
    for (size_t i = 0; i < MOST_PES; i++) t->clock[i] = max(t->clock[i], there[i]);
}

naive naive_price(const omni_array *array, const omni_plan *plan, omni_extent pass) {
    static state t;
    size_t stages = plan->mesh.stages, waves = 0;
    omni_part part;
    t = (state){.plan = plan, .pass = pass};
    machine_set(&t.m, array);
    find_pes(&t, t.m.faults);
    open_wires(&t);
    for (size_t g = 0; g < plan->mesh.groups; g++)
        for (size_t m = 0; part_at(&t, g, 0, m, &part); m++) waves = max(waves, m + stages);
    for (size_t wave = 0; wave < waves; wave++) {
        for (size_t s = 0; s < stages; s++)
            for (size_t i = 0, n; i < plan->block[s].count; i += n ? n : 1) {
                size_t at = plan->block[s].start + i;
                n = plan->step[at].train;
                if (n)
                    train(&t, at, wave);
                else
                    step(&t, at, &plan->step[at], wave);
            }
        for (size_t s = 0; s + 1 < stages; s++) {
            size_t at = plan->step_count - stages + 1 + s;
            step(&t, at, &plan->step[at], wave);
        }
    }
    t.out.ps = t.host;
    for (size_t r = 0; r < plan->mesh.used; r++) {
        omni_seat seat = omni_mesh_seat(&plan->mesh, r);
        if (part_at(&t, seat.group, 0, 0, &part)) t.out.ps = max(t.out.ps, t.clock[r]);
    }
    return t.out;
}
