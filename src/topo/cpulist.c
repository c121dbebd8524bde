/* cpulist.c: lists of CPUs as taskset writes them.
 *
 *   list  = piece { "," piece }
 *   piece = N | LOW "-" HIGH [ ":" STRIDE ]          "8-15:2" is 8, 10, 12, 14
 *
 * Only a set comes out: in which order workers take the CPUs is the topology's business (topo.c). An error
 * names the piece, since a list may be long and pasted.
 */
#include <string.h>

#include "topo/internal.h"

enum {
    LAST_CPU = 65535
}; /* far above any kernel's limit, small enough that a typing error costs no memory */

/* A decimal number at *at; moves behind it. */
static bool cpulist_number(const char **at, unsigned *out) {
    const char *c = *at;
    unsigned n = 0;
    if (*c < '0' || *c > '9') return false;
    for (; *c >= '0' && *c <= '9'; c++) {
        n = n * 10 + (unsigned)(*c - '0');
        if (n > LAST_CPU) return false;
    }
    *at = c;
    *out = n;
    return true;
}

/* One piece at *at; moves behind it. NULL, or what was expected. */
static const char *cpulist_piece(const char **at, hwloc_bitmap_t set) {
    unsigned low, high, stride = 1;
    if (!cpulist_number(at, &low)) return "expected a CPU number up to 65535";
    high = low;
    if (**at == '-') {
        (*at)++;
        if (!cpulist_number(at, &high)) return "expected LOW-HIGH";
        if (high < low) return "the range runs backwards";
        if (**at == ':') {
            (*at)++;
            if (!cpulist_number(at, &stride) || stride == 0)
                return "expected a stride of at least 1 after ':'";
        }
    }
    if (**at != ',' && **at != '\0') return "expected a list as taskset writes it, e.g. 0,2-5,8-15:2";
    for (unsigned cpu = low; cpu <= high; cpu += stride)
        if (hwloc_bitmap_set(set, cpu) != 0) return "out of memory";
    return NULL;
}

omni_status topo_parse_cpus(const char *text, hwloc_bitmap_t set, omni_error *err) {
    const char *at = text;
    for (;;) {
        const char *piece = at;
        const char *wrong = cpulist_piece(&at, set);
        if (wrong) {
            int length = (int)strcspn(piece, ",");
            return omni_error_set(err, OMNI_BAD_INPUT, "--cpus: '%.*s': %s", length > 60 ? 60 : length, piece,
                                  wrong);
        }
        if (*at == '\0') return OMNI_OK;
        at++;
    }
}
