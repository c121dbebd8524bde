/* complete.c: bash's completion, from the same tables as the command line: commands, their options, models
 * that come with omnibus, and what an option's value can be where that is a list of names. Everything else
 * completes to files.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "omnibus/fabric.h"
#include "omnibus/picture.h"

static void add_name(void *text, const char *name) {
    omni_text_add(text, " %s", name);
}

static void add_commands(omni_text *t) {
    size_t count;
    const cli_page *page = cli_pages(&count);
    for (size_t i = 0; i < count; i++) add_name(t, omni_command_name(page[i].command));
}

static void add_options(omni_text *t, omni_command command) {
    for (size_t id = 0; id < OMNI_OPTIONS; id++)
        if (omni_option_at((omni_option_id)id)->commands & (unsigned)command)
            omni_text_add(t, " --%s", omni_option_at((omni_option_id)id)->name);
    omni_text_add(t, " --help");
}

static void add_plans(omni_text *t) {
    size_t count;
    const omni_named_plan *plan = omni_named_plans(&count);
    for (size_t i = 0; i < count; i++) add_name(t, plan[i].name);
}

/* "shm, null" */
static void add_listed(omni_text *t, const char *list) {
    for (; *list; list++) omni_text_add(t, "%s", *list == ',' ? "" : (char[]){*list, '\0'});
}

/* What can be run; also, for who needs no weights, shapes. Files are offered beside them. */
static void add_models(omni_text *t, unsigned commands) {
    omni_share_each("demo", "", add_name, t);
    if (commands & (OMNI_CMD_PLAN | OMNI_CMD_SYNTH)) omni_share_each("models", ".json", add_name, t);
}

static void add_pictures(omni_text *t) {
    for (int i = 0; i < OMNI_PICTURES; i++) add_name(t, omni_picture_name((omni_picture)i));
}

/* The names that a value can be; false for files, numbers and the like. */
static bool add_values(omni_text *t, const omni_option *o) {
    switch (o->id) {
    case OMNI_OPT_PLAN:
    case OMNI_OPT_DECODE_PLAN:
    case OMNI_OPT_EXPLAIN:
    case OMNI_OPT_DIFF:
        return add_plans(t), true;
    case OMNI_OPT_ARRAY:
        return omni_share_each("arrays", ".ini", add_name, t), true;
    case OMNI_OPT_CONFIG:
        return omni_share_each("experiments", ".ini", add_name, t), true;
    case OMNI_OPT_FORMAT:
        return omni_text_add(t, " table json csv$more"), true;
    case OMNI_OPT_PICTURE:
        return add_pictures(t), true;
    case OMNI_OPT_FABRIC:
        return add_listed(t, omni_fabric_kinds()), true;
    case OMNI_OPT_SCHEDULE:
        return add_listed(t, omni_fabric_schedules()), true;
    case OMNI_OPT_COMPUTE:
        return omni_text_add(t, " f32 bf16"), true;
    case OMNI_OPT_DTYPE:
        return omni_text_add(t, " f32 f16 bf16"), true;
    default:
        return false;
    }
}

/* bash breaks words at '=' and ':', so "--plan=meg" is three of them. What else has one in it is no name. Of
 * a list the last element is completed. */
static const char head[] =
    "# bash completion for omnibus, as 'omnibus help --completion' prints it\n"
    "_omnibus() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} at=$COMP_CWORD words= before= more= files= option\n"
    "    COMPREPLY=()\n"
    "    while ((at > 2)) && [[ ${COMP_WORDS[at]} == [=:] || ${COMP_WORDS[at-1]} == [=:] ]]; do\n"
    "        ((at--))\n"
    "    done\n"
    "    option=${COMP_WORDS[at-1]}\n"
    "    if ((at < COMP_CWORD)); then\n"
    "        option=${COMP_WORDS[at]}\n"
    "        if [[ $option != --* ]]; then compopt +o default 2>/dev/null; return; fi\n"
    "    fi\n"
    "    if [[ $cur == [=:] ]]; then cur=; fi\n"
    "    if [[ $cur == *,* ]]; then before=${cur%,*},; fi\n"
    "    if [[ ${COMP_WORDS[1]} == bench ]]; then more=' md jsonl'; fi\n";
static const char tail[] =
    "    mapfile -t COMPREPLY < <(compgen -P \"$before\" -W \"$words\" -- \"${cur#\"$before\"}\"\n"
    "                             if [[ $files ]]; then compgen -f -- \"$cur\"; fi)\n"
    "    if [[ $files ]]; then compopt -o filenames 2>/dev/null; fi\n"
    "}\n"
    "complete -o default -F _omnibus omnibus\n";

static void add_case_of_option(omni_text *t, const omni_option *o) {
    omni_text *values = omni_text_create();
    if (add_values(values, o))
        omni_text_add(t, "    --%s) words=\"%s\" ;;\n", o->name, omni_text_string(values));
    else
        omni_text_add(t, "    --%s) return ;;\n", o->name);
    omni_text_free(values);
}

/* Behind a word that takes no value: an option, or what the command is about. */
static void add_case_of_command(omni_text *t, const cli_page *page) {
    omni_text_add(t, "       %s) if [[ $cur == -* ]]; then words=\"", omni_command_name(page->command));
    add_options(t, page->command);
    omni_text_add(t, "\"; else files=yes words=\"");
    if (omni_option_at(OMNI_OPT_MODEL_DIR)->commands & (unsigned)page->command) add_models(t, page->command);
    omni_text_add(t, "\"; fi ;;\n");
}

static void add_script(omni_text *t) {
    size_t count;
    const cli_page *page = cli_pages(&count);
    omni_text_add(t, "%s    case $option in\n", head);
    for (size_t id = 0; id < OMNI_OPTIONS; id++) {
        const omni_option *o = omni_option_at((omni_option_id)id);
        if (o->arg) add_case_of_option(t, o);
    }
    omni_text_add(t, "    *) case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < count; i++) add_case_of_command(t, &page[i]);
    omni_text_add(t, "       help) words=\"");
    add_commands(t);
    omni_text_add(t, "\" ;;\n       esac\n       if ((COMP_CWORD == 1)); then files= words=\"");
    add_commands(t);
    omni_text_add(t, " help --help --version\"; fi ;;\n    esac\n%s", tail);
}

omni_status cli_completion(omni_error *err) {
    omni_text *t = omni_text_create();
    add_script(t);
    omni_status status = omni_text_emit(t, NULL, err);
    omni_text_free(t);
    return status;
}
