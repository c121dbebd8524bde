/* bench_limits.c: what a test needs at the least, and what this host needs at the least for that.
 *
 *   flops   of all projections, for every token (behind the layers: for one of each sequence and pass); of attention,
 *           4 x heads x head_dim for every pair of a query and a key that it sees. A multiply-add is two.
 *   bytes   of weights, once a pass by every group that has tokens in it; of keys and values, float32, once for every
 *           sequence and pass, up to the pass's own position.
 *
 *   least   = max(flops / BLIS's peak, bytes / read rate) of the prompt's pass, and the same of the others
 *
 * Limits are those of as many cores as there are workers. Models that fit into the caches may be faster than memory.
 */
#include <math.h>
#include <stdio.h>

#include "bench.h"
#include "omnibus/kernel.h"

/* --- limits ----------------------------------------------------------------------------------- */

static void mark_cores(bench *b, bool *used) {
    size_t places = omni_topo_cpus(b->c->topo);
    for (size_t i = 0; i < b->pes.count; i++)
        for (size_t k = 0; k < b->workers.count; k++) {
            size_t pes = b->pes.value[i], workers = b->workers.value[k];
            if (!workers) workers = pes < places ? pes : places;
            used[workers < b->limits.cores ? workers : b->limits.cores] = true;
        }
}

static void measure(bench *b, omni_host_limits *host, const bool *used) {
    bench_limits *l = &b->limits;
    for (size_t n = 1; n <= l->cores; n++) {
        if (!used[n]) continue;
        l->read[n] = omni_host_best(host, omni_host_read_rate, n);
        l->flops[n] = omni_host_best(host, omni_host_peak_flops, n);
    }
    snprintf(l->read_kernel, sizeof l->read_kernel, "%s", omni_host_read_kernel(host));
    l->n = omni_host_peak_n(host);
}

omni_status bench_measure_limits(bench *b, omni_error *err) {
    bench_limits *l = &b->limits;
    l->wanted = !omni_settings_flag(b->c->settings, OMNI_OPT_NO_LIMITS);
    l->cores = omni_host_cores(b->c->topo);
    if (!l->wanted) return OMNI_OK;
    omni_host_limits *host = omni_host_limits_create(b->c->topo, &cli_stop);
    bool *used = omni_alloc_array(l->cores + 1, sizeof *used);
    l->read = omni_alloc_array(l->cores + 1, sizeof *l->read);
    l->flops = omni_alloc_array(l->cores + 1, sizeof *l->flops);
    bool ok = host && used && l->read && l->flops;
    if (ok) {
        mark_cores(b, used);
        measure(b, host, used);
    }
    omni_host_limits_free(host);
    omni_free(used);
    return ok ? cli_stopped(err) : omni_error_set(err, OMNI_RUN_FAILED, "bench: out of memory");
}

void bench_free_limits(bench_limits *l) {
    omni_free(l->read);
    omni_free(l->flops);
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

/* One pass of `tokens` of a sequence behind `first` positions; keys: those that its queries see, summed over them. */
static double pass_flops(const omni_model *m, double tokens, double keys) {
    const omni_shape *s = &m->shape;
    double layer = 2 * matrix_elements(m->layer_ops, m->layer_op_count) * tokens +
                   4 * (double)(s->heads * s->head_dim) * keys;
    return layer * (double)s->layers + 2 * matrix_elements(m->final_ops, m->final_op_count);
}

/* Of `tokens` queries behind `first` positions, each sees itself and all before it; an encoder's all of them. */
static double keys_seen(const omni_shape *s, double first, double tokens) {
    return s->encoder ? tokens * tokens : tokens * first + tokens * (tokens + 1) / 2;
}

/* Keys and values of so many positions. */
static double kv_bytes(const omni_shape *s, double positions) {
    return 2 * (double)(s->layers * s->kv_heads * s->head_dim) * sizeof(float) * positions;
}

/* Adds a phase; it is bound by what takes longer. */
static void add_phase(bench_work *w, double flops, double bytes, double peak, double read) {
    double compute_ns = flops * 1e9 / peak, read_ns = bytes * 1e9 / read, least = fmax(compute_ns, read_ns);
    if (isnan(w->least_ns) || least > w->least_ns) w->bound = read_ns >= least ? "read" : "flops";
    w->least_ns = isnan(w->least_ns) ? least : w->least_ns + least;
    w->flops += flops;
    w->bytes += bytes;
}

bench_work bench_work_of(const bench *b, const bench_cell *cell, const bench_test *t, double prompt_bytes,
                         double gen_bytes) {
    const omni_model *m = b->c->model;
    const omni_shape *s = &m->shape;
    size_t cores = cell->workers < b->limits.cores ? cell->workers : b->limits.cores;
    double peak = b->limits.wanted ? b->limits.flops[cores] : NAN;
    double read = b->limits.wanted ? b->limits.read[cores] : NAN;
    double batch = (double)cell->batch, depth = (double)t->depth, prompt = (double)t->prompt,
           gen = (double)t->gen;
    bench_work w = {.least_ns = NAN};
    if (t->prompt)
        add_phase(&w, batch * pass_flops(m, prompt, keys_seen(s, depth, prompt)),
                  prompt_bytes + batch * kv_bytes(s, s->encoder ? 0 : depth), peak, read);
    double behind = depth + prompt, positions = keys_seen(s, behind, gen); /* a query a pass */
    if (t->gen)
        add_phase(&w,
                  batch * (gen * pass_flops(m, 1, 0) +
                           4 * (double)(s->heads * s->head_dim) * (double)s->layers * positions),
                  gen * gen_bytes + batch * kv_bytes(s, positions), peak, read);
    if (isnan(w.least_ns)) w.bound = NULL;
    return w;
}
