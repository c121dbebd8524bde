/* golden_decoder.c: what a golden file says of a decoder beyond its states: logits, and the greedy tokens. */
#include "golden.h"

static const golden_refused refused[] = {{"attention_mask", "takes no padded prompts"},
                                         {"token_type_ids", "has no token types"},
                                         {"pooler_output", "has no pooler"},
                                         {"mask_positions", "has no MLM head"},
                                         {"mlm_logits_mask", "has no MLM head"},
                                         {NULL, NULL}};

/* No prompt is padded. */
static omni_status load_lengths(golden *g) {
    const omni_tensor *t;
    omni_status status = golden_find(g, "decode_ids", OMNI_I32, 2, &t);
    if (status) return status;
    g->S = t ? t->shape[1] : 0;
    if (t) status = golden_find_shape(g, "decode_ids", OMNI_I32, 2, (size_t[]){g->B, g->S}, &t);
    for (size_t b = 0; !status && b < g->B; b++) {
        golden_prompt(g, b)->tokens = g->T;
        golden_prompt(g, b)->steps = g->S;
    }
    return status;
}

static omni_status load_next(const golden *g) {
    const omni_tensor *t;
    omni_status status = golden_find(g, "decode_ids", OMNI_I32, 2, &t);
    for (size_t b = 0; !status && b < g->B; b++) {
        omni_prompt_truth *p = golden_prompt(g, b);
        p->next = golden_copy_i32(g, t, b * g->S, g->S);
        if (!p->next) return OMNI_RUN_FAILED;
        status = truth_check_ids(g->model, g->path, g->first + b, "decode_ids", p->next, g->S, g->err);
    }
    return status;
}

/* logits_last [B, V], or the last row of logits [B, T, V]. */
static omni_status load_logits(const golden *g) {
    size_t V = g->model->shape.vocab;
    omni_status status =
        golden_load_rows(g, "logits_last", 2, (size_t[]){g->B, V}, GOLDEN_FIELD(logits_last));
    if (status || golden_prompt(g, 0)->logits_last) return status;
    const omni_tensor *t;
    status = golden_find_shape(g, "logits", OMNI_F64, 3, (size_t[]){g->B, g->T, V}, &t);
    for (size_t b = 0; !status && t && b < g->B; b++) {
        const double *last = golden_copy_f64(g, t, ((b + 1) * g->T - 1) * V, V);
        if (!last) return OMNI_RUN_FAILED;
        golden_prompt(g, b)->logits_last = last;
    }
    return status;
}

/* Where only the distributions are known, the margins follow from them. */
static omni_status fill_margins(const golden *g) {
    size_t V = g->model->shape.vocab;
    for (size_t b = 0; b < g->B; b++) {
        omni_prompt_truth *p = golden_prompt(g, b);
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
    omni_status status = load_next(g);
    if (!status)
        status =
            golden_load_rows(g, "decode_logits", 3, (size_t[]){g->B, g->S, V}, GOLDEN_FIELD(decode_logits));
    if (!status)
        status = golden_load_rows(g, "decode_last_logits", 2, (size_t[]){g->B, V},
                                  GOLDEN_FIELD(decode_last_logits));
    if (!status)
        status = golden_load_rows(g, "decode_margin", 2, (size_t[]){g->B, g->S}, GOLDEN_FIELD(margin));
    return status ? status : fill_margins(g);
}

static omni_status load_outputs(const golden *g) {
    omni_status status = load_logits(g);
    return status ? status : load_decode(g);
}

const golden_kind golden_decoder = {
    .refused = refused,
    .outputs = "logits_last or decode_ids",
    .load_lengths = load_lengths,
    .load_outputs = load_outputs,
};
