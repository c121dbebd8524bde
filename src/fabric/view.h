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
 */
#ifndef OMNIBUS_FABRIC_VIEW_H
#define OMNIBUS_FABRIC_VIEW_H

#include "omnibus/fabric.h"

/* Copies `bytes` bytes of payload, from src's place `from` to dst's place `to`. Stops at the end of the
 * shorter view. */
void view_copy(const omni_view *dst, size_t to, const omni_view *src, size_t from, size_t bytes);

/* The payloads begin at the same byte: then they are taken to be the same memory. */
bool view_same(const omni_view *a, const omni_view *b);

#endif
