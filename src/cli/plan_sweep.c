/* plan_sweep.c: crossovers. Tasks are a grid of five lists; neighbours along one of them differ in nothing
 * else. Where their best plans differ, the best changes in between; where more PEs take longer, they have
 * stopped paying.
 */
#include <stdio.h>
#include <string.h>

#include "plan_price.h"

enum { ALONG_ARRAY, ALONG_PES, ALONG_BATCH, ALONG_PROMPT, ALONG_GEN, AXES, SHOWN = 24 };

static const char *const axis_name[AXES] = {"array", "PEs", "batch", "prompt", "gen"};

static void value_text(const outcome *o, int axis, char *buf, size_t cap) {
    const size_t value[AXES] = {0, o->pes, o->task.batch, o->task.prompt, o->task.gen};
    if (axis == ALONG_ARRAY)
        snprintf(buf, cap, "%s", omni_array_name(o->array));
    else
        snprintf(buf, cap, "%zu", value[axis]);
}

static json_t *crossing_json(const outcome *a, const outcome *b, int axis) {
    char from[128], to[128];
    json_t *object = json_object();
    value_text(a, axis, from, sizeof from);
    value_text(b, axis, to, sizeof to);
    cli_set(&object, "along", omni_json_string(axis_name[axis]));
    cli_set(&object, "from", omni_json_string(from));
    cli_set(&object, "to", omni_json_string(to));
    cli_set(&object, "array", omni_json_string(omni_array_name(a->array)));
    cli_set(&object, "pes", cli_size(a->pes));
    cli_set(&object, "batch", cli_size(a->task.batch));
    cli_set(&object, "prompt", cli_size(a->task.prompt));
    cli_set(&object, "gen", cli_size(a->task.gen));
    cli_set(&object, "plan_from", omni_json_string(a->plan));
    cli_set(&object, "plan_to", omni_json_string(b->plan));
    cli_set(&object, "ps_from", cli_size(a->ps));
    cli_set(&object, "ps_to", cli_size(b->ps));
    return object;
}

/* "crossover    batch 4 -> 8 (seed-64pe, 64 PEs, prompt 512, gen 128): megatron 1.2 s -> replica 2.1 s" */
static void draw_crossing(const pricing *k, const outcome *a, const outcome *b, int axis, bool slower) {
    char from[128], to[128], text[32];
    value_text(a, axis, from, sizeof from);
    value_text(b, axis, to, sizeof to);
    omni_text_add(k->page, "%-13s%s %s -> %s (", slower ? "no gain" : "crossover", axis_name[axis], from, to);
    for (int other = 0, shown = 0; other < AXES; other++) {
        if (other == axis) continue;
        value_text(a, other, from, sizeof from);
        omni_text_add(k->page, "%s%s%s%s", shown++ ? ", " : "", other == ALONG_ARRAY ? "" : axis_name[other],
                      other == ALONG_ARRAY ? "" : " ", from);
    }
    omni_text_add(k->page, "): %s %s", a->plan, price_time(text, a->ps));
    omni_text_add(k->page, " -> %s %s\n", b->plan, price_time(text, b->ps));
}

/* Neighbours a and b along an axis. */
static void compare(const pricing *k, const outcome *a, const outcome *b, int axis, json_t **list) {
    bool slower = axis == ALONG_PES && b->pes > a->pes && b->ps >= a->ps,
         other = strcmp(a->plan, b->plan) != 0;
    if (!a->built || !b->built || (!slower && !other)) return;
    size_t found = json_array_size(*list);
    if (found == 0) omni_text_add(k->page, "\n");
    if (found < SHOWN) draw_crossing(k, a, b, axis, slower);
    if (found == SHOWN) omni_text_add(k->page, "... (all of them: --format json)\n");
    cli_append(list, crossing_json(a, b, axis));
}

json_t *sweep_crossovers(pricing *k) {
    json_t *list = json_array();
    const size_t count[AXES] = {k->arrays, k->pes.count ? k->pes.count : 1, k->batch.count, k->prompt.count,
                                k->gen.count};
    size_t stride[AXES], total = 1;
    for (int axis = AXES; axis-- > 0; total *= count[axis]) stride[axis] = total;
    for (int axis = 0; axis < AXES; axis++)
        for (size_t i = 0; i < total; i++)
            if (i / stride[axis] % count[axis] + 1 < count[axis])
                compare(k, &k->all[i], &k->all[i + stride[axis]], axis, &list);
    return list;
}
