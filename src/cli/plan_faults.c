/* plan_faults.c: what slow, uneven and dead PEs cost. Each plan is priced a second time, on the same array
 * without its faults and on all PEs; and what would be the fastest there is asked what it takes here. So a
 * page says which plan loses least, and whether the faults change the choice.
 */
#include <string.h>

#include "plan_price.h"

typedef struct sound {
    pricing *k;
    const outcome *o;
    omni_array *array; /* without the faults */
} sound;

/* 0: it cannot be built on so many ranks. */
static omni_status price_on(const sound *s, const omni_array *array, const omni_plan_spec *spec, size_t ranks,
                            uint64_t *ps, omni_error *err) {
    omni_plan *plan;
    omni_estimate e;
    omni_error why = {0};
    omni_status status = cli_stopped(err);
    *ps = 0;
    if (status) return status;
    status = omni_plan_compile(s->k->c->model, spec, ranks, &plan, &why);
    if (status == OMNI_BAD_INPUT) return OMNI_OK;
    if (status) return omni_error_set(err, status, "%s", why.text);
    status = omni_estimate_plan(array, plan, s->o->task, &e, err);
    if (!status) *ps = e.ps;
    omni_plan_free(plan);
    return status;
}

/* The fastest without faults: of the plans that were asked for, or of a search there. 0 ps: none can be
 * built. */
static omni_status find_fastest(const sound *s, omni_plan_spec *spec, uint64_t *ps, omni_error *err) {
    omni_candidate *found = NULL;
    size_t count;
    omni_error why = {0};
    *ps = 0;
    omni_status status = omni_search(s->array, s->k->c->model, s->o->pes, s->o->task, s->k->spec, s->k->specs,
                                     cli_stopped, &found, &count, &why);
    if (status) return status == OMNI_BAD_INPUT ? OMNI_OK : omni_error_set(err, status, "%s", why.text);
    *spec = found[0].spec;
    *ps = found[0].estimate.ps;
    omni_free(found);
    return OMNI_OK;
}

static const omni_candidate *least_loss(const pricing *k, const omni_candidate *found, size_t count) {
    const omni_candidate *best = NULL;
    double least = 0;
    for (size_t i = 0; i < count; i++) {
        if (!k->healthy[i] || !found[i].estimate.fits) continue;
        double loss = (double)found[i].estimate.ps / (double)k->healthy[i];
        if (best && loss >= least) continue;
        best = &found[i];
        least = loss;
    }
    return best;
}

static void draw(const sound *s, const omni_candidate *found, const omni_candidate *steady,
                 const omni_plan_spec *fastest, uint64_t healthy_ps, uint64_t here_ps) {
    char text[32], here[32], loss[32];
    omni_text *page = s->k->page;
    if (steady)
        omni_text_add(page, "loses least  %s: %s\n", steady->spec.name,
                      price_loss(text, steady->estimate.ps, s->k->healthy[steady - found]));
    bool same = strcmp(fastest->name, found[0].spec.name) == 0;
    omni_text_add(page, "healthy      %s would be the fastest%s: %s", fastest->name, same ? ", too" : "",
                  price_time(text, healthy_ps));
    if (here_ps)
        omni_text_add(page, "; here it takes %s (%s)\n", price_time(here, here_ps),
                      price_loss(loss, here_ps, healthy_ps));
    else
        omni_text_add(page, "; here it cannot be built\n");
}

static omni_status compare(sound *s, const omni_candidate *found, size_t count, json_t **out,
                           omni_error *err) {
    omni_plan_spec fastest;
    uint64_t healthy_ps = 0, here_ps = 0;
    omni_status status = OMNI_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = price_on(s, s->array, &found[i].spec, s->o->pes, &s->k->healthy[i], err);
    if (!status) status = find_fastest(s, &fastest, &healthy_ps, err);
    if (!status && healthy_ps) status = price_on(s, s->o->array, &fastest, s->o->ranks, &here_ps, err);
    if (status) return status;
    const omni_candidate *steady = least_loss(s->k, found, count);
    if (healthy_ps) draw(s, found, steady, &fastest, healthy_ps, here_ps);
    *out = json_object();
    cli_set(out, "loses_least", steady ? omni_json_string(steady->spec.name) : json_null());
    cli_set(out, "fastest", healthy_ps ? omni_json_string(fastest.name) : json_null());
    cli_set(out, "total_ps", healthy_ps ? cli_size(healthy_ps) : json_null());
    cli_set(out, "total_ps_here", here_ps ? cli_size(here_ps) : json_null());
    return OMNI_OK;
}

omni_status faults_price(pricing *k, const outcome *o, const omni_candidate *found, size_t count,
                         json_t **out, omni_error *err) {
    size_t shown = k->spec || count < OMNI_SEARCH_TRACED ? count : OMNI_SEARCH_TRACED;
    sound s = {k, o, NULL};
    *out = NULL;
    if (!omni_array_has_faults(o->array)) {
        *out = json_null();
        return OMNI_OK;
    }
    s.array = omni_array_healthy(o->array);
    k->healthy = omni_alloc_array(shown, sizeof *k->healthy);
    omni_status status = s.array && k->healthy
                             ? compare(&s, found, shown, out, err)
                             : omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu plans", shown);
    omni_array_free(s.array);
    return status;
}

void faults_cells(const pricing *k, omni_table *t, const omni_candidate *found, size_t i) {
    char text[32];
    omni_table_cell(t, "%s", k->healthy[i] ? price_time(text, k->healthy[i]) : "-");
    omni_table_cell(t, "%s", k->healthy[i] ? price_loss(text, found[i].estimate.ps, k->healthy[i]) : "-");
}

/* Columns of CSV are the same for all arrays: null without faults. */
void faults_set_json(const pricing *k, json_t **object, const omni_candidate *found, size_t i) {
    uint64_t ps = k->healthy ? k->healthy[i] : 0;
    double loss = ps ? (double)found[i].estimate.ps / (double)ps - 1 : 0;
    cli_set(object, "healthy_ps", ps ? cli_size(ps) : json_null());
    cli_set(object, "fault_loss", ps ? omni_json_number(loss) : json_null());
}
