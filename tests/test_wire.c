/* test_wire.c: floats that travel as 16-bit floats: the conversions, plans as text, what is counted, and the
 * rule of `check`. What moves and whole runs: cases_wire.c.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "omnibus/plan.h"
#include "verify/truth.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- conversions ------------------------------------------------------------------------------ */

/* Both formats: sign, exponent, fraction. */
typedef struct format {
    omni_dtype dtype;
    int fraction, bias; /* bits; of the exponent */
    uint16_t infinity;
} format;
static const format formats[] = {{OMNI_BF16, 7, 127, 0x7f80}, {OMNI_F16, 10, 15, 0x7c00}};

/* The definition. */
static double value_of(const format *f, uint16_t bits) {
    int exponent = (bits & 0x7fff) >> f->fraction, fraction = bits & ((1 << f->fraction) - 1);
    double size = ldexp(exponent ? fraction + (1 << f->fraction) : fraction,
                        (exponent ? exponent : 1) - f->bias - f->fraction);
    return bits & 0x8000 ? -size : size;
}

static uint16_t narrow(const format *f, float x) {
    uint16_t y;
    omni_narrow(f->dtype, &x, &y, 1);
    return y;
}

Test(wire, every_pattern_goes_both_ways) {
    static uint16_t bits[1 << 16], back[1 << 16];
    static float wide[1 << 16];
    for (size_t i = 0; i < COUNT(bits); i++) bits[i] = (uint16_t)i;
    for (size_t k = 0; k < COUNT(formats); k++) {
        const format *f = &formats[k];
        omni_widen(f->dtype, bits, wide, COUNT(bits));
        omni_narrow(f->dtype, wide, back, COUNT(bits));
        for (size_t i = 0; i < COUNT(bits); i++) {
            uint16_t size = bits[i] & 0x7fff;
            if (size > f->infinity) {
                cr_assert(isnan(wide[i]) && (back[i] & 0x7fff) > f->infinity, "%04zx", i);
                cr_assert_eq(back[i] & 0x8000, bits[i] & 0x8000, "%04zx", i);
                continue;
            }
            double want =
                size == f->infinity ? (bits[i] & 0x8000 ? -INFINITY : INFINITY) : value_of(f, bits[i]);
            cr_assert(!(want < (double)wide[i]) && !(want > (double)wide[i]), "%04zx is %g", i,
                      (double)wide[i]);
            cr_assert_eq(!signbit(wide[i]), !(bits[i] & 0x8000));
            cr_assert_eq(back[i], bits[i], "%04zx comes back as %04x", i, back[i]);
        }
    }
}

/* Half way between neighbours, and next to it; the last neighbour is infinite. */
Test(wire, ties_go_to_even) {
    for (size_t k = 0; k < COUNT(formats); k++) {
        const format *f = &formats[k];
        for (uint16_t low = 0; low < f->infinity; low++) {
            float tie = (float)((value_of(f, low) + value_of(f, (uint16_t)(low + 1))) / 2);
            uint16_t even = (uint16_t)(low + (low & 1));
            cr_assert_eq(narrow(f, tie), even, "%04x", low);
            cr_assert_eq(narrow(f, -tie), even | 0x8000, "%04x", low);
            cr_assert_eq(narrow(f, nextafterf(tie, 0)), low, "%04x", low);
            cr_assert_eq(narrow(f, nextafterf(tie, INFINITY)), low + 1, "%04x", low);
        }
        cr_assert_eq(narrow(f, INFINITY), f->infinity);
        cr_assert_eq(narrow(f, -INFINITY), f->infinity | 0x8000);
        cr_assert_gt(narrow(f, NAN) & 0x7fff, f->infinity);
    }
    cr_assert_eq(narrow(&formats[1], 65519.996f), 0x7bff);
    cr_assert_eq(narrow(&formats[1], 65520), 0x7c00);
    cr_assert_eq(narrow(&formats[1], 1e30f), 0x7c00);
}

/* Any length, so blocks and what is left of them; rounding in place is the same. */
Test(wire, lengths_do_not_matter) {
    enum { MOST = 700 };
    float x[MOST], y[MOST], z[MOST];
    uint16_t half[MOST];
    for (size_t i = 0; i < MOST; i++) x[i] = ldexpf(1 + (float)(i * i % 1013) / 1013, (int)(i % 50) - 30);
    for (size_t k = 0; k < COUNT(formats); k++) {
        for (size_t n = 0; n < MOST; n += 1 + n / 9) {
            omni_narrow(formats[k].dtype, x, half, n);
            omni_widen(formats[k].dtype, half, y, n);
            memcpy(z, x, sizeof z);
            omni_round_to(formats[k].dtype, z, z, n);
            for (size_t i = 0; i < n; i++)
                cr_assert_eq(half[i], narrow(&formats[k], x[i]), "%zu of %zu", i, n);
            cr_assert_eq(memcmp(y, z, n * sizeof *y), 0);
            cr_assert_eq(memcmp(x + n, z + n, (MOST - n) * sizeof *x), 0);
        }
    }
}

/* One at a time they take the plain path, many at a time whatever the CPU has. Every exponent and sign, every
 * fraction that a format keeps, and below it what is zero, a tie, next to one, or all ones; so NaNs of every
 * kind too. */
Test(wire, one_and_many_have_the_same_bits) {
    static const uint32_t below[] = {0,      1,      0xfff,  0x1000, 0x1001, 0x1fff,
                                     0x2000, 0x7fff, 0x8000, 0x8001, 0xffff};
    enum { UPPER = 1 << 16 };
    static uint32_t bits[UPPER];
    static float x[UPPER], wide[UPPER];
    static uint16_t half[UPPER];
    for (size_t k = 0; k < COUNT(formats); k++) {
        for (size_t b = 0; b < COUNT(below); b++) {
            for (uint32_t i = 0; i < UPPER; i++) bits[i] = i << 16 | below[b];
            memcpy(x, bits, sizeof x);
            omni_narrow(formats[k].dtype, x, half, UPPER);
            for (size_t i = 0; i < UPPER; i++)
                cr_assert_eq(half[i], narrow(&formats[k], x[i]), "%08x", bits[i]);
        }
        for (size_t i = 0; i < UPPER; i++) half[i] = (uint16_t)i;
        omni_widen(formats[k].dtype, half, wide, UPPER);
        for (size_t i = 0; i < UPPER; i++) {
            float one;
            omni_widen(formats[k].dtype, &half[i], &one, 1);
            cr_assert_eq(memcmp(&one, &wide[i], sizeof one), 0, "%04zx", i);
        }
    }
}

/* --- plans as text ---------------------------------------------------------------------------- */

static omni_plan_spec parse(const char *text) {
    omni_plan_spec spec;
    omni_error err = {0};
    cr_assert_eq(omni_plan_parse(text, &spec, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(spec.missing[0], '\0', "%s", spec.missing);
    return spec;
}

Test(wire, keys) {
    static const struct {
        const char *text, *format;
        omni_dtype bus, tree;
    } rows[] = {
        {"megatron", "", OMNI_F32, OMNI_F32},
        {"wire=f32", "", OMNI_F32, OMNI_F32},
        {"megatron:wire=bf16", ":wire=bf16", OMNI_BF16, OMNI_BF16},
        {"wire=f16:o=out", ":wire=f16", OMNI_F16, OMNI_F16},
        {"alternate:wire-bus=f16", ":wire-bus=f16:wire-tree=f32", OMNI_F16, OMNI_F32},
        {"wire-tree=bf16", ":wire-bus=f32:wire-tree=bf16", OMNI_F32, OMNI_BF16},
        {"wire-tree=f32:wire=bf16", ":wire-bus=bf16:wire-tree=f32", OMNI_BF16, OMNI_F32},
        {"wire=bf16:wire-tree=f16", ":wire-bus=bf16:wire-tree=f16", OMNI_BF16, OMNI_F16},
        {"workflow1/workflow2:wire=bf16", ":wire=bf16", OMNI_BF16, OMNI_BF16},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[128];
        omni_plan_spec spec = parse(rows[i].text);
        cr_expect_eq(spec.wire_bus, rows[i].bus, "%s", rows[i].text);
        cr_expect_eq(spec.wire_tree, rows[i].tree, "%s", rows[i].text);
        cr_expect_str_eq(omni_mesh_format(&spec, text, sizeof text), rows[i].format);
    }
}

Test(wire, bad_keys) {
    static const char *const rows[][2] = {{"wire=f64", "f32, bf16, f16"},
                                          {"wire-bus=bf17", "f32, bf16, f16"},
                                          {"wire=", "no value"},
                                          {"wire-bas=f16", "wire-bus"},
                                          {"wire=f16:wire=f16", "repeated key 'wire'"},
                                          {"wire-bus=f16/wire-bus=f16", "repeated key 'wire-bus'"}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        omni_plan_spec spec;
        omni_error err = {0};
        cr_expect_eq(omni_plan_parse(rows[i][0], &spec, &err), OMNI_BAD_INPUT, "%s", rows[i][0]);
        cr_expect_not_null(strstr(err.text, rows[i][1]), "%s", err.text);
    }
}

/* --- counts ----------------------------------------------------------------------------------- */

enum { TOKENS = 11, SEQUENCES = 2 };

static omni_plan *compile(const omni_model *m, const char *text, size_t pes) {
    omni_plan_spec spec = parse(text);
    omni_plan *plan;
    omni_error err = {0};
    cr_assert_eq(omni_plan_compile(m, &spec, pes, &plan, &err), OMNI_OK, "%s", err.text);
    cr_assert_eq(omni_plan_check(plan, 16, &err), OMNI_OK, "%s", err.text);
    return plan;
}

static omni_counters count(const omni_model *m, const char *text, size_t pes) {
    static const size_t first[SEQUENCES], counts[SEQUENCES] = {4, 7};
    omni_plan *plan = compile(m, text, pes);
    omni_counters c;
    omni_plan_count(
        plan, (omni_extent){.tokens = TOKENS, .sequences = SEQUENCES, .first = first, .counts = counts}, &c);
    omni_plan_free(plan);
    return c;
}

/* Bytes that stay as they are: an arg-max of 8 bytes a sequence over the tree; where attention is by tokens,
 * two floats a head; where a norm is over shards (RMS), one float up and one down. */
static const struct {
    const char *plan;
    size_t lse, norms; /* how many in all, of 2 layers */
} counted[] = {{"megatron", 0, 0},
               {"workflow1", 0, 0},
               {"workflow2", 2, 0},
               {"alternate", 1, 1},
               {"megatron:gather=bus:o=out", 0, 0},
               {"workflow2:edge=scatter", 2, 1}};

static void check_halves(const omni_model *m, size_t i, size_t p) {
    char text[128];
    size_t heads = m->shape.heads;
    uint64_t exact_bus = 4 * TOKENS * counted[i].norms;
    uint64_t exact_tree =
        (p - 1) * (8 * SEQUENCES + TOKENS * (8 * heads * counted[i].lse + 4 * counted[i].norms));
    omni_counters full = count(m, counted[i].plan, p), c;
    if (p == 1) exact_bus = 0;

    snprintf(text, sizeof text, "%s:wire=bf16", counted[i].plan);
    c = count(m, text, p);
    cr_assert_eq(2 * (c.broadcast_bytes - exact_bus), full.broadcast_bytes - exact_bus, "%s on %zu", text, p);
    cr_assert_eq(2 * (c.tree_bytes - exact_tree), full.tree_bytes - exact_tree, "%s on %zu", text, p);
    cr_assert_eq(2 * c.addressed_bytes, full.addressed_bytes, "%s on %zu", text, p);
    cr_assert_eq(c.host_bytes, full.host_bytes);
    cr_assert_eq(c.broadcasts + c.reductions + c.tree_gathers + c.tree_levels + c.addressed_messages,
                 full.broadcasts + full.reductions + full.tree_gathers + full.tree_levels +
                     full.addressed_messages);

    omni_counters both = c;
    snprintf(text, sizeof text, "%s:wire-bus=f16", counted[i].plan);
    c = count(m, text, p);
    cr_assert_eq(c.broadcast_bytes, both.broadcast_bytes);
    cr_assert_eq(c.addressed_bytes, both.addressed_bytes);
    cr_assert_eq(c.tree_bytes, full.tree_bytes);
    snprintf(text, sizeof text, "%s:wire-tree=f16", counted[i].plan);
    c = count(m, text, p);
    cr_assert_eq(c.broadcast_bytes, full.broadcast_bytes);
    cr_assert_eq(c.addressed_bytes, full.addressed_bytes);
    cr_assert_eq(c.tree_bytes, both.tree_bytes);
}

Test(wire, bytes_halve_but_for_control_values) {
    static const size_t pes[] = {1, 2, 3, 5, 8};
    omni_model *m;
    cr_assert_eq(omni_model_load("tests/golden/llama-tiny-gqa", &m, NULL), OMNI_OK);
    cr_assert_eq(m->shape.layers, 2);
    for (size_t i = 0; i < COUNT(counted); i++)
        for (size_t k = 0; k < COUNT(pes); k++) check_halves(m, i, pes[k]);
    omni_model_free(m);
}

/* --- the rule --------------------------------------------------------------------------------- */

static double roundoff(const omni_model *m, const char *text, size_t pes) {
    omni_plan *plan = compile(m, text, pes);
    double r = omni_plan_roundoff(plan);
    omni_plan_free(plan);
    return r;
}

static bool near(double a, double b) {
    return fabs(a - b) <= 1e-12 * b;
}

/* megatron, 2 layers: in each two reductions and two broadcasts. */
Test(wire, roundoff_of_a_plan) {
    omni_model *m;
    cr_assert_eq(omni_model_load("tests/golden/llama-tiny-gqa", &m, NULL), OMNI_OK);
    cr_expect(near(roundoff(m, "megatron:wire=bf16", 2), 0x1p-8 * sqrt(8)));
    cr_expect(near(roundoff(m, "megatron:wire=f16", 5), 0x1p-11 * sqrt(4 * 3 + 4)));
    cr_expect(near(roundoff(m, "megatron:wire-bus=f16", 5), 0x1p-11 * sqrt(4)));
    cr_expect(near(roundoff(m, "megatron:wire-tree=f16", 5), 0x1p-11 * sqrt(12)));
    cr_expect(near(roundoff(m, "pipeline:wire=bf16", 2), 0x1p-8)); /* one hand-off */
    static const char *const none[] = {"megatron", "wire=f32", "replica:wire=bf16"};
    for (size_t i = 0; i < COUNT(none); i++) cr_expect_eq(roundoff(m, none[i], 5), 0, "%s", none[i]);
    cr_expect_eq(roundoff(m, "megatron:wire=bf16", 1), 0);
    omni_model_free(m);
}

Test(wire, tolerance_and_margin) {
    const double logits[] = {-8, 1, 2, 0}; /* margin 1, size 8 */
    rule_top top = rule_top_of(logits, COUNT(logits));
    cr_expect_eq(rule_narrow_tolerance(0), 0);
    cr_expect_eq(rule_narrow_tolerance(0x1p-8), 0x1p-6);
    cr_expect_eq(top.size, 8);
    cr_expect_eq(rule_size_f32((const float[]){1, -3, 2}, 3), 3);
    cr_expect(rule_narrow_decides(&top, 0) && rule_narrow_decides(&top, 0.0624));
    cr_expect_not(rule_narrow_decides(&top, 0.0625));
    top.size = NAN;
    cr_expect(rule_narrow_decides(&top, 0.5));
}
