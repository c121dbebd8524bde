/* network.h (private): what collectives cost on a ring or a 2D mesh, in closed form; network.c has the
 * algorithms and their sources, linked.c walks a plan's steps with them.
 */
#ifndef ARRAY_NETWORK_H
#define ARRAY_NETWORK_H

#include "array/array.h"

/* Time of a collective, and the bytes that its links carry: of a message, once for each link on its way. */
typedef struct toll {
    uint64_t ps, bytes;
} toll;

/* PEs in a row, each linked to the next both ways; closed: the last to the first, too. */
typedef struct pe_row {
    size_t n;
    bool closed;
} pe_row;

/* p PEs of a ring or a mesh, with links of their own. */
typedef struct net {
    const machine *m;
    size_t p;
    pe_row whole; /* all of them, as a row */
    bool mesh;    /* and as rows x columns, with `rest` more below the last row */
    size_t rows, columns, rest;
} net;

/* all: they are the whole network, so that a ring of them is closed; a piece of a ring is a row. */
net net_of(const machine *m, size_t p, bool all);
size_t net_links(const net *n); /* one way each */

uint64_t link_ps(const machine *m, uint64_t bytes, uint64_t hops); /* a message; 0: nothing is sent */

/* `bytes`: of the whole value. Slices of it are as even as bytes allow, but an all-gather's may be uneven:
 * `slice` is the largest. The root is index 0. */
toll net_broadcast(const net *n, uint64_t bytes);
toll net_reduce(const net *n, uint64_t bytes);
toll net_gather(const net *n, uint64_t bytes); /* and a scatter, which is its mirror image */
toll net_all_gather(const net *n, uint64_t slice, uint64_t bytes);
toll net_reduce_scatter(const net *n, uint64_t bytes);

/* A message from one PE to another. */
toll net_between(const net *n, size_t from, size_t to, uint64_t bytes);

/* Slices that go round the row, a message of each: when every PE gets the `turn`-th of them behind the one
 * before. */
uint64_t net_turn_ps(const net *n, size_t turn, uint64_t slice);
uint64_t net_round_bytes(const net *n, uint64_t bytes); /* what its links carry */

#endif
