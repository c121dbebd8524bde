/* test_picture.c: results -> points -> what gnuplot is told -> pictures and a page. gnuplot itself is run
 * where the picture's own bytes say whether all is in it.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "omnibus/picture.h"
#include "picture/internal.h"

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
    cr_expect_str_eq(decode->test, "tg2 @ d8");
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

/* What a bench was priced at: a prediction when the array is this host, whose change of plans is unknown. */
Test(picture, a_bench_has_its_price) {
    omni_results *r = results_of(
        BENCHES("{\"plan\":\"p\",\"decode_plan\":\"q\",\"pes\":1,\"skipped\":null,\"avg_ns\":5,\"modelled\":"
                "{\"array\":\"host\",\"ns\":4,\"ts\":2,\"transform_ns\":null}},"
                "{\"plan\":\"r\",\"decode_plan\":\"r\",\"pes\":1,\"skipped\":null,\"avg_ns\":7,\"modelled\":"
                "{\"array\":\"a\",\"ns\":6,\"ts\":2,\"transform_ns\":0}}"));
    cr_assert_eq(omni_results_count(r), 4);
    const omni_point *modelled = omni_results_at(r, 0), *measured = omni_results_at(r, 1);
    cr_expect_str_eq(modelled->source, "host");
    cr_expect_float_eq(modelled->s, 4e-9, 1e-15);
    cr_expect_str_eq(measured->plan, "p then q");
    cr_expect_float_eq(measured->predicted_s, 4e-9, 1e-15);
    cr_expect(isnan(omni_results_at(r, 3)->predicted_s));
    cr_expect(omni_picture_has(r, OMNI_PICTURE_PREDICTION));
    omni_results_free(r);
}

Test(picture, a_run_gives_its_phases) {
    omni_results *r = results_of(
        "{\"schema\":\"omnibus.run/"
        "1\",\"model\":{\"name\":\"m\"},\"array\":{\"pes\":2},\"plan\":{\"name\":\"p\","
        "\"decode_name\":\"q\"},\"prompts\":[[1,2,3]],\"tokens\":[[1,2,3,4]],\"timing\":{\"prefill_s\":1,"
        "\"transform_s\":2,\"decode_s\":3},\"fabric\":{\"prefill\":{\"broadcast_bytes\":10,\"addressed_"
        "bytes\":1,"
        "\"tree_bytes\":5}},\"modelled\":{\"array\":\"a\",\"transform_s\":0,\"decode_s\":4,\"decode_tokens_"
        "per_s\":7,\"prefill\":" PASS(1000) ",\"last_decode_step\":" PASS(3000) "}}");
    static const char *const tests[] = {"pp3",      "pp3",      "change of plans",
                                        "tg3 @ d3", "tg3 @ d3", "last decode step"};
    cr_assert_eq(omni_results_count(r), 6);
    for (size_t i = 0; i < 6; i++) cr_expect_str_eq(omni_results_at(r, i)->test, tests[i]);
    cr_expect_eq(omni_results_at(r, 0)->bus_bytes, 11);
    cr_expect_str_eq(omni_results_at(r, 0)->plan, "p then q");
    cr_expect(omni_results_at(r, 1)->modelled && omni_results_at(r, 1)->ops == 1);
    cr_expect(omni_results_at(r, 4)->tokens_per_s == 7 && isnan(omni_results_at(r, 5)->tokens_per_s));
    cr_expect(omni_picture_has(r, OMNI_PICTURE_OPS) && omni_picture_has(r, OMNI_PICTURE_TIME));
    omni_results_free(r);
}

Test(picture, a_diff_gives_bytes_of_two_plans) {
    omni_results *r =
        results_of("{\"schema\":\"omnibus.plan/"
                   "1\",\"diff\":{\"situations\":[{\"p\":\"x\",\"q\":\"y\",\"pes\":4,\"batch\":1,"
                   "\"prompt\":8,\"gen\":1,\"prefill\":{\"broadcast_bytes\":{\"p\":1,\"q\":2},\"addressed_"
                   "bytes\":{\"p\":3,"
                   "\"q\":4},\"tree_bytes\":{\"p\":5,\"q\":6}}}]}}");
    cr_assert_eq(omni_results_count(r), 2);
    cr_expect_str_eq(omni_results_at(r, 1)->plan, "y");
    cr_expect(omni_results_at(r, 0)->bus_bytes == 4 && omni_results_at(r, 1)->tree_bytes == 6);
    cr_expect(omni_picture_has(r, OMNI_PICTURE_BYTES));
    omni_results_free(r);
}

Test(picture, a_verify_gives_predictions) {
    omni_results *r = results_of(
        "{\"schema\":\"omnibus.plan/1\",\"tasks\":[{\"pes\":1,\"batch\":1,\"prompt\":8,\"gen\":2,\"plans\":["
        "{\"plan\":\"x\",\"predicted_ns\":3,\"measured_ns\":4},{\"plan\":\"y\",\"predicted_ns\":3,"
        "\"measured_ns\":null}]}]}");
    cr_assert_eq(omni_results_count(r), 1);
    cr_expect_str_eq(omni_results_at(r, 0)->test, "pp8+tg1");
    cr_expect_float_eq(omni_results_at(r, 0)->predicted_s, 3e-9, 1e-15);
    omni_results_free(r);
}

/* Its messages over PEs are no speed-up; its rows differ by their shapes. */
Test(picture, a_calibrate_gives_predictions_alone) {
    omni_results *r = results_of(
        "{\"schema\":\"omnibus.calibrate/"
        "1\",\"predictions\":[{\"kind\":\"collective\",\"what\":\"broadcast\","
        "\"shape\":\"3 KiB\",\"pes\":2,\"wall_ns\":9,\"predicted_ns\":8},{\"kind\":\"collective\",\"what\":"
        "\"broadcast\",\"shape\":\"3 KiB\",\"pes\":4,\"wall_ns\":9,\"predicted_ns\":8}]}");
    cr_assert_eq(omni_results_count(r), 2);
    cr_expect_str_eq(omni_results_at(r, 0)->test, "broadcast, 3 KiB");
    for (size_t p = 0; p < OMNI_PICTURES; p++)
        cr_expect_eq(omni_picture_has(r, (omni_picture)p), p == OMNI_PICTURE_PREDICTION);
    omni_text *t = omni_text_create();
    omni_picture_script(r, OMNI_PICTURE_PREDICTION, OMNI_IMAGE_SVG, t);
    cr_expect(strstr(omni_text_string(t), "set xtics ('8' 8, '10' 10)"), "near each other, and yet tics: %s",
              omni_text_string(t));
    omni_text_free(t);
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
        {"{\"schema\":\"another/1\"}", "schema is 'another/1' (expected what omnibus writes"},
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
        omni_text_add(all, "%s{\"plan\":\"p%zu\",\"pes\":%zu,\"batch\":1,\"skipped\":null,\"avg_ns\":1}",
                      i ? "," : "", i / 2, 1 + i % 2);
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
    omni_picture_script(r, p, OMNI_IMAGE_SVG, t);
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
    cr_expect(strstr(s, "0 4 17 31 0x4477aa\n4 6 17 31 0xee6677\n6 8 17 31 0x66ccee\n"), "%s", s);
    cr_expect(strstr(s, "'pp8'") && strstr(s, "'p, n=2, batch 1, m, on host C'"), "a run's tests: %s", s);
    cr_expect(strstr(s, "'8 ms'"), "%s", s);
    omni_text_free(t);
    omni_results_free(r);
    r = results_of(BENCHES(BENCH("p", 2, "pp8", 1, 8000000) "," BENCH("q", 4, "pp8", 1, 9)));
    t = script_of(r, OMNI_PICTURE_TIME);
    s = omni_text_string(t);
    cr_expect(strstr(s, "'p n=2'") && strstr(s, "'q n=4'") && strstr(s, "'pp8, batch 1, m, on host C'"), "%s",
              s);
    omni_text_free(t);
    omni_results_free(r);
}

/* The fastest wins its place. */
Test(picture, the_map_has_the_best_plan_of_each_place) {
    omni_results *r = results_of(BENCHES(BENCH("slow", 2, "pp8", 1, 9) "," BENCH(
        "fast", 2, "pp8", 1, 3) "," BENCH("slow", 2, "pp8", 4, 5) "," BENCH("fast", 2, "pp8", 4, 6)));
    omni_text *t = script_of(r, OMNI_PICTURE_BEST);
    const char *s = omni_text_string(t);
    cr_expect(strstr(s, "$best << EOD\n0 0 0x77aadd\n0 1 0xee8866\nEOD\n"), "%s", s);
    cr_expect(strstr(s, "'A  fast'") && strstr(s, "'B  slow'"), "%s", s);
    cr_expect(strstr(s, "'m, n=2, on host C: tokens/s of the best plan'"), "%s", s);
    omni_text_free(t);
    omni_results_free(r);
}

/* Ten winners: seven have a letter, the others share the last. */
Test(picture, more_winners_than_colours) {
    omni_text *all = omni_text_create();
    omni_text_add(all, "{\"schema\":\"omnibus.bench/1\",\"tests\":[");
    for (size_t i = 0; i < 20; i++)
        omni_text_add(all,
                      "%s{\"plan\":\"p%zu\",\"pes\":2,\"batch\":%zu,\"skipped\":null,\"avg_ns\":%zu,\"test\":"
                      "\"pp8\"}",
                      i ? "," : "", i, i / 2 + 1, 10 + i % 2);
    omni_text_add(all, "]}");
    omni_results *r = results_of(omni_text_string(all));
    omni_text *t = script_of(r, OMNI_PICTURE_BEST);
    const char *s = omni_text_string(t);
    cr_expect(strstr(s, "'G  p12'") && strstr(s, "'H  3 other plans'") && !strstr(s, "p14"), "%s", s);
    omni_text_free(all);
    omni_text_free(t);
    omni_results_free(r);
}

/* Whole, however long, with a line break where a plan has a part. */
Test(picture, long_names_wrap) {
    omni_results *r = results_of(
        BENCHES(BENCH("qkv=out:attn=heads:o=out:ffn=out+out:groups=32:overlap=16:wire=bf16:norm=all:edge="
                      "scatter:gather=bus",
                      2, "pp8", 1, 9) "," BENCH("q", 2, "pp8", 1, 9)));
    omni_text *t = omni_text_create();
    omni_picture_script(r, OMNI_PICTURE_TIME, OMNI_IMAGE_INLINE, t);
    const char *s = omni_text_string(t);
    cr_expect(strstr(s, "'qkv=out:attn=heads:o=out:ffn=out+out:groups=32:'") &&
                  strstr(s, "'overlap=16:wire=bf16:norm=all:edge=scatter:'") && strstr(s, "'gather=bus'"),
              "%s", s);
    omni_text_free(t);
    omni_results_free(r);
}

/* Of long names what differs: whole parts, and nothing where nothing would be left. */
Test(picture, names_without_what_is_common) {
    static const char *const names[] = {"qkv=in:o=out:groups=8:edge=bcast",
                                        "qkv=in:o=in:groups=8:edge=bcast"};
    static const char *const bases[] = {"a=1:b=2", "a=1:b=2:c=3"};
    char buf[64];
    common k = common_of(names, 2, 20);
    cr_expect_str_eq(common_less(k, names[0], buf, sizeof buf), "..o=out..");
    cr_expect_str_eq(common_less(k, names[1], buf, sizeof buf), "..o=in..");
    k = common_of(names, 2, 80);
    cr_expect(k.head == 0 && k.tail == 0, "there is room");
    k = common_of(bases, 2, 3);
    cr_expect_str_eq(common_less(k, bases[1], buf, sizeof buf), "..b=2:c=3");
    for (size_t i = 0; i < 2; i++) {
        k = common_of(&names[i], 1, 3);
        cr_expect(k.head == 0 && k.tail == 0, "one name has all to itself");
    }
}

/* A name from a file ends no string and begins no command, and is shown as it is. */
Test(picture, names_cannot_speak_to_gnuplot) {
    omni_results *r =
        results_of(BENCHES(BENCH("a'\\n`!<&@_^{}\\\"\\u0007\\u00e9", 2, "p'", 1,
                                 1000) "," BENCH("a'\\n`!<&@_^{}\\\"\\u0007\\u00e9", 4, "p'", 1, 9)));
    cr_assert_eq(omni_results_count(r), 2);
    for (size_t p = 0; p < OMNI_PICTURES; p++) {
        omni_error err = {0};
        if (!omni_picture_has(r, (omni_picture)p)) continue;
        omni_text *t = script_of(r, (omni_picture)p), *svg = omni_text_create();
        cr_expect(strstr(omni_text_string(t), "a\u2019?\u2019!<&@_^{}\"?\u00e9"), "%s", omni_text_string(t));
        cr_assert_eq(omni_picture_draw(r, (omni_picture)p, OMNI_IMAGE_SVG, svg, &err), OMNI_OK, "%s",
                     err.text);
        cr_expect(strstr(omni_text_string(svg), "!&lt;&amp;@_^{}"), "%s", omni_text_string(svg));
        omni_text_free(t);
        omni_text_free(svg);
    }
    omni_results_free(r);
}

/* Every letter of ASCII begins a name, and ends one. */
Test(picture, any_letter_can_be_in_a_name) {
    omni_text *all = omni_text_create(), *svg = omni_text_create();
    omni_error err = {0};
    omni_text_add(all, "{\"schema\":\"omnibus.bench/1\",\"tests\":[");
    for (unsigned i = 0; i < 48; i++)
        omni_text_add(all,
                      "%s{\"plan\":\"\\u%04xx\\u%04x\",\"pes\":2,\"batch\":%u,\"skipped\":null,\"avg_ns\":9,"
                      "\"test\":\"\\u%04x\",\"shares\":{\"compute\":1}}",
                      i ? "," : "", ' ' + 2 * i, ' ' + 2 * i + 1, 1 + i / 12, ' ' + 2 * (i / 12));
    omni_text_add(all, "]}");
    omni_results *r = results_of(omni_text_string(all));
    cr_expect_eq(omni_picture_draw(r, OMNI_PICTURE_TIME, OMNI_IMAGE_SVG, svg, &err), OMNI_OK, "%s", err.text);
    cr_expect(strstr(omni_text_string(svg), "&amp;x\u2019"));
    omni_text_free(all);
    omni_text_free(svg);
    omni_results_free(r);
}

Test(picture, many_points_are_cut_and_it_is_said) {
    omni_text *all = omni_text_create();
    omni_text_add(all, "{\"schema\":\"omnibus.bench/1\",\"tests\":[");
    for (size_t i = 0; i < 40; i++)
        omni_text_add(all,
                      "%s{\"plan\":\"p%zu\",\"pes\":2,\"batch\":1,\"skipped\":null,\"avg_ns\":%zu,\"test\":"
                      "\"t\",\"shares\":"
                      "{\"compute\":1}},{\"plan\":\"p%zu\",\"pes\":4,\"batch\":1,\"skipped\":null,\"avg_ns\":"
                      "%zu,\"test\":\"t\"}",
                      i ? "," : "", i, 100 - i, i, 50 - i);
    omni_text_add(all, "]}");
    omni_results *r = results_of(omni_text_string(all));
    omni_text *bars = script_of(r, OMNI_PICTURE_TIME), *lines = script_of(r, OMNI_PICTURE_SCALING);
    cr_expect(strstr(omni_text_string(bars), "(the best 12 of 40)"));
    cr_expect(strstr(omni_text_string(bars), "'p39'") && !strstr(omni_text_string(bars), "'p1'"));
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
    cr_expect(strstr(omni_text_string(svg), "<svg") && strstr(omni_text_string(svg), "p, n=4"));
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

static const char *default_of(omni_command command, omni_option_id id) {
    (void)command;
    return id == OMNI_OPT_REPS ? "5" : omni_option_at(id)->initial;
}

Test(picture, the_page_has_the_command_and_nothing_from_outside) {
    omni_results *r =
        results_of("{\"schema\":\"omnibus.bench/1\",\"version\":\"<b>\",\"host\":{\"cpu_model\":\"A & B\"},"
                   "\"settings\":{\"model_dir\":\"m's\",\"pes\":\"1,2\",\"set\":[\"a=1\",\"b=2\"],"
                   "\"no_limits\":true,\"quiet\":false,\"reps\":3,\"batch\":\"1\",\"seed\":1,\"output\":\"x "
                   "y\"},\"tests\":[" BENCH("<p>", 1, "pp8", 1, 1000) "]}");
    omni_error err = {0};
    omni_text *page = omni_text_create();
    cr_assert_eq(omni_page_draw(r, default_of, page, &err), OMNI_OK, "%s", err.text);
    const char *s = omni_text_string(page);
    cr_expect(
        strstr(s, "omnibus bench 'm'\\''s' --pes 1,2 --set a=1 --set b=2 --no-limits --reps 3 --format json "
                  "--output 'x y'</pre>"),
        "%s", s);
    cr_expect(strstr(s, "A &amp; B") && strstr(s, "&lt;b&gt;") && strstr(s, ">&lt;p&gt;</td>") &&
              !strstr(s, "Gnuplot<"));
    cr_expect(strstr(s, "<section id=\"time\">") && !strstr(s, "<section id=\"ops\">"));
    cr_expect_not(strstr(s, "src=") || strstr(s, "@import") || strstr(s, "<script") || strstr(s, "<?xml"));
    omni_text_free(page);
    omni_results_free(r);
}

#define CHECK                                                                                                \
    "{\"schema\":\"omnibus.check/"                                                                           \
    "1\",\"model\":{\"name\":\"m\"},\"truth\":\"T\",\"settings\":{\"model_dir\":\"d\"},"                     \
    "\"cases\":[{\"plan\":\"p\",\"decode_plan\":\"q\",\"pes\":3,\"rel_max\":1e-7,\"passed\":true},"          \
    "{\"plan\":\"bad\",\"decode_plan\":\"bad\",\"passed\":false,\"first_bad\":\"layer 2\"},"                 \
    "{\"plan\":\"odd\",\"decode_plan\":\"odd\",\"passed\":null,\"skipped\":\"why\"}]}"

/* On a page a check is a table; pictures leave it out. */
Test(picture, a_check_is_shown_on_the_page) {
    omni_results *r = results_of(CHECK);
    omni_error err = {0};
    omni_text *page = omni_text_create();
    cr_expect_eq(omni_results_need(r, true, &err), OMNI_OK);
    cr_assert_eq(omni_page_draw(r, default_of, page, &err), OMNI_OK, "%s", err.text);
    const char *s = omni_text_string(page);
    cr_expect(strstr(s, "1 passed, 1 failed, 1 skipped") && strstr(s, ">p then q</td>"), "%s", s);
    cr_expect(strstr(s, ">FAILED: layer 2</td>") && strstr(s, ">skipped: why</td>"), "%s", s);
    cr_expect_eq(omni_results_need(r, false, &err), OMNI_BAD_INPUT);
    cr_expect(strstr(err.text, "a check says") && strstr(err.text, "omnibus bench d --pes 1,2"), "%s",
              err.text);
    omni_text_free(page);
    omni_results_free(r);
}

Test(picture, what_gives_nothing_is_left_out) {
    omni_results *r = results_of("{\"schema\":\"omnibus.topo/1\"}");
    omni_error err = {0};
    cr_expect_eq(omni_results_need(r, true, &err), OMNI_BAD_INPUT);
    cr_expect(strstr(err.text, "topo shows the host") && strstr(err.text, "bench MODEL_DIR"), "%s", err.text);
    err = (omni_error){0};
    cr_assert_eq(add_text(r, "{\"schema\":\"omnibus.future/2\"}", &err), OMNI_OK);
    cr_assert_eq(add_text(r, TASK, &err), OMNI_OK);
    cr_expect_eq(omni_results_need(r, false, &err), OMNI_OK);
    const json_t *files = omni_results_files(r);
    cr_assert_eq(json_array_size(files), 3);
    cr_expect(omni_results_unseen(json_array_get(files, 0), true));
    cr_expect(strstr(omni_results_unseen(json_array_get(files, 1), true), "does not know"));
    cr_expect_null(omni_results_unseen(json_array_get(files, 2), true));
    omni_results_free(r);
}
