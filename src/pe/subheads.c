/* subheads.c: attention where several PEs have a head, each some of its dims.
 *
 *   SCORES   q.k over the dims held       an addend of the head's scores     packed, a query after the other
 *            tree reduction, broadcast    on the head's own piece of the bus
 *   WEIGH    softmax, times the values    the dims held of the output        [queries, dims]
 *
 * The scores of the sequences of a part stand one after the other. A PE without dims (more PEs than a head
 * has pairs) adds zeros and yields nothing. Keys and values are kept by attend.c.
 */
#include <string.h>

#include "pe/pe.h"

void subhead_rotate(const omni_engine *e, float *row, omni_range dims, size_t position) {
    size_t head_dim = e->o.model->shape.head_dim;
    if (e->rope_cos)
        omni_rope_pairs(row, dims.start / 2, dims.count / 2, head_dim, position, e->rope_cos, e->rope_sin);
}

/* Of the i-th sequence of a part, whose scores begin at `at`. */
static omni_scores scores_of(const omni_engine *e, const omni_step *s, const omni_part *part, size_t i,
                             size_t dims, float *at) {
    const omni_shape *shape = &e->o.model->shape;
    size_t first = omni_extent_first(&part->extent, i), length = first + omni_extent_count(&part->extent, i);
    return (omni_scores){.scores = at,
                         .queries = omni_extent_count(&part->extent, i),
                         .query_first = shape->encoder ? length - 1 : first, /* an encoder's see all keys */
                         .keys = length,
                         .dims = dims,
                         .scale = (float)omni_attention_scale(shape, (size_t)s->layer)};
}

/* The first queries of what is left, few enough for the stop word to be seen. */
static bool take_block(const omni_engine *e, const omni_scores *left, omni_scores *block) {
    *block = *left;
    if (block->queries > ATTENTION_QUERIES) block->queries = ATTENTION_QUERIES;
    return block->queries && omni_stop_get(e->o.stop) == OMNI_OK;
}

static void drop_block(omni_scores *left, const omni_scores *block) {
    left->scores += omni_scores_count(block);
    left->queries -= block->queries;
    left->query_first += block->queries;
}

void exec_scores(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    const omni_shape *shape = &e->o.model->shape;
    omni_subhead mine = omni_subhead_of(shape, x->seat.p, x->seat.index);
    omni_range cols = {mine.head * shape->head_dim + mine.dims.start, mine.dims.count};
    operand q = pe_operand(x, engine_value(e, s->in[0]), 0, cols);
    const omni_value *out = engine_value(e, s->out);
    float *at = x->storage[out->storage];
    if (cols.count == 0)
        memset(at, 0, omni_rows_count(out->rows, part->extent, x->seat.p, x->seat.index) * sizeof *at);
    for (size_t i = 0; cols.count && i < part->extent.sequences; i++) {
        omni_scores left = scores_of(e, s, part, i, mine.dims.count, at), block;
        size_t row = part_row(&e->pass, part, i), first = omni_extent_first(&part->extent, i);
        for (size_t r = 0; r < left.queries; r++)
            subhead_rotate(e, q.data + (row + r) * q.ld, mine.dims, first + r);
        for (; take_block(e, &left, &block); drop_block(&left, &block), row += block.queries)
            omni_scores_partial(&block, q.data + row * q.ld, q.ld,
                                pe_kv_of(x, (size_t)s->layer, part->extent.sequence + i)->k);
        at = left.scores;
    }
}

void exec_weigh(worker *w, pe *x, const omni_step *s, const omni_part *part) {
    const omni_engine *e = w->engine;
    const omni_value *out = engine_value(e, s->out);
    size_t dims = omni_subhead_of(&e->o.model->shape, x->seat.p, x->seat.index).dims.count;
    operand y = {.data = x->storage[out->storage], .ld = omni_value_width(out, x->seat.p, x->seat.index)};
    float *at = x->storage[engine_value(e, s->in[0])->storage];
    for (size_t i = 0; dims && i < part->extent.sequences; i++) {
        omni_scores left = scores_of(e, s, part, i, dims, at), block;
        const pe_kv *kv = pe_kv_of(x, (size_t)s->layer, part->extent.sequence + i);
        size_t row = part_row(&e->pass, part, i);
        for (; take_block(e, &left, &block); drop_block(&left, &block), row += block.queries)
            omni_scores_weigh(&block, kv->v, y.data + row * y.ld, y.ld);
        at = left.scores;
    }
}
