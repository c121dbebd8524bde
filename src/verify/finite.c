/* finite.c: is every weight that the model uses a number? One NaN or infinity in a table spoils only what
 * meets it, so a comparison may pass beside it; this looks at all elements of all tensors that the pass uses,
 * once.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "omnibus/verify.h"

enum { BLOCK = 16384 };

typedef struct scan {
    const omni_weights *w;
    const omni_stop *stop;
    omni_meter *meter;
    float *block; /* [BLOCK] */
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
        omni_meter_add(s->meter, n * omni_dtype_bytes(t->dtype));
        size_t i = find_bad(s->block, n);
        if (i < n)
            snprintf(s->bad, OMNI_NOT_FINITE, "weights are not finite: tensor '%.80s', element %zu is %g",
                     t->name, at + i, (double)s->block[i]);
    }
}

/* What the checkpoint lacks is not looked for here: binding says so. */
static const omni_tensor *stored(const omni_weights *w, const omni_model_tensor *m) {
    char name[OMNI_NAME];
    const omni_tensor *t = NULL;
    for (size_t i = 0; !t && omni_tensor_name_format(m->stored, i, m->layer, name); i++)
        t = omni_weights_find(w, name);
    return t;
}

omni_status omni_check_finite(const omni_model *m, const omni_weights *w, const omni_stop *stop,
                              omni_meter *meter, char bad[OMNI_NOT_FINITE], omni_error *err) {
    scan s = {.w = w, .stop = stop, .meter = meter, .bad = bad, .err = err};
    omni_model_tensor *list;
    size_t count;
    bad[0] = '\0';
    omni_status status = omni_model_tensors(m, &list, &count, err);
    if (status) return status;
    s.block = omni_alloc_array(BLOCK, sizeof *s.block);
    if (!s.block) s.status = omni_error_set(err, OMNI_RUN_FAILED, "check: no memory to look at the weights");
    for (size_t i = 0; i < count; i++) {
        const omni_tensor *t = stored(w, &list[i]);
        if (t) omni_meter_expect(meter, t->elements * omni_dtype_bytes(t->dtype));
    }
    for (size_t i = 0; i < count && !done(&s); i++) {
        const omni_tensor *t = stored(w, &list[i]);
        if (t) scan_tensor(&s, t);
    }
    omni_free(s.block);
    omni_free(list);
    return s.status;
}
