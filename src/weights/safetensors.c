/* safetensors.c: one safetensors file, mapped. Layout (huggingface.co/docs/safetensors, "Format"):
 *
 *     8 bytes   N, little-endian
 *     N bytes   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
 *     the rest  data; offsets count from here, tile it without hole or overlap
 *
 * A file comes from anywhere, so nothing in it is used before it was checked: the length against the file,
 * the JSON (no key twice, no NUL in a key: jansson refuses both), every dtype, shape and range, and last the
 * tiling. After that each tensor is a view that cannot leave the mapping. Data may be unaligned.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"

enum { LENGTH_BYTES = 8, MAX_HEADER_BYTES = 100000000 }; /* the limit of the reference implementation */

/* A tensor and its place in the data section, before the views are made. */
typedef struct entry {
    omni_tensor tensor;
    size_t begin, end;
    size_t order; /* in the header */
} entry;

static omni_status fail(omni_error *err, const char *path, const char *name, const char *what,
                        const char *expected) {
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: tensor '%.80s': %s (expected %s)", path, name, what,
                          expected);
}

/* --- the file --------------------------------------------------------------------------------- */

static omni_status map_file(const char *path, void **map, size_t *bytes, omni_error *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not block before it is refused */
    if (fd < 0) return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s", path, strerror(errno));
    omni_status status = OMNI_OK;
    if (fstat(fd, &st) != 0) {
        status = omni_error_set(err, OMNI_BAD_INPUT, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        status = omni_error_set(err, OMNI_BAD_INPUT, "%s: not a regular file (expected safetensors)", path);
    } else if (st.st_size < LENGTH_BYTES) {
        status =
            omni_error_set(err, OMNI_BAD_INPUT, "%s: too short, %lld bytes (expected a safetensors header)",
                           path, (long long)st.st_size);
    } else {
        *bytes = (size_t)st.st_size;
        *map = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (*map == MAP_FAILED)
            status = omni_error_set(err, OMNI_RUN_FAILED, "%s: mmap: %s", path, strerror(errno));
    }
    close(fd);
    return status;
}

/* Length of the JSON, which lies in the file and begins with '{'. */
static omni_status header_length(const char *path, const unsigned char *map, size_t bytes, size_t *length,
                                 omni_error *err) {
    uint64_t n = 0;
    for (size_t i = 0; i < LENGTH_BYTES; i++) n |= (uint64_t)map[i] << 8 * i;
    if (n > MAX_HEADER_BYTES)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "%s: header of %llu bytes is too long (expected at most %d; is it safetensors?)", path,
            (unsigned long long)n, MAX_HEADER_BYTES);
    if (n > bytes - LENGTH_BYTES)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: header of %llu bytes is cut short (the file has %zu bytes)", path,
                              (unsigned long long)n, bytes);
    if (n == 0 || map[LENGTH_BYTES] != '{')
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: header does not begin with '{' (expected safetensors)", path);
    *length = (size_t)n;
    return OMNI_OK;
}

/* --- one tensor ------------------------------------------------------------------------------- */

static bool parse_dtype(const json_t *value, omni_dtype *out) {
    for (int d = 0; json_is_string(value) && d < OMNI_DTYPES; d++) {
        if (strcmp(json_string_value(value), omni_dtype_name((omni_dtype)d)) != 0) continue;
        *out = (omni_dtype)d;
        return true;
    }
    return false;
}

/* A JSON array of whole numbers >= 0; false for anything else or more than max. */
static bool parse_sizes(const json_t *array, size_t max, size_t *out, size_t *count) {
    *count = json_array_size(array);
    if (!json_is_array(array) || *count > max) return false;
    for (size_t i = 0; i < *count; i++) {
        const json_t *n = json_array_get(array, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0) return false;
        out[i] = (size_t)json_integer_value(n);
    }
    return true;
}

static omni_status parse_dtype_shape(const char *path, const char *name, const json_t *info, omni_tensor *t,
                                     size_t *bytes, omni_error *err) {
    const json_t *dtype = json_object_get(info, "dtype");
    if (!parse_dtype(dtype, &t->dtype))
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "%s: tensor '%.80s': unknown dtype '%.16s' (expected F32, F16, BF16, F64, I32, I64, U8 "
            "or BOOL)",
            path, name, json_is_string(dtype) ? json_string_value(dtype) : "");
    if (!parse_sizes(json_object_get(info, "shape"), OMNI_MAX_RANK, t->shape, &t->rank))
        return fail(err, path, name, "bad shape", "at most 8 whole numbers");
    if (!weights_tensor_bytes(t->shape, t->rank, t->dtype, &t->elements, bytes))
        return fail(err, path, name, "shape overflows", "a size that fits in memory");
    return OMNI_OK;
}

static omni_status parse_tensor(const char *path, const char *name, const json_t *info, size_t data_bytes,
                                entry *e, omni_error *err) {
    size_t bytes = 0, offsets[2] = {0}, count;
    if (!json_is_object(info)) return fail(err, path, name, "not an object", "dtype, shape and data_offsets");
    omni_status status = parse_dtype_shape(path, name, info, &e->tensor, &bytes, err);
    if (status) return status;
    if (!parse_sizes(json_object_get(info, "data_offsets"), 2, offsets, &count) || count != 2)
        return fail(err, path, name, "bad data_offsets", "[begin, end]");
    e->begin = offsets[0];
    e->end = offsets[1];
    if (e->begin > e->end) return fail(err, path, name, "data_offsets begin after their end", "begin <= end");
    if (e->end > data_bytes)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "%s: tensor '%.80s': data_offsets end at %zu, outside the file (expected at most %zu)", path,
            name, e->end, data_bytes);
    if (e->end - e->begin != bytes)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "%s: tensor '%.80s': %zu bytes of data (expected %zu, its shape times its dtype)", path, name,
            e->end - e->begin, bytes);
    return OMNI_OK;
}

static omni_status check_metadata(const char *path, const json_t *metadata, omni_error *err) {
    bool good = json_is_object(metadata);
    for (void *i = json_object_iter((json_t *)(uintptr_t)metadata); good && i;
         i = json_object_iter_next((json_t *)(uintptr_t)metadata, i))
        good = json_is_string(json_object_iter_value(i));
    return good ? OMNI_OK
                : omni_error_set(err, OMNI_BAD_INPUT, "%s: bad __metadata__ (expected an object of strings)",
                                 path);
}

/* --- all of them ------------------------------------------------------------------------------ */

static int by_place(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* Sorted entries must follow each other from 0 to the end of the file. */
static omni_status check_tiling(const char *path, const entry *entries, size_t count, size_t data_bytes,
                                omni_error *err) {
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = entries[i].tensor.name;
        if (entries[i].begin < next)
            return fail(err, path, name, "overlaps another tensor", "ranges of their own");
        if (entries[i].begin > next) return fail(err, path, name, "a gap before it", "tensors without holes");
        next = entries[i].end;
    }
    if (next == data_bytes) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: %zu bytes after the last tensor (expected none)", path,
                          data_bytes - next);
}

/* Entries in the order of their data. Names are borrowed from the JSON. */
static omni_status parse_entries(const char *path, json_t *header, size_t data_bytes, entry *entries,
                                 size_t *count, omni_error *err) {
    const char *name;
    json_t *info;
    *count = 0;
    json_object_foreach(header, name, info) {
        omni_status status;
        if (strcmp(name, "__metadata__") == 0) {
            status = check_metadata(path, info, err);
        } else {
            entry *e = &entries[*count];
            e->tensor.name = name;
            e->order = (*count)++;
            status = parse_tensor(path, name, info, data_bytes, e, err);
        }
        if (status) return status;
    }
    qsort(entries, *count, sizeof *entries, by_place);
    return check_tiling(path, entries, *count, data_bytes, err);
}

static omni_weights *make_source(const char *path, const entry *entries, size_t count, const char *data) {
    omni_weights *w = weights_new(path, count);
    bool good = w != NULL;
    for (size_t i = 0; good && i < count; i++) {
        w->tensors[i] = entries[i].tensor;
        w->tensors[i].data = data + entries[i].begin;
        w->tensors[i].name = strdup(entries[i].tensor.name);
        good = w->tensors[i].name != NULL;
    }
    if (!good) {
        omni_weights_close(w);
        return NULL;
    }
    weights_index(w); /* no name twice: the JSON had none */
    return w;
}

static omni_status parse_header(const char *path, const char *map, size_t bytes, omni_weights **out,
                                omni_error *err) {
    size_t length = 0, count = 0;
    omni_status status = header_length(path, (const unsigned char *)map, bytes, &length, err);
    if (status) return status;
    json_error_t why;
    json_t *header = json_loadb(map + LENGTH_BYTES, length, JSON_REJECT_DUPLICATES, &why);
    if (!header)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: header is not JSON: %s (expected safetensors)", path,
                              why.text);
    entry *entries = calloc(json_object_size(header) + 1, sizeof *entries);
    if (entries) {
        size_t data_bytes = bytes - LENGTH_BYTES - length;
        status = parse_entries(path, header, data_bytes, entries, &count, err);
        if (!status) *out = make_source(path, entries, count, map + LENGTH_BYTES + length);
    }
    if (!status && !*out) status = omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    free(entries);
    json_decref(header);
    return status;
}

omni_status omni_weights_open_file(const char *path, omni_weights **out, omni_error *err) {
    void *map = NULL;
    size_t bytes = 0;
    *out = NULL;
    omni_status status = map_file(path, &map, &bytes, err);
    if (status) return status;
    status = parse_header(path, map, bytes, out, err);
    if (status) {
        munmap(map, bytes);
        return status;
    }
    madvise(map, bytes, MADV_SEQUENTIAL); /* a hint; loads walk each tensor once */
    (*out)->map = map;
    (*out)->map_bytes = bytes;
    return OMNI_OK;
}
