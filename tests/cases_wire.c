/* cases_wire.c: floats that travel as 16-bit floats: the fabric's operations on narrowed views, against a
 * model that knows no rings, chunks or threads; and whole runs of plans with `wire=`.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases_flow.h"
#include "crew.h"
#include "omnibus/fabric.h"

/* --- the fabric ------------------------------------------------------------------------------- */

typedef enum wire_what {
    WIRE_BROADCAST,
    WIRE_IN_PLACE,
    WIRE_SEND,
    WIRE_GATHER,
    WIRE_REDUCE,
    WIRE_WHATS
} wire_what;
enum { MOST_PES = 8, MOST_ROWS = 5, MOST_SPAN = 45, FLOATS = MOST_ROWS * (3 * MOST_SPAN + 8), OPS = 30 };

typedef struct wire_op {
    wire_what what;
    size_t writer, taker, rows;
    size_t floats[OMNI_SPANS]; /* of a row */
    omni_dtype wire[OMNI_SPANS];
} wire_op;

/* Of an operation and a rank: what is sent, and where it goes. Trees work in the first. */
typedef struct wire_memory {
    float at[OPS][MOST_PES][2][FLOATS];
} wire_memory;

typedef struct wire_program {
    size_t pes, workers;
    wire_op op[OPS];
    wire_memory *real, *model;
    omni_fabric *fabric;
    omni_stop stop;
    omni_counters counted;
} wire_program;

static size_t draw(size_t op, size_t what, size_t below) {
    return (size_t)(chance(11, op, what) % below);
}

/* Three spans of any size, one of each kind, in any order. */
static wire_op draw_op(size_t i, size_t pes) {
    static const omni_dtype kinds[] = {OMNI_F32, OMNI_F16, OMNI_BF16};
    wire_op x = {.what = (wire_what)(i % WIRE_WHATS),
                 .writer = draw(i, 0, pes),
                 .taker = draw(i, 1, pes),
                 .rows = 1 + draw(i, 2, MOST_ROWS)};
    if (x.taker == x.writer) x.taker = (x.writer + 1) % pes;
    for (size_t j = 0; j < OMNI_SPANS; j++) {
        x.floats[j] = draw(i, 3 + j, MOST_SPAN);
        x.wire[j] = kinds[(i / WIRE_WHATS + j) % 3];
    }
    return x;
}

/* Rows of different width at each rank, with gaps unless `tight`. */
static omni_view view_of(const wire_op *x, float *base, size_t rank, bool tight) {
    omni_view v = {.base = base, .rows = x->rows, .spans = OMNI_SPANS};
    size_t at = tight ? 0 : rank % 3;
    for (size_t j = 0; j < OMNI_SPANS; j++) {
        v.span[j].offset = at * sizeof(float);
        v.span[j].bytes = x->floats[j] * sizeof(float);
        v.span[j].wire = x->wire[j];
        at += x->floats[j] + (tight ? 0 : (rank + j) % 2);
    }
    v.stride = at * sizeof(float);
    return v;
}

static omni_sliced sliced_of(const wire_op *x) {
    omni_view v = view_of(x, NULL, 0, true);
    omni_sliced s = {.rows = x->rows, .stride = v.stride, .parts = OMNI_SPANS};
    for (size_t j = 0; j < OMNI_SPANS; j++) {
        s.part[j].offset = v.span[j].offset;
        s.part[j].units = x->floats[j];
        s.part[j].unit_bytes = sizeof(float);
        s.part[j].wire = x->wire[j];
    }
    return s;
}

static float travelled(float x, omni_dtype wire) {
    if (wire != OMNI_F32) omni_round_to(wire, &x, &x, 1);
    return x;
}

static float *element(const omni_view *v, size_t row, size_t span, size_t i) {
    return (float *)(void *)((char *)v->base + row * v->stride + v->span[span].offset) + i;
}

/* Element by element: dst = what arrives of src. */
static void model_move(const omni_view *dst, const omni_view *src) {
    for (size_t r = 0; r < src->rows; r++)
        for (size_t j = 0; j < src->spans; j++)
            for (size_t i = 0; i < src->span[j].bytes / sizeof(float); i++)
                *element(dst, r, j, i) = travelled(*element(src, r, j, i), src->span[j].wire);
}

static size_t payload(const wire_op *x) {
    size_t bytes = 0;
    for (size_t j = 0; j < OMNI_SPANS; j++) bytes += x->floats[j] * omni_dtype_bytes(x->wire[j]);
    return bytes * x->rows;
}

static void model_bus(wire_program *p, size_t i) {
    const wire_op *x = &p->op[i];
    float(*at)[2][FLOATS] = p->model->at[i];
    omni_view src = view_of(x, at[x->writer][0], x->writer, false);
    bool send = x->what == WIRE_SEND;
    for (size_t rank = 0; rank < p->pes; rank++) {
        if (send ? rank != x->taker : rank == x->writer && x->what == WIRE_IN_PLACE) continue;
        omni_view dst = view_of(x, at[rank][1], rank, false);
        model_move(&dst, &src);
    }
    if (x->what == WIRE_IN_PLACE) model_move(&src, &src);
    if (p->pes == 1 || payload(x) == 0) return;
    *(send ? &p->counted.addressed_messages : &p->counted.broadcasts) += 1;
    *(send ? &p->counted.addressed_bytes : &p->counted.broadcast_bytes) += payload(x);
}

static void model_gather(wire_program *p, size_t i) {
    const wire_op *x = &p->op[i];
    omni_sliced s = sliced_of(x);
    if (p->pes == 1 || payload(x) == 0) return;
    p->counted.tree_gathers++;
    p->counted.tree_levels += omni_ceil_log2(p->pes);
    for (size_t rank = 0; rank < p->pes; rank++) {
        omni_view src = omni_sliced_view(&s, p->model->at[i][rank][0], p->pes, rank, rank + 1);
        omni_view dst = omni_sliced_view(&s, p->model->at[i][0][0], p->pes, rank, rank + 1);
        model_move(&dst, &src);
        p->counted.tree_bytes += (uint64_t)__builtin_popcountll(rank) * omni_view_bytes(&src);
    }
}

static void add(void *acc, const void *in, size_t bytes, const void *arg) {
    (void)arg;
    for (size_t i = 0; i < bytes / sizeof(float); i++) ((float *)acc)[i] += ((const float *)in)[i];
}

/* The sum that index lo of `span` gives, for an element of kind `wire`. */
static float model_sum(float (*at)[2][FLOATS], size_t pes, size_t element_at, omni_dtype wire, size_t lo,
                       size_t span) {
    if (span == 1) return at[lo][0][element_at];
    float sum = model_sum(at, pes, element_at, wire, lo, span / 2);
    if (lo + span / 2 >= pes) return sum;
    return sum + travelled(model_sum(at, pes, element_at, wire, lo + span / 2, span / 2), wire);
}

static void model_reduce(wire_program *p, size_t i) {
    const wire_op *x = &p->op[i];
    size_t n = 0;
    float sum[FLOATS];
    if (p->pes == 1 || payload(x) == 0) return;
    p->counted.reductions++;
    p->counted.tree_levels += omni_ceil_log2(p->pes);
    p->counted.tree_bytes += (p->pes - 1) * payload(x);
    for (size_t r = 0; r < x->rows; r++)
        for (size_t j = 0; j < OMNI_SPANS; j++)
            for (size_t k = 0; k < x->floats[j]; k++, n++)
                sum[n] = model_sum(p->model->at[i], p->pes, n, x->wire[j], 0, MOST_PES);
    memcpy(p->model->at[i][0][0], sum, n * sizeof *sum);
}

static void run_model(wire_program *p) {
    static void (*const model[WIRE_WHATS])(wire_program *, size_t) = {[WIRE_BROADCAST] = model_bus,
                                                                      [WIRE_IN_PLACE] = model_bus,
                                                                      [WIRE_SEND] = model_bus,
                                                                      [WIRE_GATHER] = model_gather,
                                                                      [WIRE_REDUCE] = model_reduce};
    for (size_t i = 0; i < OPS; i++) model[p->op[i].what](p, i);
}

static bool real_bus(wire_program *p, size_t i, size_t w, omni_range mine) {
    const wire_op *x = &p->op[i];
    float(*at)[2][FLOATS] = p->real->at[i];
    omni_view own[MOST_PES], src = view_of(x, at[x->writer][0], x->writer, false);
    omni_view dst = view_of(x, at[x->taker][1], x->taker, false);
    if (x->what == WIRE_SEND)
        return omni_fabric_send(p->fabric, w, 0, x->writer, x->taker, OMNI_ADDRESSED_OTHER, &src, &dst,
                                payload(x));
    for (size_t k = 0; k < mine.count; k++) {
        size_t rank = mine.start + k;
        own[k] = view_of(x, at[rank][1], rank, false);
        if (rank == x->writer && x->what == WIRE_IN_PLACE) own[k] = src;
    }
    return omni_fabric_broadcast(p->fabric, w, 0, x->writer, &src, own);
}

static bool real_tree(wire_program *p, size_t i, size_t w, omni_range mine) {
    const wire_op *x = &p->op[i];
    void *own[MOST_PES];
    omni_view form = view_of(x, NULL, 0, true);
    omni_sliced sliced = sliced_of(x);
    const omni_fabric_operator sum = {add, NULL, sizeof(float)};
    for (size_t k = 0; k < mine.count; k++) own[k] = p->real->at[i][mine.start + k][0];
    return x->what == WIRE_REDUCE ? omni_fabric_reduce(p->fabric, w, 0, own, &form, &sum)
                                  : omni_fabric_gather(p->fabric, w, 0, own, &sliced);
}

static const char *run_real(void *arg, size_t w) {
    wire_program *p = arg;
    omni_range mine = omni_split(p->pes, p->workers, w);
    for (size_t i = 0; i < OPS; i++) {
        bool tree = p->op[i].what == WIRE_GATHER || p->op[i].what == WIRE_REDUCE;
        if (!(tree ? real_tree : real_bus)(p, i, w, mine)) return "stopped";
    }
    return NULL;
}

/* After a tree only the first rank's buffer counts. */
static const char *compare(const wire_program *p) {
    omni_counters counted;
    omni_fabric_counters(p->fabric, &counted);
    for (size_t i = 0; i < OPS; i++) {
        bool tree = p->op[i].what == WIRE_GATHER || p->op[i].what == WIRE_REDUCE;
        for (size_t rank = 0; rank < (tree ? 1 : p->pes); rank++)
            if (memcmp(p->real->at[i][rank], p->model->at[i][rank], sizeof p->real->at[i][rank]) != 0)
                return verdict("operation %zu (kind %d), rank %zu of %zu on %zu workers", i, p->op[i].what,
                               rank, p->pes, p->workers);
    }
    return omni_counters_equal(&counted, &p->counted)
               ? NULL
               : verdict("counters, %zu PEs on %zu workers", p->pes, p->workers);
}

/* Magnitudes far beyond F16's range on both sides. */
static void fill(wire_memory *m) {
    float *x = &m->at[0][0][0][0];
    for (size_t i = 0; i < sizeof *m / sizeof *x; i++) {
        unsigned long long bits = chance(5, i, 0);
        x[i] = ldexpf((float)(bits & 0xffffff) / 16777216.0f - 0.5f, (int)((bits >> 32) % 48) - 28);
    }
}

static const char *run_program(wire_program *p, const char *schedule, size_t slot_bytes) {
    omni_segment all = {0, p->pes};
    omni_fabric_options o = {.kind = "shm",
                             .schedule = schedule,
                             .pes = p->pes,
                             .workers = p->workers,
                             .segments = &all,
                             .segment_count = 1,
                             .ring_slots = 2,
                             .slot_bytes = slot_bytes,
                             .stop = &p->stop};
    fill(p->real);
    memcpy(p->model, p->real, sizeof *p->model);
    p->counted = (omni_counters){0};
    for (size_t i = 0; i < OPS; i++) p->op[i] = draw_op(i, p->pes);
    if (p->pes == 1) /* nobody to send to */
        for (size_t i = WIRE_SEND; i < OPS; i += WIRE_WHATS) p->op[i].what = WIRE_IN_PLACE;
    run_model(p);
    if (omni_fabric_create(&o, &p->fabric, NULL) != OMNI_OK) return "no fabric";
    const char *bad = crew_run(p->workers, run_real, p);
    if (!bad) bad = compare(p);
    omni_fabric_free(p->fabric);
    return bad;
}

/* Slots that cut rows, spans and, if they could, floats anywhere. */
static const char *narrowed_operations(void) {
    static const size_t pes[] = {1, 2, 3, 5, 8}, slots[] = {1, 6, 37, 100, 0};
    wire_program p = {.real = malloc(sizeof *p.real), .model = malloc(sizeof *p.model)};
    const char *bad = p.real && p.model ? NULL : "no memory";
    for (size_t i = 0; i < COUNT(pes); i++)
        for (p.workers = 1; p.workers <= pes[i]; p.workers += 1 + p.workers / 3)
            for (size_t k = 0; k < COUNT(slots) && !bad; k++) {
                p.pes = pes[i];
                bad = run_program(&p, k % 2 ? "pairwise" : "sliced", slots[k]);
            }
    free(p.real);
    free(p.model);
    return bad;
}

/* --- whole runs ------------------------------------------------------------------------------- */

static const char *check_one(flow *f, const char *plan, size_t pes, size_t workers, omni_check_result *r) {
    omni_error err = {0};
    if (!flow_plan(f, plan, pes)) return verdict("%s on %zu PEs: %s", plan, pes, f->err.text);
    omni_engine_options o = flow_options(f);
    o.workers = workers;
    if (omni_check_case(&o, f->truth, r, &err) != OMNI_OK)
        return verdict("%s on %zu PEs: %s", plan, pes, err.text);
    return r->passed ? NULL : verdict("%s on %zu PEs: %s", plan, pes, r->first_bad);
}

/* Passes, by a tolerance of its own, and not by float32's: so something was really rounded. On one PE nothing
 * is. */
static const char *rounds(flow *f, const char *plan, size_t pes) {
    omni_check_result r;
    const char *bad = check_one(f, plan, pes, pes < 3 ? pes : 3, &r);
    bool rounded = r.rel_max > 2e-5;
    if (!bad && (pes > 1) != (r.narrow_tolerance > 0))
        bad = verdict("%s on %zu PEs: wrong tolerance", plan, pes);
    if (!bad && (pes > 1) != rounded) bad = verdict("%s on %zu PEs: rel_max %g", plan, pes, r.rel_max);
    return bad;
}

static const char *plans_pass(const char *dir) {
    static const char *const plans[] = {
        "megatron:wire=bf16",
        "megatron:wire-tree=f16",
        "workflow1:wire=f16",
        "workflow2:wire=bf16",
        "alternate:wire-bus=bf16",
        "alternate:gather=bus:edge=scatter:wire=bf16",
        "qkv=in:attn=heads:o=out:ffn=in+in:edge=scatter:wire=f16",
        "qkv=out:attn=tokens:o=out:ffn=out+out:gather=bus:wire-bus=bf16:wire-tree=f16"};
    static const size_t pes[] = {1, 2, 3, 5, 8, 16};
    flow f;
    const char *bad = flow_open(&f, dir);
    for (size_t i = 0; i < COUNT(plans); i++)
        for (size_t k = 0; k < COUNT(pes) && !bad; k += THIN > 1 ? 2 : 1) bad = rounds(&f, plans[i], pes[k]);
    return flow_close(&f, bad);
}

static const char *llama_passes(void) {
    return plans_pass("tests/golden/llama-tiny-gqa");
}
static const char *gpt2_passes(void) {
    return plans_pass("tests/golden/gpt2-tiny");
}
static const char *bert_passes(void) {
    return plans_pass("tests/golden/bert-tiny");
}

/* Pieces of unequal size, some of one PE, and messages between stages. */
static const char *groups_and_stages_pass(void) {
    static const char *const plans[] = {"pipeline:wire=bf16", "megatron:groups=2:wire=bf16",
                                        "workflow2:stages=2:wire=f16",
                                        "alternate:groups=2:stages=2:gather=bus:wire=f16"};
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-mha");
    for (size_t i = 0; i < COUNT(plans); i++)
        for (size_t pes = 4; pes <= 7 && !bad; pes++) {
            omni_check_result r;
            bad = check_one(&f, plans[i], pes, 3, &r);
            if (!bad && r.rel_max < 1e-5) bad = verdict("%s on %zu PEs: nothing was rounded", plans[i], pes);
        }
    return flow_close(&f, bad);
}

/* Figures of a run stand for the bits of all that was compared. */
static bool same_figures(const omni_check_result *a, const omni_check_result *b) {
    return memcmp(&a->nmse, &b->nmse, sizeof a->nmse) == 0 &&
           memcmp(&a->max_abs, &b->max_abs, sizeof a->max_abs) == 0 &&
           memcmp(&a->row_rel, &b->row_rel, sizeof a->row_rel) == 0;
}

static const char *same_for_any_workers(void) {
    static const char *const plans[] = {"workflow2:wire=bf16", "alternate:gather=bus:edge=scatter:wire=f16"};
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(plans) && !bad; i++) {
        omni_check_result one, other;
        bad = check_one(&f, plans[i], 7, 1, &one);
        for (size_t w = 2; w <= 7 && !bad; w++) {
            bad = check_one(&f, plans[i], 7, w, &other);
            if (!bad && !same_figures(&one, &other))
                bad = verdict("%s: other bits on %zu workers", plans[i], w);
        }
    }
    return flow_close(&f, bad);
}

/* However a value gets where it is needed, it is rounded once, the share that stays where it is too. Heads
 * are scattered in the first plan; with more PEs than key-value heads, neighbours keep the same one. */
static const char *same_for_any_route(void) {
    static const char *const plans[][2] = {
        {"qkv=in:wire-bus=bf16/qkv=out", "qkv=in:edge=scatter:wire-bus=bf16/qkv=out"},
        {"workflow1/attn=tokens:wire=bf16", "workflow1/attn=tokens:edge=scatter:wire=bf16"},
        {"o=out:ffn=out+out:wire=f16", "o=out:ffn=out+out:gather=bus:wire=f16"},
        {"o=out:ffn=out+out:stages=2:wire=bf16", "o=out:ffn=out+out:stages=2:gather=bus:wire=bf16"},
    };
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(plans); i++)
        for (size_t pes = 3; pes <= 8 && !bad; pes += 5) {
            omni_check_result one, other;
            bad = check_one(&f, plans[i][0], pes, 2, &one);
            if (!bad) bad = check_one(&f, plans[i][1], pes, 3, &other);
            if (!bad && !same_figures(&one, &other))
                bad = verdict("%s on %zu PEs: other bits", plans[i][1], pes);
        }
    return flow_close(&f, bad);
}

/* --- the table -------------------------------------------------------------------------------- */

static const omni_case rows[] = {
    {"narrowed_operations", narrowed_operations},
    {"llama_passes", llama_passes},
    {"gpt2_passes", gpt2_passes},
    {"bert_passes", bert_passes},
    {"groups_and_stages_pass", groups_and_stages_pass},
    {"same_for_any_workers", same_for_any_workers},
    {"same_for_any_route", same_for_any_route},
};

const omni_case_table cases_wire = {"wire", rows, sizeof rows / sizeof *rows};
