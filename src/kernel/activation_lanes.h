/* activation_lanes.h: exp, and the activations made of it, compiled once per instruction set.
 *
 * Assumptions: no alignment; y may be x or gate. The last, shorter vector is loaded and stored lane by lane
 * or masked.
 */

/* exp(x) to about 1 ulp, 0 below ln(FLT_MIN), infinity above 88.376 (2.4e38); NaN stays NaN.
 * Range reduction, polynomial and limits are those of expf in the Cephes library (S. L. Moshier,
 * netlib.org/cephes). The nearest whole number comes from adding 1.5 * 2^23, whose last bits then hold it. */
LANES_FN vec vec_exp(vec x) {
    const vec hi = vec_set(88.3762626647949f), lo = vec_set(-87.3365478515625f), magic = vec_set(12582912.0f);
    vec_bits under = (vec_bits)(x < lo), over = (vec_bits)(x > hi);
    x = vec_select(over, hi, x);
    x = vec_select(under, lo, x);
    vec t = vec_fma(x, vec_set(1.44269504088896341f), magic), n = t - magic;
    vec r = vec_fma(n, vec_set(-0.693359375f), x);
    r = vec_fma(n, vec_set(2.12194440e-4f), r);
    vec p = vec_set(1.9875691500e-4f);
    p = vec_fma(p, r, vec_set(1.3981999507e-3f));
    p = vec_fma(p, r, vec_set(8.3334519073e-3f));
    p = vec_fma(p, r, vec_set(4.1665795894e-2f));
    p = vec_fma(p, r, vec_set(1.6666665459e-1f));
    p = vec_fma(p, r, vec_set(5.0000001201e-1f));
    p = vec_fma(p, r * r, r) + 1.0f;
    vec_bits scale = ((vec_bits)t - (vec_bits)magic + 127u) << 23;
    p = vec_select(over, vec_set(__builtin_inff()), p * (vec)scale);
    return (vec)((vec_bits)p & ~under);
}

/* silu(g) u = g u / (1 + exp(-g)) */
LANES_FN vec vec_swiglu(vec gate, vec up) {
    return gate / (1.0f + vec_exp(-gate)) * up;
}

/* x (1 + tanh(u)) / 2 = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3): no cancellation for x < 0 */
LANES_FN vec vec_gelu(vec x) {
    vec cubed = vec_fma(x * x, x * 0.044715f, x);
    return x / (1.0f + vec_exp(cubed * -1.5957691216057308f));
}

static LANES_TARGET void activation_swiglu(float *y, const float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(y + i, vec_swiglu(vec_load(gate + i), vec_load(up + i)));
    if (i < n) vec_store_n(y + i, vec_swiglu(vec_load_n(gate + i, n - i), vec_load_n(up + i, n - i)), n - i);
}

static LANES_TARGET void activation_gelu(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(y + i, vec_gelu(vec_load(x + i)));
    if (i < n) vec_store_n(y + i, vec_gelu(vec_load_n(x + i, n - i)), n - i);
}
