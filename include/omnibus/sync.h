/* sync.h: the lock-free core: words one can wait on, a barrier, the broadcast ring. (The tree is a schedule
 * over the barrier; it lives in the fabric.) C11 atomics with explicit orders, no stand-alone fences.
 *
 * A word is 32 bits: bit 0 says "somebody sleeps", bits 1..31 hold an epoch, compared modulo 2^31. A waiter
 * spins for a bounded time, then sets bit 0 by compare-and-swap and sleeps in futex(2); a publisher does one
 * atomic_exchange (acq_rel) and wakes only if the bit was set. Every wait also watches a stop word.
 *
 * Threads: each function says who may call it. Nothing here allocates after *_create, prints or asserts.
 */
#ifndef OMNIBUS_SYNC_H
#define OMNIBUS_SYNC_H

#include <stdatomic.h>

#include "omnibus/base.h"

/* --- stop word -------------------------------------------------------------------------------- */

/* Non-zero: everybody leaves. The value is the reason: the omni_status to end with. Set once, first
 * wins. Zero-initialize. What the setter stored before (an error text) is visible to whoever gets the
 * reason. Sleepers notice within 50 ms. */
typedef struct omni_stop {
    _Alignas(OMNI_CACHE_LINE) _Atomic uint32_t reason;
} omni_stop;

void omni_stop_set(omni_stop *stop, omni_status reason); /* any thread, also a signal handler */
omni_status omni_stop_get(const omni_stop *stop);        /* OMNI_OK: go on */

/* --- meter ------------------------------------------------------------------------------------ */

/* How much of something is done, for whoever shows it. Any thread adds, and not after every little thing; any
 * looks. Nothing is published by it, so all is relaxed. Zero-initialize. Functions that take one take NULL
 * for none. */
typedef struct omni_meter {
    _Alignas(OMNI_CACHE_LINE) _Atomic uint64_t done;
    _Atomic uint64_t total;
} omni_meter;

static inline void omni_meter_add(omni_meter *m, uint64_t done) {
    if (m) atomic_fetch_add_explicit(&m->done, done, memory_order_relaxed);
}
static inline void omni_meter_set(omni_meter *m, uint64_t done) {
    atomic_store_explicit(&m->done, done, memory_order_relaxed);
}
static inline void omni_meter_expect(omni_meter *m, uint64_t more) { /* the total grows */
    if (m) atomic_fetch_add_explicit(&m->total, more, memory_order_relaxed);
}
static inline uint64_t omni_meter_done(const omni_meter *m) {
    return atomic_load_explicit(&m->done, memory_order_relaxed);
}
static inline uint64_t omni_meter_total(const omni_meter *m) {
    return atomic_load_explicit(&m->total, memory_order_relaxed);
}

/* --- words ------------------------------------------------------------------------------------ */

typedef struct omni_word {
    _Alignas(OMNI_CACHE_LINE) _Atomic uint32_t bits;
} omni_word;

/* How long waiters spin before they sleep; chosen once per team. */
typedef struct omni_wait_policy {
    uint32_t spins; /* pause instructions */
} omni_wait_policy;
omni_wait_policy omni_wait_policy_for(size_t workers, size_t parallel); /* short when workers > parallel */

void omni_word_init(omni_word *w, uint32_t epoch);
void omni_word_publish(omni_word *w, uint32_t epoch); /* one publisher at a time */
uint32_t omni_word_peek(const omni_word *w);          /* acquire; the epoch */
/* Waits until the word's epoch is at or after `epoch` (modulo 2^31). False: stopped. What was written
 * before the publish is visible after true. */
bool omni_word_wait(omni_word *w, uint32_t epoch, omni_wait_policy policy, const omni_stop *stop);

/* From now on the calling thread adds the ticks (omni_ticks, which has been started) that it waits in words,
 * barriers and rings to *ticks, which is its own; NULL, as threads begin: it does not, and no clock is
 * read. */
void omni_word_meter(uint64_t *ticks);
/* With a meter: each of these waits is also told to `watch`, on the waiting thread, when it is over; NULL, as
 * threads begin: nobody is told. */
typedef void omni_wait_watch(void *user, uint64_t begin, uint64_t end);
void omni_word_watch(omni_wait_watch *watch, void *user);

/* --- barrier ---------------------------------------------------------------------------------- */

typedef struct omni_barrier omni_barrier;
omni_barrier *omni_barrier_create(size_t parties); /* NULL: no memory */
void omni_barrier_free(omni_barrier *b);
/* All parties arrive before any leaves; what each did before is visible to all after true. Each says which of
 * the parties it is, 0..parties-1. False: stopped (also when the stop word was set before), and then the
 * barrier is of no more use. parties = 1 returns at once. */
bool omni_barrier_wait(omni_barrier *b, size_t party, omni_wait_policy policy, const omni_stop *stop);

/* --- ring: one writer at a time, every reader reads every message ----------------------------- */

typedef struct omni_ring omni_ring;

/* slots: a power of two, 2 to 2^24. readers: how many cursors (0..readers-1); all start at message 0.
 * NULL: a size that cannot be, or no memory. Payloads are 8-byte aligned; one of up to 56 bytes shares a
 * cache line with its number. */
omni_ring *omni_ring_create(size_t slots, size_t slot_bytes, size_t readers);
void omni_ring_free(omni_ring *r);
size_t omni_ring_slots(const omni_ring *r);
size_t omni_ring_slot_bytes(const omni_ring *r);

/* A party's private view: the next sequence number, and the writer's cached minimum of the cursors.
 * Every party walks the same total order, so all of them know without asking which message has which
 * number. One per (ring, thread). */
typedef struct omni_ring_port {
    omni_ring *ring;
    size_t reader;    /* own cursor, or OMNI_RING_NO_READER (the host port writes and never reads) */
    uint32_t next;    /* sequence number of the next message */
    uint32_t slowest; /* every cursor is known to be at or after this */
} omni_ring_port;
#define OMNI_RING_NO_READER SIZE_MAX
void omni_ring_port_init(omni_ring_port *p, omni_ring *ring, size_t reader);

/* Writer: waits until the slot of message `next` is free, returns its payload (slot_bytes); NULL:
 * stopped. Then omni_ring_publish makes it visible, advances `next`, and the writer's own cursor if it
 * has one. */
void *omni_ring_claim(omni_ring_port *p, omni_wait_policy policy, const omni_stop *stop);
void omni_ring_publish(omni_ring_port *p);
/* Who has published: waits until every reader has released all messages so far. Then what they point at may
 * change. False: stopped. */
bool omni_ring_settle(omni_ring_port *p, omni_wait_policy policy, const omni_stop *stop);

/* Reader: waits for message `next`, returns its payload in place; NULL: stopped. omni_ring_release gives
 * the slot back (publishes the cursor) and advances `next`. */
const void *omni_ring_read(omni_ring_port *p, omni_wait_policy policy, const omni_stop *stop);
void omni_ring_release(omni_ring_port *p);

#endif
