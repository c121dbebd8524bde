/* pass.c: the parts of the pass under way, group by group, and who is where in which wave.
 *
 *   wave        0   1   2   3      part m of a group is in stage s in wave m + s
 *   stage 0     p0  p1  p2
 *   stage 1         p0  p1  p2
 */
#include "pe/pe.h"

static size_t count_parts(const omni_plan *plan, omni_extent extent, size_t group) {
    omni_parts it = omni_parts_begin(plan, extent, group);
    omni_part part;
    size_t n = 0;
    while (omni_parts_next(&it, &part)) n++;
    return n;
}

size_t pass_parts(const omni_engine_options *o) {
    size_t chunk = o->plan->spec.chunk, parts = o->plan->mesh.groups;
    if (o->plan->mesh.stages == 1) return parts;
    return parts + o->sequences + (chunk ? o->max_tokens / chunk : 0);
}

void pass_cut(pe_pass *pass, const omni_plan *plan) {
    size_t groups = plan->mesh.groups, most = 0;
    pass->part_first[0] = 0;
    for (size_t g = 0; g < groups; g++) {
        size_t n = count_parts(plan, pass->extent, g);
        pass->part_first[g + 1] = pass->part_first[g] + n;
        most = n > most ? n : most;
    }
    for (size_t g = 0; g < groups; g++) {
        omni_parts it = omni_parts_begin(plan, pass->extent, g);
        for (omni_part *p = pass->part + pass->part_first[g]; omni_parts_next(&it, p); p++) continue;
    }
    pass->waves = most + plan->mesh.stages - 1;
}

const omni_part *pass_part(const pe_pass *pass, size_t group, size_t stage, size_t wave) {
    size_t first = pass->part_first[group], count = pass->part_first[group + 1] - first;
    return wave < stage || wave - stage >= count ? NULL : &pass->part[first + wave - stage];
}
