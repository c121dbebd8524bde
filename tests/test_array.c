/* test_array.c: array files: what ships can be read, and what is wrong is refused by file and line. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array_tools.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
static const char *const shipped[] = {"ideal",      "seed-64pe",      "wide-bus",         "segmented-256pe",
                                      "narrow-bus", "gddr6-pim",      "seed-64pe-faults", "ring-64pe",
                                      "mesh-64pe",  "ring-64pe-thin", "mesh-64pe-thin"};

Test(array_file, those_that_ship_are_read) {
    for (size_t i = 0; i < COUNT(shipped); i++) {
        omni_array *a = array_load(shipped[i]);
        cr_expect_str_eq(omni_array_name(a), shipped[i]);
        cr_expect_geq(omni_array_pes(a), 16);
        omni_array_free(a);
    }
    omni_array *a = array_load("configs/arrays/segmented-256pe.ini");
    cr_expect_str_eq(omni_array_name(a), "segmented-256pe");
    cr_expect(omni_array_own_wires(a));
    cr_expect_eq(omni_array_pes(a), 256);
    cr_expect_eq(omni_array_get(a, "bus.pieces"), 16);
    omni_array_free(a);
}

/* The text of a file that ships, with `line` in place of the one that begins with `key`; NULL: without it. */
static char *changed(const char *key, const char *line, int *at) {
    char *text, *out = calloc(1, 8192);
    size_t bytes;
    omni_error err = {0};
    cr_assert_eq(omni_file_read("configs/arrays/seed-64pe.ini", 8000, "a file", &text, &bytes, &err),
                 OMNI_OK);
    int n = 0;
    for (char *next, *row = text; *row; row = next) {
        next = row + strcspn(row, "\n") + 1;
        n++;
        bool this = *at == 0 && strncmp(row, key, strlen(key)) == 0; /* the first */
        if (this) *at = n;
        if (!this) strncat(out, row, (size_t)(next - row));
        if (this && line) strcat(strcat(out, line), "\n");
    }
    free(text);
    return out;
}

static void refused(const char *key, const char *line, const char *words) {
    char path[] = "/tmp/omnibus-array-XXXXXX", want[300];
    int at = 0, file = mkstemp(path);
    char *text = changed(key, line, &at);
    omni_array *a = (omni_array *)&a;
    omni_error err = {0};
    cr_assert(file >= 0 && at > 0, "%s", key);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
    cr_expect_eq(omni_array_load(path, &a, &err), OMNI_BAD_INPUT, "%s was accepted", line ? line : key);
    cr_expect_null(a);
    if (line)
        snprintf(want, sizeof want, "%s:%d: ", path, at + (*line == '[' || strchr(line, '\n') != NULL));
    else
        snprintf(want, sizeof want, "%s: ", path);
    cr_expect_eq(strncmp(err.text, want, strlen(want)), 0, "'%s' does not begin with '%s'", err.text, want);
    cr_expect_not_null(strstr(err.text, words), "'%s' lacks '%s'", err.text, words);
    cr_expect_null(strchr(err.text, '\n'));
    unlink(path);
    free(text);
}

Test(array_file, what_is_wrong_is_refused_by_line) {
    refused("macs_per_cycle", "macs_per_cycle = 0", "'0' (expected a number from 1 to");
    refused("macs_per_cycle", "macs_per_cycle = -4", "'-4' (expected");
    refused("macs_per_cycle", "macs_per_cycle = nan", "'nan' (expected");
    refused("macs_per_cycle", "macs_per_cycle = inf", "or infinite");
    refused("macs_per_cycle", "macs_per_cycle = 0x40", "'0x40' (expected");
    refused("macs_per_cycle", "macs_per_cycle = 1e300", "'1e300' (expected");
    refused("macs_per_cycle", "macs_per_cycle = 64 GFLOP/s", "'64 GFLOP/s' (expected");
    refused("clock_mhz", "clock_mhz = infinite", "'infinite' (expected a number from 0.001 to");
    refused("arbitration_cycles", "arbitration_cycles = 1.5", "'1.5' (expected a whole number from 0");
    refused("pj_per_mac", "pj_per_mac = -0.1", "'-0.1' (expected a number from 0 to");
    refused("pieces", "pieces = 0", "'0' (expected a whole number from 1");
    refused("pes", "pes = 2000000", "'2000000' (expected a whole number from 1 to 1048576)");
    refused("wires", "wires = yes", "'yes' (expected bus or own)");
    refused("header_cycles", "heder_cycles = 2",
            "unknown key 'heder_cycles' (did you mean 'header_cycles'?)");
    refused("header_cycles", "voltage = 2", "unknown key 'voltage' in [bus]");
    refused("[host]", "[hots]", "unknown section [hots]");
    refused("wires", "wires = bus\nwidth_bytes = 4", "of a tree whose wires are the bus's");
    refused("hop_ps", "hop_ps = 50\nhop_ps = 50", "given twice");
    refused("hop_ps", NULL, "no [bus] hop_ps (expected a value for every key)");
    refused("wires", NULL, "no [tree] wires");
    refused("level_cycles", "level_cycles", "expected 'key = value'");
}

static void refused_set(const char *key, const char *value, const char *words) {
    omni_array *a = array_load("seed-64pe");
    omni_error err = {0};
    cr_expect_eq(omni_array_set(a, key, value, &err), OMNI_BAD_INPUT, "%s=%s was accepted", key, value);
    cr_expect_not_null(strstr(err.text, words), "'%s' lacks '%s'", err.text, words);
    omni_array_free(a);
}

Test(array_file, single_values_are_set_with_or_without_the_unit) {
    omni_array *a = array_load("seed-64pe"), *b = omni_array_copy(a);
    array_set(b, "bus.width", "128");
    cr_expect_eq(omni_array_get(b, "bus.width_bytes"), 128);
    cr_expect_eq(omni_array_get(a, "bus.width_bytes"), 32);
    cr_expect_str_eq(omni_array_name(b), "seed-64pe bus.width=128");
    array_set(b, "pe.memory_mib", "infinite");
    cr_expect(isinf(omni_array_get(b, "pe.memory_mib")));
    cr_expect(isnan(omni_array_get(b, "bus.voltage")) && isnan(omni_array_get(b, "tree.width")));
    omni_array_free(b);
    omni_array_free(a);
    refused_set("bus.width", "0", "bus.width: '0' (expected a whole number from 1");
    refused_set("bus.voltage", "1", "unknown key 'bus.voltage'");
    refused_set("width", "1", "unknown key 'width'");
    refused_set("pe.memory", "1", "unknown key 'pe.memory'"); /* _mib, or _gb_per_s? */
    refused_set("tree.width", "1", "wires = own");
    refused_set("tree.wires", "own", "a file that describes the wires");
    omni_error err = {0};
    cr_expect_eq(omni_array_load("no-such-array", &a, &err), OMNI_BAD_INPUT);
    cr_expect_not_null(strstr(err.text, "array 'no-such-array': cannot open (expected a file, or a name in configs/arrays)"), "%s", err.text);
}
