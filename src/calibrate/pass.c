/* pass.c: passes of the engine, as `run` and `bench` do them, with a Llama of random weights that is made in
 * memory; and what the same plan is predicted to take.
 */
#include <math.h>
#include <stdio.h>

#include "calibrate/internal.h"
#include "omnibus/pe.h"
#include "omnibus/plan.h"

enum { VOCAB = 256, SEQUENCES = 4, LEAST = 3, MOST = 64 };

static const char config[] =
    "{\"model_type\": \"llama\", \"hidden_act\": \"silu\", \"num_hidden_layers\": %zu, \"hidden_size\": %zu,"
    " \"intermediate_size\": %zu, \"num_attention_heads\": %zu, \"num_key_value_heads\": %zu,"
    " \"vocab_size\": %d, \"max_position_embeddings\": 2048, \"torch_dtype\": \"%s\"}";

typedef struct opened {
    const passing *p;
    omni_model *model;
    omni_weights *weights;
    omni_plan *plan;
    omni_engine *engine;
    int32_t *ids;             /* [sequences * prompt] */
    size_t counts[SEQUENCES]; /* of the pass at hand */
} opened;

static omni_status open_plan(opened *o, omni_error *err) {
    const passing *p = o->p;
    char text[512];
    omni_plan_spec spec;
    int length = snprintf(text, sizeof text, config, p->layers, p->hidden, p->ffn, p->heads, p->heads, VOCAB,
                          p->dtype == OMNI_BF16 ? "bfloat16" : "float32");
    omni_status status = omni_model_parse(text, (size_t)length, "calibrate", &o->model, err);
    if (!status) status = omni_plan_parse(p->plan, &spec, err);
    return status ? status : omni_plan_compile(o->model, &spec, p->pes, &o->plan, err);
}

static omni_status open_weights(opened *o, omni_error *err) {
    omni_random_spec *spec;
    size_t count;
    omni_status status = omni_random_specs(o->model, o->p->dtype, &spec, &count, err);
    if (status) return status;
    status = omni_weights_open_random(spec, count, 1, &o->weights, err);
    omni_free(spec);
    return status;
}

static omni_status open_engine(opened *o, omni_error *err) {
    const passing *p = o->p;
    size_t capacity[SEQUENCES], tokens = p->sequences * p->prompt, parallel = omni_topo_parallel(p->o->topo);
    for (size_t i = 0; i < p->sequences; i++) capacity[i] = p->prompt + 1;
    omni_engine_options e = {.model = o->model,
                             .weights = o->weights,
                             .plan = o->plan,
                             .topo = p->o->topo,
                             .workers = p->pes < parallel ? p->pes : parallel,
                             .sequences = p->sequences,
                             .capacity = capacity,
                             .max_tokens = tokens,
                             .stop = p->o->stop};
    o->ids = omni_alloc_array(tokens, sizeof *o->ids);
    if (!o->ids) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for a prompt");
    for (size_t i = 0; i < tokens; i++) o->ids[i] = (int32_t)(i * 31 % VOCAB);
    return omni_engine_create(&e, &o->engine, err);
}

static void close_all(opened *o) {
    omni_engine_free(o->engine);
    omni_plan_free(o->plan);
    if (o->weights) omni_weights_close(o->weights);
    if (o->model) omni_model_free(o->model);
    omni_free(o->ids);
}

static void set_counts(opened *o, bool decode) {
    for (size_t i = 0; i < o->p->sequences; i++) o->counts[i] = decode ? 1 : o->p->prompt;
}

/* The median of passes, the first of which is not taken. Every decode step is at the same position: behind
 * the prompt. */
static omni_status time_passes(opened *o, bool decode, uint64_t budget_ns, double *ns, omni_error *err) {
    int32_t next[SEQUENCES];
    double sample[MOST];
    uint64_t begin = omni_clock_ns();
    omni_status status = OMNI_OK;
    size_t taken = 0;
    set_counts(o, decode);
    for (size_t run = 0; !status && run <= MOST; run++) {
        if (taken >= LEAST && omni_clock_ns() - begin > budget_ns) break;
        omni_engine_rewind(o->engine, decode ? o->p->prompt : 0);
        uint64_t start = omni_clock_ns();
        status = omni_engine_forward(o->engine, o->ids, o->counts, next, err);
        if (run > 0) sample[taken++] = (double)(omni_clock_ns() - start);
    }
    if (!status) *ns = omni_median(sample, taken);
    return status;
}

omni_status passing_measure(const passing *p, uint64_t budget_ns, double ns[OMNI_RATES_PASSES],
                            omni_error *err) {
    opened o = {.p = p};
    omni_status status = open_plan(&o, err);
    if (!status) status = open_weights(&o, err);
    if (!status) status = open_engine(&o, err);
    if (!status) status = time_passes(&o, false, budget_ns, &ns[OMNI_RATES_PREFILL], err);
    if (!status) status = time_passes(&o, true, budget_ns, &ns[OMNI_RATES_DECODE], err);
    close_all(&o);
    return status;
}

omni_status passing_predict(const passing *p, const omni_rates *rates, double ns[OMNI_RATES_PASSES],
                            omni_error *err) {
    opened o = {.p = p};
    omni_status status = open_plan(&o, err);
    for (size_t k = 0; k < OMNI_RATES_PASSES && !status; k++) {
        bool decode = k == OMNI_RATES_DECODE;
        size_t first[SEQUENCES];
        omni_price price;
        set_counts(&o, decode);
        for (size_t i = 0; i < p->sequences; i++) first[i] = decode ? p->prompt : 0;
        omni_extent pass = {.tokens = p->sequences * o.counts[0],
                            .sequences = p->sequences,
                            .first = first,
                            .counts = o.counts};
        status = omni_price_rates(rates, o.plan, pass, &price, err);
        if (!status) ns[k] = (double)price.ps * 1e-3;
    }
    close_all(&o);
    return status;
}
