/* bench_cell.c: one engine and its tests.
 *
 *   once      plan(s) -> engine with room for the longest test; threads, arenas and packed weights serve all of them
 *   a test    [caches filled up to the depth]  warm-up  limit  --reps times: back to the depth, and the clock runs over
 *             the prompt's pass, the passes of one token, and changes of plans between them;  limit
 *
 * Before the clock starts a test without prompt is under the plan that decodes at its depth. Token ids are a function of
 * (seed, sequence, position), in decode too: what the model would say changes no time, and so no test depends on it.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

enum { FILL = 512 }; /* tokens of a sequence in a pass that fills the caches */

typedef struct runner {
    bench *b;
    bench_cell cell;
    omni_plan *plan;
    const omni_plan **later; /* of the decode plan */
    omni_engine *engine;
    size_t now;      /* the plan in use: 0, or 1, 2, ... of `later` */
    size_t position; /* every sequence's */
    size_t max_tokens;
    size_t *counts; /* [batch] */
    int32_t *ids;   /* [max_tokens] */
    int32_t *next;  /* [batch] */
    float *pooled;  /* [batch, hidden]; NULL: no encoder */
} runner;

/* --- opening ---------------------------------------------------------------------------------- */

static bool fits(const runner *r, const bench_test *t) {
    return bench_positions(t) <= r->b->c->model->shape.positions;
}

/* Most positions that a sequence reaches in a test that fits, and most tokens of one in a pass. */
static void most_of(const runner *r, size_t *positions, size_t *tokens) {
    *positions = *tokens = 1;
    for (size_t i = 0; i < r->b->tests; i++) {
        const bench_test *t = &r->b->test[i];
        size_t fill = t->depth < FILL ? t->depth : FILL, most = t->prompt > fill ? t->prompt : fill;
        if (!fits(r, t)) continue;
        if (bench_positions(t) > *positions) *positions = bench_positions(t);
        if (most > *tokens) *tokens = most;
    }
}

static omni_status allocate(runner *r, omni_error *err) {
    size_t batch = r->cell.batch;
    bool encoder = r->b->c->model->shape.encoder;
    r->counts = omni_alloc_array(batch, sizeof *r->counts);
    r->ids = omni_alloc_array(r->max_tokens, sizeof *r->ids);
    r->next = omni_alloc_array(batch, sizeof *r->next);
    if (encoder) r->pooled = omni_alloc_array(batch, r->b->c->model->shape.hidden * sizeof *r->pooled);
    if (r->counts && r->ids && r->next && (r->pooled || !encoder)) return OMNI_OK;
    return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", batch);
}

static omni_status create_engine(runner *r, size_t positions, omni_error *err) {
    const cli *c = r->b->c;
    const cli_schedule *d = r->cell.decode;
    size_t *capacity = omni_alloc_array(r->cell.batch, sizeof *capacity);
    if (!capacity) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", r->cell.batch);
    for (size_t i = 0; i < r->cell.batch; i++) capacity[i] = positions;
    omni_engine_options o = {.model = c->model,
                             .weights = c->weights,
                             .plan = r->plan,
                             .later = r->later,
                             .later_from = d ? d->from : NULL,
                             .laters = d ? d->count : 0,
                             .resident = omni_settings_flag(c->settings, OMNI_OPT_RESIDENT),
                             .compute = c->compute,
                             .topo = c->topo,
                             .workers = r->cell.workers,
                             .fabric = cli_value(c, OMNI_OPT_FABRIC),
                             .schedule = cli_value(c, OMNI_OPT_SCHEDULE),
                             .sequences = r->cell.batch,
                             .capacity = capacity,
                             .max_tokens = r->max_tokens,
                             .profile = true,
                             .stop = &cli_stop};
    omni_status status = omni_engine_create(&o, &r->engine, err);
    omni_free(capacity); /* the engine has a copy */
    return status;
}

static omni_status open_runner(runner *r, omni_error *err) {
    size_t positions;
    omni_status status = omni_plan_compile(r->b->c->model, r->cell.plan, r->cell.pes, &r->plan, err);
    if (!status && r->cell.decode)
        status = cli_schedule_compile(r->b->c->model, r->cell.decode, r->cell.pes, &r->later, err);
    most_of(r, &positions, &r->max_tokens);
    r->max_tokens *= r->cell.batch; /* 2^24 x 2^16 at most */
    if (!status) status = create_engine(r, positions, err);
    if (!status) status = allocate(r, err);
    if (status) return status;
    r->cell.workers = omni_engine_workers(r->engine);
    if (omni_engine_warning(r->engine) && !r->b->warned)
        cli_note(r->b->c, "%s", omni_engine_warning(r->engine));
    r->b->warned |= omni_engine_warning(r->engine) != NULL;
    return OMNI_OK;
}

static void close_runner(runner *r) {
    omni_engine_free(r->engine);
    if (r->cell.decode) cli_schedule_drop(r->cell.decode, r->later);
    omni_plan_free(r->plan);
    omni_free(r->counts);
    omni_free(r->ids);
    omni_free(r->next);
    omni_free(r->pooled);
}

/* --- passes ----------------------------------------------------------------------------------- */

/* splitmix64's output function (Steele, Lea, Flood 2014) of where the token stands. */
static int32_t id_at(const runner *r, size_t sequence, size_t position) {
    uint64_t z = r->b->seed + ((uint64_t)sequence << 32 | position) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (int32_t)((z ^ z >> 31) % r->b->c->model->shape.vocab);
}

/* The next `tokens` of every sequence. */
static omni_status pass(runner *r, size_t tokens, omni_error *err) {
    for (size_t q = 0; q < r->cell.batch; q++) {
        r->counts[q] = tokens;
        for (size_t i = 0; i < tokens; i++) r->ids[q * tokens + i] = id_at(r, q, r->position + i);
    }
    r->position += tokens;
    omni_encode io = {.ids = r->ids, .counts = r->counts, .pooled = r->pooled, .predicted = r->next};
    return r->pooled ? omni_engine_encode(r->engine, &io, err)
                     : omni_engine_forward(r->engine, r->ids, r->counts, r->next, err);
}

static omni_status use_plan(runner *r, size_t plan, omni_error *err) {
    r->now = plan;
    return omni_engine_switch(r->engine, plan, err);
}

/* Every sequence has `depth` positions, under the plan that a test begins with. Not timed. */
static omni_status prepare(runner *r, const bench_test *t, omni_error *err) {
    omni_engine_rewind(r->engine, t->depth);
    if (r->position > t->depth) r->position = t->depth;
    omni_status status = use_plan(r, 0, err);
    while (!status && r->position < t->depth) {
        size_t left = t->depth - r->position;
        status = pass(r, left < FILL ? left : FILL, err);
    }
    return status || t->prompt ? status : use_plan(r, omni_engine_due(r->engine), err);
}

/* --- a test ----------------------------------------------------------------------------------- */

/* The prompt's pass and `gen` passes of one token; *transform_ns grows by what changes of plans took. */
static omni_status repeat(runner *r, const bench_test *t, size_t gen, uint64_t *transform_ns,
                          omni_error *err) {
    omni_status status = t->prompt ? pass(r, t->prompt, err) : OMNI_OK;
    for (size_t i = 0; i < gen && !status; i++) {
        size_t due = omni_engine_due(r->engine);
        uint64_t begin = due == r->now ? 0 : omni_clock_ns();
        status = due == r->now ? OMNI_OK : use_plan(r, due, err);
        if (begin) *transform_ns += omni_clock_ns() - begin;
        if (!status) status = pass(r, 1, err);
    }
    return status;
}

static omni_profile profile_between(const omni_profile *a, const omni_profile *b) {
    return (omni_profile){.compute_ns = b->compute_ns - a->compute_ns,
                          .bus_ns = b->bus_ns - a->bus_ns,
                          .tree_ns = b->tree_ns - a->tree_ns,
                          .host_ns = b->host_ns - a->host_ns,
                          .wait_ns = b->wait_ns - a->wait_ns,
                          .rest_ns = b->rest_ns - a->rest_ns};
}

static void add_profile(omni_profile *sum, const omni_profile *p) {
    sum->compute_ns += p->compute_ns;
    sum->bus_ns += p->bus_ns;
    sum->tree_ns += p->tree_ns;
    sum->host_ns += p->host_ns;
    sum->wait_ns += p->wait_ns;
    sum->rest_ns += p->rest_ns;
}

/* One that counts: repetition i. Counters are the same each time. */
static omni_status measure(runner *r, const bench_test *t, size_t i, bench_result *out, omni_error *err) {
    omni_counters moved[2], changed[2];
    omni_profile spent[2];
    uint64_t transform_ns = 0;
    omni_status status = prepare(r, t, err);
    if (status) return status;
    omni_engine_counters(r->engine, &moved[0]);
    omni_engine_switch_counters(r->engine, &changed[0]);
    omni_engine_profile(r->engine, &spent[0]);
    uint64_t begin = omni_clock_ns();
    status = repeat(r, t, t->gen, &transform_ns, err);
    uint64_t ns = omni_clock_ns() - begin;
    if (status) return status;
    omni_engine_counters(r->engine, &moved[1]);
    omni_engine_switch_counters(r->engine, &changed[1]);
    omni_engine_profile(r->engine, &spent[1]);
    out->ns[i] = (double)(ns ? ns : 1);
    out->ts[i] = (double)(r->cell.batch * (t->prompt + t->gen)) * 1e9 / out->ns[i];
    out->transform_ns += (double)transform_ns / (double)r->b->reps;
    out->fabric = omni_counters_between(&moved[0], &moved[1]);
    out->transform = omni_counters_between(&changed[0], &changed[1]);
    omni_profile one = profile_between(&spent[0], &spent[1]);
    add_profile(&out->profile, &one);
    return cli_stopped(err);
}

/* Weights that a pass reads under the plan in use: those of every group that has tokens in it. */
static double weight_bytes(const runner *r, size_t tokens) {
    const omni_plan *plan = r->now ? r->later[r->now - 1] : r->plan;
    size_t groups = plan->mesh.groups, parts = plan->spec.over_tokens ? tokens : r->cell.batch;
    double sum = 0;
    for (size_t i = 0; i < r->cell.pes; i++) {
        omni_memory m;
        omni_engine_memory(r->engine, i, &m);
        sum += (double)m.weight_bytes;
    }
    if (plan->spec.stream || parts >= groups) return sum;
    return sum * (double)parts / (double)groups;
}

static omni_status run_test(runner *r, const bench_test *t, bench_result *out, omni_error *err) {
    uint64_t unused = 0;
    omni_status status = prepare(r, t, err);
    double prompt_bytes = status ? 0 : weight_bytes(r, r->cell.batch * t->prompt);
    if (!status) status = repeat(r, t, t->gen > 0, &unused, err); /* now under the plan that decodes */
    if (status) return status;
    out->work = bench_work_of(r->b, &r->cell, t, prompt_bytes, weight_bytes(r, r->cell.batch));
    bench_work_measure(r->b, &r->cell, &out->work);
    for (size_t i = 0; i < r->b->reps && !status; i++) status = measure(r, t, i, out, err);
    bench_work_measure(r->b, &r->cell, &out->work);
    return status;
}

/* --- a cell ----------------------------------------------------------------------------------- */

static omni_status take_test(runner *r, const bench_test *t, const char *skipped, omni_error *err) {
    bench *b = r->b;
    bench_result out = {.ns = omni_alloc_array(b->reps, sizeof *out.ns),
                        .ts = omni_alloc_array(b->reps, sizeof *out.ts)};
    omni_status status = OMNI_OK;
    char what[400];
    snprintf(what, sizeof what, "%s, %zu PE%s, %s", r->cell.plan->name, r->cell.pes,
             r->cell.pes == 1 ? "" : "s", t->name);
    cli_progress_step(&b->bar, b->measured + b->skipped, what);
    snprintf(out.skipped, sizeof out.skipped, "%s", skipped);
    if (!*skipped && !fits(r, t))
        snprintf(out.skipped, sizeof out.skipped, "%zu positions (the model has %zu)", bench_positions(t),
                 b->c->model->shape.positions);
    if (!out.ns || !out.ts)
        status = omni_error_set(err, OMNI_RUN_FAILED, "bench: no memory for %zu repetitions", b->reps);
    if (!status && !out.skipped[0]) status = run_test(r, t, &out, err);
    if (!status) status = bench_report_test(b, &r->cell, t, &out, err);
    omni_free(out.ns);
    omni_free(out.ts);
    return status;
}

/* No engine for tests none of which fits. */
static bool any_fits(const runner *r) {
    for (size_t i = 0; i < r->b->tests; i++)
        if (fits(r, &r->b->test[i])) return true;
    return false;
}

omni_status bench_run_cell(bench *b, bench_cell cell, omni_error *err) {
    runner r = {.b = b, .cell = cell};
    omni_error why = {0};
    char skipped[400] = "";
    omni_status status = any_fits(&r) ? open_runner(&r, &why) : OMNI_OK;
    if (status == OMNI_BAD_INPUT) {
        snprintf(skipped, sizeof skipped, "%.*s", (int)sizeof skipped - 1, cli_reason(cell.plan, why.text));
        status = OMNI_OK;
    } else if (status) {
        omni_error_set(err, status, "plan '%s' on %zu PEs: %s", cell.plan->name, cell.pes, why.text);
    }
    for (size_t i = 0; i < b->tests && !status; i++) status = take_test(&r, &b->test[i], skipped, err);
    close_runner(&r);
    return status;
}
