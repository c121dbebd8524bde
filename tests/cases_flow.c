/* cases_flow.c: whole runs. Checkpoint x plan x PEs against float64 truth, real counters against the
 * plan's. How the engine behaves while it runs is cases_engine.c.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases_flow.h"
#include "omnibus/kernel.h"

static const size_t PES[PES_COUNT] = PES_LIST;

/* --- what every case needs -------------------------------------------------------------------- */

const char *flow_close(flow *f, const char *bad) {
    omni_plan_free(f->plan);
    omni_truth_free(f->truth);
    omni_topo_close(f->topo);
    omni_weights_close(f->weights);
    omni_model_free(f->model);
    return bad;
}

const char *flow_open(flow *f, const char *dir) {
    char golden[1024];
    memset(f, 0, sizeof *f);
    snprintf(golden, sizeof golden, "%s/golden.safetensors", dir);
    bool ok = omni_kernel_init(&f->err) == OMNI_OK && omni_model_load(dir, &f->model, &f->err) == OMNI_OK &&
              omni_weights_open_dir(dir, &f->weights, &f->err) == OMNI_OK &&
              omni_topo_open(NULL, NULL, &f->topo, &f->err) == OMNI_OK;
    if (ok) omni_bind_heads(f->model, f->weights);
    ok = ok && omni_truth_load(golden, f->model, &f->truth, &f->err) == OMNI_OK;
    return ok ? NULL : verdict("%s: %s", dir, f->err.text);
}

bool flow_plan(flow *f, const char *text, size_t pes) {
    omni_plan_spec spec;
    omni_plan_free(f->plan);
    f->plan = NULL;
    return omni_plan_parse(text, &spec, &f->err) == OMNI_OK &&
           omni_plan_compile(f->model, &spec, pes, &f->plan, &f->err) == OMNI_OK;
}

omni_engine_options flow_options(flow *f) {
    return (omni_engine_options){
        .model = f->model, .weights = f->weights, .plan = f->plan, .topo = f->topo, .stop = &f->stop};
}

/* --- against the truth ------------------------------------------------------------------------ */

static const char *check_one(flow *f, const char *text, size_t pes, size_t workers, size_t *ran) {
    omni_check_result r;
    omni_error err = {0};
    f->err = err;
    if (!flow_plan(f, text, pes)) /* one that does not fit is skipped */
        return f->err.status == OMNI_BAD_INPUT ? NULL : verdict("%s on %zu PEs: %s", text, pes, f->err.text);
    ++*ran;
    omni_engine_options o = flow_options(f);
    o.workers = workers;
    if (omni_check_case(&o, f->truth, &r, &err) != OMNI_OK)
        return verdict("%s on %zu PEs: %s", text, pes, err.text);
    bool decides = !f->model->shape.encoder || f->model->heads & OMNI_HEAD_MLM;
    if (decides && r.argmax_compared == 0)
        return verdict("%s on %zu PEs: no arg-max was compared", text, pes);
    return r.passed ? NULL : verdict("%s on %zu PEs: %s", text, pes, r.first_bad);
}

/* Every plan of the list that is built, on every number of PEs. */
const char *flow_check_list(flow *f, const char *plans, size_t thin, size_t least) {
    char **list;
    size_t count, ran = 0;
    const char *bad = NULL;
    if (omni_plan_list(plans, &list, &count, &f->err) != OMNI_OK) return verdict("%s", f->err.text);
    for (size_t i = 0; i < count && !bad; i += thin) {
        omni_plan_spec spec;
        if (omni_plan_parse(list[i], &spec, &f->err) != OMNI_OK) bad = verdict("%s", f->err.text);
        for (size_t k = 0; k < PES_COUNT && !bad; k++)
            bad = check_one(f, list[i], PES[k], PES[k] < 3 ? PES[k] : 2 + k % 2, &ran);
    }
    omni_plan_list_free(list, count);
    return bad || ran >= least ? bad : verdict("only %zu cases ran", ran);
}

const char *flow_check_all(flow *f) {
    const char *bad = flow_check_list(f, FIVE_PLANS, 1, 5 * PES_COUNT);
    return bad ? bad : flow_check_list(f, "all", THIN, 30 / THIN * PES_COUNT);
}

static const char *check_checkpoint(const char *dir, const char *plans) {
    flow f;
    const char *bad = flow_open(&f, dir);
    if (!bad) bad = plans ? flow_check_list(&f, plans, 1, PES_COUNT) : flow_check_all(&f);
    return flow_close(&f, bad);
}

static const char *golden_llama_gqa(void) {
    return check_checkpoint("tests/golden/llama-tiny-gqa", NULL);
}
static const char *golden_llama_mha(void) {
    return check_checkpoint("tests/golden/llama-tiny-mha", NULL);
}
static const char *golden_gpt2(void) {
    return check_checkpoint("tests/golden/gpt2-tiny", NULL);
}
static const char *golden_bert(void) {
    return check_checkpoint("tests/golden/bert-tiny", NULL);
}
static const char *demo_llama(void) {
    return check_checkpoint("configs/demo/llama", LONG_PLANS);
}
static const char *demo_gpt2(void) {
    return check_checkpoint("configs/demo/gpt2", LONG_PLANS);
}

static const char *demo_bert(void) {
    return check_checkpoint("configs/demo/bert", LONG_PLANS);
}

/* The other ways to gather and to hand out, and longer cycles. */
static const char *gather_and_edge(void) {
    static const char *const plans =
        "workflow1:gather=bus,workflow2:edge=scatter,alternate:gather=bus:edge=scatter,o=out:gather=bus,qkv="
        "in:edge=scatter,"
        "qkv=out:attn=tokens:o=out:ffn=out+out:gather=bus,qkv=in:attn=tokens:o=in:ffn=in+in:edge=scatter,"
        "workflow1/workflow2/megatron,qkv=in:o=out:ffn=in+in:edge=scatter/workflow1:gather=bus";
    const char *bad = check_checkpoint("tests/golden/llama-tiny-gqa", plans);
    if (!bad && THIN == 1) bad = check_checkpoint("tests/golden/gpt2-tiny", plans);
    return bad || THIN > 1 ? bad : check_checkpoint("configs/demo/bert", plans);
}

static const char *story_llama(void) {
    const char *dir = shared_path("golden/story-llama");
    return dir ? check_checkpoint(dir, LONG_PLANS) : "SKIP: ../shared/golden/story-llama is absent";
}

/* --- counters --------------------------------------------------------------------------------- */

static bool equals_json(const omni_counters *c, const json_t *want) {
    for (size_t k = 0; k < OMNI_COUNTERS; k++)
        if (omni_counters_get(c, k) !=
            (uint64_t)json_integer_value(json_object_get(want, omni_counter_names[k])))
            return false;
    return true;
}

/* Generates greedily from arbitrary prompts of the given lengths. */
static const char *count_run(flow *f, const size_t *lengths, size_t n, size_t gen, const char *fabric,
                             omni_counters out[2]) {
    omni_engine *e;
    size_t capacity[4], counts[4], tokens = 0;
    int32_t ids[64], next[4];
    omni_counters before = {0}, now;
    for (size_t i = 0; i < n; i++) tokens += counts[i] = lengths[i], capacity[i] = lengths[i] + gen - 1;
    for (size_t i = 0; i < tokens; i++) ids[i] = (int32_t)(i * 7 % 200);
    omni_engine_options o = flow_options(f);
    o.sequences = n;
    o.capacity = capacity;
    o.max_tokens = tokens;
    o.fabric = fabric;
    if (omni_engine_create(&o, &e, &f->err) != OMNI_OK) return verdict("%s", f->err.text);
    const char *bad = NULL;
    for (size_t step = 0; step < gen && !bad; step++) {
        if (omni_engine_forward(e, ids, counts, next, &f->err) != OMNI_OK) bad = verdict("%s", f->err.text);
        if (step == 0) omni_engine_counters(e, &before);
        memcpy(ids, next, n * sizeof *next);
        for (size_t i = 0; i < n; i++) counts[i] = 1;
    }
    omni_engine_counters(e, &now);
    out[0] = before;
    out[1] = omni_counters_between(&before, &now);
    omni_engine_free(e);
    return bad;
}

static const char *count_case(const json_t *c, const char *fabric) {
    char dir[256];
    flow f;
    size_t lengths[4], n = json_array_size(json_object_get(c, "prompt_lengths"));
    size_t pes = (size_t)json_integer_value(json_object_get(c, "pes")),
           gen = (size_t)json_integer_value(json_object_get(c, "gen"));
    const char *plan = json_string_value(json_object_get(c, "plan"));
    for (size_t i = 0; i < n; i++)
        lengths[i] = (size_t)json_integer_value(json_array_get(json_object_get(c, "prompt_lengths"), i));
    snprintf(dir, sizeof dir, "tests/golden/%s", json_string_value(json_object_get(c, "model")));
    const char *bad = flow_open(&f, dir);
    omni_counters got[2];
    if (!bad && !flow_plan(&f, plan, pes)) bad = verdict("%s", f.err.text);
    if (!bad) bad = count_run(&f, lengths, n, gen, fabric, got);
    for (size_t phase = 0; phase < 2 && !bad; phase++)
        if (!equals_json(&got[phase], json_object_get(c, phase ? "decode" : "prefill")))
            bad = verdict("%s, %s on %zu PEs, %s fabric: counters of the %s differ", dir, plan, pes, fabric,
                          phase ? "decode" : "prefill");
    return flow_close(&f, bad);
}

static const char *counts_of(const char *fabric) {
    json_t *root = json_load_file("tests/golden/counts.json", 0, NULL), *c;
    const char *bad = root ? NULL : "tests/golden/counts.json cannot be read";
    size_t i, ran = 0;
    json_array_foreach(json_object_get(root, "cases"), i, c) {
        if (!bad && i % THIN == 0) bad = count_case(c, fabric), ran++;
    }
    json_decref(root);
    return bad || ran >= 120 / THIN ? bad : "too few cases";
}

static const char *counters_of_a_run(void) {
    return counts_of("shm");
}
static const char *counters_of_the_null_fabric(void) {
    return counts_of("null");
}

/* What a real run counts is what the plan says, for the plans that counts.json does not have. */
static const char *counters_of_other_plans(void) {
    static const char *const plans[] = {"qkv=out:attn=tokens:o=out:ffn=out+out",
                                        "qkv=in:attn=heads:o=out:ffn=in+in:edge=scatter",
                                        "workflow1:gather=bus",
                                        "workflow2:edge=scatter",
                                        "alternate:gather=bus:edge=scatter",
                                        "qkv=out:attn=tokens:gather=bus"};
    static const size_t lengths[] = {3, 1, 6};
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(plans) && !bad; i++) {
        for (size_t k = 0; k < PES_COUNT && !bad; k++) {
            omni_counters got[2], want[2] = {{0}, {0}};
            size_t first[3] = {0}, counts[3], gen = 4;
            if (!flow_plan(&f, plans[i], PES[k])) bad = verdict("%s", f.err.text);
            if (!bad) bad = count_run(&f, lengths, 3, gen, "shm", got);
            memcpy(counts, lengths, sizeof counts);
            for (size_t step = 0; step < gen && !bad; step++) {
                omni_counters c;
                omni_plan_count(f.plan,
                                (omni_extent){.tokens = counts[0] + counts[1] + counts[2],
                                              .sequences = 3,
                                              .first = first,
                                              .counts = counts},
                                &c);
                omni_counters_add(&want[step > 0], &c);
                for (size_t q = 0; q < 3; q++) first[q] += counts[q], counts[q] = 1;
            }
            for (size_t phase = 0; phase < 2 && !bad; phase++)
                if (!omni_counters_equal(&got[phase], &want[phase]))
                    bad = verdict("%s on %zu PEs: phase %zu differs", plans[i], PES[k], phase);
        }
    }
    return flow_close(&f, bad);
}

static const omni_case cases[] = {
    {"golden_llama_gqa", golden_llama_gqa},
    {"golden_llama_mha", golden_llama_mha},
    {"golden_gpt2", golden_gpt2},
    {"golden_bert", golden_bert},
    {"demo_llama", demo_llama},
    {"demo_gpt2", demo_gpt2},
    {"demo_bert", demo_bert},
    {"gather_and_edge", gather_and_edge},
    {"story_llama", story_llama},
    {"counters_of_a_run", counters_of_a_run},
    {"counters_of_the_null_fabric", counters_of_the_null_fabric},
    {"counters_of_other_plans", counters_of_other_plans},
};
const omni_case_table cases_flow = {"flow", cases, COUNT(cases)};
