/* specs.c: a model's tensors as random ones: what a synthetic checkpoint, a benchmark or a test of a shape is
 * made of. One block: the specs, and behind them the names they point to.
 */
#include <string.h>

#include "omnibus/pe.h"

omni_status omni_random_specs(const omni_model *m, omni_dtype dtype, omni_random_spec **out, size_t *count,
                              omni_error *err) {
    omni_model_tensor *t;
    *out = NULL;
    omni_status status = omni_model_tensors(m, &t, count, err);
    if (status) return status;
    omni_random_spec *spec = omni_alloc_array(*count, sizeof *spec + OMNI_NAME);
    char(*name)[OMNI_NAME] = (char(*)[OMNI_NAME])(spec + *count);
    for (size_t i = 0; spec && i < *count; i++) {
        memcpy(name[i], t[i].name, OMNI_NAME);
        spec[i] = (omni_random_spec){.name = name[i],
                                     .dtype = dtype,
                                     .rank = t[i].rank,
                                     .shape = {t[i].shape[0], t[i].shape[1]},
                                     .mean = t[i].mean,
                                     .stddev = t[i].stddev};
    }
    omni_free(t);
    *out = spec;
    return spec ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", m->name);
}
