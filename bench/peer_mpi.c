/* peer_mpi.c: a peer of the fabric: MPI_Allreduce of floats, as a user of MPI would write it. Built with the
 * compiler wrapper of each MPI there is (mpicc.openmpi, mpicc.mpich) and started by its mpirun; peer_fabric.c
 * reads the one line that it prints.
 *
 *     peer-mpi-NAME FLOATS      prints the nanoseconds of one call
 *
 * Timed: calls one after the other on the same warm buffers, from the first rank's start to the last one's
 * end. Not timed: starting processes, MPI_Init, first touch, 50 calls that nobody counts. Send and receive
 * buffers are two, so no rank rewrites what others have just read: that favours MPI.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { WARM = 50, LEAST = 20, MOST = 20000 };
static const double seconds = 0.03;

/* Seconds of `calls` calls, those of the slowest rank. */
static double time_calls(const float *in, float *out, int floats, int calls) {
    double mine, slowest;
    MPI_Barrier(MPI_COMM_WORLD);
    mine = MPI_Wtime();
    for (int i = 0; i < calls; i++) MPI_Allreduce(in, out, floats, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    mine = MPI_Wtime() - mine;
    MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return slowest;
}

int main(int argc, char **argv) {
    int rank, floats = argc > 1 ? atoi(argv[1]) : 4096;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    float *in = calloc((size_t)floats, sizeof *in), *out = calloc((size_t)floats, sizeof *out);
    if (!in || !out) MPI_Abort(MPI_COMM_WORLD, 1);
    for (int i = 0; i < floats; i++) in[i] = (float)(rank + i % 7);
    double once = time_calls(in, out, floats, WARM) / WARM;
    double calls = seconds / once;
    int count = calls < LEAST ? LEAST : calls > MOST ? MOST : (int)calls;
    double ns = time_calls(in, out, floats, count) * 1e9 / count;
    if (rank == 0) printf("%.1f\n", ns);
    free(in);
    free(out);
    MPI_Finalize();
    return 0;
}
