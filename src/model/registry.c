/* registry.c: the table of families, and the way from a path to a model: find config.json, read it, look
 * model_type up, let the family parse. A new family is one file and one row.
 *
 * A file that names a key twice is refused: which of the two counted would be luck.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "family.h"

enum { MAX_CONFIG_BYTES = 16 << 20 };

static const struct {
    const char *type;   /* model_type in config.json */
    const char *layers; /* the field that counts them */
    omni_status (*parse)(model_config *c, model_block *b);
} families[] = {
    {"llama", "num_hidden_layers", model_parse_llama},
    {"gpt2", "n_layer", model_parse_gpt2},
    {"bert", "num_hidden_layers", model_parse_bert},
};
enum { FAMILIES = sizeof families / sizeof *families };

static char family_list[32 * FAMILIES];

static void list_families(void) {
    size_t used = 0;
    for (size_t i = 0; i < FAMILIES; i++)
        used += (size_t)snprintf(family_list + used, sizeof family_list - used, "%s%s", i ? ", " : "",
                                 families[i].type);
}

const char *omni_model_families(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, list_families);
    return family_list;
}

/* Index of the family; FAMILIES and an error when there is none. */
static size_t find_family(model_config *c) {
    const json_t *type = json_object_get(c->object, "model_type");
    char found[64];
    if (!json_is_string(type)) {
        model_config_error(c, "model_type is %s (expected one of: %s)",
                           type ? model_config_show(type, found, sizeof found) : "missing",
                           omni_model_families());
        return FAMILIES;
    }
    for (size_t i = 0; i < FAMILIES; i++)
        if (strcmp(json_string_value(type), families[i].type) == 0) return i;
    model_config_error(c, "model_type not supported: '%.40s' (one of: %s)", json_string_value(type),
                       omni_model_families());
    return FAMILIES;
}

/* The last part of the path that says something: "models/tiny/config.json" and "models/tiny/" are "tiny". */
static void set_name(char name[128], const char *source) {
    size_t end = strlen(source), tail = strlen("/config.json");
    if (end > tail && strcmp(source + end - tail, "/config.json") == 0) end -= tail;
    while (end > 1 && source[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && source[start - 1] != '/') start--;
    snprintf(name, 128, "%.*s", (int)(end - start > 127 ? 127 : end - start), source + start);
}

static omni_status parse_object(model_config *c, omni_model **out) {
    size_t family = find_family(c);
    if (family == FAMILIES) return c->status;
    model_block *b = omni_alloc(sizeof *b);
    if (!b) return omni_error_set(c->err, OMNI_RUN_FAILED, "%s: out of memory", c->source);
    b->model.family = families[family].type;
    b->model.dtype = model_config_dtype(c);
    set_name(b->model.name, c->source);
    omni_status status = families[family].parse(c, b);
    if (status) {
        omni_free(b);
    } else {
        *out = &b->model;
    }
    return status;
}

omni_status omni_model_parse(const char *json, size_t bytes, const char *source, omni_model **out,
                             omni_error *err) {
    *out = NULL;
    json_error_t why;
    json_t *root = json_loadb(json, bytes, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: not JSON: %s, line %d column %d (expected a model's config)", source,
                              why.text, why.line, why.column);
    model_config c = {.object = root, .source = source, .err = err};
    if (!json_is_object(root)) {
        model_config_error(&c, "not a JSON object (expected a model's config)");
    } else {
        c.status = parse_object(&c, out);
    }
    json_decref(root);
    return c.status;
}

void omni_model_free(omni_model *model) {
    omni_free(model);
}

/* Malloc'd path of the config: the file itself, or config.json in a directory. */
static omni_status find_config(const char *path, char **out, omni_error *err) {
    struct stat st;
    if (stat(path, &st) != 0)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: %s (expected a checkpoint directory or a config.json)", path,
                              strerror(errno));
    bool dir = S_ISDIR(st.st_mode);
    size_t length = strlen(path);
    if (!dir && length > 12 && strcmp(path + length - 12, ".safetensors") == 0)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: not a directory (expected the one that it is in)",
                              path);
    while (dir && length > 1 && path[length - 1] == '/') length--;
    if (asprintf(out, "%.*s%s", (int)length, path, dir ? "/config.json" : "") < 0)
        return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path);
    if (!dir || stat(*out, &st) == 0) return OMNI_OK;
    int reason = errno;
    free(*out);
    if (reason != ENOENT) return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s", path, strerror(reason));
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: no config.json (expected a checkpoint directory)", path);
}

omni_status omni_model_load(const char *path, omni_model **out, omni_error *err) {
    char *file = NULL, *text = NULL, *real = NULL;
    size_t bytes = 0;
    *out = NULL;
    omni_status status = find_config(path, &file, err);
    if (status) return status;
    status = omni_file_read(file, MAX_CONFIG_BYTES, "a config", &text, &bytes, err);
    if (!status) status = omni_model_parse(text, bytes, file, out, err);
    if (!status && (real = realpath(file, NULL))) set_name((*out)->name, real); /* "." has a name, too */
    free(real);
    free(text);
    free(file);
    return status;
}

omni_status omni_model_rewrite(const char *path, size_t layers, omni_dtype dtype, char **out,
                               omni_error *err) {
    char *file = NULL, *text = NULL;
    size_t bytes = 0;
    *out = NULL;
    omni_status status = find_config(path, &file, err);
    if (status) return status;
    status = omni_file_read(file, MAX_CONFIG_BYTES, "a config", &text, &bytes, err);
    json_t *root = status ? NULL : json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    model_config c = {.object = root, .source = file, .err = err};
    size_t family = status ? FAMILIES : find_family(&c);
    if (!status) status = c.status;
    if (!status) status = model_edit(root, families[family].layers, layers, dtype, file, out, err);
    json_decref(root);
    free(text);
    free(file);
    return status;
}
