/* bench_report.c: a record for each test, from which every format is made.
 *
 *   table           a line a test, at the end        md, csv   a row a test, all fields, at the end
 *   json            one document, at the end         jsonl     a line a test, as soon as it is measured; each
 *                                                              has the host, the settings and the limits too
 *
 * To a file everything is written at the end, or not at all. After Ctrl-C stdout gets the rows that there
 * are, but no half document; lines are there already.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "omnibus/kernel.h"
#include "price.h"

/* --- JSON ------------------------------------------------------------------------------------- */

/* Adds the fields of `from`, and takes it; a failure drops the object, as cli_set does. */
static void take_fields(json_t **object, json_t *from) {
    if (json_object_update(*object, from)) {
        json_decref(*object);
        *object = NULL;
    }
    json_decref(from);
}

static json_t *numbers_json(const double *x, size_t count, bool whole) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        cli_append(&list, whole ? cli_size((uint64_t)x[i]) : omni_json_number(x[i]));
    return list;
}

static const char *const share_names[] = {"compute", "bus", "tree", "host", "wait", "rest"};
enum { SHARES = sizeof share_names / sizeof *share_names };

/* NaN when no pass took place. */
static void shares_of(const omni_profile *p, double share[SHARES]) {
    const uint64_t ns[SHARES] = {p->compute_ns, p->bus_ns, p->tree_ns, p->host_ns, p->wait_ns, p->rest_ns};
    double sum = 0;
    for (size_t i = 0; i < SHARES; i++) sum += (double)ns[i];
    for (size_t i = 0; i < SHARES; i++) share[i] = (double)ns[i] / sum;
}

static json_t *shares_json(const omni_profile *p) {
    double share[SHARES];
    json_t *object = json_object();
    shares_of(p, share);
    for (size_t i = 0; i < SHARES; i++) cli_set(&object, share_names[i], omni_json_number(share[i]));
    return object;
}

/* What the median repetition reached: one that a neighbour disturbed should not count. NaN: not known. */
static double fraction_of(const bench *b, const bench_result *r, const char **bound) {
    double *ns = omni_alloc_array(b->reps, sizeof *ns), least = bench_work_least_ns(&r->work, bound);
    if (!ns) return NAN;
    memcpy(ns, r->ns, b->reps * sizeof *ns);
    double fraction = least / omni_median(ns, b->reps);
    omni_free(ns);
    return fraction;
}

static json_t *limit_json(const bench *b, const bench_result *r) {
    const bench_work *w = &r->work;
    const char *bound;
    json_t *object = json_object();
    double fraction = fraction_of(b, r, &bound);
    cli_set(&object, "flops", omni_json_number(w->phase[0].flops + w->phase[1].flops));
    cli_set(&object, "bytes", omni_json_number(w->phase[0].bytes + w->phase[1].bytes));
    cli_set(&object, "flops_per_s", omni_json_number(w->peak));
    cli_set(&object, "read_bytes_per_s", omni_json_number(w->read));
    cli_set(&object, "least_ns", omni_json_number(bench_work_least_ns(w, &bound)));
    cli_set(&object, "bound", omni_json_string(bound));
    cli_set(&object, "fraction", omni_json_number(fraction));
    return object;
}

static const char *decode_name(const bench_cell *cell) {
    return cell->decode ? cell->decode->name : cell->plan->name;
}

static double modelled_ts(const bench_cell *cell, const bench_test *t, const bench_result *r) {
    double tokens = (double)cell->batch * (double)(t->prompt + t->gen);
    return r->modelled.ps ? tokens / ((double)r->modelled.ps * 1e-12) : NAN;
}

static json_t *modelled_json(const bench *b, const bench_cell *cell, const bench_test *t,
                             const bench_result *r) {
    const bench_modelled *m = &r->modelled;
    bool known = !omni_array_is_host(b->array[0]);
    json_t *object = json_object();
    cli_set(&object, "array", omni_json_string(omni_array_name(b->array[0])));
    cli_set(&object, "ns", omni_json_number((double)m->ps * 1e-3));
    cli_set(&object, "ts", omni_json_number(modelled_ts(cell, t, r)));
    cli_set(&object, "transform_ns", known ? omni_json_number((double)m->transform_ps * 1e-3) : json_null());
    cli_set(&object, "energy_pj", price_energy_json(m->energy_pj));
    cli_set(&object, "memory_bytes", cli_size(m->need.all_bytes));
    cli_set(&object, "fits", json_boolean(m->fits));
    return object;
}

static json_t *measured_json(const bench *b, const bench_cell *cell, const bench_test *t,
                             const bench_result *r) {
    json_t *object = json_object();
    cli_set(&object, "avg_ns", omni_json_number(omni_mean(r->ns, b->reps)));
    cli_set(&object, "stddev_ns", omni_json_number(omni_stddev(r->ns, b->reps)));
    cli_set(&object, "avg_ts", omni_json_number(omni_mean(r->ts, b->reps)));
    cli_set(&object, "stddev_ts", omni_json_number(omni_stddev(r->ts, b->reps)));
    cli_set(&object, "samples_ns", numbers_json(r->ns, b->reps, true));
    cli_set(&object, "samples_ts", numbers_json(r->ts, b->reps, false));
    cli_set(&object, "transform_ns", omni_json_number(r->transform_ns));
    cli_set(&object, "shares", shares_json(&r->profile));
    cli_set(&object, "limit", limit_json(b, r));
    cli_set(&object, "fabric", omni_json_counters(&r->fabric));
    cli_set(&object, "transform", omni_json_counters(&r->transform));
    cli_set(&object, "perf", r->perf ? cli_perf_json(r->perf) : json_null());
    if (b->array) cli_set(&object, "modelled", modelled_json(b, cell, t, r));
    return object;
}

/* The same fields, so that every row has the same columns, but no values. */
static void forget_values(json_t *object) {
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        if (json_is_object(json_object_iter_value(at)))
            forget_values(json_object_iter_value(at));
        else
            json_object_iter_set_new(object, at, json_null());
    }
}

static json_t *record_json(const bench *b, const bench_cell *cell, const bench_test *t,
                           const bench_result *r) {
    json_t *record = json_object(), *measured = measured_json(b, cell, t, r);
    cli_set(&record, "model_name", omni_json_string(b->c->model->name));
    cli_set(&record, "plan", omni_json_string(cell->plan->name));
    cli_set(&record, "decode_plan", omni_json_string(decode_name(cell)));
    cli_set(&record, "pes", cli_size(cell->pes));
    cli_set(&record, "workers", cell->workers ? cli_size(cell->workers) : json_null());
    cli_set(&record, "batch", cli_size(cell->batch));
    cli_set(&record, "test", omni_json_string(t->name));
    cli_set(&record, "depth", cli_size(t->depth));
    cli_set(&record, "prompt", cli_size(t->prompt));
    cli_set(&record, "gen", cli_size(t->gen));
    cli_set(&record, "tokens", cli_size(cell->batch * (t->prompt + t->gen)));
    cli_set(&record, "skipped", omni_json_string(r->skipped[0] ? r->skipped : NULL));
    if (r->skipped[0]) forget_values(measured);
    take_fields(&record, measured);
    return record;
}

static json_t *limits_json(const bench_limits *l) {
    if (!l->host) return json_null();
    json_t *object = json_object(), *list = json_array();
    cli_set(&object, "read_kernel", omni_json_string(omni_host_read_kernel(l->host)));
    cli_set(&object, "sgemm_n", cli_size(omni_host_peak_n(l->host)));
    for (size_t n = 1; n <= l->cores; n++) {
        if (l->read[n] == 0) continue;
        json_t *one = json_object();
        cli_set(&one, "cores", cli_size(n));
        cli_set(&one, "read_bytes_per_s", omni_json_number(l->read[n]));
        cli_set(&one, "flops_per_s", omni_json_number(l->peak[n]));
        cli_append(&list, one);
    }
    cli_set(&object, "rates", list);
    return object;
}

static json_t *envelope(const bench *b) {
    json_t *root = cli_envelope(b->c);
    cli_set(&root, "isa", omni_json_string(omni_isa_name(omni_kernel_isa())));
    cli_set(&root, "model", cli_model_json(b->c->model));
    cli_set(&root, "limits", limits_json(&b->limits));
    if (b->array) cli_set(&root, "array", omni_json_string(omni_array_name(b->array[0])));
    return root;
}

/* --- page ------------------------------------------------------------------------------------- */

static void draw_limits(const bench_limits *l, omni_text *page) {
    if (!l->host) return;
    for (size_t n = 1; n <= l->cores; n++) {
        if (l->read[n] == 0) continue;
        omni_text_add(page, "limit  %zu core%s: reads %.1f GB/s", n, n == 1 ? "" : "s", l->read[n] * 1e-9);
        if (!isnan(l->peak[n])) omni_text_add(page, ", multiplies %.1f GFLOP/s", l->peak[n] * 1e-9);
        omni_text_add(page, "\n");
    }
    omni_text_add(page, "       (by %s; BLIS's sgemm, n = %zu)\n", omni_host_read_kernel(l->host),
                  omni_host_peak_n(l->host));
}

static const char *array_word(const bench *b) {
    return omni_array_is_host(b->array[0]) ? "predicted" : "modelled";
}

static void draw_head(const bench *b, omni_text *page) {
    const omni_shape *s = &b->c->model->shape;
    const omni_host *h = omni_topo_host(b->c->topo);
    omni_text_add(page,
                  "model  %s: %s, %zu layers, hidden %zu, %zu heads, %zu kv heads, ffn %zu, vocabulary %zu\n",
                  b->c->model->name, b->c->model->family, s->layers, s->hidden, s->heads, s->kv_heads, s->ffn,
                  s->vocab);
    omni_text_add(page, "host   %s, %zu of %zu cores, kernels %s, %s\n", h->cpu_model, b->limits.cores,
                  h->cores, omni_isa_name(omni_kernel_isa()), h->kernel);
    draw_limits(&b->limits, page);
    if (b->array)
        omni_text_add(page, "array  %s: %s t/s is what the same passes would reach there\n",
                      omni_array_name(b->array[0]), array_word(b));
    omni_text_add(page,
                  "runs   %zu of each test after a warm-up, seed %zu; t/s: mean ± standard deviation\n\n",
                  b->reps, b->seed);
}

static void begin_row(const bench *b, const bench_cell *cell, const bench_test *t) {
    omni_table_cell(b->table, "%s", cell->plan->name);
    if (b->decodes || b->automatic) omni_table_cell(b->table, "%s", decode_name(cell));
    omni_table_cell(b->table, "%zu", cell->pes);
    if (cell->workers)
        omni_table_cell(b->table, "%zu", cell->workers);
    else
        omni_table_cell(b->table, "-");
    omni_table_cell(b->table, "%zu", cell->batch);
    omni_table_cell(b->table, "%s", t->name);
}

static void add_row(const bench *b, const bench_cell *cell, const bench_test *t, const bench_result *r) {
    double share[SHARES];
    const char *bound;
    begin_row(b, cell, t);
    if (r->skipped[0]) {
        for (size_t i = 0; i < 7 + b->arrays; i++) omni_table_cell(b->table, "-");
        omni_table_cell(b->table, "skipped: %s", r->skipped);
        return;
    }
    double fraction = fraction_of(b, r, &bound);
    shares_of(&r->profile, share);
    omni_table_cell(b->table, "%.2f ± %.2f", omni_mean(r->ts, b->reps), omni_stddev(r->ts, b->reps));
    if (b->array)
        omni_table_cell(b->table, "%.2f%s", modelled_ts(cell, t, r),
                        r->modelled.fits ? "" : " (does not fit)");
    if (isnan(fraction))
        omni_table_cell(b->table, "-");
    else
        omni_table_cell(b->table, "%.0f%% of %s", 100 * fraction, bound);
    for (size_t i = 0; i < 3; i++) omni_table_cell(b->table, "%.1f%%", 100 * share[i]);
    omni_table_cell(b->table, "%.1f%%", 100 * share[4]);
    omni_table_cell(b->table, "%.1f%%", 100 * (share[3] + share[5]));
    omni_table_cell(b->table, "%s", "");
}

/* In front of each phase: the plan, PEs, batch and test. */
static void add_perf(bench *b, const bench_cell *cell, const bench_test *t, const bench_result *r) {
    char what[400];
    if (!b->perf_table || !r->perf) return;
    snprintf(what, sizeof what, "%.200s, %zu PE%s, batch %zu, %s: ", cell->plan->name, cell->pes,
             cell->pes == 1 ? "" : "s", cell->batch, t->name);
    cli_perf_rows(r->perf, b->c->model->shape.encoder ? "encode" : "prefill", what, b->perf_table);
    if (b->perf_reasons) return;
    b->perf_reasons = omni_text_create();
    cli_perf_reasons(r->perf, b->perf_reasons);
}

static omni_text *draw(const bench *b) {
    omni_text *page = omni_text_create();
    draw_head(b, page);
    omni_table_draw(b->table, page);
    if (!b->perf_reasons) return page; /* not asked for, or all tests were skipped */
    omni_text_add(page, "\n");
    omni_table_draw(b->perf_table, page);
    omni_text_add(page, "%s", omni_text_string(b->perf_reasons));
    return page;
}

/* --- the result ------------------------------------------------------------------------------- */

void bench_report_begin(bench *b) {
    static const char *const headers[] = {"plan", "decode plan", ">pes",  ">workers",  ">batch",
                                          "test", ">t/s",        NULL,    ">of limit", ">compute",
                                          ">bus", ">tree",       ">wait", ">other",    ""};
    const char *used[sizeof headers / sizeof *headers];
    char modelled[32];
    size_t n = 0;
    bool decodes = b->decodes || b->automatic;
    if (b->array) snprintf(modelled, sizeof modelled, ">%s t/s", array_word(b));
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        if ((i == 1 && !decodes) || (i == 7 && !b->array)) continue;
        used[n++] = i == 7 ? modelled : i == 6 && b->array ? ">wall t/s" : headers[i];
    }
    b->records = json_array();
    b->table = omni_table_create(used, n);
    if (omni_settings_flag(b->c->settings, OMNI_OPT_PERF)) b->perf_table = cli_perf_table();
    b->lines = omni_text_create();
}

/* Host, settings and limits, then the record: each line can stand alone. */
static omni_status add_line(bench *b, json_t *record, omni_error *err) {
    json_t *line = envelope(b);
    take_fields(&line, json_incref(record));
    omni_json_draw_line(line, b->lines);
    json_decref(line);
    if (b->c->output) return OMNI_OK;
    omni_status status = omni_text_emit(b->lines, NULL, err);
    omni_text_free(b->lines);
    b->lines = omni_text_create();
    return status;
}

omni_status bench_report_test(bench *b, const bench_cell *cell, const bench_test *t, const bench_result *r,
                              omni_error *err) {
    json_t *record = record_json(b, cell, t, r);
    omni_status status = b->c->format == OMNI_FORMAT_JSONL ? add_line(b, record, err) : OMNI_OK;
    cli_append(&b->records, record);
    add_row(b, cell, t, r);
    add_perf(b, cell, t, r);
    ++*(r->skipped[0] ? &b->skipped : &b->measured);
    if (r->skipped[0] && !b->reason[0]) snprintf(b->reason, sizeof b->reason, "%s", r->skipped);
    return status;
}

omni_status bench_report(bench *b, omni_error *err) {
    json_t *root = envelope(b);
    bool lines = b->c->format == OMNI_FORMAT_JSONL;
    omni_text *page = lines ? b->lines : draw(b);
    if (lines) b->lines = NULL; /* cli_emit takes it */
    cli_set(&root, "tests", json_incref(b->records));
    return cli_emit(b->c, root, b->records, page, err);
}

void bench_report_interrupted(bench *b) {
    omni_format format = b->c->format;
    if (b->measured == 0 || b->c->output || format == OMNI_FORMAT_JSON || format == OMNI_FORMAT_JSONL) return;
    omni_text *page = format == OMNI_FORMAT_TABLE ? draw(b) : omni_text_create();
    if (format == OMNI_FORMAT_CSV) omni_csv_draw(b->records, page);
    if (format == OMNI_FORMAT_MD) omni_md_draw(b->records, page);
    (void)omni_text_emit(page, NULL, NULL); /* the status is 130 either way */
    omni_text_free(page);
    cli_note(b->c, "%zu of %zu tests were done", b->measured + b->skipped, b->total);
}
