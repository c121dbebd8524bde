/* run_report.c: what a run found, as JSON and as a page. Wall times are this host's; load is apart from the
 * phases.
 */
#include <math.h>
#include <stdio.h>

#include "run.h"

static double seconds(uint64_t ns) {
    return (double)ns * 1e-9;
}

/* NaN when the phase did not take place. */
static double rate(size_t tokens, uint64_t ns) {
    return ns ? (double)tokens / seconds(ns) : NAN;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *ids_json(const int32_t *ids, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) cli_append(&list, json_integer(ids[i]));
    return list;
}

static json_t *array_json(const run *r) {
    json_t *object = json_object(), *cpus = json_array();
    size_t workers = omni_engine_workers(r->engine);
    for (size_t w = 0; w < workers; w++) cli_append(&cpus, cli_size(omni_engine_cpu(r->engine, w)));
    cli_set(&object, "pes", cli_size(r->pes));
    cli_set(&object, "workers", cli_size(workers));
    cli_set(&object, "cpus", cpus);
    return object;
}

static json_t *plan_json(const run *r) {
    json_t *object = json_object();
    cli_set(&object, "name", omni_json_string(r->spec.name));
    cli_set(&object, "decode_name",
            omni_json_string(!r->decode_plan                         ? r->spec.name
                             : cli_value(r->c, OMNI_OPT_DECODE_PLAN) ? cli_value(r->c, OMNI_OPT_DECODE_PLAN)
                                                                     : r->decode_plan->spec[0].name));
    cli_set(&object, "resident", r->decode_plan ? json_boolean(r->resident) : json_null());
    cli_set(&object, "methods", cli_methods_json(&r->spec));
    return object;
}

static json_t *timing_json(const run *r) {
    json_t *object = json_object();
    cli_set(&object, "load_s", omni_json_number(seconds(r->load_ns)));
    cli_set(&object, "prefill_s", omni_json_number(seconds(r->prefill_ns)));
    cli_set(&object, "transform_s", omni_json_number(seconds(r->transform_ns)));
    cli_set(&object, "decode_s", omni_json_number(seconds(r->decode_ns)));
    cli_set(&object, "prefill_tokens_per_s", omni_json_number(rate(r->prompts.tokens, r->prefill_ns)));
    cli_set(&object, "decode_tokens_per_s", omni_json_number(rate(r->decoded, r->decode_ns)));
    return object;
}

static json_t *fabric_json(const run *r) {
    json_t *object = json_object();
    cli_set(&object, "prefill", omni_json_counters(&r->prefill));
    cli_set(&object, "decode", omni_json_counters(&r->decode));
    cli_set(&object, "transform", omni_json_counters(&r->transform));
    cli_set(&object, "total", omni_json_counters(&r->total));
    return object;
}

static json_t *memory_json(const run *r) {
    json_t *ranks = json_array();
    for (size_t i = 0; i < r->pes; i++) {
        omni_memory m;
        omni_engine_memory(r->engine, i, &m);
        cli_append(&ranks, cli_memory_json(&m));
    }
    return ranks;
}

static json_t *build(const run *r) {
    json_t *root = cli_envelope(r->c), *given = json_array(), *tokens = json_array();
    for (size_t i = 0; i < r->prompts.count; i++) {
        cli_append(&given, ids_json(r->prompts.ids[i], r->prompts.length[i]));
        cli_append(&tokens, ids_json(r->token + i * r->gen, r->generated[i]));
    }
    cli_set(&root, "model", cli_model_json(r->c->model));
    cli_set(&root, "array", array_json(r));
    cli_set(&root, "plan", plan_json(r));
    cli_set(&root, "prompts", given);
    cli_set(&root, "tokens", tokens);
    text_json(r, &root);
    if (r->c->model->shape.encoder) encode_json(r, &root);
    cli_set(&root, "timing", timing_json(r));
    modelled_json(r, &root);
    cli_set(&root, "fabric", fabric_json(r));
    cli_set(&root, "memory", memory_json(r));
    cli_set(&root, "perf", cli_perf_json(&r->perf));
    return root;
}

/* --- page ------------------------------------------------------------------------------------- */

void run_draw_head(const run *r, omni_text *page) {
    const omni_shape *s = &r->c->model->shape;
    size_t workers = omni_engine_workers(r->engine);
    char methods[512];
    omni_text_add(page,
                  "model  %s: %s, %zu layers, hidden %zu, %zu heads, %zu kv heads, ffn %zu, vocabulary %zu\n",
                  r->c->model->name, r->c->model->family, s->layers, s->hidden, s->heads, s->kv_heads, s->ffn,
                  s->vocab);
    omni_text_add(page, "array  %zu PE%s on %zu worker%s, cpu%s ", r->pes, r->pes == 1 ? "" : "s", workers,
                  workers == 1 ? "" : "s", workers == 1 ? "" : "s");
    for (size_t w = 0; w < workers; w++)
        omni_text_add(page, "%s%u", w ? "," : "", omni_engine_cpu(r->engine, w));
    omni_text_add(page, "\nplan   %s: %s\n", r->spec.name,
                  cli_methods_text(&r->spec, methods, sizeof methods));
    for (size_t i = 0; r->decode_plan && i < r->decode_plan->count; i++) {
        const omni_plan_spec *d = &r->decode_plan->spec[i];
        omni_text_add(page, "decode %s", d->name);
        if (r->decode_plan->from[i]) omni_text_add(page, " from position %zu on", r->decode_plan->from[i]);
        omni_text_add(page, ": %s\n", cli_methods_text(d, methods, sizeof methods));
    }
    omni_text_add(page, "\n");
}

static void draw_tokens(const run *r, omni_text *page) {
    omni_table *t = omni_table_create((const char *const[]){">sequence", ">prompt", ">new", "tokens"}, 4);
    for (size_t i = 0; i < r->prompts.count; i++) {
        omni_text *ids = omni_text_create();
        for (size_t k = 0; k < r->generated[i]; k++)
            omni_text_add(ids, "%s%d", k ? "," : "", (int)r->token[i * r->gen + k]);
        omni_table_cell(t, "%zu", i);
        omni_table_cell(t, "%zu", r->prompts.length[i]);
        omni_table_cell(t, "%zu", r->generated[i]);
        omni_table_cell(t, "%s", omni_text_string(ids));
        omni_text_free(ids);
    }
    omni_table_draw(t, page);
    omni_table_free(t);
    omni_text_add(page, "\n");
}

/* Text speaks for itself; ids are for who gave ids. */
static void draw_generated(const run *r, omni_text *page) {
    if (r->spoken.tokenizer)
        text_draw(r, page);
    else
        draw_tokens(r, page);
}

/* A time without tokens is a load's, and has no rate. */
static void add_phase(omni_table *t, const char *name, size_t tokens, uint64_t ns) {
    char count[32] = "", speed[32] = "";
    if (tokens) snprintf(count, sizeof count, "%zu", tokens);
    if (tokens && ns) snprintf(speed, sizeof speed, "%.1f", rate(tokens, ns));
    omni_table_cell(t, "%s", name);
    omni_table_cell(t, "%s", count);
    omni_table_cell(t, "%.4f s", seconds(ns));
    omni_table_cell(t, "%s", speed);
}

static void draw_timing(const run *r, omni_text *page) {
    omni_table *t =
        omni_table_create((const char *const[]){"wall clock", ">tokens", ">time", ">tokens/s"}, 4);
    add_phase(t, "load", 0, r->load_ns);
    bool encoder = r->c->model->shape.encoder;
    add_phase(t, encoder ? "encode" : "prefill", r->prompts.tokens, r->prefill_ns);
    if (r->decode_plan) add_phase(t, "transform", 0, r->transform_ns);
    if (!encoder) add_phase(t, "decode", r->decoded, r->decode_ns);
    omni_table_draw(t, page);
    omni_table_free(t);
    omni_text_add(page, "\n");
}

static void draw_fabric(const run *r, omni_text *page) {
    bool encoder = r->c->model->shape.encoder, changes = r->decode_plan != NULL;
    const omni_counters *phase[] = {&r->prefill, &r->decode, changes ? &r->transform : &r->total, &r->total};
    size_t columns = encoder ? 1 : changes ? 4 : 3;
    omni_table *t =
        omni_table_create((const char *const[]){"fabric", encoder ? ">encode" : ">prefill", ">decode",
                                                changes ? ">transform" : ">total", ">total"},
                          1 + columns);
    for (size_t i = 0; i < OMNI_COUNTERS; i++) {
        omni_table_cell(t, "%s", omni_counter_names[i]);
        for (size_t k = 0; k < columns; k++)
            omni_table_cell(t, "%llu", (unsigned long long)omni_counters_get(phase[k], i));
    }
    omni_table_draw(t, page);
    omni_table_free(t);
    omni_text_add(page, "\n");
}

static void draw_memory(const run *r, omni_text *page) {
    omni_memory *ranks = omni_alloc_array(r->pes, sizeof *ranks);
    for (size_t i = 0; ranks && i < r->pes; i++) omni_engine_memory(r->engine, i, &ranks[i]);
    if (ranks) cli_draw_memory(ranks, r->pes, page);
    omni_free(ranks);
}

static void draw_perf(const run *r, omni_text *page) {
    if (r->perf.workers == 0) return;
    omni_table *t = cli_perf_table();
    cli_perf_rows(&r->perf, r->c->model->shape.encoder ? "encode" : "prefill", "", t);
    omni_text_add(page, "\n");
    omni_table_draw(t, page);
    cli_perf_reasons(&r->perf, page);
    omni_table_free(t);
}

omni_status run_report(run *r, omni_error *err) {
    json_t *root = build(r);
    omni_text *page = omni_text_create();
    if (!r->spoken.live) run_draw_head(r, page);
    if (r->c->model->shape.encoder)
        encode_draw(r, page);
    else
        draw_generated(r, page);
    draw_timing(r, page);
    modelled_draw(r, page);
    draw_fabric(r, page);
    draw_memory(r, page);
    draw_perf(r, page);
    return cli_emit(r->c, root, root, page, err);
}
