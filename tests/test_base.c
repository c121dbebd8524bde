/* test_base.c: split at every edge, sizes that would wrap, units, words. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "omnibus/base.h"
#include "omnibus/counters.h"

Test(base, split_tiles_every_total_over_every_number_of_parts) {
    for (size_t total = 0; total <= 40; total++) {
        for (size_t parts = 1; parts <= 45; parts++) {
            size_t next = 0;
            for (size_t i = 0; i < parts; i++) {
                omni_range r = omni_split(total, parts, i);
                cr_assert_eq(r.start, next);
                cr_assert_eq(r.count, total / parts + (i < total % parts));
                for (size_t k = 0; k < r.count; k++)
                    cr_assert_eq(omni_split_owner(total, parts, r.start + k), i);
                next += r.count;
            }
            cr_assert_eq(next, total);
        }
    }
}

Test(base, split_does_not_wrap_near_the_largest_size) {
    omni_range last = omni_split(SIZE_MAX, 7, 6);
    cr_assert_eq(last.start + last.count, SIZE_MAX);
}

Test(base, levels_of_a_tree) {
    static const size_t want[] = {0, 0, 1, 2, 2, 3, 3, 3, 3, 4};
    for (size_t n = 0; n < 10; n++) cr_assert_eq(omni_ceil_log2(n), want[n]);
}

Test(base, sizes_that_do_not_fit_are_refused) {
    size_t out;
    cr_assert_not(omni_size_mul(SIZE_MAX / 2, 3, &out));
    cr_assert_not(omni_size_add(SIZE_MAX, 1, &out));
    cr_assert(omni_size_mul(3, 5, &out) && out == 15);
    cr_assert_null(omni_alloc(SIZE_MAX));
    cr_assert_null(omni_alloc(SIZE_MAX - 64));
    cr_assert_null(omni_alloc_array(SIZE_MAX / 4, 8));
}

Test(base, memory_is_aligned_and_zero) {
    for (size_t bytes = 0; bytes < 300; bytes += 37) {
        unsigned char *p = omni_alloc(bytes);
        cr_assert_not_null(p);
        cr_assert_eq((uintptr_t)p % OMNI_CACHE_LINE, 0);
        for (size_t i = 0; i < bytes; i++) cr_assert_eq(p[i], 0);
        omni_free(p);
    }
}

Test(base, the_first_error_stays_and_is_one_line) {
    omni_error err = {0};
    cr_assert_eq(omni_error_set(&err, OMNI_BAD_INPUT, "%s: torn\n", "a\nb"), OMNI_BAD_INPUT);
    omni_error_set(&err, OMNI_RUN_FAILED, "later");
    cr_assert_eq(err.status, OMNI_BAD_INPUT);
    cr_assert_str_eq(err.text, "a?b: torn?");
    omni_error_set(NULL, OMNI_RUN_FAILED, "nobody listens");
}

Test(base, numbers) {
    size_t n = 0;
    cr_assert(omni_parse_size("0", 9, &n) && n == 0);
    cr_assert(omni_parse_size("18446744073709551615", SIZE_MAX, &n) && n == SIZE_MAX);
    const char *bad[] = {"",   "-1", " 1", "1 ", "0x3", "18446744073709551616", "99999999999999999999999",
                         "1e3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(omni_parse_size(bad[i], SIZE_MAX, &n), "%s", bad[i]);
    cr_assert_not(omni_parse_size("10", 9, &n));
}

Test(base, bytes_as_people_read_them) {
    char buf[32];
    cr_assert_str_eq(omni_format_bytes(buf, sizeof buf, 0), "0 B");
    cr_assert_str_eq(omni_format_bytes(buf, sizeof buf, 1023), "1023 B");
    cr_assert_str_eq(omni_format_bytes(buf, sizeof buf, 1536), "1.50 KiB");
    cr_assert_str_eq(omni_format_bytes(buf, sizeof buf, (uint64_t)3 << 40), "3.00 TiB");
    cr_assert_str_eq(omni_format_bytes(buf, sizeof buf, UINT64_MAX), "16.0 EiB");
}

Test(base, edit_distance) {
    cr_assert_eq(omni_edit_distance("megatron", "megatorn"), 1, "neighbours swapped");
    cr_assert_eq(omni_edit_distance("ca", "abc"), 3);
    cr_assert_eq(omni_edit_distance("abcdef", "badcfe"), 3);
    cr_assert_eq(omni_edit_distance("kitten", "sitting"), 3);
    cr_assert_eq(omni_edit_distance("", "abc"), 3);
    cr_assert_eq(omni_edit_distance("run", "run"), 0);
}

Test(base, mean_and_standard_deviation) {
    double even[] = {2, 4, 4, 4, 5, 5, 7, 9}, large[] = {1e15 + 1, 1e15 + 2, 1e15 + 3}, one[] = {7};
    cr_assert_eq(omni_mean(even, 8), 5);
    cr_assert_float_eq(omni_stddev(even, 8), sqrt(32.0 / 7), 1e-12);
    cr_assert_eq(omni_mean(large, 3), 1e15 + 2);
    cr_assert_eq(omni_stddev(large, 3), 1);
    cr_assert(omni_mean(one, 1) == 7 && omni_stddev(one, 1) == 0);
    cr_assert(isnan(omni_mean(one, 0)) && isnan(omni_stddev(one, 0)));
}

Test(base, median_and_bf16) {
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};
    cr_assert_eq(omni_median(odd, 3), 2);
    cr_assert_eq(omni_median(even, 4), 2.5);
    cr_assert(omni_median(odd, 0) != omni_median(odd, 0));
    cr_assert_eq(omni_bf16_to_f32(0x3f80), 1.0f);
    cr_assert_eq(omni_bf16_to_f32(0xc000), -2.0f);
}

Test(base, counters_by_name) {
    omni_counters a = {.broadcasts = 1, .host_bytes = 7}, b = {.broadcasts = 2, .tree_bytes = 5};
    omni_counters_add(&a, &b);
    cr_assert_eq(omni_counters_get(&a, 0), 3);
    cr_assert_eq(omni_counters_get(&a, OMNI_COUNTERS - 1), 7);
    cr_assert_str_eq(omni_counter_names[OMNI_COUNTERS - 1], "host_bytes");
    cr_assert_not(omni_counters_equal(&a, &b));
}

Test(base, sizes_with_units) {
    static const struct {
        const char *text;
        uint64_t want;
    } good[] = {{"0", 0},
                {"4096", 4096},
                {"7B", 7},
                {"2KB", 2000},
                {"500MB", 500000000},
                {"5GB", 5000000000},
                {"1KiB", 1024},
                {"2GiB", 2147483648},
                {"3TB", 3000000000000},
                {"1TiB", 1ull << 40},
                {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {"",           "GB",   "5 GB",
                                      "5gb",        "-1",   "1.5GB",
                                      "5GBs",       "0x10", "18446744073709551616",
                                      "20000000TB", "+1",   "100000000000000000000000000000000000MB"};
    uint64_t got;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect(omni_parse_bytes(good[i].text, &got), "%s", good[i].text);
        cr_expect_eq(got, good[i].want, "%s", good[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect(!omni_parse_bytes(bad[i], &got), "%s", bad[i]);
}
