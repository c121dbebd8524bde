/* control.c: tells the perf that started us when to count. perf's protocol (perf-stat(1), --control): a line
 * "enable" or "disable" on one fifo; perf answers "ack" on the other.
 *
 * All waiting is for a bounded time and looks at the stop word, so that an end without the other end is an error and no
 * hang: the descriptors do not block, and the answers' fifo is open for writing, too, for it would else be at its end
 * whenever nobody writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "omnibus/perf.h"

enum { SLICE_MS = 50, MS = 1000000 };

struct omni_perf_control {
    char *ctl_path, *ack_path; /* ack_path NULL: nobody answers */
    int ctl, ack;
    unsigned timeout_ms;
};

static omni_status open_fifo(const char *path, const char *what, int flags, int *fd, omni_error *err) {
    struct stat st;
    if (stat(path, &st) != 0)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s: %s (expected a fifo)", what, path,
                              strerror(errno));
    if (!S_ISFIFO(st.st_mode))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s: not a fifo (expected one, as mkfifo makes it)",
                              what, path);
    *fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
    if (*fd >= 0) return OMNI_OK;
    if (errno == ENXIO)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: %s: nobody reads it (expected to be started by perf --control=fifo:%s)",
                              what, path, path);
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s: %s", what, path, strerror(errno));
}

omni_status omni_perf_control_open(const char *text, const char *what, unsigned timeout_ms,
                                   omni_perf_control **out, omni_error *err) {
    const char *comma = strchr(text, ',');
    size_t length = comma ? (size_t)(comma - text) : strlen(text);
    *out = NULL;
    if (length == 0 || (comma && (!comma[1] || strchr(comma + 1, ','))))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.60s' (expected CTL or CTL,ACK: names of fifos)",
                              what, text);
    omni_perf_control *c = omni_alloc(sizeof *c);
    if (!c) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", what);
    *c = (omni_perf_control){.ctl = -1, .ack = -1, .timeout_ms = timeout_ms};
    c->ctl_path = strndup(text, length);
    c->ack_path = comma ? strdup(comma + 1) : NULL;
    omni_status status = c->ctl_path && (c->ack_path || !comma)
                             ? OMNI_OK
                             : omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", what);
    if (!status) status = open_fifo(c->ctl_path, what, O_WRONLY, &c->ctl, err);
    if (!status && comma) status = open_fifo(c->ack_path, what, O_RDWR, &c->ack, err);
    if (status)
        omni_perf_control_close(c);
    else
        *out = c;
    return status;
}

void omni_perf_control_close(omni_perf_control *c) {
    if (!c) return;
    if (c->ctl >= 0) close(c->ctl);
    if (c->ack >= 0) close(c->ack);
    free(c->ctl_path);
    free(c->ack_path);
    omni_free(c);
}

/* One try: 1 done, 0 not yet, -1 errno. */
typedef int attempt(omni_perf_control *c, void *arg);

/* Again and again until it is done, the time is over or the stop word is set. */
static omni_status insist(omni_perf_control *c, int fd, short events, attempt *try, void *arg,
                          const omni_stop *stop, omni_error *err) {
    const char *path = fd == c->ack ? c->ack_path : c->ctl_path;
    uint64_t end = omni_clock_ns() + (uint64_t)c->timeout_ms * MS;
    for (;;) {
        omni_status reason = omni_stop_get(stop);
        if (reason) return omni_error_set(err, reason, "stopped");
        int done = try(c, arg);
        if (done > 0) return OMNI_OK;
        if (done < 0 && errno == EPIPE)
            return omni_error_set(err, OMNI_RUN_FAILED, "%s: nobody reads it any more (expected perf)", path);
        if (done < 0) return omni_error_set(err, OMNI_RUN_FAILED, "%s: %s", path, strerror(errno));
        if (omni_clock_ns() >= end)
            return omni_error_set(err, OMNI_RUN_FAILED, "%s: no answer within %u ms (expected %s)", path,
                                  c->timeout_ms, fd == c->ack ? "'ack'" : "somebody to read it");
        struct pollfd wait = {.fd = fd, .events = events};
        poll(&wait, 1, SLICE_MS); /* cut short by a signal: the stop word says so */
    }
}

static bool later(int error) {
    return error == EAGAIN || error == EINTR;
}

/* A command is shorter than PIPE_BUF: all of it or nothing. */
static int try_write(omni_perf_control *c, void *arg) {
    const char *command = arg;
    if (write(c->ctl, command, strlen(command)) >= 0) return 1;
    return later(errno) ? 0 : -1;
}

typedef struct answer {
    char text[64]; /* the last bytes; perf ends its line with "\n\0" */
    size_t length;
} answer;

static int try_ack(omni_perf_control *c, void *arg) {
    answer *a = arg;
    for (char byte;;) {
        ssize_t n = read(c->ack, &byte, 1);
        if (n < 0) return later(errno) ? 0 : -1;
        if (n == 0) return 0;
        if (byte == '\0') continue;
        if (byte != '\n') {
            if (a->length < sizeof a->text) a->text[a->length] = byte;
            a->length++;
            continue;
        }
        if (a->length == 3 && memcmp(a->text, "ack", 3) == 0) return 1;
        a->length = 0;
    }
}

/* Answers to nobody's command. */
static void drop_answers(const omni_perf_control *c) {
    char old[256];
    while (read(c->ack, old, sizeof old) > 0) continue;
}

omni_status omni_perf_control_send(omni_perf_control *c, bool enable, const omni_stop *stop,
                                   omni_error *err) {
    char command[] = "disable\n";
    answer a = {.length = 0};
    if (!c) return OMNI_OK;
    if (enable) memcpy(command, "enable\n", sizeof "enable\n");
    if (c->ack >= 0) drop_answers(c);
    omni_status status = insist(c, c->ctl, POLLOUT, try_write, command, stop, err);
    if (!status && c->ack >= 0) status = insist(c, c->ack, POLLIN, try_ack, &a, stop, err);
    return status;
}
