/* help.c: the prose of --help: what a command answers, its examples, and the plans and methods, printed from
 * their own tables so that a new row shows up by being there. The manual pages (manual.c) are made of the same.
 *
 * A test runs every example with exit status 0, in a directory of its own, in their order; those that take minutes
 * it only lets omnibus read.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

static const cli_page pages[] = {
    {OMNI_CMD_RUN, "MODEL_DIR", "generate tokens with a model distributed over PEs",
     "Distributes the checkpoint in MODEL_DIR over PEs by a plan, feeds it prompts, text or token ids, "
     "generates, the likeliest token or one that is drawn, and reports text or tokens, times, what moved "
     "over "
     "the bus, and memory. Text appears as it is generated. Of an encoder: the likeliest words for each "
     "[MASK], else the text's vector; JSON has both, as predictions and pooled.",
     "  omnibus run llama --pes 4 --prompt ROMEO: --gen 64 --temperature 0.8\n"
     "  omnibus run bert --pes 4 --prompt \"Long live the [MASK]!\"\n"
     "  omnibus run bert --prompt \"Good morrow.\" --format json --output text.json\n"
     "  omnibus run llama --pes 4 --prompt-ids 1,2,3 --gen 8\n"
     "  omnibus run llama --pes 4 --prompt-ids 1,2,3 --format json --output run.json\n"
     "  omnibus run --config run.json\n"
     "  omnibus run llama --pes 4 --prompt-ids 1,2,3 --plan auto --array seed-64pe\n"},
    {OMNI_CMD_CHECK, "MODEL_DIR", "hold plans and PE counts against float64 truth",
     "Runs every plan on every number of PEs and compares hidden states, logits and tokens with float64 "
     "truth: "
     "a golden file, or the built-in reference on prompts made from a seed. Also compares what moved with "
     "what the "
     "plan says. Exit status 1 if a case fails.",
     "  omnibus check llama\n"
     "  omnibus check configs/demo/gpt2 --plan all --pes 4 --output cases.txt\n"},
    {OMNI_CMD_PLAN, "MODEL_DIR|CONFIG.json", "show what plans move, without running",
     "Shows what plans move in prefill and in a decode step, without running anything; with --explain, one "
     "plan op by "
     "op; with --diff, two side by side. A config.json is enough; memory per PE needs the weights. With "
     "--array, prices them on modelled arrays (a bus, a ring, a mesh), or searches for the best. With "
     "--verify, "
     "prices them as wall time on this host, by the file that calibrate writes, and runs them (a "
     "config.json's "
     "with random weights), round by round: is the planner's choice the fastest?",
     "  omnibus plan llama --pes 2,4,8 --batch 1,8 --prompt 128\n"
     "  omnibus plan llama --explain workflow2 --pes 4\n"
     "  omnibus plan llama --diff megatron workflow1 --pes 4\n"
     "  omnibus plan llama-2-7b --array seed-64pe --prompt 512 --gen 128\n"
     "  omnibus plan llama-2-7b --array ideal --set bus.width=32,64 --plan megatron\n"
     "  omnibus plan llama-2-7b --array seed-64pe --set faults.slow=none,37:2\n"
     "  omnibus plan llama-2-7b --array seed-64pe,ring-64pe --plan megatron\n"
     "  omnibus plan llama-2-7b --config single-short\n"
     "  omnibus plan llama --verify --array host.ini --pes 1,2 --prompt 32 --top 8\n"},
    {OMNI_CMD_BENCH, "MODEL_DIR", "measure how fast plans run on this host",
     "Measures how fast plans run on this host: tests ppN (a prompt of N tokens), tgN (N tokens generated, "
     "one at a "
     "time) and ppP+tgG, of an encoder encodeN, for every plan, number of PEs and batch. Each is warmed up, "
     "then "
     "repeated; shown are tokens per second as mean and standard deviation, where the workers' time went, "
     "and how "
     "near that is to what this host can read or multiply at best. Prompts are random. Without --prompt or "
     "--gen "
     "tests are no longer than the model's positions. JSON lines come as they are measured and so survive "
     "Ctrl-C; of "
     "a table, md and csv what was measured until then is shown.",
     "  omnibus bench llama --pes 1,2 --prompt 128 --gen 32\n"
     "  omnibus bench llama --batch 1,8 --prompt 0 --depth 0,64 --gen 8 --no-limits\n"
     "  omnibus bench llama --pg 64,16 --prompt 0 --gen 0 --no-limits --format jsonl\n"
     "  omnibus bench llama --pes 4 --plan auto --array ideal --no-limits\n"},
    {OMNI_CMD_CALIBRATE, NULL, "measure this host as an array to price plans on",
     "Measures what messages and kernels take on this host, in a minute or two, and writes it as an array "
     "file of "
     "kind host, by which plans are priced as wall time here (--array FILE). Then shows such predictions "
     "beside "
     "the clock, for shapes that were not measured before: collectives, ops, and blocks of a model, also "
     "with more "
     "PEs than cores.",
     "  omnibus calibrate --out host.ini\n"
     "  omnibus calibrate --format csv --output errors.csv\n"},
    {OMNI_CMD_PLOT, "RESULT...", "draw a picture from results",
     "Draws one picture from results that bench, plan, run and calibrate wrote with --format json (or "
     "jsonl): "
     "speed-up over PEs, where the time goes, time by op, the best plan over batch and sequence, bytes that "
     "move, prediction against measurement. gnuplot draws.",
     "  omnibus bench llama --pes 1,2 --no-limits --format json --output bench.json\n"
     "  omnibus plot bench.json --picture time --out time.svg\n"},
    {OMNI_CMD_REPORT, "RESULT...", "make a page with pictures and tables from results",
     "Makes one HTML page from such results: every picture that there are points for, all figures, the hosts "
     "and the commands. It needs no network and reads well on a phone, in light and dark.",
     "  omnibus bench llama --pes 1,2 --no-limits --format json --output bench.json\n"
     "  omnibus report bench.json --out report.html\n"},
    {OMNI_CMD_TOPO, NULL, "show this machine and where PEs would run",
     "Shows this machine, the places in the order that workers take them, and with --pes which PE runs "
     "where.",
     "  omnibus topo --pes 8\n"},
    {OMNI_CMD_SYNTH, "CONFIG.json", "write a checkpoint of random weights from a config",
     "Writes a Hugging Face checkpoint directory of seeded random weights in the shape of a config.json, for "
     "models whose weights are not at hand or that are to be thinned. States stay near 1 at any depth. The "
     "same seed makes the same bytes on any host.",
     "  omnibus synth gpt2 --layers 2 --dtype bf16 --out gpt2-2\n"
     "  omnibus run gpt2-2 --prompt-ids 1,2,3\n"
     "  omnibus synth llama-2-7b --dtype bf16 --shard-size 2GiB --out llama\n"},
};
enum { PAGES = sizeof pages / sizeof *pages };

const cli_page *cli_pages(size_t *count) {
    *count = PAGES;
    return pages;
}

const cli_page *cli_page_of(omni_command command) {
    for (size_t i = 0; i < PAGES; i++)
        if (pages[i].command == command) return &pages[i];
    return NULL;
}

const char *cli_operand_name(omni_command command) {
    return cli_page_of(command)->operand;
}

/* Parts that are no methods of an op. */
static const struct {
    const char *part, *help;
} others[] = {
    {"gather=bus", "collect slices by broadcasts (else gather=tree)"},
    {"edge=scatter", "hand slices out by addressed messages (else edge=bcast)"},
    {"groups=G", "G bus pieces at a time, batch over them (each: one a PE)"},
    {"stages=S", "layers over S stages (each: one a PE)"},
    {"stack=K", "sequences that go through a stage together [1]"},
    {"chunk=T", "longer sequences go by T tokens [128] (all)"},
    {"overlap=C", "products and their messages in C strips, double-buffered [1]"},
    {"weights=stream", "dealt out over all PEs, broadcast when used (else own)"},
    {"over=token", "groups of one PE share tokens (else over=batch)"},
};

static void add_methods(omni_text *t) {
    omni_text_add(t, "\nParts of a plan (key=value, joined by ':'; parts left out are megatron's):\n");
    for (size_t k = 0; k < OMNI_METHOD_KEYS; k++) {
        size_t count;
        const omni_method *row = omni_method_table((omni_key)k, &count);
        for (size_t i = 0; i < count; i++) {
            char part[48];
            snprintf(part, sizeof part, "%s=%s", omni_key_name((omni_key)k), row[i].name);
            omni_text_add(t, "  %-14s %s\n", part, row[i].help);
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        omni_text_add(t, "  %-14s %s\n", others[i].part, others[i].help);
    size_t count;
    const omni_wire *wire = omni_wire_table(&count);
    for (size_t i = 0; i < count; i++) {
        char part[48];
        snprintf(part, sizeof part, "wire=%s", wire[i].name);
        omni_text_add(t, "  %-14s floats travel as %s\n", part, wire[i].help);
    }
    omni_text_add(t, "  %-14s the same for the bus, or for the tree, alone\n", "wire-bus=, wire-tree=");
    omni_text_add(t, "A/B cycles over the layers: workflow1/workflow2.\n");
}

void cli_add_plans(omni_text *t) {
    size_t count;
    const omni_named_plan *plan = omni_named_plans(&count);
    omni_text_add(t, "Plans:\n");
    for (size_t i = 0; i < count; i++) omni_text_add(t, "  %-14s %s\n", plan[i].name, plan[i].help);
    add_methods(t);
}

omni_text *cli_help_text(omni_command command) {
    const cli_page *page = cli_page_of(command);
    omni_text *t = omni_text_create();
    omni_text_add(t, "%s\v", page->intro);
    if (omni_option_at(OMNI_OPT_PLAN)->commands & (unsigned)command) {
        cli_add_plans(t);
        omni_text_add(t, "\n");
    }
    omni_text_add(t, "Examples:\n%s", page->examples);
    return t;
}

/* --- the front page --------------------------------------------------------------------------- */

size_t cli_columns(void) {
    const char *told = getenv("COLUMNS");
    struct winsize window;
    size_t columns = 80;
    if (!told || !omni_parse_size(told, 10000, &columns))
        columns = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
    return columns < 40 ? 40 : columns > 110 ? 110 : columns;
}

void cli_add_wrapped(omni_text *t, const char *text, size_t at, size_t columns) {
    size_t used = at;
    for (text += strspn(text, " "); *text;) {
        size_t n = strcspn(text, " ");
        bool first = used == at, fits = used + !first + n <= columns;
        if (!first && !fits) omni_text_add(t, "\n%*s", (int)at, "");
        if (!fits) used = at;
        omni_text_add(t, "%s%.*s", used == at ? "" : " ", (int)n, text);
        used += n + (used == at ? 0 : 1);
        text += n;
        text += strspn(text, " ");
    }
    omni_text_add(t, "\n");
}

omni_text *cli_front_page(void) {
    enum { NAME = 13 };
    size_t columns = cli_columns() - 1;
    omni_text *t = omni_text_create();
    omni_text_add(t, "usage: omnibus COMMAND [OPTION...]\n\n");
    cli_add_wrapped(
        t,
        "Runs Llama, GPT-2 and BERT checkpoints, really sharded, on an emulated array of processing "
        "elements (PEs) that share one broadcast bus and reduce over a tree.",
        0, columns);
    omni_text_add(t, "\ncommands:\n");
    for (size_t i = 0; i < PAGES; i++) {
        omni_text_add(t, "  %-*s", NAME - 2, omni_command_name(pages[i].command));
        cli_add_wrapped(t, pages[i].brief, NAME, columns);
    }
    omni_text_add(t, "\nexample:\n  ");
    cli_add_wrapped(t, "omnibus check llama --plan megatron,alternate --pes 1-4", 2, columns);
    omni_text_add(t, "\n");
    cli_add_wrapped(
        t,
        "'omnibus COMMAND --help' shows a command's options, 'omnibus --version' the version, 'man omnibus' "
        "the manual where it is installed.",
        0, columns);
    return t;
}
