/* test_lockstep.c: weights dealt out and broadcast, tokens spread over the PEs: what each PE keeps and sees,
 * what moves, and the prover. Whole runs are test_lockstep_runs.c's.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases_flow.h"
#include "omnibus/fabric.h"
#include "omnibus/kernel.h"

static const char *const MODELS[] = {"tests/golden/llama-tiny-gqa", "tests/golden/gpt2-tiny",
                                     "tests/golden/bert-tiny", "configs/demo/llama"};
static const size_t SIZES[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 33, 64};

static omni_model *load(const char *dir) {
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(omni_model_load(dir, &m, &err), OMNI_OK, "%s", err.text);
    return m;
}

static omni_plan *compile(const omni_model *m, const char *text, size_t pes, omni_error *err) {
    omni_plan_spec spec;
    omni_plan *plan = NULL;
    cr_assert_eq(omni_plan_parse(text, &spec, err), OMNI_OK, "%s", err->text);
    omni_plan_compile(m, &spec, pes, &plan, err);
    return plan;
}

/* --- what is dealt out ------------------------------------------------------------------------ */

Test(lockstep, panels_are_whole_and_cover_a_tensor_once) {
    static const size_t outputs[] = {1, 15, 16, 17, 64, 211, 352, 4096};
    for (size_t o = 0; o < COUNT(outputs); o++) {
        for (size_t k = 0; k < COUNT(SIZES); k++) {
            omni_mesh mesh = {.pes = SIZES[k], .used = SIZES[k], .groups = SIZES[k], .stages = 1};
            omni_weight w = {.panel = OMNI_PANEL, .dtype = OMNI_BF16};
            size_t next = 0, bytes = 0;
            w.in.part[0].width = 24;
            w.out.parts = 2;
            w.out.part[0].width = outputs[o] / 3;
            w.out.part[1].width = outputs[o] - outputs[o] / 3;
            for (size_t r = 0; r <= mesh.used; r++) {
                omni_range own = omni_weight_dealt(&mesh, &w, r);
                cr_assert(own.count == 0 || (own.start == next && next % OMNI_PANEL == 0));
                next += own.count;
                bytes += omni_weight_dealt_bytes(&mesh, &w, r);
            }
            cr_expect_eq(next, outputs[o]);
            cr_expect_eq(bytes, outputs[o] * 24 * 2);
        }
    }
}

/* --- a handle's weights ----------------------------------------------------------------------- */

/* A copy of the weights alone, into memory that held something else, multiplies like the original. */
static void copy_multiplies(size_t out, size_t in, omni_dtype dtype) {
    enum { ROWS = 3 };
    size_t bytes = omni_packed_bytes(out, in, dtype), size = omni_dtype_bytes(dtype), moved = 0;
    unsigned char *a = omni_alloc(bytes), *b = omni_alloc(bytes), *stored = omni_alloc(out * in * size);
    float *x = omni_alloc_array(ROWS * in, sizeof *x), *ya = omni_alloc_array(ROWS * out, sizeof *ya),
          *yb = omni_alloc_array(ROWS * out, sizeof *yb);
    void *scratch = omni_alloc(omni_matmul_scratch_bytes(OMNI_COMPUTE_F32, ROWS, in));
    cr_assert(a && b && stored && x && ya && yb && scratch);
    memset(b, 0x41, bytes);
    for (size_t i = 0; i < out * in; i++) {
        float value = (float)(i % 17) - 8;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        uint16_t high = (uint16_t)(bits >> 16);
        memcpy(stored + i * size, dtype == OMNI_BF16 ? (void *)&high : (void *)&value, size);
    }
    for (size_t i = 0; i < ROWS * in; i++) x[i] = (float)(i % 11) / 4;
    omni_packed *from = omni_packed_init(a, out, in, dtype), *to = omni_packed_reuse(b, out, in, dtype);
    omni_packed_put(from, 0, out, 0, in, stored, in, 1);
    omni_packed_runs s = omni_packed_weights(from), d = omni_packed_weights(to);
    for (size_t i = 0; i < s.runs; i++, moved += s.bytes)
        memcpy((char *)d.base + i * d.stride, (char *)s.base + i * s.stride, s.bytes);
    cr_expect_eq(moved, out * in * size, "[%zu, %zu]: %zu bytes moved", out, in, moved);
    omni_matmul(from, x, in, ROWS, ya, out, scratch);
    omni_matmul(to, x, in, ROWS, yb, out, scratch);
    cr_expect_eq(memcmp(ya, yb, ROWS * out * sizeof *ya), 0, "[%zu, %zu]", out, in);
    void *all[] = {a, b, stored, x, ya, yb, scratch};
    for (size_t i = 0; i < COUNT(all); i++) omni_free(all[i]);
}

Test(lockstep, weights_travel_without_header_and_padding) {
    static const size_t outs[] = {1, 3, 15, 16, 48, 64}, ins[] = {1, 10, 257};
    cr_assert_eq(omni_kernel_init(NULL), OMNI_OK);
    for (size_t o = 0; o < COUNT(outs); o++)
        for (size_t i = 0; i < COUNT(ins); i++) {
            copy_multiplies(outs[o], ins[i], OMNI_F32);
            copy_multiplies(outs[o], ins[i], OMNI_BF16);
        }
}

/* --- a broadcast in pieces -------------------------------------------------------------------- */

enum { PIECES = 5, PIECE = 40000, RANKS = 4, WORKERS = 2 };

typedef struct party {
    omni_fabric *fabric;
    size_t worker;
    pthread_t thread;
    const char *bad;
} party;

static unsigned char byte_of(size_t writer, size_t piece, size_t at) {
    return (unsigned char)(writer * 61 + piece * 17 + at * 7);
}

/* Each rank in turn writes; a worker takes one copy, on its first rank. */
static void *take_part(void *arg) {
    party *p = arg;
    unsigned char *data = malloc(PIECE);
    for (size_t writer = 0; data && writer < RANKS; writer++) {
        for (size_t i = 0; i < PIECES && !p->bad; i++) {
            size_t bytes = PIECE - i * 7919;
            bool mine = writer / (RANKS / WORKERS) == p->worker;
            omni_view view = omni_view_flat(data, bytes), own[RANKS / WORKERS] = {{0}};
            for (size_t b = 0; b < bytes; b++) data[b] = mine ? byte_of(writer, i, b) : 0;
            if (!mine) own[0] = view;
            if (!omni_fabric_stream(p->fabric, p->worker, 0, writer, &view, own, bytes, i == 0))
                p->bad = "stopped";
            for (size_t b = 0; b < bytes && !p->bad; b++)
                if (data[b] != byte_of(writer, i, b)) p->bad = "wrong byte";
        }
    }
    free(data);
    return NULL;
}

Test(lockstep, pieces_arrive_and_count_as_one_broadcast, .timeout = 60) {
    omni_stop stop = {0};
    omni_segment all = {0, RANKS};
    omni_fabric_options o = {.kind = "shm",
                             .pes = RANKS,
                             .workers = WORKERS,
                             .segments = &all,
                             .segment_count = 1,
                             .wait = omni_wait_policy_for(WORKERS, 1),
                             .stop = &stop};
    party p[WORKERS] = {{.worker = 0}, {.worker = 1}};
    omni_counters c;
    size_t bytes = 0;
    cr_assert_eq(omni_fabric_create(&o, &p[0].fabric, NULL), OMNI_OK);
    p[1].fabric = p[0].fabric;
    for (size_t i = 0; i < WORKERS; i++)
        cr_assert_eq(pthread_create(&p[i].thread, NULL, take_part, &p[i]), 0);
    for (size_t i = 0; i < WORKERS; i++) pthread_join(p[i].thread, NULL);
    for (size_t i = 0; i < WORKERS; i++) cr_expect_null(p[i].bad, "worker %zu: %s", i, p[i].bad);
    for (size_t i = 0; i < PIECES; i++) bytes += PIECE - i * 7919;
    omni_fabric_counters(p[0].fabric, &c);
    cr_expect_eq(c.broadcasts, RANKS);
    cr_expect_eq(c.broadcast_bytes, RANKS * bytes);
    omni_fabric_free(p[0].fabric);
}

/* --- plans ------------------------------------------------------------------------------------ */

Test(lockstep, what_cannot_be_built_says_why) {
    static const struct {
        const char *text, *why;
        size_t pes;
    } rows[] = {
        {"weights=stream", "groups of 4 PEs cut them (the nearest that can: groups=each)", 4},
        {"lockstep:groups=2", "groups of 2 PEs cut them (the nearest that can: groups=each)", 4},
        {"groups=2:stages=2:weights=stream", "there are 2 stages (the nearest that can: stages=1)", 4},
        {"over=token", "over=token needs whole activations on every PE", 2},
    };
    omni_model *m = load(MODELS[0]);
    for (size_t i = 0; i < COUNT(rows); i++) {
        omni_error err = {0};
        cr_expect_null(compile(m, rows[i].text, rows[i].pes, &err), "%s", rows[i].text);
        cr_expect_eq(err.status, OMNI_BAD_INPUT);
        cr_expect(strstr(err.text, rows[i].why), "%s", err.text);
    }
    omni_model_free(m);
}

Test(lockstep, keys_are_known_once_and_have_two_values) {
    static const char *const bad[] = {"lockstep:weights=yes", "lockstep:over=both", "over=token:over=token",
                                      "lockstep/megatron", "weights=stream:weights=own"};
    omni_plan_spec spec;
    for (size_t i = 0; i < COUNT(bad); i++)
        cr_expect_eq(omni_plan_parse(bad[i], &spec, NULL), OMNI_BAD_INPUT, "%s", bad[i]);
    cr_assert_eq(omni_plan_parse("lockstep:over=token", &spec, NULL), OMNI_OK);
    cr_expect(spec.stream && spec.over_tokens && spec.groups == OMNI_EACH_PE);
    char text[64];
    cr_expect_str_eq(omni_mesh_format(&spec, text, sizeof text), ":groups=each:weights=stream:over=token");
    cr_assert_eq(omni_plan_parse("lockstep:weights=own:over=batch", &spec, NULL), OMNI_OK);
    cr_expect(!spec.stream && !spec.over_tokens);
}

static const char *const PLANS[] = {"lockstep", "lockstep:over=token", "replica:over=token"};

Test(lockstep, every_plan_is_proved) {
    for (size_t i = 0; i < COUNT(MODELS); i++) {
        omni_model *m = load(MODELS[i]);
        for (size_t t = 0; t < COUNT(PLANS) * COUNT(SIZES); t++) {
            omni_error err = {0};
            omni_plan *plan = compile(m, PLANS[t % COUNT(PLANS)], SIZES[t / COUNT(PLANS)], &err);
            cr_assert_not_null(plan, "%s", err.text);
            cr_expect_eq(omni_plan_check(plan, 16, &err), OMNI_OK, "%s", err.text);
            omni_plan_free(plan);
        }
        omni_model_free(m);
    }
}

/* Plants a fault at a step; false: there it is none. */
static bool plant(omni_plan *plan, omni_step *s, int fault) {
    bool stream = s->kind == OMNI_STEP_STREAM, share = s->kind == OMNI_STEP_KV_SHARE;
    switch (fault) {
    case 0: /* on the group's own piece */
        s->cut = OMNI_CUT_STAGE;
        return stream || share;
    case 1: /* everyone has all weights: he has not */
        s->kind = OMNI_STEP_MATMUL;
        return stream;
    case 2: /* only his own keys */
        if (share) s->kind = OMNI_STEP_KV_APPEND, s->cut = OMNI_CUT_STAGE;
        return share;
    case 3: /* panels of another size than they are dealt out in */
        if (stream) plan->weight[s->weight].panel = 0;
        return stream;
    case 4: /* outputs that nobody keeps */
        if (stream) plan->weight[s->weight].out.part[0].width--;
        return stream;
    case 5: /* no keys, no values */
        if (share) s->parts = 3;
        return share;
    case 6: /* over its own input */
        if (stream || share) plan->value[s->out].storage = plan->value[s->in[0]].storage;
        return stream || share;
    case 7: /* lost */
        if (stream || share) memmove(s, s + 1, (size_t)(plan->step + --plan->step_count - s) * sizeof *s);
        return stream || share;
    default: /* a message for all where not everyone is there */
        if (stream || share) plan->mesh.joined = false;
        return stream || share;
    }
}

Test(lockstep, the_prover_finds_planted_faults) {
    enum { FAULTS = 9 };
    omni_model *m = load(MODELS[0]);
    for (size_t t = 0; t < COUNT(PLANS); t++) {
        omni_error err = {0};
        omni_plan *sound = compile(m, PLANS[t], 3, &err);
        for (size_t i = 0; i < FAULTS * sound->step_count; i++) {
            omni_plan *plan = compile(m, PLANS[t], 3, &err);
            bool planted = plant(plan, &plan->step[i / FAULTS], (int)(i % FAULTS));
            cr_expect(!planted || omni_plan_check(plan, 16, NULL) == OMNI_RUN_FAILED,
                      "%s: fault %zu at step %zu (%s)", PLANS[t], i % FAULTS, i / FAULTS,
                      omni_step_name(sound->step[i / FAULTS].kind));
            omni_plan_free(plan);
        }
        omni_plan_free(sound);
    }
    omni_model_free(m);
}

/* --- shares of the tokens --------------------------------------------------------------------- */

Test(lockstep, tokens_are_spread_in_order) {
    static const size_t first[] = {4, 0, 0, 9}, counts[] = {3, 9, 1, 2};
    static const struct {
        size_t group, row, tokens, sequence, sequences, skip, cut;
    } rows[] = {{0, 0, 5, 0, 2, 0, 7}, {1, 5, 5, 1, 1, 2, 2}, {2, 10, 5, 1, 3, 7, 0}};
    omni_model *m = load(MODELS[0]);
    omni_error err = {0};
    omni_plan *plan = compile(m, "lockstep:over=token", 3, &err);
    omni_extent pass = {.tokens = 15, .sequences = 4, .first = first, .counts = counts};
    for (size_t i = 0; i < COUNT(rows); i++) {
        omni_parts it = omni_parts_begin(plan, pass, rows[i].group);
        omni_part part, none;
        cr_assert(omni_parts_next(&it, &part));
        cr_expect_not(omni_parts_next(&it, &none));
        omni_extent *x = &part.extent;
        cr_expect(part.row == rows[i].row && x->tokens == rows[i].tokens && x->sequence == rows[i].sequence &&
                      x->sequences == rows[i].sequences && x->skip == rows[i].skip && x->cut == rows[i].cut &&
                      x->open == (x->cut > 0),
                  "group %zu: row %zu, %zu tokens of %zu sequences from %zu on, skip %zu, cut %zu", i,
                  part.row, x->tokens, x->sequences, x->sequence, x->skip, x->cut);
    }
    omni_plan_free(plan);
    omni_model_free(m);
}

/* Every token, every last row, every first row and every mark is in one part. */
Test(lockstep, shares_of_any_pass_cover_it_once) {
    omni_model *m = load("tests/golden/bert-tiny");
    srand(7);
    for (size_t round = 0; round < 2000; round++) {
        size_t first[6], counts[6], mark[8], n = 1 + (size_t)rand() % 6, pes = 1 + (size_t)rand() % 9,
                                             marks = 0;
        omni_extent pass = {.sequences = n, .first = first, .counts = counts, .mark = mark};
        for (size_t i = 0; i < n; i++) pass.tokens += counts[i] = 1 + (size_t)rand() % 7, first[i] = i;
        for (size_t r = 0; r < pass.tokens && marks < 8; r++)
            if (rand() % 3 == 0) mark[marks++] = r;
        pass.marks = marks;
        omni_error err = {0};
        omni_plan *plan = compile(m, "lockstep:over=token", pes, &err);
        size_t row = 0, last = 0, begin = 0, marked = 0;
        for (size_t g = 0; g < pes; g++) {
            omni_parts it = omni_parts_begin(plan, pass, g);
            omni_part part;
            size_t tokens = 0;
            if (!omni_parts_next(&it, &part)) continue;
            cr_assert_eq(part.row, row);
            for (size_t i = 0; i < part.extent.sequences; i++) tokens += omni_extent_count(&part.extent, i);
            cr_assert_eq(tokens, part.extent.tokens);
            row += tokens;
            last += omni_rows_count(OMNI_ROWS_SEQUENCES, part.extent, 1, 0);
            begin += omni_rows_count(OMNI_ROWS_BEGINNINGS, part.extent, 1, 0);
            for (size_t i = 0; i < part.extent.marks; i++, marked++)
                cr_assert(part.extent.mark[i] >= part.row && part.extent.mark[i] < row);
        }
        cr_assert(row == pass.tokens && last == n && begin == n && marked == marks);
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

/* --- counts by hand --------------------------------------------------------------------------- */

/* Per layer of the demo Llama (D 128, 8 heads and 2 kv heads of 16, F 352; V 512, 4 layers, BF16): qkv 12
 * panels, o 8, gate|up 44, down 8; the head 32. */
Test(lockstep, counts_are_those_of_the_shape) {
    static const struct {
        size_t pes, senders; /* of a layer and, V / 16 = 32 panels being enough, the head */
    } rows[] = {{1, 0}, {2, 4 * 2}, {5, 4 * 5}, {12, 12 + 8 + 12 + 8}, {33, 12 + 8 + 33 + 8}};
    const size_t layer = (128 * 192 + 128 * 128 + 128 * 704 + 352 * 128) * 2, head = 128 * 512 * 2;
    static const size_t first[] = {0, 0}, counts[] = {20, 3};
    omni_extent pass = {.tokens = 23, .sequences = 2, .first = first, .counts = counts};
    omni_model *m = load("configs/demo/llama");
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t n = rows[i].pes, heads = n == 1 ? 0 : n < 32 ? n : 32;
        omni_error err = {0};
        for (size_t over = 0; over < 2; over++) {
            omni_plan *plan = compile(m, PLANS[over], n, &err);
            omni_counters c;
            size_t kv = over && n > 1 ? 4 * (n < 23 ? n : 23) : 0, kv_bytes = kv ? 4 * 23 * 64 * 4 : 0;
            omni_plan_count(plan, pass, &c);
            cr_expect_eq(c.broadcasts, 4 * rows[i].senders + heads + kv, "%s on %zu: %zu", PLANS[over], n,
                         (size_t)c.broadcasts);
            cr_expect_eq(c.broadcast_bytes, n == 1 ? 0 : 4 * layer + head + kv_bytes);
            cr_expect(c.reductions == 0 && c.tree_gathers == 0 && c.addressed_messages == 0);
            omni_plan_free(plan);
        }
    }
    omni_model_free(m);
}
