/* cases_fabric_program.c: fabric programs, see cases_fabric.h.
 *
 * Every rank has two buffers. An operation moves from one to the other (a broadcast's src in `from`, the own
 * views in the other), or works in place in `1 - from` (trees). Views are cut by chance, other ones at each
 * rank. After a tree the buffers of all but the first rank are spoilt, so each worker refills its own at
 * once, which also shows under ThreadSanitizer that nobody reads them any more.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases_fabric.h"

typedef struct op {
    op_what what;
    size_t segment, writer, taker; /* indices */
    size_t from;                   /* buffer of the source */
    bool in_place;                 /* own[writer's] is src */
    omni_addressed_kind kind;
    size_t bytes;
    omni_sliced sliced;
    unsigned long long seed;
    unsigned char *expected; /* what the host port gets back */
} op;

typedef struct memory {
    unsigned char *buffer[FABRIC_MOST_PES][2];
} memory;

typedef struct program {
    program_options o;
    omni_segment whole;
    size_t capacity; /* bytes of a buffer */
    op *ops;
    memory real, model;
    omni_counters counted; /* by the model */
    omni_fabric *fabric;
    omni_stop stop;
} program;

static size_t draw(unsigned long long seed, unsigned long long a, size_t below) {
    return (size_t)(chance(seed, a, 77) % below);
}

/* --- the list of operations ------------------------------------------------------------------- */

/* Any payload of a few bytes, of about a chunk, of many. */
static size_t draw_bytes(const program_options *o, unsigned long long seed) {
    size_t slot = o->slot_bytes ? o->slot_bytes : 16 * 1024;
    size_t some[] = {0, 1, 7, slot - 1, slot, slot + 1, draw(seed, 1, o->most_bytes + 1), o->most_bytes};
    size_t bytes = some[draw(seed, 2, sizeof some / sizeof *some)];
    return bytes < o->most_bytes ? bytes : o->most_bytes;
}

static omni_sliced draw_sliced(unsigned long long seed, size_t most_bytes) {
    omni_sliced s = {.rows = draw(seed, 1, 5), .parts = 1 + draw(seed, 2, OMNI_SPANS)};
    size_t at = draw(seed, 3, 9);
    for (size_t j = 0; j < s.parts; j++) {
        s.part[j].offset = at;
        s.part[j].unit_bytes = 1 + draw(seed, 10 + j, 12);
        s.part[j].units = draw(seed, 20 + j, most_bytes / 16 / s.part[j].unit_bytes + 1);
        if (draw(seed, 30 + j, 3) == 0) s.part[j].units = draw(seed, 40 + j, 5); /* fewer than ranks */
        at += s.part[j].units * s.part[j].unit_bytes + draw(seed, 50 + j, 7);
    }
    s.stride = at + draw(seed, 4, 9);
    return s;
}

static op draw_op(const program *p, size_t n) {
    unsigned long long seed = chance(p->o.seed, n, 5);
    op x = {.seed = seed, .segment = draw(seed, 1, p->o.segment_count), .from = draw(seed, 2, 2)};
    size_t count = p->o.segments[x.segment].count;
    do x.what = (op_what)draw(++seed, 3, OP_WHATS);
    while (p->o.only && !(p->o.only >> x.what & 1));
    x.writer = draw(seed, 4, count);
    x.taker = draw(seed, 5, count);
    x.in_place = draw(seed, 6, 2);
    x.kind = (omni_addressed_kind)draw(seed, 7, 3);
    x.bytes = draw_bytes(&p->o, seed);
    x.sliced = draw_sliced(seed, p->o.most_bytes);
    return x;
}

/* A view of `bytes` bytes of payload somewhere in the buffer, cut into rows and spans with gaps between. */
static omni_view draw_view(unsigned long long seed, void *base, size_t bytes) {
    static const size_t rows[] = {1, 1, 2, 3, 7, 16};
    omni_view v = {.base = (unsigned char *)base + draw(seed, 1, 33), .rows = rows[draw(seed, 2, 6)]};
    if (bytes % v.rows) v.rows = 1;
    size_t left = bytes / v.rows, at = draw(seed, 3, 9);
    v.spans = 1 + draw(seed, 4, OMNI_SPANS);
    for (size_t j = 0; j < v.spans; j++) {
        size_t n = j + 1 == v.spans ? left : draw(seed, 10 + j, left + 1);
        v.span[j].offset = at;
        v.span[j].bytes = n;
        left -= n;
        at += n + draw(seed, 20 + j, 2) * draw(seed, 30 + j, 9);
    }
    v.stride = at + draw(seed, 5, 2) * draw(seed, 6, 17);
    return v;
}

static omni_view src_view(const op *x, const memory *m, size_t rank) {
    return draw_view(x->seed + 1, m->buffer[rank][x->from], x->bytes);
}

static omni_view own_view(const op *x, const memory *m, size_t rank, size_t index) {
    if (x->what == OP_BROADCAST && index == x->writer && x->in_place) return src_view(x, m, rank);
    return draw_view(x->seed + 2 + rank, m->buffer[rank][1 - x->from], x->bytes);
}

static void refill(const op *x, const memory *m, size_t rank, size_t capacity) {
    unsigned char *at = m->buffer[rank][1 - x->from];
    for (size_t i = 0; i < capacity; i += sizeof(unsigned long long)) {
        unsigned long long bits = chance(x->seed, rank, i);
        memcpy(at + i, &bits, capacity - i < sizeof bits ? capacity - i : sizeof bits);
    }
}

/* Neither commutative nor associative: only the right order of the right pairs gives the right bytes. */
static void mix(void *acc, const void *in, size_t bytes, const void *arg) {
    unsigned char *a = acc;
    const unsigned char *b = in;
    const unsigned char *k = arg;
    for (size_t i = 0; i < bytes; i++) a[i] = (unsigned char)(a[i] * 5 + b[i] * 3 + *k);
}

static const unsigned char mix_constant = 11;
static const omni_fabric_operator mixing = {mix, &mix_constant, 1};

/* --- the model -------------------------------------------------------------------------------- */

static unsigned char *payload_byte(const omni_view *v, size_t n) {
    size_t row_bytes = 0;
    for (size_t j = 0; j < v->spans; j++) row_bytes += v->span[j].bytes;
    size_t in_row = n % row_bytes, j = 0;
    while (in_row >= v->span[j].bytes) in_row -= v->span[j++].bytes;
    return (unsigned char *)v->base + n / row_bytes * v->stride + v->span[j].offset + in_row;
}

static void model_copy(omni_view dst, omni_view src, size_t bytes) {
    for (size_t n = 0; n < bytes; n++) *payload_byte(&dst, n) = *payload_byte(&src, n);
}

static void host_payload(const op *x, unsigned char *out) {
    for (size_t i = 0; i < x->bytes; i++) out[i] = (unsigned char)chance(x->seed, i, 9);
}

/* The value of indices [i, i + span): the pair tree, as recursion from the top. */
static void model_reduce(const program *p, const op *x, size_t i, size_t span) {
    omni_segment s = p->o.segments[x->segment];
    if (span == 1) return;
    model_reduce(p, x, i, span / 2);
    if (i + span / 2 >= s.count) return;
    model_reduce(p, x, i + span / 2, span / 2);
    mix(p->model.buffer[s.first + i][1 - x->from], p->model.buffer[s.first + i + span / 2][1 - x->from],
        x->bytes, &mix_constant);
}

static size_t model_gather(program *p, const op *x) {
    omni_segment s = p->o.segments[x->segment];
    size_t all = 0;
    for (size_t i = 0; i < s.count; i++) {
        omni_view to = omni_sliced_view(&x->sliced, p->model.buffer[s.first][1 - x->from], s.count, i, i + 1);
        omni_view from =
            omni_sliced_view(&x->sliced, p->model.buffer[s.first + i][1 - x->from], s.count, i, i + 1);
        model_copy(to, from, omni_view_bytes(&from));
        all += omni_view_bytes(&from);
        p->counted.tree_bytes += (unsigned)__builtin_popcountll(i) * omni_view_bytes(&from);
    }
    return all;
}

static void model_tree(program *p, const op *x) {
    omni_segment s = p->o.segments[x->segment];
    size_t bytes = x->bytes;
    if (x->what == OP_REDUCE)
        model_reduce(p, x, 0, FABRIC_MOST_PES);
    else
        bytes = model_gather(p, x);
    for (size_t i = 1; i < s.count; i++) refill(x, &p->model, s.first + i, p->capacity);
    if (s.count == 1 || bytes == 0) return;
    p->counted.tree_levels += omni_ceil_log2(s.count);
    if (x->what == OP_GATHER) {
        p->counted.tree_gathers++;
        return;
    }
    p->counted.reductions++;
    p->counted.tree_bytes += (s.count - 1) * bytes;
}

static void model_broadcast(program *p, const op *x) {
    omni_segment s = p->o.segments[x->segment];
    omni_view src = src_view(x, &p->model, s.first + x->writer);
    for (size_t i = 0; i < s.count; i++)
        if (i != x->writer || !x->in_place) model_copy(own_view(x, &p->model, s.first + i, i), src, x->bytes);
    if (s.count == 1 || x->bytes == 0) return;
    p->counted.broadcasts++;
    p->counted.broadcast_bytes += x->bytes;
}

static void model_send(program *p, const op *x) {
    omni_segment s = p->o.segments[x->segment];
    model_copy(own_view(x, &p->model, s.first + x->taker, x->taker),
               src_view(x, &p->model, s.first + x->writer), x->bytes);
    if (x->writer == x->taker || x->bytes == 0) return;
    p->counted.addressed_messages++;
    p->counted.addressed_bytes += x->bytes;
    p->counted.scatter_messages += x->kind == OMNI_ADDRESSED_SCATTER;
    p->counted.gather_messages += x->kind == OMNI_ADDRESSED_GATHER;
}

static void model_host(program *p, op *x) {
    omni_segment s = p->o.segments[x->segment];
    x->expected = calloc(1, x->bytes + 1);
    if (x->what == OP_HOST_RETURN) {
        memcpy(x->expected, p->model.buffer[s.first][x->from], x->bytes);
    } else {
        host_payload(x, x->expected);
        for (size_t i = 0; i < s.count; i++)
            model_copy(own_view(x, &p->model, s.first + i, i), omni_view_flat(x->expected, x->bytes),
                       x->bytes);
    }
    p->counted.host_messages += x->bytes > 0;
    p->counted.host_bytes += x->bytes;
}

static void model_run(program *p) {
    for (size_t n = 0; n < p->o.operations; n++) {
        op *x = &p->ops[n];
        if (x->what == OP_BROADCAST) model_broadcast(p, x);
        if (x->what == OP_SEND) model_send(p, x);
        if (x->what == OP_REDUCE || x->what == OP_GATHER) model_tree(p, x);
        if (x->what == OP_HOST_SEND || x->what == OP_HOST_RETURN) model_host(p, x);
    }
}

/* --- the real thing --------------------------------------------------------------------------- */

/* What a worker needs to know of one operation: its ranks within the segment and their memory. */
typedef struct part {
    size_t first, count; /* ranks */
    omni_view own[FABRIC_MOST_PES];
    void *buffers[FABRIC_MOST_PES];
} part;

static void part_fill(part *t, const program *p, const op *x, size_t w) {
    omni_segment s = p->o.segments[x->segment];
    t->count = 0;
    for (size_t rank = s.first; rank < s.first + s.count; rank++) {
        if (omni_split_owner(p->o.pes, p->o.workers, rank) != w) continue;
        if (t->count == 0) t->first = rank;
        t->own[t->count] = own_view(x, &p->real, rank, rank - s.first);
        t->buffers[t->count++] = p->real.buffer[rank][1 - x->from];
    }
}

static bool real_message(const program *p, const op *x, size_t w, const part *t) {
    omni_segment s = p->o.segments[x->segment];
    /* src and dst only where they are used: NULL elsewhere would be noticed */
    bool writes = omni_split_owner(p->o.pes, p->o.workers, s.first + x->writer) == w;
    bool takes = omni_split_owner(p->o.pes, p->o.workers, s.first + x->taker) == w;
    omni_view src = writes ? src_view(x, &p->real, s.first + x->writer) : (omni_view){0};
    if (x->what == OP_BROADCAST)
        return omni_fabric_broadcast(p->fabric, w, x->segment, x->writer, writes ? &src : NULL, t->own);
    omni_view dst = takes ? own_view(x, &p->real, s.first + x->taker, x->taker) : (omni_view){0};
    return omni_fabric_send(p->fabric, w, x->segment, x->writer, x->taker, x->kind, writes ? &src : NULL,
                            takes ? &dst : NULL, x->bytes);
}

static bool real_tree(const program *p, const op *x, size_t w, const part *t) {
    size_t root = p->o.segments[x->segment].first;
    omni_view form = omni_view_flat(NULL, x->bytes);
    bool ok = x->what == OP_REDUCE ? omni_fabric_reduce(p->fabric, w, x->segment, t->buffers, &form, &mixing)
                                   : omni_fabric_gather(p->fabric, w, x->segment, t->buffers, &x->sliced);
    for (size_t i = 0; i < t->count; i++)
        if (t->first + i != root) refill(x, &p->real, t->first + i, p->capacity);
    return ok;
}

static bool real_op(const program *p, const op *x, size_t w, const part *t) {
    switch (x->what) {
    case OP_BROADCAST:
    case OP_SEND:
        return real_message(p, x, w, t);
    case OP_REDUCE:
    case OP_GATHER:
        return real_tree(p, x, w, t);
    case OP_HOST_SEND:
        return omni_fabric_host_receive(p->fabric, w, x->segment, t->own, x->bytes);
    case OP_HOST_RETURN:
        if (t->first != p->o.segments[x->segment].first) return true;
        return omni_fabric_host_return(p->fabric, w, x->segment, p->real.buffer[t->first][x->from], x->bytes);
    default:
        return false;
    }
}

static const char *worker_body(void *arg, size_t w) {
    program *p = arg;
    part t;
    for (size_t n = 0; n < p->o.operations; n++) {
        part_fill(&t, p, &p->ops[n], w);
        if (t.count > 0 && !real_op(p, &p->ops[n], w, &t)) return verdict("operation %zu was stopped", n);
    }
    return NULL;
}

/* The main thread walks the same list and does the host port's side. */
static const char *host_walk(program *p) {
    bool moves = strcmp(p->o.kind, "null") != 0;
    const char *bad = NULL;
    for (size_t n = 0; n < p->o.operations; n++) {
        op *x = &p->ops[n];
        if (x->what == OP_HOST_SEND && !omni_fabric_host_send(p->fabric, x->segment, x->expected, x->bytes))
            return "host_send was stopped";
        if (x->what != OP_HOST_RETURN) continue;
        unsigned char *got = malloc(x->bytes + 1);
        if (!omni_fabric_host_await(p->fabric, x->segment, got, x->bytes)) bad = "host_await was stopped";
        if (!moves) memset(x->expected, 0, x->bytes);
        if (!bad && memcmp(got, x->expected, x->bytes) != 0) bad = verdict("operation %zu: wrong result", n);
        free(got);
    }
    return bad;
}

static const char *compare(const program *p) {
    omni_counters got;
    omni_fabric_counters(p->fabric, &got);
    for (size_t i = 0; i < OMNI_COUNTERS; i++)
        if (omni_counters_get(&got, i) != omni_counters_get(&p->counted, i))
            return verdict("%s: %zu, not %zu", omni_counter_names[i], (size_t)omni_counters_get(&got, i),
                           (size_t)omni_counters_get(&p->counted, i));
    if (strcmp(p->o.kind, "null") == 0) return NULL;
    for (size_t rank = 0; rank < p->o.pes; rank++)
        for (size_t k = 0; k < 2; k++)
            if (memcmp(p->real.buffer[rank][k], p->model.buffer[rank][k], p->capacity) != 0)
                return verdict("buffer %zu of rank %zu differs", k, rank);
    return NULL;
}

/* --- from beginning to end -------------------------------------------------------------------- */

static void memory_create(program *p) {
    for (size_t rank = 0; rank < p->o.pes; rank++)
        for (size_t k = 0; k < 2; k++) {
            op fill = {.from = 1 - k, .seed = p->o.seed + k};
            p->real.buffer[rank][k] = calloc(1, p->capacity);
            p->model.buffer[rank][k] = calloc(1, p->capacity);
            refill(&fill, &p->real, rank, p->capacity);
            refill(&fill, &p->model, rank, p->capacity);
        }
}

static void program_create(program *p, const program_options *o) {
    p->o = *o;
    p->whole = (omni_segment){0, o->pes};
    if (!o->segments) p->o.segments = &p->whole, p->o.segment_count = 1;
    p->capacity = o->most_bytes + 33 + 16 * (9 + 3 * 9 + 17);
    p->ops = calloc(o->operations, sizeof *p->ops);
    for (size_t n = 0; n < o->operations; n++) p->ops[n] = draw_op(p, n);
    memory_create(p);
}

static void program_free(program *p) {
    for (size_t n = 0; n < p->o.operations; n++) free(p->ops[n].expected);
    for (size_t rank = 0; rank < p->o.pes; rank++)
        for (size_t k = 0; k < 2; k++) {
            free(p->real.buffer[rank][k]);
            free(p->model.buffer[rank][k]);
        }
    free(p->ops);
    omni_fabric_free(p->fabric);
}

static const char *program_run(program *p) {
    omni_fabric_options fo = {.kind = p->o.kind,
                              .schedule = p->o.schedule,
                              .pes = p->o.pes,
                              .workers = p->o.workers,
                              .segments = p->o.segments,
                              .segment_count = p->o.segment_count,
                              .ring_slots = p->o.ring_slots,
                              .slot_bytes = p->o.slot_bytes,
                              .wait = omni_wait_policy_for(p->o.workers, 2),
                              .stop = &p->stop};
    omni_error err = {0};
    if (omni_fabric_create(&fo, &p->fabric, &err) != OMNI_OK) return verdict("%s", err.text);
    model_run(p);
    crew c;
    crew_start(&c, p->o.workers, worker_body, p);
    const char *bad = host_walk(p);
    char host_bad[200] = "";
    if (bad) {
        snprintf(host_bad, sizeof host_bad, "%s", bad);
        omni_stop_set(&p->stop, OMNI_RUN_FAILED);
    }
    bad = crew_join(&c);
    if (host_bad[0]) return verdict("host: %s", host_bad);
    return bad ? bad : compare(p);
}

const char *program_check(const program_options *o) {
    program *p = omni_alloc(sizeof *p);
    if (!p) return "no memory";
    program_create(p, o);
    const char *bad = program_run(p);
    program_free(p);
    omni_free(p);
    return bad ? verdict("%s, %zu PEs on %zu workers, seed %llu: %.200s", o->kind, o->pes, o->workers,
                         o->seed, bad)
               : NULL;
}
