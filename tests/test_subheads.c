/* test_subheads.c: attention by sub-heads: how ranks share heads and dims, the pieces of the bus that this
 * needs, the kernels of its two halves against float64, what is moved against a hand count, plans with
 * planted faults, and whole runs of models of every kind against the float64 reference.
 */
#include <stdio.h>

#include "kernel_tools.h"
#include "omnibus/fabric.h"
#include "omnibus/verify.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- models ----------------------------------------------------------------------------------- */

static const char LLAMA[] =
    "{\"model_type\": \"llama\", \"hidden_size\": 48, \"num_attention_heads\": 6, \"num_key_value_heads\": 2,"
    "\"head_dim\": 10, \"num_hidden_layers\": 2, \"intermediate_size\": 40, \"vocab_size\": 101,"
    "\"max_position_embeddings\": 1024, \"rms_norm_eps\": 1e-6, \"hidden_act\": \"silu\","
    "\"attention_bias\": true, \"tie_word_embeddings\": false}";
static const char ONE_HEAD[] =
    "{\"model_type\": \"llama\", \"hidden_size\": 24, \"num_attention_heads\": 1, \"num_key_value_heads\": 1,"
    "\"head_dim\": 6, \"num_hidden_layers\": 2, \"intermediate_size\": 20, \"vocab_size\": 61,"
    "\"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-6, \"hidden_act\": \"silu\","
    "\"tie_word_embeddings\": true}";
static const char GPT2[] =
    "{\"model_type\": \"gpt2\", \"n_embd\": 21, \"n_head\": 3, \"n_layer\": 2, \"n_positions\": 64,"
    "\"vocab_size\": 97, \"n_inner\": 40, \"activation_function\": \"gelu_new\","
    "\"layer_norm_epsilon\": 1e-5}";
static const char BERT[] =
    "{\"model_type\": \"bert\", \"hidden_size\": 33, \"num_attention_heads\": 3, \"num_hidden_layers\": 2,"
    "\"intermediate_size\": 50, \"vocab_size\": 97, \"max_position_embeddings\": 64, \"type_vocab_size\": 2,"
    "\"layer_norm_eps\": 1e-12, \"hidden_act\": \"gelu\"}";

static omni_model *parse_model(const char *json) {
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(omni_model_parse(json, strlen(json), "test", &m, &err), OMNI_OK, "%s", err.text);
    return m;
}

/* NULL and the sentence in err: refused. */
static omni_plan *compile_plan(const omni_model *m, const char *text, size_t pes, omni_error *err) {
    omni_plan_spec spec;
    omni_plan *plan;
    cr_assert_eq(omni_plan_parse(text, &spec, err), OMNI_OK, "%s", err->text);
    omni_status st = omni_plan_compile(m, &spec, pes, &plan, err);
    cr_assert(st == OMNI_OK || st == OMNI_BAD_INPUT, "%s: %s", text, err->text);
    return plan;
}

/* --- who has what ----------------------------------------------------------------------------- */

Test(subheads, splits_in_runs_tile_and_never_cross_a_run) {
    for (size_t runs = 1; runs <= 5; runs++)
        for (size_t each = 0; each <= 7; each++)
            for (size_t parts = runs; parts <= 40; parts++) {
                size_t next = 0;
                for (size_t i = 0; i < parts; i++) {
                    omni_range r = omni_split_runs(runs, each, parts, i);
                    if (r.count) cr_assert_eq(r.start, next);
                    if (r.count) cr_assert_eq(r.start / each, (r.start + r.count - 1) / each);
                    if (runs == 1) cr_assert_eq(r.start, omni_split(each, parts, i).start);
                    next += r.count;
                }
                cr_assert_eq(next, runs * each);
            }
}

static void check_shares(const omni_shape *s, size_t p) {
    size_t next = 0, unit = omni_subhead_unit(s), share = s->heads / s->kv_heads;
    for (size_t i = 0; i < p; i++) {
        omni_subhead mine = omni_subhead_of(s, p, i);
        omni_range piece = omni_split(p, s->heads, mine.head);
        omni_range kv = omni_kv_features(OMNI_KV_SUBHEADS, s, p, i);
        cr_assert(i >= piece.start && i < piece.start + piece.count);
        cr_assert_eq(mine.dims.count % unit, 0);
        cr_assert_eq(kv.count, mine.dims.count);
        if (mine.dims.count == 0) continue;
        cr_assert_eq(mine.head * s->head_dim + mine.dims.start, next);
        cr_assert_eq(kv.start, mine.head / share * s->head_dim + mine.dims.start);
        next += mine.dims.count;
    }
    cr_assert_eq(next, s->heads * s->head_dim);
}

Test(subheads, dims_tile_every_head_and_pairs_never_part) {
    static const omni_shape shapes[] = {
        {.heads = 6, .kv_heads = 2, .head_dim = 10, .rope_theta = 1e4},
        {.heads = 1, .kv_heads = 1, .head_dim = 6, .rope_theta = 1e4},
        {.heads = 3, .kv_heads = 3, .head_dim = 7},
        {.heads = 8, .kv_heads = 4, .head_dim = 1},
    };
    for (size_t k = 0; k < COUNT(shapes); k++)
        for (size_t p = shapes[k].heads + 1; p <= 100; p++) check_shares(&shapes[k], p);
}

/* What a value says its slices are is what the ranks keep and yield. */
Test(subheads, slices_of_values_are_those_of_the_ranks) {
    omni_model *m = parse_model(LLAMA);
    const omni_shape *s = &m->shape;
    for (size_t p = 7; p <= 70; p += 3) {
        omni_error err = {0};
        omni_plan *plan = compile_plan(m, "attn=subheads", p, &err);
        for (size_t at = 0; at < plan->step_count; at++) {
            const omni_step *step = &plan->step[at];
            if (step->kind != OMNI_STEP_SCORES && step->kind != OMNI_STEP_WEIGH) continue;
            const omni_value *v = &plan->value[step->kind == OMNI_STEP_SCORES ? step->in[0] : step->out];
            for (size_t i = 0; i < p; i++) {
                omni_subhead mine = omni_subhead_of(s, p, i);
                omni_range q = omni_value_owned(v, 0, p, i), kv = omni_kv_features(OMNI_KV_SUBHEADS, s, p, i);
                cr_assert_eq(q.count, mine.dims.count);
                if (q.count) cr_assert_eq(q.start, mine.head * s->head_dim + mine.dims.start);
                for (size_t j = 1; j < v->parts; j++) {
                    omni_range owned = omni_value_owned(v, j, p, i);
                    cr_assert_eq(owned.count, kv.count);
                    if (kv.count) cr_assert_eq(owned.start, kv.start);
                }
            }
        }
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

Test(subheads, columns_of_a_tree_gather_are_the_slices) {
    omni_sliced s = {.rows = 1,
                     .stride = 1000,
                     .parts = 1,
                     .part[0] = {.offset = 8, .units = 5, .unit_bytes = 4, .runs = 3}};
    for (size_t p = 3; p <= 30; p++)
        for (size_t lo = 0; lo < p; lo++)
            for (size_t hi = lo + 1; hi <= p; hi++) {
                size_t units = 0;
                for (size_t i = lo; i < hi; i++) units += omni_split_runs(3, 5, p, i).count;
                omni_view v = omni_sliced_view(&s, NULL, p, lo, hi);
                cr_assert_eq(v.span[0].bytes, 4 * units);
                if (units) cr_assert_eq(v.span[0].offset, 8 + 4 * omni_split_runs(3, 5, p, lo).start);
            }
}

/* --- pieces of the bus ------------------------------------------------------------------------ */

static void check_pieces(const omni_mesh *mesh) {
    size_t count = omni_mesh_pieces(mesh), seen = 0;
    bool taken[512] = {false};
    cr_assert_lt(count, COUNT(taken));
    for (size_t cut = 0; cut < OMNI_CUT_ALL; cut++)
        for (size_t g = 0; g < mesh->groups; g++)
            for (size_t s = 0; s + (cut == OMNI_CUT_BOUNDARY) < mesh->stages; s++) {
                size_t next = omni_mesh_ranks(mesh, g, s).start;
                for (size_t k = 0; k < omni_mesh_pieces_in(mesh, (omni_cut)cut); k++, seen++) {
                    size_t number = omni_mesh_piece_number(mesh, (omni_cut)cut, g, s, k);
                    omni_range piece = omni_mesh_piece(mesh, (omni_cut)cut, g, s, k);
                    cr_assert_lt(number, count);
                    cr_assert_not(taken[number]);
                    taken[number] = true;
                    cr_assert_eq(piece.start, next);
                    cr_assert_gt(piece.count, 0);
                    next += piece.count;
                }
                omni_range ranks = omni_mesh_ranks(mesh, g, s);
                if (cut == OMNI_CUT_STAGE || (cut == OMNI_CUT_HEAD && mesh->heads))
                    cr_assert_eq(next, ranks.start + ranks.count);
            }
    if (mesh->joined) {
        cr_assert_eq(omni_mesh_piece_number(mesh, OMNI_CUT_ALL, 0, 0, 0), seen++);
        cr_assert_eq(omni_mesh_piece(mesh, OMNI_CUT_ALL, 0, 0, 0).count, mesh->used);
    }
    cr_assert_eq(seen, count);
}

Test(subheads, every_head_has_a_piece_where_the_plan_uses_it) {
    omni_model *m = parse_model(LLAMA);
    static const char *const texts[] = {
        "attn=subheads",          "groups=2:attn=subheads",
        "stages=2:attn=subheads", "groups=2:stages=2:attn=heads/attn=subheads",
        "groups=2:stages=2",      "lockstep"};
    for (size_t t = 0; t < COUNT(texts); t++)
        for (size_t pes = 28; pes < 50; pes++) {
            omni_error err = {0};
            omni_plan *plan = compile_plan(m, texts[t], pes, &err);
            cr_assert_not_null(plan, "%s", err.text);
            cr_assert_eq(plan->mesh.heads, strstr(texts[t], "subheads") ? m->shape.heads : 0);
            check_pieces(&plan->mesh);
            omni_plan_free(plan);
        }
    omni_model_free(m);
}

/* --- kernels ---------------------------------------------------------------------------------- */

enum { QUERIES = 11, KEYS = 75, DIM = 37, LD = DIM + 3, SLICES = 4 };

/* softmax(scale q k^T) v of one query in float64; it sees the first `sees` keys. */
static void attend_in_double(const float *q, const float *k, const float *v, size_t dim, size_t sees,
                             double scale, double *out) {
    double s[KEYS], max = -INFINITY, sum = 0;
    for (size_t j = 0; j < sees; j++) {
        s[j] = 0;
        for (size_t d = 0; d < dim; d++) s[j] += scale * (double)q[d] * (double)k[j * dim + d];
        max = s[j] > max ? s[j] : max;
    }
    for (size_t d = 0; d < dim; d++) out[d] = 0;
    for (size_t j = 0; j < sees; j++) {
        sum += exp(s[j] - max);
        for (size_t d = 0; d < dim; d++) out[d] += exp(s[j] - max) * (double)v[j * dim + d];
    }
    for (size_t d = 0; d < dim; d++) out[d] /= sum;
}

typedef struct halves {
    guarded scores, sum, q, k, v, out;
    float *all_q, *all_k, *all_v; /* [rows, dim] */
} halves;

static halves halves_make(void) {
    const size_t f = sizeof(float), packed = QUERIES * KEYS;
    halves h = {guarded_make(packed * f),     guarded_make(packed * f),     guarded_make(QUERIES * LD * f),
                guarded_make(KEYS * DIM * f), guarded_make(KEYS * DIM * f), guarded_make(QUERIES * LD * f),
                calloc(QUERIES, DIM * f),     calloc(KEYS, DIM * f),        calloc(KEYS, DIM * f)};
    cr_assert(h.all_q && h.all_k && h.all_v);
    fill_random(h.all_q, QUERIES * DIM, 1);
    fill_random(h.all_k, KEYS * DIM, 2);
    fill_random(h.all_v, KEYS * DIM, 3);
    return h;
}

static void halves_free(halves *h) {
    const guarded all[] = {h->scores, h->sum, h->q, h->k, h->v, h->out};
    for (size_t i = 0; i < COUNT(all); i++) guarded_free(all[i]);
    free(h->all_q);
    free(h->all_k);
    free(h->all_v);
}

/* Columns `dims` of [rows, dim] into rows ld apart, against a guard page. */
static float *slice(guarded to, const float *from, size_t rows, size_t dim, omni_range dims, size_t ld) {
    size_t floats = rows ? (rows - 1) * ld + dims.count : 0;
    float *x = guarded_place(to, floats * sizeof *x, true);
    fill(x, floats, CANARY);
    for (size_t r = 0; r < rows && dims.count; r++)
        memcpy(x + r * ld, from + r * dim + dims.start, dims.count * sizeof *x);
    return x;
}

/* Addends of the scores from slices of the dims, summed; then each slice of the values weighed. */
static void check_halves(halves *h, size_t dim, size_t queries, size_t first, size_t keys) {
    omni_scores s = {.queries = queries, .query_first = first, .keys = keys, .scale = 1 / sqrtf((float)dim)};
    size_t packed = omni_scores_count(&s), seen = 0;
    for (size_t i = 0; i < queries; i++) seen += first + i + 1 < keys ? first + i + 1 : keys;
    cr_assert_eq(packed, seen);
    float *sum = guarded_place(h->sum, packed * sizeof *sum, true);
    fill(sum, packed, 0);
    for (size_t c = 0; c < SLICES; c++) {
        omni_range dims = omni_split(dim, SLICES, c);
        s.dims = dims.count;
        s.scores = guarded_place(h->scores, packed * sizeof *sum, true);
        fill(s.scores, packed, CANARY);
        omni_scores_partial(&s, slice(h->q, h->all_q, queries, dim, dims, LD), LD,
                            slice(h->k, h->all_k, keys, dim, dims, dims.count));
        omni_combine_sum(sum, s.scores, packed * sizeof *sum, NULL);
    }
    for (size_t c = 0; c < SLICES; c++) {
        omni_range dims = omni_split(dim, SLICES, c);
        s.dims = dims.count;
        memcpy(s.scores, sum, packed * sizeof *sum);
        size_t floats = dims.count ? (queries - 1) * LD + dims.count : 0;
        float *out = guarded_place(h->out, floats * sizeof *out, true);
        fill(out, floats, CANARY);
        omni_scores_weigh(&s, slice(h->v, h->all_v, keys, dim, dims, dims.count), out, LD);
        check_gaps(out, floats, dims.count, LD);
        for (size_t i = 0; i < queries; i++) {
            double want[DIM];
            attend_in_double(h->all_q + i * dim, h->all_k, h->all_v, dim,
                             first + i + 1 < keys ? first + i + 1 : keys, 1 / sqrt((double)dim), want);
            for (size_t d = 0; d < dims.count; d++)
                cr_assert(fabs((double)out[i * LD + d] - want[dims.start + d]) <= 2e-6);
        }
    }
}

ISA_TEST(sub_heads_in_two_halves_are_attention) {
    static const size_t dims[] = {1, 2, 3, 7, 16, DIM}, queries[] = {1, 2, 3, 4, 5, QUERIES};
    halves h = halves_make();
    for (size_t d = 0; d < COUNT(dims); d++)
        for (size_t q = 0; q < COUNT(queries); q++) {
            check_halves(&h, dims[d], queries[q], 0, queries[q]);           /* the first tokens */
            check_halves(&h, dims[d], queries[q], KEYS - queries[q], KEYS); /* behind others */
            check_halves(&h, dims[d], queries[q], queries[q] + 3,
                         queries[q] + 4); /* an encoder: all see all */
        }
    halves_free(&h);
}

/* A query alone, and among others, has the same bits: blocks of queries may be cut anywhere. */
ISA_TEST(sub_head_bits_do_not_depend_on_other_rows) {
    halves h = halves_make();
    float together[QUERIES * KEYS], alone[KEYS], out[2][DIM], all_out[QUERIES][DIM];
    omni_scores s = {together, QUERIES, 40, KEYS, DIM, 0.3f};
    omni_scores_partial(&s, h.all_q, DIM, h.all_k);
    float kept[QUERIES * KEYS];
    memcpy(kept, together, sizeof kept);
    omni_scores_weigh(&s, h.all_v, all_out[0], DIM);
    for (size_t i = 0, at = 0; i < QUERIES; at += 41 + i, i++) {
        omni_scores one = {alone, 1, 40 + i, KEYS, DIM, 0.3f};
        omni_scores_partial(&one, h.all_q + i * DIM, DIM, h.all_k);
        cr_assert_eq(memcmp(alone, kept + at, (41 + i) * sizeof *alone), 0, "scores of query %zu", i);
        omni_scores_weigh(&one, h.all_v, out[0], DIM);
        cr_assert_eq(memcmp(out[0], all_out[i], sizeof out[0]), 0, "query %zu", i);
    }
    halves_free(&h);
}

Test(subheads, pairs_turn_as_they_do_in_a_whole_head) {
    enum { DIMS = 12, POSITIONS = 9 };
    double inverse[DIMS / 2];
    float cosines[POSITIONS * DIMS / 2], sines[POSITIONS * DIMS / 2], x[DIMS], paired[DIMS];
    for (size_t i = 0; i < DIMS / 2; i++) inverse[i] = 1 / (double)(i + 1);
    omni_rope_table(POSITIONS, DIMS, inverse, cosines, sines);
    for (size_t parts = 1; parts <= DIMS; parts++) {
        fill_random(x, DIMS, parts);
        for (size_t i = 0; i < DIMS; i++) paired[i] = x[i / 2 + i % 2 * (DIMS / 2)];
        omni_rope_row(x, 1, DIMS, 8, cosines, sines);
        for (size_t k = 0; k < parts; k++) {
            omni_range pairs = omni_split(DIMS / 2, parts, k);
            omni_rope_pairs(paired + 2 * pairs.start, pairs.start, pairs.count, DIMS, 8, cosines, sines);
        }
        for (size_t i = 0; i < DIMS; i++) cr_assert(paired[i] == x[i / 2 + i % 2 * (DIMS / 2)]);
    }
}

/* --- plans ------------------------------------------------------------------------------------ */

Test(subheads, no_more_pes_than_heads_are_refused_in_one_sentence) {
    omni_model *m = parse_model(LLAMA);
    static const struct {
        const char *text;
        size_t pes, stage; /* 0: it can be */
    } cases[] = {{"attn=subheads", 1, 1},
                 {"attn=subheads", 6, 6},
                 {"attn=subheads", 7, 0},
                 {"attn=tokens/attn=subheads", 6, 6},
                 {"groups=2:attn=subheads", 13, 6},
                 {"groups=2:attn=subheads", 14, 0},
                 {"stages=2:attn=subheads/attn=heads", 13, 6},
                 {"stages=2:attn=subheads/attn=heads", 14, 0},
                 {"replica:attn=subheads", 50, 1},
                 {"attn=heads", 6, 0},
                 {"single", 3, 0}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_error err = {0};
        char number[24];
        omni_plan *plan = compile_plan(m, cases[i].text, cases[i].pes, &err);
        cr_expect_eq(plan == NULL, cases[i].stage > 0, "%s on %zu: %s", cases[i].text, cases[i].pes,
                     err.text);
        snprintf(number, sizeof number, " %zu for 6 heads", cases[i].stage);
        if (!plan) cr_expect(strstr(err.text, number) && strstr(err.text, "attn=heads"), "%s", err.text);
        if (!plan) cr_expect(strstr(err.text, "attention by sub-heads"), "%s", err.text);
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

static const char *const PLANS[] = {
    "attn=subheads",
    "attn=subheads:qkv=in:o=out",
    "attn=subheads:o=out:gather=bus",
    "attn=subheads:qkv=in:edge=scatter",
    "attn=subheads:qkv=in:o=out:gather=bus:edge=scatter:ffn=in+out",
    "workflow1:attn=subheads/workflow2",
    "attn=subheads/attn=tokens",
    "groups=2:attn=subheads",
    "stages=2:attn=subheads",
    "groups=2:stages=2:stack=1:chunk=3:qkv=in:attn=heads/attn=subheads",
};

Test(subheads, every_plan_on_every_number_of_pes_is_proved) {
    static const char *const models[] = {LLAMA, ONE_HEAD, GPT2, BERT};
    size_t proved = 0;
    for (size_t k = 0; k < COUNT(models); k++) {
        omni_model *m = parse_model(models[k]);
        for (size_t t = 0; t < COUNT(PLANS); t++)
            for (size_t pes = 2; pes <= 60; pes++) {
                omni_error err = {0};
                omni_plan *plan = compile_plan(m, PLANS[t], pes, &err);
                if (!plan) continue;
                cr_expect_eq(omni_plan_check(plan, 16, &err), OMNI_OK, "%s", err.text);
                omni_plan_free(plan);
                proved++;
            }
        omni_model_free(m);
    }
    cr_expect_gt(proved, 1500);
}

static const char *const FAULTS[] = {"a step is lost",
                                     "the whole stage instead of a head",
                                     "a head instead of the whole stage",
                                     "the wrong rank writes",
                                     "a writer outside the piece",
                                     "scores belong to the stage",
                                     "no pairs in the queries",
                                     "pairs in the values",
                                     "whole heads are kept",
                                     "the output is cut by features",
                                     "no heads in the mesh"};

static bool about_heads(const omni_plan *plan, const omni_step *s) {
    return s->cut == OMNI_CUT_HEAD || s->kind == OMNI_STEP_SCORES || s->kind == OMNI_STEP_WEIGH ||
           (s->kind == OMNI_STEP_KV_APPEND && plan->kv[s->layer] == OMNI_KV_SUBHEADS);
}

static void lose_step(omni_plan *plan, size_t at) {
    memmove(&plan->step[at], &plan->step[at + 1], (plan->step_count - at - 1) * sizeof *plan->step);
    plan->step_count--;
    plan->block[0].count--;
}

/* False: this fault cannot be at this step. */
static bool plant(omni_plan *plan, size_t at, size_t fault) {
    omni_step *s = &plan->step[at];
    omni_value *in = &plan->value[s->in[0]], *out = s->out == OMNI_NO_VALUE ? NULL : &plan->value[s->out];
    bool message = omni_step_is_message(s), append = s->kind == OMNI_STEP_KV_APPEND;
    const bool here[] = {true,
                         message,
                         false, /* at other steps: below */
                         message,
                         message,
                         s->kind == OMNI_STEP_BROADCAST,
                         s->kind == OMNI_STEP_SCORES,
                         append,
                         append,
                         s->kind == OMNI_STEP_WEIGH,
                         message};
    if (!here[fault]) return false;
    if (fault == 0) lose_step(plan, at);
    if (fault == 1) s->cut = OMNI_CUT_STAGE;
    if (fault == 3) s->root = 1;
    if (fault == 4) s->root = 3;
    if (fault == 5) in->over = out->over = OMNI_CUT_STAGE;
    if (fault == 6) in->part[0].paired = 0;
    if (fault == 7) in->part[2].paired = in->part[0].paired;
    if (fault == 8) plan->kv[s->layer] = OMNI_KV_HEADS;
    if (fault == 9) out->part[0].runs = 1, out->part[0].units = 30;
    if (fault == 10) plan->mesh.heads = 0;
    return true;
}

Test(subheads, the_prover_finds_planted_faults) {
    omni_model *m = parse_model(LLAMA);
    omni_error err = {0};
    size_t planted[COUNT(FAULTS)] = {0};
    omni_plan *good = compile_plan(m, "attn=subheads:qkv=in", 15, &err);
    for (size_t at = 0; at < good->step_count; at++)
        for (size_t fault = 0; fault < COUNT(FAULTS) && about_heads(good, &good->step[at]); fault++) {
            omni_plan *plan = compile_plan(m, "attn=subheads:qkv=in", 15, &err);
            bool is = plant(plan, at, fault);
            planted[fault] += is;
            cr_expect(!is || omni_plan_check(plan, 16, NULL) == OMNI_RUN_FAILED,
                      "%s: not found at step %zu, %s", FAULTS[fault], at,
                      omni_step_name(good->step[at].kind));
            omni_plan_free(plan);
        }
    for (size_t at = 0; at < good->step_count;
         at++) { /* sums and broadcasts of all ranks, cut at the heads */
        omni_step *s = &good->step[at];
        if (s->cut != OMNI_CUT_STAGE || (s->kind != OMNI_STEP_REDUCE && s->kind != OMNI_STEP_BROADCAST))
            continue;
        s->cut = OMNI_CUT_HEAD;
        cr_expect_eq(omni_plan_check(good, 16, NULL), OMNI_RUN_FAILED, "step %zu", at);
        s->cut = OMNI_CUT_STAGE;
        planted[2]++;
    }
    for (size_t i = 0; i < good->weight_count; i++) { /* rows of W in another order than what they yield */
        size_t *paired = &good->weight[i].out.part[1].paired, kept = *paired;
        *paired = kept ? 0 : m->shape.head_dim;
        if (good->weight[i].op->role == OMNI_ROLE_QKV)
            cr_expect_eq(omni_plan_check(good, 16, NULL), OMNI_RUN_FAILED, "weight %zu", i);
        *paired = kept;
    }
    cr_expect_eq(omni_plan_check(good, 16, NULL), OMNI_OK);
    for (size_t i = 0; i < COUNT(FAULTS); i++) cr_expect_gt(planted[i], 0, "never planted: %s", FAULTS[i]);
    omni_plan_free(good);
    omni_model_free(m);
}

/* --- what moves ------------------------------------------------------------------------------- */

/* Of the scores alone, by hand: in each piece of d ranks d - 1 addends and one broadcast of 4 bytes a
 * score. */
static void count_by_hand(const omni_shape *s, size_t p, uint64_t scores, omni_counters *c) {
    *c = (omni_counters){0};
    for (size_t a = 0; a < s->heads; a++) {
        size_t d = p / s->heads + (a < p % s->heads);
        c->reductions += d > 1;
        c->broadcasts += d > 1;
        c->broadcast_bytes += d > 1 ? 4 * scores : 0;
        c->tree_bytes += (d - 1) * 4 * scores;
        for (size_t reach = 1; reach < d; reach *= 2) c->tree_levels++;
    }
}

static void check_counts(const char *json, uint64_t (*scores_of)(size_t first, size_t count)) {
    omni_model *m = parse_model(json);
    const size_t first[] = {0, 4, 9}, counts[] = {7, 1, 3};
    uint64_t scores = 0;
    for (size_t s = 0; s < COUNT(counts); s++) scores += scores_of(first[s], counts[s]);
    omni_extent x = {.tokens = 11, .sequences = COUNT(counts), .first = first, .counts = counts};
    for (size_t pes = m->shape.heads + 1; pes < 40; pes++) {
        omni_error err = {0};
        omni_plan *plan = compile_plan(m, "attn=subheads", pes, &err);
        omni_counters got = {0}, want, one;
        for (size_t at = 0; at < plan->step_count; at++) {
            if (plan->step[at].cut != OMNI_CUT_HEAD || plan->step[at].layer != 1) continue;
            omni_step_count(plan, &plan->step[at], x, &one);
            omni_counters_add(&got, &one);
        }
        count_by_hand(&m->shape, pes, scores, &want);
        cr_assert(omni_counters_equal(&got, &want), "%zu PEs", pes);
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

static uint64_t seen_scores(size_t first, size_t count) {
    uint64_t n = 0;
    for (size_t i = 0; i < count; i++) n += first + i + 1;
    return n;
}

static uint64_t all_scores(size_t first, size_t count) {
    return (uint64_t)count * (first + count);
}

Test(subheads, counts_are_those_derived_by_hand) {
    check_counts(LLAMA, seen_scores);
    check_counts(GPT2, seen_scores);
    check_counts(BERT, all_scores);
}

/* Room for the scores of any pass: tokens on the sequences in any way, each of at most `longest`
 * positions. */
Test(subheads, the_room_for_scores_is_enough_and_cannot_wrap) {
    for (size_t tokens = 1; tokens <= 12; tokens++)
        for (size_t longest = 1; longest <= 12; longest++) {
            const omni_extent most = {.tokens = tokens, .sequences = 2, .longest = longest};
            for (size_t a = 0; a <= tokens && a <= longest; a++)
                for (size_t b = 0; a + b <= tokens && b <= longest; b++) {
                    const size_t first[] = {longest - a, longest - b}, counts[] = {a, b};
                    const omni_extent x = {.tokens = a + b, .sequences = 2, .first = first, .counts = counts};
                    for (omni_rows r = OMNI_ROWS_SCORES; r <= OMNI_ROWS_SCORES_SEEN; r++)
                        cr_assert_leq(omni_rows_count(r, x, 9, 0), omni_rows_most(r, most, 9));
                }
        }
    const omni_extent one = {.tokens = 700, .sequences = 1, .longest = 700},
                      huge = {.tokens = SIZE_MAX / 2, .sequences = 3, .longest = 1 << 20}, none = {0};
    cr_assert_eq(omni_rows_most(OMNI_ROWS_SCORES_SEEN, one, 9), 700 * 701 / 2);
    cr_assert_eq(omni_rows_most(OMNI_ROWS_SCORES, one, 9), 700 * 700);
    cr_assert_eq(omni_rows_most(OMNI_ROWS_SCORES_SEEN, huge, 9), SIZE_MAX);
    cr_assert_eq(omni_rows_most(OMNI_ROWS_SCORES_SEEN, none, 9), 0);
}

/* --- whole runs ------------------------------------------------------------------------------- */

typedef struct bench {
    omni_model *model;
    omni_weights *weights;
    omni_topo *topo;
    omni_truth *truth;
    omni_stop stop;
} bench;

static bench bench_open(const char *json) {
    bench b = {.model = parse_model(json)};
    omni_error err = {0};
    omni_random_spec *specs;
    size_t count;
    cr_assert_eq(omni_kernel_init(&err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_random_specs(b.model, OMNI_F32, &specs, &count, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_open_random(specs, count, 5, &b.weights, &err), OMNI_OK, "%s", err.text);
    omni_free(specs);
    omni_bind_heads(b.model, b.weights);
    cr_assert_eq(omni_topo_open(NULL, NULL, &b.topo, &err), OMNI_OK, "%s", err.text);
    return b;
}

static void bench_close(bench *b) {
    omni_truth_free(b->truth);
    omni_topo_close(b->topo);
    omni_weights_close(b->weights);
    omni_model_free(b->model);
}

/* Against the truth, and the real counters against the plan's. */
static size_t check_run(bench *b, const char *text, size_t pes, size_t workers) {
    omni_error err = {0};
    omni_check_result r;
    omni_plan *plan = compile_plan(b->model, text, pes, &err);
    if (!plan) return 0;
    omni_engine_options o = {.model = b->model,
                             .weights = b->weights,
                             .plan = plan,
                             .topo = b->topo,
                             .workers = workers,
                             .stop = &b->stop};
    cr_assert_eq(omni_check_case(&o, b->truth, &r, &err), OMNI_OK, "%s on %zu PEs: %s", text, pes, err.text);
    cr_assert(r.passed, "%s on %zu PEs, %zu workers: %s", text, pes, workers, r.first_bad);
    omni_plan_free(plan);
    return 1;
}

#if defined(__SANITIZE_ADDRESS__)
enum { STEP = 9 };
#else
enum { STEP = 1 };
#endif

static void check_model(const char *json, size_t least) {
    static const size_t pes[] = {2, 4, 7, 9, 13, 17, 31, 40}, workers[] = {1, 2, 3};
    bench b = bench_open(json);
    omni_error err = {0};
    size_t ran = 0;
    cr_assert_eq(omni_truth_random(b.model, b.weights, 3, 3, 4, &b.stop, &b.truth, &err), OMNI_OK, "%s",
                 err.text);
    for (size_t i = 0; i < COUNT(PLANS) * COUNT(pes); i += STEP) {
        size_t n = pes[i % COUNT(pes)], w = workers[i % COUNT(workers)];
        ran += check_run(&b, PLANS[i / COUNT(pes)], n, w < n ? w : n);
    }
    cr_expect_geq(ran * STEP, least);
    bench_close(&b);
}

Test(subheads, llama_of_grouped_queries_is_right, .timeout = 300) {
    check_model(LLAMA, 35);
}
Test(subheads, llama_of_one_head_is_right, .timeout = 300) {
    check_model(ONE_HEAD, 60);
}
Test(subheads, gpt2_of_odd_heads_is_right, .timeout = 300) {
    check_model(GPT2, 50);
}
Test(subheads, bert_of_odd_heads_is_right, .timeout = 300) {
    check_model(BERT, 50);
}

/* 245,350 scores a head: many chunks on the ring, blocks of queries, an odd number of ranks a head. */
Test(subheads, a_long_prompt_is_right, .timeout = 300) {
    enum { TOKENS = 700 };
    static int32_t ids[TOKENS];
    const int32_t *const prompt[] = {ids};
    const size_t length = TOKENS;
    bench b = bench_open(LLAMA);
    omni_error err = {0};
    for (size_t i = 0; i < TOKENS; i++) ids[i] = (int32_t)(i * 37 % 101);
    cr_assert_eq(omni_truth_compute(b.model, b.weights, prompt, &length, 1, 2, &b.stop, &b.truth, &err),
                 OMNI_OK, "%s", err.text);
    cr_assert_eq(check_run(&b, "attn=subheads", 20, 2), 1);
    cr_assert_eq(check_run(&b, "stages=2:chunk=300:attn=subheads:qkv=in", 15, 2), 1);
    bench_close(&b);
}

/* Results do not depend on the number of workers. */
Test(subheads, bits_are_the_same_for_any_number_of_workers, .timeout = 300) {
    enum { PES = 16, TOKENS = 9 };
    bench b = bench_open(LLAMA);
    float logits[3][101];
    for (size_t k = 0; k < 3; k++) {
        static const size_t workers[] = {1, 5, PES};
        omni_error err = {0};
        omni_engine *e;
        const int32_t ids[TOKENS] = {3, 1, 4, 1, 5, 9, 2, 6, 5};
        const size_t capacity = TOKENS, count = TOKENS;
        int32_t next;
        omni_plan *plan = compile_plan(b.model, "attn=subheads", PES, &err);
        omni_engine_options o = {.model = b.model,
                                 .weights = b.weights,
                                 .plan = plan,
                                 .topo = b.topo,
                                 .workers = workers[k],
                                 .sequences = 1,
                                 .capacity = &capacity,
                                 .max_tokens = TOKENS,
                                 .taps = true,
                                 .stop = &b.stop};
        cr_assert_eq(omni_engine_create(&o, &e, &err), OMNI_OK, "%s", err.text);
        cr_assert_eq(omni_engine_forward(e, ids, &count, &next, &err), OMNI_OK, "%s", err.text);
        memcpy(logits[k], omni_engine_logits(e), sizeof logits[k]);
        omni_engine_free(e);
        omni_plan_free(plan);
        cr_assert_eq(memcmp(logits[0], logits[k], sizeof logits[0]), 0, "%zu workers", workers[k]);
    }
    bench_close(&b);
}
