/* json.c: values for JSON results, and their text.
 *
 * jansson holds the tree; the text is drawn here, because its own has either every number of a list on a line
 * or everything on one, and writes 0.1 as 0.10000000000000001:
 *
 *     {
 *       "pes": 4,
 *       "tokens": [[1, 2], [3]],             lists of scalars, and lists of those, on one line
 *       "cases": [
 *         {
 *           "rel_max": 1.2e-07               the shortest text that reads back as the same number
 *         }
 *       ]
 *     }
 *
 * JSON has no NaN and no infinity: both are null.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/internal.h"

/* --- values ----------------------------------------------------------------------------------- */

json_t *omni_json_number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

json_t *omni_json_string(const char *text) {
    if (!text) return json_null();
    json_t *value = json_string(text);
    if (value) return value;
    char *plain = strdup(text); /* not UTF-8, or no memory */
    if (!plain) return NULL;
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80) *c = '?';
    value = json_string(plain);
    free(plain);
    return value;
}

static json_t *json_size(uint64_t n) {
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

/* Adds to an object that may be NULL; a failure drops the object, so that it is seen. */
static void json_add(json_t **object, const char *key, json_t *value) {
    if (json_object_set_new(*object, key, value) == 0) return;
    json_decref(*object);
    *object = NULL;
}

json_t *omni_json_counters(const omni_counters *c) {
    json_t *object = json_object();
    for (size_t i = 0; i < OMNI_COUNTERS; i++)
        json_add(&object, omni_counter_names[i], json_size(omni_counters_get(c, i)));
    return object;
}

json_t *omni_json_host(const omni_topo *t) {
    const omni_host *h = omni_topo_host(t);
    size_t quota = omni_topo_quota(t);
    json_t *object = json_object();
    json_add(&object, "cpu_model", omni_json_string(h->cpu_model));
    json_add(&object, "kernel", omni_json_string(h->kernel));
    json_add(&object, "packages", json_size(h->packages));
    json_add(&object, "numa_nodes", json_size(h->numa_nodes));
    json_add(&object, "cores", json_size(h->cores));
    json_add(&object, "threads", json_size(h->threads));
    json_add(&object, "cpus_usable", json_size(omni_topo_cpus(t)));
    json_add(&object, "cpu_quota", quota ? json_size(quota) : json_null());
    json_add(&object, "memory_bytes", json_size(h->memory_bytes));
    json_add(&object, "l1d_bytes", json_size(h->l1d_bytes));
    json_add(&object, "l2_bytes", json_size(h->l2_bytes));
    json_add(&object, "l3_bytes", json_size(h->l3_bytes));
    return object;
}

/* --- text ------------------------------------------------------------------------------------- */

static void json_draw_real(double x, omni_text *out) {
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    for (char *c = text; *c; c++)
        if (*c == ',') *c = '.'; /* where the program's locale writes a comma */
    bool whole = !strpbrk(text, ".e");
    omni_text_add(out, "%s%s", text, whole ? ".0" : "");
}

void json_draw_plain(const json_t *value, omni_text *out) {
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        omni_text_add(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        json_draw_real(json_real_value(value), out);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        omni_text_add(out, json_is_true(value) ? "true" : "false");
        break;
    case JSON_NULL:
        omni_text_add(out, "null");
        break;
    default:
        break;
    }
}

static void json_draw_string(const char *text, omni_text *out) {
    omni_text_append(out, "\"", 1);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            omni_text_add(out, "\\%c", *c);
        else if (*c == '\n')
            omni_text_append(out, "\\n", 2);
        else if (*c == '\t')
            omni_text_append(out, "\\t", 2);
        else if ((unsigned char)*c < 0x20)
            omni_text_add(out, "\\u%04x", (unsigned)*c);
        else
            omni_text_append(out, c, 1);
    }
    omni_text_append(out, "\"", 1);
}

/* Scalars, and lists of scalars to any depth: what fits on a line. */
static bool json_is_flat(const json_t *value) {
    if (json_is_object(value)) return json_object_size(value) == 0;
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item) if (!json_is_flat(item)) return false;
    return true;
}

/* The depth of what stands on one line, whatever it holds. */
#define ONE_LINE SIZE_MAX

static size_t json_below(size_t depth) {
    return depth == ONE_LINE ? ONE_LINE : depth + 1;
}

static void json_new_line(size_t depth, omni_text *out) {
    if (depth == ONE_LINE) return;
    omni_text_add(out, "\n%*s", (int)(2 * depth), "");
}

static void json_draw(const json_t *value, size_t depth, omni_text *out);

static void json_draw_array(const json_t *array, size_t depth, omni_text *out) {
    bool flat = depth == ONE_LINE || json_is_flat(array);
    size_t i;
    json_t *item;
    omni_text_append(out, "[", 1);
    json_array_foreach(array, i, item) {
        if (i > 0) omni_text_add(out, flat ? ", " : ",");
        if (!flat) json_new_line(json_below(depth), out);
        json_draw(item, json_below(depth), out);
    }
    if (!flat) json_new_line(depth, out);
    omni_text_append(out, "]", 1);
}

static void json_draw_object(const json_t *object, size_t depth, omni_text *out) {
    const char *key, *separator = "";
    json_t *item,
        *own = (json_t *)(uintptr_t)object; /* jansson's iterator wants it writable, and doesn't write */
    omni_text_append(out, "{", 1);
    json_object_foreach(own, key, item) {
        omni_text_add(out, "%s", separator);
        separator = depth == ONE_LINE ? ", " : ",";
        json_new_line(json_below(depth), out);
        json_draw_string(key, out);
        omni_text_append(out, ": ", 2);
        json_draw(item, json_below(depth), out);
    }
    if (*separator) json_new_line(depth, out);
    omni_text_append(out, "}", 1);
}

static void json_draw(const json_t *value, size_t depth, omni_text *out) {
    if (json_is_object(value))
        json_draw_object(value, depth, out);
    else if (json_is_array(value))
        json_draw_array(value, depth, out);
    else if (json_is_string(value))
        json_draw_string(json_string_value(value), out);
    else
        json_draw_plain(value, out);
}

static void json_draw_root(const json_t *root, size_t depth, omni_text *out) {
    if (!root) {
        text_fail(out);
        return;
    }
    json_draw(root, depth, out);
    omni_text_append(out, "\n", 1);
}

void omni_json_draw(const json_t *root, omni_text *out) {
    json_draw_root(root, 0, out);
}

void omni_json_draw_line(const json_t *root, omni_text *out) {
    json_draw_root(root, ONE_LINE, out);
}
