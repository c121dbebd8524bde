/* ini.c: INI files, parsed by inih, for whoever takes their keys; and settings from them.
 *
 *     ; everything before a section is for every command that reads the file
 *     pes = 4
 *     [run]
 *     plan = megatron:o=out
 *     prompt-ids = 1,2,3
 *     prompt-ids = 4,5
 *
 * inih calls back for each key, but tells no line, and it cuts lines longer than its buffer (200 bytes) and
 * goes on. Both are mended by the reader that hands it the lines: it counts them, refuses those that don't
 * fit, and ends the file at the first error. It also drops blanks at the start of a line, else inih takes an
 * indented key for more of the value above it.
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "config/internal.h"

typedef struct ini_state {
    omni_ini_take *take;
    void *user;
    const char *path;
    FILE *file;
    int line;         /* of what inih sees now, from 1 */
    omni_error error; /* the first one */
    int error_line;
} ini_state;

static void ini_fail(ini_state *s, omni_status status, const char *text) {
    if (s->error.status != OMNI_OK) return;
    s->error_line = s->line;
    omni_error_set(&s->error, status, "%s:%d: %s", s->path, s->line, text);
}

/* The next line into text[cap], without leading blanks, with its newline, as fgets does. */
static char *ini_read_line(char *text, int cap, void *stream) {
    ini_state *s = stream;
    int length = 0, c = EOF;
    if (s->error.status != OMNI_OK) return NULL;
    s->line++;
    while ((c = getc(s->file)) != EOF) {
        if (length == 0 && c != '\n' && isspace(c)) continue;
        if (c == '\0') {
            ini_fail(s, OMNI_BAD_INPUT, "not a text file");
            return NULL;
        }
        if (length + 2 >= cap &&
            c != '\n') { /* keep room for the newline, or inih thinks that more is to come */
            char wrong[100];
            snprintf(wrong, sizeof wrong,
                     "the line is longer than %d characters (an ids-file takes long lists of ids)", cap - 2);
            ini_fail(s, OMNI_BAD_INPUT, wrong);
            return NULL;
        }
        text[length++] = (char)c;
        if (c == '\n') break;
    }
    text[length] = '\0';
    return length > 0 ? text : NULL;
}

/* inih's callback: 0 means error. */
static int ini_take(void *user, const char *section, const char *key, const char *value) {
    ini_state *s = user;
    if (s->error.status != OMNI_OK) return 0;
    char where[400];
    omni_error wrong = {0};
    snprintf(where, sizeof where, "%.300s:%d: %s", s->path, s->line, key);
    omni_ini_line line = {.section = section, .key = key, .value = value, .where = where};
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
    unsigned command = *line->section ? config_command_find(line->section) : (unsigned)config_command_of(s);
    if (!command)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "unknown section [%.40s] (expected run, check, plan, bench, calibrate, topo or synth)",
                              line->section);
    if (command != (unsigned)config_command_of(s)) return OMNI_OK;
    const omni_option *o = omni_option_find(line->key);
    if (!o) return unknown_key(s, line->key, err);
    if (o->id == OMNI_OPT_CONFIG)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "a file cannot include another (expected config on the command line only)");
    return config_store(s, o->id, line->value, OMNI_FROM_FILE, line->where, err);
}

omni_status omni_settings_load(omni_settings *settings, const char *path, omni_error *err) {
    return omni_ini_read(path, take_setting, settings, err);
}
