/* complete.c: bash's completion, from the same tables as the command line: commands, their options, and what an
 * option's value can be where that is a list of names. Everything else completes to files.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "omnibus/fabric.h"

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
        return omni_text_add(t, " table json csv md jsonl"), true;
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

/* bash breaks words at '=' and ':', so "--plan=meg" is three of them. */
static const char head[] = "# bash completion for omnibus, as 'omnibus help --completion' prints it\n"
                           "_omnibus() {\n"
                           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
                           "    COMPREPLY=()\n"
                           "    if [[ $cur == = ]]; then cur=; fi\n"
                           "    if [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n";
static const char tail[] = "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                           "}\n"
                           "complete -o default -F _omnibus omnibus\n";

static void add_script(omni_text *t) {
    size_t count;
    const cli_page *page = cli_pages(&count);
    omni_text_add(t, "%s    case $prev in\n", head);
    for (size_t id = 0; id < OMNI_OPTIONS; id++) {
        const omni_option *o = omni_option_at((omni_option_id)id);
        omni_text *values = omni_text_create();
        bool named = add_values(values, o);
        if (o->arg) omni_text_add(t, "    --%s)", o->name);
        if (o->arg && named) omni_text_add(t, " words=\"%s\" ;;\n", omni_text_string(values));
        if (o->arg && !named) omni_text_add(t, " return ;;\n");
        omni_text_free(values);
    }
    omni_text_add(t, "    *) case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < count; i++) {
        omni_text_add(t, "       %s) words=\"", omni_command_name(page[i].command));
        add_options(t, page[i].command);
        omni_text_add(t, "\" ;;\n");
    }
    omni_text_add(t, "       help) words=\"");
    add_commands(t);
    omni_text_add(t, "\" ;;\n       esac\n       if ((COMP_CWORD == 1)); then words=\"");
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
