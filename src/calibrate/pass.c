/* pass.c: passes of the engine, as `run` and `bench` do them, with a Llama of random weights that is made in memory;
 * and what the same plan is predicted to take. Also the two fixed times that only an engine shows: a pass's, a step's.
 */
#include <math.h>
#include <stdio.h>

#include "calibrate/internal.h"
#include "omnibus/pe.h"
#include "omnibus/plan.h"

enum { BUDGET_NS = 400000000, LEAST = 5, VOCAB = 256, MOST_STEPS = 64 };

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
    int32_t *ids;
} opened;

static omni_status open_model(opened *o, omni_error *err) {
    const passing *p = o->p;
    char text[512];
    omni_random_spec *spec;
    size_t count;
    int length = snprintf(text, sizeof text, config, p->layers, p->hidden, p->ffn, p->heads, p->kv_heads,
                          VOCAB, p->dtype == OMNI_BF16 ? "bfloat16" : "float32");
    omni_status status = omni_model_parse(text, (size_t)length, "calibrate", &o->model, err);
    if (!status) status = omni_random_specs(o->model, p->dtype, &spec, &count, err);
    if (status) return status;
    status = omni_weights_open_random(spec, count, 1, &o->weights, err);
    omni_free(spec);
    return status;
}

static omni_status open_engine(opened *o, omni_error *err) {
    const passing *p = o->p;
    omni_plan_spec spec;
    size_t capacity = p->prompt + MOST_STEPS;
    omni_status status = open_model(o, err);
    if (!status) status = omni_plan_parse(p->plan, &spec, err);
    if (!status) status = omni_plan_compile(o->model, &spec, p->pes, &o->plan, err);
    if (status) return status;
    omni_engine_options e = {.model = o->model,
                             .weights = o->weights,
                             .plan = o->plan,
                             .topo = p->o->topo,
                             .sequences = 1,
                             .capacity = &capacity,
                             .max_tokens = p->prompt,
                             .stop = p->o->stop};
    size_t parallel = omni_topo_parallel(p->o->topo);
    e.workers = p->pes < parallel ? p->pes : parallel;
    o->ids = omni_alloc_array(p->prompt, sizeof *o->ids);
    if (!o->ids) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for a prompt");
    for (size_t i = 0; i < p->prompt; i++) o->ids[i] = (int32_t)(i * 31 % VOCAB);
    return omni_engine_create(&e, &o->engine, err);
}

static void close_engine(opened *o) {
    omni_engine_free(o->engine);
    omni_plan_free(o->plan);
    if (o->weights) omni_weights_close(o->weights);
    if (o->model) omni_model_free(o->model);
    omni_free(o->ids);
}

/* Every decode step is at the same position: the first behind the prompt. */
static omni_status run_passes(opened *o, samples *s, omni_error *err) {
    size_t all = o->p->prompt, one = 1;
    int32_t next;
    uint64_t begin = 0;
    omni_status status = o->p->decode ? omni_engine_forward(o->engine, o->ids, &all, &next, err) : OMNI_OK;
    for (size_t run = 0; !status && samples_go(s, o->p->o->stop, begin, BUDGET_NS, LEAST); run++) {
        omni_engine_rewind(o->engine, o->p->decode ? all : 0);
        uint64_t start = omni_clock_ns();
        status = omni_engine_forward(o->engine, o->ids, o->p->decode ? &one : &all, &next, err);
        uint64_t end = omni_clock_ns();
        if (run == 0) begin = end;
        if (run > 0 && !status) samples_add(s, (double)(end - start));
    }
    return status;
}

static omni_status predict(const opened *o, const omni_rates *rates, double *ns, omni_error *err) {
    size_t first = o->p->decode ? o->p->prompt : 0, count = o->p->decode ? 1 : o->p->prompt;
    omni_extent pass = {.tokens = count, .sequences = 1, .first = &first, .counts = &count};
    omni_price price;
    omni_status status = omni_price_rates(rates, o->plan, pass, &price, err);
    if (!status) *ns = (double)price.ps * 1e-3;
    return status;
}

omni_status passing_measure(const passing *p, const omni_rates *rates, spread *wall, double *predicted_ns,
                            omni_error *err) {
    opened o = {.p = p};
    samples *s = omni_alloc(sizeof *s);
    omni_status status = s ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "no memory to time passes");
    if (!status) status = open_engine(&o, err);
    if (!status) status = run_passes(&o, s, err);
    if (!status) *wall = samples_spread(s, 1);
    if (!status && rates) status = predict(&o, rates, predicted_ns, err);
    close_engine(&o);
    omni_free(s);
    return status;
}
