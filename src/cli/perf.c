/* perf.c: --perf and --perf-ctl: attributes what workers' threads counted to phases, and shows it. */
#include <math.h>
#include <stdio.h>

#include "cli/perf.h"

enum { CONTROL_MS = 5000 };

static const char *const phase_names[CLI_PHASES] = {"prefill", "decode", "transform"};

/* --- counting --------------------------------------------------------------------------------- */

omni_status cli_perf_open(cli_perf *p, const omni_engine *e, size_t pes, omni_error *err) {
    if (!p->wanted) return OMNI_OK;
    size_t workers = omni_engine_workers(e);
    bool ok = (p->seen = omni_alloc_array(workers, sizeof *p->seen));
    for (size_t k = 0; k < CLI_PHASES; k++)
        ok &= (p->phase[k] = omni_alloc_array(workers, sizeof *p->phase[k])) != NULL;
    if (!ok) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the counts of %zu workers", workers);
    p->pes = pes;
    p->workers = workers;
    cli_perf_skip(p, e);
    return OMNI_OK;
}

void cli_perf_free(cli_perf *p) {
    omni_free(p->seen);
    for (size_t k = 0; k < CLI_PHASES; k++) omni_free(p->phase[k]);
    *p = (cli_perf){.wanted = p->wanted};
}

void cli_perf_take(cli_perf *p, const omni_engine *e, cli_phase phase) {
    for (size_t w = 0; w < p->workers; w++) {
        omni_perf_counts now, part;
        omni_engine_perf(e, w, &now);
        part = omni_perf_between(&p->seen[w], &now);
        omni_perf_add(&p->phase[phase][w], &part);
        p->seen[w] = now;
        p->used[phase] |= part.value[OMNI_PERF_TASK_NS] > 0;
    }
}

void cli_perf_skip(cli_perf *p, const omni_engine *e) {
    for (size_t w = 0; w < p->workers; w++) omni_engine_perf(e, w, &p->seen[w]);
}

void cli_perf_forget(cli_perf *p) {
    for (size_t k = 0; k < CLI_PHASES; k++) {
        p->used[k] = false;
        for (size_t w = 0; w < p->workers; w++) p->phase[k][w] = (omni_perf_counts){0};
    }
}

/* --- JSON ------------------------------------------------------------------------------------- */

static double ipc(const omni_perf_counts *c) {
    return omni_perf_value(c, OMNI_PERF_INSTRUCTIONS) / omni_perf_value(c, OMNI_PERF_CYCLES);
}

/* Of all phases and workers. */
static omni_perf_counts fold(const cli_perf *p) {
    omni_perf_counts sum = {0};
    for (size_t k = 0; k < CLI_PHASES; k++)
        for (size_t w = 0; p->used[k] && w < p->workers; w++) omni_perf_add(&sum, &p->phase[k][w]);
    return sum;
}

static json_t *row_json(const cli_perf *p, size_t phase, size_t w) {
    const omni_perf_counts *c = &p->phase[phase][w];
    omni_range ranks = omni_split(p->pes, p->workers, w);
    json_t *row = json_object();
    cli_set(&row, "phase", json_string(phase_names[phase]));
    cli_set(&row, "worker", cli_size(w));
    cli_set(&row, "first_pe", cli_size(ranks.start));
    cli_set(&row, "pes", cli_size(ranks.count));
    for (size_t i = 0; i < OMNI_PERF_EVENTS; i++) {
        double value = omni_perf_value(c, (omni_perf_event)i);
        cli_set(&row, omni_perf_event_name((omni_perf_event)i),
                isnan(value) ? json_null() : cli_size((uint64_t)value));
    }
    cli_set(&row, "ipc", omni_json_number(ipc(c)));
    return row;
}

json_t *cli_perf_json(const cli_perf *p) {
    if (p->workers == 0) return json_null();
    json_t *object = json_object(), *missing = json_object(), *rows = json_array();
    omni_perf_counts sum = fold(p);
    for (size_t i = 0; i < OMNI_PERF_EVENTS; i++) {
        const char *reason = omni_perf_reason(&sum, (omni_perf_event)i);
        if (reason) cli_set(&missing, omni_perf_event_name((omni_perf_event)i), json_string(reason));
    }
    for (size_t k = 0; k < CLI_PHASES; k++)
        for (size_t w = 0; p->used[k] && w < p->workers; w++) cli_append(&rows, row_json(p, k, w));
    cli_set(&object, "unavailable", missing);
    cli_set(&object, "counts", rows);
    return object;
}

/* --- page ------------------------------------------------------------------------------------- */

omni_table *cli_perf_table(void) {
    return omni_table_create((const char *const[]){"counted", "of", ">cycles", ">instructions", ">IPC",
                                                   ">cache misses", ">stalled front", ">back", ">migrations",
                                                   ">CPU time", ">switches", ">page faults"},
                             12);
}

/* Four digits and a unit of a thousand. */
static void add_count(omni_table *t, double value) {
    static const char units[] = " kMGTP";
    size_t unit = 0;
    if (isnan(value)) {
        omni_table_cell(t, "n/a");
        return;
    }
    if (value < 10000) {
        omni_table_cell(t, "%.0f", value);
        return;
    }
    for (; value >= 1000 && unit + 2 < sizeof units; value /= 1000) unit++;
    omni_table_cell(t, "%.*f %c", value < 10 ? 3 : value < 100 ? 2 : 1, value, units[unit]);
}

static void add_row(const cli_perf *p, size_t phase, size_t w, omni_table *t) {
    const omni_perf_counts *c = &p->phase[phase][w];
    omni_range ranks = omni_split(p->pes, p->workers, w);
    if (ranks.count == 1)
        omni_table_cell(t, "PE %zu", ranks.start);
    else
        omni_table_cell(t, "worker %zu (PE %zu-%zu)", w, ranks.start, ranks.start + ranks.count - 1);
    add_count(t, omni_perf_value(c, OMNI_PERF_CYCLES));
    add_count(t, omni_perf_value(c, OMNI_PERF_INSTRUCTIONS));
    if (isnan(ipc(c)))
        omni_table_cell(t, "n/a");
    else
        omni_table_cell(t, "%.2f", ipc(c));
    for (size_t i = OMNI_PERF_CACHE_MISSES; i < OMNI_PERF_TASK_NS; i++)
        add_count(t, omni_perf_value(c, (omni_perf_event)i));
    omni_table_cell(t, "%.4f s", omni_perf_value(c, OMNI_PERF_TASK_NS) * 1e-9);
    add_count(t, omni_perf_value(c, OMNI_PERF_SWITCHES));
    add_count(t, omni_perf_value(c, OMNI_PERF_FAULTS));
}

void cli_perf_rows(const cli_perf *p, const char *first, const char *before, omni_table *t) {
    for (size_t k = 0; k < CLI_PHASES; k++)
        for (size_t w = 0; p->used[k] && w < p->workers; w++) {
            omni_table_cell(t, "%s%s", before, k == CLI_PREFILL ? first : phase_names[k]);
            add_row(p, k, w, t);
        }
}

/* One line for each reason, with all that it holds for. */
void cli_perf_reasons(const cli_perf *p, omni_text *page) {
    omni_perf_counts sum = fold(p);
    for (size_t i = 0; i < OMNI_PERF_EVENTS; i++) {
        const char *reason = omni_perf_reason(&sum, (omni_perf_event)i), *separator = "n/a: ";
        bool told = false;
        for (size_t k = 0; k < i && reason; k++) told |= omni_perf_reason(&sum, (omni_perf_event)k) == reason;
        if (!reason || told) continue;
        for (size_t k = i; k < OMNI_PERF_EVENTS; k++) {
            if (omni_perf_reason(&sum, (omni_perf_event)k) != reason) continue;
            omni_text_add(page, "%s%s", separator, omni_perf_event_name((omni_perf_event)k));
            separator = ", ";
        }
        omni_text_add(page, ": %s\n", reason);
    }
}

/* --- control ---------------------------------------------------------------------------------- */

omni_status cli_perf_control(const cli *c, omni_perf_control **out, omni_error *err) {
    const char *text = omni_settings_get(c->settings, OMNI_OPT_PERF_CTL);
    if (!text) return OMNI_OK;
    return omni_perf_control_open(text, omni_settings_where(c->settings, OMNI_OPT_PERF_CTL), CONTROL_MS, out,
                                  err);
}
