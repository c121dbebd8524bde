/* pairs_generic.h: what matmul_pairs.h needs, on any instruction set: 32-bit lanes that hold two BF16
 * numbers, the one with the lower index in the lower half. The includer is one of ops_*.c, after its vec_fma
 * and vec_widen.
 */

/* Lanes of two rows of a panel, k and k + 1, as pairs. */
LANES_FN vec_bits vec_pairs(const unsigned char *row) {
    const unsigned char *second = row + KERNEL_NR * sizeof(uint16_t);
    return (vec_bits)vec_widen(row) >> 16 | (vec_bits)vec_widen(second);
}

/* Lanes of a row without a second one, which counts as 0. */
LANES_FN vec_bits vec_lone(const unsigned char *row) {
    return (vec_bits)vec_widen(row) >> 16;
}

/* acc + the products of both pairs' elements, the odd one first; see matmul_pairs.h */
LANES_FN vec vec_dot2(vec acc, vec_bits a, vec_bits b) {
    acc = vec_fma((vec)(a & 0xffff0000u), (vec)(b & 0xffff0000u), acc);
    return vec_fma((vec)(a << 16), (vec)(b << 16), acc);
}
