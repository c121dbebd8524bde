/* ops_lanes.h: the table of one instruction set, out of the functions above. The includer defines LANES_OPS,
 * its name. */
#include "kernel/activation_lanes.h"
#include "kernel/attention_lanes.h"
#include "kernel/matmul_lanes.h"
#include "kernel/pairs_generic.h"

#include "kernel/matmul_pairs.h"

const kernel_ops LANES_OPS = {
    .matmul = {.mr = LANES_MAX_ROWS,
               .rows = matmul_rows,
               .tile = matmul_tile,
               .widen = matmul_widen,
               .pairs = matmul_pairs},
    .attention = {.scores = attention_scores, .softmax = attention_softmax, .weigh = attention_weigh},
    .activation = {.swiglu = activation_swiglu,
                   .one = {[OMNI_ACT_GELU_NEW] = activation_gelu_new,
                           [OMNI_ACT_GELU] = activation_gelu,
                           [OMNI_ACT_RELU] = activation_relu,
                           [OMNI_ACT_SILU] = activation_silu,
                           [OMNI_ACT_TANH] = activation_tanh}},
};
