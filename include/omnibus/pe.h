/* pe.h: the engine: a team of pinned workers that carry the PEs and execute a compiled plan over a fabric.
 * The only room that joins plan, weights, kernel and fabric.
 *
 * The calling (main) thread is the host port. One engine, one caller. The process has workers + 1 threads.
 */
#ifndef OMNIBUS_PE_H
#define OMNIBUS_PE_H

#include "omnibus/base.h"
#include "omnibus/counters.h"
#include "omnibus/kernel.h"
#include "omnibus/model.h"
#include "omnibus/perf.h"
#include "omnibus/plan.h"
#include "omnibus/sync.h"
#include "omnibus/topo.h"
#include "omnibus/weights.h"

/* --- binding: a model's tensors in a checkpoint ----------------------------------------------- */

/* Finds t for a layer and checks its shape (rank 1: cols = 0). NULL, with the error set, when missing,
 * misshapen or of a dtype that is not a weight's. */
const omni_tensor *omni_bind(const omni_weights *w, const omni_tensor_name *t, size_t layer, size_t rows,
                             size_t cols, omni_error *err);
/* Tells the model what only the checkpoint knows: an encoder has the heads of which there is any tensor, and `dtype` is
 * BF16 if all matrices are, else what the first other one is. Before omni_bind_all and any plan. */
void omni_bind_heads(omni_model *model, const omni_weights *w);
/* All tensors that the forward pass needs. */
omni_status omni_bind_all(const omni_model *model, const omni_weights *w, omni_error *err);

/* OMNI_BAD_INPUT where a matrix is of a type that this is not computed on: BF16 needs BF16 ones. */
omni_status omni_bind_compute(const omni_model *model, const omni_weights *w, omni_compute compute,
                              omni_error *err);

/* The model's tensors as random ones of one type, their values as omni_model_tensors says. Free with
 * omni_free, the names included. */
omni_status omni_random_specs(const omni_model *m, omni_dtype dtype, omni_random_spec **out, size_t *count,
                              omni_error *err);

/* --- engine ----------------------------------------------------------------------------------- */

typedef struct omni_engine_options {
    const omni_model *model;
    const omni_weights *weights;
    const omni_plan *plan;
    const omni_plan *const
        *later; /* [laters] plans that omni_engine_switch may change to; same model and PEs */
    const size_t
        *later_from; /* [laters] ascending: the positions from which on decode is under them; NULL: from 0 */
    size_t laters;
    bool resident; /* every PE keeps its weights in the forms of all plans; else they move with the plan */
    omni_compute compute; /* of all products with weights */
    const omni_topo *topo;
    size_t workers;         /* 0: one per PE, at most one per place */
    const char *fabric;     /* NULL: "shm" */
    const char *schedule;   /* of reductions; NULL: "sliced" */
    size_t sequences;       /* B */
    const size_t *capacity; /* [B] most positions that each sequence will reach */
    size_t max_tokens;      /* most tokens in one forward */
    size_t max_marks;       /* most marked tokens in one encode */
    bool taps;              /* keep layer states and logits for omni_engine_tap, _logits */
    bool logits;            /* keep logits alone */
    bool profile;           /* for omni_engine_profile: a clock is read after every step */
    bool perf;              /* for omni_engine_perf: counts are read where a worker's pass begins and ends */
    size_t trace_events;    /* for omni_engine_recording: room for so many of all workers; 0: none. With a profile */
    uint64_t beside_bytes;  /* what the caller will allocate beside the engine: part of the memory check */
    omni_meter *loading;    /* of omni_engine_create: bytes that PEs have packed, as stored */
    omni_stop *stop;        /* shared with the signal handler; outlives the engine */
} omni_engine_options;

typedef struct omni_memory {
    uint64_t weight_bytes, kv_bytes, activation_bytes, resident_bytes; /* resident: the arena as mapped */
    uint64_t peak_bytes; /* the most that was mapped at any time: while a plan changes, two arenas */
} omni_memory;

typedef struct omni_engine omni_engine;

/* What rank's arena will take, without allocating anything. */
omni_status omni_engine_plan_memory(const omni_engine_options *o, size_t rank, omni_memory *out,
                                    omni_error *err);

/* Compares all arenas with the memory that the host has, starts the workers, each of which packs its PEs'
 * shards. */
omni_status omni_engine_create(const omni_engine_options *o, omni_engine **out, omni_error *err);
void omni_engine_free(omni_engine *e); /* stops and joins the workers */

/* One forward pass: sequence s gets counts[s] >= 1 new tokens, ids concatenated in sequence order. next[s] is
 * the arg-max after its last token. Prefill and decode are both this. */
omni_status omni_engine_forward(omni_engine *e, const int32_t *ids, const size_t *counts, int32_t *next,
                                omni_error *err);

/* The same for an encoder: whole sequences, each pass by itself. */
typedef struct omni_encode {
    const int32_t *ids, *types; /* [tokens], sequence after sequence; types NULL: all 0 */
    const size_t *counts;       /* [sequences] */
    const size_t *mark;         /* [marks] rows of `ids` that the MLM head is to predict, ascending */
    size_t marks;               /* 0 unless the model has the head */
    float *pooled;      /* out: [sequences, hidden] the pooler's; the first rows' states without one */
    int32_t *predicted; /* out: [marks] arg-max of each mark's logits */
} omni_encode;
omni_status omni_engine_encode(omni_engine *e, const omni_encode *io, omni_error *err);

/* From the next pass on under plan 0 (`plan`) or 1, 2, ... (`later`). The sequences so far are kept: their keys and
 * values, and unless `resident` the weights, move over a bus of all PEs to where that plan has them. A later plan's
 * passes take one token for each sequence. */
omni_status omni_engine_switch(omni_engine *e, size_t plan, omni_error *err);
/* The plan, 0 or 1, 2, ..., that is due for the next decode step: the last one whose position the longest sequence has
 * reached. */
size_t omni_engine_due(const omni_engine *e);
/* What a switch to that plan would move now; and what all switches have moved. */
void omni_engine_switch_count(const omni_engine *e, size_t plan, omni_counters *out);
void omni_engine_switch_counters(const omni_engine *e, omni_counters *out);

void omni_engine_reset(omni_engine *e); /* forget all sequences: lengths go to 0; counters stay */
/* Forgets what is behind the first `positions` of each sequence: it goes on from there. */
void omni_engine_rewind(omni_engine *e, size_t positions);

size_t omni_engine_workers(const omni_engine *e);
unsigned omni_engine_cpu(const omni_engine *e, size_t worker); /* os index it was pinned to */
void omni_engine_memory(const omni_engine *e, size_t rank, omni_memory *out);
/* Of all passes since creation; take differences for a phase. Only between forwards. */
void omni_engine_counters(const omni_engine *e, omni_counters *out);

/* Where the time of the workers goes, from the caller's entry into a pass to its return: each nanosecond of each worker
 * is in one of these, so their sum is workers x the time of the passes. */
typedef struct omni_profile {
    uint64_t compute_ns; /* compute steps, and the products with streamed weights */
    uint64_t bus_ns;     /* broadcasts, addressed messages and all-gathers: copying, not waiting */
    uint64_t tree_ns;    /* reductions and tree gathers, likewise */
    uint64_t host_ns; /* host port: it looks tokens up, and all workers idle; rows go in, results come out */
    uint64_t wait_ns; /* for a word that is not published yet: messages, barriers, the end of the pass */
    uint64_t
        rest_ns; /* waking up for the pass; on fabric "null" also the message steps, which move nothing */
} omni_profile;
/* Of all passes since creation; take differences for a phase. Only between forwards. Zeros without the option. */
void omni_engine_profile(const omni_engine *e, omni_profile *out);

/* What the kernel has counted of a worker's thread in all passes and switches since creation, without its waiting
 * between them; take differences for a phase. The worker reads its own counts; `done`, behind which the caller looks,
 * orders them for it. Only between forwards. Zeros without the option. */
void omni_engine_perf(const omni_engine *e, size_t worker, omni_perf_counts *out);

/* What the workers did and when, with the option trace_events: compute steps PE by PE, messages as each worker takes part
 * in them, and waits. Each worker writes what it did itself, into room of its own that is there before it starts. */
typedef enum omni_event_kind {
    OMNI_EVENT_COMPUTE,
    OMNI_EVENT_MESSAGE,
    OMNI_EVENT_WAIT,    /* for a word that is not published yet; within a message, or between two steps */
    OMNI_EVENT_WEIGHTS, /* the last two: a message of a change of plans, at the worker that carries its writer */
    OMNI_EVENT_KV
} omni_event_kind;

enum { OMNI_EVENT_WAVES = 1 << 18, OMNI_EVENT_STRIPS = 1 << 6 };
#define OMNI_EVENT_ALL UINT32_MAX

typedef struct omni_event {
    uint64_t begin, end; /* of omni_ticks */
    uint64_t
        bytes; /* messages: what the counters count, at the worker that carries the writer (of a tree, the root; of
                       the host port's, the first rank); 0 at the others */
    uint32_t step;                /* of the plan; WEIGHTS: which entry of plan->weight; KV: which layer */
    uint32_t rank;                /* COMPUTE: whose; messages: who writes, of a tree the root */
    uint32_t to;                  /* messages: the one who reads, or OMNI_EVENT_ALL */
    /* wave: modulo OMNI_EVENT_WAVES; strip: of a step that is cut into some */
    uint32_t wave : 18, strip : 6, kind : 8;
} omni_event;

typedef struct omni_pass_record {
    uint64_t began, gone, ended; /* the caller: in hand, the workers were sent off, they were done */
    size_t plan;                 /* 0 or 1, 2, ... of `later` */
    size_t next;                 /* another one: this was no pass but the change to it */
    size_t tokens;
} omni_pass_record;

typedef struct omni_recording {
    const omni_pass_record *pass; /* [passes] those that were recorded whole: events of no other count */
    const size_t *length;         /* [passes][sequences] positions at the end of each */
    size_t passes, all_passes;    /* all: with those behind the first for which there was no room */
    size_t sequences, workers;
    double tick_ns; /* of all the times: nanoseconds in a tick */
} omni_recording;
/* Only between forwards. Zeros without the option. What it points at lives until the next forward. */
void omni_engine_recording(const omni_engine *e, omni_recording *out);
/* Of worker w, as they were noted: a wait in front of the message that it delayed, or behind. */
const omni_event *omni_engine_events(const omni_engine *e, size_t w, size_t *count);

/* One line if binding threads or memory was refused, NULL otherwise. */
const char *omni_engine_warning(const omni_engine *e);

/* --- taps: outside the fabric, not counted ---------------------------------------------------- */

/* State of the last forward: layer 0 = input of layer 0, i = output of layer i-1, the last before the final
 * norm. [tokens, hidden]. */
const float *omni_engine_tap(const omni_engine *e, size_t layer);
/* The final norm over all tokens of the last tap: y [tokens, hidden], by the engine's own kernel, on the
 * calling thread. An encoder has none: y is the last tap. */
void omni_engine_final_norm(const omni_engine *e, float *y);
const float *omni_engine_logits(const omni_engine *e); /* [sequences, vocab]; an encoder's: [marks, vocab] */
/* Ranks that hold a REPLICATED layer state must hold the same bits: false, and the first layer where they
 * differ. */
bool omni_engine_replicas_agree(const omni_engine *e, size_t *layer);

#endif
