/* count.c: what moves, noted on the line of the rank (or the host port) that moves it. The lines are summed
 * when nothing runs. A rank does not send itself a message: one rank's segment, or a message from a rank to
 * itself, counts nothing.
 *
 * An operation is counted before its last byte is handed over. So the hand-over publishes the count as well:
 * who has received a result may read the counts of all that led up to it.
 */
#include "fabric/engine.h"

static omni_counters *rank_line(omni_fabric *f, size_t segment, size_t index) {
    return &f->lines[f->segments[segment].first + index].counters;
}

void count_message(omni_fabric *f, size_t segment, const fabric_message *m) {
    omni_counters *c = rank_line(f, segment, m->writer);
    if (m->taker == FABRIC_ALL) {
        if (f->segments[segment].count == 1) return;
        c->broadcasts += !m->goes_on;
        c->broadcast_bytes += m->bytes;
        return;
    }
    if (m->taker == m->writer) return;
    c->addressed_messages++;
    c->addressed_bytes += m->bytes;
    c->scatter_messages += m->kind == OMNI_ADDRESSED_SCATTER;
    c->gather_messages += m->kind == OMNI_ADDRESSED_GATHER;
}

void count_tree(omni_fabric *f, size_t segment, const fabric_tree *t) {
    omni_counters *c = rank_line(f, segment, 0);
    if (t->sliced)
        c->tree_gathers++;
    else
        c->reductions++;
    c->tree_levels += omni_ceil_log2(f->segments[segment].count);
}

void count_tree_take(omni_fabric *f, size_t segment, size_t i, size_t bytes) {
    rank_line(f, segment, i)->tree_bytes += bytes;
}

static void count_host(omni_counters *c, size_t bytes) {
    c->host_messages++;
    c->host_bytes += bytes;
}

void count_host_return(omni_fabric *f, size_t segment, size_t bytes) {
    count_host(rank_line(f, segment, 0), bytes);
}

void count_host_send(omni_fabric *f, size_t bytes) {
    count_host(&f->lines[f->pes].counters, bytes);
}

void omni_fabric_counters(const omni_fabric *f, omni_counters *out) {
    *out = (omni_counters){0};
    for (size_t i = 0; i <= f->pes; i++) omni_counters_add(out, &f->lines[i].counters);
}

void omni_fabric_reset_counters(omni_fabric *f) {
    for (size_t i = 0; i <= f->pes; i++) f->lines[i].counters = (omni_counters){0};
}
