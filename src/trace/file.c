/* file.c: the file. Trace Event Format, "JSON Object Format":
 *
 *   {"displayTimeUnit":"ns","traceEvents":[
 *   {"ph":"M", ...},                                  names of processes and tracks, and their order
 *   {"ph":"X","pid":1,"tid":7,"ts":12.345,...},       a slice: microseconds, with fractions
 *   {"ph":"C","pid":1,"name":"moved","ts":...}        a counter
 *   ],"otherData":{...}}
 *
 * https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU is its description.
 *
 * Times are whole nanoseconds. Perfetto keeps no finer ones and rounds `ts` and `dur` each for itself, so that
 * of two slices that meet at a fraction of one the first would reach into the second, which it takes for an
 * error. Both ends are rounded here instead; what the modelled array takes to the picosecond is in `args`.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "trace/internal.h"

omni_status omni_trace_open(const char *path, size_t limit, omni_trace **out, omni_error *err) {
    omni_trace *t = *out = omni_alloc(sizeof *t);
    if (!t) return omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory for a trace", path);
    t->limit = limit;
    t->notes = json_array();
    t->wall = (lanes){.process = WALL, .first_track = 2}; /* 1: the caller's */
    t->model = (lanes){.process = MODELLED, .first_track = 1};
    omni_status status = omni_output_open(path, &t->out, err);
    if (!status) {
        omni_output_add(t->out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
        return OMNI_OK;
    }
    omni_trace_drop(t);
    *out = NULL;
    return status;
}

void omni_trace_drop(omni_trace *t) {
    if (!t) return;
    omni_output_close(t->out, false, NULL);
    json_decref(t->notes);
    omni_free(t);
}

omni_status omni_trace_close(omni_trace *t, json_t *facts, omni_error *err) {
    lanes_close(t, &t->model, PS_PER_US);
    bool ok = json_object_set(facts, "notes", t->notes) == 0;
    char *text = ok ? json_dumps(facts, JSON_COMPACT) : NULL;
    json_decref(facts);
    if (text) {
        omni_output_add(t->out, "\n],\"otherData\":");
        omni_output_append(t->out, text, strlen(text));
        omni_output_add(t->out, "}\n");
    } else {
        omni_error_set(err, OMNI_RUN_FAILED, "no memory for the trace's facts");
    }
    free(text);
    omni_status status = omni_output_close(t->out, text != NULL, err);
    t->out = NULL;
    omni_trace_drop(t);
    return text ? status : OMNI_RUN_FAILED;
}

/* --- events ----------------------------------------------------------------------------------- */

static void add_string(omni_trace *t, const char *text) {
    omni_output_append(t->out, "\"", 1);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            omni_output_append(t->out, (char[]){'\\', *c}, 2);
        else if ((unsigned char)*c >= ' ' && (unsigned char)*c < 0x7f)
            omni_output_append(t->out, c, 1);
        else
            omni_output_append(t->out, "?", 1); /* names are ours, but for an array's */
    }
    omni_output_append(t->out, "\"", 1);
}

static void begin(omni_trace *t, const char *phase, int process) {
    omni_output_add(t->out, "%s{\"ph\":\"%s\",\"pid\":%d", t->begun ? ",\n" : "\n", phase, process);
    t->begun = true;
}

static uint64_t ns_of(uint64_t ticks, uint64_t per_us) {
    uint64_t per_ns = per_us / NS_PER_US;
    return (ticks + per_ns / 2) / per_ns;
}

static void add_ns(omni_trace *t, const char *key, uint64_t ns) {
    omni_output_add(t->out, ",\"%s\":%llu.%03llu", key, (unsigned long long)(ns / NS_PER_US),
                    (unsigned long long)(ns % NS_PER_US));
}

void trace_process(omni_trace *t, int process, const char *name) {
    begin(t, "M", process);
    omni_output_add(t->out, ",\"tid\":0,\"name\":\"process_name\",\"args\":{\"name\":");
    add_string(t, name);
    omni_output_add(t->out, "}}");
    begin(t, "M", process);
    omni_output_add(t->out, ",\"tid\":0,\"name\":\"process_sort_index\",\"args\":{\"sort_index\":%d}}",
                    process);
}

void trace_track(omni_trace *t, int process, size_t track, size_t place, const char *name) {
    begin(t, "M", process);
    omni_output_add(t->out, ",\"tid\":%zu,\"name\":\"thread_name\",\"args\":{\"name\":", track);
    add_string(t, name);
    omni_output_add(t->out, "}}");
    begin(t, "M", process);
    omni_output_add(t->out, ",\"tid\":%zu,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%zu}}",
                    track, place);
}

void trace_slice(omni_trace *t, const slice *s, uint64_t per_us, const char *args) {
    begin(t, "X", s->process);
    omni_output_add(t->out, ",\"tid\":%zu,\"cat\":\"%s\",\"name\":", s->track, s->category);
    add_string(t, s->name);
    uint64_t begins = ns_of(s->begin, per_us);
    add_ns(t, "ts", begins);
    add_ns(t, "dur", ns_of(s->end, per_us) - begins);
    omni_output_add(t->out, ",\"args\":{%s", args);
    if (per_us == PS_PER_US)
        omni_output_add(t->out, "%s\"ps\":%llu", *args ? "," : "", (unsigned long long)(s->end - s->begin));
    omni_output_add(t->out, "}}");
}

void trace_counter(omni_trace *t, int process, const char *name, uint64_t at, uint64_t per_us,
                   const char *args) {
    begin(t, "C", process);
    omni_output_add(t->out, ",\"name\":");
    add_string(t, name);
    add_ns(t, "ts", ns_of(at, per_us));
    omni_output_add(t->out, ",\"args\":{%s}}", args);
}

/* --- words ------------------------------------------------------------------------------------ */

void trace_note(omni_trace *t, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(t->notes, omni_json_string(text));
}

const char *omni_trace_note(const omni_trace *t, size_t i) {
    return json_string_value(json_array_get(t->notes, i));
}

const char *trace_ranks(char buf[NAME], const char *what, omni_range ranks) {
    if (ranks.count == 1)
        snprintf(buf, NAME, "%s%zu", what, ranks.start);
    else
        snprintf(buf, NAME, "%s%zu-%zu", what, ranks.start, ranks.start + ranks.count - 1);
    return buf;
}

const char *step_title(char buf[NAME], const omni_plan *plan, const omni_step *s) {
    const char *op = s->op ? s->op->name : s->kind == OMNI_STEP_HAND_OFF ? "hand-off" : "input";
    int value = s->kind == OMNI_STEP_HOST_IN ? s->out : s->in[0];
    if (s->kind == OMNI_STEP_STREAM)
        snprintf(buf, NAME, "weights of %s", op);
    else if (omni_step_is_message(s))
        snprintf(buf, NAME, "%s: %s", omni_step_name(s->kind), plan->value[value].name);
    else
        snprintf(buf, NAME, "%s", op);
    return buf;
}

lane_kind step_lane(const omni_step *s) {
    if (s->kind == OMNI_STEP_HOST_IN || s->kind == OMNI_STEP_HOST_OUT) return LANE_HOST;
    return s->kind == OMNI_STEP_REDUCE || s->kind == OMNI_STEP_GATHER ? LANE_TREE : LANE_BUS;
}

const char *lane_category(lane_kind kind) {
    static const char *const names[LANE_KINDS] = {"pass", "host", "bus", "tree", "link", "compute"};
    return names[kind];
}
