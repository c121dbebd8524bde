/* fabric_job.h: PEs on pinned workers with warm buffers, and the fabric's operations on them, as both
 * bench_fabric and peer_fabric time them.
 *
 * n PEs live on min(n, cores) pinned workers. Operations follow each other, and the writer of a broadcast
 * goes round the workers: nobody can write before having read what came before, so a figure is the time of
 * one whole message, not of a stream of them.
 */
#ifndef BENCH_FABRIC_JOB_H
#define BENCH_FABRIC_JOB_H

#include "common.h"
#include "omnibus/fabric.h"

/* The fabrics of a job: the two schedules of a reduction, and the one that moves nothing. */
typedef enum fabric_which { ON_SLICED, ON_PAIRWISE, ON_NULL, FABRICS } fabric_which;

typedef struct fabric_job {
    bench *b;
    omni_fabric *fabric[FABRICS];
    fabric_which in_use;
    size_t pes, workers, bytes;
    size_t iterations;
    unsigned char *memory; /* [pes + 1][pitch], the last one is the shared source of plain copies */
    size_t pitch;
    omni_view *views; /* [pes] */
    void **buffers;   /* [pes] */
    size_t adds;      /* on the longest path of a reduction */
    size_t crossing;  /* levels of it between workers */
} fabric_job;

void fabric_job_open(fabric_job *j, bench *b, size_t pes, size_t bytes);
void fabric_job_close(fabric_job *j);

/* The operations. */
bench_work job_broadcast, job_reduce;
bench_work job_allreduce; /* a reduction, and the broadcast of its result */
/* The same work without the fabric. A worker copies once for each of its ranks (the writer: into the ring
 * instead of to itself; on one worker there is no ring); the additions of the longest path. */
bench_work job_copies, job_adds;
/* One copy of the bytes, by one core alone. */
bench_work job_copy;

/* A series: nanoseconds of one operation. */
typedef struct timed {
    fabric_job *job;
    bench_work *work;
    fabric_which fabric;
    size_t workers; /* 0: all */
    size_t iterations;
} timed;
bench_once timed_once;
/* Runs it cold, then chooses how often a repetition does it. */
void timed_prepare(timed *t);

/* The limit of what moves between cores: nanoseconds until one core has copied what another has just written,
 * without the hand-off. `arg` is a transfer; both buffers are warm. */
typedef struct transfer {
    bench *b;
    size_t bytes;
    unsigned char *memory; /* [3][bytes] what is written from, what is handed over, what it is read to */
    double ns;
    omni_word word[2];
} transfer;
void transfer_open(transfer *t, bench *b, size_t bytes);
void transfer_close(transfer *t);
bench_once transfer_once;

#endif
