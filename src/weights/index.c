/* index.c: model.safetensors.index.json, the table of contents of a checkpoint in shards:
 *
 *     {"metadata": {...}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors", ...}}
 *
 * It comes from anywhere, too. A file name is one of the same directory: nothing with a slash, no dot first,
 * so that no index reads /etc or climbs. (A link in the directory may lead elsewhere: caches are made of
 * them.)
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

enum { MAX_INDEX_BYTES = 100000000 };

static omni_status check_name(const char *path, const char *tensor, const json_t *file, omni_error *err) {
    static const char suffix[] = ".safetensors";
    const char *name = json_string_value(file);
    if (!name)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: weight_map '%.80s' is not a string (expected a file name)", path, tensor);
    size_t length = strlen(name), tail = sizeof suffix - 1;
    if (name[0] == '.' || strchr(name, '/') || strchr(name, '\\'))
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: weight_map '%.80s' names '%.80s' (expected a file of this directory)",
                              path, tensor, name);
    if (length <= tail || length > 255 || strcmp(name + length - tail, suffix) != 0)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: weight_map '%.80s' names '%.80s' (expected a .safetensors file)", path,
                              tensor, name);
    return OMNI_OK;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The file names of the map, each once. */
static omni_status list_names(const char *path, weights_shards *s, omni_error *err) {
    const char *tensor;
    json_t *file;
    size_t n = 0;
    s->name = calloc(json_object_size(s->map) + 1, sizeof *s->name);
    if (!s->name) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    json_object_foreach((json_t *)(uintptr_t)s->map, tensor, file) {
        omni_status status = check_name(path, tensor, file, err);
        if (status) return status;
        s->name[n++] = json_string_value(file);
    }
    qsort(s->name, n, sizeof *s->name, by_text);
    for (size_t i = 0; i < n; i++)
        if (s->count == 0 || strcmp(s->name[s->count - 1], s->name[i]) != 0) s->name[s->count++] = s->name[i];
    return OMNI_OK;
}

omni_status weights_shards_load(const char *path, weights_shards *out, omni_error *err) {
    char *text;
    size_t bytes = 0;
    json_error_t why;
    *out = (weights_shards){0};
    omni_status status = omni_file_read(path, MAX_INDEX_BYTES, "an index", &text, &bytes, err);
    if (status) return status;
    out->index = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    free(text);
    out->map = json_object_get(out->index, "weight_map");
    if (!out->index)
        status =
            omni_error_set(err, OMNI_BAD_INPUT, "%s: not JSON: %s, line %d column %d (expected an index)",
                           path, why.text, why.line, why.column);
    else if (!json_is_object(out->map) || json_object_size(out->map) == 0)
        status =
            omni_error_set(err, OMNI_BAD_INPUT,
                           "%s: no weight_map (expected an object of tensor names and their files)", path);
    else
        status = list_names(path, out, err);
    if (status) weights_shards_free(out);
    return status;
}

void weights_shards_free(weights_shards *s) {
    free(s->name);
    json_decref(s->index);
    *s = (weights_shards){0};
}

omni_status weights_shards_check(const weights_shards *s, const omni_weights *w, omni_error *err) {
    const char *tensor;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)s->map, tensor, file) {
        const char *name = json_string_value(file);
        const omni_tensor *t = omni_weights_find(w, tensor);
        if (t && strcmp(s->name[t->file], name) == 0) continue;
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: tensor '%.80s' is not in '%.80s' (expected there by weight_map)",
                              w->source, tensor, name);
    }
    return OMNI_OK;
}
