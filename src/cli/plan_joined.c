/* plan_joined.c: the best of two plans, `P then Q`: the fastest prefill, the fastest decode step, and between them the
 * change: keys and values are carried over the bus, and weights, unless PEs hold those of both (--resident).
 * Who needs which message is asked PE by PE for each, so arrays of very many PEs are left out.
 */
#include "plan_price.h"

enum { MOST_JOINED_PES = 256 };

static omni_status price_change(pricing *k, const outcome *o, const omni_candidate *p,
                                const omni_candidate *q, bool weights, omni_price *out, omni_error *err) {
    omni_plan *from = NULL, *to = NULL;
    size_t *length = omni_alloc_array(o->task.batch, sizeof *length);
    omni_status status =
        length ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", o->task.batch);
    for (size_t i = 0; length && i < o->task.batch; i++) length[i] = o->task.prompt;
    if (!status) status = omni_plan_compile(k->c->model, &p->spec, o->ranks, &from, err);
    if (!status) status = omni_plan_compile(k->c->model, &q->spec, o->ranks, &to, err);
    if (!status)
        status = omni_price_change(o->array, from, to, length, o->task.batch, weights, cli_stopped, out, err);
    omni_plan_free(from);
    omni_plan_free(to);
    omni_free(length);
    return status;
}

static void draw(pricing *k, const omni_candidate *p, const omni_candidate *q, const omni_price *change,
                 uint64_t total, uint64_t best_ps, bool weights) {
    char text[32], bytes[32], moves[32];
    omni_text_add(k->page, "\njoined       %s then %s%s: %s, %s", p->spec.name, q->spec.name,
                  weights ? "" : " (weights of both resident)", price_time(text, total),
                  total < best_ps ? "faster than one plan" : "no faster than one plan");
    omni_text_add(
        k->page, " (the change moves %s in %s)",
        omni_format_bytes(bytes, sizeof bytes, change->moved.broadcast_bytes + change->moved.addressed_bytes),
        price_time(moves, change->ps));
}

omni_status joined_price(pricing *k, const outcome *o, const omni_candidate *p, const omni_candidate *q,
                         uint64_t best_ps, json_t **out, omni_error *err) {
    uint64_t phases = p->estimate.prefill.ps + (o->task.gen - 1) * q->estimate.decode.ps;
    *out = json_null();
    if (omni_array_is_host(o->array)) return OMNI_OK; /* a change is not predicted */
    if (p == q || o->task.gen == 1 || o->ranks > MOST_JOINED_PES || phases >= best_ps || p->spec.stream ||
        q->spec.stream)
        return OMNI_OK;
    omni_price change;
    json_t *object = json_object();
    cli_set(&object, "prefill_plan", omni_json_string(p->spec.name));
    cli_set(&object, "decode_plan", omni_json_string(q->spec.name));
    omni_status status = OMNI_OK;
    uint64_t before = 0;
    for (int weights = 1; weights >= 0 && !status; weights--) {
        status = price_change(k, o, p, q, weights, &change, err);
        if (status) break;
        cli_set(&object, weights ? "change_ps" : "change_ps_resident", cli_size(change.ps));
        cli_set(&object, weights ? "total_ps" : "total_ps_resident", cli_size(phases + change.ps));
        if (weights || change.ps != before) draw(k, p, q, &change, phases + change.ps, best_ps, weights);
        before = change.ps;
    }
    omni_text_add(k->page, "\n");
    *out = object;
    return status;
}
