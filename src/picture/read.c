/* read.c: JSON results -> points. One reader for each schema; all take what they find and leave out the rest.
 *
 *   omnibus.bench/1      tests[]               a measured point each, and one of the array it was priced on
 *   omnibus.plan/1       tasks[].plans[]       prefill, decode step and total, modelled
 *                                              (--verify: measured, with its prediction)
 *                        plans[]               bytes only: what plans move
 *                        diff.situations[]     the same, of two plans
 *   omnibus.run/1        timing, fabric        prefill, change of plans and decode, measured
 *                        modelled              the same on an array; prefill and a decode step in parts
 *   omnibus.calibrate/1  predictions[]         a measured point with its prediction
 *   omnibus.check/1, topo, synth               nothing
 */
#include <stdio.h>

#include "picture/internal.h"

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

/* --- what several schemas have ---------------------------------------------------------------- */

/* Two plans: "megatron then replica". */
static void set_plans(omni_point *p, const json_t *plan, const char *first, const char *second) {
    const char *then = json_string_value(json_object_get(plan, second));
    text(p->plan, sizeof p->plan, plan, first);
    size_t n = strlen(p->plan);
    if (then && strcmp(then, p->plan) != 0) snprintf(p->plan + n, sizeof p->plan - n, " then %s", then);
}

/* "pp512", "tg128 @ d512": what bench calls it. */
static void set_test(omni_point *p, const char *kind, size_t tokens) {
    snprintf(p->test, sizeof p->test, "%s%zu", kind, tokens);
}

static void set_decode(omni_point *p, size_t prompt, size_t gen) {
    snprintf(p->test, sizeof p->test, "tg%zu @ d%zu", gen ? gen - 1 : 0, prompt);
}

static const char *prompt_test(const json_t *root) {
    return json_is_true(json_object_get(json_object_get(root, "model"), "encoder")) ? "encode" : "pp";
}

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

/* told: --workers was given, and is part of what is compared. */
static void read_test(omni_results *r, const json_t *t, const char *source, bool told) {
    static const char *const keys[OMNI_POINT_PARTS] = {"compute", "bus", "tree", "host", "wait", "rest"};
    const json_t *shares = json_object_get(t, "shares"), *modelled = json_object_get(t, "modelled");
    omni_point p = empty_point();
    size_t workers = whole(t, "workers");
    if (!json_is_null(json_object_get(t, "skipped")) || !isfinite(number(t, "avg_ns"))) return;
    snprintf(p.source, sizeof p.source, "%s", source);
    text(p.model, sizeof p.model, t, "model_name");
    set_plans(&p, t, "plan", "decode_plan");
    text(p.test, sizeof p.test, t, "test");
    p.pes = whole(t, "pes");
    p.batch = whole(t, "batch");
    p.sequence = whole(t, "depth") + whole(t, "prompt") + whole(t, "gen");
    p.s = number(t, "avg_ns") * 1e-9;
    p.tokens_per_s = number(t, "avg_ts");
    for (size_t k = 0; k < OMNI_POINT_PARTS; k++) p.part[k] = p.s * number(shares, keys[k]);
    set_moved(&p, json_object_get(t, "fabric"), 1);
    if (isfinite(number(modelled, "ns"))) {
        omni_point m = p;
        m.modelled = true;
        text(m.source, sizeof m.source, modelled, "array");
        m.s = number(modelled, "ns") * 1e-9;
        m.tokens_per_s = number(modelled, "ts");
        for (size_t k = 0; k < OMNI_POINT_PARTS; k++) m.part[k] = NAN;
        /* What a change of plans takes is unknown of this host, and of nothing else. */
        if (json_is_null(json_object_get(modelled, "transform_ns"))) p.predicted_s = m.s;
        results_take(r, &m);
    }
    size_t n = strlen(p.plan);
    if (told && workers) snprintf(p.plan + n, sizeof p.plan - n, ", %zu workers", workers);
    results_take(r, &p);
}

static void read_bench(omni_results *r, const json_t *root, const char *source) {
    size_t i;
    const json_t *t;
    bool told = json_is_string(json_object_get(json_object_get(root, "settings"), "workers"));
    if (json_is_array(json_object_get(root, "tests")))
        json_array_foreach(json_object_get(root, "tests"), i, t) read_test(r, t, source, told);
    else
        read_test(r, root, source, told); /* a JSON line */
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

/* A row of --verify: the whole task, run on this host. */
static void read_trial(omni_results *r, const json_t *plan, omni_point p, const char *source) {
    p.s = number(plan, "measured_ns") * 1e-9;
    p.predicted_s = number(plan, "predicted_ns") * 1e-9;
    snprintf(p.source, sizeof p.source, "%s", source);
    if (p.s > 0) results_take(r, &p);
}

static void read_task(omni_results *r, const json_t *root, const json_t *task, const char *source) {
    size_t i, prompt = whole(task, "prompt"), gen = whole(task, "gen");
    const json_t *plan;
    json_array_foreach(json_object_get(task, "plans"), i, plan) {
        const json_t *step = json_object_get(plan, "decode_step");
        omni_point p = task_point(root, task, plan), q = p, all = p;
        set_test(&p, prompt_test(root), prompt);
        set_price(&p, json_object_get(plan, "prefill"), 1);
        p.sequence = prompt;
        p.tokens_per_s = (double)(p.batch * prompt) / p.s;
        if (p.s > 0) results_take(r, &p);
        snprintf(all.test, sizeof all.test, "%s", p.test);
        if (gen > 1) snprintf(all.test, sizeof all.test, "pp%zu+tg%zu", prompt, gen - 1);
        read_trial(r, plan, all, source);
        if (gen < 2 || !(number(step, "ps") > 0)) continue;
        set_decode(&q, prompt, gen);
        set_price(&q, step, (double)(gen - 1));
        q.tokens_per_s = (double)(q.batch * (gen - 1)) / q.s;
        results_take(r, &q);
        all.modelled = true;
        all.s = number(plan, "total_ps") * 1e-12;
        all.tokens_per_s = number(plan, "tokens_per_s");
        results_take(r, &all);
    }
}

/* Without an array: what moves. Returns the point of a phase, for its bytes. */
static omni_point moves_point(const json_t *root, const json_t *plan, bool decode) {
    omni_point p = task_point(root, plan, plan);
    size_t prompt = whole(plan, "prompt");
    snprintf(p.source, sizeof p.source, "any array");
    if (decode)
        set_decode(&p, prompt, whole(plan, "gen"));
    else
        set_test(&p, prompt_test(root), prompt);
    return p;
}

static void read_moves(omni_results *r, const json_t *root, const json_t *plan) {
    const json_t *totals = json_object_get(plan, "totals");
    for (size_t k = 0; k < 2; k++) {
        const json_t *moved = json_object_get(totals, k ? "decode" : "prefill");
        omni_point p = moves_point(root, plan, k == 1);
        if (!k && !moved) moved = json_object_get(totals, "encode");
        if (!moved || (k == 1 && whole(plan, "gen") < 2)) continue;
        set_moved(&p, moved, 1);
        results_take(r, &p);
    }
}

/* {"p": "megatron", "q": ..., "prefill": {"tree_bytes": {"p": 1, "q": 2}, ...}, "decode": ...} */
static void read_diff(omni_results *r, const json_t *root, const json_t *pair) {
    static const char *const sides[] = {"p", "q"}, *const phases[] = {"prefill", "encode", "decode"};
    for (size_t k = 0; k < 6; k++) {
        const char *side = sides[k % 2];
        const json_t *phase = json_object_get(pair, phases[k / 2]);
        omni_point p = moves_point(root, pair, k / 2 == 2);
        if (!phase || (k / 2 == 2 && whole(pair, "gen") < 2)) continue;
        text(p.plan, sizeof p.plan, pair, side);
        p.bus_bytes = number(json_object_get(phase, "broadcast_bytes"), side) +
                      number(json_object_get(phase, "addressed_bytes"), side);
        p.tree_bytes = number(json_object_get(phase, "tree_bytes"), side);
        results_take(r, &p);
    }
}

static void read_plan(omni_results *r, const json_t *root, const char *source) {
    size_t i;
    const json_t *x;
    json_array_foreach(json_object_get(root, "tasks"), i, x) read_task(r, root, x, source);
    json_array_foreach(json_object_get(root, "plans"), i, x) read_moves(r, root, x);
    json_array_foreach(json_object_get(json_object_get(root, "diff"), "situations"), i, x)
        read_diff(r, root, x);
}

/* --- omnibus.run/1 ---------------------------------------------------------------------------- */

enum { PREFILL, CHANGE, DECODE, PHASES };

/* A pass that was priced: the prefill, and the last of the decode steps. */
static void read_pass(omni_results *r, const json_t *modelled, omni_point p, const char *key,
                      const char *name) {
    text(p.source, sizeof p.source, modelled, "array");
    set_price(&p, json_object_get(modelled, key), 1);
    if (name) {
        snprintf(p.test, sizeof p.test, "%s", name);
        p.tokens_per_s = NAN; /* sequences may have ended before */
    }
    if (p.s > 0) results_take(r, &p);
}

static void read_phase(omni_results *r, const json_t *root, size_t phase, omni_point p, const char *source) {
    static const char *const keys[PHASES][3] = {{"prefill_s", "prefill", "prefill_tokens_per_s"},
                                                {"transform_s", "transform", ""},
                                                {"decode_s", "decode", "decode_tokens_per_s"}};
    const json_t *modelled = json_object_get(root, "modelled"), *timing = json_object_get(root, "timing");
    omni_point m = p;
    p.s = number(timing, keys[phase][0]);
    p.tokens_per_s = number(timing, keys[phase][2]);
    set_moved(&p, json_object_get(json_object_get(root, "fabric"), keys[phase][1]), 1);
    snprintf(p.source, sizeof p.source, "%s", source);
    text(m.source, sizeof m.source, modelled, "array");
    m.s = number(modelled, keys[phase][0]);
    m.tokens_per_s = number(modelled, keys[phase][2]);
    m.modelled = true;
    bool host = modelled && json_is_null(json_object_get(modelled, "transform_s")); /* as in read_test */
    if (host && m.s > 0) p.predicted_s = m.s;
    if (p.s > 0) results_take(r, &p);
    if (phase == PREFILL)
        read_pass(r, modelled, m, "prefill", NULL);
    else if (m.s > 0)
        results_take(r, &m);
    if (phase == DECODE) read_pass(r, modelled, m, "last_decode_step", "last decode step");
}

static void read_run(omni_results *r, const json_t *root, const char *source) {
    const json_t *prompts = json_object_get(root, "prompts"),
                 *tokens = json_array_get(json_object_get(root, "tokens"), 0);
    size_t prompt = json_array_size(json_array_get(prompts, 0)), gen = json_array_size(tokens);
    omni_point p = task_point(root, NULL, NULL);
    set_plans(&p, json_object_get(root, "plan"), "name", "decode_name");
    p.pes = whole(json_object_get(root, "array"), "pes");
    p.batch = json_array_size(prompts);
    for (size_t k = 0; k < PHASES; k++) {
        p.sequence = k == DECODE ? prompt + gen : prompt;
        set_test(&p, prompt_test(root), prompt);
        if (k == DECODE) set_decode(&p, prompt, gen);
        if (k == CHANGE) snprintf(p.test, sizeof p.test, "change of plans");
        read_phase(r, root, k, p, source);
    }
}

/* --- omnibus.calibrate/1 ---------------------------------------------------------------------- */

static void read_calibrate(omni_results *r, const json_t *root, const char *source) {
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(root, "predictions"), i, row) {
        omni_point p = empty_point();
        char shape[48];
        snprintf(p.source, sizeof p.source, "%s", source);
        text(p.plan, sizeof p.plan, row, "kind");
        text(p.test, sizeof p.test, row, "what");
        text(shape, sizeof shape, row, "shape");
        size_t n = strlen(p.test);
        if (*shape) snprintf(p.test + n, sizeof p.test - n, ", %s", shape);
        p.pes = whole(row, "pes");
        p.s = number(row, "wall_ns") * 1e-9;
        p.predicted_s = number(row, "predicted_ns") * 1e-9;
        results_take(r, &p);
    }
}

/* --- the schemas ------------------------------------------------------------------------------ */

static const struct schema {
    const char *name;
    void (*read)(omni_results *r, const json_t *root, const char *source);
    const char *empty; /* why there is nothing to draw */
} schemas[] = {
    {"omnibus.bench/1", read_bench, "none of its tests could be run"},
    {"omnibus.plan/1", read_plan, "none of its plans could be built"},
    {"omnibus.run/1", read_run, "a run without times"},
    {"omnibus.calibrate/1", read_calibrate, "a calibrate without predictions"},
    {READ_CHECK, NULL, "a check says whether outputs are right, which omnibus report shows as a table"},
    {"omnibus.topo/1", NULL, "topo shows the host, and times nothing"},
    {"omnibus.synth/1", NULL, "synth writes a checkpoint, and times nothing"},
};

static const struct schema *schema_of(const json_t *root) {
    const char *name = json_string_value(json_object_get(root, "schema"));
    for (size_t i = 0; name && i < sizeof schemas / sizeof *schemas; i++)
        if (strcmp(name, schemas[i].name) == 0) return &schemas[i];
    return NULL;
}

omni_status read_check(const json_t *root, const char *path, omni_error *err) {
    const char *name = json_string_value(json_object_get(root, "schema"));
    if (name && strncmp(name, "omnibus.", 8) == 0) return OMNI_OK; /* of another version, even */
    return omni_error_set(err, OMNI_BAD_INPUT,
                          name ? "%s: schema is '%.40s' (expected what omnibus writes with --format json)"
                               : "%s: no \"schema\"%.0s (expected what omnibus writes with --format json)",
                          path, name ? name : "");
}

void read_result(omni_results *r, const json_t *root) {
    const struct schema *schema = schema_of(root);
    const char *cpu = json_string_value(json_object_get(json_object_get(root, "host"), "cpu_model"));
    char source[64];
    snprintf(source, sizeof source, "host %.50s", cpu ? cpu : "?");
    if (schema && schema->read) schema->read(r, root, source);
}

const char *omni_results_unseen(const json_t *file, bool page) {
    const struct schema *schema = schema_of(json_object_get(file, "result"));
    if (!schema) return "of a kind that this version does not know";
    if (json_integer_value(json_object_get(file, "offered")) > 0) return NULL;
    return page && strcmp(schema->name, READ_CHECK) == 0 ? NULL : schema->empty;
}
