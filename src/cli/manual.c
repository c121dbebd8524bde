/* manual.c: the manual pages, omnibus(1) and omnibus-COMMAND(1), in mdoc(7): made of what --help is made of.
 * They are written out when omnibus is installed: there is no second text. Kept clean under `mandoc -Tlint`,
 * which wants each sentence on a line of its own, and lines of at most 80 bytes.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { LINE = 76 };

/* --- text that is no macro -------------------------------------------------------------------- */

/* A hyphen is one, a backslash is one, and a dot at the start of a line is no request. */
static void add_escaped(omni_text *t, const char *text, size_t n) {
    if (n > 0 && (*text == '.' || *text == '\'')) omni_text_add(t, "\\&");
    for (size_t i = 0; i < n; i++)
        if (text[i] == '-' || text[i] == '\\')
            omni_text_add(t, "%s", text[i] == '-' ? "\\-" : "\\e");
        else
            omni_text_add(t, "%c", text[i]);
}

static bool ends_sentence(const char *word, size_t n) {
    while (n > 1 && strchr(")]'\"", word[n - 1])) n--;
    return n > 1 && strchr(".!?", word[n - 1]);
}

/* A paragraph: short lines, each sentence on its own. */
static void add_paragraph(omni_text *t, const char *text) {
    size_t used = 0;
    bool ended = false;
    for (text += strspn(text, " \n"); *text;) {
        size_t n = strcspn(text, " \n"), hyphens = 0;
        for (size_t i = 0; i < n; i++) hyphens += text[i] == '-' || text[i] == '\\';
        bool fresh = used == 0 || ended || used + 1 + n + hyphens > LINE;
        if (used > 0) omni_text_add(t, fresh ? "\n" : " ");
        add_escaped(t, text, n);
        used = (fresh ? 0 : used + 1) + n + hyphens;
        ended = ends_sentence(text, n);
        text += n;
        text += strspn(text, " \n");
    }
    omni_text_add(t, "\n");
}

/* Lines as they are, without the blanks that all of them begin with. */
static void add_literal(omni_text *t, const char *lines, size_t indent) {
    omni_text_add(t, ".Bd -literal\n");
    for (; *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n') {
        size_t n = strcspn(lines, "\n"), skip = strspn(lines, " ");
        skip = skip < indent ? skip : indent;
        add_escaped(t, lines + skip, n - skip);
        omni_text_add(t, "\n");
    }
    omni_text_add(t, ".Ed\n");
}

/* --- sections --------------------------------------------------------------------------------- */

static void add_options(omni_text *t, omni_command command) {
    omni_text_add(t, ".Pp\nThe options are:\n.Bl -tag -width Ds\n");
    for (size_t id = 0; id < OMNI_OPTIONS; id++) {
        const omni_option *o = omni_option_at((omni_option_id)id);
        char argument[16];
        if (!(o->commands & (unsigned)command)) continue;
        const char *name = cli_argument_name(o, command, argument), *value = cli_default(command, o->id);
        omni_text_add(t, ".It Fl \\-");
        add_escaped(t, o->name, strlen(o->name));
        omni_text_add(t, name ? " Ns = Ns Ar %s\n" : "\n", name);
        add_paragraph(t, o->help);
        if (value) omni_text_add(t, ".Pq default Li %s\n", value);
    }
    omni_text_add(t, ".El\n");
}

static void add_environment(omni_text *t) {
    omni_text_add(t, ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
                     ".It Ev OMNIBUS_SHARE\n");
    add_paragraph(t, "A directory whose configs directory is searched for arrays, models and experiments "
                     "before that which "
                     "is installed.");
    omni_text_add(t, ".It Ev OMNIBUS_ISA\n");
    add_paragraph(t, "Kernels for less than this CPU can do: portable, avx2, avx512 or avx512bf16.");
    omni_text_add(t, ".It Ev COLUMNS\n");
    add_paragraph(t, "The width of help pages.");
    omni_text_add(t, ".El\n");
}

static void add_end(omni_text *t, const char *examples) {
    omni_text_add(t, ".Sh EXIT STATUS\n");
    add_paragraph(t, "0 done; 1 a check failed; 2 bad usage, bad input, or a plan that does not fit; 3 the "
                     "run itself failed, "
                     "without a word where whoever read its output has left; 130 interrupted.");
    omni_text_add(t, ".Sh EXAMPLES\n");
    add_literal(t, examples, 2);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_see_also(omni_text *t, const cli_page *self) {
    size_t count, others = 0;
    const cli_page *page = cli_pages(&count);
    const char *name[32];
    for (size_t i = 0; i < count; i++)
        if (&page[i] != self) name[others++] = omni_command_name(page[i].command);
    qsort(name, others, sizeof *name, by_name);
    omni_text_add(t, ".Sh SEE ALSO\n%s", self ? ".Xr omnibus 1 ,\n" : "");
    for (size_t i = 0; i < others; i++)
        omni_text_add(t, ".Xr omnibus-%s 1%s\n", name[i], i + 1 < others ? " ," : "");
}

static void add_head(omni_text *t, const char *name, const char *brief) {
    omni_text_add(t, ".Dd %s\n.Dt ", OMNI_RELEASED);
    for (const char *c = name; *c; c++) omni_text_add(t, "%c", toupper((unsigned char)*c));
    omni_text_add(t, " 1\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n.Sh SYNOPSIS\n", name, brief);
}

/* --- pages ------------------------------------------------------------------------------------ */

static void add_command_page(omni_text *t, const cli_page *page) {
    char name[40];
    const char *command = omni_command_name(page->command);
    snprintf(name, sizeof name, "omnibus-%s", command);
    add_head(t, name, page->brief);
    omni_text_add(t, ".Nm omnibus %s\n.Op Ar option ...\n", command);
    if (page->operand) omni_text_add(t, ".Ar %s\n", page->operand);
    omni_text_add(t, ".Sh DESCRIPTION\n");
    add_paragraph(t, page->intro);
    add_options(t, page->command);
    if (omni_option_at(OMNI_OPT_PLAN)->commands & (unsigned)page->command) {
        omni_text *plans = omni_text_create();
        cli_add_plans(plans);
        omni_text_add(t, ".Sh PLANS\n");
        add_literal(t, omni_text_string(plans), 0);
        omni_text_free(plans);
    }
    add_environment(t);
    add_end(t, page->examples);
    add_see_also(t, page);
}

static void add_program_page(omni_text *t) {
    size_t count;
    const cli_page *page = cli_pages(&count);
    add_head(t, "omnibus", "transformers on an emulated array with one broadcast bus");
    omni_text_add(t, ".Nm omnibus\n.Ar command\n.Op Ar option ...\n"
                     ".Nm omnibus\n.Cm help\n.Op Ar command\n"
                     ".Nm omnibus\n.Fl \\-version\n.Sh DESCRIPTION\n");
    add_paragraph(
        t,
        "Runs Llama, GPT-2 and BERT checkpoints, really sharded, on an emulated array of processing elements "
        "(PEs) that share one broadcast bus and reduce over a tree.");
    omni_text_add(t, ".Pp\nThe commands are:\n.Bl -tag -width calibrate\n");
    for (size_t i = 0; i < count; i++)
        omni_text_add(t, ".It Cm %s\n%s:\n.Xr omnibus-%s 1 .\n", omni_command_name(page[i].command),
                      page[i].brief, omni_command_name(page[i].command));
    omni_text_add(t, ".El\n");
    add_environment(t);
    omni_text_add(t, ".Sh FILES\n");
    add_paragraph(
        t,
        "Arrays, models and experiments that come with omnibus are known by name: '--array seed-64pe', "
        "'omnibus plan llama-2-7b', '--config single-short'. They are in configs/arrays, configs/models and "
        "configs/experiments below the current directory, or below share/omnibus where omnibus is installed; "
        "so is configs/demo, three tiny checkpoints.");
    add_end(t, "  omnibus check configs/demo/llama --plan megatron,alternate --pes 1-4\n");
    add_see_also(t, NULL);
}

omni_status cli_manual(const cli_page *of, omni_error *err) {
    omni_text *t = omni_text_create();
    if (of)
        add_command_page(t, of);
    else
        add_program_page(t);
    omni_status status = omni_text_emit(t, NULL, err);
    omni_text_free(t);
    return status;
}
