/* page.c: a report as one HTML page that needs nothing else: no network, no script, no font.
 *
 *   which results, from which host, by which commands
 *   every picture that there are points for
 *   the points as a table
 */
#include <ctype.h>
#include <stdio.h>

#include "picture/internal.h"

enum { MOST_ROWS = 1000 };

static const char style[] =
    ":root{color-scheme:light dark;--fg:#1a1c1e;--bg:#fff;--dim:#5c6670;--line:#d5dae0;--box:#f4f6f8}\n"
    "@media(prefers-color-scheme:dark){:root{--fg:#e4e7ea;--bg:#15181b;--dim:#9aa4ae;--line:#363c43;--box:#"
    "1f2429}}\n"
    "body{margin:0 auto;max-width:64rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:var(--fg);"
    "background:var(--bg)}\n"
    "h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}\n"
    "p{margin:.5rem 0}.dim{color:var(--dim)}\n"
    "pre{background:var(--box);padding:.6rem;border-radius:.3rem;white-space:pre-wrap;overflow-wrap:anywhere;"
    "font-size:.85rem;margin:.5rem 0}\n"
    ".wide{overflow-x:auto}figure{margin:0}\n"
    "svg{display:block;width:100%;min-width:34rem;height:auto}\n"
    "svg [stroke='black']{stroke:var(--fg)}svg [fill='black']{fill:var(--fg)}svg "
    "[color='black']{color:var(--fg)}\n"
    "table{border-collapse:collapse;font-size:.85rem;white-space:nowrap}\n"
    "th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right}\n"
    "th{position:sticky;top:0;background:var(--bg)}.l{text-align:left}\n";

/* --- text ------------------------------------------------------------------------------------- */

static void add_escaped(omni_text *out, const char *s) {
    for (; *s; s++) {
        if (*s == '&')
            omni_text_add(out, "&amp;");
        else if (*s == '<')
            omni_text_add(out, "&lt;");
        else if (*s == '>')
            omni_text_add(out, "&gt;");
        else if (*s == '"')
            omni_text_add(out, "&quot;");
        else
            omni_text_append(out, s, 1);
    }
}

static void add_cell(omni_text *out, const char *s) {
    omni_text_add(out, "<td class=\"l\">");
    add_escaped(out, s);
    omni_text_add(out, "</td>");
}

static void add_number(omni_text *out, double x, const char *format) {
    char cell[48] = "";
    if (isfinite(x)) snprintf(cell, sizeof cell, format, x);
    omni_text_add(out, "<td>%s</td>", cell);
}

/* --- the commands ----------------------------------------------------------------------------- */

/* As a shell would read it back. */
static void add_word(omni_text *line, const char *s) {
    bool plain = *s != '\0';
    for (const char *c = s; *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || strchr("_-+=:,./@%", *c));
    if (plain) {
        omni_text_add(line, " %s", s);
        return;
    }
    omni_text_add(line, " '");
    for (; *s; s++) omni_text_add(line, *s == '\'' ? "'\\''" : "%c", *s);
    omni_text_add(line, "'");
}

static void add_value(omni_text *line, const char *option, const json_t *v) {
    if (json_is_null(v) || json_is_false(v)) return;
    omni_text_add(line, " --%s", option);
    if (json_is_string(v)) add_word(line, json_string_value(v));
    if (json_is_integer(v)) omni_text_add(line, " %lld", (long long)json_integer_value(v));
    if (json_is_real(v)) omni_text_add(line, " %g", json_real_value(v));
}

/* What is about the result's form and not its content. */
static bool is_form(const char *key) {
    static const char *const form[] = {"format", "output", "quiet", "config", "model_dir"};
    for (size_t i = 0; i < sizeof form / sizeof *form; i++)
        if (strcmp(key, form[i]) == 0) return true;
    return false;
}

static void add_command(omni_text *out, const json_t *result) {
    const char *schema = json_string_value(json_object_get(result, "schema")), *key;
    const json_t *settings = json_object_get(result, "settings");
    const char *model = json_string_value(json_object_get(settings, "model_dir"));
    const json_t *v;
    omni_text *line = omni_text_create();
    const char *name = schema && strchr(schema, '.') ? strchr(schema, '.') + 1 : "";
    omni_text_add(line, "omnibus %.*s", (int)strcspn(name, "/"), name);
    if (model) add_word(line, model);
    json_object_foreach((json_t *)settings, key, v) { /* only read */
        char option[64];
        size_t i = 0;
        const json_t *each;
        snprintf(option, sizeof option, "%s", key);
        for (char *c = option; *c; c++) *c = *c == '_' ? '-' : *c;
        if (is_form(key)) continue;
        if (!json_is_array(v)) add_value(line, option, v);
        json_array_foreach(v, i, each) add_value(line, option, each);
    }
    omni_text_add(out, "<pre>");
    add_escaped(out, omni_text_string(line));
    omni_text_add(out, "</pre>\n");
    omni_text_free(line);
}

static void add_file(omni_text *out, const json_t *file, const json_t *before) {
    const json_t *result = json_object_get(file, "result"), *host = json_object_get(result, "host");
    const char *texts[] = {json_string_value(json_object_get(file, "path")),
                           json_string_value(json_object_get(result, "version")),
                           json_string_value(json_object_get(host, "cpu_model")),
                           json_string_value(json_object_get(host, "kernel"))};
    if (before && json_equal(json_object_get(json_object_get(before, "result"), "settings"),
                             json_object_get(result, "settings")))
        return; /* a further line of the same run */
    omni_text_add(out, "<p><strong>");
    add_escaped(out, texts[0] ? texts[0] : "");
    omni_text_add(out, "</strong> <span class=\"dim\">omnibus ");
    add_escaped(out, texts[1] ? texts[1] : "?");
    omni_text_add(out, ", ");
    add_escaped(out, texts[2] ? texts[2] : "?");
    omni_text_add(out, ", %lld CPUs, ", (long long)json_integer_value(json_object_get(host, "cpus_usable")));
    add_escaped(out, texts[3] ? texts[3] : "?");
    omni_text_add(out, "</span></p>\n");
    add_command(out, result);
}

/* --- pictures and the table ------------------------------------------------------------------- */

static omni_status add_picture(const omni_results *r, omni_picture p, omni_text *out, omni_error *err) {
    omni_text *svg = omni_text_create();
    omni_status status = omni_picture_draw(r, p, OMNI_IMAGE_INLINE, svg, err);
    const char *image = strstr(omni_text_string(svg), "<svg"); /* no prolog within a page */
    if (!status)
        omni_text_add(out, "<section id=\"%s\"><h2>%s</h2>\n<figure class=\"wide\">%s</figure></section>\n",
                      omni_picture_name(p), omni_picture_title(p), image ? image : "");
    omni_text_free(svg);
    return status;
}

static void add_row(omni_text *out, const omni_point *p) {
    omni_text_add(out, "<tr>");
    add_cell(out, p->plan);
    omni_text_add(out, "<td>%zu</td><td>%zu</td>", p->pes, p->batch);
    add_cell(out, p->test);
    add_cell(out, p->modelled ? "modelled" : isfinite(p->s) ? "measured" : "counted");
    add_cell(out, p->source);
    add_number(out, p->s * 1e3, "%.4g");
    add_number(out, p->predicted_s * 1e3, "%.4g");
    add_number(out, p->tokens_per_s, "%.4g");
    for (size_t k = 0; k < OMNI_POINT_PARTS; k++) add_number(out, 100 * p->part[k] / p->s, "%.1f");
    add_number(out, p->bus_bytes, "%.0f");
    add_number(out, p->tree_bytes, "%.0f");
    omni_text_add(out, "</tr>\n");
}

static void add_table(omni_text *out, const omni_results *r) {
    size_t count = omni_results_count(r);
    omni_text_add(out, "<section id=\"table\"><h2>All figures</h2>\n<div class=\"wide\"><table><thead><tr>"
                       "<th class=\"l\">plan</th><th>PEs</th><th>batch</th><th class=\"l\">test</th>"
                       "<th class=\"l\">kind</th><th class=\"l\">on</th><th>ms</th><th>predicted ms</th>"
                       "<th>tokens/s</th>");
    for (size_t k = 0; k < OMNI_POINT_PARTS; k++)
        omni_text_add(out, "<th>%s %%</th>", omni_point_part_name((omni_point_part)k));
    omni_text_add(out, "<th>bus bytes</th><th>tree bytes</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < count && i < MOST_ROWS; i++) add_row(out, omni_results_at(r, i));
    omni_text_add(out, "</tbody></table></div>\n");
    if (count > MOST_ROWS)
        omni_text_add(out, "<p class=\"dim\">%d of %zu rows; the files have all.</p>\n", MOST_ROWS, count);
    omni_text_add(out, "</section>\n");
}

omni_status omni_page_draw(const omni_results *r, omni_text *out, omni_error *err) {
    omni_status status = OMNI_OK;
    size_t i;
    const json_t *file, *before = NULL;
    omni_text_add(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<title>omnibus report</title>\n<style>\n%s</style></head>\n<body>\n<h1>omnibus report</h1>\n",
        style);
    json_array_foreach(omni_results_files(r), i, file) {
        add_file(out, file, before);
        before = file;
    }
    for (size_t p = 0; p < OMNI_PICTURES && !status; p++)
        if (omni_picture_has(r, (omni_picture)p)) status = add_picture(r, (omni_picture)p, out, err);
    add_table(out, r);
    omni_text_add(out, "</body></html>\n");
    return status;
}
