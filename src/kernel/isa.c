/* isa.c: which instruction set the kernels use, decided once, before threads exist.
 *
 *     the CPU's best  <-  OMNIBUS_ISA may ask for less; more than the CPU has is refused
 *
 * BLIS reads BLIS_* from the environment (threads, architecture, packing) whenever it first runs. All of them
 * are removed here, so that neither results nor threads depend on them. Under the sanitizers, which don't see
 * into BLIS or intrinsics, only the portable kernels exist and BLIS is never called.
 */
#include <stdlib.h>
#include <unistd.h>

#include "kernel/room.h"

static const char *const isa_names[] = {[OMNI_ISA_PORTABLE] = "portable",
                                        [OMNI_ISA_AVX2] = "avx2",
                                        [OMNI_ISA_AVX512] = "avx512",
                                        [OMNI_ISA_AVX512_BF16] = "avx512bf16"};
#define ISAS (sizeof isa_names / sizeof *isa_names)

/* Written by omni_kernel_init alone. A copy, so that BLIS's micro-kernel can take a place in it. */
static struct {
    bool ready;
    omni_isa isa;
    kernel_ops ops;
} chosen;
static const kernel_ops *in_use = &kernel_ops_portable; /* before init: correct, if slow */

const kernel_ops *kernel_chosen(void) {
    return in_use;
}

omni_isa omni_kernel_isa(void) {
    return chosen.isa;
}

const char *omni_isa_name(omni_isa isa) {
    return (size_t)isa < ISAS ? isa_names[isa] : "?";
}

static omni_isa isa_best(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f");
    if (avx512 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bf16"))
        return OMNI_ISA_AVX512_BF16;
    if (avx512) return OMNI_ISA_AVX512;
    if (avx2) return OMNI_ISA_AVX2;
#endif
    return OMNI_ISA_PORTABLE;
}

static omni_status isa_wanted(omni_isa *isa, omni_error *err) {
    const char *name = getenv("OMNIBUS_ISA");
    omni_isa best = isa_best();
    *isa = best;
    if (!name || !*name) return OMNI_OK;
    for (size_t i = 0; i < ISAS; i++) {
        if (strcmp(name, isa_names[i]) != 0) continue;
        *isa = (omni_isa)i;
        if (*isa <= best) return OMNI_OK;
        return omni_error_set(err, OMNI_BAD_INPUT, "OMNIBUS_ISA: this CPU has no %s (its best is %s)", name,
                              isa_names[best]);
    }
    return omni_error_set(
        err, OMNI_BAD_INPUT,
        "OMNIBUS_ISA: unknown instruction set '%s' (one of: portable, avx2, avx512, avx512bf16)", name);
}

/* Removing an entry moves the others up, so the search starts again after each. */
static omni_status forget_blis_environment(omni_error *err) {
    for (char **entry = environ; entry && *entry;) {
        size_t length = strcspn(*entry, "=");
        char name[64];
        if (strncmp(*entry, "BLIS_", 5) != 0 || length >= sizeof name) {
            entry++;
            continue;
        }
        memcpy(name, *entry, length);
        name[length] = '\0';
        if (unsetenv(name))
            return omni_error_set(err, OMNI_RUN_FAILED, "%s: cannot be removed from the environment", name);
        entry = environ;
    }
    return OMNI_OK;
}

omni_status omni_kernel_init(omni_error *err) {
    if (chosen.ready) return OMNI_OK;
    omni_isa isa;
    omni_status status = isa_wanted(&isa, err);
    if (status == OMNI_OK) status = forget_blis_environment(err);
    if (status != OMNI_OK) return status;
    if (KERNEL_SANITIZED) isa = OMNI_ISA_PORTABLE;
    chosen.ops = kernel_ops_portable;
#if defined(__x86_64__)
    if (isa == OMNI_ISA_AVX2) {
        chosen.ops = kernel_ops_avx2;
        kernel_blis_adopt(&chosen.ops);
    } else if (isa >= OMNI_ISA_AVX512) {
        chosen.ops = kernel_ops_avx512;
        if (isa == OMNI_ISA_AVX512_BF16) chosen.ops.matmul.pairs = kernel_pairs_avx512bf16;
    }
#endif
    chosen.isa = isa;
    chosen.ready = true;
    in_use = &chosen.ops;
    return OMNI_OK;
}
