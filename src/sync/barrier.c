/* barrier.c: nobody leaves before all have arrived. Two ways, by the number of parties:
 *
 *   few    store my round in my seat
 *          look at everybody else's, a bounded number of times
 *          not there? ring my bell, and sleep until that one rings his
 *          ring my bell, unless I have
 *   many   arrived + 1 == parties?   yes: arrived = 0, publish round + 1, go on
 *                                    no:  wait for round + 1
 *          The count is a line that everybody writes, one after the other, but a party sleeps once a round at
 *          most, and is woken by one: what counts when there are more parties than cores.
 *
 * Few: the rounds travel all at the same time, and a round is a plain store, so that looking for the others
 * need not wait until it has left: one hand-off when all come together. A bell is a word (an exchange, which
 * would wait), but it is on a line that others touch only when they sleep, and rung when there is nothing
 * left to wait for. Nobody sleeps before he has rung his own bell, so whoever has arrived rings, whatever the
 * others do: no two can wait for each other's bell.
 *
 * The epoch does the work that two senses do elsewhere. Many: a party reads it before it arrives, and it
 * cannot move until this party has arrived, so everyone of a round waits for the same number, and a fast
 * party of the next round for another. Few: a party may be one round ahead of another, never two; then its
 * number is past what the other waits for, which is as good.
 */
#include "omnibus/sync.h"
#include "sync/epoch.h"
#include "sync/meter.h"
#include "sync/pause.h"

enum { FEW = 4 };

/* A party's: written by it alone, but for bit 0 of the bell, which sleepers set. */
typedef struct barrier_seat {
    _Alignas(OMNI_CACHE_LINE) _Atomic uint32_t round;
    omni_word bell;
} barrier_seat;

struct omni_barrier {
    _Alignas(OMNI_CACHE_LINE) _Atomic uint32_t arrived; /* many: written by every party, once a round */
    omni_word round;        /* many: written by the last to arrive (and by sleepers: bit 0) */
    barrier_seat seat[FEW]; /* few */
    _Alignas(OMNI_CACHE_LINE) size_t parties; /* never written after create */
};

omni_barrier *omni_barrier_create(size_t parties) {
    omni_barrier *b = omni_alloc(sizeof *b);
    if (!b) return NULL;
    atomic_init(&b->arrived, 0);
    omni_word_init(&b->round, 0);
    for (size_t i = 0; i < FEW; i++) {
        atomic_init(&b->seat[i].round, 0);
        omni_word_init(&b->seat[i].bell, 0);
    }
    b->parties = parties;
    return b;
}

void omni_barrier_free(omni_barrier *b) {
    omni_free(b);
}

/* A bounded number of looks. False: not yet, or stopped. */
static bool look_for(const barrier_seat *seat, uint32_t round, omni_wait_policy policy,
                     const omni_stop *stop) {
    for (uint32_t looks = 0;; looks++) {
        /* Acquire: what that party did before the barrier is visible; pairs with its store in meet_few. */
        if (epoch_reached(atomic_load_explicit(&seat->round, memory_order_acquire), round)) return true;
        if (looks >= policy.spins || omni_stop_get(stop) != OMNI_OK) return false;
        cpu_pause();
    }
}

static bool meet_few(omni_barrier *b, size_t party, omni_wait_policy policy, const omni_stop *stop) {
    barrier_seat *own = &b->seat[party];
    /* Relaxed: nobody else writes it. */
    uint32_t round = atomic_load_explicit(&own->round, memory_order_relaxed) + 1;
    bool rung = false;
    /* Release: publishes what this party did before the barrier; pairs with look_for. */
    atomic_store_explicit(&own->round, round, memory_order_release);
    for (size_t i = 0; i < b->parties; i++) {
        if (i == party || look_for(&b->seat[i], round, policy, stop)) continue;
        /* Publishes the same to those who sleep for it; pairs with the wait below. */
        if (!rung) omni_word_publish(&own->bell, round);
        rung = true;
        if (!omni_word_wait(&b->seat[i].bell, round, (omni_wait_policy){0}, stop)) return false;
    }
    if (!rung) omni_word_publish(&own->bell, round);
    return true;
}

/* Looks are no words' waits: so the meter has all of it from here. */
static bool wait_few(omni_barrier *b, size_t party, omni_wait_policy policy, const omni_stop *stop) {
    uint64_t *meter = sync_meter, begin = meter ? omni_ticks() : 0;
    if (!meter) return meet_few(b, party, policy, stop);
    sync_meter = NULL;
    bool met = meet_few(b, party, policy, stop);
    meter_add(meter, begin);
    sync_meter = meter;
    return met;
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
