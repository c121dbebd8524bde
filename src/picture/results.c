/* results.c: the points of all files that were added, and which file gave any.
 *
 *   FILE -> JSON, or a line of it -> read_result (read.c) -> results_take -> points
 */
#include <stdio.h>
#include <stdlib.h>

#include "picture/internal.h"

enum { MOST_BYTES = 256 << 20, MOST_POINTS = 4096 }; /* points are compared with each other */

struct omni_results {
    omni_point *point;
    size_t count, capacity, offered;
    json_t *files;
    bool failed; /* no memory */
    bool full;   /* more than MOST_POINTS */
};

/* --- points ----------------------------------------------------------------------------------- */

static bool same_number(double a, double b) {
    return a == b || (isnan(a) && isnan(b));
}

/* Tasks that differ in what they generate have the same prefill; and a file may be a copy of another. */
static bool is_known(const omni_results *r, const omni_point *p) {
    for (size_t i = 0; i < r->count; i++) {
        const omni_point *q = &r->point[i];
        if (q->pes == p->pes && same_number(q->s, p->s) && same_number(q->bus_bytes, p->bus_bytes) &&
            same_number(q->predicted_s, p->predicted_s) && point_same_case(q, p) &&
            strcmp(q->plan, p->plan) == 0)
            return true;
    }
    return false;
}

void results_take(omni_results *r, const omni_point *p) {
    r->offered++;
    if (r->full || is_known(r, p)) return;
    r->full = r->count == MOST_POINTS;
    if (r->full) return;
    if (r->count == r->capacity) {
        size_t wanted = r->capacity ? 2 * r->capacity : 64;
        omni_point *more = realloc(r->point, wanted * sizeof *more);
        if (!more) {
            r->failed = true;
            return;
        }
        r->point = more;
        r->capacity = wanted;
    }
    r->point[r->count++] = *p;
}

/* --- files ------------------------------------------------------------------------------------ */

static bool is_added(const omni_results *r, const char *path) {
    size_t i;
    const json_t *file;
    json_array_foreach(r->files, i, file) {
        const char *known = json_string_value(json_object_get(file, "path"));
        if (known && strcmp(known, path) == 0) return true;
    }
    return false;
}

/* Lines of the same run belong together. */
static json_t *file_of(omni_results *r, size_t first, json_t *root, const char *path) {
    size_t count = json_array_size(r->files);
    json_t *last = count > first ? json_array_get(r->files, count - 1) : NULL;
    if (last && json_equal(json_object_get(json_object_get(last, "result"), "settings"),
                           json_object_get(root, "settings")))
        return last;
    json_t *file = json_pack("{s:o, s:O, s:i}", "path", omni_json_string(path), "result", root, "offered", 0);
    return file && json_array_append_new(r->files, file) == 0 ? file : NULL;
}

/* first: the number of files before this one. */
static omni_status add_result(omni_results *r, json_t *root, const char *path, size_t first,
                              omni_error *err) {
    omni_status status = read_check(root, path, err);
    if (status) return status;
    json_t *file = file_of(r, first, root, path);
    r->offered = (size_t)json_integer_value(json_object_get(file, "offered"));
    read_result(r, root);
    if (!file || json_object_set_new(file, "offered", json_integer((json_int_t)r->offered)) != 0)
        r->failed = true;
    if (r->failed) return omni_error_set(err, OMNI_RUN_FAILED, "%s: no memory for its results", path);
    if (r->full)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: more than %d points (expected fewer results at a time)", path,
                              MOST_POINTS);
    return OMNI_OK;
}

/* One JSON text, or one on each line. */
omni_status omni_results_add(omni_results *r, const char *path, omni_error *err) {
    char *bytes;
    size_t count, at = 0, values = 0, first = json_array_size(r->files);
    json_error_t bad = {0};
    if (is_added(r, path)) return OMNI_OK;
    omni_status status = omni_file_read(path, MOST_BYTES, "a JSON result", &bytes, &count, err);
    if (status) return status;
    while (!status) {
        while (at < count && strchr(" \t\r\n", bytes[at]) && bytes[at]) at++;
        if (at == count && values) break;
        json_t *root = json_loadb(bytes + at, count - at, JSON_DISABLE_EOF_CHECK, &bad);
        if (!root) {
            status = omni_error_set(err, OMNI_BAD_INPUT, "%s: no JSON (%.200s)", path, bad.text);
            break;
        }
        at += (size_t)bad.position;
        values++;
        status = add_result(r, root, path, first, err);
        json_decref(root);
    }
    free(bytes);
    return status;
}

omni_status omni_results_need(const omni_results *r, bool page, omni_error *err) {
    const json_t *file = json_array_get(r->files, 0);
    const char *path = json_string_value(json_object_get(file, "path")), *why = NULL;
    const json_t *settings = json_object_get(json_object_get(file, "result"), "settings");
    const char *model = json_string_value(json_object_get(settings, "model_dir"));
    size_t i;
    json_array_foreach(r->files, i, file) {
        const char *reason = omni_results_unseen(file, page);
        if (!reason) return OMNI_OK;
        if (!why) why = reason;
    }
    return omni_error_set(
        err, OMNI_BAD_INPUT,
        "%.120s: nothing to draw: %s (expected times or bytes, as from omnibus bench %.80s --pes "
        "1,2 --format json --output bench.json)",
        path ? path : "no file", why ? why : "it is empty", model ? model : "MODEL_DIR");
}

omni_results *omni_results_create(void) {
    omni_results *r = omni_alloc(sizeof *r);
    if (r) r->files = json_array();
    if (r && r->files) return r;
    omni_free(r);
    return NULL;
}

void omni_results_free(omni_results *r) {
    if (!r) return;
    json_decref(r->files);
    free(r->point);
    omni_free(r);
}

size_t omni_results_count(const omni_results *r) {
    return r->count;
}

const omni_point *omni_results_at(const omni_results *r, size_t i) {
    return &r->point[i];
}

const json_t *omni_results_files(const omni_results *r) {
    return r->files;
}
