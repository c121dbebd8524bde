/* test_rates_price.c: what plans cost by made-up rates of a host. Nothing is timed. */
#include "array_tools.h"
#include "rates_tools.h"

static uint64_t price(const omni_rates *r, const omni_model *m, const char *plan, size_t pes,
                      omni_extent pass, omni_price *out) {
    omni_plan *p = array_plan(m, plan, pes);
    omni_error err = {0};
    omni_counters moved;
    uint64_t sum = 0;
    cr_assert_eq(omni_price_rates(r, p, pass, out, &err), OMNI_OK, "%s", err.text);
    for (size_t i = 0; i < out->rows; i++) sum += out->row[i].ps;
    cr_expect_eq(sum, out->ps, "%s: rows sum up to the whole", plan);
    omni_plan_count(p, pass, &moved);
    cr_expect_eq(moved.tree_bytes, out->moved.tree_bytes);
    cr_expect_eq(out->busy_ppm, OMNI_PRICE_UNKNOWN);
    omni_plan_free(p);
    return out->ps;
}

Test(rates_price, every_plan_and_number_of_pes) {
    static const char *const plans[] = {"single",
                                        "megatron",
                                        "workflow1",
                                        "workflow2",
                                        "alternate",
                                        "pipeline",
                                        "replica",
                                        "lockstep",
                                        "megatron:groups=2",
                                        "megatron:gather=bus:edge=scatter",
                                        "lockstep:over=token"};
    omni_rates r = made_up();
    omni_model *m = array_model("configs/demo/llama");
    omni_price out;
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
        for (size_t pes = 2; pes <= 17; pes += 5) {
            cr_expect_gt(price(&r, m, plans[i], pes, array_pass(3, 9, 0, true), &out), 1000000);
            cr_expect_gt(price(&r, m, plans[i], pes, array_pass(2, 1, 20, false), &out), 1000000);
        }
    omni_model_free(m);
}

/* Two PEs on one core: the work of both, one after the other, and no time for a message but the copies. */
Test(rates_price, pes_of_one_worker_compute_in_turn) {
    omni_rates two = made_up(), one = made_up();
    omni_model *m = array_model("configs/demo/llama");
    omni_price apart, together, whole;
    one.cores = 1;
    one.teams = 1;
    one.step_ns = two.step_ns = one.matmul_ns = two.matmul_ns = 0;
    for (size_t k = 0; k < OMNI_RATES_MESSAGES; k++) memset(one.further_ns[k], 0, sizeof one.further_ns[k]);
    for (size_t k = 0; k < OMNI_RATES_OPS; k++) one.op[k].call_ns = two.op[k].call_ns = 0;
    omni_extent pass = array_pass(1, 8, 0, false);
    price(&two, m, "megatron", 2, pass, &apart);
    price(&one, m, "megatron", 2, pass, &together);
    price(&one, m, "single", 1, pass, &whole);
    cr_expect_eq(together.kind[OMNI_PRICE_BUS] + together.kind[OMNI_PRICE_TREE], 0);
    cr_expect_gt(together.ps, whole.ps, "norms are computed twice");
    cr_expect_lt(apart.kind[OMNI_PRICE_COMPUTE], together.kind[OMNI_PRICE_COMPUTE]);
    cr_expect_gt(apart.kind[OMNI_PRICE_TREE], 0);
    cr_expect_eq(apart.macs, whole.macs);
    omni_model_free(m);
}

/* Keys and values that all groups get are written by everybody: by the PEs of both workers, one after the
 * other. */
Test(rates_price, shared_keys_are_written_everywhere) {
    omni_rates r = made_up(), slow = r;
    omni_model *m = array_model("configs/demo/llama");
    omni_price out;
    slow.op[OMNI_RATES_APPEND].call_ns += 1000;
    omni_extent pass = array_pass(1, 8, 0, false);
    for (size_t pes = 2; pes <= 4; pes += 2) {
        uint64_t fast_ps = price(&r, m, "lockstep:over=token", pes, pass, &out);
        uint64_t more = price(&slow, m, "lockstep:over=token", pes, pass, &out) - fast_ps;
        /* in each layer, of each group's tokens, on each PE of a worker */
        double want = (double)(m->shape.layers * pes * (pes / 2)) * 1e6;
        cr_expect_float_eq((double)more, want, 100, "%zu PEs: %g", pes, (double)more);
    }
    omni_model_free(m);
}

/* Weights come from whom they are dealt to: who is alone with rows takes a rank's own share without a
 * message. */
Test(rates_price, streamed_weights_that_nobody_else_takes) {
    omni_rates r = made_up(), slow = r;
    omni_model *m = array_model("configs/demo/llama");
    omni_price out;
    for (size_t i = 0; i < OMNI_RATES_SIZES; i++) slow.message_ns[OMNI_RATES_ADDRESSED][1][i] += 1000;
    omni_extent two = array_pass(2, 1, 8, false), alone = array_pass(1, 1, 8, false);
    uint64_t both = price(&slow, m, "lockstep", 2, two, &out) - price(&r, m, "lockstep", 2, two, &out);
    uint64_t one = price(&slow, m, "lockstep", 2, alone, &out) - price(&r, m, "lockstep", 2, alone, &out);
    cr_expect_gt(one, 0, "the other rank's come in messages");
    cr_expect_gt(both, one);
    omni_model_free(m);
}

/* Groups on two workers stream at the same time, each at what two leave each other; one that is alone has it
 * all. */
Test(rates_price, groups_share_the_rate_of_memory) {
    omni_rates r = made_up(), shared = r;
    omni_model *m = array_model("configs/demo/llama");
    omni_price out;
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < OMNI_RATES_ROWS; i++) shared.weight_ps[k / 2][k % 2][1][i] *= 2;
    omni_extent two = array_pass(2, 1, 8, false), alone = array_pass(1, 1, 8, false);
    cr_expect_gt(price(&shared, m, "megatron:groups=2", 2, two, &out),
                 price(&r, m, "megatron:groups=2", 2, two, &out));
    cr_expect_eq(price(&shared, m, "megatron:groups=2", 2, alone, &out),
                 price(&r, m, "megatron:groups=2", 2, alone, &out));
    omni_model_free(m);
}

/* More PEs than heads: attention of the first PEs is shared out among all workers, not done by the first
 * one. */
Test(rates_price, lent_steps_leave_nobody_idle) {
    omni_rates r = made_up();
    omni_model *m = array_model("configs/demo/llama");
    omni_price many, few;
    for (size_t p = 0; p < OMNI_RATES_PASSES; p++) r.attention[p].mac_ps = 1e6;
    omni_extent pass = array_pass(1, 8, 0, false);
    price(&r, m, "megatron", 16, pass, &many); /* 8 heads: PEs 0..7 are worker 0's */
    price(&r, m, "megatron", 8, pass, &few);
    cr_expect_lt((double)many.ps, 1.1 * (double)few.ps, "%g %g", (double)many.ps, (double)few.ps);
    omni_model_free(m);
}

Test(rates_price, a_file_is_an_array) {
    omni_rates r = made_up();
    omni_model *m = array_model("configs/demo/llama");
    omni_plan *plan = array_plan(m, "megatron", 2);
    omni_extent pass = array_pass(1, 8, 0, false);
    omni_error err = {0};
    char path[32], *text = omni_rates_text(&r);
    write_text(text, path);
    omni_array *a = array_load(path), *copy = omni_array_copy(a);
    cr_expect_eq(omni_array_pes(a), 2);
    cr_expect_eq(omni_array_set(a, "bus.width", "64", &err), OMNI_BAD_INPUT);
    cr_expect(strstr(err.text, "bus.width"), "%s", err.text);
    omni_price by_array = array_price(a, plan, pass), by_rates;
    omni_array_free(a);
    cr_expect_eq(array_price(copy, plan, pass).ps, by_array.ps);
    cr_assert_eq(omni_price_rates(&r, plan, pass, &by_rates, NULL), OMNI_OK);
    cr_expect_eq(by_array.ps, by_rates.ps);
    omni_estimate e;
    cr_assert_eq(omni_estimate_plan(copy, plan, (omni_task){1, 8, 4}, &e, &err), OMNI_OK);
    cr_expect(e.fits && e.ps > by_rates.ps && e.energy_pj == 0);
    omni_array_free(copy);
    omni_plan_free(plan);
    omni_model_free(m);
    unlink(path);
    free(text);
}
