/* source.c: what all sources share: finding a tensor by name, and reading elements, as stored or converted.
 *
 * Stored elements always go through memory of ours before they are looked at:
 *
 *     file --pread--> chunk on the stack (aligned) --convert--> caller
 *
 * pread has no position, so any number of threads read one descriptor at the same time, and a file that
 * shrank is a short read here, not a signal somewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors is little-endian and read in place");

enum { CHUNK = 4096, READ_BYTES = 1 << 30 }; /* elements converted, bytes read at a time */

typedef union chunk {
    float f32[CHUNK];
    double f64[CHUNK];
    uint16_t bits16[CHUNK];
    int32_t i32[CHUNK];
    int64_t i64[CHUNK];
    uint8_t u8[CHUNK];
} chunk;

omni_weights *weights_new(const char *source, size_t count) {
    omni_weights *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->source = strdup(source);
    w->tensors = calloc(count + 1, sizeof *w->tensors);
    w->count = count;
    if (w->source && w->tensors) return w;
    omni_weights_close(w);
    return NULL;
}

void omni_weights_close(omni_weights *w) {
    if (!w) return;
    for (size_t i = 0; w->tensors && i < w->count; i++) free((char *)(uintptr_t)w->tensors[i].name);
    for (size_t i = 0; w->file && i < w->file_count; i++) {
        if (w->file[i].fd >= 0) close(w->file[i].fd);
        free(w->file[i].path);
    }
    free(w->file);
    free(w->random);
    free(w->by_name);
    free(w->tensors);
    free(w->source);
    free(w);
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const omni_tensor *const *)a)->name, (*(const omni_tensor *const *)b)->name);
}

bool weights_index(omni_weights *w, size_t *twice) {
    *twice = 0;
    w->by_name = calloc(w->count + 1, sizeof *w->by_name);
    if (!w->by_name) return false;
    for (size_t i = 0; i < w->count; i++) w->by_name[i] = &w->tensors[i];
    qsort(w->by_name, w->count, sizeof *w->by_name, by_name);
    for (size_t i = 1; i < w->count && !*twice; i++)
        if (strcmp(w->by_name[i - 1]->name, w->by_name[i]->name) == 0) *twice = i;
    return true;
}

bool weights_tensor_bytes(const size_t *shape, size_t rank, omni_dtype dtype, size_t *elements,
                          size_t *bytes) {
    *elements = 1;
    for (size_t i = 0; i < rank; i++)
        if (!omni_size_mul(*elements, shape[i], elements)) return false;
    return omni_size_mul(*elements, omni_dtype_bytes(dtype), bytes);
}

const char *omni_weights_source(const omni_weights *w) {
    return w->source;
}

size_t omni_weights_count(const omni_weights *w) {
    return w->count;
}

const omni_tensor *omni_weights_at(const omni_weights *w, size_t i) {
    return &w->tensors[i];
}

const omni_tensor *omni_weights_find(const omni_weights *w, const char *name) {
    omni_tensor wanted = {.name = name};
    const omni_tensor *key = &wanted;
    const omni_tensor **hit = bsearch(&key, w->by_name, w->count, sizeof *w->by_name, by_name);
    return hit ? *hit : NULL;
}

bool weights_pread(int fd, void *dst, size_t bytes, uint64_t offset) {
    char *to = dst;
    while (bytes > 0) {
        ssize_t n = pread(fd, to, bytes < READ_BYTES ? bytes : READ_BYTES, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = 0;
        if (n <= 0) return false;
        to += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return true;
}

bool omni_weights_read(const omni_weights *w, const omni_tensor *t, size_t first, size_t count, void *dst) {
    if (count == 0) return true;
    size_t each = omni_dtype_bytes(t->dtype);
    if (!w->random) return weights_pread(w->file[t->file].fd, dst, count * each, t->offset + first * each);
    weights_random_fill(&w->random[t - w->tensors], t->dtype, first, count, dst);
    return true;
}

/* In pieces: of a longer one the kernel takes the beginning only. */
void omni_weights_ahead(const omni_weights *w, const omni_tensor *t, size_t first, size_t count) {
    enum { PIECE = 128 << 10 };
    const size_t each = omni_dtype_bytes(t->dtype);
    if (w->random) return;
    for (uint64_t at = t->offset + first * each, end = at + count * each; at < end; at += PIECE)
        (void)posix_fadvise(w->file[t->file].fd, (off_t)at, (off_t)(end - at < PIECE ? end - at : PIECE),
                            POSIX_FADV_WILLNEED);
}

omni_status omni_weights_read_failed(const omni_weights *w, const omni_tensor *t, omni_error *err) {
    struct stat st;
    const weights_file *f = &w->file[t->file];
    uint64_t end = t->offset + t->elements * omni_dtype_bytes(t->dtype);
    if (fstat(f->fd, &st) == 0 && (uint64_t)st.st_size < end)
        return omni_error_set(
            err, OMNI_RUN_FAILED,
            "%s: tensor '%.80s': cut short while in use, %lld bytes (expected at least %llu)", f->path,
            t->name, (long long)st.st_size, (unsigned long long)end);
    return omni_error_set(err, OMNI_RUN_FAILED, "%s: tensor '%.80s': cannot be read: %s", f->path, t->name,
                          errno ? strerror(errno) : "the file changed while in use");
}

static double element(const chunk *c, omni_dtype dtype, size_t i) {
    float half;
    switch (dtype) {
    case OMNI_F32:
        return (double)c->f32[i];
    case OMNI_F16:
        omni_widen(OMNI_F16, &c->bits16[i], &half, 1);
        return (double)half;
    case OMNI_BF16:
        return (double)omni_bf16_to_f32(c->bits16[i]);
    case OMNI_F64:
        return c->f64[i];
    case OMNI_I32:
        return (double)c->i32[i];
    case OMNI_I64:
        return (double)c->i64[i];
    default: /* U8, BOOL */
        return (double)c->u8[i];
    }
}

bool omni_weights_read_f32(const omni_weights *w, const omni_tensor *t, size_t first, size_t count,
                           float *dst) {
    if (t->dtype == OMNI_F32) return omni_weights_read(w, t, first, count, dst);
    for (size_t done = 0; done < count; done += CHUNK) {
        chunk c;
        size_t n = count - done < CHUNK ? count - done : CHUNK;
        if (!omni_weights_read(w, t, first + done, n, &c)) return false;
        if (t->dtype == OMNI_BF16 || t->dtype == OMNI_F16) {
            omni_widen(t->dtype, c.bits16, dst + done, n);
        } else {
            for (size_t i = 0; i < n; i++) dst[done + i] = (float)element(&c, t->dtype, i);
        }
    }
    return true;
}

bool omni_weights_read_f64(const omni_weights *w, const omni_tensor *t, size_t first, size_t count,
                           double *dst) {
    for (size_t done = 0; done < count; done += CHUNK) {
        chunk c;
        size_t n = count - done < CHUNK ? count - done : CHUNK;
        if (!omni_weights_read(w, t, first + done, n, &c)) return false;
        for (size_t i = 0; i < n; i++) dst[done + i] = element(&c, t->dtype, i);
    }
    return true;
}
