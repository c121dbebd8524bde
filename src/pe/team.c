/* team.c: workers: start, set-up, one pass after the other, end.
 *
 *   caller:  team_start ......... start line . go ....... done . go ....... done ... stop: quit, go, join
 *   worker:  bind, name, arenas . start line .. the pass . done .. the pass . done ... leaves
 *
 * A worker that cannot set up stores its error and still reaches the start line; the caller then ends the
 * team. When the stop word is set, every wait returns and every worker leaves its loop; joining is then all
 * that is left to do.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "pe/pe.h"

/* More workers than places share them in turn. */
static size_t place_of(const worker *w) {
    return w->index % omni_topo_cpus(w->engine->o.topo);
}

/* First touch by the worker that will use it, on its own NUMA node, so that no pass has to wait for the
 * kernel; block by block, because a large arena takes seconds and the stop word must be seen in between. The
 * kernel has cleared the pages: one byte of each is enough. */
static omni_status touch(worker *w, volatile char *mem, size_t bytes) {
    enum { BLOCK = 4 << 20, PAGE = 4096 };
    for (size_t at = 0; at < bytes; at += PAGE) {
        omni_status reason = at % BLOCK ? OMNI_OK : omni_stop_get(w->engine->o.stop);
        if (reason != OMNI_OK) return omni_error_set(&w->error, reason, "stopped while the PEs were set up");
        mem[at] = 0;
    }
    return OMNI_OK;
}

omni_status worker_map(worker *w, const pe_form *f, pe *x) {
    if (x->arena_bytes == 0) return OMNI_OK;
    size_t bytes = x->memory.resident_bytes;
    void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mem == MAP_FAILED)
        return omni_error_set(&w->error, OMNI_RUN_FAILED, "PE %zu: no memory for its arena of %zu bytes",
                              x->rank, bytes);
    x->arena = mem;
    /* Weights are streamed: with pages of 2 MiB the TLB never stands in the way, and there are 512 times
     * fewer to ask for. A wish; smaller arenas are not concerned. */
    madvise(mem, bytes, MADV_HUGEPAGE);
    w->unbound |= !omni_topo_bind_memory(w->engine->o.topo, place_of(w), mem, bytes);
    omni_status st = touch(w, mem, bytes);
    if (st == OMNI_OK && !pe_place(&f->o, x))
        st = omni_error_set(&w->error, OMNI_RUN_FAILED, "PE %zu: no memory to lay it out", x->rank);
    return st;
}

void worker_unmap(pe *x) {
    if (x->arena) munmap(x->arena, x->memory.resident_bytes);
    x->arena = NULL;
}

typedef struct scratch {
    size_t matmul, attention; /* bytes */
} scratch;

static scratch scratch_of(const omni_engine_options *o) {
    size_t longest = 1, widest = 1, attention;
    for (size_t s = 0; s < o->sequences; s++) longest = o->capacity[s] > longest ? o->capacity[s] : longest;
    for (size_t i = 0; i < o->plan->weight_count; i++) {
        size_t in = o->plan->weight[i].in.part[0].width;
        widest = in > widest ? in : widest;
    }
    size_t rows = o->max_tokens < MATMUL_ROWS ? o->max_tokens : MATMUL_ROWS;
    if (!omni_size_mul(omni_attention_scratch_floats(longest), sizeof(float), &attention))
        attention = SIZE_MAX;
    return (scratch){omni_matmul_scratch_bytes(o->compute, rows, widest), attention};
}

/* A switch needs two staging buffers. */
size_t worker_scratch_bytes(const omni_engine *e) {
    scratch s = scratch_of(&e->form[0].o);
    size_t sum, staging = 0;
    if (e->forms > 1 && (!switch_staging(e, &staging) || !omni_size_mul(staging, 2, &staging)))
        return SIZE_MAX;
    bool fits = omni_size_add(s.matmul, s.attention, &sum) && omni_size_add(sum, staging, &sum);
    return fits ? sum : SIZE_MAX;
}

static bool allocate_staging(worker *w) {
    const omni_engine *e = w->engine;
    if (e->forms == 1) return true;
    w->staging = switch_staging(e, &w->staging_bytes) ? omni_alloc_array(2, w->staging_bytes) : NULL;
    return w->staging != NULL;
}

static omni_status allocate_scratch(worker *w) {
    const omni_engine_options *o = &w->engine->form[0].o;
    scratch s = scratch_of(o);
    w->matmul_scratch = omni_alloc(s.matmul);
    w->attention_scratch = omni_alloc(s.attention);
    w->kv_of = omni_alloc_array(o->model->shape.heads, sizeof *w->kv_of);
    w->tokens = omni_alloc_array(o->sequences + o->max_marks, sizeof *w->tokens);
    w->views = omni_alloc_array(w->ranks.count, sizeof *w->views);
    w->buffers = omni_alloc_array(w->ranks.count, sizeof *w->buffers);
    w->share = omni_alloc_array(w->ranks.count, sizeof *w->share);
    if (w->matmul_scratch && w->attention_scratch && w->kv_of && w->tokens && w->views && w->buffers &&
        w->share && allocate_staging(w) && trace_create(w))
        return OMNI_OK;
    return omni_error_set(&w->error, OMNI_RUN_FAILED, "worker %zu: no memory for its scratch", w->index);
}

/* Its ranks, cut where a group or a stage ends; idle ones are in none. */
void worker_find_shares(worker *w, const omni_plan *plan) {
    const omni_mesh *mesh = &plan->mesh;
    size_t end = w->ranks.start + w->ranks.count;
    w->shares = 0;
    for (size_t r = w->ranks.start; r < end && r < mesh->used;) {
        omni_seat seat = omni_mesh_seat(mesh, r);
        size_t last = seat.first + seat.p < end ? seat.first + seat.p : end;
        w->share[w->shares++] = (pe_share){seat.group, seat.stage, {r, last - r}};
        r = last;
    }
}

static omni_status load_form(worker *w, const pe_form *f) {
    pe *x = &f->pe[w->ranks.start];
    omni_status st = OMNI_OK;
    for (size_t i = 0; i < w->ranks.count && st == OMNI_OK; i++) st = worker_map(w, f, &x[i]);
    return st == OMNI_OK ? pe_load(&f->o, x, w->ranks.count, &w->error) : st;
}

/* The kernel keeps 15 characters: the first form that fits. */
void worker_name(char name[16], size_t index, omni_range ranks) {
    static const char *const forms[][3] = {{"omni-w%zu pe%zu-%zu", "w%zu pe%zu-%zu", "w%zu"},
                                           {"omni-w%zu pe%zu", "w%zu pe%zu", "w%zu"}};
    char text[80];
    for (size_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text, forms[ranks.count == 1][i], index, ranks.start,
                 ranks.start + ranks.count - 1);
        if (strlen(text) < 16) break;
    }
    snprintf(name, 16, "%.15s", text);
}

static void set_up(worker *w) {
    omni_engine *e = w->engine;
    char name[16];
    worker_name(name, w->index, w->ranks);
    pthread_setname_np(pthread_self(), name);
    w->unbound = !omni_topo_bind_thread(e->o.topo, place_of(w));
    omni_status st = allocate_scratch(w);
    if (e->o.perf && !(w->perf = omni_perf_open()) && st == OMNI_OK)
        st = omni_error_set(&w->error, OMNI_RUN_FAILED, "worker %zu: no memory for its counts", w->index);
    if (st == OMNI_OK) worker_find_shares(w, e->o.plan);
    for (size_t f = 0; f < (e->o.resident ? e->forms : 1); f++)
        if (st == OMNI_OK) st = load_form(w, &e->form[f]);
}

static bool run(worker *w) {
    if (w->perf) omni_perf_begin(w->perf);
    bool ok = w->engine->switching ? exec_switch(w) : exec_pass(w);
    if (w->perf) omni_perf_end(w->perf);
    return ok;
}

static void *work(void *arg) {
    worker *w = arg;
    omni_engine *e = w->engine;
    const omni_stop *stop = e->o.stop; /* between `done` and `go` the caller may write e->o */
    set_up(w);
    bool going = omni_barrier_wait(e->start, w->index, e->wait, stop);
    for (uint32_t pass = 1; going; pass++) {
        going = omni_word_wait(&e->go, pass, e->wait, stop) &&
                !atomic_load_explicit(&e->quit, memory_order_relaxed) && run(w) &&
                omni_barrier_wait(e->done, w->index, e->wait, stop);
    }
    return NULL;
}

omni_status team_error(omni_engine *e, omni_error *err) {
    omni_status st = OMNI_OK;
    bool unbound = false;
    for (size_t i = 0; i < e->workers; i++) {
        unbound |= e->worker[i].unbound;
        if (e->worker[i].error.status != OMNI_OK && st == OMNI_OK)
            st = omni_error_set(err, e->worker[i].error.status, "%s", e->worker[i].error.text);
    }
    if (unbound)
        snprintf(e->warning, sizeof e->warning,
                 "binding threads or memory to their places was refused; the run goes on unbound");
    return st;
}

omni_status team_start(omni_engine *e, omni_error *err) {
    for (size_t i = 0; i < e->workers; i++) {
        worker *w = &e->worker[i];
        w->engine = e;
        w->index = i;
        w->ranks = omni_split(e->pes, e->workers, i);
        w->cpu = omni_topo_cpu(e->o.topo, place_of(w))->os_index;
        int failed = pthread_create(&w->thread, NULL, work, w);
        if (failed) {
            omni_stop_set(
                e->o.stop,
                OMNI_RUN_FAILED); /* those that run wait for ever at a start line that stays short */
            return omni_error_set(err, OMNI_RUN_FAILED, "worker %zu of %zu: no thread: %s", i, e->workers,
                                  strerror(failed));
        }
        w->started = true;
    }
    if (!omni_barrier_wait(e->start, e->workers, e->host_wait, e->o.stop)) {
        team_stop(e); /* errors may be read once nobody writes them */
        omni_status st = team_error(e, err);
        return st != OMNI_OK
                   ? st
                   : omni_error_set(err, omni_stop_get(e->o.stop), "stopped while the PEs were set up");
    }
    return team_error(e, err);
}

void team_stop(omni_engine *e) {
    atomic_store_explicit(&e->quit, true, memory_order_relaxed);
    omni_word_publish(&e->go, ++e->passes);
    for (size_t i = 0; i < e->workers; i++) {
        worker *w = &e->worker[i];
        if (w->started) pthread_join(w->thread, NULL);
        w->started = false;
    }
    for (size_t i = 0; i < e->workers; i++) {
        worker *w = &e->worker[i];
        omni_free(w->matmul_scratch);
        omni_free(w->attention_scratch);
        omni_free(w->kv_of);
        omni_free(w->tokens);
        omni_free(w->views);
        omni_free(w->buffers);
        omni_free(w->share);
        omni_free(w->staging);
        omni_perf_close(w->perf);
        w->share = NULL;
        w->perf = NULL;
        w->staging = NULL;
        w->matmul_scratch = w->attention_scratch = NULL;
        w->kv_of = NULL;
        w->tokens = NULL;
        w->views = NULL;
        w->buffers = NULL;
    }
    for (size_t f = 0; f < e->forms; f++)
        for (size_t r = 0; r < e->pes; r++) worker_unmap(&e->form[f].pe[r]);
}
