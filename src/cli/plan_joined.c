/* plan_joined.c: the best of two plans, `P then Q`: the fastest prefill, the fastest decode step, and between them the
 * change: keys and values are carried over the bus, and weights, unless PEs hold those of both (--resident).
 */
#include <stdio.h>

#include "plan_price.h"

static void draw_way(pricing *k, const omni_pair *pair, omni_pair_kind kind, uint64_t best_ps) {
    const omni_pair_way *w = &pair->way[kind];
    char text[32], bytes[32], moves[32];
    omni_text_add(k->page, "\njoined       %s then %s%s: %s, %s", pair->prefill->spec.name,
                  pair->decode->spec.name, kind == OMNI_PAIR_RESIDENT ? " (weights of both resident)" : "",
                  price_time(text, w->ps),
                  !w->fits          ? "but it does not fit"
                  : w->ps < best_ps ? "faster than one plan"
                                    : "no faster than one plan");
    uint64_t moved = w->change.moved.broadcast_bytes + w->change.moved.addressed_bytes;
    if (moved)
        omni_text_add(k->page, " (the change moves %s in %s", omni_format_bytes(bytes, sizeof bytes, moved),
                      price_time(moves, w->change.ps));
    else
        omni_text_add(k->page, " (nothing moves for the change");
    omni_text_add(k->page, "; a PE needs %s)", omni_format_bytes(bytes, sizeof bytes, w->need.all_bytes));
}

static json_t *pair_json(const omni_pair *pair) {
    static const char *const suffix[OMNI_PAIR_WAYS] = {"", "_resident"};
    json_t *object = json_object();
    cli_set(&object, "prefill_plan", omni_json_string(pair->prefill->spec.name));
    cli_set(&object, "decode_plan", omni_json_string(pair->decode->spec.name));
    cli_set(&object, "wins", json_boolean(pair->wins));
    for (size_t i = 0; i < OMNI_PAIR_WAYS; i++) {
        const omni_pair_way *w = &pair->way[i];
        char key[64];
        snprintf(key, sizeof key, "change_ps%s", suffix[i]);
        cli_set(&object, key, cli_size(w->change.ps));
        snprintf(key, sizeof key, "total_ps%s", suffix[i]);
        cli_set(&object, key, cli_size(w->ps));
        snprintf(key, sizeof key, "energy_pj%s", suffix[i]);
        cli_set(&object, key, price_energy_json(w->energy_pj));
        snprintf(key, sizeof key, "memory%s", suffix[i]);
        cli_set(&object, key, price_need_json(&w->need, w->fits));
    }
    return object;
}

omni_status joined_price(pricing *k, const outcome *o, const omni_candidate *found, size_t count,
                         json_t **out, omni_error *err) {
    omni_pair pair;
    uint64_t best_ps = found[0].estimate.ps;
    *out = json_null();
    omni_status status =
        omni_search_pair(o->array, k->c->model, o->ranks, o->task, found, count, cli_stopped, &pair, err);
    if (status || !pair.priced) return status;
    draw_way(k, &pair, OMNI_PAIR_MOVED, best_ps);
    if (pair.way[OMNI_PAIR_RESIDENT].change.ps != pair.way[OMNI_PAIR_MOVED].change.ps)
        draw_way(k, &pair, OMNI_PAIR_RESIDENT, best_ps);
    omni_text_add(k->page, "\n");
    *out = pair_json(&pair);
    return OMNI_OK;
}
