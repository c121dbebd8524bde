/* faults.c: [faults] of an array file: lists of PEs that are slow or dead, checked, and sorted into zones.
 *
 *   slow = 3:1.5 7-9:2     PEs, and how many times as long they take to compute
 *   dead = 5 12-13
 *   jitter = 0.05          each step of each PE takes up to so much longer
 *   seed = 1               of the jitter
 *
 * Everything is optional. `none` is an empty list, so that --set can compare with and without.
 */
#include <stdlib.h>
#include <string.h>

#include "array/faults.h"

enum { MOST_TIMES = 1000, MOST_JITTER = 10, LAST_PE = (1 << 20) - 1 };

static const char *const names[FAULT_KEYS] = {"slow", "dead", "jitter", "seed"};

const char *fault_key_name(fault_key key) {
    return names[key];
}

fault_key fault_key_find(const char *name) {
    unsigned k = 0;
    while (k < FAULT_KEYS && strcmp(names[k], name) != 0) k++;
    return (fault_key)k;
}

/* --- text ------------------------------------------------------------------------------------- */

/* "1.5" as 1500000: at most six digits before and behind the point. */
static bool parse_ppm(const char *text, uint64_t *out) {
    static const char digits[] = "0123456789";
    size_t whole = strspn(text, digits), decimals = 0;
    const char *rest = text + whole;
    if (*rest == '.') decimals = strspn(++rest, digits);
    if (whole == 0 || whole > 6 || decimals > 6 || rest[decimals] || (rest > text + whole && !decimals))
        return false;
    *out = 0;
    for (size_t i = 0; i < whole; i++) *out = *out * 10 + (uint64_t)(text[i] - '0');
    for (size_t i = 0; i < 6; i++) *out = *out * 10 + (uint64_t)(i < decimals ? rest[i] - '0' : 0);
    return true;
}

/* "7-9", "7" */
static bool parse_pes(char *text, fault *out) {
    char *dash = strchr(text, '-');
    size_t first, last;
    if (dash) *dash = 0;
    bool good = omni_parse_size(text, LAST_PE, &first) &&
                omni_parse_size(dash ? dash + 1 : text, LAST_PE, &last) && first <= last;
    if (dash) *dash = '-';
    if (good) *out = (fault){(uint32_t)first, (uint32_t)last, 0};
    return good;
}

/* "7-9:2", or of dead PEs without the factor. */
static bool parse_range(char *text, bool slow, fault *out) {
    char *colon = strchr(text, ':');
    uint64_t ppm = 0;
    if (slow != (colon != NULL) || (slow && !parse_ppm(colon + 1, &ppm))) return false;
    if (slow && (ppm < PPM || ppm > (uint64_t)MOST_TIMES * PPM)) return false;
    if (slow) *colon = 0;
    bool good = parse_pes(text, out);
    if (slow) *colon = ':';
    out->ppm = ppm;
    return good;
}

static omni_status parse_list(faults *f, bool slow, const char *text, const char *where, omni_error *err) {
    fault *range = f->range[slow ? FAULT_SLOW : FAULT_DEAD];
    size_t *count = &f->ranges[slow ? FAULT_SLOW : FAULT_DEAD];
    *count = 0;
    if (strcmp(text, "none") == 0) return OMNI_OK;
    for (size_t length; *(text += strspn(text, " \t")); text += length) {
        char item[40];
        length = strcspn(text, " \t");
        size_t kept = length < sizeof item ? length : sizeof item - 1;
        memcpy(item, text, kept);
        item[kept] = 0;
        if (*count == FAULTS_MOST)
            return omni_error_set(err, OMNI_BAD_INPUT,
                                  "%s: '%s' is too much (expected at most %d PEs or ranges)", where, item,
                                  FAULTS_MOST);
        if (kept < length || !parse_range(item, slow, &range[*count]))
            return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%s' (expected PEs%s, or none)", where, item,
                                  slow ? " and a factor from 1 to 1000, as in 3:1.5 7-9:2"
                                       : ", as in 5 12-13");
        ++*count;
    }
    return OMNI_OK;
}

omni_status faults_set(faults *f, fault_key key, const char *text, const char *where, omni_error *err) {
    size_t seed = 0;
    uint64_t jitter = 0;
    if (key == FAULT_SLOW || key == FAULT_DEAD) return parse_list(f, key == FAULT_SLOW, text, where, err);
    if (key == FAULT_SEED && !omni_parse_size(text, SIZE_MAX, &seed))
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: '%.40s' (expected a whole number)", where, text);
    if (key == FAULT_JITTER && (!parse_ppm(text, &jitter) || jitter > (uint64_t)MOST_JITTER * PPM))
        return omni_error_set(err, OMNI_BAD_INPUT,
                              "%s: '%.40s' (expected a number from 0 to %d, of at most six decimals)", where,
                              text, MOST_JITTER);
    *(key == FAULT_SEED ? &f->seed : &f->jitter_ppm) = key == FAULT_SEED ? seed : jitter;
    return OMNI_OK;
}

/* --- zones ------------------------------------------------------------------------------------ */

static int by_first(const void *a, const void *b) {
    uint32_t x = ((const fault *)a)->first, y = ((const fault *)b)->first;
    return (x > y) - (x < y);
}

/* Of two neighbours that are the same, one is enough. */
static void add_zone(faults *f, size_t rank, size_t pe, uint64_t ppm) {
    const zone *last = f->zones ? &f->zone[f->zones - 1] : NULL;
    if (last && last->ppm == ppm && pe - last->pe == rank - last->rank) return;
    f->zone[f->zones++] = (zone){(uint32_t)rank, (uint32_t)pe, ppm};
}

/* all: sorted, apart. */
static void find_zones(faults *f, const fault *all, size_t count) {
    size_t rank = 0, pe = 0;
    f->zones = 0;
    for (size_t i = 0; i < count; i++) {
        if (all[i].first > pe) add_zone(f, rank, pe, PPM);
        rank += all[i].first - pe;
        pe = all[i].last + (size_t)1;
        if (all[i].ppm == 0) continue;
        add_zone(f, rank, all[i].first, all[i].ppm);
        rank += pe - all[i].first;
    }
    add_zone(f, rank, pe, PPM);
}

omni_status faults_settle(faults *f, size_t pes, const char *const where[FAULT_KEYS], omni_error *err) {
    fault all[2 * FAULTS_MOST];
    size_t count = 0;
    for (unsigned key = FAULT_SLOW; key <= FAULT_DEAD; key++)
        for (size_t i = 0; i < f->ranges[key]; i++) {
            all[count++] = f->range[key][i];
            if (f->range[key][i].last >= pes)
                return omni_error_set(err, OMNI_BAD_INPUT,
                                      "%s: PE %u (expected PEs from 0 to %zu: [array] pes)", where[key],
                                      f->range[key][i].last, pes - 1);
        }
    qsort(all, count, sizeof *all, by_first);
    for (size_t i = 1; i < count; i++)
        if (all[i].first <= all[i - 1].last)
            return omni_error_set(
                err, OMNI_BAD_INPUT, "%s: PE %u is given twice (expected it once, slow or dead)",
                where[all[i].ppm && all[i - 1].ppm ? FAULT_SLOW : FAULT_DEAD], all[i].first);
    find_zones(f, all, count);
    if (faults_living(f, pes) == 0)
        return omni_error_set(err, OMNI_BAD_INPUT, "%s: all PEs (expected one that lives)",
                              where[FAULT_DEAD]);
    return OMNI_OK;
}

bool faults_any(const faults *f) {
    return f->zones > 1 || f->zone[0].pe > 0 || f->zone[0].ppm != PPM || f->jitter_ppm;
}
