/* test_shapes.c: configs/models: the published shapes, by their published number of parameters, and what the
 * largest move by the closed forms of the design. A family or a feature that is refused by name is skipped.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "omnibus/plan.h"

typedef struct shape {
    char name[24];
    size_t layers;
    uint64_t parameters; /* a tied table once; GPT-2's attention masks, which are constants, left out */
} shape;

ParameterizedTestParameters(shapes, published) {
    static shape all[] = {
        {"llama-2-7b", 32, 6738415616},        {"llama-2-13b", 40, 13015864320},
        {"llama-2-70b", 80, 68976648192},      {"llama-3.1-8b", 32, 8030261248},
        {"tinyllama-1.1b", 22, 1100048384},    {"gpt2", 12, 124439808},
        {"gpt2-medium", 24, 354823168},        {"gpt2-large", 36, 774030080},
        {"gpt2-xl", 48, 1557611200},           {"bert-base-uncased", 12, 109482240},
        {"bert-large-uncased", 24, 335141888},
    };
    return cr_make_param_array(shape, all, sizeof all / sizeof *all);
}

/* NULL and the reason in err: refused by name. */
static omni_model *load(const char *name, omni_error *err) {
    char path[64];
    omni_model *m;
    snprintf(path, sizeof path, "configs/models/%s.json", name);
    omni_status status = omni_model_load(path, &m, err);
    cr_assert(status == OMNI_OK || strstr(err->text, "not supported"), "%s", err->text);
    return m;
}

ParameterizedTest(shape *s, shapes, published) {
    omni_error err = {0};
    omni_model *m = load(s->name, &err);
    if (!m) cr_skip_test("%s", err.text);
    cr_assert_eq(m->shape.layers, s->layers);
    cr_assert_eq(omni_model_parameters(m), s->parameters, "%s: %lu", s->name,
                 (unsigned long)omni_model_parameters(m));
    omni_model_free(m);
}

/* --- closed forms ----------------------------------------------------------------------------- */

/* What one pass of T tokens, one sequence, moves. */
static omni_counters count_marked(const omni_model *m, const char *text, size_t pes, size_t tokens,
                                  size_t marks) {
    omni_plan_spec spec;
    omni_plan *plan;
    omni_error err = {0};
    omni_counters c;
    size_t first = 0;
    cr_assert_eq(omni_plan_parse(text, &spec, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_plan_compile(m, &spec, pes, &plan, &err), OMNI_OK, "%s", err.text);
    omni_extent extent = {
        .tokens = tokens, .sequences = 1, .marks = marks, .first = &first, .counts = &tokens};
    omni_plan_count(plan, extent, &c);
    omni_plan_free(plan);
    return c;
}

static omni_counters count(const omni_model *m, const char *text, size_t pes, size_t tokens) {
    return count_marked(m, text, pes, tokens, 0);
}

/* megatron: 2 reductions and 2 broadcasts a layer of 4TD, and the arg-max of 8 bytes. */
Test(shapes, megatron_moves_what_the_closed_form_says) {
    static const char *const names[] = {"llama-2-7b", "llama-2-70b", "tinyllama-1.1b", "gpt2-xl"};
    static const size_t pes[] = {2, 7, 64};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        omni_error err = {0};
        omni_model *m = load(names[i], &err);
        cr_assert_not_null(m, "%s", err.text);
        for (size_t k = 0; k < sizeof pes / sizeof *pes; k++) {
            size_t T = k ? 128 : 1, L = m->shape.layers, p = pes[k];
            uint64_t each = 4 * (uint64_t)T * m->shape.hidden;
            omni_counters c = count(m, "megatron", p, T);
            cr_expect_eq(c.reductions, 2 * L + 1);
            cr_expect_eq(c.broadcasts, 2 * L);
            cr_expect_eq(c.broadcast_bytes, 2 * L * each);
            cr_expect_eq(c.tree_bytes, (p - 1) * (2 * L * each + 8));
            cr_expect_eq(c.tree_levels, omni_ceil_log2(p) * (2 * L + 1));
            cr_expect_eq(c.tree_gathers + c.addressed_messages, 0);
        }
        omni_model_free(m);
    }
}

/* workflow1, Llama: reductions o 4TD and 8TF, broadcasts 4TD, 4TF, 4TD, the last of which follows a gather;
 * the last layer's output is gathered too, its last row alone. */
Test(shapes, workflow1_moves_what_the_closed_form_says) {
    omni_error err = {0};
    omni_model *m = load("llama-2-13b", &err);
    cr_assert_not_null(m, "%s", err.text);
    uint64_t T = 16, L = m->shape.layers, D = m->shape.hidden, F = m->shape.ffn;
    omni_counters c = count(m, "workflow1", 64, T);
    cr_expect_eq(c.reductions, 2 * L + 1);
    cr_expect_eq(c.tree_gathers, L);
    cr_expect_eq(c.broadcasts, 3 * L);
    cr_expect_eq(c.broadcast_bytes, L * (4 * T * D + 4 * T * F) + (L - 1) * 4 * T * D + 4 * D);
    omni_model_free(m);
}

/* An encoder, post-norm, without an MLM head; T tokens of one sequence, K = 3D, H heads of size h. A layer of
 * each plan, as it follows from the rules of the design:
 *
 *   megatron    o 4TD and ffn 4TD, reduced and broadcast
 *   workflow1   o 4TD and the FFN's middle 4TF, reduced and broadcast; the output gathered and broadcast, 4TD
 *   workflow2   qkv 4TK, attention 4TH(h+2) up and 4TD down, o 4TD, ffn 4TD
 *   alternate   as these, but between workflow1 and workflow2 no gather: the norm's moments, 12T up and 8T
 *               down
 *
 * At the end every PE has the states; the pooler is split-out, so its 4D are gathered. The host port sends
 * 4TD in and has 4D back. */
typedef struct encoder_traffic {
    uint64_t reductions, reduced, gathers, broadcasts, broadcast;
} encoder_traffic;

static void check_encoder(const omni_model *m, const char *plan, size_t p, size_t T, encoder_traffic want) {
    omni_counters c = count(m, plan, p, T);
    uint64_t D = m->shape.hidden;
    cr_expect_eq(c.reductions, want.reductions, "%s on %zu", plan, p);
    cr_expect_eq(c.tree_gathers, want.gathers + 1, "%s on %zu", plan, p);
    cr_expect_eq(c.tree_levels, omni_ceil_log2(p) * (want.reductions + want.gathers + 1));
    cr_expect_eq(c.broadcasts, want.broadcasts, "%s on %zu", plan, p);
    cr_expect_eq(c.broadcast_bytes, want.broadcast, "%s on %zu", plan, p);
    cr_expect(c.host_messages == 2 && c.host_bytes == 4 * T * D + 4 * D, "%s on %zu", plan, p);
    cr_expect_eq(c.addressed_messages, 0);
    if (p != 4) return; /* parts of 1/4 travel popcount(0..3) = 0 + 1 + 1 + 2 times */
    cr_expect_eq(c.tree_bytes, 3 * want.reduced + want.gathers * 4 * T * D + 4 * D, "%s", plan);
}

Test(shapes, an_encoder_moves_what_the_closed_forms_say) {
    static const size_t pes[] = {2, 4, 7};
    omni_error err = {0};
    omni_model *m = load("bert-base-uncased", &err);
    cr_assert_not_null(m, "%s", err.text);
    uint64_t L = m->shape.layers, T = 48, D = m->shape.hidden, F = m->shape.ffn, H = m->shape.heads,
             x = 4 * T * D, f = 4 * T * F, qkv = 3 * x, lse = x + 8 * T * H;
    for (size_t i = 0; i < sizeof pes / sizeof *pes; i++) {
        size_t p = pes[i];
        check_encoder(m, "megatron", p, T, (encoder_traffic){2 * L, 2 * L * x, 0, 2 * L, 2 * L * x});
        check_encoder(m, "workflow1", p, T, (encoder_traffic){2 * L, L * (x + f), L, 3 * L, L * (2 * x + f)});
        check_encoder(m, "workflow2", p, T,
                      (encoder_traffic){4 * L, L * (qkv + lse + 2 * x), 0, 4 * L, L * (qkv + 3 * x)});
        encoder_traffic pair = {7, x + f + 12 * T + qkv + lse + 2 * x, 0, 7,
                                x + f + 8 * T + qkv + 3 * x}; /* two layers */
        check_encoder(m, "alternate", p, T,
                      (encoder_traffic){L / 2 * pair.reductions, L / 2 * pair.reduced, 0,
                                        L / 2 * pair.broadcasts, L / 2 * pair.broadcast});
    }
    omni_model_free(m);
}

/* The MLM head over M marked tokens, p ranks: its states 4MD gathered for the norm and broadcast, the arg-max
 * of 8M bytes reduced, 4M to the host port. Without marks nothing moves. */
Test(shapes, an_mlm_head_moves_what_the_closed_form_says) {
    omni_error err = {0};
    omni_model *m = load("bert-base-uncased", &err);
    cr_assert_not_null(m, "%s", err.text);
    omni_counters without = count(m, "megatron", 4, 48);
    omni_model_set_heads(m, OMNI_HEAD_POOLER | OMNI_HEAD_MLM);
    for (uint64_t M = 0; M <= 48; M += 6) {
        omni_counters c = count_marked(m, "megatron", 4, 48, M);
        uint64_t some = M > 0, D = m->shape.hidden;
        cr_expect_eq(c.broadcasts - without.broadcasts, some);
        cr_expect_eq(c.broadcast_bytes - without.broadcast_bytes, 4 * M * D);
        cr_expect_eq(c.reductions - without.reductions, some);
        cr_expect_eq(c.tree_gathers - without.tree_gathers, some);
        cr_expect_eq(c.tree_levels - without.tree_levels, 4 * some);
        cr_expect_eq(c.tree_bytes - without.tree_bytes, 4 * M * D + 3 * 8 * M);
        cr_expect_eq(c.host_messages - without.host_messages, some);
        cr_expect_eq(c.host_bytes - without.host_bytes, 4 * M);
    }
    omni_model_free(m);
}
