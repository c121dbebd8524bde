/* calibrate.c: `omnibus calibrate`: this host as an array file, and how far prices by it are from the clock.
 *
 *   --out checked  ->  rates, and what they are held against, measured in turn  ->  file, report
 *
 * The file is whole or not there: it is written when everything has been measured.
 */
#include <math.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "omnibus/calibrate.h"
#include "omnibus/kernel.h"

/* --- the file --------------------------------------------------------------------------------- */

static omni_status write_file(const cli *c, const omni_rates *rates, omni_error *err) {
    const char *path = cli_value(c, OMNI_OPT_OUT);
    if (!path) return OMNI_OK;
    char *keys = omni_rates_text(rates);
    if (!keys) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    omni_text *text = omni_text_create();
    omni_text_add(
        text,
        "; This host as omnibus calibrate measured it: wall time, to predict what plans take here.\n"
        "; %s, math kernels %s. A message of so many bytes takes so many ns over so many workers with a PE\n"
        "; each, and further_pe_ns for each further PE of a worker; a product so many ps for each weight\n"
        "; and each output, all its rows together; what is between two sizes lies on a line.\n",
        omni_topo_host(c->topo)->cpu_model, omni_isa_name(omni_kernel_isa()));
    omni_text_add(text, "%s", keys);
    omni_status status = omni_text_emit(text, path, err);
    omni_text_free(text);
    free(keys);
    return status;
}

/* --- the report ------------------------------------------------------------------------------- */

static double error_of(const omni_calibrate_row *r) {
    return 100 * (r->predicted_ns / r->wall_ns - 1);
}

static json_t *row_json(const omni_calibrate_row *r) {
    json_t *o = json_object();
    cli_set(&o, "kind", json_string(r->kind));
    cli_set(&o, "what", json_string(r->what));
    cli_set(&o, "shape", json_string(r->shape));
    cli_set(&o, "pes", cli_size(r->pes));
    cli_set(&o, "workers", cli_size(r->workers));
    cli_set(&o, "predicted_ns", omni_json_number(r->predicted_ns));
    cli_set(&o, "wall_ns", omni_json_number(r->wall_ns));
    cli_set(&o, "wall_low_ns", omni_json_number(r->low_ns));
    cli_set(&o, "wall_high_ns", omni_json_number(r->high_ns));
    cli_set(&o, "error_percent", omni_json_number(error_of(r)));
    cli_set(&o, "round_error_percent", omni_json_number(r->round_error_percent));
    cli_set(&o, "repeat_percent", omni_json_number(r->repeat_percent));
    return o;
}

static void draw_row(omni_table *t, const omni_calibrate_row *r) {
    omni_table_cell(t, "%s", r->kind);
    omni_table_cell(t, "%s", r->what);
    omni_table_cell(t, "%s", r->shape);
    omni_table_cell(t, "%zu", r->pes);
    omni_table_cell(t, "%zu", r->workers);
    omni_table_cell(t, "%.4g", r->predicted_ns * 1e-3);
    omni_table_cell(t, "%.4g", r->wall_ns * 1e-3);
    omni_table_cell(t, "%+.1f", error_of(r));
    omni_table_cell(t, "%+.1f", r->round_error_percent);
    omni_table_cell(t, "%.1f", r->repeat_percent);
    omni_table_cell(t, "%.4g", r->low_ns * 1e-3);
    omni_table_cell(t, "%.4g", r->high_ns * 1e-3);
}

/* Errors of a kind, where every PE has a worker or where some share one. */
static const struct {
    const char *kind, *name;
    bool shared;
    double aim; /* percent; 0: none */
} groups[] = {{"collective", "collectives, a PE a worker", false, 10},
              {"collective", "collectives, PEs share workers", true, 0},
              {"op", "ops", false, 0},
              {"block", "blocks, a PE a worker", false, 5},
              {"block", "blocks, PEs share workers", true, 0}};

/* Of the rows of a group. */
typedef struct sum {
    size_t rows, within;
    double error, worst, round_error, repeat; /* percent; medians but for the worst */
} sum;

static bool sum_up(const omni_calibrate_row *row, size_t count, size_t g, sum *out) {
    double *x = omni_alloc_array(3 * count + 1, sizeof *x);
    *out = (sum){0};
    for (size_t i = 0; x && i < count; i++) {
        if (strcmp(row[i].kind, groups[g].kind) != 0 || (row[i].pes > row[i].workers) != groups[g].shared)
            continue;
        double error = fabs(error_of(&row[i]));
        out->worst = fmax(out->worst, error);
        out->within += error <= groups[g].aim;
        x[out->rows] = error;
        x[count + out->rows] = fabs(row[i].round_error_percent);
        x[2 * count + out->rows++] = row[i].repeat_percent;
    }
    if (x) {
        out->error = omni_median(x, out->rows);
        out->round_error = omni_median(x + count, out->rows);
        out->repeat = omni_median(x + 2 * count, out->rows);
    }
    omni_free(x);
    return out->rows > 0;
}

static void summarize(const omni_calibrate_row *row, size_t count, size_t g, omni_table *t, json_t **list) {
    sum s;
    bool aims = groups[g].aim > 0;
    if (!sum_up(row, count, g, &s)) return;
    json_t *o = json_object();
    cli_set(&o, "group", json_string(groups[g].name));
    cli_set(&o, "rows", cli_size(s.rows));
    cli_set(&o, "median_error_percent", omni_json_number(s.error));
    cli_set(&o, "worst_error_percent", omni_json_number(s.worst));
    cli_set(&o, "median_round_error_percent", omni_json_number(s.round_error));
    cli_set(&o, "median_repeat_percent", omni_json_number(s.repeat));
    cli_set(&o, "aim_percent", aims ? omni_json_number(groups[g].aim) : json_null());
    cli_set(&o, "within_aim", aims ? cli_size(s.within) : json_null());
    cli_append(list, o);
    omni_table_cell(t, "%s", groups[g].name);
    omni_table_cell(t, "%zu", s.rows);
    omni_table_cell(t, "%.1f", s.error);
    omni_table_cell(t, "%.1f", s.worst);
    omni_table_cell(t, "%.1f", s.round_error);
    omni_table_cell(t, "%.1f", s.repeat);
    omni_table_cell(t, aims ? "%.0f" : "-", groups[g].aim);
    omni_table_cell(t, aims ? "%zu" : "-", s.within);
}

static omni_status report(const cli *c, const omni_calibrate_row *row, size_t count, double seconds,
                          omni_error *err) {
    static const char *const headers[] = {"kind",        "what",          "shape",    ">PEs",
                                          ">workers",    ">predicted us", ">wall us", ">error %",
                                          ">in a round", ">repeat %",     ">low",     ">high"};
    static const char *const totals[] = {"errors",        ">rows",     ">median %", ">worst %",
                                         ">in a round %", ">repeat %", ">aim %",    ">within"};
    json_t *root = cli_envelope(c), *rows = json_array(), *summary = json_array();
    omni_table *t = omni_table_create(headers, 12), *s = omni_table_create(totals, 8);
    omni_text *page = omni_text_create();
    for (size_t i = 0; i < count; i++) {
        cli_append(&rows, row_json(&row[i]));
        draw_row(t, &row[i]);
    }
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) summarize(row, count, g, s, &summary);
    omni_table_draw(t, page);
    omni_text_add(page, "\n");
    omni_table_draw(s, page);
    omni_text_add(page, "\nmeasured in %.0f s%s%s\n", seconds, cli_value(c, OMNI_OPT_OUT) ? ": " : "",
                  cli_value(c, OMNI_OPT_OUT) ? cli_value(c, OMNI_OPT_OUT) : "");
    omni_table_free(t);
    omni_table_free(s);
    cli_set(&root, "isa", json_string(omni_isa_name(omni_kernel_isa())));
    cli_set(&root, "file", omni_json_string(cli_value(c, OMNI_OPT_OUT)));
    cli_set(&root, "calibrate_s", omni_json_number(seconds));
    cli_set(&root, "summary", summary);
    cli_set(&root, "predictions", rows);
    return cli_emit(c, root, json_object_get(root, "predictions"), page, err);
}

/* --- the command ------------------------------------------------------------------------------ */

typedef struct watcher {
    const cli *c;
    cli_progress bar;
    bool begun;
} watcher;

static void show_step(void *user, size_t done, size_t total, const char *what) {
    watcher *w = user;
    if (!w->begun) cli_progress_begin(&w->bar, w->c, CLI_TIMED_STEPS, "calibrate", total);
    w->begun = true;
    cli_progress_step(&w->bar, done, what);
}

static omni_status measure(cli *c, omni_rates *rates, omni_error *err) {
    watcher w = {.c = c};
    omni_calibrate_options o = {c->topo, &cli_stop, show_step, &w};
    omni_calibrate_row *row = NULL;
    size_t count = 0;
    uint64_t begin = omni_clock_ns();
    omni_status status = omni_calibrate(&o, rates, &row, &count, err);
    double seconds = (double)(omni_clock_ns() - begin) * 1e-9;
    cli_progress_end(&w.bar);
    if (!status) status = write_file(c, rates, err);
    if (!status) status = report(c, row, count, seconds, err);
    omni_free(row);
    return status;
}

omni_status cli_calibrate(cli *c, omni_error *err) {
    omni_rates *rates = omni_alloc(sizeof *rates);
    omni_status status = rates ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "calibrate: out of memory");
    if (!status) status = omni_output_check(cli_value(c, OMNI_OPT_OUT), err);
    if (!status) status = omni_kernel_init(err);
    if (!status) status = cli_open_topo(c, err);
    if (!status) status = measure(c, rates, err);
    omni_free(rates);
    return status;
}
