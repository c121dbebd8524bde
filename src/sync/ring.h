/* ring.h: the inside of the broadcast ring.
 *
 * 2^k slots; message n lives in slot n mod 2^k. One writer at a time (whose turn it is, the caller's schedule
 * says), and every reader reads every message. Nothing is lost: the writer waits for the slowest reader.
 *
 *      message      12   13   14   15   16   17   18   19
 *      slot          0    1    2    3    0    1    2    3        (4 slots)
 *                         ^         ^    ^
 *                         |         |    next: the writer claims 16 once every cursor >= 16 - 4 + 1 = 13
 *                         |         cursor[0] = 15: will read 15 next
 *                         cursor[1] = 13, the slowest: slot 0 is free, slot 1 is not
 *
 * THE TABLE. Every field that two threads touch, and the private ones that save touching them:
 *
 *   field        | written by                      | read by                     | publishes
 *   -------------+---------------------------------+-----------------------------+---------------------------
 *   payload[s]   | who claimed message n           | all, in place, until they   | (sequence[s] does it)
 *                |                                 | release n                   |
 *   sequence[s]  | who claimed n, in publish       | all, in read                | payload of n is in slot s
 *   cursor[r]    | reader r: in release, and in    | who claims, when its cached | r is done with all before
 *                | publish when it is the writer   | minimum is too low          | n: their slots are free
 *   bit 0 of the | who goes to sleep on the word   | who publishes the word      | "wake me"
 *   two above    |                                 |                             |
 *   port->next   | its thread                      | its thread                  | -
 *   port->slowest| its thread                      | its thread                  | -
 *   all the rest | create                          | all                         | -
 *
 *   field        | order                           | pairs with
 *   -------------+---------------------------------+-----------------------------------------------
 *   payload[s]   | plain                           | ordered by the two words below
 *   sequence[s]  | exchange acq_rel, in publish    | load acquire in read (omni_word_wait)
 *   cursor[r]    | exchange acq_rel, in release    | load acquire in claim and settle
 *                | and publish                     | (omni_word_wait and peek)
 *   bit 0        | compare-and-swap relaxed        | the same word's exchange: one of them is first
 *   port, rest   | plain                           | private; or set before the threads start
 *
 * THE CYCLE of one slot: payload stores of n -> publish sequence n -> read n -> payload loads -> publish
 * cursor > n -> claim n + slots -> payload stores of n + slots. Each arrow between threads is one
 * release/acquire pair of the table, so the plain accesses to the payload never meet.
 *
 * THE CACHED MINIMUM. slowest says "every cursor was seen, with acquire, at or after this", by this thread or
 * by one whose publication it has acquired since. So a claim that the cache allows needs no look at any
 * cursor. A thread that only reads learns it as well: message n was published by somebody who had claimed it,
 * so all cursors had reached n - slots + 1. Release keeps slowest up to that, which also keeps it near enough
 * to compare however long it did not write.
 *
 * THE SLOT. A slot begins with its sequence word, and the payload follows it at once: a message of up to 56
 * bytes costs its reader one transfer of a cache line, not one for the number and one for the bytes.
 *
 *      | sequence 4 | - 4 | payload, 8-byte aligned ...             |
 *      ^ 128-byte aligned                        whole lines of 128 ^
 *
 * Who writes has its own line: slots and cursors are 128-byte aligned.
 */
#ifndef OMNIBUS_SYNC_RING_H
#define OMNIBUS_SYNC_RING_H

#include "omnibus/sync.h"

enum { RING_HEAD = 8 }; /* bytes of a slot before its payload */

struct omni_ring {
    size_t slots, slot_bytes; /* as asked for */
    size_t pitch;             /* a word and slot_bytes, in whole cache lines: from one slot to the next */
    size_t readers;
    uint32_t first;        /* number of the first message; 0 but in tests */
    omni_word *cursor;     /* [readers] */
    unsigned char *memory; /* [slots, pitch] */
};

/* omni_ring_create, numbering from `first`: how a test gets to the end of the numbers without sending 2^31
 * messages. */
omni_ring *ring_create_at(size_t slots, size_t slot_bytes, size_t readers, uint32_t first);

#endif
