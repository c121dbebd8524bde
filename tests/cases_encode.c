/* cases_encode.c: the engine with an encoder: states, pooled rows and logits against golden float64; batches,
 * token types, marks, heads. How it behaves from pass to pass is cases_encode_passes.c.
 */
#include <stdlib.h>
#include <string.h>

#include "cases_encode.h"

static const size_t PES[PES_COUNT] = PES_LIST;

/* --- against golden float64 ------------------------------------------------------------------- */

static const char *check_golden_list(const char *dir, const char *plans, size_t thin) {
    static sample x;
    flow f;
    golden g = {0};
    char **list = NULL;
    size_t count = 0;
    const char *bad = encode_open(&f, dir);
    if (!bad) bad = golden_read(dir, &g, &x);
    if (!bad && omni_plan_list(plans, &list, &count, &f.err) != OMNI_OK) bad = verdict("%s", f.err.text);
    for (size_t i = 0; i < count && !bad; i += thin) {
        for (size_t k = 0; k < PES_COUNT && !bad; k++) {
            record r;
            bad = encode(&f, list[i], PES[k], 2 + k % 2, &x, &r);
            if (bad) break;
            bad = golden_compare(&f.model->shape, &g, &x, &r);
            if (!bad) bad = predictions_are_the_largest(&f.model->shape, &x, &r);
            if (bad) bad = verdict("%s on %zu PEs: %s", list[i], PES[k], bad);
            free(r.state);
        }
    }
    if (list) omni_plan_list_free(list, count);
    golden_free(&g);
    return flow_close(&f, bad);
}

static const char *golden_tiny(void) {
    const char *bad = check_golden_list(TINY, FIVE_PLANS, 1);
    return bad ? bad : check_golden_list(TINY, ODD_PLANS, ODD_THIN);
}

static const char *golden_demo(void) {
    const char *bad = check_golden_list(DEMO, FIVE_PLANS, 1);
    return bad ? bad : check_golden_list(DEMO, ODD_PLANS, ODD_THIN);
}

/* --- bits ------------------------------------------------------------------------------------- */

static const char *same_bits_for_any_workers(void) {
    static const char *const plans[] = {"megatron",  "workflow1",        "workflow2",
                                        "alternate", "o=out:gather=bus", "workflow2:edge=scatter"};
    static const size_t workers[] = {2, 3, 5, 7};
    static sample x;
    flow f;
    golden g = {0};
    const char *bad = encode_open(&f, DEMO);
    if (!bad) bad = golden_read(DEMO, &g, &x);
    for (size_t i = 0; i < COUNT(plans) && !bad; i += ODD_THIN) {
        record one, other;
        if ((bad = encode(&f, plans[i], 7, 1, &x, &one))) break;
        for (size_t k = 0; k < COUNT(workers) && !bad; k++) {
            if ((bad = encode(&f, plans[i], 7, workers[k], &x, &other))) break;
            if (!record_same_bits(&one, &other))
                bad = verdict("%s: other bits on %zu workers", plans[i], workers[k]);
            free(other.state);
        }
        free(one.state);
    }
    golden_free(&g);
    return flow_close(&f, bad);
}

/* Rows of sequence s in the batch, which begins at `row`, and of the pass of it alone. */
static bool same_sequence(const omni_shape *shape, const sample *x, const record *all, size_t s, size_t row,
                          const sample *one, const record *alone) {
    size_t D = shape->hidden, bytes = D * sizeof(float), mark = 0;
    while (mark < x->marks && x->mark[mark] < row) mark++;
    bool same = memcmp(all->pooled + s * D, alone->pooled, bytes) == 0 &&
                memcmp(all->predicted + mark, alone->predicted, one->marks * sizeof(int32_t)) == 0;
    for (size_t l = 0; l <= shape->layers && same; l++)
        same = memcmp(all->state + (l * x->tokens + row) * D, alone->state + l * one->tokens * D,
                      one->tokens * bytes) == 0;
    return same && (one->marks == 0 || memcmp(all->logits + mark * shape->vocab, alone->logits,
                                              one->marks * shape->vocab * sizeof(float)) == 0);
}

/* No sequence sees another, nor padding: there is none. */
static const char *a_ragged_batch_has_the_bits_of_each_sequence_alone(void) {
    static const size_t lengths[] = {1, 17, 2, 40, 5, 1, 3};
    static sample x, one;
    flow f;
    record all, alone;
    size_t row = 0;
    const char *bad = encode_open(&f, DEMO);
    memset(&x, 0, sizeof x);
    for (size_t i = 0; i < COUNT(lengths); i++) sample_add(&x, lengths[i], 1024, 2);
    sample_mark(&x, 3);
    if (bad || (bad = encode(&f, "single", 1, 1, &x, &all))) return flow_close(&f, bad);
    for (size_t s = 0; s < x.sequences && !bad; row += x.counts[s++]) {
        sample_take(&x, s, &one);
        if ((bad = encode(&f, "single", 1, 1, &one, &alone))) break;
        if (!same_sequence(&f.model->shape, &x, &all, s, row, &one, &alone))
            bad = verdict("sequence %zu has other bits in the batch", s);
        free(alone.state);
    }
    free(all.state);
    return flow_close(&f, bad);
}

/* More pooled rows and tokens than one slot of the host port's ring takes; equal sequences have equal
 * results. */
static const char *a_large_batch(void) {
    static const char *const plans[] = {"megatron", "workflow2"};
    static sample x;
    flow f;
    const char *bad = encode_open(&f, DEMO);
    memset(&x, 0, sizeof x);
    while (x.sequences < 500) {
        sample_add(&x, 2, 1024, 2);
        x.ids[x.tokens - 2] = 2;
        x.ids[x.tokens - 1] = (int32_t)(x.sequences % 7);
    }
    sample_mark(&x, 1);
    for (size_t i = 0; i < COUNT(plans) && !bad; i++) {
        record r;
        if ((bad = encode(&f, plans[i], 3, 2, &x, &r))) break;
        bad = predictions_are_the_largest(&f.model->shape, &x, &r);
        for (size_t s = 7; s < x.sequences && !bad; s++) {
            const float *a = r.pooled + s * 128, *b = a - 7 * 128;
            double near[128];
            for (size_t k = 0; k < 128; k++) near[k] = (double)b[k];
            bad = close_to("a sequence like one before", a, near, 1, 128);
        }
        free(r.state);
    }
    return flow_close(&f, bad);
}

/* --- token types ------------------------------------------------------------------------------ */

static const char *token_types_change_the_result(void) {
    static sample x, zeros;
    flow f;
    golden g = {0};
    record with, without, left_out;
    const char *bad = encode_open(&f, TINY);
    if (!bad) bad = golden_read(TINY, &g, &x);
    zeros = x;
    memset(zeros.types, 0, sizeof zeros.types);
    if (bad || (bad = encode(&f, "megatron", 3, 2, &x, &with))) return flow_close(&f, bad);
    if (!(bad = encode(&f, "megatron", 3, 2, &zeros, &without))) {
        if (record_same_bits(&with, &without)) bad = "types of 0 give the same states";
        omni_engine *e = NULL;
        if (!bad && !record_alloc(&left_out, &f.model->shape, &x)) bad = "no memory";
        if (!bad && !(bad = encode_start(&f, &x, 2, NULL, &e))) {
            omni_encode io = encode_of(&x, &left_out);
            io.types = NULL;
            if (omni_engine_encode(e, &io, &f.err) != OMNI_OK) bad = verdict("%s", f.err.text);
            if (!bad && memcmp(left_out.pooled, without.pooled, x.sequences * 64 * sizeof(float)) != 0)
                bad = "no types are not types of 0";
            omni_engine_free(e);
            free(left_out.state);
        }
        free(without.state);
    }
    free(with.state);
    golden_free(&g);
    return flow_close(&f, bad);
}

/* --- marks ------------------------------------------------------------------------------------ */

/* Some marks of a sample, in turn: each has the logits that it has when all are marked. */
static const char *some_of_all_marks(flow *f, const char *plan, size_t pes, sample *x) {
    static const size_t steps[] = {0, 1, 2, 5, 100};
    record all, some;
    size_t V = f->model->shape.vocab;
    sample_mark(x, 1);
    const char *bad = encode(f, plan, pes, 2, x, &all);
    if (bad) return bad;
    for (size_t i = 0; i < COUNT(steps) && !bad; i++) {
        sample_mark(x, steps[i]);
        if ((bad = encode(f, plan, pes, 2, x, &some))) break;
        bad = predictions_are_the_largest(&f->model->shape, x, &some);
        double *want = malloc((x->marks + 1) * V * sizeof *want);
        for (size_t m = 0; m < x->marks && want; m++)
            for (size_t v = 0; v < V; v++) want[m * V + v] = (double)all.logits[x->mark[m] * V + v];
        if (!bad) bad = want ? close_to("logits", some.logits, want, x->marks, V) : "no memory";
        if (!bad &&
            memcmp(some.pooled, all.pooled, x->sequences * f->model->shape.hidden * sizeof(float)) != 0)
            bad = "marks change what is pooled";
        if (bad) bad = verdict("%s on %zu PEs, %zu marks: %s", plan, pes, x->marks, bad);
        free(want);
        free(some.state);
    }
    free(all.state);
    return bad;
}

static const char *any_tokens_can_be_marked(void) {
    static const char *const plans[] = {"single", "megatron", "workflow1", "workflow2", "alternate"};
    static const size_t pes[] = {1, 3, 16};
    static sample x;
    flow f;
    golden g = {0};
    const char *bad = encode_open(&f, DEMO);
    if (!bad) bad = golden_read(DEMO, &g, &x);
    for (size_t i = 0; i < COUNT(plans) && !bad; i += ODD_THIN)
        for (size_t k = 0; k < COUNT(pes) && !bad; k += THIN > 1 ? 2 : 1)
            bad = some_of_all_marks(&f, plans[i], pes[k], &x);
    golden_free(&g);
    return flow_close(&f, bad);
}

/* --- shapes that nobody trained --------------------------------------------------------------- */

#define BERT "\"model_type\":\"bert\",\"max_position_embeddings\":48,"

/* Every plan gives what one PE gives, with whatever heads there are. */
static const char *check_heads(flow *f, sample *x) {
    char **list;
    size_t count;
    record one, many;
    const omni_shape *s = &f->model->shape;
    const char *bad = encode(f, "single", 1, 1, x, &one);
    if (bad) return bad;
    double *want = malloc(one.floats * sizeof *want);
    if (!want || omni_plan_list(FIVE_PLANS "," ODD_PLANS, &list, &count, &f->err) != OMNI_OK) abort();
    for (size_t i = 0; i < one.floats; i++) want[i] = (double)one.state[i];
    size_t rows = (s->layers + 1) * x->tokens + x->sequences;
    for (size_t i = 0; i < count && !bad; i += ODD_THIN) {
        for (size_t k = 0; k < PES_COUNT && !bad; k += THIN > 1 ? 2 : 1) {
            if ((bad = encode(f, list[i], PES[k], 2, x, &many))) break;
            bad = close_to("states", many.state, want, rows, s->hidden);
            if (!bad && x->marks)
                bad = close_to("logits", many.logits, want + rows * s->hidden, x->marks, s->vocab);
            if (!bad) bad = predictions_are_the_largest(s, x, &many);
            if (bad) bad = verdict("%s on %zu PEs: %s", list[i], PES[k], bad);
            free(many.state);
        }
    }
    omni_plan_list_free(list, count);
    free(want);
    free(one.state);
    return bad;
}

static const char *odd_shapes_and_heads(void) {
    static const char *const configs[] = {
        ("{" BERT "\"hidden_size\":24,\"num_attention_heads\":3,\"num_hidden_layers\":3,"
         "\"intermediate_size\":7,\"vocab_size\":29,\"layer_norm_eps\":1e-5}"),
        ("{" BERT "\"hidden_size\":15,\"num_attention_heads\":5,\"num_hidden_layers\":2,"
         "\"intermediate_size\":11,\"vocab_size\":3,\"hidden_act\":\"relu\",\"type_vocab_size\":1,"
         "\"tie_word_embeddings\":false,\"layer_norm_eps\":1e-5}"),
        ("{" BERT "\"hidden_size\":36,\"num_attention_heads\":1,\"num_hidden_layers\":1,"
         "\"intermediate_size\":1,\"vocab_size\":101,\"hidden_act\":\"gelu_new\",\"type_vocab_size\":4}"),
    };
    static const size_t lengths[] = {9, 1, 14};
    const char *bad = NULL;
    for (size_t i = 0; i < COUNT(configs) && !bad; i++) {
        for (unsigned heads = 0; heads <= (OMNI_HEAD_POOLER | OMNI_HEAD_MLM) && !bad; heads++) {
            static sample x;
            flow f;
            memset(&x, 0, sizeof x);
            bad = encode_open_random(&f, configs[i], heads, i + 1);
            for (size_t s = 0; s < COUNT(lengths) && !bad; s++)
                sample_add(&x, lengths[s], f.model->shape.vocab, f.model->shape.types);
            if (heads & OMNI_HEAD_MLM) sample_mark(&x, 2);
            if (!bad) bad = check_heads(&f, &x);
            if (bad) bad = verdict("config %zu, heads %u: %s", i, heads, bad);
            flow_close(&f, bad);
        }
    }
    return bad;
}

/* Without a pooler the first rows come back as they are. */
static const char *without_a_pooler_the_first_states_come_back(void) {
    static const char config[] = "{" BERT "\"hidden_size\":24,\"num_attention_heads\":3,"
                                 "\"num_hidden_layers\":2,\"intermediate_size\":7,\"vocab_size\":29}";
    static const char *const plans[] = {"single", "megatron", "workflow1:gather=bus", "alternate"};
    static sample x;
    flow f;
    const char *bad = encode_open_random(&f, config, 0, 3);
    memset(&x, 0, sizeof x);
    sample_add(&x, 5, 29, 2);
    sample_add(&x, 3, 29, 2);
    for (size_t i = 0; i < COUNT(plans) && !bad; i++) {
        record r;
        if ((bad = encode(&f, plans[i], 5, 2, &x, &r))) break;
        const float *last = r.state + f.model->shape.layers * x.tokens * 24;
        if (memcmp(r.pooled, last, 24 * sizeof *last) != 0 ||
            memcmp(r.pooled + 24, last + (size_t)5 * 24, 24 * sizeof *last) != 0)
            bad = verdict("%s: not the last states of the first tokens", plans[i]);
        free(r.state);
    }
    return flow_close(&f, bad);
}

static const omni_case cases[] = {
    {"golden_tiny", golden_tiny},
    {"golden_demo", golden_demo},
    {"same_bits_for_any_workers", same_bits_for_any_workers},
    {"a_ragged_batch_has_the_bits_of_each_sequence_alone",
     a_ragged_batch_has_the_bits_of_each_sequence_alone},
    {"a_large_batch", a_large_batch},
    {"token_types_change_the_result", token_types_change_the_result},
    {"any_tokens_can_be_marked", any_tokens_can_be_marked},
    {"odd_shapes_and_heads", odd_shapes_and_heads},
    {"without_a_pooler_the_first_states_come_back", without_a_pooler_the_first_states_come_back},
};
const omni_case_table cases_encode = {"encode", cases, COUNT(cases)};
