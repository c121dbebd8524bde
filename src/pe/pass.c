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

omni_status pass_cut(pe_pass *pass, const omni_plan *plan, omni_error *err) {
    size_t groups = plan->mesh.groups, most = 0;
    pass->part_first[0] = 0;
    for (size_t g = 0; g < groups; g++) {
        size_t n = count_parts(plan, pass->extent, g);
        pass->part_first[g + 1] = pass->part_first[g] + n;
        most = n > most ? n : most;
    }
    if (pass->part_first[groups] > pass->parts) {
        omni_free(pass->part);
        pass->parts = pass->part_first[groups];
        pass->part = omni_alloc_array(pass->parts, sizeof *pass->part);
    }
    if (!pass->part) {
        pass->parts = 0;
        return omni_error_set(err, OMNI_RUN_FAILED, "no memory for the parts of a pass");
    }
    for (size_t g = 0; g < groups; g++) {
        omni_parts it = omni_parts_begin(plan, pass->extent, g);
        for (omni_part *p = pass->part + pass->part_first[g]; omni_parts_next(&it, p); p++) continue;
    }
    pass->waves = most + plan->mesh.stages - 1;
    return OMNI_OK;
}

const omni_part *pass_part(const pe_pass *pass, size_t group, size_t stage, size_t wave) {
    size_t first = pass->part_first[group], count = pass->part_first[group + 1] - first;
    return wave < stage || wave - stage >= count ? NULL : &pass->part[first + wave - stage];
}
