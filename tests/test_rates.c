/* test_rates.c: fits and curves on made-up figures, and files of rates. Nothing is timed. */
#include "rates_tools.h"

/* --- fits ------------------------------------------------------------------------------------- */

Test(rates_fit, finds_what_the_figures_were_made_of) {
    double x[8][OMNI_FIT_TERMS], y[8], c[OMNI_FIT_TERMS];
    for (size_t i = 0; i < 8; i++) {
        x[i][0] = 1;
        x[i][1] = (double)(1 << i);
        x[i][2] = (double)((i * 5) % 7);
        y[i] = 300 + 2.5 * x[i][1] + 10 * x[i][2];
    }
    cr_assert(omni_fit((const double(*)[OMNI_FIT_TERMS])x, y, 8, 3, c));
    cr_expect_float_eq(c[0], 300, 1e-6);
    cr_expect_float_eq(c[1], 2.5, 1e-6);
    cr_expect_float_eq(c[2], 10, 1e-6);
}

/* Errors are relative: one of 10 % on a small figure counts as much as on a large one. */
Test(rates_fit, small_figures_count_as_much) {
    const double x[3][OMNI_FIT_TERMS] = {{1}, {1000}, {1000}}, y[3] = {1, 1100, 900};
    double c[OMNI_FIT_TERMS];
    cr_assert(omni_fit(x, y, 3, 1, c));
    cr_expect(c[0] > 0.97 && c[0] < 1.01, "%g", c[0]);
}

Test(rates_fit, leaves_out_what_would_be_negative) {
    const double x[3][OMNI_FIT_TERMS] = {{1, 1}, {1, 2}, {1, 3}}, y[3] = {1, 3, 5};
    double c[OMNI_FIT_TERMS];
    cr_assert(omni_fit(x, y, 3, 2, c));
    cr_expect_eq(c[0], 0);
    cr_expect(c[1] > 1 && c[1] < 2, "%g", c[1]);
    cr_expect_not(omni_fit(x, y, 0, 1, c), "no figures");
}

Test(rates_fit, a_curve_is_linear_between_its_sizes) {
    const double at[] = {10, 20, 40}, y[] = {1, 3, 4};
    const double want[][2] = {{5, 1}, {10, 1}, {15, 2}, {20, 3}, {30, 3.5}, {40, 4}, {80, 6}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        cr_expect_float_eq(omni_curve_at(at, y, 3, want[i][0]), want[i][1], 1e-12, "%g", want[i][0]);
    cr_expect_eq(omni_curve_at(at, y, 1, 100), 1);
}

/* --- rates ------------------------------------------------------------------------------------ */

Test(rates, of_messages_and_kernels) {
    omni_rates r = made_up();
    cr_expect_float_eq(omni_rates_message_ns(&r, OMNI_RATES_BROADCAST, 2, 1, 1000), 1100, 1e-9);
    cr_expect_float_eq(omni_rates_message_ns(&r, OMNI_RATES_BROADCAST, 2, 3, 1000), 2100, 1e-9);
    cr_expect_float_eq(omni_rates_message_ns(&r, OMNI_RATES_REDUCTION, 1, 3, 1000), 1000, 1e-9);
    cr_expect_eq(omni_rates_message_ns(&r, OMNI_RATES_BROADCAST, 1, 1, 1000), 0);
    cr_expect_eq(omni_rates_message_ns(&r, OMNI_RATES_BROADCAST, 2, 4, 0), 0);
    cr_expect_eq(omni_rates_barrier_ns(&r, 1), 0);
    cr_expect_eq(omni_rates_barrier_ns(&r, 7), 40);
    /* 3 rows of 100 x 10 weights: 30 ps each in the cache, 60 beyond it */
    cr_expect_float_eq(omni_rates_matmul_ns(&r, OMNI_F32, 1, 500, 3, 100, 10), 80, 1e-9);
    cr_expect_float_eq(omni_rates_matmul_ns(&r, OMNI_BF16, 2, 2000, 3, 100, 10), 95, 1e-9);
    cr_expect_float_eq(omni_rates_matmul_ns(&r, OMNI_F32, 1, 1e9, 3, 100, 10), 110, 1e-9);
    cr_expect_eq(omni_rates_matmul_ns(&r, OMNI_F32, 1, 500, 0, 100, 10), 0);
    for (size_t i = 0; i < OMNI_RATES_ROWS; i++) r.output_ps[0][0][0][i] = 1000;
    cr_expect_float_eq(omni_rates_matmul_ns(&r, OMNI_F32, 1, 500, 3, 100, 10), 90, 1e-9);
    cr_expect_float_eq(omni_rates_op_ns(&r, OMNI_RATES_ADD, 2000), 12, 1e-9);
    const double terms[OMNI_FIT_TERMS] = {3, 5, 1000, 7};
    cr_expect_float_eq(omni_rates_attention_ns(&r, OMNI_RATES_DECODE, terms), 20, 1e-9);
    r.attention[OMNI_RATES_DECODE].head_ns = 2;
    r.attention[OMNI_RATES_DECODE].pair_ps = 400;
    r.attention[OMNI_RATES_DECODE].byte_ps = 1000;
    cr_expect_float_eq(omni_rates_attention_ns(&r, OMNI_RATES_DECODE, terms), 6 + 2 + 20 + 7, 1e-9);
}

/* --- files ------------------------------------------------------------------------------------ */

Test(rates_file, what_is_written_is_read) {
    omni_rates r = made_up(), *back;
    omni_error err = {0};
    char path[32], *text = omni_rates_text(&r);
    write_text(text, path);
    cr_assert(omni_rates_is(path));
    cr_assert_eq(omni_rates_load(path, &back, &err), OMNI_OK, "%s", err.text);
    char *again = omni_rates_text(back);
    cr_expect_str_eq(again, text);
    cr_expect_eq(back->teams, 2);
    cr_expect_eq(back->weight_ps[1][1][1][3], r.weight_ps[1][1][1][3]);
    omni_free(back);
    free(again);
    free(text);
    unlink(path);
    cr_expect_not(omni_rates_is("configs/arrays/ideal.ini"));
    cr_expect_not(omni_rates_is("/no/such/file"));
}

/* The file with the first line that begins with `key` as `line`; NULL: without it. */
static void refused(const char *key, const char *line, const char *words) {
    omni_rates r = made_up(), *out = &r;
    omni_error err = {0};
    char path[32], changed[16384] = "", *text = omni_rates_text(&r);
    bool found = false;
    for (char *row = text, *next; *row; row = next) {
        next = row + strcspn(row, "\n") + 1;
        bool this = !found && strncmp(row, key, strlen(key)) == 0;
        found |= this;
        if (!this) strncat(changed, row, (size_t)(next - row));
        if (this && line) strcat(strcat(changed, line), "\n");
    }
    cr_assert(found, "%s", key);
    write_text(changed, path);
    cr_expect_eq(omni_rates_load(path, &out, &err), OMNI_BAD_INPUT, "%s was accepted", line ? line : key);
    cr_expect_null(out);
    cr_expect(strstr(err.text, words) && strncmp(err.text, path, strlen(path)) == 0 &&
                  !strchr(err.text, '\n'),
              "'%s' lacks '%s'", err.text, words);
    unlink(path);
    free(text);
}

Test(rates_file, what_is_wrong_is_refused_by_line) {
    refused("kind", NULL, "no [array] kind = host");
    refused("kind", "kind = model", "no [array] kind = host");
    refused("cores", "cores = 0", ":4: cores: less than 1");
    refused("workers", NULL, "no [array] workers");
    refused("workers", "workers = 2, 1", "expected 1, 2, 4");
    refused("workers", "workers = 1, 2, 3", "no [broadcast] workers_3_ns");
    refused("workers", "workers = 1", "barrier_ns");
    refused("step_ns", "step_ns = -1", "expected 1 number from 0");
    refused("step_ns", "step_ns = 1, 2", "expected 1 number");
    refused("step_ns", "step_ns = nan", "expected 1 number");
    refused("step_ns", "step_ns = 0x10", "expected 1 number");
    refused("barrier_ns", "barrier_ns = 1", "expected 2 numbers");
    refused("bytes", "bytes = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 11", "not ascending");
    refused("call_ns", NULL, "no [matmul] call_ns");
    refused("copy_byte_ps", "copy_byte_us = 1", "no [op] copy_byte_ps");
    refused("cores", "cores = 2\nmood = 1", "unknown key in [array]");
    refused("cores", "cores = 2\ncores = 2", "given twice");
}
