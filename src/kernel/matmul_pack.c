/* matmul_pack.c: the packed handle: its size, its header, and how a block of a stored matrix finds its place
 * in the panels. matmul.c draws the layout. Blocks put by several threads at the same time must not overlap;
 * nothing else is shared.
 */
#include "kernel/room.h"

static size_t panels_of(size_t out) {
    return out / KERNEL_NR + (out % KERNEL_NR != 0);
}

size_t omni_packed_bytes(size_t out, size_t in, omni_dtype dtype) {
    size_t bytes, row;
    if (dtype != OMNI_F32 && dtype != OMNI_BF16) return 0;
    row = KERNEL_NR * omni_dtype_bytes(dtype);
    if (!omni_size_mul(panels_of(out), in, &bytes) || !omni_size_mul(bytes, row, &bytes)) return 0;
    if (!omni_size_add(bytes, KERNEL_HANDLE_BYTES + KERNEL_TAIL_BYTES + OMNI_CACHE_LINE - 1, &bytes))
        return 0;
    return bytes / OMNI_CACHE_LINE * OMNI_CACHE_LINE;
}

omni_packed *omni_packed_reuse(void *mem, size_t out, size_t in, omni_dtype dtype) {
    _Static_assert(sizeof(omni_packed) <= KERNEL_HANDLE_BYTES, "the handle fits in front of the panels");
    omni_packed *w = mem;
    *w = (omni_packed){out, in, in * KERNEL_NR * omni_dtype_bytes(dtype), dtype};
    return w;
}

omni_packed *omni_packed_init(void *mem, size_t out, size_t in, omni_dtype dtype) {
    memset(mem, 0, omni_packed_bytes(out, in, dtype));
    return omni_packed_reuse(mem, out, in, dtype);
}

/* Panels follow each other: whole ones are one run. Of a narrow one each input's row is a run. */
omni_packed_runs omni_packed_weights(omni_packed *w) {
    _Static_assert(OMNI_PACKED_PANEL == KERNEL_NR, "the panel of kernel.h is the kernels'");
    const size_t element = omni_dtype_bytes(w->dtype), row = KERNEL_NR * element;
    void *panels = (unsigned char *)w + KERNEL_HANDLE_BYTES;
    if (w->out < KERNEL_NR) return (omni_packed_runs){panels, w->in, row, w->out * element};
    return (omni_packed_runs){panels, 1, 0, w->out / KERNEL_NR * w->panel_bytes};
}

/* nout columns of one panel from `to` on, nin inputs, in blocks of 16 inputs: a cache line of each stored row
 * is read once. `size` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void put_panel(unsigned char *to, size_t nout, size_t nin,
                                                            const unsigned char *src, size_t src_out,
                                                            size_t src_in, size_t size) {
    for (size_t i0 = 0; i0 < nin; i0 += 16) {
        size_t end = nin - i0 < 16 ? nin : i0 + 16;
        for (size_t o = 0; o < nout; o++)
            for (size_t i = i0; i < end; i++)
                memcpy(to + (i * KERNEL_NR + o) * size, src + (o * src_out + i * src_in) * size, size);
    }
}

void omni_packed_get(const omni_packed *w, size_t out0, size_t nout, size_t in0, size_t nin, void *dst) {
    const size_t size = omni_dtype_bytes(w->dtype);
    const unsigned char *panels = (const unsigned char *)w + KERNEL_HANDLE_BYTES;
    unsigned char *to = dst;
    for (size_t o = out0; o < out0 + nout; o++) {
        const unsigned char *from = panels + o / KERNEL_NR * w->panel_bytes + o % KERNEL_NR * size;
        for (size_t i = in0; i < in0 + nin; i++, to += size) memcpy(to, from + i * KERNEL_NR * size, size);
    }
}

void omni_packed_put(omni_packed *w, size_t out0, size_t nout, size_t in0, size_t nin, const void *src,
                     size_t src_out, size_t src_in) {
    const size_t size = omni_dtype_bytes(w->dtype);
    unsigned char *panels = (unsigned char *)w + KERNEL_HANDLE_BYTES;
    for (size_t done = 0; done < nout;) {
        size_t column = (out0 + done) % KERNEL_NR, room = KERNEL_NR - column;
        size_t count = nout - done < room ? nout - done : room;
        unsigned char *to =
            panels + (out0 + done) / KERNEL_NR * w->panel_bytes + (in0 * KERNEL_NR + column) * size;
        const unsigned char *from = (const unsigned char *)src + done * src_out * size;
        if (size == 4)
            put_panel(to, count, nin, from, src_out, src_in, 4);
        else
            put_panel(to, count, nin, from, src_out, src_in, 2);
        done += count;
    }
}
