/* test_config.c: the table, values and where they come from, INI files, lists. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "omnibus/config.h"

/* --- the table -------------------------------------------------------------------------------- */

static bool takes(omni_command command, const char *name) {
    return omni_option_find(name, (unsigned)command) != NULL;
}

Test(config, every_row_is_found_by_its_name) {
    for (int id = 0; id < OMNI_OPTIONS; id++) {
        const omni_option *o = omni_option_at((omni_option_id)id);
        cr_assert_eq((int)o->id, id, "row %d", id);
        cr_assert_eq(omni_option_find(o->name, o->commands), o);
        cr_assert(o->commands != 0 && o->help && *o->help);
        cr_assert(o->arg || !o->initial, "a flag starts as no");
    }
    cr_assert_null(omni_option_find("pe", ~0u));
    cr_assert_null(omni_option_find("", ~0u));
}

Test(config, who_takes_what) {
    static const char *const common[] = {"format", "output", "config", "cpus", "quiet", "pes"};
    static const omni_command all[] = {OMNI_CMD_RUN, OMNI_CMD_CHECK, OMNI_CMD_PLAN, OMNI_CMD_TOPO,
                                       OMNI_CMD_BENCH};
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        for (size_t c = 0; c < 5; c++) cr_expect(takes(all[c], common[i]), "%s", common[i]);
    cr_expect(takes(OMNI_CMD_RUN, "fabric") && takes(OMNI_CMD_CHECK, "fabric") &&
              !takes(OMNI_CMD_PLAN, "fabric"));
    cr_expect(takes(OMNI_CMD_RUN, "gen") && takes(OMNI_CMD_PLAN, "gen") && !takes(OMNI_CMD_CHECK, "gen"));
    static const char *const made[] = {"out", "layers", "dtype", "shard-size", "seed", "format", "cpus"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) cr_expect(takes(OMNI_CMD_SYNTH, made[i]));
    static const char *const measured[] = {"pes",         "plan",   "batch",     "prompt",  "gen",
                                           "decode-plan", "fabric", "seed",      "depth",   "reps",
                                           "workers",     "pg",     "no-limits", "resident"};
    for (size_t i = 0; i < sizeof measured / sizeof *measured; i++)
        cr_expect(takes(OMNI_CMD_BENCH, measured[i]), "%s", measured[i]);
    cr_expect(!takes(OMNI_CMD_BENCH, "golden") && !takes(OMNI_CMD_RUN, "depth"));
    cr_expect(!takes(OMNI_CMD_SYNTH, "pes") && !takes(OMNI_CMD_RUN, "out"));
    cr_expect(takes(OMNI_CMD_CHECK, "seed") && takes(OMNI_CMD_RUN, "seed"));
    cr_expect(takes(OMNI_CMD_PLAN, "batch") && takes(OMNI_CMD_PLAN, "explain") &&
              !takes(OMNI_CMD_TOPO, "plan"));
    cr_expect_str_eq(omni_command_name(OMNI_CMD_CHECK), "check");
}

Test(config, did_you_mean) {
    cr_expect_str_eq(omni_option_suggest("pse", OMNI_CMD_RUN), "pes");
    cr_expect_str_eq(omni_option_suggest("decode_plan", OMNI_CMD_RUN), "decode-plan");
    cr_expect_null(omni_option_suggest("golde", OMNI_CMD_RUN), "only what the command takes");
    cr_expect_str_eq(omni_option_suggest("golde", OMNI_CMD_CHECK), "golden");
    cr_expect_null(omni_option_suggest("temperature", OMNI_CMD_CHECK));
    cr_expect_null(omni_option_suggest("x", OMNI_CMD_RUN));
}

/* --- values ----------------------------------------------------------------------------------- */

static omni_settings *settings;
static omni_error err;
static char path[] = "/tmp/omnibus-config-XXXXXX";

static void setup(void) {
    settings = omni_settings_create(OMNI_CMD_RUN);
    cr_assert_not_null(settings);
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
}

static void teardown(void) {
    omni_settings_free(settings);
    omni_settings_free(NULL);
    unlink(path);
}

static omni_status type(omni_option_id id, const char *value) {
    err = (omni_error){0};
    return omni_settings_put(settings, id, value, OMNI_FROM_COMMAND_LINE, &err);
}

static omni_status load_bytes(const char *text, size_t bytes) {
    err = (omni_error){0};
    FILE *f = fopen(path, "w");
    cr_assert(f && fwrite(text, 1, bytes, f) == bytes && fclose(f) == 0);
    return omni_settings_load(settings, path, &err);
}

static omni_status load(const char *text) {
    return load_bytes(text, strlen(text));
}

/* The error must be "<path><rest>", as an error of the input. */
static void expect_file_error(const char *rest) {
    char want[480];
    snprintf(want, sizeof want, "%s%s", path, rest);
    cr_expect_str_eq(err.text, want);
    cr_expect_eq(err.status, OMNI_BAD_INPUT);
}

TestSuite(config_values, .init = setup, .fini = teardown);

Test(config_values, nothing_given) {
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_FORMAT), "table");
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_FABRIC), "shm");
    cr_expect_null(omni_settings_get(settings, OMNI_OPT_PES));
    cr_expect_not(omni_settings_flag(settings, OMNI_OPT_QUIET));
    cr_expect_eq(omni_settings_count(settings, OMNI_OPT_PROMPT_IDS), 0);
    cr_expect_null(omni_settings_nth(settings, OMNI_OPT_PROMPT_IDS, 0));
    size_t n;
    cr_expect_eq(omni_settings_number(settings, OMNI_OPT_PES, 1, 64, &n, &err), OMNI_BAD_INPUT);
    cr_expect_str_eq(err.text, "--pes: missing (expected 1 to 64)");
}

Test(config_values, the_command_line_wins_in_either_order) {
    cr_assert_eq(type(OMNI_OPT_PES, "3"), OMNI_OK);
    cr_assert_eq(load("pes = 7\ngen=5\n"), OMNI_OK, "%s", err.text);
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_PES), "3");
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_GEN), "5");
    cr_assert_eq(type(OMNI_OPT_GEN, "6"), OMNI_OK);
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_GEN), "6");
    cr_expect_str_eq(omni_settings_where(settings, OMNI_OPT_GEN), "--gen");
}

Test(config_values, repeatables_replace_the_file_s) {
    cr_assert_eq(load("[run]\nprompt-ids = 1,2\nprompt-ids = 3\n"), OMNI_OK, "%s", err.text);
    cr_expect_eq(omni_settings_count(settings, OMNI_OPT_PROMPT_IDS), 2);
    cr_expect_str_eq(omni_settings_nth(settings, OMNI_OPT_PROMPT_IDS, 0), "1,2");
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_PROMPT_IDS), "3");
    cr_assert_eq(type(OMNI_OPT_PROMPT_IDS, "9"), OMNI_OK);
    cr_expect_eq(omni_settings_count(settings, OMNI_OPT_PROMPT_IDS), 1);
    cr_assert_eq(type(OMNI_OPT_PROMPT_IDS, "8"), OMNI_OK);
    cr_expect_eq(omni_settings_count(settings, OMNI_OPT_PROMPT_IDS), 2);
    cr_expect_str_eq(omni_settings_nth(settings, OMNI_OPT_PROMPT_IDS, 1), "8");
}

Test(config_values, what_put_refuses) {
    cr_assert_eq(type(OMNI_OPT_PES, "3"), OMNI_OK);
    cr_expect_eq(type(OMNI_OPT_PES, "3"), OMNI_BAD_INPUT);
    cr_expect_str_eq(err.text, "--pes: given twice");
    cr_expect_eq(type(OMNI_OPT_REPS, "3"), OMNI_BAD_INPUT);
    cr_expect_str_eq(err.text, "--reps: not an option of run");
    cr_expect_eq(type(OMNI_OPT_OUTPUT, ""), OMNI_BAD_INPUT);
    cr_expect_str_eq(err.text, "--output: no value (expected FILE)");
    cr_expect_eq(type(OMNI_OPT_PLAN, NULL), OMNI_BAD_INPUT);
    cr_expect_eq(type(OMNI_OPT_QUIET, "perhaps"), OMNI_BAD_INPUT);
    cr_expect_str_eq(err.text, "--quiet: 'perhaps' (expected yes or no)");
}

Test(config_values, flags) {
    cr_assert_eq(load("quiet = yes\nstop-eos = off\n"), OMNI_OK, "%s", err.text);
    cr_expect(omni_settings_flag(settings, OMNI_OPT_QUIET));
    cr_expect_not(omni_settings_flag(settings, OMNI_OPT_STOP_EOS));
    cr_assert_eq(type(OMNI_OPT_STOP_EOS, NULL), OMNI_OK);
    cr_expect(omni_settings_flag(settings, OMNI_OPT_STOP_EOS));
}

Test(config_values, numbers_say_where_they_stand) {
    size_t n = 0;
    cr_assert_eq(load("\npes = 12\ngen = 4k\n"), OMNI_OK, "%s", err.text);
    cr_expect_eq(omni_settings_number(settings, OMNI_OPT_PES, 1, 12, &n, &err), OMNI_OK);
    cr_expect_eq(n, 12);
    cr_expect_eq(omni_settings_number(settings, OMNI_OPT_PES, 13, 99, &n, NULL), OMNI_BAD_INPUT);
    cr_expect_eq(omni_settings_number(settings, OMNI_OPT_GEN, 1, 9, &n, &err), OMNI_BAD_INPUT);
    expect_file_error(":3: gen: '4k' (expected a number from 1 to 9)");
}

/* --- files ------------------------------------------------------------------------------------ */

Test(config_values, sections_comments_and_indentation) {
    cr_assert_eq(load("\xef\xbb\xbf; a comment\n# another\r\n  pes = 4   ; four\n   gen : "
                      "2\r\n\n[check]\nseed = 1\nwhatever = 2\n"
                      "[run]\n\tplan = megatron:o=out\n  [topo]\npes = 9"),
                 OMNI_OK, "%s", err.text);
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_PES), "4");
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_GEN), "2");
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_PLAN), "megatron:o=out");
    cr_assert_eq(load(""), OMNI_OK);
}

Test(config_values, errors_name_file_and_line) {
    static const struct {
        const char *text, *error;
    } files[] = {
        {"\n\nplam = x\n", ":3: unknown key 'plam' (did you mean 'plan'?)"},
        {"wheels = 4\n", ":1: unknown key 'wheels' (expected an option of omnibus run)"},
        {"dump = a\n[run]\ndump = b\n", ":3: dump: given twice"},
        {"ids-file =\n", ":1: ids-file: no value (expected FILE)"},
        {"reps = 4\n", ":1: reps: not an option of run"},
        {"config = other.ini\n",
         ":1: a file cannot include another (expected config on the command line only)"},
        {"[rum]\n\npes = 1\n", ":3: unknown section [rum] (did you mean 'run'?)"},
        {"[drive]\npes = 1\n", ":2: unknown section [drive] (expected run, check, plan, bench, calibrate, "
                               "plot, report, topo or synth)"},
        {"print-config = yes\n", ":1: print-config is no setting (expected it on the command line only)"},
        {"\njust words\nplam = 3\n", ":2: expected 'key = value' or '[section]'"},
        {"plam = 3\njust words\n", ":1: unknown key 'plam' (did you mean 'plan'?)"},
        {"[run\nfabric = null\n", ":1: expected 'key = value' or '[section]'"},
        {"quiet = maybe\n", ":1: quiet: 'maybe' (expected yes or no)"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        omni_settings_free(settings);
        settings = omni_settings_create(OMNI_CMD_RUN);
        cr_expect_eq(load(files[i].text), OMNI_BAD_INPUT, "%s", files[i].text);
        expect_file_error(files[i].error);
    }
}

Test(config_values, a_line_is_as_long_as_you_like) {
    for (size_t length = 150; length < 500; length++) { /* around inih's buffer */
        char text[600] = "\nprompt-ids = ";
        size_t begins = strlen(text);
        memset(text + begins, '7', length);
        strcpy(text + begins + length, length % 2 ? "\n" : "");
        omni_settings_free(settings);
        settings = omni_settings_create(OMNI_CMD_RUN);
        cr_assert_eq(load(text), OMNI_OK, "%s", err.text);
        cr_assert_eq(strlen(omni_settings_get(settings, OMNI_OPT_PROMPT_IDS)), length);
    }
    char key[600] = "";
    memset(key, 'k', 400);
    strcpy(key + 400, " = 1\n");
    cr_expect_eq(load(key), OMNI_BAD_INPUT);
    expect_file_error(":1: expected 'key = value' or '[section]'");
}

Test(config_values, values_in_quotes_are_taken_as_they_are) {
    static const struct {
        const char *text, *value;
    } good[] = {
        {"ids-file = \" a ;b\\\\\\n\\\"c\\\" \"\n", " a ;b\\\n\"c\" "},
        {"ids-file = \"x\" ; a comment\n", "x"},
        {"ids-file = \"=:\"", "=:"},
        {"ids-file = x\"y\"\n", "x\"y\""},
        {"ids-file: plain  ; cut\n", "plain"},
        {"ids-file = a;b ;c ;d\n", "a;b"},
        {"[run] ; ours\nids-file = \"\\t\\r\"\n", "\t\r"},
        {"\xef\xbb\xbfids-file = mark\n", "mark"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        omni_settings_free(settings);
        settings = omni_settings_create(OMNI_CMD_RUN);
        err = (omni_error){0};
        cr_expect_eq(load(good[i].text), OMNI_OK, "%s: %s", good[i].text, err.text);
        const char *value = omni_settings_get(settings, OMNI_OPT_IDS_FILE);
        cr_expect(value && strcmp(value, good[i].value) == 0, "%s: %s", good[i].text, value);
    }
    static const char *const bad[] = {"ids-file = \"open\n", "ids-file = \"a\" b\n", "ids-file = \"a\\\"\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(load(bad[i]), OMNI_BAD_INPUT, "%s", bad[i]);
        expect_file_error(":1: expected a value, or one in quotes and nothing behind it");
    }
}

Test(config_values, a_result_has_its_settings) {
    cr_assert_eq(
        load("\n {\"schema\": \"omnibus.run/1\", \"settings\": {\"model_dir\": \"dir\", \"pes\": 4,"
             " \"prompt_ids\": [\"1,2\", \"3\"], \"gen\": null, \"quiet\": true, \"stop_eos\": false,"
             " \"output\": \"same.json\"}, \"more\": []}\n{\"schema\": \"the next line\"}\n"),
        OMNI_OK, "%s", err.text);
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_MODEL_DIR), "dir");
    cr_expect_str_eq(omni_settings_get(settings, OMNI_OPT_PES), "4");
    cr_expect_str_eq(omni_settings_nth(settings, OMNI_OPT_PROMPT_IDS, 1), "3");
    cr_expect_null(omni_settings_get(settings, OMNI_OPT_GEN));
    cr_expect(omni_settings_flag(settings, OMNI_OPT_QUIET) &&
              !omni_settings_flag(settings, OMNI_OPT_STOP_EOS));
    cr_expect_null(omni_settings_get(settings, OMNI_OPT_OUTPUT), "where the result is");
}

Test(config_values, what_is_no_result) {
    static const struct {
        const char *text, *error;
    } files[] = {
        {"{\n\"schema\": ", ":2: "},
        {"{}", ": schema is '' (expected omnibus.run/1, a result of omnibus run)"},
        {"{\"schema\": \"omnibus.check/1\", \"settings\": {}}",
         ": schema is 'omnibus.check/1' (expected omnibus.run/1"},
        {"{\"schema\": \"omnibus.run/1\", \"settings\": []}", ": no settings (expected an object)"},
        {"{\"schema\": \"omnibus.run/1\", \"settings\": {\"wheels\": 4}}", ": settings.wheels: no option"},
        {"{\"schema\": \"omnibus.run/1\", \"settings\": {\"config\": \"x\"}}",
         ": settings.config: no option"},
        {"{\"schema\": \"omnibus.run/1\", \"settings\": {\"pes\": 1.5}}",
         ": settings.pes: expected a string, "},
        {"{\"schema\": \"omnibus.run/1\", \"settings\": {\"reps\": 1}}",
         ": settings.reps: not an option of run"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        err = (omni_error){0};
        cr_expect_eq(load(files[i].text), OMNI_BAD_INPUT, "%s", files[i].text);
        cr_expect(strstr(err.text, files[i].error), "%s", err.text);
    }
}

Test(config_values, what_is_no_file) {
    cr_expect_eq(load_bytes("pes\0 = 1\n", 9), OMNI_BAD_INPUT);
    expect_file_error(":1: not a text file");
    err = (omni_error){0};
    cr_expect_eq(omni_settings_load(settings, "/nonexistent/x.ini", &err), OMNI_BAD_INPUT);
    cr_expect_str_eq(err.text, "/nonexistent/x.ini: cannot open (No such file or directory)");
    err = (omni_error){0};
    cr_expect_eq(omni_settings_load(settings, "/tmp", &err), OMNI_BAD_INPUT);
    cr_expect_str_eq(err.text, "/tmp: cannot read (Is a directory)");
}

/* --- lists ------------------------------------------------------------------------------------ */

Test(config, lists_of_numbers) {
    size_t *list, count;
    cr_assert_eq(omni_number_list("1,2,4-8", "--pes", 1, 64, &list, &count, NULL), OMNI_OK);
    static const size_t want[] = {1, 2, 4, 5, 6, 7, 8};
    cr_assert(count == 7 && memcmp(list, want, sizeof want) == 0);
    omni_free(list);
    cr_assert_eq(omni_number_list(" 9 , 3-3,9 ", "--pes", 1, 64, &list, &count, NULL), OMNI_OK);
    cr_assert(count == 3 && list[0] == 9 && list[1] == 3 && list[2] == 9);
    omni_free(list);
    cr_assert_eq(omni_number_list("0-65535", "--pes", 0, SIZE_MAX, &list, &count, NULL), OMNI_OK);
    cr_assert(count == 65536 && list[65535] == 65535);
    omni_free(list);
    cr_assert_eq(
        omni_number_list("18446744073709551614-18446744073709551615", "x", 0, SIZE_MAX, &list, &count, NULL),
        OMNI_OK);
    cr_assert(count == 2 && list[1] == SIZE_MAX);
    omni_free(list);
}

Test(config, bad_lists_of_numbers_name_the_piece) {
    static const struct {
        const char *text, *error;
    } lists[] = {
        {"", "--pes: '' is not a number (expected 1 to 64, as in 1,2,4-8)"},
        {"1,,2", "--pes: '' is not a number (expected 1 to 64, as in 1,2,4-8)"},
        {"1,", "--pes: '' is not a number (expected 1 to 64, as in 1,2,4-8)"},
        {"2,3-1,4", "--pes: '3-1' is a range that runs backwards (expected 1 to 64, as in 1,2,4-8)"},
        {"1,a", "--pes: 'a' is not a number (expected 1 to 64, as in 1,2,4-8)"},
        {"1,4-", "--pes: '4-' is not a range of numbers (expected 1 to 64, as in 1,2,4-8)"},
        {"-4", "--pes: '-4' is not a range of numbers (expected 1 to 64, as in 1,2,4-8)"},
        {"1-2-3", "--pes: '1-2-3' is not a range of numbers (expected 1 to 64, as in 1,2,4-8)"},
        {"0", "--pes: '0' is out of range (expected 1 to 64, as in 1,2,4-8)"},
        {"60-65", "--pes: '60-65' is out of range (expected 1 to 64, as in 1,2,4-8)"},
        {"99999999999999999999999",
         "--pes: '99999999999999999999999' is out of range (expected 1 to 64, as in 1,2,4-8)"},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        size_t *list, count;
        omni_error e = {0};
        cr_expect_eq(omni_number_list(lists[i].text, "--pes", 1, 64, &list, &count, &e), OMNI_BAD_INPUT);
        cr_expect_null(list);
        cr_expect_str_eq(e.text, lists[i].error);
    }
}

Test(config, lists_that_are_too_long) {
    static const char *const lists[] = {"0-65536", "0-18446744073709551615", "1,0-65535",
                                        "5-6,9-18446744073709551615"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        size_t *list, count;
        omni_error e = {0};
        cr_expect_eq(omni_number_list(lists[i], "--gen", 0, SIZE_MAX, &list, &count, &e), OMNI_BAD_INPUT);
        cr_expect(strstr(e.text, "(expected at most 65536 numbers)"), "%s", e.text);
    }
    char digits[300];
    memset(digits, '1', sizeof digits - 1);
    digits[sizeof digits - 1] = '\0';
    size_t *list, count;
    omni_error e = {0};
    cr_expect_eq(omni_number_list(digits, "x", 0, SIZE_MAX, &list, &count, &e), OMNI_BAD_INPUT);
    cr_expect(strstr(e.text, "1111...'"), "%s", e.text);
}

Test(config, lists_of_ids) {
    int32_t *ids;
    size_t count;
    cr_assert_eq(omni_id_list("1, 2,2147483647,0", "--prompt-ids", &ids, &count, NULL), OMNI_OK);
    cr_assert(count == 4 && ids[0] == 1 && ids[1] == 2 && ids[2] == INT32_MAX && ids[3] == 0);
    omni_free(ids);
    static const char *const bad[] = {
        "", "1,,2", "1-3", "-1", "2147483648", "1,x", "1 2", "1;2", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        omni_error e = {0};
        cr_expect_eq(omni_id_list(bad[i], "ids.txt:3", &ids, &count, &e), OMNI_BAD_INPUT, "%s", bad[i]);
        cr_expect_null(ids);
        cr_expect_eq(strncmp(e.text, "ids.txt:3: '", 12), 0, "%s", e.text);
    }
}
