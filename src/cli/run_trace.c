/* run_trace.c: --trace: what was run as a timeline. The engine recorded it; with --array the same passes are priced once
 * more, to be drawn beside it. Like all results the file is written at the end, whole or not at all: a run that is
 * interrupted leaves none.
 */
#include <stdio.h>

#include "omnibus/trace.h"
#include "run.h"

/* --- what was asked for ----------------------------------------------------------------------- */

omni_status trace_parse(run *r, omni_error *err) {
    const char *path = r->trace.path = omni_settings_get(r->c->settings, OMNI_OPT_TRACE);
    size_t limit;
    omni_status status = cli_number(r->c, OMNI_OPT_TRACE_LIMIT, 1, INT32_MAX, &limit, err);
    if (status) return status;
    if (!path) return OMNI_OK;
    r->trace.events = limit;
    bool output = omni_output_same(path, r->c->output);
    if (output || omni_output_same(path, r->dump.path))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: named by --trace and by --%s (expected two files)",
                              path, output ? "output" : "dump");
    return omni_output_check(path, err);
}

/* --- modelled time ---------------------------------------------------------------------------- */

typedef struct drawing {
    const run *r;
    omni_trace *t;
    const omni_plan **plan; /* [1 + laters] */
    omni_recording of;
    size_t *counts; /* [sequences] */
    size_t *none;   /* likewise: 0 */
} drawing;

static omni_status draw_pass(const drawing *d, size_t i, omni_error *err) {
    const run *r = d->r;
    const size_t *first = i ? d->of.length + (i - 1) * d->of.sequences : d->none;
    omni_extent pass = {.sequences = d->of.sequences, .first = first, .counts = d->counts};
    for (size_t q = 0; q < pass.sequences; q++)
        pass.tokens += d->counts[q] = d->of.length[i * d->of.sequences + q] - first[q];
    if (i == 0) {
        pass.marks = r->encoded.marks;
        pass.mark = r->encoded.mark;
    }
    const char *name = i ? "decode" : r->c->model->shape.encoder ? "encode" : "prefill";
    return omni_trace_modelled(d->t, r->modelled.array[0], d->plan[d->of.pass[i].plan], pass, name, err);
}

static omni_status draw_change(const drawing *d, size_t i, omni_error *err) {
    const omni_array *array = d->r->modelled.array[0];
    const omni_pass_record *p = &d->of.pass[i];
    omni_price change;
    if (omni_array_is_host(array)) return OMNI_OK;
    omni_status status =
        omni_price_change(array, d->plan[p->plan], d->plan[p->next], d->of.length + i * d->of.sequences,
                          d->of.sequences, !d->r->resident, cli_stopped, &change, err);
    if (!status) omni_trace_modelled_change(d->t, change.ps);
    return status;
}

static omni_status draw_modelled(const drawing *d, omni_error *err) {
    omni_status status = OMNI_OK;
    for (size_t i = 0; i < d->of.passes && d->r->modelled.array && !status; i++) {
        bool changes = d->of.pass[i].next != d->of.pass[i].plan;
        status = (changes ? draw_change : draw_pass)(d, i, err);
        if (!status) status = cli_stopped(err);
    }
    return status;
}

/* --- the file --------------------------------------------------------------------------------- */

static json_t *facts(const run *r) {
    json_t *root = cli_envelope(r->c);
    cli_set(&root, "command", json_string("omnibus run"));
    cli_set(&root, "plan", omni_json_string(r->spec.name));
    cli_set(&root, "decode_plan", omni_json_string(r->decode_plan ? r->decode_plan->name : NULL));
    cli_set(&root, "pes", cli_size(r->pes));
    cli_set(&root, "workers", cli_size(omni_engine_workers(r->engine)));
    cli_set(&root, "model", cli_model_json(r->c->model));
    return root;
}

static omni_status draw(drawing *d, omni_error *err) {
    omni_status status = omni_trace_wall(d->t, d->r->engine, d->plan, err);
    if (!status) status = draw_modelled(d, err);
    const char *note;
    for (size_t i = 0; !status && (note = omni_trace_note(d->t, i)); i++)
        cli_note(d->r->c, "%s: %s", d->r->trace.path, note);
    return status;
}

omni_status trace_write(run *r, omni_error *err) {
    drawing d = {.r = r};
    size_t laters = r->decode_plan ? r->decode_plan->count : 0;
    if (!r->trace.path) return OMNI_OK;
    omni_engine_recording(r->engine, &d.of);
    d.plan = omni_alloc_array(1 + laters, sizeof *d.plan);
    d.counts = omni_alloc_array(r->prompts.count, sizeof *d.counts);
    d.none = omni_alloc_array(r->prompts.count, sizeof *d.none);
    omni_status status = omni_trace_open(r->trace.path, r->trace.events, &d.t, err);
    if (!status && !(d.plan && d.counts && d.none))
        status = omni_error_set(err, OMNI_RUN_FAILED, "no memory for the trace");
    if (!status) {
        d.plan[0] = r->plan;
        for (size_t i = 0; i < laters; i++) d.plan[1 + i] = r->later[i];
        status = draw(&d, err);
    }
    if (!status)
        status = omni_trace_close(d.t, facts(r), err);
    else
        omni_trace_drop(d.t);
    omni_free(d.plan);
    omni_free(d.counts);
    omni_free(d.none);
    return status;
}
