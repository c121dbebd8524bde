/* page.c: a report as one HTML page that needs nothing else: no network, no script, no font.
 *
 *   from which files, and what is left out
 *   what was checked
 *   every picture that there are points for
 *   the points as a table
 *   hosts and commands
 *
 * Nothing on it is wider than a phone but tables and pictures, which scroll within their own boxes.
 */
#include <stdio.h>

#include "picture/internal.h"

static const char style[] =
    ":root{color-scheme:light dark;--fg:#1a1c1e;--bg:#fff;--dim:#5c6670;--line:#d5dae0;--box:#f4f6f8;"
    "--bad:#b3261e}\n"
    "@media(prefers-color-scheme:dark){:root{--fg:#e4e7ea;--bg:#15181b;--dim:#9aa4ae;--line:#363c43;"
    "--box:#1f2429;--bad:#ff8a80}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:60rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:var(--fg);"
    "background:var(--bg);overflow-wrap:anywhere}\n"
    "h1{font-size:1.6rem;margin:.5rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}\n"
    "p{margin:.5rem 0}.dim{color:var(--dim)}.bad{color:var(--bad)}summary{cursor:pointer}\n"
    "pre{background:var(--box);padding:.6rem;border-radius:.3rem;white-space:pre-wrap;font-size:.85rem;"
    "margin:.5rem 0;user-select:all}\n"
    ".wide{overflow:auto;max-height:85vh;margin:.5rem 0}figure.wide{max-height:none}\n"
    "svg{display:block;width:100%;min-width:20rem;max-width:40rem;height:auto}\n"
    "svg [stroke='black']{stroke:var(--fg)}svg [fill='black']{fill:var(--fg)}svg "
    "[color='black']{color:var(--fg)}\n"
    "table{border-collapse:collapse;font-size:.85rem;white-space:nowrap}\n"
    "th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:right}\n"
    "th{position:sticky;top:0;background:var(--bg)}.l{text-align:left}"
    ".name{white-space:normal;min-width:11rem;max-width:24rem}\n";

void page_escape(omni_text *out, const char *s) {
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

static const char *string(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "?";
}

/* --- files ------------------------------------------------------------------------------------ */

static void add_files(omni_text *out, const omni_results *r) {
    size_t i;
    const json_t *file;
    omni_text_add(out, "<p class=\"dim\">From");
    json_array_foreach(omni_results_files(r), i, file) {
        const char *why = omni_results_unseen(file, true);
        omni_text_add(out, "%s ", i ? "," : "");
        page_escape(out, string(file, "path"));
        if (why) omni_text_add(out, " (left out: %s)", why);
    }
    omni_text_add(out, ".</p>\n");
}

static void add_origin(omni_text *out, const json_t *file, omni_default_of *default_of) {
    const json_t *result = json_object_get(file, "result"), *host = json_object_get(result, "host");
    omni_text_add(out, "<p><strong>");
    page_escape(out, string(file, "path"));
    omni_text_add(out, "</strong> <span class=\"dim\">omnibus ");
    page_escape(out, string(result, "version"));
    omni_text_add(out, ", ");
    page_escape(out, string(host, "cpu_model"));
    omni_text_add(out, ", %lld CPUs, ", (long long)json_integer_value(json_object_get(host, "cpus_usable")));
    page_escape(out, string(host, "kernel"));
    omni_text_add(out, "</span></p>\n");
    page_command(out, file, default_of);
}

static void add_origins(omni_text *out, const omni_results *r, omni_default_of *default_of) {
    size_t i;
    const json_t *file;
    omni_text_add(out, "<section id=\"commands\"><h2>Commands that made the results</h2>\n");
    json_array_foreach(omni_results_files(r), i, file) if (!omni_results_unseen(file, true))
        add_origin(out, file, default_of);
    omni_text_add(out, "</section>\n");
}

/* --- pictures --------------------------------------------------------------------------------- */

/* Without what gnuplot calls its pictures, and without a prolog. */
static void add_svg(omni_text *out, omni_picture p, const char *svg) {
    const char *begin = strstr(svg, "<svg"), *head = begin ? strchr(begin, '>') : NULL,
               *title = head ? strstr(head, "<title>") : NULL, *end = title ? strstr(title, "</desc>") : NULL;
    if (!head) return;
    omni_text_add(out, "<svg role=\"img\" aria-label=\"%s\"", omni_picture_title(p));
    omni_text_append(out, begin + 4, (size_t)(head + 1 - begin - 4));
    const char *rest = end ? end + strlen("</desc>") : head + 1;
    omni_text_append(out, rest, strlen(rest));
}

static omni_status add_picture(const omni_results *r, omni_picture p, omni_text *out, omni_error *err) {
    omni_text *svg = omni_text_create();
    omni_status status = omni_picture_draw(r, p, OMNI_IMAGE_INLINE, svg, err);
    if (!status) {
        omni_text_add(out, "<section id=\"%s\"><h2>%s</h2>\n<figure class=\"wide\">", omni_picture_name(p),
                      omni_picture_title(p));
        add_svg(out, p, omni_text_string(svg));
        omni_text_add(out, "</figure></section>\n");
    }
    omni_text_free(svg);
    return status;
}

omni_status omni_page_draw(const omni_results *r, omni_default_of *default_of, omni_text *out,
                           omni_error *err) {
    omni_status status = OMNI_OK;
    omni_text_add(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
        "<title>omnibus report</title>\n<style>\n%s</style></head>\n<body>\n<h1>omnibus report</h1>\n",
        style);
    add_files(out, r);
    page_checks(out, r);
    for (size_t p = 0; p < OMNI_PICTURES && !status; p++)
        if (omni_picture_has(r, (omni_picture)p)) status = add_picture(r, (omni_picture)p, out, err);
    page_figures(out, r);
    add_origins(out, r, default_of);
    omni_text_add(out, "</body></html>\n");
    return status;
}
