/* null.c: the fabric that moves nothing, counts as if it did, and never waits. With it a run measures
 * everything but communication, and its counters are those of a real run. Results are wrong by design; the
 * host port receives zeros.
 */
#include <string.h>

#include "fabric/engine.h"

static bool null_create(omni_fabric *f, const omni_fabric_options *options) {
    (void)f, (void)options;
    return true;
}

static void null_free(omni_fabric *f) {
    (void)f;
}

static bool carries(omni_range share, size_t index) {
    return index >= share.start && index - share.start < share.count;
}

static bool null_message(omni_fabric *f, size_t w, size_t segment, const fabric_message *m) {
    if (carries(fabric_share(f, w, segment), m->writer)) count_message(f, segment, m);
    return true;
}

static bool null_tree(omni_fabric *f, size_t w, size_t segment, const fabric_tree *t) {
    omni_range share = fabric_share(f, w, segment);
    size_t p = f->segments[segment].count, levels = omni_ceil_log2(p);
    for (size_t level = 0; level < levels; level++)
        for (size_t i = share.start; i < share.start + share.count; i++)
            if (tree_takes(p, level, i)) count_tree_take(f, segment, i, tree_take_bytes(t, p, level, i));
    if (carries(share, 0)) count_tree(f, segment, t);
    return true;
}

static bool null_host_receive(omni_fabric *f, size_t w, size_t segment, const omni_view *own, size_t bytes) {
    (void)f, (void)w, (void)segment, (void)own, (void)bytes;
    return true;
}

static bool null_host_return(omni_fabric *f, size_t w, size_t segment, const void *src, size_t bytes) {
    (void)w, (void)src;
    count_host_return(f, segment, bytes);
    return true;
}

static bool null_host_send(omni_fabric *f, size_t segment, const void *src, size_t bytes) {
    (void)segment, (void)src;
    count_host_send(f, bytes);
    return true;
}

static bool null_host_await(omni_fabric *f, size_t segment, void *dst, size_t bytes) {
    (void)f, (void)segment;
    memset(dst, 0, bytes);
    return true;
}

const fabric_engine fabric_null = {
    .kind = "null",
    .create = null_create,
    .free = null_free,
    .message = null_message,
    .tree = null_tree,
    .host_receive = null_host_receive,
    .host_return = null_host_return,
    .host_send = null_host_send,
    .host_await = null_host_await,
};
