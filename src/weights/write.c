/* write.c: writes one safetensors file, whole or not at all:
 *
 *     PATH.tmp.PID.N  --header, data, fsync, close-->  rename to PATH
 *
 * Each step is checked (a full disk may show only at fsync or close); on any failure the temporary file goes
 * and what was at PATH stays. Data is laid out by element size, largest first, as the reference
 * implementation does: so every tensor is aligned to its type in the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"

enum { LENGTH_BYTES = 8, WRITE_BYTES = 1 << 30 };

/* --- header ----------------------------------------------------------------------------------- */

static json_t *shape_json(const omni_tensor_out *t) {
    json_t *array = json_array();
    for (size_t i = 0; i < t->rank; i++)
        if (json_array_append_new(array, json_integer((json_int_t)t->shape[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

/* Adds one tensor whose data begins at *offset, and moves *offset behind it. */
static omni_status add_tensor(const char *path, json_t *header, const omni_tensor_out *t, size_t *offset,
                              omni_error *err) {
    size_t elements, bytes, end;
    if (strcmp(t->name, "__metadata__") == 0 || json_object_get(header, t->name))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: tensor '%.80s' (expected a name of its own)", path,
                              t->name);
    if (t->rank > OMNI_MAX_RANK || !weights_tensor_bytes(t->shape, t->rank, t->dtype, &elements, &bytes) ||
        !omni_size_add(*offset, bytes, &end) || end > INT64_MAX)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: tensor '%.80s' is too large", path, t->name);
    json_t *info = json_pack("{s:s, s:o, s:[I, I]}", "dtype", omni_dtype_name(t->dtype), "shape",
                             shape_json(t), "data_offsets", (json_int_t)*offset, (json_int_t)end);
    if (json_object_set_new(header, t->name, info) != 0) /* no memory, or a name that is not UTF-8 */
        return omni_error_set(err, OMNI_RUN_FAILED, "%s: tensor '%.80s': cannot write its name", path,
                              t->name);
    *offset = end;
    return OMNI_OK;
}

/* Pointers to the tensors by element size, the largest first, else in the caller's order. Malloc'd. */
static const omni_tensor_out **make_layout(const omni_tensor_out *tensors, size_t count) {
    const omni_tensor_out **layout = calloc(count + 1, sizeof *layout);
    size_t n = 0;
    for (size_t bytes = 8; layout && bytes > 0; bytes /= 2)
        for (size_t i = 0; i < count; i++)
            if (omni_dtype_bytes(tensors[i].dtype) == bytes) layout[n++] = &tensors[i];
    return layout;
}

omni_status weights_header(const char *path, const omni_tensor_out *const *layout, size_t count, char **out,
                           size_t *bytes, omni_error *err) {
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt"); /* transformers asks for it */
    size_t offset = 0;
    omni_status status = OMNI_OK;
    for (size_t i = 0; !status && i < count; i++) status = add_tensor(path, header, layout[i], &offset, err);
    size_t length = status ? 0 : json_dumpb(header, NULL, 0, JSON_COMPACT);
    size_t padded = omni_round_up(length, LENGTH_BYTES);
    char *text = length ? malloc(LENGTH_BYTES + padded) : NULL;
    if (text) {
        for (size_t i = 0; i < LENGTH_BYTES; i++) text[i] = (char)(padded >> 8 * i & 0xff);
        memset(text + LENGTH_BYTES, ' ', padded);
        json_dumpb(header, text + LENGTH_BYTES, length, JSON_COMPACT);
        *out = text;
        *bytes = LENGTH_BYTES + padded;
    } else if (!status) {
        status = omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    }
    json_decref(header);
    return status;
}

/* --- file ------------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *data, size_t bytes) {
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes < WRITE_BYTES ? bytes : WRITE_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        data += n;
        bytes -= (size_t)n;
    }
    return true;
}

static bool write_tensors(int fd, const omni_tensor_out *const *layout, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const omni_tensor_out *t = layout[i];
        size_t elements, bytes;
        if (!weights_tensor_bytes(t->shape, t->rank, t->dtype, &elements, &bytes)) return false;
        if (!write_all(fd, t->data, bytes)) return false;
    }
    return true;
}

/* A new file beside `path`, with the permissions of the umask (mkstemp would make it private). */
static int open_temporary(const char *path, char **name) {
    for (unsigned i = 0; i < 1000; i++) {
        if (asprintf(name, "%s.tmp.%ld.%u", path, (long)getpid(), i) < 0) {
            *name = NULL;
            errno = ENOMEM;
            return -1;
        }
        int fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) return fd;
        int why = errno;
        free(*name);
        *name = NULL;
        errno = why;
        if (why != EEXIST) return -1;
    }
    return -1;
}

static omni_status write_file(const char *path, const char *header, size_t header_bytes,
                              const omni_tensor_out *const *layout, size_t count, omni_error *err) {
    char *name = NULL;
    int fd = open_temporary(path, &name), why = 0;
    if (fd < 0) return omni_error_set(err, OMNI_RUN_FAILED, "%s: cannot write: %s", path, strerror(errno));
    if (!write_all(fd, header, header_bytes) || !write_tensors(fd, layout, count) || fsync(fd) != 0)
        why = errno;
    if (close(fd) != 0 && !why) why = errno;
    if (!why && rename(name, path) != 0) why = errno;
    if (why) unlink(name);
    free(name);
    return why ? omni_error_set(err, OMNI_RUN_FAILED, "%s: cannot write: %s", path, strerror(why)) : OMNI_OK;
}

omni_status omni_safetensors_write(const char *path, const omni_tensor_out *tensors, size_t count,
                                   omni_error *err) {
    struct stat st;
    char *header = NULL;
    size_t bytes = 0;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) /* a rename would replace /dev/null itself */
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: not a regular file (expected a file to write)", path);
    const omni_tensor_out **layout = make_layout(tensors, count);
    if (!layout) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    omni_status status = weights_header(path, layout, count, &header, &bytes, err);
    if (!status) status = write_file(path, header, bytes, layout, count, err);
    free(header);
    free(layout);
    return status;
}
