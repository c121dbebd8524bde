/* attention_lanes.h: the inner loops of attention, compiled once per instruction set.
 *
 * One dot product is one vector accumulator, fed in order of the feature, then summed across its lanes; one
 * element of the weighted sum of values is one accumulator, fed in order of the key. Always eight of them are
 * under way (1, 2 or 4 score rows by 8, 4 or 2 keys or vectors), so the bits of a row do not depend on which
 * rows are computed together.
 *
 * Assumptions: rows of q, k, v, out are head_dim long, contiguous, of any length and alignment; rows is 1, 2
 * or 4.
 */
/* `keys` keys from k on; the first one's scores are s[r][at]. */
LANES_FN void dots(size_t rows, size_t keys, const float *const *q, const float *k, size_t head_dim,
                   float scale, float *const *s, size_t at) {
    vec acc[4][8];
    LANES_UNROLL for (size_t r = 0; r < rows; r++) LANES_UNROLL for (size_t j = 0; j < keys; j++) acc[r][j] =
        (vec){0};
    size_t d = 0, rest = head_dim % LANES;
    for (; d + LANES <= head_dim; d += LANES) {
        vec a[4];
        LANES_UNROLL for (size_t r = 0; r < rows; r++) a[r] = vec_load(q[r] + d);
        LANES_UNROLL for (size_t j = 0; j < keys; j++) {
            vec b = vec_load(k + j * head_dim + d);
            LANES_UNROLL for (size_t r = 0; r < rows; r++) acc[r][j] = vec_fma(a[r], b, acc[r][j]);
        }
    }
    LANES_UNROLL for (size_t r = 0; r < rows; r++) LANES_UNROLL for (size_t j = 0; j < keys; j++) {
        if (rest)
            acc[r][j] =
                vec_fma(vec_load_n(q[r] + d, rest), vec_load_n(k + j * head_dim + d, rest), acc[r][j]);
        s[r][at + j] = vec_sum(acc[r][j]) * scale;
    }
}

LANES_FN void scores_rows(size_t rows, const float *const *q, const float *k, size_t keys, size_t head_dim,
                          float scale, float *const *s) {
    size_t j = 0, step = 8 / rows;
    for (; j + step <= keys; j += step) dots(rows, step, q, k + j * head_dim, head_dim, scale, s, j);
    for (; j < keys; j++) dots(rows, 1, q, k + j * head_dim, head_dim, scale, s, j);
}

static LANES_TARGET void attention_scores(size_t rows, const float *const *q, const float *k, size_t keys,
                                          size_t head_dim, float scale, float *const *s) {
    if (rows == 4)
        scores_rows(4, q, k, keys, head_dim, scale, s);
    else if (rows == 2)
        scores_rows(2, q, k, keys, head_dim, scale, s);
    else
        scores_rows(1, q, k, keys, head_dim, scale, s);
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
LANES_FN void weigh_columns(size_t rows, size_t width, float *const *p, const float *v, size_t keys,
                            size_t head_dim, float *const *out, size_t d, size_t lanes) {
    vec acc[4][8];
    LANES_UNROLL for (size_t r = 0; r < rows; r++) LANES_UNROLL for (size_t c = 0; c < width; c++) acc[r][c] =
        (vec){0};
    for (size_t j = 0; j < keys; j++) {
        const float *at = v + j * head_dim + d;
        vec a[4];
        __builtin_prefetch(at + KERNEL_KEY_BLOCK * head_dim);
        LANES_UNROLL for (size_t r = 0; r < rows; r++) a[r] = vec_set(p[r][j]);
        LANES_UNROLL for (size_t c = 0; c < width; c++) {
            vec b = lanes == LANES ? vec_load(at + c * LANES) : vec_load_n(at, lanes);
            LANES_UNROLL for (size_t r = 0; r < rows; r++) acc[r][c] = vec_fma(a[r], b, acc[r][c]);
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

LANES_FN void weigh_rows(size_t rows, float *const *p, const float *v, size_t keys, size_t head_dim,
                         float *const *out) {
    size_t d = 0, width = 8 / rows;
    for (; d + width * LANES <= head_dim; d += width * LANES)
        weigh_columns(rows, width, p, v, keys, head_dim, out, d, LANES);
    for (; d + LANES <= head_dim; d += LANES) weigh_columns(rows, 1, p, v, keys, head_dim, out, d, LANES);
    if (d < head_dim) weigh_columns(rows, 1, p, v, keys, head_dim, out, d, head_dim - d);
}

static LANES_TARGET void attention_weigh(size_t rows, float *const *p, const float *v, size_t keys,
                                         size_t head_dim, float *const *out) {
    if (rows == 4)
        weigh_rows(4, p, v, keys, head_dim, out);
    else if (rows == 2)
        weigh_rows(2, p, v, keys, head_dim, out);
    else
        weigh_rows(1, p, v, keys, head_dim, out);
}
