/* plan_verify.c: `omnibus plan --verify`: is the planner's choice the fastest? A task's candidates, priced as
 * wall time on this host, are run.
 *
 *   a task    rounds x candidates, round by round, so that what changes on the machine hits all alike
 *   a visit   engine -> warm-up -> repetitions for LEAST_NS, their median -> freed: one has memory at a time
 *   a plan    the median of its visits, one a round; the least and the most of them are its spread
 *   again     the choice and the fastest in turn, as many rounds: of many alike, the fastest is the luckiest,
 *             too
 *   regret    the choice's time over the fastest's in these rounds, at least none; the choice is the first by
 *             price that fits here
 *
 * Above the noise: slower in every one of at least LEAST_ROUNDS such rounds. What the search leaves out
 * (plans of more than twice the best price, and all but one of equal prices) is not run; --plan all is all.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "omnibus/kernel.h"
#include "plan_verify.h"
#include "runner.h"

enum { MOST_ROUNDS = 1000, LEAST_ROUNDS = 3, LEAST_NS = 50000000, MOST_REPEATED = 64 };

/* --- what was asked for ----------------------------------------------------------------------- */

static omni_status check_hosts(const pricing *k, omni_error *err) {
    for (size_t i = 0; i < k->arrays; i++)
        if (!omni_array_is_host(k->array[i]))
            return omni_error_set(
                err, OMNI_BAD_INPUT,
                "--verify: %s is modelled (expected this host, as omnibus calibrate --out FILE "
                "writes it)",
                omni_array_name(k->array[i]));
    return OMNI_OK;
}

omni_status verify_arrays(pricing *k, omni_error *err) {
    cli *c = k->c;
    omni_error why = {0};
    bool given = omni_settings_get(c->settings, OMNI_OPT_ARRAY);
    omni_status status = cli_number(c, OMNI_OPT_REPS, 1, MOST_ROUNDS, &k->verify.rounds, err);
    if (!status && omni_settings_get(c->settings, OMNI_OPT_TOP))
        status = cli_number(c, OMNI_OPT_TOP, 1, SIZE_MAX, &k->verify.top, err);
    if (!status) status = cli_number(c, OMNI_OPT_SEED, 0, SIZE_MAX, &k->verify.seed, err);
    if (!status && !given)
        status = omni_settings_put(c->settings, OMNI_OPT_ARRAY, "host", OMNI_FROM_COMMAND_LINE, err);
    if (status) return status;
    status = price_arrays(c, &k->array, &k->arrays, &why);
    if (!status) return check_hosts(k, err);
    return omni_error_set(err, status, "%.300s%s", why.text,
                          given ? "" : "; first run omnibus calibrate --out configs/arrays/host.ini");
}

omni_status verify_weights(pricing *k, omni_error *err) {
    cli *c = k->c;
    omni_random_spec *spec = NULL;
    size_t count;
    omni_status status = omni_kernel_init(err);
    if (!status && omni_weights_in_dir(c->operand)) return cli_open_weights(c, err);
    if (!status) status = omni_random_specs(c->model, c->model->dtype, &spec, &count, err);
    if (!status) status = omni_weights_open_random(spec, count, k->verify.seed, &c->weights, err);
    omni_free(spec);
    return status;
}

/* --- running ---------------------------------------------------------------------------------- */

/* Times a warm engine. */
static omni_status time_runner(runner *r, const bench_test *t, double *out, omni_error *err) {
    double ns[MOST_REPEATED], sum = 0;
    uint64_t unused = 0;
    size_t n = 0;
    omni_status status = runner_prepare(r, t, err);
    if (!status) status = runner_repeat(r, t, t->gen > 0, &unused, err);
    while (!status && n < MOST_REPEATED && sum < LEAST_NS) {
        status = runner_prepare(r, t, err);
        uint64_t begin = omni_clock_ns();
        if (!status) status = runner_repeat(r, t, t->gen, &unused, err);
        uint64_t took = omni_clock_ns() - begin;
        sum += ns[n++] = (double)(took ? took : 1);
        if (!status) status = cli_stopped(err);
    }
    *out = omni_median(ns, n);
    return status;
}

/* BAD_INPUT: it cannot be run here. */
static omni_status visit(pricing *k, const outcome *o, const trial *t, double *ns, omni_error *err) {
    bench_test test = {.prompt = o->task.prompt, .gen = o->task.gen - 1};
    runner r = {.c = k->c,
                .cell = {.plan = &t->candidate->spec, .pes = o->pes, .batch = o->task.batch},
                .seed = k->verify.seed};
    omni_status status = runner_open(&r, bench_positions(&test), test.prompt, err);
    if (!status) runner_note(&r, &k->verify.noted);
    if (!status) status = time_runner(&r, &test, ns, err);
    runner_close(&r);
    return status ? status : cli_stopped(err);
}

static void skip(trial *t, const char *why) {
    snprintf(t->skipped, sizeof t->skipped, "%.*s", (int)sizeof t->skipped - 1,
             cli_reason(&t->candidate->spec, why));
}

/* Each round begins with another of them. */
static omni_status run_rounds(pricing *k, const outcome *o, trial *const *who, size_t count, bool again,
                              omni_error *err) {
    omni_status status = OMNI_OK;
    size_t total = k->verify.rounds * count;
    cli_progress bar;
    cli_progress_begin(&bar, k->c, CLI_TIMED_STEPS, "verify", total);
    for (size_t i = 0; i < total && !status; i++) {
        omni_error why = {0};
        trial *t = who[(i + i / count) % count];
        cli_progress_step(&bar, i, t->candidate->spec.name);
        if (t->skipped[0]) continue;
        status = visit(k, o, t, (again ? t->again : t->first).ns + i / count, &why);
        if (status == OMNI_BAD_INPUT && !again) {
            skip(t, why.text);
            status = OMNI_OK;
        }
        if (status) omni_error_set(err, status, "%s", why.text);
    }
    cli_progress_end(&bar);
    return status;
}

static omni_status summarize_timing(timing *t, size_t rounds, omni_error *err) {
    double *sorted = omni_alloc_array(rounds, sizeof *sorted);
    if (!sorted) return omni_error_set(err, OMNI_RUN_FAILED, "plan: no memory for %zu rounds", rounds);
    memcpy(sorted, t->ns, rounds * sizeof *sorted);
    t->median = omni_median(sorted, rounds);
    t->low = sorted[0];
    t->high = sorted[rounds - 1];
    omni_free(sorted);
    return OMNI_OK;
}

/* --- one task --------------------------------------------------------------------------------- */

/* The fastest first, those that were not run last, each in the order of their prices. */
static int by_time(const void *a, const void *b) {
    const trial *x = a, *y = b;
    bool skipped[2] = {x->skipped[0], y->skipped[0]};
    if (skipped[0] != skipped[1]) return skipped[0] ? 1 : -1;
    if (!skipped[0] && x->first.median != y->first.median) return x->first.median < y->first.median ? -1 : 1;
    return x->candidate < y->candidate ? -1 : 1;
}

/* Sorts the list. The choice is the first in the order of prices. */
static verdict choose(trial *list, size_t count) {
    verdict v = {.choice = list, .best = list};
    qsort(list, count, sizeof *list, by_time);
    while (v.run < count && !list[v.run].skipped[0]) v.run++;
    for (size_t i = 1; i < v.run; i++)
        if (list[i].candidate < v.choice->candidate) v.choice = &list[i];
    return v;
}

/* The choice and the fastest alone, if these are two. */
static omni_status run_again(pricing *k, const outcome *o, verdict *v, omni_error *err) {
    size_t rounds = k->verify.rounds;
    if (v->choice == v->best) return OMNI_OK;
    omni_status status = run_rounds(k, o, (trial *const[]){v->choice, v->best}, 2, true, err);
    for (size_t i = 0; !status && i < rounds; i++) v->slower += v->choice->again.ns[i] > v->best->again.ns[i];
    if (!status) status = summarize_timing(&v->choice->again, rounds, err);
    return status ? status : summarize_timing(&v->best->again, rounds, err);
}

/* What the rounds say, in the order of times. */
static omni_status judge(pricing *k, outcome *o, trial *list, size_t count, size_t priced, omni_error *err) {
    size_t rounds = k->verify.rounds;
    omni_status status = OMNI_OK;
    for (size_t i = 0; i < count && !status; i++)
        if (!list[i].skipped[0]) status = summarize_timing(&list[i].first, rounds, err);
    if (status) return status;
    verdict v = choose(list, count);
    if (v.run == 0) {
        omni_text_add(k->page, "skipped: %s: %s\n", list[0].candidate->spec.name, list[0].skipped);
        if (!k->reason[0]) snprintf(k->reason, sizeof k->reason, "%s", list[0].skipped);
        return OMNI_OK;
    }
    status = run_again(k, o, &v, err);
    if (status) return status;
    o->built = true;
    if (v.choice != v.best)
        o->verified.regret = fmax(0, 100 * (v.choice->again.median / v.best->again.median - 1));
    o->verified.error = verify_error(v.choice);
    o->verified.above = rounds >= LEAST_ROUNDS && v.slower == rounds;
    k->built++;
    verify_add(k, o, list, count, &v, priced);
    return OMNI_OK;
}

omni_status verify_task(pricing *k, outcome *o, const omni_candidate *found, size_t count, omni_error *err) {
    size_t tried = k->verify.top && k->verify.top < count ? k->verify.top : count, rounds = k->verify.rounds;
    trial *list = omni_alloc_array(tried, sizeof *list), **who = omni_alloc_array(tried, sizeof *who);
    double *ns = omni_alloc_array(tried, 2 * rounds * sizeof *ns);
    omni_status status = list && who && ns
                             ? OMNI_OK
                             : omni_error_set(err, OMNI_RUN_FAILED, "plan: no memory for %zu plans", tried);
    for (size_t i = 0; !status && i < tried; i++) {
        list[i] = (trial){
            .candidate = &found[i], .first.ns = ns + 2 * i * rounds, .again.ns = ns + (2 * i + 1) * rounds};
        who[i] = &list[i];
    }
    if (!status) status = run_rounds(k, o, who, tried, false, err);
    if (!status) status = judge(k, o, list, tried, count, err);
    omni_free(list);
    omni_free(who);
    omni_free(ns);
    return status;
}
