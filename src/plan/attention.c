/* attention.c: the methods of attention: by heads, by tokens, by sub-heads. A row of the table at the end
 * says how its queries, keys and values are cut, and builds its steps.
 */
#include "plan/builder.h"

static void build_attention_by_heads(builder *b, int qkv) {
    const omni_shape *s = &b->model->shape;
    b->plan->kv[b->layer] = b->p > 1 ? OMNI_KV_HEADS : OMNI_KV_WHOLE;
    qkv = satisfy(b, qkv, SHARDED(HEAD));
    lockstep_keep(b, qkv);
    omni_value y = one_part("attention", OMNI_ROWS_TOKENS, SHARDED(HEAD), s->heads * s->head_dim);
    cut_heads(b, &y);
    b->reg[b->op->out] = new_value(b, y);
    add_step(b, OMNI_STEP_ATTENTION, qkv, b->reg[b->op->out]);
}

/* Queries to everyone, keys and values to those who keep them; log-sum-exp partials are merged by a
 * reduction. */
static void build_attention_by_tokens(builder *b, int qkv) {
    const omni_shape *s = &b->model->shape;
    b->plan->kv[b->layer] = OMNI_KV_TOKENS;
    request r[2] = {{.parts = 1, .to = REPLICATED}, {.parts = 6, .to = SHARDED(TOKEN)}};
    satisfy_parts(b, qkv, r, 2);
    add_step(b, OMNI_STEP_KV_APPEND, r[1].value, OMNI_NO_VALUE);
    omni_value y = {.name = "log-sum-exp",
                    .rows = OMNI_ROWS_TOKENS,
                    .at = PARTIAL,
                    .combine = OMNI_COMBINE_LSE,
                    .parts = 3};
    y.part[0].width = s->heads * s->head_dim;
    y.part[1].width = y.part[2].width = s->heads;
    y.part[1].exact = y.part[2].exact = true;
    cut_features(&y);
    int lse = new_value(b, y);
    add_step(b, OMNI_STEP_ATTENTION, r[0].value, lse);
    lse = satisfy(b, lse, ROOT);
    b->reg[b->op->out] = new_value(b, one_part("attention", OMNI_ROWS_TOKENS, ROOT, s->heads * s->head_dim));
    add_step_where(b, OMNI_STEP_ATTENTION_FINISH, lse, b->reg[b->op->out]);
}

/* Everyone scores the dims of his head that he has; a head's ranks sum them over a piece of the bus of their
 * own, and all of them go on with their own dims of the values. */
static void build_attention_by_subheads(builder *b, int qkv) {
    const omni_shape *s = &b->model->shape;
    b->plan->kv[b->layer] = OMNI_KV_SUBHEADS;
    qkv = satisfy(b, qkv, SHARDED(SUBHEAD));
    add_step(b, OMNI_STEP_KV_APPEND, qkv, OMNI_NO_VALUE);
    omni_value v = one_part("scores", s->encoder ? OMNI_ROWS_SCORES : OMNI_ROWS_SCORES_SEEN, PARTIAL, 1);
    v.over = OMNI_CUT_HEAD;
    int scores = new_value(b, v);
    add_step(b, OMNI_STEP_SCORES, qkv, scores);
    scores = satisfy(b, scores, REPLICATED);
    omni_value y = one_part("attention", OMNI_ROWS_TOKENS, SHARDED(SUBHEAD), s->heads * s->head_dim);
    cut_subheads(b, &y);
    b->reg[b->op->out] = new_value(b, y);
    add_step(b, OMNI_STEP_WEIGH, scores, b->reg[b->op->out]);
}

static void cut_one_by_one(const builder *b, omni_value *v) {
    (void)b;
    cut_features(v);
}

static const struct {
    omni_dim dim;
    void (*cut)(const builder *, omni_value *);
    void (*build)(builder *, int qkv);
    bool pairs; /* rotary pairs stand side by side, so that a slice has both of each */
} methods[METHODS_ATTN] = {
    [METHOD_ATTN_HEADS] = {OMNI_DIM_HEAD, cut_heads, build_attention_by_heads, false},
    [METHOD_ATTN_TOKENS] = {OMNI_DIM_FEATURE, cut_one_by_one, build_attention_by_tokens, false},
    [METHOD_ATTN_SUBHEADS] = {OMNI_DIM_SUBHEAD, cut_subheads, build_attention_by_subheads, true},
};

void build_attention(builder *b) {
    methods[attention_method(b, b->layer)].build(b, b->reg[b->op->in]);
}

void cut_for_attention(const builder *b, omni_value *qkv) {
    const omni_shape *s = &b->model->shape;
    size_t m = attention_method(b, b->layer);
    qkv->at = (omni_placement){OMNI_SHARDED, methods[m].dim};
    methods[m].cut(b, qkv);
    for (size_t j = 0; j < 2 && methods[m].pairs && s->rope_theta > 0; j++) qkv->part[j].paired = s->head_dim;
}

static bool asks_for_subheads(const omni_plan_spec *spec, size_t layers) {
    for (size_t l = 0; l < layers && l < spec->cycle; l++)
        if (spec->layer[l].choice[OMNI_KEY_ATTN] == METHOD_ATTN_SUBHEADS) return true;
    return false;
}

/* The last stage of the last group is never larger than others. */
omni_status attention_lay(const omni_model *model, const omni_plan_spec *spec, omni_mesh *mesh,
                          omni_error *err) {
    size_t heads = model->shape.heads, p = omni_mesh_ranks(mesh, mesh->groups - 1, mesh->stages - 1).count;
    if (!asks_for_subheads(spec, model->shape.layers)) return OMNI_OK;
    mesh->heads = heads;
    if (p > heads) return OMNI_OK;
    return omni_error_set(
        err, OMNI_BAD_INPUT,
        "plan '%s': attention by sub-heads cuts each head over PEs of its own, but %s %zu for %zu "
        "head%s (expected more PEs than heads, or attn=heads)",
        spec->name,
        mesh->groups * mesh->stages > 1 ? "a stage has"
        : p == 1                        ? "there is"
                                        : "there are",
        p, heads, heads == 1 ? "" : "s");
}
