/* explain.c: the plan op by op, as rows. Layers that do exactly the same are one block. */
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"

static void method_text(const omni_plan *plan, const omni_op *op, int layer, char *buf, size_t cap) {
    static const omni_key governs[] = {[OMNI_ROLE_QKV] = OMNI_KEY_QKV,
                                       [OMNI_ROLE_O] = OMNI_KEY_O,
                                       [OMNI_ROLE_UP] = OMNI_KEY_FFN,
                                       [OMNI_ROLE_DOWN] = OMNI_KEY_FFN};
    static const char *const cut[] = {"split-out (rows)", "split-in (cols)"};
    size_t count, l = layer == OMNI_FINAL_LAYER ? plan->model->shape.layers - 1 : (size_t)layer;
    const omni_methods *m = &plan->spec.layer[l % plan->spec.cycle];
    const char *text = "local";
    if (plan->mesh.joined && plan->spec.stream && op && op->kind == OMNI_OP_PROJECTION) {
        text = "streamed panels";
    } else if (plan->mesh.joined && plan->mesh.tokens && op && op->kind == OMNI_OP_ATTENTION) {
        text = "own tokens, all keys";
    } else if (omni_plan_widest(plan) == 1) {
        text = "whole";
    } else if (op && op->kind == OMNI_OP_ATTENTION) {
        text = omni_method_table(OMNI_KEY_ATTN, &count)[m->choice[OMNI_KEY_ATTN]].help;
    } else if (op && op->role == OMNI_ROLE_HEAD) {
        text = cut[0];
    } else if (op && op->role != OMNI_ROLE_NONE) {
        const omni_method *row = omni_method_table(governs[op->role], &count);
        text = cut[row[m->choice[governs[op->role]]].split_in[op->role == OMNI_ROLE_DOWN]];
    }
    snprintf(buf, cap, "%s", text);
}

static bool computes(const omni_plan *plan, const omni_explain *row) {
    for (size_t i = row->step_first; i < row->step_first + row->step_count; i++)
        if (!omni_step_is_message(&plan->step[i]) && plan->step[i].kind != OMNI_STEP_TAP) return true;
    return false;
}

/* The op's own input and output: of its first compute step, or first message where it only moves, and of its
 * last step that yields something. */
static void placements(const omni_plan *plan, omni_explain *row) {
    bool seen = false, moves_only = !computes(plan, row);
    for (size_t i = row->step_first; i < row->step_first + row->step_count; i++) {
        const omni_step *s = &plan->step[i];
        if (s->kind == OMNI_STEP_TAP) continue;
        int in = s->in[s->kind == OMNI_STEP_RESIDUAL ? 1 : 0];
        if (!seen && in != OMNI_NO_VALUE && (moves_only || !omni_step_is_message(s))) {
            row->in = row->out = plan->value[in].at;
            seen = true;
        }
        if (s->out != OMNI_NO_VALUE) row->out = plan->value[s->out].at;
    }
}

static bool same_step(const omni_plan *plan, const omni_step *a, const omni_step *b) {
    if (a->kind != b->kind || a->op != b->op || a->parts != b->parts || a->strips != b->strips) return false;
    if ((a->out == OMNI_NO_VALUE) != (b->out == OMNI_NO_VALUE)) return false;
    if (a->out != OMNI_NO_VALUE && plan->value[a->out].at.kind != plan->value[b->out].at.kind) return false;
    return a->in[0] == OMNI_NO_VALUE || plan->value[a->in[0]].at.kind == plan->value[b->in[0]].at.kind;
}

typedef struct block {
    size_t first, count; /* rows */
} block;

static bool same_block(const omni_plan *plan, const omni_explain *rows, block a, block b) {
    if (a.count != b.count) return false;
    for (size_t r = 0; r < a.count; r++) {
        const omni_explain *x = &rows[a.first + r], *y = &rows[b.first + r];
        if (x->step_count != y->step_count || strcmp(x->method, y->method) != 0) return false;
        for (size_t i = 0; i < x->step_count; i++)
            if (!same_step(plan, &plan->step[x->step_first + i], &plan->step[y->step_first + i]))
                return false;
    }
    return true;
}

static block block_at(const omni_explain *rows, size_t count, size_t first) {
    block b = {first, 0};
    while (first + b.count < count && rows[first + b.count].layer == rows[first].layer &&
           (rows[first + b.count].op == NULL) == (rows[first].op == NULL))
        b.count++;
    return b;
}

/* The layer is the next of the ones that a kept block stands for. */
static bool continues(const omni_explain *kept, int layer) {
    size_t gap = (size_t)(layer - kept->layer);
    return kept->layers == 1 || gap == kept->layers * kept->stride;
}

/* The kept block that does the same and that this one continues. */
static block *find_same(const omni_plan *plan, const omni_explain *rows, block *kept, size_t count, block b) {
    for (size_t i = 0; i < count; i++)
        if (same_block(plan, rows, kept[i], b) && continues(&rows[kept[i].first], rows[b.first].layer))
            return &kept[i];
    return NULL;
}

static void add_layer(omni_explain *rows, const block *kept, int layer) {
    for (size_t i = kept->first; i < kept->first + kept->count; i++) {
        if (rows[i].layers == 1) rows[i].stride = (size_t)(layer - rows[i].layer);
        rows[i].layers++;
    }
}

/* Drops blocks that do the same as one before, on layers that follow each other or stand equally far
 * apart. */
static size_t fold_layers(const omni_plan *plan, omni_explain *rows, size_t count) {
    enum { MOST = 2 * OMNI_MAX_CYCLE };
    block kept[MOST];
    size_t blocks = 0, end = 0;
    for (size_t at = 0; at < count;) {
        block b = block_at(rows, count, at);
        at += b.count;
        bool input = !rows[b.first].op && plan->step[rows[b.first].step_first].kind != OMNI_STEP_HAND_OFF;
        bool layer = !input && rows[b.first].layer >= 0;
        block *same = layer ? find_same(plan, rows, kept, blocks, b) : NULL;
        if (same) {
            add_layer(rows, same, rows[b.first].layer);
            continue;
        }
        memmove(rows + end, rows + b.first, b.count * sizeof *rows);
        if (layer && blocks < MOST) kept[blocks++] = (block){end, b.count};
        end += b.count;
    }
    return end;
}

omni_status omni_plan_explain(const omni_plan *plan, omni_explain **out, size_t *count, omni_error *err) {
    omni_explain *rows = omni_alloc_array(plan->step_count + 1, sizeof *rows);
    if (!rows) return omni_error_set(err, OMNI_RUN_FAILED, "no memory to explain plan '%s'", plan->spec.name);
    size_t n = 0;
    for (size_t i = 0; i < plan->step_count; i++) {
        const omni_step *s = &plan->step[i];
        if (n == 0 || rows[n - 1].op != s->op || rows[n - 1].layer != s->layer) {
            rows[n] =
                (omni_explain){.layer = s->layer, .layers = 1, .stride = 1, .op = s->op, .step_first = i};
            method_text(plan, s->op, s->layer, rows[n].method, sizeof rows[n].method);
            n++;
        }
        rows[n - 1].step_count++;
    }
    for (size_t r = 0; r < n; r++) placements(plan, &rows[r]);
    *count = fold_layers(plan, rows, n);
    *out = rows;
    return OMNI_OK;
}
