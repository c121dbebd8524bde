/* estimate.c: a whole generation: its prefill, one decode step in the middle, and what follows from the two.
 * A decode step grows by the keys of one position; the middle one stands for all of them, and a report says
 * which one it was.
 */
#include <math.h>

#include "array/array.h"

/* The batch's extent: the prefill, or the decode step at a position. */
static omni_extent extent_of(const omni_model *model, omni_task task, size_t position, size_t *first,
                             size_t *counts) {
    for (size_t i = 0; i < task.batch; i++) {
        first[i] = position;
        counts[i] = position ? 1 : task.prompt;
    }
    return (omni_extent){.tokens = task.batch * (position ? 1 : task.prompt),
                         .sequences = task.batch,
                         .marks = model->heads & OMNI_HEAD_MLM ? task.batch : 0,
                         .first = first,
                         .counts = counts};
}

static price_limit less(price_limit limit, const omni_price *spent, size_t times) {
    uint64_t ps = sat_mul(spent->ps, times), pj = sat_mul(spent->energy_pj, times);
    return (price_limit){limit.ps > ps ? limit.ps - ps : 0, limit.pj > pj ? limit.pj - pj : 0};
}

/* A pass of which there are `times`. What has no limit keeps none. */
static price_limit each(price_limit limit, size_t times) {
    return (price_limit){limit.ps == UINT64_MAX ? limit.ps : limit.ps / times + 1,
                         limit.pj == UINT64_MAX ? limit.pj : limit.pj / times + 1};
}

/* The decode step first: where there is a limit, it is the cheaper way to be beyond it. */
static omni_status price_passes(const omni_array *array, const omni_plan *plan, omni_task task,
                                const price_judge *judge, bool traced, size_t *first, size_t *counts,
                                omni_estimate *out, bool *left, omni_error *err) {
    size_t steps = task.gen - 1;
    omni_extent pass = extent_of(plan->model, task, 0, first, counts);
    omni_status status = omni_price_memory(plan, pass, steps, &out->need, err);
    if (status) return status;
    price_limit limit = judge ? judge->limit_of(judge->who, &out->need) : no_limit;
    if (steps) {
        out->position = task.prompt + (steps - 1) / 2;
        pass = extent_of(plan->model, task, out->position, first, counts);
        status = price_pass(array, plan, pass, each(limit, steps), traced, &out->decode, left, err);
    }
    if (status || *left) return status;
    if (limit.ps != UINT64_MAX && limit.pj != UINT64_MAX) limit = less(limit, &out->decode, steps);
    pass = extent_of(plan->model, task, 0, first, counts);
    return price_pass(array, plan, pass, limit, traced, &out->prefill, left, err);
}

omni_status estimate_plan(const omni_array *array, const omni_plan *plan, omni_task task,
                          const price_judge *judge, bool traced, omni_estimate *out, bool *left,
                          omni_error *err) {
    machine m;
    size_t *first = omni_alloc_array(task.batch, sizeof *first);
    size_t *counts = omni_alloc_array(task.batch, sizeof *counts);
    *out = (omni_estimate){0};
    *left = false;
    omni_status status =
        first && counts ? price_passes(array, plan, task, judge, traced, first, counts, out, left, err)
                        : omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", task.batch);
    machine_set(&m, array);
    out->ps = sat_add(out->prefill.ps, sat_mul(out->decode.ps, task.gen - 1));
    out->energy_pj = sat_add(out->prefill.energy_pj, sat_mul(out->decode.energy_pj, task.gen - 1));
    out->fits = out->need.all_bytes <= m.memory_bytes;
    omni_free(first);
    omni_free(counts);
    return status;
}

omni_status omni_estimate_plan(const omni_array *array, const omni_plan *plan, omni_task task,
                               omni_estimate *out, omni_error *err) {
    bool left;
    return estimate_plan(array, plan, task, NULL, true, out, &left, err);
}

double omni_estimate_tokens_per_s(const omni_estimate *e, omni_task task) {
    double tokens = (double)task.batch * (double)task.gen;
    return e->ps ? tokens / ((double)e->ps * 1e-12) : INFINITY;
}

/* --- where time goes -------------------------------------------------------------------------- */

static uint64_t spent_in(const omni_price *p, const omni_price_row *like) {
    for (size_t i = 0; i < p->rows; i++)
        if (p->row[i].kind == like->kind && strcmp(p->row[i].op, like->op) == 0) return p->row[i].ps;
    return 0;
}

static uint64_t spent(const omni_estimate *e, const omni_price_row *like, size_t steps) {
    return sat_add(spent_in(&e->prefill, like), sat_mul(spent_in(&e->decode, like), steps));
}

omni_price_row omni_estimate_worst(const omni_estimate *a, const omni_estimate *b, omni_task task) {
    omni_price_row worst = {0};
    const omni_price *phase[] = {&b->prefill, &b->decode};
    for (size_t i = 0; i < 2; i++)
        for (size_t r = 0; r < phase[i]->rows; r++) {
            const omni_price_row *row = &phase[i]->row[r];
            uint64_t mine = spent(b, row, task.gen - 1), other = spent(a, row, task.gen - 1);
            if (mine > other && mine - other > worst.ps)
                worst = (omni_price_row){row->op, row->kind, mine - other};
        }
    return worst;
}
