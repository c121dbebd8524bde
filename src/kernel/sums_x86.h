/* sums_x86.h: the sums of eight vectors of eight lanes at the same time, each in the order of vec_sum: lanes
 * i and i + 4, then i and i + 2, then 0 and 1. Transposing as it adds, it takes 21 instructions instead of 8
 * times 6.
 */
LANES_FN __m256 sums_of_eight(const __m256 a[8]) {
    __m256 half[4], quarter[2];
    /* half[i]: a[i] low, a[i + 4] high; four lanes are left of each */
    LANES_UNROLL for (size_t i = 0; i < 4; i++) half[i] = _mm256_add_ps(
        _mm256_permute2f128_ps(a[i], a[i + 4], 0x20), _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    /* quarter[i]: two lanes of half[2i], two of half[2i + 1] */
    LANES_UNROLL for (size_t i = 0; i < 2; i++) {
        __m256d x = _mm256_castps_pd(half[2 * i]), y = _mm256_castps_pd(half[2 * i + 1]);
        quarter[i] = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)),
                                   _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
    }
    return _mm256_add_ps(_mm256_shuffle_ps(quarter[0], quarter[1], 0x88),
                         _mm256_shuffle_ps(quarter[0], quarter[1], 0xdd));
}
