/* finite.c: is every weight that the model uses a number? One NaN or infinity in a table spoils only what meets
 * it, so a comparison may pass beside it; this looks at all elements of all tensors that the pass uses, once.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "omnibus/verify.h"

enum { BLOCK = 16384 };

typedef struct scan {
    const omni_weights *w;
    const omni_stop *stop;
    const omni_tensor *last; /* scanned: q, k and v may be one tensor */
    float *block;            /* [BLOCK] */
    char *bad;
    omni_status status;
    omni_error *err;
} scan;

/* The first element that is not finite; n: none. */
static size_t find_bad(const float *x, size_t n) {
    uint32_t any = 0, bits;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, &x[i], sizeof bits);
        any |= bits << 1 >= 0xff000000u; /* the exponent is all ones */
    }
    size_t i = any ? 0 : n;
    while (i < n && isfinite(x[i])) i++;
    return i;
}

static bool done(scan *s) {
    if (!s->status && s->stop) {
        s->status = omni_stop_get(s->stop);
        if (s->status) omni_error_set(s->err, s->status, "stopped");
    }
    return s->status != OMNI_OK || s->bad[0] != '\0';
}

static void scan_tensor(scan *s, const omni_tensor *t) {
    for (size_t at = 0; at < t->elements && !done(s); at += BLOCK) {
        size_t n = t->elements - at < BLOCK ? t->elements - at : BLOCK;
        if (!omni_weights_read_f32(s->w, t, at, n, s->block)) {
            s->status = omni_weights_read_failed(s->w, t, s->err);
            return;
        }
        size_t i = find_bad(s->block, n);
        if (i < n)
            snprintf(s->bad, OMNI_NOT_FINITE, "weights are not finite: tensor '%.80s', element %zu is %g",
                     t->name, at + i, (double)s->block[i]);
    }
}

static void scan_name(scan *s, const omni_tensor_name *name, size_t layer) {
    char text[OMNI_NAME];
    const omni_tensor *t = NULL;
    for (size_t i = 0; !t && omni_tensor_name_format(name, i, layer, text); i++)
        t = omni_weights_find(s->w, text);
    if (t && t != s->last) scan_tensor(s, t);
    if (t) s->last = t;
}

static void scan_op(scan *s, const omni_op *op, size_t layer) {
    if (op->kind == OMNI_OP_NORM) {
        scan_name(s, &op->norm_weight, layer);
        scan_name(s, &op->norm_bias, layer);
    }
    for (size_t j = 0; j < op->matrices; j++) scan_name(s, &op->matrix[j].weight, layer);
    for (size_t j = 0; j < op->matrices; j++) scan_name(s, &op->matrix[j].bias, layer);
}

omni_status omni_check_finite(const omni_model *m, const omni_weights *w, const omni_stop *stop,
                              char bad[OMNI_NOT_FINITE], omni_error *err) {
    scan s = {.w = w, .stop = stop, .bad = bad, .err = err};
    bad[0] = '\0';
    s.block = omni_alloc_array(BLOCK, sizeof *s.block);
    if (!s.block) return omni_error_set(err, OMNI_RUN_FAILED, "check: no memory to look at the weights");
    scan_name(&s, &m->embedding, 0);
    if (m->positions.name[0]) scan_name(&s, &m->positions, 0);
    for (size_t l = 0; l < m->shape.layers; l++)
        for (size_t i = 0; i < m->layer_op_count && !done(&s); i++) scan_op(&s, &m->layer_ops[i], l);
    for (size_t i = 0; i < m->final_op_count && !done(&s); i++)
        if (m->final_ops[i].role != OMNI_ROLE_HEAD || !m->shape.tied) scan_op(&s, &m->final_ops[i], 0);
    omni_free(s.block);
    return s.status;
}
