/* trace.h: a run as a timeline, in the Trace Event Format that Chrome and Perfetto read (JSON, complete events): what an
 * engine recorded as one process, on the wall clock; what the same passes take on a modelled array as another.
 *
 *   omni_trace_open -> omni_trace_wall -> omni_trace_modelled, pass after pass -> omni_trace_close
 *
 * The file is written as it is made and appears when it is complete, like every other result. One thread.
 */
#ifndef OMNIBUS_TRACE_H
#define OMNIBUS_TRACE_H

#include <jansson.h>

#include "omnibus/array.h"
#include "omnibus/pe.h"

typedef struct omni_trace omni_trace;

/* limit: most events of the modelled process (those of the wall clock are the engine's). */
omni_status omni_trace_open(const char *path, size_t limit, omni_trace **out, omni_error *err);

/* plan: [1 + laters] those of the engine's options, in their order. */
omni_status omni_trace_wall(omni_trace *t, const omni_engine *e, const omni_plan *const *plan,
                            omni_error *err);

/* The next pass on the array, behind the one before; `name` is copied. Of an array that is this host only its length is
 * known, and a note says so. */
omni_status omni_trace_modelled(omni_trace *t, const omni_array *array, const omni_plan *plan,
                                omni_extent pass, const char *name, omni_error *err);
/* A change of plans in between. */
void omni_trace_modelled_change(omni_trace *t, uint64_t ps);
bool omni_trace_modelled_full(const omni_trace *t); /* further passes are not drawn */

/* What is not in the file, a line each, so far; owned by t. */
const char *omni_trace_note(const omni_trace *t, size_t i); /* NULL: there are no more */

/* facts: an object for otherData, which gets "notes" too; taken. Frees t. */
omni_status omni_trace_close(omni_trace *t, json_t *facts, omni_error *err);
void omni_trace_drop(omni_trace *t); /* no file; NULL is fine */

#endif
