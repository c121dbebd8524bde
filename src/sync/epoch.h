/* epoch.h: numbers that go round. A word has 31 bits for its epoch, so "at or after" is a question about the
 * distance modulo 2^31: less than half the circle ahead is after, the rest is before.
 *
 *        want            want + 2^30             want + 2^31 = want
 *          |---- reached ----|------ not yet ------|
 *
 * The two parties of a word are never further apart than a ring's slots, which ring_create keeps far below
 * 2^30.
 */
#ifndef OMNIBUS_SYNC_EPOCH_H
#define OMNIBUS_SYNC_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#define EPOCH_MASK 0x7fffffffu
#define EPOCH_HALF 0x40000000u

/* How far `to` lies ahead of `from`. */
static inline uint32_t epoch_ahead(uint32_t to, uint32_t from) {
    return (to - from) & EPOCH_MASK;
}

static inline bool epoch_reached(uint32_t have, uint32_t want) {
    return epoch_ahead(have, want) < EPOCH_HALF;
}

#endif
