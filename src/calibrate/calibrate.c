/* calibrate.c: rounds of measuring, and what comes of them:
 *
 *     say what is wanted:   fit, check          (twice: what passes need is said with the rest)
 *     round 0 .. ROUNDS-1:  everything once
 *     round 0 .. ROUNDS-1:  rates of the round -> predictions of the round's checks      errors at one time
 *     medians:              rates of all       -> predictions of all checks              the file, the rows
 */
#include <math.h>

#include "calibrate/internal.h"

static void begin(wants *w, size_t round) {
    w->mode = GETTING;
    w->round = round;
    w->next = 0;
}

/* Errors of each round's predictions, from its own rates; medians of their sizes. */
static void take_rounds(wants *w, omni_rates *r, omni_calibrate_row *row, size_t count) {
    double error[CHECK_MOST][ROUNDS];
    omni_calibrate_row *own = omni_alloc_array(CHECK_MOST, sizeof *own);
    for (size_t k = 0; own && k < ROUNDS; k++) {
        begin(w, k);
        fit_rates(w, r);
        (void)check_rates(w, r, own);
        for (size_t i = 0; i < count; i++) error[i][k] = 100 * (own[i].predicted_ns / own[i].wall_ns - 1);
    }
    for (size_t i = 0; i < count; i++) row[i].round_error_percent = own ? omni_median(error[i], ROUNDS) : NAN;
    omni_free(own);
}

static bool measure(wants *w, omni_rates *r, omni_calibrate_row *row) {
    w->mode = SAYING;
    fit_rates(w, r);
    (void)check_rates(w, r, row);
    for (size_t k = 0; k < ROUNDS; k++)
        if (!wants_measure(w, k)) return false;
    return true;
}

omni_status omni_calibrate(const omni_calibrate_options *o, omni_rates *out, omni_calibrate_row **row,
                           size_t *count, omni_error *err) {
    omni_error why = {0};
    wants w = {.o = o, .list = omni_alloc_array(WANTED_MOST, sizeof *w.list), .err = &why};
    *row = omni_alloc_array(CHECK_MOST, sizeof **row);
    if (!w.list || !*row) w.status = omni_error_set(&why, OMNI_RUN_FAILED, "calibrate: no memory");
    if (!w.status && measure(&w, out, *row)) {
        begin(&w, ROUNDS);
        fit_rates(&w, out);
        *count = check_rates(&w, out, *row);
        omni_rates *own = omni_alloc(sizeof *own);
        if (own) take_rounds(&w, own, *row, *count);
        omni_free(own);
    }
    omni_free(w.list);
    if (!w.status) return OMNI_OK;
    omni_free(*row);
    *row = NULL;
    return omni_error_set(err, w.status, "%s", why.text);
}
