/* cases_encode_sample.c: samples for an encoder, engines that encode them, and their golden values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases_encode.h"
#include "omnibus/kernel.h"

static const double within = 1e-5;

/* --- a sample, and what an encode makes of it ------------------------------------------------- */

void sample_take(const sample *from, size_t s, sample *one) {
    size_t row = 0;
    for (size_t q = 0; q < s; q++) row += from->counts[q];
    memset(one, 0, sizeof *one);
    one->sequences = 1;
    one->tokens = one->counts[0] = from->counts[s];
    memcpy(one->ids, from->ids + row, one->tokens * sizeof *one->ids);
    memcpy(one->types, from->types + row, one->tokens * sizeof *one->types);
    for (size_t m = 0; m < from->marks; m++)
        if (from->mark[m] >= row && from->mark[m] < row + one->tokens)
            one->mark[one->marks++] = from->mark[m] - row;
}

void sample_mark(sample *x, size_t step) {
    x->marks = 0;
    for (size_t i = 0; step && i < x->tokens; i += step) x->mark[x->marks++] = i;
}

void sample_add(sample *x, size_t tokens, size_t vocab, size_t types) {
    x->counts[x->sequences++] = tokens;
    for (size_t i = 0; i < tokens; i++, x->tokens++) {
        x->ids[x->tokens] = (int32_t)((x->tokens * 37 + 11) % vocab);
        x->types[x->tokens] = (int32_t)(i * types / tokens);
    }
}

bool record_alloc(record *r, const omni_shape *s, const sample *x) {
    size_t states = (s->layers + 1) * x->tokens * s->hidden, pooled = x->sequences * s->hidden;
    memset(r, 0, sizeof *r);
    r->floats = states + pooled + x->marks * s->vocab;
    r->state = calloc(r->floats, sizeof *r->state);
    if (!r->state) return false;
    r->pooled = r->state + states;
    r->logits = r->pooled + pooled;
    return true;
}

bool record_same_bits(const record *a, const record *b) {
    return a->floats == b->floats && memcmp(a->state, b->state, a->floats * sizeof *a->state) == 0 &&
           memcmp(a->predicted, b->predicted, sizeof a->predicted) == 0;
}

omni_encode encode_of(const sample *x, record *r) {
    return (omni_encode){.ids = x->ids,
                         .types = x->types,
                         .counts = x->counts,
                         .mark = x->mark,
                         .marks = x->marks,
                         .pooled = r->pooled,
                         .predicted = r->predicted};
}

/* --- models and engines ----------------------------------------------------------------------- */

const char *encode_open(flow *f, const char *dir) {
    memset(f, 0, sizeof *f);
    bool ok = omni_kernel_init(&f->err) == OMNI_OK && omni_model_load(dir, &f->model, &f->err) == OMNI_OK &&
              omni_weights_open_dir(dir, &f->weights, &f->err) == OMNI_OK &&
              omni_topo_open(NULL, NULL, &f->topo, &f->err) == OMNI_OK;
    if (ok) omni_bind_heads(f->model, f->weights);
    return ok ? NULL : verdict("%s: %s", dir, f->err.text);
}

const char *encode_open_random(flow *f, const char *config, unsigned heads, uint64_t seed) {
    omni_random_spec *spec = NULL;
    size_t count;
    memset(f, 0, sizeof *f);
    bool ok = omni_kernel_init(&f->err) == OMNI_OK &&
              omni_model_parse(config, strlen(config), "random", &f->model, &f->err) == OMNI_OK;
    if (ok) omni_model_set_heads(f->model, heads);
    ok = ok && omni_random_specs(f->model, OMNI_F32, &spec, &count, &f->err) == OMNI_OK &&
         omni_weights_open_random(spec, count, seed, &f->weights, &f->err) == OMNI_OK &&
         omni_topo_open(NULL, NULL, &f->topo, &f->err) == OMNI_OK;
    omni_free(spec);
    return ok ? NULL : verdict("%s: %s", config, f->err.text);
}

const char *encode_start(flow *f, const sample *x, size_t workers, const char *fabric, omni_engine **e) {
    omni_engine_options o = flow_options(f);
    o.workers = workers;
    o.fabric = fabric;
    o.sequences = x->sequences;
    o.capacity = x->counts;
    o.max_tokens = x->tokens;
    o.max_marks = x->marks;
    o.taps = true;
    return omni_engine_create(&o, e, &f->err) == OMNI_OK ? NULL : verdict("%s", f->err.text);
}

const char *encode_pass(flow *f, omni_engine *e, const sample *x, record *r) {
    const omni_shape *s = &f->model->shape;
    omni_encode io = encode_of(x, r);
    size_t rows = x->tokens * s->hidden, layer;
    if (omni_engine_encode(e, &io, &f->err) != OMNI_OK) return verdict("%s", f->err.text);
    for (size_t l = 0; l <= s->layers; l++)
        memcpy(r->state + l * rows, omni_engine_tap(e, l), rows * sizeof *r->state);
    if (x->marks) memcpy(r->logits, omni_engine_logits(e), x->marks * s->vocab * sizeof *r->logits);
    if (!omni_engine_replicas_agree(e, &layer)) return verdict("replicas differ at layer %zu", layer);
    return NULL;
}

const char *encode(flow *f, const char *plan, size_t pes, size_t workers, const sample *x, record *r) {
    omni_engine *e;
    const char *bad = NULL;
    if (!record_alloc(r, &f->model->shape, x)) return "no memory";
    if (!flow_plan(f, plan, pes)) bad = verdict("%s", f->err.text);
    if (!bad && !(bad = encode_start(f, x, workers < pes ? workers : pes, NULL, &e))) {
        bad = encode_pass(f, e, x, r);
        omni_engine_counters(e, &r->moved);
        omni_engine_free(e);
    }
    if (bad) free(r->state);
    return bad ? verdict("%s on %zu PEs: %s", plan, pes, bad) : NULL;
}

/* --- against golden float64 ------------------------------------------------------------------- */

/* NULL when there is none. */
static double *read_tensor(const omni_weights *w, const char *name) {
    const omni_tensor *t = omni_weights_find(w, name);
    double *x = t ? malloc(t->elements * sizeof *x) : NULL;
    if (x && omni_weights_read_f64(w, t, 0, t->elements, x)) return x;
    free(x);
    return NULL;
}

static void pack_sequence(const double *ids, const double *types, const double *mask, size_t longest,
                          sample *x) {
    size_t count = 0;
    for (; count < longest && mask[count] == 1; count++, x->tokens++) {
        x->ids[x->tokens] = (int32_t)ids[count];
        x->types[x->tokens] = (int32_t)types[count];
    }
    x->counts[x->sequences++] = count;
}

const char *golden_read(const char *dir, golden *g, sample *x) {
    char path[256];
    omni_weights *w;
    omni_error err = {0};
    memset(x, 0, sizeof *x);
    memset(g, 0, sizeof *g);
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    if (omni_weights_open_file(path, &w, &err) != OMNI_OK) return verdict("%s", err.text);
    double *ids = read_tensor(w, "input_ids"), *types = read_tensor(w, "token_type_ids"),
           *mask = read_tensor(w, "attention_mask"), *marked = read_tensor(w, "mask_positions");
    g->hidden = read_tensor(w, "layer_hidden");
    g->pooled = read_tensor(w, "pooler_output");
    g->logits = read_tensor(w, "mlm_logits_mask");
    bool ok = ids && types && mask && g->hidden && g->pooled && !marked == !g->logits;
    if (ok) {
        const size_t *shape = omni_weights_find(w, "input_ids")->shape;
        g->longest = shape[1];
        for (size_t s = 0; s < shape[0]; s++) {
            if (marked) x->mark[x->marks++] = x->tokens + (size_t)marked[s];
            pack_sequence(ids + s * shape[1], types + s * shape[1], mask + s * shape[1], shape[1], x);
        }
    }
    free(ids);
    free(types);
    free(mask);
    free(marked);
    omni_weights_close(w);
    return ok ? NULL : verdict("%s: a tensor is missing", path);
}

void golden_free(golden *g) {
    free(g->hidden);
    free(g->pooled);
    free(g->logits);
}

const char *close_to(const char *what, const float *x, const double *ref, size_t rows, size_t width) {
    double largest = 0, worst = 0, worst_row = 0;
    for (size_t r = 0; r < rows; r++) {
        double off = 0, all = 0;
        for (size_t i = r * width; i < (r + 1) * width; i++) {
            double d = fabs((double)x[i] - ref[i]);
            if (isnan(d)) return verdict("%s: row %zu is not a number", what, r);
            worst = fmax(worst, d);
            largest = fmax(largest, fabs(ref[i]));
            off += d * d;
            all += ref[i] * ref[i];
        }
        if (off > worst_row * worst_row * all) worst_row = sqrt(off / all);
    }
    bool near = worst <= within * largest && worst_row <= within;
    return near ? NULL : verdict("%s: max %g of %g, row %g", what, worst, largest, worst_row);
}

const char *golden_compare(const omni_shape *s, const golden *g, const sample *x, const record *r) {
    const char *bad = close_to("pooled", r->pooled, g->pooled, x->sequences, s->hidden);
    for (size_t l = 0; l <= s->layers && !bad; l++) {
        size_t row = 0;
        for (size_t q = 0; q < x->sequences && !bad; row += x->counts[q++]) {
            char what[64];
            snprintf(what, sizeof what, "state %zu of sequence %zu", l, q);
            bad = close_to(what, r->state + (l * x->tokens + row) * s->hidden,
                           g->hidden + (l * x->sequences + q) * g->longest * s->hidden, x->counts[q],
                           s->hidden);
        }
    }
    return bad || !g->logits ? bad : close_to("logits", r->logits, g->logits, x->marks, s->vocab);
}

static size_t largest_of(const float *x, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

const char *predictions_are_the_largest(const omni_shape *s, const sample *x, const record *r) {
    for (size_t m = 0; m < x->marks; m++)
        if ((size_t)r->predicted[m] != largest_of(r->logits + m * s->vocab, s->vocab))
            return verdict("mark %zu: %d is predicted, %zu is the largest", m, (int)r->predicted[m],
                           largest_of(r->logits + m * s->vocab, s->vocab));
    return NULL;
}
