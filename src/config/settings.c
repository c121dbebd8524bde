/* settings.c: the values of one invocation.
 *
 * Each option has two lists of values, from the file and from the command line; the second hides the first
 * when it isn't empty. So it makes no difference whether the file is read before or after the command line.
 * Values stay text, together with the place they came from, until a command asks for a number: then the error
 * can still say where it stands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/internal.h"

typedef struct config_value {
    char *text, *where;
} config_value;

typedef struct config_values {
    config_value *values; /* [count] in the order given */
    size_t count;
} config_values;

enum { ORIGINS = OMNI_FROM_COMMAND_LINE + 1 };

struct omni_settings {
    omni_command command;
    config_values given[ORIGINS][OMNI_OPTIONS];
};

omni_settings *omni_settings_create(omni_command command) {
    omni_settings *s = omni_alloc(sizeof *s);
    if (s) s->command = command;
    return s;
}

void omni_settings_free(omni_settings *s) {
    if (!s) return;
    for (size_t origin = 0; origin < ORIGINS; origin++)
        for (size_t id = 0; id < OMNI_OPTIONS; id++) {
            config_values *v = &s->given[origin][id];
            for (size_t i = 0; i < v->count; i++) {
                free(v->values[i].text);
                free(v->values[i].where);
            }
            free(v->values);
        }
    omni_free(s);
}

omni_command config_command_of(const omni_settings *s) {
    return s->command;
}

/* 1 yes, 0 no, -1 neither. */
static int config_truth(const char *text) {
    static const char *const words[][2] = {{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (int yes = 0; yes < 2; yes++)
            if (strcmp(text, words[i][yes]) == 0) return yes;
    return -1;
}

static bool config_append(config_values *v, const char *text, const char *where) {
    config_value *larger = realloc(v->values, (v->count + 1) * sizeof *larger);
    if (!larger) return false;
    v->values = larger;
    config_value value = {.text = strdup(text), .where = strdup(where)};
    if (!value.text || !value.where) {
        free(value.text);
        free(value.where);
        return false;
    }
    v->values[v->count++] = value;
    return true;
}

omni_status config_store(omni_settings *s, omni_option_id id, const char *value, omni_origin origin,
                         const char *where, omni_error *err) {
    const omni_option *o = omni_option_at(id);
    config_values *v = &s->given[origin][id];
    if (!(o->commands & (unsigned)s->command))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: not an option of %s", where,
                              omni_command_name(s->command));
    if (!o->arg && !value) value = "yes";
    if (!value || !*value)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: no value (expected %s)", where,
                              o->arg ? o->arg : "yes or no");
    if (!o->arg && config_truth(value) < 0)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.60s' (expected yes or no)", where, value);
    if (!o->repeatable && v->count > 0) return omni_error_set(err, OMNI_BAD_INPUT, "%s: given twice", where);
    if (!config_append(v, value, where))
        return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", where);
    return OMNI_OK;
}

omni_status omni_settings_put(omni_settings *s, omni_option_id id, const char *value, omni_origin origin,
                              omni_error *err) {
    char where[64];
    snprintf(where, sizeof where, "--%s", omni_option_at(id)->name);
    return config_store(s, id, value, origin, where, err);
}

static const config_values *config_effective(const omni_settings *s, omni_option_id id) {
    const config_values *typed = &s->given[OMNI_FROM_COMMAND_LINE][id];
    return typed->count > 0 ? typed : &s->given[OMNI_FROM_FILE][id];
}

static const config_value *config_last(const omni_settings *s, omni_option_id id) {
    const config_values *v = config_effective(s, id);
    return v->count > 0 ? &v->values[v->count - 1] : NULL;
}

const char *omni_settings_get(const omni_settings *s, omni_option_id id) {
    const config_value *last = config_last(s, id);
    return last ? last->text : omni_option_at(id)->initial;
}

size_t omni_settings_count(const omni_settings *s, omni_option_id id) {
    return config_effective(s, id)->count;
}

const char *omni_settings_nth(const omni_settings *s, omni_option_id id, size_t i) {
    const config_values *v = config_effective(s, id);
    return i < v->count ? v->values[i].text : NULL;
}

bool omni_settings_flag(const omni_settings *s, omni_option_id id) {
    const char *value = omni_settings_get(s, id);
    return value && config_truth(value) == 1;
}

const char *omni_settings_where(const omni_settings *s, omni_option_id id) {
    const config_value *last = config_last(s, id);
    return last ? last->where : omni_option_at(id)->name;
}

omni_status omni_settings_number(const omni_settings *s, omni_option_id id, size_t min, size_t max,
                                 size_t *out, omni_error *err) {
    const char *text = omni_settings_get(s, id), *where = omni_settings_where(s, id);
    if (!text)
        return omni_error_set(err, OMNI_BAD_INPUT, "--%s: missing (expected %zu to %zu)", where, min, max);
    size_t n;
    if (!omni_parse_size(text, max, &n) || n < min)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.60s' (expected a number from %zu to %zu)", where,
                              text, min, max);
    *out = n;
    return OMNI_OK;
}
