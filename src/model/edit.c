/* edit.c: the element type in a config, and a config with another one and another number of layers. All else
 * stays as it was: fields that nobody here knows, their order, every number's value.
 */
#include <stdlib.h>
#include <string.h>

#include "family.h"

static const char *const words[OMNI_DTYPES] = {
    [OMNI_F32] = "float32", [OMNI_F16] = "float16", [OMNI_BF16] = "bfloat16"};

/* transformers writes the first, since 4.56 the second. */
static const char *const dtype_fields[] = {"torch_dtype", "dtype"};
enum { DTYPE_FIELDS = sizeof dtype_fields / sizeof *dtype_fields };

omni_dtype model_config_dtype(const model_config *c) {
    for (size_t f = 0; f < DTYPE_FIELDS; f++) {
        const char *word = json_string_value(json_object_get(c->object, dtype_fields[f]));
        for (size_t d = 0; word && d < OMNI_DTYPES; d++)
            if (words[d] && strcmp(word, words[d]) == 0) return (omni_dtype)d;
    }
    return OMNI_F32;
}

/* The shortest of the precisions that bring every real back: 1e-5 and not 1.0000000000000001e-5. */
static char *print(const json_t *root) {
    for (size_t digits = 15; digits <= 17; digits++) {
        char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));
        json_t *again = text ? json_loads(text, 0, NULL) : NULL;
        bool same = json_equal(root, again);
        json_decref(again);
        if (same) return text;
        free(text);
    }
    return NULL;
}

/* In each field that is there; in the first when none is. */
static bool set_dtype(json_t *root, omni_dtype dtype) {
    bool ok = true, found = false;
    for (size_t f = DTYPE_FIELDS; f-- > 0;) {
        if (!json_object_get(root, dtype_fields[f]) && (f > 0 || found)) continue;
        found = true;
        ok &= json_object_set_new(root, dtype_fields[f], json_string(words[dtype])) == 0;
    }
    return ok;
}

omni_status model_edit(json_t *root, const char *layers_field, size_t layers, omni_dtype dtype,
                       const char *source, char **out, omni_error *err) {
    char *text = NULL;
    bool ok = json_object_set_new(root, layers_field, json_integer((json_int_t)layers)) == 0 &&
              set_dtype(root, dtype);
    if (ok) text = print(root);
    *out = text ? omni_alloc(strlen(text) + 2) : NULL;
    if (*out) {
        strcpy(*out, text);
        strcat(*out, "\n");
    }
    free(text);
    return *out ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", source);
}
