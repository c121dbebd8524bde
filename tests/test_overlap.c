/* test_overlap.c: overlap=C as data: what is cut and what is not, its text, its proof, what it moves, and
 * the closed form of its price. Whole runs are cases_overlap.c; pricing against the naive walker
 * test_array_walk.c.
 */
#include <stdio.h>
#include <string.h>

#include "array_tools.h"
#include "omnibus/kernel.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char LLAMA[] = "tests/golden/llama-tiny-gqa";

/* --- the text --------------------------------------------------------------------------------- */

Test(overlap, is_a_part_of_a_plan) {
    char text[160];
    omni_plan_spec spec;
    cr_assert_eq(omni_plan_parse("megatron", &spec, NULL), OMNI_OK);
    cr_expect_eq(spec.overlap, 1);
    cr_expect_str_eq(omni_mesh_format(&spec, text, sizeof text), "");
    cr_assert_eq(omni_plan_parse("workflow1/workflow2:overlap=4", &spec, NULL), OMNI_OK);
    cr_expect_eq(spec.overlap, 4);
    cr_expect_str_eq(omni_mesh_format(&spec, text, sizeof text), ":overlap=4");
}

Test(overlap, is_refused_by_value) {
    static const char *const bad[] = {"megatron:overlap=0",
                                      "megatron:overlap=x",
                                      "megatron:overlap=",
                                      "megatron:overlap=-2",
                                      "megatron:overlap=65",
                                      "megatron:overlap=2:overlap=2",
                                      "overlap=99999999999999999999999"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        omni_plan_spec spec;
        omni_error err = {0};
        cr_expect_eq(omni_plan_parse(bad[i], &spec, &err), OMNI_BAD_INPUT, "%s", bad[i]);
        cr_expect(strstr(err.text, "overlap") && !strchr(err.text, '\n'), "%s: %s", bad[i], err.text);
    }
}

/* --- what is cut ------------------------------------------------------------------------------ */

/* "matmul residual reduction": the first train of a plan on 4 PEs. */
static void expect_train(const char *text, size_t layer, const char *want) {
    char got[256] = "";
    omni_model *m = array_model(LLAMA);
    omni_plan *plan = array_plan(m, text, 4);
    for (size_t i = 0; i < plan->step_count; i++) {
        const omni_step *s = &plan->step[i];
        if (!s->strips || s->layer != (int)layer) continue;
        size_t used = strlen(got);
        snprintf(got + used, sizeof got - used, "%s%s", s->train ? "|" : ",", omni_step_name(s->kind));
    }
    cr_expect_str_eq(got, want, "%s", text);
    omni_plan_free(plan);
    omni_model_free(m);
}

Test(overlap, cuts_a_product_and_the_messages_behind_it) {
    expect_train("megatron:overlap=2", 0,
                 "|matmul,residual,tree reduction,broadcast|matmul,residual,tree reduction,broadcast");
    expect_train("workflow1:overlap=2", 0,
                 "|matmul,residual,tree reduction,broadcast|matmul,tree reduction|activation,broadcast");
    expect_train("ffn=out+out:gather=bus:overlap=2", 0,
                 "|matmul,residual,tree reduction,broadcast|matmul,activation,bus all-gather");
    expect_train("megatron", 0, "");
    expect_train("replica:overlap=2", 0, "");
    expect_train("lockstep:overlap=2", 0, "");
}

Test(overlap, strips_tile_the_rows_or_the_features) {
    static const size_t first[2] = {0}, counts[2] = {6, 5}, one[2] = {1, 1};
    omni_step s = {.strips = 4};
    omni_extent prefill = {.tokens = 11, .sequences = 2, .first = first, .counts = counts};
    omni_extent decode = {.tokens = 2, .sequences = 2, .first = first, .counts = one};
    size_t next = 0;
    for (size_t k = 0; k < s.strips; k++) {
        omni_step strip = omni_step_strip(&s, k);
        omni_range rows = omni_step_rows(&strip, OMNI_ROWS_TOKENS, prefill, 4, 0);
        cr_expect_eq(rows.start, next);
        next += rows.count;
        cr_expect_eq(omni_step_rows(&strip, OMNI_ROWS_TOKENS, decode, 4, 0).count, k == 0 ? 2 : 0);
        cr_expect_eq(omni_step_features(&strip, prefill, 100).count, 100);
    }
    cr_expect_eq(next, 11);
    s.features = true;
    for (size_t width = 1; width < 200; width += 9) {
        next = 0;
        for (size_t k = 0; k < s.strips; k++) {
            omni_step strip = omni_step_strip(&s, k);
            omni_range features = omni_step_features(&strip, decode, width);
            cr_expect_eq(omni_step_rows(&strip, OMNI_ROWS_TOKENS, decode, 4, 0).count, 2);
            cr_expect_eq(omni_step_features(&strip, prefill, width).count, width);
            if (features.count) cr_expect(features.start == next && features.start % OMNI_PANEL == 0);
            next += features.count;
        }
        cr_expect_eq(next, width);
    }
}

/* --- some outputs of a product ------------------------------------------------------------------ */

Test(overlap, some_outputs_of_a_product_have_the_bits_of_all) {
    enum { OUT = 70, IN = 300, ROWS = 40 };
    static const omni_range parts[] = {{0, 16}, {16, 32}, {48, 22}, {64, 6}, {32, 0}, {0, OUT}};
    static const size_t rows[] = {1, 5, 33, ROWS};
    static float src[OUT * IN], x[ROWS * IN], whole[ROWS * OUT], part[ROWS * OUT];
    static uint16_t half[OUT * IN];
    cr_assert_eq(omni_kernel_init(NULL), OMNI_OK);
    for (size_t i = 0; i < OUT * IN; i++) src[i] = (float)(i * 37 % 101) / 101 - 0.5f;
    for (size_t i = 0; i < ROWS * IN; i++) x[i] = (float)(i * 53 % 97) / 97 - 0.5f;
    omni_narrow(OMNI_BF16, src, half, OUT * IN);
    void *scratch = omni_alloc(omni_matmul_scratch_bytes(OMNI_COMPUTE_F32, ROWS, IN) +
                               omni_matmul_scratch_bytes(OMNI_COMPUTE_BF16, ROWS, IN));
    for (size_t kind = 0; kind < 3; kind++) { /* F32, BF16 weights, and computed in BF16 */
        omni_dtype dtype = kind ? OMNI_BF16 : OMNI_F32;
        omni_compute compute = kind == 2 ? OMNI_COMPUTE_BF16 : OMNI_COMPUTE_F32;
        void *mem = omni_alloc(omni_packed_bytes(OUT, IN, dtype));
        omni_packed *w = omni_packed_init(mem, OUT, IN, dtype);
        omni_packed_put(w, 0, OUT, 0, IN, kind ? (const void *)half : src, IN, 1);
        for (size_t i = 0; i < COUNT(rows) * COUNT(parts); i++) {
            size_t m = rows[i / COUNT(parts)];
            omni_range cols = parts[i % COUNT(parts)];
            omni_matmul_of(compute)(w, x, IN, m, whole, OUT, scratch);
            for (size_t k = 0; k < ROWS * OUT; k++) part[k] = 7;
            omni_matmul_part(compute, w, cols, x, IN, m, part, OUT, scratch);
            for (size_t k = 0; k < m * OUT; k++) {
                bool in = k % OUT >= cols.start && k % OUT < cols.start + cols.count;
                float want = in ? whole[k] : 7;
                cr_assert(memcmp(&part[k], &want, sizeof want) == 0, "kind %zu, %zu rows, [%zu, %zu)", kind,
                          m, k / OUT, k % OUT);
            }
        }
        omni_free(mem);
    }
    omni_free(scratch);
}

/* --- the proof -------------------------------------------------------------------------------- */

Test(overlap, every_plan_is_proved) {
    static const char *const suffix[] = {"", ":gather=bus", ":edge=scatter"};
    static const size_t sizes[] = {1, 2, 3, 4, 7, 16};
    char **list;
    size_t count, proved = 0;
    omni_model *m = array_model(LLAMA);
    cr_assert_eq(omni_plan_list("all", &list, &count, NULL), OMNI_OK);
    for (size_t i = 1; i < count * COUNT(suffix); i++) { /* single has no parts */
        char text[256];
        if (i % count == 0) continue;
        snprintf(text, sizeof text, "%s%s:overlap=3", list[i % count], suffix[i / count]);
        for (size_t k = 0; k < COUNT(sizes); k++) {
            omni_error err = {0};
            omni_plan *plan = array_plan(m, text, sizes[k]);
            if (plan) cr_expect_eq(omni_plan_check(plan, 16, &err), OMNI_OK, "%s", err.text);
            proved += plan != NULL;
            omni_plan_free(plan);
        }
    }
    cr_expect_gt(proved, 500);
    omni_plan_list_free(list, count);
    omni_model_free(m);
}

typedef enum spoil {
    STRIP_MISSING,  /* a step is cut into one strip less than its train */
    NOT_CUT,        /* or not at all */
    TOO_LONG,       /* a train goes on over what knows of other rows */
    TOO_SHORT,      /* steps with strips behind a train's end */
    NOT_A_TRAIN,    /* strips without a train */
    OTHER_STRIPS,   /* one step by features, the others not */
    INPUT_WRITTEN,  /* strips of features into their own input */
    TAKEN_TOO_SOON, /* what a message yields lies where the product reads its next strip */
    FAULTS
} spoil;

static bool plant(omni_plan *plan, size_t at, spoil kind) {
    omni_step *s = &plan->step[at];
    if (!s->strips) return false;
    size_t last = at + s->train;
    switch (kind) {
    case STRIP_MISSING:
        s->strips--;
        return true;
    case NOT_CUT:
        s->strips = 0;
        return true;
    case TOO_LONG:
        if (!s->train || last == plan->step_count || plan->step[last].layer < 0) return false;
        s->train++;
        plan->step[last].strips = s->strips;
        return plan->step[last].train == 0;
    case TOO_SHORT:
        return s->train && s->train--;
    case OTHER_STRIPS:
        s->features = !s->features;
        return true;
    case INPUT_WRITTEN:
        if (s->kind != OMNI_STEP_MATMUL || !s->features) return false;
        plan->value[s->in[0]].storage = plan->value[s->out].storage;
        return true;
    case NOT_A_TRAIN:
        return s->train && ((s->train = 0), true);
    default:
        if (s->kind != OMNI_STEP_MATMUL || plan->step[last - 1].kind != OMNI_STEP_ALL_GATHER) return false;
        omni_value *in = &plan->value[s->in[0]], *out = &plan->value[plan->step[last - 1].out];
        out->storage = in->storage;
        if (in->part[0].width == out->part[0].width) return false; /* rows lie where they lay */
        return true;
    }
}

Test(overlap, the_prover_finds_planted_faults) {
    static const char *const texts[] = {"megatron:overlap=3", "workflow1:overlap=3",
                                        "o=out:ffn=out+out:gather=bus:overlap=3"};
    size_t planted[FAULTS] = {0};
    omni_model *m = array_model(LLAMA);
    for (size_t t = 0; t < COUNT(texts); t++) {
        omni_plan *like = array_plan(m, texts[t], 3);
        for (size_t at = 0; at < like->step_count; at++)
            for (spoil kind = 0; kind < FAULTS; kind++) {
                omni_plan *plan = array_plan(m, texts[t], 3);
                bool is = plant(plan, at, kind);
                planted[kind] += is;
                cr_expect(!is || omni_plan_check(plan, 16, NULL) == OMNI_RUN_FAILED,
                          "%s: fault %d at step %zu (%s) was not found", texts[t], (int)kind, at,
                          omni_step_name(like->step[at].kind));
                omni_plan_free(plan);
            }
        omni_plan_free(like);
    }
    for (size_t k = 0; k < FAULTS; k++) cr_expect(planted[k] > 0, "fault %zu was never planted", k);
    omni_model_free(m);
}

/* --- what moves ------------------------------------------------------------------------------- */

Test(overlap, messages_repeat_and_bytes_do_not) {
    omni_model *m = array_model(LLAMA);
    for (size_t strips = 1; strips <= 9; strips += 4) {
        char text[64];
        snprintf(text, sizeof text, "megatron:overlap=%zu", strips);
        omni_plan *one = array_plan(m, "megatron", 4), *cut = array_plan(m, text, 4);
        omni_counters a, b;
        omni_extent pass = array_pass(1, 7, 0, false);
        omni_plan_count(one, pass, &a);
        omni_plan_count(cut, pass, &b);
        size_t times = strips < 7 ? strips : 7; /* tokens: empty messages are not sent */
        cr_expect_eq(b.broadcasts, times * a.broadcasts);
        cr_expect_eq(b.broadcast_bytes, a.broadcast_bytes);
        cr_expect_eq(b.tree_bytes, a.tree_bytes);
        omni_plan_count(one, array_pass(3, 1, 5, false), &a); /* decode: by panels of features */
        omni_plan_count(cut, array_pass(3, 1, 5, false), &b);
        size_t panels = (m->shape.hidden + OMNI_PANEL - 1) / OMNI_PANEL;
        cr_expect_eq(b.broadcasts, (strips < panels ? strips : panels) * a.broadcasts);
        cr_expect_eq(b.broadcast_bytes, a.broadcast_bytes);
        cr_expect_eq(b.tree_bytes, a.tree_bytes);
        omni_plan_free(one);
        omni_plan_free(cut);
    }
    omni_model_free(m);
}

/* --- the price -------------------------------------------------------------------------------- */

typedef struct pair {
    uint64_t computes, messages; /* picoseconds of one strip */
} pair;

/* Of strip 0 of a train on p = 2^k PEs that are alike, the root the last to be ready. */
static pair pair_of(const machine *m, const omni_plan *plan, const omni_step *first, omni_extent pass,
                    size_t p) {
    pair sum = {0};
    for (size_t i = 0; i < first->train; i++) {
        omni_step s = omni_step_strip(&first[i], 0);
        if (!omni_step_is_message(&s)) {
            work one = step_work(plan, &s, &pass, p, 0);
            sum.computes += work_ps(m, &one);
            continue;
        }
        uint64_t bytes = wire_bytes(plan, &s, &plan->value[s.in[0]], &pass, p);
        for (size_t k = 0; s.kind == OMNI_STEP_REDUCE && (size_t)1 << k < p; k++)
            sum.messages += level_ps(m, (size_t)1 << k, bytes, 1, true);
        if (s.kind == OMNI_STEP_BROADCAST) sum.messages += bus_cut_ps(m) + bus_ps(m, bytes, p);
    }
    return sum;
}

/* c + (C - 1) max(c, m) + m instead of c + m for each pair; all else is as it was. */
static uint64_t all_pairs(const machine *m, const omni_plan *plan, omni_extent pass, size_t p) {
    uint64_t sum = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        const omni_step *s = &plan->step[i];
        if (!s->train) continue;
        pair x = pair_of(m, plan, s, pass, p);
        uint64_t pace = x.computes > x.messages ? x.computes : x.messages;
        sum += x.computes + (s->strips - 1) * pace + x.messages;
    }
    return sum;
}

Test(overlap, a_pair_costs_what_the_pipeline_of_two_stages_says) {
    static const char *const widths[] = {"1", "8", "32",
                                         "1000"}; /* messages longer and shorter than computing */
    static const size_t strips[] = {2, 4, 8, 64};
    enum { PES = 16, TOKENS = 64 };
    omni_model *model = array_model("configs/models/llama-2-7b.json");
    for (size_t i = 0; i < 2 * COUNT(widths) * COUNT(strips); i++) {
        bool decode = i >= COUNT(widths) * COUNT(strips);
        omni_extent pass = decode ? array_pass(4, 1, TOKENS, false) : array_pass(1, TOKENS, 0, false);
        char text[64];
        machine m;
        omni_array *a = array_load("seed-64pe");
        array_set(a, "bus.width", widths[i / COUNT(strips) % COUNT(widths)]);
        machine_set(&m, a);
        snprintf(text, sizeof text, "megatron:overlap=%zu", strips[i % COUNT(strips)]);
        omni_plan *cut = array_plan(model, text, PES), *one = array_plan(model, "megatron", PES);
        uint64_t before = array_price(a, one, pass).ps, after = array_price(a, cut, pass).ps;
        for (size_t k = 0; k < one->step_count; k++) { /* the same pairs, in one strip */
            one->step[k].train = cut->step[k].train;
            one->step[k].strips = cut->step[k].strips ? 1 : 0;
        }
        uint64_t whole = all_pairs(&m, one, pass, PES), pairs = all_pairs(&m, cut, pass, PES);
        cr_expect_eq(before - whole, after - pairs, "%s, width %s: %llu - %llu, %llu - %llu", text,
                     widths[i / COUNT(strips) % COUNT(widths)], (unsigned long long)before,
                     (unsigned long long)whole, (unsigned long long)after, (unsigned long long)pairs);
        omni_plan_free(cut);
        omni_plan_free(one);
        omni_array_free(a);
    }
    omni_model_free(model);
}

/* Strips send the same bytes over links, one after the other: no faster than the links carry them, nor slower
 * than everything in turn with a start for each strip. */
Test(overlap, strips_queue_for_links) {
    static const char *const arrays[] = {"ring-64pe", "mesh-64pe-thin"};
    omni_model *model = array_model("configs/models/llama-2-7b.json");
    omni_extent pass = array_pass(1, 512, 0, false);
    for (size_t i = 0; i < COUNT(arrays); i++) {
        omni_array *a = array_load(arrays[i]);
        array_set(a, "link.width", "2"); /* so thin that links are what all wait for */
        omni_plan *cut = array_plan(model, "megatron:overlap=4", 16),
                  *one = array_plan(model, "megatron", 16);
        omni_price before = array_price(a, one, pass), after = array_price(a, cut, pass);
        cr_expect_lt(after.ps, before.ps, "%s", arrays[i]);
        cr_expect_gt(after.ps, before.kind[OMNI_PRICE_LINK], "%s: strips at the same time on the same links",
                     arrays[i]);
        cr_expect_geq(after.link_bytes, before.link_bytes);
        cr_expect_leq(after.link_bytes, before.link_bytes + before.link_bytes / 10);
        omni_plan_free(cut);
        omni_plan_free(one);
        omni_array_free(a);
    }
    omni_model_free(model);
}
