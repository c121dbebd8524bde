/* bench_tests.c: the tests of every cell, depth by depth: pp for each --prompt, tg for each --gen, and each
 * --pg.
 *
 * Without --prompt and --gen the tests are those of the defaults, but no longer than the model's positions.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

enum { MOST_TESTS = 1 << 16, MOST_TOKENS = 1 << 24 };

/* What is measured at each depth. */
typedef struct lengths {
    bench_list prompt, gen, depth;
    bench_test *pg; /* [pgs] */
    size_t pgs;
} lengths;

/* --- options ---------------------------------------------------------------------------------- */

static omni_status refuse_decoding(const cli *c, omni_error *err) {
    static const omni_option_id decoders[] = {OMNI_OPT_GEN, OMNI_OPT_PG, OMNI_OPT_DECODE_PLAN};
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++) {
        const char *given = omni_settings_get(c->settings, decoders[i]);
        if (given && strcmp(given, "0") != 0)
            return omni_error_set(
                err, OMNI_BAD_INPUT,
                "--%s: %s models are encoders: there is no decode phase (expected --prompt)",
                omni_option_at(decoders[i])->name, c->model->family);
    }
    return OMNI_OK;
}

static omni_status read_pg(const char *text, bench_test *out, omni_error *err) {
    size_t *value = NULL, count = 0;
    omni_status status = strchr(text, '-')
                             ? OMNI_BAD_INPUT
                             : omni_number_list(text, "--pg", 1, MOST_TOKENS, &value, &count, NULL);
    if (!status && count == 2) *out = (bench_test){.prompt = value[0], .gen = value[1]};
    omni_free(value);
    if (!status && count == 2) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT,
                          "--pg: '%.60s' (expected P,G: prompt tokens and tokens to generate)", text);
}

static omni_status read_pgs(const cli *c, lengths *l, omni_error *err) {
    omni_status status = OMNI_OK;
    l->pgs = omni_settings_count(c->settings, OMNI_OPT_PG);
    l->pg = omni_alloc_array(l->pgs, sizeof *l->pg);
    if (l->pgs && !l->pg) return omni_error_set(err, OMNI_RUN_FAILED, "bench: out of memory");
    for (size_t i = 0; i < l->pgs && !status; i++)
        status = read_pg(omni_settings_nth(c->settings, OMNI_OPT_PG, i), &l->pg[i], err);
    return status;
}

/* A default that is longer than the model allows is as long as it allows. */
static void fit_default(const cli *c, omni_option_id id, bench_list *l) {
    size_t most = c->model->shape.positions;
    if (!omni_settings_get(c->settings, id) && l->value[0] > most) l->value[0] = most;
}

static omni_status read_lengths(const cli *c, lengths *l, omni_error *err) {
    omni_status status =
        cli_numbers(c, OMNI_OPT_PROMPT, 0, MOST_TOKENS, &l->prompt.value, &l->prompt.count, err);
    if (!status) status = cli_numbers(c, OMNI_OPT_GEN, 0, MOST_TOKENS, &l->gen.value, &l->gen.count, err);
    if (!status)
        status = cli_numbers(c, OMNI_OPT_DEPTH, 0, MOST_TOKENS, &l->depth.value, &l->depth.count, err);
    if (!status) status = read_pgs(c, l, err);
    if (!status && c->model->shape.encoder) status = refuse_decoding(c, err);
    if (status) return status;
    fit_default(c, OMNI_OPT_PROMPT, &l->prompt);
    fit_default(c, OMNI_OPT_GEN, &l->gen);
    if (c->model->shape.encoder) l->gen.count = 0;
    for (size_t i = 0; i < l->depth.count && c->model->shape.encoder; i++)
        if (l->depth.value[i])
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "--depth: %s models are encoders: there is no cache (expected 0)",
                                  c->model->family);
    return OMNI_OK;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void name_test(bench_test *t, bool encoder) {
    char depth[32] = "";
    if (t->depth) snprintf(depth, sizeof depth, " @ d%zu", t->depth);
    if (t->prompt && t->gen)
        snprintf(t->name, sizeof t->name, "pp%zu+tg%zu%s", t->prompt, t->gen, depth);
    else
        snprintf(t->name, sizeof t->name, "%s%zu%s",
                 encoder     ? "encode"
                 : t->prompt ? "pp"
                             : "tg",
                 t->prompt + t->gen, depth);
}

static void add(bench *b, bench_test t, size_t depth) {
    if (t.prompt + t.gen == 0) return;
    t.depth = depth;
    name_test(&t, b->c->model->shape.encoder);
    b->test[b->tests++] = t;
}

static omni_status lay_out(bench *b, const lengths *l, omni_error *err) {
    size_t each = l->prompt.count + l->gen.count + l->pgs; /* the lists have at most 2^16 each */
    if (each * l->depth.count > MOST_TESTS)
        return omni_error_set(err, OMNI_BAD_INPUT, "bench: too many tests (expected shorter lists)");
    b->test = omni_alloc_array(each * l->depth.count, sizeof *b->test);
    if (!b->test) return omni_error_set(err, OMNI_RUN_FAILED, "bench: no memory for the tests");
    for (size_t d = 0; d < l->depth.count; d++) {
        size_t depth = l->depth.value[d];
        for (size_t i = 0; i < l->prompt.count; i++)
            add(b, (bench_test){.prompt = l->prompt.value[i]}, depth);
        for (size_t i = 0; i < l->gen.count; i++) add(b, (bench_test){.gen = l->gen.value[i]}, depth);
        for (size_t i = 0; i < l->pgs; i++) add(b, l->pg[i], depth);
    }
    if (b->tests) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "bench: no test (expected --prompt%s above 0)",
                          b->c->model->shape.encoder ? "" : ", --gen or --pg");
}

omni_status bench_read_tests(bench *b, omni_error *err) {
    lengths l = {0};
    omni_status status = read_lengths(b->c, &l, err);
    if (!status) status = lay_out(b, &l, err);
    omni_free(l.prompt.value);
    omni_free(l.gen.value);
    omni_free(l.depth.value);
    omni_free(l.pg);
    return status;
}
