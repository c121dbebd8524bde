/* plan.h: what the files of `omnibus plan` share: one situation, what moves in it, and the result that grows
 * situation by situation.
 */
#ifndef OMNIBUS_CLI_PLAN_H
#define OMNIBUS_CLI_PLAN_H

#include "cli/cli.h"

/* A plan on so many PEs, with so many sequences of equal length. */
typedef struct situation {
    const omni_plan_spec *spec;
    size_t pes, batch, prompt, gen;
    bool encoder;           /* one pass; no decode steps */
    size_t marks;           /* of a pass: a masked token in each sequence where there is an MLM head */
    char skipped[400];      /* why it cannot be built; empty: it was */
    omni_plan *plan;        /* NULL when skipped */
    size_t *first, *counts; /* [batch] scratch of the extents */
    omni_counters prefill, step, decode; /* one pass; the first decode step; all of them (an encoder's: 0) */
    omni_memory *memory;                 /* [pes]; NULL without weights */
} situation;

/* The batch's extent in the prefill (step 0) or in decode step 1, 2, ... */
omni_extent situation_extent(const situation *s, size_t step);

/* The result so far. */
typedef struct planning {
    cli *c;
    json_t *plans;              /* array of situations */
    json_t *rows;               /* CSV with --explain: a row per op and message; with --diff: per quantity */
    omni_table *table;          /* without either */
    omni_text *page;            /* with */
    const omni_plan_spec *pair; /* with --diff: the two plans; `plans` then has what differs, by situation */
    size_t built, skipped;
    char reason[400]; /* of the first that was skipped */
} planning;

/* The situation's own keys: plan, pes, batch, prompt, gen, skipped. */
json_t *situation_json(const situation *s);
json_t *situation_totals(const situation *s);

/* plan_explain.c: one situation op by op, added to the result. */
omni_status plan_explain_situation(planning *k, const situation *s, omni_error *err);

/* plan_diff.c: two plans in the same situation, added to the result. One may be skipped. */
omni_status plan_diff_situation(planning *k, const situation *p, const situation *q, omni_error *err);

json_t *plan_diff_json(const planning *k); /* the result so far */

/* "4 PEs, batch 1, prompt 64, 16 to generate", a line. */
void plan_draw_situation(const situation *s, omni_text *page);

/* All bytes between PEs and at the host port. */
uint64_t plan_moved(const omni_counters *c);

/* plan_claims.c: what the notes say, at the end of the page and into the array. */
omni_status plan_claims_situation(planning *k, const situation *s, json_t **array, omni_error *err);

/* Bytes of the op's weights on the rank that has the most of them; exact for the checkpoint's types when it
 * is open, else float32. plan_weights.c */
uint64_t plan_weight_bytes(const cli *c, const omni_plan *plan, const omni_explain *row);

/* plan_price.c: with --array or --verify, what plans cost: all of the command. */
omni_status plan_price(cli *c, omni_error *err);

#endif
