/* synth_write.c: the bytes of a synthetic checkpoint, from many threads, in whole blocks:
 *
 *   block i of all files --next free number--> a worker: header and tensors' elements into its buffer,
 *   pwrite, and ask the kernel to begin writing it out       the caller: progress, stop, then fsync
 *
 * Which thread makes which block does not matter: elements are a function of their place. A worker keeps the
 * file of its last block open. The disk starts with the first block, so that little is left for fsync, and
 * what is left is waited for in pieces between which the caller may stop. No tensor is ever whole in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "synth.h"

enum { WATCH_MS = 50, SETTLE_BYTES = 64 << 20 };

/* What the workers share. The mutex guards `running`; the atomics are counters and a flag on their own, and
 * nothing else is read because of them: relaxed. */
typedef struct job {
    const synth *s;
    _Atomic uint64_t next, done; /* block to take; bytes written */
    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t left;
    size_t running;
    omni_status status; /* of the first that failed, with its text; under the lock */
    omni_error *err;
} job;

static int open_temporary(const synth *s, const synth_file *f, int flags) {
    char name[sizeof f->name + sizeof SYNTH_SUFFIX];
    snprintf(name, sizeof name, "%s%s", f->name, SYNTH_SUFFIX);
    return openat(s->dir, name, O_WRONLY | O_CLOEXEC | flags, 0666);
}

static bool go_on(const synth *s, uint64_t done) {
    return !s->o->watch || s->o->watch(s->o->watch_arg, done, s->bytes);
}

/* --- space ------------------------------------------------------------------------------------ */

/* 0 or an errno. Where space cannot be reserved the file is as long, and a full disk shows later. */
static int reserve_file(const synth *s, const synth_file *f) {
    int fd = open_temporary(s, f, O_CREAT | O_EXCL), why = 0;
    if (fd < 0) return errno;
    do {
        why = fallocate(fd, 0, 0, (off_t)f->bytes) == 0 ? 0 : errno;
    } while (why == EINTR && go_on(s, 0));
    if (why == EOPNOTSUPP || why == ENOSYS) why = ftruncate(fd, (off_t)f->bytes) == 0 ? 0 : errno;
    if (close(fd) != 0 && !why) why = errno;
    return why;
}

omni_status synth_reserve(const synth *s, omni_error *err) {
    for (size_t k = 0; k < s->files; k++) {
        if (!go_on(s, 0)) return synth_stopped(err);
        int why = reserve_file(s, &s->file[k]);
        if (why == EINTR) return synth_stopped(err);
        if (why) return synth_refused(s, s->file[k].name, why, err);
    }
    return OMNI_OK;
}

/* --- workers ---------------------------------------------------------------------------------- */

/* The bytes [from, to) of a file. Header and block sizes are multiples of every element's size, so each
 * tensor begins aligned in the buffer. */
static void make_block(const synth *s, const synth_file *f, uint64_t from, uint64_t to, char *buffer) {
    if (from < f->head_bytes)
        memcpy(buffer, f->head + from, (size_t)((to < f->head_bytes ? to : f->head_bytes) - from));
    uint64_t base = f->count ? s->begin[f->first] : 0;
    for (size_t i = f->first; i < f->first + f->count; i++) {
        uint64_t begin = f->head_bytes + s->begin[i] - base, end = f->head_bytes + s->begin[i + 1] - base;
        omni_dtype dtype = s->o->spec[i].dtype;
        size_t each = omni_dtype_bytes(dtype);
        if (end <= from || begin == end) continue;
        if (begin >= to) break;
        uint64_t low = begin > from ? begin : from, high = end < to ? end : to;
        weights_random_fill(&s->random[i], dtype, (size_t)(low - begin) / each, (size_t)(high - low) / each,
                            buffer + (low - from));
    }
}

static int write_at(int fd, const char *data, size_t bytes, off_t at) {
    while (bytes > 0) {
        ssize_t n = pwrite(fd, data, bytes, at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 ? errno : EIO;
        data += n;
        at += n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* 0 or an errno. */
static int write_block(job *j, const synth_file *f, int fd, uint64_t block, char *buffer) {
    uint64_t from = (block - f->block) * SYNTH_BLOCK;
    uint64_t to = from + SYNTH_BLOCK < f->bytes ? from + SYNTH_BLOCK : f->bytes;
    make_block(j->s, f, from, to, buffer);
    int why = write_at(fd, buffer, (size_t)(to - from), (off_t)from);
    if (!why) {
        (void)sync_file_range(fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE); /* only a hint */
        atomic_fetch_add_explicit(&j->done, to - from, memory_order_relaxed);
    }
    return why;
}

static void fail(job *j, const char *name, int why) {
    atomic_store_explicit(&j->stop, true, memory_order_relaxed);
    pthread_mutex_lock(&j->lock);
    if (!j->status) j->status = synth_refused(j->s, name, why, j->err);
    pthread_mutex_unlock(&j->lock);
}

static void take_blocks(job *j, char *buffer) {
    const synth *s = j->s;
    const synth_file *f = s->file, *open_file = NULL;
    int fd = -1, why = 0;
    while (!why && !atomic_load_explicit(&j->stop, memory_order_relaxed)) {
        uint64_t block = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed);
        if (block >= s->blocks) break;
        while (f + 1 < s->file + s->files && f[1].block <= block) f++;
        if (open_file != f) {
            if (fd >= 0 && close(fd) != 0) why = errno;
            fd = open_temporary(s, f, 0);
            open_file = f;
        }
        if (!why) why = fd < 0 ? errno : write_block(j, f, fd, block, buffer);
    }
    if (fd >= 0 && close(fd) != 0 && !why) why = errno;
    if (why) fail(j, f->name, why);
}

static void *work(void *arg) {
    job *j = arg;
    char *buffer = omni_alloc(SYNTH_BLOCK);
    if (buffer)
        take_blocks(j, buffer);
    else
        fail(j, "", ENOMEM);
    omni_free(buffer);
    pthread_mutex_lock(&j->lock);
    j->running--;
    pthread_cond_signal(&j->left);
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* --- the caller ------------------------------------------------------------------------------- */

static void watch_workers(job *j) {
    pthread_mutex_lock(&j->lock);
    while (j->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WATCH_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&j->left, &j->lock, &until);
        pthread_mutex_unlock(&j->lock);
        if (!go_on(j->s, atomic_load_explicit(&j->done, memory_order_relaxed)))
            atomic_store_explicit(&j->stop, true, memory_order_relaxed);
        pthread_mutex_lock(&j->lock);
    }
    pthread_mutex_unlock(&j->lock);
}

/* As many as can be had; one is enough. */
static omni_status run_workers(job *j) {
    size_t want = j->s->o->threads < j->s->blocks ? j->s->o->threads : (size_t)j->s->blocks, started = 0;
    pthread_t *thread = calloc(want + 1, sizeof *thread);
    int why = thread ? 0 : ENOMEM;
    while (!why && started < want) {
        pthread_mutex_lock(&j->lock);
        why = pthread_create(&thread[started], NULL, work, j);
        if (!why) j->running++, started++;
        pthread_mutex_unlock(&j->lock);
    }
    watch_workers(j);
    for (size_t i = 0; i < started; i++) pthread_join(thread[i], NULL);
    free(thread);
    return started
               ? j->status
               : omni_error_set(j->err, OMNI_RUN_FAILED, "%s: no thread (%s)", j->s->o->dir, strerror(why));
}

/* 0 or an errno. A stop leaves early, and shows at the next look. */
static int settle_file(const synth *s, const synth_file *f) {
    int fd = open_temporary(s, f, 0), why = 0;
    if (fd < 0) return errno;
    bool stopped = !go_on(s, s->bytes);
    for (uint64_t at = 0; !stopped && at < f->bytes; at += SETTLE_BYTES) {
        if (sync_file_range(fd, (off_t)at, SETTLE_BYTES,
                            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                SYNC_FILE_RANGE_WAIT_AFTER) != 0)
            break; /* not everywhere; fsync is */
        stopped = !go_on(s, s->bytes);
    }
    if (!stopped && fsync(fd) != 0) why = errno;
    if (close(fd) != 0 && !why) why = errno;
    return why;
}

static omni_status settle(const synth *s, omni_error *err) {
    for (size_t k = 0; k < s->files; k++) {
        int why = settle_file(s, &s->file[k]);
        if (!go_on(s, s->bytes)) return synth_stopped(err);
        if (why) return synth_refused(s, s->file[k].name, why, err);
    }
    return OMNI_OK;
}

omni_status synth_fill(const synth *s, omni_error *err) {
    job j = {.s = s, .lock = PTHREAD_MUTEX_INITIALIZER, .left = PTHREAD_COND_INITIALIZER, .err = err};
    omni_status status = run_workers(&j);
    if (!status && !go_on(s, atomic_load_explicit(&j.done, memory_order_relaxed)))
        status = synth_stopped(err);
    if (!status) status = settle(s, err);
    return status;
}
