/* test_array_search.c: the search against everything that it prunes, where that is small enough to be priced;
 * what a generation costs; what a PE must hold.
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

/* What is tried in any case, priced to the end: nothing of it is missing that would be on the front. */
Test(array_search, the_front_is_whole) {
    static const char *const arrays[] = {"seed-64pe", "narrow-bus", "segmented-256pe", "gddr6-pim"};
    static const omni_task tasks[] = {{1, 16, 8}, {8, 16, 8}, {4, 1, 40}, {2, 100, 1}};
    static const size_t pes[] = {4, 16};
    omni_model *m = array_model("configs/demo/llama");
    char **list;
    size_t plans;
    omni_error err = {0};
    cr_assert_eq(omni_plan_list("all", &list, &plans, &err), OMNI_OK);
    for (size_t i = 0; i < COUNT(arrays) * COUNT(tasks) * COUNT(pes); i++) {
        omni_array *a = array_load(arrays[i / COUNT(tasks) / COUNT(pes)]);
        omni_task task = tasks[i / COUNT(pes) % COUNT(tasks)];
        size_t n = pes[i % COUNT(pes)], count;
        omni_candidate *found;
        cr_assert_eq(omni_search(a, m, n, task, NULL, 0, NULL, &found, &count, &err), OMNI_OK, "%s",
                     err.text);
        for (size_t k = 0; k < plans; k++) {
            omni_plan *plan = array_plan(m, list[k], n);
            omni_estimate e = plan ? estimate(a, plan, task) : (omni_estimate){0};
            bool covered = !e.fits;
            for (size_t f = 0; f < count && !covered; f++) {
                const omni_estimate *b = &found[f].estimate;
                covered = found[f].front && b->ps <= e.ps && b->energy_pj <= e.energy_pj &&
                          b->need.all_bytes <= e.need.all_bytes;
            }
            cr_expect(covered, "%s, %zu PEs, %zu x %zu: %s is on no front", omni_array_name(a), n, task.batch,
                      task.prompt, list[k]);
            omni_plan_free(plan);
        }
        omni_free(found);
        omni_array_free(a);
    }
    omni_plan_list_free(list, plans);
    omni_model_free(m);
}

/* Two plans cost what their phases and the change do, and need no less memory than either. */
Test(array_search, two_plans_are_joined) {
    static const char *const arrays[] = {"seed-64pe", "narrow-bus", "wide-bus", "segmented-256pe"};
    static const omni_task tasks[] = {{1, 100, 40}, {8, 64, 8}, {2, 16, 100}};
    omni_model *m = array_model("configs/demo/llama");
    omni_error err = {0};
    size_t priced = 0;
    for (size_t i = 0; i < COUNT(arrays) * COUNT(tasks); i++) {
        omni_array *a = array_load(arrays[i / COUNT(tasks)]);
        omni_task task = tasks[i % COUNT(tasks)];
        omni_candidate *found;
        omni_pair pair;
        size_t count;
        cr_assert_eq(omni_search(a, m, 16, task, NULL, 0, NULL, &found, &count, &err), OMNI_OK);
        cr_assert_eq(omni_search_pair(a, m, 16, task, found, count, NULL, &pair, &err), OMNI_OK);
        priced += pair.priced;
        for (size_t k = 0; k < OMNI_PAIR_WAYS && pair.priced; k++) {
            const omni_pair_way *w = &pair.way[k];
            const omni_estimate *p = &pair.prefill->estimate, *q = &pair.decode->estimate;
            cr_expect_eq(w->ps, p->prefill.ps + w->change.ps + (task.gen - 1) * q->decode.ps);
            cr_expect_geq(w->need.all_bytes, p->need.all_bytes);
            cr_expect_geq(w->need.all_bytes, q->need.all_bytes);
            cr_expect(!pair.wins || k != pair.best || (w->fits && w->ps < found[0].estimate.ps));
        }
        if (pair.priced)
            cr_expect_leq(pair.way[OMNI_PAIR_RESIDENT].change.ps, pair.way[OMNI_PAIR_MOVED].change.ps);
        omni_free(found);
        omni_array_free(a);
    }
    cr_expect_gt(priced, 0);
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
