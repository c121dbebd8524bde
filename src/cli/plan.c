/* plan.c: `omnibus plan`: what plans move, counted from their steps without running anything.
 *
 *   situations  plans x PEs x batch x prompt x gen     (with --explain: one plan; with --diff: two at once)
 *   each        compile -> count prefill, a decode step, all decode steps -> a row, or its ops
 *               (plan_explain.c), or what differs (plan_diff.c)
 *
 * What cannot be built is a row that says why. With weights at hand the memory of every PE is laid out too,
 * by the engine's own rule.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "omnibus/kernel.h"
#include "plan.h"

/* The lists whose product is taken. */
typedef struct lists {
    omni_plan_spec *spec;
    size_t specs;
    bool pair; /* the two plans are compared */
    struct {
        size_t *value, count;
    } pes, batch, prompt, gen;
} lists;

enum { MOST_SEQUENCES = 65536, MOST_TOKENS = 1 << 24 };

/* --- one situation ---------------------------------------------------------------------------- */

omni_extent situation_extent(const situation *s, size_t step) {
    for (size_t i = 0; i < s->batch; i++) {
        s->first[i] = step ? s->prompt + step - 1 : 0;
        s->counts[i] = step ? 1 : s->prompt;
    }
    return (omni_extent){.tokens = s->batch * (step ? 1 : s->prompt),
                         .sequences = s->batch,
                         .marks = s->marks,
                         .first = s->first,
                         .counts = s->counts};
}

static omni_status count(situation *s, omni_error *err) {
    omni_status status = OMNI_OK;
    omni_plan_count(s->plan, situation_extent(s, 0), &s->prefill);
    if (!s->encoder) omni_plan_count(s->plan, situation_extent(s, 1), &s->step);
    for (size_t step = 1; !status && step < s->gen; step++) {
        omni_counters one;
        omni_plan_count(s->plan, situation_extent(s, step), &one);
        omni_counters_add(&s->decode, &one);
        status = cli_stopped(err);
    }
    return status;
}

/* By the engine's own layout; needs the weights, for their types. */
static omni_status lay_out_memory(const cli *c, situation *s, omni_error *err) {
    size_t *capacity = omni_alloc_array(s->batch, sizeof *capacity);
    omni_status status = OMNI_OK;
    s->memory = omni_alloc_array(s->pes, sizeof *s->memory);
    if (!capacity || !s->memory)
        status = omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu PEs", s->pes);
    for (size_t i = 0; capacity && i < s->batch; i++) capacity[i] = s->prompt + s->gen - 1;
    omni_engine_options o = {.model = c->model,
                             .weights = c->weights,
                             .plan = s->plan,
                             .sequences = s->batch,
                             .capacity = capacity,
                             .max_tokens = s->batch * s->prompt,
                             .max_marks = s->marks};
    for (size_t r = 0; !status && r < s->pes; r++) {
        status = omni_engine_plan_memory(&o, r, &s->memory[r], err);
        if (!status) status = cli_stopped(err);
    }
    omni_free(capacity);
    return status;
}

static omni_status compile(const cli *c, situation *s, omni_error *err) {
    size_t positions = c->model->shape.positions;
    if (s->encoder && s->gen > 1)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s models are encoders: there is no decode phase (expected --gen 1)",
                              c->model->family);
    if (s->prompt + s->gen - 1 > positions)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "%zu prompt tokens and %zu to generate (expected to fit the model's %zu positions)", s->prompt,
            s->gen, positions);
    return omni_plan_compile(c->model, s->spec, s->pes, &s->plan, err);
}

static omni_status situation_open(const cli *c, situation *s, omni_error *err) {
    omni_error why = {0};
    omni_status status = compile(c, s, &why);
    if (status == OMNI_BAD_INPUT) {
        snprintf(s->skipped, sizeof s->skipped, "%.*s", (int)sizeof s->skipped - 1,
                 cli_reason(s->spec, why.text));
        return OMNI_OK;
    }
    if (status) return omni_error_set(err, status, "%s", why.text);
    s->first = omni_alloc_array(s->batch, sizeof *s->first);
    s->counts = omni_alloc_array(s->batch, sizeof *s->counts);
    if (!s->first || !s->counts)
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", s->batch);
    status = count(s, err);
    return !status && c->weights ? lay_out_memory(c, s, err) : status;
}

static void situation_close(situation *s) {
    omni_plan_free(s->plan);
    omni_free(s->first);
    omni_free(s->counts);
    omni_free(s->memory);
}

/* --- the result ------------------------------------------------------------------------------- */

json_t *situation_json(const situation *s) {
    json_t *object = json_object();
    cli_set(&object, "plan", omni_json_string(s->spec->name));
    cli_set(&object, "pes", cli_size(s->pes));
    cli_set(&object, "batch", cli_size(s->batch));
    cli_set(&object, "prompt", cli_size(s->prompt));
    cli_set(&object, "gen", cli_size(s->gen));
    cli_set(&object, "skipped", omni_json_string(s->skipped[0] ? s->skipped : NULL));
    return object;
}

json_t *situation_totals(const situation *s) {
    json_t *totals = json_object();
    cli_set(&totals, "prefill", omni_json_counters(&s->prefill));
    cli_set(&totals, "decode_step", omni_json_counters(&s->step));
    cli_set(&totals, "decode", omni_json_counters(&s->decode));
    return totals;
}

static const char *const headers[] = {"plan",
                                      ">pes",
                                      ">batch",
                                      ">prompt",
                                      ">gen",
                                      "phase",
                                      ">broadcasts",
                                      ">broadcast bytes",
                                      ">reductions",
                                      ">gathers",
                                      ">tree bytes",
                                      ">addressed",
                                      ">addressed bytes",
                                      ""};
enum { COLUMNS = sizeof headers / sizeof *headers };

static void add_head(omni_table *t, const situation *s, const char *phase) {
    omni_table_cell(t, "%s", s->spec->name);
    omni_table_cell(t, "%zu", s->pes);
    omni_table_cell(t, "%zu", s->batch);
    omni_table_cell(t, "%zu", s->prompt);
    omni_table_cell(t, "%zu", s->gen);
    omni_table_cell(t, "%s", phase);
}

static void add_bytes(omni_table *t, uint64_t bytes) {
    char text[32];
    omni_table_cell(t, "%s", omni_format_bytes(text, sizeof text, bytes));
}

static void add_phase(omni_table *t, const situation *s, const char *phase, const omni_counters *n) {
    add_head(t, s, phase);
    omni_table_cell(t, "%llu", (unsigned long long)n->broadcasts);
    add_bytes(t, n->broadcast_bytes);
    omni_table_cell(t, "%llu", (unsigned long long)n->reductions);
    omni_table_cell(t, "%llu", (unsigned long long)n->tree_gathers);
    add_bytes(t, n->tree_bytes);
    omni_table_cell(t, "%llu", (unsigned long long)n->addressed_messages);
    add_bytes(t, n->addressed_bytes);
    omni_table_cell(t, "%s", "");
}

static void add_skipped(omni_table *t, const situation *s) {
    add_head(t, s, "-");
    for (size_t i = 6; i + 1 < COLUMNS; i++) omni_table_cell(t, "-");
    omni_table_cell(t, "skipped: %s", s->skipped);
}

static void add_situation(planning *k, const situation *s) {
    json_t *object = situation_json(s);
    if (!s->skipped[0]) {
        json_t *totals = situation_totals(s);
        cli_set(&object, "totals", totals);
        add_phase(k->table, s, s->encoder ? "encode" : "prefill", &s->prefill);
        if (!s->encoder) add_phase(k->table, s, "decode step", &s->step);
    } else {
        add_skipped(k->table, s);
    }
    cli_append(&k->plans, object);
}

static void count_built(planning *k, const situation *s) {
    if (s->skipped[0] && !k->reason[0])
        snprintf(k->reason, sizeof k->reason, "%.60s%s%.300s", k->pair ? s->spec->name : "",
                 k->pair ? ": " : "", s->skipped);
    ++*(s->skipped[0] ? &k->skipped : &k->built);
}

/* Two plans in the same situation. */
static omni_status take_pair(planning *k, situation *p, omni_error *err) {
    situation q = *p;
    q.spec = &k->pair[1];
    omni_status status = situation_open(k->c, p, err);
    if (!status) status = situation_open(k->c, &q, err);
    if (!status) {
        count_built(k, p->skipped[0] ? p : &q);
        status = plan_diff_situation(k, p, &q, err);
    }
    situation_close(p);
    situation_close(&q);
    return status ? status : cli_stopped(err);
}

static omni_status take(planning *k, situation *s, omni_error *err) {
    omni_status status = situation_open(k->c, s, err);
    if (!status) {
        count_built(k, s);
        if (k->table)
            add_situation(k, s);
        else
            status = plan_explain_situation(k, s, err);
    }
    situation_close(s);
    return status ? status : cli_stopped(err);
}

/* --- the command ------------------------------------------------------------------------------ */

/* All that was said of --diff, as one list. */
static omni_status read_pair(const cli *c, lists *l, omni_error *err) {
    omni_text *list = omni_text_create();
    for (size_t i = 0; i < omni_settings_count(c->settings, OMNI_OPT_DIFF); i++)
        omni_text_add(list, "%s%s", i ? "," : "", omni_settings_nth(c->settings, OMNI_OPT_DIFF, i));
    omni_status status = cli_plans(omni_text_string(list), &l->spec, &l->specs, err);
    omni_text_free(list);
    l->pair = true;
    if (!status && l->specs != 2)
        status =
            omni_error_set(err, OMNI_BAD_INPUT, "--diff: %zu plan%s (expected P Q or P,Q, beside the model)",
                           l->specs, l->specs == 1 ? "" : "s");
    return status;
}

static omni_status read_plans(const cli *c, lists *l, omni_error *err) {
    static const omni_option_id ways[] = {OMNI_OPT_EXPLAIN, OMNI_OPT_DIFF, OMNI_OPT_PLAN};
    const char *given[3];
    size_t first = 3;
    for (size_t i = 3; i-- > 0;) {
        given[i] = omni_settings_get(c->settings, ways[i]);
        if (given[i] && first < 3)
            return omni_error_set(err, OMNI_BAD_INPUT, "--%s and --%s together (expected one of them)",
                                  omni_option_at(ways[i])->name, omni_option_at(ways[first])->name);
        if (given[i]) first = i;
    }
    if (given[1]) return read_pair(c, l, err);
    omni_status status =
        cli_plans(given[0] ? given[0] : cli_value(c, OMNI_OPT_PLAN), &l->spec, &l->specs, err);
    if (!status && given[0] && l->specs > 1)
        status = omni_error_set(err, OMNI_BAD_INPUT, "--explain: %zu plans (expected one)", l->specs);
    return status;
}

static omni_status read_lists(const cli *c, lists *l, omni_error *err) {
    omni_status status = read_plans(c, l, err);
    if (!status) status = cli_numbers(c, OMNI_OPT_PES, 1, CLI_MOST_PES, &l->pes.value, &l->pes.count, err);
    if (!status)
        status = cli_numbers(c, OMNI_OPT_BATCH, 1, MOST_SEQUENCES, &l->batch.value, &l->batch.count, err);
    if (!status)
        status = cli_numbers(c, OMNI_OPT_PROMPT, 1, MOST_TOKENS, &l->prompt.value, &l->prompt.count, err);
    if (!status) status = cli_numbers(c, OMNI_OPT_GEN, 1, MOST_TOKENS, &l->gen.value, &l->gen.count, err);
    return status;
}

static void free_lists(lists *l) {
    omni_free(l->spec);
    omni_free(l->pes.value);
    omni_free(l->batch.value);
    omni_free(l->prompt.value);
    omni_free(l->gen.value);
}

/* Weights only where there are some: a config.json is enough to plan. */
static omni_status open_all(cli *c, omni_error *err) {
    omni_status status = omni_kernel_init(err);
    if (!status) status = cli_open_model(c, err);
    if (!status) status = cli_open_topo(c, err);
    return !status && omni_weights_in_dir(c->operand) ? cli_open_weights(c, err) : status;
}

static omni_status take_all(planning *k, const lists *l, omni_error *err) {
    size_t total = (l->pair ? 1 : l->specs) * l->pes.count; /* at most 2^12 x 2^16 */
    omni_status status = OMNI_OK;
    bool fits = omni_size_mul(total, l->batch.count, &total) &&
                omni_size_mul(total, l->prompt.count, &total) && omni_size_mul(total, l->gen.count, &total);
    if (!fits)
        return omni_error_set(err, OMNI_BAD_INPUT, "plan: too many situations (expected shorter lists)");
    cli_progress bar;
    cli_progress_begin(&bar, k->c, CLI_STEPS, "plan", total);
    for (size_t i = 0; !status && i < total; i++) {
        size_t at = i;
        situation s = {.gen = l->gen.value[at % l->gen.count], .encoder = k->c->model->shape.encoder};
        s.prompt = l->prompt.value[(at /= l->gen.count) % l->prompt.count];
        s.batch = l->batch.value[(at /= l->prompt.count) % l->batch.count];
        s.pes = l->pes.value[(at /= l->batch.count) % l->pes.count];
        s.spec = &l->spec[at / l->pes.count];
        if (k->c->model->heads & OMNI_HEAD_MLM) s.marks = s.batch;
        cli_progress_step(&bar, i, s.spec->name);
        status = (k->pair ? take_pair : take)(k, &s, err);
    }
    cli_progress_end(&bar);
    return status;
}

static omni_status report(planning *k, omni_error *err) {
    json_t *root = cli_envelope(k->c);
    cli_set(&root, "model", cli_model_json(k->c->model));
    cli_set(&root, k->pair ? "diff" : "plans", k->pair ? plan_diff_json(k) : json_incref(k->plans));
    if (k->table) omni_table_draw(k->table, k->page);
    omni_text *page = k->page;
    k->page = NULL; /* cli_emit takes it */
    omni_status status = cli_emit(k->c, root, k->table ? k->plans : k->rows, page, err);
    if (!status && k->built == 0)
        status = omni_error_set(err, OMNI_BAD_INPUT, "plan: nothing could be built (%.300s)", k->reason);
    return status;
}

static omni_status show_plans(cli *c, omni_error *err) {
    lists l = {0};
    bool pages =
        omni_settings_get(c->settings, OMNI_OPT_EXPLAIN) || omni_settings_get(c->settings, OMNI_OPT_DIFF);
    planning k = {.c = c, .plans = json_array(), .rows = json_array(), .page = omni_text_create()};
    if (!pages) k.table = omni_table_create(headers, COLUMNS);
    omni_status status = read_lists(c, &l, err);
    if (!status) status = open_all(c, err);
    bool one_pass = !status && c->model->shape.encoder && !omni_settings_get(c->settings, OMNI_OPT_GEN);
    if (one_pass) l.gen.value[0] = 1; /* instead of the one default */
    if (l.pair) k.pair = l.spec;
    if (!status) status = take_all(&k, &l, err);
    if (!status) status = report(&k, err);
    omni_text_free(k.page);
    omni_table_free(k.table);
    json_decref(k.plans);
    json_decref(k.rows);
    free_lists(&l);
    return status;
}

omni_status cli_plan(cli *c, omni_error *err) {
    bool verify = omni_settings_flag(c->settings, OMNI_OPT_VERIFY);
    if (!verify && omni_settings_get(c->settings, OMNI_OPT_TOP))
        return omni_error_set(err, OMNI_BAD_INPUT, "--top without --verify (expected both)");
    if (verify || omni_settings_get(c->settings, OMNI_OPT_ARRAY)) return plan_price(c, err);
    if (omni_settings_count(c->settings, OMNI_OPT_SET))
        return omni_error_set(err, OMNI_BAD_INPUT, "--set without --array (expected both)");
    return show_plans(c, err);
}
