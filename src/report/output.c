/* output.c: where a finished text goes, or one that is written bit by bit because it is large.
 *
 *     no path, or stdout's own file             write to descriptor 1
 *     exists and is no regular file             write to it: /dev/null, a fifo, /dev/full
 *     anything else                             DIR/.omnibus-PID-N.tmp, then rename: all or nothing
 *
 * A symbolic link is followed, so that the rename replaces the file and not the link. A broken pipe is an
 * error like a full disk, but of stdout one without a text, for nobody wants to hear of it. The signal that
 * comes with it is held back while we write, whatever the program does with signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "report/internal.h"

static const char *const formats[] = {
    [OMNI_FORMAT_TABLE] = "table", [OMNI_FORMAT_JSON] = "json",   [OMNI_FORMAT_CSV] = "csv",
    [OMNI_FORMAT_MD] = "md",       [OMNI_FORMAT_JSONL] = "jsonl",
};

omni_status omni_format_parse(const char *text, bool every, omni_format *out, omni_error *err) {
    for (size_t i = 0; i < (every ? sizeof formats / sizeof *formats : OMNI_FORMAT_CSV + 1); i++)
        if (strcmp(text, formats[i]) == 0) {
            *out = (omni_format)i;
            return OMNI_OK;
        }
    return omni_error_set(err, OMNI_BAD_INPUT, "--format: '%.40s' (expected table, json%s)", text,
                          every ? ", csv, md or jsonl" : " or csv");
}

/* --- bytes to a descriptor: 0, or the errno --------------------------------------------------- */

static int output_write_all(int fd, const char *data, size_t bytes) {
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);
        if (n > 0) {
            data += n;
            bytes -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) { /* somebody made our pipe or terminal non-blocking */
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            poll(&ready, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* With SIGPIPE held back; the one that our own write raised is taken away, one that was pending before stays.
 */
static int output_write(int fd, const char *data, size_t bytes) {
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    int reason = output_write_all(fd, data, bytes);
    if (reason == EPIPE && !sigismember(&pending, SIGPIPE)) {
        struct timespec now = {0};
        while (sigtimedwait(&pipe_signal, NULL, &now) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return reason;
}

/* --- files ------------------------------------------------------------------------------------ */

enum { BUFFER_BYTES = 1 << 16 };

struct omni_output {
    char name[PATH_MAX]; /* as the caller said, for messages */
    int fd;
    bool owned;                                 /* close it */
    char temporary[PATH_MAX], target[PATH_MAX]; /* to rename at the end; empty: there is nothing to rename */
    int reason;                                 /* errno of the first failure; 0: none */
    size_t used;
    char buffer[BUFFER_BYTES];
};

/* The directory of a path, "." when it names none, into dir[PATH_MAX]. */
static bool output_directory(const char *path, char dir[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 1;
    if (slash == path) length = 1; /* "/x" */
    if (length >= PATH_MAX) return false;
    memcpy(dir, slash ? path : ".", length);
    dir[length] = '\0';
    return true;
}

/* A new file beside `path`; its name into temporary[PATH_MAX]. Negative: not possible, see errno. */
static int output_create_beside(const char *path, char temporary[PATH_MAX]) {
    char dir[PATH_MAX];
    errno = ENAMETOOLONG;
    if (!output_directory(path, dir)) return -1;
    for (unsigned n = 0; n < 1000; n++) {
        int length = snprintf(temporary, PATH_MAX, "%s/.omnibus-%ld-%u.tmp", dir, (long)getpid(), n);
        errno = ENAMETOOLONG;
        if (length < 0 || length >= PATH_MAX) return -1;
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); /* less the umask */
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

/* old: what is there now, NULL if nothing is; its mode is kept. 0, or the errno. */
static int open_beside(omni_output *o, const char *path, const struct stat *old) {
    if (strlen(path) >= sizeof o->target) return ENAMETOOLONG;
    o->fd = output_create_beside(path, o->temporary);
    if (o->fd < 0) {
        int reason = errno;
        o->temporary[0] = '\0';
        return reason;
    }
    o->owned = true;
    strcpy(o->target, path);
    if (old) (void)!fchmod(o->fd, old->st_mode & 0777);
    return 0;
}

static int open_stdout(omni_output *o) {
    o->fd = STDOUT_FILENO;
    return fflush(stdout) == 0 ? 0 : errno; /* what others printed comes first */
}

static int open_path(omni_output *o, const char *path) {
    struct stat old, out;
    if (stat(path, &old) != 0) return errno == ENOENT ? open_beside(o, path, NULL) : errno;
    if (fstat(STDOUT_FILENO, &out) == 0 && out.st_dev == old.st_dev && out.st_ino == old.st_ino)
        return open_stdout(o); /* /dev/stdout, perhaps in the middle of a file */
    if (!S_ISREG(old.st_mode)) {
        o->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        o->owned = o->fd >= 0;
        return o->owned ? 0 : errno;
    }
    char *target = realpath(path, NULL);
    if (!target) return errno;
    int reason = open_beside(o, target, &old);
    free(target);
    return reason;
}

static omni_status failed(const omni_output *o, omni_error *err) {
    if (o->reason == EPIPE && o->fd == STDOUT_FILENO)
        return omni_error_set(err, OMNI_RUN_FAILED, "%s", ""); /* head has seen enough */
    return omni_error_set(err, OMNI_RUN_FAILED, "%s: cannot write (%s)", o->name, strerror(o->reason));
}

omni_status omni_output_open(const char *path, omni_output **out, omni_error *err) {
    omni_output *o = *out = omni_alloc(sizeof *o);
    if (!o)
        return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory for the report",
                              path ? path : "stdout");
    snprintf(o->name, sizeof o->name, "%s", path ? path : "stdout");
    o->reason = path ? open_path(o, path) : open_stdout(o);
    if (o->reason == 0) return OMNI_OK;
    failed(o, err);
    omni_free(o);
    *out = NULL;
    return OMNI_RUN_FAILED;
}

static void flush(omni_output *o) {
    if (o->reason == 0) o->reason = output_write(o->fd, o->buffer, o->used);
    o->used = 0;
}

void omni_output_append(omni_output *o, const char *bytes, size_t count) {
    while (count && o->reason == 0) {
        size_t n = sizeof o->buffer - o->used < count ? sizeof o->buffer - o->used : count;
        memcpy(o->buffer + o->used, bytes, n);
        o->used += n;
        bytes += n;
        count -= n;
        if (o->used == sizeof o->buffer) flush(o);
    }
}

void omni_output_add(omni_output *o, const char *format, ...) {
    enum { LONGEST = 4096 };
    if (sizeof o->buffer - o->used < LONGEST) flush(o);
    va_list args;
    va_start(args, format);
    int length = vsnprintf(o->buffer + o->used, LONGEST, format, args);
    va_end(args);
    if (length < 0 || length >= LONGEST) {
        o->reason = o->reason ? o->reason : EOVERFLOW;
        return;
    }
    o->used += (size_t)length;
}

bool omni_output_failed(const omni_output *o) {
    return o->reason != 0;
}

omni_status omni_output_close(omni_output *o, bool keep, omni_error *err) {
    if (!o) return OMNI_OK;
    bool replaces = o->temporary[0];
    if (keep) flush(o);
    if (keep && replaces && o->reason == 0 && fsync(o->fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        o->reason = errno;
    if (o->owned && close(o->fd) != 0 && o->reason == 0) o->reason = errno;
    if (keep && replaces && o->reason == 0 && rename(o->temporary, o->target) != 0) o->reason = errno;
    if (replaces && (!keep || o->reason)) unlink(o->temporary);
    omni_status status = keep && o->reason ? failed(o, err) : OMNI_OK;
    omni_free(o);
    return status;
}

omni_status omni_text_emit(const omni_text *t, const char *path, omni_error *err) {
    omni_output *o;
    if (text_failed(t))
        return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory for the report",
                              path ? path : "stdout");
    omni_status status = omni_output_open(path, &o, err);
    if (status) return status;
    omni_output_append(o, omni_text_string(t), text_length(t));
    return omni_output_close(o, true, err);
}

/* 0, or the errno that open_path would likely meet. */
static int output_obstacle(const char *path) {
    struct stat old;
    char dir[PATH_MAX];
    bool exists = stat(path, &old) == 0;
    if (!exists && errno != ENOENT) return errno;
    if (exists && S_ISDIR(old.st_mode)) return EISDIR;
    if (exists && !S_ISREG(old.st_mode)) return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 ? 0 : errno;
    char *target = exists ? realpath(path, NULL) : NULL;
    bool fits = output_directory(target ? target : path, dir);
    free(target);
    if (!fits) return ENAMETOOLONG;
    size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/') return ENOENT;
    return faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* Where a file is, or would be made: links followed, the directory by its own name. NULL: nowhere. Free with
 * free(). */
static char *output_target(const char *path) {
    char dir[PATH_MAX], *there = realpath(path, NULL), *target = NULL;
    const char *slash = strrchr(path, '/');
    if (there || errno != ENOENT || !output_directory(path, dir)) return there;
    there = realpath(dir, NULL);
    if (there && asprintf(&target, "%s/%s", there, slash ? slash + 1 : path) < 0) target = NULL;
    free(there);
    return target;
}

bool omni_output_same(const char *a, const char *b) {
    char *x = a && b ? output_target(a) : NULL, *y = x ? output_target(b) : NULL;
    bool same = a && b && (strcmp(a, b) == 0 || (y && strcmp(x, y) == 0));
    free(x);
    free(y);
    return same;
}

omni_status omni_output_check(const char *path, omni_error *err) {
    int reason = path ? output_obstacle(path) : 0;
    if (reason == 0) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: cannot write (%s)", path, strerror(reason));
}
