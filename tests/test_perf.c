/* test_perf.c: counts of a thread by a source that the test plays, their scaling, and the fifos of perf's control. What
 * the kernel of this machine counts is nobody's business here, but that it is asked without harm.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "omnibus/perf.h"
#include "pe/pe.h"
#include "perf/events.h"
#include "perf/internal.h"

/* --- a source that is told what to say -------------------------------------------------------- */

enum { FIRST_FD = 100 };

static struct {
    int refuse[OMNI_PERF_OPENED]; /* errno */
    int leader[OMNI_PERF_OPENED]; /* as it was asked for */
    int open;                     /* descriptors */
    int fail;                     /* of read */
    size_t reads;
    uint64_t step, enabled, running; /* of a read: a value grows by step x (event + 1) */
} fake;

static int fake_open(omni_perf_event event, int leader) {
    if (fake.refuse[event]) return -fake.refuse[event];
    fake.leader[event] = leader;
    fake.open++;
    return FIRST_FD + (int)event;
}

/* The group: whoever was opened with this leader, and the leader. */
static int fake_read(int leader, uint64_t *to, size_t words) {
    int n = 3;
    if (fake.fail) return -fake.fail;
    fake.reads++;
    to[1] = fake.reads * fake.enabled;
    to[2] = fake.reads * fake.running;
    for (int i = 0; i < (int)OMNI_PERF_OPENED; i++) {
        bool member = !fake.refuse[i] && (fake.leader[i] == leader || FIRST_FD + i == leader);
        if (member) to[n++] = fake.reads * fake.step * (uint64_t)(i + 1);
    }
    to[0] = (uint64_t)n - 3;
    return (size_t)n <= words ? n : -ENOSPC;
}

static void fake_close(int fd) {
    (void)fd;
    fake.open--;
}

static void fake_usage(uint64_t value[OMNI_PERF_EVENTS]) {
    static uint64_t now;
    value[OMNI_PERF_TASK_NS] = now += 1000;
    value[OMNI_PERF_SWITCHES] = now / 1000;
    value[OMNI_PERF_FAULTS] = 7;
}

static const perf_source source = {fake_open, fake_read, fake_close, fake_usage};

static void reset(void) {
    memset(&fake, 0, sizeof fake);
    fake.step = 10;
    fake.enabled = fake.running = 500;
}

TestSuite(perf, .init = reset);

static omni_perf_counts count(omni_perf *p, size_t parts) {
    for (size_t i = 0; i < parts; i++) {
        omni_perf_begin(p);
        omni_perf_end(p);
    }
    return *omni_perf_sums(p);
}

Test(perf, groups_are_read_at_both_ends_and_differences_added) {
    omni_perf *p = perf_open_from(&source);
    cr_expect_eq(fake.open, OMNI_PERF_OPENED);
    cr_expect_eq(fake.leader[OMNI_PERF_CYCLES], -1, "it leads");
    cr_expect_eq(fake.leader[OMNI_PERF_INSTRUCTIONS], FIRST_FD, "in the group of cycles");
    omni_perf_counts one = count(p, 1), three = count(p, 2);
    cr_expect_eq(one.value[OMNI_PERF_TASK_NS], 1000);
    cr_expect_eq(three.value[OMNI_PERF_TASK_NS], 3000);
    cr_expect_eq(three.value[OMNI_PERF_FAULTS], 0);
    for (int i = 0; i < (int)OMNI_PERF_EVENTS; i++) {
        cr_expect_null(omni_perf_reason(&three, (omni_perf_event)i));
        cr_expect_gt(omni_perf_value(&three, (omni_perf_event)i) + 1, 0, "a number");
    }
    /* group 0 is read first at the begin and last at the end: five readings lie between */
    cr_expect_eq(one.value[OMNI_PERF_CYCLES], 5 * 10);
    cr_expect_eq(one.value[OMNI_PERF_INSTRUCTIONS], 5 * 20);
    omni_perf_counts rest = omni_perf_between(&one, &three);
    cr_expect_eq(rest.value[OMNI_PERF_CYCLES], 2 * 5 * 10);
    omni_perf_add(&rest, &one);
    cr_expect_eq(rest.value[OMNI_PERF_CYCLES], three.value[OMNI_PERF_CYCLES]);
    omni_perf_close(p);
    cr_expect_eq(fake.open, 0, "all are closed");
    omni_perf_close(NULL);
}

/* Software events in the places of the hardware's, which not every machine has: the kernel's own groups. */
static int software_open(omni_perf_event event, int leader) {
    static const perf_event_row rows[OMNI_PERF_OPENED] = {
        [OMNI_PERF_CYCLES] = {"", 0, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, false},
        [OMNI_PERF_INSTRUCTIONS] = {"", 0, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN, false},
        [OMNI_PERF_CACHE_MISSES] = {"", 1, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ, false},
        [OMNI_PERF_STALLED_FRONTEND] = {"", 1, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, false},
        [OMNI_PERF_STALLED_BACKEND] = {"", 1, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_DUMMY, false},
        [OMNI_PERF_MIGRATIONS] = {"", 2, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, false}};
    return perf_kernel_open(&rows[event], leader);
}

Test(perf, groups_of_the_kernel_are_read_as_they_are_opened) {
    enum { PAGES = 100 };
    const perf_source software = {software_open, perf_kernel.read, perf_kernel.close, perf_kernel.usage};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    omni_perf *p = perf_open_from(&software);
    for (size_t part = 0; part < 3; part++) {
        volatile char *fresh =
            mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(fresh, MAP_FAILED);
        madvise((void *)fresh, PAGES * page, MADV_NOHUGEPAGE);
        omni_perf_begin(p);
        for (size_t i = 0; i < PAGES; i++) fresh[i * page] = 1;
        omni_perf_end(p);
        munmap((void *)fresh, PAGES * page);
    }
    const omni_perf_counts *c = omni_perf_sums(p);
    if (c->missing[OMNI_PERF_CYCLES])
        printf("SKIP perf: groups of the kernel: %s\n", omni_perf_reason(c, OMNI_PERF_CYCLES));
    static const omni_perf_event faults[] = {OMNI_PERF_CYCLES, OMNI_PERF_INSTRUCTIONS,
                                             OMNI_PERF_STALLED_FRONTEND};
    for (size_t i = 0; i < sizeof faults / sizeof *faults && !c->missing[OMNI_PERF_CYCLES]; i++) {
        double value = omni_perf_value(c, faults[i]);
        cr_expect(value >= 3 * PAGES && value < 4 * PAGES, "event %d: %g", (int)faults[i], value);
    }
    if (!c->missing[OMNI_PERF_CYCLES]) {
        cr_expect_gt(omni_perf_value(c, OMNI_PERF_MIGRATIONS), 3 * PAGES * 10, "the clock, in ns");
        cr_expect_eq(omni_perf_value(c, OMNI_PERF_CACHE_MISSES), 0);
        cr_expect_eq(omni_perf_value(c, OMNI_PERF_STALLED_BACKEND), 0);
        cr_expect_gt(c->enabled_ns[0], 0);
        cr_expect_eq(c->enabled_ns[0], c->running_ns[0], "no turns with others");
    }
    omni_perf_close(p);
}

Test(perf, what_is_refused_is_missing_and_says_why) {
    static const struct {
        int error;
        const char *says;
    } table[] = {{EACCES, "perf_event_paranoid"}, {EPERM, "CAP_PERFMON"},         {ENOENT, "virtual machine"},
                 {ENODEV, "virtual machine"},     {ENOSYS, "no perf_event_open"}, {EMFILE, "ulimit -n"},
                 {EINVAL, "too few counters"},    {EBUSY, "taken by others"},     {EFAULT, "refused"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        reset();
        fake.refuse[OMNI_PERF_CYCLES] = table[i].error;
        omni_perf *p = perf_open_from(&source);
        cr_expect_eq(fake.leader[OMNI_PERF_INSTRUCTIONS], -1, "the next one leads");
        omni_perf_counts c = count(p, 1);
        cr_expect(isnan(omni_perf_value(&c, OMNI_PERF_CYCLES)));
        cr_expect_not_null(strstr(omni_perf_reason(&c, OMNI_PERF_CYCLES), table[i].says));
        cr_expect_eq(omni_perf_value(&c, OMNI_PERF_INSTRUCTIONS), 5 * 20, "it is not taken for cycles");
        omni_perf_close(p);
        cr_expect_eq(fake.open, 0);
    }
    for (int i = 0; i < (int)OMNI_PERF_OPENED; i++) fake.refuse[i] = ENOSYS;
    omni_perf *p = perf_open_from(&source);
    omni_perf_counts c = count(p, 1), sum = {0};
    cr_expect_eq(omni_perf_value(&c, OMNI_PERF_TASK_NS), 1000, "nobody can refuse it");
    omni_perf_add(&sum, &c);
    cr_expect(isnan(omni_perf_value(&sum, OMNI_PERF_MIGRATIONS)), "a sum lacks what a part lacks");
    omni_perf_close(p);
}

Test(perf, a_group_that_cannot_be_read_is_lost) {
    omni_perf *p = perf_open_from(&source);
    omni_perf_begin(p);
    fake.fail = EIO;
    omni_perf_end(p);
    fake.fail = 0;
    omni_perf_counts c = count(p, 2);
    cr_expect(isnan(omni_perf_value(&c, OMNI_PERF_CYCLES)));
    cr_expect_not_null(omni_perf_reason(&c, OMNI_PERF_CYCLES));
    cr_expect_eq(omni_perf_value(&c, OMNI_PERF_TASK_NS), 3000);
    omni_perf_close(p);
}

Test(perf, counts_are_scaled_by_the_time_they_ran) {
    omni_perf_counts c = {.value[OMNI_PERF_CYCLES] = 300, .value[OMNI_PERF_TASK_NS] = 5};
    cr_expect_eq(omni_perf_value(&c, OMNI_PERF_CYCLES), 300, "no time at all: as counted");
    c.enabled_ns[0] = 1000;
    c.running_ns[0] = 250;
    cr_expect_eq(omni_perf_value(&c, OMNI_PERF_CYCLES), 1200, "a quarter of the time");
    cr_expect_eq(omni_perf_value(&c, OMNI_PERF_TASK_NS), 5);
    c.running_ns[0] = 1000;
    cr_expect_eq(omni_perf_value(&c, OMNI_PERF_CYCLES), 300);
    c.running_ns[0] = 0;
    cr_expect(isnan(omni_perf_value(&c, OMNI_PERF_CYCLES)), "never");
    cr_expect_not_null(strstr(omni_perf_reason(&c, OMNI_PERF_CYCLES), "taken"));
    cr_expect_eq(omni_perf_value(&c, OMNI_PERF_CACHE_MISSES), 0, "another group");
}

Test(perf, names_are_there_once) {
    for (int i = 0; i < (int)OMNI_PERF_EVENTS; i++)
        for (int k = 0; k < i; k++)
            cr_expect_str_neq(omni_perf_event_name((omni_perf_event)i),
                              omni_perf_event_name((omni_perf_event)k));
}

static void *work(void *arg) {
    omni_perf *p = omni_perf_open();
    omni_perf_begin(p);
    for (volatile unsigned i = 0; i < 1000000;) i = i + 1;
    omni_perf_end(p);
    *(omni_perf_counts *)arg = *omni_perf_sums(p);
    omni_perf_close(p);
    return NULL;
}

Test(perf, the_kernel_is_asked) {
    omni_perf_counts c;
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, work, &c), 0);
    pthread_join(t, NULL);
    cr_expect_gt(c.value[OMNI_PERF_TASK_NS], 0);
    for (int i = 0; i < (int)OMNI_PERF_EVENTS; i++) /* a number, or a reason */
        cr_expect_eq(isnan(omni_perf_value(&c, (omni_perf_event)i)) != 0,
                     omni_perf_reason(&c, (omni_perf_event)i) != NULL);
    if (!c.missing[OMNI_PERF_INSTRUCTIONS] && c.running_ns[0])
        cr_expect_gt(omni_perf_value(&c, OMNI_PERF_INSTRUCTIONS), 1e6, "a loop of a million");
}

/* --- threads' names --------------------------------------------------------------------------- */

Test(perf, a_thread_is_named_for_its_pes) {
    static const struct {
        size_t index;
        omni_range ranks;
        const char *name;
    } table[] = {{0, {0, 4}, "omni-w0 pe0-3"},      {3, {3, 1}, "omni-w3 pe3"},
                 {12, {48, 4}, "w12 pe48-51"},      {127, {1016, 8}, "w127"},
                 {1000, {1000, 1}, "w1000 pe1000"}, {100000, {100000, 1}, "w100000"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char name[16];
        worker_name(name, table[i].index, table[i].ranks);
        cr_expect_str_eq(name, table[i].name);
    }
    char name[16];
    worker_name(name, SIZE_MAX, (omni_range){0, SIZE_MAX});
    cr_expect_eq(strlen(name), 15);
}

/* --- control ---------------------------------------------------------------------------------- */

enum { SHORT_MS = 60, LONG_MS = 20000 };

typedef struct fifos {
    char dir[64], ctl[80], ack[80], both[170];
    int read, answer; /* the outer perf's ends */
} fifos;

static fifos make_fifos(void) {
    fifos f = {.dir = "/tmp/omnibus-perf-XXXXXX"};
    cr_assert_not_null(mkdtemp(f.dir));
    snprintf(f.ctl, sizeof f.ctl, "%s/ctl", f.dir);
    snprintf(f.ack, sizeof f.ack, "%s/ack", f.dir);
    snprintf(f.both, sizeof f.both, "%s,%s", f.ctl, f.ack);
    cr_assert(mkfifo(f.ctl, 0600) == 0 && mkfifo(f.ack, 0600) == 0);
    f.read = open(f.ctl, O_RDWR | O_NONBLOCK);
    f.answer = open(f.ack, O_RDWR | O_NONBLOCK);
    return f;
}

static void drop_fifos(const fifos *f) {
    close(f->read);
    close(f->answer);
    unlink(f->ctl);
    unlink(f->ack);
    rmdir(f->dir);
}

Test(perf, control_refuses_what_is_no_pair_of_fifos) {
    static const char *const wrong[] = {"", ",", "a,", ",a", "a,b,c", "/nowhere/x", "/dev/null", "/tmp"};
    omni_perf_control *c;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        omni_error err = {0};
        cr_expect_eq(omni_perf_control_open(wrong[i], "--perf-ctl", SHORT_MS, &c, &err), OMNI_BAD_INPUT);
        cr_expect_null(c);
        cr_expect_eq(strncmp(err.text, "--perf-ctl: ", 12), 0);
    }
    fifos f = make_fifos();
    omni_error err = {0};
    close(f.read);
    cr_expect_eq(omni_perf_control_open(f.both, "--perf-ctl", SHORT_MS, &c, &err), OMNI_BAD_INPUT);
    cr_expect_not_null(strstr(err.text, "nobody reads"));
    f.read = open(f.ctl, O_RDWR | O_NONBLOCK);
    unlink(f.ack);
    cr_expect_eq(omni_perf_control_open(f.both, "--perf-ctl", SHORT_MS, &c, NULL), OMNI_BAD_INPUT);
    drop_fifos(&f);
}

/* perf's part: each line is answered, with the NUL that perf sends behind it. */
static void *answer(void *arg) {
    const fifos *f = arg;
    static char seen[64];
    for (size_t n = 0, lines = 0; lines < 2;) {
        if (read(f->read, seen + n, 1) != 1) {
            usleep(1000);
            continue;
        }
        if (seen[n++] != '\n') continue;
        lines++;
        if (write(f->answer, "ack\n", sizeof "ack\n") < 0) break;
    }
    return seen;
}

Test(perf, control_says_when_and_waits_for_the_answer) {
    fifos f = make_fifos();
    omni_perf_control *c;
    omni_stop stop = {0};
    pthread_t t;
    void *seen;
    cr_assert_eq(omni_perf_control_open(f.both, "--perf-ctl", LONG_MS, &c, NULL), OMNI_OK);
    cr_assert_eq(write(f.answer, "ack\n", 4), 4, "an old answer, to nobody's command");
    cr_assert_eq(pthread_create(&t, NULL, answer, &f), 0);
    cr_expect_eq(omni_perf_control_send(c, true, &stop, NULL), OMNI_OK);
    cr_expect_eq(omni_perf_control_send(c, false, &stop, NULL), OMNI_OK);
    pthread_join(t, &seen);
    cr_expect_str_eq(seen, "enable\ndisable\n");
    omni_perf_control_close(c);
    cr_expect_eq(omni_perf_control_send(NULL, true, &stop, NULL), OMNI_OK);
    omni_perf_control_close(NULL);
    drop_fifos(&f);
}

Test(perf, control_never_hangs) {
    fifos f = make_fifos();
    omni_perf_control *c;
    omni_stop stop = {0};
    omni_error err = {0}, full = {0}, gone = {0};
    cr_assert_eq(omni_perf_control_open(f.both, "--perf-ctl", SHORT_MS, &c, NULL), OMNI_OK);
    cr_expect_eq(omni_perf_control_send(c, true, &stop, &err), OMNI_RUN_FAILED);
    cr_expect_not_null(strstr(err.text, "'ack'"));
    omni_stop_set(&stop, OMNI_INTERRUPTED);
    cr_expect_eq(omni_perf_control_send(c, true, &stop, NULL), OMNI_INTERRUPTED);
    stop = (omni_stop){0};
    for (char page[4096] = {0}; write(f.read, page, sizeof page) > 0;) continue;
    cr_expect_eq(omni_perf_control_send(c, true, &stop, &full), OMNI_RUN_FAILED);
    cr_expect_not_null(strstr(full.text, "somebody to read it"));
    signal(SIGPIPE, SIG_IGN); /* as main does */
    close(f.read);
    cr_expect_eq(omni_perf_control_send(c, true, &stop, &gone), OMNI_RUN_FAILED);
    cr_expect_not_null(strstr(gone.text, "any more"));
    f.read = -1;
    omni_perf_control_close(c);
    drop_fifos(&f);
}
