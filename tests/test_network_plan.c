/* test_network_plan.c: plans on rings and meshes: which steps are one collective, what must hold of prices,
 * and files that are wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array/linked.h"
#include "array_tools.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- chains ----------------------------------------------------------------------------------- */

typedef struct found {
    size_t sums, gathers, scatters,
        between; /* chains that begin with a reduction, a gather; end with a scatter */
} found;

/* Each chain, as every step of it says; what it yields on the way has one reader, its next step. */
static found chains_of(const omni_plan *plan) {
    found n = {0};
    for (size_t i = 0; i < plan->step_count; i++) {
        omni_range chain, again;
        if (!chain_find(plan, i, &chain) || chain.start != i) continue;
        const omni_step *up = &plan->step[i], *down = up + chain.count - 1;
        for (size_t k = i; k < i + chain.count; k++) {
            cr_expect(chain_find(plan, k, &again) && again.start == i && again.count == chain.count);
            for (size_t j = 0; j < plan->step_count && k + 1 < i + chain.count; j++)
                for (size_t in = 0; in < OMNI_STEP_INPUTS; in++)
                    cr_expect(plan->step[j].in[in] != plan->step[k].out || (j == k + 1 && in == 0),
                              "%s: step %zu reads what is in a chain", plan->spec.name, j);
        }
        n.sums += up->kind == OMNI_STEP_REDUCE;
        n.gathers += up->kind != OMNI_STEP_REDUCE;
        n.scatters += down->kind == OMNI_STEP_SCATTER;
        n.between += chain.count - 2;
    }
    return n;
}

static found chains_in(const char *text, size_t pes) {
    omni_model *m = array_model("configs/models/llama-2-7b.json");
    omni_plan *plan = array_plan(m, text, pes);
    found n = chains_of(plan);
    omni_plan_free(plan);
    omni_model_free(m);
    return n;
}

/* Of a layer: o, down; o, up with its activation, the next layer's input; qkv, attention with its end, o,
 * down. The arg-max stays at the root. */
Test(network_plan, sums_that_come_back_are_one_collective) {
    const size_t layers = 32;
    found n = chains_in("megatron", 64);
    cr_expect(n.sums == 2 * layers && n.gathers == 0 && n.between == 0);
    n = chains_in("workflow1", 64);
    cr_expect(n.sums == 2 * layers && n.gathers == layers && n.between == layers);
    n = chains_in("workflow2", 64);
    cr_expect(n.sums == 4 * layers && n.gathers == 0 && n.between == layers, "%zu %zu %zu", n.sums, n.gathers,
              n.between);
    n = chains_in("attn=subheads", 64);
    cr_expect_eq(n.sums, 3 * layers);
    n = chains_in("workflow2:edge=scatter", 64);
    cr_expect_gt(n.scatters, 0);
    n = chains_in("replica", 64);
    cr_expect_eq(n.sums + n.gathers, 0);
}

/* Not where somebody else reads the sum, nor where the root does what needs all of it. */
Test(network_plan, a_sum_that_is_used_otherwise_is_not) {
    omni_model *m = array_model("configs/models/llama-2-7b.json");
    omni_plan *plan = array_plan(m, "workflow1", 64);
    omni_range chain = {0, 0};
    size_t i = 0;
    while (!chain_find(plan, i, &chain) || chain.count < 3) i++;
    int kept = plan->step[i + chain.count].in[1];
    plan->step[i + chain.count].in[1] = plan->step[i].out;
    for (size_t k = i; k < i + chain.count; k++) cr_expect(!chain_find(plan, k, &(omni_range){0, 0}));
    plan->step[i + chain.count].in[1] = kept;
    plan->step[i + 1].kind = OMNI_STEP_NORM;
    for (size_t k = i; k < i + chain.count; k++) cr_expect(!chain_find(plan, k, &(omni_range){0, 0}));
    omni_plan_free(plan);
    omni_model_free(m);
}

/* --- prices ----------------------------------------------------------------------------------- */

static const char *const plans[] = {"megatron",
                                    "workflow1",
                                    "workflow2:gather=bus:edge=scatter",
                                    "alternate:groups=2",
                                    "megatron:stages=2",
                                    "attn=subheads",
                                    "replica",
                                    "lockstep",
                                    "lockstep:over=token",
                                    "single"};

/* It moves what the plan counts, in a time that is the sum of its parts. */
Test(network_plan, what_is_priced_is_what_moves) {
    static const size_t pes[] = {1, 2, 3, 7, 16};
    omni_model *m = array_model("tests/golden/llama-tiny-gqa");
    for (size_t mesh = 0; mesh < 2; mesh++) {
        omni_array *a = array_load(mesh ? "mesh-64pe" : "ring-64pe");
        for (size_t i = 0; i < COUNT(plans) * COUNT(pes) * 2; i++) {
            omni_plan *plan = array_plan(m, plans[i / 2 % COUNT(plans)], pes[i / 2 / COUNT(plans)]);
            if (!plan) continue;
            omni_extent pass = array_pass(4, i % 2 ? 1 : 5, i % 2 ? 5 : 0, false);
            omni_price price = array_price(a, plan, pass);
            omni_counters moved;
            uint64_t path = 0;
            omni_plan_count(plan, pass, &moved);
            for (size_t k = 0; k < OMNI_PRICE_KINDS; k++) path += price.kind[k];
            cr_expect(omni_counters_equal(&moved, &price.moved), "%s", plan->spec.name);
            cr_expect_eq(path, price.ps);
            cr_expect_eq(price.kind[OMNI_PRICE_BUS] + price.kind[OMNI_PRICE_TREE] + price.conflicts, 0);
            cr_expect_leq(price.busy_ppm, 1000000);
            omni_plan_free(plan);
        }
        omni_array_free(a);
    }
    omni_model_free(m);
}

static void expect_no_slower(const char *array, const char *key, const char *const *values, size_t count) {
    omni_model *m = array_model("tests/golden/llama-tiny-gqa");
    for (size_t i = 0; i < COUNT(plans); i++) {
        omni_plan *plan = array_plan(m, plans[i], 14);
        uint64_t before = UINT64_MAX;
        for (size_t v = 0; plan && v < count; v++) {
            omni_array *a = array_load(array);
            array_set(a, key, values[v]);
            uint64_t ps = array_price(a, plan, array_pass(4, 12, 0, false)).ps;
            cr_expect_leq(ps, before, "%s: %s=%s is slower", plans[i], key, values[v]);
            before = ps;
            omni_array_free(a);
        }
        omni_plan_free(plan);
    }
    omni_model_free(m);
}

Test(network_plan, better_is_never_slower) {
    static const char *const arrays[] = {"ring-64pe", "mesh-64pe"};
    for (size_t i = 0; i < COUNT(arrays); i++) {
        expect_no_slower(arrays[i], "link.width",
                         (const char *const[]){"1", "2", "16", "32", "1000", "infinite"}, 6);
        expect_no_slower(arrays[i], "link.clock", (const char *const[]){"10", "1000", "infinite"}, 3);
        expect_no_slower(arrays[i], "link.startup", (const char *const[]){"1000", "10", "0"}, 3);
        expect_no_slower(arrays[i], "link.router", (const char *const[]){"100", "1", "0"}, 3);
        expect_no_slower(arrays[i], "link.add", (const char *const[]){"1", "64", "infinite"}, 3);
    }
}

/* The sides of a mesh; more bytes take no less time; nothing is below what the first PE's links let
 * through. */
Test(network_plan, any_number_of_PEs) {
    static const size_t shapes[][4] = {{1, 1, 1, 0},     {2, 1, 2, 0},      {3, 1, 3, 0},  {5, 2, 2, 1},
                                       {7, 2, 3, 1},     {8, 2, 4, 0},      {61, 7, 8, 5}, {64, 8, 8, 0},
                                       {997, 31, 32, 5}, {1000, 25, 40, 0}, {10, 3, 3, 1}};
    machine m;
    omni_array *a = array_load("mesh-64pe");
    machine_set(&m, a);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        size_t p = shapes[i][0];
        net n = net_of(&m, p, true);
        uint64_t before[4] = {0};
        if (n.mesh) cr_expect(n.rows == shapes[i][1] && n.columns == shapes[i][2] && n.rest == shapes[i][3]);
        for (uint64_t bytes = 4 * p; p > 1 && bytes < (uint64_t)1 << 24; bytes *= 4) {
            uint64_t t[] = {net_broadcast(&n, bytes).ps, net_reduce(&n, bytes).ps,
                            net_all_gather(&n, ceil_div(bytes, p), bytes).ps,
                            net_reduce_scatter(&n, bytes).ps};
            for (size_t k = 0; k < COUNT(t); k++) {
                cr_expect_geq(t[k], before[k], "%zu PEs, %llu bytes", p, (unsigned long long)bytes);
                cr_expect_geq(t[k], link_ps(&m, bytes / 4, 0) / 2);
                before[k] = t[k];
            }
        }
    }
    omni_array_free(a);
}

/* --- files ------------------------------------------------------------------------------------ */

/* A file that ships, with `line` in place of the one that begins with `key`, is refused at that line. */
static void refused(const char *file, const char *key, const char *line, size_t down, const char *words) {
    char path[] = "/tmp/omnibus-network-XXXXXX", want[64], text[8192] = "", *all;
    size_t bytes, n = 0, at = 0;
    int out = mkstemp(path);
    omni_array *a = NULL;
    omni_error err = {0};
    snprintf(want, sizeof want, "configs/arrays/%s.ini", file);
    cr_assert_eq(omni_file_read(want, 8000, "a file", &all, &bytes, &err), OMNI_OK);
    for (char *row = all, *next; *row; row = next) {
        next = row + strcspn(row, "\n") + 1;
        n++;
        bool this = !at && strncmp(row, key, strlen(key)) == 0;
        if (this) at = n;
        if (this)
            strcat(strcat(text, line), "\n");
        else
            strncat(text, row, (size_t)(next - row));
    }
    FILE *copy = fdopen(out, "w");
    cr_assert(copy && at && fputs(text, copy) >= 0 && fclose(copy) == 0);
    cr_expect_eq(omni_array_load(path, &a, &err), OMNI_BAD_INPUT, "%s was accepted", line);
    snprintf(want, sizeof want, "%s:%zu: ", path, at + down);
    cr_expect_eq(strncmp(err.text, want, strlen(want)), 0, "'%s' does not begin with '%s'", err.text, want);
    cr_expect_not_null(strstr(err.text, words), "'%s' lacks '%s'", err.text, words);
    remove(path);
    free(all);
}

Test(network_plan, files_that_are_wrong_are_refused_by_line) {
    omni_error err = {0};
    refused("ring-64pe", "network", "network = torus", 0, "(expected bus, ring or mesh)");
    refused("ring-64pe", "network", "network = bus", 10, "not of a bus");
    refused("ring-64pe", "[host]", "[bus]\nwidth_bytes = 32\n[host]", 1, "not of a ring (expected [link]");
    refused("mesh-64pe", "[host]", "[tree]\nwires = bus\n[host]", 1, "not of a mesh");
    refused("mesh-64pe", "pj_per_link", "pj_per_bus_byte = 1", 0, "not of a mesh");
    refused("mesh-64pe", "startup_cycles", "startup_cycles = 1.5", 0, "a whole number");
    refused("seed-64pe", "[host]", "[link]\nwidth_bytes = 32\n[host]", 1, "not of a bus");
    omni_array *a = array_load("ring-64pe");
    cr_expect_eq(omni_array_set(a, "bus.width", "8", &err), OMNI_BAD_INPUT);
    cr_expect_eq(omni_array_set(a, "tree.wires", "own", &err), OMNI_BAD_INPUT);
    cr_expect_eq(omni_array_set(a, "array.network", "mesh", &err), OMNI_BAD_INPUT);
    cr_expect(omni_array_get(a, "bus.width") != omni_array_get(a, "bus.width"));
    cr_expect_eq(omni_array_get(a, "link.width"), 32);
    cr_expect_eq(omni_array_network(a), OMNI_NETWORK_RING);
    omni_array_free(a);
}
