/* test_bert_heads.c: the heads that a BERT checkpoint has: all, some, or half of one. */
#include "model_tools.h"
#include "omnibus/pe.h"

/* A checkpoint with everything but the tensors whose names begin so; one may have another shape. */
typedef struct stored {
    const char *change;     /* of the config */
    const char *without[6]; /* beginnings of names; unused ones NULL */
    const char *reshaped;   /* a name, or NULL */
    size_t shape[2];
    const char *words; /* of the refusal; NULL: all that the pass needs is there */
    unsigned heads;
} stored;

static bool left_out(const stored *s, const char *name) {
    for (size_t i = 0; i < COUNT(s->without) && s->without[i]; i++)
        if (strncmp(name, s->without[i], strlen(s->without[i])) == 0) return true;
    return false;
}

static omni_weights *store(const omni_model *m, const stored *s) {
    omni_random_spec *spec;
    size_t count, kept = 0;
    omni_weights *w;
    omni_error err = {0};
    cr_assert_eq(omni_random_specs(m, OMNI_F32, &spec, &count, &err), OMNI_OK, "%s", err.text);
    for (size_t i = 0; i < count; i++) {
        if (left_out(s, spec[i].name)) continue;
        spec[kept] = spec[i];
        if (s->reshaped && strcmp(spec[i].name, s->reshaped) == 0)
            memcpy(spec[kept].shape, s->shape, sizeof s->shape);
        kept++;
    }
    cr_assert_eq(omni_weights_open_random(spec, kept, 1, &w, &err), OMNI_OK, "%s", err.text);
    omni_free(spec);
    return w;
}

static void check_stored(const stored *s) {
    omni_model *m = parsed(BERT, s->change);
    omni_weights *w = store(m, s);
    omni_error err = {0};
    omni_bind_heads(m, w);
    cr_expect_eq(m->heads, s->heads, "%s, without %s: heads %u (expected %u)", s->change,
                 s->without[0] ? s->without[0] : "nothing", m->heads, s->heads);
    omni_status status = omni_bind_all(m, w, &err);
    cr_expect_eq(status, s->words ? OMNI_BAD_INPUT : OMNI_OK, "%s, without %s: %s", s->change,
                 s->without[0] ? s->without[0] : "nothing", err.text);
    if (s->words) cr_expect(strstr(err.text, s->words) != NULL, "'%s' lacks '%s'", err.text, s->words);
    omni_weights_close(w);
    omni_model_free(m);
}

#define UNTIED      "{\"tie_word_embeddings\": false}"
#define PREDICTIONS "cls.predictions."
#define TRANSFORM   PREDICTIONS "transform."

Test(bert, the_heads_that_a_checkpoint_has) {
    static const stored cases[] = {
        {.change = "{}", .heads = BOTH},
        {.change = UNTIED, .heads = BOTH},
        {.change = "{}", .without = {"cls."}, .heads = POOLER},
        {.change = UNTIED, .without = {"cls."}, .heads = POOLER},
        {.change = "{}", .without = {"bert.pooler."}, .heads = MLM},
        {.change = UNTIED, .without = {"bert.pooler."}, .heads = MLM},
        {.change = "{}", .without = {"cls.", "bert.pooler."}, .heads = 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) check_stored(&cases[i]);
}

/* Weights tell more than a config's word for it. */
Test(bert, a_head_that_no_config_promised) {
    omni_model *all = parsed(BERT, "{}"), *m = parsed(BERT, "{\"architectures\": [\"BertModel\"]}");
    omni_weights *w = store(all, &(stored){.heads = BOTH});
    omni_bind_heads(m, w);
    check_bert_end(m, BOTH);
    omni_weights_close(w);
    omni_model_free(all);
    omni_model_free(m);
}

/* Whatever is left of a head, the first tensor that is not there is named: a torn head is never no head. */
Test(bert, half_a_head_is_refused) {
    static const stored cases[] = {
        {.change = "{}",
         .without = {"bert.pooler.dense.weight"},
         .words = "'bert.pooler.dense.weight' is missing",
         .heads = BOTH},
        {.change = "{}",
         .without = {"bert.pooler.dense.bias"},
         .words = "'bert.pooler.dense.bias' is missing",
         .heads = BOTH},
        {.change = "{}",
         .without = {PREDICTIONS "bias"},
         .words = "'cls.predictions.bias' is missing",
         .heads = BOTH},
        {.change = "{}",
         .without = {TRANSFORM "dense.weight"},
         .words = "transform.dense.weight' is missing",
         .heads = BOTH},
        {.change = "{}",
         .without = {TRANSFORM "LayerNorm."},
         .words = "LayerNorm.weight' is missing",
         .heads = BOTH},
        {.change = "{}",
         .without = {TRANSFORM},
         .words = "transform.dense.weight' is missing",
         .heads = BOTH},
        {.change = "{}",
         .without = {PREDICTIONS "bias", TRANSFORM "dense"},
         .words = "transform.dense.weight' is missing",
         .heads = BOTH},
        {.change = "{}",
         .without = {PREDICTIONS "bias", TRANSFORM "dense", TRANSFORM "LayerNorm.weight"},
         .words = "transform.dense.weight' is missing",
         .heads = BOTH},
        {.change = "{}",
         .without = {PREDICTIONS "bias", TRANSFORM "dense.bias", TRANSFORM "LayerNorm"},
         .words = "transform.dense.bias' is missing",
         .heads = BOTH},
        {.change = UNTIED,
         .without = {PREDICTIONS "decoder.weight"},
         .words = "decoder.weight' is missing",
         .heads = BOTH},
        {.change = UNTIED,
         .without = {PREDICTIONS "bias", TRANSFORM},
         .words = "dense.weight' is missing",
         .heads = BOTH},
    };
    for (size_t i = 0; i < COUNT(cases); i++) check_stored(&cases[i]);
}

Test(bert, tensors_of_other_shapes_and_missing_ones) {
    static const stored cases[] = {
        {.change = "{}",
         .reshaped = "bert.pooler.dense.weight",
         .shape = {24, 23},
         .heads = BOTH,
         .words = "'bert.pooler.dense.weight' has shape [24, 23] (expected [24, 24])"},
        {.change = "{}",
         .reshaped = PREDICTIONS "bias",
         .shape = {30},
         .heads = BOTH,
         .words = "'cls.predictions.bias' has shape [30] (expected [31])"},
        {.change = "{}",
         .reshaped = TRANSFORM "LayerNorm.bias",
         .shape = {25},
         .heads = BOTH,
         .words = "has shape [25] (expected [24])"},
        {.change = UNTIED,
         .reshaped = PREDICTIONS "decoder.weight",
         .shape = {24, 31},
         .heads = BOTH,
         .words = "has shape [24, 31] (expected [31, 24])"},
        {.change = "{}",
         .reshaped = "bert.embeddings.token_type_embeddings.weight",
         .shape = {3, 24},
         .heads = BOTH,
         .words = "has shape [3, 24] (expected [2, 24])"},
        {.change = "{}",
         .reshaped = "bert.embeddings.LayerNorm.weight",
         .shape = {12},
         .heads = BOTH,
         .words = "'bert.embeddings.LayerNorm.weight' has shape [12] (expected [24])"},
        {.change = "{}",
         .without = {"bert.embeddings.token_type"},
         .heads = BOTH,
         .words = "'bert.embeddings.token_type_embeddings.weight' is missing"},
        {.change = "{}",
         .without = {"bert.embeddings.LayerNorm.bias"},
         .heads = BOTH,
         .words = "'bert.embeddings.LayerNorm.bias' is missing"},
        {.change = "{}",
         .without = {"bert.embeddings.position"},
         .heads = BOTH,
         .words = "'bert.embeddings.position_embeddings.weight' is missing"},
        {.change = "{}",
         .without = {"bert.encoder.layer.1.output.LayerNorm.weight"},
         .heads = BOTH,
         .words = "'bert.encoder.layer.1.output.LayerNorm.weight' is missing"},
        {.change = "{}",
         .without = {"bert.encoder.layer.0.attention.self.key.bias"},
         .heads = BOTH,
         .words = "self.key.bias' is missing"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) check_stored(&cases[i]);
}

Test(bert, the_committed_checkpoints_bind) {
    static const struct {
        const char *dir;
        unsigned heads;
    } cases[] = {{"tests/golden/bert-tiny", POOLER}, {"configs/demo/bert", BOTH}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        omni_model *m;
        omni_weights *w;
        omni_error err = {0};
        cr_assert_eq(omni_model_load(cases[i].dir, &m, &err), OMNI_OK, "%s", err.text);
        cr_assert_eq(omni_weights_open_dir(cases[i].dir, &w, &err), OMNI_OK, "%s", err.text);
        omni_bind_heads(m, w);
        cr_expect_eq(m->heads, cases[i].heads, "%s", cases[i].dir);
        cr_expect_eq(omni_bind_all(m, w, &err), OMNI_OK, "%s", err.text);
        omni_weights_close(w);
        omni_model_free(m);
    }
}

/* Other families have no heads to choose from. */
Test(bert, heads_are_an_encoders) {
    omni_model *m;
    omni_weights *w;
    omni_error err = {0};
    cr_assert_eq(omni_model_load("tests/golden/gpt2-tiny", &m, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_open_dir("tests/golden/gpt2-tiny", &w, &err), OMNI_OK, "%s", err.text);
    omni_bind_heads(m, w);
    cr_assert(m->heads == 0 && m->final_op_count == 4);
    omni_weights_close(w);
    omni_model_free(m);
}
