/* cases_flow.h: what the flow cases share: an open model with its truth, and its plans held against that.
 * Defined in cases_flow.c; random models in cases_formats.c.
 *
 * Under a sanitizer the matrix is thinned: the five named plans and every seventeenth of
 * `all`, on 1, 5 and 33 PEs (asan) or 5 and 17 (tsan). Checkpoints with many tokens to decode have one
 * plan, a cycle of two others. The whole matrix runs in the release variant.
 */
#ifndef OMNIBUS_TEST_CASES_FLOW_H
#define OMNIBUS_TEST_CASES_FLOW_H

#include "cases.h"
#include "omnibus/verify.h"

#if defined(__SANITIZE_THREAD__)
enum { THIN = 17, PES_COUNT = 2 };
#define PES_LIST                                                                                             \
    { 5, 17 }
#elif defined(__SANITIZE_ADDRESS__)
enum { THIN = 17, PES_COUNT = 3 };
#define PES_LIST                                                                                             \
    { 1, 5, 33 }
#else
enum { THIN = 1, PES_COUNT = 9 };
#define PES_LIST                                                                                             \
    { 1, 2, 3, 4, 5, 7, 8, 16, 33 }
#endif
#define COUNT(a)   (sizeof(a) / sizeof *(a))
#define FIVE_PLANS "single,megatron,workflow1,workflow2,alternate"
#define LONG_PLANS (THIN > 1 ? "alternate" : FIVE_PLANS)

typedef struct flow {
    omni_model *model;
    omni_weights *weights;
    omni_topo *topo;
    omni_truth *truth;
    omni_plan *plan;
    omni_stop stop;
    omni_error err;
} flow;

/* Each opens what it can; NULL, or what is wrong. flow_close in any case, which returns `bad`. */
const char *flow_open(flow *f, const char *dir);
const char *flow_random(flow *f, const char *config, uint64_t seed);
const char *flow_close(flow *f, const char *bad);

/* Compiles a plan; NULL text frees the last. False: it cannot be built. */
bool flow_plan(flow *f, const char *text, size_t pes);
omni_engine_options flow_options(flow *f);

/* Every `thin`-th plan of the list that is built, on every number of PEs of PES_LIST; at least `least`
 * cases. */
const char *flow_check_list(flow *f, const char *plans, size_t thin, size_t least);
const char *flow_check_all(flow *f);

/* Allocations that our code has made; counted in cases_engine.c. */
size_t flow_allocations(void);

#endif
