/* text.c: units and words. */
#include <stdio.h>
#include <string.h>

#include "omnibus/base.h"

const char *omni_format_bytes(char *buf, size_t cap, uint64_t bytes) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(buf, cap, "%u B", (unsigned)bytes);
        return buf;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    snprintf(buf, cap, "%.*f %s", value < 10 ? 2 : 1, value, units[unit]);
    return buf;
}

bool omni_parse_size(const char *text, size_t max, size_t *out) {
    if (!*text) return false;
    size_t n = 0;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9') return false;
        if (!omni_size_mul(n, 10, &n) || !omni_size_add(n, (size_t)(*c - '0'), &n)) return false;
    }
    *out = n;
    return n <= max;
}

bool omni_parse_bytes(const char *text, uint64_t *out) {
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1},
                 {"B", 1},
                 {"KB", 1000},
                 {"MB", 1000000},
                 {"GB", 1000000000},
                 {"TB", 1000000000000},
                 {"KiB", 1024},
                 {"MiB", 1 << 20},
                 {"GiB", 1 << 30},
                 {"TiB", (uint64_t)1 << 40}};
    char digits[24];
    size_t n = strspn(text, "0123456789"), value;
    if (n >= sizeof digits) return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    if (!omni_parse_size(digits, SIZE_MAX, &value)) return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(text + n, units[i].name) == 0)
            return !__builtin_mul_overflow((uint64_t)value, units[i].bytes, out);
    return false;
}

/* --- "did you mean" --------------------------------------------------------------------------- */

enum { LONGEST = 63, BEGUN = 2 }; /* errors that the beginning of a name counts as */

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Damerau-Levenshtein in its restricted form (optimal string alignment), three rows of the table at a
 * time. */
size_t omni_edit_distance(const char *a, const char *b) {
    size_t rows[3][LONGEST + 1], na = strlen(a), nb = strlen(b);
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    if (na > LONGEST || nb > LONGEST) return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            row[j] = least(last[j - 1] + (a[i - 1] != b[j - 1]), least(last[j], row[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return row[nb];
}

omni_guess omni_guess_start(const char *word) {
    return (omni_guess){.word = word, .errors = BEGUN + 1};
}

void omni_guess_try(omni_guess *g, const char *name) {
    size_t errors = omni_edit_distance(g->word, name), length = strlen(g->word);
    bool begun = length >= 3 && strncmp(name, g->word, length) == 0;
    if (begun && errors > BEGUN) errors = BEGUN;
    if (errors >= g->errors || errors >= length) return;
    g->errors = errors;
    snprintf(g->nearest, sizeof g->nearest, "%s", name);
}
