/* bench_price.c: `bench --array`: every test is priced on the modelled array, too: the same passes, at the
 * same positions, under the same plans. Modelled times stand beside wall times, each named, and are never
 * mixed.
 *
 * --plan auto is chosen for each test by itself: what is best for a prompt is not best for what follows it.
 */
#include <string.h>

#include "bench.h"
#include "price.h"

omni_status bench_open_arrays(bench *b, omni_error *err) {
    for (size_t i = 0; i < b->plans; i++) b->automatic = b->automatic || bench_is_automatic(&b->plan[i]);
    if (omni_settings_get(b->c->settings, OMNI_OPT_ARRAY))
        return price_arrays(b->c, &b->array, &b->arrays, err);
    if (!b->automatic && omni_settings_count(b->c->settings, OMNI_OPT_SET) == 0) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "--%s without --array (expected both)",
                          b->automatic ? "plan auto" : "set");
}

/* --- --plan auto ------------------------------------------------------------------------------ */

bool bench_is_automatic(const omni_plan_spec *plan) {
    return strcmp(plan->name, "auto") == 0;
}

/* The positions before a test count as prompt, and so does one where there are none. */
omni_status bench_choose(const bench *b, const bench_test *t, bench_cell *cell, omni_plan_spec *plan,
                         cli_schedule **decode, omni_error *err) {
    size_t before = t->depth + t->prompt, count;
    omni_task task = {.batch = cell->batch, .prompt = before ? before : 1, .gen = t->gen + 1};
    price_choice choice;
    bool may_join = !b->decodes && t->prompt && t->gen;
    omni_status status = price_choose(b->c, b->array[0], cell->pes, task, may_join, &choice, err);
    if (status) return status;
    *plan = choice.plan;
    cell->plan = plan;
    cell->only = t;
    if (!choice.joined) return OMNI_OK;
    cell->resident = choice.resident;
    status = cli_schedules(choice.decode.name, decode, &count, err);
    cell->decode = *decode;
    return status;
}

/* --- a test ----------------------------------------------------------------------------------- */

typedef struct pricer {
    const bench *b;
    const bench_cell *cell;
    const omni_plan *plan;
    const omni_plan *const *later;
    size_t *first, *counts; /* [batch] */
    const omni_plan *now;
    bench_modelled *out;
} pricer;

/* As omni_engine_due: the last plan whose position is reached. */
static const omni_plan *due(const pricer *p, size_t position) {
    const omni_plan *plan = p->plan;
    for (size_t i = 0; p->cell->decode && i < p->cell->decode->count; i++)
        if (p->cell->decode->from[i] <= position) plan = p->later[i];
    return plan;
}

static omni_extent extent(const pricer *p, size_t position, size_t tokens) {
    for (size_t q = 0; q < p->cell->batch; q++) {
        p->first[q] = position;
        p->counts[q] = tokens;
    }
    return (omni_extent){.tokens = p->cell->batch * tokens,
                         .sequences = p->cell->batch,
                         .first = p->first,
                         .counts = p->counts};
}

static omni_status add_pass(const pricer *p, size_t position, size_t tokens, omni_error *err) {
    omni_price price;
    omni_status status = omni_price_pass(p->b->array[0], p->now, extent(p, position, tokens), &price, err);
    p->out->ps += status ? 0 : price.ps;
    p->out->energy_pj += status ? 0 : price.energy_pj;
    return status ? status : cli_stopped(err);
}

static omni_status change_plan(pricer *p, size_t position, omni_error *err) {
    const omni_plan *from = p->now;
    omni_price price;
    p->now = due(p, position);
    if (p->now == from || omni_array_is_host(p->b->array[0])) return OMNI_OK;
    extent(p, position, 1);
    omni_status status = omni_price_change(p->b->array[0], from, p->now, p->first, p->cell->batch,
                                           !p->cell->resident, cli_stopped, &price, err);
    if (status) return status;
    p->out->ps += price.ps;
    p->out->transform_ps += price.ps;
    p->out->energy_pj += price.energy_pj;
    return OMNI_OK;
}

/* Of all plans that the cell has, whether or not the test comes to them: so has the engine. */
static omni_status add_memory(const pricer *p, const bench_test *t, omni_error *err) {
    size_t most = t->prompt ? t->prompt : 1, more = t->prompt + t->gen - most;
    omni_extent pass = extent(p, t->depth, most);
    omni_need *need = &p->out->need;
    omni_status status = omni_price_memory(p->plan, pass, more, need, err);
    for (size_t i = 0; p->cell->decode && i < p->cell->decode->count && !status; i++) {
        omni_need next;
        status = omni_price_memory(p->later[i], pass, more, &next, err);
        *need = omni_need_both(need, &next, p->plan->model->shape.layers, p->cell->resident);
    }
    double memory = omni_array_get(p->b->array[0], "pe.memory_mib") * 1048576;
    p->out->fits = omni_array_is_host(p->b->array[0]) || (double)need->all_bytes <= memory;
    return status;
}

static omni_status price_test(pricer *p, const bench_test *t, omni_error *err) {
    size_t position = t->depth + t->prompt;
    omni_status status = add_memory(p, t, err);
    p->now = t->prompt ? p->plan : due(p, position);
    if (!status && t->prompt) status = add_pass(p, t->depth, t->prompt, err);
    for (size_t i = 0; i < t->gen && !status; i++, position++) {
        status = change_plan(p, position, err);
        if (!status) status = add_pass(p, position, 1, err);
    }
    return status;
}

omni_status bench_price_test(const bench *b, const bench_cell *cell, const bench_test *t,
                             const omni_plan *plan, const omni_plan *const *later, bench_modelled *out,
                             omni_error *err) {
    pricer p = {.b = b, .cell = cell, .plan = plan, .later = later, .out = out};
    *out = (bench_modelled){0};
    if (!b->array) return OMNI_OK;
    p.first = omni_alloc_array(cell->batch, sizeof *p.first);
    p.counts = omni_alloc_array(cell->batch, sizeof *p.counts);
    omni_status status = p.first && p.counts ? price_test(&p, t, err)
                                             : omni_error_set(err, OMNI_RUN_FAILED,
                                                              "no memory for %zu sequences", cell->batch);
    omni_free(p.first);
    omni_free(p.counts);
    return status;
}
