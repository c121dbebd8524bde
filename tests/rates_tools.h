/* rates_tools.h: for the tests of rates: made-up ones, and their file. */
#ifndef TESTS_RATES_TOOLS_H
#define TESTS_RATES_TOOLS_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "omnibus/rates.h"

/* 100 ns a message, 1 ns a byte; 10 ps a weight and row, 20 of many weights; 1 ps a byte of an op. */
static inline omni_rates made_up(void) {
    omni_rates r = {.cores = 2, .teams = 2, .workers = {1, 2}, .step_ns = 5, .matmul_ns = 50};
    for (size_t i = 0; i < OMNI_RATES_SIZES; i++) {
        r.bytes[i] = (double)(64 << 2 * i);
        for (size_t k = 0; k < OMNI_RATES_MESSAGES; k++) {
            r.message_ns[k][1][i] = 100 + r.bytes[i];
            r.further_ns[k][i] = r.bytes[i] / 2;
        }
    }
    for (size_t i = 0; i < OMNI_RATES_ROWS; i++) {
        r.rows[i] = (double)(1 << i);
        for (size_t k = 0; k < 8; k++)
            r.weight_ps[k / 4][k / 2 % 2][k % 2][i] = 10 * r.rows[i] * (k / 2 % 2 ? 2 : 1);
    }
    r.set_bytes[OMNI_RATES_CACHED] = 1000;
    r.set_bytes[OMNI_RATES_STREAMED] = 3000;
    r.barrier_ns[1] = 40;
    r.pass_ns[0] = r.pass_ns[1] = 1000;
    for (size_t p = 0; p < OMNI_RATES_PASSES; p++) r.attention[p].mac_ps = 20;
    for (size_t k = 0; k < OMNI_RATES_OPS; k++) r.op[k].call_ns = 10, r.op[k].byte_ps = 1;
    return r;
}

/* path: where it is then. */
static inline void write_text(const char *text, char path[32]) {
    strcpy(path, "/tmp/omnibus-rates-XXXXXX");
    int file = mkstemp(path);
    cr_assert(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
}

#endif
