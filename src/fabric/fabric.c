/* fabric.c: create, free, and the public operations, which ask the engine.
 *
 * What is the same for every engine is done here: validation, who carries which rank, leaving at once when
 * there is nothing to move or the stop word is set. The engines are a table, and the table is what the error
 * message and --help read.
 */
#include <stdio.h>
#include <string.h>

#include "base/probe.h"
#include "fabric/engine.h"
#include "fabric/view.h"

static const fabric_engine *const engines[] = {&fabric_shm, &fabric_null};
enum { ENGINES = sizeof engines / sizeof *engines };

enum { DEFAULT_SLOTS = 16, DEFAULT_SLOT_BYTES = 16 * 1024, MOST_SLOTS = 1 << 20 };

static const char *const schedules[FABRIC_SCHEDULES] = {
    [FABRIC_SLICED] = "sliced", [FABRIC_PAIRWISE] = "pairwise"};

const char *omni_fabric_kinds(void) {
    static char text[64];
    size_t used = 0;
    for (size_t i = 0; i < ENGINES && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? ", " : "", engines[i]->kind);
    return text;
}

const char *omni_fabric_schedules(void) {
    static char text[64];
    snprintf(text, sizeof text, "%s, %s", schedules[FABRIC_SLICED], schedules[FABRIC_PAIRWISE]);
    return text;
}

/* FABRIC_SCHEDULES: none of that name. */
static fabric_schedule schedule_find(const char *name) {
    size_t i = 0;
    while (i < FABRIC_SCHEDULES && strcmp(schedules[i], name) != 0) i++;
    return (fabric_schedule)i;
}

bool omni_fabric_schedule_known(const char *schedule) {
    return schedule && schedule_find(schedule) != FABRIC_SCHEDULES;
}

static const fabric_engine *engine_find(const char *kind) {
    for (size_t i = 0; kind && i < ENGINES; i++)
        if (strcmp(engines[i]->kind, kind) == 0) return engines[i];
    return NULL;
}

bool omni_fabric_known(const char *kind) {
    return engine_find(kind) != NULL;
}

static omni_status options_check(const omni_fabric_options *o, omni_error *err) {
    if (!omni_fabric_known(o->kind))
        return omni_error_set(err, OMNI_BAD_INPUT, "fabric: unknown kind '%s' (expected one of: %s)",
                              o->kind ? o->kind : "", omni_fabric_kinds());
    if (o->schedule && !omni_fabric_schedule_known(o->schedule))
        return omni_error_set(err, OMNI_BAD_INPUT, "fabric: unknown schedule '%s' (expected one of: %s)",
                              o->schedule, omni_fabric_schedules());
    if (o->workers == 0 || o->workers > o->pes)
        return omni_error_set(err, OMNI_BAD_INPUT, "fabric: %zu workers for %zu PEs (expected 1 to %zu)",
                              o->workers, o->pes, o->pes);
    for (size_t i = 0; i < o->segment_count; i++) {
        omni_segment s = o->segments[i];
        if (s.count == 0 || s.count > o->pes || s.first > o->pes - s.count)
            return omni_error_set(
                err, OMNI_BAD_INPUT,
                "fabric: segment %zu has %zu ranks from rank %zu on (expected ranks within 0..%zu)", i,
                s.count, s.first, o->pes - 1);
    }
    size_t slots = o->ring_slots;
    if (slots && (slots < 2 || slots > MOST_SLOTS || (slots & (slots - 1))))
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "fabric: %zu ring slots (expected a power of two, 2 to %d)", slots, MOST_SLOTS);
    if (!o->stop) return omni_error_set(err, OMNI_BAD_INPUT, "fabric: no stop word (expected one)");
    return OMNI_OK;
}

/* The parts that every engine has. */
static bool fabric_allocate(omni_fabric *f, const omni_fabric_options *o) {
    f->lines = omni_alloc_array(f->pes + 1, sizeof *f->lines);
    f->segments = omni_alloc_array(f->segment_count, sizeof *f->segments);
    f->carrier = omni_alloc_array(f->workers, sizeof *f->carrier);
    if (!f->lines || !f->segments || !f->carrier) return false;
    for (size_t w = 0; w < f->workers; w++) f->carrier[w] = omni_split(f->pes, f->workers, w).start;
    for (size_t i = 0; i < f->segment_count; i++) f->segments[i] = o->segments[i];
    return true;
}

omni_status omni_fabric_create(const omni_fabric_options *options, omni_fabric **out, omni_error *err) {
    *out = NULL;
    omni_fabric_options o = *options;
    omni_status status = options_check(&o, err);
    if (status != OMNI_OK) return status;
    if (o.ring_slots == 0) o.ring_slots = DEFAULT_SLOTS;
    if (o.slot_bytes == 0) o.slot_bytes = DEFAULT_SLOT_BYTES;
    o.slot_bytes += o.slot_bytes % 2; /* no 16-bit float is cut in two */

    omni_fabric *f = omni_alloc(sizeof *f);
    if (!f) return omni_error_set(err, OMNI_RUN_FAILED, "fabric: out of memory");
    *f = (omni_fabric){.engine = engine_find(o.kind),
                       .pes = o.pes,
                       .workers = o.workers,
                       .segment_count = o.segment_count,
                       .schedule = o.schedule ? schedule_find(o.schedule) : FABRIC_SLICED,
                       .slot_bytes = o.slot_bytes,
                       .wait = o.wait,
                       .stop = o.stop};
    if (!fabric_allocate(f, &o) || !f->engine->create(f, &o)) {
        omni_fabric_free(f);
        return omni_error_set(err, OMNI_RUN_FAILED,
                              "fabric: out of memory (%zu segments with rings of %zu slots of %zu bytes)",
                              o.segment_count, o.ring_slots, o.slot_bytes);
    }
    *out = f;
    return OMNI_OK;
}

void omni_fabric_free(omni_fabric *f) {
    if (!f) return;
    f->engine->free(f);
    omni_free(f->segments);
    omni_free(f->carrier);
    omni_free(f->lines);
    omni_free(f);
}

omni_range fabric_share(const omni_fabric *f, size_t w, size_t segment) {
    omni_range ranks = omni_split(f->pes, f->workers, w);
    omni_segment s = f->segments[segment];
    size_t lo = ranks.start > s.first ? ranks.start : s.first;
    size_t hi = ranks.start + ranks.count, end = s.first + s.count;
    if (hi > end) hi = end;
    return (omni_range){.start = lo - s.first, .count = hi > lo ? hi - lo : 0};
}

static bool running(const omni_fabric *f) {
    return omni_stop_get(f->stop) == OMNI_OK;
}

/* --- workers ---------------------------------------------------------------------------------- */

/* Where a collective begins and ends, a message or a tree. Not inlined: so each probe is at one address. */
typedef struct collective {
    const char *kind;
    size_t bytes;
    const fabric_message *message; /* one of the two */
    const fabric_tree *tree;
} collective;

__attribute__((noinline)) static bool run(omni_fabric *f, size_t w, size_t segment, collective c) {
    OMNI_PROBE3(collective_begin, f->carrier[w], c.kind, c.bytes);
    bool ok =
        c.message ? f->engine->message(f, w, segment, c.message) : f->engine->tree(f, w, segment, c.tree);
    OMNI_PROBE3(collective_end, f->carrier[w], c.kind, c.bytes);
    return ok;
}

/* The payload's size where this worker knows it: at the writer from src, elsewhere from any own view. */
static size_t broadcast_bytes(const omni_fabric *f, size_t w, size_t segment, size_t writer,
                              const omni_view *src, const omni_view *own) {
    omni_range share = fabric_share(f, w, segment);
    bool mine = writer >= share.start && writer - share.start < share.count;
    return mine ? omni_view_bytes(src) : share.count ? omni_view_bytes(own) : 0;
}

bool omni_fabric_broadcast(omni_fabric *f, size_t w, size_t segment, size_t writer, const omni_view *src,
                           const omni_view *own) {
    if (!running(f)) return false;
    fabric_message m = {.writer = writer, .taker = FABRIC_ALL, .src = src, .own = own};
    m.bytes = broadcast_bytes(f, w, segment, writer, src, own);
    return m.bytes == 0 || run(f, w, segment, (collective){"broadcast", m.bytes, &m, NULL});
}

bool omni_fabric_stream(omni_fabric *f, size_t w, size_t segment, size_t writer, const omni_view *src,
                        const omni_view *own, size_t bytes, bool first) {
    if (!running(f)) return false;
    fabric_message m = {
        .writer = writer, .taker = FABRIC_ALL, .src = src, .own = own, .bytes = bytes, .goes_on = !first};
    return bytes == 0 || run(f, w, segment, (collective){"stream", bytes, &m, NULL});
}

bool omni_fabric_send(omni_fabric *f, size_t w, size_t segment, size_t from, size_t to,
                      omni_addressed_kind kind, const omni_view *src, const omni_view *dst, size_t bytes) {
    if (!running(f)) return false;
    fabric_message m = {.writer = from, .taker = to, .src = src, .own = dst, .bytes = bytes, .kind = kind};
    return bytes == 0 || run(f, w, segment, (collective){"addressed", bytes, &m, NULL});
}

bool omni_fabric_reduce(omni_fabric *f, size_t w, size_t segment, void *const *own, const omni_view *form,
                        const omni_fabric_operator *op) {
    if (!running(f)) return false;
    fabric_tree t = {.own = own, .form = form, .bytes = view_memory_bytes(form), .op = op};
    return t.bytes == 0 || f->segments[segment].count == 1 ||
           run(f, w, segment, (collective){"reduce", t.bytes, NULL, &t});
}

bool omni_fabric_gather(omni_fabric *f, size_t w, size_t segment, void *const *own,
                        const omni_sliced *sliced) {
    if (!running(f)) return false;
    size_t p = f->segments[segment].count;
    omni_view all = omni_sliced_view(sliced, NULL, p, 0, p);
    fabric_tree t = {.own = own, .sliced = sliced};
    size_t bytes = omni_view_bytes(&all);
    return p == 1 || bytes == 0 || run(f, w, segment, (collective){"gather", bytes, NULL, &t});
}

bool omni_fabric_host_receive(omni_fabric *f, size_t w, size_t segment, const omni_view *own, size_t bytes) {
    if (!running(f)) return false;
    return bytes == 0 || f->engine->host_receive(f, w, segment, own, bytes);
}

bool omni_fabric_host_return(omni_fabric *f, size_t w, size_t segment, const void *src, size_t bytes) {
    if (!running(f)) return false;
    return bytes == 0 || f->engine->host_return(f, w, segment, src, bytes);
}

/* --- the host port ---------------------------------------------------------------------------- */

bool omni_fabric_host_send(omni_fabric *f, size_t segment, const void *src, size_t bytes) {
    if (!running(f)) return false;
    return bytes == 0 || f->engine->host_send(f, segment, src, bytes);
}

bool omni_fabric_host_await(omni_fabric *f, size_t segment, void *dst, size_t bytes) {
    if (!running(f)) return false;
    return bytes == 0 || f->engine->host_await(f, segment, dst, bytes);
}
