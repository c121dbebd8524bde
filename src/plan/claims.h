/* claims.h (private): what moves in a layer or in a pass, by the part of the model that causes it. traffic.c
 * fills it from the plan's steps, claims.c has the claims, judge.c holds them against it.
 */
#ifndef PLAN_CLAIMS_H
#define PLAN_CLAIMS_H

#include "plan/plan.h"

/* Every message belongs to one: to the part whose output it completes or carries away. */
typedef enum traffic_part {
    PART_QKV,
    PART_ATTN,
    PART_O,
    PART_FFN,
    PART_NORMS,     /* statistics over sharded features */
    PART_RESIDUALS, /* the completed sum, on its way to whoever reads the stream */
    PART_INPUT,     /* the stream, brought to a norm or a projection behind the residual */
    PART_HAND_OFF,  /* from stage to stage */
    PART_GROUPS,    /* from group to group */
    PART_END,       /* behind the layers */
    TRAFFIC_PARTS
} traffic_part;

enum { IN_PREFILL, IN_DECODE, PHASES };

/* The same messages, counted for the situation at hand and for one sequence of it (so in one piece, once). */
typedef struct moves {
    omni_counters all[PHASES], one[PHASES];
} moves;

typedef struct traffic {
    size_t p; /* ranks of the stage */
    struct {
        moves own;             /* makes the part's output whole */
        moves over;            /* brings it to ops of another part ... */
        const omni_op *reader; /* ... of which this is the last */
        int from, to;          /* values before the first message and behind the last */
    } part[TRAFFIC_PARTS];
    struct {
        moves of;
        size_t steps;  /* that send something for one sequence */
        size_t others; /* the sum of ranks - 1 over them ... */
        size_t levels; /* ... and of tree levels that so many ranks need */
    } kind[OMNI_STEP_KINDS];
    int out; /* what the last residual yields */
} traffic;

/* The passes to count. */
typedef struct passes {
    const omni_plan *plan;
    omni_extent all[PHASES], one[PHASES];
    size_t first[PHASES], counts[PHASES]; /* of `one` */
} passes;

/* decode.sequences is 0 where there is no decode phase. p may not be copied: extents point into it. */
void passes_set(passes *p, const omni_plan *plan, omni_extent prefill, omni_extent decode);

void moves_add(moves *sum, const moves *m);

const char *traffic_part_name(traffic_part part);
traffic traffic_empty(size_t ranks);
/* Adds messages of steps [first, first + count). */
void traffic_add(traffic *t, const passes *p, size_t first, size_t count);

/* --- claims (claims.c) and how they are judged (judge.c) ----------------------------------------- */

enum { ANY = -1, OTHERS = -2 /* one for each PE but the first */ };

/* Messages that a claim grants to a part. */
typedef struct expected {
    int reductions, gathers, broadcasts, addressed;
} expected;

typedef struct claim claim;
typedef struct judged judged;
struct claim {
    const char *item, *text;
    omni_claim_scope scope;
    const char *name; /* of the method, named plan or key it is about */
    bool (*applies)(const omni_plan *plan, const claim *c, const omni_methods *m);
    size_t (*number)(const omni_plan *plan); /* of groups, stages ...; about it when above 1 */
    void (*judge)(judged *j);
    omni_key key;            /* of a method */
    unsigned parts;          /* PART_... bits: what it speaks of */
    unsigned beside;         /* what else there is, to be listed */
    const char *beside_name; /* listed as a sum under this name */
    bool total;              /* speaks of messages to other parts too */
    bool only_if_moved;
    expected grants[TRAFFIC_PARTS];
    const bool *distributed; /* whether the sum behind the last residual is to be SHARDED */
    const char *hint;        /* why not, when `hint_of` moves something */
    traffic_part hint_of;
};

/* A claim being judged. */
struct judged {
    const omni_plan *plan;
    const claim *c;
    const traffic *t;
    omni_claim *row;
};

/* Rules. Each sets the verdict and the reason. */
void judge_messages(judged *j);   /* every part against what is granted to it, and where the stream ends up */
void judge_added(judged *j);      /* no claim: what moves is said */
void judge_broadcasts(judged *j); /* one message each */
void judge_iterations(judged *j); /* gathers and scatters: a message for each PE */
void judge_levels(judged *j);     /* reductions: log2 levels */
void judge_idle(judged *j, const char *why);

/* Shows these messages in the row. */
void judge_show(omni_claim *row, const moves *m);
bool moves_none(const moves *m);

#endif
