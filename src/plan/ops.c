/* ops.c: from an op to steps, for every kind of op but attention. Each says what it takes, lets the
 * transforms bring it there, and yields a value with a placement.
 */
#include "plan/builder.h"

/* Over SHARDED features: statistics, one reduction of them, one broadcast, then everyone his own columns. */
static int norm_over_shards(builder *b, int x) {
    omni_norm norm = b->op->norm;
    size_t up = norm == OMNI_NORM_RMS ? 1 : 3, down = norm == OMNI_NORM_RMS ? 1 : 2;
    omni_value v = one_part("statistics", value_of(b, x)->rows, PARTIAL, up);
    v.combine = norm == OMNI_NORM_RMS ? OMNI_COMBINE_SUM : OMNI_COMBINE_MOMENTS;
    v.part[0].exact = true;
    int stats = new_value(b, v);
    add_step(b, OMNI_STEP_NORM_STATS, x, stats);
    int root = satisfy(b, stats, ROOT);
    if (up != down) {
        omni_value moments = one_part("moments", v.rows, ROOT, down);
        moments.part[0].exact = true;
        int final = new_value(b, moments);
        add_step_where(b, OMNI_STEP_NORM_FINISH, root, final);
        root = final;
    }
    int everywhere = satisfy(b, root, REPLICATED);
    omni_value h = *value_of(b, x);
    h.name = "normed";
    int out = new_value(b, h);
    add_step(b, OMNI_STEP_NORM_APPLY, x, out)->in[1] = everywhere;
    return out;
}

void build_norm(builder *b) {
    int x = b->reg[b->op->in] = satisfy(b, b->reg[b->op->in], needed_after(b, b->at, b->op->out));
    bool sharded = value_of(b, x)->at.kind == OMNI_SHARDED;
    int out;
    if (sharded) {
        out = norm_over_shards(b, x);
    } else {
        omni_value h = *value_of(b, x);
        h.name = "normed";
        out = new_value(b, h);
        add_step_where(b, OMNI_STEP_NORM, x, out);
    }
    size_t weight = add_weight(b, value_of(b, x), value_of(b, out), false, sharded);
    if (b->plan->step_count) b->plan->step[b->plan->step_count - 1].weight = weight;
    b->reg[b->op->out] = out;
}

void build_projection(builder *b) {
    bool split_in = b->p > 1 && cut_along_in(b, b->op, b->layer), split_out = b->p > 1 && !split_in;
    int x = b->reg[b->op->in] = satisfy(b, b->reg[b->op->in], taken_by(b, b->op, b->layer));
    omni_value in = *value_of(b, x);
    if (!in.compact) cut_features(&in);
    omni_value y = {.name = b->op->name, .rows = in.rows, .parts = b->op->matrices, .compact = split_out};
    for (size_t j = 0; j < y.parts; j++) y.part[j].width = b->op->matrix[j].out;
    cut_features(&y);
    y.at = SHARDED(FEATURE);
    if (b->op->role == OMNI_ROLE_QKV) cut_for_attention(b, &y);
    if (split_in) y.at = PARTIAL;
    if (split_in) cut_features(&y);
    int out = b->reg[b->op->out] = new_value(b, y);
    omni_step *matmul = add_step(b, OMNI_STEP_MATMUL, x, out);
    matmul->weight = add_weight(b, &in, &y, split_in, split_out);
    lockstep_stream(b, matmul);
}

/* Between a reduction and its broadcast it runs at the root. */
void build_activation(builder *b) {
    int x = b->reg[b->op->in];
    if (value_of(b, x)->at.kind == OMNI_PARTIAL) x = satisfy(b, x, ROOT);
    omni_value y = *value_of(b, x);
    y.name = "activated";
    y.parts = 1;
    b->reg[b->op->out] = new_value(b, y);
    add_step_where(b, OMNI_STEP_ACTIVATION, x, b->reg[b->op->out]);
}

/* Folded into the addends when the branch is PARTIAL, then completed for the next reader; otherwise added
 * where both are. */
void build_residual(builder *b) {
    int branch = b->reg[b->op->in], sum = same_storage(b, branch, value_of(b, branch)->at);
    value_of(b, sum)->name = "x";
    add_step(b, OMNI_STEP_RESIDUAL, branch, sum)->in[1] = b->reg[OMNI_REG_X];
    if (value_of(b, sum)->at.kind == OMNI_PARTIAL) sum = satisfy(b, sum, needed_after(b, b->at, OMNI_REG_X));
    b->reg[b->op->out] = sum;
}

void build_rows(builder *b) {
    omni_value y = *value_of(b, b->reg[b->op->in]);
    static const omni_rows kept[] = {[OMNI_PICK_LAST] = OMNI_ROWS_SEQUENCES,
                                     [OMNI_PICK_FIRST] = OMNI_ROWS_BEGINNINGS,
                                     [OMNI_PICK_MARKED] = OMNI_ROWS_MARKS};
    y.rows = kept[b->op->pick];
    int out = new_value(b, y);
    add_step(b, OMNI_STEP_ROWS, b->reg[b->op->in], out);
    b->reg[b->op->out] = out;
}

void build_result(builder *b) {
    add_step(b, OMNI_STEP_HOST_OUT, satisfy(b, b->reg[b->op->in], ROOT), OMNI_NO_VALUE);
}

void build_argmax(builder *b) {
    omni_rows rows = value_of(b, b->reg[b->op->in])->rows;
    omni_value y = one_part("best", rows, PARTIAL, sizeof(uint64_t) / sizeof(float));
    y.combine = OMNI_COMBINE_ARGMAX;
    y.part[0].exact = true;
    int best = new_value(b, y);
    add_step(b, OMNI_STEP_ARGMAX, b->reg[b->op->in], best);
    best = satisfy(b, best, ROOT);
    add_step(b, OMNI_STEP_HOST_OUT, best, OMNI_NO_VALUE);
}
