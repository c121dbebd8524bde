/* exec.c: the compute steps of a pass. A worker walks the plan's total order once: at a message it acts once,
 * for all its PEs (message.c); at a compute step it runs each of its PEs that takes part. Kernels see
 * pointers and sizes only.
 */
#include <string.h>

#include "pe/pe.h"

omni_range pe_stored(const pe *x, const omni_value *v, size_t j, size_t p) {
    return v->compact ? omni_value_owned(v, j, p, x->index) : (omni_range){0, v->part[j].width};
}

operand pe_operand(const pe *x, const omni_value *v, size_t j, omni_range want, size_t p) {
    size_t offset = 0;
    for (size_t i = 0; i < j; i++) offset += pe_stored(x, v, i, p).count;
    float *base = x->storage[v->storage];
    if (want.count) offset += want.start - pe_stored(x, v, j, p).start;
    return (operand){.data = base ? base + offset : NULL, .ld = omni_value_width(v, p, x->index)};
}

/* All of a value as the PE stores it. */
static operand stored(const omni_engine *e, const pe *x, int value) {
    const omni_value *v = engine_value(e, value);
    return (operand){.data = x->storage[v->storage], .ld = omni_value_width(v, e->p, x->index)};
}

static size_t rows_of(const omni_engine *e, const pe *x, int value) {
    return omni_rows_count(engine_value(e, value)->rows, e->pass.extent, e->p, x->index);
}

static void run_matmul(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    const pe_weight *mine = &x->weight[s->weight];
    operand y = stored(e, x, s->out), in = pe_operand(x, engine_value(e, s->in[0]), 0, mine->in, e->p);
    size_t rows = rows_of(e, x, s->out);
    if (mine->out == 0) return;
    for (size_t r = 0; r < rows && omni_stop_get(e->o.stop) == OMNI_OK; r += MATMUL_ROWS) {
        size_t n = rows - r < MATMUL_ROWS ? rows - r : MATMUL_ROWS;
        omni_matmul(mine->matrix, in.data + r * in.ld, in.ld, n, y.data + r * y.ld, y.ld, w->matmul_scratch);
    }
    if (mine->bias) omni_bias_add(y.data, y.ld, rows, mine->out, mine->bias);
}

static void run_norm(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    const pe_weight *mine = &x->weight[s->weight];
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    omni_norm_rows(s->op->norm, in.data, in.ld, rows_of(e, x, s->in[0]), y.ld, e->o.model->shape.norm_eps,
                   mine->norm_weight, mine->norm_bias, y.data, y.ld);
}

static void run_norm_stats(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    omni_norm_stats(s->op->norm, in.data, in.ld, rows_of(e, x, s->in[0]), in.ld, y.data);
}

static void run_norm_finish(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    omni_norm_finish(s->op->norm, stored(e, x, s->in[0]).data, rows_of(e, x, s->in[0]),
                     stored(e, x, s->out).data);
}

static void run_norm_apply(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    const pe_weight *mine = &x->weight[s->weight];
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    omni_norm_apply(s->op->norm, in.data, in.ld, rows_of(e, x, s->in[0]), y.ld, e->o.model->shape.hidden,
                    stored(e, x, s->in[1]).data, e->o.model->shape.norm_eps, mine->norm_weight,
                    mine->norm_bias, y.data, y.ld);
}

static void run_activation(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    omni_activate(s->op->activation, y.data, y.ld, in.data, in.ld, rows_of(e, x, s->out), y.ld);
}

/* Folded into addends: who has columns of the stream adds them, once over all ranks. Otherwise everyone adds
 * his own. */
static void run_residual(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    const omni_value *branch = engine_value(e, s->in[0]), *stream = engine_value(e, s->in[1]);
    bool folded = branch->at.kind == OMNI_PARTIAL;
    if (folded && !stream->compact && x->rank != s->root) return;
    omni_range cols = pe_stored(x, folded ? stream : branch, 0, e->p);
    operand y = pe_operand(x, branch, 0, cols, e->p), in = pe_operand(x, stream, 0, cols, e->p);
    if (cols.count) omni_add(y.data, y.ld, in.data, in.ld, rows_of(e, x, s->in[0]), cols.count);
}

/* The i-th row that is kept. */
static size_t picked(const omni_engine *e, omni_pick pick, size_t i) {
    if (pick == OMNI_PICK_MARKED) return e->pass.mark[i];
    return e->pass.row[i] + (pick == OMNI_PICK_LAST ? e->pass.counts[i] - 1 : 0);
}

static void run_rows(worker *w, pe *x, const omni_step *s) {
    const omni_engine *e = w->engine;
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    if (y.ld == 0) return;
    for (size_t i = 0; i < rows_of(e, x, s->out); i++)
        memcpy(y.data + i * y.ld, in.data + picked(e, s->op->pick, i) * in.ld, y.ld * sizeof(float));
}

static void run_argmax(worker *w, pe *x, const omni_step *s) {
    omni_engine *e = w->engine;
    const omni_value *v = engine_value(e, s->in[0]);
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    size_t first = pe_stored(x, v, 0, e->p).start;
    for (size_t i = 0; i < rows_of(e, x, s->in[0]); i++) {
        omni_best best = omni_argmax(in.data + i * in.ld, in.ld, first);
        memcpy(y.data + i * y.ld, &best, sizeof best);
    }
    if (e->o.taps) tap_logits(e, x, s);
}

static void run_tap(worker *w, pe *x, const omni_step *s) {
    if (w->engine->o.taps) tap_state(w->engine, x, s);
}

static void (*const compute[OMNI_STEP_KINDS])(worker *, pe *, const omni_step *) = {
    [OMNI_STEP_MATMUL] = run_matmul,
    [OMNI_STEP_NORM] = run_norm,
    [OMNI_STEP_NORM_STATS] = run_norm_stats,
    [OMNI_STEP_NORM_FINISH] = run_norm_finish,
    [OMNI_STEP_NORM_APPLY] = run_norm_apply,
    [OMNI_STEP_KV_APPEND] = exec_kv_append,
    [OMNI_STEP_ATTENTION] = exec_attention,
    [OMNI_STEP_ATTENTION_FINISH] = exec_attention_finish,
    [OMNI_STEP_ACTIVATION] = run_activation,
    [OMNI_STEP_RESIDUAL] = run_residual,
    [OMNI_STEP_ROWS] = run_rows,
    [OMNI_STEP_ARGMAX] = run_argmax,
    [OMNI_STEP_TAP] = run_tap,
};

bool exec_pass(worker *w) {
    const omni_engine *e = w->engine;
    const omni_plan *plan = e->o.plan;
    for (size_t i = 0; i < plan->step_count; i++) {
        const omni_step *s = &plan->step[i];
        if (omni_stop_get(e->o.stop) != OMNI_OK) return false;
        if (omni_step_is_message(s)) {
            if (!exec_message(w, s)) return false;
            continue;
        }
        for (size_t k = 0; k < w->ranks.count; k++) {
            pe *x = &e->pe[w->ranks.start + k];
            if (omni_stop_get(e->o.stop) != OMNI_OK) return false; /* many PEs of one worker take long */
            if (x->rank >= s->rank_first && x->rank < s->rank_first + s->rank_count)
                compute[s->kind](w, x, s);
        }
    }
    return true;
}
