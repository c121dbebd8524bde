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

#include "truth.h"

typedef struct golden {
    const char *path;
    const omni_model *model;
    omni_weights *file;
    omni_truth *truth;
    omni_error *err;
    size_t first;    /* prompt of the truth that is row 0 of this batch */
    char prefix[24]; /* "" or "p3." */
    size_t B, T, S;
} golden;

/* "[3, 17, 64]" */
static const char *format_shape(char buf[128], size_t rank, const size_t *shape) {
    size_t used = (size_t)snprintf(buf, 128, "[");
    for (size_t i = 0; i < rank && used < 128; i++)
        used += (size_t)snprintf(buf + used, 128 - used, "%s%zu", i ? ", " : "", shape[i]);
    if (used < 128) snprintf(buf + used, 128 - used, "]");
    return buf;
}

/* The tensor `name` of this batch, dtype and rank checked. *out = NULL when the file has none. */
static omni_status find(const golden *g, const char *name, omni_dtype dtype, size_t rank,
                        const omni_tensor **out) {
    char full[OMNI_NAME];
    snprintf(full, sizeof full, "%s%s", g->prefix, name);
    const omni_tensor *t = *out = omni_weights_find(g->file, full);
    if (!t || (t->dtype == dtype && t->rank == rank)) return OMNI_OK;
    return omni_error_set(g->err, OMNI_BAD_INPUT, "%s: %s is %s of rank %zu (expected %s of rank %zu)",
                          g->path, full, omni_dtype_name(t->dtype), t->rank, omni_dtype_name(dtype), rank);
}

/* The same with every dimension known. */
static omni_status find_shape(const golden *g, const char *name, omni_dtype dtype, size_t rank,
                              const size_t *shape, const omni_tensor **out) {
    omni_status status = find(g, name, dtype, rank, out);
    if (status || !*out || memcmp((*out)->shape, shape, rank * sizeof *shape) == 0) return status;
    char found[128], expected[128];
    return omni_error_set(
        g->err, OMNI_BAD_INPUT, "%s: %s%s is %s (expected %s: is this another model's file?)", g->path,
        g->prefix, name, format_shape(found, rank, (*out)->shape), format_shape(expected, rank, shape));
}

/* Elements [first, first + count) of an F64 tensor, as an array of the truth. NULL: no memory, or unreadable. */
static double *copy_f64(const golden *g, const omni_tensor *t, size_t first, size_t count) {
    double *to = truth_array(g->truth, count, sizeof *to, g->err);
    if (!to || omni_weights_read_f64(g->file, t, first, count, to)) return to;
    omni_weights_read_failed(g->file, t, g->err);
    return NULL; /* the array is the truth's */
}

/* Tensor [B, ...]: row b becomes the array that the field at this offset of prompt b points to. */
static omni_status load_rows(const golden *g, const char *name, size_t rank, const size_t *shape,
                             size_t field) {
    const omni_tensor *t;
    omni_status status = find_shape(g, name, OMNI_F64, rank, shape, &t);
    if (status || !t) return status;
    size_t each = t->elements / g->B;
    for (size_t b = 0; b < g->B; b++) {
        const double *row = copy_f64(g, t, b * each, each);
        if (!row) return OMNI_RUN_FAILED;
        memcpy((char *)&g->truth->prompt[g->first + b] + field, &row, sizeof row);
    }
    return OMNI_OK;
}

#define FIELD(name) offsetof(omni_prompt_truth, name)

/* --- the parts of a batch --------------------------------------------------------------------- */

static omni_status load_ids(const golden *g, const omni_tensor *input, const omni_tensor *decode) {
    for (size_t b = 0; b < g->B; b++) {
        omni_prompt_truth *p = &g->truth->prompt[g->first + b];
        int32_t *ids = truth_array(g->truth, g->T, sizeof *ids, g->err);
        int32_t *next = truth_array(g->truth, g->S, sizeof *next, g->err);
        if (!ids || !next) return OMNI_RUN_FAILED;
        if (!omni_weights_read(g->file, input, b * g->T, g->T, ids))
            return omni_weights_read_failed(g->file, input, g->err);
        if (g->S && !omni_weights_read(g->file, decode, b * g->S, g->S, next))
            return omni_weights_read_failed(g->file, decode, g->err);
        omni_status status = truth_check_prompt(g->model, g->path, g->first + b, ids, g->T, g->S, g->err);
        if (!status)
            status = truth_check_ids(g->model, g->path, g->first + b, "decode_ids", next, g->S, g->err);
        if (status) return status;
        p->tokens = g->T;
        p->steps = g->S;
        p->ids = ids;
        p->next = g->S ? next : NULL;
    }
    return OMNI_OK;
}

/* layer_hidden [L+1, rows, T, D]: the first `rows` prompts have it. */
static omni_status load_layers(const golden *g) {
    const omni_tensor *t;
    omni_status status = find(g, "layer_hidden", OMNI_F64, 4, &t);
    if (status || !t) return status;
    size_t layers = g->model->shape.layers, each = g->T * g->model->shape.hidden;
    size_t rows = t->shape[1] < g->B ? t->shape[1] : g->B;
    size_t shape[] = {layers + 1, rows, g->T, g->model->shape.hidden};
    status = find_shape(g, "layer_hidden", OMNI_F64, 4, shape, &t);
    for (size_t b = 0; !status && b < rows; b++) {
        double *hidden = truth_array(g->truth, (layers + 1) * each, sizeof *hidden, g->err);
        if (!hidden) return OMNI_RUN_FAILED;
        for (size_t l = 0; l <= layers; l++)
            if (!omni_weights_read_f64(g->file, t, (l * rows + b) * each, each, hidden + l * each))
                return omni_weights_read_failed(g->file, t, g->err);
        g->truth->prompt[g->first + b].layer_hidden = hidden;
    }
    return status;
}

/* logits_last [B, V], or the last row of logits [B, T, V]. */
static omni_status load_logits(const golden *g) {
    size_t V = g->model->shape.vocab;
    omni_status status = load_rows(g, "logits_last", 2, (size_t[]){g->B, V}, FIELD(logits_last));
    if (status || g->truth->prompt[g->first].logits_last) return status;
    const omni_tensor *t;
    status = find_shape(g, "logits", OMNI_F64, 3, (size_t[]){g->B, g->T, V}, &t);
    for (size_t b = 0; !status && t && b < g->B; b++) {
        const double *last = copy_f64(g, t, ((b + 1) * g->T - 1) * V, V);
        if (!last) return OMNI_RUN_FAILED;
        g->truth->prompt[g->first + b].logits_last = last;
    }
    return status;
}

/* Where only the distributions are known, the margins follow from them. */
static omni_status fill_margins(const golden *g) {
    size_t V = g->model->shape.vocab;
    for (size_t b = 0; b < g->B; b++) {
        omni_prompt_truth *p = &g->truth->prompt[g->first + b];
        if (p->margin) continue;
        if (!p->decode_logits)
            return omni_error_set(
                g->err, OMNI_BAD_INPUT,
                "%s: %sdecode_ids without their margins (expected decode_margin or decode_logits)", g->path,
                g->prefix);
        double *margin = truth_array(g->truth, g->S, sizeof *margin, g->err);
        if (!margin) return OMNI_RUN_FAILED;
        for (size_t s = 0; s < g->S; s++) margin[s] = rule_top_of(p->decode_logits + s * V, V).margin;
        p->margin = margin;
    }
    return OMNI_OK;
}

static omni_status load_decode(const golden *g) {
    if (g->S == 0) return OMNI_OK;
    size_t V = g->model->shape.vocab;
    omni_status status = load_rows(g, "decode_logits", 3, (size_t[]){g->B, g->S, V}, FIELD(decode_logits));
    if (!status)
        status = load_rows(g, "decode_last_logits", 2, (size_t[]){g->B, V}, FIELD(decode_last_logits));
    if (!status) status = load_rows(g, "decode_margin", 2, (size_t[]){g->B, g->S}, FIELD(margin));
    return status ? status : fill_margins(g);
}

/* A file that says nothing about the output would pass every check. */
static omni_status check_speaks(const golden *g) {
    const omni_prompt_truth *p = &g->truth->prompt[g->first];
    if (p->layer_hidden || p->last_hidden || p->logits_last || p->steps) return OMNI_OK;
    return omni_error_set(
        g->err, OMNI_BAD_INPUT,
        "%s: nothing to compare with (expected %slayer_hidden, last_hidden_state, logits_last or "
        "decode_ids)",
        g->path, g->prefix);
}

static omni_status load_batch(golden *g) {
    const omni_tensor *input, *decode, *mask;
    omni_status status = find(g, "input_ids", OMNI_I32, 2, &input);
    if (!status) status = find(g, "decode_ids", OMNI_I32, 2, &decode);
    if (!status) status = find(g, "attention_mask", OMNI_I32, 2, &mask);
    if (status) return status;
    if (mask)
        return omni_error_set(g->err, OMNI_BAD_INPUT,
                              "%s: padded prompts (attention_mask) are not supported for %s", g->path,
                              g->model->family);
    g->T = input->shape[1];
    g->S = decode ? decode->shape[1] : 0;
    status = find_shape(g, "input_ids", OMNI_I32, 2, (size_t[]){g->B, g->T}, &input);
    if (!status && decode) status = find_shape(g, "decode_ids", OMNI_I32, 2, (size_t[]){g->B, g->S}, &decode);
    if (!status) status = load_ids(g, input, decode);
    if (!status) status = load_layers(g);
    if (!status)
        status = load_rows(g, "last_hidden_state", 3, (size_t[]){g->B, g->T, g->model->shape.hidden},
                           FIELD(last_hidden));
    if (!status) status = load_logits(g);
    if (!status) status = load_decode(g);
    return status ? status : check_speaks(g);
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
