/* driver.c: libFuzzer's entry, for the target that the Makefile names. */
#include <stdlib.h>

#include "targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const fuzz_target *target;
    if (!target) target = fuzz_target_find(FUZZ_TARGET);
    if (!target) abort();
    target->run(data, bytes);
    return 0;
}
