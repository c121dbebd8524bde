/* cases_fabric.h: fabric programs: a list of operations drawn by chance, run on a fabric and, byte by byte
 * and serially, on a model that knows no rings, chunks or threads. All memory and all counters must agree.
 */
#ifndef OMNIBUS_TEST_CASES_FABRIC_H
#define OMNIBUS_TEST_CASES_FABRIC_H

#include "crew.h"
#include "omnibus/fabric.h"

enum { FABRIC_MOST_PES = 64 };

typedef enum op_what {
    OP_BROADCAST,
    OP_REDUCE,
    OP_GATHER,
    OP_SEND,
    OP_HOST_SEND,
    OP_HOST_RETURN,
    OP_WHATS
} op_what;

typedef struct program_options {
    const char *kind;
    const char *schedule; /* NULL: the default */
    size_t pes, workers;
    const omni_segment *segments; /* NULL: one over all */
    size_t segment_count;
    size_t ring_slots, slot_bytes;
    size_t operations, most_bytes;
    unsigned only; /* bits of op_what; 0: all */
    unsigned long long seed;
} program_options;

/* Runs a program on both; NULL: they agree. kind "null": only the counters have to. */
const char *program_check(const program_options *o);

/* cases_schedule.c: the schedules of a reduction against each other. */
const char *schedules_give_the_same_bits(void);
const char *schedules_narrow_alike(void);

/* cases_fabric_alone.c: every operation, without its partner. */
const char *stop_ends_every_operation(void);
const char *null_never_waits(void);

#endif
