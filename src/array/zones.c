/* zones.c: where the ranks of a plan stand on an array with faults, and how much longer they compute.
 *
 * Jitter is a hash of the seed, the pass, the wave, the step and the PE, by SplitMix64's finalizer (Steele,
 * Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): integers only, so every host
 * draws the same. It does not hang on the order in which steps are walked, nor on what else is priced.
 */
#include "array/faults.h"

static const zone *zone_of(const faults *f, size_t rank) {
    size_t low = 0, high = f->zones; /* zone[low].rank <= rank < zone[high].rank */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        *(f->zone[mid].rank <= rank ? &low : &high) = mid;
    }
    return &f->zone[low];
}

size_t faults_living(const faults *f, size_t pes) {
    size_t z = f->zones;
    while (z > 0 && f->zone[z - 1].pe >= pes) z--;
    if (z == 0) return 0;
    size_t ranks = f->zone[z - 1].rank + (pes - f->zone[z - 1].pe);
    return z < f->zones && f->zone[z].rank < ranks ? f->zone[z].rank : ranks;
}

uint64_t faults_ppm(const faults *f, size_t rank) {
    return zone_of(f, rank)->ppm;
}

size_t faults_pe(const faults *f, size_t rank) {
    const zone *z = zone_of(f, rank);
    return z->pe + (rank - z->rank);
}

size_t faults_span(const faults *f, size_t first, size_t count) {
    return count ? faults_pe(f, first + count - 1) - faults_pe(f, first) + 1 : 0;
}

/* Only partners on either side of a dead PE are further apart than 2^k: at most one pair for each border. */
size_t faults_apart(const faults *f, size_t first, size_t p, size_t k) {
    size_t half = (size_t)1 << k, most = half;
    const zone *last = &f->zone[f->zones - 1];
    if (last->pe == last->rank) return half; /* nobody is dead */
    for (const zone *z = f->zone + 1; z <= last; z++) {
        if (z->rank <= first || z->rank >= first + p) continue;
        size_t left = (z->rank - first - 1) / (2 * half) * (2 * half), right = left + half;
        if (right >= p || first + right < z->rank) continue;
        size_t apart = faults_span(f, first + left, half + 1) - 1;
        most = apart > most ? apart : most;
    }
    return most;
}

bool faults_alike(const faults *f, omni_range a, omni_range b) {
    if (a.count != b.count || a.count == 0) return a.count == b.count;
    const zone *x = zone_of(f, a.start), *y = zone_of(f, b.start);
    return !f->jitter_ppm && x->ppm == y->ppm && zone_of(f, a.start + a.count - 1) == x &&
           zone_of(f, b.start + b.count - 1) == y;
}

size_t faults_next(const faults *f, size_t rank) {
    const zone *z = zone_of(f, rank) + 1;
    return z < f->zone + f->zones ? z->rank : SIZE_MAX;
}

/* --- time ------------------------------------------------------------------------------------- */

uint64_t faults_stretch(uint64_t ps, uint64_t ppm) {
    if (ppm == PPM) return ps;
    unsigned __int128 all = ((unsigned __int128)ps * ppm + (PPM - 1)) / PPM;
    return all > UINT64_MAX ? UINT64_MAX : (uint64_t)all;
}

static uint64_t mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

uint64_t faults_step(const faults *f, uint64_t pass, size_t wave, size_t step) {
    return mix(mix(mix(mix(f->seed) ^ pass) ^ wave) ^ step);
}

uint64_t faults_jitter(const faults *f, uint64_t of_step, size_t pe) {
    uint64_t draw = mix(of_step ^ pe) >> 32; /* of 2^32 */
    return PPM + (draw * f->jitter_ppm >> 32);
}
