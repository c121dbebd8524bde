/* rope.c: how a config spells rotary frequencies. Older files have the base at the top and a change of it in
 * rope_scaling; newer ones have both in rope_parameters:
 *
 *     "rope_theta": 5e5, "rope_scaling": {"type": "llama3", "factor": 8, ...}
 *     "rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", "factor": 8, ...}
 *
 * "type" is the older word for "rope_type". What is not known is refused: a wrong frequency still yields
 * text.
 */
#include <string.h>

#include "family.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct {
    const char *type;
    omni_rope_kind kind;
} types[] = {
    {"default", OMNI_ROPE_DEFAULT},
    {"linear", OMNI_ROPE_LINEAR},
    {"llama3", OMNI_ROPE_LLAMA3},
};

/* The object that says it, and its name; NULL: none. Both spellings at once must agree. */
static const json_t *find_object(model_config *c, const char **field) {
    static const char *const fields[] = {"rope_parameters", "rope_scaling"};
    const json_t *found = NULL;
    for (size_t i = 0; i < COUNT(fields); i++) {
        const json_t *rope = json_object_get(c->object, fields[i]);
        char text[96];
        if (!rope || json_is_null(rope)) continue;
        if (!json_is_object(rope))
            model_config_error(c, "%s %s is not supported (expected null or an object)", fields[i],
                               model_config_show(rope, text, sizeof text));
        if (found && !json_equal(found, rope))
            model_config_error(c, "rope_scaling differs from rope_parameters (expected one of them)");
        if (!found) *field = fields[i];
        if (!found) found = rope;
    }
    return c->status ? NULL : found;
}

/* Without a type there may be nothing but the base. */
static omni_rope_kind read_kind(model_config *c, const json_t *rope, const char *field) {
    const json_t *type = json_object_get(rope, "rope_type"), *old = json_object_get(rope, "type");
    char found[96];
    if (!type) type = old;
    size_t bare = json_object_get(rope, "rope_theta") ? 1 : 0;
    if (!type && json_object_size(rope) <= bare) return OMNI_ROPE_DEFAULT;
    for (size_t i = 0; json_is_string(type) && (!old || json_equal(type, old)) && i < COUNT(types); i++)
        if (strcmp(json_string_value(type), types[i].type) == 0) return types[i].kind;
    model_config_error(c, "%s %s%s is not supported (expected rope_type default, linear or llama3)", field,
                       type ? "of type " : "", model_config_show(type ? type : rope, found, sizeof found));
    return OMNI_ROPE_DEFAULT;
}

static omni_rope_scaling read_scaling(model_config *c, const json_t *rope, const char *field) {
    static const model_feature partial = {"partial_rotary_factor", MODEL_NEUTRAL_ONE};
    omni_rope_scaling r = {.kind = read_kind(c, rope, field)};
    model_config_refuse(c, &partial, 1);
    if (r.kind != OMNI_ROPE_DEFAULT) r.factor = model_config_positive(c, "factor");
    if (r.kind != OMNI_ROPE_LLAMA3) return r;
    r.low_freq_factor = model_config_positive(c, "low_freq_factor");
    r.high_freq_factor = model_config_positive(c, "high_freq_factor");
    r.original_positions =
        (double)model_config_size(c, "original_max_position_embeddings", MODEL_MAX_POSITIONS);
    if (r.low_freq_factor >= r.high_freq_factor)
        model_config_error(c, "low_freq_factor is %g (expected less than high_freq_factor, %g)",
                           r.low_freq_factor, r.high_freq_factor);
    return r;
}

void model_config_rope(model_config *c, omni_shape *s) {
    const char *field = NULL;
    s->rope_theta = model_config_positive_or(c, "rope_theta", 10000.0);
    const json_t *rope = find_object(c, &field);
    if (!rope) return;
    model_config inner = *c;
    inner.object = rope;
    s->rope = read_scaling(&inner, rope, field);
    double theta = model_config_positive_or(&inner, "rope_theta", s->rope_theta);
    c->status = inner.status;
    if (theta != s->rope_theta && json_object_get(c->object, "rope_theta"))
        model_config_error(c, "rope_theta is %g, and %g in %s (expected one value)", s->rope_theta, theta,
                           field);
    s->rope_theta = theta;
}
