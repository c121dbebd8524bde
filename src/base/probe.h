/* probe.h: places where perf, bpftrace or SystemTap can look into a running program: USDT probes of provider
 * `omnibus`, by <sys/sdt.h> of systemtap-sdt-dev. Who looks counts himself into the probe's semaphore, and
 * out again: perf and bpftrace let the kernel do that. While it is 0 a probe is a load of it and a branch:
 * what it tells is not even made ready. Without the header, or with OMNI_NO_PROBES, there are none.
 *
 *   pass_begin, pass_end              phase, tokens                 by the caller: prefill, decode, transform
 *   step_begin, step_end              rank, step, op, kind          by a worker: exec.c; op "": host port's
 *   collective_begin, collective_end  rank, kind, bytes             by a worker: fabric.c
 *
 * Phase, op and kind are texts. Where a worker acts once for several PEs, in messages, rank is the first of
 * them.
 */
#ifndef BASE_PROBE_H
#define BASE_PROBE_H

#if !defined(OMNI_NO_PROBES) && defined(__has_include)
#if __has_include(<sys/sdt.h>)
/* In registers: perf does not understand what else a compiler may choose. */
#define STAP_SDT_ARG_CONSTRAINT nr
#define _SDT_HAS_SEMAPHORES     1
#include <sys/sdt.h>

/* probe.c; of this program or library only. The kernel writes them, at any time. */
#define OMNI_SEMAPHORE(name)                                                                                 \
    extern volatile unsigned short omnibus_##name##_semaphore __attribute__((visibility("hidden")))
OMNI_SEMAPHORE(pass_begin);
OMNI_SEMAPHORE(pass_end);
OMNI_SEMAPHORE(step_begin);
OMNI_SEMAPHORE(step_end);
OMNI_SEMAPHORE(collective_begin);
OMNI_SEMAPHORE(collective_end);

#define OMNI_PROBED(name) __builtin_expect(omnibus_##name##_semaphore != 0, 0)
#define OMNI_PROBE2(name, a, b)                                                                              \
    do {                                                                                                     \
        if (OMNI_PROBED(name)) STAP_PROBE2(omnibus, name, a, b);                                             \
    } while (0)
#define OMNI_PROBE3(name, a, b, c)                                                                           \
    do {                                                                                                     \
        if (OMNI_PROBED(name)) STAP_PROBE3(omnibus, name, a, b, c);                                          \
    } while (0)
#define OMNI_PROBE4(name, a, b, c, d)                                                                        \
    do {                                                                                                     \
        if (OMNI_PROBED(name)) STAP_PROBE4(omnibus, name, a, b, c, d);                                       \
    } while (0)
#endif
#endif

#ifndef OMNI_PROBED
#define OMNI_PROBED(name)             false
#define OMNI_PROBE2(name, a, b)       ((void)(a), (void)(b))
#define OMNI_PROBE3(name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define OMNI_PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
