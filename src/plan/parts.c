/* parts.c: the parts of a pass.
 *
 *   batch of 5, groups=2:stages=2:stack=2:chunk=4  group 0: sequences 0 1 2     group 1: 3 4
 *   tokens 3 9 2 1 1                               parts {0} {1: 4} {1: 4} {1: 1} {2}   {3 4}
 *
 *   the same, groups=3:over=token                  group 0: {0 1: 3}, group 1: {1: 5}, group 2: {1: 1 2 3 4}
 *
 * Sequences keep their order, so rows of a part are neighbours in the pass.
 */
#include "plan/plan.h"

omni_range omni_group_sequences(const omni_mesh *mesh, size_t sequences, size_t group) {
    return mesh->tokens ? (omni_range){0, sequences} : omni_split(sequences, mesh->groups, group);
}

size_t omni_extent_first(const omni_extent *x, size_t i) {
    return x->first[i] + (i == 0 ? x->skip : 0);
}

size_t omni_extent_count(const omni_extent *x, size_t i) {
    return x->counts[i] - (i == 0 ? x->skip : 0) - (i + 1 == x->sequences ? x->cut : 0);
}

/* Without stages there is nothing to keep busy: a group's sequences are one part. */
static size_t stack_of(const omni_plan *plan) {
    return plan->mesh.stages > 1 ? plan->spec.stack : SIZE_MAX;
}

/* An encoder's tokens see all of their sequence: it stays whole. */
static size_t chunk_of(const omni_plan *plan) {
    bool chunks = plan->mesh.stages > 1 && plan->spec.chunk && !plan->model->shape.encoder;
    return chunks ? plan->spec.chunk : SIZE_MAX;
}

/* Marks of the pass that lie in rows below `row`. */
static size_t marks_below(const omni_parts *it, size_t from, size_t sequence, size_t row) {
    if (!it->pass.mark) return omni_split(it->pass.marks, it->pass.sequences, sequence).start;
    while (from < it->pass.marks && it->pass.mark[from] < row) from++;
    return from;
}

/* A share of the tokens of the pass. */
static omni_parts begin_share(const omni_plan *plan, omni_extent pass, size_t group) {
    omni_range rows = omni_split(pass.tokens, plan->mesh.groups, group);
    omni_parts it = {
        .plan = plan, .pass = pass, .end = pass.sequences, .row = rows.start, .tokens = rows.count};
    it.taken = rows.start;
    while (rows.count && it.taken >= pass.counts[it.sequence]) it.taken -= pass.counts[it.sequence++];
    if (rows.count == 0) it.sequence = it.end;
    it.mark = marks_below(&it, 0, it.sequence, it.row);
    return it;
}

omni_parts omni_parts_begin(const omni_plan *plan, omni_extent pass, size_t group) {
    if (plan->mesh.tokens) return begin_share(plan, pass, group);
    omni_range own = omni_group_sequences(&plan->mesh, pass.sequences, group);
    omni_parts it = {.plan = plan, .pass = pass, .sequence = own.start};
    it.end = own.start + own.count;
    for (size_t s = 0; s < own.start; s++) it.row += pass.counts[s];
    it.mark = marks_below(&it, 0, own.start, it.row);
    return it;
}

/* `tokens` of the n sequences from s on. */
static omni_extent extent_of(const omni_parts *it, size_t s, size_t n, size_t tokens) {
    return (omni_extent){.tokens = tokens,
                         .sequences = n,
                         .sequence = s,
                         .first = it->pass.first + s,
                         .counts = it->pass.counts + s};
}

/* The next tokens of a sequence that goes chunk by chunk. */
static void take_chunk(omni_parts *it, omni_part *out, size_t chunk) {
    size_t s = it->sequence, left = it->pass.counts[s] - it->taken, tokens = left < chunk ? left : chunk;
    out->extent = extent_of(it, s, 1, tokens);
    out->extent.skip = it->taken;
    out->extent.cut = left - tokens;
    out->extent.open = left > tokens;
    it->taken = left > chunk ? it->taken + chunk : 0;
    it->sequence += left <= chunk;
}

static void take_stack(omni_parts *it, omni_part *out, size_t stack, size_t chunk) {
    size_t s = it->sequence, n = 0, tokens = 0;
    while (s + n < it->end && n < stack && it->pass.counts[s + n] <= chunk)
        tokens += it->pass.counts[s + n++];
    out->extent = extent_of(it, s, n, tokens);
    it->sequence += n;
}

/* All of a share: the rest of a sequence, whole ones, the beginning of one. */
static void take_share(omni_parts *it, omni_part *out) {
    size_t s = it->sequence, n = 0, end = it->taken + it->tokens, tokens = 0;
    while (tokens < end) tokens += it->pass.counts[s + n++];
    out->extent = extent_of(it, s, n, it->tokens);
    out->extent.skip = it->taken;
    out->extent.cut = tokens - end;
    out->extent.open = tokens > end;
    it->sequence = it->end = s + n - out->extent.open; /* the first that has not ended */
}

bool omni_parts_next(omni_parts *it, omni_part *out) {
    size_t chunk = chunk_of(it->plan);
    if (it->sequence == it->end) return false;
    out->row = it->row;
    out->mark = it->mark;
    if (it->plan->mesh.tokens)
        take_share(it, out);
    else if (it->pass.counts[it->sequence] > chunk)
        take_chunk(it, out, chunk);
    else
        take_stack(it, out, stack_of(it->plan), chunk);
    it->row += out->extent.tokens;
    it->mark = marks_below(it, it->mark, it->sequence, it->row);
    out->extent.marks = it->mark - out->mark;
    out->extent.mark = it->pass.mark ? it->pass.mark + out->mark : NULL;
    return true;
}

static size_t at_most(size_t n, size_t limit) {
    return n < limit ? n : limit;
}

/* Of any share: keys and values of all are received by all. */
static omni_extent share_most(const omni_plan *plan, omni_extent most) {
    most.tokens = omni_split(most.tokens, plan->mesh.groups, 0).count;
    most.sequences = at_most(most.sequences, most.tokens);
    most.marks = at_most(most.marks, most.tokens);
    return most;
}

omni_extent omni_part_most(const omni_plan *plan, omni_extent most, size_t group) {
    size_t stack = stack_of(plan), chunk = chunk_of(plan), tokens;
    if (plan->mesh.tokens) return share_most(plan, most);
    most.sequences = omni_group_sequences(&plan->mesh, most.sequences, group).count;
    if (most.sequences > stack) most.sequences = stack;
    if (omni_size_mul(most.sequences, chunk, &tokens) && tokens < most.tokens) most.tokens = tokens;
    if (most.sequences == 0) most.tokens = most.marks = 0;
    return most;
}
