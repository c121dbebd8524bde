/* test_array_faults.c: slow, uneven and dead PEs of a modelled array: against the walker PE by PE, against
 * closed forms, and against arrays that have none; what a file may say of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array_tools.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const plans[] = {
    "megatron",
    "alternate",
    "workflow2",
    "workflow1:gather=bus:edge=scatter",
    "attn=subheads",
    "attn=subheads:groups=2",
    "alternate:groups=2",
    "megatron:groups=3:stages=2",
    "workflow1:stages=2:stack=2:chunk=4",
    "pipeline:chunk=2",
    "replica",
    "lockstep",
    "lockstep:over=token",
    "megatron:groups=each:over=token",
    "megatron:overlap=3",
    "alternate:gather=bus:edge=scatter:overlap=2",
    "workflow1:groups=2:stages=2:chunk=2:overlap=4",
};

static const struct {
    size_t sequences, tokens, first;
    bool ragged;
} passes[] = {{3, 1, 7, false}, {4, 1, 3, true}, {1, 9, 0, false}, {3, 5, 0, true}};

static omni_extent pass_at(size_t i) {
    return array_pass(passes[i].sequences, passes[i].tokens, passes[i].first, passes[i].ragged);
}

static omni_array *faulty(const char *file, const char *slow, const char *dead, const char *jitter) {
    omni_array *a = array_load(file);
    array_set(a, "faults.slow", slow);
    array_set(a, "faults.dead", dead);
    array_set(a, "faults.jitter", jitter);
    return a;
}

/* --- PE by PE ---------------------------------------------------------------------------------- */

static void compare(const omni_array *a, const omni_model *m, const size_t *pes, size_t sizes) {
    for (size_t i = 0; i < COUNT(plans) * sizes; i++) {
        omni_plan *plan = array_plan(m, plans[i / sizes], pes[i % sizes]);
        for (size_t k = 0; plan && k < COUNT(passes); k++) array_expect_exact(a, plan, pass_at(k));
        omni_plan_free(plan);
    }
}

static const struct {
    const char *slow, *dead, *jitter;
} kinds[] = {
    {"1:1.7", "none", "0"},        {"0:2 3-6:1.5 9:7", "none", "0"}, {"none", "2", "0"},
    {"none", "0 3-4 7-11", "0"},   {"none", "none", "0.05"},         {"2:3", "1 6", "0"},
    {"1-2:1.25 5:2", "3", "0.75"},
};

Test(array_faults, classes_and_runs_are_exact) {
    static const size_t pes[] = {2, 5, 12, 16};
    static const char *const arrays[] = {"seed-64pe", "segmented-256pe", "narrow-bus"};
    omni_model *m = array_model("tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(arrays) * COUNT(kinds); i++) {
        omni_array *a = faulty(arrays[i / COUNT(kinds)], kinds[i % COUNT(kinds)].slow,
                               kinds[i % COUNT(kinds)].dead, kinds[i % COUNT(kinds)].jitter);
        array_set(a, "bus.hop", "3000");
        if (i % 2) array_set(a, "bus.pieces", "3");
        compare(a, m, pes, COUNT(pes));
        omni_array_free(a);
    }
    omni_model_free(m);
}

/* Without the critical path: layers are skipped behind slow PEs and none with jitter, and nothing else
 * differs. */
Test(array_faults, skipped_layers_are_exact) {
    omni_model *m = array_model("configs/models/llama-2-7b.json");
    for (size_t i = 0; i < COUNT(kinds) * COUNT(plans); i++) {
        omni_array *a = faulty("seed-64pe", kinds[i % COUNT(kinds)].slow, kinds[i % COUNT(kinds)].dead,
                               kinds[i % COUNT(kinds)].jitter);
        omni_plan *plan = array_plan(m, plans[i / COUNT(kinds)], 16);
        for (size_t k = 0; plan && k < COUNT(passes); k += 3) {
            omni_extent pass = pass_at(k);
            omni_price skipped, walked = array_price(a, plan, pass);
            omni_error err = {0};
            bool left;
            cr_assert_eq(price_pass(a, plan, pass, no_limit, false, &skipped, &left, &err), OMNI_OK);
            cr_expect(skipped.ps == walked.ps && skipped.energy_pj == walked.energy_pj &&
                          skipped.wait_ps == walked.wait_ps &&
                          skipped.computing_ppm == walked.computing_ppm && skipped.macs == walked.macs &&
                          omni_counters_equal(&skipped.moved, &walked.moved),
                      "%s, %s: ps %llu %llu", plan->spec.name, omni_array_name(a),
                      (unsigned long long)skipped.ps, (unsigned long long)walked.ps);
        }
        omni_plan_free(plan);
        omni_array_free(a);
    }
    omni_model_free(m);
}

/* --- closed forms ------------------------------------------------------------------------------ */

static uint64_t ps_of(const omni_array *a, const omni_plan *plan, omni_extent pass) {
    return array_price(a, plan, pass).ps;
}

/* A single PE that is f times as slow computes f times as long, and its host does not. With sums that cost
 * nothing all wait for PE 0, which has the largest shares: it alone is as bad as all of them. */
Test(array_faults, a_factor_multiplies_computing) {
    omni_model *m = array_model("tests/golden/llama-tiny-mha");
    omni_array *healthy = array_load("ideal"), *one = array_load("ideal"), *all = array_load("ideal");
    omni_array *last = array_load("ideal");
    array_set(one, "faults.slow", "0:3");
    array_set(all, "faults.slow", "0-15:3");
    array_set(last, "faults.slow", "3:3");
    omni_plan *single = array_plan(m, "single", 1), *plan = array_plan(m, "megatron", 4);
    for (size_t k = 0; k < COUNT(passes); k++) {
        omni_extent pass = pass_at(k);
        omni_price a = array_price(healthy, single, pass), b = array_price(one, single, pass);
        cr_expect_eq(b.kind[OMNI_PRICE_COMPUTE], 3 * a.kind[OMNI_PRICE_COMPUTE]);
        cr_expect_eq(b.ps - a.ps, 2 * a.kind[OMNI_PRICE_COMPUTE]);
        cr_expect_eq(b.energy_pj, array_price(all, single, pass).energy_pj);
        a = array_price(healthy, plan, pass);
        cr_expect_eq(ps_of(one, plan, pass) - a.ps, 2 * a.kind[OMNI_PRICE_COMPUTE]);
        cr_expect_eq(ps_of(all, plan, pass), ps_of(one, plan, pass));
        cr_expect(ps_of(last, plan, pass) > a.ps && ps_of(last, plan, pass) <= ps_of(all, plan, pass));
    }
    omni_plan_free(plan);
    omni_plan_free(single);
    omni_array_free(last);
    omni_array_free(all);
    omni_array_free(one);
    omni_array_free(healthy);
    omni_model_free(m);
}

static bool same_price(const omni_price *a, const omni_price *b) {
    return a->ps == b->ps && memcmp(a->kind, b->kind, sizeof a->kind) == 0 && a->grants == b->grants &&
           a->conflicts == b->conflicts && a->wait_ps == b->wait_ps && a->busy_ppm == b->busy_ppm &&
           a->computing_ppm == b->computing_ppm && a->energy_pj == b->energy_pj && a->rows == b->rows &&
           omni_counters_equal(&a->moved, &b->moved);
}

static void expect_same(const omni_array *a, const omni_array *b, size_t pes) {
    omni_model *m = array_model("tests/golden/gpt2-tiny");
    for (size_t i = 0; i < COUNT(plans) * COUNT(passes); i++) {
        omni_plan *plan = array_plan(m, plans[i / COUNT(passes)], pes);
        if (plan) {
            omni_price x = array_price(a, plan, pass_at(i % COUNT(passes)));
            omni_price y = array_price(b, plan, pass_at(i % COUNT(passes)));
            cr_expect(same_price(&x, &y), "%s, %s and %s: ps %llu %llu", plan->spec.name, omni_array_name(a),
                      omni_array_name(b), (unsigned long long)x.ps, (unsigned long long)y.ps);
        }
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

/* n PEs with one dead are n - 1 PEs, but for their places on the wire: none where there are no hops, or
 * behind them. */
Test(array_faults, dead_pes_are_fewer_pes) {
    omni_array *healthy = array_load("seed-64pe"), *end = faulty("seed-64pe", "none", "15", "0");
    expect_same(end, healthy, 15);
    array_set(end, "faults.dead", "0-4"); /* nobody before the first */
    expect_same(end, healthy, 15);
    omni_array *dead = faulty("seed-64pe", "none", "5", "0");
    omni_model *m = array_model("tests/golden/gpt2-tiny");
    omni_plan *plan = array_plan(m, "megatron", 15);
    cr_expect_gt(ps_of(dead, plan, pass_at(0)), ps_of(healthy, plan, pass_at(0)));
    omni_plan_free(plan);
    omni_model_free(m);
    array_set(dead, "bus.hop", "0");
    array_set(healthy, "bus.hop", "0");
    expect_same(dead, healthy, 15);
    cr_expect_eq(omni_array_living(dead, 16), 15);
    cr_expect_eq(omni_array_living(dead, 6), 5);
    cr_expect_eq(omni_array_living(dead, 5), 5);
    cr_expect_eq(omni_array_living(end, 5), 0);
    cr_expect_eq(omni_array_living(end, 6), 1);
    cr_expect_eq(omni_array_living(end, 1000), 995);
    omni_array_free(dead);
    omni_array_free(end);
    omni_array_free(healthy);
}

/* A factor of 1, faults that are taken away, and those of PEs that the plan has not, are none. */
Test(array_faults, none_is_none) {
    omni_array *healthy = array_load("seed-64pe"), *a = faulty("seed-64pe", "0-63:1", "none", "0");
    expect_same(a, healthy, 12);
    cr_expect_not(omni_array_has_faults(a));
    array_set(a, "faults.slow", "12:9");
    array_set(a, "faults.dead", "13-20");
    cr_expect(omni_array_has_faults(a));
    expect_same(a, healthy, 12);
    array_set(a, "faults.slow", "3:9");
    array_set(a, "faults.jitter", "0.5");
    omni_array *cured = omni_array_healthy(a);
    cr_assert_not_null(cured);
    cr_expect_not(omni_array_has_faults(cured));
    expect_same(cured, healthy, 12);
    omni_array_free(cured);
    omni_array_free(a);
    omni_array_free(healthy);
}

/* --- links ------------------------------------------------------------------------------------- */

/* On the critical path, in the plan's activations. */
static uint64_t activating_ps(const omni_array *a, const omni_plan *plan) {
    omni_price price = array_price(a, plan, array_pass(1, 9, 0, false));
    const char *op = NULL;
    for (size_t i = 0; i < plan->step_count; i++)
        if (plan->step[i].kind == OMNI_STEP_ACTIVATION) op = plan->step[i].op->name;
    for (size_t i = 0; i < price.rows; i++)
        if (price.row[i].kind == OMNI_PRICE_COMPUTE && strcmp(price.row[i].op, op) == 0)
            return price.row[i].ps;
    return 0;
}

/* Between a reduce-scatter and an all-gather each PE does its share of what the root does on a bus: the last
 * PE's is as slow as that PE, and all wait for it. */
Test(array_faults, a_share_of_a_sum_on_links_is_as_slow_as_its_PE) {
    static const char *const arrays[] = {"ring-64pe", "mesh-64pe"};
    omni_model *m = array_model("tests/golden/llama-tiny-gqa");
    omni_plan *plan = array_plan(m, "workflow1", 4);
    for (size_t i = 0; i < COUNT(arrays); i++) {
        omni_array *a = array_load(arrays[i]);
        uint64_t healthy = activating_ps(a, plan), all;
        array_set(a, "faults.slow", "0-3:3");
        all = activating_ps(a, plan);
        cr_expect(healthy > 0 && all == 3 * healthy);
        array_set(a, "faults.slow", "3:3");
        cr_expect_eq(activating_ps(a, plan), all, "%s", arrays[i]);
        array_set(a, "faults.slow", "none");
        array_set(a, "faults.jitter", "2");
        cr_expect(activating_ps(a, plan) > healthy && activating_ps(a, plan) < all, "%s", arrays[i]);
        omni_array_free(a);
    }
    omni_plan_free(plan);
    omni_model_free(m);
}

/* --- monotonicity, determinism ------------------------------------------------------------------ */

/* Along a list of values of one key, no plan gets faster; `more`: the last is slower than the first. */
static void expect_rising(const char *key, const char *const *value, size_t count) {
    omni_model *m = array_model("tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(plans) * COUNT(passes); i++) {
        omni_plan *plan = array_plan(m, plans[i / COUNT(passes)], 12);
        uint64_t first = 0, before = 0;
        for (size_t v = 0; plan && v < count; v++) {
            omni_array *a = array_load("narrow-bus");
            array_set(a, key, value[v]);
            uint64_t ps = ps_of(a, plan, pass_at(i % COUNT(passes)));
            cr_expect_geq(ps, before, "%s, %s=%s", plan->spec.name, key, value[v]);
            first = v ? first : ps;
            before = ps;
            omni_array_free(a);
        }
        if (plan) cr_expect_gt(before, first, "%s, %s", plan->spec.name, key);
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

Test(array_faults, slower_pes_make_nothing_faster) {
    static const char *const slow[] = {"0:1", "0:1.000001", "0:1.5", "0:2 7:1.5", "0:8 7:8", "0-11:1000"};
    static const char *const jitter[] = {"0", "0.000001", "0.05", "0.5", "10"};
    expect_rising("faults.slow", slow, COUNT(slow));
    expect_rising("faults.jitter", jitter, COUNT(jitter));
}

Test(array_faults, jitter_is_the_same_everywhere) {
    omni_model *m = array_model("tests/golden/llama-tiny-gqa");
    omni_array *a = faulty("seed-64pe", "none", "none", "0.05"),
               *b = faulty("seed-64pe", "none", "none", "0.05");
    omni_plan *plan = array_plan(m, "megatron", 12);
    omni_price x = array_price(a, plan, pass_at(0)), y = array_price(b, plan, pass_at(0));
    cr_expect(same_price(&x, &y));
    array_set(b, "faults.seed", "2");
    cr_expect_neq(ps_of(b, plan, pass_at(0)), x.ps, "another seed draws the same");
    /* SplitMix64 from 0 begins with e220a8397b1dcdaf (its authors' program), which is what a hash of 0 is
     * here. */
    faults f = {.jitter_ppm = PPM};
    cr_expect_eq(faults_jitter(&f, 0, 0), PPM + (0xe220a839u * (uint64_t)PPM >> 32));
    uint64_t sum = 0, least = UINT64_MAX, most = 0;
    for (size_t pe = 0; pe < 10000; pe++) {
        uint64_t ppm = faults_jitter(&f, faults_step(&f, 7, 1, 3), pe);
        sum += ppm;
        least = ppm < least ? ppm : least;
        most = ppm > most ? ppm : most;
    }
    cr_expect(least >= PPM && least < PPM + PPM / 100 && most < 2 * PPM && most > 2 * PPM - PPM / 100);
    cr_expect(sum / 10000 > PPM + 48 * PPM / 100 && sum / 10000 < PPM + 52 * PPM / 100, "not even: %llu",
              (unsigned long long)(sum / 10000));
    omni_plan_free(plan);
    omni_array_free(b);
    omni_array_free(a);
    omni_model_free(m);
}

/* --- files -------------------------------------------------------------------------------------- */

static void load_with(const char *lines, omni_array **out, char path[32], int *last, omni_error *err) {
    char *text;
    size_t bytes;
    strcpy(path, "/tmp/omnibus-faults-XXXXXX");
    int file = mkstemp(path);
    cr_assert_eq(omni_file_read("configs/arrays/seed-64pe.ini", 8000, "a file", &text, &bytes, err), OMNI_OK);
    cr_assert(file >= 0 && write(file, text, bytes) == (ssize_t)bytes);
    cr_assert_eq(write(file, lines, strlen(lines)), (ssize_t)strlen(lines));
    close(file);
    *last = 0;
    for (const char *c = text; *c; c++) *last += *c == '\n';
    for (const char *c = lines; *c; c++) *last += *c == '\n';
    free(text);
    omni_array_load(path, out, err);
    unlink(path);
}

/* The last line, less `up`, is named. */
static void refused(const char *lines, int up, const char *words) {
    char path[32], want[64];
    int last;
    omni_array *a;
    omni_error err = {0};
    load_with(lines, &a, path, &last, &err);
    snprintf(want, sizeof want, "%s:%d: ", path, last - up);
    cr_expect_null(a, "%s was accepted", lines);
    cr_expect_eq(strncmp(err.text, want, strlen(want)), 0, "'%s' does not begin with '%s'", err.text, want);
    cr_expect_not_null(strstr(err.text, words), "'%s' lacks '%s'", err.text, words);
    cr_expect_null(strchr(err.text, '\n'));
}

Test(array_faults, files_say_which_pes) {
    char path[32];
    int last;
    omni_array *a;
    omni_error err = {0};
    load_with("[faults]\nslow = 3:1.5 7-9:2 ; a comment\njitter = 0.05\nseed = 7\ndead = 5 12-13\n", &a, path,
              &last, &err);
    cr_assert_not_null(a, "%s", err.text);
    cr_expect_eq(omni_array_living(a, 64), 61);
    cr_expect_eq(faults_ppm(&a->faults, 3), 1500000);
    cr_expect_eq(faults_ppm(&a->faults, 5), PPM);
    cr_expect_eq(faults_ppm(&a->faults, 6), 2000000);
    cr_expect_eq(faults_pe(&a->faults, 6), 7);
    cr_expect_eq(faults_pe(&a->faults, 10), 11);
    cr_expect_eq(faults_pe(&a->faults, 11), 14);
    cr_expect_eq(faults_span(&a->faults, 4, 8), 11);
    cr_expect(a->faults.jitter_ppm == 50000 && a->faults.seed == 7);
    omni_array_free(a);
}

Test(array_faults, what_is_wrong_is_refused_by_line) {
    refused("[faults]\nslow = 3\n", 0, "'3' (expected PEs and a factor from 1 to 1000");
    refused("[faults]\nslow = 3:0.5\n", 0, "'3:0.5' (expected");
    refused("[faults]\nslow = 3:1000.1\n", 0, "'3:1000.1' (expected");
    refused("[faults]\nslow = 3:nan\n", 0, "'3:nan' (expected");
    refused("[faults]\nslow = 3:1.\n", 0, "'3:1.' (expected");
    refused("[faults]\nslow = 3:1.0000001\n", 0, "'3:1.0000001' (expected");
    refused("[faults]\nslow = 4:2 9-7:2\n", 0, "'9-7:2' (expected");
    refused("[faults]\nslow = -3:2\n", 0, "'-3:2' (expected");
    refused("[faults]\nslow = 3:2,4:2\n", 0, "'3:2,4:2' (expected");
    refused("[faults]\nslow = 64:2\n", 0, "PE 64 (expected PEs from 0 to 63");
    refused("[faults]\ndead = 5:2\n", 0, "'5:2' (expected PEs, as in 5 12-13");
    refused("[faults]\ndead = 5 60-64\n", 0, "PE 64 (expected PEs from 0 to 63");
    refused("[faults]\ndead = 99999999999999999999\n", 0, "(expected PEs");
    refused("[faults]\ndead = 0-63\n", 0, "all PEs (expected one that lives)");
    refused("[faults]\ndead = 5 4-6\nslow = 3:2\n", 1, "PE 5 is given twice");
    refused("[faults]\nslow = 3-5:2 5:3\njitter = 0\n", 1, "PE 5 is given twice");
    refused("[faults]\nslow = 3-5:2\ndead = 4\n", 0, "PE 4 is given twice");
    refused("[faults]\njitter = -1\n", 0, "'-1' (expected a number from 0 to 10");
    refused("[faults]\njitter = 11\n", 0, "'11' (expected a number");
    refused("[faults]\nseed = 1.5\n", 0, "'1.5' (expected a whole number)");
    refused("[faults]\nseed = 1\nseed = 1\n", 0, "given twice");
    refused("[faults]\nslwo = 1:2\n", 0,
            "unknown key 'slwo' in [faults] (expected slow, dead, jitter or seed)");
}

static void refused_set(omni_array *a, const char *key, const char *value, const char *words) {
    omni_error err = {0};
    cr_expect_eq(omni_array_set(a, key, value, &err), OMNI_BAD_INPUT, "%s=%s was accepted", key, value);
    cr_expect_not_null(strstr(err.text, words), "'%s' lacks '%s'", err.text, words);
}

Test(array_faults, set_is_checked_likewise) {
    char many[400] = "";
    omni_array *a = array_load("seed-64pe");
    refused_set(a, "faults.slow", "3:0", "faults.slow: '3:0'");
    refused_set(a, "faults.dead", "64", "faults.dead: PE 64");
    refused_set(a, "faults.late", "1", "unknown key 'faults.late'");
    array_set(a, "faults.dead", "40-41");
    refused_set(a, "faults.slow", "41:2", "faults.dead: PE 41 is given twice");
    refused_set(a, "array.pes", "16", "faults.dead: PE 41 (expected PEs from 0 to 15");
    array_set(a, "faults.dead", "none");
    cr_expect_not(omni_array_has_faults(a));
    array_set(a, "array.pes", "1000");
    for (size_t i = 0; i < FAULTS_MOST; i++) sprintf(many + strlen(many), "%zu ", 2 * i);
    array_set(a, "faults.dead", many);
    cr_expect_eq(omni_array_living(a, 1000), 1000 - FAULTS_MOST);
    refused_set(a, "faults.dead", strcat(many, "999"), "'999' is too much");
    omni_array_free(a);
}
