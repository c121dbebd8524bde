/* config.c: typed getters over a parsed config.json. A message names the field, what was expected and what
 * was found: "DIR/config.json: n_head is "four" (expected a whole number from 1 to 1048576)".
 *
 * Nothing here knows a family; which fields matter, and which are refused, is the family's table.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "family.h"

void model_config_error(model_config *c, const char *format, ...) {
    if (c->status) return;
    char what[400];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    c->status = omni_error_set(c->err, OMNI_BAD_INPUT, "%s: %s", c->source, what);
}

const char *model_config_show(const json_t *value, char *buf, size_t cap) {
    static const char dots[] = "...";
    size_t room = cap - sizeof dots; /* what does not fit is left out, so the text may end before */
    memset(buf, 0, cap);
    if (json_dumpb(value, buf, room, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII) > room)
        strcat(buf, dots);
    return buf;
}

/* "FIELD is missing" or "FIELD is VALUE", then what was expected. */
static void unexpected(model_config *c, const char *field, const json_t *value, const char *expected) {
    char found[64];
    if (value) {
        model_config_error(c, "%s is %s (expected %s)", field, model_config_show(value, found, sizeof found),
                           expected);
    } else {
        model_config_error(c, "%s is missing (expected %s)", field, expected);
    }
}

size_t model_config_size(model_config *c, const char *field, size_t max) {
    const json_t *value = json_object_get(c->object, field);
    if (json_is_integer(value) && json_integer_value(value) >= 1 && (size_t)json_integer_value(value) <= max)
        return (size_t)json_integer_value(value);
    char expected[64];
    snprintf(expected, sizeof expected, "a whole number from 1 to %zu", max);
    unexpected(c, field, value, expected);
    return 1;
}

size_t model_config_size_or(model_config *c, const char *field, size_t max, size_t fallback) {
    const json_t *value = json_object_get(c->object, field);
    return !value || json_is_null(value) ? fallback : model_config_size(c, field, max);
}

double model_config_positive(model_config *c, const char *field) {
    const json_t *value = json_object_get(c->object, field);
    double number = json_number_value(value); /* 0 for anything but a number */
    if (number >= 1e-30 && number <= 1e30) return number;
    unexpected(c, field, value, "a number above 0, 1e-30 to 1e30");
    return 1;
}

double model_config_positive_or(model_config *c, const char *field, double fallback) {
    return json_object_get(c->object, field) ? model_config_positive(c, field) : fallback;
}

bool model_config_bool_or(model_config *c, const char *field, bool fallback) {
    const json_t *value = json_object_get(c->object, field);
    if (!value) return fallback;
    if (!json_is_boolean(value)) unexpected(c, field, value, "true or false");
    return json_is_true(value);
}

size_t model_config_word(model_config *c, const char *field, const char *const words[], size_t count) {
    const json_t *value = json_object_get(c->object, field);
    if (!value) return 0;
    char expected[160] = "", found[64];
    for (size_t i = 0; i < count; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), words[i]) == 0) return i;
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", i ? " or " : "", words[i]);
    }
    model_config_error(c, "%s %s is not supported (expected %s)", field,
                       model_config_show(value, found, sizeof found), expected);
    return 0;
}

static bool is_off(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_NULL:
    case JSON_FALSE:
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(value) == 0;
    case JSON_STRING:
        return json_string_length(value) == 0;
    case JSON_ARRAY:
        return json_array_size(value) == 0;
    case JSON_OBJECT:
        return json_object_size(value) == 0;
    default:
        return false;
    }
}

static bool is_neutral(const json_t *value, model_neutral neutral) {
    if (neutral == MODEL_NEUTRAL_OFF || json_is_null(value)) return is_off(value);
    return json_number_value(value) == 1;
}

omni_activation model_config_activation(model_config *c, const char *field, omni_activation fallback) {
    static const char *const names[] = {
        "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu", "gelu_python", "relu", "silu", "swish", "tanh"};
    static const omni_activation kinds[] = {OMNI_ACT_GELU_NEW, OMNI_ACT_GELU_NEW, OMNI_ACT_GELU_NEW,
                                            OMNI_ACT_GELU,     OMNI_ACT_GELU,     OMNI_ACT_RELU,
                                            OMNI_ACT_SILU,     OMNI_ACT_SILU,     OMNI_ACT_TANH};
    if (!json_object_get(c->object, field)) return fallback;
    return kinds[model_config_word(c, field, names, sizeof names / sizeof *names)];
}

void model_config_refuse(model_config *c, const model_feature features[], size_t count) {
    static const char *const expected[MODEL_NEUTRALS] = {"it absent, false or null", "it absent or 1"};
    char found[64];
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(c->object, features[i].field);
        if (!value || is_neutral(value, features[i].neutral)) continue;
        model_config_error(c, "%s %s is not supported (expected %s)", features[i].field,
                           model_config_show(value, found, sizeof found), expected[features[i].neutral]);
    }
}

void model_config_eos(model_config *c, omni_model *model) {
    const json_t *value = json_object_get(c->object, "eos_token_id");
    size_t room = sizeof model->eos / sizeof *model->eos;
    size_t count = json_is_array(value) ? json_array_size(value) : value && !json_is_null(value);
    if (count > room) {
        model_config_error(c, "eos_token_id lists %zu ids (expected at most %zu)", count, room);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_integer(id)) unexpected(c, "eos_token_id", id, "a token id or a list of token ids");
        model->eos[i] = json_integer_value(id);
    }
    model->eos_count = count;
}
