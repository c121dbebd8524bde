/* checkpoint.c: a Hugging Face directory. What is opened is model.safetensors; a directory that holds its
 * weights in another form gets an error that names the form.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "omnibus/weights.h"

static const struct {
    const char *file, *what;
} others[] = {
    {"model.safetensors.index.json", "sharded checkpoints are not supported yet"},
    {"pytorch_model.bin", "pytorch_model.bin is not supported"},
    {"pytorch_model.bin.index.json", "sharded pytorch_model.bin is not supported"},
    {"adapter_model.safetensors", "adapter_model.safetensors is not a whole model"},
    {"consolidated.safetensors", "consolidated.safetensors is not supported"},
    {"consolidated.00.pth", "consolidated.00.pth is not supported"},
    {"tf_model.h5", "tf_model.h5 is not supported"},
    {"flax_model.msgpack", "flax_model.msgpack is not supported"},
};

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

omni_status omni_weights_open_dir(const char *dir, omni_weights **out, omni_error *err) {
    struct stat st;
    *out = NULL;
    if (stat(dir, &st) != 0) return omni_error_set(err, OMNI_BAD_INPUT, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: not a directory (expected a checkpoint directory)",
                              dir);
    if (!exists(dir, "model.safetensors")) return explain_missing(dir, err);
    char *path = join(dir, "model.safetensors");
    if (!path) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", dir);
    omni_status status = omni_weights_open_file(path, out, err);
    free(path);
    return status;
}
