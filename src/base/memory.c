/* memory.c: aligned, zeroed heap blocks. */
#include <stdlib.h>
#include <string.h>

#include "omnibus/base.h"

void *omni_alloc(size_t bytes) {
    size_t rounded;
    if (!omni_size_add(bytes, OMNI_CACHE_LINE, &rounded)) return NULL;
    rounded &= ~(size_t)(OMNI_CACHE_LINE - 1); /* > bytes - CACHE_LINE, and at least one line for 0 bytes */
    if (rounded < bytes || rounded == 0) return NULL;
    void *p = aligned_alloc(OMNI_CACHE_LINE, rounded);
    if (p) memset(p, 0, rounded);
    return p;
}

void *omni_alloc_array(size_t count, size_t bytes) {
    size_t total;
    return omni_size_mul(count, bytes, &total) ? omni_alloc(total) : NULL;
}

void omni_free(void *p) {
    free(p);
}
