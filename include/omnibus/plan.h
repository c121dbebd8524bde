/* plan.h: how a model is distributed: mesh, placements, methods, and the compiled plan as data.
 *
 *   text --parse--> omni_plan_spec --compile(model, n)--> omni_plan: values and steps
 *                                                          |--> check: proven before anything runs
 *                                                          |--> count: what moves, without running
 *                                                          +--> explain; executed by pe
 *
 * Plans know no threads, no weights and no files. Everything here is a pure function of its arguments.
 * A compiled plan is immutable: any thread. Free with omni_plan_free.
 */
#ifndef OMNIBUS_PLAN_H
#define OMNIBUS_PLAN_H

#include "omnibus/base.h"
#include "omnibus/counters.h"
#include "omnibus/model.h"

/* --- placements (the words of PyTorch's DTensor) ---------------------------------------------- */

typedef enum omni_placement_kind {
    OMNI_REPLICATED,
    OMNI_SHARDED,
    OMNI_PARTIAL,
    OMNI_ROOT
} omni_placement_kind;
typedef enum omni_dim {
    OMNI_DIM_NONE,
    OMNI_DIM_FEATURE,
    OMNI_DIM_HEAD,
    OMNI_DIM_TOKEN,
    OMNI_DIM_SUBHEAD /* head x dim: the ranks are split over the heads, then a head's dims over its ranks */
} omni_dim;
typedef struct omni_placement {
    omni_placement_kind kind;
    omni_dim dim; /* of SHARDED */
} omni_placement;

/* "REPLICATED", "SHARDED(head)", ... static string */
const char *omni_placement_name(omni_placement p);

/* --- mesh ------------------------------------------------------------------------------------- */

/* Axes from the outermost to the innermost: group (batch, or the tokens of a pass), stage (layers), inner
 * (what a method cuts); neighbouring ranks lie along the innermost. `used` ranks are split over the groups
 * and a group's over the stages, each time as even as can be, so inner sizes may differ by one. Ranks from
 * `used` on are idle. */
typedef struct omni_mesh {
    size_t pes, used;
    size_t groups, stages;
    bool tokens;  /* groups have a share of the pass's tokens each, not of its sequences */
    bool joined;  /* the used ranks also have one piece together */
    size_t heads; /* a plan with attn=subheads cuts the inner axis further; else 0 */
} omni_mesh;

/* Where a rank stands. */
typedef struct omni_seat {
    bool idle;
    size_t group, stage;
    size_t first, p; /* the ranks of its group and stage: [first, first + p) */
    size_t index;    /* along the inner axis */
} omni_seat;
omni_seat omni_mesh_seat(const omni_mesh *mesh, size_t rank);
/* The ranks of a stage of a group. */
omni_range omni_mesh_ranks(const omni_mesh *mesh, size_t group, size_t stage);

/* How the bus is cut while a message moves. All pieces of a cut work at the same time. */
typedef enum omni_cut {
    OMNI_CUT_STAGE,    /* a piece for each stage of each group */
    OMNI_CUT_BOUNDARY, /* a stage and the next, of each group: (group, stage) names the first of the two */
    OMNI_CUT_HEAD,     /* a piece for each head in each stage of each group: omni_split(p, heads, head) */
    OMNI_CUT_ALL,      /* all used ranks of a joined mesh: one message for all groups at once */
    OMNI_CUTS
} omni_cut;
/* Pieces that a stage of a group is cut into: one for each head, else one. */
size_t omni_mesh_pieces_in(const omni_mesh *mesh, omni_cut cut);
/* The k-th of them. */
omni_range omni_mesh_piece(const omni_mesh *mesh, omni_cut cut, size_t group, size_t stage, size_t k);
/* Pieces are numbered: 0 .. omni_mesh_pieces - 1. */
size_t omni_mesh_pieces(const omni_mesh *mesh);
size_t omni_mesh_piece_number(const omni_mesh *mesh, omni_cut cut, size_t group, size_t stage, size_t k);

/* --- the plan as a user names it -------------------------------------------------------------- */

typedef enum omni_key { OMNI_KEY_QKV, OMNI_KEY_ATTN, OMNI_KEY_O, OMNI_KEY_FFN, OMNI_METHOD_KEYS } omni_key;
enum { OMNI_MAX_CYCLE = 16, OMNI_EACH_PE = 0 };

/* How one layer is distributed. */
typedef struct omni_methods {
    size_t choice[OMNI_METHOD_KEYS]; /* indices into omni_method_table(key) */
    bool gather_bus;                 /* gather=bus: p broadcasts; else gather=tree */
    bool edge_scatter;               /* edge=scatter: addressed messages; else edge=bcast */
} omni_methods;

typedef struct omni_plan_spec {
    char name[256]; /* as typed */
    size_t cycle;   /* layer l uses layer[l % cycle] */
    omni_methods layer[OMNI_MAX_CYCLE];
    bool whole;       /* `single`: everything on rank 0 */
    size_t groups;    /* the batch is split over so many pieces of the bus; OMNI_EACH_PE: one for each PE */
    size_t stages;    /* the layers are; OMNI_EACH_PE: one for each PE, at most one for each layer */
    size_t stack;     /* with stages: sequences that go through a stage together */
    size_t chunk;     /* with stages: most tokens of a sequence that do; 0: all */
    size_t overlap;   /* strips that a product and its messages are cut into (overlap.c) */
    bool over_tokens; /* over=token: groups split the tokens of a pass, not its sequences */
    bool stream;      /* weights=stream: dealt out over all PEs and broadcast when they are used */
    omni_dtype wire_bus, wire_tree; /* what floats travel as: F32, BF16 or F16 */
    char missing[192];              /* not empty: it cannot be compiled yet, and this says why */
} omni_plan_spec;

/* OMNI_BAD_INPUT with one line for unknown names, unknown or repeated keys, and unknown values. */
omni_status omni_plan_parse(const char *text, omni_plan_spec *out, omni_error *err);

/* Expands "all" or a comma separated list into plan texts. Free each and the array with omni_plan_list_free.
 * Not parsed yet. */
enum { OMNI_MAX_PLANS = 4096 };
omni_status omni_plan_list(const char *text, char ***out, size_t *count, omni_error *err);
void omni_plan_list_free(char **list, size_t count);

typedef struct omni_method {
    const char *name; /* "out", "heads", "out+in" */
    const char *help; /* "split-out (rows)" */
    bool split_in[2]; /* projections: the first (and second) matrix is cut along in; else along out */
} omni_method;
const char *omni_key_name(omni_key key); /* "qkv" */
const omni_method *omni_method_table(omni_key key, size_t *count);

/* What floats can travel as. */
typedef struct omni_wire {
    const char *name, *help; /* "bf16" */
    omni_dtype dtype;
    double roundoff; /* largest relative error of rounding to it, but for what is too large or too small */
} omni_wire;
const omni_wire *omni_wire_table(size_t *count);
const omni_wire *omni_wire_find(omni_dtype dtype);

typedef struct omni_named_plan {
    const char *name, *text, *help; /* text: in parts; single has none */
} omni_named_plan;
const omni_named_plan *omni_named_plans(size_t *count);

/* "qkv=out:attn=heads:o=in:ffn=out+in" and what is not a default. Returns buf. */
const char *omni_methods_format(const omni_methods *m, char *buf, size_t cap);
/* What holds for all layers: ":groups=2:stages=3:stack=1:chunk=128:wire=bf16", without what changes nothing.
 * Returns buf. */
const char *omni_mesh_format(const omni_plan_spec *s, char *buf, size_t cap);

/* --- the compiled plan ------------------------------------------------------------------------ */

typedef enum omni_rows {
    OMNI_ROWS_TOKENS,
    OMNI_ROWS_SEQUENCES,   /* of those that end here */
    OMNI_ROWS_BEGINNINGS,  /* of those that begin here */
    OMNI_ROWS_MARKS,       /* the tokens that an MLM head is to predict */
    OMNI_ROWS_TOKEN_SHARE, /* the tokens whose keys and values this rank keeps (omni_kv_*) */
    OMNI_ROWS_SCORES,      /* a query and a key of its sequence: query after query, all the keys */
    OMNI_ROWS_SCORES_SEEN  /* of those, the keys at the query's position or before */
} omni_rows;

/* How addends are merged: the kernels of the same names. */
typedef enum omni_combine {
    OMNI_COMBINE_SUM,
    OMNI_COMBINE_MOMENTS,
    OMNI_COMBINE_LSE,
    OMNI_COMBINE_ARGMAX
} omni_combine;

/* One tensor [rows, sum of part widths] of 4 bytes each, float32 but for arg-max pairs, and where it is. */
typedef struct omni_value {
    const char *name; /* "x", "qkv", "lse", ... */
    omni_rows rows;
    omni_placement at;    /* along the inner axis; the other axes hold their own */
    omni_cut over;        /* each of these pieces has such a tensor: `at` is along its ranks */
    omni_combine combine; /* of PARTIAL */
    size_t parts;
    struct {
        size_t width; /* features when whole */
        size_t units; /* SHARDED: omni_split(units, p, index) gives units [a, b) ... */
        size_t unit;  /* ... of which the part owns features [a/share*unit, ceil(b/share)*unit) */
        size_t share;
        bool exact;       /* control values: statistics, maxima and sums of log-sum-exps, arg-max pairs */
        size_t runs;      /* more than 1: there are so many runs of units, cut by omni_split_runs; ... */
        size_t run_share; /* ... so many neighbours of them are the same features */
        size_t
            paired; /* not 0: features of each head of so many stand in pair order: 0, n/2, 1, n/2 + 1, ... */
    } part[OMNI_MAX_PARTS];
    bool compact;   /* stored as the slices that a rank owns, part after part; else full width */
    size_t storage; /* buffer number: values in turn share one */
} omni_value;

typedef enum omni_step_kind {
    /* compute */
    OMNI_STEP_MATMUL,
    OMNI_STEP_NORM,
    OMNI_STEP_NORM_STATS,
    OMNI_STEP_NORM_FINISH,
    OMNI_STEP_NORM_APPLY,
    OMNI_STEP_KV_APPEND,
    OMNI_STEP_ATTENTION,
    OMNI_STEP_ATTENTION_FINISH,
    OMNI_STEP_SCORES, /* of a head, over the dims held */
    OMNI_STEP_WEIGH,  /* softmax of scores, times the dims held of the values */
    OMNI_STEP_ACTIVATION,
    OMNI_STEP_RESIDUAL,
    OMNI_STEP_ROWS,
    OMNI_STEP_ARGMAX,
    OMNI_STEP_TAP,
    /* messages */
    OMNI_STEP_HOST_IN,
    OMNI_STEP_HOST_OUT,
    OMNI_STEP_BROADCAST,  /* root -> all */
    OMNI_STEP_REDUCE,     /* tree, to the root */
    OMNI_STEP_GATHER,     /* tree, to the root */
    OMNI_STEP_ALL_GATHER, /* each rank in turn broadcasts its slice */
    OMNI_STEP_SCATTER,    /* root sends each its slice */
    OMNI_STEP_COLLECT,    /* each sends the root its slice */
    OMNI_STEP_HAND_OFF,   /* the root of a stage sends the root of the next */
    OMNI_STEP_STREAM,   /* a matmul: each rank in turn broadcasts the weights it keeps, all compute on them */
    OMNI_STEP_KV_SHARE, /* each group in turn broadcasts the keys and values of its tokens, all keep them */
    OMNI_STEP_KINDS
} omni_step_kind;

/* What the transform from one placement to another is made of: at most two message steps. The table of design
 * section 2. */
typedef struct omni_transform {
    size_t count;
    omni_step_kind step[2];
} omni_transform;
omni_transform omni_transform_find(omni_placement from, omni_placement to, bool gather_bus,
                                   bool edge_scatter);

enum { OMNI_NO_VALUE = -1, OMNI_FINAL_LAYER = -1, OMNI_STEP_INPUTS = 2 };
#define OMNI_NO_WEIGHT SIZE_MAX

typedef struct omni_step {
    omni_step_kind kind;
    size_t number;            /* which of the plan's steps; a strip's is that of the whole */
    int layer;                /* OMNI_FINAL_LAYER: after the layers */
    const omni_op *op;        /* the op it belongs to; NULL for HOST_IN and the TAP behind it */
    size_t stage;             /* whose ranks do it, in every group */
    bool root_only;           /* compute: only index 0 does */
    int in[OMNI_STEP_INPUTS]; /* values; see builder.c for what each kind takes */
    int out;
    size_t weight; /* MATMUL, STREAM, NORM, NORM_APPLY: which entry of plan->weight; OMNI_NO_WEIGHT */
    /* messages: the route */
    omni_cut cut;   /* of the bus */
    size_t root;    /* index that writes (BROADCAST, SCATTER) or ends up with it (REDUCE, GATHER, COLLECT) */
    unsigned parts; /* bit j: part j of the value moves */
    /* Done strip by strip, together with its neighbours (overlap.c): */
    size_t train;  /* at the first of them: how many; else 0 */
    size_t strips; /* that its rows are cut into; 0: they are not */
    size_t strip;  /* of a step as it is done: which of them. In the plan 0 */
    bool features; /* a pass of one token a sequence is cut into strips of features; else it is one strip */
} omni_step;

enum { OMNI_MOST_STRIPS = 64 };
/* The step, of one of its strips. */
omni_step omni_step_strip(const omni_step *s, size_t strip);

/* Steps in the order in which they are done: one after the other; a train of them, strip by strip. */
typedef struct omni_order {
    const struct omni_plan *plan;
    size_t at, end, first, strip;
    omni_step now;
} omni_order;
omni_order omni_order_begin(const struct omni_plan *plan, omni_range steps);
/* NULL: that was all. Good until the next call. */
const omni_step *omni_order_next(omni_order *it);

/* What a MATMUL or a norm needs of the checkpoint. Which slice a rank holds follows from in/out. */
typedef struct omni_weight {
    const omni_op *op;
    size_t layer;
    size_t stage;
    omni_value in;  /* split-in: the input's slices (one part); whole when not split */
    omni_value out; /* split-out: the output's slices */
    bool split_in, split_out;
    size_t
        panel; /* STREAM: outputs are dealt out over all used ranks in panels of so many; 0: they are not */
    omni_dtype dtype; /* STREAM: as they are kept, and travel */
} omni_weight;

enum { OMNI_PANEL = 16 /* outputs */ };
/* Outputs of a streamed weight, all its matrices in a row, that a rank keeps: whole panels, but for the
 * tensor's last; neighbours keep neighbours. Biases and norms are not dealt out: everyone has them. And their
 * bytes, without what pads the last panel: what travels when that rank broadcasts them. */
omni_range omni_weight_dealt(const omni_mesh *mesh, const omni_weight *weight, size_t rank);
size_t omni_weight_dealt_bytes(const omni_mesh *mesh, const omni_weight *weight, size_t rank);

/* Where keys and values of a layer are. */
typedef enum omni_kv { OMNI_KV_WHOLE, OMNI_KV_HEADS, OMNI_KV_TOKENS, OMNI_KV_SUBHEADS } omni_kv;

typedef struct omni_plan {
    omni_plan_spec spec;
    const omni_model *model; /* outlives the plan */
    omni_mesh mesh;
    omni_range *block; /* [stages] the steps of each stage; behind them the hand-off from each to the next */
    size_t value_count, step_count, weight_count, storage_count;
    omni_value *value;
    omni_step *step;
    omni_weight *weight;
    omni_kv *kv; /* [layers] */
} omni_plan;

/* OMNI_BAD_INPUT when this model cannot be distributed so: which op, why, the nearest that can. */
omni_status omni_plan_compile(const omni_model *model, const omni_plan_spec *spec, size_t pes,
                              omni_plan **out, omni_error *err);
void omni_plan_free(omni_plan *plan);

/* Proves, by symbolic execution that trusts nothing the builder declared: every element is owned as declared
 * when it is used, every message has one writer per piece and its readers, no live value is overwritten, and
 * no message pins more than ring_slots. A plan that cannot be proved is the builder's fault, not the user's:
 * OMNI_RUN_FAILED, so that no list takes it for one that does not fit and skips it. */
omni_status omni_plan_check(const omni_plan *plan, size_t ring_slots, omni_error *err);

/* One forward pass: sequence s gets counts[s] new tokens at positions first[s], first[s] + 1, ... */
typedef struct omni_extent {
    size_t tokens, sequences; /* tokens = sum of counts */
    size_t sequence;          /* number of the first in the batch; 0 for a whole pass */
    size_t skip, cut;   /* tokens of the first sequence in earlier parts, of the last one in later ones; 0
                                 likewise */
    size_t open;        /* of the sequences, those whose last token comes in a later part: cut > 0 */
    size_t marks;       /* of the tokens, those for an MLM head; 0 for other models */
    const size_t *mark; /* [marks] their rows, ascending; NULL: spread evenly over the sequences */
    const size_t *first, *counts; /* [sequences] of the pass: with what is skipped and cut */
    size_t longest; /* of a largest pass, which has no first and counts: most positions of a sequence */
} omni_extent;
/* Of the i-th sequence: the first position here, and tokens here. */
size_t omni_extent_first(const omni_extent *x, size_t i);
size_t omni_extent_count(const omni_extent *x, size_t i);

/* Features [start, start+count) of part j that index i of p owns of a SHARDED value. */
omni_range omni_value_owned(const omni_value *v, size_t j, size_t p, size_t i);
/* Floats in a row as index i of p stores it. */
size_t omni_value_width(const omni_value *v, size_t p, size_t i);
/* Rows that index i of p holds in this pass; and the most any can hold in passes up to that size, however the
 * tokens lie on the sequences. */
size_t omni_rows_count(omni_rows rows, omni_extent extent, size_t p, size_t i);
size_t omni_rows_most(omni_rows rows, omni_extent most, size_t p);
/* Which of those rows a step is about: all, or its strip; and which of the features of a value as wide. */
omni_range omni_step_rows(const omni_step *s, omni_rows rows, omni_extent extent, size_t p, size_t i);
omni_range omni_step_features(const omni_step *s, omni_extent extent, size_t width);

/* A pass is cut into parts: each group has its share of the sequences (over=token: of the tokens, neighbours
 * in the pass, as even as can be), and with stages a group's are taken `stack` at
 * a time, a sequence of more than `chunk` tokens alone and chunk by chunk. Part m is in stage s in wave m + s
 * of the pass: in a wave every stage executes its block, then the hand-offs. */
typedef struct omni_part {
    omni_extent extent;
    size_t row;  /* of the pass: its first */
    size_t mark; /* likewise */
} omni_part;
typedef struct omni_parts {
    const omni_plan *plan;
    omni_extent pass;
    size_t sequence, end, taken, row, mark;
    size_t tokens; /* left, of a share of the tokens */
} omni_parts;
omni_parts omni_parts_begin(const omni_plan *plan, omni_extent pass, size_t group);
bool omni_parts_next(omni_parts *it, omni_part *out); /* false: that was all */
/* The sequences whose keys and values a group keeps; and what its largest part can hold, in passes up to that
 * size. */
omni_range omni_group_sequences(const omni_mesh *mesh, size_t sequences, size_t group);
omni_extent omni_part_most(const omni_plan *plan, omni_extent most, size_t group);

/* What part j of a value, a step's input or output, travels as in a piece of p ranks; what the step narrows
 * to (OMNI_F32: nothing). */
omni_dtype omni_part_wire(const omni_plan *plan, const omni_step *s, const omni_value *v, size_t j, size_t p);
omni_dtype omni_step_wire(const omni_plan *plan, const omni_step *s);
/* What a pass's roundings amount to if they know nothing of each other: the root of the sum of their squared
 * roundoffs. A message rounds once, a reduction at every level. 0: nothing is rounded. */
double omni_plan_roundoff(const omni_plan *plan);

/* What one forward pass moves, in bytes on the wire; and one step of it. */
void omni_plan_count(const omni_plan *plan, omni_extent extent, omni_counters *out);
void omni_step_count(const omni_plan *plan, const omni_step *step, omni_extent extent, omni_counters *out);
bool omni_step_is_message(const omni_step *step);
/* The largest inner axis that there is. */
size_t omni_plan_widest(const omni_plan *plan);

/* --- keys and values -------------------------------------------------------------------------- */

/* OMNI_KV_TOKENS: positions go round the ranks: position t of sequence s lives on index (t + s) mod p. So
 * shares differ by one at most at every length, nothing moves as a sequence grows, and several short
 * sequences don't all begin on index 0. */
size_t omni_kv_first(omni_kv kv, size_t p, size_t i, size_t sequence); /* first position that index i keeps */
size_t omni_kv_stride(omni_kv kv, size_t p); /* positions from one kept to the next */
size_t omni_kv_tokens(omni_kv kv, size_t p, size_t i, size_t sequence,
                      size_t length); /* kept of [0, length) */
/* Key-value heads that index i keeps: all, or under OMNI_KV_HEADS and OMNI_KV_SUBHEADS those that its query
 * heads use (with grouped queries and more ranks than key-value heads, neighbours keep the same one). */
omni_range omni_kv_heads(omni_kv kv, const omni_shape *shape, size_t p, size_t i);
/* And which dims of each of them: all, or under OMNI_KV_SUBHEADS those of its slice of its query head. */
omni_range omni_kv_dims(omni_kv kv, const omni_shape *shape, size_t p, size_t i);
/* Features of the keys, and of the values, that these are. */
omni_range omni_kv_features(omni_kv kv, const omni_shape *shape, size_t p, size_t i);

/* --- sub-heads -------------------------------------------------------------------------------- */

/* The query head that index i of p works on, together with the other ranks of its piece, and which of its
 * dims it has: whole pairs where there is rotary embedding, maybe none. p > heads. Queries and keys are in
 * pair order, values and outputs are not. */
typedef struct omni_subhead {
    size_t head;
    omni_range dims;
} omni_subhead;
omni_subhead omni_subhead_of(const omni_shape *shape, size_t p, size_t i);
/* Dims that always stay together: 2 with rotary embedding, else 1. */
size_t omni_subhead_unit(const omni_shape *shape);

/* --- changing the plan between passes --------------------------------------------------------- */

/* The parts of an entry of plan->weight that are held and moved apart. */
typedef enum omni_piece_kind {
    OMNI_PIECE_MATRIX,
    OMNI_PIECE_BIAS,
    OMNI_PIECE_NORM_WEIGHT,
    OMNI_PIECE_NORM_BIAS,
    OMNI_PIECE_KINDS
} omni_piece_kind;

/* What a rank holds of it: outputs of each matrix, and inputs (vectors: one). Nothing: no outputs. */
typedef struct omni_region {
    omni_range out[OMNI_MAX_PARTS];
    omni_range in;
} omni_region;
omni_region omni_weight_region(const omni_plan *plan, size_t weight, omni_piece_kind kind, size_t rank);
size_t omni_region_rows(const omni_region *r); /* outputs of all matrices */
omni_region omni_region_meet(const omni_region *a, const omni_region *b);
/* Feature `i` where heads of `paired` stand in pair order (0: in natural order), to where they stand in
 * another. */
size_t omni_reorder(size_t i, size_t paired, size_t to_paired);

/* The keys and values of a sequence of `length` positions in a layer that a rank holds. Nothing: no
 * tokens. */
typedef struct omni_kv_region {
    omni_range heads, dims;       /* of each head */
    size_t paired;                /* not 0: dims of keys are in pair order */
    size_t first, stride, tokens; /* positions first, first + stride, ... */
} omni_kv_region;
omni_kv_region omni_plan_kv(const omni_plan *plan, size_t layer, size_t sequence, size_t sequences,
                            size_t length, size_t rank);

/* From one compiled plan to another of the same model and PEs: every weight and every key and value that a
 * rank needs and has not is taken from the first group's rank that holds it (the one group that has the
 * sequence), as one broadcast on the whole bus, or addressed where only one rank needs it. What a rank has,
 * it copies. */
enum { OMNI_SWITCH_ROWS = 64 }; /* most outputs of weights in a message */
typedef struct omni_switch {
    const omni_plan *from, *to;
    const size_t *length; /* [sequences] */
    size_t sequences;
    bool weights;               /* move them, too */
    size_t at, sub, index, row; /* how far it is */
    size_t readers, reader;     /* of the region at hand; the last that was found */
} omni_switch;

typedef struct omni_switch_message {
    bool kv;
    size_t weight; /* of either plan: they list the same ones */
    omni_piece_kind kind;
    omni_region region; /* the owner's, without what an earlier owner sent */
    size_t row, rows;   /* of the region's outputs, one matrix after the other */
    size_t layer, sequence;
    omni_kv_region keys; /* likewise the owner's */
    size_t owner;
    size_t readers, reader; /* ranks that need it: none, one, which it is, or 2: several */
} omni_switch_message;
omni_switch omni_switch_begin(const omni_plan *from, const omni_plan *to, const size_t *length,
                              size_t sequences, bool weights);
/* False: that was all. A message without readers is none: it is there so that who walks over many PEs, which
 * takes seconds, can leave in between. */
bool omni_switch_next(omni_switch *it, omni_switch_message *out);
/* Does a rank take this message's data; not the owner, and not who has all it needs. */
bool omni_switch_takes(const omni_switch *it, const omni_switch_message *m, size_t rank);

/* --- explaining ------------------------------------------------------------------------------- */

/* One op of one layer (or of the end, or the input): what the table of `plan --explain` shows. */
typedef struct omni_explain {
    int layer; /* this layer and, `stride` apart, `layers` in all do exactly the same */
    size_t layers, stride;
    const omni_op *op; /* NULL: the input rows from the host port, or a hand-off between stages */
    char method[48];   /* "split-out (rows)", "by heads", "local", ... */
    omni_placement in, out;
    size_t step_first, step_count; /* its steps in the plan, transforms first */
} omni_explain;
omni_status omni_plan_explain(const omni_plan *plan, omni_explain **rows, size_t *count,
                              omni_error *err);            /* omni_free */
extern const char *const omni_step_names[OMNI_STEP_KINDS]; /* "broadcast", "tree reduction", ... */
static inline const char *omni_step_name(omni_step_kind kind) {
    return omni_step_names[kind];
}

/* --- claims ----------------------------------------------------------------------------------- */

/* omnibus started from notes that list ways to distribute a transformer and say what each of them moves. A
 * row holds one of these claims beside what the compiled plan moves for it, and a verdict that follows from
 * the two. */
typedef enum omni_verdict {
    OMNI_CLAIM_HOLDS,
    OMNI_CLAIM_HOLDS_PLUS, /* as far as it goes: `reason` lists what it leaves out */
    OMNI_CLAIM_FAILS,
    OMNI_CLAIM_ADDS, /* no claim: a part of the model that the notes leave out */
    OMNI_CLAIM_IDLE, /* nothing that it speaks of moves here */
    OMNI_VERDICTS
} omni_verdict;

typedef enum omni_claim_scope {
    OMNI_CLAIM_OF_LAYER, /* one layer, which stands for `layers` of them, as in omni_explain */
    OMNI_CLAIM_OF_CYCLE, /* one layer of each kind that the plan cycles through */
    OMNI_CLAIM_OF_PASS   /* everything but the host port's messages */
} omni_claim_scope;

typedef struct omni_claim {
    const char *item;  /* of the notes: "3.1", "workflow 1", "motivation 4"; NULL: not in them */
    const char *claim; /* what they say, or what it is that they leave out */
    char part[48];     /* of the plan: "qkv=out", "groups=2", "norms" */
    omni_claim_scope scope;
    int layer;
    size_t layers, stride;
    omni_verdict verdict;
    char reason[320]; /* goes behind the verdict; may be empty */
    omni_counters one_prefill,
        one_decode;                /* messages for one sequence (its first chunk), in one piece: judged */
    omni_counters prefill, decode; /* all */
} omni_claim;

/* The claims about a plan's methods, in the passes given: decode.sequences is 0 where nothing is decoded.
 * omni_free. */
omni_status omni_plan_claims(const omni_plan *plan, omni_extent prefill, omni_extent decode,
                             omni_claim **rows, size_t *count, omni_error *err);

#endif
