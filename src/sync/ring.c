/* ring.c: claim, publish, read, release. The fields, their orders and the argument are in ring.h; the atomic
 * operations themselves are the words' (word.c): a ring is 2^k slots, each a sequence word and payload, and
 * one cursor word per reader.
 */
#include "sync/ring.h"
#include "sync/epoch.h"

/* Numbers of one ring stay within its slots of each other; see epoch.h. */
#define MOST_SLOTS ((size_t)1 << 24)

static bool ring_allocate(omni_ring *r) {
    r->cursor = omni_alloc_array(r->readers, sizeof *r->cursor);
    r->memory = omni_alloc_array(r->slots, r->pitch);
    return r->cursor && r->memory;
}

/* Of message n; slots are a power of two, so numbers and slots go round together. */
static unsigned char *ring_slot(const omni_ring *r, uint32_t n) {
    return r->memory + (n & (r->slots - 1)) * r->pitch;
}

/* A word touches nothing but its first 4 bytes; what follows these is the payload's. */
static omni_word *ring_sequence(const omni_ring *r, uint32_t n) {
    return (omni_word *)(void *)ring_slot(r, n);
}

omni_ring *ring_create_at(size_t slots, size_t slot_bytes, size_t readers, uint32_t first) {
    if (slots < 2 || (slots & (slots - 1)) || slots > MOST_SLOTS) return NULL;
    if (slot_bytes == 0 || slot_bytes > SIZE_MAX - 2 * OMNI_CACHE_LINE) return NULL;
    omni_ring *r = omni_alloc(sizeof *r);
    if (!r) return NULL;
    *r = (omni_ring){.slots = slots, .slot_bytes = slot_bytes, .readers = readers, .first = first};
    r->pitch = omni_round_up(RING_HEAD + slot_bytes, OMNI_CACHE_LINE);
    if (!ring_allocate(r)) {
        omni_ring_free(r);
        return NULL;
    }
    /* A slot starts with the message before its first one: a reader of the first waits. */
    for (uint32_t i = 0; i < slots; i++) {
        uint32_t n = first + i;
        omni_word_init(ring_sequence(r, n), n - (uint32_t)slots);
    }
    for (size_t i = 0; i < readers; i++) omni_word_init(&r->cursor[i], first);
    return r;
}

omni_ring *omni_ring_create(size_t slots, size_t slot_bytes, size_t readers) {
    return ring_create_at(slots, slot_bytes, readers, 0);
}

void omni_ring_free(omni_ring *r) {
    if (!r) return;
    omni_free(r->memory);
    omni_free(r->cursor);
    omni_free(r);
}

size_t omni_ring_slots(const omni_ring *r) {
    return r->slots;
}

size_t omni_ring_slot_bytes(const omni_ring *r) {
    return r->slot_bytes;
}

void omni_ring_port_init(omni_ring_port *p, omni_ring *ring, size_t reader) {
    *p = (omni_ring_port){.ring = ring, .reader = reader, .next = ring->first, .slowest = ring->first};
}

static void *port_payload(const omni_ring_port *p) {
    return ring_slot(p->ring, p->next) + RING_HEAD;
}

/* Waits until every cursor is at or after `need`; caches the slowest. */
static bool port_gate(omni_ring_port *p, uint32_t need, omni_wait_policy policy, const omni_stop *stop) {
    omni_ring *r = p->ring;
    uint32_t least = epoch_ahead(p->next, need); /* nobody is past the message that is not written yet */
    for (size_t i = 0; i < r->readers; i++) {
        if (i == p->reader) continue; /* it is at next by construction: publish moved it */
        /* The wait's acquire pairs with that reader's publish in release: its loads from the slot are over.
         */
        if (!omni_word_wait(&r->cursor[i], need, policy, stop)) return false;
        uint32_t ahead = epoch_ahead(omni_word_peek(&r->cursor[i]), need);
        if (ahead < least) least = ahead;
    }
    p->slowest = need + least;
    return true;
}

void *omni_ring_claim(omni_ring_port *p, omni_wait_policy policy, const omni_stop *stop) {
    uint32_t need = p->next - (uint32_t)(p->ring->slots - 1);
    if (!epoch_reached(p->slowest, need) && !port_gate(p, need, policy, stop)) return NULL;
    return port_payload(p);
}

void omni_ring_publish(omni_ring_port *p) {
    omni_ring *r = p->ring;
    /* Publishes the payload; pairs with the wait in omni_ring_read. */
    omni_word_publish(ring_sequence(r, p->next), p->next);
    p->next++;
    /* The next slot's line is on its way while the caller makes the next message. Only a hint: the slot may
     * still be somebody's. */
    __builtin_prefetch(ring_slot(r, p->next), 1);
    /* The writer has read its own message. Publishes its earlier reads as finished; pairs with port_gate of
     * the next writer. */
    if (p->reader != OMNI_RING_NO_READER) omni_word_publish(&r->cursor[p->reader], p->next);
}

bool omni_ring_settle(omni_ring_port *p, omni_wait_policy policy, const omni_stop *stop) {
    return port_gate(p, p->next, policy, stop);
}

const void *omni_ring_read(omni_ring_port *p, omni_wait_policy policy, const omni_stop *stop) {
    /* The wait's acquire pairs with the writer's publish: the payload is there. */
    if (!omni_word_wait(ring_sequence(p->ring, p->next), p->next, policy, stop)) return NULL;
    return port_payload(p);
}

void omni_ring_release(omni_ring_port *p) {
    uint32_t slots = (uint32_t)p->ring->slots;
    p->next++;
    /* Publishes that the loads from the slot are done; pairs with port_gate. */
    omni_word_publish(&p->ring->cursor[p->reader], p->next);
    /* What the message just read proves about all cursors; see THE CACHED MINIMUM in ring.h. */
    if (epoch_ahead(p->next, p->slowest) > slots) p->slowest = p->next - slots;
}
