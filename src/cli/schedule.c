/* schedule.c: --decode-plan: which plan decodes from which position on.
 *
 *   "workflow2"              from the first token after the prompts
 *   "workflow2,replica@64"   and from position 64 of the longest sequence on, replica
 *   "a,b@64,c"               in a list: the schedule a, b@64 and the schedule c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* "P@N": cuts the text at the @. */
static omni_status take_position(char *text, bool *given, size_t *from, omni_error *err) {
    char *at = strchr(text, '@');
    *given = at != NULL;
    *from = 0;
    if (!at) return OMNI_OK;
    *at = '\0';
    if (omni_parse_size(at + 1, INT32_MAX, from)) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT,
                          "--decode-plan: '%s@%s' (expected a plan and a position, as in P@2048)", text,
                          at + 1);
}

static omni_status append(cli_schedule *s, const omni_plan_spec *spec, size_t from, omni_error *err) {
    size_t n = s->count + 1, used = strlen(s->name);
    omni_plan_spec *specs = realloc(s->spec, n * sizeof *specs);
    if (specs) s->spec = specs;
    size_t *positions = realloc(s->from, n * sizeof *positions);
    if (positions) s->from = positions;
    if (!specs || !positions) return omni_error_set(err, OMNI_RUN_FAILED, "--decode-plan: out of memory");
    if (s->count && from <= s->from[s->count - 1])
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "--decode-plan: '%s@%zu' (expected positions in ascending order)", spec->name,
                              from);
    s->spec[s->count] = *spec;
    s->from[s->count++] = from;
    if (from)
        snprintf(s->name + used, sizeof s->name - used, "%s%.100s@%zu", used ? "," : "", spec->name, from);
    else
        snprintf(s->name + used, sizeof s->name - used, "%s%.100s", used ? "," : "", spec->name);
    return OMNI_OK;
}

/* One entry of the list: a new schedule, or the next plan of the last one. */
static omni_status add_entry(cli_schedule *list, size_t *count, char *text, omni_error *err) {
    omni_plan_spec spec;
    bool positioned;
    size_t from;
    omni_status status = take_position(text, &positioned, &from, err);
    if (!status) status = omni_plan_parse(text, &spec, err);
    if (status) return status;
    if (!positioned || *count == 0) ++*count;
    return append(&list[*count - 1], &spec, from, err);
}

omni_status cli_schedules(const char *text, cli_schedule **out, size_t *count, omni_error *err) {
    char **entry;
    size_t entries;
    *out = NULL;
    *count = 0;
    omni_status status = omni_plan_list(text, &entry, &entries, err);
    if (status) return status;
    cli_schedule *list = omni_alloc_array(entries, sizeof *list);
    if (!list) status = omni_error_set(err, OMNI_RUN_FAILED, "--decode-plan: out of memory");
    for (size_t i = 0; i < entries && !status; i++) status = add_entry(list, count, entry[i], err);
    omni_plan_list_free(entry, entries);
    if (status) {
        cli_schedules_free(list, *count);
        *count = 0;
    } else {
        *out = list;
    }
    return status;
}

void cli_schedules_free(cli_schedule *list, size_t count) {
    for (size_t i = 0; list && i < count; i++) {
        free(list[i].spec);
        free(list[i].from);
    }
    omni_free(list);
}

omni_status cli_schedule_compile(const omni_model *model, const cli_schedule *s, size_t pes,
                                 const omni_plan ***out, omni_error *err) {
    omni_status status = OMNI_OK;
    const omni_plan **plans = *out = omni_alloc_array(s->count, sizeof *plans);
    if (!plans) return omni_error_set(err, OMNI_RUN_FAILED, "--decode-plan: out of memory");
    for (size_t i = 0; i < s->count && !status; i++) {
        omni_plan *plan;
        status = omni_plan_compile(model, &s->spec[i], pes, &plan, err);
        plans[i] = plan;
    }
    return status;
}

void cli_schedule_drop(const cli_schedule *s, const omni_plan **plans) {
    for (size_t i = 0; plans && i < s->count; i++) omni_plan_free((omni_plan *)(uintptr_t)plans[i]);
    omni_free(plans);
}
