/* sample.c: a token from logits.
 *
 *   p = softmax(logits / temperature), in float64; the k likeliest; of these the fewest that reach top_p in sum
 *   u in [0, 1) from (seed, sequence, step); the first token at which the running sum of p exceeds u
 *
 * Without --top-k and --top-p tokens are summed in the order of their ids, else from the likeliest down, equal ones by
 * id. Nothing depends on how the logits came about, so equal logits give equal text under every plan.
 *
 * u is one output of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), whose state is the counter: no draw depends on
 * another, and a sequence that ends early moves nobody else's.
 */
#include <math.h>

#include "text/internal.h"

struct omni_sampler {
    omni_sampling how;
    size_t vocab;
    double *weight; /* [vocab] exp((logit - largest) / temperature); 0 where the logit is no number */
    int32_t *heap;  /* [vocab] ids, the likeliest on top */
    size_t count;
};

omni_sampler *omni_sampler_create(const omni_sampling *how, size_t vocab) {
    omni_sampler *s = omni_alloc(sizeof *s);
    if (!s) return NULL;
    *s = (omni_sampler){.how = *how, .vocab = vocab};
    s->weight = omni_alloc_array(vocab, sizeof *s->weight);
    s->heap = omni_alloc_array(vocab, sizeof *s->heap);
    if (s->weight && s->heap) return s;
    omni_sampler_free(s);
    return NULL;
}

void omni_sampler_free(omni_sampler *s) {
    if (!s) return;
    omni_free(s->weight);
    omni_free(s->heap);
    omni_free(s);
}

/* --- randomness ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t z) {
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(uint64_t seed, size_t sequence, size_t step) {
    return (double)(mix(mix(mix(seed) ^ sequence) ^ step) >> 11) * 0x1p-53;
}

/* --- the likeliest first ---------------------------------------------------------------------- */

static bool before(const omni_sampler *s, int32_t a, int32_t b) {
    return s->weight[a] != s->weight[b] ? s->weight[a] > s->weight[b] : a < b;
}

static void sift(omni_sampler *s, size_t i) {
    int32_t id = s->heap[i];
    for (size_t down; (down = 2 * i + 1) < s->count; i = down) {
        if (down + 1 < s->count && before(s, s->heap[down + 1], s->heap[down])) down++;
        if (!before(s, s->heap[down], id)) break;
        s->heap[i] = s->heap[down];
    }
    s->heap[i] = id;
}

static void heapify(omni_sampler *s) {
    s->count = s->vocab;
    for (size_t i = 0; i < s->vocab; i++) s->heap[i] = (int32_t)i;
    for (size_t i = s->vocab / 2; i-- > 0;) sift(s, i);
}

static int32_t take(omni_sampler *s) {
    int32_t top = s->heap[0];
    s->heap[0] = s->heap[--s->count];
    if (s->count) sift(s, 0);
    return top;
}

/* --- drawing ---------------------------------------------------------------------------------- */

/* Weights of all tokens, and their sum; 0: no logit is finite. */
static double weigh(omni_sampler *s, const float *logits) {
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < s->vocab; i++)
        if (isfinite(logits[i]) && (double)logits[i] > largest) largest = (double)logits[i];
    for (size_t i = 0; i < s->vocab; i++) {
        s->weight[i] = isfinite(logits[i]) ? exp(((double)logits[i] - largest) / s->how.temperature) : 0;
        sum += s->weight[i];
    }
    return sum;
}

/* How many of the likeliest are kept, in `sum` their weight. They are taken once to count, and once more to draw. */
static size_t keep(omni_sampler *s, double *sum) {
    size_t most = s->how.top_k && s->how.top_k < s->vocab ? s->how.top_k : s->vocab, n = 0;
    double all = 0, kept = 0;
    heapify(s);
    if (most == s->vocab) all = *sum;
    while (most < s->vocab && n < most) {
        all += s->weight[take(s)];
        n++;
    }
    if (s->how.top_p < 1) {
        if (n) heapify(s);
        for (n = 0; n < most && (n == 0 || kept < s->how.top_p * all); n++) kept += s->weight[take(s)];
        all = kept;
    }
    *sum = all;
    return n ? n : most;
}

int32_t omni_sampler_draw(omni_sampler *s, const float *logits, size_t sequence, size_t step) {
    double sum = weigh(s, logits), u = uniform(s->how.seed, sequence, step), running = 0;
    bool all = !s->how.top_k && s->how.top_p >= 1;
    int32_t last = -1;
    if (!(sum > 0)) return -1;
    size_t count = all ? s->vocab : keep(s, &sum);
    if (!all) heapify(s);
    for (size_t i = 0; i < count; i++) {
        int32_t id = all ? (int32_t)i : take(s);
        if (s->weight[id] <= 0) continue;
        last = id;
        running += s->weight[id];
        if (running > u * sum) break;
    }
    return last; /* rounding may leave the sum short of u: then the last one that can be */
}

/* --- the top ---------------------------------------------------------------------------------- */

size_t omni_top(const float *logits, size_t vocab, size_t most, omni_likely *out) {
    double largest = -INFINITY, sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < vocab; i++)
        if (isfinite(logits[i]) && (double)logits[i] > largest) largest = (double)logits[i];
    for (size_t i = 0; i < vocab; i++) {
        double p = isfinite(logits[i]) ? exp((double)logits[i] - largest) : 0;
        sum += p;
        size_t at = n;
        while (at > 0 && out[at - 1].probability < p) at--; /* behind its equals, which have lower ids */
        if (at >= most) continue;
        if (n < most) n++;
        memmove(out + at + 1, out + at, (n - 1 - at) * sizeof *out);
        out[at] = (omni_likely){.id = (int32_t)i, .probability = p};
    }
    for (size_t i = 0; i < n; i++) out[i].probability /= sum;
    return n;
}
