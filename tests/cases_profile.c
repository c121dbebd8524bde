/* cases_profile.c: where the time of passes goes: the parts fit into the time that the caller saw, each in
 * the right place, and asking changes no result; and going back to an earlier position.
 */
#include <string.h>

#include "cases_flow.h"
#include "crew.h"

enum { TOKENS = 12, STEPS = 3, SEQUENCES = 2, PARTS = 6 };

typedef struct profiled {
    int32_t token[STEPS][SEQUENCES];
    uint64_t part[PARTS], whole; /* in omni_profile's order; workers x what the caller saw */
} profiled;

static void fill_ids(const flow *f, int32_t *ids) {
    for (size_t i = 0; i < SEQUENCES * TOKENS; i++) ids[i] = (int32_t)(i * 31 % f->model->shape.vocab);
}

static const char *forward(flow *f, omni_engine *e, const int32_t *ids, size_t count, int32_t *next) {
    size_t counts[SEQUENCES] = {count, count};
    return omni_engine_forward(e, ids, counts, next, &f->err) ? verdict("%s", f->err.text) : NULL;
}

static const char *create(flow *f, const char *fabric, bool profile, omni_engine **e) {
    size_t capacity[SEQUENCES] = {TOKENS + STEPS, TOKENS + STEPS};
    omni_engine_options o = flow_options(f);
    o.sequences = SEQUENCES;
    o.capacity = capacity;
    o.max_tokens = SEQUENCES * TOKENS;
    o.fabric = fabric;
    o.profile = profile;
    return omni_engine_create(&o, e, &f->err) ? verdict("%s", f->err.text) : NULL;
}

static const char *run(flow *f, const char *fabric, bool profile, profiled *out) {
    int32_t ids[SEQUENCES * TOKENS];
    omni_engine *e;
    omni_profile p = {0};
    const char *bad = create(f, fabric, profile, &e);
    if (bad) return bad;
    fill_ids(f, ids);
    uint64_t begin = omni_clock_ns();
    for (size_t i = 0; i < STEPS && !bad; i++)
        bad = i ? forward(f, e, out->token[i - 1], 1, out->token[i])
                : forward(f, e, ids, TOKENS, out->token[0]);
    out->whole = (omni_clock_ns() - begin) * omni_engine_workers(e);
    if (!bad) omni_engine_profile(e, &p);
    uint64_t part[PARTS] = {p.compute_ns, p.bus_ns, p.tree_ns, p.host_ns, p.wait_ns, p.rest_ns};
    memcpy(out->part, part, sizeof part);
    omni_engine_free(e);
    return bad;
}

/* `bus`, `tree`: there should be such time. */
static const char *judge(const char *plan, const profiled *p, bool bus, bool tree) {
    uint64_t sum = 0;
    for (size_t i = 0; i < PARTS; i++) {
        if (p->part[i] > p->whole) return verdict("%s: part %zu is more than the whole", plan, i);
        sum += p->part[i];
    }
    if (sum > p->whole) return verdict("%s: the parts are more than the whole", plan);
    if (p->part[0] == 0) return verdict("%s: nothing was computed", plan);
    if ((p->part[1] > 0) != bus) return verdict("%s: bus time %s", plan, bus ? "missing" : "without a bus");
    if ((p->part[2] > 0) != tree)
        return verdict("%s: tree time %s", plan, tree ? "missing" : "without a tree");
    return NULL;
}

static const char *parts_fit_into_the_time(void) {
    static const struct {
        const char *plan;
        size_t pes;
        bool bus, tree;
    } rows[] = {{"single", 1, false, false},         {"megatron", 1, false, false},
                {"megatron", 2, true, true},         {"workflow2", 5, true, true},
                {"o=out:gather=bus", 3, true, true}, {"replica", 2, false, false},
                {"pipeline", 2, true, false},        {"lockstep", 2, true, false}};
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(rows) && !bad; i++) {
        profiled off = {0}, on = {0}, null = {0};
        if (!flow_plan(&f, rows[i].plan, rows[i].pes)) bad = verdict("%s", f.err.text);
        if (!bad) bad = run(&f, "shm", false, &off);
        if (!bad) bad = run(&f, "shm", true, &on);
        if (!bad) bad = run(&f, "null", true, &null);
        if (!bad && memcmp(off.token, on.token, sizeof on.token) != 0)
            bad = verdict("%s: other tokens with a profile", rows[i].plan);
        for (size_t k = 0; k < PARTS && !bad; k++)
            if (off.part[k]) bad = verdict("%s: a profile that nobody asked for", rows[i].plan);
        if (!bad) bad = judge(rows[i].plan, &on, rows[i].bus, rows[i].tree);
        if (!bad) bad = judge(rows[i].plan, &null, false, false);
    }
    return flow_close(&f, bad);
}

/* A sequence goes on from an earlier position as it did the first time. */
static const char *back_to_an_earlier_position(void) {
    static const char *const plans[] = {"single", "megatron", "workflow2", "pipeline", "lockstep"};
    flow f;
    const char *bad = flow_open(&f, "tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(plans) && !bad; i++) {
        int32_t ids[SEQUENCES * TOKENS], first[SEQUENCES], again[SEQUENCES], far[SEQUENCES];
        omni_engine *e = NULL;
        fill_ids(&f, ids);
        if (!flow_plan(&f, plans[i], 3)) bad = verdict("%s", f.err.text);
        if (!bad) bad = create(&f, "shm", false, &e);
        if (!bad) bad = forward(&f, e, ids, TOKENS, first);
        if (!bad) bad = forward(&f, e, ids, 1, first);
        if (!bad) bad = forward(&f, e, first, 1, far);
        if (!bad) omni_engine_rewind(e, TOKENS + STEPS); /* nothing is behind */
        if (!bad) omni_engine_rewind(e, TOKENS);
        if (!bad) bad = forward(&f, e, ids, 1, again);
        if (!bad && memcmp(first, again, sizeof first) != 0) bad = verdict("%s: other tokens", plans[i]);
        if (!bad) bad = forward(&f, e, again, 1, first);
        if (!bad && memcmp(first, far, sizeof far) != 0) bad = verdict("%s: other tokens later", plans[i]);
        omni_engine_free(e);
    }
    return flow_close(&f, bad);
}

/* --- the meter under it ----------------------------------------------------------------------- */

enum { MOST_PARTIES = 7, ROUNDS = 6 };

typedef struct meeting {
    omni_barrier *barrier;
    uint64_t waited[MOST_PARTIES];
} meeting;

/* The first comes late; the last has no meter. */
static const char *meet(void *arg, size_t party) {
    meeting *m = arg;
    omni_stop stop = {0};
    bool metered = party + 1 < MOST_PARTIES;
    if (metered) omni_word_meter(&m->waited[party]);
    for (size_t i = 0; i < ROUNDS; i++) {
        if (party == 0) dawdle_us(5000);
        if (!omni_barrier_wait(m->barrier, party, (omni_wait_policy){.spins = 64}, &stop)) return "stopped";
    }
    omni_word_meter(NULL);
    return NULL;
}

static const char *threads_meter_what_they_wait(void) {
    const char *bad = NULL;
    omni_ticks_start();
    for (size_t parties = 2; parties <= MOST_PARTIES && !bad; parties++) { /* few, and many */
        meeting m = {.barrier = omni_barrier_create(parties)};
        bad = m.barrier ? crew_run(parties, meet, &m) : "no memory";
        for (size_t i = 1; i < parties && i + 1 < MOST_PARTIES && !bad; i++)
            if (m.waited[i] == 0) bad = verdict("party %zu of %zu waited and has not counted it", i, parties);
        if (!bad && m.waited[MOST_PARTIES - 1]) bad = "counted without a meter";
        omni_barrier_free(m.barrier);
    }
    return bad;
}

static const omni_case cases[] = {
    {"threads_meter_what_they_wait", threads_meter_what_they_wait},
    {"parts_fit_into_the_time", parts_fit_into_the_time},
    {"back_to_an_earlier_position", back_to_an_earlier_position},
};
const omni_case_table cases_profile = {"profile", cases, COUNT(cases)};
