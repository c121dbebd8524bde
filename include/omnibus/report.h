/* report.h: results as a person or a script wants them. A command builds one JSON object (jansson), the
 * single source of every format, and hands it over; tables are drawn from columns.
 */
#ifndef OMNIBUS_REPORT_H
#define OMNIBUS_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "omnibus/base.h"
#include "omnibus/counters.h"
#include "omnibus/topo.h"

typedef enum omni_format {
    OMNI_FORMAT_TABLE,
    OMNI_FORMAT_JSON,
    OMNI_FORMAT_CSV,
    OMNI_FORMAT_MD, /* these two only of commands that measure many things */
    OMNI_FORMAT_JSONL
} omni_format;
/* every: also md and jsonl. */
omni_status omni_format_parse(const char *text, bool every, omni_format *out, omni_error *err);

/* --- text that grows; memory failure is remembered and reported by omni_text_emit ----------------------
 * Everything here accepts a NULL text or table (what create returns without memory): nobody has to check in
 * between. */
typedef struct omni_text omni_text;
omni_text *omni_text_create(void);
void omni_text_free(omni_text *t);
void omni_text_add(omni_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void omni_text_append(omni_text *t, const char *bytes, size_t count); /* any bytes */
const char *omni_text_string(const omni_text *t); /* so far; owned by t, until the next addition */

/* Writes to `path`, through a temporary file beside it that is renamed at the end, or to stdout when
 * path is NULL. What exists and is no regular file (/dev/null, a fifo) is written to directly. A full
 * disk or closed pipe is an OMNI_RUN_FAILED with the file's name, stdout's closed pipe one without a text;
 * SIGPIPE does not get through. */
omni_status omni_text_emit(const omni_text *t, const char *path, omni_error *err);

/* The same bit by bit, for what is large: what has failed is remembered, and omni_output_close says it. With
 * keep it is all there afterwards, under its name; otherwise, and after a failure, nothing is (but what a
 * device or a pipe has got). */
typedef struct omni_output omni_output;
omni_status omni_output_open(const char *path, omni_output **out, omni_error *err);
void omni_output_append(omni_output *o, const char *bytes, size_t count);
void omni_output_add(omni_output *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));     /* at most some 4000 bytes at a time */
bool omni_output_failed(const omni_output *o); /* so far: the rest need not be made */
omni_status omni_output_close(omni_output *o, bool keep, omni_error *err); /* NULL is fine */

/* OMNI_OK when `path` could be written: its directory exists and is writable, it is not a directory.
 * OMNI_BAD_INPUT otherwise. Creates and changes nothing; NULL (stdout) is fine. Call before a long run. */
omni_status omni_output_check(const char *path, omni_error *err);
/* Two names of one file, also of one that is not there yet. NULL is no file. */
bool omni_output_same(const char *a, const char *b);

/* --- table: columns aligned from their content ------------------------------------------------ */
typedef struct omni_table omni_table;
/* A header that begins with '>' (not shown) right-aligns its column. The headers are copied. */
omni_table *omni_table_create(const char *const *headers, size_t columns);
void omni_table_free(omni_table *t);
void omni_table_cell(omni_table *t, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* row by row */
void omni_table_draw(const omni_table *t, omni_text *out);

/* --- JSON ------------------------------------------------------------------------------------- */
/* All return new references, for the ..._new functions of jansson; NULL: out of memory. */
json_t *omni_json_number(double x); /* NaN and infinities become null */
json_t *
omni_json_string(const char *text); /* NULL becomes null; bytes that are not UTF-8 become '?' (paths) */
json_t *omni_json_counters(const omni_counters *c);
json_t *omni_json_host(const omni_topo *t);
/* Indented, order kept, lists of scalars on one line, reals as short as they read back the same, newline
 * at the end. A NULL root (no memory) makes omni_text_emit fail. */
void omni_json_draw(const json_t *root, omni_text *out);
/* The same on one line. */
void omni_json_draw_line(const json_t *root, omni_text *out);

/* `rows` (an array of objects, or one object) as CSV: nested objects flattened with '.', lists of
 * scalars joined by spaces, other lists flattened with the index ("memory.0.kv_bytes"); the header is
 * the union of the keys in order of appearance. null and what a row lacks are empty. RFC 4180 quoting,
 * lines end in "\n". */
void omni_csv_draw(const json_t *rows, omni_text *out);
/* The same cells as a table in Markdown; columns that hold nothing but numbers are aligned to the right, '|'
 * is escaped, a line break is a blank. */
void omni_md_draw(const json_t *rows, omni_text *out);

#endif
