/* progress.c: on stderr, how far something is that takes longer than a second. Never with --quiet.
 *
 *   terminal    one line, drawn over and over, gone at the end; what the window is too narrow for is left
 *               out, the time that is left last:
 *                   reading weights [#######.................] 31%  1.20 GiB of 3.90 GiB  410.0 MiB/s  7 s left
 *                   check [#######.................] 6 of 20  2.0/s  7 s left  megatron, 4 PEs
 *   otherwise   a plain line every ten seconds:
 *                   omnibus: note: check: 6 of 20, 2.0/s, 7 s left, megatron, 4 PEs
 *
 * What is to be shown is an omni_meter, to which the threads at work add. A thread of its own looks at it; while
 * something is timed there is none, and the line is drawn by the steps between.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

enum { BAR = 24, LEAST_BAR = 6, LEAST_WHAT = 8, LINE = 400 };
static const uint64_t first_ns = 1000000000, redraw_ns = 200000000, plain_ns = 10000000000;

/* --- one line --------------------------------------------------------------------------------- */

/* 7 s, 3 min 20 s, 5 h 12 min */
static void add_seconds(omni_text *t, double s) {
    unsigned long whole = s < 1e9 ? (unsigned long)(s + 0.5) : 1000000000;
    if (whole < 60)
        omni_text_add(t, "%lu s", whole);
    else if (whole < 3600)
        omni_text_add(t, "%lu min %lu s", whole / 60, whole % 60);
    else
        omni_text_add(t, "%lu h %lu min", whole / 3600, whole % 3600 / 60);
}

static void add_count(const cli_progress *p, omni_text *t, uint64_t done, uint64_t total) {
    char a[32], b[32];
    unsigned percent = (unsigned)((double)done * 100 / (double)total);
    if (p->kind == CLI_BYTES)
        omni_text_add(t, "%s of %s", omni_format_bytes(a, sizeof a, done),
                      omni_format_bytes(b, sizeof b, total));
    else if (p->kind == CLI_SHARE)
        omni_text_add(t, "%u%%", percent);
    else
        omni_text_add(t, "%llu of %llu", (unsigned long long)done, (unsigned long long)total);
}

/* Nothing where each is longer than a second: the time that is left says it. */
static void add_rate(const cli_progress *p, omni_text *t, double per_s, const char *gap) {
    char a[32];
    if (p->kind == CLI_BYTES)
        omni_text_add(t, "%s%s/s", gap, omni_format_bytes(a, sizeof a, (uint64_t)per_s));
    else if (p->kind != CLI_SHARE)
        omni_text_add(t, per_s < 10 ? "%s%.2f/s" : "%s%.0f/s", gap, per_s);
}

/* "6 of 20  2.0/s  7 s left"; in the first second, and before anything is done, how long it has taken. Where
 * it is narrow the rate is left out, then the count. */
typedef enum facts_width { ALL, NO_RATE, TIME_ALONE } facts_width;

static void add_facts(const cli_progress *p, omni_text *t, double seconds, const char *gap,
                      facts_width width) {
    uint64_t done = omni_meter_done(&p->meter), total = omni_meter_total(&p->meter);
    done = done < total ? done : total;
    bool known = done > 0 && seconds >= 1;
    double per_s = (double)done / (seconds - p->idle_s);
    if (total > 0 && width < TIME_ALONE) {
        add_count(p, t, done, total);
        if (known && width == ALL) add_rate(p, t, per_s, gap);
        omni_text_add(t, "%s", gap);
    }
    add_seconds(t, known ? (double)(total - done) / per_s : seconds);
    omni_text_add(t, known ? " left" : " so far");
}

static omni_text *facts_within(const cli_progress *p, double seconds, size_t columns) {
    for (facts_width width = ALL;; width++) {
        omni_text *facts = omni_text_create();
        add_facts(p, facts, seconds, "  ", width);
        if (width == TIME_ALONE || strlen(omni_text_string(facts)) <= columns) return facts;
        omni_text_free(facts);
    }
}

/* "[####....] ", `width` of them; nothing where that is too few. */
static void add_bar(const cli_progress *p, omni_text *t, size_t width) {
    uint64_t total = omni_meter_total(&p->meter);
    double done = (double)omni_meter_done(&p->meter) / (double)(total ? total : 1);
    if (width < LEAST_BAR || total == 0) return;
    omni_text_add(t, "[");
    for (size_t i = 0; i < width; i++) omni_text_add(t, (double)i < done * (double)width ? "#" : ".");
    omni_text_add(t, "] ");
}

omni_text *cli_progress_line(const cli_progress *p, double seconds, size_t columns) {
    size_t named = strlen(p->name) + 1, frame = strlen("[] ");
    omni_text *facts = facts_within(p, seconds, columns > named ? columns - named : 0);
    if (named + strlen(omni_text_string(facts)) > columns) return facts; /* who asked knows the name */
    omni_text *line = omni_text_create();
    size_t used = named + strlen(omni_text_string(facts));
    size_t room = columns > used + frame ? columns - used - frame : 0;
    size_t bar = room < LEAST_BAR ? 0 : room < BAR ? room : BAR;
    size_t rest = room > bar + 2 ? room - bar - 2 : 0; /* two blanks before what is done now */
    omni_text_add(line, "%s ", p->name);
    add_bar(p, line, bar);
    omni_text_add(line, "%s", omni_text_string(facts));
    if (p->what[0] && rest >= LEAST_WHAT) omni_text_add(line, "  %.*s", (int)rest, p->what);
    omni_text_free(facts);
    return line;
}

static omni_text *plain_line(const cli_progress *p, double seconds) {
    omni_text *line = omni_text_create();
    omni_text_add(line, "%s: ", p->name);
    add_facts(p, line, seconds, ", ", ALL);
    if (p->what[0]) omni_text_add(line, ", %s", p->what);
    return line;
}

/* --- when ------------------------------------------------------------------------------------- */

/* The window may have been resized. */
static size_t columns_now(void) {
    struct winsize window;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1;
    return known ? window.ws_col - 1u : cli_columns() - 1;
}

/* The lock is held. */
static void draw(cli_progress *p) {
    uint64_t now = omni_clock_ns();
    if (now < p->next_ns) return;
    double seconds = (double)(now - p->begin_ns) * 1e-9;
    if (p->kind == CLI_BYTES && omni_meter_done(&p->meter) == 0) p->idle_s = seconds;
    size_t columns = p->terminal ? columns_now() : LINE;
    omni_text *line = p->terminal ? cli_progress_line(p, seconds, columns) : plain_line(p, seconds);
    fprintf(stderr, p->terminal ? "\r%.*s\033[K" : "omnibus: note: %.*s\n", (int)columns,
            omni_text_string(line));
    fflush(stderr);
    omni_text_free(line);
    p->drawn = true;
    p->next_ns = now + (p->terminal ? redraw_ns : plain_ns);
}

static void *watch(void *arg) {
    cli_progress *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->ended) {
        draw(p);
        uint64_t at = p->next_ns;
        struct timespec until = {(time_t)(at / 1000000000), (long)(at % 1000000000)};
        pthread_cond_clockwait(&p->end, &p->lock, CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals are for the others, whose reads and writes they end. Without a thread the steps draw. */
static bool start_watching(cli_progress *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool started = pthread_create(&p->watcher, NULL, watch, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) pthread_setname_np(p->watcher, "progress");
    return started;
}

/* --- for the commands ------------------------------------------------------------------------- */

void cli_progress_begin(cli_progress *p, const cli *c, cli_progress_kind kind, const char *name,
                        uint64_t total) {
    const char *term = getenv("TERM");
    *p = (cli_progress){.kind = kind, .name = name, .begin_ns = omni_clock_ns()};
    omni_meter_expect(&p->meter, total);
    p->shown = !c->quiet;
    if (!p->shown) return;
    p->terminal = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
    p->next_ns = p->begin_ns + (!p->terminal ? plain_ns : kind == CLI_TIMED_STEPS ? 0 : first_ns);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->end, NULL);
    p->watched = kind != CLI_TIMED_STEPS && start_watching(p);
}

void cli_progress_step(cli_progress *p, uint64_t done, const char *what) {
    omni_meter_set(&p->meter, done);
    if (!p->shown) return;
    pthread_mutex_lock(&p->lock);
    snprintf(p->what, sizeof p->what, "%s", what);
    if (!p->watched) draw(p);
    pthread_mutex_unlock(&p->lock);
}

void cli_progress_end(cli_progress *p) {
    if (!p->shown) return;
    pthread_mutex_lock(&p->lock);
    p->ended = true;
    pthread_cond_signal(&p->end);
    pthread_mutex_unlock(&p->lock);
    if (p->watched) pthread_join(p->watcher, NULL);
    if (p->drawn && p->terminal) fputs("\r\033[K", stderr);
    pthread_cond_destroy(&p->end);
    pthread_mutex_destroy(&p->lock);
    p->shown = false;
}
