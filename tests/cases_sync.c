/* cases_sync.c: words, barrier and ring: numbers that go round, sleepers, slow readers, changing writers, and
 * a stop in the middle of every kind of wait. What one thread stores plainly and another loads is the proof
 * of the orders: a wrong value here, a report under ThreadSanitizer.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "crew.h"
#include "omnibus/sync.h"
#include "sync/epoch.h"
#include "sync/ring.h"

/* Spins never, a little, a lot: each way of waiting. */
static const omni_wait_policy policies[] = {{0}, {64}, {20000}};
enum { POLICIES = sizeof policies / sizeof *policies };

/* Numbers to start from: the beginning, and before each place where they go round. */
static const uint32_t starts[] = {0, EPOCH_HALF - 7, EPOCH_MASK - 7, UINT32_MAX - 7};
enum { STARTS = sizeof starts / sizeof *starts };

/* --- stop ------------------------------------------------------------------------------------- */

static const char *first_reason_wins(void) {
    omni_stop stop = {0};
    if (omni_stop_get(&stop) != OMNI_OK) return "a zeroed stop word stops";
    omni_stop_set(&stop, OMNI_RUN_FAILED);
    omni_stop_set(&stop, OMNI_INTERRUPTED);
    return omni_stop_get(&stop) == OMNI_RUN_FAILED ? NULL : "the later reason replaced the first";
}

static omni_stop signal_stop;

static void on_signal(int number) {
    (void)number;
    omni_stop_set(&signal_stop, OMNI_INTERRUPTED);
}

static const char *sleep_until_signal(void *arg, size_t member) {
    (void)member;
    return omni_word_wait(arg, 1, policies[0], &signal_stop) ? "nobody published, yet the wait ended well"
                                                             : NULL;
}

static const char *stop_from_a_signal_handler(void) {
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigaction(SIGUSR1, &action, &old);
    omni_word word;
    omni_word_init(&word, 0);
    crew c;
    crew_start(&c, 1, sleep_until_signal, &word);
    dawdle_us(2000);
    alarm(120);
    raise(SIGUSR1);
    const char *bad = crew_join(&c);
    alarm(0);
    sigaction(SIGUSR1, &old, NULL);
    return bad                                               ? bad
           : omni_stop_get(&signal_stop) == OMNI_INTERRUPTED ? NULL
                                                             : "the handler's reason is lost";
}

/* --- words ------------------------------------------------------------------------------------ */

/* Two threads hand a plain number to and fro. */
typedef struct rally {
    omni_word ball[2];
    omni_stop stop;
    uint32_t start, rounds;
    omni_wait_policy policy;
    uint32_t plain;
} rally;

static const char *rally_body(void *arg, size_t member) {
    rally *r = arg;
    for (uint32_t i = 0; i < r->rounds; i++) {
        uint32_t epoch = r->start + i + 1;
        if (member == 1 && !omni_word_wait(&r->ball[0], epoch, r->policy, &r->stop)) return "stopped";
        if (r->plain != 2 * i + (uint32_t)member) return verdict("round %u: got %u", i, r->plain);
        r->plain++;
        omni_word_publish(&r->ball[member], epoch);
        if (member == 0 && !omni_word_wait(&r->ball[1], epoch, r->policy, &r->stop)) return "stopped";
    }
    return NULL;
}

static const char *word_hands_over_what_was_stored(void) {
    for (size_t s = 0; s < STARTS; s++) {
        for (size_t p = 0; p < POLICIES; p++) {
            rally r = {.start = starts[s], .rounds = 500 * (uint32_t)stress_factor(), .policy = policies[p]};
            omni_word_init(&r.ball[0], r.start);
            omni_word_init(&r.ball[1], r.start);
            const char *bad = crew_run(2, rally_body, &r);
            if (bad) return bad;
            if (omni_word_peek(&r.ball[0]) != ((r.start + r.rounds) & EPOCH_MASK))
                return "peek: not the last epoch";
        }
    }
    return NULL;
}

static const char *epochs_compare_around_the_wrap(void) {
    static const struct {
        uint32_t have, want;
        bool reached;
    } rows[] = {
        {0, 0, true},
        {1, 0, true},
        {0, 1, false},
        {EPOCH_MASK, 0, false},
        {0, EPOCH_MASK, true},
        {5, EPOCH_MASK - 5, true},
        {EPOCH_MASK - 5, 5, false},
        {EPOCH_HALF - 1, 0, true},
        {EPOCH_HALF, 0, false},
        {EPOCH_MASK, UINT32_MAX, true},
        {0, UINT32_MAX, true},
        {7, EPOCH_MASK + 1 + 7, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (epoch_reached(rows[i].have, rows[i].want) != rows[i].reached)
            return verdict("have %#x, want %#x", rows[i].have, rows[i].want);
    return NULL;
}

/* --- barrier ---------------------------------------------------------------------------------- */

typedef struct meeting {
    omni_barrier *barrier;
    omni_stop stop;
    omni_wait_policy policy;
    size_t parties, rounds;
    size_t seen[CREW_MOST]; /* plain: each member its own */
} meeting;

static const char *meeting_body(void *arg, size_t member) {
    meeting *m = arg;
    for (size_t round = 1; round <= m->rounds; round++) {
        m->seen[member] = round;
        if (!omni_barrier_wait(m->barrier, member, m->policy, &m->stop)) return "stopped";
        for (size_t i = 0; i < m->parties; i++)
            if (m->seen[i] != round) return verdict("round %zu: member %zu is in %zu", round, i, m->seen[i]);
        if (!omni_barrier_wait(m->barrier, member, m->policy, &m->stop)) return "stopped";
    }
    return NULL;
}

static const char *barrier_lets_nobody_pass_early(void) {
    static const size_t parties[] = {1, 2, 3, 4, 5, 8};
    for (size_t i = 0; i < sizeof parties / sizeof *parties; i++) {
        for (size_t p = 0; p < POLICIES - 1; p++) {
            meeting m = {.policy = policies[p], .parties = parties[i], .rounds = 150 * stress_factor()};
            m.barrier = omni_barrier_create(m.parties);
            const char *bad = crew_run(m.parties, meeting_body, &m);
            omni_barrier_free(m.barrier);
            if (bad) return bad;
        }
    }
    return NULL;
}

/* --- ring ------------------------------------------------------------------------------------- */

enum { TALK_WORDS = 5 };

/* Members take turns as the schedule says; each reads what it did not write. The host, if any, is the last
 * member. */
typedef struct talk {
    omni_ring *ring;
    omni_stop stop;
    omni_wait_policy policy;
    size_t readers, messages;
    bool host_writes; /* all messages come from one who does not read */
    size_t slow;      /* this reader is slow */
} talk;

static size_t talk_writer(const talk *t, size_t n) {
    if (t->host_writes) return t->readers;
    return (size_t)(chance(7, n / 3, 0) %
                    t->readers); /* runs of three: a writer follows itself, and others */
}

static const char *talk_listen(talk *t, omni_ring_port *port, size_t n) {
    const uint32_t *words = omni_ring_read(port, t->policy, &t->stop);
    if (!words) return "stopped";
    for (size_t k = 0; k < TALK_WORDS; k++)
        if (words[k] != (uint32_t)(n * TALK_WORDS + k))
            return verdict("message %zu: word %zu is %u", n, k, words[k]);
    omni_ring_release(port);
    return NULL;
}

static const char *talk_body(void *arg, size_t member) {
    talk *t = arg;
    omni_ring_port port;
    omni_ring_port_init(&port, t->ring, member < t->readers ? member : OMNI_RING_NO_READER);
    for (size_t n = 0; n < t->messages; n++) {
        if (member == t->slow && n % 16 == 0) dawdle_us(50);
        if (talk_writer(t, n) != member) {
            const char *bad = member < t->readers ? talk_listen(t, &port, n) : NULL;
            if (bad) return bad;
            continue;
        }
        uint32_t *words = omni_ring_claim(&port, t->policy, &t->stop);
        if (!words) return "stopped";
        for (size_t k = 0; k < TALK_WORDS; k++) words[k] = (uint32_t)(n * TALK_WORDS + k);
        omni_ring_publish(&port);
    }
    return NULL;
}

static const char *talk_run(size_t slots, size_t readers, uint32_t first, bool host_writes, size_t slow) {
    static size_t turn;
    talk t = {
        .readers = readers, .messages = 120 * stress_factor(), .host_writes = host_writes, .slow = slow};
    t.policy = policies[turn++ % 2];
    t.ring = ring_create_at(slots, TALK_WORDS * sizeof(uint32_t), readers, first);
    if (!t.ring) return "no ring";
    const char *bad = crew_run(readers + host_writes, talk_body, &t);
    omni_ring_free(t.ring);
    return bad ? verdict("%zu slots, %zu readers from %u on: %.200s", slots, readers, first, bad) : NULL;
}

static const char *ring_goes_round(bool host_writes, size_t slow) {
    static const size_t slots[] = {2, 4, 16}, readers[] = {1, 2, 3, 8};
    for (size_t s = 0; s < sizeof slots / sizeof *slots; s++)
        for (size_t r = 0; r < sizeof readers / sizeof *readers; r++)
            for (size_t k = 0; k < STARTS; k++) {
                const char *bad = talk_run(slots[s], readers[r], starts[k], host_writes, slow);
                if (bad) return bad;
            }
    return NULL;
}

static const char *ring_with_changing_writers(void) {
    return ring_goes_round(false, SIZE_MAX);
}

static const char *ring_with_a_writer_outside(void) {
    return ring_goes_round(true, SIZE_MAX);
}

static const char *ring_waits_for_a_slow_reader(void) {
    const char *bad = ring_goes_round(false, 0);
    return bad ? bad : ring_goes_round(true, 0);
}

/* One thread, two readers: all that a port knows can be looked at. */
static const char *ring_port_learns_the_slowest_by_reading(void) {
    omni_stop stop = {0};
    omni_ring *ring = ring_create_at(4, 8, 2, EPOCH_MASK - 50);
    omni_ring_port a, b;
    omni_ring_port_init(&a, ring, 0);
    omni_ring_port_init(&b, ring, 1);
    const char *bad = NULL;
    for (uint32_t n = 0; n < 1000 && !bad; n++) {
        if (!omni_ring_claim(&a, policies[0], &stop)) bad = "no slot";
        omni_ring_publish(&a);
        if (!omni_ring_read(&b, policies[0], &stop)) bad = "no message";
        omni_ring_release(&b);
        if (epoch_ahead(b.next, b.slowest) > 4) bad = verdict("slowest fell behind at message %u", n);
    }
    if (!bad && !omni_ring_claim(&b, policies[0], &stop)) bad = "the reader cannot write";
    omni_ring_free(ring);
    return bad;
}

/* Messages point at a plain number of their writer, who changes it once they are settled. */
typedef struct pointing {
    omni_ring *ring;
    omni_stop stop;
    omni_wait_policy policy;
    size_t readers, messages;
    size_t number[CREW_MOST]; /* by writer */
} pointing;

static const char *pointing_body(void *arg, size_t member) {
    pointing *t = arg;
    omni_ring_port port;
    omni_ring_port_init(&port, t->ring, member);
    for (size_t n = 0; n < t->messages; n++) {
        if (n / 3 % t->readers == member) {
            void *slot = omni_ring_claim(&port, t->policy, &t->stop);
            if (!slot) return "stopped";
            size_t *at = &t->number[member];
            *at = n;
            memcpy(slot, &at, sizeof at);
            omni_ring_publish(&port);
            if (!omni_ring_settle(&port, t->policy, &t->stop)) return "stopped";
            continue;
        }
        const void *slot = omni_ring_read(&port, t->policy, &t->stop);
        if (!slot) return "stopped";
        const size_t *at;
        memcpy(&at, slot, sizeof at);
        if (*at != n) return verdict("message %zu points at %zu", n, *at);
        omni_ring_release(&port);
    }
    return NULL;
}

static const char *ring_settles(void) {
    for (size_t k = 0; k < STARTS; k++)
        for (size_t readers = 1; readers <= 5; readers += 2) {
            pointing t = {.readers = readers, .messages = 200 * stress_factor(), .policy = policies[k % 2]};
            t.ring = ring_create_at(2, sizeof(size_t *), readers, starts[k]);
            if (!t.ring) return "no ring";
            const char *bad = crew_run(readers, pointing_body, &t);
            omni_ring_free(t.ring);
            if (bad) return bad;
        }
    return NULL;
}

static const char *ring_refuses_what_it_cannot_be(void) {
    static const size_t bad_slots[] = {0, 1, 3, 6, (size_t)1 << 40};
    for (size_t i = 0; i < sizeof bad_slots / sizeof *bad_slots; i++)
        if (omni_ring_create(bad_slots[i], 8, 1)) return verdict("a ring of %zu slots", bad_slots[i]);
    if (omni_ring_create(2, 0, 1)) return "a ring of empty slots";
    if (omni_ring_create(4, SIZE_MAX / 2, 1)) return "a ring larger than memory";
    omni_ring *r = omni_ring_create(4, 100, 2);
    const char *bad =
        omni_ring_slots(r) == 4 && omni_ring_slot_bytes(r) == 100 ? NULL : "not the size asked for";
    omni_ring_free(r);
    omni_ring_free(NULL);
    return bad;
}

/* --- a stop in every kind of wait ------------------------------------------------------------- */

typedef struct wait_place {
    omni_word word;
    omni_barrier *barrier;
    omni_ring *silent; /* nobody writes */
    omni_ring *full;   /* nobody reads but the writer */
    omni_ring *unread; /* the same, with room left */
    omni_wait_policy policy;
    omni_stop stop;
} wait_place;

static bool wait_in_word(wait_place *p) {
    return omni_word_wait(&p->word, 1, p->policy, &p->stop);
}

static bool wait_in_barrier(wait_place *p) {
    return omni_barrier_wait(p->barrier, 0, p->policy, &p->stop);
}

static bool wait_in_read(wait_place *p) {
    omni_ring_port port;
    omni_ring_port_init(&port, p->silent, 0);
    return omni_ring_read(&port, p->policy, &p->stop) != NULL;
}

static bool wait_in_claim(wait_place *p) {
    omni_ring_port port;
    omni_ring_port_init(&port, p->full, 0);
    for (size_t i = 0; i < 4; i++) {
        if (!omni_ring_claim(&port, p->policy, &p->stop)) return true;
        omni_ring_publish(&port);
    }
    return omni_ring_claim(&port, p->policy, &p->stop) != NULL;
}

static bool wait_in_settle(wait_place *p) {
    omni_ring_port port;
    omni_ring_port_init(&port, p->unread, 0);
    if (!omni_ring_claim(&port, p->policy, &p->stop)) return true;
    omni_ring_publish(&port);
    return omni_ring_settle(&port, p->policy, &p->stop);
}

static bool (*const waits[])(wait_place *) = {wait_in_word, wait_in_barrier, wait_in_read, wait_in_claim,
                                              wait_in_settle};
enum { WAITS = sizeof waits / sizeof *waits };

static const char *wait_body(void *arg, size_t member) {
    return waits[member](arg) ? verdict("wait %zu was not stopped", member) : NULL;
}

static const char *stop_ends_every_wait(void) {
    for (size_t i = 0; i < POLICIES; i++) {
        wait_place p = {.policy = policies[i]};
        omni_word_init(&p.word, 0);
        p.barrier = omni_barrier_create(2);
        p.silent = omni_ring_create(4, 8, 2);
        p.full = omni_ring_create(4, 8, 2);
        p.unread = omni_ring_create(4, 8, 2);
        crew c;
        alarm(120);
        crew_start(&c, WAITS, wait_body, &p);
        dawdle_us(2000);
        omni_stop_set(&p.stop, OMNI_INTERRUPTED);
        const char *bad = crew_join(&c);
        alarm(0);
        omni_ring_free(p.unread);
        omni_ring_free(p.full);
        omni_ring_free(p.silent);
        omni_barrier_free(p.barrier);
        if (bad) return bad;
    }
    return NULL;
}

static const omni_case rows[] = {
    {"first_reason_wins", first_reason_wins},
    {"stop_from_a_signal_handler", stop_from_a_signal_handler},
    {"stop_ends_every_wait", stop_ends_every_wait},
    {"epochs_compare_around_the_wrap", epochs_compare_around_the_wrap},
    {"word_hands_over_what_was_stored", word_hands_over_what_was_stored},
    {"barrier_lets_nobody_pass_early", barrier_lets_nobody_pass_early},
    {"ring_refuses_what_it_cannot_be", ring_refuses_what_it_cannot_be},
    {"ring_with_changing_writers", ring_with_changing_writers},
    {"ring_with_a_writer_outside", ring_with_a_writer_outside},
    {"ring_waits_for_a_slow_reader", ring_waits_for_a_slow_reader},
    {"ring_settles", ring_settles},
    {"ring_port_learns_the_slowest_by_reading", ring_port_learns_the_slowest_by_reading},
};

const omni_case_table cases_sync = {"sync", rows, sizeof rows / sizeof *rows};
