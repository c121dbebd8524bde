/* synth.c: `omnibus synth`: a checkpoint directory of random weights in the shape of a config.
 *
 *   config.json --fewer layers, element type--> its text and its model --> list of tensors -->
 *   omni_synth_write
 *
 * As many threads as may run at the same time; with --cpus on those. A bar shows only what takes a while.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const struct {
    const char *name;
    omni_dtype dtype;
} dtypes[] = {{"f32", OMNI_F32}, {"f16", OMNI_F16}, {"bf16", OMNI_BF16}};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

typedef struct synth {
    cli *c;
    omni_dtype dtype;
    size_t layers, seed, tensors;
    uint64_t shard_bytes;
    char *config; /* text */
    omni_random_spec *spec;
    omni_synth_result result;
    uint64_t begin_ns, end_ns;
    cli_progress bar;
} synth;

/* --- options ---------------------------------------------------------------------------------- */

static omni_status read_dtype(synth *s, omni_error *err) {
    const char *text = cli_value(s->c, OMNI_OPT_DTYPE);
    s->dtype = s->c->model->dtype;
    if (!text) return OMNI_OK;
    for (size_t i = 0; i < DTYPES; i++)
        if (strcmp(text, dtypes[i].name) == 0) {
            s->dtype = dtypes[i].dtype;
            return OMNI_OK;
        }
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.40s' (expected f32, f16 or bf16)",
                          omni_settings_where(s->c->settings, OMNI_OPT_DTYPE), text);
}

static omni_status read_shard_size(synth *s, omni_error *err) {
    const char *text = cli_value(s->c, OMNI_OPT_SHARD_SIZE);
    if (omni_parse_bytes(text, &s->shard_bytes) && s->shard_bytes > 0) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.40s' (expected a size such as 2GiB, 500MB or 4096)",
                          omni_settings_where(s->c->settings, OMNI_OPT_SHARD_SIZE), text);
}

/* Everything that can be wrong before the model is known, then what depends on it. */
static omni_status read_options(synth *s, omni_error *err) {
    cli *c = s->c;
    if (!cli_value(c, OMNI_OPT_OUT))
        return omni_error_set(err, OMNI_BAD_INPUT, "synth: no --out (expected the directory to write)");
    omni_status status = read_shard_size(s, err);
    if (!status) status = cli_number(c, OMNI_OPT_SEED, 0, SIZE_MAX, &s->seed, err);
    if (!status) status = cli_open_model(c, err);
    if (!status) status = read_dtype(s, err);
    if (status) return status;
    s->layers = c->model->shape.layers;
    if (omni_settings_get(c->settings, OMNI_OPT_LAYERS))
        status = cli_number(c, OMNI_OPT_LAYERS, 1, s->layers, &s->layers, err);
    return status ? status : cli_open_topo(c, err);
}

/* --- what to write ---------------------------------------------------------------------------- */

/* The config's text, and c->model as it says. */
static omni_status thin_model(synth *s, omni_error *err) {
    omni_model *thin;
    omni_status status = omni_model_rewrite(s->c->operand, s->layers, s->dtype, &s->config, err);
    if (!status) status = omni_model_parse(s->config, strlen(s->config), s->c->operand, &thin, err);
    if (status) return status;
    omni_model_free(s->c->model);
    s->c->model = thin;
    return OMNI_OK;
}

/* --- writing ---------------------------------------------------------------------------------- */

static bool watch(void *arg, uint64_t done, uint64_t total) {
    synth *s = arg;
    if (omni_stop_get(&cli_stop) != OMNI_OK) return false;
    if (omni_meter_total(&s->bar.meter) == 0) omni_meter_expect(&s->bar.meter, total);
    cli_progress_step(&s->bar, done, done == total ? "waiting for the disk" : "");
    return true;
}

/* Threads inherit the affinity of this one. */
static void stay_on_cpus(const cli *c) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (size_t i = 0; i < omni_topo_cpus(c->topo); i++) CPU_SET(omni_topo_cpu(c->topo, i)->os_index, &set);
    if (omni_settings_get(c->settings, OMNI_OPT_CPUS)) (void)sched_setaffinity(0, sizeof set, &set);
}

static omni_status write_all(synth *s, omni_error *err) {
    omni_synth_options o = {.dir = cli_value(s->c, OMNI_OPT_OUT),
                            .config = s->config,
                            .spec = s->spec,
                            .count = s->tensors,
                            .seed = s->seed,
                            .shard_bytes = s->shard_bytes,
                            .threads = omni_topo_parallel(s->c->topo),
                            .watch = watch,
                            .watch_arg = s};
    stay_on_cpus(s->c);
    cli_progress_begin(&s->bar, s->c, CLI_BYTES, "writing", 0);
    s->begin_ns = omni_clock_ns();
    omni_status status = omni_synth_write(&o, &s->result, err);
    s->end_ns = omni_clock_ns();
    cli_progress_end(&s->bar);
    return status;
}

/* --- the result ------------------------------------------------------------------------------- */

static omni_status report(synth *s, omni_error *err) {
    const char *dir = cli_value(s->c, OMNI_OPT_OUT);
    double seconds = (double)(s->end_ns - s->begin_ns) * 1e-9;
    json_t *root = cli_envelope(s->c), *row = json_object(), *rows = json_array();
    cli_set(&row, "dir", omni_json_string(dir));
    cli_set(&row, "dtype", json_string(omni_dtype_name(s->dtype)));
    cli_set(&row, "tensors", cli_size(s->tensors));
    cli_set(&row, "shards", cli_size(s->result.shards));
    cli_set(&row, "bytes", cli_size(s->result.bytes));
    cli_set(&row, "seconds", json_real(seconds));
    cli_append(&rows, json_incref(row));
    cli_set(&root, "model", cli_model_json(s->c->model));
    cli_set(&root, "checkpoint", row);
    char bytes[32], rate[32];
    omni_format_bytes(bytes, sizeof bytes, s->result.bytes);
    omni_format_bytes(rate, sizeof rate, (uint64_t)((double)s->result.bytes / seconds));
    omni_text *page = omni_text_create();
    omni_text_add(page, "%s: %s, %zu layers, %zu tensors in %zu file%s, %s %s in %.2f s (%s/s)\n", dir,
                  s->c->model->family, s->layers, s->tensors, s->result.shards,
                  s->result.shards == 1 ? "" : "s", bytes, omni_dtype_name(s->dtype), seconds, rate);
    omni_status status = cli_emit(s->c, root, rows, page, err);
    json_decref(rows);
    return status;
}

omni_status cli_synth(cli *c, omni_error *err) {
    synth s = {.c = c};
    omni_status status = read_options(&s, err);
    if (!status) status = thin_model(&s, err);
    if (!status) status = omni_random_specs(c->model, s.dtype, &s.spec, &s.tensors, err);
    if (!status) status = write_all(&s, err);
    if (!status) status = report(&s, err);
    omni_free(s.spec);
    omni_free(s.config);
    return status;
}
