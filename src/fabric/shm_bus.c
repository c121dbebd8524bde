/* shm_bus.c: messages: one writer, a ring, every other worker reads. In two ways; all parties know the
 * message's kind and size, and so which, without asking.
 *
 * BY COPY: small broadcasts, addressed messages, the host port. The writer goes on as soon as the ring has
 * them.
 *
 *      writer's worker                          every other worker
 *      ---------------                          ------------------
 *      claim a slot                             read the slot
 *      src -> slot, one chunk, narrowed         slot -> view, for each of its ranks, widened
 *      publish                                  release
 *      src -> view, for its other ranks
 *
 * in chunks of a slot's size, so that readers work while the writer writes. An addressed message takes the
 * same way, since it is on the same bus: all read it, and only the taker keeps it. The size says how many
 * chunks, so all count the ring's messages alike. Either way, what is narrowed and stays in src is rounded
 * before.
 *
 * BY OFFER: larger broadcasts. The slot holds the writer's view; readers copy out of its memory, all at the
 * same time. A byte goes from one core to another once, not twice, and there is nothing to wait for but the
 * readers: two hand-offs more than a copy, which its bytes pay for from about a KiB on.
 *
 *      writer's worker                          every other worker
 *      ---------------                          ------------------
 *      claim, view -> slot, publish             read the slot
 *      src -> view, for its other ranks         src -> view, for each of its ranks
 *      settle: all have released                release
 *
 * So a reader that comes late keeps a broadcast's writer waiting, as a reduction does; but not an addressed
 * message's, since stages of a pipeline must not wait for each other.
 */
#include <string.h>

#include "fabric/shm.h"
#include "fabric/view.h"

/* From here on the copy into a slot costs more than waiting for the readers. */
enum { OFFER_BYTES = 1024 };

/* What a worker takes of an offer at a time, for all its ranks: it stays in its first cache. */
enum { TAKE_BYTES = 16 * 1024 };

/* The view of rank `i` (index) of this worker, if the message is for it. */
static const omni_view *message_view(const fabric_message *m, omni_range share, size_t i) {
    if (m->taker != FABRIC_ALL && m->taker != i) return NULL;
    const omni_view *own = m->taker == FABRIC_ALL ? &m->own[i - share.start] : m->own;
    return own->base ? own : NULL;
}

/* The payload stays where it was sent from. */
static bool message_stays(const fabric_message *m, size_t i, const omni_view *own) {
    return i == m->writer && view_same(own, m->src);
}

/* What stays is rounded where it is: before anybody reads it, and once, for rounding twice changes
 * nothing. */
static void round_what_stays(const fabric_message *m, omni_range share) {
    const omni_view *own = message_view(m, share, m->writer);
    if (own && message_stays(m, m->writer, own)) omni_view_round(own);
}

/* Bytes [to, to + bytes) of the payload, found at src's place `from`, to all of the worker's ranks that want
 * them. */
static void fill_own(const fabric_message *m, omni_range share, size_t to, const omni_view *src, size_t from,
                     size_t bytes) {
    for (size_t i = share.start; i < share.start + share.count; i++) {
        const omni_view *own = message_view(m, share, i);
        if (own && !message_stays(m, i, own)) view_copy(own, to, src, from, bytes);
    }
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t chunk_bytes(const omni_fabric *f, const omni_ring_port *port, size_t left) {
    return least(left, least(f->slot_bytes, omni_ring_slot_bytes(port->ring)));
}

bool shm_write(omni_fabric *f, omni_ring_port *port, omni_wait_policy wait, const omni_view *src,
               size_t bytes, const fabric_message *m, omni_range share) {
    for (size_t done = 0, n; done < bytes; done += n) {
        n = chunk_bytes(f, port, bytes - done);
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
        n = chunk_bytes(f, port, m->bytes - done);
        const void *slot = omni_ring_read(port, wait, f->stop);
        if (!slot) return false;
        omni_view chunk = omni_view_flat((void *)slot, n); /* only read: view_copy's src */
        fill_own(m, share, done, &chunk, 0, n);
        omni_ring_release(port);
    }
    return true;
}

static bool by_offer(const fabric_message *m) {
    return m->taker == FABRIC_ALL && m->bytes > OFFER_BYTES;
}

static void fill_from_offer(const fabric_message *m, omni_range share, const omni_view *src) {
    for (size_t done = 0; done < m->bytes; done += TAKE_BYTES)
        fill_own(m, share, done, src, done, least(m->bytes - done, TAKE_BYTES));
}

static bool offer(omni_fabric *f, omni_ring_port *port, const fabric_message *m, omni_range share) {
    void *slot = omni_ring_claim(port, f->wait, f->stop);
    if (!slot) return false;
    memcpy(slot, m->src, sizeof *m->src);
    omni_ring_publish(port);
    fill_from_offer(m, share, m->src);
    return omni_ring_settle(port, f->wait, f->stop);
}

static bool take_offer(omni_fabric *f, omni_ring_port *port, const fabric_message *m, omni_range share) {
    omni_view src;
    const void *slot = omni_ring_read(port, f->wait, f->stop);
    if (!slot) return false;
    memcpy(&src, slot, sizeof src);
    fill_from_offer(m, share, &src);
    omni_ring_release(port);
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
    if (!mine && local) return true;
    if (mine) {
        count_message(f, segment, m);
        round_what_stays(m, share);
    }
    if (local) {
        fill_own(m, share, 0, m->src, 0, m->bytes);
        return true;
    }
    omni_ring_port *port = &shm_port_of(s, w)->bus;
    if (by_offer(m)) return mine ? offer(f, port, m, share) : take_offer(f, port, m, share);
    return mine ? shm_write(f, port, f->wait, m->src, m->bytes, m, share)
                : shm_read(f, port, f->wait, m, share);
}
