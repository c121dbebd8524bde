/* main.c: picks the subcommand.
 *
 *   omnibus COMMAND ARGUMENTS  ->  parse (cli/args.c)  ->  the command  ->  exit status
 *   omnibus help [COMMAND] [--man | --completion]      the same pages, for people, man and bash
 *
 * The only place that prints an error and decides the exit status: 0 done, 1 a check failed, 2 bad usage or
 * input, 3 the run failed, 130 interrupted. An error is one line on stderr, whatever a path in it contains.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const struct {
    omni_command id;
    omni_status (*call)(cli *c, omni_error *err);
} commands[] = {
    {OMNI_CMD_RUN, cli_run},     {OMNI_CMD_CHECK, cli_check},         {OMNI_CMD_PLAN, cli_plan},
    {OMNI_CMD_BENCH, cli_bench}, {OMNI_CMD_CALIBRATE, cli_calibrate}, {OMNI_CMD_PLOT, cli_plot},
    {OMNI_CMD_REPORT, cli_report}, {OMNI_CMD_TOPO, cli_topo}, {OMNI_CMD_SYNTH, cli_synth},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static omni_status print(omni_text *t, omni_error *err) {
    omni_status status = omni_text_emit(t, NULL, err);
    omni_text_free(t);
    return status;
}

static omni_status print_version(omni_error *err) {
    omni_text *t = omni_text_create();
    omni_text_add(t, "omnibus %s\n", OMNI_VERSION);
    return print(t, err);
}

static omni_status no_command(void) {
    omni_text *t = cli_front_page();
    fputs(omni_text_string(t), stderr);
    omni_text_free(t);
    return OMNI_BAD_INPUT;
}

static omni_status unknown(const char *name, omni_error *err) {
    char hint[128];
    if (name[0] == '-')
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "unknown option %.60s (expected a command, --help or --version)", name);
    return omni_error_set(err, OMNI_BAD_INPUT, "unknown command '%.60s' (%s)", name,
                          omni_command_suggest(name, hint, sizeof hint));
}

/* argv: what stands behind "help". */
static omni_status help(int argc, char **argv, omni_error *err) {
    const char *last = argc > 0 ? argv[argc - 1] : "";
    bool man = strcmp(last, "--man") == 0, completion = strcmp(last, "--completion") == 0;
    int names = argc - (man || completion);
    unsigned command = names == 1 ? omni_command_find(argv[0]) : 0;
    if (names == 1 && !command) return unknown(argv[0], err);
    if (names > 1 || (completion && names))
        return omni_error_set(err, OMNI_BAD_INPUT, "help: unexpected argument '%.60s' (expected one command)",
                              argv[names - 1]);
    if (completion) return cli_completion(err);
    if (man) return cli_manual(command ? cli_page_of((omni_command)command) : NULL, err);
    return command ? cli_help((omni_command)command, err) : print(cli_front_page(), err);
}

static omni_status call(omni_command id, int argc, char **argv, omni_error *err) {
    cli c;
    omni_status status = cli_parse(&c, id, argc, argv, err);
    for (size_t i = 0; !status && i < COMMANDS; i++) {
        if (commands[i].id != id) continue;
        status = c.help ? cli_help(id, err) : c.print ? cli_print_config(&c, err) : commands[i].call(&c, err);
        break;
    }
    cli_close(&c);
    return status;
}

static omni_status dispatch(int argc, char **argv, omni_error *err) {
    if (argc < 2) return no_command();
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return print(cli_front_page(), err);
    if (strcmp(argv[1], "help") == 0) return help(argc - 2, argv + 2, err);
    if (strcmp(argv[1], "--version") == 0) return print_version(err);
    unsigned command = omni_command_find(argv[1]);
    return command ? call((omni_command)command, argc - 1, argv + 1, err) : unknown(argv[1], err);
}

static void print_error(omni_error *err) {
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    fprintf(stderr, "omnibus: %s\n", err->text);
}

/* Where stderr is closed its number is not for files, into which errors would then be written. */
static void keep_stderr(void) {
    int null = fcntl(STDERR_FILENO, F_GETFD) < 0 ? open("/dev/null", O_WRONLY) : -1;
    if (null < 0 || null == STDERR_FILENO) return;
    dup2(null, STDERR_FILENO);
    close(null);
}

int main(int argc, char **argv) {
    omni_error err = {0};
    keep_stderr();
    cli_catch_signals();
    omni_status status = dispatch(argc, argv, &err);
    /* A signal may show first as a call that it cut short: "Interrupted system call". */
    bool stopped = omni_stop_get(&cli_stop) == OMNI_INTERRUPTED;
    if (stopped && status > OMNI_CHECK_FAILED) status = OMNI_INTERRUPTED;
    if (status == OMNI_INTERRUPTED)
        fputs("omnibus: interrupted\n", stderr);
    else if (err.text[0])
        print_error(&err);
    return (int)status;
}
