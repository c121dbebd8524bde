/* topo.c: `omnibus topo`: this machine, and the places in the order that workers take them. With --pes, which
 * PE runs on which worker, by the same rule as the engine: one worker per PE, at most one per place.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "omnibus/kernel.h"

/* PEs on a place: count 0 when none was asked for, or the place stays empty. */
typedef struct placing {
    size_t pes, workers; /* 0: no --pes */
} placing;

static omni_range ranks_of(const placing *p, size_t place) {
    return place < p->workers ? omni_split(p->pes, p->workers, place) : (omni_range){0};
}

/* "", "3" or "0-3" */
static const char *ranks_text(omni_range r, char buf[48]) {
    buf[0] = '\0';
    if (r.count == 1) snprintf(buf, 48, "%zu", r.start);
    if (r.count > 1) snprintf(buf, 48, "%zu-%zu", r.start, r.start + r.count - 1);
    return buf;
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *place_json(const omni_cpu *cpu, size_t place, const placing *p) {
    json_t *object = json_object();
    cli_set(&object, "worker", cli_size(place));
    cli_set(&object, "cpu", cli_size(cpu->os_index));
    cli_set(&object, "core", cli_size(cpu->core));
    cli_set(&object, "package", cli_size(cpu->package));
    cli_set(&object, "numa_node", cli_size(cpu->numa));
    cli_set(&object, "smt_sibling", json_boolean(cpu->smt_sibling));
    if (!p->pes) return object;
    omni_range ranks = ranks_of(p, place);
    json_t *list = json_array();
    for (size_t i = 0; i < ranks.count; i++) cli_append(&list, cli_size(ranks.start + i));
    cli_set(&object, "pes", list);
    return object;
}

static json_t *places_json(const cli *c, const placing *p) {
    json_t *places = json_array();
    for (size_t i = 0; i < omni_topo_cpus(c->topo); i++)
        cli_append(&places, place_json(omni_topo_cpu(c->topo, i), i, p));
    return places;
}

/* --- page ------------------------------------------------------------------------------------- */

static void add_size(omni_table *t, const char *name, uint64_t bytes) {
    char text[32];
    omni_table_cell(t, "%s", name);
    omni_table_cell(t, "%s", bytes ? omni_format_bytes(text, sizeof text, bytes) : "not known");
}

static void add_text(omni_table *t, const char *name, const char *text) {
    omni_table_cell(t, "%s", name);
    omni_table_cell(t, "%s", text);
}

static void add_count(omni_table *t, const char *name, size_t count) {
    omni_table_cell(t, "%s", name);
    omni_table_cell(t, "%zu", count);
}

static void draw_machine(const cli *c, omni_text *page) {
    const omni_host *h = omni_topo_host(c->topo);
    size_t quota = omni_topo_quota(c->topo);
    omni_table *t = omni_table_create((const char *const[]){"machine", ""}, 2);
    add_text(t, "cpu", h->cpu_model);
    add_count(t, "packages", h->packages);
    add_count(t, "cores", h->cores);
    add_count(t, "threads", h->threads);
    add_count(t, "numa nodes", h->numa_nodes);
    add_size(t, "l1d cache", h->l1d_bytes);
    add_size(t, "l2 cache", h->l2_bytes);
    add_size(t, "l3 cache", h->l3_bytes);
    add_size(t, "memory", h->memory_bytes);
    add_size(t, "memory available", omni_topo_memory_available());
    add_text(t, "kernel", h->kernel);
    omni_table_cell(t, "cgroup quota");
    omni_table_cell(t, quota ? "%zu cpus" : "none", quota);
    add_text(t, "math kernels", omni_isa_name(omni_kernel_isa()));
    add_count(t, "usable cpus", omni_topo_cpus(c->topo));
    add_count(t, "workers at once", omni_topo_parallel(c->topo));
    omni_table_draw(t, page);
    omni_table_free(t);
}

static void draw_places(const cli *c, const placing *p, omni_text *page) {
    static const char *const headers[] = {">worker", ">cpu", ">core", ">package", ">numa", "thread", ">PEs"};
    omni_table *t = omni_table_create(headers, p->pes ? 7 : 6);
    for (size_t i = 0; i < omni_topo_cpus(c->topo); i++) {
        const omni_cpu *cpu = omni_topo_cpu(c->topo, i);
        char ranks[48];
        omni_table_cell(t, "%zu", i);
        omni_table_cell(t, "%u", cpu->os_index);
        omni_table_cell(t, "%u", cpu->core);
        omni_table_cell(t, "%u", cpu->package);
        omni_table_cell(t, "%u", cpu->numa);
        omni_table_cell(t, "%s", cpu->smt_sibling ? "sibling" : "first");
        if (p->pes) omni_table_cell(t, "%s", ranks_text(ranks_of(p, i), ranks));
    }
    omni_text_add(page, "\n");
    omni_table_draw(t, page);
    omni_table_free(t);
}

static void draw_placing(const cli *c, const placing *p, omni_text *page) {
    char ranks[48];
    omni_text_add(page, "\n");
    for (size_t w = 0; w < p->workers; w++)
        omni_text_add(page, "pe %s -> worker %zu -> cpu %u\n", ranks_text(ranks_of(p, w), ranks), w,
                      omni_topo_cpu(c->topo, w)->os_index);
}

/* --- the command ------------------------------------------------------------------------------ */

static omni_status report(const cli *c, const placing *p, omni_error *err) {
    json_t *root = cli_envelope(c), *places = places_json(c, p);
    cli_set(&root, "isa", json_string(omni_isa_name(omni_kernel_isa())));
    cli_set(&root, "memory_available_bytes", cli_size(omni_topo_memory_available()));
    cli_set(&root, "workers", p->pes ? cli_size(p->workers) : json_null());
    cli_set(&root, "places", places);
    omni_text *page = omni_text_create();
    draw_machine(c, page);
    draw_places(c, p, page);
    if (p->pes) draw_placing(c, p, page);
    return cli_emit(c, root, json_object_get(root, "places"), page, err);
}

omni_status cli_topo(cli *c, omni_error *err) {
    placing p = {0};
    omni_status status = OMNI_OK;
    if (cli_value(c, OMNI_OPT_PES)) status = cli_number(c, OMNI_OPT_PES, 1, CLI_MOST_PES, &p.pes, err);
    if (!status) status = omni_kernel_init(err);
    if (!status) status = cli_open_topo(c, err);
    if (status) return status;
    size_t places = omni_topo_cpus(c->topo);
    p.workers = p.pes < places ? p.pes : places;
    return report(c, &p, err);
}
