/* ticks.c: a clock for who reads it every few hundred nanoseconds: the CPU's time stamp counter, which takes
 * a third of the time that the system's clock does. Only where the kernel itself keeps time by it: then it
 * runs evenly, and is the same on all CPUs. Otherwise a tick is a nanosecond of the system's clock.
 */
#include <fcntl.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "omnibus/base.h"

/* Written by the first omni_ticks_start, before there are threads that read ticks. */
static bool started, counts;
static uint64_t first_tick, first_ns;

static bool kernel_counts(void) {
    char name[8] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, name, sizeof name - 1);
    if (fd >= 0) close(fd);
    return n >= 3 && memcmp(name, "tsc", 3) == 0;
}

uint64_t omni_ticks(void) {
#if defined(__x86_64__)
    if (counts) return __rdtsc();
#endif
    return omni_clock_ns();
}

/* Both clocks at the same moment: the closest of some tries, for the thread may be put aside in between. */
static void read_both(uint64_t *tick, uint64_t *ns) {
    uint64_t closest = UINT64_MAX;
    for (int i = 0; i < 16; i++) {
        uint64_t before = omni_ticks(), now = omni_clock_ns(), behind = omni_ticks();
        if (behind - before >= closest) continue;
        closest = behind - before;
        *tick = before + closest / 2;
        *ns = now;
    }
}

void omni_ticks_start(void) {
    if (started) return;
    started = true;
#if defined(__x86_64__)
    counts = kernel_counts();
#endif
    read_both(&first_tick, &first_ns);
}

double omni_ticks_ns(void) {
    uint64_t tick = 0, ns = 0;
    if (!counts) return 1;
    read_both(&tick, &ns);
    return tick > first_tick ? (double)(ns - first_ns) / (double)(tick - first_tick) : 1;
}
