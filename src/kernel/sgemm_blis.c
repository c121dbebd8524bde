/* sgemm_blis.c: BLIS's sgemm as it comes, packing and all: what our matrix product is held against. It is
 * asked directly, because a limit must not be our own wrapper.
 */
#include <blis.h>

#include "kernel/room.h"

bool omni_blis_sgemm(size_t n, const float *a, const float *b, float *c) {
    if (KERNEL_SANITIZED) return false;
    float one = 1, zero = 0;
    union {
        const float *in;
        float *out;
    } from_a = {a}, from_b = {b}; /* BLIS changes neither */
    dim_t d = (dim_t)n;
    bli_thread_set_num_threads(1); /* the caller has a thread for every core */
    bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, d, d, d, &one, from_a.out, d, 1, from_b.out, d, 1, &zero,
              c, d, 1);
    return true;
}
