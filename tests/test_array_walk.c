/* test_array_walk.c: pricing by classes of groups and runs of ranks comes to exactly what walking PE by PE
 * does, on every kind of plan, array and pass that is small enough; and it moves what the plan counts.
 */
#include "array_tools.h"
#include "sanitized.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Without the critical path, what goes by like before is not walked: nothing else may differ. */
static void expect_same_untraced(const omni_array *a, const omni_plan *plan, omni_extent pass,
                                 const omni_price *walked) {
    omni_price skipped;
    omni_error err = {0};
    bool left;
    cr_assert_eq(price_pass(a, plan, pass, no_limit, false, &skipped, &left, &err), OMNI_OK);
    cr_expect(!left && skipped.ps == walked->ps && skipped.energy_pj == walked->energy_pj &&
                  skipped.grants == walked->grants && skipped.conflicts == walked->conflicts &&
                  skipped.wait_ps == walked->wait_ps && skipped.macs == walked->macs &&
                  skipped.ops == walked->ops && skipped.memory_bytes == walked->memory_bytes &&
                  skipped.busy_ppm == walked->busy_ppm && skipped.computing_ppm == walked->computing_ppm &&
                  omni_counters_equal(&skipped.moved, &walked->moved),
              "%s, %zu PEs, %s, %zu x %zu tokens: ps %llu %llu", plan->spec.name, plan->mesh.pes,
              omni_array_name(a), pass.sequences, pass.tokens, (unsigned long long)skipped.ps,
              (unsigned long long)walked->ps);
}

void array_expect_exact(const omni_array *a, const omni_plan *plan, omni_extent pass) {
    static size_t asked;
    if (SANITIZED && asked++ % 5) return;
    naive want = naive_price(a, plan, pass);
    omni_price got = array_price(a, plan, pass);
    omni_counters moved;
    omni_plan_count(plan, pass, &moved);
    unsigned __int128 parts = (unsigned __int128)want.ps * plan->mesh.used / 1000000 + 1; /* of the time */
    bool same = got.ps == want.ps && got.grants == want.grants && got.conflicts == want.conflicts &&
                got.wait_ps == want.wait_ps && got.macs == want.macs &&
                got.computing_ppm == (uint64_t)(want.computing / parts);
    cr_expect(same,
              "%s, %zu PEs, %s, %zu x %zu tokens: ps %llu %llu, grants %llu %llu, conflicts %llu %llu, wait "
              "%llu %llu, macs %llu %llu",
              plan->spec.name, plan->mesh.pes, omni_array_name(a), pass.sequences, pass.tokens,
              (unsigned long long)got.ps, (unsigned long long)want.ps, (unsigned long long)got.grants,
              (unsigned long long)want.grants, (unsigned long long)got.conflicts,
              (unsigned long long)want.conflicts, (unsigned long long)got.wait_ps,
              (unsigned long long)want.wait_ps, (unsigned long long)got.macs, (unsigned long long)want.macs);
    for (size_t i = 0; i < OMNI_COUNTERS; i++)
        cr_expect_eq(omni_counters_get(&got.moved, i), omni_counters_get(&moved, i),
                     "%s, %zu PEs, %zu tokens: %s %llu %llu", plan->spec.name, plan->mesh.pes, pass.tokens,
                     omni_counter_names[i], (unsigned long long)omni_counters_get(&got.moved, i),
                     (unsigned long long)omni_counters_get(&moved, i));
    uint64_t path = 0;
    for (size_t k = 0; k < OMNI_PRICE_KINDS; k++) path += got.kind[k];
    cr_expect_eq(path, got.ps, "%s: the critical path is not the time", plan->spec.name);
    expect_same_untraced(a, plan, pass, &got);
}

static const struct {
    size_t sequences, tokens, first;
    bool ragged;
} passes[] = {{1, 1, 4, false}, {3, 1, 7, false}, {4, 1, 3, true},
              {1, 9, 0, false}, {3, 5, 0, true},  {2, 3, 2, false}};

static const char *const models[] = {"tests/golden/llama-tiny-gqa", "tests/golden/gpt2-tiny",
                                     "tests/golden/bert-tiny"};

static void compare_all(const omni_array *a, const char *const *plans, size_t count, const size_t *pes,
                        size_t sizes) {
    for (size_t m = 0; m < COUNT(models); m++) {
        omni_model *model = array_model(models[m]);
        for (size_t i = 0; i < count * sizes; i++) {
            omni_plan *plan = array_plan(model, plans[i / sizes], pes[i % sizes]);
            for (size_t k = 0; plan && k < COUNT(passes); k++)
                if (!model->shape.encoder || passes[k].first == 0)
                    array_expect_exact(
                        a, plan,
                        array_pass(passes[k].sequences, passes[k].tokens, passes[k].first, passes[k].ragged));
            omni_plan_free(plan);
        }
        omni_model_free(model);
    }
}

/* Every combination of methods, and the named plans. */
Test(array, classes_are_exact_for_every_method) {
    static const size_t pes[] = {1, 2, 3, 5, 8, 13};
    char **plans;
    size_t count;
    omni_error err = {0};
    omni_array *a = array_load("seed-64pe");
    array_set(a, "bus.pieces", "3");
    cr_assert_eq(omni_plan_list("all", &plans, &count, &err), OMNI_OK);
    compare_all(a, (const char *const *)plans, count, pes, COUNT(pes));
    omni_plan_list_free(plans, count);
    omni_array_free(a);
}

static const char *const meshes[] = {
    "megatron",
    "alternate",
    "workflow2",
    "workflow1:gather=bus:edge=scatter",
    "workflow2:gather=bus:edge=scatter",
    "alternate:groups=2",
    "megatron:groups=3:stages=2",
    "workflow1:stages=2:stack=2:chunk=4",
    "workflow2:groups=2:stages=2:chunk=3",
    "attn=subheads",
    "attn=subheads:groups=2",
    "attn=subheads:stages=2:chunk=2",
    "pipeline:chunk=2",
    "replica",
    "lockstep",
    "lockstep:over=token",
    "megatron:groups=each:over=token",
    "megatron:wire=bf16",
    "megatron:overlap=2",
    "alternate:gather=bus:edge=scatter:overlap=3",
    "o=out:ffn=out+out:groups=2:stages=2:chunk=5:overlap=4",
    /* Strips of features only in the last layer, where nothing is scattered. */
    "qkv=in:o=out:edge=scatter:overlap=4",
};

Test(array, classes_are_exact_on_every_array) {
    static const size_t pes[] = {2, 5, 16, 33};
    static const char *const arrays[] = {"ideal",           "seed-64pe",  "wide-bus",
                                         "segmented-256pe", "narrow-bus", "gddr6-pim"};
    for (size_t i = 0; i < COUNT(arrays); i++) {
        omni_array *a = array_load(arrays[i]);
        compare_all(a, meshes, COUNT(meshes), pes, COUNT(pes));
        omni_array_free(a);
    }
}

/* Few pieces for many: everything is shared by something. */
Test(array, classes_are_exact_where_pieces_are_shared) {
    static const size_t pes[] = {7, 16, 24};
    static const char *const pieces[] = {"1", "2", "5", "1000"};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        omni_array *a = array_load("seed-64pe");
        array_set(a, "bus.pieces", pieces[i]);
        array_set(a, "tree.chunk", "64");
        compare_all(a, meshes, COUNT(meshes), pes, COUNT(pes));
        omni_array_free(a);
    }
    omni_array *a = array_load("segmented-256pe"); /* chunks that follow each other */
    array_set(a, "tree.chunk", "48");
    array_set(a, "bus.pieces", "2");
    compare_all(a, meshes, COUNT(meshes), pes, COUNT(pes));
    omni_array_free(a);
}

/* Many waves: some begin like an earlier one, and are not walked again. */
Test(array, waves_that_go_by_again_are_exact) {
    static const char *const plans[] = {"pipeline:chunk=2",
                                        "megatron:stages=2",
                                        "megatron:stages=3:chunk=2",
                                        "workflow1:gather=bus:stages=2:stack=2",
                                        "alternate:stages=2:chunk=3",
                                        "attn=tokens:stages=2:chunk=2",
                                        "workflow2:groups=2:stages=2",
                                        "attn=subheads:stages=2:chunk=2",
                                        "megatron:groups=3:stages=2:chunk=1"};
    static const char *const arrays[] = {"seed-64pe", "segmented-256pe", "narrow-bus"};
    static const char *const pieces[] = {"1", "3", "1000"};
    static const size_t pes[] = {3, 9, 16, 24};
    for (size_t i = 0; i < COUNT(models) * COUNT(arrays) * COUNT(pieces); i++) {
        omni_model *m = array_model(models[i % COUNT(models)]);
        omni_array *a = array_load(arrays[i / COUNT(models) % COUNT(arrays)]);
        array_set(a, "bus.pieces", pieces[i / COUNT(models) / COUNT(arrays)]);
        for (size_t k = 0; k < COUNT(plans) * COUNT(pes); k++) {
            omni_plan *plan = array_plan(m, plans[k / COUNT(pes)], pes[k % COUNT(pes)]);
            if (!plan) continue;
            if (!m->shape.encoder) array_expect_exact(a, plan, array_pass(16, 1, 5, false));
            array_expect_exact(a, plan, array_pass(12, 6, 0, false));
            array_expect_exact(a, plan, array_pass(16, 5, 0, true));
            omni_plan_free(plan);
        }
        omni_array_free(a);
        omni_model_free(m);
    }
}

/* Layers, likewise, of a model that has many. */
Test(array, skipped_layers_are_exact) {
    static const size_t pes[] = {2, 7, 16, 33, 64};
    static const char *const arrays[] = {"seed-64pe", "segmented-256pe", "narrow-bus"};
    omni_model *m = array_model("configs/models/llama-2-7b.json");
    for (size_t i = 0; i < COUNT(arrays) * COUNT(pes) * COUNT(meshes); i++) {
        omni_array *a = array_load(arrays[i / COUNT(pes) / COUNT(meshes)]);
        omni_plan *plan = array_plan(m, meshes[i % COUNT(meshes)], pes[i / COUNT(meshes) % COUNT(pes)]);
        for (size_t k = 0; plan && k < COUNT(passes); k++) {
            omni_extent pass =
                array_pass(passes[k].sequences, passes[k].tokens, passes[k].first, passes[k].ragged);
            omni_price walked = array_price(a, plan, pass);
            expect_same_untraced(a, plan, pass, &walked);
        }
        omni_plan_free(plan);
        omni_array_free(a);
    }
    omni_model_free(m);
}

/* Keys and values by tokens go round: groups whose sequences begin at different PEs are no class. A prefill
 * of fewer tokens than PEs has a PE with two keys where another group's has none. */
Test(array, sequences_that_begin_elsewhere_are_no_class) {
    static const char *const plans[] = {"workflow2:groups=2", "workflow2:groups=3", "attn=tokens:groups=4",
                                        "qkv=in:attn=tokens:o=out:edge=scatter:groups=4:stages=2"};
    omni_array *a = array_load("seed-64pe");
    array_set(a, "pe.macs", "1");
    array_set(a, "bus.width", "infinite");
    for (size_t m = 0; m < COUNT(models); m++) {
        omni_model *model = array_model(models[m]);
        for (size_t i = 0; i < COUNT(plans) * 30; i++) {
            omni_plan *plan = array_plan(model, plans[i % COUNT(plans)], 4 + i / COUNT(plans));
            for (size_t sequences = 2; plan && sequences <= 12; sequences += 2)
                for (size_t tokens = 1; tokens <= 9; tokens += 2)
                    array_expect_exact(a, plan, array_pass(sequences, tokens, 0, false));
            omni_plan_free(plan);
        }
        omni_model_free(model);
    }
    omni_array_free(a);
}
