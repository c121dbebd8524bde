/* rows.c: what is done element by element over rows: add, add a bias, copy; and the arg-max of one row. All
 * are bound by memory, so four lanes are enough on any CPU.
 */
#include "kernel/room.h"

/* y[i] += x[i]; no alignment assumed */
static void row_add(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) kernel_f4_store(y + i, kernel_f4_load(y + i) + kernel_f4_load(x + i));
    for (; i < n; i++) y[i] += x[i];
}

void omni_bias_add(float *y, size_t ldy, size_t rows, size_t cols, const float *bias) {
    for (size_t r = 0; r < rows; r++) row_add(y + r * ldy, bias, cols);
}

void omni_add(float *y, size_t ldy, const float *x, size_t ldx, size_t rows, size_t cols) {
    for (size_t r = 0; r < rows; r++) row_add(y + r * ldy, x + r * ldx, cols);
}

void omni_copy(float *y, size_t ldy, const float *x, size_t ldx, size_t rows, size_t cols) {
    if (cols == 0) return;
    for (size_t r = 0; r < rows; r++) memcpy(y + r * ldy, x + r * ldx, cols * sizeof *y);
}

omni_best omni_argmax(const float *x, size_t n, size_t offset) {
    omni_best best = {-__builtin_inff(), UINT32_MAX};
    for (size_t i = 0; i < n; i++) {
        bool first =
            best.index == UINT32_MAX && x[i] == x[i]; /* even -INFINITY is better than nothing; NaN is not */
        if (x[i] > best.value || first) best = (omni_best){x[i], (uint32_t)(offset + i)};
    }
    return best;
}

void omni_combine_sum(void *acc, const void *in, size_t bytes, const void *arg) {
    (void)arg;
    row_add(acc, in, bytes / sizeof(float));
}
