/* trace.c: what happened when: events of the workers, and the caller's passes.
 *
 *   lap ... lap ... lap ... lap ...     profile.c reads the clock; with events, at the end of each rank's compute step
 *      \qkv/   \qkv/   \reduce/         and of each message; what is under way becomes an event from the last lap to this
 *      PE 0    PE 1    both   \wait/    waits lie within, or between: word.c says when they were
 *
 * A worker writes into an array of its own, which is there before the first pass: no sharing, no allocation,
 * and the caller reads behind `done`, which orders it. Each event is written once, where it stays; what there
 * is no room for goes to one place behind the others. The caller, behind a pass in which that happened, drops
 * it and stops the recording: so what is there is whole passes.
 */
#include <stdlib.h>

#include "pe/pe.h"

/* --- a worker --------------------------------------------------------------------------------- */

bool trace_create(worker *w) {
    const omni_engine *e = w->engine;
    pe_trace *t = &w->trace;
    t->room = omni_split(e->o.trace_events, e->workers, w->index).count;
    if (e->o.trace_events == 0) return true;
    t->event = omni_alloc_array(t->room + 1,
                                sizeof *t->event); /* zeroed: its pages are there, on this worker's node */
    t->recording = t->event != NULL;
    return t->recording;
}

static omni_event *next_event(pe_trace *t) {
    omni_event *event = &t->event[t->count];
    if (t->count < t->room)
        t->count++;
    else
        t->full = true;
    return event;
}

static void note_wait(void *user, uint64_t begin, uint64_t end) {
    worker *w = user;
    *next_event(&w->trace) = (omni_event){.begin = begin,
                                          .end = end,
                                          .step = OMNI_EVENT_ALL,
                                          .rank = (uint32_t)w->ranks.start,
                                          .wave = w->trace.wave % OMNI_EVENT_WAVES,
                                          .kind = OMNI_EVENT_WAIT};
}

void trace_begin(worker *w) {
    if (w->trace.recording) omni_word_watch(note_wait, w);
}

void trace_end(worker *w) {
    if (w->trace.recording) omni_word_watch(NULL, NULL);
}

_Static_assert((size_t)OMNI_MOST_STRIPS <= (size_t)OMNI_EVENT_STRIPS, "an event knows its strip");

/* Of what begins with the last lap. */
static omni_event *open_event(worker *w, const omni_step *s, omni_event_kind kind, size_t rank) {
    omni_event *event = next_event(&w->trace);
    *event = (omni_event){.begin = w->meter.lap,
                          .step = (uint32_t)s->number,
                          .rank = (uint32_t)rank,
                          .to = OMNI_EVENT_ALL,
                          .wave = w->trace.wave % OMNI_EVENT_WAVES,
                          .strip = s->strip % OMNI_EVENT_STRIPS,
                          .kind = (unsigned char)kind};
    return event;
}

void trace_open(worker *w, const omni_step *s, size_t writer, size_t to, uint64_t bytes, bool mine) {
    if (w->trace.open) meter_step(w, s); /* the message before, of the same step */
    if (bytes == 0) return;
    omni_event *event = w->trace.open = open_event(w, s, OMNI_EVENT_MESSAGE, writer);
    event->to = (uint32_t)to;
    event->bytes = mine ? bytes : 0;
}

void trace_rank(worker *w, const omni_step *s, size_t rank) {
    if (s->kind != OMNI_STEP_TAP) /* taps are outside the array */
        w->trace.open = open_event(w, s, OMNI_EVENT_COMPUTE, rank);
    meter_take(w, PE_COMPUTE);
}

uint64_t trace_clock(const worker *w) {
    return w->trace.recording ? omni_ticks() : 0;
}

void trace_move(worker *w, const omni_switch_message *msg, uint64_t bytes, uint64_t begin) {
    if (!omni_range_has(w->ranks, msg->owner)) return;
    *next_event(&w->trace) = (omni_event){.begin = begin,
                                          .end = omni_ticks(),
                                          .bytes = bytes,
                                          .step = (uint32_t)(msg->kv ? msg->layer : msg->weight),
                                          .rank = (uint32_t)msg->owner,
                                          .to = msg->readers == 1 ? (uint32_t)msg->reader : OMNI_EVENT_ALL,
                                          .kind = msg->kv ? OMNI_EVENT_KV : OMNI_EVENT_WEIGHTS};
}

/* --- the caller ------------------------------------------------------------------------------- */

static bool log_reserve(pe_log *l, size_t sequences) {
    if (l->passes < l->capacity) return true;
    size_t wanted = l->capacity ? 2 * l->capacity : 256, lengths;
    if (!omni_size_mul(wanted * sizeof *l->length, sequences, &lengths)) return false;
    omni_pass_record *pass = realloc(l->pass, wanted * sizeof *pass);
    if (pass) l->pass = pass;
    size_t *length = realloc(l->length, lengths);
    if (length) l->length = length;
    if (!pass || !length) return false;
    l->capacity = wanted;
    return true;
}

static bool any_full(const omni_engine *e) {
    for (size_t i = 0; i < e->workers; i++)
        if (e->worker[i].trace.full) return true;
    return false;
}

void trace_pass(omni_engine *e, uint64_t began, uint64_t gone, uint64_t ended, size_t next) {
    pe_log *l = &e->log;
    if (!e->o.trace_events) return;
    if (l->passes < l->all_passes++) return; /* it has ended before */
    if (any_full(e) || !log_reserve(l, e->o.sequences)) {
        for (size_t i = 0; i < e->workers; i++) e->worker[i].trace.recording = false;
        return;
    }
    memcpy(l->length + l->passes * e->o.sequences, e->length, e->o.sequences * sizeof *l->length);
    l->pass[l->passes++] = (omni_pass_record){.began = began,
                                              .gone = gone,
                                              .ended = ended,
                                              .plan = e->now,
                                              .next = next,
                                              .tokens = next == e->now ? e->pass.extent.tokens : 0};
}

void trace_free(omni_engine *e) {
    for (size_t i = 0; e->worker && i < e->workers; i++) omni_free(e->worker[i].trace.event);
    free(e->log.pass);
    free(e->log.length);
}

void omni_engine_recording(const omni_engine *e, omni_recording *out) {
    *out = (omni_recording){.pass = e->log.pass,
                            .length = e->log.length,
                            .passes = e->log.passes,
                            .all_passes = e->log.all_passes,
                            .tick_ns = omni_ticks_ns(),
                            .sequences = e->o.sequences,
                            .workers = e->workers};
}

const omni_event *omni_engine_events(const omni_engine *e, size_t w, size_t *count) {
    *count = e->worker[w].trace.count;
    return e->worker[w].trace.event;
}
