/* bench_cell.c: one engine and its tests.
 *
 *   once      plan(s) -> engine with room for the longest test; threads, arenas and packed weights serve all
 *             of them
 *   a test    [caches filled up to the depth]  warm-up  limit  --reps times: back to the depth, and the
 *             clock runs over the prompt's pass, the passes of one token, and changes of plans between them;
 *             limit
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

/* A cell's engine, and whose it is. */
typedef struct running {
    bench *b;
    runner run;
} running;

/* --- opening ---------------------------------------------------------------------------------- */

static bool fits(const running *r, const bench_test *t) {
    return bench_positions(t) <= r->b->c->model->shape.positions;
}

/* Most positions that a sequence reaches in a test that fits, and most tokens of one in a pass. */
static void most_of(const running *r, size_t *positions, size_t *tokens) {
    *positions = *tokens = 1;
    for (size_t i = 0; i < r->b->tests; i++) {
        const bench_test *t = &r->b->test[i];
        if (!bench_has_test(&r->run.cell, t)) continue;
        size_t fill = t->depth < RUNNER_FILL ? t->depth : RUNNER_FILL,
               most = t->prompt > fill ? t->prompt : fill;
        if (!fits(r, t)) continue;
        if (bench_positions(t) > *positions) *positions = bench_positions(t);
        if (most > *tokens) *tokens = most;
    }
}

static omni_status open_runner(running *r, omni_error *err) {
    size_t positions, tokens;
    most_of(r, &positions, &tokens);
    omni_status status = runner_open(&r->run, positions, tokens, err);
    if (!status) runner_note(&r->run, &r->b->warned);
    return status;
}

/* --- a test ----------------------------------------------------------------------------------- */

static omni_profile profile_between(const omni_profile *a, const omni_profile *b) {
    return (omni_profile){.compute_ns = b->compute_ns - a->compute_ns,
                          .bus_ns = b->bus_ns - a->bus_ns,
                          .tree_ns = b->tree_ns - a->tree_ns,
                          .host_ns = b->host_ns - a->host_ns,
                          .wait_ns = b->wait_ns - a->wait_ns,
                          .rest_ns = b->rest_ns - a->rest_ns};
}

static void add_profile(omni_profile *sum, const omni_profile *p) {
    sum->compute_ns += p->compute_ns;
    sum->bus_ns += p->bus_ns;
    sum->tree_ns += p->tree_ns;
    sum->host_ns += p->host_ns;
    sum->wait_ns += p->wait_ns;
    sum->rest_ns += p->rest_ns;
}

/* One that counts: repetition i. Counters are the same each time. */
static omni_status measure(running *r, const bench_test *t, size_t i, bench_result *out, omni_error *err) {
    omni_counters moved[2], changed[2];
    omni_profile spent[2];
    uint64_t transform_ns = 0;
    omni_status status = runner_prepare(&r->run, t, err);
    if (!status) status = omni_perf_control_send(r->b->control, true, &cli_stop, err);
    if (status) return status;
    cli_perf_skip(&r->run.perf, r->run.engine);
    omni_engine_counters(r->run.engine, &moved[0]);
    omni_engine_switch_counters(r->run.engine, &changed[0]);
    omni_engine_profile(r->run.engine, &spent[0]);
    uint64_t begin = omni_clock_ns();
    status = runner_repeat(&r->run, t, t->gen, &transform_ns, err);
    uint64_t ns = omni_clock_ns() - begin;
    if (!status) status = omni_perf_control_send(r->b->control, false, &cli_stop, err);
    if (status) return status;
    omni_engine_counters(r->run.engine, &moved[1]);
    omni_engine_switch_counters(r->run.engine, &changed[1]);
    omni_engine_profile(r->run.engine, &spent[1]);
    out->ns[i] = (double)(ns ? ns : 1);
    out->ts[i] = (double)(r->run.cell.batch * (t->prompt + t->gen)) * 1e9 / out->ns[i];
    out->transform_ns += (double)transform_ns / (double)r->b->reps;
    out->fabric = omni_counters_between(&moved[0], &moved[1]);
    out->transform = omni_counters_between(&changed[0], &changed[1]);
    omni_profile one = profile_between(&spent[0], &spent[1]);
    add_profile(&out->profile, &one);
    return cli_stopped(err);
}

/* Weights that a pass reads under the plan in use: those of every group that has tokens in it. */
static double weight_bytes(const running *r, size_t tokens) {
    const omni_plan *plan = r->run.now ? r->run.later[r->run.now - 1] : r->run.plan;
    size_t groups = plan->mesh.groups, parts = plan->spec.over_tokens ? tokens : r->run.cell.batch;
    double sum = 0;
    for (size_t i = 0; i < r->run.cell.pes; i++) {
        omni_memory m;
        omni_engine_memory(r->run.engine, i, &m);
        sum += (double)m.weight_bytes;
    }
    if (plan->spec.stream || parts >= groups) return sum;
    return sum * (double)parts / (double)groups;
}

static omni_status run_test(running *r, const bench_test *t, bench_result *out, omni_error *err) {
    uint64_t unused = 0;
    omni_status status = runner_prepare(&r->run, t, err);
    double prompt_bytes = status ? 0 : weight_bytes(r, r->run.cell.batch * t->prompt);
    if (!status)
        status = runner_repeat(&r->run, t, t->gen > 0, &unused, err); /* now under the plan that decodes */
    if (status) return status;
    out->work = bench_work_of(r->b, &r->run.cell, t, prompt_bytes, weight_bytes(r, r->run.cell.batch));
    bench_work_measure(r->b, &r->run.cell, &out->work);
    cli_perf_forget(&r->run.perf);
    for (size_t i = 0; i < r->b->reps && !status; i++) status = measure(r, t, i, out, err);
    bench_work_measure(r->b, &r->run.cell, &out->work);
    return status ? status
                  : bench_price_test(r->b, &r->run.cell, t, r->run.plan, r->run.later, &out->modelled, err);
}

/* --- a cell ----------------------------------------------------------------------------------- */

static omni_status take_test(running *r, const bench_test *t, const char *skipped, omni_error *err) {
    bench *b = r->b;
    bench_result out = {.ns = omni_alloc_array(b->reps, sizeof *out.ns),
                        .ts = omni_alloc_array(b->reps, sizeof *out.ts)};
    omni_status status = OMNI_OK;
    char what[400];
    snprintf(what, sizeof what, "%s, %zu PE%s, %s", r->run.cell.plan->name, r->run.cell.pes,
             r->run.cell.pes == 1 ? "" : "s", t->name);
    cli_progress_step(&b->bar, b->measured + b->skipped, what);
    snprintf(out.skipped, sizeof out.skipped, "%s", skipped);
    if (!*skipped && !fits(r, t))
        snprintf(out.skipped, sizeof out.skipped, "%zu positions (the model has %zu)", bench_positions(t),
                 b->c->model->shape.positions);
    if (!out.ns || !out.ts)
        status = omni_error_set(err, OMNI_RUN_FAILED, "bench: no memory for %zu repetitions", b->reps);
    if (!status && !out.skipped[0]) status = run_test(r, t, &out, err);
    if (!out.skipped[0]) out.perf = &r->run.perf;
    if (!status) status = bench_report_test(b, &r->run.cell, t, &out, err);
    omni_free(out.ns);
    omni_free(out.ts);
    return status;
}

/* No engine for tests none of which fits. */
static bool any_fits(const running *r) {
    for (size_t i = 0; i < r->b->tests; i++)
        if (bench_has_test(&r->run.cell, &r->b->test[i]) && fits(r, &r->b->test[i])) return true;
    return false;
}

omni_status bench_run_cell(bench *b, bench_cell cell, omni_error *err) {
    bool perf = omni_settings_flag(b->c->settings, OMNI_OPT_PERF);
    running r = {b, {.c = b->c, .cell = cell, .seed = b->seed, .profile = true, .perf.wanted = perf}};
    omni_error why = {0};
    char skipped[400] = "";
    omni_status status = any_fits(&r) ? open_runner(&r, &why) : OMNI_OK;
    if (status == OMNI_BAD_INPUT) {
        snprintf(skipped, sizeof skipped, "%.*s", (int)sizeof skipped - 1, cli_reason(cell.plan, why.text));
        status = OMNI_OK;
    } else if (status) {
        omni_error_set(err, status, "plan '%s' on %zu PEs: %s", cell.plan->name, cell.pes, why.text);
    }
    for (size_t i = 0; i < b->tests && !status; i++)
        if (bench_has_test(&cell, &b->test[i])) status = take_test(&r, &b->test[i], skipped, err);
    runner_close(&r.run);
    return status;
}
