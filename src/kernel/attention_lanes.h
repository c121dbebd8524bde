/* attention_lanes.h: the inner loops of attention, compiled once per instruction set.
 *
 * One dot product is one vector accumulator, fed in order of the feature, then summed across its lanes; one
 * element of the weighted sum of values is one accumulator, fed in order of the key. Always eight of them are
 * under way (1, 2 or 4 score rows by 8, 4 or 2 keys or vectors), so the bits of a row do not depend on which
 * rows are computed together.
 *
 * Rows share keys and values, or each has its own (`apart`: heads of one token). Then nothing is gained but
 * that memory is read from several places, which is faster than from one. What comes next is asked for in the
 * order in which it lies, whatever the order of use.
 *
 * Assumptions: rows of q, k, v, out are head_dim long, contiguous, of any length and alignment; rows is 1, 2
 * or 4. Prefetches may point beyond k and v, which is harmless.
 */
#define LANES_LINE 16 /* floats that a prefetch brings */

/* `keys` keys from k[r] on; the first one's scores are s[r][at]. rows * keys is 8, or keys is 1. */
LANES_FN void dots(size_t rows, bool apart, size_t keys, const float *const *q, const float *const *k,
                   size_t first, size_t head_dim, float scale, float *const *s) {
    const size_t streams = apart ? rows : 1;
    const float *from[4];
    vec acc[8];
    LANES_UNROLL for (size_t r = 0; r < streams; r++) from[r] = k[r] + first * head_dim;
    LANES_UNROLL for (size_t i = 0; i < rows * keys; i++) acc[i] = (vec){0};
    size_t d = 0, rest = head_dim % LANES;
    for (; d + LANES <= head_dim; d += LANES) {
        vec a[4], b = {0};
        LANES_UNROLL for (size_t r = 0; r < streams; r++)
            LANES_UNROLL for (size_t i = 0; i < keys * LANES; i += LANES_LINE)
                __builtin_prefetch(from[r] + KERNEL_KEYS_AHEAD + d * keys + i);
        LANES_UNROLL for (size_t r = 0; r < rows; r++) a[r] = vec_load(q[r] + d);
        LANES_UNROLL for (size_t j = 0; j < keys; j++) LANES_UNROLL for (size_t r = 0; r < rows; r++) {
            if (r < streams) b = vec_load(from[r] + j * head_dim + d);
            acc[r * keys + j] = vec_fma(a[r], b, acc[r * keys + j]);
        }
    }
    float sums[8];
    LANES_UNROLL for (size_t r = 0; rest && r < rows; r++) LANES_UNROLL for (size_t j = 0; j < keys; j++) {
        vec b = vec_load_n(from[apart ? r : 0] + j * head_dim + d, rest);
        acc[r * keys + j] = vec_fma(vec_load_n(q[r] + d, rest), b, acc[r * keys + j]);
    }
    if (rows * keys == 8)
        vec_sums(acc, scale, sums);
    else
        LANES_UNROLL for (size_t r = 0; r < rows; r++) sums[r] = vec_sum(acc[r]) * scale;
    LANES_UNROLL for (size_t r = 0; r < rows; r++) memcpy(s[r] + first, sums + r * keys, keys * sizeof *sums);
}

LANES_FN void scores_rows(size_t rows, bool apart, const float *const *q, const float *const *k, size_t keys,
                          size_t head_dim, float scale, float *const *s) {
    size_t j = 0, step = 8 / rows;
    for (; j + step <= keys; j += step) dots(rows, apart, step, q, k, j, head_dim, scale, s);
    for (; j < keys; j++) dots(rows, apart, 1, q, k, j, head_dim, scale, s);
}

static LANES_TARGET void attention_scores(size_t rows, bool apart, const float *const *q,
                                          const float *const *k, size_t keys, size_t head_dim, float scale,
                                          float *const *s) {
    if (rows == 4 && apart)
        scores_rows(4, true, q, k, keys, head_dim, scale, s);
    else if (rows == 4)
        scores_rows(4, false, q, k, keys, head_dim, scale, s);
    else if (rows == 2 && apart)
        scores_rows(2, true, q, k, keys, head_dim, scale, s);
    else if (rows == 2)
        scores_rows(2, false, q, k, keys, head_dim, scale, s);
    else
        scores_rows(1, false, q, k, keys, head_dim, scale, s);
}

/* NaN is passed on: exp makes it so even where the maximum has dropped it. */
static LANES_TARGET float attention_softmax(float *s, size_t n, float *max) {
    float most = s[0];
    size_t j = 0;
    if (n >= LANES) {
        vec top = vec_load(s);
        for (j = LANES; j + LANES <= n; j += LANES) {
            vec x = vec_load(s + j);
            top = vec_select((vec_bits)(x > top), x, top);
        }
        for (size_t i = 0; i < LANES; i++) most = top[i] > most ? top[i] : most;
    }
    for (; j < n; j++) most = s[j] > most ? s[j] : most;
    vec shift = vec_set(most), sum = {0};
    for (j = 0; j + LANES <= n; j += LANES) {
        vec e = vec_exp(vec_load(s + j) - shift);
        vec_store(s + j, e);
        sum += e;
    }
    float total = vec_sum(sum);
    if (j < n) {
        vec_store_n(s + j, vec_exp(vec_load_n(s + j, n - j) - shift), n - j);
        for (; j < n; j++) total += s[j];
    }
    *max = most;
    return total;
}

/* `width` vectors of columns, from `d` on; lanes < LANES: one vector of which only so many exist. */
LANES_FN void weigh_columns(size_t rows, bool apart, size_t width, float *const *p, const float *const *v,
                            size_t keys, size_t head_dim, float *const *out, size_t d, size_t lanes) {
    const size_t streams = apart ? rows : 1;
    vec acc[4][8];
    LANES_UNROLL for (size_t r = 0; r < rows; r++) LANES_UNROLL for (size_t c = 0; c < width; c++) acc[r][c] =
        (vec){0};
    for (size_t j = 0; j < keys; j++) {
        const size_t next = KERNEL_KEY_BLOCK * (head_dim + d) + j * width * LANES;
        vec b[8] = {{0}};
        LANES_UNROLL for (size_t r = 0; r < streams; r++)
            LANES_UNROLL for (size_t i = 0; i < width * LANES; i += LANES_LINE)
                __builtin_prefetch(v[r] + next + i);
        LANES_UNROLL for (size_t r = 0; r < rows; r++) {
            const vec a = vec_set(p[r][j]);
            LANES_UNROLL for (size_t c = 0; c < width; c++) {
                const float *at = v[apart ? r : 0] + j * head_dim + d + c * LANES;
                if (r < streams) b[c] = lanes == LANES ? vec_load(at) : vec_load_n(at, lanes);
                acc[r][c] = vec_fma(a, b[c], acc[r][c]);
            }
        }
    }
    LANES_UNROLL for (size_t r = 0; r < rows; r++) LANES_UNROLL for (size_t c = 0; c < width; c++) {
        float *at = out[r] + d + c * LANES;
        if (lanes == LANES)
            vec_store(at, vec_load(at) + acc[r][c]);
        else
            vec_store_n(at, vec_load_n(at, lanes) + acc[r][c], lanes);
    }
}

LANES_FN void weigh_rows(size_t rows, bool apart, float *const *p, const float *const *v, size_t keys,
                         size_t head_dim, float *const *out) {
    size_t d = 0, width = 8 / rows;
    for (; d + width * LANES <= head_dim; d += width * LANES)
        weigh_columns(rows, apart, width, p, v, keys, head_dim, out, d, LANES);
    for (; d + LANES <= head_dim; d += LANES)
        weigh_columns(rows, apart, 1, p, v, keys, head_dim, out, d, LANES);
    if (d < head_dim) weigh_columns(rows, apart, 1, p, v, keys, head_dim, out, d, head_dim - d);
}

static LANES_TARGET void attention_weigh(size_t rows, bool apart, float *const *p, const float *const *v,
                                         size_t keys, size_t head_dim, float *const *out) {
    if (rows == 4 && apart)
        weigh_rows(4, true, p, v, keys, head_dim, out);
    else if (rows == 4)
        weigh_rows(4, false, p, v, keys, head_dim, out);
    else if (rows == 2 && apart)
        weigh_rows(2, true, p, v, keys, head_dim, out);
    else if (rows == 2)
        weigh_rows(2, false, p, v, keys, head_dim, out);
    else
        weigh_rows(1, false, p, v, keys, head_dim, out);
}
