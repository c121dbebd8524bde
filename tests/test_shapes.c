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
static omni_counters count(const omni_model *m, const char *text, size_t pes, size_t tokens) {
    omni_plan_spec spec;
    omni_plan *plan;
    omni_error err = {0};
    omni_counters c;
    size_t first = 0;
    cr_assert_eq(omni_plan_parse(text, &spec, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_plan_compile(m, &spec, pes, &plan, &err), OMNI_OK, "%s", err.text);
    omni_plan_count(plan, (omni_extent){.tokens = tokens, .sequences = 1, .first = &first, .counts = &tokens},
                    &c);
    omni_plan_free(plan);
    return c;
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
