/* run.h: what the files of `omnibus run` share: the prompts, one run, and its dump. */
#ifndef OMNIBUS_CLI_RUN_H
#define OMNIBUS_CLI_RUN_H

#include "cli/cli.h"
#include "omnibus/array.h"

typedef struct prompts {
    size_t count, tokens; /* tokens: of all */
    int32_t **ids;        /* [count][length] */
    size_t *length;       /* [count] */
    int32_t **types;      /* [count][length] token types; NULL: all 0 */
} prompts;

/* From --prompt-ids and then --ids-file, the n-th --token-types belonging to the n-th of them; each checked against
 * the model: ids, types, and positions with gen tokens more. */
omni_status prompts_read(const cli *c, size_t gen, prompts *out, omni_error *err);
void prompts_free(prompts *p);

/* Copies of the states of each prompt, for --dump. */
typedef struct dump {
    const char *path; /* NULL: none asked for, and nothing is kept */
    struct {
        float *layer_hidden; /* [layers+1, T, hidden] */
        float *last_hidden;  /* [T, hidden] */
        float *logits;       /* [gen, vocab]; an encoder's: [its marks, vocab] */
        int32_t *mark;       /* [marks] positions of an encoder's marked tokens */
        size_t marks;
    } * prompt;    /* [count] */
    float *normed; /* [tokens, hidden] */
} dump;

/* An encoder's input and result beside ids. */
typedef struct encoded {
    int32_t *types; /* [tokens] */
    size_t *mark;   /* [marks] rows */
    size_t marks;
    float *pooled;      /* [count, hidden] */
    int32_t *predicted; /* [marks] */
} encoded;

/* What the passes cost on the array of --array: run_price.c. */
typedef struct modelled {
    omni_array **array; /* [1]; NULL: none asked for */
    size_t arrays;
    size_t *first; /* [count] positions at which the next pass begins */
    omni_price prefill;
    omni_price step;               /* the last decode step */
    omni_price change;             /* the last change of plans */
    uint64_t change_ps, change_pj; /* of all */
    uint64_t decode_ps, decode_pj; /* of all decode steps that were run */
    omni_array *healthy;           /* NULL: the array has no faults */
    uint64_t healthy_ps[2];        /* on it: the prefill, all decode steps */
    omni_need need;                /* of all plans, one after the other */
    bool fits;
} modelled;

typedef struct run {
    cli *c;
    size_t pes, gen; /* gen: 0 for an encoder */
    prompts prompts;
    omni_plan_spec spec;
    omni_plan *plan;
    cli_schedule *decode_plan; /* [schedules], which is 1; NULL: as the plan */
    size_t schedules;
    const omni_plan **later; /* its plans */
    bool resident;           /* PEs keep the weights of all plans */
    omni_engine *engine;
    size_t *counts;    /* [count] tokens of the next pass */
    int32_t *feed;     /* [tokens] ids of the next pass */
    int32_t *next;     /* [count] */
    int32_t *token;    /* [count, gen] generated */
    size_t *generated; /* [count] */
    bool *ended;       /* [count] at end-of-text */
    size_t decoded;    /* tokens of the decode phase, without those of ended sequences */
    encoded encoded;
    modelled modelled;
    const omni_plan *now; /* the plan of the next pass */
    dump dump;
    uint64_t load_ns, prefill_ns, transform_ns, decode_ns;
    omni_counters prefill, decode, transform, total;
} run;

uint64_t dump_bytes(const run *r); /* what dump_prepare will allocate: the engine's memory check counts it */
omni_status dump_prepare(run *r, omni_error *err);
void dump_prefill(run *r);           /* after the prefill pass */
void dump_step(run *r, size_t step); /* after the pass that decided token `step` */
omni_status dump_write(run *r, omni_error *err);
void dump_free(run *r);

/* run_encode.c */
omni_status encode_check_options(const cli *c, omni_error *err); /* and those that only an encoder takes */
omni_status encode_prepare(run *r, omni_error *err);             /* nothing for other models */
omni_status encode_run(run *r, omni_error *err);
void encode_json(const run *r, json_t **root);
void encode_draw(const run *r, omni_text *page);
void encode_free(run *r);

/* run_price.c: with --array; without, nothing is done. */
omni_status modelled_open(run *r,
                          omni_error *err); /* reads the array, and chooses the plan for --plan auto */
omni_status modelled_start(run *r, omni_error *err); /* the plans are compiled */
omni_status modelled_change(run *r, const omni_plan *from,
                            omni_error *err);                     /* to r->now, between two passes */
omni_status modelled_pass(run *r, bool prefill, omni_error *err); /* the pass of r->counts, under r->now */
void modelled_json(const run *r, json_t **root);
void modelled_draw(const run *r, omni_text *page);
void modelled_free(run *r);

omni_status run_report(run *r, omni_error *err);

#endif
