/* runner.c: one engine that is timed, for bench and plan --verify.
 *
 * Before the clock starts a test without prompt is under the plan that decodes at its depth. Token ids are a
 * function of (seed, sequence, position), in decode too: what the model would say changes no time, and so no
 * test depends on it.
 */
#include "runner.h"

/* --- opening ---------------------------------------------------------------------------------- */

static omni_status allocate(runner *r, omni_error *err) {
    size_t batch = r->cell.batch;
    bool encoder = r->c->model->shape.encoder;
    r->counts = omni_alloc_array(batch, sizeof *r->counts);
    r->ids = omni_alloc_array(r->max_tokens, sizeof *r->ids);
    r->next = omni_alloc_array(batch, sizeof *r->next);
    if (encoder) r->pooled = omni_alloc_array(batch, r->c->model->shape.hidden * sizeof *r->pooled);
    if (r->counts && r->ids && r->next && (r->pooled || !encoder)) return OMNI_OK;
    return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", batch);
}

static omni_status create_engine(runner *r, size_t positions, omni_error *err) {
    const cli *c = r->c;
    const cli_schedule *d = r->cell.decode;
    size_t *capacity = omni_alloc_array(r->cell.batch, sizeof *capacity);
    if (!capacity) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", r->cell.batch);
    for (size_t i = 0; i < r->cell.batch; i++) capacity[i] = positions;
    omni_engine_options o = {.plan = r->plan,
                             .later = r->later,
                             .later_from = d ? d->from : NULL,
                             .laters = d ? d->count : 0,
                             .resident = r->cell.resident,
                             .workers = r->cell.workers,
                             .sequences = r->cell.batch,
                             .capacity = capacity,
                             .max_tokens = r->max_tokens,
                             .profile = r->profile,
                             .perf = r->perf.wanted};
    omni_status status = cli_create_engine(c, &o, &r->engine, err);
    omni_free(capacity); /* the engine has a copy */
    return status;
}

omni_status runner_open(runner *r, size_t positions, size_t tokens, omni_error *err) {
    const cli *c = r->c;
    omni_status status = omni_plan_compile(c->model, r->cell.plan, r->cell.pes, &r->plan, err);
    if (!status && r->cell.decode)
        status = cli_schedule_compile(c->model, r->cell.decode, r->cell.pes, &r->later, err);
    r->max_tokens = tokens * r->cell.batch; /* 2^24 x 2^16 at most */
    if (!status) status = create_engine(r, positions, err);
    if (!status) status = allocate(r, err);
    if (!status) status = cli_perf_open(&r->perf, r->engine, r->cell.pes, err);
    if (!status) r->cell.workers = omni_engine_workers(r->engine);
    return status;
}

void runner_note(const runner *r, bool *noted) {
    const char *warning = omni_engine_warning(r->engine);
    if (warning && !*noted) cli_note(r->c, "%s", warning);
    *noted |= warning != NULL;
}

void runner_close(runner *r) {
    omni_engine_free(r->engine);
    if (r->cell.decode) cli_schedule_drop(r->cell.decode, r->later);
    omni_plan_free(r->plan);
    omni_free(r->counts);
    omni_free(r->ids);
    omni_free(r->next);
    omni_free(r->pooled);
    cli_perf_free(&r->perf);
}

/* --- passes ----------------------------------------------------------------------------------- */

/* splitmix64's output function (Steele, Lea, Flood 2014) of where the token stands. */
static int32_t id_at(const runner *r, size_t sequence, size_t position) {
    uint64_t z = r->seed + ((uint64_t)sequence << 32 | position) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (int32_t)((z ^ z >> 31) % r->c->model->shape.vocab);
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

omni_status runner_prepare(runner *r, const bench_test *t, omni_error *err) {
    omni_engine_rewind(r->engine, t->depth);
    if (r->position > t->depth) r->position = t->depth;
    omni_status status = use_plan(r, 0, err);
    while (!status && r->position < t->depth) {
        size_t left = t->depth - r->position;
        status = pass(r, left < RUNNER_FILL ? left : RUNNER_FILL, err);
    }
    return status || t->prompt ? status : use_plan(r, omni_engine_due(r->engine), err);
}

omni_status runner_repeat(runner *r, const bench_test *t, size_t gen, uint64_t *transform_ns,
                          omni_error *err) {
    omni_status status = t->prompt ? pass(r, t->prompt, err) : OMNI_OK;
    cli_perf_take(&r->perf, r->engine, CLI_PREFILL);
    for (size_t i = 0; i < gen && !status; i++) {
        size_t due = omni_engine_due(r->engine);
        uint64_t begin = due == r->now ? 0 : omni_clock_ns();
        status = due == r->now ? OMNI_OK : use_plan(r, due, err);
        if (begin) *transform_ns += omni_clock_ns() - begin;
        cli_perf_take(&r->perf, r->engine, CLI_TRANSFORM);
        if (!status) status = pass(r, 1, err);
        cli_perf_take(&r->perf, r->engine, CLI_DECODE);
    }
    return status;
}
