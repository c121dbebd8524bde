/* kernel.c: the table of events, and the kernel as their source. */
#include <errno.h>
#include <linux/perf_event.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "perf/events.h"
#include "perf/internal.h"

/* clang-format off */
const perf_event_row perf_events[OMNI_PERF_EVENTS] = {
    [OMNI_PERF_CYCLES]           = {"cycles", 0, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, false},
    [OMNI_PERF_INSTRUCTIONS]     = {"instructions", 0, PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, false},
    [OMNI_PERF_CACHE_MISSES]     = {"cache_misses", 1, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES, false},
    [OMNI_PERF_STALLED_FRONTEND] = {"stalled_frontend", 1, PERF_TYPE_HARDWARE, PERF_COUNT_HW_STALLED_CYCLES_FRONTEND,
                                    false},
    [OMNI_PERF_STALLED_BACKEND]  = {"stalled_backend", 1, PERF_TYPE_HARDWARE, PERF_COUNT_HW_STALLED_CYCLES_BACKEND,
                                    false},
    [OMNI_PERF_MIGRATIONS]       = {"migrations", 2, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS, true},
    [OMNI_PERF_TASK_NS]          = {.name = "task_clock_ns"},
    [OMNI_PERF_SWITCHES]         = {.name = "context_switches"},
    [OMNI_PERF_FAULTS]           = {.name = "page_faults"},
};
/* clang-format on */

int perf_kernel_open(const perf_event_row *row, int leader) {
    struct perf_event_attr attr = {.type = row->type,
                                   .size = sizeof attr,
                                   .config = row->config,
                                   .read_format = PERF_FORMAT_GROUP | PERF_FORMAT_TOTAL_TIME_ENABLED |
                                                  PERF_FORMAT_TOTAL_TIME_RUNNING,
                                   .exclude_kernel = !row->kernel,
                                   .exclude_hv = 1};
    long fd = syscall(SYS_perf_event_open, &attr, 0, -1, leader, PERF_FLAG_FD_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}

static int kernel_open(omni_perf_event event, int leader) {
    return perf_kernel_open(&perf_events[event], leader);
}

static int kernel_read(int leader, uint64_t *to, size_t words) {
    ssize_t bytes = read(leader, to, words * sizeof *to);
    return bytes < 0 ? -errno : (int)((size_t)bytes / sizeof *to);
}

static void kernel_close(int fd) {
    close(fd);
}

/* Neither call fails with these arguments. */
static void kernel_usage(uint64_t value[OMNI_PERF_EVENTS]) {
    struct timespec t = {0};
    struct rusage u = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    getrusage(RUSAGE_THREAD, &u);
    value[OMNI_PERF_TASK_NS] = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    value[OMNI_PERF_SWITCHES] = (uint64_t)(u.ru_nvcsw + u.ru_nivcsw);
    value[OMNI_PERF_FAULTS] = (uint64_t)(u.ru_minflt + u.ru_majflt);
}

const perf_source perf_kernel = {kernel_open, kernel_read, kernel_close, kernel_usage};

omni_perf *omni_perf_open(void) {
    return perf_open_from(&perf_kernel);
}
