/* bench.c: `omnibus bench`: how fast plans run on this host.
 *
 *   cells    plans x decode plans x PEs x workers x batches, the tests innermost: so one engine serves all
 *            tests of a cell, and weights are packed once for them
 *   limits   what this host can do at best, before the first test, while nothing else has memory
 *   a test   a record, in the order of the lists; skipped ones say why
 *
 * Status 2 when no test could be built. Ctrl-C: 130; what was measured until then is shown (bench_report.c).
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "omnibus/kernel.h"
#include "price.h"

enum { MOST_SEQUENCES = 65536, MOST_REPS = 10000 };

/* --- what was asked for ----------------------------------------------------------------------- */

/* Without --workers one entry: the engine's choice. */
static omni_status read_workers(bench *b, omni_error *err) {
    bench_list *l = &b->workers;
    if (omni_settings_get(b->c->settings, OMNI_OPT_WORKERS))
        return cli_numbers(b->c, OMNI_OPT_WORKERS, 1, CLI_MOST_PES, &l->value, &l->count, err);
    l->value = omni_alloc_array(1, sizeof *l->value);
    l->count = 1;
    return l->value ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "bench: out of memory");
}

static omni_status read_plans(bench *b, omni_error *err) {
    const char *later = cli_value(b->c, OMNI_OPT_DECODE_PLAN);
    omni_status status = cli_plans_or_auto(cli_value(b->c, OMNI_OPT_PLAN), &b->plan, &b->plans, err);
    if (!status && !later && omni_settings_flag(b->c->settings, OMNI_OPT_RESIDENT))
        return omni_error_set(err, OMNI_BAD_INPUT, "--resident without --decode-plan (expected both)");
    return status || !later ? status : cli_schedules(later, &b->decode, &b->decodes, err);
}

static omni_status read_lists(bench *b, omni_error *err) {
    const cli *c = b->c;
    omni_status status = cli_check_fabric(c, err);
    if (!status) status = cli_perf_control(c, &b->control, err);
    if (!status) status = read_plans(b, err);
    if (!status) status = cli_numbers(c, OMNI_OPT_PES, 1, CLI_MOST_PES, &b->pes.value, &b->pes.count, err);
    if (!status) status = read_workers(b, err);
    if (!status)
        status = cli_numbers(c, OMNI_OPT_BATCH, 1, MOST_SEQUENCES, &b->batch.value, &b->batch.count, err);
    if (!status) status = cli_number(c, OMNI_OPT_REPS, 1, MOST_REPS, &b->reps, err);
    return status ? status : cli_number(c, OMNI_OPT_SEED, 0, SIZE_MAX, &b->seed, err);
}

static omni_status open_all(bench *b, omni_error *err) {
    omni_status status = omni_kernel_init(err);
    if (!status) status = cli_open_model(b->c, err);
    if (!status) status = bench_read_tests(b, err);
    if (!status) status = bench_open_arrays(b, err);
    if (!status) status = cli_open_topo(b->c, err);
    return status ? status : cli_open_weights(b->c, err);
}

/* --- cells ------------------------------------------------------------------------------------ */

static omni_status count_tests(bench *b, size_t *cells, omni_error *err) {
    const size_t lists[] = {b->decodes ? b->decodes : 1, b->pes.count, b->workers.count, b->batch.count};
    bool fits = true;
    *cells = b->plans;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        fits = fits && omni_size_mul(*cells, lists[i], cells);
    if (fits && omni_size_mul(*cells, b->tests, &b->total)) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "bench: too many tests (expected shorter lists)");
}

static bench_cell cell_at(const bench *b, size_t i) {
    size_t decodes = b->decodes ? b->decodes : 1;
    bench_cell cell = {.batch = b->batch.value[i % b->batch.count]};
    cell.workers = b->workers.value[(i /= b->batch.count) % b->workers.count];
    cell.pes = b->pes.value[(i /= b->workers.count) % b->pes.count];
    i /= b->pes.count;
    cell.resident = omni_settings_flag(b->c->settings, OMNI_OPT_RESIDENT);
    if (b->decodes) cell.decode = &b->decode[i % decodes];
    cell.plan = &b->plan[i / decodes];
    return cell;
}

/* A cell for each test, with the plan that is best for it; or without, where it is longer than the model. */
static omni_status run_automatic(bench *b, bench_cell cell, omni_error *err) {
    omni_status status = OMNI_OK;
    for (size_t i = 0; i < b->tests && !status; i++) {
        bench_cell one = cell;
        omni_plan_spec plan;
        cli_schedule *decode = NULL;
        one.only = &b->test[i];
        if (bench_positions(one.only) <= b->c->model->shape.positions)
            status = bench_choose(b, one.only, &one, &plan, &decode, err);
        if (!status) status = bench_run_cell(b, one, err);
        cli_schedules_free(decode, decode != NULL);
    }
    return status;
}

static omni_status run_cells(bench *b, omni_error *err) {
    size_t cells;
    omni_status status = count_tests(b, &cells, err);
    if (!status) status = bench_measure_limits(b, err);
    if (status) return status;
    bench_report_begin(b);
    cli_progress_begin(&b->bar, b->c, CLI_TIMED_STEPS, "bench", b->total);
    for (size_t i = 0; i < cells && !status; i++) {
        status = cli_stopped(err);
        bench_cell cell = cell_at(b, i);
        if (!status) status = (bench_is_automatic(cell.plan) ? run_automatic : bench_run_cell)(b, cell, err);
    }
    cli_progress_end(&b->bar);
    return status;
}

/* --- the command ------------------------------------------------------------------------------ */

static void close_bench(bench *b) {
    json_decref(b->records);
    omni_table_free(b->table);
    omni_text_free(b->lines);
    omni_table_free(b->perf_table);
    omni_text_free(b->perf_reasons);
    omni_perf_control_close(b->control);
    bench_free_limits(&b->limits);
    price_arrays_free(b->array, b->arrays);
    omni_free(b->test);
    omni_free(b->plan);
    cli_schedules_free(b->decode, b->decodes);
    omni_free(b->pes.value);
    omni_free(b->workers.value);
    omni_free(b->batch.value);
}

omni_status cli_bench(cli *c, omni_error *err) {
    bench b = {.c = c};
    omni_status status = read_lists(&b, err);
    if (!status) status = open_all(&b, err);
    if (!status) status = run_cells(&b, err);
    if (omni_stop_get(&cli_stop) == OMNI_INTERRUPTED) bench_report_interrupted(&b);
    if (!status) status = bench_report(&b, err);
    if (!status && b.measured == 0)
        status = omni_error_set(err, OMNI_BAD_INPUT, "bench: nothing could be built (%.300s)", b.reason);
    close_bench(&b);
    return status;
}
