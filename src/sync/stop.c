/* stop.c: the word every wait watches.
 *
 * Whoever sees that the run cannot go on (Ctrl-C, a PE that failed, a watchdog) sets it; everybody else finds
 * it at the next look: a spinner with every pause, a sleeper at the latest when its futex times out. Nobody
 * is woken for it, so setting is one compare-and-swap and nothing else, which is what a signal handler may
 * do.
 */
#include "omnibus/sync.h"

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler sets the stop word: it must never take a lock");

void omni_stop_set(omni_stop *stop, omni_status reason) {
    uint32_t running = OMNI_OK;
    /* Publishes what the setter stored before it (the failed PE's error text); pairs with the acquire in
     * omni_stop_get. A compare-and-swap, because the first reason wins; a loser publishes nothing and reads
     * nothing: relaxed. */
    atomic_compare_exchange_strong_explicit(&stop->reason, &running, (uint32_t)reason, memory_order_release,
                                            memory_order_relaxed);
}

omni_status omni_stop_get(const omni_stop *stop) {
    /* Acquire: whoever leaves because of the reason may read what its setter stored. Free on x86, and the
     * line is shared by all and written once, so looking at every pause costs no traffic. */
    return (omni_status)atomic_load_explicit(&stop->reason, memory_order_acquire);
}
