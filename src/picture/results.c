/* results.c: JSON results -> points. One reader for each schema; all take what they find and leave out the rest.
 *
 *   omnibus.bench/1      tests[]               a measured point each, and one of the array it was priced on
 *   omnibus.plan/1       tasks[].plans[]       prefill, decode step and total, modelled
 *                        plans[]               bytes only: what plans move
 *   omnibus.run/1        timing, modelled      prefill and decode, both kinds
 *   omnibus.calibrate/1  rows[]                a measured point with its prediction
 */
#include <stdio.h>
#include <stdlib.h>

#include "picture/internal.h"

enum { MOST_BYTES = 256 << 20, MOST_POINTS = 4096 }; /* points are compared with each other */

struct omni_results {
    omni_point *point;
    size_t count, capacity;
    json_t *files;
    bool failed; /* no memory */
    bool full;   /* more than MOST_POINTS */
};

/* --- fields ----------------------------------------------------------------------------------- */

static double number(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static size_t whole(const json_t *o, const char *key) {
    double x = number(o, key);
    return x >= 0 && x < 1e15 ? (size_t)x : 0;
}

static void text(char *out, size_t cap, const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    snprintf(out, cap, "%s", s ? s : "");
}

static omni_point empty_point(void) {
    omni_point p = {.s = NAN, .tokens_per_s = NAN, .bus_bytes = NAN, .tree_bytes = NAN, .predicted_s = NAN};
    for (size_t k = 0; k < OMNI_POINT_PARTS; k++) p.part[k] = NAN;
    return p;
}

/* Tasks that differ in what they generate have the same prefill. */
static bool is_known(const omni_results *r, const omni_point *p) {
    for (size_t i = 0; i < r->count; i++) {
        const omni_point *q = &r->point[i];
        if (q->s == p->s && q->pes == p->pes && point_same_case(q, p) && strcmp(q->plan, p->plan) == 0)
            return true;
    }
    return false;
}

static void add(omni_results *r, const omni_point *p) {
    r->full = r->full || r->count == MOST_POINTS;
    if (r->full || (p->modelled && is_known(r, p))) return;
    if (r->count == r->capacity) {
        size_t wanted = r->capacity ? 2 * r->capacity : 64;
        omni_point *more = realloc(r->point, wanted * sizeof *more);
        if (!more) {
            r->failed = true;
            return;
        }
        r->point = more;
        r->capacity = wanted;
    }
    r->point[r->count++] = *p;
}

/* --- what several schemas have ---------------------------------------------------------------- */

static void set_moved(omni_point *p, const json_t *counters, double times) {
    p->bus_bytes = times * (number(counters, "broadcast_bytes") + number(counters, "addressed_bytes"));
    p->tree_bytes = times * number(counters, "tree_bytes");
}

static void add_op(omni_point *p, const char *name, double s) {
    size_t i = 0;
    while (i < p->ops && strcmp(p->op[i].name, name) != 0) i++;
    if (i == OMNI_POINT_OPS) i--; /* the last takes what is left */
    if (i == p->ops) snprintf(p->op[p->ops++].name, sizeof p->op[i].name, "%.31s", name);
    p->op[i].s += s;
}

/* A modelled pass: price_json of the command line. */
static void set_price(omni_point *p, const json_t *pass, double times) {
    static const char *const keys[] = {"compute_ps", "bus_ps", "tree_ps", "host_ps"};
    size_t i;
    const json_t *row;
    p->modelled = true;
    p->s = times * number(pass, "ps") * 1e-12;
    for (size_t k = 0; k < 4; k++) p->part[k] = times * number(pass, keys[k]) * 1e-12;
    set_moved(p, json_object_get(pass, "moved"), times);
    json_array_foreach(json_object_get(pass, "critical_path"), i, row) {
        const char *op = json_string_value(json_object_get(row, "op"));
        double ps = number(row, "ps");
        if (op && isfinite(ps)) add_op(p, op, times * ps * 1e-12);
    }
}

/* --- omnibus.bench/1 -------------------------------------------------------------------------- */

static void read_test(omni_results *r, const json_t *t, const char *source) {
    static const char *const keys[OMNI_POINT_PARTS] = {"compute", "bus", "tree", "host", "wait", "rest"};
    const json_t *shares = json_object_get(t, "shares"), *modelled = json_object_get(t, "modelled");
    omni_point p = empty_point();
    if (!json_is_null(json_object_get(t, "skipped")) || !isfinite(number(t, "avg_ns"))) return;
    snprintf(p.source, sizeof p.source, "%s", source);
    text(p.model, sizeof p.model, t, "model_name");
    text(p.plan, sizeof p.plan, t, "plan");
    text(p.test, sizeof p.test, t, "test");
    p.pes = whole(t, "pes");
    p.batch = whole(t, "batch");
    p.sequence = whole(t, "depth") + whole(t, "prompt") + whole(t, "gen");
    p.s = number(t, "avg_ns") * 1e-9;
    p.tokens_per_s = number(t, "avg_ts");
    for (size_t k = 0; k < OMNI_POINT_PARTS; k++) p.part[k] = p.s * number(shares, keys[k]);
    set_moved(&p, json_object_get(t, "fabric"), 1);
    p.predicted_s = number(modelled, "s");
    if (isfinite(p.predicted_s)) {
        omni_point m = empty_point();
        m = p;
        m.modelled = true;
        text(m.source, sizeof m.source, modelled, "array");
        m.s = p.predicted_s;
        m.tokens_per_s = number(modelled, "tokens_per_s");
        m.predicted_s = NAN;
        for (size_t k = 0; k < OMNI_POINT_PARTS; k++) m.part[k] = NAN;
        if (!json_is_true(json_object_get(modelled, "host"))) p.predicted_s = NAN; /* another machine's */
        add(r, &m);
    }
    add(r, &p);
}

static void read_bench(omni_results *r, const json_t *root, const char *source) {
    size_t i;
    const json_t *t;
    if (json_is_array(json_object_get(root, "tests")))
        json_array_foreach(json_object_get(root, "tests"), i, t) read_test(r, t, source);
    else
        read_test(r, root, source); /* a JSON line */
}

/* --- omnibus.plan/1 --------------------------------------------------------------------------- */

static omni_point task_point(const json_t *root, const json_t *task, const json_t *plan) {
    omni_point p = empty_point();
    text(p.source, sizeof p.source, task, "array");
    text(p.model, sizeof p.model, json_object_get(root, "model"), "name");
    text(p.plan, sizeof p.plan, plan, "plan");
    p.pes = whole(task, "pes");
    p.batch = whole(task, "batch");
    p.sequence = whole(task, "prompt") + whole(task, "gen");
    return p;
}

static void read_task(omni_results *r, const json_t *root, const json_t *task) {
    size_t i, prompt = whole(task, "prompt"), gen = whole(task, "gen");
    const json_t *plan;
    json_array_foreach(json_object_get(task, "plans"), i, plan) {
        const json_t *step = json_object_get(plan, "decode_step");
        omni_point p = task_point(root, task, plan), q = p, all = p;
        snprintf(p.test, sizeof p.test, "pp%zu", prompt);
        set_price(&p, json_object_get(plan, "prefill"), 1);
        p.sequence = prompt;
        if (isfinite(p.s)) add(r, &p);
        if (gen < 2 || !isfinite(number(step, "ps")) || number(step, "ps") == 0) continue;
        snprintf(q.test, sizeof q.test, "tg%zu", gen - 1);
        set_price(&q, step, (double)(gen - 1));
        add(r, &q);
        snprintf(all.test, sizeof all.test, "pp%zu+tg%zu", prompt, gen - 1);
        all.modelled = true;
        all.s = number(plan, "total_ps") * 1e-12;
        all.tokens_per_s = number(plan, "tokens_per_s");
        add(r, &all);
    }
}

/* Without an array: what moves. */
static void read_moves(omni_results *r, const json_t *root, const json_t *plan) {
    static const char *const phases[] = {"prefill", "decode"};
    size_t prompt = whole(plan, "prompt"), gen = whole(plan, "gen");
    for (size_t k = 0; k < 2; k++) {
        const json_t *moved = json_object_get(json_object_get(plan, "totals"), phases[k]);
        omni_point p = task_point(root, plan, plan);
        if (!moved || (k == 1 && gen < 2)) continue;
        snprintf(p.test, sizeof p.test, k ? "tg%zu" : "pp%zu", k ? gen - 1 : prompt);
        snprintf(p.source, sizeof p.source, "any array");
        set_moved(&p, moved, 1);
        add(r, &p);
    }
}

static void read_plan(omni_results *r, const json_t *root, const char *source) {
    size_t i;
    const json_t *x;
    (void)source;
    json_array_foreach(json_object_get(root, "tasks"), i, x) read_task(r, root, x);
    json_array_foreach(json_object_get(root, "plans"), i, x) read_moves(r, root, x);
}

/* --- omnibus.run/1 ---------------------------------------------------------------------------- */

static void read_run(omni_results *r, const json_t *root, const char *source) {
    static const char *const keys[] = {"prefill_s", "decode_s"};
    const json_t *prompts = json_object_get(root, "prompts"), *timing = json_object_get(root, "timing"),
                 *modelled = json_object_get(root, "modelled");
    size_t batch = json_array_size(prompts), prompt = json_array_size(json_array_get(prompts, 0)),
           gen = json_array_size(json_array_get(json_object_get(root, "tokens"), 0));
    omni_point p = task_point(root, NULL, json_object_get(root, "plan"));
    text(p.plan, sizeof p.plan, json_object_get(root, "plan"), "name");
    p.pes = whole(json_object_get(root, "array"), "pes");
    p.batch = batch;
    for (size_t k = 0; k < 2; k++) {
        omni_point q = p;
        snprintf(q.test, sizeof q.test, k ? "tg%zu" : "pp%zu", k ? (gen ? gen - 1 : 0) : prompt);
        q.sequence = k ? prompt + gen : prompt;
        snprintf(q.source, sizeof q.source, "%s", source);
        q.s = number(timing, keys[k]);
        if (q.s > 0) add(r, &q);
        text(q.source, sizeof q.source, modelled, "array");
        q.s = number(modelled, keys[k]);
        q.modelled = true;
        if (q.s > 0) add(r, &q);
    }
}

/* --- omnibus.calibrate/1 ---------------------------------------------------------------------- */

static void read_calibrate(omni_results *r, const json_t *root, const char *source) {
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(root, "predictions"), i, row) {
        omni_point p = empty_point();
        snprintf(p.source, sizeof p.source, "%s", source);
        text(p.plan, sizeof p.plan, row, "kind");
        text(p.test, sizeof p.test, row, "what");
        p.pes = whole(row, "pes");
        p.s = number(row, "wall_ns") * 1e-9;
        p.predicted_s = number(row, "predicted_ns") * 1e-9;
        add(r, &p);
    }
}

/* --- files ------------------------------------------------------------------------------------ */

static const struct {
    const char *schema;
    void (*read)(omni_results *r, const json_t *root, const char *source);
} readers[] = {{"omnibus.bench/1", read_bench},
               {"omnibus.plan/1", read_plan},
               {"omnibus.run/1", read_run},
               {"omnibus.calibrate/1", read_calibrate}};

static omni_status read_result(omni_results *r, json_t *root, const char *path, omni_error *err) {
    const char *schema = json_string_value(json_object_get(root, "schema"));
    const char *cpu = json_string_value(json_object_get(json_object_get(root, "host"), "cpu_model"));
    char source[64];
    snprintf(source, sizeof source, "host %.50s", cpu ? cpu : "?");
    for (size_t i = 0; schema && i < sizeof readers / sizeof *readers; i++) {
        if (strcmp(schema, readers[i].schema) != 0) continue;
        readers[i].read(r, root, source);
        json_t *file = json_pack("{s:o, s:O}", "path", omni_json_string(path), "result", root);
        if (!file || json_array_append_new(r->files, file) != 0) r->failed = true;
        return r->failed ? omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory for its results", path)
                         : OMNI_OK;
    }
    return omni_error_set(err, OMNI_BAD_INPUT,
                          schema ? "%s: there is no picture of '%.40s' (expected bench, plan, run, calibrate)"
                                 : "%s: no \"schema\"%.0s (expected what omnibus writes with --format json)",
                          path, schema ? schema : "");
}

/* One JSON text, or one on each line. */
omni_status omni_results_add(omni_results *r, const char *path, omni_error *err) {
    char *bytes;
    size_t count, at = 0, values = 0;
    json_error_t bad = {0};
    omni_status status = omni_file_read(path, MOST_BYTES, "a JSON result", &bytes, &count, err);
    if (status) return status;
    while (!status) {
        while (at < count && strchr(" \t\r\n", bytes[at]) && bytes[at]) at++;
        if (at == count && values) break;
        json_t *root = json_loadb(bytes + at, count - at, JSON_DISABLE_EOF_CHECK, &bad);
        if (!root) {
            status = omni_error_set(err, OMNI_BAD_INPUT, "%s: no JSON (%.200s)", path, bad.text);
            break;
        }
        at += (size_t)bad.position;
        values++;
        status = read_result(r, root, path, err);
        if (!status && r->full)
            status = omni_error_set(err, OMNI_BAD_INPUT,
                                    "%s: more than %d points (expected fewer results at a time)", path,
                                    MOST_POINTS);
        json_decref(root);
    }
    free(bytes);
    return status;
}

omni_results *omni_results_create(void) {
    omni_results *r = omni_alloc(sizeof *r);
    if (r) r->files = json_array();
    if (r && r->files) return r;
    omni_free(r);
    return NULL;
}

void omni_results_free(omni_results *r) {
    if (!r) return;
    json_decref(r->files);
    free(r->point);
    omni_free(r);
}

size_t omni_results_count(const omni_results *r) {
    return r->count;
}

const omni_point *omni_results_at(const omni_results *r, size_t i) {
    return &r->point[i];
}

const json_t *omni_results_files(const omni_results *r) {
    return r->files;
}
