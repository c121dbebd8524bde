/* perf.h: --perf and --perf-ctl, as run and bench have them: counts of each worker in each phase, as a table
 * and JSON.
 *
 * A worker that carries one PE is that PE; the counts of one that carries several are of all of them
 * together, and the row says so.
 */
#ifndef OMNIBUS_CLI_PERF_H
#define OMNIBUS_CLI_PERF_H

#include "cli/cli.h"
#include "omnibus/perf.h"

typedef enum cli_phase { CLI_PREFILL, CLI_DECODE, CLI_TRANSFORM, CLI_PHASES } cli_phase;

typedef struct cli_perf {
    bool wanted;                         /* --perf; set before it is opened */
    size_t pes, workers;                 /* workers: 0 unless wanted: then every function here does nothing */
    omni_perf_counts *seen;              /* [workers] the engine's, when they were looked at last */
    omni_perf_counts *phase[CLI_PHASES]; /* [workers] */
    bool used[CLI_PHASES];
} cli_perf;

/* Zeroed but for `wanted`; from then on counts are attributed. */
omni_status cli_perf_open(cli_perf *p, const omni_engine *e, size_t pes, omni_error *err);
void cli_perf_free(cli_perf *p);
/* What was counted since the last of these two is the phase's, or nobody's. */
void cli_perf_take(cli_perf *p, const omni_engine *e, cli_phase phase);
void cli_perf_skip(cli_perf *p, const omni_engine *e);
void cli_perf_forget(cli_perf *p); /* all phases are empty */

/* {"unavailable": {event: reason}, "counts": [{"phase", "worker", "first_pe", "pes", event: value, "ipc"}]};
 * null without --perf. */
json_t *cli_perf_json(const cli_perf *p);
/* The table's rows, and below it what it cannot show. `first` is what the prefill is called, `before` stands
 * in front of each phase. */
omni_table *cli_perf_table(void);
void cli_perf_rows(const cli_perf *p, const char *first, const char *before, omni_table *t);
void cli_perf_reasons(const cli_perf *p, omni_text *page);

/* The fifos of --perf-ctl; NULL without. */
omni_status cli_perf_control(const cli *c, omni_perf_control **out, omni_error *err);

#endif
