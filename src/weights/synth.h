/* synth.h: what the files of a synthetic checkpoint's writer share: the layout of the directory, fixed before
 * the first byte is written.
 *
 *   synth.c        specs --> shards, headers, index       synth_write.c  layout --> bytes, by threads
 */
#ifndef OMNIBUS_WEIGHTS_SYNTH_H
#define OMNIBUS_WEIGHTS_SYNTH_H

#include "source.h"

enum { SYNTH_BLOCK = 4 << 20 }; /* bytes of a file that are made and written at once */

typedef struct synth_file {
    char name[64];       /* in the directory; while it is written with SYNTH_SUFFIX */
    size_t first, count; /* its tensors; count 0: text only */
    char *head;          /* length field and header, or the text; heap */
    size_t head_bytes;
    uint64_t bytes; /* all of the file */
    uint64_t block; /* the number of its first block, counted over all files */
} synth_file;
#define SYNTH_SUFFIX ".tmp"

typedef struct synth {
    const omni_synth_options *o;
    weights_random *random; /* [count] */
    uint64_t *begin;        /* [count + 1] where a tensor's data begins, counted over all tensors */
    synth_file *file;       /* shards, the index if there are several, config.json last */
    size_t files, shards;
    uint64_t blocks, bytes; /* of all files */
    int dir;                /* descriptor */
    bool made;              /* the directory is ours */
} synth;

/* Creates every file at its full size, so that a disk that is too small says so at once. */
omni_status synth_reserve(const synth *s, omni_error *err);

/* Fills them from o->threads threads and brings them to the disk. */
omni_status synth_fill(const synth *s, omni_error *err);

/* "DIR/NAME: cannot write: WHY". */
omni_status synth_refused(const synth *s, const char *name, int why, omni_error *err);

omni_status synth_stopped(omni_error *err);

#endif
