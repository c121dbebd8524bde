/* dir_tools.h: for tests that write files: a directory of the test's own, gone when it ends. A suite takes
 * make_dir and remove_dir as its .init and .fini.
 */
#ifndef TESTS_DIR_TOOLS_H
#define TESTS_DIR_TOOLS_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char own_dir[32];

static inline void make_dir(void) {
    strcpy(own_dir, "/tmp/omni-test-XXXXXX");
    cr_assert_not_null(mkdtemp(own_dir));
}

static inline void remove_dir(void) {
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", own_dir);
    cr_assert_eq(system(command), 0);
}

/* Static buffer, four in turn. */
static inline const char *in_dir(const char *name) {
    static char buf[4][160];
    static size_t turn;
    char *path = buf[turn++ % 4];
    snprintf(path, sizeof buf[0], "%s/%s", own_dir, name);
    return path;
}

static inline void write_bytes(const char *path, const void *bytes, size_t count) {
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, count, file), count);
    cr_assert_eq(fclose(file), 0);
}

#endif
