/* check_report.c: the cases of a check as a table, JSON, or CSV (a row per case). */
#include <stdio.h>

#include "check.h"

void check_tally(const check *k, size_t *passed, size_t *failed, size_t *skipped) {
    *passed = *failed = *skipped = 0;
    for (size_t i = 0; i < k->count; i++) {
        const check_case *x = &k->cases[i];
        ++*(x->skipped[0] ? skipped : x->result.passed ? passed : failed);
    }
}

static const char *decode_name(const check_case *x) {
    return x->decode ? x->decode->name : x->plan->name;
}

/* --- JSON ------------------------------------------------------------------------------------- */

/* What a skipped case has no value of is null. */
static json_t *measured(const check_case *x, double value) {
    return x->skipped[0] ? json_null() : omni_json_number(value);
}

static json_t *truth_of(const check_case *x, bool value) {
    return x->skipped[0] ? json_null() : json_boolean(value);
}

static json_t *case_json(const check_case *x) {
    const omni_check_result *r = &x->result;
    json_t *object = json_object();
    cli_set(&object, "plan", omni_json_string(x->plan->name));
    cli_set(&object, "decode_plan", omni_json_string(decode_name(x)));
    cli_set(&object, "pes", cli_size(x->pes));
    cli_set(&object, "max_abs", measured(x, r->max_abs));
    cli_set(&object, "rel_max", measured(x, r->rel_max));
    cli_set(&object, "row_rel", measured(x, r->row_rel));
    cli_set(&object, "nmse", measured(x, r->nmse));
    cli_set(&object, "argmax_match", truth_of(x, r->argmax_matched == r->argmax_compared));
    cli_set(&object, "argmax_compared", cli_size(r->argmax_compared));
    cli_set(&object, "argmax_matched", cli_size(r->argmax_matched));
    cli_set(&object, "tolerance", measured(x, r->tolerance));
    cli_set(&object, "passed", truth_of(x, r->passed));
    cli_set(&object, "transform",
            x->skipped[0] || !x->decode ? json_null() : omni_json_counters(&r->transform));
    cli_set(&object, "skipped", omni_json_string(x->skipped[0] ? x->skipped : NULL));
    cli_set(&object, "first_bad", omni_json_string(r->first_bad[0] ? r->first_bad : NULL));
    return object;
}

/* --- page ------------------------------------------------------------------------------------- */

static void add_row(omni_table *t, const check_case *x) {
    const omni_check_result *r = &x->result;
    char tolerance[48] = "";
    if (r->narrow_tolerance > 0) snprintf(tolerance, sizeof tolerance, " (tolerance %.1e)", r->tolerance);
    omni_table_cell(t, "%s", x->plan->name);
    omni_table_cell(t, "%s", decode_name(x));
    omni_table_cell(t, "%zu", x->pes);
    if (x->skipped[0]) {
        for (size_t i = 0; i < 5; i++) omni_table_cell(t, "-");
        omni_table_cell(t, "skipped: %s", x->skipped);
        return;
    }
    omni_table_cell(t, "%.1e", r->max_abs);
    omni_table_cell(t, "%.1e", r->rel_max);
    omni_table_cell(t, "%.1e", r->row_rel);
    omni_table_cell(t, "%.1e", r->nmse);
    omni_table_cell(t, "%zu/%zu", r->argmax_matched, r->argmax_compared);
    omni_table_cell(t, "%s%s%s", r->passed ? "ok" : "FAIL: ", r->first_bad, tolerance);
}

static omni_text *draw(const check *k, size_t passed, size_t failed, size_t skipped) {
    static const char *const headers[] = {"plan",     "decode plan", ">pes",    ">max_abs", ">rel_max",
                                          ">row_rel", ">nmse",       ">argmax", "result"};
    omni_text *page = omni_text_create();
    omni_table *t = omni_table_create(headers, sizeof headers / sizeof *headers);
    for (size_t i = 0; i < k->count; i++) add_row(t, &k->cases[i]);
    omni_table_draw(t, page);
    omni_table_free(t);
    omni_text_add(page, "\n%zu passed, %zu failed, %zu skipped\n", passed, failed, skipped);
    return page;
}

omni_status check_report(const check *k, omni_error *err) {
    size_t passed, failed, skipped;
    json_t *root = cli_envelope(k->c), *cases = json_array();
    check_tally(k, &passed, &failed, &skipped);
    for (size_t i = 0; i < k->count; i++) cli_append(&cases, case_json(&k->cases[i]));
    cli_set(&root, "model", cli_model_json(k->c->model));
    cli_set(&root, "truth", omni_json_string(omni_truth_source(k->truth)));
    cli_set(&root, "cases", cases);
    cli_set(&root, "passed", json_boolean(failed == 0 && passed > 0));
    return cli_emit(k->c, root, json_object_get(root, "cases"), draw(k, passed, failed, skipped), err);
}
