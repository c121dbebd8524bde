/* cli.h: what the commands share: one invocation, from its words to its report.
 *
 *   main ----> cli_parse (args.c) ----> cli_run, cli_check ... : parse -> call -> report ----> cli_close
 *                  |                        |
 *                  +-- help.c               +-- common.c: open model, weights, places; envelope; output
 *
 * Nothing here exits or prints results directly: a command returns a status, main prints the error's line.
 * Everything runs on the main thread.
 */
#ifndef OMNIBUS_CLI_CLI_H
#define OMNIBUS_CLI_CLI_H

#include <jansson.h>
#include <pthread.h>

#include "omnibus/config.h"
#include "omnibus/model.h"
#include "omnibus/pe.h"
#include "omnibus/plan.h"
#include "omnibus/report.h"
#include "omnibus/sync.h"
#include "omnibus/topo.h"
#include "omnibus/weights.h"

enum { CLI_MOST_PES = 1 << 20 };

/* One invocation. What is opened belongs to it and is closed by cli_close. */
typedef struct cli {
    omni_command command;
    omni_settings *settings;
    const char *operand;   /* where MODEL_DIR or CONFIG.json is; NULL for commands without one */
    char *model_path;      /* what it points to */
    const char **operands; /* of a command that takes several; NULL otherwise. Freed by cli_close */
    size_t operand_count;
    bool help;  /* --help was given; nothing else counts */
    bool print; /* --print-config: only cli_print_config is to be called */
    omni_format format;
    const char *output; /* NULL: stdout */
    bool quiet;
    omni_topo *topo;
    omni_model *model;
    omni_weights *weights;
    omni_compute compute; /* --compute; set with the weights, which must be of a type for it */
} cli;

/* --- args.c, help.c, manual.c, complete.c ------------------------------------------------------ */

/* Command line and --config file into *c. argv[0] is the command's name. */
omni_status cli_parse(cli *c, omni_command command, int argc, char **argv, omni_error *err);

/* The command's page on stdout. */
omni_status cli_help(omni_command command, omni_error *err);

/* What there is to say of a command, beside its options. */
typedef struct cli_page {
    omni_command command;
    const char *operand;       /* "MODEL_DIR", NULL for none */
    const char *brief, *intro; /* a line; a paragraph */
    const char *examples;      /* lines, which a test runs in a directory of its own */
} cli_page;
const cli_page *cli_pages(size_t *count);
const cli_page *cli_page_of(omni_command command);
const char *cli_operand_name(omni_command command);
void cli_add_plans(omni_text *t); /* the plans and their parts, as --help shows them */
omni_text *cli_front_page(void);  /* what omnibus shows when nothing is asked for */

/* As wide as the terminal, which COLUMNS may tell, from 40 to 110; 80 where there is none. */
size_t cli_columns(void);
/* Words of `text` on lines of at most `columns`; the first begins at column `at`, the others are indented by
 * it. */
void cli_add_wrapped(omni_text *t, const char *text, size_t at, size_t columns);

/* The manual page in mdoc(7), of the program when `of` is NULL; bash's completion. On stdout. */
omni_status cli_manual(const cli_page *of, omni_error *err);
omni_status cli_completion(omni_error *err);

/* What --help says before and behind the list of options, in argp's form "before\vbehind". Owned by the text.
 */
omni_text *cli_help_text(omni_command command);

/* The value of an option, given or by default; NULL: none. The default of options whose commands differ is
 * here. */
const char *cli_default(omni_command command, omni_option_id id);
/* The default where it is the same as if it were given; NULL: none, or another option or the model
 * decides. */
const char *cli_assumed(omni_command command, omni_option_id id);
const char *cli_value(const cli *c, omni_option_id id);
/* As cli_value, but NULL where what is not given is decided by another option or by the model. */
const char *cli_effective(const cli *c, omni_option_id id);
omni_status cli_number(const cli *c, omni_option_id id, size_t min, size_t max, size_t *out, omni_error *err);
omni_status cli_numbers(const cli *c, omni_option_id id, size_t min, size_t max, size_t **out, size_t *count,
                        omni_error *err); /* omni_free */

/* "N" of "N|LIST" for run, topo and synth, "LIST" for the others. */
const char *cli_argument_name(const omni_option *o, omni_command command, char buf[16]);

/* --- common.c --------------------------------------------------------------------------------- */

/* Set by SIGINT and SIGTERM; a second one ends the process. */
extern omni_stop cli_stop;
void cli_catch_signals(void);
void cli_release_signals(void); /* of a command that nobody needs to ask to stop: a signal ends it */
omni_status cli_stopped(omni_error *err); /* OMNI_OK: go on */

omni_status cli_open_model(cli *c, omni_error *err);
omni_status cli_open_weights(cli *c, omni_error *err); /* and binds them: every tensor is there */
omni_status cli_open_topo(cli *c, omni_error *err);
/* *o becomes complete: model, weights, places, how to compute and to move, the signals' stop word; then the
 * engine, with a bar while weights are packed. */
omni_status cli_create_engine(const cli *c, omni_engine_options *o, omni_engine **out, omni_error *err);
omni_status cli_check_fabric(const cli *c,
                             omni_error *err); /* --fabric and --schedule name some that exist */
void cli_close(cli *c);

/* A line on stderr unless --quiet. */
void cli_note(const cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Plans of a list, parsed. Free with omni_free. A name that does not exist is an error. */
omni_status cli_plans(const char *list, omni_plan_spec **out, size_t *count, omni_error *err);
/* And "auto" among them, which has no more than its name. */
omni_status cli_plans_or_auto(const char *list, omni_plan_spec **out, size_t *count, omni_error *err);
/* A --decode-plan: plans and the positions from which on they are used, "P,Q@2048". */
typedef struct cli_schedule {
    char name[256];       /* as typed */
    omni_plan_spec *spec; /* [count] */
    size_t *from;         /* [count] ascending */
    size_t count;
} cli_schedule;
/* A list of them: an entry with a position belongs to the one before it. Free with cli_schedules_free. */
omni_status cli_schedules(const char *list, cli_schedule **out, size_t *count, omni_error *err);
void cli_schedules_free(cli_schedule *list, size_t count);
/* Compiled for so many PEs; NULL entries when it failed. Free with cli_schedule_drop. */
omni_status cli_schedule_compile(const omni_model *model, const cli_schedule *s, size_t pes,
                                 const omni_plan ***out, omni_error *err);
void cli_schedule_drop(const cli_schedule *s, const omni_plan **plans);

/* The same distribution, whatever it is called. */
bool cli_same_plan(const omni_plan_spec *a, const omni_plan_spec *b);

/* An error text of this plan without the plan's name in front, for rows that show the name anyway. */
const char *cli_reason(const omni_plan_spec *spec, const char *text);

/* Adds to an object; a failure is remembered by the object becoming NULL, which cli_emit reports. */
void cli_set(json_t **object, const char *key, json_t *value);
void cli_append(json_t **array, json_t *value);
json_t *cli_size(uint64_t n);
/* {"schema", "version", "host", "settings"}, for the command's fields to follow. */
json_t *cli_envelope(const cli *c);
json_t *cli_model_json(const omni_model *model);

/* Writes the result in the format asked for: `root` as JSON, `rows` (borrowed from root, or root) as CSV or
 * Markdown, `page` otherwise. Takes root and page. */
omni_status cli_emit(const cli *c, json_t *root, const json_t *rows, omni_text *page, omni_error *err);

/* --- settings.c: the effective settings ------------------------------------------------------- */

json_t *cli_settings_json(const cli *c);
omni_status cli_print_config(const cli *c, omni_error *err); /* as an INI file on stdout */
/* Where status is an error, of a value that a file gave, its text begins with the place:
 * "FILE:3: plan 'x': ...". */
omni_status cli_placed(const cli *c, omni_option_id id, omni_status status, omni_error *err);
/* Plans that a file gave, read once more than by the command, which knows no file. */
omni_status cli_check_plans(const cli *c, omni_error *err);

/* --- facts.c: parts of several reports -------------------------------------------------------- */

json_t *cli_methods_json(const omni_plan_spec *s); /* {"qkv": "out", ...}; "out/in" where layers cycle */
const char *cli_methods_text(const omni_plan_spec *s, char *buf, size_t cap);
json_t *cli_memory_json(const omni_memory *m);
/* want: 1 the largest, -1 the smallest, 0 the sum of the ranks; field by field */
omni_memory cli_fold_memory(const omni_memory *ranks, size_t count, int want);
void cli_draw_memory(const omni_memory *ranks, size_t count,
                     omni_text *page); /* each PE, or the extremes of many */

/* --- progress.c: on stderr, how far something is that takes longer than a second --------------- */

typedef enum cli_progress_kind {
    CLI_STEPS,       /* "6 of 20" */
    CLI_TIMED_STEPS, /* the same, but nothing may disturb in between: drawn by cli_progress_step */
    CLI_BYTES,
    CLI_SHARE /* "31%": of work that has no unit */
} cli_progress_kind;

/* The caller's, and stays where it is from begin to end; all zeros, it may be ended. On the main thread but
 * for the meter. */
typedef struct cli_progress {
    omni_meter meter; /* may be given to those at work instead of steps */
    cli_progress_kind kind;
    const char *name; /* "check" */
    bool shown, terminal, watched;
    uint64_t begin_ns;
    pthread_t watcher;
    /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t end;
    bool ended, drawn;
    double idle_s; /* of bytes: until the first was seen; there is something to be set up before */
    uint64_t next_ns;
    char what[120]; /* is done now */
} cli_progress;
/* total 0: whoever has the meter tells. `name` is borrowed. */
void cli_progress_begin(cli_progress *p, const cli *c, cli_progress_kind kind, const char *name,
                        uint64_t total);
void cli_progress_step(cli_progress *p, uint64_t done, const char *what);
void cli_progress_end(cli_progress *p);
/* For a terminal: of at most `columns` unless the figures alone are longer. Free with omni_text_free. */
omni_text *cli_progress_line(const cli_progress *p, double seconds, size_t columns);

/* --- the commands ----------------------------------------------------------------------------- */

omni_status cli_run(cli *c, omni_error *err);
omni_status cli_check(cli *c, omni_error *err);
omni_status cli_plan(cli *c, omni_error *err);
omni_status cli_bench(cli *c, omni_error *err);
omni_status cli_calibrate(cli *c, omni_error *err);
omni_status cli_plot(cli *c, omni_error *err);
omni_status cli_report(cli *c, omni_error *err);
omni_status cli_topo(cli *c, omni_error *err);
omni_status cli_synth(cli *c, omni_error *err);

#endif
