/* file.c: a whole small file as text. Its size is taken from the open file, and what was read must be just as
 * much: a file that changes under the reader is an error, not half a text.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "omnibus/base.h"

static omni_status read_all(int fd, const char *path, char *text, size_t size, omni_error *err) {
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, text + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0)
            return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s", path, n < 0 ? strerror(errno) : "cut short");
        done += (size_t)n;
    }
    text[size] = '\0';
    return OMNI_OK;
}

omni_status omni_file_read(const char *path, size_t max, const char *what, char **out, size_t *bytes,
                           omni_error *err) {
    struct stat st;
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s", path, strerror(errno));
    omni_status status = OMNI_OK;
    char *text = NULL;
    if (fstat(fd, &st) != 0) {
        status = omni_error_set(err, OMNI_BAD_INPUT, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max) {
        status = omni_error_set(err, OMNI_BAD_INPUT, "%s: not %s (expected a file of at most %zu MiB)", path,
                                what, max >> 20);
    } else if (!(text = malloc((size_t)st.st_size + 1))) {
        status = omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    } else {
        *bytes = (size_t)st.st_size;
        status = read_all(fd, path, text, *bytes, err);
    }
    close(fd);
    if (status) free(text);
    if (!status) *out = text;
    return status;
}
