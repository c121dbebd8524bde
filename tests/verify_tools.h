/* verify_tools.h: a model with its checkpoint and its golden file. */
#ifndef TESTS_VERIFY_TOOLS_H
#define TESTS_VERIFY_TOOLS_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "omnibus/pe.h"
#include "omnibus/verify.h"
#include "verify/truth.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef struct bundle {
    omni_model *model;
    omni_weights *weights;
    omni_truth *golden;
} bundle;

static inline bundle open_bundle(const char *dir) {
    bundle b = {0};
    omni_error err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    cr_assert_eq(omni_model_load(dir, &b.model, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_weights_open_dir(dir, &b.weights, &err), OMNI_OK, "%s", err.text);
    omni_bind_heads(b.model, b.weights);
    cr_assert_eq(omni_truth_load(path, b.model, &b.golden, &err), OMNI_OK, "%s", err.text);
    return b;
}

static inline void close_bundle(bundle *b) {
    omni_truth_free(b->golden);
    omni_weights_close(b->weights);
    omni_model_free(b->model);
}

#endif
