/* main.c: picks the subcommand.
 *
 *   omnibus COMMAND ARGUMENTS  ->  parse (cli/args.c)  ->  the command  ->  exit status
 *
 * The only place that prints an error and decides the exit status: 0 done, 1 a check failed, 2 bad usage or
 * input, 3 the run failed, 130 interrupted. An error is one line on stderr, whatever a path in it contains.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

typedef struct command {
    const char *name, *help;
    omni_command id;
    omni_status (*call)(cli *c, omni_error *err);
} command;

static const command commands[] = {
    {"run", "generate tokens with a model distributed over PEs", OMNI_CMD_RUN, cli_run},
    {"check", "hold plans and PE counts against float64 truth", OMNI_CMD_CHECK, cli_check},
    {"plan", "show what plans move, without running", OMNI_CMD_PLAN, cli_plan},
    {"bench", "measure how fast plans run on this host", OMNI_CMD_BENCH, cli_bench},
    {"calibrate", "measure this host as an array to price plans on", OMNI_CMD_CALIBRATE, cli_calibrate},
    {"plot", "draw a picture from results", OMNI_CMD_PLOT, cli_plot},
    {"report", "make a page with pictures and tables from results", OMNI_CMD_REPORT, cli_report},
    {"topo", "show this machine and where PEs would run", OMNI_CMD_TOPO, cli_topo},
    {"synth", "write a checkpoint of random weights from a config", OMNI_CMD_SYNTH, cli_synth},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const command *find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static omni_text *page(void) {
    omni_text *t = omni_text_create();
    omni_text_add(t, "usage: omnibus COMMAND [OPTION...]\n\n"
                     "Runs Llama, GPT-2 and BERT checkpoints, really sharded, on an emulated array of processing\n"
                     "elements (PEs) that share one broadcast bus and reduce over a tree.\n\ncommands:\n");
    for (size_t i = 0; i < COMMANDS; i++) omni_text_add(t, "  %-9s %s\n", commands[i].name, commands[i].help);
    omni_text_add(
        t, "\nexample:\n"
           "  omnibus check configs/demo/llama --plan megatron,alternate --pes 1-4\n\n"
           "'omnibus COMMAND --help' shows a command's options. 'omnibus --version' shows the version.\n");
    return t;
}

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
    omni_text *t = page();
    fputs(omni_text_string(t), stderr);
    omni_text_free(t);
    return OMNI_BAD_INPUT;
}

/* At most two typing errors, and fewer than the word has letters. */
static omni_status unknown(const char *name, omni_error *err) {
    const char *nearest = NULL;
    size_t best = 3;
    for (size_t i = 0; i < COMMANDS && strlen(name) < 64; i++) {
        size_t distance = omni_edit_distance(name, commands[i].name);
        if (distance >= best || distance >= strlen(name)) continue;
        best = distance;
        nearest = commands[i].name;
    }
    if (name[0] == '-')
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "unknown option %.60s (expected a command, --help or --version)", name);
    if (nearest)
        return omni_error_set(err, OMNI_BAD_INPUT, "unknown command '%.60s' (did you mean '%s'?)", name,
                              nearest);
    return omni_error_set(err, OMNI_BAD_INPUT,
                          "unknown command '%.60s' (expected run, check, plan, bench, calibrate, topo or synth)", name);
}

static omni_status call(const command *chosen, int argc, char **argv, omni_error *err) {
    cli c;
    omni_status status = cli_parse(&c, chosen->id, argc, argv, err);
    if (!status) status = c.help ? cli_help(chosen->id, err) : chosen->call(&c, err);
    cli_close(&c);
    return status;
}

static omni_status dispatch(int argc, char **argv, omni_error *err) {
    if (argc < 2) return no_command();
    bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0;
    if (help) return print(page(), err);
    if (strcmp(argv[1], "--version") == 0) return print_version(err);
    const command *chosen = find(argv[1]);
    if (!chosen) return unknown(argv[1], err);
    return call(chosen, argc - 1, argv + 1, err);
}

static void print_error(omni_error *err) {
    for (char *c = err->text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    fprintf(stderr, "omnibus: %s\n", err->text);
}

int main(int argc, char **argv) {
    omni_error err = {0};
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
