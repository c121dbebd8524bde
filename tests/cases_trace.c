/* cases_trace.c: a run as a timeline: the file is what the Trace Event Format says, its slices nest on tracks
 * that have names, its bytes are the counters' and the plan's, every rank's compute step is there once, or
 * once a strip; asking changes no result; where there is no room it ends after a whole pass and says so; and
 * the modelled process ends when the price does.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cases_flow.h"
#include "omnibus/trace.h"

enum { TOKENS = 9, STEPS = 3, SEQUENCES = 3, TRACKS = 512, DEPTH = 4, NAME = 96 };

typedef struct traced {
    int32_t token[STEPS][SEQUENCES];
    omni_counters moved;
    size_t passes, all_passes;
    uint64_t ps;
    char path[64];
} traced;

/* --- a run ------------------------------------------------------------------------------------ */

static const char *forward(flow *f, omni_engine *e, size_t count, const int32_t *ids, int32_t *next) {
    size_t counts[SEQUENCES] = {count, count, count};
    return omni_engine_forward(e, ids, counts, next, &f->err) ? verdict("%s", f->err.text) : NULL;
}

static omni_extent pass_at(size_t i) {
    static size_t first[SEQUENCES], counts[SEQUENCES];
    for (size_t q = 0; q < SEQUENCES; q++) {
        first[q] = i ? TOKENS + i - 1 : 0;
        counts[q] = i ? 1 : TOKENS;
    }
    return (omni_extent){
        .tokens = SEQUENCES * counts[0], .sequences = SEQUENCES, .first = first, .counts = counts};
}

static const char *draw(flow *f, omni_engine *e, const omni_array *array, traced *out) {
    omni_trace *t;
    int fd;
    snprintf(out->path, sizeof out->path, "/tmp/omnibus-trace-XXXXXX");
    if ((fd = mkstemp(out->path)) < 0) return "no temporary file";
    close(fd);
    if (omni_trace_open(out->path, 1000000, &t, &f->err)) return verdict("%s", f->err.text);
    omni_status st = omni_trace_wall(t, e, (const omni_plan *[]){f->plan}, &f->err);
    for (size_t i = 0; i < STEPS && array && !st; i++) {
        omni_price price;
        st = omni_trace_modelled(t, array, f->plan, pass_at(i), i ? "decode" : "prefill", &f->err);
        if (!st) st = omni_price_pass(array, f->plan, pass_at(i), &price, &f->err);
        out->ps += st ? 0 : price.ps;
    }
    if (st)
        omni_trace_drop(t);
    else
        st = omni_trace_close(t, json_object(), &f->err);
    return st ? verdict("%s", f->err.text) : NULL;
}

static const char *run(flow *f, size_t events, const omni_array *array, traced *out) {
    size_t capacity[SEQUENCES] = {TOKENS + STEPS, TOKENS + STEPS, TOKENS + STEPS};
    int32_t ids[SEQUENCES * TOKENS];
    omni_engine *e;
    omni_recording of;
    omni_engine_options o = flow_options(f);
    o.sequences = SEQUENCES;
    o.capacity = capacity;
    o.max_tokens = SEQUENCES * TOKENS;
    o.workers = f->plan->mesh.pes > 1 ? 2 : 1;
    o.trace_events = events;
    *out = (traced){0};
    for (size_t i = 0; i < COUNT(ids); i++) ids[i] = (int32_t)(i * 31 % f->model->shape.vocab);
    if (omni_engine_create(&o, &e, &f->err)) return verdict("%s", f->err.text);
    const char *bad = forward(f, e, TOKENS, ids, out->token[0]);
    for (size_t i = 1; i < STEPS && !bad; i++) bad = forward(f, e, 1, out->token[i - 1], out->token[i]);
    omni_engine_counters(e, &out->moved);
    omni_engine_recording(e, &of);
    out->passes = of.passes;
    out->all_passes = of.all_passes;
    if (!bad && events) bad = draw(f, e, array, out);
    omni_engine_free(e);
    return bad;
}

/* --- what is in the file ---------------------------------------------------------------------- */

/* Times in nanoseconds, as Perfetto reads them. */
typedef struct track {
    json_int_t process, id;
    char name[NAME];
    size_t slices;
    int64_t open[DEPTH]; /* ends of the slices that are open */
    size_t depth;
    int64_t last;
} track;

typedef struct found {
    track track[TRACKS];
    size_t tracks, computed;
    size_t strips[OMNI_MOST_STRIPS]; /* of that, in steps that are cut into some */
    uint64_t bytes[3];               /* bus, tree, host: wall time */
    uint64_t counted;                /* bus and tree, as the counter says at last */
    uint64_t modelled;               /* bus and tree */
    int64_t end[2];                  /* of the last slice: wall, modelled */
    int64_t passes_end[2];           /* of the last pass */
} found;

static track *track_of(found *f, json_t *event) {
    json_int_t process = json_integer_value(json_object_get(event, "pid")),
               id = json_integer_value(json_object_get(event, "tid"));
    for (size_t i = 0; i < f->tracks; i++)
        if (f->track[i].process == process && f->track[i].id == id) return &f->track[i];
    if (f->tracks == TRACKS) return NULL;
    f->track[f->tracks] = (track){.process = process, .id = id};
    return &f->track[f->tracks++];
}

/* Perfetto rounds begin and duration each for itself, and takes a slice that then reaches into the next one for
 * an error. */
static int64_t ns_of(json_t *event, const char *key) {
    return (int64_t)llround(json_number_value(json_object_get(event, key)) * 1000);
}

static bool nests(track *t, int64_t begin, int64_t end) {
    if (begin < t->last || end < begin) return false;
    t->last = begin;
    t->slices++;
    while (t->depth && t->open[t->depth - 1] <= begin) t->depth--;
    if (t->depth && end > t->open[t->depth - 1]) return false;
    if (t->depth == DEPTH) return false;
    t->open[t->depth++] = end;
    return true;
}

static void count_slice(found *f, json_t *event, bool wall, int64_t end) {
    static const char *const kinds[] = {"bus", "tree", "host"};
    const char *category = json_string_value(json_object_get(event, "cat"));
    json_t *args = json_object_get(event, "args"), *strip = json_object_get(args, "strip");
    uint64_t bytes = (uint64_t)json_integer_value(json_object_get(args, "bytes"));
    const char *what = json_string_value(json_object_get(args, "what"));
    bool streamed = what && strcmp(what, omni_step_name(OMNI_STEP_STREAM)) == 0;
    if (end > f->end[!wall]) f->end[!wall] = end;
    if (strcmp(category, "pass") == 0 && end > f->passes_end[!wall]) f->passes_end[!wall] = end;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (strcmp(category, kinds[i]) != 0) continue;
        if (wall) f->bytes[i] += bytes;
        if (!wall && i < 2) f->modelled += bytes;
    }
    if (!wall || strcmp(category, "compute") != 0) return;
    f->computed += !streamed;
    if (strip) f->strips[json_integer_value(strip) % OMNI_MOST_STRIPS]++;
}

static const char *read_slice(found *f, json_t *event) {
    track *t = track_of(f, event);
    int64_t begin = ns_of(event, "ts"), end = begin + ns_of(event, "dur");
    if (!t) return "too many tracks";
    if (!json_is_real(json_object_get(event, "ts")) || !json_is_real(json_object_get(event, "dur")))
        return "a slice without time or duration";
    if (!nests(t, begin, end))
        return verdict("slice '%s' at %lld ns on track %d.%d overlaps another, or is out of order",
                       json_string_value(json_object_get(event, "name")), (long long)begin, (int)t->process,
                       (int)t->id);
    count_slice(f, event, t->process == 1, end);
    return NULL;
}

static const char *read_counter(found *f, json_t *event) {
    static const char *const kinds[] = {"broadcast", "addressed", "tree"};
    uint64_t sum = 0;
    if (!json_is_real(json_object_get(event, "ts"))) return "a counter without time";
    if (strcmp(json_string_value(json_object_get(event, "name")), "bytes moved") != 0) return NULL;
    for (size_t i = 0; i < COUNT(kinds); i++)
        sum += (uint64_t)json_integer_value(json_object_get(json_object_get(event, "args"), kinds[i]));
    if (sum < f->counted) return "a counter of bytes that falls";
    f->counted = sum;
    return NULL;
}

static const char *read_name(found *f, json_t *event) {
    const char *name = json_string_value(json_object_get(json_object_get(event, "args"), "name"));
    if (strcmp(json_string_value(json_object_get(event, "name")), "thread_name") != 0) return NULL;
    track *t = track_of(f, event);
    if (!t) return "too many tracks";
    if (!name || !*name || t->name[0]) return "a track with no name, or with two";
    snprintf(t->name, sizeof t->name, "%s", name);
    return NULL;
}

static const char *read_event(found *f, json_t *event) {
    const char *phase = json_string_value(json_object_get(event, "ph"));
    if (!phase || !strchr("XMC", phase[0]) || !json_is_integer(json_object_get(event, "pid")) ||
        !json_is_object(json_object_get(event, "args")) || !json_is_string(json_object_get(event, "name")))
        return "an event without phase, process, name or args";
    return phase[0] == 'X'   ? read_slice(f, event)
           : phase[0] == 'C' ? read_counter(f, event)
                             : read_name(f, event);
}

/* Each track with slices has a name of its own; nothing is behind the last pass. */
static const char *judge_tracks(const found *f) {
    for (size_t i = 0; i < f->tracks; i++) {
        const track *t = &f->track[i];
        if (t->slices && !t->name[0]) return verdict("track %d.%d has no name", (int)t->process, (int)t->id);
        for (size_t k = 0; k < i; k++)
            if (f->track[k].process == t->process && strcmp(f->track[k].name, t->name) == 0)
                return verdict("two tracks are called %s", t->name);
    }
    for (size_t i = 0; i < COUNT(f->end); i++)
        if (f->end[i] != f->passes_end[i])
            return verdict("the last slice ends at %lld ns, the last pass at %lld", (long long)f->end[i],
                           (long long)f->passes_end[i]);
    return NULL;
}

static const char *read_file(const char *path, found *f, size_t *notes) {
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error), *event;
    const char *bad = root ? NULL : verdict("line %d: %s", error.line, error.text);
    size_t i;
    memset(f, 0, sizeof *f);
    json_t *unit = json_object_get(root, "displayTimeUnit"), *events = json_object_get(root, "traceEvents");
    if (!bad && (!json_is_string(unit) || strcmp(json_string_value(unit), "ns") != 0)) bad = "no unit";
    if (!bad && !json_is_array(events)) bad = "no events";
    json_array_foreach(events, i, event) if (!bad) bad = read_event(f, event);
    if (!bad) bad = judge_tracks(f);
    *notes = json_array_size(json_object_get(json_object_get(root, "otherData"), "notes"));
    json_decref(root);
    return bad;
}

/* --- what should be --------------------------------------------------------------------------- */

/* Compute steps, or their strips, x the ranks that do them, of the first passes. */
static size_t compute_steps(const omni_plan *plan, size_t passes) {
    size_t sum = 0;
    for (size_t i = 0; i < passes; i++)
        for (size_t g = 0; g < plan->mesh.groups; g++) {
            omni_parts it = omni_parts_begin(plan, pass_at(i), g);
            for (omni_part part; omni_parts_next(&it, &part);)
                for (size_t k = 0; k < plan->step_count; k++) {
                    const omni_step *s = &plan->step[k];
                    if (omni_step_is_message(s) || s->kind == OMNI_STEP_TAP) continue;
                    size_t ranks = s->root_only ? 1 : omni_mesh_ranks(&plan->mesh, g, s->stage).count;
                    sum += ranks * (s->strips ? s->strips : 1);
                }
        }
    return sum;
}

/* overlap=C: of each step that is cut, C strips. */
static const char *judge_strips(const omni_plan *plan, const found *in) {
    size_t strips = plan->spec.overlap > 1 ? plan->spec.overlap : 0;
    if (strips && !in->strips[0]) return "no strips";
    for (size_t k = 0; k < OMNI_MOST_STRIPS; k++)
        if (in->strips[k] != (k < strips ? in->strips[0] : 0))
            return verdict("strip %zu is there %zu times, the first one %zu times", k, in->strips[k],
                           in->strips[0]);
    return NULL;
}

static const char *judge(const flow *f, const char *plan, const traced *t, bool modelled) {
    static found in;
    size_t notes;
    omni_counters moved = {0};
    const char *bad = read_file(t->path, &in, &notes);
    if (bad) return verdict("%s: %s", plan, bad);
    for (size_t i = 0; i < t->passes; i++) {
        omni_counters pass;
        omni_plan_count(f->plan, pass_at(i), &pass);
        omni_counters_add(&moved, &pass);
    }
    uint64_t bus = moved.broadcast_bytes + moved.addressed_bytes;
    if (in.bytes[0] != bus || in.bytes[1] != moved.tree_bytes)
        return verdict("%s: %llu bytes on the bus and %llu on the tree (the plan moves %llu and %llu)", plan,
                       (unsigned long long)in.bytes[0], (unsigned long long)in.bytes[1],
                       (unsigned long long)bus, (unsigned long long)moved.tree_bytes);
    if (t->passes == t->all_passes &&
        (bus != t->moved.broadcast_bytes + t->moved.addressed_bytes ||
         moved.tree_bytes != t->moved.tree_bytes || in.bytes[2] != t->moved.host_bytes))
        return verdict("%s: other bytes than the run's counters", plan);
    if (in.computed != compute_steps(f->plan, t->passes))
        return verdict("%s: %zu computed (expected %zu)", plan, in.computed,
                       compute_steps(f->plan, t->passes));
    if (in.counted != bus + moved.tree_bytes) return verdict("%s: its counter ends with other bytes", plan);
    if ((notes > 0) != (t->passes < t->all_passes)) return verdict("%s: %zu notes", plan, notes);
    bad = judge_strips(f->plan, &in);
    if (bad) return verdict("%s: %s", plan, bad);
    if (!modelled) return NULL;
    if (in.end[1] != (int64_t)((t->ps + 500) / 1000))
        return verdict("%s: modelled until %lld ns (expected %.3f)", plan, (long long)in.end[1],
                       (double)t->ps * 1e-3);
    return in.modelled == bus + moved.tree_bytes ? NULL : verdict("%s: other modelled bytes", plan);
}

/* --- cases ------------------------------------------------------------------------------------ */

static const char *one(flow *f, const char *plan, size_t pes, const omni_array *array) {
    traced off, on;
    if (!flow_plan(f, plan, pes)) return verdict("%s on %zu PEs: %s", plan, pes, f->err.text);
    const char *bad = run(f, 0, NULL, &off);
    if (!bad) bad = run(f, 200000, array, &on);
    if (!bad && memcmp(off.token, on.token, sizeof on.token) != 0) bad = "other tokens with a trace";
    if (!bad && off.all_passes) bad = "a recording that nobody asked for";
    if (!bad && on.passes != STEPS) bad = "not all passes were recorded";
    if (!bad) bad = judge(f, plan, &on, array != NULL);
    if (on.path[0]) unlink(on.path);
    return bad ? verdict("%zu PEs: %s", pes, bad) : NULL;
}

typedef struct row {
    const char *plan;
    size_t pes;
} row;

static const char *timelines(const row *rows, size_t count) {
    flow f;
    omni_array *array = NULL;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    if (!bad && omni_array_load("configs/arrays/seed-64pe.ini", &array, &f.err))
        bad = verdict("%s", f.err.text);
    for (size_t i = 0; i < count && !bad; i++) bad = one(&f, rows[i].plan, rows[i].pes, array);
    omni_array_free(array);
    return flow_close(&f, bad);
}

static const char *timelines_of_plans(void) {
    static const row rows[] = {{"single", 1},         {"megatron", 1},
                               {"megatron", 2},       {"megatron", 3},
                               {"workflow2", 5},      {"alternate", 5},
                               {"workflow1", 3},      {"o=out:gather=bus", 5},
                               {"pipeline", 2},       {"attn=tokens:edge=scatter:gather=bus", 3},
                               {"lockstep", 3},       {"megatron:groups=2", 5},
                               {"replica", 3},        {"megatron:groups=each:over=token", 3},
                               {"attn=subheads", 11}, {"megatron:stages=2:groups=2:wire=bf16", 7}};
    return timelines(rows, COUNT(rows));
}

/* Strips that are computed while others move, and weights that come while they are used; also more strips than
 * tokens or panels, and more PEs than either. */
static const char *timelines_of_overlapping_plans(void) {
    static const row rows[] = {{"megatron:overlap=4", 2},
                               {"megatron:overlap=4", 3},
                               {"megatron:overlap=4", 7},
                               {"workflow1:overlap=4", 3},
                               {"workflow2:overlap=4", 5},
                               {"alternate:overlap=4:gather=bus", 3},
                               {"megatron:stages=2:overlap=4", 5},
                               {"megatron:groups=2:overlap=64", 4},
                               {"megatron:overlap=4", 33},
                               {"lockstep", 1},
                               {"lockstep", 2},
                               {"lockstep", 7},
                               {"megatron:groups=each:weights=stream", 33},
                               {"megatron:groups=each:over=token:weights=stream", 5}};
    return timelines(rows, COUNT(rows));
}

/* Without room: none, then some, then all passes; always whole ones. */
static const char *ends_after_whole_passes(void) {
    flow f;
    size_t before = 0;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    if (!bad && !flow_plan(&f, "megatron", 3)) bad = verdict("%s", f.err.text);
    for (size_t room = 1; room < 100000 && !bad; room *= 7) {
        traced t;
        bad = run(&f, room, NULL, &t);
        if (!bad && t.all_passes != STEPS) bad = "passes were not counted";
        if (!bad && room == 1 && t.passes) bad = "a pass fits into one event";
        if (!bad) bad = judge(&f, "megatron", &t, false);
        if (t.path[0]) unlink(t.path);
        before = t.passes;
    }
    return flow_close(&f, bad ? bad : before == STEPS ? NULL : "not all fits into much room");
}

static const omni_case cases[] = {
    {"timelines_of_plans", timelines_of_plans},
    {"timelines_of_overlapping_plans", timelines_of_overlapping_plans},
    {"ends_after_whole_passes", ends_after_whole_passes},
};
const omni_case_table cases_trace = {"trace", cases, COUNT(cases)};
