/* price.h: what `plan --array`, `run --array` and `bench --array` share: arrays as asked for, modelled times
 * in reports. */
#ifndef OMNIBUS_CLI_PRICE_H
#define OMNIBUS_CLI_PRICE_H

#include "cli/cli.h"
#include "omnibus/array.h"

/* Every array of --array with every combination of the values of --set. At least one. Free with
 * price_arrays_free. */
omni_status price_arrays(const cli *c, omni_array ***out, size_t *count, omni_error *err);
void price_arrays_free(omni_array **list, size_t count);

/* "12.35 ms", four digits; "3.210 uJ". No energy at all is one that the array does not know, as a host's:
 * "-", null. */
const char *price_time(char buf[32], uint64_t ps);
const char *price_energy(char buf[32], uint64_t pj);
json_t *price_energy_json(uint64_t pj);
const char *price_share(char buf[32], uint64_t ppm);    /* "4.2%"; "-" of a host's bus, likewise */
const char *price_busy_header(const omni_array *array); /* of the column with the share of its wires' time */
/* "+12.5%": how much longer than on an array without faults, whose time is not 0. */
const char *price_loss(char buf[32], uint64_t ps, uint64_t healthy_ps);

/* A pass: ps, what is on the critical path, occupancy, energy, counters; `path`: by op, too. */
json_t *price_json(const omni_price *p, bool path);
json_t *price_need_json(const omni_need *n, bool fits);

/* What --plan auto comes to: one plan, or one for each phase where these are faster. */
typedef struct price_choice {
    omni_plan_spec plan, decode; /* decode: where `joined` */
    bool joined, resident;       /* resident: PEs hold the weights of both */
} price_choice;
/* The fastest that was tried, with a note on stderr. may_join: a second plan may decode. */
omni_status price_choose(const cli *c, const omni_array *array, size_t pes, omni_task task, bool may_join,
                         price_choice *out, omni_error *err);

#endif
