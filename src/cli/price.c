/* price.c: arrays as --array and --set ask for them; modelled times, energies and passes for reports. */
#include <stdio.h>
#include <string.h>

#include "price.h"

/* --- arrays ----------------------------------------------------------------------------------- */

typedef struct arrays {
    omni_array **at;
    size_t count;
} arrays;

enum { MOST_ARRAYS = 4096 };

static omni_status append(arrays *l, omni_array *a, omni_error *err) {
    if (a && l->count < MOST_ARRAYS) {
        l->at[l->count++] = a;
        return OMNI_OK;
    }
    omni_array_free(a);
    return a ? omni_error_set(err, OMNI_BAD_INPUT,
                              "--array, --set: more than %d arrays (expected shorter lists)", MOST_ARRAYS)
             : omni_error_set(err, OMNI_RUN_FAILED, "out of memory");
}

static void drop(arrays *l) {
    for (size_t i = 0; l->at && i < l->count; i++) omni_array_free(l->at[i]);
    omni_free(l->at);
    *l = (arrays){0};
}

static omni_status begin(arrays *l, omni_error *err) {
    *l = (arrays){.at = omni_alloc_array(MOST_ARRAYS, sizeof *l->at)};
    return l->at ? OMNI_OK : omni_error_set(err, OMNI_RUN_FAILED, "out of memory");
}

/* The next of a comma separated list into buf; false: there is none. */
static bool next_item(const char **at, char *buf, size_t cap) {
    if (!*at) return false;
    size_t length = strcspn(*at, ",");
    snprintf(buf, cap, "%.*s", (int)length, *at);
    *at = (*at)[length] ? *at + length + 1 : NULL;
    return true;
}

static omni_status load_all(const char *list, arrays *l, omni_error *err) {
    char name[512];
    omni_status status = begin(l, err);
    while (!status && next_item(&list, name, sizeof name)) {
        omni_array *a;
        status = omni_array_load(name, &a, err);
        if (!status) status = append(l, a, err);
    }
    return status;
}

/* Each array with each value, in place of the arrays. */
static omni_status vary(arrays *l, const char *key, const char *values, omni_error *err) {
    arrays varied;
    omni_status status = begin(&varied, err);
    for (size_t i = 0; i < l->count && !status; i++) {
        char value[4096]; /* a list of faults is at most 64 ranges */
        const char *at = values;
        while (!status && next_item(&at, value, sizeof value)) {
            status = append(&varied, omni_array_copy(l->at[i]), err);
            if (!status) status = omni_array_set(varied.at[varied.count - 1], key, value, err);
        }
    }
    drop(l);
    *l = varied;
    return status;
}

static omni_status vary_all(const cli *c, arrays *l, omni_error *err) {
    omni_status status = OMNI_OK;
    for (size_t i = 0; i < omni_settings_count(c->settings, OMNI_OPT_SET) && !status; i++) {
        const char *text = omni_settings_nth(c->settings, OMNI_OPT_SET, i), *equals = strchr(text, '=');
        char key[64];
        if (!equals || equals == text || !equals[1])
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "--set: '%.60s' (expected KEY=VALUE, as in bus.width=64)", text);
        snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
        status = vary(l, key, equals + 1, err);
    }
    return status;
}

omni_status price_arrays(const cli *c, omni_array ***out, size_t *count, omni_error *err) {
    arrays l = {0};
    const char *list = omni_settings_get(c->settings, OMNI_OPT_ARRAY);
    if (!list)
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "no --array (expected a file, or a name in configs/arrays)");
    omni_status status = load_all(list, &l, err);
    if (!status) status = vary_all(c, &l, err);
    bool one = c->command == OMNI_CMD_RUN || c->command == OMNI_CMD_BENCH;
    if (!status && one && l.count != 1)
        status = omni_error_set(err, OMNI_BAD_INPUT, "--array, --set: %zu arrays (%s takes one)", l.count,
                                c->command == OMNI_CMD_RUN ? "run" : "bench");
    if (status) drop(&l);
    *out = l.at;
    *count = l.count;
    return status;
}

void price_arrays_free(omni_array **list, size_t count) {
    arrays l = {list, count};
    drop(&l);
}

/* --- text ------------------------------------------------------------------------------------- */

/* x thousandths of the first unit, in the largest unit that keeps it above 1. */
static const char *in_units(char buf[32], double x, const char *const *unit, size_t units) {
    size_t i = 0;
    for (; i + 1 < units && x >= 1000; i++) x /= 1000;
    snprintf(buf, 32, "%.*f %s", x >= 1000 ? 0 : x >= 100 ? 1 : x >= 10 ? 2 : 3, x, unit[i]);
    return buf;
}

const char *price_time(char buf[32], uint64_t ps) {
    return in_units(buf, (double)ps, (const char *const[]){"ps", "ns", "us", "ms", "s"}, 5);
}

const char *price_energy(char buf[32], uint64_t pj) {
    if (pj == 0) return "-";
    return in_units(buf, (double)pj, (const char *const[]){"pJ", "nJ", "uJ", "mJ", "J"}, 5);
}

const char *price_share(char buf[32], uint64_t ppm) {
    if (ppm == OMNI_PRICE_UNKNOWN) return "-";
    snprintf(buf, 32, "%.1f%%", (double)ppm / 1e4);
    return buf;
}

const char *price_loss(char buf[32], uint64_t ps, uint64_t healthy_ps) {
    snprintf(buf, 32, "%+.1f%%", 100 * ((double)ps / (double)healthy_ps - 1));
    return buf;
}

const char *price_busy_header(const omni_array *array) {
    return omni_array_network(array) == OMNI_NETWORK_BUS ? ">bus busy" : ">links busy";
}

/* --- JSON ------------------------------------------------------------------------------------- */

json_t *price_energy_json(uint64_t pj) {
    return pj ? cli_size(pj) : json_null();
}

static json_t *share_json(uint64_t ppm) {
    return ppm == OMNI_PRICE_UNKNOWN ? json_null() : omni_json_number((double)ppm / 1e6);
}

static json_t *path_json(const omni_price *p) {
    json_t *rows = json_array();
    for (size_t i = 0; i < p->rows; i++) {
        json_t *row = json_object();
        cli_set(&row, "op", omni_json_string(p->row[i].op));
        cli_set(&row, "kind", omni_json_string(omni_price_kind_name(p->row[i].kind)));
        cli_set(&row, "ps", cli_size(p->row[i].ps));
        cli_append(&rows, row);
    }
    return rows;
}

json_t *price_json(const omni_price *p, bool path) {
    json_t *object = json_object();
    cli_set(&object, "ps", cli_size(p->ps));
    for (size_t k = 0; k < OMNI_PRICE_KINDS; k++) {
        char key[32];
        snprintf(key, sizeof key, "%s_ps", omni_price_kind_name((omni_price_kind)k));
        cli_set(&object, key, p->rows ? cli_size(p->kind[k]) : json_null());
    }
    cli_set(&object, "bus_busy", p->link_bytes ? json_null() : share_json(p->busy_ppm));
    cli_set(&object, "link_busy", p->link_bytes ? share_json(p->busy_ppm) : json_null());
    cli_set(&object, "link_bytes", cli_size(p->link_bytes));
    cli_set(&object, "pes_busy", share_json(p->computing_ppm));
    cli_set(&object, "grants", cli_size(p->grants));
    cli_set(&object, "conflicts", cli_size(p->conflicts));
    cli_set(&object, "wait_ps", cli_size(p->wait_ps));
    cli_set(&object, "macs", cli_size(p->macs));
    cli_set(&object, "memory_bytes", cli_size(p->memory_bytes));
    cli_set(&object, "energy_pj", price_energy_json(p->energy_pj));
    cli_set(&object, "moved", omni_json_counters(&p->moved));
    if (path) cli_set(&object, "critical_path", path_json(p));
    return object;
}

json_t *price_need_json(const omni_need *n, bool fits) {
    json_t *object = json_object();
    cli_set(&object, "weight_bytes", cli_size(n->weight_bytes));
    cli_set(&object, "kv_bytes", cli_size(n->kv_bytes));
    cli_set(&object, "activation_bytes", cli_size(n->activation_bytes));
    cli_set(&object, "all_bytes", cli_size(n->all_bytes));
    cli_set(&object, "fits", json_boolean(fits));
    return object;
}

/* --- choosing --------------------------------------------------------------------------------- */

static void note_choice(const cli *c, const omni_array *array, const omni_candidate *best,
                        const price_choice *choice, const omni_pair *pair) {
    char total[32], one[32];
    if (!choice->joined) {
        cli_note(c, "plan auto: %s, the fastest of those tried on %s: %s%s", best->spec.name,
                 omni_array_name(array), price_time(total, best->estimate.ps),
                 best->estimate.fits ? "" : "; none fits into the memory of its PEs");
        return;
    }
    cli_note(c, "plan auto: %s then %s%s, the fastest of those tried on %s: %s (as one plan %s: %s)",
             choice->plan.name, choice->decode.name, choice->resident ? " (weights of both resident)" : "",
             omni_array_name(array), price_time(total, pair->way[pair->best].ps), best->spec.name,
             price_time(one, best->estimate.ps));
}

omni_status price_choose(const cli *c, const omni_array *array, size_t pes, omni_task task, bool may_join,
                         price_choice *out, omni_error *err) {
    omni_candidate *found;
    omni_pair pair = {0};
    size_t count;
    omni_status status = omni_search(array, c->model, pes, task, NULL, 0, cli_stopped, &found, &count, err);
    *out = (price_choice){0};
    if (status) return status;
    if (may_join)
        status = omni_search_pair(array, c->model, pes, task, found, count, cli_stopped, &pair, err);
    out->plan = found[0].spec;
    out->joined = pair.wins;
    if (out->joined) {
        out->plan = pair.prefill->spec;
        out->decode = pair.decode->spec;
        out->resident = pair.best == OMNI_PAIR_RESIDENT;
    }
    if (!status) note_choice(c, array, &found[0], out, &pair);
    omni_free(found);
    return status;
}
