/* common.c: long names of plans often differ in one part only, and that is what a reader looks for:
 *
 *     all plans: qkv=out:attn=heads:o=out:ffn=out+out:..:overlap=16
 *     ..groups=8..
 *     ..groups=32..
 */
#include <stdio.h>

#include "picture/internal.h"

static size_t same_head(const char *a, const char *b, size_t most) {
    size_t n = 0, parts = 0;
    while (n < most && a[n] && a[n] == b[n])
        if (a[n++] == ':') parts = n;
    return parts;
}

static size_t same_tail(const char *a, const char *b, size_t most) {
    size_t n = 0, parts = 0, i = strlen(a), k = strlen(b);
    while (n < most && n < i && n < k && a[i - 1 - n] == b[k - 1 - n])
        if (a[i - 1 - n++] == ':') parts = n;
    return parts;
}

common common_of(const char *const *names, size_t count, size_t columns) {
    common k = {SIZE_MAX, SIZE_MAX};
    size_t longest = 0, shortest = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(names[i]);
        longest = n > longest ? n : longest;
        shortest = n < shortest ? n : shortest;
        k.head = same_head(names[0], names[i], k.head);
        k.tail = same_tail(names[0], names[i], k.tail);
    }
    if (longest <= columns || k.head + k.tail >= shortest) return (common){0, 0};
    return k;
}

const char *common_less(common k, const char *name, char *buf, size_t cap) {
    size_t n = strlen(name) - k.head - k.tail;
    snprintf(buf, cap, "%s%.*s%s", k.head ? ".." : "", (int)n, name + k.head, k.tail ? ".." : "");
    return buf;
}

void common_note(canvas *c, common k, const char *name) {
    char text[600];
    if (k.head + k.tail == 0) return;
    snprintf(text, sizeof text, "all plans: %.*s..%s", (int)k.head, name, name + strlen(name) - k.tail);
    canvas_note(c, text);
}
