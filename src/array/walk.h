/* walk.h (private): the state of a pass on the virtual clocks.
 *
 * Groups that do the same at the same time are one class; ranks of a stage that have the same work are one
 * run. So a clock stands for many PEs, and the cost of pricing follows from how many different shares there
 * are, not from how many PEs. What makes this exact is the rule for messages: ranks enter one by one, as they
 * get ready, and leave together, when the last transfer of the step has ended.
 *
 *   class 0: groups 0..2     stage 0: runs [0][1..5][6..15]     stage 1: runs ...
 *   class 1: group 3         stage 0: ...
 *
 * Groups that must share a piece of the bus (more pieces asked for than it can be cut into) are classes of
 * their own.
 */
#ifndef ARRAY_WALK_H
#define ARRAY_WALK_H

#include "array/array.h"

typedef unsigned __int128 wide;

/* --- runs.c ----------------------------------------------------------------------------------- */

/* Indices 0 .. p-1 of a stage of a group, cut where the work may change. */
typedef struct runs {
    size_t count;
    size_t *start; /* [count + 1], the last is p */
} runs;
/* Index 0 is a run of its own. False: no memory. Free start with omni_free. */
bool runs_find(const omni_plan *plan, size_t stage, size_t p, const omni_part *part, size_t parts, runs *out);
size_t runs_of(const runs *r, size_t index); /* the run of an index */

/* --- the state -------------------------------------------------------------------------------- */

/* A moment, and what it was reached through: a link of `walk.chain`. */
typedef struct moment {
    uint64_t ps;
    uint32_t why;
} moment;

typedef struct link {
    uint64_t ps; /* spent in this step ... */
    uint32_t before, step;
    int kind; /* ... so: an omni_price_kind, or LINK_PATH */
} link;

/* A link that stands for several: `step` is where they begin in walk.path, up to one of no time. */
enum { LINK_PATH = OMNI_PRICE_KINDS };
typedef struct path_step {
    uint64_t ps;
    uint32_t step;
    int kind;
} path_step;

enum { CUT_TREE = OMNI_CUTS }; /* as a level of the tree left it */

/* A piece of the bus as it is wired; one message at a time, or one in each of its further pieces. */
typedef struct track {
    size_t subs;
    moment *free; /* [subs] */
    unsigned cut;
} track;

/* What a step of a block is for one part: of a compute step, picoseconds for each run; of a message, bytes.
 * */
typedef struct step_cost {
    uint64_t *run;       /* [runs]; NULL: of its twin */
    bool even;           /* the same for all runs */
    size_t larger, last; /* strips as large as the first; the last. Of a whole step 0: there is one */
    uint64_t whole;      /* bytes of the whole value */
    work total;          /* of all ranks */
    wide rank_ps;        /* computing, all ranks together */
} step_cost;

/* The ranks of a stage of a class of groups. */
typedef struct cell {
    size_t first, p; /* of the class's first group: its ranks [first, first + p) */
    size_t span;     /* PEs from the first to the last, with those that are dead */
    runs runs;
    moment *clock; /* [runs]; together: the first is everyone's, and the others are stale */
    bool together;
    track *bus;
    moment tree;           /* its own wires, or its links, are free */
    step_cost *cost;       /* [3 x steps of the block] of the part priced last: cost_of */
    const omni_part *part; /* which that is; NULL: none yet */
} cell;

typedef struct group_class {
    size_t first, count; /* groups */
    omni_part *part;
    size_t *alike; /* [parts] the first one with the same costs, or itself */
    size_t parts;
    cell *cell;  /* [stages] */
    size_t pace; /* scratch of streams */
} group_class;

/* Neighbouring runs that are ready at the same time with the same slices, as a tree sees them. */
typedef struct leaf {
    size_t end;
    moment ready;
    uint64_t slice;
} leaf;

/* Cycles of layers of a stage, one like the other: steps [start, start + each * count). */
typedef struct beats {
    size_t start, each, count;
} beats;

/* From the first thing spent to the last. */
typedef struct seen {
    uint64_t begin, end; /* none: end = 0 */
} seen;
enum { SEEN_LEVELS = 64, SEEN = OMNI_PRICE_KINDS + SEEN_LEVELS };

/* What is told to who watches; watch.c. */
typedef struct watcher {
    omni_price_watch *tell; /* NULL: nobody does */
    void *user;
    seen seen[SEEN];     /* by kind, then by level of the tree: in the step at hand */
    size_t level;        /* of the tree, under way */
    uint64_t *before;    /* [runs of the largest cell, or classes] clocks before the step */
    omni_counters moved; /* likewise */
} watcher;

typedef struct walk {
    const omni_plan *plan;
    machine m;
    omni_extent pass;
    size_t classes;
    group_class *class;
    size_t tracks;
    track *track;
    uint32_t *twin;    /* [steps] the first step that does exactly the same in its stage */
    omni_range *quiet; /* [stages] the steps of its block that only its own ranks take part in, in a row */
    beats *beats;      /* [stages] of those */
    bool shared;       /* pieces of the bus: classes wait for each other */
    size_t wave;       /* that is walked */
    moment host;       /* the host port is free again */
    link *chain;
    size_t links, capacity;
    omni_price *out;
    wide busy, computing; /* picoseconds x ranks; busy links: bytes */
    leaf *leaf;           /* [runs of the largest cell + 1] scratch of trees */
    uint64_t *score;      /* [2 x score_size] scratch of rhythm.c */
    size_t score_size;
    size_t strip;           /* of the step at hand */
    struct recall **recall; /* recall.c: [classes x stages]; NULL: no stage has a second wave */
    size_t *like;           /* likewise: the first stage that does the same, whose recall it shares */
    uint64_t *key;          /* [classes + score_size] its scratch */
    moment *begin;          /* [score_size] likewise */
    path_step *path;
    size_t paths, path_capacity;
    bool goes_round; /* keys and values by tokens: a sequence's number decides whose they are */
    bool traced;     /* links are kept */
    uint64_t latest; /* the furthest clock */
    price_limit limit;
    bool left; /* beyond it: what there is of a price is of no use */
    bool out_of_memory;
    watcher watch;
} walk;

/* --- walk.c ----------------------------------------------------------------------------------- */

uint32_t walk_link(walk *w, link l); /* its number, from 1 on */
moment later(moment a, moment b);    /* the first, if they are the same */
/* `ps` more in a step, from a moment on. */
moment spend(walk *w, moment from, uint64_t ps, const omni_step *s, omni_price_kind kind);
moment cell_clock(const cell *c, size_t run);
moment cell_latest(const cell *c);
void cell_spread(cell *c);           /* not together any more: for who changes a clock */
void cell_leave(cell *c, moment at); /* nobody goes on before */
moment track_free(const track *t);   /* all of it */
void track_take(track *t, moment until, unsigned cut);
/* A message's start: its writer is ready, the wires are free; counts who waits. `times`: so many alike. */
moment wires_start(walk *w, moment ready, moment wires, uint64_t times);
/* Further bytes, messages and time on the wires. */
void count_bus(walk *w, const omni_step *s, uint64_t messages, uint64_t bytes, uint64_t ps, size_t p,
               uint64_t times);
/* Likewise of a reduction or a gather; t's ranks, and what they hand over. */
struct tree_job;
void count_up_the_tree(walk *w, const struct tree_job *t, uint64_t busy_ps, uint64_t times);
const step_cost *cost_of(const walk *w, const cell *c, const omni_step *s);
const omni_part *part_in(const group_class *g, size_t stage, size_t wave);

uint64_t walk_energy(const walk *w, uint64_t ps); /* pJ of what is counted so far, if it takes so long */
/* Steps [steps.start, ..) of the plan, of some of the classes. */
void walk_steps(walk *w, omni_range steps, size_t wave, omni_range classes);
/* The quiet steps of a stage. */
void walk_block(walk *w, size_t stage, size_t wave, omni_range classes);

/* One step of a wave. */
void walk_step(walk *w, const omni_step *s, size_t wave, omni_range classes);

/* --- overlap.c -------------------------------------------------------------------------------- */

/* A train of steps, strip by strip. */
void train_walk(walk *w, const omni_step *first, size_t wave, omni_range classes);

/* --- watch.c: nothing unless somebody watches ------------------------------------------------- */

bool watch_open(walk *w); /* when all else is open. False: no memory */
void watch_spent(walk *w, uint64_t begin, uint64_t end, omni_price_kind kind);
/* Before a step of a class's cell and behind it; without a cell: of all groups. */
void watch_begin(walk *w, const cell *c);
void watch_end(walk *w, const omni_step *s, const group_class *k, const cell *c);

/* --- rhythm.c --------------------------------------------------------------------------------- */

bool rhythm_open(walk *w); /* finds the beats, when all else is open. False: no memory */
/* The beats of a stage in a wave. */
void rhythm_walk(walk *w, size_t stage, size_t wave, omni_range classes);

/* --- recall.c --------------------------------------------------------------------------------- */

bool recall_open(walk *w); /* when all else is open. False: no memory */
void recall_close(walk *w);
/* walk_block, or what it came to before. */
void recall_walk(walk *w, size_t stage, size_t wave, omni_range classes);

/* --- cost.c: the costs of a block, for one part ----------------------------------------------- */

/* They do the same, be it in another layer or stage. */
bool steps_alike(const omni_plan *plan, const omni_step *a, const omni_step *b);
/* In a stage of p ranks the two cost the same. */
bool parts_alike(const walk *w, const omni_part *a, const omni_part *b, size_t p);
bool costs_set(walk *w, size_t stage, cell *c, const omni_part *part); /* false: no memory */
uint32_t *twins_find(const omni_plan *plan);                           /* [steps]; NULL: no memory */

/* --- uneven.c: PEs with faults ---------------------------------------------------------------- */

/* Cuts runs of ranks [first, first + p) where a zone begins; with jitter every rank is one. False: no
 * memory. */
bool runs_cut(const faults *f, size_t first, runs *r);
uint64_t jitter_of(const walk *w, const omni_step *s,
                   size_t rank); /* millionths, in the wave that is walked */
/* With jitter: a compute step, a clock for each rank. */
void uneven_walk(walk *w, const omni_step *s, cell *c, const step_cost *cost);

/* --- message.c, tree.c, joined.c -------------------------------------------------------------- */

/* A message step in one stage of a class of groups. */
void message_walk(walk *w, const omni_step *s, cell *c, uint64_t times);
void hand_off_walk(walk *w, const omni_step *s, cell *from, cell *to, const omni_part *part, uint64_t times);

/* A tree over indices [first, first + p) of a cell: when the root has it all. Leaves are ready at their
 * clocks, not before `from`. Slices: bytes of each run; NULL: `bytes` at every level, and combined.
 * turns_share: pairs that can be under way at the same time. */
typedef struct tree_job {
    walk *w;
    const omni_step *s;
    const cell *c;
    size_t first, p;
    moment from;
    const uint64_t *slice;
    uint64_t bytes, share;
} tree_job;
moment tree_walk(const tree_job *t, uint64_t *busy_ps); /* busy: sum of its levels */
uint64_t tree_turns(size_t k, size_t p, uint64_t share);

void host_walk(walk *w, const omni_step *s, size_t wave);
void stream_walk(walk *w, const omni_step *s);
void share_walk(walk *w, const omni_step *s);

#endif
