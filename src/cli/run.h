/* run.h: what the files of `omnibus run` share: the prompts, one run, and its dump. */
#ifndef OMNIBUS_CLI_RUN_H
#define OMNIBUS_CLI_RUN_H

#include "cli/cli.h"
#include "cli/perf.h"
#include "omnibus/array.h"
#include "omnibus/text.h"

typedef struct prompts {
    size_t count, tokens; /* tokens: of all */
    int32_t **ids;        /* [count][length] */
    size_t *length;       /* [count] */
    int32_t **types;      /* [count][length] token types; NULL: all 0 */
    char **text;          /* [count] as given, a pair's two joined by " | "; NULL: given as ids */
} prompts;

/* A sequence from elsewhere, as the reader below has it; `where` names it in errors. Takes nothing. */
typedef struct prompt {
    const int32_t *ids, *types; /* [length] types NULL: all 0 */
    size_t length;
    const char *text; /* NULL: none */
    const char *where;
} prompt;
typedef struct reader {
    const cli *c;
    const omni_model *model;
    size_t gen;
    prompts *out;
    omni_tokenizer **tokenizer; /* opened when the first text comes */
    omni_error *err;
} reader;
omni_status prompts_add(const reader *r, const prompt *p);
omni_status prompts_read_text(const reader *r); /* run_text.c: --prompt and --prompt-file */

/* From --prompt-ids, --ids-file, --prompt and --prompt-file in this order, the n-th --token-types belonging
 * to the n-th of them; each checked against the model: ids, types, and positions with gen tokens more.
 * *tokenizer: NULL while there is no text; free it. */
omni_status prompts_read(const cli *c, size_t gen, prompts *out, omni_tokenizer **tokenizer, omni_error *err);
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

/* What is said, where there is a tokenizer: run_text.c. */
typedef struct spoken {
    omni_tokenizer *tokenizer; /* NULL: all prompts were ids, and nothing is decoded */
    omni_stream **stream;      /* [count] */
    omni_text **text;          /* [count] generated so far */
    size_t *shown;             /* [count] bytes of it on stdout */
    size_t mute;               /* generated tokens that the tokenizer has no text for */
    size_t current;            /* the sequence that is being shown */
    bool live;                 /* text goes to stdout as it is generated */
    bool open;                 /* in the middle of a sequence's text */
} spoken;

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

/* --trace: run_trace.c. */
typedef struct timeline {
    const char *path; /* NULL: none asked for */
    size_t events;    /* room for so many; 0 without a path */
} timeline;

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
    spoken spoken;
    omni_sampler *sampler; /* NULL: greedy */
    encoded encoded;
    modelled modelled;
    const omni_plan *now; /* the plan of the next pass */
    dump dump;
    timeline trace;
    uint64_t load_ns, prefill_ns, transform_ns, decode_ns;
    omni_counters prefill, decode, transform, total;
    cli_perf perf;
    omni_perf_control *control; /* NULL: no --perf-ctl */
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

/* run_text.c: nothing is done without a tokenizer. */
omni_status text_prepare(run *r, omni_error *err);
omni_status text_token(run *r, size_t i, omni_error *err); /* sequence i's newest token */
omni_status text_shown(run *r, omni_error *err); /* after each pass: what can be seen now goes out */
void text_json(const run *r, json_t **root);
void text_note(const run *r);                  /* of tokens without a text, on stderr */
void text_draw(const run *r, omni_text *page); /* all sequences' texts, unless they were shown already */
void text_free(run *r);

/* run_sample.c */
omni_status sample_open(run *r, omni_error *err);
omni_status sample_next(run *r,
                        omni_error *err); /* r->next from the logits of the last pass; greedy: as it is */

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

void run_draw_head(const run *r, omni_text *page); /* model, array, plan */

/* run_trace.c: nothing without --trace. */
omni_status trace_parse(run *r, omni_error *err); /* before anything is run */
omni_status trace_write(run *r, omni_error *err); /* of what was run */

omni_status run_report(run *r, omni_error *err);

#endif
