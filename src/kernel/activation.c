/* activation.c: SwiGLU (Shazeer, arXiv:2002.05202) and the functions of one input, over rows. The functions
 * themselves are in activation_lanes.h. */
#include "kernel/room.h"

void omni_activate(omni_activation kind, float *y, size_t ldy, const float *x, size_t ldx, size_t rows,
                   size_t cols) {
    const kernel_ops *ops = kernel_chosen();
    for (size_t r = 0; r < rows; r++, y += ldy, x += ldx) {
        if (kind == OMNI_ACT_SWIGLU)
            ops->activation.swiglu(y, x, x + cols, cols);
        else
            ops->activation.one[kind](y, x, cols);
    }
}
