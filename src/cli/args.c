/* args.c: the command line, parsed by argp with a table that is made at run time from the one table of
 * options.
 *
 *   omni_option_at(0..) whose `commands` has our bit  ->  struct argp_option[]  ->  argp_parse  ->  settings
 *                                                                            +->  argp_help   ->  --help
 *
 * argp stays silent (ARGP_NO_ERRS) and never exits: its complaint is "bad key" without saying which, so
 * diagnose() looks at the word where it stopped and says it in our one line. Options get their help in the
 * order of the table by each being a group of its own.
 */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { KEY_HELP = 'h', KEY_FIRST = 1000, DOC_BYTES = 320, WORD = 64 };

/* What argp needs for one command. */
typedef struct parser {
    struct argp argp;
    struct argp_option option[OMNI_OPTIONS + 2]; /* ours, --help, the end */
    char argument[OMNI_OPTIONS][16];
    char doc[OMNI_OPTIONS][DOC_BYTES];
    omni_text *text;
    const char *second; /* operand; NULL: none. The second plan of --diff P Q, or the model beside it */
    cli *c;
    omni_error *err;
} parser;

/* --- defaults --------------------------------------------------------------------------------- */

static const struct {
    unsigned commands;
    omni_option_id id;
    const char *text;
    bool weak; /* without it another option, or the model, decides: it is not the same as if it were given */
} defaults[] = {
    {OMNI_CMD_RUN, OMNI_OPT_PES, "1", false},
    {OMNI_CMD_CHECK, OMNI_OPT_PES, "1,2,3,4", false},
    {OMNI_CMD_PLAN, OMNI_OPT_PES, "4", true},
    {OMNI_CMD_RUN, OMNI_OPT_PLAN, "megatron", false},
    {OMNI_CMD_CHECK, OMNI_OPT_PLAN, "single,megatron,workflow1,workflow2,alternate", false},
    {OMNI_CMD_PLAN, OMNI_OPT_PLAN, "single,megatron,workflow1,workflow2,alternate", true},
    {OMNI_CMD_RUN | OMNI_CMD_PLAN, OMNI_OPT_GEN, "16", true},
    {OMNI_CMD_PLAN, OMNI_OPT_PROMPT, "64", false},
    {OMNI_CMD_BENCH, OMNI_OPT_PES, "1,2", false},
    {OMNI_CMD_BENCH, OMNI_OPT_PLAN, "megatron", false},
    {OMNI_CMD_BENCH, OMNI_OPT_PROMPT, "512", true},
    {OMNI_CMD_BENCH, OMNI_OPT_GEN, "128", true},
};
enum { DEFAULTS = sizeof defaults / sizeof *defaults };

/* DEFAULTS: none of the command's own. */
static size_t find_default(omni_command command, omni_option_id id) {
    for (size_t i = 0; i < DEFAULTS; i++)
        if (defaults[i].id == id && defaults[i].commands & (unsigned)command) return i;
    return DEFAULTS;
}

const char *cli_default(omni_command command, omni_option_id id) {
    size_t i = find_default(command, id);
    return i < DEFAULTS ? defaults[i].text : omni_option_at(id)->initial;
}

const char *cli_assumed(omni_command command, omni_option_id id) {
    size_t i = find_default(command, id);
    return i < DEFAULTS && defaults[i].weak ? NULL : cli_default(command, id);
}

const char *cli_effective(const cli *c, omni_option_id id) {
    const char *given = omni_settings_get(c->settings, id);
    return given ? given : cli_assumed(c->command, id);
}

const char *cli_value(const cli *c, omni_option_id id) {
    const char *given = omni_settings_get(c->settings, id);
    return given ? given : cli_default(c->command, id);
}

omni_status cli_number(const cli *c, omni_option_id id, size_t min, size_t max, size_t *out,
                       omni_error *err) {
    const char *text = cli_default(c->command, id);
    if (omni_settings_get(c->settings, id) || !text)
        return omni_settings_number(c->settings, id, min, max, out, err);
    omni_parse_size(text, SIZE_MAX, out);
    return OMNI_OK;
}

omni_status cli_numbers(const cli *c, omni_option_id id, size_t min, size_t max, size_t **out, size_t *count,
                        omni_error *err) {
    return omni_number_list(cli_value(c, id), omni_settings_where(c->settings, id), min, max, out, count,
                            err);
}

/* --- argp's table ----------------------------------------------------------------------------- */

const char *cli_argument_name(const omni_option *o, omni_command command, char buf[16]) {
    const char *bar = o->arg ? strchr(o->arg, '|') : NULL;
    bool list = command & (OMNI_CMD_CHECK | OMNI_CMD_PLAN | OMNI_CMD_BENCH | OMNI_CMD_CALIBRATE);
    if (!o->arg) return NULL;
    if (!bar)
        snprintf(buf, 16, "%s", o->arg);
    else if (list)
        snprintf(buf, 16, "%s", bar + 1);
    else
        snprintf(buf, 16, "%.*s", (int)(bar - o->arg), o->arg);
    return buf;
}

static const struct argp_option *add_option(parser *p, const omni_option *o, size_t i) {
    const char *value = cli_default(p->c->command, o->id);
    snprintf(p->doc[i], DOC_BYTES, "%s%s%s%s", o->help, value ? " [default " : "", value ? value : "",
             value ? "]" : "");
    p->option[i] = (struct argp_option){.name = o->name,
                                        .key = KEY_FIRST + (int)o->id,
                                        .arg = cli_argument_name(o, p->c->command, p->argument[i]),
                                        .doc = p->doc[i],
                                        .group = (int)i + 1};
    return &p->option[i];
}

static error_t take(int key, char *arg, struct argp_state *state);

static parser *parser_create(cli *c, omni_error *err) {
    parser *p = omni_alloc(sizeof *p);
    if (!p) {
        omni_error_set(err, OMNI_RUN_FAILED, "out of memory");
        return NULL;
    }
    size_t n = 0;
    p->c = c;
    p->err = err;
    for (size_t id = 0; id < OMNI_OPTIONS; id++) {
        const omni_option *o = omni_option_at((omni_option_id)id);
        if (o->commands & (unsigned)c->command) add_option(p, o, n++);
    }
    p->option[n] =
        (struct argp_option){.name = "help", .key = KEY_HELP, .doc = "show this page", .group = (int)n + 1};
    p->text = cli_help_text(c->command);
    p->argp = (struct argp){.options = p->option,
                            .parser = take,
                            .args_doc = cli_operand_name(c->command),
                            .doc = omni_text_string(p->text)};
    return p;
}

static void parser_free(parser *p) {
    if (p) omni_text_free(p->text);
    omni_free(p);
}

/* --- what argp only calls a bad key ----------------------------------------------------------- */

/* The options of the command that begin with `name`: how many, and the last of them. */
static const struct argp_option *completions(const parser *p, const char *name, size_t *count) {
    const struct argp_option *found = NULL;
    *count = 0;
    for (const struct argp_option *o = p->option; o->name; o++) {
        if (strncmp(o->name, name, strlen(name)) != 0) continue;
        found = o;
        *count = strcmp(o->name, name) == 0 ? 1 : *count + 1;
        if (strcmp(o->name, name) == 0) break;
    }
    return found;
}

static omni_status unknown_option(parser *p, const char *name) {
    const char *command = omni_command_name(p->c->command), *near = omni_option_suggest(name, p->c->command);
    const omni_option *elsewhere = omni_option_find(name, ~0u);
    char takers[128];
    if (!near && omni_edit_distance(name, "help") < 3) near = "help";
    if (elsewhere)
        return omni_error_set(p->err, OMNI_BAD_INPUT,
                              "--%s: not an option of %s, but of %s (see omnibus %s --help)", name, command,
                              omni_option_takers(elsewhere, takers, sizeof takers), command);
    if (near)
        return omni_error_set(p->err, OMNI_BAD_INPUT, "unknown option --%s (did you mean --%s?)", name, near);
    return omni_error_set(p->err, OMNI_BAD_INPUT, "unknown option --%s (see omnibus %s --help)", name,
                          command);
}

/* OMNI_OK when nothing is wrong with this word. */
static omni_status diagnose_word(parser *p, const char *word) {
    char name[WORD];
    if (word[0] != '-' || !word[1]) return OMNI_OK;
    if (word[1] != '-')
        return omni_error_set(p->err, OMNI_BAD_INPUT, "unknown option %.60s (see omnibus %s --help)", word,
                              omni_command_name(p->c->command));
    size_t count, length = strcspn(word + 2, "=");
    snprintf(name, sizeof name, "%.*s", (int)(length < WORD ? length : WORD - 1), word + 2);
    const struct argp_option *o = completions(p, name, &count);
    bool value = word[2 + length] == '=';
    if (count == 0) return unknown_option(p, name);
    if (count > 1)
        return omni_error_set(p->err, OMNI_BAD_INPUT, "--%s: ambiguous (expected a whole name, as --%s)",
                              name, o->name);
    if (o->arg && !value)
        return omni_error_set(p->err, OMNI_BAD_INPUT, "--%s: no value (expected %s)", o->name, o->arg);
    if (!o->arg && value) return omni_error_set(p->err, OMNI_BAD_INPUT, "--%s: takes no value", o->name);
    return OMNI_OK;
}

/* argp stopped behind the bad word, or on it within a cluster of short options. */
static void diagnose(parser *p, const struct argp_state *state) {
    for (int i = state->next - 1; i <= state->next && i < state->argc; i++)
        if (i > 0 && diagnose_word(p, state->argv[i]) != OMNI_OK) return;
    omni_error_set(p->err, OMNI_BAD_INPUT, "bad command line (see omnibus %s --help)",
                   omni_command_name(p->c->command));
}

/* --- taking words ----------------------------------------------------------------------------- */

static omni_status unexpected(parser *p, const char *arg) {
    const char *name = cli_operand_name(p->c->command);
    return omni_error_set(p->err, OMNI_BAD_INPUT, "unexpected argument '%.200s' (expected %s%s)", arg,
                          name ? "one " : "options only", name ? name : "");
}

/* "RESULT...": as many as there are. */
static bool takes_several(omni_command command) {
    const char *name = cli_operand_name(command);
    return name && strstr(name, "...");
}

static error_t take_one_more(parser *p, const char *arg) {
    cli *c = p->c;
    const char **more = realloc(c->operands, (c->operand_count + 1) * sizeof *more);
    if (!more) return ENOMEM;
    c->operands = more;
    c->operands[c->operand_count++] = arg;
    c->operand = c->operands[0];
    return 0;
}

static error_t take_operand(parser *p, const char *arg) {
    if (takes_several(p->c->command) && *arg) return take_one_more(p, arg);
    const char **place = !p->c->operand ? &p->c->operand : &p->second;
    bool pair = omni_option_at(OMNI_OPT_DIFF)->commands & (unsigned)p->c->command;
    if (!cli_operand_name(p->c->command) || !*arg || *place || (place == &p->second && !pair))
        return unexpected(p, arg) ? EINVAL : 0;
    *place = arg;
    return 0;
}

/* A name of a model that comes with omnibus, its shape or all of it, is one, too; of two with that name the
 * one that is enough for the command. */
static bool find_model(omni_command command, const char *name, char path[PATH_MAX]) {
    bool shape = command & (OMNI_CMD_PLAN | OMNI_CMD_SYNTH);
    return (!shape && omni_share_find(name, "demo", "", path, PATH_MAX)) ||
           omni_share_find(name, "models", ".json", path, PATH_MAX) ||
           omni_share_find(name, "demo", "", path, PATH_MAX);
}

static bool is_path(omni_command command, const char *name) {
    char path[PATH_MAX];
    return find_model(command, name, path);
}

/* Of two operands one is the second plan of --diff P Q: the model is the one that is there. */
static omni_status settle_operands(parser *p) {
    cli *c = p->c;
    const char *first = c->operand, *given = omni_settings_get(c->settings, OMNI_OPT_DIFF);
    if (!p->second || c->help) return OMNI_OK;
    if (omni_settings_count(c->settings, OMNI_OPT_DIFF) != 1 || strchr(given, ','))
        return unexpected(p, p->second);
    bool exists = is_path(c->command, first);
    if (exists == is_path(c->command, p->second))
        return omni_error_set(
            p->err, OMNI_BAD_INPUT,
            exists ? "--diff: '%.100s' and '%.100s' both exist (expected --diff P,Q and one %s)"
                   : "--diff: neither '%.100s' nor '%.100s' exists (expected a plan and one %s)",
            first, p->second, cli_operand_name(c->command));
    c->operand = exists ? first : p->second;
    return omni_settings_put(c->settings, OMNI_OPT_DIFF, exists ? p->second : first, OMNI_FROM_COMMAND_LINE,
                             p->err);
}

static error_t take(int key, char *arg, struct argp_state *state) {
    parser *p = state->input;
    if (key >= KEY_FIRST && key < KEY_FIRST + OMNI_OPTIONS)
        return omni_settings_put(p->c->settings, (omni_option_id)(key - KEY_FIRST), arg,
                                 OMNI_FROM_COMMAND_LINE, p->err)
                   ? EINVAL
                   : 0;
    switch (key) {
    case KEY_HELP:
        p->c->help = true;
        state->next = state->argc;
        return 0;
    case ARGP_KEY_ARG:
        return take_operand(p, arg);
    case ARGP_KEY_ERROR:
        if (p->err->status == OMNI_OK) diagnose(p, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What the model is called becomes where it is. */
static omni_status take_model(cli *c, omni_error *err) {
    const char *operand = cli_operand_name(c->command), *command = omni_command_name(c->command);
    bool several = takes_several(c->command);
    const char *name = several   ? c->operand
                       : operand ? omni_settings_get(c->settings, OMNI_OPT_MODEL_DIR)
                                 : NULL;
    char path[PATH_MAX];
    if (!operand || (several && name)) return OMNI_OK;
    if (!name)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: no %s (see omnibus %s --help)", command, operand,
                              command);
    omni_guess g = omni_guess_start(name);
    if (!find_model(c->command, name, path)) {
        omni_share_guess("models", ".json", &g);
        omni_share_guess("demo", "", &g);
    }
    if (g.nearest[0])
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: no such file or directory (did you mean '%s'?)", name,
                              g.nearest);
    c->operand = c->model_path = strdup(path);
    return c->operand ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "out of memory");
}

static omni_status take_file(cli *c, omni_error *err) {
    const char *file = omni_settings_get(c->settings, OMNI_OPT_CONFIG);
    char path[PATH_MAX];
    if (!file) return OMNI_OK;
    if (!omni_share_find(file, "experiments", ".ini", path, sizeof path)) {
        omni_guess g = omni_guess_start(file);
        omni_share_guess("experiments", ".ini", &g);
        if (g.nearest[0])
            return omni_error_set(err, OMNI_BAD_INPUT, "%s: no such file (did you mean '%s'?)", file,
                                  g.nearest);
    }
    return omni_settings_load(c->settings, path, err);
}

static omni_status take_common(cli *c, omni_error *err) {
    omni_status status = take_file(c, err);
    c->print = omni_settings_flag(c->settings, OMNI_OPT_PRINT_CONFIG);
    if (!status && !c->print) status = take_model(c, err);
    bool file = omni_settings_get(c->settings, OMNI_OPT_CONFIG);
    if (!status && !c->print && file) status = cli_check_plans(c, err);
    if (status) return status;
    c->output = omni_settings_get(c->settings, OMNI_OPT_OUTPUT);
    c->quiet = omni_settings_flag(c->settings, OMNI_OPT_QUIET);
    status = omni_format_parse(cli_value(c, OMNI_OPT_FORMAT), c->command == OMNI_CMD_BENCH, &c->format, err);
    status = cli_placed(c, OMNI_OPT_FORMAT, status, err);
    return status || c->print ? status : omni_output_check(c->output, err);
}

/* The operand is the setting that it has no name for. */
static omni_status store_operand(cli *c, omni_error *err) {
    if (!c->operand || c->help || takes_several(c->command)) return OMNI_OK;
    return omni_settings_put(c->settings, OMNI_OPT_MODEL_DIR, c->operand, OMNI_FROM_COMMAND_LINE, err);
}

omni_status cli_parse(cli *c, omni_command command, int argc, char **argv, omni_error *err) {
    *c = (cli){.command = command, .settings = omni_settings_create(command)};
    if (!c->settings) return omni_error_set(err, OMNI_RUN_FAILED, "out of memory");
    parser *p = parser_create(c, err);
    if (!p) return err->status;
    error_t failed = argp_parse(&p->argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_EXIT | ARGP_NO_HELP, NULL, p);
    if (!failed && (settle_operands(p) || store_operand(c, err))) failed = EINVAL;
    parser_free(p);
    if (failed)
        return err->status ? err->status
                           : omni_error_set(err, OMNI_RUN_FAILED, "command line: %s", strerror(failed));
    return c->help ? OMNI_OK : take_common(c, err);
}

/* --- help ------------------------------------------------------------------------------------- */

/* argp's measures: a narrow page has its texts below the options. */
static void set_page_width(void) {
    char format[128];
    int columns = (int)cli_columns() - 1, text = columns < 72 ? 8 : 29;
    snprintf(format, sizeof format, "rmargin=%d,opt-doc-col=%d,usage-indent=%d", columns, text,
             columns < 72 ? 4 : 12);
    setenv("ARGP_HELP_FMT", format, 0);
}

omni_status cli_help(omni_command command, omni_error *err) {
    char *page = NULL, name[32];
    size_t bytes;
    cli c = {.command = command};
    parser *p = parser_create(&c, err);
    if (!p) return err->status;
    set_page_width();
    FILE *f = open_memstream(&page, &bytes);
    snprintf(name, sizeof name, "omnibus %s", omni_command_name(command));
    if (f) argp_help(&p->argp, f, ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC, name);
    omni_text *t = omni_text_create();
    if (f && fclose(f) == 0)
        omni_text_add(t, "%s", page);
    else
        omni_error_set(err, OMNI_RUN_FAILED, "out of memory for the help page");
    omni_status status = err->status ? err->status : omni_text_emit(t, NULL, err);
    omni_text_free(t);
    free(page);
    parser_free(p);
    return status;
}
