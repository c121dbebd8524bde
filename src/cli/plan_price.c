/* plan_price.c: `omnibus plan --array`: what plans cost on modelled arrays, and which is best.
 *
 *   tasks   arrays (x --set) x PEs x batch x prompt x gen
 *   each    the plans of --plan, or a search -> the best few, why the second is second, the Pareto front
 *   all     the fastest answer and the most tokens a second of all tasks
 * With --verify each task's plans are run on this host instead (plan_verify.c).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plan_price.h"

enum { SHOWN = 8, MOST_SEQUENCES = 65536, MOST_TOKENS = 1 << 24 };

/* --- JSON ------------------------------------------------------------------------------------- */

json_t *price_task_json(const outcome *o) {
    json_t *object = json_object();
    cli_set(&object, "array", omni_json_string(omni_array_name(o->array)));
    cli_set(&object, "pes", cli_size(o->pes));
    cli_set(&object, "ranks", cli_size(o->ranks));
    cli_set(&object, "batch", cli_size(o->task.batch));
    cli_set(&object, "prompt", cli_size(o->task.prompt));
    cli_set(&object, "gen", cli_size(o->task.gen));
    return object;
}

static void set_candidate(json_t **object, const outcome *o, const omni_candidate *k, bool path) {
    const omni_estimate *e = &k->estimate;
    cli_set(object, "plan", omni_json_string(k->spec.name));
    cli_set(object, "total_ps", cli_size(e->ps));
    cli_set(object, "tokens_per_s", omni_json_number(omni_estimate_tokens_per_s(e, o->task)));
    cli_set(object, "energy_pj", price_energy_json(e->energy_pj));
    cli_set(object, "pareto", json_boolean(k->front));
    cli_set(object, "memory", price_need_json(&e->need, e->fits));
    cli_set(object, "prefill", price_json(&e->prefill, path));
    cli_set(object, "decode_position", o->task.gen > 1 ? cli_size(e->position) : json_null());
    cli_set(object, "decode_step", o->task.gen > 1 ? price_json(&e->decode, path) : json_null());
}

/* Which sums a tree and the bus add up. */
static bool has_tree(const outcome *o) {
    return !omni_array_is_host(o->array) && omni_array_network(o->array) == OMNI_NETWORK_BUS;
}

/* PEs from which on the tree adds rows of the hidden size faster than a root that gathers them. */
static size_t tree_from(const pricing *k, const outcome *o, size_t tokens) {
    uint64_t bytes = (uint64_t)o->task.batch * tokens * k->c->model->shape.hidden * sizeof(float);
    return omni_array_tree_from(o->array, bytes, o->ranks);
}

static void add_json(pricing *k, const outcome *o, const omni_candidate *found, size_t count, json_t *joined,
                     json_t *healthy) {
    json_t *task = price_task_json(o), *plans = json_array();
    for (size_t i = 0; i < count && i < (k->spec ? count : OMNI_SEARCH_TRACED); i++) {
        json_t *plan = json_object(), *row = price_task_json(o);
        set_candidate(&plan, o, &found[i], true);
        set_candidate(&row, o, &found[i], false);
        faults_set_json(k, &plan, found, i);
        faults_set_json(k, &row, found, i);
        cli_append(&plans, plan);
        cli_append(&k->rows, row);
    }
    cli_set(&task, "priced", cli_size(count));
    cli_set(&task, "tree_from_pes", has_tree(o) ? cli_size(tree_from(k, o, o->task.prompt)) : json_null());
    cli_set(&task, "tree_from_pes_decode",
            has_tree(o) && o->task.gen > 1 ? cli_size(tree_from(k, o, 1)) : json_null());
    cli_set(&task, "joined", joined);
    cli_set(&task, "healthy", healthy);
    cli_set(&task, "plans", plans);
    cli_append(&k->tasks, task);
}

/* --- page ------------------------------------------------------------------------------------- */

static uint64_t moved(const omni_estimate *e, omni_task task) {
    return plan_moved(&e->prefill.moved) + (task.gen - 1) * plan_moved(&e->decode.moved);
}

static void add_candidate(const pricing *all, omni_table *t, const outcome *o, const omni_candidate *found,
                          size_t i) {
    const omni_candidate *k = &found[i];
    const omni_estimate *e = &k->estimate;
    const omni_price *p = o->task.gen > 1 ? &e->decode : &e->prefill;
    char text[32];
    omni_table_cell(t, "%s", k->spec.name);
    omni_table_cell(t, "%s", price_time(text, e->prefill.ps));
    omni_table_cell(t, "%s", o->task.gen > 1 ? price_time(text, e->decode.ps) : "-");
    omni_table_cell(t, "%s", price_time(text, e->ps));
    if (all->healthy) faults_cells(all, t, found, i);
    omni_table_cell(t, "%.1f", omni_estimate_tokens_per_s(e, o->task));
    omni_table_cell(t, "%s", price_energy(text, e->energy_pj));
    omni_table_cell(t, "%s", omni_format_bytes(text, sizeof text, e->need.all_bytes));
    omni_table_cell(t, "%s", omni_format_bytes(text, sizeof text, moved(e, o->task)));
    omni_table_cell(t, "%s", price_share(text, p->busy_ppm));
    omni_table_cell(t, "%s", price_share(text, p->computing_ppm));
    omni_table_cell(t, "%s", !e->fits ? "does not fit" : k->front ? "*" : "");
}

static void draw_table(const pricing *k, const outcome *o, const omni_candidate *found, size_t count) {
    const char *busy = price_busy_header(o->array);
    const char *const plain[] = {"plan",    ">prefill",   ">decode step", ">total", ">tokens/s",
                                 ">energy", ">PE memory", ">moved",       busy,     ">PEs busy",
                                 ""};
    const char *const faulty[] = {"plan",      ">prefill", ">decode step", ">total", ">healthy", ">loses",
                                  ">tokens/s", ">energy",  ">PE memory",   ">moved", busy,       ">PEs busy",
                                  ""};
    omni_table *t = k->healthy ? omni_table_create(faulty, sizeof faulty / sizeof *faulty)
                               : omni_table_create(plain, sizeof plain / sizeof *plain);
    for (size_t i = 0; i < count && i < (k->spec ? count : SHOWN); i++) add_candidate(k, t, o, found, i);
    omni_table_draw(t, k->page);
    omni_table_free(t);
}

static void draw_winners(const pricing *k, const outcome *o, const omni_candidate *found, size_t count) {
    char text[32], total[32];
    const omni_candidate *first = omni_search_first(found, count), *step = omni_search_decode(found, count);
    const omni_estimate *a = &found[0].estimate, *b = &found[1].estimate;
    omni_text_add(k->page, "fastest      %s: %s\n", found[0].spec.name, price_time(text, a->ps));
    if (first != found)
        omni_text_add(k->page, "first token  %s: %s\n", first->spec.name,
                      price_time(text, first->estimate.prefill.ps));
    if (step != found && o->task.gen > 1)
        omni_text_add(k->page, "decode       %s: %s a step\n", step->spec.name,
                      price_time(text, step->estimate.decode.ps));
    if (count < 2 || a->fits != b->fits) return;
    omni_price_row worst = omni_estimate_worst(a, b, o->task);
    omni_text_add(k->page, "runner-up    %s: + %s (%.1f%%)", found[1].spec.name,
                  price_time(total, b->ps - a->ps),
                  a->ps ? 100.0 * (double)(b->ps - a->ps) / (double)a->ps : 0);
    if (worst.op)
        omni_text_add(k->page, ", most of it lost in %s, %s: + %s", worst.op,
                      omni_price_kind_name(worst.kind), price_time(text, worst.ps));
    omni_text_add(k->page, "\n");
}

static void draw_path(const pricing *k, const omni_price *p, const char *phase) {
    char text[32];
    if (p->rows == 0) return; /* too long to be kept */
    omni_text_add(k->page, "%-12s", phase);
    for (size_t i = 0; i < p->rows && i < 5; i++)
        omni_text_add(k->page, "%s %s %s %s", i ? "," : "", p->row[i].op,
                      omni_price_kind_name(p->row[i].kind),
                      price_share(text, p->ps ? (uint64_t)((double)p->row[i].ps / (double)p->ps * 1e6) : 0));
    omni_text_add(k->page, "\n");
}

static void draw_tree_from(const pricing *k, const outcome *o, size_t tokens, const char *phase) {
    size_t from = tree_from(k, o, tokens);
    if (from > o->pes)
        omni_text_add(k->page, "%s gather-and-add", phase);
    else
        omni_text_add(k->page, "%s the tree, from %zu PEs on", phase, from);
}

void price_draw_head(pricing *k, const outcome *o) {
    char living[40] = "";
    if (o->ranks < o->pes) snprintf(living, sizeof living, " (%zu live)", o->ranks);
    if (*omni_text_string(k->page)) omni_text_add(k->page, "\n");
    omni_text_add(k->page, "array        %s\n", omni_array_name(o->array));
    omni_text_add(k->page, "on           %zu PE%s%s, batch %zu, prompt %zu, %zu to generate\n", o->pes,
                  o->pes == 1 ? "" : "s", living, o->task.batch, o->task.prompt, o->task.gen);
}

static omni_status draw_task(pricing *k, const outcome *o, const omni_candidate *found, size_t count,
                             json_t **healthy, omni_error *err) {
    price_draw_head(k, o);
    draw_winners(k, o, found, count);
    omni_status status = faults_price(k, o, found, count, healthy, err);
    if (status) return status;
    draw_path(k, &found[0].estimate.prefill, "prefill");
    if (o->task.gen > 1) draw_path(k, &found[0].estimate.decode, "decode step");
    if (o->pes > 1 && has_tree(o)) {
        draw_tree_from(k, o, o->task.prompt, "sums         prefill:");
        if (o->task.gen > 1) draw_tree_from(k, o, 1, "; decode step:");
        omni_text_add(k->page, "\n");
    }
    omni_text_add(k->page, "\n");
    draw_table(k, o, found, count);
    return OMNI_OK;
}

/* --- one task --------------------------------------------------------------------------------- */

static void note_reason(pricing *k, const omni_plan_spec *spec, const char *text) {
    omni_text_add(k->page, "skipped: %s: %s\n", spec->name, cli_reason(spec, text));
    if (!k->reason[0]) snprintf(k->reason, sizeof k->reason, "%.399s", text);
}

/* Plans that were asked for and cannot be built. */
static void note_skipped(pricing *k, size_t pes) {
    for (size_t i = 0; i < k->specs; i++) {
        omni_plan *plan;
        omni_error why = {0};
        if (omni_plan_compile(k->c->model, &k->spec[i], pes, &plan, &why) == OMNI_OK)
            omni_plan_free(plan);
        else
            note_reason(k, &k->spec[i], why.text);
    }
}

static void keep_best(pricing *k, outcome *o, const omni_candidate *first) {
    o->built = true;
    snprintf(o->plan, sizeof o->plan, "%s", first->spec.name);
    o->ps = first->estimate.ps;
    o->tokens_per_s = omni_estimate_tokens_per_s(&first->estimate, o->task);
    if (!first->estimate.fits) return;
    if (!k->best.array || o->ps < k->best.ps) k->best = *o;
    if (!k->most.array || o->tokens_per_s > k->most.tokens_per_s) k->most = *o;
}

/* That the model can be given it at all. */
static omni_status check_task(const pricing *k, omni_task task, omni_error *err) {
    size_t positions = k->c->model->shape.positions;
    if (k->c->model->shape.encoder && task.gen > 1)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s models are encoders: there is no decode phase (expected --gen 1)",
                              k->c->model->family);
    if (task.prompt + task.gen - 1 > positions)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "%zu prompt tokens and %zu to generate (expected to fit the model's %zu positions)", task.prompt,
            task.gen, positions);
    return OMNI_OK;
}

static omni_status show_prices(pricing *k, outcome *o, const omni_candidate *found, size_t count,
                               omni_error *err) {
    json_t *joined = NULL, *healthy = NULL;
    omni_status status = draw_task(k, o, found, count, &healthy, err);
    if (!status) status = joined_price(k, o, found, count, &joined, err);
    add_json(k, o, found, count, joined, healthy);
    omni_free(k->healthy);
    k->healthy = NULL;
    keep_best(k, o, found);
    k->built++;
    return status;
}

static omni_status take(pricing *k, outcome *o, omni_error *err) {
    omni_candidate *found = NULL;
    size_t count = 0;
    omni_error why = {0};
    omni_status status = check_task(k, o->task, err);
    if (status) return status;
    if (o->ranks == 0)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%zu PEs on %s: all of them are dead (expected one that lives)", o->pes,
                              omni_array_name(o->array));
    status = omni_search(o->array, k->c->model, o->ranks, o->task, k->spec, k->specs, cli_stopped, &found,
                         &count, &why);
    if (status && status != OMNI_BAD_INPUT) return omni_error_set(err, status, "%s", why.text);
    status = status ? OMNI_OK : (k->verify.wanted ? verify_task : show_prices)(k, o, found, count, err);
    note_skipped(k, o->ranks);
    omni_free(found);
    return status;
}

static omni_status take_all(pricing *k, omni_error *err) {
    size_t sizes = k->pes.count ? k->pes.count : 1, total = k->arrays * sizes;
    omni_status status = OMNI_OK;
    bool fits = omni_size_mul(total, k->batch.count, &total) &&
                omni_size_mul(total, k->prompt.count, &total) && omni_size_mul(total, k->gen.count, &total);
    if (!fits)
        return omni_error_set(err, OMNI_BAD_INPUT, "plan: too many situations (expected shorter lists)");
    k->all = omni_alloc_array(total, sizeof *k->all);
    if (!k->all) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu situations", total);
    k->total = total;
    cli_progress bar = {0};
    if (!k->verify.wanted) /* that has its own */
        cli_progress_begin(&bar, k->c, CLI_STEPS, "search", total);
    for (size_t i = 0; i < total && !status; i++) {
        size_t at = i;
        outcome *o = &k->all[i];
        o->task.gen = k->gen.value[at % k->gen.count];
        o->task.prompt = k->prompt.value[(at /= k->gen.count) % k->prompt.count];
        o->task.batch = k->batch.value[(at /= k->prompt.count) % k->batch.count];
        at /= k->batch.count;
        o->array = k->array[at / sizes];
        o->pes = k->pes.count ? k->pes.value[at % sizes] : omni_array_pes(o->array);
        o->ranks = omni_array_living(o->array, o->pes);
        if (!k->verify.wanted) cli_progress_step(&bar, i, omni_array_name(o->array));
        status = take(k, o, err);
    }
    cli_progress_end(&bar);
    return status;
}

/* --- the command ------------------------------------------------------------------------------ */

static void draw_outcome(const pricing *k, const char *what, const outcome *o, const char *figure) {
    omni_text_add(k->page, "%s%s on %s, %zu PEs, batch %zu, prompt %zu, gen %zu: %s\n", what, o->plan,
                  omni_array_name(o->array), o->pes, o->task.batch, o->task.prompt, o->task.gen, figure);
}

static omni_status report(pricing *k, omni_error *err) {
    char text[32];
    json_t *root = cli_envelope(k->c);
    cli_set(&root, "model", cli_model_json(k->c->model));
    cli_set(&root, "tasks", json_incref(k->tasks));
    cli_set(&root, "crossovers", sweep_crossovers(k));
    if (k->built > 1 && k->best.array) {
        omni_text_add(k->page, "\n");
        draw_outcome(k, "least latency    ", &k->best, price_time(text, k->best.ps));
        snprintf(text, sizeof text, "%.1f tokens/s", k->most.tokens_per_s);
        draw_outcome(k, "most throughput  ", &k->most, text);
    }
    omni_text_add(
        k->page, "\nAll figures are modelled. PEs, bus and links busy: of a decode step (without one, of the "
                 "prefill). *: Pareto front of time, energy, memory.\n");
    omni_text *page = k->page;
    k->page = NULL;
    omni_status status = cli_emit(k->c, root, k->rows, page, err);
    if (!status && k->built == 0)
        status = omni_error_set(err, OMNI_BAD_INPUT, "plan: nothing could be built (%.300s)", k->reason);
    return status;
}

static omni_status read_numbers(const cli *c, omni_option_id id, size_t most, numbers *out, omni_error *err) {
    return cli_numbers(c, id, 1, most, &out->value, &out->count, err);
}

static omni_status read_all(pricing *k, omni_error *err) {
    cli *c = k->c;
    const char *plans = omni_settings_get(c->settings, OMNI_OPT_PLAN);
    omni_status status = OMNI_OK;
    if (omni_settings_get(c->settings, OMNI_OPT_EXPLAIN) || omni_settings_get(c->settings, OMNI_OPT_DIFF))
        return omni_error_set(err, OMNI_BAD_INPUT, "--%s with --explain or --diff (expected --plan, or none)",
                              k->verify.wanted ? "verify" : "array");
    if (plans && strcmp(plans, "auto") != 0) status = cli_plans(plans, &k->spec, &k->specs, err);
    if (!status && omni_settings_get(c->settings, OMNI_OPT_PES))
        status = read_numbers(c, OMNI_OPT_PES, CLI_MOST_PES, &k->pes, err);
    if (!status) status = read_numbers(c, OMNI_OPT_BATCH, MOST_SEQUENCES, &k->batch, err);
    if (!status) status = read_numbers(c, OMNI_OPT_PROMPT, MOST_TOKENS, &k->prompt, err);
    if (!status) status = read_numbers(c, OMNI_OPT_GEN, MOST_TOKENS, &k->gen, err);
    if (!status)
        status = k->verify.wanted ? verify_arrays(k, err) : price_arrays(c, &k->array, &k->arrays, err);
    if (!status) status = cli_open_model(c, err);
    if (!status) status = cli_open_topo(c, err);
    if (!status && k->verify.wanted) status = verify_weights(k, err);
    if (!status && c->model->shape.encoder && !omni_settings_get(c->settings, OMNI_OPT_GEN))
        k->gen.value[0] = 1;
    return status;
}

omni_status plan_price(cli *c, omni_error *err) {
    pricing k = {.c = c, .tasks = json_array(), .rows = json_array(), .page = omni_text_create()};
    k.verify.wanted = omni_settings_flag(c->settings, OMNI_OPT_VERIFY);
    omni_status status = read_all(&k, err);
    if (!status) status = take_all(&k, err);
    if (!status) status = (k.verify.wanted ? verify_report : report)(&k, err);
    omni_text_free(k.page);
    json_decref(k.tasks);
    json_decref(k.rows);
    price_arrays_free(k.array, k.arrays);
    omni_free(k.spec);
    omni_free(k.all);
    omni_free(k.pes.value);
    omni_free(k.batch.value);
    omni_free(k.prompt.value);
    omni_free(k.gen.value);
    return status;
}
