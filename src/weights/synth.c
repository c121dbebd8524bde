/* synth.c: a checkpoint directory of random weights, whole or not at all.
 *
 *   lay out    tensors --greedy, in order--> shards; their headers, the index, config.json: all in memory
 *   create     DIR, or take an empty one; every file NAME.tmp at its full size
 *   fill       synth_write.c
 *   commit     rename each, config.json last: a directory without it is no checkpoint
 *
 * Names and the index are those of transformers' save_pretrained: model.safetensors, or shards
 * model-00001-of-00002.safetensors and model.safetensors.index.json. On any failure what was made goes, and
 * the directory with it if it was not there before.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "synth.h"

omni_status synth_refused(const synth *s, const char *name, int why, omni_error *err) {
    const char *slash = name[0] ? "/" : "";
    return omni_error_set(err, OMNI_RUN_FAILED, "%s%s%s: cannot write: %s", s->o->dir, slash, name,
                          strerror(why));
}

omni_status synth_stopped(omni_error *err) {
    return omni_error_set(err, OMNI_INTERRUPTED, "stopped");
}

static omni_status no_memory(const synth *s, omni_error *err) {
    return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", s->o->dir);
}

/* --- layout ----------------------------------------------------------------------------------- */

static omni_status lay_out_tensors(synth *s, omni_error *err) {
    const omni_synth_options *o = s->o;
    s->random = calloc(o->count + 1, sizeof *s->random);
    s->begin = calloc(o->count + 1, sizeof *s->begin);
    s->file = calloc(o->count + 3, sizeof *s->file); /* at worst a shard each, index, config */
    if (!s->random || !s->begin || !s->file) return no_memory(s, err);
    for (size_t i = 0; i < o->count; i++) {
        size_t elements;
        omni_status status = weights_random_check(&o->spec[i], &elements, err);
        if (status) return status;
        uint64_t end = s->begin[i] + elements * omni_dtype_bytes(o->spec[i].dtype);
        if (o->spec[i].dtype != o->spec[0].dtype || end < s->begin[i] || end > INT64_MAX / 2)
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "%s: tensor '%.80s' (expected one type, less than 2^62 bytes in all)",
                                  o->dir, o->spec[i].name);
        s->random[i] = weights_random_of(&o->spec[i], o->seed);
        s->begin[i + 1] = end;
    }
    return OMNI_OK;
}

/* A shard ends before the tensor that would make it too large. */
static void cut_shards(synth *s) {
    const omni_synth_options *o = s->o;
    synth_file *f = s->file;
    for (size_t i = 0; i < o->count; i++) {
        if (f->count > 0 && s->begin[i + 1] - s->begin[f->first] > o->shard_bytes) {
            f++;
            f->first = i;
        }
        f->count++;
    }
    s->shards = s->files = (size_t)(f - s->file) + 1;
    for (size_t k = 0; k < s->shards; k++) {
        if (s->shards == 1)
            snprintf(s->file[k].name, sizeof s->file[k].name, "model.safetensors");
        else
            snprintf(s->file[k].name, sizeof s->file[k].name, "model-%05zu-of-%05zu.safetensors", k + 1,
                     s->shards);
    }
}

static omni_status make_shard(const synth *s, synth_file *f, omni_error *err) {
    omni_tensor_out *out = calloc(f->count + 1, sizeof *out);
    const omni_tensor_out **layout = calloc(f->count + 1, sizeof *layout);
    omni_status status = out && layout ? OMNI_OK : no_memory(s, err);
    for (size_t i = 0; !status && i < f->count; i++) {
        const omni_random_spec *t = &s->o->spec[f->first + i];
        out[i] = (omni_tensor_out){
            .name = t->name, .dtype = t->dtype, .rank = t->rank, .shape = {t->shape[0], t->shape[1]}};
        layout[i] = &out[i];
    }
    if (!status) status = weights_header(s->o->dir, layout, f->count, &f->head, &f->head_bytes, err);
    f->bytes = f->head_bytes + s->begin[f->first + f->count] - s->begin[f->first];
    free(out);
    free(layout);
    return status;
}

/* Takes the text. */
static omni_status add_text(synth *s, const char *name, char *text, omni_error *err) {
    synth_file *f = &s->file[s->files++];
    if (!text) return no_memory(s, err);
    snprintf(f->name, sizeof f->name, "%s", name);
    f->head = text;
    f->bytes = f->head_bytes = strlen(text);
    return OMNI_OK;
}

/* {"metadata": {"total_size": BYTES}, "weight_map": {TENSOR: FILE}}; malloc'd, NULL without memory. */
static char *make_index(const synth *s) {
    json_t *map = json_object();
    for (size_t k = 0; k < s->shards; k++)
        for (size_t i = 0; i < s->file[k].count; i++)
            if (json_object_set_new(map, s->o->spec[s->file[k].first + i].name,
                                    json_string(s->file[k].name)) != 0) {
                json_decref(map);
                return NULL;
            }
    json_t *root = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)s->begin[s->o->count],
                             "weight_map", map);
    char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
    json_decref(root);
    return text;
}

static omni_status lay_out(synth *s, omni_error *err) {
    omni_status status = lay_out_tensors(s, err);
    if (status) return status;
    cut_shards(s);
    for (size_t k = 0; !status && k < s->shards; k++) status = make_shard(s, &s->file[k], err);
    if (!status && s->shards > 1) status = add_text(s, "model.safetensors.index.json", make_index(s), err);
    if (!status) status = add_text(s, "config.json", strdup(s->o->config), err);
    for (size_t k = 0; !status && k < s->files; k++) {
        synth_file *f = &s->file[k];
        f->block = s->blocks;
        s->blocks += (f->bytes + SYNTH_BLOCK - 1) / SYNTH_BLOCK;
        s->bytes += f->bytes;
    }
    return status;
}

/* --- the directory ---------------------------------------------------------------------------- */

static bool is_empty(const char *dir) {
    DIR *d = opendir(dir);
    const struct dirent *entry;
    bool empty = d != NULL;
    while (empty && (entry = readdir(d)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (d) closedir(d);
    return empty;
}

static omni_status open_directory(synth *s, omni_error *err) {
    const char *dir = s->o->dir;
    struct stat st;
    s->made = mkdir(dir, 0777) == 0;
    if (!s->made && errno != EEXIST) return synth_refused(s, "", errno, err);
    if (!s->made && (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: exists (expected a new or an empty directory)", dir);
    s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir < 0) return synth_refused(s, "", errno, err);
    if (!s->made && !is_empty(dir))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: not empty (expected a new or an empty directory)",
                              dir);
    return OMNI_OK;
}

static omni_status commit(const synth *s, omni_error *err) {
    for (size_t k = 0; k < s->files; k++) {
        char temporary[sizeof s->file[k].name + sizeof SYNTH_SUFFIX];
        snprintf(temporary, sizeof temporary, "%s%s", s->file[k].name, SYNTH_SUFFIX);
        if (renameat(s->dir, temporary, s->dir, s->file[k].name) != 0)
            return synth_refused(s, s->file[k].name, errno, err);
    }
    (void)fsync(s->dir); /* some file systems have no such thing for directories */
    return OMNI_OK;
}

/* Everything that may be there, under either name: the directory was empty. */
static void take_back(const synth *s) {
    for (size_t k = 0; k < s->files; k++) {
        char temporary[sizeof s->file[k].name + sizeof SYNTH_SUFFIX];
        snprintf(temporary, sizeof temporary, "%s%s", s->file[k].name, SYNTH_SUFFIX);
        unlinkat(s->dir, temporary, 0);
        unlinkat(s->dir, s->file[k].name, 0);
    }
}

static omni_status make_directory(synth *s, omni_error *err) {
    omni_status status = open_directory(s, err);
    if (!status) {
        status = synth_reserve(s, err);
        if (!status) status = synth_fill(s, err);
        if (!status) status = commit(s, err);
        if (status) take_back(s);
    }
    if (s->dir >= 0) close(s->dir);
    if (status && s->made) rmdir(s->o->dir);
    return status;
}

omni_status omni_synth_write(const omni_synth_options *o, omni_synth_result *out, omni_error *err) {
    synth s = {.o = o, .dir = -1};
    omni_status status = lay_out(&s, err);
    if (!status) status = make_directory(&s, err);
    if (!status) *out = (omni_synth_result){.shards = s.shards, .bytes = s.bytes};
    for (size_t k = 0; s.file && k < s.files; k++) free(s.file[k].head);
    free(s.file);
    free(s.begin);
    free(s.random);
    return status;
}
