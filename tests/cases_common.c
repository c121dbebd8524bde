/* cases_common.c: what the case tables share: the list of them, verdicts as text, where files from outside
 * the checkout lie, and crews of threads.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "crew.h"

const omni_case_table *const all_case_tables[] = {
    &cases_sync,          &cases_fabric, &cases_flow, &cases_formats, &cases_engine,  &cases_encode,
    &cases_encode_passes, &cases_mesh,   &cases_wire, &cases_profile, &cases_overlap, &cases_perf,
    &cases_trace};
const size_t all_case_table_count = sizeof all_case_tables / sizeof *all_case_tables;

const char *verdict(const char *format, ...) {
    static _Thread_local char text[400];
    char next[sizeof text]; /* an argument may be the last verdict */
    va_list args;
    va_start(args, format);
    vsnprintf(next, sizeof next, format, args);
    va_end(args);
    memcpy(text, next, sizeof text);
    return text;
}

const char *shared_path(const char *path) {
    static char text[2][1024];
    static size_t turn;
    const char *root = getenv("OMNIBUS_SHARED");
    char *out = text[turn ^= 1];
    int n = snprintf(out, sizeof text[0], "%s/%s", root && *root ? root : "../shared", path);
    if (n < 0 || (size_t)n >= sizeof text[0]) return NULL;
    return access(out, F_OK) == 0 ? out : NULL;
}

size_t stress_factor(void) {
    const char *text = getenv("OMNIBUS_STRESS");
    long n = text ? strtol(text, NULL, 10) : 1;
    return n > 1 ? (size_t)n : 1;
}

unsigned long long chance(unsigned long long seed, unsigned long long a, unsigned long long b) {
    /* splitmix64's finisher over the three numbers */
    uint64_t x = seed + a * 0x9e3779b97f4a7c15u + b * 0xd1b54a32d192ed03u + 1;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void dawdle_us(long us) {
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

/* --- crews ------------------------------------------------------------------------------------ */

static void *crew_thread(void *arg) {
    crew_member *m = arg;
    pthread_barrier_wait(&m->crew->start);
    const char *bad = m->crew->body(m->crew->arg, m->index);
    if (bad) snprintf(m->text, sizeof m->text, "%s", bad);
    return NULL;
}

void crew_start(crew *c, size_t count, crew_body *body, void *arg) {
    c->count = count;
    c->body = body;
    c->arg = arg;
    if (count > CREW_MOST || pthread_barrier_init(&c->start, NULL, (unsigned)count) != 0) abort();
    for (size_t i = 0; i < count; i++) {
        c->member[i] = (crew_member){.crew = c, .index = i};
        if (pthread_create(&c->member[i].thread, NULL, crew_thread, &c->member[i]) != 0) abort();
    }
}

const char *crew_join(crew *c) {
    const char *bad = NULL;
    for (size_t i = 0; i < c->count; i++) {
        if (pthread_join(c->member[i].thread, NULL) != 0) abort();
        if (!bad && c->member[i].text[0]) bad = verdict("thread %zu: %s", i, c->member[i].text);
    }
    pthread_barrier_destroy(&c->start);
    return bad;
}

const char *crew_run(size_t count, crew_body *body, void *arg) {
    crew c;
    crew_start(&c, count, body, arg);
    return crew_join(&c);
}
