/* run.c: `omnibus run`: one plan, one batch of prompts, tokens or text.
 *
 *   settings -> prompts, plan: everything that can be wrong is found before weights are read
 *   load     -> engine: workers pack their shards
 *   prefill  -> all prompts as one ragged batch, first token
 *   decode   -> one token per sequence and pass, until --gen or, with --stop-eos, all have ended
 *
 * An encoder has one pass and no tokens: run_encode.c.
 *
 * All sequences take part in every pass, so one that has ended keeps stepping silently; its tokens end there.
 * The report is run_report.c, text is run_text.c, which token follows
 * run_sample.c, the file of --dump run_dump.c, that of --trace run_trace.c.
 */
#include <string.h>
#include <sys/stat.h>

#include "run.h"

/* --- what was asked for ----------------------------------------------------------------------- */

static omni_status parse_plans(run *r, omni_error *err) {
    const char *text = cli_value(r->c, OMNI_OPT_PLAN), *later = cli_value(r->c, OMNI_OPT_DECODE_PLAN);
    bool chosen_later = strcmp(text, "auto") == 0; /* modelled_open chooses */
    omni_status status = chosen_later ? OMNI_OK : omni_plan_parse(text, &r->spec, err);
    if (status) return status;
    if (!later && omni_settings_flag(r->c->settings, OMNI_OPT_RESIDENT))
        return omni_error_set(err, OMNI_BAD_INPUT, "--resident without --decode-plan (expected both)");
    r->resident = omni_settings_flag(r->c->settings, OMNI_OPT_RESIDENT);
    if (!later) return OMNI_OK;
    status = cli_schedules(later, &r->decode_plan, &r->schedules, err);
    if (!status && r->schedules > 1)
        status = omni_error_set(
            err, OMNI_BAD_INPUT,
            "--decode-plan: %zu plans for the same position (expected one, or P,Q@POSITION)", r->schedules);
    return status;
}

static omni_status parse_dump(run *r, omni_error *err) {
    r->dump.path = omni_settings_get(r->c->settings, OMNI_OPT_DUMP);
    if (omni_output_same(r->dump.path, r->c->output))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: named by --dump and by --output (expected two files)",
                              r->dump.path);
    struct stat there;
    if (r->dump.path && stat(r->dump.path, &there) == 0 && !S_ISREG(there.st_mode))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: not a regular file (expected a name for --dump)",
                              r->dump.path);
    return omni_output_check(r->dump.path, err);
}

static omni_status parse(run *r, omni_error *err) {
    omni_status status = cli_number(r->c, OMNI_OPT_PES, 1, CLI_MOST_PES, &r->pes, err);
    if (!status) status = cli_number(r->c, OMNI_OPT_GEN, 1, INT32_MAX, &r->gen, err);
    if (!status) status = cli_check_fabric(r->c, err);
    if (!status) status = cli_perf_control(r->c, &r->control, err);
    if (!status) status = cli_open_model(r->c, err);
    if (!status) status = encode_check_options(r->c, err);
    if (!status && r->c->model->shape.encoder) r->gen = 0;
    if (!status) status = parse_plans(r, err);
    if (!status) status = parse_dump(r, err);
    if (!status) status = trace_parse(r, err);
    if (!status) status = prompts_read(r->c, r->gen, &r->prompts, &r->spoken.tokenizer, err);
    if (!status) status = sample_open(r, err);
    if (!status) status = cli_open_weights(r->c, err); /* they decide an encoder's heads */
    if (!status) status = encode_prepare(r, err);
    if (!status) status = modelled_open(r, err);
    if (!status) status = omni_plan_compile(r->c->model, &r->spec, r->pes, &r->plan, err);
    if (!status && r->decode_plan)
        status = cli_schedule_compile(r->c->model, r->decode_plan, r->pes, &r->later, err);
    return status ? status : modelled_start(r, err);
}

/* --- loading ---------------------------------------------------------------------------------- */

static omni_status allocate(run *r, omni_error *err) {
    size_t n = r->prompts.count, tokens;
    r->counts = omni_alloc_array(n, sizeof *r->counts);
    r->feed = omni_alloc_array(r->prompts.tokens, sizeof *r->feed);
    r->next = omni_alloc_array(n, sizeof *r->next);
    r->token = omni_size_mul(n, r->gen, &tokens) ? omni_alloc_array(tokens, sizeof *r->token) : NULL;
    r->generated = omni_alloc_array(n, sizeof *r->generated);
    r->ended = omni_alloc_array(n, sizeof *r->ended);
    if (r->counts && r->feed && r->next && r->token && r->generated && r->ended) return OMNI_OK;
    return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", n);
}

static omni_status create_engine(run *r, omni_error *err) {
    cli *c = r->c;
    size_t *capacity = omni_alloc_array(r->prompts.count, sizeof *capacity);
    if (!capacity)
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", r->prompts.count);
    size_t later = r->gen ? r->gen - 1 : 0;
    for (size_t i = 0; i < r->prompts.count; i++) capacity[i] = r->prompts.length[i] + later;
    omni_engine_options o = {.plan = r->plan,
                             .later = r->later,
                             .later_from = r->decode_plan ? r->decode_plan->from : NULL,
                             .laters = r->decode_plan ? r->decode_plan->count : 0,
                             .resident = r->resident,
                             .sequences = r->prompts.count,
                             .capacity = capacity,
                             .max_tokens = r->prompts.tokens,
                             .max_marks = r->encoded.marks,
                             .taps = r->dump.path != NULL,
                             .logits = r->sampler || (r->spoken.tokenizer && r->encoded.marks),
                             .perf = r->perf.wanted,
                             .trace_events = r->trace.events,
                             .beside_bytes = dump_bytes(r)};
    omni_status status = cli_create_engine(c, &o, &r->engine, err);
    omni_free(capacity); /* the engine has a copy */
    return status;
}

static omni_status load(run *r, omni_error *err) {
    uint64_t start = omni_clock_ns();
    omni_status status = cli_open_topo(r->c, err);
    if (!status) status = allocate(r, err);
    if (!status) status = create_engine(r, err);
    if (!status) status = cli_perf_open(&r->perf, r->engine, r->pes, err);
    if (!status) status = dump_prepare(r, err);
    if (!status) status = text_prepare(r, err);
    if (!status && omni_engine_warning(r->engine)) cli_note(r->c, "%s", omni_engine_warning(r->engine));
    r->load_ns = omni_clock_ns() - start;
    return status;
}

/* --- generating ------------------------------------------------------------------------------- */

static bool is_end(const omni_model *model, int32_t id) {
    for (size_t i = 0; i < model->eos_count; i++)
        if (model->eos[i] == id) return true;
    return false;
}

/* Keeps the tokens that a pass decided, *going: unless all sequences have ended. */
static omni_status keep_tokens(run *r, bool *going, omni_error *err) {
    bool stop_at_end = omni_settings_flag(r->c->settings, OMNI_OPT_STOP_EOS);
    omni_status status = sample_next(r, err);
    *going = false;
    for (size_t i = 0; !status && i < r->prompts.count; i++) {
        if (r->ended[i]) continue;
        r->token[i * r->gen + r->generated[i]++] = r->next[i];
        r->ended[i] = stop_at_end && is_end(r->c->model, r->next[i]);
        *going |= !r->ended[i];
        status = text_token(r, i, err);
    }
    return status ? status : text_shown(r, err);
}

static omni_status prefill(run *r, omni_error *err) {
    int32_t *feed = r->feed;
    for (size_t i = 0; i < r->prompts.count; i++) {
        r->counts[i] = r->prompts.length[i];
        memcpy(feed, r->prompts.ids[i], r->counts[i] * sizeof *feed);
        feed += r->counts[i];
    }
    uint64_t start = omni_clock_ns();
    omni_status status = r->c->model->shape.encoder
                             ? encode_run(r, err)
                             : omni_engine_forward(r->engine, r->feed, r->counts, r->next, err);
    r->prefill_ns = omni_clock_ns() - start;
    if (status) return status;
    cli_perf_take(&r->perf, r->engine, CLI_PREFILL);
    omni_engine_counters(r->engine, &r->prefill);
    dump_prefill(r);
    return modelled_pass(r, true, err);
}

static omni_status change_plan(run *r, omni_error *err) {
    uint64_t start = omni_clock_ns();
    const omni_plan *before = r->now;
    size_t due = omni_engine_due(r->engine);
    omni_status status = omni_engine_switch(r->engine, due, err);
    r->now = due ? r->later[due - 1] : r->plan;
    r->transform_ns += omni_clock_ns() - start;
    if (!status) cli_perf_take(&r->perf, r->engine, CLI_TRANSFORM);
    return status || r->now == before ? status : modelled_change(r, before, err);
}

static omni_status decode_step(run *r, size_t step, omni_error *err) {
    omni_status changed = r->decode_plan ? change_plan(r, err) : OMNI_OK;
    if (changed) return changed;
    for (size_t i = 0; i < r->prompts.count; i++) {
        r->counts[i] = 1;
        r->feed[i] = r->next[i];
        r->decoded += !r->ended[i];
    }
    uint64_t start = omni_clock_ns();
    omni_status status = omni_engine_forward(r->engine, r->feed, r->counts, r->next, err);
    r->decode_ns += omni_clock_ns() - start;
    if (!status) cli_perf_take(&r->perf, r->engine, CLI_DECODE);
    if (!status) dump_step(r, step);
    return status ? status : modelled_pass(r, false, err);
}

static omni_status generate(run *r, omni_error *err) {
    bool going = false;
    omni_status status = omni_perf_control_send(r->control, true, &cli_stop, err);
    if (!status) status = prefill(r, err);
    if (!status && r->gen) status = keep_tokens(r, &going, err);
    for (size_t step = 1; !status && going && step < r->gen; step++) {
        status = decode_step(r, step, err);
        if (!status) status = keep_tokens(r, &going, err);
    }
    if (!status) status = omni_perf_control_send(r->control, false, &cli_stop, err);
    if (status) return status;
    omni_engine_counters(r->engine, &r->total);
    r->decode = omni_counters_between(&r->prefill, &r->total);
    omni_engine_switch_counters(r->engine, &r->transform);
    omni_counters_add(&r->total, &r->transform);
    return cli_stopped(err);
}

static void close_run(run *r) {
    omni_engine_free(r->engine);
    omni_plan_free(r->plan);
    if (r->decode_plan) cli_schedule_drop(r->decode_plan, r->later);
    cli_schedules_free(r->decode_plan, r->schedules);
    dump_free(r);
    modelled_free(r);
    encode_free(r);
    text_free(r);
    omni_sampler_free(r->sampler);
    prompts_free(&r->prompts);
    cli_perf_free(&r->perf);
    omni_perf_control_close(r->control);
    omni_free(r->counts);
    omni_free(r->feed);
    omni_free(r->next);
    omni_free(r->token);
    omni_free(r->generated);
    omni_free(r->ended);
}

omni_status cli_run(cli *c, omni_error *err) {
    run r = {.c = c, .perf.wanted = omni_settings_flag(c->settings, OMNI_OPT_PERF)};
    omni_status status = parse(&r, err);
    if (!status) status = load(&r, err);
    if (!status) status = generate(&r, err);
    if (!status) status = dump_write(&r, err);
    if (!status) status = trace_write(&r, err);
    if (!status) status = run_report(&r, err);
    if (!status) text_note(&r);
    close_run(&r);
    return status;
}
