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
LANES_FN vec vec_gelu_new(vec x) {
    vec cubed = vec_fma(x * x, x * 0.044715f, x);
    return x / (1.0f + vec_exp(cubed * -1.5957691216057308f));
}

LANES_FN vec vec_silu(vec x) {
    return x / (1.0f + vec_exp(-x));
}

LANES_FN vec vec_relu(vec x) {
    return vec_select((vec_bits)(x < vec_set(0)), vec_set(0), x);
}

LANES_FN vec vec_abs(vec x) {
    return (vec)((vec_bits)x & 0x7fffffffu);
}

/* c[0] x^(n-1) + ... + c[n-1] */
LANES_FN vec vec_poly(vec x, const float *c, size_t n) {
    vec p = vec_set(c[0]);
    LANES_UNROLL for (size_t i = 1; i < n; i++) p = vec_fma(p, x, vec_set(c[i]));
    return p;
}

/* tanhf of Cephes: a polynomial below 0.625, 1 - 2/(exp(2|x|) + 1) with x's sign from there on. */
LANES_FN vec vec_tanh(vec x) {
    static const float small[] = {-5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f,
                                  1.33314422036e-1f, -3.33332819422e-1f};
    vec a = vec_abs(x), z = x * x;
    vec near = vec_fma(vec_poly(z, small, 5) * z, x, x), far = 1.0f - 2.0f / (vec_exp(a + a) + 1.0f);
    far = (vec)((vec_bits)far | ((vec_bits)x & 0x80000000u));
    return vec_select((vec_bits)(a < vec_set(0.625f)), near, far);
}

/* erfc(z) for z >= 0: erff and erfcf of Cephes (ndtrf.c). Three ranges; each result is relative to its
 * size. */
LANES_FN vec vec_erfc(vec z) {
    static const float erf_1[] = {7.853861353153693e-5f,  -8.010193625184903e-4f, 5.188327685732524e-3f,
                                  -2.685381193529856e-2f, 1.128358514861418e-1f,  -3.761262582423300e-1f,
                                  1.128379165726710e+0f};
    static const float to_2[] = {2.326819970068386e-2f,  -1.387039388740657e-1f, 3.687424674597105e-1f,
                                 -5.824733027278666e-1f, 6.210004621745983e-1f,  -4.944515323274145e-1f,
                                 3.404879937665872e-1f,  -2.741127028184656e-1f, 5.638259427386472e-1f};
    static const float from_2[] = {-1.047766399936249e+1f, 1.297719955372516e+1f,  -7.495518717768503e+0f,
                                   2.921019019210786e+0f,  -1.015265279202700e+0f, 4.218463358204948e-1f,
                                   -2.820767439740514e-1f, 5.641895067754075e-1f};
    vec square = z * z, q = 1.0f / vec_select((vec_bits)(z < vec_set(1)), vec_set(1), z), y = q * q;
    vec near = vec_fma(-z, vec_poly(square, erf_1, 7), vec_set(1));
    vec tail = vec_select((vec_bits)(z < vec_set(2)), vec_poly(y, to_2, 9), vec_poly(y, from_2, 8));
    return vec_select((vec_bits)(z < vec_set(1)), near, vec_exp(-square) * q * tail);
}

/* x Phi(x), Phi the normal distribution: x erfc(-x / sqrt(2)) / 2, so nothing cancels for x < 0 */
LANES_FN vec vec_gelu(vec x) {
    vec half = 0.5f * vec_erfc(vec_abs(x) * 0.70710678118654752f);
    return x * vec_select((vec_bits)(x < vec_set(0)), half, 1.0f - half);
}

static LANES_TARGET void activation_swiglu(float *y, const float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(y + i, vec_swiglu(vec_load(gate + i), vec_load(up + i)));
    if (i < n) vec_store_n(y + i, vec_swiglu(vec_load_n(gate + i, n - i), vec_load_n(up + i, n - i)), n - i);
}

/* One loop for every function of one input: f is a constant after inlining. */
#define ACTIVATION(name, f)                                                                                  \
    static LANES_TARGET void name(float *y, const float *x, size_t n) {                                      \
        size_t i = 0;                                                                                        \
        for (; i + LANES <= n; i += LANES) vec_store(y + i, f(vec_load(x + i)));                             \
        if (i < n) vec_store_n(y + i, f(vec_load_n(x + i, n - i)), n - i);                                   \
    }

ACTIVATION(activation_gelu_new, vec_gelu_new)
ACTIVATION(activation_gelu, vec_gelu)
ACTIVATION(activation_relu, vec_relu)
ACTIVATION(activation_silu, vec_silu)
ACTIVATION(activation_tanh, vec_tanh)
#undef ACTIVATION
