/* overlap.c: products and the messages behind them, strip by strip: one is under way while the next one is
 * computed (double buffering): overlap=C.
 *
 *   megatron    matmul  residual  reduction  broadcast    a train: a product, what is element-wise behind it,
 *               `------------- a train --------------'    and the messages that carry its output away
 *
 *   rows        [ strip 0 | strip 1 | .. | strip C - 1 ]  of every value of the train: omni_split()
 *
 *   a PE        compute 0   compute 1   compute 2   ..    and goes on when all strips are there
 *   wires                   messages 0  messages 1  ..
 *
 * Rows of a product, of an element-wise step and of a message know nothing of each other: that is what makes
 * a cut right, and check.c proves it of the plan as it is. So all bits are those of overlap=1. What it costs
 * is counted: C messages for one, with the same bytes; and a product reads its weights for every strip. The
 * buffers are the strips of the values' own buffers, which have to last until the train's end (storage.c):
 * what might have taken turns with them lies elsewhere.
 *
 * A pass of one token a sequence (decode) is bound by its weights, so strips of it are features of the
 * output, in panels of 16: each reads its own weights, and the whole input. That needs full-width addends:
 * the train above, behind a product that is split-in (cols), with a residual that everyone has whole. Of the
 * other trains such a pass is one strip.
 *
 * In this order a train is executed (pe), proven, counted and priced (array). On the host, who writes a
 * broadcast goes on when it is in the ring, and others read a strip while he computes the next; in a
 * reduction all meet.
 *
 * What stays whole: what is behind an attention; keys and values dealt out by tokens; statistics; the final
 * rows and the host port; messages at the beginning of a layer; and messages of all groups, of which the
 * weight stream has two buffers anyway.
 */
#include "plan/plan.h"

/* --- rows of a strip -------------------------------------------------------------------------- */

omni_step omni_step_strip(const omni_step *s, size_t strip) {
    omni_step of = *s;
    of.strip = strip;
    return of;
}

/* One token a sequence. */
static bool decodes(omni_extent extent) {
    return extent.tokens == extent.sequences;
}

omni_range omni_step_rows(const omni_step *s, omni_rows rows, omni_extent extent, size_t p, size_t i) {
    size_t count = omni_rows_count(rows, extent, p, i);
    if (s->strips == 0) return (omni_range){0, count};
    if (decodes(extent)) return (omni_range){0, s->features || s->strip == 0 ? count : 0};
    return omni_split(count, s->strips, s->strip);
}

omni_range omni_step_features(const omni_step *s, omni_extent extent, size_t width) {
    if (!s->features || !decodes(extent)) return (omni_range){0, width};
    omni_range panels = omni_split((width + OMNI_PANEL - 1) / OMNI_PANEL, s->strips, s->strip);
    size_t start = panels.start * OMNI_PANEL, end = start + panels.count * OMNI_PANEL;
    return (omni_range){start < width ? start : width,
                        (end < width ? end : width) - (start < width ? start : width)};
}

/* --- the order -------------------------------------------------------------------------------- */

omni_order omni_order_begin(const omni_plan *plan, omni_range steps) {
    return (omni_order){.plan = plan, .at = steps.start, .end = steps.start + steps.count};
}

const omni_step *omni_order_next(omni_order *it) {
    if (it->at == it->end) return NULL;
    const omni_step *s = &it->plan->step[it->at];
    if (s->strips == 0) return it->at++, s;
    if (s->train) it->first = it->at;
    it->now = omni_step_strip(s, it->strip);
    bool last = it->at + 1 == it->first + it->plan->step[it->first].train;
    it->strip += last;
    it->at = last && it->strip < s->strips ? it->first : it->at + 1;
    if (it->strip == s->strips) it->strip = 0;
    return &it->now;
}

/* --- what is cut ------------------------------------------------------------------------------ */

static bool has_tokens(const omni_plan *plan, int value) {
    return value == OMNI_NO_VALUE || plan->value[value].rows == OMNI_ROWS_TOKENS;
}

bool overlap_possible(const omni_plan *plan, const omni_step *s) {
    static const bool by_rows[OMNI_STEP_KINDS] = {
        [OMNI_STEP_MATMUL] = true,     [OMNI_STEP_ACTIVATION] = true, [OMNI_STEP_RESIDUAL] = true,
        [OMNI_STEP_BROADCAST] = true,  [OMNI_STEP_REDUCE] = true,     [OMNI_STEP_GATHER] = true,
        [OMNI_STEP_ALL_GATHER] = true, [OMNI_STEP_SCATTER] = true,    [OMNI_STEP_COLLECT] = true,
    };
    return by_rows[s->kind] && s->cut == OMNI_CUT_STAGE && has_tokens(plan, s->in[0]) &&
           has_tokens(plan, s->in[1]) && has_tokens(plan, s->out);
}

/* The train whose first message is step `at`: back to a product, if there is one behind the last message,
 * and on over all its messages, in one layer. */
static omni_range train_around(const omni_plan *plan, omni_range block, size_t at) {
    const omni_step *step = plan->step;
    size_t from = at, end = at, behind = block.start + block.count;
    bool product = false;
    for (; from > block.start && !product; from--) {
        const omni_step *s = &step[from - 1];
        if (omni_step_is_message(s) || s->layer != step[at].layer || !overlap_possible(plan, s)) break;
        product = s->kind == OMNI_STEP_MATMUL;
    }
    while (end < behind && omni_step_is_message(&step[end]) && step[end].layer == step[at].layer &&
           overlap_possible(plan, &step[end]))
        end++;
    return (omni_range){from, from < at && end > at ? end - from : 0};
}

bool overlap_by_features(const omni_plan *plan, const omni_step *s) {
    const omni_value *in = &plan->value[s->in[0]], *out = &plan->value[s->out];
    bool product = s->kind == OMNI_STEP_MATMUL;
    bool adds_own = s->in[1] != OMNI_NO_VALUE && plan->value[s->in[1]].compact;
    bool kind = product || s->kind == OMNI_STEP_RESIDUAL || s->kind == OMNI_STEP_BROADCAST ||
                (s->kind == OMNI_STEP_REDUCE && in->combine == OMNI_COMBINE_SUM);
    return kind && !adds_own && out->parts == 1 && !out->compact && (product || !in->compact);
}

static bool all_by_features(const omni_plan *plan, omni_range train) {
    bool all = plan->step[train.start].kind == OMNI_STEP_MATMUL;
    for (size_t i = train.start; i < train.start + train.count; i++)
        all = all && overlap_by_features(plan, &plan->step[i]);
    return all;
}

static void cut_block(omni_plan *plan, omni_range block) {
    for (size_t i = block.start; i < block.start + block.count; i++) {
        if (!omni_step_is_message(&plan->step[i])) continue;
        omni_range train = train_around(plan, block, i);
        if (train.count == 0) continue;
        bool features = all_by_features(plan, train);
        plan->step[train.start].train = train.count;
        for (i = train.start; i < train.start + train.count; i++) {
            plan->step[i].strips = plan->spec.overlap;
            plan->step[i].features = features;
        }
        i--;
    }
}

void overlap_cut(omni_plan *plan) {
    if (plan->spec.overlap <= 1 || omni_plan_widest(plan) == 1) return;
    for (size_t s = 0; s < plan->mesh.stages; s++) cut_block(plan, plan->block[s]);
}
