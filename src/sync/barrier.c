/* barrier.c: nobody leaves before all have arrived. Two ways, by the number of parties:
 *
 *   few    every party has a word of its own, publishes its round there, and waits for everybody else's. All words
 *          travel at the same time: one hand-off when all come together.
 *   many   arrived + 1 == parties?   yes: arrived = 0, publish round + 1, go on
 *                                    no:  wait for round + 1
 *          The count is a line that everybody writes, one after the other, but a party sleeps once a round at most,
 *          and is woken by one: what counts when there are more parties than cores.
 *
 * The epoch does the work that two senses do elsewhere. Many: a party reads it before it arrives, and it cannot
 * move until this party has arrived, so everyone of a round waits for the same number, and a fast party of
 * the next round for another. Few: a party may be one round ahead of another, never two; then its word is
 * past what the other waits for, which is as good.
 */
#include "omnibus/sync.h"

enum { FEW = 4 };

struct omni_barrier {
    _Alignas(OMNI_CACHE_LINE) _Atomic uint32_t arrived; /* many: written by every party, once a round */
    omni_word round;     /* many: written by the last to arrive (and by sleepers: bit 0) */
    omni_word word[FEW]; /* few: written by its party (and by sleepers: bit 0) */
    _Alignas(OMNI_CACHE_LINE) size_t parties; /* never written after create */
};

omni_barrier *omni_barrier_create(size_t parties) {
    omni_barrier *b = omni_alloc(sizeof *b);
    if (!b) return NULL;
    atomic_init(&b->arrived, 0);
    omni_word_init(&b->round, 0);
    for (size_t i = 0; i < FEW; i++) omni_word_init(&b->word[i], 0);
    b->parties = parties;
    return b;
}

void omni_barrier_free(omni_barrier *b) {
    omni_free(b);
}

static bool wait_few(omni_barrier *b, size_t party, omni_wait_policy policy, const omni_stop *stop) {
    uint32_t round = omni_word_peek(&b->word[party]) + 1;
    /* Publishes what this party did before the barrier; pairs with the waits of all others below. */
    omni_word_publish(&b->word[party], round);
    for (size_t i = 0; i < b->parties; i++)
        if (i != party && !omni_word_wait(&b->word[i], round, policy, stop)) return false;
    return true;
}

static bool wait_many(omni_barrier *b, omni_wait_policy policy, const omni_stop *stop) {
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

bool omni_barrier_wait(omni_barrier *b, size_t party, omni_wait_policy policy, const omni_stop *stop) {
    if (omni_stop_get(stop) != OMNI_OK) return false; /* a round somebody left will never be complete */
    if (b->parties <= 1) return true;
    return b->parties <= FEW ? wait_few(b, party, policy, stop) : wait_many(b, policy, stop);
}
