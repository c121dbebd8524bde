/* table.c: columns as wide as their widest cell.
 *
 *     plan      pes  time        headers "plan", ">pes", ">time"
 *     --------  ---  -----
 *     megatron    4  12 ms
 *
 * Width is counted in characters of UTF-8, each one column. The last column isn't padded, so lines have no
 * blanks at the end. Control characters in cells (a path may hold any) become '?', else they could break the
 * table or the terminal.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report/internal.h"

enum { GAP = 2 };

struct omni_table {
    size_t columns;
    bool *right;  /* [columns] */
    char **cells; /* [count] row by row; the headers are row 0 */
    size_t count, capacity;
    bool failed;
};

static size_t table_width(const char *text) {
    size_t width = 0;
    for (; *text; text++) width += ((unsigned char)*text & 0xc0) != 0x80; /* a continuation byte adds none */
    return width;
}

/* Takes the text over. */
static void table_put(omni_table *t, char *text) {
    if (text && t->count == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 64;
        char **larger = realloc(t->cells, capacity * sizeof *larger);
        if (larger) {
            t->cells = larger;
            t->capacity = capacity;
        }
    }
    if (!text || t->count == t->capacity) {
        free(text);
        t->failed = true;
        return;
    }
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    t->cells[t->count++] = text;
}

omni_table *omni_table_create(const char *const *headers, size_t columns) {
    omni_table *t = omni_alloc(sizeof *t);
    if (!t) return NULL;
    t->columns = columns;
    t->right = omni_alloc_array(columns, sizeof *t->right);
    if (!t->right) t->failed = true;
    for (size_t c = 0; c < columns && !t->failed; c++) {
        t->right[c] = headers[c][0] == '>';
        table_put(t, strdup(headers[c] + t->right[c]));
    }
    return t;
}

void omni_table_free(omni_table *t) {
    if (!t) return;
    for (size_t i = 0; i < t->count; i++) free(t->cells[i]);
    free(t->cells);
    omni_free(t->right);
    omni_free(t);
}

void omni_table_cell(omni_table *t, const char *format, ...) {
    if (!t || t->failed) return;
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0) text = NULL;
    va_end(args);
    table_put(t, text);
}

static void table_repeat(omni_text *out, char c, size_t times) {
    for (size_t i = 0; i < times; i++) omni_text_append(out, &c, 1);
}

/* One row; the cells that the last one lacks are left out. */
static void table_row(const omni_table *t, size_t first, const size_t *widths, omni_text *out) {
    size_t cells = t->count - first < t->columns ? t->count - first : t->columns;
    while (cells > 0 && t->cells[first + cells - 1][0] == '\0') cells--;
    for (size_t c = 0; c < cells; c++) {
        const char *text = t->cells[first + c];
        size_t blanks = widths[c] - table_width(text);
        if (c > 0) table_repeat(out, ' ', GAP);
        if (t->right[c]) table_repeat(out, ' ', blanks);
        omni_text_append(out, text, strlen(text));
        if (!t->right[c] && c + 1 < cells) table_repeat(out, ' ', blanks);
    }
    omni_text_append(out, "\n", 1);
}

void omni_table_draw(const omni_table *t, omni_text *out) {
    size_t *widths = t && !t->failed ? omni_alloc_array(t->columns, sizeof *widths) : NULL;
    if (!widths) {
        text_fail(out);
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        size_t width = table_width(t->cells[i]), *widest = &widths[i % t->columns];
        if (width > *widest) *widest = width;
    }
    size_t shown = t->columns; /* without last ones that are empty from top to bottom */
    while (shown > 0 && widths[shown - 1] == 0) shown--;
    for (size_t first = 0; first < t->count; first += t->columns) {
        table_row(t, first, widths, out);
        if (first > 0) continue;
        for (size_t c = 0; c < shown; c++) {
            if (c > 0) table_repeat(out, ' ', GAP);
            table_repeat(out, '-', widths[c]);
        }
        omni_text_append(out, "\n", 1);
    }
    omni_free(widths);
}
