/* test_array_forms.c: the closed forms of the modelled array's costs against the step-by-step clocks; what
 * must not get slower when something gets better; and arrays too large to be walked PE by PE.
 */
#include <stdlib.h>
#include <string.h>

#include "array_tools.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char MHA[] = "tests/golden/llama-tiny-mha";

/* --- closed forms ------------------------------------------------------------------------------ */

/* An array whose figures are round: a cycle is 1 ns, and PEs compute in no time. */
static omni_array *round_array(const char *wires) {
    omni_array *a = array_load(strcmp(wires, "own") == 0 ? "segmented-256pe" : "seed-64pe");
    static const char *const set[][2] = {
        {"pe.macs", "infinite"},       {"pe.ops", "infinite"}, {"pe.memory_gb_per_s", "infinite"},
        {"host.gb_per_s", "infinite"}, {"host.latency", "0"},  {"bus.hop", "7"},
        {"bus.pieces", "infinite"},    {"bus.width", "8"},     {"bus.burst", "100"},
        {"tree.chunk", "1000"},        {"tree.add", "4"},
    };
    for (size_t i = 0; i < COUNT(set); i++) array_set(a, set[i][0], set[i][1]);
    return a;
}

enum {
    ARBITRATION = 8,
    HEADER = 2,
    CUT = 4,
    LEVEL = 8,
    HOP = 7,
    WIDTH = 8,
    BURST = 100,
    CHUNK = 1000,
    NS = 1000
};

static uint64_t up(uint64_t a, uint64_t b) {
    return (a + b - 1) / b;
}

/* alpha_B + m beta_B */
static uint64_t broadcast(uint64_t m, size_t p) {
    return (ARBITRATION + HEADER * up(m, BURST) + up(m, WIDTH)) * NS + HOP * p;
}

/* Sum over levels of alpha_T(2^k) + m (beta_T + gamma), the fixed costs once for each chunk. */
static uint64_t reduction(uint64_t m, size_t p) {
    uint64_t sum = 0;
    for (size_t apart = 1; apart < p; apart *= 2)
        sum += (CUT + LEVEL * up(m, CHUNK) + up(m, WIDTH)) * NS + HOP * apart + m * NS / 4;
    return sum;
}

/* What most tests are about. */
typedef struct setup {
    omni_model *model;
    omni_array *array;
    omni_plan *plan; /* NULL: the test has its own */
} setup;

static omni_plan *built(const omni_model *m, const char *text, size_t pes) {
    omni_plan *plan = array_plan(m, text, pes);
    cr_assert_not_null(plan, "%s on %zu", text, pes);
    return plan;
}

static setup set_up(const char *model, omni_array *array, const char *plan, size_t pes) {
    setup s = {.model = array_model(model), .array = array};
    if (plan) s.plan = built(s.model, plan, pes);
    return s;
}

static void tear_down(setup *s) {
    if (s->plan) omni_plan_free(s->plan);
    if (s->array) omni_array_free(s->array);
    omni_model_free(s->model);
}

static omni_price price_of(const setup *s, omni_extent pass) {
    return array_price(s->array, s->plan, pass);
}

/* What a plan spends in one kind of step, by itself: the sum over its steps of that kind. */
static uint64_t form(const omni_plan *plan, omni_extent pass,
                     uint64_t (*of)(const omni_plan *, const omni_step *, omni_extent)) {
    uint64_t sum = 0;
    for (size_t i = 0; i < plan->step_count; i++) sum += of(plan, &plan->step[i], pass);
    return sum;
}

/* Without computing, a plan of one stage and group is its messages, one after the other. A piece is cut
 * whenever a level of a tree or a broadcast finds it otherwise. */
static uint64_t message_form(const omni_plan *plan, const omni_step *s, omni_extent pass) {
    omni_counters c;
    size_t p = plan->mesh.used;
    if (!omni_step_is_message(s) || s->kind == OMNI_STEP_HOST_IN || s->kind == OMNI_STEP_HOST_OUT) return 0;
    omni_step_count(plan, s, pass, &c);
    switch (s->kind) {
    case OMNI_STEP_BROADCAST: /* each of these plans' follows a reduction or a gather */
        return CUT * NS + broadcast(c.broadcast_bytes, p);
    case OMNI_STEP_REDUCE:
        return reduction(c.tree_bytes / (p - 1), p);
    default:
        return 0;
    }
}

Test(array_forms, reductions_and_broadcasts) {
    static const char *const plans[] = {"megatron", "qkv=in:attn=heads:o=in:ffn=in+in", "workflow2"};
    static const size_t pes[] = {2, 3, 4, 7, 16, 32};
    for (size_t i = 0; i < COUNT(plans) * COUNT(pes); i++) {
        setup t = set_up(MHA, round_array("bus"), plans[i / COUNT(pes)], pes[i % COUNT(pes)]);
        for (size_t tokens = 1; tokens < 20; tokens += 9) {
            omni_extent pass = array_pass(1, tokens, 0, false);
            cr_expect_eq(price_of(&t, pass).ps, form(t.plan, pass, message_form), "%s on %zu",
                         t.plan->spec.name, t.plan->mesh.pes);
        }
        tear_down(&t);
    }
}

/* The tree of the closed form is the tree that plans are priced with, for both kinds of wires; and p* is
 * where the forms cross. */
Test(array_forms, tree_against_gather_and_add) {
    static const char *const wires[] = {"bus", "own"};
    static const char *const pieces[] = {"1", "3", "infinite"};
    static const size_t pes[] = {2, 3, 4, 7, 16, 32};
    omni_model *model = array_model(MHA);
    for (size_t i = 0; i < 2 * COUNT(pieces) * COUNT(pes); i++) {
        omni_array *a = round_array(wires[i % 2]);
        array_set(a, "bus.pieces", pieces[i / 2 % COUNT(pieces)]);
        size_t p = pes[i / 2 / COUNT(pieces)];
        omni_plan *plan = built(model, "megatron", p);
        omni_extent pass = array_pass(1, 9, 0, false);
        uint64_t want = 0;
        for (size_t k = 0; k < plan->step_count; k++) {
            omni_counters c;
            if (plan->step[k].kind != OMNI_STEP_REDUCE) continue;
            omni_step_count(plan, &plan->step[k], pass, &c);
            want += omni_array_tree_ps(a, c.tree_bytes / (p - 1), p);
        }
        cr_expect_eq(array_price(a, plan, pass).kind[OMNI_PRICE_TREE], want, "%s, %zu", omni_array_name(a),
                     p);
        for (uint64_t m = 4; m <= 1 << 22; m *= 8) {
            cr_expect_eq(omni_array_gather_add_ps(a, m, p), (p - 1) * (broadcast(m, p) + m * NS / 4));
            size_t from = omni_array_tree_from(a, m, 32);
            for (size_t q = from; q <= 32; q++)
                cr_expect_leq(omni_array_tree_ps(a, m, q), omni_array_gather_add_ps(a, m, q));
            if (from > 2)
                cr_expect_gt(omni_array_tree_ps(a, m, from - 1), omni_array_gather_add_ps(a, m, from - 1));
        }
        omni_plan_free(plan);
        omni_array_free(a);
    }
    omni_model_free(model);
}

/* Scatter and gather over the bus, m in all: (p-1) alpha_B + m (p-1)/p beta_B; all-gather: p alpha_B + m
 * beta_B. In one burst and without rounding to whole cycles where the slices fill them. */
Test(array_forms, scatter_gather_and_all_gather) {
    omni_model *model = array_model(MHA);
    omni_array *a = round_array("bus");
    array_set(a, "bus.burst", "infinite");
    const size_t p = 4, T = 8;
    omni_plan *plan = built(model, "qkv=out:attn=heads:o=out:ffn=out+out:gather=bus", p);
    omni_extent pass = array_pass(1, T, 0, false);
    omni_counters c;
    omni_plan_count(plan, pass, &c);
    omni_price price = array_price(a, plan, pass);
    uint64_t alpha = (ARBITRATION + HEADER) * NS + HOP * p;
    /* All but the arg-max at the end are all-gathers. */
    uint64_t want = c.broadcasts * alpha + c.broadcast_bytes / WIDTH * NS;
    cr_assert_eq(c.broadcasts % p, 0);
    cr_expect_eq(price.kind[OMNI_PRICE_BUS], want, "%llu %llu",
                 (unsigned long long)price.kind[OMNI_PRICE_BUS], (unsigned long long)want);
    omni_plan_free(plan);

    plan = built(model, "qkv=in:attn=heads:o=in:ffn=in+in:edge=scatter:gather=bus", p);
    omni_plan_count(plan, pass, &c);
    price = array_price(a, plan, pass);
    cr_assert_eq(c.scatter_messages % (p - 1), 0);
    cr_assert_gt(c.scatter_messages, 0);
    uint64_t steps = 0, bus = 0; /* each scatter's first message finds the piece cut by the tree */
    for (size_t i = 0; i < plan->step_count; i++) {
        omni_counters one;
        const omni_step *s = &plan->step[i];
        if (s->kind != OMNI_STEP_SCATTER && s->kind != OMNI_STEP_BROADCAST) continue;
        omni_step_count(plan, s, pass, &one);
        steps++;
        bus += (one.broadcasts + one.addressed_messages) * alpha +
               (one.broadcast_bytes + one.addressed_bytes) / WIDTH * NS;
        if (s->kind == OMNI_STEP_SCATTER) cr_expect_eq(one.addressed_messages, p - 1);
    }
    cr_expect_eq(price.kind[OMNI_PRICE_BUS], bus + steps * CUT * NS);
    omni_plan_free(plan);
    omni_array_free(a);
    omni_model_free(model);
}

/* Chunks of a reduction follow each other through a tree with wires of its own. */
Test(array_forms, a_tree_of_its_own_pipelines_chunks) {
    setup t = set_up(MHA, round_array("own"), "megatron", 8);
    array_set(t.array, "tree.chunk", "64");
    array_set(t.array, "tree.width", "8");
    array_set(t.array, "tree.hop", "5");
    omni_extent pass = array_pass(1, 8, 0, false);
    omni_counters c;
    uint64_t want = 0;
    for (size_t i = 0; i < t.plan->step_count; i++) {
        if (t.plan->step[i].kind != OMNI_STEP_REDUCE) continue;
        omni_step_count(t.plan, &t.plan->step[i], pass, &c);
        uint64_t bytes = c.tree_bytes / 7, chunks = up(bytes, 64), one = bytes < 64 ? bytes : 64, level = 0;
        for (size_t apart = 1; apart < 8; apart *= 2)
            want += level = (LEVEL + one / 8) * NS + 5 * apart + one * NS / 4;
        want += (chunks - 1) * level;
    }
    cr_expect_eq(price_of(&t, pass).kind[OMNI_PRICE_TREE], want);
    tear_down(&t);
}

/* From heads to tokens, every PE has a part of what every other needs: all keys and values are broadcast
 * once, a message for each PE, layer and sequence. A change to the same plan moves nothing. */
Test(array_forms, a_change_of_plans) {
    omni_model *m = array_model(MHA);
    omni_array *a = round_array("bus");
    const size_t p = 4, length[] = {9, 16};
    omni_plan *heads = built(m, "megatron", p), *tokens = built(m, "attn=tokens", p);
    omni_price price;
    omni_error err = {0};
    const omni_shape *s = &m->shape;
    uint64_t want = CUT * NS, bytes = 0;
    cr_assert_eq(s->heads % p, 0);
    for (size_t q = 0; q < 2; q++) {
        uint64_t part = 2 * 4 * length[q] * s->hidden / p;
        want += s->layers * p * broadcast(part, p);
        bytes += s->layers * p * part;
    }
    cr_assert_eq(omni_price_change(a, heads, tokens, length, 2, false, NULL, &price, &err), OMNI_OK);
    cr_expect_eq(price.ps, want);
    cr_expect_eq(price.moved.broadcast_bytes, bytes);
    cr_assert_eq(omni_price_change(a, heads, heads, length, 2, true, NULL, &price, &err), OMNI_OK);
    cr_expect_eq(price.ps, 0);
    cr_expect_eq(price.grants, 0);
    omni_plan_free(heads);
    omni_plan_free(tokens);
    omni_array_free(a);
    omni_model_free(m);
}

/* Weights, layers and sequences that are alike are walked once: it comes to what all messages do. */
Test(array_forms, a_change_is_the_sum_of_its_messages) {
    static const char *const plans[] = {"single",
                                        "megatron",
                                        "alternate",
                                        "workflow2",
                                        "replica",
                                        "pipeline",
                                        "attn=subheads",
                                        "megatron:stages=2",
                                        "workflow2:groups=2",
                                        "attn=tokens:groups=3:stages=2"};
    static const char *const files[] = {"tests/golden/llama-tiny-gqa", "tests/golden/gpt2-tiny"};
    const size_t length[] = {9, 9, 9, 4, 16}, sequences = 5;
    omni_array *a = array_load("seed-64pe");
    machine figures;
    machine_set(&figures, a);
    for (size_t i = 0; i < 2 * 3 * 10 * 10; i++) {
        omni_model *m = array_model(files[i % 2]);
        size_t pes = (const size_t[]){3, 8, 13}[i / 2 % 3];
        omni_plan *from = array_plan(m, plans[i / 6 % 10], pes), *to = array_plan(m, plans[i / 60], pes);
        for (int weights = 0; weights < 2 && from && to; weights++) {
            omni_switch it = omni_switch_begin(from, to, length, sequences, weights);
            uint64_t messages = 0, ps = 0, bytes = 0;
            for (omni_switch_message msg; omni_switch_next(&it, &msg);) {
                if (msg.readers == 0) continue;
                uint64_t one = msg.kv ? 8 * msg.keys.tokens * msg.keys.heads.count * msg.keys.dims.count
                                      : msg.rows * msg.region.in.count *
                                            (msg.kind == OMNI_PIECE_MATRIX ? omni_dtype_bytes(m->dtype) : 4);
                messages++;
                bytes += one;
                ps += bus_ps(&figures, one, from->mesh.used);
            }
            if (messages) ps += bus_cut_ps(&figures);
            omni_price got;
            omni_error err = {0};
            cr_assert_eq(omni_price_change(a, from, to, length, sequences, weights, NULL, &got, &err),
                         OMNI_OK);
            cr_expect(got.ps == ps && got.grants == messages &&
                          got.moved.broadcast_bytes + got.moved.addressed_bytes == bytes,
                      "%s to %s, %zu PEs, weights %d: ps %llu %llu, messages %llu %llu", from->spec.name,
                      to->spec.name, pes, weights, (unsigned long long)got.ps, (unsigned long long)ps,
                      (unsigned long long)got.grants, (unsigned long long)messages);
        }
        omni_plan_free(from);
        omni_plan_free(to);
        omni_model_free(m);
    }
    omni_array_free(a);
}

/* compute = max(flops / rate, bytes / bandwidth): one PE, no messages but the host's. */
Test(array_forms, compute_is_a_roofline) {
    setup t = set_up(MHA, round_array("bus"), "single", 1);
    const omni_shape *s = &t.model->shape;
    const uint64_t T = 6, D = s->hidden, F = s->ffn, per_layer = 4 * D * D + 3 * D * F;
    uint64_t pairs = T * (T + 1) / 2, macs = s->layers * (T * per_layer + 2 * pairs * D) + D * s->vocab;
    array_set(t.array, "pe.macs", "1"); /* 1 GHz: 1000 ps each */
    omni_price price = price_of(&t, array_pass(1, T, 0, false));
    cr_expect_eq(price.macs, macs);
    cr_expect_eq(price.ps, macs * NS);
    array_set(t.array, "pe.macs", "infinite");
    array_set(t.array, "pe.memory_gb_per_s", "1"); /* 1000 ps a byte */
    price = price_of(&t, array_pass(1, T, 0, false));
    cr_expect_eq(price.ps, price.memory_bytes * NS);
    cr_expect_gt(price.memory_bytes,
                 (s->layers * per_layer + D * s->vocab) * omni_dtype_bytes(t.model->dtype));
    tear_down(&t);
}

/* --- better is never slower ---------------------------------------------------------------------- */

static void expect_monotone(const char *array, const char *key, const char *const *values, size_t count) {
    static const char *const plans[] = {
        "megatron",      "alternate", "workflow2:groups=2",      "megatron:stages=2",
        "attn=subheads", "lockstep",  "qkv=out:o=out:gather=bus"};
    omni_model *m = array_model("tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(plans); i++) {
        omni_plan *plan = built(m, plans[i], 16);
        uint64_t before[2] = {UINT64_MAX, UINT64_MAX};
        for (size_t v = 0; v < count; v++) {
            omni_array *a = array_load(array);
            array_set(a, key, values[v]);
            for (size_t decode = 0; decode < 2; decode++) {
                uint64_t ps = array_price(a, plan, array_pass(4, decode ? 1 : 12, decode ? 12 : 0, false)).ps;
                cr_expect_leq(ps, before[decode], "%s: %s=%s is slower", plans[i], key, values[v]);
                before[decode] = ps;
            }
            omni_array_free(a);
        }
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

#define MONOTONE(array, key, ...)                                                                            \
    expect_monotone(array, key, (const char *const[]){__VA_ARGS__},                                          \
                    COUNT(((const char *const[]){__VA_ARGS__})))

Test(array_forms, better_is_never_slower) {
    MONOTONE("seed-64pe", "bus.width", "1", "2", "16", "32", "1000", "infinite");
    MONOTONE("seed-64pe", "bus.clock", "10", "1000", "1001", "infinite");
    MONOTONE("seed-64pe", "bus.arbitration", "1000", "10", "0");
    MONOTONE("seed-64pe", "bus.header", "100", "1", "0");
    MONOTONE("seed-64pe", "bus.hop", "10000", "50", "0");
    MONOTONE("seed-64pe", "bus.burst", "16", "64", "4096", "infinite");
    MONOTONE("seed-64pe", "bus.cut", "100", "4", "0");
    MONOTONE("seed-64pe", "tree.level", "100", "8", "0");
    MONOTONE("seed-64pe", "tree.add", "1", "64", "infinite");
    MONOTONE("seed-64pe", "pe.macs", "1", "7", "64", "infinite");
    MONOTONE("seed-64pe", "pe.memory_gb_per_s", "1", "64", "infinite");
    MONOTONE("seed-64pe", "host.gb_per_s", "1", "16", "infinite");
    MONOTONE("segmented-256pe", "tree.width", "1", "32", "infinite");
    MONOTONE("segmented-256pe", "tree.clock", "10", "1000", "infinite");
}

/* A fabric that costs nothing leaves computing only. */
Test(array_forms, the_ideal_fabric_costs_nothing) {
    setup t = set_up("tests/golden/gpt2-tiny", array_load("ideal"), "alternate", 5);
    omni_price price = price_of(&t, array_pass(2, 7, 0, false));
    cr_expect_gt(price.ps, 0);
    cr_expect_eq(price.kind[OMNI_PRICE_COMPUTE], price.ps);
    tear_down(&t);
}

/* --- the same everywhere, at any size ------------------------------------------------------------- */

/* Figures that no change of host, compiler or optimization may move. */
Test(array_forms, modelled_time_is_the_same_on_every_host) {
    setup t = set_up("configs/models/llama-2-7b.json", array_load("seed-64pe"), "megatron", 64);
    omni_price price = price_of(&t, array_pass(1, 1, 512, false));
    cr_expect_eq(price.ps, 5027663175ULL, "%llu", (unsigned long long)price.ps);
    cr_expect_eq(price.energy_pj, 67974807608ULL, "%llu", (unsigned long long)price.energy_pj);
    tear_down(&t);
}

Test(array_forms, a_million_PEs) {
    static const char *const plans[] = {"megatron",
                                        "workflow2",
                                        "alternate",
                                        "attn=subheads",
                                        "replica",
                                        "lockstep",
                                        "megatron:groups=1000:stages=8"};
    setup t = set_up("configs/models/llama-2-7b.json", array_load("seed-64pe"), NULL, 0);
    array_set(t.array, "bus.pieces", "infinite");
    for (size_t i = 0; i < COUNT(plans); i++) {
        t.plan = built(t.model, plans[i], 1000000);
        omni_price prefill = price_of(&t, array_pass(2, 64, 0, false));
        omni_price decode = price_of(&t, array_pass(2, 1, 64, false));
        cr_expect(prefill.ps > decode.ps && decode.ps > 0 && prefill.ps < UINT64_MAX / 2, "%s", plans[i]);
        omni_plan_free(t.plan);
    }
    t.plan = NULL;
    tear_down(&t);
}

/* Absurd figures saturate; they do not wrap around to something cheap. */
Test(array_forms, nothing_wraps_around) {
    setup t = set_up("configs/models/llama-2-70b.json", array_load("seed-64pe"), "single", 1);
    static const char *const slow[][2] = {
        {"pe.clock", "0.001"}, {"pe.macs", "1"}, {"bus.clock", "0.001"}, {"bus.width", "1"}};
    for (size_t i = 0; i < COUNT(slow); i++) array_set(t.array, slow[i][0], slow[i][1]);
    cr_expect_gt(price_of(&t, array_pass(16, 100000, 0, false)).ps, UINT64_MAX / 2);
    tear_down(&t);
}
