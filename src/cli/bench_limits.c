/* bench_limits.c: what a test needs at the least, and what this host needs at the least for that.
 *
 *   flops   of all projections, for every token (behind the layers: for one of each sequence and pass); of
 *           attention, 4 x heads x head_dim for every pair of a query and a key that it sees. A multiply-add
 *           is two.
 *   bytes   of weights, once a pass by every group that has tokens in it; of keys and values, float32, once
 *           for every sequence and pass, up to the pass's own position.
 *
 *   least   = max(flops / BLIS's peak, bytes / read rate) of the prompt's pass, and the same of the others
 *
 * Limits are those of as many cores as there are workers. Neighbours of a shared machine take more at one
 * time and less at another: so what holds a test is measured around it, not only once. Models that fit into
 * the caches may be faster than memory.
 */
#include <math.h>

#include "bench.h"

enum {
    FIRST_NS = 200000000,
    AROUND_NS = 100000000
}; /* time for one limit: before all tests, around a test */

/* --- limits ----------------------------------------------------------------------------------- */

/* How many limits that is. */
static size_t mark_cores(bench *b, bool *used) {
    size_t places = omni_topo_cpus(b->c->topo), count = 0;
    for (size_t i = 0; i < b->pes.count; i++)
        for (size_t k = 0; k < b->workers.count; k++) {
            size_t pes = b->pes.value[i], workers = b->workers.value[k];
            if (!workers) workers = pes < places ? pes : places;
            used[workers < b->limits.cores ? workers : b->limits.cores] = true;
        }
    for (size_t n = 1; n <= b->limits.cores; n++) count += used[n] ? 2 : 0;
    return count;
}

/* Those of every number of cores that is used; between two the bar is drawn. */
static void measure_limits(bench *b, const bool *used, size_t count) {
    bench_limits *l = &b->limits;
    cli_progress bar;
    size_t done = 0;
    cli_progress_begin(&bar, b->c, CLI_TIMED_STEPS, "limits of this host", count);
    for (size_t n = 1; n <= l->cores; n++) {
        if (!used[n]) continue;
        cli_progress_step(&bar, done++, "reading");
        l->read[n] = omni_host_best(l->host, omni_host_read_rate, n, FIRST_NS);
        cli_progress_step(&bar, done++, "multiplying");
        l->peak[n] = omni_host_best(l->host, omni_host_peak_flops, n, FIRST_NS);
    }
    cli_progress_end(&bar);
}

omni_status bench_measure_limits(bench *b, omni_error *err) {
    bench_limits *l = &b->limits;
    l->cores = omni_host_cores(b->c->topo);
    if (omni_settings_flag(b->c->settings, OMNI_OPT_NO_LIMITS)) return OMNI_OK;
    l->host = omni_host_limits_create(b->c->topo, &cli_stop);
    bool *used = omni_alloc_array(l->cores + 1, sizeof *used);
    l->read = omni_alloc_array(l->cores + 1, sizeof *l->read);
    l->peak = omni_alloc_array(l->cores + 1, sizeof *l->peak);
    bool ok = l->host && used && l->read && l->peak;
    if (ok) measure_limits(b, used, mark_cores(b, used));
    omni_free(used);
    return ok ? cli_stopped(err) : omni_error_set(err, OMNI_RUN_FAILED, "bench: out of memory");
}

void bench_free_limits(bench_limits *l) {
    omni_host_limits_free(l->host);
    omni_free(l->read);
    omni_free(l->peak);
}

/* --- work ------------------------------------------------------------------------------------- */

/* Elements of the projections, without heads that nothing asks for (no token is masked). */
static double matrix_elements(const omni_op *op, size_t ops) {
    double sum = 0;
    for (size_t i = 0; i < ops; i++)
        for (size_t j = 0; j < op[i].matrices && op[i].head != OMNI_HEAD_MLM; j++)
            sum += (double)op[i].matrix[j].in * (double)op[i].matrix[j].out;
    return sum;
}

static double attention_flops(const omni_shape *s, double keys) {
    return 4 * (double)(s->layers * s->heads * s->head_dim) * keys;
}

/* One pass of `tokens` of a sequence behind `first` positions; keys: those that its queries see, summed over
 * them. */
static double pass_flops(const omni_model *m, double tokens, double keys) {
    const omni_shape *s = &m->shape;
    double layers = 2 * matrix_elements(m->layer_ops, m->layer_op_count) * tokens * (double)s->layers;
    return layers + attention_flops(s, keys) + 2 * matrix_elements(m->final_ops, m->final_op_count);
}

/* Of `tokens` queries behind `first` positions, each sees itself and all before it; an encoder's all of
 * them. */
static double keys_seen(const omni_shape *s, double first, double tokens) {
    return s->encoder ? tokens * tokens : tokens * first + tokens * (tokens + 1) / 2;
}

/* Keys and values of so many positions. */
static double kv_bytes(const omni_shape *s, double positions) {
    return 2 * (double)(s->layers * s->kv_heads * s->head_dim) * sizeof(float) * positions;
}

static size_t cores_of(const bench *b, const bench_cell *cell) {
    return cell->workers < b->limits.cores ? cell->workers : b->limits.cores;
}

bench_work bench_work_of(const bench *b, const bench_cell *cell, const bench_test *t, double prompt_bytes,
                         double gen_bytes) {
    const omni_model *m = b->c->model;
    const omni_shape *s = &m->shape;
    double batch = (double)cell->batch, depth = (double)t->depth, prompt = (double)t->prompt,
           gen = (double)t->gen;
    double before = s->encoder ? 0 : depth,
           positions = keys_seen(s, depth + prompt, gen); /* a query a pass */
    bench_work w = {.read = NAN, .peak = NAN};
    if (t->prompt) {
        w.phase[0].flops = batch * pass_flops(m, prompt, keys_seen(s, depth, prompt));
        w.phase[0].bytes = prompt_bytes + batch * kv_bytes(s, before);
    }
    if (t->gen) {
        w.phase[1].flops = batch * (gen * pass_flops(m, 1, 0) + attention_flops(s, positions));
        w.phase[1].bytes = gen * gen_bytes + batch * kv_bytes(s, positions);
    }
    if (!b->limits.host) return w;
    w.read = b->limits.read[cores_of(b, cell)];
    w.peak = b->limits.peak[cores_of(b, cell)];
    return w;
}

/* What a phase takes at the limits: reading, or multiplying. */
static double read_ns(const bench_work *w, size_t phase) {
    return w->phase[phase].bytes * 1e9 / w->read;
}

static double multiply_ns(const bench_work *w, size_t phase) {
    return w->phase[phase].flops * 1e9 / w->peak;
}

void bench_work_measure(const bench *b, const bench_cell *cell, bench_work *w) {
    omni_host_limits *host = b->limits.host;
    size_t cores = cores_of(b, cell);
    bool reads = false, multiplies = false;
    for (size_t i = 0; i < 2; i++) {
        reads |= read_ns(w, i) > multiply_ns(w, i);
        multiplies |= multiply_ns(w, i) > read_ns(w, i);
    }
    if (reads) w->read = fmax(w->read, omni_host_best(host, omni_host_read_rate, cores, AROUND_NS));
    if (multiplies) w->peak = fmax(w->peak, omni_host_best(host, omni_host_peak_flops, cores, AROUND_NS));
}

double bench_work_least_ns(const bench_work *w, const char **bound) {
    double sum = 0, longest = 0;
    *bound = NULL;
    for (size_t i = 0; i < 2; i++) {
        double ns = fmax(read_ns(w, i), multiply_ns(w, i)); /* the one that is known */
        sum += ns;
        if (ns > longest) *bound = ns == read_ns(w, i) ? "read" : "flops";
        longest = fmax(longest, ns);
    }
    return sum;
}
