/* ini.c: INI files, parsed by inih, for whoever takes their keys; and settings from them.
 *
 *     ; everything before a section is for every command that reads the file
 *     pes = 4
 *     [run]
 *     plan = megatron:o=out
 *     prompt-ids = 1,2,3
 *     prompt-ids = 4,5
 *
 * inih calls back for each key, but tells no line, cuts lines longer than its buffer (200 bytes), and has no
 * quotes, without which a value cannot begin with a blank or have " ;" in it. All three are mended by the
 * reader that hands it the lines: it counts them, takes the value itself, and hands over the key with a short
 * one in its place. It also drops blanks at the start of a line, else inih takes an indented key for more of
 * the value above it, and ends the file at the first error.
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/internal.h"

enum { MOST_LINE = 1 << 24 };

typedef struct ini_state {
    omni_ini_take *take;
    void *user;
    const char *path;
    FILE *file;
    int line;   /* of what inih sees now, from 1 */
    char *text; /* that line, [room], without leading blanks and newline; from `value` on rewritten */
    size_t room;
    char *value;      /* within text; NULL: no key = value */
    omni_error error; /* the first one */
    int error_line;
} ini_state;

static void ini_fail(ini_state *s, omni_status status, const char *text) {
    if (s->error.status != OMNI_OK) return;
    s->error_line = s->line;
    omni_error_set(&s->error, status, "%s:%d: %s", s->path, s->line, text);
}

/* The next line into s->text; false at the end of the file. */
static bool ini_next_line(ini_state *s) {
    size_t length = 0;
    int c;
    s->line++;
    while ((c = getc(s->file)) != EOF && c != '\n') {
        if (length == 0 && isspace(c)) continue;
        if (c == '\0') ini_fail(s, OMNI_BAD_INPUT, "not a text file");
        if (length == MOST_LINE) ini_fail(s, OMNI_BAD_INPUT, "the line is longer than 16777216 characters");
        if (s->error.status != OMNI_OK) return false;
        if (length + 2 > s->room) {
            char *larger = realloc(s->text, 2 * length + 256);
            if (!larger) ini_fail(s, OMNI_RUN_FAILED, "out of memory");
            if (!larger) return false;
            s->text = larger;
            s->room = 2 * length + 256;
        }
        s->text[length++] = (char)c;
    }
    if (s->text) s->text[length] = '\0';
    return length > 0 || c != EOF;
}

/* As inih would: up to " ;", without blanks at the end. */
static void ini_plain_value(char *value) {
    for (char *c = value; *c; c++) {
        if (*c != ';' || (c > value && !isspace((unsigned char)c[-1]))) continue;
        *c = '\0';
        break;
    }
    for (size_t n = strlen(value); n > 0 && isspace((unsigned char)value[n - 1]); n--) value[n - 1] = '\0';
}

static void ini_quoted_value(ini_state *s) {
    static const char escaped[] = "\"\\ntr", meant[] = "\"\\\n\t\r";
    char *from = s->value + 1, *to = s->value;
    for (; *from && *from != '"'; from++) {
        const char *escape = *from == '\\' && from[1] ? strchr(escaped, from[1]) : NULL;
        if (escape) from++;
        *to++ = escape ? meant[escape - escaped] : *from;
    }
    const char *rest = *from ? from + 1 : from;
    if (*from) rest += strspn(rest, " \t\r");
    bool whole = *from && (!*rest || *rest == ';');
    *to = '\0';
    if (!whole) ini_fail(s, OMNI_BAD_INPUT, "expected a value, or one in quotes and nothing behind it");
}

/* What inih is to see of the line into seen[cap], with its newline: a key with a value in place of its
 * own. */
static void ini_show(ini_state *s, char *seen, int cap) {
    const char *text = s->text ? s->text : "";
    size_t key = strcspn(text, "=:");
    bool comment = *text == ';' || *text == '#', valued = !comment && *text != '[' && text[key];
    s->value = NULL;
    int n = snprintf(seen, (size_t)cap, "%.*s%s\n", valued ? (int)key : cap, comment ? "" : text,
                     valued ? "= ." : "");
    if (n >= cap) ini_fail(s, OMNI_BAD_INPUT, "expected 'key = value' or '[section]'");
    if (!valued) return;
    s->value = s->text + key + 1;
    s->value += strspn(s->value, " \t\r\v\f");
    if (*s->value == '"')
        ini_quoted_value(s);
    else
        ini_plain_value(s->value);
}

/* inih's reader, called as fgets is. */
static char *ini_read_line(char *seen, int cap, void *stream) {
    ini_state *s = stream;
    if (s->error.status != OMNI_OK || !ini_next_line(s)) return NULL;
    ini_show(s, seen, cap);
    return s->error.status == OMNI_OK ? seen : NULL;
}

/* inih's callback: 0 means error. */
static int ini_take(void *user, const char *section, const char *key, const char *shown) {
    (void)shown;
    ini_state *s = user;
    if (s->error.status != OMNI_OK) return 0;
    char where[400];
    omni_error wrong = {0};
    snprintf(where, sizeof where, "%.300s:%d: %s", s->path, s->line, key);
    omni_ini_line line = {.section = section, .key = key, .value = s->value ? s->value : "", .where = where};
    if (s->take(s->user, &line, &wrong) == OMNI_OK) return 1;
    /* An error that begins with the place says it itself. */
    if (strncmp(wrong.text, where, strlen(where)) == 0) {
        s->error = wrong;
        s->error_line = s->line;
    } else {
        ini_fail(s, wrong.status, wrong.text);
    }
    return 0;
}

omni_status omni_ini_read(const char *path, omni_ini_take *take, void *user, omni_error *err) {
    ini_state s = {.take = take, .user = user, .path = path, .file = fopen(path, "re")};
    if (!s.file) return omni_error_set(err, OMNI_BAD_INPUT, "%s: cannot open (%s)", path, strerror(errno));
    errno = 0;
    int line = ini_parse_stream(ini_read_line, &s, ini_take, &s);
    int reason = errno;
    bool torn = ferror(s.file);
    fclose(s.file);
    free(s.text);
    if (torn) return omni_error_set(err, OMNI_BAD_INPUT, "%s: cannot read (%s)", path, strerror(reason));
    if (line < 0) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    /* inih goes on behind a line that it can't parse, so ours may be a later error. */
    if (line > 0 && (s.error.status == OMNI_OK || line < s.error_line))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s:%d: expected 'key = value' or '[section]'", path,
                              line);
    if (s.error.status != OMNI_OK) return omni_error_set(err, s.error.status, "%s", s.error.text);
    return OMNI_OK;
}

/* --- settings --------------------------------------------------------------------------------- */

static omni_status unknown_key(const omni_settings *s, const char *key, omni_error *err) {
    const char *near = omni_option_suggest(key, config_command_of(s));
    if (near)
        return omni_error_set(err, OMNI_BAD_INPUT, "unknown key '%.40s' (did you mean '%s'?)", key, near);
    return omni_error_set(err, OMNI_BAD_INPUT, "unknown key '%.40s' (expected an option of omnibus %s)", key,
                          omni_command_name(config_command_of(s)));
}

/* Keys before a section are for us, and those of our own. */
static omni_status take_setting(void *user, const omni_ini_line *line, omni_error *err) {
    omni_settings *s = user;
    char hint[128];
    unsigned command = *line->section ? omni_command_find(line->section) : (unsigned)config_command_of(s);
    if (!command)
        return omni_error_set(err, OMNI_BAD_INPUT, "unknown section [%.40s] (%s)", line->section,
                              omni_command_suggest(line->section, hint, sizeof hint));
    if (command != (unsigned)config_command_of(s)) return OMNI_OK;
    const omni_option *o = omni_option_find(line->key, command);
    if (!o) o = omni_option_find(line->key, ~0u); /* another command's: says so below */
    if (!o) return unknown_key(s, line->key, err);
    if (o->id == OMNI_OPT_CONFIG)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "a file cannot include another (expected config on the command line only)");
    if (!omni_option_is_setting(o->id))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s is no setting (expected it on the command line only)",
                              o->name);
    return config_store(s, o->id, line->value, OMNI_FROM_FILE, line->where, err);
}

/* A regular file, which can be read again, with a JSON object perhaps behind blanks. What cannot be opened is
 * told by who reads it. */
static bool is_json(const char *path) {
    struct stat there;
    FILE *f = stat(path, &there) == 0 && S_ISREG(there.st_mode) ? fopen(path, "re") : NULL;
    int c = EOF;
    while (f && (c = getc(f)) != EOF && isspace(c))
        ;
    if (f) fclose(f);
    return c == '{';
}

omni_status omni_settings_load(omni_settings *settings, const char *path, omni_error *err) {
    return is_json(path) ? config_load_result(settings, path, err)
                         : omni_ini_read(path, take_setting, settings, err);
}
