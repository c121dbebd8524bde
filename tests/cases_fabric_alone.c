/* cases_fabric_alone.c: every operation of the fabric, called by one of two workers while the other never
 * comes. A stop has to end it; the null fabric must not even wait.
 */
#include <string.h>
#include <unistd.h>

#include "cases_fabric.h"

enum { ALONE_BYTES = 1000 }; /* more than the ring below */

typedef struct alone {
    omni_fabric *fabric;
    omni_stop stop;
    unsigned char bytes[2][ALONE_BYTES];
    size_t which;
} alone;

static const omni_sliced halves = {
    .rows = 2, .stride = 8, .parts = 1, .part[0] = {.units = 8, .unit_bytes = 1}};

/* The partner never comes, so nothing is ever combined. */
static void never_called(void *acc, const void *in, size_t bytes, const void *arg) {
    (void)acc, (void)in, (void)bytes, (void)arg;
}

static const omni_fabric_operator never = {never_called, NULL, 1};

static bool alone_broadcast(alone *a) {
    omni_view v = omni_view_flat(a->bytes[0], ALONE_BYTES);
    return omni_fabric_broadcast(a->fabric, 0, 0, 0, &v, &v);
}

static bool alone_listen(alone *a) {
    omni_view v = omni_view_flat(a->bytes[0], ALONE_BYTES);
    return omni_fabric_broadcast(a->fabric, 0, 0, 1, NULL, &v);
}

static bool alone_reduce(alone *a) {
    void *own[1] = {a->bytes[0]};
    omni_view form = omni_view_flat(NULL, 8);
    return omni_fabric_reduce(a->fabric, 0, 0, own, &form, &never);
}

static bool alone_gather(alone *a) {
    void *own[1] = {a->bytes[0]};
    return omni_fabric_gather(a->fabric, 0, 0, own, &halves);
}

static bool alone_send(alone *a) {
    omni_view v = omni_view_flat(a->bytes[0], ALONE_BYTES);
    return omni_fabric_send(a->fabric, 0, 0, 0, 1, OMNI_ADDRESSED_OTHER, &v, NULL, ALONE_BYTES);
}

static bool alone_take(alone *a) {
    omni_view v = omni_view_flat(a->bytes[0], 1);
    return omni_fabric_send(a->fabric, 0, 0, 1, 0, OMNI_ADDRESSED_OTHER, NULL, &v, 1);
}

static bool alone_host_receive(alone *a) {
    omni_view v = omni_view_flat(a->bytes[0], 1);
    return omni_fabric_host_receive(a->fabric, 0, 0, &v, 1);
}

static bool alone_host_return(alone *a) {
    return omni_fabric_host_return(a->fabric, 0, 0, a->bytes[0], ALONE_BYTES);
}

static bool alone_host_send(alone *a) {
    return omni_fabric_host_send(a->fabric, 0, a->bytes[0], ALONE_BYTES);
}

static bool alone_host_await(alone *a) {
    return omni_fabric_host_await(a->fabric, 0, a->bytes[0], 1);
}

static const struct {
    const char *name;
    bool (*call)(alone *);
} calls[] = {
    {"broadcast", alone_broadcast},
    {"broadcast, as reader", alone_listen},
    {"reduce", alone_reduce},
    {"gather", alone_gather},
    {"send", alone_send},
    {"send, as taker", alone_take},
    {"host_receive", alone_host_receive},
    {"host_return", alone_host_return},
    {"host_send", alone_host_send},
    {"host_await", alone_host_await},
};
enum { CALLS = sizeof calls / sizeof *calls };

static const omni_segment pair = {0, 2};

static bool alone_create(alone *a, const char *kind) {
    omni_fabric_options o = {.kind = kind,
                             .pes = 2,
                             .workers = 2,
                             .segments = &pair,
                             .segment_count = 1,
                             .ring_slots = 4,
                             .slot_bytes = 64,
                             .stop = &a->stop};
    return omni_fabric_create(&o, &a->fabric, NULL) == OMNI_OK;
}

static const char *alone_body(void *arg, size_t member) {
    (void)member;
    alone *a = arg;
    return calls[a->which].call(a) ? "ended well without its partner" : NULL;
}

/* The other worker never comes. */
const char *stop_ends_every_operation(void) {
    static alone a[CALLS];
    static crew c[CALLS];
    memset(a, 0, sizeof a);
    alarm(120);
    for (size_t i = 0; i < CALLS; i++) {
        a[i].which = i;
        if (!alone_create(&a[i], "shm")) return "no fabric";
        crew_start(&c[i], 1, alone_body, &a[i]);
    }
    dawdle_us(5000);
    for (size_t i = 0; i < CALLS; i++) omni_stop_set(&a[i].stop, OMNI_INTERRUPTED);
    const char *bad = NULL;
    for (size_t i = 0; i < CALLS; i++) {
        const char *why = crew_join(&c[i]);
        if (why) bad = verdict("%s: %s", calls[i].name, why);
        if (!bad && calls[i].call(&a[i])) bad = verdict("%s goes on after the stop", calls[i].name);
        omni_fabric_free(a[i].fabric);
    }
    alarm(0);
    return bad;
}

const char *null_never_waits(void) {
    static alone a;
    static const unsigned char zeros[ALONE_BYTES];
    memset(&a, 0, sizeof a);
    if (!alone_create(&a, "null")) return "no fabric";
    const char *bad = NULL;
    memset(a.bytes, 1, sizeof a.bytes);
    for (size_t i = 0; i < CALLS && !bad; i++)
        if (!calls[i].call(&a)) bad = verdict("%s failed", calls[i].name);
    if (!bad && !omni_fabric_host_await(a.fabric, 0, a.bytes[1], ALONE_BYTES)) bad = "host_await failed";
    if (!bad && memcmp(a.bytes[1], zeros, ALONE_BYTES) != 0) bad = "host_await: not zeros";
    omni_stop_set(&a.stop, OMNI_INTERRUPTED);
    for (size_t i = 0; i < CALLS && !bad; i++)
        if (calls[i].call(&a)) bad = verdict("%s goes on after the stop", calls[i].name);
    omni_fabric_free(a.fabric);
    return bad;
}
