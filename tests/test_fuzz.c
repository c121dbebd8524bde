/* test_fuzz.c: replays every file of tests/fuzz/corpus/<target>/: seeds, and whatever once broke a target. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/targets.h"
#include "omnibus/base.h"

static void replay(const fuzz_target *target, const char *path) {
    char *text;
    size_t bytes = 0;
    omni_error err = {0};
    cr_assert_eq(omni_file_read(path, 1 << 20, "a corpus file", &text, &bytes, &err), OMNI_OK, "%s",
                 err.text);
    target->run((const uint8_t *)text, bytes);
    free(text);
}

ParameterizedTestParameters(fuzz, corpus) {
    static size_t index[64];
    for (size_t i = 0; i < fuzz_target_count; i++) index[i] = i;
    return cr_make_param_array(size_t, index, fuzz_target_count);
}

ParameterizedTest(size_t *index, fuzz, corpus) {
    const fuzz_target *target = &fuzz_targets[*index];
    char dir[128], path[512];
    size_t replayed = 0;
    snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s", target->name);
    DIR *d = opendir(dir);
    cr_assert_not_null(d, "%s", dir);
    for (struct dirent *f; (f = readdir(d));) {
        if (f->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", dir, f->d_name);
        replay(target, path);
        replayed++;
    }
    closedir(d);
    cr_assert_gt(replayed, 0, "%s is empty", dir);
}
