/* vocab.c: tokens by text and by id: those of the model, which jansson's object finds by text (its hash is seeded, so
 * that no file can make it slow), and those that were added, which may have ids of their own.
 */
#include <stdlib.h>

#include "text/internal.h"

int32_t text_vocab_find(const text_vocab *v, text_view token) {
    const json_t *id = json_object_getn(v->model, token.data, token.bytes);
    return id ? (int32_t)json_integer_value(id) : -1;
}

/* False, and src says why, when it can be no id. */
static bool check_id(const json_t *id, const char *token, text_source *src) {
    bool fits = json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < TEXT_MOST_IDS;
    if (!fits) text_wrong(src, "token '%.60s' has no id from 0 to %d", token, TEXT_MOST_IDS - 1);
    return fits;
}

static void see_id(text_vocab *v, json_int_t id) {
    if ((size_t)id >= v->size) v->size = (size_t)id + 1;
}

static void read_model(text_vocab *v, json_t *tokens, text_source *src) {
    const char *token;
    json_t *id;
    if (!json_is_object(tokens)) {
        text_wrong(src, "'vocab' is not an object of tokens and ids");
        return;
    }
    v->model = json_incref(tokens);
    json_object_foreach(tokens, token, id) {
        if (!check_id(id, token, src)) return;
        see_id(v, json_integer_value(id));
        if (strlen(token) > v->longest) v->longest = strlen(token);
    }
}

static void read_one(text_vocab *v, text_added *a, const json_t *token, text_source *src) {
    const json_t *id = json_object_get(token, "id");
    const char *content = text_string(src, token, "content", NULL);
    if (src->status || !check_id(id, content, src)) return;
    a->content = text_copy(src, content);
    a->bytes = strlen(content);
    a->id = (int32_t)json_integer_value(id);
    a->special = text_flag(src, token, "special", false);
    a->single_word = text_flag(src, token, "single_word", false);
    a->lstrip = text_flag(src, token, "lstrip", false);
    a->rstrip = text_flag(src, token, "rstrip", false);
    a->normalized = text_flag(src, token, "normalized", !a->special);
    see_id(v, a->id);
    int32_t known = text_vocab_find(v, (text_view){content, a->bytes});
    if (known >= 0 && known != a->id)
        text_wrong(src, "added token '%.60s' has id %d, but %d in the vocabulary", content, (int)a->id,
                   (int)known);
}

static void read_added(text_vocab *v, const json_t *added, text_source *src) {
    size_t i;
    json_t *token;
    if (!added || json_is_null(added) || src->status) return;
    if (!json_is_array(added)) {
        text_wrong(src, "'added_tokens' is not a list");
        return;
    }
    v->added = calloc(json_array_size(added) + 1, sizeof *v->added);
    if (!v->added) {
        text_no_memory(src);
        return;
    }
    json_array_foreach(added, i, token) {
        if (src->status) return;
        v->added_count++;
        read_one(v, &v->added[i], token, src);
    }
}

static void number(text_vocab *v, text_source *src) {
    const char *token;
    json_t *id;
    v->token = calloc(v->size + 1, sizeof *v->token);
    v->special = calloc(v->size + 1, sizeof *v->special);
    if (!v->token || !v->special) {
        text_no_memory(src);
        return;
    }
    json_object_foreach(v->model, token, id) v->token[json_integer_value(id)] = token;
    for (size_t i = 0; i < v->added_count; i++) {
        v->token[v->added[i].id] = v->added[i].content;
        v->special[v->added[i].id] = v->added[i].special;
    }
}

void text_vocab_parse(text_vocab *v, json_t *tokens, const json_t *added, text_source *src) {
    if (!src->status) read_model(v, tokens, src);
    read_added(v, added, src);
    if (!src->status) number(v, src);
}

void text_vocab_free(text_vocab *v) {
    for (size_t i = 0; i < v->added_count; i++) free(v->added[i].content);
    free(v->added);
    free(v->token);
    free(v->special);
    json_decref(v->model);
    *v = (text_vocab){0};
}
