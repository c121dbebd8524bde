/* internal.h: what the files of this room share: events of the format, and lanes.
 *
 *   file.c    the file: events, names, notes      lane.c    tracks that turn up as they are needed
 *   wall.c    what an engine recorded             model.c   what a modelled array does
 *
 * In the format a process is a group of tracks, and a thread is a track. Complete events ("X") of a track nest or follow
 * each other, in the order of their beginnings.
 */
#ifndef TRACE_INTERNAL_H
#define TRACE_INTERNAL_H

#include "omnibus/report.h"
#include "omnibus/trace.h"

enum { WALL = 1, MODELLED = 2 }; /* processes */

/* A time as the format has it, microseconds, from a clock of so many ticks in one of them. */
enum { NS_PER_US = 1000, PS_PER_US = 1000000 };

typedef struct slice {
    int process;
    size_t track;
    const char *name, *category;
    uint64_t begin, end;
} slice;

/* Of messages, and what else a lane can be for: the order on the screen. */
typedef enum lane_kind {
    LANE_PASS,
    LANE_HOST,
    LANE_BUS,
    LANE_TREE,
    LANE_LINK,
    LANE_PES,
    LANE_KINDS
} lane_kind;

enum { NAME = 96, ARGS = 512, MOST_LANES = 1024 };

/* A track that is there from the first time that it is asked for. A slice may wait in it until its end is certain. */
typedef struct lane {
    lane_kind kind;
    size_t level;     /* of a tree, on a modelled array */
    omni_range ranks; /* with the same kind, level and first rank it is the same lane, unless `exact` */
    bool exact, varied;
    size_t track;
    uint64_t last; /* end of what is drawn */
    bool waiting;
    uint64_t begin, end;
    char name[NAME], args[ARGS];
} lane;

typedef struct lanes {
    int process;
    size_t first_track, count;
    bool full; /* some were left out */
    lane lane[MOST_LANES];
} lanes;

struct omni_trace {
    omni_output *out;
    bool begun; /* an event is there */
    json_t *notes;
    size_t limit, drawn; /* of the modelled process */
    uint64_t now_ps;     /* where its next pass begins */
    bool modelled, full;
    lanes wall, model;
};

/* file.c: each event, whatever is behind it */
void trace_process(omni_trace *t, int process, const char *name);
void trace_track(omni_trace *t, int process, size_t track, size_t place, const char *name);
/* args: "\"key\":value,..." */
void trace_slice(omni_trace *t, const slice *s, uint64_t per_us, const char *args);
void trace_counter(omni_trace *t, int process, const char *name, uint64_t at, uint64_t per_us,
                   const char *args);
void trace_note(omni_trace *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *trace_ranks(char buf[NAME], const char *what, omni_range ranks); /* "PE 1-63" */

/* lane.c: NULL: there are too many. */
lane *lane_of(lanes *l, lane_kind kind, size_t level, omni_range ranks, bool exact);
/* Names all of them; draws what waits. */
void lanes_close(omni_trace *t, lanes *l, uint64_t per_us);
/* The next slice of a lane, as far as it is certain: the one before ends where this one begins, at the latest. */
void lane_put(omni_trace *t, lanes *l, lane *at, uint64_t begin, uint64_t end, const char *name,
              const char *args, uint64_t per_us);

/* What a step is called: "qkv", "broadcast x". */
const char *step_title(char buf[NAME], const omni_plan *plan, const omni_step *s);
lane_kind step_lane(const omni_step *s);
const char *lane_category(lane_kind kind);

#endif
