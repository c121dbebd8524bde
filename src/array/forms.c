/* forms.c: costs of one sum by themselves, in closed form: what a choice between two ways follows from.
 *
 *   tree             sum over levels k of turns x (alpha_T(2^k) + m beta_T) + m gamma
 *   gather-and-add   (p - 1) (alpha_B + m beta_B) + (p - 1) m gamma: all addends to the root, one by one
 */
#include "array/walk.h"

/* As tree.c: with wires of its own, chunks follow each other at the pace of the slowest level. */
uint64_t omni_array_tree_ps(const omni_array *array, uint64_t bytes, size_t p) {
    machine m;
    uint64_t sum = 0, slowest = 0;
    machine_set(&m, array);
    uint64_t chunks = m.own_wires && bytes > m.chunk ? ceil_div(bytes, m.chunk) : 1;
    for (size_t k = 0; k < omni_ceil_log2(p); k++) {
        uint64_t turns = tree_turns(k, p, m.own_wires ? UINT64_MAX : m.pieces);
        uint64_t ps = level_ps(&m, (size_t)1 << k, chunks > 1 ? m.chunk : bytes, turns, true);
        slowest = ps > slowest ? ps : slowest;
        sum = sat_add(sum, ps);
    }
    return sat_add(sum, sat_mul(slowest, chunks - 1));
}

uint64_t omni_array_gather_add_ps(const omni_array *array, uint64_t bytes, size_t p) {
    machine m;
    machine_set(&m, array);
    return sat_mul(sat_add(bus_ps(&m, bytes, p), picoseconds(bytes, m.add_as)), p - 1);
}

/* The largest number of PEs from a to b with which the tree is slower; 0: none. Both ways take longer with
 * more PEs. */
static size_t last_slower(const omni_array *array, uint64_t bytes, size_t a, size_t b) {
    if (omni_array_tree_ps(array, bytes, b) <= omni_array_gather_add_ps(array, bytes, a)) return 0;
    if (a == b) return a;
    size_t middle = a + (b - a) / 2, right = last_slower(array, bytes, middle + 1, b);
    return right ? right : last_slower(array, bytes, a, middle);
}

size_t omni_array_tree_from(const omni_array *array, uint64_t bytes, size_t most) {
    if (most < 2) return most + 1;
    size_t last = last_slower(array, bytes, 2, most);
    return last ? last + 1 : 2;
}
