/* lanes_generic.h: what the vector bodies need and the compilers' vector types give on any instruction set.
 * The includer has defined LANES (floats in a vector) and LANES_FN (static, always inlined, for its
 * instruction set) and LANES_ISA (its name), and defines afterwards vec_fma, vec_load_n, vec_store_n, vec_sum
 * and vec_widen.
 */
#ifndef KERNEL_LANES_GENERIC_H
#define KERNEL_LANES_GENERIC_H

#include "kernel/room.h"

/* The same functions are there once for each instruction set. Their symbols say which, as a profile shows
 * them: tile_f32_1_wide_avx2. */
#define LANES_JOIN(name, isa)   name##_##isa
#define LANES_EXPAND(name, isa) LANES_JOIN(name, isa)
#define LANES_NAME(name)        LANES_EXPAND(name, LANES_ISA)
#define matmul_rows             LANES_NAME(matmul_rows)
#define matmul_tile             LANES_NAME(matmul_tile)
#define matmul_widen            LANES_NAME(matmul_widen)
#define matmul_pairs            LANES_NAME(matmul_pairs)
#define rows_panels             LANES_NAME(rows_panels)
#define tile_narrow             LANES_NAME(tile_narrow)
#define pairs_narrow            LANES_NAME(pairs_narrow)
#define pairs_pack              LANES_NAME(pairs_pack)
#define pairs_pack_block        LANES_NAME(pairs_pack_block)
#define pairs_panels            LANES_NAME(pairs_panels)
#define attention_scores        LANES_NAME(attention_scores)
#define attention_softmax       LANES_NAME(attention_softmax)
#define attention_weigh         LANES_NAME(attention_weigh)
#define activation_swiglu       LANES_NAME(activation_swiglu)
#define activation_gelu_new     LANES_NAME(activation_gelu_new)
#define activation_gelu         LANES_NAME(activation_gelu)
#define activation_relu         LANES_NAME(activation_relu)
#define activation_silu         LANES_NAME(activation_silu)
#define activation_tanh         LANES_NAME(activation_tanh)

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
