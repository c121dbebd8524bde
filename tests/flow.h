/* flow.h: what cases of whole runs share: a checkpoint with its truth, a plan, and an engine's options. */
#ifndef OMNIBUS_TEST_FLOW_H
#define OMNIBUS_TEST_FLOW_H

#include "cases.h"
#include "omnibus/verify.h"

#define COUNT(a)   (sizeof(a) / sizeof *(a))
#define FIVE_PLANS "single,megatron,workflow1,workflow2,alternate"

typedef struct flow {
    omni_model *model;
    omni_weights *weights;
    omni_topo *topo;
    omni_truth *truth;
    omni_plan *plan;
    omni_stop stop;
    omni_error err;
} flow;

/* A directory with golden.safetensors in it. NULL, or what went wrong. Close it in either case. */
const char *flow_open(flow *f, const char *dir);
const char *flow_close(flow *f, const char *bad); /* returns bad */

/* Compiles a plan in place of the last. False: it cannot be built. */
bool flow_plan(flow *f, const char *text, size_t pes);
omni_engine_options flow_options(flow *f);

#endif
