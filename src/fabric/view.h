/* view.h: moving bytes between views of different shape.
 *
 * A view's payload is a line of bytes, row after row, span after span. Copying names a place on that line in
 * either view, so a chunk may begin and end anywhere, in the middle of a row or a span, and the two views
 * need nothing in common but their length:
 *
 *      dst (columns of a wider buffer)        src (compact)
 *      . . a b . . .                          a b c d e f
 *      . . c d . . .      <-- bytes [1, 4) -- . x x x . .
 *      . . e f . . .
 *
 * Narrowed spans lie in memory as floats and on that line as 16-bit floats, at even places. A view without
 * them is bytes as they are on the line: copying narrows from one kind to the other and widens back, and
 * rounds from a narrowed view to another.
 */
#ifndef OMNIBUS_FABRIC_VIEW_H
#define OMNIBUS_FABRIC_VIEW_H

#include "omnibus/fabric.h"

/* Copies `bytes` bytes of payload, from src's place `from` to dst's place `to`. Stops at the end of the
 * shorter view. The two may be the same view, and the same place of it. */
void view_copy(const omni_view *dst, size_t to, const omni_view *src, size_t from, size_t bytes);

/* The payloads begin at the same byte: then they are taken to be the same memory. */
bool view_same(const omni_view *a, const omni_view *b);

/* Has a narrowed span. */
bool view_narrows(const omni_view *v);
/* omni_view_round, of bytes [at, at + bytes) of a view, counted in memory without gaps. Floats stay whole. */
void view_round_part(const omni_view *v, size_t at, size_t bytes);
/* acc = acc (+) in, of bytes [at, at + bytes) of a view of either buffer, likewise. Whole records. */
void view_combine(const omni_view *form, void *acc, void *in, size_t at, size_t bytes,
                  omni_fabric_combine *combine, const void *arg);
/* Bytes in memory, and the view of them as they are. */
size_t view_memory_bytes(const omni_view *v);
omni_view view_plain(omni_view v);

#endif
