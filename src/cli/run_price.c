/* run_price.c: `run --array`: each pass that was run is priced on the modelled array, too, with the same
 * plan, positions and lengths. Modelled times stand beside wall times and are never added to them. So is each
 * change of plans; but not on this host, where what it takes is not predicted. --pes are the plan's ranks: on
 * an array with dead PEs they are the first so many that live; on one with any faults, the same ranks are
 * priced without faults, too.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "price.h"
#include "run.h"

static omni_task task_of(const run *r) {
    omni_task task = {.batch = r->prompts.count, .gen = r->gen ? r->gen : 1};
    for (size_t i = 0; i < r->prompts.count; i++)
        if (r->prompts.length[i] > task.prompt) task.prompt = r->prompts.length[i];
    return task;
}

/* Dead PEs are missed where all others are asked for. */
static omni_status open_faults(run *r, omni_error *err) {
    modelled *m = &r->modelled;
    const omni_array *a = m->array[0];
    size_t pes = omni_array_pes(a), living = omni_array_living(a, pes);
    if (!omni_array_has_faults(a)) return OMNI_OK;
    if (living < pes && r->pes > living)
        return omni_error_set(err, OMNI_BAD_INPUT, "%zu PEs on %s, where %zu live (expected at most those)",
                              r->pes, omni_array_name(a), living);
    m->healthy = omni_array_healthy(a);
    return m->healthy ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "out of memory");
}

/* --plan auto: a plan, and another one to decode if that is faster and none is given. */
static omni_status choose(run *r, omni_error *err) {
    price_choice choice;
    bool may_join = !r->decode_plan && !r->c->model->shape.encoder;
    omni_status status = price_choose(r->c, r->modelled.array[0], r->pes, task_of(r), may_join, &choice, err);
    if (status) return status;
    r->spec = choice.plan;
    if (!choice.joined) return OMNI_OK;
    r->resident = choice.resident;
    return cli_schedules(choice.decode.name, &r->decode_plan, &r->schedules, err);
}

omni_status modelled_open(run *r, omni_error *err) {
    bool automatic = strcmp(cli_value(r->c, OMNI_OPT_PLAN), "auto") == 0;
    modelled *m = &r->modelled;
    if (!omni_settings_get(r->c->settings, OMNI_OPT_ARRAY)) {
        if (automatic || omni_settings_count(r->c->settings, OMNI_OPT_SET))
            return omni_error_set(err, OMNI_BAD_INPUT, "--%s without --array (expected both)",
                                  automatic ? "plan auto" : "set");
        return OMNI_OK;
    }
    omni_status status = price_arrays(r->c, &m->array, &m->arrays, err);
    if (!status) status = open_faults(r, err);
    if (!status && automatic) status = choose(r, err);
    m->first = status ? NULL : omni_alloc_array(r->prompts.count, sizeof *m->first);
    if (status || m->first) return status;
    return omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", r->prompts.count);
}

static omni_extent pass_of(const run *r, const size_t *counts) {
    omni_extent pass = {.sequences = r->prompts.count, .first = r->modelled.first, .counts = counts};
    for (size_t i = 0; i < pass.sequences; i++) pass.tokens += counts[i];
    return pass;
}

omni_status modelled_start(run *r, omni_error *err) {
    modelled *m = &r->modelled;
    r->now = r->plan;
    if (!m->array) return OMNI_OK;
    omni_extent pass = pass_of(r, r->prompts.length);
    pass.marks = r->encoded.marks;
    pass.mark = r->encoded.mark;
    size_t more = r->gen ? r->gen - 1 : 0;
    omni_status status = omni_price_memory(r->plan, pass, more, &m->need, err);
    for (size_t i = 0; r->decode_plan && i < r->decode_plan->count && !status; i++) {
        omni_need next; /* as if it had the prompts' pass, too: no less than it needs */
        status = omni_price_memory(r->later[i], pass, more, &next, err);
        m->need = omni_need_both(&m->need, &next, r->c->model->shape.layers, r->resident);
    }
    m->fits = (double)m->need.all_bytes <= omni_array_get(m->array[0], "pe.memory_mib") * 1048576;
    return status;
}

omni_status modelled_pass(run *r, bool prefill, omni_error *err) {
    modelled *m = &r->modelled;
    if (!m->array) return OMNI_OK;
    omni_extent pass = pass_of(r, r->counts);
    if (prefill) {
        pass.marks = r->encoded.marks;
        pass.mark = r->encoded.mark;
    }
    omni_price *price = prefill ? &m->prefill : &m->step;
    omni_status status = omni_price_pass(m->array[0], r->now, pass, price, err);
    if (!status && m->healthy) {
        omni_price without;
        status = omni_price_pass(m->healthy, r->now, pass, &without, err);
        m->healthy_ps[prefill ? 0 : 1] += status ? 0 : without.ps;
    }
    for (size_t i = 0; i < r->prompts.count; i++) m->first[i] += r->counts[i];
    if (prefill) return status;
    m->decode_ps += price->ps;
    m->decode_pj += price->energy_pj;
    return status;
}

omni_status modelled_change(run *r, const omni_plan *from, omni_error *err) {
    modelled *m = &r->modelled;
    if (!m->array || omni_array_is_host(m->array[0])) return OMNI_OK;
    omni_status status = omni_price_change(m->array[0], from, r->now, m->first, r->prompts.count,
                                           !r->resident, cli_stopped, &m->change, err);
    m->change_ps += m->change.ps;
    m->change_pj += m->change.energy_pj;
    return status;
}

/* --- report ----------------------------------------------------------------------------------- */

static double rate(size_t tokens, uint64_t ps) {
    return ps ? (double)tokens / ((double)ps * 1e-12) : NAN;
}

void modelled_json(const run *r, json_t **root) {
    const modelled *m = &r->modelled;
    if (!m->array) return;
    json_t *object = json_object();
    cli_set(&object, "array", omni_json_string(omni_array_name(m->array[0])));
    cli_set(&object, "prefill_s", omni_json_number((double)m->prefill.ps * 1e-12));
    bool known = !omni_array_is_host(m->array[0]);
    cli_set(&object, "transform_s", known ? omni_json_number((double)m->change_ps * 1e-12) : json_null());
    cli_set(&object, "decode_s", omni_json_number((double)m->decode_ps * 1e-12));
    cli_set(&object, "prefill_tokens_per_s", omni_json_number(rate(r->prompts.tokens, m->prefill.ps)));
    cli_set(&object, "decode_tokens_per_s", omni_json_number(rate(r->decoded, m->decode_ps)));
    cli_set(&object, "energy_pj", price_energy_json(m->prefill.energy_pj + m->change_pj + m->decode_pj));
    cli_set(&object, "memory", price_need_json(&m->need, m->fits));
    cli_set(&object, "healthy_prefill_s",
            m->healthy ? omni_json_number((double)m->healthy_ps[0] * 1e-12) : json_null());
    cli_set(&object, "healthy_decode_s",
            m->healthy ? omni_json_number((double)m->healthy_ps[1] * 1e-12) : json_null());
    cli_set(&object, "prefill", price_json(&m->prefill, true));
    cli_set(&object, "last_decode_step", m->step.ps ? price_json(&m->step, true) : json_null());
    cli_set(&object, "last_transform", m->change_ps ? price_json(&m->change, false) : json_null());
    cli_set(root, "modelled", object);
}

static void add_phase(omni_table *t, const char *name, size_t tokens, uint64_t ps, uint64_t pj,
                      const omni_price *shares) {
    char text[32];
    omni_table_cell(t, "%s", name);
    omni_table_cell(t, "%zu", tokens);
    omni_table_cell(t, "%s", price_time(text, ps));
    if (ps)
        omni_table_cell(t, "%.1f", rate(tokens, ps));
    else
        omni_table_cell(t, "%s", "");
    omni_table_cell(t, "%s", price_energy(text, pj));
    omni_table_cell(t, "%s", price_share(text, shares->busy_ppm));
    omni_table_cell(t, "%s", price_share(text, shares->computing_ppm));
}

static void draw_loss(const char *name, uint64_t ps, uint64_t healthy_ps, omni_text *page) {
    char text[32], loss[32];
    if (healthy_ps)
        omni_text_add(page, "%s %s (%s)", name, price_time(text, healthy_ps),
                      price_loss(loss, ps, healthy_ps));
}

static void add_change(omni_table *t, const modelled *m) {
    char text[32];
    bool known = !omni_array_is_host(m->array[0]);
    omni_table_cell(t, "transform");
    omni_table_cell(t, "%s", "");
    omni_table_cell(t, "%s", known ? price_time(text, m->change_ps) : "not predicted");
    omni_table_cell(t, "%s", "");
    omni_table_cell(t, "%s", known ? price_energy(text, m->change_pj) : "");
    omni_table_cell(t, "%s", "");
    omni_table_cell(t, "%s", "");
}

void modelled_draw(const run *r, omni_text *page) {
    const modelled *m = &r->modelled;
    char head[160], bytes[32];
    if (!m->array) return;
    snprintf(head, sizeof head, "%s on %.128s", omni_array_is_host(m->array[0]) ? "predicted" : "modelled",
             omni_array_name(m->array[0]));
    omni_table *t = omni_table_create((const char *const[]){head, ">tokens", ">time", ">tokens/s", ">energy",
                                                            price_busy_header(m->array[0]), ">PEs busy"},
                                      7);
    bool encoder = r->c->model->shape.encoder;
    add_phase(t, encoder ? "encode" : "prefill", r->prompts.tokens, m->prefill.ps, m->prefill.energy_pj,
              &m->prefill);
    if (r->decode_plan) add_change(t, m);
    if (!encoder) add_phase(t, "decode", r->decoded, m->decode_ps, m->decode_pj, &m->step);
    omni_table_draw(t, page);
    omni_table_free(t);
    if (m->healthy) {
        draw_loss(encoder ? "without its faults: encode" : "without its faults: prefill", m->prefill.ps,
                  m->healthy_ps[0], page);
        draw_loss(", decode", m->decode_ps, m->healthy_ps[1], page);
        omni_text_add(page, "\n");
    }
    omni_text_add(page, "a modelled PE needs %s of memory%s\n\n",
                  omni_format_bytes(bytes, sizeof bytes, m->need.all_bytes),
                  m->fits ? "" : ", which it has not: the plan does not fit");
}

void modelled_free(run *r) {
    price_arrays_free(r->modelled.array, r->modelled.arrays);
    omni_array_free(r->modelled.healthy);
    omni_free(r->modelled.first);
}
