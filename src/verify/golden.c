/* golden.c: a golden.safetensors becomes a truth. Two forms, see tests/golden and configs/demo:
 *
 *   batch       input_ids [B, T]        layer_hidden [L+1, rows <= B, T, D]   decode_ids [B, S] ...
 *   per prompt  p0.input_ids [1, T0]    p0.layer_hidden [L+1, 1, T0, D]       p0.decode_ids [1, S0] ...
 *
 * The second is the first, once for every prefix, with B = 1. Every tensor that is there must have the
 * dtype and shape that the model says, so that another model's file is refused before it is compared with;
 * what is not there is left NULL. Values are copied out (a batch's rows are not contiguous in layer_hidden).
 */
#include <stdio.h>
#include <string.h>

#include "golden.h"

/* "[3, 17, 64]" */
static const char *format_shape(char buf[128], size_t rank, const size_t *shape) {
    size_t used = (size_t)snprintf(buf, 128, "[");
    for (size_t i = 0; i < rank && used < 128; i++)
        used += (size_t)snprintf(buf + used, 128 - used, "%s%zu", i ? ", " : "", shape[i]);
    if (used < 128) snprintf(buf + used, 128 - used, "]");
    return buf;
}

omni_status golden_find(const golden *g, const char *name, omni_dtype dtype, size_t rank,
                        const omni_tensor **out) {
    char full[OMNI_NAME];
    snprintf(full, sizeof full, "%s%s", g->prefix, name);
    const omni_tensor *t = *out = omni_weights_find(g->file, full);
    if (!t || (t->dtype == dtype && t->rank == rank)) return OMNI_OK;
    return omni_error_set(g->err, OMNI_BAD_INPUT, "%s: %s is %s of rank %zu (expected %s of rank %zu)",
                          g->path, full, omni_dtype_name(t->dtype), t->rank, omni_dtype_name(dtype), rank);
}

omni_status golden_find_shape(const golden *g, const char *name, omni_dtype dtype, size_t rank,
                              const size_t *shape, const omni_tensor **out) {
    omni_status status = golden_find(g, name, dtype, rank, out);
    if (status || !*out || memcmp((*out)->shape, shape, rank * sizeof *shape) == 0) return status;
    char found[128], expected[128];
    return omni_error_set(
        g->err, OMNI_BAD_INPUT, "%s: %s%s is %s (expected %s: is this another model's file?)", g->path,
        g->prefix, name, format_shape(found, rank, (*out)->shape), format_shape(expected, rank, shape));
}

omni_status golden_refuse(const golden *g, const golden_refused *refused) {
    char full[OMNI_NAME];
    for (; refused->name; refused++) {
        snprintf(full, sizeof full, "%s%s", g->prefix, refused->name);
        if (omni_weights_find(g->file, full))
            return omni_error_set(g->err, OMNI_BAD_INPUT, "%s: %s: this %s model %s", g->path, full,
                                  g->model->family, refused->why);
    }
    return OMNI_OK;
}

double *golden_copy_f64(const golden *g, const omni_tensor *t, size_t first, size_t count) {
    double *to = truth_array(g->truth, count, sizeof *to, g->err);
    if (!to || omni_weights_read_f64(g->file, t, first, count, to)) return to;
    omni_weights_read_failed(g->file, t, g->err);
    return NULL; /* the array is the truth's */
}

int32_t *golden_copy_i32(const golden *g, const omni_tensor *t, size_t first, size_t count) {
    int32_t *to = truth_array(g->truth, count, sizeof *to, g->err);
    if (!to || omni_weights_read(g->file, t, first, count, to)) return to;
    omni_weights_read_failed(g->file, t, g->err);
    return NULL;
}

omni_status golden_load_rows(const golden *g, const char *name, size_t rank, const size_t *shape,
                             size_t field) {
    const omni_tensor *t;
    omni_status status = golden_find_shape(g, name, OMNI_F64, rank, shape, &t);
    if (status || !t) return status;
    size_t each = t->elements / g->B;
    for (size_t b = 0; b < g->B; b++) {
        const double *row = golden_copy_f64(g, t, b * each, each);
        if (!row) return OMNI_RUN_FAILED;
        memcpy((char *)golden_prompt(g, b) + field, &row, sizeof row);
    }
    return OMNI_OK;
}

/* --- the parts of a batch --------------------------------------------------------------------- */

static omni_status load_ids(const golden *g) {
    const omni_tensor *t;
    omni_status status = golden_find_shape(g, "input_ids", OMNI_I32, 2, (size_t[]){g->B, g->T}, &t);
    for (size_t b = 0; !status && b < g->B; b++) {
        omni_prompt_truth *p = golden_prompt(g, b);
        p->ids = golden_copy_i32(g, t, b * g->T, p->tokens);
        if (!p->ids) return OMNI_RUN_FAILED;
        status = truth_check_prompt(g->model, g->path, g->first + b, p->ids, p->tokens, p->steps, g->err);
    }
    return status;
}

/* layer_hidden [L+1, rows, T, D]: the first `rows` prompts have it. Padding is not copied. */
static omni_status load_layers(const golden *g) {
    const omni_tensor *t;
    omni_status status = golden_find(g, "layer_hidden", OMNI_F64, 4, &t);
    if (status || !t) return status;
    size_t layers = g->model->shape.layers, D = g->model->shape.hidden;
    size_t rows = t->shape[1] < g->B ? t->shape[1] : g->B;
    status = golden_find_shape(g, "layer_hidden", OMNI_F64, 4, (size_t[]){layers + 1, rows, g->T, D}, &t);
    for (size_t b = 0; !status && b < rows; b++) {
        omni_prompt_truth *p = golden_prompt(g, b);
        size_t each = p->tokens * D;
        double *hidden = truth_array(g->truth, (layers + 1) * each, sizeof *hidden, g->err);
        if (!hidden) return OMNI_RUN_FAILED;
        for (size_t l = 0; l <= layers; l++)
            if (!omni_weights_read_f64(g->file, t, (l * rows + b) * g->T * D, each, hidden + l * each))
                return omni_weights_read_failed(g->file, t, g->err);
        p->layer_hidden = hidden;
    }
    return status;
}

static omni_status load_last(const golden *g) {
    const omni_tensor *t;
    size_t D = g->model->shape.hidden;
    omni_status status =
        golden_find_shape(g, "last_hidden_state", OMNI_F64, 3, (size_t[]){g->B, g->T, D}, &t);
    for (size_t b = 0; !status && t && b < g->B; b++) {
        omni_prompt_truth *p = golden_prompt(g, b);
        p->last_hidden = golden_copy_f64(g, t, b * g->T * D, p->tokens * D);
        if (!p->last_hidden) return OMNI_RUN_FAILED;
    }
    return status;
}

/* A file that says nothing about the output would pass every check. */
static omni_status check_speaks(const golden *g, const char *also) {
    const omni_prompt_truth *p = golden_prompt(g, 0);
    if (p->layer_hidden || p->last_hidden || p->logits_last || p->steps || p->pooled || p->marks)
        return OMNI_OK;
    return omni_error_set(g->err, OMNI_BAD_INPUT,
                          "%s: nothing to compare with (expected %slayer_hidden, last_hidden_state, %s)",
                          g->path, g->prefix, also);
}

static omni_status load_batch(golden *g) {
    const golden_kind *kind = g->model->shape.encoder ? &golden_encoder : &golden_decoder;
    const omni_tensor *input;
    omni_status status = golden_find(g, "input_ids", OMNI_I32, 2, &input);
    if (!status) status = golden_refuse(g, kind->refused);
    if (status) return status;
    g->T = input->shape[1];
    status = kind->load_lengths(g);
    if (!status) status = load_ids(g);
    if (!status) status = load_layers(g);
    if (!status) status = load_last(g);
    if (!status) status = kind->load_outputs(g);
    return status ? status : check_speaks(g, kind->outputs);
}

/* --- the two forms ---------------------------------------------------------------------------- */

/* How many prompts "p0." "p1." ... the file has. */
static size_t count_prefixes(const omni_weights *file) {
    char name[OMNI_NAME];
    for (size_t i = 0;; i++) {
        snprintf(name, sizeof name, "p%zu.input_ids", i);
        if (!omni_weights_find(file, name)) return i;
    }
}

static omni_status load_forms(golden *g) {
    const omni_tensor *input = omni_weights_find(g->file, "input_ids");
    size_t prefixes = input ? 0 : count_prefixes(g->file);
    size_t prompts = input ? input->shape[0] : prefixes;
    if (prompts == 0 || (input && (input->rank != 2 || input->elements == 0)))
        return omni_error_set(g->err, OMNI_BAD_INPUT,
                              "%s: no prompts (expected input_ids [B, T] or p0.input_ids [1, T])", g->path);
    g->truth = truth_create(g->path, prompts, g->err);
    if (!g->truth) return OMNI_RUN_FAILED;
    if (input) {
        g->B = prompts;
        return load_batch(g);
    }
    omni_status status = OMNI_OK;
    g->B = 1;
    for (g->first = 0; !status && g->first < prefixes; g->first++) {
        snprintf(g->prefix, sizeof g->prefix, "p%zu.", g->first);
        status = load_batch(g);
    }
    return status;
}

/* A case is two files, golden.json (how it was made) beside golden.safetensors (the values): naming
 * either names both. */
static omni_status open_values(const char *path, omni_weights **out, omni_error *err) {
    static const char story[] = ".json", values[] = ".safetensors";
    char beside[4096];
    size_t length = strlen(path), tail = strlen(story);
    bool named = length > tail && strcmp(path + length - tail, story) == 0;
    if (!named || length - tail + sizeof values > sizeof beside)
        return omni_weights_open_file(path, out, err);
    snprintf(beside, sizeof beside, "%.*s%s", (int)(length - tail), path, values);
    return omni_weights_open_file(beside, out, err);
}

omni_status omni_truth_load(const char *path, const omni_model *model, omni_truth **out, omni_error *err) {
    golden g = {.path = path, .model = model, .err = err};
    *out = NULL;
    omni_status status = open_values(path, &g.file, err);
    if (status) return status;
    status = load_forms(&g);
    omni_weights_close(g.file);
    if (status)
        omni_truth_free(g.truth);
    else
        *out = g.truth;
    return status;
}
