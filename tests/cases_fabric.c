/* cases_fabric.c: the fabric against plain expectations: programs drawn by chance (cases_fabric_program.c)
 * over many shapes, the exact order of float sums, payloads larger than the ring, counters that are read
 * while threads live, and what create refuses.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cases_fabric.h"

/* PEs and workers: one of each, as many as PEs, uneven shares, more workers than any small host has cores. */
static const struct {
    size_t pes, workers;
} shapes[] = {{1, 1}, {2, 1},  {2, 2},  {3, 2},  {4, 4},  {5, 3}, {7, 7},
              {8, 3}, {13, 8}, {16, 4}, {33, 5}, {64, 1}, {64, 8}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* --- programs --------------------------------------------------------------------------------- */

static const char *check_shapes(program_options o) {
    for (size_t round = 0; round < stress_factor(); round++)
        for (size_t i = 0; i < SHAPES; i++) {
            o.pes = shapes[i].pes;
            o.workers = shapes[i].workers;
            o.seed = 1000 * round + i;
            const char *bad = program_check(&o);
            if (bad) return bad;
        }
    return NULL;
}

/* Small slots and few of them: every payload is many chunks, and every message finds the ring full. */
static const char *check_only(op_what what) {
    return check_shapes((program_options){.kind = "shm",
                                          .ring_slots = 4,
                                          .slot_bytes = 100,
                                          .operations = 24,
                                          .most_bytes = 1500,
                                          .only = 1u << what});
}

static const char *broadcast_reaches_everyone(void) {
    return check_only(OP_BROADCAST);
}

static const char *reduce_combines_in_order(void) {
    const char *bad = check_only(OP_REDUCE);
    return bad ? bad
               : check_shapes((program_options){.kind = "shm",
                                                .schedule = "pairwise",
                                                .operations = 24,
                                                .most_bytes = 1500,
                                                .only = 1u << OP_REDUCE});
}

static const char *gather_collects_uneven_and_empty_slices(void) {
    return check_only(OP_GATHER);
}

static const char *send_reaches_one(void) {
    return check_only(OP_SEND);
}

static const char *host_port_sends(void) {
    return check_only(OP_HOST_SEND);
}

static const char *host_port_awaits(void) {
    return check_only(OP_HOST_RETURN);
}

static const char *mixed_programs(void) {
    return check_shapes((program_options){
        .kind = "shm", .ring_slots = 2, .slot_bytes = 64, .operations = 60, .most_bytes = 700});
}

static const char *mixed_programs_in_large_slots(void) {
    return check_shapes((program_options){.kind = "shm", .operations = 30, .most_bytes = 2000});
}

static const char *payload_larger_than_the_ring(void) {
    static const size_t workers[] = {1, 2, 3};
    for (size_t i = 0; i < 3; i++) {
        program_options o = {.kind = "shm",
                             .pes = 3,
                             .workers = workers[i],
                             .operations = 8,
                             .most_bytes = 300001, /* 16 slots of 16 KiB are 262144 */
                             .only = 1u << OP_BROADCAST | 1u << OP_SEND | 1u << OP_HOST_SEND,
                             .seed = i};
        const char *bad = program_check(&o);
        if (bad) return bad;
    }
    return NULL;
}

static const char *check_segments(const char *kind) {
    static const omni_segment pieces[] = {{0, 12}, {0, 4}, {4, 5}, {9, 3}, {0, 12}, {5, 1}, {2, 7}};
    static const size_t workers[] = {1, 2, 3, 5, 8, 12};
    for (size_t round = 0; round < stress_factor(); round++)
        for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
            program_options o = {.kind = kind,
                                 .pes = 12,
                                 .workers = workers[i],
                                 .segments = pieces,
                                 .segment_count = sizeof pieces / sizeof *pieces,
                                 .ring_slots = 4,
                                 .slot_bytes = 128,
                                 .operations = 150,
                                 .most_bytes = 900,
                                 .seed = 100 * round + i};
            const char *bad = program_check(&o);
            if (bad) return bad;
        }
    return NULL;
}

static const char *segments_work_at_the_same_time(void) {
    return check_segments("shm");
}

static const char *null_counts_what_shm_moves(void) {
    const char *bad = check_segments("null");
    if (bad) return bad;
    return check_shapes((program_options){.kind = "null", .operations = 60, .most_bytes = 700});
}

/* --- float sums ------------------------------------------------------------------------------- */

enum { SUM_FLOATS = 37 };

typedef struct sums {
    omni_fabric *fabric;
    size_t pes, workers;
    float value[FABRIC_MOST_PES][SUM_FLOATS];
} sums;

static void add_floats(void *acc, const void *in, size_t bytes, const void *arg) {
    (void)arg;
    float *a = acc;
    const float *b = in;
    for (size_t i = 0; i < bytes / sizeof *a; i++) a[i] += b[i];
}

static const omni_fabric_operator adding = {add_floats, NULL, sizeof(float)};

/* Magnitudes from 2^-20 to 2^20: any other order of additions rounds otherwise. */
static float sum_value(size_t rank, size_t i) {
    unsigned long long bits = chance(3, rank, i);
    float value = (float)(bits & 0xffffff) / 16777216.0f * (float)(1ull << (bits >> 32) % 40) / 1048576.0f;
    return bits >> 63 ? -value : value;
}

static float pairwise_sum(size_t i, size_t lo, size_t span, size_t pes) {
    if (span == 1) return sum_value(lo, i);
    float left = pairwise_sum(i, lo, span / 2, pes);
    return lo + span / 2 < pes ? left + pairwise_sum(i, lo + span / 2, span / 2, pes) : left;
}

static const char *sum_body(void *arg, size_t w) {
    sums *s = arg;
    omni_range mine = omni_split(s->pes, s->workers, w);
    void *own[FABRIC_MOST_PES];
    for (size_t i = 0; i < mine.count; i++) own[i] = s->value[mine.start + i];
    omni_view form = omni_view_flat(NULL, sizeof s->value[0]);
    return omni_fabric_reduce(s->fabric, w, 0, own, &form, &adding) ? NULL : "stopped";
}

static const char *sum_once(size_t pes, size_t workers, const char *schedule) {
    static sums s;
    static omni_stop stop;
    omni_segment all = {0, pes};
    omni_fabric_options o = {
        .kind = "shm", .pes = pes, .workers = workers, .segments = &all, .segment_count = 1, .stop = &stop};
    o.schedule = schedule;
    s.pes = pes;
    s.workers = workers;
    for (size_t rank = 0; rank < pes; rank++)
        for (size_t i = 0; i < SUM_FLOATS; i++) s.value[rank][i] = sum_value(rank, i);
    if (omni_fabric_create(&o, &s.fabric, NULL) != OMNI_OK) return "no fabric";
    const char *bad = crew_run(workers, sum_body, &s);
    omni_fabric_free(s.fabric);
    for (size_t i = 0; i < SUM_FLOATS && !bad; i++) {
        float want = pairwise_sum(i, 0, FABRIC_MOST_PES, pes);
        if (memcmp(&want, &s.value[0][i], sizeof want) != 0)
            bad = verdict("%zu PEs on %zu workers: %.9g, not %.9g", pes, workers, (double)s.value[0][i],
                          (double)want);
    }
    return bad;
}

static const char *float_sums_have_one_parenthesization(void) {
    for (size_t pes = 1; pes <= FABRIC_MOST_PES; pes += 1 + pes / 8) {
        for (size_t workers = 1; workers <= 8 && workers <= pes; workers += workers) {
            const char *bad = sum_once(pes, workers, "pairwise");
            if (!bad) bad = sum_once(pes, workers, "sliced");
            if (bad) return bad;
        }
    }
    return NULL;
}

/* --- create ----------------------------------------------------------------------------------- */

static omni_stop no_stop;
static const omni_segment outside = {1, 4}, empty = {0, 0}, huge = {2, SIZE_MAX};
#define SHM_4_2 .kind = "shm", .pes = 4, .workers = 2

static const struct {
    omni_fabric_options o;
    const char *says;
} refused[] = {
    {{.kind = "mpi", .pes = 4, .workers = 2, .stop = &no_stop}, "shm, null"},
    {{.kind = NULL, .pes = 4, .workers = 2, .stop = &no_stop}, "shm, null"},
    {{.kind = "shm", .pes = 4, .workers = 5, .stop = &no_stop}, "5 workers"},
    {{.kind = "shm", .pes = 4, .workers = 0, .stop = &no_stop}, "0 workers"},
    {{.kind = "null", .pes = 0, .workers = 0, .stop = &no_stop}, "0 PEs"},
    {{SHM_4_2, .segments = &outside, .segment_count = 1, .stop = &no_stop}, "0..3"},
    {{SHM_4_2, .segments = &empty, .segment_count = 1, .stop = &no_stop}, "0 ranks"},
    {{SHM_4_2, .segments = &huge, .segment_count = 1, .stop = &no_stop}, "rank 2"},
    {{SHM_4_2, .schedule = "late", .stop = &no_stop}, "sliced, pairwise"},
    {{SHM_4_2, .ring_slots = 3, .stop = &no_stop}, "power of two"},
    {{SHM_4_2, .ring_slots = 1, .stop = &no_stop}, "power of two"},
    {{SHM_4_2}, "stop word"},
};

static const char *create_refuses(void) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        omni_fabric *f = (omni_fabric *)&no_stop;
        omni_error err = {0};
        if (omni_fabric_create(&refused[i].o, &f, &err) != OMNI_BAD_INPUT)
            return verdict("row %zu was taken", i);
        if (f != NULL || !strstr(err.text, refused[i].says)) return verdict("row %zu says: %s", i, err.text);
    }
    omni_fabric_free(NULL);
    return NULL;
}

/* --- counters --------------------------------------------------------------------------------- */

enum { COUNTED_PES = 4, COUNTED_ROUNDS = 20 };

typedef struct counted {
    omni_fabric *fabric;
    struct {
        _Alignas(OMNI_CACHE_LINE) float value;
    } rank[COUNTED_PES];
} counted;

static const char *counted_body(void *arg, size_t w) {
    counted *c = arg;
    void *buffer = &c->rank[w].value;
    omni_view own = omni_view_flat(buffer, sizeof(float));
    for (size_t round = 0; round < COUNTED_ROUNDS; round++) {
        bool ok = omni_fabric_host_receive(c->fabric, w, 0, &own, sizeof(float)) &&
                  omni_fabric_broadcast(c->fabric, w, 0, round % COUNTED_PES, &own, &own) &&
                  omni_fabric_reduce(c->fabric, w, 0, &buffer, &own, &adding) &&
                  (w != 0 || omni_fabric_host_return(c->fabric, w, 0, buffer, sizeof(float)));
        if (!ok) return "stopped";
    }
    return NULL;
}

/* The threads run on, waiting for the next input: a result's arrival alone makes the counts of its making
 * readable. */
static const char *counted_rounds(const counted *c) {
    for (size_t round = 1; round <= COUNTED_ROUNDS; round++) {
        float value = 1, sum;
        if (!omni_fabric_host_send(c->fabric, 0, &value, sizeof value)) return "host_send was stopped";
        if (!omni_fabric_host_await(c->fabric, 0, &sum, sizeof sum)) return "host_await was stopped";
        omni_counters got, want = {.broadcasts = round,
                                   .broadcast_bytes = 4 * round,
                                   .reductions = round,
                                   .tree_levels = 2 * round,
                                   .tree_bytes = 12 * round,
                                   .host_messages = 2 * round,
                                   .host_bytes = 8 * round};
        omni_fabric_counters(c->fabric, &got);
        if (!omni_counters_equal(&got, &want) || sum < 4 || sum > 4)
            return verdict("wrong in round %zu", round);
    }
    omni_counters zero = {0}, got;
    omni_fabric_reset_counters(c->fabric);
    omni_fabric_counters(c->fabric, &got);
    return omni_counters_equal(&got, &zero) ? NULL : "reset leaves counts";
}

static const char *counts_arrive_with_the_result(void) {
    static omni_stop stop;
    static counted c;
    omni_segment all = {0, COUNTED_PES};
    omni_fabric_options o = {.kind = "shm",
                             .pes = COUNTED_PES,
                             .workers = COUNTED_PES,
                             .segments = &all,
                             .segment_count = 1,
                             .stop = &stop};
    if (omni_fabric_create(&o, &c.fabric, NULL) != OMNI_OK) return "no fabric";
    crew members;
    crew_start(&members, COUNTED_PES, counted_body, &c);
    char host_bad[200] = "";
    const char *bad = counted_rounds(&c);
    if (bad) {
        snprintf(host_bad, sizeof host_bad, "%s", bad);
        omni_stop_set(&stop, OMNI_RUN_FAILED);
    }
    bad = crew_join(&members);
    omni_fabric_free(c.fabric);
    return host_bad[0] ? verdict("%s", host_bad) : bad;
}

/* --- the table -------------------------------------------------------------------------------- */

static const omni_case rows[] = {
    {"create_refuses", create_refuses},
    {"counts_arrive_with_the_result", counts_arrive_with_the_result},
    {"broadcast_reaches_everyone", broadcast_reaches_everyone},
    {"reduce_combines_in_order", reduce_combines_in_order},
    {"float_sums_have_one_parenthesization", float_sums_have_one_parenthesization},
    {"gather_collects_uneven_and_empty_slices", gather_collects_uneven_and_empty_slices},
    {"send_reaches_one", send_reaches_one},
    {"host_port_sends", host_port_sends},
    {"host_port_awaits", host_port_awaits},
    {"mixed_programs", mixed_programs},
    {"mixed_programs_in_large_slots", mixed_programs_in_large_slots},
    {"payload_larger_than_the_ring", payload_larger_than_the_ring},
    {"segments_work_at_the_same_time", segments_work_at_the_same_time},
    {"null_counts_what_shm_moves", null_counts_what_shm_moves},
    {"schedules_give_the_same_bits", schedules_give_the_same_bits},
    {"schedules_narrow_alike", schedules_narrow_alike},
    {"null_never_waits", null_never_waits},
    {"stop_ends_every_operation", stop_ends_every_operation},
};

const omni_case_table cases_fabric = {"fabric", rows, sizeof rows / sizeof *rows};
