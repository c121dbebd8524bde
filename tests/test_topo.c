/* test_topo.c: worker order on made-up machines, lists of CPUs, limits of made-up control groups; and this
 * machine, as far as one can say anything about it.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topo/internal.h"

/* "0 2 1 3": the os indices in worker order; "!" and the error when it can't be opened. Static buffer. */
static const char *order_of(const char *cpus, const char *synthetic) {
    static char text[1024];
    omni_topo *t = NULL;
    omni_error err = {0};
    if (omni_topo_open(cpus, synthetic, &t, &err) != OMNI_OK) {
        snprintf(text, sizeof text, "!%s", err.text);
        cr_assert_null(t);
        return text;
    }
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < omni_topo_cpus(t) && length < sizeof text; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, i ? " %u" : "%u",
                                   omni_topo_cpu(t, i)->os_index);
    omni_topo_close(t);
    return text;
}

Test(topo, one_place_per_core_first_then_the_siblings) {
    cr_expect_str_eq(order_of(NULL, "pack:2 core:2 pu:2"), "0 2 4 6 1 3 5 7");
    cr_expect_str_eq(order_of(NULL, "core:2 pu:4"), "0 4 1 5 2 6 3 7");
    cr_expect_str_eq(order_of(NULL, "pu:3"), "0 1 2");
    cr_expect_str_eq(order_of(NULL, "pack:1 core:1 pu:1"), "0");
}

Test(topo, the_order_is_the_machine_s_not_the_numbers) {
    /* Two packages whose CPUs the system counts in turns: 0 and 2 are neighbours. */
    cr_expect_str_eq(order_of(NULL, "pack:2 core:2 pu:1(indexes=0,2,1,3)"), "0 2 1 3");
    cr_expect_str_eq(order_of("3,1,0", "pack:2 core:2 pu:1(indexes=0,2,1,3)"), "0 1 3");
}

Test(topo, a_list_restricts_and_a_lone_sibling_stands_for_its_core) {
    cr_expect_str_eq(order_of("5,1,0", "pack:2 core:2 pu:2"), "0 5 1");
    cr_expect_str_eq(order_of("3", "pack:2 core:2 pu:2"), "3");
    cr_expect_str_eq(order_of("0-7:3", "pack:2 core:2 pu:2"), "0 3 6");
    cr_expect_str_eq(order_of("0-7,2,2", "pack:2 core:2 pu:2"), "0 2 4 6 1 3 5 7");
}

Test(topo, places_know_where_they_are) {
    omni_topo *t;
    cr_assert_eq(omni_topo_open(NULL, "pack:2 numa:2 core:4 pu:2", &t, NULL), OMNI_OK);
    cr_assert_eq(omni_topo_cpus(t), 32);
    cr_assert_eq(omni_topo_parallel(t), 32);
    cr_assert_eq(omni_topo_quota(t), 0);
    for (unsigned i = 0; i < 32; i++) {
        const omni_cpu *cpu = omni_topo_cpu(t, i);
        cr_expect_eq(cpu->core, i % 16);
        cr_expect_eq(cpu->numa, i % 16 / 4);
        cr_expect_eq(cpu->package, i % 16 / 8);
        cr_expect_eq(cpu->smt_sibling, i >= 16);
        cr_expect_eq(cpu->os_index, 2 * (i % 16) + (i >= 16));
    }
    cr_assert_null(omni_topo_cpu(t, 32));
    const omni_host *host = omni_topo_host(t);
    cr_assert(host->packages == 2 && host->numa_nodes == 4 && host->cores == 16 && host->threads == 32);
    cr_assert_str_eq(host->cpu_model, "synthetic");
    char page[64];
    cr_assert_not(omni_topo_bind_thread(t, 0));
    cr_assert_not(omni_topo_bind_memory(t, 0, page, sizeof page));
    omni_topo_close(t);
}

Test(topo, odd_machines) {
    omni_topo *t;
    cr_assert_eq(omni_topo_open("0,3", "pack:3 core:1 pu:2", &t, NULL),
                 OMNI_OK); /* host: all of it; places: our part */
    cr_expect_eq(omni_topo_cpus(t), 2);
    cr_expect_eq(omni_topo_host(t)->threads, 6);
    cr_expect_eq(omni_topo_cpu(t, 1)->package, 1);
    cr_expect_not(omni_topo_cpu(t, 1)->smt_sibling);
    omni_topo_close(t);
    cr_expect_eq(order_of(NULL, "pack:2 [numa] l3:2 core:3 pu:1")[0], '0');
    cr_expect_str_eq(order_of(NULL, "numa:2 pu:2"), "0 1 2 3");
    cr_expect_str_eq(order_of(NULL, "nonsense"),
                     "!topology: 'nonsense' is not an hwloc synthetic description");
    omni_topo_close(NULL);
}

Test(topo, cpus_that_are_not_there) {
    cr_expect_str_eq(order_of("1,9-11", "core:2 pu:2"),
                     "!--cpus: not available: 9-11 (this process may use 0-3)");
    omni_topo *t;
    omni_error err = {0};
    cr_assert_eq(omni_topo_open("65535", NULL, &t, &err), OMNI_BAD_INPUT);
    cr_assert_null(t);
}

Test(topo, lists_of_cpus) {
    static const struct {
        const char *text, *want; /* want: as hwloc prints it, or "!" */
    } lists[] = {
        {"0", "0"},
        {"0,2-5,8-15:2", "0,2-5,8,10,12,14"},
        {"3-3", "3"},
        {"8-15:100", "8"},
        {"7,1", "1,7"},
        {"65535", "65535"},
        {"", "!"},
        {",", "!"},
        {"1,", "!"},
        {",1", "!"},
        {"1,,2", "!"},
        {"3-1", "!"},
        {"1-", "!"},
        {"-1", "!"},
        {"1-3:0", "!"},
        {"1-3:", "!"},
        {"1:2", "!"},
        {"a", "!"},
        {"1 ", "!"},
        {"1;2", "!"},
        {"0x3", "!"},
        {"65536", "!"},
        {"0-99999999999999999999", "!"},
        {"4294967296", "!"},
        {"1-3:99999999999", "!"},
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        hwloc_bitmap_t set = hwloc_bitmap_alloc();
        omni_error err = {0};
        char text[600] = "!";
        if (topo_parse_cpus(lists[i].text, set, &err) == OMNI_OK)
            hwloc_bitmap_list_snprintf(text, sizeof text, set);
        cr_expect_str_eq(text, lists[i].want, "'%s' gave '%s', expected '%s'", lists[i].text, text,
                         lists[i].want);
        cr_expect_eq(err.status, *lists[i].want == '!' ? OMNI_BAD_INPUT : OMNI_OK);
        hwloc_bitmap_free(set);
    }
}

Test(topo, a_bad_list_names_the_piece) {
    omni_error err = {0};
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    topo_parse_cpus("0,2-5,9-7,11", set, &err);
    hwloc_bitmap_free(set);
    cr_assert_str_eq(err.text, "--cpus: '9-7': the range runs backwards");
}

/* --- control groups, from files --------------------------------------------------------------- */

static char fake[] = "/tmp/omnibus-topo-XXXXXX";

static void fake_root(void) {
    cr_assert_not_null(mkdtemp(fake));
}

static void fake_gone(void) {
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", fake);
    if (system(command) != 0) cr_log_warn("%s stays", fake);
}

/* A file below the made-up root, with the directories on its way. */
static void fake_file(const char *path, const char *text) {
    char full[512];
    snprintf(full, sizeof full, "%s/%s", fake, path);
    for (char *c = full + strlen(fake) + 1; *c; c++)
        if (*c == '/') {
            *c = '\0';
            mkdir(full, 0755);
            *c = '/';
        }
    FILE *f = fopen(full, "w");
    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0, "%s", full);
}

Test(topo, no_control_groups_no_limit, .init = fake_root, .fini = fake_gone) {
    cr_expect_eq(topo_quota_cpus(fake), 0);
    cr_expect_eq(topo_quota_memory(fake), UINT64_MAX);
    cr_expect_eq(topo_meminfo(fake, "MemAvailable"), 0);
    fake_file("proc/self/cgroup", "garbage\n0::/gone\n:\n");
    fake_file("proc/self/mountinfo",
              "garbage - cgroup2\n1 2 3 - cgroup2 none\n\n9 8 0:1 / /nowhere rw - cgroup2 c rw\n");
    cr_expect_eq(topo_quota_cpus(fake), 0);
    cr_expect_eq(topo_quota_memory(fake), UINT64_MAX);
}

Test(topo, version_2_every_level_counts, .init = fake_root, .fini = fake_gone) {
    fake_file("proc/self/cgroup", "0::/a/b\n");
    fake_file("proc/self/mountinfo", "29 1 0:26 / /cg rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
    fake_file("cg/a/b/cpu.max", "max 100000\n");
    cr_expect_eq(topo_quota_cpus(fake), 0);
    fake_file("cg/a/cpu.max", "250000 100000\n");
    cr_expect_eq(topo_quota_cpus(fake), 3); /* rounded up */
    fake_file("cg/a/b/cpu.max", "1000 100000\n");
    cr_expect_eq(topo_quota_cpus(fake), 1);
    fake_file("cg/a/b/memory.max", "max\n");
    fake_file("cg/a/memory.max", "1000000\n");
    fake_file("cg/a/memory.current", "900000\n");
    cr_expect_eq(topo_quota_memory(fake), 100000);
    fake_file("cg/a/memory.stat", "anon 1\nfile 400000\ninactive_file 300000\nactive_file 200000\n");
    cr_expect_eq(topo_quota_memory(fake), 600000);
    fake_file("cg/memory.max", "5\n");
    cr_expect_eq(topo_quota_memory(fake), 5);
    fake_file("cg/memory.current", "7\n");
    cr_expect_eq(topo_quota_memory(fake), 0);
}

Test(topo, version_1_and_a_mount_inside_the_tree, .init = fake_root, .fini = fake_gone) {
    fake_file("proc/self/cgroup",
              "12:cpuset:/x\n11:cpu,cpuacct:/docker/abc/sub\n4:memory:/docker/abc\n0::/\n");
    fake_file("proc/self/mountinfo",
              "30 1 0:1 /x /cg/cpuset rw - cgroup cgroup rw,cpuset\n"
              "31 1 0:2 /docker/abc /cg/cpu rw master:1 - cgroup cgroup rw,cpu,cpuacct\n"
              "32 1 0:3 /elsewhere /cg/memory rw - cgroup cgroup rw,memory\n");
    fake_file("cg/cpu/sub/cpu.cfs_quota_us", "-1\n");
    fake_file("cg/cpu/sub/cpu.cfs_period_us", "100000\n");
    cr_expect_eq(topo_quota_cpus(fake), 0);
    fake_file("cg/cpu/cpu.cfs_quota_us", "150000\n");
    fake_file("cg/cpu/cpu.cfs_period_us", "50000\n");
    cr_expect_eq(topo_quota_cpus(fake), 3);
    fake_file("cg/memory/memory.limit_in_bytes", "4096\n");
    fake_file("cg/memory/memory.usage_in_bytes", "1096\n");
    fake_file("cg/memory/memory.stat", "inactive_file 999\ntotal_inactive_file 96\n");
    cr_expect_eq(topo_quota_memory(fake), 3096);
}

Test(topo, meminfo, .init = fake_root, .fini = fake_gone) {
    fake_file("proc/meminfo", "MemTotal:       2000 kB\nMemAvailableX: 7 kB\nMemAvailable:   1500 kB\n");
    cr_expect_eq(topo_meminfo(fake, "MemAvailable"), 1500 * 1024);
    cr_expect_eq(topo_meminfo(fake, "MemTotal"), 2000 * 1024);
}

/* --- this machine ----------------------------------------------------------------------------- */

Test(topo, this_machine) {
    omni_topo *t;
    omni_error err = {0};
    cr_assert_eq(omni_topo_open(NULL, NULL, &t, &err), OMNI_OK, "%s", err.text);
    const omni_host *host = omni_topo_host(t);
    cr_expect(omni_topo_cpus(t) >= 1 && omni_topo_cpus(t) <= host->threads);
    cr_expect(omni_topo_parallel(t) >= 1 && omni_topo_parallel(t) <= omni_topo_cpus(t));
    cr_expect(host->packages >= 1 && host->numa_nodes >= 1 && host->cores >= 1 && host->memory_bytes > 0);
    cr_expect(strlen(host->cpu_model) > 0 && strlen(host->kernel) > 0);
    cr_expect_gt(omni_topo_memory_available(), 0);
    long page = sysconf(_SC_PAGESIZE);
    void *p = aligned_alloc((size_t)page, (size_t)page);
    cr_assert_not_null(p);
    (void)omni_topo_bind_memory(t, 0, p, (size_t)page); /* may be refused; must not harm */
    memset(p, 1, (size_t)page);
    free(p);
    if (omni_topo_bind_thread(t, 0)) {
        char cpus[16];
        snprintf(cpus, sizeof cpus, "%u", omni_topo_cpu(t, 0)->os_index);
        cr_expect_str_eq(order_of(NULL, NULL), cpus, "a bound thread may use what it is bound to");
    }
    cr_expect_not(omni_topo_bind_thread(t, omni_topo_cpus(t)));
    omni_topo_close(t);
}
