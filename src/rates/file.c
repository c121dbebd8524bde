/* file.c: the keys of a host's array file, in one walk that reading, writing and showing share. Every key
 * must be given: `[section] key = value, value, ...`, units in the names.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "omnibus/config.h"
#include "omnibus/rates.h"

static const char *const messages[] = {"broadcast", "reduction", "gather", "addressed"};
static const char *const types[] = {"f32", "bf16"}, *const sets[] = {"cached", "streamed"};
static const char *const passes[] = {"prefill", "decode"};
static const char *const ops[] = {"rms_norm", "layer_norm", "swiglu", "gelu",
                                  "add",      "append",     "argmax", "copy"};

/* --- the walk --------------------------------------------------------------------------------- */

typedef struct walker {
    omni_rates *r;
    omni_rates_visit *visit;
    void *user;
} walker;

__attribute__((format(printf, 5, 6))) static void key(const walker *w, const char *section, double *value,
                                                      size_t count, const char *format, ...) {
    char name[80];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    w->visit(w->user, section, name, value, count);
}

static size_t workers(const walker *w, size_t team) {
    return (size_t)w->r->workers[team];
}

static void walk_messages(const walker *w) {
    omni_rates *r = w->r;
    key(w, "message", r->bytes, OMNI_RATES_SIZES, "bytes");
    for (size_t k = 0; k < OMNI_RATES_MESSAGES; k++) {
        for (size_t t = 1; t < r->teams; t++)
            key(w, messages[k], r->message_ns[k][t], OMNI_RATES_SIZES, "workers_%zu_ns", workers(w, t));
        key(w, messages[k], r->further_ns[k], OMNI_RATES_SIZES, "further_pe_ns");
    }
    key(w, "team", r->barrier_ns, r->teams, "barrier_ns");
    key(w, "team", r->pass_ns, r->teams, "pass_ns");
    key(w, "team", &r->step_ns, 1, "step_ns");
}

static void walk_products(const walker *w) {
    omni_rates *r = w->r;
    key(w, "matmul", r->rows, OMNI_RATES_ROWS, "rows");
    key(w, "matmul", &r->matmul_ns, 1, "call_ns");
    for (size_t s = 0; s < OMNI_RATES_SETS; s++) key(w, "matmul", &r->set_bytes[s], 1, "%s_bytes", sets[s]);
    for (size_t d = 0; d < 2; d++)
        for (size_t s = 0; s < OMNI_RATES_SETS; s++)
            for (size_t t = 0; t < r->teams; t++) {
                key(w, "matmul", r->weight_ps[d][s][t], OMNI_RATES_ROWS, "%s_%s_workers_%zu_ps_per_weight",
                    types[d], sets[s], workers(w, t));
                key(w, "matmul", r->output_ps[d][s][t], OMNI_RATES_ROWS, "%s_%s_workers_%zu_ps_per_output",
                    types[d], sets[s], workers(w, t));
            }
}

static void walk_ops(const walker *w) {
    omni_rates *r = w->r;
    for (size_t p = 0; p < OMNI_RATES_PASSES; p++) {
        key(w, "attention", &r->attention[p].head_ns, 1, "%s_head_ns", passes[p]);
        key(w, "attention", &r->attention[p].pair_ps, 1, "%s_pair_ps", passes[p]);
        key(w, "attention", &r->attention[p].mac_ps, 1, "%s_mac_ps", passes[p]);
        key(w, "attention", &r->attention[p].byte_ps, 1, "%s_byte_ps", passes[p]);
    }
    for (size_t o = 0; o < OMNI_RATES_OPS; o++) {
        key(w, "op", &r->op[o].call_ns, 1, "%s_call_ns", ops[o]);
        key(w, "op", &r->op[o].byte_ps, 1, "%s_byte_ps", ops[o]);
    }
}

void omni_rates_walk(omni_rates *r, omni_rates_visit *visit, void *user) {
    walker w = {r, visit, user};
    key(&w, "array", &r->cores, 1, "cores");
    key(&w, "array", r->workers, r->teams, "workers");
    walk_messages(&w);
    walk_products(&w);
    walk_ops(&w);
}

/* --- writing ---------------------------------------------------------------------------------- */

typedef struct writer {
    FILE *f;
    const char *section; /* that is open */
} writer;

static void write_key(void *user, const char *section, const char *name, double *value, size_t count) {
    writer *w = user;
    if (!w->section || strcmp(w->section, section) != 0) fprintf(w->f, "\n[%s]\n", section);
    if (!w->section) fputs("kind = host\n", w->f);
    w->section = section;
    fprintf(w->f, "%s = ", name);
    for (size_t i = 0; i < count; i++) fprintf(w->f, "%s%.6g", i ? ", " : "", value[i]);
    fputc('\n', w->f);
}

char *omni_rates_text(const omni_rates *r) {
    char *text = NULL;
    size_t bytes;
    omni_rates copy = *r;
    writer w = {.f = open_memstream(&text, &bytes)};
    if (!w.f) return NULL;
    omni_rates_walk(&copy, write_key, &w);
    bool failed = ferror(w.f);
    if (fclose(w.f) == 0 && !failed) return text;
    free(text);
    return NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

enum { LINES = 256 };

typedef struct line {
    char section[24], key[64], value[208], where[320];
    bool used;
} line;

typedef struct reader {
    const char *path;
    line *line;
    size_t lines;
    omni_error *err;
} reader;

static omni_status take_line(void *user, const omni_ini_line *from, omni_error *err) {
    reader *r = user;
    for (size_t i = 0; i < r->lines; i++)
        if (strcmp(r->line[i].section, from->section) == 0 && strcmp(r->line[i].key, from->key) == 0)
            return omni_error_set(err, OMNI_BAD_INPUT, "%s: given twice", from->where);
    if (r->lines == LINES) return omni_error_set(err, OMNI_BAD_INPUT, "%s: too many keys", from->where);
    line *l = &r->line[r->lines++];
    if (strlen(from->section) >= sizeof l->section || strlen(from->key) >= sizeof l->key ||
        strlen(from->value) >= sizeof l->value)
        return omni_error_set(
            err, OMNI_BAD_INPUT,
            "%s: longer than any key and value (expected those that omnibus calibrate writes)", from->where);
    snprintf(l->section, sizeof l->section, "%s", from->section);
    snprintf(l->key, sizeof l->key, "%s", from->key);
    snprintf(l->value, sizeof l->value, "%s", from->value);
    snprintf(l->where, sizeof l->where, "%s", from->where);
    return OMNI_OK;
}

static line *find_line(const reader *r, const char *section, const char *name) {
    for (size_t i = 0; i < r->lines; i++)
        if (strcmp(r->line[i].section, section) == 0 && strcmp(r->line[i].key, name) == 0) return &r->line[i];
    return NULL;
}

/* Numbers from 0 to 10^15, at most `most` of them, separated by commas; how many. 0: something else. */
static size_t parse_numbers(const char *text, double *value, size_t most) {
    for (size_t n = 0; n < most; text++) {
        char *end;
        while (*text == ' ') text++;
        if (!isdigit((unsigned char)*text) || (text[0] == '0' && (text[1] | 32) == 'x')) return 0;
        value[n] = strtod(text, &end);
        if (!(value[n++] <= 1e15)) return 0;
        for (text = end; *text == ' ';) text++;
        if (!*text) return n;
        if (*text != ',') return 0;
    }
    return 0;
}

static void read_key(void *user, const char *section, const char *name, double *value, size_t count) {
    reader *r = user;
    line *l = find_line(r, section, name);
    if (!l) {
        omni_error_set(r->err, OMNI_BAD_INPUT, "%s: no [%s] %s (expected a value for every key)", r->path,
                       section, name);
        return;
    }
    l->used = true;
    if (parse_numbers(l->value, value, count) != count)
        omni_error_set(r->err, OMNI_BAD_INPUT, "%s: '%.40s' (expected %zu number%s from 0 to 1e15)", l->where,
                       l->value, count, count == 1 ? "" : "s, separated by commas");
}

static bool ascending(const double *x, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (!(x[i] > x[i - 1])) return false;
    return x[0] > 0;
}

static omni_status check_axis(const reader *r, const char *section, const char *name, const double *x,
                              size_t n) {
    return ascending(x, n) ? OMNI_OK
                           : omni_error_set(r->err, OMNI_BAD_INPUT, "%s: not ascending from above 0",
                                            find_line(r, section, name)->where);
}

/* How many teams there are decides which keys there are. */
static omni_status read_teams(const reader *r, omni_rates *out) {
    const line *l = find_line(r, "array", "workers");
    if (l) out->teams = parse_numbers(l->value, out->workers, OMNI_RATES_TEAMS);
    if (l && out->teams && out->workers[0] == 1 && ascending(out->workers, out->teams)) return OMNI_OK;
    if (l)
        return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: '%.40s' (expected 1, 2, 4 ...)", l->where,
                              l->value);
    return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: no [array] workers (expected 1, 2, 4 ...)", r->path);
}

static omni_status read_rates(reader *r, omni_rates *out) {
    omni_status status = read_teams(r, out);
    if (status) return status;
    line *kind = find_line(r, "array", "kind");
    if (kind) kind->used = true;
    if (!kind || strcmp(kind->value, "host") != 0)
        return omni_error_set(r->err, OMNI_BAD_INPUT, "%s: no [array] kind = host", r->path);
    omni_error first = {0}, *err = r->err;
    r->err = &first;
    omni_rates_walk(out, read_key, r);
    r->err = err;
    if (first.status) return omni_error_set(err, first.status, "%s", first.text);
    for (size_t i = 0; i < r->lines; i++)
        if (!r->line[i].used)
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "%s: unknown key in [%s] (expected those that omnibus calibrate writes)",
                                  r->line[i].where, r->line[i].section);
    if (out->cores < 1)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: less than 1", find_line(r, "array", "cores")->where);
    status = check_axis(r, "message", "bytes", out->bytes, OMNI_RATES_SIZES);
    if (!status) status = check_axis(r, "matmul", "rows", out->rows, OMNI_RATES_ROWS);
    return status ? status : check_axis(r, "matmul", "streamed_bytes", out->set_bytes, OMNI_RATES_SETS);
}

omni_status omni_rates_load(const char *path, omni_rates **out, omni_error *err) {
    reader r = {.path = path, .line = omni_alloc_array(LINES, sizeof(line)), .err = err};
    *out = omni_alloc(sizeof **out);
    omni_status status =
        r.line && *out ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    if (!status) status = omni_ini_read(path, take_line, &r, err);
    if (!status) status = read_rates(&r, *out);
    omni_free(r.line);
    if (!status) return OMNI_OK;
    omni_free(*out);
    *out = NULL;
    return status;
}

static omni_status look_for_kind(void *user, const omni_ini_line *l, omni_error *err) {
    (void)err;
    bool *host = user;
    if (strcmp(l->section, "array") == 0 && strcmp(l->key, "kind") == 0)
        *host = strcmp(l->value, "host") == 0;
    return OMNI_OK;
}

bool omni_rates_is(const char *path) {
    bool host = false;
    omni_error unused = {0};
    return omni_ini_read(path, look_for_kind, &host, &unused) == OMNI_OK && host;
}
