/* settings.c: the effective settings, as every JSON result embeds them and as --print-config shows them. Both
 * are read back by --config: a result is made again from its own file.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *setting(const cli *c, const omni_option *o) {
    char argument[16];
    const char *name = cli_argument_name(o, c->command, argument);
    size_t n;
    if (!name) return json_boolean(omni_settings_flag(c->settings, o->id));
    if (o->repeatable) {
        json_t *values = json_array();
        for (size_t i = 0; i < omni_settings_count(c->settings, o->id); i++)
            cli_append(&values, omni_json_string(omni_settings_nth(c->settings, o->id, i)));
        return values;
    }
    const char *value = cli_effective(c, o->id);
    bool number = strchr("NKRS", name[0]) && !name[1];
    return number && value && omni_parse_size(value, SIZE_MAX, &n) ? cli_size(n) : omni_json_string(value);
}

/* The command's settings, in the order of the table; NULL behind the last one. */
static const omni_option *next_setting(const cli *c, size_t *id) {
    while (*id < OMNI_OPTIONS) {
        const omni_option *o = omni_option_at((omni_option_id)(*id)++);
        if (o->commands & (unsigned)c->command && omni_option_is_setting(o->id)) return o;
    }
    return NULL;
}

/* Keys as in the rest of the result: "decode_plan". */
json_t *cli_settings_json(const cli *c) {
    json_t *object = json_object();
    const omni_option *o;
    for (size_t id = 0; (o = next_setting(c, &id));) {
        char key[32];
        snprintf(key, sizeof key, "%s", o->name);
        for (char *k = key; *k; k++)
            if (*k == '-') *k = '_';
        cli_set(&object, key, setting(c, o));
    }
    return object;
}

/* --- INI -------------------------------------------------------------------------------------- */

/* In quotes where the plain text would be read as something else. */
static void add_value(omni_text *t, const char *value) {
    size_t n = strlen(value);
    bool quoted = n == 0 || value[0] == '"' || value[0] == ';' || strpbrk(value, "\n\r\t") ||
                  isspace((unsigned char)value[0]) || isspace((unsigned char)value[n - 1]) ||
                  strstr(value, " ;");
    if (!quoted) {
        omni_text_add(t, "%s\n", value);
        return;
    }
    omni_text_add(t, "\"");
    for (; *value; value++) {
        static const char special[] = "\"\\\n\t\r", letter[] = "\"\\ntr";
        const char *at = strchr(special, *value);
        omni_text_add(t, at ? "\\%c" : "%c", at ? letter[at - special] : *value);
    }
    omni_text_add(t, "\"\n");
}

static void add_setting(const cli *c, const omni_option *o, omni_text *t) {
    char argument[16];
    const char *name = cli_argument_name(o, c->command, argument), *value = cli_effective(c, o->id);
    size_t count = o->repeatable ? omni_settings_count(c->settings, o->id) : 0;
    if (!name) value = omni_settings_flag(c->settings, o->id) ? "yes" : "no";
    for (size_t i = 0; i < count; i++) {
        omni_text_add(t, "%s = ", o->name);
        add_value(t, omni_settings_nth(c->settings, o->id, i));
    }
    if (!count && !value) {
        const char *otherwise = cli_default(c->command, o->id);
        omni_text_add(t, "; %s = %s\n", o->name, otherwise ? otherwise : name);
    } else if (!count) {
        omni_text_add(t, "%s = ", o->name);
        add_value(t, value);
    }
}

omni_status cli_print_config(const cli *c, omni_error *err) {
    const char *command = omni_command_name(c->command);
    omni_text *t = omni_text_create();
    const omni_option *o;
    omni_text_add(t, "; omnibus %s: all settings of %s, for omnibus %s --config FILE\n[%s]\n", OMNI_VERSION,
                  command, command, command);
    for (size_t id = 0; (o = next_setting(c, &id));) add_setting(c, o, t);
    omni_status status = omni_text_emit(t, NULL, err);
    omni_text_free(t);
    return status;
}

/* --- what a file gave --------------------------------------------------------------------------- */

omni_status cli_placed(const cli *c, omni_option_id id, omni_status status, omni_error *err) {
    const char *where = omni_settings_where(c->settings, id), *end = strrchr(where, ':');
    char text[sizeof err->text];
    if (!status || !end || strncmp(where, "--", 2) == 0) return status;
    snprintf(text, sizeof text, "%s", err->text);
    *err = (omni_error){0};
    return omni_error_set(err, status, "%.*s: %s", (int)(end - where), where, text);
}

omni_status cli_check_plans(const cli *c, omni_error *err) {
    const char *plan = omni_settings_get(c->settings, OMNI_OPT_PLAN);
    const char *later = omni_settings_get(c->settings, OMNI_OPT_DECODE_PLAN);
    omni_plan_spec *specs = NULL;
    cli_schedule *schedules = NULL;
    size_t count = 0;
    omni_status status = plan ? cli_plans_or_auto(plan, &specs, &count, err) : OMNI_OK;
    omni_free(specs);
    if (status) return cli_placed(c, OMNI_OPT_PLAN, status, err);
    status = later ? cli_schedules(later, &schedules, &count, err) : OMNI_OK;
    cli_schedules_free(schedules, status ? 0 : count);
    return cli_placed(c, OMNI_OPT_DECODE_PLAN, status, err);
}
