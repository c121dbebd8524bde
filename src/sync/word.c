/* word.c: a 32-bit word that one thread publishes and any number wait for.
 *
 *      bits 31..1 the epoch      bit 0 somebody sleeps
 *
 *      waiter                                      publisher
 *      ------                                      ---------
 *      load: reached? done                         old = exchange(epoch << 1)
 *      pause, a bounded number of times            old & 1 ? wake all
 *      compare-and-swap: set bit 0
 *      futex wait while the word is unchanged
 *
 * No wake-up is lost. Exchange and compare-and-swap are on one word, so one comes first. The swap first: the
 * exchange sees the bit and wakes. The exchange first: the swap fails, the waiter looks again and finds the
 * new epoch. Between the swap and the sleep the kernel compares the word once more, and refuses to sleep on
 * one that has moved.
 *
 * A waiter that leaves (stopped, or its futex timed out) leaves the bit behind: one wake-up call too many, no
 * harm.
 */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "omnibus/sync.h"
#include "sync/epoch.h"
#include "sync/meter.h"
#include "sync/pause.h"

#define SLEEPERS 1u

/* The stop word wakes nobody: this is the longest that a sleeper overlooks it. */
static const struct timespec nap = {.tv_nsec = 50 * 1000 * 1000};

/* Long enough to bridge the compute step between two messages of a small model, short enough that a PE with
 * nothing to do gives its core back. When workers share cores the one waited for needs this core: spin only
 * as long as a hand-off between two running threads takes. */
enum { SPINS_OWN_CORE = 8192, SPINS_SHARED_CORE = 64 };

omni_wait_policy omni_wait_policy_for(size_t workers, size_t parallel) {
    return (omni_wait_policy){.spins = workers > parallel ? SPINS_SHARED_CORE : SPINS_OWN_CORE};
}

void omni_word_init(omni_word *w, uint32_t epoch) {
    /* Relaxed: nobody else knows the word yet; starting the threads publishes it. */
    atomic_store_explicit(&w->bits, epoch << 1, memory_order_relaxed);
}

void omni_word_publish(omni_word *w, uint32_t epoch) {
    /* Release: everything stored before this is visible to whoever sees the epoch; pairs with the acquire
     * loads in peek and wait. Acquire: the publisher need not be the thread that published last (a barrier's
     * last arriver, a ring's next writer); it takes over the word with all that was done before. An exchange
     * rather than a store, because the sleepers' bit has to be read and cleared in the same step that makes
     * the epoch visible. */
    uint32_t old = atomic_exchange_explicit(&w->bits, epoch << 1, memory_order_acq_rel);
    if (old & SLEEPERS) syscall(SYS_futex, &w->bits, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

uint32_t omni_word_peek(const omni_word *w) {
    /* Pairs with the exchange in publish: the caller may use what the epoch stands for. */
    return atomic_load_explicit(&w->bits, memory_order_acquire) >> 1;
}

/* Sleeps until the word moves from what was seen, or for one nap. */
static void word_sleep(omni_word *w, uint32_t seen) {
    /* Relaxed both ways: the bit publishes nothing, and the caller loads again, with acquire, before it
     * believes anything. As a read-modify-write it stays in the release sequence of the publisher, so that a
     * load that sees the epoch with the bit set still synchronizes with the exchange that brought the epoch.
     */
    if (!(seen & SLEEPERS) &&
        !atomic_compare_exchange_strong_explicit(&w->bits, &seen, seen | SLEEPERS, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    /* Every outcome (woken, word moved, signal, timeout) means the same: look again. */
    syscall(SYS_futex, &w->bits, FUTEX_WAIT_PRIVATE, seen | SLEEPERS, &nap, NULL, 0);
}

_Thread_local uint64_t *sync_meter;

static _Thread_local omni_wait_watch *sync_watch;
static _Thread_local void *sync_watcher;

void omni_word_meter(uint64_t *ticks) {
    sync_meter = ticks;
}

void omni_word_watch(omni_wait_watch *watch, void *user) {
    sync_watch = watch;
    sync_watcher = user;
}

void meter_add(uint64_t *meter, uint64_t begin) {
    uint64_t now = omni_ticks();
    *meter += now - begin;
    if (sync_watch) sync_watch(sync_watcher, begin, now);
}

static bool word_wait(omni_word *w, uint32_t epoch, omni_wait_policy policy, const omni_stop *stop) {
    for (uint32_t looks = 0;; looks++) {
        /* Pairs with the exchange in publish: after true, the publisher's earlier stores are visible. */
        uint32_t bits = atomic_load_explicit(&w->bits, memory_order_acquire);
        if (epoch_reached(bits >> 1, epoch)) return true;
        if (omni_stop_get(stop) != OMNI_OK) return false;
        if (looks < policy.spins) {
            cpu_pause();
        } else {
            looks = policy.spins; /* awake for nothing: sleep again at once, and never count round */
            word_sleep(w, bits);
        }
    }
}

bool omni_word_wait(omni_word *w, uint32_t epoch, omni_wait_policy policy, const omni_stop *stop) {
    if (!sync_meter || epoch_reached(omni_word_peek(w), epoch)) return word_wait(w, epoch, policy, stop);
    uint64_t begin = omni_ticks();
    bool reached = word_wait(w, epoch, policy, stop);
    meter_add(sync_meter, begin);
    return reached;
}
