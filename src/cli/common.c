/* common.c: what every command does before and after its own work: signals, opening, lists of plans, the
 * envelope of a JSON result, and output in the format asked for.
 *
 * Ctrl-C sets the stop word, on which everything that waits or loops leaves; a command then returns
 * OMNI_INTERRUPTED and writes nothing. A second Ctrl-C ends the process at once.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "omnibus/fabric.h"

/* --- signals ---------------------------------------------------------------------------------- */

omni_stop cli_stop;

static void on_signal(int number) {
    (void)number;
    if (omni_stop_get(&cli_stop) == OMNI_INTERRUPTED) _exit(OMNI_INTERRUPTED);
    omni_stop_set(&cli_stop, OMNI_INTERRUPTED);
}

void cli_catch_signals(void) {
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&stop.sa_mask);
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL); /* a file larger than ulimit -f: an error of write */
}

void cli_release_signals(void) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

omni_status cli_stopped(omni_error *err) {
    omni_status reason = omni_stop_get(&cli_stop);
    return reason ? omni_error_set(err, reason, "stopped") : OMNI_OK;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* A config alone is enough for plan and synth, and may have come by its name: say how to get weights for
 * it. */
static omni_status check_weights_dir(const char *path, omni_error *err) {
    struct stat there;
    if (stat(path, &there) != 0 || S_ISDIR(there.st_mode)) return OMNI_OK;
    return omni_error_set(
        err, OMNI_BAD_INPUT,
        "%.200s: not a directory (expected a checkpoint directory, as 'omnibus synth %.200s "
        "--out DIR' makes one)",
        path, path);
}

omni_status cli_open_model(cli *c, omni_error *err) {
    bool weights = c->command & (OMNI_CMD_RUN | OMNI_CMD_CHECK | OMNI_CMD_BENCH);
    omni_status status = omni_model_load(c->operand, &c->model, err);
    return status || !weights ? status : check_weights_dir(c->operand, err);
}

static omni_status find_compute(cli *c, omni_error *err) {
    static const char *const names[] = {[OMNI_COMPUTE_F32] = "f32", [OMNI_COMPUTE_BF16] = "bf16"};
    const char *name = cli_value(c, OMNI_OPT_COMPUTE);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        c->compute = (omni_compute)i;
        return OMNI_OK;
    }
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: cannot compute in '%.60s' (expected f32 or bf16)",
                          omni_settings_where(c->settings, OMNI_OPT_COMPUTE), name);
}

omni_status cli_open_weights(cli *c, omni_error *err) {
    omni_status status = find_compute(c, err);
    if (!status) status = omni_weights_open_dir(c->operand, &c->weights, err);
    if (!status) omni_bind_heads(c->model, c->weights);
    if (!status) status = omni_bind_all(c->model, c->weights, err);
    return status ? status : omni_bind_compute(c->model, c->weights, c->compute, err);
}

omni_status cli_open_topo(cli *c, omni_error *err) {
    return omni_topo_open(cli_value(c, OMNI_OPT_CPUS), NULL, &c->topo, err);
}

omni_status cli_create_engine(const cli *c, omni_engine_options *o, omni_engine **out, omni_error *err) {
    cli_progress bar; /* nothing is timed yet */
    cli_progress_begin(&bar, c, CLI_BYTES, "packing weights", 0);
    o->model = c->model;
    o->weights = c->weights;
    o->compute = c->compute;
    o->topo = c->topo;
    o->fabric = cli_value(c, OMNI_OPT_FABRIC);
    o->schedule = cli_value(c, OMNI_OPT_SCHEDULE);
    o->loading = &bar.meter;
    o->stop = &cli_stop;
    omni_status status = omni_engine_create(o, out, err);
    cli_progress_end(&bar);
    return status;
}

omni_status cli_check_fabric(const cli *c, omni_error *err) {
    const char *kind = cli_value(c, OMNI_OPT_FABRIC);
    const char *schedule = cli_value(c, OMNI_OPT_SCHEDULE);
    if (!omni_fabric_known(kind))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: unknown fabric '%.60s' (expected one of: %s)",
                              omni_settings_where(c->settings, OMNI_OPT_FABRIC), kind, omni_fabric_kinds());
    if (!omni_fabric_schedule_known(schedule))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: unknown schedule '%.60s' (expected one of: %s)",
                              omni_settings_where(c->settings, OMNI_OPT_SCHEDULE), schedule,
                              omni_fabric_schedules());
    return OMNI_OK;
}

void cli_close(cli *c) {
    if (c->weights) omni_weights_close(c->weights);
    if (c->model) omni_model_free(c->model);
    if (c->topo) omni_topo_close(c->topo);
    omni_settings_free(c->settings);
    free(c->operands);
    free(c->model_path);
    *c = (cli){0};
}

void cli_note(const cli *c, const char *format, ...) {
    if (c->quiet) return;
    va_list args;
    va_start(args, format);
    char line[1000];
    vsnprintf(line, sizeof line, format, args);
    fprintf(stderr, "%somnibus: note: %s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", line); /* over a bar */
    va_end(args);
}

/* --- plans ------------------------------------------------------------------------------------ */

static omni_status parse_plan(const char *text, bool or_auto, omni_plan_spec *out, omni_error *err) {
    if (!or_auto || strcmp(text, "auto") != 0) return omni_plan_parse(text, out, err);
    *out = (omni_plan_spec){.name = "auto"};
    return OMNI_OK;
}

static omni_status parse_plans(const char *list, bool or_auto, omni_plan_spec **out, size_t *count,
                               omni_error *err) {
    char **text;
    *out = NULL;
    omni_status status = omni_plan_list(list, &text, count, err);
    if (status) return status;
    *out = omni_alloc_array(*count, sizeof **out);
    if (!*out) status = omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu plans", *count);
    for (size_t i = 0; !status && i < *count; i++) status = parse_plan(text[i], or_auto, &(*out)[i], err);
    omni_plan_list_free(text, *count);
    if (!status) return OMNI_OK;
    omni_free(*out);
    *out = NULL;
    return status;
}

omni_status cli_plans(const char *list, omni_plan_spec **out, size_t *count, omni_error *err) {
    return parse_plans(list, false, out, count, err);
}

omni_status cli_plans_or_auto(const char *list, omni_plan_spec **out, size_t *count, omni_error *err) {
    return parse_plans(list, true, out, count, err);
}

bool cli_same_plan(const omni_plan_spec *a, const omni_plan_spec *b) {
    if (strcmp(a->name, b->name) == 0) return true;
    if (a->whole != b->whole || a->cycle != b->cycle || a->groups != b->groups || a->stages != b->stages ||
        a->stack != b->stack || a->chunk != b->chunk || a->overlap != b->overlap || a->stream != b->stream ||
        a->over_tokens != b->over_tokens || a->wire_bus != b->wire_bus || a->wire_tree != b->wire_tree ||
        a->missing[0] || b->missing[0])
        return false;
    for (size_t l = 0; l < a->cycle; l++) {
        char x[128], y[128];
        omni_methods_format(&a->layer[l], x, sizeof x);
        omni_methods_format(&b->layer[l], y, sizeof y);
        if (strcmp(x, y) != 0) return false;
    }
    return true;
}

const char *cli_reason(const omni_plan_spec *spec, const char *text) {
    size_t length = strlen(spec->name);
    if (strncmp(text, "plan '", 6) != 0 || strncmp(text + 6, spec->name, length) != 0) return text;
    return strncmp(text + 6 + length, "': ", 3) == 0 ? text + 6 + length + 3 : text;
}

/* --- results ---------------------------------------------------------------------------------- */

void cli_set(json_t **object, const char *key, json_t *value) {
    if (json_object_set_new(*object, key, value) == 0) return;
    json_decref(*object);
    *object = NULL;
}

void cli_append(json_t **array, json_t *value) {
    if (json_array_append_new(*array, value) == 0) return;
    json_decref(*array);
    *array = NULL;
}

json_t *cli_size(uint64_t n) {
    return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *cli_envelope(const cli *c) {
    json_t *root = json_object();
    char schema[32];
    snprintf(schema, sizeof schema, "omnibus.%s/1", omni_command_name(c->command));
    cli_set(&root, "schema", json_string(schema));
    cli_set(&root, "version", json_string(OMNI_VERSION));
    cli_set(&root, "host", omni_json_host(c->topo));
    cli_set(&root, "settings", cli_settings_json(c));
    return root;
}

json_t *cli_model_json(const omni_model *model) {
    const omni_shape *s = &model->shape;
    json_t *object = json_object();
    cli_set(&object, "name", omni_json_string(model->name));
    cli_set(&object, "family", json_string(model->family));
    cli_set(&object, "parameters", cli_size(omni_model_parameters(model)));
    cli_set(&object, "layers", cli_size(s->layers));
    cli_set(&object, "hidden", cli_size(s->hidden));
    cli_set(&object, "heads", cli_size(s->heads));
    cli_set(&object, "kv_heads", cli_size(s->kv_heads));
    cli_set(&object, "head_dim", cli_size(s->head_dim));
    cli_set(&object, "ffn", cli_size(s->ffn));
    cli_set(&object, "vocab", cli_size(s->vocab));
    cli_set(&object, "positions", cli_size(s->positions));
    cli_set(&object, "encoder", json_boolean(s->encoder));
    return object;
}

omni_status cli_emit(const cli *c, json_t *root, const json_t *rows, omni_text *page, omni_error *err) {
    omni_text *t = omni_text_create();
    if (c->format == OMNI_FORMAT_JSON)
        omni_json_draw(root, t);
    else if (c->format == OMNI_FORMAT_CSV)
        omni_csv_draw(root ? rows : NULL, t);
    else if (c->format == OMNI_FORMAT_MD)
        omni_md_draw(root ? rows : NULL, t);
    bool drawn = c->format == OMNI_FORMAT_TABLE || c->format == OMNI_FORMAT_JSONL;
    omni_status status = cli_stopped(err);
    if (!status) status = omni_text_emit(drawn ? page : t, c->output, err);
    omni_text_free(t);
    omni_text_free(page);
    json_decref(root);
    return status;
}
