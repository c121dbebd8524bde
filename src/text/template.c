/* template.c: post-processors of tokenizer.json: which tokens stand around one text and around a pair, and whose
 * segment (type) each token is.
 *
 *   BERT   single  [CLS]:0 A:0 [SEP]:0      pair  [CLS]:0 A:0 [SEP]:0 B:1 [SEP]:1
 *   none   single  A:0                      pair  A:0 B:1
 */
#include <stdlib.h>

#include "text/internal.h"

static void add(text_item **list, size_t *count, size_t *capacity, int32_t id, size_t type,
                text_source *src) {
    if (!text_reserve(list, capacity, *count + 1, sizeof **list))
        text_no_memory(src);
    else
        (*list)[(*count)++] = (text_item){id, (int32_t)type};
}

static void set(text_item **list, size_t *count, const text_item *from, size_t n, text_source *src) {
    size_t capacity = 0;
    for (size_t i = 0; i < n && !src->status; i++)
        add(list, count, &capacity, from[i].id, (size_t)from[i].type, src);
}

/* --- TemplateProcessing ------------------------------------------------------------------------- */

static void add_special(text_item **list, size_t *count, size_t *capacity, const json_t *token, size_t type,
                        const json_t *tokens, text_source *src) {
    const char *name = text_string(src, token, "id", NULL);
    const json_t *ids = json_object_get(json_object_get(tokens, name), "ids");
    size_t i;
    json_t *id;
    if (!json_is_array(ids))
        text_wrong(src, "the template's '%.60s' is not among its 'special_tokens'", name);
    json_array_foreach(ids, i, id) {
        bool fits =
            json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < TEXT_MOST_IDS;
        if (!fits) text_wrong(src, "the template's '%.60s' has no id", name);
        if (!src->status) add(list, count, capacity, (int32_t)json_integer_value(id), type, src);
    }
}

/* [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, ...] */
static void parse_list(text_item **list, size_t *count, const json_t *items, const json_t *tokens,
                       size_t texts, text_source *src) {
    size_t capacity = 0, i, seen = 0;
    json_t *item;
    json_array_foreach(items, i, item) {
        const json_t *token = json_object_get(item, "SpecialToken"),
                     *text = json_object_get(item, "Sequence");
        size_t type = text_number(src, token ? token : text, "type_id", 0);
        const char *name = text ? text_string(src, text, "id", NULL) : "";
        bool a = strcmp(name, "A") == 0, b = strcmp(name, "B") == 0;
        if ((!token && !a && !b) || type > 1)
            text_wrong(src, "the template has neither tokens nor texts A and B");
        if (src->status) return;
        if (token) add_special(list, count, &capacity, token, type, tokens, src);
        if (a || b) seen |= a ? 1 : 2;
        if (a || b) add(list, count, &capacity, a ? TEXT_A : TEXT_B, type, src);
    }
    if (seen != texts) text_wrong(src, "the template lacks a text, or has one that is not there");
}

static void parse_template(text_template *t, const json_t *spec, text_source *src) {
    const json_t *tokens = json_object_get(spec, "special_tokens"), *pair = json_object_get(spec, "pair");
    parse_list(&t->single, &t->singles, json_object_get(spec, "single"), tokens, 1, src);
    if (!src->status && json_array_size(pair) > 0) parse_list(&t->pair, &t->pairs, pair, tokens, 3, src);
}

/* --- BertProcessing, RobertaProcessing: {"cls": ["[CLS]", 101], "sep": ["[SEP]", 102]} ------------------ */

static int32_t token_of(const json_t *spec, const char *key, text_source *src) {
    const json_t *id = json_array_get(json_object_get(spec, key), 1);
    bool fits = json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < TEXT_MOST_IDS;
    if (!fits) text_wrong(src, "post_processor '%s' has no '%s' with an id", text_type(spec), key);
    return fits ? (int32_t)json_integer_value(id) : 0;
}

static void parse_around(text_template *t, const json_t *spec, bool roberta, text_source *src) {
    int32_t cls = token_of(spec, "cls", src), sep = token_of(spec, "sep", src);
    const text_item single[] = {{cls, 0}, {TEXT_A, 0}, {sep, 0}};
    const text_item bert_pair[] = {{cls, 0}, {TEXT_A, 0}, {sep, 0}, {TEXT_B, 1}, {sep, 1}};
    const text_item roberta_pair[] = {{cls, 0}, {TEXT_A, 0}, {sep, 0}, {sep, 0}, {TEXT_B, 0}, {sep, 0}};
    if (src->status) return;
    set(&t->single, &t->singles, single, 3, src);
    set(&t->pair, &t->pairs, roberta ? roberta_pair : bert_pair, roberta ? 6 : 5, src);
}

/* --- all of them ------------------------------------------------------------------------------- */

/* ByteLevel as a post-processor only moves offsets, which nobody asks for here. */
static void parse_part(text_template *t, const json_t *spec, text_source *src) {
    const char *type = text_type(spec);
    size_t i;
    json_t *part;
    if (src->status || strcmp(type, "ByteLevel") == 0) return;
    if (strcmp(type, "Sequence") == 0) {
        json_array_foreach(json_object_get(spec, "processors"), i, part) parse_part(t, part, src);
    } else if (t->single) {
        text_wrong(src, "post_processor '%.60s' behind another that adds tokens is not supported", type);
    } else if (strcmp(type, "TemplateProcessing") == 0) {
        parse_template(t, spec, src);
    } else if (strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0) {
        parse_around(t, spec, type[0] == 'R', src);
    } else {
        text_wrong(src, "post_processor '%.60s' is not supported", type);
    }
}

void text_template_parse(text_template *t, const json_t *spec, text_source *src) {
    static const text_item plain[] = {{TEXT_A, 0}, {TEXT_B, 1}};
    if (spec && !json_is_null(spec)) parse_part(t, spec, src);
    if (!src->status && !t->single) set(&t->single, &t->singles, plain, 1, src);
    if (!src->status && !t->pair) set(&t->pair, &t->pairs, plain, 2, src);
}

void text_template_free(text_template *t) {
    free(t->single);
    free(t->pair);
    *t = (text_template){0};
}
