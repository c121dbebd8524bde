/* test_subheads.c: attention by sub-heads: how ranks share heads and dims, the pieces of the bus that this
 * needs, plans with planted faults, and what is moved against a hand count.
 */
#include <stdio.h>

#include "omnibus/fabric.h"
#include "subheads_tools.h"

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
