/* reference.h: inside the room. The naive float64 forward pass.
 *
 * The unit of work is a row: one token at one position of one sequence, and what is wanted of it. A call
 * takes any number of rows, so that every matrix of the checkpoint is read and converted once for all of
 * them; a prompt is many rows, a decode step one row a sequence. Rows of a sequence come in order of
 * position, and all earlier positions were in the same or an earlier call; an encoder sees no later call, so
 * all of a sequence is in one.
 */
#ifndef OMNIBUS_VERIFY_REFERENCE_H
#define OMNIBUS_VERIFY_REFERENCE_H

#include "omnibus/base.h"
#include "omnibus/model.h"
#include "omnibus/sync.h"
#include "omnibus/weights.h"

typedef struct reference_row {
    int32_t id, type; /* type: BERT's token type */
    size_t sequence, position;
    double *hidden; /* layer l's state goes to hidden + l * stride, [hidden]; NULL: not wanted */
    size_t stride;
    double *last;   /* after the final norm, [hidden]; or NULL */
    double *pooled; /* what BERT's pooler makes of this row, [hidden]; or NULL */
    double *logits; /* [vocab]; or NULL */
} reference_row;

typedef struct reference reference;

/* Room for `sequences` of up to `capacity` positions, and `rows` rows in a call. The meter counts rows of
 * layers. */
omni_status reference_create(const omni_model *model, const omni_weights *w, size_t sequences,
                             size_t capacity, size_t rows, const omni_stop *stop, omni_meter *meter,
                             reference **out, omni_error *err);
void reference_free(reference *ref);
omni_status reference_forward(reference *ref, const reference_row *row, size_t rows, omni_error *err);

#endif
