/* pair.c: `P then Q`: the fastest prefill and the fastest decode step of a search as two plans, joined by the
 * price of the change between them. Keys and values move in any case; weights, unless PEs hold those of both.
 *
 *   moved      layer by layer: what has gone is dropped. A PE holds the larger of the two plans' weights,
 *              keys and values, and one layer more while it moves
 *   resident   the weights of both
 *
 * What a PE needs is put together from the most that any needs of each plan: never too little.
 */
#include "array/array.h"

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* The larger of two, and a layer of either. */
static uint64_t while_moving(uint64_t a, uint64_t b, size_t layers) {
    return sat_add(larger(a, b), ceil_div(larger(a, b), layers));
}

omni_need omni_need_both(const omni_need *p, const omni_need *q, size_t layers, bool resident) {
    omni_need n = {.weight_bytes = resident ? sat_add(p->weight_bytes, q->weight_bytes)
                                            : while_moving(p->weight_bytes, q->weight_bytes, layers),
                   .kv_bytes = while_moving(p->kv_bytes, q->kv_bytes, layers),
                   .activation_bytes = larger(p->activation_bytes, q->activation_bytes)};
    n.all_bytes = sat_add(n.weight_bytes, sat_add(n.kv_bytes, n.activation_bytes));
    return n;
}

static const omni_candidate *fastest(const omni_candidate *found, size_t count, bool decode) {
    const omni_candidate *best = &found[0];
    for (size_t i = 1; i < count; i++) {
        const omni_estimate *a = &found[i].estimate, *b = &best->estimate;
        if (a->fits && (decode ? a->decode.ps < b->decode.ps : a->prefill.ps < b->prefill.ps))
            best = &found[i];
    }
    return best;
}

const omni_candidate *omni_search_first(const omni_candidate *found, size_t count) {
    return fastest(found, count, false);
}

const omni_candidate *omni_search_decode(const omni_candidate *found, size_t count) {
    return fastest(found, count, true);
}

static omni_status price_way(const omni_array *array, const omni_plan *from, const omni_plan *to,
                             omni_task task, const size_t *length, bool resident,
                             omni_status (*stop)(omni_error *), const omni_pair *pair, omni_pair_way *out,
                             omni_error *err) {
    const omni_estimate *p = &pair->prefill->estimate, *q = &pair->decode->estimate;
    machine m;
    omni_status status =
        omni_price_change(array, from, to, length, task.batch, !resident, stop, &out->change, err);
    machine_set(&m, array);
    out->need = omni_need_both(&p->need, &q->need, from->model->shape.layers, resident);
    out->fits = out->need.all_bytes <= m.memory_bytes;
    out->ps = sat_add(sat_add(p->prefill.ps, sat_mul(q->decode.ps, task.gen - 1)), out->change.ps);
    out->energy_pj = sat_add(sat_add(p->prefill.energy_pj, sat_mul(q->decode.energy_pj, task.gen - 1)),
                             out->change.energy_pj);
    return status;
}

/* The way that is faster and fits; and is it faster than one plan that fits. */
static void choose(omni_pair *pair, const omni_candidate *one) {
    const omni_pair_way *moved = &pair->way[OMNI_PAIR_MOVED], *resident = &pair->way[OMNI_PAIR_RESIDENT];
    pair->best =
        resident->fits && (!moved->fits || resident->ps < moved->ps) ? OMNI_PAIR_RESIDENT : OMNI_PAIR_MOVED;
    const omni_pair_way *best = &pair->way[pair->best];
    pair->wins = best->fits && (!one->estimate.fits || best->ps < one->estimate.ps);
}

omni_status omni_search_pair(const omni_array *array, const omni_model *model, size_t pes, omni_task task,
                             const omni_candidate *found, size_t count, omni_status (*stop)(omni_error *),
                             omni_pair *out, omni_error *err) {
    omni_plan *from = NULL, *to = NULL;
    *out = (omni_pair){.prefill = fastest(found, count, false), .decode = fastest(found, count, true)};
    const omni_candidate *p = out->prefill, *q = out->decode;
    uint64_t phases = sat_add(p->estimate.prefill.ps, sat_mul(q->estimate.decode.ps, task.gen - 1));
    out->priced = p != q && task.gen > 1 && pes <= OMNI_PAIR_PES && !omni_array_is_host(array) &&
                  phases < found[0].estimate.ps && !p->spec.stream && !q->spec.stream;
    if (!out->priced) return OMNI_OK;
    size_t *length = omni_alloc_array(task.batch, sizeof *length);
    omni_status status =
        length ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", task.batch);
    for (size_t i = 0; length && i < task.batch; i++) length[i] = task.prompt;
    if (!status) status = omni_plan_compile(model, &p->spec, pes, &from, err);
    if (!status) status = omni_plan_compile(model, &q->spec, pes, &to, err);
    for (int way = 0; way < OMNI_PAIR_WAYS && !status; way++)
        status = price_way(array, from, to, task, length, way == OMNI_PAIR_RESIDENT, stop, out,
                           &out->way[way], err);
    omni_plan_free(from);
    omni_plan_free(to);
    omni_free(length);
    if (!status) choose(out, &found[0]);
    return status;
}
