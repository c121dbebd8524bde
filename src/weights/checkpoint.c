/* checkpoint.c: a source over one file, or over the shards of a Hugging Face directory.
 *
 *     DIR/model.safetensors                  one file; it goes first, as in transformers
 *     DIR/model.safetensors.index.json       else: the files that it names, all opened, all checked
 *
 * A directory that holds its weights in another form gets an error that names the form.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "source.h"

static const struct {
    const char *file, *what;
} others[] = {
    {"pytorch_model.bin", "pytorch_model.bin is not supported"},
    {"pytorch_model.bin.index.json", "sharded pytorch_model.bin is not supported"},
    {"adapter_model.safetensors", "adapter_model.safetensors is not a whole model"},
    {"consolidated.safetensors", "consolidated.safetensors is not supported"},
    {"consolidated.00.pth", "consolidated.00.pth is not supported"},
    {"tf_model.h5", "tf_model.h5 is not supported"},
    {"flax_model.msgpack", "flax_model.msgpack is not supported"},
};

/* --- what a directory holds ------------------------------------------------------------------- */

/* Malloc'd "dir/file"; NULL without memory. */
static char *join(const char *dir, const char *file) {
    size_t length = strlen(dir);
    while (length > 1 && dir[length - 1] == '/') length--;
    char *path;
    return asprintf(&path, "%.*s/%s", (int)length, dir, file) < 0 ? NULL : path;
}

static bool exists(const char *dir, const char *file) {
    struct stat st;
    char *path = join(dir, file);
    bool found = path && stat(path, &st) == 0;
    free(path);
    return found;
}

static omni_status explain_missing(const char *dir, omni_error *err) {
    const char *what = "no weights";
    for (size_t i = sizeof others / sizeof *others; i-- > 0;)
        if (exists(dir, others[i].file)) what = others[i].what;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s (expected model.safetensors)", dir, what);
}

static const char whole_file[] = "model.safetensors", index_file[] = "model.safetensors.index.json";

bool omni_weights_in_dir(const char *dir) {
    return exists(dir, whole_file) || exists(dir, index_file);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Opens the files whose paths w->file holds, and indexes their tensors. */
static omni_status open_files(omni_weights *w, omni_error *err) {
    omni_status status = OMNI_OK;
    size_t twice = 0;
    for (size_t i = 0; !status && i < w->file_count; i++) status = weights_add_file(w, i, err);
    if (status) return status;
    if (!weights_index(w, &twice))
        return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", w->source);
    if (twice == 0) return OMNI_OK; /* always with one file: its JSON had no name twice */
    const omni_tensor *a = w->by_name[twice - 1], *b = w->by_name[twice];
    const char *first = w->file[a->file < b->file ? a->file : b->file].path,
               *second = w->file[a->file < b->file ? b->file : a->file].path;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: tensor '%.80s' is in %s, too (expected it once)", second,
                          a->name, strrchr(first, '/') ? strrchr(first, '/') + 1 : first);
}

/* A source with room for `count` files, none of them open; NULL without memory. */
static omni_weights *new_source(const char *source, size_t count) {
    omni_weights *w = weights_new(source, 0);
    if (!w) return NULL;
    w->file = calloc(count + 1, sizeof *w->file);
    w->file_count = w->file ? count : 0;
    for (size_t i = 0; i < w->file_count; i++) w->file[i].fd = -1;
    if (w->file) return w;
    omni_weights_close(w);
    return NULL;
}

static omni_status hand_over(omni_status status, omni_weights *w, omni_weights **out) {
    if (status)
        omni_weights_close(w);
    else
        *out = w;
    return status;
}

omni_status omni_weights_open_file(const char *path, omni_weights **out, omni_error *err) {
    *out = NULL;
    omni_weights *w = new_source(path, 1);
    if (w) w->file[0].path = strdup(path);
    if (!w || !w->file[0].path)
        return hand_over(omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", path), w, out);
    return hand_over(open_files(w, err), w, out);
}

static omni_status open_shards(const char *dir, const char *index, omni_weights **out, omni_error *err) {
    weights_shards shards;
    omni_status status = weights_shards_load(index, &shards, err);
    if (status) return status;
    omni_weights *w = new_source(index, shards.count);
    bool ok = w != NULL;
    for (size_t i = 0; ok && i < shards.count; i++)
        ok = (w->file[i].path = join(dir, shards.name[i])) != NULL;
    status = ok ? open_files(w, err) : omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", index);
    if (!status) status = weights_shards_check(&shards, w, err);
    weights_shards_free(&shards);
    return hand_over(status, w, out);
}

omni_status omni_weights_open_dir(const char *dir, omni_weights **out, omni_error *err) {
    struct stat st;
    *out = NULL;
    if (stat(dir, &st) != 0) return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: not a directory (expected a checkpoint directory)",
                              dir);
    if (!omni_weights_in_dir(dir)) return explain_missing(dir, err);
    bool whole = exists(dir, whole_file);
    char *path = join(dir, whole ? whole_file : index_file);
    if (!path) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", dir);
    omni_status status = whole ? omni_weights_open_file(path, out, err) : open_shards(dir, path, out, err);
    free(path);
    return status;
}
