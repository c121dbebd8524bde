/* test_array_search.c: the search against everything that it prunes, where that is small enough to be priced; what a
 * generation costs; what a PE must hold.
 */
#include <stdio.h>
#include <string.h>

#include "array_tools.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static omni_estimate estimate(const omni_array *a, const omni_plan *plan, omni_task task) {
    omni_estimate e;
    omni_error err = {0};
    cr_assert_eq(omni_estimate_plan(a, plan, task, &e, &err), OMNI_OK, "%s", err.text);
    return e;
}

/* Every method, every power of two of groups and stages. */
static uint64_t exhaustive(const omni_array *a, const omni_model *m, size_t pes, omni_task task) {
    char **list;
    size_t count;
    uint64_t best = UINT64_MAX;
    omni_error err = {0};
    cr_assert_eq(omni_plan_list("all", &list, &count, &err), OMNI_OK);
    for (size_t i = 0; i < count; i++)
        for (size_t groups = 1; groups <= task.batch; groups *= 2)
            for (size_t stages = 1; stages <= m->shape.layers; stages *= 2) {
                char text[160];
                bool keyed = strchr(list[i], '=') != NULL;
                if (!keyed && groups * stages > 1) continue;
                snprintf(text, sizeof text, keyed ? "%s:groups=%zu:stages=%zu" : "%s", list[i], groups,
                         stages);
                omni_plan *plan = array_plan(m, text, pes);
                uint64_t ps = plan ? estimate(a, plan, task).ps : UINT64_MAX;
                best = ps < best ? ps : best;
                omni_plan_free(plan);
            }
    omni_plan_list_free(list, count);
    return best;
}

Test(array_search, what_is_pruned_is_hardly_missed) {
    static const char *const arrays[] = {"ideal", "seed-64pe", "narrow-bus", "segmented-256pe", "gddr6-pim"};
    static const omni_task tasks[] = {{1, 16, 8}, {8, 16, 8}, {4, 1, 40}, {2, 100, 1}};
    static const size_t pes[] = {4, 16};
    omni_model *m = array_model("configs/demo/llama");
    for (size_t i = 0; i < COUNT(arrays) * COUNT(tasks) * COUNT(pes); i++) {
        omni_array *a = array_load(arrays[i / COUNT(tasks) / COUNT(pes)]);
        omni_task task = tasks[i / COUNT(pes) % COUNT(tasks)];
        size_t n = pes[i % COUNT(pes)], count;
        omni_candidate *found;
        omni_error err = {0};
        cr_assert_eq(omni_search(a, m, n, task, NULL, 0, NULL, &found, &count, &err), OMNI_OK, "%s",
                     err.text);
        uint64_t best = exhaustive(a, m, n, task);
        cr_expect_leq(found[0].estimate.ps, best + best / 20, "%s, %zu PEs, %zu x %zu: %s %llu, best %llu",
                      omni_array_name(a), n, task.batch, task.prompt, found[0].spec.name,
                      (unsigned long long)found[0].estimate.ps, (unsigned long long)best);
        for (size_t k = 0; k < count; k++) {
            const omni_estimate *e = &found[k].estimate;
            cr_expect(k == 0 || e->fits <= found[k - 1].estimate.fits);
            cr_expect(k == 0 || e->fits != found[k - 1].estimate.fits || e->ps >= found[k - 1].estimate.ps);
            cr_expect_eq(e->prefill.rows > 0, k < OMNI_SEARCH_TRACED);
        }
        cr_expect(found[0].front);
        omni_free(found);
        omni_array_free(a);
    }
    omni_model_free(m);
}

Test(array_search, a_generation_is_its_passes) {
    omni_model *m = array_model("tests/golden/llama-tiny-gqa");
    omni_array *a = array_load("seed-64pe");
    omni_plan *plan = array_plan(m, "alternate:groups=2", 6);
    omni_task task = {3, 5, 8};
    omni_estimate e = estimate(a, plan, task);
    cr_expect_eq(e.position, 8); /* of 5 .. 11, the fourth */
    cr_expect_eq(e.prefill.ps, array_price(a, plan, array_pass(3, 5, 0, false)).ps);
    cr_expect_eq(e.decode.ps, array_price(a, plan, array_pass(3, 1, 8, false)).ps);
    cr_expect_eq(e.ps, e.prefill.ps + 7 * e.decode.ps);
    cr_expect_float_eq(omni_estimate_tokens_per_s(&e, task), 24 / ((double)e.ps * 1e-12), 1e-6);
    omni_plan_free(plan);
    omni_array_free(a);
    omni_model_free(m);
}

/* Weights and keys of all PEs together are those of one, where nothing is held twice. */
Test(array_search, memory_is_split) {
    omni_model *m = array_model("configs/models/llama-2-7b.json");
    omni_need one, many;
    omni_error err = {0};
    omni_plan *single = array_plan(m, "single", 1), *split = array_plan(m, "megatron", 32);
    omni_extent pass = array_pass(1, 512, 0, false);
    cr_assert_eq(omni_price_memory(single, pass, 0, &one, &err), OMNI_OK);
    cr_assert_eq(omni_price_memory(split, pass, 0, &many, &err), OMNI_OK);
    const omni_shape *s = &m->shape;
    uint64_t norms = (2 * s->layers + 1) * s->hidden * 4;
    uint64_t matrices =
        2 * (s->layers * (4 * s->hidden * s->hidden + 3 * s->hidden * s->ffn) + s->vocab * s->hidden);
    cr_expect_eq(one.weight_bytes, matrices + norms);
    cr_expect_eq(many.weight_bytes, matrices / 32 + norms);
    cr_expect_eq(one.kv_bytes, 2 * 4 * 512 * s->layers * s->hidden);
    cr_expect_eq(many.kv_bytes, one.kv_bytes / 32);
    omni_plan_free(split);
    split = array_plan(m, "attn=tokens", 32);
    cr_assert_eq(omni_price_memory(split, pass, 0, &many, &err), OMNI_OK);
    cr_expect_eq(many.kv_bytes, one.kv_bytes / 32);
    omni_plan_free(split);
    omni_plan_free(single);
    omni_model_free(m);
}
