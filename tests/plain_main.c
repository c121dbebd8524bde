/* plain_main.c: the case tables without a test framework, for ThreadSanitizer and for long runs.
 *
 *      omnibus-cases [ROOM | ROOM/NAME]       OMNIBUS_STRESS=N: N times as many iterations
 *
 * A line is begun before its case runs, so that a hang shows where. Exits 0 when nothing failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cases.h"

typedef struct tally {
    size_t passed, failed, skipped;
} tally;

static int wanted(const char *filter, const char *room, const char *name) {
    if (!filter) return 1;
    size_t n = strlen(room);
    if (strncmp(filter, room, n) != 0) return 0;
    return filter[n] == '\0' || (filter[n] == '/' && strcmp(filter + n + 1, name) == 0);
}

static double seconds(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void run_case(const char *room, const omni_case *c, tally *t) {
    printf("%s/%s: ", room, c->name);
    fflush(stdout);
    double start = seconds();
    clock_t cpu = clock(); /* of all threads */
    const char *bad = c->run();
    if (!bad) {
        t->passed++;
        printf("ok (%.2f s, %.2f s of CPU)\n", seconds() - start, (double)(clock() - cpu) / CLOCKS_PER_SEC);
    } else if (strncmp(bad, "SKIP", 4) == 0) {
        t->skipped++;
        printf("%s\n", bad);
    } else {
        t->failed++;
        printf("FAILED: %s\n", bad);
    }
    fflush(stdout);
}

int main(int argc, char **argv) {
    const char *filter = argc > 1 ? argv[1] : NULL;
    tally t = {0, 0, 0};
    for (size_t i = 0; i < all_case_table_count; i++) {
        const omni_case_table *table = all_case_tables[i];
        for (size_t k = 0; k < table->count; k++)
            if (wanted(filter, table->room, table->cases[k].name))
                run_case(table->room, &table->cases[k], &t);
    }
    printf("%zu passed, %zu failed, %zu skipped\n", t.passed, t.failed, t.skipped);
    if (t.passed + t.failed + t.skipped == 0) {
        fprintf(stderr, "no case is called '%s' (expected ROOM or ROOM/NAME)\n", filter ? filter : "");
        return EXIT_FAILURE;
    }
    return t.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
