/* test_cases.c: the case tables under Criterion: every row of every table is one parameter of one test. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <string.h>

#include "cases.h"

/* Plain numbers, as parameters are copied into the test's process. */
typedef struct row {
    size_t table, index;
} row;

enum { MOST_ROWS = 512 };

ParameterizedTestParameters(cases, holds) {
    static row rows[MOST_ROWS];
    size_t n = 0;
    for (size_t t = 0; t < all_case_table_count; t++)
        for (size_t i = 0; i < all_case_tables[t]->count && n < MOST_ROWS; i++) rows[n++] = (row){t, i};
    return cr_make_param_array(row, rows, n);
}

ParameterizedTest(row *r, cases, holds, .timeout = 600) {
    const omni_case_table *table = all_case_tables[r->table];
    const omni_case *c = &table->cases[r->index];
    const char *bad = c->run();
    if (bad && strncmp(bad, "SKIP", 4) == 0) cr_skip_test("%s/%s: %s", table->room, c->name, bad);
    cr_assert(bad == NULL, "%s/%s: %s", table->room, c->name, bad);
}
