/* lanes_generic.h: what the vector bodies need and the compilers' vector types give on any instruction set.
 * The includer has defined LANES (floats in a vector) and LANES_FN (static, always inlined, for its
 * instruction set), and defines afterwards vec_fma, vec_load_n, vec_store_n, vec_sum and vec_widen.
 */
#ifndef KERNEL_LANES_GENERIC_H
#define KERNEL_LANES_GENERIC_H

#include "kernel/room.h"

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef uint32_t vec_bits __attribute__((vector_size(4 * LANES)));

/* Loops whose trip count is a constant after inlining, so that accumulators live in registers. clang unrolls
 * them unasked. */
#ifdef __clang__
#define LANES_UNROLL
#else
#define LANES_UNROLL _Pragma("GCC unroll 16")
#endif

LANES_FN vec vec_load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

LANES_FN void vec_store(float *p, vec v) {
    memcpy(p, &v, sizeof v);
}

LANES_FN vec vec_set(float x) {
    return x - (vec){0};
}

/* mask ? a : b, lane by lane; mask lanes are all ones or all zeros, as comparisons give them */
LANES_FN vec vec_select(vec_bits mask, vec a, vec b) {
    return (vec)((mask & (vec_bits)a) | (~mask & (vec_bits)b));
}

#endif
