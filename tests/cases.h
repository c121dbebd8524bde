/* cases.h: test bodies that run under Criterion and, with a plain main, under ThreadSanitizer (Criterion
 * 2.4.1 dies there). A case returns NULL when it passed, "SKIP: why" when it cannot run here, else what
 * went wrong. Only the calling thread returns a verdict; workers store theirs.
 *
 * A table of cases is one file, tests/cases_<room>.c, listed below; test_cases.c and plain_main.c walk
 * all tables.
 */
#ifndef OMNIBUS_TEST_CASES_H
#define OMNIBUS_TEST_CASES_H

#include <stddef.h>

typedef struct omni_case {
    const char *name;
    const char *(*run)(void);
} omni_case;

typedef struct omni_case_table {
    const char *room;
    const omni_case *cases;
    size_t count;
} omni_case_table;

/* A verdict as text; the buffer is static and belongs to the calling thread's next verdict. */
const char *verdict(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ../shared beside the checkout, or OMNIBUS_SHARED; NULL when absent. `path` is appended. Static buffer,
 * two in turn. */
const char *shared_path(const char *path);

extern const omni_case_table cases_sync, cases_fabric, cases_flow, cases_formats, cases_engine, cases_encode,
    cases_encode_passes, cases_mesh, cases_wire, cases_profile, cases_overlap, cases_perf,
    cases_trace;
extern const omni_case_table *const all_case_tables[];
extern const size_t all_case_table_count;

#endif
