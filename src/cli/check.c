/* check.c: `omnibus check`: every plan on every number of PEs, held against float64 truth.
 *
 *   truth    --golden, else MODEL_DIR/golden.safetensors, else the reference on prompts from --seed
 *   cases    plans x decode plans x PE counts; what cannot be built is skipped, with the reason
 *   a case   compile -> omni_check_case -> and what moved must be what the plan says
 *   weights  that are not finite fail every case, whatever it compares
 *
 * Status 1 when a case failed, 2 when none could be built. The report is check_report.c.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

_Static_assert(sizeof((omni_check_result *)0)->first_bad >= OMNI_NOT_FINITE, "one is copied into the other");

enum { PROMPTS = 3, STEPS = 8 }; /* of the truth that is computed */

/* --- truth ------------------------------------------------------------------------------------ */

static omni_status compute_truth(check *k, size_t seed, omni_error *err) {
    cli_note(k->c, "no golden file: computing the float64 reference of %d prompts (seed %zu)", PROMPTS, seed);
    cli_progress bar;
    cli_progress_begin(&bar, k->c, CLI_SHARE, "reference", 0);
    omni_status status = omni_truth_random(k->c->model, k->c->weights, seed, PROMPTS, STEPS, &cli_stop,
                                           &bar.meter, &k->truth, err);
    cli_progress_end(&bar);
    return status;
}

static omni_status open_truth(check *k, omni_error *err) {
    const char *golden = cli_value(k->c, OMNI_OPT_GOLDEN);
    char beside[4096];
    size_t seed;
    omni_status status = cli_number(k->c, OMNI_OPT_SEED, 0, SIZE_MAX, &seed, err);
    if (status) return status;
    int length = snprintf(beside, sizeof beside, "%s/golden.safetensors", k->c->operand);
    if (!golden && length > 0 && (size_t)length < sizeof beside && access(beside, F_OK) == 0) golden = beside;
    if (!golden) return compute_truth(k, seed, err);
    status = omni_truth_load(golden, k->c->model, &k->truth, err);
    if (!status) cli_note(k->c, "comparing with %s", golden);
    return status;
}

/* --- cases ------------------------------------------------------------------------------------ */

static omni_status lay_out_cases(check *k, omni_error *err) {
    size_t decodes = k->decodes ? k->decodes : 1, rows;
    if (omni_size_mul(k->plans, decodes, &rows) && omni_size_mul(rows, k->pes_count, &k->count))
        k->cases = omni_alloc_array(k->count, sizeof *k->cases);
    if (!k->cases) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the cases");
    check_case *x = k->cases;
    for (size_t i = 0; i < k->plans; i++)
        for (size_t d = 0; d < decodes; d++)
            for (size_t n = 0; n < k->pes_count; n++)
                *x++ = (check_case){
                    .plan = &k->plan[i], .decode = k->decodes ? &k->decode[d] : NULL, .pes = k->pes[n]};
    return OMNI_OK;
}

static omni_status parse(check *k, omni_error *err) {
    const char *later = cli_value(k->c, OMNI_OPT_DECODE_PLAN);
    omni_status status = cli_check_fabric(k->c, err);
    if (!status) status = cli_plans(cli_value(k->c, OMNI_OPT_PLAN), &k->plan, &k->plans, err);
    if (!status && later) status = cli_schedules(later, &k->decode, &k->decodes, err);
    if (!status) status = cli_numbers(k->c, OMNI_OPT_PES, 1, CLI_MOST_PES, &k->pes, &k->pes_count, err);
    return status ? status : lay_out_cases(k, err);
}

static omni_status run_plans(check *k, check_case *x, const omni_plan *plan, const omni_plan **later,
                             omni_error *why) {
    omni_engine_options o = {.model = k->c->model,
                             .weights = k->c->weights,
                             .plan = plan,
                             .later = later,
                             .later_from = x->decode ? x->decode->from : NULL,
                             .laters = x->decode ? x->decode->count : 0,
                             .resident = omni_settings_flag(k->c->settings, OMNI_OPT_RESIDENT),
                             .compute = k->c->compute,
                             .topo = k->c->topo,
                             .fabric = cli_value(k->c, OMNI_OPT_FABRIC),
                             .schedule = cli_value(k->c, OMNI_OPT_SCHEDULE),
                             .stop = &cli_stop};
    omni_status status = omni_check_case(&o, k->truth, &x->result, why);
    if (!status && k->not_finite[0]) {
        x->result.passed = false;
        memcpy(x->result.first_bad, k->not_finite, sizeof k->not_finite);
    }
    if (!status && x->result.warning[0] && !k->warned) cli_note(k->c, "%s", x->result.warning);
    k->warned |= x->result.warning[0] != '\0';
    return status;
}

/* Built and run, or skipped with the reason when a plan does not fit; anything else ends the command. */
static omni_status compile_and_run(check *k, check_case *x, omni_error *why) {
    omni_plan *plan = NULL;
    const omni_plan **later = NULL;
    omni_status status = omni_plan_compile(k->c->model, x->plan, x->pes, &plan, why);
    if (!status && x->decode) status = cli_schedule_compile(k->c->model, x->decode, x->pes, &later, why);
    if (!status) status = run_plans(k, x, plan, later, why);
    if (x->decode) cli_schedule_drop(x->decode, later);
    omni_plan_free(plan);
    return status;
}

static omni_status run_case(check *k, check_case *x, omni_error *err) {
    omni_error why = {0};
    if (x->decode && k->c->model->shape.encoder) {
        snprintf(x->skipped, sizeof x->skipped, "an encoder has no decode phase");
        return OMNI_OK;
    }
    omni_status status = compile_and_run(k, x, &why);
    if (status == OMNI_BAD_INPUT) {
        snprintf(x->skipped, sizeof x->skipped, "%.*s", (int)sizeof x->skipped - 1,
                 cli_reason(x->plan, why.text));
        return OMNI_OK;
    }
    return status ? omni_error_set(err, status, "plan '%s' on %zu PEs: %s", x->plan->name, x->pes, why.text)
                  : OMNI_OK;
}

static omni_status run_cases(check *k, omni_error *err) {
    omni_status status = OMNI_OK;
    cli_progress bar;
    cli_progress_begin(&bar, k->c, CLI_STEPS, "check", k->count);
    for (size_t i = 0; !status && i < k->count; i++) {
        char what[300];
        snprintf(what, sizeof what, "%s, %zu PE%s", k->cases[i].plan->name, k->cases[i].pes,
                 k->cases[i].pes == 1 ? "" : "s");
        cli_progress_step(&bar, i, what);
        status = cli_stopped(err);
        if (!status) status = run_case(k, &k->cases[i], err);
    }
    cli_progress_end(&bar);
    return status;
}

/* --- the command ------------------------------------------------------------------------------ */

static omni_status verdict(const check *k, omni_error *err) {
    size_t passed, failed, skipped;
    check_tally(k, &passed, &failed, &skipped);
    if (skipped == k->count)
        return omni_error_set(err, OMNI_BAD_INPUT, "check: no case could be built (%.300s)",
                              k->cases[0].skipped);
    return failed ? OMNI_CHECK_FAILED : OMNI_OK;
}

static omni_status check_weights(check *k, omni_error *err) {
    cli_progress bar;
    cli_progress_begin(&bar, k->c, CLI_BYTES, "checking weights", 0);
    omni_status status =
        omni_check_finite(k->c->model, k->c->weights, &cli_stop, &bar.meter, k->not_finite, err);
    cli_progress_end(&bar);
    return status;
}

static omni_status open_all(check *k, omni_error *err) {
    omni_status status = cli_open_model(k->c, err);
    if (!status) status = cli_open_topo(k->c, err);
    if (!status) status = cli_open_weights(k->c, err);
    if (!status) status = check_weights(k, err);
    return status ? status : open_truth(k, err);
}

static void close_check(check *k) {
    omni_truth_free(k->truth);
    omni_free(k->cases);
    omni_free(k->pes);
    omni_free(k->plan);
    cli_schedules_free(k->decode, k->decodes);
}

omni_status cli_check(cli *c, omni_error *err) {
    check k = {.c = c};
    omni_status status = parse(&k, err);
    if (!status) status = open_all(&k, err);
    if (!status) status = run_cases(&k, err);
    if (!status) status = check_report(&k, err);
    if (!status) status = verdict(&k, err);
    close_check(&k);
    return status;
}
