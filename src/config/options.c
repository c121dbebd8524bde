/* options.c: the one table of options. --help prints it, the command line and INI files are read by it, JSON
 * results list the effective values in its order. A new option is a row here and an id in config.h.
 *
 * `initial` is one value for all commands. Where the commands differ it is NULL, the help says what each
 * does, and the command decides.
 */
#include <stdio.h>
#include <string.h>

#include "config/internal.h"

enum {
    RUN = OMNI_CMD_RUN,
    CHECK = OMNI_CMD_CHECK,
    PLAN = OMNI_CMD_PLAN,
    TOPO = OMNI_CMD_TOPO,
    SYNTH = OMNI_CMD_SYNTH,
    BENCH = OMNI_CMD_BENCH,
    CALIBRATE = OMNI_CMD_CALIBRATE,
    PLOT = OMNI_CMD_PLOT,
    REPORT = OMNI_CMD_REPORT,
    PES = RUN | CHECK | PLAN | TOPO | BENCH,
    EVERY = PES | SYNTH | CALIBRATE,
    MODEL = RUN | CHECK | PLAN | BENCH | SYNTH
};

/* clang-format off */
static const omni_option options[OMNI_OPTIONS] = {
    /* id                   name           arg        commands            repeat initial  help */
    {OMNI_OPT_MODEL_DIR,   "model-dir",   "PATH",    MODEL,              false, NULL,
     "what is otherwise given without a name, for files: a checkpoint directory; plan and synth also take a config.json"},
    {OMNI_OPT_PES,         "pes",         "N|LIST",  PES,                false, NULL,
     "processing elements: a number; for check, plan and bench a LIST such as 1,2,4-8"},
    {OMNI_OPT_PLAN,        "plan",        "P|LIST",  RUN | CHECK | PLAN | BENCH, false, NULL,
     "how work is divided: a name, key=value parts joined by ':', or both; "
     "for check, plan and bench a LIST of them or 'all'"},
    {OMNI_OPT_DECODE_PLAN, "decode-plan", "P|LIST",  RUN | CHECK | BENCH, false, NULL,
     "another plan for the decode phase, or a schedule: P,Q@2048 is Q from position 2048 on (as --plan unless given)"},
    {OMNI_OPT_RESIDENT,    "resident",    NULL,      RUN | CHECK | BENCH, false, NULL,
     "with --decode-plan: every PE keeps its weights for all plans; else they move over the bus when the plan changes"},
    {OMNI_OPT_TEXT,        "prompt",      "TEXT",    RUN,                true,  NULL,
     "a prompt; give it once for each sequence. Text by the checkpoint's tokenizer.json (or vocab.json with merges.txt, "
     "or vocab.txt)"},
    {OMNI_OPT_PROMPT_FILE, "prompt-file", "FILE",    RUN,                false, NULL,
     "prompts, one a line; or a JSON list of texts, for an encoder also of pairs [\"a\", \"b\"]"},
    {OMNI_OPT_PROMPT_IDS,  "prompt-ids",  "1,2,3",   RUN,                true,  NULL,
     "token ids of one sequence; give it once for each sequence"},
    {OMNI_OPT_IDS_FILE,    "ids-file",    "FILE",    RUN,                false, NULL,
     "token ids of all sequences, one comma-separated list per line"},
    {OMNI_OPT_TOKEN_TYPES, "token-types", "0,0,1",   RUN,                true,  NULL,
     "an encoder's token types (segments), one per id; the n-th list is for the n-th sequence (all 0)"},
    {OMNI_OPT_MASK_ID,     "mask-id",     "ID",      RUN,                false, NULL,
     "an encoder's id of a masked token, which its MLM head predicts ([MASK] of vocab.txt or tokenizer.json)"},
    {OMNI_OPT_GEN,         "gen",         "K|LIST",  RUN | PLAN | BENCH, false, NULL,
     "tokens to generate for each sequence; plan takes a LIST, and so does bench: a test tgK for each (0: none)"},
    {OMNI_OPT_STOP_EOS,    "stop-eos",    NULL,      RUN,                false, NULL,
     "end a sequence early at the model's end-of-text token"},
    {OMNI_OPT_TEMPERATURE, "temperature", "T",       RUN,                false, NULL,
     "draw tokens by their probabilities at this temperature; 0: always the likeliest (0; 1 with --top-k or --top-p)"},
    {OMNI_OPT_TOP_K,       "top-k",       "K",       RUN,                false, NULL,
     "draw among the K likeliest (all)"},
    {OMNI_OPT_TOP_P,       "top-p",       "P",       RUN,                false, NULL,
     "draw among the fewest likeliest whose probabilities reach P in sum (1)"},
    {OMNI_OPT_DUMP,        "dump",        "FILE",    RUN,                false, NULL,
     "write hidden states and logits as safetensors"},
    {OMNI_OPT_TRACE,       "trace",       "FILE",    RUN,                false, NULL,
     "write what every PE, the bus and the tree did when as a timeline for Perfetto or chrome://tracing (JSON)"},
    {OMNI_OPT_TRACE_LIMIT, "trace-limit", "N",       RUN,                false, "1000000",
     "with --trace: room for so many events; where it ends the timeline ends, after whole passes, and says so"},
    {OMNI_OPT_GOLDEN,      "golden",      "FILE",    CHECK,              false, NULL,
     "float64 truth (MODEL_DIR/golden.safetensors if it is there, else the built-in reference)"},
    {OMNI_OPT_SEED,        "seed",        "S",       RUN | CHECK | SYNTH | BENCH, false, "1",
     "seed of what is made: the prompts when there is no golden file (check), or always (bench), the weights (synth), what is drawn (run)"},
    {OMNI_OPT_EXPLAIN,     "explain",     "P",       PLAN,               false, NULL,
     "show one plan op by op: placements, what moves, on which route, and the notes' claims"},
    {OMNI_OPT_DIFF,        "diff",        "P,Q",     PLAN,               true,  NULL,
     "compare two plans: the first op that differs, what each moves, memory; also as --diff P Q"},
    {OMNI_OPT_BATCH,       "batch",       "LIST",    PLAN | BENCH,       false, "1",
     "sequences at the same time"},
    {OMNI_OPT_PROMPT,      "prompt",      "LIST",    PLAN | BENCH,       false, NULL,
     "prompt lengths in tokens; bench: a test ppN for each (0: none), of an encoder encodeN"},
    {OMNI_OPT_PG,          "pg",          "P,G",     BENCH,              true,  NULL,
     "a prompt of P tokens and G tokens generated behind it, timed together: a test ppP+tgG; may be given several times"},
    {OMNI_OPT_DEPTH,       "depth",       "LIST",    BENCH,              false, "0",
     "positions that are in the caches before a test begins: every test at each of these depths"},
    {OMNI_OPT_REPS,        "reps",        "R",       PLAN | BENCH,       false, "5",
     "repetitions of each test, after one that is not counted; of plan --verify: rounds over all plans"},
    {OMNI_OPT_WORKERS,     "workers",     "LIST",    BENCH,              false, NULL,
     "threads that carry the PEs (one for each PE, at most one for each CPU)"},
    {OMNI_OPT_NO_LIMITS,   "no-limits",   NULL,      BENCH,              false, NULL,
     "do not measure what this host can read and multiply at best: a second or two, and tenths of one around each test"},
    {OMNI_OPT_ARRAY,       "array",       "FILE|LIST", RUN | PLAN | BENCH, false, NULL,
     "a modelled array, a file or a name in configs/arrays: run and bench show its time beside wall time, and take "
     "--plan auto: the fastest there; plan prices --plan, or without it searches, on each of a LIST"},
    {OMNI_OPT_VERIFY,      "verify",      NULL,      PLAN,               false, NULL,
     "run what the search, or --plan, finds on this host, and compare with its price: how far the choice is from the best; "
     "--array: of this host, as calibrate writes it (host)"},
    {OMNI_OPT_TOP,         "top",         "N",       PLAN,               false, NULL,
     "with --verify: run only the N that are fastest by their prices (all)"},
    {OMNI_OPT_SET,         "set",         "KEY=V",   RUN | PLAN | BENCH, true,  NULL,
     "other values of the array, as in bus.width=64 or faults.slow='3:1.5 7-9:2'; plan takes a list, bus.width=32,64,128, "
     "and tries each"},
    {OMNI_OPT_OUT,         "out",         "DIR|FILE", SYNTH | CALIBRATE | PLOT | REPORT, false, NULL,
     "what to write: synth a checkpoint directory, a new one or an empty one; calibrate an array file of this host; "
     "plot a picture, .svg or .png; report an HTML page"},
    {OMNI_OPT_PICTURE,     "picture",     "NAME",    PLOT,               false, NULL,
     "scaling, time, ops, best (plan over batch and sequence), bytes or prediction (the first that there are results for)"},
    {OMNI_OPT_LAYERS,      "layers",      "N",       SYNTH,              false, NULL,
     "only the first N layers (all of the config's)"},
    {OMNI_OPT_DTYPE,       "dtype",       "T",       SYNTH,              false, NULL,
     "f32, f16 or bf16 (the config's torch_dtype, f32 if it has none)"},
    {OMNI_OPT_SHARD_SIZE,  "shard-size",  "BYTES",   SYNTH,              false, "5GB",
     "most bytes of weights in a file: a number and KB, MB, GB, KiB, MiB, GiB"},
    {OMNI_OPT_FORMAT,      "format",      "F",       EVERY,              false, "table",
     "table, json or csv; bench also md and jsonl"},
    {OMNI_OPT_OUTPUT,      "output",      "FILE",    EVERY,              false, NULL,
     "write the result to FILE instead of stdout; FILE appears only when complete"},
    {OMNI_OPT_CONFIG,      "config",      "FILE",    EVERY | PLOT | REPORT,              false, NULL,
     "read options from an INI file, a name in configs/experiments, or a JSON result of the same command; "
     "the command line overrides it"},
    {OMNI_OPT_PRINT_CONFIG, "print-config", NULL,    EVERY | PLOT | REPORT,              false, NULL,
     "show the effective settings as a file for --config, and do nothing else"},
    {OMNI_OPT_CPUS,        "cpus",        "LIST",    EVERY,              false, NULL,
     "CPUs to use, as taskset writes them: 0,2-5,8-15:2 (all that are allowed)"},
    {OMNI_OPT_FABRIC,      "fabric",      "F",       RUN | CHECK | BENCH, false, "shm",
     "shm: shared memory; null: moves nothing, which measures the executor's floor (results are wrong)"},
    {OMNI_OPT_SCHEDULE,    "schedule",    "S",       RUN | CHECK | BENCH, false, "sliced",
     "how reductions are walked: sliced, or pairwise, the reference (same bits, same counts)"},
    {OMNI_OPT_COMPUTE,     "compute",     "T",       RUN | CHECK | BENCH, false, "f32",
     "what matrix products are computed in: f32; bf16: activations are rounded too, for BF16 weights "
     "(only fast where the CPU has AVX512-BF16)"},
    {OMNI_OPT_PERF,        "perf",        NULL,      RUN | BENCH,        false, NULL,
     "what the kernel counts of each worker in each phase: cycles, instructions, cache misses, stalls, CPU time, switches"},
    {OMNI_OPT_PERF_CTL,    "perf-ctl",    "CTL,ACK", RUN | BENCH,        false, NULL,
     "fifos of perf's --control=fifo:CTL,ACK (,ACK may be left out): tells perf to count only what is timed"},
    {OMNI_OPT_QUIET,       "quiet",       NULL,      EVERY | PLOT | REPORT,              false, NULL,
     "no progress and no notes on stderr"},
};
/* clang-format on */

/* In the order of --help. */
static const struct {
    omni_command command;
    const char *name;
} commands[] = {{OMNI_CMD_RUN, "run"},     {OMNI_CMD_CHECK, "check"},         {OMNI_CMD_PLAN, "plan"},
                {OMNI_CMD_BENCH, "bench"}, {OMNI_CMD_CALIBRATE, "calibrate"}, {OMNI_CMD_PLOT, "plot"},
                {OMNI_CMD_REPORT, "report"}, {OMNI_CMD_TOPO, "topo"}, {OMNI_CMD_SYNTH, "synth"}};

enum { COMMANDS = sizeof commands / sizeof *commands };

const char *omni_command_name(omni_command command) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].command == command) return commands[i].name;
    return "?";
}

unsigned omni_command_find(const char *name) {
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0) return commands[i].command;
    return 0;
}

const char *omni_command_suggest(const char *name, char *buf, size_t cap) {
    omni_guess g = omni_guess_start(name);
    for (size_t i = 0; i < COMMANDS; i++) omni_guess_try(&g, commands[i].name);
    omni_guess_try(&g, "help");
    size_t used = (size_t)snprintf(buf, cap, g.nearest[0] ? "did you mean '%s'?" : "expected ", g.nearest);
    for (size_t i = 0; !g.nearest[0] && i < COMMANDS && used < cap; i++)
        used += (size_t)snprintf(buf + used, cap - used, "%s%s", i == 0 ? "" : i + 1 < COMMANDS ? ", " : " or ",
                                 commands[i].name);
    return buf;
}

const omni_option *omni_option_at(omni_option_id id) {
    return &options[id];
}

const omni_option *omni_option_find(const char *name, unsigned takers) {
    for (size_t i = 0; i < OMNI_OPTIONS; i++)
        if (options[i].commands & takers && strcmp(options[i].name, name) == 0) return &options[i];
    return NULL;
}

const char *omni_option_suggest(const char *name, omni_command command) {
    omni_guess g = omni_guess_start(name);
    for (size_t i = 0; i < OMNI_OPTIONS; i++)
        if (options[i].commands & (unsigned)command) omni_guess_try(&g, options[i].name);
    const omni_option *o = omni_option_find(g.nearest, (unsigned)command);
    return o ? o->name : NULL;
}

const char *omni_option_takers(const omni_option *o, char *buf, size_t cap) {
    size_t left = 0, used = 0;
    for (size_t i = 0; i < COMMANDS; i++) left += (o->commands & (unsigned)commands[i].command) != 0;
    for (size_t i = 0; i < COMMANDS && used < cap; i++) {
        if (!(o->commands & (unsigned)commands[i].command)) continue;
        left--;
        used += (size_t)snprintf(buf + used, cap - used, "%s%s", commands[i].name,
                                 left > 1    ? ", "
                                 : left == 1 ? " and "
                                             : "");
    }
    return buf;
}

bool omni_option_is_setting(omni_option_id id) {
    return id != OMNI_OPT_CONFIG && id != OMNI_OPT_PRINT_CONFIG;
}
