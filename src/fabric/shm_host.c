/* shm_host.c: the host port: the main thread writes inputs to a segment's workers and awaits what its first
 * rank returns. It has rings of its own, so that it never takes a turn on the bus.
 *
 * The main thread has no core of its own (the workers have them all), so it gives up spinning early and
 * sleeps.
 */
#include "fabric/shm.h"

enum { HOST_SPINS = 64 };

static omni_wait_policy host_wait(const omni_fabric *f) {
    return (omni_wait_policy){.spins = f->wait.spins < HOST_SPINS ? f->wait.spins : HOST_SPINS};
}

bool shm_host_receive(omni_fabric *f, size_t w, size_t segment, const omni_view *own, size_t bytes) {
    omni_range share = fabric_share(f, w, segment);
    if (share.count == 0) return true;
    fabric_message m = {.writer = FABRIC_NOBODY, .taker = FABRIC_ALL, .own = own, .bytes = bytes};
    return shm_read(f, &shm_port_of(shm_segment_of(f, segment), w)->host_in, f->wait, &m, share);
}

bool shm_host_return(omni_fabric *f, size_t w, size_t segment, const void *src, size_t bytes) {
    omni_view view = omni_view_flat((void *)src, bytes); /* only read */
    omni_ring_port *port = &shm_port_of(shm_segment_of(f, segment), w)->host_out;
    count_host_return(f, segment, bytes);
    return shm_write(f, port, f->wait, &view, bytes, NULL, (omni_range){0});
}

bool shm_host_send(omni_fabric *f, size_t segment, const void *src, size_t bytes) {
    omni_view view = omni_view_flat((void *)src, bytes); /* only read */
    omni_ring_port *port = &shm_segment_of(f, segment)->host->in;
    count_host_send(f, bytes);
    return shm_write(f, port, host_wait(f), &view, bytes, NULL, (omni_range){0});
}

bool shm_host_await(omni_fabric *f, size_t segment, void *dst, size_t bytes) {
    omni_view view = omni_view_flat(dst, bytes);
    fabric_message m = {.writer = FABRIC_NOBODY, .taker = FABRIC_ALL, .own = &view, .bytes = bytes};
    omni_ring_port *port = &shm_segment_of(f, segment)->host->out;
    return shm_read(f, port, host_wait(f), &m, (omni_range){.start = 0, .count = 1});
}
