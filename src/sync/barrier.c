/* barrier.c: nobody leaves before all have arrived.
 *
 *      arrive: arrived + 1 == parties?   yes: arrived = 0, publish epoch + 1, go on
 *                                        no:  wait for epoch + 1
 *
 * The epoch does the work that two senses do elsewhere: a party reads it before it arrives, and it cannot
 * move until this party has arrived, so everyone of a round waits for the same number, and a fast party of
 * the next round for another. The count is the one line here that everybody writes: each party once a round,
 * which is what a central barrier costs.
 */
#include "omnibus/sync.h"

struct omni_barrier {
    _Alignas(OMNI_CACHE_LINE) _Atomic uint32_t arrived; /* written by every party, once a round */
    omni_word round;                          /* written by the last to arrive (and by sleepers: bit 0) */
    _Alignas(OMNI_CACHE_LINE) size_t parties; /* never written after create */
};

omni_barrier *omni_barrier_create(size_t parties) {
    omni_barrier *b = omni_alloc(sizeof *b);
    if (!b) return NULL;
    atomic_init(&b->arrived, 0);
    omni_word_init(&b->round, 0);
    b->parties = parties;
    return b;
}

void omni_barrier_free(omni_barrier *b) {
    omni_free(b);
}

bool omni_barrier_wait(omni_barrier *b, omni_wait_policy policy, const omni_stop *stop) {
    if (omni_stop_get(stop) != OMNI_OK) return false; /* a round somebody left will never be complete */
    if (b->parties <= 1) return true;
    uint32_t next = omni_word_peek(&b->round) + 1;
    /* Release: what this party did before the barrier goes into the count's release sequence. Acquire: the
     * last to arrive gets from it what all the others did, and hands it on with the epoch. */
    uint32_t before = atomic_fetch_add_explicit(&b->arrived, 1, memory_order_acq_rel);
    if (before + 1 != b->parties) return omni_word_wait(&b->round, next, policy, stop);
    /* Relaxed: the publish below releases it together with the epoch, and nobody counts again before having
     * seen that. */
    atomic_store_explicit(&b->arrived, 0, memory_order_relaxed);
    omni_word_publish(&b->round, next);
    return true;
}
