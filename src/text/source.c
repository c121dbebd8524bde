/* source.c: fields of the file that is read. The first thing that is wrong is kept, with the file's name; parsers go on
 * with harmless values, and whoever called them asks once.
 */
#include <stdio.h>
#include <stdlib.h>

#include "text/internal.h"

void text_wrong(text_source *src, const char *format, ...) {
    char text[400];
    va_list args;
    if (src->status) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    src->status =
        omni_error_set(src->err, OMNI_BAD_INPUT, "%.300s%s%s", src->path, *src->path ? ": " : "", text);
}

void text_no_memory(text_source *src) {
    if (src->status) return;
    src->status =
        omni_error_set(src->err, OMNI_RUN_FAILED, "%.300s%sout of memory", src->path, *src->path ? ": " : "");
}

static const json_t *field(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

bool text_flag(text_source *src, const json_t *object, const char *key, bool otherwise) {
    const json_t *value = field(object, key);
    if (!value) return otherwise;
    if (!json_is_boolean(value)) text_wrong(src, "'%s' is not true or false", key);
    return json_is_true(value);
}

size_t text_number(text_source *src, const json_t *object, const char *key, size_t otherwise) {
    const json_t *value = field(object, key);
    if (!value) return otherwise;
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        text_wrong(src, "'%s' is not a whole number from 0 on", key);
        return otherwise;
    }
    return (size_t)json_integer_value(value);
}

const char *text_string(text_source *src, const json_t *object, const char *key, const char *otherwise) {
    const json_t *value = field(object, key);
    if (!value && !otherwise) text_wrong(src, "'%s' is missing (expected a string)", key);
    if (!value) return otherwise ? otherwise : "";
    if (!json_is_string(value)) {
        text_wrong(src, "'%s' is not a string", key);
        return "";
    }
    return json_string_value(value);
}

char *text_copy(text_source *src, const char *string) {
    char *copy = strdup(string);
    if (!copy) text_no_memory(src);
    return copy;
}

const char *text_type(const json_t *object) {
    const char *type = json_string_value(json_object_get(object, "type"));
    return type ? type : "";
}
