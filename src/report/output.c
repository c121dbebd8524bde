/* output.c: where a finished text goes.
 *
 *     no path, or stdout's own file             write to descriptor 1
 *     exists and is no regular file             write to it: /dev/null, a fifo, /dev/full
 *     anything else                             DIR/.omnibus-PID-N.tmp, then rename: all or nothing
 *
 * A symbolic link is followed, so that the rename replaces the file and not the link. A broken pipe is an
 * error like a full disk, but of stdout one without a text, for nobody wants to hear of it. The signal that comes with
 * it is held back while we write, whatever the program does with signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
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
static int output_write(int fd, const omni_text *t) {
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    int reason = output_write_all(fd, omni_text_string(t), text_length(t));
    if (reason == EPIPE && !sigismember(&pending, SIGPIPE)) {
        struct timespec now = {0};
        while (sigtimedwait(&pipe_signal, NULL, &now) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return reason;
}

/* --- files ------------------------------------------------------------------------------------ */

static int output_to_stdout(const omni_text *t) {
    if (fflush(stdout) != 0) return errno; /* what others printed comes first */
    return output_write(STDOUT_FILENO, t);
}

static int output_direct(const char *path, const omni_text *t) {
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return errno;
    int reason = output_write(fd, t);
    if (close(fd) != 0 && reason == 0) reason = errno;
    return reason;
}

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

/* old: what is there now, NULL if nothing is; its mode is kept. */
static int output_replace(const char *path, const struct stat *old, const omni_text *t) {
    char temporary[PATH_MAX];
    int fd = output_create_beside(path, temporary);
    if (fd < 0) return errno;
    if (old) (void)!fchmod(fd, old->st_mode & 0777);
    int reason = output_write(fd, t);
    if (reason == 0 && fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP) reason = errno;
    if (close(fd) != 0 && reason == 0) reason = errno;
    if (reason == 0 && rename(temporary, path) != 0) reason = errno;
    if (reason != 0) unlink(temporary);
    return reason;
}

static int output_to_path(const char *path, const omni_text *t) {
    struct stat old, out;
    if (stat(path, &old) != 0) return errno == ENOENT ? output_replace(path, NULL, t) : errno;
    if (fstat(STDOUT_FILENO, &out) == 0 && out.st_dev == old.st_dev && out.st_ino == old.st_ino)
        return output_to_stdout(t); /* /dev/stdout, perhaps in the middle of a file */
    if (!S_ISREG(old.st_mode)) return output_direct(path, t);
    char *target = realpath(path, NULL);
    if (!target) return errno;
    int reason = output_replace(target, &old, t);
    free(target);
    return reason;
}

omni_status omni_text_emit(const omni_text *t, const char *path, omni_error *err) {
    const char *name = path ? path : "stdout";
    if (text_failed(t)) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory for the report", name);
    int reason = path ? output_to_path(path, t) : output_to_stdout(t);
    if (reason == EPIPE && !path)
        return omni_error_set(err, OMNI_RUN_FAILED, "%s", ""); /* head has seen enough */
    if (reason != 0)
        return omni_error_set(err, OMNI_RUN_FAILED, "%s: cannot write (%s)", name, strerror(reason));
    return OMNI_OK;
}

/* 0, or the errno that output_to_path would likely meet. */
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

omni_status omni_output_check(const char *path, omni_error *err) {
    int reason = path ? output_obstacle(path) : 0;
    if (reason == 0) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: cannot write (%s)", path, strerror(reason));
}
