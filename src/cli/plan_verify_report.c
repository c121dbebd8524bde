/* plan_verify_report.c: what `plan --verify` measured: a table and a line for each task, a summary of all;
 * and as JSON and CSV.
 */
#include <math.h>

#include "plan_verify.h"

enum { AIM = 5 }; /* percent of regret */

/* --- one task --------------------------------------------------------------------------------- */

static double price_ns(const trial *t) {
    return (double)t->candidate->estimate.ps * 1e-3;
}

double verify_error(const trial *t) {
    return 100 * (price_ns(t) / t->first.median - 1);
}

static void set_trial(json_t **object, const trial *t, double best_ns) {
    bool run = !t->skipped[0];
    cli_set(object, "plan", omni_json_string(t->candidate->spec.name));
    cli_set(object, "predicted_ns", omni_json_number(price_ns(t)));
    cli_set(object, "measured_ns", run ? omni_json_number(t->first.median) : json_null());
    cli_set(object, "low_ns", run ? omni_json_number(t->first.low) : json_null());
    cli_set(object, "high_ns", run ? omni_json_number(t->first.high) : json_null());
    cli_set(object, "error_percent", run ? omni_json_number(verify_error(t)) : json_null());
    cli_set(object, "to_best", run ? omni_json_number(t->first.median / best_ns) : json_null());
    cli_set(object, "skipped", omni_json_string(run ? NULL : t->skipped));
}

static const char *time_text(char buf[32], double ns) {
    return price_time(buf, (uint64_t)(ns * 1e3));
}

static void draw_trials(pricing *k, const trial *list, size_t count) {
    static const char *const headers[] = {"plan",  ">predicted", ">measured", ">least",
                                          ">most", ">error",     ">to best",  ""};
    char text[32];
    omni_table *t = omni_table_create(headers, sizeof headers / sizeof *headers);
    for (size_t i = 0; i < count; i++) {
        const trial *x = &list[i];
        bool run = !x->skipped[0];
        const double spread[] = {x->first.median, x->first.low, x->first.high};
        omni_table_cell(t, "%s", x->candidate->spec.name);
        omni_table_cell(t, "%s", time_text(text, price_ns(x)));
        for (size_t n = 0; n < 3; n++) omni_table_cell(t, "%s", run ? time_text(text, spread[n]) : "-");
        omni_table_cell(t, run ? "%+.1f%%" : "-", run ? verify_error(x) : 0);
        omni_table_cell(t, run ? "%.3f" : "-", run ? x->first.median / list[0].first.median : 0);
        omni_table_cell(t, "%s%s", run ? "" : "skipped: ", x->skipped);
    }
    omni_table_draw(t, k->page);
    omni_table_free(t);
}

static void draw_timing(pricing *k, const char *before, const timing *x) {
    char text[3][32];
    omni_text_add(k->page, "%s%s (%s - %s)", before, time_text(text[0], x->median),
                  time_text(text[1], x->low), time_text(text[2], x->high));
}

static void draw_regret(pricing *k, const outcome *o, const verdict *v) {
    bool two = v->choice != v->best;
    omni_text_add(k->page, "\nplanner's choice %s", v->choice->candidate->spec.name);
    draw_timing(k, ": measured ", two ? &v->choice->again : &v->choice->first);
    omni_text_add(k->page, ", true best %s", v->best->candidate->spec.name);
    draw_timing(k, ": ", two ? &v->best->again : &v->best->first);
    omni_text_add(k->page, "; regret %.1f %%, ", o->verified.regret);
    if (two)
        omni_text_add(k->page, "slower in %zu of %zu rounds again: %s the noise of repeats\n", v->slower,
                      k->verify.rounds, o->verified.above ? "above" : "within");
    else
        omni_text_add(k->page, "it is the best\n");
}

static void list_task(pricing *k, const outcome *o, const trial *list, size_t count, const verdict *v,
                      size_t priced) {
    json_t *task = price_task_json(o), *plans = json_array();
    bool two = v->choice != v->best;
    for (size_t i = 0; i < count; i++) {
        json_t *plan = json_object(), *row = price_task_json(o);
        set_trial(&plan, &list[i], list[0].first.median);
        set_trial(&row, &list[i], list[0].first.median);
        cli_append(&plans, plan);
        cli_append(&k->rows, row);
    }
    cli_set(&task, "priced", cli_size(priced));
    cli_set(&task, "run", cli_size(v->run));
    cli_set(&task, "choice", omni_json_string(v->choice->candidate->spec.name));
    cli_set(&task, "best", omni_json_string(v->best->candidate->spec.name));
    cli_set(&task, "choice_again_ns", two ? omni_json_number(v->choice->again.median) : json_null());
    cli_set(&task, "best_again_ns", two ? omni_json_number(v->best->again.median) : json_null());
    cli_set(&task, "regret_percent", omni_json_number(o->verified.regret));
    cli_set(&task, "rounds_slower", cli_size(v->slower));
    cli_set(&task, "above_noise", json_boolean(o->verified.above));
    cli_set(&task, "plans", plans);
    cli_append(&k->tasks, task);
}

static void draw_task(pricing *k, const outcome *o, const trial *list, size_t count, const verdict *v,
                      size_t priced) {
    price_draw_head(k, o);
    omni_text_add(k->page, "ran          %zu of the %zu plans that were priced, in %zu round%s\n\n", v->run,
                  priced, k->verify.rounds, k->verify.rounds == 1 ? "" : "s");
    draw_trials(k, list, count);
    draw_regret(k, o, v);
}

void verify_add(pricing *k, const outcome *o, const trial *list, size_t count, const verdict *v,
                size_t priced) {
    list_task(k, o, list, count, v, priced);
    draw_task(k, o, list, count, v, priced);
}

/* --- all tasks -------------------------------------------------------------------------------- */

/* Of the tasks of which something was run. */
typedef struct summary {
    size_t tasks, within, above;
    double regret, error; /* medians */
    const outcome *worst;
} summary;

static omni_status summarize(const pricing *k, summary *s, omni_error *err) {
    double *regret = omni_alloc_array(k->total, sizeof *regret);
    double *error = omni_alloc_array(k->total, sizeof *error);
    bool memory = regret && error;
    for (size_t i = 0; memory && i < k->total; i++) {
        const outcome *o = &k->all[i];
        if (!o->built) continue;
        regret[s->tasks] = o->verified.regret;
        error[s->tasks++] = fabs(o->verified.error);
        s->within += o->verified.regret <= AIM;
        s->above += o->verified.above;
        if (!s->worst || o->verified.regret > s->worst->verified.regret) s->worst = o;
    }
    s->regret = memory ? omni_median(regret, s->tasks) : NAN;
    s->error = memory ? omni_median(error, s->tasks) : NAN;
    omni_free(regret);
    omni_free(error);
    return memory ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "plan: out of memory");
}

static json_t *summary_json(const summary *s) {
    json_t *object = json_object();
    cli_set(&object, "situations", cli_size(s->tasks));
    cli_set(&object, "median_regret_percent", omni_json_number(s->regret));
    cli_set(&object, "worst_regret_percent", omni_json_number(s->worst ? s->worst->verified.regret : NAN));
    cli_set(&object, "aim_percent", cli_size(AIM));
    cli_set(&object, "within_aim", cli_size(s->within));
    cli_set(&object, "above_noise", cli_size(s->above));
    cli_set(&object, "median_error_percent", omni_json_number(s->error));
    return object;
}

static void draw_summary(const pricing *k, const summary *s) {
    const outcome *w = s->worst;
    if (!w) return;
    omni_text_add(k->page, "\n%zu situation%s: regret median %.1f %%, worst %.1f %%", s->tasks,
                  s->tasks == 1 ? "" : "s", s->regret, w->verified.regret);
    if (s->tasks > 1)
        omni_text_add(k->page, " (%zu PEs, batch %zu, prompt %zu, gen %zu)", w->pes, w->task.batch,
                      w->task.prompt, w->task.gen);
    omni_text_add(
        k->page,
        "; within %d %% in %zu, above the noise in %zu; the choice's price is off by %.1f %% (median)\n", AIM,
        s->within, s->above, s->error);
}

omni_status verify_report(pricing *k, omni_error *err) {
    summary s = {0};
    omni_status status = summarize(k, &s, err);
    if (status) return status;
    json_t *root = cli_envelope(k->c);
    cli_set(&root, "model", cli_model_json(k->c->model));
    cli_set(&root, "rounds", cli_size(k->verify.rounds));
    cli_set(&root, "tasks", json_incref(k->tasks));
    cli_set(&root, "summary", summary_json(&s));
    draw_summary(k, &s);
    omni_text *page = k->page;
    k->page = NULL; /* cli_emit takes it */
    status = cli_emit(k->c, root, k->rows, page, err);
    if (!status && k->built == 0)
        status = omni_error_set(err, OMNI_BAD_INPUT, "plan: nothing could be run (%.300s)", k->reason);
    return status;
}
