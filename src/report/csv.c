/* csv.c: a tree as rows and columns, in CSV or Markdown.
 *
 *     {"plan": "megatron", "fabric": {"total": {"broadcasts": 4}}, "cpus": [0, 1],
 *      "memory": [{"kv_bytes": 8}]}
 *
 *     plan,fabric.total.broadcasts,cpus,memory.0.kv_bytes
 *     megatron,4,0 1,8
 *
 * Each row becomes a flat object first, path -> value; the header is then the union of their keys. jansson's
 * objects keep the order of insertion, so they serve as ordered maps here.
 */
#include <stdlib.h>
#include <string.h>

#include "report/internal.h"

enum { PATH_BYTES = 512 };

static bool csv_is_scalar(const json_t *value) {
    return !json_is_object(value) && !json_is_array(value);
}

static bool csv_is_cell(const json_t *value) {
    if (json_is_object(value)) return false;
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) if (!csv_is_scalar(item)) return false;
    return true;
}

static bool csv_flatten(json_t *flat, const char *path, json_t *value);

/* `value` under path.key; false when memory or the path's room is exhausted. */
static bool csv_flatten_below(json_t *flat, const char *path, const char *key, json_t *value) {
    char below[PATH_BYTES];
    int length = snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", key);
    return length >= 0 && (size_t)length < sizeof below && csv_flatten(flat, below, value);
}

static bool csv_flatten(json_t *flat, const char *path, json_t *value) {
    if (csv_is_cell(value)) return json_object_set(flat, path, value) == 0;
    const char *key;
    size_t i;
    json_t *item;
    json_object_foreach(value, key, item) if (!csv_flatten_below(flat, path, key, item)) return false;
    json_array_foreach(value, i, item) {
        char index[24];
        snprintf(index, sizeof index, "%zu", i);
        if (!csv_flatten_below(flat, path, index, item)) return false;
    }
    return true;
}

/* RFC 4180: in quotes, quotes doubled, when a reader could misunderstand it otherwise. */
static void csv_draw_cell(const char *text, omni_text *out) {
    if (!strpbrk(text, ",\"\r\n")) {
        omni_text_append(out, text, strlen(text));
        return;
    }
    omni_text_append(out, "\"", 1);
    for (; *text; text++) omni_text_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
    omni_text_append(out, "\"", 1);
}

/* A cell's text before quoting. */
static void csv_draw_value(const json_t *value, omni_text *cell) {
    if (json_is_array(value)) {
        size_t i;
        json_t *item;
        json_array_foreach(value, i, item) {
            if (i > 0) omni_text_append(cell, " ", 1);
            csv_draw_value(item, cell);
        }
    } else if (json_is_string(value)) {
        omni_text_append(cell, json_string_value(value), json_string_length(value));
    } else if (!json_is_null(value)) {
        json_draw_plain(value, cell);
    }
}

static void csv_draw_row(const json_t *flat, json_t *columns, omni_text *out) {
    const char *key, *separator = "";
    json_t *unused;
    json_object_foreach(columns, key, unused) {
        omni_text_add(out, "%s", separator);
        separator = ",";
        const json_t *value = json_object_get(flat, key);
        if (!value) continue;
        omni_text *cell = omni_text_create();
        csv_draw_value(value, cell);
        if (text_failed(cell)) text_fail(out);
        csv_draw_cell(omni_text_string(cell), out);
        omni_text_free(cell);
    }
    omni_text_append(out, "\n", 1);
}

static void csv_draw_header(json_t *columns, omni_text *out) {
    const char *key, *separator = "";
    json_t *unused;
    json_object_foreach(columns, key, unused) {
        omni_text_add(out, "%s", separator);
        separator = ",";
        csv_draw_cell(key, out);
    }
    omni_text_append(out, "\n", 1);
}

/* Appends row, flattened, to `flats` and its keys to `columns`. */
static bool csv_add_row(json_t *flats, json_t *columns, const json_t *row) {
    json_t *flat = json_object();
    if (!flat || json_array_append_new(flats, flat) != 0) return false;
    return csv_flatten(flat, "", (json_t *)(uintptr_t)row) && json_object_update_missing(columns, flat) == 0;
}

/* Rows as flat objects, and their columns. */
typedef struct csv_rows {
    json_t *flats, *columns;
} csv_rows;

static void csv_free(csv_rows *r) {
    json_decref(r->columns);
    json_decref(r->flats);
}

/* False: no memory. csv_free in any case. */
static bool csv_read(const json_t *rows, csv_rows *r) {
    *r = (csv_rows){.flats = json_array(), .columns = json_object()};
    bool complete = rows && r->flats && r->columns;
    if (complete && json_is_object(rows)) complete = csv_add_row(r->flats, r->columns, rows);
    for (size_t i = 0; complete && i < json_array_size(rows); i++)
        complete = csv_add_row(r->flats, r->columns, json_array_get(rows, i));
    return complete;
}

void omni_csv_draw(const json_t *rows, omni_text *out) {
    csv_rows r;
    size_t i;
    json_t *row;
    if (csv_read(rows, &r)) {
        csv_draw_header(r.columns, out);
        json_array_foreach(r.flats, i, row) csv_draw_row(row, r.columns, out);
    } else {
        text_fail(out);
    }
    csv_free(&r);
}

/* --- Markdown --------------------------------------------------------------------------------- */

static void md_draw_cell(const char *text, omni_text *out) {
    for (; *text; text++) {
        if (*text == '|') omni_text_append(out, "\\", 1);
        omni_text_append(out, *text == '\n' || *text == '\r' ? " " : text, 1);
    }
    omni_text_append(out, " |", 2);
}

/* No row has anything but a number, or nothing, under this key. */
static bool md_is_numeric(const json_t *flats, const char *key) {
    size_t i;
    json_t *row;
    json_array_foreach(flats, i, row) {
        const json_t *value = json_object_get(row, key);
        if (value && !json_is_number(value) && !json_is_null(value)) return false;
    }
    return true;
}

static void md_draw_header(const csv_rows *r, omni_text *out) {
    const char *key;
    json_t *unused;
    omni_text_append(out, "|", 1);
    json_object_foreach(r->columns, key, unused) {
        omni_text_append(out, " ", 1);
        md_draw_cell(key, out);
    }
    omni_text_append(out, "\n|", 2);
    json_object_foreach(r->columns, key, unused)
        omni_text_add(out, md_is_numeric(r->flats, key) ? " ---: |" : " --- |");
    omni_text_append(out, "\n", 1);
}

static void md_draw_row(const json_t *flat, json_t *columns, omni_text *out) {
    const char *key;
    json_t *unused;
    omni_text_append(out, "|", 1);
    json_object_foreach(columns, key, unused) {
        const json_t *value = json_object_get(flat, key);
        omni_text *cell = omni_text_create();
        if (value) csv_draw_value(value, cell);
        if (text_failed(cell)) text_fail(out);
        omni_text_append(out, " ", 1);
        md_draw_cell(omni_text_string(cell), out);
        omni_text_free(cell);
    }
    omni_text_append(out, "\n", 1);
}

void omni_md_draw(const json_t *rows, omni_text *out) {
    csv_rows r;
    size_t i;
    json_t *row;
    if (csv_read(rows, &r)) {
        md_draw_header(&r, out);
        json_array_foreach(r.flats, i, row) md_draw_row(row, r.columns, out);
    } else {
        text_fail(out);
    }
    csv_free(&r);
}
