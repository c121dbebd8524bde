/* profile.c: where the time of a pass goes.
 *
 *   caller    began ........ gone ........................................ behind `done`
 *   worker                        waking, meter_begin | lap | lap | lap, meter_end, waits
 *             --- host ----  ------ rest -----------    by the steps       ---- wait ---
 *
 * A worker reads the clock once after each step: what has passed since the last reading was that step, less what words
 * made it wait (word.c adds that up). Nothing is between two laps, so the parts sum to the whole. Where events are
 * recorded there are more laps, and what was under way becomes an event: trace.c.
 */
#include "pe/pe.h"

void meter_begin(worker *w) {
    if (!w->engine->o.profile) return;
    w->meter.waited = 0;
    w->meter.began = w->meter.lap = omni_ticks();
    omni_word_meter(&w->meter.waited);
    trace_begin(w);
}

void meter_take(worker *w, pe_spending on) {
    pe_meter *m = &w->meter;
    uint64_t now = omni_ticks();
    m->spent[on] += now - m->lap - m->waited;
    m->spent[PE_WAIT] += m->waited;
    m->waited = 0;
    if (w->trace.open) w->trace.open->end = now;
    w->trace.open = NULL;
    m->lap = now;
}

void meter_end(worker *w) {
    if (!w->engine->o.profile) return;
    meter_take(w, PE_COMPUTE);
    omni_word_meter(NULL);
    trace_end(w);
}

static const pe_spending messages[OMNI_STEP_KINDS] = {
    [OMNI_STEP_HOST_IN] = PE_HOST,   [OMNI_STEP_HOST_OUT] = PE_HOST, [OMNI_STEP_BROADCAST] = PE_BUS,
    [OMNI_STEP_REDUCE] = PE_TREE,    [OMNI_STEP_GATHER] = PE_TREE,   [OMNI_STEP_ALL_GATHER] = PE_BUS,
    [OMNI_STEP_SCATTER] = PE_BUS,    [OMNI_STEP_COLLECT] = PE_BUS,   [OMNI_STEP_HAND_OFF] = PE_BUS,
    [OMNI_STEP_STREAM] = PE_COMPUTE, /* but for what stream.c has taken */
    [OMNI_STEP_KV_SHARE] = PE_BUS,
};

void meter_step(worker *w, const omni_step *s) {
    if (!w->engine->o.profile) return;
    if (w->trace.recording && !omni_step_is_message(s)) return; /* its ranks were, one by one */
    bool idle = w->engine->moves_nothing && s->kind != OMNI_STEP_STREAM;
    meter_take(w, !omni_step_is_message(s) ? PE_COMPUTE : idle ? PE_REST : messages[s->kind]);
}

void profile_pass(omni_engine *e, uint64_t began, uint64_t gone) {
    if (!e->o.profile) return;
    uint64_t now = omni_ticks();
    for (size_t i = 0; i < e->workers; i++) {
        const pe_meter *m = &e->worker[i].meter;
        e->spent[PE_HOST] += gone - began;
        e->spent[PE_REST] += m->began - gone;
        e->spent[PE_WAIT] += now - m->lap;
    }
    trace_pass(e, began, gone, now, e->now);
}

void omni_engine_profile(const omni_engine *e, omni_profile *out) {
    uint64_t sum[PE_SPENDINGS];
    memcpy(sum, e->spent, sizeof sum);
    for (size_t i = 0; i < e->workers; i++)
        for (size_t k = 0; k < PE_SPENDINGS; k++) sum[k] += e->worker[i].meter.spent[k];
    double ns = omni_ticks_ns();
    for (size_t k = 0; k < PE_SPENDINGS; k++) sum[k] = (uint64_t)((double)sum[k] * ns);
    *out = (omni_profile){.compute_ns = sum[PE_COMPUTE],
                          .bus_ns = sum[PE_BUS],
                          .tree_ns = sum[PE_TREE],
                          .host_ns = sum[PE_HOST],
                          .wait_ns = sum[PE_WAIT],
                          .rest_ns = sum[PE_REST]};
}
