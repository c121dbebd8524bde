/* result.c: settings from a JSON result: the same run again from its own file. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/internal.h"

enum { MOST_RESULT = 1 << 30 };

/* One value: a string, a number, true or false. */
static omni_status take_value(omni_settings *s, const omni_option *o, const json_t *value, const char *where,
                              omni_error *err) {
    char number[32];
    if (json_is_boolean(value))
        return config_store(s, o->id, json_is_true(value) ? "yes" : "no", OMNI_FROM_FILE, where, err);
    if (json_is_string(value))
        return config_store(s, o->id, json_string_value(value), OMNI_FROM_FILE, where, err);
    if (!json_is_integer(value))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: expected a string, a whole number, true or false",
                              where);
    snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return config_store(s, o->id, number, OMNI_FROM_FILE, where, err);
}

/* Where a result went is no part of what made it, and to write there again would replace it. */
static omni_status take_key(omni_settings *s, const char *path, const char *key, const json_t *value,
                            omni_error *err) {
    char name[40], where[400];
    snprintf(name, sizeof name, "%.39s", key);
    for (char *c = name; *c; c++)
        if (*c == '_') *c = '-';
    const omni_option *o = omni_option_find(name, (unsigned)config_command_of(s));
    if (!o) o = omni_option_find(name, ~0u); /* another command's: config_store says so */
    snprintf(where, sizeof where, "%.300s: settings.%.60s", path, key);
    if (!o || !omni_option_is_setting(o->id))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: no option (expected a result of this version, %s)",
                              where, OMNI_VERSION);
    if (json_is_null(value) || o->id == OMNI_OPT_OUTPUT) return OMNI_OK;
    if (!json_is_array(value)) return take_value(s, o, value, where, err);
    omni_status status = OMNI_OK;
    for (size_t i = 0; !status && i < json_array_size(value); i++)
        status = take_value(s, o, json_array_get(value, i), where, err);
    return status;
}

static omni_status take_result(omni_settings *s, const char *path, json_t *root, omni_error *err) {
    const char *schema = json_string_value(json_object_get(root, "schema")), *key;
    const char *command = omni_command_name(config_command_of(s));
    json_t *settings = json_object_get(root, "settings"), *value;
    char expected[32];
    snprintf(expected, sizeof expected, "omnibus.%s/1", command);
    if (!schema || strcmp(schema, expected) != 0)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: schema is '%.40s' (expected %s, a result of omnibus %s)", path,
                              schema ? schema : "", expected, command);
    if (!json_is_object(settings))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: no settings (expected an object)", path);
    omni_status status = OMNI_OK;
    json_object_foreach(settings, key, value) {
        if (!status) status = take_key(s, path, key, value, err);
    }
    return status;
}

/* Of JSON lines the first counts: all of them have the settings. */
omni_status config_load_result(omni_settings *s, const char *path, omni_error *err) {
    char *text;
    size_t bytes;
    json_error_t why;
    omni_status status =
        omni_file_read(path, MOST_RESULT, "a JSON result or an INI file", &text, &bytes, err);
    if (status) return status;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &why);
    status = root ? take_result(s, path, root, err)
                  : omni_error_set(err, OMNI_BAD_INPUT, "%s:%d: %.200s", path, why.line, why.text);
    json_decref(root);
    free(text);
    return status;
}
