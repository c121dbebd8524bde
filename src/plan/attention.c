/* attention.c: the methods of attention: by heads, by tokens.
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

void build_attention(builder *b) {
    bool by_tokens = b->p > 1 && attention_by_tokens(b, b->layer);
    (by_tokens ? build_attention_by_tokens : build_attention_by_heads)(b, b->reg[b->op->in]);
}
