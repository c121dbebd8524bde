/* list.c: "1,2,4-8" and token ids.
 *
 * Both lists are cut at commas into pieces, blanks around a piece dropped. A list is read twice: the first
 * pass checks every piece and counts, the second fills an array of exactly that size. Errors name the piece,
 * shortened if it is long.
 */
#include <string.h>

#include "config/internal.h"

enum { MOST_NUMBERS = 65536, PIECE_BYTES = 48 };

/* The next piece at *at, without blanks; *at becomes NULL behind the last one. A piece that doesn't fit is
 * cut, with "..." at the end, so that it can't be taken for a number. */
static void list_piece(const char **at, char piece[PIECE_BYTES]) {
    const char *start = *at + strspn(*at, " \t"), *comma = strchr(start, ',');
    size_t length = comma ? (size_t)(comma - start) : strlen(start);
    *at = comma ? comma + 1 : NULL;
    while (length > 0 && (start[length - 1] == ' ' || start[length - 1] == '\t')) length--;
    bool fits = length < PIECE_BYTES;
    if (!fits) length = PIECE_BYTES - 4;
    memcpy(piece, start, length);
    memcpy(piece + length, fits ? "" : "...", fits ? 1 : 4);
}

/* "7" or "4-8". NULL, or what is wrong. */
static const char *list_range(char *piece, size_t min, size_t max, size_t *low, size_t *high) {
    char *dash = strchr(piece, '-');
    if (strspn(piece, dash ? "0123456789-" : "0123456789") != strlen(piece) || !*piece) return "not a number";
    if (dash && (dash == piece || !dash[1] || strchr(dash + 1, '-'))) return "not a range of numbers";
    if (dash) *dash = '\0';
    bool fits = omni_parse_size(piece, max, low) && omni_parse_size(dash ? dash + 1 : piece, max, high) &&
                *low >= min;
    if (dash) *dash = '-'; /* whole again: the error shows it */
    if (!fits) return "out of range";
    return *high < *low ? "a range that runs backwards" : NULL;
}

/* One pass. Fills `numbers` unless it is NULL. */
static omni_status list_numbers(const char *text, const char *what, size_t min, size_t max, size_t *numbers,
                                size_t *count, omni_error *err) {
    *count = 0;
    for (const char *at = text; at;) {
        char piece[PIECE_BYTES];
        size_t low, high;
        list_piece(&at, piece);
        const char *wrong = list_range(piece, min, max, &low, &high);
        if (wrong)
            return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%s' is %s (expected %zu to %zu, as in 1,2,4-8)",
                                  what, piece, wrong, min, max);
        if (high - low >= MOST_NUMBERS - *count)
            return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%s' is too much (expected at most %d numbers)",
                                  what, piece, MOST_NUMBERS);
        for (size_t i = 0; numbers && i <= high - low; i++) numbers[*count + i] = low + i;
        *count += high - low + 1;
    }
    return OMNI_OK;
}

omni_status omni_number_list(const char *text, const char *what, size_t min, size_t max, size_t **out,
                             size_t *count, omni_error *err) {
    *out = NULL;
    omni_status status = list_numbers(text, what, min, max, NULL, count, err);
    if (status != OMNI_OK) return status;
    *out = omni_alloc_array(*count, sizeof **out);
    if (!*out) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", what);
    return list_numbers(text, what, min, max, *out, count, err);
}

static omni_status list_ids(const char *text, const char *what, int32_t *ids, size_t *count,
                            omni_error *err) {
    *count = 0;
    for (const char *at = text; at; (*count)++) {
        char piece[PIECE_BYTES];
        size_t id;
        list_piece(&at, piece);
        if (!omni_parse_size(piece, INT32_MAX, &id))
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "%s: '%s' is not a token id (expected 0 to %d, as in 1,2,3)", what, piece,
                                  INT32_MAX);
        if (ids) ids[*count] = (int32_t)id;
    }
    return OMNI_OK;
}

omni_status omni_id_list(const char *text, const char *what, int32_t **out, size_t *count, omni_error *err) {
    *out = NULL;
    omni_status status = list_ids(text, what, NULL, count, err);
    if (status != OMNI_OK) return status;
    *out = omni_alloc_array(*count, sizeof **out);
    if (!*out) return omni_error_set(err, OMNI_RUN_FAILED, "%s: out of memory", what);
    return list_ids(text, what, *out, count, err);
}
