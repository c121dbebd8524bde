/* meter.h: where the calling thread adds what it waits, for those of this room that wait; see
 * omni_word_meter. */
#ifndef OMNIBUS_SYNC_METER_H
#define OMNIBUS_SYNC_METER_H

#include "omnibus/sync.h"

extern _Thread_local uint64_t *sync_meter; /* NULL: nowhere */

/* A wait that began then is over. */
void meter_add(uint64_t *meter, uint64_t begin);

#endif
