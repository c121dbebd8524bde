/* plan_claims.c: the end of an explain page: what the notes that omnibus started from say, beside what moves.
 *
 *   layers  item  part  the notes say   moves   verdict   prefill  decode step
 *
 * Long cells go on in the next line. Messages are those for one sequence in one piece of the bus; bytes are
 * all.
 */
#include <stdio.h>
#include <string.h>

#include "plan.h"

enum { CELL = 400 };

static const struct {
    const char *key, *words;
} verdicts[OMNI_VERDICTS] = {
    [OMNI_CLAIM_HOLDS] = {"holds", "holds"},
    [OMNI_CLAIM_HOLDS_PLUS] = {"holds_plus", "holds for its part; plus"},
    [OMNI_CLAIM_FAILS] = {"does_not_hold", "does not:"},
    [OMNI_CLAIM_ADDS] = {"adds", "adds"},
    [OMNI_CLAIM_IDLE] = {"idle", "nothing moves:"},
};

/* --- facts ------------------------------------------------------------------------------------ */

/* "1 reduction + 2 broadcasts"; "-" for none. */
static const char *messages_text(const omni_counters *c, char *buf, size_t cap) {
    const struct {
        uint64_t count;
        const char *one, *many;
    } kind[] = {{c->reductions, "reduction", "reductions"},
                {c->tree_gathers, "tree gather", "tree gathers"},
                {c->broadcasts, "broadcast", "broadcasts"},
                {c->addressed_messages, "addressed", "addressed"}};
    size_t used = 0;
    snprintf(buf, cap, "-");
    for (size_t i = 0; i < sizeof kind / sizeof *kind && used < cap; i++)
        if (kind[i].count)
            used += (size_t)snprintf(buf + used, cap - used, "%s%llu %s", used ? " + " : "",
                                     (unsigned long long)kind[i].count,
                                     kind[i].count == 1 ? kind[i].one : kind[i].many);
    return buf;
}

/* In a decode step there may be fewer: slices without a token are not sent. */
static void both_phases_text(const situation *s, const omni_claim *row, char buf[CELL]) {
    char prefill[CELL / 3], decode[CELL / 3];
    messages_text(&row->one_prefill, prefill, sizeof prefill);
    messages_text(&row->one_decode, decode, sizeof decode);
    bool same = s->encoder || strcmp(prefill, decode) == 0;
    snprintf(buf, CELL, "%s%s%s", prefill, same ? "" : "; decoding ", same ? "" : decode);
}

static void scope_text(const omni_claim *row, char buf[CELL]) {
    size_t last = (size_t)row->layer + (row->layers - 1) * row->stride;
    if (row->scope != OMNI_CLAIM_OF_LAYER)
        snprintf(buf, CELL, "%s", row->scope == OMNI_CLAIM_OF_PASS ? "pass" : "cycle");
    else if (row->layers == 1)
        snprintf(buf, CELL, "%d", row->layer);
    else if (row->layers == 2 || row->stride == 1)
        snprintf(buf, CELL, "%d%s%zu", row->layer, row->stride == 1 ? "-" : ",", last);
    else
        snprintf(buf, CELL, "%d-%zu:%zu", row->layer, last, row->stride);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *claim_json(const omni_claim *row) {
    json_t *object = json_object();
    bool layer = row->scope == OMNI_CLAIM_OF_LAYER;
    cli_set(&object, "item", omni_json_string(row->item));
    cli_set(&object, "claim", json_string(row->claim));
    cli_set(&object, "part", json_string(row->part));
    cli_set(&object, "of",
            json_string(layer                              ? "layer"
                        : row->scope == OMNI_CLAIM_OF_PASS ? "pass"
                                                           : "cycle"));
    cli_set(&object, "layer", layer ? json_integer(row->layer) : json_null());
    cli_set(&object, "layers", layer ? cli_size(row->layers) : json_null());
    cli_set(&object, "stride", layer ? cli_size(row->stride) : json_null());
    cli_set(&object, "verdict", json_string(verdicts[row->verdict].key));
    cli_set(&object, "reason", json_string(row->reason));
    cli_set(&object, "one_sequence_prefill", omni_json_counters(&row->one_prefill));
    cli_set(&object, "one_sequence_decode", omni_json_counters(&row->one_decode));
    cli_set(&object, "prefill_bytes", cli_size(plan_moved(&row->prefill)));
    cli_set(&object, "decode_bytes", cli_size(plan_moved(&row->decode)));
    cli_set(&object, "prefill", omni_json_counters(&row->prefill));
    cli_set(&object, "decode", omni_json_counters(&row->decode));
    return object;
}

/* --- page ------------------------------------------------------------------------------------- */

/* Cuts a line of at most `width` off a text, at a blank if there is one. */
static void take_line(const char **text, size_t width, char line[CELL]) {
    size_t length = strlen(*text), cut = length;
    if (length > width)
        for (cut = width; cut > 0 && (*text)[cut] != ' ';) cut--;
    if (cut == 0) cut = length > width ? width : length;
    snprintf(line, CELL, "%.*s", (int)cut, *text);
    *text += cut;
    while (**text == ' ') ++*text;
}

static void bytes_text(uint64_t bytes, char buf[CELL]) {
    if (bytes)
        omni_format_bytes(buf, CELL, bytes);
    else
        snprintf(buf, CELL, "-");
}

/* The decode step is last: an encoder has none. */
static const struct {
    const char *header;
    size_t width;
} columns[] = {{"layers", 8}, {"item", 12},    {"part", 16},     {"the notes say", 38},
               {"moves", 24}, {"verdict", 40}, {">prefill", 12}, {">decode step", 12}};
enum { COLUMNS = sizeof columns / sizeof *columns };

static void add_wrapped(omni_table *t, const char *const *cell, size_t cells) {
    const char *left[COLUMNS];
    bool more = true;
    memcpy(left, cell, cells * sizeof *left);
    while (more) {
        more = false;
        for (size_t i = 0; i < cells; i++) {
            char line[CELL];
            take_line(&left[i], columns[i].width, line);
            omni_table_cell(t, "%s", line);
            more |= *left[i] != '\0';
        }
    }
}

static void add_claim(omni_table *t, const situation *s, const omni_claim *row) {
    char layers[CELL], messages[CELL], prefill[CELL], decode[CELL], verdict[CELL];
    scope_text(row, layers);
    both_phases_text(s, row, messages);
    bytes_text(plan_moved(&row->prefill), prefill);
    bytes_text(plan_moved(&row->decode), decode);
    snprintf(verdict, sizeof verdict, "%s%s%s", verdicts[row->verdict].words,
             !row->reason[0]                    ? ""
             : row->verdict == OMNI_CLAIM_HOLDS ? ": "
                                                : " ",
             row->reason);
    const char *const cell[COLUMNS] = {
        layers, row->item ? row->item : "-", row->part, row->claim, messages, verdict, prefill, decode};
    add_wrapped(t, cell, COLUMNS - s->encoder);
}

/* --- the two passes --------------------------------------------------------------------------- */

/* A situation's extents share their arrays: the prefill's are copied. */
static omni_extent copy_extent(omni_extent e, size_t *first, size_t *counts) {
    memcpy(first, e.first, e.sequences * sizeof *first);
    memcpy(counts, e.counts, e.sequences * sizeof *counts);
    e.first = first;
    e.counts = counts;
    return e;
}

static omni_status find_claims(const situation *s, omni_claim **rows, size_t *count, omni_error *err) {
    size_t *first = omni_alloc_array(s->batch, sizeof *first),
           *counts = omni_alloc_array(s->batch, sizeof *counts);
    omni_status status = OMNI_OK;
    if (first && counts) {
        omni_extent prefill = copy_extent(situation_extent(s, 0), first, counts), decode = {0};
        if (!s->encoder) decode = situation_extent(s, 1);
        status = omni_plan_claims(s->plan, prefill, decode, rows, count, err);
    } else {
        status = omni_error_set(err, OMNI_RUN_FAILED, "no memory for %zu sequences", s->batch);
    }
    omni_free(first);
    omni_free(counts);
    return status;
}

omni_status plan_claims_situation(planning *k, const situation *s, json_t **array, omni_error *err) {
    const char *headers[COLUMNS];
    omni_claim *rows;
    size_t count;
    omni_status status = find_claims(s, &rows, &count, err);
    if (status) return status;
    for (size_t i = 0; i < COLUMNS; i++)
        headers[i] = i + 2 == COLUMNS && s->encoder ? ">encode" : columns[i].header;
    omni_table *t = omni_table_create(headers, COLUMNS - s->encoder);
    for (size_t i = 0; i < count; i++) {
        add_claim(t, s, &rows[i]);
        cli_append(array, claim_json(&rows[i]));
    }
    omni_text_add(k->page, "\nclaims (messages: for one sequence, in one piece of the bus; bytes: all)\n\n");
    omni_table_draw(t, k->page);
    omni_table_free(t);
    omni_free(rows);
    return OMNI_OK;
}
