/* test_host.c: the machine's limits: that each is a number where it can be measured and NaN where not. How
 * large they are is nobody's business here.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "omnibus/host.h"
#include "omnibus/kernel.h"

static omni_topo *topo;
static omni_stop stop;
static omni_host_limits *limits;

static void set_up(void) {
    cr_assert_eq(omni_topo_open(NULL, NULL, &topo, NULL), OMNI_OK);
    cr_assert_eq(omni_kernel_init(NULL), OMNI_OK);
    cr_assert_not_null(limits = omni_host_limits_create(topo, &stop));
}

static void tear_down(void) {
    omni_host_limits_free(limits);
    omni_topo_close(topo);
}

TestSuite(host, .init = set_up, .fini = tear_down);

enum { MOST = 64 };

static void mark(void *arg, size_t worker) {
    int *seen = arg;
    seen[worker]++;
}

Test(host, a_team_runs_each_worker_once) {
    for (size_t n = 1; n <= 7; n++) { /* more than there may be places */
        int seen[MOST] = {0};
        cr_expect_geq(omni_host_team_ns(topo, n, mark, seen), 0);
        for (size_t w = 0; w < MOST; w++) cr_expect_eq(seen[w], w < n);
    }
}

Test(host, cores) {
    omni_topo *t;
    cr_assert_eq(omni_topo_open(NULL, "pack:2 core:4 pu:2", &t, NULL), OMNI_OK);
    cr_expect_eq(omni_host_cores(t), 8, "siblings are no cores");
    omni_topo_close(t);
    cr_expect_geq(omni_host_cores(topo), 1);
}

Test(host, pages) {
    for (int huge = 0; huge < 2; huge++) {
        unsigned char *p = omni_host_pages(3 << 20, huge);
        cr_assert_not_null(p);
        cr_expect(p[0] == 0 && p[(3 << 20) - 1] == 0);
        p[5] = 1;
        omni_host_pages_free(p, 3 << 20);
    }
    cr_expect_null(omni_host_pages(SIZE_MAX / 2, true));
}

Test(host, reading) {
    size_t cores = omni_host_cores(topo);
    cr_expect_str_eq(omni_host_read_kernel(limits), "-");
    cr_expect(isfinite(omni_host_best(limits, omni_host_read_rate, cores, 1000000)));
    cr_expect(omni_host_read_rate(limits, 1) > 0 && omni_host_copy_rate(limits, cores) > 0);
    cr_expect(strstr(omni_host_read_kernel(limits), " pages"));
    bool avx512 = strstr(omni_host_read_kernel(limits), "AVX-512");
    cr_expect(!avx512 || omni_kernel_isa() == OMNI_ISA_AVX512, "an instruction that the kernels don't use");
    cr_expect(isnan(omni_host_read_rate(limits, 0)) && isnan(omni_host_read_rate(limits, cores + 1)));
}

Test(host, multiplying) {
    float a[4] = {1, 2, 3, 4}, b[4] = {5, 6, 7, 8}, c[4] = {0};
    bool blis = omni_blis_sgemm(2, a, b, c);
    cr_expect_eq(blis, isfinite(omni_host_peak_flops(limits, 1)));
    if (blis) cr_expect(c[0] == 19 && c[1] == 22 && c[2] == 43 && c[3] == 50);
    cr_expect_eq(omni_host_peak_n(limits) % 256, 0);
}

Test(host, handing_over) {
    cr_expect_eq(omni_host_cores(topo) > 1, omni_host_handoff_ns(limits) > 0);
}

Test(host, stopped) {
    omni_stop_set(&stop, OMNI_INTERRUPTED);
    cr_expect(isnan(omni_host_read_rate(limits, 1)) && isnan(omni_host_peak_flops(limits, 1)));
    cr_expect(isnan(omni_host_best(limits, omni_host_copy_rate, 1, 0)));
}
