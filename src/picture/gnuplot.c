/* gnuplot.c: the program that draws. Its script and what it says go through files without a name, so that
 * nobody waits for anybody:
 *
 *     script -> [stdin]  gnuplot  [stdout] -> the picture
 *                                 [stderr] -> its first line, if it fails
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "picture/internal.h"

extern char **environ;

enum { MOST_BYTES = 64 << 20 };

static int unnamed(void) {
    return memfd_create("omnibus-gnuplot", MFD_CLOEXEC);
}

static bool write_whole(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t n = write(fd, bytes, count);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes += n;
        count -= (size_t)n;
    }
    return lseek(fd, 0, SEEK_SET) == 0;
}

/* What is in the file, onto `out`; false: it could not be read. */
static bool read_whole(int fd, omni_text *out) {
    char piece[65536];
    size_t all = 0;
    if (lseek(fd, 0, SEEK_SET) != 0) return false;
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) != 0;) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 || (all += (size_t)n) > MOST_BYTES) return false;
        omni_text_append(out, piece, (size_t)n);
    }
    return true;
}

/* 0, or the errno of the start; *status as waitpid's. */
static int run(int in, int out, int complaints, int *status) {
    char *const argv[] = {"gnuplot", "-d", "-", NULL}; /* -d: without what a user has in ~/.gnuplot */
    posix_spawn_file_actions_t files;
    pid_t child;
    int reason = posix_spawn_file_actions_init(&files);
    if (reason) return reason;
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, complaints, STDERR_FILENO);
    reason = posix_spawnp(&child, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (reason) return reason;
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR) return errno;
    return 0;
}

static omni_status failed(int complaints, omni_error *err) {
    omni_text *said = omni_text_create();
    char line[200] = "";
    read_whole(complaints, said);
    const char *s = omni_text_string(said);
    while (*s == '\n' || *s == ' ') s++;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(s, "\n"), s);
    omni_text_free(said);
    return omni_error_set(err, OMNI_RUN_FAILED, "gnuplot failed (%s)", line[0] ? line : "it says nothing");
}

static omni_status draw(const char *script, omni_text *out, omni_error *err) {
    int in = unnamed(), picture = unnamed(), complaints = unnamed(), status = 0;
    omni_status result = OMNI_OK;
    if (in < 0 || picture < 0 || complaints < 0 || !write_whole(in, script, strlen(script))) {
        result =
            omni_error_set(err, OMNI_RUN_FAILED, "gnuplot: no memory for its script (%s)", strerror(errno));
    } else {
        int reason = run(in, picture, complaints, &status);
        if (reason == ENOENT)
            result = omni_error_set(
                err, OMNI_RUN_FAILED,
                "gnuplot: not found, and it draws the pictures (Debian's package is gnuplot-nox)");
        else if (reason)
            result =
                omni_error_set(err, OMNI_RUN_FAILED, "gnuplot: cannot be started (%s)", strerror(reason));
        else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            result = failed(complaints, err);
        else if (!read_whole(picture, out))
            result = omni_error_set(err, OMNI_RUN_FAILED, "gnuplot: its picture cannot be read (%s)",
                                    strerror(errno));
    }
    if (in >= 0) close(in);
    if (picture >= 0) close(picture);
    if (complaints >= 0) close(complaints);
    return result;
}

omni_status omni_picture_draw(const omni_results *r, omni_picture p, omni_image image, omni_text *out,
                              omni_error *err) {
    if (!omni_picture_has(r, p))
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "--picture %s: the results have no points for it (it needs %s)",
                              omni_picture_name(p), omni_picture_needs(p));
    omni_text *script = omni_text_create();
    omni_picture_script(r, p, image, script);
    omni_status status = draw(omni_text_string(script), out, err);
    omni_text_free(script);
    return status;
}
