/* golden_encoder.c: what a golden file says of an encoder beyond its states: padding, token types, the
 * pooler's output, and the MLM head's logits of one marked token a prompt.
 *
 * A padded prompt is its tokens alone: the padding behind them changes nothing before it and is not compared.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "golden.h"

static const golden_refused refused[] = {{"decode_ids", "generates nothing"},
                                         {"logits", "predicts only marked tokens (mlm_logits_mask)"},
                                         {"logits_last", "predicts only marked tokens (mlm_logits_mask)"},
                                         {NULL, NULL}};
static const golden_refused without_pooler[] = {{"pooler_output", "has no pooler"}, {NULL, NULL}};
static const golden_refused without_mlm[] = {{"mask_positions", "has no MLM head"},
                                             {"mlm_logits_mask", "has no MLM head"},
                                             {"mlm_top1_ids", "has no MLM head"},
                                             {"mlm_margin", "has no MLM head"},
                                             {NULL, NULL}};

/* --- lengths ---------------------------------------------------------------------------------- */

/* A row of the mask: `tokens` ones, then zeros. */
static bool mask_length(const int32_t *mask, size_t n, size_t *tokens) {
    size_t ones = 0;
    while (ones < n && mask[ones] == 1) ones++;
    *tokens = ones;
    while (ones < n && mask[ones] == 0) ones++;
    return *tokens > 0 && ones == n;
}

static omni_status load_lengths(golden *g) {
    const omni_tensor *t;
    omni_status status = golden_find_shape(g, "attention_mask", OMNI_I32, 2, (size_t[]){g->B, g->T}, &t);
    for (size_t b = 0; !status && b < g->B; b++) {
        omni_prompt_truth *p = golden_prompt(g, b);
        p->tokens = g->T;
        if (!t) continue;
        const int32_t *mask = golden_copy_i32(g, t, b * g->T, g->T);
        if (!mask) return OMNI_RUN_FAILED;
        if (!mask_length(mask, g->T, &p->tokens))
            status = omni_error_set(
                g->err, OMNI_BAD_INPUT,
                "%s: prompt %zu: attention_mask is not padding on the right (expected ones, then zeros)",
                g->path, g->first + b);
    }
    return status;
}

/* --- token types ------------------------------------------------------------------------------ */

/* All 0 where the file has none. */
static omni_status load_types(const golden *g) {
    const omni_tensor *t;
    omni_status status = golden_find_shape(g, "token_type_ids", OMNI_I32, 2, (size_t[]){g->B, g->T}, &t);
    for (size_t b = 0; !status && b < g->B; b++) {
        omni_prompt_truth *p = golden_prompt(g, b);
        p->types = t ? golden_copy_i32(g, t, b * g->T, p->tokens)
                     : truth_array(g->truth, p->tokens, sizeof *p->types, g->err);
        if (!p->types) return OMNI_RUN_FAILED;
        status = truth_check_types(g->model, g->path, g->first + b, p->types, p->tokens, g->err);
    }
    return status;
}

/* --- the MLM head ----------------------------------------------------------------------------- */

static omni_status load_marks(const golden *g, const omni_tensor *t) {
    for (size_t b = 0; b < g->B; b++) {
        omni_prompt_truth *p = golden_prompt(g, b);
        const int32_t *position = golden_copy_i32(g, t, b, 1);
        size_t *mark = truth_array(g->truth, 1, sizeof *mark, g->err);
        if (!position || !mark) return OMNI_RUN_FAILED;
        if (*position < 0 || (size_t)*position >= p->tokens)
            return omni_error_set(g->err, OMNI_BAD_INPUT,
                                  "%s: prompt %zu: mask_positions is %d (expected one of its %zu tokens)",
                                  g->path, g->first + b, (int)*position, p->tokens);
        *mark = (size_t)*position;
        p->mark = mark;
        p->marks = 1;
    }
    return OMNI_OK;
}

/* What the file says of its own logits must be so; they alone are compared with. */
static omni_status check_tops(const golden *g) {
    const omni_tensor *ids, *margins;
    omni_status status = golden_find_shape(g, "mlm_top1_ids", OMNI_I32, 1, &g->B, &ids);
    if (!status) status = golden_find_shape(g, "mlm_margin", OMNI_F64, 1, &g->B, &margins);
    for (size_t b = 0; !status && b < g->B; b++) {
        rule_top top = rule_top_of(golden_prompt(g, b)->mlm_logits, g->model->shape.vocab);
        int32_t id = top.id;
        double margin = top.margin;
        if (ids && !omni_weights_read(g->file, ids, b, 1, &id))
            return omni_weights_read_failed(g->file, ids, g->err);
        if (margins && !omni_weights_read_f64(g->file, margins, b, 1, &margin))
            return omni_weights_read_failed(g->file, margins, g->err);
        if (id != top.id)
            status =
                omni_error_set(g->err, OMNI_BAD_INPUT,
                               "%s: prompt %zu: mlm_top1_ids is %d (expected %d, as mlm_logits_mask says)",
                               g->path, g->first + b, (int)id, (int)top.id);
        else if (!(fabs(margin - top.margin) <= 1e-9 * top.range))
            status = omni_error_set(g->err, OMNI_BAD_INPUT,
                                    "%s: prompt %zu: mlm_margin is %g (expected %g, as mlm_logits_mask says)",
                                    g->path, g->first + b, margin, top.margin);
    }
    return status;
}

static omni_status load_mlm(const golden *g) {
    const omni_tensor *positions, *logits;
    size_t shape[] = {g->B, g->model->shape.vocab};
    omni_status status = golden_find_shape(g, "mask_positions", OMNI_I32, 1, shape, &positions);
    if (!status) status = golden_find_shape(g, "mlm_logits_mask", OMNI_F64, 2, shape, &logits);
    if (status || (!positions && !logits)) return status;
    if (!positions || !logits)
        return omni_error_set(g->err, OMNI_BAD_INPUT,
                              "%s: %s%s alone (expected mask_positions and mlm_logits_mask)", g->path,
                              g->prefix, positions ? "mask_positions" : "mlm_logits_mask");
    status = load_marks(g, positions);
    if (!status) status = golden_load_rows(g, "mlm_logits_mask", 2, shape, GOLDEN_FIELD(mlm_logits));
    return status ? status : check_tops(g);
}

/* --- all of it -------------------------------------------------------------------------------- */

static omni_status load_outputs(const golden *g) {
    unsigned heads = g->model->heads;
    size_t shape[] = {g->B, g->model->shape.hidden};
    omni_status status = load_types(g);
    if (!status && !(heads & OMNI_HEAD_POOLER)) status = golden_refuse(g, without_pooler);
    if (!status && !(heads & OMNI_HEAD_MLM)) status = golden_refuse(g, without_mlm);
    if (!status) status = golden_load_rows(g, "pooler_output", 2, shape, GOLDEN_FIELD(pooled));
    return status ? status : load_mlm(g);
}

const golden_kind golden_encoder = {
    .refused = refused,
    .outputs = "pooler_output or mlm_logits_mask",
    .load_lengths = load_lengths,
    .load_outputs = load_outputs,
};
