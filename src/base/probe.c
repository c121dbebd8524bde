/* probe.c: the semaphores of the probes, which are one for all files that have such a probe. In a section of
 * the name that <sys/sdt.h> asks for.
 */
#include <stdbool.h>

#include "base/probe.h"

#ifdef OMNI_SEMAPHORE
#define SEMAPHORE(name) volatile unsigned short omnibus_##name##_semaphore __attribute__((section(".probes")))
SEMAPHORE(pass_begin);
SEMAPHORE(pass_end);
SEMAPHORE(step_begin);
SEMAPHORE(step_end);
SEMAPHORE(collective_begin);
SEMAPHORE(collective_end);
#else
typedef int no_probes; /* a file must have something */
#endif
