/* common.c: the machine and the repetitions. See common.h. The team and the limits are the library's
 * (host.h). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "omnibus/kernel.h"

struct bench {
    omni_topo *topo;
    omni_stop stop;
    size_t cores;
    const char *json_path;
    json_t *result;
    omni_host_limits *limits;
};

/* --- a run ------------------------------------------------------------------------------------ */

void bench_die(const omni_error *err) {
    fprintf(stderr, "bench: %s\n", err->text);
    exit(err->status ? (int)err->status : OMNI_RUN_FAILED);
}

void bench_need(const void *p) {
    omni_error err = {.status = OMNI_RUN_FAILED, .text = "out of memory"};
    if (!p) bench_die(&err);
}

/* Of the directory we run in; outside git there is none. */
static void find_commit(char *text, size_t cap) {
    FILE *git = popen("git describe --always --dirty --tags 2>/dev/null", "r");
    if (!git || !fgets(text, (int)cap, git)) snprintf(text, cap, "unknown");
    if (git) pclose(git);
    text[strcspn(text, "\n")] = '\0';
}

static void print_head(bench *b, const char *name, const char *timed, const char *not_timed) {
    const omni_host *host = omni_topo_host(b->topo);
    char commit[96], l2[32], l3[32];
    find_commit(commit, sizeof commit);
    printf("%s  (omnibus %s, commit %s)\n", name, OMNI_VERSION, commit);
    printf("machine    %s; %zu cores used of %zu; L2 %s, L3 %s; kernels %s; %s\n", host->cpu_model, b->cores,
           host->cores, omni_format_bytes(l2, sizeof l2, host->l2_bytes),
           omni_format_bytes(l3, sizeof l3, host->l3_bytes), omni_isa_name(omni_kernel_isa()), host->kernel);
    double load = 0;
    if (getloadavg(&load, 1) == 1)
        printf("load       %.1f before the start%s\n", load,
               load > 0.5 ? ": other programs disturb what follows" : "");
    printf("timed      %s\nnot timed  %s\n", timed, not_timed);
    printf("figures    median (min - max) of interleaved repetitions; ratios are formed round by round\n");
    bench_result(b, "schema", json_sprintf("omnibus.bench-%s/1", name));
    bench_result(b, "version", json_string(OMNI_VERSION));
    bench_result(b, "commit", omni_json_string(commit));
    bench_result(b, "host", omni_json_host(b->topo));
    bench_result(b, "isa", json_string(omni_isa_name(omni_kernel_isa())));
    bench_result(b, "cores", json_integer((json_int_t)b->cores));
}

static void parse_arguments(bench *b, int argc, char **argv) {
    omni_error err = {0};
    if (argc == 3 && strcmp(argv[1], "--json") == 0)
        b->json_path = argv[2];
    else if (argc > 1)
        omni_error_set(&err, OMNI_BAD_INPUT, "usage: %s [--json FILE]", argv[0]);
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        puts(err.text);
        exit(0);
    }
    if (!err.status) omni_output_check(b->json_path, &err);
    if (err.status) bench_die(&err);
}

bench *bench_open(int argc, char **argv, const char *name, const char *timed, const char *not_timed) {
    omni_error err = {0};
    bench *b = omni_alloc(sizeof *b);
    bench_need(b);
    parse_arguments(b, argc, argv);
    if (omni_topo_open(NULL, NULL, &b->topo, &err) || omni_kernel_init(&err)) bench_die(&err);
    b->cores = omni_host_cores(b->topo);
    b->limits = omni_host_limits_create(b->topo, &b->stop);
    bench_need(b->limits);
    b->result = json_object();
    print_head(b, name, timed, not_timed);
    return b;
}

int bench_close(bench *b) {
    omni_error err = {0};
    omni_text *text = omni_text_create();
    omni_json_draw(b->result, text);
    if (b->json_path && omni_text_emit(text, b->json_path, &err)) bench_die(&err);
    omni_text_free(text);
    json_decref(b->result);
    omni_host_limits_free(b->limits);
    omni_topo_close(b->topo);
    omni_free(b);
    return 0;
}

const omni_topo *bench_topo(const bench *b) {
    return b->topo;
}

omni_stop *bench_stop(bench *b) {
    return &b->stop;
}

size_t bench_cores(const bench *b) {
    return b->cores;
}

void bench_result(bench *b, const char *key, json_t *value) {
    if (json_object_set_new(b->result, key, value)) bench_need(NULL);
}

void bench_show(const char *title, omni_table *table) {
    omni_text *text = omni_text_create();
    omni_table_draw(table, text);
    printf("\n%s\n\n%s", title, omni_text_string(text));
    fflush(stdout);
    omni_text_free(text);
    omni_table_free(table);
}

void *bench_pages(size_t bytes) {
    void *p = omni_host_pages(bytes, true);
    bench_need(p);
    return p;
}

void bench_pages_free(void *p, size_t bytes) {
    omni_host_pages_free(p, bytes);
}

double bench_team_ns(bench *b, size_t workers, bench_work *work, void *arg) {
    double ns = omni_host_team_ns(b->topo, workers, work, arg);
    omni_error err = {.status = OMNI_RUN_FAILED, .text = "no memory, or no thread"};
    if (isnan(ns)) bench_die(&err);
    return ns;
}

/* --- repetitions ------------------------------------------------------------------------------ */

void bench_measure(bench_series *series, size_t count, size_t reps) {
    for (size_t i = 0; i < count; i++) series[i].once(series[i].arg);
    for (size_t r = 0; r < reps; r++)
        for (size_t i = 0; i < count; i++) series[i].sample[r] = series[i].once(series[i].arg);
}

size_t bench_iterations(double ns) {
    enum { LEAST = 4, MOST = 100000 };
    double n = 3e6 / ns;
    return n > MOST ? MOST : n > LEAST ? (size_t)n : LEAST;
}

bench_spread bench_spread_of(const double *sample, size_t reps) {
    double sorted[BENCH_REPS];
    memcpy(sorted, sample, reps * sizeof *sorted);
    double median = omni_median(sorted, reps); /* sorts */
    return (bench_spread){median, sorted[0], sorted[reps - 1]};
}

bench_spread bench_ratio(const bench_series *figure, const bench_series *limit, size_t reps) {
    double ratio[BENCH_REPS];
    for (size_t r = 0; r < reps; r++) ratio[r] = figure->sample[r] / limit->sample[r];
    return bench_spread_of(ratio, reps);
}

json_t *bench_spread_json(bench_spread s) {
    return json_pack("{s:o,s:o,s:o}", "median", omni_json_number(s.median), "min", omni_json_number(s.min),
                     "max", omni_json_number(s.max));
}

void bench_cell(omni_table *table, bench_spread s, double scale) {
    double median = s.median * scale;
    int decimals = median >= 100 ? 0 : median >= 10 ? 1 : 2;
    if (isnan(median))
        omni_table_cell(table, "-");
    else
        omni_table_cell(table, "%.*f (%.*f - %.*f)", decimals, median, decimals, s.min * scale, decimals,
                        s.max * scale);
}

/* --- limits ----------------------------------------------------------------------------------- */

double bench_read_rate(void *arg) {
    const bench_limit *l = arg;
    return omni_host_read_rate(l->b->limits, l->cores);
}

double bench_copy_rate(void *arg) {
    const bench_limit *l = arg;
    return omni_host_copy_rate(l->b->limits, l->cores);
}

double bench_handoff_ns(void *arg) {
    const bench_limit *l = arg;
    return omni_host_handoff_ns(l->b->limits);
}

double bench_peak_flops(void *arg) {
    const bench_limit *l = arg;
    return omni_host_peak_flops(l->b->limits, l->cores);
}

const char *bench_read_kernel(const bench *b) {
    return omni_host_read_kernel(b->limits);
}
