/* faults.h (private): PEs of a modelled array that are slow, uneven or dead, and where the ranks then stand.
 *
 *   PEs     0 1 2 3 4 5 6 7      slow = 3-4:2   dead = 1 6
 *   ranks   0 . 1 2 3 4 . 5      those that live, in order
 *   zones   |   | |   | |   |    neighbouring ranks that are equally slow, with no dead PE between them
 *
 * Within a zone ranks are alike; so pricing cuts runs and classes of groups at zones' borders, and nowhere
 * else. An array without faults is one zone.
 */
#ifndef ARRAY_FAULTS_H
#define ARRAY_FAULTS_H

#include "omnibus/base.h"

enum { FAULTS_MOST = 64, PPM = 1000000 }; /* ranges of PEs in a list; millionths */

/* The keys of [faults]. */
typedef enum fault_key { FAULT_SLOW, FAULT_DEAD, FAULT_JITTER, FAULT_SEED, FAULT_KEYS } fault_key;
const char *fault_key_name(fault_key key);
fault_key fault_key_find(const char *name); /* FAULT_KEYS: none */

/* PEs [first, last]. */
typedef struct fault {
    uint32_t first, last;
    uint64_t ppm; /* of the time that a healthy one takes to compute; 0: dead */
} fault;

typedef struct zone {
    uint32_t rank, pe; /* its first */
    uint64_t ppm;      /* as above */
} zone;

typedef struct faults {
    fault range[2][FAULTS_MOST]; /* of FAULT_SLOW, FAULT_DEAD */
    size_t ranges[2];
    uint64_t jitter_ppm, seed;
    zone zone[4 * FAULTS_MOST + 1]; /* the last goes on without end */
    size_t zones;
} faults;

/* --- faults.c: as a file or --set says it ----------------------------------------------------- */

/* where: "FILE:3: slow", "faults.slow", for error texts. */
omni_status faults_set(faults *f, fault_key key, const char *text, const char *where, omni_error *err);
/* All keys are set: checks them against the array's PEs and finds the zones. where: of each key. */
omni_status faults_settle(faults *f, size_t pes, const char *const where[FAULT_KEYS], omni_error *err);
bool faults_any(const faults *f);

/* --- zones.c: what they mean for ranks -------------------------------------------------------- */

size_t faults_living(const faults *f, size_t pes); /* ranks that the first `pes` PEs can have */
uint64_t faults_ppm(const faults *f, size_t rank);
size_t faults_pe(const faults *f, size_t rank);
/* PEs from the first of these ranks to the last, the dead between them too. */
size_t faults_span(const faults *f, size_t first, size_t count);
/* Of a tree over ranks [first, first + p): PEs between the two partners of level k that are furthest
 * apart. */
size_t faults_apart(const faults *f, size_t first, size_t p, size_t k);
/* Rank by rank, the one range stands as the other does: no border within either, equally slow, no jitter. */
bool faults_alike(const faults *f, omni_range a, omni_range b);
/* Borders: the first rank > `rank` that begins a zone; SIZE_MAX: none. */
size_t faults_next(const faults *f, size_t rank);

/* `ps` of a healthy PE. Rounded up. */
uint64_t faults_stretch(uint64_t ps, uint64_t ppm);
/* Jitter: a factor for each PE in each step of each wave of a pass, between 1 and 1 + jitter, evenly. `pass`:
 * any number that tells passes apart. The same on every host. The larger the jitter, the larger every
 * factor. */
uint64_t faults_step(const faults *f, uint64_t pass, size_t wave, size_t step); /* for jitter_ppm */
uint64_t faults_jitter(const faults *f, uint64_t of_step, size_t pe);           /* millionths, from PPM on */

#endif
