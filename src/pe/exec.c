/* exec.c: the compute steps of a pass. A worker walks the plan's total order once: at a message it acts once,
 * for all its PEs (message.c); at a compute step it runs each of its PEs that takes part. Kernels see
 * pointers and sizes only.
 */
#include <string.h>

#include "base/probe.h"
#include "pe/pe.h"

omni_range pe_stored(const pe *x, const omni_value *v, size_t j) {
    return v->compact ? omni_value_owned(v, j, x->seat.p, x->seat.index) : (omni_range){0, v->part[j].width};
}

operand pe_operand(const pe *x, const omni_value *v, size_t j, omni_range want) {
    size_t offset = 0;
    for (size_t i = 0; i < j; i++) offset += pe_stored(x, v, i).count;
    float *base = x->storage[v->storage];
    if (want.count) offset += want.start - pe_stored(x, v, j).start;
    return (operand){.data = base ? base + offset : NULL,
                     .ld = omni_value_width(v, x->seat.p, x->seat.index)};
}

/* All of a value as the PE stores it. */
static operand stored(const omni_engine *e, const pe *x, int value) {
    const omni_value *v = engine_value(e, value);
    return (operand){.data = x->storage[v->storage], .ld = omni_value_width(v, x->seat.p, x->seat.index)};
}

static size_t rows_of(const omni_engine *e, const pe *x, int value, const omni_part *part) {
    return omni_rows_count(engine_value(e, value)->rows, part->extent, x->seat.p, x->seat.index);
}

/* The rows of a value that the step is about, and them of an operand. */
static omni_range strip_of(const omni_engine *e, const pe *x, const omni_step *s, int value,
                           const omni_part *part) {
    return omni_step_rows(s, engine_value(e, value)->rows, part->extent, x->seat.p, x->seat.index);
}

static operand from_row(operand o, size_t row) {
    return (operand){o.data ? o.data + row * o.ld : NULL, o.ld};
}

void pe_multiply(worker *w, const omni_packed *matrix, omni_range cols, operand x, operand y, size_t rows) {
    for (size_t r = 0; r < rows && omni_stop_get(w->engine->o.stop) == OMNI_OK; r += MATMUL_ROWS) {
        size_t n = rows - r < MATMUL_ROWS ? rows - r : MATMUL_ROWS;
        omni_matmul_part(w->engine->o.compute, matrix, cols, x.data + r * x.ld, x.ld, n, y.data + r * y.ld,
                         y.ld, w->matmul_scratch);
    }
}

static void run_matmul(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    const pe_weight *mine = &x->weight[s->weight];
    omni_range rows = strip_of(e, x, s, s->out, part);
    operand y = from_row(stored(e, x, s->out), rows.start);
    operand in = from_row(pe_operand(x, engine_value(e, s->in[0]), 0, mine->in), rows.start);
    omni_range cols = omni_step_features(s, part->extent, mine->out);
    if (mine->out == 0) return;
    pe_multiply(w, mine->matrix, cols, in, y, rows.count);
    if (mine->bias) omni_bias_add(y.data + cols.start, y.ld, rows.count, cols.count, mine->bias + cols.start);
}

static void run_norm(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    const pe_weight *mine = &x->weight[s->weight];
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    omni_norm_rows(s->op->norm, in.data, in.ld, rows_of(e, x, s->in[0], part), y.ld,
                   e->o.model->shape.norm_eps, mine->norm_weight, mine->norm_bias, y.data, y.ld);
}

static void run_norm_stats(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    omni_norm_stats(s->op->norm, in.data, in.ld, rows_of(e, x, s->in[0], part), in.ld, y.data);
}

static void run_norm_finish(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    omni_norm_finish(s->op->norm, stored(e, x, s->in[0]).data, rows_of(e, x, s->in[0], part),
                     stored(e, x, s->out).data);
}

static void run_norm_apply(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    const pe_weight *mine = &x->weight[s->weight];
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    omni_norm_apply(s->op->norm, in.data, in.ld, rows_of(e, x, s->in[0], part), y.ld,
                    e->o.model->shape.hidden, stored(e, x, s->in[1]).data, e->o.model->shape.norm_eps,
                    mine->norm_weight, mine->norm_bias, y.data, y.ld);
}

static void run_activation(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    omni_range rows = strip_of(e, x, s, s->out, part);
    operand in = from_row(stored(e, x, s->in[0]), rows.start), y = from_row(stored(e, x, s->out), rows.start);
    omni_activate(s->op->activation, y.data, y.ld, in.data, in.ld, rows.count, y.ld);
}

/* Folded into addends: who has columns of the stream adds them, once over all ranks. Otherwise everyone adds
 * his own. */
static void run_residual(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    const omni_value *branch = engine_value(e, s->in[0]), *stream = engine_value(e, s->in[1]);
    bool folded = branch->at.kind == OMNI_PARTIAL;
    if (folded && !stream->compact && x->seat.index != s->root) return;
    omni_range cols = omni_range_meet(pe_stored(x, folded ? stream : branch, 0),
                                      omni_step_features(s, part->extent, branch->part[0].width));
    omni_range rows = strip_of(e, x, s, s->in[0], part);
    operand y = from_row(pe_operand(x, branch, 0, cols), rows.start),
            in = from_row(pe_operand(x, stream, 0, cols), rows.start);
    if (cols.count) omni_add(y.data, y.ld, in.data, in.ld, rows.count, cols.count);
}

/* The i-th row that is kept. */
static size_t picked(const omni_engine *e, const omni_part *part, omni_pick pick, size_t i) {
    if (pick == OMNI_PICK_MARKED) return part->extent.mark[i] - part->row;
    if (pick == OMNI_PICK_FIRST) return part_row(&e->pass, part, i + (part->extent.skip > 0));
    return part_row(&e->pass, part, i) + omni_extent_count(&part->extent, i) - 1;
}

static void run_rows(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    if (y.ld == 0) return;
    for (size_t i = 0; i < rows_of(e, x, s->out, part); i++)
        memcpy(y.data + i * y.ld, in.data + picked(e, part, s->op->pick, i) * in.ld, y.ld * sizeof(float));
}

static void run_argmax(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    omni_engine *e = w->engine;
    const omni_value *v = engine_value(e, s->in[0]);
    operand in = stored(e, x, s->in[0]), y = stored(e, x, s->out);
    size_t first = pe_stored(x, v, 0).start;
    for (size_t i = 0; i < rows_of(e, x, s->in[0], part); i++) {
        omni_best best = omni_argmax(in.data + i * in.ld, in.ld, first);
        memcpy(y.data + i * y.ld, &best, sizeof best);
    }
    if (e->logits) tap_logits(e, x, s, part);
}

static void run_tap(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    if (w->engine->o.taps) tap_state(w->engine, x, s, part);
}

static void (*const compute[OMNI_STEP_KINDS])(worker *, pe *, const omni_step *, const omni_part *) = {
    [OMNI_STEP_MATMUL] = run_matmul,
    [OMNI_STEP_NORM] = run_norm,
    [OMNI_STEP_NORM_STATS] = run_norm_stats,
    [OMNI_STEP_NORM_FINISH] = run_norm_finish,
    [OMNI_STEP_NORM_APPLY] = run_norm_apply,
    [OMNI_STEP_KV_APPEND] = exec_kv_append,
    [OMNI_STEP_ATTENTION] = exec_attention,
    [OMNI_STEP_ATTENTION_FINISH] = exec_attention_finish,
    [OMNI_STEP_SCORES] = exec_scores,
    [OMNI_STEP_WEIGH] = exec_weigh,
    [OMNI_STEP_ACTIVATION] = run_activation,
    [OMNI_STEP_RESIDUAL] = run_residual,
    [OMNI_STEP_ROWS] = run_rows,
    [OMNI_STEP_ARGMAX] = run_argmax,
    [OMNI_STEP_TAP] = run_tap,
};

/* Where a step begins and ends, for a rank; in a message for all that the worker acts for, of which it is the
 * first. Not inlined: so each probe is at one address. */
__attribute__((noinline)) static void tell_begin(const omni_step *s, size_t rank) {
    OMNI_PROBE4(step_begin, rank, s->number, s->op ? s->op->name : "", omni_step_name(s->kind));
}

__attribute__((noinline)) static void tell_end(const omni_step *s, size_t rank) {
    OMNI_PROBE4(step_end, rank, s->number, s->op ? s->op->name : "", omni_step_name(s->kind));
}

static inline void step_begins(const omni_step *s, size_t rank) {
    if (OMNI_PROBED(step_begin)) tell_begin(s, rank);
}

static inline void step_ends(const omni_step *s, size_t rank) {
    if (OMNI_PROBED(step_end)) tell_end(s, rank);
}

static bool compute_ranks(worker *w, const omni_step *s, omni_range ranks, const omni_part *part) {
    const omni_engine *e = w->engine;
    for (size_t r = ranks.start; r < ranks.start + ranks.count; r++) {
        pe *x = &e->pe[r];
        if (omni_stop_get(e->o.stop) != OMNI_OK) return false; /* many PEs of one worker take long */
        if (s->root_only && x->seat.index != 0) continue;
        step_begins(s, r);
        compute[s->kind](w, x, s, part);
        step_ends(s, r);
        trace_compute(w, s, r);
    }
    return true;
}

/* A worker acts once in a message, for all its ranks in one group and stage. */
static bool move(worker *w, const omni_step *s, const pe_share *own, const omni_part *part) {
    step_begins(s, own->ranks.start);
    bool ok = exec_message(w, s, part, own);
    step_ends(s, own->ranks.start);
    return ok;
}

/* A message for all groups. */
static bool move_joined(worker *w, const omni_step *s) {
    step_begins(s, w->ranks.start);
    bool ok = exec_joined(w, s);
    step_ends(s, w->ranks.start);
    return ok;
}

static bool hand_off(worker *w, const omni_step *s, const pe_share *own, const omni_part *part) {
    step_begins(s, own->ranks.start);
    bool ok = exec_hand_off(w, s, part, own->group);
    step_ends(s, own->ranks.start);
    return ok;
}

static bool meet(worker *w, const lend_ranks *lent) {
    bool met = omni_barrier_wait(lent->meet, lent->party, w->engine->wait, w->engine->o.stop);
    trace_lap(w);
    return met;
}

/* One step, for those of the worker's ranks that stand in one group and stage. */
static bool exec_step(worker *w, const omni_step *s, const pe_share *own, const omni_part *part) {
    const omni_engine *e = w->engine;
    lend_ranks lent;
    if (omni_stop_get(e->o.stop) != OMNI_OK) return false;
    if (omni_step_is_message(s)) return move(w, s, own, part);
    if (!lend_step(w, s, own, &lent)) return compute_ranks(w, s, own->ranks, part);
    return meet(w, &lent) && compute_ranks(w, s, lent.busy, part) && compute_ranks(w, s, lent.idle, part) &&
           meet(w, &lent);
}

static bool carries_stage(const worker *w, size_t stage) {
    for (size_t i = 0; i < w->shares; i++)
        if (w->share[i].stage == stage) return true;
    return false;
}

/* Step by step, trains strip by strip, group by group: the same order of messages for everybody. */
static bool exec_block(worker *w, size_t stage, size_t wave) {
    const omni_engine *e = w->engine;
    omni_order order = omni_order_begin(e->o.plan, e->o.plan->block[stage]);
    if (!carries_stage(w, stage)) return true;
    for (const omni_step *s; (s = omni_order_next(&order));) {
        if (s->cut == OMNI_CUT_ALL) {
            if (!move_joined(w, s)) return false;
            meter_step(w, s);
            continue;
        }
        for (size_t k = 0; k < w->shares; k++) {
            const pe_share *own = &w->share[k];
            const omni_part *part = own->stage == stage ? pass_part(&e->pass, own->group, stage, wave) : NULL;
            if (part && !exec_step(w, s, own, part)) return false;
            if (part) meter_step(w, s);
        }
    }
    return true;
}

/* Of a stage to the next, group by group. A worker may carry ranks of both: it acts once. */
static bool exec_hand_offs(worker *w, size_t stage, size_t wave) {
    const omni_engine *e = w->engine;
    const omni_plan *plan = e->o.plan;
    const omni_step *s = &plan->step[plan->step_count - (plan->mesh.stages - 1) + stage];
    for (size_t k = 0; k < w->shares; k++) {
        const pe_share *own = &w->share[k];
        bool again = k > 0 && own->group == w->share[k - 1].group && own->stage == stage + 1 &&
                     w->share[k - 1].stage == stage;
        if ((own->stage != stage && own->stage != stage + 1) || again) continue;
        const omni_part *part = pass_part(&e->pass, own->group, stage, wave);
        if (part && !hand_off(w, s, own, part)) return false;
        if (part) meter_step(w, s);
    }
    return true;
}

bool exec_pass(worker *w) {
    const omni_engine *e = w->engine;
    size_t stages = e->o.plan->mesh.stages;
    meter_begin(w);
    for (size_t wave = 0; wave < e->pass.waves; wave++) {
        w->trace.wave = wave;
        for (size_t s = 0; s < stages; s++)
            if (!exec_block(w, s, wave)) return false;
        for (size_t s = 0; s + 1 < stages; s++)
            if (!exec_hand_offs(w, s, wave)) return false;
    }
    meter_end(w);
    return true;
}
