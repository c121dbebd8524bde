/* test_claims.c: the notes' claims beside what plans move: every message is somebody's, and verdicts follow
 * from counts.
 */
#include <stdio.h>
#include <string.h>

#include "plan_tools.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { MOST = 8, TOKENS = 40 };

static const char *const MODELS[] = {"tests/golden/llama-tiny-gqa", "tests/golden/gpt2-tiny",
                                     "tests/golden/bert-tiny"};
static const size_t SIZES[] = {1, 2, 3, 4, 7, 33};

/* Extents of so many sequences of TOKENS tokens, and of a decode step behind them. */
typedef struct passes {
    size_t first[2][MOST], counts[2][MOST];
    omni_extent prefill, decode;
} passes;

static void fill(passes *p, const omni_model *m, size_t batch) {
    for (size_t i = 0; i < MOST; i++) {
        p->first[0][i] = 0;
        p->counts[0][i] = p->first[1][i] = TOKENS;
        p->counts[1][i] = 1;
    }
    p->prefill = (omni_extent){.tokens = batch * TOKENS,
                               .sequences = batch,
                               .marks = m->heads & OMNI_HEAD_MLM ? batch : 0,
                               .first = p->first[0],
                               .counts = p->counts[0]};
    p->decode = (omni_extent){0};
    if (!m->shape.encoder)
        p->decode =
            (omni_extent){.tokens = batch, .sequences = batch, .first = p->first[1], .counts = p->counts[1]};
}

static omni_claim *claims_of(const omni_plan *plan, size_t batch, size_t *count) {
    passes p;
    omni_claim *rows;
    omni_error err = {0};
    fill(&p, plan->model, batch);
    cr_assert_eq(omni_plan_claims(plan, p.prefill, p.decode, &rows, count, &err), OMNI_OK, "%s", err.text);
    return rows;
}

/* The first row of that item; of those without one, the first of that part. */
static const omni_claim *find(const omni_claim *rows, size_t count, const char *what) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].item ? rows[i].item : rows[i].part, what) == 0) return &rows[i];
    return NULL;
}

/* --- verdicts --------------------------------------------------------------------------------- */

static const struct {
    const char *plan;
    size_t pes;
    const char *what; /* item or part */
    omni_verdict verdict;
    const char *reason; /* has these words */
} expectations[] = {
    {"megatron", 4, "3.1", OMNI_CLAIM_HOLDS, ""},
    {"megatron", 4, "4.1", OMNI_CLAIM_HOLDS, ""},
    {"megatron", 4, "5.3", OMNI_CLAIM_HOLDS, ""},
    {"megatron", 4, "o=in", OMNI_CLAIM_ADDS, "1 reduction"},
    {"megatron", 4, "residuals", OMNI_CLAIM_ADDS, "2 broadcasts"},
    {"megatron", 4, "motivation 1", OMNI_CLAIM_HOLDS, ""},
    {"megatron", 4, "motivation 2", OMNI_CLAIM_IDLE, ""},
    {"megatron", 5, "motivation 3", OMNI_CLAIM_HOLDS, ""},
    {"megatron", 4, "motivation 4", OMNI_CLAIM_HOLDS, ""},
    {"megatron:o=out", 4, "4.1", OMNI_CLAIM_HOLDS_PLUS, "1 tree gather + 1 broadcast to o"},
    {"megatron:o=out", 4, "o=out", OMNI_CLAIM_ADDS, "nothing"},
    {"megatron:o=out", 4, "input", OMNI_CLAIM_ADDS, "SHARDED(feature) -> REPLICATED"},
    {"megatron:o=out:gather=bus", 4, "4.1", OMNI_CLAIM_HOLDS_PLUS, "4 broadcasts to o"},
    {"megatron:o=out:gather=bus", 4, "motivation 2", OMNI_CLAIM_HOLDS, "on the bus"},
    {"megatron:ffn=out+out", 4, "5.1", OMNI_CLAIM_FAILS, "1 tree gather in place of 1 reduction"},
    {"megatron:ffn=in+in", 4, "5.2", OMNI_CLAIM_FAILS, "1 broadcast in place of 3 addressed messages"},
    {"megatron:ffn=in+in:edge=scatter", 4, "5.2", OMNI_CLAIM_HOLDS, ""},
    {"megatron:ffn=in+in:edge=scatter", 4, "motivation 4", OMNI_CLAIM_FAILS, "addressed messages"},
    {"workflow1", 3, "5.4", OMNI_CLAIM_HOLDS, ""},
    {"workflow1", 3, "input", OMNI_CLAIM_ADDS, "1 tree gather + 1 broadcast"},
    {"workflow1", 3, "workflow 1", OMNI_CLAIM_HOLDS_PLUS, "input 1 tree gather + 1 broadcast"},
    {"workflow1", 2, "motivation 2", OMNI_CLAIM_HOLDS, "on the tree"},
    {"workflow1", 3, "motivation 2", OMNI_CLAIM_HOLDS, "on the tree"},
    {"workflow1", 4, "motivation 2", OMNI_CLAIM_FAILS, "on the tree"},
    {"workflow2", 3, "3.2", OMNI_CLAIM_HOLDS_PLUS, "1 broadcast to attention"},
    {"workflow2", 3, "4.2", OMNI_CLAIM_HOLDS_PLUS, "1 broadcast to o"},
    {"workflow2", 3, "workflow 2", OMNI_CLAIM_FAILS, "ffn 1 reduction"},
    {"alternate", 3, "workflow 1", OMNI_CLAIM_HOLDS_PLUS, "o 1 reduction, residuals 1 broadcast"},
    {"alternate", 3, "norms", OMNI_CLAIM_ADDS, "1 reduction + 1 broadcast"},
    {"alternate", 3, "the cycle", OMNI_CLAIM_HOLDS_PLUS, "norms 1 reduction + 1 broadcast"},
    {"workflow2/workflow1", 3, "the cycle", OMNI_CLAIM_HOLDS, ""}, /* of two layers: distributed at the end */
    {"alternate:edge=scatter", 3, "the cycle", OMNI_CLAIM_FAILS, "addressed"},
    {"workflow1", 1, "workflow 1", OMNI_CLAIM_IDLE, "one PE"},
    {"workflow1", 1, "motivation 4", OMNI_CLAIM_IDLE, ""},
    {"single", 4, "1.1", OMNI_CLAIM_HOLDS, ""},
    {"replica", 4, "2.1", OMNI_CLAIM_HOLDS, ""},
    {"megatron:groups=2", 4, "2.1", OMNI_CLAIM_HOLDS_PLUS, "inside a group"},
    {"pipeline", 2, "2.1", OMNI_CLAIM_FAILS, "1 addressed message"},
    {"megatron:stages=2:stack=2", 4, "1.1", OMNI_CLAIM_HOLDS_PLUS, "inside the stages"},
};

Test(claims, verdicts_follow_from_what_moves) {
    omni_model *m = load(MODELS[0]);
    for (size_t i = 0; i < COUNT(expectations); i++) {
        size_t count;
        omni_plan *plan = compile_if(m, expectations[i].plan, expectations[i].pes);
        cr_assert_not_null(plan, "%s", expectations[i].plan);
        omni_claim *rows = claims_of(plan, 2, &count);
        const omni_claim *row = find(rows, count, expectations[i].what);
        cr_assert_not_null(row, "%s: no row %s", expectations[i].plan, expectations[i].what);
        cr_expect_eq(row->verdict, expectations[i].verdict, "%s, %s: verdict %d, %s", expectations[i].plan,
                     expectations[i].what, (int)row->verdict, row->reason);
        cr_expect_not_null(strstr(row->reason, expectations[i].reason), "%s, %s: '%s'", expectations[i].plan,
                           expectations[i].what, row->reason);
        omni_free(rows);
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

Test(claims, rows_only_about_what_the_plan_does) {
    static const char *const absent[][2] = {
        {"megatron", "workflow 1"}, {"megatron", "the cycle"}, {"megatron", "2.1"},
        {"megatron", "norms"},      {"megatron", "input"},     {"workflow1", "the cycle"},
        {"single", "3.1"},          {"replica", "3.1"},        {"workflow1/workflow2/workflow1", "the cycle"},
    };
    omni_model *m = load(MODELS[0]);
    for (size_t i = 0; i < COUNT(absent); i++) {
        size_t count;
        omni_plan *plan = compile_if(m, absent[i][0], 4);
        omni_claim *rows = claims_of(plan, 1, &count);
        cr_expect_null(find(rows, count, absent[i][1]), "%s has a row %s", absent[i][0], absent[i][1]);
        omni_free(rows);
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

/* --- every plan ------------------------------------------------------------------------------- */

/* All but the host port's. */
static omni_counters between_pes(const omni_plan *plan, omni_extent extent) {
    omni_counters c = {0};
    if (extent.sequences) omni_plan_count(plan, extent, &c);
    c.host_messages = c.host_bytes = 0;
    return c;
}

/* Parts of layers, hand-offs and what is behind the layers come to the count of the plan; and however large
 * the batch, what is judged is the same. */
static void expect_whole(const omni_plan *plan, const char *name) {
    size_t count, more;
    passes p;
    fill(&p, plan->model, 3);
    omni_claim *rows = claims_of(plan, 3, &count), *again = claims_of(plan, MOST, &more);
    const omni_claim *all = find(rows, count, "motivation 4");
    cr_assert_not_null(all);
    omni_counters prefill = between_pes(plan, p.prefill), decode = between_pes(plan, p.decode);
    cr_expect(omni_counters_equal(&all->prefill, &prefill), "%s: prefill", name);
    cr_expect(omni_counters_equal(&all->decode, &decode), "%s: decode", name);
    cr_assert_eq(count, more, "%s: %zu and %zu rows", name, count, more);
    for (size_t i = 0; i < count; i++) {
        cr_expect_eq(rows[i].verdict, again[i].verdict, "%s: %s", name, rows[i].part);
        cr_expect_str_eq(rows[i].reason, again[i].reason);
        cr_expect(rows[i].claim && rows[i].part[0], "%s: row %zu", name, i);
        bool silent =
            rows[i].verdict == OMNI_CLAIM_IDLE || rows[i].verdict == OMNI_CLAIM_HOLDS || rows[i].reason[0];
        cr_expect(silent, "%s: %s says nothing", name, rows[i].part);
    }
    omni_free(rows);
    omni_free(again);
}

static void expect_all(const omni_model *m, const char *list) {
    char **text;
    size_t count;
    omni_error err = {0};
    cr_assert_eq(omni_plan_list(list, &text, &count, &err), OMNI_OK, "%s", err.text);
    for (size_t i = 0; i < count * COUNT(SIZES); i++) {
        omni_plan *plan = compile_if(m, text[i / COUNT(SIZES)], SIZES[i % COUNT(SIZES)]);
        if (plan) expect_whole(plan, text[i / COUNT(SIZES)]);
        omni_plan_free(plan);
    }
    omni_plan_list_free(text, count);
}

Test(claims, every_message_is_of_one_part) {
    for (size_t i = 0; i < COUNT(MODELS); i++) {
        omni_model *m = load(MODELS[i]);
        expect_all(m, "all");
        expect_all(m,
                   "workflow1,workflow2,workflow1:gather=bus,workflow2:edge=scatter,alternate:edge=scatter,"
                   "megatron/workflow2/workflow1,megatron:groups=2,alternate:stages=2:chunk=16,"
                   "workflow1:groups=2:stages=2:stack=2");
        omni_model_free(m);
    }
}
