/* probe.h: places where perf, bpftrace or SystemTap can look into a running program: USDT probes of provider
 * `omnibus`, by <sys/sdt.h> of systemtap-sdt-dev. A probe that nobody looks at is a nop behind the few loads
 * of what it tells. Without the header, or with OMNI_NO_PROBES, there are none.
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
#include <sys/sdt.h>
#define OMNI_PROBE2(name, a, b)       STAP_PROBE2(omnibus, name, a, b)
#define OMNI_PROBE3(name, a, b, c)    STAP_PROBE3(omnibus, name, a, b, c)
#define OMNI_PROBE4(name, a, b, c, d) STAP_PROBE4(omnibus, name, a, b, c, d)
#endif
#endif

#ifndef OMNI_PROBE2
#define OMNI_PROBE2(name, a, b)       ((void)(a), (void)(b))
#define OMNI_PROBE3(name, a, b, c)    ((void)(a), (void)(b), (void)(c))
#define OMNI_PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif

#endif
