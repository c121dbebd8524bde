/* network_tools.h: for the tests of rings and meshes: a simulator that knows nothing of closed forms. Every
 * PE has a clock and values, every link a time from which it is free. Algorithms are written as rounds of
 * messages; a message that would find a link taken, or that goes where there is no link, fails the test; so
 * do wrong values in the end.
 */
#ifndef TESTS_NETWORK_TOOLS_H
#define TESTS_NETWORK_TOOLS_H

#include "array/network.h"

typedef enum collective_op {
    OP_BROADCAST,
    OP_REDUCE,
    OP_SCATTER,
    OP_GATHER,
    OP_ALL_GATHER,
    OP_REDUCE_SCATTER,
    OPS
} collective_op;

/* The best of all algorithms, simulated on p PEs: rows 0: a row, or closed a ring; else a mesh of so many
 * rows, which divide p. On a mesh 2 p divides bytes. */
toll simulate_best(const machine *m, size_t p, bool closed, size_t rows, collective_op op, uint64_t bytes);

#endif
