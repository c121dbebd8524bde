/* pe.h (private): the engine's inside.
 *
 *   engine ----- worker 0 ----- pe 0, pe 1, ...      a worker is a pinned thread; it carries neighbouring PEs
 *     |   \----- worker 1 ----- ...
 *     |                          pe: one arena [ weights | keys and values | activations ]
 *   form: the engine under one plan: the PEs' arenas as that plan lays them, and the bus as it cuts it. All but one are
 *   asleep; switch.c changes from one to another.
 *
 *   host port (the caller's thread): embeds, sends the rows in, awaits the tokens
 *
 * A forward pass: the caller fills `pass`, publishes `go`; every worker walks the plan's steps, part by part of the
 * pass; all meet at `done`. So `pass` has one writer, between `done` and `go`, and the barrier and the word order it
 * for the readers. So have `switching`, `next` and what depends on the form in use: `o`, `pe`, `fabric`, `now`.
 */
#ifndef PE_PE_H
#define PE_PE_H

#include <pthread.h>

#include "omnibus/fabric.h"
#include "omnibus/kernel.h"
#include "omnibus/pe.h"

/* The bus ring: chunks of 16 KiB, so that readers work while the writer writes. */
enum { RING_SLOTS = 16, RING_SLOT_BYTES = 16 << 10 };

/* What one PE holds of one entry of plan->weight. Pointers into its arena; NULL: holds none. */
typedef struct pe_weight {
    omni_packed *matrix; /* of weights that are dealt out the first of several: stream.c */
    float
        *bias; /* of its outputs; split-in: only at the root, added once; of weights that are dealt out all */
    float *norm_weight, *norm_bias;
    omni_range in;    /* inputs held */
    size_t out;       /* outputs held */
    size_t piece;     /* bytes from one of several handles to the next; 0: there is one */
    omni_dtype dtype; /* of several */
} pe_weight;

/* Keys and values of one layer and sequence, [heads held][capacity][dims held of a head] each. */
typedef struct pe_kv {
    float *k, *v;
    size_t capacity;
} pe_kv;

typedef struct pe {
    size_t rank;
    omni_seat seat;
    char *arena;
    size_t arena_bytes;
    omni_memory memory;
    pe_weight *weight;            /* [plan->weight_count]; those of its stage are set */
    float **storage;              /* [plan->storage_count]; likewise */
    omni_range layers, sequences; /* whose keys and values it may hold */
    pe_kv *kv;                    /* [layers][sequences] */
    void *panels[2];              /* what streamed weights are received into, in turn; NULL: none are */
} pe;

/* The pass under way; read-only while workers run. */
typedef struct pe_pass {
    omni_extent extent;
    size_t *first, *counts; /* [sequences] */
    size_t *row;            /* [sequences] first row of each sequence */
    size_t *mark;           /* [max_marks] rows for the MLM head */
    omni_part *part;        /* group by group */
    size_t *part_first;     /* [groups + 1] where a group's begin */
    size_t waves;
} pe_pass;

/* The engine under one plan. */
typedef struct pe_form {
    omni_engine_options o; /* with that plan */
    pe *pe;                /* [pes] */
    omni_fabric *fabric;
    omni_barrier *
        *meet; /* [workers] of the segment that goes on behind the worker's last rank; NULL: none does */
} pe_form;

/* The neighbouring ranks of one group and stage that a worker carries. */
typedef struct pe_share {
    size_t group, stage;
    omni_range ranks;
} pe_share;

/* What a worker spends time on; in the order of omni_profile. */
typedef enum pe_spending { PE_COMPUTE, PE_BUS, PE_TREE, PE_HOST, PE_WAIT, PE_REST, PE_SPENDINGS } pe_spending;

/* A worker's clock, with the option `profile`. The worker writes it in a pass; the caller reads it behind `done`. */
typedef struct pe_meter {
    uint64_t spent[PE_SPENDINGS]; /* ticks of all passes */
    uint64_t began, lap;          /* the pass; what is under way */
    uint64_t waited;              /* of the latter: what the words' meter has counted */
} pe_meter;

/* A worker's events, with the option `trace_events`. Written like the meter; `recording` by the caller, between two
 * passes. */
typedef struct pe_trace {
    omni_event *event; /* [room + 1]: the last for what there is no room for */
    size_t count, room;
    bool recording;
    bool full;        /* there was no room for one */
    omni_event *open; /* what is under way, but for its end; NULL: nothing */
    size_t wave;      /* that is under way */
} pe_trace;

/* What the caller records of passes. */
typedef struct pe_log {
    omni_pass_record *pass; /* [capacity] */
    size_t *length;         /* [capacity][sequences] */
    size_t passes, capacity, all_passes;
} pe_log;

typedef struct worker {
    _Alignas(OMNI_CACHE_LINE) omni_engine *engine;
    size_t index;
    pthread_t thread;
    bool started;
    omni_range ranks;
    pe_share *share; /* [shares] in the order of the ranks */
    size_t shares;
    omni_error error; /* of its set-up; read by the caller behind the start line */
    bool unbound;     /* binding was refused */
    unsigned cpu;
    /* scratch, allocated at set-up */
    void *matmul_scratch;
    float *attention_scratch;
    uint32_t *kv_of;  /* [heads] */
    int32_t *tokens;  /* [sequences or max_marks] */
    omni_view *views; /* [ranks.count] */
    void **buffers;   /* [ranks.count] */
    char *
        staging; /* twice staging_bytes: what a switch sends, and what it receives; NULL: there is one form */
    size_t staging_bytes;
    pe_meter meter;
    omni_perf *perf; /* NULL: not asked for */
    pe_trace trace;
} worker;

struct omni_engine {
    omni_engine_options o; /* of the form in use ... */
    pe *pe;                /* ... and its parts */
    omni_fabric *fabric;
    omni_barrier **meet;
    pe_form *form; /* [forms] */
    size_t forms;
    size_t now, next;     /* the form in use; the one that a switch goes to */
    bool switching;       /* what `go` asks for: a switch, or a pass */
    omni_fabric *between; /* one bus over all ranks, for switches; NULL: there is one form */
    size_t *capacity;     /* own copy */
    size_t pes, workers;
    worker *worker; /* [workers] */
    omni_wait_policy wait, host_wait;
    omni_word go;
    uint32_t passes;   /* epoch of go */
    _Atomic bool quit; /* relaxed: `go` orders it; atomic because a late worker may look while a stopped
                          caller sets it */
    omni_barrier *start, *done; /* workers + the caller */
    pe_pass pass;
    size_t *length;                                   /* [sequences] positions so far */
    float *rows;                                      /* [max_tokens, hidden] the host port's input rows */
    float *rope_cos, *rope_sin;                       /* [positions, head_dim/2] */
    const omni_tensor *embedding, *positions, *types; /* NULL: the family has none */
    float *embed_norm_weight, *embed_norm_bias;       /* [hidden]; NULL likewise */
    /* taps */
    float **tap;                      /* [layers+1][max_tokens, hidden] */
    uint64_t *tap_hash;               /* [layers+1][pes] of REPLICATED states; 0: it has none */
    float *logits;                    /* [tap_logit_rows, vocab] */
    float *final_weight, *final_bias; /* [hidden] */
    const omni_op *final_norm;        /* NULL: an encoder */
    bool moves_nothing;               /* the fabric is "null" */
    uint64_t spent[PE_SPENDINGS];     /* the profile's part that only the caller sees */
    pe_log log;
    char warning[160];
};

static inline const omni_value *engine_value(const omni_engine *e, int v) {
    return &e->o.plan->value[v];
}

/* layout.c: fills weight, storage, kv and memory for one PE; with arena NULL only sizes are right. */
omni_status pe_layout(const omni_engine_options *o, size_t rank, pe *out, omni_error *err);
size_t pe_table_bytes(const omni_engine_options *o, const pe *x); /* of the tables beside the arena */
bool pe_place(const omni_engine_options *o,
              pe *x); /* the same with the arena, which is zero; false: no memory */
void pe_free(pe *x);

/* load.c */
/* A weight's matrices' tensors, and the dtype of the packed form: BF16 only if all of them are. */
omni_dtype pe_bind_matrices(const omni_engine_options *o, const omni_weight *w,
                            const omni_tensor *t[OMNI_MAX_PARTS]);
/* What pe_load will put for PEs [count] that are laid out becomes the meter's total: before the first is
 * packed, so that it doesn't grow under the eyes of who looks. */
void pe_load_expect(const omni_engine_options *o, const pe *x, size_t count);
/* Copies the shards of a worker's PEs [count] out of the checkpoint, into arenas that are laid out, and else zero. */
omni_status pe_load(const omni_engine_options *o, pe *x, size_t count, omni_error *err);
/* Elements `part` of a vector of `stored`, as float32. */
omni_status pe_load_vector(const omni_engine_options *o, const omni_tensor_name *name, size_t layer,
                           size_t stored, omni_range part, float *to, omni_error *err);

/* lend.c */
/* The barriers of a form; false: no memory. Freed by lend_free in any state. */
bool lend_create(const omni_engine *e, pe_form *f);
void lend_free(const omni_engine *e, pe_form *f);
/* Which ranks a worker computes in a step, between two meetings of its segment's workers. */
typedef struct lend_ranks {
    omni_barrier *meet;
    size_t party;    /* the worker's, of that barrier */
    omni_range busy; /* with work, whoever carries them */
    omni_range idle; /* its own ones without */
} lend_ranks;
/* False: every worker computes its own ones. */
bool lend_step(const worker *w, const omni_step *s, const pe_share *own, lend_ranks *out);

/* hostport.c */
omni_status hostport_create(omni_engine *e, omni_error *err);
void hostport_free(omni_engine *e);

/* stream.c: weights that are dealt out over all PEs. A PE keeps its share of a matrix as several handles, the pieces in
 * which it is broadcast. */
/* Outputs of a piece. Each product packs its rows of x anew: with 64 that took a third of a prefill's time. */
enum { STREAM_OUTPUTS = 256 };
/* Outputs of piece i, counted from the share's first; none: there is no such piece. */
omni_range stream_piece(size_t outputs, size_t i);
/* Bytes of all handles of a share, and from one to the next; 0: more than there can be. */
size_t stream_share_bytes(size_t outputs, size_t in, omni_dtype dtype, size_t *piece);
/* Bytes of one of the two buffers; 0: the plan streams nothing. */
size_t stream_buffer_bytes(const omni_plan *plan);
void stream_init(pe_weight *mine, void *mem, omni_dtype dtype); /* lays the handles out */
/* omni_packed_put over several handles. */
void stream_put(const pe_weight *mine, size_t out0, size_t nout, size_t in0, size_t nin, const void *src,
                size_t src_out, size_t src_in);
/* Outputs of a share that matrix j has, counted from the matrix's first. */
omni_range stream_matrix_outputs(const omni_plan *plan, const omni_weight *w, size_t rank, size_t j);
/* Weights that the plan counts as BF16 must be stored so. */
omni_status stream_check(const omni_engine_options *o, omni_error *err);
bool exec_joined(worker *w,
                 const omni_step *s); /* a message for all groups; once, for all of the worker's PEs */

/* team.c */
size_t worker_scratch_bytes(const omni_engine *e); /* of one worker; SIZE_MAX: more than there can be */
omni_status team_start(omni_engine *e, omni_error *err);
omni_status team_error(omni_engine *e, omni_error *err); /* of the first worker that has one */
void team_stop(omni_engine *e);
omni_status worker_map(worker *w, const pe_form *f, pe *x); /* gives x its arena, zeroed; error in w->error */
void worker_unmap(pe *x);
void worker_name(char name[16], size_t index, omni_range ranks); /* of its thread */
void worker_find_shares(worker *w, const omni_plan *plan);

/* profile.c: each does nothing without the option. A worker's pass begins, something of it is over, it is at its end. */
void meter_begin(worker *w);
void meter_take(worker *w, pe_spending on);
void meter_end(worker *w);
static inline void meter_lap(worker *w, pe_spending on) {
    if (w->engine->o.profile) meter_take(w, on);
}
void meter_step(worker *w, const omni_step *s); /* a step, as its kind says */
/* The caller: the pass began, the workers were sent off, all are done now. */
void profile_pass(omni_engine *e, uint64_t began, uint64_t gone);

/* trace.c: where events come from: meter_take reads the clock, and what is under way ends there. Each does nothing unless
 * events are recorded. */
bool trace_create(worker *w); /* by the worker; false: no memory */
void trace_free(omni_engine *e);
void trace_begin(worker *w); /* a worker's pass; it ends */
void trace_end(worker *w);
/* A message begins, behind what is under way. mine: the worker carries its writer. */
void trace_open(worker *w, const omni_step *s, size_t writer, size_t to, uint64_t bytes, bool mine);
static inline void trace_message(worker *w, const omni_step *s, size_t writer, size_t to, uint64_t bytes,
                                 bool mine) {
    if (w->trace.recording) trace_open(w, s, writer, to, bytes, mine);
}
/* A rank's compute step is over. */
void trace_rank(worker *w, const omni_step *s, size_t rank);
static inline void trace_compute(worker *w, const omni_step *s, size_t rank) {
    if (w->trace.recording) trace_rank(w, s, rank);
}
/* Nothing of a step is over: a wait before or behind it is. */
static inline void trace_lap(worker *w) {
    if (w->trace.recording) meter_take(w, PE_COMPUTE);
}
uint64_t trace_clock(const worker *w); /* 0: nothing is recorded */
/* A message of a change of plans that began then. */
void trace_move(worker *w, const omni_switch_message *msg, uint64_t bytes, uint64_t begin);
/* The caller: likewise profile_pass, or a change from plan `now` to `next`. */
void trace_pass(omni_engine *e, uint64_t began, uint64_t gone, uint64_t ended, size_t next);

/* Long kernels go block by block, so that the stop word is seen in between; results do not depend on it. The rows
 * are a multiple of the kernel's own blocks. */
enum { MATMUL_ROWS = 576, ATTENTION_QUERIES = 256 };

/* Where features `want` of part j of a value lie in a PE's memory, and floats between rows. */
typedef struct operand {
    float *data;
    size_t ld;
} operand;
/* y = x W^T, `rows` rows of these columns; leaves in between when the stop word is set. */
void pe_multiply(worker *w, const omni_packed *matrix, omni_range cols, operand x, operand y, size_t rows);
operand pe_operand(const pe *x, const omni_value *v, size_t j, omni_range want);
/* Features of part j that the PE stores. */
omni_range pe_stored(const pe *x, const omni_value *v, size_t j);

/* exec.c, message.c, attend.c, subheads.c, stream.c: one step of the pass. False: stopped. */
bool exec_pass(worker *w);
bool exec_switch(worker *w);                              /* switch.c */
bool switch_staging(const omni_engine *e, size_t *bytes); /* false: more than there can be */
/* For the ranks `own` that the worker carries in the message's piece, one step for all of them. */
bool exec_message(worker *w, const omni_step *s, const omni_part *part, const pe_share *own);
bool exec_hand_off(worker *w, const omni_step *s, const omni_part *part, size_t group);
void exec_kv_append(worker *w, pe *x, const omni_step *s, const omni_part *part);
/* Keys and values of the part's tokens into x's cache: k and v have rows for all of them or, if `kept_rows`, only for
 * those that x keeps. */
void pe_keep(const omni_engine *e, const pe *x, const omni_step *s, const omni_part *part, operand k,
             operand v, bool kept_rows);
void exec_attention(worker *w, pe *x, const omni_step *s, const omni_part *part);
void exec_attention_finish(worker *w, pe *x, const omni_step *s, const omni_part *part);
void exec_scores(worker *w, pe *x, const omni_step *s, const omni_part *part);
void exec_weigh(worker *w, pe *x, const omni_step *s, const omni_part *part);
/* Rotary embedding of some dims of a head, in pair order; does nothing without one. */
void subhead_rotate(const omni_engine *e, float *row, omni_range dims, size_t position);

/* pass.c: the most parts that a pass can have; cuts one into its parts. */
size_t pass_parts(const omni_engine_options *o);
void pass_cut(pe_pass *pass, const omni_plan *plan);
/* The part of a group that is in a stage in that wave; NULL: none. */
const omni_part *pass_part(const pe_pass *pass, size_t group, size_t stage, size_t wave);
/* First row of the i-th sequence of a part, within the part. */
static inline size_t part_row(const pe_pass *pass, const omni_part *part, size_t i) {
    return i == 0 ? 0 : pass->row[part->extent.sequence + i] - part->row;
}
static inline pe_kv *pe_kv_of(const pe *x, size_t layer, size_t sequence) {
    return &x->kv[(layer - x->layers.start) * x->sequences.count + (sequence - x->sequences.start)];
}

/* tap.c */
void tap_begin(omni_engine *e); /* of a pass: no state is hashed yet */
size_t tap_logit_rows(const omni_engine_options *o);
omni_status taps_create(omni_engine *e, omni_error *err);
void taps_free(omni_engine *e);
void tap_state(omni_engine *e, const pe *x, const omni_step *s, const omni_part *part);
void tap_logits(omni_engine *e, const pe *x, const omni_step *s, const omni_part *part);

#endif
