/* model_tools.h: for the tests of models: configs with a field changed, refusals, names. */
#ifndef TESTS_MODEL_TOOLS_H
#define TESTS_MODEL_TOOLS_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "omnibus/model.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Small models, for configs to be changed. */
#define LLAMA                                                                                                \
    "{\"model_type\": \"llama\", \"hidden_size\": 96, \"intermediate_size\": 256, "                          \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 6, \"vocab_size\": 211, "                            \
    "\"max_position_embeddings\": 64}"
#define GPT2                                                                                                 \
    "{\"model_type\": \"gpt2\", \"n_embd\": 64, \"n_head\": 4, \"n_layer\": 3, "                             \
    "\"n_positions\": 128, \"vocab_size\": 211}"
/* As BertForPreTraining saves it. */
#define BERT                                                                                                 \
    "{\"model_type\": \"bert\", \"architectures\": [\"BertForPreTraining\"], \"hidden_size\": 24, "          \
    "\"num_attention_heads\": 4, \"num_hidden_layers\": 2, \"intermediate_size\": 10, \"vocab_size\": 31, "  \
    "\"max_position_embeddings\": 16}"
enum { POOLER = OMNI_HEAD_POOLER, MLM = OMNI_HEAD_MLM, BOTH = POOLER | MLM };

/* Parses `base` with the fields of `change` set; a field set to the string "<absent>" is removed. */
static inline omni_status parse(const char *base, const char *change, omni_model **out, omni_error *err) {
    json_t *config = json_loads(base, 0, NULL), *changes = json_loads(change, 0, NULL), *value;
    const char *field;
    cr_assert(config && changes, "%s", change);
    json_object_foreach(changes, field, value) {
        if (json_is_string(value) && strcmp(json_string_value(value), "<absent>") == 0) {
            json_object_del(config, field);
        } else {
            json_object_set(config, field, value);
        }
    }
    char *text = json_dumps(config, 0);
    omni_status status = omni_model_parse(text, strlen(text), "c.json", out, err);
    free(text);
    json_decref(config);
    json_decref(changes);
    return status;
}

static inline omni_model *parsed(const char *base, const char *change) {
    omni_model *m;
    omni_error err = {0};
    cr_assert_eq(parse(base, change, &m, &err), OMNI_OK, "%s: %s", change, err.text);
    return m;
}

static inline void refused(const char *base, const char *change, const char *words) {
    omni_model *m = (omni_model *)&m;
    omni_error err = {0};
    cr_assert_eq(parse(base, change, &m, &err), OMNI_BAD_INPUT, "%s was accepted", change);
    cr_assert_null(m);
    cr_assert_eq(err.status, OMNI_BAD_INPUT);
    cr_assert(strstr(err.text, words) != NULL, "%s: \"%s\" lacks \"%s\"", change, err.text, words);
    cr_assert_eq(strncmp(err.text, "c.json: ", 8), 0, "%s", err.text);
    cr_assert_null(strchr(err.text, '\n'));
}

static inline void check_name(const omni_tensor_name *t, size_t i, size_t layer, const char *want) {
    char buf[OMNI_NAME];
    bool found = omni_tensor_name_format(t, i, layer, buf);
    cr_assert_eq(found, want != NULL);
    if (want) cr_assert_str_eq(buf, want);
}

/* One op as the header draws it. */
typedef struct drawn {
    const char *name;
    omni_op_kind kind;
    omni_role role;
    int in, out;
} drawn;

static inline void check_drawn(const omni_op *op, const drawn *want) {
    cr_assert_str_eq(op->name, want->name);
    cr_assert(op->kind == want->kind && op->role == want->role, "%s", op->name);
    cr_assert(op->in == want->in && op->out == want->out, "%s", op->name);
    cr_assert_eq(op->matrices > 0, op->kind == OMNI_OP_PROJECTION);
}

/* What follows the layers is what a checkpoint with these heads has. test_bert.c */
void check_bert_end(const omni_model *m, unsigned heads);

#endif
