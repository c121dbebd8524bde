/* test_picture.c: results -> points -> what gnuplot is told -> pictures and a page. gnuplot itself is run where the picture's
 * own bytes say whether all is in it.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "omnibus/picture.h"

/* --- results ---------------------------------------------------------------------------------- */

#define BENCH(plan, pes, test, batch, ns)                                                                    \
    "{\"model_name\":\"m\",\"plan\":\"" plan "\",\"pes\":" #pes ",\"batch\":" #batch ",\"test\":\"" test     \
    "\",\"depth\":0,\"prompt\":8,\"gen\":0,\"skipped\":null,\"avg_ns\":" #ns ",\"avg_ts\":10,"               \
    "\"shares\":{\"compute\":0.5,\"bus\":0.25,\"tree\":0,\"host\":0,\"wait\":0.25,\"rest\":0},"              \
    "\"fabric\":{\"broadcast_bytes\":100,\"addressed_bytes\":20,\"tree_bytes\":7}}"
#define BENCHES(tests) "{\"schema\":\"omnibus.bench/1\",\"host\":{\"cpu_model\":\"C\"},\"tests\":[" tests "]}"
#define PASS(ps)                                                                                             \
    "{\"ps\":" #ps ",\"compute_ps\":" #ps ",\"bus_ps\":0,\"tree_ps\":0,\"host_ps\":0,"                       \
    "\"moved\":{\"broadcast_bytes\":5,\"addressed_bytes\":1,\"tree_bytes\":2},"                              \
    "\"critical_path\":[{\"op\":\"up\",\"kind\":\"compute\",\"ps\":" #ps "}]}"
#define TASK                                                                                                 \
    "{\"schema\":\"omnibus.plan/"                                                                            \
    "1\",\"model\":{\"name\":\"m\"},\"tasks\":[{\"array\":\"a\",\"pes\":4,\"batch\":2,"                      \
    "\"prompt\":8,\"gen\":3,\"plans\":[{\"plan\":\"p\",\"total_ps\":7000,\"tokens_per_s\":9,"                \
    "\"prefill\":" PASS(1000) ",\"decode_step\":" PASS(3000) "}]}]}"

static omni_status add_text(omni_results *r, const char *text, omni_error *err) {
    char path[] = "/tmp/omnibus-picture-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    omni_status status = omni_results_add(r, path, err);
    unlink(path);
    return status;
}

static omni_results *results_of(const char *text) {
    omni_error err = {0};
    omni_results *r = omni_results_create();
    cr_assert_eq(add_text(r, text, &err), OMNI_OK, "%s", err.text);
    return r;
}

Test(picture, a_bench_gives_measured_points) {
    omni_results *r = results_of(BENCHES(BENCH("p", 2, "pp8", 3, 4000000)));
    cr_assert_eq(omni_results_count(r), 1);
    const omni_point *p = omni_results_at(r, 0);
    cr_expect_str_eq(p->source, "host C");
    cr_expect(p->pes == 2 && p->batch == 3 && p->sequence == 8 && !p->modelled);
    cr_expect_float_eq(p->s, 4e-3, 1e-12);
    cr_expect_float_eq(p->part[OMNI_POINT_WAIT], 1e-3, 1e-12);
    cr_expect_eq(p->bus_bytes, 120);
    cr_expect(isnan(p->predicted_s));
    omni_results_free(r);
}

Test(picture, a_task_gives_prefill_decode_and_both) {
    omni_results *r = results_of(TASK);
    cr_assert_eq(omni_results_count(r), 3);
    const omni_point *prefill = omni_results_at(r, 0), *decode = omni_results_at(r, 1),
                     *all = omni_results_at(r, 2);
    cr_expect_str_eq(prefill->test, "pp8");
    cr_expect_str_eq(decode->test, "tg2");
    cr_expect_str_eq(all->test, "pp8+tg2");
    cr_expect_float_eq(decode->s, 6e-9, 1e-18, "two steps");
    cr_expect_eq(decode->bus_bytes, 12);
    cr_expect(decode->ops == 1 && fabs(decode->op[0].s - 6e-9) < 1e-18);
    cr_expect_float_eq(all->s, 7e-9, 1e-18);
    cr_expect(prefill->modelled && all->modelled);
    omni_error err = {0};
    cr_assert_eq(add_text(r, TASK, &err), OMNI_OK);
    cr_expect_eq(omni_results_count(r), 3, "the same task twice is one");
    omni_results_free(r);
}

Test(picture, json_lines) {
    omni_results *r = results_of(
        "{\"schema\":\"omnibus.bench/1\",\"plan\":\"p\",\"pes\":1,\"skipped\":null,\"avg_ns\":1}\n"
        "{\"schema\":\"omnibus.bench/1\",\"plan\":\"p\",\"pes\":2,\"skipped\":null,\"avg_ns\":1}\n");
    cr_expect_eq(omni_results_count(r), 2);
    omni_results_free(r);
}

Test(picture, what_is_no_result_is_refused) {
    static const char *const bad[][2] = {
        {"", "no JSON"},
        {"{", "no JSON"},
        {"[]", "no \"schema\""},
        {"{\"schema\":7}", "no \"schema\""},
        {"{\"schema\":\"omnibus.topo/1\"}", "no picture of 'omnibus.topo/1'"},
        {BENCHES("") "x", "no JSON"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        omni_results *r = omni_results_create();
        omni_error err = {0};
        cr_expect_eq(add_text(r, bad[i][0], &err), OMNI_BAD_INPUT, "%s", bad[i][0]);
        cr_expect(strstr(err.text, bad[i][1]), "%s", err.text);
        omni_results_free(r);
    }
}

Test(picture, too_many_points_are_refused) {
    omni_text *all = omni_text_create();
    omni_text_add(all, "{\"schema\":\"omnibus.bench/1\",\"tests\":[");
    for (size_t i = 0; i < 4097; i++)
        omni_text_add(all, "%s{\"plan\":\"p%zu\",\"pes\":%zu,\"skipped\":null,\"avg_ns\":1}", i ? "," : "",
                      i / 2, 1 + i % 2);
    omni_text_add(all, "]}");
    omni_results *r = omni_results_create();
    omni_error err = {0};
    cr_expect_eq(add_text(r, omni_text_string(all), &err), OMNI_BAD_INPUT);
    cr_expect(strstr(err.text, "more than 4096 points"), "%s", err.text);
    for (size_t p = 0; p < OMNI_PICTURES; p++) (void)omni_picture_has(r, (omni_picture)p); /* in no time */
    omni_text_free(all);
    omni_results_free(r);
}

/* Fields of another type leave the point out, or the number. */
Test(picture, odd_fields) {
    omni_results *r =
        results_of("{\"schema\":\"omnibus.bench/1\",\"tests\":[7,{},[],{\"avg_ns\":\"x\",\"skipped\":null},"
                   "{\"avg_ns\":5,\"skipped\":null,\"pes\":-3,\"batch\":1e300,\"shares\":9}]}");
    cr_assert_eq(omni_results_count(r), 1);
    const omni_point *p = omni_results_at(r, 0);
    cr_expect(p->pes == 0 && p->batch == 0 && isnan(p->part[0]));
    for (size_t k = 0; k < OMNI_PICTURES; k++) cr_expect_not(omni_picture_has(r, (omni_picture)k));
    omni_results_free(r);
}

/* --- what is drawn ---------------------------------------------------------------------------- */

static omni_text *script_of(const omni_results *r, omni_picture p) {
    omni_text *t = omni_text_create();
    cr_assert(omni_picture_has(r, p), "%s", omni_picture_name(p));
    omni_picture_script(r, p, t);
    return t;
}

Test(picture, speed_up_is_the_time_on_the_fewest_over_the_time) {
    omni_results *r = results_of(BENCHES(
        BENCH("p", 8, "pp8", 1, 500) "," BENCH("p", 2, "pp8", 1, 1000) "," BENCH("lonely", 2, "pp8", 1, 1)));
    omni_text *t = script_of(r, OMNI_PICTURE_SCALING);
    cr_expect(strstr(omni_text_string(t), "$s0 << EOD\n2 2\n8 4\nEOD\n"), "%s", omni_text_string(t));
    cr_expect_not(strstr(omni_text_string(t), "lonely"));
    omni_text_free(t);
    omni_results_free(r);
}

Test(picture, bars_end_where_the_next_begins) {
    omni_results *r = results_of(BENCHES(BENCH("p", 2, "pp8", 1, 8000000)));
    omni_text *t = script_of(r, OMNI_PICTURE_TIME);
    const char *s = omni_text_string(t);
    cr_expect(strstr(s, "0 4 1 0x4477aa\n4 6 1 0xee6677\n6 8 1 0x66ccee\n"), "%s", s);
    cr_expect(strstr(s, "\"p n=2\" 1") && strstr(s, "pp8, m, batch 1, on host C, ms"), "%s", s);
    omni_text_free(t);
    omni_results_free(r);
}

/* The fastest wins its place. */
Test(picture, the_map_has_the_best_plan_of_each_place) {
    omni_results *r = results_of(BENCHES(BENCH("slow", 2, "pp8", 1, 9) "," BENCH(
        "fast", 2, "pp8", 1, 3) "," BENCH("slow", 2, "pp8", 4, 5) "," BENCH("fast", 2, "pp8", 4, 6)));
    omni_text *t = script_of(r, OMNI_PICTURE_BEST);
    const char *s = omni_text_string(t);
    cr_expect(strstr(s, "1 1 0x4477aa \"A 10 t/s\"\n1 2 0xee6677 \"B 10 t/s\""), "%s", s);
    cr_expect(strstr(s, "\"A  fast\"") && strstr(s, "\"B  slow\""), "%s", s);
    omni_text_free(t);
    omni_results_free(r);
}

/* A name from a file ends no string and begins no command. */
Test(picture, names_cannot_speak_to_gnuplot) {
    omni_results *r = results_of(BENCHES(
        BENCH("a\\\"`$\\n\\\\!", 2, "p\\\"'", 1, 1000) "," BENCH("a\\\"`$\\n\\\\!", 4, "p\\\"'", 1, 9)));
    for (size_t p = 0; p < OMNI_PICTURES; p++) {
        if (!omni_picture_has(r, (omni_picture)p)) continue;
        omni_text *t = script_of(r, (omni_picture)p);
        const char *s = omni_text_string(t);
        cr_expect(strstr(s, "a??"), "%s", s);
        cr_expect_not(strchr(s, '`') || strchr(s, '\\') || strchr(s, '!') || strchr(s, '\''), "%s", s);
        omni_text_free(t);
    }
    omni_results_free(r);
}

Test(picture, many_points_are_cut_and_it_is_said) {
    omni_text *all = omni_text_create();
    omni_text_add(all, "{\"schema\":\"omnibus.bench/1\",\"tests\":[");
    for (size_t i = 0; i < 40; i++)
        omni_text_add(
            all,
            "%s{\"plan\":\"p%zu\",\"pes\":2,\"skipped\":null,\"avg_ns\":%zu,\"test\":\"t\",\"shares\":"
            "{\"compute\":1}},{\"plan\":\"p%zu\",\"pes\":4,\"skipped\":null,\"avg_ns\":%zu,\"test\":\"t\"}",
            i ? "," : "", i, 100 - i, i, 50 - i);
    omni_text_add(all, "]}");
    omni_results *r = results_of(omni_text_string(all));
    omni_text *bars = script_of(r, OMNI_PICTURE_TIME), *lines = script_of(r, OMNI_PICTURE_SCALING);
    cr_expect(strstr(omni_text_string(bars), "(the best 12 of 40)"));
    cr_expect(strstr(omni_text_string(bars), "\"p39 n=2\" 1") &&
              !strstr(omni_text_string(bars), "\"p1 n=2\""));
    cr_expect(strstr(omni_text_string(lines), "the fastest 8 of 40 series"));
    omni_text_free(all);
    omni_text_free(bars);
    omni_text_free(lines);
    omni_results_free(r);
}

Test(picture, gnuplot_draws) {
    omni_results *r = results_of(TASK);
    omni_error err = {0};
    omni_text *svg = omni_text_create(), *png = omni_text_create();
    cr_assert_eq(omni_picture_draw(r, OMNI_PICTURE_OPS, OMNI_IMAGE_SVG, svg, &err), OMNI_OK, "%s", err.text);
    cr_expect(strstr(omni_text_string(svg), "<svg") && strstr(omni_text_string(svg), "p n=4"));
    cr_assert_eq(omni_picture_draw(r, OMNI_PICTURE_TIME, OMNI_IMAGE_PNG, png, &err), OMNI_OK, "%s", err.text);
    cr_expect_eq(memcmp(omni_text_string(png), "\x89PNG", 4), 0);
    cr_expect_eq(omni_picture_draw(r, OMNI_PICTURE_PREDICTION, OMNI_IMAGE_SVG, svg, &err), OMNI_BAD_INPUT);
    cr_expect(strstr(err.text, "it needs a calibrate"), "%s", err.text);
    omni_text_free(svg);
    omni_text_free(png);
    omni_results_free(r);
}

Test(picture, no_gnuplot_is_said) {
    omni_results *r = results_of(TASK);
    omni_error err = {0};
    omni_text *svg = omni_text_create();
    setenv("PATH", "/nowhere", 1);
    cr_expect_eq(omni_picture_draw(r, OMNI_PICTURE_OPS, OMNI_IMAGE_SVG, svg, &err), OMNI_RUN_FAILED);
    cr_expect(strstr(err.text, "gnuplot-nox"), "%s", err.text);
    omni_text_free(svg);
    omni_results_free(r);
}

/* --- the page --------------------------------------------------------------------------------- */

Test(picture, the_page_has_the_command_and_nothing_from_outside) {
    omni_results *r =
        results_of("{\"schema\":\"omnibus.bench/1\",\"version\":\"<b>\",\"host\":{\"cpu_model\":\"A & B\"},"
                   "\"settings\":{\"model_dir\":\"m's\",\"pes\":\"1,2\",\"set\":[\"a=1\",\"b=2\"],"
                   "\"no_limits\":true,\"quiet\":false,\"reps\":3,\"output\":\"x\"},\"tests\":[" BENCH(
                       "<p>", 1, "pp8", 1, 1000) "]}");
    omni_error err = {0};
    omni_text *page = omni_text_create();
    cr_assert_eq(omni_page_draw(r, page, &err), OMNI_OK, "%s", err.text);
    const char *s = omni_text_string(page);
    cr_expect(strstr(s, "omnibus bench 'm'\\''s' --pes 1,2 --set a=1 --set b=2 --no-limits --reps 3</pre>"),
              "%s", s);
    cr_expect(strstr(s, "A &amp; B") && strstr(s, "&lt;b&gt;") && strstr(s, ">&lt;p&gt;</td>"));
    cr_expect(strstr(s, "<section id=\"time\">") && !strstr(s, "<section id=\"ops\">"));
    cr_expect_not(strstr(s, "src=") || strstr(s, "@import") || strstr(s, "<script") || strstr(s, "<?xml"));
    omni_text_free(page);
    omni_results_free(r);
}
