/* list.c: lists of plans: comma separated, or `all`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

typedef struct list {
    char **item;
    size_t count;
    bool failed;
} list;

static void append(list *l, const char *text, size_t length) {
    if (l->failed || l->count >= OMNI_MAX_PLANS) {
        l->failed = true;
        return;
    }
    char *copy = strndup(text, length);
    l->failed = !copy;
    if (copy) l->item[l->count++] = copy;
}

/* The plans of the design's `all`: five by name, then every qkv x attn x o x ffn. */
static void append_all(list *l) {
    static const char *const by_name[] = {"single", "lockstep", "replica", "pipeline", "alternate"};
    for (size_t i = 0; i < sizeof by_name / sizeof *by_name; i++) append(l, by_name[i], strlen(by_name[i]));
    size_t count[OMNI_METHOD_KEYS], total = 1;
    for (size_t k = 0; k < OMNI_METHOD_KEYS; k++) {
        omni_method_table((omni_key)k, &count[k]);
        total *= count[k];
    }
    for (size_t i = 0; i < total; i++) {
        omni_methods m = {0};
        size_t rest = i;
        for (size_t k = OMNI_METHOD_KEYS; k-- > 0; rest /= count[k]) m.choice[k] = rest % count[k];
        char text[128];
        omni_methods_format(&m, text, sizeof text);
        append(l, text, strlen(text));
    }
}

omni_status omni_plan_list(const char *text, char ***out, size_t *count, omni_error *err) {
    list l = {.item = omni_alloc_array(OMNI_MAX_PLANS, sizeof(char *))};
    omni_status st = OMNI_OK;
    if (!l.item) return omni_error_set(err, OMNI_RUN_FAILED, "no memory for a list of plans");
    for (const char *c = text;; c++) {
        size_t n = strcspn(c, ",");
        if (n == 0)
            st = omni_error_set(err, OMNI_BAD_INPUT,
                                "plan list '%s': an empty entry (expected names separated by commas)", text);
        if (n == 3 && strncmp(c, "all", 3) == 0)
            append_all(&l);
        else
            append(&l, c, n);
        c += n;
        if (!*c || st != OMNI_OK) break;
    }
    if (st == OMNI_OK && l.failed)
        st = omni_error_set(err, OMNI_BAD_INPUT, "plan list: more than %d plans", OMNI_MAX_PLANS);
    if (st != OMNI_OK) {
        omni_plan_list_free(l.item, l.count);
        return st;
    }
    *out = l.item;
    *count = l.count;
    return OMNI_OK;
}

void omni_plan_list_free(char **items, size_t count) {
    for (size_t i = 0; i < count; i++) free(items[i]);
    omni_free(items);
}
