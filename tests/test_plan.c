/* test_plan.c: plans as text, the algebra, every plan proved and counted, and a prover that finds planted
 * faults. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan_tools.h"

static const size_t SIZES[] = {1, 2, 3, 4, 5, 7, 8, 16, 33};
static const char *const MODELS[] = {"tests/golden/llama-tiny-gqa", "tests/golden/llama-tiny-mha",
                                     "tests/golden/gpt2-tiny", "tests/golden/bert-tiny",
                                     "configs/demo/bert"}; /* the last with an MLM head */
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void expect_unbuilt(const omni_model *m, const char *text, size_t pes, const char *words) {
    omni_plan_spec spec;
    omni_plan *plan;
    omni_error err = {0};
    cr_assert_eq(omni_plan_parse(text, &spec, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_plan_compile(m, &spec, pes, &plan, &err), OMNI_BAD_INPUT, "%s", text);
    cr_assert_null(plan);
    cr_expect_not_null(strstr(err.text, words), "'%s' says '%s', not '%s'", text, err.text, words);
}

/* --- text ------------------------------------------------------------------------------------- */

static void expect_bad(const char *text, const char *words) {
    omni_plan_spec spec;
    omni_error err = {0};
    cr_expect_eq(omni_plan_parse(text, &spec, &err), OMNI_BAD_INPUT, "'%s' was accepted", text);
    cr_expect_not_null(strstr(err.text, words), "'%s' says '%s', not '%s'", text, err.text, words);
}

Test(plan, bad_text_is_refused_with_what_is_wrong) {
    expect_bad("", "empty");
    expect_bad("megatorn", "megatron");
    expect_bad("megatron:", "key=value");
    expect_bad("megatron:o", "key=value");
    expect_bad("megatron:o=", "no value");
    expect_bad("megatron:x=1", "unknown key 'x'");
    expect_bad("megatron:o=out:o=in", "repeated key 'o'");
    expect_bad("qkv=sideways", "out, in");
    expect_bad("attn=rows", "heads, tokens, subheads");
    expect_bad("attn=head", "did you mean 'heads'?");
    expect_bad("ffn=out", "out+out");
    expect_bad("gather=ring", "tree, bus");
    expect_bad("edge=x", "bcast, scatter");
    expect_bad("groups=0", "groups is '0' (expected a number from 1 to 16777216, or each)");
    expect_bad("groups=x", "from 1 to 16777216, or each");
    expect_bad("groups=-1", "from 1 to 16777216, or each");
    expect_bad("stages=0", "from 1 to 16777216, or each");
    expect_bad("stages=99999999999999999999", "from 1 to 16777216, or each");
    expect_bad("stack=0", "stack is '0' (expected a number from 1 to 16777216)");
    expect_bad("stack=each", "stack is 'each' (expected a number from 1 to 16777216)");
    expect_bad("chunk=0", "from 1 to 16777216, or all");
    expect_bad("chunk=each", "from 1 to 16777216, or all");
    expect_bad("wire=f8", "f32, bf16, f16");
    expect_bad("wire-tree=F16", "f32, bf16, f16");
    expect_bad("over=x", "batch, token");
    expect_bad("weights=x", "own, stream");
    expect_bad("groups=2:groups=2", "repeated key 'groups'");
    expect_bad("groups=2/stages=2:groups=2", "repeated key 'groups'");
    expect_bad("wire=f16/wire=f16", "repeated key 'wire'");
    expect_bad("weights=own/weights=own", "repeated key 'weights'");
    expect_bad("replica/megatron", "expected it alone");
    expect_bad("megatron/pipeline", "expected it alone");
    expect_bad("workflow1/lockstep:groups=2", "expected it alone");
    expect_bad("megatron/", "empty layer");
    expect_bad("/megatron", "empty layer");
    expect_bad("megatron//single", "empty layer");
    expect_bad("=out", "key=value");
    expect_bad(":qkv=out", "");
    char longest[600];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    expect_bad(longest, "too long");
    longest[200] = 0;
    expect_bad(longest, "");
    char cycle[512] = "in";
    cycle[0] = 0;
    for (int i = 0; i < 17; i++) strcat(cycle, i ? "/o=in" : "o=in");
    expect_bad(cycle, "too many layers");
}

Test(plan, parts_left_out_keep_megatrons) {
    omni_plan_spec a, b;
    char x[128], y[128];
    cr_assert_eq(omni_plan_parse("o=out", &a, NULL), OMNI_OK);
    cr_assert_eq(omni_plan_parse("megatron:o=out", &b, NULL), OMNI_OK);
    cr_assert_str_eq(omni_methods_format(&a.layer[0], x, sizeof x),
                     omni_methods_format(&b.layer[0], y, sizeof y));
    cr_assert_str_eq(x, "qkv=out:attn=heads:o=out:ffn=out+in");
    cr_assert_eq(omni_plan_parse("alternate:o=out:gather=bus/o=in", &a, NULL), OMNI_OK);
    cr_assert_eq(a.cycle, 3);
    cr_assert_str_eq(omni_methods_format(&a.layer[1], x, sizeof x),
                     "qkv=in:attn=tokens:o=out:ffn=out+in:gather=bus");
    cr_assert_str_eq(omni_methods_format(&a.layer[2], x, sizeof x), "qkv=out:attn=heads:o=in:ffn=out+in");
}

Test(plan, what_is_not_built_yet_parses_and_is_refused_by_name) {
    static const char *const texts[] = {"single/megatron", "workflow1/single", "single:o=out",
                                        "single:groups=2", "single:wire=bf16"};
    omni_model *m = load(MODELS[0]);
    for (size_t i = 0; i < COUNT(texts); i++) expect_unbuilt(m, texts[i], 3, "not built yet");
    omni_model_free(m);
}

Test(plan, what_does_not_fit_the_pes_or_the_model_is_refused_with_what_would) {
    omni_model *m = load("configs/demo/llama"); /* 4 layers, 8 heads */
    expect_unbuilt(m, "groups=4", 3, "groups=4 on 3 PEs (expected at most one group for each PE)");
    expect_unbuilt(m, "stages=4", 3,
                   "1 group of 4 stages on 3 PEs (expected at least one PE for each stage)");
    expect_unbuilt(m, "groups=2:stages=2", 3, "2 groups of 2 stages on 3 PEs");
    expect_unbuilt(m, "stages=5", 8, "stages=5 of 4 layers (expected at most one stage for each layer)");
    expect_unbuilt(m, "attn=subheads", 8, "there are 8 for 8 heads (expected more PEs than heads");
    expect_unbuilt(m, "stages=2:attn=subheads", 17, "a stage has 8 for 8 heads");
    expect_unbuilt(m, "weights=stream", 2, "the nearest that can: groups=each");
    expect_unbuilt(m, "over=token", 2, "the nearest that can: groups=each");
    expect_unbuilt(m, "weights=stream:stages=2", 2, "the nearest that can: stages=1");
    expect_unbuilt(m, "megatron", 0, "no PEs");
    omni_model_free(m);
}

Test(plan, lists) {
    char **list;
    size_t count;
    cr_assert_eq(omni_plan_list("single,megatron:o=out", &list, &count, NULL), OMNI_OK);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(list[1], "megatron:o=out");
    omni_plan_list_free(list, count);
    cr_assert_eq(omni_plan_list("all", &list, &count, NULL), OMNI_OK);
    cr_assert_eq(count, 5 + 2 * 3 * 2 * 4);
    omni_plan_list_free(list, count);
    cr_assert_eq(omni_plan_list("a,,b", &list, &count, NULL), OMNI_BAD_INPUT);
    cr_assert_eq(omni_plan_list("", &list, &count, NULL), OMNI_BAD_INPUT);
}

/* --- the algebra ------------------------------------------------------------------------------ */

Test(plan, transforms_are_those_of_the_table) {
    const omni_placement all = {OMNI_REPLICATED, OMNI_DIM_NONE}, part = {OMNI_PARTIAL, OMNI_DIM_NONE},
                         root = {OMNI_ROOT, OMNI_DIM_NONE}, head = {OMNI_SHARDED, OMNI_DIM_HEAD},
                         feature = {OMNI_SHARDED, OMNI_DIM_FEATURE}, token = {OMNI_SHARDED, OMNI_DIM_TOKEN};
    const struct {
        omni_placement from, to;
        bool bus, scatter;
        size_t count;
        omni_step_kind step[2];
    } want[] = {
        {root, all, 0, 0, 1, {OMNI_STEP_BROADCAST}},
        {part, root, 0, 0, 1, {OMNI_STEP_REDUCE}},
        {part, all, 0, 1, 2, {OMNI_STEP_REDUCE, OMNI_STEP_BROADCAST}},
        {all, head, 0, 0, 0, {0}},
        {all, root, 0, 0, 0, {0}},
        {all, part, 0, 0, 0, {0}},
        {root, part, 0, 0, 0, {0}},
        {feature, part, 0, 0, 0, {0}},
        {root, feature, 0, 0, 1, {OMNI_STEP_BROADCAST}},
        {root, feature, 0, 1, 1, {OMNI_STEP_SCATTER}},
        {feature, all, 0, 1, 2, {OMNI_STEP_GATHER, OMNI_STEP_BROADCAST}},
        {feature, all, 1, 0, 1, {OMNI_STEP_ALL_GATHER}},
        {feature, root, 0, 0, 1, {OMNI_STEP_GATHER}},
        {feature, root, 1, 0, 1, {OMNI_STEP_COLLECT}},
        {feature, token, 0, 0, 1, {OMNI_STEP_ALL_GATHER}},
        {feature, head, 0, 0, 1, {OMNI_STEP_ALL_GATHER}},
        {head, feature, 0, 0, 0, {0}},
        {part, head, 0, 0, 2, {OMNI_STEP_REDUCE, OMNI_STEP_BROADCAST}},
        {part, head, 0, 1, 2, {OMNI_STEP_REDUCE, OMNI_STEP_SCATTER}},
    };
    for (size_t i = 0; i < COUNT(want); i++) {
        omni_transform t = omni_transform_find(want[i].from, want[i].to, want[i].bus, want[i].scatter);
        cr_expect_eq(t.count, want[i].count, "row %zu", i);
        for (size_t k = 0; k < t.count; k++)
            cr_expect_eq(t.step[k], want[i].step[k], "row %zu step %zu", i, k);
    }
}

Test(plan, token_shares_tile_and_stay_balanced_at_every_length) {
    for (size_t p = 1; p <= 9; p++)
        for (size_t sequence = 0; sequence < 12; sequence++)
            for (size_t length = 0; length < 40; length++) {
                size_t sum = 0, least = SIZE_MAX, most = 0;
                bool seen[40] = {false};
                for (size_t i = 0; i < p; i++) {
                    size_t n = omni_kv_tokens(OMNI_KV_TOKENS, p, i, sequence, length);
                    for (size_t k = 0; k < n; k++) {
                        size_t t = omni_kv_first(OMNI_KV_TOKENS, p, i, sequence) +
                                   k * omni_kv_stride(OMNI_KV_TOKENS, p);
                        cr_assert(t < length && !seen[t]);
                        seen[t] = true;
                        cr_assert_eq((t + sequence) % p, i);
                    }
                    sum += n;
                    least = n < least ? n : least;
                    most = n > most ? n : most;
                }
                cr_assert_eq(sum, length);
                cr_assert_leq(most - least, 1);
            }
}

Test(plan, key_value_heads_are_those_that_the_query_heads_use) {
    const omni_shape shape = {.heads = 12, .kv_heads = 4};
    for (size_t p = 1; p <= 20; p++)
        for (size_t i = 0; i < p; i++) {
            omni_range q = omni_split(shape.heads, p, i), kv = omni_kv_heads(OMNI_KV_HEADS, &shape, p, i);
            cr_assert_eq(kv.count == 0, q.count == 0);
            if (q.count) cr_assert_eq(kv.start, q.start / 3);
            if (q.count) cr_assert_eq(kv.start + kv.count - 1, (q.start + q.count - 1) / 3);
        }
}

/* --- every plan is proved --------------------------------------------------------------------- */

Test(plan, every_plan_on_every_number_of_pes_is_proved) {
    static const char *const suffix[] = {"", ":gather=bus", ":edge=scatter", ":gather=bus:edge=scatter"};
    char **list;
    size_t count, proved = 0;
    cr_assert_eq(omni_plan_list("workflow1/workflow2/megatron,all", &list, &count, NULL), OMNI_OK);
    for (size_t m = 0; m < COUNT(MODELS); m++) {
        omni_model *model = load(MODELS[m]);
        for (size_t i = 0; i < count * COUNT(suffix); i++) {
            char text[256];
            omni_plan_spec spec;
            const char *name = list[i / COUNT(suffix)];
            if (strcmp(name, "single") == 0 && i % COUNT(suffix)) continue;
            snprintf(text, sizeof text, "%s%s", name, suffix[i % COUNT(suffix)]);
            cr_assert_eq(omni_plan_parse(text, &spec, NULL), OMNI_OK, "%s", text);
            for (size_t k = 0; k < COUNT(SIZES); k++) {
                omni_error err = {0};
                if (strstr(name, "subheads") && SIZES[k] <= model->shape.heads) continue;
                omni_plan *plan = compile(model, text, SIZES[k]);
                cr_expect_eq(omni_plan_check(plan, 16, &err), OMNI_OK, "%s", err.text);
                omni_plan_free(plan);
                proved++;
            }
        }
        omni_model_free(model);
    }
    omni_plan_list_free(list, count);
    cr_expect_gt(proved, 5000);
}

/* The op that ends the last layer, whose norm may work in place. */
static const omni_op *last_op_of_an_encoder(const omni_plan *plan, const omni_step *s) {
    const omni_model *m = plan->model;
    bool last = m->shape.encoder && s->layer == (int)m->shape.layers - 1;
    return last ? &m->layer_ops[m->layer_op_count - 1] : NULL;
}

/* Plants one fault at each step of a plan; the prover must find it. */
static bool fault_found(const omni_model *m, const char *text, size_t pes, size_t at, int fault) {
    omni_plan *plan = compile(m, text, pes);
    omni_step *s = &plan->step[at];
    bool planted = true, message = omni_step_is_message(s);
    switch (fault) {
    case 0: /* the step is lost */
        planted = s->kind != OMNI_STEP_TAP && s->kind != OMNI_STEP_HOST_OUT && s->kind != OMNI_STEP_RESIDUAL;
        if (planted) memmove(s, s + 1, (--plan->step_count - at) * sizeof *s);
        break;
    case 1: /* the wrong rank writes or collects */
        planted = message && s->kind != OMNI_STEP_HOST_IN && s->kind != OMNI_STEP_ALL_GATHER;
        s->root = 1;
        break;
    case 2: /* a writer outside the piece */
        planted = message;
        s->root = pes;
        break;
    case 3: /* another stage's ranks do it */
        s->stage++;
        break;
    case 4: /* two values in one buffer; behind an encoder's last layer nobody else wants it */
        planted = (s->kind == OMNI_STEP_NORM || s->kind == OMNI_STEP_NORM_APPLY) &&
                  s->layer != OMNI_FINAL_LAYER && s->op != last_op_of_an_encoder(plan, s);
        if (planted) plan->value[s->out].storage = plan->value[s->in[0]].storage;
        break;
    case 5: /* a piece that does not exist */
        planted = message;
        s->cut = OMNI_CUT_BOUNDARY;
        break;
    case 6: /* half a message */
        planted = message && s->parts != 1 && plan->value[s->in[0] < 0 ? s->out : s->in[0]].parts == 3 &&
                  s->kind == OMNI_STEP_BROADCAST;
        s->parts = 1;
        break;
    default:
        planted = false;
    }
    bool found = !planted || omni_plan_check(plan, 16, NULL) == OMNI_RUN_FAILED;
    omni_plan_free(plan);
    return found;
}

static void plant_faults(const char *path) {
    static const char *const texts[] = {
        "megatron", "workflow1", "workflow2", "alternate", "workflow2:edge=scatter", "o=out:gather=bus"};
    omni_model *m = load(path);
    for (size_t t = 0; t < COUNT(texts); t++) {
        omni_plan *plan = compile(m, texts[t], 3);
        for (size_t at = 0; at < plan->step_count; at++)
            for (int fault = 0; fault < 7; fault++)
                cr_expect(fault_found(m, texts[t], 3, at, fault),
                          "%s, %s: fault %d at step %zu (%s) was not found", path, texts[t], fault, at,
                          omni_step_name(plan->step[at].kind));
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

Test(plan, the_prover_finds_planted_faults) {
    plant_faults(MODELS[0]);
    plant_faults("configs/demo/bert");
}

Test(plan, a_ring_that_cannot_hold_what_is_pinned_is_refused) {
    omni_model *m = load(MODELS[0]);
    omni_plan *plan = compile(m, "megatron", 2);
    cr_assert_eq(omni_plan_check(plan, 1, NULL), OMNI_RUN_FAILED);
    omni_plan_free(plan);
    omni_model_free(m);
}

/* --- counts ----------------------------------------------------------------------------------- */

static void count_phases(const omni_plan *plan, const json_t *lengths, size_t gen, omni_counters out[2]) {
    size_t n = json_array_size(lengths), first[8] = {0}, counts[8], tokens = 0;
    for (size_t i = 0; i < n; i++)
        tokens += counts[i] = (size_t)json_integer_value(json_array_get(lengths, i));
    omni_plan_count(plan, (omni_extent){.tokens = tokens, .sequences = n, .first = first, .counts = counts},
                    &out[0]);
    out[1] = (omni_counters){0};
    for (size_t step = 0; step + 1 < gen; step++) {
        omni_counters c;
        for (size_t i = 0; i < n; i++) first[i] += counts[i], counts[i] = 1;
        omni_plan_count(plan, (omni_extent){.tokens = n, .sequences = n, .first = first, .counts = counts},
                        &c);
        omni_counters_add(&out[1], &c);
    }
}

Test(plan, counts_are_those_derived_by_hand) {
    json_t *root = json_load_file("tests/golden/counts.json", 0, NULL), *c;
    size_t i;
    cr_assert_not_null(root);
    cr_assert_eq(json_array_size(json_object_get(root, "cases")), 120);
    json_array_foreach(json_object_get(root, "cases"), i, c) {
        char path[128];
        snprintf(path, sizeof path, "tests/golden/%s", json_string_value(json_object_get(c, "model")));
        omni_model *m = load(path);
        const char *text = json_string_value(json_object_get(c, "plan"));
        size_t pes = (size_t)json_integer_value(json_object_get(c, "pes"));
        omni_plan *plan = compile(m, text, pes);
        omni_counters got[2];
        count_phases(plan, json_object_get(c, "prompt_lengths"),
                     (size_t)json_integer_value(json_object_get(c, "gen")), got);
        for (size_t phase = 0; phase < 2; phase++) {
            json_t *want = json_object_get(c, phase ? "decode" : "prefill");
            for (size_t k = 0; k < OMNI_COUNTERS; k++)
                cr_expect_eq(omni_counters_get(&got[phase], k),
                             (uint64_t)json_integer_value(json_object_get(want, omni_counter_names[k])),
                             "%s %s n=%zu %s %s: %lu", path, text, pes, phase ? "decode" : "prefill",
                             omni_counter_names[k], (unsigned long)omni_counters_get(&got[phase], k));
        }
        omni_plan_free(plan);
        omni_model_free(m);
    }
    json_decref(root);
}

Test(plan, scattered_tokens_are_counted_where_they_go) {
    omni_model *m = load(MODELS[0]);
    omni_plan *plan = compile(m, "workflow2:edge=scatter", 3);
    size_t first[1] = {5}, counts[1] = {1};
    omni_counters c;
    omni_plan_count(plan, (omni_extent){.tokens = 1, .sequences = 1, .first = first, .counts = counts},
                    &c); /* position 5 of sequence 0 lives on rank 2 */
    omni_counters d;
    first[0] = 6; /* and position 6 on the root: nothing to send */
    omni_plan_count(plan, (omni_extent){.tokens = 1, .sequences = 1, .first = first, .counts = counts}, &d);
    cr_assert_eq(c.scatter_messages, d.scatter_messages + m->shape.layers);
    cr_assert_eq(c.addressed_bytes - d.addressed_bytes,
                 m->shape.layers * 2 * m->shape.kv_heads * m->shape.head_dim * 4);
    omni_plan_free(plan);
    omni_model_free(m);
}

/* --- explaining ------------------------------------------------------------------------------- */

static void expect_layers(const omni_model *m, const char *text, const int (*want)[3], size_t count) {
    omni_plan *plan = compile(m, text, 3);
    omni_explain *rows;
    size_t n, seen = 0;
    cr_assert_eq(omni_plan_explain(plan, &rows, &n, NULL), OMNI_OK);
    for (size_t i = 0; i < n; i++) {
        if (!rows[i].op || rows[i].layer < 0 || strcmp(rows[i].op->name, "qkv") != 0) continue;
        cr_assert_lt(seen, count, "%s", text);
        cr_expect_eq(rows[i].layer, want[seen][0], "%s", text);
        cr_expect_eq(rows[i].layers, (size_t)want[seen][1], "%s", text);
        cr_expect_eq(rows[i].stride, (size_t)want[seen][2], "%s", text);
        seen++;
    }
    cr_expect_eq(seen, count, "%s: %zu blocks", text, seen);
    omni_free(rows);
    omni_plan_free(plan);
}

/* {first layer, how many, how far apart} */
Test(plan, layers_that_do_the_same_are_one_block) {
    omni_model *m = load("configs/demo/llama");
    expect_layers(m, "single", (const int[][3]){{0, 4, 1}}, 1);
    expect_layers(m, "megatron", (const int[][3]){{0, 4, 1}}, 1);
    expect_layers(m, "alternate", (const int[][3]){{0, 2, 2}, {1, 2, 2}}, 2);
    expect_layers(m, "workflow1", (const int[][3]){{0, 1, 1}, {1, 3, 1}}, 2);
    omni_model_free(m);
}
