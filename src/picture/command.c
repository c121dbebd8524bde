/* command.c: the command that made a result, as a user types it: from its settings, without those that are as
 * they are when nothing is said.
 */
#include <ctype.h>
#include <stdio.h>

#include "picture/internal.h"

/* As a shell would read it back. */
static void add_word(omni_text *line, const char *s) {
    bool plain = *s != '\0';
    for (const char *c = s; *c; c++)
        plain = plain && (isalnum((unsigned char)*c) || strchr("_-+=:,./@%", *c));
    if (plain) {
        omni_text_add(line, " %s", s);
        return;
    }
    omni_text_add(line, " '");
    for (; *s; s++) omni_text_add(line, *s == '\'' ? "'\\''" : "%c", *s);
    omni_text_add(line, "'");
}

/* NULL: nothing was said, or no value that an option can have. */
static const char *value_text(const json_t *v, char buf[32]) {
    if (json_is_integer(v)) snprintf(buf, 32, "%lld", (long long)json_integer_value(v));
    if (json_is_real(v)) snprintf(buf, 32, "%g", json_real_value(v));
    return json_is_number(v) ? buf : json_string_value(v);
}

static void add_value(omni_text *line, const char *option, const json_t *v, const char *otherwise) {
    char number[32];
    const char *value = value_text(v, number);
    if (!value && !json_is_true(v)) return;
    if (value && otherwise && strcmp(value, otherwise) == 0) return;
    omni_text_add(line, " --%s", option);
    if (value) add_word(line, value);
}

static void add_setting(omni_text *line, const char *key, const json_t *v, omni_command command,
                        omni_default_of *default_of) {
    char option[64];
    size_t i;
    const json_t *each;
    snprintf(option, sizeof option, "%s", key);
    for (char *c = option; *c; c++) *c = *c == '_' ? '-' : *c;
    const omni_option *o = omni_option_find(option, command);
    if (!json_is_array(v)) add_value(line, option, v, o ? default_of(command, o->id) : NULL);
    json_array_foreach(v, i, each) add_value(line, option, each, NULL);
}

/* What comes first or last. */
static bool is_placed(const char *key) {
    static const char *const placed[] = {"model_dir", "format", "output", "quiet"};
    for (size_t i = 0; i < sizeof placed / sizeof *placed; i++)
        if (strcmp(key, placed[i]) == 0) return true;
    return false;
}

void page_command(omni_text *out, const json_t *file, omni_default_of *default_of) {
    const json_t *result = json_object_get(file, "result"), *settings = json_object_get(result, "settings"),
                 *v;
    const char *path = json_string_value(json_object_get(file, "path")), *key,
               *schema = json_string_value(json_object_get(result, "schema")),
               *model = json_string_value(json_object_get(settings, "model_dir")),
               *format = json_string_value(json_object_get(settings, "format")),
               *output = json_string_value(json_object_get(settings, "output"));
    char name[32];
    omni_text *line = omni_text_create();
    snprintf(name, sizeof name, "%s", schema ? schema + strlen("omnibus.") : "");
    name[strcspn(name, "/")] = '\0';
    omni_text_add(line, "omnibus %s", name);
    if (model) add_word(line, model);
    json_object_foreach((json_t *)settings, key, v) { /* only read */
        if (!is_placed(key)) add_setting(line, key, v, (omni_command)omni_command_find(name), default_of);
    }
    omni_text_add(line, " --format");
    add_word(line, format ? format : "json");
    omni_text_add(line, output ? " --output" : " >");
    add_word(line, output ? output : path ? path : "result.json");
    omni_text_add(out, "<pre>");
    page_escape(out, omni_text_string(line));
    omni_text_add(out, "</pre>\n");
    omni_text_free(line);
}
