/* shm.c: the fabric between threads: what it allocates, and the table of its operations. See shm.h for the
 * picture, shm_bus.c for messages, shm_tree.c and
 * shm_sliced.c for reductions and gathers, shm_host.c for the host port.
 */
#include "fabric/shm.h"

/* Results are a few bytes a sequence: the way back needs no large slots. */
enum { HOST_OUT_SLOT_BYTES = 1024 };

/* The levels at which some pair lives on two workers. */
static uint64_t crossing_levels(const omni_fabric *f, omni_segment s) {
    uint64_t crossing = 0;
    for (size_t level = 0; level < omni_ceil_log2(s.count); level++) {
        size_t step = (size_t)1 << level;
        for (size_t i = 0; i < s.count; i += 2 * step) {
            if (!tree_takes(s.count, level, i)) continue;
            size_t taker = omni_split_owner(f->pes, f->workers, s.first + i);
            size_t giver = omni_split_owner(f->pes, f->workers, s.first + i + step);
            if (taker != giver) crossing |= (uint64_t)1 << level;
        }
    }
    return crossing;
}

/* Which worker of the segment carries all ranks below a pair; `workers`: no one does. */
static size_t pair_owner(const omni_fabric *f, const shm_segment *s, omni_segment ranks, size_t i,
                         size_t last) {
    size_t a = omni_split_owner(f->pes, f->workers, ranks.first + i);
    size_t b = omni_split_owner(f->pes, f->workers, ranks.first + last);
    return a == b ? a - s->first_worker : s->workers;
}

/* Those of one owner, as a walk over the leaves completes them: what was just combined is combined on while
 * it is in the cache. Returns how many. */
static size_t list_pairs(const omni_fabric *f, const shm_segment *s, omni_segment ranks, size_t owner,
                         shm_pair *out) {
    size_t n = 0;
    for (size_t leaf = 0; leaf < ranks.count; leaf++)
        for (size_t level = 0; level < omni_ceil_log2(ranks.count); level++) {
            size_t step = (size_t)1 << level, i = leaf & ~(2 * step - 1);
            size_t last = i + 2 * step < ranks.count ? i + 2 * step - 1 : ranks.count - 1;
            if (leaf != last || !tree_takes(ranks.count, level, i)) continue;
            if (pair_owner(f, s, ranks, i, last) != owner) continue;
            out[n++] = (shm_pair){(uint32_t)i, (uint32_t)(i + step)};
        }
    return n;
}

static bool segment_list_pairs(shm_segment *s, const omni_fabric *f, omni_segment ranks) {
    s->pairs = omni_alloc_array(ranks.count, sizeof *s->pairs);
    s->first_pair = omni_alloc_array(s->workers + 2, sizeof *s->first_pair);
    if (!s->pairs || !s->first_pair) return false;
    size_t n = 0;
    for (size_t owner = 0; owner <= s->workers; owner++) {
        s->first_pair[owner] = n;
        n += list_pairs(f, s, ranks, owner, s->pairs + n);
    }
    s->first_pair[s->workers + 1] = n;
    return true;
}

static bool segment_allocate(shm_segment *s, size_t count, const omni_fabric_options *o) {
    size_t out_bytes = o->slot_bytes < HOST_OUT_SLOT_BYTES ? o->slot_bytes : HOST_OUT_SLOT_BYTES;
    if (s->workers > 1) { /* alone, a worker has nobody to write to or to wait for */
        size_t offer = sizeof(omni_view);
        s->bus = omni_ring_create(o->ring_slots, o->slot_bytes > offer ? o->slot_bytes : offer, s->workers);
        s->barrier = omni_barrier_create(s->workers);
        if (!s->bus || !s->barrier) return false;
    }
    s->host_in = omni_ring_create(o->ring_slots, o->slot_bytes, s->workers);
    s->host_out = omni_ring_create(o->ring_slots, out_bytes, 1);
    s->ports = omni_alloc_array(s->workers, sizeof *s->ports);
    s->buffers = omni_alloc_array(count, sizeof *s->buffers);
    s->host = omni_alloc(sizeof *s->host);
    return s->host_in && s->host_out && s->ports && s->buffers && s->host;
}

static bool segment_create(shm_segment *s, const omni_fabric *f, omni_segment ranks,
                           const omni_fabric_options *o) {
    s->first_worker = omni_split_owner(f->pes, f->workers, ranks.first);
    s->workers = omni_split_owner(f->pes, f->workers, ranks.first + ranks.count - 1) + 1 - s->first_worker;
    s->crossing = crossing_levels(f, ranks);
    if (!segment_allocate(s, ranks.count, o) || !segment_list_pairs(s, f, ranks)) return false;
    for (size_t i = 0; i < s->workers; i++) {
        if (s->bus) omni_ring_port_init(&s->ports[i].bus, s->bus, i);
        omni_ring_port_init(&s->ports[i].host_in, s->host_in, i);
        omni_ring_port_init(&s->ports[i].host_out, s->host_out, OMNI_RING_NO_READER);
    }
    omni_ring_port_init(&s->host->in, s->host_in, OMNI_RING_NO_READER);
    omni_ring_port_init(&s->host->out, s->host_out, 0);
    return true;
}

static bool shm_create(omni_fabric *f, const omni_fabric_options *options) {
    f->state = omni_alloc_array(f->segment_count, sizeof(shm_segment));
    if (!f->state) return false;
    for (size_t i = 0; i < f->segment_count; i++)
        if (!segment_create(shm_segment_of(f, i), f, f->segments[i], options)) return false;
    return true;
}

static void segment_free(shm_segment *s) {
    omni_free(s->host);
    omni_free(s->first_pair);
    omni_free(s->pairs);
    omni_free(s->buffers);
    omni_free(s->ports);
    omni_barrier_free(s->barrier);
    omni_ring_free(s->host_out);
    omni_ring_free(s->host_in);
    omni_ring_free(s->bus);
}

static void shm_free(omni_fabric *f) {
    if (!f->state) return;
    for (size_t i = 0; i < f->segment_count; i++) segment_free(shm_segment_of(f, i));
    omni_free(f->state);
}

const fabric_engine fabric_shm = {
    .kind = "shm",
    .create = shm_create,
    .free = shm_free,
    .message = shm_message,
    .tree = shm_tree,
    .host_receive = shm_host_receive,
    .host_return = shm_host_return,
    .host_send = shm_host_send,
    .host_await = shm_host_await,
};
