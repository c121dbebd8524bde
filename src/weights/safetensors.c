/* safetensors.c: the header of a safetensors file. Layout (huggingface.co/docs/safetensors, "Format"):
 *
 *     8 bytes   N, little-endian
 *     N bytes   JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}
 *     the rest  data; offsets count from here, tile it without hole or overlap
 *
 * A file comes from anywhere, so nothing in it is used before it was checked: the length against the file,
 * the JSON (no key twice, no NUL in a key, no depth that would exhaust the stack: jansson refuses them),
 * every dtype, shape and range, and last the tiling. After that each tensor is a range that lay in the file
 * when it was opened. Data may be unaligned.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"

enum { LENGTH_BYTES = 8, MAX_HEADER_BYTES = 100000000 }; /* the limit of the reference implementation */

/* A tensor and its place in the data section. */
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

static omni_status open_file(weights_file *f, size_t *bytes, omni_error *err) {
    struct stat st;
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not block before it is refused */
    if (f->fd < 0 || fstat(f->fd, &st) != 0)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s", f->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: not a regular file (expected safetensors)", f->path);
    if (st.st_size < LENGTH_BYTES)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: too short, %lld bytes (expected a safetensors header)", f->path,
                              (long long)st.st_size);
    *bytes = (size_t)st.st_size;
    return OMNI_OK;
}

static omni_status cannot_read(const char *path, omni_error *err) {
    return omni_error_set(err, OMNI_RUN_FAILED, "%s: header cannot be read: %s", path,
                          errno ? strerror(errno) : "the file changed while in use");
}

/* Length of the JSON, which lies in the file. */
static omni_status header_length(const weights_file *f, size_t bytes, size_t *length, omni_error *err) {
    unsigned char field[LENGTH_BYTES];
    uint64_t n = 0;
    if (!weights_pread(f->fd, field, sizeof field, 0)) return cannot_read(f->path, err);
    for (size_t i = 0; i < LENGTH_BYTES; i++) n |= (uint64_t)field[i] << 8 * i;
    if (n > MAX_HEADER_BYTES)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "%s: header of %llu bytes is too long (expected at most %d; is it safetensors?)", f->path,
            (unsigned long long)n, MAX_HEADER_BYTES);
    if (n > bytes - LENGTH_BYTES)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: header of %llu bytes is cut short (the file has %zu bytes)", f->path,
                              (unsigned long long)n, bytes);
    *length = (size_t)n;
    return OMNI_OK;
}

/* The JSON, an object. */
static omni_status load_header(const weights_file *f, size_t length, json_t **out, omni_error *err) {
    json_error_t why;
    char *text = malloc(length + 1);
    omni_status status = OMNI_OK;
    if (!text) {
        status = omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", f->path);
    } else if (!weights_pread(f->fd, text, length, LENGTH_BYTES)) {
        status = cannot_read(f->path, err);
    } else if (length == 0 || text[0] != '{') {
        status = omni_error_set(err, OMNI_BAD_INPUT,
                                "%s: header does not begin with '{' (expected safetensors)", f->path);
    } else if (!(*out = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why))) {
        status = omni_error_set(err, OMNI_BAD_INPUT, "%s: header is not JSON: %s (expected safetensors)",
                                f->path, why.text);
    }
    free(text);
    return status;
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

/* The entries' tensors behind those that w has. */
static bool append(omni_weights *w, size_t file, const entry *entries, size_t count, uint64_t data) {
    omni_tensor *all = realloc(w->tensors, (w->count + count + 1) * sizeof *all);
    if (!all) return false;
    w->tensors = all;
    for (size_t i = 0; i < count; i++) {
        omni_tensor *t = &all[w->count];
        *t = entries[i].tensor;
        t->file = file;
        t->offset = data + entries[i].begin;
        t->name = strdup(entries[i].tensor.name);
        if (!t->name) return false;
        w->count++;
    }
    return true;
}

omni_status weights_add_file(omni_weights *w, size_t file, omni_error *err) {
    weights_file *f = &w->file[file];
    size_t bytes = 0, length = 0, count = 0;
    json_t *header = NULL;
    entry *entries = NULL;
    omni_status status = open_file(f, &bytes, err);
    if (!status) status = header_length(f, bytes, &length, err);
    if (!status) status = load_header(f, length, &header, err);
    if (status) goto out;
    size_t data = LENGTH_BYTES + length;
    entries = calloc(json_object_size(header) + 1, sizeof *entries);
    if (entries) status = parse_entries(f->path, header, bytes - data, entries, &count, err);
    if (!status && (!entries || !append(w, file, entries, count, data)))
        status = omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", f->path);
out:
    free(entries);
    json_decref(header);
    return status;
}
