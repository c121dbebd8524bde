/* test_network.c: rings and meshes: closed forms against algorithms that are simulated message by
 * message.
 */
#include "array_tools.h"
#include "network_tools.h"
#include "sanitized.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static machine machine_of(const char *array, const char *width, const char *add) {
    machine m;
    omni_array *a = array_load(array);
    array_set(a, "link.width", width);
    array_set(a, "link.add", add);
    array_set(a, "link.clock", "937");
    machine_set(&m, a);
    omni_array_free(a);
    return m;
}

static toll priced(const net *n, collective_op op, uint64_t bytes) {
    uint64_t slice = ceil_div(bytes, n->p);
    switch (op) {
    case OP_BROADCAST:
        return net_broadcast(n, bytes);
    case OP_REDUCE:
        return net_reduce(n, bytes);
    case OP_SCATTER:
    case OP_GATHER:
        return net_gather(n, bytes);
    case OP_ALL_GATHER:
        return net_all_gather(n, slice, bytes);
    default:
        return net_reduce_scatter(n, bytes);
    }
}

/* Exactly, where slices are even and adding takes no time; bytes, too. With adders: pipelines are priced as
 * if both ways added all the time, and never below what they take. */
static void expect_simulated(const machine *m, size_t p, bool all, uint64_t bytes, bool exact) {
    net n = net_of(m, p, all);
    for (collective_op op = 0; op < OPS; op++) {
        toll want = simulate_best(m, p, n.whole.closed, n.mesh ? n.rows : 0, op, bytes),
             got = priced(&n, op, bytes);
        bool lanes = n.mesh && op <= OP_REDUCE; /* whose phases are simulated alike, and chosen one by one */
        bool same = got.bytes == want.bytes || (lanes && got.bytes < want.bytes);
        bool fits = exact ? got.ps == want.ps && same : got.ps >= want.ps && got.ps <= want.ps + want.ps / 3;
        cr_expect(fits, "op %d, %zu PEs of %s, %llu bytes: %llu ps %llu bytes, simulated %llu ps %llu bytes",
                  op, p, omni_network_name(m->network), (unsigned long long)bytes, (unsigned long long)got.ps,
                  (unsigned long long)got.bytes, (unsigned long long)want.ps, (unsigned long long)want.bytes);
    }
}

Test(network, rings_and_rows_come_to_what_is_simulated) {
    static const size_t pes[] = {1, 2, 3, 4, 5, 8, 13, 31, 64};
    static const uint64_t each[] = {2, 64, 1024};
    machine fast = machine_of("ring-64pe", "32", "infinite"), slow = machine_of("ring-64pe", "16", "64");
    for (size_t i = 0; i < COUNT(pes); i++)
        for (size_t k = 0; k < COUNT(each); k++)
            for (size_t all = 0; all < 2; all++) {
                expect_simulated(&fast, pes[i], all, pes[i] * each[k], true);
                expect_simulated(&slow, pes[i], all, pes[i] * each[k], false);
            }
    expect_simulated(&fast, 1000, true, 1000 * 2, true);
}

Test(network, meshes_come_to_what_is_simulated) {
    static const size_t pes[] = {4, 6, 9, 12, 15, 32, 64};
    static const uint64_t each[] = {2, 48, 1024};
    machine fast = machine_of("mesh-64pe", "32", "infinite"), slow = machine_of("mesh-64pe", "9", "64");
    for (size_t i = 0; i < COUNT(pes) - SANITIZED; i++)
        for (size_t k = 0; k < COUNT(each) && (k < 2 || pes[i] < 16); k++) {
            expect_simulated(&fast, pes[i], true, pes[i] * each[k], true);
            expect_simulated(&slow, pes[i], true, pes[i] * each[k], false);
        }
}
