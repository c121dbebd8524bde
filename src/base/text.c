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

/* Levenshtein, one row at a time. Words longer than the row are "far". */
size_t omni_edit_distance(const char *a, const char *b) {
    enum { LONGEST = 63 };
    size_t row[LONGEST + 1], na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST) return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++) row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
            size_t shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = substitute < shorter ? substitute : shorter;
        }
    }
    return row[nb];
}
