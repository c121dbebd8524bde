/* run_sample.c: --temperature, --top-k, --top-p and --seed: which token follows, decided at the host port.
 *
 * Greedy is the array's own arg-max, which is what the plan counts. A draw needs all logits: they are taken
 * from the PEs outside the fabric, as taps are, so counters and prices stay those of greedy decoding.
 */
#include <errno.h>
#include <stdlib.h>

#include "run.h"

/* A number above `least` (or equal, where that is 0) and at most `most`; *out stays without the option. */
static omni_status number(const run *r, omni_option_id id, double most, bool zero, double *out,
                          omni_error *err) {
    const char *text = omni_settings_get(r->c->settings, id);
    char *end;
    if (!text) return OMNI_OK;
    *out = strtod(text, &end);
    bool plain = strspn(text, "0123456789.eE+-") == strlen(text);
    if (plain && end != text && !*end && (*out > 0 || (zero && *out == 0)) && *out <= most) return OMNI_OK;
    return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.60s' (expected a number %s 0, at most %g)",
                          omni_settings_where(r->c->settings, id), text, zero ? "from" : "above", most);
}

omni_status sample_open(run *r, omni_error *err) {
    const omni_settings *s = r->c->settings;
    bool narrowed = omni_settings_get(s, OMNI_OPT_TOP_K) || omni_settings_get(s, OMNI_OPT_TOP_P);
    omni_sampling how = {.temperature = narrowed ? 1 : 0, .top_p = 1};
    size_t seed = 0;
    omni_status status = number(r, OMNI_OPT_TEMPERATURE, 1000, true, &how.temperature, err);
    if (!status) status = number(r, OMNI_OPT_TOP_P, 1, false, &how.top_p, err);
    if (!status && omni_settings_get(s, OMNI_OPT_TOP_K))
        status = omni_settings_number(s, OMNI_OPT_TOP_K, 1, SIZE_MAX, &how.top_k, err);
    if (!status) status = omni_settings_number(s, OMNI_OPT_SEED, 0, SIZE_MAX, &seed, err);
    if (status || how.temperature == 0) return status;
    how.seed = seed;
    r->sampler = omni_sampler_create(&how, r->c->model->shape.vocab);
    return r->sampler ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "run: no memory for the sampler");
}

omni_status sample_next(run *r, omni_error *err) {
    size_t vocab = r->c->model->shape.vocab;
    for (size_t i = 0; r->sampler && i < r->prompts.count; i++) {
        if (r->ended[i]) continue;
        r->next[i] =
            omni_sampler_draw(r->sampler, omni_engine_logits(r->engine) + i * vocab, i, r->generated[i]);
        if (r->next[i] < 0)
            return omni_error_set(err, OMNI_RUN_FAILED, "sequence %zu: no logit of token %zu is finite", i,
                                  r->generated[i]);
    }
    return OMNI_OK;
}
