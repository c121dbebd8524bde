/* test_report.c: tables, JSON and CSV as text; and where a text can go or not.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "omnibus/report.h"

static void expect_text(omni_text *t, const char *want) {
    cr_expect_str_eq(omni_text_string(t), want);
    omni_text_free(t);
}

static json_t *parse(const char *text) {
    json_error_t error;
    json_t *root = json_loads(text, 0, &error);
    cr_assert(root, "%s: %s", text, error.text);
    return root;
}

/* --- text and table --------------------------------------------------------------------------- */

Test(report, text_grows) {
    omni_text *t = omni_text_create();
    cr_expect_str_eq(omni_text_string(t), "");
    for (int i = 0; i < 5000; i++) omni_text_add(t, "%d,", i % 10);
    cr_expect_eq(strlen(omni_text_string(t)), 10000);
    cr_expect_eq(strncmp(omni_text_string(t) + 9990, "5,6,7,8,9,", 10), 0);
    omni_text_free(t);
    omni_text_free(NULL);
}

Test(report, formats) {
    omni_format f;
    cr_expect(omni_format_parse("json", false, &f, NULL) == OMNI_OK && f == OMNI_FORMAT_JSON);
    cr_expect(omni_format_parse("csv", true, &f, NULL) == OMNI_OK && f == OMNI_FORMAT_CSV);
    cr_expect(omni_format_parse("table", true, &f, NULL) == OMNI_OK && f == OMNI_FORMAT_TABLE);
    omni_error err = {0};
    cr_expect_eq(omni_format_parse("xml", false, &f, &err), OMNI_BAD_INPUT);
    cr_expect_str_eq(err.text, "--format: 'xml' (expected table, json or csv)");
    cr_expect(omni_format_parse("md", true, &f, NULL) == OMNI_OK && f == OMNI_FORMAT_MD);
    cr_expect(omni_format_parse("jsonl", true, &f, NULL) == OMNI_OK && f == OMNI_FORMAT_JSONL);
    cr_expect_eq(omni_format_parse("md", false, &f, NULL), OMNI_BAD_INPUT, "of commands that have it");
    err = (omni_error){0};
    cr_expect_eq(omni_format_parse("xml", true, &f, &err), OMNI_BAD_INPUT);
    cr_expect_str_eq(err.text, "--format: 'xml' (expected table, json, csv, md or jsonl)");
}

Test(report, table_columns_line_up) {
    static const char *const headers[] = {"plan", ">pes", "note"};
    omni_table *table = omni_table_create(headers, 3);
    static const char *const cells[] = {"megatron", "4",    "ok", "b\xc3\xbcs",   "128",
                                        "",         "x\ty", "1",  "a longer note"};
    for (size_t i = 0; i < 9; i++) omni_table_cell(table, "%s", cells[i]);
    omni_table_cell(table, "%s", "half a row");
    omni_text *t = omni_text_create();
    omni_table_draw(table, t);
    expect_text(t, "plan        pes  note\n"
                   "----------  ---  -------------\n"
                   "megatron      4  ok\n"
                   "b\xc3\xbcs         128\n"
                   "x?y           1  a longer note\n"
                   "half a row\n");
    omni_table_free(table);
    omni_table_free(NULL);
}

Test(report, table_with_many_rows_or_none) {
    static const char *const headers[] = {">n"};
    omni_table *table = omni_table_create(headers, 1);
    omni_text *t = omni_text_create();
    omni_table_draw(table, t);
    cr_expect_str_eq(omni_text_string(t), "n\n-\n");
    for (int i = 0; i < 1000; i++) omni_table_cell(table, "%d", i);
    omni_table_draw(table, t);
    cr_expect_str_eq(omni_text_string(t) + strlen(omni_text_string(t)) - 8, "998\n999\n");
    omni_text_free(t);
    omni_table_free(table);
}

Test(report, no_memory_is_remembered) {
    omni_error err = {0};
    omni_text_add(NULL, "x");
    omni_table_cell(NULL, "x");
    omni_text *t = omni_text_create();
    omni_table_draw(NULL, t);
    cr_expect_eq(omni_text_emit(t, "/dev/null", &err), OMNI_RUN_FAILED);
    cr_expect_str_eq(err.text, "/dev/null: out of memory for the report");
    omni_text_free(t);
    t = omni_text_create();
    omni_json_draw(NULL, t);
    cr_expect_eq(omni_text_emit(t, "/dev/null", NULL), OMNI_RUN_FAILED);
    omni_text_free(t);
    cr_expect_eq(omni_text_emit(NULL, "/dev/null", NULL), OMNI_RUN_FAILED);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void expect_number(double x, const char *want) {
    json_t *value = omni_json_number(x);
    omni_text *t = omni_text_create();
    omni_json_draw(value, t);
    expect_text(t, want);
    json_decref(value);
}

Test(report, numbers_read_back_the_same) {
    expect_number(NAN, "null\n");
    expect_number(INFINITY, "null\n");
    expect_number(-INFINITY, "null\n");
    expect_number(0.1, "0.1\n");
    expect_number(3, "3.0\n");
    expect_number(-0.0, "-0.0\n");
    expect_number(1e-7, "1e-07\n");
    expect_number(1.0 / 3, "0.3333333333333333\n");
    expect_number(0.1 + 0.2, "0.30000000000000004\n");
    expect_number(123456789, "123456789.0\n");
    expect_number(1.7976931348623157e308, "1.7976931348623157e+308\n");
}

Test(report, json_as_people_read_it) {
    json_t *root =
        parse("{\"z\": 1, \"a\": {\"t\": [[1, 2], [], [3]], \"e\": {}}, \"n\": null, \"b\": [true, false],"
              " \"cases\": [{\"x\": 1.5}, {}], \"s\": \"q\\\" \\\\ \\n \\u0001 \xc3\xbc\"}");
    omni_text *t = omni_text_create();
    omni_json_draw(root, t);
    json_t *again = parse(omni_text_string(t));
    cr_expect(json_equal(root, again));
    json_decref(again);
    expect_text(t, "{\n"
                   "  \"z\": 1,\n"
                   "  \"a\": {\n"
                   "    \"t\": [[1, 2], [], [3]],\n"
                   "    \"e\": {}\n"
                   "  },\n"
                   "  \"n\": null,\n"
                   "  \"b\": [true, false],\n"
                   "  \"cases\": [\n"
                   "    {\n"
                   "      \"x\": 1.5\n"
                   "    },\n"
                   "    {}\n"
                   "  ],\n"
                   "  \"s\": \"q\\\" \\\\ \\n \\u0001 \xc3\xbc\"\n"
                   "}\n");
    json_decref(root);
}

Test(report, strings_from_the_file_system) {
    json_t *good = omni_json_string("b\xc3\xbcs"), *bad = omni_json_string("b\xfcs"),
           *none = omni_json_string(NULL);
    cr_expect_str_eq(json_string_value(good), "b\xc3\xbcs");
    cr_expect_str_eq(json_string_value(bad), "b?s");
    cr_expect(json_is_null(none));
    json_decref(good);
    json_decref(bad);
}

Test(report, counters_and_host) {
    omni_counters c = {.broadcasts = 3, .host_bytes = UINT64_MAX};
    json_t *object = omni_json_counters(&c);
    cr_expect_eq(json_object_size(object), OMNI_COUNTERS);
    cr_expect_eq(json_integer_value(json_object_get(object, "broadcasts")), 3);
    cr_expect_eq(json_integer_value(json_object_get(object, "host_bytes")), INT64_MAX);
    json_decref(object);
    omni_topo *topo;
    cr_assert_eq(omni_topo_open("0-3", "pack:2 core:4 pu:1", &topo, NULL), OMNI_OK);
    object = omni_json_host(topo);
    cr_expect_str_eq(json_string_value(json_object_get(object, "cpu_model")), "synthetic");
    cr_expect_eq(json_integer_value(json_object_get(object, "threads")), 8);
    cr_expect_eq(json_integer_value(json_object_get(object, "cpus_usable")), 4);
    cr_expect(json_is_null(json_object_get(object, "cpu_quota")));
    json_decref(object);
    omni_topo_close(topo);
}

/* --- CSV -------------------------------------------------------------------------------------- */

static void expect_csv(const char *rows, const char *want) {
    json_t *root = parse(rows);
    omni_text *t = omni_text_create();
    omni_csv_draw(root, t);
    expect_text(t, want);
    json_decref(root);
}

Test(report, csv_quotes_only_what_needs_it) {
    expect_csv("[{\"a\": \"x, y\", \"b,c\": \"say \\\"hi\\\"\", \"d\": \"two\\nlines\", \"e\": \" plain \"}]",
               "a,\"b,c\",d,e\n\"x, y\",\"say \"\"hi\"\"\",\"two\nlines\", plain \n");
}

Test(report, csv_flattens) {
    expect_csv("[{\"plan\": \"m\", \"fabric\": {\"total\": {\"n\": 4}}, \"cpus\": [0, 1.5, null, true, "
               "\"x\"], \"none\": [],"
               " \"memory\": [{\"kv\": 8}, {\"kv\": 9}], \"tokens\": [[1, 2], [3]], \"nothing\": {}}]",
               "plan,fabric.total.n,cpus,none,memory.0.kv,memory.1.kv,tokens.0,tokens.1\n"
               "m,4,0 1.5  true x,,8,9,1 2,3\n");
}

Test(report, csv_header_is_the_union) {
    expect_csv("[{\"a\": 1, \"b\": null}, {\"c\": false, \"a\": 2}, {}]", "a,b,c\n1,,\n2,,false\n,,\n");
    expect_csv("{\"a\": 0.1}", "a\n0.1\n");
    expect_csv("[]", "\n");
}

Test(report, a_column_that_is_empty_at_the_end_is_not_there) {
    static const char *const headers[] = {"a", "", "b", ""};
    omni_table *table = omni_table_create(headers, 4);
    for (size_t i = 0; i < 4; i++) omni_table_cell(table, "%s", i == 2 ? "x" : "");
    omni_text *t = omni_text_create();
    omni_table_draw(table, t);
    expect_text(t, "a    b\n-    -\n     x\n");
    omni_table_free(table);
}

Test(report, markdown) {
    json_t *root =
        parse("[{\"a\": \"x|y\\nz\", \"b\": {\"n\": 4}, \"c\": 1.5}, {\"c\": null, \"d\": [1, 2]}]");
    omni_text *t = omni_text_create();
    omni_md_draw(root, t);
    expect_text(
        t, "| a | b.n | c | d |\n| --- | ---: | ---: | --- |\n| x\\|y z | 4 | 1.5 |  |\n|  |  |  | 1 2 |\n");
    json_decref(root);
    t = omni_text_create();
    omni_md_draw(NULL, t);
    cr_expect_eq(omni_text_emit(t, "/dev/null", NULL), OMNI_RUN_FAILED);
    omni_text_free(t);
}

Test(report, json_on_a_line) {
    const char *line = "{\"a\": 1, \"b\": [{\"c\": [1, 2]}, {}], \"d\": \"x\\ny\"}\n";
    json_t *root = parse(line);
    omni_text *t = omni_text_create();
    omni_json_draw_line(root, t);
    expect_text(t, line);
    json_decref(root);
}

/* --- output ----------------------------------------------------------------------------------- */

static char dir[] = "/tmp/omnibus-report-XXXXXX", path[128];
static omni_text *hello;
static omni_error err;

static void setup(void) {
    cr_assert_not_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/out.json", dir);
    hello = omni_text_create();
    omni_text_add(hello, "hello\n");
}

static void teardown(void) {
    omni_text_free(hello);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", dir);
    if (system(command) != 0) cr_log_warn("%s stays", dir);
}

static void expect_content(const char *file, const char *want) {
    char text[64] = "";
    FILE *f = fopen(file, "r");
    cr_assert(f, "%s", file);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    cr_expect_str_eq(text, want);
}

/* Files in `dir`, the hidden ones too. */
static int files_left(void) {
    char command[64];
    snprintf(command, sizeof command, "ls -A %s | wc -l", dir);
    FILE *f = popen(command, "r");
    int n = -1;
    cr_assert(f && fscanf(f, "%d", &n) == 1);
    pclose(f);
    return n;
}

TestSuite(report_output, .init = setup, .fini = teardown);

Test(report_output, a_new_file_and_the_same_again) {
    cr_expect_eq(omni_output_check(path, &err), OMNI_OK);
    cr_expect_eq(files_left(), 0, "the check creates nothing");
    cr_expect_eq(omni_text_emit(hello, path, &err), OMNI_OK, "%s", err.text);
    expect_content(path, "hello\n");
    cr_expect_eq(omni_output_check(path, &err), OMNI_OK);
    expect_content(path, "hello\n");
    omni_text_add(hello, "again\n");
    chmod(path, 0640);
    cr_expect_eq(omni_text_emit(hello, path, &err), OMNI_OK);
    expect_content(path, "hello\nagain\n");
    struct stat now;
    cr_expect(stat(path, &now) == 0 && (now.st_mode & 0777) == 0640);
    cr_expect_eq(files_left(), 1, "no temporary file stays");
}

Test(report_output, a_link_is_followed) {
    char link[128];
    snprintf(link, sizeof link, "%s/link", dir);
    cr_assert(omni_text_emit(hello, path, NULL) == OMNI_OK && symlink("out.json", link) == 0);
    omni_text_add(hello, "2");
    cr_expect_eq(omni_text_emit(hello, link, NULL), OMNI_OK);
    struct stat now;
    cr_expect(lstat(link, &now) == 0 && S_ISLNK(now.st_mode));
    expect_content(path, "hello\n2");
}

Test(report_output, two_names_of_one_file) {
    char other[128], link[128];
    snprintf(other, sizeof other, "%s/./out.json", dir);
    snprintf(link, sizeof link, "%s/link", dir);
    cr_expect(omni_output_same(path, path) && omni_output_same(path, other), "one that is not there yet");
    cr_assert(omni_text_emit(hello, path, NULL) == OMNI_OK && symlink("out.json", link) == 0);
    cr_expect(omni_output_same(path, other) && omni_output_same(link, other));
    snprintf(other, sizeof other, "%s/out.jso", dir);
    cr_expect_not(omni_output_same(path, other) || omni_output_same(path, dir));
    snprintf(other, sizeof other, "%s/absent/out.json", dir);
    cr_expect_not(omni_output_same(path, other) || omni_output_same(path, NULL) ||
                  omni_output_same(NULL, NULL));
}

Test(report_output, devices_are_written_to) {
    struct stat before, after;
    cr_assert_eq(stat("/dev/null", &before), 0);
    cr_expect_eq(omni_output_check("/dev/null", NULL), OMNI_OK);
    cr_expect_eq(omni_text_emit(hello, "/dev/null", NULL), OMNI_OK);
    cr_expect(stat("/dev/null", &after) == 0 && S_ISCHR(after.st_mode) && before.st_ino == after.st_ino);
    cr_expect_eq(omni_text_emit(hello, "/dev/full", &err), OMNI_RUN_FAILED);
    cr_expect_str_eq(err.text, "/dev/full: cannot write (No space left on device)");
}

Test(report_output, what_can_not_be_written) {
    static const struct {
        const char *path, *check; /* "@": the test's directory */
    } outputs[] = {
        {"@/missing/x.json", "No such file or directory"},
        {"@", "Is a directory"},
        {"", "No such file or directory"},
        {"@/new/", "No such file or directory"},
        {"@/file/x", "Not a directory"},
    };
    char file[160];
    snprintf(file, sizeof file, "%s/file", dir);
    cr_assert_eq(omni_text_emit(hello, file, NULL), OMNI_OK);
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        char full[160], want[320];
        bool inside = outputs[i].path[0] == '@';
        snprintf(full, sizeof full, "%s%s", inside ? dir : "", outputs[i].path + inside);
        snprintf(want, sizeof want, "%s: cannot write (%s)", full, outputs[i].check);
        err = (omni_error){0};
        cr_expect_eq(omni_output_check(full, &err), OMNI_BAD_INPUT, "%s", full);
        cr_expect_str_eq(err.text, want);
        err = (omni_error){0};
        cr_expect_eq(omni_text_emit(hello, full, &err), OMNI_RUN_FAILED, "%s", full);
        cr_expect_eq(files_left(), 1, "%s left something behind", full);
    }
    cr_expect_eq(omni_output_check(NULL, NULL), OMNI_OK);
}

/* Emits to descriptor 1 replaced by fd; the real one comes back. */
static omni_status emit_to(int fd) {
    err = (omni_error){0};
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    cr_assert(saved >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
    omni_status status = omni_text_emit(hello, NULL, &err);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(fd);
    return status;
}

Test(report_output, stdout_that_takes_it_or_not) {
    cr_expect_eq(emit_to(open(path, O_WRONLY | O_CREAT, 0600)), OMNI_OK);
    expect_content(path, "hello\n");
    cr_expect_eq(emit_to(open("/dev/full", O_WRONLY)), OMNI_RUN_FAILED);
    cr_expect_str_eq(err.text, "stdout: cannot write (No space left on device)");
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    signal(SIGPIPE, SIG_DFL); /* it would end this process */
    cr_expect_eq(emit_to(ends[1]), OMNI_RUN_FAILED);
    cr_expect_str_eq(err.text, "", "who closed it does not want to hear of it");
}
