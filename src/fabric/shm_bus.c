/* shm_bus.c: messages: one writer, a ring, every other worker reads.
 *
 *      writer's worker                          every other worker
 *      ---------------                          ------------------
 *      claim a slot                             read the slot
 *      src -> slot, one chunk, narrowed         slot -> view, for each of its ranks, widened
 *      publish                                  release
 *      src -> view, for its other ranks
 *
 * in chunks of a slot's size, so that readers work while the writer writes. An addressed message takes the
 * same way, since it is on the same bus: all read it, and only the taker keeps it. All parties know the
 * payload's size, hence the number of chunks, and so count the ring's messages alike without asking.
 */
#include "fabric/shm.h"
#include "fabric/view.h"

/* Where rank `i` (index) of this worker wants the payload; NULL: not at all, or it is there already. What is narrowed
 * is not: where it was sent from, it is still to be rounded. */
static const omni_view *message_target(const fabric_message *m, omni_range share, size_t i) {
    if (m->taker != FABRIC_ALL && m->taker != i) return NULL;
    const omni_view *own = m->taker == FABRIC_ALL ? &m->own[i - share.start] : m->own;
    return i == m->writer && view_same(own, m->src) && !view_narrows(own) ? NULL : own;
}

/* Bytes [to, to + bytes) of the payload, found at src's place `from`, to all of the worker's ranks that want
 * them. */
static void fill_own(const fabric_message *m, omni_range share, size_t to, const omni_view *src, size_t from,
                     size_t bytes) {
    for (size_t i = share.start; i < share.start + share.count; i++) {
        const omni_view *own = message_target(m, share, i);
        if (own && own->base) view_copy(own, to, src, from, bytes);
    }
}

static size_t chunk_bytes(const omni_ring_port *port, size_t bytes, size_t done) {
    size_t most = omni_ring_slot_bytes(port->ring);
    return bytes - done < most ? bytes - done : most;
}

bool shm_write(omni_fabric *f, omni_ring_port *port, omni_wait_policy wait, const omni_view *src,
               size_t bytes, const fabric_message *m, omni_range share) {
    for (size_t done = 0, n; done < bytes; done += n) {
        n = chunk_bytes(port, bytes, done);
        void *slot = omni_ring_claim(port, wait, f->stop);
        if (!slot) return false;
        omni_view chunk = omni_view_flat(slot, n);
        view_copy(&chunk, 0, src, done, n);
        omni_ring_publish(port);
        if (m) fill_own(m, share, done, src, done, n);
    }
    return true;
}

bool shm_read(omni_fabric *f, omni_ring_port *port, omni_wait_policy wait, const fabric_message *m,
              omni_range share) {
    for (size_t done = 0, n; done < m->bytes; done += n) {
        n = chunk_bytes(port, m->bytes, done);
        const void *slot = omni_ring_read(port, wait, f->stop);
        if (!slot) return false;
        omni_view chunk = omni_view_flat((void *)slot, n); /* only read: view_copy's src */
        fill_own(m, share, done, &chunk, 0, n);
        omni_ring_release(port);
    }
    return true;
}

/* The message concerns one worker: nobody else carries a rank of the segment, or it goes from one rank of a
 * worker to another of the same. Every worker of the segment comes to the same answer, so the rings stay in
 * step. */
static bool message_is_local(const omni_fabric *f, const shm_segment *s, size_t first_rank,
                             const fabric_message *m) {
    if (s->workers == 1) return true;
    if (m->taker == FABRIC_ALL) return false;
    return omni_split_owner(f->pes, f->workers, first_rank + m->writer) ==
           omni_split_owner(f->pes, f->workers, first_rank + m->taker);
}

bool shm_message(omni_fabric *f, size_t w, size_t segment, const fabric_message *m) {
    omni_range share = fabric_share(f, w, segment);
    if (share.count == 0) return true;
    shm_segment *s = shm_segment_of(f, segment);
    bool local = message_is_local(f, s, f->segments[segment].first, m);
    bool mine = m->writer >= share.start && m->writer - share.start < share.count;
    if (!mine) return local || shm_read(f, &shm_port_of(s, w)->bus, f->wait, m, share);
    count_message(f, segment, m);
    if (!local) return shm_write(f, &shm_port_of(s, w)->bus, f->wait, m->src, m->bytes, m, share);
    fill_own(m, share, 0, m->src, 0, m->bytes);
    return true;
}
