/* tables.c: the tables of a report: what was checked, and all figures. */
#include <stdio.h>

#include "picture/internal.h"

enum { MOST_ROWS = 1000, UNFOLDED = 20 };

static void add_cell(omni_text *out, const char *kind, const char *s) {
    omni_text_add(out, "<td class=\"%s\">", kind);
    page_escape(out, s);
    omni_text_add(out, "</td>");
}

static void add_number(omni_text *out, double x, const char *format) {
    char cell[48] = "";
    if (isfinite(x)) snprintf(cell, sizeof cell, format, x);
    omni_text_add(out, "<td>%s</td>", cell);
}

static void cut_note(omni_text *out, size_t count) {
    if (count > MOST_ROWS)
        omni_text_add(out, "<p class=\"dim\">%d of %zu rows; the files have all.</p>\n", MOST_ROWS, count);
}

/* --- what was checked ------------------------------------------------------------------------- */

static double number(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *string(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void add_verdict(omni_text *out, const json_t *row) {
    const json_t *passed = json_object_get(row, "passed");
    bool failed = json_is_false(passed);
    char text[600];
    if (json_is_true(passed))
        snprintf(text, sizeof text, "ok");
    else
        snprintf(text, sizeof text, "%s%.500s",
                 failed ? "FAILED: " : "skipped: ", string(row, failed ? "first_bad" : "skipped"));
    add_cell(out, failed ? "l bad" : "l", text);
}

static void add_case(omni_text *out, const json_t *row) {
    const char *plan = string(row, "plan"), *decode = string(row, "decode_plan");
    char name[520];
    snprintf(name, sizeof name, "%.250s%s%.250s", plan, strcmp(plan, decode) ? " then " : "",
             strcmp(plan, decode) ? decode : "");
    omni_text_add(out, "<tr>");
    add_cell(out, "l name", name);
    add_number(out, number(row, "pes"), "%.0f");
    add_verdict(out, row);
    add_number(out, number(row, "rel_max"), "%.1e");
    add_number(out, number(row, "row_rel"), "%.1e");
    add_number(out, number(row, "tolerance"), "%.0e");
    add_number(out, number(row, "argmax_matched"), "%.0f");
    add_number(out, number(row, "argmax_compared"), "%.0f");
    omni_text_add(out, "</tr>\n");
}

static void add_check(omni_text *out, const json_t *file) {
    const json_t *result = json_object_get(file, "result"), *cases = json_object_get(result, "cases"), *row;
    size_t passed = 0, failed = 0, i;
    json_array_foreach(cases, i, row) {
        passed += json_is_true(json_object_get(row, "passed"));
        failed += json_is_false(json_object_get(row, "passed"));
    }
    size_t all = json_array_size(cases);
    omni_text_add(out, "<details%s><summary>", all <= UNFOLDED ? " open" : "");
    page_escape(out, string(json_object_get(result, "model"), "name"));
    omni_text_add(out, ": <strong%s>%zu passed, %zu failed, %zu skipped</strong>, against ",
                  failed ? " class=\"bad\"" : "", passed, failed, all - passed - failed);
    page_escape(out, string(result, "truth"));
    omni_text_add(out,
                  "</summary>\n<div class=\"wide\"><table><thead><tr><th class=\"l\">plan</th><th>PEs</th>"
                  "<th class=\"l\">result</th><th>largest error</th><th>worst row</th><th>allowed</th>"
                  "<th>tokens that agree</th><th>of</th></tr></thead><tbody>\n");
    json_array_foreach(cases, i, row) if (i < MOST_ROWS) add_case(out, row);
    omni_text_add(out, "</tbody></table></div>\n");
    cut_note(out, all);
    omni_text_add(out, "</details>\n");
}

void page_checks(omni_text *out, const omni_results *r) {
    size_t i, checks = 0;
    const json_t *file;
    json_array_foreach(omni_results_files(r), i, file) {
        if (strcmp(string(json_object_get(file, "result"), "schema"), READ_CHECK) != 0) continue;
        if (checks++ == 0) omni_text_add(out, "<section id=\"check\"><h2>Is the output right?</h2>\n");
        add_check(out, file);
    }
    if (checks) omni_text_add(out, "</section>\n");
}

/* --- all figures ------------------------------------------------------------------------------ */

enum { PES, BATCH, MS, PREDICTED, RATE, PART, BUS = PART + OMNI_POINT_PARTS, TREE, COLUMNS };

static double value_of(const omni_point *p, size_t column) {
    switch (column) {
    case PES:
        return p->pes ? (double)p->pes : NAN;
    case BATCH:
        return p->batch ? (double)p->batch : NAN;
    case MS:
        return p->s * 1e3;
    case PREDICTED:
        return p->predicted_s * 1e3;
    case RATE:
        return p->tokens_per_s;
    case BUS:
        return p->bus_bytes;
    case TREE:
        return p->tree_bytes;
    default:
        return 100 * p->part[column - PART] / p->s;
    }
}

static const char *format_of(size_t column) {
    bool count = column == PES || column == BATCH || column == BUS || column == TREE;
    return count ? "%.0f" : column < PART ? "%.4g" : "%.1f";
}

static void add_heading(omni_text *out, size_t column) {
    static const char *const names[COLUMNS] = {
        [PES] = "PEs",       [BATCH] = "batch",   [MS] = "ms",          [PREDICTED] = "predicted ms",
        [RATE] = "tokens/s", [BUS] = "bus bytes", [TREE] = "tree bytes"};
    if (names[column])
        omni_text_add(out, "<th>%s</th>", names[column]);
    else
        omni_text_add(out, "<th>%s %%</th>", omni_point_part_name((omni_point_part)(column - PART)));
}

/* Columns of which something is known. */
static void find_columns(const omni_results *r, bool known[COLUMNS]) {
    for (size_t k = 0; k < COLUMNS; k++) {
        known[k] = false;
        for (size_t i = 0; i < omni_results_count(r) && !known[k]; i++)
            known[k] = isfinite(value_of(omni_results_at(r, i), k));
    }
}

static void add_row(omni_text *out, const omni_point *p, const bool known[COLUMNS]) {
    omni_text_add(out, "<tr>");
    add_cell(out, "l name", p->plan);
    add_cell(out, "l", p->test);
    for (size_t k = 0; k < COLUMNS; k++)
        if (known[k]) add_number(out, value_of(p, k), format_of(k));
    add_cell(out, "l", p->modelled ? "modelled" : isfinite(p->s) ? "measured" : "counted");
    add_cell(out, "l", p->source);
    add_cell(out, "l", p->model);
    omni_text_add(out, "</tr>\n");
}

void page_figures(omni_text *out, const omni_results *r) {
    size_t count = omni_results_count(r);
    bool known[COLUMNS];
    if (count == 0) return;
    find_columns(r, known);
    omni_text_add(out, "<section id=\"table\"><h2>All figures</h2>\n<div class=\"wide\"><table><thead><tr>"
                       "<th class=\"l\">plan</th><th class=\"l\">test</th>");
    for (size_t k = 0; k < COLUMNS; k++)
        if (known[k]) add_heading(out, k);
    omni_text_add(out,
                  "<th class=\"l\">kind</th><th class=\"l\">on</th><th class=\"l\">model</th></tr></thead>"
                  "<tbody>\n");
    for (size_t i = 0; i < count && i < MOST_ROWS; i++) add_row(out, omni_results_at(r, i), known);
    omni_text_add(out, "</tbody></table></div>\n");
    cut_note(out, count);
    omni_text_add(out, "</section>\n");
}
