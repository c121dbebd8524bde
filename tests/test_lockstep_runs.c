/* test_lockstep_runs.c: whole runs with streamed weights and shared tokens: the bits of `single`, float64
 * truth, memory, and more results than a ring holds.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "cases_flow.h"
#include "omnibus/kernel.h"

static const char *const PLANS[] = {"lockstep", "lockstep:over=token", "replica:over=token"};
static const size_t SIZES[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 33, 64};
enum { LONG_THIN = THIN > 1 ? 3 : 1 }; /* of these, under a sanitizer */

/* --- bits and truth --------------------------------------------------------------------------- */

enum { BATCH = 3, TOKENS = 3 + 8 + 1, GEN = 4 };

/* All states, all logits and all tokens of a run, one after the other; NULL: what went wrong is in f->err. */
static float *run_bits(flow *f, const char *text, size_t pes, size_t workers, size_t *floats) {
    static const size_t lengths[BATCH] = {3, 8, 1};
    const omni_shape *s = &f->model->shape;
    size_t counts[BATCH], capacity[BATCH], tokens = TOKENS, at = 0;
    int32_t ids[TOKENS], next[BATCH];
    float pooled[BATCH * 256],
        *bits = calloc(GEN * (TOKENS * (s->layers + 1) * s->hidden + BATCH * (s->vocab + 1)), sizeof(float));
    omni_engine *e = NULL;
    for (size_t i = 0; i < BATCH; i++) counts[i] = lengths[i], capacity[i] = lengths[i] + GEN;
    for (size_t i = 0; i < TOKENS; i++) ids[i] = (int32_t)(i * 37 % s->vocab);
    bool ok = bits && flow_plan(f, text, pes);
    omni_engine_options o = flow_options(f);
    o.sequences = BATCH;
    o.capacity = capacity;
    o.max_tokens = TOKENS;
    o.workers = workers;
    o.taps = true;
    ok = ok && omni_engine_create(&o, &e, &f->err) == OMNI_OK;
    for (size_t step = 0; ok && step < (s->encoder ? 1 : GEN); step++) {
        omni_encode io = {.ids = ids, .counts = counts, .pooled = pooled, .predicted = next};
        ok = (s->encoder ? omni_engine_encode(e, &io, &f->err)
                         : omni_engine_forward(e, ids, counts, next, &f->err)) == OMNI_OK;
        for (size_t l = 0; ok && l <= s->layers; l++, at += tokens * s->hidden)
            memcpy(bits + at, omni_engine_tap(e, l), tokens * s->hidden * sizeof *bits);
        if (!s->encoder) memcpy(bits + at, omni_engine_logits(e), BATCH * s->vocab * sizeof *bits);
        if (s->encoder) memcpy(bits + at, pooled, BATCH * s->hidden * sizeof *bits);
        at += BATCH * (s->encoder ? s->hidden : s->vocab);
        for (size_t i = 0; i < BATCH; i++) ids[i] = next[i], counts[i] = 1;
        tokens = BATCH;
    }
    omni_engine_free(e);
    *floats = at;
    if (ok) return bits;
    free(bits);
    return NULL;
}

static void same_bits(const char *dir) {
    flow f;
    const char *bad = flow_open(&f, dir);
    cr_assert_null(bad, "%s", bad);
    size_t floats, other;
    float *want = run_bits(&f, "single", 1, 1, &floats);
    cr_assert_not_null(want, "%s", f.err.text);
    for (size_t t = 0; t < COUNT(PLANS); t++) {
        for (size_t k = t % LONG_THIN; k < COUNT(SIZES); k += LONG_THIN) {
            size_t n = SIZES[k];
            float *got = run_bits(&f, PLANS[t], n, n < 5 ? n : 1 + k % 3, &other);
            cr_assert_not_null(got, "%s", f.err.text);
            cr_expect(other == floats && memcmp(got, want, floats * sizeof *got) == 0, "%s: %s on %zu PEs",
                      dir, PLANS[t], n);
            free(got);
        }
    }
    free(want);
    flow_close(&f, NULL);
}

Test(lockstep, llama_has_the_bits_of_single, .timeout = 300) {
    same_bits("tests/golden/llama-tiny-gqa");
}
Test(lockstep, gpt2_has_the_bits_of_single, .timeout = 300) {
    same_bits("configs/demo/gpt2");
}
Test(lockstep, bert_has_the_bits_of_single, .timeout = 300) {
    same_bits("tests/golden/bert-tiny");
}

/* Against float64 truth, counters of the run against the plan's. Under a sanitizer without the demo decoders,
 * which decode for long. */
Test(lockstep, runs_are_right_and_count_what_the_plan_says, .timeout = 600) {
    static const char *const dirs[] = {"tests/golden/llama-tiny-gqa", "tests/golden/gpt2-tiny",
                                       "configs/demo/bert", "configs/demo/llama", "configs/demo/gpt2"};
    for (size_t i = 0; i < (THIN > 1 ? 3 : COUNT(dirs)); i++) {
        flow f;
        const char *bad = flow_open(&f, dirs[i]);
        if (!bad)
            bad = flow_check_list(&f, "lockstep,lockstep:over=token,replica:over=token", 1, 3 * PES_COUNT);
        bad = flow_close(&f, bad);
        cr_expect_null(bad, "%s: %s", dirs[i], bad);
    }
}

/* Tensors that end within a panel, with and without biases, some of them BF16 where the plan says F32. */
Test(lockstep, odd_shapes, .timeout = 300) {
    static const char *const configs[] = {
        "{\"model_type\":\"llama\",\"hidden_size\":34,\"intermediate_size\":45,\"num_hidden_layers\":2,"
        "\"num_attention_heads\":6,\"num_key_value_heads\":3,\"head_dim\":10,\"vocab_size\":1037,"
        "\"max_position_embeddings\":64}",
        "{\"model_type\":\"gpt2\",\"n_embd\":15,\"n_layer\":2,\"n_head\":5,\"n_inner\":211,\"n_positions\":"
        "64,"
        "\"vocab_size\":23,\"activation_function\":\"gelu_new\"}"};
    for (size_t i = 0; i < COUNT(configs); i++) {
        flow f;
        const char *bad = flow_random(&f, configs[i], i + 5);
        if (!bad) bad = flow_check_list(&f, "lockstep,lockstep:over=token", 1, 2 * PES_COUNT);
        bad = flow_close(&f, bad);
        cr_expect_null(bad, "%s", bad);
    }
}

/* --- memory ----------------------------------------------------------------------------------- */

static uint64_t weight_bytes(flow *f, const char *text, size_t pes, size_t rank) {
    size_t capacity = 8;
    omni_memory m = {0};
    cr_assert(flow_plan(f, text, pes), "%s", f->err.text);
    omni_engine_options o = flow_options(f);
    o.sequences = 1;
    o.capacity = &capacity;
    o.max_tokens = 8;
    cr_assert_eq(omni_engine_plan_memory(&o, rank, &m, &f->err), OMNI_OK);
    return m.weight_bytes;
}

/* A PE keeps its share, all norms and two buffers for the largest piece there is; and headers. */
Test(lockstep, a_pe_keeps_its_share_and_two_buffers) {
    enum { PIECE_OUTPUTS = 256, HEADERS = 4 * 4 * 2 * 256 };
    static const struct {
        size_t panels, in;
    } tensors[] = {{12, 128}, {8, 128}, {44, 128}, {8, 352}, {32, 128}};
    flow f;
    const char *bad = flow_open(&f, "configs/demo/llama");
    cr_assert_null(bad, "%s", bad);
    const uint64_t norms = 9 * 128 * 4, matrices = weight_bytes(&f, "single", 1, 0) - norms;
    for (size_t n = 2; n <= 4; n *= 2) { /* divide all tensors */
        uint64_t buffer = 0, got = weight_bytes(&f, "lockstep", n, n - 1);
        for (size_t i = 0; i < COUNT(tensors); i++) {
            size_t outputs = tensors[i].panels / n * OMNI_PANEL;
            uint64_t bytes = omni_packed_bytes(outputs < PIECE_OUTPUTS ? outputs : PIECE_OUTPUTS,
                                               tensors[i].in, OMNI_BF16);
            buffer = bytes > buffer ? bytes : buffer;
        }
        cr_expect_geq(got, matrices / n + norms + 2 * buffer - HEADERS, "%zu PEs: %zu", n, (size_t)got);
        cr_expect_leq(got, matrices / n + norms + 2 * buffer + HEADERS, "%zu PEs: %zu", n, (size_t)got);
    }
    flow_close(&f, NULL);
}

/* --- results of more sentences than a ring holds ---------------------------------------------- */

/* Two groups on one worker: each returns more pooled rows than fit its ring, then token ids. */
Test(lockstep, many_pooled_rows_do_not_block, .timeout = 60) {
    enum { SENTENCES = 200 };
    static const char *const config =
        "{\"model_type\":\"bert\",\"architectures\":[\"BertForMaskedLM\"],\"hidden_size\":128,"
        "\"intermediate_size\":16,\"num_hidden_layers\":1,\"num_attention_heads\":2,\"vocab_size\":32,"
        "\"max_position_embeddings\":16,\"type_vocab_size\":2,\"layer_norm_eps\":1e-12}";
    static const char *const plans[] = {"replica", "lockstep", "lockstep:over=token"};
    static size_t counts[SENTENCES], capacity[SENTENCES], mark[SENTENCES];
    static int32_t ids[SENTENCES], predicted[SENTENCES];
    static float pooled[SENTENCES * 128];
    flow f = {0};
    omni_random_spec *spec;
    size_t tensors;
    cr_assert_eq(omni_kernel_init(&f.err), OMNI_OK);
    cr_assert_eq(omni_model_parse(config, strlen(config), "bert", &f.model, &f.err), OMNI_OK, "%s",
                 f.err.text);
    omni_model_set_heads(f.model, OMNI_HEAD_MLM);
    cr_assert_eq(omni_random_specs(f.model, OMNI_F32, &spec, &tensors, &f.err), OMNI_OK);
    cr_assert_eq(omni_weights_open_random(spec, tensors, 3, &f.weights, &f.err), OMNI_OK, "%s", f.err.text);
    cr_assert_eq(omni_topo_open(NULL, NULL, &f.topo, &f.err), OMNI_OK);
    omni_free(spec);
    for (size_t i = 0; i < SENTENCES; i++)
        counts[i] = capacity[i] = 1, mark[i] = i, ids[i] = (int32_t)(i % 32);
    for (size_t t = 0; t < COUNT(plans); t++) {
        omni_engine *e = NULL;
        cr_assert(flow_plan(&f, plans[t], 2), "%s", f.err.text);
        omni_engine_options o = flow_options(&f);
        o.sequences = o.max_tokens = o.max_marks = SENTENCES;
        o.capacity = capacity;
        o.workers = 1;
        cr_assert_eq(omni_engine_create(&o, &e, &f.err), OMNI_OK, "%s", f.err.text);
        omni_encode io = {ids, NULL, counts, mark, SENTENCES, pooled, predicted};
        cr_expect_eq(omni_engine_encode(e, &io, &f.err), OMNI_OK, "%s: %s", plans[t], f.err.text);
        omni_engine_free(e);
    }
    flow_close(&f, NULL);
}
