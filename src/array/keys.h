/* keys.h (private): the table of an array file's keys, and what files (file.c) and --set (set.c) do by it. */
#ifndef ARRAY_KEYS_H
#define ARRAY_KEYS_H

#include "array/array.h"

extern const omni_array_key array_keys[ARRAY_KEYS];

/* --- keys.c ----------------------------------------------------------------------------------- */

bool key_is_of(size_t k, omni_network network); /* a bus has a tree, rings and meshes have links */
double key_absent(size_t k);                    /* of what is not there: it takes no time */

/* By its name, or if not `exact` by the beginning of one key's only. ARRAY_KEYS: none, or several. */
size_t key_find(const char *section, size_t length, const char *name, bool exact);
bool key_is_called(const omni_array_key *k,
                   const char *name); /* "width_bytes", or without its unit "width" */

/* where: for error texts. OMNI_BAD_INPUT: says what was expected. */
omni_status key_parse(const omni_array_key *k, const char *text, const char *where, double *out,
                      omni_error *err);
omni_status wires_parse(const char *text, const char *where, bool *own, omni_error *err);
omni_status network_parse(const char *text, const char *where, omni_network *out, omni_error *err);
omni_status key_not_of(const char *where, omni_network network, omni_error *err); /* always an error */

/* --- set.c ------------------------------------------------------------------------------------ */

/* Faults, when all their keys and the array's PEs are known. where: of each key; NULL: as --set calls
 * them. */
omni_status array_settle(faults *f, const omni_array *a, const char *const *where, omni_error *err);

#endif
