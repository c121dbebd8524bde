/* config.h: the one table of options, from which --help, the command line, INI files and the effective
 * settings in JSON results are made. An option is a row; a command takes the rows whose `commands` has
 * its bit.
 */
#ifndef OMNIBUS_CONFIG_H
#define OMNIBUS_CONFIG_H

#include "omnibus/base.h"

typedef enum omni_command {
    OMNI_CMD_RUN = 1,
    OMNI_CMD_CHECK = 2,
    OMNI_CMD_PLAN = 4,
    OMNI_CMD_TOPO = 8,
    OMNI_CMD_SYNTH = 16,
    OMNI_CMD_BENCH = 32,
    OMNI_CMD_CALIBRATE = 64,
    OMNI_CMD_PLOT = 128,
    OMNI_CMD_REPORT = 256
} omni_command;
const char *omni_command_name(omni_command command); /* "run": also the section of a file */
unsigned omni_command_find(const char *name);        /* 0: none */
/* For one that is not there: "did you mean 'run'?" or "expected run, check, ... or synth". Returns buf. */
const char *omni_command_suggest(const char *name, char *buf, size_t cap);

typedef enum omni_option_id {
    OMNI_OPT_MODEL_DIR,
    OMNI_OPT_PES,
    OMNI_OPT_PLAN,
    OMNI_OPT_DECODE_PLAN,
    OMNI_OPT_RESIDENT,
    OMNI_OPT_TEXT, /* --prompt of run */
    OMNI_OPT_PROMPT_FILE,
    OMNI_OPT_PROMPT_IDS,
    OMNI_OPT_IDS_FILE,
    OMNI_OPT_TOKEN_TYPES,
    OMNI_OPT_MASK_ID,
    OMNI_OPT_GEN,
    OMNI_OPT_STOP_EOS,
    OMNI_OPT_TEMPERATURE,
    OMNI_OPT_TOP_K,
    OMNI_OPT_TOP_P,
    OMNI_OPT_DUMP,
    OMNI_OPT_TRACE,
    OMNI_OPT_TRACE_LIMIT,
    OMNI_OPT_GOLDEN,
    OMNI_OPT_SEED,
    OMNI_OPT_EXPLAIN,
    OMNI_OPT_DIFF,
    OMNI_OPT_BATCH,
    OMNI_OPT_PROMPT,
    OMNI_OPT_PG,
    OMNI_OPT_DEPTH,
    OMNI_OPT_REPS,
    OMNI_OPT_WORKERS,
    OMNI_OPT_NO_LIMITS,
    OMNI_OPT_ARRAY,
    OMNI_OPT_VERIFY,
    OMNI_OPT_TOP,
    OMNI_OPT_SET,
    OMNI_OPT_OUT,
    OMNI_OPT_PICTURE,
    OMNI_OPT_LAYERS,
    OMNI_OPT_DTYPE,
    OMNI_OPT_SHARD_SIZE,
    OMNI_OPT_FORMAT,
    OMNI_OPT_OUTPUT,
    OMNI_OPT_CONFIG,
    OMNI_OPT_PRINT_CONFIG,
    OMNI_OPT_CPUS,
    OMNI_OPT_FABRIC,
    OMNI_OPT_SCHEDULE,
    OMNI_OPT_COMPUTE,
    OMNI_OPT_PERF,
    OMNI_OPT_PERF_CTL,
    OMNI_OPT_QUIET,
    OMNI_OPTIONS
} omni_option_id;

typedef struct omni_option {
    omni_option_id id;
    const char *name;  /* "pes": --pes on the command line, `pes =` in a file */
    const char *arg;   /* "N", NULL for a flag */
    unsigned commands; /* omni_command bits */
    bool repeatable;
    const char *initial; /* value when not given; NULL: none, or the commands differ and decide themselves */
    const char *help;
} omni_option;
const omni_option *omni_option_at(omni_option_id id);
/* The option of that name that one of these commands (bits) takes; NULL: none. A name may be another option for another
 * command. */
const omni_option *omni_option_find(const char *name, unsigned takers);
/* The command's option that was probably meant by `name`; NULL when none is near. */
const char *omni_option_suggest(const char *name, omni_command command);
/* The commands that take it: "plan and bench". */
const char *omni_option_takers(const omni_option *o, char *buf, size_t cap);
/* False for options that are about settings and not one: --config, --print-config. A file cannot have them. */
bool omni_option_is_setting(omni_option_id id);

/* An INI file, key by key, for whoever has other keys than options. */
typedef struct omni_ini_line {
    const char *section, *key, *value; /* section: "" before the first */
    const char *where;                 /* "FILE:3: key", for error texts */
} omni_ini_line;
/* An error's text need not say where: "FILE:3: " is put before it unless it begins with `where`. */
typedef omni_status omni_ini_take(void *user, const omni_ini_line *line, omni_error *err);
/* Stops at the first error. Comments begin with ';' or '#' at the start of a line, or with " ;" behind a value. A value
 * in double quotes is taken as it is, with \" \\ \n \t \r. */
omni_status omni_ini_read(const char *path, omni_ini_take *take, void *user, omni_error *err);

/* Values of one invocation, all text until asked for. One thread at a time. */
typedef struct omni_settings omni_settings;
omni_settings *
omni_settings_create(omni_command command); /* NULL: out of memory. Free with omni_settings_free. */
void omni_settings_free(omni_settings *s);

/* Command line values override those of a file, whichever comes first; a repeatable option given on the
 * command line replaces all the file's. Giving a non-repeatable option twice in the same place is an
 * error, and so is an empty value. A flag's value is yes, no, true, false, on, off, 1 or 0; NULL: yes. */
typedef enum omni_origin { OMNI_FROM_FILE, OMNI_FROM_COMMAND_LINE } omni_origin;
omni_status omni_settings_put(omni_settings *s, omni_option_id id, const char *value, omni_origin origin,
                              omni_error *err);

/* INI: keys of the command's options before any section or in [run], [check], [plan] ... (other
 * commands' sections are skipped). Unknown keys and sections and values given twice are errors that name file and line.
 * A repeatable key may stand on several lines.
 * Or a JSON result of the same command, a file that begins with '{' (of JSON lines the first): its `settings`, whose
 * keys are the options' names with '_'; null is not given. */
omni_status omni_settings_load(omni_settings *s, const char *path, omni_error *err);

const char *omni_settings_get(const omni_settings *s, omni_option_id id); /* last value, initial, or NULL */
size_t omni_settings_count(const omni_settings *s, omni_option_id id);    /* given values, of repeatables */
const char *omni_settings_nth(const omni_settings *s, omni_option_id id,
                              size_t i); /* NULL when i is out of range */
bool omni_settings_flag(const omni_settings *s, omni_option_id id);
/* Where the value of omni_settings_get came from, for error texts (`what` of the lists below): "--pes",
 * "FILE:3: pes"; just the name when it is the initial value. Owned by s. */
const char *omni_settings_where(const omni_settings *s, omni_option_id id);
/* The value as a whole number in [min, max]. An error when there is none, so ask omni_settings_get first
 * if it may be missing. */
omni_status omni_settings_number(const omni_settings *s, omni_option_id id, size_t min, size_t max,
                                 size_t *out, omni_error *err);

/* "1,2,4-8" -> {1,2,4,5,6,7,8}: in the order given, repeated if repeated. `what` names it in errors;
 * blanks around commas are allowed. Free with omni_free. At most 65536 numbers, at least one. */
omni_status omni_number_list(const char *text, const char *what, size_t min, size_t max, size_t **out,
                             size_t *count, omni_error *err);
/* "1,2,3" token ids, each in [0, INT32_MAX], at least one, as many as you like. Free with omni_free. */
omni_status omni_id_list(const char *text, const char *what, int32_t **out, size_t *count, omni_error *err);

#endif
