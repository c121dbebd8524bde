/* targets.h: every door that text from outside comes in by, as a function of bytes. A target hands the bytes
 * to its parser and holds the parser to its contract: success, or a refusal in one line with nothing handed
 * out; whatever else happens is found by the sanitizers. libFuzzer drives a target through driver.c (`make
 * fuzz`); test_fuzz.c replays tests/fuzz/corpus/<target>/ in every test run.
 */
#ifndef OMNIBUS_FUZZ_TARGETS_H
#define OMNIBUS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

typedef struct fuzz_target {
    const char *name;
    void (*run)(const uint8_t *data, size_t bytes);
} fuzz_target;

extern const fuzz_target fuzz_targets[];
extern const size_t fuzz_target_count;

const fuzz_target *fuzz_target_find(const char *name); /* NULL: none */

#endif
